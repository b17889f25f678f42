#include "coordinator/store/index_files.h"

#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/index_packs.h"
#include "coordinator/store/index_state.h"
#include "coordinator/store/index_table.h"
#include "coordinator/store/run.h"
#include "coordinator/store/run_merge.h"
#include "coordinator/store/run_writer.h"
#include "format/le.h"

#define STATE_PATH RUN_DIR "/" INDEX_STATE_FILE

static const char *const lmdb_names[] = {"data.mdb", "lock.mdb"}; /* of an index before this one */

/* The oldest first. */
struct run_list {
    struct run **runs;
    size_t count;
};

struct index_files {
    struct index index;
    struct fs *fs;
    const struct log *log;
    size_t table_records;
    unsigned merge_pace;
    bool open;    /* bound, and what is in memory is what is in the files */
    bool damaged; /* was met since it was opened: there is no state file any more */
    struct random_id repository;
    struct index_table *table;
    struct index_packs packs;
    bool covers_pending; /* some are not durable */
    struct run_list list;
    uint64_t next; /* the number of the next run */
    struct run_merge *merges[INDEX_MERGES_MAX];
    size_t merge_count;
    bool settled;        /* no merge can begin before the runs or merges change */
    bool merge_failed;   /* the last one did, and was logged */
    uint64_t *left_over; /* files that the last state that was surely written does not name */
    size_t left_over_count;
};

static struct index_files *files_of(struct index *index)
{
    return (struct index_files *)index; /* its first member */
}

/* --- damage ------------------------------------------------------------------------------------ */

/* The state goes at once, so that the next start finds none, even if this process dies. */
static void mark_damaged(struct index_files *files, const char *what)
{
    struct error failure = {0};

    if (files->damaged)
        return;
    files->damaged = true;
    enum status st = fs_remove(files->fs, STATE_PATH, &failure);

    if (st == STATUS_OK)
        st = fs_sync_dir(files->fs, RUN_DIR, &failure);
    if (st == STATUS_OK || st == STATUS_NOT_FOUND)
        log_error(files->log,
                  "the index is damaged (%s): its state is removed, and the next start of the "
                  "coordinator makes it anew from the packs; until then no backup can be ended",
                  what);
    else
        log_error(files->log,
                  "the index is damaged (%s), and its state cannot be removed (%s): remove the "
                  "folder " RUN_DIR " of the data folder while no coordinator runs; the next "
                  "start makes it anew from the packs",
                  what, failure.text);
}

/* ST and ERR of reading, as index.h wants them. Logs the first damage. */
static enum status judge(struct index_files *files, enum status st, struct error *err)
{
    if (st != STATUS_CORRUPT)
        return st;
    const struct error cause = *err;

    mark_damaged(files, cause.text);
    return error_set(err, STATUS_INTERNAL,
                     "the index is damaged: %s; the next start of the coordinator makes it anew "
                     "from the packs",
                     cause.text);
}

static enum status check_open(const struct index_files *files, struct error *err)
{
    if (files->open)
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE, "the index is not open: restart the coordinator");
}

static enum status check_whole(const struct index_files *files, struct error *err)
{
    enum status st = check_open(files, err);

    if (st == STATUS_OK && files->damaged)
        st = error_set(err, STATUS_INTERNAL,
                       "the index is damaged; the next start of the coordinator makes it anew "
                       "from the packs");
    return st;
}

/* --- finding ----------------------------------------------------------------------------------- */

static bool is_of(const struct run *run, enum run_kind kind, const struct random_id *domain)
{
    const struct run_header *header = run_header(run);

    return header->kind == kind && random_id_equal(&header->domain, domain);
}

static enum status find_id(const struct index_files *files, const struct random_id *domain,
                           const struct id *id, uint64_t *ret_number, struct error *err)
{
    const uint8_t *value = NULL;
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && value == NULL && i < files->list.count; i++) {
        if (is_of(files->list.runs[i], RUN_IDS, domain))
            st = run_find(files->list.runs[i], id->bytes, &value, err);
    }
    if (st != STATUS_OK)
        return st;
    struct cursor number = cursor_of(slice_of(value, value == NULL ? 0 : 8));

    *ret_number =
        value == NULL ? index_table_find(files->table, domain, id) : cursor_u64le(&number);
    return STATUS_OK;
}

