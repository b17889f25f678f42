#include "tests/bench/store_paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "coordinator/service/block_batch.h"
#include "coordinator/store/block_reader.h"
#include "coordinator/store/check.h"
#include "coordinator/store/index_files.h"
#include "format/record.h"

enum {
    BATCHES = 12,
    BATCH_BLOCKS = 256,
    BATCH_PLAIN = 1024 * 1024,
    WINDOWS = 2,
    PARTS = 8,
    CHUNKS = 6
};

void bench_must(enum status status, const struct error *err)
{
    if (status == STATUS_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", status_name(status), err->text);
    exit(EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe): nothing is worth cleaning up */
}

static void *must_have(void *memory)
{
    struct error err = {0};

    if (memory == NULL)
        bench_must(error_set(&err, STATUS_EXHAUSTED, "no memory"), &err);
    return memory;
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        abort();
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double bench_cpu(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

uint8_t *bench_load(const char *path, uint64_t *ret_size)
{
    char dir[FS_PATH_SIZE];
    const char *name = strrchr(path, '/');
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    uint64_t size = 0;
    struct error err = {0};

    if (name == NULL || !text_format(dir, sizeof(dir), "%.*s", (int)(name - path), path))
        bench_must(error_set(&err, STATUS_INVALID, "%s is no path of a file", path), &err);
    bench_must(fs_posix_new(dir, &fs, &err), &err);
    bench_must(fs_open(fs, name + 1, FS_READ, &file, &err), &err);
    bench_must(fs_size(file, &size, &err), &err);

    uint8_t *data = must_have(memory_new(1, (size_t)size));

    bench_must(fs_read_exactly_at(file, 0, data, (size_t)size, &err), &err);
    fs_close(file);
    fs_free(fs);
    *ret_size = size;
    return data;
}

static double all_work(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- The store ------------------------------------------------------------------------------- */

static const struct repository_key key = {{1, 2, 3}};

static struct store_options options_of(struct bench_store *bench)
{
    return (struct store_options){.fs = bench->fs,
                                  .index = bench->index,
                                  .random = random_system(),
                                  .clock = clock_system(),
                                  .log = &bench->log};
}

static void open_store(struct bench_store *bench)
{
    const struct index_files_options standard = {0};
    struct error err = {0};

    bench_must(index_files_new(bench->fs, &standard, &bench->log, &bench->index, &err), &err);

    const struct store_options options = options_of(bench);

    bench_must(store_open(&options, &key, &bench->store, &err), &err);
}

static void close_store(struct bench_store *bench)
{
    store_close(bench->store);
    bench->index->ops->free(bench->index);
}

void bench_store_begin(struct bench_store *bench, const char *path, unsigned cores)
{
    struct error err = {0};

    *bench = (struct bench_store){.cores = cores};
    if (mkdir(path, 0700) != 0) /* allowed: the folder that the seam begins in */
        bench_must(error_set(&err, STATUS_INVALID, "%s cannot be made", path), &err);
    bench_must(fs_posix_new(path, &bench->fs, &err), &err);
    bench_must(log_sink_new(STDERR_FILENO, LOG_TEXT, LOG_WARNING, clock_system(), &bench->sink,
                            &err),
               &err);
    bench->log = log_of(bench->sink);

    const struct store_options options = options_of(bench);

    bench_must(store_create(&options, &key, &err), &err);
    open_store(bench);
    bench_must(loop_new(clock_system(), &bench->loop, &err), &err);
    bench_must(pool_new(bench->loop, cores, &bench->workers, &err), &err);
    bench_must(pool_new(bench->loop, 1, &bench->store_thread, &err), &err);
}

void bench_store_reopen(struct bench_store *bench)
{
    close_store(bench);
    open_store(bench);
}

void bench_store_end(struct bench_store *bench)
{
    pool_free(bench->workers);
    pool_free(bench->store_thread);
    loop_free(bench->loop);
    close_store(bench);
    fs_free(bench->fs);
    log_sink_free(bench->sink);
}

/* ---- Both ways: lanes ------------------------------------------------------------------------ */

struct lanes {
    struct lane *compute;
    struct lane *store;
    struct loop_task closed;
    struct loop *loop;
    unsigned open;
};

static void lane_closed(struct loop_task *task)
{
    struct lanes *lanes = (struct lanes *)((char *)task - offsetof(struct lanes, closed));

    if (--lanes->open == 0)
        loop_stop(lanes->loop);
    else
        lane_close(lanes->store, &lanes->closed);
}

static void lanes_begin(struct lanes *lanes, struct bench_store *bench)
{
    const struct lane_limits many = {.work = 64, .cost = UINT64_MAX, .running = bench->cores};
    const struct lane_limits one = {.work = 64, .cost = UINT64_MAX, .running = 1};
    struct error err = {0};

    *lanes = (struct lanes){.loop = bench->loop, .closed = {.run = lane_closed}, .open = 2};
    bench_must(lane_new(bench->workers, many, NULL, &lanes->compute, &err), &err);
    bench_must(lane_new(bench->store_thread, one, NULL, &lanes->store, &err), &err);
}

static void lanes_end(struct lanes *lanes)
{
    struct error err = {0};

    lane_close(lanes->compute, &lanes->closed);
    bench_must(loop_run(lanes->loop, &err), &err);
}

static void submit(struct lane *lane, struct work *work, void (*run)(struct work *work),
                   void (*done)(struct work *work, enum status status))
{
    *work = (struct work){.run = run, .done = done, .cost = 1};
    if (!lane_submit(lane, work))
        abort(); /* there are fewer works than places */
}

/* ---- On each core ----------------------------------------------------------------------------- */

struct core_work {
    struct work work; /* first */
    void (*run)(void *arg, unsigned core);
    void *arg;
    unsigned core;
    unsigned *running;
    struct loop *loop;
};

static void run_core(struct work *work)
{
    struct core_work *core = (struct core_work *)work; /* its first member */

    core->run(core->arg, core->core);
}

static void core_done(struct work *work, enum status status)
{
    struct core_work *core = (struct core_work *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    if (--*core->running == 0)
        loop_stop(core->loop);
}

struct bench_result bench_each_core(unsigned cores, void (*run)(void *arg, unsigned core),
                                    void *arg)
{
    struct bench_store bench = {.cores = cores};
    struct core_work *works = must_have(memory_new(cores, sizeof(*works)));
    struct bench_result result = {0};
    struct lanes lanes;
    unsigned running = cores;
    struct error err = {0};

    bench_must(loop_new(clock_system(), &bench.loop, &err), &err);
    bench_must(pool_new(bench.loop, cores, &bench.workers, &err), &err);
    bench_must(pool_new(bench.loop, 1, &bench.store_thread, &err), &err);
    lanes_begin(&lanes, &bench);

    double begin = bench_now();
    double work = all_work();

    for (unsigned i = 0; i < cores; i++) {
        works[i] = (struct core_work){
            .run = run, .arg = arg, .core = i, .running = &running, .loop = bench.loop};
        submit(lanes.compute, &works[i].work, run_core, core_done);
    }
    bench_must(loop_run(bench.loop, &err), &err);
    result.seconds = bench_now() - begin;
    result.work = all_work() - work;
    lanes_end(&lanes);
    pool_free(bench.workers);
    pool_free(bench.store_thread);
    loop_free(bench.loop);
    memory_free(works);
    return result;
}

/* ---- Into the store -------------------------------------------------------------------------- */

struct writing {
    struct bench_store *bench;
    const struct bench_disk *disk;
    struct lanes lanes;
    struct disk_tree *tree;
    uint64_t next;   /* block */
    uint64_t blocks; /* of the disk */
    unsigned in_work;
    struct bench_result result;
};

/* Blocks of the disk on their way. */
struct batch {
    struct work work; /* first */
    struct writing *writing;
    struct block_batch blocks;
    bool hole[BATCH_BLOCKS]; /* a block that became one, in a disk with a parent */
    bool known[BATCH_BLOCKS];
    size_t record_end[BATCH_BLOCKS];
    size_t count;
    struct codec_context *codec;
    struct buffer packed;
    struct buffer records;
};

static struct slice block_bytes(const struct bench_disk *disk, uint64_t block)
{
    uint64_t offset = block * disk->block_size;
    uint64_t left = disk->size - offset;

    return slice_of(disk->data + offset,
                    (size_t)(left < disk->block_size ? left : disk->block_size));
}

/* Takes up the next blocks that are to be stored; false: there are none. */
static bool take_blocks(struct writing *writing, struct batch *batch)
{
    const struct bench_disk *disk = writing->disk;
    uint64_t bytes = 0;

    batch->count = 0;
    while (batch->count < BATCH_BLOCKS && bytes < BATCH_PLAIN && writing->next < writing->blocks) {
        uint64_t block = writing->next++;
        struct block_batch_block *entry = &batch->blocks.blocks[batch->count];
        struct slice plain = block_bytes(disk, block);
        bool hole = slice_is_zero(plain);

        if (disk->changed == NULL ? hole : !disk->changed[block])
            continue;
        *entry = (struct block_batch_block){.block = block, .length = (uint32_t)plain.size};
        batch->hole[batch->count++] = hole;
        bytes += plain.size;
    }
    return batch->count > 0;
}

static void run_hash(struct work *work)
{
    struct batch *batch = (struct batch *)work; /* its first member */
    const struct bench_disk *disk = batch->writing->disk;
    const struct store_domain *domain = store_default_domain(batch->writing->bench->store);
    struct error err = {0};

    for (size_t i = 0; i < batch->count; i++) {
        struct block_batch_block *entry = &batch->blocks.blocks[i];

        if (batch->hole[i])
            continue;
        if (disk->packed != NULL)
            entry->id = disk->packed[entry->block].id;
        else
            bench_must(id_of(domain->id_key, KIND_BLOCK, block_bytes(disk, entry->block),
                             &entry->id, &err),
                       &err);
    }
}

static void run_find(struct work *work)
{
    struct batch *batch = (struct batch *)work; /* its first member */
    struct store *store = batch->writing->bench->store;
    struct id ids[BATCH_BLOCKS];
    uint64_t numbers[BATCH_BLOCKS];
    uint64_t first = 0;
    struct error err = {0};

    for (size_t i = 0; i < batch->count; i++)
        ids[i] = batch->blocks.blocks[i].id;
    bench_must(store_find(store, store_default_domain(store), ids, batch->count, numbers, &err),
               &err);
    bench_must(store_reserve(store, batch->count, &first, &err), &err);
    for (size_t i = 0; i < batch->count; i++) {
        batch->known[i] = numbers[i] != 0;
        batch->blocks.blocks[i].number = numbers[i] != 0 ? numbers[i] : first + i;
    }
}

static void seal_block(struct batch *batch, const struct block_batch_block *entry)
{
    struct store *store = batch->writing->bench->store;
    enum codec codec = CODEC_PLAIN;
    struct record_header header = {.kind = KIND_BLOCK,
                                   .domain = store_default_domain(store)->id,
                                   .number = entry->number,
                                   .id = entry->id,
                                   .plain_length = entry->length};
    struct error err = {0};

    buffer_clear(&batch->packed);
    bench_must(codec_compress(batch->codec, block_bytes(batch->writing->disk, entry->block),
                              &batch->packed, &codec, &err),
               &err);
    header.codec = (uint8_t)codec;
    bench_must(record_seal(store_keys(store), random_system(), &header,
                           buffer_slice(&batch->packed), &batch->records, &err),
               &err);
}

static void run_seal(struct work *work)
{
    struct batch *batch = (struct batch *)work; /* its first member */

    buffer_clear(&batch->records);
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->known[i] && !batch->hole[i])
            seal_block(batch, &batch->blocks.blocks[i]);
        batch->record_end[i] = batch->records.size;
    }
}

/* As the coordinator does it with what an agent has packed. */
static void run_prove_and_seal(struct work *work)
{
    struct batch *batch = (struct batch *)work; /* its first member */
    struct store *store = batch->writing->bench->store;
    const struct bench_packed *packed = batch->writing->disk->packed;
    struct error err = {0};

    for (size_t i = 0; i < batch->count; i++) {
        struct block_batch_block *entry = &batch->blocks.blocks[i];

        entry->packed = packed[entry->block].bytes;
        entry->codec = packed[entry->block].codec;
    }
    block_batch_clear(&batch->blocks);
    batch->blocks.count = batch->count;
    bench_must(block_batch_seal(&batch->blocks, store, random_system(), &err), &err);
}

static void append_sealed(struct batch *batch, struct store *store)
{
    struct error err = {0};

    for (size_t i = 0; i < batch->count; i++) {
        size_t begin = i == 0 ? 0 : batch->record_end[i - 1];
        struct slice record = slice_of(batch->records.data + begin, batch->record_end[i] - begin);

        if (record.size > 0)
            bench_must(store_append(store, record, &batch->blocks.blocks[i].number, &err), &err);
    }
}

static void run_append(struct work *work)
{
    struct batch *batch = (struct batch *)work; /* its first member */
    struct writing *writing = batch->writing;
    struct error err = {0};

    if (writing->disk->packed != NULL)
        bench_must(block_batch_append(&batch->blocks, writing->bench->store, &err), &err);
    else
        append_sealed(batch, writing->bench->store);
    for (size_t i = 0; i < batch->count; i++) {
        const struct block_batch_block *entry = &batch->blocks.blocks[i];
        struct ref ref = {.id = entry->id, .number = entry->number};

        if (batch->hole[i])
            bench_must(disk_tree_put_holes(writing->tree, entry->block, 1, &err), &err);
        else
            bench_must(disk_tree_put(writing->tree, entry->block, &ref, &err), &err);
        writing->result.blocks += !batch->hole[i];
        writing->result.plain += batch->hole[i] ? 0 : entry->length;
    }
}

static void next_batch(struct writing *writing, struct batch *batch);

static void append_done(struct work *work, enum status status)
{
    struct batch *batch = (struct batch *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    batch->writing->in_work--;
    next_batch(batch->writing, batch);
}

static void seal_done(struct work *work, enum status status)
{
    struct batch *batch = (struct batch *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    submit(batch->writing->lanes.store, work, run_append, append_done);
}

static void find_done(struct work *work, enum status status)
{
    struct batch *batch = (struct batch *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    submit(batch->writing->lanes.compute, work,
           batch->writing->disk->packed != NULL ? run_prove_and_seal : run_seal, seal_done);
}

static void hash_done(struct work *work, enum status status)
{
    struct batch *batch = (struct batch *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    submit(batch->writing->lanes.store, work, run_find, find_done);
}

static void next_batch(struct writing *writing, struct batch *batch)
{
    if (take_blocks(writing, batch)) {
        writing->in_work++;
        submit(writing->lanes.compute, &batch->work, run_hash, hash_done);
    } else if (writing->in_work == 0) {
        loop_stop(writing->lanes.loop);
    }
}

static struct batch *new_batch(struct writing *writing)
{
    struct batch *batch = must_have(memory_new(1, sizeof(*batch)));
    struct error err = {0};

    batch->writing = writing;
    bench_must(block_batch_init(&batch->blocks, writing->disk->block_size, &err), &err);
    bench_must(codec_context_new(&batch->codec, &err), &err);
    buffer_init(&batch->packed, RECORD_STORED_MAX);
    buffer_init(&batch->records, (size_t)2 * RECORD_SIZE_MAX);
    return batch;
}

static void free_batch(struct batch *batch)
{
    block_batch_deinit(&batch->blocks);
    codec_context_free(batch->codec);
    buffer_deinit(&batch->packed);
    buffer_deinit(&batch->records);
    memory_free(batch);
}

static struct disk_tree *new_tree(struct bench_store *bench, const struct bench_disk *disk,
                                  const struct ref *parent)
{
    const struct disk_root geometry = {.size = disk->size,
                                       .block_size = disk->block_size,
                                       .logical_sector = 512,
                                       .physical_sector = 4096};
    struct disk_tree *tree = NULL;
    struct error err = {0};

    bench_must(disk_tree_new(bench->store, store_default_domain(bench->store), &geometry,
                             parent == NULL ? NULL : &parent->id, &tree, &err),
               &err);
    return tree;
}

struct bench_result bench_write(struct bench_store *bench, const struct bench_disk *disk,
                                const struct ref *parent, struct ref *ret_root)
{
    struct writing writing = {.bench = bench,
                              .disk = disk,
                              .blocks = disk_root_blocks(disk->size, disk->block_size)};
    struct batch *batches[BATCHES];
    struct disk_root root;
    struct error err = {0};
    uint64_t appended = store_appended(bench->store);

    for (size_t i = 0; i < BATCHES; i++)
        batches[i] = new_batch(&writing);
    lanes_begin(&writing.lanes, bench);

    double begin = bench_now();
    double work = all_work();

    writing.tree = new_tree(bench, disk, parent);
    for (size_t i = 0; i < BATCHES; i++)
        next_batch(&writing, batches[i]);
    bench_must(loop_run(bench->loop, &err), &err);
    bench_must(disk_tree_finish(writing.tree, &root, ret_root, &err), &err);
    bench_must(store_sync(bench->store, &err), &err);
    writing.result.seconds = bench_now() - begin;
    writing.result.work = all_work() - work;
    writing.result.stored = store_appended(bench->store) - appended;
    disk_tree_free(writing.tree);
    lanes_end(&writing.lanes);
    for (size_t i = 0; i < BATCHES; i++)
        free_batch(batches[i]);
    return writing.result;
}

/* ---- Out of the store ------------------------------------------------------------------------ */

struct window;

/* A part of a window, proved on a worker. */
struct part {
    struct work work; /* first */
    struct window *window;
    size_t first;
    size_t count;
    uint64_t plain;
    uint64_t stored;
    struct codec_context *codec;
    struct buffer packed;
    uint8_t *plain_bytes;
};

struct window {
    struct work work; /* first */
    struct reading *reading;
    struct block_window *blocks;
    struct part parts[PARTS];
    unsigned proving;
};

struct reading {
    struct bench_store *bench;
    struct lanes lanes;
    struct disk_root root;
    struct block_reader *reader;
    struct window windows[WINDOWS];
    unsigned in_work;
    struct bench_result result;
};

static void run_prove(struct work *work)
{
    struct part *part = (struct part *)work; /* its first member */
    const struct reading *reading = part->window->reading;

    part->plain = 0;
    part->stored = 0;
    for (size_t i = 0; i < part->count; i++) {
        const struct block_read *block = &part->window->blocks->blocks[part->first + i];
        uint8_t codec = 0;
        struct error err = {0};

        bench_must(block->status, &block->err);
        bench_must(block_prove(reading->reader, block, part->codec, part->plain_bytes,
                               &part->packed, &codec, &err),
                   &err);
        part->plain += disk_root_block_length(&reading->root, block->block);
        part->stored += block->record.size;
    }
}

static void fill_window(struct window *window);

static void prove_done(struct work *work, enum status status)
{
    struct part *part = (struct part *)work; /* its first member */
    struct window *window = part->window;

    (void)status; /* nothing is cancelled */
    window->reading->result.blocks += part->count;
    window->reading->result.plain += part->plain;
    window->reading->result.stored += part->stored;
    if (--window->proving > 0)
        return;
    window->reading->in_work--;
    if (!window->blocks->end)
        fill_window(window);
    else if (window->reading->in_work == 0)
        loop_stop(window->reading->lanes.loop);
}

static void fill_done(struct work *work, enum status status)
{
    struct window *window = (struct window *)work; /* its first member */
    size_t given = 0;

    (void)status; /* nothing is cancelled */
    window->proving = PARTS;
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &window->parts[i];

        part->first = given;
        part->count = (window->blocks->count - given) / (PARTS - i);
        given += part->count;
        submit(window->reading->lanes.compute, &part->work, run_prove, prove_done);
    }
}

static void run_fill(struct work *work)
{
    struct window *window = (struct window *)work; /* its first member */
    struct error err = {0};

    bench_must(block_reader_fill(window->reading->reader, window->blocks, &err), &err);
}

static void fill_window(struct window *window)
{
    window->reading->in_work++;
    submit(window->reading->lanes.store, &window->work, run_fill, fill_done);
}

static void new_window(struct reading *reading, struct window *window)
{
    struct error err = {0};

    window->reading = reading;
    bench_must(block_window_new(&window->blocks, &err), &err);
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &window->parts[i];

        part->window = window;
        part->plain_bytes = must_have(memory_new(1, BLOCK_SIZE_MAX));
        buffer_init(&part->packed, RECORD_STORED_MAX);
        bench_must(codec_context_new(&part->codec, &err), &err);
    }
}

static void free_window(struct window *window)
{
    for (size_t i = 0; i < PARTS; i++) {
        memory_free(window->parts[i].plain_bytes);
        buffer_deinit(&window->parts[i].packed);
        codec_context_free(window->parts[i].codec);
    }
    block_window_free(window->blocks);
}

struct bench_result bench_read(struct bench_store *bench, const struct ref *root)
{
    const struct store_domain *domain = store_default_domain(bench->store);
    struct reading *reading = must_have(memory_new(1, sizeof(*reading)));
    struct bench_result result;
    struct error err = {0};

    reading->bench = bench;
    for (size_t i = 0; i < WINDOWS; i++)
        new_window(reading, &reading->windows[i]);
    lanes_begin(&reading->lanes, bench);

    double begin = bench_now();
    double work = all_work();

    bench_must(disk_tree_read_root(bench->store, domain, root, &reading->root, &err), &err);
    bench_must(block_reader_new(bench->store, domain, &reading->root, &reading->reader, &err),
               &err);
    for (size_t i = 0; i < WINDOWS; i++)
        fill_window(&reading->windows[i]);
    bench_must(loop_run(bench->loop, &err), &err);
    result = reading->result;
    result.seconds = bench_now() - begin;
    result.work = all_work() - work;
    block_reader_free(reading->reader);
    lanes_end(&reading->lanes);
    for (size_t i = 0; i < WINDOWS; i++)
        free_window(&reading->windows[i]);
    memory_free(reading);
    return result;
}

/* ---- A check --------------------------------------------------------------------------------- */

struct checking {
    struct lanes lanes;
    struct check *check;
    unsigned in_work;
    bool ended;
};

struct chunk_work {
    struct work work; /* first */
    struct checking *checking;
    struct check_chunk *chunk;
    bool end;
};

static void next_chunk(struct chunk_work *chunk);

static void run_check_take(struct work *work)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */
    struct error err = {0};

    bench_must(check_take(chunk->checking->check, chunk->chunk, &err), &err);
}

static void check_taken(struct work *work, enum status status)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    next_chunk(chunk);
}

static void run_check_prove(struct work *work)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */
    struct error err = {0};

    bench_must(check_prove(chunk->checking->check, chunk->chunk, &err), &err);
}

static void check_proved(struct work *work, enum status status)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    submit(chunk->checking->lanes.store, work, run_check_take, check_taken);
}

static void run_check_fill(struct work *work)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */
    struct error err = {0};

    bench_must(check_fill(chunk->checking->check, chunk->chunk, &chunk->end, &err), &err);
}

