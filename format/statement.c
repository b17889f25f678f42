#include "format/statement.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "format/disk_root.h"
#include "format/field.h"

enum {
    VERSION = 0,
    IDENTITY_SIZE = sizeof(((struct statement_disk *)0)->identity),
    /* The least that a disk takes, by which a count is held against what is there. */
    STATEMENT_DISK_LEAST = 2 + 1 + IDENTITY_SIZE + 8 + ID_SIZE,
    STATEMENT_FILE_LEAST = 2 + 1 + 1 + 8 + ID_SIZE,
    TRACKING_DISK_LEAST = IDENTITY_SIZE + 8 + ID_SIZE + 2,
};

/* --- what both have --- */

static void put_size_root(struct buffer *target, uint64_t size, const struct id *root)
{
    buffer_put_u64le(target, size);
    field_put_id(target, root);
}

/* The next {size, root id} of a disk of LEAST to MOST bytes, or of such a file. */
static enum status take_size_root(struct cursor *c, uint64_t least, uint64_t most,
                                  uint64_t *ret_size, struct id *ret_root, struct error *err)
{
    uint64_t size = cursor_u64le(c);
    struct id root = {{0}};

    cursor_copy(c, root.bytes, sizeof(root.bytes));
    if (!cursor_ok(c))
        return error_set(err, STATUS_CORRUPT, "size or root is cut off");
    if (size < least || size > most)
        return error_set(err, STATUS_CORRUPT, "%" PRIu64 " bytes: none has that size", size);
    if (id_is_hole(&root))
        return error_set(err, STATUS_CORRUPT, "its root has no id");
    *ret_size = size;
    *ret_root = root;
    return STATUS_OK;
}

static enum status take_disk_size_root(struct cursor *c, uint64_t *ret_size, struct id *ret_root,
                                       struct error *err)
{
    return take_size_root(c, 1, DISK_SIZE_MAX, ret_size, ret_root, err);
}

/* The number of things that follow, LEAST bytes each or more: MOST at most. */
static enum status take_count(struct cursor *c, size_t least, uint16_t most, const char *what,
                              uint16_t *ret_count, struct error *err)
{
    uint16_t count = cursor_u16le(c);

    if (!cursor_ok(c) || count > most || cursor_left(c) / least < count)
        return error_set(err, STATUS_CORRUPT,
                         "%" PRIu16 " %s: more than %" PRIu16 ", or than there are bytes for",
                         count, what, most);
    *ret_count = count;
    return STATUS_OK;
}

static enum status check_version(struct slice bytes, uint8_t version, size_t most,
                                 struct error *err)
{
    if (bytes.size > most)
        return error_set(err, STATUS_CORRUPT, "%zu bytes, more than %zu", bytes.size, most);
    if (bytes.size == 0 || version != VERSION)
        return error_set(err, STATUS_CORRUPT, "version %u, not %d", version, VERSION);
    return STATUS_OK;
}

static enum status refuse_twin(size_t disk, struct error *err)
{
    return error_set(err, STATUS_CORRUPT, "disk %zu has the identity of a disk before it", disk);
}

/* --- statement --- */

void statement_encode(const struct statement *statement, struct buffer *target)
{
    buffer_put_u8(target, VERSION);
    field_put_random_id(target, &statement->repository);
    field_put_random_id(target, &statement->task);
    field_put_random_id(target, &statement->vm);
    buffer_put_u64le(target, (uint64_t)statement->time_us);
    field_put_id(target, &statement->parent);
    field_put_text(target, statement->host);
    field_put_text(target, statement->vm_name);
    buffer_put_u8(target, (uint8_t)statement->consistency);
    field_put_text(target, statement->reason);
    buffer_put_u16le(target, statement->disk_count);
    for (size_t i = 0; i < statement->disk_count; i++) {
        const struct statement_disk *disk = &statement->disks[i];

        field_put_text(target, disk->name);
        buffer_put(target, slice_of(disk->identity, sizeof(disk->identity)));
        put_size_root(target, disk->size, &disk->root);
    }
    buffer_put_u16le(target, statement->file_count);
    for (size_t i = 0; i < statement->file_count; i++) {
        const struct statement_file *file = &statement->files[i];

        field_put_text(target, file->name);
        buffer_put_u8(target, (uint8_t)file->role);
        put_size_root(target, file->size, &file->root);
    }
}

