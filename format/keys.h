/* format/keys.h: all keys of a repository, derived from its one repository key by HKDF-SHA-256 (RFC 5869; no
 * salt, 32 bytes out) with these labels as info:
 *     "tidemark v0 data"                     blocks, bodies: their records' payload
 *     "tidemark v0 structure"                nodes, disk roots, envelopes, pack indexes, the log
 *     "tidemark v0 id" || domain's 16 bytes  ids of a domain
 *     "tidemark v0 check"                    32 bytes that tell the right repository key from another
 *     "tidemark v0 log" || writer's 16 bytes 48 bytes: seed of the key that signs that writer's log
 * Whoever holds `structure` alone can walk, compare and collect, and reads no content. */
#ifndef FORMAT_KEYS_H
#define FORMAT_KEYS_H

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"
#include "format/id.h"
#include "format/sign.h"
#include "format/xaes.h"

enum { REPOSITORY_KEY_SIZE = 32, KEYS_CHECK_SIZE = 32, KEYS_ID_KEY_SIZE = 32 };

struct repository_key {
    uint8_t bytes[REPOSITORY_KEY_SIZE];
};

struct keys;

/* The keys under KEY. Any number of threads may use them at once. STATUS_INTERNAL: OpenSSL failed. */
NODISCARD enum status keys_new(const struct repository_key *key, struct keys **ret_keys,
                               struct error *err);
void keys_free(struct keys *keys); /* wipes; NULL is fine */

/* The key of the class that KIND belongs to. */
const struct xaes_key *keys_payload(const struct keys *keys, uint8_t kind);
const struct xaes_key *keys_structure(const struct keys *keys);

/* Says nothing about the keys, and is different for each of them: kept in the repository's file. */
void keys_check(const struct keys *keys, uint8_t ret_check[KEYS_CHECK_SIZE]);

/* The raw id key of DOMAIN; the caller wipes it. */
NODISCARD enum status keys_id_key(const struct keys *keys, const struct random_id *domain,
                                  uint8_t ret_key[KEYS_ID_KEY_SIZE], struct error *err);

/* The key with which WRITER signs its log; the caller's (sign_key_free). */
NODISCARD enum status keys_log_signer(const struct keys *keys, const struct random_id *writer,
                                      struct sign_key **ret_key, struct error *err);

/* A repository key as its file has it: 64 hexadecimal digits and a line feed. STATUS_INVALID: not that. */
enum { KEY_FILE_SIZE = 2 * REPOSITORY_KEY_SIZE + 1 };

void key_file_encode(const struct repository_key *key, char text[KEY_FILE_SIZE]); /* no NUL */
NODISCARD enum status key_file_decode(struct slice text, struct repository_key *ret_key,
                                      struct error *err);

#endif
