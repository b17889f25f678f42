/* format/xaes.h: XAES-256-GCM (C2SP, xaes-256-gcm.md): AES-256-GCM with 24 random nonce bytes, so that nothing
 * has to be remembered across crashes, roll-backs and clones. By OpenSSL. */
#ifndef FORMAT_XAES_H
#define FORMAT_XAES_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

enum { XAES_KEY_SIZE = 32, XAES_NONCE_SIZE = 24, XAES_TAG_SIZE = 16 };

struct xaes_key;

/* STATUS_INTERNAL: OpenSSL failed. Any number of threads may use a key at once. */
NODISCARD enum status xaes_key_new(const uint8_t key[XAES_KEY_SIZE], struct xaes_key **ret_key,
                                   struct error *err);
void xaes_key_free(struct xaes_key *key); /* wipes; NULL is fine */

/* TARGET gets PLAIN.size + XAES_TAG_SIZE bytes: the ciphertext, then the tag. It may be PLAIN.data itself. */
NODISCARD enum status xaes_seal(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                                struct slice associated, struct slice plain, uint8_t *target,
                                struct error *err);

/* TARGET gets SEALED.size - XAES_TAG_SIZE bytes (it may be SEALED.data itself). STATUS_CORRUPT: it was changed,
 * or sealed by another key; TARGET is zeroed then. */
NODISCARD enum status xaes_open(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                                struct slice associated, struct slice sealed, uint8_t *target,
                                struct error *err);

#endif
