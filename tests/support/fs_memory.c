#include "tests/support/fs_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/double_heap.h"
#include "tests/support/sparse.h"

/* The largest file that ext4 has with blocks of 4 KiB; others have more, or less. */
static const uint64_t file_size_max = ((uint64_t)1 << 44) - 4096;

/* A file or a folder; lives while it has a name or is open. */
struct node {
    bool is_dir;
    unsigned names; /* two: fs_memory_put_link() */
    unsigned opens;
    bool locked;
    struct sparse bytes; /* of a file */
};

struct name {
    char *path;
    struct node *node;
};

struct memory_fs {
    struct fs fs;
    uv_mutex_t mutex;   /* for all that follows, and all nodes */
    struct name *names; /* by path, in the order of strcmp() */
    size_t name_count;
    size_t name_room;
    struct sparse_space space;
};

struct memory_file {
    struct fs_file file;
    struct node *node;
    bool writable;
    bool holds; /* the lock of NODE */
};

static struct memory_fs *fs_of(struct fs *fs)
{
    return (struct memory_fs *)fs; /* its first member */
}

static struct memory_file *file_of(struct fs_file *file)
{
    return (struct memory_file *)file; /* its first member */
}

static void node_release(struct memory_fs *fs, struct node *node)
{
    if (node->names > 0 || node->opens > 0)
        return;
    sparse_resize(&node->bytes, &fs->space, 0);
    double_free(node);
}

/* The index of the first name at or behind the LENGTH bytes at PATH. */
static size_t name_index(const struct memory_fs *fs, const char *path, size_t length)
{
    size_t low = 0;
    size_t high = fs->name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *name = fs->names[middle].path;
        int order = strncmp(name, path, length);

        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct node *lookup(const struct memory_fs *fs, const char *path, size_t length)
{
    size_t index = name_index(fs, path, length);

    /* A shorter name comes before a longer one that begins with it. */
    if (index < fs->name_count && strncmp(fs->names[index].path, path, length) == 0 &&
        fs->names[index].path[length] == '\0')
        return fs->names[index].node;
    return NULL;
}

/* Are all folders on the way to PATH there? */
static enum status check_way(const struct memory_fs *fs, const char *path, struct error *err)
{
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        const struct node *node = lookup(fs, path, (size_t)(slash - path));

        if (node == NULL)
            return error_set_errno(err, ENOENT, "open folder %.*s", (int)(slash - path), path);
        if (!node->is_dir)
            return error_set_errno(err, ENOTDIR, "open folder %.*s", (int)(slash - path), path);
    }
    return STATUS_OK;
}

static enum status find(const struct memory_fs *fs, const char *path, struct node **ret_node,
                        struct error *err)
{
    enum status st = check_way(fs, path, err);

    if (st != STATUS_OK)
        return st;
    struct node *node = lookup(fs, path, strlen(path));

    if (node == NULL)
        return error_set_errno(err, ENOENT, "look up");
    *ret_node = node;
    return STATUS_OK;
}

/* Is PATH a folder? "" is one. */
static enum status check_dir(const struct memory_fs *fs, const char *path, struct error *err)
{
    struct node *node = NULL;

    if (path[0] == '\0')
        return STATUS_OK;
    enum status st = find(fs, path, &node, err);

    if (st != STATUS_OK)
        return st;
    if (!node->is_dir)
        return error_set_errno(err, ENOTDIR, "open folder");
    return STATUS_OK;
}

/* Gives NODE the free name PATH. */
static void add_name(struct memory_fs *fs, const char *path, struct node *node)
{
    size_t size = strlen(path) + 1;

    if (fs->name_count == fs->name_room) {
        fs->name_room = fs->name_room == 0 ? 8 : fs->name_room * 2;
        fs->names = double_resize(fs->names, fs->name_room, sizeof(struct name));
    }
    size_t index = name_index(fs, path, size);

    memmove(fs->names + index + 1, fs->names + index,
            (fs->name_count - index) * sizeof(struct name));
    fs->names[index] = (struct name){.path = double_copy_text(path), .node = node};
    fs->name_count++;
    node->names++;
}

/* Takes the name PATH, which is there, from its node. */
static void take_name(struct memory_fs *fs, const char *path)
{
    size_t index = name_index(fs, path, strlen(path) + 1);
    struct node *node = fs->names[index].node;

    INVARIANT(strcmp(fs->names[index].path, path) == 0);
    double_free(fs->names[index].path);
    memmove(fs->names + index, fs->names + index + 1,
            (fs->name_count - index - 1) * sizeof(struct name));
    fs->name_count--;
    node->names--;
    node_release(fs, node);
}

