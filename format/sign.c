#include "format/sign.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/memory.h"

enum {
    HALF_SIZE = SIGN_SIZE / 2, /* r, s, and each coordinate */
    DER_MAX = 72,              /* of an ECDSA-Sig-Value over P-256 */
    POINT_UNCOMPRESSED = 4,    /* SEC 1, 2.3.3 */
    SECURITY_LEVEL = 2,        /* OpenSSL's: 112 bits, so neither SHA-1 nor RSA below 2,048 bits */
    NAME_MAX_BYTES = SIGN_NAME_SIZE - 1,
};

struct sign_key {
    EVP_PKEY *key;
    uint8_t public[SIGN_PUBLIC_SIZE];
};

struct sign_public {
    EVP_PKEY *key;
};

/* A PEM block may say that it is encrypted; OpenSSL would ask the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int refuse_password(char *text, int size, int writing, void *arg)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32] = "";
    size_t size = 0;

    return EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* One coordinate of KEY's point, by its parameter's name. */
static bool coordinate(const EVP_PKEY *key, const char *name, uint8_t target[HALF_SIZE])
{
    BIGNUM *value = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, name, &value) == 1 &&
              BN_bn2binpad(value, target, HALF_SIZE) == HALF_SIZE;

    BN_free(value);
    return ok;
}

/* Takes KEY, whatever comes of it. */
static enum status new_key(EVP_PKEY *take_key, struct sign_key **ret_key, struct error *err)
{
    enum status st = STATUS_OK;
    struct sign_key *made = memory_new(1, sizeof(*made));

    if (made == NULL) {
        EVP_PKEY_free(take_key);
        return error_set_no_memory(err, sizeof(*made), "a signing key");
    }
    made->key = take_key;
    made->public[0] = POINT_UNCOMPRESSED;
    if (!coordinate(take_key, OSSL_PKEY_PARAM_EC_PUB_X, made->public + 1) ||
        !coordinate(take_key, OSSL_PKEY_PARAM_EC_PUB_Y, made->public + 1 + HALF_SIZE)) {
        st = error_set_openssl(err, STATUS_INTERNAL, "take a signing key's public half");
        goto out;
    }
    *ret_key = made;
    made = NULL;
out:
    sign_key_free(made);
    return st;
}

enum status sign_key_from_pem(const char *pem, struct sign_key **ret_key, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = NULL;

    if (bio == NULL)
        return error_set_openssl(err, STATUS_INTERNAL, "read a private key");
    key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, NULL);
    BIO_free(bio);
    if (key == NULL)
        return error_set_openssl(err, STATUS_INVALID, "this is no unencrypted PEM private key");
    if (!is_p256(key)) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return error_set(err, STATUS_INVALID, "the private key is not of P-256; make such a one");
    }
    return new_key(key, ret_key, err);
}

/* 1 + (SEED mod (n - 1)) of GROUP (FIPS 186-5, A.2.1: SEED has 128 bits more than n), and its point. */
static bool number_and_point(const EC_GROUP *group, const uint8_t seed[SIGN_SEED_SIZE],
                             BN_CTX *scratch, uint8_t ret_private[HALF_SIZE],
                             uint8_t ret_public[SIGN_PUBLIC_SIZE])
{
    BIGNUM *number = BN_bin2bn(seed, SIGN_SEED_SIZE, NULL);
    BIGNUM *below = BN_dup(EC_GROUP_get0_order(group));
    EC_POINT *point = EC_POINT_new(group);
    bool ok = number != NULL && below != NULL && point != NULL && BN_sub_word(below, 1) == 1;

    if (ok) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        ok = BN_nnmod(number, number, below, scratch) == 1 && BN_add_word(number, 1) == 1 &&
             BN_bn2nativepad(number, ret_private, HALF_SIZE) == HALF_SIZE &&
             EC_POINT_mul(group, point, number, NULL, NULL, scratch) == 1 &&
             EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, ret_public,
                                SIGN_PUBLIC_SIZE, scratch) == SIGN_PUBLIC_SIZE;
    }
    EC_POINT_free(point);
    BN_free(below);
    BN_clear_free(number);
    return ok;
}

