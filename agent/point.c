#include "agent/point.h"

#include "base/buffer.h"
#include "base/invariant.h"
#include "format/manifest.h"

enum { BODY_SIZE_MAX = STATEMENT_SIZE_MAX + SIGN_SIZE + SIGN_CERTIFICATE_MAX + 64 };

enum status point_id(const struct hash_key *id_key, const struct statement *statement,
                     const struct signed_slice *signed_statement, struct id *ret_id,
                     struct error *err)
{
    INVARIANT(statement->disk_count == 1);

    struct envelope_disk disk = {.size = statement->disks[0].size,
                                 .root = {statement->disks[0].root, 0}};
    struct envelope envelope = {.vm = statement->vm,
                                .time_us = statement->time_us,
                                .disks = &disk,
                                .disk_count = 1};
    struct buffer body = {0};

    buffer_init(&body, BODY_SIZE_MAX);
    body_encode(signed_statement, &body);

    enum status st = buffer_check(&body, "a signed statement", err);

    if (st == STATUS_OK)
        st = id_of(id_key, KIND_BODY, buffer_slice(&body), &envelope.body.id, err);
    if (st == STATUS_OK)
        st = envelope_id(id_key, &envelope, ret_id, err);
    buffer_deinit(&body);
    return st;
}
