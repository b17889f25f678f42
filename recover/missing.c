#include "recover/missing.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

enum { LINES_SIZE = 64 * 1024, LINE_SIZE = MISSING_REASON_SIZE + 64 };

void missing_init(struct missing *missing, FILE *shown, struct fs *fs, const char *name)
{
    *missing = (struct missing){.shown = shown, .fs = fs, .name = name};
    buffer_init(&missing->lines, LINES_SIZE);
}

void missing_deinit(struct missing *missing)
{
    fs_close(missing->file);
    missing->file = NULL;
    buffer_deinit(&missing->lines);
}

static enum status flush(struct missing *missing, struct error *err)
{
    enum status st = STATUS_OK;

    if (missing->file == NULL)
        st = fs_open(missing->fs, missing->name, FS_CREATE, &missing->file, err);
    if (st == STATUS_OK && missing->lines.size > 0)
        st = fs_write_at(missing->file, missing->written, buffer_slice(&missing->lines), err);
    missing->written += missing->lines.size;
    buffer_clear(&missing->lines);
    return st;
}

/* The open range becomes a line. */
static enum status end_range(struct missing *missing, struct error *err)
{
    char line[LINE_SIZE];
    enum status st = STATUS_OK;

    if (!missing->open)
        return STATUS_OK;
    missing->open = false;
    missing->ranges++;
    if (!text_format(line, sizeof(line), "%" PRIu64 " %" PRIu64 " %s\n", missing->offset,
                     missing->length, missing->reason))
        return error_set(err, STATUS_INTERNAL, "a line of the map of what is missing is too long");
    if (missing->ranges <= MISSING_SHOWN_MAX)
        (void)fprintf(missing->shown, "missing: %s",
                      line); /* a courtesy: the file is what counts */
    if (missing->ranges - 1 == MISSING_SHOWN_MAX)
        (void)fprintf(missing->shown, "missing: ... and more\n");
    if (missing->name == NULL)
        return STATUS_OK;
    if (missing->lines.size + LINE_SIZE > LINES_SIZE)
        st = flush(missing, err);
    if (st == STATUS_OK)
        buffer_put(&missing->lines, slice_of_text(line));
    if (st == STATUS_OK)
        st = buffer_check(&missing->lines, "the map of what is missing", err);
    return st;
}

enum status missing_add(struct missing *missing, uint64_t offset, uint64_t length,
                        const char *reason, struct error *err)
{
    enum status st = STATUS_OK;

    missing->bytes += length;
    if (missing->open && missing->offset + missing->length == offset &&
        strcmp(missing->reason, reason) == 0) {
        missing->length += length;
        return STATUS_OK;
    }
    st = end_range(missing, err);
    if (st != STATUS_OK)
        return st;
    missing->open = true;
    missing->offset = offset;
    missing->length = length;

    size_t kept = text_cut(reason, sizeof(missing->reason) - 1);

    memcpy(missing->reason, reason, kept);
    missing->reason[kept] = '\0';
    return STATUS_OK;
}

enum status missing_finish(struct missing *missing, struct error *err)
{
    enum status st = end_range(missing, err);

    if (st == STATUS_OK && missing->ranges > 0 && missing->name != NULL) {
        st = flush(missing, err);
        if (st == STATUS_OK)
            st = fs_sync(missing->file, err);
    }
    return st;
}
