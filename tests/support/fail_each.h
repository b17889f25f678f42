/* tests/support/fail_each.h: fail the 1st, the 2nd, the 3rd ... of what can fail, until there is no such
 * one any more (c-style, rule 13). */
#ifndef TESTS_SUPPORT_FAIL_EACH_H
#define TESTS_SUPPORT_FAIL_EACH_H

#include <stdint.h>

#include "base/fault.h"

/* Calls ATTEMPT(ARG, N) for N = 1, 2 ... with the Nth hit of CLASSES armed in FAULTS (installed by the
 * caller), up to and with the first one in which nothing fired. ATTEMPT begins from nothing each time and
 * does the same each time (no threads that race, a fixed seed): one that happens to do less at some N ends
 * the row there, and what it would have hit later goes untried. It disarms, by faults_arm(faults, 0, 0), before it looks at what the failure left. Returns how many
 * faults fired; more than a million is a test that never ends, and fails. */
uint64_t fail_each(struct faults *faults, unsigned classes, void (*attempt)(void *arg, uint64_t n),
                   void *arg);

#endif
