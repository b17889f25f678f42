#include "coordinator/store/recovery.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "coordinator/store/found_pack.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/thing.h"

enum { ROOM_LEAST = 64, COVERS_MAX = 256 };

struct recovery {
    const struct recovery_world *world;
    struct found_world found_world;
    struct codec_context *codec;
    struct found_pack *found;
    size_t found_count;
    struct buffer record; /* scratch */
    struct buffer stored;
    struct random_id *missing; /* packs */
    size_t missing_room;
    struct recovery_result result;
    struct error wrong; /* the first thing in which index and packs differ; STATUS_OK: none */
    uint64_t copied;
    uint64_t left_out; /* of tails */
    uint64_t left_out_lines;
    uint64_t unreadable; /* restore points and partial trees */
    size_t spent;        /* condemned packs whose cover says that nothing in them counts */
    size_t condemned;    /* all of them */
    bool covered;        /* the index knows of some pack at least */
    struct index_cover covers[COVERS_MAX]; /* for the index */
    size_t cover_count;
    bool full;    /* the file system: what is left of the tails waits for another start */
    bool indexed; /* all that counts is durable and in the index */
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

static bool is_condemned(const struct recovery *run, const struct random_id *name)
{
    struct log_condemned condemned;

    return log_state_find_condemned(run->world->state, name, &condemned) && condemned.complete;
}

static enum status take_condemned(void *arg, const struct log_condemned *condemned,
                                  struct error *err)
{
    struct recovery *run = arg;
    struct found_pack *found = find_found(run, &condemned->pack);

    (void)err; /* cannot fail */
    if (!condemned->complete)
        return STATUS_OK;
    run->condemned++;
    if (found != NULL)
        found->condemned = true;
    return STATUS_OK;
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

/* The cover of a condemned pack. */
static void take_spent(struct recovery *run, const struct index_cover *cover,
                       struct found_pack *found)
{
    if (cover->covered != PACK_HEADER_SIZE || cover->sealed)
        return;
    run->spent++;
    if (found != NULL)
        found->cover_sealed = true;
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

    run->covered = true;
    if (is_condemned(run, &cover->pack)) {
        take_spent(run, cover, found);
        return STATUS_OK;
    }
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
    struct error wrong = {0};
    enum status st = log_state_each_condemned(run->world->state, take_condemned, run, err);

    if (st == STATUS_OK)
        st = index->ops->each_cover(index, take_cover, run, err);
    if (st == STATUS_OK && run->covered && run->spent < run->condemned) {
        DISCARD(error_set(&wrong, STATUS_CORRUPT, "the index is older than the last collection"));
        note_wrong(run, &wrong);
    }
    if (st != STATUS_OK || run->wrong.status == STATUS_OK)
        return st;
    log_warning(log_of_run(run), "%s: the index is made anew from all packs", run->wrong.text);
    for (size_t i = 0; i < run->found_count; i++) {
        run->found[i].covered = 0;
        run->found[i].cover_sealed = false;
    }
    return index->ops->clear(index, err);
}

static enum status take_synced(void *arg, const struct log_point_pack *pack, struct error *err)
{
    struct recovery *run = arg;
    struct found_pack *found = find_found(run, &pack->name);
    char name[RANDOM_ID_TEXT_SIZE];

    if (found != NULL) {
        found->synced = pack->synced;
        return STATUS_OK;
    }
    if (is_condemned(run, &pack->name))
        return STATUS_OK;
    random_id_text(&pack->name, name);
    log_warning(log_of_run(run), "pack %s, which the log names, is missing", name);
    return is_missing(run, &pack->name) ? STATUS_OK : note_missing(run, &pack->name, err);
}

static enum status take_log(struct recovery *run, struct error *err)
{
    enum status st = log_state_each_pack(run->world->state, take_synced, run, err);

    for (size_t i = 0; i < run->found_count; i++) {
        if (run->found[i].synced < run->found[i].covered)
            run->found[i].synced = run->found[i].covered;
    }
    return st;
}

/* --- records ----------------------------------------------------------------------------------- */

static void note_number(struct recovery *run, uint64_t number)
{
    if (number_space(number) == log_state_space(run->world->state) &&
        number_sequence(number) >= run->result.first_free)
        run->result.first_free = number_sequence(number) + 1;
}

/* May a line be logged about one more record that is left out? */
static bool may_tell(struct recovery *run)
{
    return run->left_out_lines++ < RECOVERY_LINES_MAX;
}

/* ARG: a number, set to 0 if it is found. */
static enum status find_dead(void *arg, struct slice numbers, struct error *err)
{
    uint64_t *wanted = arg;
    size_t low = 0;
    size_t high = numbers.size / sizeof(uint64_t);

