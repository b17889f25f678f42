#include "console/options.h"

#include <getopt.h>
#include <string.h>

enum { POINT_DIGITS_MIN = 6 };

/* Options as bits: which were given, which a command takes. */
enum {
    TAKES_HOST = 1,
    TAKES_JSON = 2,
    TAKES_FORCE = 4,
    TAKES_KEYLESS = 8,
};

struct command_row {
    const char *name;
    enum options_command command;
    unsigned takes;
    int words_min; /* behind the name */
    int words_max;
    const char *words;
};

static const struct command_row commands[] = {
    {"backup", OPTIONS_BACKUP, TAKES_HOST | TAKES_JSON, 1, 1, "DISK"},
    {"list", OPTIONS_LIST, TAKES_JSON, 0, 0, "nothing"},
    {"export", OPTIONS_EXPORT, TAKES_FORCE, 2, 2, "POINT FILE"},
    {"verify", OPTIONS_VERIFY, TAKES_JSON, 0, 1, "at most one POINT"},
    {"repository status", OPTIONS_REPOSITORY_STATUS, TAKES_JSON, 0, 0, "nothing"},
    {"repository rebuild", OPTIONS_REPOSITORY_REBUILD, 0, 0, 0, "nothing"},
    {"repository check", OPTIONS_REPOSITORY_CHECK, TAKES_JSON | TAKES_KEYLESS, 0, 0, "nothing"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

enum option_value {
    OPTION_COORDINATOR = 256, /* above all letters */
    OPTION_TLS,
    OPTION_HOST,
    OPTION_JSON,
    OPTION_FORCE,
    OPTION_KEYLESS,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"coordinator", required_argument, NULL, OPTION_COORDINATOR},
    {"tls", required_argument, NULL, OPTION_TLS},
    {"host", required_argument, NULL, OPTION_HOST},
    {"json", no_argument, NULL, OPTION_JSON},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"keyless", no_argument, NULL, OPTION_KEYLESS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help_program[] =
    "Usage: tidemark [--coordinator HOST:PORT] [--tls DIR] COMMAND\n"
    "\n"
    "Commands:\n"
    "  backup DISK [--host HOST] [--json]  back up a disk of a host\n"
    "  list [--json]                       list the restore points, newest first\n"
    "  export POINT FILE [--force]         write a restore point's disk into a file\n"
    "  verify [POINT] [--json]             prove that points can be read back\n"
    "  repository status [--json]          what is there, how much, since when not proved\n"
    "  repository rebuild                  make all caches anew from packs and log\n"
    "  repository check [--keyless] [--json]  read everything once, and say what is damaged\n"
    "\n"
    "Options:\n"
    "  --coordinator HOST:PORT  the coordinator's address for consoles (or TIDEMARK_COORDINATOR)\n"
    "  --tls DIR                folder with ca.pem, cert.pem, key.pem and agents-ca.pem (or\n"
    "                           TIDEMARK_TLS)\n"
    "  --help                   this text; behind a command: about that command\n"
    "  --version                the version of this program\n"
    "\n"
    "POINT is the beginning of a point's id, 6 digits at least, as `tidemark list` shows it.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong use, 3 verify or repository check found damage, 4 the\n"
    "coordinator cannot be reached.\n";

static const char help_backup[] =
    "Usage: tidemark backup DISK [--host HOST] [--json]\n"
    "\n"
    "Backs up the disk that an agent serves under the name DISK, and waits for it. Ctrl-C cancels the\n"
    "backup.\n"
    "\n"
    "  --host HOST  the host that has the disk; needed where several hosts have one of that name\n"
    "  --json       no progress; at the end one JSON object with the new point and all counts\n";

static const char help_list[] =
    "Usage: tidemark list [--json]\n"
    "\n"
    "Lists the restore points, newest first: the first 12 digits of the point's id, its time (UTC), host,\n"
    "disk, the disk's size, how consistent it is, and why the disk was read whole, if it was.\n"
    "\n"
    "  --json  one JSON array, with whole ids\n";

static const char help_export[] =
    "Usage: tidemark export POINT FILE [--force]\n"
    "\n"
    "Writes the disk as it was at POINT into FILE: as long as the disk, holes stay holes. The host's\n"
    "signature and every block are checked here. FILE appears when all of it is proved and safely on\n"
    "disk; until then it is FILE.part, which is removed if anything fails.\n"
    "\n"
    "  --force  replace FILE if it is there\n";

static const char help_verify[] =
    "Usage: tidemark verify [POINT] [--json]\n"
    "\n"
    "Reads everything that POINT (or every point) needs, and checks each sum, seal, id and signature.\n"
    "Prints a line for each finding. Exit code 3: damage was found.\n"
    "\n"
    "  --json  no progress; at the end one JSON object with the findings\n";

static const char help_repository_status[] =
    "Usage: tidemark repository status [--json]\n"
    "\n"
    "Says what the repository holds, how much that is, what is known to be wrong with it, and since when\n"
    "not all of it was proved.\n"
    "\n"
    "  --json  one JSON object\n";

static const char help_repository_rebuild[] =
    "Usage: tidemark repository rebuild\n"
    "\n"
    "Makes all caches anew from packs and log. No backup is lost by it. Uploads that run are aborted,\n"
    "and whatever else is asked of the repository waits until it is done. Ctrl-C does not stop it.\n";

static const char help_repository_check[] =
    "Usage: tidemark repository check [--keyless] [--json]\n"
    "\n"
    "Reads every byte of the repository once, says what is damaged, and which disk of which restore point\n"
    "loses what by it. Backups go on meanwhile. Exit code 3: there is damage, or the caches are wrong.\n"
    "\n"
    "  --keyless  prove blocks by their checksums alone, which costs less and finds all rot; otherwise also\n"
    "             by seal and id\n"
    "  --json     no progress; at the end one JSON object with all findings\n";

const char *options_help(enum options_command command)
{
    switch (command) {
    case OPTIONS_NO_COMMAND:
        break;
    case OPTIONS_BACKUP:
        return help_backup;
    case OPTIONS_LIST:
        return help_list;
    case OPTIONS_EXPORT:
        return help_export;
    case OPTIONS_VERIFY:
        return help_verify;
    case OPTIONS_REPOSITORY_STATUS:
        return help_repository_status;
    case OPTIONS_REPOSITORY_REBUILD:
        return help_repository_rebuild;
    case OPTIONS_REPOSITORY_CHECK:
        return help_repository_check;
    }
    return help_program;
}

/* One option, as getopt_long() gave it. WORD is where it stood. */
static enum status take_option(int option, const char *word, struct options *options,
                               unsigned *given, struct error *err)
{
    switch (option) {
    case OPTION_COORDINATOR:
        options->coordinator = optarg;
        return STATUS_OK;
    case OPTION_TLS:
        options->tls = optarg;
        return STATUS_OK;
    case OPTION_HOST:
        options->host = optarg;
        *given |= TAKES_HOST;
        return STATUS_OK;
    case OPTION_JSON:
        options->json = true;
        *given |= TAKES_JSON;
        return STATUS_OK;
    case OPTION_FORCE:
        options->force = true;
        *given |= TAKES_FORCE;
        return STATUS_OK;
    case OPTION_KEYLESS:
        options->keyless = true;
        *given |= TAKES_KEYLESS;
        return STATUS_OK;
    case OPTION_HELP:
        options->action = OPTIONS_HELP;
        return STATUS_OK;
    case OPTION_VERSION:
        options->action = OPTIONS_VERSION;
        return STATUS_OK;
    case ':':
        return error_set(err, STATUS_INVALID, "option %s wants a value; see tidemark --help", word);
    default: /* '?' */
        return error_set(err, STATUS_INVALID, "%s is no option of tidemark; see tidemark --help",
                         word);
    }
}

/* All options; what is none stands behind them in ARGV then, from *ret_first on. */
static enum status take_options(int argc, char **argv, struct options *options, unsigned *given,
                                int *ret_first, struct error *err)
{
    optind = 0; /* glibc: from the start, all state forgotten */
    opterr = 0; /* the sentences are ours */
    for (;;) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): main()'s thread only, as the header says */
        int option = getopt_long(argc, argv, ":", long_options, NULL);
        const char letter[] = {'-', (char)optopt, '\0'}; /* one of several in a word, perhaps */

        if (option == -1)
            break;

        bool is_letter = option == '?' && optopt > 0 && optopt < OPTION_COORDINATOR;
        enum status st =
            take_option(option, is_letter ? letter : argv[optind - 1], options, given, err);

        if (st != STATUS_OK)
            return st;
    }
    *ret_first = optind;
    return STATUS_OK;
}

