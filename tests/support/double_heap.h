/* tests/support/double_heap.h: the heap of the doubles. What a double allocates for itself is no
 * allocation of what is tested: it is not counted by base/fault.h and cannot be failed, and where there
 * really is no memory the test ends. What the real thing allocates as well (the handle of an open file)
 * comes from base/memory.h. Any thread. */
#ifndef TESTS_SUPPORT_DOUBLE_HEAP_H
#define TESTS_SUPPORT_DOUBLE_HEAP_H

#include <stddef.h>

/* COUNT x SIZE zeroed bytes; never NULL: aborts. The caller's, until double_free(). */
void *double_new(size_t count, size_t size);

/* BLOCK (or NULL) of double_new() grown or shrunk to COUNT x SIZE bytes, new ones not zeroed. Never NULL. */
void *double_resize(void *block, size_t count, size_t size);

char *double_copy_text(const char *text);

void double_free(void *block); /* NULL is fine */

#endif
