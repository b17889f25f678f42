/* base/slice.h: bytes that somebody else owns. A slice is a value; it is good for as long as what it
 * points at stays, normally one call. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const uint8_t *data; /* may be NULL where size is 0 */
    size_t size;         /* bytes */
};

struct slice slice_of(const void *data, size_t size);

/* The bytes of TEXT without its NUL. */
struct slice slice_of_text(const char *text);

/* Same length and same bytes. Not for secrets: it stops at the first difference. */
bool slice_equal(struct slice a, struct slice b);

/* Is every byte zero (or the slice empty)? Such a block is a hole. */
bool slice_is_zero(struct slice slice);

#endif
