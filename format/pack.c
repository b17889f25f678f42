#include "format/pack.h"

#include <string.h>

#include "base/checked.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "format/le.h"

enum {
    VERSION = 0,
    MAGIC_SIZE = 8,
    ZEROS = 3,
    AT_HEADER_CRC = 48,
    AT_FOOTER_CRC = 20,
    RECORD_SIZE_MIN = RECORD_HEADER_SIZE + XAES_TAG_SIZE + 1,
};

static const uint8_t header_magic[MAGIC_SIZE] = {'T', 'M', 'p', 'a', 'c', 'k', 0, 0};
static const uint8_t footer_magic[MAGIC_SIZE] = {'T', 'M', 's', 'e', 'a', 'l', 0, 0};

enum pack_class pack_class_of(uint8_t kind)
{
    return kind == KIND_BLOCK ? PACK_DATA : PACK_META;
}

/* Can a record lie at OFFSET and be LENGTH long? */
static bool place_can_be(uint64_t offset, uint32_t length)
{
    uint64_t end = 0;

    return offset >= PACK_HEADER_SIZE && length >= RECORD_SIZE_MIN && length <= RECORD_SIZE_MAX &&
           checked_add(offset, length, &end);
}

/* Are BYTES exactly SIZE, begin with MAGIC, and end in the CRC of what is before? Then CURSOR stands behind the
 * magic. */
static bool is_sound(struct slice bytes, size_t size, const uint8_t magic[MAGIC_SIZE],
                     struct cursor *cursor)
{
    if (bytes.size != size || memcmp(bytes.data, magic, MAGIC_SIZE) != 0)
        return false;

    struct cursor crc = cursor_of(slice_of(bytes.data + size - 4, 4));

    if (cursor_u32le(&crc) != hash_crc32c(0, slice_of(bytes.data, size - 4)))
        return false;
    *cursor = cursor_of(slice_of(bytes.data + MAGIC_SIZE, size - MAGIC_SIZE - 4));
    return true;
}

void pack_header_encode(const struct pack_header *header, uint8_t target[PACK_HEADER_SIZE])
{
    memset(target, 0, PACK_HEADER_SIZE);
    memcpy(target, header_magic, MAGIC_SIZE);
    le_put_u32(target + 8, VERSION);
    target[12] = (uint8_t)header->class;
    memcpy(target + 16, header->repository.bytes, RANDOM_ID_SIZE);
    memcpy(target + 32, header->name.bytes, RANDOM_ID_SIZE);
    le_put_u32(target + AT_HEADER_CRC, hash_crc32c(0, slice_of(target, AT_HEADER_CRC)));
}

enum status pack_header_decode(struct slice bytes, struct pack_header *ret_header,
                               struct error *err)
{
    struct pack_header header = {0};
    struct cursor cursor;

    if (!is_sound(bytes, PACK_HEADER_SIZE, header_magic, &cursor))
        return error_set(err, STATUS_CORRUPT, "%zu bytes are no pack's header, or it is damaged",
                         bytes.size);

    uint32_t version = cursor_u32le(&cursor);

    if (version != VERSION)
        return error_set(
            err, STATUS_UNSUPPORTED,
            "the pack is of version %u, this program reads version %d: use a newer one", version,
            VERSION);

    uint8_t class = cursor_u8(&cursor);
    struct slice zeros = cursor_take(&cursor, ZEROS);

    cursor_copy(&cursor, header.repository.bytes, RANDOM_ID_SIZE);
    cursor_copy(&cursor, header.name.bytes, RANDOM_ID_SIZE);
    if ((class != PACK_DATA && class != PACK_META) || !slice_is_zero(zeros) || !cursor_end(&cursor))
        return error_set(err, STATUS_CORRUPT, "the pack's header has values that cannot be");
    header.class = (enum pack_class) class;
    *ret_header = header;
    return STATUS_OK;
}

void pack_footer_encode(const struct pack_footer *footer, uint8_t target[PACK_FOOTER_SIZE])
{
    memcpy(target, footer_magic, MAGIC_SIZE);
    le_put_u64(target + 8, footer->index_offset);
    le_put_u32(target + 16, footer->index_length);
    le_put_u32(target + AT_FOOTER_CRC, hash_crc32c(0, slice_of(target, AT_FOOTER_CRC)));
}

enum status pack_footer_decode(struct slice bytes, struct pack_footer *ret_footer,
                               struct error *err)
{
    struct pack_footer footer = {0};
    struct cursor cursor;

    if (!is_sound(bytes, PACK_FOOTER_SIZE, footer_magic, &cursor))
        return error_set(err, STATUS_CORRUPT,
                         "%zu bytes are no pack's footer: it is not sealed, or damaged",
                         bytes.size);
    footer.index_offset = cursor_u64le(&cursor);
    footer.index_length = cursor_u32le(&cursor);
    if (!cursor_end(&cursor) || !place_can_be(footer.index_offset, footer.index_length))
        return error_set(err, STATUS_CORRUPT, "the pack's footer has values that cannot be");
    *ret_footer = footer;
    return STATUS_OK;
}

void pack_entry_encode(const struct pack_entry *entry, struct buffer *target)
{
    static const uint8_t zeros[ZEROS];

    buffer_put(target, slice_of(entry->domain.bytes, RANDOM_ID_SIZE));
    buffer_put_u64le(target, entry->number);
    buffer_put(target, slice_of(entry->id.bytes, ID_SIZE));
    buffer_put_u64le(target, entry->offset);
    buffer_put_u32le(target, entry->length);
    buffer_put_u8(target, entry->kind);
    buffer_put(target, slice_of(zeros, ZEROS));
}

/* The next entry, which lies at FLOOR in its pack or behind it. */
static bool take_entry(struct cursor *cursor, uint64_t floor, struct pack_entry *ret_entry)
{
    struct pack_entry entry = {0};

    cursor_copy(cursor, entry.domain.bytes, RANDOM_ID_SIZE);
    entry.number = cursor_u64le(cursor);
    cursor_copy(cursor, entry.id.bytes, ID_SIZE);
    entry.offset = cursor_u64le(cursor);
    entry.length = cursor_u32le(cursor);
    entry.kind = cursor_u8(cursor);

    struct slice zeros = cursor_take(cursor, ZEROS);

    if (!cursor_ok(cursor) || !slice_is_zero(zeros) || entry.number == 0 || id_is_hole(&entry.id) ||
        !kind_known(entry.kind) || entry.kind == KIND_PACK_INDEX || entry.offset < floor ||
        !place_can_be(entry.offset, entry.length))
        return false;
    *ret_entry = entry;
    return true;
}

enum status pack_entries_decode(struct slice stored,
                                enum status (*each)(void *arg, const struct pack_entry *entry,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    struct cursor cursor = cursor_of(stored);
    uint64_t floor = PACK_HEADER_SIZE;
    struct pack_entry entry;

    if (stored.size == 0 || stored.size % PACK_ENTRY_SIZE != 0 || stored.size > RECORD_PLAIN_MAX)
        return error_set(err, STATUS_CORRUPT, "%zu bytes are no pack's index", stored.size);
    while (cursor_left(&cursor) > 0) {
        size_t number = (stored.size - cursor_left(&cursor)) / PACK_ENTRY_SIZE;

        if (!take_entry(&cursor, floor, &entry))
            return error_set(err, STATUS_CORRUPT, "entry %zu of the pack's index cannot be",
                             number);
        floor = entry.offset + entry.length; /* fits: place_can_be() */

        enum status st = each(arg, &entry, err);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}
