/* What format/log_body.h has of points, tasks and partial trees. */
#include <inttypes.h>

#include "base/cursor.h"
#include "format/field.h"
#include "format/log_body.h"

/* --- packs that were not sealed --- */

static void put_packs(const struct log_packs *packs, struct buffer *target)
{
    buffer_put_u16le(target, packs->count);
    for (size_t i = 0; i < packs->count; i++) {
        field_put_random_id(target, &packs->packs[i].name);
        buffer_put_u64le(target, packs->packs[i].synced);
    }
}

static enum status take_packs(struct cursor *c, struct log_packs *packs, struct error *err)
{
    packs->count = cursor_u16le(c);
    if (packs->count > LOG_POINT_PACKS_MAX)
        return error_set(err, STATUS_CORRUPT, "%" PRIu16 " unsealed packs, more than %d",
                         packs->count, LOG_POINT_PACKS_MAX);
    for (size_t i = 0; i < packs->count; i++) {
        enum status st = field_take_random_id(c, "a pack's name", &packs->packs[i].name, err);

        if (st != STATUS_OK)
            return st;
        packs->packs[i].synced = cursor_u64le(c);
    }
    return STATUS_OK;
}

/* --- points --- */

void log_point_encode(const struct log_point *point, struct buffer *target)
{
    field_put_random_id(target, &point->task);
    field_put_random_id(target, &point->domain);
    field_put_ref(target, &point->envelope);
    put_packs(&point->packs, target);
}

