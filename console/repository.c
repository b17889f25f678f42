#include "console/repository.h"

#include <inttypes.h>

#include "console/point.h"

typedef Tidemark__V1__RepositoryStatusAnswer answer_message;

/* ---- Status ---------------------------------------------------------------------------------- */

static void print_packs(FILE *out, const char *what, uint64_t packs, uint64_t bytes)
{
    char text[FORMAT_TEXT_SIZE];

    format_text_bytes(bytes, text);
    (void)fprintf(out, "%-15s %" PRIu64 " packs, %s\n", what, packs, text); /* flush tells */
}

static void print_proved(FILE *out, const answer_message *answer)
{
    uint64_t all = answer->data_packs + answer->meta_packs;
    uint64_t packs = all - (answer->unsealed_packs < all ? answer->unsealed_packs : all);
    char text[FORMAT_TEXT_SIZE];

    if (packs == 0 && all > 0) {
        (void)fputs("proved          nothing yet: all packs are still being written\n", out);
    } else if (packs == 0) {
        (void)fputs("proved          nothing is there to be proved\n", out);
    } else if (answer->proved_us != 0) {
        format_text_time(answer->proved_us, text);
        (void)fprintf(out, "proved          all packs, since %s%s\n", text,
                      packs < all ? "; not those that are still being written" : "");
    } else {
        (void)fprintf(out,
                      "proved          %" PRIu64 " of %" PRIu64
                      " packs: run `tidemark repository check` for all of them\n",
                      answer->proved_packs, packs);
    }
}

/* What a person has to do something about. */
static void print_trouble(FILE *out, const answer_message *answer)
{
    if (answer->missing_packs > 0)
        (void)fprintf(out,
                      "WRONG: %" PRIu64 " packs are missing: put them back if you can, then run "
                      "`tidemark repository rebuild`\n",
                      answer->missing_packs);
    if (answer->damaged_packs > 0)
        (void)fprintf(out,
                      "WRONG: %" PRIu64 " packs were damaged when they were last read: "
                      "`tidemark repository check` says what that costs\n",
                      answer->damaged_packs);
    if (answer->left_out > 0)
        (void)fprintf(out,
                      "WRONG: %" PRIu64 " records are damaged, or need something that is: "
                      "`tidemark repository check` says what that costs\n",
                      answer->left_out);
    if (answer->rolled_back)
        (void)fprintf(out,
                      "WRONG: the log was rolled back, from entry %" PRIu64 " to entry %" PRIu64
                      ": backups that were made between are not in this folder\n",
                      answer->rolled_back_from, answer->rolled_back_to);
}

static void print_status(FILE *out, const answer_message *answer)
{
    char text[FORMAT_TEXT_SIZE];

    print_packs(out, "blocks", answer->data_packs, answer->data_bytes);
    print_packs(out, "all other", answer->meta_packs, answer->meta_bytes);
    format_text_bytes(answer->log_bytes, text);
    (void)fprintf(out, "log             %" PRIu64 " entries, %s\n", answer->log_entries, text);
    (void)fprintf(out, "restore points  %" PRIu64 ", and %" PRIu64 " in the trash\n",
                  answer->points, answer->trashed);
    (void)fprintf(out, "unfinished      %" PRIu64 " disks of backups\n", answer->partials);
    (void)fprintf(out, "domains         %" PRIu64 "\n", answer->domains);
    print_proved(out, answer);
    print_trouble(out, answer);
}

static enum status print_json(FILE *out, const answer_message *answer, struct error *err)
{
    json_t *packs = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "data_packs",
                              point_json_count(answer->data_packs), "data_bytes",
                              point_json_count(answer->data_bytes), "meta_packs",
                              point_json_count(answer->meta_packs), "meta_bytes",
                              point_json_count(answer->meta_bytes), "unsealed_packs",
                              point_json_count(answer->unsealed_packs), "missing_packs",
                              point_json_count(answer->missing_packs), "left_out_records",
                              point_json_count(answer->left_out));
    json_t *rest =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I}", "points",
                  point_json_count(answer->points), "trashed", point_json_count(answer->trashed),
                  "partials", point_json_count(answer->partials), "domains",
                  point_json_count(answer->domains), "log_entries",
                  point_json_count(answer->log_entries), "log_bytes",
                  point_json_count(answer->log_bytes), "log_summary",
                  point_json_count(answer->summary), "rolled_back", (int)answer->rolled_back,
                  "rolled_back_to", point_json_count(answer->rolled_back_to), "rolled_back_from",
                  point_json_count(answer->rolled_back_from), "proved_us",
                  (json_int_t)answer->proved_us, "proved_packs",
                  point_json_count(answer->proved_packs), "damaged_packs",
                  point_json_count(answer->damaged_packs));
    enum status st = STATUS_OK;

    if (packs == NULL || rest == NULL || json_object_update(packs, rest) != 0)
        st = error_set_no_memory(err, 0, "the status as JSON");
    if (st == STATUS_OK)
        st = point_print_json(packs, out, err);
    json_decref(packs);
    json_decref(rest);
    return st;
}

enum status repository_status_run(const struct command *command, struct error *err)
{
    Tidemark__V1__RepositoryStatusRequest request = TIDEMARK__V1__REPOSITORY_STATUS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    enum status st = client_ask(command->client, "RepositoryStatus", &request.base, &message, err);

    if (st != STATUS_OK)
        return error_wrap(err, "repository status");
    if (command->options->json)
        st = print_json(command->out, (const answer_message *)message, err);
    else
        print_status(command->out, (const answer_message *)message);
    rpc_message_free(message);
    return st == STATUS_OK ? command_flush(command, err) : st;
}

/* ---- Rebuild --------------------------------------------------------------------------------- */

struct rebuild {
    struct client_reader reader; /* first: that reader is a rebuild */
    const struct command *command;
    struct progress progress;
    Tidemark__V1__RepositoryRebuildEvent *done; /* the one that says so */
};

static void message_came(struct client_reader *reader, ProtobufCMessage *message)
{
    struct rebuild *rebuild = (struct rebuild *)reader; /* its first member */
    Tidemark__V1__RepositoryRebuildEvent *event = (Tidemark__V1__RepositoryRebuildEvent *)message;

    if (event->kind_case == TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_PROGRESS)
        progress_show_count(&rebuild->progress, "rebuilt", event->progress->packs,
                            event->progress->total, "packs");
    if (event->kind_case == TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_DONE &&
        rebuild->done == NULL)
        rebuild->done = event;
    else
        rpc_message_free(message);
    client_next(rebuild->command->client);
}

enum status repository_rebuild_run(const struct command *command, struct error *err)
{
    struct rebuild rebuild = {.reader = {.message = message_came},
                              .command = command,
                              .progress = command_progress(command)};
    Tidemark__V1__RepositoryRebuildRequest request = TIDEMARK__V1__REPOSITORY_REBUILD_REQUEST__INIT;
    enum status st =
        client_stream(command->client, "RepositoryRebuild", &request.base, &rebuild.reader, err);

    progress_clear(&rebuild.progress);
    if (st == STATUS_OK && rebuild.done == NULL)
        st = error_set(err, STATUS_UNKNOWN,
                       "the coordinator ended the call without saying that it is done");
    if (st == STATUS_OK) {
        (void)fputs("all caches are made anew\n", command->out); /* flush tells */
        print_status(command->out, rebuild.done->done);
        st = command_flush(command, err);
    }
    rpc_message_free((ProtobufCMessage *)rebuild.done);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "repository rebuild");
}
