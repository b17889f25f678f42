#include "tests/agent_double.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "base/text.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "format/codec.h"
#include "format/manifest.h"
#include "format/sign.h"
#include "format/statement.h"
#include "format/tree.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

enum {
    WORKERS = 3,
    BLOCKING = 4,
    ENTRIES = 256,
    NODES_AT_ONCE = 64,
    UPLOAD_BYTES = 1 << 20,
    MEMORY = 64 << 20
};

static const char host[] = "hv-01";

/* ---- Content by id --------------------------------------------------------------------------- */

static const struct double_thing *find_thing(const struct double_store *store, const struct id *id)
{
    for (size_t i = 0; i < store->count; i++)
        if (id_equal(&store->things[i].id, id))
            return &store->things[i];
    return NULL;
}

static void put_thing(struct double_store *store, const struct id *id, const void *data,
                      size_t size)
{
    if (find_thing(store, id) != NULL)
        return;
    if (store->count == store->capacity) {
        store->capacity = store->capacity * 2 + 64;
        store->things = memory_resize(store->things, store->capacity, sizeof(*store->things));
        assert_non_null(store->things);
    }

    struct double_thing *thing = &store->things[store->count++];

    *thing = (struct double_thing){.id = *id, .data = memory_new(size, 1), .size = size};
    assert_non_null(thing->data);
    memcpy(thing->data, data, size);
}

static void free_store(struct double_store *store)
{
    for (size_t i = 0; i < store->count; i++)
        memory_free(store->things[i].data);
    memory_free(store->things);
}

static enum status read_node(struct agent_double *fake, uint8_t level, uint64_t index,
                             const struct ref *ref, struct tree_node *ret_node, struct error *err)
{
    const struct double_thing *thing = find_thing(&fake->nodes, &ref->id);
    struct tree_node node = {.level = level, .index = index};

    if (thing == NULL)
        return error_set(err, STATUS_NOT_FOUND, "no such node");

    enum status st = tree_node_decode(slice_of(thing->data, thing->size), &node, err);

    if (st == STATUS_OK)
        *ret_node = node;
    return st;
}

/* ---- Misbehaving ----------------------------------------------------------------------------- */

void agent_double_script(struct agent_double *fake, enum double_step step, unsigned n,
                         enum double_action action)
{
    fake->step = step;
    fake->step_n = n;
    fake->action = action;
    fake->hits = 0;
    if (fake->status == STATUS_OK)
        fake->status = STATUS_INTERNAL;
}

/* Is ACTION to be done now, the Nth time at STEP? */
static bool hits_step(struct agent_double *fake, enum double_step step)
{
    if (fake->step != step)
        return false;
    fake->hits++;
    if (fake->step_n != 0 && fake->hits != fake->step_n)
        return false;
    if (fake->action == ACT_CALL) {
        fake->at_step(fake->context);
        return false;
    }
    return true;
}

static void finish(struct agent_double *fake, struct rpc_call *call)
{
    struct error err = {0};

    (void)error_set(&err, fake->status, "the double fails at step %d", (int)fake->step);
    rpc_call_finish(call, fake->status, &err);
}

/* ---- Upload ---------------------------------------------------------------------------------- */

struct double_offer {
    struct double_offer *next;
    uint64_t first_seq;
    size_t count;
    uint64_t missing; /* wanted, and not here */
    uint8_t bitmap[ENTRIES / 8];
    struct buffer nodes;
    bool told;

    struct {
        uint64_t block;
        struct id id;
        bool wanted, here;
    } entries[ENTRIES];
};

struct double_upload {
    struct double_upload *next;
    struct agent_double *fake;
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    bool writing, over, opened_due, opened, silent, ended, closed_due, closing;
    bool finish_after_write;
    struct disk_root geometry;
    bool on_parent;
    uint8_t parent_plain[DISK_ROOT_PLAIN_SIZE];
    struct tree_path *path;
    struct tree_builder *builder;
    struct buffer *nodes; /* of the offer whose nodes are being read */
    struct double_offer *first, *last;
    uint64_t next_seq, next_block, untold, incomplete;
    struct disk_root root;
    struct id root_id;
    struct codec_context *codec;
};

static void upload_pump(struct double_upload *upload);

static enum status path_read(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct double_upload *upload = context;
    uint8_t plain[NODE_PLAIN_SIZE];
    enum status st = read_node(upload->fake, level, index, ref, ret_node, err);

    if (st == STATUS_OK) {
        tree_node_encode_plain(ret_node, plain);
        buffer_put(upload->nodes, slice_of(plain, sizeof(plain)));
    }
    return st;
}

static enum status builder_read(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                                struct tree_node *ret_node, struct error *err)
{
    return read_node(((struct double_upload *)context)->fake, level, index, ref, ret_node, err);
}

static enum status builder_emit(void *context, const struct tree_node *node, struct ref *ret_ref,
                                struct error *err)
{
    struct double_upload *upload = context;
    uint8_t plain[NODE_PLAIN_SIZE];
    struct ref ref = {{{0}}, 0};
    enum status st = tree_node_id(upload->fake->id_key, node, &ref.id, err);

