#include "coordinator/store/disk_tree.h"

#include <inttypes.h>

#include "base/memory.h"

/* --- nodes ------------------------------------------------------------------------------------- */

/* Where nodes come from and go to. */
struct node_source {
    struct store *store;
    const struct store_domain *domain;
    uint64_t generation;  /* of the store when the tree was begun: void records are none of its */
    struct buffer stored; /* scratch */
    struct buffer *plain; /* while touching: gets the plain form of each node that is read */
};

static void source_init(struct node_source *source, struct store *store,
                        const struct store_domain *domain)
{
    *source = (struct node_source){.store = store,
                                   .domain = domain,
                                   .generation = store_generation(store)};
    buffer_init(&source->stored, RECORD_PLAIN_MAX);
}

static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct node_source *source = context;
    struct id id;
    enum status st = store_read(source->store, source->domain, (uint8_t)(KIND_NODE + level), ref,
                                &source->stored, err);

    if (st != STATUS_OK)
        return st;
    ret_node->level = level;
    ret_node->index = index;
    st = tree_node_decode(buffer_slice(&source->stored), ret_node, err);
    if (st == STATUS_OK)
        st = tree_node_id(source->domain->id_key, ret_node, &id, err);
    if (st == STATUS_OK && !id_equal(&id, &ref->id))
        st = error_set(err, STATUS_CORRUPT, "its children are not what its id stands for");
    if (st != STATUS_OK)
        return error_wrap(err, "node %" PRIu64 " of level %u (record %" PRIu64 ")", index,
                          (unsigned)level, ref->number);
    return STATUS_OK;
}

static enum status read_touched(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                                struct tree_node *ret_node, struct error *err)
{
    struct node_source *source = context;
    uint8_t plain[NODE_PLAIN_SIZE];
    enum status st = read_node(context, level, index, ref, ret_node, err);

    if (st != STATUS_OK)
        return st;
    tree_node_encode_plain(ret_node, plain);
    buffer_put(source->plain, slice_of(plain, sizeof(plain)));
    return STATUS_OK;
}

static enum status store_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                              struct error *err)
{
    struct node_source *source = context;
    uint8_t plain[NODE_PLAIN_SIZE];
    uint8_t stored[NODE_STORED_SIZE];

    tree_node_encode_plain(node, plain);
    tree_node_encode_stored(node, stored);
    return store_put(source->store, source->domain, (uint8_t)(KIND_NODE + node->level),
                     slice_of(plain, sizeof(plain)), slice_of(stored, sizeof(stored)), ret_ref,
                     err);
}

static const struct tree_callbacks building = {.read = read_node, .emit = store_node};
static const struct tree_callbacks touching = {.read = read_touched, .emit = store_node};

/* --- roots ------------------------------------------------------------------------------------- */

static bool is_file(const struct disk_root *geometry)
{
    return geometry->logical_sector == 0 && geometry->physical_sector == 0;
}

static enum status decode_root(uint8_t kind, struct slice stored, struct disk_root *ret_root,
                               struct error *err)
{
    return kind == KIND_DISK_ROOT ? disk_root_decode(stored, ret_root, err)
                                  : file_root_decode(stored, ret_root, err);
}

static enum status root_id(uint8_t kind, const struct hash_key *id_key,
                           const struct disk_root *root, struct id *ret_id, struct error *err)
{
    return kind == KIND_DISK_ROOT ? disk_root_id(id_key, root, ret_id, err)
                                  : file_root_id(id_key, root, ret_id, err);
}

static enum status read_root(struct store *store, const struct store_domain *domain, uint8_t kind,
                             const struct ref *ref, struct disk_root *ret_root, struct error *err)
{
    struct disk_root root;
    struct buffer stored;
    struct id id;

    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status st = store_read(store, domain, kind, ref, &stored, err);

    if (st == STATUS_OK)
        st = decode_root(kind, buffer_slice(&stored), &root, err);
    if (st == STATUS_OK)
        st = root_id(kind, domain->id_key, &root, &id, err);
    if (st == STATUS_OK && !id_equal(&id, &ref->id))
        st = error_set(err, STATUS_CORRUPT,
                       "record %" PRIu64 ": the root is not what its id stands for", ref->number);
    if (st == STATUS_OK)
        *ret_root = root;
    buffer_deinit(&stored);
    return st;
}

