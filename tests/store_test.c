/* The store over files in memory: what is committed reads back, what fails changes nothing, what is damaged is named. */
#include "coordinator/store/store.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/pack_file.h"
#include "tests/store_world.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { PACK_SIZE = 64 * 1024, SEED = 5 };

struct env {
    struct faults *faults;
    struct fs *fs;
    struct store_world world;
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(fs_memory_new(&env->fs, &err), &err);
    store_world_init(&env->world, env->fs, PACK_SIZE, SEED);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    store_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}

static struct store *open_store(struct env *env)
{
    struct store *store = NULL;
    struct error err = {0};

    ASSERT_OK(store_world_open(&env->world, &store, &err), &err);
    return store;
}

static struct store *new_store(struct env *env)
{
    struct error err = {0};

    ASSERT_OK(store_world_create(&env->world, &err), &err);
    return open_store(env);
}

/* The world's index is lost. */
static void lose_index(struct env *env)
{
    store_world_set_index(&env->world, index_memory_new());
}

static void a_committed_point_reads_back(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point first = {.task = world_task(1), .disk = world_disk_of(100, 20, 7)};
    struct world_point second = {.task = world_task(2), .disk = first.disk};
    struct error err = {0};

    second.disk.blocks[0] = 0;
    second.disk.blocks[199] = 500;
    ASSERT_OK(world_point_commit(store, &first, NULL, &err), &err);
    ASSERT_OK(world_point_commit(store, &second, &first, &err), &err);
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    ASSERT_OK(world_point_check(store, &second, &err), &err);
    store_close(store);
    store = open_store(env);
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    ASSERT_OK(world_point_check(store, &second, &err), &err);
    store_close(store);
    lose_index(env);
    store = open_store(env);
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    ASSERT_OK(world_point_check(store, &second, &err), &err);
    store_close(store);
    assert_string_equal(store_world_lines(&env->world), "");
}

/* --- committing -------------------------------------------------------------------------------- */

static void the_same_task_again_writes_nothing(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 3, 1)};
    struct store_point first = {0};
    struct store_point again = {0};
    struct error err = {0};

    ASSERT_OK(world_point_upload(store, &point, NULL, &err), &err);
    ASSERT_OK(store_commit(store, store_default_domain(store), &point.task, &point.envelope, &first,
                           &err),
              &err);
    struct store_head head = store_head(store);

    ASSERT_OK(store_commit(store, store_default_domain(store), &point.task, &point.envelope, &again,
                           &err),
              &err);
    assert_int_equal(first.sequence, again.sequence);
    assert_int_equal(head.sequence, first.sequence);
    assert_int_equal(store_head(store).sequence, head.sequence);
    store_close(store);
}

static void equal_content_is_stored_once(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point first = {.task = world_task(1), .disk = world_disk_of(100, 20, 7)};
    struct world_point second = {.task = world_task(2), .disk = first.disk};
    struct error err = {0};

    ASSERT_OK(world_point_commit(store, &first, NULL, &err), &err);
    uint64_t before = store_appended(store);

    ASSERT_OK(world_point_commit(store, &second, NULL, &err), &err);
    assert_true(store_appended(store) - before < 1000); /* body and envelope */
    assert_int_equal(first.root.number, second.root.number);
    store_close(store);
}

static void records_of_strangers_are_refused(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct record_header what = {.kind = KIND_BLOCK, .plain_length = 3, .id = {{1}}};
    struct buffer record;
    uint64_t number = 0;
    struct error err = {0};

    buffer_init(&record, RECORD_SIZE_MAX);
    ASSERT_OK(store_reserve(store, 1, &what.number, &err), &err);
    ASSERT_OK(record_seal(store_keys(store), &env->world.random.source, &what, slice_of_text("abc"),
                          &record, &err),
              &err);
    ASSERT_STATUS(STATUS_INVALID, store_append(store, buffer_slice(&record), &number, &err), &err);
    assert_non_null(strstr(err.text, "of a deduplication domain that this repository has not"));
    buffer_clear(&record);
    what.domain = store_repository(store)->domain;
    what.number++;
    ASSERT_OK(record_seal(store_keys(store), &env->world.random.source, &what, slice_of_text("abc"),
                          &record, &err),
              &err);
    ASSERT_STATUS(STATUS_INVALID, store_append(store, buffer_slice(&record), &number, &err), &err);
    assert_non_null(strstr(err.text, "was not reserved here"));
    buffer_deinit(&record);
    store_close(store);
}

