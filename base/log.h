/* base/log.h: one line for each event, for a person (text) or a machine (JSON), in one write.
 *
 *     2026-11-23T14:03:07.412905Z error host=hv-01 vm=web-01: read disk data.vhdx at 4096: ...
 *     {"time":"2026-11-23T14:03:07.412905Z","level":"error","host":"hv-01",...,"message":"..."}
 *
 * Whatever a message contains, it stays one line: control characters and bytes that are not UTF-8 are
 * escaped. A line is at most LOG_LINE_SIZE bytes; a longer message is cut and marked. Secrets are
 * never passed here. Any number of threads may log through one log at once. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"

enum { LOG_LINE_SIZE = 4096, LOG_FIELDS_MAX = 6 };

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

enum log_format { LOG_TEXT, LOG_JSON };

/* Where lines go and which; shared by all logs that derive from it. */
struct log_sink;

struct log_field {
    const char *key; /* lower-case ASCII letters, digits, '_' */
    const char *value;
};

/* A value: a sink and what every line says of its object. Keys and values are borrowed. */
struct log {
    struct log_sink *sink;
    struct log_field fields[LOG_FIELDS_MAX];
    unsigned field_count;
};

/* Lines of LEVEL and worse go to the file descriptor FD, borrowed, stamped by CLOCK, borrowed. */
NODISCARD enum status log_sink_new(int fd, enum log_format format, enum log_level level,
                                   const struct clock_source *clock, struct log_sink **ret_sink,
                                   struct error *err);
void log_sink_free(struct log_sink *sink);

/* Lines that were written in part or not at all (full disk, closed pipe). The next that can be written
 * starts on a line of its own, with the number of the lost ones before it. A closed pipe is told from
 * write() only in a process that ignores SIGPIPE; in any other the signal ends it. So main() of every
 * program of ours ignores SIGPIPE before it makes a log. */
uint64_t log_sink_lost(const struct log_sink *sink);

struct log log_of(struct log_sink *sink);

/* PARENT with one more field; a field beyond LOG_FIELDS_MAX is a broken invariant. */
struct log log_with(const struct log *parent, const char *key, const char *value);

/* Is a line of LEVEL written at all? To spare work that only serves the line. */
bool log_wants(const struct log *log, enum log_level level);

PRINTF_LIKE(2, 3) void log_error(const struct log *log, const char *format, ...);
PRINTF_LIKE(2, 3) void log_warning(const struct log *log, const char *format, ...);
PRINTF_LIKE(2, 3) void log_info(const struct log *log, const char *format, ...);
PRINTF_LIKE(2, 3) void log_debug(const struct log *log, const char *format, ...);

#endif
