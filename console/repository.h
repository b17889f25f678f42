/* console/repository.h: the commands `tidemark repository status` and `tidemark repository rebuild`. */
#ifndef CONSOLE_REPOSITORY_H
#define CONSOLE_REPOSITORY_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

NODISCARD enum status repository_status_run(const struct command *command, struct error *err);

/* Has all caches made anew, and prints how the repository stands then. */
NODISCARD enum status repository_rebuild_run(const struct command *command, struct error *err);

#endif