enum status disk_tree_read_root(struct store *store, const struct store_domain *domain,
                                const struct ref *ref, struct disk_root *ret_root,
                                struct error *err)
{
    return read_root(store, domain, KIND_DISK_ROOT, ref, ret_root, err);
}

enum status disk_tree_read_file_root(struct store *store, const struct store_domain *domain,
                                     const struct ref *ref, struct disk_root *ret_root,
                                     struct error *err)
{
    return read_root(store, domain, KIND_FILE_ROOT, ref, ret_root, err);
}

static enum status put_root(struct node_source *source, const struct disk_root *root,
                            struct ref *ret_ref, struct error *err)
{
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    uint8_t stored[DISK_ROOT_STORED_SIZE];

    disk_root_encode_plain(root, plain);
    disk_root_encode_stored(root, stored);
    return store_put(source->store, source->domain, is_file(root) ? KIND_FILE_ROOT : KIND_DISK_ROOT,
                     slice_of(plain, sizeof(plain)), slice_of(stored, sizeof(stored)), ret_ref,
                     err);
}

/* --- growing ----------------------------------------------------------------------------------- */

struct disk_tree {
    struct node_source source;
    struct disk_root parent;
    bool has_parent;
    struct tree_builder *builder;
    struct tree_path *path; /* NULL: no parent */
};

static enum status read_parent(struct disk_tree *tree, const struct disk_root *geometry,
                               const struct id *id, struct error *err)
{
    struct store *store = tree->source.store;
    struct disk_root *parent = &tree->parent;
    const struct store_domain *domain = tree->source.domain;
    struct ref ref = {.id = *id};
    enum status st = store_find(store, domain, id, 1, &ref.number, err);

    if (st == STATUS_OK && ref.number == 0)
        return error_set(err, STATUS_NOT_FOUND, "the parent's root is not here");
    if (st == STATUS_OK)
        st = read_root(store, domain, is_file(geometry) ? KIND_FILE_ROOT : KIND_DISK_ROOT, &ref,
                       parent, err);
    if (st != STATUS_OK)
        return st;
    if (parent->size != geometry->size || parent->block_size != geometry->block_size ||
        parent->logical_sector != geometry->logical_sector ||
        parent->physical_sector != geometry->physical_sector)
        return error_set(err, STATUS_PRECONDITION,
                         "the parent is a disk of %" PRIu64 " bytes in blocks of %" PRIu32
                         " and sectors of %" PRIu32 "/%" PRIu32 ", this one has %" PRIu64
                         ", %" PRIu32 " and %" PRIu32 "/%" PRIu32,
                         parent->size, parent->block_size, parent->logical_sector,
                         parent->physical_sector, geometry->size, geometry->block_size,
                         geometry->logical_sector, geometry->physical_sector);
    tree->has_parent = true;
    return STATUS_OK;
}

enum status disk_tree_new(struct store *store, const struct store_domain *domain,
                          const struct disk_root *geometry, const struct id *parent,
                          struct disk_tree **ret_tree, struct error *err)
{
    struct disk_tree *tree = memory_new(1, sizeof(*tree));

    if (tree == NULL)
        return error_set_no_memory(err, sizeof(*tree), "a disk's tree");
    source_init(&tree->source, store, domain);

    enum status st = STATUS_OK;

    if (parent != NULL)
        st = read_parent(tree, geometry, parent, err);
    if (st == STATUS_OK)
        st = tree_builder_new(geometry, disk_tree_parent(tree), &building, &tree->source,
                              &tree->builder, err);
    if (st == STATUS_OK && tree->has_parent)
        st = tree_path_new(&tree->parent, &touching, &tree->source, &tree->path, err);
    if (st != STATUS_OK) {
        disk_tree_free(tree);
        return st;
    }
    *ret_tree = tree;
    return STATUS_OK;
}

