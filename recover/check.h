/* recover/check.h: everything is read once and proved. Thread: main's; blocks. */
#ifndef RECOVER_CHECK_H
#define RECOVER_CHECK_H

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "recover/log_sum.h"
#include "recover/packs.h"
#include "recover/points.h"
#include "recover/teller.h"
#include "recover/things.h"

/* All borrowed. */
struct check_options {
    struct packs *packs;
    struct things *things;
    const struct log_sum *log;
    const struct points *points;
    const struct keys *keys;
    struct codec_context *codec;
    struct teller *teller;
    FILE *out;
};

/* A line to OUT for each finding: a record that is damaged, bytes that are none where the log knows of some, a point that lacks
 * something or is not proved; at the end one line that counts. *RET_FINDINGS. Fails for this machine's trouble only. */
NODISCARD enum status check_all(const struct check_options *options, uint64_t *ret_findings,
                                struct error *err);

#endif
