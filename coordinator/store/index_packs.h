/* coordinator/store/index_packs.h: the packs that an index speaks of, by slot, with how much of each is known: now, and as it
 * is durable. 92 to 184 bytes a pack. Thread: the store's; nothing blocks. */
#ifndef COORDINATOR_STORE_INDEX_PACKS_H
#define COORDINATOR_STORE_INDEX_PACKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/index_state.h"

/* Read it; change it through the functions below. Zeroed: none. */
struct index_packs {
    struct index_pack *now;
    struct index_pack *durable; /* the first DURABLE_COUNT of them */
    size_t count;
    size_t durable_count;
    size_t room;
    uint32_t *by_name; /* slot + 1; 0: free */
    size_t hash_size;  /* a power of two */
};

void index_packs_deinit(struct index_packs *packs); /* zeroed is fine, and it is zeroed then */

/* So that MORE packs can be added. STATUS_EXHAUSTED: no memory, or more than a state can list. */
NODISCARD enum status index_packs_reserve(struct index_packs *packs, size_t more,
                                          struct error *err);

/* The slot of the pack NAME, a new one if need be: there is room. */
uint32_t index_packs_slot(struct index_packs *packs, const struct random_id *name);

/* What is so now is durable. */
void index_packs_settle(struct index_packs *packs);

#endif
