#include <limits.h>
#include <stdbool.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/rpc.h"
#include "transport/rpc_args.h"
#include "transport/rpc_call.h"
#include "transport/rpc_log.h"
#include "transport/rpc_tags.h"

enum {
    HANDSHAKE_MS = 20 * 1000, /* a stranger has for TLS */
    ARMED = 4,                /* calls that each queue waits for */
    REFUSED_MAX = 16,         /* calls of a connection beyond calls_max, while they are told so */
};

/* A call that is waited for. */
struct rpc_waiting {
    struct rpc_tag tag;
    struct rpc_server *server;
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct rpc_server {
    struct rpc_calls calls; /* first: what is the server's calls is a server */
    grpc_server *server;
    struct rpc_service *services;
    size_t service_count;
    size_t message_max;
    unsigned calls_max, accepted;
    unsigned port;
    struct rpc_waiting *waiting;
    size_t waiting_count, armed; /* armed: with gRPC now */
    struct rpc_tag shutdown;
    bool is_shut_down;
    struct loop_task *on_closed; /* NULL: it is not being closed */
};

/* ---- Calls that come in ----------------------------------------------------------------------- */

static void server_free(struct rpc_server *server)
{
    if (server->server != NULL)
        grpc_server_destroy(server->server);
    memory_free(server->waiting);
    memory_free(server->services);
    memory_free(server);
}

static void end_if_idle(struct rpc_server *server)
{
    struct rpc *rpc = server->calls.rpc;

    if (!server->is_shut_down || server->calls.count > 0 || server->armed > 0)
        return;
    loop_post(rpc_loop(rpc), server->on_closed);
    rpc_log_server_remove(rpc_log_of_grpc(rpc));
    server_free(server);
    rpc_user_remove(rpc);
}

static void call_freed(struct rpc_calls *calls, bool accepted)
{
    struct rpc_server *server = (struct rpc_server *)calls; /* its first member */

    if (accepted)
        server->accepted--;
    end_if_idle(server);
}

static void arm(struct rpc_waiting *waiting)
{
    waiting->call = NULL;
    grpc_call_details_init(&waiting->details);
    grpc_metadata_array_init(&waiting->metadata);
    waiting->server->armed++;
    rpc_give(&waiting->tag);
    /* It fails for wrong use only. */
    INVARIANT(grpc_server_request_call(waiting->server->server, &waiting->call, &waiting->details,
                                       &waiting->metadata, waiting->queue, waiting->queue,
                                       &waiting->tag) == GRPC_CALL_OK);
}

static const struct rpc_service *service_of(const struct rpc_server *server, grpc_slice path)
{
    for (size_t i = 0; i < server->service_count; i++) {
        const struct rpc_method *method = &server->services[i].method;
        char served[256];

        INVARIANT(
            text_format(served, sizeof(served), "/%s/%s", method->service->name, method->name));
        if (grpc_slice_str_cmp(path, served) == 0)
            return &server->services[i];
    }
    return NULL;
}

/* A new call for METHOD: to its service, or refused. */
static void take_call(struct rpc_server *server, grpc_call *grpc, grpc_slice path)
{
    const struct rpc_service *service = service_of(server, path);
    struct rpc_call *call = NULL;
    struct error err = {0};

    if (server->on_closed != NULL ||
        rpc_call_new_at_server(&server->calls, grpc, &call, &err) != STATUS_OK) {
        (void)grpc_call_cancel(grpc, NULL); /* it may be over already */
        grpc_call_unref(grpc);
        return;
    }
    enum status st = rpc_call_name_peer(call, &err);

    if (st == STATUS_OK && service == NULL)
        st = error_set(&err, STATUS_UNSUPPORTED, "this server does not know that method");
    else if (st == STATUS_OK && server->accepted >= server->calls_max)
        st = error_set(&err, STATUS_UNAVAILABLE, "this server has %u calls, as many as it may have",
                       server->accepted);
    if (st != STATUS_OK) {
        rpc_call_refuse(call, st, &err);
        return;
    }
    server->accepted++;
    rpc_call_accept(call, service, server->message_max);
}

static void waiting_done(struct rpc_tag *tag)
{
    struct rpc_waiting *waiting = (struct rpc_waiting *)tag; /* its first member */
    struct rpc_server *server = waiting->server;
    grpc_slice path = grpc_slice_ref(waiting->details.method);
    grpc_call *call = waiting->call;
    bool came = tag->success && call != NULL;

    grpc_call_details_destroy(&waiting->details);
    grpc_metadata_array_destroy(&waiting->metadata);
    server->armed--;
    if (server->on_closed == NULL)
        arm(waiting);
    if (came)
        take_call(server, call, path);
    grpc_slice_unref(path);
    end_if_idle(server);
}

/* ---- Start ----------------------------------------------------------------------------------- */

static enum status copy_services(struct rpc_server *server,
                                 const struct rpc_server_options *options, struct error *err)
{
    server->services = memory_new(options->service_count, sizeof(*server->services));
    if (server->services == NULL)
        return error_set_no_memory(err, options->service_count * sizeof(*server->services),
                                   "the services of a server");
    for (size_t i = 0; i < options->service_count; i++)
        server->services[i] = options->services[i];
    server->service_count = options->service_count;
    return STATUS_OK;
}

static void create(struct rpc_server *server, const struct rpc_server_options *options)
{
    struct rpc *rpc = server->calls.rpc;
    struct rpc_args args;

    rpc_args_init(&args, options->message_max, options->memory_max);
    rpc_args_add(&args, GRPC_ARG_ALLOW_REUSEPORT,
                 0); /* two servers on one port: each gets a part */
    rpc_args_add(&args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS);
    rpc_args_add(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)options->calls_max + REFUSED_MAX);
    server->server = grpc_server_create(&args.args, NULL);
    rpc_args_deinit(&args);
    for (unsigned i = 0; i < rpc_queue_count(rpc); i++)
        grpc_server_register_completion_queue(server->server, rpc_queue(rpc, i), NULL);
}

