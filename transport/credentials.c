#include "transport/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"

enum { FILE_MAX = 64 * 1024 }; /* a PEM file of more bytes is none of ours */

#define CA_FILE          "ca.pem"
#define CERTIFICATE_FILE "cert.pem"
#define KEY_FILE         "key.pem"

/* While they are being checked. */
struct checking {
    STACK_OF(X509) * ca;
    STACK_OF(X509) * chain; /* ours first */
    EVP_PKEY *key;
};

/* ---- Files ----------------------------------------------------------------------------------- */

/* Wiped on failure too: one of them is the key. */
static enum status read_file(struct fs *fs, const char *name, char **ret_text, struct error *err)
{
    struct fs_file *file = NULL;
    char *text = NULL;
    uint64_t size = 0;
    enum status st = fs_open(fs, name, FS_READ, &file, err);

    if (st != STATUS_OK)
        return st;
    st = fs_size(file, &size, err);
    if (st != STATUS_OK)
        goto out;
    if (size == 0 || size > FILE_MAX) {
        st = error_set(err, STATUS_INVALID, "%s is %s", name,
                       size == 0 ? "empty" : "too large to be a PEM file of ours");
        goto out;
    }
    text = memory_new((size_t)size + 1, 1);
    if (text == NULL) {
        st = error_set_no_memory(err, (size_t)size + 1, name);
        goto out;
    }
    st = fs_read_exactly_at(file, 0, text, (size_t)size, err);
    if (st == STATUS_OK && memchr(text, '\0', (size_t)size) != NULL)
        st = error_set(err, STATUS_INVALID, "%s is not PEM: it contains a zero byte", name);
    if (st != STATUS_OK)
        goto out;
    *ret_text = text;
    text = NULL;
out:
    if (text != NULL)
        OPENSSL_cleanse(text, (size_t)size);
    memory_free(text);
    fs_close(file);
    return st;
}

static enum status check_key_is_private(const char *dir, struct error *err)
{
    char path[FS_PATH_SIZE];
    struct stat info;

    if (!text_format(path, sizeof(path), "%s/%s", dir, KEY_FILE))
        return error_set(err, STATUS_INVALID, "the path of the folder is too long");
    if (lstat(path, &info) != 0)
        return error_set_errno(err, errno, "look at %s", KEY_FILE);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set(
            err, STATUS_PRECONDITION,
            "others than its owner may use the private key %s/%s; run: chmod 600 %s/%s", dir,
            KEY_FILE, dir, KEY_FILE);
    return STATUS_OK;
}

/* ---- What is in them --------------------------------------------------------------------------- */

/* An encrypted key: nobody is asked for its password. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's signature */
static int no_password(char *text, int size, int writing, void *context)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* All certificates in PEM, in their order; at least one. */
static enum status parse_certificates(const char *pem, const char *name, STACK_OF(X509) * certs,
                                      struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    enum status st = STATUS_OK;

    if (bio == NULL)
        return error_set_openssl(err, STATUS_EXHAUSTED, "read %s", name);
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);

        if (cert == NULL)
            break;
        if (sk_X509_push(certs, cert) <= 0) {
            X509_free(cert);
            st = error_set_openssl(err, STATUS_EXHAUSTED, "read %s", name);
            goto out;
        }
    }
    /* What ends a good file: no more PEM in it. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || sk_X509_num(certs) == 0)
        st = error_set_openssl(err, STATUS_INVALID,
                               "%s must hold certificates in PEM (-----BEGIN CERTIFICATE-----)",
                               name);
out:
    ERR_clear_error();
    BIO_free(bio);
    return st;
}

static enum status parse_key(const char *pem, EVP_PKEY **ret_key, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = NULL;
    char group[32] = "";
    size_t length = 0;

    if (bio == NULL)
        return error_set_openssl(err, STATUS_EXHAUSTED, "read %s", KEY_FILE);
    key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error(); /* OpenSSL's words on a key file tell the reader nothing */
    if (key == NULL)
        return error_set(err, STATUS_INVALID,
                         "%s must hold a private key in PEM, without a password", KEY_FILE);
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof(group), &length) != 1 ||
        strcmp(group, SN_X9_62_prime256v1) != 0) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return error_set(err, STATUS_INVALID, "the key in %s must be an ECDSA key on P-256",
                         KEY_FILE);
    }
    *ret_key = key;
    return STATUS_OK;
}

static enum status find_name(X509 *cert, char name[CREDENTIALS_NAME_SIZE], struct error *err)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    bool good = at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0;
    const ASN1_STRING *value =
        good ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) : NULL;
    int length = value != NULL ? ASN1_STRING_length(value) : 0;

    good = good && length >= 1 && length < CREDENTIALS_NAME_SIZE;
    for (int i = 0; good && i < length; i++)
        good = ASN1_STRING_get0_data(value)[i] >= ' ' && ASN1_STRING_get0_data(value)[i] <= '~';
    if (!good)
        return error_set(
            err, STATUS_INVALID,
            "the subject in %s must have one common name, of 1 to %d printable ASCII characters",
            CERTIFICATE_FILE, CREDENTIALS_NAME_SIZE - 1);
    memcpy(name, ASN1_STRING_get0_data(value), (size_t)length);
    name[length] = '\0';
    return STATUS_OK;
}