static enum status files_find(struct index *index, const struct random_id *domain,
                              const struct id *ids, size_t count, uint64_t *ret_numbers,
                              struct error *err)
{
    struct index_files *files = files_of(index);
    enum status st = check_open(files, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = find_id(files, domain, &ids[i], &ret_numbers[i], err);
    return judge(files, st, err);
}

static void put_place(const struct place *place, uint32_t slot, const struct id *id,
                      uint8_t value[RUN_PLACE_SIZE])
{
    le_put_u32(value, slot);
    le_put_u32(value + 4, (uint32_t)place->offset);
    le_put_u32(value + 8, place->length);
    memcpy(value + 12, id->bytes, 4);
}

static enum status take_place(const struct index_files *files, const uint8_t *value,
                              struct place *ret_place, struct error *err)
{
    struct cursor c = cursor_of(slice_of(value, RUN_PLACE_SIZE));
    uint32_t slot = cursor_u32le(&c);

    if (slot >= files->packs.count)
        return error_set(err, STATUS_CORRUPT, "it names pack %" PRIu32 " of %zu", slot,
                         files->packs.count);
    ret_place->pack = files->packs.now[slot].name;
    ret_place->offset = cursor_u32le(&c);
    ret_place->length = cursor_u32le(&c);
    ret_place->id_bits = cursor_u32le(&c);
    return STATUS_OK;
}

static enum status find_place(const struct index_files *files, uint64_t number,
                              struct place *ret_place, struct error *err)
{
    uint8_t key[RUN_NUMBER_SIZE];
    const uint8_t *value = index_table_place(files->table, number);
    enum status st = STATUS_OK;

    *ret_place = (struct place){.length = 0};
    run_number_key(number, key);
    for (size_t i = files->list.count; st == STATUS_OK && value == NULL && i > 0; i--) {
        struct run *run = files->list.runs[i - 1];

        if (run_header(run)->kind == RUN_PLACES)
            st = run_find(run, key, &value, err);
    }
    return st == STATUS_OK && value != NULL ? take_place(files, value, ret_place, err) : st;
}

static enum status files_find_places(struct index *index, const uint64_t *numbers, size_t count,
                                     struct place *ret_places, struct error *err)
{
    struct index_files *files = files_of(index);
    enum status st = check_open(files, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = find_place(files, numbers[i], &ret_places[i], err);
    return judge(files, st, err);
}

static enum status files_last_number(struct index *index, uint32_t space, uint64_t *ret_number,
                                     struct error *err)
{
    struct index_files *files = files_of(index);
    uint64_t most = number_of(space, NUMBER_SEQUENCE_MAX);
    uint64_t last = 0;
    enum status st = check_open(files, err);

    if (st != STATUS_OK)
        return st;
    last = index_table_last(files->table, most);
    for (size_t i = 0; st == STATUS_OK && i < files->list.count; i++) {
        uint64_t number = 0;

        if (run_header(files->list.runs[i])->kind == RUN_PLACES)
            st = run_last(files->list.runs[i], most, &number, err);
        last = number > last ? number : last;
    }
    if (st != STATUS_OK)
        return judge(files, st, err);
    *ret_number = number_space(last) == space ? last : 0;
    return STATUS_OK;
}

static enum status files_each_cover(struct index *index,
                                    enum status (*each)(void *arg, const struct index_cover *cover,
                                                        struct error *err),
                                    void *arg, struct error *err)
{
    const struct index_files *files = files_of(index);
    enum status st = check_open(files, err);

    for (size_t i = 0; st == STATUS_OK && i < files->packs.count; i++) {
        const struct index_pack *pack = &files->packs.now[i];
        const struct index_cover cover = {.pack = pack->name,
                                          .covered = pack->cover.covered,
                                          .sealed = pack->cover.sealed};

        if (pack->cover.counts)
            st = each(arg, &cover, err);
    }
    return st;
}

/* --- files that are not needed ----------------------------------------------------------------- */

/* Later, when a state is surely written that does not name it. Where there is no memory, bind() finds it. */
static void leave_over(struct index_files *files, uint64_t number)
{
    uint64_t *grown = memory_resize(files->left_over, files->left_over_count + 1, sizeof(*grown));

    if (grown == NULL)
        return;
    files->left_over = grown;
    files->left_over[files->left_over_count++] = number;
}

static enum status remove_run(struct index_files *files, uint64_t number, struct error *err)
{
    char path[FS_PATH_SIZE];

