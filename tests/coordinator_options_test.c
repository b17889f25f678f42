#include <string.h>

#include "coordinator/options.h"
#include "tests/support/test.h"

enum { LINE_SIZE = 512 };

/* Parses LINE, arguments with single spaces between them; what the options borrow is in TEXT. */
static enum status parse(const char *line, char text[LINE_SIZE], struct options *ret_options,
                         struct error *err)
{
    char *argv[14] = {NULL};
    int argc = 0;

    assert_true(strlen(line) < LINE_SIZE);
    memcpy(text, line, strlen(line) + 1);
    for (char *at = text; at != NULL && *at != '\0' && argc < 13; argc++) {
        argv[argc] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    return options_parse(argc, argv, ret_options, err);
}

static void is_refused(const char *line, const char *sentence)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    ASSERT_STATUS(STATUS_INVALID, parse(line, text, &options, &err), &err);
    if (strstr(err.text, sentence) == NULL)
        fail_msg("%s: %s", line, err.text);
    assert_null(options.data);
}

static void run_has_defaults(void **state)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("x run --data D --key-file K --tls T", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_RUN);
    assert_string_equal(options.data, "D");
    assert_string_equal(options.key_file, "K");
    assert_string_equal(options.tls, "T");
    assert_string_equal(options.agents, "0.0.0.0:7701");
    assert_string_equal(options.consoles, "0.0.0.0:7702");
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.format, LOG_TEXT);
    assert_int_equal(options.level, LOG_INFO);
}

static void all_options_are_taken(void **state)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("x --agents A:1 --consoles C:2 run --data D --key-file K --tls T", text,
                    &options, &err),
              &err);
    assert_string_equal(options.agents, "A:1");
    assert_string_equal(options.consoles, "C:2");
    ASSERT_OK(parse("x run --data=D --key-file=K --tls=T --workers=64 --log-format=json "
                    "--log-level=debug",
                    text, &options, &err),
              &err);
    assert_int_equal(options.workers, 64);
    assert_int_equal(options.format, LOG_JSON);
    assert_int_equal(options.level, LOG_DEBUG);
}

static void init_needs_no_certificates(void **state)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("x init --data D --key-file K", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_INIT);
}

static void help_and_version_need_nothing_else(void **state)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("x --help", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_HELP);
    ASSERT_OK(parse("x run --version", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_VERSION);
}

static void wrong_use_is_one_sentence(void **state)
{
    (void)state;
    is_refused("x", "no command");
    is_refused("x fly --data D --key-file K", "unknown command fly");
    is_refused("x init run --data D --key-file K", "not also run");
    is_refused("x init --key-file K", "--data DIR is missing");
    is_refused("x init --data D", "--key-file FILE is missing");
    is_refused("x run --data D --key-file K", "--tls DIR is missing");
    is_refused("x run --nonsense", "unknown option --nonsense");
    is_refused("x run --data", "a value is missing behind --data");
    is_refused("x run --workers 0", "--workers 0 is not a number from 1 to 64");
    is_refused("x run --workers 65", "--workers 65 is not a number from 1 to 64");
    is_refused("x run --log-format xml", "neither text nor json");
    is_refused("x run --log-level loud", "none of error, warning, info, debug");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_has_defaults),
        cmocka_unit_test(all_options_are_taken),
        cmocka_unit_test(init_needs_no_certificates),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(wrong_use_is_one_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
