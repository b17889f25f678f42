/* coordinator/service/track.h: Data.Track: notes what the next incremental backup of a disk begins from, for the point that the
 * same task has just made. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_TRACK_H
#define COORDINATOR_SERVICE_TRACK_H

#include "transport/rpc.h"

/* For rpc_service; CONTEXT is a const struct service_context. */
void track_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                  void **ret_owner);

#endif
