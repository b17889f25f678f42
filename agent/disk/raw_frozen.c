#include "agent/disk/raw_frozen.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/slice.h"
#include "base/text.h"

enum {
    STEP = 1024 * 1024, /* bytes copied at a time */
    IDENTITY_TEXT = 2 * DISK_IDENTITY_SIZE,
};

/* NAME + SUFFIX in the folder of copies; the folder itself for "". */
static enum status name_of(const char *path, const char *name, const char *suffix,
                           char ret_name[FS_PATH_SIZE], struct error *err)
{
    if (!text_format(ret_name, FS_PATH_SIZE, "%s.frozen%s%s%s", path, name[0] == '\0' ? "" : "/",
                     name, suffix))
        return error_set(err, STATUS_INVALID, "the path of the disk is too long: %s", path);
    return STATUS_OK;
}

static enum status name_of_copy(const char *path, const char *id, char ret_name[FS_PATH_SIZE],
                                struct error *err)
{
    if (strlen(id) != RAW_FROZEN_ID_SIZE - 1 ||
        strspn(id, "0123456789abcdef") != RAW_FROZEN_ID_SIZE - 1)
        return error_set(err, STATUS_NOT_FOUND, "%s has no frozen copy \"%.40s\"", path, id);
    return name_of(path, id, "", ret_name, err);
}

/* Makes what happened to names in the folder of copies durable. */
static enum status sync_folder(struct fs *fs, const char *path, struct error *err)
{
    char folder[FS_PATH_SIZE];
    enum status st = name_of(path, "", "", folder, err);

    if (st != STATUS_OK)
        return st;
    return fs_sync_dir(fs, folder, err);
}

/* The folder of copies, durably, whether it was there or not. */
static enum status make_folder(struct fs *fs, const char *path, struct error *err)
{
    struct error made = {0};
    char folder[FS_PATH_SIZE];
    char parent[FS_PATH_SIZE];
    enum status st = name_of(path, "", "", folder, err);

    if (st != STATUS_OK)
        return st;
    st = fs_make_dir(fs, folder, &made);
    if (st != STATUS_OK && st != STATUS_EXISTS) {
        *err = made;
        return st;
    }
    fs_parent(folder, parent);
    return fs_sync_dir(fs, parent, err);
}

enum status raw_frozen_identity(struct fs *fs, const char *path,
                                uint8_t ret_identity[DISK_IDENTITY_SIZE], struct error *err)
{
    char name[FS_PATH_SIZE];
    char text[IDENTITY_TEXT + 1] = "";
    struct fs_file *file = NULL;
    size_t size = 0;
    enum status st = name_of(path, "identity", "", name, err);

    if (st != STATUS_OK)
        return st;
    st = fs_open(fs, name, FS_READ, &file, err);
    if (st != STATUS_OK)
        return st;
    st = fs_read_at(file, 0, text, sizeof(text), &size, err); /* one more than there may be */
    fs_close(file);
    if (st != STATUS_OK)
        return st;
    if (!text_parse_hex(slice_of(text, size), ret_identity, DISK_IDENTITY_SIZE))
        return error_set(err, STATUS_CORRUPT,
                         "%s does not hold a disk's identity, %d hexadecimal digits", name,
                         IDENTITY_TEXT);
    return STATUS_OK;
}

enum status raw_frozen_set_identity(struct fs *fs, const char *path,
                                    const uint8_t identity[DISK_IDENTITY_SIZE], struct error *err)
{
    char name[FS_PATH_SIZE];
    char text[IDENTITY_TEXT + 1];
    enum status st = make_folder(fs, path, err);

    if (st != STATUS_OK)
        return st;
    st = name_of(path, "identity", "", name, err);
    if (st != STATUS_OK)
        return st;
    text_hex(slice_of(identity, DISK_IDENTITY_SIZE), text);
    return fs_replace(fs, name, slice_of(text, IDENTITY_TEXT), err);
}

