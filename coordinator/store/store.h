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
 *     head                the newest entry of the log that was written: a log that lacks it was rolled back, or cut
 *     proved              when each pack was last proved by a check: a cache
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
#include "coordinator/store/proved.h"
#include "format/id.h"
#include "format/keys.h"
#include "format/log_body.h"
#include "format/pack.h"
#include "format/record.h"
#include "format/repository.h"

struct store;

struct store_options {
    struct fs *fs;                /* opened on the data folder */
    struct index *index;          /* not needed by store_create() */
    struct random_source *random; /* must be good on any thread */
    const struct clock_source *clock;
    const struct log *log;
    uint64_t pack_size;     /* bytes at which a pack is sealed; 0: 64 MiB */
    uint64_t number_range;  /* numbers reserved at a time; 0: 65,536 */
    size_t fresh_max;       /* records that wait for a sync; one more syncs by itself; 0: 65,536 */
    uint64_t summary_every; /* entries of the log from one summary to the next; 0: 10,000 */
    const struct random_id
        *repository; /* for store_create(): the new one's id; NULL: a random one */
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

/* ---- Domains: nothing is shared across them ---- */

struct store_domain {
    struct random_id id;
    struct hash_key *id_key;
    enum log_domain_state state;
    char name[LOG_DOMAIN_NAME_SIZE];
};

/* The one that the repository began with ("default"): good until store_close(), any thread. */
const struct store_domain *store_default_domain(const struct store *store);

/* NULL: there is no such domain. Good until store_close(), any thread may use what was given out. */
const struct store_domain *store_find_domain(const struct store *store, const struct random_id *id);

/* Begins another domain, durably. STATUS_EXISTS: one of that name is in use. */
NODISCARD enum status store_add_domain(struct store *store, const char *name,
                                       const struct store_domain **ret_domain, struct error *err);

/* Changes when a failed sync has taken away what was appended since the last good one: numbers and trees from before
 * are void then, and every call with them is refused with STATUS_ABORTED where the store can see it. */
uint64_t store_generation(const struct store *store);

/* Bytes appended to packs since the store was opened. */
uint64_t store_appended(const struct store *store);

/* ---- Records ---- */

/* RET_NUMBERS[i]: the number of IDS[i] in DOMAIN, 0: not here. */
NODISCARD enum status store_find(struct store *store, const struct store_domain *domain,
                                 const struct id *ids, size_t count, uint64_t *ret_numbers,
                                 struct error *err);

/* COUNT (1 to 4,096) numbers, one behind the other, that nobody else gets. Reserved durably. */
NODISCARD enum status store_reserve(struct store *store, size_t count, uint64_t *ret_first,
                                    struct error *err);

/* Appends RECORD (record_seal(), with a number of store_reserve() and a domain of the store), and says under which number
 * its id is here: another one if it was here already, and then nothing is appended. Its payload is not looked at: the
 * caller has checked it against its id. STATUS_EXHAUSTED: the file system is full; nothing has changed, and the same
 * call works once there is room. */
NODISCARD enum status store_append(struct store *store, struct slice record, uint64_t *ret_number,
                                   struct error *err);

/* Puts a thing of the store's own making: computes its id over PLAIN; if that is not here, seals STORED (the form with
 * numbers; the same as PLAIN where it has none) under a number of its own and appends it. */
NODISCARD enum status store_put(struct store *store, const struct store_domain *domain,
                                uint8_t kind, struct slice plain, struct slice stored,
                                struct ref *ret_ref, struct error *err);

/* The record with NUMBER as it lies in its pack into RET_RECORD (cleared first), checked only to be NUMBER's by its header
 * and whole by its CRCs. STATUS_NOT_FOUND: no such number. STATUS_CORRUPT: damaged, or its pack is missing or too short:
 * the sentence names pack and offset; or no such number is here, and packs were missing or records left out at opening. */
NODISCARD enum status store_fetch(struct store *store, uint64_t number, struct buffer *ret_record,
                                  struct error *err);

/* Where COUNT records lie, for who reads many in the order of the packs (block_reader.h). RET_PLACES[i].length is 0 where
 * there is no such number. Cheapest ascending. */
NODISCARD enum status store_places(struct store *store, const uint64_t *numbers, size_t count,
                                   struct place *ret_places, struct error *err);

/* LENGTH bytes of PACK at OFFSET into DATA: any stretch of records, unchecked. STATUS_CORRUPT: too short, or there is no such
 * pack: the sentence names it. */
NODISCARD enum status store_read_pack(struct store *store, const struct random_id *pack,
                                      uint64_t offset, void *data, size_t length,
                                      struct error *err);

/* The stored form of the thing that REF names, of KIND: fetched, unsealed, unpacked; for kinds other than blocks whoever
 * decodes it checks the id (disk_root_id(), tree_node_id(), envelope_id()); of a block or body it is checked here. */
NODISCARD enum status store_read(struct store *store, const struct store_domain *domain,
                                 uint8_t kind, const struct ref *ref, struct buffer *ret_stored,
                                 struct error *err);

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
    struct random_id domain;
    struct ref envelope;
    int64_t grace_us;  /* of a trashed one: until when it can be taken out; lock time */
    int64_t locked_us; /* nobody deletes it until then; 0: not locked; lock time */
    bool trashed;
    bool held;
};

