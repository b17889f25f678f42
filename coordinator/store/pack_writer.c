#include "coordinator/store/pack_writer.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "coordinator/store/pack_file.h"

struct pack_writer {
    struct pack_header header;
    struct fs_file *file;
    struct pack_entry *entries; /* its index to be */
    size_t count;
    size_t room;
    uint64_t length;
    uint64_t synced;
};

enum status pack_writer_new(struct fs *fs, const struct pack_header *header,
                            struct pack_writer **ret_writer, struct error *err)
{
    struct pack_writer *writer = memory_new(1, sizeof(*writer));
    uint8_t bytes[PACK_HEADER_SIZE];
    char path[PACK_PATH_SIZE];
    struct error ignored = {0};

    if (writer == NULL)
        return error_set_no_memory(err, sizeof(*writer), "a pack");
    writer->header = *header;
    writer->length = PACK_HEADER_SIZE;
    pack_path(&header->name, header->class, path);
    pack_header_encode(header, bytes);

    enum status st = fs_open(fs, path, FS_CREATE, &writer->file, err);

    if (st != STATUS_OK)
        goto out;
    st = fault_point("store.after_pack_create", err);
    if (st == STATUS_OK)
        st = fs_write_at(writer->file, 0, slice_of(bytes, sizeof(bytes)), err);
    if (st != STATUS_OK) {
        /* Nothing refers to it; what cannot be removed is found, and passed over, at the next open. */
        DISCARD(fs_remove(fs, path, &ignored));
        goto out;
    }
    *ret_writer = writer;
    writer = NULL;
out:
    pack_writer_free(writer);
    return st;
}

void pack_writer_free(struct pack_writer *writer)
{
    if (writer == NULL)
        return;
    fs_close(writer->file);
    memory_free(writer->entries);
    memory_free(writer);
}

uint64_t pack_writer_length(const struct pack_writer *writer)
{
    return writer->length;
}

uint64_t pack_writer_synced(const struct pack_writer *writer)
{
    return writer->synced;
}

uint64_t pack_writer_sealed_length(const struct pack_writer *writer)
{
    return writer->length + RECORD_HEADER_SIZE + XAES_TAG_SIZE +
           (uint64_t)writer->count * PACK_ENTRY_SIZE + PACK_FOOTER_SIZE;
}

bool pack_writer_fits(const struct pack_writer *writer, size_t size, uint64_t pack_size)
{
    if (writer->count == 0)
        return true;
    return writer->length + size <= pack_size && writer->count < PACK_ENTRIES_MAX;
}

static enum status make_room(struct pack_writer *writer, struct error *err)
{
    enum { LEAST = 64 };

    if (writer->count < writer->room)
        return STATUS_OK;
    size_t room = writer->room == 0 ? LEAST : writer->room * 2;
    struct pack_entry *grown = memory_resize(writer->entries, room, sizeof(*grown));

    if (grown == NULL)
        return error_set_no_memory(err, room * sizeof(*grown), "a pack's index");
    writer->entries = grown;
    writer->room = room;
    return STATUS_OK;
}

enum status pack_writer_append(struct pack_writer *writer, struct slice record,
                               const struct record_header *header, uint64_t *ret_offset,
                               struct error *err)
{
    enum status st = make_room(writer, err);

    if (st == STATUS_OK)
        st = fs_write_at(writer->file, writer->length, record, err);
    if (st != STATUS_OK)
        return st;
    writer->entries[writer->count++] = (struct pack_entry){
        .domain = header->domain,
        .number = header->number,
        .id = header->id,
        .offset = writer->length,
        .length = (uint32_t)record.size,
        .kind = header->kind,
    };
    *ret_offset = writer->length;
    writer->length += record.size;
    return STATUS_OK;
}

enum status pack_writer_sync(struct pack_writer *writer, struct error *err)
{
    return fs_sync(writer->file, err);
}

void pack_writer_mark_synced(struct pack_writer *writer)
{
    writer->synced = writer->length;
}

enum status pack_writer_write_seal(struct pack_writer *writer, const struct keys *keys,
                                   struct random_source *random, struct error *err)
{
    struct buffer entries;

    INVARIANT(writer->synced == writer->length && writer->count > 0);
    buffer_init(&entries, RECORD_PLAIN_MAX);
    for (size_t i = 0; i < writer->count; i++)
        pack_entry_encode(&writer->entries[i], &entries);

    enum status st = buffer_check(&entries, "a pack's index", err);

    if (st == STATUS_OK)
        st = pack_file_seal(writer->file, &writer->header.name, writer->length,
                            buffer_slice(&entries), keys, random, err);
    buffer_deinit(&entries);
    return st;
}
