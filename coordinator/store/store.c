#include "coordinator/store/store.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/log_state.h"
#include "coordinator/store/records.h"
#include "coordinator/store/recovery.h"
#include "coordinator/store/store_folder.h"
#include "coordinator/store/store_log.h"
#include "coordinator/store/thing.h"

#define LOCK_FILE "lock"

enum { NUMBER_RANGE_DEFAULT = 65536, FRESH_MAX_DEFAULT = 65536, RESERVE_MAX = 4096 };

#define PACK_SIZE_DEFAULT (UINT64_C(64) * 1024 * 1024)

struct store {
    struct store_options options;
    struct fs_file *lock;
    struct repository repository;
    struct keys *keys;
    struct hash_key *id_key;
    struct codec_context *codec;
    struct records *records;
    struct store_log *log;
    struct log_state state;
    struct recovery_result found; /* at the start */
    uint64_t next; /* sequences [NEXT, END) of the log's space are reserved, and ours */
    uint64_t end;
    struct buffer packed; /* scratch */
    struct buffer record;
};

static struct store_log_world log_world(const struct store_options *options,
                                        const struct keys *keys)
{
    return (struct store_log_world){
        .fs = options->fs,
        .keys = keys,
        .random = options->random,
        .log = options->log,
    };
}

/* --- making, opening, closing ------------------------------------------------------------------ */

/* ERR's sentence about the lock, for people. */
static enum status refuse_in_use(struct error *err)
{
    const struct error cause = *err;

    if (cause.status != STATUS_UNAVAILABLE)
        return cause.status;
    return error_set(err, STATUS_UNAVAILABLE,
                     "the data folder is in use by another coordinator: stop that one first (%s)",
                     cause.text);
}

enum status store_create(const struct store_options *options, const struct repository_key *key,
                         struct error *err)
{
    struct keys *keys = NULL;
    struct fs_file *lock = NULL;
    enum status st = keys_new(key, &keys, err);

    if (st == STATUS_OK)
        st = store_folder_check_free(options->fs, err);
    if (st != STATUS_OK)
        goto out;
    st = fs_lock(options->fs, LOCK_FILE, &lock, err);
    if (st != STATUS_OK) {
        st = refuse_in_use(err);
        goto out;
    }
    const struct store_log_world world = log_world(options, keys);

    st = store_folder_create(&world, clock_wall_us(options->clock), err);
out:
    fs_close(lock);
    keys_free(keys);
    return st;
}

static void free_store(struct store *store)
{
    records_free(store->records);
    store_log_free(store->log);
    log_state_deinit(&store->state);
    codec_context_free(store->codec);
    hash_key_free(store->id_key);
    keys_free(store->keys);
    buffer_deinit(&store->packed);
    buffer_deinit(&store->record);
    fs_close(store->lock);
    memory_free(store);
}

static enum status make_id_key(struct store *store, struct error *err)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    enum status st = keys_id_key(store->keys, &store->repository.domain, bytes, err);

    if (st == STATUS_OK)
        st = hash_key_new(slice_of(bytes, sizeof(bytes)), &store->id_key, err);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return st;
}

/* The folder is a repository, KEY is its key, and nobody else has it open. */
static enum status open_folder(struct store *store, const struct repository_key *key,
                               struct error *err)
{
    struct fs *fs = store->options.fs;
    enum status st = keys_new(key, &store->keys, err);

    if (st == STATUS_OK)
        st = store_folder_read(fs, store->keys, &store->repository, err);
    if (st != STATUS_OK)
        return st;
    st = fs_lock(fs, LOCK_FILE, &store->lock, err);
    if (st != STATUS_OK)
        return refuse_in_use(err);
    return make_id_key(store, err);
}

static enum status add_entry(void *arg, const struct log_entry_header *header, struct slice body,
                             struct error *err)
{
    struct store *store = arg;

    return log_state_add(&store->state, header, body, err);
}

static enum status open_log(struct store *store, struct error *err)
{
    const struct store_log_world world = log_world(&store->options, store->keys);

    return store_log_open(&world, add_entry, store, &store->log, err);
}

/* The records as the packs on the disk have them; those of a try before are given up, as by a crash. */
static enum status recover(struct store *store, const struct records_options *options,
                           struct error *err)
{
    records_free(store->records);
    store->records = NULL;

    enum status st = records_new(options, &store->records, err);

    if (st != STATUS_OK)
        return st;
    const struct recovery_world world = {
        .options = options,
        .records = store->records,
        .id_key = store->id_key,
        .state = &store->state,
    };

    return recovery_run(&world, &store->found, err);
}

