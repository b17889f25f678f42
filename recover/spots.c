#include "recover/spots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { FIRST_ROOM = 4096, MIB = 1024 * 1024 };

_Static_assert(sizeof(struct spot) == 24, "what a record costs is promised");

void spots_deinit(struct spots *spots)
{
    memory_free(spots->rows);
    spots->rows = NULL;
    spots->count = 0;
    spots->room = 0;
}

uint32_t spots_id_bits(const struct id *id)
{
    uint32_t bits = 0;

    memcpy(&bits, id->bytes, sizeof(bits));
    return bits;
}

static enum status grow(struct spots *spots, uint64_t most, struct error *err)
{
    size_t room = spots->room == 0 ? FIRST_ROOM : spots->room + spots->room / 2;

    if (room > most)
        room = (size_t)most; /* more than there are: the caller has looked */
    struct spot *rows = memory_resize(spots->rows, room, sizeof(*rows));

    if (rows == NULL)
        return error_set_no_memory(err, room * sizeof(*rows), "the table of records");
    spots->rows = rows;
    spots->room = room;
    return STATUS_OK;
}

enum status spots_add(struct spots *spots, const struct spot *spot, struct error *err)
{
    uint64_t most = spots->limit / SPOT_COST;

    spots->wanted++;
    if (spots->count >= most)
        return STATUS_OK;
    if (spots->count == spots->room) {
        enum status st = grow(spots, most, err);

        if (st != STATUS_OK)
            return st;
    }
    spots->rows[spots->count++] = *spot;
    return STATUS_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct spot *left = a;
    const struct spot *right = b;

    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    if (left->pack != right->pack)
        return left->pack < right->pack ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

enum status spots_sort(struct spots *spots, struct error *err)
{
    if (spots->wanted > spots->count)
        return error_set(err, STATUS_EXHAUSTED,
                         "the table of %" PRIu64 " records needs %" PRIu64
                         " MiB of memory, and may have %" PRIu64
                         " MiB: give it more by --memory, or use a machine that has it",
                         spots->wanted, spots->wanted / (MIB / SPOT_COST) + 1, spots->limit / MIB);
    if (spots->count > 0)
        qsort(spots->rows, spots->count, sizeof(spots->rows[0]), by_number);
    return STATUS_OK;
}

const struct spot *spots_find(const struct spots *spots, uint64_t number, size_t *ret_count)
{
    size_t low = 0;
    size_t high = spots->count;
    size_t end = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (spots->rows[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < spots->count && spots->rows[end].number == number;)
        end++;
    if (end == low)
        return NULL;
    *ret_count = end - low;
    return &spots->rows[low];
}