/* The row whose name the first of COUNT words are: *ret_words of them. */
static const struct command_row *find_command(char **words, int count, int *ret_words)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t length = strcspn(commands[i].name, " ");
        bool two = commands[i].name[length] != '\0';

        if (strlen(words[0]) != length || strncmp(commands[i].name, words[0], length) != 0)
            continue;
        if (two && (count < 2 || strcmp(commands[i].name + length + 1, words[1]) != 0))
            continue;
        *ret_words = two ? 2 : 1;
        return &commands[i];
    }
    return NULL;
}

/* WORD is none, or only half of one. */
static enum status refuse_command(const char *word, struct error *err)
{
    if (strcmp(word, "repository") == 0)
        return error_set(err, STATUS_INVALID,
                         "repository wants status, rebuild or check; see tidemark --help");
    return error_set(err, STATUS_INVALID, "%s is no command of tidemark; see tidemark --help",
                     word);
}

static enum status take_point(const char *word, struct options *options, struct error *err)
{
    size_t length = strlen(word);

    if (length < POINT_DIGITS_MIN || length >= sizeof(options->point) ||
        strspn(word, "0123456789abcdefABCDEF") != length)
        return error_set(
            err, STATUS_INVALID,
            "%s is no point: write the first 6 or more hexadecimal digits of its id, as "
            "tidemark list shows it",
            word);
    for (size_t i = 0; i <= length; i++)
        options->point[i] =
            (char)(word[i] >= 'A' && word[i] <= 'F' ? word[i] - 'A' + 'a' : word[i]);
    return STATUS_OK;
}