static void check_filled(struct work *work, enum status status)
{
    struct chunk_work *chunk = (struct chunk_work *)work; /* its first member */

    (void)status; /* nothing is cancelled */
    if (!chunk->end) {
        submit(chunk->checking->lanes.compute, work, run_check_prove, check_proved);
        return;
    }
    chunk->checking->ended = true;
    next_chunk(chunk);
}

static void next_chunk(struct chunk_work *chunk)
{
    struct checking *checking = chunk->checking;

    if (!checking->ended)
        submit(checking->lanes.store, &chunk->work, run_check_fill, check_filled);
    else if (--checking->in_work == 0)
        loop_stop(checking->lanes.loop);
}

/* What comes after the packs. */
static struct bench_result finish_check(struct check *check)
{
    struct bench_result result = {0};
    struct check_sum sum;
    bool end = false;
    struct error err = {0};

    while (!end)
        bench_must(check_step(check, &end, &err), &err);
    sum = check_get_sum(check);
    if (sum.bad != 0 || sum.log_damaged)
        bench_must(error_set(&err, STATUS_CORRUPT, "the check found damage"), &err);
    result.blocks = sum.records;
    result.stored = sum.bytes;
    return result;
}

struct bench_result bench_check(struct bench_store *bench)
{
    const struct check_options options = {.store = bench->store, .clock = clock_system()};
    struct checking checking = {.in_work = CHUNKS};
    struct chunk_work chunks[CHUNKS] = {{.end = false}};
    struct bench_result result;
    struct error err = {0};

    lanes_begin(&checking.lanes, bench);
    for (size_t i = 0; i < CHUNKS; i++)
        bench_must(check_chunk_new(&chunks[i].chunk, &err), &err);

    double begin = bench_now();
    double work = all_work();

    bench_must(check_new(&options, &checking.check, &err), &err);
    for (size_t i = 0; i < CHUNKS; i++) {
        chunks[i].checking = &checking;
        next_chunk(&chunks[i]);
    }
    bench_must(loop_run(bench->loop, &err), &err);
    result = finish_check(checking.check);
    result.seconds = bench_now() - begin;
    result.work = all_work() - work;
    check_free(checking.check);
    lanes_end(&checking.lanes);
    for (size_t i = 0; i < CHUNKS; i++)
        check_chunk_free(chunks[i].chunk);
    return result;
}
