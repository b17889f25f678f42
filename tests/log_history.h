/* tests/log_history.h: random entries of a log, each of which may come behind those before, and a simple model of what they
 * add up to: arrays, gone through from end to end. Thread: one at a time. */
#ifndef TESTS_LOG_HISTORY_H
#define TESTS_LOG_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "coordinator/store/log_state.h"
#include "tests/support/random_seeded.h"

enum {
    HISTORY_TASKS = 10,
    HISTORY_VMS = 3,
    HISTORY_DISKS = 2,
    HISTORY_PACKS = 5,
    HISTORY_DOMAINS = 3,
    HISTORY_SPACES_MAX = 64,
    HISTORY_ROLLBACKS_MAX = 256,
    HISTORY_DEAD_MAX = 64,
    HISTORY_ITEMS_MAX = 1 << 20, /* bytes of all items of such a state: never more */
};

struct history_packs {
    struct log_point_pack packs[HISTORY_PACKS];
    uint16_t count;
};

struct history_point {
    bool there;
    struct store_point row;
    struct history_packs packs;
};

struct history_partial {
    bool there;
    struct store_partial row;
    struct history_packs packs;
};

struct history_task {
    bool there;
    uint32_t epoch;
    enum log_task_state state;
    uint8_t detail;
};

struct history_domain {
    bool there;
    enum log_domain_state state;
    unsigned name;
};

struct history_condemned {
    bool there;
    bool complete;
    uint64_t sweep;
    uint64_t dead;
    uint64_t numbers[HISTORY_DEAD_MAX];
};

struct log_history {
    struct random_seeded random;
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    uint64_t sequence; /* of the newest entry */
    uint32_t spaces[HISTORY_SPACES_MAX];
    size_t space_count;
    uint64_t first_free;
    uint64_t sweep;
    struct history_point points[HISTORY_TASKS];
    struct history_partial partials[HISTORY_TASKS][HISTORY_DISKS];
    struct history_task tasks[HISTORY_TASKS];
    uint16_t tracking[HISTORY_VMS]; /* what its record says; 0: there is none */
    struct history_domain domains[HISTORY_DOMAINS];
    struct history_condemned condemned[HISTORY_PACKS];
    uint64_t rollbacks[HISTORY_ROLLBACKS_MAX]; /* not accepted: their sequences */
    size_t rollback_count;
};

struct random_id history_id(char what, size_t index);

struct log_history log_history_of(uint64_t seed);

/* Another entry: the model takes it as that with SEQUENCE, the next one; *RET_TYPE and BODY (cleared first) get it. */
void log_history_next(struct log_history *history, uint64_t sequence, uint8_t *ret_type,
                      struct buffer *body);

/* The time of the entry with SEQUENCE. */
int64_t log_history_time(uint64_t sequence);

/* Fails the test unless STATE answers as the model does. WHERE is for the message. */
void log_history_check(const struct log_history *history, const struct log_state *state,
                       const char *where);

/* Adds all items of STATE to the new *RET_OTHER, the caller's. */
void log_state_copy_by_items(const struct log_state *state, struct log_state **ret_other);

/* The items of STATE, as the parts of a summary hold them, into ITEMS (cleared first). */
void log_state_items(const struct log_state *state, struct buffer *items);

#endif
