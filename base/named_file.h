/* base/named_file.h: a file that a person names by any path of the machine: the folder it is in as a file system, and its name
 * there. All block; any thread. */
#ifndef BASE_NAMED_FILE_H
#define BASE_NAMED_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"

struct named_file {
    struct fs *fs;             /* the folder */
    char folder[FS_PATH_SIZE]; /* its path on the machine */
    char name[FS_PATH_SIZE];   /* one component */
};

/* PATH's. STATUS_INVALID: it cannot be used as a path. STATUS_NOT_FOUND: its folder is not there. Its owner's
 * (named_file_close). */
NODISCARD enum status named_file_open(const char *path, struct named_file *ret_file,
                                      struct error *err);
void named_file_close(struct named_file *file); /* zeroed is fine */

/* Is there anything of that name? */
NODISCARD enum status named_file_taken(const struct named_file *file, bool *ret_taken,
                                       struct error *err);

/* The whole file, of at most SIZE bytes, into BYTES. STATUS_INVALID: it is longer. STATUS_NOT_FOUND. */
NODISCARD enum status named_file_read(const struct named_file *file, void *bytes, size_t size,
                                      size_t *ret_size, struct error *err);

/* STATUS_PRECONDITION: others than its owner may read or write it; the sentence says what to do. */
NODISCARD enum status named_file_check_private(const struct named_file *file, struct error *err);

/* A new file with CONTENT, durably, readable by its owner alone; after a failure it is not there. STATUS_EXISTS: there is
 * something of that name. */
NODISCARD enum status named_file_write_new(const struct named_file *file, struct slice content,
                                           struct error *err);

/* Is FILE's folder the folder DIR, or below it? */
NODISCARD enum status named_file_is_inside(const struct named_file *file, const char *dir,
                                           bool *ret_inside, struct error *err);

/* Do FILE's folder and the folder DIR lie on one file system of the machine? */
NODISCARD enum status named_file_is_beside(const struct named_file *file, const char *dir,
                                           bool *ret_beside, struct error *err);

#endif
