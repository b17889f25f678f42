/* tests/support/index_memory.h: the index of a store (coordinator/store/index.h) in memory. Nothing is lost but by
 * index_memory_at(). Refuses on request. Thread: one at a time. */
#ifndef TESTS_SUPPORT_INDEX_MEMORY_H
#define TESTS_SUPPORT_INDEX_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "coordinator/store/index.h"

/* Empty. Never NULL. The caller's: ops->free. */
struct index *index_memory_new(void);

/* From now on apply() fails with STATUS_UNAVAILABLE, or works again. */
void index_memory_refuse(struct index *index, bool refuse);

/* How many applies there were. Before each of them the state is one that a crash may leave: index_memory_at() of [0,
 * count] is a copy of INDEX as it was after so many. */
size_t index_memory_applies(const struct index *index);
struct index *index_memory_at(const struct index *index, size_t applies);

/* How many records are in it: numbers with a place. */
size_t index_memory_count(const struct index *index);

#endif
