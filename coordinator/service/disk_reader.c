#include "coordinator/service/disk_reader.h"

#include "base/memory.h"
#include "format/record.h"

enum status disk_reader_open(struct disk_reader *reader, const struct disk_root *root,
                             struct error *err)
{
    struct store *store = reader->exchange->context->store;

    disk_reader_close(reader);
    reader->root = *root;
    return block_reader_new(store, store_default_domain(store), root, &reader->blocks, err);
}

void disk_reader_close(struct disk_reader *reader)
{
    block_reader_free(reader->blocks);
    reader->blocks = NULL;
}

static void free_batch(struct disk_batch *batch)
{
    if (batch == NULL)
        return;
    for (size_t i = 0; i < DISK_BATCH_BLOCKS; i++)
        buffer_deinit(&batch->blocks[i].packed);
    codec_context_free(batch->codec);
    memory_free(batch->plain);
    memory_free(batch);
}

void disk_reader_deinit(struct disk_reader *reader)
{
    for (size_t i = 0; i < DISK_READER_BATCHES; i++)
        free_batch(reader->batches[i]);
    for (size_t i = 0; i < DISK_READER_WINDOWS; i++)
        block_window_free(reader->windows[i].blocks);
}

static enum status new_batch(struct disk_reader *reader, struct disk_batch **ret_batch,
                             struct error *err)
{
    struct disk_batch *batch = memory_new(1, sizeof(*batch));
    enum status st = STATUS_OK;

    if (batch == NULL)
        return error_set_no_memory(err, sizeof(*batch), "blocks to read");
    batch->reader = reader;
    for (size_t i = 0; i < DISK_BATCH_BLOCKS; i++)
        buffer_init(&batch->blocks[i].packed, RECORD_STORED_MAX);
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

static void run_fill(struct job *job)
{
    struct disk_window *window = (struct disk_window *)job; /* its first member */

    job->status = block_reader_fill(window->reader->blocks, window->blocks, &job->err);
}

/* ---- On workers ------------------------------------------------------------------------------ */

static void prove_block(struct disk_batch *batch, const struct block_read *read,
                        struct disk_block *block)
{
    block->block = read->block;
    block->count = read->count;
    block->status = read->status;
    block->stored = read->record.size;
    if (block->status == STATUS_OK)
        block->status = block_prove(batch->reader->blocks, read, batch->codec, batch->plain,
                                    &block->packed, &block->codec, &block->err);
    else
        block->err = read->err;
}

static void run_prove(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */
    const struct block_window *window = batch->window->blocks;

    for (size_t i = 0; i < batch->count; i++) {
        struct disk_block *block = &batch->blocks[i];

        prove_block(batch, &window->blocks[batch->first + i], block);
        if (block->status != STATUS_OK && !block_is_damage(block->status)) {
            job->err = block->err;
            job->status = block->status;
            return;
        }
    }
}

/* ---- On the loop ----------------------------------------------------------------------------- */

static void give_out(struct disk_reader *reader);

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
    if (reader->end_seen && reader->filling == 0 && reader->idle_count == DISK_READER_BATCHES &&
        !reader->stopped && exchange_live(reader->exchange))
        reader->ended(reader);
}

static void fill_done(struct job *job)
{
    struct disk_window *window = (struct disk_window *)job; /* its first member */
    struct disk_reader *reader = window->reader;

    reader->filling--;
    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    if (job->status != STATUS_OK) {
        stop(reader, job);
        return;
    }
    window->filled = true;
    give_out(reader);
    check_ended(reader);
}

static void fill(struct disk_reader *reader, struct disk_window *window)
{
    window->filled = false;
    window->given = 0;
    reader->filling++;
    exchange_submit(reader->exchange, EXCHANGE_STORE, &window->job, BLOCK_WINDOW_PLAIN, run_fill,
                    fill_done);
}

/* Reads the next blocks into WINDOW if all of it was given out and proved. */
static void fill_if_used_up(struct disk_reader *reader, struct disk_window *window)
{
    if (window->filled && window->given == window->blocks->count && window->users == 0 &&
        !reader->end_seen)
        fill(reader, window);
}

static void prove_done(struct job *job)
{
    struct disk_batch *batch = (struct disk_batch *)job; /* its first member */
    struct disk_reader *reader = batch->reader;

    batch->window->users--;
    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    if (job->status != STATUS_OK) {
        stop(reader, job);
        return;
    }
    fill_if_used_up(reader, batch->window);
    reader->ready(reader, batch);
}

/* The next blocks of WINDOW, of which there are some, into BATCH. */
static void prove_next(struct disk_reader *reader, struct disk_window *window,
                       struct disk_batch *batch)
{
    size_t most = DISK_BATCH_PLAIN_MAX / reader->root.block_size;
    size_t left = window->blocks->count - window->given;

    if (most > DISK_BATCH_BLOCKS)
        most = DISK_BATCH_BLOCKS;
    batch->window = window;
    batch->first = window->given;
    batch->count = left < most ? left : most;
    window->given += batch->count;
    window->users++;
    exchange_submit(reader->exchange, EXCHANGE_COMPUTE, &batch->job,
                    (uint64_t)batch->count * reader->root.block_size, run_prove, prove_done);
}

/* Gives blocks to idle batches while there are both. */
static void give_out(struct disk_reader *reader)
{
    while (!reader->end_seen && reader->windows[reader->current].filled) {
        struct disk_window *window = &reader->windows[reader->current];

        while (window->given < window->blocks->count && reader->idle_count > 0)
            prove_next(reader, window, reader->idle[--reader->idle_count]);
        if (window->given < window->blocks->count)
            return;
        if (window->blocks->end)
            reader->end_seen = true;
        reader->current = (reader->current + 1) % DISK_READER_WINDOWS;
        fill_if_used_up(reader, window);
    }
}

void disk_reader_next(struct disk_reader *reader, struct disk_batch *batch)
{
    if (!exchange_live(reader->exchange) || reader->stopped)
        return;
    reader->idle[reader->idle_count++] = batch;
    give_out(reader);
    check_ended(reader);
}

static enum status provide_memory(struct disk_reader *reader, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < DISK_READER_BATCHES; i++)
        if (reader->batches[i] == NULL)
            st = new_batch(reader, &reader->batches[i], err);
    for (size_t i = 0; st == STATUS_OK && i < DISK_READER_WINDOWS; i++)
        if (reader->windows[i].blocks == NULL)
            st = block_window_new(&reader->windows[i].blocks, err);
    return st;
}

enum status disk_reader_start(struct disk_reader *reader, struct error *err)
{
    enum status st = provide_memory(reader, err);

    if (st != STATUS_OK)
        return st;
    for (size_t i = 0; i < DISK_READER_BATCHES; i++)
        reader->idle[i] = reader->batches[i];
    reader->idle_count = DISK_READER_BATCHES;
    reader->end_seen = false;
    reader->current = 0;
    for (size_t i = 0; i < DISK_READER_WINDOWS; i++) {
        reader->windows[i].reader = reader;
        fill(reader, &reader->windows[i]);
    }
    return STATUS_OK;
}
