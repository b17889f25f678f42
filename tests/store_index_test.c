/* The store over a folder of the machine, with its index in files: the index may be lost, and is one coordinator's at a time. */
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/index_files.h"
#include "tests/store_world.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#define STATE_FILE "index/state"

enum { PACK_SIZE = 64 * 1024, SEED = 21, OTHER_SEED = 22 };

/* A repository in a folder, and a coordinator that has it open. */
struct site {
    char folder[TEMP_FOLDER_SIZE];
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct world_point point; /* committed */
};

struct env {
    struct faults *faults;
    struct site site;
    struct error err;
};

static struct index *new_index(struct site *site)
{
    struct index *index = NULL;
    struct error err = {0};

    ASSERT_OK(index_files_new(site->fs, &(struct index_files_options){0}, &site->world.log, &index,
                              &err),
              &err);
    return index;
}

static void open_store(struct site *site)
{
    struct error err = {0};

    ASSERT_OK(store_world_open(&site->world, &site->store, &err), &err);
}

static void close_store(struct site *site)
{
    store_close(site->store);
    site->store = NULL;
}

static void init_site(struct site *site, uint64_t seed)
{
    struct error err = {0};

    temp_folder_make(site->folder);
    ASSERT_OK(fs_posix_new(site->folder, &site->fs, &err), &err);
    store_world_init(&site->world, site->fs, PACK_SIZE, seed);
    store_world_set_index(&site->world, new_index(site));
    site->point = (struct world_point){.task = world_task(1), .disk = world_disk_of(100, 20, 7)};
    ASSERT_OK(store_world_create(&site->world, &err), &err);
    open_store(site);
    ASSERT_OK(world_point_commit(site->store, &site->point, NULL, &err), &err);
}

static void deinit_site(struct site *site)
{
    store_close(site->store);
    store_world_deinit(&site->world);
    fs_free(site->fs);
    temp_folder_remove(site->folder);
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    init_site(&env->site, SEED);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    deinit_site(&env->site);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}

/* Does EACH with every file of the index; how many there are. */
static size_t each_file(struct site *site, void (*each)(struct site *site, const char *path))
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(site->fs, "index", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];

        assert_true(text_format(path, sizeof(path), "index/%s", names.names[i]));
        each(site, path);
    }
    size_t count = names.count;

    fs_names_deinit(&names);
    return count;
}

static void remove_file(struct site *site, const char *path)
{
    struct error err = {0};

    ASSERT_OK(fs_remove(site->fs, path, &err), &err);
}

