/* base/queue.h: a bounded queue between threads, first in, first out, of items that are their owner's
 * memory: pushing and popping allocate nothing, so they cannot fail for want of memory.
 *
 * Threads wait in queue_push() and queue_pop(); the loop never waits: it tries, and is posted a task
 * when there is something or when there is room again. Any thread, several on each side. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/loop.h"

/* Embedded in what travels. From a push that succeeds to the pop it is the queue's. */
struct queue_item {
    struct queue_item *next; /* the queue's */
    uint64_t cost;           /* bytes it stands for, at least 1 */
};

struct queue_limits {
    size_t items;  /* at most; at least 1 */
    uint64_t cost; /* their sum, at most; an item of more is taken when the queue is empty */
};

enum queue_result {
    QUEUE_DONE,
    QUEUE_FULL,   /* try_push: not now */
    QUEUE_EMPTY,  /* try_pop: not now */
    QUEUE_CLOSED, /* push: never again; pop: never again, nothing is left */
};

struct queue;

NODISCARD enum status queue_new(struct queue_limits limits, struct queue **ret_queue,
                                struct error *err);

/* Nobody is in a call on it, and it is empty. NULL is fine. It takes back no post: ON_ITEMS and ON_ROOM
 * may still be on their way (from the close, or from a pop after it) and run once more. From here they
 * leave the queue alone, and their memory stays in place until what was posted to their loop so far
 * has run: a task that is posted there after this call comes behind them. */
void queue_free(struct queue *queue);

/* Waits for room; who waits first goes first, so that small items do not keep a large one out.
 * QUEUE_DONE: ITEM is the queue's; QUEUE_CLOSED: it stays the caller's. */
NODISCARD enum queue_result queue_push(struct queue *queue, struct queue_item *item);

/* Waits for an item. QUEUE_DONE or QUEUE_CLOSED. */
NODISCARD enum queue_result queue_pop(struct queue *queue, struct queue_item **ret_item);

/* The same without waiting: QUEUE_FULL (also while others wait for room), QUEUE_EMPTY instead. */
NODISCARD enum queue_result queue_try_push(struct queue *queue, struct queue_item *item);
NODISCARD enum queue_result queue_try_pop(struct queue *queue, struct queue_item **ret_item);

/* TASK (NULL: none) is posted to LOOP when an item comes into the empty queue, and when it is closed:
 * then pop until QUEUE_EMPTY. Set before other threads use the queue. */
void queue_on_items(struct queue *queue, struct loop *loop, struct loop_task *task);

/* TASK (NULL: none) is posted to LOOP when there is room again after a QUEUE_FULL (once for any number
 * of them, for the cheapest item refused), and when it is closed. Set before other threads use the
 * queue. */
void queue_on_room(struct queue *queue, struct loop *loop, struct loop_task *task);

/* Nothing more goes in; what is in can still be popped. All who wait for room are let go. */
void queue_close(struct queue *queue);

/* queue_close(), and takes out all that is in: the caller's now, linked by next, oldest first. */
NODISCARD struct queue_item *queue_cancel(struct queue *queue);

#endif
