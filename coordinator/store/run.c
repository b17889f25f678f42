#include "coordinator/store/run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

#define NO_PAGE     UINT64_MAX
#define NAME_DIGITS 16

static const char name_end[] = ".run";

struct run {
    struct run_header header;
    struct run_shape shape;
    struct fs_file *file;
    uint64_t pages;
    struct run_summary summary;
    uint64_t page_at; /* which page of entries PAGE is; NO_PAGE: none */
    uint8_t page[RUN_PAGE_SIZE];
};

struct run_scan {
    struct run *run;
    uint64_t next_page; /* of entries: the first that is not in BYTES */
    uint64_t left;      /* entries not yet given */
    size_t pages;       /* in BYTES */
    size_t page;        /* the one that the next entry is in */
    size_t entry;       /* in it */
    uint8_t last[RUN_ENTRY_SIZE_MAX];
    bool has_last;
    uint8_t bytes[RUN_SCAN_PAGES * RUN_PAGE_SIZE];
};

void run_path(uint64_t number, char path[FS_PATH_SIZE])
{
    INVARIANT(text_format(path, FS_PATH_SIZE, RUN_DIR "/%016" PRIx64 "%s", number, name_end));
}

bool run_parse_name(const char *name, uint64_t *ret_number)
{
    uint8_t bytes[8];

    if (strlen(name) != NAME_DIGITS + sizeof(name_end) - 1 ||
        strcmp(name + NAME_DIGITS, name_end) != 0 ||
        !text_parse_hex(slice_of(name, NAME_DIGITS), bytes, sizeof(bytes)))
        return false;
    *ret_number = run_prefix(bytes);
    return true;
}

/* --- opening ----------------------------------------------------------------------------------- */

enum status run_read(struct fs_file *file, uint64_t offset, void *data, size_t size,
                     struct error *err)
{
    enum status st = fs_read_exactly_at(file, offset, data, size, err);

    if (st != STATUS_OK && err->kind == NATIVE_ERRNO && err->native == EIO)
        err->status = st = STATUS_CORRUPT;
    return st;
}

enum status run_summary_init(struct run_summary *summary, enum run_kind kind, uint64_t pages,
                             struct error *err)
{
    const struct run_shape shape = run_shape_of(kind);
    struct run_summary made = {0};

    made.firsts = memory_new((size_t)pages, sizeof(made.firsts[0]));
    if (shape.filter_size > 0)
        made.filters = memory_new((size_t)pages, shape.filter_size);
    if (made.firsts == NULL || (shape.filter_size > 0 && made.filters == NULL)) {
        run_summary_deinit(&made);
        return error_set_no_memory(err, (size_t)pages * (8 + shape.filter_size),
                                   "the index: what is in memory of a run");
    }
    *summary = made;
    return STATUS_OK;
}

void run_summary_deinit(struct run_summary *summary)
{
    memory_free(summary->firsts);
    memory_free(summary->filters);
    *summary = (struct run_summary){0};
}

static enum status fail_page(const struct run *run, uint64_t index, const char *what,
                             struct error *err)
{
    return error_set(err, STATUS_CORRUPT, "%s: page %" PRIu64 " %s", run->file->path, index, what);
}

static void take_summary_page(struct run *run, uint64_t index, const uint8_t *page)
{
    struct cursor c = cursor_of(slice_of(page, RUN_PAGE_ROOM));
    uint64_t first = index * run->shape.pages_a_summary;

    for (uint64_t i = first; i < run->pages && i < first + run->shape.pages_a_summary; i++) {
        run->summary.firsts[i] = cursor_u64le(&c);
        if (run->summary.filters != NULL)
            cursor_copy(&c, run->summary.filters + i * RUN_FILTER_SIZE, RUN_FILTER_SIZE);
    }
}

static enum status read_summary(struct run *run, uint8_t *bytes, struct error *err)
{
    uint64_t count = run_summary_pages(run->header.kind, run->pages);

    for (uint64_t first = 0; first < count; first += RUN_SCAN_PAGES) {
        size_t some = count - first < RUN_SCAN_PAGES ? (size_t)(count - first) : RUN_SCAN_PAGES;
        enum status st =
            run_read(run->file, (1 + first) * RUN_PAGE_SIZE, bytes, some * RUN_PAGE_SIZE, err);

        if (st != STATUS_OK)
            return st;
        for (size_t i = 0; i < some; i++) {
            if (!run_page_is_whole(bytes + i * RUN_PAGE_SIZE, run->header.number, 1 + first + i))
                return fail_page(run, 1 + first + i, "has another sum", err);
            take_summary_page(run, first + i, bytes + i * RUN_PAGE_SIZE);
        }
    }
    for (uint64_t i = 0; i < run->pages; i++) {
        uint64_t next = i + 1 < run->pages ? run->summary.firsts[i + 1] : run->header.last;

        if (run->summary.firsts[i] > next)
            return fail_page(run, 1, "and those behind it: their keys are not in order", err);
    }
    return STATUS_OK;
}

