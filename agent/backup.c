#include "agent/backup.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "agent/disk/disk_raw.h"
#include "agent/disk/raw_frozen.h"
#include "agent/parent.h"
#include "agent/point.h"
#include "agent/reason.h"
#include "agent/upload.h"
#include "format/statement.h"

enum backup_state {
    BACKUP_NEW,
    BACKUP_PREPARING,
    BACKUP_OPENING,
    BACKUP_UPLOADING,
    BACKUP_COMMITTING,
    BACKUP_TRACKING,
    BACKUP_CLOSING,
    BACKUP_CLEANING,
    BACKUP_ENDING,
    BACKUP_DONE,
};

struct backup {
    struct backup_options options;
    enum backup_state state;
    uint64_t started_ms;
    bool cancelled;
    bool committed;
    bool keep_both; /* committed, not tracked: the next backup may begin from either copy */
    bool has_parent;
    bool second_upload;
    bool asking; /* UNARY is in flight */

    struct lane *lane;
    struct work work; /* preparing, then cleaning up */
    struct loop_task lane_closed;
    enum status work_status;
    struct error work_err;

    char id[RAW_FROZEN_ID_SIZE]; /* of the new copy; "": none was begun */
    char copy[FS_PATH_SIZE];
    struct parent parent; /* if HAS_PARENT */
    const char *reason;
    struct error reason_err; /* what lies behind the reason; no text: nothing more */

    struct disk_raw_opener opener;
    struct disk_open open;
    struct disk *disk;
    struct loop_task disk_closed;
    struct upload *upload;
    struct loop_timer upload_again;
    unsigned refusals; /* of the second upload */

    struct statement_disk stated;
    struct buffer body; /* what is signed, and sent */
    uint8_t signature[SIGN_SIZE];
    struct id point;
    struct rpc_unary unary;
    unsigned attempts;
    struct loop_timer pause;
    Tidemark__V1__Counts counts;

    enum status status;
    struct error err;
};

static void begin_closing(struct backup *backup);
static void begin_upload(struct backup *backup);
static void begin_attempt(struct backup *backup);

