/* coordinator/service/repository_check.h: Console.RepositoryCheck: reads the whole repository once, and tells what is wrong and what
 * that costs which point. In short turns on the store's thread, so that backups go on. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_REPOSITORY_CHECK_H
#define COORDINATOR_SERVICE_REPOSITORY_CHECK_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void repository_check_accept(void *context, struct rpc_call *call,
                             const struct rpc_call_events **ret_events, void **ret_owner);

#endif
