#include "tests/support/random_seeded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"

uint64_t random_seeded_next(struct random_seeded *random)
{
    random->state += 0x9e3779b97f4a7c15U;

    uint64_t z = random->state;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static enum status fill(struct random_source *source, void *bytes, size_t size, struct error *err)
{
    struct random_seeded *random = (struct random_seeded *)source; /* its first member */
    uint8_t *next = bytes;

    (void)err; /* cannot fail */
    while (size > 0) {
        uint64_t value = random_seeded_next(random);
        size_t part = size < sizeof(value) ? size : sizeof(value);

        memcpy(next, &value, part);
        next += part;
        size -= part;
    }
    return STATUS_OK;
}

struct random_seeded random_seeded_of(uint64_t seed)
{
    struct random_seeded random = {.source = {.fill = fill}, .state = seed};

    return random;
}

uint64_t random_seeded_below(struct random_seeded *random, uint64_t limit)
{
    return random_seeded_next(random) % limit;
}

uint64_t test_seed(const char *name)
{
    const char *text =
        getenv("TIDEMARK_TEST_SEED"); /* NOLINT(concurrency-mt-unsafe): before threads */
    uint64_t seed = 0;

    if (text == NULL) {
        struct error err = {0};

        INVARIANT(random_bytes(random_system(), &seed, sizeof(seed), &err) == STATUS_OK);
    } else if (!text_parse_u64(text, &seed)) {
        (void)fprintf(stderr, "TIDEMARK_TEST_SEED is not a decimal number: %s\n", text);
        exit(2); /* NOLINT(concurrency-mt-unsafe): before threads */
    }
    /* Standard output of a test may be a closed pipe; the test itself does not care. */
    (void)printf("%s: repeat this run with TIDEMARK_TEST_SEED=%" PRIu64 "\n", name, seed);
    (void)fflush(stdout); /* the same: and a kill must not lose the line */
    return seed;
}

bool test_is_long(void)
{
    const char *text =
        getenv("TIDEMARK_TEST_LONG"); /* NOLINT(concurrency-mt-unsafe): before threads */

    return text != NULL && strcmp(text, "1") == 0;
}
