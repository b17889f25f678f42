#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "coordinator/store/store_private.h"

/* --- the log ----------------------------------------------------------------------------------- */

struct store_head store_head(const struct store *store)
{
    return (struct store_head){
        .writer = *store_log_writer(store->log),
        .sequence = store_log_sequence(store->log),
        .hash = *store_log_hash(store->log),
    };
}

static void summarize(struct store *store)
{
    struct error err = {0};

    if (!store_log_wants_summary(store->log, store->options.summary_every))
        return;
    if (store_log_summarize(store->log, store->state, clock_wall_us(store->options.clock), &err) !=
        STATUS_OK)
        log_warning(store->options.log, "a summary of the log was not written: %s", err.text);
}

enum status store_write_entry(struct store *store, enum log_entry_type type,
                              const struct buffer *body, struct error *err)
{
    struct log_entry_header header;
    struct slice bytes = buffer_slice(body);
    enum status st = buffer_check(body, "an entry of the log", err);

    if (st == STATUS_OK && type != LOG_ROLLBACK && type != LOG_SPACE)
        st = store_settle_rollback(store, err);
    if (st == STATUS_OK)
        st = log_state_reserve(store->state, (uint8_t)type, bytes, err);
    if (st == STATUS_OK)
        st = store_log_append(store->log, (uint8_t)type, bytes, clock_wall_us(store->options.clock),
                              &header, err);
    if (st == STATUS_OK)
        st = log_state_add(store->state, &header, bytes, err);
    if (st == STATUS_OK)
        summarize(store);
    return st;
}

/* --- commit ------------------------------------------------------------------------------------ */

enum status store_require_ref(struct store *store, const struct store_domain *domain,
                              const struct ref *ref, const char *what, struct error *err)
{
    bool known = false;
    enum status st = store_require_records(store, err);

    if (st == STATUS_OK)
        st = records_knows(store->records, &domain->id, ref, &known, err);
    if (st == STATUS_OK && !known)
        st = error_set(err, STATUS_ABORTED,
                       "its %s is not here: a sync that failed has taken it away", what);
    return st;
}

/* All that a point of ENVELOPE needs is made durable: its entry into BODY. What the envelope names went with it, if a sync that
 * failed took it: closure. */
static enum status prepare_point(struct store *store, const struct store_domain *domain,
                                 const struct random_id *task, const struct ref *envelope,
                                 struct buffer *body, struct error *err)
{
    struct log_point point = {.task = *task, .domain = domain->id, .envelope = *envelope};
    enum status st = store_require_ref(store, domain, envelope, "envelope", err);

    if (st == STATUS_OK)
        st = records_sync(store->records, err);
    if (st == STATUS_OK)
        st = records_unsealed(store->records, &point.packs, err);
    if (st == STATUS_OK)
        log_point_encode(&point, body);
    return st;
}

enum status store_commit(struct store *store, const struct store_domain *domain,
                         const struct random_id *task, const struct ref *envelope,
                         struct store_point *ret_point, struct error *err)
{
    const struct store_point *there = log_state_find_point(store->state, task);
    struct buffer body;

    if (there != NULL) {
        enum status settled = store_log_settle(store->log, err);

        if (settled != STATUS_OK)
            return error_wrap(err, "commit a restore point");
        *ret_point = *there;
        return STATUS_OK;
    }
    buffer_init(&body, LOG_ENTRY_BODY_MAX);

    enum status st = prepare_point(store, domain, task, envelope, &body, err);

    if (st == STATUS_OK)
        st = store_write_entry(store, LOG_POINT, &body, err);
    buffer_deinit(&body);
    if (st != STATUS_OK)
        return error_wrap(err, "commit a restore point");
    *ret_point = *log_state_find_point(store->state, task);
    return STATUS_OK;
}

const struct store_point *store_points(const struct store *store, size_t *ret_count)
{
    return log_state_points(store->state, ret_count);
}

/* --- what becomes of points -------------------------------------------------------------------- */

static enum status find_point(const struct store *store, const struct random_id *task,
                              const struct store_point **ret_point, struct error *err)
{
    char name[RANDOM_ID_TEXT_SIZE];

    *ret_point = log_state_find_point(store->state, task);
    if (*ret_point != NULL)
        return STATUS_OK;
    random_id_text(task, name);
    return error_set(err, STATUS_NOT_FOUND, "there is no restore point of task %s", name);
}

