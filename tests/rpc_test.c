/* tests/rpc_test.c: remote calls over TLS on the loopback, both ends in this process; strangers are made with
 * OpenSSL alone. */
#include "transport/rpc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "transport/credentials.h"
#include "transport/rpc_failure.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum {
    CALLS_MAX = 3,
    SIDES_MAX = 8,
    MESSAGE_MAX = 256 * 1024,
    MEMORY_MAX = 64 * 1024 * 1024,
    MESSAGE_OVER = MESSAGE_MAX + 1,
    MESSAGE_BELOW = MESSAGE_MAX - 64, /* with what is around it */
    MESSAGE_DOUBLE = MESSAGE_MAX * 2,
    LOG_MAX = 64 * 1024,
    LOG_SIZE = LOG_MAX + 1,
};

static const struct rpc_method upload = {&tidemark__v1__data__descriptor, "Upload"};
static const struct rpc_method commit = {&tidemark__v1__data__descriptor, "Commit"};
static const struct rpc_method track = {&tidemark__v1__data__descriptor, "Track"}; /* not served */

/* One end of a call, and all that it has heard. */
struct side {
    struct env *env;
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    bool reading, writing; /* the test has started it, and heard nothing */
    unsigned reads, writes, ends;
    enum status read_status, write_status, end_status;
    ProtobufCMessage *message; /* of the last read; freed with the side */
    struct error read_err, write_err, end_err;
    char peer[CREDENTIALS_NAME_SIZE];
};

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char server_dir[TEMP_FOLDER_SIZE + 16];
    char client_dir[TEMP_FOLDER_SIZE + 16];
    struct test_ca *ca, *other;
    struct fs *fs;
    int log_file;
    struct clock_manual *clock;
    struct faults *faults;
    struct loop *loop;
    struct log_sink *sink;
    struct log log;
    struct rpc *rpc;
    struct credentials server_credentials, client_credentials;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct side served[SIDES_MAX]; /* the calls that the server was given, in their order */
    unsigned served_count;
    struct loop_task closed;
    bool is_closed;
};

/* ---- Ends of calls ----------------------------------------------------------------------------- */

static void keep_error(struct error *kept, enum status status, const struct error *err)
{
    assert_true((status == STATUS_OK) == (err == NULL));
    if (err != NULL) {
        assert_int_equal(err->status, status);
        *kept = *err;
    }
}

static void side_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                      const struct error *err)
{
    struct side *side = (struct side *)((char *)read - offsetof(struct side, read));

    assert_true(side->reading);
    assert_int_equal(side->ends, 0);
    side->reading = false;
    side->reads++;
    side->read_status = status;
    keep_error(&side->read_err, status, err);
    rpc_message_free(side->message);
    side->message = message;
    loop_stop(side->env->loop);
}

static void side_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct side *side = (struct side *)((char *)write - offsetof(struct side, write));

    assert_true(side->writing);
    assert_int_equal(side->ends, 0);
    side->writing = false;
    side->writes++;
    side->write_status = status;
    keep_error(&side->write_err, status, err);
    loop_stop(side->env->loop);
}

static void side_ended(void *owner, struct rpc_call *call, enum status status,
                       const struct error *err)
{
    struct side *side = owner;

    assert_ptr_equal(call, side->call);
    assert_false(side->reading || side->writing);
    assert_int_equal(side->ends, 0);
    side->ends++;
    side->end_status = status;
    keep_error(&side->end_err, status, err);
    loop_stop(side->env->loop);
}

static const struct rpc_call_events side_events = {.ended = side_ended};

static void side_init(struct side *side, struct env *env)
{
    *side = (struct side){.env = env, .read.done = side_read, .write.done = side_written};
}

static void run_loop(struct env *env)
{
    struct error err = {0};

    ASSERT_OK(loop_run(env->loop, &err), &err);
}

/* Runs the loop until CONDITION, which something on it makes true and then stops it. */
#define WAIT(ENV, CONDITION) \
    while (!(CONDITION))     \
    run_loop(ENV)

static void read_start(struct side *side)
{
    side->reading = true;
    rpc_read_start(side->call, &side->read);
    assert_true(side->reading); /* never from within */
}

static void read_now(struct side *side)
{
    read_start(side);
    WAIT(side->env, !side->reading);
}

static void write_start(struct side *side, const ProtobufCMessage *message)
{
    side->writing = true;
    rpc_write_start(side->call, &side->write, message);
    assert_true(side->writing);
}

static void write_now(struct side *side, const ProtobufCMessage *message)
{
    write_start(side, message);
    WAIT(side->env, !side->writing);
}

static void write_end_now(struct side *side)
{
    side->writing = true;
    rpc_write_end_start(side->call, &side->write);
    assert_true(side->writing);
    WAIT(side->env, !side->writing);
}

static void side_end(struct side *side)
{
    if (side->call == NULL)
        return;
    rpc_call_cancel(side->call);
    WAIT(side->env, side->ends == 1);
    rpc_message_free(side->message);
    rpc_call_free(side->call);
    side->call = NULL;
}

/* ---- The environment --------------------------------------------------------------------------- */

static void accept_call(void *context, struct rpc_call *call,
                        const struct rpc_call_events **ret_events, void **ret_owner)
{
    struct env *env = context;

    assert_true(env->served_count < SIDES_MAX);
    struct side *side = &env->served[env->served_count++];

    side_init(side, env);
    side->call = call;
    assert_true(text_format(side->peer, sizeof(side->peer), "%s", rpc_call_peer(call)));
    *ret_events = &side_events;
    *ret_owner = side;
    loop_stop(env->loop);
}

static void on_closed(struct loop_task *task)
{
    struct env *env = (struct env *)((char *)task - offsetof(struct env, closed));

    env->is_closed = true;
    loop_stop(env->loop);
}

static enum status try_server(struct env *env, const char *address, struct rpc_server **ret_server,
                              struct error *err)
{
    const struct rpc_service services[] = {{upload, accept_call, env}, {commit, accept_call, env}};
    const struct rpc_server_options options = {.address = address,
                                               .credentials = &env->server_credentials,
                                               .services = services,
                                               .service_count = 2,
                                               .message_max = MESSAGE_MAX,
                                               .memory_max = MEMORY_MAX,
                                               .calls_max = CALLS_MAX};

    return rpc_server_new(env->rpc, &options, ret_server, err);
}

static void load(struct credentials *credentials, const char *dir)
{
    struct error err = {0};

    credentials_deinit(credentials);
    ASSERT_OK(credentials_load(dir, credentials, &err), &err);
}

static struct rpc_channel *channel_to(struct env *env, unsigned port)
{
    char address[RPC_ADDRESS_SIZE];
    struct rpc_channel *channel = NULL;
    struct error err = {0};

    assert_true(text_format(address, sizeof(address), "127.0.0.1:%u", port));
    const struct rpc_channel_options options = {.address = address,
                                                .credentials = &env->client_credentials,
                                                .message_max = MESSAGE_MAX,
                                                .memory_max = MEMORY_MAX};

    ASSERT_OK(rpc_channel_new(env->rpc, &options, &channel, &err), &err);
    return channel;
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct fs_file *file = NULL;
    char path[TEMP_FOLDER_SIZE + 32];
    struct error err = {0};

