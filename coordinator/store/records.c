#include "coordinator/store/records.h"

#include <inttypes.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/overlay.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/pack_writer.h"

enum {
    CLASS_COUNT = 2,
    /* Records that the index gets at once: far fewer than its table takes (index_files.h). */
    APPLY_MAX = 2500,
};

/* In the order in which they are synced: what a meta pack's records name lies in data packs. */
static const enum pack_class classes[CLASS_COUNT] = {PACK_DATA, PACK_META};

/* The pack of a class to which records are appended. */
struct open_pack {
    struct pack_writer *writer; /* NULL: none */
    struct pack *pack;
};

struct records {
    struct records_options options;
    struct pack_set packs;
    struct open_pack open[CLASS_COUNT];
    struct overlay fresh;
    struct overlay pending; /* durable, and not yet in the index */
    bool names_pending;     /* packs were made since the last sync of their folder */
    uint64_t generation;
    uint64_t appended;
};

enum status records_new(const struct records_options *options, struct records **ret_records,
                        struct error *err)
{
    struct records *records = memory_new(1, sizeof(*records));

    if (records == NULL)
        return error_set_no_memory(err, sizeof(*records), "the records of a store");
    records->options = *options;
    records->generation = 1;
    pack_set_init(&records->packs, options->fs);
    *ret_records = records;
    return STATUS_OK;
}

static void close_writers(struct records *records)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        pack_writer_free(records->open[i].writer);
        records->open[i] = (struct open_pack){0};
    }
}

void records_free(struct records *records)
{
    if (records == NULL)
        return;
    close_writers(records);
    overlay_deinit(&records->fresh);
    overlay_deinit(&records->pending);
    pack_set_deinit(&records->packs);
    memory_free(records);
}

struct pack_set *records_packs(struct records *records)
{
    return &records->packs;
}

uint64_t records_generation(const struct records *records)
{
    return records->generation;
}

uint64_t records_appended(const struct records *records)
{
    return records->appended;
}

/* --- finding ----------------------------------------------------------------------------------- */

enum status records_find(struct records *records, const struct random_id *domain,
                         const struct id *ids, size_t count, uint64_t *ret_numbers,
                         struct error *err)
{
    struct index *index = records->options.index;
    enum status st = index->ops->find(index, domain, ids, count, ret_numbers, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        const struct index_record *record = NULL;

        if (ret_numbers[i] == 0)
            record = overlay_find(&records->pending, domain, &ids[i]);
        if (ret_numbers[i] == 0 && record == NULL)
            record = overlay_find(&records->fresh, domain, &ids[i]);
        if (record != NULL)
            ret_numbers[i] = record->number;
    }
    return st;
}

/* Where NUMBER lies, if the index need not be asked. */
static bool place_in_memory(const struct records *records, uint64_t number, struct place *ret_place)
{
    const struct index_record *record = overlay_find_number(&records->fresh, number);

    if (record == NULL)
        record = overlay_find_number(&records->pending, number);
    if (record != NULL)
        *ret_place = record->place;
    return record != NULL;
}

enum status records_places(struct records *records, const uint64_t *numbers, size_t count,
                           struct place *ret_places, struct error *err)
{
    struct index *index = records->options.index;
    size_t here = 0;

    while (here < count && place_in_memory(records, numbers[here], &ret_places[here]))
        here++;
    if (here == count)
        return STATUS_OK;
    enum status st =
        index->ops->find_places(index, numbers + here, count - here, ret_places + here, err);

    for (size_t i = here; st == STATUS_OK && i < count; i++)
        (void)place_in_memory(records, numbers[i], &ret_places[i]); /* else it is the index's */
    return st;
}

enum status records_read(struct records *records, uint64_t number, struct record_header *ret_header,
                         struct buffer *ret_record, struct error *err)
{
    struct place place;
    struct record_header header;
    enum status st = records_places(records, &number, 1, &place, err);

