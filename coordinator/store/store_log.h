/* coordinator/store/store_log.h: the log's segments: read, checked, and written so that an entry that was once shown is there
 * for good.
 *
 * A segment, log/NNNNNNNNNN (ten decimal digits, from 1, gaps are fine), is entries one behind the other (format/log_entry.h)
 * and nothing else. Rules:
 * - A segment gets an entry only while all before in it are known to be durable: after a write or sync that failed it gets
 *   nothing more, and the next entry begins another segment.
 * - So of the newest entry alone nobody can know, after a start, whether it is durable: the process before may have seen
 *   its sync fail. Opening repeats it, byte for byte, as the first entry of a new segment, and syncs that;
 *   if there is no space for it, the first append does it, or fails.
 * - A reader takes the segments in the order of their numbers. The first entry of a segment follows the newest one so far
 *   (sequence and hash); or it has its sequence, follows the one before it and takes its place: the same once more, or
 *   another, and then the old one was given up; or it is that one before it once more: whoever wrote this segment did not
 *   see the newest one, which was given up and comes to light by a power cut. Nobody was ever told of what was given up.
 * - What lies in a segment behind its last whole entry counts for nothing. If it is the newest segment, that is a crash's
 *   torn entry, and is logged; damage there that cannot be one is STATUS_CORRUPT.
 *
 * Summaries (format/log_body.h). Their parts are entries like all others, each synced before the next one is written:
 * - Part 0 always begins a new segment. A summary is *whole* when all its parts follow one another in the chain and none of
 *   them was given up. Where its parts lie does not matter: a start that finds the last part newest repeats it in a
 *   segment of its own.
 * - A writer that cannot write a part goes on as after any entry that failed. It never completes a summary later, and
 *   nor does a start that finds a part newest: it repeats that part, and what follows is not the next one. Then
 *   the summary is void: its parts are entries that change nothing. The one before serves.
 * - A reader looks at the first entries of the segments, the newest segment first, for a part 0, and reads from there: entries
 *   that lie before a whole summary are not read. A part 0 that begins two segments (repeated) is found in the later one;
 *   if what follows there shows the summary to be void, so it is in the earlier one, and the reader goes further back:
 *   at last to the first segment. It trusts what the first entry chains to, for that entry is signed by the
 *   writer's key, which follows from the repository's key and the writer's id.
 * - What is damaged at the start of a segment is no part 0: the reader goes further back, and then reads across the
 *   damage: if anything chains to what is lost, the log is STATUS_CORRUPT; if nothing does, it is as if it had never been
 *   written.
 * - Segments before the newest whole summary are read by store_log_audit() only, and by store_log_compare().
 *
 * A log that ends too early (its newest segments are gone, or an older copy lies in their place) is whole by all
 * these rules: that is what heads are for (log_head.h, store_log_compare()).
 * Thread: the store's; all calls block. */
#ifndef COORDINATOR_STORE_STORE_LOG_H
#define COORDINATOR_STORE_STORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "coordinator/store/log_head.h"
#include "coordinator/store/log_state.h"
#include "coordinator/store/store.h"
#include "format/keys.h"
#include "format/log_entry.h"

#define LOG_DIR "log"

struct store_log;

/* What a log needs: all borrowed. */
struct store_log_world {
    struct fs *fs;
    const struct keys *keys;
    struct random_source *random;
    const struct log
        *log; /* what is found at opening, a head that cannot be written; not needed to create */
    size_t part_size; /* bytes of items at which a part of a summary ends; 0: what an entry takes */
};

/* Begins the log of WRITER in the empty folder LOG_DIR: its first entry, SPACE's (whose public key is set here), durable. */
NODISCARD enum status store_log_create(const struct store_log_world *world,
                                       const struct random_id *writer, uint32_t space,
                                       int64_t time_us, struct error *err);

