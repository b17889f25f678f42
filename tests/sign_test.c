#include "format/sign.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/fault.h"
#include "base/text.h"
#include "tests/support/fail_each.h"
#include "tests/support/test.h"

enum { PEM_MAX = 16 * 1024, DER_MAX = 2 * SIGN_CERTIFICATE_MAX };

/* ---- Keys and signatures ---- */

static struct sign_key *key_of_seed(uint8_t last)
{
    uint8_t seed[SIGN_SEED_SIZE] = {0};
    struct sign_key *key = NULL;
    struct error err = {0};

    seed[SIGN_SEED_SIZE - 1] = last;
    ASSERT_OK(sign_key_from_seed(seed, &key, &err), &err);
    return key;
}

static struct sign_public *public_of(const struct sign_key *key)
{
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct sign_public *public = NULL;
    struct error err = {0};

    sign_key_public(key, bytes);
    ASSERT_OK(sign_public_from_bytes(bytes, &public, &err), &err);
    return public;
}

static void assert_public(const char *seed_text, const char *expected)
{
    uint8_t seed[SIGN_SEED_SIZE];
    uint8_t public[SIGN_PUBLIC_SIZE];
    char text[2 * SIGN_PUBLIC_SIZE + 1];
    struct sign_key *key = NULL;
    struct error err = {0};

    assert_true(text_parse_hex(slice_of_text(seed_text), seed, sizeof(seed)));
    ASSERT_OK(sign_key_from_seed(seed, &key, &err), &err);
    sign_key_public(key, public);
    text_hex(slice_of(public, sizeof(public)), text);
    assert_string_equal(text, expected);
    sign_key_free(key);
}

/* Of P-256 (FIPS 186-5, SP 800-186): the base point G, and -G, which is (n - 1) G. */
#define X_OF_G       "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
#define Y_OF_G       "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define Y_OF_MINUS_G "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a"
#define ORDER_START  "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc6325"
#define ZEROS_16     "00000000000000000000000000000000"

/* Private keys 1, n - 1, and 1 again: both ends of the range, and where it wraps. */
static void a_seed_is_taken_modulo_the_order_less_one(void **state)
{
    (void)state;
    assert_public(ZEROS_16 ZEROS_16 ZEROS_16, "04" X_OF_G Y_OF_G);
    assert_public(ZEROS_16 ORDER_START "4f", "04" X_OF_G Y_OF_MINUS_G); /* n - 2 */
    assert_public(ZEROS_16 ORDER_START "50", "04" X_OF_G Y_OF_G);       /* n - 1 */
}

