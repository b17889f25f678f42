/* Tasks, partial trees and files: an upload that was cut off goes on from its last partial tree, and several go on at once
 * over one store. */
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/store.h"
#include "tests/store_env.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

static struct store_partial partial_of(struct store_env *env, unsigned task, uint8_t disk,
                                       uint64_t blocks, const struct ref *root)
{
    struct store_partial partial = {
        .task = world_task(task),
        .disk = {disk},
        .domain = store_default_domain(env->store)->id,
        .blocks = blocks,
        .root = *root,
    };

    return partial;
}

static struct disk_tree *new_tree(struct store_env *env, const struct id *parent)
{
    struct disk_tree *tree = NULL;

    ASSERT_OK(world_tree_new(env->store, store_default_domain(env->store), parent, &tree,
                             &env->err),
              &env->err);
    return tree;
}

static void put(struct store_env *env, struct disk_tree *tree, const struct world_disk *disk,
                unsigned from, unsigned to)
{
    ASSERT_OK(world_put_blocks(env->store, store_default_domain(env->store), tree, disk, NULL,
                               (struct world_part){from, to}, &env->err),
              &env->err);
}

static struct ref save(struct store_env *env, struct disk_tree *tree, unsigned task,
                       uint64_t blocks)
{
    struct ref root;

    ASSERT_OK(disk_tree_save(tree, &root, &env->err), &env->err);
    const struct store_partial partial = partial_of(env, task, 1, blocks, &root);

    ASSERT_OK(store_save_partial(env->store, &partial, &env->err), &env->err);
    return root;
}

/* The only one. */
static struct store_partial the_partial(struct store_env *env)
{
    size_t count = 0;
    const struct store_partial *partials = store_partials(env->store, &count);

    assert_int_equal(count, 1);
    return partials[0];
}

static void lose_index(struct store_env *env)
{
    store_world_set_index(&env->world, index_memory_new());
}

/* As a killed process does. */
static void crash(struct store_env *env)
{
    faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
    store_close(env->store);
    env->store = NULL;
    faults_arm(env->faults, 0, 0);
    (void)store_world_lines(&env->world);
}

static void finish(struct store_env *env, struct disk_tree *tree, struct world_point *point)
{
    struct store_point shown;
    struct disk_root root;

    ASSERT_OK(disk_tree_finish(tree, &root, &point->root, &env->err), &env->err);
    disk_tree_free(tree);
    ASSERT_OK(world_put_envelope(env->store, point, &env->err), &env->err);
    ASSERT_OK(store_commit(env->store, store_default_domain(env->store), &point->task,
                           &point->envelope, &shown, &env->err),
              &env->err);
}

/* --- partial trees ----------------------------------------------------------------------------- */

static void an_upload_goes_on_from_its_partial_tree_after_a_crash(void **state)
{
    struct store_env *env = *state;
    struct world_point point = {.task = world_task(2), .disk = world_disk_of(1000, 200, 1)};
    struct world_point whole = {.task = world_task(3), .disk = point.disk};
    struct world_disk half = point.disk;
    struct disk_tree *tree = new_tree(env, NULL);

    memset(half.blocks + 150, 0, sizeof(half.blocks) - 150 * sizeof(half.blocks[0]));
    put(env, tree, &point.disk, 0, 77);
    (void)save(env, tree, 2, 77); /* the next one takes its place */
    put(env, tree, &point.disk, 77, 150);
    (void)save(env, tree, 2, 150);
    put(env, tree, &point.disk, 150, 170); /* and this is lost */
    disk_tree_free(tree);
    crash(env);
    for (int i = 0; i < 2; i++) { /* the second time without the index */
        store_env_open(env);
        struct store_partial partial = the_partial(env);

        assert_true(partial.blocks == 150);
        assert_true(random_id_equal(&partial.task, &point.task));
        ASSERT_OK(world_disk_check(env->store, store_default_domain(env->store), &partial.root,
                                   &half, &env->err),
                  &env->err);
        if (i == 0) {
            crash(env);
            lose_index(env);
        }
    }
    struct store_partial partial = the_partial(env);

    tree = new_tree(env, &partial.root.id);
    put(env, tree, &point.disk, 150, WORLD_BLOCKS);
    finish(env, tree, &point);
    size_t count = 1;

    (void)store_partials(env->store, &count); /* for their number only */
    assert_int_equal(count, 0);
    ASSERT_OK(world_point_check(env->store, &point, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &whole, NULL, &env->err), &env->err);
    assert_true(id_equal(&whole.root.id, &point.root.id));
    store_env_reopen(env);
    (void)store_partials(env->store, &count);
    assert_int_equal(count, 0);
    ASSERT_OK(world_point_check(env->store, &point, &env->err), &env->err);
}

