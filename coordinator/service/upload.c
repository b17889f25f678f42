#include "coordinator/service/upload.h"

#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "coordinator/service/block_batch.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/store_error.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/upload_messages.h"
#include "coordinator/store/disk_tree.h"

enum {
    BATCHES_MAX = 8, /* of at most 1 MiB plain each, in work at once */
    DECIDED_MAX = 2, /* offers whose want waits to be written: their nodes take memory */
    READY_MAX = 64,  /* offers of which all is said, and that wait for the store */
    INCOMPLETE_MAX = UPLOAD_INCOMPLETE_MAX + UPLOAD_UNDECIDED_MAX,
    SPAN_MAX = 2048,        /* offers from the first that is not complete to the newest */
    RING_SIZE = 4096,       /* more than SPAN_MAX + READY_MAX + UPLOAD_UNDECIDED_MAX */
    NUMBERS_AT_ONCE = 1024, /* a disk's blocks stay neighbours */
};

/* Of one offer: both edges of every range of holes. */
static const size_t nodes_max = (size_t)UPLOAD_ENTRIES_MAX * 2 * NODE_LEVEL_MAX * NODE_PLAIN_SIZE;

_Static_assert(RING_SIZE > SPAN_MAX + READY_MAX + UPLOAD_UNDECIDED_MAX, "see above");

struct offer {
    uint64_t first_seq;
    size_t count;
    size_t missing; /* wanted blocks that have not come */
    size_t pending; /* those that have, and are not yet in the store */
    struct buffer nodes;
    size_t nodes_told; /* bytes of them */
    struct upload_entry entries[];
};

/* A message of blocks, until the last of them is sealed. */
struct parcel {
    Tidemark__V1__UploadRequest *message;
    unsigned users;
};

struct batch_job {
    struct job job; /* first */
    struct block_batch batch;
    struct parcel *parcel;
    struct batch_job *next; /* among those that are free */
};

enum upload_state { UPLOAD_UNOPENED, UPLOAD_OPENING, UPLOAD_OPEN, UPLOAD_ENDING, UPLOAD_FINISHING };

struct upload {
    struct exchange exchange; /* first */
    enum upload_state state;
    struct random_id task;
    bool noted; /* in the task, as the upload that runs */
    struct disk_root geometry;
    bool on_parent;
    struct id parent_root;

    /* Offers, by their index in the stream: PUT <= TOLD <= DECIDED <= RECEIVED, PUT <= COMPLETE <= TOLD. */
    struct offer *ring[RING_SIZE];
    uint64_t received;
    uint64_t decided;
    uint64_t told;     /* their want is on its way */
    uint64_t complete; /* the first of which a wanted block has not come, or which is not told */
    uint64_t put;      /* in the tree */
    uint64_t putting;  /* up to here by the work that runs */
    size_t incomplete; /* decided, and a wanted block has not come */
    struct upload_order order;
    bool deciding;

    struct parcel *parcel; /* whose blocks are being taken up */
    size_t parcel_next;
    struct batch_job *free_batches;
    unsigned batches; /* that exist */
    unsigned in_work; /* of them */
    uint64_t new_blocks;
    uint64_t stored;

    struct job open_job, decide_job, put_job, finish_job, free_job;

    /* The store's thread, by those works alone: one at a time. */
    struct disk_tree *tree;
    uint64_t generation;
    uint64_t next_number;
    size_t numbers_left;
    uint64_t tree_stored; /* bytes appended by the work that runs */
    bool opened_told;
    struct id root_id; /* as the agent has it */
    struct disk_root root;
    struct ref root_ref;
};

static void pump(struct upload *upload);

static struct upload *of_exchange(struct exchange *exchange)
{
    return (struct upload *)exchange; /* its first member */
}

static struct upload *of_job(struct job *job)
{
    return of_exchange(job->exchange);
}

static struct offer *offer_at(const struct upload *upload, uint64_t index)
{
    return upload->ring[index % RING_SIZE];
}

