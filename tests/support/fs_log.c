#include "tests/support/fs_log.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"
#include "tests/support/double_heap.h"

static void op_deinit(struct fs_op *op)
{
    double_free(op->path);
    double_free(op->path_to);
    double_free(op->data);
    *op = (struct fs_op){0};
}

void fs_log_deinit(struct fs_log *log)
{
    for (size_t i = 0; i < log->room; i++) /* with the one that is only prepared */
        op_deinit(&log->ops[i]);
    double_free(log->ops);
    *log = (struct fs_log){0};
}

/* Folders are not renamed (fs_rename() is for files), so that the last operation on exactly this path
 * says what it stands for; unless its folder was removed since, and then there is nothing to find. */
bool fs_log_node(const struct fs_log *log, const char *path, uint64_t *ret_node)
{
    if (path[0] == '\0') {
        *ret_node = 0;
        return true;
    }
    for (size_t i = log->count; i > 0; i--) {
        const struct fs_op *op = &log->ops[i - 1];
        bool makes = op->kind == FS_OP_CREATE || op->kind == FS_OP_MAKE_DIR;
        bool takes = op->kind == FS_OP_REMOVE || op->kind == FS_OP_RENAME;

        if ((makes && strcmp(op->path, path) == 0) ||
            (op->kind == FS_OP_RENAME && strcmp(op->path_to, path) == 0)) {
            *ret_node = op->node;
            return true;
        }
        if (takes && strcmp(op->path, path) == 0)
            return false;
    }
    return false;
}

/* The folder that PATH is in; the root where there is none: the operation will fail. */
static uint64_t dir_of(const struct fs_log *log, const char *path)
{
    char dir[FS_PATH_SIZE];
    uint64_t node = 0;

    fs_parent(path, dir);
    return fs_log_node(log, dir, &node) ? node : 0;
}

static void make_room(struct fs_log *log)
{
    size_t room = log->room == 0 ? 64 : log->room * 2;

    if (log->count < log->room)
        return;
    log->ops = double_resize(log->ops, room, sizeof(*log->ops));
    memset(log->ops + log->room, 0, (room - log->room) * sizeof(*log->ops));
    log->room = room;
}

struct fs_op *fs_log_prepare(struct fs_log *log, enum fs_op_kind kind, const char *path,
                             const char *path_to, struct slice data)
{
    make_room(log);
    struct fs_op *op = &log->ops[log->count];

    op_deinit(op);
    op->kind = kind;
    op->covers = log->count;
    op->path = double_copy_text(path);
    op->path_to = path_to == NULL ? NULL : double_copy_text(path_to);
    op->data = data.size == 0 ? NULL : double_new(data.size, 1);
    if (data.size > 0)
        memcpy(op->data, data.data, data.size);
    op->size = data.size;
    op->dir = dir_of(log, path);
    op->dir_to = path_to == NULL ? 0 : dir_of(log, path_to);
    if (kind == FS_OP_CREATE || kind == FS_OP_MAKE_DIR)
        op->node = log->node_count + 1;
    else if (!fs_log_node(log, path, &op->node))
        op->node = 0; /* the operation will fail */
    return op;
}

void fs_log_commit(struct fs_log *log)
{
    const struct fs_op *op = &log->ops[log->count];

    INVARIANT(log->count < log->room);
    if (op->kind == FS_OP_CREATE || op->kind == FS_OP_MAKE_DIR)
        log->node_count++;
    log->count++;
}

/* The content of FILE as operations: stretch by stretch, then its size. */
static enum status import_content(struct fs_log *log, struct fs_file *file, const char *path,
                                  struct error *err)
{
    enum { PART_MAX = 1 << 14 };

    uint8_t part[PART_MAX];
    uint64_t position = 0;
    uint64_t end = 0;
    uint64_t file_size = 0;
    enum status st = fs_size(file, &file_size, err);

    while (st == STATUS_OK) {
        struct error at_end = {0};
        size_t size = 0;

        st = fs_next_data(file, position, &position, &end, &at_end);
        if (st == STATUS_NOT_FOUND) {
            st = STATUS_OK;
            break;
        }
        if (st != STATUS_OK)
            *err = at_end;
        if (st == STATUS_OK)
            st = fs_read_at(file, position, part,
                            end - position < PART_MAX ? (size_t)(end - position) : PART_MAX, &size,
                            err);
        if (st == STATUS_OK) {
            fs_log_prepare(log, FS_OP_WRITE, path, NULL, slice_of(part, size))->offset = position;
            fs_log_commit(log);
            position += size;
        }
    }
    if (st != STATUS_OK)
        return st;
    fs_log_prepare(log, FS_OP_RESIZE, path, NULL, slice_of(NULL, 0))->size = file_size;
    fs_log_commit(log);
    return STATUS_OK;
}

static void commit_plain(struct fs_log *log, enum fs_op_kind kind, const char *path)
{
    (void)fs_log_prepare(log, kind, path, NULL, slice_of(NULL, 0)); /* complete as it is */
    fs_log_commit(log);
}