    if (st != STATUS_OK)
        return st;
    tree_node_encode_plain(node, plain);
    put_thing(&upload->fake->nodes, &ref.id, plain, sizeof(plain));
    *ret_ref = ref;
    return STATUS_OK;
}

static void take_open(struct double_upload *upload, const Tidemark__V1__UploadOpen *open)
{
    static const struct tree_callbacks path = {.read = path_read};
    static const struct tree_callbacks builder = {.read = builder_read, .emit = builder_emit};
    struct agent_double *fake = upload->fake;
    struct disk_root parent = {0};
    struct error err = {0};

    assert_false(upload->opened);
    assert_int_equal(open->task.len, RANDOM_ID_SIZE);
    upload->geometry = (struct disk_root){.size = open->size,
                                          .block_size = open->block_size,
                                          .logical_sector = open->logical_sector,
                                          .physical_sector = open->physical_sector};
    upload->on_parent = open->parent_root.len != 0;
    if (upload->on_parent) {
        struct id id = {{0}};

        assert_int_equal(open->parent_root.len, ID_SIZE);
        memcpy(id.bytes, open->parent_root.data, ID_SIZE);

        const struct double_thing *thing = find_thing(&fake->roots, &id);

        assert_non_null(thing);
        memcpy(upload->parent_plain, thing->data, DISK_ROOT_PLAIN_SIZE);
        ASSERT_OK(disk_root_decode(slice_of(thing->data, thing->size), &parent, &err), &err);
        ASSERT_OK(tree_path_new(&parent, &path, upload, &upload->path, &err), &err);
    }
    ASSERT_OK(tree_builder_new(&upload->geometry, upload->on_parent ? &parent : NULL, &builder,
                               upload, &upload->builder, &err),
              &err);
    upload->opened = true;
    if (!upload->on_parent && fake->also_refuse > 0) {
        fake->also_refuse--;
        finish(fake, upload->call);
        return;
    }
    if (hits_step(fake, STEP_OPENED)) {
        if (fake->action == ACT_FAIL) {
            finish(fake, upload->call);
            return;
        }
        if (fake->action == ACT_SILENT)
            upload->silent = true;
        if (fake->action == ACT_WRONG_ROOT)
            upload->parent_plain[DISK_ROOT_PLAIN_SIZE - 1] ^= 1;
    }
    upload->opened_due = true;
}

/* One entry: into the path (for the nodes), the tree, and the offer's want. */
static void take_entry(struct double_upload *upload, struct double_offer *offer, size_t i,
                       uint64_t count, const struct id *id)
{
    struct agent_double *fake = upload->fake;
    uint64_t block = offer->entries[i].block;
    struct ref ref = {*id, 0};
    struct error err = {0};

    assert_true(block >= upload->next_block);
    upload->next_block = block + count;
    fake->entries++;
    upload->nodes = &offer->nodes;
    if (upload->path != NULL)
        ASSERT_OK(tree_path_touch(upload->path, block, count, id_is_hole(id), &err), &err);
    if (id_is_hole(id)) {
        fake->hole_entries++;
        assert_true(upload->on_parent); /* without a parent nobody names holes */
        ASSERT_OK(tree_builder_put_holes(upload->builder, block, count, &err), &err);
        return;
    }
    ASSERT_OK(tree_builder_put(upload->builder, block, &ref, &err), &err);
    if (find_thing(&fake->blocks, id) == NULL || fake->want_all) {
        offer->entries[i].wanted = true;
        offer->bitmap[i / 8] |= (uint8_t)(1U << i % 8);
        offer->missing++;
    }
}

static void take_offer(struct double_upload *upload, const Tidemark__V1__Offer *message)
{
    struct agent_double *fake = upload->fake;
    struct double_offer *offer = memory_new(1, sizeof(*offer));
    size_t holes = 0;

    assert_non_null(offer);
    assert_true(upload->opened && !upload->ended);
    assert_true(message->n_blocks >= 1 && message->n_blocks <= ENTRIES);
    assert_int_equal(message->ids.len, message->n_blocks * ID_SIZE);
    assert_int_equal(message->first_seq, upload->next_seq);
    buffer_init(&offer->nodes, SIZE_MAX);
    offer->first_seq = message->first_seq;
    offer->count = message->n_blocks;
    upload->next_seq += offer->count;
    for (size_t i = 0; i < offer->count; i++) {
        struct id id = {{0}};
        uint64_t count = 1;

        memcpy(id.bytes, message->ids.data + i * ID_SIZE, ID_SIZE);
        offer->entries[i].block = message->blocks[i];
        offer->entries[i].id = id;
        if (id_is_hole(&id)) {
            assert_true(holes < message->n_hole_counts);
            count = message->hole_counts[holes++];
        }
        take_entry(upload, offer, i, count, &id);
    }
    assert_int_equal(holes, message->n_hole_counts);
    if (upload->last != NULL)
        upload->last->next = offer;
    else
        upload->first = offer;
    upload->last = offer;
    upload->untold++;
    upload->incomplete += offer->missing > 0;
    assert_true(upload->untold <= 16);
    assert_true(upload->incomplete <= 1024);
    if (upload->untold > fake->undecided_peak)
        fake->undecided_peak = upload->untold;
}

