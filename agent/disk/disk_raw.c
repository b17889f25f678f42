#include "agent/disk/disk_raw.h"

#include <inttypes.h>
#include <string.h>

#include "base/attr.h"
#include "base/checked.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/slice.h"
#include "base/text.h"
#include "agent/disk/raw_frozen.h"

enum {
    /* A plain file says nothing of the device below it; this fits every disk made since 2010. */
    PHYSICAL_SECTOR = 4096,
    CHANGE_UNIT = 4096,                   /* bytes: what a changed byte is reported as */
    STEP = 1024 * 1024,                   /* bytes compared at a time */
    QUERY_STEPS = 64,                     /* steps after which a query answers with what it has */
    IN_LANE_MAX = DISK_IN_FLIGHT_MAX + 1, /* all that may be in flight, and the closing */
    RUNNING = 8, /* requests of one disk on workers at once: the others' turn comes too */
};

struct disk_raw {
    struct disk disk;
    struct fs *fs;
    char path[FS_PATH_SIZE]; /* of the raw file, whether what is open is it or a copy of it */
    struct fs_file *file;    /* what is read: the frozen copy, or the new disk's file */
    struct lane *lane;
    struct work work; /* the opening; once that is done, the closing */
    struct loop_task lane_closed;
    struct loop_task *on_closed; /* NULL: it could not be opened, OPEN is told instead */
    struct disk_open *open;
};

/* ---- Requests, on workers -------------------------------------------------------------------- */

static struct disk_raw *raw_of(struct disk *disk)
{
    return (struct disk_raw *)disk; /* its first member */
}

static struct disk_raw *raw_of_work(struct work *work)
{
    return (struct disk_raw *)((char *)work - offsetof(struct disk_raw, work));
}

static struct disk_request *request_of(struct work *work)
{
    return (struct disk_request *)((char *)work - offsetof(struct disk_request, work));
}

static void answer(struct work *work, enum status status)
{
    struct disk_request *request = request_of(work);

    if (status == STATUS_CANCELLED)
        request->status = error_set(&request->err, STATUS_CANCELLED, "cancelled before it began");
    disk_request_done(request, request->status, &request->err);
}

/* The lane has room for all that may be in flight, and for the closing beside. */
static void submit(struct disk_raw *raw, struct work *work)
{
    INVARIANT(lane_submit(raw->lane, work));
}

static void run_io(struct work *work)
{
    struct disk_io *io = (struct disk_io *)request_of(work);
    struct disk_raw *raw = raw_of(io->request.disk);
    struct error *err = &io->request.err;
    enum status st = STATUS_INTERNAL;

    switch (io->kind) {
    case DISK_READ:
        st = fs_read_exactly_at(raw->file, io->offset, io->data, io->length, err);
        break;
    case DISK_WRITE:
        st = fs_write_at(raw->file, io->offset, slice_of(io->data, io->length), err);
        break;
    case DISK_FLUSH:
        st = fs_sync(raw->file, err);
        break;
    }
    io->request.status = st;
}

static void start_io(struct disk *disk, struct disk_io *io)
{
    io->request.work = (struct work){.run = run_io,
                                     .done = answer,
                                     .cost = io->kind == DISK_FLUSH ? 1 : io->length};
    submit(raw_of(disk), &io->request.work);
}

/* Adds RANGE to what QUERY has found. False: its list is full, RANGE is left out. */
static bool add_range(struct disk_query *query, struct range range, enum status *st)
{
    struct range_list *list = query->ranges;

    if (list->count == list->limit) {
        const struct range *last = &list->ranges[list->count - 1];

        if (last->offset + last->length != range.offset)
            return false;
    }
    *st = range_list_add(list, range, &query->request.err);
    return *st == STATUS_OK;
}

/* The next stretch of data of FILE, which has SIZE bytes or is damaged, at or behind OFFSET; its start is
 * SIZE where there is none. */
static enum status next_data(struct fs_file *file, uint64_t size, uint64_t offset,
                             struct range *ret_data, struct error *err)
{
    struct error none = {0};
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t now = 0;
    enum status st = fs_next_data(file, offset, &start, &end, &none);

