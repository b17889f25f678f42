#include "console/verify.h"

#include <inttypes.h>

#include "console/point.h"

/* Findings that are kept for JSON; of a repository that is worse than that, the first ones tell enough. */
enum { KEPT_MAX = 100000, FINDING_TEXT_SIZE = 4096 };

struct verify {
    struct client_reader reader; /* first: that reader is a verify */
    const struct command *command;
    struct progress progress;
    json_t *kept; /* an array; NULL: findings are printed as they come */
    uint64_t findings;
    Tidemark__V1__VerifyEvent *done; /* the one that says so */
};

static enum status keep_finding(struct verify *verify, const char *point, const char *text,
                                const Tidemark__V1__VerifyFinding *finding, struct error *err)
{
    if (json_array_size(verify->kept) >= KEPT_MAX)
        return STATUS_OK;
    if (json_array_append_new(verify->kept,
                              json_pack("{s:s, s:I, s:I, s:s}", "point", point, "offset",
                                        point_json_count(finding->offset), "length",
                                        point_json_count(finding->length), "text", text)) != 0)
        return error_set_no_memory(err, FINDING_TEXT_SIZE, "a finding as JSON");
    return STATUS_OK;
}

static enum status add_finding(struct verify *verify, const Tidemark__V1__VerifyFinding *finding,
                               struct error *err)
{
    FILE *out = verify->command->out;
    char point[ID_TEXT_SIZE];
    char text[FINDING_TEXT_SIZE];
    enum status st = point_id_text(finding->point, point, err);

    if (st != STATUS_OK)
        return st;
    verify->findings++;
    format_text_visible(finding->text, text, sizeof(text));
    if (verify->kept != NULL)
        return keep_finding(verify, point, text, finding, err);
    progress_clear(&verify->progress);
    if (finding->length == 0) /* command_flush() tells whether it got out */
        (void)fprintf(out, "point %.*s: %s\n", POINT_SHORT_DIGITS, point, text);
    else
        (void)fprintf(out, "point %.*s: %" PRIu64 " bytes at %" PRIu64 ": %s\n", POINT_SHORT_DIGITS,
                      point, finding->length, finding->offset, text);
    return STATUS_OK;
}

/* Takes EVENT in; it stays if it becomes DONE. */
static enum status add_event(struct verify *verify, Tidemark__V1__VerifyEvent *event,
                             struct error *err)
{
    switch (event->kind_case) {
    case TIDEMARK__V1__VERIFY_EVENT__KIND_PROGRESS:
        progress_show(&verify->progress, "proved", event->progress->bytes, event->progress->total);
        break;
    case TIDEMARK__V1__VERIFY_EVENT__KIND_FINDING:
        return add_finding(verify, event->finding, err);
    case TIDEMARK__V1__VERIFY_EVENT__KIND_DONE:
        verify->done = event;
        break;
    case TIDEMARK__V1__VERIFY_EVENT__KIND__NOT_SET: /* of a newer coordinator */
    case _TIDEMARK__V1__VERIFY_EVENT__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return STATUS_OK;
}

static void message_came(struct client_reader *reader, ProtobufCMessage *message)
{
    struct verify *verify = (struct verify *)reader; /* its first member */
    struct error err = {0};
    enum status st = STATUS_OK;

    if (verify->done == NULL)
        st = add_event(verify, (Tidemark__V1__VerifyEvent *)message, &err);
    else
        st = error_set(&err, STATUS_CORRUPT,
                       "the coordinator goes on after it said that it is done");
    if ((ProtobufCMessage *)verify->done != message)
        rpc_message_free(message);
    if (st == STATUS_OK)
        client_next(verify->command->client);
    else
        client_end(verify->command->client, &err);
}

static enum status print_done(const struct verify *verify, uint64_t findings, struct error *err)
{
    const struct command *command = verify->command;
    const Tidemark__V1__VerifyDone *done = verify->done->done;
    char stored[FORMAT_TEXT_SIZE];
    enum status st = STATUS_OK;

    if (verify->kept != NULL) {
        json_t *json =
            json_pack("{s:I, s:I, s:I, s:I, s:O}", "points", point_json_count(done->points),
                      "findings_count", point_json_count(findings), "records",
                      point_json_count(done->records), "stored_bytes",
                      point_json_count(done->stored), "findings", verify->kept);

        st = point_print_json(json, command->out, err);
        json_decref(json);
    } else {
        format_text_bytes(done->stored, stored);
        (void)fprintf(command->out, /* command_flush() tells whether it got out */
                      "%" PRIu64 " points, %" PRIu64 " records, %s read: %s\n", done->points,
                      done->records, stored, findings == 0 ? "all is well" : "damaged");
        if (findings != 0)
            (void)fprintf(command->out, "%" PRIu64 " findings\n", findings);
    }
    return st == STATUS_OK ? command_flush(command, err) : st;
}

enum status verify_run(const struct command *command, uint64_t *ret_findings, struct error *err)
{
    struct verify verify = {.reader = {.message = message_came},
                            .command = command,
                            .progress = command_progress(command)};
    Tidemark__V1__VerifyRequest request = TIDEMARK__V1__VERIFY_REQUEST__INIT;
    uint64_t findings = 0;
    enum status st = STATUS_OK;

    if (command->options->json) {
        verify.kept = json_array();
        if (verify.kept == NULL)
            return error_set_no_memory(err, 0, "the findings as JSON");
    }
    request.point =
        (char *)command->options->point; /* protobuf-c knows no const; it is packed only */
    st = client_stream(command->client, "Verify", &request.base, &verify.reader, err);
    progress_clear(&verify.progress);
    if (st == STATUS_OK && verify.done == NULL)
        st = error_set(err, STATUS_UNKNOWN,
                       "the coordinator ended the call without saying what it has found");
    if (st == STATUS_OK) {
        findings = verify.done->done->findings;
        if (verify.findings > findings)
            findings = verify.findings;
        st = print_done(&verify, findings, err);
    }
    rpc_message_free((ProtobufCMessage *)verify.done);
    json_decref(verify.kept);
    if (st != STATUS_OK)
        return error_wrap(err, "verify");
    *ret_findings = findings;
    return STATUS_OK;
}