static void fail(struct upload *upload, enum status status, const struct error *err)
{
    exchange_finish(&upload->exchange, status, err);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void run_open(struct job *job)
{
    struct upload *upload = of_job(job);
    struct store *store = job->exchange->context->store;

    upload->generation = store_generation(store);
    job->status =
        disk_tree_new(store, store_default_domain(store), &upload->geometry,
                      upload->on_parent ? &upload->parent_root : NULL, &upload->tree, &job->err);
}

static void run_free(struct job *job)
{
    struct upload *upload = of_job(job);

    disk_tree_free(upload->tree);
    upload->tree = NULL;
}

static void open_done(struct job *job)
{
    struct upload *upload = of_job(job);
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__UploadOpened opened = TIDEMARK__V1__UPLOAD_OPENED__INIT;
    uint8_t parent[DISK_ROOT_PLAIN_SIZE];

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        fail(upload, job->status, &job->err);
        return;
    }
    if (upload->on_parent) {
        disk_root_encode_plain(disk_tree_parent(upload->tree), parent);
        opened.parent_root = (ProtobufCBinaryData){.data = parent, .len = sizeof(parent)};
    }
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_OPENED;
    answer.opened = &opened;
    upload->state = UPLOAD_OPEN;
    exchange_write(&upload->exchange, &answer.base);
    pump(upload);
}

static enum status take_open(struct upload *upload, const Tidemark__V1__UploadOpen *message,
                             struct error *err)
{
    const struct service_context *context = upload->exchange.context;
    struct upload_open open = {0};
    struct task *task = NULL;
    enum status st = upload_check_open(message, &open, err);

    if (st == STATUS_OK)
        st = tasks_find_of(context->tasks, open.task, exchange_peer(&upload->exchange), &task, err);
    if (st != STATUS_OK)
        return st;
    if (task->upload != NULL)
        return error_set(err, STATUS_PRECONDITION, "an upload of this task is running already");
    if (task->commit.done || task->committing)
        return error_set(err, STATUS_PRECONDITION, "this task is committed already");
    if (open.on_parent &&
        (task->parent == NULL || !id_equal(&open.parent_root, &task->parent->root)))
        return error_set(err, STATUS_INVALID, "that is not the root of the task's parent");
    task->upload = &upload->exchange;
    task->uploaded = false;
    upload->task = task->id;
    upload->noted = true;
    upload->geometry = open.geometry;
    upload->on_parent = open.on_parent;
    upload->parent_root = open.parent_root;
    upload->order.blocks = disk_root_blocks(open.geometry.size, open.geometry.block_size);
    upload->state = UPLOAD_OPENING;
    exchange_set_last(&upload->exchange, &upload->free_job, run_free);
    exchange_submit(&upload->exchange, EXCHANGE_STORE, &upload->open_job, 1, run_open, open_done);
    return STATUS_OK;
}

/* ---- Offers ---------------------------------------------------------------------------------- */

static void free_offer(struct offer *offer)
{
    if (offer == NULL)
        return;
    buffer_deinit(&offer->nodes);
    memory_free(offer);
}

static void move_complete(struct upload *upload)
{
    while (upload->complete < upload->told && offer_at(upload, upload->complete)->missing == 0)
        upload->complete++;
}

static enum status take_offer(struct upload *upload, const Tidemark__V1__Offer *message,
                              struct error *err)
{
    struct offer *offer = NULL;
    size_t count = 0;
    enum status st = upload_count_offer(message, &count, err);

    if (st != STATUS_OK)
        return st;
    if (upload->received - upload->told >= UPLOAD_UNDECIDED_MAX)
        return error_set(err, STATUS_INVALID, "more than %d offers are sent ahead of their wants",
                         UPLOAD_UNDECIDED_MAX);
    /* The agent may not have heard yet of what was decided last. */
    if (upload->incomplete >= INCOMPLETE_MAX || upload->received - upload->complete >= SPAN_MAX)
        return error_set(err, STATUS_INVALID,
                         "too many offers wait for blocks that were not sent: send these first");
    offer = memory_new(1, sizeof(*offer) + count * sizeof(offer->entries[0]));
    if (offer == NULL)
        return error_set_no_memory(err, count * sizeof(offer->entries[0]), "an offer");
    buffer_init(&offer->nodes, nodes_max);
    offer->first_seq = message->first_seq;
    offer->count = count;
    st = upload_check_offer(message, &upload->order, offer->entries, err);
    if (st != STATUS_OK)
        goto out;
    INVARIANT(upload->received - upload->put < RING_SIZE);
    upload->ring[upload->received++ % RING_SIZE] = offer;
    offer = NULL;
out:
    free_offer(offer);
    return st;
}

