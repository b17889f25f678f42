/* coordinator/store/recovery.h: brings index and packs to agreement when a store is opened: after a crash, a power cut, or the
 * loss of the index. Thread: the store's; blocks.
 *
 * - A file that is not what its name says, by its header, is not looked at: that pack is missing.
 * - A pack that the index knows wholly is left alone. A sealed one that it does not know is put in from the pack's own
 *   index: its seal was written after its records were durable. If that index cannot be right the pack is scanned.
 * - A pack without a seal is scanned. What lies below the length that the index or the log calls synced is durable: put in;
 *   damage there is rot, and logged. What lies above it may never reach the disk, whatever it reads like now (the process
 *   before may have seen a sync fail): each sound record that is not here is copied, under its number, to a new pack. Then
 *   the old one is sealed, nothing cut off; its seal names only what was durable.
 *   A pack in which nothing is durable is removed then.
 * - Closure: from the blocks upwards, a thing is put in only if all that it names is here, in its own domain. A pack of which
 *   durable records are damaged or left out is looked through again at each start: what they need may be back.
 *   Records of domains that the log does not know are left out.
 * - If the index covers a pack that is missing or shorter, it is forgotten and made anew from all packs.
 * - Condemned packs: whoever writes the last LOG_CONDEMN entry of a pack has, before that, taken its dead out of the index, given
 *   it a cover of PACK_HEADER_SIZE without a seal (nothing in it counts), and flushed. An index in which a condemned pack
 *   has any other cover, or none, is older than that entry, so it is forgotten and made anew: then a condemned pack is read
 *   behind all others, without its dead, and gets that cover. Its file may be gone.
 * - Without space a tail, a seal and what the index lacks wait for another start.
 * - What the index fails with ends it: a damaged index says nothing about records.
 * Cut off anywhere, it leads to the same when it is done again.
 *
 * Memory: what waits for the index (records_options.fresh_max, twice), some buffers of RECORD_SIZE_MAX, and some hundred bytes a
 * pack; nothing for a record. So packs are read once for each rank of things that is in them (of a sealed one its index only). */
#ifndef COORDINATOR_STORE_RECOVERY_H
#define COORDINATOR_STORE_RECOVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/domains.h"
#include "coordinator/store/log_state.h"
#include "coordinator/store/records.h"

/* All borrowed. */
struct recovery_world {
    const struct records_options *options; /* those of RECORDS */
    struct records *records;               /* knows no pack yet */
    const struct domains *domains;
    const struct log_state *state;
    void (*progress)(void *arg, uint64_t done, uint64_t all); /* packs; NULL: nobody is told */
    void *progress_arg;
};

struct recovery_result {
    uint64_t first_free;  /* a sequence above all numbers of the log's space that are in a pack */
    size_t missing_packs; /* that index or log name */
    uint64_t left_out;    /* durable records */
};

/* Does it, and logs what it found: of each kind of thing at most RECOVERY_LINES_MAX lines, then how many more there were.
 * STATUS_INTERNAL: the index is damaged (index.h); cleared, and with new records, it may be done once more. */
enum { RECOVERY_LINES_MAX = 20 };

NODISCARD enum status recovery_run(const struct recovery_world *world,
                                   struct recovery_result *ret_result, struct error *err);

#endif
