#include "agent/upload.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "agent/disk_reader.h"
#include "agent/offer_ledger.h"
#include "agent/offer_tree.h"
#include "agent/packing.h"
#include "agent/reason.h"
#include "agent/upload_answers.h"

/* An offer that is being filled, or undecided. */
struct offer {
    uint64_t first_seq;
    size_t count;
    struct offer_entry entries[OFFER_ENTRIES_MAX];
    struct chunk *chunks[OFFER_ENTRIES_MAX]; /* where entry I's block is; NULL: holes */
    unsigned indexes[OFFER_ENTRIES_MAX];
};

enum { OFFER_SLOTS = OFFER_LEDGER_UNDECIDED_MAX + 1 };

enum upload_write { WRITE_NONE, WRITE_OPEN, WRITE_OFFER, WRITE_BLOCKS, WRITE_END, WRITE_NO_MORE };

struct upload {
    struct upload_options options;
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    enum upload_write writing;
    struct disk_reader *reader; /* NULL: not opened yet */
    struct offer_tree *tree;
    struct lane *lane; /* packings */

    /* Offers have numbers, in their order; the ledger says which is where. */
    struct offer offers[OFFER_SLOTS]; /* number N: at N % OFFER_SLOTS */
    struct offer_ledger ledger;
    uint64_t next_seq;
    struct chunk *filling; /* its blocks from FILLING_INDEX on are in no offer yet */
    unsigned filling_index;
    unsigned chunks;     /* taken from the reader, and not given back */
    struct buffer nodes; /* of the want that is coming in, so far */

    struct chunk *first_wanted, *last_wanted; /* wait for a packing */
    struct packing *packings[UPLOAD_PACKINGS_MAX];
    struct packing *first_packed, *last_packed; /* wait to be sent */
    struct packing *sending;                    /* in the message in flight */
    Tidemark__V1__BlockData block_data[UPLOAD_BLOCKS_MAX];
    Tidemark__V1__BlockData *block_pointers[UPLOAD_BLOCKS_MAX];

    struct upload_counts counts;
    struct disk_root root;
    struct id root_id;
    bool started, opened, end_sent, told_closed; /* told_closed: UploadClosed came */
    bool call_ended, lane_is_closed, reader_is_closed;
    bool closing; /* all ends, well or not; DONE comes when all is closed */
    enum status status;
    const char *reason;
    struct error err;
    struct loop_task lane_closed;
    struct loop_task reader_closed;
};

static void pump(struct upload *upload);

/* ---- The end --------------------------------------------------------------------------------- */

static void finish(struct upload *upload)
{
    if (!upload->closing || !upload->call_ended || !upload->lane_is_closed ||
        !upload->reader_is_closed)
        return;
    rpc_call_free(upload->call);
    upload->call = NULL;
    disk_reader_free(upload->reader);
    upload->reader = NULL;
    upload->options.done(upload->options.owner, upload->status,
                         upload->status == STATUS_OK ? NULL : &upload->err);
}

static void on_lane_closed(struct loop_task *task)
{
    struct upload *upload = (struct upload *)((char *)task - offsetof(struct upload, lane_closed));

    upload->lane_is_closed = true;
    finish(upload);
}

static void on_reader_closed(struct loop_task *task)
{
    struct upload *upload =
        (struct upload *)((char *)task - offsetof(struct upload, reader_closed));

    upload->reader_is_closed = true;
    finish(upload);
}

static void close_all(struct upload *upload)
{
    upload->closing = true;
    if (upload->reader != NULL) {
        upload->counts.to_read = disk_reader_to_read(upload->reader);
        upload->counts.read = disk_reader_read(upload->reader);
        disk_reader_close(upload->reader, &upload->reader_closed);
    } else {
        loop_post(upload->options.loop, &upload->reader_closed);
    }
    if (upload->lane != NULL)
        lane_close(upload->lane, &upload->lane_closed);
    else
        loop_post(upload->options.loop, &upload->lane_closed);
    if (upload->call == NULL)
        upload->call_ended = true;
    else if (!upload->call_ended)
        rpc_call_cancel(upload->call);
}

/* REASON: NULL, or why the disk is to be read whole. */
static void fail(struct upload *upload, enum status status, const char *reason,
                 const struct error *err)
{
    if (upload->closing)
        return;
    upload->status = status;
    upload->reason = upload->options.parent != NULL ? reason : NULL;
    upload->err = *err;
    close_all(upload);
}

