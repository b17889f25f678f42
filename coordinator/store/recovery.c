#include "coordinator/store/recovery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/found_pack.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/thing.h"

enum { ROOM_LEAST = 64 };

struct recovery {
    const struct recovery_world *world;
    struct found_world found_world;
    struct codec_context *codec;
    struct found_pack *found;
    size_t found_count;
    /* What has to wait until all that it may name has come: all but durable blocks. */
    struct found_record *waiting;
    size_t waiting_count;
    size_t waiting_room;
    struct buffer record; /* scratch */
    struct buffer stored;
    struct random_id *missing; /* packs */
    size_t missing_room;
    struct recovery_result result;
    struct error wrong; /* the first thing in which index and packs differ; STATUS_OK: none */
    uint64_t copied;
    uint64_t left_out; /* of tails */
    bool full;         /* the file system: what is left of the tails waits for another start */
    bool indexed;      /* all that counts is durable and in the index */
};

static const struct log *log_of_run(const struct recovery *run)
{
    return run->world->options->log;
}

/* --- packs against the index ------------------------------------------------------------------- */

static struct found_pack *find_found(struct recovery *run, const struct random_id *name)
{
    /* In the order of the set: by name. */
    size_t low = 0;
    size_t high = run->found_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pack *pack = run->found[middle].pack;

        if (random_id_equal(&pack->name, name))
            return &run->found[middle];
        if (memcmp(pack->name.bytes, name->bytes, RANDOM_ID_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static enum status list_packs(struct recovery *run, struct error *err)
{
    struct pack_set *packs = records_packs(run->world->records);
    enum status st = pack_set_list(packs, err);

    if (st != STATUS_OK)
        return st;
    run->found = memory_new(packs->count, sizeof(*run->found));
    if (run->found == NULL)
        return error_set_no_memory(err, packs->count * sizeof(*run->found), "the list of packs");
    while (st == STATUS_OK && run->found_count < packs->count) {
        struct found_pack *found = &run->found[run->found_count];
        bool right = false;

        *found = (struct found_pack){.pack = packs->packs[run->found_count]};
        st = found_pack_identify(&run->found_world, found, &right, err);
        if (st == STATUS_OK && right)
            run->found_count++;
        else if (st == STATUS_OK)
            pack_set_remove(packs, found->pack);
    }
    return st;
}

static enum status note_missing(struct recovery *run, const struct random_id *name,
                                struct error *err)
{
    if (run->result.missing_packs == run->missing_room) {
        size_t room = run->missing_room == 0 ? ROOM_LEAST : run->missing_room * 2;
        struct random_id *grown = memory_resize(run->missing, room, sizeof(*grown));

        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(*grown), "the list of missing packs");
        run->missing = grown;
        run->missing_room = room;
    }
    run->missing[run->result.missing_packs++] = *name;
    return STATUS_OK;
}

static bool is_missing(const struct recovery *run, const struct random_id *name)
{
    for (size_t i = 0; i < run->result.missing_packs; i++) {
        if (random_id_equal(&run->missing[i], name))
            return true;
    }
    return false;
}

/* The first difference is named with what is done about all of them, the others by themselves. */
static void note_wrong(struct recovery *run, const struct error *wrong)
{
    if (run->wrong.status == STATUS_OK)
        run->wrong = *wrong;
    else
        log_warning(log_of_run(run), "%s", wrong->text);
}

static enum status take_cover(void *arg, const struct index_cover *cover, struct error *err)
{
    struct recovery *run = arg;
    struct found_pack *found = find_found(run, &cover->pack);
    char name[RANDOM_ID_TEXT_SIZE];
    struct error wrong = {0};

    random_id_text(&cover->pack, name);
    if (cover->covered == PACK_HEADER_SIZE && found == NULL)
        return STATUS_OK; /* nothing in it counted, its name neither */
    if (found == NULL) {
        DISCARD(error_set(&wrong, STATUS_CORRUPT, "pack %s is missing", name));
        note_wrong(run, &wrong);
        return note_missing(run, &cover->pack, err);
    }
    if (found->size < cover->covered) {
        DISCARD(error_set(&wrong, STATUS_CORRUPT,
                          "pack %s has only %" PRIu64 " of at least %" PRIu64 " bytes", name,
                          found->size, cover->covered));
        note_wrong(run, &wrong);
        found->incomplete = true;
        return STATUS_OK;
    }
    if (cover->sealed && found->size > cover->covered)
        return STATUS_OK; /* it was cut when the index came to know it: another file now */
    found->covered = cover->covered;
    found->cover_sealed = cover->sealed;
    return STATUS_OK;
}

static enum status take_covers(struct recovery *run, struct error *err)
{
    struct index *index = run->world->options->index;
    enum status st = index->ops->each_cover(index, take_cover, run, err);

    if (st != STATUS_OK || run->wrong.status == STATUS_OK)
        return st;
    log_warning(log_of_run(run), "%s: the index is made anew from all packs", run->wrong.text);
    for (size_t i = 0; i < run->found_count; i++) {
        run->found[i].covered = 0;
        run->found[i].cover_sealed = false;
    }
    return index->ops->clear(index, err);
}

static enum status take_log(struct recovery *run, struct error *err)
{
    const struct log_state *state = run->world->state;
    char name[RANDOM_ID_TEXT_SIZE];
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < state->pack_count; i++) {
        struct found_pack *found = find_found(run, &state->packs[i].name);

        if (found != NULL) {
            found->synced = state->packs[i].synced;
            continue;
        }
        random_id_text(&state->packs[i].name, name);
        log_warning(log_of_run(run), "pack %s, which the log names, is missing", name);
        if (!is_missing(run, &state->packs[i].name))
            st = note_missing(run, &state->packs[i].name, err);
    }
    for (size_t i = 0; i < run->found_count; i++) {
        if (run->found[i].synced < run->found[i].covered)
            run->found[i].synced = run->found[i].covered;
    }
    return st;
}

/* --- records ----------------------------------------------------------------------------------- */

static void note_number(struct recovery *run, uint64_t number)
{
    if (number_space(number) == run->world->state->space &&
        number_sequence(number) >= run->result.first_free)
        run->result.first_free = number_sequence(number) + 1;
}

/* *RET_NEW: is RECORD to be put in? Not if it is here already, and not if its number is another thing's. */
static enum status is_new(struct recovery *run, const struct found_record *record, bool *ret_new,
                          struct error *err)
{
    struct records *records = run->world->records;
    struct record_header header;
    struct error missing = {0};
    uint64_t number = 0;
    enum status st = records_find(records, &record->record.id, 1, &number, err);