/* An identity from RANDOM, if the disk has none. */
static enum status ensure_identity(struct fs *fs, const char *path, struct random_source *random,
                                   struct error *err)
{
    uint8_t identity[DISK_IDENTITY_SIZE];
    struct error found = {0};
    enum status st = raw_frozen_identity(fs, path, identity, &found);

    if (st == STATUS_OK)
        return make_folder(fs, path, err); /* it is there; perhaps not durably, after a crash */
    if (st != STATUS_NOT_FOUND) {
        *err = found;
        return st;
    }
    st = random_bytes(random, identity, sizeof(identity), err);
    if (st != STATUS_OK)
        return st;
    return raw_frozen_set_identity(fs, path, identity, err);
}

/* An interrupted call has left a part of a copy: ID.new. */
static enum status remove_leftovers(struct fs *fs, const char *path, struct error *err)
{
    struct fs_names names = {0};
    char folder[FS_PATH_SIZE];
    char name[FS_PATH_SIZE];
    enum status st = name_of(path, "", "", folder, err);

    if (st == STATUS_OK)
        st = fs_list(fs, folder, &names, err);
    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        size_t length = strlen(names.names[i]);

        if (length < 4 || strcmp(names.names[i] + length - 4, ".new") != 0)
            continue;
        st = name_of(path, names.names[i], "", name, err);
        if (st == STATUS_OK)
            st = fs_remove(fs, name, err);
    }
    fs_names_deinit(&names);
    return st;
}

/* Copies [START, END), a step at a time. */
static enum status copy_range(struct fs_file *from, struct fs_file *to, uint64_t start,
                              uint64_t end, uint8_t *step, struct error *err)
{
    enum status st = STATUS_OK;

    while (st == STATUS_OK && start < end) {
        size_t part = end - start < STEP ? (size_t)(end - start) : STEP;

        st = fs_read_exactly_at(from, start, step, part, err);
        if (st == STATUS_OK)
            st = fs_write_at(to, start, slice_of(step, part), err);
        start += part;
    }
    return st;
}

/* All of FROM, of SIZE bytes, into the empty file TO, holes left out. */
static enum status copy_data(struct fs_file *from, struct fs_file *to, uint64_t size,
                             struct error *err)
{
    struct error none = {0};
    uint64_t start = 0;
    uint64_t end = 0;
    enum status st = fs_resize(to, size, err);
    uint8_t *step = NULL;

    if (st != STATUS_OK)
        return st;
    step = memory_new(STEP, 1);
    if (step == NULL)
        return error_set_no_memory(err, STEP, "copying a disk");
    while (st == STATUS_OK && end < size) {
        st = fs_next_data(from, end, &start, &end, &none);
        if (st == STATUS_NOT_FOUND) { /* holes up to the end */
            st = STATUS_OK;
            break;
        }
        if (st != STATUS_OK) {
            *err = none;
            break;
        }
        if (end > size) /* it has grown meanwhile; the caller finds out */
            end = size;
        st = copy_range(from, to, start, end, step, err);
    }
    memory_free(step);
    return st;
}

/* FROM's size, which must be a disk's. */
static enum status size_of(struct fs_file *from, uint64_t *ret_size, struct error *err)
{
    uint64_t size = 0;
    enum status st = fs_size(from, &size, err);

    if (st != STATUS_OK)
        return st;
    if (size == 0 || size % RAW_SECTOR != 0)
        return error_set(err, STATUS_PRECONDITION,
                         "%s has %" PRIu64 " bytes; a raw disk has a multiple of %d", from->path,
                         size, RAW_SECTOR);
    *ret_size = size;
    return STATUS_OK;
}

/* A durable copy of the disk's content in the new file COPY. */
static enum status copy_disk(struct fs *fs, const char *path, const char *copy, struct error *err)
{
    struct fs_file *from = NULL;
    struct fs_file *to = NULL;
    uint64_t size = 0;
    uint64_t size_after = 0;
    enum status st = fs_open(fs, path, FS_READ, &from, err);