/* The file or folder at PATH; a folder's path goes to DIRS, to be imported in its turn. */
static enum status import_one(struct fs_log *log, struct fs *fs, const char *path,
                              struct fs_names *dirs, struct error *err)
{
    struct fs_file *file = NULL;
    struct error opening = {0};
    enum status st = fs_open(fs, path, FS_READ, &file, &opening);

    if (st == STATUS_PRECONDITION) {
        commit_plain(log, FS_OP_MAKE_DIR, path);
        return fs_names_add(dirs, path, err);
    }
    if (st != STATUS_OK) {
        *err = opening;
        return st;
    }
    commit_plain(log, FS_OP_CREATE, path);
    st = import_content(log, file, path, err);
    if (st == STATUS_OK)
        commit_plain(log, FS_OP_SYNC, path);
    fs_close(file);
    return st;
}

static enum status import_dir(struct fs_log *log, struct fs *fs, const char *dir,
                              struct fs_names *dirs, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(fs, dir, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        char path[FS_PATH_SIZE];

        if (text_format(path, sizeof(path), "%s%s%s", dir, dir[0] == '\0' ? "" : "/",
                        names.names[i]))
            st = import_one(log, fs, path, dirs, err);
        else
            st = error_set(err, STATUS_INVALID, "a path too long in %s", dir);
    }
    if (st == STATUS_OK)
        commit_plain(log, FS_OP_SYNC_DIR, dir);
    fs_names_deinit(&names);
    return st;
}

enum status fs_log_import(struct fs_log *log, struct fs *fs, struct error *err)
{
    struct fs_names dirs = {0};
    enum status st = fs_names_add(&dirs, "", err);

    for (size_t i = 0; st == STATUS_OK && i < dirs.count; i++)
        st = import_dir(log, fs, dirs.names[i], &dirs, err);
    fs_names_deinit(&dirs);
    return st;
}

/* The file that OP is about is open in FILES, by its node. */
static enum status replay_op(const struct fs_op *op, struct fs *fs, struct fs_file **files,
                             struct error *err)
{
    struct fs_file *file = files[op->node];

    switch (op->kind) {
    case FS_OP_CREATE:
        return fs_open(fs, op->path, FS_CREATE, &files[op->node], err);
    case FS_OP_WRITE:
        return fs_write_at(file, op->offset, slice_of(op->data, (size_t)op->size), err);
    case FS_OP_RESIZE:
        return fs_resize(file, op->size, err);
    case FS_OP_SYNC:
        return op->failed ? STATUS_OK : fs_sync(file, err);
    case FS_OP_MAKE_DIR:
        return fs_make_dir(fs, op->path, err);
    case FS_OP_RENAME:
        return fs_rename(fs, op->path, op->path_to, err);
    case FS_OP_REMOVE:
        return fs_remove(fs, op->path, err);
    case FS_OP_SYNC_DIR:
        return op->failed ? STATUS_OK : fs_sync_dir(fs, op->path, err);
    }
    return error_set(err, STATUS_INTERNAL, "no such operation");
}

enum status fs_log_replay(const struct fs_log *log, size_t upto, struct fs *fs, struct error *err)
{
    struct fs_file **files = double_new((size_t)log->node_count + 1, sizeof(struct fs_file *));
    enum status st = STATUS_OK;

    INVARIANT(upto <= log->count);
    for (size_t i = 0; st == STATUS_OK && i < upto; i++) {
        st = replay_op(&log->ops[i], fs, files, err);
        if (st != STATUS_OK)
            st = error_wrap(err, "replay operation %zu", i + 1);
    }
    for (uint64_t node = 0; node <= log->node_count; node++)
        fs_close(files[node]);
    double_free(files);
    return st;
}

static const char *kind_name(enum fs_op_kind kind)
{
    switch (kind) {
    case FS_OP_CREATE:
        return "create";
    case FS_OP_WRITE:
        return "write";
    case FS_OP_RESIZE:
        return "resize";
    case FS_OP_SYNC:
        return "sync";
    case FS_OP_MAKE_DIR:
        return "make_dir";
    case FS_OP_RENAME:
        return "rename";
    case FS_OP_REMOVE:
        return "remove";
    case FS_OP_SYNC_DIR:
        return "sync_dir";
    }
    return "?";
}

void fs_log_print(const struct fs_log *log, size_t upto, FILE *out)
{
    for (size_t i = 0; i < upto; i++) {
        const struct fs_op *op = &log->ops[i];

        /* A reader that went away costs the reader, not the test. */
        (void)fprintf(out, "%6zu %-8s #%" PRIu64 " \"%s\"", i + 1, kind_name(op->kind), op->node,
                      op->path);
        if (op->kind == FS_OP_RENAME)
            (void)fprintf(out, " to \"%s\"", op->path_to);
        if (op->kind == FS_OP_WRITE)
            (void)fprintf(out, " %" PRIu64 " bytes at %" PRIu64, op->size, op->offset);
        if (op->kind == FS_OP_RESIZE)
            (void)fprintf(out, " to %" PRIu64 " bytes", op->size);
        (void)fprintf(out, "%s\n", op->failed ? " FAILED" : "");
    }
}
