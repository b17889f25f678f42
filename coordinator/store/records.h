/* coordinator/store/records.h: the records of a store: how they get into packs, become durable and are found again; packs,
 * index, and what the index does not know yet. The log is not known here. Thread: the store's; all calls block.
 *
 * What is appended is *fresh*: found, and void after a failed sync. A sync makes it durable, then puts it into the index:
 * only durable records are ever put there. */
#ifndef COORDINATOR_STORE_RECORDS_H
#define COORDINATOR_STORE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "coordinator/store/index.h"
#include "coordinator/store/pack_set.h"
#include "format/keys.h"
#include "format/log_body.h"
#include "format/record.h"

struct records_options {
    struct fs *fs;
    struct index *index;
    struct random_source *random;
    const struct log *log;
    const struct keys *keys;
    struct random_id repository;
    uint64_t pack_size;
    size_t fresh_max; /* so many fresh records, and the next append syncs by itself first */
};

struct records;

/* All in OPTIONS that is pointed at is borrowed. Knows no packs yet: records_packs(). */
NODISCARD enum status records_new(const struct records_options *options,
                                  struct records **ret_records, struct error *err);
void records_free(struct records *records); /* syncs nothing; NULL is fine */

struct pack_set *records_packs(struct records *records);

/* Changes when fresh records became void. */
uint64_t records_generation(const struct records *records);

/* Bytes appended so far. */
uint64_t records_appended(const struct records *records);

/* RET_NUMBERS[i]: the number of IDS[i] in DOMAIN, 0: not here. */
NODISCARD enum status records_find(struct records *records, const struct random_id *domain,
                                   const struct id *ids, size_t count, uint64_t *ret_numbers,
                                   struct error *err);

/* RET_PLACES[i]: where NUMBERS[i] lies; its length is 0 where there is no such number. */
NODISCARD enum status records_places(struct records *records, const uint64_t *numbers, size_t count,
                                     struct place *ret_places, struct error *err);

/* The record with NUMBER into RET_RECORD (cleared first): whole by its CRCs, and NUMBER's. STATUS_NOT_FOUND, STATUS_CORRUPT. */
NODISCARD enum status records_read(struct records *records, uint64_t number,
                                   struct record_header *ret_header, struct buffer *ret_record,
                                   struct error *err);

/* Is what REF names here in DOMAIN, under that number? */
NODISCARD enum status records_knows(struct records *records, const struct random_id *domain,
                                    const struct ref *ref, bool *ret_known, struct error *err);

/* Appends RECORD, whose header is HEADER. Its id is not here. STATUS_EXHAUSTED: no space; nothing has changed.
 * STATUS_ABORTED: writing or a sync failed, and what was fresh is void. */
NODISCARD enum status records_append(struct records *records, struct slice record,
                                     const struct record_header *header, struct error *err);

/* A durable record that is in a pack already: the next sync puts it into the index, behind all that came before. */
NODISCARD enum status records_note(struct records *records, const struct index_record *record,
                                   struct error *err);

/* Makes what is fresh durable, and puts it into the index. STATUS_ABORTED: it is void. Any other failure: nothing is void,
 * and the next sync goes on where this one ended. */
NODISCARD enum status records_sync(struct records *records, struct error *err);

/* The packs that are not sealed and hold something durable. STATUS_UNAVAILABLE: too many for an entry of the log. */
NODISCARD enum status records_unsealed(const struct records *records, struct log_packs *ret_packs,
                                       struct error *err);

/* Syncs, and seals the packs that are open. */
NODISCARD enum status records_seal(struct records *records, struct error *err);

#endif
