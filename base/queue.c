#include "base/queue.h"

#include <stdbool.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

/* One thread that waits in queue_push(), on its stack. Whoever makes room puts its item in on its
 * behalf: nobody can take the place while it wakes up. */
struct pusher {
    struct queue_item *item;
    struct pusher *next;
    uv_cond_t let_go;
    bool over;
    enum queue_result result;
};

/* All under the mutex; tasks are posted under it too, so that whoever finds the queue closed knows that
 * nobody is still about to post. */
struct queue {
    uv_mutex_t mutex;
    uv_cond_t items; /* there is one, or it is closed */
    bool mutex_made, items_made;
    struct queue_limits limits;
    struct queue_item *first, *last;
    size_t count;
    uint64_t cost;
    size_t poppers; /* threads that wait */
    size_t called;  /* of them, how many were signalled and have not woken up; at most that */
    struct pusher *first_pusher, *last_pusher;
    uint64_t refused_cost; /* of the cheapest item refused since on_room was posted; 0: none */
    bool closed;
    struct loop *items_loop, *room_loop;
    struct loop_task *on_items, *on_room;
};

static void dispose(struct queue *queue)
{
    if (queue->items_made)
        uv_cond_destroy(&queue->items);
    if (queue->mutex_made)
        uv_mutex_destroy(&queue->mutex);
    memory_free(queue);
}

enum status queue_new(struct queue_limits limits, struct queue **ret_queue, struct error *err)
{
    struct queue *queue = memory_new(1, sizeof(*queue));
    enum status st = STATUS_OK;

    INVARIANT(limits.items >= 1);
    if (queue == NULL)
        return error_set_no_memory(err, sizeof(*queue), "a queue");
    queue->limits = limits;

    int result = uv_mutex_init(&queue->mutex);

    queue->mutex_made = result == 0;
    if (result == 0)
        result = uv_cond_init(&queue->items);
    queue->items_made = queue->mutex_made && result == 0;
    if (result != 0) {
        st = error_set_uv(err, result, "make a queue");
        goto out;
    }
    *ret_queue = queue;
    queue = NULL;
out:
    if (queue != NULL)
        dispose(queue);
    return st;
}

void queue_free(struct queue *queue)
{
    if (queue == NULL)
        return;
    uv_mutex_lock(&queue->mutex); /* who was in it last is out once we have had the mutex */
    INVARIANT(queue->count == 0);
    INVARIANT(queue->first_pusher == NULL && queue->poppers == 0);
    uv_mutex_unlock(&queue->mutex);
    dispose(queue);
}

static void post(struct loop *loop, struct loop_task *task)
{
    if (task != NULL)
        loop_post(loop, task);
}

static bool fits(const struct queue *queue, uint64_t cost)
{
    if (queue->count == 0)
        return true;
    return queue->count < queue->limits.items && cost <= queue->limits.cost &&
           queue->cost <= queue->limits.cost - cost;
}

static void append(struct queue *queue, struct queue_item *item)
{
    item->next = NULL;
    if (queue->last != NULL)
        queue->last->next = item;
    else
        queue->first = item;
    queue->last = item;
    queue->count++;
    queue->cost += item->cost;
    /* Who was called finds this item too; a second call, for nothing, would cost more than the item. */
    if (queue->called < queue->poppers && queue->called < queue->count) {
        queue->called++;
        uv_cond_signal(&queue->items);
    }
    if (queue->count == 1)
        post(queue->items_loop, queue->on_items);
}

static void let_first_pusher_go(struct queue *queue, enum queue_result result)
{
    struct pusher *pusher = queue->first_pusher;

    queue->first_pusher = pusher->next;
    if (queue->first_pusher == NULL)
        queue->last_pusher = NULL;
    pusher->result = result;
    pusher->over = true;
    uv_cond_signal(&pusher->let_go);
}

static struct queue_item *take_first(struct queue *queue)
{
    struct queue_item *item = queue->first;

    queue->first = item->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    queue->cost -= item->cost;
    item->next = NULL;
    while (queue->first_pusher != NULL && fits(queue, queue->first_pusher->item->cost)) {
        append(queue, queue->first_pusher->item);
        let_first_pusher_go(queue, QUEUE_DONE);
    }
    if (queue->refused_cost != 0 && queue->first_pusher == NULL &&
        fits(queue, queue->refused_cost)) {
        queue->refused_cost = 0;
        post(queue->room_loop, queue->on_room);
    }
    return item;
}

