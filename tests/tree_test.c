/* The block tree against a model: a sorted list of the blocks that are no holes, and a root computed from
 * it bottom up, level by level, by code that shares nothing with the builder. */
#include "format/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum {
    BLOCK = 4096,
    BITS = 7,
    MODEL_MAX = 40000,
    NODES_MAX = 1 << 14,
    CALLS_MAX = 4096,
    CHANGES_MAX = 64
};

#define FANOUT     UINT64_C(128)
#define BLOCKS_MAX (UINT64_C(1) << 34) /* 64 TiB */

/* --- the world: nodes by id, and what was asked of it --- */

struct call {
    uint8_t level;
    uint64_t index;
    struct id id;
};

struct world {
    struct hash_key *key;
    struct tree_node **nodes; /* NODES_MAX slots, by id */
    struct id *ids;
    size_t node_count;
    struct call reads[CALLS_MAX];
    size_t read_count;
    struct call emits[CALLS_MAX];
    size_t emit_count;
    uint64_t broken_level; /* the node that cannot be read; 0: none */
    uint64_t broken_index;
    size_t emits_left; /* until one fails */
};

/* Numbers follow from ids, so that what names a thing names it right. */
static uint64_t number_for(const struct id *id)
{
    uint64_t number = 0;

    memcpy(&number, id->bytes, sizeof(number));
    return number | 1;
}

static struct ref ref_for(const struct id *id)
{
    struct ref ref = {.id = *id, .number = id_is_hole(id) ? 0 : number_for(id)};

    return ref;
}

/* The content VALUE: 0 is a hole. */
static struct ref content(uint64_t value)
{
    struct random_seeded random = random_seeded_of(value);
    struct id id = {{0}};
    struct error err = {0};

    if (value != 0)
        assert_int_equal(random_bytes(&random.source, id.bytes, sizeof(id.bytes), &err), STATUS_OK);
    return ref_for(&id);
}

static struct world *world_new(void)
{
    static const uint8_t secret[32] = {1, 2, 3};
    struct world *world = memory_new(1, sizeof(*world));
    struct error err = {0};

    assert_non_null(world);
    ASSERT_OK(hash_key_new(slice_of(secret, sizeof(secret)), &world->key, &err), &err);
    world->nodes = memory_new(NODES_MAX, sizeof(struct tree_node *));
    world->ids = memory_new(NODES_MAX, sizeof(*world->ids));
    assert_non_null(world->nodes);
    assert_non_null(world->ids);
    world->emits_left = SIZE_MAX;
    return world;
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        memory_free(world->nodes[i]);
    memory_free(world->nodes);
    memory_free(world->ids);
    hash_key_free(world->key);
    memory_free(world);
}

static void forget_calls(struct world *world)
{
    world->read_count = 0;
    world->emit_count = 0;
}

/* Where the node ID is, or belongs. */
static size_t slot_of(const struct world *world, const struct id *id)
{
    size_t slot = (size_t)(number_for(id) >> 1) % NODES_MAX;

    while (world->nodes[slot] != NULL && !id_equal(&world->ids[slot], id))
        slot = (slot + 1) % NODES_MAX;
    return slot;
}

static struct id keep(struct world *world, const struct tree_node *node)
{
    struct id id = {{0}};
    struct error err = {0};

    ASSERT_OK(tree_node_id(world->key, node, &id, &err), &err);

    size_t slot = slot_of(world, &id);

    if (world->nodes[slot] == NULL) {
        assert_true(++world->node_count < NODES_MAX / 2);
        world->nodes[slot] = memory_resize(NULL, 1, sizeof(*node));
        assert_non_null(world->nodes[slot]);
        *world->nodes[slot] = *node;
        world->ids[slot] = id;
    }
    return id;
}

static enum status world_read(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                              struct tree_node *ret_node, struct error *err)
{
    struct world *world = context;

    assert_true(world->read_count < CALLS_MAX);
    world->reads[world->read_count++] =
        (struct call){.level = level, .index = index, .id = ref->id};
    if (world->broken_level == level && world->broken_index == index)
        return error_set(err, STATUS_CORRUPT, "broken on purpose");
    assert_false(id_is_hole(&ref->id));
    assert_true(ref->number == number_for(&ref->id));

    const struct tree_node *node = world->nodes[slot_of(world, &ref->id)];

    assert_non_null(node);
    assert_int_equal(node->level, level);
    memcpy(ret_node->children, node->children, sizeof(ret_node->children));
    return STATUS_OK;
}

/* Refuses by assertion what the builder must not give out. */
static enum status world_emit(void *context, const struct tree_node *node, struct ref *ret_ref,
                              struct error *err)
{
    struct world *world = context;
    bool holes = true;

    if (world->emits_left-- == 0)
        return error_set(err, STATUS_UNAVAILABLE, "full on purpose");
    for (size_t i = 0; i < TREE_FANOUT; i++) {
        const struct ref *child = &node->children[i];

        if (id_is_hole(&child->id))
            continue;
        holes = false;
        if (node->level > 1) /* children come first */
            assert_non_null(world->nodes[slot_of(world, &child->id)]);
    }
    assert_false(holes);

    struct id id = keep(world, node);

    for (size_t i = 0; i < world->read_count; i++) /* not the parent's own */
        assert_false(world->reads[i].level == node->level && world->reads[i].index == node->index &&
                     id_equal(&world->reads[i].id, &id));
    if (world->emit_count > 0) { /* behind the last one, or above it */
        const struct call *last = &world->emits[world->emit_count - 1];
        uint64_t last_end = (last->index + 1) << (BITS * last->level);

        assert_true(node->index << (BITS * node->level) >= last_end ||
                    (node->level > last->level &&
                     node->index == last->index >> (BITS * (node->level - last->level))));
    }
    assert_true(world->emit_count < CALLS_MAX);
    world->emits[world->emit_count++] =
        (struct call){.level = node->level, .index = node->index, .id = id};
    *ret_ref = ref_for(&id);
    return STATUS_OK;
}

static const struct tree_callbacks callbacks = {.read = world_read, .emit = world_emit};
/* Of a path and of a walk: whoever calls `emit` there crashes. */
static const struct tree_callbacks only_reads = {.read = world_read};

/* --- the model --- */

struct entry {
    uint64_t block;
    struct ref ref;
};

