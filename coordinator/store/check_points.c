#include "coordinator/store/check_points.h"

#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/check_chunk.h"
#include "coordinator/store/thing.h"

enum { NODES_AT_ONCE = 32 };

/* A node that is walked. */
struct frame {
    uint64_t number;
    uint8_t level;
    uint64_t first; /* block that its first child stands for */
    unsigned next;  /* child */
    bool clean;     /* so far */
    struct tree_node node;
    enum check_wrong wrong[TREE_FANOUT]; /* of its children's records */
};

struct check_path {
    struct frame frames[NODE_LEVEL_MAX];
    size_t depth;
};

enum status check_points_init(struct check_points *points, struct error *err)
{
    size_t point_count = 0;
    size_t partial_count = 0;
    const struct store_point *listed = store_points(points->store, &point_count);
    const struct store_partial *partials = store_partials(points->store, &partial_count);
    size_t count = point_count + partial_count;

    buffer_init(&points->body, RECORD_PLAIN_MAX);
    buffer_init(&points->stored, RECORD_PLAIN_MAX);
    points->path = memory_new(1, sizeof(*points->path));
    if (points->path == NULL)
        return error_set_no_memory(err, sizeof(*points->path), "a path through a tree");
    points->roots = memory_new(count, sizeof(*points->roots));
    if (points->roots == NULL)
        return error_set_no_memory(err, count * sizeof(*points->roots), "the points to check");
    points->count = count;
    for (size_t i = 0; i < point_count; i++)
        points->roots[i] = (struct check_root){.task = listed[i].task,
                                               .domain = listed[i].domain,
                                               .ref = listed[i].envelope,
                                               .time_us = listed[i].time_us,
                                               .trashed = listed[i].trashed};
    for (size_t i = 0; i < partial_count; i++)
        points->roots[point_count + i] = (struct check_root){.partial = true,
                                                             .task = partials[i].task,
                                                             .domain = partials[i].domain,
                                                             .ref = partials[i].root};
    return STATUS_OK;
}

static void close_root(struct check_points *points)
{
    envelope_deinit(&points->envelope);
    statement_deinit(&points->statement);
    points->envelope = (struct envelope){0};
    points->statement = (struct statement){0};
    points->open = false;
}

void check_points_deinit(struct check_points *points)
{
    close_root(points);
    memory_free(points->roots);
    memory_free(points->path);
    buffer_deinit(&points->body);
    buffer_deinit(&points->stored);
}

/* ---- References ------------------------------------------------------------------------------ */

static enum status tell(struct check_points *points, const struct ref *ref, uint8_t kind,
                        enum check_wrong wrong, const struct place *place, struct error *err)
{
    struct check_bad bad = {.wrong = wrong, .kind = kind, .number = ref->number};
    enum status st = STATUS_OK;

    if ((check_numbers_get(points->numbers, ref->number) & CHECK_TOLD) != 0)
        return STATUS_OK;
    if (place != NULL && place->length > 0) {
        bad.in_pack = true;
        bad.pack = place->pack;
        bad.offset = place->offset;
        bad.length = place->length;
    }
    st = check_numbers_set(points->numbers, ref->number, CHECK_TOLD, err);
    return st == STATUS_OK ? check_found_add_bad(points->found, &bad, err) : st;
}

static bool is_id(const struct place *place, const struct id *id)
{
    struct cursor cursor = cursor_of(slice_of(id->bytes, ID_SIZE));

    return cursor_u32le(&cursor) == place->id_bits;
}

/* Are the records that REFS (COUNT, at most TREE_FANOUT, no holes) name there and sound? KIND: what they are. */
static enum status judge_refs(struct check_points *points, const struct ref *const *refs,
                              size_t count, uint8_t kind, enum check_wrong *ret_wrong,
                              struct error *err)
{
    uint64_t numbers[TREE_FANOUT];
    struct place places[TREE_FANOUT];
    enum status st = STATUS_OK;

    for (size_t i = 0; i < count; i++)
        numbers[i] = refs[i]->number;
    if (count > 0)
        st = store_places(points->store, numbers, count, places, err);
    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        unsigned flags = check_numbers_get(points->numbers, numbers[i]);

        ret_wrong[i] = CHECK_RIGHT;
        if ((flags & CHECK_SOUND) == 0)
            ret_wrong[i] = CHECK_ABSENT;
        else if ((flags & CHECK_AGREED) != 0 && !is_id(&places[i], &refs[i]->id))
            ret_wrong[i] = CHECK_OTHER_ID;
        if (ret_wrong[i] != CHECK_RIGHT)
            st = tell(points, refs[i], kind, ret_wrong[i], &places[i], err);
    }
    return st;
}

