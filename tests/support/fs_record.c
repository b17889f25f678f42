#include "tests/support/fs_record.h"

#include <stdbool.h>
#include <string.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"

struct recorder {
    struct fs fs;
    struct fs *inner;
    uv_mutex_t mutex; /* held over a call of INNER: the log has the order of the effects */
    struct fs_log log;
    bool off;
};

struct recorded_file {
    struct fs_file file;
    struct fs_file *inner;
    uint64_t node;
};

static struct recorder *recorder_of(struct fs *fs)
{
    return (struct recorder *)fs; /* its first member */
}

static struct recorded_file *file_of(struct fs_file *file)
{
    return (struct recorded_file *)file; /* its first member */
}

/* Locks, unless the power is off. Ends with leave(). */
static enum status enter(struct fs *fs, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);

    uv_mutex_lock(&recorder->mutex);
    if (!recorder->off)
        return STATUS_OK;
    uv_mutex_unlock(&recorder->mutex);
    return error_set(err, STATUS_UNAVAILABLE, "the power is off");
}

static void leave(struct fs *fs)
{
    uv_mutex_unlock(&recorder_of(fs)->mutex);
}

static enum status open_node(struct recorder *recorder, const char *path, enum fs_mode mode,
                             struct recorded_file *file, struct error *err)
{
    struct fs_op *op = NULL;
    enum status st = STATUS_OK;

    if (mode == FS_CREATE)
        st = fs_log_prepare(&recorder->log, FS_OP_CREATE, path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK)
        st = recorder->inner->ops->open(recorder->inner, path, mode, &file->inner, err);
    if (st != STATUS_OK)
        return st;
    if (mode == FS_CREATE) {
        file->node = op->node;
        fs_log_commit(&recorder->log);
    } else {
        INVARIANT(fs_log_node(&recorder->log, path, &file->node));
    }
    return STATUS_OK;
}

static enum status record_open(struct fs *fs, const char *path, enum fs_mode mode,
                               struct fs_file **ret_file, struct error *err)
{
    struct recorded_file *file = memory_new(1, sizeof(*file));
    char *copy = memory_copy_text(path);
    enum status st = STATUS_OK;

    if (file == NULL || copy == NULL) {
        st = error_set_no_memory(err, sizeof(*file) + strlen(path) + 1, "an open file");
        goto out;
    }
    st = enter(fs, err);
    if (st != STATUS_OK)
        goto out;
    st = open_node(recorder_of(fs), path, mode, file, err);
    leave(fs);
    if (st != STATUS_OK)
        goto out;
    file->file = (struct fs_file){.fs = fs, .path = copy};
    *ret_file = &file->file;
    file = NULL;
    copy = NULL;
out:
    memory_free(copy);
    memory_free(file);
    return st;
}

static enum status record_read_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                                  size_t *ret_size, struct error *err)
{
    struct fs_file *inner = file_of(file)->inner;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->fs->ops->read_at(inner, offset, data, size, ret_size, err);
    leave(file->fs);
    return st;
}

/* Records as written what is in the file where a write of OP's bytes failed: that may be any part of
 * them, and what was there before is only written again. */
static enum status record_part(struct recorder *recorder, struct fs_file *inner, struct fs_op *op,
                               struct error *err)
{
    size_t there = 0;
    enum status st =
        inner->fs->ops->read_at(inner, op->offset, op->data, (size_t)op->size, &there, err);

    if (st != STATUS_OK)
        return error_wrap(err, "read what a failed write left");
    op->size = there;
    if (there > 0)
        fs_log_commit(&recorder->log);
    return STATUS_OK;
}

static enum status record_write_at(struct fs_file *file, uint64_t offset, struct slice data,
                                   struct error *err)
{
    struct recorder *recorder = recorder_of(file->fs);
    struct fs_file *inner = file_of(file)->inner;
    struct fs_op *op = NULL;
    struct error reading = {0};
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_WRITE, file->path, NULL, data, &op, err);
    if (st != STATUS_OK)
        goto out;
    op->node = file_of(file)->node;
    op->offset = offset;
    st = inner->fs->ops->write_at(inner, offset, data, err);
    if (st == STATUS_OK)
        fs_log_commit(&recorder->log);
    else
        INVARIANT(record_part(recorder, inner, op, &reading) == STATUS_OK);
out:
    leave(file->fs);
    return st;
}

static enum status record_size(struct fs_file *file, uint64_t *ret_size, struct error *err)
{
    struct fs_file *inner = file_of(file)->inner;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->fs->ops->size(inner, ret_size, err);
    leave(file->fs);
    return st;
}

static enum status record_resize(struct fs_file *file, uint64_t size, struct error *err)
{
    struct recorder *recorder = recorder_of(file->fs);
    struct fs_file *inner = file_of(file)->inner;
    struct fs_op *op = NULL;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st =
        fs_log_prepare(&recorder->log, FS_OP_RESIZE, file->path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK)
        st = inner->fs->ops->resize(inner, size, err);
    if (st == STATUS_OK) {
        op->node = file_of(file)->node;
        op->size = size;
        fs_log_commit(&recorder->log);
    }
    leave(file->fs);
    return st;
}

static enum status record_next_data(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                                    uint64_t *ret_end, struct error *err)
{
    struct fs_file *inner = file_of(file)->inner;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->fs->ops->next_data(inner, offset, ret_start, ret_end, err);
    leave(file->fs);
    return st;
}

