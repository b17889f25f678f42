#include "base/pool.h"

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

enum { THREADS_MAX = 64 };

/* What a lane may spend each time its turn comes. About one block: smaller changes hands more often
 * than the work is worth, larger lets a lane of small work wait longer. */
enum { QUANTUM = 64 * 1024 };

/* A work that costs more is scheduled as if it cost this much: credits cannot overflow. */
#define SCHEDULED_COST_MAX (UINT64_C(1) << 60)

struct pool {
    struct loop_task hand_back; /* first: a task of ours is a pool */
    struct loop *loop;
    size_t lanes; /* the loop's */
    uv_thread_t threads[THREADS_MAX];
    unsigned started;
    bool mutex_made, work_made;

    uv_mutex_t mutex;  /* guards what follows, the lanes' part below, and the state of all work */
    uv_cond_t work;    /* there is some that may run, or the pool ends */
    struct lane *ring; /* whose turn it is, among the lanes that may run a work; NULL: none may */
    size_t ring_count;
    unsigned idle;   /* workers that wait */
    unsigned called; /* of them, how many were signalled and have not woken up; at most that */
    bool ending;
    /* On its way back to the loop, in the order of finishing. While it is not empty, hand_back is
     * posted. */
    struct work *first_finished, *last_finished;
};

struct lane {
    struct pool *pool;
    struct lane_limits limits; /* as they were given: any thread */

    /* The loop's. */
    struct loop_task *on_room, *on_closed;
    struct work *first, *last; /* submitted and not done, in that order */
    unsigned count;
    uint64_t cost;
    uint64_t refused_cost; /* of the cheapest work refused since on_room was posted; 0: none */
    bool due;              /* listed by due_next: work came back that may be done */
    struct lane *due_next;
    bool delivering, closing;

    /* Under the pool's mutex. */
    struct work *first_ready, *last_ready;
    unsigned running;                   /* on workers */
    struct lane *ring_next, *ring_back; /* NULL: not in the ring */
    uint64_t credit;
};

/* --- scheduling: deficit round robin (Shreedhar and Varghese 1995) on cost. Under the mutex. --- */

static void ring_add(struct pool *pool, struct lane *lane)
{
    if (pool->ring == NULL) {
        lane->ring_next = lane->ring_back = lane;
        pool->ring = lane;
    } else {
        lane->ring_next = pool->ring;
        lane->ring_back = pool->ring->ring_back;
        lane->ring_back->ring_next = lane;
        lane->ring_next->ring_back = lane;
    }
    lane->credit = QUANTUM;
    pool->ring_count++;
}

static void ring_remove(struct pool *pool, struct lane *lane)
{
    if (pool->ring == lane)
        pool->ring = lane->ring_next != lane ? lane->ring_next : NULL;
    lane->ring_next->ring_back = lane->ring_back;
    lane->ring_back->ring_next = lane->ring_next;
    lane->ring_next = lane->ring_back = NULL;
    pool->ring_count--;
}

/* Ready work or the number that runs has changed. */
static void ring_update(struct lane *lane)
{
    bool may_run = lane->first_ready != NULL && lane->running < lane->limits.running;
    bool in_ring = lane->ring_next != NULL;

    if (may_run && !in_ring)
        ring_add(lane->pool, lane);
    else if (!may_run && in_ring)
        ring_remove(lane->pool, lane);
}

static void ready_add(struct lane *lane, struct work *work)
{
    work->state = WORK_QUEUED;
    work->ready_next = NULL;
    work->ready_back = lane->last_ready;
    if (lane->last_ready != NULL)
        lane->last_ready->ready_next = work;
    else
        lane->first_ready = work;
    lane->last_ready = work;
    ring_update(lane);
}

static void ready_remove(struct lane *lane, struct work *work)
{
    if (work->ready_back != NULL)
        work->ready_back->ready_next = work->ready_next;
    else
        lane->first_ready = work->ready_next;
    if (work->ready_next != NULL)
        work->ready_next->ready_back = work->ready_back;
    else
        lane->last_ready = work->ready_back;
    work->ready_next = work->ready_back = NULL;
    ring_update(lane);
}

/* What the lane must have saved before its first ready work may run. */
static uint64_t lane_needs(const struct lane *lane)
{
    uint64_t cost = lane->first_ready->cost;

    return cost < SCHEDULED_COST_MAX ? cost : SCHEDULED_COST_MAX;
}

/* Nobody has saved enough: as many rounds at once as the lane needs that is nearest, so that the mutex
 * is not held for a walk as long as the work is large. */