/* Syncs all that was appended, then writes and syncs the point's entry: when this returns the point exists, whatever
 * happens next. A task that has a point already gets that one (*ret_point), and nothing is written. STATUS_ABORTED: the
 * envelope is not here (any more). Lets the task's partial trees go. */
NODISCARD enum status store_commit(struct store *store, const struct store_domain *domain,
                                   const struct random_id *task, const struct ref *envelope,
                                   struct store_point *ret_point, struct error *err);

/* All points, those in the trash too, in the order of the log; good until the next change of any. */
const struct store_point *store_points(const struct store *store, size_t *ret_count);

/* All of these change the point of TASK, durably. STATUS_NOT_FOUND: there is none. NOW is lock time, microseconds. */

/* To the trash until GRACE_US. STATUS_PRECONDITION: it is locked or held, or there already. */
NODISCARD enum status store_trash(struct store *store, const struct random_id *task,
                                  int64_t grace_us, int64_t now_us, struct error *err);
/* Out of it. STATUS_PRECONDITION: it is not there. */
NODISCARD enum status store_undelete(struct store *store, const struct random_id *task,
                                     struct error *err);
/* Ends the grace: the point is no more. STATUS_PRECONDITION: it is not in the trash. */
NODISCARD enum status store_purge(struct store *store, const struct random_id *task,
                                  struct error *err);
/* Locked until UNTIL_US, out of the trash. STATUS_PRECONDITION: it is locked for longer already, or UNTIL_US is past. */
NODISCARD enum status store_lock_point(struct store *store, const struct random_id *task,
                                       int64_t until_us, int64_t now_us, struct error *err);
/* Held for REASON, out of the trash; REASON NULL: let go. */
NODISCARD enum status store_hold(struct store *store, const struct random_id *task,
                                 const char *reason, struct error *err);

/* ---- Tasks and partial trees ---- */

/* Writes and syncs a task's newest state; the store keeps it until LOG_TASK_ENDED. STATUS_ABORTED: it has a higher epoch. */
NODISCARD enum status store_note_task(struct store *store, const struct log_task *task,
                                      struct error *err);
/* Calls EACH for every task that has not ended, until it fails. What it gets is good for the call. */
NODISCARD enum status store_each_task(const struct store *store,
                                      enum status (*each)(void *arg, const struct log_task *task,
                                                          struct error *err),
                                      void *arg, struct error *err);

