#include "coordinator/service/repository_rebuild.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/repository_status.h"

enum { PROGRESS_MS = 500 };

struct rebuild {
    struct exchange exchange; /* first */
    struct job job;
    struct loop_timer timer;
    _Atomic uint64_t packs, total; /* the store's thread writes them, the loop's reads them */
    struct store_status status;
    bool done; /* and to be told */
};

static struct rebuild *of_exchange(struct exchange *exchange)
{
    return (struct rebuild *)exchange; /* its first member */
}

/* On the store's thread. */
static void note_progress(void *arg, uint64_t done, uint64_t all)
{
    struct rebuild *rebuild = arg;

    atomic_store(&rebuild->packs, done);
    atomic_store(&rebuild->total, all);
}

static void run_rebuild(struct job *job)
{
    struct rebuild *rebuild = of_exchange(job->exchange);
    struct store *store = job->exchange->context->store;

    job->status = store_rebuild(store, note_progress, rebuild, &job->err);
    if (job->status == STATUS_OK)
        job->status = store_get_status(store, &rebuild->status, &job->err);
}

static void start_timer(struct rebuild *rebuild)
{
    loop_timer_start(rebuild->exchange.context->loop, &rebuild->timer, PROGRESS_MS);
}

static void tell_progress(struct loop_timer *timer)
{
    struct rebuild *rebuild =
        (struct rebuild *)(void *)((char *)timer - offsetof(struct rebuild, timer));
    Tidemark__V1__RepositoryRebuildEvent event = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__INIT;
    Tidemark__V1__RepositoryRebuildProgress progress =
        TIDEMARK__V1__REPOSITORY_REBUILD_PROGRESS__INIT;

    start_timer(rebuild);
    if (!exchange_can_write(&rebuild->exchange))
        return;
    progress.packs = atomic_load(&rebuild->packs);
    progress.total = atomic_load(&rebuild->total);
    event.kind_case = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_PROGRESS;
    event.progress = &progress;
    exchange_write(&rebuild->exchange, &event.base);
}

/* The last message waits until the one before is out. */
static void tell_done(struct rebuild *rebuild)
{
    struct exchange *exchange = &rebuild->exchange;
    Tidemark__V1__RepositoryRebuildEvent event = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__INIT;
    Tidemark__V1__RepositoryStatusAnswer answer =
        repository_status_answer(&rebuild->status, &store_repository(exchange->context->store)->id);

    event.kind_case = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_DONE;
    event.done = &answer;
    exchange_answer(exchange, &event.base);
}

static void rebuild_done(struct job *job)
{
    struct exchange *exchange = job->exchange;
    struct rebuild *rebuild = of_exchange(exchange);

    loop_timer_stop(exchange->context->loop, &rebuild->timer);
    if (job->status == STATUS_OK)
        log_info(exchange->context->log, "all caches were made anew, as %s asked",
                 exchange_peer(exchange));
    else if (!exchange_live(exchange) && job->status != STATUS_CANCELLED)
        log_warning(exchange->context->log, "%s", job->err.text); /* nobody else hears it */
    if (!exchange_live(exchange))
        return;
    rebuild->done = true;
    if (job->status != STATUS_OK)
        exchange_finish(exchange, job->status, &job->err);
    else if (exchange_can_write(exchange))
        tell_done(rebuild);
}

static void rebuild_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct rebuild *rebuild = of_exchange(exchange);
    struct error err = {0};

    if (message == NULL) {
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "a rebuild has no request"),
                        &err);
        return;
    }
    rpc_message_free(message); /* it says nothing */
    log_warning(exchange->context->log,
                "%s has all caches made anew: uploads that run begin again, and the rest waits",
                exchange_peer(exchange));
    rebuild->timer.run = tell_progress;
    start_timer(rebuild);
    exchange_submit(exchange, EXCHANGE_STORE, &rebuild->job, 1, run_rebuild, rebuild_done);
}

static void rebuild_written(struct exchange *exchange)
{
    struct rebuild *rebuild = of_exchange(exchange);

    if (rebuild->done)
        tell_done(rebuild);
}

static void rebuild_over(struct exchange *exchange)
{
    loop_timer_stop(exchange->context->loop, &of_exchange(exchange)->timer);
}

static void rebuild_free(struct exchange *exchange)
{
    (void)exchange; /* it holds nothing */
}

static const struct exchange_ops rebuild_ops = {.name = "repository rebuild",
                                                .message = rebuild_message,
                                                .written = rebuild_written,
                                                .over = rebuild_over,
                                                .free = rebuild_free};

void repository_rebuild_accept(void *context, struct rpc_call *call,
                               const struct rpc_call_events **ret_events, void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &rebuild_ops, sizeof(struct rebuild), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
