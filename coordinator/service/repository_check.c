#include "coordinator/service/repository_check.h"

#include <inttypes.h>
#include <string.h>

#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/wire.h"
#include "coordinator/store/check.h"

enum { PROGRESS_MS = 1000, CHUNKS = 3 };

struct check_call;

/* A stretch of a pack on its way: read, proved, taken, and the next one read. */
struct turn {
    struct job job; /* first */
    struct check_chunk *chunk;
    bool filled; /* CHUNK is to be proved and taken */
    struct check_sum sum;
};

struct check_call {
    struct exchange exchange; /* first */
    bool keyless;
    bool began;
    struct job job; /* beginning, and what comes after the packs */
    struct check *check;
    struct turn turns[CHUNKS];
    unsigned idle; /* turns that found no more packs */
    bool step_end;
    struct check_sum sum; /* the newest */
    uint64_t told_ms;
    bool telling;     /* all is found; CHECK is the loop's */
    size_t bad, hurt; /* told so far */
};

static const struct exchange_ops check_ops;

static struct check_call *of_exchange(struct exchange *exchange)
{
    return (struct check_call *)exchange; /* its first member */
}

/* ---- What it tells --------------------------------------------------------------------------- */

static void tell_progress(struct check_call *call)
{
    uint64_t now = clock_now_ms(call->exchange.context->clock);
    Tidemark__V1__RepositoryCheckEvent event = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__INIT;
    Tidemark__V1__RepositoryCheckProgress progress = TIDEMARK__V1__REPOSITORY_CHECK_PROGRESS__INIT;

    if (now - call->told_ms < PROGRESS_MS || !exchange_can_write(&call->exchange))
        return;
    call->told_ms = now;
    progress.bytes = call->sum.bytes;
    progress.total = call->sum.total;
    progress.findings = call->sum.bad;
    event.kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_PROGRESS;
    event.progress = &progress;
    exchange_write(&call->exchange, &event.base);
}

static void tell_bad(struct check_call *call, const struct check_bad *bad)
{
    Tidemark__V1__RepositoryCheckEvent event = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__INIT;
    Tidemark__V1__RepositoryCheckFinding finding = TIDEMARK__V1__REPOSITORY_CHECK_FINDING__INIT;
    char kind[KIND_TEXT_SIZE] = "";

    if (bad->kind != 0)
        kind_text(bad->kind, kind);
    finding.text = (char *)check_wrong_text(bad->wrong); /* protobuf-c has no const */
    finding.number = bad->number;
    finding.kind = kind;
    if (bad->in_pack)
        finding.pack = wire_bytes(slice_of(bad->pack.bytes, RANDOM_ID_SIZE));
    finding.offset = bad->offset;
    finding.length = bad->length;
    event.kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_FINDING;
    event.finding = &finding;
    exchange_write(&call->exchange, &event.base);
}

static Tidemark__V1__RepositoryCheckWhat what_of(enum check_hurt_what what)
{
    switch (what) {
    case CHECK_HURT_DISK:
        break;
    case CHECK_HURT_FILE:
        return TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_FILE;
    case CHECK_HURT_POINT:
        return TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_POINT;
    case CHECK_HURT_PARTIAL:
        return TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_PARTIAL;
    }
    return TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_DISK;
}