static void grant_rounds(struct pool *pool)
{
    struct lane *lane = pool->ring;
    uint64_t rounds = UINT64_MAX;

    for (size_t i = 0; i < pool->ring_count; i++, lane = lane->ring_next) {
        uint64_t missing = lane_needs(lane) > lane->credit ? lane_needs(lane) - lane->credit : 0;
        uint64_t needed = missing / QUANTUM + (missing % QUANTUM != 0 ? 1 : 0);

        if (needed < rounds)
            rounds = needed;
    }
    for (size_t i = 0; i < pool->ring_count; i++, lane = lane->ring_next)
        lane->credit += rounds * QUANTUM; /* below what it needs, plus a quantum */
}

/* The work whose turn it is, for the calling worker to run; the ring is not empty. */
static struct work *take_ready(struct pool *pool)
{
    size_t passed = 0;

    while (pool->ring->credit < lane_needs(pool->ring)) {
        pool->ring->credit += QUANTUM; /* for its next turn */
        pool->ring = pool->ring->ring_next;
        if (++passed == pool->ring_count)
            grant_rounds(pool);
    }

    struct lane *lane = pool->ring;
    struct work *work = lane->first_ready;

    lane->credit -= lane_needs(lane);
    lane->running++;
    ready_remove(lane, work);
    work->state = WORK_RUNNING;
    return work;
}

static void finish(struct pool *pool, struct work *work)
{
    work->state = WORK_FINISHED;
    work->finished_next = NULL;
    if (pool->last_finished != NULL) {
        pool->last_finished->finished_next = work;
    } else {
        pool->first_finished = work;
        loop_post(pool->loop, &pool->hand_back);
    }
    pool->last_finished = work;
}

/* WORK has run. If that lets a lane into the ring, for one more work, there is no need to call a worker:
 * the calling one is free again, and looks into the ring before it lets go of the mutex. */
static void finish_run(struct pool *pool, struct work *work)
{
    work->lane->running--;
    ring_update(work->lane);
    finish(pool, work);
}

static void worker(void *arg)
{
    struct pool *pool = arg;

    uv_mutex_lock(&pool->mutex);
    while (pool->ring != NULL || !pool->ending) {
        if (pool->ring == NULL) {
            pool->idle++;
            uv_cond_wait(&pool->work, &pool->mutex);
            pool->idle--;
            if (pool->called > 0) /* maybe not us: then one is called once too often */
                pool->called--;
            continue;
        }

        struct work *work = take_ready(pool);

        uv_mutex_unlock(&pool->mutex);
        work->run(work);
        uv_mutex_lock(&pool->mutex);
        finish_run(pool, work);
    }
    uv_mutex_unlock(&pool->mutex);
}

/* --- done(), in the order of submission --- */

static bool has_room(const struct lane *lane, uint64_t cost)
{
    if (lane->count == 0)
        return true;
    return lane->count < lane->limits.work && cost <= lane->limits.cost &&
           lane->cost <= lane->limits.cost - cost;
}

/* The last done() was called; LANE is gone from here. */
static void lane_end(struct lane *lane)
{
    lane->pool->lanes--;
    loop_post(lane->pool->loop, lane->on_closed);
    memory_free(lane);
}

/* Calls done() of all work at the lane's head that came back. */
static void deliver(struct lane *lane)
{
    lane->delivering = true;
    while (lane->first != NULL && lane->first->handed_back) {
        struct work *work = lane->first;

        lane->first = work->next;
        if (lane->first == NULL)
            lane->last = NULL;
        lane->count--;
        lane->cost -= work->cost;
        work->lane = NULL;
        work->next = NULL;
        work->handed_back = false;
        work->state = WORK_IDLE; /* no worker has it: no mutex */
        work->done(work, work->cancelled ? STATUS_CANCELLED : STATUS_OK); /* WORK may be gone */
    }
    lane->delivering = false;
    if (lane->closing) {
        if (lane->count == 0)
            lane_end(lane);
        return;
    }
    if (lane->refused_cost != 0 && has_room(lane, lane->refused_cost)) {
        lane->refused_cost = 0;
        if (lane->on_room != NULL)
            loop_post(lane->pool->loop, lane->on_room);
    }
}

/* First all is marked, then done() is called: work whose memory goes in another's done() must not be
 * on the way any more. A lane that is due has work to be done, so closing it does not free it yet. */
static void hand_back(struct loop_task *task)
{
    struct pool *pool = (struct pool *)task; /* its first member */
    struct lane *due = NULL;
    struct lane **due_end = &due;

    loop_assert(pool->loop);
    uv_mutex_lock(&pool->mutex);

    struct work *work = pool->first_finished;

    pool->first_finished = pool->last_finished = NULL;
    uv_mutex_unlock(&pool->mutex);
    for (; work != NULL; work = work->finished_next) {
        struct lane *lane = work->lane;

        work->handed_back = true;
        if (!lane->due) {
            lane->due = true;
            lane->due_next = NULL;
            *due_end = lane;
            due_end = &lane->due_next;
        }
    }
    while (due != NULL) {
        struct lane *lane = due;

        due = lane->due_next;
        lane->due = false;
        deliver(lane);
    }
}

