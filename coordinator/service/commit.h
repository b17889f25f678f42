/* coordinator/service/commit.h: Data.Commit: makes the restore point of a task whose disk is uploaded, once what the host has
 * signed agrees with what this coordinator knows itself. A repeated call gets the same answer. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_COMMIT_H
#define COORDINATOR_SERVICE_COMMIT_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void commit_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);

#endif