static enum status next_number(struct upload *upload, struct store *store, uint64_t *ret_number,
                               struct error *err)
{
    if (upload->numbers_left == 0) {
        enum status st = store_reserve(store, NUMBERS_AT_ONCE, &upload->next_number, err);

        if (st != STATUS_OK)
            return st;
        upload->numbers_left = NUMBERS_AT_ONCE;
    }
    upload->numbers_left--;
    *ret_number = upload->next_number++;
    return STATUS_OK;
}

/* Which of the offer's blocks are here? Numbers for those that are not. */
static enum status look_up(struct upload *upload, struct store *store, struct offer *offer,
                           struct error *err)
{
    struct id ids[UPLOAD_ENTRIES_MAX];
    uint64_t numbers[UPLOAD_ENTRIES_MAX];
    size_t count = 0;
    enum status st = STATUS_OK;

    for (size_t i = 0; i < offer->count; i++)
        if (offer->entries[i].state == UPLOAD_OFFERED)
            ids[count++] = offer->entries[i].id;
    if (count > 0)
        st = store_find(store, store_default_domain(store), ids, count, numbers, err);
    count = 0;
    for (size_t i = 0; i < offer->count && st == STATUS_OK; i++) {
        struct upload_entry *entry = &offer->entries[i];

        if (entry->state != UPLOAD_OFFERED)
            continue;
        entry->number = numbers[count++];
        entry->state = entry->number != 0 ? UPLOAD_KNOWN : UPLOAD_WANTED;
        if (entry->state == UPLOAD_WANTED) {
            st = next_number(upload, store, &entry->number, err);
            offer->missing++;
        }
    }
    return st;
}

static void run_decide(struct job *job)
{
    struct upload *upload = of_job(job);
    struct store *store = job->exchange->context->store;
    struct offer *offer = offer_at(upload, upload->decided);
    enum status st = store_error_check_generation(store, upload->generation, &job->err);

    for (size_t i = 0; i < offer->count && st == STATUS_OK; i++) {
        const struct upload_entry *entry = &offer->entries[i];

        st = disk_tree_touch(upload->tree, entry->block, entry->count, entry->state == UPLOAD_HOLES,
                             &offer->nodes, &job->err);
    }
    if (st == STATUS_OK)
        st = buffer_check(&offer->nodes, "the parent's nodes for an offer", &job->err);
    if (st == STATUS_OK)
        st = look_up(upload, store, offer, &job->err);
    if (st == STATUS_OK)
        st = fault_point("service.after_offer", &job->err);
    job->status = store_error_explain(st, &job->err);
}

static void decide_done(struct job *job)
{
    struct upload *upload = of_job(job);

    upload->deciding = false;
    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        fail(upload, job->status, &job->err);
        return;
    }
    if (offer_at(upload, upload->decided)->missing > 0)
        upload->incomplete++;
    upload->decided++;
    pump(upload);
}

