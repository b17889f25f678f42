/* coordinator/store/disk_tree.h: the block trees of disks in a store: grown while a disk is uploaded, walked while it is
 * read back. Thread: the store's. */
#ifndef COORDINATOR_STORE_DISK_TREE_H
#define COORDINATOR_STORE_DISK_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "coordinator/store/store.h"
#include "format/disk_root.h"
#include "format/tree.h"

/* Reads the disk root that REF names, checked. */
NODISCARD enum status disk_tree_read_root(struct store *store, const struct store_domain *domain,
                                          const struct ref *ref, struct disk_root *ret_root,
                                          struct error *err);
/* The same of a file's root. */
NODISCARD enum status disk_tree_read_file_root(struct store *store,
                                               const struct store_domain *domain,
                                               const struct ref *ref, struct disk_root *ret_root,
                                               struct error *err);

struct disk_tree;

/* A tree in DOMAIN to grow from the one whose root has the id PARENT (NULL: all holes) with GEOMETRY's size and sizes of
 * blocks and sectors; with sectors of 0 it is a file's. STATUS_NOT_FOUND: no such root here. STATUS_PRECONDITION: the parent's
 * geometry is another one. To go on from a partial tree: its root's id as PARENT, and blocks from where it ends. */
NODISCARD enum status disk_tree_new(struct store *store, const struct store_domain *domain,
                                    const struct disk_root *geometry, const struct id *parent,
                                    struct disk_tree **ret_tree, struct error *err);
void disk_tree_free(struct disk_tree *tree); /* NULL is fine */

/* The parent's root; NULL: there is none. */
const struct disk_root *disk_tree_parent(const struct disk_tree *tree);

/* Appends to TARGET the plain form (4,096 bytes) of each of the parent's nodes that this change needs and none before
 * needed (tree_path_touch()): runs ahead of disk_tree_put(). STATUS_CORRUPT: a node of the parent cannot be read. */
NODISCARD enum status disk_tree_touch(struct disk_tree *tree, uint64_t block, uint64_t count,
                                      bool holes, struct buffer *target, struct error *err);

/* Block BLOCK is REF, which is here (tree_builder_put()); COUNT blocks are holes. */
NODISCARD enum status disk_tree_put(struct disk_tree *tree, uint64_t block, const struct ref *ref,
                                    struct error *err);
NODISCARD enum status disk_tree_put_holes(struct disk_tree *tree, uint64_t block, uint64_t count,
                                          struct error *err);

/* Stores the tree as it would be if nothing more came, and goes on: *ret_ref is a partial tree's root (store_save_partial()). */
NODISCARD enum status disk_tree_save(struct disk_tree *tree, struct ref *ret_ref,
                                     struct error *err);

/* Stores the nodes that are left and the root. */
NODISCARD enum status disk_tree_finish(struct disk_tree *tree, struct disk_root *ret_root,
                                       struct ref *ret_ref, struct error *err);

struct disk_walk;

/* Over the blocks of ROOT, as tree_walk_next() gives them; nodes are checked against their ids. */
NODISCARD enum status disk_walk_new(struct store *store, const struct store_domain *domain,
                                    const struct disk_root *root, struct disk_walk **ret_walk,
                                    struct error *err);
void disk_walk_free(struct disk_walk *walk); /* NULL is fine */
NODISCARD enum status disk_walk_next(struct disk_walk *walk, uint64_t *ret_block,
                                     uint64_t *ret_count, struct ref *ret_ref, bool *ret_end,
                                     struct error *err);

#endif