static enum status open_records(struct store *store, struct error *err)
{
    struct index *index = store->options.index;
    const struct records_options options = {
        .fs = store->options.fs,
        .index = index,
        .random = store->options.random,
        .log = store->options.log,
        .keys = store->keys,
        .repository = store->repository.id,
        .domain = store->repository.domain,
        .pack_size = store->options.pack_size,
        .fresh_max = store->options.fresh_max,
    };
    enum status st = index->ops->bind(index, &store->repository.id, err);

    if (st == STATUS_OK)
        st = recover(store, &options, err);
    if (st == STATUS_INTERNAL) {
        log_warning(store->options.log, "%s: the index is made anew from all packs", err->text);
        *err = (struct error){0};
        st = index->ops->clear(index, err);
        if (st == STATUS_OK)
            st = recover(store, &options, err);
    }
    store->next = store->found.first_free;
    store->end = store->next; /* nothing is reserved yet */
    return st;
}

enum status store_open(const struct store_options *options, const struct repository_key *key,
                       struct store **ret_store, struct error *err)
{
    struct store *store = memory_new(1, sizeof(*store));

    if (store == NULL)
        return error_set_no_memory(err, sizeof(*store), "a store");
    store->options = *options;
    if (store->options.pack_size == 0)
        store->options.pack_size = PACK_SIZE_DEFAULT;
    if (store->options.number_range == 0)
        store->options.number_range = NUMBER_RANGE_DEFAULT;
    if (store->options.fresh_max == 0)
        store->options.fresh_max = FRESH_MAX_DEFAULT;
    buffer_init(&store->packed, RECORD_SIZE_MAX);
    buffer_init(&store->record, RECORD_SIZE_MAX);

    enum status st = open_folder(store, key, err);

    if (st == STATUS_OK)
        st = codec_context_new(&store->codec, err);
    if (st == STATUS_OK)
        st = open_log(store, err);
    if (st == STATUS_OK)
        st = open_records(store, err);
    if (st != STATUS_OK) {
        free_store(store);
        return error_wrap(err, "open the repository");
    }
    *ret_store = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    struct error err = {0};

    if (store == NULL)
        return;
    if (records_seal(store->records, &err) != STATUS_OK)
        log_warning(store->options.log, "close the repository: %s; the next start puts it right",
                    err.text);
    free_store(store);
}

const struct repository *store_repository(const struct store *store)
{
    return &store->repository;
}

const struct keys *store_keys(const struct store *store)
{
    return store->keys;
}

const struct hash_key *store_id_key(const struct store *store)
{
    return store->id_key;
}

uint64_t store_generation(const struct store *store)
{
    return records_generation(store->records);
}

uint64_t store_appended(const struct store *store)
{
    return records_appended(store->records);
}

/* --- numbers ----------------------------------------------------------------------------------- */

/* Writes an entry, and lets the state know. */
static enum status write_entry(struct store *store, enum log_entry_type type,
                               const struct buffer *body, struct error *err)
{
    struct log_entry_header header;
    enum status st = buffer_check(body, "an entry of the log", err);

    if (st == STATUS_OK)
        st = store_log_append(store->log, (uint8_t)type, buffer_slice(body),
                              clock_wall_us(store->options.clock), &header, err);
    if (st == STATUS_OK)
        st = log_state_add(&store->state, &header, buffer_slice(body), err);
    return st;
}

/* Reserves the range behind END. */
static enum status reserve_range(struct store *store, struct error *err)
{
    uint64_t count = store->options.number_range;
    struct buffer body;

    if (store->end > NUMBER_SEQUENCE_MAX || count > NUMBER_SEQUENCE_MAX - store->end)
        return error_set(err, STATUS_EXHAUSTED, "the log's space has no numbers left");
    const struct log_numbers numbers = {
        .first = number_of(store->state.space, store->end),
        .count = count,
    };

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_numbers_encode(&numbers, &body);

    enum status st = write_entry(store, LOG_NUMBERS, &body, err);

    buffer_deinit(&body);
    if (st != STATUS_OK)
        return error_wrap(err, "reserve numbers");
    store->end += count;
    return fault_point("store.after_reserve", err);
}

enum status store_reserve(struct store *store, size_t count, uint64_t *ret_first, struct error *err)
{
    enum status st = STATUS_OK;

    if (count == 0 || count > RESERVE_MAX)
        return error_set(err, STATUS_INVALID, "%zu numbers cannot be reserved at once", count);
    while (st == STATUS_OK && store->end - store->next < count)
        st = reserve_range(store, err);
    if (st != STATUS_OK)
        return st;
    *ret_first = number_of(store->state.space, store->next);
    store->next += count;
    return STATUS_OK;
}

/* --- records ----------------------------------------------------------------------------------- */

