#include "coordinator/service/verify.h"

#include <string.h>

#include "base/memory.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/disk_reader.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/point_read.h"
#include "coordinator/service/points.h"
#include "coordinator/service/store_error.h"
#include "coordinator/service/wire.h"
#include "coordinator/store/disk_tree.h"

enum { PROGRESS_MS = 1000 };

enum verify_step { VERIFY_OPENING, VERIFY_TROUBLE, VERIFY_READING, VERIFY_NEXT };

struct verify {
    struct exchange exchange; /* first */
    Tidemark__V1__VerifyRequest *request;
    struct points_update update;
    struct ref *points; /* what is to be proved */
    size_t point_count;
    size_t point; /* the one that is being proved */
    uint64_t total;

    struct job open_job, close_job;
    struct point_content content; /* of that point */
    size_t disk;                  /* of its disks, and its files behind them, that is being read */
    enum verify_step step;
    struct error trouble; /* of manifest or root, which waits to be told */
    bool again;           /* the disk is to be opened all the same */
    struct disk_reader reader;
    struct disk_batch *ready[DISK_READER_BATCHES]; /* oldest first */
    size_t ready_count;
    size_t told; /* of the oldest's blocks, those that are looked at */

    uint64_t bytes; /* of the disks before this one, and of this one as far as it is read */
    uint64_t disk_begin;
    uint64_t findings, records, stored;
    uint64_t told_ms;
};

static void pump(struct verify *verify);

static struct verify *of_exchange(struct exchange *exchange)
{
    return (struct verify *)exchange; /* its first member */
}

static struct verify *of_reader(struct disk_reader *reader)
{
    return (struct verify *)((char *)reader - offsetof(struct verify, reader));
}

/* ---- What it tells --------------------------------------------------------------------------- */

static void tell_finding(struct verify *verify, uint64_t offset, uint64_t length,
                         const struct error *err)
{
    Tidemark__V1__VerifyEvent event = TIDEMARK__V1__VERIFY_EVENT__INIT;
    Tidemark__V1__VerifyFinding finding = TIDEMARK__V1__VERIFY_FINDING__INIT;
    char text[ERROR_TEXT_SIZE];

    memcpy(text, err->text, sizeof(text)); /* protobuf-c has no const */
    finding.point = wire_bytes(slice_of(verify->points[verify->point].id.bytes, ID_SIZE));
    finding.offset = offset;
    finding.length = length;
    finding.text = text;
    event.kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_FINDING;
    event.finding = &finding;
    verify->findings++;
    exchange_write(&verify->exchange, &event.base);
}

static void tell_progress(struct verify *verify)
{
    uint64_t now = clock_now_ms(verify->exchange.context->clock);
    Tidemark__V1__VerifyEvent event = TIDEMARK__V1__VERIFY_EVENT__INIT;
    Tidemark__V1__VerifyProgress progress = TIDEMARK__V1__VERIFY_PROGRESS__INIT;

    if (now - verify->told_ms < PROGRESS_MS || !exchange_can_write(&verify->exchange))
        return;
    verify->told_ms = now;
    progress.points = verify->point;
    progress.bytes = verify->bytes;
    progress.total = verify->total;
    event.kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_PROGRESS;
    event.progress = &progress;
    exchange_write(&verify->exchange, &event.base);
}

static void tell_done(struct verify *verify)
{
    Tidemark__V1__VerifyEvent event = TIDEMARK__V1__VERIFY_EVENT__INIT;
    Tidemark__V1__VerifyDone done = TIDEMARK__V1__VERIFY_DONE__INIT;

    done.points = verify->point_count;
    done.findings = verify->findings;
    done.records = verify->records;
    done.stored = verify->stored;
    event.kind_case = TIDEMARK__V1__VERIFY_EVENT__KIND_DONE;
    event.done = &done;
    exchange_answer(&verify->exchange, &event.base);
}

/* ---- One disk of one point ------------------------------------------------------------------- */

static enum status check_manifest(struct verify *verify, struct error *err)
{
    const struct service_context *context = verify->exchange.context;
    struct point_content *content = &verify->content;
    char host[SIGN_NAME_SIZE];
    enum status st = signed_check(&content->signed_statement, SIGN_CONTEXT_STATEMENT,
                                  context->agents_ca, content->statement.time_us, host, err);

    if (st != STATUS_OK)
        return error_wrap(err, "the host's statement");
    if (strcmp(host, content->statement.host) != 0)
        return error_set(err, STATUS_DENIED, "the statement of host %s is signed by host %s",
                         content->statement.host, host);
    if (!random_id_equal(&content->statement.repository, &store_repository(context->store)->id))
        return error_set(err, STATUS_CORRUPT, "the statement is for another repository");
    return STATUS_OK;
}

