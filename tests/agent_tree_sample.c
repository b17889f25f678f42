#include "tests/agent_tree_sample.h"

#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"

enum { BLOCK = 4096 };

static enum status read_kept(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct agent_tree_sample *sample = context;

    for (size_t i = 0; i < sample->kept_count; i++) {
        if (!id_equal(&sample->kept[i].id, &ref->id))
            continue;
        ret_node->level = level;
        ret_node->index = index;
        return tree_node_decode(slice_of(sample->kept[i].plain, NODE_PLAIN_SIZE), ret_node, err);
    }
    return error_set(err, STATUS_NOT_FOUND, "there is no such node");
}

static enum status read_to_send(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                                struct tree_node *ret_node, struct error *err)
{
    struct agent_tree_sample *sample = context;
    uint8_t plain[NODE_PLAIN_SIZE];

    INVARIANT(read_kept(context, level, index, ref, ret_node, err) == STATUS_OK);
    tree_node_encode_plain(ret_node, plain);
    buffer_put(&sample->nodes, slice_of(plain, sizeof(plain)));
    return STATUS_OK;
}

static enum status name_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    const struct agent_tree_sample *sample = context;
    struct ref ref = {{{0}}, 0};

    INVARIANT(tree_node_id(sample->id_key, node, &ref.id, err) == STATUS_OK);
    *ret_ref = ref;
    return STATUS_OK;
}

static enum status keep_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    struct agent_tree_sample *sample = context;

    INVARIANT(name_node(context, node, ret_ref, err) == STATUS_OK);
    INVARIANT(sample->kept_count < AGENT_TREE_NODES_MAX);
    sample->kept[sample->kept_count].id = ret_ref->id;
    tree_node_encode_plain(node, sample->kept[sample->kept_count].plain);
    sample->kept_count++;
    return STATUS_OK;
}

static void put(struct agent_tree_sample *sample, uint64_t block)
{
    struct ref ref = {{{0}}, 0};
    struct error err = {0};

    memcpy(ref.id.bytes, &block, sizeof(block));
    ref.id.bytes[ID_SIZE - 1] = 1;
    INVARIANT(tree_builder_put(sample->model, block, &ref, &err) == STATUS_OK);
}

void agent_tree_sample_make(struct agent_tree_sample *sample)
{
    static const struct tree_callbacks keeping = {.read = read_kept, .emit = keep_node};
    struct disk_root geometry = {.size = (uint64_t)AGENT_TREE_BLOCKS * BLOCK - 512,
                                 .block_size = BLOCK,
                                 .logical_sector = 512,
                                 .physical_sector = 4096};
    struct error err = {0};

    *sample = (struct agent_tree_sample){0};
    buffer_init(&sample->nodes, OFFER_NODES_MAX);
    sample->kept = memory_new(AGENT_TREE_NODES_MAX, sizeof(*sample->kept));
    INVARIANT(sample->kept != NULL);
    INVARIANT(hash_key_new(slice_of_text("a key of any length"), &sample->id_key, &err) ==
              STATUS_OK);
    INVARIANT(tree_builder_new(&geometry, NULL, &keeping, sample, &sample->model, &err) ==
              STATUS_OK);
    for (uint64_t block = 0; block < 300; block++)
        put(sample, block);
    for (uint64_t block = 16384; block < AGENT_TREE_BLOCKS; block += 7)
        put(sample, block);
    INVARIANT(tree_builder_finish(sample->model, &sample->root, &err) == STATUS_OK);
    INVARIANT(disk_root_id(sample->id_key, &sample->root, &sample->root_id, &err) == STATUS_OK);
    agent_tree_sample_restart(sample);
}

void agent_tree_sample_deinit(struct agent_tree_sample *sample)
{
    tree_path_free(sample->path);
    tree_builder_free(sample->model);
    buffer_deinit(&sample->nodes);
    hash_key_free(sample->id_key);
    memory_free(sample->kept);
}

void agent_tree_sample_restart(struct agent_tree_sample *sample)
{
    static const struct tree_callbacks sending = {.read = read_to_send, .emit = name_node};
    static const struct tree_callbacks modelling = {.read = read_kept, .emit = name_node};
    struct error err = {0};

    tree_path_free(sample->path);
    tree_builder_free(sample->model);
    INVARIANT(tree_path_new(&sample->root, &sending, sample, &sample->path, &err) == STATUS_OK);
    INVARIANT(tree_builder_new(&sample->root, &sample->root, &modelling, sample, &sample->model,
                               &err) == STATUS_OK);
}

void agent_tree_sample_offer(struct agent_tree_sample *sample, const struct offer_entry *entries,
                             size_t count)
{
    struct error err = {0};

    buffer_clear(&sample->nodes);
    for (size_t i = 0; i < count; i++) {
        const struct offer_entry *entry = &entries[i];
        struct ref ref = {entry->id, 0};
        bool holes = entry->holes != 0;

        INVARIANT(tree_path_touch(sample->path, entry->block, holes ? entry->holes : 1, holes,
                                  &err) == STATUS_OK);
        if (holes)
            INVARIANT(tree_builder_put_holes(sample->model, entry->block, entry->holes, &err) ==
                      STATUS_OK);
        else
            INVARIANT(tree_builder_put(sample->model, entry->block, &ref, &err) == STATUS_OK);
    }
    INVARIANT(buffer_check(&sample->nodes, "nodes", &err) == STATUS_OK);
}

void agent_tree_sample_finish(struct agent_tree_sample *sample, struct id *ret_root_id)
{
    struct disk_root root = {0};
    struct error err = {0};

    INVARIANT(tree_builder_finish(sample->model, &root, &err) == STATUS_OK);
    INVARIANT(disk_root_id(sample->id_key, &root, ret_root_id, &err) == STATUS_OK);
}
