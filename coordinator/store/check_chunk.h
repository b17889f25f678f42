/* coordinator/store/check_chunk.h: a stretch of a pack, read at once and proved record by record: what a job carries from the
 * store's thread to a worker and back. */
#ifndef COORDINATOR_STORE_CHECK_CHUNK_H
#define COORDINATOR_STORE_CHECK_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/check_found.h"
#include "coordinator/store/store.h"
#include "format/codec.h"
#include "format/record.h"

enum {
    CHECK_READ_SIZE = 1024 * 1024, /* bytes in one go; one record always fits */
    CHECK_READ_LEAST = 4096,       /* what cannot be read is stepped over by so much */
    CHECK_CHUNK_PIECES = 2048,
};

/* A record; or bytes in which there is none: kind 0. */
struct check_piece {
    uint64_t offset; /* in the pack */
    uint64_t length;
    struct record_header header;
    const struct store_domain *domain; /* NULL: there is no such */
    enum check_wrong wrong;
};

struct check_chunk {
    size_t pack;     /* which one of the check's */
    uint64_t offset; /* of BYTES in it */
    struct buffer bytes;
    struct check_piece pieces[CHECK_CHUNK_PIECES];
    size_t count;
    bool ends_pack;
    struct codec_context *codec;
    struct buffer stored; /* scratch */
};

/* The caller's. STATUS_EXHAUSTED. Any thread. At most 11 MiB with all that it grows to. */
NODISCARD enum status check_chunk_new(struct check_chunk **ret_chunk, struct error *err);
void check_chunk_free(struct check_chunk *chunk); /* any thread; NULL is fine */

/* Reads the stretch of PACK that begins at OFFSET (below END, where its records end), and finds the records in it: at least one
 * piece, and the next chunk begins where the last one ends. What cannot be read is a piece. Thread: the store's. */
NODISCARD enum status check_chunk_read(struct check_chunk *chunk, struct store *store,
                                       const struct random_id *pack, uint64_t offset, uint64_t end,
                                       struct error *err);

/* Where the last piece ends. */
uint64_t check_chunk_end(const struct check_chunk *chunk);

/* Proves the records: CRCs; unless KEYLESS also seal, compression and id. Fails for a reason that is no damage only. Any thread. */
NODISCARD enum status check_chunk_prove(struct check_chunk *chunk, const struct keys *keys,
                                        bool keyless, struct error *err);

/* Is ST, of reading, damage: something that a check is to go on after? */
bool check_is_damage(enum status st);

#endif
