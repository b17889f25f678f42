/* console/backup.h: the command `tidemark backup`. */
#ifndef CONSOLE_BACKUP_H
#define CONSOLE_BACKUP_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

/* Starts a backup, shows how far it is, and prints the new point with all counts. client_stop() cancels the
 * backup. */
NODISCARD enum status backup_run(const struct command *command, struct error *err);

#endif
