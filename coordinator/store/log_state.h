/* coordinator/store/log_state.h: what the entries of a log add up to. Thread: the store's. */
#ifndef COORDINATOR_STORE_LOG_STATE_H
#define COORDINATOR_STORE_LOG_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "coordinator/store/store.h"
#include "format/log_entry.h"

struct log_tracked {
    struct random_id vm;
    struct buffer tracking; /* signed_encode() */
};

/* Zeroed: of no entry. Pairs with log_state_deinit(). */
struct log_state {
    uint32_t space;      /* where the writer's numbers come from */
    uint64_t first_free; /* sequence: above all ranges so far, 1 at least */
    struct store_point *points;
    size_t point_count;
    size_t point_room;
    struct log_tracked *tracked;
    size_t tracked_count;
    size_t tracked_room;
    struct log_point_pack *packs; /* by name: the longest that any point calls synced */
    size_t pack_count;
    size_t pack_room;
};

void log_state_deinit(struct log_state *state);

/* Makes room, so that log_state_add() of a LOG_POINT cannot fail for want of memory. */
NODISCARD enum status log_state_reserve(struct log_state *state, struct error *err);

/* The next entry. STATUS_CORRUPT: its body is not what its type says. STATUS_UNSUPPORTED: an unknown type. */
NODISCARD enum status log_state_add(struct log_state *state, const struct log_entry_header *header,
                                    struct slice body, struct error *err);

/* NULL: the task has no point. */
const struct store_point *log_state_find_point(const struct log_state *state,
                                               const struct random_id *task);

/* NULL: nothing is tracked. */
const struct buffer *log_state_find_tracking(const struct log_state *state,
                                             const struct random_id *vm);

/* The longest that any point calls synced; 0: no point names PACK. */
uint64_t log_state_synced(const struct log_state *state, const struct random_id *pack);

#endif
