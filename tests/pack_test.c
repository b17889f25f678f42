#include "format/pack.h"

#include <string.h>

#include "base/hash.h"
#include "format/le.h"
#include "tests/support/test.h"

static struct pack_header example_header(void)
{
    struct pack_header header = {.class = PACK_META};

    memset(header.repository.bytes, 0x12, RANDOM_ID_SIZE);
    memset(header.name.bytes, 0x34, RANDOM_ID_SIZE);
    return header;
}

static enum status decode_header(const uint8_t *bytes, size_t size)
{
    struct pack_header header;
    struct error err = {0};

    return pack_header_decode(slice_of(bytes, size), &header, &err);
}

static enum status decode_footer(const uint8_t *bytes, size_t size)
{
    struct pack_footer footer;
    struct error err = {0};

    return pack_footer_decode(slice_of(bytes, size), &footer, &err);
}

static void blocks_and_the_rest_are_of_two_classes(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= 255; kind++)
        assert_int_equal(pack_class_of((uint8_t)kind), kind == KIND_BLOCK ? PACK_DATA : PACK_META);
}

static void a_header_reads_back(void **state)
{
    struct pack_header header = example_header();
    struct pack_header read;
    uint8_t bytes[PACK_HEADER_SIZE];
    struct error err = {0};

    (void)state;
    memset(bytes, 0xee, sizeof(bytes));
    pack_header_encode(&header, bytes);
    ASSERT_OK(pack_header_decode(slice_of(bytes, sizeof(bytes)), &read, &err), &err);
    assert_int_equal(read.class, PACK_META);
    assert_true(random_id_equal(&read.repository, &header.repository));
    assert_true(random_id_equal(&read.name, &header.name));
}

static void any_changed_bit_of_header_or_footer_is_found(void **state)
{
    struct pack_header header = example_header();
    struct pack_footer footer = {.index_offset = 52, .index_length = 1000};
    uint8_t bytes[PACK_HEADER_SIZE + 1] = {0};

    (void)state;
    pack_header_encode(&header, bytes);
    for (size_t i = 0; i < 8UL * PACK_HEADER_SIZE; i++) {
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(decode_header(bytes, PACK_HEADER_SIZE), STATUS_CORRUPT);
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    assert_int_equal(decode_header(bytes, 0), STATUS_CORRUPT);
    assert_int_equal(decode_header(bytes, PACK_HEADER_SIZE - 1), STATUS_CORRUPT);
    assert_int_equal(decode_header(bytes, PACK_HEADER_SIZE + 1), STATUS_CORRUPT);
    pack_footer_encode(&footer, bytes);
    for (size_t i = 0; i < 8UL * PACK_FOOTER_SIZE; i++) {
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(decode_footer(bytes, PACK_FOOTER_SIZE), STATUS_CORRUPT);
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    assert_int_equal(decode_footer(bytes, PACK_FOOTER_SIZE - 1), STATUS_CORRUPT);
    assert_int_equal(decode_footer(bytes, PACK_FOOTER_SIZE + 1), STATUS_CORRUPT);
}

/* Byte AT of a header is VALUE, the CRC is right. */
static enum status decode_header_with(size_t at, uint8_t value)
{
    struct pack_header header = example_header();
    uint8_t bytes[PACK_HEADER_SIZE];

    pack_header_encode(&header, bytes);
    bytes[at] = value;
    le_put_u32(bytes + 48, hash_crc32c(0, slice_of(bytes, 48)));
    return decode_header(bytes, sizeof(bytes));
}

static void a_sound_header_with_wrong_values_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_header_with(12, PACK_DATA), STATUS_OK);
    assert_int_equal(decode_header_with(0, 't'), STATUS_CORRUPT);
    assert_int_equal(decode_header_with(7, 1), STATUS_CORRUPT);
    assert_int_equal(decode_header_with(8, 1), STATUS_UNSUPPORTED);
    assert_int_equal(decode_header_with(11, 1), STATUS_UNSUPPORTED);
    assert_int_equal(decode_header_with(12, 0), STATUS_CORRUPT);
    assert_int_equal(decode_header_with(12, 3), STATUS_CORRUPT);
    assert_int_equal(decode_header_with(13, 1), STATUS_CORRUPT);
    assert_int_equal(decode_header_with(15, 1), STATUS_CORRUPT);
}