    if (st == STATUS_OK && place.length == 0)
        st = error_set(err, STATUS_NOT_FOUND, "there is no record of that number");
    if (st == STATUS_OK)
        st = pack_set_read(&records->packs, &place, &header, ret_record, err);
    if (st != STATUS_OK)
        return error_wrap(err, "record %" PRIu64, number);
    if (header.number != number) {
        char name[RANDOM_ID_TEXT_SIZE];

        random_id_text(&place.pack, name);
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 ": in pack %s at %" PRIu64 " lies number %" PRIu64,
                         number, name, place.offset, header.number);
    }
    *ret_header = header;
    return STATUS_OK;
}

/* Of two records with one id both numbers serve: the index has the first one, and the other's record says what it is. */
enum status records_knows(struct records *records, const struct random_id *domain,
                          const struct ref *ref, bool *ret_known, struct error *err)
{
    struct record_header header;
    struct error damage = {0};
    struct buffer record;
    uint64_t number = 0;
    enum status st = records_find(records, domain, &ref->id, 1, &number, err);

    if (st != STATUS_OK || number == ref->number || number == 0) {
        if (st == STATUS_OK)
            *ret_known = number != 0 && number == ref->number;
        return st;
    }
    buffer_init(&record, RECORD_SIZE_MAX);
    st = records_read(records, ref->number, &header, &record, &damage);
    buffer_deinit(&record);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND && st != STATUS_CORRUPT) {
        *err = damage;
        return st;
    }
    *ret_known = st == STATUS_OK && id_equal(&header.id, &ref->id) &&
                 random_id_equal(&header.domain, domain);
    return STATUS_OK;
}

/* --- failures ---------------------------------------------------------------------------------- */

/* A write or sync has failed, as ERR says: nobody knows what of the fresh records is on the disk, whatever later syncs
 * say (base/fs.h). They are void, and their packs get nothing more. */
static enum status void_fresh(struct records *records, struct error *err)
{
    const struct error cause = *err;

    overlay_clear(&records->fresh);
    close_writers(records);
    records->names_pending = false; /* those packs hold nothing that counts */
    records->generation++;
    DISCARD(error_set(err, STATUS_ABORTED,
                      "%s: what was stored since the last good sync is void, store it again",
                      cause.text));
    err->kind = cause.kind;
    err->native = cause.native;
    return STATUS_ABORTED;
}

/* --- syncing ----------------------------------------------------------------------------------- */

/* Puts COUNT records at RECORDS into the index; with the LAST of them, how much it knows of the open packs. */
static enum status apply_part(struct records *records, const struct index_record *part,
                              size_t count, bool last, struct error *err)
{
    struct index *index = records->options.index;
    struct index_cover covers[CLASS_COUNT];
    struct index_batch batch = {.records = part, .record_count = count, .covers = covers};

    for (size_t i = 0; last && i < CLASS_COUNT; i++) {
        if (records->open[i].writer == NULL || records->open[i].pack->synced == 0)
            continue;
        covers[batch.cover_count++] = (struct index_cover){
            .pack = records->open[i].pack->name,
            .covered = records->open[i].pack->synced,
        };
    }
    return index->ops->apply(index, &batch, err);
}

/* Nothing is lost where this fails: all of it is durable, and comes again. */
static enum status apply_pending(struct records *records, struct error *err)
{
    struct overlay *pending = &records->pending;
    enum status st = STATUS_OK;
    size_t done = 0;

    while (st == STATUS_OK && done < pending->count) {
        size_t left = pending->count - done;
        size_t count = left < APPLY_MAX ? left : APPLY_MAX;

        st = apply_part(records, pending->records + done, count, count == left, err);
        done += count;
    }
    if (st != STATUS_OK)
        return st;
    overlay_clear(pending);
    return fault_point("store.after_index_apply", err);
}

static bool has_unsynced(const struct records *records)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        const struct pack_writer *writer = records->open[i].writer;

        if (writer != NULL && pack_writer_length(writer) > pack_writer_synced(writer))
            return true;
    }
    return false;
}

