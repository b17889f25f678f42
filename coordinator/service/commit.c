#include "coordinator/service/commit.h"

#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/store_error.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/wire.h"
#include "format/manifest.h"
#include "format/record.h"

struct commit {
    struct exchange exchange; /* first */
    Tidemark__V1__CommitRequest *message;
    struct signed_slice signed_statement; /* points into it */
    char peer[SIGN_NAME_SIZE];

    /* What is known of the task; it may end meanwhile. */
    struct random_id task, vm;
    char disk[STATEMENT_NAME_SIZE];
    bool has_parent, on_parent;
    struct id parent, root_id;
    uint64_t size;
    struct ref root_ref;
    uint64_t generation;

    struct job check_job, store_job;
    struct statement statement; /* what check_job decoded */
    struct task_commit result;  /* of store_job */
};

static struct commit *of_exchange(struct exchange *exchange)
{
    return (struct commit *)exchange; /* its first member */
}

static void answer(struct commit *commit, const struct task_commit *result)
{
    Tidemark__V1__CommitAnswer message = TIDEMARK__V1__COMMIT_ANSWER__INIT;
    Tidemark__V1__LogHead head = wire_head(&result->head);

    message.point = wire_bytes(slice_of(result->point.envelope.id.bytes, ID_SIZE));
    message.head = &head;
    message.stored = result->stored;
    exchange_answer(&commit->exchange, &message.base);
}

/* ---- The check, on a worker ------------------------------------------------------------------ */

static enum status check_host(const struct commit *commit, int64_t time_us, const char *when,
                              struct error *err)
{
    char host[SIGN_NAME_SIZE];
    enum status st = signed_check(&commit->signed_statement, SIGN_CONTEXT_STATEMENT,
                                  commit->exchange.context->agents_ca, time_us, host, err);

    if (st != STATUS_OK)
        return error_wrap(err, "the statement's signature, %s", when);
    if (strcmp(host, commit->peer) != 0 || strcmp(host, commit->statement.host) != 0)
        return error_set(err, STATUS_DENIED,
                         "host %s commits a statement of host %s, signed by host %s", commit->peer,
                         commit->statement.host, host);
    return STATUS_OK;
}

static enum status check_disk(const struct commit *commit, struct error *err)
{
    const struct statement *statement = &commit->statement;

    if (statement->disk_count != 1 || statement->file_count != 0)
        return error_set(err, STATUS_INVALID,
                         "a plain disk's statement has one disk and no files, not %u and %u",
                         (unsigned)statement->disk_count, (unsigned)statement->file_count);
    if (statement->disks[0].size != commit->size)
        return error_set(err, STATUS_INVALID,
                         "the statement's disk has %" PRIu64 " bytes, uploaded were %" PRIu64,
                         statement->disks[0].size, commit->size);
    if (!id_equal(&statement->disks[0].root, &commit->root_id))
        return error_set(err, STATUS_CORRUPT,
                         "the statement's root is not that of what was uploaded");
    return STATUS_OK;
}

static enum status check_content(const struct commit *commit, struct error *err)
{
    const struct statement *statement = &commit->statement;
    const struct repository *repository = store_repository(commit->exchange.context->store);
    bool without = id_is_hole(&statement->parent);

    if (!random_id_equal(&statement->repository, &repository->id))
        return error_set(err, STATUS_INVALID, "the statement is for another repository");
    if (!random_id_equal(&statement->task, &commit->task))
        return error_set(err, STATUS_INVALID, "the statement is for another task");
    if (!random_id_equal(&statement->vm, &commit->vm) ||
        strcmp(statement->vm_name, commit->disk) != 0)
        return error_set(err, STATUS_INVALID, "the statement is about another disk than %s",
                         commit->disk);
    if ((without && commit->on_parent) ||
        (!without && (!commit->has_parent || !id_equal(&statement->parent, &commit->parent))))
        return error_set(err, STATUS_INVALID,
                         "the statement names another parent than the task has");
    return check_disk(commit, err);
}

