/* tests/fuzz/pack_scan_fuzz.c: coordinator/store/found_pack.h: any bytes as the one pack of a repository whose log is sound. The
 * store opens, or says why not; then every number can be asked for, new things are stored beside what was found, and a second
 * opening finds them.
 *
 * The input is {u8 flags, u16le length that is called synced}, then a row of {u8 what, u16le length, bytes}: what % 4 is 0: the
 * bytes as they are; 1: a record under the repository's keys of {u8 kind, u8 codec, u8 number, payload}; 2: a seal whose index
 * is the bytes; 3: a seal that names the records so far. */
#include <fcntl.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "coordinator/store/found_pack.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/store.h"
#include "coordinator/store/store_folder.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fs_memory.h"
#include "tests/support/index_memory.h"
#include "tests/support/random_seeded.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum {
    FLAG_META = 1,    /* a pack of nodes and the like */
    FLAG_HEADER = 2,  /* it has a sound header */
    FLAG_LOG = 4,     /* the log names it, with the synced length */
    FLAG_COVER = 8,   /* the index knows it, up to the synced length */
    FLAG_SEALED = 16, /* as one that is sealed */
    NUMBERS = 64,     /* reserved for the pack's records */
    PACK_MAX = 16 * 1024 * 1024,
};

static const struct random_id pack_name = {{'p'}};
static const struct repository_key key = {{7}};

struct run {
    struct fs *fs;
    struct clock_manual *clock;
    int log_fds[2];
    struct log_sink *sink;
    struct log log;
    struct random_seeded random;
    struct store_options options;
    struct keys *keys;
    struct hash_key *id_key;
    struct repository repository;
    uint32_t space;
    uint8_t flags;
    uint64_t synced;
    struct buffer pack;
    struct buffer entries; /* what a seal names: all records so far */
    struct buffer record;  /* scratch */
};

static struct store_log_world log_world(struct run *run)
{
    return (struct store_log_world){
        .fs = run->fs,
        .keys = run->keys,
        .random = &run->random.source,
        .log = &run->log,
    };
}

static enum status learn_space(void *arg, const struct log_entry_header *header, struct slice body,
                               struct error *err)
{
    struct run *run = arg;
    struct log_space space = {0};

    INVARIANT(header->type == LOG_SPACE && log_space_decode(body, &space, err) == STATUS_OK);
    run->space = space.space;
    return STATUS_OK;
}

static void append(struct store_log *log, enum log_entry_type type, const struct buffer *body)
{
    struct log_entry_header header;
    struct error err = {0};

    INVARIANT(store_log_append(log, (uint8_t)type, buffer_slice(body), 1, &header, &err) ==
              STATUS_OK);
}

/* Numbers for the pack's records; if it is asked for, a point that says how much of the pack is durable. */
static void write_log(struct run *run)
{
    const struct store_log_world world = log_world(run);
    struct log_point point = {.task = {{1}}, .domain = {{1}}, .packs = {.count = 1}};
    struct log_numbers numbers = {.count = NUMBERS};
    struct store_log *log = NULL;
    struct buffer body;
    struct error err = {0};

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    INVARIANT(store_log_open(&world, learn_space, run, &log, &err) == STATUS_OK);
    numbers.first = number_of(run->space, 1);
    log_numbers_encode(&numbers, &body);
    append(log, LOG_NUMBERS, &body);
    if ((run->flags & FLAG_LOG) != 0) {
        point.envelope = (struct ref){.id = {{1}}, .number = number_of(run->space, 1)};
        point.packs.packs[0] = (struct log_point_pack){.name = pack_name, .synced = run->synced};
        buffer_clear(&body);
        log_point_encode(&point, &body);
        append(log, LOG_POINT, &body);
    }
    store_log_free(log);
    buffer_deinit(&body);
}

