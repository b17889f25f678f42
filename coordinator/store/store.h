/* coordinator/store/store.h: the repository: packs, log, and the index over them (architecture, section 5). Knows nothing
 * of VMs, of agents or of the network.
 *
 * In its folder:
 *     repository          what makes it one (format/repository.h)
 *     lock                held while the store is open
 *     packs/NAME.data     packs of blocks, NAME is 32 hexadecimal digits (format/pack.h)
 *     packs/NAME.meta     packs of all other kinds
 *     log/NNNNNNNNNN      segments of the log, one for each start that wrote one (format/log_entry.h)
 *     index/              a cache; may be removed while the store is not open
 *
 * What is appended is there at once for find and fetch, and durable once a commit, or store_sync(), has succeeded.
 * Nothing that is not in a synced log entry is ever shown as a restore point. Closure: whoever puts a node, root or
 * manifest has put all that it names before.
 *
 * Thread: the store's for every call, which block; what says "any thread" is right anywhere while the store is open. */
#ifndef COORDINATOR_STORE_STORE_H
#define COORDINATOR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "coordinator/store/index.h"
#include "format/id.h"
#include "format/keys.h"
#include "format/log_entry.h"
#include "format/record.h"
#include "format/repository.h"

struct store;

struct store_options {
    struct fs *fs;                /* opened on the data folder */
    struct index *index;          /* not needed by store_create() */
    struct random_source *random; /* must be good on any thread */
    const struct clock_source *clock;
    const struct log *log;
    uint64_t pack_size;    /* bytes at which a pack is sealed; 0: 64 MiB */
    uint64_t number_range; /* numbers reserved at a time; 0: 65,536 */
    size_t fresh_max;      /* records that wait for a sync; one more syncs by itself; 0: 65,536 */
};

/* Makes a repository under KEY in the folder of OPTIONS->fs, which is empty: durable when this returns.
 * STATUS_EXISTS: it is a repository already. STATUS_PRECONDITION: there is something else in it. */
NODISCARD enum status store_create(const struct store_options *options,
                                   const struct repository_key *key, struct error *err);

/* Opens it, and puts right what a crash has left. All in OPTIONS is borrowed until store_close().
 * STATUS_NOT_FOUND: no repository. STATUS_UNAVAILABLE: another process has it open. STATUS_DENIED: another key.
 * STATUS_UNSUPPORTED: made by another version or build. STATUS_CORRUPT: the log is damaged where nothing can be left
 * out. Logs what it found and did: a torn tail, a missing pack, an index made anew. Without space on the disk it opens
 * for reading: the newest point is shown, though a power cut may still take it away, and whatever writes fails with
 * STATUS_EXHAUSTED until there is some. */
NODISCARD enum status store_open(const struct store_options *options,
                                 const struct repository_key *key, struct store **ret_store,
                                 struct error *err);

/* Syncs and seals what is open; whatever of it fails is logged: the next open puts it right. NULL is fine. */
void store_close(struct store *store);

const struct repository *store_repository(const struct store *store); /* any thread */
const struct keys *store_keys(const struct store *store);             /* any thread */
const struct hash_key *store_id_key(const struct store *store); /* of the one domain; any thread */

/* Changes when a failed sync has taken away what was appended since the last good one: numbers and trees from before
 * are void then, and every call with them is refused with STATUS_ABORTED where the store can see it. */
uint64_t store_generation(const struct store *store);

/* Bytes appended to packs since the store was opened. */
uint64_t store_appended(const struct store *store);

/* ---- Records ---- */

/* RET_NUMBERS[i]: the number of IDS[i], 0: not here. */
NODISCARD enum status store_find(struct store *store, const struct id *ids, size_t count,
                                 uint64_t *ret_numbers, struct error *err);

/* COUNT (1 to 4,096) numbers, one behind the other, that nobody else gets. Reserved durably. */
NODISCARD enum status store_reserve(struct store *store, size_t count, uint64_t *ret_first,
                                    struct error *err);

/* Appends RECORD (record_seal(), with a number of store_reserve() and the store's domain), and says under which number
 * its id is here: another one if it was here already, and then nothing is appended. Its payload is not looked at: the
 * caller has checked it against its id. STATUS_EXHAUSTED: the file system is full; nothing has changed, and the same
 * call works once there is room. */
NODISCARD enum status store_append(struct store *store, struct slice record, uint64_t *ret_number,
                                   struct error *err);

/* Puts a thing of the store's own making: computes its id over PLAIN; if that is not here, seals STORED (the form with
 * numbers; the same as PLAIN where it has none) under a number of its own and appends it. */
NODISCARD enum status store_put(struct store *store, uint8_t kind, struct slice plain,
                                struct slice stored, struct ref *ret_ref, struct error *err);

/* The record with NUMBER as it lies in its pack into RET_RECORD (cleared first), checked only to be NUMBER's by its header
 * and whole by its CRCs. STATUS_NOT_FOUND: no such number. STATUS_CORRUPT: damaged, or its pack is missing or too short:
 * the sentence names pack and offset; or no such number is here, and packs were missing or records left out at opening. */
NODISCARD enum status store_fetch(struct store *store, uint64_t number, struct buffer *ret_record,
                                  struct error *err);

/* The stored form of the thing that REF names, of KIND: fetched, unsealed, unpacked; for kinds other than blocks whoever
 * decodes it checks the id (disk_root_id(), tree_node_id(), envelope_id()); of a block or body it is checked here. */
NODISCARD enum status store_read(struct store *store, uint8_t kind, const struct ref *ref,
                                 struct buffer *ret_stored, struct error *err);

/* Makes all that was appended durable. After a failure what was appended since the last success is void: see
 * store_generation(). */
NODISCARD enum status store_sync(struct store *store, struct error *err);

/* ---- The log ---- */

struct store_head {
    struct random_id writer;
    uint64_t sequence;
    struct hash_digest hash;
};

struct store_head store_head(const struct store *store);

struct store_point {
    uint64_t sequence; /* of its log entry */
    int64_t time_us;   /* of its log entry */
    struct random_id task;
    struct ref envelope;
};

/* Syncs all that was appended, then writes and syncs the point's entry: when this returns the point exists, whatever
 * happens next. A task that has a point already gets that one (*ret_point), and nothing is written. STATUS_ABORTED: the
 * envelope is not here (any more). */
NODISCARD enum status store_commit(struct store *store, const struct random_id *task,
                                   const struct ref *envelope, struct store_point *ret_point,
                                   struct error *err);

/* All points, in the order of the log; good until the next commit. */
const struct store_point *store_points(const struct store *store, size_t *ret_count);

/* Writes and syncs a tracking entry of VM: it replaces the one before. */
NODISCARD enum status store_track(struct store *store, const struct random_id *vm,
                                  const struct signed_slice *tracking, struct error *err);

/* The newest tracking record of VM, as signed_encode() lays it out; good until the next store_track().
 * STATUS_NOT_FOUND. */
NODISCARD enum status store_tracking(const struct store *store, const struct random_id *vm,
                                     struct slice *ret_tracking, struct error *err);

#endif
