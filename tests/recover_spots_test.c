#include <string.h>

#include "recover/spots.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { ROOM = 1024 * 1024, RECORDS = 10000 };

static struct spot spot_of(uint64_t number, uint32_t pack)
{
    return (struct spot){.number = number, .pack = pack, .offset = 52, .length = 200};
}

static void a_number_is_found_at_all_of_its_places(void **state)
{
    struct spots spots = {.limit = ROOM};
    const struct spot rows[] = {spot_of(7, 2), spot_of(5, 1), spot_of(7, 0), spot_of(9, 1)};
    struct error err = {0};
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ASSERT_OK(spots_add(&spots, &rows[i], &err), &err);
    ASSERT_OK(spots_sort(&spots, &err), &err);
    const struct spot *found = spots_find(&spots, 7, &count);

    assert_int_equal(count, 2);
    assert_int_equal(found[0].pack, 0);
    assert_int_equal(found[1].pack, 2);
    assert_null(spots_find(&spots, 6, &count));
    assert_null(spots_find(&spots, 0, &count));
    assert_null(spots_find(&spots, UINT64_MAX, &count));
    spots_deinit(&spots);
}

static void any_order_of_adding_gives_the_same_table(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("recover_spots"));
    struct spots spots = {.limit = ROOM};
    struct error err = {0};
    size_t count = 0;

    (void)state;
    for (uint32_t i = 0; i < RECORDS; i++) {
        const struct spot row = spot_of(random_seeded_next(&random) | 1, i);

        ASSERT_OK(spots_add(&spots, &row, &err), &err);
    }
    ASSERT_OK(spots_sort(&spots, &err), &err);
    for (size_t i = 0; i < spots.count; i++) {
        if (i > 0)
            assert_true(spots.rows[i - 1].number <= spots.rows[i].number);
        assert_non_null(spots_find(&spots, spots.rows[i].number, &count));
    }
    assert_int_equal(spots.count, RECORDS);
    spots_deinit(&spots);
}

static void beyond_its_memory_the_table_says_how_much_it_needs(void **state)
{
    struct spots spots = {.limit = UINT64_C(3) * SPOT_COST};
    struct error err = {0};

    (void)state;
    for (uint64_t i = 1; i <= ROOM; i++) {
        const struct spot row = spot_of(i, 0);

        ASSERT_OK(spots_add(&spots, &row, &err), &err);
    }
    assert_int_equal(spots.count, 3);
    ASSERT_STATUS(STATUS_EXHAUSTED, spots_sort(&spots, &err), &err);
    assert_non_null(strstr(err.text, "1048576 records need"));
    assert_non_null(strstr(err.text, "--memory"));
    spots_deinit(&spots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_found_at_all_of_its_places),
        cmocka_unit_test(any_order_of_adding_gives_the_same_table),
        cmocka_unit_test(beyond_its_memory_the_table_says_how_much_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
