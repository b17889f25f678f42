/* coordinator/store/run_format.h: the bytes of a run: a file of sorted entries of the index that never changes (run.h).
 *
 * Pages of 4 KiB, each with a CRC-32C in its last four bytes over the run's number, the page's index in the file and the
 * rest of the page: a page of another run, or from another place, has another sum. All numbers little-endian, but for keys.
 *     page 0     header: magic "TMINDRUN", u32 kind, u32 zero, u64 number, domain 16 (ids; else zero), u64 entries,
 *                u64 the last key's first 8 bytes, u64 summary pages; zeros
 *     summary    for each page of entries, in order: u64 the first key's first 8 bytes; in a run of ids also its filter, 128
 *                bytes; as many as fit a page, then the next. There may be more of these pages than it takes; they are a hole
 *     entries    as many as fit a page; ascending by key, each key once
 * An entry of ids: id 32, number u64. Of places: number u64 big-endian; then u32 the pack's slot, u32 offset, u32 length,
 * u32 id bits. A key compares as bytes.
 *
 * The filter: 1,024 bits for the at most 102 ids of a page, 7 of them set for each: one in 120 of other ids looks as if it
 * were there. It belongs to a page, not to the run, so that a writer is done with it when it is done with the page.
 *
 * Pure; any thread. */
#ifndef COORDINATOR_STORE_RUN_FORMAT_H
#define COORDINATOR_STORE_RUN_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/id.h"

enum run_kind { RUN_IDS = 1, RUN_PLACES = 2 };

enum {
    RUN_PAGE_SIZE = 4096,
    RUN_PAGE_ROOM = RUN_PAGE_SIZE - 4, /* before the sum */
    RUN_FILTER_SIZE = 128,
    RUN_NUMBER_SIZE = 8,
    RUN_PLACE_SIZE = 16,
    RUN_ID_ENTRY_SIZE = ID_SIZE + 8,
    RUN_PLACE_ENTRY_SIZE = RUN_NUMBER_SIZE + RUN_PLACE_SIZE,
    RUN_ENTRY_SIZE_MAX = RUN_ID_ENTRY_SIZE,
};

/* Sizes that follow from a kind. */
struct run_shape {
    size_t key_size;
    size_t entry_size;
    size_t filter_size; /* of a page; 0: none */
    size_t entries_a_page;
    size_t pages_a_summary; /* pages of entries that one summary page tells of */
};

struct run_header {
    enum run_kind kind;
    uint64_t number; /* its name; none is ever used twice */
    struct random_id domain;
    uint64_t entries; /* at least 1 */
    uint64_t last;    /* run_prefix() of the last key */
    uint64_t summary_pages;
};

struct run_shape run_shape_of(enum run_kind kind);

/* Pages of entries, and summary pages that these need. */
uint64_t run_pages(enum run_kind kind, uint64_t entries);
uint64_t run_summary_pages(enum run_kind kind, uint64_t pages);

/* The first eight bytes of KEY as a number that compares as they do. */
uint64_t run_prefix(const uint8_t *key);
void run_number_key(uint64_t number, uint8_t key[RUN_NUMBER_SIZE]);

void run_page_seal(uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t index);

/* Is PAGE what was sealed for that place? */
bool run_page_is_whole(const uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t index);

/* PAGE is sealed then. */
void run_header_encode(const struct run_header *header, uint8_t page[RUN_PAGE_SIZE]);

/* STATUS_CORRUPT: it is no header of run NUMBER, in a file of SIZE bytes. */
NODISCARD enum status run_header_decode(const uint8_t page[RUN_PAGE_SIZE], uint64_t number,
                                        uint64_t size, struct run_header *ret_header,
                                        struct error *err);

/* Are the COUNT entries at BYTES in order, each key once? */
bool run_in_order(enum run_kind kind, const uint8_t *bytes, size_t count);

void run_filter_put(uint8_t filter[RUN_FILTER_SIZE], const uint8_t id[ID_SIZE]);

/* False: ID was not put in. */
bool run_filter_may_have(const uint8_t filter[RUN_FILTER_SIZE], const uint8_t id[ID_SIZE]);

#endif