static void start(struct run *run)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    struct error err = {0};

    *run = (struct run){.random = random_seeded_of(1), .clock = clock_manual_new()};
    /* Lines are made; nobody reads them, and what does not go into the pipe is lost. */
    INVARIANT(pipe(run->log_fds) == 0 && fcntl(run->log_fds[1], F_SETFL, O_NONBLOCK) == 0);
    INVARIANT(log_sink_new(run->log_fds[1], LOG_TEXT, LOG_DEBUG, clock_manual_source(run->clock),
                           &run->sink, &err) == STATUS_OK);
    run->log = log_of(run->sink);
    INVARIANT(fs_memory_new(&run->fs, &err) == STATUS_OK);
    run->options = (struct store_options){
        .fs = run->fs,
        .index = index_memory_new(),
        .random = &run->random.source,
        .clock = clock_manual_source(run->clock),
        .log = &run->log,
        .number_range = NUMBERS,
    };
    INVARIANT(store_create(&run->options, &key, &err) == STATUS_OK);
    INVARIANT(keys_new(&key, &run->keys, &err) == STATUS_OK);
    INVARIANT(store_folder_read(run->fs, run->keys, &run->repository, &err) == STATUS_OK);
    INVARIANT(keys_id_key(run->keys, &run->repository.domain, bytes, &err) == STATUS_OK);
    INVARIANT(hash_key_new(slice_of(bytes, sizeof(bytes)), &run->id_key, &err) == STATUS_OK);
    buffer_init(&run->pack, PACK_MAX);
    buffer_init(&run->entries, RECORD_PLAIN_MAX);
    buffer_init(&run->record, RECORD_SIZE_MAX);
}

static void end(struct run *run)
{
    buffer_deinit(&run->pack);
    buffer_deinit(&run->entries);
    buffer_deinit(&run->record);
    hash_key_free(run->id_key);
    keys_free(run->keys);
    run->options.index->ops->free(run->options.index);
    fs_free(run->fs);
    log_sink_free(run->sink);
    clock_manual_free(run->clock);
    (void)close(run->log_fds[0]); /* only lines */
    (void)close(run->log_fds[1]);
}

/* --- the pack ---------------------------------------------------------------------------------- */

static void put_header(struct run *run)
{
    const struct pack_header header = {
        .class = (run->flags & FLAG_META) != 0 ? PACK_META : PACK_DATA,
        .repository = run->repository.id,
        .name = pack_name,
    };
    uint8_t bytes[PACK_HEADER_SIZE];

    pack_header_encode(&header, bytes);
    buffer_put(&run->pack, slice_of(bytes, sizeof(bytes)));
}

/* A record of {u8 kind, u8 codec, u8 number, payload}; nothing if there cannot be such a one. */
static void put_record(struct run *run, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    struct record_header what = {.domain = run->repository.domain};
    struct error err = {0};

    what.kind = cursor_u8(&cursor);
    what.codec = cursor_u8(&cursor);
    what.number = number_of(run->space, 1 + cursor_u8(&cursor) % (NUMBERS - 1));
    struct slice payload = cursor_take(&cursor, cursor_left(&cursor));

    if (!cursor_ok(&cursor) || payload.size == 0)
        return;
    what.plain_length = (uint32_t)payload.size;
    buffer_clear(&run->record);
    if (id_of(run->id_key, what.kind, payload, &what.id, &err) != STATUS_OK ||
        record_seal(run->keys, &run->random.source, &what, payload, &run->record, &err) !=
            STATUS_OK)
        return;
    const struct pack_entry entry = {
        .domain = what.domain,
        .number = what.number,
        .id = what.id,
        .offset = run->pack.size,
        .length = (uint32_t)run->record.size,
        .kind = what.kind,
    };

    pack_entry_encode(&entry, &run->entries);
    buffer_put(&run->pack, buffer_slice(&run->record));
}

/* Index and footer, as pack_file_seal() writes them, for ENTRIES. */
static void put_seal(struct run *run, struct slice entries)
{
    const struct record_header what = {.kind = KIND_PACK_INDEX,
                                       .domain = pack_name,
                                       .plain_length = (uint32_t)entries.size};
    uint8_t footer[PACK_FOOTER_SIZE];
    struct error err = {0};

    if (entries.size == 0)
        return;
    buffer_clear(&run->record);
    INVARIANT(record_seal(run->keys, &run->random.source, &what, entries, &run->record, &err) ==
              STATUS_OK);
    pack_footer_encode(&(struct pack_footer){.index_offset = run->pack.size,
                                             .index_length = (uint32_t)run->record.size},
                       footer);
    buffer_put(&run->pack, buffer_slice(&run->record));
    buffer_put(&run->pack, slice_of(footer, sizeof(footer)));
}

