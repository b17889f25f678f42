#include "coordinator/service/points.h"

#include <string.h>

#include "base/attr.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/service/point_read.h"
#include "coordinator/service/store_error.h"

enum { AT_ONCE = 64 /* points read in one work: others want the store too */, PREFIX_MIN = 6 };

struct points {
    struct point_info *known;
    size_t count;
    size_t room;
};

enum status points_new(struct points **ret_points, struct error *err)
{
    struct points *points = memory_new(1, sizeof(*points));

    if (points == NULL)
        return error_set_no_memory(err, sizeof(*points), "the list of points");
    *ret_points = points;
    return STATUS_OK;
}

void points_free(struct points *points)
{
    if (points == NULL)
        return;
    memory_free(points->known);
    memory_free(points);
}

/* ---- Reading what is new --------------------------------------------------------------------- */

void point_info_of(const struct store_point *point, const struct statement *statement,
                   struct point_info *ret_info)
{
    struct point_info info = {.envelope = point->envelope,
                              .sequence = point->sequence,
                              .time_us = statement->time_us};

    for (uint16_t i = 0; i < statement->disk_count; i++)
        info.size += statement->disks[i].size;
    for (uint16_t i = 0; i < statement->file_count; i++)
        info.size += statement->files[i].size;
    /* All of them fit: a statement's texts have the same sizes. */
    INVARIANT(text_format(info.host, sizeof(info.host), "%s", statement->host));
    INVARIANT(text_format(info.disk, sizeof(info.disk), "%s", statement->vm_name));
    INVARIANT(text_format(info.reason, sizeof(info.reason), "%s", statement->reason));
    INVARIANT(text_format(info.consistency, sizeof(info.consistency), "%s",
                          consistency_text(statement->consistency)));
    *ret_info = info;
}

static enum status read_info(struct store *store, const struct store_point *point,
                             struct point_info *ret_info, struct error *err)
{
    struct point_content content = {0};
    enum status st = point_read(store, &point->envelope, &content, err);

    if (st == STATUS_OK) {
        point_info_of(point, &content.statement, ret_info);
    } else if (store_error_is_damage(st)) {
        *ret_info = (struct point_info){.envelope = point->envelope,
                                        .sequence = point->sequence,
                                        .time_us = point->time_us,
                                        .consistency = "damaged"};
        st =
            STATUS_OK; /* listed all the same: who looks for it shall see it; verify says what is wrong */
    }
    point_content_deinit(&content);
    return st;
}

/* On the store's thread. */
static void run_update(struct job *job)
{
    struct points_update *update = (struct points_update *)job; /* its first member */
    struct store *store = job->exchange->context->store;
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);

    INVARIANT(update->known <= count);
    count -= update->known;
    if (count > AT_ONCE)
        count = AT_ONCE;
    if (count == 0)
        return;
    update->found = memory_new(count, sizeof(*update->found));
    if (update->found == NULL) {
        job->status = error_set_no_memory(&job->err, count * sizeof(*update->found), "points");
        return;
    }
    for (size_t i = 0; i < count && job->status == STATUS_OK; i++)
        job->status = read_info(store, &points[update->known + i], &update->found[i], &job->err);
    update->found_count = count;
}

static enum status make_room(struct points *points, size_t count, struct error *err)
{
    struct point_info *known = NULL;
    size_t room = points->room == 0 ? AT_ONCE : points->room;

    while (room < count)
        room *= 2;
    if (room == points->room)
        return STATUS_OK;
    known = memory_resize(points->known, room, sizeof(*known));
    if (known == NULL)
        return error_set_no_memory(err, room * sizeof(*known), "the list of points");
    points->known = known;
    points->room = room;
    return STATUS_OK;
}

static void update_done(struct job *job);

static void submit_update(struct points *points, struct exchange *exchange,
                          struct points_update *update)
{
    update->known = points->count;
    update->found = NULL;
    update->found_count = 0;
    exchange_submit(exchange, EXCHANGE_STORE, &update->job, 1, run_update, update_done);
}

static void update_done(struct job *job)
{
    struct points_update *update = (struct points_update *)job; /* its first member */
    struct exchange *exchange = job->exchange;
    struct points *points = exchange->context->points;
    size_t found = update->found_count;
    enum status st = job->status;

    /* Another update may have told the same, or more, meanwhile. */
    if (st == STATUS_OK && found > 0 && update->known + found > points->count) {
        st = make_room(points, update->known + found, &job->err);
        if (st == STATUS_OK) {
            memcpy(points->known + update->known, update->found, found * sizeof(*update->found));
            points->count = update->known + found;
        }
    }
    memory_free(update->found);
    update->found = NULL;
    if (!exchange_live(exchange))
        return;
    if (st == STATUS_OK && found == AT_ONCE)
        submit_update(points, exchange, update);
    else
        update->done(update, st, st == STATUS_OK ? NULL : &job->err);
}

void points_update_start(struct points *points, struct exchange *exchange,
                         struct points_update *update,
                         void (*done)(struct points_update *update, enum status status,
                                      const struct error *err))
{
    update->done = done;
    submit_update(points, exchange, update);
}

/* ---- Looking up ------------------------------------------------------------------------------ */

const struct point_info *points_known(const struct points *points, size_t *ret_count)
{
    *ret_count = points->count;
    return points->known;
}

enum status points_resolve(const struct points *points, const char *text,
                           const struct point_info **ret_point, struct error *err)
{
    const struct point_info *found = NULL;
    char found_text[ID_TEXT_SIZE] = "";
    size_t length = strlen(text);

    if (length < PREFIX_MIN || length >= ID_TEXT_SIZE || strspn(text, "0123456789abcdef") != length)
        return error_set(
            err, STATUS_INVALID,
            "a point is named by the first %d to %d hexadecimal digits of its id, not \"%.80s\"",
            PREFIX_MIN, ID_TEXT_SIZE - 1, text);
    for (size_t i = 0; i < points->count; i++) {
        char digits[ID_TEXT_SIZE];

        id_text(&points->known[i].envelope.id, digits);
        if (memcmp(digits, text, length) != 0)
            continue;
        if (found != NULL)
            return error_set(err, STATUS_INVALID, "two points begin with %s: %s and %s", text,
                             found_text, digits);
        found = &points->known[i];
        memcpy(found_text, digits, sizeof(digits));
    }
    if (found == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there is no point %s", text);
    *ret_point = found;
    return STATUS_OK;
}