static bool is_lost(enum check_wrong wrong)
{
    return wrong != CHECK_RIGHT && wrong != CHECK_UNCACHED;
}

/* The thing of KIND that REF names into STORED, with the right id. *ret_wrong says what is wrong with it otherwise. */
static enum status read_thing(struct check_points *points, const struct ref *ref, uint8_t kind,
                              struct buffer *stored, enum check_wrong *ret_wrong, struct error *err)
{
    struct error damage = {0};
    enum status st = judge_refs(points, &ref, 1, kind, ret_wrong, err);

    if (st != STATUS_OK || *ret_wrong != CHECK_RIGHT)
        return st;
    if ((check_numbers_get(points->numbers, ref->number) & CHECK_AGREED) != 0)
        st = store_read(points->store, points->domain, kind, ref, stored, &damage);
    else
        st = check_strays_read(points->strays, points->store, ref->number, kind, stored, &damage);
    if (st == STATUS_NOT_FOUND) { /* only of a record that was seen, and not kept */
        *ret_wrong = CHECK_UNCACHED;
        points->uncached++;
        return STATUS_OK;
    }
    if (st == STATUS_OK)
        st = thing_check(points->domain->id_key, kind, buffer_slice(stored), &ref->id, &damage);
    if (st == STATUS_OK)
        return st;
    if (!check_is_damage(st)) {
        *err = damage;
        return st;
    }
    *ret_wrong = CHECK_CONTENT;
    return tell(points, ref, kind, *ret_wrong, NULL, err);
}

/* ---- What is hurt ---------------------------------------------------------------------------- */

static void name(char target[STATEMENT_NAME_SIZE], const char *text)
{
    INVARIANT(text_format(target, STATEMENT_NAME_SIZE, "%s", text)); /* of the same size */
}

/* Nothing is hurt yet of the root that is walked. */
static struct check_hurt hurt_of(const struct check_points *points, enum check_hurt_what what)
{
    const struct check_root *root = &points->roots[points->at];
    struct check_hurt hurt = {.what = what,
                              .task = root->task,
                              .time_us = root->time_us,
                              .trashed = root->trashed,
                              .disk = points->disk};

    if (root->partial) {
        hurt.what = CHECK_HURT_PARTIAL;
        return hurt;
    }
    hurt.point = root->ref.id;
    if (points->open)
        hurt.time_us = points->envelope.time_us;
    name(hurt.vm, points->statement.vm_name);
    name(hurt.host, points->statement.host);
    return hurt;
}

static enum status add_hurt(struct check_points *points, const struct check_hurt *hurt,
                            struct error *err)
{
    if (hurt->what != CHECK_HURT_PARTIAL)
        points->hurt_this = true;
    return check_found_add_hurt(points->found, hurt, err);
}

/* ---- A point --------------------------------------------------------------------------------- */

/* Who it is for people: of a body that says nothing sensible there are no names. */
static enum status read_names(struct check_points *points, struct error *err)
{
    struct signed_slice statement;
    struct error damage = {0};
    enum status st = body_decode(buffer_slice(&points->body), &statement, &damage);

    if (st == STATUS_OK)
        st = statement_decode(statement.body, &points->statement, &damage);
    if (st == STATUS_OK || check_is_damage(st))
        return STATUS_OK;
    *err = damage;
    return st;
}

/* *ret_wrong: what is wrong with its envelope; then there is nothing to walk. */
static enum status read_manifest(struct check_points *points, enum check_wrong *ret_wrong,
                                 struct error *err)
{
    const struct check_root *root = &points->roots[points->at];
    enum check_wrong wrong_body = CHECK_RIGHT;
    enum status st = read_thing(points, &root->ref, KIND_ENVELOPE, &points->stored, ret_wrong, err);

    if (st == STATUS_OK && *ret_wrong == CHECK_RIGHT)
        st = envelope_decode_stored(buffer_slice(&points->stored), &points->envelope, err);
    if (st != STATUS_OK || *ret_wrong != CHECK_RIGHT)
        return st;
    points->open = true;
    st = read_thing(points, &points->envelope.body, KIND_BODY, &points->body, &wrong_body, err);
    if (st != STATUS_OK)
        return st;
    if (wrong_body == CHECK_RIGHT)
        return read_names(points, err);
    if (!is_lost(wrong_body))
        return STATUS_OK;

