/* agent/disk_reader.h: the first half of the upload: asks a frozen disk what to read, reads it with many
 * requests in flight, names each block by its id, and hands the blocks out in the disk's order.
 *
 * Memory: what is handed out or on its way is taken from the window; beside it READER_SPARE_MAX chunks that
 * wait to be used again. A full window stops the reading. Thread: the loop's. */
#ifndef AGENT_DISK_READER_H
#define AGENT_DISK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "agent/disk/disk.h"
#include "agent/window.h"
#include "format/id.h"

enum {
    READER_READS_MAX = 16,  /* read requests in flight */
    READER_CHUNKS_MAX = 32, /* being read or hashed */
    READER_SPARE_MAX = 16,
};

struct disk_reader;

struct chunk_block {
    struct id id;   /* a hole: all bytes are zero */
    uint64_t seq;   /* the owner's, as is what follows: which entry it was offered as */
    uint64_t offer; /* and in which offer */
    bool wanted;
};

/* Neighbouring blocks of the disk, in memory. */
struct chunk {
    struct chunk *next; /* the holder's: the reader's, or the owner's to whom it was handed out */
    uint64_t first_block;
    unsigned count;
    uint8_t *data;
    size_t length;   /* bytes; the disk's last block may be short */
    unsigned open;   /* the owner's: blocks of which it is not known whether they are wanted */
    unsigned wanted; /* the owner's */
    struct chunk_block *blocks; /* COUNT */
};

struct disk_reader_options {
    struct loop *loop;
    struct pool *workers;
    struct window *window;
    struct disk *disk; /* frozen; stays open until the reader is closed */
    const struct hash_key *id_key;
    uint32_t block_size;
    const char *since;     /* only what changed since that frozen state; NULL: what is allocated */
    const struct log *log; /* logging: an allocated disk that has to be read whole */
};

struct disk_reader_events {
    /* There is something to take, or the end is reached. Called on the loop, from nothing that the owner
     * calls. */
    void (*ready)(void *owner);
    /* It goes no further; close it. REASON: the disk could not say what has changed: it is to be read whole,
     * for this (agent/reason.h); NULL: it cannot be read at all. Once. */
    void (*failed)(void *owner, enum status status, const char *reason, const struct error *err);
};

/* All that is borrowed stays in place until it is closed. Begins to read when ready() may come: at once. */
NODISCARD enum status disk_reader_new(const struct disk_reader_options *options,
                                      const struct disk_reader_events *events, void *owner,
                                      struct disk_reader **ret_reader, struct error *err);

/* The next chunk, ascending; NULL: there is none now. The caller's until disk_reader_give_back(). */
struct chunk *disk_reader_take(struct disk_reader *reader);
void disk_reader_give_back(struct disk_reader *reader, struct chunk *chunk);

/* Everything was taken. */
bool disk_reader_at_end(const struct disk_reader *reader);

/* Nothing is being read or hashed, and nothing can be taken: who waits for more before it goes on may wait
 * for ever. */
bool disk_reader_is_idle(const struct disk_reader *reader);

/* The bytes that are to be read, as far as it is known; the bytes read. */
uint64_t disk_reader_to_read(const struct disk_reader *reader);
uint64_t disk_reader_read(const struct disk_reader *reader);

/* The data of block INDEX of CHUNK. */
struct slice chunk_block_data(const struct chunk *chunk, unsigned index, uint32_t block_size);

/* Cancels what is in flight, and posts ON_CLOSED when nothing is. No event comes any more. */
void disk_reader_close(struct disk_reader *reader, struct loop_task *on_closed);

/* Closed. Frees all chunks, those that are handed out too. NULL is fine. */
void disk_reader_free(struct disk_reader *reader);

#endif