enum status run_of(struct fs_file *take_file, const struct run_header *header,
                   struct run_summary *take_summary, struct run **ret_run, struct error *err)
{
    struct run *run = memory_new(1, sizeof(*run));

    if (run == NULL) {
        fs_close(take_file);
        run_summary_deinit(take_summary);
        return error_set_no_memory(err, sizeof(*run), "a run of the index");
    }
    run->header = *header;
    run->shape = run_shape_of(header->kind);
    run->file = take_file;
    run->pages = run_pages(header->kind, header->entries);
    run->summary = *take_summary;
    run->page_at = NO_PAGE;
    *take_summary = (struct run_summary){0};
    *ret_run = run;
    return STATUS_OK;
}

static enum status read_header(struct fs_file *file, uint64_t number, uint8_t *page,
                               struct run_header *ret_header, struct error *err)
{
    uint64_t size = 0;
    enum status st = fs_size(file, &size, err);

    if (st == STATUS_OK)
        st = run_read(file, 0, page, RUN_PAGE_SIZE, err);
    if (st == STATUS_OK)
        st = run_header_decode(page, number, size, ret_header, err);
    return st;
}

enum status run_open(struct fs *fs, uint64_t number, struct run **ret_run, struct error *err)
{
    char path[FS_PATH_SIZE];
    struct run_header header = {.number = 0};
    struct run_summary summary = {0};
    struct fs_file *file = NULL;
    struct run *run = NULL;
    uint8_t *bytes = memory_new(RUN_SCAN_PAGES, RUN_PAGE_SIZE);
    enum status st = STATUS_OK;

    run_path(number, path);
    if (bytes == NULL)
        st = error_set_no_memory(err, (size_t)RUN_SCAN_PAGES * RUN_PAGE_SIZE, "read a run");
    if (st == STATUS_OK)
        st = fs_open(fs, path, FS_READ, &file, err);
    if (st != STATUS_OK)
        goto out;
    st = read_header(file, number, bytes, &header, err);
    if (st == STATUS_OK)
        st = run_summary_init(&summary, header.kind, run_pages(header.kind, header.entries), err);
    if (st == STATUS_OK) {
        st = run_of(file, &header, &summary, &run, err);
        file = NULL;
    }
    if (st == STATUS_OK)
        st = read_summary(run, bytes, err);
    if (st != STATUS_OK)
        goto out;
    *ret_run = run;
    run = NULL;
out:
    run_close(run);
    run_summary_deinit(&summary);
    fs_close(file);
    memory_free(bytes);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "open %s", path);
}

void run_close(struct run *run)
{
    if (run == NULL)
        return;
    fs_close(run->file);
    run_summary_deinit(&run->summary);
    memory_free(run);
}

const struct run_header *run_header(const struct run *run)
{
    return &run->header;
}

/* --- looking up -------------------------------------------------------------------------------- */

static size_t entries_in(const struct run *run, uint64_t page)
{
    uint64_t before = page * run->shape.entries_a_page;
    uint64_t left = run->header.entries - before;

    return left < run->shape.entries_a_page ? (size_t)left : run->shape.entries_a_page;
}

/* Is BYTES the whole PAGE of entries that the summary speaks of? */
static enum status check_page(const struct run *run, uint64_t page, const uint8_t *bytes,
                              struct error *err)
{
    uint64_t index = 1 + run->header.summary_pages + page;

    if (!run_page_is_whole(bytes, run->header.number, index))
        return fail_page(run, index, "has another sum", err);
    if (run_prefix(bytes) != run->summary.firsts[page] ||
        !run_in_order(run->header.kind, bytes, entries_in(run, page)))
        return fail_page(run, index, "is not in order", err);
    return STATUS_OK;
}

static enum status load_page(struct run *run, uint64_t page, struct error *err)
{
    if (run->page_at == page)
        return STATUS_OK;
    run->page_at = NO_PAGE;
    enum status st = run_read(run->file, (1 + run->header.summary_pages + page) * RUN_PAGE_SIZE,
                              run->page, RUN_PAGE_SIZE, err);

    if (st == STATUS_OK)
        st = check_page(run, page, run->page, err);
    if (st == STATUS_OK)
        run->page_at = page;
    return st;
}

