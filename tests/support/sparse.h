/* tests/support/sparse.h: bytes with holes, as a file of fs_memory.h has them. Kept by pages of
 * SPARSE_PAGE bytes; a page that was never written is a hole and reads as zeros. Copies share their pages
 * until one of them writes: a copy costs little, however large it is. Its memory is that of doubles
 * (double_heap.h). Thread: one at a time for one of them; copies may be with different threads. */
#ifndef TESTS_SUPPORT_SPARSE_H
#define TESTS_SUPPORT_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

enum { SPARSE_PAGE = 4096 };

/* What all that share it may use. */
struct sparse_space {
    uint64_t limit; /* bytes in pages */
    uint64_t used;
};

struct sparse_slot;

/* Zeroed: empty. */
struct sparse {
    uint64_t size;
    uint64_t page_count;
    struct sparse_slot *slots; /* the chunks, by number */
    size_t slot_count;
    size_t slot_room;
};

/* At most SIZE bytes at OFFSET to TARGET; how many there were. */
size_t sparse_read(const struct sparse *sparse, uint64_t offset, void *target, size_t size);

/* ENOSPC: the pages in front of the one that could not be had are written. */
NODISCARD enum status sparse_write(struct sparse *sparse, struct sparse_space *space,
                                   uint64_t offset, struct slice data, struct error *err);

/* To 0: gives everything back, there is no other deinit. */
void sparse_resize(struct sparse *sparse, struct sparse_space *space, uint64_t size);

/* A copy, which is not counted in any space: its PAGE_COUNT says how much it is. */
struct sparse sparse_copy(const struct sparse *sparse);

/* As fs_next_data(). */
NODISCARD enum status sparse_next_data(const struct sparse *sparse, uint64_t offset,
                                       uint64_t *ret_start, uint64_t *ret_end, struct error *err);

#endif
