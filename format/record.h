/* format/record.h: the stored form of one thing: self-contained, so that it can be copied byte for byte to another
 * pack, store or site (architecture, section 5). Little-endian:
 *
 *       0  4  magic "TMrc"
 *       4  1  version, 0
 *       5  1  kind (format/id.h)
 *       6  1  codec (format/codec.h)
 *       7  1  zero
 *       8 16  domain; of a pack's index the pack's name, so that it is no other pack's
 *      24  8  number
 *      32 32  id
 *      64  4  plain length: of the stored form before compression
 *      68  4  stored length: of the payload as it lies here, tag included
 *      72 24  nonce, random
 *      96  4  CRC-32C of the payload as it lies here
 *     100  4  CRC-32C of the header so far, bytes 0 to 99
 *     104     payload: XAES-256-GCM of the packed bytes under the kind's class key, associated data = bytes 0 to
 *             95; its tag comes last
 */
#ifndef FORMAT_RECORD_H
#define FORMAT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/codec.h"
#include "format/id.h"
#include "format/keys.h"

enum {
    RECORD_HEADER_SIZE = 104,
    RECORD_PLAIN_MAX = 4 * 1024 * 1024,
    RECORD_STORED_MAX = RECORD_PLAIN_MAX + XAES_TAG_SIZE,
    RECORD_SIZE_MAX = RECORD_HEADER_SIZE + RECORD_STORED_MAX,
};

struct record_header {
    uint8_t kind;
    uint8_t codec;
    struct random_id domain; /* KIND_PACK_INDEX: the pack's name; its number and id are zero */
    uint64_t number;
    struct id id;
    uint32_t plain_length;
    uint32_t stored_length;
    uint8_t nonce[XAES_NONCE_SIZE];
    uint32_t payload_crc;
};

/* Appends to TARGET the record of PACKED, which is the thing's stored form of PLAIN_LENGTH bytes, already packed
 * by CODEC. KIND, DOMAIN, NUMBER and ID go in as they are. Any thread (RANDOM's rules apart). */
NODISCARD enum status record_seal(const struct keys *keys, struct random_source *random,
                                  const struct record_header *what, struct slice packed,
                                  struct buffer *target, struct error *err);

/* Reads the header at the start of BYTES (of at least RECORD_HEADER_SIZE, more is not looked at). STATUS_CORRUPT:
 * it is none, or damaged, or its lengths cannot be. STATUS_UNSUPPORTED: a sound header of a later version. */
NODISCARD enum status record_decode_header(struct slice bytes, struct record_header *ret_header,
                                           struct error *err);

/* The bytes of the whole record. */
size_t record_size(const struct record_header *header);

/* Checks the CRC of RECORD (exactly one record): that it is as it was written, without any key. */
NODISCARD enum status record_check(struct slice record, struct record_header *ret_header,
                                   struct error *err);

/* The same, then unseals: RET_PACKED (cleared first) gets the payload as its codec left it.
 * STATUS_CORRUPT: damaged, or not sealed under these keys. */
NODISCARD enum status record_unseal(const struct keys *keys, struct slice record,
                                    struct record_header *ret_header, struct buffer *ret_packed,
                                    struct error *err);

/* The same, then unpacks: RET_STORED (cleared first) gets the thing's stored form. Its id is not checked here:
 * what it covers depends on the kind (block: all of it; others: format/tree.h, disk_root.h, manifest.h). */
NODISCARD enum status record_open(const struct keys *keys, struct codec_context *codec,
                                  struct slice record, struct record_header *ret_header,
                                  struct buffer *ret_stored, struct error *err);

/* Offset of the next sound header at or behind OFFSET in BYTES: how a scan steps over damage.
 * STATUS_NOT_FOUND: none. */
NODISCARD enum status record_find(struct slice bytes, size_t offset, size_t *ret_offset,
                                  struct error *err);

#endif
