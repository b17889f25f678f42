/* tests/console_commands_test.c: each command against a coordinator that follows a script, over TLS on the
 * loopback, both in this process. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "console/backup.h"
#include "console/command.h"
#include "console/export.h"
#include "console/list.h"
#include "console/repository.h"
#include "console/repository_check.h"
#include "console/verify.h"
#include "tests/console_sample.h"
#include "tests/support/clock_manual.h"
#include "tests/support/loop_wait.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { CALLS_MAX = 4, PATH_SIZE = TEMP_FOLDER_SIZE + 32, MEMORY_MAX = 64 * 1024 * 1024 };

/* What the coordinator does with one call: reads the request, sends MESSAGES, ends the call with STATUS. */
struct reply {
    const ProtobufCMessage *const *messages;
    size_t count;
    enum status status;
    const char *text;
    bool hold;     /* does not end the call... */
    bool stops;    /* ...but a person stops the console then */
    bool advances; /* before each message a minute passes */
};

struct served {
    struct loop_task start; /* first: that task is a served */
    struct env *env;
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    const struct reply *reply;
    size_t next;
    ProtobufCMessage *request;
    bool ended;
    enum status status;
};

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char server_dir[PATH_SIZE];
    char client_dir[PATH_SIZE];
    char file[PATH_SIZE];
    char part[PATH_SIZE];
    struct test_ca *ca;
    struct clock_manual *clock;
    struct loop *loop;
    struct log_sink *sink;
    struct log log;
    struct rpc *rpc;
    struct rpc_server *server;
    struct credentials server_credentials, client_credentials;
    struct client *client;
    struct loop_task closed;
    bool is_closed;

    struct reply replies[CALLS_MAX]; /* the script, a call after the other */
    struct served served[CALLS_MAX];
    unsigned served_count;

    struct options options;
    struct command command;
    char *out, *progress;
    size_t out_size, progress_size;
    struct error err;

    struct console_host host;
    struct console_disk disk;
    struct console_sample sample;
};

/* ---- The coordinator --------------------------------------------------------------------------- */

static void go_on(struct served *served)
{
    const struct reply *reply = served->reply;
    struct error err = {0};

    if (served->next < reply->count) {
        if (reply->advances)
            clock_manual_advance_ms(served->env->clock, 60000);
        rpc_write_start(served->call, &served->write, reply->messages[served->next++]);
        return;
    }
    if (reply->stops)
        client_stop(served->env->client);
    if (reply->hold)
        return;
    if (reply->status == STATUS_OK)
        rpc_call_finish(served->call, STATUS_OK, NULL);
    else
        rpc_call_finish(served->call, error_set(&err, reply->status, "%s", reply->text), &err);
}

static void was_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct served *served =
        (struct served *)(void *)((char *)write - offsetof(struct served, write));

    (void)err;
    if (status == STATUS_OK) /* else ended() comes */
        go_on(served);
}

static void was_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                     const struct error *err)
{
    struct served *served = (struct served *)(void *)((char *)read - offsetof(struct served, read));

    (void)err;
    served->request = message;
    if (status == STATUS_OK)
        go_on(served);
}

static void start_reading(struct loop_task *task)
{
    struct served *served = (struct served *)task; /* its first member */

    rpc_read_start(served->call, &served->read);
}

static void call_ended(void *owner, struct rpc_call *call, enum status status,
                       const struct error *err)
{
    struct served *served = owner;

    (void)err;
    served->ended = true;
    served->status = status;
    rpc_call_free(call);
}

static void accept_call(void *context, struct rpc_call *call,
                        const struct rpc_call_events **ret_events, void **ret_owner)
{
    static const struct rpc_call_events events = {.ended = call_ended};
    struct env *env = context;
    struct served *served = &env->served[env->served_count];

    assert_true(env->served_count < CALLS_MAX);
    served->start.run = start_reading;
    served->env = env;
    served->call = call;
    served->read.done = was_read;
    served->write.done = was_written;
    served->reply = &env->replies[env->served_count++];
    *ret_events = &events;
    *ret_owner = served;
    loop_post(env->loop, &served->start);
}

static void start_server(struct env *env)
{
    static const char *const names[] = {"ListPoints",     "Backup",           "Verify",
                                        "Export",         "RepositoryStatus", "RepositoryRebuild",
                                        "RepositoryCheck"};
    struct rpc_service services[7];
    struct error err = {0};

    for (size_t i = 0; i < 7; i++)
        services[i] = (struct rpc_service){.method = {&tidemark__v1__console__descriptor, names[i]},
                                           .accept = accept_call,
                                           .context = env};

    const struct rpc_server_options options = {.address = "127.0.0.1:0",
                                               .credentials = &env->server_credentials,
                                               .services = services,
                                               .service_count = 7,
                                               .message_max = RPC_DATA_MESSAGE_MAX,
                                               .memory_max = MEMORY_MAX,
                                               .calls_max = CALLS_MAX};

    ASSERT_OK(rpc_server_new(env->rpc, &options, &env->server, &err), &err);
}

static void server_closed(struct loop_task *task)
{
    struct env *env = (struct env *)(void *)((char *)task - offsetof(struct env, closed));

    env->is_closed = true;
    loop_stop(env->loop);
}

