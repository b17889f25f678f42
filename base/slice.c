#include "base/slice.h"

#include <string.h>

struct slice slice_of(const void *data, size_t size)
{
    struct slice slice = {.data = data, .size = size};

    return slice;
}

struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool slice_is_zero(struct slice slice)
{
    /* The first byte is zero and each byte equals the one after it: memcmp does the walk at the speed
     * of memory. */
    return slice.size == 0 ||
           (slice.data[0] == 0 && memcmp(slice.data, slice.data + 1, slice.size - 1) == 0);
}
