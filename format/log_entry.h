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
 *
 * Bodies:
 *     LOG_SPACE     u32 space, public key of the writer 65: the first entry of every writer
 *     LOG_NUMBERS   u64 first number, u64 count: reserved from here on
 *     LOG_POINT     task 16, envelope: id 32, number 8; u16 count, for each unsealed pack {name 16, u64 synced length}
 *     LOG_TRACKING  VM 16, the signed tracking record (format/statement.h)
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
    LOG_POINT_PACKS_MAX = 256,
};

/* Published: never renumber. */
enum log_entry_type { LOG_SPACE = 1, LOG_NUMBERS = 2, LOG_POINT = 3, LOG_TRACKING = 4 };

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

/* ---- Bodies. Encoders append; decoders: STATUS_CORRUPT for anything but exactly that layout. ---- */

struct log_space {
    uint32_t space; /* 1 to NUMBER_SPACE_MAX */
    uint8_t public_key[SIGN_PUBLIC_SIZE];
};

struct log_numbers {
    uint64_t first;
    uint64_t count; /* at least 1; within one space */
};

struct log_point_pack {
    struct random_id name;
    uint64_t synced;
};

struct log_point {
    struct random_id task;
    struct ref envelope;
    struct log_point_pack packs[LOG_POINT_PACKS_MAX];
    uint16_t pack_count;
};

struct log_tracking {
    struct random_id vm;
    struct signed_slice tracking; /* borrowed */
};

void log_space_encode(const struct log_space *space, struct buffer *target);
void log_numbers_encode(const struct log_numbers *numbers, struct buffer *target);
void log_point_encode(const struct log_point *point, struct buffer *target);
void log_tracking_encode(const struct log_tracking *tracking, struct buffer *target);
NODISCARD enum status log_space_decode(struct slice body, struct log_space *ret_space,
                                       struct error *err);
NODISCARD enum status log_numbers_decode(struct slice body, struct log_numbers *ret_numbers,
                                         struct error *err);
NODISCARD enum status log_point_decode(struct slice body, struct log_point *ret_point,
                                       struct error *err);
NODISCARD enum status log_tracking_decode(struct slice body, struct log_tracking *ret_tracking,
                                          struct error *err);

#endif
