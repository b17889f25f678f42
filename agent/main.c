/* tidemark-agent: options in, wiring, a loop, an exit code: 0 stopped on request, 1 failed, 2 wrong use. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/program.h"
#include "base/secret.h"
#include "base/stop_signal.h"
#include "base/text.h"
#include "agent/options.h"
#include "agent/session.h"

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USE = 2, BLOCKING_THREADS = 16, RPC_THREADS = 2 };

static const char program[] = "tidemark-agent " TIDEMARK_VERSION;

struct agent {
    struct options options;
    struct log_sink *sink;
    struct log log;
    struct loop *loop;
    struct stop_signal *signal;
    struct loop_task on_stop;
    struct credentials credentials;
    struct sign_key *key;
    struct buffer certificate;
    struct plain_disk *disks;
    struct pool *workers;
    struct pool *blocking;
    struct window window;
    struct rpc *rpc;
    struct backup_tools tools;
    struct session *session;
    struct loop_task session_closed;
};

static void on_session_closed(struct loop_task *task)
{
    struct agent *agent = (struct agent *)((char *)task - offsetof(struct agent, session_closed));

    loop_stop(agent->loop);
}

static void on_stop(struct loop_task *task)
{
    struct agent *agent = (struct agent *)((char *)task - offsetof(struct agent, on_stop));

    log_info(&agent->log, "stopping");
    if (agent->session != NULL) {
        session_close(agent->session, &agent->session_closed);
        agent->session = NULL;
    }
}

/* FILE's folder as a file system, and its name there. */
static enum status open_disk(const struct options_disk *option, struct plain_disk *ret_disk,
                             struct error *err)
{
    const char *slash = strrchr(option->file, '/');
    const char *name = slash == NULL ? option->file : slash + 1;
    char folder[FS_PATH_SIZE] = ".";
    struct fs *fs = NULL;

    if (slash != NULL &&
        !text_format(folder, sizeof(folder), "%.*s", (int)(slash - option->file + 1), option->file))
        return error_set(err, STATUS_INVALID, "disk %s: the path is too long", option->name);

    enum status st = fs_posix_new(folder, &fs, err);

    if (st != STATUS_OK)
        return error_wrap(err, "disk %s", option->name);
    *ret_disk = (struct plain_disk){.name = option->name, .fs = fs, .file = name};
    return STATUS_OK;
}

static enum status open_disks(struct agent *agent, struct error *err)
{
    size_t count = agent->options.disk_count;
    enum status st = STATUS_OK;

    agent->disks = memory_new(count, sizeof(*agent->disks));
    if (agent->disks == NULL)
        return error_set_no_memory(err, count * sizeof(*agent->disks), "the list of disks");
    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = open_disk(&agent->options.disks[i], &agent->disks[i], err);
    return st;
}

static enum status load_identity(struct agent *agent, struct error *err)
{
    enum status st = credentials_load(agent->options.tls, &agent->credentials, err);

    if (st == STATUS_OK)
        st = sign_key_from_pem(agent->credentials.key_pem, &agent->key, err);
    if (st == STATUS_OK)
        st = sign_certificate_der(agent->credentials.certificate_pem, &agent->certificate, err);
    return st;
}

/* All that has threads; the signals are blocked by now. */
static enum status start_threads(struct agent *agent, struct error *err)
{
    enum status st =
        pool_new(agent->loop, program_workers(agent->options.workers), &agent->workers, err);

    if (st == STATUS_OK)
        st = pool_new(agent->loop, BLOCKING_THREADS, &agent->blocking, err);
    if (st == STATUS_OK)
        st = rpc_new(agent->loop, RPC_THREADS, &agent->log, &agent->rpc, err);
    return st;
}

static enum status start_session(struct agent *agent, struct error *err)
{
    struct session_options session = {.rpc = agent->rpc,
                                      .address = agent->options.coordinator,
                                      .credentials = &agent->credentials,
                                      .program = program,
                                      .disks = agent->disks,
                                      .disk_count = agent->options.disk_count,
                                      .tools = &agent->tools};

    window_init(&agent->window, agent->loop, agent->options.memory_mib * 1024 * 1024);
    agent->tools = (struct backup_tools){.loop = agent->loop,
                                         .workers = agent->workers,
                                         .blocking = agent->blocking,
                                         .window = &agent->window,
                                         .random = random_system(),
                                         .log = &agent->log,
                                         .ca_pem = agent->credentials.ca_pem,
                                         .host = agent->credentials.name,
                                         .key = agent->key,
                                         .certificate = buffer_slice(&agent->certificate)};
    return session_new(&session, &agent->session, err);
}

static enum status run(struct agent *agent, struct error *err)
{
    enum status st = log_sink_new(STDERR_FILENO, agent->options.format, agent->options.level,
                                  clock_system(), &agent->sink, err);

    if (st == STATUS_OK) {
        agent->log = log_of(agent->sink);
        st = loop_new(clock_system(), &agent->loop, err);
    }
    if (st == STATUS_OK)
        st = stop_signal_new(agent->loop, &agent->on_stop, &agent->signal, err);
    if (st == STATUS_OK)
        st = load_identity(agent, err);
    if (st == STATUS_OK)
        st = open_disks(agent, err);
    if (st == STATUS_OK)
        st = start_threads(agent, err);
    if (st == STATUS_OK)
        st = start_session(agent, err);
    if (st == STATUS_OK)
        st = loop_run(agent->loop, err);
    return st;
}

/* What run() has made, in the opposite order. */
static void tear_down(struct agent *agent)
{
    struct error drained = {0};

    stop_signal_free(agent->signal);
    if (agent->loop != NULL) {
        /* What is still posted runs before its memory goes: a signal that came late. */
        loop_stop(agent->loop);
        DISCARD(loop_run(agent->loop, &drained)); /* nothing can be done about it any more */
    }
    rpc_free(agent->rpc);
    pool_free(agent->blocking);
    pool_free(agent->workers);
    for (size_t i = 0; agent->disks != NULL && i < agent->options.disk_count; i++)
        fs_free(agent->disks[i].fs);
    memory_free(agent->disks);
    buffer_deinit(&agent->certificate);
    sign_key_free(agent->key);
    credentials_deinit(&agent->credentials);
    loop_free(agent->loop);
    log_sink_free(agent->sink);
    options_deinit(&agent->options);
}

static int fail(int code, const struct error *err)
{
    (void)fprintf(stderr, "tidemark-agent: %s\n", err->text);
    return code;
}

int main(int argc, char **argv)
{
    struct agent agent = {.on_stop = {.run = on_stop},
                          .session_closed = {.run = on_session_closed}};
    struct error err = {0};

    if (faults_install_from_environment(&err) != STATUS_OK)
        return fail(EXIT_USE, &err);
    if (secret_shield_process(&err) != STATUS_OK)
        return fail(EXIT_FAILED, &err);
    if (options_parse(argc, argv, &agent.options, &err) != STATUS_OK)
        return fail(EXIT_USE, &err);
    if (agent.options.command == OPTIONS_HELP) {
        (void)printf("%s", options_help);
        return EXIT_STOPPED;
    }
    if (agent.options.command == OPTIONS_VERSION) {
        (void)printf("%s\n", program);
        return EXIT_STOPPED;
    }
    buffer_init(&agent.certificate, SIGN_CERTIFICATE_MAX);

    enum status st = run(&agent, &err);

    tear_down(&agent);
    return st == STATUS_OK ? EXIT_STOPPED : fail(EXIT_FAILED, &err);
}
