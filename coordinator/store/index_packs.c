#include "coordinator/store/index_packs.h"

#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"

enum { ROOM_LEAST = 64, PACKS_MAX = INDEX_STATE_MAX / 26 };

void index_packs_deinit(struct index_packs *packs)
{
    memory_free(packs->now);
    memory_free(packs->durable);
    memory_free(packs->by_name);
    *packs = (struct index_packs){0};
}

/* The place in the hash table of NAME, which is random, or the free one where it belongs. */
static size_t position_of(const struct index_packs *packs, const struct random_id *name)
{
    uint64_t bits = 0;

    memcpy(&bits, name->bytes, sizeof(bits));
    size_t position = (size_t)bits & (packs->hash_size - 1);

    while (packs->by_name[position] != 0 &&
           !random_id_equal(&packs->now[packs->by_name[position] - 1].name, name))
        position = (position + 1) & (packs->hash_size - 1);
    return position;
}

static enum status grow(struct index_packs *packs, size_t room, struct error *err)
{
    size_t hash_size = 2;

    while (hash_size < 2 * room)
        hash_size *= 2;
    uint32_t *by_name = memory_new(hash_size, sizeof(by_name[0]));
    struct index_pack *now = memory_resize(packs->now, room, sizeof(*now));

    if (now != NULL)
        packs->now = now;
    struct index_pack *durable = memory_resize(packs->durable, room, sizeof(*durable));

    if (durable != NULL)
        packs->durable = durable;
    if (by_name == NULL || now == NULL || durable == NULL) {
        memory_free(by_name);
        return error_set_no_memory(err, room * 2 * sizeof(*now), "the index: its packs");
    }
    memory_free(packs->by_name);
    packs->by_name = by_name;
    packs->hash_size = hash_size;
    packs->room = room;
    for (size_t i = 0; i < packs->count; i++)
        packs->by_name[position_of(packs, &packs->now[i].name)] = (uint32_t)i + 1;
    return STATUS_OK;
}

enum status index_packs_reserve(struct index_packs *packs, size_t more, struct error *err)
{
    size_t wanted = packs->count + more;

    if (wanted <= packs->room)
        return STATUS_OK;
    if (packs->count >= PACKS_MAX)
        return error_set(err, STATUS_EXHAUSTED, "the index knows %zu packs, and takes no more",
                         packs->count);
    size_t room = packs->room * 2 > ROOM_LEAST ? packs->room * 2 : ROOM_LEAST;

    return grow(packs, room > wanted ? room : wanted, err);
}

uint32_t index_packs_slot(struct index_packs *packs, const struct random_id *name)
{
    size_t position = position_of(packs, name);

    if (packs->by_name[position] == 0) {
        INVARIANT(packs->count < packs->room);
        packs->now[packs->count++] = (struct index_pack){.name = *name};
        packs->by_name[position] = (uint32_t)packs->count;
    }
    return packs->by_name[position] - 1;
}

void index_packs_settle(struct index_packs *packs)
{
    if (packs->count > 0)
        memcpy(packs->durable, packs->now, packs->count * sizeof(packs->now[0]));
    packs->durable_count = packs->count;
}