enum status log_point_decode(struct slice body, struct log_point *ret_point, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_point point = {.envelope = {.number = 0}};
    enum status st = field_take_random_id(&c, "its task", &point.task, err);

    if (st == STATUS_OK)
        st = field_take_random_id(&c, "its domain", &point.domain, err);
    if (st == STATUS_OK)
        st = field_take_ref(&c, "its envelope", &point.envelope, err);
    if (st == STATUS_OK)
        st = take_packs(&c, &point.packs, err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a point");
    st = field_end(&c, "log entry: a point", err);
    if (st == STATUS_OK)
        *ret_point = point;
    return st;
}

void log_tracking_encode(const struct log_tracking *tracking, struct buffer *target)
{
    field_put_random_id(target, &tracking->vm);
    signed_encode(&tracking->tracking, target);
}

enum status log_tracking_decode(struct slice body, struct log_tracking *ret_tracking,
                                struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_tracking tracking = {.vm = {{0}}};
    enum status st = field_take_random_id(&c, "its VM", &tracking.vm, err);

    if (st == STATUS_OK)
        st = signed_decode(&c, &tracking.tracking, err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a tracking record");
    st = field_end(&c, "log entry: a tracking record", err);
    if (st == STATUS_OK)
        *ret_tracking = tracking;
    return st;
}

void log_until_encode(const struct log_until *until, struct buffer *target)
{
    field_put_random_id(target, &until->task);
    buffer_put_u64le(target, (uint64_t)until->until_us);
}

enum status log_until_decode(struct slice body, struct log_until *ret_until, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_until until = {.until_us = 0};

    if (field_take_random_id(&c, "its task", &until.task, err) != STATUS_OK)
        return error_wrap(err, "log entry: a time for a point");
    until.until_us = (int64_t)cursor_u64le(&c);

    enum status st = field_end(&c, "log entry: a time for a point", err);

    if (st == STATUS_OK)
        *ret_until = until;
    return st;
}

void log_named_encode(const struct log_named *named, struct buffer *target)
{
    field_put_random_id(target, &named->task);
}

enum status log_named_decode(struct slice body, struct log_named *ret_named, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_named named = {{{0}}};

    if (field_take_random_id(&c, "its task", &named.task, err) != STATUS_OK)
        return error_wrap(err, "log entry: a point's name");

    enum status st = field_end(&c, "log entry: a point's name", err);

    if (st == STATUS_OK)
        *ret_named = named;
    return st;
}

void log_hold_encode(const struct log_hold *hold, struct buffer *target)
{
    field_put_random_id(target, &hold->task);
    buffer_put_u8(target, hold->held ? 1 : 0);
    field_put_text(target, hold->reason);
}

enum status log_hold_decode(struct slice body, struct log_hold *ret_hold, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_hold hold = {.held = false};
    enum status st = field_take_random_id(&c, "its task", &hold.task, err);

    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a hold");

    uint8_t held = cursor_u8(&c);

    hold.held = held == 1;
    st = field_take_text(&c, "its reason", FIELD_EMPTY_FINE, hold.reason, sizeof(hold.reason), err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a hold");
    if (held > 1 || (held == 0 && hold.reason[0] != '\0'))
        return error_set(err, STATUS_CORRUPT,
                         "log entry: a hold that is neither held nor let go without a reason");
    st = field_end(&c, "log entry: a hold", err);
    if (st == STATUS_OK)
        *ret_hold = hold;
    return st;
}

/* --- tasks and their partial trees --- */

void log_task_encode(const struct log_task *task, struct buffer *target)
{
    field_put_random_id(target, &task->task);
    field_put_random_id(target, &task->vm);
    buffer_put_u32le(target, task->epoch);
    buffer_put_u8(target, (uint8_t)task->state);
    buffer_put_u32le(target, (uint32_t)task->detail.size); /* at most LOG_TASK_DETAIL_MAX */
    buffer_put(target, task->detail);
}

enum status log_task_decode(struct slice body, struct log_task *ret_task, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_task task = {.state = LOG_TASK_INTENDED};
    enum status st = field_take_random_id(&c, "its id", &task.task, err);

    if (st == STATUS_OK)
        st = field_take_random_id(&c, "its VM", &task.vm, err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a task");
    task.epoch = cursor_u32le(&c);

    uint8_t state = cursor_u8(&c);
    uint32_t length = cursor_u32le(&c);

    if (length > LOG_TASK_DETAIL_MAX)
        return error_set(err, STATUS_CORRUPT,
                         "log entry: a task with %" PRIu32 " bytes of detail, more than %d", length,
                         LOG_TASK_DETAIL_MAX);
    task.detail = cursor_take(&c, length);
    if (field_end(&c, "log entry: a task", err) != STATUS_OK)
        return err->status;
    if (state < LOG_TASK_INTENDED || state > LOG_TASK_ENDED)
        return error_set(err, STATUS_CORRUPT, "log entry: a task in state %u, which is none",
                         state);
    task.state = (enum log_task_state)state;
    *ret_task = task;
    return STATUS_OK;
}

void log_session_encode(const struct log_session *session, struct buffer *target)
{
    field_put_random_id(target, &session->task);
    buffer_put(target, slice_of(session->disk, sizeof(session->disk)));
    field_put_random_id(target, &session->domain);
    buffer_put_u64le(target, session->blocks);
    field_put_ref(target, &session->root);
    put_packs(&session->packs, target);
}

/* A partial tree has a root; what lets one go has nothing. */
static bool is_session(const struct log_session *session)
{
    bool has_id = !id_is_hole(&session->root.id);

    if (has_id || session->root.number != 0)
        return has_id && session->root.number != 0;
    return session->blocks == 0 && session->packs.count == 0;
}

enum status log_session_decode(struct slice body, struct log_session *ret_session,
                               struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_session session = {.blocks = 0};
    enum status st = field_take_random_id(&c, "its task", &session.task, err);

    cursor_copy(&c, session.disk, sizeof(session.disk));
    if (st == STATUS_OK)
        st = field_take_random_id(&c, "its domain", &session.domain, err);
    session.blocks = cursor_u64le(&c);
    cursor_copy(&c, session.root.id.bytes, sizeof(session.root.id.bytes));
    session.root.number = cursor_u64le(&c);
    if (st == STATUS_OK)
        st = take_packs(&c, &session.packs, err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry: a partial tree");
    st = field_end(&c, "log entry: a partial tree", err);
    if (st == STATUS_OK && !is_session(&session))
        st = error_set(err, STATUS_CORRUPT,
                       "log entry: a partial tree with half a root, or with blocks or packs and "
                       "without one");
    if (st == STATUS_OK)
        *ret_session = session;
    return st;
}
