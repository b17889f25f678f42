/* coordinator/service/block_batch.h: some blocks on their way into the store: proved against their ids and sealed on a worker, appended
 * on the store's thread. Reused for the next ones. Thread: one at a time. */
#ifndef COORDINATOR_SERVICE_BLOCK_BATCH_H
#define COORDINATOR_SERVICE_BLOCK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "coordinator/store/store.h"
#include "format/codec.h"
#include "format/id.h"

enum {
    BLOCK_BATCH_MAX = 256,
    BLOCK_BATCH_PLAIN_MAX = 1024 * 1024, /* bytes; one block always fits */
};

struct block_batch_block {
    struct slice packed; /* borrowed until it is sealed */
    uint8_t codec;
    uint64_t block;  /* its number in the disk, for messages */
    uint32_t length; /* plain */
    struct id id;
    uint64_t number; /* reserved for it; once appended: the one under which it is here */
    void *owner;     /* the caller's: whose block it is */
    size_t entry;
    size_t record_end; /* in `records` */
};

struct block_batch {
    struct block_batch_block blocks[BLOCK_BATCH_MAX];
    size_t count;
    uint64_t plain_bytes;
    uint64_t new_bytes;          /* plain, of what was not here; by block_batch_append() */
    uint64_t stored;             /* bytes appended; by block_batch_append() */
    struct codec_context *codec; /* the module's, as is what follows */
    struct buffer records;
    uint8_t *plain;
    uint32_t block_size;
};

NODISCARD enum status block_batch_init(struct block_batch *batch, uint32_t block_size,
                                       struct error *err);
void block_batch_deinit(struct block_batch *batch); /* zeroed is fine */

/* Empty again. */
void block_batch_clear(struct block_batch *batch);

/* Is there room for a block of LENGTH plain bytes? */
bool block_batch_has_room(const struct block_batch *batch, uint32_t length);

/* Unpacks each block, proves that it has its id, and seals it. STATUS_CORRUPT: it has not. Any thread. */
NODISCARD enum status block_batch_seal(struct block_batch *batch, struct store *store,
                                       struct random_source *random, struct error *err);

/* Appends what is sealed. Thread: the store's. */
NODISCARD enum status block_batch_append(struct block_batch *batch, struct store *store,
                                         struct error *err);

#endif
