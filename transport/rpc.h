/* transport/rpc.h: remote calls: gRPC C core made pleasant. Nothing above this header sees a completion
 * queue, a thread of gRPC or a byte of HTTP/2.
 *
 * A *call* is a pair of message streams between a client and a server; unary calls are calls of one
 * message each way (rpc_unary_start()). A message is read when it is asked for, one at a time, and not
 * before: who does not ask, stops the peer (flow control), and holds one message in memory. A write is
 * done when the connection has taken it, not when the peer has it; one at a time.
 *
 * Each request lies in memory of the caller, zeroed but for what goes in, who leaves it in place until its
 * done(). That comes once: on the loop, never from within a call of this header. Reading never waits for
 * writing or the other way round. Thread: the loop's for every call here. ERR is NULL on success, and good
 * during done() only. */
#ifndef TRANSPORT_RPC_H
#define TRANSPORT_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "transport/credentials.h"

enum {
    RPC_DATA_MESSAGE_MAX = 2 * 1024 * 1024, /* bytes a message may have, by connection */
    RPC_CONTROL_MESSAGE_MAX = 256 * 1024,
    RPC_ADDRESS_SIZE = 300, /* "host:port", "[::1]:port" */
};

/* ---- gRPC in this process ------------------------------------------------------------------------ */

struct rpc;

/* Starts gRPC: once a process at a time, and no fork() after it. Sets a variable of the environment, which no
 * other thread may read meanwhile: early in main(). THREADS (1 to 4) drive it, each with a
 * completion queue. What gRPC itself has to say of strangers (no TLS, TLS 1.2, no certificate, a wrong one)
 * goes to LOG, borrowed, as warnings, at most one a second. STATUS_EXHAUSTED: no memory or threads. */
NODISCARD enum status rpc_new(struct loop *loop, unsigned threads, const struct log *log,
                              struct rpc **ret_rpc, struct error *err);

/* All servers and channels are closed. Waits for the threads to end (they do not wait for anybody), and for gRPC
 * to be down, its own threads included: milliseconds; after 10 s it warns, and goes on. NULL is fine. */
void rpc_free(struct rpc *rpc);

/* ---- Calls --------------------------------------------------------------------------------------- */

struct rpc_call;

struct rpc_method {
    const ProtobufCServiceDescriptor *service;
    const char *name; /* as in the .proto; it must be there */
};

struct rpc_read {
    /* MESSAGE is the caller's (rpc_message_free); NULL with STATUS_OK: the peer will send nothing more. After
     * a failure (of this read: STATUS_INVALID, the message is malformed; or of the call) no other read
     * succeeds. */
    void (*done)(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                 const struct error *err);
};

/* Client: why the call failed is heard from reads and from ended(); a write may find it broken first, and is
 * done with STATUS_CANCELLED then. */
struct rpc_write {
    void (*done)(struct rpc_write *write, enum status status, const struct error *err);
};

/* What its owner hears of a call. */
struct rpc_call_events {
    /* The call is over, all its reads and writes are done: client: with the status that the server gave it,
     * once all that it sent before has been read, or why it did not get that far (ERR is of NATIVE_GRPC then,
     * and only then); server: STATUS_OK when its status is on its way, else STATUS_CANCELLED:
     * the client or the connection went away. Comes once; the owner calls rpc_call_free() in it or later. */
    void (*ended)(void *owner, struct rpc_call *call, enum status status, const struct error *err);
};

/* Server: the method's request type is read, its answer type is written; client: the other way round. One
 * read, and one write, at a time; none after ended(). */
void rpc_read_start(struct rpc_call *call, struct rpc_read *read);

/* Packs MESSAGE at once: it is the caller's again when this returns. A message over the connection's limit is
 * STATUS_INVALID, and is not sent. */
void rpc_write_start(struct rpc_call *call, struct rpc_write *write,
                     const ProtobufCMessage *message);

/* Client: says that nothing more will be written. Counts as a write. */
void rpc_write_end_start(struct rpc_call *call, struct rpc_write *write);

/* Server: ends the call with STATUS, and ERR's text if that is a failure; what was written before arrives
 * first. A read or write in flight is done with STATUS_CANCELLED. Once. Then ended() comes: after a client
 * that does not read what was written, not before the call is cancelled. After ended(): no effect. */
void rpc_call_finish(struct rpc_call *call, enum status status, const struct error *err);

