/* coordinator/store/check_packs.h: the first part of a check: every pack, read once from its header to its footer. Packs that come
 * to be meanwhile are not in it; of one that is not sealed only what was durable at the beginning. Thread: the store's. */
#ifndef COORDINATOR_STORE_CHECK_PACKS_H
#define COORDINATOR_STORE_CHECK_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"
#include "coordinator/store/check_chunk.h"
#include "coordinator/store/check_found.h"
#include "coordinator/store/check_numbers.h"
#include "coordinator/store/check_strays.h"
#include "coordinator/store/store.h"
#include "format/pack.h"

enum {
    CHECK_PIECES_MAX = 128 * 1024, /* of one pack; its index names less than half as many */
    CHECK_PROVED_AT_ONCE = 64,     /* packs, before the file `proved` is written again */
};

/* A record as it lies in a pack, or as the pack's index names it; kind 0: bytes in which there is none. */
struct check_row {
    uint64_t offset;
    uint64_t length;
    uint64_t number;
    uint32_t id_bits; /* as in struct place */
    uint8_t kind;
    enum check_wrong wrong;
};

struct check_rows {
    struct check_row *rows; /* ascending by offset */
    size_t count;
    size_t room;
};

struct check_pack {
    struct store_pack pack;
    uint64_t end; /* of its records */
    struct pack_footer footer;
    bool has_footer;
    bool too_short, bad_header, bad_footer;
    bool damaged;
};

struct check_packs {
    struct store *store; /* borrowed, as are the next four */
    const struct clock_source *clock;
    struct check_numbers *numbers;
    struct check_strays *strays;
    struct check_found *found;
    struct check_pack *packs;
    size_t count;

    size_t reading; /* the pack of the next chunk */
    bool begun;     /* it */
    uint64_t offset;

    struct check_rows rows;    /* of the pack whose chunks are taken */
    struct check_rows entries; /* of its index */
    struct buffer index;       /* scratch */
    struct buffer stored;
    struct codec_context *codec;
    struct proved_pack proved[CHECK_PROVED_AT_ONCE];
    size_t proved_count;

    uint64_t bytes; /* done */
    uint64_t total;
    uint64_t records; /* sound ones */
    uint64_t done;    /* packs */
    uint64_t tails;   /* packs with bytes above what was durable, which hurt nobody */
};

/* PACKS is zeroed but for what is borrowed. Pairs with check_packs_deinit(), also after a failure. */
NODISCARD enum status check_packs_init(struct check_packs *packs, struct error *err);
void check_packs_deinit(struct check_packs *packs); /* any thread */

/* The next stretch into CHUNK, which is to be proved and taken; or *ret_end. */
NODISCARD enum status check_packs_fill(struct check_packs *packs, struct check_chunk *chunk,
                                       bool *ret_end, struct error *err);

/* What CHUNK has shown; in the order in which they were filled. */
NODISCARD enum status check_packs_take(struct check_packs *packs, const struct check_chunk *chunk,
                                       struct error *err);

/* Behind the last take: what is not noted yet in the file `proved`. */
NODISCARD enum status check_packs_note(struct check_packs *packs, struct error *err);

#endif
