#include "format/manifest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "format/disk_root.h"

enum {
    VERSION = 0,
    DISK_STORED_SIZE = 8 + ID_SIZE + 8,
    /* Of the largest envelope in its plain form. */
    PLAIN_SIZE_MAX = 4 + RANDOM_ID_SIZE + 8 + STATEMENT_DISKS_MAX * (8 + ID_SIZE) + ID_SIZE,
};

enum form { FORM_PLAIN, FORM_STORED };

static void put_ref(struct buffer *target, const struct ref *ref, enum form form)
{
    buffer_put(target, slice_of(ref->id.bytes, sizeof(ref->id.bytes)));
    if (form == FORM_STORED)
        buffer_put_u64le(target, ref->number);
}

static void encode(const struct envelope *envelope, enum form form, struct buffer *target)
{
    buffer_put_u8(target, VERSION);
    buffer_put_u8(target, 0);
    buffer_put_u16le(target, envelope->disk_count);
    buffer_put(target, slice_of(envelope->vm.bytes, sizeof(envelope->vm.bytes)));
    buffer_put_u64le(target, (uint64_t)envelope->time_us);
    for (size_t i = 0; i < envelope->disk_count; i++) {
        buffer_put_u64le(target, envelope->disks[i].size);
        put_ref(target, &envelope->disks[i].root, form);
    }
    put_ref(target, &envelope->body, form);
}

void envelope_encode_plain(const struct envelope *envelope, struct buffer *target)
{
    encode(envelope, FORM_PLAIN, target);
}

void envelope_encode_stored(const struct envelope *envelope, struct buffer *target)
{
    encode(envelope, FORM_STORED, target);
}

/* The next {id, number}, neither of them zero. */
static enum status take_ref(struct cursor *c, const char *what, struct ref *ret_ref,
                            struct error *err)
{
    struct ref ref = {0};

    cursor_copy(c, ref.id.bytes, sizeof(ref.id.bytes));
    ref.number = cursor_u64le(c);
    if (!cursor_ok(c))
        return error_set(err, STATUS_CORRUPT, "%s is cut off", what);
    if (id_is_hole(&ref.id) || ref.number == 0)
        return error_set(err, STATUS_CORRUPT, "%s has no id or no number", what);
    *ret_ref = ref;
    return STATUS_OK;
}

/* All of it into the zeroed ENVELOPE; what is taken before a failure stays ENVELOPE's. */
static enum status take_envelope(struct slice stored, struct envelope *envelope, struct error *err)
{
    struct cursor c = cursor_of(stored);
    uint8_t version = cursor_u8(&c);
    uint8_t reserved = cursor_u8(&c);
    uint16_t count = cursor_u16le(&c);

    cursor_copy(&c, envelope->vm.bytes, sizeof(envelope->vm.bytes));
    envelope->time_us = (int64_t)cursor_u64le(&c);
    if (!cursor_ok(&c) || version != VERSION || reserved != 0)
        return error_set(err, STATUS_CORRUPT, "its %zu bytes begin like none of version %d",
                         stored.size, VERSION);
    if (count == 0 || count > STATEMENT_DISKS_MAX || cursor_left(&c) / DISK_STORED_SIZE < count)
        return error_set(err, STATUS_CORRUPT,
                         "%" PRIu16 " disks: none, more than %d, or more than there are bytes for",
                         count, STATEMENT_DISKS_MAX);
    envelope->disks = memory_new(count, sizeof(*envelope->disks));
    if (envelope->disks == NULL)
        return error_set_no_memory(err, count * sizeof(*envelope->disks), "its disks");
    envelope->disk_count = count;
    for (size_t i = 0; i < count; i++) {
        struct envelope_disk *disk = &envelope->disks[i];

        disk->size = cursor_u64le(&c);
        if (disk->size == 0 || disk->size > DISK_SIZE_MAX)
            return error_set(err, STATUS_CORRUPT,
                             "disk %zu: %" PRIu64 " bytes: no disk has that size", i, disk->size);
        if (take_ref(&c, "its root", &disk->root, err) != STATUS_OK)
            return error_wrap(err, "disk %zu", i);
    }

    enum status st = take_ref(&c, "its body", &envelope->body, err);

    if (st == STATUS_OK && !cursor_end(&c))
        st = error_set(err, STATUS_CORRUPT, "%zu bytes are behind its end", cursor_left(&c));
    return st;
}

enum status envelope_decode_stored(struct slice stored, struct envelope *ret_envelope,
                                   struct error *err)
{
    struct envelope envelope = {0};
    enum status st = take_envelope(stored, &envelope, err);

    if (st != STATUS_OK) {
        st = error_wrap(err, "envelope");
        goto out;
    }
    *ret_envelope = envelope;
    envelope.disks = NULL;
out:
    envelope_deinit(&envelope);
    return st;
}

void envelope_deinit(struct envelope *envelope)
{
    memory_free(envelope->disks);
    envelope->disks = NULL;
    envelope->disk_count = 0;
}

enum status envelope_id(const struct hash_key *id_key, const struct envelope *envelope,
                        struct id *ret_id, struct error *err)
{
    struct buffer plain;

    buffer_init(&plain, PLAIN_SIZE_MAX);
    envelope_encode_plain(envelope, &plain);

    enum status st = buffer_check(&plain, "an envelope", err);

    if (st == STATUS_OK)
        st = id_of(id_key, KIND_ENVELOPE, buffer_slice(&plain), ret_id, err);
    buffer_deinit(&plain);
    return st;
}

void body_encode(const struct signed_slice *statement, struct buffer *target)
{
    buffer_put_u8(target, VERSION);
    signed_encode(statement, target);
}

enum status body_decode(struct slice plain, struct signed_slice *ret_statement, struct error *err)
{
    struct cursor c = cursor_of(plain);
    struct signed_slice statement = {.body = {0}};
    uint8_t version = cursor_u8(&c);

    if (!cursor_ok(&c) || version != VERSION)
        return error_set(err, STATUS_CORRUPT, "body: version %u, not %d", version, VERSION);
    if (signed_decode(&c, &statement, err) != STATUS_OK)
        return error_wrap(err, "body");
    if (!cursor_end(&c))
        return error_set(err, STATUS_CORRUPT, "body: %zu bytes are behind its end",
                         cursor_left(&c));
    *ret_statement = statement;
    return STATUS_OK;
}
