#include "console/repository_check.h"

#include <inttypes.h>

#include "console/point.h"

enum { NAME_SIZE = POINT_NAME_SIZE, SENTENCE_SIZE = 2048, PACK_DIGITS = 32 };

typedef Tidemark__V1__RepositoryCheckFinding finding_message;
typedef Tidemark__V1__RepositoryCheckLoss loss_message;
typedef Tidemark__V1__RepositoryCheckDone done_message;

struct check {
    struct client_reader reader; /* first: that reader is a check */
    const struct command *command;
    struct progress progress;
    json_t *findings; /* arrays; NULL: they are printed as they come */
    json_t *losses;
    Tidemark__V1__RepositoryCheckEvent *done; /* the one that says so */
};

static void pack_text(ProtobufCBinaryData pack, char text[PACK_DIGITS + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;

    for (size_t i = 0; i < pack.len && length < PACK_DIGITS; i++) {
        text[length++] = digits[pack.data[i] >> 4];
        text[length++] = digits[pack.data[i] & 15];
    }
    text[length] = '\0';
}

/* ---- Findings -------------------------------------------------------------------------------- */

static void print_finding(FILE *out, const finding_message *finding)
{
    char text[SENTENCE_SIZE];
    char kind[FORMAT_TEXT_SIZE];
    char pack[PACK_DIGITS + 1];

    format_text_visible(finding->text, text, sizeof(text));
    format_text_visible(finding->kind, kind, sizeof(kind));
    pack_text(finding->pack, pack);
    (void)fputs("damaged: ", out); /* command_flush() tells whether it got out */
    if (finding->number != 0)
        (void)fprintf(out, "record %" PRIu64 " (%s)%s", finding->number, kind,
                      pack[0] != '\0' ? ", " : "");
    if (pack[0] != '\0' && finding->length > 0)
        (void)fprintf(out, "%" PRIu64 " bytes at %" PRIu64 " of ", finding->length,
                      finding->offset);
    if (pack[0] != '\0')
        (void)fprintf(out, "pack %s", pack);
    (void)fprintf(out, ": %s\n", text);
}

static json_t *json_finding(const finding_message *finding)
{
    char text[SENTENCE_SIZE];
    char kind[FORMAT_TEXT_SIZE];
    char pack[PACK_DIGITS + 1];

    format_text_visible(finding->text, text, sizeof(text));
    format_text_visible(finding->kind, kind, sizeof(kind));
    pack_text(finding->pack, pack);
    return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I}", "text", text, "record",
                     point_json_count(finding->number), "kind", kind, "pack", pack, "offset",
                     point_json_count(finding->offset), "length",
                     point_json_count(finding->length));
}

/* ---- Losses ---------------------------------------------------------------------------------- */

struct loss_text {
    char point[ID_TEXT_SIZE]; /* empty: of an unfinished backup */
    char time[FORMAT_TEXT_SIZE];
    char vm[NAME_SIZE];
    char host[NAME_SIZE];
    char name[NAME_SIZE];
};

static enum status loss_text(const loss_message *loss, struct loss_text *ret_text,
                             struct error *err)
{
    struct loss_text text = {.point = ""};
    enum status st = STATUS_OK;

    if (loss->what != TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_PARTIAL)
        st = point_id_text(loss->point, text.point, err);
    if (st != STATUS_OK)
        return st;
    format_text_time(loss->time_us, text.time);
    format_text_visible(loss->vm, text.vm, sizeof(text.vm));
    format_text_visible(loss->host, text.host, sizeof(text.host));
    format_text_visible(loss->name, text.name, sizeof(text.name));
    *ret_text = text;
    return STATUS_OK;
}

static void print_ranges(FILE *out, const loss_message *loss)
{
    char bytes[FORMAT_TEXT_SIZE];
    char size[FORMAT_TEXT_SIZE];

    format_text_bytes(loss->bytes, bytes);
    format_text_bytes(loss->size, size);
    (void)fprintf(out, ": %s of %s", bytes, size);
    for (size_t i = 0; i < loss->n_ranges; i++)
        (void)fprintf(out, "%s%" PRIu64 " bytes at %" PRIu64, i == 0 ? ": " : ", ",
                      loss->ranges[i]->length, loss->ranges[i]->offset);
    if (loss->more_ranges > 0)
        (void)fprintf(out, ", and %" PRIu64 " more ranges", loss->more_ranges);
    (void)fputs("\n", out);
}

/* " of VM web-01 on host hv-01, restore point 0123456789ab of 2026-11-23T14:03:07Z". */
static void print_whose(FILE *out, const loss_message *loss, const struct loss_text *text)
{
    if (text->vm[0] != '\0')
        (void)fprintf(out, " of VM %s on host %s,", text->vm, text->host);
    (void)fprintf(out, " restore point %.*s of %s%s", POINT_SHORT_DIGITS, text->point, text->time,
                  loss->trashed ? " (in the trash)" : "");
}

