/* tests/fuzz/log_reader_fuzz.c: coordinator/store/log_reader.h: any bytes as the segments of a log. It is read, or refused for
 * one of the reasons that are told; entries come in order, each once; what was read is there again after it was opened to be
 * written, and goes on.
 *
 * The input is a row of {u8 what, u16le length, bytes}, put one behind the other into segments: what % 9 is 0: the bytes as
 * they are; 1: the bytes begin another segment; 2: the bytes are {u8 type, body}: the next entry of the chain, signed; 3: the
 * same, with the sequence and what it chains to of the entry before it; 4: the newest entry once more; 5: the one before it
 * once more; 6: the first entry, of the writer's space; 7: like 2, and the chain does not go on from it;
 * 8: begins another segment with a summary in one part: the writer's space, and the bytes as more items. */
#include "coordinator/store/log_reader.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "coordinator/store/log_state.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fs_memory.h"
#include "tests/support/random_seeded.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { SEGMENT_MAX = 16 * 1024 * 1024, ENTRIES_MAX = 24, SPACE = 5 };

static const struct random_id writer = {{'w'}};
static const struct repository_key key = {{7}};

/* The chain as its writer would have it. */
struct chain {
    uint64_t sequence; /* of the newest entry */
    struct hash_digest hash;
    struct hash_digest before; /* of the one before it */
    struct buffer newest;
    struct buffer older;
};

struct run {
    struct fs *fs;
    struct clock_manual *clock;
    int log_fds[2];
    struct log_sink *sink;
    struct log log;
    struct random_seeded random;
    struct keys *keys;
    struct sign_key *signer;
    struct chain chain;
    unsigned entries;      /* that were signed: they cost time */
    struct buffer segment; /* the one that is filled */
    uint64_t number;       /* its own */
    uint64_t delivered;    /* the sequence of the last entry that came */
    struct log_state *state;
};

static void start(struct run *run)
{
    struct error err = {0};

    *run = (struct run){.random = random_seeded_of(1), .clock = clock_manual_new(), .number = 1};
    /* Lines are made; nobody reads them, and what does not go into the pipe is lost. */
    INVARIANT(pipe(run->log_fds) == 0 && fcntl(run->log_fds[1], F_SETFL, O_NONBLOCK) == 0);
    INVARIANT(log_sink_new(run->log_fds[1], LOG_TEXT, LOG_DEBUG, clock_manual_source(run->clock),
                           &run->sink, &err) == STATUS_OK);
    run->log = log_of(run->sink);
    INVARIANT(keys_new(&key, &run->keys, &err) == STATUS_OK);
    INVARIANT(keys_log_signer(run->keys, &writer, &run->signer, &err) == STATUS_OK);
    INVARIANT(fs_memory_new(&run->fs, &err) == STATUS_OK);
    INVARIANT(fs_make_dir(run->fs, LOG_DIR, &err) == STATUS_OK);
    buffer_init(&run->segment, SEGMENT_MAX);
    buffer_init(&run->chain.newest, LOG_ENTRY_SIZE_MAX);
    buffer_init(&run->chain.older, LOG_ENTRY_SIZE_MAX);
}

static void end(struct run *run)
{
    log_state_free(run->state);
    buffer_deinit(&run->segment);
    buffer_deinit(&run->chain.newest);
    buffer_deinit(&run->chain.older);
    fs_free(run->fs);
    sign_key_free(run->signer);
    keys_free(run->keys);
    log_sink_free(run->sink);
    clock_manual_free(run->clock);
    (void)close(run->log_fds[0]); /* only lines */
    (void)close(run->log_fds[1]);
}

/* --- segments ---------------------------------------------------------------------------------- */

/* Writes the segment that was filled, and begins the next one. */
static void end_segment(struct run *run)
{
    char path[LOG_PATH_SIZE];
    struct fs_file *file = NULL;
    struct error err = {0};

    INVARIANT(buffer_check(&run->segment, "a segment", &err) == STATUS_OK);
    log_segment_path(run->number++, path);
    INVARIANT(fs_open(run->fs, path, FS_CREATE, &file, &err) == STATUS_OK);
    if (run->segment.size > 0)
        INVARIANT(fs_write_at(file, 0, buffer_slice(&run->segment), &err) == STATUS_OK);
    fs_close(file);
    buffer_clear(&run->segment);
}

