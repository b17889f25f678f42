#include "coordinator/store/check_packs.h"

#include <string.h>

#include "base/cursor.h"
#include "base/memory.h"

enum { ROOM_FIRST = 1024 };

static uint32_t id_bits(const struct id *id)
{
    struct cursor cursor = cursor_of(slice_of(id->bytes, ID_SIZE));

    return cursor_u32le(&cursor);
}

/* ---- What is to be read ---------------------------------------------------------------------- */

static uint64_t readable(const struct store_pack *pack)
{
    if (pack->missing)
        return 0;
    return pack->sealed || pack->size < pack->synced ? pack->size : pack->synced;
}

enum status check_packs_init(struct check_packs *packs, struct error *err)
{
    struct store_pack *listed = NULL;
    size_t count = 0;

    buffer_init(&packs->index, RECORD_SIZE_MAX);
    buffer_init(&packs->stored, RECORD_PLAIN_MAX);
    enum status st = codec_context_new(&packs->codec, err);

    if (st == STATUS_OK)
        st = store_packs(packs->store, &listed, &count, err);
    if (st != STATUS_OK)
        return st;
    packs->packs = memory_new(count, sizeof(*packs->packs));
    if (packs->packs == NULL) {
        st = error_set_no_memory(err, count * sizeof(*packs->packs), "the packs to check");
    } else {
        packs->count = count;
        for (size_t i = 0; i < count; i++) {
            packs->packs[i].pack = listed[i];
            packs->total += readable(&listed[i]);
        }
    }
    memory_free(listed);
    return st;
}

void check_packs_deinit(struct check_packs *packs)
{
    memory_free(packs->packs);
    memory_free(packs->rows.rows);
    memory_free(packs->entries.rows);
    buffer_deinit(&packs->index);
    buffer_deinit(&packs->stored);
    codec_context_free(packs->codec);
}

/* ---- Reading a pack's ends ------------------------------------------------------------------- */

/* Damage leaves *RET_READ false. */
static enum status read_end(struct check_packs *packs, const struct check_pack *pack,
                            uint64_t offset, void *data, size_t size, bool *ret_read,
                            struct error *err)
{
    struct error damage = {0};
    enum status st = store_read_pack(packs->store, &pack->pack.name, offset, data, size, &damage);

    *ret_read = st == STATUS_OK;
    if (st == STATUS_OK || check_is_damage(st))
        return STATUS_OK;
    *err = damage;
    return st;
}

static enum status check_header(struct check_packs *packs, struct check_pack *pack,
                                struct error *err)
{
    uint8_t bytes[PACK_HEADER_SIZE];
    struct pack_header header;
    struct error damage = {0};
    bool read = false;
    enum status st = read_end(packs, pack, 0, bytes, sizeof(bytes), &read, err);

    if (st != STATUS_OK)
        return st;
    pack->bad_header =
        !read ||
        pack_header_decode(slice_of(bytes, sizeof(bytes)), &header, &damage) != STATUS_OK ||
        !random_id_equal(&header.name, &pack->pack.name) || header.class != pack->pack.class ||
        !random_id_equal(&header.repository, &store_repository(packs->store)->id);
    return STATUS_OK;
}

static enum status check_footer(struct check_packs *packs, struct check_pack *pack,
                                struct error *err)
{
    uint8_t bytes[PACK_FOOTER_SIZE];
    uint64_t size = pack->pack.size;
    struct error damage = {0};
    bool read = false;

    pack->end = size;
    if (size >= (uint64_t)PACK_HEADER_SIZE + PACK_FOOTER_SIZE) {
        enum status st =
            read_end(packs, pack, size - sizeof(bytes), bytes, sizeof(bytes), &read, err);

        if (st != STATUS_OK)
            return st;
    }
    pack->has_footer =
        read &&
        pack_footer_decode(slice_of(bytes, sizeof(bytes)), &pack->footer, &damage) == STATUS_OK &&
        pack->footer.index_offset >= PACK_HEADER_SIZE &&
        pack->footer.index_length <= RECORD_SIZE_MAX &&
        pack->footer.index_offset <= size - sizeof(bytes) &&
        pack->footer.index_length == size - sizeof(bytes) - pack->footer.index_offset;
    pack->bad_footer = !pack->has_footer;
    if (pack->has_footer)
        pack->end = pack->footer.index_offset;
    return STATUS_OK;
}

