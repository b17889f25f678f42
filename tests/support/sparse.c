#include "tests/support/sparse.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "tests/support/double_heap.h"

enum { CHUNK_PAGES = 64 };

struct sparse_page {
    atomic_uint users;          /* chunks; with one, that one may write */
    uint8_t bytes[SPARSE_PAGE]; /* zero behind the end */
};

struct sparse_chunk {
    atomic_uint users;                      /* sparse files; with one, that one may change it */
    unsigned page_count;                    /* at least 1 */
    struct sparse_page *pages[CHUNK_PAGES]; /* NULL: a hole */
};

struct sparse_slot {
    uint64_t number; /* of the chunk's first page / CHUNK_PAGES */
    struct sparse_chunk *chunk;
};

static void page_release(struct sparse_page *page)
{
    if (page != NULL && atomic_fetch_sub(&page->users, 1) == 1)
        double_free(page);
}

static void chunk_release(struct sparse_chunk *chunk)
{
    if (atomic_fetch_sub(&chunk->users, 1) != 1)
        return;
    for (size_t i = 0; i < CHUNK_PAGES; i++)
        page_release(chunk->pages[i]);
    double_free(chunk);
}

static struct sparse_chunk *chunk_new(void)
{
    struct sparse_chunk *chunk = double_new(1, sizeof(*chunk));

    atomic_init(&chunk->users, 1);
    return chunk;
}

/* The chunk of SLOT, which no other file shares from now on. */
static struct sparse_chunk *own_chunk(struct sparse_slot *slot)
{
    struct sparse_chunk *shared = slot->chunk;

    if (atomic_load(&shared->users) == 1)
        return shared;
    slot->chunk = chunk_new();
    slot->chunk->page_count = shared->page_count;
    for (size_t i = 0; i < CHUNK_PAGES; i++) {
        slot->chunk->pages[i] = shared->pages[i];
        if (shared->pages[i] != NULL)
            atomic_fetch_add(&shared->pages[i]->users, 1);
    }
    chunk_release(shared);
    return slot->chunk;
}

/* The page *PAGE of an own chunk, which no other chunk shares from now on; made if it is a hole. */
static struct sparse_page *own_page(struct sparse_page **page)
{
    struct sparse_page *shared = *page;

    if (shared != NULL && atomic_load(&shared->users) == 1)
        return shared;
    *page = double_new(1, sizeof(**page));
    atomic_init(&(*page)->users, 1);
    if (shared != NULL)
        memcpy((*page)->bytes, shared->bytes, SPARSE_PAGE);
    page_release(shared);
    return *page;
}

