#include "format/xaes.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/memory.h"

enum { HALF_SIZE = 16, HALF_NONCE_SIZE = 12 };

/* `keyed` has taken in the key and is only ever copied, so that threads share it without a lock. OpenSSL wipes
 * it when it is freed. */
struct xaes_key {
    EVP_MAC_CTX *keyed;
    EVP_CIPHER *gcm;
};

static EVP_MAC_CTX *new_context(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_CMAC, NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac); /* NULL if MAC is */

    EVP_MAC_free(mac); /* the context holds its own reference */
    return context;
}

enum status xaes_key_new(const uint8_t key[XAES_KEY_SIZE], struct xaes_key **ret_key,
                         struct error *err)
{
    char aes[] = "AES-256-CBC";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, aes, 0),
        OSSL_PARAM_construct_end(),
    };
    enum status st = STATUS_OK;
    struct xaes_key *made = memory_new(1, sizeof(*made));

    if (made == NULL)
        return error_set_no_memory(err, sizeof(*made), "an XAES key");
    made->keyed = new_context();
    made->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (made->keyed == NULL || made->gcm == NULL ||
        EVP_MAC_init(made->keyed, key, XAES_KEY_SIZE, params) != 1) {
        st = error_set_openssl(err, STATUS_INTERNAL, "make an XAES-256-GCM key ready");
        goto out;
    }
    *ret_key = made;
    made = NULL;
out:
    xaes_key_free(made);
    return st;
}

void xaes_key_free(struct xaes_key *key)
{
    if (key == NULL)
        return;
    EVP_MAC_CTX_free(key->keyed);
    EVP_CIPHER_free(key->gcm);
    memory_free(key);
}

/* The key for NONCE: two AES-CMACs (C2SP, xaes-256-gcm.md: counter, 'X', 0, first half of the nonce). */
static bool derive(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                   uint8_t target[XAES_KEY_SIZE])
{
    uint8_t input[HALF_SIZE] = {0, 1, 'X', 0};
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(key->keyed);
    bool ok = context != NULL;

    memcpy(input + 4, nonce, HALF_NONCE_SIZE);
    for (uint8_t counter = 1; ok && counter <= 2; counter++) {
        size_t size = 0;

        input[1] = counter;
        /* Without a key, init() begins anew with the one that it has. */
        ok = (counter == 1 || EVP_MAC_init(context, NULL, 0, NULL) == 1) &&
             EVP_MAC_update(context, input, sizeof(input)) == 1 &&
             EVP_MAC_final(context, target + (size_t)(counter - 1) * HALF_SIZE, &size, HALF_SIZE) ==
                 1 &&
             size == HALF_SIZE;
    }
    EVP_MAC_CTX_free(context);
    return ok;
}

/* AES-256-GCM made ready for NONCE, or NULL. ENCRYPT as in EVP_CipherInit_ex2(). */
static EVP_CIPHER_CTX *begin(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                             int encrypt)
{
    uint8_t derived[XAES_KEY_SIZE];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ok =
        context != NULL && derive(key, nonce, derived) &&
        EVP_CipherInit_ex2(context, key->gcm, derived, nonce + HALF_NONCE_SIZE, encrypt, NULL) == 1;

    OPENSSL_cleanse(derived, sizeof(derived));
    if (ok)
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

/* FROM into TARGET; TARGET NULL: FROM is associated data. */
static bool update(EVP_CIPHER_CTX *context, uint8_t *target, struct slice from)
{
    int done = 0;

    return from.size == 0 ||
           (EVP_CipherUpdate(context, target, &done, from.data, (int)from.size) == 1 &&
            (size_t)done == from.size);
}

static bool countable(struct slice associated, struct slice text)
{
    return associated.size <= INT_MAX && text.size <= INT_MAX; /* OpenSSL counts in int */
}

enum status xaes_seal(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                      struct slice associated, struct slice plain, uint8_t *target,
                      struct error *err)
{
    if (!countable(associated, plain))
        return error_set(err, STATUS_INVALID, "%zu bytes are too many to seal at once", plain.size);

    int rest = 0;
    EVP_CIPHER_CTX *context = begin(key, nonce, 1);
    bool ok =
        context != NULL && update(context, NULL, associated) && update(context, target, plain) &&
        EVP_CipherFinal_ex(context, target + plain.size, &rest) == 1 && rest == 0 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, XAES_TAG_SIZE, target + plain.size) ==
            1;

    EVP_CIPHER_CTX_free(context);
    if (!ok)
        return error_set_openssl(err, STATUS_INTERNAL, "seal %zu bytes", plain.size);
    return STATUS_OK;
}

enum status xaes_open(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                      struct slice associated, struct slice sealed, uint8_t *target,
                      struct error *err)
{
    if (sealed.size < XAES_TAG_SIZE)
        return error_set(err, STATUS_CORRUPT, "%zu sealed bytes are less than their tag",
                         sealed.size);
    if (!countable(associated, sealed))
        return error_set(err, STATUS_INVALID, "%zu bytes are too many to open at once",
                         sealed.size);

    struct slice text = slice_of(sealed.data, sealed.size - XAES_TAG_SIZE);
    uint8_t tag[XAES_TAG_SIZE];
    int rest = 0;
    enum status st = STATUS_OK;
    EVP_CIPHER_CTX *context = begin(key, nonce, 0);

    memcpy(tag, sealed.data + text.size, XAES_TAG_SIZE);
    if (context == NULL || !update(context, NULL, associated) || !update(context, target, text) ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, XAES_TAG_SIZE, tag) != 1) {
        st = error_set_openssl(err, STATUS_INTERNAL, "open %zu sealed bytes", sealed.size);
    } else if (EVP_CipherFinal_ex(context, tag, &rest) != 1) {
        ERR_clear_error();
        st = error_set(err, STATUS_CORRUPT,
                       "%zu sealed bytes were changed, or sealed by another key", sealed.size);
    }
    EVP_CIPHER_CTX_free(context);
    if (st != STATUS_OK && text.size > 0)
        OPENSSL_cleanse(target, text.size);
    return st;
}
