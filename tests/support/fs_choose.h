/* tests/support/fs_choose.h: which of the pending atoms a power cut keeps, state by state: all ways if
 * they are few, else ways that tell much. fs_cut.h says which. Thread: one at a time. */
#ifndef TESTS_SUPPORT_FS_CHOOSE_H
#define TESTS_SUPPORT_FS_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/fs_atoms.h"

enum { FS_CHOOSE_EXHAUSTIVE_MAX = 20, FS_CHOOSE_LEAST = 8 };

struct fs_choose_limits {
    unsigned exhaustive; /* see struct fs_cut_options */
    unsigned samples;
    unsigned max_states; /* 0: none; else at least FS_CHOOSE_LEAST */
    uint64_t seed;
};

struct fs_choose;

/* For the COUNT pending atoms at ATOMS, in their order; both borrowed. The caller's (fs_choose_free). */
struct fs_choose *fs_choose_new(const struct fs_atom *const *atoms, size_t count,
                                const struct fs_choose_limits *limits);
void fs_choose_free(struct fs_choose *choose); /* NULL is fine */

/* How many choices there are. The first keeps all; the same effect twice is possible. */
uint64_t fs_choose_count(const struct fs_choose *choose);

/* The next choice: is the ith atom kept? False: there was no more, KEPT is untouched. */
bool fs_choose_next(struct fs_choose *choose, bool *kept);

#endif
