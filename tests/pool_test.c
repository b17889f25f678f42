#include "base/pool.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

/* Under ThreadSanitizer this program and queue_test together move ten million items. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(UNDER_TSAN)
enum { THROUGH_LANES = 2000000 };
#else
enum { THROUGH_LANES = 100000 };
#endif

enum { THREADS = 2, MANY_THREADS = 4, NAMES_MAX = 64 };

/* A pool of THREADS workers, or MANY_THREADS, and the names of what came back: a job's letter, in capitals if it was
 * cancelled; '+' for room, '#' for a lane that is closed. */
struct env {
    struct loop_task on_room; /* first */
    struct loop_task on_closed;
    struct clock_manual *clock;
    struct loop *loop;
    struct pool *pool;
    struct lane *lane; /* without limits to speak of, and without ON_ROOM */
    unsigned awaited;  /* jobs and closed lanes, until the loop is stopped */
    char back[NAMES_MAX];
    unsigned count;
};

static const struct lane_limits wide = {.work = 1000000,
                                        .cost = UINT64_MAX,
                                        .running = MANY_THREADS};

static void note(struct env *env, char name)
{
    loop_assert(env->loop);
    INVARIANT(env->count < NAMES_MAX - 1);
    env->back[env->count++] = name;
}

static void came_back(struct env *env)
{
    if (env->awaited > 0 && --env->awaited == 0)
        loop_stop(env->loop);
}

static void room(struct loop_task *task)
{
    note((struct env *)task, '+'); /* its first member */
}

static void closed(struct loop_task *task)
{
    struct env *env = (struct env *)((char *)task - offsetof(struct env, on_closed));

    note(env, '#');
    came_back(env);
}

/* Runs the loop until COUNT jobs or closed lanes came back, and what that posted. */
static void await(struct env *env, unsigned count)
{
    struct error err = {0};

    env->awaited = count;
    ASSERT_OK(loop_run(env->loop, &err), &err);
}

static void run_posted(struct env *env)
{
    struct error err = {0};

    loop_stop(env->loop);
    ASSERT_OK(loop_run(env->loop, &err), &err);
}

static struct lane *new_lane(struct env *env, struct lane_limits limits)
{
    struct lane *lane = NULL;
    struct error err = {0};

    ASSERT_OK(lane_new(env->pool, limits, &env->on_room, &lane, &err), &err);
    return lane;
}

static void close_lane(struct env *env, struct lane *lane)
{
    lane_close(lane, &env->on_closed);
    await(env, 1);
}

static int make_env_of(void **state, unsigned threads)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->on_room.run = room;
    env->on_closed.run = closed;
    env->clock = clock_manual_new();
    ASSERT_OK(loop_new(clock_manual_source(env->clock), &env->loop, &err), &err);
    ASSERT_OK(pool_new(env->loop, threads, &env->pool, &err), &err);
    ASSERT_OK(lane_new(env->pool, wide, NULL, &env->lane, &err), &err);
    *state = env;
    return 0;
}

static int make_env(void **state)
{
    return make_env_of(state, THREADS);
}

static int make_env_of_many_threads(void **state)
{
    return make_env_of(state, MANY_THREADS);
}

static int free_env(void **state)
{
    struct env *env = *state;

    close_lane(env, env->lane);
    pool_free(env->pool);
    loop_free(env->loop);
    clock_manual_free(env->clock);
    memory_free(env);
    return 0;
}

/* Those of a lane that are in run(). */
struct crowd {
    _Atomic unsigned now, most;
    _Atomic unsigned entered; /* ever */
};

static void crowd_enter(struct crowd *crowd)
{
    unsigned now = atomic_fetch_add(&crowd->now, 1) + 1;
    unsigned most = atomic_load(&crowd->most);

    while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) {
        /* MOST is read anew */
    }
    atomic_fetch_add(&crowd->entered, 1);
}

struct job {
    struct work work; /* first */
    struct env *env;
    struct crowd *crowd;      /* run() is counted there; NULL: nowhere */
    uv_sem_t *started, *gate; /* run() tells the first, then waits for the second; NULL: does not */
    uv_sem_t *ended;          /* run() tells it last */
    void (*then)(struct job *job); /* on the loop, after done() noted it; NULL: nothing */
    struct job *other;
    struct lane *lane;
    uv_thread_t thread; /* where it ran */
    unsigned runs;
    char name;
};

static void job_run(struct work *work)
{
    struct job *job = (struct job *)work; /* its first member */

    if (job->crowd != NULL)
        crowd_enter(job->crowd);
    if (job->started != NULL)
        uv_sem_post(job->started);
    if (job->gate != NULL)
        uv_sem_wait(job->gate);
    job->runs++;
    job->thread = uv_thread_self();
    if (job->crowd != NULL)
        atomic_fetch_sub(&job->crowd->now, 1);
    if (job->ended != NULL)
        uv_sem_post(job->ended);
}

static void job_done(struct work *work, enum status status)
{
    struct job *job = (struct job *)work; /* its first member */
    struct env *env = job->env;

    INVARIANT(status == STATUS_OK || status == STATUS_CANCELLED);
    INVARIANT(job->runs == (status == STATUS_OK ? 1 : 0));
    note(env, (char)(status == STATUS_OK ? job->name : job->name - 'a' + 'A'));
    if (job->then != NULL)
        job->then(job);
    came_back(env);
}

static struct job job_of(struct env *env, char name)
{
    return (struct job){
        .work = {.run = job_run, .done = job_done, .cost = 1},
        .env = env,
        .name = name,
    };
}

static struct job job_of_cost(struct env *env, char name, uint64_t cost)
{
    struct job job = job_of(env, name);

    job.work.cost = cost;
    return job;
}

static void submit(struct lane *lane, struct job *job)
{
    assert_true(lane_submit(lane, &job->work));
}

/* Jobs that keep all workers busy in the lane without limits, until they are let go. */
struct blockade {
    uv_sem_t started, gate;
    struct job jobs[THREADS];
};