static void saving_a_tree_changes_nothing_of_it(void **state)
{
    struct store_env *env = *state;
    struct world_point point = {.task = world_task(2), .disk = world_disk_of(1000, 60, 3)};
    struct world_point plain = {.task = world_task(3), .disk = point.disk};
    struct disk_tree *tree = new_tree(env, NULL);

    for (unsigned i = 0; i < WORLD_BLOCKS; i++) {
        struct world_disk so_far = point.disk;
        struct ref root;

        put(env, tree, &point.disk, i, i + 1);
        memset(so_far.blocks + i + 1, 0, (WORLD_BLOCKS - i - 1) * sizeof(so_far.blocks[0]));
        ASSERT_OK(disk_tree_save(tree, &root, &env->err), &env->err);
        ASSERT_OK(world_disk_check(env->store, store_default_domain(env->store), &root, &so_far,
                                   &env->err),
                  &env->err);
    }
    finish(env, tree, &point);
    ASSERT_OK(world_point_commit(env->store, &plain, NULL, &env->err), &env->err);
    assert_true(id_equal(&plain.root.id, &point.root.id));
}

static void a_partial_tree_is_saved_whole_or_not_at_all(void **state)
{
    struct store_env *env = *state;
    struct world_point point = {.task = world_task(2), .disk = world_disk_of(1000, 9, 3)};
    struct disk_tree *tree = new_tree(env, NULL);
    const struct ref nobody = {.id = {{1}}, .number = 7};
    struct store_partial partial = partial_of(env, 2, 1, 9, &nobody);
    struct ref first;
    size_t count = 1;

    ASSERT_STATUS(STATUS_ABORTED, store_save_partial(env->store, &partial, &env->err), &env->err);
    partial.domain = (struct random_id){{1}};
    ASSERT_STATUS(STATUS_INVALID, store_save_partial(env->store, &partial, &env->err), &env->err);
    put(env, tree, &point.disk, 0, 10);
    first = save(env, tree, 2, 10);
    put(env, tree, &point.disk, 10, 20);
    ASSERT_OK(disk_tree_save(tree, &partial.root, &env->err), &env->err);
    partial = partial_of(env, 2, 1, 20, &partial.root);
    faults_arm_point(env->faults, "fs.sync", 3, FAULT_FAIL); /* data, meta, log */
    assert_int_not_equal(store_save_partial(env->store, &partial, &env->err), STATUS_OK);
    assert_true(faults_fired(env->faults));
    faults_arm(env->faults, 0, 0);
    const struct store_partial there = the_partial(env);

    assert_true(id_equal(&there.root.id, &first.id));
    ASSERT_OK(store_save_partial(env->store, &partial, &env->err), &env->err);
    assert_true(the_partial(env).blocks == 20);
    disk_tree_free(tree);
    partial.task = env->first.task;
    ASSERT_STATUS(STATUS_PRECONDITION, store_save_partial(env->store, &partial, &env->err),
                  &env->err);
    ASSERT_OK(store_drop_partials(env->store, &point.task, &env->err), &env->err);
    (void)store_partials(env->store, &count); /* for their number only */
    assert_int_equal(count, 0);
    uint64_t sequence = store_head(env->store).sequence;

    ASSERT_OK(store_drop_partials(env->store, &point.task, &env->err), &env->err);
    assert_true(store_head(env->store).sequence == sequence);
    store_env_reopen(env);
    (void)store_partials(env->store, &count);
    assert_int_equal(count, 0);
}

/* --- several at once --------------------------------------------------------------------------- */

enum { SESSIONS = 4 };

/* Trees grow in turns; packs are sealed on the way, with records of all of them; one is committed while the others go on; then
 * the power goes for all that no commit has named. */
static void uploads_that_run_at_once_share_packs_and_lose_nothing(void **state)
{
    struct store_env *env = *state;
    struct disk_tree *trees[SESSIONS];
    struct world_point points[SESSIONS];

    env->world.options.pack_size = 9000;
    store_env_reopen(env);
    for (unsigned i = 0; i < SESSIONS; i++) {
        points[i] = (struct world_point){.task = world_task(10 + i),
                                         .disk = world_disk_of((uint16_t)(2000 + 50 * i), 100, 2)};
        trees[i] = new_tree(env, NULL);
    }
    for (unsigned block = 0; block < WORLD_BLOCKS; block += 10) {
        for (unsigned i = 0; i < SESSIONS; i++)
            put(env, trees[i], &points[i].disk, block, block + 10);
        if (block == 90)
            ASSERT_OK(store_sync(env->store, &env->err), &env->err);
    }
    for (unsigned i = 0; i < SESSIONS - 1; i++)
        finish(env, trees[i], &points[i]);
    (void)save(env, trees[SESSIONS - 1], 10 + SESSIONS - 1, WORLD_BLOCKS);
    disk_tree_free(trees[SESSIONS - 1]);
    crash(env);
    lose_index(env);
    store_env_open(env);
    for (unsigned i = 0; i < SESSIONS - 1; i++)
        ASSERT_OK(world_point_check(env->store, &points[i], &env->err), &env->err);
    struct store_partial partial = the_partial(env);

    ASSERT_OK(world_disk_check(env->store, store_default_domain(env->store), &partial.root,
                               &points[SESSIONS - 1].disk, &env->err),
              &env->err);
}

