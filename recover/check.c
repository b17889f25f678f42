#include "recover/check.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/buffer.h"
#include "format/record.h"
#include "recover/list.h"
#include "recover/pack_scan.h"
#include "recover/show.h"

struct checking {
    const struct check_options *options;
    size_t pack;
    uint64_t records;
    uint64_t sound;
    uint64_t findings;
    uint64_t done; /* bytes of the packs before this one */
    bool sealed;
    uint64_t synced; /* what of this pack the log calls durable */
    struct fs_file *file;
    struct buffer record;
    struct buffer stored;
};

PRINTF_LIKE(2, 3) static void find(struct checking *checking, const char *format, ...)
{
    va_list values;

    checking->findings++;
    show_progress_clear(&checking->options->teller->progress);
    va_start(values, format);
    (void)vfprintf(checking->options->out, format, values); /* the flush at the end tells */
    (void)fputc('\n', checking->options->out);
    va_end(values);
}

/* ---- Packs ----------------------------------------------------------------------------------- */

static const char *name_of(const struct checking *checking)
{
    return packs_about(checking->options->packs, checking->pack).file_name;
}

static enum status prove(struct checking *checking, const struct pack_entry *entry,
                         struct error *err)
{
    struct record_header header;

    buffer_clear(&checking->record);

    uint8_t *target = buffer_extend(&checking->record, entry->length);
    enum status st = buffer_check(&checking->record, "a record", err);

    if (st == STATUS_OK)
        st = fs_read_exactly_at(checking->file, entry->offset, target, entry->length, err);
    if (st == STATUS_OK)
        st = things_prove(checking->options->things, buffer_slice(&checking->record), &header,
                          &checking->stored, err);
    if (st == STATUS_OK && (header.number != entry->number || !id_equal(&header.id, &entry->id)))
        st = error_set(err, STATUS_CORRUPT, "the pack's index names another record there");
    return st;
}

static enum status check_record(void *arg, const struct pack_entry *entry, struct error *err)
{
    struct checking *checking = arg;
    char kind[KIND_TEXT_SIZE];
    struct error damage = {0};
    enum status st = prove(checking, entry, &damage);

    checking->records++;
    show_progress_step(&checking->options->teller->progress, "checking",
                       checking->done + entry->offset, packs_bytes(checking->options->packs));
    if (st == STATUS_OK) {
        checking->sound++;
        return st;
    }
    if (st == STATUS_EXHAUSTED || st == STATUS_INTERNAL) {
        *err = damage;
        return st;
    }
    kind_text(entry->kind, kind);
    find(checking, "pack %s: at %" PRIu64 ": %s, record %" PRIu64 ": %s", name_of(checking),
         entry->offset, kind, entry->number, damage.text);
    return STATUS_OK;
}

static void check_gap(void *arg, uint64_t from, uint64_t to)
{
    struct checking *checking = arg;
    uint64_t size = packs_about(checking->options->packs, checking->pack).size;

    /* Behind all that was ever called durable it is what a crash left, and nothing was in it. */
    if (!checking->sealed && to == size && from >= checking->synced)
        teller_warn(checking->options->teller,
                    "pack %s: a crash has left %" PRIu64 " bytes at its end that are no record",
                    name_of(checking), to - from);
    else
        find(checking, "pack %s: bytes %" PRIu64 " to %" PRIu64 " are no record", name_of(checking),
             from, to);
}

/* A sealed pack is read by its index, which also names what is damaged; then record by record for what no index names. */
static enum status check_pack(struct checking *checking, struct error *err)
{
    const struct check_options *options = checking->options;
    const struct packs_about about = packs_about(options->packs, checking->pack);
    struct pack_scan_head head;
    struct error damage = {0};
    enum status st = packs_file(options->packs, checking->pack, &checking->file, err);