enum status store_find(struct store *store, const struct id *ids, size_t count,
                       uint64_t *ret_numbers, struct error *err)
{
    return records_find(store->records, ids, count, ret_numbers, err);
}

/* Is RECORD one that may be appended here? Its payload is not looked at. */
static enum status check_record(const struct store *store, struct slice record,
                                struct record_header *ret_header, struct error *err)
{
    struct record_header header;
    enum status st = record_decode_header(record, &header, err);

    if (st != STATUS_OK)
        return st;
    if (record_size(&header) != record.size)
        return error_set(err, STATUS_INVALID, "a record of %zu bytes says that it has %zu",
                         record.size, record_size(&header));
    if (header.kind == KIND_PACK_INDEX)
        return error_set(err, STATUS_INVALID, "a pack's index is no record of its own");
    if (!random_id_equal(&header.domain, &store->repository.domain))
        return error_set(err, STATUS_INVALID, "the record is of another domain");
    if (number_space(header.number) != store->state.space || number_sequence(header.number) == 0 ||
        number_sequence(header.number) >= store->next)
        return error_set(err, STATUS_INVALID, "number %" PRIu64 " was not reserved here",
                         header.number);
    *ret_header = header;
    return STATUS_OK;
}

enum status store_append(struct store *store, struct slice record, uint64_t *ret_number,
                         struct error *err)
{
    struct record_header header;
    uint64_t number = 0;
    enum status st = check_record(store, record, &header, err);

    if (st == STATUS_OK)
        st = records_find(store->records, &header.id, 1, &number, err);
    if (st == STATUS_OK && number == 0) {
        st = records_append(store->records, record, &header, err);
        number = header.number;
    }
    if (st != STATUS_OK)
        return error_wrap(err, "store a record");
    *ret_number = number;
    return STATUS_OK;
}

/* Packs and seals STORED under a number of its own, and appends it. */
static enum status put_new(struct store *store, uint8_t kind, const struct id *id,
                           struct slice stored, uint64_t *ret_number, struct error *err)
{
    struct record_header what = {
        .kind = kind,
        .domain = store->repository.domain,
        .id = *id,
        .plain_length = (uint32_t)stored.size,
    };
    enum codec codec = CODEC_PLAIN;
    enum status st = store_reserve(store, 1, &what.number, err);

    if (st != STATUS_OK)
        return st;
    buffer_clear(&store->packed);
    buffer_clear(&store->record);
    st = codec_compress(store->codec, stored, &store->packed, &codec, err);
    what.codec = (uint8_t)codec;
    if (st == STATUS_OK)
        st = record_seal(store->keys, store->options.random, &what, buffer_slice(&store->packed),
                         &store->record, err);
    if (st == STATUS_OK)
        st = store_append(store, buffer_slice(&store->record), ret_number, err);
    return st;
}

enum status store_put(struct store *store, uint8_t kind, struct slice plain, struct slice stored,
                      struct ref *ret_ref, struct error *err)
{
    struct ref ref = {0};

    if (stored.size == 0 || stored.size > RECORD_PLAIN_MAX)
        return error_set(err, STATUS_INVALID, "%zu bytes are no record", stored.size);
    enum status st = id_of(store->id_key, kind, plain, &ref.id, err);

    if (st == STATUS_OK)
        st = records_find(store->records, &ref.id, 1, &ref.number, err);
    if (st == STATUS_OK && ref.number == 0)
        st = put_new(store, kind, &ref.id, stored, &ref.number, err);
    if (st == STATUS_OK)
        *ret_ref = ref;
    return st;
}

/* The record with NUMBER. One that is not here although packs were lost was in one of those. */
static enum status read_record(struct store *store, uint64_t number,
                               struct record_header *ret_header, struct buffer *ret_record,
                               struct error *err)
{
    struct error missing = {0};
    enum status st = records_read(store->records, number, ret_header, ret_record, &missing);

    if (st == STATUS_OK)
        return STATUS_OK;
    if (st == STATUS_NOT_FOUND && store->found.missing_packs > 0)
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64
                         " is in no pack that is here; %zu packs are missing: see "
                         "the coordinator's log",
                         number, store->found.missing_packs);
    if (st == STATUS_NOT_FOUND && store->found.left_out > 0)
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " is not here; %" PRIu64
                         " records were left out, damaged or because something that they need is "
                         "missing: see the coordinator's log",
                         number, store->found.left_out);
    *err = missing;
    return st;
}

enum status store_fetch(struct store *store, uint64_t number, struct buffer *ret_record,
                        struct error *err)
{
    struct record_header header;

    return read_record(store, number, &header, ret_record, err);
}

