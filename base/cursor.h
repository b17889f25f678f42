/* base/cursor.h: the one way in which bytes from outside (wire, file, disk image) are parsed.
 *
 * A cursor walks a slice. A read past the end gives zero and makes the cursor *failed* for good, so
 * that a parser reads like the layout it parses. Ask cursor_ok() before a value steers a loop, an
 * index or an allocation; end with cursor_end(). One read a statement: C does not order an
 * initializer's. Thread: whoever owns the cursor. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct cursor {
    struct slice bytes; /* borrowed */
    size_t offset;      /* of the next read, never past the end */
    bool failed;
};

struct cursor cursor_of(struct slice bytes);

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16le(struct cursor *cursor);
uint32_t cursor_u32le(struct cursor *cursor);
uint64_t cursor_u64le(struct cursor *cursor);

/* Copies SIZE bytes to TARGET; zeros, if they are not there. */
void cursor_copy(struct cursor *cursor, void *target, size_t size);

/* The next SIZE bytes, borrowed; an empty slice, if they are not there. */
struct slice cursor_take(struct cursor *cursor, size_t size);

/* Bytes not yet read; 0 once failed. */
size_t cursor_left(const struct cursor *cursor);

/* Was everything that was read there? */
bool cursor_ok(const struct cursor *cursor);

/* cursor_ok(), and nothing is left. */
bool cursor_end(const struct cursor *cursor);

#endif
