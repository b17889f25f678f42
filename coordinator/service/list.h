/* coordinator/service/list.h: Console.ListPoints: restore points, newest first, a page at a time. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_LIST_H
#define COORDINATOR_SERVICE_LIST_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void list_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                 void **ret_owner);

#endif