static void blockade_begin(struct blockade *blockade, struct env *env)
{
    assert_int_equal(uv_sem_init(&blockade->started, 0), 0);
    assert_int_equal(uv_sem_init(&blockade->gate, 0), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        blockade->jobs[i] = job_of(env, 'x');
        blockade->jobs[i].started = &blockade->started;
        blockade->jobs[i].gate = &blockade->gate;
        submit(env->lane, &blockade->jobs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        uv_sem_wait(&blockade->started);
}

static void blockade_lift(struct blockade *blockade)
{
    for (unsigned i = 0; i < THREADS; i++)
        uv_sem_post(&blockade->gate);
}

static void blockade_end(struct blockade *blockade)
{
    uv_sem_destroy(&blockade->started);
    uv_sem_destroy(&blockade->gate);
}

/* What came back, without the blockade. */
static const char *back_of(const struct env *env, char text[NAMES_MAX])
{
    unsigned length = 0;

    for (unsigned i = 0; i < env->count; i++)
        if (env->back[i] != 'x')
            text[length++] = env->back[i];
    text[length] = '\0';
    return text;
}

/* --- run() and done() --- */

static void run_comes_on_a_worker_and_done_later_on_the_loop(void **state)
{
    struct env *env = *state;
    struct job a = job_of(env, 'a');
    uv_thread_t self = uv_thread_self();
    uv_sem_t ended;

    assert_int_equal(uv_sem_init(&ended, 0), 0);
    a.ended = &ended;
    submit(env->lane, &a);
    uv_sem_wait(&ended);
    assert_int_equal(env->count, 0); /* the loop has not run since */
    await(env, 1);
    assert_string_equal(env->back, "a");
    assert_false(uv_thread_equal(&a.thread, &self) != 0);
    run_posted(env);
    assert_string_equal(env->back, "a");
    uv_sem_destroy(&ended);
}

static void done_comes_in_the_order_of_submission_whoever_ends_first(void **state)
{
    struct env *env = *state;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    struct job c = job_of(env, 'c');
    uv_sem_t ended;

    assert_int_equal(uv_sem_init(&ended, 0), 0);
    a.gate = &ended;
    c.ended = &ended; /* so c ends before a does, and b too: there is one other worker */
    submit(env->lane, &a);
    submit(env->lane, &b);
    submit(env->lane, &c);
    await(env, 3);
    assert_string_equal(env->back, "abc");
    uv_sem_destroy(&ended);
}

static void open_gate_of_other(struct job *job)
{
    uv_sem_post(job->other->gate);
}

static void a_lane_does_not_wait_for_another(void **state)
{
    struct env *env = *state;
    struct lane *lane = new_lane(env, wide);
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    uv_sem_t gate;

    assert_int_equal(uv_sem_init(&gate, 0), 0);
    a.gate = &gate;
    b.other = &a;
    b.then = open_gate_of_other;
    submit(env->lane, &a);
    submit(lane, &b);
    await(env, 2);
    close_lane(env, lane);
    assert_string_equal(env->back, "ba#");
    uv_sem_destroy(&gate);
}

/* Each round needs both workers, which wait again by then as a rule. */
static void each_work_finds_a_worker_that_is_free(void **state)
{
    struct env *env = *state;
    uv_sem_t gate;

    assert_int_equal(uv_sem_init(&gate, 0), 0);
    for (unsigned round = 0; round < 500; round++) {
        struct job a = job_of(env, 'a');
        struct job b = job_of(env, 'b');

        env->count = 0;
        a.gate = &gate;
        b.ended = &gate;
        submit(env->lane, &a);
        submit(env->lane, &b);
        await(env, 2);
        assert_memory_equal(env->back, "ab", 2);
    }
    uv_sem_destroy(&gate);
}

static void free_job(struct job *job)
{
    memory_free(job);
}

static void work_may_be_freed_in_its_done(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < 4; i++) {
        struct job *job = memory_new(1, sizeof(*job));

        assert_non_null(job);
        *job = job_of(env, (char)('a' + i));
        job->then = free_job;
        submit(env->lane, job);
    }
    await(env, 4);
    assert_string_equal(env->back, "abcd");
}

static void submit_self_once(struct job *job)
{
    job->then = NULL;
    job->runs = 0;
    submit(job->lane, job);
}

static void done_may_submit_its_own_work_to_a_lane_that_was_full(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 1, .cost = 1, .running = THREADS});
    struct job a = job_of(env, 'a');

    a.lane = lane;
    a.then = submit_self_once;
    submit(lane, &a);
    await(env, 2);
    close_lane(env, lane);
    assert_string_equal(env->back, "aa#");
}

/* --- limits --- */

static void a_lane_refuses_work_over_its_number_and_tells_once_of_room(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 2, .cost = 100, .running = THREADS});
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    struct job c = job_of(env, 'c');
    struct job before = c;
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    submit(lane, &a);
    submit(lane, &b);
    assert_false(lane_submit(lane, &c.work));
    assert_false(lane_submit(lane, &c.work));
    assert_memory_equal(&c, &before, sizeof(c));
    run_posted(env);
    assert_string_equal(back_of(env, text), ""); /* no room yet */
    blockade_lift(&blockade);
    await(env, THREADS + 2);
    (void)back_of(env, text); /* TEXT */
    assert_true(strcmp(text, "ab+") == 0 || strcmp(text, "a+b") == 0);
    env->count = 0;
    submit(lane, &c); /* is not refused: so no word of room */
    await(env, 1);
    run_posted(env);
    close_lane(env, lane);
    assert_string_equal(back_of(env, text), "c#");
    blockade_end(&blockade);
}

static void without_a_refusal_there_is_no_word_of_room(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 2, .cost = 100, .running = THREADS});
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');

    submit(lane, &a);
    submit(lane, &b);
    await(env, 2);
    run_posted(env);
    close_lane(env, lane);
    assert_string_equal(env->back, "ab#");
}

