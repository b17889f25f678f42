#include "coordinator/service/upload_messages.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "format/codec.h"

static bool take_id(ProtobufCBinaryData bytes, struct id *ret_id)
{
    if (bytes.len != sizeof(ret_id->bytes))
        return false;
    memcpy(ret_id->bytes, bytes.data, sizeof(ret_id->bytes));
    return true;
}

enum status upload_check_open(const Tidemark__V1__UploadOpen *open, struct upload_open *ret_open,
                              struct error *err)
{
    struct upload_open checked = {
        .task = slice_of(open->task.data, open->task.len),
        .geometry = {.size = open->size,
                     .block_size = open->block_size,
                     .logical_sector = open->logical_sector,
                     .physical_sector = open->physical_sector},
        .on_parent = open->parent_root.len > 0,
    };
    enum status st = STATUS_OK;

    /* What is checked needs the height that fits, which needs a size and a block size that can be. */
    if (checked.geometry.size == 0 || checked.geometry.size > DISK_SIZE_MAX ||
        checked.geometry.block_size < BLOCK_SIZE_MIN ||
        checked.geometry.block_size > BLOCK_SIZE_MAX)
        return error_set(err, STATUS_INVALID,
                         "no disk has %" PRIu64 " bytes in blocks of %" PRIu32 " bytes", open->size,
                         open->block_size);
    checked.geometry.height = disk_root_height(checked.geometry.size, checked.geometry.block_size);
    st = disk_root_check(&checked.geometry, err);
    if (st != STATUS_OK)
        return st;
    if (checked.on_parent &&
        (!take_id(open->parent_root, &checked.parent_root) || id_is_hole(&checked.parent_root)))
        return error_set(err, STATUS_INVALID, "the parent's root is no id: %zu bytes",
                         open->parent_root.len);
    *ret_open = checked;
    return STATUS_OK;
}

enum status upload_count_offer(const Tidemark__V1__Offer *offer, size_t *ret_count,
                               struct error *err)
{
    if (offer->n_blocks < 1 || offer->n_blocks > UPLOAD_ENTRIES_MAX)
        return error_set(err, STATUS_INVALID, "an offer has 1 to %d entries, this has %zu",
                         UPLOAD_ENTRIES_MAX, offer->n_blocks);
    *ret_count = offer->n_blocks;
    return STATUS_OK;
}

enum status upload_check_offer(const Tidemark__V1__Offer *offer, struct upload_order *order,
                               struct upload_entry *entries, struct error *err)
{
    size_t ranges = 0; /* of holes */

    if (offer->first_seq != order->next_seq)
        return error_set(err, STATUS_INVALID,
                         "an offer begins with entry %" PRIu64 ", the next one is %" PRIu64,
                         offer->first_seq, order->next_seq);
    if (offer->ids.len != offer->n_blocks * ID_SIZE)
        return error_set(err, STATUS_INVALID, "an offer of %zu entries has %zu bytes of ids",
                         offer->n_blocks, offer->ids.len);
    for (size_t i = 0; i < offer->n_blocks; i++) {
        struct upload_entry *entry = &entries[i];
        uint64_t end = 0;

        *entry = (struct upload_entry){.block = offer->blocks[i], .count = 1};
        memcpy(entry->id.bytes, offer->ids.data + i * ID_SIZE, ID_SIZE);
        entry->state = id_is_hole(&entry->id) ? UPLOAD_HOLES : UPLOAD_OFFERED;
        if (entry->state == UPLOAD_HOLES) {
            if (ranges == offer->n_hole_counts)
                return error_set(err, STATUS_INVALID,
                                 "an offer does not say how many holes begin at block %" PRIu64,
                                 entry->block);
            entry->count = offer->hole_counts[ranges++];
        }
        if (entry->block < order->next_block)
            return error_set(err, STATUS_INVALID,
                             "block %" PRIu64 " is offered after block %" PRIu64, entry->block,
                             order->next_block - 1);
        if (entry->count == 0 || !checked_add(entry->block, entry->count, &end) ||
            end > order->blocks)
            return error_set(err, STATUS_INVALID,
                             "%" PRIu64 " blocks from block %" PRIu64
                             " on are offered, the disk has %" PRIu64,
                             entry->count, entry->block, order->blocks);
        order->next_block = end;
    }
    if (ranges != offer->n_hole_counts)
        return error_set(err, STATUS_INVALID, "an offer of %zu ranges of holes has %zu counts",
                         ranges, offer->n_hole_counts);
    order->next_seq += offer->n_blocks; /* at most one for each block of a disk: it fits */
    return STATUS_OK;
}

enum status upload_check_blocks(const Tidemark__V1__Blocks *blocks, struct error *err)
{
    uint64_t sum = 0;

    if (blocks->n_blocks == 0)
        return error_set(err, STATUS_INVALID, "a message of blocks has none");
    for (size_t i = 0; i < blocks->n_blocks; i++)
        sum += blocks->blocks[i]->data.len; /* all are in memory: it fits */
    if (sum > UPLOAD_BLOCKS_BYTES_MAX)
        return error_set(err, STATUS_INVALID,
                         "a message has %" PRIu64 " bytes of blocks, at most %d are allowed", sum,
                         UPLOAD_BLOCKS_BYTES_MAX);
    return STATUS_OK;
}

enum status upload_check_block(const Tidemark__V1__BlockData *block, uint32_t length,
                               struct error *err)
{
    if (block->codec != CODEC_PLAIN && block->codec != CODEC_ZSTD)
        return error_set(err, STATUS_UNSUPPORTED,
                         "entry %" PRIu64 " is packed by codec %" PRIu32
                         ", which is not known here",
                         block->seq, block->codec);
    if (block->data.len == 0 || block->data.len > length ||
        (block->codec == CODEC_PLAIN && block->data.len != length))
        return error_set(err, STATUS_INVALID,
                         "entry %" PRIu64 ": %zu bytes cannot be a block of %" PRIu32, block->seq,
                         block->data.len, length);
    return STATUS_OK;
}

enum status upload_check_end(const Tidemark__V1__UploadEnd *end, struct id *ret_root,
                             struct error *err)
{
    if (!take_id(end->root, ret_root))
        return error_set(err, STATUS_INVALID, "a root's id has %d bytes, this has %zu", ID_SIZE,
                         end->root.len);
    return STATUS_OK;
}
