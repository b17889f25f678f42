/* recover/log_sum.h: what a log says of restore points: of the newest summary that is whole and what stands behind it, or, where
 * there is none, of all that is left. Thread: main's; blocks. */
#ifndef RECOVER_LOG_SUM_H
#define RECOVER_LOG_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/id.h"
#include "format/keys.h"
#include "recover/teller.h"

/* A point as the log has it. */
struct log_sum_point {
    struct random_id task;
    struct random_id domain;
    struct ref envelope;
    bool there; /* false: only what was said of it is known, such as that it was purged */
    bool purged;
    bool trashed;
    bool held;
    int64_t trash_until_us; /* lock time; if trashed */
    int64_t lock_until_us;  /* lock time; 0: never locked */
};

/* How much of a pack the log calls durable. */
struct log_sum_pack {
    struct random_id name;
    uint64_t synced;
};

struct log_sum {
    struct log_sum_point *points; /* in the order in which they were committed */
    size_t point_count;
    struct log_sum_pack *packs; /* by name */
    size_t pack_count;
    uint64_t segments; /* 0: there is no log */
    uint64_t entries;  /* that were believed */
};

/* Goes on whatever is damaged, with a warning. Fails for want of memory. */
NODISCARD enum status log_sum_read(struct fs *fs, const struct keys *keys, struct teller *teller,
                                   struct log_sum *ret_sum, struct error *err);
void log_sum_deinit(struct log_sum *sum); /* zeroed is fine */

/* Bytes of the pack NAME that the log calls durable; 0: it does not speak of it. */
uint64_t log_sum_synced(const struct log_sum *sum, const struct random_id *name);

#endif
