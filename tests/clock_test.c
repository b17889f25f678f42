#include "base/clock.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "tests/support/clock_manual.h"
#include "tests/support/test.h"

struct listener {
    struct clock_watcher watcher; /* first */
    const struct clock_source *clock;
    unsigned told;
    uint64_t now_ms; /* when it was told last */
    uv_thread_t thread;
};

static void hear(struct clock_watcher *watcher)
{
    struct listener *listener = (struct listener *)watcher; /* its first member */

    listener->told++;
    listener->now_ms = clock_now_ms(listener->clock);
    listener->thread = uv_thread_self();
}

static struct listener listener_of(const struct clock_source *clock)
{
    return (struct listener){.watcher = {.jumped = hear}, .clock = clock};
}

static uint64_t monotonic_ms(void)
{
    struct timespec now = {0};

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void system_time_is_the_monotonic_clock_in_milliseconds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t before = monotonic_ms();
        uint64_t now = clock_now_ms(clock_system());
        uint64_t after = monotonic_ms();

        assert_in_range(now, before, after);
    }
}

static void system_wall_time_counts_microseconds_since_1970(void **state)
{
    const uint64_t us_a_year = UINT64_C(31556952) * 1000000;

    (void)state;
    /* Whatever the machine's date is, a wrong unit is off by a factor of a thousand. */
    assert_in_range(clock_wall_us(clock_system()), 50 * us_a_year, 500 * us_a_year);
}

static void system_clock_takes_watchers_and_leaves_them_alone(void **state)
{
    struct listener listener = listener_of(clock_system());
    struct clock_watcher *mark = &listener.watcher;

    (void)state;
    listener.watcher.next = mark;
    clock_watch(clock_system(), &listener.watcher);
    clock_unwatch(clock_system(), &listener.watcher);
    assert_ptr_equal(listener.watcher.next, mark);
    assert_int_equal(listener.told, 0);
}

static void manual_time_moves_only_when_stepped(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    const struct clock_source *clock = clock_manual_source(manual);

    (void)state;
    assert_int_equal(clock_now_ms(clock), CLOCK_MANUAL_START_MS);
    assert_int_equal(clock_wall_us(clock), CLOCK_MANUAL_START_WALL_US);
    clock_manual_advance_ms(manual, 7);
    assert_int_equal(clock_now_ms(clock), CLOCK_MANUAL_START_MS + 7);
    assert_int_equal(clock_wall_us(clock), CLOCK_MANUAL_START_WALL_US + 7000);
    assert_int_equal(clock_now_ms(clock), CLOCK_MANUAL_START_MS + 7);
    clock_manual_free(manual);
}

static void manual_wall_time_jumps_without_the_monotonic_one(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    const struct clock_source *clock = clock_manual_source(manual);
    struct listener listener = listener_of(clock);

    (void)state;
    clock_watch(clock, &listener.watcher);
    clock_manual_set_wall_us(manual, -5);
    assert_int_equal(clock_wall_us(clock), -5);
    assert_int_equal(clock_now_ms(clock), CLOCK_MANUAL_START_MS);
    assert_int_equal(listener.told, 1);
    clock_manual_advance_ms(manual, 1);
    assert_int_equal(clock_wall_us(clock), 995);
    clock_unwatch(clock, &listener.watcher);
    clock_manual_free(manual);
}

static void each_watcher_hears_of_each_step_once_until_it_leaves(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    const struct clock_source *clock = clock_manual_source(manual);
    struct listener listeners[3] = {listener_of(clock), listener_of(clock), listener_of(clock)};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        clock_watch(clock, &listeners[i].watcher);
    clock_manual_advance_ms(manual, 1);
    clock_unwatch(clock, &listeners[1].watcher); /* neither the first nor the last of the list */
    clock_manual_advance_ms(manual, 1);
    clock_unwatch(clock, &listeners[2].watcher);
    clock_manual_advance_ms(manual, 1);
    clock_unwatch(clock, &listeners[0].watcher);
    clock_manual_advance_ms(manual, 1);
    assert_int_equal(listeners[0].told, 3);
    assert_int_equal(listeners[1].told, 1);
    assert_int_equal(listeners[2].told, 2);
    clock_manual_free(manual);
}

static void step_once(void *arg)
{
    clock_manual_advance_ms(arg, 40);
}

static void watchers_see_the_new_time_on_the_thread_that_steps(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    const struct clock_source *clock = clock_manual_source(manual);
    struct listener listener = listener_of(clock);
    uv_thread_t thread;

    (void)state;
    clock_watch(clock, &listener.watcher);
    assert_int_equal(uv_thread_create(&thread, step_once, manual), 0);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(listener.now_ms, CLOCK_MANUAL_START_MS + 40);
    assert_true(uv_thread_equal(&listener.thread, &thread) != 0);
    clock_unwatch(clock, &listener.watcher);
    clock_manual_free(manual);
}

enum { STEPS = 20000, READERS = 3 };

struct reader {
    const struct clock_source *clock;
    unsigned went_back;
};

static void read_until_the_end(void *arg)
{
    struct reader *reader = arg;
    const uint64_t start_ms = CLOCK_MANUAL_START_MS;
    uint64_t last_ms = 0;
    int64_t last_us = 0;

    while (last_ms < start_ms + STEPS) {
        uint64_t now_ms = clock_now_ms(reader->clock);
        int64_t now_us = clock_wall_us(reader->clock);

        if (now_ms < last_ms || now_us < last_us)
            reader->went_back++;
        last_ms = now_ms;
        last_us = now_us;
    }
}

static void threads_read_while_one_steps(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    struct reader readers[READERS] = {0};
    uv_thread_t threads[READERS];

    (void)state;
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].clock = clock_manual_source(manual);
        assert_int_equal(uv_thread_create(&threads[i], read_until_the_end, &readers[i]), 0);
    }
    for (unsigned i = 0; i < STEPS; i++)
        clock_manual_advance_ms(manual, 1);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
        assert_int_equal(readers[i].went_back, 0);
    }
    clock_manual_free(manual);
}

static void a_clock_that_is_still_watched_is_not_freed(void **state)
{
    struct clock_manual *manual = clock_manual_new();
    struct listener listener = listener_of(clock_manual_source(manual));
    int result = 0;

    (void)state;
    clock_watch(clock_manual_source(manual), &listener.watcher);

    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* the line about the broken invariant is expected */
        clock_manual_free(manual);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
    clock_unwatch(clock_manual_source(manual), &listener.watcher);
    clock_manual_free(manual);
    clock_manual_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_time_is_the_monotonic_clock_in_milliseconds),
        cmocka_unit_test(system_wall_time_counts_microseconds_since_1970),
        cmocka_unit_test(system_clock_takes_watchers_and_leaves_them_alone),
        cmocka_unit_test(manual_time_moves_only_when_stepped),
        cmocka_unit_test(manual_wall_time_jumps_without_the_monotonic_one),
        cmocka_unit_test(each_watcher_hears_of_each_step_once_until_it_leaves),
        cmocka_unit_test(watchers_see_the_new_time_on_the_thread_that_steps),
        cmocka_unit_test(threads_read_while_one_steps),
        cmocka_unit_test(a_clock_that_is_still_watched_is_not_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
