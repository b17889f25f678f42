#include "agent/packing.h"

#include "base/invariant.h"
#include "base/memory.h"

static void run(struct work *work)
{
    struct packing *packing = (struct packing *)work; /* its first member */
    const struct chunk *chunk = packing->chunk;
    enum status st = STATUS_OK;

    for (unsigned i = 0; st == STATUS_OK && i < chunk->count; i++) {
        struct packed_block *block = &packing->blocks[packing->count];

        if (!chunk->blocks[i].wanted)
            continue;
        block->index = i;
        block->offset = packing->data.size;
        st = codec_compress(packing->codec, chunk_block_data(chunk, i, packing->block_size),
                            &packing->data, &block->codec, &packing->err);
        if (st == STATUS_OK)
            st = buffer_check(&packing->data, "packed blocks", &packing->err);
        block->size = packing->data.size - block->offset;
        packing->count++;
    }
    packing->status = st;
}

static void done(struct work *work, enum status status)
{
    struct packing *packing = (struct packing *)work;

    if (status != STATUS_OK)
        packing->status = error_set(&packing->err, status, "packing was cancelled");
    packing->done(packing, packing->status, packing->status == STATUS_OK ? NULL : &packing->err);
}

enum status packing_new(uint32_t block_size, packing_done *packing_is_done, void *owner,
                        struct packing **ret_packing, struct error *err)
{
    size_t blocks = READ_PLAN_PIECE_MAX / block_size;
    struct packing *packing = memory_new(1, sizeof(*packing));
    enum status st = STATUS_OK;

    if (packing == NULL)
        return error_set_no_memory(err, sizeof(*packing), "packing blocks");
    packing->block_size = block_size;
    packing->done = packing_is_done;
    packing->owner = owner;
    buffer_init(&packing->data, READ_PLAN_PIECE_MAX);
    packing->blocks = memory_new(blocks, sizeof(*packing->blocks));
    if (packing->blocks == NULL)
        st = error_set_no_memory(err, blocks * sizeof(*packing->blocks), "packing blocks");
    if (st == STATUS_OK)
        st = codec_context_new(&packing->codec, err);
    if (st != STATUS_OK) {
        packing_free(packing);
        return st;
    }
    *ret_packing = packing;
    return STATUS_OK;
}

void packing_free(struct packing *packing)
{
    if (packing == NULL)
        return;
    buffer_deinit(&packing->data);
    codec_context_free(packing->codec);
    memory_free(packing->blocks);
    memory_free(packing);
}

void packing_start(struct packing *packing, struct lane *lane, struct chunk *chunk)
{
    INVARIANT(packing->chunk == NULL);
    packing->chunk = chunk;
    packing->count = 0;
    packing->status = STATUS_OK;
    buffer_clear(&packing->data);
    packing->work = (struct work){.run = run, .done = done, .cost = chunk->length};
    INVARIANT(lane_submit(lane, &packing->work));
}