static void numbers_run_on_and_are_never_given_twice(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    uint64_t first = 0;
    uint64_t second = 0;
    uint64_t after = 0;
    struct error err = {0};

    ASSERT_OK(store_reserve(store, 50, &first, &err), &err);
    assert_int_equal(number_sequence(first), 1);
    ASSERT_OK(store_reserve(store, 200, &second, &err), &err); /* over the ends of ranges */
    assert_int_equal(second, first + 50);
    store_close(store);
    store = open_store(env);
    ASSERT_OK(store_reserve(store, 1, &after, &err), &err);
    assert_true(after >= second + 200);
    ASSERT_STATUS(STATUS_INVALID, store_reserve(store, 0, &after, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, store_reserve(store, 4097, &after, &err), &err);
    store_close(store);
}

static void track(struct store *store, const struct random_id *vm, const char *text)
{
    const uint8_t signature[SIGN_SIZE] = {0};
    const struct signed_slice tracking = {.body = slice_of_text(text),
                                          .signature = slice_of(signature, sizeof(signature)),
                                          .certificate = slice_of_text("certificate")};
    struct error err = {0};

    ASSERT_OK(store_track(store, vm, &tracking, &err), &err);
}

static void assert_tracked(struct store *store, const struct random_id *vm, const char *text)
{
    struct signed_slice tracking = {.body = {0}};
    struct slice kept = {0};
    struct error err = {0};

    ASSERT_OK(store_tracking(store, vm, &kept, &err), &err);
    struct cursor cursor = cursor_of(kept);

    ASSERT_OK(signed_decode(&cursor, &tracking, &err), &err);
    assert_true(slice_equal(tracking.body, slice_of_text(text)));
}

static void a_tracking_record_replaces_the_one_before(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    const struct random_id vm = {{'v', 'm'}};
    struct slice kept = {0};
    struct error err = {0};

    ASSERT_STATUS(STATUS_NOT_FOUND, store_tracking(store, &vm, &kept, &err), &err);
    track(store, &vm, "first");
    assert_tracked(store, &vm, "first");
    track(store, &vm, "second");
    assert_tracked(store, &vm, "second");
    store_close(store);
    store = open_store(env);
    assert_tracked(store, &vm, "second");
    store_close(store);
}

/* Of each VM the newest one, also after a crash, and whatever becomes of the index. */
static void tracking_records_survive_a_crash_and_the_loss_of_the_index(void **state)
{
    const struct random_id first = {{'v', '1'}};
    const struct random_id second = {{'v', '2'}};
    struct env *env = *state;
    struct store *store = new_store(env);

    track(store, &first, "old");
    track(store, &second, "of the second");
    track(store, &first, "new");
    for (unsigned run = 0; run < 2; run++) {
        faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
        store_close(store); /* as a killed process */
        faults_arm(env->faults, 0, 0);
        lose_index(env);
        store = open_store(env);
        assert_tracked(store, &first, "new");
        assert_tracked(store, &second, "of the second");
    }
    store_close(store);
}

/* --- failures ---------------------------------------------------------------------------------- */

static void a_full_disk_changes_nothing_and_goes_on_when_there_is_room(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 30, 3)};
    struct error err = {0};
    uint64_t generation = store_generation(store);

    fs_memory_set_space(env->fs, UINT64_C(24) * 1024);
    ASSERT_STATUS(STATUS_EXHAUSTED, world_point_commit(store, &point, NULL, &err), &err);
    fs_memory_set_space(env->fs, UINT64_MAX);
    assert_int_equal(store_generation(store), generation);
    ASSERT_OK(world_point_commit(store, &point, NULL, &err), &err);
    ASSERT_OK(world_point_check(store, &point, &err), &err);
    store_close(store);
    lose_index(env);
    store = open_store(env);
    ASSERT_OK(world_point_check(store, &point, &err), &err);
    store_close(store);
}

static size_t unsealed_count(struct env *env)
{
    struct fs_names names = {0};
    struct error err = {0};
    size_t count = 0;

    ASSERT_OK(fs_list(env->fs, PACK_DIR, &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];
        struct fs_file *file = NULL;
        struct pack_footer footer;
        uint64_t size = 0;

        assert_true(text_format(path, sizeof(path), PACK_DIR "/%s", names.names[i]));
        ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &err), &err);
        ASSERT_OK(fs_size(file, &size, &err), &err);
        count += pack_file_footer(file, size, &footer, &err) == STATUS_OK ? 0 : 1;
        fs_close(file);
    }
    fs_names_deinit(&names);
    return count;
}

