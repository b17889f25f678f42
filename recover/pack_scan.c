#include "recover/pack_scan.h"

#include <inttypes.h>

#include "base/buffer.h"
#include "format/record.h"

enum { WINDOW_SIZE = 1024 * 1024 };

/* ---- Both ends ------------------------------------------------------------------------------- */

enum status pack_scan_head(struct fs_file *file, struct pack_scan_head *ret_head, struct error *err)
{
    struct pack_scan_head head = {0};
    uint8_t first[PACK_HEADER_SIZE];
    uint8_t last[PACK_FOOTER_SIZE];
    struct error damage = {0};
    enum status st = fs_size(file, &head.size, err);

    if (st != STATUS_OK)
        return st;
    if (head.size >= sizeof(first)) {
        st = fs_read_exactly_at(file, 0, first, sizeof(first), err);
        if (st != STATUS_OK)
            return st;
        head.sound =
            pack_header_decode(slice_of(first, sizeof(first)), &head.header, &damage) == STATUS_OK;
    }
    if (head.size >= sizeof(first) + sizeof(last)) {
        uint64_t end = head.size - sizeof(last);

        st = fs_read_exactly_at(file, end, last, sizeof(last), err);
        if (st != STATUS_OK)
            return st;
        head.sealed =
            pack_footer_decode(slice_of(last, sizeof(last)), &head.footer, &damage) == STATUS_OK &&
            head.footer.index_offset <= end &&
            head.footer.index_length == end - head.footer.index_offset;
    }
    *ret_head = head;
    return STATUS_OK;
}

/* ---- By the index ---------------------------------------------------------------------------- */

static enum status check_end(void *arg, const struct pack_entry *entry, struct error *err)
{
    const struct pack_footer *footer = arg;

    if (entry->offset > footer->index_offset ||
        entry->length > footer->index_offset - entry->offset)
        return error_set(err, STATUS_CORRUPT, "the index names a record behind the last one");
    return STATUS_OK;
}

/* The index's stored form, checked, into RET_STORED. */
static enum status read_index(const struct pack_scan_sealed *pack, struct pack_footer *footer,
                              struct buffer *ret_stored, struct error *err)
{
    struct record_header header;
    struct buffer record;
    enum status st = STATUS_OK;

    if (footer->index_length > RECORD_SIZE_MAX)
        return error_set(err, STATUS_CORRUPT, "its index cannot have %" PRIu32 " bytes",
                         footer->index_length);
    buffer_init(&record, RECORD_SIZE_MAX);

    uint8_t *target = buffer_extend(&record, footer->index_length);

    st = buffer_check(&record, "a pack's index", err);
    if (st == STATUS_OK)
        st =
            fs_read_exactly_at(pack->file, footer->index_offset, target, footer->index_length, err);
    if (st == STATUS_OK)
        st = record_open(pack->keys, pack->codec, buffer_slice(&record), &header, ret_stored, err);
    if (st == STATUS_UNSUPPORTED)
        st = error_set(err, STATUS_CORRUPT, "its index is of a later version");
    if (st == STATUS_OK &&
        (header.kind != KIND_PACK_INDEX || !random_id_equal(&header.domain, pack->name)))
        st = error_set(err, STATUS_CORRUPT, "what stands there is not its index");
    if (st == STATUS_OK)
        st = pack_entries_decode(buffer_slice(ret_stored), check_end, footer, err);
    buffer_deinit(&record);
    return st;
}

enum status pack_scan_index(const struct pack_scan_sealed *pack, const struct pack_scan_head *head,
                            pack_scan_each *each, void *arg, struct error *err)
{
    struct pack_footer footer = head->footer;
    struct buffer stored;

    if (!head->sealed)
        return error_set(err, STATUS_CORRUPT, "it is not sealed");
    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status st = read_index(pack, &footer, &stored, err);

    if (st == STATUS_OK)
        st = pack_entries_decode(buffer_slice(&stored), each, arg, err);
    buffer_deinit(&stored);
    return st;
}

/* ---- Record by record ------------------------------------------------------------------------ */

struct scan {
    struct fs_file *file;
    uint64_t end; /* of what may be records */
    struct buffer window;
};

