/* agent/offer_tree.h: the tree of the disk as the agent computes it: from its own offers, and from those of
 * the parent's nodes that they touch, each of which is checked against the id by which the node above it (or
 * the parent's root) names it. So nobody else's word decides about the root that the host signs.
 * Thread: whoever owns the tree; computes ids. */
#ifndef AGENT_OFFER_TREE_H
#define AGENT_OFFER_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "format/disk_root.h"
#include "format/id.h"

enum {
    OFFER_ENTRIES_MAX = 256,
    /* The nodes of one offer at most: each entry touches two paths, of a tree that is 5 high (64 TiB in blocks
     * of 4 KiB). */
    OFFER_NODES_MAX = OFFER_ENTRIES_MAX * 2 * 5 * 4096,
};

struct offer_entry {
    uint64_t block;
    uint64_t holes; /* how many blocks are holes now; 0: it is one block... */
    struct id id;   /* ...of this id */
};

struct offer_tree;

/* Of a disk like GEOMETRY (top and height are ignored), which was like PARENT (NULL: all holes). ID_KEY is
 * borrowed. STATUS_INVALID as in format/tree.h. */
NODISCARD enum status offer_tree_new(const struct disk_root *geometry,
                                     const struct disk_root *parent, const struct hash_key *id_key,
                                     struct offer_tree **ret_tree, struct error *err);
void offer_tree_free(struct offer_tree *tree); /* NULL is fine */

/* The next COUNT entries; NODES are the parent's that they touch, in the order of format/tree.h's
 * tree_path_touch(). STATUS_CORRUPT: the nodes are not these. After a failure the tree is only to be freed. */
NODISCARD enum status offer_tree_add(struct offer_tree *tree, const struct offer_entry *entries,
                                     size_t count, struct slice nodes, struct error *err);

/* All was added: the root and its id. The tree is only to be freed. */
NODISCARD enum status offer_tree_finish(struct offer_tree *tree, struct disk_root *ret_root,
                                        struct id *ret_id, struct error *err);

#endif
