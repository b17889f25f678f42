#include "base/loop.h"

#include <stdatomic.h>
#include <stddef.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

struct loop {
    struct clock_watcher watcher; /* first: a watcher of ours is a loop */
    const struct clock_source *clock;
    _Atomic(uv_thread_t) thread; /* whose the loop is; others read it to find that they are wrong */

    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer; /* armed for the earliest of ours, for clocks that move by themselves */
    bool uv_made, mutex_made;

    /* The mailbox. While it is not empty, either a wake-up is pending or a round is running, which
     * looks again at its end: none is lost. Wake-ups are sent under the mutex, so that whoever has
     * seen the effect of a post knows that the poster is through with the loop. */
    uv_mutex_t mutex;
    struct loop_task *first, *last;
    size_t posted;
    bool stopping;

    /* The loop's thread only. */
    bool running;
    bool stopped; /* loop_run() is on its way out: what comes now waits for the next one */
    struct loop_timer *timers; /* the earliest: the root of a pairing heap */
    uint64_t next_order;
};

/* --- timers: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986). It lives in the timers
 * themselves, so starting one cannot fail. `back` is the parent of a first child, else the sibling
 * before. --- */

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->order < b->order);
}

/* Two heaps (NULL: empty) as one. */
static struct loop_timer *heap_meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;

    struct loop_timer *root = earlier(a, b) ? a : b;
    struct loop_timer *under = root == a ? b : a;

    under->sibling = root->child;
    if (under->sibling != NULL)
        under->sibling->back = under;
    under->back = root;
    root->child = under;
    return root;
}

/* FIRST and its siblings as one heap: pairs from left to right, then all pairs from right to left. */
static struct loop_timer *heap_gather(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL;
    struct loop_timer *root = NULL;

    while (first != NULL) {
        struct loop_timer *a = first;
        struct loop_timer *b = a->sibling;

        first = b != NULL ? b->sibling : NULL;
        a->sibling = a->back = NULL;
        if (b != NULL)
            b->sibling = b->back = NULL;
        a = heap_meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct loop_timer *pair = pairs;

        pairs = pair->sibling;
        pair->sibling = NULL;
        root = heap_meld(root, pair);
    }
    return root;
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
    struct loop_timer *below = heap_gather(timer->child);

    if (timer == loop->timers) {
        loop->timers = below;
    } else {
        if (timer->back->child == timer)
            timer->back->child = timer->sibling;
        else
            timer->back->sibling = timer->sibling;
        if (timer->sibling != NULL)
            timer->sibling->back = timer->back;
        loop->timers = heap_meld(loop->timers, below);
    }
    timer->child = timer->sibling = timer->back = NULL;
    timer->started = false;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms)
{
    loop_assert(loop);

    uint64_t now_ms = clock_now_ms(loop->clock);

    if (timer->started)
        heap_remove(loop, timer);
    timer->due_ms = delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;
    timer->order = loop->next_order++;
    timer->child = timer->sibling = timer->back = NULL;
    timer->started = true;
    loop->timers = heap_meld(loop->timers, timer); /* armed at the end of this turn */
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    loop_assert(loop);
    if (timer->started)
        heap_remove(loop, timer);
}

/* --- turns --- */

/* On other threads under the mutex: the loop takes it in each turn, so a turn that follows the wake-up
 * sees all that came before it. */
static void wake(struct loop *loop)
{
    INVARIANT(uv_async_send(&loop->wake) == 0); /* fails for a bad handle only */
}

static bool is_stopping(struct loop *loop)
{
    uv_mutex_lock(&loop->mutex);

    bool stopping = loop->stopping;

    uv_mutex_unlock(&loop->mutex);
    return stopping;
}

/* Those that are due now; one started meanwhile waits for the next turn, so that a timer without delay
 * that starts itself does not keep the tasks out. */
static void run_timers(struct loop *loop)
{
    if (loop->timers == NULL)
        return;

    uint64_t now_ms = clock_now_ms(loop->clock);
    uint64_t first_new = loop->next_order;

    while (!is_stopping(loop)) {
        struct loop_timer *timer = loop->timers;

        if (timer == NULL || timer->due_ms > now_ms || timer->order >= first_new)
            break;
        heap_remove(loop, timer);
        timer->run(timer); /* TIMER may be gone from here */
    }
}

/* Those that are in the mailbox now; what they post waits for the next turn. */
static void run_tasks(struct loop *loop)
{
    uv_mutex_lock(&loop->mutex);
    for (size_t left = loop->posted; left > 0; left--) {
        struct loop_task *task = loop->first;

        loop->first = task->next;
        if (loop->first == NULL)
            loop->last = NULL;
        loop->posted--;
        task->next = NULL;
        task->posted = false;
        uv_mutex_unlock(&loop->mutex);
        task->run(task); /* TASK may be gone from here */
        uv_mutex_lock(&loop->mutex);
    }
    if (loop->first != NULL) {
        wake(loop);
    } else if (loop->stopping) {
        loop->stopping = false;
        loop->stopped = true;
        uv_stop(&loop->uv);
    }
    uv_mutex_unlock(&loop->mutex);
}

