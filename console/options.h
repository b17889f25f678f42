/* console/options.h: what the command line and the environment ask for. Thread: main's, one at a time:
 * getopt_long() keeps its state in the process. */
#ifndef CONSOLE_OPTIONS_H
#define CONSOLE_OPTIONS_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/id.h"

enum options_command {
    OPTIONS_NO_COMMAND,
    OPTIONS_BACKUP,
    OPTIONS_LIST,
    OPTIONS_EXPORT,
    OPTIONS_VERIFY,
    OPTIONS_REPOSITORY_STATUS,
    OPTIONS_REPOSITORY_REBUILD,
    OPTIONS_REPOSITORY_CHECK,
};

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Texts are borrowed from the command line and the environment. */
struct options {
    enum options_action action;
    enum options_command command; /* OPTIONS_HELP: may be none */
    const char *coordinator;      /* HOST:PORT */
    const char *tls;              /* folder */
    const char *disk;             /* backup */
    const char *host;             /* backup; "": whichever has the disk */
    const char *file;             /* export */
    char point[ID_TEXT_SIZE];     /* export; verify, "": all. 6 digits at least, lower case */
    bool json;
    bool force;
    bool keyless; /* repository check */
};

/* What stands in where the command line says nothing; NULL: nothing does. */
struct options_defaults {
    const char *coordinator;
    const char *tls;
};

/* STATUS_INVALID with a sentence that names what is wrong and where help is. ARGV may be reordered. */
NODISCARD enum status options_parse(int argc, char **argv, const struct options_defaults *defaults,
                                    struct options *ret_options, struct error *err);

/* What --help prints for COMMAND, or for the program. */
const char *options_help(enum options_command command);

#endif
