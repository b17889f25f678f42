/* Disks' trees in a store: which parents they grow from, which nodes of them an upload is sent, and damage in them. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/disk_tree.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { PACK_SIZE = 1024 * 1024, SEED = 33 };

/* A store with a disk of two levels: one top, and the two nodes of level 1 below it. */
struct env {
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct world_point point;
    struct disk_root root; /* of its disk */
    struct buffer touched;
    struct error err;
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    buffer_init(&env->touched, (size_t)8 * NODE_PLAIN_SIZE);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    store_world_init(&env->world, env->fs, PACK_SIZE, SEED);
    env->point = (struct world_point){.task = world_task(1), .disk = world_disk_of(100, 28, 7)};
    ASSERT_OK(store_world_create(&env->world, &env->err), &env->err);
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &env->point, NULL, &env->err), &env->err);
    ASSERT_OK(disk_tree_read_root(env->store, store_default_domain(env->store), &env->point.root,
                                  &env->root, &env->err),
              &env->err);
    assert_int_equal(env->root.height, 2);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    buffer_deinit(&env->touched);
    store_close(env->store);
    store_world_deinit(&env->world);
    fs_free(env->fs);
    memory_free(env);
    return 0;
}

static struct disk_tree *grow(struct env *env)
{
    struct disk_tree *tree = NULL;

    ASSERT_OK(disk_tree_new(env->store, store_default_domain(env->store), &env->root,
                            &env->point.root.id, &tree, &env->err),
              &env->err);
    return tree;
}

/* What a change of COUNT blocks from BLOCK on makes necessary. */
static size_t touch(struct env *env, struct disk_tree *tree, uint64_t block, uint64_t count,
                    bool holes)
{
    buffer_clear(&env->touched);
    ASSERT_OK(disk_tree_touch(tree, block, count, holes, &env->touched, &env->err), &env->err);
    assert_int_equal(env->touched.size % NODE_PLAIN_SIZE, 0);
    return env->touched.size / NODE_PLAIN_SIZE;
}

/* The touched node number INDEX is the plain form of the one with ID at LEVEL: *RET_NODE. */
static void assert_touched(struct env *env, size_t index, uint8_t level, const struct id *id,
                           struct tree_node *ret_node)
{
    struct id found;

    ret_node->level = level;
    ASSERT_OK(tree_node_decode(slice_of(env->touched.data + index * NODE_PLAIN_SIZE,
                                        NODE_PLAIN_SIZE),
                               ret_node, &env->err),
              &env->err);
    ASSERT_OK(tree_node_id(store_default_domain(env->store)->id_key, ret_node, &found, &env->err),
              &env->err);
    assert_true(id_equal(&found, id));
}

/* The node of level 1 over BLOCK. */
static struct ref leaf_of(struct env *env, uint64_t block)
{
    struct tree_node top = {.level = 2};
    struct buffer stored;

    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(store_read(env->store, store_default_domain(env->store), KIND_NODE + 2,
                         &env->root.top, &stored, &env->err),
              &env->err);
    ASSERT_OK(tree_node_decode(buffer_slice(&stored), &top, &env->err), &env->err);
    buffer_deinit(&stored);
    return top.children[block / TREE_FANOUT];
}

/* --- parents ----------------------------------------------------------------------------------- */

static void a_parent_that_is_not_here_is_not_found(void **state)
{
    struct env *env = *state;
    struct id nobody = {{0xee}};
    struct disk_tree *tree = NULL;

    ASSERT_STATUS(STATUS_NOT_FOUND,
                  disk_tree_new(env->store, store_default_domain(env->store), &env->root, &nobody,
                                &tree, &env->err),
                  &env->err);
    assert_null(tree);
    assert_non_null(strstr(env->err.text, "the parent's root is not here"));
}

