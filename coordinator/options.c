#include "coordinator/options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

#include "base/program.h"

const char options_help[] =
    "usage: tidemark-coordinator init --data DIR --key FILE --kit FILE [--kit-anywhere]\n"
    "                                 [--passphrase-file FILE | --no-passphrase] [--agents-ca FILE]\n"
    "       tidemark-coordinator run --data DIR --key FILE --tls DIR [--passphrase-file FILE]\n"
    "                                [--agents ADDR:PORT] [--consoles ADDR:PORT] [--workers N]\n"
    "                                [--log-format text|json] [--log-level error|warning|info|debug]\n"
    "       tidemark-coordinator repository key confirm --data DIR (--key FILE | --kit FILE)\n"
    "                                [--passphrase-file FILE]\n"
    "       tidemark-coordinator repository key export --data DIR --key FILE --kit FILE [--kit-anywhere]\n"
    "                                [--passphrase-file FILE] [--no-passphrase] [--agents-ca FILE]\n"
    "       tidemark-coordinator repository key change-passphrase --data DIR --key FILE\n"
    "                                [--passphrase-file FILE] [--new-passphrase-file FILE | --no-passphrase]\n"
    "       tidemark-coordinator --help | --version\n"
    "\n"
    "init makes a repository, the key that opens it, and a recovery kit. run keeps it, and serves agents and\n"
    "consoles. repository key: confirm says whether a key or a kit opens the repository, export writes a new\n"
    "kit, change-passphrase locks the key by another passphrase. A passphrase is asked for on the terminal.\n"
    "\n"
    "  --data DIR            where the repository is\n"
    "  --key FILE            its key; not inside DIR (--key-file is the same)\n"
    "  --kit FILE            the recovery kit: a page to print; not on the file system of DIR\n"
    "  --kit-anywhere        the kit may lie there all the same\n"
    "  --passphrase-file FILE      the key's passphrase, instead of asking for it\n"
    "  --new-passphrase-file FILE  the new one\n"
    "  --no-passphrase       the key (export: the kit) is not locked: whoever has the file can read everything\n"
    "  --agents-ca FILE      the certificate of the agents' CA (PEM), for the kit\n"
    "  --tls DIR             two folders, agents and consoles, each with ca.pem, cert.pem and key.pem\n"
    "  --agents ADDR:PORT    where to listen for agents (0.0.0.0:7701)\n"
    "  --consoles ADDR:PORT  where to listen for consoles (0.0.0.0:7702)\n"
    "  --workers N           threads that compute (as many as there are processors; 64 at most)\n"
    "  --log-format, --log-level  how the lines on standard error look, and which are written (text, info)\n";

