/* agent/disk/raw_frozen.h: frozen copies of a raw disk image, a plain file that is byte for byte the
 * disk.
 *
 * A raw file has no checkpoints and no change tracking. In their place stand copies: a backup freezes
 * the file (copies it, holes left out), reads that copy, and keeps it; the next one freezes again, and
 * what changed is found by comparing the two. The copies of FILE lie beside it in the folder
 * FILE.frozen, each named by its id (32 hexadecimal digits), with the file `identity`, the disk's
 * identity in hexadecimal digits.
 *
 * Paths are those of base/fs.h. Thread: any but the loop's; all calls block; one at a time for one PATH
 * where copies are made or removed. */
#ifndef AGENT_DISK_RAW_FROZEN_H
#define AGENT_DISK_RAW_FROZEN_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/random.h"
#include "agent/disk/disk.h"

enum { RAW_FROZEN_ID_SIZE = 32 + 1, RAW_SECTOR = 512 };

/* Freezes the disk in the file PATH of FS as it is now. The copy is durable; *ret_id names it. Removes
 * what an interrupted call has left. RANDOM gives the id and, the first time, the identity.
 * Nothing may write to the file meanwhile: a plain file cannot be held still, so what is written may be
 * in the copy in part.
 * STATUS_PRECONDITION: the file's size is 0 or no multiple of RAW_SECTOR. STATUS_ABORTED: its size
 * changed meanwhile. */
NODISCARD enum status raw_frozen_make(struct fs *fs, const char *path, struct random_source *random,
                                      char ret_id[RAW_FROZEN_ID_SIZE], struct error *err);

/* Removes the copy ID, which is not open. STATUS_NOT_FOUND: there is none. */
NODISCARD enum status raw_frozen_remove(struct fs *fs, const char *path, const char *id,
                                        struct error *err);

/* Opens the copy ID for reading: the caller's (fs_close), of *ret_size bytes. STATUS_NOT_FOUND: there
 * is none. */
NODISCARD enum status raw_frozen_open(struct fs *fs, const char *path, const char *id,
                                      struct fs_file **ret_file, uint64_t *ret_size,
                                      struct error *err);

/* The disk's identity. STATUS_NOT_FOUND: never frozen, and none was given. STATUS_CORRUPT: the file is
 * not what it must be. */
NODISCARD enum status raw_frozen_identity(struct fs *fs, const char *path,
                                          uint8_t ret_identity[DISK_IDENTITY_SIZE],
                                          struct error *err);

/* Gives the disk an identity, durably. */
NODISCARD enum status raw_frozen_set_identity(struct fs *fs, const char *path,
                                              const uint8_t identity[DISK_IDENTITY_SIZE],
                                              struct error *err);

#endif