/* What OpenSSL's verdict means, and what to do. */
static enum status refuse_certificate(X509_STORE_CTX *context, struct error *err)
{
    int verdict = X509_STORE_CTX_get_error(context);
    const char *which = X509_STORE_CTX_get_error_depth(context) > 0 ? CA_FILE : CERTIFICATE_FILE;

    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return error_set(err, STATUS_INVALID,
                         "the certificate in %s has expired; have a new one made, or set the clock",
                         which);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return error_set(err, STATUS_INVALID,
                         "the certificate in %s is not valid yet; wait, or set the clock", which);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return error_set(
            err, STATUS_INVALID,
            "the certificate in %s is not signed by the CA in %s; take both from one CA",
            CERTIFICATE_FILE, CA_FILE);
    default:
        return error_set(err, STATUS_INVALID, "the certificate in %s is not good: %s", which,
                         X509_verify_cert_error_string(verdict));
    }
}

/* Signed by the CA, and valid now. */
static enum status check_chain(const struct checking *checking, struct error *err)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    enum status st = STATUS_OK;
    bool ready = store != NULL && context != NULL;

    for (int i = 0; ready && i < sk_X509_num(checking->ca); i++)
        ready = X509_STORE_add_cert(store, sk_X509_value(checking->ca, i)) == 1;
    if (!ready || X509_STORE_CTX_init(context, store, sk_X509_value(checking->chain, 0),
                                      checking->chain) != 1) {
        st = error_set_openssl(err, STATUS_EXHAUSTED, "prepare to check %s", CERTIFICATE_FILE);
        goto out;
    }
    if (X509_verify_cert(context) != 1)
        st = refuse_certificate(context, err);
out:
    ERR_clear_error();
    X509_STORE_CTX_free(context); /* NULL is fine, for both */
    X509_STORE_free(store);
    return st;
}

static enum status check(struct checking *checking, struct credentials *credentials,
                         struct error *err)
{
    enum status st = STATUS_OK;

    checking->ca = sk_X509_new_null();
    checking->chain = sk_X509_new_null();
    if (checking->ca == NULL || checking->chain == NULL)
        return error_set_openssl(err, STATUS_EXHAUSTED, "prepare to read certificates");
    st = parse_certificates(credentials->ca_pem, CA_FILE, checking->ca, err);
    if (st == STATUS_OK)
        st = parse_certificates(credentials->certificate_pem, CERTIFICATE_FILE, checking->chain,
                                err);
    if (st == STATUS_OK)
        st = parse_key(credentials->key_pem, &checking->key, err);
    if (st != STATUS_OK)
        return st;
    if (X509_check_private_key(sk_X509_value(checking->chain, 0), checking->key) != 1) {
        ERR_clear_error();
        return error_set(err, STATUS_INVALID,
                         "the key in %s is not that of the certificate in %s; put both in again",
                         KEY_FILE, CERTIFICATE_FILE);
    }
    st = check_chain(checking, err);
    if (st == STATUS_OK)
        st = find_name(sk_X509_value(checking->chain, 0), credentials->name, err);
    return st;
}

static void checking_deinit(struct checking *checking)
{
    sk_X509_pop_free(checking->ca, X509_free); /* NULL is fine, for all */
    sk_X509_pop_free(checking->chain, X509_free);
    EVP_PKEY_free(checking->key);
}

enum status credentials_load(const char *dir, struct credentials *ret_credentials,
                             struct error *err)
{
    struct credentials credentials = {0};
    struct checking checking = {0};
    struct fs *fs = NULL;
    enum status st = fs_posix_new(dir, &fs, err);

    if (st == STATUS_OK)
        st = read_file(fs, CA_FILE, &credentials.ca_pem, err);
    if (st == STATUS_OK)
        st = read_file(fs, CERTIFICATE_FILE, &credentials.certificate_pem, err);
    if (st == STATUS_OK)
        st = check_key_is_private(dir, err);
    if (st == STATUS_OK)
        st = read_file(fs, KEY_FILE, &credentials.key_pem, err);
    if (st == STATUS_OK)
        st = check(&checking, &credentials, err);
    if (st == STATUS_OK) {
        *ret_credentials = credentials;
        credentials = (struct credentials){0};
    } else {
        (void)error_wrap(err, "credentials in %s", dir);
    }
    checking_deinit(&checking);
    credentials_deinit(&credentials);
    fs_free(fs);
    return st;
}

void credentials_deinit(struct credentials *credentials)
{
    if (credentials->key_pem != NULL)
        OPENSSL_cleanse(credentials->key_pem, strlen(credentials->key_pem));
    memory_free(credentials->key_pem);
    memory_free(credentials->certificate_pem);
    memory_free(credentials->ca_pem);
    *credentials = (struct credentials){0};
}
