#include "console/progress.h"

#include <inttypes.h>

#include "base/attr.h"
#include "base/invariant.h"
#include "base/text.h"
#include "console/format_text.h"

enum { TERMINAL_EVERY_MS = 200, LINES_EVERY_MS = 10000, RATE_AFTER_MS = 500 };

struct progress progress_of(enum progress_mode mode, FILE *out, const struct clock_source *clock)
{
    uint64_t now_ms = clock_now_ms(clock);

    return (struct progress){
        .out = out, .clock = clock, .mode = mode, .start_ms = now_ms, .shown_ms = now_ms};
}

/* COUNT x 1000 / PER, as large as it can be. */
static uint64_t thousandfold(uint64_t count, uint64_t per)
{
    if (count <= UINT64_MAX / 1000)
        return count * 1000 / per;
    return count / per <= UINT64_MAX / 1000 ? count / per * 1000 : UINT64_MAX;
}

void progress_line(const char *verb, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                   char line[PROGRESS_LINE_SIZE])
{
    char amount[FORMAT_TEXT_SIZE];
    char share[FORMAT_TEXT_SIZE + 16];
    char rate_text[FORMAT_TEXT_SIZE];
    char left[FORMAT_TEXT_SIZE];

    if (total == 0) {
        format_text_bytes(done, amount);
        INVARIANT(text_format(share, sizeof(share), "%s", amount));
    } else {
        format_text_bytes(total, amount);
        INVARIANT(text_format(share, sizeof(share), "%3u %% of %s",
                              format_text_percent(done, total), amount));
    }
    if (elapsed_ms < RATE_AFTER_MS || done == 0) { /* too early for a rate that means something */
        INVARIANT(text_format(line, PROGRESS_LINE_SIZE, "%s %s", verb, share));
        return;
    }

    uint64_t rate = thousandfold(done, elapsed_ms); /* bytes a second */

    format_text_bytes(rate, rate_text);
    if (total <= done || rate == 0) {
        INVARIANT(text_format(line, PROGRESS_LINE_SIZE, "%s %s, %s/s", verb, share, rate_text));
        return;
    }
    format_text_duration(thousandfold(total - done, rate), left);
    INVARIANT(text_format(line, PROGRESS_LINE_SIZE, "%s %s, %s/s, %s left", verb, share, rate_text,
                          left));
}

/* Is it time to show something again? Then it counts as shown. */
static bool is_due(struct progress *progress, uint64_t now_ms)
{
    uint64_t every_ms = progress->mode == PROGRESS_LINES ? LINES_EVERY_MS : TERMINAL_EVERY_MS;

    if (progress->mode == PROGRESS_SILENT || now_ms - progress->shown_ms < every_ms)
        return false;
    progress->shown_ms = now_ms;
    return true;
}

/* What cannot be shown is not shown: progress is a courtesy, and no reason to fail. Hence the (void)s. */
static void show_line(struct progress *progress, const char *line)
{
    if (progress->mode == PROGRESS_TERMINAL) {
        (void)fprintf(progress->out, "\r\033[K%s", line);
        progress->standing = true;
    } else {
        (void)fprintf(progress->out, "%s\n", line);
    }
    (void)fflush(progress->out);
}

void progress_show(struct progress *progress, const char *verb, uint64_t done, uint64_t total)
{
    uint64_t now_ms = clock_now_ms(progress->clock);
    char line[PROGRESS_LINE_SIZE];

    if (!is_due(progress, now_ms))
        return;
    progress_line(verb, done, total, now_ms - progress->start_ms, line);
    show_line(progress, line);
}

void progress_show_count(struct progress *progress, const char *verb, uint64_t done, uint64_t total,
                         const char *what)
{
    uint64_t now_ms = clock_now_ms(progress->clock);
    uint64_t rate = 0; /* a thousand seconds' */
    char line[PROGRESS_LINE_SIZE];
    char left[FORMAT_TEXT_SIZE];

    if (!is_due(progress, now_ms))
        return;
    if (now_ms > progress->start_ms)
        rate = thousandfold(thousandfold(done, 1), now_ms - progress->start_ms);
    if (rate == 0 || total <= done) {
        INVARIANT(text_format(line, sizeof(line), "%s %" PRIu64 " of %" PRIu64 " %s", verb, done,
                              total, what));
    } else {
        format_text_duration(thousandfold(thousandfold(total - done, 1), rate), left);
        INVARIANT(text_format(line, sizeof(line), "%s %" PRIu64 " of %" PRIu64 " %s, %s left", verb,
                              done, total, what, left));
    }
    show_line(progress, line);
}

void progress_clear(struct progress *progress)
{
    if (!progress->standing)
        return;
    progress->standing = false;
    (void)fputs("\r\033[K", progress->out);
    (void)fflush(progress->out);
}
