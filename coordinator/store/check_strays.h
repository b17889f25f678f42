/* coordinator/store/check_strays.h: sound records that the caches do not find: where a check saw them, so that trees can be walked
 * whatever the caches say. Blocks are not kept: nothing is walked below them. 24 MiB at most.
 * Thread: the store's. */
#ifndef COORDINATOR_STORE_CHECK_STRAYS_H
#define COORDINATOR_STORE_CHECK_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/store.h"
#include "format/codec.h"

enum { CHECK_STRAYS_MAX = 512 * 1024 };

struct check_stray {
    uint64_t number;
    struct place place;
};

/* Zeroed: none. Pairs with check_strays_deinit(). */
struct check_strays {
    struct check_stray *strays;
    size_t count;
    size_t room;
    bool sorted;
    struct buffer record; /* scratch */
    struct codec_context *codec;
};

void check_strays_deinit(struct check_strays *strays);

/* Behind CHECK_STRAYS_MAX nothing is kept. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status check_strays_add(struct check_strays *strays, uint64_t number,
                                       const struct place *place, struct error *err);

/* The stored form of NUMBER, of KIND, from where it was seen, into RET_STORED (cleared first); its id is not checked.
 * STATUS_NOT_FOUND: it was not. STATUS_CORRUPT: it is damaged by now. */
NODISCARD enum status check_strays_read(struct check_strays *strays, struct store *store,
                                        uint64_t number, uint8_t kind, struct buffer *ret_stored,
                                        struct error *err);

#endif