struct model {
    struct disk_root geometry;
    uint64_t blocks;
    struct entry *entries; /* ascending, no holes; MODEL_MAX at most */
    size_t count;
};

static struct model model_new(uint64_t blocks)
{
    struct model model = {.geometry = {.size = blocks * BLOCK, .block_size = BLOCK},
                          .blocks = blocks};

    model.geometry.logical_sector = 512;
    model.geometry.physical_sector = 4096;
    model.entries = memory_new(MODEL_MAX, sizeof(*model.entries));
    assert_non_null(model.entries);
    return model;
}

static void model_free(struct model *model)
{
    memory_free(model->entries);
}

static void model_append(struct model *model, uint64_t block, struct ref ref)
{
    assert_true(block < model->blocks);
    assert_true(model->count == 0 || model->entries[model->count - 1].block < block);
    if (id_is_hole(&ref.id))
        return;
    assert_true(model->count < MODEL_MAX);
    model->entries[model->count++] = (struct entry){.block = block, .ref = ref};
}

static struct ref model_get(const struct model *model, uint64_t block)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->entries[i].block == block)
            return model->entries[i].ref;
    return (struct ref){0};
}

/* The top that MODEL has, level by level; the nodes go into WORLD. *RET_NODES (or NULL): what they are. */
static struct ref model_top(struct world *world, const struct model *model, struct call *nodes,
                            size_t *ret_count)
{
    uint8_t height = disk_root_height(model->geometry.size, BLOCK);
    struct entry *level_entries = memory_new(model->count + 1, sizeof(*level_entries));
    size_t count = model->count;
    size_t node_count = 0;

    assert_non_null(level_entries);
    memcpy(level_entries, model->entries, count * sizeof(*level_entries));
    for (uint8_t level = 1; level <= height; level++) {
        size_t made = 0;

        for (size_t i = 0; i < count;) {
            struct tree_node node = {.level = level, .index = level_entries[i].block >> BITS};

            for (; i < count && level_entries[i].block >> BITS == node.index; i++)
                node.children[level_entries[i].block % TREE_FANOUT] = level_entries[i].ref;

            struct id id = keep(world, &node);

            level_entries[made].block = node.index;
            level_entries[made++].ref = ref_for(&id);
            if (nodes != NULL) {
                assert_true(node_count < CALLS_MAX);
                nodes[node_count++] = (struct call){.level = level, .index = node.index, .id = id};
            }
        }
        count = made;
    }

    struct ref top = count == 0 ? (struct ref){0} : level_entries[0].ref;

    assert_true(count <= 1);
    if (ret_count != NULL)
        *ret_count = node_count;
    memory_free(level_entries);
    return top;
}

static struct disk_root model_root(struct world *world, const struct model *model)
{
    struct disk_root root = model->geometry;

    root.height = disk_root_height(root.size, BLOCK);
    root.top = model_top(world, model, NULL, NULL);
    return root;
}

/* --- changes --- */

struct change {
    uint64_t block;
    uint64_t count;
    bool holes;     /* by tree_builder_put_holes() */
    struct ref ref; /* else */
};

static struct change put(uint64_t block, uint64_t value)
{
    struct change change = {.block = block, .count = 1, .ref = content(value)};

    return change;
}

static struct change holes(uint64_t block, uint64_t count)
{
    struct change change = {.block = block, .count = count, .holes = true};

    return change;
}

static void model_change(struct model *model, const struct change *changes, size_t count)
{
    struct model next = model_new(model->blocks);
    size_t old = 0;

    for (size_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];

        for (; old < model->count && model->entries[old].block < change->block; old++)
            model_append(&next, model->entries[old].block, model->entries[old].ref);
        while (old < model->count && model->entries[old].block < change->block + change->count)
            old++;
        if (!change->holes)
            model_append(&next, change->block, change->ref);
    }
    for (; old < model->count; old++)
        model_append(&next, model->entries[old].block, model->entries[old].ref);
    memory_free(model->entries);
    model->entries = next.entries;
    model->count = next.count;
}

static enum status give(struct tree_builder *builder, const struct change *change,
                        struct error *err)
{
    return change->holes ? tree_builder_put_holes(builder, change->block, change->count, err)
                         : tree_builder_put(builder, change->block, &change->ref, err);
}

/* What a builder over PARENT (or NULL) makes of GEOMETRY and CHANGES. */
static enum status try_build(struct world *world, const struct disk_root *geometry,
                             const struct disk_root *parent, const struct change *changes,
                             size_t count, struct disk_root *ret_root, struct error *err)
{
    struct tree_builder *builder = NULL;

    forget_calls(world);

    enum status st = tree_builder_new(geometry, parent, &callbacks, world, &builder, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = give(builder, &changes[i], err);
    if (st == STATUS_OK)
        st = tree_builder_finish(builder, ret_root, err);
    tree_builder_free(builder);
    return st;
}

static struct disk_root build(struct world *world, const struct disk_root *geometry,
                              const struct disk_root *parent, const struct change *changes,
                              size_t count)
{
    struct disk_root root = {0};
    struct error err = {0};

    ASSERT_OK(try_build(world, geometry, parent, changes, count, &root, &err), &err);
    return root;
}

/* MODEL by one put for each block, without a parent. */
static struct disk_root build_whole(struct world *world, const struct model *model)
{
    struct tree_builder *builder = NULL;
    struct disk_root root = {0};
    struct error err = {0};

    forget_calls(world);
    ASSERT_OK(tree_builder_new(&model->geometry, NULL, &callbacks, world, &builder, &err), &err);
    for (size_t i = 0; i < model->count; i++)
        ASSERT_OK(tree_builder_put(builder, model->entries[i].block, &model->entries[i].ref, &err),
                  &err);
    ASSERT_OK(tree_builder_finish(builder, &root, &err), &err);
    tree_builder_free(builder);
    assert_int_equal(world->read_count, 0);
    return root;
}

static void assert_same_ref(const struct ref *a, const struct ref *b)
{
    assert_true(id_equal(&a->id, &b->id));
    assert_true(a->number == b->number);
}

static void assert_same_root(const struct disk_root *a, const struct disk_root *b)
{
    assert_true(a->size == b->size);
    assert_int_equal(a->block_size, b->block_size);
    assert_int_equal(a->height, b->height);
    assert_same_ref(&a->top, &b->top);
}

/* ROOT, walked, is MODEL. */
static void assert_walk(struct world *world, const struct disk_root *root,
                        const struct model *model)
{
    struct tree_walk *walk = NULL;
    struct error err = {0};

    forget_calls(world);
    ASSERT_OK(tree_walk_new(root, &only_reads, world, &walk, &err), &err);
    for (size_t i = 0;; i++) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref = {0};
        bool end = false;

        ASSERT_OK(tree_walk_next(walk, &block, &count, &ref, &end, &err), &err);
        assert_true(end == (i == model->count));
        if (end)
            break;
        assert_true(block == model->entries[i].block);
        assert_true(count == 1);
        assert_same_ref(&ref, &model->entries[i].ref);
    }
    tree_walk_free(walk);
    assert_true(world->read_count <= model->count * root->height);
}

