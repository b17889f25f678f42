/* console/list.h: the command `tidemark list`. */
#ifndef CONSOLE_LIST_H
#define CONSOLE_LIST_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

/* Prints all restore points, newest first, page by page as the coordinator gives them. */
NODISCARD enum status list_run(const struct command *command, struct error *err);

#endif
