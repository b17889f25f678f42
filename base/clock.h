/* base/clock.h: time as the program sees it: a seam. Real in production (clock_system), stepped by
 * hand in tests (tests/support/clock_manual.h). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock_source;

/* Told that time has jumped (a manual clock was stepped), on the thread that stepped it. */
struct clock_watcher {
    void (*jumped)(struct clock_watcher *watcher);
    struct clock_watcher *next; /* the clock's */
};

struct clock_ops {
    uint64_t (*now_ms)(const struct clock_source *clock);
    int64_t (*wall_us)(const struct clock_source *clock);
    void (*watch)(const struct clock_source *clock, struct clock_watcher *watcher);
    void (*unwatch)(const struct clock_source *clock, struct clock_watcher *watcher);
};

struct clock_source {
    const struct clock_ops *ops;
};

/* The machine's clocks; lives as long as the process. */
const struct clock_source *clock_system(void);

/* Milliseconds since some moment, never going back, also while the wall clock is set; stands still
 * while the machine sleeps (CLOCK_MONOTONIC). For durations and deadlines. Any thread. */
uint64_t clock_now_ms(const struct clock_source *clock);

/* Microseconds since 1970-01-01 00:00 UTC, as the machine believes; may jump. For people, and for the
 * wire (architecture, section 6); never for order. Any thread. */
int64_t clock_wall_us(const struct clock_source *clock);

/* WATCHER hears of each jump until clock_unwatch(); the caller keeps it alive until then. The system's
 * clock never tells: it moves by itself. Any thread. */
void clock_watch(const struct clock_source *clock, struct clock_watcher *watcher);
void clock_unwatch(const struct clock_source *clock, struct clock_watcher *watcher);

#endif
