/* coordinator/options.h: what `tidemark-coordinator` is told on its command line. Pure. */
#ifndef COORDINATOR_OPTIONS_H
#define COORDINATOR_OPTIONS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"

enum { OPTIONS_WORKERS_MAX = 64 };

enum options_command { OPTIONS_INIT, OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
    enum options_command command;
    const char *data;
    const char *key_file;
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
