/* coordinator/service/upload.h: Data.Upload: one disk of one task, from its agent into the store. Blocks are looked up, asked for, proved
 * and appended as they come; the tree grows by whole offers, in order. What it came to is noted in the task
 * (tasks.h). Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_UPLOAD_H
#define COORDINATOR_SERVICE_UPLOAD_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void upload_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);

#endif
