#include "recover/show.h"

#include <inttypes.h>
#include <time.h>

#include "base/invariant.h"
#include "base/text.h"

enum { TERMINAL_EVERY_MS = 200, LINES_EVERY_MS = 10000, RATE_AFTER_MS = 500 };

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

void show_bytes(uint64_t bytes, char text[SHOW_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t whole = bytes;
    uint64_t rest = 0; /* of 1024 */
    size_t unit = 0;

    if (bytes < 1024) {
        INVARIANT(text_format(text, SHOW_SIZE, "%" PRIu64 " B", bytes));
        return;
    }
    for (; whole >= 1024; unit++) {
        rest = whole % 1024;
        whole /= 1024;
    }
    INVARIANT(text_format(text, SHOW_SIZE, "%" PRIu64 ".%" PRIu64 " %s", whole, rest * 10 / 1024,
                          units[unit - 1]));
}

void show_time(int64_t time_us, char text[SHOW_SIZE])
{
    const int64_t second_us = 1000000;
    time_t seconds = (time_t)(time_us / second_us - (time_us % second_us < 0 ? 1 : 0));
    struct tm tm = {0};

    INVARIANT(gmtime_r(&seconds, &tm) != NULL); /* the year fits: 2^63 us are 292,277 years */
    INVARIANT(text_format(text, SHOW_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                          tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec));
}

/* "12 s", "3 min 07 s", "2 h 05 min", "4 d 03 h". */
static void show_duration(uint64_t s, char text[SHOW_SIZE])
{
    bool fits = false;

    if (s < MINUTE_S)
        fits = text_format(text, SHOW_SIZE, "%" PRIu64 " s", s);
    else if (s < HOUR_S)
        fits = text_format(text, SHOW_SIZE, "%" PRIu64 " min %02" PRIu64 " s", s / MINUTE_S,
                           s % MINUTE_S);
    else if (s < DAY_S)
        fits = text_format(text, SHOW_SIZE, "%" PRIu64 " h %02" PRIu64 " min", s / HOUR_S,
                           s % HOUR_S / MINUTE_S);
    else
        fits = text_format(text, SHOW_SIZE, "%" PRIu64 " d %02" PRIu64 " h", s / DAY_S,
                           s % DAY_S / HOUR_S);
    INVARIANT(fits);
}

struct show_progress show_progress_of(enum show_mode mode, FILE *out,
                                      const struct clock_source *clock)
{
    struct show_progress progress = {.out = out, .clock = clock, .mode = mode};

    show_progress_restart(&progress);
    return progress;
}

void show_progress_restart(struct show_progress *progress)
{
    progress->start_ms = clock_now_ms(progress->clock);
    progress->shown_ms = progress->start_ms;
}

/* PART of WHOLE in percent, 0 to 100, rounded down; of 0: 100. */
static unsigned percent(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return 100;
    return (unsigned)((double)part / (double)whole * 100);
}

void show_progress_line(const char *verb, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                        char line[SHOW_LINE_SIZE])
{
    char amount[SHOW_SIZE];
    char rate_text[SHOW_SIZE];
    char left[SHOW_SIZE];
    /* Too early there is no rate that means something. */
    double rate = elapsed_ms < RATE_AFTER_MS ? 0 : (double)done * 1000 / (double)elapsed_ms;

    show_bytes(total, amount);
    if (rate < 1) {
        INVARIANT(text_format(line, SHOW_LINE_SIZE, "%s %u %% of %s", verb, percent(done, total),
                              amount));
        return;
    }
    show_bytes((uint64_t)rate, rate_text);
    show_duration(done < total ? (uint64_t)((double)(total - done) / rate) : 0, left);
    INVARIANT(text_format(line, SHOW_LINE_SIZE, "%s %u %% of %s, %s/s, %s left", verb,
                          percent(done, total), amount, rate_text, left));
}

/* What cannot be shown is not shown: progress is a courtesy, and no reason to fail. Hence the (void)s. */
void show_progress_step(struct show_progress *progress, const char *verb, uint64_t done,
                        uint64_t total)
{
    uint64_t now_ms = clock_now_ms(progress->clock);
    uint64_t every_ms = progress->mode == SHOW_LINES ? LINES_EVERY_MS : TERMINAL_EVERY_MS;
    char line[SHOW_LINE_SIZE];

    if (progress->mode == SHOW_NOTHING || now_ms - progress->shown_ms < every_ms)
        return;
    progress->shown_ms = now_ms;
    show_progress_line(verb, done, total, now_ms - progress->start_ms, line);
    if (progress->mode == SHOW_TERMINAL) {
        (void)fprintf(progress->out, "\r\033[K%s", line);
        progress->standing = true;
    } else {
        (void)fprintf(progress->out, "%s\n", line);
    }
    (void)fflush(progress->out);
}

void show_progress_clear(struct show_progress *progress)
{
    if (!progress->standing)
        return;
    progress->standing = false;
    (void)fputs("\r\033[K", progress->out);
    (void)fflush(progress->out);
}
