/* base/fault.h: faults on purpose. In builds with TIDEMARK_FAULTS (all test builds) every allocation,
 * every operation of the file-system seam and every named fault point asks here whether it shall go
 * wrong. Release builds contain none of it: the functions that programs call are empty inlines.
 *
 * This is the one place with a process-wide variable (the installed table): a fault must be able to
 * hit any thread at any depth, and it exists in test builds only. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

enum fault_action {
    FAULT_NONE,
    FAULT_FAIL,  /* the call fails (I/O: EIO; allocation: NULL; point: STATUS_UNAVAILABLE) */
    FAULT_FULL,  /* the call fails with ENOSPC; nothing is written */
    FAULT_AFTER, /* the call is done, and reports EIO all the same */
    FAULT_SHORT, /* a write stores a first part, then fails with ENOSPC */
    FAULT_TORN,  /* a write stores some of its sectors, in no order, then the process is killed */
    FAULT_LOSE, /* the power goes: what was not synced may be lost; see tests/support/fs_record.h */
    FAULT_KILL, /* SIGKILL to this process, before the call does anything */
    FAULT_STALL, /* waits for faults_release() */
};

enum fault_class {
    FAULT_ALLOC = 1, /* memory_new(), memory_resize() */
    FAULT_IO = 2,    /* what base/fs.h declares; points "fs.open", "fs.write" ... */
    FAULT_POINT = 4, /* fault_point() */
};

#ifdef TIDEMARK_FAULTS

struct faults;

/* Counts a hit of POINT (a literal, "room.what_just_happened") and says what shall happen. FAULT_KILL
 * and FAULT_STALL are done here and do not come back as a result; the others are the caller's to do,
 * who passes the ACTIONS it can do: arming another one there is a broken invariant. Any thread. */
enum fault_action fault_hit(enum fault_class kind, const char *point, unsigned actions);

/* A place where a crash would matter. Fails, stalls or kills when a test armed it. Any thread. */
NODISCARD enum status fault_point(const char *name, struct error *err);

/* A number below LIMIT (not 0), the next one of the variation (faults_vary()): how a caller chooses among
 * the ways in which an action can go. false: none was asked for, *ret_number is untouched. Any thread. */
NODISCARD bool fault_draw(uint64_t limit, uint64_t *ret_number);

/* What FAULT_KILL does: for a caller that has to do something first (FAULT_TORN). */
NORETURN void fault_kill(void);

/* An empty table; NULL: no memory. Not itself subject to faults. */
NODISCARD struct faults *faults_new(void);
void faults_free(struct faults *faults);

/* Makes FAULTS (NULL: none) the table that this process asks. The caller keeps it alive meanwhile and
 * knows that no other thread is inside fault_hit(). */
void faults_install(struct faults *faults);

/* From now on the Nth (from 1) hit of any of CLASSES fails with FAULT_FAIL, once. Forgets what was armed
 * before, and all counts. N = 0 disarms and forgets the counts, but not whether something fired: a test
 * disarms before it looks at the damage. */
void faults_arm(struct faults *faults, unsigned classes, uint64_t n);

/* From now on the Nth (from 1) hit of POINT (of at most 63 bytes) does ACTION; one point at a time.
 * Forgets what was armed before, and all counts. */
void faults_arm_point(struct faults *faults, const char *point, uint64_t n,
                      enum fault_action action);

/* Makes what is armed now go one of the many ways that SEED stands for, always the same one: where a
 * short write ends, which sectors a torn write keeps. Arming and disarming set it back to 0: the one way
 * that the actions above speak of, a first half and every second sector. */
void faults_vary(struct faults *faults, uint64_t seed);

/* Arms from text "POINT=ACTION@N", ACTION in lower case ("fail", "kill" ...), or "POINT=ACTION@N~SEED",
 * SEED as for faults_vary(): how a test arms a child process. STATUS_INVALID with a sentence for anything
 * else. */
NODISCARD enum status faults_parse(struct faults *faults, const char *text, struct error *err);

/* What every main() calls first: where TIDEMARK_FAULT is set in the environment, arms what it says (as
 * faults_parse()) in a table that is installed, and lives as long as the process. STATUS_INVALID: it says
 * nothing that could be armed. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status faults_install_from_environment(struct error *err);

/* Has what was armed happened? */
bool faults_fired(struct faults *faults);

/* How often POINT was hit since the last arming or disarming. */
uint64_t faults_hits(struct faults *faults, const char *point);

/* Calls each_point(ARG, name, hits) for every point hit so far, in the order of their first hit. */
void faults_each(struct faults *faults,
                 void (*each_point)(void *arg, const char *name, uint64_t hits), void *arg);

/* Lets go whoever waits in FAULT_STALL at this moment. faults_await_stall() returns once somebody does. */
void faults_release(struct faults *faults);
void faults_await_stall(struct faults *faults);

#else

static inline enum fault_action fault_hit(enum fault_class kind, const char *point,
                                          unsigned actions)
{
    (void)kind;
    (void)point;
    (void)actions;
    return FAULT_NONE;
}

NODISCARD static inline enum status fault_point(const char *name, struct error *err)
{
    (void)name;
    (void)err;
    return STATUS_OK;
}

NODISCARD static inline enum status faults_install_from_environment(struct error *err)
{
    (void)err;
    return STATUS_OK;
}

#endif

#endif
