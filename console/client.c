#include "console/client.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "proto/tidemark/v1/console.pb-c.h"

/* For a question and its answer. Long, because a repository's catalogue may be on slow disks. */
enum { ASK_TIMEOUT_MS = 60000 };

/* Two or three messages on their way, and what gRPC holds besides. */
#define CHANNEL_MEMORY_MAX (64 * (size_t)1024 * 1024)

struct client {
    struct loop_task on_closed; /* first: that task is a client */
    struct loop *loop;
    struct rpc_channel *channel;
    bool closed;
    bool stopped;

    /* The question, and its answer. */
    struct rpc_unary unary;
    bool asking;
    ProtobufCMessage *answer;

    /* The stream. */
    struct rpc_call *call;
    struct rpc_write write;
    struct rpc_read read;
    struct client_reader *reader;
    bool reading;
    bool exhausted; /* the coordinator will send nothing more */

    /* How the one or the other has ended; the first failure stays. */
    bool ended;
    enum status status;
    struct error err;
};

static void fail(struct client *client, enum status status, const struct error *err)
{
    if (client->status == STATUS_OK && status != STATUS_OK) {
        client->status = status;
        client->err = *err;
    }
}

static void fail_stopped(struct client *client)
{
    struct error err = {0};

    fail(client, error_set(&err, STATUS_CANCELLED, "stopped on request"), &err);
}

static void channel_closed(struct loop_task *task)
{
    struct client *client = (struct client *)task; /* its first member */

    client->closed = true;
    loop_stop(client->loop);
}

/* A loop that cannot run is a broken machine; nothing that this process still does would come to an end. */
static void run_until(struct client *client, const bool *done)
{
    while (!*done) {
        struct error err = {0};

        INVARIANT(loop_run(client->loop, &err) == STATUS_OK);
    }
}

enum status client_new(struct loop *loop, struct rpc *rpc, const char *address,
                       const struct credentials *credentials, struct client **ret_client,
                       struct error *err)
{
    const struct rpc_channel_options options = {.address = address,
                                                .credentials = credentials,
                                                .message_max = RPC_DATA_MESSAGE_MAX,
                                                .memory_max = CHANNEL_MEMORY_MAX};
    struct client *client = memory_new(1, sizeof(*client));
    enum status st = STATUS_OK;

    if (client == NULL)
        return error_set_no_memory(err, sizeof(*client), "a connection to the coordinator");
    client->loop = loop;
    client->on_closed.run = channel_closed;
    st = rpc_channel_new(rpc, &options, &client->channel, err);
    if (st != STATUS_OK) {
        memory_free(client);
        return st;
    }
    *ret_client = client;
    return STATUS_OK;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    rpc_channel_close(client->channel, &client->on_closed);
    run_until(client, &client->closed);
    memory_free(client);
}

void client_stop(struct client *client)
{
    client->stopped = true;
    if (client->call != NULL) {
        fail_stopped(client);
        rpc_call_cancel(client->call);
    }
    if (client->asking) {
        fail_stopped(client);
        rpc_unary_cancel(&client->unary);
    }
}

/* Before each call: nothing of the last one is left. */
static enum status begin(struct client *client, struct error *err)
{
    if (client->stopped)
        return error_set(err, STATUS_CANCELLED, "stopped on request");
    client->ended = false;
    client->status = STATUS_OK;
    client->err = (struct error){0};
    return STATUS_OK;
}

static enum status result(const struct client *client, struct error *err)
{
    if (client->status != STATUS_OK)
        *err = client->err;
    return client->status;
}

static void answered(struct rpc_unary *unary, enum status status, ProtobufCMessage *answer,
                     const struct error *err)
{
    struct client *client =
        (struct client *)(void *)((char *)unary - offsetof(struct client, unary));

    fail(client, status, err);
    client->answer = answer;
    client->asking = false;
    client->ended = true;
    loop_stop(client->loop);
}

enum status client_ask(struct client *client, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_answer, struct error *err)
{
    const struct rpc_method asked = {&tidemark__v1__console__descriptor, method};
    enum status st = begin(client, err);

    if (st != STATUS_OK)
        return st;
    client->unary = (struct rpc_unary){.done = answered};
    client->asking = true;
    rpc_unary_start(client->channel, asked, request, ASK_TIMEOUT_MS, &client->unary);
    run_until(client, &client->ended);
    st = result(client, err);
    if (st == STATUS_OK)
        *ret_answer = client->answer;
    else
        rpc_message_free(client->answer);
    client->answer = NULL;
    return st;
}

static void end_written(struct rpc_write *write, enum status status, const struct error *err)
{
    /* That the call has failed is heard from ended(), with the reason. */
    (void)write;
    (void)status;
    (void)err;
}

static void request_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct client *client =
        (struct client *)(void *)((char *)write - offsetof(struct client, write));

    if (status == STATUS_INVALID) { /* ours: the message is too large, the call goes on */
        client_end(client, err);
        return;
    }
    if (status != STATUS_OK)
        return; /* as above */
    client->write = (struct rpc_write){.done = end_written};
    rpc_write_end_start(client->call, &client->write);
}

static void message_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                         const struct error *err)
{
    struct client *client = (struct client *)(void *)((char *)read - offsetof(struct client, read));

    client->reading = false;
    if (status != STATUS_OK) { /* malformed: the call goes on, and nobody will read from it */
        client_end(client, err);
        return;
    }
    if (message == NULL) {
        client->exhausted = true; /* ended() comes, and says how */
        return;
    }
    client->reader->message(client->reader, message);
}

static void call_ended(void *owner, struct rpc_call *call, enum status status,
                       const struct error *err)
{
    struct client *client = owner;

    (void)call;
    fail(client, status, err);
    client->ended = true;
    loop_stop(client->loop);
}

enum status client_stream(struct client *client, const char *method,
                          const ProtobufCMessage *request, struct client_reader *reader,
                          struct error *err)
{
    static const struct rpc_call_events events = {.ended = call_ended};
    const struct rpc_method asked = {&tidemark__v1__console__descriptor, method};
    enum status st = begin(client, err);

    if (st != STATUS_OK)
        return st;
    st = rpc_call_open(client->channel, asked, 0, &events, client, &client->call, err);
    if (st != STATUS_OK)
        return st;
    client->reader = reader;
    client->reading = false;
    client->exhausted = false;
    client->write = (struct rpc_write){.done = request_written};
    rpc_write_start(client->call, &client->write, request);
    client_next(client);
    run_until(client, &client->ended);
    rpc_call_free(client->call);
    client->call = NULL;
    client->reader = NULL;
    return result(client, err);
}

bool client_unreachable(const struct client *client)
{
    /* What the coordinator itself answers is not gRPC's own. */
    return client->status == STATUS_UNAVAILABLE && client->err.kind == NATIVE_GRPC;
}

void client_next(struct client *client)
{
    if (client->call == NULL || client->ended || client->exhausted || client->reading ||
        client->status != STATUS_OK)
        return;
    client->reading = true;
    client->read = (struct rpc_read){.done = message_read};
    rpc_read_start(client->call, &client->read);
}

void client_end(struct client *client, const struct error *err)
{
    if (client->call == NULL || client->ended)
        return;
    fail(client, err->status, err);
    rpc_call_cancel(client->call);
}
