#include <string.h>

#include "agent/read_plan.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { BLOCK_SIZE = 4096, MAP_BLOCKS = 301 };

#define BLOCK UINT64_C(4096)
#define MIB   (UINT64_C(1024) * 1024)

static void answer(struct read_plan *plan, struct range range, uint64_t covered_to)
{
    struct range_list *list = read_plan_ranges(plan);
    struct error err = {0};

    ASSERT_OK(range_list_add(list, range, &err), &err);
    ASSERT_OK(read_plan_found(plan, covered_to, &err), &err);
}

static void assert_next(struct read_plan *plan, uint64_t offset, uint64_t length)
{
    struct range piece = {0};

    assert_true(read_plan_next(plan, &piece));
    assert_int_equal(piece.offset, offset);
    assert_int_equal(piece.length, length);
}

static void ranges_are_widened_to_blocks_and_the_end_is_short(void **state)
{
    struct read_plan plan;
    struct range piece = {0};

    (void)state;
    read_plan_init(&plan, 10 * BLOCK + 512, BLOCK_SIZE);
    answer(&plan, (struct range){BLOCK + 1, 1}, 5 * BLOCK);
    assert_next(&plan, BLOCK, BLOCK);
    assert_false(read_plan_next(&plan, &piece));
    assert_false(read_plan_done(&plan));
    assert_int_equal(read_plan_ask_from(&plan), 5 * BLOCK);
    answer(&plan, (struct range){10 * BLOCK + 100, 1}, 10 * BLOCK + 512);
    assert_next(&plan, 10 * BLOCK, 512);
    assert_true(read_plan_done(&plan));
    assert_int_equal(plan.to_read, BLOCK + 512);
    read_plan_deinit(&plan);
}

static void block_on_the_edge_of_two_answers_is_read_once(void **state)
{
    struct read_plan plan;

    (void)state;
    read_plan_init(&plan, 4 * BLOCK, BLOCK_SIZE);
    answer(&plan, (struct range){BLOCK, 100}, BLOCK + 100); /* ends within the block */
    assert_next(&plan, BLOCK, BLOCK);
    answer(&plan, (struct range){BLOCK + 100, BLOCK}, 4 * BLOCK);
    assert_next(&plan, 2 * BLOCK, BLOCK);
    assert_true(read_plan_done(&plan));
    assert_int_equal(plan.to_read, 2 * BLOCK);
    read_plan_deinit(&plan);
}

static void long_ranges_are_cut_into_pieces(void **state)
{
    struct read_plan plan;

    (void)state;
    read_plan_init(&plan, 3 * MIB, BLOCK_SIZE);
    answer(&plan, (struct range){BLOCK, 2 * MIB}, 3 * MIB);
    assert_next(&plan, BLOCK, MIB);
    assert_next(&plan, BLOCK + MIB, MIB);
    assert_true(read_plan_done(&plan));
    read_plan_deinit(&plan);
}

static void ranges_past_the_end_of_the_disk_are_dropped(void **state)
{
    struct read_plan plan;

    (void)state;
    read_plan_init(&plan, BLOCK, BLOCK_SIZE);
    answer(&plan, (struct range){0, 100 * BLOCK}, BLOCK);
    assert_next(&plan, 0, BLOCK);
    assert_true(read_plan_done(&plan));
    assert_int_equal(plan.to_read, BLOCK);
    read_plan_deinit(&plan);
}

