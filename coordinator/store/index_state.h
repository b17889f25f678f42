/* coordinator/store/index_state.h: what of the files of an index counts: the file "index/state", replaced whole, which makes
 * all that it speaks of visible at once. Everything else in that folder is left over.
 *     magic "TMINDEXS", u32 build (format/repository.h), u32 zero, repository 16, u64 next free number of a run,
 *     u32 runs, u32 packs
 *     runs, the oldest first: u64 number, u32 kind, u32 zero
 *     packs, by slot: name 16, u64 covered, u8 1: covered, 2: sealed too, 0: neither
 *     u32 CRC-32C of all before
 * Pure; any thread. */
#ifndef COORDINATOR_STORE_INDEX_STATE_H
#define COORDINATOR_STORE_INDEX_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/run_format.h"
#include "format/id.h"

#define INDEX_STATE_FILE "state"

/* What a folder can be asked to hold, and room for 2.5 million packs: 160 TB. */
enum { INDEX_RUNS_MAX = 4096, INDEX_STATE_MAX = 64 << 20 };

struct index_cover_state {
    uint64_t covered;
    bool counts; /* false: its cover was never put */
    bool sealed;
};

struct index_pack {
    struct random_id name;
    struct index_cover_state cover;
};

struct index_run_name {
    uint64_t number;
    enum run_kind kind;
};

struct index_state {
    struct random_id repository;
    uint64_t next;
    struct index_run_name *runs;
    size_t run_count;
    struct index_pack *packs;
    size_t pack_count;
};

void index_state_deinit(struct index_state *state); /* zeroed is fine */

void index_state_encode(const struct index_state *state, struct buffer *target);

/* The caller's (index_state_deinit). STATUS_CORRUPT. STATUS_UNSUPPORTED: another build's. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status index_state_decode(struct slice bytes, struct index_state *ret_state,
                                         struct error *err);

#endif
