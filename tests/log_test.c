#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/test.h"

#define TIME "2026-11-23T14:03:07.412905Z"

/* TIME, for ever. */
static int64_t fixed_wall_us(const struct clock_source *clock)
{
    (void)clock;
    return 1795442587412905;
}

static int64_t wall_before_1970_us(const struct clock_source *clock)
{
    (void)clock;
    return -1;
}

static int64_t impossible_wall_us(const struct clock_source *clock)
{
    (void)clock;
    return INT64_MAX;
}

static const struct clock_ops fixed_ops = {.wall_us = fixed_wall_us};
static const struct clock_ops before_1970_ops = {.wall_us = wall_before_1970_us};
static const struct clock_ops impossible_ops = {.wall_us = impossible_wall_us};
static const struct clock_source fixed_clock = {.ops = &fixed_ops};
static const struct clock_source before_1970_clock = {.ops = &before_1970_ops};
static const struct clock_source impossible_clock = {.ops = &impossible_ops};

enum { OUTPUT_SIZE = 3 * LOG_LINE_SIZE };

/* A sink that writes into a pipe, and what came out of it. */
struct fixture {
    int read_fd;
    int write_fd;
    struct log_sink *sink;
    struct log log;
    char output[OUTPUT_SIZE];
};

static struct fixture open_log(enum log_format format, enum log_level level,
                               const struct clock_source *clock)
{
    struct fixture fixture = {0};
    struct error err = {0};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    fixture.read_fd = fds[0];
    fixture.write_fd = fds[1];
    ASSERT_OK(log_sink_new(fds[1], format, level, clock, &fixture.sink, &err), &err);
    fixture.log = log_of(fixture.sink);
    return fixture;
}

/* All that was written, and the end of the log. */
static const char *close_log(struct fixture *fixture)
{
    size_t size = 0;
    ssize_t got = 0;

    close(fixture->write_fd);
    while ((got = read(fixture->read_fd, fixture->output + size, OUTPUT_SIZE - 1 - size)) > 0)
        size += (size_t)got;
    fixture->output[size] = '\0';
    close(fixture->read_fd);
    log_sink_free(fixture->sink);
    return fixture->output;
}

static void a_text_line_has_time_level_fields_and_message(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);
    struct log host = log_with(&f.log, "host", "hv-01");
    struct log vm = log_with(&host, "vm", "web 01");

    (void)state;
    log_error(&vm, "read disk %s at %d: %s", "data.vhdx", 4096, "access denied");
    log_warning(&f.log, "w");
    log_info(&f.log, "i");
    assert_string_equal(close_log(&f),
                        "2026-11-23T14:03:07.412905Z error host=hv-01 vm=\"web 01\": "
                        "read disk data.vhdx at 4096: access denied\n"
                        "2026-11-23T14:03:07.412905Z warning: w\n"
                        "2026-11-23T14:03:07.412905Z info: i\n");
}

static void a_json_line_is_one_object(void **state)
{
    struct fixture f = open_log(LOG_JSON, LOG_DEBUG, &fixed_clock);
    struct log vm = log_with(&f.log, "vm", "a\"b\\c");

    (void)state;
    log_debug(&vm, "say \"%s\"", "hello");
    assert_string_equal(close_log(&f),
                        "{\"time\":\"2026-11-23T14:03:07.412905Z\",\"level\":\"debug\","
                        "\"vm\":\"a\\\"b\\\\c\",\"message\":\"say \\\"hello\\\"\"}\n");
}

static void lines_below_the_level_are_not_written(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_WARNING, &fixed_clock);

    (void)state;
    assert_true(log_wants(&f.log, LOG_WARNING));
    assert_false(log_wants(&f.log, LOG_INFO));
    log_info(&f.log, "not this");
    log_debug(&f.log, "nor this");
    assert_string_equal(close_log(&f), "");
}

/* What a guest, a peer or a file name may contain: a line break that forges a line, a terminal's escape
 * sequence, a C1 control character, broken UTF-8 of each kind. */
