#include "coordinator/store/pack_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"

static const char *ending_of(enum pack_class class)
{
    return class == PACK_DATA ? ".data" : ".meta";
}

void pack_path(const struct random_id *name, enum pack_class class, char path[PACK_PATH_SIZE])
{
    char text[RANDOM_ID_TEXT_SIZE];

    random_id_text(name, text);
    INVARIANT(text_format(path, PACK_PATH_SIZE, "%s/%s%s", PACK_DIR, text, ending_of(class)));
}

bool pack_path_parse(const char *file_name, struct random_id *ret_name, enum pack_class *ret_class)
{
    const size_t digits = RANDOM_ID_TEXT_SIZE - 1;

    if (strlen(file_name) != digits + strlen(ending_of(PACK_DATA)))
        return false;
    enum pack_class class =
        strcmp(file_name + digits, ending_of(PACK_DATA)) == 0 ? PACK_DATA : PACK_META;

    if (strcmp(file_name + digits, ending_of(class)) != 0 ||
        !text_parse_hex(slice_of(file_name, digits), ret_name->bytes, RANDOM_ID_SIZE))
        return false;
    *ret_class = class;
    return true;
}

enum status pack_file_read(struct fs_file *file, uint64_t offset, uint32_t length,
                           struct record_header *ret_header, struct buffer *ret_record,
                           struct error *err)
{
    buffer_clear(ret_record);

    uint8_t *target = buffer_extend(ret_record, length);
    enum status st = buffer_check(ret_record, "a record", err);

    if (st == STATUS_OK)
        st = fs_read_exactly_at(file, offset, target, length, err);
    if (st != STATUS_OK)
        return st;
    st = record_check(buffer_slice(ret_record), ret_header, err);
    if (st != STATUS_OK)
        return error_wrap(err, "%s at %" PRIu64, file->path, offset);
    return STATUS_OK;
}

enum status pack_file_footer(struct fs_file *file, uint64_t size, struct pack_footer *ret_footer,
                             struct error *err)
{
    uint8_t bytes[PACK_FOOTER_SIZE];
    struct pack_footer footer;

    if (size < sizeof(bytes))
        return error_set(err, STATUS_CORRUPT, "%s: %" PRIu64 " bytes have no footer", file->path,
                         size);
    enum status st = fs_read_exactly_at(file, size - sizeof(bytes), bytes, sizeof(bytes), err);

    if (st == STATUS_OK)
        st = pack_footer_decode(slice_of(bytes, sizeof(bytes)), &footer, err);
    if (st != STATUS_OK)
        return error_wrap(err, "%s", file->path);
    if (footer.index_offset + footer.index_length != size - sizeof(bytes))
        return error_set(err, STATUS_CORRUPT, "%s: the footer's index does not end before it",
                         file->path);
    *ret_footer = footer;
    return STATUS_OK;
}

/* ARG: the offset at which every record has ended. */
static enum status check_end(void *arg, const struct pack_entry *entry, struct error *err)
{
    const uint64_t *end = arg;

    if (entry->offset > *end || entry->length > *end - entry->offset)
        return error_set(err, STATUS_CORRUPT,
                         "the pack's index names a record at %" PRIu64
                         " that does not end before the index",
                         entry->offset);
    return STATUS_OK;
}

enum status pack_file_entries(struct fs_file *file, const struct random_id *name,
                              const struct pack_footer *footer, const struct keys *keys,
                              struct buffer *ret_stored, struct error *err)
{
    uint64_t end = footer->index_offset;
    struct codec_context *codec = NULL;
    struct record_header header;
    struct buffer record;

    buffer_init(&record, RECORD_SIZE_MAX);

    enum status st = codec_context_new(&codec, err);

    if (st == STATUS_OK)
        st =
            pack_file_read(file, footer->index_offset, footer->index_length, &header, &record, err);
    if (st == STATUS_OK && header.kind != KIND_PACK_INDEX)
        st = error_set(err, STATUS_CORRUPT, "%s at %" PRIu64 ": not the pack's index", file->path,
                       footer->index_offset);
    if (st == STATUS_OK && !random_id_equal(&header.domain, name))
        st = error_set(err, STATUS_CORRUPT, "%s at %" PRIu64 ": another pack's index", file->path,
                       footer->index_offset);
    if (st == STATUS_OK)
        st = record_open(keys, codec, buffer_slice(&record), &header, ret_stored, err);
    if (st == STATUS_OK) {
        st = pack_entries_decode(buffer_slice(ret_stored), check_end, &end, err);
        if (st != STATUS_OK)
            st = error_wrap(err, "%s at %" PRIu64, file->path, footer->index_offset);
    }
    codec_context_free(codec);
    buffer_deinit(&record);
    return st;
}

/* Index record and footer, as they will lie at END, appended to TARGET. */
static enum status encode_seal(const struct random_id *name, uint64_t end, struct slice entries,
                               const struct keys *keys, struct random_source *random,
                               struct buffer *target, struct error *err)
{
    const struct record_header what = {
        .kind = KIND_PACK_INDEX,
        .domain = *name,
        .codec = CODEC_PLAIN,
        .plain_length = (uint32_t)entries.size,
    };
    uint8_t footer[PACK_FOOTER_SIZE];

    INVARIANT(entries.size > 0 && entries.size <= RECORD_PLAIN_MAX);
    enum status st = record_seal(keys, random, &what, entries, target, err);

    if (st != STATUS_OK)
        return st;
    pack_footer_encode(&(struct pack_footer){.index_offset = end,
                                             .index_length = (uint32_t)target->size},
                       footer);
    buffer_put(target, slice_of(footer, sizeof(footer)));
    return buffer_check(target, "a pack's index", err);
}

enum status pack_file_seal(struct fs_file *file, const struct random_id *name, uint64_t end,
                           struct slice entries, const struct keys *keys,
                           struct random_source *random, struct error *err)
{
    struct buffer seal;
    uint64_t size = 0;

    buffer_init(&seal, (size_t)RECORD_SIZE_MAX + PACK_FOOTER_SIZE);

    enum status st = encode_seal(name, end, entries, keys, random, &seal, err);

    if (st == STATUS_OK)
        st = fs_write_at(file, end, buffer_slice(&seal), err);
    if (st == STATUS_OK)
        st = fs_size(file, &size, err);
    if (st == STATUS_OK && size > end + seal.size)
        st = fs_resize(file, end + seal.size, err);
    buffer_deinit(&seal);
    return st;
}
