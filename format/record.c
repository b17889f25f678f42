#include "format/record.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "format/le.h"

enum {
    VERSION = 0,
    MAGIC_SIZE = 4,
    AT_PAYLOAD_CRC = 96,
    AT_HEADER_CRC = 100,
    ASSOCIATED_SIZE = 96, /* what the tag covers beside the payload */
};

static const uint8_t magic[MAGIC_SIZE] = {'T', 'M', 'r', 'c'};

/* What is wrong with these values in a record; NULL: nothing. */
static const char *fault_of(const struct record_header *header)
{
    uint32_t packed = header->stored_length - XAES_TAG_SIZE; /* looked at once that is right */
    bool is_index = header->kind == KIND_PACK_INDEX;

    if (!kind_known(header->kind))
        return "its kind is not known";
    if (header->codec != CODEC_PLAIN && header->codec != CODEC_ZSTD)
        return "its codec is not known";
    if (header->plain_length == 0 || header->plain_length > RECORD_PLAIN_MAX)
        return "its plain length cannot be";
    if (header->stored_length <= XAES_TAG_SIZE)
        return "its stored length cannot be";
    /* So it is at most RECORD_STORED_MAX, too. */
    if (header->codec == CODEC_PLAIN ? packed != header->plain_length
                                     : packed >= header->plain_length)
        return "its lengths do not fit each other";
    if (is_index != (header->number == 0) || is_index != id_is_hole(&header->id))
        return "its kind does not fit its number and id";
    if (is_index && slice_is_zero(slice_of(header->domain.bytes, RANDOM_ID_SIZE)))
        return "a pack index does not name its pack";
    return NULL;
}

static void encode_header(const struct record_header *header, uint8_t target[RECORD_HEADER_SIZE])
{
    memcpy(target, magic, MAGIC_SIZE);
    target[4] = VERSION;
    target[5] = header->kind;
    target[6] = header->codec;
    target[7] = 0;
    memcpy(target + 8, header->domain.bytes, RANDOM_ID_SIZE);
    le_put_u64(target + 24, header->number);
    memcpy(target + 32, header->id.bytes, ID_SIZE);
    le_put_u32(target + 64, header->plain_length);
    le_put_u32(target + 68, header->stored_length);
    memcpy(target + 72, header->nonce, XAES_NONCE_SIZE);
}

static enum status seal_into(const struct keys *keys, const struct record_header *header,
                             struct slice packed, uint8_t *target, struct error *err)
{
    uint8_t *payload = target + RECORD_HEADER_SIZE;

    encode_header(header, target);

    enum status st = xaes_seal(keys_payload(keys, header->kind), header->nonce,
                               slice_of(target, ASSOCIATED_SIZE), packed, payload, err);

    if (st != STATUS_OK)
        return st;
    le_put_u32(target + AT_PAYLOAD_CRC, hash_crc32c(0, slice_of(payload, header->stored_length)));
    le_put_u32(target + AT_HEADER_CRC, hash_crc32c(0, slice_of(target, AT_HEADER_CRC)));
    return STATUS_OK;
}

enum status record_seal(const struct keys *keys, struct random_source *random,
                        const struct record_header *what, struct slice packed,
                        struct buffer *target, struct error *err)
{
    struct record_header header = *what;
    size_t before = target->size;

    if (packed.size > RECORD_PLAIN_MAX)
        return error_set(err, STATUS_INVALID, "%zu bytes are too many for a record", packed.size);
    header.stored_length = (uint32_t)packed.size + XAES_TAG_SIZE;

    const char *fault = fault_of(&header);

    if (fault != NULL)
        return error_set(err, STATUS_INVALID, "no such record can be written: %s", fault);

    enum status st = random_bytes(random, header.nonce, sizeof(header.nonce), err);

    if (st != STATUS_OK)
        return error_wrap(err, "a record's nonce");

    uint8_t *start = buffer_extend(target, record_size(&header));

    st = buffer_check(target, "a record", err);
    if (st != STATUS_OK)
        return st;
    st = seal_into(keys, &header, packed, start, err);
    if (st != STATUS_OK)
        target->size = before;
    return st;
}

/* Everything of a header but its CRC. The version is looked at first: a later one may mean other things by what
 * follows. */
static enum status parse(struct cursor *cursor, struct record_header *ret_header, struct error *err)
{
    struct record_header header = {0};
    uint8_t version = cursor_u8(cursor);

    if (version != VERSION)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the record is of version %u, this program reads version %d: use a newer "
                         "one",
                         (unsigned)version, VERSION);
    header.kind = cursor_u8(cursor);
    header.codec = cursor_u8(cursor);

    uint8_t zero = cursor_u8(cursor);

    cursor_copy(cursor, header.domain.bytes, RANDOM_ID_SIZE);
    header.number = cursor_u64le(cursor);
    cursor_copy(cursor, header.id.bytes, ID_SIZE);
    header.plain_length = cursor_u32le(cursor);
    header.stored_length = cursor_u32le(cursor);
    cursor_copy(cursor, header.nonce, XAES_NONCE_SIZE);
    header.payload_crc = cursor_u32le(cursor);

    const char *fault = zero != 0 ? "its reserved byte is not zero" : fault_of(&header);

    if (fault != NULL)
        return error_set(err, STATUS_CORRUPT, "the record's header cannot be: %s", fault);
    *ret_header = header;
    return STATUS_OK;
}

