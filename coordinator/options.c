#include "coordinator/options.h"

#include <getopt.h>
#include <string.h>

#include "base/text.h"

const char options_help[] =
    "usage: tidemark-coordinator init --data DIR --key-file FILE\n"
    "       tidemark-coordinator run --data DIR --key-file FILE --tls DIR\n"
    "                                [--agents ADDR:PORT] [--consoles ADDR:PORT] [--workers N]\n"
    "                                [--log-format text|json] [--log-level error|warning|info|debug]\n"
    "       tidemark-coordinator --help | --version\n"
    "\n"
    "init makes a repository and the key that opens it. run keeps it, and serves agents and consoles.\n"
    "\n"
    "  --data DIR            where the repository is\n"
    "  --key-file FILE       its key; not inside DIR: keep a copy elsewhere, without it all is lost\n"
    "  --tls DIR             two folders, agents and consoles, each with ca.pem, cert.pem and key.pem\n"
    "  --agents ADDR:PORT    where to listen for agents (0.0.0.0:7701)\n"
    "  --consoles ADDR:PORT  where to listen for consoles (0.0.0.0:7702)\n"
    "  --workers N           threads that compute (as many as there are processors; 64 at most)\n"
    "  --log-format, --log-level  how the lines on standard error look, and which are written (text, info)\n";

enum option_value {
    OPTION_DATA = 256,
    OPTION_KEY_FILE,
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
    {"key-file", required_argument, NULL, OPTION_KEY_FILE},
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

static enum status parse_workers(const char *text, uint64_t *ret_workers, struct error *err)
{
    uint64_t workers = 0;

    if (!text_parse_u64(text, &workers) || workers == 0 || workers > OPTIONS_WORKERS_MAX)
        return error_set(err, STATUS_INVALID, "--workers %.64s is not a number from 1 to %d", text,
                         OPTIONS_WORKERS_MAX);
    *ret_workers = workers;
    return STATUS_OK;
}

static enum status parse_format(const char *text, enum log_format *ret_format, struct error *err)
{
    if (strcmp(text, "text") == 0)
        *ret_format = LOG_TEXT;
    else if (strcmp(text, "json") == 0)
        *ret_format = LOG_JSON;
    else
        return error_set(err, STATUS_INVALID, "--log-format %.64s is neither text nor json", text);
    return STATUS_OK;
}

static enum status parse_level(const char *text, enum log_level *ret_level, struct error *err)
{
    static const char *const names[] = {[LOG_ERROR] = "error",
                                        [LOG_WARNING] = "warning",
                                        [LOG_INFO] = "info",
                                        [LOG_DEBUG] = "debug"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return STATUS_OK;
        }
    return error_set(err, STATUS_INVALID,
                     "--log-level %.64s is none of error, warning, info, debug", text);
}

static enum status take_option(struct options *options, int option, struct error *err)
{
    switch (option) {
    case OPTION_DATA:
        options->data = optarg;
        return STATUS_OK;
    case OPTION_KEY_FILE:
        options->key_file = optarg;
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
        return parse_workers(optarg, &options->workers, err);
    case OPTION_LOG_FORMAT:
        return parse_format(optarg, &options->format, err);
    case OPTION_LOG_LEVEL:
        return parse_level(optarg, &options->level, err);
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

static enum status take_command(struct options *options, int argc, char **argv, struct error *err)
{
    if (optind == argc)
        return error_set(err, STATUS_INVALID, "no command; --help tells which there are");
    if (optind + 1 != argc)
        return error_set(err, STATUS_INVALID, "one command at a time, not also %.64s",
                         argv[optind + 1]);
    if (strcmp(argv[optind], "init") == 0)
        options->command = OPTIONS_INIT;
    else if (strcmp(argv[optind], "run") == 0)
        options->command = OPTIONS_RUN;
    else
        return error_set(err, STATUS_INVALID, "unknown command %.64s; --help tells which there are",
                         argv[optind]);
    if (options->data == NULL)
        return error_set(err, STATUS_INVALID, "--data DIR is missing");
    if (options->key_file == NULL)
        return error_set(err, STATUS_INVALID, "--key-file FILE is missing");
    if (options->command == OPTIONS_RUN && options->tls == NULL)
        return error_set(err, STATUS_INVALID, "--tls DIR is missing");
    return STATUS_OK;
}

enum status options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {.command = OPTIONS_RUN,
                              .agents = "0.0.0.0:7701",
                              .consoles = "0.0.0.0:7702",
                              .format = LOG_TEXT,
                              .level = LOG_INFO};
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
        st = take_option(&options, option, err);
        if (st != STATUS_OK)
            return st;
        if (options.command == OPTIONS_HELP || options.command == OPTIONS_VERSION) {
            *ret_options = options;
            return STATUS_OK;
        }
    }
    options.command = OPTIONS_RUN;
    enum status st = take_command(&options, argc, argv, err);

    if (st == STATUS_OK)
        *ret_options = options;
    return st;
}
