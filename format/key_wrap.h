/* format/key_wrap.h: a *wrapped key*: a repository's key, sealed under a key that scrypt (RFC 7914) derives from a
 * passphrase. As a file, for people too:
 *
 *     Tidemark key
 *     version 0 build 3
 *     repository 32 hexadecimal digits: whose key it is
 *     kdf scrypt N r p
 *     salt 32 to 64 digits
 *     nonce 48 digits
 *     wrapped 96 digits: XAES-256-GCM of the key and its tag; associated data are all lines before
 *     crc 8 digits: CRC-32C of all lines before
 *
 * A passphrase is 1 to 1,024 bytes, taken as they are: no normalization, no encoding. */
#ifndef FORMAT_KEY_WRAP_H
#define FORMAT_KEY_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/keys.h"
#include "format/xaes.h"

enum {
    KEY_WRAP_FILE_MAX = 1024, /* bytes */
    KEY_WRAP_PASSPHRASE_MAX = 1024,
    KEY_WRAP_SALT_MIN = 16,
    KEY_WRAP_SALT_MAX = 32,
    KEY_WRAP_SEALED_SIZE = REPOSITORY_KEY_SIZE + XAES_TAG_SIZE,
    KEY_WRAP_DERIVED_SIZE = XAES_KEY_SIZE,
};

/* What a guess costs, as RFC 7914 names it: about 128 x N x r bytes of memory, P times. N is a power of two from 2 to
 * 2^20, below 2^(16 r); R is 1 to 32, P 1 to 16; 128 x N x r is at most 1 GiB. */
struct key_wrap_cost {
    uint32_t n;
    uint32_t r;
    uint32_t p;
};

/* 128 MiB; some tenths of a second. */
extern const struct key_wrap_cost key_wrap_cost_default;

/* A value without secrets. */
struct key_wrap {
    struct random_id repository;
    struct key_wrap_cost cost;
    uint8_t salt[KEY_WRAP_SALT_MAX];
    size_t salt_size;
    uint8_t nonce[XAES_NONCE_SIZE];
    uint8_t sealed[KEY_WRAP_SEALED_SIZE];
};

/* scrypt. STATUS_INVALID: PASSPHRASE is empty or too long, or COST is not as above; the sentence says which.
 * STATUS_EXHAUSTED: no memory. Computes for long; the caller wipes RET_KEY. */
NODISCARD enum status key_wrap_derive(const struct key_wrap_cost *cost, struct slice salt,
                                      struct slice passphrase,
                                      uint8_t ret_key[KEY_WRAP_DERIVED_SIZE], struct error *err);

/* KEY of REPOSITORY under PASSPHRASE; salt and nonce from RANDOM. Statuses as above. */
NODISCARD enum status key_wrap_seal(const struct random_id *repository,
                                    const struct repository_key *key,
                                    const struct key_wrap_cost *cost, struct slice passphrase,
                                    struct random_source *random, struct key_wrap *ret_wrap,
                                    struct error *err);

/* The caller wipes *ret_key. STATUS_DENIED: the passphrase is another one. Others as above. */
NODISCARD enum status key_wrap_open(const struct key_wrap *wrap, struct slice passphrase,
                                    struct repository_key *ret_key, struct error *err);

/* Appends the file's text. */
void key_wrap_encode(const struct key_wrap *wrap, struct buffer *target);

/* STATUS_CORRUPT: it is no such file, or damaged. STATUS_UNSUPPORTED: another version or build, or a cost that is not
 * as above; the sentence says what. */
NODISCARD enum status key_wrap_decode(struct slice text, struct key_wrap *ret_wrap,
                                      struct error *err);

#endif
