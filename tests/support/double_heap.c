#include "tests/support/double_heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

/* COUNT x SIZE, at least 1. */
static size_t total_of(size_t count, size_t size)
{
    size_t total = 0;

    INVARIANT(!__builtin_mul_overflow(count, size, &total));
    return total == 0 ? 1 : total;
}

void *double_new(size_t count, size_t size)
{
    void *block = calloc(1, total_of(count, size)); /* allowed: faults are not for doubles */

    INVARIANT(block != NULL);
    return block;
}

void *double_resize(void *block, size_t count, size_t size)
{
    void *grown = realloc(block, total_of(count, size)); /* allowed: faults are not for doubles */

    INVARIANT(grown != NULL);
    return grown;
}

char *double_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = double_new(size, 1);

    memcpy(copy, text, size);
    return copy;
}

void double_free(void *block)
{
    free(block); /* allowed: faults are not for doubles */
}
