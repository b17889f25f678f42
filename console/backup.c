#include "console/backup.h"

#include "console/point.h"

struct backup {
    struct client_reader reader; /* first: that reader is a backup */
    const struct command *command;
    struct progress progress;
    Tidemark__V1__BackupEvent *done; /* the one that says so */
};

static void end_corrupt(struct backup *backup, const char *text)
{
    struct error err = {0};

    (void)error_set(&err, STATUS_CORRUPT, "%s", text); /* client_end() passes it on */
    client_end(backup->command->client, &err);
}

static void message_came(struct client_reader *reader, ProtobufCMessage *message)
{
    struct backup *backup = (struct backup *)reader; /* its first member */
    Tidemark__V1__BackupEvent *event = (Tidemark__V1__BackupEvent *)message;

    if (backup->done != NULL) {
        rpc_message_free(message);
        end_corrupt(backup, "the coordinator goes on after it said that the backup is done");
        return;
    }
    switch (event->kind_case) {
    case TIDEMARK__V1__BACKUP_EVENT__KIND_PROGRESS:
        progress_show(&backup->progress, "backed up", event->progress->read,
                      event->progress->to_read);
        break;
    case TIDEMARK__V1__BACKUP_EVENT__KIND_DONE:
        backup->done = event;
        message = NULL;
        break;
    case TIDEMARK__V1__BACKUP_EVENT__KIND__NOT_SET: /* of a newer coordinator */
    case _TIDEMARK__V1__BACKUP_EVENT__KIND__CASE_IS_INT_SIZE:
        break;
    }
    rpc_message_free(message);
    client_next(backup->command->client);
}

static void print_table(const struct point_text *point, const Tidemark__V1__Counts *counts,
                        FILE *out)
{
    char read[FORMAT_TEXT_SIZE];
    char sent[FORMAT_TEXT_SIZE];
    char stored[FORMAT_TEXT_SIZE];
    char new_blocks[FORMAT_TEXT_SIZE];
    char duration[FORMAT_TEXT_SIZE];
    char ratio[FORMAT_TEXT_SIZE];

    format_text_bytes(counts->read, read);
    format_text_bytes(counts->sent, sent);
    format_text_bytes(counts->stored, stored);
    format_text_bytes(counts->new_blocks, new_blocks);
    format_text_duration(counts->elapsed_us / 1000, duration);
    format_text_ratio(counts->read, counts->stored, ratio);
    (void)fprintf(out, /* command_flush() tells whether it got out */
                  "point   %s\n"
                  "disk    %s of host %s, %s, %s-consistent\n"
                  "time    %s\n"
                  "how     %s\n"
                  "read    %s\n"
                  "new     %s of blocks that the repository did not have\n"
                  "sent    %s\n"
                  "stored  %s\n"
                  "took    %s\n"
                  "ratio   %s (read to stored)\n",
                  point->id, point->disk, point->host, point->size, point->consistency, point->time,
                  point->how, read, new_blocks, sent, stored, duration, ratio);
}

static enum status print_json(const Tidemark__V1__BackupDone *done, FILE *out, struct error *err)
{
    const Tidemark__V1__Counts *counts = done->counts;
    json_t *json = NULL;
    enum status st = point_json(done->point, &json, err);

    if (st != STATUS_OK)
        return st;
    if (json_object_update_new(json, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "to_read_bytes",
                                               point_json_count(counts->to_read), "read_bytes",
                                               point_json_count(counts->read), "sent_bytes",
                                               point_json_count(counts->sent), "new_bytes",
                                               point_json_count(counts->new_blocks), "stored_bytes",
                                               point_json_count(counts->stored), "elapsed_us",
                                               point_json_count(counts->elapsed_us))) != 0)
        st = error_set_no_memory(err, 0, "the result as JSON");
    else
        st = point_print_json(json, out, err);
    json_decref(json);
    return st;
}

static enum status print_done(const struct command *command, const Tidemark__V1__BackupDone *done,
                              struct error *err)
{
    struct point_text point;
    enum status st = STATUS_OK;

    if (done->counts == NULL)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator ended the backup without its counts");
    if (command->options->json) {
        st = print_json(done, command->out, err);
    } else {
        st = point_text(done->point, &point, err);
        if (st == STATUS_OK)
            print_table(&point, done->counts, command->out);
    }
    return st == STATUS_OK ? command_flush(command, err) : st;
}

enum status backup_run(const struct command *command, struct error *err)
{
    struct backup backup = {.reader = {.message = message_came},
                            .command = command,
                            .progress = command_progress(command)};
    Tidemark__V1__BackupRequest request = TIDEMARK__V1__BACKUP_REQUEST__INIT;
    char name[POINT_NAME_SIZE];

    request.disk =
        (char *)command->options->disk; /* protobuf-c knows no const; it is packed only */
    request.host = (char *)command->options->host;

    enum status st = client_stream(command->client, "Backup", &request.base, &backup.reader, err);

    progress_clear(&backup.progress);
    if (st == STATUS_OK && backup.done == NULL)
        st =
            error_set(err, STATUS_UNKNOWN,
                      "the coordinator ended the call without saying how the backup went; tidemark "
                      "list shows whether the point is there");
    if (st == STATUS_OK)
        st = print_done(command, backup.done->done, err);
    rpc_message_free((ProtobufCMessage *)backup.done);
    if (st == STATUS_OK)
        return st;
    format_text_visible(command->options->disk, name, sizeof(name));
    return error_wrap(err, "back up %s", name);
}
