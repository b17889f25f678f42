#include "agent/disk_reader.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "agent/read_plan.h"
#include "agent/reason.h"

enum reading_state { READING_FREE, READING_DISK, READING_HASH, READING_READY };

/* A chunk with what is done to it. */
struct reading {
    struct chunk chunk; /* first: a chunk of ours is a reading */
    struct disk_reader *reader;
    enum reading_state state;
    struct disk_io io;
    struct work work; /* the hashing */
    enum status status;
    struct error err;
    struct reading *next_of_all; /* every one there is */
    struct reading *back_of_all;
};

struct disk_reader {
    struct disk_reader_options options;
    const struct disk_reader_events *events;
    void *owner;
    struct read_plan plan;
    struct disk_query query;
    struct lane *lane;
    struct reading *all;
    struct reading *spare; /* of full size, linked by chunk.next */
    unsigned spare_count;
    struct reading *first, *last; /* on their way or ready, in the disk's order, by chunk.next */
    unsigned reads;               /* in flight */
    unsigned hashes;
    uint64_t read;
    struct range piece; /* known, and not begun: it waits for room */
    bool asking;        /* the query is in flight */
    bool failed, closing, lane_is_closed;
    struct window_wait wait;
    struct loop_task pump; /* posted when there may be something to begin, or to tell */
    bool pump_is_due;
    struct loop_task lane_closed;
    struct loop_task *on_closed;
};

static struct reading *reading_of(struct chunk *chunk)
{
    return (struct reading *)chunk; /* its first member */
}

struct slice chunk_block_data(const struct chunk *chunk, unsigned index, uint32_t block_size)
{
    size_t offset = (size_t)index * block_size;
    size_t left = chunk->length - offset;

    INVARIANT(index < chunk->count);
    return slice_of(chunk->data + offset, left < block_size ? left : block_size);
}