static enum status take_statement_disk(struct cursor *c, struct statement_disk *disk,
                                       struct error *err)
{
    enum status st =
        field_take_text(c, "its name", FIELD_EMPTY_REFUSED, disk->name, sizeof(disk->name), err);

    if (st != STATUS_OK)
        return st;
    cursor_copy(c, disk->identity, sizeof(disk->identity));
    return take_disk_size_root(c, &disk->size, &disk->root, err);
}

/* The next {count, disks}; what is taken before a failure stays STATEMENT's. */
static enum status take_statement_disks(struct cursor *c, struct statement *statement,
                                        struct error *err)
{
    uint16_t count = 0;
    enum status st = take_count(c, STATEMENT_DISK_LEAST, STATEMENT_DISKS_MAX, "disks", &count, err);

    if (st != STATUS_OK || count == 0)
        return st;
    statement->disks = memory_new(count, sizeof(*statement->disks));
    if (statement->disks == NULL)
        return error_set_no_memory(err, count * sizeof(*statement->disks), "its disks");
    statement->disk_count = count;
    for (size_t i = 0; i < count; i++) {
        struct statement_disk *disk = &statement->disks[i];

        if (take_statement_disk(c, disk, err) != STATUS_OK)
            return error_wrap(err, "disk %zu", i);
        for (size_t j = 0; j < i; j++)
            if (memcmp(statement->disks[j].identity, disk->identity, IDENTITY_SIZE) == 0)
                return refuse_twin(i, err);
    }
    return STATUS_OK;
}

