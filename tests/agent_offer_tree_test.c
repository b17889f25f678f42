/* tests/agent_offer_tree_test.c: the tree that the host signs for: its root is right, and no node of the parent that
 * is wrong, missing, superfluous or out of order gets into it. */
#include <string.h>

#include "base/memory.h"
#include "agent/offer_tree.h"
#include "tests/agent_tree_sample.h"
#include "tests/support/test.h"

struct env {
    struct agent_tree_sample sample;
    struct offer_tree *tree;
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    agent_tree_sample_make(&env->sample);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    offer_tree_free(env->tree);
    agent_tree_sample_deinit(&env->sample);
    memory_free(env);
    return 0;
}

/* Block 3 changes, 4 and 5 are holes now, and one behind the hole in the middle. */
static const struct offer_entry first_offer[] = {
    {.block = 3, .id = {{7}}},
    {.block = 4, .holes = 2},
    {.block = 17000, .id = {{8}}},
};
/* Its path was read for the first one already, but for block 19,999's. */
static const struct offer_entry second_offer[] = {
    {.block = 17001, .id = {{9}}},
    {.block = 19999, .id = {{10}}},
};

static const size_t first_count = sizeof(first_offer) / sizeof(first_offer[0]);
static const size_t second_count = sizeof(second_offer) / sizeof(second_offer[0]);

static void begin(struct env *env, const struct disk_root *parent)
{
    struct error err = {0};

    offer_tree_free(env->tree);
    env->tree = NULL;
    agent_tree_sample_restart(&env->sample);
    ASSERT_OK(offer_tree_new(&env->sample.root, parent, env->sample.id_key, &env->tree, &err),
              &err);
    agent_tree_sample_offer(&env->sample, first_offer, first_count);
}

/* Adds the first offer with NODES instead of those that belong to it. */
static void assert_refused(struct env *env, struct slice nodes, const char *words)
{
    struct error err = {0};

    ASSERT_STATUS(STATUS_CORRUPT, offer_tree_add(env->tree, first_offer, first_count, nodes, &err),
                  &err);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, err.text);
    begin(env, &env->sample.root);
}

static void right_nodes_make_the_right_root(void **state)
{
    struct env *env = *state;
    struct disk_root root = {0};
    struct id id = {{0}};
    struct id expected = {{0}};
    struct error err = {0};

    begin(env, &env->sample.root);
    ASSERT_OK(offer_tree_add(env->tree, first_offer, first_count, buffer_slice(&env->sample.nodes),
                             &err),
              &err);
    agent_tree_sample_offer(&env->sample, second_offer, second_count);
    assert_int_equal(env->sample.nodes.size, NODE_PLAIN_SIZE); /* each comes once a stream */
    ASSERT_OK(offer_tree_add(env->tree, second_offer, second_count,
                             buffer_slice(&env->sample.nodes), &err),
              &err);
    ASSERT_OK(offer_tree_finish(env->tree, &root, &id, &err), &err);
    agent_tree_sample_finish(&env->sample, &expected);
    assert_true(id_equal(&id, &expected));
    assert_false(id_equal(&id, &env->sample.root_id));
    assert_int_equal(root.size, env->sample.root.size);
}

static void disk_without_a_change_has_the_parents_root(void **state)
{
    struct env *env = *state;
    struct disk_root root = {0};
    struct id id = {{0}};
    struct error err = {0};

    begin(env, &env->sample.root);
    ASSERT_OK(offer_tree_finish(env->tree, &root, &id, &err), &err);
    assert_true(id_equal(&id, &env->sample.root_id));
}

static void node_with_any_wrong_byte_is_refused(void **state)
{
    struct env *env = *state;

    begin(env, &env->sample.root);
    for (size_t i = 0; i < env->sample.nodes.size; i += 509) {
        env->sample.nodes.data[i] ^= 0x10;
        assert_refused(env, buffer_slice(&env->sample.nodes), "the parent's node of level");
    }
}

static void missing_node_is_refused(void **state)
{
    struct env *env = *state;

    begin(env, &env->sample.root);
    assert_refused(env, (struct slice){0}, "was not sent");
    assert_refused(env, slice_of(env->sample.nodes.data, env->sample.nodes.size - NODE_PLAIN_SIZE),
                   "was not sent");
    assert_refused(env,
                   slice_of(env->sample.nodes.data + NODE_PLAIN_SIZE,
                            env->sample.nodes.size - NODE_PLAIN_SIZE),
                   "is not the one that the parent's root attests");
}

static void superfluous_node_is_refused(void **state)
{
    struct env *env = *state;
    uint8_t copy[NODE_PLAIN_SIZE];

    begin(env, &env->sample.root);
    memcpy(copy, env->sample.nodes.data, sizeof(copy));
    buffer_put(&env->sample.nodes, slice_of(copy, sizeof(copy)));
    assert_refused(env, buffer_slice(&env->sample.nodes), "that no change touches");
    buffer_put_u8(&env->sample.nodes, 0);
    assert_refused(env, buffer_slice(&env->sample.nodes), "1 bytes");
}

static void nodes_in_another_order_are_refused(void **state)
{
    struct env *env = *state;
    uint8_t copy[NODE_PLAIN_SIZE];
    uint8_t *nodes = NULL;

    begin(env, &env->sample.root);
    assert_true(env->sample.nodes.size >= (size_t)3 * NODE_PLAIN_SIZE);
    nodes = env->sample.nodes.data + NODE_PLAIN_SIZE; /* the top stays in its place */
    memcpy(copy, nodes, NODE_PLAIN_SIZE);
    memmove(nodes, nodes + NODE_PLAIN_SIZE, NODE_PLAIN_SIZE);
    memcpy(nodes + NODE_PLAIN_SIZE, copy, NODE_PLAIN_SIZE);
    assert_refused(env, buffer_slice(&env->sample.nodes), "is not the one");
}

static void nodes_without_a_parent_are_refused(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    begin(env, NULL);
    ASSERT_STATUS(STATUS_CORRUPT,
                  offer_tree_add(env->tree, first_offer, first_count,
                                 buffer_slice(&env->sample.nodes), &err),
                  &err);
    begin(env, NULL);
    err = (struct error){0};
    ASSERT_OK(offer_tree_add(env->tree, first_offer, first_count, (struct slice){0}, &err), &err);
}

static void parents_tree_of_another_key_is_refused(void **state)
{
    struct env *env = *state;
    struct hash_key *other = NULL;
    struct error err = {0};

    begin(env, &env->sample.root);
    offer_tree_free(env->tree);
    env->tree = NULL;
    ASSERT_OK(hash_key_new(slice_of_text("another key"), &other, &err), &err);
    ASSERT_OK(offer_tree_new(&env->sample.root, &env->sample.root, other, &env->tree, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  offer_tree_add(env->tree, first_offer, first_count,
                                 buffer_slice(&env->sample.nodes), &err),
                  &err);
    hash_key_free(other);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(right_nodes_make_the_right_root),     TEST(disk_without_a_change_has_the_parents_root),
        TEST(node_with_any_wrong_byte_is_refused), TEST(missing_node_is_refused),
        TEST(superfluous_node_is_refused),         TEST(nodes_in_another_order_are_refused),
        TEST(nodes_without_a_parent_are_refused),  TEST(parents_tree_of_another_key_is_refused),
    };

    return cmocka_run_group_tests_name("agent_offer_tree", tests, NULL, NULL);
}
