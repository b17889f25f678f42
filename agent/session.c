#include "agent/session.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "format/disk_root.h"

enum { ID_KEY_SIZE = 32 };

/* One command, from its coming to the moment at which its end is told. */
struct task {
    struct task *next;
    struct session *session;
    struct random_id id;
    ProtobufCMessage *command; /* the ToAgent that holds it: the backup borrows the parent */
    struct backup *backup;     /* NULL: it was refused */
    bool progress_due;
    bool done_due;
    enum status status;
    struct error err;
};

enum session_write { WRITE_NONE, WRITE_HELLO, WRITE_PROGRESS, WRITE_DONE };

struct session {
    struct session_options options;
    struct loop *loop;
    const struct log *log;
    struct rpc_channel *control;
    struct rpc_channel *data;
    struct loop_task control_closed;
    struct loop_task data_closed;
    struct loop_task *on_closed; /* set by session_close() */

    struct rpc_call *call; /* NULL: none */
    struct rpc_read read;
    struct rpc_write write;
    bool reading;
    enum session_write writing;
    struct task *telling; /* whose end is in the write in flight */
    bool hello_came;
    bool lost; /* the call is over, or shall be */
    enum status lost_status;
    struct error lost_err;
    struct random_id repository;
    struct hash_key *id_key;

    struct task *tasks;
    size_t task_count;
    uint64_t pause_ms;
    struct loop_timer retry;
    struct loop_timer progress;
};

static void start_write(struct session *session);
static void read_on(struct session *session);

/* ---- Ending, and beginning again ------------------------------------------------------------- */

static void on_data_closed(struct loop_task *task)
{
    struct session *session =
        (struct session *)((char *)task - offsetof(struct session, data_closed));
    struct loop_task *on_closed = session->on_closed;
    struct loop *loop = session->loop;

    memory_free(session);
    loop_post(loop, on_closed);
}

static void on_control_closed(struct loop_task *task)
{
    struct session *session =
        (struct session *)((char *)task - offsetof(struct session, control_closed));

    if (session->data != NULL)
        rpc_channel_close(session->data, &session->data_closed);
    else
        loop_post(session->loop, &session->data_closed);
}

static void close_channels(struct session *session)
{
    if (session->control != NULL)
        rpc_channel_close(session->control, &session->control_closed);
    else
        loop_post(session->loop, &session->control_closed);
}

/* Between PAUSE/2 and PAUSE, so that many agents do not come at the same moment. */
static uint64_t jittered(struct session *session)
{
    uint16_t draw = 0;
    struct error err = {0};
    uint64_t half = session->pause_ms / 2;

    /* Without randomness the pause is the long one. */
    if (random_bytes(session->options.tools->random, &draw, sizeof(draw), &err) != STATUS_OK)
        draw = UINT16_MAX;
    return half + half * draw / UINT16_MAX;
}

/* When the call is gone and all tasks have ended: closes, or waits to begin again. */
static void go_on_without(struct session *session)
{
    if (session->call != NULL || session->tasks != NULL)
        return;
    hash_key_free(session->id_key);
    session->id_key = NULL;
    if (session->on_closed != NULL) {
        loop_timer_stop(session->loop, &session->retry);
        close_channels(session);
        return;
    }

    uint64_t pause_ms = jittered(session);

    if (session->lost_status != STATUS_OK)
        log_warning(session->log, "no line to the coordinator, next try in %" PRIu64 " ms: %s",
                    pause_ms, session->lost_err.text);
    session->pause_ms =
        session->pause_ms > SESSION_PAUSE_MAX_MS / 2 ? SESSION_PAUSE_MAX_MS : session->pause_ms * 2;
    loop_timer_start(session->loop, &session->retry, pause_ms);
}

static void free_task(struct session *session, struct task *task)
{
    struct task **link = &session->tasks;

    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
    session->task_count--;
    backup_free(task->backup);
    rpc_message_free(task->command);
    memory_free(task);
}

