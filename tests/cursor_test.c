#include "base/cursor.h"

#include <string.h>

#include "tests/support/test.h"

static const uint8_t bytes[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
                                0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 'e',  'n',  'd'};

static void numbers_are_read_little_endian(void **state)
{
    struct cursor cursor = cursor_of(slice_of(bytes, sizeof(bytes)));
    char end[3];

    (void)state;
    assert_int_equal(cursor_u8(&cursor), 0x01);
    assert_int_equal(cursor_u16le(&cursor), 0x0203);
    assert_int_equal(cursor_u32le(&cursor), 0x04050607);
    assert_true(cursor_u64le(&cursor) == 0x08090a0b0c0d0e0f);
    assert_int_equal(cursor_left(&cursor), 3);
    assert_true(cursor_ok(&cursor));
    assert_false(cursor_end(&cursor));
    cursor_copy(&cursor, end, sizeof(end));
    assert_memory_equal(end, "end", 3);
    assert_true(cursor_end(&cursor));
}

static void a_read_past_the_end_gives_zero_and_is_remembered(void **state)
{
    struct cursor cursor = cursor_of(slice_of(bytes, 3));
    uint8_t copied[2] = {0xff, 0xff};

    (void)state;
    assert_int_equal(cursor_u32le(&cursor), 0);
    assert_false(cursor_ok(&cursor));
    /* Three bytes are left, but whoever reads on reads what is not the next field. */
    assert_int_equal(cursor_u8(&cursor), 0);
    cursor_copy(&cursor, copied, sizeof(copied));
    assert_int_equal(copied[0] | copied[1], 0);
    assert_int_equal(cursor_take(&cursor, 1).size, 0);
    assert_int_equal(cursor_left(&cursor), 0);
    assert_false(cursor_end(&cursor));
}

static void a_length_from_outside_cannot_wrap_around(void **state)
{
    struct cursor cursor = cursor_of(slice_of(bytes, sizeof(bytes)));

    (void)state;
    (void)cursor_u8(&cursor); /* only to move on */
    assert_int_equal(cursor_take(&cursor, SIZE_MAX).size, 0);
    assert_false(cursor_ok(&cursor));
}

static void an_empty_slice_is_at_its_end_at_once(void **state)
{
    struct cursor cursor = cursor_of(slice_of(NULL, 0));

    (void)state;
    assert_true(cursor_end(&cursor));
    assert_int_equal(cursor_take(&cursor, 0).size, 0);
    cursor_copy(&cursor, NULL, 0);
    assert_true(cursor_end(&cursor));
    assert_int_equal(cursor_u8(&cursor), 0);
    assert_false(cursor_end(&cursor));
}

static void taken_bytes_are_borrowed_not_copied(void **state)
{
    struct cursor cursor = cursor_of(slice_of(bytes, sizeof(bytes)));

    (void)state;
    assert_ptr_equal(cursor_take(&cursor, 15).data, bytes);
    assert_true(slice_equal(cursor_take(&cursor, 3), slice_of_text("end")));
    assert_true(cursor_end(&cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_little_endian),
        cmocka_unit_test(a_read_past_the_end_gives_zero_and_is_remembered),
        cmocka_unit_test(a_length_from_outside_cannot_wrap_around),
        cmocka_unit_test(an_empty_slice_is_at_its_end_at_once),
        cmocka_unit_test(taken_bytes_are_borrowed_not_copied),
    };

    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
