#include "transport/rpc_args.h"

#include <limits.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"
#include "transport/rpc.h"

enum {
    PING_MS = 20 * 1000, /* after that long without a word from the peer it is asked for one */
    PING_ANSWER_MS = 20 * 1000,  /* and after that without an answer the connection is lost */
    PING_ALLOWED_MS = 10 * 1000, /* a peer that pings more often than so is cut off */
};

void rpc_args_add(struct rpc_args *args, const char *name, int value)
{
    INVARIANT(args->args.num_args < RPC_ARGS_MAX);
    grpc_arg *arg = &args->list[args->args.num_args++];

    arg->type = GRPC_ARG_INTEGER;
    arg->key = (char *)name; /* gRPC only reads it */
    arg->value.integer = value;
}

static void add_quota(struct rpc_args *args, size_t memory_max)
{
    args->quota = grpc_resource_quota_create("connections");
    grpc_resource_quota_resize(args->quota, memory_max);
    INVARIANT(args->args.num_args < RPC_ARGS_MAX);
    grpc_arg *arg = &args->list[args->args.num_args++];

    arg->type = GRPC_ARG_POINTER;
    arg->key = (char *)GRPC_ARG_RESOURCE_QUOTA; /* gRPC only reads it */
    arg->value.pointer.p = args->quota;
    arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
}

void rpc_args_init(struct rpc_args *args, size_t message_max, size_t memory_max)
{
    INVARIANT(message_max <= INT_MAX);
    args->args = (grpc_channel_args){.num_args = 0, .args = args->list};
    add_quota(args, memory_max);
    rpc_args_add(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)message_max);
    rpc_args_add(args, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, (int)message_max);
    /* A compressed message of few bytes could become a huge one. */
    rpc_args_add(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    rpc_args_add(args, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    rpc_args_add(args, GRPC_ARG_KEEPALIVE_TIME_MS, PING_MS);
    rpc_args_add(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, PING_ANSWER_MS);
    rpc_args_add(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_args_add(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0); /* any number */
    rpc_args_add(args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_ALLOWED_MS);
    rpc_args_add(args, GRPC_ARG_ENABLE_RETRIES, 0);
    rpc_args_add(args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    rpc_args_add(args, GRPC_ARG_ENABLE_CHANNELZ, 0);
}

void rpc_args_deinit(struct rpc_args *args)
{
    grpc_resource_quota_unref(args->quota);
}

bool rpc_address_is_good(const char *address, bool any_port)
{
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;

    if (colon == NULL || colon == address || strlen(address) >= RPC_ADDRESS_SIZE ||
        !text_parse_u64(colon + 1, &port) || port > UINT16_MAX || (port == 0 && !any_port))
        return false;
    if (address[0] == '[')
        return colon[-1] == ']' && colon - address > 2 &&
               strspn(address + 1, "0123456789abcdefABCDEF:.%") == (size_t)(colon - address) - 2;
    return strspn(address, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") ==
           (size_t)(colon - address);
}
