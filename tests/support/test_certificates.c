#include "tests/support/test_certificates.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/slice.h"

struct test_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension = NULL;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    INVARIANT(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_validity(X509 *certificate, enum test_validity validity)
{
    const char *from = validity == TEST_NOT_YET ? "20990101000000Z" : "20000101000000Z";
    const char *until = validity == TEST_EXPIRED ? "20010101000000Z" : "21000101000000Z";

    INVARIANT(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), from) == 1);
    INVARIANT(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), until) == 1);
}

/* A certificate over KEY, without extensions and not signed. */
static X509 *certificate_new(EVP_PKEY *key, const char *name, X509_NAME *issuer,
                             enum test_validity validity)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_NAME_new();
    unsigned char serial[8];

    INVARIANT(certificate != NULL && subject != NULL && RAND_bytes(serial, sizeof(serial)) == 1);
    INVARIANT(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
                                         -1, -1, 0) == 1);
    INVARIANT(X509_set_version(certificate, X509_VERSION_3) == 1);
    serial[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);

    INVARIANT(number != NULL);
    INVARIANT(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL);
    BN_free(number);
    set_validity(certificate, validity);
    INVARIANT(X509_set_subject_name(certificate, subject) == 1);
    INVARIANT(X509_set_issuer_name(certificate, issuer != NULL ? issuer : subject) == 1);
    INVARIANT(X509_set_pubkey(certificate, key) == 1);
    X509_NAME_free(subject);
    return certificate;
}

struct test_ca *test_certificates_ca_new(const char *name)
{
    struct test_ca *ca = memory_new(1, sizeof(*ca));

    INVARIANT(ca != NULL);
    ca->key = EVP_EC_gen("P-256");
    INVARIANT(ca->key != NULL);
    ca->certificate = certificate_new(ca->key, name, NULL, TEST_VALID);
    add_extension(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(ca->certificate, ca->certificate, NID_subject_key_identifier, "hash");
    INVARIANT(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
    return ca;
}

void test_certificates_ca_free(struct test_ca *ca)
{
    if (ca == NULL)
        return;
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    memory_free(ca);
}

/* What BIO holds becomes the file NAME. */
static void write_file(struct fs *fs, const char *name, BIO *bio)
{
    struct error err = {0};
    char *text = NULL;
    long size = BIO_get_mem_data(bio, &text);

    INVARIANT(size > 0 && fs_replace(fs, name, slice_of(text, (size_t)size), &err) == STATUS_OK);
    INVARIANT(BIO_reset(bio) == 1);
}

void test_certificates_write(const char *dir, const struct test_ca *trusted,
                             const struct test_ca *issuer, const char *name,
                             enum test_validity validity)
{
    struct error err = {0};
    struct fs *fs = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *key = EVP_EC_gen("P-256");

    INVARIANT(bio != NULL && key != NULL);
    X509 *certificate =
        certificate_new(key, name, X509_get_subject_name(issuer->certificate), validity);

    add_extension(certificate, issuer->certificate, NID_key_usage, "critical,digitalSignature");
    add_extension(certificate, issuer->certificate, NID_ext_key_usage,
                  validity == TEST_CLIENT ? "clientAuth" : "serverAuth,clientAuth");
    add_extension(certificate, issuer->certificate, NID_subject_alt_name,
                  validity == TEST_OTHER_HOST ? "DNS:other.example"
                                              : "DNS:localhost,IP:127.0.0.1,IP:::1");
    add_extension(certificate, issuer->certificate, NID_authority_key_identifier, "keyid");
    INVARIANT(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);

    INVARIANT(mkdir(dir, S_IRWXU) == 0 || errno == EEXIST); /* allowed: not what a program keeps */
    INVARIANT(fs_posix_new(dir, &fs, &err) == STATUS_OK);
    INVARIANT(PEM_write_bio_X509(bio, trusted->certificate) == 1);
    write_file(fs, "ca.pem", bio);
    INVARIANT(PEM_write_bio_X509(bio, certificate) == 1);
    write_file(fs, "cert.pem", bio);
    INVARIANT(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    write_file(fs, "key.pem", bio);
    fs_free(fs);
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(bio);
}