/* PRIVATE (a native-endian number) NULL: a public key alone. NULL: OpenSSL refuses it. */
static EVP_PKEY *key_from_numbers(uint8_t *private, uint8_t public[SIGN_PUBLIC_SIZE])
{
    char group[] = SN_X9_62_prime256v1;
    OSSL_PARAM params[4] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public, SIGN_PUBLIC_SIZE),
        OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (private != NULL)
        params[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, private, HALF_SIZE);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, private != NULL ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                          params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

enum status sign_key_from_seed(const uint8_t seed[SIGN_SEED_SIZE], struct sign_key **ret_key,
                               struct error *err)
{
    uint8_t private[HALF_SIZE];
    uint8_t public[SIGN_PUBLIC_SIZE];
    EVP_PKEY *key = NULL;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    BN_CTX *scratch = BN_CTX_secure_new();

    if (group != NULL && scratch != NULL && number_and_point(group, seed, scratch, private, public))
        key = key_from_numbers(private, public);
    OPENSSL_cleanse(private, sizeof(private));
    BN_CTX_free(scratch);
    EC_GROUP_free(group);
    if (key == NULL)
        return error_set_openssl(err, STATUS_INTERNAL, "make a signing key of its seed");
    return new_key(key, ret_key, err);
}

void sign_key_free(struct sign_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key); /* wipes */
    memory_free(key);
}

void sign_key_public(const struct sign_key *key, uint8_t ret_public[SIGN_PUBLIC_SIZE])
{
    memcpy(ret_public, key->public, SIGN_PUBLIC_SIZE);
}

/* r and s of DER, as we keep them. */
static bool raw_from_der(const uint8_t *der, size_t size, uint8_t target[SIGN_SIZE])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
    bool ok = pair != NULL &&
              BN_bn2binpad(ECDSA_SIG_get0_r(pair), target, HALF_SIZE) == HALF_SIZE &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), target + HALF_SIZE, HALF_SIZE) == HALF_SIZE;

    ECDSA_SIG_free(pair);
    return ok;
}

/* The inverse; 0: OpenSSL failed. */
static size_t der_from_raw(const uint8_t raw[SIGN_SIZE], uint8_t target[DER_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, HALF_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(raw + HALF_SIZE, HALF_SIZE, NULL);
    uint8_t *end = target;
    int size = 0;

    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = NULL; /* the pair's now */
        s = NULL;
        if (i2d_ECDSA_SIG(pair, NULL) <= DER_MAX)
            size = i2d_ECDSA_SIG(pair, &end);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return size > 0 ? (size_t)size : 0;
}

enum status sign_message(const struct sign_key *key, const char *context, struct slice message,
                         uint8_t ret_signature[SIGN_SIZE], struct error *err)
{
    uint8_t der[DER_MAX];
    uint8_t raw[SIGN_SIZE];
    size_t size = sizeof(der);
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    bool ok = signing != NULL &&
              EVP_DigestSignInit_ex(signing, NULL, "SHA256", NULL, NULL, key->key, NULL) == 1 &&
              EVP_DigestSignUpdate(signing, context, strlen(context) + 1) == 1 &&
              EVP_DigestSignUpdate(signing, message.data, message.size) == 1 &&
              EVP_DigestSignFinal(signing, der, &size) == 1 && raw_from_der(der, size, raw);

    EVP_MD_CTX_free(signing);
    if (!ok)
        return error_set_openssl(err, STATUS_INTERNAL, "sign %zu bytes", message.size);
    memcpy(ret_signature, raw, SIGN_SIZE);
    return STATUS_OK;
}

/* Takes KEY, whatever comes of it. */
static enum status new_public(EVP_PKEY *take_key, struct sign_public **ret_public,
                              struct error *err)
{
    struct sign_public *made = memory_new(1, sizeof(*made));

    if (made == NULL) {
        EVP_PKEY_free(take_key);
        return error_set_no_memory(err, sizeof(*made), "a public key");
    }
    made->key = take_key;
    *ret_public = made;
    return STATUS_OK;
}

enum status sign_public_from_bytes(const uint8_t bytes[SIGN_PUBLIC_SIZE],
                                   struct sign_public **ret_public, struct error *err)
{
    uint8_t copy[SIGN_PUBLIC_SIZE];
    EVP_PKEY *key = NULL;

    memcpy(copy, bytes, sizeof(copy));
    if (copy[0] == POINT_UNCOMPRESSED)
        key = key_from_numbers(NULL, copy);
    if (key == NULL) {
        ERR_clear_error();
        return error_set(err, STATUS_INVALID, "these bytes are no public key of P-256");
    }
    return new_public(key, ret_public, err);
}

void sign_public_free(struct sign_public *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key);
    memory_free(key);
}

