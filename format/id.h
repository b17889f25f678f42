/* format/id.h: names for content. The id of a thing is the HMAC-SHA-256, under the id key of its
 * deduplication domain, of {kind byte, u64le plain length, plain bytes} (architecture, section 4). Equal
 * content has equal ids inside a domain, and nothing to do with each other across domains. */
#ifndef FORMAT_ID_H
#define FORMAT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"

enum { ID_SIZE = 32, DOMAIN_SIZE = 16, RANDOM_ID_SIZE = 16 };

/* 32 zero bytes stand for a hole, and are no content's id. */
struct id {
    uint8_t bytes[ID_SIZE];
};

/* 128 random bits that name something: a domain, a repository, a writer of a log, a pack, a task, a VM. */
struct random_id {
    uint8_t bytes[RANDOM_ID_SIZE];
};

/* A thing as others refer to it. Hole: id and number are zero. */
struct ref {
    struct id id;
    uint64_t number; /* of its record; 0 where it is not known */
};

/* What a record holds; the first byte under its id. Published: never renumber. */
enum kind {
    KIND_BLOCK = 1,
    KIND_DISK_ROOT = 2,
    KIND_ENVELOPE = 3,
    KIND_BODY = 4,
    KIND_PACK_INDEX = 5, /* a sealed pack's own index: has neither id nor number */
    KIND_FILE_ROOT = 6,
    KIND_NODE = 16, /* plus its level, 1 to 9: 17 ... 25 */
};

enum { NODE_LEVEL_MAX = 9 }; /* 128^9 = 2^63 blocks */

/* Is KIND one of the above? */
bool kind_known(uint8_t kind);

/* "block", "node of level 2" ... into TEXT, for messages. */
enum { KIND_TEXT_SIZE = 32 };

void kind_text(uint8_t kind, char text[KIND_TEXT_SIZE]);

/* The id of PLAIN as a thing of KIND. STATUS_INTERNAL: OpenSSL failed (no memory). Any thread. */
NODISCARD enum status id_of(const struct hash_key *id_key, uint8_t kind, struct slice plain,
                            struct id *ret_id, struct error *err);

bool id_is_hole(const struct id *id);
bool id_equal(const struct id *a, const struct id *b);
/* <0, 0, >0 by bytes: the order of sorted batches. */
int id_compare(const struct id *a, const struct id *b);

/* The 64 hexadecimal digits of ID. */
enum { ID_TEXT_SIZE = 2 * ID_SIZE + 1 };

void id_text(const struct id *id, char text[ID_TEXT_SIZE]);

bool random_id_equal(const struct random_id *a, const struct random_id *b);

enum { RANDOM_ID_TEXT_SIZE = 2 * RANDOM_ID_SIZE + 1 };

void random_id_text(const struct random_id *id, char text[RANDOM_ID_TEXT_SIZE]);

/* ---- Numbers (architecture, section 5): 24 bits space, 40 bits sequence. 0 is no number. ---- */

enum { NUMBER_SEQUENCE_BITS = 40 };

#define NUMBER_SPACE_MAX    UINT32_C(0xffffff)
#define NUMBER_SEQUENCE_MAX ((UINT64_C(1) << NUMBER_SEQUENCE_BITS) - 1)

uint64_t number_of(uint32_t space, uint64_t sequence);
uint32_t number_space(uint64_t number);
uint64_t number_sequence(uint64_t number);

#endif