static void a_signature_holds_for_its_key_context_and_message_only(void **state)
{
    struct sign_key *key = key_of_seed(5);
    struct sign_key *other_key = key_of_seed(6);
    struct sign_public *public = public_of(key);
    struct sign_public *other = public_of(other_key);
    struct slice message = slice_of_text("message");
    uint8_t signature[SIGN_SIZE];
    struct error err = {0};

    (void)state;
    for (unsigned i = 0; i < 20; i++) { /* r and s of all lengths, now and then */
        ASSERT_OK(sign_message(key, SIGN_CONTEXT_LOG, message, signature, &err), &err);
        ASSERT_OK(sign_check(public, SIGN_CONTEXT_LOG, message, signature, &err), &err);
    }
    ASSERT_STATUS(STATUS_CORRUPT, sign_check(other, SIGN_CONTEXT_LOG, message, signature, &err),
                  &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  sign_check(public, SIGN_CONTEXT_TRACKING, message, signature, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  sign_check(public, SIGN_CONTEXT_LOG, slice_of_text("messagf"), signature, &err),
                  &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  sign_check(public, SIGN_CONTEXT_LOG, slice_of(NULL, 0), signature, &err), &err);
    sign_public_free(public);
    sign_public_free(other);
    sign_key_free(key);
    sign_key_free(other_key);
}

/* "a" + "bc" and "ab" + "c" differ by the NUL between them. */
static void context_and_message_do_not_flow_together(void **state)
{
    struct sign_key *key = key_of_seed(5);
    struct sign_public *public = public_of(key);
    uint8_t signature[SIGN_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(sign_message(key, "a", slice_of_text("bc"), signature, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, sign_check(public, "ab", slice_of_text("c"), signature, &err),
                  &err);
    sign_public_free(public);
    sign_key_free(key);
}

static void a_changed_signature_is_refused(void **state)
{
    static const uint8_t starts[] = {0x00, 0xff};
    struct sign_key *key = key_of_seed(5);
    struct sign_public *public = public_of(key);
    struct slice message = slice_of_text("message");
    uint8_t signature[SIGN_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(sign_message(key, SIGN_CONTEXT_LOG, message, signature, &err), &err);
    for (size_t i = 0; i < 8 * sizeof(signature); i++) {
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
        ASSERT_STATUS(STATUS_CORRUPT,
                      sign_check(public, SIGN_CONTEXT_LOG, message, signature, &err), &err);
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    /* r or s that no number below n is. */
    for (size_t half = 0; half < 2; half++)
        for (size_t i = 0; i < sizeof(starts); i++) {
            uint8_t forged[SIGN_SIZE];

            memcpy(forged, signature, sizeof(forged));
            memset(forged + half * SIGN_SIZE / 2, starts[i], SIGN_SIZE / 2);
            ASSERT_STATUS(STATUS_CORRUPT,
                          sign_check(public, SIGN_CONTEXT_LOG, message, forged, &err), &err);
        }
    sign_public_free(public);
    sign_key_free(key);
}

static void what_is_no_point_of_the_curve_is_no_public_key(void **state)
{
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct sign_public *public = NULL;
    struct sign_key *key = key_of_seed(5);
    struct error err = {0};

    (void)state;
    sign_key_public(key, bytes);
    for (size_t i = 0; i < SIGN_PUBLIC_SIZE; i++) {
        bytes[i] ^= 1;
        ASSERT_STATUS(STATUS_INVALID, sign_public_from_bytes(bytes, &public, &err), &err);
        bytes[i] ^= 1;
    }
    bytes[0] = 6 + bytes[SIGN_PUBLIC_SIZE - 1] % 2; /* the same point in X9.62's hybrid form */
    ASSERT_STATUS(STATUS_INVALID, sign_public_from_bytes(bytes, &public, &err), &err);
    memset(bytes, 0, sizeof(bytes));
    ASSERT_STATUS(STATUS_INVALID, sign_public_from_bytes(bytes, &public, &err), &err);
    assert_null(public);
    sign_key_free(key);
}

/* ---- What a test signs with ---- */

static EVP_PKEY *new_ec_key(const char *group)
{
    EVP_PKEY *key = EVP_EC_gen(group);

    assert_non_null(key);
    return key;
}

/* BIO's text into PEM behind what is there; frees BIO. */
static void append_bio(char pem[PEM_MAX], BIO *bio)
{
    size_t before = strlen(pem);
    char *text = NULL;
    long size = BIO_get_mem_data(bio, &text);

    assert_true(size > 0 && (size_t)size < PEM_MAX - before);
    memcpy(pem + before, text, (size_t)size);
    pem[before + (size_t)size] = '\0';
    BIO_free(bio);
}

static void append_key(char pem[PEM_MAX], const EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, cipher, (const unsigned char *)"secret", 6,
                                              NULL, NULL),
                     1);
    append_bio(pem, bio);
}

static void append_certificate(char pem[PEM_MAX], X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    append_bio(pem, bio);
}

static void a_private_key_signs_for_its_public_half(void **state)
{
    EVP_PKEY *pair = new_ec_key("P-256");
    char pem[PEM_MAX] = "";
    uint8_t expected[SIGN_PUBLIC_SIZE];
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    uint8_t signature[SIGN_SIZE];
    size_t size = 0;
    struct sign_key *key = NULL;
    struct error err = {0};

    (void)state;
    append_key(pem, pair, NULL);
    ASSERT_OK(sign_key_from_pem(pem, &key, &err), &err);
    sign_key_public(key, bytes);
    assert_int_equal(EVP_PKEY_get_octet_string_param(pair, "pub", expected, sizeof(expected),
                                                     &size),
                     1);
    assert_int_equal(size, sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));

    struct sign_public *public = public_of(key);

    ASSERT_OK(sign_message(key, SIGN_CONTEXT_LOG, slice_of(NULL, 0), signature, &err), &err);
    ASSERT_OK(sign_check(public, SIGN_CONTEXT_LOG, slice_of(NULL, 0), signature, &err), &err);
    sign_public_free(public);
    sign_key_free(key);
    EVP_PKEY_free(pair);
}

static void assert_no_key(EVP_PKEY *take_key, const EVP_CIPHER *cipher)
{
    char pem[PEM_MAX] = "";
    struct sign_key *key = NULL;
    struct error err = {0};

    append_key(pem, take_key, cipher);
    ASSERT_STATUS(STATUS_INVALID, sign_key_from_pem(pem, &key, &err), &err);
    assert_null(key);
    EVP_PKEY_free(take_key);
}

static void another_kind_of_private_key_is_refused(void **state)
{
    struct sign_key *key = NULL;
    struct error err = {0};

    (void)state;
    assert_no_key(new_ec_key("P-384"), NULL);
    assert_no_key(EVP_RSA_gen(2048), NULL);
    assert_no_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
    assert_no_key(new_ec_key("P-256"), EVP_aes_256_cbc()); /* and nobody is asked for a password */
    ASSERT_STATUS(STATUS_INVALID, sign_key_from_pem("", &key, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, sign_key_from_pem("-----BEGIN PRIVATE KEY-----\n", &key, &err),
                  &err);
}

/* ---- Certificates ---- */

#define SECOND        INT64_C(1000000)
#define VALID_FROM_S  1700000000
#define VALID_UNTIL_S 1800000000
#define NOW_US        (1750000000 * SECOND)

/* What a test's certificate is like; zero: a host's, "host-1", valid, over P-256, by SHA-256. */
struct wish {
    const char *name; /* NULL: "host-1" */
    int name_size;    /* 0: as long as the text */
    int names;        /* 0: 1; -1: none */
    bool is_ca;
    const EVP_MD *digest;
    const char *group; /* NULL: "P-256" */
    long from_s;       /* 0: VALID_FROM_S */
    long until_s;
};

struct issued {
    X509 *certificate;
    EVP_PKEY *key;
};

static void set_name(X509 *certificate, const struct wish *wish)
{
    X509_NAME *name = X509_NAME_new();
    const char *text = wish->name == NULL ? "host-1" : wish->name;
    int size = wish->name_size == 0 ? (int)strlen(text) : wish->name_size;
    int names = wish->names == 0 ? 1 : wish->names;

    assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                                (const unsigned char *)"Tidemark", -1, -1, 0),
                     1);
    for (int i = 0; i < names; i++) {
        /* Of this type OpenSSL takes the bytes as they are. */
        X509_NAME_ENTRY *entry =
            X509_NAME_ENTRY_create_by_NID(NULL, NID_commonName, V_ASN1_UTF8STRING,
                                          (const unsigned char *)text, size);

        assert_non_null(entry);
        assert_int_equal(X509_NAME_add_entry(name, entry, -1, 0), 1);
        X509_NAME_ENTRY_free(entry);
    }
    assert_int_equal(X509_set_subject_name(certificate, name), 1);
    X509_NAME_free(name);
}

static void add_extension(X509V3_CTX *context, X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by ISSUER; NULL: by itself. */
static struct issued issue(const struct wish *wish, const struct issued *issuer)
{
    struct issued made = {
        .certificate = X509_new(),
        .key = new_ec_key(wish->group == NULL ? "P-256" : wish->group),
    };
    const struct issued *by = issuer == NULL ? &made : issuer;
    X509V3_CTX context;

    assert_int_equal(X509_set_version(made.certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 1), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(made.certificate),
                                  wish->from_s == 0 ? VALID_FROM_S : wish->from_s));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(made.certificate),
                                  wish->until_s == 0 ? VALID_UNTIL_S : wish->until_s));
    set_name(made.certificate, wish);
    assert_int_equal(X509_set_issuer_name(made.certificate, X509_get_subject_name(by->certificate)),
                     1);
    assert_int_equal(X509_set_pubkey(made.certificate, made.key), 1);
    X509V3_set_ctx(&context, by->certificate, made.certificate, NULL, NULL, 0);
    add_extension(&context, made.certificate, NID_basic_constraints,
                  wish->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(&context, made.certificate, NID_subject_key_identifier, "hash");
    add_extension(&context, made.certificate, NID_authority_key_identifier, "keyid");
    assert_true(X509_sign(made.certificate, by->key,
                          wish->digest == NULL ? EVP_sha256() : wish->digest) > 0);
    return made;
}

