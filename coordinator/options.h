/* coordinator/options.h: what `tidemark-coordinator` is told on its command line. Pure. */
#ifndef COORDINATOR_OPTIONS_H
#define COORDINATOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"

enum options_command {
    OPTIONS_INIT,
    OPTIONS_RUN,
    OPTIONS_KEY_CONFIRM,
    OPTIONS_KEY_EXPORT,
    OPTIONS_KEY_CHANGE_PASSPHRASE,
    OPTIONS_HELP,
    OPTIONS_VERSION,
};

/* What a command does not take is NULL, false or 0. */
struct options {
    enum options_command command;
    const char *data;
    const char *key;
    const char *kit;
    const char *passphrase_file;
    const char *new_passphrase_file;
    const char *agents_ca;
    bool no_passphrase;
    bool kit_anywhere;
    const char *tls; /* this and what follows for OPTIONS_RUN */
    const char *agents;
    const char *consoles;
    uint64_t workers; /* 0: as many as the machine has processors */
    enum log_format format;
    enum log_level level;
};

extern const char options_help[];

/* Borrows from ARGV. STATUS_INVALID: one sentence that says what is wrong. Not thread-safe: getopt() keeps its place in the
 * process. */
NODISCARD enum status options_parse(int argc, char **argv, struct options *ret_options,
                                    struct error *err);

#endif
