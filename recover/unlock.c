#include "recover/unlock.h"

#include <string.h>

#include <openssl/crypto.h>

#include "base/memory.h"
#include "base/named_file.h"
#include "base/secret.h"
#include "format/kit.h"
#include "format/repository.h"

#define REPOSITORY_FILE "repository"

/* ---- Files ----------------------------------------------------------------------------------- */

/* The file PATH, of at most MOST bytes: *ret_bytes is the caller's, one byte longer, with a NUL. */
static enum status read_file(const char *path, size_t most, char **ret_bytes, size_t *ret_size,
                             struct error *err)
{
    struct named_file file = {.fs = NULL};
    char *bytes = memory_new(most + 1, 1);
    size_t size = 0;
    enum status st = STATUS_OK;

    if (bytes == NULL)
        return error_set_no_memory(err, most + 1, "a file");
    st = named_file_open(path, &file, err);
    if (st == STATUS_OK)
        st = named_file_read(&file, bytes, most, &size, err);
    named_file_close(&file);
    if (st == STATUS_OK) {
        bytes[size] = '\0';
        *ret_bytes = bytes;
        *ret_size = size;
        return STATUS_OK;
    }
    OPENSSL_cleanse(bytes, most + 1);
    memory_free(bytes);
    return error_wrap(err, "read %s", path);
}

static void forget_file(char *bytes, size_t size)
{
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, size);
    memory_free(bytes);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static enum status open_key(const struct key_text *text, const struct unlock_options *options,
                            struct keys **ret_keys, struct error *err)
{
    struct repository_key key = {{0}};
    struct secret passphrase = {.size = 0};
    enum status st = STATUS_OK;

    if (text->wrapped)
        st = secret_get(options->passphrase_file, "--passphrase-file",
                        "Passphrase of the repository's key: ", NULL, &passphrase, err);
    if (st == STATUS_OK)
        st = key_text_open(text, secret_slice(&passphrase), &key, err);
    if (st == STATUS_OK)
        st = keys_new(&key, ret_keys, err);
    secret_wipe(&passphrase);
    OPENSSL_cleanse(&key, sizeof(key));
    return st;
}

static enum status copy_ca(struct slice pem, char **ret_ca, struct error *err)
{
    char *ca = NULL;

    if (pem.size == 0)
        return STATUS_OK;
    ca = memory_new(pem.size + 1, 1);
    if (ca == NULL)
        return error_set_no_memory(err, pem.size + 1, "the CA's certificates");
    memcpy(ca, pem.data, pem.size);
    *ret_ca = ca;
    return STATUS_OK;
}

static enum status unlock_kit(const struct unlock_options *options, struct unlocked *unlocked,
                              struct error *err)
{
    struct kit kit = {.key = {.wrapped = false}};
    char *bytes = NULL;
    size_t size = 0;
    enum status st = read_file(options->kit, KIT_FILE_MAX, &bytes, &size, err);

    if (st != STATUS_OK)
        return st;
    st = kit_decode(slice_of(bytes, size), &kit, err);
    if (st == STATUS_OK) {
        unlocked->repository = kit.repository;
        unlocked->repository_known = true;
        st = copy_ca(kit.agents_ca, &unlocked->agents_ca, err);
    }
    if (st == STATUS_OK)
        st = open_key(&kit.key, options, &unlocked->keys, err);
    OPENSSL_cleanse(&kit, sizeof(kit));
    forget_file(bytes, size);
    return st == STATUS_OK ? st : error_wrap(err, "the recovery kit %s", options->kit);
}

static enum status unlock_key(const struct unlock_options *options, struct unlocked *unlocked,
                              struct error *err)
{
    struct key_text key = {.wrapped = false};
    char *bytes = NULL;
    size_t size = 0;
    enum status st = read_file(options->key, KEY_TEXT_MAX, &bytes, &size, err);

    if (st != STATUS_OK)
        return st;
    st = key_text_decode(slice_of(bytes, size), &key, err);
    if (st == STATUS_OK && key.wrapped) {
        unlocked->repository = key.wrap.repository;
        unlocked->repository_known = true;
    }
    if (st == STATUS_OK)
        st = open_key(&key, options, &unlocked->keys, err);
    OPENSSL_cleanse(&key, sizeof(key));
    forget_file(bytes, size);
    return st == STATUS_OK ? st : error_wrap(err, "the key file %s", options->key);
}

static enum status take_other_ca(const char *path, struct unlocked *unlocked, struct error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum status st = read_file(path, KIT_CA_MAX, &bytes, &size, err);

    if (st != STATUS_OK)
        return st;
    memory_free(unlocked->agents_ca);
    unlocked->agents_ca = bytes;
    return STATUS_OK;
}

enum status unlock(const struct unlock_options *options, struct unlocked *ret_unlocked,
                   struct error *err)
{
    struct unlocked unlocked = {.keys = NULL};
    enum status st = options->kit != NULL ? unlock_kit(options, &unlocked, err)
                                          : unlock_key(options, &unlocked, err);

    if (st == STATUS_OK && options->agents_ca != NULL)
        st = take_other_ca(options->agents_ca, &unlocked, err);
    if (st == STATUS_OK) {
        *ret_unlocked = unlocked;
        unlocked = (struct unlocked){.keys = NULL};
    }
    unlocked_deinit(&unlocked);
    return st;
}

void unlocked_deinit(struct unlocked *unlocked)
{
    keys_free(unlocked->keys);
    memory_free(unlocked->agents_ca);
    *unlocked = (struct unlocked){.keys = NULL};
}

/* ---- The folder ------------------------------------------------------------------------------ */

static enum status read_repository(struct fs *fs, struct repository *ret_repository,
                                   struct error *err)
{
    char text[REPOSITORY_FILE_MAX + 1];
    struct fs_file *file = NULL;
    size_t size = 0;
    enum status st = fs_open(fs, REPOSITORY_FILE, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_read_at(file, 0, text, sizeof(text), &size, err);
    if (st == STATUS_OK)
        st = repository_decode(slice_of(text, size), ret_repository, err);
    fs_close(file);
    return st;
}

enum status unlock_compare(struct unlocked *unlocked, struct fs *fs, struct teller *teller,
                           struct error *err)
{
    struct repository repository;
    struct error why = {0};
    uint8_t check[KEYS_CHECK_SIZE];
    enum status st = read_repository(fs, &repository, &why);

    if (st == STATUS_UNSUPPORTED) {
        *err = why;
        return st;
    }
    if (st != STATUS_OK) {
        teller_warn(teller,
                    "the file `" REPOSITORY_FILE "` cannot be used: %s; the packs alone must do",
                    why.text);
        return STATUS_OK;
    }
    if (unlocked->repository_known && !random_id_equal(&unlocked->repository, &repository.id)) {
        char kit[RANDOM_ID_TEXT_SIZE];
        char here[RANDOM_ID_TEXT_SIZE];

        random_id_text(&unlocked->repository, kit);
        random_id_text(&repository.id, here);
        return error_set(err, STATUS_PRECONDITION,
                         "this is repository %s, and the kit or key is that of %s", here, kit);
    }
    keys_check(unlocked->keys, check);
    if (CRYPTO_memcmp(check, repository.key_check, sizeof(check)) != 0)
        return error_set(err, STATUS_PRECONDITION, "the key is not this repository's");
    unlocked->repository = repository.id;
    unlocked->repository_known = true;
    unlocked->compared = true;
    return STATUS_OK;
}