static const char hostile[] =
    "a\nb\x1b[2J\xc2\x9b|\xff|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82|\xf0\x9f\x92\xbe\x7f";

static void hostile_text_stays_on_one_line_of_text(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);

    (void)state;
    log_info(&f.log, "%s", hostile);
    assert_string_equal(close_log(&f), "2026-11-23T14:03:07.412905Z info: "
                                       "a\\x0ab\\x1b[2J\\x9b|\\xff|\\xc0\\xaf|\\xed\\xa0\\x80|"
                                       "\\xf4\\x90\\x80\\x80|\\xe2\\x82|\xf0\x9f\x92\xbe\\x7f\n");
}

static void hostile_text_is_still_valid_json(void **state)
{
    struct fixture f = open_log(LOG_JSON, LOG_INFO, &fixed_clock);
    const char *bad = "\xef\xbf\xbd"; /* U+FFFD */
    char expected[512];

    (void)state;
    log_info(&f.log, "%s", hostile);
    assert_true(snprintf(expected, sizeof(expected),
                         "{\"time\":\"2026-11-23T14:03:07.412905Z\",\"level\":\"info\","
                         "\"message\":\"a\\u000ab\\u001b[2J\\u009b|%s|%s%s|%s%s%s|%s%s%s%s|%s%s|"
                         "\xf0\x9f\x92\xbe\\u007f\"}\n",
                         bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad,
                         bad) < (int)sizeof(expected));
    assert_string_equal(close_log(&f), expected);
}

static void a_long_message_is_cut_and_marked_and_the_line_closed(void **state)
{
    static const enum log_format formats[] = {LOG_TEXT, LOG_JSON};

    static const char *const tails[] = {"...\n", "...\"}\n"};
    char quotes[3 * LOG_LINE_SIZE];

    (void)state;
    memset(quotes, '"', sizeof(quotes) - 1); /* twice as long in JSON */
    quotes[sizeof(quotes) - 1] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        struct fixture f = open_log(formats[i], LOG_INFO, &fixed_clock);

        log_info(&f.log, "%s", quotes);

        const char *line = close_log(&f);

        assert_true(strlen(line) <= LOG_LINE_SIZE);
        assert_string_equal(line + strlen(line) - strlen(tails[i]), tails[i]);
    }
}

static void long_fields_leave_room_for_the_message(void **state)
{
    char value[2 * LOG_LINE_SIZE];

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    /* Every length at which a field can be cut: in its value, at its key, just before and after. */
    for (size_t size = 1900; size < 2100; size++) {
        struct fixture f = open_log(LOG_JSON, LOG_INFO, &fixed_clock);
        struct log first = log_with(&f.log, "first", value + sizeof(value) - 1 - size);
        struct log second = log_with(&first, "second", "\"\"\"\"");

        log_info(&second, "told");

        const char *line = close_log(&f);
        size_t quotes = 0;

        assert_non_null(strstr(line, "\",\"message\":\"told\"}\n"));
        for (const char *c = line; *c != '\0'; c++) {
            if (*c == '\\')
                c++;
            else if (*c == '"')
                quotes++;
        }
        /* time, level, first, perhaps second, message: a key and a value each, both quoted. */
        assert_true(quotes == 16 || quotes == 20);
    }
}

static void moments_that_no_calendar_has_are_still_logged(void **state)
{
    struct fixture early = open_log(LOG_TEXT, LOG_INFO, &before_1970_clock);
    struct fixture never = open_log(LOG_TEXT, LOG_INFO, &impossible_clock);

    (void)state;
    log_info(&early.log, "early");
    assert_string_equal(close_log(&early), "1969-12-31T23:59:59.999999Z info: early\n");
    log_info(&never.log, "never");
    assert_non_null(strstr(close_log(&never), " info: never\n"));
}