/* Is there a sound header at OFFSET, of a record that ends in the file? */
static enum status try_header(const struct scan *scan, uint64_t offset, bool *ret_sound,
                              struct record_header *ret_header, struct error *err)
{
    uint8_t bytes[RECORD_HEADER_SIZE];
    struct error damage = {0};

    *ret_sound = false;
    if (scan->end - offset < sizeof(bytes))
        return STATUS_OK;

    enum status st = fs_read_exactly_at(scan->file, offset, bytes, sizeof(bytes), err);

    if (st != STATUS_OK)
        return st;
    *ret_sound =
        record_decode_header(slice_of(bytes, sizeof(bytes)), ret_header, &damage) == STATUS_OK &&
        record_size(ret_header) <= scan->end - offset;
    return STATUS_OK;
}

/* Where the next header that can be sound begins, at or behind OFFSET; the end, if there is none. */
static enum status find_header(struct scan *scan, uint64_t offset, uint64_t *ret_offset,
                               struct error *err)
{
    struct error none = {0};

    while (scan->end - offset >= RECORD_HEADER_SIZE) {
        uint64_t left = scan->end - offset;
        size_t length = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
        size_t found = 0;

        buffer_clear(&scan->window);

        uint8_t *target = buffer_extend(&scan->window, length);
        enum status st = buffer_check(&scan->window, "a part of a pack", err);

        if (st == STATUS_OK)
            st = fs_read_exactly_at(scan->file, offset, target, length, err);
        if (st != STATUS_OK)
            return st;
        if (record_find(buffer_slice(&scan->window), 0, &found, &none) == STATUS_OK) {
            *ret_offset = offset + found;
            return STATUS_OK;
        }
        offset += length - (RECORD_HEADER_SIZE - 1); /* one may lie across two windows */
    }
    *ret_offset = scan->end;
    return STATUS_OK;
}

/* Steps from OFFSET, where none stands, to the next header that is tried with success, or to the end. */
static enum status step_over(struct scan *scan, uint64_t offset, uint64_t *ret_offset,
                             struct error *err)
{
    struct record_header header;
    bool sound = false;
    enum status st = STATUS_OK;

    while (st == STATUS_OK && !sound && offset < scan->end) {
        st = find_header(scan, offset + 1, &offset, err);
        if (st == STATUS_OK && offset < scan->end)
            st = try_header(scan, offset, &sound, &header, err);
    }
    if (st == STATUS_OK)
        *ret_offset = offset;
    return st;
}

static enum status scan_from(struct scan *scan, uint64_t offset, pack_scan_each *each,
                             pack_scan_gap *gap, void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    while (st == STATUS_OK && offset < scan->end) {
        struct record_header header = {0};
        uint64_t next = offset;
        bool sound = false;

        st = try_header(scan, offset, &sound, &header, err);
        if (st != STATUS_OK)
            break;
        if (!sound) {
            st = step_over(scan, offset, &next, err);
            if (st == STATUS_OK && gap != NULL)
                gap(arg, offset, next);
            offset = next;
            continue;
        }
        if (header.kind != KIND_PACK_INDEX) {
            const struct pack_entry entry = {.domain = header.domain,
                                             .number = header.number,
                                             .id = header.id,
                                             .offset = offset,
                                             .length = (uint32_t)record_size(&header),
                                             .kind = header.kind};

            st = each(arg, &entry, err);
        }
        offset += record_size(&header);
    }
    return st;
}

enum status pack_scan_records(struct fs_file *file, const struct pack_scan_head *head,
                              pack_scan_each *each, pack_scan_gap *gap, void *arg,
                              struct error *err)
{
    struct scan scan = {.file = file, .end = head->size};
    uint64_t start = head->size < PACK_HEADER_SIZE ? head->size : PACK_HEADER_SIZE;

    if (head->sealed)
        scan.end = head->size - PACK_FOOTER_SIZE;
    buffer_init(&scan.window, WINDOW_SIZE);

    enum status st = scan_from(&scan, start, each, gap, arg, err);

    buffer_deinit(&scan.window);
    return st;
}
