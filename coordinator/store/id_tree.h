/* coordinator/store/id_tree.h: things found by an id: a digital search tree (Knuth, The Art of Computer Programming, volume 3,
 * section 6.3). A node at depth d has all nodes below it on the side that bit d of their keys says. So a tree is never deeper
 * than a key has bits, whoever chose the keys, and about as deep as a balanced one where they are random; nothing is
 * ever turned around, and nothing is allocated: nodes lie in what they name. Thread: whoever owns the tree. */
#ifndef COORDINATOR_STORE_ID_TREE_H
#define COORDINATOR_STORE_ID_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct id_node {
    struct id_node *child[2];
    const uint8_t *key; /* borrowed while the node is in the tree */
};

struct id_tree {
    struct id_node *root; /* NULL: empty */
    size_t key_size;      /* bytes */
};

/* NULL: no node has KEY. */
struct id_node *id_tree_find(const struct id_tree *tree, const uint8_t *key);

/* Puts NODE in under KEY, which no node of TREE has. */
void id_tree_add(struct id_tree *tree, struct id_node *node, const uint8_t *key);

/* Takes out NODE, which is in TREE. */
void id_tree_remove(struct id_tree *tree, struct id_node *node);

#endif
