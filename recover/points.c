#include "recover/points.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* What reading one point needs. */
struct reader {
    const struct points_options *options;
    struct buffer stored;
};

/* SENTENCE, cut if it is longer than a reason may be. */
static void keep_reason(char reason[POINT_REASON_SIZE], const char *sentence)
{
    size_t length = text_cut(sentence, POINT_REASON_SIZE - 1);

    memcpy(reason, sentence, length);
    reason[length] = '\0';
}

/* ---- The envelope ---------------------------------------------------------------------------- */

static enum status take_envelope(struct point *point, const struct envelope *envelope,
                                 struct error *err)
{
    size_t count = (size_t)envelope->disk_count + envelope->file_count;

    point->items = memory_new(count, sizeof(point->items[0]));
    if (point->items == NULL)
        return error_set_no_memory(err, count * sizeof(point->items[0]), "the disks of a point");
    point->disk_count = envelope->disk_count;
    point->item_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct envelope_disk *from = i < envelope->disk_count
                                               ? &envelope->disks[i]
                                               : &envelope->files[i - envelope->disk_count];

        point->items[i].is_file = i >= envelope->disk_count;
        point->items[i].size = from->size;
        point->items[i].root_ref = from->root;
    }
    point->vm = envelope->vm;
    point->time_us = envelope->time_us;
    point->envelope_there = true;
    return STATUS_OK;
}

static enum status read_envelope(struct reader *reader, struct point *point,
                                 struct envelope *ret_envelope, struct error *err)
{
    enum status st = things_read(reader->options->things, &point->domain, KIND_ENVELOPE,
                                 &point->envelope_ref, &reader->stored, err);

    if (st == STATUS_OK)
        st = envelope_decode_stored(buffer_slice(&reader->stored), ret_envelope, err);
    return st;
}

/* ---- The body -------------------------------------------------------------------------------- */

/* Does the statement speak of this point? */
static enum status check_statement(const struct reader *reader, const struct point *point,
                                   const struct statement *statement, struct error *err)
{
    const struct random_id *repository = reader->options->repository;

    if ((repository != NULL && !random_id_equal(&statement->repository, repository)) ||
        !random_id_equal(&statement->vm, &point->vm) || statement->time_us != point->time_us ||
        (point->task_known && !random_id_equal(&statement->task, &point->task)) ||
        statement->disk_count != point->disk_count ||
        statement->file_count != point->item_count - point->disk_count)
        return error_set(err, STATUS_CORRUPT, "the statement is not about this point");
    for (size_t i = 0; i < point->item_count; i++) {
        const struct point_item *item = &point->items[i];
        bool is_disk = i < point->disk_count;
        const struct id *root =
            is_disk ? &statement->disks[i].root : &statement->files[i - point->disk_count].root;
        uint64_t size =
            is_disk ? statement->disks[i].size : statement->files[i - point->disk_count].size;

        if (!id_equal(root, &item->root_ref.id) || size != item->size)
            return error_set(err, STATUS_CORRUPT, "the statement is about other disks");
    }
    return STATUS_OK;
}

static void take_statement(struct point *point, const struct statement *statement)
{
    point->body_there = true;
    point->task = statement->task;
    point->task_known = true;
    point->consistency = statement->consistency;
    memcpy(point->host, statement->host, sizeof(point->host));
    memcpy(point->vm_name, statement->vm_name, sizeof(point->vm_name));
    for (size_t i = 0; i < point->item_count; i++)
        memcpy(point->items[i].name,
               i < point->disk_count ? statement->disks[i].name
                                     : statement->files[i - point->disk_count].name,
               sizeof(point->items[i].name));
}

/* Who has signed it? */
static void judge(const struct reader *reader, struct point *point, const struct signed_slice *what)
{
    char signer[SIGN_NAME_SIZE];
    struct error doubt = {0};

    if (reader->options->agents_ca == NULL) {
        keep_reason(point->doubt, "there is no CA to prove its host's signature by");
        return;
    }
    if (signed_check(what, SIGN_CONTEXT_STATEMENT, reader->options->agents_ca, point->time_us,
                     signer, &doubt) != STATUS_OK) {
        keep_reason(point->doubt, doubt.text);
        return;
    }
    point->proved = strcmp(signer, point->host) == 0;
    if (!point->proved)
        keep_reason(point->doubt, "another host has signed it");
}