static enum status sync_packs(struct records *records, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < CLASS_COUNT; i++) {
        struct pack_writer *writer = records->open[i].writer;

        if (writer != NULL && pack_writer_length(writer) > pack_writer_synced(writer))
            st = pack_writer_sync(writer, err);
    }
    if (st == STATUS_OK && records->names_pending)
        st = fs_sync_dir(records->options.fs, PACK_DIR, err);
    if (st != STATUS_OK)
        return void_fresh(records, err);
    records->names_pending = false;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct open_pack *open = &records->open[i];

        if (open->writer == NULL)
            continue;
        pack_writer_mark_synced(open->writer);
        open->pack->synced = pack_writer_synced(open->writer);
    }
    return STATUS_OK;
}

/* What is fresh is durable now. There is room. */
static void move_to_pending(struct records *records)
{
    for (size_t i = 0; i < records->fresh.count; i++)
        overlay_add(&records->pending, &records->fresh.records[i]);
    overlay_clear(&records->fresh);
}

enum status records_sync(struct records *records, struct error *err)
{
    enum status st = fault_point("store.before_sync", err);

    if (st == STATUS_OK)
        st = overlay_reserve(&records->pending, records->fresh.count, err);
    if (st == STATUS_OK && has_unsynced(records))
        st = sync_packs(records, err);
    if (st != STATUS_OK)
        return st;
    move_to_pending(records);
    st = fault_point("store.after_pack_sync", err);
    if (st == STATUS_OK)
        st = apply_pending(records, err);
    return st;
}

/* --- packs begin and end ----------------------------------------------------------------------- */

static struct open_pack *open_pack_of(struct records *records, enum pack_class class)
{
    return &records->open[class == PACK_DATA ? 0 : 1];
}

static enum status new_pack(struct records *records, enum pack_class class, struct error *err)
{
    struct open_pack *open = open_pack_of(records, class);
    struct pack_header header = {.class = class, .repository = records->options.repository};
    struct pack_writer *writer = NULL;
    struct pack *pack = NULL;
    enum status st = random_bytes(records->options.random, header.name.bytes, RANDOM_ID_SIZE, err);

    if (st == STATUS_OK)
        st = pack_set_add(&records->packs, &header.name, class, &pack, err);
    if (st == STATUS_OK)
        st = pack_writer_new(records->options.fs, &header, &writer, err);
    if (st != STATUS_OK) {
        if (pack != NULL)
            pack_set_remove(&records->packs, pack);
        return error_wrap(err, "begin a pack");
    }
    pack->bytes = pack_writer_length(writer);
    *open = (struct open_pack){.writer = writer, .pack = pack};
    records->names_pending = true;
    return STATUS_OK;
}

/* The index learns that a sealed pack has nothing more for it. */
static void cover_sealed(struct records *records, const struct open_pack *open)
{
    struct index *index = records->options.index;
    const struct index_cover cover = {.pack = open->pack->name,
                                      .covered = pack_writer_sealed_length(open->writer),
                                      .sealed = true};
    const struct index_batch batch = {.covers = &cover, .cover_count = 1};
    struct error ignored = {0};

    /* Else the next open learns it from the pack's footer. */
    DISCARD(index->ops->apply(index, &batch, &ignored));
}

/* All that is in the open pack of CLASS is durable. A seal that fails leaves it as it is, which the next open puts right:
 * only lack of space is the caller's business. */
static enum status write_seal(struct records *records, enum pack_class class, struct error *err)
{
    struct open_pack *open = open_pack_of(records, class);
    char path[PACK_PATH_SIZE];
    struct error failure = {0};
    enum status st = pack_writer_write_seal(open->writer, records->options.keys,
                                            records->options.random, &failure);