/* An id of another thing that is here. */
static void a_parent_that_is_no_root_is_refused(void **state)
{
    struct env *env = *state;
    struct disk_tree *tree = NULL;

    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_tree_new(env->store, store_default_domain(env->store), &env->root,
                                &env->root.top.id, &tree, &env->err),
                  &env->err);
    assert_null(tree);
}

static void a_parent_of_another_geometry_is_refused(void **state)
{
    struct env *env = *state;
    struct disk_root others[4];

    for (size_t i = 0; i < 4; i++)
        others[i] = env->root;
    others[0].size += env->root.block_size;
    others[1].block_size *= 2;
    others[2].logical_sector = 4096;
    others[3].physical_sector = 512;
    for (size_t i = 0; i < 4; i++) {
        struct disk_tree *tree = NULL;

        ASSERT_STATUS(STATUS_PRECONDITION,
                      disk_tree_new(env->store, store_default_domain(env->store), &others[i],
                                    &env->point.root.id, &tree, &env->err),
                      &env->err);
        assert_null(tree);
        assert_non_null(strstr(env->err.text, "the parent is a disk of 819200 bytes"));
    }
}

static void a_tree_knows_its_parent(void **state)
{
    struct env *env = *state;
    struct disk_tree *tree = grow(env);
    struct disk_tree *first = NULL;

    assert_non_null(disk_tree_parent(tree));
    assert_true(id_equal(&disk_tree_parent(tree)->top.id, &env->root.top.id));
    disk_tree_free(tree);
    ASSERT_OK(disk_tree_new(env->store, store_default_domain(env->store), &env->root, NULL, &first,
                            &env->err),
              &env->err);
    assert_null(disk_tree_parent(first));
    assert_int_equal(touch(env, first, 0, 1, false), 0);
    disk_tree_free(first);
}

/* --- touching ---------------------------------------------------------------------------------- */

static void a_change_touches_the_path_above_it_once(void **state)
{
    struct env *env = *state;
    struct disk_tree *tree = grow(env);
    struct tree_node top;
    struct tree_node node;

    assert_int_equal(touch(env, tree, 5, 1, false), 2);
    assert_touched(env, 0, 2, &env->root.top.id, &top);
    assert_touched(env, 1, 1, &top.children[0].id, &node);
    assert_int_equal(touch(env, tree, 6, 1, false), 0);
    assert_int_equal(touch(env, tree, 130, 1, false), 1);
    assert_touched(env, 0, 1, &top.children[1].id, &node);
    disk_tree_free(tree);
}

static void holes_over_a_whole_node_do_not_touch_it(void **state)
{
    struct env *env = *state;
    struct disk_tree *tree = grow(env);

    assert_int_equal(touch(env, tree, 0, TREE_FANOUT, true), 1); /* the top alone */
    disk_tree_free(tree);
}

/* What was touched is what the tree reads: its result is the same as without. */
static void touching_changes_nothing_in_what_is_built(void **state)
{
    struct env *env = *state;
    struct disk_root roots[2];

    for (unsigned i = 0; i < 2; i++) {
        struct disk_tree *tree = grow(env);
        struct ref ref;

        if (i == 1)
            assert_int_equal(touch(env, tree, 0, 20, true), 2);
        ASSERT_OK(disk_tree_put_holes(tree, 0, 20, &env->err), &env->err);
        ASSERT_OK(disk_tree_finish(tree, &roots[i], &ref, &env->err), &env->err);
        disk_tree_free(tree);
    }
    assert_true(id_equal(&roots[0].top.id, &roots[1].top.id));
    assert_false(id_equal(&roots[0].top.id, &env->root.top.id));
}

/* --- damage ------------------------------------------------------------------------------------ */

/* Where the record with NUMBER lies; the name of its pack into PACK. */
static struct place place_of(struct env *env, uint64_t number, char pack[RANDOM_ID_TEXT_SIZE])
{
    struct index *index = env->world.index;
    struct place place = {.offset = 0};