/* What the path reads for CHANGES is what WORLD's last builder read, in its order. */
static void assert_path_reads_the_same(struct world *world, const struct disk_root *parent,
                                       const struct change *changes, size_t count,
                                       struct random_seeded *random)
{
    static struct call built[CALLS_MAX];
    size_t built_count = world->read_count;
    struct tree_path *path = NULL;
    struct error err = {0};

    memcpy(built, world->reads, sizeof(built));
    forget_calls(world);
    ASSERT_OK(tree_path_new(parent, &only_reads, world, &path, &err), &err);
    for (size_t i = 0; i < count; i++) {
        /* A single hole is either, and touches the same. */
        bool as_holes = changes[i].count > 1 || random_seeded_below(random, 2) == 0;

        ASSERT_OK(tree_path_touch(path, changes[i].block, changes[i].count, as_holes, &err), &err);
    }
    tree_path_free(path);
    assert_int_equal(world->read_count, built_count);
    for (size_t i = 0; i < built_count; i++) {
        assert_int_equal(world->reads[i].level, built[i].level);
        assert_true(world->reads[i].index == built[i].index);
        assert_true(id_equal(&world->reads[i].id, &built[i].id));
    }
}

/* Is the node of the parent to be read? The first change that touches it does not cover it wholly. */
static bool is_read(const struct model *model, const struct call *node,
                    const struct change *changes, size_t count)
{
    uint64_t start = node->index << (BITS * node->level);
    uint64_t end = (node->index + 1) << (BITS * node->level);

    if (end > model->blocks)
        end = model->blocks;
    for (size_t i = 0; i < count; i++) {
        uint64_t change_end = changes[i].block + changes[i].count;

        if (change_end <= start || changes[i].block >= end)
            continue;
        return changes[i].count == 1 || changes[i].block > start || change_end < end;
    }
    return false;
}

/* WORLD's last builder read just these nodes of the parent, MODEL, each once; and gave out no more than the
 * paths of the changes. */
static void assert_read_what_was_needed(struct world *world, const struct model *model,
                                        const struct change *changes, size_t count)
{
    static struct call nodes[CALLS_MAX];
    size_t node_count = 0;
    size_t needed = 0;
    size_t paths = 0;

    (void)model_top(world, model, nodes, &node_count);
    for (size_t i = 0; i < node_count; i++) {
        size_t times = 0;

        for (size_t j = 0; j < world->read_count; j++)
            if (world->reads[j].level == nodes[i].level && world->reads[j].index == nodes[i].index)
                times++;
        assert_int_equal(times, is_read(model, &nodes[i], changes, count) ? 1 : 0);
        needed += times;
    }
    assert_int_equal(world->read_count, needed);
    for (size_t i = 0; i < count; i++)
        paths += changes[i].count == 1 ? 1 : 2;
    assert_true(world->emit_count <= paths * disk_root_height(model->geometry.size, BLOCK));
}

/* --- drawing disks and changes --- */

static uint64_t draw_blocks(struct random_seeded *random)
{
    static const uint64_t chosen[] = {1,     2,          127,        128,           129,
                                      200,   256,        16383,      16384,         16385,
                                      16900, 2097152,    2097153,    268435456,     268435457,
                                      17000, BLOCKS_MAX, BLOCKS_MAX, BLOCKS_MAX - 1};

    if (random_seeded_below(random, 4) == 0)
        return 1 + random_seeded_below(random, UINT64_C(1) << random_seeded_below(random, 35));
    return chosen[random_seeded_below(random, sizeof(chosen) / sizeof(chosen[0]))];
}

/* A block where something may happen: beside one that is there, at a node's edge, at the end, anywhere. */
static uint64_t draw_block(struct random_seeded *random, const struct model *model)
{
    uint64_t block = random_seeded_below(random, model->blocks);
    uint64_t unit = UINT64_C(1) << (BITS * random_seeded_below(random, 6));

    switch (random_seeded_below(random, 5)) {
    case 0:
        if (model->count > 0)
            block = model->entries[random_seeded_below(random, model->count)].block;
        break;
    case 1:
        block -= block % unit;
        break;
    case 2:
        block -= block % unit;
        block += unit - 1;
        break;
    case 3:
        block = model->blocks - 1 - random_seeded_below(random, 3);
        break;
    default:
        break;
    }
    return block < model->blocks ? block : model->blocks - 1;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;

    return (*left > *right) - (*left < *right);
}

/* Up to MOST blocks, ascending, each once. */
static size_t draw_ascending(struct random_seeded *random, const struct model *model, size_t most,
                             uint64_t *blocks)
{
    size_t count = (size_t)random_seeded_below(random, most) + 1;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        blocks[i] = draw_block(random, model);
    qsort(blocks, count, sizeof(*blocks), by_number);
    for (size_t i = 1; i < count; i++)
        if (blocks[i] != blocks[kept])
            blocks[++kept] = blocks[i];
    return kept + 1;
}

static void draw_model(struct random_seeded *random, struct model *model, size_t most)
{
    uint64_t blocks[CHANGES_MAX];
    size_t count = draw_ascending(random, model, most, blocks);

    if (random_seeded_below(random, 16) == 0)
        return; /* all holes */
    for (size_t i = 0; i < count; i++) {
        uint64_t end = i + 1 < count ? blocks[i + 1] : model->blocks;
        uint64_t run = random_seeded_below(random, 8) == 0 ? 300 : 1;

        for (uint64_t block = blocks[i]; block < end && block < blocks[i] + run; block++)
            model_append(model, block, content(1 + random_seeded_below(random, 20)));
    }
}