static void take_block(struct double_upload *upload, const Tidemark__V1__BlockData *data)
{
    struct agent_double *fake = upload->fake;
    struct double_offer *offer = upload->first;
    struct error err = {0};
    struct id id = {{0}};

    while (offer != NULL && data->seq >= offer->first_seq + offer->count)
        offer = offer->next;
    if (offer == NULL || data->seq < offer->first_seq) {
        fail_msg("a block that was not offered");
        return; /* for the analyzer: fail_msg() does not come back */
    }
    assert_true(offer->told);

    size_t i = (size_t)(data->seq - offer->first_seq);
    uint32_t length = disk_root_block_length(&upload->geometry, offer->entries[i].block);
    uint8_t *plain = memory_new(length, 1);

    assert_non_null(plain);
    assert_true(offer->entries[i].wanted && !offer->entries[i].here);
    ASSERT_OK(codec_decompress(upload->codec, (uint8_t)data->codec,
                               slice_of(data->data.data, data->data.len), plain, length, &err),
              &err);
    ASSERT_OK(id_of(fake->id_key, KIND_BLOCK, slice_of(plain, length), &id, &err), &err);
    assert_memory_equal(id.bytes, offer->entries[i].id.bytes, ID_SIZE);
    put_thing(&fake->blocks, &id, plain, length);
    memory_free(plain);
    offer->entries[i].here = true;
    offer->missing--;
    upload->incomplete -= offer->missing == 0;
    fake->blocks_sent++;
    fake->bytes_sent += data->data.len;
}

static void take_blocks(struct double_upload *upload, const Tidemark__V1__Blocks *blocks)
{
    struct agent_double *fake = upload->fake;
    size_t bytes = 0;

    assert_true(blocks->n_blocks > 0);
    fake->blocks_messages++;
    for (size_t i = 0; i < blocks->n_blocks; i++) {
        bytes += blocks->blocks[i]->data.len;
        take_block(upload, blocks->blocks[i]);
    }
    assert_true(bytes <= UPLOAD_BYTES);
    if (hits_step(fake, STEP_BLOCKS) && fake->action == ACT_FAIL)
        finish(fake, upload->call);
}

static void take_end(struct double_upload *upload, const Tidemark__V1__UploadEnd *end)
{
    struct agent_double *fake = upload->fake;
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    struct error err = {0};

    assert_int_equal(upload->untold, 0);
    assert_int_equal(upload->incomplete, 0);
    upload->ended = true;
    ASSERT_OK(tree_builder_finish(upload->builder, &upload->root, &err), &err);
    ASSERT_OK(disk_root_id(fake->id_key, &upload->root, &upload->root_id, &err), &err);
    assert_int_equal(end->root.len, ID_SIZE);
    assert_memory_equal(end->root.data, upload->root_id.bytes, ID_SIZE);
    disk_root_encode_plain(&upload->root, plain);
    put_thing(&fake->roots, &upload->root_id, plain, sizeof(plain));
    fake->root = upload->root;
    fake->root_id = upload->root_id;
    if (hits_step(fake, STEP_END)) {
        if (fake->action == ACT_FAIL) {
            finish(fake, upload->call);
            return;
        }
        if (fake->action == ACT_SILENT)
            upload->silent = true;
        if (fake->action == ACT_WRONG_ROOT)
            upload->root_id.bytes[0] ^= 1;
    }
    upload->closed_due = true;
}

static void write_answer(struct double_upload *upload, Tidemark__V1__UploadAnswer *answer)
{
    upload->writing = true;
    rpc_write_start(upload->call, &upload->write, &answer->base);
}

static void write_opened(struct double_upload *upload)
{
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__UploadOpened opened = TIDEMARK__V1__UPLOAD_OPENED__INIT;

    if (upload->on_parent) {
        opened.parent_root.data = upload->parent_plain;
        opened.parent_root.len = DISK_ROOT_PLAIN_SIZE;
    }
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_OPENED;
    answer.opened = &opened;
    upload->opened_due = false;
    write_answer(upload, &answer);
}

static void write_closed(struct double_upload *upload)
{
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__UploadClosed closed = TIDEMARK__V1__UPLOAD_CLOSED__INIT;

    closed.root.data = upload->root_id.bytes;
    closed.root.len = ID_SIZE;
    closed.new_blocks = 17;
    closed.stored = 19;
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_CLOSED;
    answer.closed = &closed;
    upload->closed_due = false;
    upload->finish_after_write = true;
    write_answer(upload, &answer);
}

