#include "coordinator/store/index_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "format/le.h"

struct index_table {
    size_t bound;
    size_t slots; /* of each hash table: a power of two, at least twice BOUND */
    uint8_t (*ids)[INDEX_TABLE_ID_SIZE];
    size_t id_count;
    uint8_t (*places)[RUN_PLACE_ENTRY_SIZE];
    size_t place_count;
    uint32_t *by_id; /* position + 1; 0: free */
    uint32_t *by_number;
    const uint8_t **order;
};

enum status index_table_new(size_t bound, struct index_table **ret_table, struct error *err)
{
    struct index_table *table = memory_new(1, sizeof(*table));

    INVARIANT(bound > 0 && bound < UINT32_MAX / 4);
    if (table == NULL)
        return error_set_no_memory(err, sizeof(*table), "the index");
    table->bound = bound;
    for (table->slots = 2; table->slots < 2 * bound;)
        table->slots *= 2;
    table->ids = memory_new(bound, sizeof(table->ids[0]));
    table->places = memory_new(bound, sizeof(table->places[0]));
    table->by_id = memory_new(table->slots, sizeof(table->by_id[0]));
    table->by_number = memory_new(table->slots, sizeof(table->by_number[0]));
    table->order = memory_new(bound, sizeof(table->order[0]));
    if (table->ids == NULL || table->places == NULL || table->by_id == NULL ||
        table->by_number == NULL || table->order == NULL) {
        index_table_free(table);
        return error_set_no_memory(err, bound, "the index: records in memory");
    }
    *ret_table = table;
    return STATUS_OK;
}

void index_table_free(struct index_table *table)
{
    if (table == NULL)
        return;
    memory_free(table->ids);
    memory_free(table->places);
    memory_free(table->by_id);
    memory_free(table->by_number);
    memory_free((void *)table->order);
    memory_free(table);
}

void index_table_clear(struct index_table *table)
{
    memset(table->by_id, 0, table->slots * sizeof(table->by_id[0]));
    memset(table->by_number, 0, table->slots * sizeof(table->by_number[0]));
    table->id_count = 0;
    table->place_count = 0;
}

size_t index_table_count(const struct index_table *table)
{
    return table->id_count > table->place_count ? table->id_count : table->place_count;
}

size_t index_table_room(const struct index_table *table)
{
    return table->bound - index_table_count(table);
}

/* Fibonacci hashing: numbers come in runs; ids are keyed hashes. */
static size_t first_slot(const struct index_table *table, uint64_t bits)
{
    return (size_t)(bits * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (table->slots - 1);
}

/* The slot of ID in DOMAIN, or the free one where it belongs. */
static size_t slot_of_id(const struct index_table *table, const struct random_id *domain,
                         const struct id *id)
{
    size_t slot = first_slot(table, run_prefix(id->bytes));

    while (table->by_id[slot] != 0) {
        const uint8_t *there = table->ids[table->by_id[slot] - 1];

        if (memcmp(there + RANDOM_ID_SIZE, id->bytes, ID_SIZE) == 0 &&
            memcmp(there, domain->bytes, RANDOM_ID_SIZE) == 0)
            break;
        slot = (slot + 1) & (table->slots - 1);
    }
    return slot;
}

static size_t slot_of_number(const struct index_table *table, uint64_t number)
{
    size_t slot = first_slot(table, number);

    while (table->by_number[slot] != 0 &&
           run_prefix(table->places[table->by_number[slot] - 1]) != number)
        slot = (slot + 1) & (table->slots - 1);
    return slot;
}

static void put_id(struct index_table *table, const struct random_id *domain, const struct id *id,
                   uint64_t number)
{
    size_t slot = slot_of_id(table, domain, id);

    if (table->by_id[slot] != 0)
        return;
    uint8_t *target = table->ids[table->id_count++];

    memcpy(target, domain->bytes, RANDOM_ID_SIZE);
    memcpy(target + RANDOM_ID_SIZE, id->bytes, ID_SIZE);
    le_put_u64(target + RANDOM_ID_SIZE + ID_SIZE, number);
    table->by_id[slot] = (uint32_t)table->id_count;
}

void index_table_put(struct index_table *table, const struct random_id *domain, const struct id *id,
                     uint64_t number, const uint8_t value[RUN_PLACE_SIZE])
{
    INVARIANT(index_table_room(table) > 0);
    put_id(table, domain, id, number);
    size_t slot = slot_of_number(table, number);

    if (table->by_number[slot] == 0) {
        run_number_key(number, table->places[table->place_count++]);
        table->by_number[slot] = (uint32_t)table->place_count;
    }
    memcpy(table->places[table->by_number[slot] - 1] + RUN_NUMBER_SIZE, value, RUN_PLACE_SIZE);
}

uint64_t index_table_find(const struct index_table *table, const struct random_id *domain,
                          const struct id *id)
{
    size_t slot = slot_of_id(table, domain, id);

    if (table->by_id[slot] == 0)
        return 0;
    struct cursor number =
        cursor_of(slice_of(table->ids[table->by_id[slot] - 1] + RANDOM_ID_SIZE + ID_SIZE, 8));

    return cursor_u64le(&number);
}

const uint8_t *index_table_place(const struct index_table *table, uint64_t number)
{
    size_t slot = slot_of_number(table, number);

    return table->by_number[slot] == 0
               ? NULL
               : table->places[table->by_number[slot] - 1] + RUN_NUMBER_SIZE;
}

uint64_t index_table_last(const struct index_table *table, uint64_t most)
{
    uint64_t last = 0;

    for (size_t i = 0; i < table->place_count; i++) {
        uint64_t number = run_prefix(table->places[i]);

        if (number <= most && number > last)
            last = number;
    }
    return last;
}

/* --- sorted ------------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b)
{
    return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b,
                  (size_t)RANDOM_ID_SIZE + ID_SIZE);
}

static int compare_places(const void *a, const void *b)
{
    return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b, RUN_NUMBER_SIZE);
}

const uint8_t *const *index_table_ids(struct index_table *table, size_t *ret_count)
{
    for (size_t i = 0; i < table->id_count; i++)
        table->order[i] = table->ids[i];
    qsort((void *)table->order, table->id_count, sizeof(table->order[0]), compare_ids);
    *ret_count = table->id_count;
    return table->order;
}

const uint8_t *const *index_table_places(struct index_table *table, size_t *ret_count)
{
    for (size_t i = 0; i < table->place_count; i++)
        table->order[i] = table->places[i];
    qsort((void *)table->order, table->place_count, sizeof(table->order[0]), compare_places);
    *ret_count = table->place_count;
    return table->order;
}
