/* coordinator/store/run_merge.h: several runs into one, a bit at a time, so that nobody waits for all of it. Of one id the
 * oldest run's number stays; of one number the newest run's place. Takes 64 KiB for each input, and what its writer takes.
 * Thread: the store's; blocks. */
#ifndef COORDINATOR_STORE_RUN_MERGE_H
#define COORDINATOR_STORE_RUN_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/run.h"

enum { RUN_MERGE_INPUTS = 4 };

struct run_merge;

/* Of RUN_MERGE_INPUTS runs of one kind and domain at INPUTS, the oldest first; borrowed, and they live longer. Makes the file
 * of NUMBER. The caller's (run_merge_free). */
NODISCARD enum status run_merge_new(struct fs *fs, struct run *const *inputs, uint64_t number,
                                    struct run_merge **ret_merge, struct error *err);

/* Leaves the file as it is. NULL is fine. */
void run_merge_free(struct run_merge *merge);

uint64_t run_merge_number(const struct run_merge *merge);

/* Is RUN one of the inputs? */
bool run_merge_reads(const struct run_merge *merge, const struct run *run);

/* Entries that are still to be read. */
uint64_t run_merge_left(const struct run_merge *merge);

/* Reads at most BUDGET entries. *RET_RUN: NULL as long as there are more; then the result, durable as run_writer_finish() says,
 * the caller's, and MERGE can only be freed. After a failure, too. STATUS_CORRUPT: an input's file is not as it was written. */
NODISCARD enum status run_merge_step(struct run_merge *merge, uint64_t budget, struct run **ret_run,
                                     struct error *err);

#endif