static void print_loss(FILE *out, const loss_message *loss, const struct loss_text *text)
{
    const char *what = "disk";

    switch (loss->what) {
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_PARTIAL:
        (void)fputs("not lost: an unfinished backup needs some of this; its next run sends that "
                    "again\n",
                    out);
        return;
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_POINT:
        (void)fputs("LOST:", out);
        print_whose(out, loss, text);
        (void)fputs(": its manifest is damaged, and it cannot be restored\n", out);
        return;
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_FILE:
        what = "file";
        break;
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_DISK:
    case _TIDEMARK__V1__REPOSITORY_CHECK_WHAT_IS_INT_SIZE:
        break;
    }
    if (text->name[0] != '\0')
        (void)fprintf(out, "LOST: in %s %s", what, text->name);
    else
        (void)fprintf(out, "LOST: in %s number %" PRIu32, what, loss->disk + 1);
    print_whose(out, loss, text);
    print_ranges(out, loss);
}

static const char *what_text(Tidemark__V1__RepositoryCheckWhat what)
{
    switch (what) {
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_FILE:
        return "file";
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_POINT:
        return "point";
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_PARTIAL:
        return "unfinished";
    case TIDEMARK__V1__REPOSITORY_CHECK_WHAT__REPOSITORY_CHECK_DISK:
    case _TIDEMARK__V1__REPOSITORY_CHECK_WHAT_IS_INT_SIZE:
        break;
    }
    return "disk";
}

/* NULL: no memory. */
static json_t *json_loss(const loss_message *loss, const struct loss_text *text)
{
    json_t *ranges = json_array();

    for (size_t i = 0; i < loss->n_ranges; i++)
        if (json_array_append_new(ranges,
                                  json_pack("{s:I, s:I}", "offset",
                                            point_json_count(loss->ranges[i]->offset), "length",
                                            point_json_count(loss->ranges[i]->length))) != 0) {
            json_decref(ranges);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:I, s:b, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:o}", "what",
                     what_text(loss->what), "point", text->point, "time_us",
                     (json_int_t)loss->time_us, "trashed", (int)loss->trashed, "vm", text->vm,
                     "host", text->host, "disk", (json_int_t)loss->disk, "name", text->name, "size",
                     point_json_count(loss->size), "bytes", point_json_count(loss->bytes),
                     "more_ranges", point_json_count(loss->more_ranges), "ranges", ranges);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static enum status keep(json_t *array, json_t *take_row, struct error *err)
{
    if (json_array_append_new(array, take_row) != 0)
        return error_set_no_memory(err, 0, "a finding as JSON");
    return STATUS_OK;
}

static enum status add_finding(struct check *check, const finding_message *finding,
                               struct error *err)
{
    if (check->findings != NULL)
        return keep(check->findings, json_finding(finding), err);
    progress_clear(&check->progress);
    print_finding(check->command->out, finding);
    return STATUS_OK;
}

static enum status add_loss(struct check *check, const loss_message *loss, struct error *err)
{
    struct loss_text text;
    enum status st = loss_text(loss, &text, err);

    if (st != STATUS_OK)
        return st;
    if (check->losses != NULL)
        return keep(check->losses, json_loss(loss, &text), err);
    progress_clear(&check->progress);
    print_loss(check->command->out, loss, &text);
    return STATUS_OK;
}