    run_path(number, path);
    return fs_remove(files->fs, path, err);
}

/* No state names it: that of a write that failed gives its space back. */
static void give_up(struct index_files *files, uint64_t number)
{
    struct error failure = {0};
    enum status st = remove_run(files, number, &failure);

    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        leave_over(files, number);
}

static void remove_left_over(struct index_files *files)
{
    uint64_t *numbers = files->left_over;
    size_t count = files->left_over_count;

    files->left_over = NULL; /* what cannot be removed is put in again */
    files->left_over_count = 0;
    for (size_t i = 0; i < count; i++)
        give_up(files, numbers[i]);
    memory_free(numbers);
}

static void drop_merge(struct index_files *files, size_t which)
{
    uint64_t number = run_merge_number(files->merges[which]);

    run_merge_free(files->merges[which]);
    files->merges[which] = files->merges[--files->merge_count];
    files->settled = false;
    give_up(files, number);
}

/* After a failed sync of the folder: the names of their files may never become durable, whatever later syncs say. */
static void drop_merges(struct index_files *files)
{
    while (files->merge_count > 0)
        drop_merge(files, files->merge_count - 1);
}

static void run_list_deinit(struct run_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        run_close(list->runs[i]);
    memory_free(list->runs);
    *list = (struct run_list){0};
}

/* --- the state --------------------------------------------------------------------------------- */

static enum status replace_state(const struct index_files *files, const struct index_state *state,
                                 struct error *err)
{
    struct buffer bytes;
    enum status st = STATUS_OK;

    buffer_init(&bytes, INDEX_STATE_MAX);
    index_state_encode(state, &bytes);
    st = buffer_check(&bytes, "the state of the index", err);
    if (st == STATUS_OK)
        st = fs_replace(files->fs, STATE_PATH, buffer_slice(&bytes), err);
    buffer_deinit(&bytes);
    return st;
}

/* The first COUNT of PACKS, and the runs of LIST, whose files are durable, are what counts from now on. After a failure that
 * is so, or not. */
static enum status write_state(struct index_files *files, const struct run_list *list,
                               struct index_pack *packs, size_t count, struct error *err)
{
    struct index_state state = {
        .repository = files->repository,
        .next = files->next,
        .run_count = list->count,
        .packs = packs,
        .pack_count = count,
    };
    enum status st = STATUS_OK;

    if (list->count > INDEX_RUNS_MAX)
        return error_set(err, STATUS_EXHAUSTED, "the index has more than %d runs", INDEX_RUNS_MAX);
    state.runs = memory_new(list->count, sizeof(state.runs[0]));
    if (state.runs == NULL)
        return error_set_no_memory(err, list->count * sizeof(state.runs[0]),
                                   "the index: its state");
    for (size_t i = 0; i < list->count; i++) {
        const struct run_header *header = run_header(list->runs[i]);

        state.runs[i] = (struct index_run_name){.number = header->number, .kind = header->kind};
    }
    st = replace_state(files, &state, err);
    memory_free(state.runs);
    if (st != STATUS_OK)
        drop_merges(files);
    return st;
}

static enum status sync_names(struct index_files *files, struct error *err)
{
    enum status st = fs_sync_dir(files->fs, RUN_DIR, err);

    if (st != STATUS_OK)
        drop_merges(files);
    return st;
}

/* --- merging ----------------------------------------------------------------------------------- */

static bool is_merged(const struct index_files *files, const struct run *run)
{
    for (size_t i = 0; i < files->merge_count; i++) {
        if (run_merge_reads(files->merges[i], run))
            return true;
    }
    return false;
}

/* From the run at NEWEST back to older ones of its sort, each not larger than the newer ones together: so an entry takes part
 * in few merges, and runs double in size at least at every third. False: there are not enough. */
static bool choose_inputs(const struct index_files *files, size_t newest,
                          struct run *inputs[RUN_MERGE_INPUTS])
{
    const struct run_header *first = run_header(files->list.runs[newest]);
    uint64_t sum = first->entries;
    size_t count = 0;

    for (size_t i = newest + 1; i > 0; i--) {
        struct run *run = files->list.runs[i - 1];

        if (!is_of(run, first->kind, &first->domain))
            continue;
        if (run_header(run)->entries > sum || is_merged(files, run))
            return false;
        inputs[RUN_MERGE_INPUTS - 1 - count++] = run;
        if (count == RUN_MERGE_INPUTS)
            return true;
        sum += count > 1 ? run_header(run)->entries : 0;
    }
    return false;
}

static enum status begin_merges(struct index_files *files, struct error *err)
{
    struct run *inputs[RUN_MERGE_INPUTS];
    enum status st = STATUS_OK;

