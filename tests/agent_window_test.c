#include <stddef.h>

#include "base/clock.h"
#include "agent/window.h"
#include "tests/support/test.h"

enum { LIMIT = 100 };

struct taker {
    struct window_wait wait; /* first */
    struct window *window;
    uint64_t wants; /* of each take */
    unsigned takes; /* so many at most, each time it is told */
    unsigned told;
    uint64_t holds;
};

static void take(struct window_wait *wait)
{
    struct taker *taker = (struct taker *)wait;

    taker->told++;
    for (unsigned i = 0; i < taker->takes; i++) {
        if (!window_take(taker->window, taker->wants, wait))
            return;
        taker->holds += taker->wants;
    }
}

struct env {
    struct loop *loop;
    struct window window;
    struct taker a, b;
};

static void run(struct env *env)
{
    struct error err = {0};

    loop_stop(env->loop);
    ASSERT_OK(loop_run(env->loop, &err), &err);
}

static int set_up(void **state)
{
    static struct env env; /* of one test at a time */
    struct error err = {0};

    env = (struct env){0};
    ASSERT_OK(loop_new(clock_system(), &env.loop, &err), &err);
    window_init(&env.window, env.loop, LIMIT);
    env.a = (struct taker){.wait.room = take, .window = &env.window, .wants = 40, .takes = 1};
    env.b = env.a;
    *state = &env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    window_forget(&env->window, &env->a.wait);
    window_forget(&env->window, &env->b.wait);
    window_give(&env->window, env->window.used);
    run(env);
    window_deinit(&env->window);
    loop_free(env->loop);
    return 0;
}

static void full_window_refuses_and_tells_when_there_is_room(void **state)
{
    struct env *env = *state;

    assert_true(window_take(&env->window, 80, &env->a.wait));
    assert_false(window_take(&env->window, 40, &env->b.wait));
    assert_false(window_take(&env->window, 40, &env->b.wait)); /* told once all the same */
    window_give(&env->window, 10);
    run(env);
    assert_int_equal(env->b.told, 0); /* too little */
    window_give(&env->window, 10);
    assert_int_equal(env->b.told, 0); /* never from within */
    run(env);
    assert_int_equal(env->b.told, 1);
    assert_int_equal(env->b.holds, 40);
    assert_int_equal(env->window.used, 100);
    assert_int_equal(env->window.peak, 100);
}

static void nobody_goes_before_one_who_waits(void **state)
{
    struct env *env = *state;

    assert_true(window_take(&env->window, 100, &env->a.wait));
    assert_false(window_take(&env->window, 40, &env->b.wait));
    window_give(&env->window, 50);
    assert_false(window_take(&env->window, 1, &env->a.wait)); /* it would fit */
    env->a.wants = 1;
    run(env);
    assert_int_equal(env->b.holds, 40);
    assert_int_equal(env->a.holds, 1);
}

static void one_who_wants_more_waits_behind_the_others(void **state)
{
    struct env *env = *state;

    env->a.takes = 10;
    assert_true(window_take(&env->window, 100, &env->a.wait));
    assert_false(window_take(&env->window, 40, &env->a.wait));
    assert_false(window_take(&env->window, 40, &env->b.wait));
    window_give(&env->window, 50);
    run(env);
    assert_int_equal(env->a.holds, 40); /* its second take was refused */
    assert_int_equal(env->b.holds, 0);
    window_give(&env->window, 40);
    run(env);
    assert_int_equal(env->a.holds, 40);
    assert_int_equal(env->b.holds, 40);
}

static void forgotten_one_does_not_stop_the_next(void **state)
{
    struct env *env = *state;

    assert_true(window_take(&env->window, 80, &env->a.wait));
    assert_false(window_take(&env->window, 100, &env->a.wait));
    env->b.wants = 20;
    assert_false(window_take(&env->window, 20, &env->b.wait));
    window_forget(&env->window, &env->a.wait);
    window_forget(&env->window, &env->a.wait);
    run(env);
    assert_int_equal(env->a.told, 0);
    assert_int_equal(env->b.holds, 20);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(full_window_refuses_and_tells_when_there_is_room),
        TEST(nobody_goes_before_one_who_waits),
        TEST(one_who_wants_more_waits_behind_the_others),
        TEST(forgotten_one_does_not_stop_the_next),
    };

    return cmocka_run_group_tests_name("agent_window", tests, NULL, NULL);
}
