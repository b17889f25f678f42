#include "coordinator/key_file.h"

#include <string.h>

#include <openssl/crypto.h>

#include "base/secret.h"
#include "base/text.h"

#define REPOSITORY_FILE "repository"

/* ---- Reading --------------------------------------------------------------------------------- */

enum status key_file_read(const char *path, struct key_text *ret_key, struct error *err)
{
    uint8_t text[KEY_TEXT_MAX];
    size_t size = 0;
    struct named_file place = {0};
    enum status st = named_file_open(path, &place, err);

    if (st == STATUS_OK)
        st = named_file_check_private(&place, err);
    if (st == STATUS_OK)
        st = named_file_read(&place, text, sizeof(text), &size, err);
    if (st == STATUS_OK)
        st = key_text_decode(slice_of(text, size), ret_key, err);
    OPENSSL_cleanse(text, sizeof(text));
    named_file_close(&place);
    if (st != STATUS_OK)
        return error_wrap(err, "the key file %s", path);
    return STATUS_OK;
}

/* The whole file PATH, of at most TARGET's limit, into TARGET, which is empty. */
static enum status read_into(const char *path, struct buffer *target, struct error *err)
{
    struct named_file place = {0};
    size_t size = 0;
    uint8_t *bytes = buffer_extend(target, target->limit);
    enum status st = buffer_check(target, path, err);

    if (st == STATUS_OK)
        st = named_file_open(path, &place, err);
    if (st == STATUS_OK)
        st = named_file_read(&place, bytes, target->limit, &size, err);
    if (st == STATUS_OK)
        target->size = size;
    named_file_close(&place);
    return st;
}

enum status kit_file_read(const char *path, struct buffer *text, struct kit *ret_kit,
                          struct error *err)
{
    enum status st = read_into(path, text, err);

    if (st == STATUS_OK)
        st = kit_decode(buffer_slice(text), ret_kit, err);
    if (st != STATUS_OK)
        return error_wrap(err, "the recovery kit %s", path);
    return STATUS_OK;
}

enum status agents_ca_read(const char *path, struct buffer *target, struct error *err)
{
    struct buffer text;

    buffer_init(&text, KIT_CA_MAX);

    enum status st = read_into(path, &text, err);

    if (st == STATUS_OK)
        st = kit_agents_ca(buffer_slice(&text), target, err);
    buffer_deinit(&text);
    if (st != STATUS_OK)
        return error_wrap(err, "the agents' CA %s", path);
    return STATUS_OK;
}

enum status repository_file_read(const char *dir, struct repository *ret_repository,
                                 struct error *err)
{
    char path[FS_PATH_SIZE];
    uint8_t text[REPOSITORY_FILE_MAX];
    size_t size = 0;
    struct named_file place = {0};
    enum status st = STATUS_OK;

    if (!text_format(path, sizeof(path), "%s/" REPOSITORY_FILE, dir))
        return error_set(err, STATUS_INVALID, "the path of the data folder is too long");
    st = named_file_open(path, &place, err);
    if (st == STATUS_OK)
        st = named_file_read(&place, text, sizeof(text), &size, err);
    if (st == STATUS_NOT_FOUND)
        st = error_set(err, st, "there is no repository in it");
    if (st == STATUS_OK)
        st = repository_decode(slice_of(text, size), ret_repository, err);
    named_file_close(&place);
    if (st != STATUS_OK)
        return error_wrap(err, "data folder %s", dir);
    return STATUS_OK;
}

/* ---- New files ------------------------------------------------------------------------------- */

enum status key_file_place(const char *path, const char *what, const char *dir,
                           struct named_file *ret_place, struct error *err)
{
    struct named_file place = {0};
    bool inside = false;
    bool taken = false;
    enum status st = named_file_open(path, &place, err);

    if (st == STATUS_OK)
        st = named_file_is_inside(&place, dir, &inside, err);
    if (st == STATUS_OK && inside)
        st = error_set(err, STATUS_INVALID,
                       "it would lie inside %s, with what it opens; put it elsewhere", dir);
    if (st == STATUS_OK)
        st = named_file_taken(&place, &taken, err);
    if (st == STATUS_OK && taken)
        st = error_set(err, STATUS_EXISTS,
                       "there is something of that name, which is left alone; if an init or export "
                       "that was cut off has left it, remove it by hand");
    if (st != STATUS_OK) {
        named_file_close(&place);
        return error_wrap(err, "the %s %s", what, path);
    }
    *ret_place = place;
    return STATUS_OK;
}

enum status kit_file_check_apart(const struct named_file *place, const char *dir, struct error *err)
{
    bool beside = false;
    enum status st = named_file_is_beside(place, dir, &beside, err);

    if (st == STATUS_OK && beside)
        st = error_set(
            err, STATUS_PRECONDITION,
            "the recovery kit %s would lie on the file system of %s, and be lost with it: "
            "write it to another one, or say --kit-anywhere and take care of it yourself",
            place->name, dir);
    return st;
}

/* Takes back what this process has made at PLACE. If it stays, whoever makes it next is told. */
static void take_back(const struct named_file *place)
{
    struct error removed = {0};

    DISCARD(fs_remove(place->fs, place->name, &removed));
}

enum status key_files_make(const struct key_files *files,
                           enum status (*make)(void *arg, struct error *err), void *arg,
                           struct error *err)
{
    enum status st = named_file_write_new(files->key, files->key_text, err);

    if (st != STATUS_OK)
        return error_wrap(err, "the key file");
    st = named_file_write_new(files->kit, files->kit_text, err);
    if (st != STATUS_OK) {
        take_back(files->key);
        return error_wrap(err, "the recovery kit");
    }
    st = make(arg, err);
    if (st != STATUS_OK) { /* they open nothing */
        take_back(files->kit);
        take_back(files->key);
    }
    return st;
}

enum status key_file_replace(const struct named_file *place, const struct key_text *key,
                             struct error *err)
{
    struct buffer text;
    enum status st = secret_buffer_init(&text, KEY_TEXT_MAX, err);

    if (st == STATUS_OK) {
        key_text_encode(key, &text);
        st = buffer_check(&text, "the key", err);
    }
    if (st == STATUS_OK)
        st = fs_replace(place->fs, place->name, buffer_slice(&text), err);
    secret_buffer_deinit(&text);
    return st;
}

/* ---- The folder ------------------------------------------------------------------------------ */

enum status data_folder_make(const char *dir, bool *ret_made, struct error *err)
{
    struct error made = {0};
    struct named_file place = {0};
    bool new = false;
    enum status st = named_file_open(dir, &place, err);

    if (st != STATUS_OK)
        return error_wrap(err, "make %s", dir);
    if (strcmp(place.name, ".") != 0 && strcmp(place.name, "..") != 0) { /* these are there */
        st = fs_make_dir(place.fs, place.name, &made);
        new = st == STATUS_OK;
        if (st == STATUS_OK || st == STATUS_EXISTS)
            st = fs_sync_dir(place.fs, "", err);
        else
            *err = made;
        if (st != STATUS_OK && new)
            take_back(&place);
    }
    named_file_close(&place);
    if (st != STATUS_OK)
        return error_wrap(err, "make %s", dir);
    *ret_made = new;
    return STATUS_OK;
}

void data_folder_remove(const char *dir)
{
    struct error opened = {0};
    struct named_file place = {0};

    if (named_file_open(dir, &place, &opened) != STATUS_OK)
        return;
    take_back(&place);
    named_file_close(&place);
}
