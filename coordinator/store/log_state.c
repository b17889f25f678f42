#include "coordinator/store/log_state.h"

#include <string.h>

#include "base/memory.h"

enum { ROOM_LEAST = 16 };

void log_state_deinit(struct log_state *state)
{
    for (size_t i = 0; i < state->tracked_count; i++)
        buffer_deinit(&state->tracked[i].tracking);
    memory_free(state->points);
    memory_free(state->tracked);
    memory_free(state->packs);
    *state = (struct log_state){0};
}

/* Room for COUNT things of SIZE bytes in *ARRAY, which has *ROOM. */
static enum status make_room(void **array, size_t count, size_t *room, size_t size,
                             struct error *err)
{
    size_t more = *room == 0 ? ROOM_LEAST : *room;

    if (count <= *room)
        return STATUS_OK;
    while (more < count)
        more *= 2;
    void *grown = memory_resize(*array, more, size);

    if (grown == NULL)
        return error_set_no_memory(err, more * size, "what the log says");
    *array = grown;
    *room = more;
    return STATUS_OK;
}

/* The index of the first pack at or behind NAME. */
static size_t pack_index(const struct log_state *state, const struct random_id *name)
{
    size_t low = 0;
    size_t high = state->pack_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(state->packs[middle].name.bytes, name->bytes, RANDOM_ID_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_pack_at(const struct log_state *state, size_t index, const struct random_id *name)
{
    return index < state->pack_count && random_id_equal(&state->packs[index].name, name);
}

static enum status make_room_for_packs(struct log_state *state, size_t count, struct error *err)
{
    void *packs = state->packs;
    enum status st =
        make_room(&packs, state->pack_count + count, &state->pack_room, sizeof(*state->packs), err);

    state->packs = packs;
    return st;
}

static enum status make_room_for_point(struct log_state *state, struct error *err)
{
    void *points = state->points;
    enum status st =
        make_room(&points, state->point_count + 1, &state->point_room, sizeof(*state->points), err);

    state->points = points;
    return st;
}

enum status log_state_reserve(struct log_state *state, struct error *err)
{
    enum status st = make_room_for_packs(state, LOG_POINT_PACKS_MAX, err);

    return st == STATUS_OK ? make_room_for_point(state, err) : st;
}

static enum status add_pack(struct log_state *state, const struct log_point_pack *pack,
                            struct error *err)
{
    size_t index = pack_index(state, &pack->name);

    if (is_pack_at(state, index, &pack->name)) {
        if (state->packs[index].synced < pack->synced)
            state->packs[index].synced = pack->synced;
        return STATUS_OK;
    }
    enum status st = make_room_for_packs(state, 1, err);

    if (st != STATUS_OK)
        return st;
    memmove(state->packs + index + 1, state->packs + index,
            (state->pack_count - index) * sizeof(*pack));
    state->packs[index] = *pack;
    state->pack_count++;
    return STATUS_OK;
}

static enum status add_space(struct log_state *state, struct slice body, struct error *err)
{
    struct log_space space;
    enum status st = log_space_decode(body, &space, err);

    if (st != STATUS_OK)
        return st;
    state->space = space.space;
    state->first_free = 1; /* sequence 0 is never used */
    return STATUS_OK;
}

static enum status add_numbers(struct log_state *state, struct slice body, struct error *err)
{
    struct log_numbers numbers;
    enum status st = log_numbers_decode(body, &numbers, err);

    if (st != STATUS_OK)
        return st;
    uint64_t last = numbers.first + (numbers.count - 1); /* in one space: it fits */

    if (number_space(numbers.first) != state->space)
        return error_set(err, STATUS_CORRUPT, "it reserves numbers of another space");
    if (number_sequence(last) >= state->first_free)
        state->first_free = number_sequence(last) + 1;
    return STATUS_OK;
}

static enum status add_point(struct log_state *state, const struct log_entry_header *header,
                             struct slice body, struct error *err)
{
    struct log_point point;
    enum status st = log_point_decode(body, &point, err);

    for (uint16_t i = 0; st == STATUS_OK && i < point.pack_count; i++)
        st = add_pack(state, &point.packs[i], err);
    if (st == STATUS_OK)
        st = make_room_for_point(state, err);
    if (st != STATUS_OK)
        return st;
    state->points[state->point_count++] = (struct store_point){
        .sequence = header->sequence,
        .time_us = header->time_us,
        .task = point.task,
        .envelope = point.envelope,
    };
    return STATUS_OK;
}

/* Where VM's tracking record is kept, made if need be. */
static enum status provide_tracked(struct log_state *state, const struct random_id *vm,
                                   struct buffer **ret_tracking, struct error *err)
{
    void *tracked = state->tracked;

    for (size_t i = 0; i < state->tracked_count; i++) {
        if (random_id_equal(&state->tracked[i].vm, vm)) {
            *ret_tracking = &state->tracked[i].tracking;
            return STATUS_OK;
        }
    }
    enum status st = make_room(&tracked, state->tracked_count + 1, &state->tracked_room,
                               sizeof(*state->tracked), err);

    if (st != STATUS_OK)
        return st;
    state->tracked = tracked;
    struct log_tracked *added = &state->tracked[state->tracked_count++];

    added->vm = *vm;
    buffer_init(&added->tracking, LOG_ENTRY_BODY_MAX);
    *ret_tracking = &added->tracking;
    return STATUS_OK;
}

static enum status add_tracking(struct log_state *state, struct slice body, struct error *err)
{
    struct log_tracking tracking;
    struct buffer *kept = NULL;
    struct buffer encoded;

    buffer_init(&encoded, LOG_ENTRY_BODY_MAX);

    enum status st = log_tracking_decode(body, &tracking, err);

    if (st != STATUS_OK)
        goto out;
    signed_encode(&tracking.tracking, &encoded);
    st = buffer_check(&encoded, "a tracking record", err);
    if (st == STATUS_OK)
        st = provide_tracked(state, &tracking.vm, &kept, err);
    if (st != STATUS_OK)
        goto out;

    struct buffer old = *kept;

    *kept = encoded;
    encoded = old;
out:
    buffer_deinit(&encoded);
    return st;
}

enum status log_state_add(struct log_state *state, const struct log_entry_header *header,
                          struct slice body, struct error *err)
{
    switch (header->type) {
    case LOG_SPACE:
        return add_space(state, body, err);
    case LOG_NUMBERS:
        return add_numbers(state, body, err);
    case LOG_POINT:
        return add_point(state, header, body, err);
    case LOG_TRACKING:
        return add_tracking(state, body, err);
    default:
        return error_set(err, STATUS_UNSUPPORTED,
                         "it is of type %u, which this version does not know: use a newer one",
                         (unsigned)header->type);
    }
}

const struct store_point *log_state_find_point(const struct log_state *state,
                                               const struct random_id *task)
{
    for (size_t i = 0; i < state->point_count; i++) {
        if (random_id_equal(&state->points[i].task, task))
            return &state->points[i];
    }
    return NULL;
}

const struct buffer *log_state_find_tracking(const struct log_state *state,
                                             const struct random_id *vm)
{
    for (size_t i = 0; i < state->tracked_count; i++) {
        if (random_id_equal(&state->tracked[i].vm, vm))
            return &state->tracked[i].tracking;
    }
    return NULL;
}

uint64_t log_state_synced(const struct log_state *state, const struct random_id *pack)
{
    size_t index = pack_index(state, pack);

    return is_pack_at(state, index, pack) ? state->packs[index].synced : 0;
}