enum status record_decode_header(struct slice bytes, struct record_header *ret_header,
                                 struct error *err)
{
    struct cursor cursor = cursor_of(bytes);
    struct slice before = cursor_take(&cursor, AT_HEADER_CRC);
    uint32_t crc = cursor_u32le(&cursor);

    if (!cursor_ok(&cursor))
        return error_set(err, STATUS_CORRUPT, "%zu bytes are less than a record's header",
                         bytes.size);
    if (!slice_equal(slice_of(before.data, MAGIC_SIZE), slice_of(magic, MAGIC_SIZE)))
        return error_set(err, STATUS_CORRUPT, "no record begins here");
    if (hash_crc32c(0, before) != crc)
        return error_set(err, STATUS_CORRUPT, "the record's header is damaged: its CRC differs");
    cursor = cursor_of(slice_of(before.data + MAGIC_SIZE, before.size - MAGIC_SIZE));
    return parse(&cursor, ret_header, err);
}

size_t record_size(const struct record_header *header)
{
    return (size_t)RECORD_HEADER_SIZE + header->stored_length;
}

static struct slice payload_of(struct slice record)
{
    return slice_of(record.data + RECORD_HEADER_SIZE, record.size - RECORD_HEADER_SIZE);
}

enum status record_check(struct slice record, struct record_header *ret_header, struct error *err)
{
    struct record_header header;
    enum status st = record_decode_header(record, &header, err);

    if (st != STATUS_OK)
        return st;
    if (record.size != record_size(&header))
        return error_set(err, STATUS_CORRUPT, "the record has %zu bytes, its header says %zu",
                         record.size, record_size(&header));
    if (hash_crc32c(0, payload_of(record)) != header.payload_crc)
        return error_set(err, STATUS_CORRUPT, "the record's payload is damaged: its CRC differs");
    *ret_header = header;
    return STATUS_OK;
}

/* The checked RECORD of HEADER opened into TARGET, which has room for it. */
static enum status open_payload(const struct keys *keys, struct slice record,
                                const struct record_header *header, struct buffer *target,
                                struct error *err)
{
    buffer_clear(target);

    uint8_t *start = buffer_extend(target, header->stored_length - XAES_TAG_SIZE);
    enum status st = buffer_check(target, "a record's payload", err);

    if (st != STATUS_OK)
        return st;
    st = xaes_open(keys_payload(keys, header->kind), header->nonce,
                   slice_of(record.data, ASSOCIATED_SIZE), payload_of(record), start, err);
    if (st != STATUS_OK)
        buffer_clear(target);
    return st;
}

enum status record_unseal(const struct keys *keys, struct slice record,
                          struct record_header *ret_header, struct buffer *ret_packed,
                          struct error *err)
{
    struct record_header header;
    enum status st = record_check(record, &header, err);

    if (st == STATUS_OK)
        st = open_payload(keys, record, &header, ret_packed, err);
    if (st == STATUS_OK)
        *ret_header = header;
    return st;
}

static enum status open_packed(const struct keys *keys, struct codec_context *codec,
                               struct slice record, const struct record_header *header,
                               struct buffer *ret_stored, struct error *err)
{
    struct buffer packed;

    buffer_init(&packed, RECORD_PLAIN_MAX);
    buffer_clear(ret_stored);

    enum status st = open_payload(keys, record, header, &packed, err);

    if (st != STATUS_OK)
        goto out;

    uint8_t *start = buffer_extend(ret_stored, header->plain_length);

    st = buffer_check(ret_stored, "a record's plain bytes", err);
    if (st != STATUS_OK)
        goto out;
    st = codec_decompress(codec, header->codec, buffer_slice(&packed), start, header->plain_length,
                          err);
    if (st != STATUS_OK)
        buffer_clear(ret_stored);
out:
    buffer_deinit(&packed);
    return st;
}

enum status record_open(const struct keys *keys, struct codec_context *codec, struct slice record,
                        struct record_header *ret_header, struct buffer *ret_stored,
                        struct error *err)
{
    struct record_header header;
    enum status st = record_check(record, &header, err);

    if (st == STATUS_OK && header.codec == CODEC_PLAIN)
        st = open_payload(keys, record, &header, ret_stored, err);
    else if (st == STATUS_OK)
        st = open_packed(keys, codec, record, &header, ret_stored, err);
    if (st == STATUS_OK)
        *ret_header = header;
    return st;
}

enum status record_find(struct slice bytes, size_t offset, size_t *ret_offset, struct error *err)
{
    struct record_header header;

    while (offset < bytes.size && bytes.size - offset >= RECORD_HEADER_SIZE) {
        size_t starts = bytes.size - offset - RECORD_HEADER_SIZE + 1;
        const uint8_t *found = memchr(bytes.data + offset, magic[0], starts);

        if (found == NULL)
            break;
        offset = (size_t)(found - bytes.data);
        if (memcmp(found, magic, MAGIC_SIZE) == 0) {
            enum status st =
                record_decode_header(slice_of(found, RECORD_HEADER_SIZE), &header, err);

            if (st == STATUS_OK || st == STATUS_UNSUPPORTED) {
                *ret_offset = offset;
                return STATUS_OK;
            }
        }
        offset++;
    }
    return error_set(err, STATUS_NOT_FOUND, "no further record in %zu bytes", bytes.size);
}