static void a_lane_refuses_work_over_its_cost_but_takes_any_when_empty(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 10, .cost = 100, .running = THREADS});
    struct job huge = job_of_cost(env, 'h', UINT64_MAX);
    struct job a = job_of_cost(env, 'a', 60);
    struct job b = job_of_cost(env, 'b', 41);
    struct job c = job_of_cost(env, 'c', 40);

    submit(lane, &huge);
    assert_false(lane_submit(lane, &a.work));
    await(env, 1);
    submit(lane, &a);
    assert_false(lane_submit(lane, &huge.work));
    assert_false(lane_submit(lane, &b.work));
    submit(lane, &c);
    await(env, 2);
    submit(lane, &b);
    await(env, 1);
    close_lane(env, lane);
    env->back[env->count] = '\0';
    /* When a ends before c does, there is room for b between them. */
    assert_true(strcmp(env->back, "h+ac+b#") == 0 || strcmp(env->back, "h+a+cb#") == 0);
}

static void room_is_told_when_the_cheapest_refused_work_fits(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 10, .cost = 100, .running = THREADS});
    struct job jobs[3] = {job_of_cost(env, 'a', 30), job_of_cost(env, 'b', 30),
                          job_of_cost(env, 'c', 40)};
    struct job medium = job_of_cost(env, 'm', 50);
    struct job large = job_of_cost(env, 'l', 90);
    uv_sem_t gates[3];

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(uv_sem_init(&gates[i], 0), 0);
        jobs[i].gate = &gates[i];
        submit(lane, &jobs[i]);
    }
    assert_false(lane_submit(lane, &medium.work));
    assert_false(lane_submit(lane, &large.work));
    uv_sem_post(&gates[0]);
    await(env, 1);
    assert_string_equal(env->back, "a"); /* room for 30: for neither */
    uv_sem_post(&gates[1]);
    await(env, 1);
    assert_string_equal(env->back, "ab+");
    uv_sem_post(&gates[2]);
    await(env, 1);
    close_lane(env, lane);
    assert_string_equal(env->back, "ab+c#");
    for (unsigned i = 0; i < 3; i++)
        uv_sem_destroy(&gates[i]);
}

/* --- how many of a lane run at once --- */

enum { HELD_MAX = 6 };

/* Jobs of a lane that say that they have started, and wait to be let go. */
struct held {
    struct env *env;
    struct lane *lane;
    uv_sem_t started; /* by these jobs and by the guests */
    uv_sem_t gate;
    struct crowd crowd; /* these jobs */
    struct job jobs[HELD_MAX];
    struct job guests[MANY_THREADS]; /* 'x', in the lane without limits, at the same gate */
    unsigned guest_count;
};

static void held_begin(struct held *held, struct env *env, unsigned running)
{
    struct lane_limits limits = {.work = 100, .cost = UINT64_MAX, .running = running};

    *held = (struct held){.env = env, .lane = new_lane(env, limits)};
    assert_int_equal(uv_sem_init(&held->started, 0), 0);
    assert_int_equal(uv_sem_init(&held->gate, 0), 0);
    for (unsigned i = 0; i < HELD_MAX; i++) {
        held->jobs[i] = job_of(env, (char)('a' + i));
        held->jobs[i].crowd = &held->crowd;
        held->jobs[i].started = &held->started;
        held->jobs[i].gate = &held->gate;
    }
}

static void held_submit(struct held *held, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        submit(held->lane, &held->jobs[i]);
}

static void held_submit_guests(struct held *held, unsigned count)
{
    for (held->guest_count = 0; held->guest_count < count; held->guest_count++) {
        struct job *guest = &held->guests[held->guest_count];

        *guest = job_of(held->env, 'x');
        guest->started = &held->started;
        guest->gate = &held->gate;
        submit(held->env->lane, guest);
    }
}

static void held_await_started(struct held *held, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        uv_sem_wait(&held->started);
}

static void held_let_go(struct held *held, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        uv_sem_post(&held->gate);
}

static void held_end(struct held *held)
{
    close_lane(held->env, held->lane);
    uv_sem_destroy(&held->started);
    uv_sem_destroy(&held->gate);
}

static void no_more_of_a_lane_run_at_once_than_may_though_workers_are_idle(void **state)
{
    struct env *env = *state;

    for (unsigned running = 1; running < MANY_THREADS; running++) {
        struct held held;
        char text[NAMES_MAX];
        char expected[NAMES_MAX] = "abcdef#";

        env->count = 0;
        held_begin(&held, env, running);
        held_submit(&held, 0, HELD_MAX);
        held_await_started(&held, running);
        held_submit_guests(&held, MANY_THREADS - running);
        held_await_started(&held, MANY_THREADS - running); /* every worker has something */

        unsigned entered = atomic_load(&held.crowd.entered);

        lane_cancel(held.lane);
        held_let_go(&held, HELD_MAX + MANY_THREADS);
        await(env, HELD_MAX + MANY_THREADS - running);
        held_end(&held);
        assert_int_equal(entered, running);
        assert_int_equal(atomic_load(&held.crowd.most), running);
        for (unsigned i = running; i < HELD_MAX; i++)
            expected[i] = (char)('A' + i);
        assert_string_equal(back_of(env, text), expected);
    }
}

static void the_rest_of_a_lane_runs_once_those_that_blocked_it_have_ended(void **state)
{
    enum { EARLY = HELD_MAX / 2 };
    struct env *env = *state;
    struct held held;
    struct job guest = job_of(env, 'g');
    uv_sem_t late_gate;
    char text[NAMES_MAX];

    assert_int_equal(uv_sem_init(&late_gate, 0), 0);
    held_begin(&held, env, EARLY);
    for (unsigned i = EARLY; i < HELD_MAX; i++)
        held.jobs[i].gate = &late_gate;
    held_submit(&held, 0, HELD_MAX);
    held_await_started(&held, EARLY);
    guest.started = &held.started;
    submit(env->lane, &guest);
    held_await_started(&held, 1); /* the guest, on the worker that is left */

    unsigned entered_early = atomic_load(&held.crowd.entered);

    if (entered_early != EARLY) /* then the guest waits for a worker */
        uv_sem_post(&late_gate);
    held_let_go(&held, EARLY);
    await(env, EARLY + 1);
    held_submit_guests(&held, MANY_THREADS);
    held_await_started(&held, MANY_THREADS); /* the lane was there before these guests */

    unsigned entered = atomic_load(&held.crowd.entered);

    lane_cancel(held.lane); /* nothing is left */
    for (unsigned i = EARLY; i < HELD_MAX; i++)
        uv_sem_post(&late_gate);
    held_let_go(&held, MANY_THREADS);
    await(env, HELD_MAX + 1 + MANY_THREADS - env->count);
    held_end(&held);
    assert_int_equal(entered_early, EARLY);
    assert_int_equal(entered, HELD_MAX);
    assert_int_equal(atomic_load(&held.crowd.most), EARLY);
    (void)back_of(env, text); /* TEXT */
    assert_non_null(strchr(text, 'g'));
    assert_string_equal(strchr(text, 'd'), "def#");
    uv_sem_destroy(&late_gate);
}

