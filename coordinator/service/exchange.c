#include "coordinator/service/exchange.h"

#include <string.h>

#include "base/invariant.h"
#include "base/log.h"
#include "base/memory.h"

static void check_end(struct exchange *exchange);

static struct exchange *of_read(struct rpc_read *read)
{
    return (struct exchange *)((char *)read - offsetof(struct exchange, read));
}

static struct exchange *of_write(struct rpc_write *write)
{
    return (struct exchange *)((char *)write - offsetof(struct exchange, write));
}

/* ---- Its end --------------------------------------------------------------------------------- */

static void lane_closed(struct exchange *exchange)
{
    if (--exchange->lanes_open > 0)
        return;
    for (struct exchange **at = exchange->context->calls; *at != NULL; at = &(*at)->next)
        if (*at == exchange) {
            *at = exchange->next;
            break;
        }
    exchange->ops->free(exchange);
    rpc_call_free(exchange->call); /* last: a server is closed when it has no calls */
    memory_free(exchange);
}

static void store_lane_closed(struct loop_task *task)
{
    lane_closed((struct exchange *)((char *)task - offsetof(struct exchange, closed[0])));
}

static void compute_lane_closed(struct loop_task *task)
{
    lane_closed((struct exchange *)((char *)task - offsetof(struct exchange, closed[1])));
}

/* Nobody shall find it any more, though the call may take a while to be over: its peer begins the next one as soon as it
 * hears of the end. */
static void forget(struct exchange *exchange)
{
    if (exchange->forgotten)
        return;
    exchange->forgotten = true;
    exchange->ops->over(exchange);
}

static void call_ended(void *owner, struct rpc_call *call, enum status status,
                       const struct error *err)
{
    struct exchange *exchange = owner;

    (void)call;
    (void)status; /* told when it was finished, or the peer went away: its own affair */
    (void)err;
    exchange->ended = true;
    forget(exchange);
    lane_cancel(exchange->lanes[EXCHANGE_STORE]);
    lane_cancel(exchange->lanes[EXCHANGE_COMPUTE]);
    check_end(exchange);
}

static const struct rpc_call_events call_events = {.ended = call_ended};

static void refused_ended(void *owner, struct rpc_call *call, enum status status,
                          const struct error *err)
{
    (void)owner;
    (void)status;
    (void)err;
    rpc_call_free(call);
}

static const struct rpc_call_events refused_events = {.ended = refused_ended};

/* ---- Jobs ------------------------------------------------------------------------------------ */

static void run_job(struct work *work)
{
    struct job *job = (struct job *)work; /* its first member */

    job->run(job);
}

static void job_done(struct work *work, enum status status)
{
    struct job *job = (struct job *)work; /* its first member */
    struct exchange *exchange = job->exchange;

    if (status != STATUS_OK)
        job->status = error_set(&job->err, STATUS_CANCELLED, "the call has ended");
    job->done(job);
    exchange->jobs--;
    check_end(exchange);
}

static void submit(struct exchange *exchange, enum exchange_where where, struct job *job,
                   uint64_t cost)
{
    job->work = (struct work){.run = run_job, .done = job_done, .cost = cost > 0 ? cost : 1};
    job->exchange = exchange;
    job->status = STATUS_OK;
    job->err = (struct error){0};
    exchange->jobs++;
    INVARIANT(lane_submit(exchange->lanes[where], &job->work)); /* EXCHANGE_JOBS_MAX */
}

void exchange_submit(struct exchange *exchange, enum exchange_where where, struct job *job,
                     uint64_t cost, void (*run)(struct job *job), void (*done)(struct job *job))
{
    INVARIANT(exchange_live(exchange));
    job->run = run;
    job->done = done;
    submit(exchange, where, job, cost);
}

static void last_done(struct job *job)
{
    (void)job; /* nothing comes after it */
}

void exchange_set_last(struct exchange *exchange, struct job *job, void (*run)(struct job *job))
{
    job->run = run;
    job->done = last_done;
    exchange->last = job;
}

static void check_end(struct exchange *exchange)
{
    struct job *last = exchange->last;

    if (!exchange->ended || exchange->jobs > 0 || exchange->closing)
        return;
    exchange->last = NULL;
    if (last != NULL) {
        submit(exchange, EXCHANGE_STORE, last, 1);
        return;
    }
    exchange->closing = true;
    lane_close(exchange->lanes[EXCHANGE_STORE], &exchange->closed[EXCHANGE_STORE]);
    lane_close(exchange->lanes[EXCHANGE_COMPUTE], &exchange->closed[EXCHANGE_COMPUTE]);
}

/* ---- Its beginning --------------------------------------------------------------------------- */

static void lane_never_used(struct loop_task *task)
{
    memory_free(task);
}

static enum status make_lanes(struct exchange *exchange, struct error *err)
{
    struct lane_limits one = {.work = EXCHANGE_JOBS_MAX, .cost = UINT64_MAX, .running = 1};
    struct lane_limits many = {.work = EXCHANGE_JOBS_MAX,
                               .cost = UINT64_MAX,
                               .running = EXCHANGE_JOBS_MAX};
    struct loop_task *never_used = memory_new(1, sizeof(*never_used));
    enum status st = STATUS_OK;

