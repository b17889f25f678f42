/* coordinator/key_file.h: the file with a repository's key, and the folder of the repository, by paths of the machine. All block. */
#ifndef COORDINATOR_KEY_FILE_H
#define COORDINATOR_KEY_FILE_H

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/keys.h"

/* STATUS_PRECONDITION: the file at PATH is for others to read too. STATUS_INVALID: it is no key file. STATUS_NOT_FOUND. The
 * caller wipes *ret_key. */
NODISCARD enum status key_file_read(const char *path, struct repository_key *ret_key,
                                    struct error *err);

/* Makes PATH, durably and readable by its owner alone; after a failure it is not there. STATUS_EXISTS: it was before. */
NODISCARD enum status key_file_write(const char *path, const struct repository_key *key,
                                     struct error *err);

/* Takes back what key_file_write() has made. */
NODISCARD enum status key_file_remove(const char *path, struct error *err);

/* STATUS_INVALID: PATH lies inside the folder DIR, which is there, as is the folder of PATH: whoever takes the repository would take its key too. */
NODISCARD enum status key_file_check_outside(const char *path, const char *dir, struct error *err);

/* The folder DIR as a file system; made, durably, if it is not there. *ret_fs is the caller's. */
NODISCARD enum status data_folder_make(const char *dir, struct fs **ret_fs, struct error *err);

#endif
