/* tests/store_env.h: a store in memory with one committed point, and faults to arm: what a test of the store begins from. */
#ifndef TESTS_STORE_ENV_H
#define TESTS_STORE_ENV_H

#include "base/error.h"
#include "base/fault.h"
#include "tests/store_world.h"

enum { STORE_ENV_PACK_SIZE = 64 * 1024, STORE_ENV_SEED = 11 };

struct store_env {
    struct faults *faults;
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct world_point first; /* committed */
    struct error err;
};

void store_env_open(struct store_env *env);

/* Closes it, and opens it again. */
void store_env_reopen(struct store_env *env);

/* For cmocka: *STATE is a struct store_env, its store open; and its end. */
int store_env_set_up(void **state);
int store_env_tear_down(void **state);

#endif
