#include "coordinator/service/block_batch.h"

#include <inttypes.h>

#include "base/memory.h"
#include "format/disk_root.h"
#include "format/record.h"

enum {
    RECORDS_MAX = BLOCK_BATCH_PLAIN_MAX + BLOCK_SIZE_MAX +
                  BLOCK_BATCH_MAX * (RECORD_HEADER_SIZE + XAES_TAG_SIZE)
};

enum status block_batch_init(struct block_batch *batch, uint32_t block_size, struct error *err)
{
    buffer_init(&batch->records, RECORDS_MAX);
    batch->block_size = block_size;
    batch->plain = memory_new(1, block_size);
    if (batch->plain == NULL)
        return error_set_no_memory(err, block_size, "a block");
    return codec_context_new(&batch->codec, err);
}

void block_batch_deinit(struct block_batch *batch)
{
    codec_context_free(batch->codec);
    buffer_deinit(&batch->records);
    memory_free(batch->plain);
}

void block_batch_clear(struct block_batch *batch)
{
    batch->count = 0;
    batch->plain_bytes = 0;
    batch->new_bytes = 0;
    batch->stored = 0;
    buffer_clear(&batch->records);
}

bool block_batch_has_room(const struct block_batch *batch, uint32_t length)
{
    return batch->count == 0 ||
           (batch->count < BLOCK_BATCH_MAX && batch->plain_bytes + length <= BLOCK_BATCH_PLAIN_MAX);
}

static enum status seal_block(struct block_batch *batch, struct block_batch_block *block,
                              struct store *store, struct random_source *random, struct error *err)
{
    struct record_header header = {.kind = KIND_BLOCK,
                                   .codec = block->codec,
                                   .domain = store_repository(store)->domain,
                                   .number = block->number,
                                   .id = block->id,
                                   .plain_length = block->length};
    struct id id = {{0}};
    enum status st = codec_decompress(batch->codec, block->codec, block->packed, batch->plain,
                                      block->length, err);

    if (st == STATUS_OK)
        st = id_of(store_default_domain(store)->id_key, KIND_BLOCK,
                   slice_of(batch->plain, block->length), &id, err);
    if (st == STATUS_OK && !id_equal(&id, &block->id))
        st = error_set(err, STATUS_CORRUPT, "what was sent has another id than was offered");
    if (st == STATUS_OK)
        st = record_seal(store_keys(store), random, &header, block->packed, &batch->records, err);
    if (st == STATUS_OK)
        st = buffer_check(&batch->records, "sealed blocks", err);
    block->record_end = batch->records.size;
    block->packed = slice_of(NULL, 0); /* may go now */
    return st;
}

enum status block_batch_seal(struct block_batch *batch, struct store *store,
                             struct random_source *random, struct error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        enum status st = seal_block(batch, &batch->blocks[i], store, random, err);

        if (st != STATUS_OK)
            return error_wrap(err, "block %" PRIu64, batch->blocks[i].block);
    }
    return STATUS_OK;
}

enum status block_batch_append(struct block_batch *batch, struct store *store, struct error *err)
{
    size_t begin = 0;
    uint64_t before = store_appended(store);

    for (size_t i = 0; i < batch->count; i++) {
        struct block_batch_block *block = &batch->blocks[i];
        struct slice record = slice_of(batch->records.data + begin, block->record_end - begin);
        uint64_t number = 0;
        enum status st = store_append(store, record, &number, err);

        if (st != STATUS_OK)
            return st;
        if (number == block->number)
            batch->new_bytes += block->length;
        block->number = number;
        begin = block->record_end;
    }
    batch->stored = store_appended(store) - before;
    return STATUS_OK;
}
