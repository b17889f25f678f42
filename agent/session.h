/* agent/session.h: the agent's line to its coordinator: one Agent.Session call that the agent opens (nothing
 * listens on a host), opened again with growing pauses whenever it is lost, for ever. Runs the tasks that come
 * down the line, tells how they go about once a second, and how they ended. A lost line cancels its tasks; the
 * next one is opened when they have ended. Logging: a line that is lost, a task that has ended. Thread: the loop's. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/loop.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "agent/backup.h"

enum {
    SESSION_PROTOCOL_MAJOR = 1,
    SESSION_PROTOCOL_MINOR = 0,
    SESSION_DISKS_MAX = 1000,
    SESSION_TASKS_MAX =
        1024, /* running, or with an answer on its way; more commands are not read */
    SESSION_PAUSE_MIN_MS = 1000,
    SESSION_PAUSE_MAX_MS = 30000,
    SESSION_PROGRESS_MS = 1000,
    SESSION_MEMORY_MAX = 64 * 1024 * 1024, /* gRPC's, of each of the two connections */
};

struct session_options {
    struct rpc *rpc;
    const char *address; /* of the coordinator: HOST:PORT */
    const struct credentials *credentials;
    const char *program; /* for people: "tidemark-agent 0.1.0" */
    const struct plain_disk *disks;
    size_t disk_count; /* at most SESSION_DISKS_MAX */
    const struct backup_tools *tools;
};

struct session;

/* Begins to connect. All that is borrowed stays in place until it is closed. STATUS_EXHAUSTED: no
 * memory. */
NODISCARD enum status session_new(const struct session_options *options,
                                  struct session **ret_session, struct error *err);

/* Cancels what runs, waits for it to end, closes the line, then posts ON_CLOSED: from there the session does not
 * exist. Once. */
void session_close(struct session *session, struct loop_task *on_closed);

#endif
