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
#include "base/stop_signal.h"
#include "base/text.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "coordinator/key_file.h"
#include "coordinator/options.h"
#include "coordinator/service/service.h"
#include "coordinator/store/index_lmdb.h"
#include "coordinator/store/store.h"

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

static unsigned processors(unsigned max)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    if (count < 1)
        return 1;
    return count > (long)max ? max : (unsigned)count;
}

/* ---- init ------------------------------------------------------------------------------------ */

static enum status make_repository(const struct options *options, struct fs *fs, struct error *err)
{
    struct store_options store = {.fs = fs, .random = random_system(), .clock = clock_system()};
    struct error removed = {0};
    struct repository_key key;
    enum status st = random_bytes(random_system(), key.bytes, sizeof(key.bytes), err);

    if (st == STATUS_OK)
        st = key_file_write(options->key_file, &key, err);
    if (st == STATUS_OK) {
        st = store_create(&store, &key, err);
        if (st != STATUS_OK) {
            st = error_wrap(err, "data folder %s", options->data);
            /* The key opens nothing; if it stays, the next init says so. */
            DISCARD(key_file_remove(options->key_file, &removed));
        }
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return st;
}

static enum status init(const struct options *options, struct error *err)
{
    struct fs *fs = NULL;
    enum status st = data_folder_make(options->data, &fs, err);

    if (st == STATUS_OK)
        st = key_file_check_outside(options->key_file, options->data, err);
    if (st == STATUS_OK)
        st = make_repository(options, fs, err);
    fs_free(fs);
    if (st == STATUS_OK)
        (void)printf("made a repository in %s; its key is in %s: keep a copy of that elsewhere\n",
                     options->data, options->key_file);
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
    enum status st = key_file_read(self->options.key_file, &self->key, err);

    if (st != STATUS_OK)
        return st;
    if (realpath(self->options.data, data) == NULL)
        return error_set_errno(err, errno, "the folder %s", self->options.data);
    st = fs_posix_new(data, &self->fs, err);
    if (st == STATUS_OK)
        st = index_lmdb_new(self->fs, data, &self->log, &self->index, err);
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
        .workers = self->options.workers != 0 ? (unsigned)self->options.workers
                                              : processors(OPTIONS_WORKERS_MAX),
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
    enum status st = log_sink_new(STDERR_FILENO, self->options.format, self->options.level,
                                  clock_system(), &self->sink, err);

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
        st = rpc_new(self->loop, processors(RPC_THREADS_MAX), &self->log, &self->rpc, err);
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
    }
    return st == STATUS_OK ? EXIT_DONE : fail(EXIT_FAILED, &err);
}