    if (never_used == NULL)
        return error_set_no_memory(err, sizeof(*never_used), "a call");
    never_used->run = lane_never_used;
    st =
        lane_new(exchange->context->store_thread, one, NULL, &exchange->lanes[EXCHANGE_STORE], err);
    if (st != STATUS_OK)
        goto out;
    st = lane_new(exchange->context->workers, many, NULL, &exchange->lanes[EXCHANGE_COMPUTE], err);
    if (st != STATUS_OK) {
        lane_close(exchange->lanes[EXCHANGE_STORE], never_used);
        never_used = NULL; /* frees itself when the lane is closed */
        goto out;
    }
    exchange->lanes_open = 2;
out:
    memory_free(never_used);
    return st;
}

/* A peer alone shall not use up what the listener allows all of them together. */
static enum status check_peer(const struct service_context *context, const char *peer,
                              struct error *err)
{
    unsigned calls = 0;

    for (const struct exchange *other = *context->calls; other != NULL; other = other->next)
        calls += strcmp(exchange_peer(other), peer) == 0;
    if (calls >= EXCHANGE_PEER_MAX)
        return error_set(err, STATUS_UNAVAILABLE, "%s has %u calls open already, no more are taken",
                         peer, calls);
    return STATUS_OK;
}

struct exchange *exchange_accept(const struct service_context *context,
                                 const struct exchange_ops *ops, size_t size, struct rpc_call *call,
                                 const struct rpc_call_events **ret_events, void **ret_owner)
{
    struct error err = {0};
    struct exchange *exchange = NULL;
    enum status st = check_peer(context, rpc_call_peer(call), &err);

    if (st == STATUS_OK) {
        exchange = memory_new(1, size);
        if (exchange == NULL)
            st = error_set_no_memory(&err, size, "a call");
    }
    if (st == STATUS_OK) {
        exchange->ops = ops;
        exchange->context = context;
        exchange->call = call;
        exchange->closed[EXCHANGE_STORE].run = store_lane_closed;
        exchange->closed[EXCHANGE_COMPUTE].run = compute_lane_closed;
        st = make_lanes(exchange, &err);
    }
    if (st != STATUS_OK) {
        memory_free(exchange);
        *ret_events = &refused_events;
        *ret_owner = NULL;
        rpc_call_finish(call, st, &err);
        return NULL;
    }
    exchange->next = *context->calls;
    *context->calls = exchange;
    *ret_events = &call_events;
    *ret_owner = exchange;
    return exchange;
}

/* ---- Reading and writing --------------------------------------------------------------------- */

bool exchange_live(const struct exchange *exchange)
{
    return !exchange->finished && !exchange->ended;
}

const char *exchange_peer(const struct exchange *exchange)
{
    return rpc_call_peer(exchange->call);
}

static void read_done(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                      const struct error *err)
{
    struct exchange *exchange = of_read(read);

    exchange->reading = false;
    if (!exchange_live(exchange))
        rpc_message_free(message);
    else if (status != STATUS_OK)
        exchange_finish(exchange, status, err);
    else
        exchange->ops->message(exchange, message);
}

void exchange_read(struct exchange *exchange)
{
    INVARIANT(exchange_live(exchange));
    if (exchange->reading)
        return;
    exchange->reading = true;
    exchange->read = (struct rpc_read){.done = read_done};
    rpc_read_start(exchange->call, &exchange->read);
}

static void write_done(struct rpc_write *write, enum status status, const struct error *err)
{
    struct exchange *exchange = of_write(write);

    exchange->writing = false;
    if (!exchange_live(exchange))
        return;
    if (status != STATUS_OK)
        exchange_finish(exchange, status, err);
    else if (exchange->answering)
        exchange_finish(exchange, STATUS_OK, NULL);
    else
        exchange->ops->written(exchange);
}

bool exchange_can_write(const struct exchange *exchange)
{
    return exchange_live(exchange) && !exchange->writing;
}

void exchange_write(struct exchange *exchange, const ProtobufCMessage *message)
{
    INVARIANT(exchange_can_write(exchange));
    exchange->writing = true;
    exchange->write = (struct rpc_write){.done = write_done};
    rpc_write_start(exchange->call, &exchange->write, message);
}

void exchange_answer(struct exchange *exchange, const ProtobufCMessage *message)
{
    exchange->answering = true;
    exchange_write(exchange, message);
}

void exchange_finish(struct exchange *exchange, enum status status, const struct error *err)
{
    if (!exchange_live(exchange))
        return;
    exchange->finished = true;
    if (status == STATUS_CANCELLED)
        log_debug(exchange->context->log, "%s of %s: %s", exchange->ops->name,
                  exchange_peer(exchange), err->text);
    else if (status != STATUS_OK)
        log_warning(exchange->context->log, "%s of %s: %s", exchange->ops->name,
                    exchange_peer(exchange), err->text);
    forget(exchange);
    rpc_call_finish(exchange->call, status, err);
}
