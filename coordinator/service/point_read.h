/* coordinator/service/point_read.h: what a restore point is, read from the store: envelope, body, and the statement in it. Thread: the
 * store's. */
#ifndef COORDINATOR_SERVICE_POINT_READ_H
#define COORDINATOR_SERVICE_POINT_READ_H

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/store.h"
#include "format/manifest.h"
#include "format/statement.h"

/* Zeroed before use; released by point_content_deinit(). */
struct point_content {
    struct envelope envelope;
    struct buffer body;                   /* as it is stored */
    struct signed_slice signed_statement; /* points into BODY */
    struct statement statement;
};

/* Reads what ENVELOPE names, and checks that its ids are right and that envelope and statement say the same. The
 * signature is not checked here. STATUS_CORRUPT, STATUS_NOT_FOUND: something of it is damaged or missing. */
NODISCARD enum status point_read(struct store *store, const struct ref *envelope,
                                 struct point_content *ret_content, struct error *err);
void point_content_deinit(struct point_content *content); /* any thread; zeroed is fine */

/* What an incremental backup goes on from. */
struct parent {
    struct id point;
    struct id root;                       /* of its one disk */
    struct buffer body;                   /* of the point */
    struct buffer tracking;               /* the signed tracking record */
    struct signed_slice signed_statement; /* point into these */
    struct signed_slice signed_tracking;
};

/* The point that the newest tracking record of VM names; *ret_parent is the caller's (parent_free). STATUS_NOT_FOUND: there is none.
 * Others: there is one that cannot be read. */
NODISCARD enum status parent_read(struct store *store, const struct random_id *vm,
                                  struct parent **ret_parent, struct error *err);
void parent_free(struct parent *parent); /* any thread; NULL is fine */

#endif
