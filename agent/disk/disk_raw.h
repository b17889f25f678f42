/* agent/disk/disk_raw.h: the disk seam over a raw disk image: a plain file, byte for byte the disk. Its
 * frozen states are the copies of agent/disk/raw_frozen.h; what changed between two of them is found by
 * comparing. */
#ifndef AGENT_DISK_DISK_RAW_H
#define AGENT_DISK_DISK_RAW_H

#include "base/attr.h"
#include "base/fs.h"
#include "base/loop.h"
#include "base/pool.h"
#include "agent/disk/disk.h"
#include "agent/disk/raw_frozen.h"

/* Opens a disk: if CHANGE_ID is given, that frozen copy of PATH; else the new disk of SIZE bytes and IDENTITY, in a
 * file that is made for it. The caller's memory, zeroed but for what goes in, until done(). */
struct disk_raw_open {
    struct fs *fs;    /* borrowed until the disk is closed, as is the pool */
    const char *path; /* borrowed until done() */
    char change_id[RAW_FROZEN_ID_SIZE];
    uint64_t size; /* bytes, a multiple of 512, at least 512 */
    uint8_t identity[DISK_IDENTITY_SIZE];
    /* Once, on the loop. DISK is the caller's (disk_close), NULL after a failure: STATUS_NOT_FOUND,
     * STATUS_EXISTS (the new disk's file), STATUS_INVALID (size or change id), STATUS_CORRUPT. */
    void (*done)(struct disk_raw_open *open, enum status status, struct disk *disk,
                 const struct error *err);

    struct disk_raw *raw; /* the filling's, as is what follows */
    struct loop_task task;
    enum status status;
    struct error err;
};

/* Blocking calls go to POOL, whose loop is LOOP. Loop's thread. */
void disk_raw_open_start(struct loop *loop, struct pool *pool, struct disk_raw_open *open);

#endif