/* Works of one lane write it without a lock: only the lane's limit keeps them apart. */
struct chain {
    unsigned ran;
    bool wrong;
};

struct step {
    struct job job; /* first */
    struct chain *chain;
    unsigned number;
};

static void step_run(struct work *work)
{
    struct step *step = (struct step *)work; /* its first member's first member */

    job_run(work);
    step->chain->wrong = step->chain->wrong || step->chain->ran != step->number;
    step->chain->ran++;
}

static void works_of_a_lane_that_runs_one_at_once_follow_each_other(void **state)
{
    enum { STEPS = 50 };
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = STEPS, .cost = UINT64_MAX, .running = 1});
    struct step steps[STEPS];
    struct job guest = job_of(env, 'x');
    struct crowd crowd = {0};
    struct chain chain = {0};
    uv_sem_t gate, started;

    assert_int_equal(uv_sem_init(&gate, 0), 0);
    assert_int_equal(uv_sem_init(&started, 0), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        steps[i] = (struct step){.job = job_of(env, 'a'), .chain = &chain, .number = i};
        steps[i].job.work.run = step_run;
        steps[i].job.crowd = &crowd;
        steps[i].job.gate = i == 0 ? &gate : NULL;
        submit(lane, &steps[i].job);
    }
    guest.started = &started;
    submit(env->lane, &guest);
    uv_sem_wait(&started); /* all that may run was there first, so it does by now */
    uv_sem_post(&gate);
    await(env, STEPS + 1);
    close_lane(env, lane);
    assert_int_equal(chain.ran, STEPS);
    assert_false(chain.wrong);
    assert_int_equal(atomic_load(&crowd.most), 1);
    uv_sem_destroy(&gate);
    uv_sem_destroy(&started);
}

static void a_lane_that_was_at_its_limit_comes_behind_the_others(void **state)
{
    struct env *env = *state;
    struct held held;
    struct lane *other = new_lane(env, wide);
    struct job guest = job_of(env, 'g');
    uv_sem_t first_gate;

    assert_int_equal(uv_sem_init(&first_gate, 0), 0);
    held_begin(&held, env, 1);
    held_submit_guests(&held, 1); /* leaves one worker */
    held_await_started(&held, 1);
    held.jobs[0].gate = &first_gate;
    held_submit(&held, 0, 2);
    held_await_started(&held, 1);
    guest.started = &held.started;
    guest.gate = &held.gate;
    submit(other, &guest);
    uv_sem_post(&first_gate);
    held_await_started(&held, 1);

    unsigned entered = atomic_load(&held.crowd.entered);

    held_let_go(&held, 3);
    await(env, 4);
    close_lane(env, other);
    held_end(&held);
    assert_int_equal(entered, 1); /* so it was the guest that came next */
    uv_sem_destroy(&first_gate);
}

static void queued_work_of_a_lane_at_its_limit_can_be_cancelled(void **state)
{
    struct env *env = *state;
    struct held held;

    held_begin(&held, env, 1);
    held_submit(&held, 0, 5);
    held_await_started(&held, 1); /* a; the others are queued, and the other worker is idle */
    work_cancel(&held.jobs[2].work);
    work_cancel(&held.jobs[1].work);
    work_cancel(&held.jobs[4].work);
    held_let_go(&held, HELD_MAX);
    await(env, 5);
    held_end(&held);
    assert_string_equal(env->back, "aBCdE#");
    assert_int_equal(atomic_load(&held.crowd.most), 1);
}

static void a_lane_at_its_limit_with_all_cancelled_takes_more(void **state)
{
    struct env *env = *state;
    struct held held;

    held_begin(&held, env, 1);
    held_submit(&held, 0, 3);
    held_await_started(&held, 1);
    lane_cancel(held.lane);
    held_submit(&held, 3, 5); /* while a still runs */
    work_cancel(&held.jobs[3].work);
    held_let_go(&held, HELD_MAX);
    await(env, 5);
    held_submit(&held, 5, 6); /* and after all have ended */
    await(env, 1);
    held_end(&held);
    assert_string_equal(env->back, "aBCDef#");
    assert_int_equal(atomic_load(&held.crowd.most), 1);
}

static void a_lane_at_its_limit_can_be_closed(void **state)
{
    struct env *env = *state;
    struct held held;

    held_begin(&held, env, 1);
    held_submit(&held, 0, 3);
    held_await_started(&held, 1);
    lane_close(held.lane, &env->on_closed);
    run_posted(env);

    unsigned early = env->count; /* a runs, and is the first */

    held_let_go(&held, HELD_MAX);
    await(env, 4);
    assert_int_equal(early, 0);
    assert_string_equal(env->back, "aBC#");
    uv_sem_destroy(&held.started);
    uv_sem_destroy(&held.gate);
}

/* --- fairness --- */

enum { FAIR_LANES = 3, MIB = 1024 * 1024 };

/* For each lane the cost of one work; every lane is given the same sum. */
static const uint64_t fair_costs[FAIR_LANES] = {MIB, MIB / 16, MIB / 256};

enum { FAIR_SUM = 32 * MIB };

struct fair_job {
    struct work work; /* first */
    struct fair *fair;
    unsigned lane;
};

struct fair {
    struct env *env;
    struct job gate;
    _Atomic uint64_t served[FAIR_LANES]; /* cost of all that ran */
    _Atomic uint64_t worst; /* the largest lead over another lane, while all had work */
    unsigned left;
};