    if (files->settled)
        return STATUS_OK;
    for (size_t i = files->list.count; i > 0 && files->merge_count < INDEX_MERGES_MAX; i--) {
        if (!choose_inputs(files, i - 1, inputs))
            continue;
        uint64_t number = files->next++;

        st = run_merge_new(files->fs, inputs, number, &files->merges[files->merge_count], err);
        if (st != STATUS_OK) {
            give_up(files, number);
            return st;
        }
        files->merge_count++;
    }
    files->settled = true;
    return STATUS_OK;
}

/* The runs with RESULT in place of what MERGE read; RET_LIST's array is the caller's. */
static enum status list_merged(const struct index_files *files, const struct run_merge *merge,
                               struct run *result, struct run_list *ret_list, struct error *err)
{
    struct run_list list = {.runs = memory_new(files->list.count, sizeof(void *))};
    bool placed = false;

    if (list.runs == NULL)
        return error_set_no_memory(err, files->list.count * sizeof(void *), "a merge of the index");
    for (size_t i = 0; i < files->list.count; i++) {
        if (!run_merge_reads(merge, files->list.runs[i]))
            list.runs[list.count++] = files->list.runs[i];
        else if (!placed)
            list.runs[list.count++] = result;
        placed = placed || run_merge_reads(merge, files->list.runs[i]);
    }
    *ret_list = list;
    return STATUS_OK;
}

/* LIST, which a state names now, in place of what there was, of which MERGE's inputs go. */
static void adopt_merged(struct index_files *files, const struct run_merge *merge,
                         const struct run_list *list)
{
    for (size_t i = 0; i < files->list.count; i++) {
        struct run *run = files->list.runs[i];

        if (!run_merge_reads(merge, run))
            continue;
        leave_over(files, run_header(run)->number);
        run_close(run);
    }
    memory_free(files->list.runs);
    files->list = *list;
    files->merge_failed = false;
}

/* RESULT of MERGE, which is under way no more, counts, if a state can be written that says so. */
static enum status install_merged(struct index_files *files, const struct run_merge *merge,
                                  struct run *take_result, struct error *err)
{
    uint64_t number = run_merge_number(merge);
    struct run_list list = {0};
    enum status st = list_merged(files, merge, take_result, &list, err);

    if (st == STATUS_OK)
        st = sync_names(files, err);
    if (st == STATUS_OK)
        st = fault_point("store.after_index_merge", err);
    if (st != STATUS_OK) {
        run_close(take_result);
        memory_free(list.runs);
        give_up(files, number);
        return st;
    }
    st = write_state(files, &list, files->packs.durable, files->packs.durable_count, err);
    if (st != STATUS_OK) {
        run_close(take_result);
        memory_free(list.runs);
        leave_over(files, number); /* that state may be there */
        return st;
    }
    adopt_merged(files, merge, &list);
    remove_left_over(files);
    return STATUS_OK;
}

/* The merge WHICH takes part for at most *BUDGET entries, which are taken off. */
static enum status go_on(struct index_files *files, size_t which, uint64_t *budget,
                         struct error *err)
{
    struct run_merge *merge = files->merges[which];
    uint64_t before = run_merge_left(merge);
    struct run *result = NULL;
    enum status st = run_merge_step(merge, *budget, &result, err);
    uint64_t done = before - run_merge_left(merge);

    *budget -= done < *budget ? done : *budget;
    if (st != STATUS_OK) {
        drop_merge(files, which);
        return st;
    }
    if (result == NULL)
        return STATUS_OK;
    files->merges[which] = files->merges[--files->merge_count];
    files->settled = false;
    st = install_merged(files, merge, result, err);
    run_merge_free(merge);
    return st;
}

static size_t shortest_merge(const struct index_files *files)
{
    size_t shortest = 0;

    for (size_t i = 1; i < files->merge_count; i++) {
        if (run_merge_left(files->merges[i]) < run_merge_left(files->merges[shortest]))
            shortest = i;
    }
    return shortest;
}

static enum status merge_some(struct index_files *files, uint64_t budget, struct error *err)
{
    enum status st = begin_merges(files, err);