    assert_non_null(env);
    temp_folder_make(env->folder);
    env->ca = test_certificates_ca_new("ours");
    env->other = test_certificates_ca_new("theirs");
    assert_true(text_format(env->server_dir, sizeof(env->server_dir), "%s/server", env->folder));
    assert_true(text_format(env->client_dir, sizeof(env->client_dir), "%s/client", env->folder));
    test_certificates_write(env->server_dir, env->ca, env->ca, "coordinator", TEST_VALID);
    test_certificates_write(env->client_dir, env->ca, env->ca, "hv-01", TEST_CLIENT);
    load(&env->server_credentials, env->server_dir);
    load(&env->client_credentials, env->client_dir);
    ASSERT_OK(fs_posix_new(env->folder, &env->fs, &err), &err);
    ASSERT_OK(fs_open(env->fs, "log", FS_CREATE, &file, &err), &err);
    fs_close(file);
    assert_true(text_format(path, sizeof(path), "%s/log", env->folder));
    env->log_file =
        open(path, O_WRONLY | O_APPEND | O_CLOEXEC); /* allowed: a log wants a descriptor */
    assert_true(env->log_file >= 0);
    env->clock = clock_manual_new();
    ASSERT_OK(log_sink_new(env->log_file, LOG_TEXT, LOG_INFO, clock_manual_source(env->clock),
                           &env->sink, &err),
              &err);
    env->log = log_of(env->sink);
    ASSERT_OK(loop_new(clock_manual_source(env->clock), &env->loop, &err), &err);
    ASSERT_OK(rpc_new(env->loop, 2, &env->log, &env->rpc, &err), &err);
    env->closed.run = on_closed;
    ASSERT_OK(try_server(env, "127.0.0.1:0", &env->server, &err), &err);
    env->channel = channel_to(env, rpc_server_port(env->server));
    *state = env;
    return 0;
}

static void close_channel(struct env *env, struct rpc_channel *channel)
{
    env->is_closed = false;
    rpc_channel_close(channel, &env->closed);
    assert_false(env->is_closed);
    WAIT(env, env->is_closed);
}

static void close_server(struct env *env, struct rpc_server *server)
{
    env->is_closed = false;
    rpc_server_close(server, &env->closed);
    assert_false(env->is_closed);
    WAIT(env, env->is_closed);
}

static int tear_down(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < env->served_count; i++)
        side_end(&env->served[i]);
    if (env->channel != NULL)
        close_channel(env, env->channel);
    if (env->server != NULL)
        close_server(env, env->server);
    rpc_free(env->rpc);
    assert_int_equal(grpc_is_initialized(), 0); /* it is down, with all its connections */
    loop_free(env->loop);
    log_sink_free(env->sink);
    clock_manual_free(env->clock);
    assert_int_equal(close(env->log_file), 0);
    fs_free(env->fs);
    credentials_deinit(&env->server_credentials);
    credentials_deinit(&env->client_credentials);
    test_certificates_ca_free(env->ca);
    test_certificates_ca_free(env->other);
    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static void open_call(struct side *side, struct rpc_channel *channel, struct rpc_method method,
                      uint64_t timeout_ms)
{
    struct error err = {0};

    ASSERT_OK(rpc_call_open(channel, method, timeout_ms, &side_events, side, &side->call, &err),
              &err);
}

/* An upload by our channel; the server's end of it. */
static struct side *open_upload(struct env *env, struct side *client)
{
    unsigned before = env->served_count;

    side_init(client, env);
    open_call(client, env->channel, upload, 0);
    WAIT(env, env->served_count > before);
    return &env->served[before];
}

/* A call by CHANNEL that fails without having reached anybody: its end is in CLIENT. */
static void open_in_vain(struct env *env, struct rpc_channel *channel, struct side *client)
{
    side_init(client, env);
    open_call(client, channel, upload, 0);
    WAIT(env, client->ends == 1);
    assert_int_equal(env->served_count, 0);
}

static void assert_text(const struct error *err, const char *word)
{
    if (strstr(err->text, word) == NULL)
        fail_msg("\"%s\" is not in: %s", word, err->text);
}

static void offer(Tidemark__V1__UploadRequest *request, Tidemark__V1__Offer *body, uint64_t seq,
                  ProtobufCBinaryData ids)
{
    tidemark__v1__upload_request__init(request);
    tidemark__v1__offer__init(body);
    body->first_seq = seq;
    body->ids = ids;
    request->kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER;
    request->offer = body;
}

static void write_offer(struct side *side, uint64_t seq, size_t size)
{
    Tidemark__V1__UploadRequest request;
    Tidemark__V1__Offer body;
    uint8_t *ids = memory_new(1, size);

    assert_non_null(ids);
    offer(&request, &body, seq, (ProtobufCBinaryData){.len = size, .data = ids});
    write_start(side, &request.base);
    memory_free(ids);
}

static const Tidemark__V1__Offer *offer_of(const struct side *side)
{
    assert_non_null(side->message);
    const Tidemark__V1__UploadRequest *request =
        (const Tidemark__V1__UploadRequest *)side->message; /* what Upload reads */

    assert_int_equal(request->kind_case, TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER);
    return request->offer;
}

static void write_want(struct side *side, uint64_t seq, size_t size)
{
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    uint8_t *nodes = memory_new(1, size);

    assert_non_null(nodes);
    want.first_seq = seq;
    want.nodes = (ProtobufCBinaryData){.len = size, .data = nodes};
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT;
    answer.want = &want;
    write_start(side, &answer.base);
    memory_free(nodes);
}

static const Tidemark__V1__Want *want_of(const struct side *side)
{
    assert_non_null(side->message);
    return ((const Tidemark__V1__UploadAnswer *)side->message)->want; /* what Upload answers */
}

/* What the log says so far. The caller's (memory_free). */
static char *read_log(const struct env *env)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    char *text = memory_new(LOG_SIZE, 1);
    size_t size = 0;

    assert_non_null(text);
    ASSERT_OK(fs_open(env->fs, "log", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_read_at(file, 0, text, LOG_MAX, &size, &err), &err);
    fs_close(file);
    return text;
}

static unsigned count_in_log(const struct env *env, const char *word)
{
    char *text = read_log(env);
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    memory_free(text);
    return count;
}

/* ---- Streams ---------------------------------------------------------------------------------- */

static void messages_go_both_ways_in_order(void **state)
{
    enum { COUNT = 2000 };
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    for (uint64_t i = 0; i < COUNT; i++) {
        read_start(server);
        read_start(&client);
        write_offer(&client, i, 32);
        write_want(server, i, 16);
        WAIT(env, !server->reading && !client.reading && !client.writing && !server->writing);
        assert_int_equal(offer_of(server)->first_seq, i);
        assert_int_equal(offer_of(server)->ids.len, 32);
        assert_int_equal(want_of(&client)->first_seq, i);
    }
    rpc_call_finish(server->call, STATUS_OK, NULL);
    read_now(&client);
    assert_int_equal(client.read_status, STATUS_OK);
    assert_null(client.message);
    WAIT(env, client.ends == 1 && server->ends == 1);
    assert_int_equal(client.end_status, STATUS_OK);
    assert_int_equal(server->end_status, STATUS_OK);
    assert_int_equal(client.writes, COUNT);
    side_end(&client);
}

static void what_was_written_arrives_before_the_half_close(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    write_offer(&client, 7, 32);
    WAIT(env, !client.writing);
    write_end_now(&client);
    assert_int_equal(client.write_status, STATUS_OK);
    read_now(server);
    assert_int_equal(offer_of(server)->first_seq, 7);
    for (int i = 0; i < 2; i++) { /* and once more: it stays so */
        read_now(server);
        assert_int_equal(server->read_status, STATUS_OK);
        assert_null(server->message);
    }
    write_want(server, 8, 1); /* the other way is open still */
    read_now(&client);
    assert_int_equal(want_of(&client)->first_seq, 8);
    side_end(&client);
}