static void on_ended(void *owner, struct rpc_call *call, enum status status,
                     const struct error *err)
{
    struct upload *upload = owner;
    struct error early = {0};

    (void)call;
    upload->call_ended = true;
    if (upload->closing) {
        finish(upload);
    } else if (status != STATUS_OK) {
        /* Before the end was sent damage can only be the parent's: what is new was hashed just now. */
        bool damaged =
            !upload->end_sent && (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND);

        fail(upload, status, damaged ? REASON_PARENT_DAMAGED : NULL, err);
    } else if (!upload->told_closed) {
        (void)error_set(&early, STATUS_ABORTED,
                        "the coordinator ended the upload before it was complete");
        fail(upload, STATUS_ABORTED, NULL, &early);
    } else {
        upload->status = STATUS_OK;
        close_all(upload);
    }
}

/* ---- Filling offers -------------------------------------------------------------------------- */

static struct offer *offer_of(struct upload *upload, uint64_t number)
{
    return &upload->offers[number % OFFER_SLOTS];
}

/* The offer that is being filled shall be sent. False: not now. */
static bool close_offer(struct upload *upload)
{
    if (!offer_ledger_close(&upload->ledger))
        return false;
    offer_of(upload, upload->ledger.closed)->count = 0;
    return true;
}

static void give_back(struct upload *upload, struct chunk *chunk)
{
    upload->chunks--;
    disk_reader_give_back(upload->reader, chunk);
}

/* One of its blocks is decided, or all are offered. */
static void settle(struct upload *upload, struct chunk *chunk)
{
    chunk->open--;
    if (chunk->open != 0)
        return;
    if (chunk->wanted == 0) {
        give_back(upload, chunk);
        return;
    }
    chunk->next = NULL;
    if (upload->last_wanted != NULL)
        upload->last_wanted->next = chunk;
    else
        upload->first_wanted = chunk;
    upload->last_wanted = chunk;
}

static void add_entry(struct upload *upload, const struct offer_entry *entry, struct chunk *chunk,
                      unsigned index)
{
    struct offer *offer = offer_of(upload, upload->ledger.closed);

    if (offer->count == 0)
        offer->first_seq = upload->next_seq;
    offer->entries[offer->count] = *entry;
    offer->chunks[offer->count] = chunk;
    offer->indexes[offer->count] = index;
    offer->count++;
    upload->next_seq++;
}

/* Without a parent all is a hole that nobody names. */
static void add_hole(struct upload *upload, uint64_t block)
{
    struct offer *offer = offer_of(upload, upload->ledger.closed);
    struct offer_entry entry = {.block = block, .holes = 1};

    if (upload->options.parent == NULL)
        return;
    if (offer->count > 0) {
        struct offer_entry *last = &offer->entries[offer->count - 1];

        if (last->holes != 0 && last->block + last->holes == block) {
            last->holes++;
            return;
        }
    }
    add_entry(upload, &entry, NULL, 0);
}

static void add_block(struct upload *upload, struct chunk *chunk, unsigned index)
{
    struct chunk_block *block = &chunk->blocks[index];
    struct offer_entry entry = {.block = chunk->first_block + index, .id = block->id};

    if (id_is_hole(&block->id)) {
        add_hole(upload, entry.block);
        return;
    }
    block->seq = upload->next_seq;
    block->offer = upload->ledger.closed;
    chunk->open++;
    add_entry(upload, &entry, chunk, index);
}

/* Puts what was read into offers, as far as it goes. */
static void fill_offers(struct upload *upload)
{
    for (;;) {
        if (offer_of(upload, upload->ledger.closed)->count == OFFER_ENTRIES_MAX &&
            !close_offer(upload))
            return;
        if (upload->filling == NULL) {
            upload->filling = disk_reader_take(upload->reader);
            if (upload->filling == NULL)
                break;
            upload->chunks++;
            upload->filling->open = 1; /* until all are offered */
            upload->filling_index = 0;
        }

        struct chunk *chunk = upload->filling;

        while (upload->filling_index < chunk->count &&
               offer_of(upload, upload->ledger.closed)->count < OFFER_ENTRIES_MAX) {
            add_block(upload, chunk, upload->filling_index);
            upload->filling_index++;
        }
        if (upload->filling_index == chunk->count) {
            upload->filling = NULL;
            settle(upload, chunk);
        }
    }
    /* Nothing more may come before this is decided: the end, or a full window. */
    if (offer_of(upload, upload->ledger.closed)->count > 0 && disk_reader_is_idle(upload->reader))
        (void)close_offer(upload);
}

