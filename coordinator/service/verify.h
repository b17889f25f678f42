/* coordinator/service/verify.h: Console.Verify: reads all that points need, checks every sum, seal, id and signature, and tells what
 * is wrong. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_VERIFY_H
#define COORDINATOR_SERVICE_VERIFY_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void verify_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);

#endif
