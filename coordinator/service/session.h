/* coordinator/service/session.h: Agent.Session: the line that an agent keeps open: hellos, commands down, progress up. Its end
 * ends its host's tasks. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_SESSION_H
#define COORDINATOR_SERVICE_SESSION_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void session_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                    void **ret_owner);

#endif