/* Writes the next part of the want of OFFER: few nodes at once, so that there are several parts. */
static void write_want(struct double_upload *upload, struct double_offer *offer)
{
    struct agent_double *fake = upload->fake;
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    size_t part = offer->nodes.size;

    if (part > (size_t)NODES_AT_ONCE * NODE_PLAIN_SIZE) {
        part = (size_t)NODES_AT_ONCE * NODE_PLAIN_SIZE;
        want.more = true;
    } else if (hits_step(fake, STEP_WANT)) {
        switch (fake->action) {
        case ACT_FAIL:
            finish(fake, upload->call);
            return;
        case ACT_SILENT:
            upload->silent = true;
            return;
        case ACT_WRONG_NODE:
            if (part > 0)
                offer->nodes.data[part - 1] ^= 1;
            break;
        case ACT_MISSING_NODE:
            part = 0;
            break;
        case ACT_WRONG_BITMAP:
            offer->bitmap[(offer->count - 1) / 8] ^= 0xff; /* more than there are */
            break;
        case ACT_CALL:
        case ACT_WRONG_ROOT:
        case ACT_WRONG_POINT:
            break;
        }
    }
    want.first_seq = offer->first_seq;
    want.nodes.data = offer->nodes.data;
    want.nodes.len = part;
    if (!want.more) {
        want.bitmap.data = offer->bitmap;
        want.bitmap.len = (offer->count + 7) / 8;
        offer->told = true;
        upload->untold--;
        fake->wants++;
    }
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT;
    answer.want = &want;
    write_answer(upload, &answer);
    if (part > 0)
        memmove(offer->nodes.data, offer->nodes.data + part, offer->nodes.size - part);
    offer->nodes.size -= part;
}

static void upload_pump(struct double_upload *upload)
{
    if (upload->over || upload->writing || upload->silent)
        return;
    if (upload->opened_due) {
        write_opened(upload);
        return;
    }
    for (struct double_offer *offer = upload->first; offer != NULL; offer = offer->next)
        if (!offer->told) {
            write_want(upload, offer);
            return;
        }
    if (upload->closed_due)
        write_closed(upload);
}

static void upload_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct double_upload *upload =
        (struct double_upload *)((char *)write - offsetof(struct double_upload, write));

    (void)err;
    upload->writing = false;
    if (status != STATUS_OK)
        return;
    if (upload->finish_after_write)
        rpc_call_finish(upload->call, STATUS_OK, NULL);
    else
        upload_pump(upload);
}

static void upload_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                        const struct error *err)
{
    struct double_upload *upload =
        (struct double_upload *)((char *)read - offsetof(struct double_upload, read));
    const Tidemark__V1__UploadRequest *request = (const Tidemark__V1__UploadRequest *)message;

    (void)err;
    if (status != STATUS_OK || message == NULL)
        return;
    switch (request->kind_case) {
    case TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN:
        take_open(upload, request->open);
        break;
    case TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER:
        take_offer(upload, request->offer);
        break;
    case TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS:
        take_blocks(upload, request->blocks);
        break;
    case TIDEMARK__V1__UPLOAD_REQUEST__KIND_END:
        take_end(upload, request->end);
        break;
    default:
        fail_msg("an empty request");
    }
    rpc_message_free(message);
    rpc_read_start(upload->call, &upload->read);
    upload_pump(upload);
}

static void free_upload(struct double_upload *upload)
{
    struct double_upload **link = &upload->fake->live;

    while (*link != upload)
        link = &(*link)->next;
    *link = upload->next;
    while (upload->first != NULL) {
        struct double_offer *offer = upload->first;

        upload->first = offer->next;
        buffer_deinit(&offer->nodes);
        memory_free(offer);
    }
    tree_path_free(upload->path);
    tree_builder_free(upload->builder);
    codec_context_free(upload->codec);
    memory_free(upload);
}

static void upload_ended(void *owner, struct rpc_call *call, enum status status,
                         const struct error *err)
{
    (void)status;
    (void)err;
    rpc_call_free(call);
    free_upload(owner);
}

static void accept_upload(void *context, struct rpc_call *call,
                          const struct rpc_call_events **ret_events, void **ret_owner)
{
    static const struct rpc_call_events events = {.ended = upload_ended};
    struct agent_double *fake = context;
    struct double_upload *upload = memory_new(1, sizeof(*upload));
    struct error err = {0};

    assert_non_null(upload);
    assert_string_equal(rpc_call_peer(call), host);
    upload->fake = fake;
    upload->call = call;
    upload->read.done = upload_read;
    upload->write.done = upload_written;
    upload->next = fake->live;
    fake->live = upload;
    fake->uploads++;
    ASSERT_OK(codec_context_new(&upload->codec, &err), &err);
    *ret_events = &events;
    *ret_owner = upload;
    rpc_read_start(call, &upload->read);
}

void agent_double_go_on(struct agent_double *fake)
{
    for (struct double_upload *upload = fake->live; upload != NULL; upload = upload->next) {
        upload->silent = false;
        upload_pump(upload);
    }
}

/* ---- Commit and track ------------------------------------------------------------------------ */

struct double_unary {
    struct agent_double *fake;
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    bool is_track;
};

static void keep_signed(struct buffer *target, const Tidemark__V1__Signed *message)
{
    struct signed_slice what = {.body = slice_of(message->body.data, message->body.len),
                                .signature =
                                    slice_of(message->signature.data, message->signature.len),
                                .certificate =
                                    slice_of(message->certificate.data, message->certificate.len)};

    buffer_clear(target);
    signed_encode(&what, target);
}

