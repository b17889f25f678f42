#include "coordinator/store/overlay.h"

#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"

enum { ROOM_LEAST = 64 };

void overlay_deinit(struct overlay *overlay)
{
    memory_free(overlay->records);
    memory_free(overlay->by_id);
    memory_free(overlay->by_number);
    *overlay = (struct overlay){0};
}

void overlay_clear(struct overlay *overlay)
{
    overlay->count = 0;
    if (overlay->slots == 0)
        return;
    memset(overlay->by_id, 0, overlay->slots * sizeof(overlay->by_id[0]));
    memset(overlay->by_number, 0, overlay->slots * sizeof(overlay->by_number[0]));
}

/* Ids are keyed hashes: any of their bytes are as good as random. */
static size_t first_slot_of_id(const struct overlay *overlay, const struct id *id)
{
    uint64_t bits = 0;

    memcpy(&bits, id->bytes, sizeof(bits));
    return (size_t)(bits & (overlay->slots - 1));
}

/* Fibonacci hashing: numbers come in runs. */
static size_t first_slot_of_number(const struct overlay *overlay, uint64_t number)
{
    return (size_t)((number * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (overlay->slots - 1));
}

/* The slot of ID in DOMAIN, or the free one where it belongs. */
static size_t slot_of_id(const struct overlay *overlay, const struct random_id *domain,
                         const struct id *id)
{
    size_t slot = first_slot_of_id(overlay, id);

    while (overlay->by_id[slot] != 0) {
        const struct index_record *record = &overlay->records[overlay->by_id[slot] - 1];

        if (id_equal(&record->id, id) && random_id_equal(&record->domain, domain))
            break;
        slot = (slot + 1) & (overlay->slots - 1);
    }
    return slot;
}

static size_t slot_of_number(const struct overlay *overlay, uint64_t number)
{
    size_t slot = first_slot_of_number(overlay, number);

    while (overlay->by_number[slot] != 0 &&
           overlay->records[overlay->by_number[slot] - 1].number != number)
        slot = (slot + 1) & (overlay->slots - 1);
    return slot;
}

static void enter(struct overlay *overlay, size_t index)
{
    const struct index_record *record = &overlay->records[index];
    size_t slot = slot_of_id(overlay, &record->domain, &record->id);

    if (overlay->by_id[slot] == 0)
        overlay->by_id[slot] = (uint32_t)index + 1;
    slot = slot_of_number(overlay, record->number);
    if (overlay->by_number[slot] == 0)
        overlay->by_number[slot] = (uint32_t)index + 1;
}

static enum status grow(struct overlay *overlay, size_t room, struct error *err)
{
    size_t slots = room * 2;
    struct index_record *records = NULL;
    uint32_t *by_id = memory_new(slots, sizeof(by_id[0]));
    uint32_t *by_number = memory_new(slots, sizeof(by_number[0]));

    if (by_id != NULL && by_number != NULL)
        records = memory_resize(overlay->records, room, sizeof(records[0]));
    if (records == NULL) {
        memory_free(by_id);
        memory_free(by_number);
        return error_set_no_memory(err, room * sizeof(records[0]), "records not yet in the index");
    }
    memory_free(overlay->by_id);
    memory_free(overlay->by_number);
    overlay->records = records;
    overlay->room = room;
    overlay->by_id = by_id;
    overlay->by_number = by_number;
    overlay->slots = slots;
    for (size_t i = 0; i < overlay->count; i++)
        enter(overlay, i);
    return STATUS_OK;
}

enum status overlay_reserve(struct overlay *overlay, size_t count, struct error *err)
{
    size_t room = overlay->room == 0 ? ROOM_LEAST : overlay->room;

    INVARIANT(count <= UINT32_MAX / 4 && overlay->count <= UINT32_MAX / 4);
    while (room - overlay->count < count)
        room *= 2;
    return room == overlay->room ? STATUS_OK : grow(overlay, room, err);
}

void overlay_add(struct overlay *overlay, const struct index_record *record)
{
    INVARIANT(overlay->count < overlay->room);
    struct cursor id = cursor_of(slice_of(record->id.bytes, ID_SIZE));

    overlay->records[overlay->count] = *record;
    overlay->records[overlay->count].place.id_bits = cursor_u32le(&id);
    enter(overlay, overlay->count);
    overlay->count++;
}

const struct index_record *overlay_find(const struct overlay *overlay,
                                        const struct random_id *domain, const struct id *id)
{
    if (overlay->slots == 0)
        return NULL;
    uint32_t entry = overlay->by_id[slot_of_id(overlay, domain, id)];

    return entry == 0 ? NULL : &overlay->records[entry - 1];
}

const struct index_record *overlay_find_number(const struct overlay *overlay, uint64_t number)
{
    if (overlay->slots == 0)
        return NULL;
    uint32_t entry = overlay->by_number[slot_of_number(overlay, number)];

    return entry == 0 ? NULL : &overlay->records[entry - 1];
}
