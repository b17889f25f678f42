#include "agent/options.h"

#include <getopt.h>
#include <string.h>

#include "base/memory.h"
#include "base/program.h"
#include "base/text.h"

const char options_help[] =
    "usage: tidemark-agent run --coordinator HOST:PORT --tls DIR --disk NAME=FILE ...\n"
    "                          [--memory MIB] [--workers N] [--log-format text|json]\n"
    "                          [--log-level error|warning|info|debug]\n"
    "       tidemark-agent --help | --version\n"
    "\n"
    "Runs on the host whose disks are backed up. Connects to the coordinator, and does what that asks\n"
    "for; nothing listens here.\n"
    "\n"
    "  --coordinator HOST:PORT  where the coordinator listens for agents\n"
    "  --tls DIR                folder of ca.pem, cert.pem and key.pem; the certificate says who this host is\n"
    "  --disk NAME=FILE         a raw disk image that may be backed up, and its name; may come again\n"
    "  --memory MIB             data of disks held in memory at most (128; from 16)\n"
    "  --workers N              threads that compute (as many as there are processors; 64 at most)\n"
    "  --log-format, --log-level  how the lines on standard error look, and which are written (text, info)\n";

enum option_value {
    OPTION_COORDINATOR = 256,
    OPTION_TLS,
    OPTION_DISK,
    OPTION_MEMORY,
    OPTION_WORKERS,
    OPTION_LOG_FORMAT,
    OPTION_LOG_LEVEL,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"coordinator", required_argument, NULL, OPTION_COORDINATOR},
    {"tls", required_argument, NULL, OPTION_TLS},
    {"disk", required_argument, NULL, OPTION_DISK},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* Can NAME be a disk's in a statement? Else all backups of it would fail, at their end. */
static enum status check_name(const char *name, struct error *err)
{
    struct slice text = slice_of_text(name);

    if (text.size == 0 || text.size > OPTIONS_DISK_NAME_MAX)
        return error_set(err, STATUS_INVALID, "not 1 to %d bytes", OPTIONS_DISK_NAME_MAX);
    if (!text_is_plain(text))
        return error_set(err, STATUS_INVALID, "not UTF-8, or with control characters");
    return STATUS_OK;
}

/* No disk has NAME or FILE already: two backups at once would remove each other's frozen copies. */
static enum status check_new(const struct options *options, const char *name, const char *file,
                             struct error *err)
{
    for (size_t i = 0; i < options->disk_count; i++) {
        const struct options_disk *disk = &options->disks[i];

        if (strcmp(disk->name, name) == 0)
            return error_set(err, STATUS_INVALID, "two disks have the name %s", name);
        if (strcmp(disk->file, file) == 0)
            return error_set(err, STATUS_INVALID,
                             "disks %s and %s are the same file %s; name it once", disk->name, name,
                             file);
    }
    if (options->disk_count == OPTIONS_DISKS_MAX)
        return error_set(err, STATUS_INVALID, "more than %d disks", OPTIONS_DISKS_MAX);
    return STATUS_OK;
}

/* NAME=FILE. */
static enum status add_disk(struct options *options, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - text);
    struct options_disk *disks = NULL;
    char *name = NULL;
    struct error why = {0};
    enum status st = STATUS_OK;

    if (equals == NULL || equals[1] == '\0')
        return error_set(err, STATUS_INVALID, "--disk \"%.300s\" is not NAME=FILE", text);
    name = memory_new(length + 1, 1);
    if (name == NULL)
        return error_set_no_memory(err, length + 1, "a disk's name");
    memcpy(name, text, length);
    if (length == 0 || check_name(name, &why) != STATUS_OK) {
        st = error_set(err, STATUS_INVALID,
                       "--disk \"%.300s\" is not NAME=FILE, with a name of 1 to %d bytes of UTF-8",
                       text, OPTIONS_DISK_NAME_MAX);
        goto out;
    }
    st = check_new(options, name, equals + 1, err);
    if (st != STATUS_OK)
        goto out;
    disks = memory_resize(options->disks, options->disk_count + 1, sizeof(*disks));
    if (disks == NULL) {
        st = error_set_no_memory(err, sizeof(*disks), "the list of disks");
        goto out;
    }
    options->disks = disks;
    disks[options->disk_count] = (struct options_disk){.name = name, .file = equals + 1};
    options->disk_count++;
    name = NULL;
