/* recover/show.h: sizes and times as a person reads them, and how far a long work is. Any thread; the progress is its owner's. */
#ifndef RECOVER_SHOW_H
#define RECOVER_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

enum { SHOW_SIZE = 48 };

/* "0 B", "1023 B", "1.5 GiB": one digit behind the point, cut, never rounded up. */
void show_bytes(uint64_t bytes, char text[SHOW_SIZE]);

/* Microseconds since 1970-01-01 00:00 UTC as "2026-11-23T14:03:07Z". */
void show_time(int64_t time_us, char text[SHOW_SIZE]);

enum show_mode { SHOW_NOTHING, SHOW_LINES, SHOW_TERMINAL };

/* How far a work is: on a terminal one line that is written again, elsewhere a line every 10 seconds. A value; its fields
 * are show.c's. */
struct show_progress {
    FILE *out;
    const struct clock_source *clock;
    enum show_mode mode;
    uint64_t start_ms;
    uint64_t shown_ms;
    bool standing; /* a line on the terminal that is not ended */
};

/* From now on the time counts. OUT and CLOCK are borrowed. */
struct show_progress show_progress_of(enum show_mode mode, FILE *out,
                                      const struct clock_source *clock);

/* Whatever is counted begins anew: the rate is that of the next work. */
void show_progress_restart(struct show_progress *progress);

/* DONE of TOTAL bytes, if it is time again: "VERB 45 % of 4.0 GiB, 120.3 MiB/s, 12 s left". */
void show_progress_step(struct show_progress *progress, const char *verb, uint64_t done,
                        uint64_t total);

/* Takes the line away from the terminal: before anything else is printed, and at the end. */
void show_progress_clear(struct show_progress *progress);

/* The text of that line. */
enum { SHOW_LINE_SIZE = 200 };

void show_progress_line(const char *verb, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                        char line[SHOW_LINE_SIZE]);

#endif
