#include "coordinator/store/check.h"

#include "base/memory.h"
#include "coordinator/store/check_numbers.h"
#include "coordinator/store/check_packs.h"
#include "coordinator/store/check_points.h"

enum { PLACES_AT_ONCE = 256 };

enum phase { PHASE_NOTE, PHASE_LOG, PHASE_NUMBERS, PHASE_POINTS, PHASE_DONE };

struct check {
    struct check_options options;
    const struct keys *keys;
    struct check_numbers numbers;
    struct check_strays strays;
    struct check_found found;
    struct check_packs packs;
    struct check_points points;
    enum phase phase;
    size_t page; /* of the numbers that are compared */
    unsigned at;
    uint64_t unknown, misplaced;
    bool log_damaged;
    struct error log;
};

enum status check_new(const struct check_options *options, struct check **ret_check,
                      struct error *err)
{
    struct check *check = memory_new(1, sizeof(*check));

    if (check == NULL)
        return error_set_no_memory(err, sizeof(*check), "a check");
    check->options = *options;
    check->keys = store_keys(options->store);
    check->points.store = options->store;
    check->points.numbers = &check->numbers;
    check->points.strays = &check->strays;
    check->points.found = &check->found;
    check->packs.store = options->store;
    check->packs.clock = options->clock;
    check->packs.numbers = &check->numbers;
    check->packs.strays = &check->strays;
    check->packs.found = &check->found;

    enum status st = check_points_init(&check->points, err); /* first: see there */

    if (st == STATUS_OK)
        st = check_packs_init(&check->packs, err);
    if (st != STATUS_OK) {
        check_free(check);
        return st;
    }
    *ret_check = check;
    return STATUS_OK;
}

void check_free(struct check *check)
{
    if (check == NULL)
        return;
    check_points_deinit(&check->points);
    check_packs_deinit(&check->packs);
    check_strays_deinit(&check->strays);
    check_found_deinit(&check->found);
    check_numbers_deinit(&check->numbers);
    memory_free(check);
}

enum status check_fill(struct check *check, struct check_chunk *chunk, bool *ret_end,
                       struct error *err)
{
    return check_packs_fill(&check->packs, chunk, ret_end, err);
}

enum status check_prove(const struct check *check, struct check_chunk *chunk, struct error *err)
{
    return check_chunk_prove(chunk, check->keys, check->options.keyless, err);
}

enum status check_take(struct check *check, const struct check_chunk *chunk, struct error *err)
{
    return check_packs_take(&check->packs, chunk, err);
}

/* ---- Behind the packs ------------------------------------------------------------------------ */

static enum status audit_log(struct check *check, struct error *err)
{
    enum status st = store_audit_log(check->options.store, &check->log);

    if (st == STATUS_OK || !check_is_damage(st)) {
        *err = check->log;
        return st;
    }
    check->log_damaged = true;
    return STATUS_OK;
}

/* Some of the numbers that are sound, and do not lie where the caches say. */
static enum status compare_numbers(struct check *check, bool *ret_end, struct error *err)
{
    uint64_t numbers[PLACES_AT_ONCE];
    struct place places[PLACES_AT_ONCE];
    size_t count = 0;
    enum status st = STATUS_OK;

    while (count < PLACES_AT_ONCE && check->page < check->numbers.count) {
        numbers[count] = check_numbers_next(&check->numbers, check->page, &check->at,
                                            CHECK_SOUND | CHECK_AGREED, CHECK_SOUND);
        if (numbers[count] != 0) {
            count++;
            continue;
        }
        check->page++;
        check->at = 0;
    }
    *ret_end = check->page == check->numbers.count;
    if (count > 0)
        st = store_places(check->options.store, numbers, count, places, err);
    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        check->unknown += places[i].length == 0;
        check->misplaced += places[i].length > 0;
    }
    return st;
}

enum status check_step(struct check *check, bool *ret_end, struct error *err)
{
    bool end = true; /* of the phase */
    enum status st = STATUS_OK;

    switch (check->phase) {
    case PHASE_NOTE:
        st = check_packs_note(&check->packs, err);
        break;
    case PHASE_LOG:
        st = audit_log(check, err);
        break;
    case PHASE_NUMBERS:
        st = compare_numbers(check, &end, err);
        break;
    case PHASE_POINTS:
        st = check_points_step(&check->points, &end, err);
        break;
    case PHASE_DONE:
        end = false;
        break;
    }
    if (st == STATUS_OK && end)
        check->phase++;
    *ret_end = check->phase == PHASE_DONE;
    return st;
}

struct check_sum check_get_sum(const struct check *check)
{
    const struct check_found *found = &check->found;
    struct check_sum sum = {
        .bytes = check->packs.bytes,
        .total = check->packs.total,
        .packs = check->packs.done,
        .records = check->packs.records,
        .bad = found->bad_count + found->bad_more,
        .points = check->points.at,
        .hurt_points = check->points.hurt_points,
        .tails = check->packs.tails,
        .unknown = check->unknown,
        .misplaced = check->misplaced,
        .log_damaged = check->log_damaged,
        .log = check->log,
    };

    /* What stands over something damaged is left out of the caches, and rightly. */
    sum.caches_wrong =
        sum.misplaced > 0 || check->points.uncached > 0 || (sum.unknown > 0 && sum.bad == 0);
    return sum;
}

const struct check_found *check_get_found(const struct check *check)
{
    return &check->found;
}