static void post_pump(struct disk_reader *reader)
{
    reader->pump_is_due = true;
    loop_post(reader->options.loop, &reader->pump);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void free_reading(struct reading *reading)
{
    struct disk_reader *reader = reading->reader;

    if (reading->back_of_all != NULL)
        reading->back_of_all->next_of_all = reading->next_of_all;
    else
        reader->all = reading->next_of_all;
    if (reading->next_of_all != NULL)
        reading->next_of_all->back_of_all = reading->back_of_all;
    memory_free(reading->chunk.data);
    memory_free(reading->chunk.blocks);
    memory_free(reading);
}

static struct reading *new_reading(struct disk_reader *reader, size_t length, unsigned count,
                                   struct error *err)
{
    struct reading *reading = memory_new(1, sizeof(*reading));

    if (reading == NULL) {
        (void)error_set_no_memory(err, sizeof(*reading), "a read of the disk");
        return NULL;
    }
    reading->reader = reader;
    reading->next_of_all = reader->all;
    if (reader->all != NULL)
        reader->all->back_of_all = reading;
    reader->all = reading;
    reading->chunk.data = memory_new(length, 1);
    reading->chunk.blocks = memory_new(count, sizeof(*reading->chunk.blocks));
    if (reading->chunk.data == NULL || reading->chunk.blocks == NULL) {
        (void)error_set_no_memory(err, length, "blocks of the disk");
        free_reading(reading);
        return NULL;
    }
    return reading;
}

/* For PIECE; LAST in the row. */
static struct reading *reading_for(struct disk_reader *reader, struct range piece,
                                   struct error *err)
{
    uint32_t block_size = reader->options.block_size;
    unsigned count = (unsigned)(piece.length / block_size + (piece.length % block_size != 0));
    struct reading *reading = NULL;

    if (piece.length == READ_PLAN_PIECE_MAX && reader->spare != NULL) {
        reading = reader->spare;
        reader->spare = reading->chunk.next != NULL ? reading_of(reading->chunk.next) : NULL;
        reader->spare_count--;
        memset(reading->chunk.blocks, 0, count * sizeof(*reading->chunk.blocks));
    } else {
        reading = new_reading(reader, (size_t)piece.length, count, err);
        if (reading == NULL)
            return NULL;
    }
    reading->chunk.next = NULL;
    reading->chunk.first_block = piece.offset / block_size;
    reading->chunk.count = count;
    reading->chunk.length = (size_t)piece.length;
    reading->chunk.open = 0;
    reading->chunk.wanted = 0;
    if (reader->last != NULL)
        reader->last->chunk.next = &reading->chunk;
    else
        reader->first = reading;
    reader->last = reading;
    return reading;
}

void disk_reader_give_back(struct disk_reader *reader, struct chunk *chunk)
{
    struct reading *reading = reading_of(chunk);

    INVARIANT(reading->reader == reader && reading->state == READING_FREE);
    window_give(reader->options.window, chunk->length);
    if (chunk->length == READ_PLAN_PIECE_MAX && reader->spare_count < READER_SPARE_MAX) {
        chunk->next = reader->spare != NULL ? &reader->spare->chunk : NULL;
        reader->spare = reading;
        reader->spare_count++;
    } else {
        free_reading(reading);
    }
    if (!reader->failed && !reader->closing)
        post_pump(reader);
}

/* ---- Going on, and ending -------------------------------------------------------------------- */

static void finish_close(struct disk_reader *reader)
{
    if (reader->closing && reader->lane_is_closed && reader->reads == 0 && !reader->asking &&
        !reader->pump_is_due && reader->on_closed != NULL) {
        struct loop_task *on_closed = reader->on_closed;

        reader->on_closed = NULL;
        loop_post(reader->options.loop, on_closed);
    }
}

static void fail(struct disk_reader *reader, enum status status, const char *reason,
                 const struct error *err)
{
    if (reader->failed || reader->closing)
        return;
    reader->failed = true;
    window_forget(reader->options.window, &reader->wait);
    reader->events->failed(reader->owner, status, reason, err);
}

/* Something is done. */
static void go_on(struct disk_reader *reader)
{
    if (reader->closing)
        finish_close(reader);
    else if (!reader->failed)
        post_pump(reader);
}

/* ---- Hashing --------------------------------------------------------------------------------- */

static void run_hash(struct work *work)
{
    struct reading *reading = (struct reading *)((char *)work - offsetof(struct reading, work));
    const struct disk_reader_options *options = &reading->reader->options;
    struct chunk *chunk = &reading->chunk;
    enum status st = STATUS_OK;

    for (unsigned i = 0; st == STATUS_OK && i < chunk->count; i++) {
        struct slice data = chunk_block_data(chunk, i, options->block_size);

        if (!slice_is_zero(data))
            st = id_of(options->id_key, KIND_BLOCK, data, &chunk->blocks[i].id, &reading->err);
    }
    reading->status = st;
}

static void hash_done(struct work *work, enum status status)
{
    struct reading *reading = (struct reading *)((char *)work - offsetof(struct reading, work));
    struct disk_reader *reader = reading->reader;

    reader->hashes--;
    reading->state = READING_READY;
    if (status == STATUS_OK && reading->status != STATUS_OK)
        fail(reader, reading->status, NULL, &reading->err);
    go_on(reader);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void read_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct reading *reading = (struct reading *)((char *)io - offsetof(struct reading, io));
    struct disk_reader *reader = reading->reader;

    reader->reads--;
    reading->state = READING_READY;
    if (status != STATUS_OK) {
        fail(reader, status, NULL, err);
    } else if (!reader->failed && !reader->closing) {
        reader->read += reading->chunk.length;
        reading->state = READING_HASH;
        reading->work =
            (struct work){.run = run_hash, .done = hash_done, .cost = reading->chunk.length};
        reader->hashes++;
        INVARIANT(
            lane_submit(reader->lane, &reading->work)); /* it has room for READER_CHUNKS_MAX */
    }
    go_on(reader);
}

/* False: not now. */
static bool begin_read(struct disk_reader *reader)
{
    struct range piece = reader->piece;
    struct reading *reading = NULL;
    struct error err = {0};

    if (reader->reads == READER_READS_MAX || reader->reads + reader->hashes >= READER_CHUNKS_MAX ||
        !window_take(reader->options.window, piece.length, &reader->wait))
        return false;
    reading = reading_for(reader, piece, &err);
    if (reading == NULL) {
        window_give(reader->options.window, piece.length);
        fail(reader, err.status, NULL, &err);
        return false;
    }
    reader->piece.length = 0;
    reader->reads++;
    reading->state = READING_DISK;
    reading->io = (struct disk_io){.kind = DISK_READ,
                                   .offset = piece.offset,
                                   .data = reading->chunk.data,
                                   .length = reading->chunk.length,
                                   .done = read_done};
    disk_io_start(reader->options.disk, &reading->io);
    return true;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* The disk could not say what is allocated: all of it is read. */
static void read_whole(struct disk_reader *reader, const struct error *why)
{
    struct error err = {0};

    log_warning(reader->options.log,
                "the disk cannot say what is allocated from %" PRIu64 " on, it is read whole: %s",
                reader->plan.covered_to, why->text);

    enum status st = read_plan_take_rest(&reader->plan, &err);

    if (st != STATUS_OK)
        fail(reader, st, NULL, &err);
}

static void query_done(struct disk_query *query, enum status status, const struct error *err)
{
    struct disk_reader *reader =
        (struct disk_reader *)((char *)query - offsetof(struct disk_reader, query));
    struct error why = {0};

    reader->asking = false;
    if (reader->closing || reader->failed) {
        go_on(reader);
        return;
    }
    if (status == STATUS_OK)
        status = read_plan_found(&reader->plan, query->covered_to, &why);
    else
        why = *err;
    if (status == STATUS_CANCELLED || status == STATUS_UNAVAILABLE)
        fail(reader, status, NULL, &why);
    else if (status != STATUS_OK && reader->options.since == NULL)
        read_whole(reader, &why);
    else if (status != STATUS_OK)
        fail(reader, status,
             status == STATUS_NOT_FOUND ? REASON_REFERENCE_MISSING : REASON_TRACKING_FAILED, &why);
    go_on(reader);
}

static void ask(struct disk_reader *reader)
{
    struct disk_query *query = &reader->query;

    *query = (struct disk_query){.offset = read_plan_ask_from(&reader->plan),
                                 .ranges = read_plan_ranges(&reader->plan),
                                 .done = query_done};
    if (reader->options.since != NULL)
        memcpy(query->since, reader->options.since, strlen(reader->options.since) + 1);
    reader->asking = true;
    disk_query_start(reader->options.disk, query);
}

/* Begins what may begin. */
static void begin(struct disk_reader *reader)
{
    while (!reader->failed && !reader->asking) {
        if (reader->piece.length == 0 && !read_plan_next(&reader->plan, &reader->piece)) {
            if (!read_plan_done(&reader->plan))
                ask(reader);
            return;
        }
        if (!begin_read(reader))
            return;
    }
}

static void pump(struct loop_task *task)
{
    struct disk_reader *reader =
        (struct disk_reader *)((char *)task - offsetof(struct disk_reader, pump));

    reader->pump_is_due = false;
    if (!reader->failed && !reader->closing)
        begin(reader);
    if (!reader->failed && !reader->closing)
        reader->events->ready(reader->owner);
    finish_close(reader);
}

static void room(struct window_wait *wait)
{
    struct disk_reader *reader =
        (struct disk_reader *)((char *)wait - offsetof(struct disk_reader, wait));

    begin(reader);
}

/* ---- For the owner --------------------------------------------------------------------------- */

struct chunk *disk_reader_take(struct disk_reader *reader)
{
    struct reading *reading = reader->first;

    if (reading == NULL || reading->state != READING_READY || reader->failed || reader->closing)
        return NULL;
    reader->first = reading->chunk.next != NULL ? reading_of(reading->chunk.next) : NULL;
    if (reader->first == NULL)
        reader->last = NULL;
    reading->state = READING_FREE;
    reading->chunk.next = NULL;
    return &reading->chunk;
}

bool disk_reader_at_end(const struct disk_reader *reader)
{
    return !reader->asking && reader->piece.length == 0 && reader->first == NULL &&
           read_plan_done(&reader->plan);
}

bool disk_reader_is_idle(const struct disk_reader *reader)
{
    return reader->first == NULL;
}

uint64_t disk_reader_to_read(const struct disk_reader *reader)
{
    return reader->plan.to_read;
}

uint64_t disk_reader_read(const struct disk_reader *reader)
{
    return reader->read;
}

static void lane_closed(struct loop_task *task)
{
    struct disk_reader *reader =
        (struct disk_reader *)((char *)task - offsetof(struct disk_reader, lane_closed));

    reader->lane_is_closed = true;
    finish_close(reader);
}

enum status disk_reader_new(const struct disk_reader_options *options,
                            const struct disk_reader_events *events, void *owner,
                            struct disk_reader **ret_reader, struct error *err)
{
    struct lane_limits limits = {.work = READER_CHUNKS_MAX,
                                 .cost = UINT64_MAX,
                                 .running = READER_CHUNKS_MAX};
    struct disk_reader *reader = memory_new(1, sizeof(*reader));

    if (reader == NULL)
        return error_set_no_memory(err, sizeof(*reader), "reading a disk");
    INVARIANT(options->since == NULL || strlen(options->since) < DISK_CHANGE_ID_SIZE);
    reader->options = *options;
    reader->events = events;
    reader->owner = owner;
    reader->wait.room = room;
    reader->pump.run = pump;
    reader->lane_closed.run = lane_closed;

    enum status st = lane_new(options->workers, limits, NULL, &reader->lane, err);

    if (st != STATUS_OK) {
        memory_free(reader);
        return st;
    }
    read_plan_init(&reader->plan, disk_info(options->disk)->size, options->block_size);
    post_pump(reader);
    *ret_reader = reader;
    return STATUS_OK;
}

void disk_reader_close(struct disk_reader *reader, struct loop_task *on_closed)
{
    INVARIANT(!reader->closing);
    reader->closing = true;
    reader->on_closed = on_closed;
    window_forget(reader->options.window, &reader->wait);
    if (reader->asking)
        disk_query_cancel(&reader->query);
    for (struct reading *reading = reader->all; reading != NULL; reading = reading->next_of_all)
        if (reading->state == READING_DISK)
            disk_io_cancel(&reading->io);
    lane_close(reader->lane, &reader->lane_closed);
}

void disk_reader_free(struct disk_reader *reader)
{
    if (reader == NULL)
        return;
    INVARIANT(reader->closing && reader->on_closed == NULL);
    while (reader->spare != NULL) {
        struct reading *spare = reader->spare;

        reader->spare = spare->chunk.next != NULL ? reading_of(spare->chunk.next) : NULL;
        free_reading(spare);
    }
    while (reader->all != NULL) { /* the window counts these */
        window_give(reader->options.window, reader->all->chunk.length);
        free_reading(reader->all);
    }
    read_plan_deinit(&reader->plan);
    memory_free(reader);
}
