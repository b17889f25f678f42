#include "base/random.h"

#include <limits.h>

#include <openssl/rand.h>

static enum status fill_system(struct random_source *source, void *bytes, size_t size,
                               struct error *err)
{
    (void)source; /* has no state of its own */
    if (size > INT_MAX)
        return error_set(err, STATUS_INVALID, "%zu random bytes asked for at once", size);
    if (RAND_bytes(bytes, (int)size) != 1)
        return error_set_openssl(err, STATUS_INTERNAL, "the random generator failed");
    return STATUS_OK;
}

struct random_source *random_system(void)
{
    /* Never written to: it holds a function and no state. */
    static struct random_source system = {.fill = fill_system};

    return &system;
}

enum status random_bytes(struct random_source *source, void *bytes, size_t size, struct error *err)
{
    return source->fill(source, bytes, size, err);
}
