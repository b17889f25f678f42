/* recover/spots.h: where each record lies: number -> {pack, offset, length, 32 bits of its id}, 24 bytes a record in memory. A
 * number may have several places: any that proves right serves. Thread: main's. */
#ifndef RECOVER_SPOTS_H
#define RECOVER_SPOTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/id.h"

struct spot {
    uint64_t number;
    uint32_t id_bits; /* the id's first 4 bytes: tells which places need not be read at all */
    uint32_t pack;    /* its index among the packs */
    uint32_t offset;  /* bytes: no pack of ours is that large */
    uint32_t length;  /* of the whole record, bytes */
};

/* What a record costs: its row, and as much once more while the rows are sorted. */
enum { SPOT_COST = 2 * sizeof(struct spot) };

/* Empty: zeroed, with its limit. Pairs with spots_deinit(). */
struct spots {
    struct spot *rows; /* by number once sorted */
    size_t count;
    size_t room;
    uint64_t limit;  /* bytes that it may use, SPOT_COST for a record */
    uint64_t wanted; /* records offered: those above the limit are counted all the same */
};

void spots_deinit(struct spots *spots);

/* The first 4 bytes of ID, as places keep them. */
uint32_t spots_id_bits(const struct id *id);

/* STATUS_EXHAUSTED: no memory. Above the limit it is only counted: spots_sort() says so. */
NODISCARD enum status spots_add(struct spots *spots, const struct spot *spot, struct error *err);

/* After the last one. STATUS_EXHAUSTED: more than the limit; the sentence says how many bytes they all need. */
NODISCARD enum status spots_sort(struct spots *spots, struct error *err);

/* The places of NUMBER, sorted before: *ret_count of them, next to each other. NULL: there is none. */
const struct spot *spots_find(const struct spots *spots, uint64_t number, size_t *ret_count);

#endif
