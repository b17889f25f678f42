#include "coordinator/store/pack_scan.h"

#include <stdbool.h>

#include "coordinator/store/pack_file.h"

enum { WINDOW_SIZE = 1024 * 1024 };

void pack_scan_init(struct pack_scan *scan, struct fs_file *file, uint64_t offset, uint64_t size)
{
    *scan = (struct pack_scan){.file = file, .size = size, .offset = offset, .budget = size};
    buffer_init(&scan->window, WINDOW_SIZE);
}

void pack_scan_deinit(struct pack_scan *scan)
{
    buffer_deinit(&scan->window);
}

static bool has_room_for_header(const struct pack_scan *scan)
{
    return scan->offset < scan->size && scan->size - scan->offset >= RECORD_HEADER_SIZE;
}

/* Is there a sound header at the scan's offset, of a record that ends within the file? Else the error is one of reading. */
static enum status try_header(struct pack_scan *scan, struct record_header *ret_header,
                              bool *ret_sound, struct error *err)
{
    uint8_t bytes[RECORD_HEADER_SIZE];
    struct error damage = {0};

    *ret_sound = false;
    if (!has_room_for_header(scan))
        return STATUS_OK;
    enum status st = fs_read_exactly_at(scan->file, scan->offset, bytes, sizeof(bytes), err);

    if (st == STATUS_OK)
        *ret_sound = record_decode_header(slice_of(bytes, sizeof(bytes)), ret_header, &damage) ==
                         STATUS_OK &&
                     record_size(ret_header) <= scan->size - scan->offset;
    return st;
}

/* The window begins at the scan's offset or before it, and holds a whole header from there, if the file does. */
static enum status fill_window(struct pack_scan *scan, struct error *err)
{
    uint64_t left = scan->size - scan->offset;
    size_t length = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;

    if (scan->offset >= scan->window_start &&
        scan->offset + RECORD_HEADER_SIZE <= scan->window_start + scan->window.size)
        return STATUS_OK;
    buffer_clear(&scan->window);
    scan->window_start = scan->offset;

    uint8_t *target = buffer_extend(&scan->window, length);
    enum status st = buffer_check(&scan->window, "a part of a pack", err);

    if (st == STATUS_OK)
        st = fs_read_exactly_at(scan->file, scan->offset, target, length, err);
    if (st != STATUS_OK)
        buffer_clear(&scan->window);
    return st;
}

/* Moves to the next sound header at or behind the scan's offset. Windows overlap, so that none lies across two of them. */
static enum status find_header(struct pack_scan *scan, struct error *err)
{
    struct error damage = {0};

    while (has_room_for_header(scan)) {
        size_t found = 0;
        enum status st = fill_window(scan, err);

        if (st != STATUS_OK)
            return st;
        if (record_find(buffer_slice(&scan->window), (size_t)(scan->offset - scan->window_start),
                        &found, &damage) == STATUS_OK) {
            scan->offset = scan->window_start + found;
            return STATUS_OK;
        }
        scan->offset = scan->window_start + scan->window.size - (RECORD_HEADER_SIZE - 1);
    }
    return error_set(err, STATUS_NOT_FOUND, "%s: no further record", scan->file->path);
}

/* The payload behind the sound HEADER at the scan's offset is damaged. */
static void step_over(struct pack_scan *scan, const struct record_header *header)
{
    if (scan->budget < record_size(header)) {
        scan->offset += record_size(header);
        return;
    }
    scan->budget -= record_size(header);
    scan->offset++;
}

/* Is the record of HEADER at the scan's offset whole? If it is not, the scan has stepped over it, or into it. */
static enum status try_record(struct pack_scan *scan, const struct record_header *header,
                              struct buffer *ret_record, bool *ret_sound, struct error *err)
{
    struct record_header again;
    struct error damage = {0};
    enum status st = pack_file_read(scan->file, scan->offset, (uint32_t)record_size(header), &again,
                                    ret_record, &damage);

    *ret_sound = st == STATUS_OK;
    if (st == STATUS_CORRUPT) {
        step_over(scan, header);
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = damage;
    return st;
}

enum status pack_scan_next(struct pack_scan *scan, uint64_t *ret_offset,
                           struct record_header *ret_header, struct buffer *ret_record,
                           struct error *err)
{
    struct record_header header;
    bool sound = false;
    enum status st = try_header(scan, &header, &sound, err);

    for (;;) {
        if (st == STATUS_OK && sound) {
            st = try_record(scan, &header, ret_record, &sound, err);
            if (st == STATUS_OK && sound)
                break;
        } else if (st == STATUS_OK) {
            scan->offset++;
        }
        if (st == STATUS_OK)
            st = find_header(scan, err);
        if (st == STATUS_OK)
            st = try_header(scan, &header, &sound, err);
        if (st != STATUS_OK)
            return st;
    }
    *ret_offset = scan->offset;
    *ret_header = header;
    scan->offset += record_size(&header);
    return STATUS_OK;
}
