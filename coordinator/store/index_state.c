#include "coordinator/store/index_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/memory.h"
#include "format/repository.h"

enum {
    HEADER_SIZE = 48,
    RUN_SIZE = 16,
    PACK_SIZE = RANDOM_ID_SIZE + 9,
    SUM_SIZE = 4,
    COVERED = 1,
    SEALED = 2,
};

static const uint8_t magic[8] = {'T', 'M', 'I', 'N', 'D', 'E', 'X', 'S'};

void index_state_deinit(struct index_state *state)
{
    memory_free(state->runs);
    memory_free(state->packs);
    *state = (struct index_state){0};
}

static uint8_t flag_of(const struct index_cover_state *cover)
{
    if (!cover->counts)
        return 0;
    return cover->sealed ? SEALED : COVERED;
}

void index_state_encode(const struct index_state *state, struct buffer *target)
{
    buffer_put(target, slice_of(magic, sizeof(magic)));
    buffer_put_u32le(target, FORMAT_BUILD);
    buffer_put_u32le(target, 0);
    buffer_put(target, slice_of(state->repository.bytes, RANDOM_ID_SIZE));
    buffer_put_u64le(target, state->next);
    buffer_put_u32le(target, (uint32_t)state->run_count);
    buffer_put_u32le(target, (uint32_t)state->pack_count);
    for (size_t i = 0; i < state->run_count; i++) {
        buffer_put_u64le(target, state->runs[i].number);
        buffer_put_u32le(target, (uint32_t)state->runs[i].kind);
        buffer_put_u32le(target, 0);
    }
    for (size_t i = 0; i < state->pack_count; i++) {
        const struct index_pack *pack = &state->packs[i];

        buffer_put(target, slice_of(pack->name.bytes, RANDOM_ID_SIZE));
        buffer_put_u64le(target, pack->cover.counts ? pack->cover.covered : 0);
        buffer_put_u8(target, flag_of(&pack->cover));
    }
    buffer_put_u32le(target, hash_crc32c(0, buffer_slice(target)));
}

/* RUNS and PACKS have their sizes, for what BYTES hold. */
static enum status take_lists(struct cursor *c, struct index_state *state, struct error *err)
{
    for (size_t i = 0; i < state->run_count; i++) {
        state->runs[i].number = cursor_u64le(c);
        uint32_t kind = cursor_u32le(c);

        if (cursor_u32le(c) != 0 || (kind != RUN_IDS && kind != RUN_PLACES) ||
            state->runs[i].number >= state->next)
            return error_set(err, STATUS_CORRUPT, "it lists a run that cannot be");
        state->runs[i].kind = kind == RUN_IDS ? RUN_IDS : RUN_PLACES;
    }
    for (size_t i = 0; i < state->pack_count; i++) {
        struct index_pack *pack = &state->packs[i];

        cursor_copy(c, pack->name.bytes, RANDOM_ID_SIZE);
        pack->cover.covered = cursor_u64le(c);
        uint8_t flag = cursor_u8(c);

        if (flag > SEALED || (flag == 0 && pack->cover.covered != 0))
            return error_set(err, STATUS_CORRUPT, "it lists a pack that cannot be");
        pack->cover.counts = flag != 0;
        pack->cover.sealed = flag == SEALED;
    }
    return STATUS_OK;
}

static enum status check_frame(struct slice bytes, struct error *err)
{
    if (bytes.size < (size_t)HEADER_SIZE + SUM_SIZE || bytes.size > INDEX_STATE_MAX ||
        memcmp(bytes.data, magic, sizeof(magic)) != 0)
        return error_set(err, STATUS_CORRUPT, "it is no state of an index");
    struct cursor sum = cursor_of(slice_of(bytes.data + bytes.size - SUM_SIZE, SUM_SIZE));

    if (cursor_u32le(&sum) != hash_crc32c(0, slice_of(bytes.data, bytes.size - SUM_SIZE)))
        return error_set(err, STATUS_CORRUPT, "it has another sum");
    return STATUS_OK;
}

enum status index_state_decode(struct slice bytes, struct index_state *ret_state, struct error *err)
{
    struct index_state state = {.next = 0};
    enum status st = check_frame(bytes, err);

    if (st != STATUS_OK)
        return st;
    struct cursor c = cursor_of(slice_of(bytes.data + 8, bytes.size - 8 - SUM_SIZE));
    uint32_t build = cursor_u32le(&c);

    if (build != FORMAT_BUILD)
        return error_set(err, STATUS_UNSUPPORTED, "it is build %" PRIu32 "'s", build);
    uint32_t zero = cursor_u32le(&c);

    cursor_copy(&c, state.repository.bytes, RANDOM_ID_SIZE);
    state.next = cursor_u64le(&c);
    state.run_count = cursor_u32le(&c);
    state.pack_count = cursor_u32le(&c);
    if (zero != 0 || state.run_count > INDEX_RUNS_MAX ||
        cursor_left(&c) !=
            (uint64_t)state.run_count * RUN_SIZE + (uint64_t)state.pack_count * PACK_SIZE)
        return error_set(err, STATUS_CORRUPT, "it has not the size of what it lists");
    state.runs = memory_new(state.run_count, sizeof(state.runs[0]));
    state.packs = memory_new(state.pack_count, sizeof(state.packs[0]));
    if (state.runs == NULL || state.packs == NULL)
        st = error_set_no_memory(err, bytes.size, "the index: its state");
    else
        st = take_lists(&c, &state, err);
    if (st != STATUS_OK) {
        index_state_deinit(&state);
        return st;
    }
    *ret_state = state;
    return STATUS_OK;
}