/* --- the loop's calls --- */

bool lane_submit(struct lane *lane, struct work *work)
{
    struct pool *pool = lane->pool;

    loop_assert(pool->loop);
    INVARIANT(!lane->closing);
    INVARIANT(work->lane == NULL && work->cost >= 1);
    if (!has_room(lane, work->cost)) {
        if (lane->refused_cost == 0 || work->cost < lane->refused_cost)
            lane->refused_cost = work->cost;
        return false;
    }
    work->lane = lane;
    work->next = NULL;
    work->cancelled = false;
    if (lane->last != NULL)
        lane->last->next = work;
    else
        lane->first = work;
    lane->last = work;
    lane->count++;
    lane->cost += work->cost;
    uv_mutex_lock(&pool->mutex);
    ready_add(lane, work);
    if (lane->ring_next != NULL && pool->called < pool->idle) {
        pool->called++;
        uv_cond_signal(&pool->work);
    }
    uv_mutex_unlock(&pool->mutex);
    return true;
}

/* Under the mutex: WORK is queued, and goes back without having run. */
static void cancel_queued(struct lane *lane, struct work *work)
{
    work->cancelled = true;
    ready_remove(lane, work);
    finish(lane->pool, work);
}

void work_cancel(struct work *work)
{
    struct lane *lane = work->lane;

    if (lane == NULL)
        return; /* done, or never submitted */
    loop_assert(lane->pool->loop);
    uv_mutex_lock(&lane->pool->mutex);
    if (work->state == WORK_QUEUED)
        cancel_queued(lane, work);
    uv_mutex_unlock(&lane->pool->mutex);
}

void lane_cancel(struct lane *lane)
{
    loop_assert(lane->pool->loop);
    uv_mutex_lock(&lane->pool->mutex);
    while (lane->first_ready != NULL)
        cancel_queued(lane, lane->first_ready);
    uv_mutex_unlock(&lane->pool->mutex);
}

void lane_close(struct lane *lane, struct loop_task *on_closed)
{
    lane_cancel(lane);
    INVARIANT(!lane->closing);
    lane->closing = true;
    lane->on_closed = on_closed;
    if (lane->count == 0 && !lane->delivering)
        lane_end(lane);
}

enum status lane_new(struct pool *pool, struct lane_limits limits, struct loop_task *on_room,
                     struct lane **ret_lane, struct error *err)
{
    loop_assert(pool->loop);
    INVARIANT(limits.work >= 1 && limits.running >= 1);

    struct lane *lane = memory_new(1, sizeof(*lane));

    if (lane == NULL)
        return error_set_no_memory(err, sizeof(*lane), "a lane of the worker pool");
    lane->pool = pool;
    lane->limits = limits;
    lane->on_room = on_room;
    pool->lanes++;
    *ret_lane = lane;
    return STATUS_OK;
}

/* Also half-built. */
static void dispose(struct pool *pool)
{
    if (pool->work_made) {
        uv_mutex_lock(&pool->mutex);
        pool->ending = true;
        uv_cond_broadcast(&pool->work);
        uv_mutex_unlock(&pool->mutex);
    }
    for (unsigned i = 0; i < pool->started; i++)
        INVARIANT(uv_thread_join(&pool->threads[i]) == 0);
    if (pool->work_made)
        uv_cond_destroy(&pool->work);
    if (pool->mutex_made)
        uv_mutex_destroy(&pool->mutex);
    memory_free(pool);
}

enum status pool_new(struct loop *loop, unsigned threads, struct pool **ret_pool, struct error *err)
{
    loop_assert(loop);
    INVARIANT(threads >= 1 && threads <= THREADS_MAX);

    struct pool *pool = memory_new(1, sizeof(*pool));
    enum status st = STATUS_OK;

    if (pool == NULL)
        return error_set_no_memory(err, sizeof(*pool), "the worker pool");
    pool->loop = loop;
    pool->hand_back.run = hand_back;

    int result = uv_mutex_init(&pool->mutex);

    pool->mutex_made = result == 0;
    if (result == 0)
        result = uv_cond_init(&pool->work);
    pool->work_made = pool->mutex_made && result == 0;
    while (result == 0 && pool->started < threads) {
        result = uv_thread_create(&pool->threads[pool->started], worker, pool);
        if (result == 0)
            pool->started++;
    }
    if (result != 0) {
        (void)error_set_uv(err, result, "start worker thread %u of %u", pool->started + 1, threads);
        st = err->status = STATUS_EXHAUSTED; /* whatever the number: EAGAIN, as a rule */
        goto out;
    }
    *ret_pool = pool;
    pool = NULL;
out:
    if (pool != NULL)
        dispose(pool);
    return st;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    loop_assert(pool->loop);
    INVARIANT(pool->lanes == 0);
    dispose(pool);
}