/* The least that a record has: header, one byte, tag. */
enum { RECORD_LEAST = RECORD_HEADER_SIZE + 1 + XAES_TAG_SIZE };

static enum status footer_of(uint64_t offset, uint32_t length)
{
    struct pack_footer footer = {.index_offset = offset, .index_length = length};
    struct pack_footer read = {0};
    uint8_t bytes[PACK_FOOTER_SIZE];
    struct error err = {0};

    pack_footer_encode(&footer, bytes);

    enum status st = pack_footer_decode(slice_of(bytes, sizeof(bytes)), &read, &err);

    if (st == STATUS_OK)
        assert_true(read.index_offset == offset && read.index_length == length);
    return st;
}

static void a_footer_points_at_a_possible_place_only(void **state)
{
    (void)state;
    assert_int_equal(footer_of(PACK_HEADER_SIZE, RECORD_LEAST), STATUS_OK);
    assert_int_equal(footer_of(UINT64_MAX - RECORD_SIZE_MAX, RECORD_SIZE_MAX), STATUS_OK);
    assert_int_equal(footer_of(PACK_HEADER_SIZE - 1, RECORD_LEAST), STATUS_CORRUPT);
    assert_int_equal(footer_of(PACK_HEADER_SIZE, RECORD_LEAST - 1), STATUS_CORRUPT);
    assert_int_equal(footer_of(PACK_HEADER_SIZE, RECORD_SIZE_MAX + 1), STATUS_CORRUPT);
    assert_int_equal(footer_of(UINT64_MAX, RECORD_LEAST), STATUS_CORRUPT);
}

/* ---- The index ---- */

static struct pack_entry example_entry(uint64_t offset)
{
    struct pack_entry entry = {
        .number = offset + 7,
        .offset = offset,
        .length = 200,
        .kind = KIND_NODE + 2,
    };

    memset(entry.domain.bytes, 0xd0, RANDOM_ID_SIZE);
    memset(entry.id.bytes, (int)(offset & 0xff), ID_SIZE);
    return entry;
}

struct expected {
    const struct pack_entry *entries;
    size_t count;
    size_t stop_at; /* the entry whose call fails; SIZE_MAX: none */
};

static enum status compare_entry(void *arg, const struct pack_entry *entry, struct error *err)
{
    struct expected *expected = arg;
    const struct pack_entry *want = &expected->entries[expected->count];

    if (expected->count == expected->stop_at)
        return error_set(err, STATUS_CANCELLED, "stopped");
    assert_true(entry->number == want->number && entry->offset == want->offset);
    assert_true(id_equal(&entry->id, &want->id));
    assert_int_equal(entry->length, want->length);
    assert_int_equal(entry->kind, want->kind);
    expected->count++;
    return STATUS_OK;
}

static void the_index_reads_back_in_order(void **state)
{
    const struct pack_entry entries[] = {example_entry(52), example_entry(252), example_entry(999)};
    struct expected expected = {.entries = entries, .stop_at = SIZE_MAX};
    struct buffer stored;
    struct error err = {0};

    (void)state;
    buffer_init(&stored, 4096);
    for (size_t i = 0; i < 3; i++)
        pack_entry_encode(&entries[i], &stored);
    assert_int_equal(stored.size, 3 * PACK_ENTRY_SIZE);
    ASSERT_OK(pack_entries_decode(buffer_slice(&stored), compare_entry, &expected, &err), &err);
    assert_int_equal(expected.count, 3);
    expected = (struct expected){.entries = entries, .stop_at = 1};
    ASSERT_STATUS(STATUS_CANCELLED,
                  pack_entries_decode(buffer_slice(&stored), compare_entry, &expected, &err), &err);
    assert_int_equal(expected.count, 1);
    buffer_deinit(&stored);
}