    while (st == STATUS_OK && budget > 0 && files->merge_count > 0) {
        st = go_on(files, shortest_merge(files), &budget, err);
        if (st == STATUS_OK)
            st = begin_merges(files, err);
    }
    return st;
}

/* Merging is for speed: that it fails is no failure of who brings records, unless it finds damage. */
static enum status work(struct index_files *files, size_t records, struct error *err)
{
    struct error failure = {0};
    enum status st = merge_some(files, (uint64_t)records * files->merge_pace, &failure);

    if (st == STATUS_CORRUPT) {
        *err = failure;
        return judge(files, st, err);
    }
    if (st != STATUS_OK && !files->merge_failed)
        log_warning(files->log,
                    "the index: its runs cannot be merged (%s): it goes on, and becomes slower "
                    "until they can",
                    failure.text);
    if (st != STATUS_OK)
        files->merge_failed = true;
    return STATUS_OK;
}

/* --- flushing ---------------------------------------------------------------------------------- */

/* A run of as many entries as FORM says; entry I lies at ENTRIES[I] + SKIP, and they are in order. LIST, whose array has
 * room, gets it; where it fails its file is given up. */
static enum status write_run(struct index_files *files, const struct run_header *form,
                             const uint8_t *const *entries, size_t skip, struct run_list *list,
                             struct error *err)
{
    struct run_header header = *form;
    struct run_writer *writer = NULL;

    header.number = files->next++;
    enum status st = run_writer_new(files->fs, &header, &writer, err);

    for (uint64_t i = 0; st == STATUS_OK && i < header.entries; i++)
        st = run_writer_add(writer, entries[i] + skip, err);
    if (st == STATUS_OK)
        st = run_writer_finish(writer, &list->runs[list->count], err);
    run_writer_free(writer);
    if (st == STATUS_OK)
        list->count++;
    else
        give_up(files, header.number);
    return st;
}

/* How many of the COUNT ids at ENTRIES are of the first one's domain. */
static size_t of_one_domain(const uint8_t *const *entries, size_t count)
{
    size_t same = 1;

    while (same < count && memcmp(entries[0], entries[same], RANDOM_ID_SIZE) == 0)
        same++;
    return same;
}

static size_t count_domains(const uint8_t *const *entries, size_t count)
{
    size_t domains = 0;

    for (size_t i = 0; i < count; domains++)
        i += of_one_domain(entries + i, count - i);
    return domains;
}

static enum status write_ids(struct index_files *files, const uint8_t *const *entries, size_t count,
                             struct run_list *list, struct error *err)
{
    enum status st = STATUS_OK;
    size_t some = 0;

    for (size_t i = 0; st == STATUS_OK && i < count; i += some) {
        struct run_header form = {.kind = RUN_IDS};

        some = of_one_domain(entries + i, count - i);
        form.entries = some;
        memcpy(form.domain.bytes, entries[i], RANDOM_ID_SIZE);
        st = write_run(files, &form, entries + i, RANDOM_ID_SIZE, list, err);
    }
    return st;
}

/* What is in the table as runs behind those there are, into RET_LIST, whose array is the caller's; its runs from the old
 * count on are new, also where this fails. */
static enum status write_table(struct index_files *files, struct run_list *ret_list,
                               struct error *err)
{
    size_t count = 0;
    const uint8_t *const *entries = index_table_ids(files->table, &count);
    size_t room = files->list.count + count_domains(entries, count) + 1;
    struct run_header form = {.kind = RUN_PLACES};
    enum status st = STATUS_OK;

    ret_list->runs = memory_new(room, sizeof(void *));
    if (ret_list->runs == NULL)
        return error_set_no_memory(err, room * sizeof(void *), "the index: its runs");
    for (size_t i = 0; i < files->list.count; i++)
        ret_list->runs[i] = files->list.runs[i];
    ret_list->count = files->list.count;
    if (room > INDEX_RUNS_MAX)
        return error_set(err, STATUS_EXHAUSTED, "the index: more than %d runs", INDEX_RUNS_MAX);
    st = write_ids(files, entries, count, ret_list, err);
    entries = index_table_places(files->table, &count);
    form.entries = count;
    if (st == STATUS_OK && count > 0)
        st = write_run(files, &form, entries, 0, ret_list, err);
    return st;
}

/* The new runs of LIST, which is not to count; DOUBTFUL: a state may name them. */
static void forget_new(struct index_files *files, struct run_list *list, bool doubtful)
{
    for (size_t i = files->list.count; i < list->count; i++) {
        uint64_t number = run_header(list->runs[i])->number;

        run_close(list->runs[i]);
        if (doubtful)
            leave_over(files, number);
        else
            give_up(files, number);
    }
    memory_free(list->runs);
}

static enum status flush(struct index_files *files, struct error *err)
{
    struct run_list list = {0};
    enum status st = STATUS_OK;

