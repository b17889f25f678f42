/* coordinator/service/exchange.h: one call that is served: its reads, writes and works in flight, and its
 * end, in which nothing is freed before all of them are back. What a method does is its struct exchange_ops; its own state
 * is a struct whose first member is a struct exchange.
 *
 * Works run on the store's thread (STORE: one at a time, in order) or on the workers (COMPUTE: several at once; done in
 * order). After the call's end those that did not begin are cancelled; what has begun ends first.
 * Thread: the loop's, run() of a job apart. */
#ifndef COORDINATOR_SERVICE_EXCHANGE_H
#define COORDINATOR_SERVICE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/pool.h"
#include "transport/rpc.h"
#include "coordinator/service/context.h"

struct exchange;

struct exchange_ops {
    const char *name; /* for the log: "upload" */
    /* What was asked for by exchange_read(): the exchange's own from here (rpc_message_free); NULL: the peer sends
     * nothing more. Not called once the exchange is not live. */
    void (*message)(struct exchange *exchange, ProtobufCMessage *take_message);
    /* exchange_write() is through; there is room for the next one. Not called once the exchange is not live. */
    void (*written)(struct exchange *exchange);
    /* The call is over, by whomever, or is being finished here: forget it elsewhere. Works may still be running. Once. */
    void (*over)(struct exchange *exchange);
    /* Nothing is in flight: frees what the own state holds, not the state itself. Once, the last of all. */
    void (*free)(struct exchange *exchange);
};

/* A work of an exchange; zeroed, embedded in what holds its input and output. */
struct job {
    struct work work; /* first; the exchange's, as is what follows up to ERR */
    struct exchange *exchange;
    void (*run)(struct job *job);
    void (*done)(struct job *job);
    enum status status; /* run() sets it; STATUS_CANCELLED: run() was not called */
    struct error err;
};

enum exchange_where { EXCHANGE_STORE, EXCHANGE_COMPUTE };

enum {
    EXCHANGE_JOBS_MAX = 64, /* submitted and not done, in each place */
    EXCHANGE_PEER_MAX =
        80, /* calls of one peer: as many backups as consoles can wish for, and its session */
};

/* The first member of a method's own state; all of it is this module's. */
struct exchange {
    const struct exchange_ops *ops;
    const struct service_context *context;
    struct exchange *next; /* of the context's */
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    struct lane *lanes[2]; /* by enum exchange_where */
    struct loop_task closed[2];
    struct job *last;
    unsigned jobs;
    unsigned lanes_open;
    bool reading, writing;
    bool answering; /* the call ends well with the write that is in flight */
    bool finished, ended, forgotten, closing;
};

/* For rpc_service.accept: an exchange over CALL in SIZE zeroed bytes; freed by itself. NULL: no memory, or its
 * peer has EXCHANGE_PEER_MAX calls already; CALL is refused, *ret_events and *ret_owner are set all the same. */
NODISCARD struct exchange *exchange_accept(const struct service_context *context,
                                           const struct exchange_ops *ops, size_t size,
                                           struct rpc_call *call,
                                           const struct rpc_call_events **ret_events,
                                           void **ret_owner);

/* Neither finished nor ended: only then it may read, write and submit. */
bool exchange_live(const struct exchange *exchange);

/* Who calls. Good until the exchange is freed. */
const char *exchange_peer(const struct exchange *exchange);

/* Asks for one message; nothing if that is asked for already. */
void exchange_read(struct exchange *exchange);

bool exchange_can_write(const struct exchange *exchange); /* live, and no write in flight */
void exchange_write(struct exchange *exchange, const ProtobufCMessage *message);

/* The last message: the call ends with STATUS_OK when it is written. */
void exchange_answer(struct exchange *exchange, const ProtobufCMessage *message);

/* Ends the call with STATUS, which is logged if it is a failure; ERR is copied. Late or twice: no effect. */
void exchange_finish(struct exchange *exchange, enum status status, const struct error *err);

/* RUN on a thread of WHERE, then DONE on the loop. COST as in struct work. JOB stays in place until DONE. */
void exchange_submit(struct exchange *exchange, enum exchange_where where, struct job *job,
                     uint64_t cost, void (*run)(struct job *job), void (*done)(struct job *job));

/* JOB's RUN will be called on the store's thread when the call is over and all other works are done: for what must be
 * freed there. JOB stays in place until ops->free(). */
void exchange_set_last(struct exchange *exchange, struct job *job, void (*run)(struct job *job));

#endif