static void lost_lines_are_counted_and_told_when_there_is_room_again(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);
    char junk[4096] = {0};
    size_t filled = 0;
    ssize_t got = 0;

    (void)state;
    assert_int_equal(fcntl(f.write_fd, F_SETFL, O_NONBLOCK), 0);
    while ((got = write(f.write_fd, junk, sizeof(junk))) > 0)
        filled += (size_t)got;
    log_error(&f.log, "lost one");
    log_error(&f.log, "lost two");
    assert_int_equal(log_sink_lost(f.sink), 2);
    while (filled > 0) {
        got = read(f.read_fd, junk, sizeof(junk));
        assert_true(got > 0);
        filled -= (size_t)got;
    }
    log_error(&f.log, "written");
    log_error(&f.log, "told once");
    assert_int_equal(log_sink_lost(f.sink), 2);
    assert_string_equal(close_log(&f),
                        "2026-11-23T14:03:07.412905Z warning: 2 lines of this log were lost\n"
                        "2026-11-23T14:03:07.412905Z error: written\n"
                        "2026-11-23T14:03:07.412905Z error: told once\n");
}

static void one_lost_line_is_told_in_the_singular(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);
    char junk[4096] = {0};

    (void)state;
    assert_int_equal(fcntl(f.write_fd, F_SETFL, O_NONBLOCK), 0);
    while (write(f.write_fd, junk, sizeof(junk)) > 0)
        ;
    log_error(&f.log, "lost");
    assert_int_equal(fcntl(f.read_fd, F_SETFL, O_NONBLOCK), 0);
    while (read(f.read_fd, junk, sizeof(junk)) > 0)
        ;
    log_error(&f.log, "written");
    assert_string_equal(close_log(&f),
                        TIME " warning: 1 line of this log was lost\n" TIME " error: written\n");
}

/* The most bytes that a file may have, until the next call: a disk that is full from there on. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {0};

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static const char line_a[] = TIME " info: a\n";
static const char line_b[] = TIME " info: b\n";
static const char line_c[] = TIME " info: c\n";
static const char lost_one[] = TIME " warning: 1 line of this log was lost\n";
static const char lost_two[] = TIME " warning: 2 lines of this log were lost\n";

enum { CONTENT_SIZE = 512 };

/* What a log consists of after `a` was logged with room for FIRST bytes, `b` for SECOND more, and `c`
 * without limit. */
static void log_on_a_full_disk(size_t first, size_t second, char content[CONTENT_SIZE])
{
    struct log_sink *sink = NULL;
    struct error err = {0};
    FILE *file = tmpfile();

    assert_non_null(file);
    ASSERT_OK(log_sink_new(fileno(file), LOG_TEXT, LOG_INFO, &fixed_clock, &sink, &err), &err);

    struct log log = log_of(sink);

    limit_files(first);
    log_info(&log, "a");
    limit_files(first + second);
    log_info(&log, "b");
    limit_files(RLIM_INFINITY);
    log_info(&log, "c");

    ssize_t size = pread(fileno(file), content, CONTENT_SIZE - 1, 0);

    assert_in_range(size, 1, CONTENT_SIZE - 2);
    content[size] = '\0';
    log_sink_free(sink);
    assert_int_equal(fclose(file), 0);
}

/* CONTENT is the first SIZE bytes of WANTED, a line break if these do not end in one, and REST. */
static void assert_torn(const char *content, const char *wanted, size_t size, const char *rest)
{
    char expected[CONTENT_SIZE];
    bool torn = size > 0 && wanted[size - 1] != '\n';

    assert_true(text_format(expected, sizeof(expected), "%.*s%s%s", (int)size, wanted,
                            torn ? "\n" : "", rest));
    assert_string_equal(content, expected);
}