static enum status begin_pack(struct check_packs *packs, struct check_pack *pack, struct error *err)
{
    const struct store_pack *what = &pack->pack;
    enum status st = STATUS_OK;

    pack->end = readable(what);
    if (what->missing || (!what->sealed && what->synced == 0))
        return STATUS_OK;
    pack->too_short = !what->sealed && what->size < what->synced;
    st = check_header(packs, pack, err);
    if (st == STATUS_OK && what->sealed)
        st = check_footer(packs, pack, err);
    return st;
}

enum status check_packs_fill(struct check_packs *packs, struct check_chunk *chunk, bool *ret_end,
                             struct error *err)
{
    struct check_pack *pack = &packs->packs[packs->reading];
    enum status st = STATUS_OK;

    *ret_end = packs->reading == packs->count;
    if (*ret_end)
        return STATUS_OK;
    if (!packs->begun) {
        st = begin_pack(packs, pack, err);
        packs->offset = PACK_HEADER_SIZE;
        packs->begun = st == STATUS_OK;
    }
    chunk->pack = packs->reading;
    chunk->count = 0;
    if (st == STATUS_OK && packs->offset < pack->end) {
        st = check_chunk_read(chunk, packs->store, &pack->pack.name, packs->offset, pack->end, err);
        if (st == STATUS_OK)
            packs->offset = check_chunk_end(chunk);
    }
    if (st != STATUS_OK)
        return st;
    chunk->ends_pack = packs->offset >= pack->end;
    if (chunk->ends_pack) {
        packs->reading++;
        packs->begun = false;
    }
    return STATUS_OK;
}

/* ---- Its records ----------------------------------------------------------------------------- */

static enum status add_row(struct check_rows *rows, const struct check_row *row, struct error *err)
{
    struct check_row *last = rows->count > 0 ? &rows->rows[rows->count - 1] : NULL;

    if (last != NULL && row->kind == 0 && last->kind == 0 && last->wrong == row->wrong) {
        last->length += row->length;
        return STATUS_OK;
    }
    if (last != NULL && rows->count == CHECK_PIECES_MAX) { /* no pack of ours has so many */
        *last = (struct check_row){.offset = last->offset,
                                   .length = row->offset + row->length - last->offset,
                                   .wrong = CHECK_HEADER};
        return STATUS_OK;
    }
    if (rows->rows == NULL || rows->count == rows->room) {
        size_t room = rows->room == 0 ? ROOM_FIRST : 2 * rows->room;
        struct check_row *grown = memory_resize(rows->rows, room, sizeof(*grown));

        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(*grown), "the records of a pack");
        rows->rows = grown;
        rows->room = room;
    }
    rows->rows[rows->count++] = *row;
    return STATUS_OK;
}

static enum status add_stray(struct check_packs *packs, size_t pack,
                             const struct check_piece *piece, struct error *err)
{
    const struct place place = {.pack = packs->packs[pack].pack.name,
                                .offset = piece->offset,
                                .length = (uint32_t)piece->length}; /* RECORD_SIZE_MAX */

    return check_strays_add(packs->strays, piece->header.number, &place, err);
}

