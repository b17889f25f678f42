#include "base/loop.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { NAMES_MAX = 64 };

/* A loop on a clock that stands still, and the names of what ran on it, in order. */
struct env {
    struct clock_manual *clock;
    struct loop *loop;
    char ran[NAMES_MAX];
    unsigned count;
};

static int make_env(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->clock = clock_manual_new();
    ASSERT_OK(loop_new(clock_manual_source(env->clock), &env->loop, &err), &err);
    *state = env;
    return 0;
}

static int free_env(void **state)
{
    struct env *env = *state;

    loop_free(env->loop);
    clock_manual_free(env->clock);
    memory_free(env);
    return 0;
}

/* A task and a timer with a name, and what they do when they run besides leaving it. */
struct actor {
    struct loop_task task;   /* first */
    struct loop_timer timer; /* runs what the task runs */
    struct env *env;
    void (*act)(struct actor *actor); /* NULL: nothing */
    struct actor *other;
    unsigned left; /* how often it still does it */
    char name;
};

static void act(struct actor *actor)
{
    loop_assert(actor->env->loop);
    INVARIANT(actor->env->count < NAMES_MAX - 1);
    actor->env->ran[actor->env->count++] = actor->name;
    if (actor->act != NULL)
        actor->act(actor);
}

static void task_ran(struct loop_task *task)
{
    act((struct actor *)task); /* its first member */
}

static void timer_ran(struct loop_timer *timer)
{
    act((struct actor *)((char *)timer - offsetof(struct actor, timer)));
}

static struct actor actor_of(struct env *env, char name, void (*what)(struct actor *actor))
{
    return (struct actor){
        .task = {.run = task_ran},
        .timer = {.run = timer_ran},
        .env = env,
        .act = what,
        .left = 1,
        .name = name,
    };
}

static void stop(struct actor *actor)
{
    loop_stop(actor->env->loop);
}

static void run(struct env *env)
{
    struct error err = {0};

    ASSERT_OK(loop_run(env->loop, &err), &err);
}

/* Runs all that is posted, and no timers. */
static void run_posted(struct env *env)
{
    loop_stop(env->loop);
    run(env);
}

/* Runs the timers that are due now, in their order: one that starts last stops the loop. */
static void run_due(struct env *env)
{
    struct actor last = actor_of(env, '.', stop);

    loop_timer_start(env->loop, &last.timer, 0);
    run(env);
}

/* --- tasks --- */

static void tasks_run_once_in_the_order_of_posting(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor b = actor_of(env, 'b', NULL);
    struct actor c = actor_of(env, 'c', NULL);

    loop_post(env->loop, &b.task);
    loop_post(env->loop, &a.task);
    loop_post(env->loop, &c.task);
    run_posted(env);
    run_posted(env);
    assert_string_equal(env->ran, "bac");
}

static void a_task_posted_twice_before_it_runs_runs_once_at_its_first_place(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor b = actor_of(env, 'b', NULL);

    loop_post(env->loop, &a.task);
    loop_post(env->loop, &b.task);
    loop_post(env->loop, &a.task);
    run_posted(env);
    assert_string_equal(env->ran, "ab");
    loop_post(env->loop, &a.task);
    run_posted(env);
    assert_string_equal(env->ran, "aba");
}

static void post_self(struct actor *actor)
{
    if (actor->left-- > 0)
        loop_post(actor->env->loop, &actor->task);
}

static void a_task_posted_from_its_own_run_runs_again_behind_the_others(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', post_self);
    struct actor b = actor_of(env, 'b', NULL);

    a.left = 2;
    loop_post(env->loop, &a.task);
    loop_post(env->loop, &b.task);
    run_posted(env);
    assert_string_equal(env->ran, "abaa");
}

static void post_other_and_note(struct actor *actor)
{
    loop_post(actor->env->loop, &actor->other->task);
    loop_timer_start(actor->env->loop, &actor->other->other->timer, 0);
    actor->env->ran[actor->env->count++] = '|'; /* neither has run within the call */
}

static void nothing_runs_before_the_call_that_starts_it_returns(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', post_other_and_note);
    struct actor b = actor_of(env, 'b', NULL);
    struct actor c = actor_of(env, 'c', stop);

    a.other = &b;
    b.other = &c;
    loop_post(env->loop, &a.task);
    run(env);
    assert_int_equal(env->count, 4);
    assert_memory_equal(env->ran, "a|", 2);
}

