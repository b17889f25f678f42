/* base/range.h: ranges of a disk: {offset, length} in bytes of the disk's own address space.
 *
 * A list made by range_list_normalize() is ascending, its ranges neither touch nor overlap, and none is
 * empty. Thread: whoever owns the list. */
#ifndef BASE_RANGE_H
#define BASE_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct range {
    uint64_t offset;
    uint64_t length;
};

struct range_list {
    struct range *ranges;
    size_t count;
    size_t capacity;
    size_t limit; /* ranges, never more */
};

/* Empty; allocates nothing. Pairs with range_list_deinit(). */
void range_list_init(struct range_list *list, size_t limit);
void range_list_deinit(struct range_list *list);

/* Empty; keeps its memory. */
void range_list_clear(struct range_list *list);

/* Appends RANGE, joined to the last one if it begins where that ends; an empty one is left out.
 * STATUS_EXHAUSTED: over the limit or no memory. STATUS_RANGE: its end does not fit 64 bits. */
NODISCARD enum status range_list_add(struct range_list *list, struct range range,
                                     struct error *err);

/* Sorts by offset and joins what touches or overlaps. Changes no covered byte. */
void range_list_normalize(struct range_list *list);

/* Clips each range to [0, SIZE): the last block of a disk may be short, and Hyper-V may report
 * changes past its end. */
void range_list_clip(struct range_list *list, uint64_t size);

/* Widens each range outwards to multiples of UNIT, then normalizes. Too wide costs time; too narrow
 * would lose data. STATUS_RANGE: an end does not fit 64 bits; the list is unchanged. */
NODISCARD enum status range_list_widen(struct range_list *list, uint64_t unit, struct error *err);

/* The sum of all lengths; of a normalized list, the bytes covered. */
uint64_t range_list_bytes(const struct range_list *list);

#endif
