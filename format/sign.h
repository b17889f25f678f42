/* format/sign.h: signatures: ECDSA P-256 with SHA-256 over {context string, NUL, message}, stored as r then s, 32
 * big-endian bytes each. Each use has its own context, so that no signature serves for another. By OpenSSL. */
#ifndef FORMAT_SIGN_H
#define FORMAT_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    SIGN_SIZE = 64,
    SIGN_SEED_SIZE = 48,
    SIGN_PUBLIC_SIZE = 65, /* SEC 1, uncompressed */
    SIGN_NAME_SIZE = 64 + 1,
    SIGN_CERTIFICATE_MAX = 8192, /* bytes of DER */
};

#define SIGN_CONTEXT_STATEMENT "tidemark v0 statement"
#define SIGN_CONTEXT_TRACKING  "tidemark v0 tracking"
#define SIGN_CONTEXT_LOG       "tidemark v0 log"

struct sign_key;    /* private */
struct sign_public; /* public */

/* From a PEM private key (P-256, else STATUS_INVALID). */
NODISCARD enum status sign_key_from_pem(const char *pem, struct sign_key **ret_key,
                                        struct error *err);

/* The same seed gives the same key: private = 1 + (seed as a big-endian number mod (n - 1)) (FIPS 186-5,
 * A.2.1). */
NODISCARD enum status sign_key_from_seed(const uint8_t seed[SIGN_SEED_SIZE],
                                         struct sign_key **ret_key, struct error *err);
void sign_key_free(struct sign_key *key); /* NULL is fine */

void sign_key_public(const struct sign_key *key, uint8_t ret_public[SIGN_PUBLIC_SIZE]);

NODISCARD enum status sign_message(const struct sign_key *key, const char *context,
                                   struct slice message, uint8_t ret_signature[SIGN_SIZE],
                                   struct error *err);

/* STATUS_INVALID: BYTES are no point of the curve. */
NODISCARD enum status sign_public_from_bytes(const uint8_t bytes[SIGN_PUBLIC_SIZE],
                                             struct sign_public **ret_public, struct error *err);
void sign_public_free(struct sign_public *key); /* NULL is fine */

/* STATUS_CORRUPT: KEY has not signed MESSAGE in CONTEXT. Any thread. */
NODISCARD enum status sign_check(const struct sign_public *key, const char *context,
                                 struct slice message, const uint8_t signature[SIGN_SIZE],
                                 struct error *err);

/* The DER of the first certificate in PEM, appended to RET_DER. */
NODISCARD enum status sign_certificate_der(const char *pem, struct buffer *ret_der,
                                           struct error *err);

/* Believes the certificate DER if one of the CAs in CA_PEM has signed it and it was valid at TIME_US (UTC
 * microseconds): its key and the name that it bears, the one common name, of printable ASCII. No CA's own is a
 * host's. CAs of one name are told apart by their key identifiers (RFC 5280, 4.2.1.1).
 * STATUS_DENIED: it does not; the sentence says why. STATUS_INVALID: it is no certificate, or not over a P-256
 * key; or CA_PEM cannot be read. */
NODISCARD enum status sign_certificate_check(struct slice der, const char *ca_pem, int64_t time_us,
                                             char ret_name[SIGN_NAME_SIZE],
                                             struct sign_public **ret_public, struct error *err);

#endif
