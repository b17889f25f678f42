/* base/checked.h: arithmetic on numbers from outside. Each function says whether the result fits, and
 * sets it only then. gcc, clang and mingw-w64 have the builtins; they compile to one jump. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

NODISCARD static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
    uint64_t sum = 0;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret_sum = sum;
    return true;
}

NODISCARD static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret_product)
{
    uint64_t product = 0;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret_product = product;
    return true;
}

/* A disk's number as a count of bytes in memory. */
NODISCARD static inline bool checked_size(uint64_t value, size_t *ret_size)
{
    if (value > SIZE_MAX)
        return false;
    *ret_size = (size_t)value;
    return true;
}

/* VALUE, down to a multiple of UNIT (at least 1). */
static inline uint64_t checked_round_down(uint64_t value, uint64_t unit)
{
    return value - value % unit;
}

/* VALUE, up to a multiple of UNIT (at least 1), where that fits. */
NODISCARD static inline bool checked_round_up(uint64_t value, uint64_t unit, uint64_t *ret_rounded)
{
    uint64_t over = value % unit;

    if (over == 0) {
        *ret_rounded = value;
        return true;
    }
    return checked_add(value, unit - over, ret_rounded);
}

#endif