static void free_self(struct actor *actor)
{
    memory_free(actor);
}

static void a_task_may_be_freed_from_its_own_run(void **state)
{
    struct env *env = *state;
    struct actor *a = memory_new(1, sizeof(*a));
    struct actor *b = memory_new(1, sizeof(*b));

    assert_non_null(a);
    assert_non_null(b);
    *a = actor_of(env, 'a', free_self);
    *b = actor_of(env, 'b', free_self);
    loop_timer_start(env->loop, &b->timer, 0);
    run_due(env);
    loop_post(env->loop, &a->task);
    run_posted(env);
    assert_string_equal(env->ran, "b.a");
}

static void post_self_and_step(struct actor *actor)
{
    clock_manual_advance_ms(actor->env->clock, 1);
    loop_post(actor->env->loop, &actor->task);
    if (actor->left-- == 0) /* the timer never came */
        loop_stop(actor->env->loop);
}

static void silence_other(struct actor *actor)
{
    actor->other->act = NULL;
    loop_stop(actor->env->loop);
}

static void a_task_that_posts_itself_for_ever_lets_timers_run(void **state)
{
    struct env *env = *state;
    struct actor task = actor_of(env, 't', post_self_and_step);
    struct actor timer = actor_of(env, 'T', silence_other);

    task.left = 40;
    timer.other = &task;
    loop_timer_start(env->loop, &timer.timer, 3);
    loop_post(env->loop, &task.task);
    run(env);
    assert_string_equal(env->ran, "tttTt");
}

/* --- many threads --- */

enum { POSTERS = 4, POSTS = 20000 };

struct numbered {
    struct loop_task task; /* first */
    struct poster *poster;
    unsigned number;
};

struct poster {
    struct loop *loop;
    struct numbered *tasks;
    unsigned next;       /* the number that must run next */
    unsigned wrong;      /* ran in another order, or twice */
    unsigned *remaining; /* of all posters */
};

static void numbered_ran(struct loop_task *task)
{
    struct numbered *numbered = (struct numbered *)task; /* its first member */
    struct poster *poster = numbered->poster;

    loop_assert(poster->loop);
    if (numbered->number != poster->next++)
        poster->wrong++;
    if (--*poster->remaining == 0)
        loop_stop(poster->loop);
}

static void post_all(void *arg)
{
    struct poster *poster = arg;

    for (unsigned i = 0; i < POSTS; i++)
        loop_post(poster->loop, &poster->tasks[i].task);
}

static void each_post_of_many_threads_runs_once_in_the_order_of_its_thread(void **state)
{
    struct env *env = *state;
    struct poster posters[POSTERS] = {0};
    uv_thread_t threads[POSTERS];
    unsigned remaining = POSTERS * POSTS;

    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){
            .loop = env->loop,
            .tasks = memory_new(POSTS, sizeof(*posters[i].tasks)),
            .remaining = &remaining,
        };
        assert_non_null(posters[i].tasks);
        for (unsigned n = 0; n < POSTS; n++)
            posters[i].tasks[n] = (struct numbered){{.run = numbered_ran}, &posters[i], n};
        assert_int_equal(uv_thread_create(&threads[i], post_all, &posters[i]), 0);
    }
    run(env);
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
        assert_int_equal(posters[i].next, POSTS);
        assert_int_equal(posters[i].wrong, 0);
        memory_free(posters[i].tasks);
    }
}

/* One task for all threads: what a thread added before its post must be seen by a run after it. */
struct shared {
    struct loop_task task; /* first */
    struct loop *loop;
    _Atomic unsigned added;
    unsigned taken;
};

static void take_added(struct loop_task *task)
{
    struct shared *shared = (struct shared *)task; /* its first member */

    shared->taken += atomic_exchange(&shared->added, 0);
    if (shared->taken == POSTERS * POSTS)
        loop_stop(shared->loop);
}

static void add_and_post(void *arg)
{
    struct shared *shared = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        (void)atomic_fetch_add(&shared->added, 1); /* what it was before */
        loop_post(shared->loop, &shared->task);
    }
}

static void merged_wake_ups_lose_nothing(void **state)
{
    struct env *env = *state;
    struct shared shared = {.task = {.run = take_added}, .loop = env->loop};
    uv_thread_t threads[POSTERS];

    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(uv_thread_create(&threads[i], add_and_post, &shared), 0);
    run(env);
    assert_int_equal(shared.taken, POSTERS * POSTS);
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    run_posted(env); /* the last posts may have come after what they told was taken */
}

