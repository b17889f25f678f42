#include "agent/offer_tree.h"

#include <inttypes.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "format/tree.h"

struct offer_tree {
    const struct hash_key *id_key;
    struct tree_builder *builder;
    struct cursor nodes; /* of this call of offer_tree_add() */
};

/* The builder reads a node of the parent: it must be the next one that was sent. */
static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct offer_tree *tree = context;
    struct tree_node node = {.level = level, .index = index};
    struct id id = {{0}};
    struct slice plain = cursor_take(&tree->nodes, NODE_PLAIN_SIZE);

    if (!cursor_ok(&tree->nodes))
        return error_set(err, STATUS_CORRUPT,
                         "the parent's node of level %d, index %" PRIu64 " was not sent", level,
                         index);

    enum status st = tree_node_decode(plain, &node, err);

    if (st == STATUS_OK)
        st = tree_node_id(tree->id_key, &node, &id, err);
    if (st != STATUS_OK)
        return error_wrap(err, "the parent's node of level %d, index %" PRIu64, level, index);
    if (!id_equal(&id, &ref->id))
        return error_set(err, STATUS_CORRUPT,
                         "the parent's node of level %d, index %" PRIu64
                         " is not the one that the parent's root attests",
                         level, index);
    *ret_node = node;
    return STATUS_OK;
}

static enum status name_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    const struct offer_tree *tree = context;
    struct ref ref = {{{0}}, 0};
    enum status st = tree_node_id(tree->id_key, node, &ref.id, err);

    if (st == STATUS_OK)
        *ret_ref = ref;
    return st;
}

enum status offer_tree_new(const struct disk_root *geometry, const struct disk_root *parent,
                           const struct hash_key *id_key, struct offer_tree **ret_tree,
                           struct error *err)
{
    static const struct tree_callbacks callbacks = {.read = read_node, .emit = name_node};
    struct offer_tree *tree = memory_new(1, sizeof(*tree));

    if (tree == NULL)
        return error_set_no_memory(err, sizeof(*tree), "the tree of a disk");
    tree->id_key = id_key;

    enum status st = tree_builder_new(geometry, parent, &callbacks, tree, &tree->builder, err);

    if (st != STATUS_OK) {
        offer_tree_free(tree);
        return st;
    }
    *ret_tree = tree;
    return STATUS_OK;
}

void offer_tree_free(struct offer_tree *tree)
{
    if (tree == NULL)
        return;
    tree_builder_free(tree->builder);
    memory_free(tree);
}

enum status offer_tree_add(struct offer_tree *tree, const struct offer_entry *entries, size_t count,
                           struct slice nodes, struct error *err)
{
    enum status st = STATUS_OK;

    tree->nodes = cursor_of(nodes);
    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        const struct offer_entry *entry = &entries[i];
        struct ref ref = {entry->id, 0};

        if (entry->holes != 0)
            st = tree_builder_put_holes(tree->builder, entry->block, entry->holes, err);
        else
            st = tree_builder_put(tree->builder, entry->block, &ref, err);
    }
    if (st == STATUS_OK && !cursor_end(&tree->nodes))
        st = error_set(err, STATUS_CORRUPT,
                       "%zu bytes of the parent's nodes were sent that no change touches",
                       cursor_left(&tree->nodes));
    tree->nodes = cursor_of((struct slice){0});
    return st;
}

enum status offer_tree_finish(struct offer_tree *tree, struct disk_root *ret_root,
                              struct id *ret_id, struct error *err)
{
    struct disk_root root = {0};
    struct id id = {{0}};
    enum status st = tree_builder_finish(tree->builder, &root, err);

    if (st == STATUS_OK)
        st = disk_root_id(tree->id_key, &root, &id, err);
    if (st == STATUS_OK) {
        *ret_root = root;
        *ret_id = id;
    }
    return st;
}
