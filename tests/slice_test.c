#include "base/slice.h"

#include "tests/support/test.h"

static void slices_are_equal_when_their_bytes_are(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_of_text("block"), slice_of("block", 5)));
    assert_false(slice_equal(slice_of_text("block"), slice_of_text("blocks")));
    assert_false(slice_equal(slice_of_text("block"), slice_of_text("clock")));
    assert_true(slice_equal(slice_of(NULL, 0), slice_of_text("")));
}

static void one_byte_that_is_not_zero_is_found_wherever_it_lies(void **state)
{
    uint8_t bytes[300] = {0};

    (void)state;
    assert_true(slice_is_zero(slice_of(bytes, sizeof(bytes))));
    assert_true(slice_is_zero(slice_of(NULL, 0)));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 0x80;
        assert_false(slice_is_zero(slice_of(bytes, sizeof(bytes))));
        assert_true(slice_is_zero(slice_of(bytes, i)));
        bytes[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_equal_when_their_bytes_are),
        cmocka_unit_test(one_byte_that_is_not_zero_is_found_wherever_it_lies),
    };

    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