static void discard(struct issued *issued)
{
    X509_free(issued->certificate);
    EVP_PKEY_free(issued->key);
}

static struct issued new_ca(void)
{
    return issue(&(struct wish){.name = "CA", .is_ca = true, .from_s = 1, .until_s = INT32_MAX},
                 NULL);
}

static void der_of(X509 *certificate, struct buffer *target)
{
    uint8_t *der = NULL;
    int size = i2d_X509(certificate, &der);

    assert_true(size > 0);
    buffer_put(target, slice_of(der, (size_t)size));
    OPENSSL_free(der);
}

/* What the check says of the certificate at TIME_US under CA_PEM; NAME gets its name. */
static enum status check(X509 *certificate, const char *ca_pem, int64_t time_us,
                         char name[SIGN_NAME_SIZE])
{
    struct sign_public *public = NULL;
    struct error err = {0};
    struct buffer der;

    buffer_init(&der, DER_MAX);
    der_of(certificate, &der);

    enum status st =
        sign_certificate_check(buffer_slice(&der), ca_pem, time_us, name, &public, &err);

    assert_int_equal(st == STATUS_OK, public != NULL);
    assert_int_equal(st == STATUS_OK, err.text[0] == '\0');
    sign_public_free(public);
    buffer_deinit(&der);
    return st;
}

