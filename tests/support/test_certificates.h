/* tests/support/test_certificates.h: throw-away CAs, and folders of credentials (transport/credentials.h) that
 * they sign. Good for "localhost", 127.0.0.1 and ::1, for servers and clients. Whatever fails is a broken
 * invariant. */
#ifndef TESTS_SUPPORT_TEST_CERTIFICATES_H
#define TESTS_SUPPORT_TEST_CERTIFICATES_H

struct test_ca;

enum test_validity {
    TEST_VALID,     /* from 2000 to 2100 */
    TEST_EXPIRED,   /* until 2001 */
    TEST_NOT_YET,   /* from 2099 */
    TEST_CLIENT,    /* valid, but for clients only */
    TEST_OTHER_HOST /* valid, but for the host other.example only */
};

/* With a key of its own, also where another one has the same NAME. */
struct test_ca *test_certificates_ca_new(const char *name);
void test_certificates_ca_free(struct test_ca *ca); /* NULL is fine */

/* Writes ca.pem (the certificate of TRUSTED), cert.pem (of NAME, signed by ISSUER) and key.pem into the folder
 * DIR, which is made if it is not there. */
void test_certificates_write(const char *dir, const struct test_ca *trusted,
                             const struct test_ca *issuer, const char *name,
                             enum test_validity validity);

#endif
