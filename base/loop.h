/* base/loop.h: the one thread that owns the state of a process (architecture, section 7), on libuv.
 *
 * Other threads hand it tasks; timers follow the injected clock. A callback is called exactly once for
 * each start, on the loop's thread, and never before the call that started it has returned. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"

struct loop;

/* The caller's memory; in a struct of its owner, zeroed but for RUN. */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next; /* the loop's */
    bool posted;            /* the loop's */
};

/* The caller's memory; between loop_timer_start() and its run, or loop_timer_stop(), the loop's. */
struct loop_timer {
    void (*run)(struct loop_timer *timer);
    uint64_t due_ms; /* the loop's, as is what follows */
    uint64_t order;  /* timers of one moment run in the order of their start */
    struct loop_timer *child, *sibling, *back; /* its place in the heap */
    bool started;
};

/* CLOCK is borrowed. The calling thread owns the loop until loop_run(). STATUS_EXHAUSTED: no memory or
 * no file descriptors. */
NODISCARD enum status loop_new(const struct clock_source *clock, struct loop **ret_loop,
                               struct error *err);

/* Not running, nothing posted, no timer started. NULL is fine. Thread: the loop's, or any once that
 * has ended. */
void loop_free(struct loop *loop);

/* Runs tasks and timers on this thread until loop_stop(), and then what is still posted. May be run
 * again. STATUS_INTERNAL: libuv failed. */
NODISCARD enum status loop_run(struct loop *loop, struct error *err);

/* Makes loop_run() return once all that is posted has run, what those tasks post included; timers stay
 * started. Not running: makes the next loop_run() do so. Any thread. */
void loop_stop(struct loop *loop);

/* Broken invariant, unless this is the loop's thread. */
void loop_assert(const struct loop *loop);

const struct clock_source *loop_clock(const struct loop *loop);

/* TASK will run once on the loop, after those posted before it. Posted again before it runs: no
 * effect; posted from its own run(): runs again, in a later round, after timers that are due. Any
 * thread. */
void loop_post(struct loop *loop, struct loop_task *task);

/* TIMER will run once, DELAY_MS from now by the loop's clock; a started one is started anew. Loop's
 * thread. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms);

/* It will not run; nothing, if it is not started. Loop's thread. */
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

#endif
