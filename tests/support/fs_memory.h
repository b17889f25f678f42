/* tests/support/fs_memory.h: the file-system seam in memory. Refuses what fs_posix refuses, with the same
 * errno; a file beyond 16 TiB - 4 KiB, as ext4 does, with EFBIG (of a write, after the part that fits).
 * Files are sparse (sparse.h). Nothing is ever lost: syncs only check their path; what a power cut leaves
 * is the business of fs_record.h and fs_cut.h. Of its memory only the handle of an open file and the
 * names of a list can be wanting (double_heap.h). Any thread. */
#ifndef TESTS_SUPPORT_FS_MEMORY_H
#define TESTS_SUPPORT_FS_MEMORY_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "tests/support/sparse.h"

/* Empty; the caller's (fs_free, when all its files are closed). */
NODISCARD enum status fs_memory_new(struct fs **ret_fs, struct error *err);

/* From now on a write that needs more than BYTES in pages fails with ENOSPC, after the part that fits.
 * Holes and folders cost nothing. FS is one of fs_memory_new(). */
void fs_memory_set_space(struct fs *fs, uint64_t bytes);

/* A file at PATH, in a folder that is there, with CONTENT, which is then empty. For fs_cut.h. */
void fs_memory_put_file(struct fs *base, const char *path, struct sparse *take_content);

/* The free PATH becomes a second name of the file at PATH_THERE, as half a rename leaves it. */
void fs_memory_put_link(struct fs *base, const char *path, const char *path_there);

#endif
