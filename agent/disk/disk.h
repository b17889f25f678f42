/* agent/disk/disk.h: how the blocks of one virtual disk are read and written: a seam.
 *
 * A disk is either *frozen* (the state of a checkpoint: read-only, it never changes) or *new* (being
 * restored: read and written). Offsets and lengths are bytes in the disk's own address space, as
 * QueryChangesVirtualDisk and raw reads on the virtual disk's handle have them (architecture,
 * sections 2 and 3). Fillings: agent/disk/disk_raw.h over a plain file; each opens disks in its own
 * way. What all of them must do is checked by tests/disk_contract.c.
 *
 * Many requests may be in flight at once. Each lies in memory of the caller, who leaves it (and the
 * memory it points at) in place until its done(), which comes once: on the loop, never before the
 * starting call has returned, in no promised order. Thread: the loop's for every call here. */
#ifndef AGENT_DISK_DISK_H
#define AGENT_DISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/pool.h"
#include "base/range.h"

enum {
    DISK_IDENTITY_SIZE = 16,
    /* 256 UTF-16 units (VIRTUAL_DISK_MAXIMUM_CHANGE_TRACKING_ID_LENGTH, virtdisk.h) of at most three
     * bytes each in UTF-8, and a NUL. */
    DISK_CHANGE_ID_SIZE = 3 * 256 + 1,
    DISK_IN_FLIGHT_MAX = 256,      /* requests of one disk */
    DISK_IO_MAX = 4 * 1024 * 1024, /* bytes of one request */
};

struct disk;

struct disk_info {
    uint8_t identity
        [DISK_IDENTITY_SIZE]; /* VirtualDiskId: stays through checkpoints; copies share it */
    uint64_t size;            /* bytes; a multiple of the logical sector */
    uint32_t logical_sector;  /* bytes: 512 or 4096; what offsets and lengths are multiples of */
    uint32_t physical_sector; /* bytes; what writes had better be multiples of */
    bool writable;            /* a new disk */
    char change_id
        [DISK_CHANGE_ID_SIZE]; /* names this frozen state for later queries; "": changes are
                                             not tracked */
};

/* What all requests have in common; not the caller's business. */
struct disk_request {
    struct disk *disk; /* while it is in flight */
    void (*deliver)(struct disk_request *request, enum status status, const struct error *err);
    struct loop_task refusal; /* a request that is wrong is answered by this... */
    bool refused;             /* ...and the filling never sees it */
    struct work work;         /* the filling's */
    enum status status;       /* what it will be answered: whose turn it is writes it */
    struct error err;
};

enum disk_io_kind { DISK_READ, DISK_WRITE, DISK_FLUSH };

struct disk_io {
    struct disk_request request; /* zeroed */
    enum disk_io_kind kind;
    uint64_t offset; /* a multiple of the logical sector; DISK_FLUSH: 0 */
    uint8_t *data;   /* DISK_READ: filled; DISK_WRITE: left as it is; DISK_FLUSH: NULL */
    size_t
        length; /* a multiple of the logical sector, from one to DISK_IO_MAX bytes; DISK_FLUSH: 0 */
    void (*done)(struct disk_io *io, enum status status, const struct error *err);
};

struct disk_query {
    struct disk_request request;     /* zeroed */
    char since[DISK_CHANGE_ID_SIZE]; /* changed since that frozen state; "": allocated */
    uint64_t offset;                 /* where to begin, below the disk's size */
    struct range_list *ranges;       /* cleared, then filled: at most its limit, at least 1 */
    uint64_t covered_to;             /* out: the ranges tell all of [offset, covered_to) */
    void (*done)(struct disk_query *query, enum status status, const struct error *err);
};

/* Known since the disk was opened; lives as long as the disk. */
const struct disk_info *disk_info(const struct disk *disk);

/* Reads, writes or flushes. A write is durable, across a power cut too, once a flush that was started
 * after its done() is done.
 * STATUS_INVALID: not in sectors, or too much at once. STATUS_RANGE: past the end. STATUS_DENIED: a
 * write to a frozen disk. STATUS_EXHAUSTED: DISK_IN_FLIGHT_MAX are in flight, or no space.
 * STATUS_CORRUPT: the disk is shorter than it says. After a failure the content of DATA (read) or of
 * the disk there (write) is undefined. */
void disk_io_start(struct disk *disk, struct disk_io *io);

/* Lists ranges: ascending, not touching, none empty, within the disk. With `since`, all that differs
 * from that frozen state is in them; without, all that is not zero is. They may be wider than that.
 * One answer need not reach the disk's end, but always gets further than OFFSET: ask again at
 * covered_to, until it is the disk's size.
 * STATUS_NOT_FOUND: nothing is known of `since` (any more), or it had another size: the caller reads
 * the whole disk. Any other failure leads there too, and is reported. */
void disk_query_start(struct disk *disk, struct disk_query *query);

/* Asks that a request is not carried out; its done() still comes, with STATUS_CANCELLED or with what
 * became of it. Late or twice: no effect. */
void disk_io_cancel(struct disk_io *io);
void disk_query_cancel(struct disk_query *query);

/* Cancels what is in flight, waits for its done() calls, lets go of all handles and then posts
 * ON_CLOSED: from there the disk does not exist. Called once; no request is started after it. */
void disk_close(struct disk *disk, struct loop_task *on_closed);

/* ---- For fillings ---------------------------------------------------------------------------- */

/* What a filling provides; no NULL entries. Requests arrive checked against the info, counted, and are
 * answered by disk_request_done(). */
struct disk_ops {
    void (*io)(struct disk *disk, struct disk_io *io);
    void (*query)(struct disk *disk, struct disk_query *query);
    void (*cancel)(struct disk *disk, struct disk_request *request);
    void (*cancel_all)(struct disk *disk);
    /* Nothing is in flight. Lets go of all handles, frees the disk, posts ON_CLOSED; may take time. */
    void (*close)(struct disk *disk, struct loop_task *on_closed);
};

/* The first member of a filling's own struct. */
struct disk {
    const struct disk_ops *ops;
    struct loop *loop;
    struct disk_info info;
    unsigned in_flight;
    struct loop_task *on_closed; /* set by disk_close() */
};

/* Answers REQUEST with STATUS, and ERR if that is a failure: calls its done(), later on goes on with a
 * close that waits for it. On the loop, after the call that started it has returned; once. */
void disk_request_done(struct disk_request *request, enum status status, const struct error *err);

#endif
