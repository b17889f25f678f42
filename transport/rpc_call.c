#include "transport/rpc_call.h"

#include <stdbool.h>
#include <string.h>

#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/rpc_failure.h"
#include "transport/rpc_message.h"
#include "transport/rpc_tags.h"

/* Four kinds of batches of a call are with gRPC, at most one of each: its life (until its end is known), a
 * read, a write, and at the server its status. The call has ended once all of them are back. */
struct rpc_call {
    struct rpc_calls *calls;
    struct rpc_call *next, *back;
    grpc_call *call;
    bool at_server, accepted;
    const struct rpc_call_events *events;
    void *owner;
    const ProtobufCMessageDescriptor *reads, *writes;
    size_t message_max;
    const char *address;
    uint64_t timeout_ms;
    char peer[CREDENTIALS_NAME_SIZE];

    struct rpc_tag life;
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice details;
    int lost;       /* at the server: gRPC's "cancelled" */
    bool over;      /* life is back; at a client STATUS and ERR say how it ended */
    bool cancelled; /* by our side */
    bool ended;     /* its owner has been told */
    enum status status;
    struct error err;

    struct rpc_read *read; /* asked for, not done */
    struct rpc_tag read_tag;
    struct loop_task read_refused;
    grpc_byte_buffer *received;
    bool read_message; /* a message came, READ_STATUS says what of */
    bool read_ended;   /* none will come any more */
    bool read_broken;  /* a malformed one came */
    enum status read_status;
    ProtobufCMessage *message;
    struct error read_err;

    struct rpc_write *write;
    struct rpc_tag write_tag;
    struct loop_task write_refused;
    grpc_byte_buffer *sending;
    bool write_in_flight;
    bool write_ended; /* the client has said that it has written all */
    enum status write_status;
    struct error write_err;

    struct rpc_tag finish;
    bool finishing; /* rpc_call_finish() was called */
    bool finish_in_flight, finish_back, finish_sent;
    enum status finish_status;
    grpc_slice finish_text;
    grpc_metadata finish_mark;
};

/* ---- Its end --------------------------------------------------------------------------------- */

/* The last thing that a task of a call does: the owner may free it in ended(). */
static void end_if_over(struct rpc_call *call)
{
    if (call->ended || !call->over || call->read != NULL || call->write != NULL ||
        call->finishing != call->finish_back)
        return;
    call->ended = true;
    if (call->at_server && !(call->finish_sent && call->lost == 0))
        call->status = error_set(&call->err, STATUS_CANCELLED,
                                 call->cancelled ? "the call was cancelled"
                                                 : "the client or its connection went away");
    call->events->ended(call->owner, call, call->status,
                        call->status == STATUS_OK ? NULL : &call->err);
}

/* Why a read or a write does not succeed any more. */
static enum status set_lost(struct rpc_call *call, struct error *err)
{
    if (call->cancelled || call->finishing)
        return error_set(err, STATUS_CANCELLED, "the call was ended on this side");
    if (call->at_server)
        return error_set(
            err, STATUS_CANCELLED,
            "the client or its connection went away, or it sent a message of more than %zu bytes",
            call->message_max);
    if (call->over && call->status != STATUS_OK) {
        *err = call->err;
        return call->status;
    }
    return error_set(err, STATUS_CANCELLED, "the server has ended the call");
}

static void start_finish(struct rpc_call *call);
static void read_deliver(struct rpc_call *call);