/* How many pages begin below PREFIX. */
static uint64_t pages_below(const struct run *run, uint64_t prefix)
{
    uint64_t low = 0;
    uint64_t high = run->pages;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (run->summary.firsts[middle] < prefix)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many entries of the loaded page have a key below KEY. */
static size_t entries_below(const struct run *run, const uint8_t *key)
{
    size_t low = 0;
    size_t high = entries_in(run, run->page_at);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(run->page + middle * run->shape.entry_size, key, run->shape.key_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum status find_in_page(struct run *run, uint64_t page, const uint8_t *key,
                                const uint8_t **ret_value, struct error *err)
{
    enum status st = load_page(run, page, err);

    if (st != STATUS_OK)
        return st;
    size_t below = entries_below(run, key);
    const uint8_t *entry = run->page + below * run->shape.entry_size;

    if (below < entries_in(run, page) && memcmp(entry, key, run->shape.key_size) == 0)
        *ret_value = entry + run->shape.key_size;
    return STATUS_OK;
}

enum status run_find(struct run *run, const uint8_t *key, const uint8_t **ret_value,
                     struct error *err)
{
    const struct run_summary *summary = &run->summary;
    uint64_t prefix = run_prefix(key);
    enum status st = STATUS_OK;

    *ret_value = NULL;
    if (prefix < summary->firsts[0] || prefix > run->header.last)
        return STATUS_OK;
    /* Several pages may begin with one prefix, and the page before them end with it. */
    uint64_t page = pages_below(run, prefix);

    for (page -= page > 0 ? 1 : 0; st == STATUS_OK && *ret_value == NULL && page < run->pages &&
                                   summary->firsts[page] <= prefix;
         page++) {
        if (summary->filters == NULL ||
            run_filter_may_have(summary->filters + page * RUN_FILTER_SIZE, key))
            st = find_in_page(run, page, key, ret_value, err);
    }
    return st;
}

enum status run_last(struct run *run, uint64_t most, uint64_t *ret_number, struct error *err)
{
    bool all = most == UINT64_MAX;
    uint64_t pages = all ? run->pages : pages_below(run, most + 1);
    uint8_t above[RUN_NUMBER_SIZE];

    INVARIANT(run->header.kind == RUN_PLACES);
    *ret_number = 0;
    if (pages == 0)
        return STATUS_OK;
    enum status st = load_page(run, pages - 1, err);

    if (st != STATUS_OK)
        return st;
    run_number_key(most + 1, above); /* 0 where that is none */
    size_t entries = all ? entries_in(run, pages - 1) : entries_below(run, above);

    *ret_number = run_prefix(run->page + (entries - 1) * run->shape.entry_size);
    return STATUS_OK;
}

/* --- in order ---------------------------------------------------------------------------------- */

enum status run_scan_new(struct run *run, struct run_scan **ret_scan, struct error *err)
{
    struct run_scan *scan = memory_new(1, sizeof(*scan));

    if (scan == NULL)
        return error_set_no_memory(err, sizeof(*scan), "a merge of the index");
    scan->run = run;
    scan->left = run->header.entries;
    *ret_scan = scan;
    return STATUS_OK;
}

void run_scan_free(struct run_scan *scan)
{
    memory_free(scan);
}

static enum status read_more(struct run_scan *scan, struct error *err)
{
    const struct run *run = scan->run;
    uint64_t left = run->pages - scan->next_page;
    size_t some = left < RUN_SCAN_PAGES ? (size_t)left : RUN_SCAN_PAGES;
    enum status st =
        run_read(run->file, (1 + run->header.summary_pages + scan->next_page) * RUN_PAGE_SIZE,
                 scan->bytes, some * RUN_PAGE_SIZE, err);

    for (size_t i = 0; st == STATUS_OK && i < some; i++)
        st = check_page(run, scan->next_page + i, scan->bytes + i * RUN_PAGE_SIZE, err);
    if (st != STATUS_OK)
        return st;
    scan->next_page += some;
    scan->pages = some;
    scan->page = 0;
    scan->entry = 0;
    return STATUS_OK;
}

enum status run_scan_next(struct run_scan *scan, const uint8_t **ret_entry, struct error *err)
{
    const struct run_shape *shape = &scan->run->shape;
    enum status st = STATUS_OK;

    *ret_entry = NULL;
    if (scan->left == 0)
        return STATUS_OK;
    if (scan->entry == shape->entries_a_page) {
        scan->entry = 0;
        scan->page++;
    }
    if (scan->page == scan->pages)
        st = read_more(scan, err);
    if (st != STATUS_OK)
        return st;
    const uint8_t *entry =
        scan->bytes + scan->page * RUN_PAGE_SIZE + scan->entry * shape->entry_size;

    if (scan->has_last && memcmp(scan->last, entry, shape->key_size) >= 0)
        return error_set(err, STATUS_CORRUPT, "%s: its keys are not in order",
                         scan->run->file->path);
    memcpy(scan->last, entry, shape->key_size);
    scan->has_last = true;
    scan->entry++;
    scan->left--;
    *ret_entry = entry;
    return STATUS_OK;
}
