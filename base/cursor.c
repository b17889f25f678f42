#include "base/cursor.h"

#include <string.h>

struct cursor cursor_of(struct slice bytes)
{
    struct cursor cursor = {.bytes = bytes};

    return cursor;
}

struct slice cursor_take(struct cursor *cursor, size_t size)
{
    if (cursor->failed || size > cursor->bytes.size - cursor->offset) {
        cursor->failed = true;
        return slice_of(NULL, 0);
    }
    if (size == 0) /* the slice may have no memory to point into */
        return slice_of(NULL, 0);

    struct slice taken = slice_of(cursor->bytes.data + cursor->offset, size);

    cursor->offset += size;
    return taken;
}

static uint64_t read_le(struct cursor *cursor, size_t size)
{
    struct slice taken = cursor_take(cursor, size);
    uint64_t value = 0;

    for (size_t i = 0; i < taken.size; i++)
        value |= (uint64_t)taken.data[i] << (8 * i);
    return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
    return (uint8_t)read_le(cursor, 1);
}

uint16_t cursor_u16le(struct cursor *cursor)
{
    return (uint16_t)read_le(cursor, 2);
}

uint32_t cursor_u32le(struct cursor *cursor)
{
    return (uint32_t)read_le(cursor, 4);
}

uint64_t cursor_u64le(struct cursor *cursor)
{
    return read_le(cursor, 8);
}

void cursor_copy(struct cursor *cursor, void *target, size_t size)
{
    if (size == 0)
        return;

    struct slice taken = cursor_take(cursor, size);

    if (taken.size == size)
        memcpy(target, taken.data, size);
    else
        memset(target, 0, size);
}

size_t cursor_left(const struct cursor *cursor)
{
    return cursor->failed ? 0 : cursor->bytes.size - cursor->offset;
}

bool cursor_ok(const struct cursor *cursor)
{
    return !cursor->failed;
}

bool cursor_end(const struct cursor *cursor)
{
    return !cursor->failed && cursor->offset == cursor->bytes.size;
}
