#include "format/keys.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/memory.h"
#include "base/text.h"

#define LABEL_DATA      "tidemark v0 data"
#define LABEL_STRUCTURE "tidemark v0 structure"
#define LABEL_ID        "tidemark v0 id"
#define LABEL_CHECK     "tidemark v0 check"
#define LABEL_LOG       "tidemark v0 log"

enum { LABEL_MAX = 32 };

struct keys {
    struct repository_key repository;
    struct xaes_key *data;
    struct xaes_key *structure;
    uint8_t check[KEYS_CHECK_SIZE];
};

/* SIZE bytes to TARGET under LABEL, and NAME's bytes behind it where there is one. */
static enum status derive(const struct repository_key *key, const char *label,
                          const struct random_id *name, uint8_t *target, size_t size,
                          struct error *err)
{
    char sha256[] = "SHA2-256";
    uint8_t secret[REPOSITORY_KEY_SIZE];
    uint8_t info[LABEL_MAX + RANDOM_ID_SIZE];
    struct slice words = slice_of_text(label);
    size_t info_size = words.size;

    memcpy(secret, key->bytes, sizeof(secret));
    memcpy(info, words.data, words.size);
    if (name != NULL) {
        memcpy(info + info_size, name->bytes, RANDOM_ID_SIZE);
        info_size += RANDOM_ID_SIZE;
    }

    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_size),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf); /* NULL if KDF is */
    enum status st = STATUS_OK;

    if (context == NULL || EVP_KDF_derive(context, target, size, params) != 1)
        st = error_set_openssl(err, STATUS_INTERNAL, "derive the key \"%s\"", label);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(secret, sizeof(secret));
    return st;
}

static enum status new_payload_key(const struct repository_key *key, const char *label,
                                   struct xaes_key **ret_key, struct error *err)
{
    uint8_t bytes[XAES_KEY_SIZE];
    enum status st = derive(key, label, NULL, bytes, sizeof(bytes), err);

    if (st == STATUS_OK)
        st = xaes_key_new(bytes, ret_key, err);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return st;
}

enum status keys_new(const struct repository_key *key, struct keys **ret_keys, struct error *err)
{
    struct keys *made = memory_new(1, sizeof(*made));

    if (made == NULL)
        return error_set_no_memory(err, sizeof(*made), "a repository's keys");
    made->repository = *key;

    enum status st = new_payload_key(key, LABEL_DATA, &made->data, err);

    if (st != STATUS_OK)
        goto out;
    st = new_payload_key(key, LABEL_STRUCTURE, &made->structure, err);
    if (st != STATUS_OK)
        goto out;
    st = derive(key, LABEL_CHECK, NULL, made->check, sizeof(made->check), err);
    if (st != STATUS_OK)
        goto out;
    *ret_keys = made;
    made = NULL;
out:
    keys_free(made);
    return st;
}

void keys_free(struct keys *keys)
{
    if (keys == NULL)
        return;
    xaes_key_free(keys->data);
    xaes_key_free(keys->structure);
    OPENSSL_cleanse(keys, sizeof(*keys));
    memory_free(keys);
}

const struct xaes_key *keys_payload(const struct keys *keys, uint8_t kind)
{
    return kind == KIND_BLOCK || kind == KIND_BODY ? keys->data : keys->structure;
}

const struct xaes_key *keys_structure(const struct keys *keys)
{
    return keys->structure;
}

void keys_check(const struct keys *keys, uint8_t ret_check[KEYS_CHECK_SIZE])
{
    memcpy(ret_check, keys->check, KEYS_CHECK_SIZE);
}

enum status keys_id_key(const struct keys *keys, const struct random_id *domain,
                        uint8_t ret_key[KEYS_ID_KEY_SIZE], struct error *err)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    enum status st = derive(&keys->repository, LABEL_ID, domain, bytes, sizeof(bytes), err);

    if (st == STATUS_OK)
        memcpy(ret_key, bytes, KEYS_ID_KEY_SIZE);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return st;
}

enum status keys_log_signer(const struct keys *keys, const struct random_id *writer,
                            struct sign_key **ret_key, struct error *err)
{
    uint8_t seed[SIGN_SEED_SIZE];
    enum status st = derive(&keys->repository, LABEL_LOG, writer, seed, sizeof(seed), err);

    if (st == STATUS_OK)
        st = sign_key_from_seed(seed, ret_key, err);
    OPENSSL_cleanse(seed, sizeof(seed));
    return st;
}

void key_file_encode(const struct repository_key *key, char text[KEY_FILE_SIZE])
{
    text_hex(slice_of(key->bytes, REPOSITORY_KEY_SIZE), text);
    text[KEY_FILE_SIZE - 1] = '\n'; /* where the NUL was */
}

enum status key_file_decode(struct slice text, struct repository_key *ret_key, struct error *err)
{
    if (text.size != KEY_FILE_SIZE || text.data[KEY_FILE_SIZE - 1] != '\n' ||
        !text_parse_hex(slice_of(text.data, KEY_FILE_SIZE - 1), ret_key->bytes,
                        REPOSITORY_KEY_SIZE))
        return error_set(err, STATUS_INVALID,
                         "a repository key is %d hexadecimal digits (0-9, a-f) and a line feed, "
                         "and nothing else",
                         KEY_FILE_SIZE - 1);
    return STATUS_OK;
}