/* The same for a new certificate like WISH, of a new CA that is believed. */
static enum status check_wish(const struct wish *wish, char name[SIGN_NAME_SIZE])
{
    struct issued ca = new_ca();
    struct issued host = issue(wish, &ca);
    char pem[PEM_MAX] = "";

    append_certificate(pem, ca.certificate);

    enum status st = check(host.certificate, pem, NOW_US, name);

    discard(&host);
    discard(&ca);
    return st;
}

static void a_certificate_of_the_ca_gives_name_and_key(void **state)
{
    struct issued ca = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    char pem[PEM_MAX] = "";
    char key_pem[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";
    uint8_t signature[SIGN_SIZE];
    struct sign_key *key = NULL;
    struct sign_public *public = NULL;
    struct buffer der;
    struct error err = {0};

    (void)state;
    buffer_init(&der, SIGN_CERTIFICATE_MAX);
    append_certificate(pem, ca.certificate);
    append_key(key_pem, host.key, NULL);
    der_of(host.certificate, &der);
    ASSERT_OK(sign_key_from_pem(key_pem, &key, &err), &err);
    ASSERT_OK(sign_certificate_check(buffer_slice(&der), pem, NOW_US, name, &public, &err), &err);
    assert_string_equal(name, "host-1");
    ASSERT_OK(sign_message(key, SIGN_CONTEXT_LOG, slice_of_text("x"), signature, &err), &err);
    ASSERT_OK(sign_check(public, SIGN_CONTEXT_LOG, slice_of_text("x"), signature, &err), &err);
    sign_public_free(public);
    sign_key_free(key);
    buffer_deinit(&der);
    discard(&host);
    discard(&ca);
}

static void only_who_is_signed_by_a_given_ca_is_believed(void **state)
{
    struct issued ca = new_ca();
    struct issued namesake = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    struct issued alone = issue(&(struct wish){0}, NULL);
    char right[PEM_MAX] = "";
    char wrong[PEM_MAX] = "";
    char both[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "untouched";

    (void)state;
    append_certificate(right, ca.certificate);
    append_certificate(wrong, namesake.certificate);
    append_certificate(both, namesake.certificate);
    append_certificate(both, ca.certificate);
    assert_int_equal(check(host.certificate, wrong, NOW_US, name), STATUS_DENIED);
    assert_int_equal(check(alone.certificate, right, NOW_US, name), STATUS_DENIED);
    assert_string_equal(name, "untouched");
    assert_int_equal(check(host.certificate, right, NOW_US, name), STATUS_OK);
    assert_int_equal(check(host.certificate, both, NOW_US, name), STATUS_OK);
    discard(&alone);
    discard(&host);
    discard(&namesake);
    discard(&ca);
}

static void a_chain_must_end_in_a_given_root(void **state)
{
    struct issued root = new_ca();
    struct issued middle = issue(&(struct wish){.name = "middle", .is_ca = true}, &root);
    struct issued host = issue(&(struct wish){0}, &middle);
    struct issued under_host = issue(&(struct wish){.name = "host-2"}, &host);
    char part[PEM_MAX] = "";
    char whole[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    append_certificate(part, middle.certificate);
    append_certificate(whole, middle.certificate);
    append_certificate(whole, root.certificate);
    assert_int_equal(check(host.certificate, part, NOW_US, name), STATUS_DENIED);
    assert_int_equal(check(host.certificate, whole, NOW_US, name), STATUS_OK);
    append_certificate(whole,
                       host.certificate); /* a host does not sign others, also if it is given */
    assert_int_equal(check(under_host.certificate, whole, NOW_US, name), STATUS_DENIED);
    discard(&under_host);
    discard(&host);
    discard(&middle);
    discard(&root);
}

/* The time is the statement's, not the clock's. */
static void a_certificate_holds_within_its_time_only(void **state)
{
    struct issued ca = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    char pem[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    append_certificate(pem, ca.certificate);
    assert_int_equal(check(host.certificate, pem, VALID_FROM_S * SECOND - 1, name), STATUS_DENIED);
    assert_int_equal(check(host.certificate, pem, VALID_FROM_S * SECOND + 1, name), STATUS_OK);
    assert_int_equal(check(host.certificate, pem, VALID_UNTIL_S * SECOND - 1, name), STATUS_OK);
    assert_int_equal(check(host.certificate, pem, VALID_UNTIL_S * SECOND + SECOND, name),
                     STATUS_DENIED);
    assert_int_equal(check(host.certificate, pem, INT64_MAX, name), STATUS_DENIED);
    assert_int_equal(check(host.certificate, pem, INT64_MIN, name), STATUS_DENIED);
    discard(&host);
    discard(&ca);
}

/* A time is rounded down to seconds, not towards 1970. */
static void a_time_before_1970_is_a_time_like_others(void **state)
{
    struct issued ca = issue(&(struct wish){.name = "CA", .is_ca = true, .from_s = -1000}, NULL);
    struct issued host = issue(&(struct wish){.from_s = -100}, &ca);
    char pem[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    append_certificate(pem, ca.certificate);
    assert_int_equal(check(host.certificate, pem, -100 * SECOND - 1, name), STATUS_DENIED);
    assert_int_equal(check(host.certificate, pem, -100 * SECOND, name), STATUS_OK);
    assert_int_equal(check(host.certificate, pem, -1, name), STATUS_OK);
    discard(&host);
    discard(&ca);
}

static void a_ca_s_certificate_is_no_host_s(void **state)
{
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    assert_int_equal(check_wish(&(struct wish){.is_ca = true}, name), STATUS_DENIED);
}

static void a_weak_digest_is_not_believed(void **state)
{
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    assert_int_equal(check_wish(&(struct wish){.digest = EVP_sha1()}, name), STATUS_DENIED);
    assert_int_equal(check_wish(&(struct wish){.digest = EVP_sha384()}, name), STATUS_OK);
}

static void a_certificate_over_another_kind_of_key_is_refused(void **state)
{
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    assert_int_equal(check_wish(&(struct wish){.group = "P-384"}, name), STATUS_INVALID);
}

static void exactly_one_plain_name_is_taken(void **state)
{
    static const char longest[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    static const struct wish refused[] = {
        {.names = -1},
        {.names = 2},
        {.name = "host-1\0.evil", .name_size = 12},
        {.name = "host\n1"},
        {.name = "h\xc3\xb6st"},
        {.name = "host\x7f"},
        {.name = "0123456789012345678901234567890123456789012345678901234567890123"
                 "4"},
    };
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(check_wish(&refused[i], name), STATUS_DENIED);
    assert_string_equal(name, "");
    assert_int_equal(check_wish(&(struct wish){.name = longest}, name), STATUS_OK);
    assert_string_equal(name, longest);
    assert_int_equal(check_wish(&(struct wish){.name = " ~"}, name), STATUS_OK);
    assert_string_equal(name, " ~");
}

static void a_changed_certificate_is_refused(void **state)
{
    struct issued ca = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    char pem[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";
    struct sign_public *public = NULL;
    struct buffer der;
    struct error err = {0};

    (void)state;
    buffer_init(&der, SIGN_CERTIFICATE_MAX);
    append_certificate(pem, ca.certificate);
    der_of(host.certificate, &der);
    for (size_t i = 0; i < 8 * der.size; i++) {
        der.data[i / 8] ^= (uint8_t)(1U << i % 8);

        enum status st =
            sign_certificate_check(buffer_slice(&der), pem, NOW_US, name, &public, &err);

        if (st != STATUS_DENIED && st != STATUS_INVALID)
            fail_msg("byte %zu, bit %zu: %s", i / 8, i % 8, status_name(st));
        der.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t size = 0; size < der.size; size++)
        ASSERT_STATUS(STATUS_INVALID,
                      sign_certificate_check(slice_of(der.data, size), pem, NOW_US, name, &public,
                                             &err),
                      &err);
    buffer_put_u8(&der, 0);
    ASSERT_STATUS(STATUS_INVALID,
                  sign_certificate_check(buffer_slice(&der), pem, NOW_US, name, &public, &err),
                  &err);
    assert_null(public);
    assert_string_equal(name, "");
    buffer_deinit(&der);
    discard(&host);
    discard(&ca);
}

static void unreadable_ca_certificates_are_said(void **state)
{
    struct issued ca = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    char pem[PEM_MAX] = "";
    char name[SIGN_NAME_SIZE] = "";

    (void)state;
    assert_int_equal(check(host.certificate, "", NOW_US, name), STATUS_INVALID);
    assert_int_equal(check(host.certificate, "not a certificate\n", NOW_US, name), STATUS_INVALID);
    append_certificate(pem, ca.certificate);
    append_certificate(pem, ca.certificate);
    assert_int_equal(check(host.certificate, pem, NOW_US, name), STATUS_OK);
    pem[strlen(pem) - 40] = '!'; /* in the second one */
    assert_int_equal(check(host.certificate, pem, NOW_US, name), STATUS_INVALID);
    discard(&host);
    discard(&ca);
}

static void the_first_certificate_of_a_pem_is_taken(void **state)
{
    struct issued ca = new_ca();
    struct issued host = issue(&(struct wish){0}, &ca);
    char pem[PEM_MAX] = "";
    struct buffer expected;
    struct buffer der;
    struct error err = {0};

    (void)state;
    buffer_init(&expected, SIGN_CERTIFICATE_MAX);
    buffer_init(&der, SIGN_CERTIFICATE_MAX);
    append_key(pem, host.key, NULL);
    append_certificate(pem, host.certificate);
    append_certificate(pem, ca.certificate);
    der_of(host.certificate, &expected);
    ASSERT_OK(sign_certificate_der(pem, &der, &err), &err);
    assert_true(slice_equal(buffer_slice(&der), buffer_slice(&expected)));
    buffer_clear(&der);
    ASSERT_STATUS(STATUS_INVALID, sign_certificate_der("", &der, &err), &err);
    assert_int_equal(der.size, 0);
    buffer_deinit(&der);
    buffer_init(&der, 16);
    ASSERT_STATUS(STATUS_EXHAUSTED, sign_certificate_der(pem, &der, &err), &err);
    buffer_deinit(&der);
    buffer_deinit(&expected);
    discard(&host);
    discard(&ca);
}

static void make_keys(void *arg, uint64_t n)
{
    static const uint8_t seed[SIGN_SEED_SIZE];
    struct sign_key *key = NULL;
    struct sign_public *public = NULL;
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct error err = {0};
    enum status st = sign_key_from_seed(seed, &key, &err);

    (void)n;
    if (st == STATUS_OK) {
        sign_key_public(key, bytes);
        st = sign_public_from_bytes(bytes, &public, &err);
    }
    faults_arm(arg, 0, 0);
    assert_true(st == STATUS_EXHAUSTED || (st == STATUS_OK && public != NULL));
    sign_public_free(public);
    sign_key_free(key);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_int_equal(fail_each(faults, FAULT_ALLOC, make_keys, faults), 2);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_taken_modulo_the_order_less_one),
        cmocka_unit_test(a_signature_holds_for_its_key_context_and_message_only),
        cmocka_unit_test(context_and_message_do_not_flow_together),
        cmocka_unit_test(a_changed_signature_is_refused),
        cmocka_unit_test(what_is_no_point_of_the_curve_is_no_public_key),
        cmocka_unit_test(a_private_key_signs_for_its_public_half),
        cmocka_unit_test(another_kind_of_private_key_is_refused),
        cmocka_unit_test(a_certificate_of_the_ca_gives_name_and_key),
        cmocka_unit_test(only_who_is_signed_by_a_given_ca_is_believed),
        cmocka_unit_test(a_chain_must_end_in_a_given_root),
        cmocka_unit_test(a_certificate_holds_within_its_time_only),
        cmocka_unit_test(a_time_before_1970_is_a_time_like_others),
        cmocka_unit_test(a_ca_s_certificate_is_no_host_s),
        cmocka_unit_test(a_weak_digest_is_not_believed),
        cmocka_unit_test(a_certificate_over_another_kind_of_key_is_refused),
        cmocka_unit_test(exactly_one_plain_name_is_taken),
        cmocka_unit_test(a_changed_certificate_is_refused),
        cmocka_unit_test(unreadable_ca_certificates_are_said),
        cmocka_unit_test(the_first_certificate_of_a_pem_is_taken),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