static void a_failure_arrives_with_its_text_behind_what_was_written_before(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    enum { SIZE = 100 * 1024 };
    struct error err = {0};

    read_start(server);
    write_want(server, 1, SIZE);
    (void)error_set(&err, STATUS_PRECONDITION, "Datenträger \"web-01\" is 100%% not ready: \n\x01");
    rpc_call_finish(server->call, STATUS_PRECONDITION, &err);
    read_now(&client);
    assert_int_equal(want_of(&client)->nodes.len, SIZE);
    WAIT(env, client.ends == 1 && server->ends == 1);
    assert_int_equal(client.end_status, STATUS_PRECONDITION);
    assert_string_equal(client.end_err.text, err.text);
    assert_int_equal(server->end_status, STATUS_OK);
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->write_status, STATUS_CANCELLED);
    side_end(&client);
}

static void a_read_in_flight_fails_as_the_call_does(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);
    struct error err = {0};

    read_start(&client);
    (void)error_set(&err, STATUS_DENIED, "not that disk");
    rpc_call_finish(server->call, STATUS_DENIED, &err);
    WAIT(env, client.ends == 1);
    assert_int_equal(client.read_status, STATUS_DENIED);
    assert_string_equal(client.read_err.text, "not that disk");
    assert_int_equal(client.end_status, STATUS_DENIED);
    side_end(&client);
}

static void after_finish_reads_and_writes_are_cancelled(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    rpc_call_finish(server->call, STATUS_OK, NULL);
    read_start(server);
    write_want(server, 1, 1);
    WAIT(env, server->ends == 1);
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->write_status, STATUS_CANCELLED);
    WAIT(env, client.ends == 1);
    assert_int_equal(client.end_status, STATUS_OK);
    side_end(&client);
}

static void a_call_that_the_client_cancels_ends_on_both_sides(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    read_start(&client);
    read_start(server);
    rpc_call_cancel(client.call);
    rpc_call_cancel(client.call); /* twice: no effect */
    assert_int_equal(client.ends, 0);
    WAIT(env, client.ends == 1 && server->ends == 1);
    assert_int_equal(client.read_status, STATUS_CANCELLED);
    assert_int_equal(client.end_status, STATUS_CANCELLED);
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->end_status, STATUS_CANCELLED);
    assert_text(&server->end_err, "client");
    rpc_call_cancel(client.call); /* late: no effect */
    side_end(&client);
}

static void a_call_that_the_server_cancels_ends_on_both_sides(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    read_start(&client);
    read_start(server);
    rpc_call_cancel(server->call);
    WAIT(env, client.ends == 1 && server->ends == 1);
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->end_status, STATUS_CANCELLED);
    assert_int_equal(client.end_status, STATUS_CANCELLED);
    side_end(&client);
}

/* Counts, instead of time, say that a write stands still: round trips of another call on the same connection
 * that are done meanwhile. */
static bool stands_still(struct side *client, struct side *other, struct side *other_server)
{
    enum { ROUND_TRIPS = 60 };

    for (uint64_t i = 0; i < ROUND_TRIPS && client->writing; i++) {
        write_offer(other, i, 1);
        read_now(other_server);
        write_want(other_server, i, 1);
        read_now(other);
        WAIT(client->env, !other->writing && !other_server->writing);
    }
    return client->writing;
}

static void a_peer_that_does_not_read_stops_the_writer(void **state)
{
    enum { SIZE = 200 * 1024, COUNT = 400 };
    struct env *env = *state;
    struct side client;
    struct side other;
    struct side *server = open_upload(env, &client);
    struct side *other_server = open_upload(env, &other);
    uint64_t sent = 0;
    uint64_t got = 0;

    for (; sent < COUNT; sent++) {
        write_offer(&client, sent, SIZE);
        if (stands_still(&client, &other, other_server))
            break;
        assert_int_equal(client.write_status, STATUS_OK);
    }
    assert_true(sent < 100); /* of 20 MiB, whatever the sockets hold */
    for (; got <= sent; got++) {
        read_now(server);
        assert_int_equal(offer_of(server)->first_seq, got);
        assert_int_equal(offer_of(server)->ids.len, SIZE);
    }
    WAIT(env, !client.writing);
    assert_int_equal(client.write_status, STATUS_OK);
    side_end(&client);
    side_end(&other);
}

static void the_server_hears_the_name_in_the_clients_certificate(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    assert_string_equal(server->peer, "hv-01");
    assert_string_equal(rpc_call_peer(client.call), "");
    side_end(&client);
}

static void a_call_ends_when_its_time_is_over(void **state)
{
    struct env *env = *state;
    struct side client;

    side_init(&client, env);
    open_call(&client, env->channel, upload, 300);
    read_start(&client);
    WAIT(env, client.ends == 1);
    assert_int_equal(client.end_status, STATUS_TIMEOUT);
    assert_int_equal(client.read_status, STATUS_TIMEOUT);
    assert_text(&client.end_err, "did not answer within 300 ms");
    side_end(&client);
    WAIT(env, env->served_count == 0 || env->served[0].ends == 1);
}

/* ---- Unary calls ------------------------------------------------------------------------------ */

struct question {
    struct rpc_unary unary;
    struct env *env;
    unsigned done;
    enum status status;
    ProtobufCMessage *answer;
    struct error err;
};

static void question_done(struct rpc_unary *unary, enum status status, ProtobufCMessage *answer,
                          const struct error *err)
{
    struct question *question = (struct question *)unary; /* its first member */

    question->done++;
    question->status = status;
    question->answer = answer;
    keep_error(&question->err, status, err);
    assert_true((status == STATUS_OK) == (answer != NULL));
    loop_stop(question->env->loop);
}

static void ask(struct question *question, struct env *env, struct rpc_method method, size_t size)
{
    Tidemark__V1__CommitRequest request = TIDEMARK__V1__COMMIT_REQUEST__INIT;
    uint8_t *task = memory_new(1, size);

    assert_non_null(task);
    *question = (struct question){.unary.done = question_done, .env = env};
    request.task = (ProtobufCBinaryData){.len = size, .data = task};
    rpc_unary_start(env->channel, method, &request.base, 0, &question->unary);
    assert_int_equal(question->done, 0);
    memory_free(task);
}

static void answer_commit(struct side *server, uint64_t stored)
{
    Tidemark__V1__CommitAnswer answer = TIDEMARK__V1__COMMIT_ANSWER__INIT;

    answer.stored = stored;
    write_now(server, &answer.base);
    assert_int_equal(server->write_status, STATUS_OK);
}

static void a_unary_call_brings_its_answer(void **state)
{
    struct env *env = *state;
    struct question question;

    ask(&question, env, commit, 16);
    WAIT(env, env->served_count == 1);
    struct side *server = &env->served[0];

    read_now(server);
    assert_int_equal(((Tidemark__V1__CommitRequest *)server->message)->task.len, 16);
    read_now(server);
    assert_null(server->message);
    answer_commit(server, 42);
    rpc_call_finish(server->call, STATUS_OK, NULL);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_OK);
    assert_int_equal(((Tidemark__V1__CommitAnswer *)question.answer)->stored, 42);
    rpc_message_free(question.answer);
}

