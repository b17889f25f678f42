#include "base/buffer.h"

#include <string.h>

#include "base/fault.h"
#include "tests/support/test.h"

static void numbers_are_written_little_endian(void **state)
{
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
                                       0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 'e',  'n',  'd'};
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    buffer_init(&buffer, 100);
    buffer_put_u8(&buffer, 0x01);
    buffer_put_u16le(&buffer, 0x0203);
    buffer_put_u32le(&buffer, 0x04050607);
    buffer_put_u64le(&buffer, 0x08090a0b0c0d0e0f);
    buffer_put(&buffer, slice_of_text("end"));
    buffer_put(&buffer, slice_of(NULL, 0));
    ASSERT_OK(buffer_check(&buffer, "a header", &err), &err);
    assert_true(slice_equal(buffer_slice(&buffer), slice_of(expected, sizeof(expected))));
    buffer_deinit(&buffer);
}

static void no_bytes_need_no_memory_and_are_no_failure(void **state)
{
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    buffer_init(&buffer, 10);
    assert_null(buffer_extend(&buffer, 0));
    ASSERT_OK(buffer_check(&buffer, "nothing", &err), &err);
    buffer_put_u8(&buffer, 1);
    assert_non_null(buffer_extend(&buffer, 0));
    assert_int_equal(buffer_slice(&buffer).size, 1);
    buffer_deinit(&buffer);
}

static void a_full_buffer_refuses_and_stays_as_it_was(void **state)
{
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    buffer_init(&buffer, 10);
    buffer_put(&buffer, slice_of_text("12345678"));
    assert_int_equal(buffer_room(&buffer), 2);
    buffer_put(&buffer, slice_of_text("abc"));
    buffer_put_u8(&buffer, 'd'); /* would fit, but what came before it is missing */
    assert_null(buffer_extend(&buffer, 1));
    assert_true(slice_equal(buffer_slice(&buffer), slice_of_text("12345678")));
    ASSERT_STATUS(STATUS_EXHAUSTED, buffer_check(&buffer, "the manifest", &err), &err);
    assert_string_equal(err.text,
                        "the manifest is too large: 8 bytes and 3 more are over the limit of 10");
    buffer_clear(&buffer);
    buffer_put(&buffer, slice_of_text("1234567890"));
    ASSERT_OK(buffer_check(&buffer, "the manifest", &err), &err);
    buffer_deinit(&buffer);
}

static void a_buffer_filled_byte_by_byte_up_to_its_limit_holds_every_byte(void **state)
{
    enum { LIMIT = 100003 };
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    buffer_init(&buffer, LIMIT);
    for (unsigned i = 0; i < LIMIT; i++)
        buffer_put_u8(&buffer, (uint8_t)(i % 251));
    ASSERT_OK(buffer_check(&buffer, "bytes", &err), &err);
    assert_int_equal(buffer_room(&buffer), 0);
    assert_int_equal(buffer.capacity, LIMIT);
    for (unsigned i = 0; i < LIMIT; i++)
        assert_int_equal(buffer_slice(&buffer).data[i], i % 251);
    buffer_deinit(&buffer);
}

static void a_size_near_the_end_of_the_address_space_is_refused(void **state)
{
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    buffer_init(&buffer, 100);
    buffer_put_u8(&buffer, 1);
    assert_null(buffer_extend(&buffer, SIZE_MAX));
    ASSERT_STATUS(STATUS_EXHAUSTED, buffer_check(&buffer, "a message", &err), &err);
    buffer_deinit(&buffer);
}

static void want_of_memory_is_said_and_loses_nothing(void **state)
{
    struct faults *faults = faults_new();
    struct buffer buffer;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    buffer_init(&buffer, 1000);
    buffer_put(&buffer, slice_of_text("kept"));
    faults_arm(faults, FAULT_ALLOC, 1);
    assert_null(buffer_extend(&buffer, 900));
    assert_true(faults_fired(faults));
    ASSERT_STATUS(STATUS_EXHAUSTED, buffer_check(&buffer, "a message", &err), &err);
    assert_string_equal(err.text, "no memory: 904 bytes for a message");
    assert_true(slice_equal(buffer_slice(&buffer), slice_of_text("kept")));
    buffer_deinit(&buffer);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_little_endian),
        cmocka_unit_test(no_bytes_need_no_memory_and_are_no_failure),
        cmocka_unit_test(a_full_buffer_refuses_and_stays_as_it_was),
        cmocka_unit_test(a_buffer_filled_byte_by_byte_up_to_its_limit_holds_every_byte),
        cmocka_unit_test(a_size_near_the_end_of_the_address_space_is_refused),
        cmocka_unit_test(want_of_memory_is_said_and_loses_nothing),
    };

    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
