/* agent/disk/disk.h: how the blocks of one virtual disk are opened, read and written: a seam.
 *
 * A disk is either *frozen* (the state of a checkpoint: read-only, it never changes) or *new* (being
 * restored: read and written). Offsets and lengths are bytes in the disk's own address space, as
 * QueryChangesVirtualDisk and raw reads on the virtual disk's handle have them (architecture,
 * sections 2 and 3). Fillings: agent/disk/disk_raw.h over a plain file. What all of them must do is
 * checked by tests/disk_contract.c.
 *
 * Many requests may be in flight at once. Each lies in memory of the caller, zeroed but for what goes in,
 * who leaves it (and the memory it points at) in place until its done(). That comes once: on the loop,
 * never from within a call of this header, in no promised order. Its ERR is NULL on success; after a
 * failure it is good until the request is started again or its memory goes. Thread: the loop's for every
 * call here. */
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
    uint32_t logical_sector;  /* bytes: 512 or 4096; offsets and lengths are multiples of it */
    uint32_t physical_sector; /* bytes; what writes had better be multiples of */
    bool writable;            /* a new disk */
    char change_id
        [DISK_CHANGE_ID_SIZE]; /* names this frozen state for later queries; "": changes are
                                             not tracked */
};

/* ---- Opening --------------------------------------------------------------------------------- */

enum disk_open_kind { DISK_OPEN_FROZEN, DISK_OPEN_NEW };

struct disk_open {
    const char *path; /* of the frozen file, or of the file to be made: the opener's own terms */
    enum disk_open_kind kind;
    uint32_t logical_sector;              /* DISK_OPEN_NEW: bytes, 512 or 4096 */
    uint64_t size;                        /* DISK_OPEN_NEW: bytes, whole logical sectors, not 0 */
    uint8_t identity[DISK_IDENTITY_SIZE]; /* DISK_OPEN_NEW */
    /* DISK is the caller's (disk_close), NULL after a failure. */
    void (*done)(struct disk_open *open, enum status status, struct disk *disk,
                 const struct error *err);

    struct loop_task
        answer;         /* the seam's, as is what follows; a filling posts it after a failure, */
    enum status status; /* when this says which, */
    struct error err;   /* and this why */
};

/* One way to open disks; the first member of the filling's own struct. */
struct disk_opener {
    void (*open)(struct disk_opener *opener, struct disk_open *open);
    struct loop *loop;
};

/* Opens a frozen disk, or makes a new one in a file that is made for it.
 * STATUS_NOT_FOUND: no such frozen state. STATUS_EXISTS: the new disk's file is there already.
 * STATUS_INVALID: a size or sector size that no disk has. STATUS_CORRUPT: the frozen disk is not as it was
 * left, shorter for one. After a failure nothing is left of a new disk. */
void disk_open_start(struct disk_opener *opener, struct disk_open *open);

/* ---- Requests -------------------------------------------------------------------------------- */

/* What all requests have in common; not the caller's business. */
struct disk_request {
    struct disk *disk; /* while it is in flight */
    void (*deliver)(struct disk_request *request, enum status status, const struct error *err);
    bool flush;
    bool refused;             /* it is wrong, the filling never sees it... */
    struct loop_task refusal; /* ...and this answers it */
    struct work work;         /* the filling's */
    enum status status;       /* what it will be answered: whose turn it is writes it */
    struct error err;
};

enum disk_io_kind { DISK_READ, DISK_WRITE, DISK_FLUSH };

struct disk_io {
    struct disk_request request;
    enum disk_io_kind kind;
    uint64_t offset; /* a multiple of the logical sector; DISK_FLUSH: 0 */
    uint8_t *data;   /* DISK_READ: filled; DISK_WRITE: left as it is; DISK_FLUSH: NULL */
    size_t
        length; /* a multiple of the logical sector, from one to DISK_IO_MAX bytes; DISK_FLUSH: 0 */
    void (*done)(struct disk_io *io, enum status status, const struct error *err);
};

struct disk_query {
    struct disk_request request;
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
 * write to a frozen disk. STATUS_UNAVAILABLE: DISK_IN_FLIGHT_MAX are in flight, or another flush is; ask
 * again when one is done. STATUS_EXHAUSTED: no space. STATUS_CORRUPT: the disk is shorter than it says.
 * STATUS_ABORTED: a flush after one that failed: what was written may be lost whatever later ones say,
 * and the disk must be made anew.
 * After a failure the content of DATA (read) or of the disk there (write) is undefined. */
void disk_io_start(struct disk *disk, struct disk_io *io);

/* Lists ranges: ascending, not touching, none empty, within the disk. With `since`, all that differs
 * from that frozen state is in them; without, all that is not zero is. They may be wider than that.
 * One answer need not reach the disk's end, but always gets further than OFFSET: ask again at
 * covered_to, until it is the disk's size.
 * STATUS_NOT_FOUND: nothing is known of `since` (any more), or it had another size: the caller reads
 * the whole disk. Any other failure but STATUS_CANCELLED and STATUS_UNAVAILABLE (as above) leads there
 * too, and is reported. */
void disk_query_start(struct disk *disk, struct disk_query *query);

/* Asks that a request is not carried out; its done() still comes, with STATUS_CANCELLED or with what
 * became of it. Late or twice: no effect. */
void disk_io_cancel(struct disk_io *io);
void disk_query_cancel(struct disk_query *query);

/* Cancels what is in flight, waits for its done() calls, lets go of all handles and then posts
 * ON_CLOSED: from there the disk does not exist. Called once; no request is started after it. */
void disk_close(struct disk *disk, struct loop_task *on_closed);

/* ---- For fillings ---------------------------------------------------------------------------- */

/* What a filling provides; no NULL entries. Requests arrive checked against the info, counted, one flush
 * at a time, and are answered by disk_request_done(). */
struct disk_ops {
    void (*io)(struct disk *disk, struct disk_io *io);
    void (*query)(struct disk *disk, struct disk_query *query);
    void (*cancel)(struct disk *disk, struct disk_request *request);
    void (*cancel_all)(struct disk *disk);
    /* Nothing is in flight. Lets go of all handles, frees the disk, posts ON_CLOSED; may take time. */
    void (*close)(struct disk *disk, struct loop_task *on_closed);
};

/* The first member of a filling's own struct, zeroed but for the first three. */
struct disk {
    const struct disk_ops *ops;
    struct loop *loop;
    struct disk_info info;
    unsigned in_flight;
    bool flushing;               /* a flush is in flight */
    bool flush_failed;           /* and none will be good again */
    struct loop_task *on_closed; /* set by disk_close() */
};

/* Answers REQUEST with STATUS, and ERR if that is a failure: calls its done(), and goes on with a close
 * that waits for it. On the loop; once; never from within io(), query(), cancel() or cancel_all(). */
void disk_request_done(struct disk_request *request, enum status status, const struct error *err);

#endif