    if (st == STATUS_OK)
        st = pack_scan_head(checking->file, &head, err);
    if (st != STATUS_OK)
        return st;
    checking->sealed = head.sealed;
    checking->synced = about.name == NULL ? 0 : log_sum_synced(options->log, about.name);
    if (!head.sound)
        find(checking, "pack %s: its header is damaged", about.file_name);
    if (about.size < checking->synced)
        find(checking, "pack %s: %" PRIu64 " bytes are left of %" PRIu64 " that were durable",
             about.file_name, about.size, checking->synced);
    if (head.sealed && about.name != NULL) {
        const struct pack_scan_sealed sealed = {.file = checking->file,
                                                .name = about.name,
                                                .keys = options->keys,
                                                .codec = options->codec};

        st = pack_scan_index(&sealed, &head, check_record, checking, &damage);
        if (st == STATUS_OK)
            return st;
        if (st != STATUS_CORRUPT) {
            *err = damage;
            return st;
        }
        find(checking, "pack %s: its index: %s", about.file_name, damage.text);
    }
    return pack_scan_records(checking->file, &head, check_record, check_gap, checking, err);
}

static enum status check_packs(struct checking *checking, struct error *err)
{
    struct packs *packs = checking->options->packs;

    for (size_t i = 0; i < packs_count(packs); i++) {
        struct packs_about about = packs_about(packs, i);
        struct error trouble = {0};

        if (about.size == 0)
            continue; /* of another repository, or empty: said before */
        checking->pack = i;
        enum status st = check_pack(checking, &trouble);

        if (st == STATUS_EXHAUSTED || st == STATUS_INTERNAL) {
            *err = trouble;
            return st;
        }
        if (st != STATUS_OK)
            find(checking, "pack %s cannot be read: %s", about.file_name, trouble.text);
        checking->done += about.size;
    }
    show_progress_clear(&checking->options->teller->progress);
    return STATUS_OK;
}

/* ---- Points ---------------------------------------------------------------------------------- */

static enum status check_point(struct checking *checking, const struct point *point,
                               struct error *err)
{
    const struct check_options *options = checking->options;
    char id[ID_TEXT_SIZE];
    char bytes[SHOW_SIZE];
    struct list_depth depth = {0};
    enum status st = STATUS_OK;

    point_id_text(point, id);
    if (point->lost[0] != '\0')
        find(checking, "point %s: %s: %s", id, point->envelope_there ? "lost" : "its envelope",
             point->lost);
    if (point->body_there && !point->proved)
        teller_warn(options->teller, "point %s is not proved to be what host %s has read: %s", id,
                    point->host, point->doubt);
    if (!point->envelope_there)
        return STATUS_OK;
    st = list_measure(options->things, options->teller, point, &depth, err);
    if (st == STATUS_OK && depth.bytes > 0) {
        show_bytes(depth.bytes, bytes);
        find(checking,
             "point %s: %s of it cannot be had (%" PRIu64 " blocks in no pack, %" PRIu64
             " nodes lost), the first at byte %" PRIu64 " of %s: %s",
             id, bytes, depth.blocks, depth.nodes, depth.first_lost,
             point->items[depth.first_item].name, depth.reason);
    }
    return st;
}

enum status check_all(const struct check_options *options, uint64_t *ret_findings,
                      struct error *err)
{
    struct checking checking = {.options = options};
    char bytes[SHOW_SIZE];

    buffer_init(&checking.record, RECORD_SIZE_MAX);
    buffer_init(&checking.stored, RECORD_PLAIN_MAX);
    show_progress_restart(&options->teller->progress);

    enum status st = check_packs(&checking, err);

    for (size_t i = 0; i < options->points->count && st == STATUS_OK; i++)
        if (options->points->rows[i].state != POINT_PURGED)
            st = check_point(&checking, &options->points->rows[i], err);
    if (st == STATUS_OK) {
        show_bytes(packs_bytes(options->packs), bytes);
        (void)fprintf(options->out,
                      "%zu packs with %s, %" PRIu64 " records, %" PRIu64 " of them proved; %" PRIu64
                      " log entries, %zu restore points; %" PRIu64 " findings\n",
                      packs_count(options->packs), bytes, checking.records, checking.sound,
                      options->log->entries, options->points->count, checking.findings);
        *ret_findings = checking.findings;
        if (fflush(options->out) != 0)
            st = error_set(err, STATUS_UNAVAILABLE, "standard output takes no more");
    }
    buffer_deinit(&checking.record);
    buffer_deinit(&checking.stored);
    return st;
}
