/* base/stop_signal.h: the signals by which a person or a system ends a program: SIGINT and SIGTERM. POSIX; the agent on
 * Windows will hear its service manager instead. */
#ifndef BASE_STOP_SIGNAL_H
#define BASE_STOP_SIGNAL_H

#include "base/attr.h"
#include "base/error.h"
#include "base/loop.h"

struct stop_signal;

/* Called by main() before any other thread exists: SIGINT and SIGTERM are then heard by a thread of their own, which posts
 * ON_STOP to LOOP for the first of them; a second one ends the process at once (exit code 1). Ignores SIGPIPE, which
 * base/log.h asks for. STATUS_EXHAUSTED: no thread. */
NODISCARD enum status stop_signal_new(struct loop *loop, struct loop_task *on_stop,
                                      struct stop_signal **ret_signal, struct error *err);

/* Ends the thread. ON_STOP may still be on its way. NULL is fine. */
void stop_signal_free(struct stop_signal *signal);

#endif
