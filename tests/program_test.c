#include "base/program.h"

#include <string.h>

#include "tests/support/test.h"

static void numbers_have_their_bounds(void **state)
{
    uint64_t value = 7;
    struct error err = {0};

    (void)state;
    ASSERT_OK(program_parse_number("--memory", "16", 16, 32, &value, &err), &err);
    assert_int_equal(value, 16);
    ASSERT_OK(program_parse_number("--memory", "32", 16, 32, &value, &err), &err);
    assert_int_equal(value, 32);
    ASSERT_STATUS(STATUS_INVALID, program_parse_number("--memory", "15", 16, 32, &value, &err),
                  &err);
    assert_string_equal(err.text, "--memory 15 is not a number from 16 to 32");
    ASSERT_STATUS(STATUS_INVALID, program_parse_number("--memory", "33", 16, 32, &value, &err),
                  &err);
    ASSERT_STATUS(STATUS_INVALID, program_parse_number("--memory", "x", 0, 32, &value, &err), &err);
    assert_int_equal(value, 32);
    ASSERT_OK(program_parse_workers("64", &value, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, program_parse_workers("65", &value, &err), &err);
    assert_int_equal(value, 64);
}

static void formats_and_levels_have_names(void **state)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    enum log_format format = LOG_TEXT;
    enum log_level level = LOG_ERROR;
    struct error err = {0};

    (void)state;
    ASSERT_OK(program_parse_log_format("json", &format, &err), &err);
    assert_int_equal(format, LOG_JSON);
    ASSERT_OK(program_parse_log_format("text", &format, &err), &err);
    assert_int_equal(format, LOG_TEXT);
    ASSERT_STATUS(STATUS_INVALID, program_parse_log_format("xml", &format, &err), &err);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        ASSERT_OK(program_parse_log_level(levels[i], &level, &err), &err);
        assert_int_equal(level, i);
    }
    ASSERT_STATUS(STATUS_INVALID, program_parse_log_level("loud", &level, &err), &err);
    assert_non_null(strstr(err.text, "none of error, warning, info, debug"));
}

static void there_is_a_thread_at_least_and_no_more_than_asked(void **state)
{
    (void)state;
    assert_int_equal(program_processors(1), 1);
    assert_in_range(program_processors(1000), 1, 1000);
    assert_int_equal(program_workers(5), 5);
    assert_in_range(program_workers(0), 1, PROGRAM_WORKERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_bounds),
        cmocka_unit_test(formats_and_levels_have_names),
        cmocka_unit_test(there_is_a_thread_at_least_and_no_more_than_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