static void life_done(struct rpc_tag *tag)
{
    struct rpc_call *call = (struct rpc_call *)((char *)tag - offsetof(struct rpc_call, life));

    call->over = true;
    if (!call->at_server && call->code != GRPC_STATUS_OK) {
        char *text = grpc_slice_to_c_string(call->details);
        struct rpc_failure failure = {.code = (int)call->code,
                                      .text = text,
                                      .address = call->address,
                                      .timeout_ms = call->timeout_ms};

        for (size_t i = 0; i < call->trailing.count; i++) {
            if (grpc_slice_str_cmp(call->trailing.metadata[i].key, RPC_STATUS_MARK) == 0)
                failure.by_server = true;
        }
        call->status = rpc_failure_set(&call->err, &failure);
        gpr_free(text);
    }
    if (call->read != NULL && call->read_ended)
        read_deliver(call);
    end_if_over(call);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void read_tell(struct rpc_call *call, enum status status, ProtobufCMessage *message,
                      const struct error *err)
{
    struct rpc_read *read = call->read;

    call->read = NULL;
    read->done(read, status, message, err);
}

/* No message came. */
static void read_deliver(struct rpc_call *call)
{
    struct error err = {0};

    if (call->read_broken) {
        err = call->read_err;
        read_tell(call, err.status, NULL, &err);
    } else if (!call->cancelled && !call->finishing &&
               (call->at_server ? call->read_status == STATUS_OK : call->status == STATUS_OK)) {
        read_tell(call, STATUS_OK, NULL, NULL);
    } else {
        enum status status = set_lost(call, &err);

        read_tell(call, status, NULL, &err);
    }
}

/* On a thread of gRPC's: unpacking is a part of the work that several cores share. */
static void read_work(struct rpc_tag *tag)
{
    struct rpc_call *call = (struct rpc_call *)((char *)tag - offsetof(struct rpc_call, read_tag));

    call->read_message = call->received != NULL;
    if (!call->read_message)
        return;
    call->read_status =
        rpc_message_unpack_buffer(call->reads, call->received, &call->message, &call->read_err);
    grpc_byte_buffer_destroy(call->received);
    call->received = NULL;
}

static void read_got(struct rpc_call *call)
{
    ProtobufCMessage *message = call->message;
    struct error err = {0};

    call->message = NULL;
    if (call->cancelled || call->finishing) {
        rpc_message_free(message);
        enum status status = set_lost(call, &err);

        read_tell(call, status, NULL, &err);
    } else if (call->read_status != STATUS_OK) {
        call->read_broken = true;
        err = call->read_err;
        read_tell(call, err.status, NULL, &err);
    } else {
        read_tell(call, STATUS_OK, message, NULL);
    }
}

static void read_done(struct rpc_tag *tag)
{
    struct rpc_call *call = (struct rpc_call *)((char *)tag - offsetof(struct rpc_call, read_tag));

    if (call->read_message) {
        read_got(call);
    } else {
        call->read_ended = true;
        call->read_status = tag->success && grpc_call_failed_before_recv_message(call->call) == 0
                                ? STATUS_OK
                                : STATUS_CANCELLED;
        /* A client's server has nothing more to send but its status, which is on its way. */
        if (call->at_server || call->over)
            read_deliver(call);
    }
    end_if_over(call);
}

static void read_refuse(struct loop_task *task)
{
    struct rpc_call *call =
        (struct rpc_call *)((char *)task - offsetof(struct rpc_call, read_refused));

    read_deliver(call);
    end_if_over(call);
}

void rpc_read_start(struct rpc_call *call, struct rpc_read *read)
{
    struct loop *loop = rpc_loop(call->calls->rpc);

    loop_assert(loop);
    INVARIANT(call->read == NULL && !call->ended);
    call->read = read;
    if (call->read_broken || call->cancelled || call->finishing ||
        (call->read_ended && (call->at_server || call->over))) {
        loop_post(loop, &call->read_refused);
        return;
    }
    if (call->read_ended)
        return; /* until life_done() */
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->received};

    rpc_batch_start(call->call, &op, 1, &call->read_tag);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_tell(struct rpc_call *call, enum status status, const struct error *err)
{
    struct rpc_write *write = call->write;

    call->write = NULL;
    write->done(write, status, err);
}

static void write_done(struct rpc_tag *tag)
{
    struct rpc_call *call = (struct rpc_call *)((char *)tag - offsetof(struct rpc_call, write_tag));
    struct error err = {0};
    enum status status = STATUS_OK;

    grpc_byte_buffer_destroy(call->sending); /* NULL is fine */
    call->sending = NULL;
    call->write_in_flight = false;
    if (!tag->success || call->cancelled || call->finishing)
        status = set_lost(call, &err);
    if (call->finishing)
        start_finish(call);
    write_tell(call, status, status == STATUS_OK ? NULL : &err);
    end_if_over(call);
}

static void write_refuse(struct loop_task *task)
{
    struct rpc_call *call =
        (struct rpc_call *)((char *)task - offsetof(struct rpc_call, write_refused));
    struct error err = call->write_err;

    write_tell(call, err.status, &err);
    end_if_over(call);
}

/* Says it on the loop, later. */
static void write_refuse_later(struct rpc_call *call)
{
    loop_post(rpc_loop(call->calls->rpc), &call->write_refused);
}

/* False: nothing may be written any more, and the owner will be told. */
static bool write_begin(struct rpc_call *call, struct rpc_write *write)
{
    loop_assert(rpc_loop(call->calls->rpc));
    INVARIANT(call->write == NULL && !call->ended && !call->write_ended);
    call->write = write;
    if (!call->cancelled && !call->finishing && !call->over)
        return true;
    (void)set_lost(call, &call->write_err);
    write_refuse_later(call);
    return false;
}

void rpc_write_start(struct rpc_call *call, struct rpc_write *write,
                     const ProtobufCMessage *message)
{
    if (!write_begin(call, write))
        return;
    INVARIANT(message->descriptor == call->writes);
    if (rpc_message_pack(message, call->message_max, &call->sending, &call->write_err) !=
        STATUS_OK) {
        write_refuse_later(call);
        return;
    }
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->sending};

    call->write_in_flight = true;
    rpc_batch_start(call->call, &op, 1, &call->write_tag);
}

