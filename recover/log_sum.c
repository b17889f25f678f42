#include "recover/log_sum.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/log_body.h"
#include "recover/log_scan.h"

enum { FIRST_ROOM = 64, ROWS_MAX = 64 * 1024 * 1024 };

/* What an entry says, as far as it is about restore points. */
struct fact {
    size_t writer; /* its index in reading.writers */
    uint64_t sequence;
    uint64_t
        summary; /* sequence of the summary's first part that repeats it; 0: the entry itself */
    uint8_t type;
    bool held;
    int64_t until_us;
    struct random_id task;
    struct random_id domain;
    struct ref envelope;
};

/* A summary of which at least one part was there. */
struct summary {
    size_t writer;
    uint64_t first; /* sequence of its part 0 */
    uint32_t parts;
    uint32_t seen; /* parts 0 to SEEN - 1, in order */
};

/* Entries FROM to TO are missing, or the chain does not hold between them. */
struct hole {
    size_t writer;
    uint64_t from;
    uint64_t to;
};

struct writer {
    struct random_id id;
    uint64_t sequence; /* of the newest entry */
    struct hash_digest hash;
};

/* Rows of any kind that grow. */
struct rows {
    void *rows;
    size_t count;
    size_t room;
};

struct reading {
    struct teller *teller;
    struct rows facts;
    struct rows summaries;
    struct rows holes;
    struct rows writers;
    struct rows packs; /* struct log_sum_pack, unsorted */
    uint64_t entries;
};

static enum status rows_add(struct rows *rows, const void *row, size_t size, struct error *err)
{
    if (rows->count == rows->room) {
        size_t room = rows->room == 0 ? FIRST_ROOM : rows->room * 2;
        void *grown = room <= ROWS_MAX ? memory_resize(rows->rows, room, size) : NULL;

        if (grown == NULL)
            return error_set_no_memory(err, room * size, "what the log says");
        rows->rows = grown;
        rows->room = room;
    }
    memcpy((uint8_t *)rows->rows + rows->count++ * size, row, size);
    return STATUS_OK;
}

/* ---- One entry ------------------------------------------------------------------------------- */

static enum status add_packs(struct reading *reading, const struct log_packs *packs,
                             struct error *err)
{
    enum status st = STATUS_OK;

    for (uint16_t i = 0; i < packs->count && st == STATUS_OK; i++) {
        const struct log_sum_pack row = {.name = packs->packs[i].name,
                                         .synced = packs->packs[i].synced};

        st = rows_add(&reading->packs, &row, sizeof(row), err);
    }
    return st;
}

static enum status decode_point(struct reading *reading, struct slice body, struct fact *fact,
                                struct error *err)
{
    struct log_point point;
    enum status st = log_point_decode(body, &point, err);

    if (st != STATUS_OK)
        return st;
    fact->task = point.task;
    fact->domain = point.domain;
    fact->envelope = point.envelope;
    return add_packs(reading, &point.packs, err);
}

static enum status decode_until(struct slice body, struct fact *fact, struct error *err)
{
    struct log_until until;
    enum status st = log_until_decode(body, &until, err);

    if (st != STATUS_OK)
        return st;
    fact->task = until.task;
    fact->until_us = until.until_us;
    return STATUS_OK;
}

static enum status decode_named(struct slice body, struct fact *fact, struct error *err)
{
    struct log_named named;
    enum status st = log_named_decode(body, &named, err);

    if (st == STATUS_OK)
        fact->task = named.task;
    return st;
}

static enum status decode_hold(struct slice body, struct fact *fact, struct error *err)
{
    struct log_hold hold;
    enum status st = log_hold_decode(body, &hold, err);

    if (st != STATUS_OK)
        return st;
    fact->task = hold.task;
    fact->held = hold.held;
    return STATUS_OK;
}

/* FACT (writer, sequence, summary, type are set) of BODY, if it is about points. */
static enum status add_fact(struct reading *reading, struct fact *fact, struct slice body,
                            struct error *err)
{
    enum status st = STATUS_OK;

    switch (fact->type) {
    case LOG_POINT:
        st = decode_point(reading, body, fact, err);
        break;
    case LOG_TRASH:
    case LOG_LOCK:
        st = decode_until(body, fact, err);
        break;
    case LOG_UNDELETE:
    case LOG_PURGE:
        st = decode_named(body, fact, err);
        break;
    case LOG_HOLD:
        st = decode_hold(body, fact, err);
        break;
    default: /* of other things, or of a later build */
        return STATUS_OK;
    }
    if (st == STATUS_OK)
        st = rows_add(&reading->facts, fact, sizeof(*fact), err);
    return st;
}