/* ---- Wants ----------------------------------------------------------------------------------- */

/* The nodes of WANT, which is about the oldest undecided offer. */
static enum status take_nodes(struct upload *upload, const Tidemark__V1__Want *want,
                              struct error *err)
{
    if (upload->ledger.decided == upload->ledger.written)
        return error_set(err, STATUS_INVALID, "the coordinator answers an offer that was not made");
    return upload_answers_nodes(want, offer_of(upload, upload->ledger.decided)->first_seq,
                                &upload->nodes, err);
}

/* OFFER, the oldest undecided one, is decided. */
static void decide(struct upload *upload, struct offer *offer, const Tidemark__V1__Want *want)
{
    uint16_t wanted = 0;

    for (size_t i = 0; i < offer->count; i++) {
        struct chunk *chunk = offer->chunks[i];

        if (chunk == NULL)
            continue;
        if (upload_answers_wants(want, i)) {
            chunk->blocks[offer->indexes[i]].wanted = true;
            chunk->wanted++;
            wanted++;
        }
        settle(upload, chunk);
    }
    offer_ledger_decide(&upload->ledger, wanted);
}

static void take_want(struct upload *upload, const Tidemark__V1__Want *want)
{
    struct error err = {0};
    enum status st = take_nodes(upload, want, &err);

    if (st == STATUS_OK && want->more)
        return;

    struct offer *offer = offer_of(upload, upload->ledger.decided);

    if (st == STATUS_OK)
        st = upload_answers_bitmap(want, offer->entries, offer->count, &err);
    if (st != STATUS_OK) {
        fail(upload, st, NULL, &err);
        return;
    }
    st = offer_tree_add(upload->tree, offer->entries, offer->count, buffer_slice(&upload->nodes),
                        &err);
    buffer_clear(&upload->nodes);
    if (st != STATUS_OK) {
        fail(upload, st, st == STATUS_CORRUPT ? REASON_PARENT_DAMAGED : NULL, &err);
        return;
    }
    decide(upload, offer, want);
    st = fault_point("agent.after_want", &err);
    if (st != STATUS_OK)
        fail(upload, st, NULL, &err);
}

/* ---- Packing --------------------------------------------------------------------------------- */

static void packed(struct packing *packing, enum status status, const struct error *err)
{
    struct upload *upload = packing->owner;

    if (status != STATUS_OK) {
        fail(upload, status, NULL, err);
        return;
    }
    packing->next = NULL;
    if (upload->last_packed != NULL)
        upload->last_packed->next = packing;
    else
        upload->first_packed = packing;
    upload->last_packed = packing;
    pump(upload);
}