    (void)err; /* cannot fail */
    while (*wanted != 0 && low < high) {
        size_t middle = low + (high - low) / 2;
        struct cursor cursor =
            cursor_of(slice_of(numbers.data + middle * sizeof(uint64_t), sizeof(uint64_t)));
        uint64_t number = cursor_u64le(&cursor);

        if (number == *wanted)
            *wanted = 0;
        else if (number < *wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return STATUS_OK;
}

/* Did the collection that condemned its pack find that nothing needs RECORD? */
static bool is_dead(struct recovery *run, const struct found_record *record)
{
    uint64_t number = record->record.number;
    struct error ignored = {0}; /* find_dead() cannot fail */

    if (!is_condemned(run, &record->record.place.pack))
        return false;
    DISCARD(log_state_each_dead(run->world->state, &record->record.place.pack, find_dead, &number,
                                &ignored));
    return number == 0;
}

/* *RET_NEW: is RECORD to be put in? Not if it is here already, and not if its number is another thing's. */
static enum status is_new(struct recovery *run, const struct found_record *record, bool *ret_new,
                          struct error *err)
{
    struct records *records = run->world->records;
    struct record_header header;
    struct error missing = {0};
    uint64_t number = 0;
    enum status st =
        records_find(records, &record->record.domain, &record->record.id, 1, &number, err);

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
    *ret_new = id_equal(&header.id, &record->record.id) &&
               random_id_equal(&header.domain, &record->record.domain);
    if (!*ret_new && may_tell(run))
        log_warning(log_of_run(run),
                    "number %" PRIu64 " is of two records: the one in pack "
                    "that was read later is left out",
                    record->record.number);
    return STATUS_OK;
}

/* The first look at a record: a durable block is put in at once, all else waits for what it may name. */
static enum status take_record(void *arg, const struct found_record *record, bool *ret_done,
                               struct error *err)
{
    struct recovery *run = arg;
    bool new = false;

    note_number(run, record->record.number);
    *ret_done = is_dead(run, record);
    if (*ret_done || record->kind != KIND_BLOCK || record->tail ||
        domains_find(run->world->domains, &record->record.domain) == NULL ||
        is_condemned(run, &record->record.place.pack))
        return STATUS_OK;
    enum status st = is_new(run, record, &new, err);

    if (st == STATUS_OK && new)
        st = records_note(run->world->records, &record->record, err);
    *ret_done = st == STATUS_OK;
    return st;
}

/* Whose refs are looked at. */
struct ref_owner {
    struct recovery *run;
    const struct random_id *domain;
};

/* STATUS_CORRUPT: what REF names is not here. */
static enum status require_ref(void *arg, const struct ref *ref, struct error *err)
{
    const struct ref_owner *owner = arg;
    bool known = false;
    enum status st = records_knows(owner->run->world->records, owner->domain, ref, &known, err);

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
    const struct store_domain *domain = domains_find(run->world->domains, &record->record.domain);
    struct ref_owner owner = {.run = run, .domain = &record->record.domain};
    struct record_header header;
    enum status st = pack_set_read(packs, &record->record.place, &header, &run->record, err);

    INVARIANT(domain != NULL); /* found_pack_each() */
    if (st == STATUS_OK && (header.number != record->record.number || header.kind != record->kind ||
                            !random_id_equal(&header.domain, &domain->id)))
        st = error_set(err, STATUS_CORRUPT, "the pack's index says something else of it");
    if (st == STATUS_OK)
        st = record_open(keys, run->codec, buffer_slice(&run->record), &header, &run->stored, err);
    if (st == STATUS_OK)
        st = thing_check(domain->id_key, header.kind, buffer_slice(&run->stored),
                         &record->record.id, err);
    if (st == STATUS_OK)
        st = thing_each_ref(header.kind, buffer_slice(&run->stored), require_ref, &owner, err);
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
    if (!may_tell(run))
        return;
    random_id_text(&record->record.place.pack, name);
    log_warning(log_of_run(run), "record %" PRIu64 " (pack %s at %" PRIu64 ") is left out: %s",
                record->record.number, name, record->record.place.offset, reason->text);
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

/* RECORD, of a rank of which all lower ones have come. */
static enum status put_in_checked(void *arg, const struct found_record *record, struct error *err)
{
    struct recovery *run = arg;
    struct error reason = {0};
    bool new = false;
    enum status st = is_dead(run, record) ? STATUS_OK : is_new(run, record, &new, err);

    if (st != STATUS_OK || !new)
        return st;
    if (record->tail && run->full) {
        postpone(run, record, &reason);
        return STATUS_OK;
    }
    st = check_record(run, record, &reason);
    if (st == STATUS_CORRUPT) {
        leave_out(run, record, &reason);
        return STATUS_OK;
    }
    if (st == STATUS_OK)
        st = put_in(run, record, &reason);
    if (st == STATUS_EXHAUSTED && record->tail) {
        postpone(run, record, &reason);
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = reason;
    return st;
}

static bool is_done(const struct found_pack *found, unsigned rank)
{
    return (found->ranks | found->tail_ranks) >> rank == 0;
}

static void tell_progress(const struct recovery *run, unsigned rank)
{
    uint64_t done = 0;

    if (run->world->progress == NULL)
        return;
    for (size_t i = 0; i < run->found_count; i++)
        done += is_done(&run->found[i], rank) ? 1 : 0;
    run->world->progress(run->world->progress_arg, done, run->found_count);
}

/* The records of RANK: the durable ones, then those of tails; of condemned packs last. */
static enum status put_in_rank(struct recovery *run, unsigned rank, struct error *err)
{
    static const struct {
        bool tail;
        bool condemned;
    } turns[] = {{false, false}, {true, false}, {false, true}, {true, true}};
    enum status st = STATUS_OK;

    for (size_t turn = 0; turn < sizeof(turns) / sizeof(turns[0]); turn++) {
        for (size_t i = 0; st == STATUS_OK && i < run->found_count; i++) {
            struct found_pack *found = &run->found[i];

            if (found->condemned == turns[turn].condemned)
                st = found_pack_each(&run->found_world, found, rank, turns[turn].tail,
                                     put_in_checked, run, err);
        }
    }
    return st;
}

static enum status put_in_all(struct recovery *run, struct error *err)
{
    enum status st = STATUS_OK;

    for (unsigned rank = 0; st == STATUS_OK && rank <= THING_RANK_MAX; rank++) {
        tell_progress(run, rank);
        st = put_in_rank(run, rank, err);
    }
    if (st == STATUS_OK)
        tell_progress(run, THING_RANK_MAX + 1);
    return st;
}

/* --- what is left of the packs ----------------------------------------------------------------- */

static enum status survey_packs(struct recovery *run, struct error *err)
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
            st = found_pack_survey(&run->found_world, found, take_record, run, err);
        found->pack->bytes = found->size;
        run->result.left_out += found->strange;
    }
    return st;
}

static enum status apply_covers(struct recovery *run, struct error *err)
{
    struct index *index = run->world->options->index;
    struct error failure = {0};
    const struct index_batch batch = {.covers = run->covers, .cover_count = run->cover_count};

    if (run->cover_count == 0)
        return STATUS_OK;
    enum status st = index->ops->apply(index, &batch, &failure);

    run->cover_count = 0;
    if (st == STATUS_OK || st == STATUS_EXHAUSTED)
        return STATUS_OK; /* what it does not know it learns at the next start */
    *err = failure;
    return st;
}

static enum status add_cover(struct recovery *run, const struct index_cover *cover,
                             struct error *err)
{
    enum status st = run->cover_count == COVERS_MAX ? apply_covers(run, err) : STATUS_OK;

    if (st == STATUS_OK)
        run->covers[run->cover_count++] = *cover;
    return st;
}

/* The index learns how much it knows of FOUND, of which SEALED says whether it has a seal. */
static enum status cover(struct recovery *run, const struct found_pack *found, bool sealed,
                         struct error *err)
{
    struct index_cover entry = {.pack = found->pack->name};

    if (!found->incomplete) {
        entry.sealed = sealed;
        entry.covered = sealed || found->size < found->synced ? found->size : found->synced;
    }
    return add_cover(run, &entry, err);
}

/* Once the index was made anew: nothing in a condemned pack counts. */
static enum status cover_condemned(void *arg, const struct log_condemned *condemned,
                                   struct error *err)
{
    const struct index_cover entry = {.pack = condemned->pack, .covered = PACK_HEADER_SIZE};

    return condemned->complete ? add_cover(arg, &entry, err) : STATUS_OK;
}

/* FOUND gets its seal if it can have one. */
static bool seal(struct recovery *run, struct found_pack *found)
{
    struct error failure = {0};
    char path[PACK_PATH_SIZE];

    if (found->postponed || !run->indexed)
        return false;
    if (found_pack_seal(&run->found_world, found, &failure) == STATUS_OK) {
        found->pack->bytes = found->size;
        return true;
    }
    pack_path(&found->pack->name, found->pack->class, path);
    log_warning(log_of_run(run), "%s stays without a seal until the next start: %s", path,
                failure.text);
    return false;
}

/* All that is sound in FOUND, and does not wait, is durable, here or in a copy. */
static enum status finish_pack(struct recovery *run, struct found_pack *found, struct error *err)
{
    bool sealed = !found->scanned;

    if (found->scanned && found->counts) {
        sealed = seal(run, found);
        found->pack->sealed = sealed;
        found->pack->synced = found->size < found->synced ? found->size : found->synced;
    }
    if (found->condemned || (found->scanned && !found->counts && !found->incomplete))
        return STATUS_OK; /* it has its cover; or: only a tail that waits */
    return run->indexed ? cover(run, found, sealed, err) : STATUS_OK;
}

/* Is there nothing in FOUND that counts, or may count once what is missing is back? */
static bool is_spent(const struct recovery *run, const struct found_pack *found)
{
    if (found->empty)
        return true;
    return found->scanned && !found->counts && !found->incomplete && !found->postponed &&
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
        found->pack = NULL;
    }
    if (st == STATUS_OK && run->indexed && run->spent < run->condemned)
        st = log_state_each_condemned(run->world->state, cover_condemned, run, err);
    return st == STATUS_OK ? apply_covers(run, err) : st;
}

/* Says so if what stands behind ENTRY of the log, WHAT, cannot be read. */
static void report_root(struct recovery *run, const char *what, const struct random_id *task,
                        const struct random_id *domain, const struct ref *root)
{
    struct error err = {0};
    bool known = false;
    char name[RANDOM_ID_TEXT_SIZE];

    if (records_knows(run->world->records, domain, root, &known, &err) != STATUS_OK || known ||
        run->unreadable++ >= RECOVERY_LINES_MAX)
        return;
    random_id_text(task, name);
    log_warning(log_of_run(run),
                "the %s of task %s cannot be read: something that it needs is missing or damaged",
                what, name);
}

static void report_roots(struct recovery *run)
{
    size_t count = 0;
    const struct store_point *points = log_state_points(run->world->state, &count);

    for (size_t i = 0; i < count; i++)
        report_root(run, "restore point", &points[i].task, &points[i].domain, &points[i].envelope);
    const struct store_partial *partials = log_state_partials(run->world->state, &count);

    for (size_t i = 0; i < count; i++)
        report_root(run, "partial tree", &partials[i].task, &partials[i].domain, &partials[i].root);
}

static void report(struct recovery *run)
{
    if (run->copied > 0 || run->left_out > 0)
        log_info(log_of_run(run),
                 "after a crash: %" PRIu64 " records were copied to new packs, %" PRIu64
                 " that belonged to no restore point are left out",
                 run->copied, run->left_out);
    if (run->left_out_lines > RECOVERY_LINES_MAX)
        log_warning(log_of_run(run), "%" PRIu64 " more records are left out",
                    run->left_out_lines - RECOVERY_LINES_MAX);
    report_roots(run);
    if (run->unreadable > RECOVERY_LINES_MAX)
        log_warning(log_of_run(run),
                    "%" PRIu64 " more restore points or partial trees cannot be read",
                    run->unreadable - RECOVERY_LINES_MAX);
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
        st = survey_packs(run, err);
    if (st == STATUS_OK)
        st = put_in_all(run, err);
    if (st == STATUS_OK)
        st = sync_records(run, err);
    if (st == STATUS_OK)
        st = finish_packs(run, err);
    if (st == STATUS_OK)
        st = index->ops->last_number(index, log_state_space(run->world->state), &last, err);
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
                        .domains = world->domains,
                        .repository = options->repository},
        .result = {.first_free = log_state_first_free(world->state)},
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
    memory_free(run.found);
    memory_free(run.missing);
    codec_context_free(run.codec);
    buffer_deinit(&run.record);
    buffer_deinit(&run.stored);
    return st;
}
