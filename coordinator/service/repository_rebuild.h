/* coordinator/service/repository_rebuild.h: Console.RepositoryRebuild: all caches anew, from packs and log. It has the store's thread
 * for as long as it takes: everything else that wants the store waits. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_REPOSITORY_REBUILD_H
#define COORDINATOR_SERVICE_REPOSITORY_REBUILD_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void repository_rebuild_accept(void *context, struct rpc_call *call,
                               const struct rpc_call_events **ret_events, void **ret_owner);

#endif
