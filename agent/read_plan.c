#include "agent/read_plan.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/invariant.h"

void read_plan_init(struct read_plan *plan, uint64_t size, uint32_t block_size)
{
    INVARIANT(size != 0);
    INVARIANT(block_size != 0 && READ_PLAN_PIECE_MAX % block_size == 0);
    *plan = (struct read_plan){.size = size, .block_size = block_size};
    range_list_init(&plan->ranges, READ_PLAN_RANGES_MAX);
}

void read_plan_deinit(struct read_plan *plan)
{
    range_list_deinit(&plan->ranges);
}

bool read_plan_next(struct read_plan *plan, struct range *ret_piece)
{
    if (plan->rest.length == 0) {
        if (plan->next == plan->ranges.count)
            return false;
        plan->rest = plan->ranges.ranges[plan->next];
        plan->next++;
    }

    struct range piece = plan->rest;

    if (piece.length > READ_PLAN_PIECE_MAX)
        piece.length = READ_PLAN_PIECE_MAX; /* whole blocks, as is its offset */
    plan->rest.offset += piece.length;
    plan->rest.length -= piece.length;
    *ret_piece = piece;
    return true;
}

static bool is_hungry(const struct read_plan *plan)
{
    return plan->rest.length == 0 && plan->next == plan->ranges.count;
}

bool read_plan_done(const struct read_plan *plan)
{
    return is_hungry(plan) && plan->covered_to == plan->size;
}

uint64_t read_plan_ask_from(const struct read_plan *plan)
{
    INVARIANT(is_hungry(plan));
    return plan->covered_to;
}

struct range_list *read_plan_ranges(struct read_plan *plan)
{
    INVARIANT(is_hungry(plan));
    range_list_clear(&plan->ranges);
    plan->next = 0;
    return &plan->ranges;
}

/* Takes from RANGE what is planned already. */
static struct range not_planned(const struct read_plan *plan, struct range range)
{
    uint64_t end = range.offset + range.length; /* within the disk */

    if (range.offset >= plan->planned_to)
        return range;
    if (end <= plan->planned_to)
        return (struct range){.offset = end};
    return (struct range){.offset = plan->planned_to, .length = end - plan->planned_to};
}

/* Widens the ranges, and counts what is new. */
static enum status plan_ranges(struct read_plan *plan, struct error *err)
{
    struct range_list *list = &plan->ranges;
    size_t kept = 0;

    range_list_clip(list, plan->size);

    enum status st = range_list_widen(list, plan->block_size, err);

    if (st != STATUS_OK)
        return st;
    range_list_clip(list, plan->size); /* the last block may be short */
    for (size_t i = 0; i < list->count; i++) {
        struct range range = not_planned(plan, list->ranges[i]);

        if (range.length == 0)
            continue;
        list->ranges[kept] = range;
        kept++;
        plan->to_read += range.length;
        plan->planned_to = range.offset + range.length;
    }
    list->count = kept;
    plan->next = 0;
    return STATUS_OK;
}

enum status read_plan_found(struct read_plan *plan, uint64_t covered_to, struct error *err)
{
    const struct range_list *list = &plan->ranges;
    uint64_t end = 0;

    if (covered_to <= plan->covered_to || covered_to > plan->size)
        return error_set(err, STATUS_CORRUPT,
                         "the disk was asked for ranges from %" PRIu64
                         " on, and tells them up to %" PRIu64 " of %" PRIu64,
                         plan->covered_to, covered_to, plan->size);
    for (size_t i = 0; i < list->count; i++) {
        const struct range *range = &list->ranges[i];

        if (range->offset < plan->covered_to || !checked_add(range->offset, range->length, &end))
            return error_set(err, STATUS_CORRUPT,
                             "the disk tells of %" PRIu64 " bytes at %" PRIu64
                             ", and was asked from %" PRIu64 " on",
                             range->length, range->offset, plan->covered_to);
    }

    enum status st = plan_ranges(plan, err);

    if (st == STATUS_OK)
        plan->covered_to = covered_to;
    return st;
}

enum status read_plan_take_rest(struct read_plan *plan, struct error *err)
{
    struct range rest = {.offset = plan->covered_to, .length = plan->size - plan->covered_to};
    enum status st = STATUS_OK;

    INVARIANT(plan->rest.length == 0);
    range_list_clear(&plan->ranges);
    plan->next = 0;
    st = range_list_add(&plan->ranges, rest, err);
    if (st == STATUS_OK)
        st = plan_ranges(plan, err);
    if (st == STATUS_OK)
        plan->covered_to = plan->size;
    return st;
}