    if (index_table_count(files->table) == 0 && !files->covers_pending)
        return STATUS_OK;
    st = write_table(files, &list, err);
    if (st == STATUS_OK && list.count > files->list.count)
        st = sync_names(files, err);
    if (st == STATUS_OK)
        st = fault_point("store.after_index_runs", err);
    if (st != STATUS_OK) {
        forget_new(files, &list, false);
        return st;
    }
    st = write_state(files, &list, files->packs.now, files->packs.count, err);
    if (st != STATUS_OK) {
        forget_new(files, &list, true);
        return st;
    }
    memory_free(files->list.runs);
    files->list = list;
    files->settled = false;
    index_table_clear(files->table);
    index_packs_settle(&files->packs);
    files->covers_pending = false;
    st = fault_point("store.after_index_state", err);
    remove_left_over(files);
    return st;
}

static enum status files_flush(struct index *index, struct error *err)
{
    struct index_files *files = files_of(index);
    enum status st = check_whole(files, err);

    if (st == STATUS_OK)
        st = flush(files, err);
    return st == STATUS_OK || st == STATUS_INTERNAL ? st : error_wrap(err, "write the index");
}

/* --- applying ---------------------------------------------------------------------------------- */

static enum status check_batch(const struct index_files *files, const struct index_batch *batch,
                               struct error *err)
{
    if (batch->record_count > files->table_records)
        return error_set(err, STATUS_INVALID, "the index: %zu records at once, at most %zu",
                         batch->record_count, files->table_records);
    for (size_t i = 0; i < batch->record_count; i++) {
        if (batch->records[i].place.offset > UINT32_MAX)
            return error_set(err, STATUS_RANGE,
                             "the index: a record at %" PRIu64 " of its pack, beyond 4 GiB",
                             batch->records[i].place.offset);
    }
    return STATUS_OK;
}

/* There is room for it. */
static void put_batch(struct index_files *files, const struct index_batch *batch)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct index_record *record = &batch->records[i];
        uint8_t value[RUN_PLACE_SIZE];

        put_place(&record->place, index_packs_slot(&files->packs, &record->place.pack), &record->id,
                  value);
        index_table_put(files->table, &record->domain, &record->id, record->number, value);
    }
    for (size_t i = 0; i < batch->cover_count; i++) {
        const struct index_cover *cover = &batch->covers[i];

        files->packs.now[index_packs_slot(&files->packs, &cover->pack)].cover =
            (struct index_cover_state){.covered = cover->covered,
                                       .counts = true,
                                       .sealed = cover->sealed};
        files->covers_pending = true;
    }
}

static enum status files_apply(struct index *index, const struct index_batch *batch,
                               struct error *err)
{
    struct index_files *files = files_of(index);
    enum status st = check_whole(files, err);

    if (st == STATUS_OK)
        st = check_batch(files, batch, err);
    if (st == STATUS_OK)
        st = work(files, batch->record_count, err);
    if (st == STATUS_OK && index_table_room(files->table) < batch->record_count)
        st = flush(files, err);
    if (st == STATUS_OK)
        st = index_packs_reserve(&files->packs, batch->record_count + batch->cover_count, err);
    if (st != STATUS_OK)
        return st == STATUS_INTERNAL ? st : error_wrap(err, "put into the index");
    put_batch(files, batch);
    return STATUS_OK;
}

/* --- opening ----------------------------------------------------------------------------------- */

static void forget_all(struct index_files *files)
{
    files->open = false;
    for (size_t i = 0; i < files->merge_count; i++)
        run_merge_free(files->merges[i]);
    files->merge_count = 0;
    run_list_deinit(&files->list);
    index_packs_deinit(&files->packs);
    index_table_clear(files->table);
    memory_free(files->left_over);
    files->left_over = NULL;
    files->left_over_count = 0;
    files->covers_pending = false;
    files->settled = false;
    files->merge_failed = false;
}

