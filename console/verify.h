/* console/verify.h: the command `tidemark verify`. */
#ifndef CONSOLE_VERIFY_H
#define CONSOLE_VERIFY_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"

/* Has a point, or all, proved; prints each finding as it comes, then a summary. STATUS_OK: it came to an
 * end, with *ret_findings. */
NODISCARD enum status verify_run(const struct command *command, uint64_t *ret_findings,
                                 struct error *err);

#endif