static void run_check(struct job *job)
{
    struct commit *commit = of_exchange(job->exchange);
    enum status st = statement_decode(commit->signed_statement.body, &commit->statement, &job->err);

    if (st == STATUS_OK)
        st = check_host(commit, clock_wall_us(job->exchange->context->clock), "now", &job->err);
    /* Whoever checks the point later asks for the time that it bears. */
    if (st == STATUS_OK)
        st = check_host(commit, commit->statement.time_us, "at the time that it bears", &job->err);
    if (st == STATUS_OK)
        st = check_content(commit, &job->err);
    job->status = st;
}

/* ---- The point, on the store's thread -------------------------------------------------------- */

static enum status put_body(struct commit *commit, struct store *store, struct ref *ret_body,
                            struct error *err)
{
    struct buffer body;
    enum status st = STATUS_OK;

    buffer_init(&body, RECORD_PLAIN_MAX);
    body_encode(&commit->signed_statement, &body);
    st = buffer_check(&body, "a manifest's body", err);
    if (st == STATUS_OK)
        st = store_put(store, store_default_domain(store), KIND_BODY, buffer_slice(&body),
                       buffer_slice(&body), ret_body, err);
    buffer_deinit(&body);
    return st;
}

static enum status put_envelope(struct commit *commit, struct store *store, const struct ref *body,
                                struct ref *ret_envelope, struct error *err)
{
    struct envelope_disk disk = {.size = commit->size, .root = commit->root_ref};
    struct envelope envelope = {.vm = commit->vm,
                                .time_us = commit->statement.time_us,
                                .disks = &disk,
                                .disk_count = 1,
                                .body = *body};
    struct buffer plain;
    struct buffer stored;
    enum status st = STATUS_OK;

    buffer_init(&plain, RECORD_PLAIN_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    envelope_encode_plain(&envelope, &plain);
    envelope_encode_stored(&envelope, &stored);
    st = buffer_check(&plain, "an envelope", err);
    if (st == STATUS_OK)
        st = buffer_check(&stored, "an envelope", err);
    if (st == STATUS_OK)
        st = store_put(store, store_default_domain(store), KIND_ENVELOPE, buffer_slice(&plain),
                       buffer_slice(&stored), ret_envelope, err);
    buffer_deinit(&stored);
    buffer_deinit(&plain);
    return st;
}

static void run_store(struct job *job)
{
    struct commit *commit = of_exchange(job->exchange);
    struct store *store = job->exchange->context->store;
    struct store_point point = {0};
    struct ref body = {0};
    struct ref envelope = {0};
    uint64_t before = store_appended(store);
    enum status st = store_error_check_generation(store, commit->generation, &job->err);

    if (st == STATUS_OK)
        st = put_body(commit, store, &body, &job->err);
    if (st == STATUS_OK)
        st = put_envelope(commit, store, &body, &envelope, &job->err);
    if (st == STATUS_OK)
        st = fault_point("service.before_commit", &job->err);
    if (st == STATUS_OK)
        st = store_commit(store, store_default_domain(store), &commit->task, &envelope, &point,
                          &job->err);
    if (st == STATUS_OK)
        st = fault_point("service.after_commit", &job->err);
    if (st == STATUS_OK) {
        point_info_of(&point, &commit->statement, &commit->result.point);
        commit->result.head = store_head(store);
        commit->result.stored = store_appended(store) - before;
        commit->result.done = true;
    }
    job->status = store_error_explain(st, &job->err);
}

/* ---- In between, on the loop ----------------------------------------------------------------- */

/* The task is noted as being committed by this call; it may be gone. */
static struct task *end_committing(struct commit *commit)
{
    struct task *task = tasks_find(commit->exchange.context->tasks, &commit->task);

