/* coordinator/store/log_state.h: what the entries of a log add up to. Its memory is in proportion to what still counts, not to
 * the length of the log. Finding by task, VM, disk, pack takes time in proportion to an id's bits at the most, to the
 * logarithm of their number for random ids. What a function gives out is good until the next call that is not const.
 * Thread: the store's. */
#ifndef COORDINATOR_STORE_LOG_STATE_H
#define COORDINATOR_STORE_LOG_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"
#include "coordinator/store/store.h"
#include "format/log_body.h"
#include "format/log_entry.h"

struct log_state;

/* Of no entry. The caller's (log_state_free). */
NODISCARD enum status log_state_new(struct log_state **ret_state, struct error *err);
void log_state_free(struct log_state *state); /* NULL is fine */

/* Makes sure, before an entry of TYPE with BODY is written, that the log may say that now, and that log_state_add() of it,
 * if that is the next call, cannot fail. STATUS_CORRUPT: it contradicts the state; the sentence says how. */
NODISCARD enum status log_state_reserve(struct log_state *state, uint8_t type, struct slice body,
                                        struct error *err);

/* The next entry, or the next item of a summary (then HEADER's type, sequence and time are the item's). A LOG_SUMMARY entry
 * changes nothing. STATUS_CORRUPT: its body is not what its type says, or contradicts what came before; the sentence names
 * its sequence. STATUS_UNSUPPORTED: an unknown type. After a failure the state is as it was. */
NODISCARD enum status log_state_add(struct log_state *state, const struct log_entry_header *header,
                                    struct slice body, struct error *err);

/* Gives EACH what still counts, as the entries had it, by sequence, until it fails: the items of a summary. Of the ranges of
 * numbers that is the highest one of the newest space; spaces are all of them. A state that is made by adding the items
 * answers as STATE does. */
NODISCARD enum status log_state_each_item(const struct log_state *state,
                                          enum status (*each)(void *arg,
                                                              const struct log_item *item,
                                                              struct error *err),
                                          void *arg, struct error *err);

/* ---- Numbers ---- */

/* Where the writer's numbers come from: the newest; 0: no entry so far. */
uint32_t log_state_space(const struct log_state *state);
/* Sequence: above all ranges of the newest space, 1 at least. */
uint64_t log_state_first_free(const struct log_state *state);
/* Was SPACE ever this log's? */
bool log_state_has_space(const struct log_state *state, uint32_t space);

/* ---- Points, partial trees, packs ---- */

/* All of them, those in the trash too, in the order of the log. */
const struct store_point *log_state_points(const struct log_state *state, size_t *ret_count);
/* NULL: the task has no point. */
const struct store_point *log_state_find_point(const struct log_state *state,
                                               const struct random_id *task);

/* In no order. */
const struct store_partial *log_state_partials(const struct log_state *state, size_t *ret_count);

/* The longest that any point or partial tree calls synced; 0: none names PACK. */
uint64_t log_state_synced(const struct log_state *state, const struct random_id *pack);
/* Each pack that any of them names, once, with that length, in no order, until EACH fails. */
NODISCARD enum status log_state_each_pack(const struct log_state *state,
                                          enum status (*each)(void *arg,
                                                              const struct log_point_pack *pack,
                                                              struct error *err),
                                          void *arg, struct error *err);

/* ---- Tracking, tasks, domains ---- */

/* The newest tracking record of VM, as signed_encode() lays it out; false: nothing is tracked. */
bool log_state_find_tracking(const struct log_state *state, const struct random_id *vm,
                             struct slice *ret_tracking);

/* The newest state of TASK; false: there is none, or it has ended. Its detail is borrowed. */
bool log_state_find_task(const struct log_state *state, const struct random_id *task,
                         struct log_task *ret_task);
/* Those that have not ended, by the sequence of their newest entry, until EACH fails. EACH may not change STATE. */
NODISCARD enum status log_state_each_task(const struct log_state *state,
                                          enum status (*each)(void *arg,
                                                              const struct log_task *task,
                                                              struct error *err),
                                          void *arg, struct error *err);

/* Those that the log names, retired ones too, by the sequence of their newest entry, until EACH fails. */
NODISCARD enum status log_state_each_domain(const struct log_state *state,
                                            enum status (*each)(void *arg,
                                                                const struct log_domain *domain,
                                                                struct error *err),
                                            void *arg, struct error *err);

/* ---- Roll-back ---- */

struct log_rolled_back {
    uint64_t sequence; /* of the LOG_ROLLBACK entry: what a LOG_ACCEPT names */
    struct log_rollback head;
};

/* The oldest that nobody has accepted; false: there is none. */
bool log_state_rolled_back(const struct log_state *state, struct log_rolled_back *ret_rolled_back);
/* Is there a LOG_ROLLBACK of HEAD that nobody has accepted? */
bool log_state_knows_rollback(const struct log_state *state, const struct log_rollback *head);

/* ---- Condemned packs ---- */

struct log_condemned {
    struct random_id pack;
    uint64_t sweep;
    uint64_t dead; /* numbers so far */
    bool
        complete; /* its last entry is there: else the sweep was cut off, and it is not condemned */
};

/* The newest sweep that any LOG_CONDEMN entry names; 0: none does. */
uint64_t log_state_sweep(const struct log_state *state);
/* False: no entry is about PACK. */
bool log_state_find_condemned(const struct log_state *state, const struct random_id *pack,
                              struct log_condemned *ret_condemned);
/* By the sequence of their first entry, until EACH fails. */
NODISCARD enum status log_state_each_condemned(
    const struct log_state *state,
    enum status (*each)(void *arg, const struct log_condemned *condemned, struct error *err),
    void *arg, struct error *err);
/* The dead of PACK, a stretch of ascending u64le for each entry, until EACH fails. */
NODISCARD enum status log_state_each_dead(const struct log_state *state,
                                          const struct random_id *pack,
                                          enum status (*each)(void *arg, struct slice numbers,
                                                              struct error *err),
                                          void *arg, struct error *err);
/* The file of PACK is gone, durably: what was said about it counts no more, if a later sweep has condemned another (the newest
 * sweep must stay known). The log says nothing of that: whoever reads it from its first entry looks for the file again. */
void log_state_forget_condemned(struct log_state *state, const struct random_id *pack);

#endif
