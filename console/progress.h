/* console/progress.h: how far a command is: on a terminal one line, written again and again; elsewhere a
 * line every 10 seconds, so that a log stays short. Thread: main's. */
#ifndef CONSOLE_PROGRESS_H
#define CONSOLE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

enum progress_mode { PROGRESS_SILENT, PROGRESS_LINES, PROGRESS_TERMINAL };

/* A value; its fields are progress.c's. */
struct progress {
    FILE *out;
    const struct clock_source *clock;
    enum progress_mode mode;
    uint64_t start_ms;
    uint64_t shown_ms;
    bool standing; /* a line on the terminal that is not ended */
};

/* From now on the time counts. OUT and CLOCK are borrowed. */
struct progress progress_of(enum progress_mode mode, FILE *out, const struct clock_source *clock);

/* DONE of TOTAL (0: not known) bytes, shown if it is time again: "VERB  45 % of 4.0 GiB, 120.3 MiB/s, 12 s
 * left". */
void progress_show(struct progress *progress, const char *verb, uint64_t done, uint64_t total);

/* The same of what is no bytes: "VERB 12 of 40 WHAT, 8 s left". */
void progress_show_count(struct progress *progress, const char *verb, uint64_t done, uint64_t total,
                         const char *what);

/* Takes the line away from the terminal: before anything else is printed, and at the end. */
void progress_clear(struct progress *progress);

/* The text of that line. */
enum { PROGRESS_LINE_SIZE = 160 };

void progress_line(const char *verb, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                   char line[PROGRESS_LINE_SIZE]);

#endif
