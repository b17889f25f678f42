/* console/repository_check.h: the command `tidemark repository check`. */
#ifndef CONSOLE_REPOSITORY_CHECK_H
#define CONSOLE_REPOSITORY_CHECK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

/* Has the whole repository read and proved; prints what is damaged, what that costs, and what to do. STATUS_OK: it came to an
 * end; *ret_findings is not 0 where something must be done. */
NODISCARD enum status repository_check_run(const struct command *command, uint64_t *ret_findings,
                                           struct error *err);

#endif
