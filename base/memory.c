#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

/* COUNT x SIZE, at least 1, where that fits. */
static bool total_of(size_t count, size_t size, size_t *ret_total)
{
    size_t total = 0;

    if (__builtin_mul_overflow(count, size, &total))
        return false;
    *ret_total = total == 0 ? 1 : total;
    return true;
}

void *memory_new(size_t count, size_t size)
{
    size_t total = 0;

    if (fault_hit(FAULT_ALLOC, "memory.new", 1U << FAULT_FAIL) == FAULT_FAIL)
        return NULL;
    return total_of(count, size, &total) ? calloc(1, total) : NULL;
}

void *memory_resize(void *block, size_t count, size_t size)
{
    size_t total = 0;

    if (fault_hit(FAULT_ALLOC, "memory.resize", 1U << FAULT_FAIL) == FAULT_FAIL)
        return NULL;
    return total_of(count, size, &total) ? realloc(block, total) : NULL;
}

char *memory_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_new(size, 1);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void memory_free(void *block)
{
    free(block);
}
