#include "base/fs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

enum { COMPONENT_MAX = 255 };

static const char new_suffix[] = ".new";

static const unsigned can_fail = 1U << FAULT_FAIL | 1U << FAULT_LOSE;
static const unsigned can_fill = 1U << FAULT_FAIL | 1U << FAULT_LOSE | 1U << FAULT_FULL;
static const unsigned can_be_done = 1U << FAULT_AFTER;

/* One component of a path, LENGTH bytes at NAME. */
static const char *component_fault(const char *name, size_t length)
{
    if (length == 0)
        return "an empty name in the path";
    if (length > COMPONENT_MAX)
        return "a name of more than 255 bytes in the path";
    if ((length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.'))
        return "\".\" or \"..\" in the path";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c < 0x20 || c == 0x7f)
            return "a control character in the path";
    }
    return NULL;
}

static enum status check_path(const char *path, struct error *err)
{
    size_t length = strnlen(path, FS_PATH_SIZE);
    const char *fault = length > FS_PATH_MAX ? "a path of more than 1023 bytes" : NULL;
    const char *name = path;

    if (length == 0)
        return STATUS_OK;
    while (fault == NULL) {
        size_t size = strcspn(name, "/");

        fault = component_fault(name, size);
        if (name[size] == '\0')
            break;
        name += size + 1;
    }
    if (fault != NULL)
        return error_set(err, STATUS_INVALID, "%s", fault);
    return STATUS_OK;
}

/* The path of something in the folder, not of the folder itself: that is refused with STATUS. */
static enum status check_inner_path(const char *path, enum status status, struct error *err)
{
    if (path[0] == '\0')
        return error_set(err, status, "this is the folder of the file system itself");
    return check_path(path, err);
}

/* Offsets are signed where they meet POSIX (off_t) and Windows (LARGE_INTEGER). */
static enum status check_range(uint64_t offset, uint64_t size, struct error *err)
{
    if (offset > INT64_MAX || size > INT64_MAX - offset)
        return error_set(err, STATUS_RANGE, "offset and size go beyond 2^63 bytes");
    return STATUS_OK;
}

#ifdef TIDEMARK_FAULTS

/* Asks whether the call at POINT shall go wrong, and does it, but for FAULT_AFTER (see report()),
 * FAULT_SHORT and FAULT_TORN: these go to *RET_ACTION. */
static enum status ask_which(struct fs *fs, const char *point, unsigned actions,
                             enum fault_action *ret_action, struct error *err)
{
    enum fault_action action = fault_hit(FAULT_IO, point, actions);

    switch (action) {
    case FAULT_FAIL:
        return error_set_errno(err, EIO, "fault on purpose");
    case FAULT_FULL:
        return error_set_errno(err, ENOSPC, "fault on purpose");
    case FAULT_LOSE:
        if (fs->ops->power_off(fs, err) != STATUS_OK)
            return err->status;
        return error_set(err, STATUS_UNAVAILABLE, "the power is off");
    case FAULT_NONE:
    case FAULT_AFTER:
    case FAULT_SHORT:
    case FAULT_TORN:
    case FAULT_KILL:
    case FAULT_STALL:
        break;
    }
    *ret_action = action;
    return STATUS_OK;
}

/* What a call that was done says, ACTION being what ask_which() gave. */
static enum status report(enum fault_action action, struct error *err)
{
    if (action == FAULT_AFTER)
        return error_set_errno(err, EIO, "fault on purpose, the call is done");
    return STATUS_OK;
}

/* A write in UNIT bytes each, at multiples of UNIT; the first and the last one may be shorter. */
struct tear {
    struct fs_file *file;
    uint64_t offset;
    struct slice data;
    uint64_t unit;
    uint64_t first; /* number of the first unit, from the begin of the file */
    uint64_t count; /* of units */
};

static struct tear tear_of(struct fs_file *file, uint64_t offset, struct slice data, uint64_t unit)
{
    uint64_t first = offset / unit;
    uint64_t last = (offset + data.size - 1) / unit;

    return (struct tear){file, offset, data, unit, first, last - first + 1};
}

static void write_unit(const struct tear *tear, uint64_t index)
{
    uint64_t start = (tear->first + index) * tear->unit;
    uint64_t end = start + tear->unit;
    struct error err = {0};

    if (start < tear->offset)
        start = tear->offset;
    if (end > tear->offset + tear->data.size)
        end = tear->offset + tear->data.size;
    /* Whether it worked is for those who read the file after this process. */
    DISCARD(tear->file->fs->ops->write_at(tear->file, start,
                                          slice_of(tear->data.data + (start - tear->offset),
                                                   (size_t)(end - start)),
                                          &err));
}

