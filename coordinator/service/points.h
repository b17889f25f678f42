/* coordinator/service/points.h: the restore points as consoles list them, in the order of the log: a cache that grows with
 * it. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_POINTS_H
#define COORDINATOR_SERVICE_POINTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/service/exchange.h"
#include "coordinator/store/store.h"
#include "format/id.h"
#include "format/statement.h"

struct point_info {
    struct ref envelope; /* its id is the point's */
    uint64_t sequence;   /* of its log entry */
    int64_t time_us;     /* as its host said; of its log entry where that cannot be read */
    uint64_t size;       /* of all its disks */
    char host[STATEMENT_NAME_SIZE];
    char disk[STATEMENT_NAME_SIZE]; /* the VM's name */
    char consistency[16]; /* "damaged": its manifest cannot be read; names are empty then */
    char reason[STATEMENT_REASON_SIZE];
};

/* What is listed of a point whose statement is STATEMENT. */
void point_info_of(const struct store_point *point, const struct statement *statement,
                   struct point_info *ret_info);

struct points;

NODISCARD enum status points_new(struct points **ret_points, struct error *err);
void points_free(struct points *points); /* NULL is fine */

/* A wish to know all points that are committed by now; zeroed, the caller's memory, in its EXCHANGE until done(). */
struct points_update {
    struct job job; /* first; this module's, as is what follows up to FOUND_COUNT */
    void (*done)(struct points_update *update, enum status status, const struct error *err);
    size_t known;
    struct point_info *found;
    size_t found_count;
};

/* DONE comes once, on the loop, unless EXCHANGE is not live any more by then. */
void points_update_start(struct points *points, struct exchange *exchange,
                         struct points_update *update,
                         void (*done)(struct points_update *update, enum status status,
                                      const struct error *err));

/* All that are known, ascending by sequence; good until the loop's next turn. */
const struct point_info *points_known(const struct points *points, size_t *ret_count);

/* The point whose id begins with the hexadecimal digits TEXT. STATUS_INVALID: not 6 to 64 such digits, or several points
 * begin so: two of them are named. STATUS_NOT_FOUND. */
NODISCARD enum status points_resolve(const struct points *points, const char *text,
                                     const struct point_info **ret_point, struct error *err);

#endif