static void stop_server(struct env *env)
{
    if (env->server == NULL)
        return;
    rpc_server_close(env->server, &env->closed);
    loop_wait(env->loop, &env->is_closed);
    env->server = NULL;
}

/* ---- The environment ----------------------------------------------------------------------------- */

static void write_text(const char *dir, const char *name, const char *text)
{
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    struct error err = {0};

    ASSERT_OK(fs_posix_new(dir, &fs, &err), &err);
    ASSERT_OK(fs_open(fs, name, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, slice_of_text(text), &err), &err);
    fs_close(file);
    fs_free(fs);
}

static void prepare_folders(struct env *env)
{
    struct error err = {0};

    temp_folder_make(env->folder);
    env->ca = test_certificates_ca_new("consoles");
    assert_true(text_format(env->server_dir, PATH_SIZE, "%s/server", env->folder));
    assert_true(text_format(env->client_dir, PATH_SIZE, "%s/client", env->folder));
    assert_true(text_format(env->file, PATH_SIZE, "%s/disk.raw", env->folder));
    assert_true(text_format(env->part, PATH_SIZE, "%s/disk.raw.part", env->folder));
    test_certificates_write(env->server_dir, env->ca, env->ca, "coordinator", TEST_VALID);
    test_certificates_write(env->client_dir, env->ca, env->ca, "admin", TEST_CLIENT);
    console_host_make(&env->host, "hv-01", TEST_VALID);
    write_text(env->client_dir, "agents-ca.pem", env->host.ca_pem);
    ASSERT_OK(credentials_load(env->server_dir, &env->server_credentials, &err), &err);
    ASSERT_OK(credentials_load(env->client_dir, &env->client_credentials, &err), &err);
}

static void make_sample(struct env *env)
{
    struct random_seeded random = random_seeded_of(2);

    console_disk_make(&env->disk, UINT64_C(40) * 65536 + 512, 65536, 4, &random);

    const struct console_sample_options options = {.host = &env->host,
                                                   .disk = &env->disk,
                                                   .time_us = CONSOLE_SAMPLE_TIME_US,
                                                   .blocks_in_part = 2};

    console_sample_make(&env->sample, &options);
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    char address[RPC_ADDRESS_SIZE];
    struct error err = {0};

    assert_non_null(env);
    prepare_folders(env);
    make_sample(env);
    env->clock = clock_manual_new();
    env->closed.run = server_closed;
    ASSERT_OK(log_sink_new(2, LOG_TEXT, LOG_ERROR, clock_manual_source(env->clock), &env->sink,
                           &err),
              &err);
    env->log = log_of(env->sink);
    ASSERT_OK(loop_new(clock_manual_source(env->clock), &env->loop, &err), &err);
    ASSERT_OK(rpc_new(env->loop, 2, &env->log, &env->rpc, &err), &err);
    start_server(env);
    assert_true(
        text_format(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(env->server)));
    ASSERT_OK(client_new(env->loop, env->rpc, address, &env->client_credentials, &env->client,
                         &err),
              &err);
    env->options = (struct options){.tls = env->client_dir, .host = "", .disk = "disk0"};
    env->command =
        (struct command){.loop = env->loop,
                         .client = env->client,
                         .clock = clock_manual_source(env->clock),
                         .options = &env->options,
                         .out = open_memstream(&env->out, &env->out_size),
                         .progress = open_memstream(&env->progress, &env->progress_size)};
    assert_non_null(env->command.out);
    assert_non_null(env->command.progress);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    client_free(env->client);
    stop_server(env);
    for (unsigned i = 0; i < env->served_count; i++) {
        assert_true(env->served[i].ended);
        rpc_message_free(env->served[i].request);
    }
    rpc_free(env->rpc);
    loop_free(env->loop);
    log_sink_free(env->sink);
    clock_manual_free(env->clock);
    assert_int_equal(fclose(env->command.out), 0);
    assert_int_equal(fclose(env->command.progress), 0);
    free(env->out);      /* allowed: open_memstream()'s */
    free(env->progress); /* allowed: open_memstream()'s */
    credentials_deinit(&env->server_credentials);
    credentials_deinit(&env->client_credentials);
    test_certificates_ca_free(env->ca);
    console_sample_deinit(&env->sample);
    console_disk_deinit(&env->disk);
    console_host_deinit(&env->host);
    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static void assert_contains(const char *text, const char *words)
{
    assert_non_null(text);
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, text);
}

static const char *progress_of_command(struct env *env)
{
    assert_int_equal(fflush(env->command.progress), 0);
    return env->progress;
}

static json_t *parse_output(struct env *env)
{
    json_error_t error;
    json_t *json = json_loads(env->out, 0, &error);

    if (json == NULL)
        fail_msg("line %d: %s: %s", error.line, error.text, env->out);
    return json;
}

/* ---- Points ------------------------------------------------------------------------------------ */

enum { POINTS = 3 };

struct points {
    uint8_t ids[POINTS][ID_SIZE];
    Tidemark__V1__Point points[POINTS];
    Tidemark__V1__Point *list[POINTS];
    Tidemark__V1__ListPointsAnswer pages[2];
    const ProtobufCMessage *messages[2];
};

