#include <string.h>

#include "coordinator/options.h"
#include "tests/support/test.h"

enum { LINE_SIZE = 512 };

/* Parses LINE, arguments with single spaces between them; what the options borrow is in TEXT. */
static enum status parse(const char *line, char text[LINE_SIZE], struct options *ret_options,
                         struct error *err)
{
    char *argv[20] = {NULL};
    int argc = 0;

    assert_true(strlen(line) < LINE_SIZE);
    memcpy(text, line, strlen(line) + 1);
    for (char *at = text; at != NULL && *at != '\0' && argc < 19; argc++) {
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
    ASSERT_OK(parse("x run --data D --key K --tls T", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_RUN);
    assert_string_equal(options.data, "D");
    assert_string_equal(options.key, "K");
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
    ASSERT_OK(parse("x init --data D --key K --kit P", text, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_INIT);
    assert_string_equal(options.kit, "P");
    assert_false(options.kit_anywhere);
    assert_false(options.no_passphrase);
    assert_null(options.passphrase_file);
    ASSERT_OK(parse("x init --data D --key K --kit P --kit-anywhere --no-passphrase --agents-ca C",
                    text, &options, &err),
              &err);
    assert_true(options.kit_anywhere);
    assert_true(options.no_passphrase);
    assert_string_equal(options.agents_ca, "C");
}

static void the_commands_about_keys_are_three_words(void **state)
{
    char text[LINE_SIZE];
    struct options options = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("x repository key confirm --data D --kit P --passphrase-file F", text, &options,
                    &err),
              &err);
    assert_int_equal(options.command, OPTIONS_KEY_CONFIRM);
    assert_string_equal(options.passphrase_file, "F");
    ASSERT_OK(parse("x repository key export --data D --key K --kit P --no-passphrase", text,
                    &options, &err),
              &err);
    assert_int_equal(options.command, OPTIONS_KEY_EXPORT);
    ASSERT_OK(parse("x repository key change-passphrase --data D --key K --passphrase-file A "
                    "--new-passphrase-file B",
                    text, &options, &err),
              &err);
    assert_int_equal(options.command, OPTIONS_KEY_CHANGE_PASSPHRASE);
    assert_string_equal(options.new_passphrase_file, "B");
}

static void an_option_of_another_command_is_refused(void **state)
{
    (void)state;
    is_refused("x init --data D --key K --kit P --tls T", "--tls is not for init");
    is_refused("x run --data D --key K --tls T --kit P", "--kit is not for run");
    is_refused("x run --data D --key K --tls T --no-passphrase", "--no-passphrase is not for run");
    is_refused("x repository key confirm --data D --key K --kit-anywhere",
               "--kit-anywhere is not for repository key confirm");
    is_refused("x init --data D --key K --kit P --passphrase-file F --no-passphrase",
               "either --passphrase-file or --no-passphrase");
    is_refused("x repository key change-passphrase --data D --key K --new-passphrase-file F "
               "--no-passphrase",
               "either --new-passphrase-file or --no-passphrase");
    is_refused("x repository key confirm --data D --key K --kit P", "either --key or --kit");
    is_refused("x repository key confirm --data D", "--key FILE or --kit FILE is missing");
    is_refused("x repository key export --data D --key K", "--kit FILE is missing");
    is_refused("x repository key export --data D --kit K", "--key FILE is missing");
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
    is_refused("x repository key confirm it --data D", "not also it");
    is_refused("x repository key --data D", "unknown command repository key;");
    is_refused("x repository key fly --data D", "unknown command repository key fly;");
    is_refused("x init --data D --key K", "--kit FILE is missing");
    is_refused("x init --key-file K", "--data DIR is missing");
    is_refused("x init --data D", "--key FILE is missing");
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
        cmocka_unit_test(the_commands_about_keys_are_three_words),
        cmocka_unit_test(an_option_of_another_command_is_refused),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(wrong_use_is_one_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
