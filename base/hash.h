/* base/hash.h: the three sums that Tidemark's formats use. SHA-256 and HMAC (FIPS 180-4, RFC 2104) by
 * OpenSSL, CRC-32C (RFC 3720, appendix B.4) by ISA-L. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

enum { HASH_SHA256_SIZE = 32 };

struct hash_digest {
    uint8_t bytes[HASH_SHA256_SIZE];
};

/* SHA-256 of BYTES. STATUS_INTERNAL: OpenSSL failed (no memory). Any thread. */
NODISCARD enum status hash_sha256(struct slice bytes, struct hash_digest *ret_digest,
                                  struct error *err);

/* A key for HMAC-SHA-256, made ready once. */
struct hash_key;

/* Takes a copy of KEY (1 byte at least, 32 as a rule), wiped by hash_key_free() (NULL is fine).
 * STATUS_EXHAUSTED: no memory; STATUS_INTERNAL: OpenSSL failed (no memory, or no key). */
NODISCARD enum status hash_key_new(struct slice key, struct hash_key **ret_key, struct error *err);
void hash_key_free(struct hash_key *key);

/* HMAC-SHA-256 under KEY over the COUNT slices at PARTS, one after the other. Several threads may use
 * one key at once. STATUS_INTERNAL: OpenSSL failed (no memory). */
NODISCARD enum status hash_hmac(const struct hash_key *key, const struct slice *parts, size_t count,
                                struct hash_digest *ret_digest, struct error *err);

/* CRC-32C of what CRC already covers (0 at the start) and BYTES behind it. Any thread. */
uint32_t hash_crc32c(uint32_t crc, struct slice bytes);

#endif
