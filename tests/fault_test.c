#include "base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "base/memory.h"
#include "tests/support/fail_each.h"
#include "tests/support/test.h"

enum { CAN_FAIL = 1U << FAULT_FAIL };

static int set_up(void **state)
{
    struct faults *faults = faults_new();

    faults_install(faults);
    *state = faults;
    return faults == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    faults_install(NULL);
    faults_free(*state);
    return 0;
}

/* Runs WHAT in a child process and returns the signal that ended it; 0: none did. */
static int signal_of(void (*what)(struct faults *faults), struct faults *faults)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* what a broken invariant prints is expected */
        what(faults);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void nothing_fails_that_is_not_armed(void **state)
{
    struct error err = {0};

    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
    assert_int_equal(fault_point("test.point", &err), STATUS_OK);
    assert_false(faults_fired(*state));
    assert_int_equal(faults_hits(*state, "fs.open"), 1);
    assert_int_equal(faults_hits(*state, "fs.close"), 0);
}

static void nothing_is_counted_without_a_table(void **state)
{
    faults_install(NULL);
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
    assert_int_equal(faults_hits(*state, "fs.open"), 0);
}

static void nth_hit_of_a_point_fails_once(void **state)
{
    struct error err = {0};

    faults_arm_point(*state, "test.point", 3, FAULT_FAIL);
    for (unsigned hit = 1; hit <= 6; hit++) {
        enum status expected = hit == 3 ? STATUS_UNAVAILABLE : STATUS_OK;

        assert_int_equal(fault_point("test.other", &err), STATUS_OK);
        assert_int_equal(fault_point("test.point", &err), expected);
        assert_int_equal(faults_fired(*state), hit >= 3);
    }
    assert_string_equal(err.text, "fault on purpose at test.point");
    assert_int_equal(faults_hits(*state, "test.point"), 6);
}

static void nth_hit_of_the_armed_classes_fails_once(void **state)
{
    faults_arm(*state, FAULT_IO | FAULT_ALLOC, 2);
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
    assert_int_equal(fault_hit(FAULT_POINT, "test.point", CAN_FAIL), FAULT_NONE);
    assert_int_equal(fault_hit(FAULT_ALLOC, "memory.new", CAN_FAIL), FAULT_FAIL);
    assert_int_equal(fault_hit(FAULT_ALLOC, "memory.new", CAN_FAIL), FAULT_NONE);
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
    assert_true(faults_fired(*state));
}

static void armed_allocation_fails(void **state)
{
    faults_arm(*state, FAULT_ALLOC, 2);
    void *first = memory_new(1, 1);
    void *second = memory_new(1, 1);

    assert_non_null(first);
    assert_null(second);
    memory_free(first);
}

static void arming_forgets_what_was_armed_and_counted(void **state)
{
    struct error err = {0};

    faults_arm_point(*state, "test.point", 1, FAULT_FAIL);
    assert_int_equal(fault_point("test.point", &err), STATUS_UNAVAILABLE);
    faults_arm(*state, FAULT_IO, 1);
    assert_false(faults_fired(*state));
    assert_int_equal(faults_hits(*state, "test.point"), 0);
    assert_int_equal(fault_point("test.point", &err), STATUS_OK);
    faults_arm_point(*state, "test.other", 1, FAULT_FAIL);
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
}

static void disarming_keeps_whether_something_fired(void **state)
{
    faults_arm(*state, FAULT_IO, 1);
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_FAIL);
    faults_arm(*state, 0, 0);
    assert_true(faults_fired(*state));
    assert_int_equal(fault_hit(FAULT_IO, "fs.open", CAN_FAIL), FAULT_NONE);
    faults_arm(*state, FAULT_IO, 5);
    faults_arm(*state, 0, 0);
    assert_false(faults_fired(*state));
}

struct seen {
    const char *names[4];
    uint64_t hits[4];
    size_t count;
};

static void see(void *arg, const char *name, uint64_t hits)
{
    struct seen *seen = arg;

    assert_true(seen->count < 4);
    seen->names[seen->count] = name;
    seen->hits[seen->count] = hits;
    seen->count++;
}

static void points_are_listed_in_the_order_of_their_first_hit(void **state)
{
    struct seen seen = {.count = 0};
    struct error err = {0};

    assert_int_equal(fault_point("test.second", &err), STATUS_OK);
    assert_int_equal(fault_point("test.first", &err), STATUS_OK);
    assert_int_equal(fault_point("test.second", &err), STATUS_OK);
    faults_each(*state, see, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.names[0], "test.second");
    assert_int_equal(seen.hits[0], 2);
    assert_string_equal(seen.names[1], "test.first");
    assert_int_equal(seen.hits[1], 1);
}