static bool has_content(const struct verify *verify)
{
    return verify->content.envelope.disks != NULL || verify->content.envelope.files != NULL;
}

/* Reads the root of the disk or file that is due. */
static enum status read_root(struct verify *verify, struct store *store, struct disk_root *ret_root,
                             struct error *err)
{
    const struct envelope *envelope = &verify->content.envelope;
    bool is_file = verify->disk >= envelope->disk_count;
    const struct envelope_disk *due = is_file
                                          ? &envelope->files[verify->disk - envelope->disk_count]
                                          : &envelope->disks[verify->disk];
    const struct store_domain *domain = store_default_domain(store);
    enum status st = is_file ? disk_tree_read_file_root(store, domain, &due->root, ret_root, err)
                             : disk_tree_read_root(store, domain, &due->root, ret_root, err);

    if (st == STATUS_OK && ret_root->size != due->size)
        st = error_set(err, STATUS_CORRUPT, "the %s's root has another size",
                       is_file ? "file" : "disk");
    return st;
}

/* Opens the disk or file that is due. On the store's thread. */
static void run_open(struct job *job)
{
    struct verify *verify = of_exchange(job->exchange);
    struct store *store = job->exchange->context->store;
    struct disk_root root = {0};
    enum status st = STATUS_OK;

    if (!has_content(verify)) {
        st = point_read(store, &verify->points[verify->point], &verify->content, &job->err);
        if (st == STATUS_OK)
            st = check_manifest(verify, &job->err);
        verify->again = st != STATUS_OK && has_content(verify);
    }
    if (st == STATUS_OK)
        st = read_root(verify, store, &root, &job->err);
    if (st == STATUS_OK)
        st = disk_reader_open(&verify->reader, &root, &job->err);
    job->status = st;
}

static void open_done(struct job *job)
{
    struct verify *verify = of_exchange(job->exchange);
    enum status st = job->status;
    struct error err = job->err;

    if (!exchange_live(job->exchange))
        return;
    if (st == STATUS_OK) {
        verify->step = VERIFY_READING;
        st = disk_reader_start(&verify->reader, &err);
    } else if (store_error_is_damage(st)) {
        verify->step = VERIFY_TROUBLE;
        verify->trouble = err;
        st = STATUS_OK;
    }
    if (st != STATUS_OK)
        exchange_finish(job->exchange, st, &err);
    else
        pump(verify);
}

static void open_disk(struct verify *verify)
{
    verify->step = VERIFY_OPENING;
    verify->again = false;
    verify->disk_begin = verify->bytes;
    exchange_submit(&verify->exchange, EXCHANGE_STORE, &verify->open_job, 1, run_open, open_done);
}

/* Goes on with the next disk or file, the next point, or the end; there is room to write. */
static void next_disk(struct verify *verify)
{
    const struct envelope *envelope = &verify->content.envelope; /* none, if it could not be read */

    verify->disk++;
    if (verify->disk >= (size_t)envelope->disk_count + envelope->file_count) {
        point_content_deinit(&verify->content);
        verify->content = (struct point_content){0};
        verify->disk = 0;
        verify->point++;
    }
    if (verify->point < verify->point_count)
        open_disk(verify);
    else
        tell_done(verify);
}

static void batch_ready(struct disk_reader *reader, struct disk_batch *batch)
{
    struct verify *verify = of_reader(reader);

    verify->ready[verify->ready_count++] = batch;
    pump(verify);
}

static void disk_ended(struct disk_reader *reader)
{
    struct verify *verify = of_reader(reader);

    verify->bytes = verify->disk_begin + reader->root.size;
    verify->step = VERIFY_NEXT;
    pump(verify);
}

static void disk_failed(struct disk_reader *reader, enum status status, const struct error *err)
{
    exchange_finish(reader->exchange, status, err);
}

