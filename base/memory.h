/* base/memory.h: the heap. All of our allocations pass here, so that tests can fail each in turn. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

#include "base/attr.h"

/* COUNT x SIZE zeroed bytes, or NULL: no memory, or the product does not fit a size_t. Never NULL for
 * zero bytes. The caller's, until memory_free(). Any thread. */
NODISCARD void *memory_new(size_t count, size_t size);

/* BLOCK (or NULL) grown or shrunk to COUNT x SIZE bytes, new ones not zeroed. On NULL, BLOCK is
 * untouched and still the caller's. Any thread. */
NODISCARD void *memory_resize(void *block, size_t count, size_t size);

/* A copy of TEXT, or NULL. */
NODISCARD char *memory_copy_text(const char *text);

/* NULL is fine. Any thread. */
void memory_free(void *block);

#endif
