#include "coordinator/store/check_numbers.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

enum {
    PAGE_BITS = 15, /* CHECK_PAGE_NUMBERS */
    FLAG_BITS = 4,
    FLAG_MASK = 15,
    ROOM_FIRST = 16,
    PAGES_MAX = CHECK_NUMBERS_BYTES_MAX / sizeof(struct check_page),
};

void check_numbers_deinit(struct check_numbers *numbers)
{
    for (size_t i = 0; i < numbers->count; i++)
        memory_free(numbers->pages[i]);
    memory_free(numbers->pages);
    *numbers = (struct check_numbers){0};
}

/* The first page that does not come before KEY. */
static size_t position(const struct check_numbers *numbers, uint64_t key)
{
    size_t low = 0;
    size_t high = numbers->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (numbers->pages[middle]->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Neighbours are asked for one behind the other. */
static bool find_page(struct check_numbers *numbers, uint64_t key)
{
    if (numbers->last < numbers->count && numbers->pages[numbers->last]->key == key)
        return true;
    numbers->last = position(numbers, key);
    return numbers->last < numbers->count && numbers->pages[numbers->last]->key == key;
}

static enum status make_room(struct check_numbers *numbers, struct error *err)
{
    size_t room = numbers->room == 0 ? ROOM_FIRST : 2 * numbers->room;
    struct check_page **pages = NULL;

    if (numbers->count < numbers->room)
        return STATUS_OK;
    pages = memory_resize(numbers->pages, room, sizeof(void *));
    if (pages == NULL)
        return error_set_no_memory(err, room * sizeof(void *), "the numbers of a check");
    numbers->pages = pages;
    numbers->room = room;
    return STATUS_OK;
}

/* A page for KEY at LAST, where it belongs. */
static enum status add_page(struct check_numbers *numbers, uint64_t key, struct error *err)
{
    struct check_page *page = NULL;
    enum status st = STATUS_OK;

    if (numbers->count == PAGES_MAX)
        return error_set(err, STATUS_EXHAUSTED,
                         "the repository has more records than a check has memory for (%zu bytes)",
                         (size_t)CHECK_NUMBERS_BYTES_MAX);
    st = make_room(numbers, err);
    if (st != STATUS_OK)
        return st;
    page = memory_new(1, sizeof(*page));
    if (page == NULL)
        return error_set_no_memory(err, sizeof(*page), "the numbers of a check");
    page->key = key;
    memmove(&numbers->pages[numbers->last + 1], &numbers->pages[numbers->last],
            (numbers->count - numbers->last) * sizeof(struct check_page *));
    numbers->pages[numbers->last] = page;
    numbers->count++;
    return STATUS_OK;
}

static unsigned flags_at(const struct check_page *page, unsigned at)
{
    return (unsigned)page->flags[at / 2] >> (at % 2 * FLAG_BITS) & FLAG_MASK;
}

unsigned check_numbers_get(struct check_numbers *numbers, uint64_t number)
{
    if (!find_page(numbers, number >> PAGE_BITS))
        return 0;
    return flags_at(numbers->pages[numbers->last], number % CHECK_PAGE_NUMBERS);
}

enum status check_numbers_set(struct check_numbers *numbers, uint64_t number, unsigned flags,
                              struct error *err)
{
    unsigned at = number % CHECK_PAGE_NUMBERS;

    if (!find_page(numbers, number >> PAGE_BITS)) {
        enum status st = add_page(numbers, number >> PAGE_BITS, err);

        if (st != STATUS_OK)
            return st;
    }

    uint8_t *byte = &numbers->pages[numbers->last]->flags[at / 2];

    *byte = (uint8_t)(*byte | flags << (at % 2 * FLAG_BITS));
    return STATUS_OK;
}

uint64_t check_numbers_next(const struct check_numbers *numbers, size_t page, unsigned *number_at,
                            unsigned mask, unsigned wanted)
{
    const struct check_page *of = numbers->pages[page];

    while (*number_at < CHECK_PAGE_NUMBERS) {
        unsigned at = (*number_at)++;

        if ((flags_at(of, at) & mask) == wanted)
            return (of->key << PAGE_BITS) + at;
    }
    return 0;
}
