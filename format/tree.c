#include "format/tree.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "format/le.h"

enum {
    FANOUT_BITS = 7,
    FANOUT_MASK = TREE_FANOUT - 1,
    CHILD_STORED_SIZE = ID_SIZE + 8,
    HEIGHT_MAX = 5, /* 128^5 = 2^35; DISK_SIZE_MAX / BLOCK_SIZE_MIN = 2^34 blocks */
};

/* --- nodes --- */

void tree_node_encode_plain(const struct tree_node *node, uint8_t target[NODE_PLAIN_SIZE])
{
    for (size_t i = 0; i < TREE_FANOUT; i++)
        memcpy(target + i * ID_SIZE, node->children[i].id.bytes, ID_SIZE);
}

void tree_node_encode_stored(const struct tree_node *node, uint8_t target[NODE_STORED_SIZE])
{
    for (size_t i = 0; i < TREE_FANOUT; i++) {
        uint8_t *child = target + i * CHILD_STORED_SIZE;

        memcpy(child, node->children[i].id.bytes, ID_SIZE);
        le_put_u64(child + ID_SIZE, node->children[i].number);
    }
}

static bool all_holes(const struct tree_node *node)
{
    for (unsigned i = 0; i < TREE_FANOUT; i++)
        if (!id_is_hole(&node->children[i].id))
            return false;
    return true;
}

enum status tree_node_decode(struct slice bytes, struct tree_node *ret_node, struct error *err)
{
    struct cursor c = cursor_of(bytes);
    struct tree_node node = {.level = ret_node->level, .index = ret_node->index};

    if (bytes.size != NODE_PLAIN_SIZE && bytes.size != NODE_STORED_SIZE)
        return error_set(err, STATUS_CORRUPT, "node: %zu bytes, neither %d nor %d", bytes.size,
                         NODE_PLAIN_SIZE, NODE_STORED_SIZE);
    for (unsigned i = 0; i < TREE_FANOUT; i++) {
        struct ref *child = &node.children[i];

        cursor_copy(&c, child->id.bytes, sizeof(child->id.bytes));
        if (bytes.size == NODE_STORED_SIZE)
            child->number = cursor_u64le(&c);
        if (id_is_hole(&child->id) && child->number != 0)
            return error_set(err, STATUS_CORRUPT, "node: child %u is a hole with number %" PRIu64,
                             i, child->number);
    }
    INVARIANT(cursor_end(&c));
    if (all_holes(&node))
        return error_set(err, STATUS_CORRUPT, "node: nothing but holes, so it cannot exist");
    *ret_node = node;
    return STATUS_OK;
}

enum status tree_node_id(const struct hash_key *id_key, const struct tree_node *node,
                         struct id *ret_id, struct error *err)
{
    uint8_t plain[NODE_PLAIN_SIZE];

    INVARIANT(node->level >= 1 && node->level <= NODE_LEVEL_MAX);
    tree_node_encode_plain(node, plain);
    return id_of(id_key, (uint8_t)(KIND_NODE + node->level), slice_of(plain, sizeof(plain)), ret_id,
                 err);
}

/* --- the shape of a tree ---
 *
 * What stands for the blocks [I x 128^L, (I + 1) x 128^L) is the *subtree* of level L and index I: a block
 * at level 0, a node above. At the disk's end it stands for the blocks below that end alone. With
 * HEIGHT_MAX levels no number of a block comes near 64 bits. */

struct shape {
    uint64_t blocks;
    uint8_t height; /* the top's level: at most HEIGHT_MAX */
};

static struct shape shape_of(const struct disk_root *root)
{
    struct shape shape = {.blocks = disk_root_blocks(root->size, root->block_size),
                          .height = disk_root_height(root->size, root->block_size)};

    INVARIANT(shape.height <= HEIGHT_MAX);
    return shape;
}

/* Index of the subtree of LEVEL over BLOCK. */
static uint64_t index_over(uint64_t block, uint8_t level)
{
    return block >> (FANOUT_BITS * level);
}

/* Which child of its parent the subtree of LEVEL over BLOCK is. */
static unsigned slot_over(uint64_t block, uint8_t level)
{
    return (unsigned)(index_over(block, level) & FANOUT_MASK);
}

