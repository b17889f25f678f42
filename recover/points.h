/* recover/points.h: every restore point that log or packs know of, with all that can be said of it without reading its disks. Thread:
 * main's; blocks. */
#ifndef RECOVER_POINTS_H
#define RECOVER_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/disk_root.h"
#include "format/manifest.h"
#include "format/statement.h"
#include "recover/log_sum.h"
#include "recover/packs.h"
#include "recover/teller.h"
#include "recover/things.h"

/* Published, in JSON. */
enum point_state {
    POINT_LIVE,
    POINT_LOCKED, /* live, and deleted by nobody: a lock or a hold */
    POINT_TRASH,  /* deleted, its grace not over or not acted upon */
    POINT_PURGED, /* given up; what is left of it goes with the next collection */
    POINT_NOT_IN_LOG, /* an envelope that no entry names: the log is damaged, or the backup was never committed */
};

enum { POINT_REASON_SIZE = 256 };

/* One disk or file of a point. */
struct point_item {
    struct ref root_ref;
    uint64_t size; /* bytes */
    struct disk_root root;
    char name[STATEMENT_NAME_SIZE]; /* empty: not known, its body is lost */
    char lost[POINT_REASON_SIZE];   /* why its root is not there */
    bool is_file;
    bool there; /* its root was read */
};

struct point {
    int64_t lock_until_us;  /* lock time; 0: no lock */
    int64_t trash_until_us; /* lock time; POINT_TRASH */
    struct ref envelope_ref;
    struct random_id task; /* if it is known */
    struct random_id domain;
    enum point_state state;
    enum consistency consistency; /* with a body, as are host and vm_name: as stated */
    struct random_id vm;          /* with an envelope, as is what follows */
    int64_t time_us;
    struct point_item *items; /* disks first */
    size_t disk_count;
    size_t item_count;
    char host[STATEMENT_NAME_SIZE];
    char vm_name[STATEMENT_NAME_SIZE];
    char doubt[POINT_REASON_SIZE]; /* why it is not proved */
    char lost[POINT_REASON_SIZE];  /* why envelope or body are not there */
    bool task_known;               /* by the log, or by the body */
    bool envelope_there;
    bool body_there;
    bool proved; /* signed by that host, for which the CA vouches */
};

struct points {
    struct point *rows; /* in the log's order, then those that are not in it, by time */
    size_t count;
};

/* All borrowed. */
struct points_options {
    struct things *things;
    const struct packs *packs;
    const struct log_sum *log;
    const struct random_id *repository; /* NULL: not known */
    const char *agents_ca;              /* PEM; NULL: none, nothing is proved */
    struct teller *teller;
};

/* STATUS_EXHAUSTED: no memory. What is lost is said in the points. */
NODISCARD enum status points_read(const struct points_options *options, struct points *ret_points,
                                  struct error *err);
void points_deinit(struct points *points); /* zeroed is fine */

/* Are envelope, body and all roots there? */
bool point_quick_whole(const struct point *point);

/* "live", "locked", "trash", "purged", "not in the log". */
const char *point_state_text(enum point_state state);

/* Its task's digits; its envelope's, if the task is not known. */
void point_id_text(const struct point *point, char text[ID_TEXT_SIZE]);

#endif
