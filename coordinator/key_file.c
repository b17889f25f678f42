#include "coordinator/key_file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "base/fs_posix.h"
#include "base/text.h"

enum { OTHERS = S_IRWXG | S_IRWXO };

/* The folder that PATH is in, and its name there, a plain one. */
static enum status split(const char *path, char dir[FS_PATH_SIZE], char name[FS_PATH_SIZE],
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
        !text_format(dir, FS_PATH_SIZE, "%.*s", begin > 0 ? (int)begin : 1, begin > 0 ? path : "."))
        return error_set(err, STATUS_INVALID, "%s cannot be used as a path here", path);
    return STATUS_OK;
}

static enum status open_parent(const char *path, struct fs **ret_fs, char name[FS_PATH_SIZE],
                               struct error *err)
{
    char dir[FS_PATH_SIZE];
    enum status st = split(path, dir, name, err);

    if (st == STATUS_OK)
        st = fs_posix_new(dir, ret_fs, err);
    return st;
}

/* ---- The key --------------------------------------------------------------------------------- */

enum status key_file_read(const char *path, struct repository_key *ret_key, struct error *err)
{
    char text[KEY_FILE_SIZE];
    char name[FS_PATH_SIZE];
    uint64_t size = 0;
    struct stat about;
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    enum status st = open_parent(path, &fs, name, err);

    if (st == STATUS_OK)
        st = fs_open(fs, name, FS_READ, &file, err);
    if (st == STATUS_OK && stat(path, &about) != 0)
        st = error_set_errno(err, errno, "look at %s", path);
    if (st == STATUS_OK && (about.st_mode & OTHERS) != 0)
        st = error_set(err, STATUS_PRECONDITION,
                       "others than its owner may read or write it; chmod 600 %s", path);
    if (st == STATUS_OK)
        st = fs_size(file, &size, err);
    if (st == STATUS_OK && size != KEY_FILE_SIZE)
        st =
            error_set(err, STATUS_INVALID, "it is no key file: it has not %d bytes", KEY_FILE_SIZE);
    if (st == STATUS_OK)
        st = fs_read_exactly_at(file, 0, text, sizeof(text), err);
    if (st == STATUS_OK)
        st = key_file_decode(slice_of(text, sizeof(text)), ret_key, err);
    OPENSSL_cleanse(text, sizeof(text));
    fs_close(file);
    fs_free(fs);
    if (st != STATUS_OK)
        return error_wrap(err, "the key file %s", path);
    return STATUS_OK;
}

enum status key_file_write(const char *path, const struct repository_key *key, struct error *err)
{
    char text[KEY_FILE_SIZE];
    char name[FS_PATH_SIZE];
    struct error removed = {0};
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    enum status st = open_parent(path, &fs, name, err);

    if (st == STATUS_OK)
        st = fs_open(fs, name, FS_CREATE, &file, err);
    if (st == STATUS_OK) {
        key_file_encode(key, text);
        st = fs_write_at(file, 0, slice_of(text, sizeof(text)), err);
        OPENSSL_cleanse(text, sizeof(text));
    }
    if (st == STATUS_OK)
        st = fs_sync(file, err);
    if (st == STATUS_OK)
        st = fs_sync_dir(fs, "", err);
    fs_close(file);
    if (st != STATUS_OK && file != NULL) /* half a key; if it stays, the next init says so */
        DISCARD(fs_remove(fs, name, &removed));
    fs_free(fs);
    if (st != STATUS_OK)
        return error_wrap(err, "the key file %s", path);
    return STATUS_OK;
}

enum status key_file_remove(const char *path, struct error *err)
{
    char name[FS_PATH_SIZE];
    struct fs *fs = NULL;
    enum status st = open_parent(path, &fs, name, err);

    if (st == STATUS_OK)
        st = fs_remove(fs, name, err);
    fs_free(fs);
    return st;
}

enum status key_file_check_outside(const char *path, const char *dir, struct error *err)
{
    char parent[FS_PATH_SIZE];
    char name[FS_PATH_SIZE];
    char of_key[PATH_MAX];
    char of_data[PATH_MAX];
    size_t length = 0;
    enum status st = split(path, parent, name, err);

    if (st != STATUS_OK)
        return st;
    if (realpath(parent, of_key) == NULL)
        return error_set_errno(err, errno, "the folder %s of the key file", parent);
    if (realpath(dir, of_data) == NULL)
        return error_set_errno(err, errno, "the folder %s", dir);
    length = strlen(of_data);
    if (strncmp(of_key, of_data, length) == 0 &&
        (of_key[length] == '\0' || of_key[length] == '/' || length == 1))
        return error_set(
            err, STATUS_INVALID,
            "the key file %s would lie inside %s, with what it locks; put it elsewhere", path, dir);
    return STATUS_OK;
}

/* ---- The folder ------------------------------------------------------------------------------ */

enum status data_folder_make(const char *dir, struct fs **ret_fs, struct error *err)
{
    struct error made = {0};
    char name[FS_PATH_SIZE];
    struct fs *parent = NULL;
    enum status st = open_parent(dir, &parent, name, err);

    if (st != STATUS_OK)
        return error_wrap(err, "make %s", dir);
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) { /* these are there */
        st = fs_make_dir(parent, name, &made);
        if (st == STATUS_OK || st == STATUS_EXISTS)
            st = fs_sync_dir(parent, "", err);
        else
            *err = made;
    }
    fs_free(parent);
    if (st != STATUS_OK)
        return error_wrap(err, "make %s", dir);
    return fs_posix_new(dir, ret_fs, err);
}
