#include "console/list.h"

#include <inttypes.h>

#include "console/point.h"

/* A coordinator that never comes to an end is not listened to for ever. */
enum { POINTS_MAX = 10000000 };

static const struct point_text titles = {.short_id = "point",
                                         .time = "time (UTC)",
                                         .host = "host",
                                         .disk = "disk",
                                         .size = "size",
                                         .consistency = "consistency",
                                         .how = "how"};

struct list {
    const struct command *command;
    json_t *json; /* an array; NULL: a table */
    uint64_t points;
    uint64_t before; /* the sequence of the last point so far; 0: none so far */
};

static void print_row(const struct list *list, const struct point_text *text)
{
    (void)fprintf(list->command->out,
                  "%-12s  %-20s  %-20s  %-16s  %10s  %-11s  %s\n", /* flush tells */
                  text->short_id, text->time, text->host, text->disk, text->size, text->consistency,
                  text->how);
}

static enum status add_point(struct list *list, const Tidemark__V1__Point *point, struct error *err)
{
    struct point_text text;
    json_t *json = NULL;
    enum status st = STATUS_OK;

    if (point->sequence == 0)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator lists a point without its place in the log");
    if (list->points == POINTS_MAX)
        return error_set(err, STATUS_EXHAUSTED,
                         "the coordinator lists more than %d points: it may never come to an end",
                         POINTS_MAX);
    if (list->before != 0 && point->sequence >= list->before)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator does not list points from new to old: %" PRIu64
                         " comes after %" PRIu64,
                         point->sequence, list->before);
    if (list->json == NULL && list->points == 0)
        print_row(list, &titles);
    list->before = point->sequence;
    list->points++;
    if (list->json == NULL) {
        st = point_text(point, &text, err);
        if (st == STATUS_OK)
            print_row(list, &text);
        return st;
    }
    st = point_json(point, &json, err);
    if (st == STATUS_OK && json_array_append_new(list->json, json) != 0)
        st = error_set_no_memory(err, sizeof(text), "the list as JSON");
    return st;
}

/* The next page. */
static enum status list_page(struct list *list, bool *ret_more, struct error *err)
{
    Tidemark__V1__ListPointsRequest request = TIDEMARK__V1__LIST_POINTS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    enum status st = STATUS_OK;

    request.before_sequence = list->before;
    st = client_ask(list->command->client, "ListPoints", &request.base, &message, err);
    if (st != STATUS_OK)
        return st;

    const Tidemark__V1__ListPointsAnswer *answer = (Tidemark__V1__ListPointsAnswer *)message;

    for (size_t i = 0; st == STATUS_OK && i < answer->n_points; i++)
        st = add_point(list, answer->points[i], err);
    if (st == STATUS_OK && answer->more && answer->n_points == 0)
        st = error_set(err, STATUS_CORRUPT,
                       "the coordinator says that there are more points, and gives none");
    if (st == STATUS_OK)
        *ret_more = answer->more;
    rpc_message_free(message);
    return st;
}

enum status list_run(const struct command *command, struct error *err)
{
    struct list list = {.command = command};
    bool more = true;
    enum status st = STATUS_OK;

    if (command->options->json) {
        list.json = json_array();
        if (list.json == NULL)
            return error_set_no_memory(err, 0, "the list as JSON");
    }
    while (st == STATUS_OK && more)
        st = list_page(&list, &more, err);
    if (st == STATUS_OK && list.json != NULL)
        st = point_print_json(list.json, command->out, err);
    else if (st == STATUS_OK && list.points == 0)
        (void)fputs("there are no restore points\n", command->progress); /* a courtesy */
    json_decref(list.json);
    if (st == STATUS_OK)
        st = command_flush(command, err);
    return st;
}