/* Does NAME name a file in whatever folder it is put, and nothing else? */
static bool is_file_name(const char *name)
{
    return strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum status take_statement_file(struct cursor *c, struct statement_file *file,
                                       struct error *err)
{
    enum status st =
        field_take_text(c, "its name", FIELD_EMPTY_REFUSED, file->name, sizeof(file->name), err);

    if (st != STATUS_OK)
        return st;
    if (!is_file_name(file->name))
        return error_set(err, STATUS_CORRUPT, "its name would lead to another folder");

    uint8_t role = cursor_u8(c);

    if (role < FILE_VMCX || role > FILE_OTHER)
        return error_set(err, STATUS_CORRUPT, "role %u is none", role);
    file->role = (enum file_role)role;
    return take_size_root(c, 0, FILE_SIZE_MAX, &file->size, &file->root, err);
}

/* The next {count, files}; what is taken before a failure stays STATEMENT's. */
static enum status take_statement_files(struct cursor *c, struct statement *statement,
                                        struct error *err)
{
    uint16_t count = 0;
    enum status st = take_count(c, STATEMENT_FILE_LEAST, STATEMENT_FILES_MAX, "files", &count, err);

    if (st != STATUS_OK || count == 0)
        return st;
    statement->files = memory_new(count, sizeof(*statement->files));
    if (statement->files == NULL)
        return error_set_no_memory(err, count * sizeof(*statement->files), "its files");
    statement->file_count = count;
    for (size_t i = 0; i < count; i++) {
        struct statement_file *file = &statement->files[i];

        if (take_statement_file(c, file, err) != STATUS_OK)
            return error_wrap(err, "file %zu", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(statement->files[j].name, file->name) == 0)
                return error_set(err, STATUS_CORRUPT, "file %zu has the name of a file before it",
                                 i);
    }
    return STATUS_OK;
}

/* All of it into the zeroed STATEMENT; what is taken before a failure stays STATEMENT's. */
static enum status take_statement(struct slice bytes, struct statement *statement,
                                  struct error *err)
{
    struct cursor c = cursor_of(bytes);
    enum status st = check_version(bytes, cursor_u8(&c), STATEMENT_SIZE_MAX, err);

    if (st != STATUS_OK)
        return st;
    cursor_copy(&c, statement->repository.bytes, sizeof(statement->repository.bytes));
    cursor_copy(&c, statement->task.bytes, sizeof(statement->task.bytes));
    cursor_copy(&c, statement->vm.bytes, sizeof(statement->vm.bytes));
    statement->time_us = (int64_t)cursor_u64le(&c);
    cursor_copy(&c, statement->parent.bytes, sizeof(statement->parent.bytes));
    st = field_take_text(&c, "the host's name", FIELD_EMPTY_REFUSED, statement->host,
                         sizeof(statement->host), err);
    if (st == STATUS_OK)
        st = field_take_text(&c, "the VM's name", FIELD_EMPTY_REFUSED, statement->vm_name,
                             sizeof(statement->vm_name), err);
    if (st != STATUS_OK)
        return st;

    uint8_t consistency = cursor_u8(&c);

    if (consistency != CONSISTENCY_CRASH && consistency != CONSISTENCY_APPLICATION)
        return error_set(err, STATUS_CORRUPT, "consistency %u is none", consistency);
    statement->consistency = (enum consistency)consistency;
    st = field_take_text(&c, "the reason", FIELD_EMPTY_FINE, statement->reason,
                         sizeof(statement->reason), err);
    if (st == STATUS_OK)
        st = take_statement_disks(&c, statement, err);
    if (st == STATUS_OK)
        st = take_statement_files(&c, statement, err);
    if (st == STATUS_OK && statement->disk_count == 0 && statement->file_count == 0)
        st = error_set(err, STATUS_CORRUPT, "neither disks nor files");
    if (st == STATUS_OK && !cursor_end(&c))
        st = error_set(err, STATUS_CORRUPT, "%zu bytes are behind its end", cursor_left(&c));
    return st;
}

enum status statement_decode(struct slice bytes, struct statement *ret_statement, struct error *err)
{
    struct statement statement = {0};
    enum status st = take_statement(bytes, &statement, err);

    if (st != STATUS_OK) {
        st = error_wrap(err, "statement");
        goto out;
    }
    *ret_statement = statement;
    statement.disks = NULL;
    statement.files = NULL;
out:
    statement_deinit(&statement);
    return st;
}

void statement_deinit(struct statement *statement)
{
    memory_free(statement->disks);
    memory_free(statement->files);
    statement->disks = NULL;
    statement->files = NULL;
    statement->disk_count = 0;
    statement->file_count = 0;
}

const char *consistency_text(enum consistency consistency)
{
    switch (consistency) {
    case CONSISTENCY_CRASH:
        return "crash";
    case CONSISTENCY_APPLICATION:
        return "application";
    }
    return "unknown";
}

/* --- tracking --- */

void tracking_encode(const struct tracking *tracking, struct buffer *target)
{
    buffer_put_u8(target, VERSION);
    field_put_random_id(target, &tracking->repository);
    field_put_random_id(target, &tracking->vm);
    field_put_id(target, &tracking->point);
    buffer_put_u64le(target, (uint64_t)tracking->time_us);
    buffer_put_u16le(target, tracking->disk_count);
    for (size_t i = 0; i < tracking->disk_count; i++) {
        const struct tracking_disk *disk = &tracking->disks[i];

        buffer_put(target, slice_of(disk->identity, sizeof(disk->identity)));
        put_size_root(target, disk->size, &disk->root);
        field_put_text(target, disk->change_id);
    }
}

static enum status take_tracking_disk(struct cursor *c, struct tracking_disk *disk,
                                      struct error *err)
{
    cursor_copy(c, disk->identity, sizeof(disk->identity));

    enum status st = take_disk_size_root(c, &disk->size, &disk->root, err);

    if (st != STATUS_OK)
        return st;
    return field_take_text(c, "its change id", FIELD_EMPTY_FINE, disk->change_id,
                           sizeof(disk->change_id), err);
}

/* The next {count, disks}; what is taken before a failure stays TRACKING's. */
static enum status take_tracking_disks(struct cursor *c, struct tracking *tracking,
                                       struct error *err)
{
    uint16_t count = 0;
    enum status st = take_count(c, TRACKING_DISK_LEAST, STATEMENT_DISKS_MAX, "disks", &count, err);

    if (st == STATUS_OK && count == 0)
        st = error_set(err, STATUS_CORRUPT, "no disks");
    if (st != STATUS_OK)
        return st;
    tracking->disks = memory_new(count, sizeof(*tracking->disks));
    if (tracking->disks == NULL)
        return error_set_no_memory(err, count * sizeof(*tracking->disks), "its disks");
    tracking->disk_count = count;
    for (size_t i = 0; i < count; i++) {
        struct tracking_disk *disk = &tracking->disks[i];

        if (take_tracking_disk(c, disk, err) != STATUS_OK)
            return error_wrap(err, "disk %zu", i);
        for (size_t j = 0; j < i; j++)
            if (memcmp(tracking->disks[j].identity, disk->identity, IDENTITY_SIZE) == 0)
                return refuse_twin(i, err);
    }
    return STATUS_OK;
}

/* All of it into the zeroed TRACKING; what is taken before a failure stays TRACKING's. */
static enum status take_tracking(struct slice bytes, struct tracking *tracking, struct error *err)
{
    struct cursor c = cursor_of(bytes);
    enum status st = check_version(bytes, cursor_u8(&c), TRACKING_SIZE_MAX, err);

    if (st != STATUS_OK)
        return st;
    cursor_copy(&c, tracking->repository.bytes, sizeof(tracking->repository.bytes));
    cursor_copy(&c, tracking->vm.bytes, sizeof(tracking->vm.bytes));
    cursor_copy(&c, tracking->point.bytes, sizeof(tracking->point.bytes));
    tracking->time_us = (int64_t)cursor_u64le(&c);
    if (id_is_hole(&tracking->point))
        return error_set(err, STATUS_CORRUPT, "it names no restore point");
    st = take_tracking_disks(&c, tracking, err);
    if (st == STATUS_OK && !cursor_end(&c))
        st = error_set(err, STATUS_CORRUPT, "%zu bytes are behind its end", cursor_left(&c));
    return st;
}

enum status tracking_decode(struct slice bytes, struct tracking *ret_tracking, struct error *err)
{
    struct tracking tracking = {0};
    enum status st = take_tracking(bytes, &tracking, err);

    if (st != STATUS_OK) {
        st = error_wrap(err, "tracking record");
        goto out;
    }
    *ret_tracking = tracking;
    tracking.disks = NULL;
out:
    tracking_deinit(&tracking);
    return st;
}

void tracking_deinit(struct tracking *tracking)
{
    memory_free(tracking->disks);
    tracking->disks = NULL;
    tracking->disk_count = 0;
}

/* --- what is signed --- */

void signed_encode(const struct signed_slice *what, struct buffer *target)
{
    buffer_put_u32le(target, (uint32_t)what->body.size); /* at most TRACKING_SIZE_MAX */
    buffer_put(target, what->body);
    buffer_put(target, what->signature);
    buffer_put_u16le(target, (uint16_t)what->certificate.size); /* at most SIGN_CERTIFICATE_MAX */
    buffer_put(target, what->certificate);
}

enum status signed_decode(struct cursor *cursor, struct signed_slice *ret_signed, struct error *err)
{
    struct signed_slice what = {.body = {0}};
    uint32_t body_length = cursor_u32le(cursor);

    what.body = cursor_take(cursor, body_length);
    what.signature = cursor_take(cursor, SIGN_SIZE);

    uint16_t certificate_length = cursor_u16le(cursor);

    what.certificate = cursor_take(cursor, certificate_length);
    if (!cursor_ok(cursor))
        return error_set(err, STATUS_CORRUPT, "what was signed is cut off");
    if (what.body.size == 0 || what.body.size > TRACKING_SIZE_MAX)
        return error_set(err, STATUS_CORRUPT, "%zu bytes are signed: none, or more than %d",
                         what.body.size, TRACKING_SIZE_MAX);
    if (what.certificate.size == 0 || what.certificate.size > SIGN_CERTIFICATE_MAX)
        return error_set(err, STATUS_CORRUPT, "a certificate of %zu bytes: none, or more than %d",
                         what.certificate.size, SIGN_CERTIFICATE_MAX);
    *ret_signed = what;
    return STATUS_OK;
}

enum status signed_check(const struct signed_slice *what, const char *context, const char *ca_pem,
                         int64_t time_us, char ret_host[SIGN_NAME_SIZE], struct error *err)
{
    char host[SIGN_NAME_SIZE] = {0};
    struct sign_public *key = NULL;
    enum status st = STATUS_OK;

    if (what->signature.size != SIGN_SIZE) {
        st = error_set(err, STATUS_CORRUPT, "a signature of %zu bytes, not %d",
                       what->signature.size, SIGN_SIZE);
        goto out;
    }
    st = sign_certificate_check(what->certificate, ca_pem, time_us, host, &key, err);
    if (st != STATUS_OK)
        goto out;
    st = sign_check(key, context, what->body, what->signature.data, err);
    if (st != STATUS_OK)
        goto out;
    memcpy(ret_host, host, sizeof(host));
out:
    sign_public_free(key);
    return st;
}
