/* agent/window.h: how much of disks an agent holds in memory: plain bytes that are read and not yet either
 * known to the coordinator or sent to it. One window for all of its tasks. Who finds it full waits, and is
 * served in the order of asking. Thread: the loop's. */
#ifndef AGENT_WINDOW_H
#define AGENT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

/* One who may have to wait; the caller's memory, zeroed but for ROOM. */
struct window_wait {
    void (*room)(struct window_wait *wait); /* on the loop, once for any number of refusals */
    struct window_wait *next;               /* the window's, as is what follows */
    bool waiting;
    uint64_t bytes; /* that it asked for */
};

struct window {
    struct loop *loop;
    uint64_t limit;
    uint64_t used;
    uint64_t peak; /* the most that was ever used */
    struct window_wait *first, *last;
    struct window_wait *serving;
    struct loop_task tell;
};

/* Pairs with window_deinit(): nothing is used, nobody waits, and what was posted to LOOP has run. */
void window_init(struct window *window, struct loop *loop, uint64_t limit);
void window_deinit(struct window *window);

/* Takes BYTES (at most the limit). False: there is no room, or others wait; WAIT will be told. */
bool window_take(struct window *window, uint64_t bytes, struct window_wait *wait);
void window_give(struct window *window, uint64_t bytes);

/* WAIT waits no more. Not waiting: no effect. */
void window_forget(struct window *window, struct window_wait *wait);

#endif
