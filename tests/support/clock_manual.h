/* tests/support/clock_manual.h: time that moves when a test says so: the filling of base/clock.h for
 * tests. One thread steps it, any number read it meanwhile. */
#ifndef TESTS_SUPPORT_CLOCK_MANUAL_H
#define TESTS_SUPPORT_CLOCK_MANUAL_H

#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"

struct clock_manual;

/* Where it begins. Not at zero, so that a moment taken for a duration shows. */
enum { CLOCK_MANUAL_START_MS = 1000000, CLOCK_MANUAL_START_WALL_US = 1000000000 };

/* Never NULL: a test without memory cannot go on. */
NODISCARD struct clock_manual *clock_manual_new(void);

/* No watcher is left (broken invariant). NULL is fine. */
void clock_manual_free(struct clock_manual *manual);

/* To be passed where a clock is wanted; good until clock_manual_free(). */
const struct clock_source *clock_manual_source(const struct clock_manual *manual);

/* Moves both times on, then tells each watcher once, before it returns. Watchers are told under the
 * clock's lock: they may read the clock, and neither step it nor watch or unwatch. */
void clock_manual_advance_ms(struct clock_manual *manual, uint64_t ms);

/* Sets the wall clock alone, as an operator would, back as well as forward; tells the watchers too. */
void clock_manual_set_wall_us(struct clock_manual *manual, int64_t wall_us);

#endif
