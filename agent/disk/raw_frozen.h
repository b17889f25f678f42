/* agent/disk/raw_frozen.h: frozen copies of a raw disk image, a plain file that is byte for byte the
 * disk.
 *
 * A raw file has no checkpoints and no change tracking. In their place stand copies: a backup freezes
 * the file (copies it, holes left out), reads that copy, and keeps it; the next one freezes again, and
 * what changed is found by comparing the two. What belongs to FILE lies beside it in the folder
 * FILE.frozen:
 *     disk          the disk's identity, 32 hexadecimal digits, '-', its logical sector's size, 8
 *     ID-SIZE       a copy: its id, 32 digits, and its size in bytes, 16: so a copy that lost its end shows
 *     ID.new        a copy that was never finished
 *
 * Paths are those of base/fs.h. Thread: any but the loop's; all calls block; one at a time for one FILE
 * where copies are made or removed. */
#ifndef AGENT_DISK_RAW_FROZEN_H
#define AGENT_DISK_RAW_FROZEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/random.h"
#include "agent/disk/disk.h"

enum { RAW_FROZEN_ID_SIZE = 32 + 1 };

/* What a raw file does not say of its disk. */
struct raw_frozen_disk {
    uint8_t identity[DISK_IDENTITY_SIZE];
    uint32_t logical_sector; /* bytes: 512 or 4096 */
};

/* An id for a copy. Its owner notes it before the copy is made, and can so find and remove it whatever
 * happens. */
NODISCARD enum status raw_frozen_new_id(struct random_source *random,
                                        char ret_id[RAW_FROZEN_ID_SIZE], struct error *err);

/* Freezes the disk in FILE as it is now, under the name ID, and says where: *ret_copy is what
 * disk_open_start() takes. The copy is durable then. Removes what interrupted calls have left. A disk
 * never frozen before gets an identity by RANDOM, and sectors of 512 bytes.
 * Nothing may write to FILE meanwhile: a plain file cannot be held still, so what is written may be in
 * the copy in part.
 * STATUS_PRECONDITION: the size is 0, or not whole sectors. STATUS_ABORTED: it changed meanwhile.
 * STATUS_EXISTS: there is a copy ID. After a failure there may be a copy, or not: remove ID. */
NODISCARD enum status raw_frozen_make(struct fs *fs, const char *file, const char *id,
                                      struct random_source *random, char ret_copy[FS_PATH_SIZE],
                                      struct error *err);

/* Removes the copy ID, finished or not, which is not open. It is gone for good then, also after a power
 * cut. STATUS_NOT_FOUND: there is none. */
NODISCARD enum status raw_frozen_remove(struct fs *fs, const char *file, const char *id,
                                        struct error *err);

/* Removes every copy of FILE, finished or not, but the copy KEEP (NULL: none stays); none of them is open.
 * They are gone for good then, also after a power cut. *ret_removed: how many there were. That nothing is
 * there to be removed is no failure. After a failure some may be gone. */
NODISCARD enum status raw_frozen_keep_only(struct fs *fs, const char *file, const char *keep,
                                           size_t *ret_removed, struct error *err);

/* Where the copy ID is. STATUS_NOT_FOUND: there is none. */
NODISCARD enum status raw_frozen_find(struct fs *fs, const char *file, const char *id,
                                      char ret_copy[FS_PATH_SIZE], struct error *err);

/* The opposite: which FILE and ID the path COPY stands for. False: it has not that form. */
NODISCARD bool raw_frozen_parse(const char *copy, char ret_file[FS_PATH_SIZE],
                                char ret_id[RAW_FROZEN_ID_SIZE]);

/* Opens the COPY for reading: *ret_file is the caller's (fs_close), of *ret_size bytes. STATUS_NOT_FOUND:
 * there is none. STATUS_CORRUPT: it has not the size that it had. */
NODISCARD enum status raw_frozen_open(struct fs *fs, const char *copy, struct fs_file **ret_file,
                                      uint64_t *ret_size, struct error *err);

/* What is noted of the disk in FILE. STATUS_NOT_FOUND: nothing. STATUS_CORRUPT: the note is damaged. */
NODISCARD enum status raw_frozen_read_disk(struct fs *fs, const char *file,
                                           struct raw_frozen_disk *ret_disk, struct error *err);

/* Notes it, durably; FILE's own name is durable then too. */
NODISCARD enum status raw_frozen_write_disk(struct fs *fs, const char *file,
                                            const struct raw_frozen_disk *disk, struct error *err);

/* Takes the note away, and the folder if it is empty then: as if FILE had never been a disk. */
NODISCARD enum status raw_frozen_forget_disk(struct fs *fs, const char *file, struct error *err);

#endif
