#include "recover/list.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "recover/show.h"
#include "recover/walk.h"

enum { SHORT_DIGITS = 12 };

/* ---- How deep -------------------------------------------------------------------------------- */

struct measuring {
    struct things *things;
    struct teller *teller;
    const struct point_item *item;
    size_t index;
    struct list_depth *depth;
};

static void lose(const struct measuring *measuring, uint64_t offset, uint64_t length,
                 const char *reason)
{
    struct list_depth *depth = measuring->depth;

    if (depth->bytes == 0) {
        size_t kept = text_cut(reason, sizeof(depth->reason) - 1);

        depth->first_item = measuring->index;
        depth->first_lost = offset;
        memcpy(depth->reason, reason, kept);
        depth->reason[kept] = '\0';
    }
    depth->bytes += length;
}

static enum status ask_block(void *arg, uint64_t block, const struct ref *ref, struct error *err)
{
    struct measuring *measuring = arg;
    const struct disk_root *root = &measuring->item->root;

    (void)err; /* the table is in memory */
    show_progress_step(&measuring->teller->progress, measuring->item->name,
                       block * root->block_size, root->size);
    if (!things_has(measuring->things, ref)) {
        measuring->depth->blocks++;
        lose(measuring, block * root->block_size, walk_length(root, block, 1),
             "no pack has the block");
    }
    return STATUS_OK;
}

static enum status lose_node(void *arg, uint64_t offset, uint64_t length, const struct error *why,
                             struct error *err)
{
    struct measuring *measuring = arg;

    (void)err; /* it is only counted */
    measuring->depth->nodes++;
    lose(measuring, offset, length, why->text);
    return STATUS_OK;
}

enum status list_measure(struct things *things, struct teller *teller, const struct point *point,
                         struct list_depth *ret_depth, struct error *err)
{
    static const struct walk_calls calls = {.block = ask_block, .lost = lose_node};
    struct measuring measuring = {.things = things, .teller = teller, .depth = ret_depth};
    enum status st = STATUS_OK;

    *ret_depth = (struct list_depth){0};
    show_progress_restart(&teller->progress);
    for (size_t i = 0; i < point->item_count && st == STATUS_OK; i++) {
        measuring.item = &point->items[i];
        measuring.index = i;
        if (measuring.item->there)
            st = walk_tree(things, &point->domain, &measuring.item->root, &calls, &measuring, err);
        else
            lose(&measuring, 0, measuring.item->size, measuring.item->lost);
    }
    show_progress_clear(&teller->progress);
    return st;
}

/* ---- For a person ---------------------------------------------------------------------------- */

/* What the line of a point says at its end. */
static void print_state(const struct point *point, FILE *out)
{
    char until[SHOW_SIZE];

    (void)fprintf(out, "%s", point_state_text(point->state));
    if (point->state == POINT_TRASH) {
        show_time(point->trash_until_us, until);
        (void)fprintf(out, " until %s of lock time", until);
    }
    if (point->state == POINT_LOCKED && point->lock_until_us != 0) {
        show_time(point->lock_until_us, until);
        (void)fprintf(out, " until %s of lock time", until);
    }
}

static void print_item(const struct point *point, size_t index, FILE *out)
{
    const struct point_item *item = &point->items[index];
    char size[SHOW_SIZE];

    show_bytes(item->size, size);
    (void)fprintf(out, "    %s %zu  %s  %s", item->is_file ? "file" : "disk",
                  item->is_file ? index - point->disk_count + 1 : index + 1,
                  item->name[0] == '\0' ? "(name lost)" : item->name, size);
    if (!item->there)
        (void)fprintf(out, "  LOST: its root: %s", item->lost);
    (void)fputc('\n', out);
}

static void print_depth(const struct point *point, const struct list_depth *depth, FILE *out)
{
    char bytes[SHOW_SIZE];

    if (depth->bytes == 0) {
        (void)fprintf(out, "    all blocks are there\n");
        return;
    }
    show_bytes(depth->bytes, bytes);
    (void)fprintf(out,
                  "    MISSING: %s (%" PRIu64 " blocks, %" PRIu64
                  " nodes), the first at byte %" PRIu64 " of %s: %s\n",
                  bytes, depth->blocks, depth->nodes, depth->first_lost,
                  point->items[depth->first_item].name, depth->reason);
}

static void print_point(const struct point *point, const struct list_depth *depth, FILE *out)
{
    char id[ID_TEXT_SIZE];
    char time[SHOW_SIZE];

    point_id_text(point, id);
    if (!point->envelope_there) {
        (void)fprintf(out, "%.*s  ", SHORT_DIGITS, id);
        print_state(point, out);
        (void)fprintf(out, "  LOST: its envelope: %s\n", point->lost);
        return;
    }
    show_time(point->time_us, time);
    (void)fprintf(out, "%.*s  %s  %s  ", SHORT_DIGITS, id, time,
                  point->body_there ? point->vm_name : "(name lost)");
    print_state(point, out);
    (void)fputc('\n', out);
    if (!point->body_there)
        (void)fprintf(out, "    LOST: %s\n", point->lost);
    else if (point->proved)
        (void)fprintf(out, "    stated by %s, %s-consistent\n", point->host,
                      consistency_text(point->consistency));
    else
        (void)fprintf(out, "    NOT PROVED to be what host %s has read: %s\n", point->host,
                      point->doubt);
    for (size_t i = 0; i < point->item_count; i++)
        print_item(point, i, out);
    if (depth != NULL)
        print_depth(point, depth, out);
    else if (point_quick_whole(point))
        (void)fprintf(out, "    its metadata is whole; --deep looks for every block\n");
}

