/* coordinator/store/index_table.h: what was applied to the index since its last flush, in memory: about 130 bytes a record of
 * its bound, taken at once. An id keeps the number that came first, a number the place that came last.
 *
 * Its entries are those of a run (run_format.h). Thread: the store's; nothing blocks. */
#ifndef COORDINATOR_STORE_INDEX_TABLE_H
#define COORDINATOR_STORE_INDEX_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/run_format.h"
#include "format/id.h"

struct index_table;

/* A domain, then an entry of ids. */
enum { INDEX_TABLE_ID_SIZE = RANDOM_ID_SIZE + RUN_ID_ENTRY_SIZE };

/* For at most BOUND records, at least 1. The caller's (index_table_free). */
NODISCARD enum status index_table_new(size_t bound, struct index_table **ret_table,
                                      struct error *err);
void index_table_free(struct index_table *table); /* NULL is fine */
void index_table_clear(struct index_table *table);

/* How many records still fit, whatever their ids. */
size_t index_table_room(const struct index_table *table);
size_t index_table_count(const struct index_table *table);

/* There is room. VALUE: what a run of places has behind NUMBER. */
void index_table_put(struct index_table *table, const struct random_id *domain, const struct id *id,
                     uint64_t number, const uint8_t value[RUN_PLACE_SIZE]);

/* 0: not there. */
uint64_t index_table_find(const struct index_table *table, const struct random_id *domain,
                          const struct id *id);

/* Borrowed until the next put; NULL: not there. */
const uint8_t *index_table_place(const struct index_table *table, uint64_t number);

/* The highest number up to MOST; 0: none. */
uint64_t index_table_last(const struct index_table *table, uint64_t most);

/* INDEX_TABLE_ID_SIZE bytes each, sorted by domain and id; entries of places, by number. Borrowed until the next call of
 * either, or of index_table_put(). */
const uint8_t *const *index_table_ids(struct index_table *table, size_t *ret_count);
const uint8_t *const *index_table_places(struct index_table *table, size_t *ret_count);

#endif