/* Packs that a crash has left open are closed at the next start: what is in them is never read through twice. */
static void a_pack_that_was_left_open_is_sealed_by_the_next_start(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 3, 1)};
    struct error err = {0};

    ASSERT_OK(world_point_commit(store, &point, NULL, &err), &err);
    /* The seal, as if there had been no time for it. */
    faults_arm_point(env->faults, "fs.write", 1, FAULT_FAIL);
    store_close(store);
    faults_arm(env->faults, 0, 0);
    assert_true(unsealed_count(env) > 0);
    lose_index(env);
    store = open_store(env);
    assert_int_equal(unsealed_count(env), 0);
    ASSERT_OK(world_point_check(store, &point, &err), &err);
    store_close(store);
}

/* What a short write has left behind the last record does not hide the footer. */
static void a_short_write_leaves_a_pack_that_is_sealed_all_the_same(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 3, 1)};
    uint8_t noise[20000];
    struct random_seeded random = random_seeded_of(1);
    struct slice bytes = slice_of(noise, sizeof(noise));
    struct ref ref;
    struct error err = {0};

    ASSERT_OK(random_bytes(&random.source, noise, sizeof(noise), &err), &err);
    ASSERT_OK(world_point_commit(store, &point, NULL, &err), &err);
    faults_arm_point(env->faults, "fs.write", 1, FAULT_SHORT);
    ASSERT_STATUS(STATUS_EXHAUSTED,
                  store_put(store, store_default_domain(store), KIND_BLOCK, bytes, bytes, &ref,
                            &err),
                  &err);
    faults_arm(env->faults, 0, 0);
    store_close(store);
    assert_int_equal(unsealed_count(env), 0);
    lose_index(env);
    store = open_store(env);
    ASSERT_OK(world_point_check(store, &point, &err), &err);
    store_close(store);
    assert_string_equal(store_world_lines(&env->world), "");
}

static void a_failed_sync_voids_what_was_fresh_and_says_so(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point first = {.task = world_task(1), .disk = world_disk_of(100, 5, 7)};
    struct world_point second = {.task = world_task(2), .disk = world_disk_of(200, 5, 7)};
    struct store_point shown;
    struct error err = {0};

    ASSERT_OK(world_point_commit(store, &first, NULL, &err), &err);
    ASSERT_OK(world_point_upload(store, &second, NULL, &err), &err);
    uint64_t generation = store_generation(store);
    uint64_t number = 1;

    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(store, &err), &err);
    faults_arm(env->faults, 0, 0);
    assert_non_null(strstr(err.text, "is void, store it again"));
    assert_int_not_equal(store_generation(store), generation);
    ASSERT_OK(store_find(store, store_default_domain(store), &second.root.id, 1, &number, &err),
              &err);
    assert_int_equal(number, 0);
    ASSERT_STATUS(STATUS_ABORTED,
                  store_commit(store, store_default_domain(store), &second.task, &second.envelope,
                               &shown, &err),
                  &err);
    assert_false(world_shows(store, &second.task));
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    ASSERT_OK(world_point_commit(store, &second, NULL, &err), &err);
    ASSERT_OK(world_point_check(store, &second, &err), &err);
    store_close(store);
}

static void a_tree_begun_before_a_failed_sync_is_refused(void **state)
{
    const struct disk_root geometry = {.size = 1 << 20,
                                       .block_size = 4096,
                                       .logical_sector = 512,
                                       .physical_sector = 512};
    struct env *env = *state;
    struct store *store = new_store(env);
    struct disk_tree *tree = NULL;
    struct ref ref = {0};
    struct disk_root root;
    struct error err = {0};

    ASSERT_OK(disk_tree_new(store, store_default_domain(store), &geometry, NULL, &tree, &err),
              &err);
    ASSERT_OK(store_put(store, store_default_domain(store), KIND_BLOCK, slice_of_text("block"),
                        slice_of_text("block"), &ref, &err),
              &err);
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(store, &err), &err);
    faults_arm(env->faults, 0, 0);
    ASSERT_STATUS(STATUS_ABORTED, disk_tree_put(tree, 0, &ref, &err), &err);
    ASSERT_STATUS(STATUS_ABORTED, disk_tree_finish(tree, &root, &ref, &err), &err);
    disk_tree_free(tree);
    store_close(store);
}