static size_t draw_changes(struct random_seeded *random, const struct model *model,
                           struct change *changes)
{
    uint64_t blocks[CHANGES_MAX];
    size_t count = draw_ascending(random, model, 12, blocks);
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t block = blocks[i];

        switch (random_seeded_below(random, 5)) {
        case 0: /* up to a later one, or to the end */
            i += (size_t)random_seeded_below(random, count - i);
            changes[made++] = holes(block, (i + 1 < count ? blocks[i + 1] : model->blocks) - block);
            break;
        case 1:
            changes[made++] = put(block, 0);
            break;
        case 2: /* what is there */
            changes[made] = put(block, 0);
            changes[made++].ref = model_get(model, block);
            break;
        default:
            changes[made++] = put(block, 1 + random_seeded_below(random, 20));
            break;
        }
    }
    return made;
}

/* --- the properties --- */

static void one_round(struct random_seeded *random)
{
    struct world *world = world_new();
    struct model model = model_new(draw_blocks(random));
    struct change changes[CHANGES_MAX];

    draw_model(random, &model, 12);

    struct disk_root parent = build_whole(world, &model);
    struct disk_root expected = model_root(world, &model);

    assert_same_root(&parent, &expected);
    assert_walk(world, &parent, &model);
    for (int generation = 0; generation < 3; generation++) {
        size_t count = draw_changes(random, &model, changes);
        struct disk_root root = build(world, &model.geometry, &parent, changes, count);

        assert_read_what_was_needed(world, &model, changes, count);
        assert_path_reads_the_same(world, &parent, changes, count, random);
        model_change(&model, changes, count);
        expected = model_root(world, &model);
        assert_same_root(&root, &expected);
        assert_walk(world, &root, &model);
        /* Another history of the same content. */
        expected = build_whole(world, &model);
        assert_same_root(&root, &expected);
        parent = root;
    }
    model_free(&model);
    world_free(world);
}

static void random_changes_give_the_root_of_what_they_leave(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("tree"));
    int rounds = test_is_long() ? 20000 : 1000;

    (void)state;
    for (int i = 0; i < rounds; i++)
        one_round(&random);
}

/* A builder that is asked for the tree so far after every change: that is the tree of the changes so far, and the last one is
 * no other than without asking. */
static void saved_round(struct random_seeded *random)
{
    struct world *world = world_new();
    struct model model = model_new(draw_blocks(random));
    struct change changes[CHANGES_MAX];
    struct tree_builder *builder = NULL;
    struct disk_root saved = {0};
    struct error err = {0};

    draw_model(random, &model, 12);
    struct disk_root parent = build_whole(world, &model);
    size_t count = draw_changes(random, &model, changes);
    struct disk_root expected = build(world, &model.geometry, &parent, changes, count);

    ASSERT_OK(tree_builder_new(&model.geometry, &parent, &callbacks, world, &builder, &err), &err);
    for (size_t i = 0; i < count; i++) {
        forget_calls(world); /* what was saved is given out again when it changes */
        ASSERT_OK(give(builder, &changes[i], &err), &err);
        model_change(&model, &changes[i], 1);
        forget_calls(world);
        ASSERT_OK(tree_builder_save(builder, &saved, &err), &err);
        struct disk_root so_far = model_root(world, &model);

        assert_int_equal(world->read_count, 0);
        assert_same_root(&saved, &so_far);
        assert_walk(world, &saved, &model);
    }
    forget_calls(world);
    ASSERT_OK(tree_builder_finish(builder, &saved, &err), &err);
    assert_same_root(&saved, &expected);
    tree_builder_free(builder);
    model_free(&model);
    world_free(world);
}

static void a_tree_saved_after_every_change_is_the_tree_so_far(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("saved tree"));
    int rounds = test_is_long() ? 10000 : 500;

    (void)state;
    for (int i = 0; i < rounds; i++)
        saved_round(&random);
}

/* A disk of three levels, every block of it in use. */
static struct model dense_model(void)
{
    struct model model = model_new(FANOUT * FANOUT + 3 * FANOUT + 5);

    for (uint64_t block = 0; block < model.blocks; block++)
        model_append(&model, block, content(1 + block % 1000));
    return model;
}

static void a_full_disk_is_built_changed_and_walked(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("dense tree"));
    struct world *world = world_new();
    struct model model = dense_model();
    struct change changes[CHANGES_MAX];

    (void)state;

    struct disk_root parent = build_whole(world, &model);
    struct disk_root expected = model_root(world, &model);

    assert_int_equal(parent.height, 3);
    assert_int_equal(world->emit_count, 132 + 2 + 1);
    assert_same_root(&parent, &expected);
    assert_walk(world, &parent, &model);
    for (int i = 0; i < 8; i++) {
        size_t count = draw_changes(&random, &model, changes);

        parent = build(world, &model.geometry, &parent, changes, count);
        model_change(&model, changes, count);
        expected = model_root(world, &model);
        assert_same_root(&parent, &expected);
        assert_walk(world, &parent, &model);
    }
    model_free(&model);
    world_free(world);
}

static void the_same_content_again_costs_no_node(void **state)
{
    struct world *world = world_new();
    struct model model = dense_model();
    struct disk_root parent = build_whole(world, &model);
    struct tree_builder *builder = NULL;
    struct disk_root root = {0};
    struct error err = {0};

    (void)state;
    forget_calls(world);
    ASSERT_OK(tree_builder_new(&model.geometry, &parent, &callbacks, world, &builder, &err), &err);
    for (size_t i = 0; i < model.count; i++)
        ASSERT_OK(tree_builder_put(builder, model.entries[i].block, &model.entries[i].ref, &err),
                  &err);
    ASSERT_OK(tree_builder_finish(builder, &root, &err), &err);
    tree_builder_free(builder);
    assert_int_equal(world->emit_count, 0);
    assert_int_equal(world->read_count, 132 + 2 + 1);
    assert_same_root(&root, &parent);
    model_free(&model);
    world_free(world);
}

