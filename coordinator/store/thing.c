#include "coordinator/store/thing.h"

#include "base/memory.h"
#include "format/disk_root.h"
#include "format/manifest.h"
#include "format/tree.h"

unsigned thing_rank(uint8_t kind)
{
    switch (kind) {
    case KIND_BLOCK:
        return 0;
    case KIND_BODY:
        return 1;
    case KIND_DISK_ROOT:
    case KIND_FILE_ROOT:
        return THING_RANK_MAX - 1;
    case KIND_ENVELOPE:
        return THING_RANK_MAX;
    default:
        return 1U + (kind - KIND_NODE);
    }
}

typedef enum status each_ref(void *arg, const struct ref *ref, struct error *err);

static enum status node_id(const struct hash_key *id_key, uint8_t kind, struct slice stored,
                           struct id *ret_id, struct error *err)
{
    struct tree_node *node = memory_new(1, sizeof(*node));

    if (node == NULL)
        return error_set_no_memory(err, sizeof(*node), "a node");
    node->level = (uint8_t)(kind - KIND_NODE);
    enum status st = tree_node_decode(stored, node, err);

    if (st == STATUS_OK)
        st = tree_node_id(id_key, node, ret_id, err);
    memory_free(node);
    return st;
}

static enum status id_of_stored(const struct hash_key *id_key, uint8_t kind, struct slice stored,
                                struct id *ret_id, struct error *err)
{
    struct disk_root root;
    struct envelope envelope = {0};
    enum status st = STATUS_OK;

    switch (kind) {
    case KIND_BLOCK:
    case KIND_BODY:
        return id_of(id_key, kind, stored, ret_id, err);
    case KIND_DISK_ROOT:
        st = disk_root_decode(stored, &root, err);
        return st == STATUS_OK ? disk_root_id(id_key, &root, ret_id, err) : st;
    case KIND_FILE_ROOT:
        st = file_root_decode(stored, &root, err);
        return st == STATUS_OK ? file_root_id(id_key, &root, ret_id, err) : st;
    case KIND_ENVELOPE:
        st = envelope_decode_stored(stored, &envelope, err);
        if (st == STATUS_OK)
            st = envelope_id(id_key, &envelope, ret_id, err);
        envelope_deinit(&envelope);
        return st;
    default:
        return node_id(id_key, kind, stored, ret_id, err);
    }
}

enum status thing_check(const struct hash_key *id_key, uint8_t kind, struct slice stored,
                        const struct id *id, struct error *err)
{
    char name[KIND_TEXT_SIZE];
    struct id found;
    enum status st = id_of_stored(id_key, kind, stored, &found, err);

    kind_text(kind, name);
    if (st != STATUS_OK)
        return error_wrap(err, "%s", name);
    if (!id_equal(&found, id))
        return error_set(err, STATUS_CORRUPT, "the %s's content is not what its id stands for",
                         name);
    return STATUS_OK;
}

static enum status refs_of_node(uint8_t kind, struct slice stored, each_ref *each, void *arg,
                                struct error *err)
{
    struct tree_node *node = memory_new(1, sizeof(*node));

    if (node == NULL)
        return error_set_no_memory(err, sizeof(*node), "a node");
    node->level = (uint8_t)(kind - KIND_NODE);
    enum status st = tree_node_decode(stored, node, err);

    for (size_t i = 0; st == STATUS_OK && i < TREE_FANOUT; i++) {
        if (!id_is_hole(&node->children[i].id))
            st = each(arg, &node->children[i], err);
    }
    memory_free(node);
    return st;
}

static enum status refs_of_envelope(struct slice stored, each_ref *each, void *arg,
                                    struct error *err)
{
    struct envelope envelope = {0};
    enum status st = envelope_decode_stored(stored, &envelope, err);

    for (uint16_t i = 0; st == STATUS_OK && i < envelope.disk_count; i++)
        st = each(arg, &envelope.disks[i].root, err);
    for (uint16_t i = 0; st == STATUS_OK && i < envelope.file_count; i++)
        st = each(arg, &envelope.files[i].root, err);
    if (st == STATUS_OK)
        st = each(arg, &envelope.body, err);
    envelope_deinit(&envelope);
    return st;
}

enum status thing_each_ref(uint8_t kind, struct slice stored, each_ref *each, void *arg,
                           struct error *err)
{
    struct disk_root root;
    enum status st = STATUS_OK;

    switch (kind) {
    case KIND_BLOCK:
    case KIND_BODY:
        return STATUS_OK;
    case KIND_DISK_ROOT:
    case KIND_FILE_ROOT:
        st = kind == KIND_DISK_ROOT ? disk_root_decode(stored, &root, err)
                                    : file_root_decode(stored, &root, err);
        if (st == STATUS_OK && !id_is_hole(&root.top.id))
            st = each(arg, &root.top, err);
        return st;
    case KIND_ENVELOPE:
        return refs_of_envelope(stored, each, arg, err);
    default:
        return refs_of_node(kind, stored, each, arg, err);
    }
}