/* Only what a sync has made durable is in the index. */
static void the_index_gets_nothing_before_it_is_synced(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 5, 7)};
    struct error err = {0};

    ASSERT_OK(world_point_upload(store, &point, NULL, &err), &err);
    assert_int_equal(index_memory_count(env->world.index), 0);
    ASSERT_OK(store_sync(store, &err), &err);
    assert_true(index_memory_count(env->world.index) > 5);
    store_close(store);
}

/* What waits for a sync has a limit: memory is not what a large upload is paid with. */
static void an_append_syncs_by_itself_when_too_much_waits(void **state)
{
    enum { FRESH_MAX = 10 };

    struct env *env = *state;
    struct error err = {0};

    env->world.options.fresh_max = FRESH_MAX;
    struct store *store = new_store(env);

    for (unsigned i = 1; i <= 3 * FRESH_MAX; i++) {
        struct slice bytes = slice_of(&i, sizeof(i));
        struct ref ref = {0};
        uint64_t number = 0;

        ASSERT_OK(store_put(store, store_default_domain(store), KIND_BLOCK, bytes, bytes, &ref,
                            &err),
                  &err);
        assert_int_equal(index_memory_count(env->world.index), (i - 1) / FRESH_MAX * FRESH_MAX);
        ASSERT_OK(store_find(store, store_default_domain(store), &ref.id, 1, &number, &err), &err);
        assert_int_equal(number, ref.number);
    }
    store_close(store);
}

/* The sync that an append makes fails like any other: what was fresh is void, and nobody takes it for stored. */
static void a_sync_by_itself_that_fails_voids_what_was_fresh(void **state)
{
    enum { FRESH_MAX = 10 };

    struct env *env = *state;
    struct ref first = {0};
    struct ref ref = {0};
    uint64_t number = 1;
    struct error err = {0};

    env->world.options.fresh_max = FRESH_MAX;
    struct store *store = new_store(env);
    uint64_t generation = store_generation(store);

    for (unsigned i = 1; i <= FRESH_MAX; i++) {
        struct slice bytes = slice_of(&i, sizeof(i));

        ASSERT_OK(store_put(store, store_default_domain(store), KIND_BLOCK, bytes, bytes,
                            i == 1 ? &first : &ref, &err),
                  &err);
    }
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED,
                  store_put(store, store_default_domain(store), KIND_BLOCK, slice_of_text("more"),
                            slice_of_text("more"), &ref, &err),
                  &err);
    faults_arm(env->faults, 0, 0);
    assert_int_not_equal(store_generation(store), generation);
    ASSERT_OK(store_find(store, store_default_domain(store), &first.id, 1, &number, &err), &err);
    assert_int_equal(number, 0);
    ASSERT_OK(store_put(store, store_default_domain(store), KIND_BLOCK, slice_of_text("more"),
                        slice_of_text("more"), &ref, &err),
              &err);
    store_close(store);
}

static void an_index_that_refuses_is_asked_again(void **state)
{
    struct env *env = *state;
    struct store *store = new_store(env);
    struct world_point point = {.task = world_task(1), .disk = world_disk_of(100, 5, 7)};
    struct error err = {0};

    index_memory_refuse(env->world.index, true);
    uint64_t generation = store_generation(store);

    ASSERT_STATUS(STATUS_UNAVAILABLE, world_point_commit(store, &point, NULL, &err), &err);
    assert_int_equal(store_generation(store), generation);
    index_memory_refuse(env->world.index, false);
    ASSERT_OK(world_point_commit(store, &point, NULL, &err), &err);
    ASSERT_OK(world_point_check(store, &point, &err), &err);
    store_close(store);
}

/* --- every failure, one after the other -------------------------------------------------------- */

struct sweep {
    struct env *env;
    bool fires_on_open; /* else: while a point is committed */
};

