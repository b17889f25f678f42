#include "coordinator/store/check_found.h"

#include "base/memory.h"

enum { ROOM_FIRST = 16 };

const char *check_wrong_text(enum check_wrong wrong)
{
    switch (wrong) {
    case CHECK_RIGHT:
        break;
    case CHECK_HEADER:
        return "its header is damaged";
    case CHECK_PAYLOAD:
        return "its content is damaged";
    case CHECK_UNREADABLE:
        return "the disk cannot read it";
    case CHECK_CUT_OFF:
        return "the pack ends within it";
    case CHECK_SEAL:
        return "it is not sealed under the repository's keys, or does not unpack";
    case CHECK_CONTENT:
        return "its content is not what its id stands for";
    case CHECK_DOMAIN:
        return "it is of a domain that the log does not know";
    case CHECK_ANOTHER:
        return "another record lies in its place";
    case CHECK_ABSENT:
        return "it is needed, and in no pack";
    case CHECK_OTHER_ID:
        return "its number stands for something else";
    case CHECK_UNCACHED:
        return "the caches do not find it";
    case CHECK_BETWEEN:
        return "bytes that belong to no record";
    case CHECK_PACK_MISSING:
        return "the pack is missing";
    case CHECK_PACK_SHORT:
        return "the pack is shorter than it was";
    case CHECK_PACK_HEADER:
        return "the pack's header is damaged";
    case CHECK_PACK_INDEX:
        return "the pack's own index is damaged";
    case CHECK_PACK_FOOTER:
        return "the pack's footer is damaged";
    }
    return "nothing is wrong";
}

void check_found_deinit(struct check_found *found)
{
    memory_free(found->bad);
    memory_free(found->hurt);
    *found = (struct check_found){0};
}

/* ROWS of SIZE bytes has room for one more. */
static enum status make_room(void **rows, size_t count, size_t *room, size_t size,
                             struct error *err)
{
    size_t more = *room == 0 ? ROOM_FIRST : 2 * *room;
    void *grown = NULL;

    if (count < *room)
        return STATUS_OK;
    grown = memory_resize(*rows, more, size);
    if (grown == NULL)
        return error_set_no_memory(err, more * size, "the findings of a check");
    *rows = grown;
    *room = more;
    return STATUS_OK;
}

enum status check_found_add_bad(struct check_found *found, const struct check_bad *bad,
                                struct error *err)
{
    void *rows = found->bad;

    if (found->bad_count == CHECK_BAD_MAX) {
        found->bad_more++;
        return STATUS_OK;
    }
    enum status st = make_room(&rows, found->bad_count, &found->bad_room, sizeof(*found->bad), err);

    found->bad = rows;
    if (st == STATUS_OK)
        found->bad[found->bad_count++] = *bad;
    return st;
}

enum status check_found_add_hurt(struct check_found *found, const struct check_hurt *hurt,
                                 struct error *err)
{
    void *rows = found->hurt;

    if (found->hurt_count == CHECK_HURT_MAX) {
        found->hurt_more++;
        return STATUS_OK;
    }
    enum status st =
        make_room(&rows, found->hurt_count, &found->hurt_room, sizeof(*found->hurt), err);

    found->hurt = rows;
    if (st == STATUS_OK)
        found->hurt[found->hurt_count++] = *hurt;
    return st;
}

void check_hurt_add(struct check_hurt *hurt, struct range range)
{
    if (range.offset >= hurt->size)
        return;
    if (range.length > hurt->size - range.offset)
        range.length = hurt->size - range.offset;
    if (hurt->bytes == 0 || hurt->end != range.offset) {
        if (hurt->range_count < CHECK_RANGES_MAX)
            hurt->ranges[hurt->range_count++] = range;
        else
            hurt->more_ranges++;
    } else if (hurt->more_ranges == 0) {
        hurt->ranges[hurt->range_count - 1].length += range.length;
    }
    hurt->bytes += range.length;
    hurt->end = range.offset + range.length;
}
