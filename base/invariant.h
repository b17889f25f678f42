/* base/invariant.h: what must hold whatever the input is. A broken one is our bug: the process stops
 * at once, in release builds too, before it can write anything wrong. Never for bad input. */
#ifndef BASE_INVARIANT_H
#define BASE_INVARIANT_H

#include "base/attr.h"

#define INVARIANT(CONDITION) \
    ((CONDITION) ? (void)0 : invariant_broken(#CONDITION, __FILE__, __LINE__))

/* Prints one line with CONDITION and its place on standard error, and aborts. Any thread. */
NORETURN void invariant_broken(const char *condition, const char *file, int line);

#endif
