/* The index in files (coordinator/store/index_files.h) against a model, over a file system that fails and loses: batches of
 * records, each with the cover of a pack of its own, so that the covers tell how many of the batches an index knows. */
#include "coordinator/store/index_files.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum {
    TABLE = 10,
    BATCH_MAX = 6,
    BATCHES = 30,  /* of the stories whose every state is looked at */
    MANY = 500,    /* of the others */
    IDS = 90,      /* times two domains */
    NUMBERS = 400, /* times two spaces */
    MARKS_MAX = 64,
};

static const struct random_id repository = {{'r'}};

struct batch {
    struct index_record records[BATCH_MAX];
    size_t count;
};

/* What an index that knows the first KNOWN batches says. */
struct model {
    size_t known;
    uint64_t ids[2][IDS];
    struct index_record places[2][NUMBERS];
};

struct mark {
    size_t position; /* in the log of operations */
    size_t promised;
};

struct env {
    struct faults *faults;
    struct fs *memory;
    struct fs *fs; /* what the index is on */
    struct index *index;
    struct id ids[IDS];
    struct batch *batches;
    size_t batch_count;
    struct model model;
    size_t promised; /* batches that a flush said are durable */
    struct mark marks[MARKS_MAX];
    size_t mark_count;
    uint64_t states;
    unsigned share;   /* one state of so many is looked at */
    unsigned classes; /* of faults */
    unsigned pace;    /* of merges; 0: as they come */
    bool dies;        /* the process, where something fails; else it tries again */
    bool restarted;   /* in the middle, once */
    unsigned made_anew;
    struct clock_manual *clock;
    struct log_sink *sink;
    struct log log;
    int fds[2];
    struct error err;
};

/* --- batches and the model --------------------------------------------------------------------- */

static struct id id_at(unsigned which)
{
    struct random_seeded random = random_seeded_of(which);
    struct id id;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t part = random_seeded_next(&random);

        memcpy(id.bytes + (size_t)8 * i, &part, 8);
    }
    if (which % 8 == 7)
        memset(id.bytes, 0x7e, 8); /* some have a prefix in common */
    return id;
}

static struct random_id domain_at(unsigned which)
{
    return (struct random_id){{'d', (uint8_t)which}};
}

static struct random_id pack_at(size_t which)
{
    return (struct random_id){{(uint8_t)which, (uint8_t)(which >> 8), 'p'}};
}

static struct index_record random_record(struct random_seeded *random, uint64_t *next)
{
    unsigned space = (unsigned)random_seeded_below(random, 2);
    bool moves = *next > 3 && random_seeded_below(random, 6) == 0;
    uint64_t sequence = moves ? 1 + random_seeded_below(random, *next - 2) : (*next)++;

    return (struct index_record){
        .domain = domain_at((unsigned)random_seeded_below(random, 2)),
        .id = id_at((unsigned)random_seeded_below(random, IDS)),
        .number = number_of(7 + space, sequence % NUMBERS == 0 ? 1 : sequence % NUMBERS),
        .place = {.pack = pack_at(random_seeded_below(random, 50)),
                  .offset = random_seeded_below(random, 1U << 30),
                  .length = 1 + (uint32_t)random_seeded_below(random, 1000)},
    };
}

static void make_batches(struct env *env, size_t count, uint64_t seed)
{
    struct random_seeded random = random_seeded_of(seed);
    uint64_t next = 1;

    env->batches = memory_new(count, sizeof(env->batches[0]));
    assert_non_null(env->batches);
    env->batch_count = count;
    for (size_t i = 0; i < count; i++) {
        struct batch *batch = &env->batches[i];

        batch->count = (size_t)random_seeded_below(&random, (uint64_t)BATCH_MAX + 1);
        for (size_t j = 0; j < batch->count; j++)
            batch->records[j] = random_record(&random, &next);
    }
}

/* The last byte tells most of them apart. */
static unsigned which_id(const struct env *env, const struct id *id)
{
    for (unsigned i = 0; i < IDS; i++) {
        if (env->ids[i].bytes[ID_SIZE - 1] == id->bytes[ID_SIZE - 1] && id_equal(&env->ids[i], id))
            return i;
    }
    fail_msg("no such id");
    return 0;
}

static void model_put(const struct env *env, struct model *model, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct index_record *record = &batch->records[i];
        uint64_t *number = &model->ids[record->domain.bytes[1]][which_id(env, &record->id)];

        if (*number == 0)
            *number = record->number;
        model->places[number_space(record->number) - 7][number_sequence(record->number)] = *record;
    }
    model->known++;
}

