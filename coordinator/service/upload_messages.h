/* coordinator/service/upload_messages.h: what an agent says in an upload, checked: sizes, order, ranges and limits, before a
 * byte of it is believed. Pure. A refusal is STATUS_INVALID, or what is said otherwise, and one sentence. */
#ifndef COORDINATOR_SERVICE_UPLOAD_MESSAGES_H
#define COORDINATOR_SERVICE_UPLOAD_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "format/disk_root.h"
#include "format/id.h"

enum {
    UPLOAD_ENTRIES_MAX = 256,              /* of one offer */
    UPLOAD_UNDECIDED_MAX = 16,             /* offers without their want */
    UPLOAD_INCOMPLETE_MAX = 1024,          /* offers of which a wanted block has not come */
    UPLOAD_BLOCKS_BYTES_MAX = 1024 * 1024, /* of data in one message */
    UPLOAD_NODES_BYTES_MAX = 1024 * 1024,  /* of nodes in one message */
};

struct upload_open {
    struct slice task; /* borrowed */
    struct disk_root geometry;
    bool on_parent;
    struct id parent_root;
};

NODISCARD enum status upload_check_open(const Tidemark__V1__UploadOpen *open,
                                        struct upload_open *ret_open, struct error *err);

enum upload_entry_state {
    UPLOAD_HOLES,    /* a range of holes */
    UPLOAD_OFFERED,  /* a block; not looked up yet */
    UPLOAD_KNOWN,    /* it is here, under `number` */
    UPLOAD_WANTED,   /* it is to come; `number` is reserved for it */
    UPLOAD_RECEIVED, /* it has come, and is being checked and stored */
};

struct upload_entry {
    uint64_t block;
    uint64_t count; /* blocks; 1 unless holes */
    struct id id;
    uint64_t number;
    enum upload_entry_state state;
};

/* What the next offer of a stream has to go on from; zeroed but for BLOCKS. */
struct upload_order {
    uint64_t blocks; /* of the disk */
    uint64_t next_seq;
    uint64_t next_block; /* the first that may be named */
};

/* How many entries OFFER has: 1 to UPLOAD_ENTRIES_MAX. */
NODISCARD enum status upload_count_offer(const Tidemark__V1__Offer *offer, size_t *ret_count,
                                         struct error *err);

/* Fills in ENTRIES, as many as upload_count_offer() said, and moves *ORDER behind them; after a failure both are
 * undefined. */
NODISCARD enum status upload_check_offer(const Tidemark__V1__Offer *offer,
                                         struct upload_order *order, struct upload_entry *entries,
                                         struct error *err);

/* Are there blocks, and not too much of them? What each is has to be looked at by upload_check_block(). */
NODISCARD enum status upload_check_blocks(const Tidemark__V1__Blocks *blocks, struct error *err);

/* Can this be a block of LENGTH plain bytes? */
NODISCARD enum status upload_check_block(const Tidemark__V1__BlockData *block, uint32_t length,
                                         struct error *err);

NODISCARD enum status upload_check_end(const Tidemark__V1__UploadEnd *end, struct id *ret_root,
                                       struct error *err);

#endif
