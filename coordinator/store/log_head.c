#include "coordinator/store/log_head.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/memory.h"

enum { VERSION = 0, MAGIC_SIZE = 4, CRC_SIZE = 4, SLOTS = 2 };

static const uint8_t magic[MAGIC_SIZE] = {'T', 'M', 'h', 'd'};

struct log_head {
    struct fs_file *file;
    uint64_t turn; /* of the slot that was written last; 0: none, or it is */
    bool has_known;
    struct store_head known;
};

static uint64_t offset_of(uint64_t turn)
{
    return turn % SLOTS * LOG_HEAD_SLOT_SPACING;
}

/* After the highest turn comes 0. Of two that differ by an odd number one is always later. */
static bool is_later(uint64_t turn, uint64_t than)
{
    return turn - than < than - turn;
}

/* False: BYTES are no sound slot. */
static bool decode_slot(struct slice bytes, uint64_t *ret_turn, struct store_head *ret_head)
{
    struct cursor c = cursor_of(bytes);
    struct store_head head = {.sequence = 0};
    struct slice begin = cursor_take(&c, sizeof(magic));
    uint8_t version = cursor_u8(&c);
    struct slice reserved = cursor_take(&c, 3);
    uint64_t turn = cursor_u64le(&c);

    cursor_copy(&c, head.writer.bytes, sizeof(head.writer.bytes));
    head.sequence = cursor_u64le(&c);
    cursor_copy(&c, head.hash.bytes, sizeof(head.hash.bytes));

    struct slice summed = slice_of(bytes.data, c.offset);
    uint32_t crc = cursor_u32le(&c);

    if (!cursor_end(&c) || !slice_equal(begin, slice_of(magic, sizeof(magic))) ||
        crc != hash_crc32c(0, summed) || version != VERSION || !slice_is_zero(reserved))
        return false;
    *ret_turn = turn;
    *ret_head = head;
    return true;
}

static void encode_slot(uint64_t turn, const struct store_head *head, struct buffer *target)
{
    buffer_put(target, slice_of(magic, sizeof(magic)));
    buffer_put_u8(target, VERSION);
    buffer_put_u8(target, 0);
    buffer_put_u16le(target, 0);
    buffer_put_u64le(target, turn);
    buffer_put(target, slice_of(head->writer.bytes, sizeof(head->writer.bytes)));
    buffer_put_u64le(target, head->sequence);
    buffer_put(target, slice_of(head->hash.bytes, sizeof(head->hash.bytes)));
    buffer_put_u32le(target, hash_crc32c(0, buffer_slice(target)));
}

static enum status read_slots(struct log_head *head, struct error *err)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        uint8_t bytes[LOG_HEAD_SLOT_SIZE];
        struct store_head found;
        uint64_t turn = 0;
        size_t got = 0;
        enum status st = fs_read_at(head->file, offset_of(i), bytes, sizeof(bytes), &got, err);

        if (st != STATUS_OK)
            return st;
        if (!decode_slot(slice_of(bytes, got), &turn, &found) || turn % SLOTS != i ||
            (head->has_known && !is_later(turn, head->turn)))
            continue;
        head->turn = turn;
        head->known = found;
        head->has_known = true;
    }
    return STATUS_OK;
}

enum status log_head_open(struct fs *fs, struct log_head **ret_head, struct error *err)
{
    struct log_head *head = memory_new(1, sizeof(*head));
    struct error missing = {0};

    if (head == NULL)
        return error_set_no_memory(err, sizeof(*head), "the log's head");
    enum status st = fs_open(fs, LOG_HEAD_FILE, FS_WRITE, &head->file, &missing);

    if (st == STATUS_NOT_FOUND)
        st = fs_open(fs, LOG_HEAD_FILE, FS_CREATE, &head->file, err);
    else if (st != STATUS_OK)
        *err = missing;
    if (st == STATUS_OK)
        st = read_slots(head, err);
    if (st != STATUS_OK) {
        log_head_close(head);
        return error_wrap(err, "the log's head");
    }
    *ret_head = head;
    return STATUS_OK;
}

void log_head_close(struct log_head *head)
{
    if (head == NULL)
        return;
    fs_close(head->file);
    memory_free(head);
}

bool log_head_known(const struct log_head *head, struct store_head *ret_known)
{
    if (head->has_known)
        *ret_known = head->known;
    return head->has_known;
}

enum status log_head_write(struct log_head *head, const struct store_head *newest,
                           struct error *err)
{
    uint8_t bytes[LOG_HEAD_SLOT_SIZE];
    /* Over memory that is not its own: full, so it never grows. */
    struct buffer slot = {.data = bytes, .capacity = sizeof(bytes), .limit = sizeof(bytes)};

    encode_slot(head->turn + 1, newest, &slot);
    enum status st = fs_write_at(head->file, offset_of(head->turn + 1), buffer_slice(&slot), err);

    if (st != STATUS_OK)
        return error_wrap(err, "the log's head");
    head->turn++;
    return STATUS_OK;
}