/* In its last page, which nobody reads before it is needed. */
static void damage_run(struct site *site, const char *path)
{
    struct error err = {0};
    struct fs_file *file = NULL;
    uint64_t size = 0;

    if (strcmp(path, STATE_FILE) == 0)
        return;
    ASSERT_OK(fs_open(site->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    ASSERT_OK(fs_write_at(file, size - 100, slice_of_text("damage"), &err), &err);
    fs_close(file);
}

/* As somebody does who removes the index's folder while no coordinator runs. */
static void remove_index(struct env *env)
{
    struct site *site = &env->site;

    store_world_set_index(&site->world, new_index(site)); /* the old one closes its files */
    (void)each_file(site, remove_file);
    ASSERT_OK(fs_remove(site->fs, "index", &env->err), &env->err);
}

/* The old point reads back, its blocks are found, and a new one can be built upon it. */
static void assert_whole(struct env *env, unsigned task)
{
    struct site *site = &env->site;
    struct world_point next = {.task = world_task(task), .disk = site->point.disk};
    uint64_t number = 0;

    next.disk.blocks[199] = (uint16_t)(1000 + task);
    ASSERT_OK(world_point_check(site->store, &site->point, &env->err), &env->err);
    ASSERT_OK(store_find(site->store, store_default_domain(site->store), &site->point.root.id, 1,
                         &number, &env->err),
              &env->err);
    assert_int_equal(number, site->point.root.number);
    ASSERT_OK(world_point_commit(site->store, &next, &site->point, &env->err), &env->err);
    ASSERT_OK(world_point_check(site->store, &next, &env->err), &env->err);
}

static void a_store_goes_on_with_its_index(void **state)
{
    struct env *env = *state;

    close_store(&env->site);
    store_world_set_index(&env->site.world, new_index(&env->site));
    open_store(&env->site);
    assert_whole(env, 2);
    assert_string_equal(store_world_lines(&env->site.world), "");
}

static void an_index_that_was_removed_is_made_again_from_sealed_packs(void **state)
{
    struct env *env = *state;

    close_store(&env->site);
    remove_index(env);
    open_store(&env->site);
    assert_whole(env, 2);
}

static void an_index_that_was_removed_after_a_crash_is_made_again(void **state)
{
    struct env *env = *state;

    faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
    close_store(&env->site); /* as a killed process: no seal */
    assert_true(faults_fired(env->faults));
    faults_arm(env->faults, 0, 0);
    remove_index(env);
    open_store(&env->site);
    assert_whole(env, 2);
}

/* Found while the store is opened: it heals on the way. */
static void an_index_that_is_damaged_before_the_start_is_made_again(void **state)
{
    struct env *env = *state;

    close_store(&env->site);
    store_world_set_index(&env->site.world,
                          new_index(&env->site)); /* the old one closes its files */
    ASSERT_OK(fs_replace(env->site.fs, STATE_FILE, slice_of_text("damage"), &env->err), &env->err);
    open_store(&env->site);
    assert_non_null(strstr(store_world_lines(&env->site.world), "made anew from the packs"));
    assert_whole(env, 2);
}

/* Found while the store is in use: whoever asks is told what to do, and that helps. */
static void an_index_that_is_damaged_in_use_is_made_again_at_the_next_start(void **state)
{
    struct env *env = *state;
    struct site *site = &env->site;
    struct world_point next = {.task = world_task(2), .disk = site->point.disk};

    next.disk.blocks[199] = 1002;
    ASSERT_OK(site->world.index->ops->flush(site->world.index, &env->err), &env->err);
    assert_true(each_file(site, damage_run) > 2);
    ASSERT_STATUS(STATUS_INTERNAL, world_point_check(site->store, &site->point, &env->err),
                  &env->err);
    assert_non_null(strstr(env->err.text, "the next start of the coordinator makes it anew"));
    ASSERT_STATUS(STATUS_INTERNAL, world_point_commit(site->store, &next, &site->point, &env->err),
                  &env->err);
    assert_non_null(strstr(store_world_lines(&site->world), "its state is removed"));
    close_store(site);
    store_world_set_index(&site->world, new_index(site));
    open_store(site);
    assert_whole(env, 3);
    close_store(site);
    store_world_set_index(&site->world, new_index(site));
    (void)store_world_lines(&site->world); /* said before */
    open_store(site);
    assert_whole(env, 4);
    assert_string_equal(store_world_lines(&site->world), "");
}

/* By the lock: the index itself has none. */
static void a_second_coordinator_is_refused_and_does_not_touch_the_index(void **state)
{
    struct env *env = *state;
    struct site *site = &env->site;
    struct store_options second = site->world.options;
    struct store *store = NULL;
    struct fs_file *file = NULL;
    char sentence[256];

    second.index = new_index(site);
    ASSERT_OK(fs_remove(site->fs, STATE_FILE, &env->err),
              &env->err); /* the first one needs it no more */
    ASSERT_STATUS(STATUS_UNAVAILABLE, store_open(&second, &site->world.key, &store, &env->err),
                  &env->err);
    assert_true(
        text_format(sentence, sizeof(sentence),
                    "open the repository: the data folder is in use by another "
                    "coordinator: stop that one first (lock file lock: process %ld holds it)",
                    (long)getpid()));
    assert_string_equal(env->err.text, sentence);
    ASSERT_STATUS(STATUS_NOT_FOUND, fs_open(site->fs, STATE_FILE, FS_READ, &file, &env->err),
                  &env->err);
    second.index->ops->free(second.index);
    assert_whole(env, 2);
}

static void two_repositories_have_an_index_each(void **state)
{
    struct env *env = *state;
    struct site other = {.store = NULL};
    uint64_t number = 1;

    init_site(&other, OTHER_SEED);
    ASSERT_OK(store_find(other.store, store_default_domain(other.store), &env->site.point.root.id,
                         1, &number, &env->err),
              &env->err);
    assert_int_equal(number, 0); /* another id key, another domain */
    assert_whole(env, 2);
    ASSERT_OK(world_point_check(other.store, &other.point, &env->err), &env->err);
    deinit_site(&other);
    assert_whole(env, 3);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_store_goes_on_with_its_index),
        TEST(an_index_that_was_removed_is_made_again_from_sealed_packs),
        TEST(an_index_that_was_removed_after_a_crash_is_made_again),
        TEST(an_index_that_is_damaged_before_the_start_is_made_again),
        TEST(an_index_that_is_damaged_in_use_is_made_again_at_the_next_start),
        TEST(a_second_coordinator_is_refused_and_does_not_touch_the_index),
        TEST(two_repositories_have_an_index_each),
    };

    return cmocka_run_group_tests_name("store_lmdb", tests, NULL, NULL);
}
