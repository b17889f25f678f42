#include "agent/parent.h"

#include <inttypes.h>
#include <string.h>

#include "agent/point.h"
#include "format/sign.h"
#include "format/statement.h"

static struct slice slice_of_bytes(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

static enum status take_signed(const Tidemark__V1__Signed *message, const char *what,
                               struct signed_slice *ret_signed, struct error *err)
{
    if (message == NULL)
        return error_set(err, STATUS_INVALID, "the parent comes without its %s", what);
    *ret_signed = (struct signed_slice){.body = slice_of_bytes(message->body),
                                        .signature = slice_of_bytes(message->signature),
                                        .certificate = slice_of_bytes(message->certificate)};
    return STATUS_OK;
}

/* Of this repository, VM and one disk; and it makes the point POINT. */
static enum status check_statement(const struct parent_terms *terms,
                                   const struct signed_slice *signed_statement,
                                   const struct statement *statement, const struct id *point,
                                   struct error *err)
{
    char host[SIGN_NAME_SIZE];
    struct id computed = {{0}};

    if (!random_id_equal(&statement->repository, &terms->repository))
        return error_set(err, STATUS_CORRUPT, "it is of another repository");
    if (!random_id_equal(&statement->vm, &terms->vm))
        return error_set(err, STATUS_CORRUPT, "it is of another VM");
    if (statement->disk_count != 1)
        return error_set(err, STATUS_CORRUPT, "it is of %d disks, not of one",
                         statement->disk_count);

    enum status st = signed_check(signed_statement, SIGN_CONTEXT_STATEMENT, terms->ca_pem,
                                  statement->time_us, host, err);

    if (st != STATUS_OK)
        return st;
    if (strcmp(host, statement->host) != 0)
        return error_set(err, STATUS_CORRUPT, "host %s has signed for host %s", host,
                         statement->host);
    st = point_id(terms->id_key, statement, signed_statement, &computed, err);
    if (st == STATUS_OK && !id_equal(&computed, point))
        st = error_set(err, STATUS_CORRUPT, "it is the statement of another restore point");
    return st;
}

/* Of the same repository, VM, point and disk. */
static enum status check_tracking(const struct parent_terms *terms,
                                  const struct signed_slice *signed_tracking,
                                  const struct tracking *tracking,
                                  const struct statement_disk *stated, const struct id *point,
                                  struct error *err)
{
    char host[SIGN_NAME_SIZE];
    const struct tracking_disk *disk = tracking->disks;

    if (!random_id_equal(&tracking->repository, &terms->repository))
        return error_set(err, STATUS_CORRUPT, "it is of another repository");
    if (!random_id_equal(&tracking->vm, &terms->vm))
        return error_set(err, STATUS_CORRUPT, "it is of another VM");
    if (!id_equal(&tracking->point, point))
        return error_set(err, STATUS_CORRUPT, "it is of another restore point");
    if (tracking->disk_count != 1)
        return error_set(err, STATUS_CORRUPT, "it is of %d disks, not of one",
                         tracking->disk_count);
    if (!id_equal(&disk->root, &stated->root) || disk->size != stated->size ||
        memcmp(disk->identity, stated->identity, sizeof(disk->identity)) != 0)
        return error_set(err, STATUS_CORRUPT, "it is of another disk than the statement");
    if (disk->change_id[0] == '\0' || strlen(disk->change_id) >= DISK_CHANGE_ID_SIZE)
        return error_set(err, STATUS_CORRUPT, "it names no state of the disk");
    return signed_check(signed_tracking, SIGN_CONTEXT_TRACKING, terms->ca_pem, tracking->time_us,
                        host, err);
}

enum status parent_check(const struct parent_terms *terms, const Tidemark__V1__Parent *message,
                         struct parent *ret_parent, struct error *err)
{
    struct signed_slice signed_statement = {0};
    struct signed_slice signed_tracking = {0};
    struct statement statement = {0};
    struct tracking tracking = {0};
    struct parent parent = {0};
    enum status st = STATUS_OK;

    if (message->point.len != ID_SIZE)
        return error_set(err, STATUS_INVALID, "the parent's id has %zu bytes, not %d",
                         message->point.len, ID_SIZE);
    memcpy(parent.point.bytes, message->point.data, ID_SIZE);
    st = take_signed(message->statement, "statement", &signed_statement, err);
    if (st == STATUS_OK)
        st = take_signed(message->tracking, "tracking record", &signed_tracking, err);
    if (st != STATUS_OK)
        goto out;
    st = statement_decode(signed_statement.body, &statement, err);
    if (st == STATUS_OK)
        st = check_statement(terms, &signed_statement, &statement, &parent.point, err);
    if (st != STATUS_OK) {
        (void)error_wrap(err, "the parent's statement");
        goto out;
    }
    st = tracking_decode(signed_tracking.body, &tracking, err);
    if (st == STATUS_OK)
        st = check_tracking(terms, &signed_tracking, &tracking, &statement.disks[0], &parent.point,
                            err);
    if (st != STATUS_OK) {
        (void)error_wrap(err, "the parent's tracking record");
        goto out;
    }
    parent.root = statement.disks[0].root;
    parent.size = statement.disks[0].size;
    memcpy(parent.identity, statement.disks[0].identity, sizeof(parent.identity));
    memcpy(parent.change_id, tracking.disks[0].change_id, strlen(tracking.disks[0].change_id) + 1);
    *ret_parent = parent;
out:
    statement_deinit(&statement);
    tracking_deinit(&tracking);
    return st;
}

enum status parent_check_disk(const struct parent *parent, const struct disk_info *info,
                              struct error *err)
{
    if (memcmp(parent->identity, info->identity, sizeof(parent->identity)) != 0)
        return error_set(err, STATUS_PRECONDITION, "the parent is of a disk of another identity");
    if (parent->size != info->size)
        return error_set(err, STATUS_PRECONDITION,
                         "the disk has %" PRIu64 " bytes, and had %" PRIu64 " in the parent",
                         info->size, parent->size);
    return STATUS_OK;
}

enum status parent_check_root(const struct parent *parent, const struct disk_info *info,
                              const struct hash_key *id_key, struct slice plain,
                              struct disk_root *ret_root, struct error *err)
{
    struct disk_root root = {0};
    struct id id = {{0}};

    if (plain.size != DISK_ROOT_PLAIN_SIZE)
        return error_set(err, STATUS_CORRUPT, "the parent's disk root has %zu bytes, not %d",
                         plain.size, DISK_ROOT_PLAIN_SIZE);

    enum status st = disk_root_decode(plain, &root, err);

    if (st == STATUS_OK)
        st = disk_root_id(id_key, &root, &id, err);
    if (st != STATUS_OK)
        return error_wrap(err, "the parent's disk root");
    if (!id_equal(&id, &parent->root) || root.size != info->size)
        return error_set(err, STATUS_CORRUPT,
                         "the disk root that was sent is not the one that the parent attests");
    if (root.logical_sector != info->logical_sector ||
        root.physical_sector != info->physical_sector)
        return error_set(err, STATUS_PRECONDITION,
                         "the disk has sectors of %" PRIu32 " (%" PRIu32 ") bytes, and had %" PRIu32
                         " (%" PRIu32 ") in the parent",
                         info->logical_sector, info->physical_sector, root.logical_sector,
                         root.physical_sector);
    *ret_root = root;
    return STATUS_OK;
}
