#include "tests/support/fs_record.h"

#include <stdbool.h>
#include <string.h>

#include <uv.h>

#include "base/invariant.h"
#include "tests/support/double_heap.h"
#include "tests/support/fs_atoms.h"
#include "tests/support/sparse.h"

struct recorder {
    struct fs fs;
    struct fs *inner;
    uv_mutex_t mutex; /* held over a call of INNER, other than a sync: the log has the order of the
                         effects */
    struct fs_log log;
    bool off;
    bool forgets; /* fs_record_forget_failed() */
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

/* As fs_log_prepare(), of what has one path and no data. */
static struct fs_op *prepare(struct recorder *recorder, enum fs_op_kind kind, const char *path)
{
    return fs_log_prepare(&recorder->log, kind, path, NULL, slice_of(NULL, 0));
}

static enum status open_node(struct recorder *recorder, const char *path, enum fs_mode mode,
                             struct recorded_file *file, struct error *err)
{
    enum status st = recorder->inner->ops->open(recorder->inner, path, mode, &file->inner, err);

    if (st != STATUS_OK)
        return st;
    if (mode == FS_CREATE) {
        file->node = prepare(recorder, FS_OP_CREATE, path)->node;
        fs_log_commit(&recorder->log);
    } else {
        INVARIANT(fs_log_node(&recorder->log, path, &file->node));
    }
    return STATUS_OK;
}

static enum status record_open(struct fs *fs, const char *path, enum fs_mode mode,
                               struct fs_file **ret_file, struct error *err)
{
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    struct recorded_file *file = double_new(1, sizeof(*file));

    st = open_node(recorder_of(fs), path, mode, file, err);
    leave(fs);
    if (st != STATUS_OK) {
        double_free(file);
        return st;
    }
    file->file = (struct fs_file){.fs = fs, .path = double_copy_text(path)};
    *ret_file = &file->file;
    return STATUS_OK;
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

static size_t read_inner(struct fs_file *inner, uint64_t offset, uint8_t *bytes, size_t size)
{
    struct error err = {0};
    size_t there = 0;

    INVARIANT(inner->fs->ops->read_at(inner, offset, bytes, size, &there, &err) == STATUS_OK);
    return there;
}

static void record_write(struct recorded_file *file, uint64_t offset, struct slice data)
{
    struct recorder *recorder = recorder_of(file->file.fs);
    struct fs_op *op = fs_log_prepare(&recorder->log, FS_OP_WRITE, file->file.path, NULL, data);

    op->node = file->node;
    op->offset = offset;
    fs_log_commit(&recorder->log);
}

/* Records what a write of SIZE bytes that failed has left: the bytes that are others than BEFORE, of which
 * BEFORE_SIZE were in the file. What is as it was has not been written again: a sync that failed for it
 * still counts. */
static void record_part(struct recorded_file *file, uint64_t offset, size_t size,
                        const uint8_t *before, size_t before_size)
{
    uint8_t *after = double_new(size, 1);
    size_t there = read_inner(file->inner, offset, after, size);
    size_t start = 0;

    for (size_t i = 0; i <= there; i++) {
        if (i < there && (i >= before_size || after[i] != before[i]))
            continue;
        if (i > start)
            record_write(file, offset + start, slice_of(after + start, i - start));
        start = i + 1;
    }
    double_free(after);
}

static enum status record_write_at(struct fs_file *file, uint64_t offset, struct slice data,
                                   struct error *err)
{
    struct fs_file *inner = file_of(file)->inner;
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    uint8_t *before = double_new(data.size, 1);
    size_t before_size = read_inner(inner, offset, before, data.size);