static void fair_run(struct work *work)
{
    struct fair_job *job = (struct fair_job *)work; /* its first member */
    struct fair *fair = job->fair;
    uint64_t most = 0;
    uint64_t least = UINT64_MAX;

    (void)atomic_fetch_add(&fair->served[job->lane], work->cost); /* what it was before */
    for (unsigned i = 0; i < FAIR_LANES; i++) {
        uint64_t served = atomic_load(&fair->served[i]);

        most = served > most ? served : most;
        least = served < least ? served : least;
    }
    if (most < FAIR_SUM && most - least > atomic_load(&fair->worst))
        atomic_store(&fair->worst, most - least);
}

static void fair_done(struct work *work, enum status status)
{
    struct fair *fair = ((struct fair_job *)work)->fair; /* its first member */

    INVARIANT(status == STATUS_OK);
    if (--fair->left == 0)
        loop_stop(fair->env->loop);
}

/* Fills LANE with work of the cost of number INDEX; the caller's. */
static struct fair_job *fair_fill(struct fair *fair, struct lane *lane, unsigned index)
{
    unsigned count = (unsigned)(FAIR_SUM / fair_costs[index]);
    struct fair_job *jobs = memory_new(count, sizeof(*jobs));

    assert_non_null(jobs);
    for (unsigned i = 0; i < count; i++) {
        jobs[i] = (struct fair_job){
            .work = {.run = fair_run, .done = fair_done, .cost = fair_costs[index]},
            .fair = fair,
            .lane = index,
        };
        assert_true(lane_submit(lane, &jobs[i].work));
    }
    fair->left += count;
    return jobs;
}

static void lanes_are_served_by_cost_not_by_number(void **state)
{
    struct env *env = *state;
    struct fair fair = {.env = env};
    struct blockade blockade;
    struct lane *lanes[FAIR_LANES];
    struct fair_job *jobs[FAIR_LANES];

    blockade_begin(&blockade, env); /* nothing is served before all is there */
    for (unsigned i = 0; i < FAIR_LANES; i++) {
        lanes[i] = new_lane(env, wide);
        jobs[i] = fair_fill(&fair, lanes[i], i);
    }
    uv_sem_post(&blockade.gate); /* one worker, so that each run() sees what was served before it */
    await(env, UINT32_MAX);
    assert_in_range(atomic_load(&fair.worst), 1, 2 * MIB); /* the largest work, and some quanta */
    uv_sem_post(&blockade.gate);
    await(env, 1);
    for (unsigned i = 0; i < FAIR_LANES; i++) {
        close_lane(env, lanes[i]);
        memory_free(jobs[i]);
    }
    blockade_end(&blockade);
}

static void work_of_any_cost_gets_its_turn(void **state)
{
    struct env *env = *state;
    struct lane *lanes[2] = {new_lane(env, wide), new_lane(env, wide)};
    struct blockade blockade;
    struct job a = job_of_cost(env, 'a', UINT64_MAX);
    struct job b = job_of_cost(env, 'b', UINT64_MAX / 2);
    struct job c = job_of_cost(env, 'c', 1);
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    submit(lanes[0], &a);
    submit(lanes[1], &b);
    submit(env->lane, &c);
    blockade_lift(&blockade);
    await(env, THREADS + 3);
    assert_int_equal(strspn(back_of(env, text), "abc"), 3);
    close_lane(env, lanes[0]);
    close_lane(env, lanes[1]);
    blockade_end(&blockade);
}

/* --- cancel --- */

static void cancelled_work_never_runs_and_comes_back_in_its_turn(void **state)
{
    struct env *env = *state;
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    struct job c = job_of(env, 'c');
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    submit(env->lane, &a);
    submit(env->lane, &b);
    submit(env->lane, &c);
    work_cancel(&b.work);
    work_cancel(&b.work);
    assert_string_equal(env->back, ""); /* not within the call */
    run_posted(env);
    assert_string_equal(env->back, ""); /* not before those in front of it */
    blockade_lift(&blockade);
    await(env, THREADS + 3);
    run_posted(env);
    assert_string_equal(back_of(env, text), "aBc");
    blockade_end(&blockade);
}

static void cancelled_work_does_not_wait_for_a_worker(void **state)
{
    struct env *env = *state;
    struct lane *lane = new_lane(env, wide);
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    struct job c = job_of(env, 'c');
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    submit(lane, &a);
    submit(lane, &b);
    submit(lane, &c);
    work_cancel(&b.work);
    work_cancel(&a.work);
    await(env, 2); /* while both workers are busy */
    assert_string_equal(env->back, "AB");
    blockade_lift(&blockade);
    await(env, THREADS + 1);
    close_lane(env, lane);
    assert_string_equal(back_of(env, text), "ABc#");
    blockade_end(&blockade);
}

static void cancel_comes_too_late_for_work_that_runs_or_has_run(void **state)
{
    struct env *env = *state;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    uv_sem_t started, gate, ended;

    assert_int_equal(uv_sem_init(&started, 0), 0);
    assert_int_equal(uv_sem_init(&gate, 0), 0);
    assert_int_equal(uv_sem_init(&ended, 0), 0);
    a.started = &started;
    a.gate = &gate;
    b.ended = &ended;
    work_cancel(&a.work); /* never submitted: no effect */
    submit(env->lane, &a);
    submit(env->lane, &b);
    uv_sem_wait(&started);
    uv_sem_wait(&ended);
    work_cancel(&a.work); /* runs */
    work_cancel(&b.work); /* has run, or is about to say so */
    uv_sem_post(&gate);
    await(env, 2);
    work_cancel(&a.work); /* done */
    run_posted(env);
    assert_string_equal(env->back, "ab");
    uv_sem_destroy(&started);
    uv_sem_destroy(&gate);
    uv_sem_destroy(&ended);
}

static void cancel_of_a_lane_leaves_what_runs_and_takes_more(void **state)
{
    struct env *env = *state;
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    struct job c = job_of(env, 'c');

    blockade_begin(&blockade, env); /* in the same lane: its work runs */
    submit(env->lane, &a);
    submit(env->lane, &b);
    lane_cancel(env->lane);
    lane_cancel(env->lane);
    submit(env->lane, &c);
    blockade_lift(&blockade);
    await(env, THREADS + 3);
    assert_string_equal(env->back, "xxABc");
    blockade_end(&blockade);
}

static void cancel_other(struct job *job)
{
    work_cancel(&job->other->work);
}