static void model_set(struct env *env, struct model *model, size_t known)
{
    memset(model, 0, sizeof(*model));
    while (model->known < known)
        model_put(env, model, &env->batches[model->known]);
}

/* --- the index --------------------------------------------------------------------------------- */

static enum status bind_new(struct env *env, struct fs *fs, struct index **ret_index)
{
    const struct index_files_options options = {.table_records = TABLE, .merge_pace = env->pace};
    struct index *index = NULL;
    enum status st = index_files_new(fs, &options, &env->log, &index, &env->err);

    if (st != STATUS_OK)
        return st;
    INVARIANT(index != NULL);
    st = index->ops->bind(index, &repository, &env->err);
    if (st != STATUS_OK) {
        index->ops->free(index);
        return st;
    }
    *ret_index = index;
    return STATUS_OK;
}

static enum status count_cover(void *arg, const struct index_cover *cover, struct error *err)
{
    size_t *count = arg;

    (void)err;
    if (cover->pack.bytes[2] == 'c')
        (*count)++;
    return STATUS_OK;
}

/* How many batches INDEX says it knows. */
static size_t known_by(struct env *env, struct index *index)
{
    size_t count = 0;

    INVARIANT(index != NULL);
    ASSERT_OK(index->ops->each_cover(index, count_cover, &count, &env->err), &env->err);
    return count;
}

static enum status apply(struct env *env, struct index *index, size_t which)
{
    const struct batch *batch = &env->batches[which];
    const struct index_cover cover = {.pack = {{(uint8_t)which, (uint8_t)(which >> 8), 'c'}},
                                      .covered = which + 1,
                                      .sealed = which % 3 == 0};
    const struct index_batch full = {batch->records, batch->count, &cover, 1};

    INVARIANT(index != NULL);
    return index->ops->apply(index, &full, &env->err);
}

/* An answer is right, or, where DAMAGED, none at all. */
static void verify_id(struct env *env, struct index *index, unsigned d, unsigned i,
                      uint64_t expected, bool damaged)
{
    const struct random_id domain = domain_at(d);
    uint64_t number = 0;
    enum status st = index->ops->find(index, &domain, &env->ids[i], 1, &number, &env->err);

    if (damaged && st == STATUS_INTERNAL)
        return;
    ASSERT_STATUS(STATUS_OK, st, &env->err);
    if (number != expected)
        fail_msg("id %u of domain %u: %" PRIx64 ", not %" PRIx64, i, d, number, expected);
}

static void verify_ids(struct env *env, struct index *index, const struct model *model,
                       bool damaged)
{
    for (unsigned i = 0; i < 2 * IDS; i++)
        verify_id(env, index, i % 2, i / 2, model->ids[i % 2][i / 2], damaged);
}

static void verify_place(struct env *env, struct index *index, const struct index_record *expected,
                         uint64_t number, bool damaged)
{
    struct place place = {.length = 9};
    struct cursor bits = cursor_of(slice_of(expected->id.bytes, 4));
    enum status st = index->ops->find_places(index, &number, 1, &place, &env->err);

    if (damaged && st == STATUS_INTERNAL)
        return;
    ASSERT_STATUS(STATUS_OK, st, &env->err);
    if (place.length != expected->place.length || place.offset != expected->place.offset ||
        !random_id_equal(&place.pack, &expected->place.pack) ||
        place.id_bits != cursor_u32le(&bits))
        fail_msg("number %" PRIx64 ": length %u, not %u", number, (unsigned)place.length,
                 (unsigned)expected->place.length);
}

static void verify_places(struct env *env, struct index *index, const struct model *model,
                          bool damaged)
{
    for (unsigned space = 0; space < 2; space++) {
        uint64_t last = 0;
        uint64_t said = 0;

        for (uint64_t i = 1; i < NUMBERS && i < 40 + model->known * BATCH_MAX; i++) {
            const struct index_record *record = &model->places[space][i];

            verify_place(env, index, record, number_of(7 + space, i), damaged);
            last = record->place.length > 0 ? record->number : last;
        }
        enum status st = index->ops->last_number(index, 7 + space, &said, &env->err);

        if (damaged && st == STATUS_INTERNAL)
            continue;
        ASSERT_STATUS(STATUS_OK, st, &env->err);
        assert_true(said == last);
    }
}

