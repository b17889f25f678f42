/* tests/log_world.h: a log over any file system, and random entries to write into it. Thread: one at a time. */
#ifndef TESTS_LOG_WORLD_H
#define TESTS_LOG_WORLD_H

#include "base/fs.h"
#include "base/log.h"
#include "coordinator/store/log_state.h"
#include "coordinator/store/store_log.h"
#include "tests/log_history.h"
#include "tests/support/clock_manual.h"
#include "tests/support/random_seeded.h"

enum { LOG_WORLD_SPACE = 5, LOG_WORLD_LINES = 8192 };

struct log_world {
    struct store_log_world world; /* what the log needs */
    struct clock_manual *clock;
    int log_fds[2];
    struct log_sink *sink;
    struct log log;
    struct keys *keys;
    struct random_seeded random;
    char lines[LOG_WORLD_LINES];
};

/* Pairs with log_world_deinit(). FS is borrowed. */
void log_world_init(struct log_world *world, struct fs *fs, uint64_t seed);
void log_world_deinit(struct log_world *world);

/* What was logged since the last call. */
const char *log_world_lines(struct log_world *world);

/* Makes the folder and the log in it. */
NODISCARD enum status log_world_create(struct log_world *world, struct error *err);

/* Opens the log; both are the caller's. */
NODISCARD enum status log_world_open(struct log_world *world, struct log_state **ret_state,
                                     struct store_log **ret_log, struct error *err);

/* The whole log, read from its first segment, into the new *RET_STATE. */
NODISCARD enum status log_world_audit(struct store_log *log, struct log_state **ret_state,
                                      struct error *err);

/* Writes an entry, and lets STATE know. */
NODISCARD enum status log_world_append(struct store_log *log, struct log_state *state, uint8_t type,
                                       struct slice body, struct error *err);

/* A history that goes on from the entry that log_world_create() writes. */
struct log_history log_world_history(struct log_world *world, uint64_t seed);

/* What STATE says, as one number. */
struct hash_digest log_state_digest(const struct log_state *state);

#endif
