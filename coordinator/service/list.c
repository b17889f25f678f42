#include "coordinator/service/list.h"

#include "base/memory.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/points.h"
#include "coordinator/service/wire.h"

enum { PAGE_MAX = 1000 };

struct list {
    struct exchange exchange; /* first */
    Tidemark__V1__ListPointsRequest *request;
    struct points_update update;
};

static struct list *of_exchange(struct exchange *exchange)
{
    return (struct list *)exchange; /* its first member */
}

/* Writes the COUNT points before END, the newest first; MORE: there are others before them. */
static enum status answer(struct exchange *exchange, const struct point_info *end, size_t count,
                          bool more, struct error *err)
{
    Tidemark__V1__ListPointsAnswer message = TIDEMARK__V1__LIST_POINTS_ANSWER__INIT;
    Tidemark__V1__Point *points = memory_new(count, sizeof(*points));
    Tidemark__V1__Point **pointers = memory_new(count, sizeof(void *));
    enum status st = STATUS_OK;

    if (points == NULL || pointers == NULL) {
        st = error_set_no_memory(err, count * sizeof(*points), "a page of points");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        points[i] = wire_point(end - 1 - i);
        pointers[i] = &points[i];
    }
    message.points = pointers;
    message.n_points = count;
    message.more = more;
    exchange_answer(exchange, &message.base);
out:
    memory_free(pointers);
    memory_free(points);
    return st;
}

static void updated(struct points_update *update, enum status status, const struct error *failure)
{
    struct exchange *exchange = update->job.exchange;
    const Tidemark__V1__ListPointsRequest *request = of_exchange(exchange)->request;
    const struct point_info *points = NULL;
    size_t end = 0;
    size_t count = request->limit;
    struct error err = {0};

    if (status != STATUS_OK) {
        exchange_finish(exchange, status, failure);
        return;
    }
    points = points_known(exchange->context->points, &end);
    if (request->before_sequence != 0)
        while (end > 0 && points[end - 1].sequence >= request->before_sequence)
            end--;
    if (count == 0 || count > PAGE_MAX)
        count = PAGE_MAX;
    if (count > end)
        count = end;
    status = answer(exchange, end > 0 ? points + end : NULL, count, end > count, &err);
    if (status != STATUS_OK)
        exchange_finish(exchange, status, &err);
}

static void list_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct list *list = of_exchange(exchange);
    struct error err = {0};

    list->request = (Tidemark__V1__ListPointsRequest *)message;
    if (message == NULL)
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "a list has no request"), &err);
    else
        points_update_start(exchange->context->points, exchange, &list->update, updated);
}

static void list_written(struct exchange *exchange)
{
    (void)exchange; /* its one message is its answer */
}

static void list_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void list_free(struct exchange *exchange)
{
    struct list *list = of_exchange(exchange);

    if (list->request != NULL)
        rpc_message_free(&list->request->base);
}

static const struct exchange_ops list_ops = {.name = "list",
                                             .message = list_message,
                                             .written = list_written,
                                             .over = list_over,
                                             .free = list_free};

void list_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                 void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &list_ops, sizeof(struct list), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