static void a_failed_sync_stops_every_upload_that_runs(void **state)
{
    struct store_env *env = *state;
    struct world_disk disk = world_disk_of(3000, 20, 2);
    struct disk_tree *one = new_tree(env, NULL);
    struct disk_tree *other = new_tree(env, NULL);
    struct ref root;

    put(env, one, &disk, 0, 10);
    put(env, other, &disk, 0, 20);
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(env->store, &env->err), &env->err);
    faults_arm(env->faults, 0, 0);
    ASSERT_STATUS(STATUS_ABORTED, disk_tree_save(one, &root, &env->err), &env->err);
    ASSERT_STATUS(STATUS_ABORTED, disk_tree_save(other, &root, &env->err), &env->err);
    disk_tree_free(one);
    disk_tree_free(other);
}

/* --- files ------------------------------------------------------------------------------------- */

static void a_point_of_a_disk_and_a_file_reads_back(void **state)
{
    struct store_env *env = *state;
    struct world_point point = {.task = world_task(2),
                                .disk = world_disk_of(700, 5, 9),
                                .file = 900};
    struct disk_root root;

    ASSERT_OK(world_point_commit(env->store, &point, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &point, &env->err), &env->err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_tree_read_root(env->store, store_default_domain(env->store),
                                      &point.file_root, &root, &env->err),
                  &env->err);
    crash(env);
    lose_index(env);
    store_env_open(env);
    ASSERT_OK(world_point_check(env->store, &point, &env->err), &env->err);
}

/* --- tasks ------------------------------------------------------------------------------------- */

static enum status count_task(void *arg, const struct log_task *task, struct error *err)
{
    struct log_task *seen = arg;

    (void)err; /* cannot fail */
    assert_true(slice_equal(task->detail, slice_of_text("detail")));
    *seen = *task;
    seen->detail = (struct slice){0};
    return STATUS_OK;
}

static struct log_task task_seen(struct store_env *env)
{
    struct log_task seen = {.epoch = 0};

    ASSERT_OK(store_each_task(env->store, count_task, &seen, &env->err), &env->err);
    return seen;
}

static void a_task_is_kept_until_it_has_ended_and_its_epoch_only_grows(void **state)
{
    struct store_env *env = *state;
    struct log_task task = {.task = world_task(5),
                            .vm = {{'v'}},
                            .epoch = 3,
                            .state = LOG_TASK_INTENDED,
                            .detail = slice_of_text("detail")};

    ASSERT_OK(store_note_task(env->store, &task, &env->err), &env->err);
    task.epoch = 2;
    ASSERT_STATUS(STATUS_ABORTED, store_note_task(env->store, &task, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "is in epoch 3 by now"));
    task.epoch = 4;
    task.state = LOG_TASK_FROZEN;
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    assert_int_not_equal(store_note_task(env->store, &task, &env->err), STATUS_OK);
    faults_arm(env->faults, 0, 0);
    assert_int_equal(task_seen(env).epoch, 3);
    ASSERT_OK(store_note_task(env->store, &task, &env->err), &env->err);
    store_env_reopen(env);
    assert_int_equal(task_seen(env).epoch, 4);
    assert_int_equal(task_seen(env).state, LOG_TASK_FROZEN);
    task.state = LOG_TASK_ENDED;
    ASSERT_OK(store_note_task(env->store, &task, &env->err), &env->err);
    assert_int_equal(task_seen(env).epoch, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_env_set_up, store_env_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_upload_goes_on_from_its_partial_tree_after_a_crash),
        TEST(saving_a_tree_changes_nothing_of_it),
        TEST(a_partial_tree_is_saved_whole_or_not_at_all),
        TEST(uploads_that_run_at_once_share_packs_and_lose_nothing),
        TEST(a_failed_sync_stops_every_upload_that_runs),
        TEST(a_point_of_a_disk_and_a_file_reads_back),
        TEST(a_task_is_kept_until_it_has_ended_and_its_epoch_only_grows),
    };

    return cmocka_run_group_tests_name("store_partial", tests, NULL, NULL);
}