void disk_tree_free(struct disk_tree *tree)
{
    if (tree == NULL)
        return;
    tree_path_free(tree->path);
    tree_builder_free(tree->builder);
    buffer_deinit(&tree->source.stored);
    memory_free(tree);
}

const struct disk_root *disk_tree_parent(const struct disk_tree *tree)
{
    return tree->has_parent ? &tree->parent : NULL;
}

/* STATUS_ABORTED: what the tree is made of may be void. */
static enum status check_generation(const struct disk_tree *tree, struct error *err)
{
    if (tree->source.generation == store_generation(tree->source.store))
        return STATUS_OK;
    return error_set(err, STATUS_ABORTED,
                     "a sync has failed since this disk was begun: it must be uploaded again");
}

enum status disk_tree_touch(struct disk_tree *tree, uint64_t block, uint64_t count, bool holes,
                            struct buffer *target, struct error *err)
{
    enum status st = check_generation(tree, err);

    if (st != STATUS_OK || tree->path == NULL)
        return st;
    tree->source.plain = target;
    st = tree_path_touch(tree->path, block, count, holes, err);
    tree->source.plain = NULL;
    return st == STATUS_OK ? buffer_check(target, "the parent's nodes", err) : st;
}

enum status disk_tree_put(struct disk_tree *tree, uint64_t block, const struct ref *ref,
                          struct error *err)
{
    enum status st = check_generation(tree, err);

    return st == STATUS_OK ? tree_builder_put(tree->builder, block, ref, err) : st;
}

enum status disk_tree_put_holes(struct disk_tree *tree, uint64_t block, uint64_t count,
                                struct error *err)
{
    enum status st = check_generation(tree, err);

    return st == STATUS_OK ? tree_builder_put_holes(tree->builder, block, count, err) : st;
}

enum status disk_tree_save(struct disk_tree *tree, struct ref *ret_ref, struct error *err)
{
    struct disk_root root;
    enum status st = check_generation(tree, err);

    if (st == STATUS_OK)
        st = tree_builder_save(tree->builder, &root, err);
    if (st == STATUS_OK) /* the nodes' own appends may have met a failed sync */
        st = check_generation(tree, err);
    return st == STATUS_OK ? put_root(&tree->source, &root, ret_ref, err) : st;
}

enum status disk_tree_finish(struct disk_tree *tree, struct disk_root *ret_root,
                             struct ref *ret_ref, struct error *err)
{
    struct disk_root root;
    enum status st = check_generation(tree, err);

    if (st == STATUS_OK)
        st = tree_builder_finish(tree->builder, &root, err);
    if (st == STATUS_OK) /* as above */
        st = check_generation(tree, err);
    if (st == STATUS_OK)
        st = put_root(&tree->source, &root, ret_ref, err);
    if (st == STATUS_OK)
        *ret_root = root;
    return st;
}

/* --- walking ----------------------------------------------------------------------------------- */

struct disk_walk {
    struct node_source source;
    struct tree_walk *walk;
};

enum status disk_walk_new(struct store *store, const struct store_domain *domain,
                          const struct disk_root *root, struct disk_walk **ret_walk,
                          struct error *err)
{
    struct disk_walk *walk = memory_new(1, sizeof(*walk));

    if (walk == NULL)
        return error_set_no_memory(err, sizeof(*walk), "a walk over a disk's tree");
    source_init(&walk->source, store, domain);

    enum status st = tree_walk_new(root, &building, &walk->source, &walk->walk, err);

    if (st != STATUS_OK) {
        disk_walk_free(walk);
        return st;
    }
    *ret_walk = walk;
    return STATUS_OK;
}

void disk_walk_free(struct disk_walk *walk)
{
    if (walk == NULL)
        return;
    tree_walk_free(walk->walk);
    buffer_deinit(&walk->source.stored);
    memory_free(walk);
}

enum status disk_walk_next(struct disk_walk *walk, uint64_t *ret_block, uint64_t *ret_count,
                           struct ref *ret_ref, bool *ret_end, struct error *err)
{
    return tree_walk_next(walk->walk, ret_block, ret_count, ret_ref, ret_end, err);
}
