#include "coordinator/store/check_strays.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/record.h"

enum { ROOM_FIRST = 64 };

void check_strays_deinit(struct check_strays *strays)
{
    memory_free(strays->strays);
    buffer_deinit(&strays->record);
    codec_context_free(strays->codec);
    *strays = (struct check_strays){0};
}

enum status check_strays_add(struct check_strays *strays, uint64_t number,
                             const struct place *place, struct error *err)
{
    if (strays->count == CHECK_STRAYS_MAX)
        return STATUS_OK;
    if (strays->count == strays->room) {
        size_t room = strays->room == 0 ? ROOM_FIRST : 2 * strays->room;
        struct check_stray *grown = memory_resize(strays->strays, room, sizeof(*grown));

        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(*grown), "records that no cache finds");
        strays->strays = grown;
        strays->room = room;
    }
    strays->strays[strays->count++] = (struct check_stray){.number = number, .place = *place};
    strays->sorted = false;
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    const struct check_stray *left = a;
    const struct check_stray *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

static enum status read_record(struct check_strays *strays, struct store *store,
                               const struct place *place, struct error *err)
{
    buffer_init(&strays->record, RECORD_SIZE_MAX);

    uint8_t *target = buffer_extend(&strays->record, place->length);
    enum status st = buffer_check(&strays->record, "a record", err);

    if (st == STATUS_OK)
        st = store_read_pack(store, &place->pack, place->offset, target, place->length, err);
    if (st == STATUS_OK && strays->codec == NULL)
        st = codec_context_new(&strays->codec, err);
    return st;
}

enum status check_strays_read(struct check_strays *strays, struct store *store, uint64_t number,
                              uint8_t kind, struct buffer *ret_stored, struct error *err)
{
    const struct check_stray wanted = {.number = number};
    const struct check_stray *found = NULL;
    struct record_header header;

    if (!strays->sorted && strays->count > 0)
        qsort(strays->strays, strays->count, sizeof(*strays->strays), compare);
    strays->sorted = true;
    if (strays->count > 0)
        found = bsearch(&wanted, strays->strays, strays->count, sizeof(wanted), compare);
    if (found == NULL)
        return error_set(err, STATUS_NOT_FOUND, "record %" PRIu64 " was not kept", number);

    enum status st = read_record(strays, store, &found->place, err);

    if (st == STATUS_OK)
        st = record_open(store_keys(store), strays->codec, buffer_slice(&strays->record), &header,
                         ret_stored, err);
    buffer_deinit(&strays->record);
    if (st == STATUS_OK && (header.number != number || header.kind != kind))
        st = error_set(err, STATUS_CORRUPT, "record %" PRIu64 " is another one by now", number);
    return st;
}
