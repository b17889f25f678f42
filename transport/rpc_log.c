#include "transport/rpc_log.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <grpc/support/log.h>
#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

enum { PAUSE_MS = 1000 }; /* between two warnings */

struct rpc_log {
    const struct log *log;
    const struct clock_source *clock;
    unsigned servers;
    bool warned;
    uint64_t warned_ms;
    uint64_t left_out; /* warnings since */
};

/* gRPC calls a function without any context, from whatever thread, and from threads that outlive its shutdown:
 * so the context lies here, and its mutex lives as long as the process. Who holds the mutex may use the log; who
 * has taken the log away knows that nobody uses it. */
static uv_once_t once = UV_ONCE_INIT;
static uv_mutex_t mutex;        /* guards the log that is there, and its fields */
static struct rpc_log *current; /* NULL: gRPC's lines are dropped */

/* OpenSSL's words (3.0, ssl/ssl_err.c), as gRPC's "Handshake failed with fatal error" quotes them. The side
 * that sends an alert and the one that gets it have words of their own. */
static const struct {
    const char *quoted, *meaning;
} faults[] = {
    {"peer did not return a certificate", "it presents no certificate"},
    {"certificate verify failed", "its certificate is not of our CA, or not valid now"},
    {"unsupported protocol", "it does not speak TLS 1.3"},
    {"no shared cipher", "it does not speak TLS 1.3"},
    {"http request", "it does not speak TLS"},
    {"wrong version number", "it does not speak TLS"},
    {"packet length too long", "it does not speak TLS"},
    {"unknown ca", "it does not accept our certificate: that is of another CA"},
    {"certificate expired", "it does not accept our certificate: that has expired"},
    {"bad certificate", "it does not accept our certificate"},
    {"certificate unknown", "it does not accept our certificate"},
    {"certificate required", "it wants a certificate of ours"},
    {"protocol version", "it does not speak TLS 1.3"},
};

const char *rpc_log_handshake_fault(const char *text)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strstr(text, faults[i].quoted) != NULL)
            return faults[i].meaning;
    }
    return NULL;
}

static void make_mutex(void)
{
    INVARIANT(uv_mutex_init(&mutex) == 0); /* it takes no memory, so it does not fail */
}

/* May a warning be written now? Then *ret_left_out were not since the last one. */
static bool may_warn(struct rpc_log *log, uint64_t *ret_left_out)
{
    uint64_t now_ms = clock_now_ms(log->clock);
    bool may = !log->warned || now_ms - log->warned_ms >= PAUSE_MS;

    if (may) {
        *ret_left_out = log->left_out;
        log->warned = true;
        log->warned_ms = now_ms;
        log->left_out = 0;
    } else {
        log->left_out++;
    }
    return may;
}

static void warn_of_handshake(struct rpc_log *log, const char *message)
{
    const char *fault = rpc_log_handshake_fault(message);
    uint64_t left_out = 0;

    if (!may_warn(log, &left_out))
        return;
    if (left_out == 0)
        log_warning(log->log, "a connection was refused in its TLS handshake: %s",
                    fault != NULL ? fault : message);
    else
        log_warning(log->log,
                    "a connection was refused in its TLS handshake: %s (and %" PRIu64
                    " more since the last such line)",
                    fault != NULL ? fault : message, left_out);
}

/* Any thread. */
static void take_line(gpr_log_func_args *args)
{
    uv_mutex_lock(&mutex);
    if (current != NULL && current->servers > 0 &&
        strstr(args->message, "Handshake failed with fatal error") != NULL)
        warn_of_handshake(current, args->message);
    else if (current != NULL)
        log_debug(current->log, "gRPC: %s", args->message);
    uv_mutex_unlock(&mutex);
}

static void set_current(struct rpc_log *log)
{
    uv_mutex_lock(&mutex);
    INVARIANT((current == NULL) != (log == NULL)); /* one at a time */
    current = log;
    uv_mutex_unlock(&mutex);
}

enum status rpc_log_new(const struct log *log, const struct clock_source *clock,
                        struct rpc_log **ret_log, struct error *err)
{
    struct rpc_log *made = memory_new(1, sizeof(*made));

    if (made == NULL)
        return error_set_no_memory(err, sizeof(*made), "gRPC's log");
    made->log = log;
    made->clock = clock;
    uv_once(&once, make_mutex);
    set_current(made);
    gpr_set_log_function(take_line);
    /* Its debug lines are many, and made for each packet: only where somebody reads them. */
    gpr_set_log_verbosity(log_wants(log, LOG_DEBUG) ? GPR_LOG_SEVERITY_DEBUG
                                                    : GPR_LOG_SEVERITY_ERROR);
    *ret_log = made;
    return STATUS_OK;
}

void rpc_log_server_add(struct rpc_log *log)
{
    uv_mutex_lock(&mutex);
    log->servers++;
    uv_mutex_unlock(&mutex);
}

void rpc_log_server_remove(struct rpc_log *log)
{
    uv_mutex_lock(&mutex);
    log->servers--;
    uv_mutex_unlock(&mutex);
}

void rpc_log_free(struct rpc_log *log)
{
    if (log == NULL)
        return;
    set_current(NULL); /* take_line() stays with gRPC, and drops what still comes */
    memory_free(log);
}
