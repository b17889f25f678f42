#include "base/clock.h"

#include <stddef.h>

#include <uv.h>

#include "base/invariant.h"

enum { NS_PER_MS = 1000000, US_PER_S = 1000000 };

/* uv_hrtime() is CLOCK_MONOTONIC, or the performance counter of Windows (libuv manual, "Miscellaneous
 * utilities"). */
static uint64_t system_now_ms(const struct clock_source *clock)
{
    (void)clock; /* there is one machine */
    return uv_hrtime() / NS_PER_MS;
}

static int64_t system_wall_us(const struct clock_source *clock)
{
    uv_timeval64_t now = {0};

    (void)clock;                           /* there is one machine */
    INVARIANT(uv_gettimeofday(&now) == 0); /* fails for a bad pointer only */
    return now.tv_sec * US_PER_S + now.tv_usec;
}

static void system_watch(const struct clock_source *clock, struct clock_watcher *watcher)
{
    (void)clock; /* moves by itself: there is nothing to tell */
    (void)watcher;
}

static const struct clock_ops system_ops = {
    .now_ms = system_now_ms,
    .wall_us = system_wall_us,
    .watch = system_watch,
    .unwatch = system_watch,
};

static const struct clock_source system_source = {.ops = &system_ops};

const struct clock_source *clock_system(void)
{
    return &system_source;
}

uint64_t clock_now_ms(const struct clock_source *clock)
{
    return clock->ops->now_ms(clock);
}

int64_t clock_wall_us(const struct clock_source *clock)
{
    return clock->ops->wall_us(clock);
}

void clock_watch(const struct clock_source *clock, struct clock_watcher *watcher)
{
    clock->ops->watch(clock, watcher);
}

void clock_unwatch(const struct clock_source *clock, struct clock_watcher *watcher)
{
    clock->ops->unwatch(clock, watcher);
}
