/* console/command.h: what every command runs with. */
#ifndef CONSOLE_COMMAND_H
#define CONSOLE_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/loop.h"
#include "console/client.h"
#include "console/options.h"
#include "console/progress.h"

/* A value; all is borrowed. Thread: the loop's. */
struct command {
    struct loop *loop;
    struct client *client;
    const struct clock_source *clock;
    const struct options *options;
    FILE *out;      /* results */
    FILE *progress; /* how far it is */
    bool terminal;  /* a person looks at PROGRESS */
};

/* The progress that suits COMMAND. It counts from now on. */
struct progress command_progress(const struct command *command);

/* Has everything that was printed to COMMAND's OUT gone out? A failure: it has not, and a reader would take
 * half a result for a whole one. */
NODISCARD enum status command_flush(const struct command *command, struct error *err);

#endif