/* A number below LIMIT from the variation, which is there. */
static uint64_t draw(uint64_t limit)
{
    uint64_t number = 0;

    INVARIANT(fault_draw(limit, &number));
    return number;
}

/* Some of the sectors of DATA, each whole, the last one first; then the process is no more. Without a
 * variation these are every second one from the last one on; with one each is kept or lost, of two or
 * more at least one is lost, and what fits into a sector may be torn as finely as every 16 bytes. */
NORETURN static void write_torn(struct fs_file *file, uint64_t offset, struct slice data)
{
    const uint64_t sector = 512;
    uint64_t exponent = 5;
    bool varied = fault_draw(6, &exponent);
    struct tear tear = tear_of(file, offset, data, data.size > sector ? sector : 16ULL << exponent);
    uint64_t lost = varied && tear.count > 1 ? draw(tear.count) : UINT64_MAX;

    for (uint64_t left = tear.count; left > 0; left--) {
        bool kept = varied ? draw(2) == 1 : (tear.count - left) % 2 == 0;

        if (kept && left - 1 != lost)
            write_unit(&tear, left - 1);
    }
    fault_kill();
}

static enum status write_short(struct fs_file *file, uint64_t offset, struct slice data,
                               struct error *err)
{
    uint64_t size = data.size / 2;
    enum status st = STATUS_OK;

    DISCARD(fault_draw(data.size, &size)); /* without a variation: the half */
    if (size > 0)
        st = file->fs->ops->write_at(file, offset, slice_of(data.data, (size_t)size), err);
    if (st != STATUS_OK)
        return st;
    return error_set_errno(err, ENOSPC, "fault on purpose, %" PRIu64 " bytes are written", size);
}

static enum status ask_write(struct fs_file *file, uint64_t offset, struct slice data,
                             enum fault_action *ret_action, struct error *err)
{
    const unsigned actions = can_fill | can_be_done | 1U << FAULT_SHORT | 1U << FAULT_TORN;
    enum status st = ask_which(file->fs, "fs.write", actions, ret_action, err);

    if (st != STATUS_OK)
        return st;
    if (*ret_action == FAULT_TORN)
        write_torn(file, offset, data);
    if (*ret_action == FAULT_SHORT)
        return write_short(file, offset, data, err);
    return STATUS_OK;
}

/* A fault took the place of a sync: see struct fs_ops. */
static void tell_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    fs->ops->sync_failed(fs, file, path);
}

#else

static enum status ask_which(struct fs *fs, const char *point, unsigned actions,
                             enum fault_action *ret_action, struct error *err)
{
    (void)fs;
    (void)point;
    (void)actions;
    (void)ret_action;
    (void)err;
    return STATUS_OK;
}

static enum status report(enum fault_action action, struct error *err)
{
    (void)action;
    (void)err;
    return STATUS_OK;
}

static enum status ask_write(struct fs_file *file, uint64_t offset, struct slice data,
                             enum fault_action *ret_action, struct error *err)
{
    (void)file;
    (void)offset;
    (void)data;
    (void)ret_action;
    (void)err;
    return STATUS_OK;
}

static void tell_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    (void)fs;
    (void)file;
    (void)path;
}

#endif

/* For calls that know no FAULT_AFTER. */
static enum status ask(struct fs *fs, const char *point, unsigned actions, struct error *err)
{
    enum fault_action action = FAULT_NONE;

    return ask_which(fs, point, actions, &action, err);
}

enum status fs_open(struct fs *fs, const char *path, enum fs_mode mode, struct fs_file **ret_file,
                    struct error *err)
{
    struct fs_file *file = NULL;
    enum fault_action action = FAULT_NONE;
    enum status st = check_inner_path(path, STATUS_PRECONDITION, err);

    if (st == STATUS_OK)
        st = ask_which(fs, "fs.open", can_fill | can_be_done, &action, err);
    if (st == STATUS_OK)
        st = fs->ops->open(fs, path, mode, &file, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK) {
        fs_close(file);
        return error_wrap(err, "%s %s", mode == FS_CREATE ? "create" : "open", path);
    }
    *ret_file = file;
    return STATUS_OK;
}

enum status fs_read_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size, struct error *err)
{
    size_t got = 0;
    enum status st = check_range(offset, size, err);

