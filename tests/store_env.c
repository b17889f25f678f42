#include "tests/store_env.h"

#include "base/memory.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

void store_env_open(struct store_env *env)
{
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
}

void store_env_reopen(struct store_env *env)
{
    store_close(env->store);
    env->store = NULL;
    store_env_open(env);
}

int store_env_set_up(void **state)
{
    struct store_env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    store_world_init(&env->world, env->fs, STORE_ENV_PACK_SIZE, STORE_ENV_SEED);
    env->first = (struct world_point){.task = world_task(1), .disk = world_disk_of(100, 5, 7)};
    ASSERT_OK(store_world_create(&env->world, &env->err), &env->err);
    store_env_open(env);
    ASSERT_OK(world_point_commit(env->store, &env->first, NULL, &env->err), &env->err);
    *state = env;
    return 0;
}

int store_env_tear_down(void **state)
{
    struct store_env *env = *state;

    store_close(env->store);
    store_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}