static void tell_hurt(struct check_call *call, const struct check_hurt *hurt)
{
    Tidemark__V1__RepositoryCheckEvent event = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__INIT;
    Tidemark__V1__RepositoryCheckLoss loss = TIDEMARK__V1__REPOSITORY_CHECK_LOSS__INIT;
    Tidemark__V1__RepositoryCheckRange ranges[CHECK_RANGES_MAX];
    Tidemark__V1__RepositoryCheckRange *pointers[CHECK_RANGES_MAX];

    for (size_t i = 0; i < hurt->range_count; i++) {
        tidemark__v1__repository_check_range__init(&ranges[i]);
        ranges[i].offset = hurt->ranges[i].offset;
        ranges[i].length = hurt->ranges[i].length;
        pointers[i] = &ranges[i];
    }
    loss.what = what_of(hurt->what);
    if (hurt->what != CHECK_HURT_PARTIAL)
        loss.point = wire_bytes(slice_of(hurt->point.bytes, ID_SIZE));
    loss.task = wire_bytes(slice_of(hurt->task.bytes, RANDOM_ID_SIZE));
    loss.time_us = hurt->time_us;
    loss.trashed = hurt->trashed;
    loss.vm = (char *)hurt->vm; /* protobuf-c has no const */
    loss.host = (char *)hurt->host;
    loss.disk = hurt->disk;
    loss.name = (char *)hurt->name;
    loss.size = hurt->size;
    loss.ranges = pointers;
    loss.n_ranges = hurt->range_count;
    loss.more_ranges = hurt->more_ranges;
    loss.bytes = hurt->bytes;
    event.kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_LOSS;
    event.loss = &loss;
    exchange_write(&call->exchange, &event.base);
}

static void tell_done(struct check_call *call)
{
    const struct check_found *found = check_get_found(call->check);
    const struct check_sum *sum = &call->sum;
    Tidemark__V1__RepositoryCheckEvent event = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__INIT;
    Tidemark__V1__RepositoryCheckDone done = TIDEMARK__V1__REPOSITORY_CHECK_DONE__INIT;

    done.packs = sum->packs;
    done.bytes = sum->bytes;
    done.records = sum->records;
    done.points = sum->points;
    done.findings = sum->bad;
    done.losses = found->hurt_count + found->hurt_more;
    done.hurt_points = sum->hurt_points;
    done.tails = sum->tails;
    done.unknown = sum->unknown;
    done.misplaced = sum->misplaced;
    done.caches_wrong = sum->caches_wrong;
    done.log = (char *)(sum->log_damaged ? sum->log.text : ""); /* protobuf-c has no const */
    event.kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_DONE;
    event.done = &done;
    if (sum->bad > 0 || sum->log_damaged)
        log_warning(call->exchange.context->log,
                    "a check has found damage: %" PRIu64 " findings, %" PRIu64
                    " restore points hurt%s%s",
                    sum->bad, sum->hurt_points, sum->log_damaged ? "; the log: " : "",
                    sum->log_damaged ? sum->log.text : "");
    exchange_answer(&call->exchange, &event.base);
}

/* The next of all that was found. */
static void tell_next(struct check_call *call)
{
    const struct check_found *found = check_get_found(call->check);

    if (!exchange_can_write(&call->exchange))
        return;
    if (call->bad < found->bad_count)
        tell_bad(call, &found->bad[call->bad++]);
    else if (call->hurt < found->hurt_count)
        tell_hurt(call, &found->hurt[call->hurt++]);
    else
        tell_done(call);
}

/* ---- Behind the packs ------------------------------------------------------------------------ */

static void submit_step(struct check_call *call);

static void run_step(struct job *job)
{
    struct check_call *call = of_exchange(job->exchange);

    job->status = check_step(call->check, &call->step_end, &job->err);
    call->sum = check_get_sum(call->check);
}

static void step_done(struct job *job)
{
    struct check_call *call = of_exchange(job->exchange);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        exchange_finish(job->exchange, job->status, &job->err);
    } else if (call->step_end) {
        call->telling = true;
        tell_next(call);
    } else {
        submit_step(call);
    }
}

static void submit_step(struct check_call *call)
{
    exchange_submit(&call->exchange, EXCHANGE_STORE, &call->job, 1, run_step, step_done);
}

/* ---- The packs ------------------------------------------------------------------------------- */

static void submit_turn(struct check_call *call, struct turn *turn);

/* On the store's thread: one stretch is taken, the next one read. */
static void run_turn(struct job *job)
{
    struct turn *turn = (struct turn *)job; /* its first member */
    struct check *check = of_exchange(job->exchange)->check;
    bool end = false;

    if (turn->filled)
        job->status = check_take(check, turn->chunk, &job->err);
    if (job->status == STATUS_OK)
        job->status = check_fill(check, turn->chunk, &end, &job->err);
    turn->filled = job->status == STATUS_OK && !end;
    turn->sum = check_get_sum(check);
}

