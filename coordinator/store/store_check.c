#include <string.h>

#include "base/memory.h"
#include "coordinator/store/proved.h"
#include "coordinator/store/store_private.h"

/* ---- Packs ----------------------------------------------------------------------------------- */

static enum status look_at(struct pack_set *set, struct pack *pack, struct store_pack *ret_pack,
                           struct error *err)
{
    struct fs_file *file = NULL;
    struct error gone = {0};
    enum status st = pack_set_open(set, pack, &file, &gone);

    *ret_pack = (struct store_pack){.name = pack->name,
                                    .class = pack->class,
                                    .sealed = pack->sealed,
                                    .synced = pack->synced};
    if (st == STATUS_NOT_FOUND || st == STATUS_CORRUPT) {
        ret_pack->missing = true;
        return STATUS_OK;
    }
    if (st != STATUS_OK) {
        *err = gone;
        return st;
    }
    return fs_size(file, &ret_pack->size, err);
}

struct listing {
    const struct store *store;
    struct store_pack *packs; /* NULL: they are only counted */
    size_t count;
};

/* A pack that the log names, and that is neither here nor taken out on purpose. */
static enum status add_missing(void *arg, const struct log_point_pack *pack, struct error *err)
{
    struct listing *listing = arg;
    const struct pack_set *set = records_packs(listing->store->records);
    struct log_condemned condemned;
    size_t at = listing->count;

    (void)err; /* nothing fails */
    if (pack->synced == 0 || pack_set_find(set, &pack->name) != NULL ||
        log_state_find_condemned(listing->store->state, &pack->name, &condemned))
        return STATUS_OK;
    listing->count++;
    if (listing->packs == NULL)
        return STATUS_OK;
    while (at > 0 &&
           memcmp(listing->packs[at - 1].name.bytes, pack->name.bytes, RANDOM_ID_SIZE) > 0) {
        listing->packs[at] = listing->packs[at - 1];
        at--;
    }
    listing->packs[at] =
        (struct store_pack){.name = pack->name, .missing = true, .synced = pack->synced};
    return STATUS_OK;
}

enum status store_packs(struct store *store, struct store_pack **ret_packs, size_t *ret_count,
                        struct error *err)
{
    struct listing listing = {.store = store};
    struct store_pack *packs = NULL;
    enum status st = store_require_records(store, err);

    if (st == STATUS_OK)
        st = log_state_each_pack(store->state, add_missing, &listing, err);
    if (st != STATUS_OK)
        return st;

    struct pack_set *set = records_packs(store->records);
    size_t room = set->count + listing.count;

    packs = memory_new(room, sizeof(*packs));
    if (packs == NULL)
        return error_set_no_memory(err, room * sizeof(*packs), "the list of packs");
    for (size_t i = 0; st == STATUS_OK && i < set->count; i++)
        st = look_at(set, set->packs[i], &packs[i], err);
    listing = (struct listing){.store = store, .packs = packs, .count = set->count};
    if (st == STATUS_OK)
        st = log_state_each_pack(store->state, add_missing, &listing, err);
    if (st != STATUS_OK) {
        memory_free(packs);
        return st;
    }
    *ret_packs = packs;
    *ret_count = listing.count;
    return STATUS_OK;
}

/* ---- The log --------------------------------------------------------------------------------- */

static enum status drop_entry(void *arg, const struct log_entry_header *header, struct slice body,
                              struct error *err)
{
    (void)arg;
    (void)header;
    (void)body;
    (void)err;
    return STATUS_OK; /* what it says is known; that it is sound is what counts here */
}

enum status store_audit_log(struct store *store, struct error *err)
{
    return store_log_audit(store->log, drop_entry, NULL, err);
}

/* ---- The file `proved` ----------------------------------------------------------------------- */

static bool is_there(void *arg, const struct random_id *name)
{
    return pack_set_find(arg, name) != NULL;
}

enum status store_note_proved(struct store *store, const struct proved_pack *packs, size_t count,
                              struct error *err)
{
    struct proved proved = {0};
    enum status st = store_require_records(store, err);

    if (st == STATUS_OK)
        st = proved_read(store->options.fs, &store->repository.id, &proved, err);
    if (st == STATUS_OK)
        proved_keep(&proved, is_there, records_packs(store->records));
    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = proved_note(&proved, &packs[i], err);
    if (st == STATUS_OK)
        st = proved_write(store->options.fs, &store->repository.id, &proved, err);
    proved_deinit(&proved);
    return st;
}
