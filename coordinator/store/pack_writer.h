/* coordinator/store/pack_writer.h: one pack while it is written: records behind one another, then its seal. What was
 * written is durable after pack_writer_sync() and a sync of the packs' folder. Thread: the store's. */
#ifndef COORDINATOR_STORE_PACK_WRITER_H
#define COORDINATOR_STORE_PACK_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/keys.h"
#include "format/pack.h"
#include "format/record.h"

struct pack_writer;

/* Makes the file, with its header. FS is borrowed. */
NODISCARD enum status pack_writer_new(struct fs *fs, const struct pack_header *header,
                                      struct pack_writer **ret_writer, struct error *err);
void pack_writer_free(struct pack_writer *writer); /* closes, syncs nothing; NULL is fine */

uint64_t pack_writer_length(const struct pack_writer *writer); /* header and records */
uint64_t pack_writer_synced(
    const struct pack_writer *writer); /* how much of it a sync has made durable */

uint64_t pack_writer_sealed_length(const struct pack_writer *writer); /* once it is sealed */

/* Is there room for one more record of SIZE bytes in a pack of PACK_SIZE? One always fits. */
bool pack_writer_fits(const struct pack_writer *writer, size_t size, uint64_t pack_size);

/* STATUS_EXHAUSTED: no space; nothing has changed, and the next record goes to the same place. After any other failure
 * this pack is to be given up. */
NODISCARD enum status pack_writer_append(struct pack_writer *writer, struct slice record,
                                         const struct record_header *header, uint64_t *ret_offset,
                                         struct error *err);

/* Syncs the file. After a failure this pack is to be given up. */
NODISCARD enum status pack_writer_sync(struct pack_writer *writer, struct error *err);

/* What was written up to now counts as durable: the file's sync and that of its folder have succeeded. */
void pack_writer_mark_synced(struct pack_writer *writer);

/* Writes the pack's index and footer; all its records are synced, and there is one at least. The pack is sealed when
 * pack_writer_sync() has succeeded. STATUS_EXHAUSTED: may be tried again; after any other failure this pack is to be given
 * up, unsealed. */
NODISCARD enum status pack_writer_write_seal(struct pack_writer *writer, const struct keys *keys,
                                             struct random_source *random, struct error *err);

#endif
