/* coordinator/store/log_kept.h: the entries of a log that still count, as they were: a list for each type, by sequence; and
 * which packs they call synced, how far. What log_state.h is made of. Thread: the store's. */
#ifndef COORDINATOR_STORE_LOG_KEPT_H
#define COORDINATOR_STORE_LOG_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"
#include "coordinator/store/id_tree.h"
#include "format/log_body.h"
#include "format/log_entry.h"

enum { LOG_TYPES = LOG_ACCEPT + 1 };

/* That an entry calls a pack synced. */
struct pack_use {
    struct id_node node; /* in the tree, if it is the first of its name */
    struct pack_use *previous;
    struct pack_use *next; /* of the same name */
    struct log_point_pack pack;
};

struct log_kept {
    struct log_kept *previous;
    struct log_kept *next; /* of the same type */
    uint64_t sequence;
    int64_t time_us;
    struct id_node node; /* in the tree of its type, if that has one */

    union {
        struct {
            size_t index; /* in the array of points, or of partial trees */
            struct log_kept *trash;
            struct log_kept *lock;
            struct log_kept *hold; /* what was said of it since; NULL: nothing that counts */
        } point;

        struct {
            struct log_kept *more; /* the next entry of the same pack; NULL: none */
            struct log_kept *end;  /* the last one; NULL: this is not the first */
            uint64_t sweep;
            uint64_t dead;
            bool complete;
        } condemned;
    } as;
    struct pack_use *uses; /* owned */
    size_t use_count;
    size_t size; /* bytes of BODY */
    uint8_t type;
    uint8_t body[];
};

/* Zeroed, and the trees' key sizes set: empty. */
struct log_keep {
    struct log_kept *first[LOG_TYPES];
    struct log_kept *last[LOG_TYPES];
    struct id_tree packs; /* of the first uses of each name */
};

/* A copy of BODY, in no list; PACKS (NULL: none) become its uses. The caller's, log_kept_free(). NULL: no memory. */
NODISCARD struct log_kept *log_kept_new(uint8_t type, struct slice body,
                                        const struct log_packs *packs);
void log_kept_free(struct log_kept *kept); /* in no list; NULL is fine */

struct slice log_kept_body(const struct log_kept *kept);

/* KEPT, which is younger than all in KEEP, is KEEP's from now on, and what it says of packs counts. */
void log_keep_add(struct log_keep *keep, struct log_kept *take_kept);

/* It does not count any more. NULL is fine. */
void log_keep_drop(struct log_keep *keep, struct log_kept *kept);

/* Drops all. */
void log_keep_clear(struct log_keep *keep);

/* The longest synced length of the uses behind FIRST, itself too. */
uint64_t log_keep_longest(const struct pack_use *first);

/* The first use of PACK; NULL: there is none. */
const struct pack_use *log_keep_find_pack(const struct log_keep *keep,
                                          const struct random_id *pack);

/* See log_state_each_item(). */
NODISCARD enum status log_keep_each(const struct log_keep *keep,
                                    enum status (*each)(void *arg, const struct log_item *item,
                                                        struct error *err),
                                    void *arg, struct error *err);

#endif
