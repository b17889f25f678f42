#include "console/export.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fs_posix.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "console/export_file.h"
#include "console/point.h"

enum { WORKERS_MAX = 4, CA_SIZE_MAX = 1024 * 1024 };

static const char ca_name[] = "agents-ca.pem";

struct export
{
    struct client_reader reader; /* first: that reader is an export */
    const struct command *command;
    struct progress progress;
    struct pool *pool;
    struct fs *fs; /* of the folder that the file goes to */
    char *dir;
    const char *name; /* of the file in it */
    char *ca_pem;
    struct export_file *file;
    bool ended; /* the file */
    enum status status;
    struct error err;
};

/* ---- What is needed before anything is asked ---------------------------------------------------- */

/* Cuts FILE into the folder and the name in it. */
static enum status split_file(struct export *export, const char *file, struct error *err)
{
    const char *slash = strrchr(file, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - file);

    export->name = slash == NULL ? file : slash + 1;
    if (export->name[0] == '\0')
        return error_set(err, STATUS_INVALID,
                         "%s is a folder; name the file that shall be made in it", file);
    export->dir = memory_new(length + 2, 1);
    if (export->dir == NULL)
        return error_set_no_memory(err, length + 2, "a folder's name");
    if (slash == NULL)
        export->dir[0] = '.';
    else if (length == 0)
        export->dir[0] = '/';
    else
        memcpy(export->dir, file, length);
    return STATUS_OK;
}

static enum status read_text(struct fs *fs, const char *name, char **ret_text, struct error *err)
{
    struct fs_file *file = NULL;
    char *text = NULL;
    uint64_t size = 0;
    enum status st = fs_open(fs, name, FS_READ, &file, err);

    if (st != STATUS_OK)
        goto out;
    st = fs_size(file, &size, err);
    if (st != STATUS_OK)
        goto out;
    if (size == 0 || size > CA_SIZE_MAX) {
        st = error_set(err, STATUS_INVALID, "%s has %" PRIu64 " bytes, which no such file has",
                       name, size);
        goto out;
    }
    text = memory_new((size_t)size + 1, 1);
    if (text == NULL) {
        st = error_set_no_memory(err, (size_t)size + 1, name);
        goto out;
    }
    st = fs_read_exactly_at(file, 0, text, (size_t)size, err);
    if (st != STATUS_OK)
        goto out;
    *ret_text = text;
    text = NULL;
out:
    memory_free(text);
    fs_close(file);
    return st;
}

static enum status read_ca(struct export *export, struct error *err)
{
    const char *tls = export->command->options->tls;
    struct fs *fs = NULL;
    enum status st = fs_posix_new(tls, &fs, err);

    if (st == STATUS_OK)
        st = read_text(fs, ca_name, &export->ca_pem, err);
    fs_free(fs);
    if (st == STATUS_OK)
        return st;
    return error_wrap(err, "the agents' CA is needed to check the host's signature: %s/%s", tls,
                      ca_name);
}

static unsigned worker_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < 1)
        return 1; /* not known */
    return processors < WORKERS_MAX ? (unsigned)processors : WORKERS_MAX;
}

static enum status prepare(struct export *export, struct error *err)
{
    enum status st = split_file(export, export->command->options->file, err);

    if (st == STATUS_OK)
        st = read_ca(export, err);
    if (st == STATUS_OK)
        st = fs_posix_new(export->dir, &export->fs, err);
    if (st == STATUS_OK)
        st = pool_new(export->command->loop, worker_count(), &export->pool, err);
    return st;
}

/* ---- The stream into the file ------------------------------------------------------------------- */

static void message_came(struct client_reader *reader, ProtobufCMessage *message)
{
    struct export *export = (struct export *)reader; /* its first member */

    if (export->ended)
        rpc_message_free(message); /* it failed meanwhile, and the call is given up */
    else
        export_file_put(export->file, (Tidemark__V1__ExportPart *)message);
}

static void wants_part(void *owner)
{
    struct export *export = owner;
    uint64_t done = 0;
    uint64_t total = 0;

    export_file_progress(export->file, &done, &total);
    progress_show(&export->progress, "exported", done, total);
    client_next(export->command->client);
}

static void file_ended(void *owner, enum status status, const struct error *err)
{
    struct export *export = owner;

    export->ended = true;
    export->status = status;
    if (status != STATUS_OK) {
        export->err = *err;
        client_end(export->command->client, err);
    }
    loop_stop(export->command->loop);
}

/* Feeds the file from the call, and waits for both. The file's end is what counts: what it takes is proved
 * here, whatever the coordinator says in the end. */
static enum status stream(struct export *export, struct error *err)
{
    Tidemark__V1__ExportRequest request = TIDEMARK__V1__EXPORT_REQUEST__INIT;
    struct error called = {0};
    struct error looped = {0};

    request.point = (char *)export->command->options->point; /* packed only */

    enum status st =
        client_stream(export->command->client, "Export", &request.base, &export->reader, &called);

    if (st == STATUS_OK)
        (void)error_set(&called, STATUS_CORRUPT, /* for the file, if it lacks something */
                        "the coordinator ended the call before the whole disk was there");
    if (!export->ended)
        export_file_stop(export->file, &called);
    while (!export->ended) /* a loop that cannot run is a broken machine */
        INVARIANT(loop_run(export->command->loop, &looped) == STATUS_OK);
    if (export->status != STATUS_OK)
        *err = export->err;
    return export->status;
}

static enum status print_done(const struct export *export, struct error *err)
{
    const struct export_disk *disk = export_file_disk(export->file);
    char point[ID_TEXT_SIZE];
    char time[FORMAT_TEXT_SIZE];
    char size[FORMAT_TEXT_SIZE];
    char host[POINT_NAME_SIZE];
    char name[POINT_NAME_SIZE];

    id_text(&disk->point, point);
    format_text_time(disk->time_us, time);
    format_text_bytes(disk->root.size, size);
    format_text_visible(disk->host, host, sizeof(host));
    format_text_visible(disk->name, name, sizeof(name));
    (void)
        fprintf(export->command->out, /* command_flush() tells whether it got out */
                "%s: disk %s of host %s at %s, %s, point %.*s, signature and every block proved\n",
                export->command->options->file, name, host, time, size, POINT_SHORT_DIGITS, point);
    return command_flush(export->command, err);
}

enum status export_run(const struct command *command, struct error *err)
{
    static const struct export_file_events events = {.wants_part = wants_part, .ended = file_ended};
    struct export export = {.reader = {.message = message_came},
                            .command = command,
                            .progress = command_progress(command)};
    enum status st = prepare(&export, err);

    if (st != STATUS_OK)
        goto out;

    const struct export_file_options options = {.loop = command->loop,
                                                .pool = export.pool,
                                                .fs = export.fs,
                                                .name = export.name,
                                                .replace = command->options->force,
                                                .point = command->options->point,
                                                .agents_ca_pem = export.ca_pem,
                                                .events = &events,
                                                .owner = &export};

    st = export_file_new(&options, &export.file, err);
    if (st == STATUS_OK)
        st = stream(&export, err);
    progress_clear(&export.progress);
    if (st == STATUS_OK)
        st = print_done(&export, err);
out:
    export_file_free(export.file);
    pool_free(export.pool);
    fs_free(export.fs);
    memory_free(export.dir);
    memory_free(export.ca_pem);
    if (st == STATUS_OK)
        return st;
    return error_wrap(err, "export %s to %s", command->options->point, command->options->file);
}
