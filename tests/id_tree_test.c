/* Things found by an id: as a plain array would find them, whatever the keys. */
#include "coordinator/store/id_tree.h"

#include <stdbool.h>
#include <string.h>

#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { KEY_SIZE = 2, NODES = 300, STEPS = 20000 };

struct thing {
    struct id_node node;
    uint8_t key[KEY_SIZE];
    bool there;
};

static void check_all(const struct id_tree *tree, const struct thing *things)
{
    for (size_t i = 0; i < NODES; i++) {
        const struct id_node *found = id_tree_find(tree, things[i].key);

        if (found != (things[i].there ? &things[i].node : NULL))
            fail_msg("thing %zu", i);
    }
}

/* No two keys are the same. */
static void choose_keys(struct thing *things, struct random_seeded *random, bool alike)
{
    bool used[1 << (8 * KEY_SIZE)] = {false};

    for (size_t i = 0; i < NODES; i++) {
        uint64_t key = 0;

        do
            key = alike ? i : random_seeded_below(random, sizeof(used));
        while (used[key]);
        used[key] = true;
        things[i] = (struct thing){.key = {(uint8_t)(key >> 8), (uint8_t)key}};
    }
}

static void run(uint64_t seed, bool alike)
{
    struct random_seeded random = random_seeded_of(seed);
    struct id_tree tree = {.key_size = KEY_SIZE};
    struct thing things[NODES];

    choose_keys(things, &random, alike);
    for (size_t i = 0; i < STEPS; i++) {
        struct thing *thing = &things[random_seeded_below(&random, NODES)];

        if (thing->there)
            id_tree_remove(&tree, &thing->node);
        else
            id_tree_add(&tree, &thing->node, thing->key);
        thing->there = !thing->there;
        if (i % 100 == 0)
            check_all(&tree, things);
    }
    check_all(&tree, things);
}

static void what_is_in_is_found_and_nothing_else(void **state)
{
    (void)state;
    run(test_seed("id_tree"), false);
}

static void keys_that_are_alike_do_no_harm(void **state)
{
    (void)state;
    run(test_seed("id_tree: alike"), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_is_found_and_nothing_else),
        cmocka_unit_test(keys_that_are_alike_do_no_harm),
    };

    return cmocka_run_group_tests_name("id_tree", tests, NULL, NULL);
}