static enum status read_body(struct reader *reader, struct point *point, const struct ref *ref,
                             struct error *err)
{
    struct statement statement = {0};
    struct signed_slice what;
    enum status st =
        things_read(reader->options->things, &point->domain, KIND_BODY, ref, &reader->stored, err);

    if (st == STATUS_OK)
        st = body_decode(buffer_slice(&reader->stored), &what, err);
    if (st == STATUS_OK)
        st = statement_decode(what.body, &statement, err);
    if (st == STATUS_OK)
        st = check_statement(reader, point, &statement, err);
    if (st == STATUS_OK) {
        take_statement(point, &statement);
        judge(reader, point, &what);
    }
    statement_deinit(&statement);
    return st;
}

/* ---- The roots ------------------------------------------------------------------------------- */

static enum status read_root(struct reader *reader, const struct point *point,
                             struct point_item *item, struct error *err)
{
    uint8_t kind = item->is_file ? KIND_FILE_ROOT : KIND_DISK_ROOT;
    enum status st = things_read(reader->options->things, &point->domain, kind, &item->root_ref,
                                 &reader->stored, err);

    if (st == STATUS_OK)
        st = item->is_file ? file_root_decode(buffer_slice(&reader->stored), &item->root, err)
                           : disk_root_decode(buffer_slice(&reader->stored), &item->root, err);
    if (st == STATUS_OK && item->root.size != item->size)
        st = error_set(err, STATUS_CORRUPT, "its root is that of another size");
    item->there = st == STATUS_OK;
    return st;
}

/* ---- A point --------------------------------------------------------------------------------- */

/* What is lost goes into POINT; fails for this machine's trouble only. */
static enum status read_point(struct reader *reader, struct point *point, struct error *err)
{
    struct envelope envelope = {0};
    struct error why = {0};
    enum status st = read_envelope(reader, point, &envelope, &why);

    if (st == STATUS_OK)
        st = take_envelope(point, &envelope, &why);
    if (st == STATUS_OK) {
        st = read_body(reader, point, &envelope.body, &why);
        if (things_lost(st)) {
            (void)error_wrap(&why, "its names and its signature"); /* the text is all that counts */
            keep_reason(point->lost, why.text);
            st = STATUS_OK;
        }
        for (size_t i = 0; i < point->item_count && st == STATUS_OK; i++) {
            st = read_root(reader, point, &point->items[i], &why);
            if (things_lost(st)) {
                keep_reason(point->items[i].lost, why.text);
                st = STATUS_OK;
            }
        }
    } else if (things_lost(st)) {
        keep_reason(point->lost, why.text);
        st = STATUS_OK;
    }
    envelope_deinit(&envelope);
    if (st != STATUS_OK)
        *err = why;
    return st;
}