static uint64_t subtree_start(uint64_t block, uint8_t level)
{
    return index_over(block, level) << (FANOUT_BITS * level);
}

/* The first block behind the subtree of LEVEL over BLOCK. */
static uint64_t subtree_end(const struct shape *shape, uint64_t block, uint8_t level)
{
    uint64_t end = (index_over(block, level) + 1) << (FANOUT_BITS * level);

    return end < shape->blocks ? end : shape->blocks;
}

/* The level of the largest subtree that begins at BLOCK and that the entry of COUNT blocks, now at BLOCK
 * and ending at END, covers wholly. An entry of one block covers that block only, even where a node stands
 * for no other. */
static uint8_t covered_level(const struct shape *shape, uint64_t block, uint64_t end,
                             uint64_t count)
{
    uint8_t level = 0;

    while (count > 1 && level < shape->height &&
           subtree_start(block, (uint8_t)(level + 1)) == block &&
           subtree_end(shape, block, (uint8_t)(level + 1)) <= end)
        level++;
    return level;
}

/* Is [BLOCK, BLOCK + COUNT) on the disk, and not below NEXT? */
static enum status check_entry(const struct shape *shape, uint64_t next, uint64_t block,
                               uint64_t count, struct error *err)
{
    if (count == 0)
        return error_set(err, STATUS_INVALID, "a change of no blocks, at block %" PRIu64, block);
    if (block >= shape->blocks || count > shape->blocks - block)
        return error_set(err, STATUS_INVALID,
                         "a change of %" PRIu64 " blocks from block %" PRIu64
                         " on: the disk has %" PRIu64 " blocks",
                         count, block, shape->blocks);
    if (block < next)
        return error_set(err, STATUS_INVALID,
                         "a change of block %" PRIu64 ", but all below %" PRIu64
                         " have been: changes come in ascending order",
                         block, next);
    return STATUS_OK;
}

/* A tree as somebody reads it. */
struct source {
    struct shape shape;
    struct ref top;
    struct tree_callbacks callbacks;
    void *context;
};

/* ROOT NULL: all holes, of SHAPE all the same. */
static struct source source_of(struct shape shape, const struct disk_root *root,
                               const struct tree_callbacks *callbacks, void *context)
{
    struct source source = {.shape = shape, .callbacks = *callbacks, .context = context};

    if (root != NULL)
        source.top = root->top;
    return source;
}

/* Reads the node of LEVEL over BLOCK that REF names. A child behind the disk's end belongs to no disk, and
 * would stay in every tree that takes the node over. */
static enum status read_node(const struct source *source, uint64_t block, uint8_t level,
                             const struct ref *ref, struct tree_node *ret_node, struct error *err)
{
    uint64_t last = source->shape.blocks - 1;
    uint64_t index = index_over(block, level);
    uint8_t child_level = (uint8_t)(level - 1);

    *ret_node = (struct tree_node){.level = level, .index = index};

    enum status st = source->callbacks.read(source->context, level, index, ref, ret_node, err);

    if (st != STATUS_OK)
        return st;
    ret_node->level = level;
    ret_node->index = index;
    for (unsigned i = slot_over(last, child_level) + 1;
         i < TREE_FANOUT && index == index_over(last, level); i++)
        if (!id_is_hole(&ret_node->children[i].id))
            return error_set(err, STATUS_CORRUPT,
                             "node of level %u, index %" PRIu64
                             ": child %u is behind the disk's end",
                             level, index, i);
    return STATUS_OK;
}

/* --- the parent's nodes that changes touch --- */

/* A node of the parent on the path to the last change. */
struct parent_node {
    struct ref ref;        /* a hole: all of NODE's children are */
    struct tree_node node; /* level and index are right for a hole too */
};

struct tree_path {
    struct source source;
    uint64_t next;                             /* the first block that may still change */
    uint8_t lowest;                            /* open: levels from here to the height */
    bool closed;                               /* failed or finished: only to be freed */
    struct parent_node levels[HEIGHT_MAX + 1]; /* 0: unused */
};

static void path_init(struct tree_path *path, struct source source)
{
    path->source = source;
    path->lowest = (uint8_t)(source.shape.height + 1);
}