static void a_unary_call_brings_the_servers_failure(void **state)
{
    struct env *env = *state;
    struct question question;
    struct error err = {0};

    ask(&question, env, commit, 16);
    WAIT(env, env->served_count == 1);
    answer_commit(&env->served[0], 1); /* an answer that a failure follows is none */
    (void)error_set(&err, STATUS_ABORTED, "lost a race");
    rpc_call_finish(env->served[0].call, STATUS_ABORTED, &err);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_ABORTED);
    assert_string_equal(question.err.text, "lost a race");
}

static void a_unary_call_has_exactly_one_answer(void **state)
{
    struct env *env = *state;
    struct question question;

    ask(&question, env, commit, 16);
    WAIT(env, env->served_count == 1);
    rpc_call_finish(env->served[0].call, STATUS_OK, NULL);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_UNKNOWN);
    assert_text(&question.err, "without an answer");

    ask(&question, env, commit, 16);
    WAIT(env, env->served_count == 2);
    answer_commit(&env->served[1], 1);
    answer_commit(&env->served[1], 2);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_INVALID);
    assert_text(&question.err, "more than one answer");
}

static void a_unary_call_that_is_too_large_is_not_sent(void **state)
{
    struct env *env = *state;
    struct question question;

    ask(&question, env, commit, MESSAGE_OVER);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_INVALID);
    assert_text(&question.err, "at most");
}

static void a_unary_call_can_be_cancelled(void **state)
{
    struct env *env = *state;
    struct question question;

    ask(&question, env, commit, 16);
    rpc_unary_cancel(&question.unary);
    assert_int_equal(question.done, 0);
    WAIT(env, question.done == 1);
    assert_int_equal(question.status, STATUS_CANCELLED);
    rpc_unary_cancel(&question.unary); /* late: no effect */
}

static void a_method_that_is_not_served_is_unsupported(void **state)
{
    struct env *env = *state;
    struct side client;

    side_init(&client, env);
    open_call(&client, env->channel, track, 0);
    WAIT(env, client.ends == 1);
    assert_int_equal(client.end_status, STATUS_UNSUPPORTED);
    assert_text(&client.end_err, "does not know that method");
    side_end(&client);
}

/* ---- Limits ----------------------------------------------------------------------------------- */

static void a_message_over_the_limit_is_not_sent_and_the_call_goes_on(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    write_offer(&client, 1, MESSAGE_MAX);
    write_want(server, 1, MESSAGE_MAX);
    WAIT(env, !client.writing && !server->writing);
    assert_int_equal(client.write_status, STATUS_INVALID);
    assert_int_equal(server->write_status, STATUS_INVALID);
    write_offer(&client, 2, MESSAGE_BELOW);
    write_want(server, 2, MESSAGE_BELOW);
    read_now(server);
    read_now(&client);
    WAIT(env, !client.writing && !server->writing);
    assert_int_equal(offer_of(server)->first_seq, 2);
    assert_int_equal(want_of(&client)->first_seq, 2);
    side_end(&client);
}

static struct rpc_channel *channel_of_limit(struct env *env, size_t message_max)
{
    char address[RPC_ADDRESS_SIZE];
    struct rpc_channel *channel = NULL;
    struct error err = {0};

    assert_true(
        text_format(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(env->server)));
    const struct rpc_channel_options options = {.address = address,
                                                .credentials = &env->client_credentials,
                                                .message_max = message_max,
                                                .memory_max = MEMORY_MAX};

    ASSERT_OK(rpc_channel_new(env->rpc, &options, &channel, &err), &err);
    return channel;
}

static void a_message_over_the_receivers_limit_ends_the_call(void **state)
{
    struct env *env = *state;
    struct rpc_channel *larger = channel_of_limit(env, MESSAGE_DOUBLE);
    struct rpc_channel *smaller = channel_of_limit(env, 1024);
    struct side client;

    side_init(&client, env);
    open_call(&client, larger, upload, 0);
    WAIT(env, env->served_count == 1);
    write_offer(&client, 1, MESSAGE_OVER);
    read_now(&env->served[0]);
    assert_int_equal(env->served[0].read_status, STATUS_CANCELLED);
    assert_text(&env->served[0].read_err, "262144 bytes");
    WAIT(env, client.ends == 1 && env->served[0].ends == 1);
    assert_int_equal(client.end_status, STATUS_EXHAUSTED);
    assert_text(&client.end_err, "larger than max");
    side_end(&client);

    side_init(&client, env);
    open_call(&client, smaller, upload, 0);
    WAIT(env, env->served_count == 2);
    write_want(&env->served[1], 1, 2000);
    read_now(&client);
    assert_int_equal(client.read_status, STATUS_EXHAUSTED);
    WAIT(env, client.ends == 1 && env->served[1].ends == 1);
    assert_int_equal(client.end_status, STATUS_EXHAUSTED);
    side_end(&client);
    close_channel(env, larger);
    close_channel(env, smaller);
}

static void one_call_too_many_is_refused_until_another_is_freed(void **state)
{
    struct env *env = *state;
    struct side clients[CALLS_MAX];
    struct side one_more;

    for (unsigned i = 0; i < CALLS_MAX; i++)
        (void)open_upload(env, &clients[i]);
    side_init(&one_more, env);
    open_call(&one_more, env->channel, upload, 0);
    WAIT(env, one_more.ends == 1);
    assert_int_equal(one_more.end_status, STATUS_UNAVAILABLE);
    assert_text(&one_more.end_err, "as many as it may have");
    side_end(&one_more);
    side_end(&env->served[0]);
    (void)open_upload(env, &one_more);
    assert_int_equal(env->served_count, CALLS_MAX + 1);
    side_end(&one_more);
    for (unsigned i = 0; i < CALLS_MAX; i++)
        side_end(&clients[i]);
}

/* ---- Bytes that are no message ------------------------------------------------------------------ */

/* Upload, but with a commit's request: its task lies where an upload's opening is. */
static void a_malformed_message_is_refused_and_nothing_is_read_after_it(void **state)
{
    struct env *env = *state;
    ProtobufCServiceDescriptor service = *upload.service;
    ProtobufCMethodDescriptor methods[8];
    Tidemark__V1__CommitRequest request = TIDEMARK__V1__COMMIT_REQUEST__INIT;
    uint8_t task[16];
    struct side client;

    assert_true(service.n_methods <= 8);
    for (unsigned i = 0; i < service.n_methods; i++) {
        methods[i] = service.methods[i];
        methods[i].input = &tidemark__v1__commit_request__descriptor;
    }
    service.methods = methods;
    side_init(&client, env);
    open_call(&client, env->channel, (struct rpc_method){&service, "Upload"}, 0);
    WAIT(env, env->served_count == 1);
    memset(task, 0xff, sizeof(task));
    request.task = (ProtobufCBinaryData){.len = sizeof(task), .data = task};
    write_now(&client, &request.base);
    struct side *server = &env->served[0];

    for (int i = 0; i < 2; i++) {
        read_now(server);
        assert_int_equal(server->read_status, STATUS_INVALID);
        assert_text(&server->read_err, "no message of type tidemark.v1.UploadRequest");
    }
    side_end(&client);
}