/* The line is of no use any more. STATUS: why. */
static void lose(struct session *session, enum status status, const struct error *err)
{
    struct task *next = NULL;

    if (session->lost)
        return;
    session->lost = true;
    session->lost_status = status;
    if (status != STATUS_OK)
        session->lost_err = *err;
    loop_timer_stop(session->loop, &session->progress);
    for (struct task *task = session->tasks; task != NULL; task = next) {
        next = task->next;
        if (task->backup == NULL ||
            task->done_due) /* it has ended, and nobody is there to hear it */
            free_task(session, task);
        else
            backup_cancel(task->backup);
    }
    session->telling = NULL;
    if (session->call != NULL)
        rpc_call_cancel(session->call);
}

static void on_ended(void *owner, struct rpc_call *call, enum status status,
                     const struct error *err)
{
    struct session *session = owner;
    struct error left = {0};

    if (status == STATUS_OK)
        (void)error_set(&left, STATUS_UNAVAILABLE, "the coordinator has ended the session");
    else
        left = *err;
    lose(session, left.status, &left);
    rpc_call_free(call);
    session->call = NULL;
    go_on_without(session);
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void write_message(struct session *session, enum session_write what,
                          const Tidemark__V1__FromAgent *message)
{
    session->writing = what;
    rpc_write_start(session->call, &session->write, &message->base);
}

static void write_hello(struct session *session)
{
    const struct session_options *options = &session->options;
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__AgentHello hello = TIDEMARK__V1__AGENT_HELLO__INIT;
    Tidemark__V1__Version version = TIDEMARK__V1__VERSION__INIT;
    char *names[SESSION_DISKS_MAX];

    version.major = SESSION_PROTOCOL_MAJOR;
    version.minor = SESSION_PROTOCOL_MINOR;
    for (size_t i = 0; i < options->disk_count; i++)
        names[i] = (char *)options->disks[i].name; /* packing only reads */
    hello.protocol = &version;
    hello.program = (char *)options->program;
    hello.n_disks = options->disk_count;
    hello.disks = names;
    hello.wall_us = clock_wall_us(loop_clock(session->loop));
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_HELLO;
    message.hello = &hello;
    write_message(session, WRITE_HELLO, &message);
}

static void write_progress(struct session *session, struct task *task)
{
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__TaskProgress progress = TIDEMARK__V1__TASK_PROGRESS__INIT;
    Tidemark__V1__Counts counts = backup_counts(task->backup);

    task->progress_due = false;
    progress.task.data = task->id.bytes;
    progress.task.len = RANDOM_ID_SIZE;
    progress.counts = &counts;
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_PROGRESS;
    message.progress = &progress;
    write_message(session, WRITE_PROGRESS, &message);
}

static void write_done(struct session *session, struct task *task)
{
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__TaskDone done = TIDEMARK__V1__TASK_DONE__INIT;
    Tidemark__V1__Failure failure = TIDEMARK__V1__FAILURE__INIT;
    Tidemark__V1__Counts counts = TIDEMARK__V1__COUNTS__INIT;
    struct id point = {{0}};

    session->telling = task;
    done.task.data = task->id.bytes;
    done.task.len = RANDOM_ID_SIZE;
    if (task->backup != NULL) {
        counts = backup_counts(task->backup);
        done.reason = (char *)backup_reason(task->backup); /* packing only reads */
    }
    done.counts = &counts;
    if (task->status != STATUS_OK) {
        failure.status = task->status;
        failure.text = task->err.text;
        done.failure = &failure;
    } else {
        point = *backup_point(task->backup);
        done.point.data = point.bytes;
        done.point.len = ID_SIZE;
    }
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_DONE;
    message.done = &done;
    write_message(session, WRITE_DONE, &message);
}

/* Begins the write whose turn it is; ends come first. */
static void start_write(struct session *session)
{
    struct task *progress = NULL;

    if (session->lost || session->writing != WRITE_NONE)
        return;
    for (struct task *task = session->tasks; task != NULL; task = task->next) {
        if (task->done_due) {
            write_done(session, task);
            return;
        }
        if (task->progress_due)
            progress = task;
    }
    if (progress != NULL)
        write_progress(session, progress);
}

static void on_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct session *session = (struct session *)((char *)write - offsetof(struct session, write));
    struct task *told = session->telling;

    session->writing = WRITE_NONE;
    session->telling = NULL;
    if (session->lost)
        return;
    if (status != STATUS_OK) {
        if (status == STATUS_INVALID) /* ours: a message over the limit */
            lose(session, status, err);
        return; /* else the call is over: on_ended() knows why */
    }
    if (told != NULL)
        free_task(session, told);
    read_on(session);
    start_write(session);
}