static void put_rows(struct run *run, struct cursor *cursor)
{
    while (cursor_left(cursor) > 0) {
        uint8_t what = cursor_u8(cursor);
        uint16_t length = cursor_u16le(cursor);
        struct slice bytes = cursor_take(cursor, length);

        if (!cursor_ok(cursor))
            return;
        switch (what % 4) {
        case 0:
            buffer_put(&run->pack, bytes);
            break;
        case 1:
            put_record(run, bytes);
            break;
        case 2:
            put_seal(run, bytes);
            break;
        case 3:
            put_seal(run, buffer_slice(&run->entries));
            break;
        }
    }
}

static void write_pack(struct run *run)
{
    const struct index_cover cover = {
        .pack = pack_name,
        .covered = run->synced,
        .sealed = (run->flags & FLAG_SEALED) != 0,
    };
    const struct index_batch batch = {.covers = &cover, .cover_count = 1};
    struct index *index = run->options.index;
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];
    struct error err = {0};

    INVARIANT(buffer_check(&run->pack, "the pack", &err) == STATUS_OK);
    pack_path(&pack_name, (run->flags & FLAG_META) != 0 ? PACK_META : PACK_DATA, path);
    INVARIANT(fs_open(run->fs, path, FS_CREATE, &file, &err) == STATUS_OK);
    INVARIANT(fs_write_at(file, 0, buffer_slice(&run->pack), &err) == STATUS_OK);
    fs_close(file);
    if ((run->flags & FLAG_COVER) != 0) {
        INVARIANT(index->ops->bind(index, &run->repository.id, &err) == STATUS_OK);
        INVARIANT(index->ops->apply(index, &batch, &err) == STATUS_OK);
    }
}

/* --- what the store makes of it ---------------------------------------------------------------- */

/* Whatever number is asked for, the answer is a record of that number, or a reason. */
static void fetch_all(struct run *run, struct store *store)
{
    struct record_header header;

    for (uint64_t i = 1; i < NUMBERS; i++) {
        struct error err = {0};
        uint64_t number = number_of(run->space, i);
        enum status st = store_fetch(store, number, &run->record, &err);

        INVARIANT(st == STATUS_OK || st == STATUS_NOT_FOUND || st == STATUS_CORRUPT);
        if (st != STATUS_OK)
            continue;
        INVARIANT(record_check(buffer_slice(&run->record), &header, &err) == STATUS_OK);
        INVARIANT(header.number == number);
    }
}

static void use(struct run *run)
{
    static const char text[] = "stored beside it";
    const struct slice bytes = slice_of(text, sizeof(text));
    struct store *store = NULL;
    struct ref ref = {.number = 0};
    struct error err = {0};
    enum status st = store_open(&run->options, &key, &store, &err);

    if (st != STATUS_OK) { /* a later version; an index under our keys that says what cannot be */
        INVARIANT(st == STATUS_UNSUPPORTED || st == STATUS_CORRUPT);
        return;
    }
    fetch_all(run, store);
    INVARIANT(store_put(store, store_default_domain(store), KIND_BLOCK, bytes, bytes, &ref, &err) ==
              STATUS_OK);
    INVARIANT(store_sync(store, &err) == STATUS_OK);
    store_close(store);
    INVARIANT(store_open(&run->options, &key, &store, &err) == STATUS_OK);
    fetch_all(run, store);
    INVARIANT(store_read(store, store_default_domain(store), KIND_BLOCK, &ref, &run->record,
                         &err) == STATUS_OK);
    INVARIANT(slice_equal(buffer_slice(&run->record), bytes));
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct cursor cursor = cursor_of(slice_of(input, size));
    struct run run;

    start(&run);
    run.flags = cursor_u8(&cursor);
    run.synced = cursor_u16le(&cursor);
    write_log(&run);
    if ((run.flags & FLAG_HEADER) != 0)
        put_header(&run);
    put_rows(&run, &cursor);
    write_pack(&run);
    use(&run);
    end(&run);
    return 0;
}