static void a_message_that_wants_much_more_memory_than_it_has_bytes_is_refused(void **state)
{
    enum { COUNT = 100 * 1000 };
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);
    Tidemark__V1__UploadRequest request = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Blocks blocks = TIDEMARK__V1__BLOCKS__INIT;
    Tidemark__V1__BlockData empty = TIDEMARK__V1__BLOCK_DATA__INIT;
    Tidemark__V1__BlockData **list = memory_new(COUNT, sizeof(Tidemark__V1__BlockData *));

    assert_non_null(list);
    for (size_t i = 0; i < COUNT; i++)
        list[i] = &empty;
    blocks.n_blocks = COUNT;
    blocks.blocks = list;
    request.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS;
    request.blocks = &blocks;
    write_now(&client, &request.base);
    memory_free(list);
    read_now(server);
    assert_int_equal(server->read_status, STATUS_INVALID);
    assert_text(&server->read_err, "more memory than its size allows");
    side_end(&client);
}

/* ---- Who is let in ----------------------------------------------------------------------------- */

static void a_client_of_another_ca_is_refused(void **state)
{
    struct env *env = *state;
    struct side client;

    test_certificates_write(env->client_dir, env->other, env->other, "hv-01", TEST_VALID);
    load(&env->client_credentials, env->client_dir);
    /* It believes our CA all the same: what a stranger would do. */
    memory_free(env->client_credentials.ca_pem);
    env->client_credentials.ca_pem = memory_copy_text(env->server_credentials.ca_pem);
    struct rpc_channel *channel = channel_to(env, rpc_server_port(env->server));

    open_in_vain(env, channel, &client);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "it may refuse our certificate");
    side_end(&client);
    close_channel(env, channel);
    assert_int_equal(count_in_log(env, "warning"), 1);
    assert_int_equal(count_in_log(env, "its certificate is not of our CA, or not valid now"), 1);
}

static void a_client_does_not_believe_another_ca(void **state)
{
    struct env *env = *state;
    struct side client;

    memory_free(env->client_credentials.ca_pem);
    test_certificates_write(env->server_dir, env->other, env->other, "coordinator", TEST_VALID);
    load(&env->server_credentials, env->server_dir);
    env->client_credentials.ca_pem = memory_copy_text(env->server_credentials.ca_pem);
    struct rpc_channel *channel = channel_to(env, rpc_server_port(env->server));

    open_in_vain(env, channel, &client);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "its certificate is not of our CA");
    side_end(&client);
    close_channel(env, channel);
}

static void a_client_believes_a_certificate_of_that_host_only(void **state)
{
    struct env *env = *state;
    struct rpc_server *server = NULL;
    struct error err = {0};
    struct side client;

    test_certificates_write(env->server_dir, env->ca, env->ca, "coordinator", TEST_OTHER_HOST);
    load(&env->server_credentials, env->server_dir);
    ASSERT_OK(try_server(env, "127.0.0.1:0", &server, &err), &err);
    struct rpc_channel *channel = channel_to(env, rpc_server_port(server));

    open_in_vain(env, channel, &client);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "of another host");
    side_end(&client);
    close_channel(env, channel);
    close_server(env, server);
}

static void nobody_listens_is_said_with_the_address(void **state)
{
    struct env *env = *state;
    unsigned port = rpc_server_port(env->server);
    struct side client;

    close_server(env, env->server);
    env->server = NULL;
    open_in_vain(env, env->channel, &client);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "cannot be reached: connection refused");
    assert_int_equal(client.end_err.kind, NATIVE_GRPC);
    char address[32];

    assert_true(text_format(address, sizeof(address), "127.0.0.1:%u", port));
    assert_text(&client.end_err, address);
    side_end(&client);
}

static void a_status_that_grpc_may_have_one_day_is_unknown(void **state)
{
    static const int codes[] = {17, 99, -1, INT_MAX};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct rpc_failure failure = {.code = codes[i],
                                            .text = "new",
                                            .by_server = i % 2 == 0,
                                            .address = "h:1"};

        assert_int_equal(rpc_failure_set(&err, &failure), STATUS_UNKNOWN);
        assert_text(&err, "new");
    }
    for (int code = 1; code <= STATUS_UNAUTHENTICATED; code++) {
        const struct rpc_failure failure = {.code = code, .text = "", .address = "h:1"};

        assert_int_equal(rpc_failure_set(&err, &failure), code);
        assert_int_not_equal(err.text[0], 0);
    }
}

/* ---- Strangers, by OpenSSL alone ------------------------------------------------------------------ */

struct stranger {
    int tls_max;     /* 0: no TLS at all */
    const char *dir; /* of credentials; NULL: none */
};

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static SSL_CTX *context_of(const struct stranger *stranger)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char path[TEMP_FOLDER_SIZE + 64];

    assert_non_null(context);
    assert_int_equal(SSL_CTX_set_max_proto_version(context, stranger->tls_max), 1);
    assert_int_equal(SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3), 0);
    if (stranger->dir != NULL) {
        assert_true(text_format(path, sizeof(path), "%s/cert.pem", stranger->dir));
        assert_int_equal(SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM), 1);
        assert_true(text_format(path, sizeof(path), "%s/key.pem", stranger->dir));
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
    }
    return context;
}

/* Is it let in: does the server say the first words of HTTP/2? */
static bool is_let_in(unsigned port, const struct stranger *stranger)
{
    int fd = connect_to(port);
    SSL_CTX *context = context_of(stranger);
    SSL *ssl = SSL_new(context);
    char byte = 0;

    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    bool in = SSL_connect(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1;

    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    assert_int_equal(close(fd), 0);
    return in;
}

static void a_connection_needs_tls_1_3_and_a_certificate(void **state)
{
    struct env *env = *state;
    unsigned port = rpc_server_port(env->server);

    assert_true(is_let_in(port, &(struct stranger){TLS1_3_VERSION, env->client_dir}));
    assert_int_equal(count_in_log(env, "warning"), 0);
    assert_false(is_let_in(port, &(struct stranger){TLS1_2_VERSION, env->client_dir}));
    assert_int_equal(count_in_log(env, "it does not speak TLS 1.3"), 1);
    clock_manual_advance_ms(env->clock, 1000);
    assert_false(is_let_in(port, &(struct stranger){TLS1_3_VERSION, NULL}));
    assert_int_equal(count_in_log(env, "it presents no certificate"), 1);
    assert_int_equal(count_in_log(env, "warning"), 2);
}

static void a_client_needs_a_certificate_for_clients_that_is_valid_now(void **state)
{
    struct env *env = *state;
    unsigned port = rpc_server_port(env->server);

    test_certificates_write(env->client_dir, env->ca, env->ca, "hv-01", TEST_EXPIRED);
    assert_false(is_let_in(port, &(struct stranger){TLS1_3_VERSION, env->client_dir}));
    test_certificates_write(env->client_dir, env->ca, env->ca, "hv-01", TEST_NOT_YET);
    assert_false(is_let_in(port, &(struct stranger){TLS1_3_VERSION, env->client_dir}));
    test_certificates_write(env->client_dir, env->ca, env->other, "hv-01", TEST_VALID);
    assert_false(is_let_in(port, &(struct stranger){TLS1_3_VERSION, env->client_dir}));
    test_certificates_write(env->client_dir, env->ca, env->ca, "hv-01", TEST_VALID);
    assert_true(is_let_in(port, &(struct stranger){TLS1_3_VERSION, env->client_dir}));
}

static void many_strangers_make_one_line_a_second(void **state)
{
    struct env *env = *state;
    unsigned port = rpc_server_port(env->server);
    const struct stranger stranger = {TLS1_3_VERSION, NULL};

    for (int i = 0; i < 10; i++)
        assert_false(is_let_in(port, &stranger));
    assert_int_equal(count_in_log(env, "warning"), 1);
    clock_manual_advance_ms(env->clock, 999);
    assert_false(is_let_in(port, &stranger));
    assert_int_equal(count_in_log(env, "warning"), 1);
    clock_manual_advance_ms(env->clock, 1);
    assert_false(is_let_in(port, &stranger));
    assert_int_equal(count_in_log(env, "warning"), 2);
    assert_int_equal(count_in_log(env, "(and 10 more since the last such line)"), 1);
}

static void garbage_is_refused_with_one_line_and_the_server_goes_on(void **state)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct env *env = *state;
    int fd = connect_to(rpc_server_port(env->server));
    char answer[256];
    struct side client;

    assert_int_equal(send(fd, garbage, sizeof(garbage) - 1, MSG_NOSIGNAL), sizeof(garbage) - 1);
    while (recv(fd, answer, sizeof(answer), 0) > 0)
        continue;
    assert_int_equal(close(fd), 0);
    assert_int_equal(count_in_log(env, "warning"), 1);
    assert_int_equal(count_in_log(env, "it does not speak TLS"), 1);
    (void)open_upload(env, &client);
    side_end(&client);
}

