/* coordinator/service/context.h: what every call of the service works with. One for a process, made by
 * service.h; all of it lives longer than any call. Thread: the loop's, but for what each module allows. */
#ifndef COORDINATOR_SERVICE_CONTEXT_H
#define COORDINATOR_SERVICE_CONTEXT_H

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "base/random.h"
#include "coordinator/store/store.h"

struct exchange;
struct hosts;
struct tasks;
struct points;

struct service_context {
    struct loop *loop;
    struct pool *store_thread; /* of one thread: the only one that calls STORE */
    struct pool *workers;      /* for what computes */
    struct store *store;
    struct random_source *random; /* good on any thread */
    const struct clock_source *clock;
    const struct log *log;
    const char *agents_ca; /* PEM: who signs the certificates of hosts */
    struct hosts *hosts;
    struct tasks *tasks;
    struct points *points;
    struct exchange **calls; /* exchange.h's: the first of all that are not freed */
};

#endif