static void post_stop(void *arg)
{
    struct actor *actor = arg;

    loop_post(actor->env->loop, &actor->task);
}

static void a_loop_may_be_freed_once_the_last_post_has_run(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < 1000; i++) {
        struct env own = {.clock = env->clock};
        struct error err = {0};
        struct actor last = actor_of(&own, '.', stop);
        uv_thread_t thread;

        ASSERT_OK(loop_new(clock_manual_source(env->clock), &own.loop, &err), &err);
        assert_int_equal(uv_thread_create(&thread, post_stop, &last), 0);
        run(&own);
        loop_free(own.loop); /* the thread may still be inside loop_post() */
        assert_int_equal(uv_thread_join(&thread), 0);
    }
}

/* --- stop --- */

static void stop_and_post_others(struct actor *actor)
{
    loop_stop(actor->env->loop);
    for (struct actor *other = actor->other; other != NULL; other = other->other)
        loop_post(actor->env->loop, &other->task);
}

static void what_is_posted_before_and_while_it_stops_still_runs(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', stop_and_post_others);
    struct actor b = actor_of(env, 'b', NULL);
    struct actor c = actor_of(env, 'c', post_self);
    struct actor d = actor_of(env, 'd', NULL);

    a.other = &c;
    c.other = &d;
    loop_post(env->loop, &a.task);
    loop_post(env->loop, &b.task);
    run(env);
    assert_string_equal(env->ran, "abcdc");
}

static void a_timer_due_with_the_stop_stays_started(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', stop);
    struct actor b = actor_of(env, 'b', NULL);

    loop_timer_start(env->loop, &a.timer, 5);
    loop_timer_start(env->loop, &b.timer, 5);
    clock_manual_advance_ms(env->clock, 5);
    run(env);
    assert_string_equal(env->ran, "a");
    run_due(env); /* and runs when the loop is run again */
    assert_string_equal(env->ran, "ab.");
}

static void a_stop_that_comes_before_the_run_ends_it(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor last = actor_of(env, '.', stop);

    loop_stop(env->loop);
    loop_post(env->loop, &a.task);
    run(env);
    assert_string_equal(env->ran, "a");
    loop_post(env->loop, &last.task); /* that stop is used up: this run waits for its own */
    run(env);
    assert_string_equal(env->ran, "a.");
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void a_stop_from_another_thread_always_comes_through(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < 1000; i++) {
        uv_thread_t thread;

        assert_int_equal(uv_thread_create(&thread, stop_loop, env->loop), 0);
        run(env);
        assert_int_equal(uv_thread_join(&thread), 0);
    }
}

static void run_loop(void *arg)
{
    struct env *env = arg;
    struct error err = {0};

    INVARIANT(loop_run(env->loop, &err) == STATUS_OK);
}

static void the_thread_that_runs_the_loop_owns_it(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', stop); /* asserts that it runs on the loop's thread */
    uv_thread_t thread;

    loop_assert(env->loop);
    assert_int_equal(uv_thread_create(&thread, run_loop, env), 0);
    loop_post(env->loop, &a.task);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_string_equal(env->ran, "a");
}

/* --- timers --- */

static void timers_run_in_the_order_of_their_moments_and_of_their_starts(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor b = actor_of(env, 'b', NULL);
    struct actor c = actor_of(env, 'c', NULL);
    struct actor d = actor_of(env, 'd', NULL);

    loop_timer_start(env->loop, &c.timer, 7);
    loop_timer_start(env->loop, &a.timer, 7);
    loop_timer_start(env->loop, &b.timer, 3);
    clock_manual_advance_ms(env->clock, 4);
    loop_timer_start(env->loop, &d.timer, 3); /* the same moment as the first two */
    run_due(env);
    assert_string_equal(env->ran, "b.");
    clock_manual_advance_ms(env->clock, 2);
    run_due(env);
    assert_string_equal(env->ran, "b..");
    clock_manual_advance_ms(env->clock, 1);
    run_due(env);
    assert_string_equal(env->ran, "b..cad.");
}