static void nothing_named_leaves_the_parent_unread(void **state)
{
    struct world *world = world_new();
    struct model model = dense_model();
    struct disk_root parent = build_whole(world, &model);
    struct disk_root root = build(world, &model.geometry, &parent, NULL, 0);

    (void)state;
    assert_same_root(&root, &parent);
    assert_int_equal(world->read_count + world->emit_count, 0);
    model_free(&model);
    world_free(world);
}

static void any_other_id_gives_another_root(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(20000);
    struct random_seeded random = random_seeded_of(test_seed("another root"));

    (void)state;
    for (uint64_t block = 3; block < model.blocks; block += 977)
        model_append(&model, block, content(block));

    struct disk_root root = build_whole(world, &model);

    for (size_t i = 0; i < model.count; i++) {
        uint8_t *byte = &model.entries[i].ref.id.bytes[random_seeded_below(&random, ID_SIZE)];

        *byte ^= 0x10;
        struct disk_root other = build_whole(world, &model);

        assert_false(id_equal(&other.top.id, &root.top.id));
        *byte ^= 0x10;
    }
    model_free(&model);
    world_free(world);
}

static void the_same_blocks_elsewhere_give_another_root(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(20000);
    struct change here = put(5, 1);
    struct change there = put(6, 1);
    struct change above = put(5 + FANOUT, 1);
    struct disk_root root = build(world, &model.geometry, NULL, &here, 1);
    struct disk_root other = build(world, &model.geometry, NULL, &there, 1);

    (void)state;
    assert_false(id_equal(&other.top.id, &root.top.id));
    other = build(world, &model.geometry, NULL, &above, 1);
    assert_false(id_equal(&other.top.id, &root.top.id));
    model_free(&model);
    world_free(world);
}

/* --- sizes at the edges --- */

static void a_disk_of_one_block_has_no_nodes(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(1);
    struct change changes[] = {put(0, 7), holes(0, 1)};
    struct disk_root root = build(world, &model.geometry, NULL, changes, 1);

    (void)state;
    assert_int_equal(root.height, 0);
    assert_same_ref(&root.top, &changes[0].ref);
    model_append(&model, 0, changes[0].ref);
    assert_walk(world, &root, &model);
    root = build(world, &model.geometry, &root, &changes[1], 1);
    assert_true(id_is_hole(&root.top.id));
    assert_int_equal(world->read_count + world->emit_count, 0);
    model_free(&model);
    world_free(world);
}

static void assert_refused(struct world *world, const struct disk_root *geometry,
                           const struct disk_root *parent, const struct change *changes,
                           size_t count)
{
    struct disk_root root = {.size = 1};
    struct error err = {0};

    ASSERT_STATUS(STATUS_INVALID, try_build(world, geometry, parent, changes, count, &root, &err),
                  &err);
    assert_true(err.text[0] != '\0');
    assert_true(root.size == 1);
}

/* Any length of bytes, and no sectors. */
static void a_file_is_built_and_walked_as_a_disk_is(void **state)
{
    static const uint64_t sizes[] = {1,         BLOCK - 1,          BLOCK,
                                     BLOCK + 1, 129 * BLOCK - 4000, FILE_SIZE_MAX};
    struct world *world = world_new();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t blocks = disk_root_blocks(sizes[i], BLOCK);
        struct model model = model_new(blocks);
        struct change last = put(blocks - 1, 5);

        model.geometry.size = sizes[i];
        model.geometry.logical_sector = 0;
        model.geometry.physical_sector = 0;

        struct disk_root root = build(world, &model.geometry, NULL, &last, 1);
        struct error err = {0};

        ASSERT_OK(file_root_check(&root, &err), &err);
        model_append(&model, blocks - 1, last.ref);
        assert_walk(world, &root, &model);
        model_free(&model);
    }
    world_free(world);
}

static void a_file_of_no_bytes_has_a_hole_for_a_top(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(1);
    struct change first = put(0, 7);

    (void)state;
    model.geometry.size = 0;
    model.geometry.logical_sector = 0;
    model.geometry.physical_sector = 0;

    struct disk_root root = build(world, &model.geometry, NULL, NULL, 0);

    assert_true(id_is_hole(&root.top.id) && root.top.number == 0);
    assert_int_equal(root.height, 0);
    assert_walk(world, &root, &model);
    assert_int_equal(world->read_count + world->emit_count, 0);
    assert_refused(world, &model.geometry, NULL, &first, 1); /* it has no block 0 */
    model_free(&model);
    world_free(world);
}

static void holes_over_the_whole_disk_cost_nothing(void **state)
{
    const uint64_t sizes[] = {1, 2, 128, 129, 16385, BLOCKS_MAX};
    struct world *world = world_new();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct model model = model_new(sizes[i]);
        struct change some = put(sizes[i] - 1, 3);
        struct change all = holes(0, sizes[i]);
        struct disk_root parent = build(world, &model.geometry, NULL, &some, 1);
        struct disk_root root = build(world, &model.geometry, &parent, &all, 1);

        assert_true(id_is_hole(&root.top.id));
        assert_true(root.top.number == 0);
        assert_int_equal(world->read_count + world->emit_count, 0);
        assert_walk(world, &root, &model);
        model_free(&model);
    }
    world_free(world);
}

static void holes_over_64_tib_cost_their_two_edges(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(BLOCKS_MAX);
    const struct change before[] = {put(0, 1), put(127, 2), put(BLOCKS_MAX / 3, 3),
                                    put(BLOCKS_MAX - 2, 4), put(BLOCKS_MAX - 1, 5)};
    const struct change middle = holes(1, BLOCKS_MAX - 2);
    struct disk_root parent = build(world, &model.geometry, NULL, before, 5);

    (void)state;
    assert_int_equal(parent.height, 5);

    struct disk_root root = build(world, &model.geometry, &parent, &middle, 1);

    assert_int_equal(world->read_count, 2 * 5 - 1);
    assert_int_equal(world->emit_count, 2 * 5 - 1);
    model_append(&model, 0, content(1));
    model_append(&model, BLOCKS_MAX - 1, content(5));

    struct disk_root expected = model_root(world, &model);

    assert_same_root(&root, &expected);
    assert_walk(world, &root, &model);
    assert_int_equal(world->read_count, 2 * 5 - 1);
    model_free(&model);
    world_free(world);
}

