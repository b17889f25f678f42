#include "coordinator/service/repository_status.h"

#include "coordinator/service/exchange.h"
#include "coordinator/service/wire.h"

struct status_call {
    struct exchange exchange; /* first */
    struct job job;
    struct store_status status;
};

static struct status_call *of_exchange(struct exchange *exchange)
{
    return (struct status_call *)exchange; /* its first member */
}

Tidemark__V1__RepositoryStatusAnswer repository_status_answer(const struct store_status *status,
                                                              const struct random_id *id)
{
    Tidemark__V1__RepositoryStatusAnswer answer = TIDEMARK__V1__REPOSITORY_STATUS_ANSWER__INIT;

    answer.data_packs = status->packs[0];
    answer.data_bytes = status->pack_bytes[0];
    answer.meta_packs = status->packs[1];
    answer.meta_bytes = status->pack_bytes[1];
    answer.unsealed_packs = status->unsealed_packs;
    answer.missing_packs = status->missing_packs;
    answer.left_out = status->left_out;
    answer.points = status->points;
    answer.trashed = status->trashed;
    answer.partials = status->partials;
    answer.domains = status->domains;
    answer.log_entries = status->log_entries;
    answer.log_bytes = status->log_bytes;
    answer.summary = status->summary;
    answer.rolled_back = status->rolled_back;
    answer.rolled_back_to = status->rolled_back_to;
    answer.rolled_back_from = status->rolled_back_from;
    answer.proved_us = status->proved_us;
    answer.proved_packs = status->proved_packs;
    answer.damaged_packs = status->damaged_packs;
    answer.repository = wire_bytes(slice_of(id->bytes, RANDOM_ID_SIZE));
    return answer;
}

/* On the store's thread. */
static void run_status(struct job *job)
{
    struct status_call *call = of_exchange(job->exchange);

    job->status = store_get_status(job->exchange->context->store, &call->status, &job->err);
}

static void status_done(struct job *job)
{
    struct exchange *exchange = job->exchange;
    const struct status_call *call = of_exchange(exchange);

    if (!exchange_live(exchange))
        return;
    if (job->status != STATUS_OK) {
        exchange_finish(exchange, job->status, &job->err);
        return;
    }

    Tidemark__V1__RepositoryStatusAnswer answer =
        repository_status_answer(&call->status, &store_repository(exchange->context->store)->id);

    exchange_answer(exchange, &answer.base);
}

static void status_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct status_call *call = of_exchange(exchange);
    struct error err = {0};

    if (message == NULL) {
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "a status has no request"), &err);
        return;
    }
    rpc_message_free(message); /* it says nothing */
    exchange_submit(exchange, EXCHANGE_STORE, &call->job, 1, run_status, status_done);
}

static void status_written(struct exchange *exchange)
{
    (void)exchange; /* its one message is its answer */
}

static void status_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void status_free(struct exchange *exchange)
{
    (void)exchange; /* it holds nothing */
}

static const struct exchange_ops status_ops = {.name = "repository status",
                                               .message = status_message,
                                               .written = status_written,
                                               .over = status_over,
                                               .free = status_free};

void repository_status_accept(void *context, struct rpc_call *call,
                              const struct rpc_call_events **ret_events, void **ret_owner)
{
    struct exchange *exchange = exchange_accept(context, &status_ops, sizeof(struct status_call),
                                                call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
