#include "agent/disk/disk.h"

#include <inttypes.h>

#include "base/invariant.h"

const struct disk_info *disk_info(const struct disk *disk)
{
    return &disk->info;
}

static struct disk_io *io_of(struct disk_request *request)
{
    return (struct disk_io *)request; /* its first member */
}

static struct disk_query *query_of(struct disk_request *request)
{
    return (struct disk_query *)request; /* its first member */
}

static void deliver_io(struct disk_request *request, enum status status, const struct error *err)
{
    io_of(request)->done(io_of(request), status, err);
}

static void deliver_query(struct disk_request *request, enum status status, const struct error *err)
{
    query_of(request)->done(query_of(request), status, err);
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
    /* Counted down before, so that done() may start another one, and looked at after, so that done()
     * may close the disk: then it is disk_close() that finds it idle. */
    disk->in_flight--;
    request->disk = NULL;

    bool closing = disk->on_closed != NULL;

    request->deliver(request, status, err); /* from here REQUEST is the caller's */
    if (closing)
        close_if_idle(disk);
}

static void answer_refusal(struct loop_task *task)
{
    struct disk_request *request =
        (struct disk_request *)((char *)task - offsetof(struct disk_request, refusal));

    disk_request_done(request, request->status, &request->err);
}

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
    request->disk = disk;
    request->status = STATUS_OK;
    request->err = (struct error){0};
    request->refusal = (struct loop_task){.run = answer_refusal};
    request->refused = false;
    disk->in_flight++;
    if (disk->in_flight <= DISK_IN_FLIGHT_MAX)
        return true;
    request->status =
        error_set(&request->err, STATUS_EXHAUSTED, "%d requests of one disk are in flight already",
                  DISK_IN_FLIGHT_MAX);
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
        return error_set(err, STATUS_INVALID, "%zu bytes in one request; it takes 1 to %d",
                         io->length, DISK_IO_MAX);
    if (io->offset > info->size || io->length > info->size - io->offset)
        return error_set(err, STATUS_RANGE,
                         "%zu bytes at %" PRIu64 " lie past the end of a disk of %" PRIu64,
                         io->length, io->offset, info->size);
    return STATUS_OK;
}

static enum status check_io(const struct disk_info *info, const struct disk_io *io,
                            struct error *err)
{
    if (io->kind != DISK_READ && !info->writable)
        return error_set(err, STATUS_DENIED, "a frozen disk is only read, never written");
    if (io->kind != DISK_FLUSH)
        return check_place(info, io, err);
    if (io->offset != 0 || io->length != 0)
        return error_set(err, STATUS_INVALID, "a flush is of the whole disk");
    return STATUS_OK;
}

void disk_io_start(struct disk *disk, struct disk_io *io)
{
    struct disk_request *request = &io->request;

    request->deliver = deliver_io;
    if (!begin(disk, request))
        return;
    request->status = check_io(&disk->info, io, &request->err);
    if (request->status == STATUS_OK)
        disk->ops->io(disk, io);
    else
        refuse(request);
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
    disk->on_closed = on_closed;
    disk->ops->cancel_all(disk);
    close_if_idle(disk);
}
