/* agent/upload.h: one disk on its way to the coordinator, by Data.Upload: offers ids, hears which blocks are
 * wanted, compresses and sends those, grows the disk's tree meanwhile (agent/offer_tree.h) and ends with its
 * root.
 *
 *     disk_reader -> offer being filled -> undecided offers -> chunks with wanted blocks -> packings -> Blocks
 *
 * Memory: the window counts what was read and is neither known nor sent; beside it at most UPLOAD_PACKINGS_MAX
 * packings of 1 MiB, one message of 1 MiB, the parent's nodes of one offer (OFFER_NODES_MAX) and what
 * agent/disk_reader.h keeps. Reading from the stream never waits for writing. Thread: the loop's. */
#ifndef AGENT_UPLOAD_H
#define AGENT_UPLOAD_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "transport/rpc.h"
#include "agent/disk/disk.h"
#include "agent/parent.h"
#include "agent/window.h"
#include "format/disk_root.h"
#include "format/id.h"

enum {
    UPLOAD_PACKINGS_MAX = 8,           /* chunks being compressed, or compressed and not sent */
    UPLOAD_BLOCKS_MAX = 1024,          /* of one message... */
    UPLOAD_BLOCKS_BYTES = 1024 * 1024, /* ...and their bytes */
};

struct upload;

struct upload_options {
    struct loop *loop;
    struct pool *workers;
    struct window *window; /* of at least 1 MiB */
    const struct log *log;
    struct rpc_channel *channel;
    struct disk *disk; /* frozen; stays open until DONE */
    const struct hash_key *id_key;
    struct random_id task;
    uint32_t block_size; /* without a parent; with one it is the parent's */
    const struct parent
        *parent; /* only what changed since; it fits the disk. NULL: all that is allocated */
    /* Once, on the loop: the disk is uploaded and the coordinator has the same root; or it failed. */
    void (*done)(void *owner, enum status status, const struct error *err);
    void *owner;
};

struct upload_counts {
    uint64_t to_read;    /* bytes of the disk, as far as it is known; widened to blocks */
    uint64_t read;       /* bytes of the disk */
    uint64_t sent;       /* bytes of blocks, after compression */
    uint64_t new_blocks; /* as the coordinator says, at the end: plain bytes */
    uint64_t stored;     /* bytes appended to packs */
};

/* All that is borrowed stays in place until DONE. */
NODISCARD enum status upload_new(const struct upload_options *options, struct upload **ret_upload,
                                 struct error *err);
void upload_start(struct upload *upload);

/* Asks; DONE still comes. Twice or late: no effect. */
void upload_cancel(struct upload *upload);

/* Not started, or after DONE. NULL is fine. */
void upload_free(struct upload *upload);

struct upload_counts upload_counts(const struct upload *upload);

/* After success: the disk's root, and its id. */
const struct disk_root *upload_root(const struct upload *upload);
const struct id *upload_root_id(const struct upload *upload);

/* After a failure: a reason code, if it was the parent's fault, and the disk is to be read whole for that
 * reason; else NULL. */
const char *upload_reason(const struct upload *upload);

#endif
