#include "agent/disk/disk.h"

#include <inttypes.h>

#include "base/invariant.h"

/* ---- Opening --------------------------------------------------------------------------------- */

static void answer_open(struct loop_task *task)
{
    struct disk_open *open =
        (struct disk_open *)((char *)task - offsetof(struct disk_open, answer));

    open->done(open, open->status, NULL, &open->err);
}

static enum status check_new(const struct disk_open *open, struct error *err)
{
    if (open->logical_sector != 512 && open->logical_sector != 4096)
        return error_set(err, STATUS_INVALID,
                         "sectors of %" PRIu32 " bytes; a disk has 512 or 4096",
                         open->logical_sector);
    if (open->size == 0 || open->size % open->logical_sector != 0)
        return error_set(err, STATUS_INVALID,
                         "a disk of %" PRIu64 " bytes; its size is a multiple of its sectors, "
                         "%" PRIu32 " bytes, and not 0",
                         open->size, open->logical_sector);
    return STATUS_OK;
}

void disk_open_start(struct disk_opener *opener, struct disk_open *open)
{
    loop_assert(opener->loop);
    open->status = STATUS_OK;
    open->err = (struct error){0};
    open->answer = (struct loop_task){.run = answer_open};
    if (open->kind == DISK_OPEN_NEW)
        open->status = check_new(open, &open->err);
    if (open->status == STATUS_OK)
        opener->open(opener, open);
    else
        loop_post(opener->loop, &open->answer);
}