    if (st == STATUS_OK) {
        start = start < size ? start : size;
        end = end < size ? end : size;
        *ret_data = (struct range){.offset = start, .length = end - start};
        return STATUS_OK;
    }
    if (st != STATUS_NOT_FOUND) {
        *err = none;
        return st;
    }
    /* Holes up to the end: if that is where the end must be. */
    st = fs_size(file, &now, err);
    if (st == STATUS_OK && now < size)
        st = error_set(err, STATUS_CORRUPT, "%s has %" PRIu64 " of its %" PRIu64 " bytes",
                       file->path, now, size);
    if (st == STATUS_OK)
        *ret_data = (struct range){.offset = size};
    return st;
}

static void query_allocated(struct disk_raw *raw, struct disk_query *query)
{
    uint64_t size = raw->disk.info.size;
    struct range data = {0};
    enum status st = STATUS_OK;

    /* As many steps as the list has places are enough to fill it, as neighbours are joined. */
    for (size_t i = 0; i <= query->ranges->limit && query->covered_to < size; i++) {
        st = next_data(raw->file, size, query->covered_to, &data, &query->request.err);
        if (st != STATUS_OK)
            break;
        query->covered_to = data.offset; /* the hole before it is told by saying nothing */
        if (data.length > 0 && !add_range(query, data, &st))
            break;
        query->covered_to = data.offset + data.length;
    }
    query->request.status = st;
}

/* Two states of a disk, side by side. */
struct comparison {
    struct fs_file *before;
    struct fs_file *now;
    uint64_t size;
    uint8_t *step_before;
    uint8_t *step_now;
};

/* The first byte at or behind OFFSET at which one of the two has data; the size, if none has. */
static enum status next_difference_possible(const struct comparison *both, uint64_t offset,
                                            uint64_t *ret_offset, struct error *err)
{
    struct range before = {0};
    struct range now = {0};
    enum status st = next_data(both->before, both->size, offset, &before, err);

    if (st == STATUS_OK)
        st = next_data(both->now, both->size, offset, &now, err);
    if (st != STATUS_OK)
        return st;

    uint64_t first = before.offset < now.offset ? before.offset : now.offset;
    uint64_t aligned = checked_round_down(first, CHANGE_UNIT);

    *ret_offset = aligned > offset ? aligned : offset;
    return STATUS_OK;
}

/* Compares SIZE bytes at OFFSET, a unit at a time, as far as the list has room. */
static enum status compare_step(const struct comparison *both, struct disk_query *query,
                                size_t size, bool *ret_full)
{
    struct error *err = &query->request.err;
    uint64_t offset = query->covered_to;
    enum status st = fs_read_exactly_at(both->before, offset, both->step_before, size, err);

    if (st == STATUS_OK)
        st = fs_read_exactly_at(both->now, offset, both->step_now, size, err);
    for (size_t done = 0; st == STATUS_OK && done < size;) {
        size_t unit = CHANGE_UNIT - (size_t)((offset + done) % CHANGE_UNIT);

        if (unit > size - done)
            unit = size - done;

        struct range range = {.offset = offset + done, .length = unit};

        if (memcmp(both->step_before + done, both->step_now + done, unit) != 0 &&
            !add_range(query, range, &st)) {
            *ret_full = true;
            break;
        }
        done += unit;
        query->covered_to = offset + done;
    }
    return st;
}

static enum status compare(const struct comparison *both, struct disk_query *query)
{
    bool full = false;
    enum status st = STATUS_OK;

    for (unsigned steps = 0; steps < QUERY_STEPS && !full; steps++) {
        st = next_difference_possible(both, query->covered_to, &query->covered_to,
                                      &query->request.err);
        if (st != STATUS_OK || query->covered_to >= both->size)
            break;

        uint64_t left = both->size - query->covered_to;

        st = compare_step(both, query, left < STEP ? (size_t)left : STEP, &full);
        if (st != STATUS_OK)
            break;
    }
    return st;
}

static enum status open_before(struct disk_raw *raw, const char *since, struct comparison *both,
                               struct error *err)
{
    char copy[FS_PATH_SIZE];
    uint64_t size = 0;
    enum status st = raw_frozen_find(raw->fs, raw->path, since, copy, err);