/* A store with one point; another is committed, or the store opened, while the Nth thing fails. */
static void attempt_one(void *arg, uint64_t n)
{
    struct sweep *sweep = arg;
    struct env *env = sweep->env;
    struct world_point first = {.task = world_task(1), .disk = world_disk_of(100, 2, 7)};
    struct world_point second = {.task = world_task(2), .disk = first.disk};
    struct store_world world;
    struct store *store = NULL;
    struct fs *fs = NULL;
    struct error err = {0};
    unsigned classes = FAULT_ALLOC | FAULT_IO | FAULT_POINT;

    second.disk.blocks[9] = 77;
    faults_arm(env->faults, 0, 0);
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    store_world_init(&world, fs, 2000, 1);
    ASSERT_OK(store_world_create(&world, &err), &err);
    ASSERT_OK(store_world_open(&world, &store, &err), &err);
    ASSERT_OK(world_point_commit(store, &first, NULL, &err), &err);
    if (sweep->fires_on_open) {
        ASSERT_OK(world_point_upload(store, &second, &first, &err), &err);
        faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
        store_close(store); /* as a killed process */
        store = NULL;
    }
    faults_arm(env->faults, classes, n);
    enum status st = sweep->fires_on_open ? store_world_open(&world, &store, &err)
                                          : world_point_commit(store, &second, &first, &err);

    faults_arm(env->faults, 0, 0);
    if (st != STATUS_OK && sweep->fires_on_open)
        ASSERT_OK(store_world_open(&world, &store, &err), &err);
    if (st == STATUS_OK && !sweep->fires_on_open)
        ASSERT_OK(world_point_check(store, &second, &err), &err);
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    if (world_shows(store, &second.task))
        ASSERT_OK(world_point_check(store, &second, &err), &err);
    ASSERT_OK(world_point_commit(store, &second, &first, &err), &err);
    store_close(store);
    store_world_set_index(&world, index_memory_new());
    ASSERT_OK(store_world_open(&world, &store, &err), &err);
    ASSERT_OK(world_point_check(store, &first, &err), &err);
    ASSERT_OK(world_point_check(store, &second, &err), &err);
    store_close(store);
    store_world_deinit(&world);
    fs_free(fs);
}

/* fail_each() with an attempt that arms by itself. */
static uint64_t sweep_all(struct sweep *sweep)
{
    for (uint64_t n = 1;; n++) {
        attempt_one(sweep, n);
        if (!faults_fired(sweep->env->faults))
            return n - 1;
    }
}

static void a_commit_that_fails_anywhere_leaves_old_or_new(void **state)
{
    struct sweep sweep = {.env = *state};

    assert_true(sweep_all(&sweep) > 50);
}

static void an_opening_that_fails_anywhere_can_be_done_again(void **state)
{
    struct sweep sweep = {.env = *state, .fires_on_open = true};

    assert_true(sweep_all(&sweep) > 50);
}

/* A repository is made while the Nth thing fails: then nothing of it is there, and it can be made. */
static void attempt_to_make(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    struct store_world world;
    struct fs_names names = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    faults_arm(faults, 0, 0);
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    store_world_init(&world, fs, 2000, 1);
    faults_arm(faults, FAULT_ALLOC | FAULT_IO | FAULT_POINT, n);
    enum status st = store_world_create(&world, &err);

    faults_arm(faults, 0, 0);
    if (st != STATUS_OK) {
        ASSERT_OK(fs_list(fs, "", &names, &err), &err);
        if (names.count > 0)
            fail_msg("failure %" PRIu64 " leaves \"%s\"", n, names.names[0]);
        fs_names_deinit(&names);
        ASSERT_OK(store_world_create(&world, &err), &err);
    }
    store_world_deinit(&world);
    fs_free(fs);
}

static void a_repository_that_cannot_be_made_leaves_nothing(void **state)
{
    struct env *env = *state;

    assert_true(fail_each(env->faults, FAULT_ALLOC | FAULT_IO | FAULT_POINT, attempt_to_make,
                          env->faults) > 20);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_committed_point_reads_back),
        TEST(the_same_task_again_writes_nothing),
        TEST(equal_content_is_stored_once),
        TEST(records_of_strangers_are_refused),
        TEST(numbers_run_on_and_are_never_given_twice),
        TEST(a_tracking_record_replaces_the_one_before),
        TEST(tracking_records_survive_a_crash_and_the_loss_of_the_index),
        TEST(a_full_disk_changes_nothing_and_goes_on_when_there_is_room),
        TEST(a_pack_that_was_left_open_is_sealed_by_the_next_start),
        TEST(a_short_write_leaves_a_pack_that_is_sealed_all_the_same),
        TEST(a_failed_sync_voids_what_was_fresh_and_says_so),
        TEST(a_tree_begun_before_a_failed_sync_is_refused),
        TEST(the_index_gets_nothing_before_it_is_synced),
        TEST(an_append_syncs_by_itself_when_too_much_waits),
        TEST(a_sync_by_itself_that_fails_voids_what_was_fresh),
        TEST(an_index_that_refuses_is_asked_again),
        TEST(a_repository_that_cannot_be_made_leaves_nothing),
        TEST(a_commit_that_fails_anywhere_leaves_old_or_new),
        TEST(an_opening_that_fails_anywhere_can_be_done_again),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