    if (st == STATUS_OK)
        st = ask(file->fs, "fs.read", can_fail, err);
    if (st == STATUS_OK && size > 0)
        st = file->fs->ops->read_at(file, offset, data, size, &got, err);
    if (st != STATUS_OK)
        return error_wrap(err, "read %s at %" PRIu64, file->path, offset);
    *ret_size = got;
    return STATUS_OK;
}

enum status fs_read_exactly_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                               struct error *err)
{
    size_t got = 0;
    enum status st = fs_read_at(file, offset, data, size, &got, err);

    if (st == STATUS_OK && got < size)
        st = error_set(err, STATUS_CORRUPT,
                       "read %s at %" PRIu64 ": the file ends after %zu of %zu bytes", file->path,
                       offset, got, size);
    return st;
}

enum status fs_write_at(struct fs_file *file, uint64_t offset, struct slice data, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_range(offset, data.size, err);

    if (st == STATUS_OK && data.size > 0)
        st = ask_write(file, offset, data, &action, err);
    if (st == STATUS_OK && data.size > 0)
        st = file->fs->ops->write_at(file, offset, data, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "write %s at %" PRIu64, file->path, offset);
    return STATUS_OK;
}

enum status fs_size(struct fs_file *file, uint64_t *ret_size, struct error *err)
{
    enum status st = ask(file->fs, "fs.size", can_fail, err);

    if (st == STATUS_OK)
        st = file->fs->ops->size(file, ret_size, err);
    if (st != STATUS_OK)
        return error_wrap(err, "size of %s", file->path);
    return STATUS_OK;
}

enum status fs_resize(struct fs_file *file, uint64_t size, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_range(size, 0, err);

    if (st == STATUS_OK)
        st = ask_which(file->fs, "fs.resize", can_fill | can_be_done, &action, err);
    if (st == STATUS_OK)
        st = file->fs->ops->resize(file, size, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "resize %s to %" PRIu64, file->path, size);
    return STATUS_OK;
}

enum status fs_next_data(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                         uint64_t *ret_end, struct error *err)
{
    enum status st = check_range(offset, 0, err);

    if (st == STATUS_OK)
        st = ask(file->fs, "fs.next_data", can_fail, err);
    if (st == STATUS_OK)
        st = file->fs->ops->next_data(file, offset, ret_start, ret_end, err);
    if (st != STATUS_OK)
        return error_wrap(err, "find data in %s from %" PRIu64, file->path, offset);
    return STATUS_OK;
}

enum status fs_sync(struct fs_file *file, struct error *err)
{
    enum status st = ask(file->fs, "fs.sync", can_fill, err);

    if (st != STATUS_OK)
        tell_sync_failed(file->fs, file, file->path);
    else
        st = file->fs->ops->sync(file, err);
    if (st != STATUS_OK)
        return error_wrap(err, "sync %s", file->path);
    return STATUS_OK;
}

void fs_close(struct fs_file *file)
{
    if (file != NULL)
        file->fs->ops->close(file);
}

enum status fs_make_dir(struct fs *fs, const char *path, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_inner_path(path, STATUS_EXISTS, err);

    if (st == STATUS_OK)
        st = ask_which(fs, "fs.make_dir", can_fill | can_be_done, &action, err);
    if (st == STATUS_OK)
        st = fs->ops->make_dir(fs, path, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "make folder %s", path);
    return STATUS_OK;
}

enum status fs_rename(struct fs *fs, const char *from, const char *to, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_inner_path(from, STATUS_PRECONDITION, err);

    if (st == STATUS_OK)
        st = check_inner_path(to, STATUS_PRECONDITION, err);
    if (st == STATUS_OK)
        st = ask_which(fs, "fs.rename", can_fill | can_be_done, &action, err);
    if (st == STATUS_OK)
        st = fs->ops->rename(fs, from, to, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "rename %s to %s", from, to);
    return STATUS_OK;
}

enum status fs_remove(struct fs *fs, const char *path, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_inner_path(path, STATUS_PRECONDITION, err);

    if (st == STATUS_OK)
        st = ask_which(fs, "fs.remove", can_fail | can_be_done, &action, err);
    if (st == STATUS_OK)
        st = fs->ops->remove(fs, path, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "remove %s", path);
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right); /* as unsigned char: C11, 7.24.4 */
}

enum status fs_list(struct fs *fs, const char *path, struct fs_names *ret_names, struct error *err)
{
    enum status st = check_path(path, err);

    if (st == STATUS_OK)
        st = ask(fs, "fs.list", can_fail, err);
    if (st == STATUS_OK)
        st = fs->ops->list(fs, path, ret_names, err);
    if (st != STATUS_OK)
        return error_wrap(err, "list folder %s", path);
    if (ret_names->count > 0)
        qsort(ret_names->names, ret_names->count, sizeof(ret_names->names[0]), compare_names);
    return STATUS_OK;
}

