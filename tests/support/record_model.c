#include "tests/support/record_model.h"

#include <string.h>

#include "base/invariant.h"
#include "tests/support/random_seeded.h"

struct record_model record_model_of_nothing(void)
{
    struct record_model model = {.start_count = 1, .tail_count = 1};

    return model;
}

void record_ids_add(struct record_ids *ids, uint32_t id)
{
    INVARIANT(ids->count < RECORD_IDS_MAX);
    ids->ids[ids->count] = id;
    ids->count++;
}

/* The first COUNT of FROM go behind TO. */
static void move_front(struct record_ids *from, struct record_ids *to, size_t count)
{
    INVARIANT(count <= from->count);
    for (size_t i = 0; i < count; i++)
        record_ids_add(to, from->ids[i]);
    from->count -= count;
    memmove(from->ids, from->ids + count, from->count * sizeof(from->ids[0]));
}

static void give_up(struct record_model *model, const struct record_ids *ids)
{
    if (ids->count == 0)
        return;
    INVARIANT(model->tail_count < RECORD_TAILS_MAX);
    model->tails[model->tail_count] = *ids;
    model->tail_count++;
}

/* The file says that PROMISED records are durable now. */
static void promise(struct record_model *model, uint64_t promised)
{
    size_t before = model->promised.count - model->first;

    INVARIANT(promised >= before); /* what was promised stays so */
    move_front(&model->tails[0], &model->promised, (size_t)promised - before);
}

/* A call failed: what the file still holds of the pending ones may come to be promised; what it does not,
 * is given up. Behind the pending ones came EXTRA, if it is there. */
static void fail(struct record_model *model, const uint32_t *extra, uint64_t held,
                 uint64_t promised)
{
    promise(model, promised);
    struct record_ids all = model->tails[0];

    if (extra != NULL)
        record_ids_add(&all, *extra);
    INVARIANT(held - promised <= model->tails[0].count);
    model->tails[0].count = (size_t)(held - promised);
    give_up(model, &all);
}

void record_model_append(struct record_model *model, uint32_t id, bool ok, uint64_t held,
                         uint64_t promised)
{
    if (!ok) {
        fail(model, &id, held, promised);
        return;
    }
    record_ids_add(&model->tails[0], id);
    promise(model, promised);
    model->tail_count = 1; /* what was given up is behind the end of an older segment now */
}

void record_model_sync(struct record_model *model, bool ok, uint64_t held, uint64_t promised)
{
    if (!ok) {
        fail(model, NULL, held, promised);
        return;
    }
    INVARIANT(held == promised);
    promise(model, promised);
}

void record_model_drop(struct record_model *model, bool ok, uint64_t promised)
{
    INVARIANT(promised <= model->promised.count - model->first);
    model->first = model->promised.count - (size_t)promised;
    if (ok)
        model->start_count = 0;
    for (size_t i = 0; i < model->start_count; i++) {
        if (model->starts[i] == model->first)
            return; /* nothing was removed */
    }
    INVARIANT(model->start_count < RECORD_STARTS_MAX);
    model->starts[model->start_count] = model->first;
    model->start_count++;
}

void record_model_close(struct record_model *model)
{
    struct record_ids pending = model->tails[0];

    model->tails[0].count = 0;
    give_up(model, &pending);
}

static bool is_prefix(const uint32_t *ids, size_t count, const struct record_ids *of)
{
    return count <= of->count && memcmp(ids, of->ids, count * sizeof(ids[0])) == 0;
}

/* Is SHOWN what was promised from START on, and a beginning of a tail? */
static bool fits(const struct record_model *model, size_t start, const struct record_ids *shown)
{
    size_t promised = model->promised.count - start;

    if (shown->count < promised ||
        memcmp(shown->ids, model->promised.ids + start, promised * sizeof(shown->ids[0])) != 0)
        return false;
    for (size_t i = 0; i < model->tail_count; i++) {
        if (is_prefix(shown->ids + promised, shown->count - promised, &model->tails[i]))
            return true;
    }
    return false;
}

bool record_model_allows(const struct record_model *model, const struct record_ids *shown)
{
    for (size_t i = 0; i < model->start_count; i++) {
        if (fits(model, model->starts[i], shown))
            return true;
    }
    return false;
}

bool record_model_open(struct record_model *model, const struct record_ids *shown)
{
    for (size_t i = 0; i < model->start_count; i++) {
        if (!fits(model, model->starts[i], shown))
            continue;
        size_t promised = model->promised.count - model->starts[i];

        for (size_t k = promised; k < shown->count; k++)
            record_ids_add(&model->promised, shown->ids[k]);
        model->first = model->starts[i];
        model->tails[0].count = 0;
        model->tail_count = 1;
        return true;
    }
    return false;
}

size_t record_payload(uint32_t id, uint8_t bytes[RECORD_PAYLOAD_MAX])
{
    struct random_seeded random = random_seeded_of(id);
    size_t size = sizeof(id) + (size_t)random_seeded_below(&random, RECORD_PAYLOAD_MAX - 4);

    for (size_t i = 0; i < size; i++)
        bytes[i] =
            (uint8_t)((i < sizeof(id) ? id >> (8 * i) : (uint32_t)random_seeded_next(&random)) &
                      0xff);
    return size;
}

bool record_payload_parse(struct slice bytes, uint32_t *ret_id)
{
    uint8_t expected[RECORD_PAYLOAD_MAX];
    uint32_t id = 0;

    if (bytes.size < sizeof(id))
        return false;
    for (size_t i = 0; i < sizeof(id); i++)
        id |= (uint32_t)bytes.data[i] << (8 * i);
    if (!slice_equal(bytes, slice_of(expected, record_payload(id, expected))))
        return false;
    *ret_id = id;
    return true;
}