static void a_line_written_in_part_ends_before_the_next_wherever_it_was_torn(void **state)
{
    char wanted[CONTENT_SIZE];
    char rest[CONTENT_SIZE];
    char content[CONTENT_SIZE];
    size_t a_size = strlen(line_a);

    (void)state;
    for (size_t first = 0; first < a_size; first++) {
        log_on_a_full_disk(first, 0, content);
        assert_true(text_format(rest, sizeof(rest), "%s%s", lost_two, line_c));
        assert_torn(content, line_a, first, rest);
    }
    /* Then there is room again, but not enough: for the line break, for the notice, for `b`. */
    for (size_t first = 1; first < a_size; first += a_size - 2) {
        assert_true(text_format(wanted, sizeof(wanted), "%.*s\n%s%s", (int)first, line_a, lost_one,
                                line_b));
        for (size_t size = first; size <= strlen(wanted); size++) {
            bool told = size >= first + 1 + strlen(lost_one);
            bool all = size == strlen(wanted);

            log_on_a_full_disk(first, size - first, content);
            assert_true(text_format(rest, sizeof(rest), "%s%s",
                                    all    ? ""
                                    : told ? lost_one
                                           : lost_two,
                                    line_c));
            assert_torn(content, wanted, size, rest);
        }
    }
}

enum { THREADS = 4, LINES = 200, TORN_LINES = 2000 };

struct writer {
    struct log log;
    unsigned lines;
    atomic_uint *running;
};

static void log_many(void *arg)
{
    struct writer *writer = arg;
    struct log log = log_with(&writer->log, "part", "a");

    for (unsigned i = 0; i < writer->lines; i++)
        log_info(&log, "%040u", i);
    atomic_fetch_sub(writer->running, 1);
}

/* The number that log_many() put into LINE; -1 if it is not exactly such a line. */
static int number_of(const char *line)
{
    static const char begin[] = TIME " info part=a: ";
    char expected[128];

    if (strncmp(line, begin, strlen(begin)) != 0)
        return -1;

    unsigned long number = strtoul(line + strlen(begin), NULL, 10);

    if (number >= TORN_LINES ||
        !text_format(expected, sizeof(expected), "%s%040lu", begin, number) ||
        strcmp(line, expected) != 0)
        return -1;
    return (int)number;
}

struct reader {
    int fd;
    size_t size;
    char text[THREADS * LINES * 100]; /* more than they write */
};

static void read_all(void *arg)
{
    struct reader *reader = arg;
    ssize_t got = 0;

    while ((got = read(reader->fd, reader->text + reader->size,
                       sizeof(reader->text) - 1 - reader->size)) > 0)
        reader->size += (size_t)got;
    reader->text[reader->size] = '\0';
}

/* Each of LOGS, all of which write to F, has a thread of its own: each line comes whole and once. */
static void assert_lines_of_threads_whole(struct fixture *f, const struct log logs[THREADS])
{
    struct reader reader = {.fd = f->read_fd};
    struct writer writers[THREADS];
    unsigned seen[TORN_LINES] = {0};
    atomic_uint running = THREADS;
    uv_thread_t threads[THREADS];
    uv_thread_t reading;

    assert_int_equal(uv_thread_create(&reading, read_all, &reader), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.log = logs[i], .lines = LINES, .running = &running};
        assert_int_equal(uv_thread_create(&threads[i], log_many, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    close(f->write_fd);
    assert_int_equal(uv_thread_join(&reading), 0);
    close(f->read_fd);

    char *line = reader.text;

    for (char *end = NULL; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';

        int number = number_of(line);

        if (number < 0)
            fail_msg("not a line: %s", line);
        seen[number]++;
    }
    assert_string_equal(line, "");
    for (unsigned i = 0; i < TORN_LINES; i++)
        assert_int_equal(seen[i], i < LINES ? THREADS : 0);
}

static void lines_of_several_threads_stay_whole(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);
    const struct log logs[THREADS] = {f.log, f.log, f.log, f.log};

    (void)state;
    assert_lines_of_threads_whole(&f, logs);
    assert_int_equal(log_sink_lost(f.sink), 0);
    log_sink_free(f.sink);
}

/* As of several processes with one standard error: no lock is common to them, only the one write. */
static void lines_of_several_sinks_stay_whole(void **state)
{
    struct fixture f = open_log(LOG_TEXT, LOG_INFO, &fixed_clock);
    struct log_sink *sinks[THREADS];
    struct log logs[THREADS];
    struct error err = {0};

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        ASSERT_OK(log_sink_new(f.write_fd, LOG_TEXT, LOG_INFO, &fixed_clock, &sinks[i], &err),
                  &err);
        logs[i] = log_of(sinks[i]);
    }
    assert_lines_of_threads_whole(&f, logs);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(log_sink_lost(sinks[i]), 0);
        log_sink_free(sinks[i]);
    }
    log_sink_free(f.sink);
}

