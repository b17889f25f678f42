/* agent/read_plan.h: which parts of a disk a backup reads: the ranges that the disk names, widened to blocks,
 * ascending, each block once, cut into pieces for one read each. Pure: the owner asks the disk.
 *
 *     while not read_plan_done():
 *         if read_plan_next(): read that piece
 *         else: ask the disk from read_plan_ask_from() on, into read_plan_ranges(); read_plan_found()
 *
 * Memory: the ranges of one answer, at most READ_PLAN_RANGES_MAX. Thread: whoever owns the plan. */
#ifndef AGENT_READ_PLAN_H
#define AGENT_READ_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/range.h"

enum {
    READ_PLAN_RANGES_MAX = 4096,
    READ_PLAN_PIECE_MAX = 1024 * 1024, /* bytes; whole blocks, the disk's end apart */
};

struct read_plan {
    uint64_t size;
    uint32_t block_size; /* a power of two, at most READ_PLAN_PIECE_MAX */
    uint64_t covered_to; /* answers tell all below */
    uint64_t planned_to; /* no block below is planned again */
    uint64_t to_read;    /* bytes, so far */
    struct range_list ranges;
    size_t next;       /* of RANGES */
    struct range rest; /* of the range before it; may be empty */
};

/* Of a disk of SIZE bytes (not 0). Pairs with read_plan_deinit(). */
void read_plan_init(struct read_plan *plan, uint64_t size, uint32_t block_size);
void read_plan_deinit(struct read_plan *plan); /* zeroed is fine */

/* The next piece. False: none is known. */
bool read_plan_next(struct read_plan *plan, struct range *ret_piece);

/* No piece is known, and the disk has no more to tell. */
bool read_plan_done(const struct read_plan *plan);

/* No piece is known: the next answer begins here, and goes into these ranges. */
uint64_t read_plan_ask_from(const struct read_plan *plan);
struct range_list *read_plan_ranges(struct read_plan *plan);

/* The ranges tell all from read_plan_ask_from() to COVERED_TO. What lies past the disk's end is dropped.
 * STATUS_CORRUPT: that is no answer: it gets no further, or has ranges before what was asked for. */
NODISCARD enum status read_plan_found(struct read_plan *plan, uint64_t covered_to,
                                      struct error *err);

/* The disk could not answer: all that no answer has told yet is to be read. What is in the ranges is dropped. */
NODISCARD enum status read_plan_take_rest(struct read_plan *plan, struct error *err);

#endif
