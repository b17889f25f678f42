/* agent/options.h: what `tidemark-agent` is told on its command line. Pure. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"

enum {
    OPTIONS_DISKS_MAX = 1000,
    OPTIONS_DISK_NAME_MAX = 255, /* bytes */
    OPTIONS_MEMORY_MIB_DEFAULT = 128,
    OPTIONS_MEMORY_MIB_MIN = 16,
    OPTIONS_MEMORY_MIB_MAX = 1024 * 1024,
};

enum options_command { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options_disk {
    char *name; /* owned */
    const char *file;
};

struct options {
    enum options_command command; /* what follows is set for OPTIONS_RUN */
    const char *coordinator;      /* HOST:PORT */
    const char *tls;              /* the folder of the credentials */
    struct options_disk *disks;   /* owned */
    size_t disk_count;
    uint64_t memory_mib;
    uint64_t workers; /* 0: as many as the machine has processors */
    enum log_format format;
    enum log_level level;
};

extern const char options_help[];

/* Borrows from ARGV. STATUS_INVALID: one sentence that says what is wrong. Not thread-safe: getopt() keeps its
 * place in the process. */
NODISCARD enum status options_parse(int argc, char **argv, struct options *ret_options,
                                    struct error *err);
void options_deinit(struct options *options); /* zeroed is fine */

#endif
