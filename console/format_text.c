#include "console/format_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/invariant.h"
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

/* The length of the character at TEXT (UTF-8 as in RFC 3629, section 4) that may be shown, or 0. */
static size_t visible_length(const unsigned char *text)
{
    unsigned char first = text[0];
    unsigned char low = 0x80; /* of the second byte */
    unsigned char high = 0xbf;
    size_t length = 0;

    if (first < 0x80)
        return first >= 0x20 && first != 0x7f ? 1 : 0;
    if (first >= 0xc2 && first <= 0xdf)
        length = 2;
    else if (first >= 0xe0 && first <= 0xef)
        length = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        length = 4;
    else
        return 0;
    if (first == 0xc2 || first == 0xe0) /* C1 control characters; overlong */
        low = 0xa0;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xed) /* surrogates */
        high = 0x9f;
    else if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (text[i] < 0x80 || text[i] > 0xbf) /* the NUL too: nothing behind it is read */
            return 0;
    return length;
}

void format_text_visible(const char *text, char *target, size_t size)
{
    size_t used = 0;

    while (*text != '\0') {
        size_t length = visible_length((const unsigned char *)text);
        size_t taken = length == 0 ? 1 : length;

        if (taken >= size - used)
            break;
        if (length == 0)
            target[used] = '?';
        else
            memcpy(target + used, text, length);
        used += taken;
        text += taken;
    }
    target[used] = '\0';
}