/* The summary that a part of it belongs to. */
static enum status note_part(struct reading *reading, const struct fact *part,
                             const struct log_summary *summary, struct error *err)
{
    struct summary *rows = reading->summaries.rows;

    for (size_t i = 0; i < reading->summaries.count; i++) {
        if (rows[i].writer == part->writer && rows[i].first == part->summary) {
            if (summary->part == rows[i].seen && summary->parts == rows[i].parts)
                rows[i].seen++;
            return STATUS_OK;
        }
    }
    const struct summary row = {.writer = part->writer,
                                .first = part->summary,
                                .parts = summary->parts,
                                .seen = summary->part == 0 ? 1 : 0};

    return rows_add(&reading->summaries, &row, sizeof(row), err);
}

static enum status add_summary(struct reading *reading, struct fact *part, struct slice body,
                               struct error *err)
{
    struct log_summary summary;
    enum status st = log_summary_decode(body, &summary, err);

    if (st != STATUS_OK)
        return st;
    if (summary.part >= part->sequence)
        return error_set(err, STATUS_CORRUPT, "a summary's part before its first");
    part->summary = part->sequence - summary.part;
    while (st == STATUS_OK && summary.items.size > 0) {
        struct log_item item;
        struct fact fact = *part;

        st = log_item_take(&summary.items, &item, err);
        fact.type = item.type;
        fact.sequence = item.sequence;
        if (st == STATUS_OK)
            st = add_fact(reading, &fact, item.body, err);
    }
    if (st == STATUS_OK) /* only once all of its items are in */
        st = note_part(reading, part, &summary, err);
    return st;
}

/* ---- The chain ------------------------------------------------------------------------------- */

static enum status writer_of(struct reading *reading, const struct random_id *id,
                             size_t *ret_writer, struct error *err)
{
    const struct writer *rows = reading->writers.rows;
    const struct writer row = {.id = *id};

    for (size_t i = 0; i < reading->writers.count; i++) {
        if (random_id_equal(&rows[i].id, id)) {
            *ret_writer = i;
            return STATUS_OK;
        }
    }
    *ret_writer = reading->writers.count;
    return rows_add(&reading->writers, &row, sizeof(row), err);
}

/* Entries of WRITER from SEQUENCE on were given up by who wrote what is read now. */
static void give_up(struct reading *reading, size_t writer, uint64_t sequence)
{
    struct fact *facts = reading->facts.rows;
    struct summary *summaries = reading->summaries.rows;
    size_t kept = 0;

    for (size_t i = 0; i < reading->facts.count; i++)
        if (facts[i].writer != writer ||
            (facts[i].summary == 0 ? facts[i].sequence : facts[i].summary) < sequence)
            facts[kept++] = facts[i];
    reading->facts.count = kept;
    kept = 0;
    for (size_t i = 0; i < reading->summaries.count; i++)
        if (summaries[i].writer != writer || summaries[i].first < sequence)
            summaries[kept++] = summaries[i];
    reading->summaries.count = kept;
}

/* Where ENTRY stands in its writer's chain. *RET_NEW: it says something that is not known. */
static enum status follow(struct reading *reading, const struct log_scan_entry *entry,
                          size_t writer, bool *ret_new, struct error *err)
{
    struct writer *row = (struct writer *)reading->writers.rows + writer;
    const struct log_entry_header *header = entry->header;
    struct hole hole = {.writer = writer, .from = row->sequence + 1, .to = header->sequence};
    bool next = header->sequence == row->sequence + 1;
    enum status st = STATUS_OK;

    *ret_new = true;
    if (header->sequence == row->sequence &&
        memcmp(entry->hash, &row->hash, sizeof(row->hash)) == 0) {
        *ret_new = false; /* the same once more */
        return STATUS_OK;
    }
    if (header->sequence <= row->sequence) {
        /* An entry that takes another one's place, or that one before the newest once more: what it took the place of was
         * given up. Further back it can only be a stranger's segment among ours. */
        if (!entry->first || header->sequence + 1 < row->sequence) {
            teller_warn(reading->teller,
                        "the log goes back from entry %" PRIu64 " to %" PRIu64
                        "; what it says again is not believed",
                        row->sequence, header->sequence);
            *ret_new = false;
            return STATUS_OK;
        }
        give_up(reading, writer, header->sequence);
    } else if (!next || (row->sequence > 0 &&
                         memcmp(&header->previous, &row->hash, sizeof(row->hash)) != 0)) {
        st = rows_add(&reading->holes, &hole, sizeof(hole), err);
    }
    row->sequence = header->sequence;
    row->hash = *entry->hash;
    return st;
}