static enum status make_node(struct memory_fs *fs, const char *path, bool is_dir,
                             struct node **ret_node, struct error *err)
{
    enum status st = check_way(fs, path, err);

    if (st != STATUS_OK)
        return st;
    if (lookup(fs, path, strlen(path)) != NULL)
        return error_set_errno(err, EEXIST, "make");
    struct node *node = double_new(1, sizeof(*node));

    node->is_dir = is_dir;
    add_name(fs, path, node);
    *ret_node = node;
    return STATUS_OK;
}

static enum status open_node(struct memory_fs *fs, const char *path, enum fs_mode mode,
                             struct node **ret_node, struct error *err)
{
    struct node *node = NULL;

    if (mode == FS_CREATE)
        return make_node(fs, path, false, ret_node, err);
    enum status st = find(fs, path, &node, err);

    if (st != STATUS_OK)
        return st;
    if (node->is_dir && mode == FS_WRITE)
        return error_set_errno(err, EISDIR, "open");
    if (node->is_dir)
        return error_set(err, STATUS_PRECONDITION, "not a regular file");
    *ret_node = node;
    return STATUS_OK;
}

static enum status memory_open(struct fs *fs, const char *path, enum fs_mode mode,
                               struct fs_file **ret_file, struct error *err)
{
    /* The one thing that may be wanting here: the real file systems have to allocate it, too. */
    struct memory_file *file = memory_new(1, sizeof(*file));

    if (file == NULL)
        return error_set_no_memory(err, sizeof(*file), "an open file");
    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = open_node(fs_of(fs), path, mode, &file->node, err);

    if (st == STATUS_OK)
        file->node->opens++;
    uv_mutex_unlock(&fs_of(fs)->mutex);
    if (st != STATUS_OK) {
        memory_free(file);
        return st;
    }
    file->file = (struct fs_file){.fs = fs, .path = double_copy_text(path)};
    file->writable = mode != FS_READ;
    *ret_file = &file->file;
    return STATUS_OK;
}

static enum status memory_read_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                                  size_t *ret_size, struct error *err)
{
    struct memory_fs *fs = fs_of(file->fs);

    (void)err; /* cannot fail */
    uv_mutex_lock(&fs->mutex);
    *ret_size = sparse_read(&file_of(file)->node->bytes, offset, data, size);
    uv_mutex_unlock(&fs->mutex);
    return STATUS_OK;
}

static enum status memory_write_at(struct fs_file *file, uint64_t offset, struct slice data,
                                   struct error *err)
{
    struct memory_fs *fs = fs_of(file->fs);

    if (!file_of(file)->writable)
        return error_set_errno(err, EBADF, "write");
    uint64_t room = offset < file_size_max ? file_size_max - offset : 0;
    struct slice part = slice_of(data.data, data.size < room ? data.size : (size_t)room);

    uv_mutex_lock(&fs->mutex);
    enum status st = sparse_write(&file_of(file)->node->bytes, &fs->space, offset, part, err);
    uv_mutex_unlock(&fs->mutex);
    if (st == STATUS_OK && part.size < data.size)
        return error_set_errno(err, EFBIG, "write");
    return st;
}

static enum status memory_size(struct fs_file *file, uint64_t *ret_size, struct error *err)
{
    struct memory_fs *fs = fs_of(file->fs);

    (void)err; /* cannot fail */
    uv_mutex_lock(&fs->mutex);
    *ret_size = file_of(file)->node->bytes.size;
    uv_mutex_unlock(&fs->mutex);
    return STATUS_OK;
}

static enum status memory_resize_file(struct fs_file *file, uint64_t size, struct error *err)
{
    struct memory_fs *fs = fs_of(file->fs);

    if (!file_of(file)->writable)
        return error_set_errno(err, EINVAL, "resize"); /* ftruncate(2): not open for writing */
    if (size > file_size_max)
        return error_set_errno(err, EFBIG, "resize");
    uv_mutex_lock(&fs->mutex);
    sparse_resize(&file_of(file)->node->bytes, &fs->space, size);
    uv_mutex_unlock(&fs->mutex);
    return STATUS_OK;
}

static enum status memory_next_data(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                                    uint64_t *ret_end, struct error *err)
{
    struct memory_fs *fs = fs_of(file->fs);

    uv_mutex_lock(&fs->mutex);
    enum status st = sparse_next_data(&file_of(file)->node->bytes, offset, ret_start, ret_end, err);
    uv_mutex_unlock(&fs->mutex);
    return st;
}

