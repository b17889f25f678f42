#include "coordinator/store/found_pack.h"

#include <inttypes.h>

#include "coordinator/store/pack_file.h"
#include "coordinator/store/pack_scan.h"
#include "coordinator/store/thing.h"

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

/* --- its records ------------------------------------------------------------------------------- */

/* Its file; not through the set, which may close it while other packs are read. */
static enum status open_file(const struct found_world *world, const struct found_pack *found,
                             struct fs_file **ret_file, struct error *err)
{
    char path[PACK_PATH_SIZE];

    pack_path(&found->pack->name, found->pack->class, path);
    return fs_open(world->packs->fs, path, FS_READ, ret_file, err);
}

/* Its index by its seal. STATUS_CORRUPT: it has none, or it is damaged. */
static enum status read_seal(const struct found_world *world, const struct found_pack *found,
                             struct fs_file *file, struct pack_footer *ret_footer,
                             struct buffer *ret_entries, struct error *err)
{
    enum status st = pack_file_footer(file, found->size, ret_footer, err);

    if (st != STATUS_OK)
        return st;
    st = pack_file_entries(file, &found->pack->name, ret_footer, world->keys, ret_entries, err);
    if (st == STATUS_UNSUPPORTED)
        st = error_set(err, STATUS_CORRUPT, "the pack's index is of another version");
    return st;
}

struct sealed_walk {
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

    return entry->offset < walk->found->covered ? STATUS_OK : walk->each(walk->arg, &record, err);
}

static enum status walk_sealed(const struct found_pack *found, struct slice entries,
                               each_record *each, void *arg, struct error *err)
{
    struct sealed_walk walk = {.found = found, .each = each, .arg = arg};

    return pack_entries_decode(entries, give_entry, &walk, err);
}

/* --- without a seal ---------------------------------------------------------------------------- */

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

/* What the index knows is durable, wherever the pack was called synced last; and so is all that lies before it. */
static enum status learn_synced(const struct found_world *world, struct found_pack *found,
                                const struct record_header *header, uint64_t offset,
                                struct error *err)
{
    struct index *index = world->index;
    struct place place = {.length = 0};
    enum status st = index->ops->find_places(index, &header->number, 1, &place, err);

    if (st != STATUS_OK)
        return st;
    if (place.length > 0 && place.offset == offset &&
        random_id_equal(&place.pack, &found->pack->name)) {
        found->synced = offset + record_size(header);
        found->ranks |= found->tail_ranks;
    }
    return STATUS_OK;
}

/* SURVEY: of the first look, which finds out how much is durable, and logs what is damaged. */
static enum status scan(const struct found_world *world, struct found_pack *found,
                        struct fs_file *file, bool survey, each_record *each, void *arg,
                        struct error *err)
{
    uint64_t offset = PACK_HEADER_SIZE;
    struct record_header header;
    struct pack_scan scan;
    struct buffer bytes;
    enum status st = STATUS_OK;

    buffer_init(&bytes, RECORD_SIZE_MAX);
    pack_scan_init(&scan, file, offset, found->size);
    while (st == STATUS_OK) {
        uint64_t start = scan.offset;

        st = pack_scan_next(&scan, &offset, &header, &bytes, err);
        if (survey)
            note_damage(world, found, file->path, start, st == STATUS_OK ? offset : found->synced);
        if (st != STATUS_OK || header.kind == KIND_PACK_INDEX)
            continue;
        if (survey && scan.offset > found->synced)
            st = learn_synced(world, found, &header, offset, err);
        const struct found_record record = {
            .record = {.domain = header.domain,
                       .id = header.id,
                       .number = header.number,
                       .place = {.pack = found->pack->name,
                                 .offset = offset,
                                 .length = (uint32_t)record_size(&header)}},
            .kind = header.kind,
            .tail = scan.offset > found->synced,
        };

        if (st == STATUS_OK)
            st = each(arg, &record, err);
    }
    pack_scan_deinit(&scan);
    buffer_deinit(&bytes);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* --- the first look ---------------------------------------------------------------------------- */

struct survey {
    const struct found_world *world;
    struct found_pack *found;
    enum status (*each)(void *arg, const struct found_record *record, bool *ret_done,
                        struct error *err);
    void *arg;
};

static enum status survey_record(void *arg, const struct found_record *record, struct error *err)
{
    const struct survey *survey = arg;
    struct found_pack *found = survey->found;
    bool done = false;
    enum status st = survey->each(survey->arg, record, &done, err);
    uint32_t rank = UINT32_C(1) << thing_rank(record->kind);

    if (st != STATUS_OK)
        return st;
    if (!record->tail)
        found->counts = true;
    if (domains_find(survey->world->domains, &record->record.domain) == NULL) {
        found->strange += record->tail ? 0 : 1;
        found->postponed = found->postponed || record->tail; /* nobody copies it */
    } else if (record->tail) {
        found->tail_ranks |= rank;
    } else if (!done) {
        found->ranks |= rank;
    }
    return STATUS_OK;
}

static enum status survey_file(struct survey *survey, struct fs_file *file, struct error *err)
{
    const struct found_world *world = survey->world;
    struct found_pack *found = survey->found;
    struct pack_footer footer = {0};
    struct error damage = {0};
    struct buffer entries;