static void a_timer_started_anew_forgets_its_first_moment(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor b = actor_of(env, 'b', NULL);

    loop_timer_start(env->loop, &a.timer, 5);
    loop_timer_start(env->loop, &b.timer, 5);
    loop_timer_start(env->loop, &a.timer, 5); /* now behind b */
    clock_manual_advance_ms(env->clock, 5);
    run_due(env);
    loop_timer_start(env->loop, &a.timer, 1);
    loop_timer_start(env->loop, &a.timer, 9);
    clock_manual_advance_ms(env->clock, 8);
    run_due(env);
    clock_manual_advance_ms(env->clock, 1);
    run_due(env);
    assert_string_equal(env->ran, "ba..a.");
}

static void stop_others(struct actor *actor)
{
    for (struct actor *other = actor->other; other != NULL; other = other->other)
        loop_timer_stop(actor->env->loop, &other->timer);
}

static void a_stopped_timer_does_not_run_even_if_it_was_due_already(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', stop_others);
    struct actor b = actor_of(env, 'b', NULL);
    struct actor c = actor_of(env, 'c', NULL);

    a.other = &b;
    loop_timer_stop(env->loop, &b.timer); /* never started: no effect */
    loop_timer_start(env->loop, &a.timer, 5);
    loop_timer_start(env->loop, &b.timer, 5);
    loop_timer_start(env->loop, &c.timer, 5);
    clock_manual_advance_ms(env->clock, 5);
    run_due(env);
    loop_timer_stop(env->loop, &b.timer); /* twice: no effect */
    assert_string_equal(env->ran, "ac.");
}

static void start_self_at_once(struct actor *actor)
{
    loop_timer_start(actor->env->loop, &actor->timer, 0);
}

static void stop_other_and_loop(struct actor *actor)
{
    loop_timer_stop(actor->env->loop, &actor->other->timer);
    loop_stop(actor->env->loop);
}

static void a_timer_that_starts_itself_without_delay_lets_tasks_run(void **state)
{
    struct env *env = *state;
    struct actor timer = actor_of(env, 'T', start_self_at_once);
    struct actor post = actor_of(env, 'p', stop_other_and_loop);

    post.other = &timer;
    loop_timer_start(env->loop, &timer.timer, 0);
    loop_post(env->loop, &post.task);
    run(env);
    assert_string_equal(env->ran, "Tp");
}

struct restless {
    struct actor timer; /* first */
    uv_sem_t ran;
};

static void start_self_and_tell(struct actor *actor)
{
    struct restless *restless = (struct restless *)actor; /* its first member */

    actor->env->count = 0; /* runs very often: its name is not kept */
    loop_timer_start(actor->env->loop, &actor->timer, 0);
    if (actor->left > 0 && --actor->left == 0)
        uv_sem_post(&restless->ran);
}

struct late_post {
    struct actor task;
    struct restless *restless;
};

static void post_once_it_spins(void *arg)
{
    struct late_post *late = arg;

    uv_sem_wait(&late->restless->ran);
    loop_post(late->task.env->loop, &late->task.task);
}

static void a_timer_that_starts_itself_without_delay_lets_other_threads_in(void **state)
{
    struct env *env = *state;
    struct restless restless = {.timer = actor_of(env, 'T', start_self_and_tell)};
    struct late_post late = {.task = actor_of(env, 'p', stop_other_and_loop),
                             .restless = &restless};
    uv_thread_t thread;

    late.task.other = &restless.timer;
    restless.timer.left = 1000;
    assert_int_equal(uv_sem_init(&restless.ran, 0), 0);
    loop_timer_start(env->loop, &restless.timer.timer, 0);
    assert_int_equal(uv_thread_create(&thread, post_once_it_spins, &late), 0);
    run(env);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(restless.timer.left, 0);
    uv_sem_destroy(&restless.ran);
}

static void the_longest_delay_lies_in_the_future(void **state)
{
    struct env *env = *state;
    struct actor a = actor_of(env, 'a', NULL);
    struct actor b = actor_of(env, 'b', NULL);

    loop_timer_start(env->loop, &a.timer, UINT64_MAX);
    loop_timer_start(env->loop, &b.timer, UINT64_MAX - CLOCK_MANUAL_START_MS - 1);
    run_due(env);
    clock_manual_advance_ms(env->clock, UINT64_MAX - CLOCK_MANUAL_START_MS - 1);
    run_due(env);
    assert_string_equal(env->ran, ".b.");
    loop_timer_stop(env->loop, &a.timer);
}

