/* coordinator/store/run_writer.h: a run (run.h) while it is written. Beside what the run keeps in memory it takes 64 KiB and a
 * page. What is written is synced every 8 MiB, so that the last sync has not more to do.
 *
 * After a failure the file is good for nothing, and its name is not used again (base/fs.h, fs_sync). Thread: the store's;
 * blocks. */
#ifndef COORDINATOR_STORE_RUN_WRITER_H
#define COORDINATOR_STORE_RUN_WRITER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/run.h"

struct run_writer;

/* Makes the file of HEADER's kind, number and domain, for at most HEADER's entries, which are at least 1. The caller's
 * (run_writer_free). */
NODISCARD enum status run_writer_new(struct fs *fs, const struct run_header *header,
                                     struct run_writer **ret_writer, struct error *err);

/* Leaves the file as it is. NULL is fine. */
void run_writer_free(struct run_writer *writer);

/* The next ENTRY; its key is above the one before. */
NODISCARD enum status run_writer_add(struct run_writer *writer, const uint8_t *entry,
                                     struct error *err);

/* What was added, at least one entry, is durable in its file, whose name is after a sync of the folder; WRITER can only be
 * freed then. *RET_RUN is the caller's (run_close). */
NODISCARD enum status run_writer_finish(struct run_writer *writer, struct run **ret_run,
                                        struct error *err);

#endif
