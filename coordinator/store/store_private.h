/* coordinator/store/store_private.h: what the files that fill store.h share: store.c (making, opening, rebuilding, closing),
 * store_records.c, store_points.c, store_tasks.c, store_domains.c, store_rollback.c, store_status.c. For these only. Thread:
 * the store's. */
#ifndef COORDINATOR_STORE_STORE_PRIVATE_H
#define COORDINATOR_STORE_STORE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/domains.h"
#include "coordinator/store/log_head.h"
#include "coordinator/store/log_state.h"
#include "coordinator/store/records.h"
#include "coordinator/store/recovery.h"
#include "coordinator/store/store.h"
#include "coordinator/store/store_log.h"
#include "format/log_body.h"

/* A head that the log lacks. */
struct store_rollback {
    bool pending; /* not yet in the log: for want of space */
    bool noted;   /* the log says so; it may lack the space */
    struct log_rollback head;
};

struct store {
    struct store_options options;
    struct fs_file *lock;
    struct repository repository;
    struct keys *keys;
    struct codec_context *codec;
    struct domains domains;
    struct records *records; /* NULL: a rebuild has failed */
    struct store_log *log;
    struct log_head *head; /* NULL: it cannot be written */
    struct log_state *state;
    struct store_rollback rollback;
    struct recovery_result found; /* at the start, or in the last rebuild */
    uint64_t generation;          /* of all records before these */
    uint64_t appended;
    uint64_t next; /* sequences [NEXT, END) of the log's space are reserved, and ours */
    uint64_t end;
    struct buffer packed; /* scratch */
    struct buffer record;
};

/* STATUS_UNAVAILABLE: a rebuild has failed. */
NODISCARD enum status store_require_records(const struct store *store, struct error *err);

/* Writes and syncs an entry, lets the state know, and now and then writes a summary. After a failure nothing has changed. */
NODISCARD enum status store_write_entry(struct store *store, enum log_entry_type type,
                                        const struct buffer *body, struct error *err);

/* Is what REF names here in DOMAIN? STATUS_ABORTED: WHAT is not: a sync that failed has taken it away. */
NODISCARD enum status store_require_ref(struct store *store, const struct store_domain *domain,
                                        const struct ref *ref, const char *what, struct error *err);

/* Compares the log with the head that the file `head` knows, and logs what it found; from then on the file is written. Before
 * anything else is written to the log. Without space the log gets its entries before the next one (store_settle_rollback()). */
NODISCARD enum status store_find_rollback(struct store *store, struct error *err);

/* A roll-back that was found is in the log, and numbers come from a new space. */
NODISCARD enum status store_settle_rollback(struct store *store, struct error *err);

#endif
