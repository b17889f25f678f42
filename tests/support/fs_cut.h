/* tests/support/fs_cut.h: what a power cut may leave. From the log of what was done (fs_log.h) it builds,
 * one after the other, every state that the disk may legally have when the power goes after the first K
 * operations; the last of them is thus cut off in its middle.
 *
 * The model, in *atoms* that are each kept or lost, whatever happens to the others:
 * - A write is cut at multiples of TEAR_UNIT in the file; each piece is an atom. If it extends the file,
 *   the new size is one more: grown with the data lost (zeros), or not grown; a kept piece brings the
 *   size that covers it. A resize is an atom.
 * - A name made or removed is an atom of its folder. A rename within a folder is one (the old name or the
 *   new, never both or none); between two folders its halves are an atom of each.
 * - A good sync of a file makes its atoms so far durable, never its name; a good sync_dir of a folder makes
 *   the names in it durable, never what is in the files or in the folders below.
 * - Atoms that were pending when a sync *failed* stay so for ever, whatever later syncs say.
 * - What is kept is done in the order in which it was done.
 * A process that is killed while the power stays on loses nothing: that is fs_log_replay().
 *
 * Sources: POSIX.1-2008, fsync() and its rationale, promises no more than the sync; fsync(2) on Linux,
 * "does not necessarily ensure that the entry in the directory has reached disk"; the persistence
 * properties that Pillai et al. found in real file systems ("All File Systems Are Not Created Equal",
 * ALICE, OSDI 2014): writes torn at any block, sizes and names before data, no order between files and
 * folders; Rebello et al. ("Can Applications Recover from fsync Failures?", USENIX ATC 2020) and
 * PostgreSQL's data_sync_retry for failed syncs. Of a folder's name operations ALICE allows what we allow;
 * a journal would forbid some of it, and we do not count on one. Bit rot is not in the model.
 *
 * Thread: one at a time. No faults may be armed meanwhile. */
#ifndef TESTS_SUPPORT_FS_CUT_H
#define TESTS_SUPPORT_FS_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "tests/support/fs_log.h"

struct fs_cut_options {
    uint32_t tear_unit;  /* bytes; 0: 512, a sector */
    unsigned exhaustive; /* with at most so many pending atoms: all 2^n states; 0: 10; 20 at most */
    unsigned samples;    /* with more: random states beside the chosen ones */
    uint64_t seed;       /* for these */
};

struct fs_cut;

/* The states after the first UPTO operations of LOG, borrowed, which does not change meanwhile. With more
 * pending atoms than OPTIONS->exhaustive: all kept, all lost, each single one lost, each single one kept,
 * each prefix kept, and OPTIONS->samples random ones. */
NODISCARD enum status fs_cut_new(const struct fs_log *log, size_t upto,
                                 const struct fs_cut_options *options, struct fs_cut **ret_cut,
                                 struct error *err);
void fs_cut_free(struct fs_cut *cut);

/* How many states there are, and of how many pending atoms. */
uint64_t fs_cut_count(const struct fs_cut *cut);
size_t fs_cut_pending(const struct fs_cut *cut);

/* The next state, as a file system in memory of its own; the caller's (fs_free). *ret_fs is NULL after the
 * last one. */
NODISCARD enum status fs_cut_next(struct fs_cut *cut, struct fs **ret_fs, struct error *err);

/* The name of the state that came last: "after 17 of 40, torn at 16, choice 0x2b"; bit i of the choice: the
 * ith pending atom is kept. Good until the next call. */
const char *fs_cut_name(const struct fs_cut *cut);

/* The state of that NAME again. STATUS_INVALID: no name of a state of LOG. */
NODISCARD enum status fs_cut_rebuild(const struct fs_log *log, const char *name, struct fs **ret_fs,
                                     struct error *err);

#endif
