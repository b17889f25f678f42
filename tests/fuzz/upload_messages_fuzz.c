/* tests/fuzz/upload_messages_fuzz.c: an agent's side of an upload, as the coordinator checks it. The input is a row of messages,
 * each {u16le length, that many bytes}. Whatever they say: entries that were accepted ascend, do not overlap, lie inside the disk, and are
 * numbered without gaps. */
#include "coordinator/service/upload_messages.h"

#include <stdbool.h>

#include "base/cursor.h"
#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct stream {
    bool open;
    struct upload_open opened;
    struct upload_order order;
};

static void check_entries(const struct upload_order *before, const struct upload_order *after,
                          const struct upload_entry *entries, size_t count)
{
    uint64_t next = before->next_block;

    for (size_t i = 0; i < count; i++) {
        const struct upload_entry *entry = &entries[i];

        INVARIANT(entry->block >= next);
        INVARIANT(entry->count >= 1 && entry->count <= after->blocks - entry->block);
        INVARIANT((entry->state == UPLOAD_HOLES) == id_is_hole(&entry->id));
        INVARIANT(entry->state == UPLOAD_HOLES || entry->count == 1);
        next = entry->block + entry->count;
    }
    INVARIANT(after->next_block == next && after->next_seq == before->next_seq + count);
}

static bool take_offer(struct stream *stream, const Tidemark__V1__Offer *offer)
{
    struct upload_entry entries[UPLOAD_ENTRIES_MAX];
    struct upload_order before = stream->order;
    size_t count = 0;
    struct error err = {0};

    if (upload_count_offer(offer, &count, &err) != STATUS_OK ||
        upload_check_offer(offer, &stream->order, entries, &err) != STATUS_OK)
        return false;
    check_entries(&before, &stream->order, entries, count);
    return true;
}

static bool take_blocks(const struct stream *stream, const Tidemark__V1__Blocks *blocks)
{
    struct error err = {0};

    if (upload_check_blocks(blocks, &err) != STATUS_OK)
        return false;
    for (size_t i = 0; i < blocks->n_blocks; i++)
        if (upload_check_block(blocks->blocks[i], stream->opened.geometry.block_size, &err) ==
            STATUS_OK)
            INVARIANT(blocks->blocks[i]->data.len <= stream->opened.geometry.block_size);
    return true;
}

/* False: the stream is over. */
static bool take(struct stream *stream, const Tidemark__V1__UploadRequest *message)
{
    struct error err = {0};
    struct id root;

    if (message->kind_case == TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN && !stream->open) {
        if (upload_check_open(message->open, &stream->opened, &err) != STATUS_OK)
            return false;
        stream->open = true;
        stream->order.blocks =
            disk_root_blocks(stream->opened.geometry.size, stream->opened.geometry.block_size);
        return true;
    }
    if (!stream->open)
        return false;
    if (message->kind_case == TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER)
        return take_offer(stream, message->offer);
    if (message->kind_case == TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS)
        return take_blocks(stream, message->blocks);
    if (message->kind_case == TIDEMARK__V1__UPLOAD_REQUEST__KIND_END)
        DISCARD(upload_check_end(message->end, &root, &err)); /* either way it is over */
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct cursor cursor = cursor_of(slice_of(input, size));
    struct stream stream = {0};
    bool more = true;

    while (more && cursor_left(&cursor) > 0) {
        uint16_t length = cursor_u16le(&cursor);
        struct slice bytes = cursor_take(&cursor, length);
        Tidemark__V1__UploadRequest *message =
            cursor_ok(&cursor) ? tidemark__v1__upload_request__unpack(NULL, bytes.size, bytes.data)
                               : NULL;

        more = message != NULL && take(&stream, message);
        if (message != NULL)
            tidemark__v1__upload_request__free_unpacked(message, NULL);
    }
    return 0;
}
