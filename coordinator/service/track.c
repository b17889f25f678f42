#include "coordinator/service/track.h"

#include <string.h>

#include "base/fault.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/store_error.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/wire.h"

struct track {
    struct exchange exchange; /* first */
    Tidemark__V1__TrackRequest *message;
    struct signed_slice signed_tracking; /* points into it */
    char peer[SIGN_NAME_SIZE];
    struct random_id vm;
    struct id point, root_id;
    uint64_t size;
    struct job check_job, store_job;
    struct store_head head; /* what store_job found */
};

static struct track *of_exchange(struct exchange *exchange)
{
    return (struct track *)exchange; /* its first member */
}

static enum status check_content(const struct track *track, const struct tracking *tracking,
                                 struct error *err)
{
    const struct repository *repository = store_repository(track->exchange.context->store);

    if (!random_id_equal(&tracking->repository, &repository->id))
        return error_set(err, STATUS_INVALID, "the tracking record is for another repository");
    if (!random_id_equal(&tracking->vm, &track->vm) || !id_equal(&tracking->point, &track->point))
        return error_set(err, STATUS_INVALID, "the tracking record is about another point");
    if (tracking->disk_count != 1 || tracking->disks[0].size != track->size ||
        !id_equal(&tracking->disks[0].root, &track->root_id))
        return error_set(err, STATUS_INVALID,
                         "the tracking record's disk is not what was uploaded");
    return STATUS_OK;
}

/* On a worker. */
static void run_check(struct job *job)
{
    struct track *track = of_exchange(job->exchange);
    const struct service_context *context = job->exchange->context;
    struct tracking tracking = {0};
    char host[SIGN_NAME_SIZE];
    enum status st = tracking_decode(track->signed_tracking.body, &tracking, &job->err);

    if (st == STATUS_OK) {
        st = signed_check(&track->signed_tracking, SIGN_CONTEXT_TRACKING, context->agents_ca,
                          clock_wall_us(context->clock), host, &job->err);
        if (st != STATUS_OK)
            st = error_wrap(&job->err, "the tracking record's signature");
    }
    if (st == STATUS_OK && strcmp(host, track->peer) != 0)
        st = error_set(&job->err, STATUS_DENIED, "host %s sends a tracking record of host %s",
                       track->peer, host);
    if (st == STATUS_OK)
        st = check_content(track, &tracking, &job->err);
    tracking_deinit(&tracking);
    job->status = st;
}

/* On the store's thread. */
static void run_store(struct job *job)
{
    struct track *track = of_exchange(job->exchange);
    struct store *store = job->exchange->context->store;
    enum status st = fault_point("service.before_track", &job->err);

    if (st == STATUS_OK)
        st = store_track(store, &track->vm, &track->signed_tracking, &job->err);
    if (st == STATUS_OK)
        st = fault_point("service.after_track", &job->err);
    if (st == STATUS_OK)
        track->head = store_head(store);
    job->status = store_error_explain(st, &job->err);
}

static void store_done(struct job *job)
{
    struct track *track = of_exchange(job->exchange);
    Tidemark__V1__TrackAnswer answer = TIDEMARK__V1__TRACK_ANSWER__INIT;
    Tidemark__V1__LogHead head = wire_head(&track->head);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        exchange_finish(job->exchange, job->status, &job->err);
        return;
    }
    answer.head = &head;
    exchange_answer(job->exchange, &answer.base);
}

static void check_done(struct job *job)
{
    struct track *track = of_exchange(job->exchange);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK)
        exchange_finish(job->exchange, job->status, &job->err);
    else
        exchange_submit(job->exchange, EXCHANGE_STORE, &track->store_job, 1, run_store, store_done);
}

static enum status start(struct track *track, struct error *err)
{
    struct task *task = NULL;
    enum status st = tasks_find_of(track->exchange.context->tasks, wire_slice(track->message->task),
                                   exchange_peer(&track->exchange), &task, err);

    if (st == STATUS_OK && !task->commit.done)
        st = error_set(err, STATUS_PRECONDITION, "the task is not committed");
    if (st == STATUS_OK)
        st = wire_check_signed(track->message->tracking, TRACKING_SIZE_MAX, &track->signed_tracking,
                               err);
    if (st != STATUS_OK)
        return st;
    memcpy(track->peer, task->host, sizeof(track->peer));
    track->vm = task->vm;
    track->point = task->commit.point.envelope.id;
    track->root_id = task->root_ref.id;
    track->size = task->root.size;
    exchange_submit(&track->exchange, EXCHANGE_COMPUTE, &track->check_job, 1, run_check,
                    check_done);
    return STATUS_OK;
}

static void track_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct track *track = of_exchange(exchange);
    struct error err = {0};
    enum status st = STATUS_OK;

    track->message = (Tidemark__V1__TrackRequest *)message;
    if (message == NULL)
        st = error_set(&err, STATUS_INVALID, "a track has no request");
    else
        st = start(track, &err);
    if (st != STATUS_OK)
        exchange_finish(exchange, st, &err);
}

static void track_written(struct exchange *exchange)
{
    (void)exchange; /* its one message is its answer */
}

static void track_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void track_free(struct exchange *exchange)
{
    struct track *track = of_exchange(exchange);

    if (track->message != NULL)
        rpc_message_free(&track->message->base);
}

static const struct exchange_ops track_ops = {.name = "track",
                                              .message = track_message,
                                              .written = track_written,
                                              .over = track_over,
                                              .free = track_free};

void track_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                  void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &track_ops, sizeof(struct track), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
