/* tidemark-coordinator: options in, wiring, a loop, an exit code: 0 done or stopped on request, 1 failed, 2 wrong use. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/program.h"
#include "base/secret.h"
#include "base/stop_signal.h"
#include "base/text.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "coordinator/key_commands.h"
#include "coordinator/key_file.h"
#include "coordinator/options.h"
#include "coordinator/service/service.h"
#include "coordinator/store/index_files.h"
#include "coordinator/store/store.h"
#include "coordinator/store/store_folder.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USE = 2, RPC_THREADS_MAX = 4 };

struct coordinator {
    struct options options;
    struct log_sink *sink;
    struct log log;
    struct loop *loop;
    struct stop_signal *signal;
    struct loop_task on_stop, on_closed;
    struct credentials agents, consoles;
    struct repository_key key;
    struct fs *fs;
    struct index *index;
    struct store *store;
    struct rpc *rpc;
    struct service *service;
    bool closing;
};

static void on_closed(struct loop_task *task)
{
    struct coordinator *self =
        (struct coordinator *)((char *)task - offsetof(struct coordinator, on_closed));

    loop_stop(self->loop);
}

static void close_service(struct coordinator *self)
{
    if (self->closing)
        return;
    self->closing = true;
    service_close(self->service, &self->on_closed);
}

static void on_stop(struct loop_task *task)
{
    struct coordinator *self =
        (struct coordinator *)((char *)task - offsetof(struct coordinator, on_stop));

    log_info(&self->log, "stopping");
    if (self->service != NULL)
        close_service(self);
    else
        loop_stop(self->loop);
}

/* ---- init ------------------------------------------------------------------------------------ */

static enum status make_repository(void *arg, const struct random_id *id,
                                   const struct repository_key *key, struct error *err)
{
    const struct options *options = arg;
    struct store_options store = {.random = random_system(),
                                  .clock = clock_system(),
                                  .repository = id};
    enum status st = fs_posix_new(options->data, &store.fs, err);

    if (st == STATUS_OK)
        st = store_create(&store, key, err);
    fs_free(store.fs);
    if (st != STATUS_OK)
        return error_wrap(err, "data folder %s", options->data);
    return STATUS_OK;
}

/* Could a repository be made in the folder? Before anybody is asked for a passphrase. */
static enum status check_free(const struct options *options, struct error *err)
{
    struct fs *fs = NULL;
    enum status st = fs_posix_new(options->data, &fs, err);

    if (st == STATUS_OK)
        st = store_folder_check_free(fs, err);
    fs_free(fs);
    if (st != STATUS_OK)
        return error_wrap(err, "data folder %s", options->data);
    return STATUS_OK;
}

static enum status init(struct options *options, struct error *err)
{
    bool made = false;
    enum status st = data_folder_make(options->data, &made, err);

    if (st == STATUS_OK)
        st = check_free(options, err);
    if (st == STATUS_OK)
        st = key_commands_init(options, make_repository, options, err);
    if (st != STATUS_OK && made)
        data_folder_remove(options->data);
    return st;
}

/* ---- run ------------------------------------------------------------------------------------- */

static enum status load_credentials(struct coordinator *self, struct error *err)
{
    char agents[FS_PATH_SIZE];
    char consoles[FS_PATH_SIZE];
    enum status st = STATUS_OK;

    if (!text_format(agents, sizeof(agents), "%s/agents", self->options.tls) ||
        !text_format(consoles, sizeof(consoles), "%s/consoles", self->options.tls))
        return error_set(err, STATUS_INVALID, "the path after --tls is too long");
    st = credentials_load(agents, &self->agents, err);
    if (st == STATUS_OK)
        st = credentials_load(consoles, &self->consoles, err);
    return st;
}

static enum status open_store(struct coordinator *self, struct error *err)
{
    struct store_options options = {.random = random_system(),
                                    .clock = clock_system(),
                                    .log = &self->log};
    char data[PATH_MAX];
    enum status st = STATUS_OK;

    if (realpath(self->options.data, data) == NULL)
        return error_set_errno(err, errno, "the folder %s", self->options.data);
    st = fs_posix_new(data, &self->fs, err);
    if (st == STATUS_OK)
        st = index_files_new(self->fs, &(struct index_files_options){0}, &self->log, &self->index,
                             err);
    options.fs = self->fs;
    options.index = self->index;
    if (st == STATUS_OK) {
        st = store_open(&options, &self->key, &self->store, err);
        if (st != STATUS_OK)
            st = error_wrap(err, "data folder %s", self->options.data);
    }
    OPENSSL_cleanse(&self->key, sizeof(self->key));
    return st;
}