/* --- timers against a model: whoever runs must be the first of all that are started --- */

enum { TIMERS = 2000, ROUNDS = 400, DELAY_MAX_MS = 300 };

struct modelled {
    struct loop_timer timer; /* first */
    struct model *model;
    bool started;
    uint64_t due_ms, order;
};

struct model {
    struct env *env;
    struct random_seeded random;
    uint64_t next_order;
    unsigned runs, wrong;
    struct modelled timers[TIMERS + 1]; /* the last one stops the loop */
};

static void model_start(struct modelled *timer, uint64_t delay_ms)
{
    struct model *model = timer->model;

    timer->started = true;
    timer->due_ms = clock_now_ms(clock_manual_source(model->env->clock)) + delay_ms;
    timer->order = model->next_order++;
    loop_timer_start(model->env->loop, &timer->timer, delay_ms);
}

static void model_stop(struct modelled *timer)
{
    timer->started = false;
    loop_timer_stop(timer->model->env->loop, &timer->timer);
}

static struct modelled *model_first(struct model *model)
{
    struct modelled *first = NULL;

    for (unsigned i = 0; i <= TIMERS; i++) {
        struct modelled *timer = &model->timers[i];

        if (timer->started && (first == NULL || timer->due_ms < first->due_ms ||
                               (timer->due_ms == first->due_ms && timer->order < first->order)))
            first = timer;
    }
    return first;
}

/* Starts or stops some timers at random, started ones too. */
static void model_stir(struct model *model, unsigned changes)
{
    while (changes-- > 0) {
        struct modelled *timer = &model->timers[random_seeded_below(&model->random, TIMERS)];

        if (random_seeded_below(&model->random, 3) == 0)
            model_stop(timer);
        else
            model_start(timer, random_seeded_below(&model->random, DELAY_MAX_MS));
    }
}

static void modelled_ran(struct loop_timer *timer)
{
    struct modelled *modelled = (struct modelled *)timer; /* its first member */
    struct model *model = modelled->model;

    if (modelled != model_first(model) ||
        modelled->due_ms > clock_now_ms(clock_manual_source(model->env->clock)))
        model->wrong++;
    modelled->started = false;
    model->runs++;
    if (modelled == &model->timers[TIMERS])
        loop_stop(model->env->loop);
    else
        model_stir(model, (unsigned)random_seeded_below(&model->random, 3));
}

static void thousands_of_timers_agree_with_a_sorted_model(void **state)
{
    struct env *env = *state;
    struct model *model = memory_new(1, sizeof(*model));

    assert_non_null(model);
    model->env = env;
    model->random = random_seeded_of(test_seed("timers"));
    for (unsigned i = 0; i <= TIMERS; i++)
        model->timers[i] = (struct modelled){.timer = {.run = modelled_ran}, .model = model};
    for (unsigned i = 0; i < TIMERS; i++)
        model_start(&model->timers[i], random_seeded_below(&model->random, DELAY_MAX_MS));
    for (unsigned round = 0; round < ROUNDS; round++) {
        clock_manual_advance_ms(env->clock, random_seeded_below(&model->random, 4));
        model_stir(model, 5);
        model_start(&model->timers[TIMERS], 0); /* behind all that are due by now */
        run(env);
        assert_int_equal(model->wrong, 0);
        assert_false(model->timers[TIMERS].started);
    }
    assert_true(model->runs > TIMERS);
    for (unsigned i = 0; i < TIMERS; i++)
        model_stop(&model->timers[i]);
    memory_free(model);
}

/* --- clocks --- */

enum { JUMPS = 20000, HOUR_MS = 3600 * 1000 };

struct hourly {
    struct loop_timer timer; /* first */
    struct env *env;
    uv_sem_t ran;
    unsigned count;
};

static void hourly_ran(struct loop_timer *timer)
{
    struct hourly *hourly = (struct hourly *)timer; /* its first member */

    if (++hourly->count == JUMPS)
        loop_stop(hourly->env->loop);
    else
        loop_timer_start(hourly->env->loop, &hourly->timer, HOUR_MS);
    uv_sem_post(&hourly->ran);
}

static void step_by_hours(void *arg)
{
    struct hourly *hourly = arg;

    for (unsigned i = 0; i < JUMPS; i++) {
        clock_manual_advance_ms(hourly->env->clock, HOUR_MS);
        uv_sem_wait(&hourly->ran);
    }
}