static enum status provide_folder(struct index_files *files, struct error *err)
{
    enum status st = fs_make_dir(files->fs, RUN_DIR, err);

    if (st == STATUS_OK)
        return fs_sync_dir(files->fs, "", err);
    return st == STATUS_EXISTS ? STATUS_OK : st;
}

static bool is_listed(const struct index_files *files, uint64_t number)
{
    for (size_t i = 0; i < files->list.count; i++) {
        if (run_header(files->list.runs[i])->number == number)
            return true;
    }
    return false;
}

/* Numbers that a file of NAMES has are not used again. */
static void pass_numbers(struct index_files *files, const struct fs_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        uint64_t number = 0;

        if (run_parse_name(names->names[i], &number) && number >= files->next &&
            number < UINT64_MAX)
            files->next = number + 1;
    }
}

/* Of NAMES, what is left over; the state that is there is durable, and names what is listed. What cannot be removed stays for
 * the next start. */
static void remove_unnamed(struct index_files *files, const struct fs_names *names)
{
    struct error failure = {0};

    for (size_t i = 0; i < names->count; i++) {
        uint64_t number = 0;

        if (run_parse_name(names->names[i], &number) && !is_listed(files, number))
            DISCARD(remove_run(files, number, &failure)); /* see above */
    }
    for (size_t i = 0; i < sizeof(lmdb_names) / sizeof(lmdb_names[0]); i++) {
        char path[FS_PATH_SIZE];

        INVARIANT(text_format(path, sizeof(path), RUN_DIR "/%s", lmdb_names[i]));
        DISCARD(fs_remove(files->fs, path, &failure)); /* see above */
    }
}

/* An index that knows nothing, but whose it is. */
static enum status start_over(struct index_files *files, struct error *err)
{
    struct fs_names names = {0};
    enum status st = STATUS_OK;

    forget_all(files);
    st = provide_folder(files, err);
    if (st == STATUS_OK)
        st = fs_list(files->fs, RUN_DIR, &names, err);
    if (st == STATUS_OK) {
        pass_numbers(files, &names);
        st = write_state(files, &files->list, NULL, 0, err);
    }
    if (st == STATUS_OK) {
        files->open = true;
        files->damaged = false;
        remove_unnamed(files, &names);
    }
    fs_names_deinit(&names);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "make the index anew");
}

static enum status read_state(struct index_files *files, struct index_state *ret_state,
                              struct error *err)
{
    struct fs_file *file = NULL;
    uint8_t *bytes = NULL;
    uint64_t size = 0;
    enum status st = fs_open(files->fs, STATE_PATH, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_size(file, &size, err);
    if (st == STATUS_OK && size > INDEX_STATE_MAX)
        st = error_set(err, STATUS_CORRUPT, "it has %" PRIu64 " bytes", size);
    if (st != STATUS_OK)
        goto out;
    bytes = memory_new((size_t)size, 1);
    if (bytes == NULL)
        st = error_set_no_memory(err, (size_t)size, "the state of the index");
    if (st == STATUS_OK && size > 0)
        st = run_read(file, 0, bytes, (size_t)size, err);
    if (st == STATUS_OK)
        st = index_state_decode(slice_of(bytes, (size_t)size), ret_state, err);
out:
    memory_free(bytes);
    fs_close(file);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, STATE_PATH);
}

static enum status take_packs(struct index_files *files, const struct index_state *state,
                              struct error *err)
{
    enum status st = index_packs_reserve(&files->packs, state->pack_count, err);

    for (size_t i = 0; st == STATUS_OK && i < state->pack_count; i++) {
        if (index_packs_slot(&files->packs, &state->packs[i].name) != i)
            st = error_set(err, STATUS_CORRUPT, STATE_PATH ": it lists a pack twice");
        else
            files->packs.now[i] = state->packs[i];
    }
    if (st == STATUS_OK)
        index_packs_settle(&files->packs);
    return st;
}

static enum status open_runs(struct index_files *files, const struct index_state *state,
                             struct error *err)
{
    enum status st = STATUS_OK;