const struct disk_info *disk_info(const struct disk *disk)
{
    return &disk->info;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void deliver_io(struct disk_request *request, enum status status, const struct error *err)
{
    struct disk_io *io = (struct disk_io *)request; /* its first member */

    io->done(io, status, err);
}

static void deliver_query(struct disk_request *request, enum status status, const struct error *err)
{
    struct disk_query *query = (struct disk_query *)request; /* its first member */

    query->done(query, status, err);
}

/* A flush that failed is remembered for good: the system may count as clean what it could not write, and
 * call the next one a success (fsync(2); base/fs.h, fs_sync). */
static void note_flush(struct disk *disk, enum status status)
{
    disk->flushing = false;
    if (status != STATUS_OK && status != STATUS_CANCELLED)
        disk->flush_failed = true;
}

static void close_if_idle(struct disk *disk)
{
    if (disk->on_closed != NULL && disk->in_flight == 0)
        disk->ops->close(disk, disk->on_closed);
}

void disk_request_done(struct disk_request *request, enum status status, const struct error *err)
{
    struct disk *disk = request->disk;

    loop_assert(disk->loop);
    INVARIANT(disk->in_flight > 0);
    if (request->flush && !request->refused)
        note_flush(disk, status);
    /* Counted down before, so that done() may start another one, and looked at after, so that done()
     * may close the disk: then it is disk_close() that finds it idle. */
    disk->in_flight--;
    request->disk = NULL;

    bool closing = disk->on_closed != NULL;

    request->deliver(request, status, status == STATUS_OK ? NULL : err); /* REQUEST may be gone */
    if (closing)
        close_if_idle(disk);
}

static void answer_refusal(struct loop_task *task)
{
    struct disk_request *request =
        (struct disk_request *)((char *)task - offsetof(struct disk_request, refusal));

    disk_request_done(request, request->status, &request->err);
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* REQUEST goes back with the status that it has now. */
static void refuse(struct disk_request *request)
{
    request->refused = true;
    loop_post(request->disk->loop, &request->refusal);
}

/* Counts REQUEST in. False: there are too many, and it is on its way back already. */
static bool begin(struct disk *disk, struct disk_request *request)
{
    loop_assert(disk->loop);
    INVARIANT(disk->on_closed == NULL);
    INVARIANT(request->disk == NULL); /* else it is in flight already */
    request->disk = disk;
    request->flush = false;
    request->refused = false;
    request->refusal = (struct loop_task){.run = answer_refusal};
    request->status = STATUS_OK;
    request->err = (struct error){0};
    disk->in_flight++;
    if (disk->in_flight <= DISK_IN_FLIGHT_MAX)
        return true;
    request->status =
        error_set(&request->err, STATUS_UNAVAILABLE,
                  "%d requests of one disk are in flight already", DISK_IN_FLIGHT_MAX);
    refuse(request);
    return false;
}

static enum status check_place(const struct disk_info *info, const struct disk_io *io,
                               struct error *err)
{
    if (io->offset % info->logical_sector != 0 || io->length % info->logical_sector != 0)
        return error_set(err, STATUS_INVALID,
                         "%zu bytes at %" PRIu64 " are not whole sectors of %" PRIu32, io->length,
                         io->offset, info->logical_sector);
    if (io->length == 0 || io->length > DISK_IO_MAX)
        return error_set(err, STATUS_INVALID,
                         "%zu bytes in one request; it takes %" PRIu32 " to %d", io->length,
                         info->logical_sector, DISK_IO_MAX);
    if (io->offset > info->size || io->length > info->size - io->offset)
        return error_set(err, STATUS_RANGE,
                         "%zu bytes at %" PRIu64 " lie past the end of a disk of %" PRIu64,
                         io->length, io->offset, info->size);
    return STATUS_OK;
}

static enum status check_flush(const struct disk *disk, const struct disk_io *io, struct error *err)
{
    if (io->offset != 0 || io->length != 0)
        return error_set(err, STATUS_INVALID, "a flush is of the whole disk");
    if (disk->flush_failed)
        return error_set(err, STATUS_ABORTED,
                         "an earlier flush of this disk failed, so what was written may be lost; "
                         "make the disk anew");
    if (disk->flushing)
        return error_set(err, STATUS_UNAVAILABLE, "another flush of this disk is in flight");
    return STATUS_OK;
}

static enum status check_io(const struct disk *disk, const struct disk_io *io, struct error *err)
{
    if (io->kind != DISK_READ && !disk->info.writable)
        return error_set(err, STATUS_DENIED, "a frozen disk is only read, never written");
    if (io->kind == DISK_FLUSH)
        return check_flush(disk, io, err);
    return check_place(&disk->info, io, err);
}

void disk_io_start(struct disk *disk, struct disk_io *io)
{
    struct disk_request *request = &io->request;

    request->deliver = deliver_io;
    if (!begin(disk, request))
        return;
    request->flush = io->kind == DISK_FLUSH;
    request->status = check_io(disk, io, &request->err);
    if (request->status != STATUS_OK) {
        refuse(request);
        return;
    }
    if (request->flush)
        disk->flushing = true;
    disk->ops->io(disk, io);
}

void disk_query_start(struct disk *disk, struct disk_query *query)
{
    struct disk_request *request = &query->request;

    request->deliver = deliver_query;
    if (!begin(disk, request))
        return;
    INVARIANT(query->ranges->limit > 0);
    range_list_clear(query->ranges);
    query->covered_to = query->offset;
    if (query->offset < disk->info.size) {
        disk->ops->query(disk, query);
        return;
    }
    request->status = error_set(&request->err, STATUS_RANGE,
                                "%" PRIu64 " lies past the end of a disk of %" PRIu64,
                                query->offset, disk->info.size);
    refuse(request);
}

static void cancel(struct disk_request *request)
{
    struct disk *disk = request->disk;

    if (disk == NULL)
        return; /* answered already, or never started */
    loop_assert(disk->loop);
    if (!request->refused) /* else its answer is on its way */
        disk->ops->cancel(disk, request);
}

void disk_io_cancel(struct disk_io *io)
{
    cancel(&io->request);
}

void disk_query_cancel(struct disk_query *query)
{
    cancel(&query->request);
}

void disk_close(struct disk *disk, struct loop_task *on_closed)
{
    loop_assert(disk->loop);
    INVARIANT(disk->on_closed == NULL);
    disk->ops->cancel_all(disk);
    disk->on_closed = on_closed;
    close_if_idle(disk);
}