static void turn(struct loop *loop);

static void timer_fired(uv_timer_t *timer)
{
    turn(timer->data);
}

/* The next turn comes when the earliest timer is due: by the clock's watcher if it is stepped, by
 * libuv's timer if it moves by itself. Should that come too early, the loop asks its clock and arms
 * again. What is due already does not go through libuv's timer: libuv would call it for ever without
 * looking at anything else. */
static void arm(struct loop *loop)
{
    if (loop->timers == NULL) {
        (void)uv_timer_stop(&loop->timer); /* always 0 */
        return;
    }

    uint64_t now_ms = clock_now_ms(loop->clock);

    if (loop->timers->due_ms <= now_ms) {
        wake(loop);
        return;
    }
    uv_update_time(&loop->uv); /* libuv counts from the time it knows */
    INVARIANT(uv_timer_start(&loop->timer, timer_fired, loop->timers->due_ms - now_ms, 0) == 0);
}

static void turn(struct loop *loop)
{
    if (loop->stopped)
        return;
    run_timers(loop);
    run_tasks(loop);
    if (!loop->stopped)
        arm(loop);
}

static void woken(uv_async_t *async)
{
    turn(async->data);
}

static void jumped(struct clock_watcher *watcher)
{
    struct loop *loop = (struct loop *)watcher; /* its first member */

    uv_mutex_lock(&loop->mutex);
    wake(loop);
    uv_mutex_unlock(&loop->mutex);
}

enum status loop_run(struct loop *loop, struct error *err)
{
    atomic_store(&loop->thread, uv_thread_self());
    INVARIANT(!loop->running);
    loop->running = true;
    loop->stopped = false;
    wake(loop);                              /* a first turn, whatever became of older wake-ups */
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* says whether handles are left: they are */
    loop->running = false;
    if (!loop->stopped)
        return error_set(err, STATUS_INTERNAL, "libuv's loop ended by itself");
    return STATUS_OK;
}

void loop_stop(struct loop *loop)
{
    uv_mutex_lock(&loop->mutex);
    loop->stopping = true;
    wake(loop);
    uv_mutex_unlock(&loop->mutex);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    uv_mutex_lock(&loop->mutex);
    if (!task->posted) {
        task->posted = true;
        task->next = NULL;
        if (loop->last != NULL) {
            loop->last->next = task;
        } else {
            loop->first = task;
            wake(loop);
        }
        loop->last = task;
        loop->posted++;
    }
    uv_mutex_unlock(&loop->mutex);
}

/* --- life --- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

/* Also half-built. */
static void dispose(struct loop *loop)
{
    if (loop->uv_made) {
        uv_walk(&loop->uv, close_handle, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* lets the handles close; nothing is left */
        INVARIANT(uv_loop_close(&loop->uv) == 0);
    }
    if (loop->mutex_made)
        uv_mutex_destroy(&loop->mutex);
    memory_free(loop);
}

enum status loop_new(const struct clock_source *clock, struct loop **ret_loop, struct error *err)
{
    struct loop *loop = memory_new(1, sizeof(*loop));
    enum status st = STATUS_OK;

    if (loop == NULL)
        return error_set_no_memory(err, sizeof(*loop), "the event loop");
    loop->watcher.jumped = jumped;
    loop->clock = clock;
    atomic_init(&loop->thread, uv_thread_self());

    int result = uv_mutex_init(&loop->mutex);

    loop->mutex_made = result == 0;
    if (result == 0)
        result = uv_loop_init(&loop->uv);
    loop->uv_made = loop->mutex_made && result == 0;
    if (result == 0)
        result = uv_async_init(&loop->uv, &loop->wake, woken);
    if (result == 0)
        result = uv_timer_init(&loop->uv, &loop->timer);
    if (result != 0) {
        st = error_set_uv(err, result, "start the event loop");
        goto out;
    }
    loop->wake.data = loop;
    loop->timer.data = loop;
    clock_watch(clock, &loop->watcher);
    *ret_loop = loop;
    loop = NULL;
out:
    if (loop != NULL)
        dispose(loop);
    return st;
}

/* No loop_assert(): whoever knows that the loop's thread has ended may free it. */
void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    uv_mutex_lock(&loop->mutex); /* who posted last is out of it once we have had the mutex */
    INVARIANT(loop->first == NULL);
    uv_mutex_unlock(&loop->mutex);
    INVARIANT(!loop->running);
    INVARIANT(loop->timers == NULL);
    clock_unwatch(loop->clock, &loop->watcher);
    dispose(loop);
}

void loop_assert(const struct loop *loop)
{
    uv_thread_t self = uv_thread_self();
    uv_thread_t owner = atomic_load(&loop->thread);

    INVARIANT(uv_thread_equal(&self, &owner) != 0);
}

const struct clock_source *loop_clock(const struct loop *loop)
{
    return loop->clock;
}