static enum status listen_on(struct rpc_server *server, const struct rpc_server_options *options,
                             struct error *err)
{
    grpc_ssl_pem_key_cert_pair pair = {.private_key = options->credentials->key_pem,
                                       .cert_chain = options->credentials->certificate_pem};
    grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_ex(
        options->credentials->ca_pem, &pair, 1,
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
    int port = grpc_server_add_http2_port(server->server, options->address, credentials);

    grpc_server_credentials_release(credentials);
    if (port <= 0)
        return error_set(err, STATUS_UNAVAILABLE,
                         "cannot listen on %s: it is in use, or not an address of this machine",
                         options->address);
    server->port = (unsigned)port;
    return STATUS_OK;
}

static void arm_all(struct rpc_server *server)
{
    for (size_t i = 0; i < server->waiting_count; i++) {
        struct rpc_waiting *waiting = &server->waiting[i];

        waiting->tag.done = waiting_done;
        waiting->server = server;
        waiting->queue = rpc_queue(server->calls.rpc, (unsigned)(i / ARMED));
        arm(waiting);
    }
}

static void shutdown_done(struct rpc_tag *tag)
{
    struct rpc_server *server =
        (struct rpc_server *)((char *)tag - offsetof(struct rpc_server, shutdown));

    server->is_shut_down = true;
    end_if_idle(server);
}

enum status rpc_server_new(struct rpc *rpc, const struct rpc_server_options *options,
                           struct rpc_server **ret_server, struct error *err)
{
    loop_assert(rpc_loop(rpc));
    INVARIANT(options->calls_max >= 1 && options->calls_max <= INT_MAX - REFUSED_MAX);
    if (!rpc_address_is_good(options->address, true))
        return error_set(err, STATUS_INVALID,
                         "%s is not an address; give host:port, such as 127.0.0.1:7701",
                         options->address);
    struct rpc_server *server = memory_new(1, sizeof(*server));
    enum status st = STATUS_OK;

    if (server == NULL)
        return error_set_no_memory(err, sizeof(*server), "a server");
    server->calls = (struct rpc_calls){.rpc = rpc, .freed = call_freed};
    server->message_max = options->message_max;
    server->calls_max = options->calls_max;
    server->shutdown.done = shutdown_done;
    server->waiting_count = (size_t)rpc_queue_count(rpc) * ARMED;
    server->waiting = memory_new(server->waiting_count, sizeof(*server->waiting));
    if (server->waiting == NULL) {
        st = error_set_no_memory(err, server->waiting_count * sizeof(*server->waiting),
                                 "the calls that a server waits for");
        goto out;
    }
    st = copy_services(server, options, err);
    if (st != STATUS_OK)
        goto out;
    create(server, options);
    st = listen_on(server, options, err);
    if (st != STATUS_OK)
        goto out;
    rpc_log_server_add(rpc_log_of_grpc(rpc));
    grpc_server_start(server->server);
    arm_all(server);
    rpc_user_add(rpc);
    *ret_server = server;
    server = NULL;
out:
    if (server != NULL)
        server_free(server);
    return st;
}

unsigned rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

void rpc_server_close(struct rpc_server *server, struct loop_task *on_closed)
{
    loop_assert(rpc_loop(server->calls.rpc));
    INVARIANT(server->on_closed == NULL);
    server->on_closed = on_closed;
    rpc_give(&server->shutdown);
    grpc_server_shutdown_and_notify(server->server, rpc_queue(server->calls.rpc, 0),
                                    &server->shutdown);
    rpc_calls_cancel(&server->calls);
    grpc_server_cancel_all_calls(server->server); /* those that nobody has taken yet, too */
}