/* NUMBERS are those of the sound records among CHUNK's. */
static enum status compare_places(struct check_packs *packs, const struct check_chunk *chunk,
                                  const uint64_t *numbers, size_t count, struct error *err)
{
    struct place *places = memory_new(count, sizeof(*places));
    size_t at = 0;
    enum status st = STATUS_OK;

    if (places == NULL)
        return error_set_no_memory(err, count * sizeof(*places), "the places of records");
    st = store_places(packs->store, numbers, count, places, err);
    for (size_t i = 0; st == STATUS_OK && i < chunk->count; i++) {
        const struct check_piece *piece = &chunk->pieces[i];
        unsigned flags = CHECK_SOUND;

        if (at == count || piece->wrong != CHECK_RIGHT || piece->header.number != numbers[at])
            continue;
        if (places[at].offset == piece->offset && places[at].length == piece->length &&
            places[at].id_bits == id_bits(&piece->header.id) &&
            random_id_equal(&places[at].pack, &packs->packs[chunk->pack].pack.name))
            flags |= CHECK_AGREED;
        st = check_numbers_set(packs->numbers, numbers[at], flags, err);
        if (st == STATUS_OK && (flags & CHECK_AGREED) == 0 && piece->header.kind != KIND_BLOCK)
            st = add_stray(packs, chunk->pack, piece, err);
        at++;
    }
    memory_free(places);
    return st;
}

static enum status learn_numbers(struct check_packs *packs, const struct check_chunk *chunk,
                                 struct error *err)
{
    uint64_t *numbers = memory_new(chunk->count, sizeof(*numbers));
    size_t count = 0;
    enum status st = STATUS_OK;

    if (numbers == NULL)
        return error_set_no_memory(err, chunk->count * sizeof(*numbers), "the numbers of records");
    for (size_t i = 0; i < chunk->count; i++) {
        const struct check_piece *piece = &chunk->pieces[i];

        if (piece->wrong == CHECK_RIGHT && piece->header.number != 0)
            numbers[count++] = piece->header.number;
    }
    if (count > 0)
        st = compare_places(packs, chunk, numbers, count, err);
    packs->records += count;
    memory_free(numbers);
    return st;
}

static enum status add_bad(struct check_packs *packs, struct check_pack *pack,
                           enum check_wrong wrong, const struct check_row *row, struct error *err)
{
    const struct check_bad bad = {.wrong = wrong,
                                  .kind = row->kind,
                                  .number = row->number,
                                  .in_pack = true,
                                  .pack = pack->pack.name,
                                  .offset = row->offset,
                                  .length = row->length};
    enum status st = STATUS_OK;

    pack->damaged = true;
    if (row->number != 0)
        st = check_numbers_set(packs->numbers, row->number, CHECK_TOLD, err);
    return st == STATUS_OK ? check_found_add_bad(packs->found, &bad, err) : st;
}

/* ---- A pack's own index ---------------------------------------------------------------------- */

struct entries {
    struct check_packs *packs;
    uint64_t end; /* of what was named so far */
    uint64_t limit;
};

static enum status add_entry(void *arg, const struct pack_entry *entry, struct error *err)
{
    struct entries *entries = arg;
    const struct check_row row = {.offset = entry->offset,
                                  .length = entry->length,
                                  .number = entry->number,
                                  .id_bits = id_bits(&entry->id),
                                  .kind = entry->kind};

    if (entry->offset < entries->end || entry->offset > entries->limit ||
        entry->length > entries->limit - entry->offset)
        return error_set(err, STATUS_CORRUPT, "an entry that cannot be");
    entries->end = entry->offset + entry->length;
    return add_row(&entries->packs->entries, &row, err);
}