/* Compresses what is wanted, as far as there are packings. */
static void start_packings(struct upload *upload)
{
    for (size_t i = 0; i < UPLOAD_PACKINGS_MAX && upload->first_wanted != NULL; i++) {
        struct chunk *chunk = upload->first_wanted;

        if (upload->packings[i]->chunk != NULL)
            continue;
        upload->first_wanted = chunk->next;
        if (upload->first_wanted == NULL)
            upload->last_wanted = NULL;
        packing_start(upload->packings[i], upload->lane, chunk);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_request(struct upload *upload, enum upload_write what,
                          const Tidemark__V1__UploadRequest *request)
{
    upload->writing = what;
    rpc_write_start(upload->call, &upload->write, &request->base);
}

static void write_open(struct upload *upload)
{
    const struct disk_info *info = disk_info(upload->options.disk);
    const struct parent *parent = upload->options.parent;
    Tidemark__V1__UploadRequest request = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadOpen open = TIDEMARK__V1__UPLOAD_OPEN__INIT;
    struct id parent_root = {{0}};

    open.task.data = upload->options.task.bytes;
    open.task.len = RANDOM_ID_SIZE;
    open.size = info->size;
    open.block_size = upload->options.block_size;
    open.logical_sector = info->logical_sector;
    open.physical_sector = info->physical_sector;
    if (parent != NULL) {
        parent_root = parent->root;
        open.parent_root.data = parent_root.bytes;
        open.parent_root.len = ID_SIZE;
    }
    request.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN;
    request.open = &open;
    write_request(upload, WRITE_OPEN, &request);
}

static void write_offer(struct upload *upload)
{
    const struct offer *offer = offer_of(upload, upload->ledger.written);
    Tidemark__V1__UploadRequest request = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Offer message = TIDEMARK__V1__OFFER__INIT;
    uint64_t blocks[OFFER_ENTRIES_MAX];
    uint64_t holes[OFFER_ENTRIES_MAX];
    uint8_t ids[OFFER_ENTRIES_MAX * ID_SIZE];
    size_t hole_count = 0;

    for (size_t i = 0; i < offer->count; i++) {
        const struct offer_entry *entry = &offer->entries[i];

        blocks[i] = entry->block;
        memcpy(ids + i * ID_SIZE, entry->id.bytes, ID_SIZE);
        if (entry->holes != 0) {
            holes[hole_count] = entry->holes;
            hole_count++;
        }
    }
    message.first_seq = offer->first_seq;
    message.n_blocks = offer->count;
    message.blocks = blocks;
    message.ids.data = ids;
    message.ids.len = offer->count * ID_SIZE;
    message.n_hole_counts = hole_count;
    message.hole_counts = holes;
    request.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER;
    request.offer = &message;
    /* Before it is sent: its answer may be there before the write is done. */
    upload->ledger.written++;
    write_request(upload, WRITE_OFFER, &request);
}

/* Moves as many packings as fit one message from those that wait to those being sent. */
static size_t choose_packings(struct upload *upload)
{
    size_t count = 0;
    size_t bytes = 0;
    struct packing *last = NULL;

    upload->sending = upload->first_packed;
    for (struct packing *p = upload->first_packed;
         p != NULL && count + p->count <= UPLOAD_BLOCKS_MAX &&
         bytes + p->data.size <= UPLOAD_BLOCKS_BYTES;
         p = p->next) {
        for (unsigned i = 0; i < p->count; i++) {
            const struct packed_block *block = &p->blocks[i];
            Tidemark__V1__BlockData *data = &upload->block_data[count];

            *data = (Tidemark__V1__BlockData)TIDEMARK__V1__BLOCK_DATA__INIT;
            data->seq = p->chunk->blocks[block->index].seq;
            data->codec = (uint32_t)block->codec;
            data->data.data = p->data.data + block->offset;
            data->data.len = block->size;
            upload->block_pointers[count] = data;
            count++;
        }
        bytes += p->data.size;
        last = p;
    }
    INVARIANT(last != NULL); /* one always fits: a chunk is 1 MiB at most, and packing never adds */
    upload->first_packed = last->next;
    if (upload->first_packed == NULL)
        upload->last_packed = NULL;
    last->next = NULL;
    return count;
}

static void write_blocks(struct upload *upload)
{
    Tidemark__V1__UploadRequest request = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Blocks blocks = TIDEMARK__V1__BLOCKS__INIT;

    blocks.n_blocks = choose_packings(upload);
    blocks.blocks = upload->block_pointers;
    request.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS;
    request.blocks = &blocks;
    write_request(upload, WRITE_BLOCKS, &request);
}

/* All was offered, decided and sent. */
static void write_end(struct upload *upload)
{
    Tidemark__V1__UploadRequest request = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadEnd end = TIDEMARK__V1__UPLOAD_END__INIT;
    struct error err = {0};
    enum status st = offer_tree_finish(upload->tree, &upload->root, &upload->root_id, &err);

    if (st != STATUS_OK) {
        fail(upload, st, NULL, &err);
        return;
    }
    end.root.data = upload->root_id.bytes;
    end.root.len = ID_SIZE;
    request.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_END;
    request.end = &end;
    upload->end_sent = true;
    write_request(upload, WRITE_END, &request);
}

static bool all_is_sent(struct upload *upload)
{
    return disk_reader_at_end(upload->reader) && upload->chunks == 0 &&
           offer_of(upload, upload->ledger.closed)->count == 0 &&
           upload->ledger.decided == upload->ledger.closed;
}

/* Begins the write whose turn it is. */
static void start_write(struct upload *upload)
{
    if (upload->closing || upload->writing != WRITE_NONE || !upload->opened || upload->end_sent)
        return;
    if (upload->ledger.written < upload->ledger.closed)
        write_offer(upload);
    else if (upload->first_packed != NULL)
        write_blocks(upload);
    else if (all_is_sent(upload))
        write_end(upload);
}

/* The coordinator has them, as far as the line is concerned. */
static void blocks_sent(struct upload *upload)
{
    while (upload->sending != NULL) {
        struct packing *packing = upload->sending;
        struct chunk *chunk = packing->chunk;

        upload->sending = packing->next;
        upload->counts.sent += packing->data.size;
        for (unsigned i = 0; i < packing->count; i++) {
            offer_ledger_sent(&upload->ledger, chunk->blocks[packing->blocks[i].index].offer);
        }
        packing->chunk = NULL;
        give_back(upload, chunk);
    }
}

static void on_written(struct rpc_write *write, enum status status, const struct error *err)
{
    struct upload *upload = (struct upload *)((char *)write - offsetof(struct upload, write));
    enum upload_write what = upload->writing;
    struct error fault = {0};
    enum status st = STATUS_OK;

    upload->writing = WRITE_NONE;
    if (upload->closing)
        return;
    if (status != STATUS_OK) {
        if (status == STATUS_INVALID) /* ours: a message over the limit */
            fail(upload, status, NULL, err);
        return; /* else the call is over: on_ended() knows why */
    }
    if (what == WRITE_OFFER) {
        st = fault_point("agent.after_offer", &fault);
    } else if (what == WRITE_BLOCKS) {
        blocks_sent(upload);
        st = fault_point("agent.after_blocks", &fault);
    } else if (what == WRITE_END) {
        upload->writing = WRITE_NO_MORE;
        rpc_write_end_start(upload->call, &upload->write);
    }
    if (st != STATUS_OK)
        fail(upload, st, NULL, &fault);
    pump(upload);
}

/* ---- The pump -------------------------------------------------------------------------------- */

/* Does what can be done now. */
static void pump(struct upload *upload)
{
    if (upload->closing || !upload->opened)
        return;
    fill_offers(upload);
    start_packings(upload);
    start_write(upload);
}

static void reader_ready(void *owner)
{
    pump(owner);
}

static void reader_failed(void *owner, enum status status, const char *reason,
                          const struct error *err)
{
    fail(owner, status, reason, err);
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Why the disk is to be read whole, after upload_answers_opened() has said STATUS; NULL: that is no reason. */
static const char *reason_of(enum status status)
{
    if (status == STATUS_CORRUPT)
        return REASON_PARENT_DAMAGED;
    return status == STATUS_PRECONDITION ? REASON_DISK_CHANGED : NULL;
}

static void take_opened(struct upload *upload, const Tidemark__V1__UploadOpened *opened)
{
    static const struct disk_reader_events events = {reader_ready, reader_failed};
    const struct upload_options *options = &upload->options;
    struct disk_root root = {0};
    struct error err = {0};
    enum status st = upload_answers_opened(opened, options->parent, disk_info(options->disk),
                                           options->block_size, options->id_key, &root, &err);
    const char *reason = reason_of(st);

    if (st == STATUS_OK)
        st = offer_tree_new(&root, options->parent != NULL ? &root : NULL, options->id_key,
                            &upload->tree, &err);
    if (st == STATUS_OK) {
        struct disk_reader_options reading = {.loop = options->loop,
                                              .workers = options->workers,
                                              .window = options->window,
                                              .disk = options->disk,
                                              .id_key = options->id_key,
                                              .block_size = root.block_size,
                                              .since = options->parent != NULL
                                                           ? options->parent->change_id
                                                           : NULL,
                                              .log = options->log};

        for (size_t i = 0; st == STATUS_OK && i < UPLOAD_PACKINGS_MAX; i++)
            st = packing_new(root.block_size, packed, upload, &upload->packings[i], &err);
        if (st == STATUS_OK)
            st = disk_reader_new(&reading, &events, upload, &upload->reader, &err);
    }
    if (st != STATUS_OK)
        fail(upload, st, reason, &err);
    else
        upload->opened = true;
}

static void take_closed(struct upload *upload, const Tidemark__V1__UploadClosed *closed)
{
    struct error err = {0};
    enum status st = upload_answers_closed(closed, &upload->root_id, &err);

    if (st != STATUS_OK) {
        fail(upload, st, NULL, &err);
        return;
    }
    upload->counts.new_blocks = closed->new_blocks;
    upload->counts.stored = closed->stored;
    upload->told_closed = true;
}

/* STATUS_INVALID: it is not its turn. */
static enum status take_answer(struct upload *upload, const Tidemark__V1__UploadAnswer *answer,
                               struct error *err)
{
    if (answer->kind_case == TIDEMARK__V1__UPLOAD_ANSWER__KIND_OPENED && !upload->opened)
        take_opened(upload, answer->opened);
    else if (answer->kind_case == TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT && upload->opened &&
             !upload->end_sent)
        take_want(upload, answer->want);
    else if (answer->kind_case == TIDEMARK__V1__UPLOAD_ANSWER__KIND_CLOSED && upload->end_sent &&
             !upload->told_closed)
        take_closed(upload, answer->closed);
    else
        return error_set(err, STATUS_INVALID,
                         "the coordinator sent an answer of kind %d out of its turn",
                         (int)answer->kind_case);
    return STATUS_OK;
}

static void on_read(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                    const struct error *err)
{
    struct upload *upload = (struct upload *)((char *)read - offsetof(struct upload, read));
    struct error wrong = {0};
    enum status st = STATUS_OK;

    if (upload->closing)
        goto out;
    if (status != STATUS_OK || message == NULL) {
        if (status == STATUS_INVALID) /* malformed: the call itself may go on */
            fail(upload, status, NULL, err);
        goto out; /* else the call is over: on_ended() knows why */
    }
    st = take_answer(upload, (const Tidemark__V1__UploadAnswer *)message, &wrong);
    if (st != STATUS_OK)
        fail(upload, st, NULL, &wrong);
    if (!upload->closing) {
        rpc_read_start(upload->call, &upload->read);
        pump(upload);
    }
out:
    rpc_message_free(message);
}

/* ---- For the owner --------------------------------------------------------------------------- */

enum status upload_new(const struct upload_options *options, struct upload **ret_upload,
                       struct error *err)
{
    struct upload *upload = memory_new(1, sizeof(*upload));

    if (upload == NULL)
        return error_set_no_memory(err, sizeof(*upload), "an upload");
    upload->options = *options;
    upload->read.done = on_read;
    upload->write.done = on_written;
    upload->lane_closed.run = on_lane_closed;
    upload->reader_closed.run = on_reader_closed;
    buffer_init(&upload->nodes, OFFER_NODES_MAX);
    *ret_upload = upload;
    return STATUS_OK;
}

void upload_start(struct upload *upload)
{
    static const struct rpc_call_events events = {.ended = on_ended};
    const struct rpc_method method = {&tidemark__v1__data__descriptor, "Upload"};
    struct lane_limits limits = {.work = UPLOAD_PACKINGS_MAX,
                                 .cost = UINT64_MAX,
                                 .running = UPLOAD_PACKINGS_MAX};
    struct error err = {0};

    INVARIANT(!upload->started);
    upload->started = true;

    enum status st = lane_new(upload->options.workers, limits, NULL, &upload->lane, &err);

    if (st == STATUS_OK)
        st =
            rpc_call_open(upload->options.channel, method, 0, &events, upload, &upload->call, &err);
    if (st != STATUS_OK) {
        fail(upload, st, NULL, &err);
        return;
    }
    rpc_read_start(upload->call, &upload->read);
    write_open(upload);
}

void upload_cancel(struct upload *upload)
{
    struct error err = {0};

    if (!upload->started || upload->closing)
        return;
    (void)error_set(&err, STATUS_CANCELLED, "the upload was cancelled");
    fail(upload, STATUS_CANCELLED, NULL, &err);
}

void upload_free(struct upload *upload)
{
    if (upload == NULL)
        return;
    INVARIANT(upload->call == NULL && upload->reader == NULL);
    for (size_t i = 0; i < UPLOAD_PACKINGS_MAX; i++)
        packing_free(upload->packings[i]);
    offer_tree_free(upload->tree);
    buffer_deinit(&upload->nodes);
    memory_free(upload);
}

struct upload_counts upload_counts(const struct upload *upload)
{
    struct upload_counts counts = upload->counts;

    if (upload->reader != NULL && !upload->closing) {
        counts.to_read = disk_reader_to_read(upload->reader);
        counts.read = disk_reader_read(upload->reader);
    }
    return counts;
}

const struct disk_root *upload_root(const struct upload *upload)
{
    return &upload->root;
}

const struct id *upload_root_id(const struct upload *upload)
{
    return &upload->root_id;
}

const char *upload_reason(const struct upload *upload)
{
    return upload->reason;
}