/* How the parent names its subtree of LEVEL over BLOCK; the node above it is open. */
static const struct ref *parent_ref(const struct tree_path *path, uint64_t block, uint8_t level)
{
    return level == path->source.shape.height
               ? &path->source.top
               : &path->levels[level + 1].node.children[slot_over(block, level)];
}

/* Makes the parent's nodes over BLOCK, down to LEVEL, the open ones; reads what is not open yet and no
 * hole. */
static enum status path_open(struct tree_path *path, uint64_t block, uint8_t level,
                             struct error *err)
{
    uint8_t from = path->source.shape.height;

    while (from >= path->lowest && path->levels[from].node.index == index_over(block, from))
        from--;
    if (from < level)
        return STATUS_OK;
    for (uint8_t l = from; l >= level; l--) {
        struct parent_node *open = &path->levels[l];

        open->ref = *parent_ref(path, block, l);
        if (id_is_hole(&open->ref.id)) {
            open->node = (struct tree_node){.level = l, .index = index_over(block, l)};
        } else {
            enum status st = read_node(&path->source, block, l, &open->ref, &open->node, err);

            if (st != STATUS_OK)
                return st;
        }
        path->lowest = l;
    }
    return STATUS_OK;
}

/* STATUS_INVALID: ROOT, which is WHAT, can be neither a disk's nor a file's. */
static enum status check_root(const struct disk_root *root, const char *what, struct error *err)
{
    bool is_file = root->logical_sector == 0;
    enum status st = is_file ? file_root_check(root, err) : disk_root_check(root, err);

    return st == STATUS_OK ? st : error_wrap(err, "%s", what);
}

enum status tree_path_new(const struct disk_root *parent, const struct tree_callbacks *callbacks,
                          void *context, struct tree_path **ret_path, struct error *err)
{
    enum status st = check_root(parent, "the parent's root", err);

    if (st != STATUS_OK)
        return st;

    struct tree_path *path = memory_new(1, sizeof(*path));

    if (path == NULL)
        return error_set_no_memory(err, sizeof(*path), "a path through a block tree");
    path_init(path, source_of(shape_of(parent), parent, callbacks, context));
    *ret_path = path;
    return STATUS_OK;
}

void tree_path_free(struct tree_path *path)
{
    memory_free(path);
}

enum status tree_path_touch(struct tree_path *path, uint64_t block, uint64_t count, bool holes,
                            struct error *err)
{
    INVARIANT(!path->closed);
    path->closed = true; /* until it is known better */

    enum status st = check_entry(&path->source.shape, path->next, block, count, err);

    if (st != STATUS_OK)
        return st;
    if (!holes && count != 1)
        return error_set(err, STATUS_INVALID,
                         "%" PRIu64 " blocks from block %" PRIu64
                         " on at once: only holes come in ranges",
                         count, block);

    uint64_t end = block + count;

    for (uint64_t at = block; at < end;) {
        uint8_t level = covered_level(&path->source.shape, at, end, count);

        st = path_open(path, at, (uint8_t)(level + 1), err);
        if (st != STATUS_OK)
            return st;
        at = subtree_end(&path->source.shape, at, level);
    }
    path->next = end;
    path->closed = false;
    return STATUS_OK;
}

/* --- building ---
 *
 * The builder opens the parent's nodes by the same path, and has its own node beside each: a copy, changed
 * child by child. Where the next change is beyond a node, that node is finished: it is given out (or it is
 * the parent's own, or a hole) and its name goes into the node above. */

struct tree_builder {
    struct disk_root root;                  /* what finish gives out: its top changes last */
    uint8_t lowest;                         /* open: NODES from here to the height */
    struct tree_node nodes[HEIGHT_MAX + 1]; /* 0: unused */
    struct tree_path parent;                /* its NEXT and CLOSED are the builder's too */
};

enum status tree_builder_new(const struct disk_root *geometry, const struct disk_root *parent,
                             const struct tree_callbacks *callbacks, void *context,
                             struct tree_builder **ret_builder, struct error *err)
{
    struct disk_root root = *geometry;

    root.height = 0;
    root.top = (struct ref){0};
    if (root.block_size != 0) /* else the check refuses them */
        root.height = disk_root_height(root.size, root.block_size);

    enum status st = check_root(&root, "the root to be built", err);