/* Writes the next part of the next want, if there is one and nothing else is being written. */
static void tell_want(struct upload *upload)
{
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    uint8_t bitmap[UPLOAD_ENTRIES_MAX / 8] = {0};
    struct offer *offer = NULL;
    size_t nodes = 0;

    if (upload->told == upload->decided || !exchange_can_write(&upload->exchange))
        return;
    offer = offer_at(upload, upload->told);
    nodes = offer->nodes.size - offer->nodes_told;
    if (nodes > UPLOAD_NODES_BYTES_MAX) {
        nodes = UPLOAD_NODES_BYTES_MAX;
        want.more = true;
    }
    want.first_seq = offer->first_seq;
    if (nodes > 0)
        want.nodes =
            (ProtobufCBinaryData){.data = offer->nodes.data + offer->nodes_told, .len = nodes};
    if (!want.more) {
        for (size_t i = 0; i < offer->count; i++)
            if (offer->entries[i].state == UPLOAD_WANTED)
                bitmap[i / 8] |= (uint8_t)(1U << (i % 8));
        want.bitmap = (ProtobufCBinaryData){.data = bitmap, .len = (offer->count + 7) / 8};
    }
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT;
    answer.want = &want;
    exchange_write(&upload->exchange, &answer.base);
    offer->nodes_told += nodes;
    if (want.more)
        return;
    buffer_deinit(&offer->nodes);
    buffer_init(&offer->nodes, 0);
    upload->told++;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

static void parcel_release(struct parcel *parcel)
{
    if (parcel == NULL || --parcel->users > 0)
        return;
    rpc_message_free(&parcel->message->base);
    memory_free(parcel);
}

static enum status take_blocks(struct upload *upload, Tidemark__V1__UploadRequest **message,
                               struct error *err)
{
    enum status st = upload_check_blocks((*message)->blocks, err);

    if (st != STATUS_OK)
        return st;
    upload->parcel = memory_new(1, sizeof(*upload->parcel));
    if (upload->parcel == NULL)
        return error_set_no_memory(err, sizeof(*upload->parcel), "blocks");
    upload->parcel->message = *message;
    upload->parcel->users = 1;
    upload->parcel_next = 0;
    *message = NULL;
    return STATUS_OK;
}

/* The offer with the entry SEQ, of those whose want was told; NULL: there is none (any more). */
static struct offer *find_offer(const struct upload *upload, uint64_t seq)
{
    uint64_t low = upload->put;
    uint64_t high = upload->told;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct offer *offer = offer_at(upload, middle);

        if (seq < offer->first_seq)
            high = middle;
        else if (seq - offer->first_seq >= offer->count)
            low = middle + 1;
        else
            return offer;
    }
    return NULL;
}

static enum status find_wanted(const struct upload *upload, uint64_t seq, struct offer **ret_offer,
                               struct upload_entry **ret_entry, struct error *err)
{
    struct offer *offer = find_offer(upload, seq);
    struct upload_entry *entry = NULL;

    if (offer != NULL)
        entry = &offer->entries[seq - offer->first_seq];
    if (entry == NULL || entry->state != UPLOAD_WANTED)
        return error_set(err, STATUS_INVALID, "the block of entry %" PRIu64 " %s", seq,
                         entry != NULL && entry->state == UPLOAD_RECEIVED ? "was sent already"
                                                                          : "is not wanted");
    *ret_offer = offer;
    *ret_entry = entry;
    return STATUS_OK;
}

static void release_batch(struct upload *upload, struct batch_job *job)
{
    parcel_release(job->parcel);
    job->parcel = NULL;
    block_batch_clear(&job->batch);
    job->next = upload->free_batches;
    upload->free_batches = job;
    upload->in_work--;
}

static void run_append(struct job *job)
{
    struct batch_job *self = (struct batch_job *)job; /* its first member */
    struct upload *upload = of_job(job);
    struct store *store = job->exchange->context->store;
    enum status st = store_error_check_generation(store, upload->generation, &job->err);

    if (st == STATUS_OK)
        st = block_batch_append(&self->batch, store, &job->err);
    if (st == STATUS_OK)
        st = fault_point("service.after_block", &job->err);
    job->status = store_error_explain(st, &job->err);
}

static void append_done(struct job *job)
{
    struct batch_job *self = (struct batch_job *)job; /* its first member */
    struct upload *upload = of_job(job);
    enum status st = job->status;

    for (size_t i = 0; i < self->batch.count && st == STATUS_OK; i++) {
        const struct block_batch_block *block = &self->batch.blocks[i];
        struct offer *offer = block->owner;

        offer->entries[block->entry].number = block->number;
        offer->pending--;
    }
    upload->new_blocks += self->batch.new_bytes;
    upload->stored += self->batch.stored;
    release_batch(upload, self);
    if (!exchange_live(job->exchange))
        return;
    if (st != STATUS_OK)
        fail(upload, st, &job->err);
    else
        pump(upload);
}

static void run_seal(struct job *job)
{
    struct batch_job *self = (struct batch_job *)job; /* its first member */
    const struct service_context *context = job->exchange->context;

    job->status = block_batch_seal(&self->batch, context->store, context->random, &job->err);
}

