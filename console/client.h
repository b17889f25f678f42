/* console/client.h: one connection to the coordinator, and one call at a time on it. Calls block: they run
 * the loop until they have ended. Thread: the loop's. */
#ifndef CONSOLE_CLIENT_H
#define CONSOLE_CLIENT_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/loop.h"
#include "transport/credentials.h"
#include "transport/rpc.h"

struct client;

/* To ADDRESS ("host:port"); LOOP and RPC are borrowed, CREDENTIALS is copied. STATUS_INVALID: not an
 * address. Nothing is connected before the first call. */
NODISCARD enum status client_new(struct loop *loop, struct rpc *rpc, const char *address,
                                 const struct credentials *credentials, struct client **ret_client,
                                 struct error *err);

/* Runs the loop until the connection is closed. NULL is fine. */
void client_free(struct client *client);

/* A person wants to stop: the call that runs and each later one end with STATUS_CANCELLED. From within the
 * loop, or between calls. */
void client_stop(struct client *client);

/* Asks METHOD of the service Console. *ret_answer is the caller's (rpc_message_free).
 * STATUS_UNAVAILABLE: the coordinator cannot be reached; STATUS_CANCELLED: client_stop(). */
NODISCARD enum status client_ask(struct client *client, const char *method,
                                 const ProtobufCMessage *request, ProtobufCMessage **ret_answer,
                                 struct error *err);

/* Who hears what a stream brings. */
struct client_reader {
    /* MESSAGE is the reader's (rpc_message_free). The next one comes after client_next(), called from here or
     * later. */
    void (*message)(struct client_reader *reader, ProtobufCMessage *message);
};

/* Opens METHOD with REQUEST; returns when the call has ended: STATUS_OK if the coordinator ended it so,
 * else the reason: the coordinator's, client_end()'s, client_stop()'s. READER is borrowed. */
NODISCARD enum status client_stream(struct client *client, const char *method,
                                    const ProtobufCMessage *request, struct client_reader *reader,
                                    struct error *err);

/* Did the last call end because the coordinator could not be reached, or went away? */
bool client_unreachable(const struct client *client);

/* From a stream's reader: the next message, please. No effect once the call is over. */
void client_next(struct client *client);

/* From within a stream: gives the call up; client_stream() returns with ERR. Late or twice: no effect. */
void client_end(struct client *client, const struct error *err);

#endif