/* What a coordinator would make of the statement: the point's id. Everything that it can know is checked. */
static void take_statement(struct agent_double *fake, const Tidemark__V1__CommitRequest *request)
{
    struct cursor c = {0};
    struct signed_slice signed_statement = {0};
    struct statement statement = {0};
    struct envelope_disk disk = {0};
    struct envelope envelope = {0};
    struct buffer body = {0};
    char name[SIGN_NAME_SIZE];
    struct error err = {0};

    keep_signed(&fake->signed_statement, request->statement);
    c = cursor_of(buffer_slice(&fake->signed_statement));
    ASSERT_OK(signed_decode(&c, &signed_statement, &err), &err);
    ASSERT_OK(statement_decode(signed_statement.body, &statement, &err), &err);
    ASSERT_OK(signed_check(&signed_statement, SIGN_CONTEXT_STATEMENT,
                           fake->server_credentials.ca_pem, statement.time_us, name, &err),
              &err);
    assert_string_equal(name, host);
    assert_string_equal(statement.host, host);
    assert_true(random_id_equal(&statement.repository, &fake->repository));
    assert_true(random_id_equal(&statement.vm, &fake->vm));
    assert_memory_equal(statement.task.bytes, request->task.data, RANDOM_ID_SIZE);
    assert_int_equal(statement.disk_count, 1);
    assert_true(id_equal(&statement.disks[0].root, &fake->root_id));
    assert_int_equal(statement.disks[0].size, fake->root.size);
    buffer_init(&body, SIZE_MAX);
    body_encode(&signed_statement, &body);
    disk = (struct envelope_disk){.size = fake->root.size, .root = {fake->root_id, 0}};
    envelope = (struct envelope){.vm = fake->vm,
                                 .time_us = statement.time_us,
                                 .disks = &disk,
                                 .disk_count = 1};
    ASSERT_OK(id_of(fake->id_key, KIND_BODY, buffer_slice(&body), &envelope.body.id, &err), &err);
    ASSERT_OK(envelope_id(fake->id_key, &envelope, &fake->point, &err), &err);
    buffer_deinit(&body);
    statement_deinit(&statement);
}

static void answer_commit(struct double_unary *unary, const Tidemark__V1__CommitRequest *request)
{
    struct agent_double *fake = unary->fake;
    Tidemark__V1__CommitAnswer answer = TIDEMARK__V1__COMMIT_ANSWER__INIT;
    struct id point = {{0}};

    fake->commits++;
    if (hits_step(fake, STEP_COMMIT)) {
        if (fake->action == ACT_FAIL) {
            finish(fake, unary->call);
            return;
        }
        if (fake->action == ACT_SILENT)
            return;
    }
    take_statement(fake, request);
    point = fake->point;
    if (fake->step == STEP_COMMIT && fake->action == ACT_WRONG_POINT)
        point.bytes[0] ^= 1;
    answer.point.data = point.bytes;
    answer.point.len = ID_SIZE;
    answer.stored = 23;
    rpc_write_start(unary->call, &unary->write, &answer.base);
}

static void answer_track(struct double_unary *unary, const Tidemark__V1__TrackRequest *request)
{
    struct agent_double *fake = unary->fake;
    Tidemark__V1__TrackAnswer answer = TIDEMARK__V1__TRACK_ANSWER__INIT;

    fake->tracks++;
    if (hits_step(fake, STEP_TRACK)) {
        if (fake->action == ACT_FAIL) {
            finish(fake, unary->call);
            return;
        }
        if (fake->action == ACT_SILENT)
            return;
    }
    keep_signed(&fake->signed_tracking, request->tracking);
    rpc_write_start(unary->call, &unary->write, &answer.base);
}

static void unary_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                       const struct error *err)
{
    struct double_unary *unary =
        (struct double_unary *)((char *)read - offsetof(struct double_unary, read));

    (void)err;
    if (status != STATUS_OK || message == NULL)
        return;
    if (unary->is_track)
        answer_track(unary, (const Tidemark__V1__TrackRequest *)message);
    else
        answer_commit(unary, (const Tidemark__V1__CommitRequest *)message);
    rpc_message_free(message);
}

static void unary_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct double_unary *unary =
        (struct double_unary *)((char *)write - offsetof(struct double_unary, write));

    (void)err;
    if (status == STATUS_OK)
        rpc_call_finish(unary->call, STATUS_OK, NULL);
}

static void unary_ended(void *owner, struct rpc_call *call, enum status status,
                        const struct error *err)
{
    (void)status;
    (void)err;
    rpc_call_free(call);
    memory_free(owner);
}

static void accept_unary(struct agent_double *fake, bool is_track, struct rpc_call *call,
                         const struct rpc_call_events **ret_events, void **ret_owner)
{
    static const struct rpc_call_events events = {.ended = unary_ended};
    struct double_unary *unary = memory_new(1, sizeof(*unary));

    assert_non_null(unary);
    *unary = (struct double_unary){.fake = fake,
                                   .call = call,
                                   .read.done = unary_read,
                                   .write.done = unary_written,
                                   .is_track = is_track};
    *ret_events = &events;
    *ret_owner = unary;
    rpc_read_start(call, &unary->read);
}

static void accept_commit(void *context, struct rpc_call *call,
                          const struct rpc_call_events **ret_events, void **ret_owner)
{
    accept_unary(context, false, call, ret_events, ret_owner);
}

static void accept_track(void *context, struct rpc_call *call,
                         const struct rpc_call_events **ret_events, void **ret_owner)
{
    accept_unary(context, true, call, ret_events, ret_owner);
}

