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
 * Thread: the store's; all calls block. */
#ifndef COORDINATOR_STORE_STORE_LOG_H
#define COORDINATOR_STORE_STORE_LOG_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/keys.h"
#include "format/log_entry.h"

#define LOG_DIR "log"

struct store_log;

/* What a log needs: all borrowed. */
struct store_log_world {
    struct fs *fs;
    const struct keys *keys;
    struct random_source *random;
    const struct log *log; /* for what is found at opening; not needed to create */
};

/* Begins the log of WRITER in the empty folder LOG_DIR: its first entry, SPACE's (whose public key is set here), durable. */
NODISCARD enum status store_log_create(const struct store_log_world *world,
                                       const struct random_id *writer, uint32_t space,
                                       int64_t time_us, struct error *err);

/* Reads the log: EACH(ARG, header, body) gets every entry, in order, until it fails; then makes sure of the newest.
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

/* Of the newest entry. */
const struct random_id *store_log_writer(const struct store_log *log);
uint64_t store_log_sequence(const struct store_log *log);
const struct hash_digest *store_log_hash(const struct store_log *log);

#endif
