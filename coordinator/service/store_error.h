/* coordinator/service/store_error.h: what a failure of the store means to whoever runs a backup. Any thread. */
#ifndef COORDINATOR_SERVICE_STORE_ERROR_H
#define COORDINATOR_SERVICE_STORE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/store.h"

/* STATUS as it was, STATUS_OK too; of a full file system the sentence says so, and what to do. */
enum status store_error_explain(enum status status, struct error *err);

/* Of a read that ended with STATUS: is it the data that is wrong (also: a disk that cannot read it), not this process? */
bool store_error_is_damage(enum status status);

/* STATUS_ABORTED: what was appended in GENERATION was lost since. Thread: the store's. */
NODISCARD enum status store_error_check_generation(const struct store *store, uint64_t generation,
                                                   struct error *err);

#endif
