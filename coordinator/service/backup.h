/* coordinator/service/backup.h: Console.Backup: starts a task on a host, tells how it goes, and how it ended. A call that is
 * given up cancels its task. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_BACKUP_H
#define COORDINATOR_SERVICE_BACKUP_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void backup_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);

#endif
