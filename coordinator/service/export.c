#include "coordinator/service/export.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/crypto.h>

#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/disk_reader.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/point_read.h"
#include "coordinator/service/points.h"
#include "coordinator/service/wire.h"
#include "coordinator/store/disk_tree.h"
#include "format/keys.h"

struct export
{
    struct exchange exchange; /* first */
    Tidemark__V1__ExportRequest *request;
    struct points_update update;
    struct point_info point;
    struct job open_job, close_job;
    struct point_content content;
    struct disk_reader reader;
    struct disk_batch *ready[DISK_READER_BATCHES]; /* oldest first */
    size_t ready_count;
    bool ended;
    uint64_t sent; /* blocks */
};

static struct export *of_exchange(struct exchange *exchange)
{
    return (struct export *)exchange; /* its first member */
}

static struct export *of_reader(struct disk_reader *reader)
{
    return (struct export *)((char *)reader - offsetof(struct export, reader));
}

/* ---- What it sends --------------------------------------------------------------------------- */

static enum status send_opened(struct export *export, struct error *err)
{
    const struct store *store = export->exchange.context->store;
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportOpened opened = TIDEMARK__V1__EXPORT_OPENED__INIT;
    Tidemark__V1__Point point = wire_point(&export->point);
    Tidemark__V1__Signed statement = wire_signed(&export->content.signed_statement);
    uint8_t root[DISK_ROOT_PLAIN_SIZE];
    uint8_t id_key[KEYS_ID_KEY_SIZE];
    enum status st = keys_id_key(store_keys(store), &store_repository(store)->domain, id_key, err);

    if (st != STATUS_OK)
        return st;
    disk_root_encode_plain(&export->reader.root, root);
    opened.point = &point;
    opened.statement = &statement;
    opened.root = wire_bytes(slice_of(root, sizeof(root)));
    opened.id_key = wire_bytes(slice_of(id_key, sizeof(id_key)));
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_OPENED;
    part.opened = &opened;
    exchange_write(&export->exchange, &part.base);
    OPENSSL_cleanse(id_key, sizeof(id_key));
    return STATUS_OK;
}

static enum status send_blocks(struct export *export, const struct disk_batch *batch,
                               struct error *err)
{
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportBlocks blocks = TIDEMARK__V1__EXPORT_BLOCKS__INIT;
    Tidemark__V1__BlockData data[DISK_BATCH_BLOCKS];
    Tidemark__V1__BlockData *pointers[DISK_BATCH_BLOCKS];

    for (size_t i = 0; i < batch->count; i++) {
        const struct disk_block *block = &batch->blocks[i];

        if (block->status != STATUS_OK) {
            *err = block->err;
            return error_wrap(err, "block %" PRIu64 " of the disk cannot be read", block->block);
        }
        tidemark__v1__block_data__init(&data[i]);
        data[i].seq = block->block;
        data[i].codec = block->codec;
        data[i].data = wire_bytes(buffer_slice(&block->packed));
        pointers[i] = &data[i];
    }
    blocks.n_blocks = batch->count;
    blocks.blocks = pointers;
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_BLOCKS;
    part.blocks = &blocks;
    exchange_write(&export->exchange, &part.base);
    export->sent += batch->count;
    return STATUS_OK;
}

static void send_ended(struct export *export)
{
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportEnded ended = TIDEMARK__V1__EXPORT_ENDED__INIT;

    ended.blocks = export->sent;
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_ENDED;
    part.ended = &ended;
    exchange_answer(&export->exchange, &part.base);
}

static void pump(struct export *export)
{
    struct error err = {0};
    enum status st = STATUS_OK;
    struct disk_batch *batch = NULL;

    if (!exchange_can_write(&export->exchange))
        return;
    if (export->ready_count > 0) {
        batch = export->ready[0];
        export->ready_count--;
        for (size_t i = 0; i < export->ready_count; i++)
            export->ready[i] = export->ready[i + 1];
        st = send_blocks(export, batch, &err);
        if (st != STATUS_OK)
            exchange_finish(&export->exchange, st, &err);
        else
            disk_reader_next(&export->reader, batch);
    } else if (export->ended) {
        send_ended(export);
    }
}

