/* coordinator/service/export.h: Console.Export: gives out the disk of a point, block by block as it lies packed in the store,
 * each proved before. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_EXPORT_H
#define COORDINATOR_SERVICE_EXPORT_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void export_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);

#endif
