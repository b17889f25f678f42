#include "coordinator/store/id_tree.h"

#include <string.h>

#include "base/invariant.h"

static unsigned bit_of(const uint8_t *key, size_t depth)
{
    return ((unsigned)key[depth / 8] >> (7 - depth % 8)) & 1U;
}

/* Where the node with KEY hangs, or would hang. */
static struct id_node **place_of(struct id_tree *tree, const uint8_t *key)
{
    struct id_node **place = &tree->root;

    for (size_t depth = 0; *place != NULL && memcmp((*place)->key, key, tree->key_size) != 0;
         depth++)
        place = &(*place)->child[bit_of(key, depth)];
    return place;
}

struct id_node *id_tree_find(const struct id_tree *tree, const uint8_t *key)
{
    struct id_tree same = *tree;

    return *place_of(&same, key);
}

void id_tree_add(struct id_tree *tree, struct id_node *node, const uint8_t *key)
{
    struct id_node **place = place_of(tree, key);

    INVARIANT(*place == NULL);
    *node = (struct id_node){.key = key};
    *place = node;
}

void id_tree_remove(struct id_tree *tree, struct id_node *node)
{
    struct id_node **place = place_of(tree, node->key);

    INVARIANT(*place == node);
    /* Any leaf below fits in its place: it has all bits that led here. */
    struct id_node **leaf = place;

    while ((*leaf)->child[0] != NULL || (*leaf)->child[1] != NULL)
        leaf = &(*leaf)->child[(*leaf)->child[0] == NULL ? 1 : 0];
    struct id_node *instead = *leaf;

    *leaf = NULL;
    if (instead != node) {
        memcpy(instead->child, node->child, sizeof(instead->child));
        *place = instead;
    }
}
