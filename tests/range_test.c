#include "base/range.h"

#include <string.h>

#include "base/fault.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

static void add(struct range_list *list, uint64_t offset, uint64_t length)
{
    struct error err = {0};
    struct range range = {.offset = offset, .length = length};

    ASSERT_OK(range_list_add(list, range, &err), &err);
}

static void assert_ranges(const struct range_list *list, const struct range *expected, size_t count)
{
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(list->ranges[i].offset == expected[i].offset);
        assert_true(list->ranges[i].length == expected[i].length);
    }
}

static void ranges_that_touch_or_overlap_become_one(void **state)
{
    const struct range expected[] = {{0, 30}, {40, 20}, {100, 1}};
    struct range_list list;

    (void)state;
    range_list_init(&list, 100);
    add(&list, 40, 10);
    add(&list, 50, 5); /* joined at once */
    assert_int_equal(list.count, 1);
    add(&list, 10, 20);
    add(&list, 0, 10);
    add(&list, 5, 2); /* inside another */
    add(&list, 52, 8);
    add(&list, 100, 1);
    add(&list, 7, 0); /* empty: left out */
    range_list_normalize(&list);
    assert_ranges(&list, expected, 3);
    assert_int_equal(range_list_bytes(&list), 51);
    range_list_deinit(&list);
}

static void what_lies_past_the_end_of_the_disk_is_clipped(void **state)
{
    const struct range expected[] = {{0, 10}, {90, 10}};
    struct range_list list;

    (void)state;
    range_list_init(&list, 100);
    add(&list, 0, 10);
    add(&list, 90, 20);
    add(&list, 100, 5); /* begins exactly at the end */
    add(&list, 120, 5);
    range_list_clip(&list, 100);
    assert_ranges(&list, expected, 2);
    range_list_deinit(&list);
}

static void widening_goes_outwards_only(void **state)
{
    const struct range expected[] = {{0, 65536}, {131072, 131072}};
    struct range_list list;
    struct error err = {0};

    (void)state;
    range_list_init(&list, 100);
    add(&list, 1, 1);
    add(&list, 65535, 1);
    add(&list, 196607, 2); /* one byte in each of two blocks */
    ASSERT_OK(range_list_widen(&list, 65536, &err), &err);
    assert_ranges(&list, expected, 2);
    range_list_deinit(&list);
}

static void an_end_past_64_bits_is_refused_and_changes_nothing(void **state)
{
    const struct range expected[] = {{100, 1}, {UINT64_MAX - 10, 5}};
    struct range past = {.offset = UINT64_MAX - 1, .length = 3};
    struct range_list list;
    struct error err = {0};

    (void)state;
    range_list_init(&list, 100);
    add(&list, 100, 1);
    add(&list, UINT64_MAX - 10, 5);
    ASSERT_STATUS(STATUS_RANGE, range_list_add(&list, past, &err), &err);
    ASSERT_STATUS(STATUS_RANGE, range_list_widen(&list, 65536, &err), &err);
    assert_ranges(&list, expected, 2);
    range_list_deinit(&list);
}

static void a_list_refuses_more_ranges_than_its_limit(void **state)
{
    struct range one_more = {.offset = 1000, .length = 1};
    struct range touching = {.offset = 199, .length = 1};
    struct range_list list;
    struct error err = {0};

    (void)state;
    range_list_init(&list, 100);
    for (uint64_t i = 0; i < 100; i++)
        add(&list, 2 * i, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, range_list_add(&list, one_more, &err), &err);
    assert_string_equal(err.text, "more than 100 ranges");
    ASSERT_OK(range_list_add(&list, touching, &err), &err); /* needs no place of its own */
    assert_int_equal(range_list_bytes(&list), 101);
    range_list_clear(&list);
    ASSERT_OK(range_list_add(&list, one_more, &err), &err);
    range_list_deinit(&list);
}

static void want_of_memory_loses_no_range(void **state)
{
    struct faults *faults = faults_new();
    struct range range = {.offset = 5, .length = 5};
    struct range_list list;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    range_list_init(&list, 100);
    faults_arm(faults, FAULT_ALLOC, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, range_list_add(&list, range, &err), &err);
    assert_int_equal(list.count, 0);
    ASSERT_OK(range_list_add(&list, range, &err), &err);
    range_list_deinit(&list);
    faults_install(NULL);
    faults_free(faults);
}

enum { MODEL_SIZE = 512 };

/* Marks in COVERED each byte of LIST. */
static void mark(const struct range_list *list, uint8_t covered[MODEL_SIZE])
{
    memset(covered, 0, MODEL_SIZE);
    for (size_t i = 0; i < list->count; i++)
        memset(covered + list->ranges[i].offset, 1, (size_t)list->ranges[i].length);
}

static void assert_normal(const struct range_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        assert_true(list->ranges[i].length > 0);
        if (i > 0)
            assert_true(list->ranges[i].offset >
                        list->ranges[i - 1].offset + list->ranges[i - 1].length);
    }
}

static void random_lists_cover_what_a_byte_map_says(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("range"));
    struct error err = {0};

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t unit = 1 + random_seeded_below(&random, 20);
        uint8_t before[MODEL_SIZE];
        uint8_t after[MODEL_SIZE];
        struct range_list list;

        range_list_init(&list, 20);
        for (uint64_t i = random_seeded_below(&random, 20); i > 0; i--)
            add(&list, random_seeded_below(&random, 400), random_seeded_below(&random, 30));
        mark(&list, before);
        range_list_normalize(&list);
        assert_normal(&list);
        mark(&list, after);
        assert_memory_equal(before, after, sizeof(before));

        ASSERT_OK(range_list_widen(&list, unit, &err), &err);
        assert_normal(&list);
        mark(&list, after);
        for (uint64_t block = 0; block + unit <= MODEL_SIZE; block += unit) {
            uint8_t any = memchr(before + block, 1, (size_t)unit) != NULL;

            for (uint64_t i = 0; i < unit; i++)
                assert_int_equal(after[block + i], any);
        }

        size_t size = (size_t)random_seeded_below(&random, sizeof(before) + 1);

        memcpy(before, after, size);
        memset(before + size, 0, sizeof(before) - size);
        range_list_clip(&list, size);
        assert_normal(&list);
        mark(&list, after);
        assert_memory_equal(before, after, sizeof(before));
        range_list_deinit(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_that_touch_or_overlap_become_one),
        cmocka_unit_test(what_lies_past_the_end_of_the_disk_is_clipped),
        cmocka_unit_test(widening_goes_outwards_only),
        cmocka_unit_test(an_end_past_64_bits_is_refused_and_changes_nothing),
        cmocka_unit_test(a_list_refuses_more_ranges_than_its_limit),
        cmocka_unit_test(want_of_memory_loses_no_range),
        cmocka_unit_test(random_lists_cover_what_a_byte_map_says),
    };

    return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
