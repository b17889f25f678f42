#include "coordinator/service/session.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/memory.h"
#include "base/text.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/hosts.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/wire.h"
#include "format/disk_root.h"
#include "format/keys.h"

enum { PROTOCOL_MAJOR = 1, PROTOCOL_MINOR = 0 };

struct session {
    struct exchange exchange; /* first */
    struct host host;
    Tidemark__V1__FromAgent *hello; /* its names are the host's */
    struct job hello_job;
    struct store_head head; /* what that job found */
    bool connected;         /* among the hosts */
};

static struct session *of_exchange(struct exchange *exchange)
{
    return (struct session *)exchange; /* its first member */
}

static struct session *of_host(struct host *host)
{
    return (struct session *)((char *)host - offsetof(struct session, host));
}

/* ---- Down the line --------------------------------------------------------------------------- */

static void tell_backup(struct session *session, struct task *task)
{
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__BackupDisk backup = TIDEMARK__V1__BACKUP_DISK__INIT;
    Tidemark__V1__Parent parent = TIDEMARK__V1__PARENT__INIT;
    Tidemark__V1__Signed statement = TIDEMARK__V1__SIGNED__INIT;
    Tidemark__V1__Signed tracking = TIDEMARK__V1__SIGNED__INIT;

    backup.task = wire_bytes(slice_of(task->id.bytes, sizeof(task->id.bytes)));
    backup.disk = task->disk;
    backup.vm = wire_bytes(slice_of(task->vm.bytes, sizeof(task->vm.bytes)));
    backup.block_size = BLOCK_SIZE_DEFAULT;
    if (task->parent != NULL) {
        statement = wire_signed(&task->parent->signed_statement);
        tracking = wire_signed(&task->parent->signed_tracking);
        parent.point =
            wire_bytes(slice_of(task->parent->point.bytes, sizeof(task->parent->point.bytes)));
        parent.statement = &statement;
        parent.tracking = &tracking;
        backup.parent = &parent;
    }
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_BACKUP;
    message.backup = &backup;
    exchange_write(&session->exchange, &message.base);
    task->state = TASK_SENT;
}

static void tell_cancel(struct session *session, struct task *task)
{
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__CancelTask cancel = TIDEMARK__V1__CANCEL_TASK__INIT;

    cancel.task = wire_bytes(slice_of(task->id.bytes, sizeof(task->id.bytes)));
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_CANCEL;
    message.cancel = &cancel;
    exchange_write(&session->exchange, &message.base);
    task->cancel_sent = true;
}

static void pump(struct session *session)
{
    struct task *task = NULL;

    if (!session->connected || !exchange_can_write(&session->exchange))
        return;
    task = tasks_to_tell(session->exchange.context->tasks, session->host.name);
    if (task == NULL)
        return;
    if (task->state == TASK_READY)
        tell_backup(session, task);
    else
        tell_cancel(session, task);
}

static void wake(struct host *host)
{
    pump(of_host(host));
}

/* ---- The hellos ------------------------------------------------------------------------------ */

static enum status check_disk_name(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length == 0 || length >= STATEMENT_NAME_SIZE)
        return error_set(err, STATUS_INVALID, "a disk's name has 1 to %d bytes, one has %zu",
                         STATEMENT_NAME_SIZE - 1, length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return error_set(err, STATUS_INVALID, "a disk's name has a control character in it");
    return STATUS_OK;
}

static enum status check_hello(const Tidemark__V1__AgentHello *hello, struct error *err)
{
    uint32_t major = hello->protocol != NULL ? hello->protocol->major : 0;
    uint32_t minor = hello->protocol != NULL ? hello->protocol->minor : 0;