/* ---- Session --------------------------------------------------------------------------------- */

static void write_to_agent(struct agent_double *fake, Tidemark__V1__ToAgent *message)
{
    assert_non_null(fake->session);
    assert_false(fake->session_writing);
    fake->session_writing = true;
    rpc_write_start(fake->session, &fake->session_write, &message->base);
}

static void write_hello(struct agent_double *fake)
{
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__CoordinatorHello hello = TIDEMARK__V1__COORDINATOR_HELLO__INIT;
    Tidemark__V1__Version version = TIDEMARK__V1__VERSION__INIT;

    version.major = fake->major;
    fake->told_major = fake->major;
    hello.protocol = &version;
    hello.repository.data = fake->repository.bytes;
    hello.repository.len = RANDOM_ID_SIZE;
    hello.id_key.data = fake->key_bytes;
    hello.id_key.len = sizeof(fake->key_bytes);
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_HELLO;
    message.hello = &hello;
    write_to_agent(fake, &message);
}

void agent_double_command_backup(struct agent_double *fake, const struct random_id *task,
                                 const char *disk)
{
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__BackupDisk backup = TIDEMARK__V1__BACKUP_DISK__INIT;
    struct random_id id = *task;
    Tidemark__V1__Parent *parent = agent_double_parent(fake);

    backup.task.data = id.bytes;
    backup.task.len = RANDOM_ID_SIZE;
    backup.disk = (char *)disk;
    backup.vm.data = fake->vm.bytes;
    backup.vm.len = RANDOM_ID_SIZE;
    backup.block_size = BLOCK_SIZE_DEFAULT;
    backup.parent = parent;
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_BACKUP;
    message.backup = &backup;
    write_to_agent(fake, &message);
    if (parent != NULL)
        rpc_message_free(&parent->base);
}

void agent_double_command_cancel(struct agent_double *fake, const struct random_id *task)
{
    Tidemark__V1__ToAgent message = TIDEMARK__V1__TO_AGENT__INIT;
    Tidemark__V1__CancelTask cancel = TIDEMARK__V1__CANCEL_TASK__INIT;
    struct random_id id = *task;

    cancel.task.data = id.bytes;
    cancel.task.len = RANDOM_ID_SIZE;
    message.kind_case = TIDEMARK__V1__TO_AGENT__KIND_CANCEL;
    message.cancel = &cancel;
    write_to_agent(fake, &message);
}

static void take_done(struct agent_double *fake, const Tidemark__V1__TaskDone *done)
{
    fake->done_count++;
    fake->done_failure = (struct error){0};
    if (done->failure != NULL)
        (void)error_set(&fake->done_failure, (enum status)done->failure->status, "%s",
                        done->failure->text);
    else
        memcpy(fake->done_point.bytes, done->point.data, ID_SIZE);
    fake->done_counts = *done->counts;
    assert_true(text_format(fake->done_reason, sizeof(fake->done_reason), "%s", done->reason));
}

static void session_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                         const struct error *err)
{
    struct agent_double *fake =
        (struct agent_double *)((char *)read - offsetof(struct agent_double, session_read));
    const Tidemark__V1__FromAgent *from = (const Tidemark__V1__FromAgent *)message;

    (void)err;
    if (status != STATUS_OK || message == NULL)
        return;
    if (from->kind_case == TIDEMARK__V1__FROM_AGENT__KIND_HELLO) {
        fake->hello_came = true;
        write_hello(fake);
    } else if (from->kind_case == TIDEMARK__V1__FROM_AGENT__KIND_PROGRESS) {
        fake->progress_count++;
    } else if (from->kind_case == TIDEMARK__V1__FROM_AGENT__KIND_DONE) {
        take_done(fake, from->done);
    }
    rpc_message_free(message);
    loop_stop(fake->loop);
    rpc_read_start(fake->session, &fake->session_read);
}

static void session_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct agent_double *fake =
        (struct agent_double *)((char *)write - offsetof(struct agent_double, session_write));

    (void)err;
    fake->session_writing = false;
    if (status == STATUS_OK && fake->on_hello != NULL) {
        void (*on_hello)(void *context) = fake->on_hello;

        fake->on_hello = NULL;
        on_hello(fake->context);
    }
    loop_stop(fake->loop);
}

static void session_ended(void *owner, struct rpc_call *call, enum status status,
                          const struct error *err)
{
    struct agent_double *fake = owner;

    (void)status;
    (void)err;
    rpc_call_free(call);
    fake->session = NULL;
    loop_stop(fake->loop);
}

static void accept_session(void *context, struct rpc_call *call,
                           const struct rpc_call_events **ret_events, void **ret_owner)
{
    static const struct rpc_call_events events = {.ended = session_ended};
    struct agent_double *fake = context;

    assert_null(fake->session);
    fake->session = call;
    fake->sessions++;
    fake->hello_came = false;
    fake->told_major = 0;
    *ret_events = &events;
    *ret_owner = fake;
    rpc_read_start(call, &fake->session_read);
}

/* ---- Reading back ---------------------------------------------------------------------------- */

static enum status walk_read(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    return read_node(context, level, index, ref, ret_node, err);
}

