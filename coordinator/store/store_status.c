#include <string.h>

#include "coordinator/store/proved.h"
#include "coordinator/store/store_private.h"

static void count_packs(const struct store *store, struct store_status *status)
{
    const struct pack_set *packs = records_packs(store->records);

    for (size_t i = 0; i < packs->count; i++) {
        const struct pack *pack = packs->packs[i];
        size_t class = pack->class == PACK_DATA ? 0 : 1;

        status->packs[class]++;
        status->pack_bytes[class] += pack->bytes;
        status->unsealed_packs += pack->sealed ? 0 : 1;
    }
    status->missing_packs = store->found.missing_packs;
    status->left_out = store->found.left_out;
}

static void count_points(const struct store *store, struct store_status *status)
{
    size_t count = 0;
    const struct store_point *points = log_state_points(store->state, &count);

    for (size_t i = 0; i < count; i++) {
        status->points += points[i].trashed ? 0 : 1;
        status->trashed += points[i].trashed ? 1 : 0;
    }
    (void)log_state_partials(store->state, &count); /* for their number only */
    status->partials = count;
}

static void tell_rollback(const struct store *store, struct store_status *status)
{
    struct log_rolled_back found;

    if (log_state_rolled_back(store->state, &found)) {
        status->rolled_back = true;
        status->rolled_back_to = found.sequence - 1;
        status->rolled_back_from = found.head.sequence;
    } else if (store->rollback.pending) {
        status->rolled_back = true;
        status->rolled_back_to = store_log_sequence(store->log);
        status->rolled_back_from = store->rollback.head.sequence;
    }
}

/* Of packs that are gone, and of those that were never proved, the file says nothing that counts. A pack that
 * still grows is proved when it is sealed. STATUS knows how many do. */
static enum status tell_proved(const struct store *store, struct store_status *status,
                               struct error *err)
{
    const struct pack_set *packs = records_packs(store->records);
    struct proved proved = {0};
    enum status st = proved_read(store->options.fs, &store->repository.id, &proved, err);

    for (size_t i = 0; st == STATUS_OK && i < packs->count; i++) {
        const struct proved_pack *pack = proved_find(&proved, &packs->packs[i]->name);

        if (pack == NULL || !packs->packs[i]->sealed)
            continue;
        status->proved_packs++;
        status->damaged_packs += pack->damaged ? 1 : 0;
        if (status->proved_us == 0 || pack->time_us < status->proved_us)
            status->proved_us = pack->time_us;
    }
    if (status->proved_packs < packs->count - status->unsealed_packs)
        status->proved_us = 0;
    proved_deinit(&proved);
    return st;
}

enum status store_get_status(struct store *store, struct store_status *ret_status,
                             struct error *err)
{
    struct store_status status = {0};
    enum status st = store_require_records(store, err);

    if (st == STATUS_OK)
        st = store_log_bytes(store->log, &status.log_bytes, err);
    if (st == STATUS_OK)
        count_packs(store, &status);
    if (st == STATUS_OK)
        st = tell_proved(store, &status, err);
    if (st != STATUS_OK)
        return st;
    count_points(store, &status);
    tell_rollback(store, &status);
    status.domains = store->domains.count;
    status.log_entries = store_log_sequence(store->log);
    status.summary = store_log_summary(store->log);
    *ret_status = status;
    return STATUS_OK;
}