/* A jump that is missed would let this test wait for an hour. */
static void each_jump_of_the_clock_wakes_the_loop(void **state)
{
    struct env *env = *state;
    struct hourly hourly = {.timer = {.run = hourly_ran}, .env = env};
    uv_thread_t thread;

    assert_int_equal(uv_sem_init(&hourly.ran, 0), 0);
    loop_timer_start(env->loop, &hourly.timer, HOUR_MS);
    assert_int_equal(uv_thread_create(&thread, step_by_hours, &hourly), 0);
    run(env);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(hourly.count, JUMPS);
    uv_sem_destroy(&hourly.ran);
}

static void make_system_loop(struct env *ret_env)
{
    struct error err = {0};

    ASSERT_OK(loop_new(clock_system(), &ret_env->loop, &err), &err);
    assert_ptr_equal(loop_clock(ret_env->loop), clock_system());
}

static void timers_on_the_systems_clock_run_by_themselves_and_not_early(void **state)
{
    struct env env = {0};

    (void)state;
    make_system_loop(&env);

    struct actor a = actor_of(&env, 'a', NULL);
    struct actor b = actor_of(&env, 'b', stop);
    struct actor c = actor_of(&env, 'c', NULL);
    uint64_t start_ms = clock_now_ms(clock_system());

    loop_timer_start(env.loop, &b.timer, 20);
    loop_timer_start(env.loop, &a.timer, 10);
    loop_timer_start(env.loop, &c.timer, HOUR_MS);
    run(&env);
    assert_true(clock_now_ms(clock_system()) >= start_ms + 20);
    assert_string_equal(env.ran, "ab");
    loop_timer_stop(env.loop, &c.timer);
    loop_free(env.loop);
}

static uint64_t processor_time_ms(void)
{
    struct timespec used = {0};

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static void a_loop_that_waits_uses_no_processor_time(void **state)
{
    enum { WAIT_MS = 200 };
    struct env env = {0};

    (void)state;
    make_system_loop(&env);

    struct actor a = actor_of(&env, 'a', stop);
    uint64_t before_ms = processor_time_ms();

    loop_timer_start(env.loop, &a.timer, WAIT_MS);
    run(&env);
    assert_true(processor_time_ms() - before_ms < WAIT_MS / 10);
    loop_free(env.loop);
}

/* --- broken invariants, and failures --- */

static bool aborts(void (*what)(struct env *env), struct env *env)
{
    int result = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* the line about the broken invariant is expected */
        what(env);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT;
}

static void start_timer_off_thread(void *arg)
{
    struct env *env = arg;
    struct actor a = actor_of(env, 'a', NULL);

    loop_timer_start(env->loop, &a.timer, 1);
}

static void stop_timer_off_thread(void *arg)
{
    struct env *env = arg;
    struct actor a = actor_of(env, 'a', NULL);

    loop_timer_stop(env->loop, &a.timer);
}

static void assert_off_thread(void *arg)
{
    struct env *env = arg;

    loop_assert(env->loop);
}

static void on_thread(void (*what)(void *arg), struct env *env)
{
    uv_thread_t thread;

    INVARIANT(uv_thread_create(&thread, what, env) == 0);
    INVARIANT(uv_thread_join(&thread) == 0);
}

static void start_timer_wrongly(struct env *env)
{
    on_thread(start_timer_off_thread, env);
}

static void stop_timer_wrongly(struct env *env)
{
    on_thread(stop_timer_off_thread, env);
}

static void assert_wrongly(struct env *env)
{
    on_thread(assert_off_thread, env);
}

static void other_threads_may_not_touch_the_loops_state(void **state)
{
    assert_true(aborts(assert_wrongly, *state));
    assert_true(aborts(start_timer_wrongly, *state));
    assert_true(aborts(stop_timer_wrongly, *state));
}

static void free_with_task(struct env *env)
{
    struct actor a = actor_of(env, 'a', NULL);

    loop_post(env->loop, &a.task);
    loop_free(env->loop);
}

static void free_with_timer(struct env *env)
{
    struct actor a = actor_of(env, 'a', NULL);

    loop_timer_start(env->loop, &a.timer, 1);
    loop_free(env->loop);
}

static void a_loop_with_something_in_it_is_not_freed(void **state)
{
    assert_true(aborts(free_with_task, *state));
    assert_true(aborts(free_with_timer, *state));
    loop_free(NULL);
}

/* The status of loop_new() while FREE more file descriptors may be opened. */
static enum status loop_new_with_fds(struct env *env, unsigned free_fds, struct loop **ret_loop,
                                     struct error *err)
{
    struct rlimit limit = {0};
    int lowest =
        dup(STDOUT_FILENO); /* libuv forgets some of its own when it fails: look each time */

    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);

    struct rlimit low = {.rlim_cur = (rlim_t)lowest + free_fds, .rlim_max = limit.rlim_max};

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);

    enum status st = loop_new(clock_manual_source(env->clock), ret_loop, err);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return st;
}