    if (st == STATUS_OK && parent != NULL)
        st = check_root(parent, "the parent's root", err);
    if (st != STATUS_OK)
        return st;
    if (parent != NULL && (parent->size != root.size || parent->block_size != root.block_size))
        return error_set(err, STATUS_INVALID,
                         "the parent has %" PRIu64 " bytes in blocks of %" PRIu32
                         ", the disk %" PRIu64 " in blocks of %" PRIu32
                         ": such a disk begins without a parent",
                         parent->size, parent->block_size, root.size, root.block_size);

    struct tree_builder *builder = memory_new(1, sizeof(*builder));

    if (builder == NULL)
        return error_set_no_memory(err, sizeof(*builder), "a builder of a block tree");
    path_init(&builder->parent, source_of(shape_of(&root), parent, callbacks, context));
    builder->lowest = builder->parent.lowest;
    builder->root = root;
    builder->root.top = builder->parent.source.top;
    *ret_builder = builder;
    return STATUS_OK;
}

void tree_builder_free(struct tree_builder *builder)
{
    memory_free(builder);
}

/* The subtree of LEVEL over BLOCK is REF now; the node above it is open. */
static void set_subtree(struct tree_builder *builder, uint64_t block, uint8_t level,
                        const struct ref *ref)
{
    if (level == builder->root.height)
        builder->root.top = *ref;
    else
        builder->nodes[level + 1].children[slot_over(block, level)] = *ref;
}

static bool same_ids(const struct tree_node *a, const struct tree_node *b)
{
    for (unsigned i = 0; i < TREE_FANOUT; i++)
        if (!id_equal(&a->children[i].id, &b->children[i].id))
            return false;
    return true;
}

/* How others name NODE, of a level that is open, as it is now: *ret_ref. */
static enum status emit_open(const struct tree_builder *builder, const struct tree_node *node,
                             struct ref *ret_ref, struct error *err)
{
    const struct tree_path *parent = &builder->parent;
    const struct parent_node *old = &parent->levels[node->level];

    *ret_ref = (struct ref){0};
    if (same_ids(node, &old->node)) {
        *ret_ref = old->ref;
        return STATUS_OK;
    }
    if (all_holes(node))
        return STATUS_OK;
    return parent->source.callbacks.emit(parent->source.context, node, ret_ref, err);
}

/* The lowest open node is complete. */
static enum status finish_lowest(struct tree_builder *builder, struct error *err)
{
    const struct tree_node *node = &builder->nodes[builder->lowest];
    struct ref ref;
    enum status st = emit_open(builder, node, &ref, err);

    if (st != STATUS_OK)
        return st;
    set_subtree(builder, node->index << (FANOUT_BITS * node->level), node->level, &ref);
    builder->lowest++;
    return STATUS_OK;
}

/* Opens the nodes over BLOCK down to the one above the subtree of LEVEL, and no other, finishing what is
 * open beside them. */
static enum status open_above(struct tree_builder *builder, uint64_t block, uint8_t level,
                              struct error *err)
{
    while (builder->lowest <= builder->root.height &&
           (builder->lowest <= level ||
            builder->nodes[builder->lowest].index != index_over(block, builder->lowest))) {
        enum status st = finish_lowest(builder, err);

        if (st != STATUS_OK)
            return st;
    }

    enum status st = path_open(&builder->parent, block, (uint8_t)(level + 1), err);

    if (st != STATUS_OK)
        return st;
    while (builder->lowest > level + 1) {
        builder->lowest--;
        builder->nodes[builder->lowest] = builder->parent.levels[builder->lowest].node;
    }
    return STATUS_OK;
}

/* COUNT blocks from BLOCK on are REF now: a hole, or COUNT is 1. */
static enum status change(struct tree_builder *builder, uint64_t block, uint64_t count,
                          const struct ref *ref, struct error *err)
{
    const struct shape *shape = &builder->parent.source.shape;

    INVARIANT(!builder->parent.closed);
    builder->parent.closed = true; /* until it is known better */

    enum status st = check_entry(shape, builder->parent.next, block, count, err);

    if (st != STATUS_OK)
        return st;

    uint64_t end = block + count;

    for (uint64_t at = block; at < end;) {
        uint8_t level = covered_level(shape, at, end, count);

        st = open_above(builder, at, level, err);
        if (st != STATUS_OK)
            return st;
        set_subtree(builder, at, level, ref);
        at = subtree_end(shape, at, level);
    }
    builder->parent.next = end;
    builder->parent.closed = false;
    return STATUS_OK;
}