static void a_node_of_holes_is_not_given_out(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(20000);
    const struct change one = put(12345, 1);
    const struct change none = put(12345, 0);
    struct disk_root parent = build(world, &model.geometry, NULL, &one, 1);
    struct disk_root root = build(world, &model.geometry, &parent, &none, 1);

    (void)state;
    assert_true(id_is_hole(&root.top.id));
    assert_int_equal(world->read_count, 3);
    assert_int_equal(world->emit_count, 0);
    model_free(&model);
    world_free(world);
}

/* The last node of this disk stands for one block. */
static void holes_in_a_range_cover_the_node_at_the_end_and_a_single_one_does_not(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(FANOUT + 1);
    const struct change before[] = {put(5, 1), put(TREE_FANOUT - 1, 2), put(TREE_FANOUT, 3)};
    const struct change range = holes(TREE_FANOUT - 1, 2);
    const struct change single = holes(TREE_FANOUT, 1);
    const struct change hole = put(TREE_FANOUT, 0);
    struct disk_root parent = build(world, &model.geometry, NULL, before, 3);

    (void)state;
    (void)build(world, &model.geometry, &parent, &range, 1);
    assert_int_equal(world->read_count, 2); /* the top, and the node before the last */

    struct disk_root by_range = build(world, &model.geometry, &parent, &single, 1);

    assert_int_equal(world->read_count, 2); /* the top, and the last */

    struct disk_root by_put = build(world, &model.geometry, &parent, &hole, 1);

    assert_int_equal(world->read_count, 2);
    assert_same_root(&by_range, &by_put);
    model_free(&model);
    world_free(world);
}

static void numbers_stay_where_the_ids_stay(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(FANOUT * 2);
    const struct change before[] = {put(0, 1), put(1, 2)};
    struct disk_root parent = build(world, &model.geometry, NULL, before, 2);
    struct change again = put(0, 1);
    struct change hole = put(0, 0);

    (void)state;
    again.ref.number ^= 6; /* as where ids alone are known */

    struct disk_root root = build(world, &model.geometry, &parent, &again, 1);

    assert_same_root(&root, &parent);
    hole.ref.number = 9; /* a hole has none */
    root = build(world, &model.geometry, &parent, &hole, 1);
    assert_int_equal(world->emit_count, 2);

    const struct tree_node *node = world->nodes[slot_of(world, &world->emits[0].id)];

    assert_true(node->children[0].number == 0);
    assert_same_ref(&node->children[1], &before[1].ref);
    model_free(&model);
    world_free(world);
}

/* --- what is refused --- */

static void changes_out_of_order_or_off_the_disk_are_refused(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(300);
    const struct change bad[][2] = {
        {put(7, 1), put(7, 2)},
        {put(7, 1), put(6, 2)},
        {holes(5, 10), put(14, 1)},
        {put(7, 1), holes(7, 2)},
        {put(7, 1), put(300, 2)},
        {put(7, 1), holes(299, 2)},
        {put(7, 1), holes(300, 1)},
        {put(7, 1), holes(9, 0)},
        {put(7, 1), holes(9, UINT64_MAX)},
        {put(7, 1), put(UINT64_MAX, 1)},
    };
    struct disk_root parent = build(world, &model.geometry, NULL, bad[0], 1);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tree_path *path = NULL;
        struct error err = {0};

        assert_refused(world, &model.geometry, NULL, bad[i], 2);
        assert_refused(world, &model.geometry, &parent, bad[i], 2);
        ASSERT_OK(tree_path_new(&parent, &only_reads, world, &path, &err), &err);
        ASSERT_OK(tree_path_touch(path, bad[i][0].block, bad[i][0].count, true, &err), &err);
        ASSERT_STATUS(STATUS_INVALID,
                      tree_path_touch(path, bad[i][1].block, bad[i][1].count, true, &err), &err);
        tree_path_free(path);
    }
    model_free(&model);
    world_free(world);
}

