/* transport/rpc_call.h: a call as servers and channels make it. Private to transport. Thread: the loop's. */
#ifndef TRANSPORT_RPC_CALL_H
#define TRANSPORT_RPC_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "transport/rpc.h"

/* The calls of a server or channel. */
struct rpc_calls {
    struct rpc *rpc;
    struct rpc_call *first;
    size_t count;
    void (*freed)(struct rpc_calls *calls, bool accepted); /* one of them; ACCEPTED: see below */
};

/* The trailing metadata that says: this status is our server's own, its text is for people. What gRPC finds
 * by itself does not bear it. */
#define RPC_STATUS_MARK "tidemark-status"

/* A call that a client made; takes CALL over. *ret_call has no events yet (rpc_call_accept()), or was refused
 * by rpc_call_refuse(). */
NODISCARD enum status rpc_call_new_at_server(struct rpc_calls *calls, grpc_call *call,
                                             struct rpc_call **ret_call, struct error *err);

/* Puts the name of who calls in place. STATUS_UNAUTHENTICATED: there is none that is fit. */
NODISCARD enum status rpc_call_name_peer(struct rpc_call *call, struct error *err);

/* Lets SERVICE's accept() have it; messages have up to MESSAGE_MAX bytes. */
void rpc_call_accept(struct rpc_call *call, const struct rpc_service *service, size_t message_max);

/* Ends it with STATUS and ERR's text; it frees itself. */
void rpc_call_refuse(struct rpc_call *call, enum status status, const struct error *err);

/* What a call at a client is made of. */
struct rpc_call_start {
    grpc_channel *channel;
    const char *address; /* good as long as the call */
    struct rpc_method method;
    size_t message_max;
    uint64_t timeout_ms;
    const struct rpc_call_events *events;
    void *owner;
};

/* STATUS_EXHAUSTED: no memory. */
NODISCARD enum status rpc_call_new_at_client(struct rpc_calls *calls,
                                             const struct rpc_call_start *start,
                                             struct rpc_call **ret_call, struct error *err);

/* The loop that CHANNEL's callbacks come on. */
struct loop *rpc_channel_loop(const struct rpc_channel *channel);

void rpc_calls_cancel(struct rpc_calls *calls);

#endif
