#include "tests/support/sparse.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

struct sparse_page {
    uint64_t number; /* its offset / SPARSE_PAGE */
    uint8_t *bytes;  /* SPARSE_PAGE; zero behind the end */
};

/* The index of the first page at or behind NUMBER. */
static size_t page_index(const struct sparse *sparse, uint64_t number)
{
    size_t low = 0;
    size_t high = sparse->page_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sparse->pages[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum status make_room(struct sparse *sparse, struct error *err)
{
    if (sparse->page_count < sparse->page_room)
        return STATUS_OK;
    size_t room = sparse->page_room == 0 ? 4 : sparse->page_room * 2;
    struct sparse_page *pages = memory_resize(sparse->pages, room, sizeof(*pages));

    if (pages == NULL)
        return error_set_no_memory(err, room * sizeof(*pages), "pages");
    sparse->pages = pages;
    sparse->page_room = room;
    return STATUS_OK;
}

/* The page NUMBER, made if it is a hole so far. */
static enum status page_for_write(struct sparse *sparse, struct sparse_space *space,
                                  uint64_t number, uint8_t **ret_bytes, struct error *err)
{
    size_t index = page_index(sparse, number);

    if (index < sparse->page_count && sparse->pages[index].number == number) {
        *ret_bytes = sparse->pages[index].bytes;
        return STATUS_OK;
    }
    if (space->used + SPARSE_PAGE > space->limit)
        return error_set_errno(err, ENOSPC, "write");
    enum status st = make_room(sparse, err);

    if (st != STATUS_OK)
        return st;
    uint8_t *bytes = memory_new(1, SPARSE_PAGE);

    if (bytes == NULL)
        return error_set_no_memory(err, SPARSE_PAGE, "a page");
    memmove(sparse->pages + index + 1, sparse->pages + index,
            (sparse->page_count - index) * sizeof(*sparse->pages));
    sparse->pages[index] = (struct sparse_page){.number = number, .bytes = bytes};
    sparse->page_count++;
    space->used += SPARSE_PAGE;
    *ret_bytes = bytes;
    return STATUS_OK;
}

/* The part of SIZE bytes at OFFSET that lies in OFFSET's page. */
static size_t part_of(uint64_t offset, size_t size)
{
    size_t room = SPARSE_PAGE - (size_t)(offset % SPARSE_PAGE);

    return size < room ? size : room;
}

size_t sparse_read(const struct sparse *sparse, uint64_t offset, void *target, size_t size)
{
    uint64_t left = offset < sparse->size ? sparse->size - offset : 0;
    size_t total = size < left ? size : (size_t)left;
    uint8_t *next = target;

    for (size_t done = 0, part = 0; done < total; done += part) {
        uint64_t position = offset + done;
        uint64_t number = position / SPARSE_PAGE;
        size_t index = page_index(sparse, number);

        part = part_of(position, total - done);
        if (index < sparse->page_count && sparse->pages[index].number == number)
            memcpy(next + done, sparse->pages[index].bytes + position % SPARSE_PAGE, part);
        else
            memset(next + done, 0, part);
    }
    return total;
}

enum status sparse_write(struct sparse *sparse, struct sparse_space *space, uint64_t offset,
                         struct slice data, struct error *err)
{
    for (size_t done = 0, part = 0; done < data.size; done += part) {
        uint64_t position = offset + done;
        uint8_t *bytes = NULL;
        enum status st = page_for_write(sparse, space, position / SPARSE_PAGE, &bytes, err);

        if (st != STATUS_OK)
            return st;
        part = part_of(position, data.size - done);
        memcpy(bytes + position % SPARSE_PAGE, data.data + done, part);
        if (position + part > sparse->size)
            sparse->size = position + part;
    }
    return STATUS_OK;
}

void sparse_resize(struct sparse *sparse, struct sparse_space *space, uint64_t size)
{
    size_t in_page = (size_t)(size % SPARSE_PAGE);
    uint64_t last = size / SPARSE_PAGE;
    size_t keep = page_index(sparse, last + (in_page > 0 ? 1 : 0));

    for (size_t i = keep; i < sparse->page_count; i++) {
        memory_free(sparse->pages[i].bytes);
        space->used -= SPARSE_PAGE;
    }
    sparse->page_count = keep;
    /* What is cut off must not come back when the file grows again. */
    if (in_page > 0 && keep > 0 && sparse->pages[keep - 1].number == last)
        memset(sparse->pages[keep - 1].bytes + in_page, 0, SPARSE_PAGE - in_page);
    sparse->size = size;
    if (size == 0) {
        memory_free(sparse->pages);
        *sparse = (struct sparse){0};
    }
}

enum status sparse_next_data(const struct sparse *sparse, uint64_t offset, uint64_t *ret_start,
                             uint64_t *ret_end, struct error *err)
{
    size_t index = page_index(sparse, offset / SPARSE_PAGE);

    if (offset >= sparse->size || index == sparse->page_count)
        return error_set_errno(err, ENXIO, "no data up to the end");
    uint64_t start = sparse->pages[index].number * SPARSE_PAGE;
    uint64_t end = start + SPARSE_PAGE;

    for (index++; index < sparse->page_count; index++) {
        if (sparse->pages[index].number * SPARSE_PAGE != end)
            break;
        end += SPARSE_PAGE;
    }
    *ret_start = start > offset ? start : offset;
    *ret_end = end < sparse->size ? end : sparse->size;
    return STATUS_OK;
}
