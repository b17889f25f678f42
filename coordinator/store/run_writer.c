#include "coordinator/store/run_writer.h"

#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "format/le.h"

enum { ROOM = 16 * RUN_PAGE_SIZE, SYNC_EVERY = 8 << 20 };

struct run_writer {
    struct run_header header; /* its entries: those added so far */
    struct run_shape shape;
    uint64_t most; /* entries */
    struct fs_file *file;
    struct run_summary summary;
    uint64_t page;   /* of entries: the one that is filled */
    size_t in_page;  /* entries in it */
    size_t filled;   /* bytes of BYTES before that page: whole pages that are not written */
    size_t unsynced; /* bytes */
    uint8_t last[RUN_ENTRY_SIZE_MAX];
    uint8_t bytes[ROOM];
    uint8_t told[RUN_PAGE_SIZE]; /* the summary page that is filled */
};

enum status run_writer_new(struct fs *fs, const struct run_header *header,
                           struct run_writer **ret_writer, struct error *err)
{
    char path[FS_PATH_SIZE];
    uint64_t pages = run_pages(header->kind, header->entries);
    struct run_writer *writer = memory_new(1, sizeof(*writer));
    enum status st = STATUS_OK;

    INVARIANT(header->entries > 0);
    if (writer == NULL)
        return error_set_no_memory(err, sizeof(*writer), "a run of the index");
    writer->header = *header;
    writer->header.entries = 0;
    writer->header.summary_pages = run_summary_pages(header->kind, pages);
    writer->most = header->entries;
    writer->shape = run_shape_of(header->kind);
    st = run_summary_init(&writer->summary, header->kind, pages, err);
    run_path(header->number, path);
    if (st == STATUS_OK)
        st = fs_open(fs, path, FS_CREATE, &writer->file, err);
    if (st != STATUS_OK) {
        run_writer_free(writer);
        return st;
    }
    *ret_writer = writer;
    return STATUS_OK;
}

void run_writer_free(struct run_writer *writer)
{
    if (writer == NULL)
        return;
    fs_close(writer->file);
    run_summary_deinit(&writer->summary);
    memory_free(writer);
}

static enum status write_pages(struct run_writer *writer, uint64_t index, const uint8_t *bytes,
                               size_t size, struct error *err)
{
    enum status st = fs_write_at(writer->file, index * RUN_PAGE_SIZE, slice_of(bytes, size), err);

    writer->unsynced += size;
    if (st == STATUS_OK && writer->unsynced >= SYNC_EVERY) {
        st = fs_sync(writer->file, err);
        writer->unsynced = 0;
    }
    return st;
}

static enum status write_filled(struct run_writer *writer, struct error *err)
{
    uint64_t index =
        1 + writer->header.summary_pages + writer->page - writer->filled / RUN_PAGE_SIZE;
    enum status st = STATUS_OK;

    if (writer->filled > 0)
        st = write_pages(writer, index, writer->bytes, writer->filled, err);
    writer->filled = 0;
    return st;
}

/* Page PAGE of the summary is filled. */
static enum status write_told(struct run_writer *writer, uint64_t page, struct error *err)
{
    run_page_seal(writer->told, writer->header.number, 1 + page);
    enum status st = write_pages(writer, 1 + page, writer->told, RUN_PAGE_SIZE, err);

    memset(writer->told, 0, RUN_PAGE_SIZE);
    return st;
}

/* Of the page of entries that is filled, to the summary; in memory it is there already. */
static enum status tell(struct run_writer *writer, struct error *err)
{
    size_t size = 8 + writer->shape.filter_size;
    uint64_t at = writer->page % writer->shape.pages_a_summary;
    uint8_t *target = writer->told + at * size;

    le_put_u64(target, writer->summary.firsts[writer->page]);
    if (writer->summary.filters != NULL)
        memcpy(target + 8, writer->summary.filters + writer->page * RUN_FILTER_SIZE,
               RUN_FILTER_SIZE);
    if (at + 1 < writer->shape.pages_a_summary)
        return STATUS_OK;
    return write_told(writer, writer->page / writer->shape.pages_a_summary, err);
}

/* The page that is filled, wholly or in part, is done. */
static enum status end_page(struct run_writer *writer, struct error *err)
{
    uint8_t *page = writer->bytes + writer->filled;
    size_t used = writer->in_page * writer->shape.entry_size;

    memset(page + used, 0, RUN_PAGE_SIZE - used);
    run_page_seal(page, writer->header.number, 1 + writer->header.summary_pages + writer->page);
    enum status st = tell(writer, err);

    writer->page++;
    writer->in_page = 0;
    writer->filled += RUN_PAGE_SIZE;
    if (st == STATUS_OK && writer->filled == ROOM)
        st = write_filled(writer, err);
    return st;
}

enum status run_writer_add(struct run_writer *writer, const uint8_t *entry, struct error *err)
{
    const struct run_shape *shape = &writer->shape;

    INVARIANT(writer->header.entries < writer->most);
    INVARIANT(writer->header.entries == 0 || memcmp(writer->last, entry, shape->key_size) < 0);
    memcpy(writer->last, entry, shape->key_size);
    if (writer->in_page == 0)
        writer->summary.firsts[writer->page] = run_prefix(entry);
    if (writer->summary.filters != NULL)
        run_filter_put(writer->summary.filters + writer->page * RUN_FILTER_SIZE, entry);
    memcpy(writer->bytes + writer->filled + writer->in_page * shape->entry_size, entry,
           shape->entry_size);
    writer->in_page++;
    writer->header.entries++;
    return writer->in_page == shape->entries_a_page ? end_page(writer, err) : STATUS_OK;
}

enum status run_writer_finish(struct run_writer *writer, struct run **ret_run, struct error *err)
{
    const struct run_shape *shape = &writer->shape;
    uint8_t page[RUN_PAGE_SIZE];
    enum status st = STATUS_OK;

    INVARIANT(writer->header.entries > 0);
    writer->header.last = run_prefix(writer->last);
    if (writer->in_page > 0)
        st = end_page(writer, err);
    if (st == STATUS_OK)
        st = write_filled(writer, err);
    if (st == STATUS_OK && writer->page % shape->pages_a_summary > 0)
        st = write_told(writer, writer->page / shape->pages_a_summary, err);
    run_header_encode(&writer->header, page);
    if (st == STATUS_OK)
        st = write_pages(writer, 0, page, sizeof(page), err);
    if (st == STATUS_OK)
        st = fs_sync(writer->file, err);
    if (st != STATUS_OK)
        return st;
    st = run_of(writer->file, &writer->header, &writer->summary, ret_run, err);
    writer->file = NULL;
    return st;
}