static void done_may_cancel_other_work_of_its_lane(void **state)
{
    struct env *env = *state;
    struct lane *lane = new_lane(env, wide);
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    a.then = cancel_other;
    a.other = &b;
    submit(lane, &a);
    submit(lane, &b);
    work_cancel(&a.work);
    await(env, 2);
    blockade_lift(&blockade);
    await(env, THREADS);
    close_lane(env, lane);
    assert_string_equal(back_of(env, text), "AB#");
    blockade_end(&blockade);
}

/* --- close --- */

static void an_empty_lane_closes_but_not_within_the_call(void **state)
{
    struct env *env = *state;
    struct lane *lane = new_lane(env, wide);

    lane_close(lane, &env->on_closed);
    assert_int_equal(env->count, 0);
    await(env, 1);
    run_posted(env);
    assert_string_equal(env->back, "#");
}

static void a_full_lane_gives_all_back_before_it_is_closed(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = 3, .cost = 100, .running = THREADS});
    struct blockade blockade;
    struct job jobs[4] = {job_of(env, 'a'), job_of(env, 'b'), job_of(env, 'c'), job_of(env, 'd')};

    blockade_begin(&blockade, env);
    for (unsigned i = 0; i < 3; i++)
        submit(lane, &jobs[i]);
    assert_false(lane_submit(lane, &jobs[3].work)); /* and ON_ROOM does not come any more */
    lane_close(lane, &env->on_closed);
    assert_int_equal(env->count, 0);
    await(env, 4);
    assert_string_equal(env->back, "ABC#");
    blockade_lift(&blockade);
    await(env, THREADS);
    run_posted(env);
    assert_string_equal(env->back, "ABC#xx");
    blockade_end(&blockade);
}

