/* coordinator/store/check.h: a check of the whole repository: reads every byte of every pack once, and says what is wrong, and
 * what of which restore point that hurts (architecture, section 5, scrub). In turns, so that backups go on:
 *
 *     check_new(); then, with one chunk or several: check_fill(), check_prove(), check_take() (in the order of the fills)
 *     until check_fill() says that it was the last, and all are taken; then check_step() until it says so too.
 *
 * Orphans (records that no point needs) and a crash's torn tails are no damage. What the caches say and the packs do not, or
 * the other way round, is none either: a rebuild heals it.
 *
 * Memory: what check_numbers.h, check_strays.h, check_packs.h and check_found.h name, 350 MiB at most; as a rule 40 MiB, and 8
 * a TiB of blocks, the chunks counted.
 * Thread: the store's, unless said otherwise. */
#ifndef COORDINATOR_STORE_CHECK_H
#define COORDINATOR_STORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"
#include "coordinator/store/check_chunk.h"
#include "coordinator/store/check_found.h"
#include "coordinator/store/store.h"

struct check_options {
    struct store *store; /* borrowed, as is the clock */
    const struct clock_source *clock;
    bool keyless; /* of blocks only that they are as they were written: their CRCs */
};

struct check;

/* The points and packs that there are now. *ret_check is the caller's. */
NODISCARD enum status check_new(const struct check_options *options, struct check **ret_check,
                                struct error *err);
void check_free(struct check *check); /* any thread; NULL is fine */

/* The next stretch of a pack into CHUNK; or *ret_end: there is none, and CHUNK is not to be proved. */
NODISCARD enum status check_fill(struct check *check, struct check_chunk *chunk, bool *ret_end,
                                 struct error *err);

/* Any thread, several chunks at once. */
NODISCARD enum status check_prove(const struct check *check, struct check_chunk *chunk,
                                  struct error *err);
NODISCARD enum status check_take(struct check *check, const struct check_chunk *chunk,
                                 struct error *err);

/* A short turn of what comes after the packs: the log, the numbers, the points. *ret_end: all is done. The log is read in one
 * turn. */
NODISCARD enum status check_step(struct check *check, bool *ret_end, struct error *err);

struct check_sum {
    uint64_t bytes; /* of packs, done */
    uint64_t total;
    uint64_t packs;   /* done */
    uint64_t records; /* sound ones */
    uint64_t bad;     /* findings: records and packs */
    uint64_t points;  /* walked; partial trees too */
    uint64_t hurt_points;
    uint64_t tails;     /* packs with a crash's torn tail: harmless */
    uint64_t unknown;   /* sound records that no cache knows */
    uint64_t misplaced; /* sound records that the caches have elsewhere */
    bool caches_wrong;  /* a rebuild is due */
    bool log_damaged;   /* LOG says where */
    struct error log;
};

struct check_sum check_get_sum(const struct check *check);

/* Good until check_free(); whole once check_step() has said that all is done. */
const struct check_found *check_get_found(const struct check *check);

#endif
