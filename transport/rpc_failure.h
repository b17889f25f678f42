/* transport/rpc_failure.h: why a client's call failed, in one sentence. Private to transport. */
#ifndef TRANSPORT_RPC_FAILURE_H
#define TRANSPORT_RPC_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What a call ended with. */
struct rpc_failure {
    int code;            /* gRPC's status; not 0 */
    const char *text;    /* its details */
    bool by_server;      /* said by our server, not found by gRPC */
    const char *address; /* of the server */
    uint64_t timeout_ms; /* of the call; 0: none */
};

/* Sets ERR, and returns its status. */
enum status rpc_failure_set(struct error *err, const struct rpc_failure *failure);

#endif