enum status tree_builder_put(struct tree_builder *builder, uint64_t block, const struct ref *ref,
                             struct error *err)
{
    const struct ref hole = {0}; /* and no number */

    return change(builder, block, 1, id_is_hole(&ref->id) ? &hole : ref, err);
}

enum status tree_builder_put_holes(struct tree_builder *builder, uint64_t block, uint64_t count,
                                   struct error *err)
{
    const struct ref hole = {0};

    return change(builder, block, count, &hole, err);
}

enum status tree_builder_save(const struct tree_builder *builder, struct disk_root *ret_root,
                              struct error *err)
{
    struct disk_root root = builder->root;
    struct ref below = {0}; /* what stands for all that is open below LEVEL */

    INVARIANT(!builder->parent.closed);
    for (uint8_t level = builder->lowest; level <= root.height; level++) {
        struct tree_node node = builder->nodes[level];

        if (level > builder->lowest)
            node.children[builder->nodes[level - 1].index & FANOUT_MASK] = below;

        enum status st = emit_open(builder, &node, &below, err);

        if (st != STATUS_OK)
            return st;
        root.top = below; /* the last one is the top's */
    }
    *ret_root = root;
    return STATUS_OK;
}

enum status tree_builder_finish(struct tree_builder *builder, struct disk_root *ret_root,
                                struct error *err)
{
    INVARIANT(!builder->parent.closed);
    builder->parent.closed = true; /* it only takes tree_builder_free() from here */
    while (builder->lowest <= builder->root.height) {
        enum status st = finish_lowest(builder, err);

        if (st != STATUS_OK)
            return st;
    }
    *ret_root = builder->root;
    return STATUS_OK;
}

/* --- walking --- */

struct tree_walk {
    struct source source;
    uint64_t next;                          /* the first block not yet looked at */
    uint8_t lowest;                         /* open: NODES from here to the height */
    struct tree_node nodes[HEIGHT_MAX + 1]; /* 0: unused */
};

enum status tree_walk_new(const struct disk_root *root, const struct tree_callbacks *callbacks,
                          void *context, struct tree_walk **ret_walk, struct error *err)
{
    enum status st = check_root(root, "the root to be walked", err);

    if (st != STATUS_OK)
        return st;

    struct tree_walk *walk = memory_new(1, sizeof(*walk));

    if (walk == NULL)
        return error_set_no_memory(err, sizeof(*walk), "a walk over a block tree");
    walk->source = source_of(shape_of(root), root, callbacks, context);
    walk->lowest = (uint8_t)(walk->source.shape.height + 1);
    *ret_walk = walk;
    return STATUS_OK;
}

void tree_walk_free(struct tree_walk *walk)
{
    memory_free(walk);
}

enum status tree_walk_next(struct tree_walk *walk, uint64_t *ret_block, uint64_t *ret_count,
                           struct ref *ret_ref, bool *ret_end, struct error *err)
{
    const struct shape *shape = &walk->source.shape;

    while (walk->next < shape->blocks) {
        uint64_t at = walk->next;

        while (walk->lowest <= shape->height &&
               walk->nodes[walk->lowest].index != index_over(at, walk->lowest))
            walk->lowest++;

        /* The subtree below the lowest open node: AT is its first block. */
        uint8_t level = (uint8_t)(walk->lowest - 1);
        struct ref ref = level == shape->height
                             ? walk->source.top
                             : walk->nodes[walk->lowest].children[slot_over(at, level)];

        if (level > 0 && !id_is_hole(&ref.id)) {
            enum status st = read_node(&walk->source, at, level, &ref, &walk->nodes[level], err);

            if (st == STATUS_OK) {
                walk->lowest = level;
                continue;
            }
            walk->next = subtree_end(shape, at, level);
            *ret_block = at;
            *ret_count = walk->next - at;
            return st;
        }
        walk->next = subtree_end(shape, at, level);
        if (!id_is_hole(&ref.id)) {
            *ret_block = at;
            *ret_count = 1;
            *ret_ref = ref;
            *ret_end = false;
            return STATUS_OK;
        }
    }
    *ret_end = true;
    return STATUS_OK;
}
