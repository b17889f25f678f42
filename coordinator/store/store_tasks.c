#include <inttypes.h>
#include <string.h>

#include "coordinator/store/store_private.h"

/* --- tasks ------------------------------------------------------------------------------------- */

static enum status check_task(const struct store *store, const struct log_task *task,
                              struct error *err)
{
    struct log_task there;
    char name[RANDOM_ID_TEXT_SIZE];

    random_id_text(&task->task, name);
    if (task->detail.size > LOG_TASK_DETAIL_MAX)
        return error_set(err, STATUS_INVALID, "%zu bytes of detail are too many for a task",
                         task->detail.size);
    if (log_state_find_task(store->state, &task->task, &there) && there.epoch > task->epoch)
        return error_set(err, STATUS_ABORTED,
                         "task %s is in epoch %" PRIu32 " by now: epoch %" PRIu32 " is over", name,
                         there.epoch, task->epoch);
    return STATUS_OK;
}

enum status store_note_task(struct store *store, const struct log_task *task, struct error *err)
{
    enum status st = check_task(store, task, err);
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    if (st == STATUS_OK) {
        log_task_encode(task, &body);
        st = store_write_entry(store, LOG_TASK, &body, err);
    }
    buffer_deinit(&body);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "note a task's state");
}

enum status store_each_task(const struct store *store,
                            enum status (*each)(void *arg, const struct log_task *task,
                                                struct error *err),
                            void *arg, struct error *err)
{
    return log_state_each_task(store->state, each, arg, err);
}

/* --- partial trees ----------------------------------------------------------------------------- */

static enum status write_session(struct store *store, const struct log_session *session,
                                 struct error *err)
{
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_session_encode(session, &body);

    enum status st = store_write_entry(store, LOG_SESSION, &body, err);

    buffer_deinit(&body);
    return st;
}

/* All that PARTIAL needs is made durable: its entry. */
static enum status prepare_partial(struct store *store, const struct store_partial *partial,
                                   struct log_session *ret_session, struct error *err)
{
    const struct store_domain *domain = domains_find(&store->domains, &partial->domain);

    if (domain == NULL)
        return error_set(err, STATUS_INVALID, "there is no such deduplication domain");
    if (log_state_find_point(store->state, &partial->task) != NULL)
        return error_set(err, STATUS_PRECONDITION, "its task has its restore point already");
    enum status st = store_require_ref(store, domain, &partial->root, "root", err);

    if (st == STATUS_OK)
        st = records_sync(store->records, err);
    if (st == STATUS_OK)
        st = records_unsealed(store->records, &ret_session->packs, err);
    return st;
}

enum status store_save_partial(struct store *store, const struct store_partial *partial,
                               struct error *err)
{
    struct log_session session = {
        .task = partial->task,
        .domain = partial->domain,
        .blocks = partial->blocks,
        .root = partial->root,
    };

    memcpy(session.disk, partial->disk, sizeof(session.disk));
    enum status st = prepare_partial(store, partial, &session, err);

    if (st == STATUS_OK)
        st = write_session(store, &session, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "save a partial tree");
}

/* NULL: TASK has none. */
static const struct store_partial *find_partial(const struct store *store,
                                                const struct random_id *task)
{
    size_t count = 0;
    const struct store_partial *partials = log_state_partials(store->state, &count);

    for (size_t i = 0; i < count; i++) {
        if (random_id_equal(&partials[i].task, task))
            return &partials[i];
    }
    return NULL;
}

enum status store_drop_partials(struct store *store, const struct random_id *task,
                                struct error *err)
{
    const struct store_partial *partial = find_partial(store, task);
    enum status st = STATUS_OK;

    while (st == STATUS_OK && partial != NULL) {
        struct log_session session = {.task = *task, .domain = partial->domain};

        memcpy(session.disk, partial->disk, sizeof(session.disk));
        st = write_session(store, &session, err);
        partial = find_partial(store, task);
    }
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "let partial trees go");
}

const struct store_partial *store_partials(const struct store *store, size_t *ret_count)
{
    return log_state_partials(store->state, ret_count);
}

/* --- tracking ---------------------------------------------------------------------------------- */

enum status store_track(struct store *store, const struct random_id *vm,
                        const struct signed_slice *tracking, struct error *err)
{
    const struct log_tracking entry = {.vm = *vm, .tracking = *tracking};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_tracking_encode(&entry, &body);

    enum status st = store_write_entry(store, LOG_TRACKING, &body, err);

    buffer_deinit(&body);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "write a tracking record");
}

enum status store_tracking(const struct store *store, const struct random_id *vm,
                           struct slice *ret_tracking, struct error *err)
{
    char name[RANDOM_ID_TEXT_SIZE];

    if (log_state_find_tracking(store->state, vm, ret_tracking))
        return STATUS_OK;
    random_id_text(vm, name);
    return error_set(err, STATUS_NOT_FOUND, "no tracking record of VM %s", name);
}