static enum status record_sync(struct fs_file *file, struct error *err)
{
    struct recorder *recorder = recorder_of(file->fs);
    struct fs_file *inner = file_of(file)->inner;
    struct fs_op *op = NULL;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_SYNC, file->path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK) {
        st = inner->fs->ops->sync(inner, err);
        op->node = file_of(file)->node;
        op->failed = st != STATUS_OK;
        fs_log_commit(&recorder->log);
    }
    leave(file->fs);
    return st;
}

static void record_close(struct fs_file *file)
{
    struct fs_file *inner = file_of(file)->inner;

    inner->fs->ops->close(inner);
    memory_free(file->path);
    memory_free(file);
}

static enum status record_make_dir(struct fs *fs, const char *path, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    struct fs_op *op = NULL;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_MAKE_DIR, path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK)
        st = recorder->inner->ops->make_dir(recorder->inner, path, err);
    if (st == STATUS_OK)
        fs_log_commit(&recorder->log);
    leave(fs);
    return st;
}

static enum status record_rename(struct fs *fs, const char *from, const char *to, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    struct fs_op *op = NULL;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_RENAME, from, to, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK)
        st = recorder->inner->ops->rename(recorder->inner, from, to, err);
    if (st == STATUS_OK && strcmp(from, to) != 0) /* else it did nothing */
        fs_log_commit(&recorder->log);
    leave(fs);
    return st;
}

static enum status record_remove(struct fs *fs, const char *path, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    struct fs_op *op = NULL;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_REMOVE, path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK)
        st = recorder->inner->ops->remove(recorder->inner, path, err);
    if (st == STATUS_OK)
        fs_log_commit(&recorder->log);
    leave(fs);
    return st;
}

static enum status record_list(struct fs *fs, const char *path, struct fs_names *ret_names,
                               struct error *err)
{
    struct fs *inner = recorder_of(fs)->inner;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->ops->list(inner, path, ret_names, err);
    leave(fs);
    return st;
}

static enum status record_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    uint64_t node = 0;
    struct fs_op *op = NULL;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = fs_log_prepare(&recorder->log, FS_OP_SYNC_DIR, path, NULL, slice_of(NULL, 0), &op, err);
    if (st == STATUS_OK) {
        st = recorder->inner->ops->sync_dir(recorder->inner, path, err);
        op->failed = st != STATUS_OK;
        if (fs_log_node(&recorder->log, path, &node)) /* else there is no such folder */
            fs_log_commit(&recorder->log);
    }
    leave(fs);
    return st;
}

static void record_free(struct fs *fs)
{
    struct recorder *recorder = recorder_of(fs);

    fs_log_deinit(&recorder->log);
    uv_mutex_destroy(&recorder->mutex);
    memory_free(recorder);
}

#ifdef TIDEMARK_FAULTS

static void record_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    struct recorder *recorder = recorder_of(fs);
    enum fs_op_kind kind = file != NULL ? FS_OP_SYNC : FS_OP_SYNC_DIR;
    struct fs_op *op = NULL;
    struct error err = {0};
    uint64_t node = 0;

    if (enter(fs, &err) != STATUS_OK)
        return; /* the power is off: what failed is not that sync */
    /* A fault that was armed has fired just now: no second one hits this allocation. */
    INVARIANT(fs_log_prepare(&recorder->log, kind, path, NULL, slice_of(NULL, 0), &op, &err) ==
              STATUS_OK);
    op->failed = true;
    if (file != NULL)
        op->node = file_of(file)->node;
    if (file != NULL || fs_log_node(&recorder->log, path, &node))
        fs_log_commit(&recorder->log);
    leave(fs);
}

static enum status record_power_off(struct fs *fs, struct error *err)
{
    (void)err; /* cannot fail */
    fs_record_power_off(fs);
    return STATUS_OK;
}

#endif

static const struct fs_ops record_ops = {
    .open = record_open,
    .read_at = record_read_at,
    .write_at = record_write_at,
    .size = record_size,
    .resize = record_resize,
    .next_data = record_next_data,
    .sync = record_sync,
    .close = record_close,
    .make_dir = record_make_dir,
    .rename = record_rename,
    .remove = record_remove,
    .list = record_list,
    .sync_dir = record_sync_dir,
    .free = record_free,
#ifdef TIDEMARK_FAULTS
    .sync_failed = record_sync_failed,
    .power_off = record_power_off,
#endif
};

enum status fs_record_new(struct fs *inner, struct fs **ret_fs, struct error *err)
{
    struct recorder *recorder = memory_new(1, sizeof(*recorder));

    if (recorder == NULL)
        return error_set_no_memory(err, sizeof(*recorder), "a recorder");
    *recorder = (struct recorder){.fs = {.ops = &record_ops}, .inner = inner};
    int result = uv_mutex_init(&recorder->mutex);

    if (result != 0) {
        memory_free(recorder);
        return error_set_uv(err, result, "make a mutex");
    }
    enum status st = fs_log_import(&recorder->log, inner, err);

    if (st != STATUS_OK) {
        record_free(&recorder->fs);
        return st;
    }
    *ret_fs = &recorder->fs;
    return STATUS_OK;
}

void fs_record_power_off(struct fs *fs)
{
    struct recorder *recorder = recorder_of(fs);

    INVARIANT(fs->ops == &record_ops);
    uv_mutex_lock(&recorder->mutex);
    recorder->off = true;
    uv_mutex_unlock(&recorder->mutex);
}

const struct fs_log *fs_record_log(const struct fs *fs)
{
    INVARIANT(fs->ops == &record_ops);
    return &((const struct recorder *)fs)->log; /* its first member */
}
