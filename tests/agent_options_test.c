#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "agent/options.h"
#include "tests/support/test.h"

enum { ARGS_MAX = 32 };

/* Parses LINE, words between single spaces. getopt() may reorder what it gets. */
static enum status parse(const char *line, char **ret_words, struct options *ret_options,
                         struct error *err)
{
    char *argv[ARGS_MAX + 1] = {NULL};
    char *words = memory_copy_text(line);
    int argc = 0;

    assert_non_null(words);
    for (char *word = words; word != NULL && argc < ARGS_MAX; argc++) {
        char *space = strchr(word, ' ');

        argv[argc] = word;
        if (space != NULL)
            *space++ = '\0';
        word = space;
    }
    *ret_words = words;
    return options_parse(argc, argv, ret_options, err);
}

static void assert_wrong(const char *line, const char *expected)
{
    struct options options = {0};
    struct error err = {0};
    char *words = NULL;

    ASSERT_STATUS(STATUS_INVALID, parse(line, &words, &options, &err), &err);
    if (strstr(err.text, expected) == NULL)
        fail_msg("%s: \"%s\" is not in: %s", line, expected, err.text);
    memory_free(words);
}

static void run_takes_its_options(void **state)
{
    struct options options = {0};
    struct error err = {0};
    char *words = NULL;

    (void)state;
    ASSERT_OK(
        parse("tidemark-agent run --coordinator c.example:7701 --tls /etc/t --disk a=/d/a.raw "
              "--disk b=b=c.raw --memory 256 --workers 3 --log-format json --log-level debug",
              &words, &options, &err),
        &err);
    assert_int_equal(options.command, OPTIONS_RUN);
    assert_string_equal(options.coordinator, "c.example:7701");
    assert_string_equal(options.tls, "/etc/t");
    assert_int_equal(options.disk_count, 2);
    assert_string_equal(options.disks[0].name, "a");
    assert_string_equal(options.disks[0].file, "/d/a.raw");
    assert_string_equal(options.disks[1].file, "b=c.raw");
    assert_int_equal(options.memory_mib, 256);
    assert_int_equal(options.workers, 3);
    assert_int_equal(options.format, LOG_JSON);
    assert_int_equal(options.level, LOG_DEBUG);
    options_deinit(&options);
    memory_free(words);
}

static void what_is_not_said_has_a_default(void **state)
{
    struct options options = {0};
    struct error err = {0};
    char *words = NULL;

    (void)state;
    ASSERT_OK(parse("x run --coordinator [::1]:1 --tls t --disk a=b", &words, &options, &err),
              &err);
    assert_int_equal(options.memory_mib, 128);
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.format, LOG_TEXT);
    assert_int_equal(options.level, LOG_INFO);
    options_deinit(&options);
    memory_free(words);
}

static void help_and_version_need_nothing_else(void **state)
{
    struct options options = {0};
    struct error err = {0};
    char *words = NULL;

    (void)state;
    ASSERT_OK(parse("x run --disk a=b --help", &words, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_HELP);
    assert_int_equal(options.disk_count, 0); /* nothing to be freed */
    memory_free(words);
    ASSERT_OK(parse("x --version", &words, &options, &err), &err);
    assert_int_equal(options.command, OPTIONS_VERSION);
    memory_free(words);
}

static void names_are_any_text(void **state)
{
    struct options options = {0};
    struct error err = {0};
    char *words = NULL;

    (void)state;
    ASSERT_OK(parse("x run --coordinator h:1 --tls t --disk M\xc3\xbcnchen=b", &words, &options,
                    &err),
              &err);
    assert_string_equal(options.disks[0].name, "M\xc3\xbcnchen");
    options_deinit(&options);
    memory_free(words);
}

static void wrong_use_is_said_in_one_sentence(void **state)
{
    (void)state;
    assert_wrong("x", "no command");
    assert_wrong("x walk", "unknown command walk");
    assert_wrong("x run now --tls t", "unknown command now");
    assert_wrong("x run --tls t --disk a=b", "--coordinator HOST:PORT is missing");
    assert_wrong("x run --coordinator h:1 --disk a=b", "--tls DIR is missing");
    assert_wrong("x run --coordinator h:1 --tls t", "--disk NAME=FILE is missing");
    assert_wrong("x run --coordinator h --tls t --disk a=b", "is not HOST:PORT");
    assert_wrong("x run --coordinator h:0 --tls t --disk a=b", "is not HOST:PORT");
    assert_wrong("x run --coordinator h:65536 --tls t --disk a=b", "is not HOST:PORT");
    assert_wrong("x run --coordinator :1 --tls t --disk a=b", "is not HOST:PORT");
    assert_wrong("x run --disk a", "is not NAME=FILE");
    assert_wrong("x run --disk =a", "is not NAME=FILE");
    assert_wrong("x run --disk a=", "is not NAME=FILE");
    assert_wrong("x run --disk a\tb=c", "is not NAME=FILE");
    assert_wrong("x run --disk a=b --disk a=c", "two disks have the name a");
    assert_wrong("x run --disk a=d/x.raw --disk b=d/x.raw",
                 "disks a and b are the same file d/x.raw");
    assert_wrong("x run --disk \xff=c", "is not NAME=FILE");
    assert_wrong("x run --disk \xc2\x85=c", "is not NAME=FILE"); /* a control character */
    assert_wrong("x run --memory 15", "--memory 15 is not a number from 16");
    assert_wrong("x run --memory 1x", "--memory 1x");
    assert_wrong("x run --workers 0", "--workers 0");
    assert_wrong("x run --workers 65", "--workers 65");
    assert_wrong("x run --log-format xml", "--log-format xml");
    assert_wrong("x run --log-level loud", "--log-level loud");
    assert_wrong("x run --tls", "--tls wants a value");
    assert_wrong("x run --what", "unknown option --what");
    assert_wrong("x -yz run", "unknown option -y");
    assert_wrong("x run -yz", "unknown option -y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_takes_its_options),
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(names_are_any_text),
        cmocka_unit_test(wrong_use_is_said_in_one_sentence),
    };

    return cmocka_run_group_tests_name("agent_options", tests, NULL, NULL);
}