/* Three points, sequences 30, 20, 10, as a page of two and one of one. */
static void script_points(struct env *env, struct points *points)
{
    for (size_t i = 0; i < POINTS; i++) {
        Tidemark__V1__Point *point = &points->points[i];

        memset(points->ids[i], (int)(0xa0 + i), ID_SIZE);
        tidemark__v1__point__init(point);
        point->point = (ProtobufCBinaryData){.data = points->ids[i], .len = ID_SIZE};
        point->time_us = CONSOLE_SAMPLE_TIME_US;
        point->host = (char *)"hv-01";
        point->disk = (char *)"disk0";
        point->size = UINT64_C(4) << 30;
        point->consistency = (char *)"crash";
        point->reason = (char *)(i == POINTS - 1 ? "first_backup" : "");
        point->sequence = 30 - 10 * i;
        points->list[i] = point;
    }
    tidemark__v1__list_points_answer__init(&points->pages[0]);
    tidemark__v1__list_points_answer__init(&points->pages[1]);
    points->pages[0].points = points->list;
    points->pages[0].n_points = 2;
    points->pages[0].more = 1;
    points->pages[1].points = points->list + 2;
    points->pages[1].n_points = 1;
    for (size_t i = 0; i < 2; i++) {
        points->messages[i] = &points->pages[i].base;
        env->replies[i] = (struct reply){.messages = &points->messages[i], .count = 1};
    }
}

static uint64_t asked_before(const struct env *env, unsigned call)
{
    return ((Tidemark__V1__ListPointsRequest *)env->served[call].request)->before_sequence;
}

static void list_prints_a_row_for_each_point_of_all_pages(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    ASSERT_OK(list_run(&env->command, &env->err), &env->err);
    assert_int_equal(env->served_count, 2);
    assert_int_equal(asked_before(env, 0), 0);
    assert_int_equal(asked_before(env, 1), 20);
    assert_string_equal(
        env->out,
        "point         time (UTC)            host                  disk                    size  "
        "consistency  how\n"
        "a0a0a0a0a0a0  2026-11-23T14:03:07Z  hv-01                 disk0                4.0 GiB  "
        "crash        incremental\n"
        "a1a1a1a1a1a1  2026-11-23T14:03:07Z  hv-01                 disk0                4.0 GiB  "
        "crash        incremental\n"
        "a2a2a2a2a2a2  2026-11-23T14:03:07Z  hv-01                 disk0                4.0 GiB  "
        "crash        whole read: first_backup\n");
}

static void list_as_json_has_whole_ids(void **state)
{
    struct env *env = *state;
    struct points points;

    env->options.json = true;
    script_points(env, &points);
    ASSERT_OK(list_run(&env->command, &env->err), &env->err);

    json_t *json = parse_output(env);
    const json_t *last = json_array_get(json, 2);

    assert_int_equal(json_array_size(json), POINTS);
    assert_int_equal(json_string_length(json_object_get(last, "point")), 64);
    assert_string_equal(json_string_value(json_object_get(last, "time")), "2026-11-23T14:03:07Z");
    assert_string_equal(json_string_value(json_object_get(last, "reason")), "first_backup");
    assert_true(json_is_false(json_object_get(last, "incremental")));
    assert_true(json_integer_value(json_object_get(last, "size_bytes")) == INT64_C(4) << 30);
    assert_int_equal(json_integer_value(json_object_get(last, "sequence")), 10);
    json_decref(json);
}

static void an_empty_list_says_so_and_is_an_empty_array(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ListPointsAnswer answer = TIDEMARK__V1__LIST_POINTS_ANSWER__INIT;
    const ProtobufCMessage *message = &answer.base;

    env->replies[0] = env->replies[1] = (struct reply){.messages = &message, .count = 1};
    ASSERT_OK(list_run(&env->command, &env->err), &env->err);
    assert_string_equal(env->out, "");
    assert_contains(progress_of_command(env), "there are no restore points");
    env->options.json = true;
    ASSERT_OK(list_run(&env->command, &env->err), &env->err);
    assert_string_equal(env->out, "[]\n");
}

static void a_list_that_goes_in_circles_is_refused(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    points.points[2].sequence = 20;
    ASSERT_STATUS(STATUS_CORRUPT, list_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "from new to old");
}

/* 0 would ask for the newest points again, for ever. */
static void a_point_without_a_sequence_is_refused(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    points.points[1].sequence = 0;
    ASSERT_STATUS(STATUS_CORRUPT, list_run(&env->command, &env->err), &env->err);
    assert_int_equal(env->served_count, 1);
}

static void a_list_that_promises_more_and_gives_nothing_is_refused(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    points.pages[1].n_points = 0;
    points.pages[1].more = 1;
    ASSERT_STATUS(STATUS_CORRUPT, list_run(&env->command, &env->err), &env->err);
}

static void a_point_without_an_id_is_refused(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    points.points[1].point.len = 5;
    ASSERT_STATUS(STATUS_CORRUPT, list_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "5 bytes");
}

static void names_from_the_network_do_not_reach_the_terminal_raw(void **state)
{
    struct env *env = *state;
    struct points points;

    script_points(env, &points);
    points.points[0].disk = (char *)"\x1b[2J";
    ASSERT_OK(list_run(&env->command, &env->err), &env->err);
    assert_null(strchr(env->out, '\x1b'));
    assert_contains(env->out, "?[2J");
}

