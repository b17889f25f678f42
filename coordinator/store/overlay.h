/* coordinator/store/overlay.h: records that the index does not know yet: {domain, id} -> number -> place in memory, in the
 * order in which they came. Thread: the store's. */
#ifndef COORDINATOR_STORE_OVERLAY_H
#define COORDINATOR_STORE_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/index.h"

/* Zeroed: empty. Pairs with overlay_deinit(). */
struct overlay {
    struct index_record *records; /* in order */
    size_t count;
    size_t room;
    uint32_t *by_id; /* slots: index + 1, 0: free; a power of two, at least twice the room */
    uint32_t *by_number;
    size_t slots;
};

void overlay_deinit(struct overlay *overlay);
void overlay_clear(struct overlay *overlay); /* keeps its memory */

/* Makes room for COUNT more, so that overlay_add() cannot fail. */
NODISCARD enum status overlay_reserve(struct overlay *overlay, size_t count, struct error *err);

/* Puts RECORD behind the others, with its place's id_bits; there is room. An id of a domain, or a number, that is there
 * already keeps its record. */
void overlay_add(struct overlay *overlay, const struct index_record *record);

/* NULL: not here. Good until the next change. */
const struct index_record *overlay_find(const struct overlay *overlay,
                                        const struct random_id *domain, const struct id *id);
const struct index_record *overlay_find_number(const struct overlay *overlay, uint64_t number);

#endif
