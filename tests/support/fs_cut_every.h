/* tests/support/fs_cut_every.h: the power cut after every operation of a log, and every state looked at:
 * what a test of "survives a power cut" is made of. Thread: one at a time. */
#ifndef TESTS_SUPPORT_FS_CUT_EVERY_H
#define TESTS_SUPPORT_FS_CUT_EVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/fs.h"
#include "tests/support/fs_cut.h"
#include "tests/support/fs_log.h"

/* Calls CHECK(ARG, UPTO, FS, STATE) for each state that fs_cut.h says a cut after the first UPTO operations
 * of LOG may leave, for UPTO from 0 to all of them. FS is gone after the call; STATE is its name, for the
 * message of a check that fails. Returns how many states there were. */
uint64_t fs_cut_every(const struct fs_log *log, const struct fs_cut_options *options,
                      void (*check)(void *arg, size_t upto, struct fs *fs, const char *state),
                      void *arg);

#endif
