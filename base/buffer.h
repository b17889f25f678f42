/* base/buffer.h: bytes that we own, growing up to a limit that its owner named.
 *
 * Filling never has to be checked call by call: the first thing that does not fit (over the limit, or
 * no memory) makes the buffer *failed*, it takes nothing more, and buffer_check() says what happened.
 * What is encoded here is little-endian, as all our formats are (architecture, section 5).
 * Thread: whoever owns the buffer. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

struct buffer {
    uint8_t *data;
    size_t size;     /* bytes filled */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* bytes, never more */
    size_t wanted;   /* the size that did not fit, once failed */
    enum status status;
};

/* Empty; allocates nothing. Pairs with buffer_deinit(). */
void buffer_init(struct buffer *buffer, size_t limit);
void buffer_deinit(struct buffer *buffer);

/* Empty and not failed; keeps its memory. */
void buffer_clear(struct buffer *buffer);

/* Room for SIZE more bytes behind what is filled, counted as filled at once; NULL if it has failed.
 * The pointer is good until the next call that fills. Of 0 bytes: allocates nothing, so it is NULL too
 * while nothing was ever allocated, and that is no failure. */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);

void buffer_put(struct buffer *buffer, struct slice bytes);
void buffer_put_u8(struct buffer *buffer, uint8_t value);
void buffer_put_u16le(struct buffer *buffer, uint16_t value);
void buffer_put_u32le(struct buffer *buffer, uint32_t value);
void buffer_put_u64le(struct buffer *buffer, uint64_t value);

/* Bytes that still fit below the limit: what a source may read before it must wait. */
size_t buffer_room(const struct buffer *buffer);

/* What is filled; valid until the next call that fills. */
struct slice buffer_slice(const struct buffer *buffer);

/* STATUS_OK, or STATUS_EXHAUSTED: over the limit or no memory, naming WHAT is in the buffer. */
NODISCARD enum status buffer_check(const struct buffer *buffer, const char *what,
                                   struct error *err);

#endif
