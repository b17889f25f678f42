/* recover/options.h: what the command line asks for. Thread: main's, one at a time: getopt_long() keeps its state in the
 * process. */
#ifndef RECOVER_OPTIONS_H
#define RECOVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

enum options_command { OPTIONS_LIST, OPTIONS_EXTRACT, OPTIONS_CHECK };

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Texts are borrowed from the command line; NULL: not given. */
struct options {
    enum options_action action;
    enum options_command command;
    const char *kit; /* or key */
    const char *key;
    const char *passphrase_file;
    const char *agents_ca;
    const char *data;
    const char *point; /* list: may be NULL */
    const char *disk;  /* extract: one of disk, file, all */
    const char *file;
    const char *out; /* extract; "-": standard output */
    bool all;
    bool force;
    bool keep_going;
    bool json;
    bool deep;
    bool scan;
    uint64_t memory; /* MiB for the table of records; 0: not given */
};

/* STATUS_INVALID with a sentence that names what is wrong and where help is. ARGV may be reordered. */
NODISCARD enum status options_parse(int argc, char **argv, struct options *ret_options,
                                    struct error *err);

/* What --help prints. */
const char *options_help(void);

#endif
