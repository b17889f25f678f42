/* recover/run.h: one command from its options to its end. Thread: main's; blocks. */
#ifndef RECOVER_RUN_H
#define RECOVER_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "recover/options.h"

/* What it says, and where. Borrowed. */
struct run_world {
    FILE *out;
    FILE *err;
    bool terminal; /* ERR is one */
};

/* *RET_DAMAGE: it is done, and something is damaged or missing. STATUS_CORRUPT: it is not done, for that reason. */
NODISCARD enum status run_command(const struct options *options, const struct run_world *world,
                                  bool *ret_damage, struct error *err);

#endif
