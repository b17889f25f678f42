#include "recover/options.h"

#include <getopt.h>
#include <string.h>

#include "base/program.h"

enum { MEMORY_MIN = 1, MEMORY_MAX = 16 * 1024 * 1024 }; /* MiB */

enum option_value {
    OPTION_KIT = 256, /* above all letters */
    OPTION_KEY,
    OPTION_PASSPHRASE_FILE,
    OPTION_AGENTS_CA,
    OPTION_FILE,
    OPTION_ALL,
    OPTION_FORCE,
    OPTION_KEEP_GOING,
    OPTION_JSON,
    OPTION_DEEP,
    OPTION_SCAN,
    OPTION_MEMORY,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"kit", required_argument, NULL, OPTION_KIT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE},
    {"agents-ca", required_argument, NULL, OPTION_AGENTS_CA},
    {"file", required_argument, NULL, OPTION_FILE},
    {"all", no_argument, NULL, OPTION_ALL},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"keep-going", no_argument, NULL, OPTION_KEEP_GOING},
    {"json", no_argument, NULL, OPTION_JSON},
    {"deep", no_argument, NULL, OPTION_DEEP},
    {"scan", no_argument, NULL, OPTION_SCAN},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "Usage: tidemark-recover --kit FILE [OPTIONS] COMMAND\n"
    "\n"
    "Lists and extracts restore points from packs, log and recovery kit alone: no coordinator, no\n"
    "index, no network. Changes nothing in DATA.\n"
    "\n"
    "Commands:\n"
    "  list DATA [POINT] [--json] [--deep]\n"
    "      the restore points; whether all that they need is there: their metadata, or with --deep\n"
    "      every block of every disk\n"
    "  extract DATA POINT DISK -o OUT       a disk, raw and sparse; OUT may be - for standard output\n"
    "  extract DATA POINT --file NAME -o OUT\n"
    "                                       a file of the VM's configuration\n"
    "  extract DATA POINT --all -o DIR      all of them into the folder DIR\n"
    "      [--keep-going]  what is lost becomes zeros, and OUT.missing says where\n"
    "      [--force]       replaces what is there\n"
    "  check DATA          reads everything, proves it, and names what is bad\n"
    "\n"
    "Options:\n"
    "  --kit FILE              the recovery kit\n"
    "  --key FILE              or: a key file, plain or wrapped\n"
    "  --passphrase-file FILE  the passphrase of the kit or key; else it is asked for\n"
    "  --agents-ca FILE        the CA by which hosts were known (PEM), where the kit has none\n"
    "  --scan                  read each pack record by record, also where it has an index: slower, and\n"
    "                          finds what an index does not name\n"
    "  --memory MIB            for the table of records; half of the machine's if not given\n"
    "  --help, --version\n"
    "\n"
    "POINT is the first 6 or more digits of its id, or VM@TIME with the beginning of the time as `list`\n"
    "shows it, or VM@latest. DISK and NAME are a name or a number that `list` shows.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong use, 3 damage, or something is missing.\n";

const char *options_help(void)
{
    return help;
}

/* What takes a value. False: OPTION does not. */
static bool take_text(int option, struct options *options)
{
    switch (option) {
    case OPTION_KIT:
        options->kit = optarg;
        return true;
    case OPTION_KEY:
        options->key = optarg;
        return true;
    case OPTION_PASSPHRASE_FILE:
        options->passphrase_file = optarg;
        return true;
    case OPTION_AGENTS_CA:
        options->agents_ca = optarg;
        return true;
    case OPTION_FILE:
        options->file = optarg;
        return true;
    case 'o':
        options->out = optarg;
        return true;
    default:
        return false;
    }
}

static bool take_switch(int option, struct options *options)
{
    switch (option) {
    case OPTION_ALL:
        options->all = true;
        return true;
    case OPTION_FORCE:
        options->force = true;
        return true;
    case OPTION_KEEP_GOING:
        options->keep_going = true;
        return true;
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_DEEP:
        options->deep = true;
        return true;
    case OPTION_SCAN:
        options->scan = true;
        return true;
    case OPTION_HELP:
        options->action = OPTIONS_HELP;
        return true;
    case OPTION_VERSION:
        options->action = OPTIONS_VERSION;
        return true;
    default:
        return false;
    }
}

