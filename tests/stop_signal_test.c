#include "base/stop_signal.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

struct stopper {
    struct loop_task task; /* first */
    struct loop *loop;
    bool stopped;
    unsigned times;
};

static void on_stop(struct loop_task *task)
{
    struct stopper *stopper = (struct stopper *)task;

    stopper->stopped = true;
    stopper->times++;
    loop_stop(stopper->loop);
}

static void make(struct stopper *stopper, struct stop_signal **ret_signal)
{
    struct error err = {0};

    *stopper = (struct stopper){.task.run = on_stop};
    ASSERT_OK(loop_new(clock_system(), &stopper->loop, &err), &err);
    ASSERT_OK(stop_signal_new(stopper->loop, &stopper->task, ret_signal, &err), &err);
}

static void each_signal_stops_the_loop_once(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct stopper stopper;
    struct stop_signal *signal = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        make(&stopper, &signal);
        assert_int_equal(kill(getpid(), signals[i]), 0);
        loop_wait(stopper.loop, &stopper.stopped);
        stop_signal_free(signal);
        assert_int_equal(stopper.times, 1);
        loop_free(stopper.loop);
    }
}

static void freed_without_a_signal_nothing_is_told(void **state)
{
    struct stopper stopper;
    struct stop_signal *signal = NULL;
    struct error err = {0};
    sigset_t blocked;

    (void)state;
    make(&stopper, &signal);
    stop_signal_free(signal);
    stop_signal_free(NULL);
    loop_stop(stopper.loop);
    ASSERT_OK(loop_run(stopper.loop, &err), &err);
    assert_int_equal(stopper.times, 0);
    loop_free(stopper.loop);
    /* And the signals mean again what they meant before. */
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    assert_false(sigismember(&blocked, SIGTERM) || sigismember(&blocked, SIGINT));
}

static void closed_pipe_does_not_end_the_process(void **state)
{
    struct stopper stopper;
    struct stop_signal *signal = NULL;
    int ends[2];

    (void)state;
    make(&stopper, &signal);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(close(ends[1]), 0);
    stop_signal_free(signal);
    loop_free(stopper.loop);
}

/* Tells its parent when the first signal was heard, and then waits for the second, for ever. */
static void be_stubborn(int told)
{
    struct stopper stopper;
    struct stop_signal *signal = NULL;

    make(&stopper, &signal);
    assert_int_equal(write(told, "r", 1), 1);
    loop_wait(stopper.loop, &stopper.stopped);
    assert_int_equal(write(told, "s", 1), 1);
    for (;;)
        (void)pause();
}

static void second_signal_ends_the_process_at_once(void **state)
{
    int ends[2];
    char told = 0;
    int result = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);

    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        be_stubborn(ends[1]);
    assert_int_equal(read(ends[0], &told, 1), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(read(ends[0], &told, 1), 1);
    assert_int_equal(told, 's');
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 1);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_signal_ends_the_process_at_once), /* forks: before any thread */
        cmocka_unit_test(each_signal_stops_the_loop_once),
        cmocka_unit_test(freed_without_a_signal_nothing_is_told),
        cmocka_unit_test(closed_pipe_does_not_end_the_process),
    };

    return cmocka_run_group_tests_name("stop_signal", tests, NULL, NULL);
}