static enum status memory_sync(struct fs_file *file, struct error *err)
{
    (void)file; /* nothing is ever lost */
    (void)err;
    return STATUS_OK;
}

static void memory_close(struct fs_file *file)
{
    struct memory_fs *fs = fs_of(file->fs);
    struct node *node = file_of(file)->node;

    uv_mutex_lock(&fs->mutex);
    node->opens--;
    if (file_of(file)->holds)
        node->locked = false;
    node_release(fs, node);
    uv_mutex_unlock(&fs->mutex);
    double_free(file->path);
    memory_free(file);
}

static enum status memory_make_dir(struct fs *fs, const char *path, struct error *err)
{
    struct node *node = NULL;

    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = make_node(fs_of(fs), path, true, &node, err);
    uv_mutex_unlock(&fs_of(fs)->mutex);
    return st;
}

static enum status rename_node(struct memory_fs *fs, const char *from, const char *to,
                               struct error *err)
{
    struct node *node = NULL;
    enum status st = check_way(fs, from, err);

    if (st == STATUS_OK)
        st = check_way(fs, to, err);
    if (st == STATUS_OK)
        st = find(fs, from, &node, err);
    if (st != STATUS_OK)
        return st;
    if (node->is_dir)
        return error_set(err, STATUS_PRECONDITION, "not a regular file");
    struct node *old = lookup(fs, to, strlen(to));

    if (old == node) { /* two names of one file, or one with itself */
        if (strcmp(from, to) != 0)
            take_name(fs, from);
        return STATUS_OK;
    }
    if (old != NULL && old->is_dir)
        return error_set_errno(err, EISDIR, "rename");
    if (old != NULL) {
        /* The name stays and changes its node. */
        fs->names[name_index(fs, to, strlen(to) + 1)].node = node;
        node->names++;
        old->names--;
        node_release(fs, old);
    } else {
        add_name(fs, to, node);
    }
    take_name(fs, from);
    return STATUS_OK;
}

static enum status memory_rename(struct fs *fs, const char *from, const char *to, struct error *err)
{
    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = rename_node(fs_of(fs), from, to, err);
    uv_mutex_unlock(&fs_of(fs)->mutex);
    return st;
}

/* Does NAME lie in the folder of LENGTH bytes at PATH ("": every name does)? */
static bool is_below(const char *name, const char *path, size_t length)
{
    return length == 0 || (strncmp(name, path, length) == 0 && name[length] == '/');
}

static bool is_empty(const struct memory_fs *fs, const char *path)
{
    size_t length = strlen(path);

    for (size_t i = name_index(fs, path, length); i < fs->name_count; i++) {
        if (strncmp(fs->names[i].path, path, length) != 0)
            break;
        if (is_below(fs->names[i].path, path, length))
            return false;
    }
    return true;
}

static enum status remove_node(struct memory_fs *fs, const char *path, struct error *err)
{
    struct node *node = NULL;
    enum status st = find(fs, path, &node, err);

    if (st != STATUS_OK)
        return st;
    if (node->is_dir && !is_empty(fs, path))
        return error_set_errno(err, ENOTEMPTY, "remove");
    take_name(fs, path);
    return STATUS_OK;
}

static enum status memory_remove(struct fs *fs, const char *path, struct error *err)
{
    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = remove_node(fs_of(fs), path, err);
    uv_mutex_unlock(&fs_of(fs)->mutex);
    return st;
}

static enum status list_dir(const struct memory_fs *fs, const char *path, struct fs_names *names,
                            struct error *err)
{
    size_t length = strlen(path);
    enum status st = check_dir(fs, path, err);

    for (size_t i = name_index(fs, path, length); st == STATUS_OK && i < fs->name_count; i++) {
        const char *name = fs->names[i].path;

        if (strncmp(name, path, length) != 0)
            break;
        if (!is_below(name, path, length))
            continue;
        name += length == 0 ? 0 : length + 1;
        if (strchr(name, '/') == NULL)
            st = fs_names_add(names, name, err);
    }
    return st;
}

static enum status memory_list(struct fs *fs, const char *path, struct fs_names *ret_names,
                               struct error *err)
{
    struct fs_names names = {0};

    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = list_dir(fs_of(fs), path, &names, err);
    uv_mutex_unlock(&fs_of(fs)->mutex);
    if (st != STATUS_OK) {
        fs_names_deinit(&names);
        return st;
    }
    *ret_names = names;
    return STATUS_OK;
}

