/* coordinator/store/found_pack.h: one pack as it is found at a start: sealed, or left by a crash; its records, read as
 * often as there are ranks in it, so that nothing of them has to be remembered. The rules are in recovery.h. Thread: the store's; blocks. */
#ifndef COORDINATOR_STORE_FOUND_PACK_H
#define COORDINATOR_STORE_FOUND_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "coordinator/store/domains.h"
#include "coordinator/store/index.h"
#include "coordinator/store/pack_set.h"
#include "format/keys.h"

struct found_pack {
    struct pack *pack;
    uint64_t size;
    uint64_t covered;    /* what the index knows of it */
    bool cover_sealed;   /* there is nothing more to learn from it */
    bool header_damaged; /* its records are read all the same */
    uint64_t synced;     /* what is known to be durable; of a sealed one all its records */
    bool condemned;      /* the log says: what lives of it is elsewhere */
    bool empty;          /* nothing was ever in it */
    bool scanned;        /* it has no seal: found_pack_seal() */
    bool counts;         /* scanned, and durable records are in it, which its seal is to name */
    bool
        incomplete; /* durable records of it are damaged, or were left out: it is looked through at each start */
    bool postponed;      /* records of its tail wait for another start: it must not be sealed */
    uint32_t ranks;      /* bit R: durable records of rank R (thing.h) may be left to look at */
    uint32_t tail_ranks; /* the same of its tail */
    uint64_t strange;    /* durable records of domains that the log does not know */
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
    const struct domains *domains;
    struct random_source *random;
    const struct log *log;
    struct random_id repository;
};

/* Is the file of FOUND (whose pack is set) what its name says, by its header? If not, that is logged. Sets size and
 * header_damaged. STATUS_UNSUPPORTED: it is of a later version. */
NODISCARD enum status found_pack_identify(const struct found_world *world, struct found_pack *found,
                                          bool *ret_right, struct error *err);

/* The first look into FOUND, which is identified, and whose covered and synced are set: has it a seal, how much of it is
 * durable, which ranks are in it? Calls EACH, until it fails, for every record that is not known to be damaged, in order, those of
 * unknown domains too; what EACH has done with a durable record need not be done again if it returns so by *ret_done.
 * Logs what is damaged though it was durable, and how much is of domains that the log does not know. */
NODISCARD enum status found_pack_survey(const struct found_world *world, struct found_pack *found,
                                        enum status (*each)(void *arg,
                                                            const struct found_record *record,
                                                            bool *ret_done, struct error *err),
                                        void *arg, struct error *err);

/* Calls EACH for the records of RANK of FOUND, which was surveyed: those of its tail, or the durable ones; in order, until it
 * fails. Only of known domains. */
NODISCARD enum status found_pack_each(
    const struct found_world *world, struct found_pack *found, unsigned rank, bool tail,
    enum status (*each)(void *arg, const struct found_record *record, struct error *err), void *arg,
    struct error *err);

/* Seals what was scanned; nothing is cut off, and size is that with the seal. Only the records below SYNCED are named. Reads it
 * once more. */
NODISCARD enum status found_pack_seal(const struct found_world *world, struct found_pack *found,
                                      struct error *err);

#endif
