#include "agent/window.h"

#include <stddef.h>

#include "base/invariant.h"

static void remove_wait(struct window *window, struct window_wait *wait)
{
    struct window_wait *before = NULL;

    for (struct window_wait *w = window->first; w != wait; w = w->next)
        before = w;
    if (before != NULL)
        before->next = wait->next;
    else
        window->first = wait->next;
    if (window->last == wait)
        window->last = before;
    wait->waiting = false;
}

/* Each who waits takes what there is room for; who wants more waits again, behind the others. */
static void tell(struct loop_task *task)
{
    struct window *window = (struct window *)((char *)task - offsetof(struct window, tell));

    while (window->first != NULL && window->first->bytes <= window->limit - window->used) {
        struct window_wait *wait = window->first;

        remove_wait(window, wait);
        window->serving = wait;
        wait->room(wait);
        window->serving = NULL;
    }
}

void window_init(struct window *window, struct loop *loop, uint64_t limit)
{
    *window = (struct window){.loop = loop, .limit = limit, .tell = {.run = tell}};
}

void window_deinit(struct window *window)
{
    INVARIANT(window->used == 0);
    INVARIANT(window->first == NULL);
}

static void wait_for_room(struct window *window, uint64_t bytes, struct window_wait *wait)
{
    if (wait->waiting)
        return;
    wait->waiting = true;
    wait->bytes = bytes;
    wait->next = NULL;
    if (window->last != NULL)
        window->last->next = wait;
    else
        window->first = wait;
    window->last = wait;
}

bool window_take(struct window *window, uint64_t bytes, struct window_wait *wait)
{
    loop_assert(window->loop);
    INVARIANT(bytes <= window->limit);
    if (bytes > window->limit - window->used ||
        (window->first != NULL && window->serving != wait)) {
        wait_for_room(window, bytes, wait);
        return false;
    }
    window->used += bytes;
    if (window->used > window->peak)
        window->peak = window->used;
    return true;
}

void window_give(struct window *window, uint64_t bytes)
{
    loop_assert(window->loop);
    INVARIANT(bytes <= window->used);
    window->used -= bytes;
    if (window->first != NULL)
        loop_post(window->loop, &window->tell);
}

void window_forget(struct window *window, struct window_wait *wait)
{
    if (!wait->waiting)
        return;
    remove_wait(window, wait);
    if (window->first != NULL) /* what was too little for this one may be enough for the next */
        loop_post(window->loop, &window->tell);
}