/* The enum's order is the order of the states; only uploading comes again. */
static void move_to(struct backup *backup, enum backup_state state)
{
    INVARIANT(state > backup->state ||
              (state == BACKUP_UPLOADING && backup->state == BACKUP_UPLOADING));
    backup->state = state;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void on_lane_closed(struct loop_task *task)
{
    struct backup *backup = (struct backup *)((char *)task - offsetof(struct backup, lane_closed));

    move_to(backup, BACKUP_DONE);
    backup->lane = NULL;
    backup->options.done(backup->options.owner, backup->status,
                         backup->status == STATUS_OK ? NULL : &backup->err);
}

static void begin_ending(struct backup *backup)
{
    move_to(backup, BACKUP_ENDING);
    backup->counts.elapsed_us =
        (clock_now_ms(loop_clock(backup->options.tools->loop)) - backup->started_ms) * 1000;
    if (backup->lane != NULL)
        lane_close(backup->lane, &backup->lane_closed);
    else
        loop_post(backup->options.tools->loop, &backup->lane_closed);
}

/* The first failure is the one that is told. */
static void note_failure(struct backup *backup, enum status status, const struct error *err)
{
    if (backup->status != STATUS_OK)
        return;
    backup->status = status;
    backup->err = *err;
}

/* Nothing goes on: what is open is closed, and what was made is removed. */
static void fail(struct backup *backup, enum status status, const struct error *err)
{
    if (backup->committed) {
        /* The restore point is there, whatever happens now. Logging: the error ends its way here. */
        log_warning(backup->options.tools->log,
                    "disk %s: the backup is committed, but the next one cannot begin from it: %s",
                    backup->options.disk->name, err->text);
        backup->keep_both = true;
    } else {
        note_failure(backup, status, err);
    }
    begin_closing(backup);
}

/* True: it was cancelled, and goes no further. */
static bool stop_if_cancelled(struct backup *backup)
{
    struct error err = {0};

    if (!backup->cancelled)
        return false;
    (void)error_set(&err, STATUS_CANCELLED, "the backup was cancelled");
    fail(backup, STATUS_CANCELLED, &err);
    return true;
}

/* ---- Work that blocks ------------------------------------------------------------------------ */

static struct backup *backup_of_work(struct work *work)
{
    return (struct backup *)((char *)work - offsetof(struct backup, work));
}

static void submit(struct backup *backup, void (*run)(struct work *work),
                   void (*done)(struct work *work, enum status status))
{
    backup->work_status = STATUS_OK;
    backup->work = (struct work){.run = run, .done = done, .cost = 1};
    INVARIANT(lane_submit(backup->lane, &backup->work)); /* one at a time */
}

/* ---- Cleaning up ----------------------------------------------------------------------------- */

static void run_cleaning(struct work *work)
{
    struct backup *backup = backup_of_work(work);
    const struct plain_disk *disk = backup->options.disk;
    struct error *err = &backup->work_err;
    size_t removed = 0;
    enum status st = STATUS_OK;

    if (backup->committed) {
        st = raw_frozen_keep_only(disk->fs, disk->file, backup->id, &removed, err);
        if (st == STATUS_OK)
            st = fault_point("agent.after_remove", err);
    } else {
        st = raw_frozen_remove(disk->fs, disk->file, backup->id, err);
        if (st == STATUS_NOT_FOUND)
            st = STATUS_OK;
    }
    backup->work_status = st;
}

static void cleaning_done(struct work *work, enum status status)
{
    struct backup *backup = backup_of_work(work);

    INVARIANT(status == STATUS_OK);       /* nobody cancels it */
    if (backup->work_status != STATUS_OK) /* logging: the next backup tries again */
        log_warning(
            backup->options.tools->log,
            "disk %s: a frozen copy that is not needed any more stays until the next backup: %s",
            backup->options.disk->name, backup->work_err.text);
    begin_ending(backup);
}

static void begin_cleaning(struct backup *backup)
{
    move_to(backup, BACKUP_CLEANING);
    if (backup->keep_both || backup->id[0] == '\0') {
        begin_ending(backup);
        return;
    }
    submit(backup, run_cleaning, cleaning_done);
}

static void on_disk_closed(struct loop_task *task)
{
    struct backup *backup = (struct backup *)((char *)task - offsetof(struct backup, disk_closed));

    begin_cleaning(backup);
}

static void begin_closing(struct backup *backup)
{
    struct disk *disk = backup->disk;

    move_to(backup, BACKUP_CLOSING);
    backup->disk = NULL;
    if (disk != NULL)
        disk_close(disk, &backup->disk_closed);
    else
        loop_post(backup->options.tools->loop, &backup->disk_closed);
}

/* ---- Signing --------------------------------------------------------------------------------- */

/* Signs what is in the body. */
static enum status sign_body(struct backup *backup, const char *context, const char *what,
                             struct error *err)
{
    enum status st = buffer_check(&backup->body, what, err);

    if (st == STATUS_OK)
        st = sign_message(backup->options.tools->key, context, buffer_slice(&backup->body),
                          backup->signature, err);
    return st;
}

static Tidemark__V1__Signed signed_message(struct backup *backup)
{
    struct slice certificate = backup->options.tools->certificate;
    Tidemark__V1__Signed message = TIDEMARK__V1__SIGNED__INIT;

    message.body.data = backup->body.data;
    message.body.len = backup->body.size;
    message.signature.data = backup->signature;
    message.signature.len = SIGN_SIZE;
    message.certificate.data = (uint8_t *)certificate.data; /* packing only reads */
    message.certificate.len = certificate.size;
    return message;
}

/* NAME as a text of a statement. */
static enum status put_name(char target[STATEMENT_NAME_SIZE], const char *name, struct error *err)
{
    if (!text_format(target, STATEMENT_NAME_SIZE, "%s", name))
        return error_set(err, STATUS_INVALID, "the name \"%.64s\" is longer than %d bytes", name,
                         STATEMENT_NAME_SIZE - 1);
    return STATUS_OK;
}

/* Puts the signed statement into body and signature, and says which point it makes. */
static enum status sign_statement(struct backup *backup, struct error *err)
{
    const struct backup_options *options = &backup->options;
    const struct backup_tools *tools = options->tools;
    const struct disk_info *info = disk_info(backup->disk);
    struct statement_disk *disk = &backup->stated;
    struct statement statement = {.repository = options->repository,
                                  .task = options->task,
                                  .vm = options->vm,
                                  .time_us = clock_wall_us(loop_clock(tools->loop)),
                                  .consistency = CONSISTENCY_CRASH,
                                  .disks = disk,
                                  .disk_count = 1};
    struct signed_slice signed_statement = {.certificate = tools->certificate};
    enum status st = put_name(statement.host, tools->host, err);

    if (st == STATUS_OK)
        st = put_name(statement.vm_name, options->disk->name, err);
    if (st == STATUS_OK)
        st = put_name(disk->name, options->disk->name, err);
    if (st != STATUS_OK)
        return st;
    memcpy(statement.reason, backup->reason, strlen(backup->reason) + 1); /* a code: short */
    if (backup->has_parent)
        statement.parent = backup->parent.point;
    memcpy(disk->identity, info->identity, sizeof(disk->identity));
    disk->size = info->size;
    disk->root = *upload_root_id(backup->upload);
    buffer_clear(&backup->body);
    statement_encode(&statement, &backup->body);
    st = sign_body(backup, SIGN_CONTEXT_STATEMENT, "a statement", err);
    if (st != STATUS_OK)
        return st;
    signed_statement.body = buffer_slice(&backup->body);
    signed_statement.signature = slice_of(backup->signature, SIGN_SIZE);
    return point_id(options->id_key, &statement, &signed_statement, &backup->point, err);
}

static enum status sign_tracking(struct backup *backup, struct error *err)
{
    const struct backup_options *options = &backup->options;
    const struct backup_tools *tools = options->tools;
    const struct disk_info *info = disk_info(backup->disk);
    struct tracking_disk disk = {.size = info->size, .root = backup->stated.root};
    struct tracking tracking = {.repository = options->repository,
                                .vm = options->vm,
                                .point = backup->point,
                                .time_us = clock_wall_us(loop_clock(tools->loop)),
                                .disks = &disk,
                                .disk_count = 1};

    memcpy(disk.identity, info->identity, sizeof(disk.identity));
    memcpy(disk.change_id, info->change_id, strlen(info->change_id) + 1);
    buffer_clear(&backup->body);
    tracking_encode(&tracking, &backup->body);
    return sign_body(backup, SIGN_CONTEXT_TRACKING, "a tracking record", err);
}

/* ---- Commit and track: one question each, asked again while nobody answers ------------------- */

static void begin_tracking(struct backup *backup)
{
    struct error err = {0};

    move_to(backup, BACKUP_TRACKING);
    backup->attempts = 0;

    enum status st = fault_point("agent.after_commit", &err);

    if (st == STATUS_OK)
        st = sign_tracking(backup, &err);
    if (st != STATUS_OK)
        fail(backup, st, &err);
    else if (!stop_if_cancelled(backup))
        begin_attempt(backup);
}

static void take_commit(struct backup *backup, const Tidemark__V1__CommitAnswer *answer)
{
    struct error err = {0};

    if (answer->point.len != ID_SIZE ||
        memcmp(answer->point.data, backup->point.bytes, ID_SIZE) != 0) {
        (void)error_set(&err, STATUS_CORRUPT,
                        "the coordinator has committed another restore point than was stated");
        fail(backup, STATUS_CORRUPT, &err);
        return;
    }
    backup->committed = true;
    backup->counts.stored += answer->stored;
    begin_tracking(backup);
}

static void take_track(struct backup *backup)
{
    struct error err = {0};
    enum status st = fault_point("agent.after_track", &err);

    if (st != STATUS_OK)
        fail(backup, st, &err);
    else
        begin_closing(backup);
}

/* The last attempt has failed. */
static void answer_failed(struct backup *backup, enum status status, const struct error *err)
{
    struct error told = *err;

    if (backup->state == BACKUP_COMMITTING &&
        (status == STATUS_UNAVAILABLE || status == STATUS_TIMEOUT))
        (void)error_wrap(&told, "the commit got no answer, and the restore point may exist all the "
                                "same (tidemark list tells)");
    fail(backup, status, &told);
}

static void on_answer(struct rpc_unary *unary, enum status status, ProtobufCMessage *answer,
                      const struct error *err)
{
    struct backup *backup = (struct backup *)((char *)unary - offsetof(struct backup, unary));

    backup->asking = false;
    if (status == STATUS_OK && backup->state == BACKUP_COMMITTING) {
        take_commit(backup, (const Tidemark__V1__CommitAnswer *)answer);
    } else if (status == STATUS_OK) {
        take_track(backup);
    } else if (status == STATUS_UNAVAILABLE && backup->attempts < BACKUP_ATTEMPTS &&
               !backup->cancelled) {
        log_debug(backup->options.tools->log, "disk %s: asked in vain, and again soon: %s",
                  backup->options.disk->name, err->text);
        loop_timer_start(backup->options.tools->loop, &backup->pause,
                         (uint64_t)BACKUP_PAUSE_MS << (backup->attempts - 1));
    } else {
        answer_failed(backup, status, err);
    }
    rpc_message_free(answer);
}

static void on_pause_over(struct loop_timer *timer)
{
    begin_attempt((struct backup *)((char *)timer - offsetof(struct backup, pause)));
}

static void begin_attempt(struct backup *backup)
{
    struct random_id task = backup->options.task;
    Tidemark__V1__Signed message = signed_message(backup);
    Tidemark__V1__CommitRequest commit = TIDEMARK__V1__COMMIT_REQUEST__INIT;
    Tidemark__V1__TrackRequest track = TIDEMARK__V1__TRACK_REQUEST__INIT;
    struct rpc_method method = {&tidemark__v1__data__descriptor, "Commit"};
    const ProtobufCMessage *request = &commit.base;

    commit.task.data = track.task.data = task.bytes;
    commit.task.len = track.task.len = RANDOM_ID_SIZE;
    commit.statement = track.tracking = &message;
    if (backup->state == BACKUP_TRACKING) {
        method.name = "Track";
        request = &track.base;
    }
    backup->attempts++;
    backup->asking = true;
    backup->unary = (struct rpc_unary){.done = on_answer};
    rpc_unary_start(backup->options.channel, method, request, BACKUP_ANSWER_TIMEOUT_MS,
                    &backup->unary);
}

static void begin_commit(struct backup *backup)
{
    struct error err = {0};

    move_to(backup, BACKUP_COMMITTING);
    backup->attempts = 0;

    enum status st = fault_point("agent.before_commit", &err);

    if (st == STATUS_OK)
        st = sign_statement(backup, &err);
    if (st != STATUS_OK)
        fail(backup, st, &err);
    else
        begin_attempt(backup);
}

/* ---- Upload ---------------------------------------------------------------------------------- */

/* The disk is read whole, for REASON; ERR says more. */
static void give_up_parent(struct backup *backup, const char *reason, const struct error *err)
{
    backup->has_parent = false;
    backup->reason = reason;
    log_info(backup->options.tools->log, "disk %s is read whole (%s): %s",
             backup->options.disk->name, reason, err->text);
}

static void note_counts(struct backup *backup)
{
    struct upload_counts counts = upload_counts(backup->upload);

    backup->counts.to_read = counts.to_read;
    backup->counts.read = counts.read;
    backup->counts.sent = counts.sent;
    backup->counts.new_blocks = counts.new_blocks;
    backup->counts.stored = counts.stored;
}

static void on_uploaded(void *owner, enum status status, const struct error *err)
{
    struct backup *backup = owner;

    note_counts(backup);
    if (status == STATUS_OK) {
        if (!stop_if_cancelled(backup))
            begin_commit(backup);
        return;
    }
    if (upload_reason(backup->upload) != NULL && !backup->cancelled) {
        give_up_parent(backup, upload_reason(backup->upload), err);
        loop_timer_start(backup->options.tools->loop, &backup->upload_again, 0);
        backup->second_upload = true;
        return;
    }
    /* The coordinator may not have noticed yet that the first one is over. */
    if (status == STATUS_PRECONDITION && backup->second_upload && !backup->cancelled &&
        backup->refusals < BACKUP_ATTEMPTS) {
        loop_timer_start(backup->options.tools->loop, &backup->upload_again,
                         (uint64_t)BACKUP_UPLOAD_PAUSE_MS << backup->refusals);
        backup->refusals++;
        return;
    }
    fail(backup, status, err);
}

static void on_upload_again(struct loop_timer *timer)
{
    struct backup *backup =
        (struct backup *)((char *)timer - offsetof(struct backup, upload_again));

    upload_free(backup->upload);
    backup->upload = NULL;
    if (!stop_if_cancelled(backup))
        begin_upload(backup);
}

static void begin_upload(struct backup *backup)
{
    const struct backup_options *options = &backup->options;
    const struct backup_tools *tools = options->tools;
    struct upload_options upload = {.loop = tools->loop,
                                    .workers = tools->workers,
                                    .window = tools->window,
                                    .log = tools->log,
                                    .channel = options->channel,
                                    .disk = backup->disk,
                                    .id_key = options->id_key,
                                    .task = options->task,
                                    .block_size = options->block_size,
                                    .parent = backup->has_parent ? &backup->parent : NULL,
                                    .done = on_uploaded,
                                    .owner = backup};
    struct error err = {0};

    move_to(backup, BACKUP_UPLOADING);

    enum status st = upload_new(&upload, &backup->upload, &err);

    if (st != STATUS_OK)
        fail(backup, st, &err);
    else
        upload_start(backup->upload);
}

/* ---- Open ------------------------------------------------------------------------------------ */

static void on_opened(struct disk_open *open, enum status status, struct disk *disk,
                      const struct error *err)
{
    struct backup *backup = (struct backup *)((char *)open - offsetof(struct backup, open));
    struct error wrong = {0};

    if (status != STATUS_OK) {
        fail(backup, status, err);
        return;
    }
    backup->disk = disk;
    backup->counts.disk_size = disk_info(disk)->size;

    enum status st = fault_point("agent.after_open", &wrong);

    if (st != STATUS_OK) {
        fail(backup, st, &wrong);
        return;
    }
    if (backup->has_parent &&
        parent_check_disk(&backup->parent, disk_info(disk), &wrong) != STATUS_OK)
        give_up_parent(backup, REASON_DISK_CHANGED, &wrong);
    if (!stop_if_cancelled(backup))
        begin_upload(backup);
}

static void begin_open(struct backup *backup)
{
    const struct backup_tools *tools = backup->options.tools;

    move_to(backup, BACKUP_OPENING);
    backup->opener = disk_raw_opener_of(tools->loop, tools->blocking, backup->options.disk->fs);
    backup->open =
        (struct disk_open){.path = backup->copy, .kind = DISK_OPEN_FROZEN, .done = on_opened};
    disk_open_start(&backup->opener.opener, &backup->open);
}

/* ---- Prepare --------------------------------------------------------------------------------- */

/* On a worker. Decides about the parent: has_parent, or the reason. */
static enum status choose_parent(struct backup *backup, struct error *err)
{
    const struct backup_options *options = &backup->options;
    struct parent_terms terms = {.ca_pem = options->tools->ca_pem,
                                 .id_key = options->id_key,
                                 .repository = options->repository,
                                 .vm = options->vm};
    struct error *why = &backup->reason_err;
    char copy[FS_PATH_SIZE];

    if (options->parent == NULL) {
        backup->reason = REASON_FIRST_BACKUP;
        return STATUS_OK;
    }

    enum status st = parent_check(&terms, options->parent, &backup->parent, why);

    if (st == STATUS_CORRUPT || st == STATUS_DENIED || st == STATUS_INVALID) {
        backup->reason = REASON_PARENT_INVALID;
        return STATUS_OK;
    }
    if (st == STATUS_OK)
        st = raw_frozen_find(options->disk->fs, options->disk->file, backup->parent.change_id, copy,
                             why);
    if (st == STATUS_NOT_FOUND) {
        backup->reason = REASON_REFERENCE_MISSING;
        return STATUS_OK;
    }
    if (st != STATUS_OK) {
        *err = *why;
        return st;
    }
    backup->has_parent = true;
    return STATUS_OK;
}

static void run_preparing(struct work *work)
{
    struct backup *backup = backup_of_work(work);
    const struct backup_tools *tools = backup->options.tools;
    const struct plain_disk *disk = backup->options.disk;
    struct error *err = &backup->work_err;
    size_t removed = 0;
    enum status st = choose_parent(backup, err);

    if (st == STATUS_OK)
        st = raw_frozen_keep_only(disk->fs, disk->file,
                                  backup->has_parent ? backup->parent.change_id : NULL, &removed,
                                  err);
    if (st == STATUS_OK)
        st = raw_frozen_new_id(tools->random, backup->id, err);
    if (st == STATUS_OK)
        st = raw_frozen_make(disk->fs, disk->file, backup->id, tools->random, backup->copy, err);
    if (st == STATUS_OK)
        st = fault_point("agent.after_freeze", err);
    backup->work_status = st;
}

static void preparing_done(struct work *work, enum status status)
{
    struct backup *backup = backup_of_work(work);

    if (status != STATUS_OK)
        backup->work_status = error_set(&backup->work_err, status, "the backup was cancelled");
    if (backup->reason[0] != '\0' && backup->reason_err.text[0] != '\0')
        give_up_parent(backup, backup->reason, &backup->reason_err);
    if (backup->work_status != STATUS_OK)
        fail(backup, backup->work_status, &backup->work_err);
    else if (!stop_if_cancelled(backup))
        begin_open(backup);
}

/* ---- For the owner --------------------------------------------------------------------------- */

enum status backup_new(const struct backup_options *options, struct backup **ret_backup,
                       struct error *err)
{
    struct backup *backup = memory_new(1, sizeof(*backup));

    if (backup == NULL)
        return error_set_no_memory(err, sizeof(*backup), "a backup");
    backup->options = *options;
    backup->reason = "";
    backup->lane_closed.run = on_lane_closed;
    backup->disk_closed.run = on_disk_closed;
    backup->upload_again.run = on_upload_again;
    backup->pause.run = on_pause_over;
    backup->counts = (Tidemark__V1__Counts)TIDEMARK__V1__COUNTS__INIT;
    buffer_init(&backup->body, TRACKING_SIZE_MAX);
    *ret_backup = backup;
    return STATUS_OK;
}

void backup_start(struct backup *backup)
{
    const struct backup_tools *tools = backup->options.tools;
    struct lane_limits limits = {.work = 1, .cost = 1, .running = 1};
    struct error err = {0};

    backup->started_ms = clock_now_ms(loop_clock(tools->loop));
    move_to(backup, BACKUP_PREPARING);

    enum status st = lane_new(tools->blocking, limits, NULL, &backup->lane, &err);

    if (st != STATUS_OK)
        fail(backup, st, &err);
    else
        submit(backup, run_preparing, preparing_done);
}

void backup_cancel(struct backup *backup)
{
    struct error err = {0};

    if (backup->cancelled || backup->state >= BACKUP_CLOSING || backup->state == BACKUP_NEW)
        return;
    backup->cancelled = true;
    if (backup->state == BACKUP_PREPARING) {
        work_cancel(&backup->work);
    } else if (backup->state == BACKUP_UPLOADING) {
        if (backup->upload != NULL)
            upload_cancel(backup->upload);
    } else if (backup->state == BACKUP_COMMITTING || backup->state == BACKUP_TRACKING) {
        if (backup->asking) {
            rpc_unary_cancel(&backup->unary);
            return;
        }
        loop_timer_stop(backup->options.tools->loop, &backup->pause);
        (void)error_set(&err, STATUS_CANCELLED, "the backup was cancelled");
        fail(backup, STATUS_CANCELLED, &err);
    }
}

void backup_free(struct backup *backup)
{
    if (backup == NULL)
        return;
    INVARIANT(backup->state == BACKUP_NEW || backup->state == BACKUP_DONE);
    upload_free(backup->upload);
    buffer_deinit(&backup->body);
    memory_free(backup);
}

const struct random_id *backup_task(const struct backup *backup)
{
    return &backup->options.task;
}

const struct plain_disk *backup_disk(const struct backup *backup)
{
    return backup->options.disk;
}

Tidemark__V1__Counts backup_counts(const struct backup *backup)
{
    Tidemark__V1__Counts counts = backup->counts;

    if (backup->state == BACKUP_UPLOADING && backup->upload != NULL) {
        struct upload_counts now = upload_counts(backup->upload);

        counts.to_read = now.to_read;
        counts.read = now.read;
        counts.sent = now.sent;
    }
    if (backup->state < BACKUP_ENDING)
        counts.elapsed_us =
            (clock_now_ms(loop_clock(backup->options.tools->loop)) - backup->started_ms) * 1000;
    return counts;
}

const struct id *backup_point(const struct backup *backup)
{
    return &backup->point;
}

const char *backup_reason(const struct backup *backup)
{
    return backup->reason;
}
