#include "coordinator/store/block_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"
#include "coordinator/store/disk_tree.h"

/* A block of the window that is being filled, to be sorted. */
struct wanted {
    uint64_t number;
    struct place place;
    struct block_read *block;
};

/* What does not change after block_reader_new() is read on any thread. */
struct block_reader {
    struct store *store;
    const struct store_domain *domain;
    struct disk_root root;
    uint32_t record_max; /* bytes of the largest record of a block */
    size_t window_blocks;
    /* The store's thread: */
    struct disk_walk *walk;
    bool end;
    struct wanted wanted[BLOCK_WINDOW_BLOCKS];
    size_t wanted_count;
    uint64_t numbers[BLOCK_WINDOW_BLOCKS];
    struct place places[BLOCK_WINDOW_BLOCKS];
};

/* A stretch of one pack: the records of wanted[FIRST] up to, not with, wanted[END]. */
struct stretch {
    size_t first;
    size_t end;
    uint64_t begin_offset;
    uint64_t end_offset;
};

enum status block_window_new(struct block_window **ret_window, struct error *err)
{
    struct block_window *window = memory_new(1, sizeof(*window));

    if (window == NULL)
        return error_set_no_memory(err, sizeof(*window), "blocks to read");
    window->memory = memory_new(1, BLOCK_WINDOW_MEMORY);
    if (window->memory == NULL) {
        block_window_free(window);
        return error_set_no_memory(err, BLOCK_WINDOW_MEMORY, "blocks to read");
    }
    *ret_window = window;
    return STATUS_OK;
}

void block_window_free(struct block_window *window)
{
    if (window == NULL)
        return;
    memory_free(window->memory);
    memory_free(window);
}

bool block_is_damage(enum status status)
{
    return status != STATUS_OK && status != STATUS_EXHAUSTED && status != STATUS_INTERNAL;
}

enum status block_reader_new(struct store *store, const struct store_domain *domain,
                             const struct disk_root *root, struct block_reader **ret_reader,
                             struct error *err)
{
    struct block_reader *reader = memory_new(1, sizeof(*reader));

    if (reader == NULL)
        return error_set_no_memory(err, sizeof(*reader), "a reader of blocks");
    reader->store = store;
    reader->domain = domain;
    reader->root = *root;
    reader->record_max = RECORD_HEADER_SIZE + root->block_size + XAES_TAG_SIZE;
    reader->window_blocks = BLOCK_WINDOW_PLAIN / root->block_size;
    if (reader->window_blocks > BLOCK_WINDOW_BLOCKS)
        reader->window_blocks = BLOCK_WINDOW_BLOCKS;

    enum status st = disk_walk_new(store, domain, root, &reader->walk, err);

