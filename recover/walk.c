#include "recover/walk.h"

#include "base/buffer.h"
#include "format/record.h"
#include "format/tree.h"

struct source {
    struct things *things;
    const struct random_id *domain;
    struct buffer stored;
};

static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct source *source = context;
    enum status st = things_read(source->things, source->domain, (uint8_t)(KIND_NODE + level), ref,
                                 &source->stored, err);

    (void)index; /* its content does not depend on where it stands */
    if (st == STATUS_OK)
        st = tree_node_decode(buffer_slice(&source->stored), ret_node, err);
    return st;
}

uint64_t walk_length(const struct disk_root *root, uint64_t block, uint64_t count)
{
    uint64_t offset = block * root->block_size; /* inside the disk, so it fits */
    uint64_t left = root->size - offset;

    return count > left / root->block_size ? left : count * root->block_size;
}

enum status walk_tree(struct things *things, const struct random_id *domain,
                      const struct disk_root *root, const struct walk_calls *calls, void *arg,
                      struct error *err)
{
    const struct tree_callbacks callbacks = {.read = read_node};
    struct source source = {.things = things, .domain = domain};
    struct tree_walk *walk = NULL;
    bool end = false;

    buffer_init(&source.stored, RECORD_PLAIN_MAX);

    enum status st = tree_walk_new(root, &callbacks, &source, &walk, err);

    while (st == STATUS_OK && !end) {
        struct error why = {0};
        struct ref ref = {.number = 0};
        uint64_t block = 0;
        uint64_t count = 0;

        st = tree_walk_next(walk, &block, &count, &ref, &end, &why);
        if (things_lost(st))
            st = calls->lost(arg, block * root->block_size, walk_length(root, block, count), &why,
                             err);
        else if (st != STATUS_OK)
            *err = why;
        else if (!end)
            st = calls->block(arg, block, &ref, err);
    }
    tree_walk_free(walk);
    buffer_deinit(&source.stored);
    return st;
}