/* ---- As JSON --------------------------------------------------------------------------------- */

static json_int_t json_count(uint64_t count)
{
    return count <= INT64_MAX ? (json_int_t)count : (json_int_t)INT64_MAX;
}

static json_t *json_item(const struct point *point, size_t index)
{
    const struct point_item *item = &point->items[index];
    json_t *json =
        json_pack("{s:s, s:i, s:s, s:I, s:b}", "kind", item->is_file ? "file" : "disk", "number",
                  (int)(item->is_file ? index - point->disk_count + 1 : index + 1), "name",
                  item->name, "size_bytes", json_count(item->size), "root_there", (int)item->there);

    if (json != NULL && !item->there &&
        json_object_set_new(json, "lost", json_string(item->lost)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *json_items(const struct point *point)
{
    json_t *items = json_array();

    for (size_t i = 0; i < point->item_count && items != NULL; i++) {
        if (json_array_append_new(items, json_item(point, i)) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

/* Sets KEY of OBJECT, if all before went well. */
static void set(json_t **object, const char *key, json_t *take_value)
{
    if (*object == NULL) {
        json_decref(take_value);
        return;
    }
    if (json_object_set_new(*object, key, take_value) != 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static void set_depth(json_t **object, const struct list_depth *depth)
{
    set(object, "missing",
        json_pack("{s:I, s:I, s:I, s:s}", "bytes", json_count(depth->bytes), "blocks",
                  json_count(depth->blocks), "nodes", json_count(depth->nodes), "reason",
                  depth->reason));
}

static json_t *json_point(const struct point *point, const struct list_depth *depth)
{
    char id[ID_TEXT_SIZE];
    char envelope[ID_TEXT_SIZE];
    char vm[RANDOM_ID_TEXT_SIZE];
    char time[SHOW_SIZE];
    json_t *json = json_object();

    point_id_text(point, id);
    id_text(&point->envelope_ref.id, envelope);
    random_id_text(&point->vm, vm);
    show_time(point->time_us, time);
    set(&json, "point", json_string(id));
    set(&json, "envelope", json_string(envelope));
    set(&json, "state", json_string(point_state_text(point->state)));
    set(&json, "metadata_whole", json_boolean(point_quick_whole(point)));
    if (point->lost[0] != '\0')
        set(&json, "lost", json_string(point->lost));
    if (point->envelope_there) {
        set(&json, "vm", json_string(vm));
        set(&json, "time", json_string(time));
        set(&json, "time_us", json_integer((json_int_t)point->time_us));
        set(&json, "items", json_items(point));
    }
    if (point->body_there) {
        set(&json, "vm_name", json_string(point->vm_name));
        set(&json, "host", json_string(point->host));
        set(&json, "consistency", json_string(consistency_text(point->consistency)));
        set(&json, "proved", json_boolean(point->proved));
        if (!point->proved)
            set(&json, "doubt", json_string(point->doubt));
    }
    if (depth != NULL)
        set_depth(&json, depth);
    return json;
}

/* ---- Either ---------------------------------------------------------------------------------- */

static enum status list_one(const struct list_options *options, const struct point *point,
                            json_t *array, bool *whole, struct error *err)
{
    const struct list_depth *shown = NULL;
    struct list_depth depth = {0};

    if (options->deep && point->envelope_there) {
        enum status st = list_measure(options->things, options->teller, point, &depth, err);

        if (st != STATUS_OK)
            return st;
        shown = &depth;
    }
    if (point->state != POINT_PURGED && (!point_quick_whole(point) || depth.bytes > 0))
        *whole = false;
    if (array == NULL) {
        print_point(point, shown, options->out);
        return STATUS_OK;
    }
    if (json_array_append_new(array, json_point(point, shown)) != 0)
        return error_set_no_memory(err, 0, "a point as JSON");
    return STATUS_OK;
}

enum status list_points(const struct list_options *options, bool *ret_whole, struct error *err)
{
    const struct points *points = options->points;
    json_t *array = options->json ? json_array() : NULL;
    bool whole = true;
    enum status st = STATUS_OK;

    if (options->json && array == NULL)
        return error_set_no_memory(err, 0, "the list as JSON");
    for (size_t i = 0; i < points->count && st == STATUS_OK; i++)
        if (options->only == NULL || *options->only == i)
            st = list_one(options, &points->rows[i], array, &whole, err);
    if (st == STATUS_OK && array != NULL && json_dumpf(array, options->out, JSON_INDENT(2)) != 0)
        st = error_set(err, STATUS_UNAVAILABLE, "standard output takes no more");
    if (st == STATUS_OK && array != NULL)
        (void)fputc('\n', options->out); /* the flush at the end tells */
    if (st == STATUS_OK && array == NULL && points->count == 0)
        (void)fprintf(options->out, "No restore point can be found.\n");
    if (st == STATUS_OK && fflush(options->out) != 0)
        st = error_set(err, STATUS_UNAVAILABLE, "standard output takes no more");
    if (st == STATUS_OK)
        *ret_whole = whole;
    json_decref(array);
    return st;
}