    st = inner->fs->ops->write_at(inner, offset, data, err);
    if (st == STATUS_OK)
        record_write(file_of(file), offset, data);
    else
        record_part(file_of(file), offset, data.size, before, before_size);
    leave(file->fs);
    double_free(before);
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
    enum status st = enter(file->fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->fs->ops->resize(inner, size, err);
    if (st == STATUS_OK) {
        struct fs_op *op = prepare(recorder, FS_OP_RESIZE, file->path);

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

/* Where the log is, and the node at PATH, when a sync is called; other calls go on during it. */
static enum status begin_sync(struct fs *fs, const char *path, size_t *ret_covers,
                              uint64_t *ret_node, bool *ret_found, struct error *err)
{
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    *ret_covers = recorder_of(fs)->log.count;
    *ret_found = fs_log_node(&recorder_of(fs)->log, path, ret_node);
    leave(fs);
    return STATUS_OK;
}

/* Writes down the sync of NODE that was called when the log had COVERS operations, and ended with RESULT.
 * If the power went meanwhile, nobody learns how it ended. */
static enum status end_sync(struct fs *fs, struct fs_op sync, const char *path, enum status result,
                            struct error *err)
{
    struct error off = {0};
    enum status st = enter(fs, &off);

    if (st != STATUS_OK) {
        *err = off;
        return st;
    }
    struct fs_op *op = prepare(recorder_of(fs), sync.kind, path);

    op->node = sync.node;
    op->covers = sync.covers;
    op->failed = result != STATUS_OK;
    fs_log_commit(&recorder_of(fs)->log);
    leave(fs);
    return result;
}

static enum status record_sync(struct fs_file *file, struct error *err)
{
    struct fs_file *inner = file_of(file)->inner;
    struct fs_op sync = {.kind = FS_OP_SYNC};
    bool found = false;
    enum status st = begin_sync(file->fs, file->path, &sync.covers, &sync.node, &found, err);

    if (st != STATUS_OK)
        return st;
    sync.node = file_of(file)->node;
    st = inner->fs->ops->sync(inner, err);
    return end_sync(file->fs, sync, file->path, st, err);
}

static void record_close(struct fs_file *file)
{
    struct fs_file *inner = file_of(file)->inner;

    inner->fs->ops->close(inner);
    double_free(file->path);
    double_free(file);
}

static enum status record_make_dir(struct fs *fs, const char *path, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = recorder->inner->ops->make_dir(recorder->inner, path, err);
    if (st == STATUS_OK) {
        (void)prepare(recorder, FS_OP_MAKE_DIR, path); /* complete as it is */
        fs_log_commit(&recorder->log);
    }
    leave(fs);
    return st;
}

static enum status record_rename(struct fs *fs, const char *from, const char *to, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = recorder->inner->ops->rename(recorder->inner, from, to, err);
    if (st == STATUS_OK && strcmp(from, to) != 0) { /* else it did nothing */
        /* Complete as it is. */
        (void)fs_log_prepare(&recorder->log, FS_OP_RENAME, from, to, slice_of(NULL, 0));
        fs_log_commit(&recorder->log);
    }
    leave(fs);
    return st;
}

static enum status record_remove(struct fs *fs, const char *path, struct error *err)
{
    struct recorder *recorder = recorder_of(fs);
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = recorder->inner->ops->remove(recorder->inner, path, err);
    if (st == STATUS_OK) {
        (void)prepare(recorder, FS_OP_REMOVE, path); /* complete as it is */
        fs_log_commit(&recorder->log);
    }
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
    struct fs *inner = recorder_of(fs)->inner;
    struct fs_op sync = {.kind = FS_OP_SYNC_DIR};
    bool found = false;
    enum status st = begin_sync(fs, path, &sync.covers, &sync.node, &found, err);

    if (st != STATUS_OK)
        return st;
    st = inner->ops->sync_dir(inner, path, err);
    return found ? end_sync(fs, sync, path, st, err) : st; /* not found: there is no such folder */
}

/* Not written down: the file is there to be held, and nothing counts on what is in it. */
static enum status record_lock(struct fs *fs, const char *path, struct fs_file **ret_lock,
                               struct error *err)
{
    struct fs *inner = recorder_of(fs)->inner;
    enum status st = enter(fs, err);

    if (st != STATUS_OK)
        return st;
    st = inner->ops->lock(inner, path, ret_lock, err);
    leave(fs);
    return st;
}

static void record_free(struct fs *fs)
{
    struct recorder *recorder = recorder_of(fs);

    fs_log_deinit(&recorder->log);
    uv_mutex_destroy(&recorder->mutex);
    double_free(recorder);
}

#ifdef TIDEMARK_FAULTS

/* What a file holds if nothing was written out of what is pending; its size is the present one. */
struct old_content {
    uint64_t node;
    struct sparse bytes;
    struct sparse_space space;
};

static void add_old(void *arg, const struct fs_atom *atom)
{
    struct old_content *old = arg;
    struct error err = {0};
    uint64_t end = atom->offset + atom->size;

    if (atom->owner != old->node || !fs_atom_is_content(atom->kind))
        return;
    if (atom->kind == FS_ATOM_RESIZE || end > old->bytes.size)
        sparse_resize(&old->bytes, &old->space, end);
    if (atom->kind == FS_ATOM_PIECE && atom->durable)
        INVARIANT(sparse_write(&old->bytes, &old->space, atom->offset,
                               slice_of(atom->op->data + (atom->offset - atom->op->offset),
                                        (size_t)atom->size),
                               &err) == STATUS_OK);
}

/* Puts back what FILE had where something is pending. A file that is open for reading stays as it is. */
static void forget_pending(struct recorder *recorder, const struct recorded_file *file)
{
    enum { PART = 4096 };

    struct old_content old = {.node = file->node, .space = {.limit = UINT64_MAX}};
    struct fs_atoms atoms;

    fs_atoms_init(&atoms, &recorder->log, PART);
    fs_atoms_advance(&atoms, recorder->log.count, add_old, &old);
    for (size_t i = 0; i < atoms.count; i++)
        add_old(&old, &atoms.list[i]);
    for (size_t i = 0; i < atoms.count; i++) {
        const struct fs_atom *atom = &atoms.list[i];
        uint8_t part[PART];
        struct error err = {0};

        if (atom->owner != old.node || atom->kind != FS_ATOM_PIECE || atom->durable)
            continue;
        size_t size = sparse_read(&old.bytes, atom->offset, part, (size_t)atom->size);

        if (size > 0) /* refused if it is not open for writing */
            DISCARD(file->inner->fs->ops->write_at(file->inner, atom->offset, slice_of(part, size),
                                                   &err));
    }
    sparse_resize(&old.bytes, &old.space, 0);
    fs_atoms_deinit(&atoms);
}

static void record_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    struct recorder *recorder = recorder_of(fs);
    enum fs_op_kind kind = file != NULL ? FS_OP_SYNC : FS_OP_SYNC_DIR;
    struct error err = {0};
    uint64_t node = 0;

    if (enter(fs, &err) != STATUS_OK)
        return; /* the power is off: what failed is not that sync */
    struct fs_op *op = prepare(recorder, kind, path);

    op->failed = true;
    if (file != NULL)
        op->node = file_of(file)->node;
    if (file != NULL || fs_log_node(&recorder->log, path, &node))
        fs_log_commit(&recorder->log);
    if (file != NULL && recorder->forgets)
        forget_pending(recorder, file_of(file));
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
    .lock = record_lock,
    .free = record_free,
#ifdef TIDEMARK_FAULTS
    .sync_failed = record_sync_failed,
    .power_off = record_power_off,
#endif
};

enum status fs_record_new(struct fs *inner, struct fs **ret_fs, struct error *err)
{
    struct recorder *recorder = double_new(1, sizeof(*recorder));

    *recorder = (struct recorder){.fs = {.ops = &record_ops}, .inner = inner};
    int result = uv_mutex_init(&recorder->mutex);

    if (result != 0) {
        double_free(recorder);
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

void fs_record_forget_failed(struct fs *fs, bool forgets)
{
    struct recorder *recorder = recorder_of(fs);

    INVARIANT(fs->ops == &record_ops);
    uv_mutex_lock(&recorder->mutex);
    recorder->forgets = forgets;
    uv_mutex_unlock(&recorder->mutex);
}

const struct fs_log *fs_record_log(const struct fs *fs)
{
    INVARIANT(fs->ops == &record_ops);
    return &((const struct recorder *)fs)->log; /* its first member */
}
