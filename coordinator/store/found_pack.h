/* coordinator/store/found_pack.h: one pack as it is found at a start: sealed, or left by a crash; its records, one by one. The
 * rules are in recovery.h. Thread: the store's; blocks. */
#ifndef COORDINATOR_STORE_FOUND_PACK_H
#define COORDINATOR_STORE_FOUND_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "coordinator/store/index.h"
#include "coordinator/store/pack_set.h"
#include "format/keys.h"

struct found_pack {
    struct pack *pack;
    uint64_t size;
    uint64_t covered;    /* what the index knows of it */
    bool cover_sealed;   /* the index says: there is nothing more to learn from it */
    bool header_damaged; /* its records are read all the same */
    uint64_t synced;     /* what is known to be durable; of a sealed one all its records */
    bool empty;          /* nothing was ever in it */
    bool scanned;        /* it has no seal: found_pack_seal() */
    bool
        incomplete; /* durable records of it are damaged, or were left out: it is looked through at each start */
    bool postponed;      /* records of its tail wait for another start: it must not be sealed */
    struct buffer index; /* what its seal is to name: the sound records below SYNCED */
};

/* One record of it. */
struct found_record {
    struct index_record record;
    uint8_t kind;
    bool tail; /* it lies where nobody knows whether it is durable */
};

/* What it needs; all borrowed. */
struct found_world {
    struct pack_set *packs;
    struct index *index;
    const struct keys *keys;
    struct random_source *random;
    const struct log *log;
    struct random_id repository;
    struct random_id domain;
};

/* Is the file of FOUND (whose pack is set) what its name says, by its header? If not, that is logged. Sets size and
 * header_damaged. STATUS_UNSUPPORTED: it is of a later version. */
NODISCARD enum status found_pack_identify(const struct found_world *world, struct found_pack *found,
                                          bool *ret_right, struct error *err);

/* Calls EACH for every record of FOUND (which is identified, and whose covered and synced are set) that is not known to be damaged, in
 * order, until it fails. Logs what is damaged though it was durable. Pairs with found_pack_deinit(). */
NODISCARD enum status found_pack_examine(const struct found_world *world, struct found_pack *found,
                                         enum status (*each)(void *arg,
                                                             const struct found_record *record,
                                                             struct error *err),
                                         void *arg, struct error *err);
void found_pack_deinit(struct found_pack *found);

/* Seals what was scanned; nothing is cut off, and size is that with the seal. Only the records below SYNCED are named. */
NODISCARD enum status found_pack_seal(const struct found_world *world, struct found_pack *found,
                                      struct error *err);

#endif