    if (st == STATUS_OK)
        st = raw_frozen_open(raw->fs, copy, &both->before, &size, err);
    if (st == STATUS_OK && size != both->size)
        st = error_set(err, STATUS_NOT_FOUND,
                       "%s had %" PRIu64 " bytes in the state %s, and has %" PRIu64 " now",
                       raw->path, size, since, both->size);
    return st;
}

static void query_changed(struct disk_raw *raw, struct disk_query *query)
{
    struct error *err = &query->request.err;
    struct comparison both = {.now = raw->file, .size = raw->disk.info.size};
    enum status st = open_before(raw, query->since, &both, err);

    if (st != STATUS_OK)
        goto out;
    both.step_before = memory_new(STEP, 1);
    both.step_now = memory_new(STEP, 1);
    if (both.step_before == NULL || both.step_now == NULL) {
        st = error_set_no_memory(err, STEP, "comparing two states of a disk");
        goto out;
    }
    st = compare(&both, query);
out:
    memory_free(both.step_before);
    memory_free(both.step_now);
    fs_close(both.before);
    query->request.status = st;
}

static void run_query(struct work *work)
{
    struct disk_query *query = (struct disk_query *)request_of(work);
    struct disk_raw *raw = raw_of(query->request.disk);

    if (query->since[0] == '\0')
        query_allocated(raw, query);
    else
        query_changed(raw, query);
}

static void start_query(struct disk *disk, struct disk_query *query)
{
    query->request.work = (struct work){.run = run_query, .done = answer, .cost = STEP};
    submit(raw_of(disk), &query->request.work);
}

static void cancel(struct disk *disk, struct disk_request *request)
{
    (void)disk; /* the work knows its lane */
    work_cancel(&request->work);
}