static void a_lane_that_closes_waits_for_what_runs_and_has_no_room(void **state)
{
    struct env *env = *state;
    struct lane *lane =
        new_lane(env, (struct lane_limits){.work = THREADS, .cost = 100, .running = THREADS});
    struct job jobs[THREADS] = {job_of(env, 'a'), job_of(env, 'b')};
    struct job refused = job_of(env, 'c');
    uv_sem_t started;
    uv_sem_t gates[THREADS];

    assert_int_equal(uv_sem_init(&started, 0), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(uv_sem_init(&gates[i], 0), 0);
        jobs[i].started = &started;
        jobs[i].gate = &gates[i];
        submit(lane, &jobs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        uv_sem_wait(&started);
    assert_false(lane_submit(lane, &refused.work));
    lane_close(lane, &env->on_closed);
    run_posted(env);
    assert_int_equal(env->count, 0);
    uv_sem_post(&gates[0]);
    await(env, 1);
    assert_string_equal(env->back, "a");
    uv_sem_post(&gates[1]);
    await(env, 2);
    assert_string_equal(env->back, "ab#");
    uv_sem_destroy(&started);
    for (unsigned i = 0; i < THREADS; i++)
        uv_sem_destroy(&gates[i]);
}

static void close_own_lane(struct job *job)
{
    lane_close(job->lane, &job->env->on_closed);
}

static void done_may_close_its_lane(void **state)
{
    struct env *env = *state;

    for (unsigned closer = 0; closer < 3; closer++) { /* the first, a middle one, the last */
        struct lane *lane = new_lane(env, wide);
        struct job jobs[3] = {job_of(env, 'a'), job_of(env, 'b'), job_of(env, 'c')};
        uv_sem_t ended;

        assert_int_equal(uv_sem_init(&ended, 0), 0);
        jobs[closer].lane = lane;
        jobs[closer].then = close_own_lane;
        for (unsigned i = 0; i < 3; i++) {
            jobs[i].ended = &ended;
            submit(lane, &jobs[i]);
        }
        for (unsigned i = 0; i < 3; i++)
            uv_sem_wait(&ended); /* none can be cancelled */
        env->count = 0;
        await(env, 4);
        env->back[env->count] = '\0';
        assert_string_equal(env->back, "abc#");
        uv_sem_destroy(&ended);
    }
}

static void done_may_close_another_lane_whose_work_has_ended_too(void **state)
{
    struct env *env = *state;
    struct lane *lanes[2] = {new_lane(env, wide), new_lane(env, wide)};
    struct blockade blockade;
    struct job a = job_of(env, 'a');
    struct job b = job_of(env, 'b');
    char text[NAMES_MAX];

    blockade_begin(&blockade, env);
    a.then = close_own_lane;
    a.lane = lanes[1];
    submit(lanes[0], &a);
    submit(lanes[1], &b);
    work_cancel(&a.work); /* both come back in one round */
    work_cancel(&b.work);
    await(env, 3);
    assert_string_equal(back_of(env, text), "AB#");
    blockade_lift(&blockade);
    await(env, THREADS);
    close_lane(env, lanes[0]);
    blockade_end(&blockade);
}

/* --- millions of works --- */

enum { FEEDS = 5, JOBS_EACH = 64, WORK_LIMIT_MAX = 48, COST_LIMIT_MAX = 4 * MIB };

struct feed_job {
    struct work work; /* first */
    struct feed *feed;
    struct feed_job *idle_next;
    uint64_t number; /* in its lane's order of submission */
    uint64_t input, output;
    unsigned at_once; /* works of the lane that were in run(), this one too */
    unsigned runs;
};

/* One lane after the other, each fed until it refuses, and then not before ON_ROOM. */
struct feed {
    struct loop_task on_room; /* first */
    struct loop_task on_closed;
    struct storm *storm;
    struct lane *lane;
    bool closing;
    struct feed_job jobs[JOBS_EACH];
    struct feed_job *idle;
    uint64_t submitted, done; /* of this lane */
    uint64_t ends_after;      /* works submitted, then it is closed, full as it is */
    unsigned running_limit;
    _Atomic unsigned running; /* in run() */
};

struct storm {
    struct env *env;
    struct random_seeded random;
    uint64_t done, ran, cancelled, lanes_closed;
    /* Out of order, run twice, run though cancelled, not the output of the input, or too many at
     * once. */
    uint64_t wrong;
    uint64_t crowded; /* ran while as many of their lane did as may */
    unsigned open;
    struct feed feeds[FEEDS];
};

static uint64_t output_of(uint64_t input)
{
    return input * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static void feed_run(struct work *work)
{
    struct feed_job *job = (struct feed_job *)work; /* its first member */

    job->at_once = atomic_fetch_add(&job->feed->running, 1) + 1;
    if (job->input % 16 == 0)
        (void)sched_yield(); /* so that several are here at once; it never fails */
    job->runs++;
    job->output = output_of(job->input);
    atomic_fetch_sub(&job->feed->running, 1);
}

static bool feed_one(struct feed *feed)
{
    struct storm *storm = feed->storm;
    struct feed_job *job = feed->idle;

    job->work.cost = 1 + random_seeded_below(&storm->random, MIB / 8);
    job->number = feed->submitted;
    job->input = random_seeded_next(&storm->random);
    job->output = 0;
    job->runs = 0;
    if (!lane_submit(feed->lane, &job->work))
        return false;
    feed->idle = job->idle_next;
    feed->submitted++;
    if (random_seeded_below(&storm->random, 16) == 0)
        work_cancel(&feed->jobs[random_seeded_below(&storm->random, JOBS_EACH)].work);
    if (random_seeded_below(&storm->random, 2000) == 0)
        lane_cancel(feed->lane);
    return true;
}

static void feed_on_room(struct loop_task *task)
{
    struct feed *feed = (struct feed *)task; /* its first member */

    if (feed->closing)
        return;
    while (feed_one(feed)) { /* it is refused some time: there are more jobs than it takes */
    }
    if (feed->submitted < feed->ends_after)
        return;
    feed->closing = true;
    lane_close(feed->lane, &feed->on_closed);
}

static void feed_done(struct work *work, enum status status)
{
    struct feed_job *job = (struct feed_job *)work; /* its first member */
    struct feed *feed = job->feed;
    struct storm *storm = feed->storm;

    if (job->number != feed->done++)
        storm->wrong++;
    if (status == STATUS_OK) {
        storm->ran++;
        storm->wrong += job->runs != 1 || job->output != output_of(job->input);
        storm->wrong += job->at_once > feed->running_limit;
        storm->crowded += job->at_once == feed->running_limit;
    } else {
        storm->cancelled++;
        storm->wrong += job->runs != 0 || status != STATUS_CANCELLED;
    }
    storm->done++;
    job->idle_next = feed->idle;
    feed->idle = job;
    if (!feed->closing && random_seeded_below(&storm->random, 8) == 0)
        (void)feed_one(feed); /* refused or not: both are tried */
}

static void feed_open(struct feed *feed)
{
    struct storm *storm = feed->storm;
    struct lane_limits limits = {
        .work = 1 + (unsigned)random_seeded_below(&storm->random, WORK_LIMIT_MAX),
        .cost = 1 + random_seeded_below(&storm->random, COST_LIMIT_MAX),
        .running = 1 + (unsigned)random_seeded_below(&storm->random, MANY_THREADS),
    };
    struct error err = {0};

    INVARIANT(lane_new(storm->env->pool, limits, &feed->on_room, &feed->lane, &err) == STATUS_OK);
    feed->submitted = 0;
    feed->done = 0;
    feed->ends_after = 1 + random_seeded_below(&storm->random, THROUGH_LANES / 50);
    feed->running_limit = limits.running;
    feed->closing = false;
    loop_post(storm->env->loop, &feed->on_room);
}

static void feed_closed(struct loop_task *task)
{
    struct feed *feed = (struct feed *)((char *)task - offsetof(struct feed, on_closed));
    struct storm *storm = feed->storm;

    storm->wrong += feed->done != feed->submitted || !feed->closing;
    storm->lanes_closed++;
    if (storm->done < THROUGH_LANES)
        feed_open(feed);
    else if (--storm->open == 0)
        loop_stop(storm->env->loop);
}

static void feed_init(struct feed *feed, struct storm *storm)
{
    *feed = (struct feed){
        .on_room = {.run = feed_on_room},
        .on_closed = {.run = feed_closed},
        .storm = storm,
    };
    for (unsigned i = 0; i < JOBS_EACH; i++) {
        feed->jobs[i] = (struct feed_job){
            .work = {.run = feed_run, .done = feed_done, .cost = 1},
            .feed = feed,
            .idle_next = feed->idle,
        };
        feed->idle = &feed->jobs[i];
    }
    storm->open++;
    feed_open(feed);
}

static void millions_of_works_come_back_once_and_in_order(void **state)
{
    struct env *env = *state;
    struct storm *storm = memory_new(1, sizeof(*storm));
    struct error err = {0};

    assert_non_null(storm);
    storm->env = env;
    storm->random = random_seeded_of(test_seed("lanes"));
    for (unsigned i = 0; i < FEEDS; i++)
        feed_init(&storm->feeds[i], storm);
    ASSERT_OK(loop_run(env->loop, &err), &err);
    assert_int_equal(storm->wrong, 0);
    assert_true(storm->done >= THROUGH_LANES);
    assert_int_equal(storm->ran + storm->cancelled, storm->done);
    assert_true(storm->ran > storm->cancelled && storm->cancelled > 0);
    assert_true(storm->lanes_closed > FEEDS);
    assert_true(storm->crowded > 0);
    memory_free(storm);
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

static void free_pool(struct env *env)
{
    pool_free(env->pool);
}

static void a_pool_with_an_open_lane_is_not_freed(void **state)
{
    assert_true(aborts(free_pool, *state));
    pool_free(NULL);
}

static void make_lane_of_no_work(struct env *env)
{
    (void)new_lane(env, (struct lane_limits){.cost = 1, .running = 1}); /* does not come back */
}

static void make_lane_that_never_runs(struct env *env)
{
    (void)new_lane(env, (struct lane_limits){.work = 1, .cost = 1}); /* does not come back */
}

static void a_lane_without_room_or_without_running_is_not_made(void **state)
{
    assert_true(aborts(make_lane_of_no_work, *state));
    assert_true(aborts(make_lane_that_never_runs, *state));
}

static void submit_something(struct env *env)
{
    struct job a = job_of(env, 'a');
    bool taken = lane_submit(env->lane, &a.work);

    (void)taken; /* does not come back */
}

static void cancel_lane(struct env *env)
{
    lane_cancel(env->lane);
}

static void close_main_lane(struct env *env)
{
    lane_close(env->lane, &env->on_closed);
}

static void run_and_stop(void *arg)
{
    struct env *env = arg;
    struct error err = {0};

    loop_stop(env->loop);
    INVARIANT(loop_run(env->loop, &err) == STATUS_OK);
}

static void only_the_loops_thread_may_use_the_pool(void **state)
{
    struct env *env = *state;
    uv_thread_t thread;

    assert_int_equal(uv_thread_create(&thread, run_and_stop, env), 0);
    assert_int_equal(uv_thread_join(&thread), 0); /* the loop is that thread's now */
    assert_true(aborts(submit_something, env));
    assert_true(aborts(cancel_lane, env));
    assert_true(aborts(close_main_lane, env));
    assert_true(aborts(free_pool, env));
    run_posted(env); /* and ours again */
}

struct failing {
    struct env *env;
    struct faults *faults;
};

/* Makes a pool and a lane while the Nth allocation fails. */
static void try_pool_new(void *arg, uint64_t n)
{
    struct failing *failing = arg;
    struct pool *pool = NULL;
    struct lane *lane = NULL;
    struct error err = {0};
    enum status st = pool_new(failing->env->loop, THREADS, &pool, &err);

    (void)n; /* is armed */
    if (st == STATUS_OK)
        st = lane_new(pool, wide, NULL, &lane, &err);

    bool fired = faults_fired(failing->faults);

    faults_arm(failing->faults, 0, 0);
    ASSERT_STATUS(fired ? STATUS_EXHAUSTED : STATUS_OK, st, &err);
    assert_true(fired == (lane == NULL));
    if (lane != NULL)
        close_lane(failing->env, lane);
    pool_free(pool);
}

static void without_memory_pools_and_lanes_are_refused(void **state)
{
    struct failing failing = {.env = *state, .faults = faults_new()};

    assert_non_null(failing.faults);
    faults_install(failing.faults);

    uint64_t failed = fail_each(failing.faults, FAULT_ALLOC, try_pool_new, &failing);

    faults_install(NULL);
    faults_free(failing.faults);
    assert_true(failed >= 2); /* the pool's and the lane's own at least */
}

static void without_threads_a_pool_is_refused(void **state)
{
    struct env *env = *state;
    struct rlimit limit = {0};
    struct pool *pool = NULL;
    struct error err = {0};

    assert_int_equal(getrlimit(RLIMIT_STACK, &limit), 0);

    /* libuv gives its threads stacks of this size: more than there are addresses. */
    struct rlimit huge = {.rlim_cur = (rlim_t)1 << 60, .rlim_max = limit.rlim_max};

    if (limit.rlim_max < huge.rlim_cur)
        skip();
    assert_int_equal(setrlimit(RLIMIT_STACK, &huge), 0);

    enum status st = pool_new(env->loop, THREADS, &pool, &err);

    assert_int_equal(setrlimit(RLIMIT_STACK, &limit), 0);
    ASSERT_STATUS(STATUS_EXHAUSTED, st, &err);
    assert_null(pool);
}

int main(void)
{
#define TEST(NAME)         cmocka_unit_test_setup_teardown(NAME, make_env, free_env)
#define TEST_OF_MANY(NAME) cmocka_unit_test_setup_teardown(NAME, make_env_of_many_threads, free_env)
    const struct CMUnitTest tests[] = {
        TEST(run_comes_on_a_worker_and_done_later_on_the_loop),
        TEST(done_comes_in_the_order_of_submission_whoever_ends_first),
        TEST(a_lane_does_not_wait_for_another),
        TEST(each_work_finds_a_worker_that_is_free),
        TEST(work_may_be_freed_in_its_done),
        TEST(done_may_submit_its_own_work_to_a_lane_that_was_full),
        TEST(a_lane_refuses_work_over_its_number_and_tells_once_of_room),
        TEST(without_a_refusal_there_is_no_word_of_room),
        TEST(a_lane_refuses_work_over_its_cost_but_takes_any_when_empty),
        TEST(room_is_told_when_the_cheapest_refused_work_fits),
        TEST_OF_MANY(no_more_of_a_lane_run_at_once_than_may_though_workers_are_idle),
        TEST_OF_MANY(the_rest_of_a_lane_runs_once_those_that_blocked_it_have_ended),
        TEST_OF_MANY(works_of_a_lane_that_runs_one_at_once_follow_each_other),
        TEST(a_lane_that_was_at_its_limit_comes_behind_the_others),
        TEST(queued_work_of_a_lane_at_its_limit_can_be_cancelled),
        TEST(a_lane_at_its_limit_with_all_cancelled_takes_more),
        TEST(a_lane_at_its_limit_can_be_closed),
        TEST(lanes_are_served_by_cost_not_by_number),
        TEST(work_of_any_cost_gets_its_turn),
        TEST(cancelled_work_never_runs_and_comes_back_in_its_turn),
        TEST(cancelled_work_does_not_wait_for_a_worker),
        TEST(cancel_comes_too_late_for_work_that_runs_or_has_run),
        TEST(cancel_of_a_lane_leaves_what_runs_and_takes_more),
        TEST(done_may_cancel_other_work_of_its_lane),
        TEST(an_empty_lane_closes_but_not_within_the_call),
        TEST(a_full_lane_gives_all_back_before_it_is_closed),
        TEST(a_lane_that_closes_waits_for_what_runs_and_has_no_room),
        TEST(done_may_close_its_lane),
        TEST(done_may_close_another_lane_whose_work_has_ended_too),
        TEST_OF_MANY(millions_of_works_come_back_once_and_in_order),
        TEST(a_lane_without_room_or_without_running_is_not_made),
        TEST(a_pool_with_an_open_lane_is_not_freed),
        TEST(only_the_loops_thread_may_use_the_pool),
        TEST(without_memory_pools_and_lanes_are_refused),
        TEST(without_threads_a_pool_is_refused),
    };
#undef TEST
#undef TEST_OF_MANY

    return cmocka_run_group_tests(tests, NULL, NULL);
}
