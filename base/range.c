#include "base/range.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/memory.h"

enum { FIRST_CAPACITY = 16 };

void range_list_init(struct range_list *list, size_t limit)
{
    *list = (struct range_list){.limit = limit};
}

void range_list_deinit(struct range_list *list)
{
    memory_free(list->ranges);
    range_list_init(list, list->limit);
}

void range_list_clear(struct range_list *list)
{
    list->count = 0;
}

/* Room for one more, which is below the limit. */
static enum status grow(struct range_list *list, struct error *err)
{
    size_t capacity = list->capacity < FIRST_CAPACITY / 2 ? FIRST_CAPACITY : list->capacity * 2;

    if (capacity > list->limit)
        capacity = list->limit;

    struct range *ranges = memory_resize(list->ranges, capacity, sizeof(*ranges));

    if (ranges == NULL)
        return error_set_no_memory(err, capacity * sizeof(*ranges), "a list of ranges");
    list->ranges = ranges;
    list->capacity = capacity;
    return STATUS_OK;
}

enum status range_list_add(struct range_list *list, struct range range, struct error *err)
{
    uint64_t end = 0;

    if (range.length == 0)
        return STATUS_OK;
    if (!checked_add(range.offset, range.length, &end))
        return error_set(err, STATUS_RANGE,
                         "a range of %" PRIu64 " bytes at %" PRIu64 " ends past 64 bits",
                         range.length, range.offset);
    if (list->count > 0) {
        struct range *last = &list->ranges[list->count - 1];

        if (last->offset + last->length == range.offset) {
            last->length += range.length;
            return STATUS_OK;
        }
    }
    if (list->count == list->limit)
        return error_set(err, STATUS_EXHAUSTED, "more than %zu ranges", list->limit);
    if (list->count == list->capacity) {
        enum status st = grow(list, err);

        if (st != STATUS_OK)
            return st;
    }
    list->ranges[list->count++] = range;
    return STATUS_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct range *left = a;
    const struct range *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

void range_list_normalize(struct range_list *list)
{
    size_t kept = 0;

    if (list->count == 0)
        return;
    qsort(list->ranges, list->count, sizeof(*list->ranges), by_offset);
    for (size_t i = 1; i < list->count; i++) {
        struct range *last = &list->ranges[kept];
        struct range next = list->ranges[i];
        uint64_t last_end = last->offset + last->length;
        uint64_t next_end = next.offset + next.length;

        if (next.offset > last_end)
            list->ranges[++kept] = next;
        else if (next_end > last_end)
            last->length = next_end - last->offset;
    }
    list->count = kept + 1;
}

void range_list_clip(struct range_list *list, uint64_t size)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct range range = list->ranges[i];

        if (range.offset >= size)
            continue;
        if (range.length > size - range.offset)
            range.length = size - range.offset;
        list->ranges[kept++] = range;
    }
    list->count = kept;
}

static bool widened(struct range range, uint64_t unit, struct range *ret_range)
{
    uint64_t end = 0;

    if (!checked_round_up(range.offset + range.length, unit, &end))
        return false;
    ret_range->offset = checked_round_down(range.offset, unit);
    ret_range->length = end - ret_range->offset;
    return true;
}

enum status range_list_widen(struct range_list *list, uint64_t unit, struct error *err)
{
    struct range range = {0};

    for (size_t i = 0; i < list->count; i++)
        if (!widened(list->ranges[i], unit, &range))
            return error_set(err, STATUS_RANGE,
                             "a range of %" PRIu64 " bytes at %" PRIu64
                             ", widened to blocks of %" PRIu64 ", ends past 64 bits",
                             list->ranges[i].length, list->ranges[i].offset, unit);
    for (size_t i = 0; i < list->count; i++)
        if (widened(list->ranges[i], unit, &range))
            list->ranges[i] = range;
    range_list_normalize(list);
    return STATUS_OK;
}

uint64_t range_list_bytes(const struct range_list *list)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < list->count; i++)
        bytes += list->ranges[i].length;
    return bytes;
}
