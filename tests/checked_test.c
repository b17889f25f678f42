#include "base/checked.h"

#include "tests/support/test.h"

static void a_sum_that_does_not_fit_is_refused(void **state)
{
    uint64_t sum = 5;

    (void)state;
    assert_true(checked_add(UINT64_MAX - 1, 1, &sum));
    assert_true(sum == UINT64_MAX);
    assert_false(checked_add(UINT64_MAX, 1, &sum));
    assert_true(sum == UINT64_MAX);
}

static void a_product_that_does_not_fit_is_refused(void **state)
{
    uint64_t product = 5;

    (void)state;
    assert_true(checked_mul(UINT32_MAX, UINT32_MAX, &product));
    assert_true(product == 0xfffffffe00000001);
    assert_false(checked_mul(1ULL << 32, 1ULL << 32, &product));
    assert_true(product == 0xfffffffe00000001);
}

static void rounding_up_past_64_bits_is_refused(void **state)
{
    uint64_t rounded = 5;

    (void)state;
    assert_true(checked_round_up(0, 65536, &rounded));
    assert_int_equal(rounded, 0);
    assert_true(checked_round_up(65537, 65536, &rounded));
    assert_int_equal(rounded, 131072);
    assert_true(checked_round_up(65536, 65536, &rounded));
    assert_int_equal(rounded, 65536);
    assert_true(checked_round_up(10, 3, &rounded)); /* no power of two is asked for */
    assert_int_equal(rounded, 12);
    assert_false(checked_round_up(UINT64_MAX - 1, 65536, &rounded));
    assert_int_equal(rounded, 12);
    assert_int_equal(checked_round_down(65535, 65536), 0);
    assert_int_equal(checked_round_down(131071, 65536), 65536);
}

static void a_disks_number_becomes_a_size_in_memory_only_if_it_fits(void **state)
{
    size_t size = 5;

    (void)state;
    assert_true(checked_size(1 << 20, &size));
    assert_int_equal(size, 1 << 20);
#if SIZE_MAX < UINT64_MAX
    assert_false(checked_size(UINT64_MAX, &size));
#else
    assert_true(checked_size(UINT64_MAX, &size));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_that_does_not_fit_is_refused),
        cmocka_unit_test(a_product_that_does_not_fit_is_refused),
        cmocka_unit_test(rounding_up_past_64_bits_is_refused),
        cmocka_unit_test(a_disks_number_becomes_a_size_in_memory_only_if_it_fits),
    };

    return cmocka_run_group_tests_name("checked", tests, NULL, NULL);
}
