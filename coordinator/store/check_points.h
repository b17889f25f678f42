/* coordinator/store/check_points.h: the second part of a check: what points need. Walks the trees of all points, of those in the
 * trash too, and of partial trees; every reference of every node is held against what the first part has found in the packs. A
 * node below which all is well is walked once, however many points share it. Memory: the path of one tree, and one point's
 * manifest. Points that come to be meanwhile are not in it. Thread: the store's. */
#ifndef COORDINATOR_STORE_CHECK_POINTS_H
#define COORDINATOR_STORE_CHECK_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/check_found.h"
#include "coordinator/store/check_numbers.h"
#include "coordinator/store/check_strays.h"
#include "coordinator/store/store.h"
#include "format/disk_root.h"
#include "format/manifest.h"
#include "format/statement.h"
#include "format/tree.h"

/* What is walked: a point, or one disk of an unfinished backup. */
struct check_root {
    bool partial;
    struct random_id task;
    struct random_id domain;
    struct ref ref; /* its envelope, or disk root */
    int64_t time_us;
    bool trashed;
};

struct check_path; /* from a tree's top to where the walk is */

struct check_points {
    struct store *store; /* borrowed, as are the next three */
    struct check_numbers *numbers;
    struct check_strays *strays;
    struct check_found *found;
    struct check_root *roots;
    size_t count;

    size_t at; /* the root that is walked */
    bool open; /* its manifest is read */
    const struct store_domain *domain;
    struct envelope envelope;
    struct buffer body;
    struct statement statement; /* names; no disks where it cannot be read */
    unsigned disk;              /* of the envelope's disks and, behind them, files */
    bool walking;               /* it */
    struct disk_root root;
    struct check_hurt hurt; /* of it, so far */
    struct check_path *path;
    struct buffer stored; /* scratch */
    uint64_t nodes;       /* read */
    uint64_t
        uncached; /* things below which nothing could be walked, for want of memory while the caches are wrong */
    uint64_t hurt_points; /* of which something is lost; partial trees are none */
    bool hurt_this;       /* the one that is walked */
};

/* POINTS is zeroed but for what is borrowed. Call it before check_packs_init(): so whatever these points need is in those
 * packs. Pairs with check_points_deinit(), also after a failure. */
NODISCARD enum status check_points_init(struct check_points *points, struct error *err);
void check_points_deinit(struct check_points *points); /* any thread */

/* A short turn: some nodes; *ret_end: all points are walked. */
NODISCARD enum status check_points_step(struct check_points *points, bool *ret_end,
                                        struct error *err);

#endif
