/* agent/packing.h: compresses the wanted blocks of one chunk, on a worker. A packing is used again and again:
 * it keeps its compression context and its memory. Thread: the loop's. */
#ifndef AGENT_PACKING_H
#define AGENT_PACKING_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/pool.h"
#include "agent/disk_reader.h"
#include "agent/read_plan.h"
#include "format/codec.h"

struct packed_block {
    unsigned index; /* in the chunk */
    enum codec codec;
    size_t offset; /* in the data */
    size_t size;
};

struct packing;

typedef void packing_done(struct packing *packing, enum status status, const struct error *err);

struct packing {
    struct work work;    /* first */
    struct chunk *chunk; /* borrowed; NULL: it is free. The owner sets that, when all is done */
    struct buffer data;  /* the blocks, one behind the other: never more than the chunk has */
    struct packed_block *blocks;
    unsigned count;
    struct packing *next; /* the owner's */
    void *owner;
    uint32_t block_size; /* the packing's, as is what follows */
    packing_done *done;
    struct codec_context *codec;
    enum status status;
    struct error err;
};

/* For chunks of blocks of BLOCK_SIZE. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status packing_new(uint32_t block_size, packing_done *done, void *owner,
                                  struct packing **ret_packing, struct error *err);

/* Not started, or done. NULL is fine. */
void packing_free(struct packing *packing);

/* Packs the blocks of CHUNK that are wanted; done() comes once, in the order of the lane, which has room. */
void packing_start(struct packing *packing, struct lane *lane, struct chunk *chunk);

#endif