/* The record that REF names, whose KIND and id are right, into the store's scratch. */
static enum status read_named(struct store *store, uint8_t kind, const struct ref *ref,
                              struct error *err)
{
    char name[KIND_TEXT_SIZE];
    struct record_header header;
    enum status st = read_record(store, ref->number, &header, &store->record, err);

    if (st != STATUS_OK)
        return st;
    kind_text(header.kind, name);
    if (header.kind != kind || !id_equal(&header.id, &ref->id))
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " is a %s, and not what is wanted under that number",
                         ref->number, name);
    return STATUS_OK;
}

enum status store_read(struct store *store, uint8_t kind, const struct ref *ref,
                       struct buffer *ret_stored, struct error *err)
{
    struct record_header header;
    enum status st = read_named(store, kind, ref, err);

    if (st != STATUS_OK)
        return st;
    st = record_open(store->keys, store->codec, buffer_slice(&store->record), &header, ret_stored,
                     err);
    if (st == STATUS_OK && (kind == KIND_BLOCK || kind == KIND_BODY))
        st = thing_check(store->id_key, kind, buffer_slice(ret_stored), &ref->id, err);
    if (st != STATUS_OK)
        return error_wrap(err, "record %" PRIu64, ref->number);
    return STATUS_OK;
}

enum status store_sync(struct store *store, struct error *err)
{
    return records_sync(store->records, err);
}

/* --- the log ----------------------------------------------------------------------------------- */

struct store_head store_head(const struct store *store)
{
    return (struct store_head){
        .writer = *store_log_writer(store->log),
        .sequence = store_log_sequence(store->log),
        .hash = *store_log_hash(store->log),
    };
}

/* STATUS_ABORTED: ENVELOPE is not here. What it names went with it, if a sync that failed took it: closure. */
static enum status require_envelope(struct store *store, const struct ref *envelope,
                                    struct error *err)
{
    bool known = false;
    enum status st = records_knows(store->records, envelope, &known, err);

    if (st == STATUS_OK && !known)
        st = error_set(err, STATUS_ABORTED,
                       "its envelope is not here: a sync that failed has taken it away");
    return st;
}

/* All that a point of ENVELOPE needs is durable: its entry into BODY. */
static enum status prepare_point(struct store *store, const struct random_id *task,
                                 const struct ref *envelope, struct buffer *body, struct error *err)
{
    struct log_point point = {.task = *task, .envelope = *envelope};
    enum status st = require_envelope(store, envelope, err);

    if (st == STATUS_OK)
        st = records_sync(store->records, err);
    if (st == STATUS_OK)
        st = records_unsealed(store->records, &point, err);
    if (st == STATUS_OK)
        st = log_state_reserve(&store->state, err);
    if (st == STATUS_OK)
        log_point_encode(&point, body);
    return st;
}

enum status store_commit(struct store *store, const struct random_id *task,
                         const struct ref *envelope, struct store_point *ret_point,
                         struct error *err)
{
    const struct store_point *there = log_state_find_point(&store->state, task);
    struct buffer body;

    if (there != NULL) {
        enum status settled = store_log_settle(store->log, err);

        if (settled != STATUS_OK)
            return error_wrap(err, "commit a restore point");
        *ret_point = *there;
        return STATUS_OK;
    }
    buffer_init(&body, LOG_ENTRY_BODY_MAX);

    enum status st = prepare_point(store, task, envelope, &body, err);

    if (st == STATUS_OK)
        st = write_entry(store, LOG_POINT, &body, err);
    buffer_deinit(&body);
    if (st != STATUS_OK)
        return error_wrap(err, "commit a restore point");
    *ret_point = *log_state_find_point(&store->state, task);
    return STATUS_OK;
}

const struct store_point *store_points(const struct store *store, size_t *ret_count)
{
    *ret_count = store->state.point_count;
    return store->state.points;
}

enum status store_track(struct store *store, const struct random_id *vm,
                        const struct signed_slice *tracking, struct error *err)
{
    const struct log_tracking entry = {.vm = *vm, .tracking = *tracking};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_tracking_encode(&entry, &body);

    enum status st = write_entry(store, LOG_TRACKING, &body, err);

    buffer_deinit(&body);
    if (st != STATUS_OK)
        return error_wrap(err, "write a tracking record");
    return STATUS_OK;
}

enum status store_tracking(const struct store *store, const struct random_id *vm,
                           struct slice *ret_tracking, struct error *err)
{
    const struct buffer *tracking = log_state_find_tracking(&store->state, vm);
    char name[RANDOM_ID_TEXT_SIZE];

    if (tracking == NULL) {
        random_id_text(vm, name);
        return error_set(err, STATUS_NOT_FOUND, "no tracking record of VM %s", name);
    }
    *ret_tracking = buffer_slice(tracking);
    return STATUS_OK;
}
