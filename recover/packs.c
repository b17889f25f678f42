#include "recover/packs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/record.h"

enum {
    OPEN_FILES = 128, /* packs that are open at once, at most */
    PACK_PATH_SIZE = sizeof(PACKS_DIR) + 1 + 255,
    ENVELOPES_MAX = 16 * 1024 * 1024,
    FIRST_ROOM = 64,
};

struct pack {
    char *file_name;
    struct random_id name;
    bool named;
    uint64_t size;
    struct fs_file *file; /* NULL: not open now */
};

struct packs {
    struct packs_options options;
    struct pack *rows;
    size_t count;
    uint64_t bytes;
    size_t open[OPEN_FILES]; /* 1 + the index of a pack that is open; 0: free */
    size_t next_open;        /* which of them is closed next */
    struct spots spots;
    struct packs_envelope *envelopes;
    size_t envelope_count;
    size_t envelope_room;
};

/* ---- Files ----------------------------------------------------------------------------------- */

enum status packs_file(struct packs *packs, size_t pack, struct fs_file **ret_file,
                       struct error *err)
{
    struct pack *row = &packs->rows[pack];
    char path[PACK_PATH_SIZE];

    if (row->file == NULL) {
        size_t *slot = &packs->open[packs->next_open];

        INVARIANT(text_format(path, sizeof(path), PACKS_DIR "/%s", row->file_name));
        enum status st = fs_open(packs->options.fs, path, FS_READ, &row->file, err);

        if (st != STATUS_OK)
            return st;
        if (*slot != 0) {
            fs_close(packs->rows[*slot - 1].file);
            packs->rows[*slot - 1].file = NULL;
        }
        *slot = pack + 1;
        packs->next_open = (packs->next_open + 1) % OPEN_FILES;
    }
    *ret_file = row->file;
    return STATUS_OK;
}

enum status packs_read(struct packs *packs, const struct spot *spot, struct buffer *ret_record,
                       struct error *err)
{
    struct fs_file *file = NULL;
    enum status st = packs_file(packs, spot->pack, &file, err);

    if (st != STATUS_OK)
        return st;
    buffer_clear(ret_record);

    uint8_t *target = buffer_extend(ret_record, spot->length);

    st = buffer_check(ret_record, "a record", err);
    if (st == STATUS_OK)
        st = fs_read_exactly_at(file, spot->offset, target, spot->length, err);
    return st;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* "NAME.data" or "NAME.meta": what the file's name says of it. */
static bool parse_name(const char *file_name, struct random_id *ret_name,
                       enum pack_class *ret_class)
{
    const size_t digits = RANDOM_ID_TEXT_SIZE - 1;

    if (strlen(file_name) <= digits ||
        !text_parse_hex(slice_of(file_name, digits), ret_name->bytes, RANDOM_ID_SIZE))
        return false;
    if (strcmp(file_name + digits, ".data") == 0)
        *ret_class = PACK_DATA;
    else if (strcmp(file_name + digits, ".meta") == 0)
        *ret_class = PACK_META;
    else
        return false;
    return true;
}

/* What one pack's reading needs. */
struct reading {
    struct packs *packs;
    size_t pack;
    uint64_t lost; /* bytes that are no record */
    bool too_far;  /* a record lies where no pack of ours reaches */
};

static enum status add_envelope(struct packs *packs, const struct pack_entry *entry,
                                struct error *err)
{
    if (packs->envelope_count == packs->envelope_room) {
        size_t room = packs->envelope_room == 0 ? FIRST_ROOM : packs->envelope_room * 2;
        struct packs_envelope *grown = NULL;

        if (room <= ENVELOPES_MAX)
            grown = memory_resize(packs->envelopes, room, sizeof(*grown));
        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(*grown), "the list of envelopes");
        packs->envelopes = grown;
        packs->envelope_room = room;
    }
    packs->envelopes[packs->envelope_count++] =
        (struct packs_envelope){.domain = entry->domain,
                                .ref = {.id = entry->id, .number = entry->number}};
    return STATUS_OK;
}

static enum status note_record(void *arg, const struct pack_entry *entry, struct error *err)
{
    struct reading *reading = arg;
    const struct spot spot = {.number = entry->number,
                              .id_bits = spots_id_bits(&entry->id),
                              .pack = (uint32_t)reading->pack,
                              .offset = (uint32_t)entry->offset,
                              .length = entry->length};

