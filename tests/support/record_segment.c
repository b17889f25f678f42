#include "tests/support/record_segment.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/cursor.h"
#include "base/hash.h"

static const char magic[] = "TMRECORD";

void record_segment_put_header(struct buffer *buffer, const struct record_segment *segment)
{
    buffer_put(buffer, slice_of_text(magic));
    buffer_put_u64le(buffer, segment->number);
    buffer_put_u64le(buffer, segment->previous);
    buffer_put_u64le(buffer, segment->previous_length);
    buffer_put_u32le(buffer, hash_crc32c(0, buffer_slice(buffer)));
}

enum status record_segment_parse(struct slice bytes, uint64_t number,
                                 struct record_segment *ret_segment, struct error *err)
{
    struct cursor cursor = cursor_of(bytes);
    struct slice mark = cursor_take(&cursor, sizeof(magic) - 1);
    struct record_segment segment = {.length = RECORD_HEADER_SIZE};

    segment.number = cursor_u64le(&cursor);
    segment.previous = cursor_u64le(&cursor);
    segment.previous_length = cursor_u64le(&cursor);

    size_t covered = cursor.offset;
    uint32_t crc = cursor_u32le(&cursor);

    if (!cursor_ok(&cursor) || !slice_equal(mark, slice_of_text(magic)) ||
        segment.number != number || segment.previous >= number ||
        crc != hash_crc32c(0, slice_of(bytes.data, covered)))
        return error_set(err, STATUS_CORRUPT, "segment %" PRIu64 ": the header is damaged", number);
    *ret_segment = segment;
    return STATUS_OK;
}

/* BYTES get NUMBER, COUNT of them. */
static void put_number(uint8_t *bytes, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(number >> 8 * i & 0xff);
}

/* With the place in it: a record that lay in another segment, or elsewhere in this one, and comes back with
 * a block that was used before, is none. */
static uint32_t record_crc(uint64_t number, uint64_t offset, struct slice payload)
{
    uint8_t place[20];

    put_number(place, number, 8);
    put_number(place + 8, offset, 8);
    put_number(place + 16, payload.size, 4);
    return hash_crc32c(hash_crc32c(0, slice_of(place, sizeof(place))), payload);
}

void record_segment_walk(struct slice bytes, uint64_t number, bool check_sums,
                         void (*each_record)(void *arg, struct slice bytes), void *arg,
                         uint64_t *ret_records, uint64_t *ret_length)
{
    struct cursor cursor = cursor_of(bytes);
    uint64_t records = 0;
    uint64_t length = RECORD_HEADER_SIZE;

    (void)cursor_take(&cursor, RECORD_HEADER_SIZE); /* parsed already */
    for (;;) {
        uint32_t size = cursor_u32le(&cursor);
        uint32_t crc = cursor_u32le(&cursor);

        if (!cursor_ok(&cursor) || size == 0 || size > RECORD_MAX)
            break;
        struct slice payload = cursor_take(&cursor, size);

        if (!cursor_ok(&cursor))
            break;
        if (check_sums && crc != record_crc(number, length, payload))
            break;
        if (each_record != NULL)
            each_record(arg, payload);
        records++;
        length = cursor.offset;
    }
    *ret_records = records;
    *ret_length = length;
}

void record_segment_put_record(struct buffer *buffer, uint64_t number, uint64_t offset,
                               struct slice bytes)
{
    buffer_put_u32le(buffer, (uint32_t)bytes.size);
    buffer_put_u32le(buffer, record_crc(number, offset, bytes));
    buffer_put(buffer, bytes);
}