static void without_file_descriptors_a_loop_is_refused(void **state)
{
    struct env *env = *state;
    struct loop *loop = NULL;
    unsigned free_fds = 0;

    for (;; free_fds++) { /* it fails at each place that wants one */
        struct error err = {0};
        enum status st = loop_new_with_fds(env, free_fds, &loop, &err);

        if (st == STATUS_OK)
            break;
        ASSERT_STATUS(STATUS_EXHAUSTED, st, &err);
        assert_null(loop);
        assert_true(free_fds < 100);
    }
    assert_true(free_fds > 0);
    loop_free(loop);
}

struct failing {
    struct env *env;
    struct faults *faults;
};

/* Makes a loop while the Nth allocation fails. */
static void try_loop_new(void *arg, uint64_t n)
{
    struct failing *failing = arg;
    struct loop *loop = NULL;
    struct error err = {0};
    enum status st = loop_new(clock_manual_source(failing->env->clock), &loop, &err);
    bool fired = faults_fired(failing->faults);

    faults_arm(failing->faults, 0, 0);
    (void)n; /* is armed */
    ASSERT_STATUS(fired ? STATUS_EXHAUSTED : STATUS_OK, st, &err);
    assert_true(fired == (loop == NULL));
    loop_free(loop);
}

static void without_memory_a_loop_is_refused(void **state)
{
    struct failing failing = {.env = *state, .faults = faults_new()};

    assert_non_null(failing.faults);
    faults_install(failing.faults);

    uint64_t failed = fail_each(failing.faults, FAULT_ALLOC, try_loop_new, &failing);

    faults_install(NULL);
    faults_free(failing.faults);
    assert_true(failed >= 1); /* the loop's own at least */
}

int main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, make_env, free_env)
    const struct CMUnitTest tests[] = {
        TEST(tasks_run_once_in_the_order_of_posting),
        TEST(a_task_posted_twice_before_it_runs_runs_once_at_its_first_place),
        TEST(a_task_posted_from_its_own_run_runs_again_behind_the_others),
        TEST(nothing_runs_before_the_call_that_starts_it_returns),
        TEST(a_task_may_be_freed_from_its_own_run),
        TEST(a_task_that_posts_itself_for_ever_lets_timers_run),
        TEST(each_post_of_many_threads_runs_once_in_the_order_of_its_thread),
        TEST(merged_wake_ups_lose_nothing),
        TEST(a_loop_may_be_freed_once_the_last_post_has_run),
        TEST(what_is_posted_before_and_while_it_stops_still_runs),
        TEST(a_timer_due_with_the_stop_stays_started),
        TEST(a_stop_that_comes_before_the_run_ends_it),
        TEST(a_stop_from_another_thread_always_comes_through),
        TEST(the_thread_that_runs_the_loop_owns_it),
        TEST(timers_run_in_the_order_of_their_moments_and_of_their_starts),
        TEST(a_timer_started_anew_forgets_its_first_moment),
        TEST(a_stopped_timer_does_not_run_even_if_it_was_due_already),
        TEST(a_timer_that_starts_itself_without_delay_lets_tasks_run),
        TEST(a_timer_that_starts_itself_without_delay_lets_other_threads_in),
        TEST(the_longest_delay_lies_in_the_future),
        TEST(thousands_of_timers_agree_with_a_sorted_model),
        TEST(each_jump_of_the_clock_wakes_the_loop),
        TEST(timers_on_the_systems_clock_run_by_themselves_and_not_early),
        TEST(a_loop_that_waits_uses_no_processor_time),
        TEST(other_threads_may_not_touch_the_loops_state),
        TEST(a_loop_with_something_in_it_is_not_freed),
        TEST(without_file_descriptors_a_loop_is_refused),
        TEST(without_memory_a_loop_is_refused),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
