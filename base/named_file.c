#include "base/named_file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs_posix.h"
#include "base/text.h"

enum { OTHERS = S_IRWXG | S_IRWXO };

/* The folder that PATH is in, and its name there. */
static enum status split(const char *path, char folder[FS_PATH_SIZE], char name[FS_PATH_SIZE],
                         struct error *err)
{
    size_t end = strlen(path);
    size_t begin = 0;

    while (end > 1 && path[end - 1] == '/')
        end--;
    begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (begin == end ||
        !text_format(name, FS_PATH_SIZE, "%.*s", (int)(end - begin), path + begin) ||
        !text_format(folder, FS_PATH_SIZE, "%.*s", begin > 0 ? (int)begin : 1,
                     begin > 0 ? path : "."))
        return error_set(err, STATUS_INVALID, "%s cannot be used as a path here", path);
    return STATUS_OK;
}

enum status named_file_open(const char *path, struct named_file *ret_file, struct error *err)
{
    struct named_file file = {0};
    enum status st = split(path, file.folder, file.name, err);

    if (st == STATUS_OK)
        st = fs_posix_new(file.folder, &file.fs, err);
    if (st == STATUS_OK)
        *ret_file = file;
    return st;
}

void named_file_close(struct named_file *file)
{
    fs_free(file->fs);
    file->fs = NULL;
}

enum status named_file_taken(const struct named_file *file, bool *ret_taken, struct error *err)
{
    struct fs_names names = {0};
    bool taken = false;
    enum status st = fs_list(file->fs, "", &names, err);

    if (st != STATUS_OK)
        return st;
    for (size_t i = 0; i < names.count; i++)
        taken = taken || strcmp(names.names[i], file->name) == 0;
    fs_names_deinit(&names);
    *ret_taken = taken;
    return STATUS_OK;
}

enum status named_file_read(const struct named_file *file, void *bytes, size_t size,
                            size_t *ret_size, struct error *err)
{
    uint64_t there = 0;
    struct fs_file *opened = NULL;
    enum status st = fs_open(file->fs, file->name, FS_READ, &opened, err);

    if (st == STATUS_OK)
        st = fs_size(opened, &there, err);
    if (st == STATUS_OK && there > size)
        st = error_set(err, STATUS_INVALID, "%s is longer than %zu bytes", file->name, size);
    if (st == STATUS_OK)
        st = fs_read_exactly_at(opened, 0, bytes, (size_t)there, err);
    if (st == STATUS_OK)
        *ret_size = (size_t)there;
    fs_close(opened);
    return st;
}

enum status named_file_check_private(const struct named_file *file, struct error *err)
{
    char path[2 * FS_PATH_SIZE];
    struct stat about;

    if (!text_format(path, sizeof(path), "%s/%s", file->folder, file->name))
        return error_set(err, STATUS_INVALID, "the path is too long");
    if (lstat(path, &about) != 0)
        return error_set_errno(err, errno, "look at %s", file->name);
    if (S_ISREG(about.st_mode) && (about.st_mode & OTHERS) != 0)
        return error_set(err, STATUS_PRECONDITION,
                         "others than its owner may read or write it; chmod 600 %s", file->name);
    return STATUS_OK;
}

enum status named_file_write_new(const struct named_file *file, struct slice content,
                                 struct error *err)
{
    struct error removed = {0};
    struct fs_file *opened = NULL;
    enum status st = fs_open(file->fs, file->name, FS_CREATE, &opened, err);

    if (st == STATUS_OK)
        st = fs_write_at(opened, 0, content, err);
    if (st == STATUS_OK)
        st = fs_sync(opened, err);
    if (st == STATUS_OK)
        st = fs_sync_dir(file->fs, "", err);
    fs_close(opened);
    if (st != STATUS_OK &&
        opened != NULL) /* half a file; if it stays, whoever comes next says so */
        DISCARD(fs_remove(file->fs, file->name, &removed));
    return st;
}

enum status named_file_is_inside(const struct named_file *file, const char *dir, bool *ret_inside,
                                 struct error *err)
{
    char of_file[PATH_MAX];
    char of_dir[PATH_MAX];
    size_t length = 0;

    if (realpath(file->folder, of_file) == NULL)
        return error_set_errno(err, errno, "the folder %s", file->folder);
    if (realpath(dir, of_dir) == NULL)
        return error_set_errno(err, errno, "the folder %s", dir);
    length = strlen(of_dir);
    *ret_inside = strncmp(of_file, of_dir, length) == 0 &&
                  (of_file[length] == '\0' || of_file[length] == '/' || length == 1);
    return STATUS_OK;
}

enum status named_file_is_beside(const struct named_file *file, const char *dir, bool *ret_beside,
                                 struct error *err)
{
    struct stat of_file;
    struct stat of_dir;

    if (stat(file->folder, &of_file) != 0)
        return error_set_errno(err, errno, "look at the folder %s", file->folder);
    if (stat(dir, &of_dir) != 0)
        return error_set_errno(err, errno, "look at the folder %s", dir);
    *ret_beside = of_file.st_dev == of_dir.st_dev;
    return STATUS_OK;
}
