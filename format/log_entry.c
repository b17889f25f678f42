#include "format/log_entry.h"

#include <inttypes.h>

#include "base/cursor.h"
#include "base/invariant.h"

enum {
    VERSION = 0,
    MAGIC_SIZE = 4,
    CRC_SIZE = 4,
    /* What seals the body covers the header up to its CRC. */
    ASSOCIATED_SIZE = LOG_ENTRY_HEADER_SIZE - CRC_SIZE,
    NONCE_OFFSET = ASSOCIATED_SIZE - XAES_NONCE_SIZE,
};

static const uint8_t magic[MAGIC_SIZE] = {'T', 'M', 'l', 'g'};

/* Can these be an entry's values? STATUS_INVALID. */
static enum status check_header(const struct log_entry_header *header, struct error *err)
{
    if (header->sequence == 0)
        return error_set(err, STATUS_INVALID, "its sequence is 0: the first is 1");
    if (header->sequence == 1 &&
        !slice_is_zero(slice_of(header->previous.bytes, sizeof(header->previous.bytes))))
        return error_set(err, STATUS_INVALID, "it is the first, and names one before it");
    if (header->body_length > LOG_ENTRY_BODY_MAX)
        return error_set(err, STATUS_INVALID, "its body has %" PRIu32 " bytes, more than %d",
                         header->body_length, LOG_ENTRY_BODY_MAX);
    return STATUS_OK;
}

static void put_header(const struct log_entry_header *header, const uint8_t nonce[XAES_NONCE_SIZE],
                       struct buffer *target)
{
    buffer_put(target, slice_of(magic, sizeof(magic)));
    buffer_put_u8(target, VERSION);
    buffer_put_u8(target, header->type);
    buffer_put_u16le(target, 0);
    buffer_put(target, slice_of(header->writer.bytes, sizeof(header->writer.bytes)));
    buffer_put_u64le(target, header->sequence);
    buffer_put_u64le(target, (uint64_t)header->time_us);
    buffer_put(target, slice_of(header->previous.bytes, sizeof(header->previous.bytes)));
    buffer_put_u32le(target, header->body_length);
    buffer_put(target, slice_of(nonce, XAES_NONCE_SIZE));
}

/* Fills ENTRY, which has the room: header, sealed body, signature, CRCs. */
static enum status fill(const struct xaes_key *structure, const struct sign_key *signer,
                        struct random_source *random, const struct log_entry_header *header,
                        struct slice body, struct buffer *entry, struct error *err)
{
    uint8_t nonce[XAES_NONCE_SIZE];
    uint8_t signature[SIGN_SIZE];
    enum status st = random_bytes(random, nonce, sizeof(nonce), err);

    if (st != STATUS_OK)
        return st;
    put_header(header, nonce, entry);

    struct slice associated = buffer_slice(entry);

    buffer_put_u32le(entry, hash_crc32c(0, associated));
    st = xaes_seal(structure, nonce, associated, body,
                   buffer_extend(entry, body.size + XAES_TAG_SIZE), err);
    if (st != STATUS_OK)
        return st;
    st = sign_message(signer, SIGN_CONTEXT_LOG, buffer_slice(entry), signature, err);
    if (st != STATUS_OK)
        return st;
    buffer_put(entry, slice_of(signature, sizeof(signature)));
    buffer_put_u32le(entry, hash_crc32c(0, buffer_slice(entry)));
    return STATUS_OK;
}

/* NOLINTNEXTLINE(readability-function-size): two keys, randomness, and what they seal: none goes with another */
enum status log_entry_seal(const struct xaes_key *structure, const struct sign_key *signer,
                           struct random_source *random, const struct log_entry_header *header,
                           struct slice body, struct buffer *target, struct hash_digest *ret_hash,
                           struct error *err)
{
    struct log_entry_header complete = *header;
    struct hash_digest hash;

    if (body.size > LOG_ENTRY_BODY_MAX)
        return error_set(err, STATUS_INVALID, "a log entry's body has %zu bytes, more than %d",
                         body.size, LOG_ENTRY_BODY_MAX);
    complete.body_length = (uint32_t)body.size;
    if (check_header(&complete, err) != STATUS_OK)
        return error_wrap(err, "log entry");

    size_t size = LOG_ENTRY_SIZE_MIN + body.size;
    uint8_t *room = buffer_extend(target, size);
    enum status st = buffer_check(target, "a log entry", err);

    if (st != STATUS_OK)
        return st;

    /* Over memory that is not its own: full at SIZE bytes, so it never grows. */
    struct buffer entry = {.data = room, .capacity = size, .limit = size};

    st = fill(structure, signer, random, &complete, body, &entry, err);
    if (st != STATUS_OK)
        goto out;
    INVARIANT(entry.data == room && entry.size == size);
    st = hash_sha256(buffer_slice(&entry), &hash, err);
    if (st != STATUS_OK)
        goto out;
    *ret_hash = hash;
out:
    if (st != STATUS_OK) {
        target->size -= size; /* as if it had never been begun */
        st = error_wrap(err, "log entry %" PRIu64, complete.sequence);
    }
    return st;
}

