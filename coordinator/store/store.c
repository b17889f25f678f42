#include "coordinator/store/store.h"

#include "base/memory.h"
#include "coordinator/store/store_folder.h"
#include "coordinator/store/store_private.h"

#define LOCK_FILE "lock"

#define PACK_SIZE_DEFAULT     (UINT64_C(64) * 1024 * 1024)
#define NUMBER_RANGE_DEFAULT  65536
#define FRESH_MAX_DEFAULT     65536
#define SUMMARY_EVERY_DEFAULT 10000

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
    struct error ignored = {0};
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

    st = store_folder_check_free(options->fs, err); /* now that nobody else is making one */
    if (st == STATUS_OK) {
        st = store_folder_create(&world, options->repository, clock_wall_us(options->clock), err);
        if (st != STATUS_OK)
            store_folder_take_back(options->fs);
    }
    if (st != STATUS_OK && st != STATUS_EXISTS)
        DISCARD(fs_remove(options->fs, LOCK_FILE, &ignored)); /* while it is held */
out:
    fs_close(lock);
    keys_free(keys);
    return st;
}

static void free_store(struct store *store)
{
    records_free(store->records);
    store_log_free(store->log);
    log_head_close(store->head);
    log_state_free(store->state);
    codec_context_free(store->codec);
    domains_deinit(&store->domains);
    keys_free(store->keys);
    buffer_deinit(&store->packed);
    buffer_deinit(&store->record);
    fs_close(store->lock);
    memory_free(store);
}

/* The first domain, which the log does not name. */
static enum status add_default_domain(struct store *store, struct error *err)
{
    const struct log_domain domain = {
        .domain = store->repository.domain,
        .state = LOG_DOMAIN_USED,
        .name = "default",
    };

    return domains_set(&store->domains, store->keys, &domain, err);
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
    return add_default_domain(store, err);
}

static enum status add_entry(void *arg, const struct log_entry_header *header, struct slice body,
                             struct error *err)
{
    struct store *store = arg;

    return log_state_add(store->state, header, body, err);
}

static enum status add_domain(void *arg, const struct log_domain *domain, struct error *err)
{
    struct store *store = arg;

    return domains_set(&store->domains, store->keys, domain, err);
}

static enum status open_log(struct store *store, struct error *err)
{
    const struct store_log_world world = log_world(&store->options, store->keys);
    enum status st = log_state_new(&store->state, err);

    if (st == STATUS_OK)
        st = store_log_open(&world, add_entry, store, &store->log, err);
    if (st == STATUS_OK)
        st = log_state_each_domain(store->state, add_domain, store, err);
    return st;
}

/* How far a recovery is. */
struct recovery_progress {
    void (*tell)(void *arg, uint64_t done, uint64_t all); /* NULL: nobody */
    void *arg;
};

/* What was appended, and not synced, is void. */
static void give_up_records(struct store *store)
{
    if (store->records == NULL)
        return;
    store->generation += records_generation(store->records);
    store->appended += records_appended(store->records);
    records_free(store->records);
    store->records = NULL;
}

/* The records as the packs on the disk have them; those of a try before are given up, as by a crash. After a failure there are
 * none. */
static enum status recover(struct store *store, const struct recovery_progress *progress,
                           struct error *err)
{
    const struct records_options options = {
        .fs = store->options.fs,
        .index = store->options.index,
        .random = store->options.random,
        .log = store->options.log,
        .keys = store->keys,
        .repository = store->repository.id,
        .pack_size = store->options.pack_size,
        .fresh_max = store->options.fresh_max,
    };

    give_up_records(store);
    enum status st = records_new(&options, &store->records, err);

    if (st != STATUS_OK)
        return st;
    const struct recovery_world world = {
        .options = &options,
        .records = store->records,
        .domains = &store->domains,
        .state = store->state,
        .progress = progress->tell,
        .progress_arg = progress->arg,
    };

    st = recovery_run(&world, &store->found, err);
    if (st != STATUS_OK)
        give_up_records(store);
    return st;
}

/* All numbers that were reserved are left behind. */
static void begin_numbers(struct store *store)
{
    store->next = store->found.first_free;
    store->end = store->next; /* nothing is reserved yet */
}

static enum status recover_anew(struct store *store, const struct recovery_progress *progress,
                                struct error *err)
{
    struct index *index = store->options.index;
    enum status st = index->ops->clear(index, err);

    return st == STATUS_OK ? recover(store, progress, err) : st;
}

static enum status open_records(struct store *store, struct error *err)
{
    const struct recovery_progress nobody = {.tell = NULL};
    struct index *index = store->options.index;
    enum status st = index->ops->bind(index, &store->repository.id, err);

    if (st == STATUS_OK)
        st = recover(store, &nobody, err);
    if (st == STATUS_INTERNAL) {
        log_warning(store->options.log, "%s: the index is made anew from all packs", err->text);
        *err = (struct error){0};
        st = recover_anew(store, &nobody, err);
    }
    begin_numbers(store);
    return st;
}

enum status store_require_records(const struct store *store, struct error *err)
{
    if (store->records != NULL)
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE,
                     "the repository's caches are not whole: they must be rebuilt");
}

enum status store_rebuild(struct store *store,
                          void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
                          struct error *err)
{
    const struct recovery_progress told = {.tell = progress, .arg = arg};

    give_up_records(store);
    enum status st = recover_anew(store, &told, err);

    if (st == STATUS_OK)
        st = store->options.index->ops->flush(store->options.index, err);
    if (st != STATUS_OK) {
        give_up_records(store);
        return error_wrap(err, "rebuild the repository's caches");
    }
    begin_numbers(store);
    return STATUS_OK;
}

static void set_defaults(struct store_options *options)
{
    if (options->pack_size == 0)
        options->pack_size = PACK_SIZE_DEFAULT;
    if (options->number_range == 0)
        options->number_range = NUMBER_RANGE_DEFAULT;
    if (options->fresh_max == 0)
        options->fresh_max = FRESH_MAX_DEFAULT;
    if (options->summary_every == 0)
        options->summary_every = SUMMARY_EVERY_DEFAULT;
}

enum status store_open(const struct store_options *options, const struct repository_key *key,
                       struct store **ret_store, struct error *err)
{
    struct store *store = memory_new(1, sizeof(*store));

    if (store == NULL)
        return error_set_no_memory(err, sizeof(*store), "a store");
    store->options = *options;
    set_defaults(&store->options);
    buffer_init(&store->packed, RECORD_SIZE_MAX);
    buffer_init(&store->record, RECORD_SIZE_MAX);

    enum status st = open_folder(store, key, err);

    if (st == STATUS_OK)
        st = codec_context_new(&store->codec, err);
    if (st == STATUS_OK)
        st = open_log(store, err);
    if (st == STATUS_OK)
        st = open_records(store, err);
    if (st == STATUS_OK)
        st = store_find_rollback(store, err);
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
    enum status st = store_require_records(store, &err);

    if (st == STATUS_OK)
        st = records_seal(store->records, &err);
    if (st == STATUS_OK)
        st = store->options.index->ops->flush(store->options.index, &err);
    if (st != STATUS_OK)
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

/* One for each change: those of the records before, and one more for each time that they were given up. */
uint64_t store_generation(const struct store *store)
{
    return store->generation + (store->records == NULL ? 0 : records_generation(store->records));
}

uint64_t store_appended(const struct store *store)
{
    return store->appended + (store->records == NULL ? 0 : records_appended(store->records));
}