/* Takes EVENT in; it stays if it becomes DONE. */
static enum status add_event(struct check *check, Tidemark__V1__RepositoryCheckEvent *event,
                             struct error *err)
{
    switch (event->kind_case) {
    case TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_PROGRESS:
        progress_show(&check->progress,
                      event->progress->findings > 0 ? "DAMAGE FOUND; read" : "read",
                      event->progress->bytes, event->progress->total);
        break;
    case TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_FINDING:
        return add_finding(check, event->finding, err);
    case TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_LOSS:
        return add_loss(check, event->loss, err);
    case TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_DONE:
        check->done = event;
        break;
    case TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND__NOT_SET: /* of a newer coordinator */
    case _TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return STATUS_OK;
}

static void message_came(struct client_reader *reader, ProtobufCMessage *message)
{
    struct check *check = (struct check *)reader; /* its first member */
    struct error err = {0};
    enum status st = STATUS_OK;

    if (check->done == NULL)
        st = add_event(check, (Tidemark__V1__RepositoryCheckEvent *)message, &err);
    else
        st = error_set(&err, STATUS_CORRUPT,
                       "the coordinator goes on after it said that it is done");
    if ((ProtobufCMessage *)check->done != message)
        rpc_message_free(message);
    if (st == STATUS_OK)
        client_next(check->command->client);
    else
        client_end(check->command->client, &err);
}

/* ---- The sum --------------------------------------------------------------------------------- */

static bool is_damaged(const done_message *done)
{
    return done->findings > 0 || done->losses > 0 || done->log[0] != '\0';
}

static const char *verdict(const done_message *done)
{
    if (is_damaged(done))
        return "damaged";
    return done->caches_wrong ? "no damage" : "all is well";
}

/* What it means, and what to do. */
static void print_advice(FILE *out, const done_message *done)
{
    char text[SENTENCE_SIZE];

    if (done->log[0] != '\0') {
        format_text_visible(done->log, text, sizeof(text));
        (void)fprintf(out, "damaged: the log: %s\n", text);
    }
    if (done->findings > 0)
        (void)fprintf(out, "%" PRIu64 " findings; %" PRIu64 " restore points have lost something\n",
                      done->findings, done->hurt_points);
    if (done->findings > 0 && done->hurt_points == 0)
        (void)fputs("Nothing is lost: no restore point needs what is damaged.\n", out);
    if (done->hurt_points > 0)
        (void)fputs("All restore points that are not named above are whole. Look after the disks "
                    "under the repository first. If a good copy of a damaged pack exists, stop the "
                    "coordinator and put it back. Back up the VMs that are named above again.\n",
                    out);
    if (done->caches_wrong)
        (void)
            fprintf(out,
                    "The caches are wrong (%" PRIu64 " records unknown, %" PRIu64
                    " misplaced): run `tidemark repository rebuild`. No backup is lost by that.\n",
                    done->unknown, done->misplaced);
}

static enum status print_json(const struct check *check, const done_message *done,
                              struct error *err)
{
    char log[SENTENCE_SIZE];

    format_text_visible(done->log, log, sizeof(log));

    json_t *json =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:O, s:O}",
                  "damaged", (int)is_damaged(done), "packs", point_json_count(done->packs), "bytes",
                  point_json_count(done->bytes), "records", point_json_count(done->records),
                  "points", point_json_count(done->points), "findings_count",
                  point_json_count(done->findings), "losses_count", point_json_count(done->losses),
                  "hurt_points", point_json_count(done->hurt_points), "torn_tails",
                  point_json_count(done->tails), "unknown", point_json_count(done->unknown),
                  "misplaced", point_json_count(done->misplaced), "caches_wrong",
                  (int)done->caches_wrong, "log", log, "findings", check->findings, "losses",
                  check->losses);
    enum status st = point_print_json(json, check->command->out, err);

    json_decref(json);
    return st;
}

static enum status print_done(const struct check *check, struct error *err)
{
    const done_message *done = check->done->done;
    FILE *out = check->command->out;
    char bytes[FORMAT_TEXT_SIZE];
    enum status st = STATUS_OK;

    if (check->findings != NULL) {
        st = print_json(check, done, err);
    } else {
        format_text_bytes(done->bytes, bytes);
        (void)fprintf(out, "%" PRIu64 " packs, %s, %" PRIu64 " records, %" PRIu64 " points: %s\n",
                      done->packs, bytes, done->records, done->points, verdict(done));
        print_advice(out, done);
    }
    return st == STATUS_OK ? command_flush(check->command, err) : st;
}

enum status repository_check_run(const struct command *command, uint64_t *ret_findings,
                                 struct error *err)
{
    struct check check = {.reader = {.message = message_came},
                          .command = command,
                          .progress = command_progress(command)};
    Tidemark__V1__RepositoryCheckRequest request = TIDEMARK__V1__REPOSITORY_CHECK_REQUEST__INIT;
    enum status st = STATUS_OK;

    if (command->options->json) {
        check.findings = json_array();
        check.losses = json_array();
        if (check.findings == NULL || check.losses == NULL)
            st = error_set_no_memory(err, 0, "the findings as JSON");
    }
    request.keyless = command->options->keyless;
    if (st == STATUS_OK)
        st = client_stream(command->client, "RepositoryCheck", &request.base, &check.reader, err);
    progress_clear(&check.progress);
    if (st == STATUS_OK && check.done == NULL)
        st = error_set(err, STATUS_UNKNOWN,
                       "the coordinator ended the call without saying what it has found");
    if (st == STATUS_OK)
        st = print_done(&check, err);
    if (st == STATUS_OK)
        *ret_findings = is_damaged(check.done->done) || check.done->done->caches_wrong;
    rpc_message_free((ProtobufCMessage *)check.done);
    json_decref(check.findings);
    json_decref(check.losses);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "repository check");
}