    if (st == STATUS_EXHAUSTED) {
        *err = failure;
        return error_wrap(err, "seal a pack");
    }
    if (st == STATUS_OK)
        st = pack_writer_sync(open->writer, &failure);
    open->pack->sealed = st == STATUS_OK;
    if (open->pack->sealed) {
        open->pack->bytes = pack_writer_sealed_length(open->writer);
        cover_sealed(records, open);
    } else {
        pack_path(&open->pack->name, class, path);
        log_warning(records->options.log, "%s stays without a seal until the next start: %s", path,
                    failure.text);
    }
    pack_writer_free(open->writer);
    *open = (struct open_pack){0};
    return fault_point("store.after_seal", err);
}

static enum status seal_pack(struct records *records, enum pack_class class, struct error *err)
{
    enum status st = records_sync(records, err);

    if (st == STATUS_OK)
        st = fault_point("store.after_seal_sync", err);
    if (st == STATUS_OK)
        st = write_seal(records, class, err);
    return st;
}

enum status records_seal(struct records *records, struct error *err)
{
    enum status st = records_sync(records, err);

    for (size_t i = 0; st == STATUS_OK && i < CLASS_COUNT; i++) {
        const struct open_pack *open = &records->open[i];

        if (open->writer != NULL && pack_writer_synced(open->writer) > PACK_HEADER_SIZE)
            st = write_seal(records, classes[i], err);
    }
    return st;
}

/* --- appending --------------------------------------------------------------------------------- */

/* There is an open pack of CLASS with room for SIZE bytes. */
static enum status provide_pack(struct records *records, enum pack_class class, size_t size,
                                struct error *err)
{
    struct open_pack *open = open_pack_of(records, class);
    enum status st = STATUS_OK;

    if (open->writer != NULL && !pack_writer_fits(open->writer, size, records->options.pack_size))
        st = seal_pack(records, class, err);
    if (st == STATUS_OK && open->writer == NULL)
        st = new_pack(records, class, err);
    return st;
}

static enum status provide_room(struct records *records, struct error *err)
{
    enum status st = STATUS_OK;

    if (records->fresh.count >= records->options.fresh_max)
        st = records_sync(records, err);
    if (st == STATUS_OK)
        st = overlay_reserve(&records->fresh, 1, err);
    return st;
}

enum status records_append(struct records *records, struct slice record,
                           const struct record_header *header, struct error *err)
{
    enum pack_class class = pack_class_of(header->kind);
    const struct open_pack *open = open_pack_of(records, class);
    struct index_record entry = {
        .domain = header->domain,
        .id = header->id,
        .number = header->number,
        .place = {.length = (uint32_t)record.size},
    };
    enum status st = provide_pack(records, class, record.size, err);

    if (st == STATUS_OK)
        st = provide_room(records, err);
    if (st != STATUS_OK)
        return st;
    st = pack_writer_append(open->writer, record, header, &entry.place.offset, err);
    if (st == STATUS_EXHAUSTED)
        return st;
    if (st != STATUS_OK)
        return void_fresh(records, err);
    entry.place.pack = open->pack->name;
    open->pack->bytes = pack_writer_length(open->writer);
    overlay_add(&records->fresh, &entry);
    records->appended += record.size;
    return fault_point("store.after_append", err);
}

enum status records_note(struct records *records, const struct index_record *record,
                         struct error *err)
{
    enum status st = provide_room(records, err);

    if (st == STATUS_OK)
        overlay_add(&records->fresh, record);
    return st;
}

enum status records_unsealed(const struct records *records, struct log_packs *ret_packs,
                             struct error *err)
{
    ret_packs->count = 0;
    for (size_t i = 0; i < records->packs.count; i++) {
        const struct pack *pack = records->packs.packs[i];

        if (pack->sealed || pack->synced <= PACK_HEADER_SIZE)
            continue;
        if (ret_packs->count == LOG_POINT_PACKS_MAX)
            return error_set(err, STATUS_UNAVAILABLE,
                             "more than %d packs have no seal after failures of the disk: restart "
                             "the coordinator, which puts them right",
                             LOG_POINT_PACKS_MAX);
        ret_packs->packs[ret_packs->count++] =
            (struct log_point_pack){.name = pack->name, .synced = pack->synced};
    }
    return STATUS_OK;
}
