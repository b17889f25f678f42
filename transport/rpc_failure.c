#include "transport/rpc_failure.h"

#include <inttypes.h>
#include <string.h>

#include "transport/rpc_log.h"

/* What gRPC's texts (1.51) have for it. */
static const struct {
    const char *quoted, *meaning;
} reasons[] = {
    {"Connection refused", "connection refused; is it running, and is the port right?"},
    {"No route to host", "there is no route to that host"},
    {"Network is unreachable", "the network is unreachable"},
    {"Connection timed out", "no answer"},
    {"FD Shutdown", "no answer"},
    {"DNS resolution failed", "its name cannot be resolved"},
    {"Name or service not known", "its name cannot be resolved"},
    {"is not in peer certificate", "its certificate is of another host"},
    {"keepalive watchdog timeout", "it no longer answers"},
    {"GOAWAY", "it is closing"},
    {"Server shutdown", "it is closing"},
};

/* In TLS 1.3 a client is through with the handshake before the server has looked at its certificate, and
 * gRPC does not tell of the alert that follows. */
static const char closed_at_once[] =
    "it closed the connection at once; it may refuse our certificate, which must be of its CA";

static const char *reason_of(const char *text, bool connecting)
{
    const char *fault = rpc_log_handshake_fault(text);

    if (fault != NULL)
        return fault;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strstr(text, reasons[i].quoted) != NULL)
            return reasons[i].meaning;
    }
    if (connecting &&
        (strstr(text, "Socket closed") != NULL || strstr(text, "Connection reset by peer") != NULL))
        return closed_at_once;
    return text[0] != '\0' ? text : "gRPC gives no reason";
}

/* gRPC's codes and ours are the same numbers (base/error.h); a newer one is none of ours. */
static enum status status_of(int code)
{
    if (code > STATUS_OK && code <= STATUS_UNAUTHENTICATED)
        return (enum status)code;
    return STATUS_UNKNOWN;
}

/* What gRPC says of a call that the server did not end. */
static enum status set_own(struct error *err, enum status status, const struct rpc_failure *failure)
{
    bool connecting = strstr(failure->text, "failed to connect") != NULL ||
                      strstr(failure->text, "DNS resolution failed") != NULL;

    if (status == STATUS_CANCELLED)
        return error_set(err, status, "the call was cancelled");
    if (status == STATUS_TIMEOUT && failure->timeout_ms > 0)
        return error_set(err, status, "the coordinator at %s did not answer within %" PRIu64 " ms",
                         failure->address, failure->timeout_ms);
    if (status == STATUS_UNAVAILABLE && connecting)
        return error_set(err, status, "the coordinator at %s cannot be reached: %s",
                         failure->address, reason_of(failure->text, true));
    if (status == STATUS_UNAVAILABLE)
        return error_set(err, status, "the connection to the coordinator at %s was lost: %s",
                         failure->address, reason_of(failure->text, false));
    return error_set(err, status, "the call to the coordinator at %s failed: %s", failure->address,
                     failure->text[0] != '\0' ? failure->text : "gRPC gives no reason");
}

enum status rpc_failure_set(struct error *err, const struct rpc_failure *failure)
{
    enum status status = status_of(failure->code);

    if (failure->by_server)
        return error_set(err, status, "%s",
                         failure->text[0] != '\0' ? failure->text : "the server gives no reason");
    status = set_own(err, status, failure);
    err->kind = NATIVE_GRPC;
    err->native = failure->code;
    return status;
}
