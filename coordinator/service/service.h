/* coordinator/service/service.h: the coordinator's service: two listeners, agents' and consoles', and what they share. Thread: the
 * loop's. */
#ifndef COORDINATOR_SERVICE_SERVICE_H
#define COORDINATOR_SERVICE_SERVICE_H

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/random.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "coordinator/store/store.h"

/* All is borrowed, and outlives the service. */
struct service_options {
    struct loop *loop;
    struct rpc *rpc;
    struct store *store; /* from service_new() to service_free() only the service calls it */
    struct random_source *random; /* good on any thread */
    const struct clock_source *clock;
    const struct log *log;
    const struct credentials *agents; /* its CA signs hosts */
    const struct credentials *consoles;
    const char *agents_address; /* as in rpc_server_options */
    const char *consoles_address;
    unsigned workers; /* threads that compute, 1 to 64 */
};

struct service;

NODISCARD enum status service_new(const struct service_options *options,
                                  struct service **ret_service, struct error *err);

/* Listens. After a failure service_close() is next. STATUS_UNAVAILABLE: an address cannot be had. */
NODISCARD enum status service_listen(struct service *service, struct error *err);

unsigned service_agents_port(const struct service *service); /* while it listens */
unsigned service_consoles_port(const struct service *service);

/* Lets go of both addresses, cancels all calls, and with them the tasks; what has begun in the store ends first. Then
 * posts ON_CLOSED, after which service_free() is next. */
void service_close(struct service *service, struct loop_task *on_closed);

/* It is closed, or never listened. Waits for its threads. NULL is fine. */
void service_free(struct service *service);

#endif