void rpc_write_end_start(struct rpc_call *call, struct rpc_write *write)
{
    INVARIANT(!call->at_server);
    if (!write_begin(call, write))
        return;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

    call->write_ended = true;
    call->write_in_flight = true;
    rpc_batch_start(call->call, &op, 1, &call->write_tag);
}

/* ---- Finishing, cancelling --------------------------------------------------------------------- */

static void finish_done(struct rpc_tag *tag)
{
    struct rpc_call *call = (struct rpc_call *)((char *)tag - offsetof(struct rpc_call, finish));

    call->finish_in_flight = false;
    call->finish_back = true;
    call->finish_sent = tag->success;
    end_if_over(call);
}

/* No write is with gRPC: what was written goes first. */
static void start_finish(struct rpc_call *call)
{
    call->finish_mark.key = grpc_slice_from_static_string(RPC_STATUS_MARK);
    call->finish_mark.value = grpc_slice_from_static_string("1");
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

    op.data.send_status_from_server.status = (grpc_status_code)call->finish_status;
    op.data.send_status_from_server.status_details = &call->finish_text;
    op.data.send_status_from_server.trailing_metadata_count = 1;
    op.data.send_status_from_server.trailing_metadata = &call->finish_mark;
    call->finish_in_flight = true;
    rpc_batch_start(call->call, &op, 1, &call->finish);
}

void rpc_call_finish(struct rpc_call *call, enum status status, const struct error *err)
{
    loop_assert(rpc_loop(call->calls->rpc));
    INVARIANT(call->at_server && !call->finishing);
    INVARIANT(status == STATUS_OK || err != NULL);
    if (call->ended)
        return;
    call->finishing = true;
    call->finish_status = status;
    if (status != STATUS_OK)
        call->finish_text = grpc_slice_from_copied_string(err->text);
    if (!call->write_in_flight)
        start_finish(call);
}

void rpc_call_cancel(struct rpc_call *call)
{
    loop_assert(rpc_loop(call->calls->rpc));
    if (call->over || call->cancelled)
        return;
    call->cancelled = true;
    INVARIANT(grpc_call_cancel(call->call, NULL) == GRPC_CALL_OK);
}

void rpc_calls_cancel(struct rpc_calls *calls)
{
    for (struct rpc_call *call = calls->first; call != NULL; call = call->next)
        rpc_call_cancel(call);
}

/* ---- Making, freeing --------------------------------------------------------------------------- */

static struct rpc_call *call_new(struct rpc_calls *calls, struct error *err)
{
    struct rpc_call *call = memory_new(1, sizeof(*call));

    if (call == NULL) {
        (void)error_set_no_memory(err, sizeof(*call), "a call");
        return NULL;
    }
    call->calls = calls;
    call->next = calls->first;
    if (call->next != NULL)
        call->next->back = call;
    calls->first = call;
    calls->count++;
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->details = grpc_empty_slice();
    call->finish_text = grpc_empty_slice();
    call->life.done = life_done;
    call->read_tag.work = read_work;
    call->read_tag.done = read_done;
    call->read_refused.run = read_refuse;
    call->write_tag.done = write_done;
    call->write_refused.run = write_refuse;
    call->finish.done = finish_done;
    return call;
}

void rpc_call_free(struct rpc_call *call)
{
    if (call == NULL)
        return;
    struct rpc_calls *calls = call->calls;
    bool accepted = call->accepted;

    loop_assert(rpc_loop(calls->rpc));
    INVARIANT(call->ended);
    if (call->next != NULL)
        call->next->back = call->back;
    if (call->back != NULL)
        call->back->next = call->next;
    else
        calls->first = call->next;
    calls->count--;
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->details);
    grpc_slice_unref(call->finish_text);
    grpc_call_unref(call->call);
    memory_free(call);
    calls->freed(calls, accepted);
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->peer;
}

