#include "coordinator/service/point_read.h"

#include "base/cursor.h"
#include "base/memory.h"
#include "format/record.h"

enum { SIGNED_MAX = TRACKING_SIZE_MAX + SIGN_CERTIFICATE_MAX + 1024 };

/* ---- A point --------------------------------------------------------------------------------- */

void point_content_deinit(struct point_content *content)
{
    envelope_deinit(&content->envelope);
    statement_deinit(&content->statement);
    buffer_deinit(&content->body);
}

static enum status read_envelope(struct store *store, const struct ref *ref,
                                 struct envelope *ret_envelope, struct error *err)
{
    struct buffer stored;
    struct envelope envelope = {0};
    struct id id = {{0}};
    enum status st = STATUS_OK;

    buffer_init(&stored, RECORD_PLAIN_MAX);
    st = store_read(store, store_default_domain(store), KIND_ENVELOPE, ref, &stored, err);
    if (st == STATUS_OK)
        st = envelope_decode_stored(buffer_slice(&stored), &envelope, err);
    if (st == STATUS_OK)
        st = envelope_id(store_default_domain(store)->id_key, &envelope, &id, err);
    if (st == STATUS_OK && !id_equal(&id, &ref->id))
        st = error_set(err, STATUS_CORRUPT, "the envelope's content is not what its id says");
    if (st == STATUS_OK) {
        *ret_envelope = envelope;
        envelope = (struct envelope){0};
    }
    envelope_deinit(&envelope);
    buffer_deinit(&stored);
    return st;
}

static enum status refuse_root(const char *what, uint16_t index, struct error *err)
{
    return error_set(err, STATUS_CORRUPT, "the host's statement has another size or root for %s %u",
                     what, (unsigned)index);
}

/* Do envelope and statement speak of the same? */
static enum status check_agreement(const struct envelope *envelope,
                                   const struct statement *statement, struct error *err)
{
    if (!random_id_equal(&envelope->vm, &statement->vm) ||
        envelope->time_us != statement->time_us || envelope->disk_count != statement->disk_count ||
        envelope->file_count != statement->file_count)
        return error_set(err, STATUS_CORRUPT, "the host's statement is about another point");
    for (uint16_t i = 0; i < envelope->disk_count; i++)
        if (envelope->disks[i].size != statement->disks[i].size ||
            !id_equal(&envelope->disks[i].root.id, &statement->disks[i].root))
            return refuse_root("disk", i, err);
    for (uint16_t i = 0; i < envelope->file_count; i++)
        if (envelope->files[i].size != statement->files[i].size ||
            !id_equal(&envelope->files[i].root.id, &statement->files[i].root))
            return refuse_root("file", i, err);
    return STATUS_OK;
}

enum status point_read(struct store *store, const struct ref *envelope,
                       struct point_content *ret_content, struct error *err)
{
    struct point_content content = {0};
    enum status st = STATUS_OK;

    buffer_init(&content.body, RECORD_PLAIN_MAX);
    st = read_envelope(store, envelope, &content.envelope, err);
    if (st == STATUS_OK)
        st = store_read(store, store_default_domain(store), KIND_BODY, &content.envelope.body,
                        &content.body, err);
    if (st == STATUS_OK)
        st = body_decode(buffer_slice(&content.body), &content.signed_statement, err);
    if (st == STATUS_OK)
        st = statement_decode(content.signed_statement.body, &content.statement, err);
    if (st == STATUS_OK)
        st = check_agreement(&content.envelope, &content.statement, err);
    if (st != STATUS_OK) {
        point_content_deinit(&content);
        return st;
    }
    *ret_content = content; /* what points into the body points into its memory, which stays */
    return STATUS_OK;
}

/* ---- The parent ------------------------------------------------------------------------------ */

void parent_free(struct parent *parent)
{
    if (parent == NULL)
        return;
    buffer_deinit(&parent->body);
    buffer_deinit(&parent->tracking);
    memory_free(parent);
}

static enum status find_point(struct store *store, const struct id *id, struct ref *ret_envelope,
                              struct error *err)
{
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);

    for (size_t i = count; i-- > 0;)
        if (id_equal(&points[i].envelope.id, id)) {
            *ret_envelope = points[i].envelope;
            return STATUS_OK;
        }
    return error_set(err, STATUS_NOT_FOUND, "the tracking record names a point that is not here");
}

/* What the newest tracking record of VM says, in PARENT->tracking. */
static enum status read_tracking(struct store *store, const struct random_id *vm,
                                 struct parent *parent, struct error *err)
{
    struct slice bytes = {0};
    struct tracking tracking = {0};
    struct cursor cursor;
    enum status st = store_tracking(store, vm, &bytes, err);

    if (st != STATUS_OK)
        return st;
    buffer_put(&parent->tracking, bytes);
    st = buffer_check(&parent->tracking, "a tracking record", err);
    if (st != STATUS_OK)
        return st;
    cursor = cursor_of(buffer_slice(&parent->tracking));
    st = signed_decode(&cursor, &parent->signed_tracking, err);
    if (st == STATUS_OK)
        st = tracking_decode(parent->signed_tracking.body, &tracking, err);
    if (st == STATUS_OK)
        parent->point = tracking.point;
    tracking_deinit(&tracking);
    return st;
}

enum status parent_read(struct store *store, const struct random_id *vm, struct parent **ret_parent,
                        struct error *err)
{
    struct point_content content = {0};
    struct ref envelope = {0};
    struct parent *parent = memory_new(1, sizeof(*parent));
    enum status st = STATUS_OK;

    if (parent == NULL)
        return error_set_no_memory(err, sizeof(*parent), "a parent");
    buffer_init(&parent->body, RECORD_PLAIN_MAX);
    buffer_init(&parent->tracking, SIGNED_MAX);
    st = read_tracking(store, vm, parent, err);
    if (st == STATUS_OK)
        st = find_point(store, &parent->point, &envelope, err);
    if (st == STATUS_OK)
        st = point_read(store, &envelope, &content, err);
    if (st == STATUS_OK && content.statement.disk_count != 1)
        st = error_set(err, STATUS_CORRUPT, "a plain disk's point has one disk, this has %u",
                       (unsigned)content.statement.disk_count);
    if (st == STATUS_OK) {
        parent->root = content.statement.disks[0].root;
        parent->signed_statement = content.signed_statement;
        parent->body = content.body; /* the slices point into its memory, which is PARENT's now */
        buffer_init(&content.body, 0);
        *ret_parent = parent;
        parent = NULL;
    }
    point_content_deinit(&content);
    parent_free(parent);
    return st;
}