/* ---- The disk -------------------------------------------------------------------------------- */

static void batch_ready(struct disk_reader *reader, struct disk_batch *batch)
{
    struct export *export = of_reader(reader);

    export->ready[export->ready_count++] = batch;
    pump(export);
}

static void disk_ended(struct disk_reader *reader)
{
    struct export *export = of_reader(reader);

    export->ended = true;
    pump(export);
}

static void disk_failed(struct disk_reader *reader, enum status status, const struct error *err)
{
    exchange_finish(reader->exchange, status, err);
}

/* On the store's thread. */
static void run_open(struct job *job)
{
    struct export *export = of_exchange(job->exchange);
    struct store *store = job->exchange->context->store;
    struct disk_root root = {0};
    enum status st = point_read(store, &export->point.envelope, &export->content, &job->err);

    if (st == STATUS_OK && export->content.envelope.disk_count != 1)
        st = error_set(&job->err, STATUS_UNSUPPORTED,
                       "the point has %u disks, and only points of one can be exported",
                       (unsigned)export->content.envelope.disk_count);
    if (st == STATUS_OK)
        st = disk_tree_read_root(store, store_default_domain(store),
                                 &export->content.envelope.disks[0].root, &root, &job->err);
    if (st == STATUS_OK)
        st = disk_reader_open(&export->reader, &root, &job->err);
    job->status = st;
}

static void run_close(struct job *job)
{
    disk_reader_close(&of_exchange(job->exchange)->reader);
}

static void open_done(struct job *job)
{
    struct export *export = of_exchange(job->exchange);
    struct error err = job->err;
    enum status st = job->status;

    if (!exchange_live(job->exchange))
        return;
    if (st == STATUS_OK)
        st = send_opened(export, &err);
    if (st == STATUS_OK)
        st = disk_reader_start(&export->reader, &err);
    if (st != STATUS_OK)
        exchange_finish(job->exchange, st, &err);
}

/* ---- The call -------------------------------------------------------------------------------- */

static void updated(struct points_update *update, enum status status, const struct error *failure)
{
    struct exchange *exchange = update->job.exchange;
    struct export *export = of_exchange(exchange);
    const struct point_info *point = NULL;
    struct error err = {0};

    if (status != STATUS_OK) {
        exchange_finish(exchange, status, failure);
        return;
    }
    status = points_resolve(exchange->context->points, export->request->point, &point, &err);
    if (status != STATUS_OK) {
        exchange_finish(exchange, status, &err);
        return;
    }
    export->point = *point;
    exchange_submit(exchange, EXCHANGE_STORE, &export->open_job, 1, run_open, open_done);
}

static void export_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct export *export = of_exchange(exchange);
    struct error err = {0};

    if (message == NULL) {
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "an export has no request"),
                        &err);
        return;
    }
    export->request = (Tidemark__V1__ExportRequest *)message;
    export->reader.exchange = exchange;
    export->reader.ready = batch_ready;
    export->reader.ended = disk_ended;
    export->reader.failed = disk_failed;
    exchange_set_last(exchange, &export->close_job, run_close);
    points_update_start(exchange->context->points, exchange, &export->update, updated);
}

static void export_written(struct exchange *exchange)
{
    pump(of_exchange(exchange));
}

static void export_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void export_free(struct exchange *exchange)
{
    struct export *export = of_exchange(exchange);

    disk_reader_deinit(&export->reader);
    point_content_deinit(&export->content);
    if (export->request != NULL)
        rpc_message_free(&export->request->base);
}

static const struct exchange_ops export_ops = {.name = "export",
                                               .message = export_message,
                                               .written = export_written,
                                               .over = export_over,
                                               .free = export_free};

void export_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &export_ops, sizeof(struct export), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
