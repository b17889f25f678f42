/* coordinator/store/thing.h: what a record's stored form says about itself: its id, and what it names. Any thread. */
#ifndef COORDINATOR_STORE_THING_H
#define COORDINATOR_STORE_THING_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "format/id.h"

/* 0: blocks, 1: bodies, 2 to 10: nodes by level, 11: roots of disks and files, 12: envelopes: a thing names only such of a lower rank. */
enum { THING_RANK_MAX = 12 };

unsigned thing_rank(uint8_t kind);

/* Is STORED, of KIND, what ID stands for? STATUS_CORRUPT: it is not, or cannot be decoded. */
NODISCARD enum status thing_check(const struct hash_key *id_key, uint8_t kind, struct slice stored,
                                  const struct id *id, struct error *err);

/* Calls EACH(ARG, ref) for everything that STORED, of KIND, names, until it fails. STATUS_CORRUPT: cannot be decoded. */
NODISCARD enum status thing_each_ref(uint8_t kind, struct slice stored,
                                     enum status (*each)(void *arg, const struct ref *ref,
                                                         struct error *err),
                                     void *arg, struct error *err);

#endif
