/* tests/support/fs_cut.h: what a power cut may leave. From the log of what was done (fs_log.h) it builds,
 * one after the other, every state that the disk may legally have when the power goes after the first K
 * operations; the last of them is thus cut off in its middle.
 *
 * The model, in *atoms* that are each kept or lost, whatever happens to the others:
 * - A write is cut at multiples of TEAR_UNIT in the file; each piece is an atom. If the write extends the
 *   file, the size behind each piece is one more: grown so far with the data lost, or not grown; a kept
 *   piece brings the size that covers it. What was lost so are zeros or, with STALE, what was on those
 *   blocks before: a removed file's bytes. A resize is an atom; it grows a file by zeros only.
 * - A torn write harms nothing beside it: bytes of the same sector that were synced before stay what they
 *   are ("powersafe overwrite", as SQLite calls it: www.sqlite.org/psow.html; disks have had the charge
 *   to finish a sector for long). Who may not rely on it keeps what is synced and what is not in different
 *   sectors.
 * - A name made or removed is an atom of its folder. A rename within a folder is one (the old name or the
 *   new, never both or none); between two folders its halves are an atom of each.
 * - A good sync of a file makes its atoms durable that were there when it was called, never its name; a
 *   good sync_dir of a folder the names in it, never what is in the files or in the folders below.
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "tests/support/fs_log.h"

struct fs_cut_options {
    uint32_t tear_unit;  /* bytes; 0: 512, a sector */
    unsigned exhaustive; /* with at most so many pending atoms, growths apart, and 20 with them: all
                            states; 0: 10; 20 at most */
    unsigned samples;    /* with more: random states beside the chosen ones */
    uint64_t seed;       /* for these */
    unsigned max_states; /* at one cut; 0: no matter; 8 at least */
    bool stale; /* what grew and was lost is not zeros, but what a file removed before has at the
                            same place, or else a pattern */
};

struct fs_cut;
struct fs_cuts;

/* The states after the first UPTO operations of LOG, borrowed, which does not change meanwhile. With more
 * pending atoms than OPTIONS->exhaustive: all kept, all lost; the names kept and the content lost, and the
 * reverse; each file and each folder lost and all else kept, and the reverse; OPTIONS->samples random
 * ones, in which each file and folder keeps all, nothing, a beginning of its own, or this and that; each
 * single atom lost, each single one kept, each prefix kept. With more than OPTIONS->max_states: all kept,
 * all lost, and of each kind some, drawn by the seed. The first state is always that with all kept. */
NODISCARD enum status fs_cut_new(const struct fs_log *log, size_t upto,
                                 const struct fs_cut_options *options, struct fs_cut **ret_cut,
                                 struct error *err);

/* The same for many cuts of one log, one after the other: what is durable is gone through only once. LOG
 * is borrowed and does not change meanwhile. The caller's (fs_cuts_free). */
struct fs_cuts *fs_cuts_new(const struct fs_log *log, const struct fs_cut_options *options);
void fs_cuts_free(struct fs_cuts *cuts); /* NULL is fine */

/* As fs_cut_new(). UPTO is not less than at the last call. The caller's (fs_cut_free), before the next call
 * and before fs_cuts_free(); its states live on by themselves. */
struct fs_cut *fs_cuts_at(struct fs_cuts *cuts, size_t upto);

void fs_cut_free(struct fs_cut *cut); /* NULL is fine */

/* How many states there are, and of how many pending atoms. */
uint64_t fs_cut_count(const struct fs_cut *cut);
size_t fs_cut_pending(const struct fs_cut *cut);

/* The next state, as a file system in memory of its own; the caller's (fs_free). A file that half a rename
 * left with two names is one file. *ret_fs is NULL after the last one. */
NODISCARD enum status fs_cut_next(struct fs_cut *cut, struct fs **ret_fs, struct error *err);

/* The name of the state that came last: "after 17 of 40, torn at 16, choice 0x2b", or "... at 16, stale,
 * choice ..."; bit i of the choice: the ith pending atom is kept. Good until the next call. */
const char *fs_cut_name(const struct fs_cut *cut);

/* The state of that NAME again. STATUS_INVALID: no name of a state of LOG. */
NODISCARD enum status fs_cut_rebuild(const struct fs_log *log, const char *name, struct fs **ret_fs,
                                     struct error *err);

#endif