static void seal_done(struct job *job)
{
    struct batch_job *self = (struct batch_job *)job; /* its first member */
    struct upload *upload = of_job(job);

    parcel_release(self->parcel);
    self->parcel = NULL;
    if (exchange_live(job->exchange) && job->status == STATUS_OK) {
        exchange_submit(job->exchange, EXCHANGE_STORE, job, self->batch.plain_bytes, run_append,
                        append_done);
        return;
    }
    release_batch(upload, self);
    if (exchange_live(job->exchange))
        fail(upload, job->status, &job->err);
}

/* A batch to fill; NULL with STATUS_OK: all are in work. */
static enum status get_batch(struct upload *upload, struct batch_job **ret_job, struct error *err)
{
    struct batch_job *job = upload->free_batches;
    enum status st = STATUS_OK;

    if (job != NULL) {
        upload->free_batches = job->next;
    } else if (upload->batches < BATCHES_MAX) {
        job = memory_new(1, sizeof(*job));
        if (job == NULL)
            return error_set_no_memory(err, sizeof(*job), "a batch of blocks");
        st = block_batch_init(&job->batch, upload->geometry.block_size, err);
        if (st != STATUS_OK) {
            block_batch_deinit(&job->batch);
            memory_free(job);
            return st;
        }
        upload->batches++;
    }
    *ret_job = job;
    return STATUS_OK;
}

/* Moves blocks of the message into JOB while they fit. */
static enum status fill_batch(struct upload *upload, struct batch_job *job, struct error *err)
{
    const Tidemark__V1__Blocks *message = upload->parcel->message->blocks;
    struct block_batch *batch = &job->batch;

    while (upload->parcel_next < message->n_blocks) {
        const Tidemark__V1__BlockData *data = message->blocks[upload->parcel_next];
        struct offer *offer = NULL;
        struct upload_entry *entry = NULL;
        uint32_t length = 0;
        enum status st = find_wanted(upload, data->seq, &offer, &entry, err);

        if (st != STATUS_OK)
            return st;
        length = disk_root_block_length(&upload->geometry, entry->block);
        if (!block_batch_has_room(batch, length))
            break;
        st = upload_check_block(data, length, err);
        if (st != STATUS_OK)
            return st;
        batch->blocks[batch->count++] =
            (struct block_batch_block){.packed = slice_of(data->data.data, data->data.len),
                                       .codec =
                                           (uint8_t)data->codec, /* upload_check_block() knows it */
                                       .block = entry->block,
                                       .length = length,
                                       .id = entry->id,
                                       .number = entry->number,
                                       .owner = offer,
                                       .entry = (size_t)(entry - offer->entries)};
        batch->plain_bytes += length;
        entry->state = UPLOAD_RECEIVED;
        offer->pending++;
        if (--offer->missing == 0)
            upload->incomplete--;
        upload->parcel_next++;
    }
    return STATUS_OK;
}

/* Gives blocks of the message that was read last to workers, as far as there are free batches. */
static void work_on_blocks(struct upload *upload)
{
    struct error err = {0};
    enum status st = STATUS_OK;

    while (upload->parcel != NULL && st == STATUS_OK) {
        struct batch_job *job = NULL;

        st = get_batch(upload, &job, &err);
        if (st != STATUS_OK || job == NULL)
            break;
        upload->in_work++;
        st = fill_batch(upload, job, &err);
        if (st != STATUS_OK) {
            release_batch(upload, job);
            break;
        }
        job->parcel = upload->parcel;
        job->parcel->users++;
        exchange_submit(&upload->exchange, EXCHANGE_COMPUTE, &job->job, job->batch.plain_bytes,
                        run_seal, seal_done);
        if (upload->parcel_next == upload->parcel->message->blocks->n_blocks) {
            parcel_release(upload->parcel);
            upload->parcel = NULL;
        }
    }
    if (st != STATUS_OK)
        fail(upload, st, &err);
}

/* ---- The tree -------------------------------------------------------------------------------- */