    *ret_new = false;
    /* Of two numbers for one id both may be named by durable nodes; who named a tail's is no more. */
    if (st != STATUS_OK || number == record->record.number || (number != 0 && record->tail))
        return st;
    st = records_read(records, record->record.number, &header, &run->record, &missing);
    if (st == STATUS_NOT_FOUND || st == STATUS_CORRUPT) {
        *ret_new = true;
        return STATUS_OK;
    }
    if (st != STATUS_OK) {
        *err = missing;
        return st;
    }
    *ret_new = id_equal(&header.id, &record->record.id);
    if (!*ret_new)
        log_warning(log_of_run(run),
                    "number %" PRIu64 " is of two records: the one in pack "
                    "that was read later is left out",
                    record->record.number);
    return STATUS_OK;
}

/* A record of a pack: durable blocks are put in at once, all else waits. */
static enum status take_record(void *arg, const struct found_record *record, struct error *err)
{
    struct recovery *run = arg;
    bool new = false;
    enum status st = STATUS_OK;

    note_number(run, record->record.number);
    if (record->kind == KIND_BLOCK && !record->tail) {
        st = is_new(run, record, &new, err);
        if (st == STATUS_OK && new)
            st = records_note(run->world->records, &record->record, err);
        return st;
    }
    if (run->waiting_count == run->waiting_room) {
        size_t room = run->waiting_room == 0 ? ROOM_LEAST : run->waiting_room * 2;
        struct found_record *grown = memory_resize(run->waiting, room, sizeof(*grown));

        if (grown == NULL)
            return error_set_no_memory(err, room * sizeof(*grown), "records to put in");
        run->waiting = grown;
        run->waiting_room = room;
    }
    run->waiting[run->waiting_count++] = *record;
    return STATUS_OK;
}

/* STATUS_CORRUPT: what REF names is not here. */
static enum status require_ref(void *arg, const struct ref *ref, struct error *err)
{
    struct recovery *run = arg;
    bool known = false;
    enum status st = records_knows(run->world->records, ref, &known, err);