    if (entry->offset > UINT32_MAX) {
        reading->too_far = true;
        return STATUS_OK;
    }
    enum status st = spots_add(&reading->packs->spots, &spot, err);

    if (st == STATUS_OK && entry->kind == KIND_ENVELOPE)
        st = add_envelope(reading->packs, entry, err);
    return st;
}

static void note_gap(void *arg, uint64_t from, uint64_t to)
{
    struct reading *reading = arg;

    reading->lost += to - from;
}

/* Every record that can be found in the file. */
static enum status read_records(struct reading *reading, struct fs_file *file,
                                const struct pack_scan_head *head, struct error *err)
{
    const struct packs_options *options = &reading->packs->options;
    const struct pack *row = &reading->packs->rows[reading->pack];
    const struct pack_scan_sealed sealed = {.file = file,
                                            .name = &row->name,
                                            .keys = options->keys,
                                            .codec = options->codec};
    struct error damage = {0};
    enum status st = STATUS_CORRUPT;

    if (!options->scan && row->named)
        st = pack_scan_index(&sealed, head, note_record, reading, &damage);
    if (st != STATUS_CORRUPT) {
        if (st != STATUS_OK)
            *err = damage;
        return st;
    }
    if (!options->scan && head->sealed)
        teller_warn(options->teller,
                    "pack %s: its index cannot be used (%s); it is read record by record",
                    row->file_name, row->named ? damage.text : "nothing says its name");
    st = pack_scan_records(file, head, note_record, note_gap, reading, err);
    if (st == STATUS_OK && reading->lost > 0)
        teller_warn(options->teller,
                    "pack %s: %" PRIu64
                    " of its bytes are no record: damaged, or cut off by a crash",
                    row->file_name, reading->lost);
    return st;
}

/* Is it one of this repository? Sets the row's name and size. */
static bool identify(struct packs *packs, struct pack *row, const struct pack_scan_head *head)
{
    const struct packs_options *options = &packs->options;
    char text[RANDOM_ID_TEXT_SIZE];

    row->size = head->size;
    if (!head->sound) {
        teller_warn(options->teller,
                    "pack %s: its header is damaged; what is in it is read all the same",
                    row->file_name);
        return true;
    }
    if (options->repository != NULL &&
        !random_id_equal(&head->header.repository, options->repository)) {
        random_id_text(&head->header.repository, text);
        teller_warn(options->teller, "pack %s is of another repository, %s; it is left out",
                    row->file_name, text);
        return false;
    }
    if (row->named && !random_id_equal(&row->name, &head->header.name))
        teller_warn(options->teller,
                    "pack %s has another pack's file name; it is read all the same",
                    row->file_name);
    row->name = head->header.name;
    row->named = true;
    return true;
}

static enum status read_pack(struct packs *packs, size_t pack, bool *ret_ours, struct error *err)
{
    struct reading reading = {.packs = packs, .pack = pack};
    struct pack *row = &packs->rows[pack];
    struct pack_scan_head head;
    struct fs_file *file = NULL;
    enum status st = packs_file(packs, pack, &file, err);

    if (st == STATUS_OK)
        st = pack_scan_head(file, &head, err);
    if (st == STATUS_OK) {
        *ret_ours = identify(packs, row, &head);
        if (*ret_ours)
            st = read_records(&reading, file, &head, err);
    }
    if (reading.too_far)
        teller_warn(packs->options.teller,
                    "pack %s is larger than any of ours; its end is left out", row->file_name);
    return st;
}

/* ---- All ------------------------------------------------------------------------------------- */

static int by_ref(const void *a, const void *b)
{
    const struct packs_envelope *left = a;
    const struct packs_envelope *right = b;

    if (left->ref.number != right->ref.number)
        return left->ref.number < right->ref.number ? -1 : 1;
    return id_compare(&left->ref.id, &right->ref.id);
}