static enum status put_offer(struct upload *upload, const struct offer *offer, struct error *err)
{
    for (size_t i = 0; i < offer->count; i++) {
        const struct upload_entry *entry = &offer->entries[i];
        struct ref ref = {.id = entry->id, .number = entry->number};
        enum status st = entry->state == UPLOAD_HOLES
                             ? disk_tree_put_holes(upload->tree, entry->block, entry->count, err)
                             : disk_tree_put(upload->tree, entry->block, &ref, err);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static void run_put(struct job *job)
{
    struct upload *upload = of_job(job);
    struct store *store = job->exchange->context->store;
    uint64_t before = store_appended(store);
    enum status st = store_error_check_generation(store, upload->generation, &job->err);

    for (uint64_t i = upload->put; i < upload->putting && st == STATUS_OK; i++)
        st = put_offer(upload, offer_at(upload, i), &job->err);
    upload->tree_stored = store_appended(store) - before;
    job->status = store_error_explain(st, &job->err);
}

static void put_done(struct job *job)
{
    struct upload *upload = of_job(job);

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        fail(upload, job->status, &job->err);
        return;
    }
    for (; upload->put < upload->putting; upload->put++) {
        free_offer(offer_at(upload, upload->put));
        upload->ring[upload->put % RING_SIZE] = NULL;
    }
    upload->stored += upload->tree_stored;
    pump(upload);
}

/* Puts the offers that are here wholly into the tree, in order. */
static void put_ready(struct upload *upload)
{
    if (upload->putting > upload->put)
        return; /* the work runs */
    while (upload->putting < upload->complete && offer_at(upload, upload->putting)->pending == 0)
        upload->putting++;
    if (upload->putting > upload->put)
        exchange_submit(&upload->exchange, EXCHANGE_STORE, &upload->put_job, 1, run_put, put_done);
}

/* ---- Its end --------------------------------------------------------------------------------- */

static enum status take_end(struct upload *upload, const Tidemark__V1__UploadEnd *message,
                            struct error *err)
{
    enum status st = upload_check_end(message, &upload->root_id, err);

    if (st == STATUS_OK && upload->complete != upload->received)
        st = error_set(err, STATUS_INVALID,
                       "the upload ends while wanted blocks, or wants, are outstanding");
    if (st == STATUS_OK)
        upload->state = UPLOAD_ENDING;
    return st;
}

static void run_finish(struct job *job)
{
    struct upload *upload = of_job(job);
    struct store *store = job->exchange->context->store;
    uint64_t before = store_appended(store);
    struct id id = {{0}};
    enum status st = store_error_check_generation(store, upload->generation, &job->err);

    if (st == STATUS_OK)
        st = disk_tree_finish(upload->tree, &upload->root, &upload->root_ref, &job->err);
    if (st == STATUS_OK)
        st = disk_root_id(store_default_domain(store)->id_key, &upload->root, &id, &job->err);
    if (st == STATUS_OK && !id_equal(&id, &upload->root_id))
        st = error_set(&job->err, STATUS_CORRUPT,
                       "the root that the host has computed is not that of what it has sent");
    upload->tree_stored = store_appended(store) - before;
    job->status = store_error_explain(st, &job->err);
}

static void finish_done(struct job *job)
{
    struct upload *upload = of_job(job);
    struct task *task = NULL;
    Tidemark__V1__UploadAnswer answer = TIDEMARK__V1__UPLOAD_ANSWER__INIT;
    Tidemark__V1__UploadClosed closed = TIDEMARK__V1__UPLOAD_CLOSED__INIT;

    if (!exchange_live(job->exchange))
        return;
    if (job->status != STATUS_OK) {
        fail(upload, job->status, &job->err);
        return;
    }
    upload->stored += upload->tree_stored;
    task = tasks_find(upload->exchange.context->tasks, &upload->task);
    INVARIANT(task != NULL && task->upload == &upload->exchange); /* else it is not live */
    task->upload = NULL;
    upload->noted = false;
    task->uploaded = true;
    task->on_parent = upload->on_parent;
    task->root = upload->root;
    task->root_ref = upload->root_ref;
    task->generation = upload->generation;
    task->new_blocks = upload->new_blocks;
    task->stored += upload->stored;
    closed.root = (ProtobufCBinaryData){.data = upload->root_id.bytes, .len = ID_SIZE};
    closed.new_blocks = upload->new_blocks;
    closed.stored = upload->stored;
    answer.kind_case = TIDEMARK__V1__UPLOAD_ANSWER__KIND_CLOSED;
    answer.closed = &closed;
    exchange_answer(&upload->exchange, &answer.base);
}

/* ---- The stream ------------------------------------------------------------------------------ */

/* May another message be read? What is in work ends by itself, whatever the peer does. */
static bool has_room(const struct upload *upload)
{
    return upload->state == UPLOAD_OPEN && upload->parcel == NULL &&
           upload->in_work < BATCHES_MAX && upload->complete - upload->put < READY_MAX;
}

/* Starts whatever can be started. */
static void pump(struct upload *upload)
{
    struct exchange *exchange = &upload->exchange;

    tell_want(upload);
    move_complete(upload);
    work_on_blocks(upload);
    if (!exchange_live(exchange))
        return;
    move_complete(upload);
    put_ready(upload);
    if (!upload->deciding && upload->decided < upload->received &&
        upload->decided - upload->told < DECIDED_MAX) {
        upload->deciding = true;
        exchange_submit(exchange, EXCHANGE_STORE, &upload->decide_job, 1, run_decide, decide_done);
    }
    if (upload->state == UPLOAD_ENDING && upload->put == upload->received &&
        exchange_can_write(exchange)) {
        upload->state = UPLOAD_FINISHING;
        exchange_submit(exchange, EXCHANGE_STORE, &upload->finish_job, 1, run_finish, finish_done);
    }
    if (has_room(upload))
        exchange_read(exchange);
}

static enum status take_message(struct upload *upload, Tidemark__V1__UploadRequest **message,
                                struct error *err)
{
    Tidemark__V1__UploadRequest__KindCase kind = (*message)->kind_case;