    const struct check_hurt hurt = hurt_of(points, CHECK_HURT_POINT);

    return add_hurt(points, &hurt, err);
}

/* ---- A disk ---------------------------------------------------------------------------------- */

static uint64_t span(uint8_t level)
{
    uint64_t blocks = 1;

    for (uint8_t i = 0; i < level; i++)
        blocks *= TREE_FANOUT; /* NODE_LEVEL_MAX: 2^63 */
    return blocks;
}

/* COUNT blocks from FIRST on are lost. */
static void lose(struct check_points *points, uint64_t first, uint64_t count)
{
    uint64_t block_size = points->root.block_size;
    uint64_t blocks = points->root.size / block_size + (points->root.size % block_size != 0);

    if (first >= blocks)
        return;
    if (count > blocks - first)
        count = blocks - first;
    check_hurt_add(&points->hurt,
                   (struct range){.offset = first * block_size, .length = count * block_size});
}

/* The node that REF names, above the blocks from FIRST on, is next. Its span is lost if it cannot be read. */
static enum status push(struct check_points *points, const struct ref *ref, uint8_t level,
                        uint64_t first, bool *ret_read, struct error *err)
{
    struct frame *frame = &points->path->frames[points->path->depth];
    const struct ref *refs[TREE_FANOUT];
    enum check_wrong wrongs[TREE_FANOUT];
    enum check_wrong wrong = CHECK_RIGHT;
    size_t count = 0;
    enum status st =
        read_thing(points, ref, (uint8_t)(KIND_NODE + level), &points->stored, &wrong, err);

    *ret_read = st == STATUS_OK && wrong == CHECK_RIGHT;
    if (st == STATUS_OK && is_lost(wrong))
        lose(points, first, span(level));
    if (!*ret_read)
        return st;
    points->nodes++;
    *frame = (struct frame){.number = ref->number, .level = level, .first = first, .clean = true};
    st = tree_node_decode(buffer_slice(&points->stored), &frame->node, err);
    for (size_t i = 0; i < TREE_FANOUT; i++)
        if (!id_is_hole(&frame->node.children[i].id))
            refs[count++] = &frame->node.children[i];
    if (st == STATUS_OK)
        st = judge_refs(points, refs, count,
                        level == 1 ? KIND_BLOCK : (uint8_t)(KIND_NODE + level - 1), wrongs, err);
    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        frame->wrong[refs[i] - frame->node.children] = wrongs[i];
    if (st == STATUS_OK)
        points->path->depth++;
    return st;
}

/* The next child of the node that is walked, or back to the one above it. */
static enum status walk_on(struct check_points *points, struct error *err)
{
    struct check_path *path = points->path;
    struct frame *frame = &path->frames[path->depth - 1];
    uint8_t below = (uint8_t)(frame->level - 1);
    bool read = false;

    if (frame->next == TREE_FANOUT) {
        path->depth--;
        if (frame->clean)
            return check_numbers_set(points->numbers, frame->number, CHECK_CLEAN, err);
        if (path->depth > 0)
            path->frames[path->depth - 1].clean = false;
        return STATUS_OK;
    }

    unsigned at = frame->next++;
    const struct ref *child = &frame->node.children[at];
    uint64_t first = frame->first + at * span(below);

    if (id_is_hole(&child->id))
        return STATUS_OK;
    if (frame->wrong[at] != CHECK_RIGHT) {
        frame->clean = false;
        lose(points, first, span(below));
        return STATUS_OK;
    }
    if (below == 0 || (check_numbers_get(points->numbers, child->number) & CHECK_CLEAN) != 0)
        return STATUS_OK;

    enum status st = push(points, child, below, first, &read, err);

    if (!read)
        frame->clean = false;
    return st;
}

static enum status walk_top(struct check_points *points, struct error *err)
{
    const struct ref *top = &points->root.top;
    enum check_wrong wrong = CHECK_RIGHT;
    enum status st = STATUS_OK;
    bool read = false;

    if (id_is_hole(&top->id))
        return STATUS_OK;
    if (points->root.height > 0)
        return (check_numbers_get(points->numbers, top->number) & CHECK_CLEAN) != 0
                   ? STATUS_OK
                   : push(points, top, points->root.height, 0, &read, err);
    st = judge_refs(points, &top, 1, KIND_BLOCK, &wrong, err);
    if (wrong != CHECK_RIGHT)
        lose(points, 0, 1);
    return st;
}

