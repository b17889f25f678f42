#include "coordinator/store/store_folder.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "coordinator/store/log_head.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/proved.h"

#define REPOSITORY_FILE "repository"
#define NEW_SUFFIX      ".new" /* fs_replace() */

static bool has(const struct fs_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], name) == 0)
            return true;
    }
    return false;
}

/* What an earlier attempt that did not come to its end may have left. */
static bool is_ours(const char *name)
{
    static const char repository_new[] = REPOSITORY_FILE NEW_SUFFIX;
    static const char *const ours[] = {PACK_DIR,       LOG_DIR,       "lock",
                                       repository_new, LOG_HEAD_FILE, PROVED_FILE};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(name, ours[i]) == 0)
            return true;
    }
    return false;
}

/* Removes the folder LOG_DIR, in which an earlier attempt may have begun a log. */
static enum status remove_log(struct fs *fs, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(fs, LOG_DIR, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        char path[FS_PATH_SIZE];

        if (!text_format(path, sizeof(path), LOG_DIR "/%s", names.names[i]))
            st = error_set(err, STATUS_INVALID, "a file in %s has too long a name", LOG_DIR);
        else
            st = fs_remove(fs, path, err);
    }
    fs_names_deinit(&names);
    return st == STATUS_OK ? fs_remove(fs, LOG_DIR, err) : st;
}

/* Does the folder hold NAMES of an earlier attempt only, or nothing? */
static enum status check_names(const struct fs_names *names, struct error *err)
{
    if (has(names, REPOSITORY_FILE))
        return error_set(err, STATUS_EXISTS, "this folder is a repository already");
    for (size_t i = 0; i < names->count; i++) {
        if (!is_ours(names->names[i]))
            return error_set(err, STATUS_PRECONDITION,
                             "there is \"%s\" in the folder: a repository is made in an empty one",
                             names->names[i]);
    }
    return STATUS_OK;
}

enum status store_folder_check_free(struct fs *fs, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(fs, "", &names, err);

    if (st == STATUS_OK)
        st = check_names(&names, err);
    fs_names_deinit(&names);
    return st;
}

/* The folder holds nothing then: names of an earlier attempt may never become durable. */
static enum status make_empty(struct fs *fs, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(fs, "", &names, err);

    if (st == STATUS_OK)
        st = check_names(&names, err);
    if (st == STATUS_OK && has(&names, PACK_DIR)) {
        st = fs_remove(fs, PACK_DIR, err); /* fails if there is a pack in it */
        if (st != STATUS_OK)
            st = error_set(err, STATUS_PRECONDITION,
                           "there are packs in the folder: it was a repository, and its file "
                           "\"%s\" is missing",
                           REPOSITORY_FILE);
    }
    if (st == STATUS_OK && has(&names, LOG_DIR))
        st = remove_log(fs, err);
    if (st == STATUS_OK && has(&names, LOG_HEAD_FILE))
        st = fs_remove(fs, LOG_HEAD_FILE, err);
    if (st == STATUS_OK && has(&names, PROVED_FILE))
        st = fs_remove(fs, PROVED_FILE, err);
    fs_names_deinit(&names);
    return st;
}

void store_folder_take_back(struct fs *fs)
{
    struct error ignored = {0}; /* what stays is removed by the next attempt */

    DISCARD(fs_remove(fs, REPOSITORY_FILE, &ignored));
    DISCARD(fs_remove(fs, REPOSITORY_FILE NEW_SUFFIX, &ignored));
    DISCARD(make_empty(fs, &ignored));
}

static enum status make_repository(const struct store_log_world *world, const struct random_id *id,
                                   struct repository *ret_repository, struct random_id *ret_writer,
                                   uint32_t *ret_space, struct error *err)
{
    struct random_source *random = world->random;
    uint32_t space = 0;
    enum status st = STATUS_OK;

    if (id != NULL)
        ret_repository->id = *id;
    else
        st = random_bytes(random, ret_repository->id.bytes, RANDOM_ID_SIZE, err);
    if (st == STATUS_OK)
        st = random_bytes(random, ret_repository->domain.bytes, RANDOM_ID_SIZE, err);
    if (st == STATUS_OK)
        st = random_bytes(random, ret_writer->bytes, RANDOM_ID_SIZE, err);
    while (st == STATUS_OK && (space & NUMBER_SPACE_MAX) == 0)
        st = random_bytes(random, &space, sizeof(space), err);
    if (st != STATUS_OK)
        return st;
    *ret_space = space & NUMBER_SPACE_MAX;
    keys_check(world->keys, ret_repository->key_check);
    return STATUS_OK;
}

enum status store_folder_create(const struct store_log_world *world, const struct random_id *id,
                                int64_t time_us, struct error *err)
{
    struct repository repository = {0};
    struct random_id writer;
    struct buffer text;
    uint32_t space = 0;

    buffer_init(&text, REPOSITORY_FILE_MAX);

    enum status st = make_empty(world->fs, err);

    if (st == STATUS_OK)
        st = make_repository(world, id, &repository, &writer, &space, err);
    if (st == STATUS_OK)
        st = fs_make_dir(world->fs, PACK_DIR, err);
    if (st == STATUS_OK)
        st = fs_make_dir(world->fs, LOG_DIR, err);
    if (st == STATUS_OK)
        st = store_log_create(world, &writer, space, time_us, err);
    if (st != STATUS_OK)
        goto out;
    /* The two folders are durable before the file can be: whoever finds it finds them. */
    st = fs_sync_dir(world->fs, "", err);
    if (st != STATUS_OK)
        goto out;
    repository_encode(&repository, &text);
    st = buffer_check(&text, "the repository's file", err);
    if (st == STATUS_OK)
        st = fs_replace(world->fs, REPOSITORY_FILE, buffer_slice(&text), err);
out:
    buffer_deinit(&text);
    return st;
}

static enum status read_file(struct fs *fs, uint8_t bytes[REPOSITORY_FILE_MAX], size_t *ret_size,
                             struct error *err)
{
    struct fs_file *file = NULL;
    enum status st = fs_open(fs, REPOSITORY_FILE, FS_READ, &file, err);

    if (st == STATUS_NOT_FOUND)
        return error_set(err, STATUS_NOT_FOUND,
                         "this folder is not a repository: it has no file \"%s\"", REPOSITORY_FILE);
    if (st == STATUS_OK)
        st = fs_read_at(file, 0, bytes, REPOSITORY_FILE_MAX, ret_size, err);
    fs_close(file);
    return st;
}

enum status store_folder_read(struct fs *fs, const struct keys *keys,
                              struct repository *ret_repository, struct error *err)
{
    uint8_t bytes[REPOSITORY_FILE_MAX];
    uint8_t check[KEYS_CHECK_SIZE];
    struct repository repository;
    size_t size = 0;
    enum status st = read_file(fs, bytes, &size, err);

    if (st != STATUS_OK)
        return st;
    st = repository_decode(slice_of(bytes, size), &repository, err);
    if (st != STATUS_OK)
        return error_wrap(err, "%s", REPOSITORY_FILE);
    keys_check(keys, check);
    if (memcmp(check, repository.key_check, sizeof(check)) != 0)
        return error_set(err, STATUS_DENIED,
                         "this repository was made with another key: give the key file that "
                         "belongs to it");
    *ret_repository = repository;
    return STATUS_OK;
}
