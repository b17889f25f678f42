#include <string.h>

#include "recover/options.h"
#include "tests/support/test.h"

enum { WORDS_MAX = 16 };

/* Parses TEXT, words between single spaces. */
static enum status parse(const char *text, char copy[256], struct options *ret_options,
                         struct error *err)
{
    char *words[WORDS_MAX] = {NULL};
    int count = 0;

    assert_true(strlen(text) < 256);
    memcpy(copy, text, strlen(text) + 1);
    for (char *at = copy; at != NULL; count++) {
        assert_true(count < WORDS_MAX - 1);
        words[count] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    return options_parse(count, words, ret_options, err);
}

static void each_command_takes_its_words_and_options(void **state)
{
    struct options options = {.action = OPTIONS_VERSION};
    struct error err = {0};
    char copy[256];

    (void)state;
    ASSERT_OK(parse("p list D --kit K --deep --json --memory 12", copy, &options, &err), &err);
    assert_int_equal(options.action, OPTIONS_RUN);
    assert_int_equal(options.command, OPTIONS_LIST);
    assert_string_equal(options.data, "D");
    assert_null(options.point);
    assert_true(options.deep && options.json && options.memory == 12);
    ASSERT_OK(parse("p --key K extract D P 1 -o O --force --keep-going", copy, &options, &err),
              &err);
    assert_string_equal(options.point, "P");
    assert_string_equal(options.disk, "1");
    assert_string_equal(options.out, "O");
    assert_true(options.force && options.keep_going);
    ASSERT_OK(parse("p --key K check D --scan", copy, &options, &err), &err);
    assert_true(options.scan);
    ASSERT_OK(parse("p --help", copy, &options, &err), &err);
    assert_int_equal(options.action, OPTIONS_HELP);
    assert_non_null(strstr(options_help(), "Usage: tidemark-recover"));
}

static void wrong_use_gets_a_sentence(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } rows[] = {
        {"p", "what shall be done"},
        {"p --kit K undo D", "no command"},
        {"p --kit K list", "list wants"},
        {"p --kit K list D P X", "list wants"},
        {"p --kit K extract D P", "one of DISK"},
        {"p --kit K extract D P 1 --all -o O", "one of DISK"},
        {"p --kit K extract D P 1", "where to"},
        {"p --kit K extract D P --all -o -", "folder"},
        {"p --kit K check D --keep-going", "for extract"},
        {"p --kit K check D --deep", "for list"},
        {"p list D", "one of --kit"},
        {"p --kit K --key K list D", "one of --kit"},
        {"p --kit", "wants a value"},
        {"p --what list D", "no option"},
        {"p --kit K --memory 0 list D", "--memory"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options options = {.action = OPTIONS_RUN};
        struct error err = {0};
        char copy[256];

        ASSERT_STATUS(STATUS_INVALID, parse(rows[i].line, copy, &options, &err), &err);
        if (strstr(err.text, rows[i].words) == NULL)
            fail_msg("%s: %s", rows[i].line, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_takes_its_words_and_options),
        cmocka_unit_test(wrong_use_gets_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
