#include "format/field.h"

#include <string.h>

#include "base/invariant.h"
#include "base/slice.h"
#include "base/text.h"

void field_put_text(struct buffer *target, const char *text)
{
    struct slice bytes = slice_of_text(text);

    INVARIANT(bytes.size <= UINT16_MAX);
    buffer_put_u16le(target, (uint16_t)bytes.size);
    buffer_put(target, bytes);
}

enum status field_take_text(struct cursor *cursor, const char *what, enum field_emptiness emptiness,
                            char *text, size_t size, struct error *err)
{
    uint16_t length = cursor_u16le(cursor);
    struct slice bytes = cursor_take(cursor, length);

    if (!cursor_ok(cursor))
        return error_set(err, STATUS_CORRUPT, "%s is cut off", what);
    if (bytes.size >= size)
        return error_set(err, STATUS_CORRUPT, "%s has %zu bytes, more than %zu", what, bytes.size,
                         size - 1);
    if (bytes.size == 0 && emptiness == FIELD_EMPTY_REFUSED)
        return error_set(err, STATUS_CORRUPT, "%s is empty", what);
    if (!text_is_plain(bytes))
        return error_set(err, STATUS_CORRUPT,
                         "%s is no text: not UTF-8, or with control characters", what);
    if (bytes.size > 0)
        memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = '\0';
    return STATUS_OK;
}

void field_put_id(struct buffer *target, const struct id *id)
{
    buffer_put(target, slice_of(id->bytes, sizeof(id->bytes)));
}

void field_put_random_id(struct buffer *target, const struct random_id *id)
{
    buffer_put(target, slice_of(id->bytes, sizeof(id->bytes)));
}

enum status field_take_random_id(struct cursor *cursor, const char *what, struct random_id *ret_id,
                                 struct error *err)
{
    struct random_id id = {{0}};

    cursor_copy(cursor, id.bytes, sizeof(id.bytes));
    if (!cursor_ok(cursor))
        return error_set(err, STATUS_CORRUPT, "%s is cut off", what);
    if (slice_is_zero(slice_of(id.bytes, sizeof(id.bytes))))
        return error_set(err, STATUS_CORRUPT, "%s is all zeros", what);
    *ret_id = id;
    return STATUS_OK;
}

void field_put_ref(struct buffer *target, const struct ref *ref)
{
    field_put_id(target, &ref->id);
    buffer_put_u64le(target, ref->number);
}

enum status field_take_ref(struct cursor *cursor, const char *what, struct ref *ret_ref,
                           struct error *err)
{
    struct ref ref = {0};

    cursor_copy(cursor, ref.id.bytes, sizeof(ref.id.bytes));
    ref.number = cursor_u64le(cursor);
    if (!cursor_ok(cursor))
        return error_set(err, STATUS_CORRUPT, "%s is cut off", what);
    if (id_is_hole(&ref.id) || ref.number == 0)
        return error_set(err, STATUS_CORRUPT, "%s has no id or no number", what);
    *ret_ref = ref;
    return STATUS_OK;
}

enum status field_end(const struct cursor *cursor, const char *what, struct error *err)
{
    if (!cursor_end(cursor))
        return error_set(err, STATUS_CORRUPT, "%s of %zu bytes is cut off or too long", what,
                         cursor->bytes.size);
    return STATUS_OK;
}