static void take_logged(struct point *point, const struct log_sum_point *logged)
{
    point->task = logged->task;
    point->task_known = true;
    point->domain = logged->domain;
    point->envelope_ref = logged->envelope;
    point->lock_until_us = logged->lock_until_us;
    point->trash_until_us = logged->trashed ? logged->trash_until_us : 0;
    if (logged->purged)
        point->state = POINT_PURGED;
    else if (logged->trashed)
        point->state = POINT_TRASH;
    else if (logged->held || logged->lock_until_us != 0)
        point->state = POINT_LOCKED;
    else
        point->state = POINT_LIVE;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* Those in the log. What was purged before and is gone is none: nobody misses it. */
static enum status read_logged(struct reader *reader, struct points *points, uint64_t *numbers,
                               struct error *err)
{
    const struct log_sum *log = reader->options->log;
    enum status st = STATUS_OK;

    for (size_t i = 0; i < log->point_count && st == STATUS_OK; i++) {
        struct point *point = &points->rows[points->count];

        numbers[i] = log->points[i].envelope.number; /* 0, if that is not known */
        if (!log->points[i].there)
            continue;
        take_logged(point, &log->points[i]);
        points->count++;
        st = read_point(reader, point, err);
        if (st == STATUS_OK && point->state == POINT_PURGED && !point->envelope_there)
            points->count--;
    }
    if (log->point_count > 0)
        qsort(numbers, log->point_count, sizeof(numbers[0]), by_number);
    return st;
}

/* Was POINT, which no entry names as a point, purged? */
static bool is_purged(const struct log_sum *log, const struct point *point)
{
    if (!point->task_known)
        return false;
    for (size_t i = 0; i < log->point_count; i++)
        if (log->points[i].purged && random_id_equal(&log->points[i].task, &point->task))
            return true;
    return false;
}

static int by_time(const void *a, const void *b)
{
    const struct point *left = a;
    const struct point *right = b;

    if (left->time_us != right->time_us)
        return left->time_us < right->time_us ? -1 : 1;
    return id_compare(&left->envelope_ref.id, &right->envelope_ref.id);
}

/* Those of which only the envelope is there. NUMBERS are those of the log's, sorted. */
static enum status read_others(struct reader *reader, struct points *points,
                               const uint64_t *numbers, struct error *err)
{
    const struct log_sum *log = reader->options->log;
    size_t first = points->count;
    size_t count = 0;
    const struct packs_envelope *envelopes = packs_envelopes(reader->options->packs, &count);
    enum status st = STATUS_OK;

    for (size_t i = 0; i < count && st == STATUS_OK; i++) {
        struct point *point = &points->rows[points->count];

        if (log->point_count > 0 && bsearch(&envelopes[i].ref.number, numbers, log->point_count,
                                            sizeof(numbers[0]), by_number) != NULL)
            continue;
        point->state = POINT_NOT_IN_LOG;
        point->domain = envelopes[i].domain;
        point->envelope_ref = envelopes[i].ref;
        points->count++;
        st = read_point(reader, point, err);
        if (st == STATUS_OK && is_purged(log, point))
            point->state = POINT_PURGED;
    }
    if (st == STATUS_OK && points->count - first > 1)
        qsort(&points->rows[first], points->count - first, sizeof(points->rows[0]), by_time);
    return st;
}

enum status points_read(const struct points_options *options, struct points *ret_points,
                        struct error *err)
{
    struct reader reader = {.options = options};
    struct points points = {0};
    uint64_t *numbers = memory_new(options->log->point_count, sizeof(*numbers));
    size_t envelopes = 0;
    enum status st = STATUS_OK;

    (void)packs_envelopes(options->packs, &envelopes); /* only how many there are */
    buffer_init(&reader.stored, RECORD_PLAIN_MAX);
    points.rows = memory_new(options->log->point_count + envelopes, sizeof(points.rows[0]));
    if (numbers == NULL || points.rows == NULL) {
        st = error_set_no_memory(err, sizeof(points.rows[0]), "the list of restore points");
        goto out;
    }
    st = read_logged(&reader, &points, numbers, err);
    if (st == STATUS_OK)
        st = read_others(&reader, &points, numbers, err);
    if (st == STATUS_OK) {
        *ret_points = points;
        points = (struct points){0};
    }
out:
    buffer_deinit(&reader.stored);
    points_deinit(&points);
    memory_free(numbers);
    return st;
}

void points_deinit(struct points *points)
{
    for (size_t i = 0; i < points->count; i++)
        memory_free(points->rows[i].items);
    memory_free(points->rows);
    *points = (struct points){0};
}

bool point_quick_whole(const struct point *point)
{
    if (!point->envelope_there || !point->body_there)
        return false;
    for (size_t i = 0; i < point->item_count; i++)
        if (!point->items[i].there)
            return false;
    return true;
}

const char *point_state_text(enum point_state state)
{
    switch (state) {
    case POINT_LIVE:
        return "live";
    case POINT_LOCKED:
        return "locked";
    case POINT_TRASH:
        return "trash";
    case POINT_PURGED:
        return "purged";
    case POINT_NOT_IN_LOG:
        break;
    }
    return "not in the log";
}

void point_id_text(const struct point *point, char text[ID_TEXT_SIZE])
{
    if (point->task_known)
        random_id_text(&point->task, text);
    else
        id_text(&point->envelope_ref.id, text);
}
