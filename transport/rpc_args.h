/* transport/rpc_args.h: how gRPC is set up on both ends of a connection. Private to transport. Thread: any. */
#ifndef TRANSPORT_RPC_ARGS_H
#define TRANSPORT_RPC_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>

enum { RPC_ARGS_MAX = 24 };

/* Arguments for a server or a channel; good as long as it stays in its place. */
struct rpc_args {
    grpc_arg list[RPC_ARGS_MAX];
    grpc_channel_args args;
    grpc_resource_quota *quota;
};

/* What both ends need: limits, keepalive, nothing that gRPC would do by itself. rpc_args_deinit() ends it. */
void rpc_args_init(struct rpc_args *args, size_t message_max, size_t memory_max);
void rpc_args_add(struct rpc_args *args, const char *name, int value);
void rpc_args_deinit(struct rpc_args *args);

/* Is ADDRESS "host:port" or "[::1]:port", and nothing that gRPC would take for another kind of target? Port 0
 * only where ANY_PORT. */
bool rpc_address_is_good(const char *address, bool any_port);

#endif