static void text_arms_a_point(void **state)
{
    struct error err = {0};

    assert_int_equal(faults_parse(*state, "test.point=fail@2", &err), STATUS_OK);
    assert_int_equal(fault_point("test.point", &err), STATUS_OK);
    assert_int_equal(fault_point("test.point", &err), STATUS_UNAVAILABLE);
}

static void text_names_every_action(void **state)
{
    static const struct {
        const char *text;
        enum fault_action action;
    } actions[] = {
        {"p=fail@1", FAULT_FAIL}, {"p=full@1", FAULT_FULL}, {"p=short@1", FAULT_SHORT},
        {"p=torn@1", FAULT_TORN}, {"p=lose@1", FAULT_LOSE}, {"p=after@1", FAULT_AFTER},
    };

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        struct error err = {0};

        assert_int_equal(faults_parse(*state, actions[i].text, &err), STATUS_OK);
        assert_int_equal(fault_hit(FAULT_IO, "p", 0xffU), actions[i].action);
    }
}

static void text_that_arms_nothing_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "test.point",
        "test.point=fail",
        "test.point@1",
        "=fail@1",
        "p=none@1",
        "p=FAIL@1",
        "p=@1",
        "p=fail@",
        "p=fail@0",
        "p=fail@-1",
        "p=fail@1x",
        "p=fail@ 1",
        "p=failed@1",
        "p@1=fail",
        "p=fail@007",
        "p=fail@1@2",
        "p=fail=fail@1",
        "p=fail@18446744073709551616",
        "p=fail@1~",
        "p=fail@1~x",
        "p=fail@1~-1",
        "p=fail@1~1~1",
        "p=fail@1~18446744073709551616",
        "p=fail@~1",
        "p=fail@0~1",
        "p=fail~1@1",
        "p=fail@000000000000000000000000000000000000000000000000000000000000001",
        "p=fail@1000000000000000000000000000000000000000000000000000000000000000~1",
        "a-name-of-sixty-four-bytes-is-one-more-than-a-point-can-have-0-1=fail@1",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error err = {0};

        assert_int_equal(faults_parse(*state, texts[i], &err), STATUS_INVALID);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(fault_hit(FAULT_IO, "p", 0xffU), FAULT_NONE);
    }
}

/* The next COUNT draws. */
static void draw(uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(fault_draw(1000, &numbers[i]));
}

static void variation_draws_the_same_numbers_again(void **state)
{
    uint64_t first[8] = {0};
    uint64_t again[8] = {0};
    uint64_t other[8] = {0};

    faults_arm_point(*state, "test.point", 1, FAULT_FAIL);
    faults_vary(*state, 77);
    draw(first, 8);
    faults_vary(*state, 77);
    draw(again, 8);
    faults_vary(*state, 78);
    draw(other, 8);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, other, sizeof(first));
    for (size_t i = 0; i < 8; i++)
        assert_true(first[i] < 1000);
    assert_memory_not_equal(&first[0], &first[1], sizeof(first[0]));
}

static void arming_anew_forgets_the_variation(void **state)
{
    uint64_t number = 99;

    assert_false(fault_draw(10, &number)); /* nothing is armed */
    faults_vary(*state, 5);
    assert_true(fault_draw(10, &number));
    faults_arm_point(*state, "test.point", 1, FAULT_FAIL);
    number = 99;
    assert_false(fault_draw(10, &number));
    faults_vary(*state, 5);
    faults_arm(*state, FAULT_IO, 1);
    assert_false(fault_draw(10, &number));
    faults_vary(*state, 5);
    faults_vary(*state, 0);
    assert_false(fault_draw(10, &number));
    faults_vary(*state, 5);
    faults_install(NULL);
    assert_false(fault_draw(10, &number));
    assert_int_equal(number, 99);
}

static void text_carries_a_variation(void **state)
{
    uint64_t called[4] = {0};
    uint64_t parsed[4] = {0};
    struct error err = {0};

    faults_vary(*state, 77);
    draw(called, 4);
    assert_int_equal(faults_parse(*state, "p=torn@3~77", &err), STATUS_OK);
    draw(parsed, 4);
    assert_memory_equal(called, parsed, sizeof(called));
    assert_int_equal(fault_hit(FAULT_IO, "p", 1U << FAULT_TORN), FAULT_NONE);
    assert_int_equal(fault_hit(FAULT_IO, "p", 1U << FAULT_TORN), FAULT_NONE);
    assert_int_equal(fault_hit(FAULT_IO, "p", 1U << FAULT_TORN), FAULT_TORN);
    assert_int_equal(faults_parse(*state, "p=torn@3~0", &err), STATUS_OK);
    assert_false(fault_draw(10, parsed));
    assert_int_equal(faults_parse(*state, "p=torn@3", &err), STATUS_OK);
    assert_false(fault_draw(10, parsed));
}