/* Gives the call up, now: its reads and writes are done with STATUS_CANCELLED, ended() comes. Late or twice:
 * no effect. */
void rpc_call_cancel(struct rpc_call *call);

/* After ended(). NULL is fine. */
void rpc_call_free(struct rpc_call *call);

/* Server: who calls: the name that the client's certificate bears (struct credentials); good as long as the
 * call. Client: "". */
const char *rpc_call_peer(const struct rpc_call *call);

void rpc_message_free(ProtobufCMessage *message); /* NULL is fine */

/* ---- Server -------------------------------------------------------------------------------------- */

struct rpc_server;

/* One method that is served. */
struct rpc_service {
    struct rpc_method method;
    /* A new call: says by *ret_events and *ret_owner who hears of it. It is theirs: they read, write and
     * finish it, and free it once it has ended. */
    void (*accept)(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner);
    void *context;
};

struct rpc_server_options {
    const char *address;                   /* "127.0.0.1:7701"; port 0: one that is free */
    const struct credentials *credentials; /* whose CA also signs every client; copied */
    const struct rpc_service *services;    /* copied */
    size_t service_count;
    size_t message_max; /* bytes, received or sent */
    size_t memory_max;  /* bytes: the resource quota of all connections together */
    unsigned calls_max; /* calls at once; another one is refused with STATUS_UNAVAILABLE */
};

/* Listens: TLS 1.3 only, client certificates demanded in the handshake. A method that is not served is
 * STATUS_UNSUPPORTED to the caller. STATUS_UNAVAILABLE: the address cannot be listened on: in use, not
 * ours. */
NODISCARD enum status rpc_server_new(struct rpc *rpc, const struct rpc_server_options *options,
                                     struct rpc_server **ret_server, struct error *err);

unsigned rpc_server_port(const struct rpc_server *server);

/* Takes no more calls, cancels those that are there, lets go of the address and then posts ON_CLOSED: from
 * there the server does not exist. Every call of it has been freed by its owner before that. */
void rpc_server_close(struct rpc_server *server, struct loop_task *on_closed);

/* ---- Client -------------------------------------------------------------------------------------- */

struct rpc_channel;

struct rpc_channel_options {
    const char *address; /* "coordinator.example:7701" */
    const struct credentials
        *credentials;   /* copied; the server's certificate bears the address's host */
    size_t message_max; /* bytes, received or sent */
    size_t memory_max;  /* bytes: the resource quota */
};

/* A connection of its own to a server, made by the first call and made again, with growing pauses, when it
 * is lost. STATUS_INVALID: not an address. */
NODISCARD enum status rpc_channel_new(struct rpc *rpc, const struct rpc_channel_options *options,
                                      struct rpc_channel **ret_channel, struct error *err);

/* Cancels its calls, then posts ON_CLOSED: from there the channel does not exist. Every call of it has been
 * freed by its owner before that. While it connects, that may take a second. */
void rpc_channel_close(struct rpc_channel *channel, struct loop_task *on_closed);

/* Opens a call, which is the caller's. TIMEOUT_MS: from now to its end, 0: none. STATUS_EXHAUSTED: no memory.
 * That the server cannot be reached is heard from ended(): STATUS_UNAVAILABLE, with address and reason in the
 * sentence. */
NODISCARD enum status rpc_call_open(struct rpc_channel *channel, struct rpc_method method,
                                    uint64_t timeout_ms, const struct rpc_call_events *events,
                                    void *owner, struct rpc_call **ret_call, struct error *err);

/* A call of one message each way. The caller's memory, zeroed but for DONE. */
struct rpc_unary {
    /* ANSWER is the caller's (rpc_message_free); NULL after a failure. */
    void (*done)(struct rpc_unary *unary, enum status status, ProtobufCMessage *answer,
                 const struct error *err);

    struct rpc_call *call; /* the transport's, as is what follows */
    struct rpc_write write;
    struct rpc_write write_end;
    struct rpc_read read;
    ProtobufCMessage *answer;
    struct loop_task refusal;
    struct error err;
};

void rpc_unary_start(struct rpc_channel *channel, struct rpc_method method,
                     const ProtobufCMessage *request, uint64_t timeout_ms, struct rpc_unary *unary);
void rpc_unary_cancel(struct rpc_unary *unary);

#endif