/* A partial tree: blocks below BLOCKS are decided and here, what lies behind is the parent's. */
struct store_partial {
    struct random_id task;
    uint8_t disk[16]; /* VirtualDiskId */
    struct random_id domain;
    uint64_t blocks;
    struct ref root; /* of disk_tree_save() */
};

/* Syncs all that was appended, then writes and syncs the entry; takes the place of the one of the same task and disk. */
NODISCARD enum status store_save_partial(struct store *store, const struct store_partial *partial,
                                         struct error *err);
/* Lets the partial trees of TASK go. None: nothing is written. */
NODISCARD enum status store_drop_partials(struct store *store, const struct random_id *task,
                                          struct error *err);
const struct store_partial *store_partials(const struct store *store, size_t *ret_count);

/* Writes and syncs a tracking entry of VM: it replaces the one before. */
NODISCARD enum status store_track(struct store *store, const struct random_id *vm,
                                  const struct signed_slice *tracking, struct error *err);

/* The newest tracking record of VM, as signed_encode() lays it out; good until the next store_track().
 * STATUS_NOT_FOUND. */
NODISCARD enum status store_tracking(const struct store *store, const struct random_id *vm,
                                     struct slice *ret_tracking, struct error *err);

/* ---- What is there ---- */

struct store_status {
    uint64_t packs[2]; /* data, meta */
    uint64_t pack_bytes[2];
    uint64_t unsealed_packs;
    uint64_t missing_packs; /* that index or log name */
    uint64_t left_out;      /* records: damaged, or over something that is not here */
    uint64_t points;        /* live ones */
    uint64_t trashed;
    uint64_t partials;
    uint64_t domains;
    uint64_t log_entries; /* sequence of the newest */
    uint64_t log_bytes;
    uint64_t summary; /* sequence of the newest whole summary; 0: none */
    bool rolled_back; /* a head is known that the log lacks, and nobody has accepted that */
    uint64_t rolled_back_to;
    uint64_t rolled_back_from;
    int64_t proved_us;      /* all sealed packs were proved since then; 0: some never were */
    uint64_t proved_packs;  /* sealed, and proved at least once */
    uint64_t damaged_packs; /* as the last check of each has found */
};

NODISCARD enum status store_get_status(struct store *store, struct store_status *ret_status,
                                       struct error *err);

/* A pack, for who reads all of them (check.h). */
struct store_pack {
    struct random_id name;
    enum pack_class class; /* not set, if only the log names it */
    bool missing;    /* its file was here at the start, or the log names it, and it is not here */
    bool sealed;     /* it never changes */
    uint64_t size;   /* bytes of its file as it lies there */
    uint64_t synced; /* of one that is not sealed: bytes that are known to be durable; 0: none */
};

/* All packs, ascending by name: *ret_packs is the caller's (memory_free). */
NODISCARD enum status store_packs(struct store *store, struct store_pack **ret_packs,
                                  size_t *ret_count, struct error *err);

/* Reads all of the log as it lies, hash, signature and chain of each entry. STATUS_CORRUPT: the sentence names where it is wrong. */
NODISCARD enum status store_audit_log(struct store *store, struct error *err);

/* Notes in the file `proved` what a check has found of COUNT packs; what it knew of packs that are no more is forgotten. */
NODISCARD enum status store_note_proved(struct store *store, const struct proved_pack *packs,
                                        size_t count, struct error *err);

/* An admin knows that the log was rolled back. STATUS_PRECONDITION: it was not. */
NODISCARD enum status store_accept_rollback(struct store *store, struct error *err);

/* Makes all caches anew from packs and log, as if the store were closed and opened without them; what was appended and not
 * synced is void (store_generation()). PROGRESS (NULL: none) is told how many of all packs are done. After a failure the store
 * only answers STATUS_UNAVAILABLE until this has succeeded. */
NODISCARD enum status store_rebuild(struct store *store,
                                    void (*progress)(void *arg, uint64_t done, uint64_t all),
                                    void *arg, struct error *err);

#endif