    files->list.runs = memory_new(state->run_count, sizeof(void *));
    if (files->list.runs == NULL)
        return error_set_no_memory(err, state->run_count, "the index: its runs");
    for (size_t i = 0; st == STATUS_OK && i < state->run_count; i++) {
        struct run **run = &files->list.runs[i];

        st = run_open(files->fs, state->runs[i].number, run, err);
        if (st == STATUS_NOT_FOUND)
            st = error_set(err, STATUS_CORRUPT, "run %" PRIu64 " is not there",
                           state->runs[i].number);
        if (st != STATUS_OK)
            break;
        files->list.count++;
        if (run_header(*run)->kind != state->runs[i].kind)
            st = error_set(err, STATUS_CORRUPT, "run %" PRIu64 " is of another kind",
                           state->runs[i].number);
    }
    return st;
}

/* What the files say. A state that is found is written once more before what it does not name is removed: the process before
 * may have seen the sync of its name fail, so that the one before it comes back after a power cut, with the runs that that one
 * names. STATUS_NOT_FOUND: there is none. STATUS_PRECONDITION: another repository's. STATUS_UNSUPPORTED, STATUS_CORRUPT. */
static enum status load(struct index_files *files, struct error *err)
{
    struct index_state state = {.next = 0};
    struct fs_names names = {0};
    struct error kept = {0};
    enum status st = fs_list(files->fs, RUN_DIR, &names, err);

    if (st == STATUS_OK)
        st = read_state(files, &state, err);
    if (st == STATUS_OK && !random_id_equal(&state.repository, &files->repository))
        st = error_set(err, STATUS_PRECONDITION, STATE_PATH ": it is another repository's");
    if (st == STATUS_OK)
        st = take_packs(files, &state, err);
    if (st == STATUS_OK)
        st = open_runs(files, &state, err);
    if (st == STATUS_OK) {
        files->next = state.next > files->next ? state.next : files->next;
        pass_numbers(files, &names);
        files->open = true;
        /* Where that fails, on a full disk, all serves as it is, and what is left over stays. */
        if (replace_state(files, &state, &kept) == STATUS_OK)
            remove_unnamed(files, &names);
    }
    index_state_deinit(&state);
    fs_names_deinit(&names);
    return st;
}

static enum status open_files(struct index_files *files, struct error *err)
{
    struct error found = {0};
    enum status st = provide_folder(files, err);

    if (st != STATUS_OK)
        return error_wrap(err, "the index");
    st = load(files, &found);
    if (st == STATUS_OK)
        return STATUS_OK;
    forget_all(files);
    if (st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED || st == STATUS_PRECONDITION)
        log_warning(files->log, "the index is made anew from the packs: %s", found.text);
    else if (st != STATUS_NOT_FOUND) {
        *err = found;
        return error_wrap(err, "open the index");
    }
    return start_over(files, err);
}

static enum status files_clear(struct index *index, struct error *err)
{
    return start_over(files_of(index), err);
}

/* Its caller holds the store's lock: from here on nobody else opens this folder. */
static enum status files_bind(struct index *index, const struct random_id *repository,
                              struct error *err)
{
    struct index_files *files = files_of(index);
    bool same = random_id_equal(&files->repository, repository);

    files->repository = *repository;
    if (files->damaged)
        return start_over(files, err);
    if (!files->open)
        return open_files(files, err);
    return same ? STATUS_OK : start_over(files, err);
}

static void files_free(struct index *index)
{
    struct index_files *files = files_of(index);

    if (files->table != NULL)
        forget_all(files);
    index_table_free(files->table);
    memory_free(files);
}

static const struct index_ops files_ops = {
    .find = files_find,
    .find_places = files_find_places,
    .apply = files_apply,
    .flush = files_flush,
    .last_number = files_last_number,
    .bind = files_bind,
    .each_cover = files_each_cover,
    .clear = files_clear,
    .free = files_free,
};

enum status index_files_new(struct fs *fs, const struct index_files_options *options,
                            const struct log *log, struct index **ret_index, struct error *err)
{
    struct index_files *files = memory_new(1, sizeof(*files));

    if (files == NULL)
        return error_set_no_memory(err, sizeof(*files), "the index");
    *files = (struct index_files){.index = {.ops = &files_ops}, .fs = fs, .log = log, .next = 1};
    files->table_records =
        options->table_records != 0 ? options->table_records : INDEX_TABLE_RECORDS;
    files->merge_pace = options->merge_pace != 0 ? options->merge_pace : INDEX_MERGE_PACE;
    enum status st = index_table_new(files->table_records, &files->table, err);

    if (st != STATUS_OK) {
        files_free(&files->index);
        return st;
    }
    *ret_index = &files->index;
    return STATUS_OK;
}