void fs_names_deinit(struct fs_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        memory_free(names->names[i]);
    memory_free(names->names);
    *names = (struct fs_names){0};
}

enum status fs_names_add(struct fs_names *names, const char *name, struct error *err)
{
    size_t count = names->count;

    if (count == FS_NAMES_MAX)
        return error_set(err, STATUS_EXHAUSTED, "more than %d names", FS_NAMES_MAX);
    if ((count & (count - 1)) == 0) { /* 0, 1, 2, 4 ...: the room for COUNT names is used up */
        size_t room = count == 0 ? 1 : count * 2;
        char **grown = memory_resize(names->names, room, sizeof(grown[0]));

        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(grown[0]), "names");
        names->names = grown;
    }
    names->names[count] = memory_copy_text(name);
    if (names->names[count] == NULL)
        return error_set_no_memory(err, strlen(name) + 1, "a name");
    names->count++;
    return STATUS_OK;
}

enum status fs_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    enum fault_action action = FAULT_NONE;
    enum status st = check_path(path, err);

    if (st != STATUS_OK)
        return error_wrap(err, "sync folder %s", path);
    st = ask_which(fs, "fs.sync_dir", can_fill | can_be_done, &action, err);
    if (st != STATUS_OK)
        tell_sync_failed(fs, NULL, path);
    else
        st = fs->ops->sync_dir(fs, path, err);
    if (st == STATUS_OK)
        st = report(action, err);
    if (st != STATUS_OK)
        return error_wrap(err, "sync folder %s", path);
    return STATUS_OK;
}

enum status fs_lock(struct fs *fs, const char *path, struct fs_file **ret_lock, struct error *err)
{
    enum status st = check_inner_path(path, STATUS_PRECONDITION, err);

    if (st == STATUS_OK)
        st = ask(fs, "fs.lock", can_fail, err);
    if (st == STATUS_OK)
        st = fs->ops->lock(fs, path, ret_lock, err);
    if (st != STATUS_OK)
        return error_wrap(err, "lock file %s", path);
    return STATUS_OK;
}

void fs_free(struct fs *fs)
{
    if (fs != NULL)
        fs->ops->free(fs);
}

void fs_parent(const char *path, char dir[FS_PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    INVARIANT(length <= FS_PATH_MAX);
    memcpy(dir, path, length);
    dir[length] = '\0';
}

/* CONTENT, durable, in a new file at PATH, in place of a file that a crash left there. */
static enum status write_new(struct fs *fs, const char *path, struct slice content,
                             struct error *err)
{
    struct fs_file *file = NULL;
    struct error removal = {0};
    enum status st = fs_remove(fs, path, &removal);

    if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
        *err = removal;
        goto out;
    }
    st = fs_open(fs, path, FS_CREATE, &file, err);
    if (st != STATUS_OK)
        goto out;
    st = fs_write_at(file, 0, content, err);
    if (st != STATUS_OK)
        goto out;
    st = fs_sync(file, err);
out:
    fs_close(file);
    return st;
}

enum status fs_replace(struct fs *fs, const char *path, struct slice content, struct error *err)
{
    char new_path[FS_PATH_SIZE];
    char dir[FS_PATH_SIZE];
    struct error ignored = {0};
    bool renamed = false;
    enum status st = check_inner_path(path, STATUS_PRECONDITION, err);

    if (st == STATUS_OK && !text_format(new_path, sizeof(new_path), "%s%s", path, new_suffix))
        st = error_set(err, STATUS_INVALID, "no room for \"%s\" behind the path", new_suffix);
    if (st != STATUS_OK)
        return error_wrap(err, "replace %s", path);
    fs_parent(path, dir);
    st = write_new(fs, new_path, content, err);
    if (st == STATUS_OK)
        st = fault_point("fs.replace_before_rename", err);
    if (st == STATUS_OK) {
        st = fs_rename(fs, new_path, path, err);
        renamed = st == STATUS_OK;
    }
    if (st == STATUS_OK)
        st = fault_point("fs.replaced_before_sync_dir", err);
    if (st == STATUS_OK)
        st = fs_sync_dir(fs, dir, err);
    /* Nothing refers to the new file, and the next call removes what cannot be removed now. */
    if (st != STATUS_OK && !renamed)
        DISCARD(fs_remove(fs, new_path, &ignored));
    return st;
}