static void on_progress_due(struct loop_timer *timer)
{
    struct session *session =
        (struct session *)((char *)timer - offsetof(struct session, progress));

    for (struct task *task = session->tasks; task != NULL; task = task->next)
        task->progress_due = task->backup != NULL && !task->done_due;
    loop_timer_start(session->loop, &session->progress, SESSION_PROGRESS_MS);
    start_write(session);
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

/* TASK has ended: it is told, if there is somebody to tell it to. */
static void end_task(struct task *task, enum status status, const struct error *err)
{
    struct session *session = task->session;

    task->status = status;
    if (status != STATUS_OK)
        task->err = *err;
    task->progress_due = false;
    task->done_due = true;
    if (session->lost) {
        free_task(session, task);
        go_on_without(session);
        return;
    }
    start_write(session);
}

static void on_backup_done(void *owner, enum status status, const struct error *err)
{
    struct task *task = owner;
    const struct log *log = task->session->log;
    const char *disk = backup_disk(task->backup)->name;
    Tidemark__V1__Counts counts = backup_counts(task->backup);
    char point[ID_TEXT_SIZE];

    if (status == STATUS_OK) {
        id_text(backup_point(task->backup), point);
        log_info(log,
                 "disk %s: backed up as point %.12s: read %" PRIu64 " of %" PRIu64
                 " bytes, sent %" PRIu64,
                 disk, point, counts.read, counts.disk_size, counts.sent);
    } else if (status == STATUS_CANCELLED) {
        log_info(log, "disk %s: not backed up: %s", disk, err->text);
    } else {
        log_error(log, "disk %s: not backed up: %s", disk, err->text);
    }
    end_task(task, status, err);
}

static const struct plain_disk *disk_named(const struct session *session, const char *name)
{
    for (size_t i = 0; i < session->options.disk_count; i++)
        if (strcmp(session->options.disks[i].name, name) == 0)
            return &session->options.disks[i];
    return NULL;
}

/* Is COMMAND one that can be carried out now? */
static enum status check_command(const struct session *session, const struct task *task,
                                 const Tidemark__V1__BackupDisk *command, struct error *err)
{
    const struct plain_disk *disk = disk_named(session, command->disk);

    if (command->vm.len != RANDOM_ID_SIZE)
        return error_set(err, STATUS_INVALID, "a VM's id has %zu bytes, not %d", command->vm.len,
                         RANDOM_ID_SIZE);
    if (command->block_size < BLOCK_SIZE_MIN || command->block_size > BLOCK_SIZE_MAX ||
        (command->block_size & (command->block_size - 1)) != 0)
        return error_set(err, STATUS_INVALID, "blocks of %" PRIu32 " bytes", command->block_size);
    if (disk == NULL)
        return error_set(err, STATUS_NOT_FOUND, "host %s has no disk %.255s",
                         session->options.tools->host, command->disk);
    for (const struct task *other = session->tasks; other != NULL; other = other->next)
        if (other != task && other->backup != NULL &&
            (backup_disk(other->backup) == disk || random_id_equal(&other->id, &task->id)))
            return error_set(err, STATUS_EXISTS, "disk %s is being backed up already",
                             command->disk);
    return STATUS_OK;
}

static enum status start_backup(struct session *session, struct task *task,
                                const Tidemark__V1__BackupDisk *command, struct error *err)
{
    struct backup_options options = {.tools = session->options.tools,
                                     .channel = session->data,
                                     .id_key = session->id_key,
                                     .repository = session->repository,
                                     .task = task->id,
                                     .block_size = command->block_size,
                                     .parent = command->parent,
                                     .done = on_backup_done,
                                     .owner = task};
    enum status st = check_command(session, task, command, err);

    if (st != STATUS_OK)
        return st;
    options.disk = disk_named(session, command->disk);
    memcpy(options.vm.bytes, command->vm.data, RANDOM_ID_SIZE);
    return backup_new(&options, &task->backup, err);
}

/* MESSAGE is a BackupDisk. After a failure the line is lost; MESSAGE is taken in any case. */
static enum status take_backup(struct session *session, Tidemark__V1__ToAgent *take_message,
                               struct error *err)
{
    const Tidemark__V1__BackupDisk *command = take_message->backup;
    struct task *task = NULL;
    struct error refusal = {0};

    if (command->task.len != RANDOM_ID_SIZE) {
        (void)error_set(err, STATUS_INVALID, "a task's id has %zu bytes, not %d", command->task.len,
                        RANDOM_ID_SIZE);
        goto out;
    }
    task = memory_new(1, sizeof(*task));
    if (task == NULL) {
        (void)error_set_no_memory(err, sizeof(*task), "a task");
        goto out;
    }
    task->session = session;
    memcpy(task->id.bytes, command->task.data, RANDOM_ID_SIZE);
    task->command = &take_message->base;
    take_message = NULL;
    task->next = session->tasks;
    session->tasks = task;
    session->task_count++;

    enum status st = start_backup(session, task, command, &refusal);

    if (st == STATUS_OK)
        backup_start(task->backup);
    else
        end_task(task, st, &refusal);
out:
    if (take_message == NULL)
        return STATUS_OK;
    rpc_message_free(&take_message->base);
    return err->status;
}

static void take_cancel(struct session *session, const Tidemark__V1__CancelTask *cancel)
{
    for (struct task *task = session->tasks; task != NULL; task = task->next)
        if (task->backup != NULL && !task->done_due && cancel->task.len == RANDOM_ID_SIZE &&
            memcmp(task->id.bytes, cancel->task.data, RANDOM_ID_SIZE) == 0)
            backup_cancel(task->backup);
}

/* ---- Hearing --------------------------------------------------------------------------------- */

static enum status take_hello(struct session *session, const Tidemark__V1__CoordinatorHello *hello,
                              struct error *err)
{
    if (hello->protocol == NULL || hello->protocol->major != SESSION_PROTOCOL_MAJOR)
        return error_set(err, STATUS_PRECONDITION,
                         "the coordinator speaks version %" PRIu32 ".%" PRIu32
                         " of the protocol, this agent %d.%d: update the older one",
                         hello->protocol != NULL ? hello->protocol->major : 0,
                         hello->protocol != NULL ? hello->protocol->minor : 0,
                         SESSION_PROTOCOL_MAJOR, SESSION_PROTOCOL_MINOR);
    if (hello->repository.len != RANDOM_ID_SIZE || hello->id_key.len != ID_KEY_SIZE)
        return error_set(err, STATUS_INVALID, "the coordinator's hello lacks repository or key");

    enum status st =
        hash_key_new(slice_of(hello->id_key.data, hello->id_key.len), &session->id_key, err);

    OPENSSL_cleanse(hello->id_key.data, hello->id_key.len);
    if (st != STATUS_OK)
        return st;
    memcpy(session->repository.bytes, hello->repository.data, RANDOM_ID_SIZE);
    session->hello_came = true;
    session->pause_ms = SESSION_PAUSE_MIN_MS;
    log_info(session->log, "connected to %s", session->options.address);
    loop_timer_start(session->loop, &session->progress, SESSION_PROGRESS_MS);
    return STATUS_OK;
}

/* Takes MESSAGE in any case. After a failure the line is lost. */
static enum status take_message(struct session *session, Tidemark__V1__ToAgent *message,
                                struct error *err)
{
    enum status st = STATUS_OK;

    if (!session->hello_came && message->kind_case == TIDEMARK__V1__TO_AGENT__KIND_HELLO) {
        st = take_hello(session, message->hello, err);
    } else if (!session->hello_came) {
        st = error_set(err, STATUS_INVALID, "the coordinator did not begin with a hello");
    } else if (message->kind_case == TIDEMARK__V1__TO_AGENT__KIND_BACKUP) {
        return take_backup(session, message, err);
    } else if (message->kind_case == TIDEMARK__V1__TO_AGENT__KIND_CANCEL) {
        take_cancel(session, message->cancel);
    }
    /* What else there may be is of a newer minor version: it means nothing here. */
    rpc_message_free(&message->base);
    return st;
}

static void on_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                    const struct error *err)
{
    struct session *session = (struct session *)((char *)read - offsetof(struct session, read));
    struct error wrong = {0};

    session->reading = false;
    if (session->lost || status != STATUS_OK || message == NULL) {
        if (status == STATUS_INVALID) /* malformed: the call itself may go on */
            lose(session, status, err);
        rpc_message_free(message);
        return; /* the call is over: on_ended() knows why */
    }

    enum status st = take_message(session, (Tidemark__V1__ToAgent *)message, &wrong);

    if (st != STATUS_OK)
        lose(session, st, &wrong);
    read_on(session);
}