/* One option, as getopt_long() gave it. WORD is where it stood. */
static enum status take_option(int option, const char *word, struct options *options,
                               struct error *err)
{
    if (take_text(option, options) || take_switch(option, options))
        return STATUS_OK;
    if (option == OPTION_MEMORY)
        return program_parse_number("--memory", optarg, MEMORY_MIN, MEMORY_MAX, &options->memory,
                                    err);
    if (option == ':')
        return error_set(err, STATUS_INVALID,
                         "option %s wants a value; see tidemark-recover --help", word);
    return error_set(err, STATUS_INVALID,
                     "%s is no option of tidemark-recover; see tidemark-recover --help", word);
}

/* All options; what is none stands behind them in ARGV then, from *ret_first on. */
static enum status take_options(int argc, char **argv, struct options *options, int *ret_first,
                                struct error *err)
{
    optind = 0; /* glibc: from the start, all state forgotten */
    opterr = 0; /* the sentences are ours */
    for (;;) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): main()'s thread only, as the header says */
        int option = getopt_long(argc, argv, ":o:", long_options, NULL);
        const char letter[] = {'-', (char)optopt, '\0'}; /* one of several in a word, perhaps */

        if (option == -1)
            break;

        bool is_letter = option == '?' && optopt > 0 && optopt < OPTION_KIT;
        enum status st = take_option(option, is_letter ? letter : argv[optind - 1], options, err);

        if (st != STATUS_OK)
            return st;
    }
    *ret_first = optind;
    return STATUS_OK;
}

static enum status check_extract(const struct options *options, struct error *err)
{
    int what = (options->disk != NULL) + (options->file != NULL) + (options->all ? 1 : 0);

    if (what != 1)
        return error_set(
            err, STATUS_INVALID,
            "extract wants one of DISK, --file NAME and --all; see tidemark-recover --help");
    if (options->out == NULL)
        return error_set(err, STATUS_INVALID,
                         "extract where to? Give -o OUT; see tidemark-recover --help");
    if (options->all && strcmp(options->out, "-") == 0)
        return error_set(err, STATUS_INVALID,
                         "--all wants a folder: several disks are no one stream");
    return STATUS_OK;
}

/* Options that another command takes. */
static enum status check_strangers(const struct options *options, struct error *err)
{
    bool of_extract = options->file != NULL || options->all || options->out != NULL ||
                      options->force || options->keep_going;
    bool of_list = options->json || options->deep;

    if (of_extract && options->command != OPTIONS_EXTRACT)
        return error_set(err, STATUS_INVALID,
                         "--file, --all, -o, --force and --keep-going are for extract; see "
                         "tidemark-recover --help");
    if (of_list && options->command != OPTIONS_LIST)
        return error_set(err, STATUS_INVALID,
                         "--json and --deep are for list; see tidemark-recover --help");
    return STATUS_OK;
}

static enum status take_words(char **words, int count, struct options *options, struct error *err)
{
    static const struct {
        const char *name;
        enum options_command command;
        int most;
        int least;
        const char *wants;
    } rows[] = {{"list", OPTIONS_LIST, 2, 1, "DATA and perhaps a POINT"},
                {"extract", OPTIONS_EXTRACT, 3, 2, "DATA, POINT and DISK, --file NAME or --all"},
                {"check", OPTIONS_CHECK, 1, 1, "DATA"}};

    if (count == 0)
        return error_set(err, STATUS_INVALID, "what shall be done? See tidemark-recover --help");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(words[0], rows[i].name) != 0)
            continue;
        if (count - 1 < rows[i].least || count - 1 > rows[i].most)
            return error_set(err, STATUS_INVALID, "%s wants %s; see tidemark-recover --help",
                             rows[i].name, rows[i].wants);
        options->command = rows[i].command;
        options->data = words[1];
        options->point = count > 2 ? words[2] : NULL;
        options->disk = count > 3 ? words[3] : NULL;
        return STATUS_OK;
    }
    return error_set(err, STATUS_INVALID,
                     "%s is no command of tidemark-recover; see tidemark-recover --help", words[0]);
}

enum status options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {.action = OPTIONS_RUN};
    int first = 0;
    enum status st = take_options(argc, argv, &options, &first, err);

    if (st == STATUS_OK && options.action == OPTIONS_RUN) {
        st = take_words(argv + first, argc - first, &options, err);
        if (st == STATUS_OK)
            st = check_strangers(&options, err);
        if (st == STATUS_OK && options.command == OPTIONS_EXTRACT)
            st = check_extract(&options, err);
        if (st == STATUS_OK && (options.kit == NULL) == (options.key == NULL))
            st = error_set(err, STATUS_INVALID,
                           "give one of --kit FILE and --key FILE; see tidemark-recover --help");
    }
    if (st == STATUS_OK)
        *ret_options = options;
    return st;
}