/* ---- Backup ------------------------------------------------------------------------------------ */

struct backup_script {
    struct points points;
    Tidemark__V1__Counts counts;
    Tidemark__V1__BackupDone done;
    Tidemark__V1__BackupEvent events[2];
    const ProtobufCMessage *messages[2];
};

/* Progress, then done. */
static void script_backup(struct env *env, struct backup_script *script)
{
    script_points(env, &script->points);
    tidemark__v1__counts__init(&script->counts);
    script->counts.to_read = 2 << 20;
    script->counts.read = 1 << 20;
    script->counts.sent = 300 << 10;
    script->counts.new_blocks = 512 << 10;
    script->counts.stored = 256 << 10;
    script->counts.elapsed_us = 4200000;
    tidemark__v1__backup_done__init(&script->done);
    script->done.point = &script->points.points[2];
    script->done.counts = &script->counts;
    tidemark__v1__backup_event__init(&script->events[0]);
    tidemark__v1__backup_event__init(&script->events[1]);
    script->events[0].kind_case = TIDEMARK__V1__BACKUP_EVENT__KIND_PROGRESS;
    script->events[0].progress = &script->counts;
    script->events[1].kind_case = TIDEMARK__V1__BACKUP_EVENT__KIND_DONE;
    script->events[1].done = &script->done;
    script->messages[0] = &script->events[0].base;
    script->messages[1] = &script->events[1].base;
    env->replies[0] = (struct reply){.messages = script->messages, .count = 2, .advances = true};
}

static void backup_shows_progress_and_ends_with_a_table(void **state)
{
    struct env *env = *state;
    struct backup_script script;

    script_backup(env, &script);
    env->options.host = "hv-01";
    ASSERT_OK(backup_run(&env->command, &env->err), &env->err);

    const Tidemark__V1__BackupRequest *request =
        (Tidemark__V1__BackupRequest *)env->served[0].request;

    assert_string_equal(request->disk, "disk0");
    assert_string_equal(request->host, "hv-01");
    assert_contains(progress_of_command(env), "backed up  50 % of 2.0 MiB");
    assert_contains(env->out, "point   a2a2a2a2");
    assert_contains(env->out, "disk    disk0 of host hv-01, 4.0 GiB, crash-consistent\n");
    assert_contains(env->out, "how     whole read: first_backup\n");
    assert_contains(env->out, "read    1.0 MiB\n");
    assert_contains(env->out, "new     512.0 KiB");
    assert_contains(env->out, "sent    300.0 KiB\n");
    assert_contains(env->out, "stored  256.0 KiB\n");
    assert_contains(env->out, "took    4.2 s\n");
    assert_contains(env->out, "ratio   4.0 : 1");
}

static void backup_as_json_is_one_object_and_no_progress(void **state)
{
    struct env *env = *state;
    struct backup_script script;

    env->options.json = true;
    script_backup(env, &script);
    ASSERT_OK(backup_run(&env->command, &env->err), &env->err);
    assert_string_equal(progress_of_command(env), "");

    json_t *json = parse_output(env);

    assert_int_equal(json_string_length(json_object_get(json, "point")), 64);
    assert_int_equal(json_integer_value(json_object_get(json, "read_bytes")), 1 << 20);
    assert_int_equal(json_integer_value(json_object_get(json, "stored_bytes")), 256 << 10);
    assert_int_equal(json_integer_value(json_object_get(json, "elapsed_us")), 4200000);
    json_decref(json);
}

static void a_backup_that_fails_says_why_in_the_coordinators_words(void **state)
{
    struct env *env = *state;

    env->replies[0] = (struct reply){.status = STATUS_NOT_FOUND, .text = "no host has disk0"};
    ASSERT_STATUS(STATUS_NOT_FOUND, backup_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "back up disk0: ");
    assert_contains(env->err.text, "no host has disk0");
    assert_false(client_unreachable(env->client));
    assert_int_equal(fflush(env->command.out), 0);
    assert_string_equal(env->out, "");
}

/* It was reached, or it could not have said so: a script may not take that for a coordinator that is down. */
static void a_coordinator_that_answers_not_now_was_reached(void **state)
{
    struct env *env = *state;

    env->replies[0] =
        (struct reply){.status = STATUS_UNAVAILABLE, .text = "host hv-01 is not connected"};
    ASSERT_STATUS(STATUS_UNAVAILABLE, backup_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "host hv-01 is not connected");
    assert_false(client_unreachable(env->client));
}

static void a_backup_without_a_result_is_a_failure(void **state)
{
    struct env *env = *state;
    struct backup_script script;

    script_backup(env, &script);
    env->replies[0].count = 1;
    ASSERT_STATUS(STATUS_UNKNOWN, backup_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "without saying how the backup went");
}

static void a_backup_that_goes_on_after_its_end_is_refused(void **state)
{
    struct env *env = *state;
    struct backup_script script;

    script_backup(env, &script);
    script.messages[0] = script.messages[1];
    ASSERT_STATUS(STATUS_CORRUPT, backup_run(&env->command, &env->err), &env->err);
}