enum status log_entry_decode_header(struct slice bytes, struct log_entry_header *ret_header,
                                    size_t *ret_size, struct error *err)
{
    struct cursor c = cursor_of(bytes);
    struct log_entry_header header = {0};
    struct slice begin = cursor_take(&c, sizeof(magic));
    uint8_t version = cursor_u8(&c);

    header.type = cursor_u8(&c);

    uint16_t reserved = cursor_u16le(&c);

    cursor_copy(&c, header.writer.bytes, sizeof(header.writer.bytes));
    header.sequence = cursor_u64le(&c);
    header.time_us = (int64_t)cursor_u64le(&c);
    cursor_copy(&c, header.previous.bytes, sizeof(header.previous.bytes));
    header.body_length = cursor_u32le(&c);
    (void)cursor_take(&c, XAES_NONCE_SIZE); /* for log_entry_open() */

    uint32_t crc = cursor_u32le(&c);

    if (!cursor_ok(&c))
        return error_set(err, STATUS_CORRUPT, "log entry: %zu bytes are not even its header",
                         bytes.size);
    if (!slice_equal(begin, slice_of(magic, sizeof(magic))))
        return error_set(err, STATUS_CORRUPT, "log entry: none begins here");
    if (crc != hash_crc32c(0, slice_of(bytes.data, ASSOCIATED_SIZE)))
        return error_set(err, STATUS_CORRUPT, "log entry: its header is damaged");
    if (version != VERSION)
        return error_set(err, STATUS_UNSUPPORTED,
                         "log entry: version %u was written by a later Tidemark; read it with that",
                         version);
    if (reserved != 0)
        return error_set(err, STATUS_CORRUPT, "log entry: reserved bytes are not zero");
    if (check_header(&header, err) != STATUS_OK) {
        err->status = STATUS_CORRUPT; /* INVALID is for who made it, not for who reads it */
        return error_wrap(err, "log entry");
    }
    *ret_header = header;
    *ret_size = LOG_ENTRY_SIZE_MIN + (size_t)header.body_length;
    return STATUS_OK;
}

/* Checks all of ENTRY, whose HEADER is sound, and opens its body into BODY, which is empty. */
static enum status open_body(const struct xaes_key *structure, const struct sign_public *signer,
                             struct slice entry, const struct log_entry_header *header,
                             struct buffer *body, struct error *err)
{
    struct cursor c = cursor_of(entry);
    struct slice associated = cursor_take(&c, ASSOCIATED_SIZE);

    (void)cursor_u32le(&c); /* the header's CRC: checked */

    struct slice sealed = cursor_take(&c, (size_t)header->body_length + XAES_TAG_SIZE);
    struct slice is_signed = slice_of(entry.data, c.offset);
    struct slice signature = cursor_take(&c, SIGN_SIZE);
    struct slice summed = slice_of(entry.data, c.offset);
    uint32_t crc = cursor_u32le(&c);
    enum status st = STATUS_OK;

    INVARIANT(cursor_end(&c));
    if (crc != hash_crc32c(0, summed))
        return error_set(err, STATUS_CORRUPT, "it is damaged");
    if (signer != NULL)
        st = sign_check(signer, SIGN_CONTEXT_LOG, is_signed, signature.data, err);
    if (st != STATUS_OK)
        return st;

    uint8_t nothing[1]; /* where an empty body goes: a buffer may have no memory for it */
    uint8_t *plain = nothing;

    if (header->body_length > 0)
        plain = buffer_extend(body, header->body_length);
    st = buffer_check(body, "the body of a log entry", err);
    if (st != STATUS_OK)
        return st;
    st = xaes_open(structure, associated.data + NONCE_OFFSET, associated, sealed, plain, err);
    if (st != STATUS_OK)
        buffer_clear(body);
    return st;
}

enum status log_entry_open(const struct xaes_key *structure, const struct sign_public *signer,
                           struct slice entry, struct log_entry_header *ret_header,
                           struct buffer *ret_body, struct hash_digest *ret_hash, struct error *err)
{
    struct log_entry_header header = {0};
    struct hash_digest hash;
    size_t size = 0;

    buffer_clear(ret_body);

    enum status st = log_entry_decode_header(entry, &header, &size, err);

    if (st != STATUS_OK)
        return st;
    if (entry.size != size)
        return error_set(err, STATUS_CORRUPT, "log entry %" PRIu64 ": %zu bytes, not %zu",
                         header.sequence, entry.size, size);
    st = hash_sha256(entry, &hash, err);
    if (st == STATUS_OK)
        st = open_body(structure, signer, entry, &header, ret_body, err);
    if (st != STATUS_OK)
        return error_wrap(err, "log entry %" PRIu64, header.sequence);
    *ret_header = header;
    *ret_hash = hash;
    return STATUS_OK;
}