enum put { PUT_NEXT, PUT_INSTEAD, PUT_ASIDE };

/* An entry of TYPE with BODY, where HOW says. */
static void put_entry(struct run *run, uint8_t type, struct slice body, enum put how)
{
    struct chain *chain = &run->chain;
    bool next = how != PUT_INSTEAD || chain->sequence == 0;
    const struct log_entry_header header = {
        .type = type,
        .writer = writer,
        .sequence = next ? chain->sequence + 1 : chain->sequence,
        .previous = next ? chain->hash : chain->before,
        .body_length = (uint32_t)body.size,
    };
    struct hash_digest hash;
    struct buffer entry;
    struct error err = {0};

    if (run->entries++ >= ENTRIES_MAX || body.size > LOG_ENTRY_BODY_MAX)
        return;
    buffer_init(&entry, LOG_ENTRY_SIZE_MAX);
    if (log_entry_seal(keys_structure(run->keys), run->signer, &run->random.source, &header, body,
                       &entry, &hash, &err) == STATUS_OK) {
        buffer_put(&run->segment, buffer_slice(&entry));
        if (how != PUT_ASIDE) {
            if (next) {
                buffer_clear(&chain->older);
                buffer_put(&chain->older, buffer_slice(&chain->newest));
            }
            buffer_clear(&chain->newest);
            buffer_put(&chain->newest, buffer_slice(&entry));
            chain->before = header.previous;
            chain->sequence = header.sequence;
            chain->hash = hash;
        }
    }
    buffer_deinit(&entry);
}

static void encode_space(const struct run *run, struct buffer *body)
{
    struct log_space space = {.space = SPACE};

    sign_key_public(run->signer, space.public_key);
    buffer_init(body, LOG_ENTRY_BODY_MAX);
    log_space_encode(&space, body);
}

static void put_space(struct run *run)
{
    struct buffer body;

    encode_space(run, &body);
    put_entry(run, LOG_SPACE, buffer_slice(&body), PUT_NEXT);
    buffer_deinit(&body);
}

static void put_summary(struct run *run, struct slice more)
{
    struct log_summary summary = {.parts = 1};
    struct log_item space = {.type = LOG_SPACE, .sequence = 1};
    struct buffer space_body;
    struct buffer items;
    struct buffer body;

    encode_space(run, &space_body);
    buffer_init(&items, LOG_ENTRY_BODY_MAX);
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    space.body = buffer_slice(&space_body);
    log_item_encode(&space, &items);
    buffer_put(&items, more);
    summary.items = buffer_slice(&items);
    log_summary_encode(&summary, &body);
    put_entry(run, LOG_SUMMARY, buffer_slice(&body), PUT_NEXT);
    buffer_deinit(&space_body);
    buffer_deinit(&items);
    buffer_deinit(&body);
}

/* BYTES: {u8 type, body}. */
static void put_bytes(struct run *run, struct slice bytes, enum put how)
{
    if (bytes.size > 0)
        put_entry(run, bytes.data[0], slice_of(bytes.data + 1, bytes.size - 1), how);
}

static void put_rows(struct run *run, struct cursor *cursor)
{
    while (cursor_left(cursor) > 0) {
        uint8_t what = cursor_u8(cursor);
        uint16_t length = cursor_u16le(cursor);
        struct slice bytes = cursor_take(cursor, length);

        if (!cursor_ok(cursor))
            break;
        switch (what % 9) {
        case 1:
            end_segment(run);
            buffer_put(&run->segment, bytes);
            break;
        case 2:
            put_bytes(run, bytes, PUT_NEXT);
            break;
        case 3:
            put_bytes(run, bytes, PUT_INSTEAD);
            break;
        case 4:
            buffer_put(&run->segment, buffer_slice(&run->chain.newest));
            break;
        case 5:
            buffer_put(&run->segment, buffer_slice(&run->chain.older));
            break;
        case 6:
            put_space(run);
            break;
        case 7:
            put_bytes(run, bytes, PUT_ASIDE);
            break;
        case 8:
            end_segment(run);
            put_summary(run, bytes);
            break;
        default:
            buffer_put(&run->segment, bytes);
            break;
        }
    }
    end_segment(run);
}