    if (st == STATUS_OK && !known)
        st = error_set(err, STATUS_CORRUPT, "number %" PRIu64 ", which it names, is not here",
                       ref->number);
    return st;
}

/* Reads RECORD and checks all of it. STATUS_CORRUPT: damaged, or something that it names is not here. */
static enum status check_record(struct recovery *run, const struct found_record *record,
                                struct error *err)
{
    const struct keys *keys = run->world->options->keys;
    struct pack_set *packs = records_packs(run->world->records);
    struct record_header header;
    enum status st = pack_set_read(packs, &record->record.place, &header, &run->record, err);

    if (st == STATUS_OK && (header.number != record->record.number || header.kind != record->kind))
        st = error_set(err, STATUS_CORRUPT, "the pack's index says something else of it");
    if (st == STATUS_OK)
        st = record_open(keys, run->codec, buffer_slice(&run->record), &header, &run->stored, err);
    if (st == STATUS_OK)
        st = thing_check(run->world->id_key, header.kind, buffer_slice(&run->stored),
                         &record->record.id, err);
    if (st == STATUS_OK)
        st = thing_each_ref(header.kind, buffer_slice(&run->stored), require_ref, run, err);
    return st;
}

static enum status put_in(struct recovery *run, const struct found_record *record,
                          struct error *err)
{
    struct records *records = run->world->records;
    struct record_header header;

    if (!record->tail)
        return records_note(records, &record->record, err);
    enum status st = record_decode_header(buffer_slice(&run->record), &header, err);

    if (st == STATUS_OK)
        st = records_append(records, buffer_slice(&run->record), &header, err);
    if (st != STATUS_OK)
        return st;
    run->copied++;
    return fault_point("store.after_recovery_copy", err);
}

static void leave_out(struct recovery *run, const struct found_record *record,
                      const struct error *reason)
{
    struct found_pack *found = find_found(run, &record->record.place.pack);
    char name[RANDOM_ID_TEXT_SIZE];

    if (record->tail) { /* what a crash cut off: nobody was told of it */
        run->left_out++;
        return;
    }
    run->result.left_out++;
    if (found != NULL)
        found->incomplete = true;
    random_id_text(&record->record.place.pack, name);
    log_warning(log_of_run(run), "record %" PRIu64 " (pack %s at %" PRIu64 ") is left out: %s",
                record->record.number, name, record->record.place.offset, reason->text);
}

/* Blocks first, then by rank; of one rank the durable ones first, then as they were found. */
static int compare_waiting(const void *a, const void *b)
{
    const struct found_record *left = a;
    const struct found_record *right = b;
    unsigned left_rank = thing_rank(left->kind);
    unsigned right_rank = thing_rank(right->kind);

    if (left_rank != right_rank)
        return left_rank < right_rank ? -1 : 1;
    if (left->tail != right->tail)
        return left->tail ? 1 : -1;
    if (left->record.number != right->record.number)
        return left->record.number < right->record.number ? -1 : 1;
    return 0;
}

/* RECORD, of a tail, waits for another start: there is no space for its copy. */
static void postpone(struct recovery *run, const struct found_record *record,
                     const struct error *reason)
{
    struct found_pack *found = find_found(run, &record->record.place.pack);

    if (!run->full)
        log_warning(log_of_run(run),
                    "what a crash has left of an upload waits until there is space: %s",
                    reason->text);
    run->full = true;
    if (found != NULL)
        found->postponed = true;
}

static enum status put_in_waiting(struct recovery *run, struct error *err)
{
    enum status st = STATUS_OK;

