/* coordinator/service/disk_reader.h: the blocks of a stored disk or file in ascending order, some at a time: read on the store's
 * thread in the order of the packs (store/block_reader.h), proved on workers. What is damaged comes as such, in its place.
 * Thread: the loop's, unless said otherwise. */
#ifndef COORDINATOR_SERVICE_DISK_READER_H
#define COORDINATOR_SERVICE_DISK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/service/exchange.h"
#include "coordinator/store/block_reader.h"
#include "format/codec.h"
#include "format/disk_root.h"

enum {
    DISK_BATCH_BLOCKS = 64,
    DISK_BATCH_PLAIN_MAX = 1024 * 1024, /* bytes; one block always fits */
    DISK_READER_BATCHES = 4,            /* on their way at once */
    DISK_READER_WINDOWS = 2,            /* one is read while the other is proved */
};

struct disk_block {
    uint64_t block;
    uint64_t count;     /* blocks; 1 unless damaged */
    enum status status; /* what is wrong: then ERR says it, and there is no block */
    struct error err;
    uint64_t stored; /* bytes of its record that were read */
    uint8_t codec;
    struct buffer packed; /* the block, packed by CODEC */
};

struct disk_reader;

/* A window of the store's reader, while its blocks are proved. */
struct disk_window {
    struct job job; /* first */
    struct disk_reader *reader;
    struct block_window *blocks;
    size_t given; /* blocks of it that are in batches */
    unsigned users;
    bool filled;
};

struct disk_batch {
    struct job job; /* first */
    struct disk_reader *reader;
    struct disk_window *window; /* where its blocks come from */
    size_t first;               /* there */
    struct disk_block blocks[DISK_BATCH_BLOCKS];
    size_t count;
    struct codec_context *codec;
    uint8_t *plain;
};

/* Embedded, zeroed but for the first four. */
struct disk_reader {
    struct exchange *exchange;
    /* BATCH has blocks: the receiver's until disk_reader_next(). In order. */
    void (*ready)(struct disk_reader *reader, struct disk_batch *batch);
    /* All batches were received and given back. */
    void (*ended)(struct disk_reader *reader);
    /* It cannot go on, for a reason that is no damage. At most once; nothing comes after it. */
    void (*failed)(struct disk_reader *reader, enum status status, const struct error *err);

    struct disk_root root; /* this module's, as is what follows */
    struct block_reader *blocks;
    struct disk_window windows[DISK_READER_WINDOWS];
    size_t current; /* the window that is given out */
    struct disk_batch *batches[DISK_READER_BATCHES];
    struct disk_batch *idle[DISK_READER_BATCHES];
    size_t idle_count;
    unsigned filling; /* windows */
    bool end_seen, stopped;
};

/* A disk to read, after the one before has ended. Thread: the store's. */
NODISCARD enum status disk_reader_open(struct disk_reader *reader, const struct disk_root *root,
                                       struct error *err);
void disk_reader_close(struct disk_reader *reader); /* thread: the store's; zeroed is fine */

/* After disk_reader_open(): batches begin to come. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status disk_reader_start(struct disk_reader *reader, struct error *err);

/* BATCH is through. */
void disk_reader_next(struct disk_reader *reader, struct disk_batch *batch);

/* Frees the batches; nothing is on its way, and it is closed. */
void disk_reader_deinit(struct disk_reader *reader);

#endif