static void a_stop_cancels_the_backup_at_the_coordinator(void **state)
{
    struct env *env = *state;
    struct backup_script script;

    script_backup(env, &script);
    env->replies[0].count = 1;
    env->replies[0].hold = env->replies[0].stops = true;
    ASSERT_STATUS(STATUS_CANCELLED, backup_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "stopped on request");
    stop_server(env);
    assert_true(env->served[0].ended);
    assert_int_equal(env->served[0].status, STATUS_CANCELLED);
    ASSERT_STATUS(STATUS_CANCELLED, list_run(&env->command, &env->err), &env->err);
    assert_int_equal(env->served_count, 1);
}

/* ---- Verify ------------------------------------------------------------------------------------ */

struct verify_script {
    uint8_t id[ID_SIZE];
    Tidemark__V1__VerifyProgress progress;
    Tidemark__V1__VerifyFinding findings[2];
    Tidemark__V1__VerifyDone done;
    Tidemark__V1__VerifyEvent events[4];
    const ProtobufCMessage *messages[4];
};

/* Progress, a damaged range, a damaged statement, done. */
static void script_verify(struct env *env, struct verify_script *script)
{
    memset(script->id, 0xab, ID_SIZE);
    tidemark__v1__verify_progress__init(&script->progress);
    script->progress.bytes = 1 << 20;
    script->progress.total = 4 << 20;
    for (size_t i = 0; i < 2; i++) {
        tidemark__v1__verify_finding__init(&script->findings[i]);
        script->findings[i].point = (ProtobufCBinaryData){.data = script->id, .len = ID_SIZE};
    }
    script->findings[0].offset = 131072;
    script->findings[0].length = 65536;
    script->findings[0].text = (char *)"the block's record is damaged";
    script->findings[1].text = (char *)"the statement's signature is wrong";
    tidemark__v1__verify_done__init(&script->done);
    script->done.points = 1;
    script->done.findings = 2;
    script->done.records = 77;
    script->done.stored = 1 << 20;
    for (size_t i = 0; i < 4; i++) {
        tidemark__v1__verify_event__init(&script->events[i]);
        script->messages[i] = &script->events[i].base;
    }
    script->events[0].kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_PROGRESS;
    script->events[0].progress = &script->progress;
    for (size_t i = 0; i < 2; i++) {
        script->events[1 + i].kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_FINDING;
        script->events[1 + i].finding = &script->findings[i];
    }
    script->events[3].kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_DONE;
    script->events[3].done = &script->done;
    env->replies[0] = (struct reply){.messages = script->messages, .count = 4, .advances = true};
}

static void verify_prints_each_finding_and_a_summary(void **state)
{
    struct env *env = *state;
    struct verify_script script;
    uint64_t findings = 0;

    script_verify(env, &script);
    ASSERT_OK(verify_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 2);
    assert_contains(progress_of_command(env), "proved  25 % of 4.0 MiB");
    assert_string_equal(env->out,
                        "point abababababab: 65536 bytes at 131072: the block's record is damaged\n"
                        "point abababababab: the statement's signature is wrong\n"
                        "1 points, 77 records, 1.0 MiB read: damaged\n"
                        "2 findings\n");
}

static void verify_as_json_has_the_findings_in_one_object(void **state)
{
    struct env *env = *state;
    struct verify_script script;
    uint64_t findings = 0;

    env->options.json = true;
    script_verify(env, &script);
    ASSERT_OK(verify_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 2);

    json_t *json = parse_output(env);
    const json_t *first = json_array_get(json_object_get(json, "findings"), 0);

    assert_int_equal(json_integer_value(json_object_get(json, "findings_count")), 2);
    assert_int_equal(json_array_size(json_object_get(json, "findings")), 2);
    assert_int_equal(json_integer_value(json_object_get(first, "offset")), 131072);
    assert_int_equal(json_string_length(json_object_get(first, "point")), 64);
    json_decref(json);
}

static void findings_count_even_if_the_coordinators_sum_leaves_them_out(void **state)
{
    struct env *env = *state;
    struct verify_script script;
    uint64_t findings = 0;

    script_verify(env, &script);
    script.done.findings = 0;
    ASSERT_OK(verify_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 2);
}

static void a_clean_repository_has_no_findings(void **state)
{
    struct env *env = *state;
    struct verify_script script;
    uint64_t findings = 7;

    script_verify(env, &script);
    script.done.findings = 0;
    env->replies[0].messages += 3;
    env->replies[0].count = 1;
    ASSERT_OK(verify_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 0);
    assert_string_equal(env->out, "1 points, 77 records, 1.0 MiB read: all is well\n");
}

static void a_verify_without_a_result_is_a_failure(void **state)
{
    struct env *env = *state;
    struct verify_script script;
    uint64_t findings = 7;

    script_verify(env, &script);
    env->replies[0].count = 1;
    ASSERT_STATUS(STATUS_UNKNOWN, verify_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 7);
}

/* ---- Repository -------------------------------------------------------------------------------- */

struct check_script {
    uint8_t id[ID_SIZE];
    Tidemark__V1__RepositoryCheckProgress progress;
    Tidemark__V1__RepositoryCheckFinding finding;
    Tidemark__V1__RepositoryCheckRange range;
    Tidemark__V1__RepositoryCheckRange *ranges[1];
    Tidemark__V1__RepositoryCheckLoss loss;
    Tidemark__V1__RepositoryCheckDone done;
    Tidemark__V1__RepositoryCheckEvent events[4];
    const ProtobufCMessage *messages[4];
};