/* Begins with the tree whose root REF names, of SIZE bytes where that is known. */
static enum status begin_tree(struct check_points *points, const struct ref *ref, bool file,
                              uint64_t size, struct error *err)
{
    uint8_t kind = file ? KIND_FILE_ROOT : KIND_DISK_ROOT;
    enum check_wrong wrong = CHECK_RIGHT;
    enum status st = read_thing(points, ref, kind, &points->stored, &wrong, err);

    points->hurt.size = size;
    points->walking = true;
    points->path->depth = 0;
    if (st != STATUS_OK)
        return st;
    if (wrong == CHECK_UNCACHED)
        return STATUS_OK;
    if (wrong != CHECK_RIGHT) {
        check_hurt_add(&points->hurt, (struct range){.length = size});
        if (size == 0) /* of a partial tree, or an empty file: nobody can say more */
            return add_hurt(points, &points->hurt, err);
        return STATUS_OK;
    }
    st = file ? file_root_decode(buffer_slice(&points->stored), &points->root, err)
              : disk_root_decode(buffer_slice(&points->stored), &points->root, err);
    points->hurt.size = points->root.size;
    return st == STATUS_OK ? walk_top(points, err) : st;
}

static enum status begin_disk(struct check_points *points, struct error *err)
{
    const struct envelope *envelope = &points->envelope;
    const struct statement *statement = &points->statement;
    bool file = points->disk >= envelope->disk_count;
    unsigned at = file ? points->disk - envelope->disk_count : points->disk;
    const struct envelope_disk *disk = file ? &envelope->files[at] : &envelope->disks[at];

    points->hurt = hurt_of(points, file ? CHECK_HURT_FILE : CHECK_HURT_DISK);
    points->hurt.disk = at;
    if (file && at < statement->file_count)
        name(points->hurt.name, statement->files[at].name);
    else if (!file && at < statement->disk_count)
        name(points->hurt.name, statement->disks[at].name);
    return begin_tree(points, &disk->root, file, disk->size, err);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

static void next_root(struct check_points *points)
{
    points->hurt_points += points->hurt_this;
    points->hurt_this = false;
    close_root(points);
    points->at++;
    points->disk = 0;
}

static enum status begin_root(struct check_points *points, struct error *err)
{
    const struct check_root *root = &points->roots[points->at];
    enum check_wrong wrong = CHECK_RIGHT;
    enum status st = STATUS_OK;

    points->domain = store_find_domain(points->store, &root->domain);
    if (points->domain == NULL)
        wrong = CHECK_DOMAIN;
    else if (root->partial) {
        points->hurt = hurt_of(points, CHECK_HURT_PARTIAL);
        points->open = true;
        return begin_tree(points, &root->ref, false, 0, err);
    } else
        st = read_manifest(points, &wrong, err);
    if (wrong == CHECK_DOMAIN)
        st = tell(points, &root->ref, root->partial ? KIND_DISK_ROOT : KIND_ENVELOPE, wrong, NULL,
                  err);
    if (st == STATUS_OK && is_lost(wrong)) {
        const struct check_hurt hurt = hurt_of(points, CHECK_HURT_POINT);

        st = add_hurt(points, &hurt, err);
    }
    if (st == STATUS_OK && wrong != CHECK_RIGHT)
        next_root(points);
    return st;
}

static enum status end_tree(struct check_points *points, struct error *err)
{
    points->walking = false;
    points->disk++;
    return points->hurt.bytes > 0 ? add_hurt(points, &points->hurt, err) : STATUS_OK;
}

static enum status step(struct check_points *points, struct error *err)
{
    const struct envelope *envelope = &points->envelope;
    unsigned trees = (unsigned)envelope->disk_count + envelope->file_count;

    if (!points->open)
        return begin_root(points, err);
    if (points->walking)
        return points->path->depth > 0 ? walk_on(points, err) : end_tree(points, err);
    if (points->disk < trees)
        return begin_disk(points, err);
    next_root(points);
    return STATUS_OK;
}

enum status check_points_step(struct check_points *points, bool *ret_end, struct error *err)
{
    uint64_t until = points->nodes + NODES_AT_ONCE;
    size_t last = points->at + NODES_AT_ONCE; /* points may have nothing left to walk */
    enum status st = STATUS_OK;

    while (st == STATUS_OK && points->at < points->count && points->at < last &&
           points->nodes < until)
        st = step(points, err);
    *ret_end = points->at == points->count;
    return st;
}