static enum status serve(struct coordinator *self, struct error *err)
{
    struct service_options options = {
        .loop = self->loop,
        .rpc = self->rpc,
        .store = self->store,
        .random = random_system(),
        .clock = clock_system(),
        .log = &self->log,
        .agents = &self->agents,
        .consoles = &self->consoles,
        .agents_address = self->options.agents,
        .consoles_address = self->options.consoles,
        .workers = program_workers(self->options.workers),
    };
    enum status st = service_new(&options, &self->service, err);

    if (st == STATUS_OK)
        st = service_listen(self->service, err);
    if (st == STATUS_OK)
        log_info(&self->log, "ready: agents on port %u, consoles on port %u",
                 service_agents_port(self->service), service_consoles_port(self->service));
    return st;
}

static enum status run(struct coordinator *self, struct error *err)
{
    /* First: a passphrase is asked for before there is a thread, and before the signals are heard. */
    enum status st = key_commands_open(&self->options, &self->key, err);

    if (st == STATUS_OK)
        st = log_sink_new(STDERR_FILENO, self->options.format, self->options.level, clock_system(),
                          &self->sink, err);
    if (st == STATUS_OK) {
        self->log = log_of(self->sink);
        st = loop_new(clock_system(), &self->loop, err);
    }
    if (st == STATUS_OK)
        st = stop_signal_new(self->loop, &self->on_stop, &self->signal, err);
    if (st == STATUS_OK)
        st = load_credentials(self, err);
    if (st == STATUS_OK)
        st = open_store(self, err);
    if (st == STATUS_OK)
        st = rpc_new(self->loop, program_processors(RPC_THREADS_MAX), &self->log, &self->rpc, err);
    if (st == STATUS_OK)
        st = serve(self, err);
    if (st == STATUS_OK)
        st = loop_run(self->loop, err);
    return st;
}

/* What run() has made, in the opposite order; the service is closed first if it is not. */
static void tear_down(struct coordinator *self)
{
    struct error drained = {0};

    stop_signal_free(self->signal);
    if (self->service != NULL && !self->closing) {
        close_service(self);
        DISCARD(loop_run(self->loop, &drained)); /* the first failure is the one to tell */
    }
    if (self->loop != NULL) {
        /* What is still posted runs before its memory goes: a signal that came late. */
        loop_stop(self->loop);
        DISCARD(loop_run(self->loop, &drained)); /* nothing can be done about it any more */
    }
    service_free(self->service);
    rpc_free(self->rpc);
    store_close(self->store);
    if (self->index != NULL)
        self->index->ops->free(self->index);
    fs_free(self->fs);
    OPENSSL_cleanse(&self->key, sizeof(self->key));
    credentials_deinit(&self->agents);
    credentials_deinit(&self->consoles);
    loop_free(self->loop);
    log_sink_free(self->sink);
}

static int fail(int code, const struct error *err)
{
    (void)fprintf(stderr, "tidemark-coordinator: %s\n", err->text);
    return code;
}

int main(int argc, char **argv)
{
    struct coordinator self = {.on_stop = {.run = on_stop}, .on_closed = {.run = on_closed}};
    struct error err = {0};
    enum status st = STATUS_OK;

    if (faults_install_from_environment(&err) != STATUS_OK)
        return fail(EXIT_USE, &err);
    if (secret_shield_process(&err) != STATUS_OK)
        return fail(EXIT_FAILED, &err);
    if (options_parse(argc, argv, &self.options, &err) != STATUS_OK)
        return fail(EXIT_USE, &err);
    switch (self.options.command) {
    case OPTIONS_HELP:
        (void)printf("%s", options_help);
        break;
    case OPTIONS_VERSION:
        (void)printf("tidemark-coordinator %s\n", TIDEMARK_VERSION);
        break;
    case OPTIONS_INIT:
        st = init(&self.options, &err);
        break;
    case OPTIONS_RUN:
        st = run(&self, &err);
        tear_down(&self);
        break;
    case OPTIONS_KEY_CONFIRM:
        st = key_commands_confirm(&self.options, &err);
        break;
    case OPTIONS_KEY_EXPORT:
        st = key_commands_export(&self.options, &err);
        break;
    case OPTIONS_KEY_CHANGE_PASSPHRASE:
        st = key_commands_change_passphrase(&self.options, &err);
        break;
    }
    return st == STATUS_OK ? EXIT_DONE : fail(EXIT_FAILED, &err);
}