static enum queue_result wait_for_room(struct queue *queue, struct queue_item *item)
{
    struct pusher pusher = {.item = item};

    /* Needs no memory on our platforms, and there is no status for a lock that cannot be had. */
    INVARIANT(uv_cond_init(&pusher.let_go) == 0);
    if (queue->last_pusher != NULL)
        queue->last_pusher->next = &pusher;
    else
        queue->first_pusher = &pusher;
    queue->last_pusher = &pusher;
    while (!pusher.over)
        uv_cond_wait(&pusher.let_go, &queue->mutex);
    uv_cond_destroy(&pusher.let_go);
    return pusher.result;
}

/* QUEUE_FULL where a thread would have to wait. */
static enum queue_result put(struct queue *queue, struct queue_item *item)
{
    INVARIANT(item->cost >= 1);
    if (queue->closed)
        return QUEUE_CLOSED;
    if (queue->first_pusher != NULL || !fits(queue, item->cost))
        return QUEUE_FULL;
    append(queue, item);
    return QUEUE_DONE;
}

/* QUEUE_EMPTY where a thread would have to wait. */
static enum queue_result take(struct queue *queue, struct queue_item **ret_item)
{
    if (queue->count == 0)
        return queue->closed ? QUEUE_CLOSED : QUEUE_EMPTY;
    *ret_item = take_first(queue);
    return QUEUE_DONE;
}

enum queue_result queue_push(struct queue *queue, struct queue_item *item)
{
    uv_mutex_lock(&queue->mutex);

    enum queue_result result = put(queue, item);

    if (result == QUEUE_FULL)
        result = wait_for_room(queue, item);
    uv_mutex_unlock(&queue->mutex);
    return result;
}

enum queue_result queue_pop(struct queue *queue, struct queue_item **ret_item)
{
    uv_mutex_lock(&queue->mutex);

    enum queue_result result = take(queue, ret_item);

    while (result == QUEUE_EMPTY) {
        queue->poppers++;
        uv_cond_wait(&queue->items, &queue->mutex);
        queue->poppers--;
        if (queue->called > 0) /* maybe not us: then one is called once too often */
            queue->called--;
        result = take(queue, ret_item);
    }
    uv_mutex_unlock(&queue->mutex);
    return result;
}

enum queue_result queue_try_push(struct queue *queue, struct queue_item *item)
{
    uv_mutex_lock(&queue->mutex);

    enum queue_result result = put(queue, item);

    if (result == QUEUE_FULL && (queue->refused_cost == 0 || item->cost < queue->refused_cost))
        queue->refused_cost = item->cost;
    uv_mutex_unlock(&queue->mutex);
    return result;
}

enum queue_result queue_try_pop(struct queue *queue, struct queue_item **ret_item)
{
    uv_mutex_lock(&queue->mutex);

    enum queue_result result = take(queue, ret_item);

    uv_mutex_unlock(&queue->mutex);
    return result;
}

void queue_on_items(struct queue *queue, struct loop *loop, struct loop_task *task)
{
    uv_mutex_lock(&queue->mutex);
    queue->items_loop = loop;
    queue->on_items = task;
    uv_mutex_unlock(&queue->mutex);
}

void queue_on_room(struct queue *queue, struct loop *loop, struct loop_task *task)
{
    uv_mutex_lock(&queue->mutex);
    queue->room_loop = loop;
    queue->on_room = task;
    uv_mutex_unlock(&queue->mutex);
}

static void close_locked(struct queue *queue)
{
    if (queue->closed)
        return;
    queue->closed = true;
    while (queue->first_pusher != NULL)
        let_first_pusher_go(queue, QUEUE_CLOSED);
    uv_cond_broadcast(&queue->items);
    post(queue->items_loop, queue->on_items);
    post(queue->room_loop, queue->on_room);
}

void queue_close(struct queue *queue)
{
    uv_mutex_lock(&queue->mutex);
    close_locked(queue);
    uv_mutex_unlock(&queue->mutex);
}

struct queue_item *queue_cancel(struct queue *queue)
{
    uv_mutex_lock(&queue->mutex);
    close_locked(queue);

    struct queue_item *items = queue->first;

    queue->first = queue->last = NULL;
    queue->count = 0;
    queue->cost = 0;
    uv_mutex_unlock(&queue->mutex);
    return items;
}
