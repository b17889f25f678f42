/* console/main.c: the program `tidemark`: what a person, or a script, asks of the coordinator. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stop_signal.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "console/backup.h"
#include "console/client.h"
#include "console/command.h"
#include "console/export.h"
#include "console/format_text.h"
#include "console/list.h"
#include "console/options.h"
#include "console/repository.h"
#include "console/repository_check.h"
#include "console/verify.h"

/* Published: scripts depend on them. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_WRONG_USE = 2,
    EXIT_DAMAGED = 3,
    EXIT_UNREACHABLE = 4,
};

struct program {
    struct loop_task on_stop; /* first: that task is a program */
    const struct clock_source *clock;
    struct loop *loop;
    struct stop_signal *signal;
    struct log_sink *sink;
    struct log log;
    struct rpc *rpc;
    struct credentials credentials;
    struct client *client;
};

static void stop(struct loop_task *task)
{
    struct program *program = (struct program *)task; /* its first member */

    if (program->client != NULL)
        client_stop(program->client);
}

/* The one place where a failure ends. */
static void complain(const struct error *err)
{
    char text[ERROR_TEXT_SIZE];

    format_text_visible(err->text, text, sizeof(text)); /* part of it may be the coordinator's */
    (void)fprintf(stderr, "tidemark: %s\n", text);      /* nowhere else to say it */
}

static enum status start(struct program *program, const struct options *options, struct error *err)
{
    enum status st = loop_new(program->clock, &program->loop, err);

    if (st == STATUS_OK)
        st = stop_signal_new(program->loop, &program->on_stop, &program->signal, err);
    if (st == STATUS_OK)
        st = credentials_load(options->tls, &program->credentials, err);
    if (st == STATUS_OK)
        st =
            log_sink_new(STDERR_FILENO, LOG_TEXT, LOG_WARNING, program->clock, &program->sink, err);
    if (st != STATUS_OK)
        return st;
    program->log = log_of(program->sink);
    st = rpc_new(program->loop, 1, &program->log, &program->rpc, err);
    if (st == STATUS_OK)
        st = client_new(program->loop, program->rpc, options->coordinator, &program->credentials,
                        &program->client, err);
    return st;
}

/* Also half-started. */
static void end(struct program *program)
{
    struct client *client = program->client;
    struct error err = {0};

    program->client = NULL; /* from here a signal finds nothing to stop */
    client_free(client);
    rpc_free(program->rpc);
    stop_signal_free(program->signal);
    if (program->loop != NULL) { /* what was posted until now */
        loop_stop(program->loop);
        INVARIANT(loop_run(program->loop, &err) == STATUS_OK);
    }
    loop_free(program->loop);
    log_sink_free(program->sink);
    credentials_deinit(&program->credentials);
}

/* The exit code, where nothing failed. */
static enum status run_command(const struct command *command, int *ret_code, struct error *err)
{
    uint64_t findings = 0;
    enum status st = STATUS_OK;

    switch (command->options->command) {
    case OPTIONS_NO_COMMAND:
        break;
    case OPTIONS_BACKUP:
        st = backup_run(command, err);
        break;
    case OPTIONS_LIST:
        st = list_run(command, err);
        break;
    case OPTIONS_EXPORT:
        st = export_run(command, err);
        break;
    case OPTIONS_VERIFY:
        st = verify_run(command, &findings, err);
        break;
    case OPTIONS_REPOSITORY_STATUS:
        st = repository_status_run(command, err);
        break;
    case OPTIONS_REPOSITORY_REBUILD:
        st = repository_rebuild_run(command, err);
        break;
    case OPTIONS_REPOSITORY_CHECK:
        st = repository_check_run(command, &findings, err);
        break;
    }
    if (st == STATUS_OK)
        *ret_code = findings == 0 ? EXIT_DONE : EXIT_DAMAGED;
    return st;
}

static int run(const struct options *options)
{
    struct program program = {.on_stop = {.run = stop}, .clock = clock_system()};
    struct error err = {0};
    int code = EXIT_DONE;
    enum status st = start(&program, options, &err);

    if (st == STATUS_OK) {
        const struct command command = {.loop = program.loop,
                                        .client = program.client,
                                        .clock = program.clock,
                                        .options = options,
                                        .out = stdout,
                                        .progress = stderr,
                                        .terminal = isatty(STDERR_FILENO) == 1};

        st = run_command(&command, &code, &err);
    }
    if (st != STATUS_OK) {
        complain(&err);
        code = program.client != NULL && client_unreachable(program.client) ? EXIT_UNREACHABLE
                                                                            : EXIT_FAILED;
    }
    end(&program);
    return code;
}

/* --help and --version. */
static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): there are no other threads yet */
    const struct options_defaults defaults = {.coordinator = getenv("TIDEMARK_COORDINATOR"),
                                              .tls = getenv("TIDEMARK_TLS")};
    /* NOLINTEND(concurrency-mt-unsafe) */
    struct options options = {0};
    struct error err = {0};

    if (faults_install_from_environment(&err) != STATUS_OK ||
        options_parse(argc, argv, &defaults, &options, &err) != STATUS_OK) {
        complain(&err);
        return EXIT_WRONG_USE;
    }
    switch (options.action) {
    case OPTIONS_RUN:
        return run(&options);
    case OPTIONS_HELP:
        return print(options_help(options.command));
    case OPTIONS_VERSION:
        break;
    }
    return print("tidemark " TIDEMARK_VERSION "\n");
}