/* ---- Addresses --------------------------------------------------------------------------------- */

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "",         "localhost",       ":7701",        "localhost:", "h:0",       "h:65536",
        "h:+1",     "unix:/tmp/x:1",   "dns:h:1",      "a b:1",      "[::1:7701", "[]:1",
        "ipv4:1:1", "http://host:443", "[fe80::1]x:1", "h:1 "};
    struct env *env = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct rpc_channel_options options = {.address = bad[i],
                                                    .credentials = &env->client_credentials,
                                                    .message_max = MESSAGE_MAX,
                                                    .memory_max = MEMORY_MAX};
        struct rpc_channel *channel = NULL;
        struct error err = {0};

        ASSERT_STATUS(STATUS_INVALID, rpc_channel_new(env->rpc, &options, &channel, &err), &err);
        assert_null(channel);
    }
}

static void an_address_that_is_in_use_or_not_ours_is_unavailable(void **state)
{
    struct env *env = *state;
    struct rpc_server *server = NULL;
    struct error err = {0};
    char address[32];

    assert_true(
        text_format(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(env->server)));
    ASSERT_STATUS(STATUS_UNAVAILABLE, try_server(env, address, &server, &err), &err);
    assert_text(&err, address);
    ASSERT_STATUS(STATUS_UNAVAILABLE, try_server(env, "192.0.2.1:7701", &server, &err), &err);
    assert_null(server);
}

/* A proxy where nobody listens; or none. */
static void set_proxy(const char *variable, bool there)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): no thread of gRPC's reads it meanwhile */
    int result = there ? setenv(variable, "http://127.0.0.1:1", 1) : unsetenv(variable);
    /* NOLINTEND(concurrency-mt-unsafe) */

    assert_int_equal(result, 0);
}

static void a_proxy_in_the_environment_is_not_asked(void **state)
{
    struct env *env = *state;
    struct side client;

    set_proxy("http_proxy", true);
    set_proxy("https_proxy", true);
    struct rpc_channel *channel = channel_to(env, rpc_server_port(env->server));

    side_init(&client, env);
    open_call(&client, channel, upload, 0);
    WAIT(env, env->served_count == 1);
    set_proxy("http_proxy", false);
    set_proxy("https_proxy", false);
    side_end(&client);
    close_channel(env, channel);
}

static void try_to_begin(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct rpc_server *server = NULL;
    struct rpc_channel *channel = NULL;
    struct rpc_call *call = NULL;
    struct side client;
    struct error err = {0};
    const struct rpc_channel_options options = {.address = "127.0.0.1:1",
                                                .credentials = &env->client_credentials,
                                                .message_max = MESSAGE_MAX,
                                                .memory_max = MEMORY_MAX};

    (void)n; /* what fails is all the same */
    side_init(&client, env);
    if (try_server(env, "127.0.0.1:0", &server, &err) != STATUS_OK ||
        rpc_channel_new(env->rpc, &options, &channel, &err) != STATUS_OK ||
        rpc_call_open(channel, upload, 0, &side_events, &client, &call, &err) != STATUS_OK)
        assert_int_equal(err.status, STATUS_EXHAUSTED);
    faults_arm(env->faults, 0, 0);
    client.call = call;
    side_end(&client);
    if (channel != NULL)
        close_channel(env, channel);
    if (server != NULL)
        close_server(env, server);
}

static void what_cannot_begin_for_want_of_memory_leaves_nothing_behind(void **state)
{
    struct env *env = *state;

    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    assert_int_equal(fail_each(env->faults, FAULT_ALLOC, try_to_begin, env), 5);
    faults_install(NULL);
    faults_free(env->faults);
}

/* ---- Ends ------------------------------------------------------------------------------------- */

static void a_server_that_closes_cancels_its_calls_and_waits_for_their_owners(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    read_start(server);
    read_start(&client);
    rpc_server_close(env->server, &env->closed);
    WAIT(env, server->ends == 1 && client.ends == 1);
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->end_status, STATUS_CANCELLED);
    assert_true(client.end_status == STATUS_CANCELLED || client.end_status == STATUS_UNAVAILABLE);
    assert_false(env->is_closed);
    side_end(server);
    WAIT(env, env->is_closed);
    env->server = NULL;
    side_end(&client);
}

static void a_channel_that_closes_cancels_its_calls_and_waits_for_their_owners(void **state)
{
    struct env *env = *state;
    struct side client;
    struct side *server = open_upload(env, &client);

    read_start(&client);
    rpc_channel_close(env->channel, &env->closed);
    WAIT(env, server->ends == 1 && client.ends == 1);
    assert_int_equal(client.end_status, STATUS_CANCELLED);
    assert_false(env->is_closed);
    side_end(&client);
    WAIT(env, env->is_closed);
    env->channel = NULL;
}

static void a_server_is_reached_again_after_it_was_away(void **state)
{
    struct env *env = *state;
    char address[32];
    struct error err = {0};
    struct side client;

    assert_true(
        text_format(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(env->server)));
    (void)open_upload(env, &client);
    rpc_server_close(env->server, &env->closed);
    WAIT(env, client.ends == 1 && env->served[0].ends == 1);
    side_end(&client);
    side_end(&env->served[0]);
    WAIT(env, env->is_closed);
    ASSERT_OK(try_server(env, address, &env->server, &err), &err);
    for (bool reached = false; !reached;) { /* in a pause between attempts a call fails at once */
        side_init(&client, env);
        open_call(&client, env->channel, upload, 0);
        WAIT(env, client.ends == 1 || env->served_count == 2);
        reached = env->served_count == 2;
        side_end(&client);
    }
}

/* ---- A peer with a certificate that lies: HTTP/2 by hand -------------------------------------------- */

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RESET = 3, FRAME_SETTINGS = 4, FRAME_PING = 6 };

enum { FRAME_GOAWAY = 7, FRAME_WINDOW = 8, FRAME_SIZE_MAX = 16384, FLAG_ACK = 1, FLAG_HEADERS = 4 };

