#include "coordinator/service/backup.h"

#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/hosts.h"
#include "coordinator/service/point_read.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/wire.h"

struct backup {
    struct exchange exchange; /* first */
    struct task_watcher watcher;
    bool watching;
    struct random_id task, vm;
    struct job parent_job;
    struct parent *parent; /* what that job found, until the task has it */

    struct task_counts counts; /* the newest */
    bool counts_untold;
    bool done;
    struct point_info point;
};

static struct backup *of_exchange(struct exchange *exchange)
{
    return (struct backup *)exchange; /* its first member */
}

static struct backup *of_watcher(struct task_watcher *watcher)
{
    return (struct backup *)((char *)watcher - offsetof(struct backup, watcher));
}

/* ---- What the console hears ------------------------------------------------------------------ */

static void tell_done(struct backup *backup)
{
    Tidemark__V1__BackupEvent event = TIDEMARK__V1__BACKUP_EVENT__INIT;
    Tidemark__V1__BackupDone done = TIDEMARK__V1__BACKUP_DONE__INIT;
    Tidemark__V1__Point point = wire_point(&backup->point);
    Tidemark__V1__Counts counts = wire_counts(&backup->counts);

    done.point = &point;
    done.counts = &counts;
    event.kind_case = TIDEMARK__V1__BACKUP_EVENT__KIND_DONE;
    event.done = &done;
    exchange_answer(&backup->exchange, &event.base);
}

static void pump(struct backup *backup)
{
    Tidemark__V1__BackupEvent event = TIDEMARK__V1__BACKUP_EVENT__INIT;
    Tidemark__V1__Counts counts = wire_counts(&backup->counts);

    if (!exchange_can_write(&backup->exchange))
        return;
    if (backup->done) {
        tell_done(backup);
    } else if (backup->counts_untold) {
        backup->counts_untold = false;
        event.kind_case = TIDEMARK__V1__BACKUP_EVENT__KIND_PROGRESS;
        event.progress = &counts;
        exchange_write(&backup->exchange, &event.base);
    }
}

static void task_progress(struct task_watcher *watcher, const struct task_counts *counts)
{
    struct backup *backup = of_watcher(watcher);

    backup->counts = *counts;
    backup->counts_untold = true;
    pump(backup);
}

static void task_over(struct task_watcher *watcher, const struct task *task, enum status status,
                      const struct error *err)
{
    struct backup *backup = of_watcher(watcher);

    backup->watching = false;
    if (status != STATUS_OK) {
        exchange_finish(&backup->exchange, status, err);
        return;
    }
    backup->done = true;
    backup->counts = task->counts;
    backup->point = task->commit.point;
    pump(backup);
}

/* ---- The task -------------------------------------------------------------------------------- */

/* On the store's thread. */
static void run_parent(struct job *job)
{
    struct backup *backup = of_exchange(job->exchange);

    job->status =
        parent_read(job->exchange->context->store, &backup->vm, &backup->parent, &job->err);
}

static void parent_done(struct job *job)
{
    struct backup *backup = of_exchange(job->exchange);
    const struct service_context *context = job->exchange->context;
    struct task *task = tasks_find(context->tasks, &backup->task);
    struct host *host = NULL;

    if (task == NULL || !exchange_live(job->exchange))
        return; /* its host has gone, or this call */
    if (job->status == STATUS_EXHAUSTED || job->status == STATUS_INTERNAL) {
        tasks_end(context->tasks, task, job->status, &job->err);
        return;
    }
    if (job->status != STATUS_OK && job->status != STATUS_NOT_FOUND)
        log_warning(context->log, "disk %s of host %s is read whole: %s", task->disk, task->host,
                    job->err.text);
    task->parent = backup->parent;
    backup->parent = NULL;
    task->state = TASK_READY;
    host = hosts_find(context->hosts, task->host);
    if (host != NULL)
        host->wake(host);
}

static enum status start(struct backup *backup, const Tidemark__V1__BackupRequest *request,
                         struct error *err)
{
    const struct service_context *context = backup->exchange.context;
    struct host *host = NULL;
    struct task *task = NULL;
    enum status st = hosts_choose(context->hosts, request->disk, request->host, &host, err);

    if (st != STATUS_OK)
        return st;
    backup->watcher.progress = task_progress;
    backup->watcher.over = task_over;
    st = tasks_start(context->tasks, context->random, host->name, request->disk, &backup->watcher,
                     &task, err);
    if (st != STATUS_OK)
        return st;
    backup->watching = true;
    backup->task = task->id;
    backup->vm = task->vm;
    log_info(context->log, "backup of disk %s on host %s, wished by %s", task->disk, task->host,
             exchange_peer(&backup->exchange));
    exchange_submit(&backup->exchange, EXCHANGE_STORE, &backup->parent_job, 1, run_parent,
                    parent_done);
    return STATUS_OK;
}

/* ---- The call -------------------------------------------------------------------------------- */

static void backup_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct error err = {0};
    enum status st = STATUS_OK;

    if (message == NULL)
        st = error_set(&err, STATUS_INVALID, "a backup has no request");
    else
        st = start(of_exchange(exchange), (const Tidemark__V1__BackupRequest *)message, &err);
    rpc_message_free(message);
    if (st != STATUS_OK)
        exchange_finish(exchange, st, &err);
}

static void backup_written(struct exchange *exchange)
{
    pump(of_exchange(exchange));
}

static void backup_over(struct exchange *exchange)
{
    struct backup *backup = of_exchange(exchange);
    const struct service_context *context = exchange->context;
    struct task *task = backup->watching ? tasks_find(context->tasks, &backup->task) : NULL;
    struct host *host = NULL;
    struct error err = {0};

    if (task == NULL)
        return;
    task->watcher = NULL;
    if (task->state != TASK_SENT) { /* its agent has not heard of it */
        tasks_end(context->tasks, task,
                  error_set(&err, STATUS_CANCELLED, "the backup was cancelled"), &err);
        return;
    }
    task->cancel_wanted = true;
    host = hosts_find(context->hosts, task->host);
    if (host != NULL)
        host->wake(host);
}

static void backup_free(struct exchange *exchange)
{
    parent_free(of_exchange(exchange)->parent);
}

static const struct exchange_ops backup_ops = {.name = "backup",
                                               .message = backup_message,
                                               .written = backup_written,
                                               .over = backup_over,
                                               .free = backup_free};

void backup_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &backup_ops, sizeof(struct backup), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