static void answers_that_get_no_further_or_look_back_are_refused(void **state)
{
    struct read_plan plan;
    struct error err = {0};

    (void)state;
    read_plan_init(&plan, 10 * BLOCK, BLOCK_SIZE);
    answer(&plan, (struct range){0}, 2 * BLOCK);
    (void)read_plan_ranges(&plan);
    ASSERT_STATUS(STATUS_CORRUPT, read_plan_found(&plan, 2 * BLOCK, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, read_plan_found(&plan, 11 * BLOCK, &err), &err);
    ASSERT_OK(range_list_add(read_plan_ranges(&plan), (struct range){BLOCK, BLOCK}, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, read_plan_found(&plan, 3 * BLOCK, &err), &err);
    read_plan_deinit(&plan);
}

static void disk_that_cannot_answer_is_read_whole_from_there(void **state)
{
    struct read_plan plan;
    struct error err = {0};

    (void)state;
    read_plan_init(&plan, 10 * BLOCK, BLOCK_SIZE);
    answer(&plan, (struct range){0}, 2 * BLOCK + 1);
    /* A part of an answer, before it failed. */
    ASSERT_OK(range_list_add(read_plan_ranges(&plan), (struct range){5 * BLOCK, 1}, &err), &err);
    ASSERT_OK(read_plan_take_rest(&plan, &err), &err);
    assert_next(&plan, 2 * BLOCK, 8 * BLOCK);
    assert_true(read_plan_done(&plan));
    read_plan_deinit(&plan);
}

/* Answers PLAN's question about a disk of SIZE bytes, as far as chance has it; WANTED gets the blocks. */
static void answer_randomly(struct read_plan *plan, struct random_seeded *random, uint64_t size,
                            bool wanted[MAP_BLOCKS])
{
    uint64_t from = read_plan_ask_from(plan);
    uint64_t to = from + 1 + random_seeded_below(random, size - from);
    struct range_list *list = read_plan_ranges(plan);
    struct error err = {0};
    uint64_t at = from;

    for (unsigned i = 0; i < 8 && at < to; i++) {
        uint64_t offset = at + random_seeded_below(random, to - at);
        uint64_t length = 1 + random_seeded_below(random, to - offset);

        ASSERT_OK(range_list_add(list, (struct range){offset, length}, &err), &err);
        for (uint64_t b = offset / plan->block_size; b * plan->block_size < offset + length; b++)
            wanted[b] = true;
        at = offset + length;
    }
    ASSERT_OK(read_plan_found(plan, to, &err), &err);
}

/* A disk of up to 300 blocks, told in random answers, against a map of its blocks. */
static void tell_random_disk(struct random_seeded *random)
{
    uint32_t block_size = UINT32_C(512) << random_seeded_below(random, 12);
    uint64_t size = 512 * (1 + random_seeded_below(random, (uint64_t)block_size * 300 / 512));
    bool wanted[MAP_BLOCKS] = {false};
    bool planned[MAP_BLOCKS] = {false};
    struct read_plan plan;
    struct range piece = {0};
    uint64_t bytes = 0;
    uint64_t last_end = 0;

    read_plan_init(&plan, size, block_size);
    while (!read_plan_done(&plan)) {
        if (read_plan_next(&plan, &piece)) {
            assert_true(piece.offset >= last_end && piece.length > 0);
            assert_true(piece.length <= READ_PLAN_PIECE_MAX);
            assert_int_equal(piece.offset % block_size, 0);
            last_end = piece.offset + piece.length;
            assert_true(last_end % block_size == 0 || last_end == size);
            for (uint64_t b = piece.offset / block_size; b * block_size < last_end; b++)
                planned[b] = true;
            bytes += piece.length;
            continue;
        }

        answer_randomly(&plan, random, size, wanted);
    }
    assert_memory_equal(wanted, planned, sizeof(wanted));
    assert_int_equal(plan.to_read, bytes);
    read_plan_deinit(&plan);
}

static void random_answers_plan_exactly_the_blocks_that_they_touch(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("read_plan"));

    (void)state;
    for (unsigned i = 0; i < 2000; i++)
        tell_random_disk(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_widened_to_blocks_and_the_end_is_short),
        cmocka_unit_test(block_on_the_edge_of_two_answers_is_read_once),
        cmocka_unit_test(long_ranges_are_cut_into_pieces),
        cmocka_unit_test(ranges_past_the_end_of_the_disk_are_dropped),
        cmocka_unit_test(answers_that_get_no_further_or_look_back_are_refused),
        cmocka_unit_test(disk_that_cannot_answer_is_read_whole_from_there),
        cmocka_unit_test(random_answers_plan_exactly_the_blocks_that_they_touch),
    };

    return cmocka_run_group_tests_name("agent_read_plan", tests, NULL, NULL);
}
