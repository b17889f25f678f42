/* recover/teller.h: what is found wrong on the way, said at once and counted: one sentence each, on standard error. Logging.
 * Thread: main's. */
#ifndef RECOVER_TELLER_H
#define RECOVER_TELLER_H

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "recover/show.h"

struct teller {
    FILE *out;
    struct show_progress progress; /* a warning does not run into its line */
    uint64_t warnings;             /* said so far */
};

/* "tidemark-recover: warning: ..." */
PRINTF_LIKE(2, 3) void teller_warn(struct teller *teller, const char *format, ...);

#endif