void agent_double_read_disk(struct agent_double *fake, const struct id *root_id, uint8_t *content,
                            size_t size)
{
    static const struct tree_callbacks callbacks = {.read = walk_read};
    const struct double_thing *thing = find_thing(&fake->roots, root_id);
    struct disk_root root = {0};
    struct tree_walk *walk = NULL;
    struct error err = {0};
    bool end = false;

    assert_non_null(thing);
    ASSERT_OK(disk_root_decode(slice_of(thing->data, thing->size), &root, &err), &err);
    assert_int_equal(root.size, size);
    memset(content, 0, size);
    ASSERT_OK(tree_walk_new(&root, &callbacks, fake, &walk, &err), &err);
    for (;;) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref = {{{0}}, 0};

        ASSERT_OK(tree_walk_next(walk, &block, &count, &ref, &end, &err), &err);
        if (end)
            break;
        thing = find_thing(&fake->blocks, &ref.id);
        assert_non_null(thing);
        assert_int_equal(thing->size, disk_root_block_length(&root, block));
        memcpy(content + block * root.block_size, thing->data, thing->size);
    }
    tree_walk_free(walk);
}

/* BYTES as a message of its own, like one that came over the wire. */
static Tidemark__V1__Signed signed_message(const struct buffer *bytes)
{
    struct cursor c = cursor_of(buffer_slice(bytes));
    Tidemark__V1__Signed message = TIDEMARK__V1__SIGNED__INIT;
    struct signed_slice what = {0};
    struct error err = {0};

    ASSERT_OK(signed_decode(&c, &what, &err), &err);
    message.body = (ProtobufCBinaryData){what.body.size, (uint8_t *)what.body.data};
    message.signature = (ProtobufCBinaryData){what.signature.size, (uint8_t *)what.signature.data};
    message.certificate =
        (ProtobufCBinaryData){what.certificate.size, (uint8_t *)what.certificate.data};
    return message;
}