out:
    memory_free(name);
    return st;
}

static enum status take_option(struct options *options, int option, struct error *err)
{
    switch (option) {
    case OPTION_COORDINATOR:
        options->coordinator = optarg;
        return STATUS_OK;
    case OPTION_TLS:
        options->tls = optarg;
        return STATUS_OK;
    case OPTION_DISK:
        return add_disk(options, optarg, err);
    case OPTION_MEMORY:
        return program_parse_number("--memory", optarg, OPTIONS_MEMORY_MIB_MIN,
                                    OPTIONS_MEMORY_MIB_MAX, &options->memory_mib, err);
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

/* HOST:PORT, [HOST]:PORT. */
static enum status check_address(const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;

    if (colon == NULL || colon == text || !text_parse_u64(colon + 1, &port) || port == 0 ||
        port > UINT16_MAX)
        return error_set(err, STATUS_INVALID, "--coordinator %.300s is not HOST:PORT", text);
    return STATUS_OK;
}

/* Is there all that `run` needs? */
static enum status check_run(const struct options *options, int argc, char **argv,
                             struct error *err)
{
    if (optind == argc)
        return error_set(err, STATUS_INVALID, "no command; --help tells which there are");
    if (strcmp(argv[optind], "run") != 0 || optind + 1 != argc)
        return error_set(err, STATUS_INVALID, "unknown command %.64s; --help tells which there are",
                         strcmp(argv[optind], "run") != 0 ? argv[optind] : argv[optind + 1]);
    if (options->coordinator == NULL)
        return error_set(err, STATUS_INVALID, "--coordinator HOST:PORT is missing");
    if (options->tls == NULL)
        return error_set(err, STATUS_INVALID, "--tls DIR is missing");
    if (options->disk_count == 0)
        return error_set(err, STATUS_INVALID, "--disk NAME=FILE is missing");
    return check_address(options->coordinator, err);
}

enum status options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {.command = OPTIONS_RUN,
                              .memory_mib = OPTIONS_MEMORY_MIB_DEFAULT,
                              .format = LOG_TEXT,
                              .level = LOG_INFO};
    enum status st = STATUS_OK;
    int option = 0;

    optind = 1;
    /* ':' first: getopt() itself prints nothing. */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): main()'s thread only, as the header says */
    while (st == STATUS_OK && (option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (option == ':')
            st = error_set(err, STATUS_INVALID, "option %.64s wants a value", argv[optind - 1]);
        else if (option == '?' && optopt > 0 && optopt < OPTION_COORDINATOR) /* a letter */
            st = error_set(err, STATUS_INVALID, "unknown option -%c; --help tells which there are",
                           optopt);
        else if (option == '?')
            st = error_set(err, STATUS_INVALID,
                           "unknown option %.64s; --help tells which there are", argv[optind - 1]);
        else
            st = take_option(&options, option, err);
    }
    if (st == STATUS_OK && options.command == OPTIONS_RUN)
        st = check_run(&options, argc, argv, err);
    if (st != STATUS_OK || options.command != OPTIONS_RUN)
        options_deinit(&options);
    if (st != STATUS_OK)
        return st;
    *ret_options = options;
    return STATUS_OK;
}

void options_deinit(struct options *options)
{
    for (size_t i = 0; i < options->disk_count; i++)
        memory_free(options->disks[i].name);
    memory_free(options->disks);
    options->disks = NULL;
    options->disk_count = 0;
}
