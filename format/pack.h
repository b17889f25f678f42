/* format/pack.h: what a pack has beside its records (architecture, section 5). A pack is
 *
 *     header    0  8  magic "TMpack\0\0"
 *               8  4  version, 0
 *              12  1  class: 1 data (blocks), 2 meta (all other kinds)
 *              13  3  zero
 *              16 16  repository
 *              32 16  name: the pack's own, random
 *              48  4  CRC-32C of bytes 0 to 47
 *     records       one behind the other
 *   and, once sealed (all that lies before was synced first),
 *     index         a record of KIND_PACK_INDEX: the pack's name for a domain, no number or id; its stored form is, for
 *                   each record in the pack's order, {16 domain, u64 number, 32 id, u64 offset, u32 whole length, u8 kind,
 *                   3 zero}: 72 bytes
 *     footer    0  8  magic "TMseal\0\0"
 *               8  8  offset of the index record
 *              16  4  its whole length
 *              20  4  CRC-32C of bytes 0 to 19
 */
#ifndef FORMAT_PACK_H
#define FORMAT_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/record.h"

enum {
    PACK_HEADER_SIZE = 52,
    PACK_FOOTER_SIZE = 24,
    PACK_ENTRY_SIZE = 72,
    PACK_ENTRIES_MAX = RECORD_PLAIN_MAX / PACK_ENTRY_SIZE,
};

/* Published: never renumber. */
enum pack_class { PACK_DATA = 1, PACK_META = 2 };

struct pack_header {
    enum pack_class class;
    struct random_id repository;
    struct random_id name;
};

struct pack_entry {
    struct random_id domain;
    uint64_t number;
    struct id id;
    uint64_t offset;
    uint32_t length; /* of the whole record */
    uint8_t kind;
};

struct pack_footer {
    uint64_t index_offset;
    uint32_t index_length;
};

/* The class that records of KIND belong to. */
enum pack_class pack_class_of(uint8_t kind);

void pack_header_encode(const struct pack_header *header, uint8_t target[PACK_HEADER_SIZE]);
/* STATUS_CORRUPT, STATUS_UNSUPPORTED (a later version). */
NODISCARD enum status pack_header_decode(struct slice bytes, struct pack_header *ret_header,
                                         struct error *err);

void pack_footer_encode(const struct pack_footer *footer, uint8_t target[PACK_FOOTER_SIZE]);
/* STATUS_CORRUPT: it is none, so the pack is not sealed, or damaged. */
NODISCARD enum status pack_footer_decode(struct slice bytes, struct pack_footer *ret_footer,
                                         struct error *err);

/* One entry of the index's stored form, appended to TARGET. */
void pack_entry_encode(const struct pack_entry *entry, struct buffer *target);
/* All of them: calls EACH in order until it fails. STATUS_CORRUPT: not whole entries, or one that cannot be. */
NODISCARD enum status pack_entries_decode(struct slice stored,
                                          enum status (*each)(void *arg,
                                                              const struct pack_entry *entry,
                                                              struct error *err),
                                          void *arg, struct error *err);

#endif