/* The index of the first slot at or behind the chunk NUMBER. */
static size_t slot_index(const struct sparse *sparse, uint64_t number)
{
    size_t low = 0;
    size_t high = sparse->slot_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sparse->slots[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Page NUMBER, or NULL: a hole. */
static const struct sparse_page *page_at(const struct sparse *sparse, uint64_t number)
{
    size_t index = slot_index(sparse, number / CHUNK_PAGES);

    if (index == sparse->slot_count || sparse->slots[index].number != number / CHUNK_PAGES)
        return NULL;
    return sparse->slots[index].chunk->pages[number % CHUNK_PAGES];
}

/* The slot of the chunk NUMBER, put at INDEX if there is none. */
static struct sparse_slot *slot_for_write(struct sparse *sparse, uint64_t number)
{
    size_t index = slot_index(sparse, number);

    if (index < sparse->slot_count && sparse->slots[index].number == number)
        return &sparse->slots[index];
    if (sparse->slot_count == sparse->slot_room) {
        sparse->slot_room = sparse->slot_room == 0 ? 4 : sparse->slot_room * 2;
        sparse->slots = double_resize(sparse->slots, sparse->slot_room, sizeof(*sparse->slots));
    }
    memmove(sparse->slots + index + 1, sparse->slots + index,
            (sparse->slot_count - index) * sizeof(*sparse->slots));
    sparse->slots[index] = (struct sparse_slot){.number = number, .chunk = chunk_new()};
    sparse->slot_count++;
    return &sparse->slots[index];
}

/* Page NUMBER, made if it is a hole so far. */
static enum status page_for_write(struct sparse *sparse, struct sparse_space *space,
                                  uint64_t number, uint8_t **ret_bytes, struct error *err)
{
    bool is_new = page_at(sparse, number) == NULL;

    if (is_new && space->used + SPARSE_PAGE > space->limit)
        return error_set_errno(err, ENOSPC, "write");
    struct sparse_chunk *chunk = own_chunk(slot_for_write(sparse, number / CHUNK_PAGES));

    if (is_new) {
        chunk->page_count++;
        sparse->page_count++;
        space->used += SPARSE_PAGE;
    }
    *ret_bytes = own_page(&chunk->pages[number % CHUNK_PAGES])->bytes;
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
        const struct sparse_page *page = page_at(sparse, position / SPARSE_PAGE);

        part = part_of(position, total - done);
        if (page != NULL)
            memcpy(next + done, page->bytes + position % SPARSE_PAGE, part);
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

/* Takes the pages of the last slot from the one at FIRST on; the slot too, if nothing is left. */
static void cut_last_slot(struct sparse *sparse, size_t first)
{
    struct sparse_slot *slot = &sparse->slots[sparse->slot_count - 1];
    struct sparse_chunk *chunk = own_chunk(slot);

    for (size_t i = first; i < CHUNK_PAGES; i++) {
        if (chunk->pages[i] == NULL)
            continue;
        page_release(chunk->pages[i]);
        chunk->pages[i] = NULL;
        chunk->page_count--;
        sparse->page_count--;
    }
    if (chunk->page_count == 0) {
        chunk_release(chunk);
        sparse->slot_count--;
    }
}

void sparse_resize(struct sparse *sparse, struct sparse_space *space, uint64_t size)
{
    size_t in_page = (size_t)(size % SPARSE_PAGE);
    uint64_t pages = size / SPARSE_PAGE + (in_page > 0 ? 1 : 0); /* that stay */
    uint64_t before = sparse->page_count;
    struct error err = {0};

    for (; sparse->slot_count > 0; sparse->slot_count--) {
        struct sparse_slot *slot = &sparse->slots[sparse->slot_count - 1];

        if (slot->number * CHUNK_PAGES < pages)
            break;
        sparse->page_count -= slot->chunk->page_count;
        chunk_release(slot->chunk);
    }
    if (sparse->slot_count > 0 && size < sparse->size &&
        pages - sparse->slots[sparse->slot_count - 1].number * CHUNK_PAGES < CHUNK_PAGES)
        cut_last_slot(sparse, (size_t)(pages % CHUNK_PAGES));
    space->used -= (before - sparse->page_count) * SPARSE_PAGE;
    /* What is cut off must not come back when the file grows again. */
    if (in_page > 0 && size < sparse->size && page_at(sparse, size / SPARSE_PAGE) != NULL) {
        static const uint8_t zeros[SPARSE_PAGE];

        /* The page is there: nothing can be missing. */
        DISCARD(sparse_write(sparse, space, size, slice_of(zeros, SPARSE_PAGE - in_page), &err));
    }
    sparse->size = size;
    if (size == 0) {
        double_free(sparse->slots);
        *sparse = (struct sparse){0};
    }
}

struct sparse sparse_copy(const struct sparse *sparse)
{
    struct sparse copy = *sparse;

    if (sparse->slot_count == 0) {
        copy.slots = NULL;
        copy.slot_room = 0;
        return copy;
    }
    copy.slot_room = sparse->slot_count;
    copy.slots = double_new(copy.slot_room, sizeof(*copy.slots));
    for (size_t i = 0; i < sparse->slot_count; i++) {
        copy.slots[i] = sparse->slots[i];
        atomic_fetch_add(&copy.slots[i].chunk->users, 1);
    }
    return copy;
}

/* The first page at or behind NUMBER that is data; false: there is none. */
static bool next_page(const struct sparse *sparse, uint64_t number, uint64_t *ret_page)
{
    for (size_t i = slot_index(sparse, number / CHUNK_PAGES); i < sparse->slot_count; i++) {
        const struct sparse_slot *slot = &sparse->slots[i];
        uint64_t first = slot->number * CHUNK_PAGES;

        for (uint64_t page = first > number ? first : number; page < first + CHUNK_PAGES; page++) {
            if (slot->chunk->pages[page - first] != NULL) {
                *ret_page = page;
                return true;
            }
        }
    }
    return false;
}

enum status sparse_next_data(const struct sparse *sparse, uint64_t offset, uint64_t *ret_start,
                             uint64_t *ret_end, struct error *err)
{
    uint64_t page = 0;

    if (offset >= sparse->size || !next_page(sparse, offset / SPARSE_PAGE, &page))
        return error_set_errno(err, ENXIO, "no data up to the end");
    uint64_t start = page * SPARSE_PAGE;

    do
        page++;
    while (page_at(sparse, page) != NULL);
    uint64_t end = page * SPARSE_PAGE;

    *ret_start = start > offset ? start : offset;
    *ret_end = end < sparse->size ? end : sparse->size;
    return STATUS_OK;
}
