/* tests/support/loop_wait.h: a test's main thread as the loop: start something whose callback comes on
 * the loop, then wait for it. */
#ifndef TESTS_SUPPORT_LOOP_WAIT_H
#define TESTS_SUPPORT_LOOP_WAIT_H

#include <stdbool.h>

#include "base/loop.h"

/* Runs LOOP until *DONE, which a callback on it sets before it calls loop_stop(). */
void loop_wait(struct loop *loop, const bool *done);

#endif
