#include "recover/select.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "recover/show.h"

enum { DIGITS_MIN = 6, CANDIDATES_SIZE = 384, SHORT_DIGITS = 12 };

/* Those that fit, and their names as far as there is room. */
struct candidates {
    size_t count;
    size_t last;
    char text[CANDIDATES_SIZE];
};

static void add_text(struct candidates *found, size_t index, const char *name)
{
    char both[CANDIDATES_SIZE];

    found->count++;
    found->last = index;
    if (text_format(both, sizeof(both), "%s%s%s", found->text, found->count > 1 ? ", " : "", name))
        memcpy(found->text, both, sizeof(both));
}

static void add_point(struct candidates *found, const struct points *points, size_t index)
{
    const struct point *point = &points->rows[index];
    char id[ID_TEXT_SIZE];
    char time[SHOW_SIZE];
    char name[CANDIDATES_SIZE];

    point_id_text(point, id);
    show_time(point->time_us, time);
    if (!text_format(name, sizeof(name), "%.*s (%s@%s)", SHORT_DIGITS, id,
                     point->body_there ? point->vm_name : "?", time))
        name[0] = '\0';
    add_text(found, index, name);
}

static enum status the_one(const struct candidates *found, const char *text, size_t *ret_index,
                           struct error *err)
{
    if (found->count == 0)
        return error_set(
            err, STATUS_NOT_FOUND,
            "there is no restore point %s; tidemark-recover list shows those there are", text);
    if (found->count > 1)
        return error_set(err, STATUS_INVALID, "%s may be any of %zu restore points: %s", text,
                         found->count, found->text);
    *ret_index = found->last;
    return STATUS_OK;
}

/* ---- By id ----------------------------------------------------------------------------------- */

static bool is_digits(const char *text)
{
    size_t length = strlen(text);

    return length >= DIGITS_MIN && length < ID_TEXT_SIZE &&
           strspn(text, "0123456789abcdefABCDEF") == length;
}

static bool begins(const char *id, const char *digits)
{
    for (; *digits != '\0'; id++, digits++) {
        char digit = (char)(*digits >= 'A' && *digits <= 'F' ? *digits - 'A' + 'a' : *digits);

        if (digit != *id)
            return false;
    }
    return true;
}

static bool has_id(const struct point *point, const char *digits)
{
    char task[ID_TEXT_SIZE] = "";
    char envelope[ID_TEXT_SIZE];

    if (point->task_known)
        random_id_text(&point->task, task);
    id_text(&point->envelope_ref.id, envelope);
    return begins(task, digits) || begins(envelope, digits);
}

/* ---- By VM ----------------------------------------------------------------------------------- */

static bool is_of_vm(const struct point *point, const char *vm, size_t length)
{
    char id[RANDOM_ID_TEXT_SIZE];

    if (!point->envelope_there)
        return false;
    random_id_text(&point->vm, id);
    return (strlen(id) == length && memcmp(id, vm, length) == 0) ||
           (point->body_there && strlen(point->vm_name) == length &&
            memcmp(point->vm_name, vm, length) == 0);
}

static bool is_kept(const struct point *point)
{
    return point->state == POINT_LIVE || point->state == POINT_LOCKED;
}

/* The newest of those in the log: they are in the order in which they came to be. Else of the others, by time. */
static void find_latest(const struct points *points, const char *vm, size_t length,
                        struct candidates *found)
{
    const struct point *newest = NULL;

    for (size_t i = 0; i < points->count; i++) {
        const struct point *point = &points->rows[i];

        if (!is_of_vm(point, vm, length))
            continue;
        if (is_kept(point) ||
            (point->state == POINT_NOT_IN_LOG && (newest == NULL || !is_kept(newest))))
            newest = point;
    }
    if (newest != NULL)
        add_point(found, points, (size_t)(newest - points->rows));
}

static void find_by_time(const struct points *points, const char *vm, size_t length,
                         const char *time, struct candidates *found)
{
    for (size_t i = 0; i < points->count; i++) {
        char text[SHOW_SIZE];

        if (!is_of_vm(&points->rows[i], vm, length))
            continue;
        show_time(points->rows[i].time_us, text);
        if (strncmp(text, time, strlen(time)) == 0)
            add_point(found, points, i);
    }
}

enum status select_point(const struct points *points, const char *text, size_t *ret_point,
                         struct error *err)
{
    const char *at = strrchr(text, '@');
    struct candidates found = {0};

    if (at != NULL && at > text && at[1] != '\0') {
        if (strcmp(at, "@latest") == 0)
            find_latest(points, text, (size_t)(at - text), &found);
        else
            find_by_time(points, text, (size_t)(at - text), at + 1, &found);
    } else if (is_digits(text)) {
        for (size_t i = 0; i < points->count; i++)
            if (has_id(&points->rows[i], text))
                add_point(&found, points, i);
    } else {
        return error_set(
            err, STATUS_INVALID,
            "%s is no restore point: write the first %d or more digits of its id, VM@TIME or "
            "VM@latest",
            text, DIGITS_MIN);
    }
    return the_one(&found, text, ret_point, err);
}

/* ---- Disks and files ------------------------------------------------------------------------- */

enum status select_item(const struct point *point, bool file, const char *text, size_t *ret_item,
                        struct error *err)
{
    const char *what = file ? "file" : "disk";
    size_t first = file ? point->disk_count : 0;
    size_t end = file ? point->item_count : point->disk_count;
    struct candidates found = {0};
    struct candidates all = {0};
    uint64_t number = 0;

    for (size_t i = first; i < end; i++) {
        char name[CANDIDATES_SIZE];

        if (!text_format(name, sizeof(name), "%zu (%s)", i - first + 1, point->items[i].name))
            name[0] = '\0';
        add_text(&all, i, name);
        if (strcmp(point->items[i].name, text) == 0)
            add_text(&found, i, name);
    }
    if (found.count == 0 && text_parse_u64(text, &number) && number >= 1 && number <= end - first) {
        *ret_item = first + (size_t)number - 1;
        return STATUS_OK;
    }
    if (found.count == 1) {
        *ret_item = found.last;
        return STATUS_OK;
    }
    if (found.count > 1)
        return error_set(err, STATUS_INVALID,
                         "%zu of its %ss are called %s; name one by its number: %s", found.count,
                         what, text, found.text);
    return error_set(err, STATUS_NOT_FOUND, "the restore point has no %s %s; it has %s", what, text,
                     all.count == 0 ? "none" : all.text);
}