    if (upload->state == UPLOAD_UNOPENED && kind == TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN)
        return take_open(upload, (*message)->open, err);
    if (upload->state == UPLOAD_OPEN && kind == TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER)
        return take_offer(upload, (*message)->offer, err);
    if (upload->state == UPLOAD_OPEN && kind == TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS)
        return take_blocks(upload, message, err);
    if (upload->state == UPLOAD_OPEN && kind == TIDEMARK__V1__UPLOAD_REQUEST__KIND_END)
        return take_end(upload, (*message)->end, err);
    return error_set(err, STATUS_INVALID,
                     "an upload is one open, then offers and blocks, then one end");
}

static void upload_message(struct exchange *exchange, ProtobufCMessage *taken)
{
    struct upload *upload = of_exchange(exchange);
    Tidemark__V1__UploadRequest *message = (Tidemark__V1__UploadRequest *)taken;
    struct error err = {0};
    enum status st = STATUS_OK;

    if (message == NULL)
        st = error_set(&err, STATUS_INVALID, "the upload has stopped before its end");
    else
        st = take_message(upload, &message, &err);
    if (message != NULL)
        rpc_message_free(&message->base);
    if (st != STATUS_OK)
        fail(upload, st, &err);
    else
        pump(upload);
}

static void upload_written(struct exchange *exchange)
{
    pump(of_exchange(exchange));
}

static void upload_over(struct exchange *exchange)
{
    struct upload *upload = of_exchange(exchange);
    struct task *task = upload->noted ? tasks_find(exchange->context->tasks, &upload->task) : NULL;

    if (task != NULL && task->upload == exchange)
        task->upload = NULL;
}

static void upload_free(struct exchange *exchange)
{
    struct upload *upload = of_exchange(exchange);

    for (uint64_t i = upload->put; i < upload->received; i++)
        free_offer(offer_at(upload, i));
    while (upload->free_batches != NULL) {
        struct batch_job *job = upload->free_batches;

        upload->free_batches = job->next;
        block_batch_deinit(&job->batch);
        memory_free(job);
    }
    parcel_release(upload->parcel);
}

static const struct exchange_ops upload_ops = {.name = "upload",
                                               .message = upload_message,
                                               .written = upload_written,
                                               .over = upload_over,
                                               .free = upload_free};

void upload_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &upload_ops, sizeof(struct upload), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