static void hit_armed_kill(struct faults *faults)
{
    struct error err = {0};

    DISCARD(faults_parse(faults, "test.point=kill@2", &err)); /* else no kill comes */
    DISCARD(fault_point("test.point", &err));
    DISCARD(fault_point("test.point", &err));
}

static void hit_before_armed_kill(struct faults *faults)
{
    struct error err = {0};

    faults_arm_point(faults, "test.point", 2, FAULT_KILL);
    DISCARD(fault_point("test.point", &err));
}

static void armed_kill_ends_the_process_at_that_hit(void **state)
{
    assert_int_equal(signal_of(hit_armed_kill, *state), SIGKILL);
    assert_int_equal(signal_of(hit_before_armed_kill, *state), 0);
}

static void arm_what_the_point_cannot_do(struct faults *faults)
{
    struct error err = {0};

    faults_arm_point(faults, "test.point", 1, FAULT_SHORT);
    DISCARD(fault_point("test.point", &err));
}

static void arm_nothing(struct faults *faults)
{
    faults_arm_point(faults, "test.point", 1, FAULT_NONE);
}

static void arm_the_hit_before_the_first(struct faults *faults)
{
    faults_arm_point(faults, "test.point", 0, FAULT_FAIL);
}

static void arm_no_class(struct faults *faults)
{
    faults_arm(faults, 0, 1);
}

static void arm_an_unknown_class(struct faults *faults)
{
    faults_arm(faults, 8 | FAULT_IO, 1);
}

static void arm_a_name_too_long(struct faults *faults)
{
    faults_arm_point(faults, "a-name-of-sixty-four-bytes-is-one-more-than-a-point-can-have-0-1", 1,
                     FAULT_FAIL);
}

static void free_what_is_installed(struct faults *faults)
{
    faults_free(faults);
}

static void nonsense_is_a_broken_invariant(void **state)
{
    assert_int_equal(signal_of(arm_what_the_point_cannot_do, *state), SIGABRT);
    assert_int_equal(signal_of(arm_nothing, *state), SIGABRT);
    assert_int_equal(signal_of(arm_the_hit_before_the_first, *state), SIGABRT);
    assert_int_equal(signal_of(arm_no_class, *state), SIGABRT);
    assert_int_equal(signal_of(arm_an_unknown_class, *state), SIGABRT);
    assert_int_equal(signal_of(arm_a_name_too_long, *state), SIGABRT);
    assert_int_equal(signal_of(free_what_is_installed, *state), SIGABRT);
}

/* Hits COUNT different points. */
static void hit_points(size_t count)
{
    static char names[257][4];

    for (size_t i = 0; i < count; i++) {
        names[i][0] = (char)('a' + (int)(i / 26));
        names[i][1] = (char)('a' + (int)(i % 26));
        (void)fault_hit(FAULT_IO, names[i], CAN_FAIL);
    }
}

static void hit_256_points(struct faults *faults)
{
    (void)faults;
    hit_points(256);
}

static void hit_257_points(struct faults *faults)
{
    (void)faults;
    hit_points(257);
}

static void table_of_points_is_bounded(void **state)
{
    assert_int_equal(signal_of(hit_256_points, *state), 0);
    assert_int_equal(signal_of(hit_257_points, *state), SIGABRT);
}

struct staller {
    uv_thread_t thread;
    enum fault_action result;
    atomic_uint *steps;
    unsigned step; /* which of the steps came after the stall, from 0 */
};

static void hit_stall(void *arg)
{
    struct staller *staller = arg;

    staller->result = fault_hit(FAULT_POINT, "test.stall", 0);
    staller->step = atomic_fetch_add(staller->steps, 1);
}

static void stalled_thread_waits_until_it_is_released(void **state)
{
    atomic_uint steps = 0;
    struct staller staller = {.result = FAULT_FAIL, .steps = &steps};

    faults_release(*state); /* of nobody: does not count */
    faults_arm_point(*state, "test.stall", 1, FAULT_STALL);
    assert_int_equal(uv_thread_create(&staller.thread, hit_stall, &staller), 0);
    faults_await_stall(*state);
    assert_true(faults_fired(*state));
    /* It holds no lock: others are counted meanwhile. */
    assert_int_equal(fault_hit(FAULT_POINT, "test.other", 0), FAULT_NONE);
    assert_int_equal(atomic_fetch_add(&steps, 1), 0);
    faults_release(*state);
    assert_int_equal(uv_thread_join(&staller.thread), 0);
    assert_int_equal(staller.step, 1);
    assert_int_equal(staller.result, FAULT_NONE);
}