/* --- what is made of it ------------------------------------------------------------------------ */

static enum status take_entry(void *arg, const struct log_entry_header *header, struct slice body,
                              struct error *err)
{
    struct run *run = arg;

    INVARIANT(header->sequence > run->delivered && header->type != LOG_SUMMARY);
    INVARIANT(random_id_equal(&header->writer, &writer));
    run->delivered = header->sequence;
    return log_state_add(run->state, header, body, err);
}

static enum status open_log(struct run *run, struct store_log **ret_log)
{
    const struct store_log_world world = {
        .fs = run->fs,
        .keys = run->keys,
        .random = &run->random.source,
        .log = &run->log,
    };
    struct error err = {0};

    run->delivered = 0;
    log_state_free(run->state);
    run->state = NULL;
    INVARIANT(log_state_new(&run->state, &err) == STATUS_OK);
    return store_log_open(&world, take_entry, run, ret_log, &err);
}

static enum status put_item(void *arg, const struct log_item *item, struct error *err)
{
    struct buffer *items = arg;

    log_item_encode(item, items);
    return buffer_check(items, "items", err);
}

/* What the state says, into ITEMS. */
static void take_items(const struct run *run, struct buffer *items)
{
    struct error err = {0};

    buffer_init(items, SEGMENT_MAX);
    INVARIANT(log_state_each_item(run->state, put_item, items, &err) == STATUS_OK);
}

/* The log, opened once more, says what ITEMS say, and ends with SEQUENCE. */
static void check_again(struct run *run, const struct buffer *items, uint64_t sequence)
{
    struct store_log *log = NULL;
    struct buffer again;

    INVARIANT(open_log(run, &log) == STATUS_OK);
    INVARIANT(store_log_sequence(log) == sequence);
    take_items(run, &again);
    INVARIANT(slice_equal(buffer_slice(items), buffer_slice(&again)));
    buffer_deinit(&again);
    store_log_free(log);
}

static void append_numbers(struct run *run, struct store_log *log)
{
    struct log_entry_header header;
    struct buffer body;
    struct error err = {0};
    uint64_t first = log_state_first_free(run->state);
    const struct log_numbers numbers = {
        .first = number_of(log_state_space(run->state), first),
        .count = 1,
    };

    if (log_state_space(run->state) == 0 || first > NUMBER_SEQUENCE_MAX)
        return;
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_numbers_encode(&numbers, &body);
    struct slice entry = buffer_slice(&body);

    INVARIANT(log_state_reserve(run->state, LOG_NUMBERS, entry, &err) == STATUS_OK);
    INVARIANT(store_log_append(log, LOG_NUMBERS, entry, 1, &header, &err) == STATUS_OK);
    INVARIANT(log_state_add(run->state, &header, entry, &err) == STATUS_OK);
    buffer_deinit(&body);
}

static void use(struct run *run)
{
    struct store_log *log = NULL;
    struct buffer items;
    struct error err = {0};
    enum status st = open_log(run, &log);

    if (st != STATUS_OK) {
        INVARIANT(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED);
        return;
    }
    uint64_t sequence = store_log_sequence(log);

    INVARIANT(run->delivered <= sequence);
    store_log_free(log);
    take_items(run, &items);
    check_again(run, &items, sequence);
    buffer_deinit(&items);
    INVARIANT(open_log(run, &log) == STATUS_OK);
    append_numbers(run, log);
    INVARIANT(store_log_summarize(log, run->state, 1, &err) == STATUS_OK);
    sequence = store_log_sequence(log);
    store_log_free(log);
    take_items(run, &items);
    check_again(run, &items, sequence);
    buffer_deinit(&items);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct cursor cursor = cursor_of(slice_of(input, size));
    struct run run;

    start(&run);
    put_rows(&run, &cursor);
    use(&run);
    end(&run);
    return 0;
}