static enum status write_until(struct store *store, enum log_entry_type type,
                               const struct random_id *task, int64_t until_us, struct error *err)
{
    const struct log_until entry = {.task = *task, .until_us = until_us};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_until_encode(&entry, &body);

    enum status st = store_write_entry(store, type, &body, err);

    buffer_deinit(&body);
    return st;
}

static enum status write_named(struct store *store, enum log_entry_type type,
                               const struct random_id *task, struct error *err)
{
    const struct log_named entry = {.task = *task};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_named_encode(&entry, &body);

    enum status st = store_write_entry(store, type, &body, err);

    buffer_deinit(&body);
    return st;
}

static enum status check_trash(const struct store_point *point, int64_t now_us, struct error *err)
{
    if (point->trashed)
        return error_set(err, STATUS_PRECONDITION, "the restore point is in the trash already");
    if (point->held)
        return error_set(err, STATUS_PRECONDITION,
                         "the restore point is held: it cannot be deleted before it is let go");
    if (point->locked_us > now_us)
        return error_set(err, STATUS_PRECONDITION,
                         "the restore point is locked for another %" PRId64
                         " seconds: nobody can delete it before",
                         (point->locked_us - now_us) / 1000000);
    return STATUS_OK;
}

enum status store_trash(struct store *store, const struct random_id *task, int64_t grace_us,
                        int64_t now_us, struct error *err)
{
    const struct store_point *point = NULL;
    enum status st = find_point(store, task, &point, err);

    if (st == STATUS_OK)
        st = check_trash(point, now_us, err);
    if (st == STATUS_OK)
        st = write_until(store, LOG_TRASH, task, grace_us, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "delete a restore point");
}

static enum status require_trashed(const struct store *store, const struct random_id *task,
                                   struct error *err)
{
    const struct store_point *point = NULL;
    enum status st = find_point(store, task, &point, err);

    if (st == STATUS_OK && !point->trashed)
        st = error_set(err, STATUS_PRECONDITION, "the restore point is not in the trash");
    return st;
}

enum status store_undelete(struct store *store, const struct random_id *task, struct error *err)
{
    enum status st = require_trashed(store, task, err);

    if (st == STATUS_OK)
        st = write_named(store, LOG_UNDELETE, task, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "undelete a restore point");
}

enum status store_purge(struct store *store, const struct random_id *task, struct error *err)
{
    enum status st = require_trashed(store, task, err);

    if (st == STATUS_OK)
        st = write_named(store, LOG_PURGE, task, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "purge a restore point");
}

static enum status check_lock(const struct store_point *point, int64_t until_us, int64_t now_us,
                              struct error *err)
{
    if (until_us <= now_us)
        return error_set(err, STATUS_PRECONDITION, "the end of the lock is past already");
    if (point->locked_us > until_us)
        return error_set(err, STATUS_PRECONDITION,
                         "the restore point is locked for %" PRId64
                         " seconds longer already: a lock is never shortened",
                         (point->locked_us - until_us) / 1000000);
    return STATUS_OK;
}

enum status store_lock_point(struct store *store, const struct random_id *task, int64_t until_us,
                             int64_t now_us, struct error *err)
{
    const struct store_point *point = NULL;
    enum status st = find_point(store, task, &point, err);

    if (st == STATUS_OK)
        st = check_lock(point, until_us, now_us, err);
    if (st == STATUS_OK)
        st = write_until(store, LOG_LOCK, task, until_us, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "lock a restore point");
}

static enum status write_hold(struct store *store, const struct log_hold *hold, struct error *err)
{
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_hold_encode(hold, &body);

    enum status st = store_write_entry(store, LOG_HOLD, &body, err);

    buffer_deinit(&body);
    return st;
}

enum status store_hold(struct store *store, const struct random_id *task, const char *reason,
                       struct error *err)
{
    struct log_hold hold = {.task = *task, .held = reason != NULL};
    size_t size = reason == NULL ? 0 : strlen(reason);
    const struct store_point *point = NULL;
    enum status st = find_point(store, task, &point, err);

    if (st == STATUS_OK && (size >= sizeof(hold.reason) || !text_is_plain(slice_of(reason, size))))
        st = error_set(err, STATUS_INVALID,
                       "a reason has at most %d bytes of text without control characters",
                       LOG_HOLD_REASON_SIZE - 1);
    if (st == STATUS_OK && (point->held || reason != NULL)) {
        if (size > 0)
            memcpy(hold.reason, reason, size);
        st = write_hold(store, &hold, err);
    }
    if (st == STATUS_OK)
        return STATUS_OK;
    return error_wrap(err, reason == NULL ? "let a restore point go" : "hold a restore point");
}