    if (major != PROTOCOL_MAJOR)
        return error_set(err, STATUS_PRECONDITION,
                         "the agent speaks version %" PRIu32 ".%" PRIu32
                         " of the protocol, the coordinator %d.%d; bring both to one version",
                         major, minor, PROTOCOL_MAJOR, PROTOCOL_MINOR);
    if (hello->n_disks > HOST_DISKS_MAX)
        return error_set(err, STATUS_INVALID, "an agent names at most %d disks, this one %zu",
                         HOST_DISKS_MAX, hello->n_disks);
    for (size_t i = 0; i < hello->n_disks; i++) {
        enum status st = check_disk_name(hello->disks[i], err);

        for (size_t j = 0; j < i && st == STATUS_OK; j++)
            if (strcmp(hello->disks[i], hello->disks[j]) == 0)
                st = error_set(err, STATUS_INVALID, "disk %s is named twice", hello->disks[i]);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static void run_hello(struct job *job)
{
    struct session *session = of_exchange(job->exchange);

    session->head = store_head(job->exchange->context->store);
}

static void displace(struct host *host)
{
    struct session *session = of_host(host);
    const struct service_context *context = session->exchange.context;
    struct error err = {0};

    session->connected = false;
    (void)error_set(&err, STATUS_ABORTED, "host %s has connected anew", host->name);
    tasks_end_host(context->tasks, host->name, STATUS_UNAVAILABLE, &err);
    exchange_finish(&session->exchange, STATUS_ABORTED, &err);
}

static void hello_done(struct job *job)
{
    struct session *session = of_exchange(job->exchange);
    const struct service_context *context = job->exchange->context;
    const struct repository *repository = store_repository(context->store);
    uint8_t id_key[KEYS_ID_KEY_SIZE];
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__CoordinatorHello hello = TIDEMARK__V1__COORDINATOR_HELLO__INIT;
    Tidemark__V1__Version version = TIDEMARK__V1__VERSION__INIT;
    Tidemark__V1__LogHead head;
    enum status st;

    if (!exchange_live(job->exchange))
        return;
    st = keys_id_key(store_keys(context->store), &repository->domain, id_key, &job->err);
    if (st != STATUS_OK) {
        exchange_finish(job->exchange, st, &job->err);
        return;
    }
    version.major = PROTOCOL_MAJOR;
    version.minor = PROTOCOL_MINOR;
    hello.protocol = &version;
    hello.repository = wire_bytes(slice_of(repository->id.bytes, sizeof(repository->id.bytes)));
    hello.domain = wire_bytes(slice_of(repository->domain.bytes, sizeof(repository->domain.bytes)));
    hello.id_key = wire_bytes(slice_of(id_key, sizeof(id_key)));
    head = wire_head(&session->head);
    hello.head = &head;
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_HELLO;
    message.hello = &hello;
    exchange_write(job->exchange, &message.base);
    OPENSSL_cleanse(id_key, sizeof(id_key));
    hosts_add(context->hosts, &session->host);
    session->connected = true;
    log_info(context->log, "host %s is connected, with %zu disks", session->host.name,
             session->host.disk_count);
    exchange_read(job->exchange);
}

static enum status take_hello(struct session *session, Tidemark__V1__FromAgent **message,
                              struct error *err)
{
    const Tidemark__V1__AgentHello *hello = NULL;
    enum status st = STATUS_OK;

    if ((*message)->kind_case != TIDEMARK__V1__FROM_AGENT__KIND_HELLO)
        return error_set(err, STATUS_INVALID, "the first message of a session is a hello");
    hello = (*message)->hello;
    st = check_hello(hello, err);
    if (st != STATUS_OK)
        return st;
    if (!text_format(session->host.name, sizeof(session->host.name), "%s",
                     exchange_peer(&session->exchange)))
        return error_set(err, STATUS_INVALID, "the name in the certificate is too long");
    session->hello = *message;
    *message = NULL;
    session->host.wake = wake;
    session->host.displace = displace;
    session->host.disks = hello->disks;
    session->host.disk_count = hello->n_disks;
    exchange_submit(&session->exchange, EXCHANGE_STORE, &session->hello_job, 1, run_hello,
                    hello_done);
    return STATUS_OK;
}

/* ---- Up the line ----------------------------------------------------------------------------- */

static void take_progress(struct session *session, const Tidemark__V1__TaskProgress *progress)
{
    struct error ignored = {0}; /* it is about a task that is over */
    struct task *task = NULL;

    if (tasks_find_of(session->exchange.context->tasks, wire_slice(progress->task),
                      session->host.name, &task, &ignored) != STATUS_OK)
        return;
    task->counts = wire_task_counts(progress->counts);
    if (task->watcher != NULL)
        task->watcher->progress(task->watcher, &task->counts);
}

/* Does the agent say that what this coordinator has committed is done? */
static enum status check_done(const struct task *task, const Tidemark__V1__TaskDone *done,
                              struct error *err)
{
    struct slice point = slice_of(task->commit.point.envelope.id.bytes, ID_SIZE);

    if (done->failure != NULL) {
        enum status st = wire_failure(done->failure, err);

        if (!task->commit.done)
            return st;
        return error_wrap(err, "the restore point was made, but what follows it failed");
    }
    if (!task->commit.done || !slice_equal(wire_slice(done->point), point))
        return error_set(err, STATUS_INTERNAL,
                         "host %s says that the backup is done, and has committed no such point",
                         task->host);
    return STATUS_OK;
}

static void take_done(struct session *session, const Tidemark__V1__TaskDone *done)
{
    const struct service_context *context = session->exchange.context;
    struct error err = {0};
    struct task *task = NULL;
    enum status st =
        tasks_find_of(context->tasks, wire_slice(done->task), session->host.name, &task, &err);

    if (st != STATUS_OK)
        return; /* it is over here already */
    task->counts = wire_task_counts(done->counts);
    task->counts.new_blocks = task->new_blocks;
    task->counts.stored = task->stored + task->commit.stored;
    st = check_done(task, done, &err);
    if (st == STATUS_OK)
        log_info(context->log, "backup of disk %s on host %s is done", task->disk, task->host);
    else
        log_error(context->log, "backup of disk %s on host %s: %s", task->disk, task->host,
                  err.text);
    tasks_end(context->tasks, task, st, st == STATUS_OK ? NULL : &err);
}

static enum status take_message(struct session *session, Tidemark__V1__FromAgent **message,
                                struct error *err)
{
    if (session->hello == NULL)
        return take_hello(session, message, err);
    switch ((*message)->kind_case) {
    case TIDEMARK__V1__FROM_AGENT__KIND_HELLO:
        return error_set(err, STATUS_INVALID, "a session has one hello");
    case TIDEMARK__V1__FROM_AGENT__KIND_PROGRESS:
        take_progress(session, (*message)->progress);
        break;
    case TIDEMARK__V1__FROM_AGENT__KIND_DONE:
        take_done(session, (*message)->done);
        break;
    case TIDEMARK__V1__FROM_AGENT__KIND__NOT_SET: /* of a newer minor version */
    case _TIDEMARK__V1__FROM_AGENT__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return STATUS_OK;
}

static void session_message(struct exchange *exchange, ProtobufCMessage *taken)
{
    struct session *session = of_exchange(exchange);
    Tidemark__V1__FromAgent *message = (Tidemark__V1__FromAgent *)taken;
    struct error err = {0};
    enum status st = STATUS_OK;

    if (message == NULL) {
        exchange_finish(exchange, STATUS_OK, NULL); /* the agent stops */
        return;
    }
    st = take_message(session, &message, &err);
    if (message != NULL)
        rpc_message_free(&message->base);
    if (st != STATUS_OK)
        exchange_finish(exchange, st, &err);
    else if (session->connected)
        exchange_read(exchange);
}

static void session_written(struct exchange *exchange)
{
    pump(of_exchange(exchange));
}

static void session_over(struct exchange *exchange)
{
    struct session *session = of_exchange(exchange);
    const struct service_context *context = exchange->context;
    struct error err = {0};

    if (!session->connected)
        return;
    session->connected = false;
    hosts_remove(context->hosts, &session->host);
    log_info(context->log, "host %s has gone", session->host.name);
    (void)error_set(&err, STATUS_UNAVAILABLE, "the connection to host %s was lost",
                    session->host.name);
    tasks_end_host(context->tasks, session->host.name, STATUS_UNAVAILABLE, &err);
}

static void session_free(struct exchange *exchange)
{
    struct session *session = of_exchange(exchange);

    if (session->hello != NULL)
        rpc_message_free(&session->hello->base);
}

static const struct exchange_ops session_ops = {.name = "session",
                                                .message = session_message,
                                                .written = session_written,
                                                .over = session_over,
                                                .free = session_free};

void session_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                    void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &session_ops, sizeof(struct session), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
