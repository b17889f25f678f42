/* base/random.h: random bytes: a seam. The system's generator in production (random_system), seeded in
 * tests (tests/support/random_seeded.h), so that a run can be repeated. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"

struct random_source {
    enum status (*fill)(struct random_source *source, void *bytes, size_t size, struct error *err);
};

/* OpenSSL's generator, seeded by the system: good for names, nonces and keys. Lives as long as the
 * process; any thread. */
struct random_source *random_system(void);

/* SIZE random bytes. STATUS_INTERNAL: the system's generator failed; nothing may go on without it.
 * Thread: any, if SOURCE is the system's. */
NODISCARD enum status random_bytes(struct random_source *source, void *bytes, size_t size,
                                   struct error *err);

#endif