struct hitter {
    uv_thread_t thread;
    unsigned failed;
};

static void hit_often(void *arg)
{
    struct hitter *hitter = arg;

    for (unsigned i = 0; i < 1000; i++)
        hitter->failed += fault_hit(FAULT_IO, "fs.read", CAN_FAIL) == FAULT_FAIL ? 1 : 0;
}

static void exactly_one_of_many_threads_is_hit(void **state)
{
    struct hitter hitters[4] = {0};
    unsigned failed = 0;

    faults_arm(*state, FAULT_IO, 1777);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(uv_thread_create(&hitters[i].thread, hit_often, &hitters[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(uv_thread_join(&hitters[i].thread), 0);
        failed += hitters[i].failed;
    }
    assert_int_equal(failed, 1);
    assert_int_equal(faults_hits(*state, "fs.read"), 4000);
}

struct attempts {
    struct faults *faults;
    uint64_t seen;  /* N of the last attempt */
    unsigned fails; /* hits that failed, in all */
};

static void hit_three_times(void *arg, uint64_t n)
{
    struct attempts *attempts = arg;

    assert_int_equal(n, attempts->seen + 1);
    attempts->seen = n;
    for (unsigned i = 0; i < 3; i++)
        attempts->fails += fault_hit(FAULT_IO, "fs.read", CAN_FAIL) == FAULT_FAIL ? 1 : 0;
    faults_arm(attempts->faults, 0, 0);
    (void)fault_hit(FAULT_IO, "fs.read", CAN_FAIL); /* looks at the damage: not an attempt */
}

static void fail_each_tries_every_hit_and_stops(void **state)
{
    struct attempts attempts = {.faults = *state};

    assert_int_equal(fail_each(*state, FAULT_IO, hit_three_times, &attempts), 3);
    assert_int_equal(attempts.seen, 4);
    assert_int_equal(attempts.fails, 3);
}

/* NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there to read the environment meanwhile */

static void environment_that_arms_nothing_is_refused_or_ignored(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(unsetenv("TIDEMARK_FAULT"), 0);
    ASSERT_OK(faults_install_from_environment(&err), &err);
    assert_int_equal(fault_hit(FAULT_POINT, "test.point", CAN_FAIL), FAULT_NONE);
    assert_int_equal(setenv("TIDEMARK_FAULT", "test.point=burn@1", 1), 0);
    ASSERT_STATUS(STATUS_INVALID, faults_install_from_environment(&err), &err);
    assert_non_null(strstr(err.text, "TIDEMARK_FAULT"));
    assert_int_equal(unsetenv("TIDEMARK_FAULT"), 0);
}

/* The last of all: what it installs stays installed. */
static void environment_arms_a_point_for_the_whole_process(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(setenv("TIDEMARK_FAULT", "test.point=fail@2", 1), 0);
    ASSERT_OK(faults_install_from_environment(&err), &err);
    ASSERT_OK(fault_point("test.point", &err), &err);
    ASSERT_STATUS(STATUS_UNAVAILABLE, fault_point("test.point", &err), &err);
    assert_int_equal(unsetenv("TIDEMARK_FAULT"), 0);
}

/* NOLINTEND(concurrency-mt-unsafe) */

static void tables_of_nobody_are_freed(void **state)
{
    (void)state;
    faults_free(NULL);
    faults_free(faults_new());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_fails_that_is_not_armed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_counted_without_a_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nth_hit_of_a_point_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nth_hit_of_the_armed_classes_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(armed_allocation_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arming_forgets_what_was_armed_and_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(disarming_keeps_whether_something_fired, set_up, tear_down),
        cmocka_unit_test_setup_teardown(points_are_listed_in_the_order_of_their_first_hit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(text_arms_a_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_names_every_action, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_that_arms_nothing_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(variation_draws_the_same_numbers_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arming_anew_forgets_the_variation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_carries_a_variation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(armed_kill_ends_the_process_at_that_hit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_a_broken_invariant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(table_of_points_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stalled_thread_waits_until_it_is_released, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(exactly_one_of_many_threads_is_hit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fail_each_tries_every_hit_and_stops, set_up, tear_down),
        cmocka_unit_test(tables_of_nobody_are_freed),
        cmocka_unit_test(environment_that_arms_nothing_is_refused_or_ignored),
        cmocka_unit_test(environment_arms_a_point_for_the_whole_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