/* One may lie in several packs. */
static void sort_envelopes(struct packs *packs)
{
    size_t kept = 0;

    if (packs->envelope_count == 0)
        return;
    qsort(packs->envelopes, packs->envelope_count, sizeof(packs->envelopes[0]), by_ref);
    for (size_t i = 0; i < packs->envelope_count; i++)
        if (kept == 0 || by_ref(&packs->envelopes[kept - 1], &packs->envelopes[i]) != 0)
            packs->envelopes[kept++] = packs->envelopes[i];
    packs->envelope_count = kept;
}

/* Reads the file FILE_NAME, if it is to be; a row of it stays only if it was. */
static enum status take_file(struct packs *packs, const char *file_name, struct error *err)
{
    struct teller *teller = packs->options.teller;
    enum pack_class class = PACK_META;
    struct pack *row = &packs->rows[packs->count];
    struct error damage = {0};
    bool ours = true;

    *row = (struct pack){0};
    row->named = parse_name(file_name, &row->name, &class);
    if (row->named && class == PACK_DATA && packs->options.meta_only)
        return STATUS_OK;
    row->file_name = memory_copy_text(file_name);
    if (row->file_name == NULL)
        return error_set_no_memory(err, strlen(file_name), "the name of a pack");
    packs->count++;

    enum status st = read_pack(packs, packs->count - 1, &ours, &damage);

    if (st == STATUS_EXHAUSTED || st == STATUS_INTERNAL) {
        *err = damage;
        return st;
    }
    if (st !=
        STATUS_OK) /* a bad disk: what was found before stays, and proves itself when it is read */
        teller_warn(teller, "pack %s cannot be read: %s", file_name, damage.text);
    if (ours)
        packs->bytes += row->size;
    else
        row->size = 0;
    return STATUS_OK;
}

static enum status read_all(struct packs *packs, struct error *err)
{
    struct packs_options *options = &packs->options;
    struct fs_names names = {0};
    enum status st = fs_list(options->fs, PACKS_DIR, &names, err);

    if (st != STATUS_OK) {
        st = error_wrap(err, "the folder of the packs, " PACKS_DIR);
        goto out;
    }
    packs->rows = memory_new(names.count, sizeof(packs->rows[0]));
    if (packs->rows == NULL) {
        st = error_set_no_memory(err, names.count * sizeof(packs->rows[0]), "the list of packs");
        goto out;
    }
    for (size_t i = 0; i < names.count && st == STATUS_OK; i++) {
        show_progress_step(&options->teller->progress, "reading packs", i, names.count);
        st = take_file(packs, names.names[i], err);
    }
    if (st == STATUS_OK)
        st = spots_sort(&packs->spots, err);
    if (st == STATUS_OK)
        sort_envelopes(packs);
out:
    fs_names_deinit(&names);
    return st;
}

enum status packs_open(const struct packs_options *options, struct packs **ret_packs,
                       struct error *err)
{
    struct packs *packs = memory_new(1, sizeof(*packs));

    if (packs == NULL)
        return error_set_no_memory(err, sizeof(*packs), "the packs");
    packs->options = *options;
    packs->spots.limit = options->memory;

    enum status st = read_all(packs, err);

    if (st == STATUS_OK) {
        *ret_packs = packs;
        packs = NULL;
    }
    packs_free(packs);
    return st;
}

void packs_free(struct packs *packs)
{
    if (packs == NULL)
        return;
    for (size_t i = 0; i < packs->count; i++) {
        fs_close(packs->rows[i].file);
        memory_free(packs->rows[i].file_name);
    }
    memory_free(packs->rows);
    memory_free(packs->envelopes);
    spots_deinit(&packs->spots);
    memory_free(packs);
}

size_t packs_count(const struct packs *packs)
{
    return packs->count;
}

struct packs_about packs_about(const struct packs *packs, size_t pack)
{
    const struct pack *row = &packs->rows[pack];

    return (struct packs_about){.file_name = row->file_name,
                                .name = row->named ? &row->name : NULL,
                                .size = row->size};
}

uint64_t packs_bytes(const struct packs *packs)
{
    return packs->bytes;
}

const struct packs_envelope *packs_envelopes(const struct packs *packs, size_t *ret_count)
{
    *ret_count = packs->envelope_count;
    return packs->envelopes;
}

const struct spot *packs_find(const struct packs *packs, uint64_t number, size_t *ret_count)
{
    return spots_find(&packs->spots, number, ret_count);
}
