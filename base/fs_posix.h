/* base/fs_posix.h: the file-system seam over a folder of the machine, by POSIX.1-2008 calls. */
#ifndef BASE_FS_POSIX_H
#define BASE_FS_POSIX_H

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"

/* The file system whose paths begin in the existing folder DIR (any path of the machine's). The caller's
 * (fs_free). Links are not followed inside it. That DIR itself outlives a power cut is not this file
 * system's doing: whoever makes DIR syncs the folder that it is in. Any thread; blocks. */
NODISCARD enum status fs_posix_new(const char *dir, struct fs **ret_fs, struct error *err);

#endif
