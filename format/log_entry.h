/* format/log_entry.h: entries of a repository's log: hash-chained, signed, sealed (architecture, section 5).
 *
 * An entry as it lies in its file, little-endian:
 *       0  4  magic "TMlg"
 *       4  1  version, 0
 *       5  1  type
 *       6  2  zero
 *       8 16  writer
 *      24  8  sequence, from 1, without gaps
 *      32  8  time, UTC microseconds (for people)
 *      40 32  SHA-256 of the whole entry before it (of this writer); zeros for the first
 *      72  4  length of the body before sealing
 *      76 24  nonce
 *     100  4  CRC-32C of bytes 0 to 99
 *     104     body: XAES-256-GCM under `structure`, associated data = bytes 0 to 99; tag last
 *       n 64  signature of the writer's log key over bytes 0 to n - 1, context SIGN_CONTEXT_LOG
 *          4  CRC-32C of all bytes before
 * Its hash, by which the next one is chained to it, covers all of these bytes.
 */
#ifndef FORMAT_LOG_ENTRY_H
#define FORMAT_LOG_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/sign.h"
#include "format/statement.h"
#include "format/xaes.h"

enum {
    LOG_ENTRY_HEADER_SIZE = 104,
    LOG_ENTRY_BODY_MAX = TRACKING_SIZE_MAX + 16 * 1024,
    LOG_ENTRY_SIZE_MIN = LOG_ENTRY_HEADER_SIZE + XAES_TAG_SIZE + SIGN_SIZE + 4,
    LOG_ENTRY_SIZE_MAX = LOG_ENTRY_SIZE_MIN + LOG_ENTRY_BODY_MAX,
};

/* What its body is: format/log_body.h. Published: never renumber. */
enum log_entry_type {
    LOG_SPACE = 1,
    LOG_NUMBERS = 2,
    LOG_POINT = 3,
    LOG_TRACKING = 4,
    LOG_SUMMARY = 5,
    LOG_TRASH = 6,
    LOG_UNDELETE = 7,
    LOG_PURGE = 8,
    LOG_LOCK = 9,
    LOG_HOLD = 10,
    LOG_TASK = 11,
    LOG_SESSION = 12,
    LOG_CONDEMN = 13,
    LOG_DOMAIN = 14,
    LOG_ROLLBACK = 15,
    LOG_ACCEPT = 16,
};

struct log_entry_header {
    uint8_t type; /* enum log_entry_type; an unknown one is read, and is its reader's business */
    struct random_id writer;
    uint64_t sequence;
    int64_t time_us;
    struct hash_digest previous;
    uint32_t body_length; /* before sealing */
};

/* Appends the whole entry of HEADER (its body_length is set here) and BODY to TARGET, and says its hash. */
NODISCARD enum status log_entry_seal(const struct xaes_key *structure,
                                     const struct sign_key *signer, struct random_source *random,
                                     const struct log_entry_header *header, struct slice body,
                                     struct buffer *target, struct hash_digest *ret_hash,
                                     struct error *err);

/* The header at the start of BYTES, and how long the whole entry is. STATUS_CORRUPT: none, or damaged.
 * STATUS_UNSUPPORTED: a later version's. */
NODISCARD enum status log_entry_decode_header(struct slice bytes,
                                              struct log_entry_header *ret_header, size_t *ret_size,
                                              struct error *err);

/* Checks and opens ENTRY (exactly one): RET_BODY (cleared first) gets its body, *ret_hash what chains the next one.
 * SIGNER NULL: the signature is not checked here (the first entry of a writer: its own body names the key).
 * STATUS_CORRUPT: damaged, not sealed under STRUCTURE, or not signed by SIGNER. */
NODISCARD enum status log_entry_open(const struct xaes_key *structure,
                                     const struct sign_public *signer, struct slice entry,
                                     struct log_entry_header *ret_header, struct buffer *ret_body,
                                     struct hash_digest *ret_hash, struct error *err);

#endif
