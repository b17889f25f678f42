/* coordinator/store/check_numbers.h: what a check knows of each number: four bits, in pages that exist where there are such
 * numbers. A page of 16 KiB is for 32,768 numbers, and CHECK_NUMBERS_BYTES_MAX bounds all of them: 2^29 records, 32 TiB of
 * blocks of 64 KiB. Thread: one at a time. */
#ifndef COORDINATOR_STORE_CHECK_NUMBERS_H
#define COORDINATOR_STORE_CHECK_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

#define CHECK_NUMBERS_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum { CHECK_PAGE_NUMBERS = 32768 };

enum check_flag {
    CHECK_SOUND = 1,  /* a sound record of it is in a pack */
    CHECK_AGREED = 2, /* and it lies where the caches say */
    CHECK_CLEAN = 4,  /* a node: all below it is there, and sound */
    CHECK_TOLD = 8,   /* its finding is told */
};

struct check_page {
    uint64_t key; /* of its first number, shifted */
    uint8_t flags[CHECK_PAGE_NUMBERS / 2];
};

/* Zeroed: nothing is known. Pairs with check_numbers_deinit(). */
struct check_numbers {
    struct check_page **pages; /* ascending by key */
    size_t count;
    size_t room;
    size_t last; /* the page that was asked for last */
};

void check_numbers_deinit(struct check_numbers *numbers);

/* All flags of NUMBER: 0, of one that was never set. */
unsigned check_numbers_get(struct check_numbers *numbers, uint64_t number);

/* Sets FLAGS beside those that are set. STATUS_EXHAUSTED: no memory, or more than CHECK_NUMBERS_BYTES_MAX. */
NODISCARD enum status check_numbers_set(struct check_numbers *numbers, uint64_t number,
                                        unsigned flags, struct error *err);

/* Of page PAGE (below COUNT) the next number at or behind *NUMBER_AT (0 to CHECK_PAGE_NUMBERS) whose flags under MASK are WANTED,
 * and puts *number_at behind it. 0: none. */
uint64_t check_numbers_next(const struct check_numbers *numbers, size_t page, unsigned *number_at,
                            unsigned mask, unsigned wanted);

#endif