    ASSERT_OK(index->ops->find_places(index, &number, 1, &place, &env->err), &env->err);
    assert_true(place.length > 0);
    random_id_text(&place.pack, pack);
    return place;
}

static void damage(struct env *env, const char *pack, const struct place *place)
{
    char path[FS_PATH_SIZE];
    struct fs_file *file = NULL;
    uint8_t byte = 0;

    assert_true(text_format(path, sizeof(path), "packs/%s.meta", pack));
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_exactly_at(file, place->offset + 200, &byte, 1, &env->err), &env->err);
    byte ^= 1;
    ASSERT_OK(fs_write_at(file, place->offset + 200, slice_of(&byte, 1), &env->err), &env->err);
    fs_close(file);
}

/* Pack and offset are in ERR's sentence. */
static void assert_named(struct env *env, const char *pack, const struct place *place)
{
    char offset[40];

    assert_non_null(strstr(env->err.text, pack));
    assert_true(text_format(offset, sizeof(offset), " at %" PRIu64 ": ", place->offset));
    assert_non_null(strstr(env->err.text, offset));
}

static void a_damaged_node_of_the_parent_is_named_by_pack_and_offset(void **state)
{
    struct env *env = *state;
    char pack[RANDOM_ID_TEXT_SIZE];
    struct place place = place_of(env, leaf_of(env, 0).number, pack);
    struct disk_tree *tree = grow(env);
    struct ref ref = leaf_of(env, 150); /* any that is here */

    damage(env, pack, &place);
    buffer_clear(&env->touched);
    ASSERT_STATUS(STATUS_CORRUPT, disk_tree_touch(tree, 5, 1, false, &env->touched, &env->err),
                  &env->err);
    assert_named(env, pack, &place);
    ASSERT_STATUS(STATUS_CORRUPT, disk_tree_put(tree, 5, &ref, &env->err), &env->err);
    assert_named(env, pack, &place);
    disk_tree_free(tree);
    tree = grow(env); /* the other one is sound */
    buffer_clear(&env->touched);
    ASSERT_OK(disk_tree_touch(tree, 150, 1, false, &env->touched, &env->err), &env->err);
    disk_tree_free(tree);
}

static void a_walk_steps_over_a_damaged_node_and_names_it(void **state)
{
    struct env *env = *state;
    char pack[RANDOM_ID_TEXT_SIZE];
    struct place place = place_of(env, leaf_of(env, 0).number, pack);
    struct disk_walk *walk = NULL;
    struct ref ref;
    uint64_t block = 0;
    uint64_t count = 0;
    bool end = false;

    damage(env, pack, &place);
    ASSERT_OK(disk_walk_new(env->store, store_default_domain(env->store), &env->root, &walk,
                            &env->err),
              &env->err);
    ASSERT_STATUS(STATUS_CORRUPT, disk_walk_next(walk, &block, &count, &ref, &end, &env->err),
                  &env->err);
    assert_named(env, pack, &place);
    assert_int_equal(block, 0);
    assert_int_equal(count, TREE_FANOUT);
    ASSERT_OK(disk_walk_next(walk, &block, &count, &ref, &end, &env->err), &env->err);
    assert_false(end);
    assert_true(block >= TREE_FANOUT);
    disk_walk_free(walk);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_parent_that_is_not_here_is_not_found),
        TEST(a_parent_that_is_no_root_is_refused),
        TEST(a_parent_of_another_geometry_is_refused),
        TEST(a_tree_knows_its_parent),
        TEST(a_change_touches_the_path_above_it_once),
        TEST(holes_over_a_whole_node_do_not_touch_it),
        TEST(touching_changes_nothing_in_what_is_built),
        TEST(a_damaged_node_of_the_parent_is_named_by_pack_and_offset),
        TEST(a_walk_steps_over_a_damaged_node_and_names_it),
    };

    return cmocka_run_group_tests_name("store_disk_tree", tests, NULL, NULL);
}
