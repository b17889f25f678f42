/* What becomes of restore points and deduplication domains: each change is one entry of the log, there after a start, or
 * nothing at all. */
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/store.h"
#include "tests/store_env.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

/* The next sync of a file, the log's, fails: CALL says so, and nothing has changed. */
#define ASSERT_FAILS_WHOLE(env, call)                              \
    do {                                                           \
        uint64_t before_ = store_head((env)->store).sequence;      \
                                                                   \
        faults_arm_point((env)->faults, "fs.sync", 1, FAULT_FAIL); \
        assert_int_not_equal((call), STATUS_OK);                   \
        assert_true(faults_fired((env)->faults));                  \
        faults_arm((env)->faults, 0, 0);                           \
        assert_true(store_head((env)->store).sequence == before_); \
    } while (0)

static const struct store_point *point_of(struct store_env *env)
{
    return world_point_of(env->store, &env->first.task);
}

/* --- the trash --------------------------------------------------------------------------------- */

static void a_deleted_point_is_in_the_trash_until_it_is_taken_out(void **state)
{
    struct store_env *env = *state;
    const struct random_id *task = &env->first.task;

    ASSERT_FAILS_WHOLE(env, store_trash(env->store, task, 70, 10, &env->err));
    assert_false(point_of(env)->trashed);
    ASSERT_OK(store_trash(env->store, task, 70, 10, &env->err), &env->err);
    assert_true(point_of(env)->trashed);
    assert_true(point_of(env)->grace_us == 70);
    ASSERT_STATUS(STATUS_PRECONDITION, store_trash(env->store, task, 70, 10, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "in the trash already"));
    store_env_reopen(env);
    assert_true(point_of(env)->trashed);
    assert_true(point_of(env)->grace_us == 70);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    ASSERT_FAILS_WHOLE(env, store_undelete(env->store, task, &env->err));
    assert_true(point_of(env)->trashed);
    ASSERT_OK(store_undelete(env->store, task, &env->err), &env->err);
    assert_false(point_of(env)->trashed);
    ASSERT_STATUS(STATUS_PRECONDITION, store_undelete(env->store, task, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "not in the trash"));
    store_env_reopen(env);
    assert_false(point_of(env)->trashed);
}

static void a_purged_point_is_no_more(void **state)
{
    struct store_env *env = *state;
    const struct random_id *task = &env->first.task;

    ASSERT_STATUS(STATUS_PRECONDITION, store_purge(env->store, task, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "not in the trash"));
    ASSERT_OK(store_trash(env->store, task, 70, 10, &env->err), &env->err);
    ASSERT_FAILS_WHOLE(env, store_purge(env->store, task, &env->err));
    assert_non_null(point_of(env));
    ASSERT_OK(store_purge(env->store, task, &env->err), &env->err);
    assert_null(point_of(env));
    ASSERT_STATUS(STATUS_NOT_FOUND, store_undelete(env->store, task, &env->err), &env->err);
    store_env_reopen(env);
    assert_null(point_of(env));
}

static void a_task_without_a_point_is_not_found(void **state)
{
    struct store_env *env = *state;
    const struct random_id task = world_task(9);

    ASSERT_STATUS(STATUS_NOT_FOUND, store_trash(env->store, &task, 2, 1, &env->err), &env->err);
    ASSERT_STATUS(STATUS_NOT_FOUND, store_undelete(env->store, &task, &env->err), &env->err);
    ASSERT_STATUS(STATUS_NOT_FOUND, store_purge(env->store, &task, &env->err), &env->err);
    ASSERT_STATUS(STATUS_NOT_FOUND, store_lock_point(env->store, &task, 2, 1, &env->err),
                  &env->err);
    ASSERT_STATUS(STATUS_NOT_FOUND, store_hold(env->store, &task, "x", &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "there is no restore point of task 7461736b"));
}

/* --- locks and holds --------------------------------------------------------------------------- */