static enum status ignore_entry(void *arg, const struct pack_entry *entry, struct error *err)
{
    (void)arg;
    (void)entry;
    (void)err;
    return STATUS_OK;
}

static enum status decode_entries(struct slice stored)
{
    struct error err = {0};

    return pack_entries_decode(stored, ignore_entry, NULL, &err);
}

/* An index of FIRST and SECOND. */
static enum status decode_two(struct pack_entry first, struct pack_entry second)
{
    struct buffer stored;

    buffer_init(&stored, 4096);
    pack_entry_encode(&first, &stored);
    pack_entry_encode(&second, &stored);

    enum status st = decode_entries(buffer_slice(&stored));

    buffer_deinit(&stored);
    return st;
}

static void an_entry_that_cannot_be_is_refused(void **state)
{
    struct pack_entry first = example_entry(52);
    struct pack_entry bad = example_entry(252);

    (void)state;
    assert_int_equal(decode_two(first, bad), STATUS_OK);
    bad.number = 0;
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    bad = example_entry(252);
    bad.id = (struct id){{0}};
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    bad = example_entry(252);
    bad.kind = 0;
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    bad.kind = KIND_PACK_INDEX;
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    bad = example_entry(252);
    bad.length = RECORD_LEAST - 1;
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    bad.length = RECORD_SIZE_MAX + 1;
    assert_int_equal(decode_two(first, bad), STATUS_CORRUPT);
    assert_int_equal(decode_two(first, example_entry(251)), STATUS_CORRUPT); /* overlaps */
    assert_int_equal(decode_two(example_entry(252), first), STATUS_CORRUPT); /* falls */
    assert_int_equal(decode_two(example_entry(51), first), STATUS_CORRUPT);  /* in the header */
    assert_int_equal(decode_two(first, example_entry(UINT64_MAX - 100)), STATUS_CORRUPT);
}

static void an_index_of_other_lengths_is_refused(void **state)
{
    struct pack_entry entry = example_entry(52);
    struct buffer stored;

    (void)state;
    buffer_init(&stored, 4096);
    assert_int_equal(decode_entries(buffer_slice(&stored)), STATUS_CORRUPT);
    pack_entry_encode(&entry, &stored);
    assert_int_equal(decode_entries(buffer_slice(&stored)), STATUS_OK);
    for (size_t size = 0; size < PACK_ENTRY_SIZE; size++)
        assert_int_equal(decode_entries(slice_of(stored.data, size)), STATUS_CORRUPT);
    for (size_t at = PACK_ENTRY_SIZE - 3; at < PACK_ENTRY_SIZE; at++) { /* the zeros */
        stored.data[at] = 1;
        assert_int_equal(decode_entries(buffer_slice(&stored)), STATUS_CORRUPT);
        stored.data[at] = 0;
    }
    buffer_put_u8(&stored, 0);
    assert_int_equal(decode_entries(buffer_slice(&stored)), STATUS_CORRUPT);
    buffer_deinit(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_the_rest_are_of_two_classes),
        cmocka_unit_test(a_header_reads_back),
        cmocka_unit_test(any_changed_bit_of_header_or_footer_is_found),
        cmocka_unit_test(a_sound_header_with_wrong_values_is_refused),
        cmocka_unit_test(a_footer_points_at_a_possible_place_only),
        cmocka_unit_test(the_index_reads_back_in_order),
        cmocka_unit_test(an_entry_that_cannot_be_is_refused),
        cmocka_unit_test(an_index_of_other_lengths_is_refused),
    };

    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
