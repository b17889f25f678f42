/* tests/support/record_crash.h: runs a record_file (record_file.h) over a recorded file system and cuts the
 * power wherever it can go wrong.
 *
 * A *script* is one letter a step: 'a' append a record, 's' sync, 'd' drop the oldest segment, 'r' close
 * (as a killed process does) and open. A capital letter in front arms a fault for the next step: 'W' its
 * first write stores half and fails, 'S' its first sync of a file fails, 'D' its first sync of a folder
 * fails, 'N' its first rename fails, 'R' its first removal fails. Every script begins with 'r'. */
#ifndef TESTS_SUPPORT_RECORD_CRASH_H
#define TESTS_SUPPORT_RECORD_CRASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/fs.h"
#include "tests/support/fs_cut.h"
#include "tests/support/record_file.h"
#include "tests/support/record_model.h"

enum { RECORD_STEPS_MAX = 160, RECORD_FINDING_SIZE = 400 };

/* What was allowed once the log had POSITION operations. */
struct record_moment {
    size_t position;
    struct record_model model;
};

struct record_run {
    struct faults *faults; /* borrowed, installed */
    struct record_file_options options;
    struct fs *inner;
    struct fs *fs; /* the recorder over it */
    struct record_file *file;
    size_t start; /* operations before the first step */
    struct record_model model;
    struct record_moment moments[RECORD_STEPS_MAX]; /* [0]: before the first step */
    size_t moment_count;
    uint32_t next_id;
    size_t failures;     /* steps that failed */
    size_t first_failed; /* the moment after the first of them */
};

/* What an exploration found. */
struct record_findings {
    uint64_t states;
    uint64_t violations;
    char first[RECORD_FINDING_SIZE]; /* "state: what is wrong" */
};

/* A run over a new, empty folder. The caller's (record_run_free). */
struct record_run *record_run_new(struct faults *faults, struct record_file_options options);

/* A run over what INNER holds, as MODEL allows it. Takes INNER. */
struct record_run *record_run_over(struct faults *faults, struct record_file_options options,
                                   struct fs *inner, const struct record_model *model);
void record_run_free(struct record_run *run);

/* Does the steps of SCRIPT, going on after failures. Adds to FINDINGS what an opening on the way shows
 * and may not. */
void record_run_do(struct record_run *run, const char *script, struct record_findings *findings);

/* Cuts the power after each number of operations from FROM to TO and looks at each state that CUT says: it
 * opens, shows what it may, and takes another record. In one of DEEP states (0: none) the run then goes on
 * for some steps and is cut again, everywhere. No faults are armed meanwhile. */
void record_run_explore(struct record_run *run, size_t from, size_t to,
                        const struct fs_cut_options *cut, unsigned deep,
                        struct record_findings *findings);

/* How many operations the run has recorded. */
size_t record_run_length(const struct record_run *run);

#endif
