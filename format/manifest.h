/* format/manifest.h: the two records of a restore point (architecture, section 4). Little-endian.
 *
 *     envelope: u8 version 0, u8 zero, u16 number of disks, u16 number of files, VM 16, i64 time, for each disk {u64 size,
 *       disk root: id 32 [number 8]}, for each file the same with its file root, body: id 32 [number 8]. Its id covers it
 *       without the numbers in brackets. One disk or file at least.
 *     body: u8 version 0, the signed statement (format/statement.h). Its id covers all of it.
 */
#ifndef FORMAT_MANIFEST_H
#define FORMAT_MANIFEST_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/statement.h"

/* A disk, or a file of the configuration; names are in the body's statement, in the same order. */
struct envelope_disk {
    uint64_t size;
    struct ref root;
};

struct envelope {
    struct random_id vm;
    int64_t time_us;
    struct envelope_disk *disks; /* owned: envelope_deinit() */
    uint16_t disk_count;         /* at most STATEMENT_DISKS_MAX */
    struct envelope_disk *files; /* owned, as the disks */
    uint16_t file_count;         /* at most STATEMENT_FILES_MAX */
    struct ref body;
};

/* Appends what the id covers; what is stored. */
void envelope_encode_plain(const struct envelope *envelope, struct buffer *target);
void envelope_encode_stored(const struct envelope *envelope, struct buffer *target);
/* The stored form. STATUS_CORRUPT: not that, a number or an id of zero. */
NODISCARD enum status envelope_decode_stored(struct slice stored, struct envelope *ret_envelope,
                                             struct error *err);
void envelope_deinit(struct envelope *envelope); /* zeroed is fine */
NODISCARD enum status envelope_id(const struct hash_key *id_key, const struct envelope *envelope,
                                  struct id *ret_id, struct error *err);

void body_encode(const struct signed_slice *statement, struct buffer *target);
/* Borrows from PLAIN. STATUS_CORRUPT. */
NODISCARD enum status body_decode(struct slice plain, struct signed_slice *ret_statement,
                                  struct error *err);

#endif