struct liar {
    uv_thread_t thread;
    struct env *env;
    unsigned port;
    uint32_t announced; /* length of its one message */
    uint64_t send_max;  /* and how much of it comes at most */
    int fd;
    SSL *ssl;
    int64_t connection_window, stream_window;
    uint64_t sent;
    bool refused; /* its call was ended, or its connection */
    struct loop_task done;
    bool is_done;
};

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* RFC 9113, section 4.1. */
static bool send_frame(struct liar *liar, uint8_t type, uint8_t flags, uint32_t stream,
                       const uint8_t *body, uint32_t size)
{
    uint8_t frame[9 + FRAME_SIZE_MAX];

    put_u32(frame, size << 8 | type); /* three bytes of length, and one of type */
    frame[4] = flags;
    put_u32(frame + 5, stream);
    if (size > 0)
        memcpy(frame + 9, body, size);
    return SSL_write(liar->ssl, frame, (int)(9 + size)) == (int)(9 + size);
}

static bool receive(struct liar *liar, uint8_t *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        int part = SSL_read(liar->ssl, data + got, (int)(size - got));

        if (part <= 0)
            return false;
        got += (size_t)part;
    }
    return true;
}

/* RFC 7541, section 6.2.2: a literal without indexing, with a new name. */
static size_t put_header(uint8_t *block, const char *name, const char *value)
{
    size_t at = 0;

    block[at++] = 0;
    block[at++] = (uint8_t)strlen(name);
    memcpy(block + at, name, strlen(name));
    at += strlen(name);
    block[at++] = (uint8_t)strlen(value);
    memcpy(block + at, value, strlen(value));
    return at + strlen(value);
}

static bool open_raw_upload(struct liar *liar)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t block[512];
    size_t size = 0;

    size += put_header(block + size, ":method", "POST");
    size += put_header(block + size, ":scheme", "https");
    size += put_header(block + size, ":path", "/tidemark.v1.Data/Upload");
    size += put_header(block + size, ":authority", "localhost");
    size += put_header(block + size, "content-type", "application/grpc");
    size += put_header(block + size, "te", "trailers");
    return SSL_write(liar->ssl, preface, sizeof(preface) - 1) == sizeof(preface) - 1 &&
           send_frame(liar, FRAME_SETTINGS, 0, 0, NULL, 0) &&
           send_frame(liar, FRAME_HEADERS, FLAG_HEADERS, 1, block, (uint32_t)size);
}

static void take_settings(struct liar *liar, const uint8_t *body, size_t size)
{
    static const uint16_t initial_window = 4;

    for (size_t at = 0; at + 6 <= size; at += 6) {
        if (body[at] == 0 && body[at + 1] == initial_window)
            liar->stream_window += (int64_t)get_u32(body + at + 2) - 65535; /* once: the first */
    }
}

/* False: the connection is gone, or the call is over. */
static bool take_frame(struct liar *liar)
{
    uint8_t head[9] = {0};
    uint8_t body[FRAME_SIZE_MAX] = {0};

    if (!receive(liar, head, sizeof(head)))
        return false;
    size_t size = get_u32(head) >> 8;

    if (size > sizeof(body) || !receive(liar, body, size))
        return false;
    switch (head[3]) {
    case FRAME_SETTINGS:
        if ((head[4] & FLAG_ACK) != 0)
            return true;
        take_settings(liar, body, size);
        return send_frame(liar, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
    case FRAME_PING:
        return (head[4] & FLAG_ACK) != 0 ||
               send_frame(liar, FRAME_PING, FLAG_ACK, 0, body, (uint32_t)size);
    case FRAME_WINDOW:
        *(get_u32(head + 5) == 0 ? &liar->connection_window : &liar->stream_window) +=
            get_u32(body);
        return true;
    case FRAME_HEADERS: /* the first are the server's greeting, the last bear END_STREAM */
        return (head[4] & 1) == 0;
    case FRAME_RESET:
    case FRAME_GOAWAY:
        return false;
    default:
        return true;
    }
}

static void liar_run(void *arg)
{
    struct liar *liar = arg;
    uint8_t data[FRAME_SIZE_MAX] = {0};
    const struct stranger stranger = {TLS1_3_VERSION, liar->env->client_dir};
    SSL_CTX *context = context_of(&stranger);

    liar->fd = connect_to(liar->port);
    liar->ssl = SSL_new(context);
    liar->connection_window = liar->stream_window = 65535;
    bool going = SSL_set_fd(liar->ssl, liar->fd) == 1 && SSL_connect(liar->ssl) == 1 &&
                 open_raw_upload(liar);

    while (going && liar->sent < liar->send_max) {
        if (liar->connection_window < FRAME_SIZE_MAX || liar->stream_window < FRAME_SIZE_MAX) {
            going = take_frame(liar);
            continue;
        }
        memset(data, 0, 5);
        if (liar->sent == 0)
            put_u32(data + 1, liar->announced);
        going = send_frame(liar, FRAME_DATA, 0, 1, data, FRAME_SIZE_MAX);
        liar->connection_window -= FRAME_SIZE_MAX;
        liar->stream_window -= FRAME_SIZE_MAX;
        liar->sent += FRAME_SIZE_MAX;
    }
    liar->refused = !going;
    ERR_clear_error();
    SSL_free(liar->ssl);
    SSL_CTX_free(context);
    (void)close(liar->fd); /* whatever it says: the connection is over */
    loop_post(liar->env->loop, &liar->done);
}

static void liar_done(struct loop_task *task)
{
    struct liar *liar = (struct liar *)((char *)task - offsetof(struct liar, done));

    liar->is_done = true;
    loop_stop(liar->env->loop);
}

/* One peer announces a message of LENGTH bytes, and sends up to twice the server's memory of it. Meanwhile
 * HEALTHY's calls go on. */
static void announce(struct env *env, uint32_t length, struct rpc_channel *healthy)
{
    struct liar liar = {.env = env,
                        .port = rpc_server_port(env->server),
                        .announced = length,
                        .send_max = 2 * (uint64_t)MEMORY_MAX,
                        .done.run = liar_done};
    struct side client;

    side_init(&client, env);
    env->served_count = 0;
    open_call(&client, healthy, upload, 0);
    WAIT(env, env->served_count == 1);
    assert_int_equal(uv_thread_create(&liar.thread, liar_run, &liar), 0);
    WAIT(env, env->served_count == 2);
    struct side *honest = &env->served[0];
    struct side *lied_to = &env->served[1];

    read_start(lied_to);
    for (uint64_t i = 0; !liar.is_done; i++) {
        write_offer(&client, i, 32);
        read_now(honest);
        assert_int_equal(offer_of(honest)->first_seq, i);
        WAIT(env, !client.writing);
    }
    assert_int_equal(uv_thread_join(&liar.thread), 0);
    assert_true(liar.refused);
    WAIT(env, !lied_to->reading);
    assert_int_equal(lied_to->read_status, STATUS_CANCELLED);
    side_end(&client);
    side_end(honest);
    side_end(lied_to);
}

static void a_message_that_is_announced_too_large_is_refused_while_others_go_on(void **state)
{
    struct env *env = *state;

    announce(env, MESSAGE_OVER, env->channel);
}

/* gRPC 1.51 takes in what was announced until the quota is used up, and then ends calls of that quota, whose
 * ever they are. So the others here are those of a server of its own. */
static void a_message_of_4_gib_is_refused_within_the_quota(void **state)
{
    static const uint32_t lengths[] = {1U << 30, UINT32_MAX - 5, UINT32_MAX - 4, UINT32_MAX};
    struct env *env = *state;
    struct rpc_server *other = NULL;
    struct error err = {0};
    struct side client;

    ASSERT_OK(try_server(env, "127.0.0.1:0", &other, &err), &err);
    struct rpc_channel *channel = channel_to(env, rpc_server_port(other));

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        announce(env, lengths[i], channel);
    close_channel(env, channel);
    close_server(env, other);
    (void)open_upload(env, &client); /* it still serves */
    side_end(&client);
}

/* ---- A connection that breaks ------------------------------------------------------------------- */

/* Passes bytes on between a client and the server, until it is cut. */
struct relay {
    uv_thread_t thread;
    int listener;
    unsigned server_port;
    int cut[2]; /* a pipe: a byte in it cuts */
};

static bool pass_on(int from, int to)
{
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof(bytes), 0);
    ssize_t put = 0;

    while (got > 0 && put < got) {
        ssize_t part = send(to, bytes + put, (size_t)(got - put), MSG_NOSIGNAL);

        if (part <= 0)
            return false;
        put += part;
    }
    return got > 0;
}