    if (st != STATUS_OK)
        goto out;
    st = size_of(from, &size, err);
    if (st != STATUS_OK)
        goto out;
    st = fs_open(fs, copy, FS_CREATE, &to, err);
    if (st != STATUS_OK)
        goto out;
    st = copy_data(from, to, size, err);
    if (st != STATUS_OK)
        goto out;
    st = fs_size(from, &size_after, err);
    if (st != STATUS_OK)
        goto out;
    if (size_after != size) {
        st = error_set(err, STATUS_ABORTED, "%s changed its size meanwhile", path);
        goto out;
    }
    st = fs_sync(to, err);
out:
    fs_close(to);
    fs_close(from);
    return st;
}

static enum status freeze(struct fs *fs, const char *path, struct random_source *random,
                          char ret_id[RAW_FROZEN_ID_SIZE], struct error *err)
{
    uint8_t bytes[(RAW_FROZEN_ID_SIZE - 1) / 2];
    char id[RAW_FROZEN_ID_SIZE];
    char unfinished[FS_PATH_SIZE];
    char finished[FS_PATH_SIZE];
    enum status st = ensure_identity(fs, path, random, err);

    if (st == STATUS_OK)
        st = remove_leftovers(fs, path, err);
    if (st == STATUS_OK)
        st = random_bytes(random, bytes, sizeof(bytes), err);
    if (st != STATUS_OK)
        return st;
    text_hex(slice_of(bytes, sizeof(bytes)), id);
    st = name_of(path, id, ".new", unfinished, err);
    if (st == STATUS_OK)
        st = name_of_copy(path, id, finished, err);
    if (st == STATUS_OK)
        st = copy_disk(fs, path, unfinished, err);
    if (st == STATUS_OK)
        st = fs_rename(fs, unfinished, finished, err);
    if (st == STATUS_OK)
        st = sync_folder(fs, path, err);
    if (st == STATUS_OK)
        memcpy(ret_id, id, sizeof(id));
    return st;
}

/* Is PATH a disk at all? Asked before anything is made beside it. */
static enum status check_disk(struct fs *fs, const char *path, struct error *err)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    enum status st = fs_open(fs, path, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = size_of(file, &size, err);
    fs_close(file);
    return st;
}

enum status raw_frozen_make(struct fs *fs, const char *path, struct random_source *random,
                            char ret_id[RAW_FROZEN_ID_SIZE], struct error *err)
{
    struct error cleaning = {0};
    enum status st = check_disk(fs, path, err);

    if (st != STATUS_OK)
        return error_wrap(err, "freeze the disk %s", path);
    st = freeze(fs, path, random, ret_id, err);
    if (st == STATUS_OK)
        return STATUS_OK;
    /* What is left takes space only, and the next call removes it if this one cannot. */
    (void)remove_leftovers(fs, path, &cleaning);
    return error_wrap(err, "freeze the disk %s", path);
}

enum status raw_frozen_remove(struct fs *fs, const char *path, const char *id, struct error *err)
{
    char name[FS_PATH_SIZE];
    enum status st = name_of_copy(path, id, name, err);

    if (st == STATUS_OK)
        st = fs_remove(fs, name, err);
    if (st == STATUS_OK)
        st = sync_folder(fs, path, err);
    return st;
}

enum status raw_frozen_open(struct fs *fs, const char *path, const char *id,
                            struct fs_file **ret_file, uint64_t *ret_size, struct error *err)
{
    char name[FS_PATH_SIZE];
    struct fs_file *file = NULL;
    enum status st = name_of_copy(path, id, name, err);

    if (st != STATUS_OK)
        return st;
    st = fs_open(fs, name, FS_READ, &file, err);
    if (st != STATUS_OK)
        return st;
    st = size_of(file, ret_size, err);
    if (st != STATUS_OK) {
        fs_close(file);
        return st;
    }
    *ret_file = file;
    return STATUS_OK;
}