/* Looks at the oldest batch; false: it waits for a finding to be written. */
static bool look_at_batch(struct verify *verify)
{
    struct disk_batch *batch = verify->ready[0];
    uint32_t block_size = verify->reader.root.block_size;

    while (verify->told < batch->count) {
        const struct disk_block *block = &batch->blocks[verify->told];
        uint64_t offset = block->block * block_size; /* inside the disk: it fits */
        uint64_t length = block->count * block_size;

        if (length > verify->reader.root.size - offset)
            length = verify->reader.root.size - offset;
        if (block->status != STATUS_OK && !exchange_can_write(&verify->exchange))
            return false;
        verify->told++;
        verify->records += block->stored > 0;
        verify->stored += block->stored;
        verify->bytes = verify->disk_begin + offset + length;
        if (block->status != STATUS_OK)
            tell_finding(verify, offset, length, &block->err);
    }
    verify->told = 0;
    verify->ready_count--;
    for (size_t i = 0; i < verify->ready_count; i++)
        verify->ready[i] = verify->ready[i + 1];
    disk_reader_next(&verify->reader, batch);
    return true;
}

static void pump(struct verify *verify)
{
    while (exchange_live(&verify->exchange) && verify->ready_count > 0)
        if (!look_at_batch(verify))
            return;
    if (!exchange_can_write(&verify->exchange))
        return;
    switch (verify->step) {
    case VERIFY_OPENING:
        break;
    case VERIFY_TROUBLE:
        tell_finding(verify, 0, 0, &verify->trouble);
        if (verify->again)
            open_disk(verify); /* the disks may be whole all the same */
        else
            verify->step = VERIFY_NEXT;
        break;
    case VERIFY_READING:
        tell_progress(verify);
        break;
    case VERIFY_NEXT:
        next_disk(verify);
        break;
    }
}

/* ---- The call -------------------------------------------------------------------------------- */

/* COUNT points, from FIRST on, are to be proved. */
static enum status choose(struct verify *verify, const struct point_info *first, size_t count,
                          struct error *err)
{
    verify->points = memory_new(count, sizeof(*verify->points));
    if (verify->points == NULL)
        return error_set_no_memory(err, count * sizeof(*verify->points), "points to verify");
    verify->point_count = count;
    for (size_t i = 0; i < count; i++) {
        verify->points[i] = first[i].envelope;
        verify->total += first[i].size; /* for people only */
    }
    return STATUS_OK;
}

static void updated(struct points_update *update, enum status status, const struct error *failure)
{
    struct verify *verify = of_exchange(update->job.exchange);
    const struct points *points = verify->exchange.context->points;
    const struct point_info *first = NULL;
    size_t count = 0;
    struct error err = {0};

    if (status != STATUS_OK) {
        exchange_finish(&verify->exchange, status, failure);
        return;
    }
    first = points_known(points, &count);
    if (verify->request->point[0] != '\0') {
        count = 1;
        status = points_resolve(points, verify->request->point, &first, &err);
    }
    if (status == STATUS_OK)
        status = choose(verify, first, count, &err);
    if (status != STATUS_OK)
        exchange_finish(&verify->exchange, status, &err);
    else if (count == 0)
        tell_done(verify);
    else
        open_disk(verify);
}

static void run_close(struct job *job)
{
    disk_reader_close(&of_exchange(job->exchange)->reader);
}

static void verify_message(struct exchange *exchange, ProtobufCMessage *message)
{
    struct verify *verify = of_exchange(exchange);
    struct error err = {0};

    if (message == NULL) {
        exchange_finish(exchange, error_set(&err, STATUS_INVALID, "a verify has no request"), &err);
        return;
    }
    verify->request = (Tidemark__V1__VerifyRequest *)message;
    verify->told_ms = clock_now_ms(exchange->context->clock);
    verify->reader.exchange = exchange;
    verify->reader.ready = batch_ready;
    verify->reader.ended = disk_ended;
    verify->reader.failed = disk_failed;
    exchange_set_last(exchange, &verify->close_job, run_close);
    points_update_start(exchange->context->points, exchange, &verify->update, updated);
}

static void verify_written(struct exchange *exchange)
{
    pump(of_exchange(exchange));
}

static void verify_over(struct exchange *exchange)
{
    (void)exchange; /* nobody else knows of it */
}

static void verify_free(struct exchange *exchange)
{
    struct verify *verify = of_exchange(exchange);

    disk_reader_deinit(&verify->reader);
    point_content_deinit(&verify->content);
    memory_free(verify->points);
    if (verify->request != NULL)
        rpc_message_free(&verify->request->base);
}

static const struct exchange_ops verify_ops = {.name = "verify",
                                               .message = verify_message,
                                               .written = verify_written,
                                               .over = verify_over,
                                               .free = verify_free};

void verify_accept(void *context, struct rpc_call *call, const struct rpc_call_events **ret_events,
                   void **ret_owner)
{
    struct exchange *exchange =
        exchange_accept(context, &verify_ops, sizeof(struct verify), call, ret_events, ret_owner);

    if (exchange != NULL)
        exchange_read(exchange);
}