static const ProtobufCMethodDescriptor *method_of(struct rpc_method method)
{
    const ProtobufCMethodDescriptor *found =
        protobuf_c_service_descriptor_get_method_by_name(method.service, method.name);

    INVARIANT(found != NULL);
    return found;
}

/* ---- At the server ---------------------------------------------------------------------------- */

enum status rpc_call_new_at_server(struct rpc_calls *calls, grpc_call *grpc,
                                   struct rpc_call **ret_call, struct error *err)
{
    struct rpc_call *call = call_new(calls, err);

    if (call == NULL)
        return err->status;
    call->call = grpc;
    call->at_server = true;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                       .data.recv_close_on_server.cancelled = &call->lost}};

    rpc_batch_start(grpc, ops, 2, &call->life);
    *ret_call = call;
    return STATUS_OK;
}

/* A common name is what struct credentials allows, and the certificate has one, not several. */
enum status rpc_call_name_peer(struct rpc_call *call, struct error *err)
{
    grpc_auth_context *auth = grpc_call_auth_context(call->call);
    bool good = false;

    if (auth != NULL && grpc_auth_context_peer_is_authenticated(auth) != 0) {
        grpc_auth_property_iterator names =
            grpc_auth_context_find_properties_by_name(auth, GRPC_X509_CN_PROPERTY_NAME);
        const grpc_auth_property *name = grpc_auth_property_iterator_next(&names);

        good = name != NULL && name->value_length > 0 && name->value_length < sizeof(call->peer) &&
               grpc_auth_property_iterator_next(&names) == NULL;
        for (size_t i = 0; good && i < name->value_length; i++)
            good = name->value[i] >= ' ' && name->value[i] <= '~';
        if (good)
            memcpy(call->peer, name->value, name->value_length); /* zeroed: ends in a NUL */
    }
    grpc_auth_context_release(auth);
    if (!good)
        return error_set(err, STATUS_UNAUTHENTICATED,
                         "the client's certificate bears no name of 1 to %d printable characters",
                         CREDENTIALS_NAME_SIZE - 1);
    return STATUS_OK;
}

void rpc_call_accept(struct rpc_call *call, const struct rpc_service *service, size_t message_max)
{
    const ProtobufCMethodDescriptor *method = method_of(service->method);

    call->accepted = true;
    call->reads = method->input;
    call->writes = method->output;
    call->message_max = message_max;
    service->accept(service->context, call, &call->events, &call->owner);
    INVARIANT(call->events != NULL);
}

static void refused_ended(void *owner, struct rpc_call *call, enum status status,
                          const struct error *err)
{
    (void)owner;
    (void)status; /* whether it has heard it does not matter any more */
    (void)err;
    rpc_call_free(call);
}

static const struct rpc_call_events refused_events = {.ended = refused_ended};

void rpc_call_refuse(struct rpc_call *call, enum status status, const struct error *err)
{
    call->events = &refused_events;
    rpc_call_finish(call, status, err);
}

/* ---- At the client ---------------------------------------------------------------------------- */

static void start_life_at_client(struct rpc_call *call)
{
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};

    ops[1].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    ops[2].data.recv_status_on_client.trailing_metadata = &call->trailing;
    ops[2].data.recv_status_on_client.status = &call->code;
    ops[2].data.recv_status_on_client.status_details = &call->details;
    rpc_batch_start(call->call, ops, 3, &call->life);
}

enum status rpc_call_new_at_client(struct rpc_calls *calls, const struct rpc_call_start *start,
                                   struct rpc_call **ret_call, struct error *err)
{
    const ProtobufCMethodDescriptor *method = method_of(start->method);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    char path[256];

    INVARIANT(text_format(path, sizeof(path), "/%s/%s", start->method.service->name, method->name));
    struct rpc_call *call = call_new(calls, err);

    if (call == NULL)
        return err->status;
    call->accepted = true;
    call->events = start->events;
    call->owner = start->owner;
    call->reads = method->output;
    call->writes = method->input;
    call->message_max = start->message_max;
    call->address = start->address;
    call->timeout_ms = start->timeout_ms;
    if (start->timeout_ms > 0 && start->timeout_ms < INT64_MAX / GPR_NS_PER_MS)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis((int64_t)start->timeout_ms, GPR_TIMESPAN));
    grpc_slice name = grpc_slice_from_copied_string(path);

    call->call = grpc_channel_create_call(start->channel, NULL, 0, rpc_next_queue(calls->rpc), name,
                                          NULL, deadline, NULL);
    grpc_slice_unref(name);
    start_life_at_client(call);
    *ret_call = call;
    return STATUS_OK;
}