static void verify(struct env *env, struct index *index, const struct model *model)
{
    verify_ids(env, index, model, false);
    verify_places(env, index, model, false);
    assert_int_equal(known_by(env, index), model->known);
}

/* What was logged since the last call has TEXT in it. */
static bool has_logged(struct env *env, const char *text)
{
    char lines[16384];
    ssize_t size = read(env->fds[0], lines, sizeof(lines) - 1);

    lines[size > 0 ? size : 0] = '\0';
    return strstr(lines, text) != NULL;
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    env->clock = clock_manual_new();
    assert_int_equal(pipe(env->fds), 0);
    assert_int_equal(fcntl(env->fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(env->fds[1], F_SETFL, O_NONBLOCK), 0);
    ASSERT_OK(log_sink_new(env->fds[1], LOG_TEXT, LOG_INFO, clock_manual_source(env->clock),
                           &env->sink, &env->err),
              &env->err);
    env->log = log_of(env->sink);
    for (unsigned i = 0; i < IDS; i++)
        env->ids[i] = id_at(i);
    faults_install(env->faults);
    *state = env;
    return 0;
}

static void begin(struct env *env, size_t batches, uint64_t seed)
{
    ASSERT_OK(fs_memory_new(&env->memory, &env->err), &env->err);
    ASSERT_OK(fs_record_new(env->memory, &env->fs, &env->err), &env->err);
    make_batches(env, batches, seed);
    model_set(env, &env->model, 0);
    env->promised = 0;
    env->restarted = false;
    env->mark_count = 0;
}

static void end(struct env *env)
{
    if (env->index != NULL)
        env->index->ops->free(env->index);
    env->index = NULL;
    fs_free(env->fs);
    fs_free(env->memory);
    memory_free(env->batches);
    env->fs = NULL;
    env->memory = NULL;
    env->batches = NULL;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    faults_install(NULL);
    end(env);
    faults_free(env->faults);
    log_sink_free(env->sink);
    clock_manual_free(env->clock);
    (void)close(env->fds[0]); /* only lines for the test */
    (void)close(env->fds[1]);
    memory_free(env);
    return 0;
}

/* --- stories ----------------------------------------------------------------------------------- */

/* A new process: what the index knows then is one of the flushes since the promise, and the model follows. */
static enum status restart(struct env *env)
{
    if (env->index != NULL)
        env->index->ops->free(env->index);
    env->index = NULL;
    enum status st = bind_new(env, env->fs, &env->index);

    if (st != STATUS_OK)
        return st;
    size_t known = known_by(env, env->index);

    assert_true(known <= env->model.known);
    if (has_logged(env, "made anew") || known == 0) {
        env->made_anew += env->promised > 0;
        env->promised = 0; /* a read that failed; the caller says whether that may be */
    }
    assert_true(known >= env->promised);
    model_set(env, &env->model, known);
    return STATUS_OK;
}

static void mark(struct env *env)
{
    assert_true(env->mark_count < MARKS_MAX);
    env->marks[env->mark_count++] = (struct mark){fs_record_log(env->fs)->count, env->promised};
}

static enum status flush(struct env *env)
{
    INVARIANT(env->index != NULL);
    enum status st = env->index->ops->flush(env->index, &env->err);

    if (st == STATUS_OK)
        env->promised = env->model.known;
    return st;
}

/* One step towards the end: a batch more, sometimes a flush or a new process. */
static enum status step(struct env *env)
{
    enum status st = STATUS_OK;

    if (env->index == NULL)
        return restart(env);
    size_t which = env->model.known;

    st = apply(env, env->index, which);
    if (st == STATUS_INTERNAL) /* damage: the next start makes it anew */
        return restart(env);
    if (st != STATUS_OK)
        return st;
    model_put(env, &env->model, &env->batches[which]);
    if (which % 7 == 5) {
        st = flush(env);
        if (st == STATUS_OK && env->batch_count == BATCHES)
            mark(env);
    }
    if (which == env->batch_count / 2 && st == STATUS_OK && !env->restarted) {
        env->restarted = true;
        st = restart(env);
    }
    return st;
}

/* Steps that fail are tried again. */
static void tell(struct env *env)
{
    unsigned failures = 0;

    while (env->index == NULL || env->model.known < env->batch_count) {
        enum status st = step(env);

        if (env->index != NULL && (st == STATUS_INTERNAL || (st != STATUS_OK && env->dies))) {
            env->index->ops->free(env->index);
            env->index = NULL;
        }
        failures += st != STATUS_OK;
        if (failures > 20)
            fail_msg("it never works again: %s", env->err.text);
    }
}

/* --- many operations --------------------------------------------------------------------------- */

static void many_batches_are_as_in_the_model(void **state)
{
    struct env *env = *state;
    uint64_t seed = test_seed("index_files");

    begin(env, MANY, seed);
    struct random_seeded random = random_seeded_of(seed + 1);

    while (env->index == NULL || env->model.known < env->batch_count) {
        assert_int_equal(step(env), STATUS_OK);
        if (random_seeded_below(&random, 50) == 0)
            assert_int_equal(restart(env), STATUS_OK);
        if (random_seeded_below(&random, 20) == 0)
            assert_int_equal(flush(env), STATUS_OK);
        if (random_seeded_below(&random, 60) == 0)
            verify(env, env->index, &env->model);
    }
    verify(env, env->index, &env->model);
    struct fs_names names = {0};

    ASSERT_OK(fs_list(env->fs, "index", &names, &env->err), &env->err);
    assert_true(names.count < 80); /* of some 500 flushes, with what is being merged */
    fs_names_deinit(&names);
    assert_int_equal(env->made_anew, 0);
}

/* --- power cuts -------------------------------------------------------------------------------- */

static size_t promised_at(const struct env *env, size_t upto)
{
    size_t promised = 0;

    for (size_t i = 0; i < env->mark_count; i++) {
        if (env->marks[i].position <= upto)
            promised = env->marks[i].promised;
    }
    return promised;
}

static void go_on(struct env *env, struct index *index, struct model *model)
{
    size_t until = model->known + 6;

    while (model->known < env->batch_count && model->known < until) {
        ASSERT_OK(apply(env, index, model->known), &env->err);
        model_put(env, model, &env->batches[model->known]);
    }
    ASSERT_OK(index->ops->flush(index, &env->err), &env->err);
    verify(env, index, model);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *name)
{
    struct env *env = arg;
    struct index *index = NULL;

    env->states++;
    if (env->states % env->share != 0)
        return;
    struct model *model = memory_new(1, sizeof(*model));

    assert_non_null(model);
    ASSERT_OK(bind_new(env, fs, &index), &env->err);
    INVARIANT(index != NULL);
    size_t known = known_by(env, index);

    if (known < promised_at(env, upto) || has_logged(env, "made anew"))
        fail_msg("%s: it knows %zu batches, %zu were promised", name, known,
                 promised_at(env, upto));
    model_set(env, model, known);
    verify(env, index, model);
    if (env->states % 16 == 0)
        go_on(env, index, model);
    index->ops->free(index);
    memory_free(model);
}

/* One state of SHARE is looked at. */
static void cut_everywhere(struct env *env, unsigned share, unsigned max_states)
{
    const struct fs_cut_options cut = {.exhaustive = 3,
                                       .samples = 4,
                                       .seed = 1,
                                       .max_states = test_is_long() ? 200 : max_states};

    env->index->ops->free(env->index);
    env->index = NULL;
    faults_arm(env->faults, 0, 0);
    (void)has_logged(env, "");
    env->share = share;
    (void)fs_cut_every(fs_record_log(env->fs), &cut, check_state, env);
}

static void a_power_cut_leaves_the_index_of_a_flush(void **state)
{
    struct env *env = *state;

    begin(env, BATCHES, 5);
    tell(env);
    cut_everywhere(env, 1, 8);
    print_message("%" PRIu64 " states\n", env->states);
    assert_true(env->states > 1000);
}

/* The story with the Nth hit of POINT failing; then every cut of it. */
static void cut_after_failure(struct env *env, const char *point, uint64_t n)
{
    begin(env, BATCHES, 5 + n % 3);
    faults_arm_point(env->faults, point, n, FAULT_FAIL);
    tell(env);
    assert_true(faults_fired(env->faults));
    cut_everywhere(env, 4, 8);
    end(env);
}

/* A sync that failed, then the power goes: what was pending then may never arrive. */
static void so_it_does_after_a_sync_that_failed(void **state)
{
    struct env *env = *state;
    unsigned stride = test_is_long() ? 1 : 5; /* 14 is one that meets a merge under way */

    env->pace = 2; /* so that one is under way when it fails */
    for (uint64_t n = 4; n < 30; n += stride) {
        cut_after_failure(env, "fs.sync_dir", n);
        if (n % 2 == 0)
            cut_after_failure(env, "fs.sync", n);
    }
    print_message("%" PRIu64 " states\n", env->states);
}

/* The process dies of it: the next one reads what the failed sync left in the cache, and cannot know. */
static void so_it_does_after_a_process_that_saw_a_sync_fail(void **state)
{
    struct env *env = *state;
    unsigned stride = test_is_long() ? 1 : 2;

    env->dies = true;
    for (uint64_t n = 4; n < 22; n += stride)
        cut_after_failure(env, "fs.sync_dir", n);
    print_message("%" PRIu64 " states\n", env->states);
}

/* --- failures ---------------------------------------------------------------------------------- */

static void attempt(void *arg, uint64_t n)
{
    struct env *env = arg;

    faults_arm(env->faults, 0, 0); /* not for what the test itself needs */
    begin(env, BATCHES, 9);
    faults_arm(env->faults, env->classes, n);
    tell(env);
    enum status st = flush(env);

    if (st == STATUS_INTERNAL) {
        env->index->ops->free(env->index);
        env->index = NULL;
    }
    faults_arm(env->faults, 0, 0);
    if (env->index == NULL)
        assert_int_equal(restart(env), STATUS_OK);
    tell(env);
    verify(env, env->index, &env->model);
    assert_int_equal(flush(env), STATUS_OK);
    assert_int_equal(restart(env), STATUS_OK);
    assert_int_equal(env->model.known, BATCHES);
    verify(env, env->index, &env->model);
    (void)has_logged(env, "");
    end(env);
}

static void the_nth_io_that_fails_costs_no_more_than_itself(void **state)
{
    struct env *env = *state;

    env->classes = FAULT_IO;
    assert_true(fail_each(env->faults, FAULT_IO, attempt, env) > 200);
}

static void the_nth_allocation_that_fails_costs_nothing(void **state)
{
    struct env *env = *state;

    env->classes = FAULT_ALLOC;
    assert_true(fail_each(env->faults, FAULT_ALLOC, attempt, env) > 100);
    assert_int_equal(env->made_anew, 0);
}

static void the_nth_fault_point_that_fails_costs_nothing(void **state)
{
    struct env *env = *state;

    env->classes = FAULT_POINT;
    assert_true(fail_each(env->faults, FAULT_POINT, attempt, env) > 10);
    assert_int_equal(env->made_anew, 0);
}

/* apply() takes into memory what it has room for; then it says that the disk is full, and changes nothing. */
static void a_full_disk_leaves_everything_as_it_was(void **state)
{
    struct env *env = *state;
    enum status st = STATUS_OK;

    begin(env, MANY, 3);
    fs_memory_set_space(env->memory, 200000);
    while (st == STATUS_OK)
        st = step(env);
    ASSERT_STATUS(STATUS_EXHAUSTED, st, &env->err);
    for (int i = 0; i < 5; i++)
        ASSERT_STATUS(STATUS_EXHAUSTED, apply(env, env->index, env->model.known), &env->err);
    verify(env, env->index, &env->model);
    size_t promised = env->promised;

    assert_int_equal(restart(env), STATUS_OK);
    assert_true(env->model.known >= promised && promised > 0);
    verify(env, env->index, &env->model);
    fs_memory_set_space(env->memory, UINT64_MAX);
    for (int i = 0; i < 200; i++)
        assert_int_equal(step(env), STATUS_OK);
    verify(env, env->index, &env->model);
}

/* --- damage ------------------------------------------------------------------------------------ */

static void flip(struct env *env, const char *path, uint64_t offset)
{
    struct fs_file *file = NULL;
    uint8_t byte = 0;

    ASSERT_OK(fs_open(env->memory, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_exactly_at(file, offset, &byte, 1, &env->err), &env->err);
    byte = (uint8_t)(byte ^ 1U << offset % 8);
    ASSERT_OK(fs_write_at(file, offset, slice_of(&byte, 1), &env->err), &env->err);
    fs_close(file);
}

static uint64_t size_of(struct env *env, const char *path)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;

    ASSERT_OK(fs_open(env->memory, path, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
    fs_close(file);
    return size;
}

/* An index of one flush, over files that can be changed under it. */
static void make_small(struct env *env)
{
    begin(env, BATCHES, 2);
    fs_free(env->fs);
    env->fs = NULL;
    ASSERT_OK(bind_new(env, env->memory, &env->index), &env->err);
    INVARIANT(env->index != NULL);
    while (env->model.known < 3) {
        ASSERT_OK(apply(env, env->index, env->model.known), &env->err);
        model_put(env, &env->model, &env->batches[env->model.known]);
    }
    ASSERT_OK(env->index->ops->flush(env->index, &env->err), &env->err);
}

/* Each bit of what an index reads is checked: it is made anew, or says so, and never says anything wrong. */
static void check_flipped(struct env *env, const char *path)
{
    struct index *index = NULL;
    static const struct model nothing;

    ASSERT_OK(bind_new(env, env->memory, &index), &env->err);
    INVARIANT(index != NULL);
    if (has_logged(env, "made anew")) {
        assert_int_equal(known_by(env, index), 0);
        verify(env, index, &nothing);
        for (size_t i = 0; i < 3; i++)
            ASSERT_OK(apply(env, index, i), &env->err);
        ASSERT_OK(index->ops->flush(index, &env->err), &env->err);
        verify(env, index, &env->model);
        index->ops->free(index);
        return;
    }
    verify_ids(env, index, &env->model, true);
    verify_places(env, index, &env->model, true);
    if (has_logged(env, "is damaged")) {
        ASSERT_STATUS(STATUS_INTERNAL, apply(env, index, 3), &env->err);
        ASSERT_STATUS(STATUS_INTERNAL, index->ops->flush(index, &env->err), &env->err);
        ASSERT_OK(index->ops->clear(index, &env->err), &env->err);
        for (size_t i = 0; i < 3; i++)
            ASSERT_OK(apply(env, index, i), &env->err);
        ASSERT_OK(index->ops->flush(index, &env->err), &env->err);
        verify(env, index, &env->model);
    } else {
        assert_non_null(
            strstr(path, ".run")); /* nothing is in that page but zeros that nobody reads */
        fail_msg("%s: a flipped bit was not noticed", path);
    }
    index->ops->free(index);
}

static bool name_at(struct env *env, size_t which, char path[FS_PATH_SIZE])
{
    struct fs_names names = {0};
    bool there = false;

    ASSERT_OK(fs_list(env->memory, "index", &names, &env->err), &env->err);
    if (which < names.count) {
        (void)snprintf(path, FS_PATH_SIZE, "index/%s", names.names[which]);
        there = true;
    }
    fs_names_deinit(&names);
    return there;
}

static void no_flipped_bit_is_believed(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];
    unsigned stride = test_is_long() ? 1 : 7;

    make_small(env);
    env->index->ops->free(env->index);
    env->index = NULL;
    for (size_t which = 0; name_at(env, which, path); which++) {
        uint64_t size = size_of(env, path);

        for (uint64_t offset = 0; offset < size; offset += which == 2 ? 1 : stride) {
            assert_true(name_at(env, which, path)); /* it has a new name each time */
            flip(env, path, offset);
            check_flipped(env, path);
        }
    }
}

static void a_file_that_is_short_or_gone_is_noticed(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];
    struct fs_file *file = NULL;

    make_small(env);
    env->index->ops->free(env->index);
    env->index = NULL;
    for (size_t i = 0; i < 24; i++) {
        uint64_t part = i % 8 + 1;

        assert_true(name_at(env, i / 8, path));
        uint64_t size = size_of(env, path);

        ASSERT_OK(fs_open(env->memory, path, FS_WRITE, &file, &env->err), &env->err);
        ASSERT_OK(fs_resize(file, part == 8 ? size + 1 : size * part / 16, &env->err), &env->err);
        fs_close(file);
        check_flipped(env, path);
    }
    for (size_t which = 0; which < 2; which++) {
        assert_true(name_at(env, which, path));
        ASSERT_OK(fs_remove(env->memory, path, &env->err), &env->err);
        check_flipped(env, path);
    }
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_batches_are_as_in_the_model),
        TEST(a_power_cut_leaves_the_index_of_a_flush),
        TEST(so_it_does_after_a_sync_that_failed),
        TEST(so_it_does_after_a_process_that_saw_a_sync_fail),
        TEST(the_nth_io_that_fails_costs_no_more_than_itself),
        TEST(the_nth_allocation_that_fails_costs_nothing),
        TEST(the_nth_fault_point_that_fails_costs_nothing),
        TEST(a_full_disk_leaves_everything_as_it_was),
        TEST(no_flipped_bit_is_believed),
        TEST(a_file_that_is_short_or_gone_is_noticed),
    };

    return cmocka_run_group_tests_name("index in files", tests, NULL, NULL);
}
