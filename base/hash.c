#include "base/hash.h"

#include <isa-l/crc.h>
#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/memory.h"

enum status hash_sha256(struct slice bytes, struct hash_digest *ret_digest, struct error *err)
{
    struct hash_digest digest;

    if (EVP_Digest(bytes.data, bytes.size, digest.bytes, NULL, EVP_sha256(), NULL) != 1)
        return error_set_openssl(err, STATUS_INTERNAL, "SHA-256 of %zu bytes", bytes.size);
    *ret_digest = digest;
    return STATUS_OK;
}

/* A context that has taken in the key. It is never updated itself, only copied: so threads share it
 * without a lock. OpenSSL wipes it when it is freed. */
struct hash_key {
    EVP_MAC_CTX *keyed;
};

static EVP_MAC_CTX *new_context(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac); /* NULL if MAC is */

    EVP_MAC_free(mac); /* the context holds its own reference */
    return context;
}

enum status hash_key_new(struct slice key, struct hash_key **ret_key, struct error *err)
{
    char sha256[] = "SHA2-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end(),
    };
    enum status st = STATUS_OK;
    struct hash_key *made = memory_new(1, sizeof(*made));

    if (made == NULL)
        return error_set_no_memory(err, sizeof(*made), "a hash key");
    made->keyed = new_context();
    if (made->keyed == NULL || EVP_MAC_init(made->keyed, key.data, key.size, params) != 1) {
        st = error_set_openssl(err, STATUS_INTERNAL, "make an HMAC-SHA-256 key ready");
        goto out;
    }
    *ret_key = made;
    made = NULL;
out:
    hash_key_free(made);
    return st;
}

void hash_key_free(struct hash_key *key)
{
    if (key == NULL)
        return;
    EVP_MAC_CTX_free(key->keyed);
    memory_free(key);
}

enum status hash_hmac(const struct hash_key *key, const struct slice *parts, size_t count,
                      struct hash_digest *ret_digest, struct error *err)
{
    struct hash_digest digest;
    size_t size = 0;
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(key->keyed);
    bool ok = context != NULL;

    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_MAC_update(context, parts[i].data, parts[i].size) == 1;
    ok = ok && EVP_MAC_final(context, digest.bytes, &size, sizeof(digest.bytes)) == 1 &&
         size == sizeof(digest.bytes);
    EVP_MAC_CTX_free(context);
    if (!ok)
        return error_set_openssl(err, STATUS_INTERNAL, "HMAC-SHA-256 of %zu parts", count);
    *ret_digest = digest;
    return STATUS_OK;
}

uint32_t hash_crc32c(uint32_t crc, struct slice bytes)
{
    const uint8_t *next = bytes.data;
    size_t left = bytes.size;

    /* ISA-L counts in int, takes a pointer to what it only reads, and leaves the inversion before and
     * after (RFC 3720, B.4) to us. */
    crc = ~crc;
    while (left > 0) {
        int part = left > INT_MAX ? INT_MAX : (int)left;

        crc = crc32_iscsi((unsigned char *)next, part, crc);
        next += part;
        left -= (size_t)part;
    }
    return ~crc;
}
