/* transport/rpc_log.h: gRPC's own lines, as ours: what strangers do wrong at a server becomes a warning in
 * words of ours, at most one a second; all else goes to the debug level. Private to transport. */
#ifndef TRANSPORT_RPC_LOG_H
#define TRANSPORT_RPC_LOG_H

#include "base/attr.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

struct rpc_log;

/* From here to rpc_log_free() gRPC's lines go to LOG, borrowed, as is CLOCK. One at a time in a process (broken
 * invariant): gRPC has one place for the function that it calls. */
NODISCARD enum status rpc_log_new(const struct log *log, const struct clock_source *clock,
                                  struct rpc_log **ret_log, struct error *err);

/* A server listens, or no longer does. Without one a handshake that fails is a call's of ours, whose error says
 * so. */
void rpc_log_server_add(struct rpc_log *log);
void rpc_log_server_remove(struct rpc_log *log);

/* When this returns nothing uses LOG or CLOCK, on whatever thread gRPC may still be; what it says from there is
 * dropped. NULL is fine. */
void rpc_log_free(struct rpc_log *log);

/* What went wrong in a TLS handshake, in a sentence's words, from the text that gRPC and OpenSSL have for it;
 * NULL: not known. Also for the errors of calls. */
const char *rpc_log_handshake_fault(const char *text);

#endif
