/* format/le.h: little-endian numbers into bytes that are there already: headers of a fixed size. (What grows is
 * written by base/buffer.h, what is parsed is read by base/cursor.h.) */
#ifndef FORMAT_LE_H
#define FORMAT_LE_H

#include <stddef.h>
#include <stdint.h>

/* The low SIZE (at most 8) bytes of VALUE to TARGET. */
static inline void le_put(uint8_t *target, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        target[i] = (uint8_t)(value >> (8 * i) & 0xff);
}

static inline void le_put_u32(uint8_t *target, uint32_t value)
{
    le_put(target, value, 4);
}

static inline void le_put_u64(uint8_t *target, uint64_t value)
{
    le_put(target, value, 8);
}

#endif
