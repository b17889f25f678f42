#include "base/buffer.h"

#include <string.h>

#include "base/memory.h"

enum { FIRST_CAPACITY = 64 };

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_deinit(struct buffer *buffer)
{
    memory_free(buffer->data);
    buffer_init(buffer, buffer->limit);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->wanted = 0;
    buffer->status = STATUS_OK;
}

size_t buffer_room(const struct buffer *buffer)
{
    return buffer->limit - buffer->size;
}

/* Doubles, so that filling byte by byte costs a constant for each; never beyond the limit. */
static bool grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity > FIRST_CAPACITY ? buffer->capacity : FIRST_CAPACITY;

    while (capacity < needed)
        capacity = capacity > buffer->limit / 2 ? buffer->limit : capacity * 2;
    if (capacity > buffer->limit)
        capacity = buffer->limit;

    uint8_t *data = memory_resize(buffer->data, capacity, 1);

    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    if (buffer->status != STATUS_OK)
        return NULL;
    if (size == 0 && buffer->data == NULL)
        return NULL; /* there is no address to count from */
    if (size > buffer_room(buffer) ||
        (buffer->size + size > buffer->capacity && !grow(buffer, buffer->size + size))) {
        buffer->status = STATUS_EXHAUSTED;
        buffer->wanted = size;
        return NULL;
    }

    uint8_t *start = buffer->data + buffer->size;

    buffer->size += size;
    return start;
}

void buffer_put(struct buffer *buffer, struct slice bytes)
{
    if (bytes.size == 0)
        return;

    uint8_t *start = buffer_extend(buffer, bytes.size);

    if (start != NULL)
        memcpy(start, bytes.data, bytes.size);
}

void buffer_put_u8(struct buffer *buffer, uint8_t value)
{
    buffer_put(buffer, slice_of(&value, 1));
}

static void put_le(struct buffer *buffer, uint64_t value, size_t size)
{
    uint8_t *start = buffer_extend(buffer, size);

    if (start == NULL)
        return;
    for (size_t i = 0; i < size; i++)
        start[i] = (uint8_t)(value >> (8 * i) & 0xff);
}

void buffer_put_u16le(struct buffer *buffer, uint16_t value)
{
    put_le(buffer, value, 2);
}

void buffer_put_u32le(struct buffer *buffer, uint32_t value)
{
    put_le(buffer, value, 4);
}

void buffer_put_u64le(struct buffer *buffer, uint64_t value)
{
    put_le(buffer, value, 8);
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->size);
}

enum status buffer_check(const struct buffer *buffer, const char *what, struct error *err)
{
    if (buffer->status == STATUS_OK)
        return STATUS_OK;
    if (buffer->wanted > buffer_room(buffer))
        return error_set(err, STATUS_EXHAUSTED,
                         "%s is too large: %zu bytes and %zu more are over the limit of %zu", what,
                         buffer->size, buffer->wanted, buffer->limit);
    return error_set_no_memory(err, buffer->size + buffer->wanted, what);
}