/* Progress, a damaged block, what it costs, done. */
static void script_check(struct env *env, struct check_script *script)
{
    memset(script->id, 0xab, ID_SIZE);
    tidemark__v1__repository_check_progress__init(&script->progress);
    script->progress.bytes = 1 << 20;
    script->progress.total = 4 << 20;
    tidemark__v1__repository_check_finding__init(&script->finding);
    script->finding.text = (char *)"its content is damaged";
    script->finding.kind = (char *)"block";
    script->finding.number = 77;
    script->finding.pack = (ProtobufCBinaryData){.data = script->id, .len = RANDOM_ID_SIZE};
    script->finding.offset = 52;
    script->finding.length = 400;
    tidemark__v1__repository_check_range__init(&script->range);
    script->range.offset = 131072;
    script->range.length = 65536;
    script->ranges[0] = &script->range;
    tidemark__v1__repository_check_loss__init(&script->loss);
    script->loss.point = (ProtobufCBinaryData){.data = script->id, .len = ID_SIZE};
    script->loss.time_us = CONSOLE_SAMPLE_TIME_US;
    script->loss.vm = (char *)"web\n01";
    script->loss.host = (char *)"hv-01";
    script->loss.name = (char *)"data.vhdx";
    script->loss.size = 1 << 30;
    script->loss.bytes = UINT64_C(65536) * 3;
    script->loss.ranges = script->ranges;
    script->loss.n_ranges = 1;
    script->loss.more_ranges = 2;
    tidemark__v1__repository_check_done__init(&script->done);
    script->done.packs = 4;
    script->done.bytes = 4 << 20;
    script->done.records = 500;
    script->done.points = 3;
    script->done.findings = 1;
    script->done.losses = 1;
    script->done.hurt_points = 1;
    for (size_t i = 0; i < 4; i++) {
        tidemark__v1__repository_check_event__init(&script->events[i]);
        script->messages[i] = &script->events[i].base;
    }
    script->events[0].kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_PROGRESS;
    script->events[0].progress = &script->progress;
    script->events[1].kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_FINDING;
    script->events[1].finding = &script->finding;
    script->events[2].kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_LOSS;
    script->events[2].loss = &script->loss;
    script->events[3].kind_case = TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_DONE;
    script->events[3].done = &script->done;
    env->replies[0] = (struct reply){.messages = script->messages, .count = 4, .advances = true};
}

static void a_check_says_what_is_damaged_what_that_costs_and_what_to_do(void **state)
{
    struct env *env = *state;
    struct check_script script;
    uint64_t findings = 0;

    script_check(env, &script);
    ASSERT_OK(repository_check_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 1);
    assert_contains(progress_of_command(env), "read  25 % of 4.0 MiB");
    assert_contains(env->out, "damaged: record 77 (block), 400 bytes at 52 of pack "
                              "abababababababababababababababab: its content is damaged\n"
                              "LOST: in disk data.vhdx of VM web?01 on host hv-01, restore point "
                              "abababababab of 2026-11-23T14:03:07Z: 192.0 KiB of 1.0 GiB: 65536 "
                              "bytes at 131072, and 2 more ranges\n"
                              "4 packs, 4.0 MiB, 500 records, 3 points: damaged\n"
                              "1 findings; 1 restore points have lost something\n");
    assert_contains(env->out, "are whole");
}

static void a_check_as_json_has_findings_and_losses(void **state)
{
    struct env *env = *state;
    struct check_script script;
    uint64_t findings = 0;

    env->options.json = true;
    script_check(env, &script);
    ASSERT_OK(repository_check_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 1);

    json_t *json = parse_output(env);
    const json_t *loss = json_array_get(json_object_get(json, "losses"), 0);

    assert_true(json_is_true(json_object_get(json, "damaged")));
    assert_int_equal(json_array_size(json_object_get(json, "findings")), 1);
    assert_int_equal(json_integer_value(json_object_get(loss, "more_ranges")), 2);
    assert_int_equal(json_array_size(json_object_get(loss, "ranges")), 1);
    json_decref(json);
}

static void wrong_caches_are_no_damage_and_something_to_do(void **state)
{
    struct env *env = *state;
    struct check_script script;
    uint64_t findings = 0;

    script_check(env, &script);
    script.done.findings = 0;
    script.done.losses = 0;
    script.done.hurt_points = 0;
    script.done.caches_wrong = true;
    env->replies[0].messages += 3;
    env->replies[0].count = 1;
    ASSERT_OK(repository_check_run(&env->command, &findings, &env->err), &env->err);
    assert_int_equal(findings, 1);
    assert_contains(env->out, "3 points: no damage");
    assert_contains(env->out, "run `tidemark repository rebuild`");
}

static void a_check_without_a_result_is_a_failure(void **state)
{
    struct env *env = *state;
    struct check_script script;
    uint64_t findings = 0;

    script_check(env, &script);
    env->replies[0].count = 1;
    ASSERT_STATUS(STATUS_UNKNOWN, repository_check_run(&env->command, &findings, &env->err),
                  &env->err);
}

