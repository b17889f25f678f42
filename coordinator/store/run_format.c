#include "coordinator/store/run_format.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "format/le.h"

enum { FILTER_PROBES = 7, FILTER_BITS = RUN_FILTER_SIZE * 8, HEADER_SIZE = 64 };

/* More than any disk holds: sizes computed from it fit. */
#define ENTRIES_MAX (UINT64_C(1) << 48)

static const uint8_t magic[8] = {'T', 'M', 'I', 'N', 'D', 'R', 'U', 'N'};

struct run_shape run_shape_of(enum run_kind kind)
{
    struct run_shape shape = {.key_size = RUN_NUMBER_SIZE, .entry_size = RUN_PLACE_ENTRY_SIZE};

    if (kind == RUN_IDS)
        shape = (struct run_shape){.key_size = ID_SIZE,
                                   .entry_size = RUN_ID_ENTRY_SIZE,
                                   .filter_size = RUN_FILTER_SIZE};
    shape.entries_a_page = RUN_PAGE_ROOM / shape.entry_size;
    shape.pages_a_summary = RUN_PAGE_ROOM / (8 + shape.filter_size);
    return shape;
}

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    return value / by + (value % by > 0 ? 1 : 0);
}

uint64_t run_pages(enum run_kind kind, uint64_t entries)
{
    return divide_up(entries, run_shape_of(kind).entries_a_page);
}

uint64_t run_summary_pages(enum run_kind kind, uint64_t pages)
{
    return divide_up(pages, run_shape_of(kind).pages_a_summary);
}

uint64_t run_prefix(const uint8_t *key)
{
    uint64_t prefix = 0;

    for (unsigned i = 0; i < 8; i++)
        prefix = prefix << 8 | key[i];
    return prefix;
}

void run_number_key(uint64_t number, uint8_t key[RUN_NUMBER_SIZE])
{
    for (unsigned i = 0; i < RUN_NUMBER_SIZE; i++)
        key[i] = (uint8_t)(number >> (56 - 8 * i));
}

/* --- pages ------------------------------------------------------------------------------------- */

static uint32_t sum_of(const uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t index)
{
    uint8_t place[16];

    le_put_u64(place, number);
    le_put_u64(place + 8, index);
    return hash_crc32c(hash_crc32c(0, slice_of(place, sizeof(place))),
                       slice_of(page, RUN_PAGE_ROOM));
}

void run_page_seal(uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t index)
{
    le_put_u32(page + RUN_PAGE_ROOM, sum_of(page, number, index));
}

bool run_page_is_whole(const uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t index)
{
    struct cursor sum = cursor_of(slice_of(page + RUN_PAGE_ROOM, 4));

    return cursor_u32le(&sum) == sum_of(page, number, index);
}

void run_header_encode(const struct run_header *header, uint8_t page[RUN_PAGE_SIZE])
{
    memset(page, 0, RUN_PAGE_SIZE);
    memcpy(page, magic, sizeof(magic));
    le_put_u32(page + 8, (uint32_t)header->kind);
    le_put_u64(page + 16, header->number);
    memcpy(page + 24, header->domain.bytes, RANDOM_ID_SIZE);
    le_put_u64(page + 40, header->entries);
    le_put_u64(page + 48, header->last);
    le_put_u64(page + 56, header->summary_pages);
    run_page_seal(page, header->number, 0);
}

static bool has_size(const struct run_header *header, uint64_t size)
{
    uint64_t pages = run_pages(header->kind, header->entries);

    return header->summary_pages >= run_summary_pages(header->kind, pages) &&
           header->summary_pages <= ENTRIES_MAX &&
           size == (1 + header->summary_pages + pages) * RUN_PAGE_SIZE;
}

enum status run_header_decode(const uint8_t page[RUN_PAGE_SIZE], uint64_t number, uint64_t size,
                              struct run_header *ret_header, struct error *err)
{
    struct cursor c = cursor_of(slice_of(page, HEADER_SIZE));
    struct slice start = cursor_take(&c, sizeof(magic));
    uint32_t kind = cursor_u32le(&c);
    struct run_header header = {.kind = kind == RUN_IDS ? RUN_IDS : RUN_PLACES};

    (void)cursor_u32le(&c); /* zero, to align what follows */
    header.number = cursor_u64le(&c);
    cursor_copy(&c, header.domain.bytes, RANDOM_ID_SIZE);
    header.entries = cursor_u64le(&c);
    header.last = cursor_u64le(&c);
    header.summary_pages = cursor_u64le(&c);
    if (!run_page_is_whole(page, number, 0))
        return error_set(err, STATUS_CORRUPT, "its header has another sum");
    if (memcmp(start.data, magic, sizeof(magic)) != 0 || header.number != number ||
        kind != (uint32_t)header.kind || header.entries == 0 || header.entries > ENTRIES_MAX)
        return error_set(err, STATUS_CORRUPT, "its header is none of a run");
    if (!has_size(&header, size))
        return error_set(err, STATUS_CORRUPT, "it has %" PRIu64 " bytes, its header says others",
                         size);
    *ret_header = header;
    return STATUS_OK;
}

bool run_in_order(enum run_kind kind, const uint8_t *bytes, size_t count)
{
    const struct run_shape shape = run_shape_of(kind);

    for (size_t i = 1; i < count; i++) {
        const uint8_t *entry = bytes + i * shape.entry_size;

        if (memcmp(entry - shape.entry_size, entry, shape.key_size) >= 0)
            return false;
    }
    return true;
}

/* --- filters ----------------------------------------------------------------------------------- */

/* Ids are keyed hashes; the products only spread them over more bits. */
static void probes_of(const uint8_t id[ID_SIZE], uint32_t probes[FILTER_PROBES])
{
    uint64_t bits = (run_prefix(id) ^ run_prefix(id + 8)) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t step = (run_prefix(id + 16) ^ run_prefix(id + 24)) * UINT64_C(0xbf58476d1ce4e5b9) | 1;

    for (unsigned i = 0; i < FILTER_PROBES; i++) {
        probes[i] = (uint32_t)(bits >> 32) % FILTER_BITS;
        bits += step;
    }
}

void run_filter_put(uint8_t filter[RUN_FILTER_SIZE], const uint8_t id[ID_SIZE])
{
    uint32_t probes[FILTER_PROBES];

    probes_of(id, probes);
    for (unsigned i = 0; i < FILTER_PROBES; i++)
        filter[probes[i] / 8] = (uint8_t)(filter[probes[i] / 8] | 1U << probes[i] % 8);
}

bool run_filter_may_have(const uint8_t filter[RUN_FILTER_SIZE], const uint8_t id[ID_SIZE])
{
    uint32_t probes[FILTER_PROBES];

    probes_of(id, probes);
    for (unsigned i = 0; i < FILTER_PROBES; i++) {
        if ((filter[probes[i] / 8] >> probes[i] % 8 & 1) == 0)
            return false;
    }
    return true;
}
