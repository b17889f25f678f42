#include "console/format_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/invariant.h"
#include "base/slice.h"
#include "base/text.h"

enum { SECOND_MS = 1000, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

void format_text_bytes(uint64_t bytes, char text[FORMAT_TEXT_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t whole = bytes;
    uint64_t rest = 0; /* of 1024 */
    size_t unit = 0;

    if (bytes < 1024) {
        INVARIANT(text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 " B", bytes));
        return;
    }
    for (; whole >= 1024; unit++) {
        rest = whole % 1024;
        whole /= 1024;
    }
    INVARIANT(text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " %s", whole,
                          rest * 10 / 1024, units[unit - 1]));
}

void format_text_time(int64_t time_us, char text[FORMAT_TEXT_SIZE])
{
    const int64_t second_us = 1000000;
    time_t seconds = (time_t)(time_us / second_us - (time_us % second_us < 0 ? 1 : 0));
    struct tm tm = {0};

    INVARIANT(gmtime_r(&seconds, &tm) != NULL); /* the year fits: 2^63 us are 292,277 years */
    INVARIANT(text_format(text, FORMAT_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ",
                          tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                          tm.tm_sec));
}

void format_text_duration(uint64_t duration_ms, char text[FORMAT_TEXT_SIZE])
{
    uint64_t s = duration_ms / SECOND_MS;
    bool fits = false;

    if (s < 10)
        fits = text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " s", s,
                           duration_ms % SECOND_MS / 100);
    else if (s < MINUTE_S)
        fits = text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 " s", s);
    else if (s < HOUR_S)
        fits = text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 " min %02" PRIu64 " s", s / MINUTE_S,
                           s % MINUTE_S);
    else if (s < DAY_S)
        fits = text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 " h %02" PRIu64 " min", s / HOUR_S,
                           s % HOUR_S / MINUTE_S);
    else
        fits = text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 " d %02" PRIu64 " h", s / DAY_S,
                           s % DAY_S / HOUR_S);
    INVARIANT(fits);
}

unsigned format_text_percent(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return 100;
    if (whole <= UINT64_MAX / 100)
        return (unsigned)(part * 100 / whole);

    uint64_t percent = part / (whole / 100); /* of numbers so large that this does not show */

    return percent < 100 ? (unsigned)percent : 99;
}

void format_text_ratio(uint64_t above, uint64_t below, char text[FORMAT_TEXT_SIZE])
{
    if (below == 0) {
        INVARIANT(text_format(text, FORMAT_TEXT_SIZE, "-"));
        return;
    }

    uint64_t rest = above % below;
    uint64_t tenth = rest <= UINT64_MAX / 10 ? rest * 10 / below : rest / (below / 10);

    INVARIANT(text_format(text, FORMAT_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " : 1", above / below,
                          tenth < 10 ? tenth : 9));
}

void format_text_visible(const char *text, char *target, size_t size)
{
    struct slice rest = slice_of_text(text);
    size_t used = 0;

    while (rest.size > 0) {
        size_t length = text_character(rest);
        bool shown = length > 0 && !text_is_control(slice_of(rest.data, length));
        size_t width = shown ? length : 1;

        if (width >= size - used)
            break;
        if (shown)
            memcpy(target + used, rest.data, length);
        else
            target[used] = '?';
        used += width;
        rest = slice_of(rest.data + width, rest.size - width);
    }
    target[used] = '\0';
}