/* On a worker. */
static void run_prove(struct job *job)
{
    struct turn *turn = (struct turn *)job; /* its first member */

    job->status = check_prove(of_exchange(job->exchange)->check, turn->chunk, &job->err);
}

static void prove_done(struct job *job)
{
    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK)
        exchange_finish(job->exchange, job->status, &job->err);
    else
        submit_turn(of_exchange(job->exchange), (struct turn *)job); /* its first member */
}

static void turn_done(struct job *job)
{
    struct turn *turn = (struct turn *)job; /* its first member */
    struct check_call *call = of_exchange(job->exchange);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        exchange_finish(job->exchange, job->status, &job->err);
        return;
    }
    call->sum = turn->sum;
    tell_progress(call);
    if (turn->filled)
        exchange_submit(job->exchange, EXCHANGE_COMPUTE, job, CHECK_READ_SIZE, run_prove,
                        prove_done);
    else if (++call->idle == CHUNKS)
        submit_step(call);
}

static void submit_turn(struct check_call *call, struct turn *turn)
{
    exchange_submit(&call->exchange, EXCHANGE_STORE, &turn->job, 1, run_turn, turn_done);
}

/* ---- The call -------------------------------------------------------------------------------- */

static void run_begin(struct job *job)
{
    struct check_call *call = of_exchange(job->exchange);
    const struct service_context *context = job->exchange->context;
    const struct check_options options = {.store = context->store,
                                          .clock = context->clock,
                                          .keyless = call->keyless};

    job->status = check_new(&options, &call->check, &job->err);
    for (size_t i = 0; job->status == STATUS_OK && i < CHUNKS; i++)
        job->status = check_chunk_new(&call->turns[i].chunk, &job->err);
}

static void begin_done(struct job *job)
{
    struct check_call *call = of_exchange(job->exchange);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        exchange_finish(job->exchange, job->status, &job->err);
        return;
    }
    for (size_t i = 0; i < CHUNKS; i++)
        submit_turn(call, &call->turns[i]);
}

/* Two would read the same, and take the memory of two. */
static bool another_runs(const struct exchange *exchange)
{
    for (const struct exchange *other = *exchange->context->calls; other != NULL;
         other = other->next)
        if (other != exchange && other->ops == &check_ops && exchange_live(other) &&
            ((const struct check_call *)other)->began) /* its first member */
            return true;
    return false;
}

static void check_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct check_call *call = of_exchange(exchange);
    struct error err = {0};

    if (message == NULL) {
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "a check has no request"), &err);
        return;
    }
    call->keyless = ((Tidemark__V1__RepositoryCheckRequest *)message)->keyless;
    rpc_message_free(message);
    if (another_runs(exchange)) {
        exchange_finish(exchange,
                        error_set(&err, STATUS_PRECONDITION,
                                  "another check of the repository runs already"),
                        &err);
        return;
    }
    call->began = true;
    call->told_ms = clock_now_ms(exchange->context->clock);
    exchange_submit(exchange, EXCHANGE_STORE, &call->job, 1, run_begin, begin_done);
}

static void check_written(struct exchange *exchange)
{
    struct check_call *call = of_exchange(exchange);

    if (call->telling)
        tell_next(call);
}

static void check_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void check_call_free(struct exchange *exchange)
{
    struct check_call *call = of_exchange(exchange);

    for (size_t i = 0; i < CHUNKS; i++)
        check_chunk_free(call->turns[i].chunk);
    check_free(call->check);
}

static const struct exchange_ops check_ops = {.name = "repository check",
                                              .message = check_message,
                                              .written = check_written,
                                              .over = check_over,
                                              .free = check_call_free};

void repository_check_accept(void *context, struct rpc_call *call,
                             const struct rpc_call_events **ret_events, void **ret_owner)
{
    struct exchange *exchange = exchange_accept(context, &check_ops, sizeof(struct check_call),
                                                call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
