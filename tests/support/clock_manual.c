#include "tests/support/clock_manual.h"

#include <stdatomic.h>
#include <stddef.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

struct clock_manual {
    struct clock_source source; /* first: a source of ours is a manual clock */
    _Atomic uint64_t now_ms;
    _Atomic int64_t wall_us;
    uv_mutex_t mutex; /* guards the watchers, and that they are told of one step at a time */
    struct clock_watcher *watchers;
};

static struct clock_manual *manual_of(const struct clock_source *clock)
{
    return (
        struct clock_manual *)clock; /* its first member; made by clock_manual_new(), not const */
}

static uint64_t manual_now_ms(const struct clock_source *clock)
{
    return atomic_load(&manual_of(clock)->now_ms);
}

static int64_t manual_wall_us(const struct clock_source *clock)
{
    return atomic_load(&manual_of(clock)->wall_us);
}

static void manual_watch(const struct clock_source *clock, struct clock_watcher *watcher)
{
    struct clock_manual *manual = manual_of(clock);

    uv_mutex_lock(&manual->mutex);
    watcher->next = manual->watchers;
    manual->watchers = watcher;
    uv_mutex_unlock(&manual->mutex);
}

static void manual_unwatch(const struct clock_source *clock, struct clock_watcher *watcher)
{
    struct clock_manual *manual = manual_of(clock);
    struct clock_watcher **link = &manual->watchers;

    uv_mutex_lock(&manual->mutex);
    while (*link != NULL && *link != watcher)
        link = &(*link)->next;
    INVARIANT(*link == watcher);
    *link = watcher->next;
    watcher->next = NULL;
    uv_mutex_unlock(&manual->mutex);
}

static const struct clock_ops manual_ops = {
    .now_ms = manual_now_ms,
    .wall_us = manual_wall_us,
    .watch = manual_watch,
    .unwatch = manual_unwatch,
};

struct clock_manual *clock_manual_new(void)
{
    struct clock_manual *manual = memory_new(1, sizeof(*manual));

    INVARIANT(manual != NULL);
    INVARIANT(uv_mutex_init(&manual->mutex) == 0);
    manual->source.ops = &manual_ops;
    atomic_init(&manual->now_ms, CLOCK_MANUAL_START_MS);
    atomic_init(&manual->wall_us, CLOCK_MANUAL_START_WALL_US);
    return manual;
}

void clock_manual_free(struct clock_manual *manual)
{
    if (manual == NULL)
        return;
    INVARIANT(manual->watchers == NULL);
    uv_mutex_destroy(&manual->mutex);
    memory_free(manual);
}

const struct clock_source *clock_manual_source(const struct clock_manual *manual)
{
    return &manual->source;
}

static void tell(struct clock_manual *manual)
{
    for (struct clock_watcher *watcher = manual->watchers; watcher != NULL; watcher = watcher->next)
        watcher->jumped(watcher);
}

void clock_manual_advance_ms(struct clock_manual *manual, uint64_t ms)
{
    uv_mutex_lock(&manual->mutex);
    (void)atomic_fetch_add(&manual->now_ms, ms);                    /* what it was before */
    (void)atomic_fetch_add(&manual->wall_us, (int64_t)(ms * 1000)); /* the same */
    tell(manual);
    uv_mutex_unlock(&manual->mutex);
}

void clock_manual_set_wall_us(struct clock_manual *manual, int64_t wall_us)
{
    uv_mutex_lock(&manual->mutex);
    atomic_store(&manual->wall_us, wall_us);
    tell(manual);
    uv_mutex_unlock(&manual->mutex);
}
