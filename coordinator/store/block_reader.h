/* coordinator/store/block_reader.h: the blocks of a stored disk or file in ascending order, read in the order of the packs: a
 * window of them at a time is looked up, sorted by pack and offset, and read in stretches. Whatever cannot be read or proved
 * comes as damage in its place, and the rest goes on; holes never come.
 *
 * A sync that fails meanwhile changes nothing for what is durable; a block that it made void comes as damage.
 * Thread: the store's, which blocks; what says "any thread" may run while the store is open. */
#ifndef COORDINATOR_STORE_BLOCK_READER_H
#define COORDINATOR_STORE_BLOCK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "coordinator/store/index.h"
#include "coordinator/store/store.h"
#include "format/codec.h"
#include "format/disk_root.h"
#include "format/record.h"

enum {
    BLOCK_WINDOW_PLAIN = 8 * 1024 * 1024, /* bytes of blocks, unpacked; one block always fits */
    BLOCK_WINDOW_BLOCKS = 512,
    BLOCK_READ_MAX = 1024 * 1024, /* bytes in one go; one record always fits */
    BLOCK_GAP_MAX = 32 * 1024,    /* bytes between two records that are read over */
    BLOCK_GAPS_MAX = 1024 * 1024, /* of a whole window */
    /* Bytes of the records of a window, and what was read over: all that it takes but its own struct. */
    BLOCK_WINDOW_MEMORY = BLOCK_WINDOW_PLAIN + BLOCK_GAPS_MAX +
                          BLOCK_WINDOW_BLOCKS * (RECORD_HEADER_SIZE + XAES_TAG_SIZE),
};

struct block_read {
    uint64_t block;
    uint64_t count; /* blocks; 1 unless damaged */
    struct ref ref;
    enum status
        status; /* what is wrong: then ERR says it, naming the record's pack and offset if they are known */
    struct error err;
    struct place place;  /* where its record lies */
    struct slice record; /* as it was read, unchecked; equal blocks may share it */
};

struct block_window {
    struct block_read blocks[BLOCK_WINDOW_BLOCKS];
    size_t count;
    bool end;        /* there are no more behind these */
    uint8_t *memory; /* the module's: what the records point into */
};

/* STATUS_EXHAUSTED: no memory. Any thread. */
NODISCARD enum status block_window_new(struct block_window **ret_window, struct error *err);
void block_window_free(struct block_window *window); /* any thread; NULL is fine */

struct block_reader;

/* Over the blocks of ROOT (disk_tree_read_root(), disk_tree_read_file_root()) in DOMAIN. */
NODISCARD enum status block_reader_new(struct store *store, const struct store_domain *domain,
                                       const struct disk_root *root,
                                       struct block_reader **ret_reader, struct error *err);
void block_reader_free(struct block_reader *reader); /* NULL is fine */

/* The next blocks into WINDOW, whose former ones are gone; behind the end: none, and WINDOW->end. Fails for a reason that is
 * no damage only: WINDOW is empty then, and the reader only takes block_reader_free(). */
NODISCARD enum status block_reader_fill(struct block_reader *reader, struct block_window *window,
                                        struct error *err);

/* Proves BLOCK, whose status is STATUS_OK: its record is whole, and the one that the tree names; it unseals, unpacks to the
 * block's length, and has its id. RET_PLAIN gets the block (room for the root's block size); RET_PACKED (cleared first) and
 * *RET_CODEC the same as it was packed. STATUS_CORRUPT, STATUS_UNSUPPORTED (block_is_damage()): it is not;
 * the sentence names pack and offset. Any thread. */
NODISCARD enum status block_prove(const struct block_reader *reader, const struct block_read *block,
                                  struct codec_context *codec, uint8_t *ret_plain,
                                  struct buffer *ret_packed, uint8_t *ret_codec, struct error *err);

/* Of reading a record: is it the data that is wrong (also: a disk that cannot read it), not this process? Any thread. */
bool block_is_damage(enum status status);

#endif
