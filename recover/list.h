/* recover/list.h: restore points for a person and as JSON; and whether all blocks of their disks are there. Thread: main's;
 * blocks. */
#ifndef RECOVER_LIST_H
#define RECOVER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "recover/points.h"
#include "recover/teller.h"
#include "recover/things.h"

/* What of a point's disks and files is not there, by the table of records; zeroed at first. */
struct list_depth {
    uint64_t nodes;                 /* lost ones */
    uint64_t blocks;                /* that no pack has */
    uint64_t bytes;                 /* that cannot be had because of these, and of lost roots */
    uint64_t first_lost;            /* offset of the first of them in its disk; if bytes is not 0 */
    size_t first_item;              /* and which disk or file */
    char reason[POINT_REASON_SIZE]; /* of that */
};

/* Reads all nodes of POINT and asks for each block whether a pack has it. Fails for this machine's trouble only. */
NODISCARD enum status list_measure(struct things *things, struct teller *teller,
                                   const struct point *point, struct list_depth *ret_depth,
                                   struct error *err);

/* All borrowed. */
struct list_options {
    const struct points *points;
    struct things *things;
    struct teller *teller;
    const size_t *only; /* the one to list; NULL: all */
    bool json;
    bool deep;
    FILE *out;
};

/* *RET_WHOLE: of every point that counts (purged ones do not) all is there, as far as it was looked for. */
NODISCARD enum status list_points(const struct list_options *options, bool *ret_whole,
                                  struct error *err);

#endif