static void the_status_names_what_is_wrong(void **state)
{
    struct env *env = *state;
    Tidemark__V1__RepositoryStatusAnswer answer = TIDEMARK__V1__REPOSITORY_STATUS_ANSWER__INIT;
    const ProtobufCMessage *message = &answer.base;

    answer.data_packs = 3;
    answer.proved_packs = 1;
    answer.missing_packs = 2;
    env->replies[0] = (struct reply){.messages = &message, .count = 1};
    ASSERT_OK(repository_status_run(&env->command, &env->err), &env->err);
    (void)progress_of_command(env);
    assert_contains(env->out, "WRONG: 2 packs are missing");
    assert_contains(env->out, "1 of 3 packs");
}

static void the_status_does_not_count_packs_that_are_still_written_as_unproved(void **state)
{
    struct env *env = *state;
    Tidemark__V1__RepositoryStatusAnswer answer = TIDEMARK__V1__REPOSITORY_STATUS_ANSWER__INIT;
    const ProtobufCMessage *message = &answer.base;

    answer.data_packs = 3;
    answer.unsealed_packs = 1;
    answer.proved_packs = 2;
    answer.proved_us = 1;
    env->replies[0] = (struct reply){.messages = &message, .count = 1};
    ASSERT_OK(repository_status_run(&env->command, &env->err), &env->err);
    (void)progress_of_command(env);
    assert_contains(env->out, "all packs, since ");
    assert_contains(env->out, "; not those that are still being written");
}

static void a_rebuild_shows_how_far_it_is(void **state)
{
    struct env *env = *state;
    Tidemark__V1__RepositoryStatusAnswer answer = TIDEMARK__V1__REPOSITORY_STATUS_ANSWER__INIT;
    Tidemark__V1__RepositoryRebuildProgress progress =
        TIDEMARK__V1__REPOSITORY_REBUILD_PROGRESS__INIT;
    Tidemark__V1__RepositoryRebuildEvent events[2];
    const ProtobufCMessage *messages[2];

    progress.packs = 5;
    progress.total = 20;
    for (size_t i = 0; i < 2; i++) {
        tidemark__v1__repository_rebuild_event__init(&events[i]);
        messages[i] = &events[i].base;
    }
    events[0].kind_case = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_PROGRESS;
    events[0].progress = &progress;
    events[1].kind_case = TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_DONE;
    events[1].done = &answer;
    env->replies[0] = (struct reply){.messages = messages, .count = 2, .advances = true};
    ASSERT_OK(repository_rebuild_run(&env->command, &env->err), &env->err);
    assert_contains(progress_of_command(env), "rebuilt 5 of 20 packs, ");
    assert_contains(env->out, "all caches are made anew");
}

/* ---- Export ------------------------------------------------------------------------------------ */

static void script_export(struct env *env)
{
    env->replies[0] = (struct reply){.messages = (const ProtobufCMessage *const *)env->sample.parts,
                                     .count = env->sample.count};
    env->options.file = env->file;
    memcpy(env->options.point, env->sample.point_text, 8);
    env->options.point[8] = '\0';
}

/* The file in the folder, or STATUS_NOT_FOUND. */
static enum status read_back(struct env *env, const char *name, uint8_t *content, size_t size)
{
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    uint64_t found = 0;
    struct error err = {0};

    ASSERT_OK(fs_posix_new(env->folder, &fs, &err), &err);

    enum status st = fs_open(fs, name, FS_READ, &file, &err);

    if (st == STATUS_OK) {
        ASSERT_OK(fs_size(file, &found, &err), &err);
        assert_int_equal(found, size);
        ASSERT_OK(fs_read_exactly_at(file, 0, content, size, &err), &err);
    }
    fs_close(file);
    fs_free(fs);
    return st;
}

static void assert_nothing_left(struct env *env)
{
    uint8_t none = 0;

    assert_int_equal(read_back(env, "disk.raw", &none, 0), STATUS_NOT_FOUND);
    assert_int_equal(read_back(env, "disk.raw.part", &none, 0), STATUS_NOT_FOUND);
}

static void export_brings_every_byte_back(void **state)
{
    struct env *env = *state;
    size_t size = (size_t)env->disk.size;
    uint8_t *content = memory_new(size, 1);

    assert_non_null(content);
    script_export(env);
    ASSERT_OK(export_run(&env->command, &env->err), &env->err);
    assert_int_equal(read_back(env, "disk.raw", content, size), STATUS_OK);
    assert_memory_equal(content, env->disk.content, size);
    assert_int_equal(read_back(env, "disk.raw.part", content, size), STATUS_NOT_FOUND);
    assert_contains(env->out, "disk disk0 of host hv-01 at 2026-11-23T14:03:07Z");
    memory_free(content);
}

static void an_export_of_a_damaged_repository_leaves_no_file(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->replies[0].count = 3;
    env->replies[0].status = STATUS_CORRUPT;
    env->replies[0].text = "pack 3 is damaged at 4096";
    ASSERT_STATUS(STATUS_CORRUPT, export_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "pack 3 is damaged at 4096");
    assert_nothing_left(env);
}

static void an_export_that_ends_early_leaves_no_file(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->replies[0].count = 3;
    ASSERT_STATUS(STATUS_CORRUPT, export_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "before the whole disk was there");
    assert_nothing_left(env);
}