    if (st != STATUS_OK) {
        block_reader_free(reader);
        return st;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void block_reader_free(struct block_reader *reader)
{
    if (reader == NULL)
        return;
    disk_walk_free(reader->walk);
    memory_free(reader);
}

/* ---- Which blocks ---------------------------------------------------------------------------- */

/* The next block, or range that cannot be read, into BLOCK. */
static enum status take_block(struct block_reader *reader, struct block_read *block,
                              struct error *err)
{
    block->count = 0;
    block->err = (struct error){0};
    block->record = slice_of(NULL, 0);
    block->place = (struct place){.length = 0};
    block->status = disk_walk_next(reader->walk, &block->block, &block->count, &block->ref,
                                   &reader->end, &block->err);
    if (block->status == STATUS_OK) {
        block->count = 1;
        return STATUS_OK;
    }
    if (block_is_damage(block->status) && block->count > 0)
        return STATUS_OK;
    *err = block->err;
    return block->status;
}

static enum status take_blocks(struct block_reader *reader, struct block_window *window,
                               struct error *err)
{
    enum status st = STATUS_OK;

    reader->wanted_count = 0;
    while (window->count < reader->window_blocks && !reader->end) {
        struct block_read *block = &window->blocks[window->count];

        st = take_block(reader, block, err);
        if (st != STATUS_OK)
            return st;
        if (reader->end)
            break;
        window->count++;
        if (block->status == STATUS_OK)
            reader->wanted[reader->wanted_count++] =
                (struct wanted){.number = block->ref.number, .block = block};
    }
    window->end = reader->end;
    return STATUS_OK;
}

/* ---- Where they lie -------------------------------------------------------------------------- */

static int by_number(const void *left, const void *right)
{
    const struct wanted *a = left;
    const struct wanted *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

static int by_place(const void *left, const void *right)
{
    const struct wanted *a = left;
    const struct wanted *b = right;
    int packs = memcmp(a->place.pack.bytes, b->place.pack.bytes, RANDOM_ID_SIZE);

    if (packs != 0)
        return packs;
    return (a->place.offset > b->place.offset) - (a->place.offset < b->place.offset);
}

/* "record 7 in pack ... at 4096: " before the sentence of ERR. */
static enum status name_place(uint64_t number, const struct place *place, struct error *err)
{
    char name[RANDOM_ID_TEXT_SIZE];

    random_id_text(&place->pack, name);
    return error_wrap(err, "record %" PRIu64 " in pack %s at %" PRIu64, number, name,
                      place->offset);
}

/* Can a block's record lie there? Else the block is damaged. */
static bool check_place(const struct block_reader *reader, struct block_read *block)
{
    const struct place *place = &block->place;
    uint64_t end = 0;

    if (place->length == 0) {
        block->status =
            error_set(&block->err, STATUS_CORRUPT,
                      "record %" PRIu64 " is in no pack that is here: see the coordinator's log",
                      block->ref.number);
        return false;
    }
    if (place->length <= RECORD_HEADER_SIZE + XAES_TAG_SIZE || place->length > reader->record_max ||
        !checked_add(place->offset, place->length, &end)) {
        DISCARD(error_set(&block->err, STATUS_CORRUPT,
                          "%" PRIu32 " bytes cannot be a block's record", place->length));
        block->status = name_place(block->ref.number, place, &block->err);
        return false;
    }
    return true;
}

/* Looks the wanted up, each number once, ascending; what is left of them is in the order of the packs. */
static enum status find_places(struct block_reader *reader, struct error *err)
{
    struct wanted *wanted = reader->wanted;
    size_t unique = 0;
    size_t found = 0;

    if (reader->wanted_count == 0)
        return STATUS_OK;
    qsort(wanted, reader->wanted_count, sizeof(*wanted), by_number);
    for (size_t i = 0; i < reader->wanted_count; i++)
        if (i == 0 || wanted[i].number != wanted[i - 1].number)
            reader->numbers[unique++] = wanted[i].number;

    enum status st = store_places(reader->store, reader->numbers, unique, reader->places, err);

    if (st != STATUS_OK)
        return st;
    unique = 0;
    for (size_t i = 0; i < reader->wanted_count; i++) {
        if (wanted[i].number != reader->numbers[unique])
            unique++;
        wanted[i].place = reader->places[unique];
        wanted[i].block->place = reader->places[unique];
        if (check_place(reader, wanted[i].block))
            wanted[found++] = wanted[i];
    }
    reader->wanted_count = found;
    qsort(wanted, found, sizeof(*wanted), by_place);
    return STATUS_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static uint64_t end_of(const struct place *place)
{
    return place->offset + place->length; /* check_place() */
}

/* The stretch that begins with wanted[FIRST]. *GAPS: bytes that may still be read over. */
static struct stretch stretch_from(const struct block_reader *reader, size_t first, uint64_t *gaps)
{
    const struct place *start = &reader->wanted[first].place;
    struct stretch stretch = {.first = first,
                              .end = first + 1,
                              .begin_offset = start->offset,
                              .end_offset = end_of(start)};

    for (; stretch.end < reader->wanted_count; stretch.end++) {
        const struct place *next = &reader->wanted[stretch.end].place;
        uint64_t gap = next->offset > stretch.end_offset ? next->offset - stretch.end_offset : 0;

        if (!random_id_equal(&next->pack, &start->pack) || gap > BLOCK_GAP_MAX || gap > *gaps ||
            end_of(next) - stretch.begin_offset > BLOCK_READ_MAX)
            break;
        *gaps -= gap;
        if (end_of(next) > stretch.end_offset)
            stretch.end_offset = end_of(next);
    }
    return stretch;
}

/* STATUS, why the record of WANTED could not be read: damage of the block, or the caller's. */
static enum status note_unread(const struct wanted *wanted, enum status status,
                               const struct error *why, struct error *err)
{
    if (!block_is_damage(status)) {
        *err = *why;
        return status;
    }
    wanted->block->err = *why;
    wanted->block->status = name_place(wanted->number, &wanted->place, &wanted->block->err);
    return STATUS_OK;
}

/* Each record of STRETCH by itself, to where it would be if all were read at once: so one that cannot be read takes none of
 * the others with it. */
static enum status read_singly(struct block_reader *reader, const struct stretch *stretch,
                               uint8_t *memory, struct error *err)
{
    for (size_t i = stretch->first; i < stretch->end; i++) {
        const struct wanted *wanted = &reader->wanted[i];
        const struct place *place = &wanted->place;
        uint8_t *target = memory + (place->offset - stretch->begin_offset);
        struct error why = {0};
        enum status st = store_read_pack(reader->store, &place->pack, place->offset, target,
                                         place->length, &why);

        if (st == STATUS_OK)
            wanted->block->record = slice_of(target, place->length);
        else if (note_unread(wanted, st, &why, err) != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static enum status read_stretch(struct block_reader *reader, const struct stretch *stretch,
                                uint8_t *memory, struct error *err)
{
    const struct wanted *first = &reader->wanted[stretch->first];
    struct error why = {0};
    enum status st =
        store_read_pack(reader->store, &first->place.pack, stretch->begin_offset, memory,
                        (size_t)(stretch->end_offset - stretch->begin_offset), &why);

    if (block_is_damage(st))
        return read_singly(reader, stretch, memory, err);
    if (st != STATUS_OK) {
        *err = why;
        return st;
    }
    for (size_t i = stretch->first; i < stretch->end; i++) {
        const struct wanted *wanted = &reader->wanted[i];

        wanted->block->record =
            slice_of(memory + (wanted->place.offset - stretch->begin_offset), wanted->place.length);
    }
    return STATUS_OK;
}

static enum status read_records(struct block_reader *reader, struct block_window *window,
                                struct error *err)
{
    uint64_t gaps = BLOCK_GAPS_MAX;
    size_t used = 0; /* at most BLOCK_WINDOW_MEMORY: the largest records of all, and the gaps */
    size_t next = 0;
    enum status st = STATUS_OK;

    while (st == STATUS_OK && next < reader->wanted_count) {
        struct stretch stretch = stretch_from(reader, next, &gaps);

        st = read_stretch(reader, &stretch, window->memory + used, err);
        used += (size_t)(stretch.end_offset - stretch.begin_offset);
        next = stretch.end;
    }
    return st;
}

enum status block_reader_fill(struct block_reader *reader, struct block_window *window,
                              struct error *err)
{
    window->count = 0;
    window->end = false;

    enum status st = take_blocks(reader, window, err);

    if (st == STATUS_OK)
        st = find_places(reader, err);
    if (st == STATUS_OK)
        st = read_records(reader, window, err);
    if (st != STATUS_OK)
        window->count = 0;
    return st;
}

/* ---- Proving --------------------------------------------------------------------------------- */

/* Is what HEADER says what the tree names? */
static enum status check_header(const struct block_reader *reader, const struct block_read *block,
                                const struct record_header *header, struct error *err)
{
    uint32_t length = disk_root_block_length(&reader->root, block->block);

    if (header->number != block->ref.number)
        return error_set(err, STATUS_CORRUPT, "there lies number %" PRIu64, header->number);
    if (header->kind != KIND_BLOCK || !id_equal(&header->id, &block->ref.id))
        return error_set(err, STATUS_CORRUPT, "it is another one than the tree names");
    if (!random_id_equal(&header->domain, &reader->domain->id))
        return error_set(err, STATUS_CORRUPT, "it is of another domain");
    if (header->plain_length != length)
        return error_set(err, STATUS_CORRUPT, "it has %" PRIu32 " bytes, the block %" PRIu32,
                         header->plain_length, length);
    return STATUS_OK;
}

static enum status prove(const struct block_reader *reader, const struct block_read *block,
                         struct codec_context *codec, uint8_t *ret_plain, struct buffer *ret_packed,
                         uint8_t *ret_codec, struct error *err)
{
    struct record_header header = {0};
    struct id id = {{0}};
    enum status st =
        record_unseal(store_keys(reader->store), block->record, &header, ret_packed, err);

    if (st == STATUS_OK)
        st = check_header(reader, block, &header, err);
    if (st == STATUS_OK)
        st = codec_decompress(codec, header.codec, buffer_slice(ret_packed), ret_plain,
                              header.plain_length, err);
    if (st == STATUS_OK)
        st = id_of(reader->domain->id_key, KIND_BLOCK, slice_of(ret_plain, header.plain_length),
                   &id, err);
    if (st == STATUS_OK && !id_equal(&id, &block->ref.id))
        st = error_set(err, STATUS_CORRUPT, "it does not hold what its id says");
    if (st == STATUS_OK)
        *ret_codec = header.codec;
    return st;
}

enum status block_prove(const struct block_reader *reader, const struct block_read *block,
                        struct codec_context *codec, uint8_t *ret_plain, struct buffer *ret_packed,
                        uint8_t *ret_codec, struct error *err)
{
    enum status st = prove(reader, block, codec, ret_plain, ret_packed, ret_codec, err);

    return st == STATUS_OK ? st : name_place(block->ref.number, &block->place, err);
}