enum status sign_check(const struct sign_public *key, const char *context, struct slice message,
                       const uint8_t signature[SIGN_SIZE], struct error *err)
{
    uint8_t der[DER_MAX];
    size_t size = der_from_raw(signature, der);
    EVP_MD_CTX *checking = EVP_MD_CTX_new();
    int result = -1;

    if (size > 0 && checking != NULL &&
        EVP_DigestVerifyInit_ex(checking, NULL, "SHA256", NULL, NULL, key->key, NULL) == 1 &&
        EVP_DigestVerifyUpdate(checking, context, strlen(context) + 1) == 1 &&
        EVP_DigestVerifyUpdate(checking, message.data, message.size) == 1)
        result = EVP_DigestVerifyFinal(checking, der, size);
    EVP_MD_CTX_free(checking);
    if (result < 0)
        return error_set_openssl(err, STATUS_INTERNAL, "check a signature over %zu bytes",
                                 message.size);
    if (result == 0) {
        ERR_clear_error();
        return error_set(err, STATUS_CORRUPT,
                         "the signature over %zu bytes is not this key's, for \"%s\"", message.size,
                         context);
    }
    return STATUS_OK;
}

enum status sign_certificate_der(const char *pem, struct buffer *ret_der, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = NULL;
    uint8_t *der = NULL;
    enum status st = STATUS_OK;
    int size = 0;

    if (bio == NULL)
        return error_set_openssl(err, STATUS_INTERNAL, "read a certificate");
    certificate = PEM_read_bio_X509(bio, NULL, refuse_password, NULL);
    if (certificate == NULL) {
        st = error_set_openssl(err, STATUS_INVALID, "this is no PEM certificate");
        goto out;
    }
    size = i2d_X509(certificate, &der);
    if (size <= 0) {
        st = error_set_openssl(err, STATUS_INTERNAL, "encode a certificate");
        goto out;
    }
    if (size > SIGN_CERTIFICATE_MAX) {
        st = error_set(err, STATUS_INVALID, "the certificate has %d bytes; at most %d are taken",
                       size, SIGN_CERTIFICATE_MAX);
        goto out;
    }
    buffer_put(ret_der, slice_of(der, (size_t)size));
    st = buffer_check(ret_der, "a certificate", err);
out:
    OPENSSL_free(der);
    X509_free(certificate);
    BIO_free(bio);
    return st;
}

/* The certificates of PEM, one at least, nothing but certificates. */
static enum status load_store(const char *pem, X509_STORE *store, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = NULL;
    size_t count = 0;

    if (bio == NULL)
        return error_set_openssl(err, STATUS_INTERNAL, "read the CA's certificates");
    while ((certificate = PEM_read_bio_X509(bio, NULL, refuse_password, NULL)) != NULL) {
        int added = X509_STORE_add_cert(store, certificate);

        X509_free(certificate); /* the store holds its own reference */
        if (added != 1) {
            BIO_free(bio);
            return error_set_openssl(err, STATUS_INTERNAL, "take a CA's certificate");
        }
        count++;
    }
    BIO_free(bio);
    if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return error_set_openssl(err, STATUS_INVALID, "the CA's PEM certificate %zu cannot be read",
                                 count + 1);
    ERR_clear_error(); /* "no start line" is how the end is told */
    return STATUS_OK;
}

static enum status parse_certificate(struct slice der, X509 **ret_certificate, struct error *err)
{
    const uint8_t *next = der.data;
    X509 *certificate = NULL;

