/* coordinator/service/repository_status.h: Console.RepositoryStatus: what is there, how much, since when not proved. Thread: the
 * loop's. */
#ifndef COORDINATOR_SERVICE_REPOSITORY_STATUS_H
#define COORDINATOR_SERVICE_REPOSITORY_STATUS_H

#include "proto/tidemark/v1/console.pb-c.h"
#include "transport/rpc.h"
#include "coordinator/store/store.h"

/* STATUS, of the repository ID, as a message that borrows from ID. Any thread. */
Tidemark__V1__RepositoryStatusAnswer repository_status_answer(const struct store_status *status,
                                                              const struct random_id *id);

/* For rpc_service; CONTEXT is a const struct service_context. */
void repository_status_accept(void *context, struct rpc_call *call,
                              const struct rpc_call_events **ret_events, void **ret_owner);

#endif
