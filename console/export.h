/* console/export.h: the command `tidemark export`. */
#ifndef CONSOLE_EXPORT_H
#define CONSOLE_EXPORT_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

/* Writes a point's disk into a file (console/export_file.h), and says what it was. */
NODISCARD enum status export_run(const struct command *command, struct error *err);

#endif
