#include "console/point.h"

#include <string.h>

#include "base/invariant.h"
#include "base/slice.h"
#include "base/text.h"

enum status point_id_text(ProtobufCBinaryData id, char ret_text[ID_TEXT_SIZE], struct error *err)
{
    if (id.len != ID_SIZE)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator names a point by %zu bytes; they must be %d", id.len,
                         ID_SIZE);
    text_hex(slice_of(id.data, id.len), ret_text);
    return STATUS_OK;
}

enum status point_text(const Tidemark__V1__Point *point, struct point_text *ret_text,
                       struct error *err)
{
    char reason[POINT_NAME_SIZE];
    enum status st = STATUS_OK;

    if (point == NULL)
        return error_set(err, STATUS_CORRUPT, "the coordinator speaks of a point and names none");
    st = point_id_text(point->point, ret_text->id, err);
    if (st != STATUS_OK)
        return st;
    memcpy(ret_text->short_id, ret_text->id, POINT_SHORT_DIGITS);
    ret_text->short_id[POINT_SHORT_DIGITS] = '\0';
    format_text_time(point->time_us, ret_text->time);
    format_text_visible(point->host, ret_text->host, sizeof(ret_text->host));
    format_text_visible(point->disk, ret_text->disk, sizeof(ret_text->disk));
    format_text_bytes(point->size, ret_text->size);
    format_text_visible(point->consistency, ret_text->consistency, sizeof(ret_text->consistency));
    format_text_visible(point->reason, reason, sizeof(reason));
    INVARIANT(text_format(ret_text->how, sizeof(ret_text->how), "%s%s",
                          reason[0] == '\0' ? "incremental" : "whole read: ", reason));
    return STATUS_OK;
}

json_int_t point_json_count(uint64_t count)
{
    return count <= INT64_MAX ? (json_int_t)count : (json_int_t)INT64_MAX;
}

enum status point_json(const Tidemark__V1__Point *point, json_t **ret_json, struct error *err)
{
    struct point_text text;
    char reason[POINT_NAME_SIZE];
    enum status st = point_text(point, &text, err);

    if (st != STATUS_OK)
        return st;
    format_text_visible(point->reason, reason, sizeof(reason));

    json_t *json =
        json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:b, s:s, s:I}", "point", text.id, "time",
                  text.time, "time_us", (json_int_t)point->time_us, "host", text.host, "disk",
                  text.disk, "size_bytes", point_json_count(point->size), "consistency",
                  text.consistency, "incremental", reason[0] == '\0', "reason", reason, "sequence",
                  point_json_count(point->sequence));

    if (json == NULL)
        return error_set_no_memory(err, sizeof(text), "a point as JSON");
    *ret_json = json;
    return STATUS_OK;
}

enum status point_print_json(const json_t *json, FILE *out, struct error *err)
{
    if (json == NULL || json_dumpf(json, out, JSON_INDENT(2)) != 0) {
        if (ferror(out) == 0)
            return error_set_no_memory(err, 0, "the result as JSON");
    }
    (void)fputc('\n', out); /* command_flush() tells whether it got out */
    return STATUS_OK;
}