static void read_on(struct session *session)
{
    if (session->lost || session->reading || session->task_count >= SESSION_TASKS_MAX)
        return;
    session->reading = true;
    rpc_read_start(session->call, &session->read);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* The connections, where they are not there yet. */
static enum status make_channels(struct session *session, struct error *err)
{
    struct rpc_channel_options options = {.address = session->options.address,
                                          .credentials = session->options.credentials,
                                          .message_max = RPC_CONTROL_MESSAGE_MAX,
                                          .memory_max = SESSION_MEMORY_MAX};
    enum status st = STATUS_OK;

    if (session->control == NULL)
        st = rpc_channel_new(session->options.rpc, &options, &session->control, err);
    options.message_max = RPC_DATA_MESSAGE_MAX;
    if (st == STATUS_OK && session->data == NULL)
        st = rpc_channel_new(session->options.rpc, &options, &session->data, err);
    return st;
}

static void connect_line(struct session *session)
{
    static const struct rpc_call_events events = {.ended = on_ended};
    const struct rpc_method method = {&tidemark__v1__agent__descriptor, "Session"};
    struct error err = {0};
    enum status st = make_channels(session, &err);

    session->lost = false;
    session->hello_came = false;
    if (st == STATUS_OK)
        st = rpc_call_open(session->control, method, 0, &events, session, &session->call, &err);
    if (st != STATUS_OK) {
        lose(session, st, &err);
        go_on_without(session);
        return;
    }
    write_hello(session);
    read_on(session);
}

static void on_retry(struct loop_timer *timer)
{
    connect_line((struct session *)((char *)timer - offsetof(struct session, retry)));
}

enum status session_new(const struct session_options *options, struct session **ret_session,
                        struct error *err)
{
    struct session *session = memory_new(1, sizeof(*session));

    if (session == NULL)
        return error_set_no_memory(err, sizeof(*session), "a session");
    INVARIANT(options->disk_count <= SESSION_DISKS_MAX);
    session->options = *options;
    session->loop = options->tools->loop;
    session->log = options->tools->log;
    session->pause_ms = SESSION_PAUSE_MIN_MS;
    session->read.done = on_read;
    session->write.done = on_written;
    session->retry.run = on_retry;
    session->progress.run = on_progress_due;
    session->control_closed.run = on_control_closed;
    session->data_closed.run = on_data_closed;
    connect_line(session);
    *ret_session = session;
    return STATUS_OK;
}

void session_close(struct session *session, struct loop_task *on_closed)
{
    INVARIANT(session->on_closed == NULL);
    session->on_closed = on_closed;
    lose(session, STATUS_OK, NULL);
    go_on_without(session);
}