/* A disk that is full again and again while several threads log. */
static void no_thread_glues_its_line_to_a_torn_one(void **state)
{
    enum { SIZE = (THREADS * TORN_LINES + 1) * 200 };
    struct writer writers[THREADS];
    atomic_uint running = THREADS;
    uv_thread_t threads[THREADS];
    struct log_sink *sink = NULL;
    struct error err = {0};
    FILE *file = tmpfile();
    char *text = memory_new(1, SIZE);
    uint64_t whole = 0;

    (void)state;
    assert_non_null(file);
    assert_non_null(text);
    ASSERT_OK(log_sink_new(fileno(file), LOG_TEXT, LOG_INFO, &fixed_clock, &sink, &err), &err);
    limit_files(0);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.log = log_of(sink), .lines = TORN_LINES, .running = &running};
        assert_int_equal(uv_thread_create(&threads[i], log_many, &writers[i]), 0);
    }
    for (rlim_t bytes = 0; atomic_load(&running) > 0; bytes += 31)
        limit_files(bytes);
    limit_files(RLIM_INFINITY);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    assert_in_range(pread(fileno(file), text, SIZE - 1, 0), 0, SIZE - 2);

    char *line = text;

    for (char *end = NULL; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        assert_true(end > line); /* no empty lines either */
        if (strstr(line + 1, TIME) != NULL)
            fail_msg("glued: %s", line);
        whole += number_of(line) >= 0;
    }
    /* More if a line was torn just before its line break: lost, and to be read all the same. */
    assert_true(whole + log_sink_lost(sink) >= (uint64_t)THREADS * TORN_LINES);
    memory_free(text);
    log_sink_free(sink);
    assert_int_equal(fclose(file), 0);
}

static void a_sink_without_memory_is_refused(void **state)
{
    struct faults *faults = faults_new();
    struct log_sink *sink = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    faults_arm(faults, FAULT_ALLOC, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, log_sink_new(2, LOG_TEXT, LOG_INFO, &fixed_clock, &sink, &err),
                  &err);
    assert_null(sink);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_fields_and_message),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(hostile_text_stays_on_one_line_of_text),
        cmocka_unit_test(hostile_text_is_still_valid_json),
        cmocka_unit_test(a_long_message_is_cut_and_marked_and_the_line_closed),
        cmocka_unit_test(long_fields_leave_room_for_the_message),
        cmocka_unit_test(moments_that_no_calendar_has_are_still_logged),
        cmocka_unit_test(lost_lines_are_counted_and_told_when_there_is_room_again),
        cmocka_unit_test(one_lost_line_is_told_in_the_singular),
        cmocka_unit_test(a_line_written_in_part_ends_before_the_next_wherever_it_was_torn),
        cmocka_unit_test(lines_of_several_threads_stay_whole),
        cmocka_unit_test(lines_of_several_sinks_stay_whole),
        cmocka_unit_test(no_thread_glues_its_line_to_a_torn_one),
        cmocka_unit_test(a_sink_without_memory_is_refused),
    };

    /* A closed pipe, and a file at its limit, are errors of write(), not the end of the test. */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for these arguments */
    (void)signal(SIGXFSZ, SIG_IGN); /* nor for these */
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
