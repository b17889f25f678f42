#include "coordinator/service/disk_reader.h"

#include <inttypes.h>

#include "base/memory.h"
#include "coordinator/service/store_error.h"

enum status disk_reader_open(struct disk_reader *reader, const struct disk_root *root,
                             struct error *err)
{
    disk_reader_close(reader);
    reader->root = *root;
    reader->end_seen = false;
    return disk_walk_new(reader->exchange->context->store, root, &reader->walk, err);
}

void disk_reader_close(struct disk_reader *reader)
{
    disk_walk_free(reader->walk);
    reader->walk = NULL;
}

static void free_batch(struct disk_batch *batch)
{
    if (batch == NULL)
        return;
    for (size_t i = 0; i < DISK_BATCH_BLOCKS; i++) {
        buffer_deinit(&batch->blocks[i].record);
        buffer_deinit(&batch->blocks[i].packed);
    }
    codec_context_free(batch->codec);
    memory_free(batch->plain);
    memory_free(batch);
}

void disk_reader_deinit(struct disk_reader *reader)
{
    for (size_t i = 0; i < DISK_READER_BATCHES; i++)
        free_batch(reader->batches[i]);
}

static enum status new_batch(struct disk_reader *reader, struct disk_batch **ret_batch,
                             struct error *err)
{
    struct disk_batch *batch = memory_new(1, sizeof(*batch));
    enum status st = STATUS_OK;

    if (batch == NULL)
        return error_set_no_memory(err, sizeof(*batch), "blocks to read");
    batch->reader = reader;
    for (size_t i = 0; i < DISK_BATCH_BLOCKS; i++) {
        buffer_init(&batch->blocks[i].record, RECORD_SIZE_MAX);
        buffer_init(&batch->blocks[i].packed, RECORD_STORED_MAX);
    }
    batch->plain = memory_new(1, BLOCK_SIZE_MAX);
    if (batch->plain == NULL)
        st = error_set_no_memory(err, BLOCK_SIZE_MAX, "a block to read");
    if (st == STATUS_OK)
        st = codec_context_new(&batch->codec, err);
    if (st != STATUS_OK) {
        free_batch(batch);
        return st;
    }
    *ret_batch = batch;
    return STATUS_OK;
}

/* ---- On the store's thread ------------------------------------------------------------------- */

/* The next block, or range that cannot be read, into BLOCK. */
static enum status next_block(struct disk_reader *reader, struct disk_block *block, bool *ret_end,
                              struct error *err)
{
    struct store *store = reader->exchange->context->store;
    enum status st = STATUS_OK;

    block->count = 0;
    block->stored = 0;
    block->err = (struct error){0};
    st = disk_walk_next(reader->walk, &block->block, &block->count, &block->ref, ret_end,
                        &block->err);
    if (st == STATUS_OK && !*ret_end) {
        st = store_fetch(store, block->ref.number, &block->record, &block->err);
        block->stored = st == STATUS_OK ? block->record.size : 0;
        block->count = 1;
    }
    block->status = st;
    if (st != STATUS_OK && (!store_error_is_damage(st) || block->count == 0)) {
        *err = block->err;
        return st;
    }
    return STATUS_OK;
}

static void run_fill(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */
    struct disk_reader *reader = batch->reader;
    uint64_t plain = 0;

    batch->count = 0;
    batch->end = false;
    while (batch->count < DISK_BATCH_BLOCKS &&
           plain + reader->root.block_size <= DISK_BATCH_PLAIN_MAX) {
        job->status = next_block(reader, &batch->blocks[batch->count], &batch->end, &job->err);
        if (job->status != STATUS_OK || batch->end)
            return;
        plain += reader->root.block_size;
        batch->count++;
    }
}

/* ---- On workers ------------------------------------------------------------------------------ */

static enum status prove_block(struct disk_batch *batch, struct disk_block *block,
                               struct error *err)
{
    struct store *store = batch->job.exchange->context->store;
    uint32_t length = disk_root_block_length(&batch->reader->root, block->block);
    struct record_header header = {0};
    struct id id = {{0}};
    enum status st = record_unseal(store_keys(store), buffer_slice(&block->record), &header,
                                   &block->packed, err);

    if (st != STATUS_OK)
        return st;
    if (header.kind != KIND_BLOCK || !id_equal(&header.id, &block->ref.id))
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " is another one than the tree names",
                         block->ref.number);
    if (header.plain_length != length)
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " has %" PRIu32 " bytes, the block %" PRIu32,
                         block->ref.number, header.plain_length, length);
    st = codec_decompress(batch->codec, header.codec, buffer_slice(&block->packed), batch->plain,
                          length, err);
    if (st == STATUS_OK)
        st = id_of(store_id_key(store), KIND_BLOCK, slice_of(batch->plain, length), &id, err);
    if (st == STATUS_OK && !id_equal(&id, &block->ref.id))
        st = error_set(err, STATUS_CORRUPT, "record %" PRIu64 " does not hold what its id says",
                       block->ref.number);
    block->codec = header.codec;
    return st;
}

static void run_prove(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */

    for (size_t i = 0; i < batch->count; i++) {
        struct disk_block *block = &batch->blocks[i];

        if (block->status != STATUS_OK)
            continue;
        block->status = prove_block(batch, block, &block->err);
        if (block->status != STATUS_OK && !store_error_is_damage(block->status)) {
            job->err = block->err;
            job->status = block->status;
            return;
        }
    }
}

/* ---- On the loop ----------------------------------------------------------------------------- */

static void stop(struct disk_reader *reader, const struct job *job)
{
    if (reader->stopped)
        return;
    reader->stopped = true;
    if (exchange_live(reader->exchange))
        reader->failed(reader, job->status, &job->err);
}

static void check_ended(struct disk_reader *reader)
{
    if (reader->out == 0 && reader->end_seen && !reader->stopped && exchange_live(reader->exchange))
        reader->ended(reader);
}

static void prove_done(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */
    struct disk_reader *reader = batch->reader;

    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    if (job->status != STATUS_OK)
        stop(reader, job);
    else if (batch->count > 0)
        reader->ready(reader, batch);
    else
        disk_reader_next(reader, batch);
}

static void fill_done(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */
    struct disk_reader *reader = batch->reader;

    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    if (job->status != STATUS_OK) {
        stop(reader, job);
        return;
    }
    if (batch->end)
        reader->end_seen = true;
    exchange_submit(reader->exchange, EXCHANGE_COMPUTE, job, DISK_BATCH_PLAIN_MAX, run_prove,
                    prove_done);
}

static void fill(struct disk_reader *reader, struct disk_batch *batch)
{
    exchange_submit(reader->exchange, EXCHANGE_STORE, &batch->job, 1, run_fill, fill_done);
}

void disk_reader_next(struct disk_reader *reader, struct disk_batch *batch)
{
    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    if (!reader->end_seen) {
        fill(reader, batch);
        return;
    }
    reader->out--;
    check_ended(reader);
}

enum status disk_reader_start(struct disk_reader *reader, struct error *err)
{
    for (size_t i = 0; i < DISK_READER_BATCHES; i++) {
        enum status st = STATUS_OK;

        if (reader->batches[i] == NULL)
            st = new_batch(reader, &reader->batches[i], err);
        if (st != STATUS_OK)
            return st;
    }
    reader->out = DISK_READER_BATCHES;
    for (size_t i = 0; i < DISK_READER_BATCHES; i++)
        fill(reader, reader->batches[i]);
    return STATUS_OK;
}