static void only_holes_come_in_ranges(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(300);
    struct disk_root parent = build(world, &model.geometry, NULL, NULL, 0);
    struct tree_path *path = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(tree_path_new(&parent, &only_reads, world, &path, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, tree_path_touch(path, 1, 2, false, &err), &err);
    tree_path_free(path);
    model_free(&model);
    world_free(world);
}

static void a_parent_of_another_size_is_refused(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(300);
    struct disk_root parent = build(world, &model.geometry, NULL, NULL, 0);
    struct disk_root other = model.geometry;

    (void)state;
    other.size += BLOCK;
    assert_refused(world, &other, &parent, NULL, 0);
    other = model.geometry;
    other.block_size *= 2;
    assert_refused(world, &other, &parent, NULL, 0);
    model_free(&model);
    world_free(world);
}

static void roots_that_no_disk_has_are_refused(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(300);
    struct disk_root bad = build(world, &model.geometry, NULL, NULL, 0);
    struct tree_path *path = NULL;
    struct tree_walk *walk = NULL;
    struct error err = {0};

    (void)state;
    bad.height++;
    assert_refused(world, &model.geometry, &bad, NULL, 0);
    ASSERT_STATUS(STATUS_INVALID, tree_path_new(&bad, &only_reads, world, &path, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, tree_walk_new(&bad, &only_reads, world, &walk, &err), &err);
    bad = model.geometry;
    bad.size = 0;
    assert_refused(world, &bad, NULL, NULL, 0);
    bad = model.geometry;
    bad.block_size = 0;
    assert_refused(world, &bad, NULL, NULL, 0);
    assert_null(path);
    assert_null(walk);
    model_free(&model);
    world_free(world);
}

/* A node at the disk's end with a child behind it, kept in WORLD; the root over it. */
static struct disk_root root_with_a_child_too_many(struct world *world, const struct model *model)
{
    struct tree_node last = {.level = 1, .index = 1};
    struct tree_node top = {.level = 2};
    struct disk_root root = model->geometry;

    last.children[3] = content(1);
    last.children[4] = content(2); /* the disk ends before it */

    struct id id = keep(world, &last);

    top.children[1] = ref_for(&id);
    id = keep(world, &top);
    root.height = 2;
    root.top = ref_for(&id);
    return root;
}

static void a_child_behind_the_end_of_the_disk_is_refused(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(FANOUT + 4);
    struct disk_root parent = root_with_a_child_too_many(world, &model);
    struct change change = put(FANOUT + 1, 3);
    struct disk_root root = {0};
    struct tree_path *path = NULL;
    struct tree_walk *walk = NULL;
    struct ref ref = {0};
    uint64_t block = 0;
    uint64_t count = 0;
    bool end = false;
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_CORRUPT,
                  try_build(world, &model.geometry, &parent, &change, 1, &root, &err), &err);
    ASSERT_OK(tree_path_new(&parent, &only_reads, world, &path, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, tree_path_touch(path, change.block, 1, false, &err), &err);
    ASSERT_OK(tree_walk_new(&parent, &only_reads, world, &walk, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, tree_walk_next(walk, &block, &count, &ref, &end, &err), &err);
    assert_true(block == TREE_FANOUT && count == 4);
    tree_path_free(path);
    tree_walk_free(walk);
    model_free(&model);
    world_free(world);
}

/* --- what fails --- */

struct attempt {
    struct world *world;
    struct faults *faults;
    struct disk_root parent;
    struct disk_root geometry;
};

static void one_attempt(void *arg, uint64_t n)
{
    struct attempt *attempt = arg;
    const struct change change = put(77, 1);
    struct disk_root root = {.size = 1};
    struct tree_path *path = NULL;
    struct tree_walk *walk = NULL;
    struct error err = {0};

    (void)n;

    enum status st =
        try_build(attempt->world, &attempt->geometry, &attempt->parent, &change, 1, &root, &err);

    if (st == STATUS_OK)
        st = tree_path_new(&attempt->parent, &only_reads, attempt->world, &path, &err);
    if (st == STATUS_OK)
        st = tree_walk_new(&attempt->parent, &only_reads, attempt->world, &walk, &err);
    faults_arm(attempt->faults, 0, 0);
    assert_int_equal(st, faults_fired(attempt->faults) ? STATUS_EXHAUSTED : STATUS_OK);
    tree_path_free(path);
    tree_walk_free(walk);
}

static void want_of_memory_is_said(void **state)
{
    struct attempt attempt = {.world = world_new(), .faults = faults_new()};
    struct model model = model_new(300);
    const struct change some = put(5, 1);
    const struct change change = put(77, 1);

    (void)state;
    attempt.geometry = model.geometry;
    attempt.parent = build(attempt.world, &model.geometry, NULL, &some, 1);
    /* So that the world has its nodes, and allocates none later. */
    (void)build(attempt.world, &model.geometry, &attempt.parent, &change, 1);
    faults_install(attempt.faults);
    assert_int_equal(fail_each(attempt.faults, FAULT_ALLOC, one_attempt, &attempt), 3);
    faults_install(NULL);
    faults_free(attempt.faults);
    model_free(&model);
    world_free(attempt.world);
}

static void a_node_that_cannot_be_read_stops_builder_and_path(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(20000);
    const struct change before[] = {put(3, 1), put(200, 2), put(19000, 3)};
    const struct change change = put(201, 4);
    struct disk_root parent = build(world, &model.geometry, NULL, before, 3);
    struct disk_root root = {.size = 1};
    struct tree_path *path = NULL;
    struct error err = {0};

    (void)state;
    for (uint8_t level = 1; level <= 3; level++) {
        world->broken_level = level;
        world->broken_index = change.block >> (BITS * level);
        ASSERT_STATUS(STATUS_CORRUPT,
                      try_build(world, &model.geometry, &parent, &change, 1, &root, &err), &err);
        assert_true(root.size == 1);
        ASSERT_OK(tree_path_new(&parent, &only_reads, world, &path, &err), &err);
        ASSERT_STATUS(STATUS_CORRUPT, tree_path_touch(path, change.block, 1, false, &err), &err);
        tree_path_free(path);
    }
    model_free(&model);
    world_free(world);
}

static void a_node_that_cannot_be_given_out_stops_the_builder(void **state)
{
    struct world *world = world_new();
    struct model model = model_new(20000);
    const struct change changes[] = {put(3, 1), put(200, 2), put(19000, 3)};
    struct disk_root root = {.size = 1};
    size_t fails = 0;
    struct error err = {0};

    (void)state;
    for (;; fails++) {
        world->emits_left = fails;

        enum status st = try_build(world, &model.geometry, NULL, changes, 3, &root, &err);

        if (st == STATUS_OK)
            break;
        assert_int_equal(st, STATUS_UNAVAILABLE);
        assert_true(root.size == 1);
    }
    assert_int_equal(fails, 3 + 2 + 1);
    model_free(&model);
    world_free(world);
}

/* A walk over ROOT, which is MODEL, while one node cannot be read: it reports what that node stands for,
 * once, and gives out all other blocks. */
static void walk_past_a_broken_node(struct world *world, const struct disk_root *root,
                                    const struct model *model, const struct call *broken)
{
    uint64_t start = broken->index << (BITS * broken->level);
    uint64_t end = (broken->index + 1) << (BITS * broken->level);
    struct tree_walk *walk = NULL;
    struct error err = {0};
    bool ended = false;
    size_t next = 0;
    int failures = 0;

    if (end > model->blocks)
        end = model->blocks;
    world->broken_level = broken->level;
    world->broken_index = broken->index;
    forget_calls(world);
    ASSERT_OK(tree_walk_new(root, &only_reads, world, &walk, &err), &err);
    while (!ended) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref = {0};

        if (tree_walk_next(walk, &block, &count, &ref, &ended, &err) != STATUS_OK) {
            assert_int_equal(err.status, STATUS_CORRUPT);
            assert_true(block == start && count == end - start);
            failures++;
            while (next < model->count && model->entries[next].block < end)
                next++;
        } else if (!ended) {
            assert_true(next < model->count && block == model->entries[next].block);
            assert_true(block < start || block >= end);
            next++;
        }
    }
    assert_int_equal(failures, 1);
    assert_int_equal(next, model->count);
    tree_walk_free(walk);
    world->broken_level = 0;
}

static void a_walk_steps_over_each_node_that_cannot_be_read(void **state)
{
    static struct call nodes[CALLS_MAX];
    struct random_seeded random = random_seeded_of(test_seed("broken walk"));
    struct world *world = world_new();

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct model model = model_new(draw_blocks(&random));
        size_t count = 0;

        draw_model(&random, &model, 12);

        struct disk_root root = model_root(world, &model);

        (void)model_top(world, &model, nodes, &count);
        for (size_t i = 0; i < count; i++)
            walk_past_a_broken_node(world, &root, &model, &nodes[i]);
        model_free(&model);
    }
    world_free(world);
}

/* --- nodes as bytes --- */

static struct tree_node some_node(void)
{
    struct tree_node node = {.level = 2, .index = 9};

    node.children[0] = content(1);
    node.children[77] = content(2);
    node.children[TREE_FANOUT - 1] = content(3);
    return node;
}

static void a_node_survives_its_stored_form(void **state)
{
    struct tree_node node = some_node();
    struct tree_node back = {.level = 2, .index = 9};
    uint8_t stored[NODE_STORED_SIZE];
    struct error err = {0};

    (void)state;
    tree_node_encode_stored(&node, stored);
    assert_memory_equal(stored + 77 * (size_t)40, node.children[77].id.bytes, ID_SIZE);
    ASSERT_OK(tree_node_decode(slice_of(stored, sizeof(stored)), &back, &err), &err);
    assert_memory_equal(&back, &node, sizeof(node));
}

static void the_plain_form_has_no_numbers(void **state)
{
    struct tree_node node = some_node();
    struct tree_node back = {.level = 2, .index = 9};
    uint8_t plain[NODE_PLAIN_SIZE];
    struct error err = {0};

    (void)state;
    tree_node_encode_plain(&node, plain);
    ASSERT_OK(tree_node_decode(slice_of(plain, sizeof(plain)), &back, &err), &err);
    for (size_t i = 0; i < TREE_FANOUT; i++) {
        assert_true(id_equal(&back.children[i].id, &node.children[i].id));
        assert_true(back.children[i].number == 0);
    }
}

static void the_id_of_a_node_covers_level_and_ids_alone(void **state)
{
    struct world *world = world_new();
    struct tree_node node = some_node();
    struct id id = {{0}};
    struct id other = {{0}};
    struct error err = {0};

    (void)state;
    ASSERT_OK(tree_node_id(world->key, &node, &id, &err), &err);
    node.children[0].number++;
    node.index++;
    ASSERT_OK(tree_node_id(world->key, &node, &other, &err), &err);
    assert_true(id_equal(&id, &other));
    node.level++;
    ASSERT_OK(tree_node_id(world->key, &node, &other, &err), &err);
    assert_false(id_equal(&id, &other));
    node.level--;
    for (size_t i = 0; i < TREE_FANOUT; i++) {
        node.children[i].id.bytes[i % ID_SIZE] ^= 1;
        ASSERT_OK(tree_node_id(world->key, &node, &other, &err), &err);
        assert_false(id_equal(&id, &other));
        node.children[i].id.bytes[i % ID_SIZE] ^= 1;
    }
    world_free(world);
}

static void assert_no_node(const uint8_t *bytes, size_t size)
{
    struct tree_node node = {.level = 1, .index = 5};
    struct error err = {0};

    ASSERT_STATUS(STATUS_CORRUPT, tree_node_decode(slice_of(bytes, size), &node, &err), &err);
    assert_true(node.index == 5 && id_is_hole(&node.children[0].id));
}

static void what_is_no_node_is_refused(void **state)
{
    struct tree_node node = some_node();
    uint8_t stored[NODE_STORED_SIZE + 1] = {0};
    uint8_t zeros[NODE_STORED_SIZE] = {0};

    (void)state;
    tree_node_encode_stored(&node, stored);
    for (size_t size = 0; size <= sizeof(stored); size++)
        if (size != NODE_PLAIN_SIZE && size != NODE_STORED_SIZE)
            assert_no_node(stored, size);
    assert_no_node(zeros, NODE_PLAIN_SIZE);
    assert_no_node(zeros, NODE_STORED_SIZE);
    for (size_t i = 1; i < 77; i++) { /* a hole with a number */
        stored[i * 40 + ID_SIZE + i % 8] = 1;
        assert_no_node(stored, NODE_STORED_SIZE);
        stored[i * 40 + ID_SIZE + i % 8] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_give_the_root_of_what_they_leave),
        cmocka_unit_test(a_tree_saved_after_every_change_is_the_tree_so_far),
        cmocka_unit_test(a_full_disk_is_built_changed_and_walked),
        cmocka_unit_test(the_same_content_again_costs_no_node),
        cmocka_unit_test(nothing_named_leaves_the_parent_unread),
        cmocka_unit_test(any_other_id_gives_another_root),
        cmocka_unit_test(the_same_blocks_elsewhere_give_another_root),
        cmocka_unit_test(a_disk_of_one_block_has_no_nodes),
        cmocka_unit_test(a_file_is_built_and_walked_as_a_disk_is),
        cmocka_unit_test(a_file_of_no_bytes_has_a_hole_for_a_top),
        cmocka_unit_test(holes_over_the_whole_disk_cost_nothing),
        cmocka_unit_test(holes_over_64_tib_cost_their_two_edges),
        cmocka_unit_test(a_node_of_holes_is_not_given_out),
        cmocka_unit_test(holes_in_a_range_cover_the_node_at_the_end_and_a_single_one_does_not),
        cmocka_unit_test(numbers_stay_where_the_ids_stay),
        cmocka_unit_test(changes_out_of_order_or_off_the_disk_are_refused),
        cmocka_unit_test(only_holes_come_in_ranges),
        cmocka_unit_test(a_parent_of_another_size_is_refused),
        cmocka_unit_test(roots_that_no_disk_has_are_refused),
        cmocka_unit_test(a_child_behind_the_end_of_the_disk_is_refused),
        cmocka_unit_test(want_of_memory_is_said),
        cmocka_unit_test(a_node_that_cannot_be_read_stops_builder_and_path),
        cmocka_unit_test(a_node_that_cannot_be_given_out_stops_the_builder),
        cmocka_unit_test(a_walk_steps_over_each_node_that_cannot_be_read),
        cmocka_unit_test(a_node_survives_its_stored_form),
        cmocka_unit_test(the_plain_form_has_no_numbers),
        cmocka_unit_test(the_id_of_a_node_covers_level_and_ids_alone),
        cmocka_unit_test(what_is_no_node_is_refused),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
