#include "agent/upload_answers.h"

#include <inttypes.h>
#include <string.h>

#include "format/tree.h"

enum status upload_answers_opened(const Tidemark__V1__UploadOpened *opened,
                                  const struct parent *parent, const struct disk_info *info,
                                  uint32_t block_size, const struct hash_key *id_key,
                                  struct disk_root *ret_root, struct error *err)
{
    ProtobufCBinaryData root = opened->parent_root;

    if (parent != NULL)
        return parent_check_root(parent, info, id_key, slice_of(root.data, root.len), ret_root,
                                 err);
    if (root.len != 0)
        return error_set(err, STATUS_INVALID,
                         "the coordinator sent a parent's root that was not asked for");
    *ret_root = (struct disk_root){.size = info->size,
                                   .block_size = block_size,
                                   .logical_sector = info->logical_sector,
                                   .physical_sector = info->physical_sector};
    return STATUS_OK;
}

enum status upload_answers_nodes(const Tidemark__V1__Want *want, uint64_t first_seq,
                                 struct buffer *nodes, struct error *err)
{
    if (want->first_seq != first_seq)
        return error_set(err, STATUS_INVALID,
                         "the coordinator answers the offer at %" PRIu64
                         ", and it is the turn of that at %" PRIu64,
                         want->first_seq, first_seq);
    if (want->nodes.len % NODE_PLAIN_SIZE != 0 || (want->more && want->nodes.len == 0) ||
        (want->more && want->bitmap.len != 0))
        return error_set(err, STATUS_INVALID,
                         "the coordinator sent %zu bytes as the parent's nodes", want->nodes.len);
    buffer_put(nodes, slice_of(want->nodes.data, want->nodes.len));
    return buffer_check(nodes, "the parent's nodes of one offer", err);
}

bool upload_answers_wants(const Tidemark__V1__Want *want, size_t entry)
{
    return (want->bitmap.data[entry / 8] & 1U << entry % 8) != 0;
}

enum status upload_answers_bitmap(const Tidemark__V1__Want *want, const struct offer_entry *entries,
                                  size_t count, struct error *err)
{
    size_t length = want->bitmap.len;

    if (length != (count + 7) / 8)
        return error_set(err, STATUS_INVALID,
                         "the coordinator wants blocks by %zu bytes of an offer of %zu entries",
                         length, count);
    for (size_t i = 0; i < length * 8; i++)
        if (upload_answers_wants(want, i) && (i >= count || entries[i].holes != 0))
            return error_set(err, STATUS_INVALID,
                             "the coordinator wants entry %zu of an offer, which is no block", i);
    return STATUS_OK;
}

enum status upload_answers_closed(const Tidemark__V1__UploadClosed *closed,
                                  const struct id *root_id, struct error *err)
{
    if (closed->root.len != ID_SIZE || memcmp(closed->root.data, root_id->bytes, ID_SIZE) != 0)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator has another root of the disk than this host has read");
    return STATUS_OK;
}