    if (run->waiting_count > 0)
        qsort(run->waiting, run->waiting_count, sizeof(run->waiting[0]), compare_waiting);
    for (size_t i = 0; st == STATUS_OK && i < run->waiting_count; i++) {
        const struct found_record *record = &run->waiting[i];
        struct error reason = {0};
        bool new = false;

        st = is_new(run, record, &new, err);
        if (st != STATUS_OK || !new)
            continue;
        if (record->tail && run->full) {
            postpone(run, record, &reason);
            continue;
        }
        st = check_record(run, record, &reason);
        if (st == STATUS_CORRUPT) {
            leave_out(run, record, &reason);
            st = STATUS_OK;
            continue;
        }
        if (st == STATUS_OK)
            st = put_in(run, record, &reason);
        if (st == STATUS_EXHAUSTED && record->tail) {
            postpone(run, record, &reason);
            st = STATUS_OK;
        }
        if (st != STATUS_OK)
            *err = reason;
    }
    return st;
}

/* --- what is left of the packs ----------------------------------------------------------------- */

static enum status examine_packs(struct recovery *run, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < run->found_count; i++) {
        struct found_pack *found = &run->found[i];
        char path[PACK_PATH_SIZE];

        pack_path(&found->pack->name, found->pack->class, path);
        if (found->header_damaged && found->synced > 0)
            log_warning(log_of_run(run),
                        "%s: its header is damaged; its records are read all the same", path);
        if (found->cover_sealed)
            found->pack->sealed = true;
        else
            st = found_pack_examine(&run->found_world, found, take_record, run, err);
    }
    return st;
}

/* The index learns how much it knows of FOUND, of which SEALED says whether it has a seal. */
static enum status cover(struct recovery *run, const struct found_pack *found, bool sealed,
                         struct error *err)
{
    struct index *index = run->world->options->index;
    struct error failure = {0};
    struct index_cover entry = {.pack = found->pack->name};
    const struct index_batch batch = {.covers = &entry, .cover_count = 1};

    if (!found->incomplete) {
        entry.sealed = sealed;
        entry.covered = sealed || found->size < found->synced ? found->size : found->synced;
    }
    enum status st = index->ops->apply(index, &batch, &failure);

    if (st == STATUS_OK || st == STATUS_EXHAUSTED)
        return STATUS_OK; /* what it does not know it learns at the next start */
    *err = failure;
    return st;
}

/* FOUND gets its seal if it can have one. */
static bool seal(struct recovery *run, struct found_pack *found)
{
    struct error failure = {0};
    char path[PACK_PATH_SIZE];

    if (found->postponed || !run->indexed)
        return false;
    if (found_pack_seal(&run->found_world, found, &failure) == STATUS_OK)
        return true;
    pack_path(&found->pack->name, found->pack->class, path);
    log_warning(log_of_run(run), "%s stays without a seal until the next start: %s", path,
                failure.text);
    return false;
}

/* All that is sound in FOUND, and does not wait, is durable, here or in a copy. */
static enum status finish_pack(struct recovery *run, struct found_pack *found, struct error *err)
{
    bool sealed = !found->scanned;

    if (found->scanned && found->index.size > 0) {
        sealed = seal(run, found);
        found->pack->sealed = sealed;
        found->pack->synced = found->size < found->synced ? found->size : found->synced;
    }
    if (found->scanned && found->index.size == 0 && !found->incomplete)
        return STATUS_OK; /* only a tail that waits */
    return run->indexed ? cover(run, found, sealed, err) : STATUS_OK;
}

/* Is there nothing in FOUND that counts, or may count once what is missing is back? */
static bool is_spent(const struct recovery *run, const struct found_pack *found)
{
    if (found->empty)
        return true;
    return found->scanned && found->index.size == 0 && !found->incomplete && !found->postponed &&
           run->indexed && run->result.missing_packs == 0 && run->result.left_out == 0;
}

