/* agent/disk/disk_raw.h: the disk seam over a raw disk image: a plain file, byte for byte the disk. Its
 * frozen states are the copies of agent/disk/raw_frozen.h; what changed between two of them is found by
 * comparing. */
#ifndef AGENT_DISK_DISK_RAW_H
#define AGENT_DISK_DISK_RAW_H

#include "base/fs.h"
#include "base/loop.h"
#include "base/pool.h"
#include "agent/disk/disk.h"

/* Opens, as a frozen disk, the path of a copy that raw_frozen_make() gave; makes, as a new disk, the file
 * at a path. */
struct disk_raw_opener {
    struct disk_opener opener; /* what disk_open_start() takes */
    struct pool *pool;
    struct fs *fs;
};

/* Blocking calls go to POOL, whose loop is LOOP; files are FS's. All three are borrowed until the last
 * disk is closed. */
struct disk_raw_opener disk_raw_opener_of(struct loop *loop, struct pool *pool, struct fs *fs);

#endif
