#include <string.h>

#include "base/text.h"
#include "console/options.h"
#include "tests/support/test.h"

enum { WORDS_MAX = 10, TEXT_SIZE = 256 };

static const struct options_defaults defaults = {.coordinator = "localhost:7702", .tls = "/tls"};
static const struct options_defaults nothing = {0};

/* Parses TEXT, words with one space between them, behind the program's name. */
static enum status parse(const char *text, const struct options_defaults *given,
                         char copy[TEXT_SIZE], struct options *ret_options, struct error *err)
{
    char program[] = "tidemark";
    char *words[WORDS_MAX + 1] = {program};
    int count = 1;

    assert_true(text_format(copy, TEXT_SIZE, "%s", text));
    for (char *next = copy; next != NULL && *next != '\0' && count < WORDS_MAX; count++) {
        words[count] = next;
        next = strchr(next, ' ');
        if (next != NULL)
            *next++ = '\0';
    }
    return options_parse(count, words, given, ret_options, err);
}

static void each_command_takes_its_words_and_options(void **state)
{
    static const struct {
        const char *text;
        struct options options;
    } rows[] = {
        {"backup disk0", {.command = OPTIONS_BACKUP, .disk = "disk0"}},
        {"backup disk0 --host hv-01 --json",
         {.command = OPTIONS_BACKUP, .disk = "disk0", .host = "hv-01", .json = true}},
        {"backup --host=hv-01 disk0",
         {.command = OPTIONS_BACKUP, .disk = "disk0", .host = "hv-01"}},
        {"backup -- --odd", {.command = OPTIONS_BACKUP, .disk = "--odd"}},
        {"list", {.command = OPTIONS_LIST}},
        {"--json list", {.command = OPTIONS_LIST, .json = true}},
        {"export abcdef d.raw", {.command = OPTIONS_EXPORT, .point = "abcdef", .file = "d.raw"}},
        {"export ABCDEF01 d.raw --force",
         {.command = OPTIONS_EXPORT, .point = "abcdef01", .file = "d.raw", .force = true}},
        {"verify", {.command = OPTIONS_VERIFY}},
        {"verify 012345 --json", {.command = OPTIONS_VERIFY, .point = "012345", .json = true}},
        {"repository status --json", {.command = OPTIONS_REPOSITORY_STATUS, .json = true}},
        {"repository rebuild", {.command = OPTIONS_REPOSITORY_REBUILD}},
        {"repository check --keyless", {.command = OPTIONS_REPOSITORY_CHECK, .keyless = true}},
        {"--help", {.action = OPTIONS_HELP}},
        {"repository --help", {.action = OPTIONS_HELP}},
        {"repository check --help", {.action = OPTIONS_HELP, .command = OPTIONS_REPOSITORY_CHECK}},
        {"backup --help", {.action = OPTIONS_HELP, .command = OPTIONS_BACKUP}},
        {"--version", {.action = OPTIONS_VERSION}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct options *expected = &rows[i].options;
        struct options options = {0};
        char copy[TEXT_SIZE];
        struct error err = {0};

        ASSERT_OK(parse(rows[i].text, &defaults, copy, &options, &err), &err);
        assert_int_equal(options.action, expected->action);
        assert_int_equal(options.command, expected->command);
        assert_int_equal(options.keyless, expected->keyless);
        assert_string_equal(options.coordinator, "localhost:7702");
        assert_string_equal(options.tls, "/tls");
        assert_string_equal(options.host, expected->host == NULL ? "" : expected->host);
        assert_string_equal(options.point, expected->point);
        assert_int_equal(options.json, expected->json);
        assert_int_equal(options.force, expected->force);
        assert_true((options.disk == NULL) == (expected->disk == NULL));
        assert_true((options.file == NULL) == (expected->file == NULL));
        if (expected->disk != NULL)
            assert_string_equal(options.disk, expected->disk);
        if (expected->file != NULL)
            assert_string_equal(options.file, expected->file);
    }
}

static void wrong_use_is_one_sentence_that_names_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "what shall be done"},
        {"restore", "restore is no command"},
        {"list --wrong", "--wrong is no option"},
        {"list -x", "-x is no option"},
        {"list -xy", "-x is no option"},
        {"list --json=yes", "--json=yes is no option"},
        {"list --coordinator", "--coordinator wants a value"},
        {"list --host h", "list takes no --host"},
        {"list --force", "list takes no --force"},
        {"export abcdef f --json", "export takes no --json"},
        {"list abcdef", "list wants nothing"},
        {"backup", "backup wants DISK"},
        {"backup a b", "backup wants DISK"},
        {"export abcdef", "export wants POINT FILE"},
        {"export abcde f", "abcde is no point"},
        {"export abcdeg f", "abcdeg is no point"},
        {"verify abcdef 012345", "verify wants at most one POINT"},
        {"verify 00000000000000000000000000000000000000000000000000000000000000000", "is no point"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options options = {.file = "untouched"};
        char copy[TEXT_SIZE];
        struct error err = {0};

        ASSERT_STATUS(STATUS_INVALID, parse(rows[i].text, &defaults, copy, &options, &err), &err);
        if (strstr(err.text, rows[i].words) == NULL)
            fail_msg("\"%s\" is not in: %s", rows[i].words, err.text);
        assert_string_equal(options.file, "untouched");
    }
}

static void the_command_line_goes_before_the_environment(void **state)
{
    struct options options = {0};
    char copy[TEXT_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(parse("--coordinator c:1 --tls t list", &defaults, copy, &options, &err), &err);
    assert_string_equal(options.coordinator, "c:1");
    assert_string_equal(options.tls, "t");
}

static void whom_to_ask_and_how_must_be_known(void **state)
{
    struct options options = {0};
    char copy[TEXT_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_INVALID, parse("--tls t list", &nothing, copy, &options, &err), &err);
    assert_non_null(strstr(err.text, "TIDEMARK_COORDINATOR"));
    ASSERT_STATUS(STATUS_INVALID, parse("--coordinator c:1 list", &nothing, copy, &options, &err),
                  &err);
    assert_non_null(strstr(err.text, "TIDEMARK_TLS"));
    ASSERT_OK(parse("--help", &nothing, copy, &options, &err), &err);
}

static void every_command_has_its_help(void **state)
{
    (void)state;
    for (int command = OPTIONS_BACKUP; command <= OPTIONS_VERIFY; command++) {
        const char *help = options_help((enum options_command)command);

        assert_ptr_equal(strstr(help, "Usage: tidemark "), help);
        assert_string_not_equal(help, options_help(OPTIONS_NO_COMMAND));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_takes_its_words_and_options),
        cmocka_unit_test(wrong_use_is_one_sentence_that_names_what_is_wrong),
        cmocka_unit_test(the_command_line_goes_before_the_environment),
        cmocka_unit_test(whom_to_ask_and_how_must_be_known),
        cmocka_unit_test(every_command_has_its_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
