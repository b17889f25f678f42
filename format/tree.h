/* format/tree.h: the block tree of a disk, or of a file (architecture, section 4), grown in ascending order and walked, with memory
 * for one path. Pure: where nodes come from and go to is the caller's, so that the agent (which has ids only), the
 * coordinator (which stores) and the console (which checks an export) compute the same root by the same code.
 *
 * A node of level L (1: above the blocks) and index I stands for the blocks [I x 128^L, (I + 1) x 128^L). Its plain
 * bytes are its 128 child ids, its stored form is 128 x {32 id, u64le number}. A node of holes does not exist: its
 * parent has a hole. A file's root (format/disk_root.h) is known by its sectors of 0 bytes; a file of 0 bytes has no
 * blocks, and a hole for a top. Thread: whoever owns the object; callbacks are called from within. */
#ifndef FORMAT_TREE_H
#define FORMAT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "format/disk_root.h"
#include "format/id.h"

enum { TREE_FANOUT = 128, NODE_PLAIN_SIZE = 4096, NODE_STORED_SIZE = 5120 };

struct tree_node {
    uint8_t level; /* 1 to NODE_LEVEL_MAX */
    uint64_t index;
    struct ref children[TREE_FANOUT];
};

void tree_node_encode_plain(const struct tree_node *node, uint8_t target[NODE_PLAIN_SIZE]);
void tree_node_encode_stored(const struct tree_node *node, uint8_t target[NODE_STORED_SIZE]);
/* Either form, by its length; level and index stay as they are in *RET_NODE. STATUS_CORRUPT: neither length, a hole
 * with a number, or nothing but holes. (A plain form has numbers 0.) */
NODISCARD enum status tree_node_decode(struct slice bytes, struct tree_node *ret_node,
                                       struct error *err);
/* Over the plain form, kind KIND_NODE + level. */
NODISCARD enum status tree_node_id(const struct hash_key *id_key, const struct tree_node *node,
                                   struct id *ret_id, struct error *err);

/* What a builder or walk needs from its owner. Callbacks return what stops it. */
struct tree_callbacks {
    /* Reads the node of LEVEL and INDEX that REF (no hole) names: fills in *ret_node (children at least). The caller
     * of the callback checks nothing but that there is no child behind the disk's end (STATUS_CORRUPT): a callback
     * that gives out what it has not checked against REF's id is wrong. */
    enum status (*read)(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                        struct tree_node *ret_node, struct error *err);
    /* A finished node that is not the parent's own: says by *ret_ref how others name it (id, and number if there are
     * numbers). Children come before their parents, ascending. */
    enum status (*emit)(void *context, const struct tree_node *node, struct ref *ret_ref,
                        struct error *err);
};

/* ---- Building ---- */

struct tree_builder;

/* A tree like PARENT's (NULL: all holes) of GEOMETRY's size and block size, whose height and top are ignored.
 * PARENT has the same size and block size (STATUS_INVALID). CALLBACKS is copied, CONTEXT is passed to them. */
NODISCARD enum status tree_builder_new(const struct disk_root *geometry,
                                       const struct disk_root *parent,
                                       const struct tree_callbacks *callbacks, void *context,
                                       struct tree_builder **ret_builder, struct error *err);
void tree_builder_free(struct tree_builder *builder); /* NULL is fine */

/* Block number BLOCK is REF now (or a hole). Ascending: STATUS_INVALID for a block not above all before, or past the
 * end. After any failure the builder only takes tree_builder_free(). */
NODISCARD enum status tree_builder_put(struct tree_builder *builder, uint64_t block,
                                       const struct ref *ref, struct error *err);
/* COUNT blocks from BLOCK on are holes now; costs what the edges' two paths cost, not COUNT. */
NODISCARD enum status tree_builder_put_holes(struct tree_builder *builder, uint64_t block,
                                             uint64_t count, struct error *err);
/* The tree as it would be if nothing more came, by nodes given to `emit`: *ret_root is whole, numbers included. The builder
 * goes on as if nothing had been asked, after a failure too (which only `emit` has). Nodes that go on to change are given out
 * again. */
NODISCARD enum status tree_builder_save(const struct tree_builder *builder,
                                        struct disk_root *ret_root, struct error *err);
/* What was not named stays the parent's. *ret_root is whole, numbers included. The builder then only takes
 * tree_builder_free(). */
NODISCARD enum status tree_builder_finish(struct tree_builder *builder, struct disk_root *ret_root,
                                          struct error *err);

/* ---- The parent's nodes that changes touch ---- */

/* Which of the parent's nodes a builder will read while it is given the same changes in the same order: what the
 * coordinator sends and the agent receives. From the top, each once, in exactly the order of the builder's reads:
 * a node is read when the first entry touches it that does not cover it wholly, unless the parent has a hole there.
 * An entry of one block, hole or not, covers no node wholly, not even one that stands for that block alone. */
struct tree_path;

NODISCARD enum status tree_path_new(const struct disk_root *parent,
                                    const struct tree_callbacks *callbacks, void *context,
                                    struct tree_path **ret_path, struct error *err);
void tree_path_free(struct tree_path *path); /* NULL is fine */

/* Calls the `read` callback for each node of the parent that the change of COUNT (1 at least) blocks from BLOCK on
 * needs and that was not read before; CALLBACKS.emit is never called. HOLES: the change is a range of holes (may
 * cover whole nodes); else COUNT is 1. Ascending, as for the builder: STATUS_INVALID. After any failure the path only
 * takes tree_path_free(). */
NODISCARD enum status tree_path_touch(struct tree_path *path, uint64_t block, uint64_t count,
                                      bool holes, struct error *err);

/* ---- Walking ---- */

struct tree_walk;

/* Over all blocks of ROOT that are no holes, ascending. CALLBACKS.emit is never called. */
NODISCARD enum status tree_walk_new(const struct disk_root *root,
                                    const struct tree_callbacks *callbacks, void *context,
                                    struct tree_walk **ret_walk, struct error *err);
void tree_walk_free(struct tree_walk *walk); /* NULL is fine */

/* The next block, or *ret_end: there is none. After a failure of `read` the walk may go on: it has stepped over what
 * that node stands for, [*ret_block, *ret_block + *ret_count). */
NODISCARD enum status tree_walk_next(struct tree_walk *walk, uint64_t *ret_block,
                                     uint64_t *ret_count, struct ref *ret_ref, bool *ret_end,
                                     struct error *err);

#endif
