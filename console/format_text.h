/* console/format_text.h: numbers, times and strangers' texts as a person reads them. Any thread. */
#ifndef CONSOLE_FORMAT_TEXT_H
#define CONSOLE_FORMAT_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { FORMAT_TEXT_SIZE = 48 };

/* "0 B", "1023 B", "1.5 GiB": one digit behind the point, cut, never rounded up. */
void format_text_bytes(uint64_t bytes, char text[FORMAT_TEXT_SIZE]);

/* Microseconds since 1970-01-01 00:00 UTC as "2026-11-23T14:03:07Z". */
void format_text_time(int64_t time_us, char text[FORMAT_TEXT_SIZE]);

/* "0.4 s", "12 s" (from 10 s on), "3 min 07 s", "2 h 05 min", "4 d 03 h". */
void format_text_duration(uint64_t duration_ms, char text[FORMAT_TEXT_SIZE]);

/* PART of WHOLE in percent, 0 to 100, rounded down; of 0: 100. */
unsigned format_text_percent(uint64_t part, uint64_t whole);

/* "3.2 : 1" for 32 to 10; "-" where BELOW is 0. */
void format_text_ratio(uint64_t above, uint64_t below, char text[FORMAT_TEXT_SIZE]);

/* TEXT from the network, fit for a terminal and for JSON: control characters (C1 too) and what is not UTF-8
 * become '?'; what does not fit the SIZE (at least 1) bytes of TARGET is left out. */
void format_text_visible(const char *text, char *target, size_t size);

#endif