static void a_locked_point_is_deleted_by_nobody_until_its_lock_ends(void **state)
{
    struct store_env *env = *state;
    const struct random_id *task = &env->first.task;

    ASSERT_STATUS(STATUS_PRECONDITION, store_lock_point(env->store, task, 100, 100, &env->err),
                  &env->err);
    ASSERT_FAILS_WHOLE(env, store_lock_point(env->store, task, 5000000, 100, &env->err));
    assert_true(point_of(env)->locked_us == 0);
    ASSERT_OK(store_lock_point(env->store, task, 5000000, 100, &env->err), &env->err);
    ASSERT_STATUS(STATUS_PRECONDITION, store_lock_point(env->store, task, 4000000, 100, &env->err),
                  &env->err);
    assert_non_null(strstr(env->err.text, "never shortened"));
    ASSERT_OK(store_lock_point(env->store, task, 6000000, 100, &env->err), &env->err);
    store_env_reopen(env);
    assert_true(point_of(env)->locked_us == 6000000);
    ASSERT_STATUS(STATUS_PRECONDITION, store_trash(env->store, task, 9000000, 5999999, &env->err),
                  &env->err);
    assert_non_null(strstr(env->err.text, "is locked for another"));
    ASSERT_OK(store_trash(env->store, task, 9000000, 6000000, &env->err), &env->err);
}

static void a_lock_takes_a_point_out_of_the_trash(void **state)
{
    struct store_env *env = *state;

    ASSERT_OK(store_trash(env->store, &env->first.task, 9, 1, &env->err), &env->err);
    ASSERT_OK(store_lock_point(env->store, &env->first.task, 8, 2, &env->err), &env->err);
    assert_false(point_of(env)->trashed);
    store_env_reopen(env);
    assert_false(point_of(env)->trashed);
}

static void a_held_point_is_not_deleted_until_it_is_let_go(void **state)
{
    struct store_env *env = *state;
    const struct random_id *task = &env->first.task;
    char reason[300];

    memset(reason, 'r', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    ASSERT_STATUS(STATUS_INVALID, store_hold(env->store, task, reason, &env->err), &env->err);
    ASSERT_STATUS(STATUS_INVALID, store_hold(env->store, task, "a\nb", &env->err), &env->err);
    ASSERT_OK(store_trash(env->store, task, 9, 1, &env->err), &env->err);
    ASSERT_FAILS_WHOLE(env, store_hold(env->store, task, "a lawsuit", &env->err));
    assert_true(point_of(env)->trashed);
    ASSERT_OK(store_hold(env->store, task, "a lawsuit", &env->err), &env->err);
    assert_true(point_of(env)->held);
    assert_false(point_of(env)->trashed);
    store_env_reopen(env);
    assert_true(point_of(env)->held);
    ASSERT_STATUS(STATUS_PRECONDITION, store_trash(env->store, task, 9, 1, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "is held"));
    ASSERT_OK(store_hold(env->store, task, NULL, &env->err), &env->err);
    assert_false(point_of(env)->held);
    uint64_t sequence = store_head(env->store).sequence;

    ASSERT_OK(store_hold(env->store, task, NULL, &env->err), &env->err); /* it is free already */
    assert_true(store_head(env->store).sequence == sequence);
    ASSERT_OK(store_trash(env->store, task, 9, 1, &env->err), &env->err);
}

/* --- summaries --------------------------------------------------------------------------------- */

static void summaries_are_written_by_the_way_and_hold_everything(void **state)
{
    struct store_env *env = *state;
    struct store_status status;

    env->world.options.summary_every = 5;
    store_env_reopen(env);
    for (int i = 0; i < 12; i++) {
        ASSERT_OK(store_hold(env->store, &env->first.task, "x", &env->err), &env->err);
        ASSERT_OK(store_hold(env->store, &env->first.task, NULL, &env->err), &env->err);
    }
    ASSERT_OK(store_trash(env->store, &env->first.task, 77, 1, &env->err), &env->err);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_true(status.summary > 20);
    store_env_reopen(env);
    assert_true(point_of(env)->trashed);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
}

/* The entry is there; that its summary is not is a line in the log. */
static void a_summary_that_fails_is_not_the_callers_failure(void **state)
{
    struct store_env *env = *state;
    enum status st = STATUS_OK;
    bool fired = false;

    env->world.options.summary_every = 1;
    store_env_reopen(env);
    faults_arm_point(env->faults, "fs.sync", 2, FAULT_FAIL); /* 1 is the entry's */
    st = store_hold(env->store, &env->first.task, "x", &env->err);
    fired = faults_fired(env->faults);
    faults_arm(env->faults, 0, 0);
    ASSERT_OK(st, &env->err);
    assert_true(fired);
    assert_non_null(strstr(store_world_lines(&env->world), "a summary of the log was not written"));
    store_env_reopen(env);
    assert_true(point_of(env)->held);
}

/* --- domains ----------------------------------------------------------------------------------- */

static const struct store_domain *add_domain(struct store_env *env, const char *name)
{
    const struct store_domain *domain = NULL;

    ASSERT_OK(store_add_domain(env->store, name, &domain, &env->err), &env->err);
    return domain;
}

static void nothing_is_shared_across_domains(void **state)
{
    struct store_env *env = *state;
    const struct store_domain *other = add_domain(env, "other");
    struct world_point second = {.task = world_task(2),
                                 .domain = other->id,
                                 .disk = env->first.disk,
                                 .file = 300};
    struct store_point shown;
    struct buffer stored;
    uint64_t number = 1;

    assert_false(random_id_equal(&other->id, &store_default_domain(env->store)->id));
    ASSERT_OK(store_find(env->store, other, &env->first.root.id, 1, &number, &env->err), &env->err);
    assert_true(number == 0);
    ASSERT_OK(world_point_commit(env->store, &second, NULL, &env->err), &env->err);
    assert_false(id_equal(&second.root.id, &env->first.root.id)); /* though the disks are equal */
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_STATUS(STATUS_CORRUPT,
                  store_read(env->store, other, KIND_DISK_ROOT, &env->first.root, &stored,
                             &env->err),
                  &env->err);
    buffer_deinit(&stored);
    ASSERT_STATUS(STATUS_ABORTED,
                  store_commit(env->store, other, &(struct random_id){{9}}, &env->first.envelope,
                               &shown, &env->err),
                  &env->err);
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
        ASSERT_OK(world_point_check(env->store, &second, &env->err), &env->err);
        store_close(env->store);
        env->store = NULL;
        if (i == 1)
            store_world_set_index(&env->world, index_memory_new());
        store_env_open(env);
    }
    assert_string_equal(store_find_domain(env->store, &second.domain)->name, "other");
    assert_string_equal(store_world_lines(&env->world), "");
}