static void cancel_all(struct disk *disk)
{
    lane_cancel(raw_of(disk)->lane);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void run_close(struct work *work)
{
    struct disk_raw *raw = raw_of_work(work);

    fs_close(raw->file);
    raw->file = NULL;
}

static void closed(struct work *work, enum status status)
{
    struct disk_raw *raw = raw_of_work(work);

    INVARIANT(status == STATUS_OK); /* nobody cancels it */
    lane_close(raw->lane, &raw->lane_closed);
}

static void finish(struct loop_task *task)
{
    struct disk_raw *raw =
        (struct disk_raw *)((char *)task - offsetof(struct disk_raw, lane_closed));
    struct loop *loop = raw->disk.loop;
    struct loop_task *told = raw->on_closed != NULL ? raw->on_closed : &raw->open->answer;

    memory_free(raw);
    loop_post(loop, told);
}

static void start_close(struct disk_raw *raw)
{
    raw->work = (struct work){.run = run_close, .done = closed, .cost = 1};
    raw->lane_closed = (struct loop_task){.run = finish};
    submit(raw, &raw->work);
}

static void close_disk(struct disk *disk, struct loop_task *on_closed)
{
    raw_of(disk)->on_closed = on_closed;
    start_close(raw_of(disk));
}

static const struct disk_ops raw_ops = {
    .io = start_io,
    .query = start_query,
    .cancel = cancel,
    .cancel_all = cancel_all,
    .close = close_disk,
};

/* ---- Opening --------------------------------------------------------------------------------- */

static enum status open_frozen(struct disk_raw *raw, const char *copy, struct error *err)
{
    struct disk_info *info = &raw->disk.info;
    struct raw_frozen_disk noted = {0};
    char id[RAW_FROZEN_ID_SIZE];
    enum status st = raw_frozen_open(raw->fs, copy, &raw->file, &info->size, err);

    if (st != STATUS_OK)
        return st;
    if (!raw_frozen_parse(copy, raw->path, id))
        return error_set(err, STATUS_NOT_FOUND, "it does not name a frozen copy");
    st = raw_frozen_read_disk(raw->fs, raw->path, &noted, err);
    if (st != STATUS_OK)
        return st;
    if (info->size == 0 || info->size % noted.logical_sector != 0)
        return error_set(err, STATUS_CORRUPT, "%" PRIu64 " bytes are not whole sectors of %" PRIu32,
                         info->size, noted.logical_sector);
    memcpy(info->identity, noted.identity, sizeof(info->identity));
    memcpy(info->change_id, id, sizeof(id));
    info->logical_sector = noted.logical_sector;
    return STATUS_OK;
}

/* Makes the content of the new file, open already, and its name durable. */
static enum status prepare_new(struct disk_raw *raw, const struct disk_open *open,
                               struct error *err)
{
    struct raw_frozen_disk noted = {.logical_sector = open->logical_sector};
    enum status st = fs_resize(raw->file, open->size, err);

    memcpy(noted.identity, open->identity, sizeof(noted.identity));
    if (st == STATUS_OK)
        st = fs_sync(raw->file, err);
    if (st == STATUS_OK) /* syncs the folder that its own folder and the file's name lie in */
        st = raw_frozen_write_disk(raw->fs, raw->path, &noted, err);
    return st;
}

static enum status open_new(struct disk_raw *raw, const struct disk_open *open, struct error *err)
{
    struct disk_info *info = &raw->disk.info;
    struct error cleaning = {0};
    enum status st = STATUS_OK;

    if (!text_format(raw->path, sizeof(raw->path), "%s", open->path))
        return error_set(err, STATUS_INVALID, "the path is too long");
    st = fs_open(raw->fs, raw->path, FS_CREATE, &raw->file, err);
    if (st != STATUS_OK)
        return st;
    st = prepare_new(raw, open, err);
    if (st != STATUS_OK) {
        fs_close(raw->file);
        raw->file = NULL;
        /* What cannot be removed now is found by the next attempt: STATUS_EXISTS. */
        DISCARD(raw_frozen_forget_disk(raw->fs, raw->path, &cleaning)); /* may not be there */
        DISCARD(fs_remove(raw->fs, raw->path, &cleaning));              /* ST is what is told */
        return st;
    }
    info->size = open->size;
    info->logical_sector = open->logical_sector;
    info->writable = true;
    memcpy(info->identity, open->identity, sizeof(info->identity));
    return STATUS_OK;
}

static void run_open(struct work *work)
{
    struct disk_raw *raw = raw_of_work(work);
    struct disk_open *open = raw->open;

    switch (open->kind) {
    case DISK_OPEN_FROZEN:
        open->status = open_frozen(raw, open->path, &open->err);
        break;
    case DISK_OPEN_NEW:
        open->status = open_new(raw, open, &open->err);
        break;
    }
    if (open->status != STATUS_OK)
        (void)error_wrap(&open->err, "open the disk %s", open->path); /* the status stays */
}

static void opened(struct work *work, enum status status)
{
    struct disk_raw *raw = raw_of_work(work);
    struct disk_open *open = raw->open;

    INVARIANT(status == STATUS_OK); /* nobody cancels it */
    if (open->status == STATUS_OK)
        open->done(open, STATUS_OK, &raw->disk, NULL);
    else
        start_close(raw); /* and then tells OPEN */
}

static enum status prepare(const struct disk_raw_opener *opener, struct disk_open *open,
                           struct disk_raw **ret_raw, struct error *err)
{
    struct lane_limits limits = {.work = IN_LANE_MAX, .cost = UINT64_MAX, .running = RUNNING};
    enum status st = STATUS_OK;
    struct disk_raw *raw = memory_new(1, sizeof(*raw));

    if (raw == NULL)
        return error_set_no_memory(err, sizeof(*raw), "a disk");
    raw->disk.ops = &raw_ops;
    raw->disk.loop = opener->opener.loop;
    raw->disk.info.physical_sector = PHYSICAL_SECTOR;
    raw->fs = opener->fs;
    raw->open = open;
    raw->work = (struct work){.run = run_open, .done = opened, .cost = 1};
    st = lane_new(opener->pool, limits, NULL, &raw->lane, err);
    if (st != STATUS_OK) {
        memory_free(raw);
        return st;
    }
    *ret_raw = raw;
    return STATUS_OK;
}

static void open_start(struct disk_opener *opener, struct disk_open *open)
{
    struct disk_raw *raw = NULL;

    open->status = prepare((struct disk_raw_opener *)opener, open, &raw, &open->err);
    if (open->status == STATUS_OK)
        submit(raw, &raw->work);
    else
        loop_post(opener->loop, &open->answer);
}

struct disk_raw_opener disk_raw_opener_of(struct loop *loop, struct pool *pool, struct fs *fs)
{
    struct disk_raw_opener opener = {.opener = {.open = open_start, .loop = loop},
                                     .pool = pool,
                                     .fs = fs};

    return opener;
}