enum option_value {
    OPTION_DATA = 256,
    OPTION_KEY,
    OPTION_KIT,
    OPTION_KIT_ANYWHERE,
    OPTION_PASSPHRASE_FILE,
    OPTION_NEW_PASSPHRASE_FILE,
    OPTION_NO_PASSPHRASE,
    OPTION_AGENTS_CA,
    OPTION_TLS,
    OPTION_AGENTS,
    OPTION_CONSOLES,
    OPTION_WORKERS,
    OPTION_LOG_FORMAT,
    OPTION_LOG_LEVEL,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"data", required_argument, NULL, OPTION_DATA},
    {"key", required_argument, NULL, OPTION_KEY},
    {"key-file", required_argument, NULL, OPTION_KEY},
    {"kit", required_argument, NULL, OPTION_KIT},
    {"kit-anywhere", no_argument, NULL, OPTION_KIT_ANYWHERE},
    {"passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE},
    {"new-passphrase-file", required_argument, NULL, OPTION_NEW_PASSPHRASE_FILE},
    {"no-passphrase", no_argument, NULL, OPTION_NO_PASSPHRASE},
    {"agents-ca", required_argument, NULL, OPTION_AGENTS_CA},
    {"tls", required_argument, NULL, OPTION_TLS},
    {"agents", required_argument, NULL, OPTION_AGENTS},
    {"consoles", required_argument, NULL, OPTION_CONSOLES},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

#define BIT(OPTION) (1U << ((OPTION)-OPTION_DATA))

static const struct command {
    const char *words; /* with single spaces */
    enum options_command command;
    unsigned takes; /* BIT() of each option */
} commands[] = {
    {"init", OPTIONS_INIT,
     BIT(OPTION_DATA) | BIT(OPTION_KEY) | BIT(OPTION_KIT) | BIT(OPTION_KIT_ANYWHERE) |
         BIT(OPTION_PASSPHRASE_FILE) | BIT(OPTION_NO_PASSPHRASE) | BIT(OPTION_AGENTS_CA)},
    {"run", OPTIONS_RUN,
     BIT(OPTION_DATA) | BIT(OPTION_KEY) | BIT(OPTION_PASSPHRASE_FILE) | BIT(OPTION_TLS) |
         BIT(OPTION_AGENTS) | BIT(OPTION_CONSOLES) | BIT(OPTION_WORKERS) | BIT(OPTION_LOG_FORMAT) |
         BIT(OPTION_LOG_LEVEL)},
    {"repository key confirm", OPTIONS_KEY_CONFIRM,
     BIT(OPTION_DATA) | BIT(OPTION_KEY) | BIT(OPTION_KIT) | BIT(OPTION_PASSPHRASE_FILE)},
    {"repository key export", OPTIONS_KEY_EXPORT,
     BIT(OPTION_DATA) | BIT(OPTION_KEY) | BIT(OPTION_KIT) | BIT(OPTION_KIT_ANYWHERE) |
         BIT(OPTION_PASSPHRASE_FILE) | BIT(OPTION_NO_PASSPHRASE) | BIT(OPTION_AGENTS_CA)},
    {"repository key change-passphrase", OPTIONS_KEY_CHANGE_PASSPHRASE,
     BIT(OPTION_DATA) | BIT(OPTION_KEY) | BIT(OPTION_PASSPHRASE_FILE) |
         BIT(OPTION_NEW_PASSPHRASE_FILE) | BIT(OPTION_NO_PASSPHRASE)},
};

static enum status take_option(struct options *options, int option, struct error *err)
{
    switch (option) {
    case OPTION_DATA:
        options->data = optarg;
        return STATUS_OK;
    case OPTION_KEY:
        options->key = optarg;
        return STATUS_OK;
    case OPTION_KIT:
        options->kit = optarg;
        return STATUS_OK;
    case OPTION_KIT_ANYWHERE:
        options->kit_anywhere = true;
        return STATUS_OK;
    case OPTION_PASSPHRASE_FILE:
        options->passphrase_file = optarg;
        return STATUS_OK;
    case OPTION_NEW_PASSPHRASE_FILE:
        options->new_passphrase_file = optarg;
        return STATUS_OK;
    case OPTION_NO_PASSPHRASE:
        options->no_passphrase = true;
        return STATUS_OK;
    case OPTION_AGENTS_CA:
        options->agents_ca = optarg;
        return STATUS_OK;
    case OPTION_TLS:
        options->tls = optarg;
        return STATUS_OK;
    case OPTION_AGENTS:
        options->agents = optarg;
        return STATUS_OK;
    case OPTION_CONSOLES:
        options->consoles = optarg;
        return STATUS_OK;
    case OPTION_WORKERS:
        return program_parse_workers(optarg, &options->workers, err);
    case OPTION_LOG_FORMAT:
        return program_parse_log_format(optarg, &options->format, err);
    case OPTION_LOG_LEVEL:
        return program_parse_log_level(optarg, &options->level, err);
    case OPTION_HELP:
        options->command = OPTIONS_HELP;
        return STATUS_OK;
    case OPTION_VERSION:
        options->command = OPTIONS_VERSION;
        return STATUS_OK;
    default:
        return error_set(err, STATUS_INVALID, "unknown option");
    }
}

/* How many of WORDS, of which there are COUNT, are the whole of COMMAND's; 0: they are not. */
static int match_words(const struct command *command, int count, char **words)
{
    const char *at = command->words;

    for (int i = 0; i < count; i++) {
        size_t size = strcspn(at, " ");

        if (strlen(words[i]) != size || strncmp(words[i], at, size) != 0)
            return 0;
        if (at[size] == '\0')
            return i + 1;
        at += size + 1;
    }
    return 0;
}

/* COUNT words behind the options are one command, of which RET_COMMAND is the row. */
static enum status find_command(int count, char **words, const struct command **ret_command,
                                struct error *err)
{
    if (count == 0)
        return error_set(err, STATUS_INVALID, "no command; --help tells which there are");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        int taken = match_words(&commands[i], count, words);

        if (taken > 0 && taken < count)
            return error_set(err, STATUS_INVALID, "one command at a time, not also %.64s",
                             words[taken]);
        if (taken > 0) {
            *ret_command = &commands[i];
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_INVALID,
                     "unknown command %.64s%s%.64s%s%.64s; --help tells which there are", words[0],
                     count > 1 ? " " : "", count > 1 ? words[1] : "", count > 2 ? " " : "",
                     count > 2 ? words[2] : "");
}

static const char *option_name(unsigned bit)
{
    for (size_t i = 0; long_options[i].name != NULL; i++)
        if (BIT(long_options[i].val) == bit)
            return long_options[i].name;
    return "";
}

/* The options about keys: which may not come together, and which must be there. */
static enum status check_key_options(const struct options *options, struct error *err)
{
    bool confirms = options->command == OPTIONS_KEY_CONFIRM;
    bool wants_kit = options->command == OPTIONS_INIT || options->command == OPTIONS_KEY_EXPORT;

    if (confirms && options->key != NULL && options->kit != NULL)
        return error_set(err, STATUS_INVALID, "either --key or --kit, not both");
    if (confirms && options->key == NULL && options->kit == NULL)
        return error_set(err, STATUS_INVALID, "--key FILE or --kit FILE is missing");
    if (!confirms && options->key == NULL)
        return error_set(err, STATUS_INVALID, "--key FILE is missing");
    if (wants_kit && options->kit == NULL)
        return error_set(err, STATUS_INVALID,
                         "--kit FILE is missing: the page that opens the repository when the key "
                         "file is lost");
    if (options->command == OPTIONS_INIT && options->no_passphrase &&
        options->passphrase_file != NULL)
        return error_set(err, STATUS_INVALID,
                         "either --passphrase-file or --no-passphrase, not both");
    if (options->no_passphrase && options->new_passphrase_file != NULL)
        return error_set(err, STATUS_INVALID,
                         "either --new-passphrase-file or --no-passphrase, not both");
    return STATUS_OK;
}

/* Is what GIVEN names for COMMAND, and is all there that it needs? */
static enum status check_options(const struct options *options, const struct command *command,
                                 unsigned given, struct error *err)
{
    unsigned wrong = given & ~command->takes;

    if (wrong != 0)
        return error_set(err, STATUS_INVALID, "--%s is not for %s", option_name(wrong & -wrong),
                         command->words);
    if (options->data == NULL)
        return error_set(err, STATUS_INVALID, "--data DIR is missing");

    enum status st = check_key_options(options, err);

    if (st == STATUS_OK && options->command == OPTIONS_RUN && options->tls == NULL)
        st = error_set(err, STATUS_INVALID, "--tls DIR is missing");
    return st;
}

/* The options into *OPTIONS, BIT() of each into *ret_given; stops at --help and --version. */
static enum status take_options(int argc, char **argv, struct options *options, unsigned *ret_given,
                                struct error *err)
{
    unsigned given = 0;
    int option = 0;

    opterr = 0; /* the sentence is ours */
    optind = 0; /* from the start, also when parsing again (glibc, getopt(3)) */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the header says so */
    while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        enum status st = STATUS_OK;

        if (option == '?' || option == ':')
            return error_set(err, STATUS_INVALID, "%s %.64s; --help tells which options there are",
                             option == ':' ? "a value is missing behind" : "unknown option",
                             argv[optind - 1]);
        st = take_option(options, option, err);
        if (st != STATUS_OK)
            return st;
        if (options->command == OPTIONS_HELP || options->command == OPTIONS_VERSION)
            return STATUS_OK;
        given |= BIT(option);
    }
    *ret_given = given;
    return STATUS_OK;
}

enum status options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {.command = OPTIONS_RUN,
                              .agents = "0.0.0.0:7701",
                              .consoles = "0.0.0.0:7702",
                              .format = LOG_TEXT,
                              .level = LOG_INFO};
    const struct command *command = NULL;
    unsigned given = 0;
    enum status st = take_options(argc, argv, &options, &given, err);

    if (st != STATUS_OK)
        return st;
    if (options.command == OPTIONS_RUN) { /* not asked for help or version */
        st = find_command(argc - optind, argv + optind, &command, err);
        if (st != STATUS_OK)
            return st;
        options.command = command->command;
        st = check_options(&options, command, given, err);
    }
    if (st == STATUS_OK)
        *ret_options = options;
    return st;
}