static void a_domain_begins_durably_or_not_at_all(void **state)
{
    struct store_env *env = *state;
    const struct store_domain *domain = NULL;
    struct store_status status;

    ASSERT_FAILS_WHOLE(env, store_add_domain(env->store, "site", &domain, &env->err));
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_true(status.domains == 1);
    domain = add_domain(env, "site");
    ASSERT_STATUS(STATUS_EXISTS, store_add_domain(env->store, "site", &domain, &env->err),
                  &env->err);
    ASSERT_STATUS(STATUS_EXISTS, store_add_domain(env->store, "default", &domain, &env->err),
                  &env->err);
    ASSERT_STATUS(STATUS_INVALID, store_add_domain(env->store, "", &domain, &env->err), &env->err);
    ASSERT_STATUS(STATUS_INVALID, store_add_domain(env->store, "a\tb", &domain, &env->err),
                  &env->err);
    store_env_reopen(env);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_true(status.domains == 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_env_set_up, store_env_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deleted_point_is_in_the_trash_until_it_is_taken_out),
        TEST(a_purged_point_is_no_more),
        TEST(a_task_without_a_point_is_not_found),
        TEST(a_locked_point_is_deleted_by_nobody_until_its_lock_ends),
        TEST(a_lock_takes_a_point_out_of_the_trash),
        TEST(a_held_point_is_not_deleted_until_it_is_let_go),
        TEST(summaries_are_written_by_the_way_and_hold_everything),
        TEST(a_summary_that_fails_is_not_the_callers_failure),
        TEST(nothing_is_shared_across_domains),
        TEST(a_domain_begins_durably_or_not_at_all),
    };

    return cmocka_run_group_tests_name("store_points", tests, NULL, NULL);
}