    if (task != NULL)
        task->committing = false;
    return task;
}

static void store_done(struct job *job)
{
    struct commit *commit = of_exchange(job->exchange);
    struct task *task = end_committing(commit);

    /* Also when nobody waits for the answer any more: the next call gets it. */
    if (task != NULL && job->status == STATUS_OK)
        task->commit = commit->result;
    if (!exchange_live(job->exchange))
        return;
    if (job->status == STATUS_OK)
        answer(commit, &commit->result);
    else
        exchange_finish(job->exchange, job->status, &job->err);
}

static void check_done(struct job *job)
{
    struct commit *commit = of_exchange(job->exchange);

    if (job->status == STATUS_OK &&
        tasks_find(job->exchange->context->tasks, &commit->task) == NULL)
        job->status = error_set(&job->err, STATUS_CANCELLED, "the task is over");
    if (exchange_live(job->exchange) && job->status == STATUS_OK) {
        exchange_submit(job->exchange, EXCHANGE_STORE, &commit->store_job, 1, run_store,
                        store_done);
        return;
    }
    (void)end_committing(commit);
    exchange_finish(job->exchange, job->status, &job->err);
}

static void note_task(struct commit *commit, struct task *task)
{
    task->committing = true;
    commit->task = task->id;
    commit->vm = task->vm;
    memcpy(commit->disk, task->disk, sizeof(commit->disk));
    commit->has_parent = task->parent != NULL;
    if (commit->has_parent)
        commit->parent = task->parent->point;
    commit->on_parent = task->on_parent;
    commit->root_id = task->root_ref.id;
    commit->root_ref = task->root_ref;
    commit->size = task->root.size;
    commit->generation = task->generation;
}

static enum status start(struct commit *commit, struct error *err)
{
    const struct service_context *context = commit->exchange.context;
    const char *peer = exchange_peer(&commit->exchange);
    struct task *task = NULL;
    enum status st =
        tasks_find_of(context->tasks, wire_slice(commit->message->task), peer, &task, err);

    if (st != STATUS_OK)
        return st;
    if (task->commit.done) {
        answer(commit, &task->commit);
        return STATUS_OK;
    }
    if (task->committing)
        return error_set(err, STATUS_UNAVAILABLE, "the task is being committed; ask again");
    if (!task->uploaded)
        return error_set(err, STATUS_PRECONDITION, "the task's disk is not uploaded");
    st = wire_check_signed(commit->message->statement, STATEMENT_SIZE_MAX,
                           &commit->signed_statement, err);
    if (st != STATUS_OK)
        return st;
    memcpy(commit->peer, task->host, sizeof(commit->peer));
    note_task(commit, task);
    exchange_submit(&commit->exchange, EXCHANGE_COMPUTE, &commit->check_job, 1, run_check,
                    check_done);
    return STATUS_OK;
}

static void commit_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct commit *commit = of_exchange(exchange);
    struct error err = {0};
    enum status st = STATUS_OK;

    commit->message = (Tidemark__V1__CommitRequest *)message;
    if (message == NULL)
        st = error_set(&err, STATUS_INVALID, "a commit has no request");
    else
        st = start(commit, &err);
    if (st != STATUS_OK)
        exchange_finish(exchange, st, &err);
}

static void commit_written(struct exchange *exchange)
{
    (void)exchange; /* its one message is its answer */
}

static void commit_over(struct exchange *exchange)
{
    (void)exchange; /* its works end by themselves, and note what came of them */
}

static void commit_free(struct exchange *exchange)
{
    struct commit *commit = of_exchange(exchange);

    statement_deinit(&commit->statement);
    if (commit->message != NULL)
        rpc_message_free(&commit->message->base);
}

static const struct exchange_ops commit_ops = {.name = "commit",
                                               .message = commit_message,
                                               .written = commit_written,
                                               .over = commit_over,
                                               .free = commit_free};

void commit_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &commit_ops, sizeof(struct commit), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
