/* tests/support/random_seeded.h: randomness that a run can repeat: the filling of base/random.h for
 * tests, and the draws that tests make from it. splitmix64 (Steele, Lea, Flood: "Fast splittable
 * pseudorandom number generators", 2014). Not for secrets. Thread: whoever owns it. */
#ifndef TESTS_SUPPORT_RANDOM_SEEDED_H
#define TESTS_SUPPORT_RANDOM_SEEDED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

struct random_seeded {
    struct random_source source; /* pass &r.source where a random_source is wanted */
    uint64_t state;
};

struct random_seeded random_seeded_of(uint64_t seed);

uint64_t random_seeded_next(struct random_seeded *random);

/* A number in [0, LIMIT), LIMIT at least 1. The bias is under 2^-32 for limits that tests use. */
uint64_t random_seeded_below(struct random_seeded *random, uint64_t limit);

/* The seed for this run: TIDEMARK_TEST_SEED (decimal) if it is set, else one from the system's
 * generator. Prints it with NAME, so that a failure can be repeated. */
uint64_t test_seed(const char *name);

/* Is this a long run (TIDEMARK_TEST_LONG is "1"), in which tests try more? */
bool test_is_long(void);

#endif