static void a_changed_block_on_the_way_ends_the_call(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->sample.parts[1]->blocks->blocks[0]->data.len -= 1;
    env->replies[0].hold = true; /* the coordinator would wait for ever */
    ASSERT_STATUS(STATUS_CORRUPT, export_run(&env->command, &env->err), &env->err);
    assert_nothing_left(env);
}

static void a_stopped_export_leaves_no_file(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->replies[0].count = 2;
    env->replies[0].hold = env->replies[0].stops = true;
    ASSERT_STATUS(STATUS_CANCELLED, export_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "stopped on request");
    assert_nothing_left(env);
}

static void an_export_without_the_agents_ca_asks_nobody(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->options.tls = env->server_dir; /* has none */
    ASSERT_STATUS(STATUS_NOT_FOUND, export_run(&env->command, &env->err), &env->err);
    assert_contains(env->err.text, "agents-ca.pem");
    assert_int_equal(env->served_count, 0);
}

static void an_export_to_a_folder_that_is_not_there_asks_nobody(void **state)
{
    struct env *env = *state;

    script_export(env);
    env->options.file = "/does/not/exist/disk.raw";
    ASSERT_STATUS(STATUS_NOT_FOUND, export_run(&env->command, &env->err), &env->err);
    env->options.file = "/tmp/";
    ASSERT_STATUS(STATUS_INVALID, export_run(&env->command, &env->err), &env->err);
    assert_int_equal(env->served_count, 0);
}

/* ---- No coordinator ---------------------------------------------------------------------------- */

static void a_coordinator_that_is_gone_is_unreachable(void **state)
{
    struct env *env = *state;
    uint64_t findings = 0;

    script_export(env);
    stop_server(env);
    ASSERT_STATUS(STATUS_UNAVAILABLE, list_run(&env->command, &env->err), &env->err);
    assert_true(client_unreachable(env->client));
    env->err = (struct error){0};
    ASSERT_STATUS(STATUS_UNAVAILABLE, backup_run(&env->command, &env->err), &env->err);
    env->err = (struct error){0};
    ASSERT_STATUS(STATUS_UNAVAILABLE, verify_run(&env->command, &findings, &env->err), &env->err);
    env->err = (struct error){0};
    ASSERT_STATUS(STATUS_UNAVAILABLE, export_run(&env->command, &env->err), &env->err);
    assert_nothing_left(env);
}

static void a_result_that_cannot_be_printed_is_a_failure(void **state)
{
    struct env *env = *state;
    struct points points;
    FILE *out = env->command.out;

    script_points(env, &points);
    env->command.out = fopen("/dev/full", "w"); /* allowed: a test's */
    assert_non_null(env->command.out);
    assert_int_not_equal(list_run(&env->command, &env->err), STATUS_OK);
    assert_contains(env->err.text, "print the result");
    (void)fclose(env->command.out); /* fails again, as it must */
    env->command.out = out;
}

#define TEST(FUNCTION) cmocka_unit_test_setup_teardown(FUNCTION, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_prints_a_row_for_each_point_of_all_pages),
        TEST(list_as_json_has_whole_ids),
        TEST(an_empty_list_says_so_and_is_an_empty_array),
        TEST(a_list_that_goes_in_circles_is_refused),
        TEST(a_point_without_a_sequence_is_refused),
        TEST(a_list_that_promises_more_and_gives_nothing_is_refused),
        TEST(a_point_without_an_id_is_refused),
        TEST(names_from_the_network_do_not_reach_the_terminal_raw),
        TEST(backup_shows_progress_and_ends_with_a_table),
        TEST(backup_as_json_is_one_object_and_no_progress),
        TEST(a_backup_that_fails_says_why_in_the_coordinators_words),
        TEST(a_backup_without_a_result_is_a_failure),
        TEST(a_backup_that_goes_on_after_its_end_is_refused),
        TEST(a_stop_cancels_the_backup_at_the_coordinator),
        TEST(verify_prints_each_finding_and_a_summary),
        TEST(verify_as_json_has_the_findings_in_one_object),
        TEST(findings_count_even_if_the_coordinators_sum_leaves_them_out),
        TEST(a_clean_repository_has_no_findings),
        TEST(a_verify_without_a_result_is_a_failure),
        TEST(a_check_says_what_is_damaged_what_that_costs_and_what_to_do),
        TEST(a_check_as_json_has_findings_and_losses),
        TEST(wrong_caches_are_no_damage_and_something_to_do),
        TEST(a_check_without_a_result_is_a_failure),
        TEST(the_status_names_what_is_wrong),
        TEST(the_status_does_not_count_packs_that_are_still_written_as_unproved),
        TEST(a_rebuild_shows_how_far_it_is),
        TEST(export_brings_every_byte_back),
        TEST(an_export_of_a_damaged_repository_leaves_no_file),
        TEST(an_export_that_ends_early_leaves_no_file),
        TEST(a_changed_block_on_the_way_ends_the_call),
        TEST(a_stopped_export_leaves_no_file),
        TEST(an_export_without_the_agents_ca_asks_nobody),
        TEST(an_export_to_a_folder_that_is_not_there_asks_nobody),
        TEST(a_coordinator_that_is_gone_is_unreachable),
        TEST(a_coordinator_that_answers_not_now_was_reached),
        TEST(a_result_that_cannot_be_printed_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
