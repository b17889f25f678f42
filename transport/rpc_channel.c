#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/rpc.h"
#include "transport/rpc_args.h"
#include "transport/rpc_call.h"
#include "transport/rpc_tags.h"

enum {
    /* Pauses between attempts to connect; each is up to 1.6 times the one before. */
    PAUSE_FIRST_MS = 250, /* also what a channel's end may take: see end() */
    PAUSE_MAX_MS = 30 * 1000,
    ATTEMPT_MS = 20 * 1000, /* an attempt may take */
    SETTLE_MS = 1000,       /* of it, a channel's end waits for: see end_if_idle() */
};

struct rpc_channel {
    struct rpc_calls calls; /* first: what is the channel's calls is a channel */
    grpc_channel *channel;
    size_t message_max;
    char address[RPC_ADDRESS_SIZE];
    struct loop_task *on_closed; /* NULL: it is not being closed */
    struct rpc_tag settled; /* the attempt to connect that it was closed in is over, or SETTLE_MS */
};

/* True: CHANNEL is in an attempt to connect, and settled_done() follows. */
static bool settle(struct rpc_channel *channel)
{
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel->channel, 0);

    if (state != GRPC_CHANNEL_CONNECTING)
        return false;
    rpc_give(&channel->settled);
    grpc_channel_watch_connectivity_state(
        channel->channel, state,
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(SETTLE_MS, GPR_TIMESPAN)),
        rpc_queue(channel->calls.rpc, 0), &channel->settled);
    return true;
}

static void end(struct rpc_channel *channel)
{
    struct rpc *rpc = channel->calls.rpc;

    /* gRPC 1.51 keeps the timer of the pause before the next attempt, and with it the whole of gRPC, until it
     * has run out. This ends the pause; if the attempt that follows fails at once, there is one more, a first. */
    grpc_channel_reset_connect_backoff(channel->channel);
    grpc_channel_destroy(channel->channel);
    loop_post(rpc_loop(rpc), channel->on_closed);
    rpc_user_remove(rpc);
    memory_free(channel);
}

static void settled_done(struct rpc_tag *tag)
{
    end((struct rpc_channel *)((char *)tag - offsetof(struct rpc_channel, settled)));
}

/* Ends it at most once: a channel that is being closed opens no more calls. */
static void end_if_idle(struct rpc_channel *channel)
{
    if (channel->on_closed == NULL || channel->calls.count > 0)
        return;
    /* gRPC 1.51 may lose a connection that its channel is destroyed under between the handshake and the first
     * frames: it stays, and with it the whole of gRPC. Who is so near is let finish. */
    if (!settle(channel))
        end(channel);
}

static void call_freed(struct rpc_calls *calls, bool accepted)
{
    (void)accepted;
    end_if_idle((struct rpc_channel *)calls); /* its first member */
}

static grpc_channel *channel_of(const struct rpc_channel_options *options, const char *target)
{
    grpc_ssl_pem_key_cert_pair pair = {.private_key = options->credentials->key_pem,
                                       .cert_chain = options->credentials->certificate_pem};
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create(options->credentials->ca_pem, &pair, NULL, NULL);
    struct rpc_args args;

    rpc_args_init(&args, options->message_max, options->memory_max);
    rpc_args_add(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* a connection of its own */
    rpc_args_add(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_args_add(&args, GRPC_ARG_INHIBIT_HEALTH_CHECKING, 1);
    rpc_args_add(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, PAUSE_FIRST_MS);
    rpc_args_add(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, PAUSE_MAX_MS);
    rpc_args_add(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, ATTEMPT_MS);
    grpc_channel *channel = grpc_channel_create(target, credentials, &args.args);

    rpc_args_deinit(&args);
    grpc_channel_credentials_release(credentials);
    return channel;
}

enum status rpc_channel_new(struct rpc *rpc, const struct rpc_channel_options *options,
                            struct rpc_channel **ret_channel, struct error *err)
{
    char target[RPC_ADDRESS_SIZE + 16];

    loop_assert(rpc_loop(rpc));
    if (!rpc_address_is_good(options->address, false))
        return error_set(err, STATUS_INVALID,
                         "%s is not an address; give host:port, such as coordinator.example:7701",
                         options->address);
    struct rpc_channel *channel = memory_new(1, sizeof(*channel));

    if (channel == NULL)
        return error_set_no_memory(err, sizeof(*channel), "a connection");
    INVARIANT(text_format(channel->address, sizeof(channel->address), "%s", options->address));
    INVARIANT(text_format(target, sizeof(target), "dns:///%s", options->address));
    channel->calls = (struct rpc_calls){.rpc = rpc, .freed = call_freed};
    channel->message_max = options->message_max;
    channel->settled.done = settled_done;
    channel->channel = channel_of(options, target);
    rpc_user_add(rpc);
    *ret_channel = channel;
    return STATUS_OK;
}

void rpc_channel_close(struct rpc_channel *channel, struct loop_task *on_closed)
{
    loop_assert(rpc_loop(channel->calls.rpc));
    INVARIANT(channel->on_closed == NULL);
    channel->on_closed = on_closed;
    rpc_calls_cancel(&channel->calls);
    end_if_idle(channel);
}

enum status rpc_call_open(struct rpc_channel *channel, struct rpc_method method,
                          uint64_t timeout_ms, const struct rpc_call_events *events, void *owner,
                          struct rpc_call **ret_call, struct error *err)
{
    struct rpc_call_start start = {.channel = channel->channel,
                                   .address = channel->address,
                                   .method = method,
                                   .message_max = channel->message_max,
                                   .timeout_ms = timeout_ms,
                                   .events = events,
                                   .owner = owner};

    loop_assert(rpc_loop(channel->calls.rpc));
    INVARIANT(channel->on_closed == NULL);
    return rpc_call_new_at_client(&channel->calls, &start, ret_call, err);
}

struct loop *rpc_channel_loop(const struct rpc_channel *channel)
{
    return rpc_loop(channel->calls.rpc);
}