/* Reads the log: EACH(ARG, header, body) gets the items of the newest whole summary (header: type, sequence, time and writer
 * of the entry that the item was; no more), then every entry behind that, or, without one, every entry, in order, until it
 * fails; then makes sure of the newest. EACH gets no LOG_SUMMARY.
 * STATUS_CORRUPT: damaged where nothing can be left out, or not signed by its writer. */
NODISCARD enum status store_log_open(const struct store_log_world *world,
                                     enum status (*each)(void *arg,
                                                         const struct log_entry_header *header,
                                                         struct slice body, struct error *err),
                                     void *arg, struct store_log **ret_log, struct error *err);
void store_log_free(struct store_log *log); /* NULL is fine */

/* The newest entry is durable, if it was not since opening for want of space. */
NODISCARD enum status store_log_settle(struct store_log *log, struct error *err);

/* Writes and syncs an entry; *ret_header is that of the entry. After a failure the entry does not count for this process;
 * it may be there after the next start, unless another one was written. */
NODISCARD enum status store_log_append(struct store_log *log, uint8_t type, struct slice body,
                                       int64_t time_us, struct log_entry_header *ret_header,
                                       struct error *err);

/* A LOG_SPACE body for this log's writer into BODY (appended): another SPACE for its numbers. */
void store_log_encode_space(const struct store_log *log, uint32_t space, struct buffer *body);

/* ---- Summaries ---- */

/* Have EVERY entries (at least 1) been written since the newest whole summary, or the beginning, and since the last try to
 * write one here? */
bool store_log_wants_summary(const struct store_log *log, uint64_t every);

/* Writes a summary of STATE, which is that of all entries so far: durable when this returns. After a failure it does not
 * count, the one before serves, and the log goes on. STATUS_EXHAUSTED also: it has more than LOG_SUMMARY_PARTS_MAX parts. */
NODISCARD enum status store_log_summarize(struct store_log *log, const struct log_state *state,
                                          int64_t time_us, struct error *err);

/* The sequence of the newest whole summary's first part; 0: there is none. */
uint64_t store_log_summary(const struct store_log *log);

/* ---- Heads ---- */

enum store_log_known {
    STORE_LOG_HAS,         /* the entry is in the log */
    STORE_LOG_CANNOT_TELL, /* another writer's, or before what can still be read of the log */
    STORE_LOG_LACKS,       /* the log ends before it: rolled back, or cut */
    STORE_LOG_HAS_ANOTHER, /* another entry has its sequence: rolled back, and gone on since */
};

/* Is KNOWN, a head that this log once had, in it? Reads segments if it is not one of the newest two entries. */
NODISCARD enum status store_log_compare(struct store_log *log, const struct store_head *known,
                                        enum store_log_known *ret_known, struct error *err);

/* From now on HEAD (borrowed) is written after each entry that is durable, and once now, if the newest is. Whoever
 * found by store_log_compare() that what it says is lacking has noted that in the log before. */
void store_log_keep_head(struct store_log *log, struct log_head *head);

/* ---- All of it ---- */

/* Reads the log from its first segment on, and checks the whole chain. EACH gets every entry, in order, those of summaries
 * too, and one behind the newest if that was given up and lies there. STATUS_CORRUPT: something is damaged or missing,
 * maybe where opening does not look: the sentence says which segment, and whether the log opens without it. */
NODISCARD enum status store_log_audit(struct store_log *log,
                                      enum status (*each)(void *arg,
                                                          const struct log_entry_header *header,
                                                          struct slice body, struct error *err),
                                      void *arg, struct error *err);

/* The bytes of all segments. */
NODISCARD enum status store_log_bytes(struct store_log *log, uint64_t *ret_bytes,
                                      struct error *err);

/* Of the newest entry. */
const struct random_id *store_log_writer(const struct store_log *log);
uint64_t store_log_sequence(const struct store_log *log);
const struct hash_digest *store_log_hash(const struct store_log *log);

#endif
