#include "coordinator/store/found_pack.h"

#include <inttypes.h>

#include "coordinator/store/pack_file.h"

typedef enum status each_record(void *arg, const struct found_record *record, struct error *err);

/* --- its header -------------------------------------------------------------------------------- */

static bool is_right(const struct found_world *world, const struct pack *pack, const char *path,
                     const struct pack_header *header)
{
    char name[RANDOM_ID_TEXT_SIZE];

    if (!random_id_equal(&header->repository, &world->repository)) {
        log_warning(world->log, "%s is another repository's pack: it is left out", path);
        return false;
    }
    if (random_id_equal(&header->name, &pack->name) && header->class == pack->class)
        return true;
    random_id_text(&header->name, name);
    log_warning(world->log,
                "%s is not what its name says: by its header it is %s pack %s; it is left out",
                path, header->class == PACK_DATA ? "data" : "meta", name);
    return false;
}

enum status found_pack_identify(const struct found_world *world, struct found_pack *found,
                                bool *ret_right, struct error *err)
{
    uint8_t bytes[PACK_HEADER_SIZE];
    struct pack_header header;
    struct error damage = {0};
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];

    pack_path(&found->pack->name, found->pack->class, path);
    /* Not through the set, which keeps a few open for whoever reads. */
    enum status st = fs_open(world->packs->fs, path, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_size(file, &found->size, err);
    if (st == STATUS_OK && found->size >= sizeof(bytes))
        st = fs_read_exactly_at(file, 0, bytes, sizeof(bytes), err);
    fs_close(file);
    if (st != STATUS_OK)
        return st;
    *ret_right = true;
    if (found->size < sizeof(bytes))
        return STATUS_OK;
    st = pack_header_decode(slice_of(bytes, sizeof(bytes)), &header, &damage);
    if (st == STATUS_UNSUPPORTED) {
        *err = damage;
        return error_wrap(err, "%s", path);
    }
    found->header_damaged = st != STATUS_OK;
    if (st == STATUS_OK)
        *ret_right = is_right(world, found->pack, path, &header);
    return STATUS_OK;
}

/* --- with a seal ------------------------------------------------------------------------------- */

struct sealed_walk {
    const struct found_world *world;
    const struct found_pack *found;
    each_record *each;
    void *arg;
};

static enum status give_entry(void *arg, const struct pack_entry *entry, struct error *err)
{
    const struct sealed_walk *walk = arg;
    const struct found_record record = {
        .record = {.domain = entry->domain,
                   .id = entry->id,
                   .number = entry->number,
                   .place = {.pack = walk->found->pack->name,
                             .offset = entry->offset,
                             .length = entry->length}},
        .kind = entry->kind,
    };

    if (entry->offset < walk->found->covered ||
        !random_id_equal(&entry->domain, &walk->world->domain))
        return STATUS_OK;
    return walk->each(walk->arg, &record, err);
}

/* --- without ----------------------------------------------------------------------------------- */

static void note_damage(const struct found_world *world, struct found_pack *found, const char *path,
                        uint64_t start, uint64_t end)
{
    if (start >= found->synced || end <= start)
        return;
    found->incomplete = true;
    log_warning(world->log,
                "%s is damaged at %" PRIu64 ": up to %" PRIu64
                " there is no sound record, though it was durable; what it held is left out",
                path, start, end < found->synced ? end : found->synced);
}

/* What the index knows is durable, wherever the pack was called synced last. */
static enum status learn_synced(const struct found_world *world, struct found_pack *found,
                                const struct record_header *header, uint64_t offset,
                                struct error *err)
{
    struct error unknown = {0};
    struct place place;
    enum status st = world->index->ops->find_place(world->index, header->number, &place, &unknown);

    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st != STATUS_OK) {
        *err = unknown;
        return st;
    }
    if (place.offset == offset && random_id_equal(&place.pack, &found->pack->name))
        found->synced = offset + record_size(header);
    return STATUS_OK;
}

