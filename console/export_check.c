#include "console/export_check.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/slice.h"
#include "format/manifest.h"
#include "format/sign.h"

enum { KEY_SIZE = 32, BODY_SIZE_MAX = STATEMENT_SIZE_MAX + SIGN_CERTIFICATE_MAX + 1024 };

static struct slice slice_of_field(ProtobufCBinaryData field)
{
    return slice_of(field.data, field.len);
}

static enum status check_asked(const Tidemark__V1__ExportOpened *opened, const char *asked,
                               struct id *ret_point, struct error *err)
{
    char text[ID_TEXT_SIZE];

    if (opened->point == NULL || opened->point->point.len != ID_SIZE)
        return error_set(err, STATUS_INVALID, "the coordinator does not say which point this is");
    memcpy(ret_point->bytes, opened->point->point.data, ID_SIZE);
    id_text(ret_point, text);
    if (strncmp(text, asked, strlen(asked)) != 0)
        return error_set(err, STATUS_CORRUPT,
                         "the coordinator sends point %s, not the one asked for", text);
    return STATUS_OK;
}

/* The root and the key, each of them only known to be possible. */
static enum status take_root(Tidemark__V1__ExportOpened *opened, struct export_disk *disk,
                             struct error *err)
{
    enum status st = STATUS_OK;

    if (opened->id_key.len != KEY_SIZE || opened->root.len != DISK_ROOT_PLAIN_SIZE)
        return error_set(
            err, STATUS_INVALID,
            "the coordinator sends a disk root of %zu bytes and a key of %zu; they must "
            "be %d and %d",
            opened->root.len, opened->id_key.len, DISK_ROOT_PLAIN_SIZE, KEY_SIZE);
    st = hash_key_new(slice_of_field(opened->id_key), &disk->id_key, err);
    OPENSSL_cleanse(opened->id_key.data, opened->id_key.len);
    if (st == STATUS_OK)
        st = disk_root_decode(slice_of_field(opened->root), &disk->root, err);
    return st;
}

/* Is the signer an agent, and the one that the statement names? */
static enum status check_signer(const struct signed_slice *what, const struct statement *statement,
                                const char *agents_ca_pem, struct error *err)
{
    char signer[SIGN_NAME_SIZE];
    enum status st =
        signed_check(what, SIGN_CONTEXT_STATEMENT, agents_ca_pem, statement->time_us, signer, err);

    if (st != STATUS_OK)
        return error_wrap(err, "the point is not signed by a host that agents-ca.pem vouches for");
    if (strcmp(signer, statement->host) != 0)
        return error_set(err, STATUS_CORRUPT, "the statement names host %s, but %s has signed it",
                         statement->host, signer);
    return STATUS_OK;
}

/* The statement's disk whose root this is. */
static enum status find_disk(const struct statement *statement, struct export_disk *disk,
                             struct error *err)
{
    struct id root_id;
    enum status st = disk_root_id(disk->id_key, &disk->root, &root_id, err);

    if (st != STATUS_OK)
        return st;
    for (uint16_t i = 0; i < statement->disk_count; i++) {
        const struct statement_disk *stated = &statement->disks[i];

        if (id_equal(&stated->root, &root_id) && stated->size == disk->root.size) {
            memcpy(disk->name, stated->name, sizeof(disk->name));
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_CORRUPT,
                     "the coordinator sends a disk of %" PRIu64
                     " bytes that the host has not signed",
                     disk->root.size);
}

/* The point's id covers the signed statement: is this the point's? */
static enum status check_point(const struct signed_slice *what, const struct statement *statement,
                               const struct export_disk *disk, struct error *err)
{
    struct envelope envelope = {.vm = statement->vm,
                                .time_us = statement->time_us,
                                .disk_count = statement->disk_count,
                                .file_count = statement->file_count};
    struct buffer body;
    struct id point;
    enum status st = STATUS_OK;

    buffer_init(&body, BODY_SIZE_MAX);
    envelope.disks = memory_new(statement->disk_count, sizeof(envelope.disks[0]));
    envelope.files = memory_new(statement->file_count, sizeof(envelope.files[0]));
    if (envelope.disks == NULL || envelope.files == NULL) {
        st = error_set_no_memory(err, sizeof(envelope.disks[0]), "the disks and files of a point");
        goto out;
    }
    for (uint16_t i = 0; i < statement->disk_count; i++) {
        envelope.disks[i].size = statement->disks[i].size;
        envelope.disks[i].root.id = statement->disks[i].root;
    }
    for (uint16_t i = 0; i < statement->file_count; i++) {
        envelope.files[i].size = statement->files[i].size;
        envelope.files[i].root.id = statement->files[i].root;
    }
    body_encode(what, &body);
    st = buffer_check(&body, "the signed statement of a point", err);
    if (st == STATUS_OK)
        st = id_of(disk->id_key, KIND_BODY, buffer_slice(&body), &envelope.body.id, err);
    if (st == STATUS_OK)
        st = envelope_id(disk->id_key, &envelope, &point, err);
    if (st == STATUS_OK && !id_equal(&point, &disk->point))
        st = error_set(err, STATUS_CORRUPT,
                       "the coordinator sends a statement that belongs to another point");
out:
    envelope_deinit(&envelope);
    buffer_deinit(&body);
    return st;
}

enum status export_check(Tidemark__V1__ExportOpened *opened, const char *asked,
                         const char *agents_ca_pem, struct export_disk *ret_disk, struct error *err)
{
    struct export_disk disk = {0};
    struct statement statement = {0};
    struct signed_slice what = {0};
    enum status st = check_asked(opened, asked, &disk.point, err);

    if (st == STATUS_OK && opened->statement == NULL)
        st = error_set(err, STATUS_INVALID, "the coordinator sends no signed statement");
    if (st != STATUS_OK)
        goto out;
    what.body = slice_of_field(opened->statement->body);
    what.signature = slice_of_field(opened->statement->signature);
    what.certificate = slice_of_field(opened->statement->certificate);
    st = statement_decode(what.body, &statement, err);
    if (st == STATUS_OK)
        st = check_signer(&what, &statement, agents_ca_pem, err);
    if (st == STATUS_OK)
        st = take_root(opened, &disk, err);
    if (st == STATUS_OK)
        st = find_disk(&statement, &disk, err);
    if (st == STATUS_OK)
        st = check_point(&what, &statement, &disk, err);
    if (st != STATUS_OK)
        goto out;
    disk.time_us = statement.time_us;
    memcpy(disk.host, statement.host, sizeof(disk.host));
    *ret_disk = disk;
    disk.id_key = NULL;
out:
    OPENSSL_cleanse(opened->id_key.data, opened->id_key.len);
    export_disk_deinit(&disk);
    statement_deinit(&statement);
    return st;
}

void export_disk_deinit(struct export_disk *disk)
{
    hash_key_free(disk->id_key);
    disk->id_key = NULL;
}