static enum status finish_packs(struct recovery *run, struct error *err)
{
    struct pack_set *packs = records_packs(run->world->records);
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < run->found_count; i++) {
        struct found_pack *found = &run->found[i];
        char path[PACK_PATH_SIZE];
        struct error ignored = {0};

        if (found->cover_sealed)
            continue;
        if (!is_spent(run, found)) {
            st = finish_pack(run, found, err);
            continue;
        }
        pack_path(&found->pack->name, found->pack->class, path);
        /* If it cannot be removed it comes again: nothing in it counts. */
        DISCARD(fs_remove(packs->fs, path, &ignored));
        pack_set_remove(packs, found->pack);
    }
    return st;
}

static void report(struct recovery *run)
{
    const struct log_state *state = run->world->state;
    struct error err = {0};

    if (run->copied > 0 || run->left_out > 0)
        log_info(log_of_run(run),
                 "after a crash: %" PRIu64 " records were copied to new packs, %" PRIu64
                 " that belonged to no restore point are left out",
                 run->copied, run->left_out);
    for (size_t i = 0; i < state->point_count; i++) {
        const struct ref *envelope = &state->points[i].envelope;
        bool known = false;

        if (records_knows(run->world->records, envelope, &known, &err) != STATUS_OK || known)
            continue;
        log_warning(log_of_run(run),
                    "the restore point of log entry %" PRIu64
                    " cannot be read: something that it needs is missing or damaged",
                    state->points[i].sequence);
    }
}

/* Without space for the index all stays as it is until the next start: what is durable is found in memory till then. */
static enum status sync_records(struct recovery *run, struct error *err)
{
    struct error failure = {0};
    enum status st = records_sync(run->world->records, &failure);

    run->indexed = st == STATUS_OK;
    if (st == STATUS_EXHAUSTED) {
        log_warning(log_of_run(run), "the packs are put right at the next start: %s", failure.text);
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = failure;
    return st;
}

static enum status run_all(struct recovery *run, struct error *err)
{
    struct index *index = run->world->options->index;
    uint64_t last = 0;
    enum status st = list_packs(run, err);

    if (st == STATUS_OK)
        st = take_covers(run, err);
    if (st != STATUS_OK)
        return st;
    st = take_log(run, err);
    if (st == STATUS_OK)
        st = examine_packs(run, err);
    if (st == STATUS_OK)
        st = put_in_waiting(run, err);
    if (st == STATUS_OK)
        st = sync_records(run, err);
    if (st == STATUS_OK)
        st = finish_packs(run, err);
    if (st == STATUS_OK)
        st = index->ops->last_number(index, run->world->state->space, &last, err);
    if (st != STATUS_OK)
        return st;
    if (last != 0)
        note_number(run, last);
    report(run);
    return STATUS_OK;
}

enum status recovery_run(const struct recovery_world *world, struct recovery_result *ret_result,
                         struct error *err)
{
    const struct records_options *options = world->options;
    struct recovery run = {
        .world = world,
        .found_world = {.packs = records_packs(world->records),
                        .index = options->index,
                        .keys = options->keys,
                        .random = options->random,
                        .log = options->log,
                        .repository = options->repository,
                        .domain = options->domain},
        .result = {.first_free = world->state->first_free},
    };

    buffer_init(&run.record, RECORD_SIZE_MAX);
    buffer_init(&run.stored, RECORD_PLAIN_MAX);

    enum status st = codec_context_new(&run.codec, err);

    if (st == STATUS_OK)
        st = run_all(&run, err);
    if (st == STATUS_OK)
        *ret_result = run.result;
    else
        st = error_wrap(err, "put the packs right");
    for (size_t i = 0; i < run.found_count; i++)
        found_pack_deinit(&run.found[i]);
    memory_free(run.found);
    memory_free(run.missing);
    memory_free(run.waiting);
    codec_context_free(run.codec);
    buffer_deinit(&run.record);
    buffer_deinit(&run.stored);
    return st;
}