static enum status take_words(const struct command_row *row, char **words, int count,
                              struct options *options, struct error *err)
{
    if (count < row->words_min || count > row->words_max)
        return error_set(err, STATUS_INVALID, "%s wants %s; see tidemark %s --help", row->name,
                         row->words, row->name);
    switch (row->command) {
    case OPTIONS_NO_COMMAND:
    case OPTIONS_LIST:
    case OPTIONS_REPOSITORY_STATUS:
    case OPTIONS_REPOSITORY_REBUILD:
    case OPTIONS_REPOSITORY_CHECK:
        break;
    case OPTIONS_BACKUP:
        options->disk = words[0];
        break;
    case OPTIONS_EXPORT:
        options->file = words[1];
        return take_point(words[0], options, err);
    case OPTIONS_VERIFY:
        if (count > 0)
            return take_point(words[0], options, err);
        break;
    }
    return STATUS_OK;
}

static enum status check_given(const struct command_row *row, unsigned given, struct error *err)
{
    static const struct {
        unsigned bit;
        const char *name;
    } rows[] = {{TAKES_HOST, "--host"},
                {TAKES_JSON, "--json"},
                {TAKES_FORCE, "--force"},
                {TAKES_KEYLESS, "--keyless"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((given & ~row->takes & rows[i].bit) != 0)
            return error_set(err, STATUS_INVALID, "%s takes no %s; see tidemark %s --help",
                             row->name, rows[i].name, row->name);
    return STATUS_OK;
}

static enum status check_reach(const struct options *options, struct error *err)
{
    if (options->coordinator == NULL || options->coordinator[0] == '\0')
        return error_set(err, STATUS_INVALID,
                         "which coordinator? Give --coordinator HOST:PORT, or set "
                         "TIDEMARK_COORDINATOR");
    if (options->tls == NULL || options->tls[0] == '\0')
        return error_set(err, STATUS_INVALID,
                         "which certificates? Give --tls DIR, or set TIDEMARK_TLS");
    return STATUS_OK;
}

enum status options_parse(int argc, char **argv, const struct options_defaults *defaults,
                          struct options *ret_options, struct error *err)
{
    struct options options = {.coordinator = defaults->coordinator,
                              .tls = defaults->tls,
                              .host = ""};
    const struct command_row *row = NULL;
    unsigned given = 0;
    int first = 0;
    int words = 0; /* of the command's name */
    enum status st = take_options(argc, argv, &options, &given, &first, err);

    if (st != STATUS_OK)
        return st;
    if (first < argc) {
        row = find_command(argv + first, argc - first, &words);
        if (row == NULL &&
            (options.action == OPTIONS_RUN || strcmp(argv[first], "repository") != 0))
            return refuse_command(argv[first], err);
        if (row != NULL)
            options.command = row->command;
    } else if (options.action == OPTIONS_RUN) {
        return error_set(err, STATUS_INVALID, "what shall be done? See tidemark --help");
    }
    if (options.action == OPTIONS_RUN) {
        st = check_given(row, given, err);
        if (st == STATUS_OK)
            st = take_words(row, argv + first + words, argc - first - words, &options, err);
        if (st == STATUS_OK)
            st = check_reach(&options, err);
    }
    if (st == STATUS_OK)
        *ret_options = options;
    return st;
}
