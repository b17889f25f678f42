#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

/* A message before it is escaped; what does not fit is cut and marked. */
enum { MESSAGE_SIZE = 2048 };

enum {
    KEY_SIZE = 64,                                  /* of a field, at most */
    LINE_BODY = LOG_LINE_SIZE - sizeof("...\"}\n"), /* what is left for all but the end */
};

struct log_sink {
    int fd;
    enum log_format format;
    enum log_level level;
    const struct clock_source *clock;
    atomic_uint_fast64_t lost;   /* in all */
    atomic_uint_fast64_t untold; /* of these, not said in the log yet */
    /* Around a write and what it says of `torn`: between the two, another thread would glue its line to
     * the torn one. Threads wait for it no longer than for the file itself. */
    uv_mutex_t mutex;
    bool torn; /* the last line was written in part: the next write begins with a line break */
};

/* A line being put together, behind the line break that precedes it if the last one is torn. What no
 * longer fits is dropped as a whole, and the line marked. */
struct line {
    char text[LOG_LINE_SIZE];
    size_t size;
    size_t limit; /* of what may be filled now */
    bool cut;
};

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error";
    case LOG_WARNING:
        return "warning";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    }
    return "error";
}

static void put(struct line *line, const char *text, size_t size)
{
    if (line->cut || size > line->limit - line->size) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* The escape for a character that may not stand as it is: as RFC 8259 (section 7) has it in JSON. A byte
 * that is not UTF-8 (LENGTH 0) becomes U+FFFD there, and \xNN in text. */
static void put_escape(struct line *line, const unsigned char *character, size_t length,
                       enum log_format format)
{
    /* U+0080 to U+009F, the control characters of two bytes, are what their second byte says. */
    unsigned value = length == 2 ? character[1] : character[0];
    char escape[8]; /* holds the longest, \u009f and its NUL: nothing is ever cut */

    if (value == '"' || value == '\\')
        (void)snprintf(escape, sizeof(escape), "\\%c", (char)value);
    else if (format == LOG_TEXT)
        (void)snprintf(escape, sizeof(escape), "\\x%02x", value & 0xff);
    else if (length == 0)
        (void)snprintf(escape, sizeof(escape), "\xef\xbf\xbd");
    else
        (void)snprintf(escape, sizeof(escape), "\\u%04x", value & 0xff);
    put_text(line, escape);
}

/* TEXT so that it stays on one line and, within quotes, ends where it ends. */
static void put_escaped(struct line *line, const char *text, enum log_format format, bool quoted)
{
    struct slice rest = slice_of_text(text);

    while (rest.size > 0 && !line->cut) {
        size_t length = text_character(rest);
        uint8_t first = rest.data[0];
        size_t taken = length == 0 ? 1 : length;

        if (length == 0 || text_is_control(slice_of(rest.data, length)) ||
            (quoted && (first == '"' || first == '\\')))
            put_escape(line, rest.data, length, format);
        else
            put(line, (const char *)rest.data, length);
        rest = slice_of(rest.data + taken, rest.size - taken);
    }
}

static void put_time(struct line *line, const struct clock_source *clock)
{
    int64_t now_us = clock_wall_us(clock);
    int64_t second = now_us / 1000000;
    int64_t micro = now_us % 1000000;
    char text[80];
    struct tm tm = {0};

    if (micro < 0) {
        micro += 1000000;
        second--;
    }

    time_t moment = (time_t)second;

    if (gmtime_r(&moment, &tm) == NULL ||
        !text_format(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId64 "Z",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     micro))
        put_text(line, "no-time"); /* a clock beyond the years that the system can write */
    else
        put_text(line, text);
}

static bool needs_quotes(const char *value)
{
    return value[0] == '\0' || strpbrk(value, " \"=\\:") != NULL;
}

/* The piece between a value and the next one; one put, so that no cut leaves a key without a value. */
static void put_key(struct line *line, const char *before, const char *key, const char *after)
{
    char piece[KEY_SIZE + 8];

    if (text_format(piece, sizeof(piece), "%s%s%s", before, key, after))
        put_text(line, piece);
    else
        line->cut = true;
}

/* Fields may fill half of the line, so that there is always a message. */
static void end_fields(struct line *line)
{
    bool cut = line->cut;

    line->cut = false;
    line->limit = LINE_BODY;
    if (cut)
        put_text(line, "...");
}

static void build_text(struct line *line, const struct log *log, enum log_level level,
                       const char *message)
{
    put_time(line, log->sink->clock);
    put_text(line, " ");
    put_text(line, level_name(level));
    for (unsigned i = 0; i < log->field_count; i++) {
        bool quoted = needs_quotes(log->fields[i].value);

        put_key(line, " ", log->fields[i].key, quoted ? "=\"" : "=");
        put_escaped(line, log->fields[i].value, LOG_TEXT, quoted);
        if (quoted)
            put_text(line, "\"");
    }
    end_fields(line);
    put_text(line, ": ");
    put_escaped(line, message, LOG_TEXT, false);
}

/* From the first value on a string is open between any two puts: what is cut there is closed by the
 * tail, and is JSON still. */
static void build_json(struct line *line, const struct log *log, enum log_level level,
                       const char *message)
{
    put_text(line, "{\"time\":\"");
    put_time(line, log->sink->clock);
    put_key(line, "\",\"", "level", "\":\"");
    put_text(line, level_name(level));
    for (unsigned i = 0; i < log->field_count; i++) {
        put_key(line, "\",\"", log->fields[i].key, "\":\"");
        put_escaped(line, log->fields[i].value, LOG_JSON, true);
    }
    end_fields(line);
    put_key(line, "\",\"", "message", "\":\"");
    put_escaped(line, message, LOG_JSON, true);
}

/* One write for a line, so that lines of several processes do not mix. */
static bool write_line(struct log_sink *sink, const struct line *line)
{
    ssize_t written = -1;

    uv_mutex_lock(&sink->mutex);

    const char *text = sink->torn ? line->text : line->text + 1;
    size_t size = line->size - (size_t)(text - line->text);

    do
        written = write(sink->fd, text, size);
    while (written < 0 && errno == EINTR);
    if (written > 0)
        sink->torn = text[written - 1] != '\n';
    uv_mutex_unlock(&sink->mutex);
    return written == (ssize_t)size;
}

static bool emit(const struct log *log, enum log_level level, const char *message)
{
    enum log_format format = log->sink->format;
    const char *tail = format == LOG_JSON ? "\"}\n" : "\n";
    struct line line = {.limit = LINE_BODY / 2};

    put_text(&line, "\n");
    if (format == LOG_JSON)
        build_json(&line, log, level, message);
    else
        build_text(&line, log, level, message);

    bool cut = line.cut;

    line.cut = false;
    line.limit = LOG_LINE_SIZE;
    if (cut)
        put_text(&line, "...");
    put_text(&line, tail);
    return write_line(log->sink, &line);
}

static void tell_lost(const struct log *log)
{
    struct log own = log_of(log->sink);
    uint_fast64_t untold = atomic_exchange(&log->sink->untold, 0);
    char message[80];

    if (untold == 0)
        return;
    if (!text_format(message, sizeof(message), "%" PRIuFAST64 " %s", untold,
                     untold == 1 ? "line of this log was lost" : "lines of this log were lost") ||
        !emit(&own, LOG_WARNING, message))
        atomic_fetch_add(&log->sink->untold, untold);
}

PRINTF_LIKE(3, 0)

static void write_log(const struct log *log, enum log_level level, const char *format,
                      va_list values)
{
    char message[MESSAGE_SIZE];

    if (!log_wants(log, level))
        return;

    int length = vsnprintf(message, sizeof(message), format, values);

    if (length < 0)
        message[0] = '\0'; /* no wide characters are ever formatted: cannot be */
    if (length >= (int)sizeof(message))
        memcpy(message + text_cut(message, sizeof(message) - 4), "...", 4);
    tell_lost(log);
    if (!emit(log, level, message)) {
        atomic_fetch_add(&log->sink->lost, 1);
        atomic_fetch_add(&log->sink->untold, 1);
    }
}

enum status log_sink_new(int fd, enum log_format format, enum log_level level,
                         const struct clock_source *clock, struct log_sink **ret_sink,
                         struct error *err)
{
    struct log_sink *sink = memory_new(1, sizeof(*sink));

    if (sink == NULL)
        return error_set_no_memory(err, sizeof(*sink), "a log");

    int result = uv_mutex_init(&sink->mutex);

    if (result != 0) {
        memory_free(sink);
        return error_set_uv(err, result, "make a mutex");
    }
    sink->fd = fd;
    sink->format = format;
    sink->level = level;
    sink->clock = clock;
    *ret_sink = sink;
    return STATUS_OK;
}

void log_sink_free(struct log_sink *sink)
{
    if (sink == NULL)
        return;
    uv_mutex_destroy(&sink->mutex);
    memory_free(sink);
}

uint64_t log_sink_lost(const struct log_sink *sink)
{
    return atomic_load(&sink->lost);
}

struct log log_of(struct log_sink *sink)
{
    struct log log = {.sink = sink};

    return log;
}

struct log log_with(const struct log *parent, const char *key, const char *value)
{
    struct log log = *parent;

    INVARIANT(log.field_count < LOG_FIELDS_MAX);
    log.fields[log.field_count].key = key;
    log.fields[log.field_count].value = value;
    log.field_count++;
    return log;
}

bool log_wants(const struct log *log, enum log_level level)
{
    return level <= log->sink->level;
}

void log_error(const struct log *log, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    write_log(log, LOG_ERROR, format, values);
    va_end(values);
}

void log_warning(const struct log *log, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    write_log(log, LOG_WARNING, format, values);
    va_end(values);
}

void log_info(const struct log *log, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    write_log(log, LOG_INFO, format, values);
    va_end(values);
}

void log_debug(const struct log *log, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    write_log(log, LOG_DEBUG, format, values);
    va_end(values);
}