static enum status memory_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    uv_mutex_lock(&fs_of(fs)->mutex);
    enum status st = check_dir(fs_of(fs), path, err);
    uv_mutex_unlock(&fs_of(fs)->mutex);
    return st;
}

static enum status memory_lock(struct fs *fs, const char *path, struct fs_file **ret_lock,
                               struct error *err)
{
    struct fs_file *file = NULL;
    enum status st = memory_open(fs, path, FS_WRITE, &file, err);

    if (st == STATUS_NOT_FOUND)
        st = memory_open(fs, path, FS_CREATE, &file, err);
    if (st != STATUS_OK)
        return st;
    struct node *node = file_of(file)->node;

    uv_mutex_lock(&fs_of(fs)->mutex);
    file_of(file)->holds = !node->locked;
    node->locked = true;
    uv_mutex_unlock(&fs_of(fs)->mutex);
    if (!file_of(file)->holds) {
        memory_close(file);
        return error_set(err, STATUS_UNAVAILABLE, "another process holds it");
    }
    *ret_lock = file;
    return STATUS_OK;
}

static void memory_fs_free(struct fs *base)
{
    struct memory_fs *fs = fs_of(base);

    for (size_t i = 0; i < fs->name_count; i++) {
        struct node *node = fs->names[i].node;

        INVARIANT(node->opens == 0); /* all files are closed */
        node->names--;
        node_release(fs, node);
        double_free(fs->names[i].path);
    }
    INVARIANT(fs->space.used == 0); /* and no removed one is open */
    double_free(fs->names);
    uv_mutex_destroy(&fs->mutex);
    double_free(fs);
}

#ifdef TIDEMARK_FAULTS

static void memory_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    (void)fs; /* nothing is ever lost */
    (void)file;
    (void)path;
}

static enum status memory_power_off(struct fs *fs, struct error *err)
{
    (void)fs;
    return error_set(err, STATUS_UNSUPPORTED, "files in memory do not know what was synced");
}

#endif

static const struct fs_ops memory_ops = {
    .open = memory_open,
    .read_at = memory_read_at,
    .write_at = memory_write_at,
    .size = memory_size,
    .resize = memory_resize_file,
    .next_data = memory_next_data,
    .sync = memory_sync,
    .close = memory_close,
    .make_dir = memory_make_dir,
    .rename = memory_rename,
    .remove = memory_remove,
    .list = memory_list,
    .sync_dir = memory_sync_dir,
    .lock = memory_lock,
    .free = memory_fs_free,
#ifdef TIDEMARK_FAULTS
    .sync_failed = memory_sync_failed,
    .power_off = memory_power_off,
#endif
};

enum status fs_memory_new(struct fs **ret_fs, struct error *err)
{
    struct memory_fs *fs = double_new(1, sizeof(*fs));
    int result = uv_mutex_init(&fs->mutex);

    if (result != 0) {
        double_free(fs);
        return error_set_uv(err, result, "make a mutex");
    }
    fs->fs.ops = &memory_ops;
    fs->space.limit = UINT64_MAX;
    *ret_fs = &fs->fs;
    return STATUS_OK;
}

void fs_memory_put_file(struct fs *base, const char *path, struct sparse *take_content)
{
    struct memory_fs *fs = fs_of(base);
    struct node *node = NULL;
    struct error err = {0};

    INVARIANT(base->ops == &memory_ops);
    uv_mutex_lock(&fs->mutex);
    INVARIANT(make_node(fs, path, false, &node, &err) == STATUS_OK);
    node->bytes = *take_content;
    fs->space.used += node->bytes.page_count * SPARSE_PAGE;
    uv_mutex_unlock(&fs->mutex);
    *take_content = (struct sparse){0};
}

void fs_memory_put_link(struct fs *base, const char *path, const char *path_there)
{
    struct memory_fs *fs = fs_of(base);
    struct error err = {0};

    INVARIANT(base->ops == &memory_ops);
    uv_mutex_lock(&fs->mutex);
    INVARIANT(check_way(fs, path, &err) == STATUS_OK);
    INVARIANT(lookup(fs, path, strlen(path)) == NULL);
    struct node *node = lookup(fs, path_there, strlen(path_there));

    INVARIANT(node != NULL && !node->is_dir);
    add_name(fs, path, node);
    uv_mutex_unlock(&fs->mutex);
}

void fs_memory_set_space(struct fs *fs, uint64_t bytes)
{
    INVARIANT(fs->ops == &memory_ops);
    uv_mutex_lock(&fs_of(fs)->mutex);
    fs_of(fs)->space.limit = bytes;
    uv_mutex_unlock(&fs_of(fs)->mutex);
}