static enum status take_entry(void *arg, const struct log_scan_entry *entry, struct error *err)
{
    struct reading *reading = arg;
    struct fact fact = {.sequence = entry->header->sequence, .type = entry->header->type};
    struct error damage = {0};
    bool is_new = false;
    enum status st = writer_of(reading, &entry->header->writer, &fact.writer, err);

    if (st == STATUS_OK)
        st = follow(reading, entry, fact.writer, &is_new, err);
    if (st != STATUS_OK || !is_new)
        return st;
    reading->entries++;
    st = fact.type == LOG_SUMMARY ? add_summary(reading, &fact, entry->body, &damage)
                                  : add_fact(reading, &fact, entry->body, &damage);
    if (st == STATUS_CORRUPT) {
        teller_warn(reading->teller, "entry %" PRIu64 " of the log cannot be understood: %s",
                    entry->header->sequence, damage.text);
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = damage;
    return st;
}

/* ---- The sum --------------------------------------------------------------------------------- */

/* The newest whole summary of WRITER; NULL: none. */
static const struct summary *base_of(const struct reading *reading, size_t writer)
{
    const struct summary *rows = reading->summaries.rows;
    const struct summary *base = NULL;
    const struct summary *newest = NULL;

    for (size_t i = 0; i < reading->summaries.count; i++) {
        if (rows[i].writer != writer)
            continue;
        if (newest == NULL || rows[i].first > newest->first)
            newest = &rows[i];
        if (rows[i].seen == rows[i].parts && (base == NULL || rows[i].first > base->first))
            base = &rows[i];
    }
    if (newest != base)
        teller_warn(reading->teller,
                    "the log's newest summary, from entry %" PRIu64
                    " on, is not whole (a crash can leave it so); %s is used instead",
                    newest->first, base == NULL ? "what is left of the log" : "the one before");
    return base;
}

/* What is missing of what the sum is made of. */
static void tell_holes(const struct reading *reading, size_t writer, const struct summary *base)
{
    const struct hole *holes = reading->holes.rows;
    uint64_t counts_from = base == NULL ? 0 : base->first;

    for (size_t i = 0; i < reading->holes.count; i++) {
        if (holes[i].writer != writer || holes[i].to <= counts_from)
            continue;
        if (holes[i].to > holes[i].from)
            teller_warn(
                reading->teller,
                "entries %" PRIu64 " to %" PRIu64
                " of the log are missing; a point may be shown that was deleted there, and one "
                "that was made there is shown as not in the log",
                holes[i].from > counts_from ? holes[i].from : counts_from, holes[i].to - 1);
        else
            teller_warn(reading->teller,
                        "entry %" PRIu64 " of the log does not follow the one before it",
                        holes[i].to);
    }
}

/* Does FACT count? Of what a summary repeats, only what the base does; but of a newer one that is not whole, also what lies behind
 * the base. */
static bool counts(const struct fact *fact, const struct summary *base)
{
    if (base == NULL || fact->summary == base->first)
        return true;
    return fact->sequence >= base->first + base->parts;
}

static int by_sequence(const void *a, const void *b)
{
    const struct fact *left = a;
    const struct fact *right = b;

    if (left->writer != right->writer)
        return left->writer < right->writer ? -1 : 1;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* The point of FACT's task; a new one for a point or a purge. NULL without an error: none. */
static enum status point_of(struct rows *points, const struct fact *fact,
                            struct log_sum_point **ret_point, struct error *err)
{
    const struct log_sum_point fresh = {.task = fact->task};
    struct log_sum_point *rows = points->rows;
    enum status st = STATUS_OK;

    *ret_point = NULL;
    for (size_t i = points->count; i > 0; i--) { /* mostly it is a late one */
        if (random_id_equal(&rows[i - 1].task, &fact->task)) {
            *ret_point = &rows[i - 1];
            return STATUS_OK;
        }
    }
    st = rows_add(points, &fresh, sizeof(fresh), err);
    if (st == STATUS_OK)
        *ret_point = (struct log_sum_point *)points->rows + (points->count - 1);
    return st;
}

static void apply(struct log_sum_point *point, const struct fact *fact)
{
    switch (fact->type) {
    case LOG_POINT:
        point->there = true;
        point->domain = fact->domain;
        point->envelope = fact->envelope;
        break;
    case LOG_TRASH:
        point->trashed = true;
        point->trash_until_us = fact->until_us;
        break;
    case LOG_UNDELETE:
        point->trashed = false;
        break;
    case LOG_PURGE:
        point->purged = true;
        break;
    case LOG_LOCK:
        point->trashed = false;
        if (fact->until_us > point->lock_until_us)
            point->lock_until_us = fact->until_us;
        break;
    case LOG_HOLD:
        point->held = fact->held;
        break;
    default: /* add_fact() takes no other */
        break;
    }
}

static enum status sum_writer(struct reading *reading, size_t writer, struct rows *points,
                              struct error *err)
{
    const struct summary *base = base_of(reading, writer);
    const struct fact *facts = reading->facts.rows;
    const struct fact *last = NULL;
    enum status st = STATUS_OK;

    tell_holes(reading, writer, base);
    for (size_t i = 0; i < reading->facts.count && st == STATUS_OK; i++) {
        struct log_sum_point *point = NULL;

        if (facts[i].writer != writer || !counts(&facts[i], base))
            continue;
        if (last != NULL && last->sequence == facts[i].sequence)
            continue; /* an entry, and a summary that repeats it */
        last = &facts[i];
        st = point_of(points, &facts[i], &point, err);
        if (st == STATUS_OK)
            apply(point, &facts[i]);
    }
    return st;
}

static int by_name(const void *a, const void *b)
{
    const struct log_sum_pack *left = a;
    const struct log_sum_pack *right = b;

    return memcmp(left->name.bytes, right->name.bytes, RANDOM_ID_SIZE);
}

/* Of each pack the longest. */
static void sum_packs(struct rows *packs)
{
    struct log_sum_pack *rows = packs->rows;
    size_t kept = 0;

    if (packs->count == 0)
        return;
    qsort(rows, packs->count, sizeof(*rows), by_name);
    for (size_t i = 0; i < packs->count; i++) {
        if (kept == 0 || by_name(&rows[kept - 1], &rows[i]) != 0)
            rows[kept++] = rows[i];
        else if (rows[i].synced > rows[kept - 1].synced)
            rows[kept - 1].synced = rows[i].synced;
    }
    packs->count = kept;
}

enum status log_sum_read(struct fs *fs, const struct keys *keys, struct teller *teller,
                         struct log_sum *ret_sum, struct error *err)
{
    struct reading reading = {.teller = teller};
    struct rows points = {0};
    uint64_t segments = 0;
    enum status st = log_scan(fs, keys, teller, take_entry, &reading, &segments, err);

    if (st == STATUS_OK && reading.facts.count > 0)
        qsort(reading.facts.rows, reading.facts.count, sizeof(struct fact), by_sequence);
    for (size_t i = 0; i < reading.writers.count && st == STATUS_OK; i++)
        st = sum_writer(&reading, i, &points, err);
    if (st == STATUS_OK) {
        sum_packs(&reading.packs);
        *ret_sum = (struct log_sum){.points = points.rows,
                                    .point_count = points.count,
                                    .packs = reading.packs.rows,
                                    .pack_count = reading.packs.count,
                                    .segments = segments,
                                    .entries = reading.entries};
        points.rows = NULL;
        reading.packs.rows = NULL;
    }
    memory_free(points.rows);
    memory_free(reading.facts.rows);
    memory_free(reading.summaries.rows);
    memory_free(reading.holes.rows);
    memory_free(reading.writers.rows);
    memory_free(reading.packs.rows);
    return st;
}

void log_sum_deinit(struct log_sum *sum)
{
    memory_free(sum->points);
    memory_free(sum->packs);
    *sum = (struct log_sum){0};
}

uint64_t log_sum_synced(const struct log_sum *sum, const struct random_id *name)
{
    const struct log_sum_pack wanted = {.name = *name};
    const struct log_sum_pack *found =
        sum->pack_count == 0
            ? NULL
            : bsearch(&wanted, sum->packs, sum->pack_count, sizeof(wanted), by_name);

    return found == NULL ? 0 : found->synced;
}
