#include "format/manifest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "format/disk_root.h"
#include "format/field.h"

enum {
    VERSION = 0,
    DISK_STORED_SIZE = 8 + ID_SIZE + 8,
    /* Of the largest envelope in its plain form. */
    PLAIN_SIZE_MAX = 6 + RANDOM_ID_SIZE + 8 +
                     (STATEMENT_DISKS_MAX + STATEMENT_FILES_MAX) * (8 + ID_SIZE) + ID_SIZE,
};

enum form { FORM_PLAIN, FORM_STORED };

static void put_ref(struct buffer *target, const struct ref *ref, enum form form)
{
    if (form == FORM_STORED)
        field_put_ref(target, ref);
    else
        field_put_id(target, &ref->id);
}

static void put_roots(struct buffer *target, const struct envelope_disk *roots, uint16_t count,
                      enum form form)
{
    for (size_t i = 0; i < count; i++) {
        buffer_put_u64le(target, roots[i].size);
        put_ref(target, &roots[i].root, form);
    }
}

static void encode(const struct envelope *envelope, enum form form, struct buffer *target)
{
    buffer_put_u8(target, VERSION);
    buffer_put_u8(target, 0);
    buffer_put_u16le(target, envelope->disk_count);
    buffer_put_u16le(target, envelope->file_count);
    buffer_put(target, slice_of(envelope->vm.bytes, sizeof(envelope->vm.bytes)));
    buffer_put_u64le(target, (uint64_t)envelope->time_us);
    put_roots(target, envelope->disks, envelope->disk_count, form);
    put_roots(target, envelope->files, envelope->file_count, form);
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

/* COUNT roots of WHAT (a disk, a file) of at most LARGEST bytes each, into *RET_ROOTS, which is the caller's even after a
 * failure. */
static enum status take_roots(struct cursor *c, const char *what, uint64_t largest, uint16_t count,
                              struct envelope_disk **ret_roots, struct error *err)
{
    bool may_be_empty = largest == FILE_SIZE_MAX;

    if (count == 0)
        return STATUS_OK;
    *ret_roots = memory_new(count, sizeof(**ret_roots));
    if (*ret_roots == NULL)
        return error_set_no_memory(err, count * sizeof(**ret_roots), "its roots");
    for (size_t i = 0; i < count; i++) {
        struct envelope_disk *root = &(*ret_roots)[i];

        root->size = cursor_u64le(c);
        if ((root->size == 0 && !may_be_empty) || root->size > largest)
            return error_set(err, STATUS_CORRUPT, "%s %zu: %" PRIu64 " bytes: no %s has that size",
                             what, i, root->size, what);
        if (field_take_ref(c, "its root", &root->root, err) != STATUS_OK)
            return error_wrap(err, "%s %zu", what, i);
    }
    return STATUS_OK;
}

/* The counts are within what they may be, and what LEFT bytes have room for. */
static enum status check_counts(uint16_t disks, uint16_t files, size_t left, struct error *err)
{
    size_t both = (size_t)disks + files;

    if (both == 0 || disks > STATEMENT_DISKS_MAX || files > STATEMENT_FILES_MAX ||
        left / DISK_STORED_SIZE < both)
        return error_set(err, STATUS_CORRUPT,
                         "%" PRIu16 " disks and %" PRIu16
                         " files: none, more than %d and %d, or more than there are bytes for",
                         disks, files, STATEMENT_DISKS_MAX, STATEMENT_FILES_MAX);
    return STATUS_OK;
}

/* All of it into the zeroed ENVELOPE; what is taken before a failure stays ENVELOPE's. */
static enum status take_envelope(struct slice stored, struct envelope *envelope, struct error *err)
{
    struct cursor c = cursor_of(stored);
    uint8_t version = cursor_u8(&c);
    uint8_t reserved = cursor_u8(&c);
    uint16_t disks = cursor_u16le(&c);
    uint16_t files = cursor_u16le(&c);

    cursor_copy(&c, envelope->vm.bytes, sizeof(envelope->vm.bytes));
    envelope->time_us = (int64_t)cursor_u64le(&c);
    if (!cursor_ok(&c) || version != VERSION || reserved != 0)
        return error_set(err, STATUS_CORRUPT, "its %zu bytes begin like none of version %d",
                         stored.size, VERSION);

    enum status st = check_counts(disks, files, cursor_left(&c), err);

    if (st == STATUS_OK)
        st = take_roots(&c, "disk", DISK_SIZE_MAX, disks, &envelope->disks, err);
    if (st == STATUS_OK)
        st = take_roots(&c, "file", FILE_SIZE_MAX, files, &envelope->files, err);
    if (st != STATUS_OK)
        return st;
    envelope->disk_count = disks;
    envelope->file_count = files;
    st = field_take_ref(&c, "its body", &envelope->body, err);
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
    envelope.files = NULL;
out:
    envelope_deinit(&envelope);
    return st;
}

void envelope_deinit(struct envelope *envelope)
{
    memory_free(envelope->disks);
    memory_free(envelope->files);
    envelope->disks = NULL;
    envelope->files = NULL;
    envelope->disk_count = 0;
    envelope->file_count = 0;
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