static enum status give_scanned(const struct found_world *world, struct found_pack *found,
                                const struct record_header *header, uint64_t offset,
                                each_record *each, void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    if (offset + record_size(header) > found->synced)
        st = learn_synced(world, found, header, offset, err);
    if (st != STATUS_OK)
        return st;
    const struct pack_entry entry = {
        .domain = header->domain,
        .number = header->number,
        .id = header->id,
        .offset = offset,
        .length = (uint32_t)record_size(header),
        .kind = header->kind,
    };
    const struct found_record record = {
        .record = {.domain = header->domain,
                   .id = header->id,
                   .number = header->number,
                   .place = {.pack = found->pack->name, .offset = offset, .length = entry.length}},
        .kind = header->kind,
        .tail = offset + entry.length > found->synced,
    };

    if (!record.tail) {
        pack_entry_encode(&entry, &found->index);
        st = buffer_check(&found->index, "a pack's index", err);
    }
    if (st == STATUS_OK && random_id_equal(&header->domain, &world->domain))
        st = each(arg, &record, err);
    else if (record.tail)
        found->postponed = true; /* nobody has copied it */
    return st;
}

static enum status scan(const struct found_world *world, struct found_pack *found,
                        struct fs_file *file, each_record *each, void *arg, struct error *err)
{
    uint64_t offset = PACK_HEADER_SIZE;
    struct record_header header;
    struct buffer record;
    enum status st = STATUS_OK;

    buffer_init(&record, RECORD_SIZE_MAX);
    while (st == STATUS_OK) {
        uint64_t start = offset;

        st = pack_file_next(file, start, found->size, &offset, &header, &record, err);
        note_damage(world, found, file->path, start, st == STATUS_OK ? offset : found->synced);
        if (st != STATUS_OK)
            break;
        if (header.kind != KIND_PACK_INDEX)
            st = give_scanned(world, found, &header, offset, each, arg, err);
        offset += record_size(&header);
    }
    buffer_deinit(&record);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* --- both -------------------------------------------------------------------------------------- */

/* Its index by its seal. STATUS_CORRUPT: it has none, or it is damaged. */
static enum status read_seal(const struct found_world *world, const struct found_pack *found,
                             struct fs_file *file, struct pack_footer *ret_footer,
                             struct buffer *ret_entries, struct error *err)
{
    enum status st = pack_file_footer(file, found->size, ret_footer, err);

    if (st == STATUS_OK) {
        st = pack_file_entries(file, &found->pack->name, ret_footer, world->keys, ret_entries, err);
        if (st == STATUS_CORRUPT)
            log_warning(world->log, "%s; the pack is read from its start instead", err->text);
    }
    return st;
}

enum status found_pack_examine(const struct found_world *world, struct found_pack *found,
                               each_record *each, void *arg, struct error *err)
{
    struct pack_footer footer = {0};
    struct fs_file *file = NULL;
    struct error unsealed = {0};
    struct buffer entries;

    buffer_init(&found->index, RECORD_PLAIN_MAX);
    buffer_init(&entries, RECORD_PLAIN_MAX);
    found->empty = found->size <= PACK_HEADER_SIZE && found->synced == 0;
    if (found->empty)
        return STATUS_OK;
    enum status st = pack_set_open(world->packs, found->pack, &file, err);

    if (st != STATUS_OK)
        goto out;
    st = read_seal(world, found, file, &footer, &entries, &unsealed);
    if (st == STATUS_OK) {
        struct sealed_walk walk = {world, found, each, arg};

        found->pack->sealed = true;
        found->synced = footer.index_offset;
        st = pack_entries_decode(buffer_slice(&entries), give_entry, &walk, err);
    } else if (st == STATUS_CORRUPT) {
        found->scanned = true;
        st = scan(world, found, file, each, arg, err);
    } else {
        *err = unsealed;
    }
out:
    buffer_deinit(&entries);
    return st;
}

void found_pack_deinit(struct found_pack *found)
{
    buffer_deinit(&found->index);
}

enum status found_pack_seal(const struct found_world *world, struct found_pack *found,
                            struct error *err)
{
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];

    pack_path(&found->pack->name, found->pack->class, path);

    enum status st = fs_open(world->packs->fs, path, FS_WRITE, &file, err);

    if (st == STATUS_OK)
        st = pack_file_seal(file, &found->pack->name, found->size, buffer_slice(&found->index),
                            world->keys, world->random, err);
    if (st == STATUS_OK)
        st = fs_sync(file, err);
    if (st == STATUS_OK)
        st = fs_size(file, &found->size, err);
    fs_close(file);
    return st;
}
