#include <stddef.h>

#include "transport/rpc.h"
#include "transport/rpc_call.h"

/* The call's end is what DONE waits for; ERR keeps what went wrong before, on this side. */

static void give_up(struct rpc_unary *unary, const struct error *err)
{
    if (unary->err.status == STATUS_OK)
        unary->err = *err;
    rpc_call_cancel(unary->call);
}

static void unary_ended(void *owner, struct rpc_call *call, enum status status,
                        const struct error *err)
{
    struct rpc_unary *unary = owner;
    struct error own = unary->err;
    ProtobufCMessage *answer = unary->answer;

    unary->call = NULL;
    unary->answer = NULL;
    if (own.status != STATUS_OK)
        status = own.status;
    else if (status != STATUS_OK)
        own = *err;
    else if (answer == NULL)
        status = error_set(&own, STATUS_UNKNOWN, "the server ended the call without an answer");
    rpc_call_free(call);
    if (status == STATUS_OK) {
        unary->done(unary, STATUS_OK, answer, NULL);
        return;
    }
    rpc_message_free(answer);
    unary->done(unary, status, NULL, &own);
}

static const struct rpc_call_events unary_events = {.ended = unary_ended};

static void unary_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                       const struct error *err)
{
    struct rpc_unary *unary = (struct rpc_unary *)((char *)read - offsetof(struct rpc_unary, read));
    struct error own = {0};

    if (status == STATUS_INVALID || status == STATUS_EXHAUSTED) {
        give_up(unary, err); /* of this read, as a rule; of the call: then this changes nothing */
        return;
    }
    if (status != STATUS_OK || message == NULL)
        return;
    if (unary->answer != NULL) {
        rpc_message_free(message);
        (void)error_set(&own, STATUS_INVALID, "the server gave more than one answer");
        give_up(unary, &own);
        return;
    }
    unary->answer = message;
    rpc_read_start(unary->call, read); /* that nothing follows */
}

static void unary_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct rpc_unary *unary =
        (struct rpc_unary *)((char *)write - offsetof(struct rpc_unary, write));

    if (status == STATUS_OK)
        rpc_write_end_start(unary->call, &unary->write_end);
    else if (status == STATUS_INVALID || status == STATUS_EXHAUSTED)
        give_up(unary, err);
}

static void unary_all_written(struct rpc_write *write, enum status status, const struct error *err)
{
    (void)write; /* if it failed, the call's end says why */
    (void)status;
    (void)err;
}

static void unary_refused(struct loop_task *task)
{
    struct rpc_unary *unary =
        (struct rpc_unary *)((char *)task - offsetof(struct rpc_unary, refusal));
    struct error err = unary->err;

    unary->done(unary, err.status, NULL, &err);
}

void rpc_unary_start(struct rpc_channel *channel, struct rpc_method method,
                     const ProtobufCMessage *request, uint64_t timeout_ms, struct rpc_unary *unary)
{
    unary->write.done = unary_written;
    unary->write_end.done = unary_all_written;
    unary->read.done = unary_read;
    unary->refusal.run = unary_refused;
    unary->answer = NULL;
    unary->err = (struct error){0};
    if (rpc_call_open(channel, method, timeout_ms, &unary_events, unary, &unary->call,
                      &unary->err) != STATUS_OK) {
        unary->call = NULL;
        loop_post(rpc_channel_loop(channel), &unary->refusal);
        return;
    }
    rpc_read_start(unary->call, &unary->read);
    rpc_write_start(unary->call, &unary->write, request);
}

void rpc_unary_cancel(struct rpc_unary *unary)
{
    if (unary->call != NULL)
        rpc_call_cancel(unary->call);
}
