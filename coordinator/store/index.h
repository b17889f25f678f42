/* coordinator/store/index.h: id -> number -> place: a seam, and a cache: packs and log are the truth, and whatever of
 * it is lost or out of date is made again from them (architecture, section 5). Fillings: index_files.h; for tests
 * tests/support/index_memory.h, and for comparison tests/bench/index_lmdb.h.
 *
 * Only what a sync has made durable in its pack is ever put in, so that no power cut can leave an entry over nothing.
 *
 * What was applied is found at once, and durable after flush() at the latest; a filling may hold some of it in memory until
 * then. What a crash takes away comes again: a cover counts (each_cover() of the next start gives it) only when all that was
 * applied with it and before it is durable.
 *
 * STATUS_INTERNAL, from any call: the index itself is damaged, and nothing it says or does not say is proof of anything. That
 * is never STATUS_CORRUPT, which is a record's (each_cover() passes on what EACH says). The first time the filling sees it,
 * it logs so, and sees to it that the next bind() of a new start makes it anew. Until then reads answer what they can, and
 * apply() refuses all. clear() heals it at once: empty, and whole.
 *
 * Thread: the store's, for every call; all block. */
#ifndef COORDINATOR_STORE_INDEX_H
#define COORDINATOR_STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/id.h"

struct index;

/* Where a record lies. */
struct place {
    struct random_id pack;
    uint64_t offset;
    uint32_t length; /* of the whole record; 0: no such number */
    uint32_t
        id_bits; /* the first four bytes of its id, little-endian: tells most other ids from it */
};

struct index_record {
    struct random_id domain;
    struct id id;
    uint64_t number;
    struct place place;
};

/* How much of a pack the index knows. */
struct index_cover {
    struct random_id pack;
    /* Records that begin below this offset are known. 0: durable ones were left out, it is to be looked through again. */
    uint64_t covered;
    bool sealed; /* all are known, and COVERED is the whole file: it never changes */
};

struct index_batch {
    const struct index_record
        *records; /* any order; an id that is there already keeps its number */
    size_t record_count;
    const struct index_cover *covers;
    size_t cover_count;
};

struct index_ops {
    /* RET_NUMBERS[i]: the number of IDS[i], 0: not known. */
    enum status (*find)(struct index *index, const struct random_id *domain, const struct id *ids,
                        size_t count, uint64_t *ret_numbers, struct error *err);
    /* RET_PLACES[i]: where NUMBERS[i] lies; its length is 0 where there is no such number. Cheapest ascending. */
    enum status (*find_places)(struct index *index, const uint64_t *numbers, size_t count,
                               struct place *ret_places, struct error *err);
    /* All of BATCH or nothing. A number that has a place already gets this one; the id_bits come from the id. */
    enum status (*apply)(struct index *index, const struct index_batch *batch, struct error *err);
    /* All that was applied is durable. */
    enum status (*flush)(struct index *index, struct error *err);
    /* The highest number of SPACE (format/id.h); 0: none. */
    enum status (*last_number)(struct index *index, uint32_t space, uint64_t *ret_number,
                               struct error *err);
    /* From now on it is REPOSITORY's: what it knew of another one is forgotten, durably. Heals. Called first, under the
     * store's lock: a filling over files opens them here, and not before. */
    enum status (*bind)(struct index *index, const struct random_id *repository, struct error *err);
    /* Calls EACH for every pack that is covered, until it fails. */
    enum status (*each_cover)(struct index *index,
                              enum status (*each)(void *arg, const struct index_cover *cover,
                                                  struct error *err),
                              void *arg, struct error *err);
    /* Forgets everything, durably; heals. After a failure all calls fail (STATUS_UNAVAILABLE) until it, or bind(), works. */
    enum status (*clear)(struct index *index, struct error *err);
    void (*free)(struct index *index);
};

/* The first member of a filling's own struct. */
struct index {
    const struct index_ops *ops;
};

#endif