static void relay_run(void *arg)
{
    struct relay *relay = arg;
    int near = accept(relay->listener, NULL, NULL);
    int far = connect_to(relay->server_port);
    bool going = near >= 0;

    while (going) {
        struct pollfd ends[3] = {{.fd = near, .events = POLLIN},
                                 {.fd = far, .events = POLLIN},
                                 {.fd = relay->cut[0], .events = POLLIN}};

        going = poll(ends, 3, -1) > 0 && ends[2].revents == 0 &&
                (ends[0].revents == 0 || pass_on(near, far)) &&
                (ends[1].revents == 0 || pass_on(far, near));
    }
    (void)close(near); /* whatever it says: that they close is the point */
    (void)close(far);
    (void)close(relay->listener);
}

static void a_lost_connection_ends_its_calls_on_both_sides(void **state)
{
    struct env *env = *state;
    struct relay relay = {.server_port = rpc_server_port(env->server)};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct side client;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(relay.listener, 1), 0);
    assert_int_equal(getsockname(relay.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pipe(relay.cut), 0);
    assert_int_equal(uv_thread_create(&relay.thread, relay_run, &relay), 0);
    struct rpc_channel *channel = channel_to(env, ntohs(address.sin_port));

    side_init(&client, env);
    open_call(&client, channel, upload, 0);
    WAIT(env, env->served_count == 1);
    struct side *server = &env->served[0];

    read_start(&client);
    read_start(server);
    assert_int_equal(write(relay.cut[1], "x", 1), 1);
    WAIT(env, client.ends == 1 && server->ends == 1);
    assert_int_equal(client.read_status, STATUS_UNAVAILABLE);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "the connection to the coordinator at 127.0.0.1:");
    assert_text(&client.end_err, "was lost");
    assert_int_equal(server->read_status, STATUS_CANCELLED);
    assert_int_equal(server->end_status, STATUS_CANCELLED);
    assert_int_equal(uv_thread_join(&relay.thread), 0);
    assert_int_equal(close(relay.cut[0]), 0);
    assert_int_equal(close(relay.cut[1]), 0);
    side_end(&client);
    close_channel(env, channel);
}

/* A listener that speaks no TLS. */
static void answer_in_plain_text(void *arg)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct relay *relay = arg;
    int near = accept(relay->listener, NULL, NULL);
    char byte;

    (void)write(near, answer, sizeof(answer) - 1); /* the client may be gone, as is its right */
    while (read(near, &byte, 1) > 0)
        ;
    (void)close(near);
    (void)close(relay->listener);
}

static void a_handshake_of_our_own_that_fails_is_told_by_its_call_alone(void **state)
{
    struct env *env = *state;
    struct relay relay = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct side client;

    close_server(env, env->server);
    env->server = NULL;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(relay.listener, 1), 0);
    assert_int_equal(getsockname(relay.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(uv_thread_create(&relay.thread, answer_in_plain_text, &relay), 0);
    struct rpc_channel *channel = channel_to(env, ntohs(address.sin_port));

    open_in_vain(env, channel, &client);
    assert_int_equal(client.end_status, STATUS_UNAVAILABLE);
    assert_text(&client.end_err, "it does not speak TLS");
    assert_int_equal(count_in_log(env, "TLS"), 0);
    side_end(&client);
    close_channel(env, channel);
    assert_int_equal(uv_thread_join(&relay.thread), 0);
}

/* Whether one is left is what tear_down() asks gRPC. */
static void a_channel_that_is_closed_while_it_connects_leaves_nothing_behind(void **state)
{
    enum { ROUNDS = 100 };
    struct env *env = *state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct rpc_channel *channel = channel_to(env, rpc_server_port(env->server));
        struct side client;

        side_init(&client, env);
        open_call(&client, channel, upload, 0);
        side_end(&client);
        close_channel(env, channel);
    }
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_go_both_ways_in_order),
        TEST(what_was_written_arrives_before_the_half_close),
        TEST(a_failure_arrives_with_its_text_behind_what_was_written_before),
        TEST(a_read_in_flight_fails_as_the_call_does),
        TEST(after_finish_reads_and_writes_are_cancelled),
        TEST(a_call_that_the_client_cancels_ends_on_both_sides),
        TEST(a_call_that_the_server_cancels_ends_on_both_sides),
        TEST(a_peer_that_does_not_read_stops_the_writer),
        TEST(the_server_hears_the_name_in_the_clients_certificate),
        TEST(a_call_ends_when_its_time_is_over),
        TEST(a_unary_call_brings_its_answer),
        TEST(a_unary_call_brings_the_servers_failure),
        TEST(a_unary_call_has_exactly_one_answer),
        TEST(a_unary_call_that_is_too_large_is_not_sent),
        TEST(a_unary_call_can_be_cancelled),
        TEST(a_method_that_is_not_served_is_unsupported),
        TEST(a_message_over_the_limit_is_not_sent_and_the_call_goes_on),
        TEST(a_message_over_the_receivers_limit_ends_the_call),
        TEST(one_call_too_many_is_refused_until_another_is_freed),
        TEST(a_malformed_message_is_refused_and_nothing_is_read_after_it),
        TEST(a_message_that_wants_much_more_memory_than_it_has_bytes_is_refused),
        TEST(a_client_of_another_ca_is_refused),
        TEST(a_client_does_not_believe_another_ca),
        TEST(a_client_believes_a_certificate_of_that_host_only),
        TEST(nobody_listens_is_said_with_the_address),
        cmocka_unit_test(a_status_that_grpc_may_have_one_day_is_unknown),
        TEST(a_connection_needs_tls_1_3_and_a_certificate),
        TEST(a_client_needs_a_certificate_for_clients_that_is_valid_now),
        TEST(many_strangers_make_one_line_a_second),
        TEST(garbage_is_refused_with_one_line_and_the_server_goes_on),
        TEST(what_is_no_address_is_refused),
        TEST(an_address_that_is_in_use_or_not_ours_is_unavailable),
        TEST(a_proxy_in_the_environment_is_not_asked),
        TEST(what_cannot_begin_for_want_of_memory_leaves_nothing_behind),
        TEST(a_server_that_closes_cancels_its_calls_and_waits_for_their_owners),
        TEST(a_channel_that_closes_cancels_its_calls_and_waits_for_their_owners),
        TEST(a_server_is_reached_again_after_it_was_away),
        TEST(a_message_that_is_announced_too_large_is_refused_while_others_go_on),
        TEST(a_message_of_4_gib_is_refused_within_the_quota),
        TEST(a_lost_connection_ends_its_calls_on_both_sides),
        TEST(a_handshake_of_our_own_that_fails_is_told_by_its_call_alone),
        TEST(a_channel_that_is_closed_while_it_connects_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