    if (der.size > 0 && der.size <= SIGN_CERTIFICATE_MAX)
        certificate = d2i_X509(NULL, &next, (long)der.size);
    if (certificate == NULL || next != der.data + der.size) {
        X509_free(certificate);
        ERR_clear_error();
        return error_set(err, STATUS_INVALID, "%zu bytes are no certificate", der.size);
    }
    if (X509_get0_pubkey(certificate) == NULL || !is_p256(X509_get0_pubkey(certificate))) {
        X509_free(certificate);
        ERR_clear_error();
        return error_set(err, STATUS_INVALID, "the certificate is not over a P-256 key");
    }
    *ret_certificate = certificate;
    return STATUS_OK;
}

/* Seconds, rounded down: also before 1970. */
static time_t seconds_of(int64_t time_us)
{
    int64_t seconds = time_us / 1000000;

    return (time_t)(time_us % 1000000 < 0 ? seconds - 1 : seconds);
}

/* No partial chains, no purpose: which CA signs whom is what tells hosts from consoles. */
static enum status verify(X509 *certificate, X509_STORE *store, int64_t time_us, struct error *err)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    enum status st = STATUS_OK;

    if (context == NULL || X509_STORE_CTX_init(context, store, certificate, NULL) != 1) {
        st = error_set_openssl(err, STATUS_INTERNAL, "check a certificate");
        goto out;
    }

    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);

    X509_VERIFY_PARAM_set_time(param, seconds_of(time_us));
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    if (X509_verify_cert(context) != 1) {
        int code = X509_STORE_CTX_get_error(context);

        ERR_clear_error();
        st = error_set(err, code == X509_V_ERR_OUT_OF_MEM ? STATUS_INTERNAL : STATUS_DENIED,
                       "the CA does not vouch for the certificate: %s",
                       X509_verify_cert_error_string(code));
    }
out:
    X509_STORE_CTX_free(context);
    return st;
}

/* The one common name: 1 to 64 printable ASCII characters. */
static enum status name_of(const X509 *certificate, char ret_name[SIGN_NAME_SIZE],
                           struct error *err)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    uint8_t *text = NULL;
    int size = 0;
    bool ok = at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0;

    if (ok)
        size =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    ok = ok && size >= 1 && size <= NAME_MAX_BYTES;
    for (int i = 0; ok && i < size; i++)
        ok = text[i] >= ' ' && text[i] <= '~';
    if (ok) {
        memcpy(ret_name, text, (size_t)size);
        ret_name[size] = '\0';
    }
    OPENSSL_free(text);
    ERR_clear_error();
    if (!ok)
        return error_set(err, STATUS_DENIED,
                         "the certificate does not bear exactly one common name of 1 to %d "
                         "printable ASCII characters",
                         NAME_MAX_BYTES);
    return STATUS_OK;
}

enum status sign_certificate_check(struct slice der, const char *ca_pem, int64_t time_us,
                                   char ret_name[SIGN_NAME_SIZE], struct sign_public **ret_public,
                                   struct error *err)
{
    X509 *certificate = NULL;
    X509_STORE *store = NULL;
    EVP_PKEY *key = NULL;
    char name[SIGN_NAME_SIZE];
    enum status st = parse_certificate(der, &certificate, err);

    if (st != STATUS_OK)
        goto out;
    store = X509_STORE_new();
    if (store == NULL) {
        st = error_set_openssl(err, STATUS_INTERNAL, "check a certificate");
        goto out;
    }
    st = load_store(ca_pem, store, err);
    if (st != STATUS_OK)
        goto out;
    st = verify(certificate, store, time_us, err);
    if (st != STATUS_OK)
        goto out;
    if (X509_check_ca(certificate) != 0) {
        st = error_set(err, STATUS_DENIED, "the certificate is a CA's, not a host's");
        goto out;
    }
    st = name_of(certificate, name, err);
    if (st != STATUS_OK)
        goto out;
    key = X509_get_pubkey(certificate);
    if (key == NULL) {
        st = error_set_openssl(err, STATUS_INTERNAL, "take a certificate's key");
        goto out;
    }
    st = new_public(key, ret_public, err);
    if (st == STATUS_OK)
        memcpy(ret_name, name, sizeof(name));
out:
    X509_STORE_free(store);
    X509_free(certificate);
    return st;
}