/* Into packs->entries; *ret_damaged: it says nothing. */
static enum status read_index(struct check_packs *packs, const struct check_pack *pack,
                              bool *ret_damaged, struct error *err)
{
    struct entries entries = {.packs = packs,
                              .end = PACK_HEADER_SIZE,
                              .limit = pack->footer.index_offset};
    struct record_header header = {0};
    struct error damage = {0};
    bool read = false;
    enum status st = STATUS_OK;

    buffer_clear(&packs->index);

    uint8_t *target = buffer_extend(&packs->index, pack->footer.index_length);

    st = buffer_check(&packs->index, "a pack's index", err);
    if (st == STATUS_OK)
        st = read_end(packs, pack, pack->footer.index_offset, target, pack->footer.index_length,
                      &read, err);
    if (st != STATUS_OK)
        return st;
    *ret_damaged = !read;
    if (!read)
        return STATUS_OK;
    st = record_open(store_keys(packs->store), packs->codec, buffer_slice(&packs->index), &header,
                     &packs->stored, &damage);
    if (st == STATUS_OK &&
        (header.kind != KIND_PACK_INDEX || !random_id_equal(&header.domain, &pack->pack.name)))
        st = STATUS_CORRUPT;
    if (st == STATUS_OK)
        st = pack_entries_decode(buffer_slice(&packs->stored), add_entry, &entries, &damage);
    if (st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED || st == STATUS_INVALID) {
        *ret_damaged = true;
        packs->entries.count = 0;
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = damage;
    return st;
}

/* ---- What is wrong in it --------------------------------------------------------------------- */

/* Where the records are compared with what the index names. */
struct merge {
    struct check_packs *packs;
    struct check_pack *pack;
    size_t entry;
    uint64_t last; /* what begins behind this is a crash's torn tail, that the seal does not name */
};

static const struct check_row *next_entry(const struct merge *merge)
{
    const struct check_rows *entries = &merge->packs->entries;

    return merge->entry < entries->count ? &entries->rows[merge->entry] : NULL;
}

/* ROW has no record in it. */
static enum status merge_gap(struct merge *merge, const struct check_row *row, struct error *err)
{
    const struct check_row *entry = next_entry(merge);
    bool named = false;
    enum status st = STATUS_OK;

    while (st == STATUS_OK && entry != NULL && entry->offset < row->offset + row->length) {
        st = add_bad(merge->packs, merge->pack, row->wrong, entry, err);
        named = true;
        merge->entry++;
        entry = next_entry(merge);
    }
    if (st == STATUS_OK && !named && row->offset < merge->last)
        st = add_bad(merge->packs, merge->pack,
                     row->wrong == CHECK_HEADER ? CHECK_BETWEEN : row->wrong, row, err);
    return st;
}

static enum status merge_record(struct merge *merge, const struct check_row *row, struct error *err)
{
    const struct check_row *entry = next_entry(merge);
    enum status st = STATUS_OK;

    while (st == STATUS_OK && entry != NULL && entry->offset < row->offset) {
        st = add_bad(merge->packs, merge->pack, CHECK_ANOTHER, entry, err);
        merge->entry++;
        entry = next_entry(merge);
    }
    if (st != STATUS_OK)
        return st;
    if (entry == NULL || entry->offset != row->offset) {
        if (row->wrong == CHECK_RIGHT || row->offset >= merge->last)
            return STATUS_OK;
        return add_bad(merge->packs, merge->pack, row->wrong, row, err);
    }
    merge->entry++;
    if (entry->number != row->number || entry->length != row->length || entry->kind != row->kind ||
        entry->id_bits != row->id_bits)
        return add_bad(merge->packs, merge->pack, CHECK_ANOTHER, entry, err);
    return row->wrong == CHECK_RIGHT ? STATUS_OK
                                     : add_bad(merge->packs, merge->pack, row->wrong, row, err);
}

static enum status merge_rows(struct check_packs *packs, struct check_pack *pack, struct error *err)
{
    const struct check_rows *entries = &packs->entries;
    struct merge merge = {.packs = packs, .pack = pack, .last = pack->end};
    enum status st = STATUS_OK;

    if (pack->bad_footer && pack->end >= PACK_FOOTER_SIZE)
        merge.last = pack->end - PACK_FOOTER_SIZE; /* what is left of it has its own finding */
    if (entries->count > 0)
        merge.last =
            entries->rows[entries->count - 1].offset + entries->rows[entries->count - 1].length;
    for (size_t i = 0; st == STATUS_OK && i < packs->rows.count; i++) {
        const struct check_row *row = &packs->rows.rows[i];

        if (row->kind == KIND_PACK_INDEX)
            continue;
        st = row->kind == 0 ? merge_gap(&merge, row, err) : merge_record(&merge, row, err);
    }
    while (st == STATUS_OK && next_entry(&merge) != NULL) {
        st = add_bad(packs, pack, CHECK_CUT_OFF, next_entry(&merge), err);
        merge.entry++;
    }
    packs->tails += pack->pack.sealed ? merge.last < pack->end : pack->pack.size > pack->end;
    return st;
}

/* The pack itself, from OFFSET on. */
static enum status add_pack_bad(struct check_packs *packs, struct check_pack *pack, bool is_bad,
                                enum check_wrong wrong, uint64_t offset, struct error *err)
{
    const struct check_row row = {.offset = offset};

    return is_bad ? add_bad(packs, pack, wrong, &row, err) : STATUS_OK;
}

static enum status end_pack(struct check_packs *packs, struct check_pack *pack, struct error *err)
{
    bool bad_index = false;
    enum status st = STATUS_OK;

    packs->entries.count = 0;
    if (pack->has_footer)
        st = read_index(packs, pack, &bad_index, err);
    if (st == STATUS_OK)
        st = add_pack_bad(packs, pack, pack->pack.missing, CHECK_PACK_MISSING, 0, err);
    if (st == STATUS_OK)
        st = add_pack_bad(packs, pack, pack->bad_header, CHECK_PACK_HEADER, 0, err);
    if (st == STATUS_OK)
        st = merge_rows(packs, pack, err);
    if (st == STATUS_OK)
        st = add_pack_bad(packs, pack, pack->too_short, CHECK_PACK_SHORT, pack->pack.size, err);
    if (st == STATUS_OK)
        st = add_pack_bad(packs, pack, bad_index, CHECK_PACK_INDEX, pack->footer.index_offset, err);
    if (st == STATUS_OK)
        st = add_pack_bad(packs, pack, pack->bad_footer, CHECK_PACK_FOOTER, pack->end, err);
    packs->rows.count = 0;
    return st;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

enum status check_packs_note(struct check_packs *packs, struct error *err)
{
    enum status st = STATUS_OK;

    if (packs->proved_count > 0)
        st = store_note_proved(packs->store, packs->proved, packs->proved_count, err);
    packs->proved_count = 0;
    return st;
}

/* Only of a pack that is sealed: what else lies in the other one is still to be proved. */
static enum status note_pack(struct check_packs *packs, const struct check_pack *pack,
                             struct error *err)
{
    if (pack->pack.missing || !pack->pack.sealed)
        return STATUS_OK;
    packs->proved[packs->proved_count++] =
        (struct proved_pack){.name = pack->pack.name,
                             .time_us = clock_wall_us(packs->clock),
                             .damaged = pack->damaged};
    return packs->proved_count < CHECK_PROVED_AT_ONCE ? STATUS_OK : check_packs_note(packs, err);
}

enum status check_packs_take(struct check_packs *packs, const struct check_chunk *chunk,
                             struct error *err)
{
    struct check_pack *pack = &packs->packs[chunk->pack];
    enum status st = learn_numbers(packs, chunk, err);

    for (size_t i = 0; st == STATUS_OK && i < chunk->count; i++) {
        const struct check_piece *piece = &chunk->pieces[i];
        const struct check_row row = {.offset = piece->offset,
                                      .length = piece->length,
                                      .number = piece->header.number,
                                      .id_bits = id_bits(&piece->header.id),
                                      .kind = piece->header.kind,
                                      .wrong = piece->wrong};

        st = add_row(&packs->rows, &row, err);
        packs->bytes += piece->length;
    }
    if (st != STATUS_OK || !chunk->ends_pack)
        return st;
    st = end_pack(packs, pack, err);
    packs->done++;
    packs->bytes += readable(&pack->pack); /* its ends too: those of its records are counted */
    if (pack->end > PACK_HEADER_SIZE)
        packs->bytes -= pack->end - PACK_HEADER_SIZE;
    return st == STATUS_OK ? note_pack(packs, pack, err) : st;
}