    buffer_init(&entries, RECORD_PLAIN_MAX);

    enum status st = read_seal(world, found, file, &footer, &entries, &damage);

    if (st == STATUS_OK) {
        found->pack->sealed = true;
        found->synced = footer.index_offset;
        st = walk_sealed(found, buffer_slice(&entries), survey_record, survey, err);
    } else if (st == STATUS_CORRUPT) {
        if (footer.index_length > 0)
            log_warning(world->log, "%s; the pack is read from its start instead", damage.text);
        found->scanned = true;
        st = scan(world, found, file, true, survey_record, survey, err);
    } else {
        *err = damage;
    }
    buffer_deinit(&entries);
    return st;
}

enum status found_pack_survey(const struct found_world *world, struct found_pack *found,
                              enum status (*each)(void *arg, const struct found_record *record,
                                                  bool *ret_done, struct error *err),
                              void *arg, struct error *err)
{
    struct survey survey = {.world = world, .found = found, .each = each, .arg = arg};
    struct fs_file *file = NULL;
    char name[RANDOM_ID_TEXT_SIZE];

    found->empty = found->size <= PACK_HEADER_SIZE && found->synced == 0;
    if (found->empty)
        return STATUS_OK;
    enum status st = open_file(world, found, &file, err);

    if (st == STATUS_OK)
        st = survey_file(&survey, file, err);
    fs_close(file);
    if (st != STATUS_OK || found->strange == 0)
        return st;
    found->incomplete = true;
    random_id_text(&found->pack->name, name);
    log_warning(
        world->log,
        "pack %s: %" PRIu64
        " records are of deduplication domains that the log does not know; they are left out",
        name, found->strange);
    return STATUS_OK;
}

/* --- and the others ---------------------------------------------------------------------------- */

struct filter {
    const struct found_world *world;
    unsigned rank;
    bool tail;
    each_record *each;
    void *arg;
};

static enum status filter_record(void *arg, const struct found_record *record, struct error *err)
{
    const struct filter *filter = arg;

    if (record->tail != filter->tail || thing_rank(record->kind) != filter->rank ||
        domains_find(filter->world->domains, &record->record.domain) == NULL)
        return STATUS_OK;
    return filter->each(filter->arg, record, err);
}

enum status found_pack_each(const struct found_world *world, struct found_pack *found,
                            unsigned rank, bool tail, each_record *each, void *arg,
                            struct error *err)
{
    struct filter filter = {world, rank, tail, each, arg};
    struct pack_footer footer = {0};
    struct fs_file *file = NULL;
    struct buffer entries;

    if (((tail ? found->tail_ranks : found->ranks) & UINT32_C(1) << rank) == 0)
        return STATUS_OK;
    buffer_init(&entries, RECORD_PLAIN_MAX);

    enum status st = open_file(world, found, &file, err);

    if (st == STATUS_OK && found->scanned) {
        st = scan(world, found, file, false, filter_record, &filter, err);
    } else if (st == STATUS_OK) {
        st = read_seal(world, found, file, &footer, &entries, err);
        if (st == STATUS_OK)
            st = walk_sealed(found, buffer_slice(&entries), filter_record, &filter, err);
    }
    fs_close(file);
    buffer_deinit(&entries);
    return st;
}

/* --- sealing ----------------------------------------------------------------------------------- */

/* ARG: a buffer that gets the entries of the durable ones. */
static enum status enter_record(void *arg, const struct found_record *record, struct error *err)
{
    struct buffer *entries = arg;
    const struct pack_entry entry = {
        .domain = record->record.domain,
        .number = record->record.number,
        .id = record->record.id,
        .offset = record->record.place.offset,
        .length = record->record.place.length,
        .kind = record->kind,
    };

    if (record->tail)
        return STATUS_OK;
    pack_entry_encode(&entry, entries);
    return buffer_check(entries, "a pack's index", err);
}

static enum status write_seal(const struct found_world *world, struct found_pack *found,
                              struct slice entries, struct error *err)
{
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];

    pack_path(&found->pack->name, found->pack->class, path);

    enum status st = fs_open(world->packs->fs, path, FS_WRITE, &file, err);

    if (st == STATUS_OK)
        st = pack_file_seal(file, &found->pack->name, found->size, entries, world->keys,
                            world->random, err);
    if (st == STATUS_OK)
        st = fs_sync(file, err);
    if (st == STATUS_OK)
        st = fs_size(file, &found->size, err);
    fs_close(file);
    return st;
}

enum status found_pack_seal(const struct found_world *world, struct found_pack *found,
                            struct error *err)
{
    struct fs_file *file = NULL;
    struct buffer entries;

    buffer_init(&entries, RECORD_PLAIN_MAX);

    enum status st = open_file(world, found, &file, err);

    if (st == STATUS_OK)
        st = scan(world, found, file, false, enter_record, &entries, err);
    fs_close(file);
    if (st == STATUS_OK)
        st = write_seal(world, found, buffer_slice(&entries), err);
    buffer_deinit(&entries);
    return st;
}