Tidemark__V1__Parent *agent_double_parent(const struct agent_double *fake)
{
    Tidemark__V1__Parent parent = TIDEMARK__V1__PARENT__INIT;
    Tidemark__V1__Signed statement = TIDEMARK__V1__SIGNED__INIT;
    Tidemark__V1__Signed tracking = TIDEMARK__V1__SIGNED__INIT;
    struct id point = fake->point;
    Tidemark__V1__Parent *copy = NULL;

    if (fake->signed_tracking.size == 0)
        return NULL;
    statement = signed_message(&fake->signed_statement);
    tracking = signed_message(&fake->signed_tracking);
    parent.point = (ProtobufCBinaryData){ID_SIZE, point.bytes};
    parent.statement = &statement;
    parent.tracking = &tracking;

    size_t size = tidemark__v1__parent__get_packed_size(&parent);
    uint8_t *packed = memory_new(size, 1);

    assert_non_null(packed);
    assert_int_equal(tidemark__v1__parent__pack(&parent, packed), size);
    copy = tidemark__v1__parent__unpack(NULL, size, packed);
    assert_non_null(copy);
    memory_free(packed);
    return copy;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

static void load_credentials(struct agent_double *fake, const char *name,
                             struct credentials *credentials)
{
    char dir[TEMP_FOLDER_SIZE + 32];
    struct error err = {0};

    assert_true(text_format(dir, sizeof(dir), "%s/%s", fake->folder, name));
    test_certificates_write(dir, fake->ca, fake->ca, name, TEST_VALID);
    ASSERT_OK(credentials_load(dir, credentials, &err), &err);
}

static void start_line(struct agent_double *fake)
{
    const struct rpc_service services[] = {
        {{&tidemark__v1__agent__descriptor, "Session"}, accept_session, fake},
        {{&tidemark__v1__data__descriptor, "Upload"}, accept_upload, fake},
        {{&tidemark__v1__data__descriptor, "Commit"}, accept_commit, fake},
        {{&tidemark__v1__data__descriptor, "Track"}, accept_track, fake}};
    struct rpc_server_options server = {.address = "127.0.0.1:0",
                                        .credentials = &fake->server_credentials,
                                        .services = services,
                                        .service_count = 4,
                                        .message_max = RPC_DATA_MESSAGE_MAX,
                                        .memory_max = MEMORY,
                                        .calls_max = 16};
    struct rpc_channel_options channel = {.address = fake->address,
                                          .credentials = &fake->credentials,
                                          .message_max = RPC_DATA_MESSAGE_MAX,
                                          .memory_max = MEMORY};
    struct error err = {0};

    ASSERT_OK(rpc_new(fake->loop, 2, &fake->log, &fake->rpc, &err), &err);
    ASSERT_OK(rpc_server_new(fake->rpc, &server, &fake->server, &err), &err);
    assert_true(text_format(fake->address, sizeof(fake->address), "127.0.0.1:%u",
                            rpc_server_port(fake->server)));
    ASSERT_OK(rpc_channel_new(fake->rpc, &channel, &fake->channel, &err), &err);
}

struct agent_double *agent_double_new(uint64_t seed)
{
    struct agent_double *fake = memory_new(1, sizeof(*fake));
    struct error err = {0};

    assert_non_null(fake);
    temp_folder_make(fake->folder);
    fake->ca = test_certificates_ca_new("hosts");
    load_credentials(fake, "coordinator", &fake->server_credentials);
    load_credentials(fake, host, &fake->credentials);
    fake->clock = clock_manual_new();
    ASSERT_OK(log_sink_new(STDERR_FILENO, LOG_TEXT, LOG_ERROR, clock_system(), &fake->sink, &err),
              &err);
    fake->log = log_of(fake->sink);
    ASSERT_OK(loop_new(clock_manual_source(fake->clock), &fake->loop, &err), &err);
    clock_manual_set_wall_us(fake->clock, clock_wall_us(clock_system()));
    ASSERT_OK(pool_new(fake->loop, WORKERS, &fake->workers, &err), &err);
    ASSERT_OK(pool_new(fake->loop, BLOCKING, &fake->blocking, &err), &err);
    ASSERT_OK(sign_key_from_pem(fake->credentials.key_pem, &fake->key, &err), &err);
    buffer_init(&fake->certificate, SIGN_CERTIFICATE_MAX);
    buffer_init(&fake->signed_statement, SIZE_MAX);
    buffer_init(&fake->signed_tracking, SIZE_MAX);
    ASSERT_OK(sign_certificate_der(fake->credentials.certificate_pem, &fake->certificate, &err),
              &err);
    window_init(&fake->window, fake->loop, DOUBLE_WINDOW);
    fake->random = random_seeded_of(seed);
    ASSERT_OK(random_bytes(&fake->random.source, fake->key_bytes, sizeof(fake->key_bytes), &err),
              &err);
    ASSERT_OK(hash_key_new(slice_of(fake->key_bytes, sizeof(fake->key_bytes)), &fake->id_key, &err),
              &err);
    memset(fake->repository.bytes, 0x4e, RANDOM_ID_SIZE);
    memset(fake->vm.bytes, 0x56, RANDOM_ID_SIZE);
    fake->major = 1;
    fake->session_read.done = session_read;
    fake->session_write.done = session_written;
    start_line(fake);
    fake->tools = (struct backup_tools){.loop = fake->loop,
                                        .workers = fake->workers,
                                        .blocking = fake->blocking,
                                        .window = &fake->window,
                                        .random = random_system(),
                                        .log = &fake->log,
                                        .ca_pem = fake->credentials.ca_pem,
                                        .host = fake->credentials.name,
                                        .key = fake->key,
                                        .certificate = buffer_slice(&fake->certificate)};
    return fake;
}

struct closing {
    struct loop_task task;
    struct loop *loop;
    bool closed;
};

static void on_closed(struct loop_task *task)
{
    struct closing *closing = (struct closing *)task;

    closing->closed = true;
    loop_stop(closing->loop);
}

void agent_double_free(struct agent_double *fake)
{
    struct closing channel = {.task.run = on_closed, .loop = fake->loop};
    struct closing server = {.task.run = on_closed, .loop = fake->loop};

    loop_timer_stop(fake->loop, &fake->tick);
    rpc_channel_close(fake->channel, &channel.task);
    loop_wait(fake->loop, &channel.closed);
    rpc_server_close(fake->server, &server.task);
    loop_wait(fake->loop, &server.closed);
    assert_null(fake->live);
    rpc_free(fake->rpc);
    window_deinit(&fake->window);
    pool_free(fake->blocking);
    pool_free(fake->workers);
    loop_free(fake->loop);
    clock_manual_free(fake->clock);
    hash_key_free(fake->id_key);
    sign_key_free(fake->key);
    buffer_deinit(&fake->certificate);
    buffer_deinit(&fake->signed_statement);
    buffer_deinit(&fake->signed_tracking);
    free_store(&fake->blocks);
    free_store(&fake->nodes);
    free_store(&fake->roots);
    log_sink_free(fake->sink);
    credentials_deinit(&fake->server_credentials);
    credentials_deinit(&fake->credentials);
    test_certificates_ca_free(fake->ca);
    temp_folder_remove(fake->folder);
    memory_free(fake);
}

static void on_pulse(struct loop_timer *timer)
{
    loop_stop(
        ((struct agent_double *)((char *)timer - offsetof(struct agent_double, pulse)))->loop);
}

/* By a timer: behind all those that are due, which a loop that is stopped before it runs leaves alone. */
void agent_double_run_once(struct agent_double *fake)
{
    struct error err = {0};

    fake->pulse.run = on_pulse;
    loop_timer_start(fake->loop, &fake->pulse, 0);
    ASSERT_OK(loop_run(fake->loop, &err), &err);
    loop_timer_stop(fake->loop, &fake->pulse);
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* A timer, not a task: a loop that is stopped still runs what is posted, for ever if that posts itself. */
static void tick(struct loop_timer *timer)
{
    struct agent_double *fake =
        (struct agent_double *)((char *)timer - offsetof(struct agent_double, tick));

    loop_timer_start(fake->loop, timer, 0);
    clock_manual_advance_ms(fake->clock, 50);
}

void agent_double_let_time_pass(struct agent_double *fake, bool passes)
{
    fake->tick.run = tick;
    if (passes)
        loop_timer_start(fake->loop, &fake->tick, 0);
    else
        loop_timer_stop(fake->loop, &fake->tick);
}
