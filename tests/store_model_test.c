/* A store against a model: all sequences of up to three operations, and long seeded ones, with two uploads at once. The power is
 * cut after every operation of the file system and in the middle of it, in every legal way or many of them; index, head and
 * proofs are as they were, older, or lost. Then: every committed point is there and reads back whole, in the state that it was
 * given; nothing uncommitted shows; partial trees that were promised are there; the store goes on, and no number is used
 * twice. The same with each sync failing, each write meeting a full disk, and each I/O call and allocation failing.
 *
 * A failure prints the seed, the sequence and the state's name; TIDEMARK_TEST_SEED replays it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/index_files.h"
#include "tests/store_world.h"
#include "tests/support/fs_cut.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/test.h"

enum {
    PACK_SIZE = 3000,
    SUMMARY_EVERY = 5,
    TABLE_RECORDS = 2600, /* of the index: just more than one batch */
    LATER = 60000,        /* the task with which the store goes on */
    SESSIONS = 2,
    HALF = WORLD_BLOCKS / 2,
    POINTS_MAX = 64,
    STEPS_MAX = 64,
    TEXT_SIZE = 1024,
    GRACE = 1000, /* lock time */
    PARTIAL_UPTO = 100,
};

enum op {
    OP_PUT_A, /* the next half of an upload */
    OP_PUT_B,
    OP_COMMIT_A, /* what is left of it, and its commit */
    OP_COMMIT_B,
    OP_SAVE_A, /* its partial tree */
    OP_TRASH,  /* the newest live point */
    OP_UNDELETE,
    OP_PURGE,
    OP_LOCK, /* the newest point that is not locked */
    OP_HOLD,
    OP_SYNC,
    OP_DOMAIN, /* another one; B's later uploads go there */
    OP_REOPEN,
    OP_KILL, /* nothing more is written; then opened */
    OP_REBUILD,
    OP_COUNT,
};

static const char *const op_names[OP_COUNT] = {
    "put-a", "put-b", "commit-a", "commit-b", "save-a", "trash", "undelete", "purge",
    "lock",  "hold",  "sync",     "domain",   "reopen", "kill",  "rebuild",
};

/* A point as the model has it. */
struct model_point {
    struct world_point point;
    bool committed; /* promised */
    bool purged;
    bool maybe; /* its commit failed: it may come to light, whole */
    bool trashed;
    bool locked;
    bool held;
    bool unsure; /* the last operation on it failed: after a start it may be as if it had not */
};

/* A promised partial tree. */
struct model_partial {
    bool there;
    struct random_id task;
    struct ref root;
    struct world_disk disk; /* blocks below PARTIAL_UPTO new, the rest the parent's */
};

struct model {
    struct model_point points[POINTS_MAX];
    unsigned count;
    struct model_partial partial;
    uint64_t last_number;
};

struct session {
    struct disk_tree *tree; /* NULL: nothing begun */
    unsigned done;          /* halves */
    struct world_point point;
    struct world_disk before; /* the parent's */
    uint64_t generation;
};

struct run {
    struct faults *faults;
    struct fs *memory;
    struct fs *fs; /* records */
    struct store_world world;
    struct store *store;
    struct session sessions[SESSIONS];
    struct model model;  /* after the last operation that returned */
    struct model before; /* before the operation under way */
    bool domain;         /* the second one was made */
    struct random_id domain_id;
    unsigned serial; /* of tasks and contents */
    struct random_seeded random;
    enum op ops[STEPS_MAX];
    unsigned op_count;
    size_t bounds[STEPS_MAX + 2]; /* operations of the file system before each */
    uint64_t states;
    const char *what;
};

/* --- the world --------------------------------------------------------------------------------- */

static void tell(const struct run *run, char text[TEXT_SIZE])
{
    size_t at = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < run->op_count && at < TEXT_SIZE - 16; i++)
        at += (size_t)snprintf(text + at, TEXT_SIZE - at, "%s%s", i == 0 ? "" : " ",
                               op_names[run->ops[i]]);
}

#define FAIL_RUN(run, ...)                             \
    do {                                               \
        char told_[TEXT_SIZE];                         \
        tell(run, told_);                              \
        print_error("%s: [%s]: ", (run)->what, told_); \
        fail_msg(__VA_ARGS__);                         \
    } while (0)

static struct index *new_index(struct fs *fs, const struct log *log)
{
    const struct index_files_options options = {.table_records = TABLE_RECORDS};
    struct index *index = NULL;
    struct error err = {0};

    ASSERT_OK(index_files_new(fs, &options, log, &index, &err), &err);
    return index;
}

static void world_over(struct store_world *world, struct fs *fs, uint64_t seed)
{
    store_world_init(world, fs, PACK_SIZE, seed);
    world->options.summary_every = SUMMARY_EVERY;
    store_world_set_index(world, new_index(fs, &world->log));
}

static void drop_sessions(struct run *run)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        disk_tree_free(run->sessions[i].tree);
        run->sessions[i] = (struct session){0};
    }
}

static enum status open_store(struct run *run, struct error *err)
{
    const struct index_files_options options = {.table_records = TABLE_RECORDS};
    struct index *index = NULL;
    enum status st = index_files_new(run->fs, &options, &run->world.log, &index, err);

    if (st != STATUS_OK)
        return st;
    store_world_set_index(&run->world, index);
    return store_world_open(&run->world, &run->store, err);
}

/* As a killed process: nothing more reaches the file system. */
static void kill_store(struct run *run)
{
    drop_sessions(run);
    if (run->store == NULL)
        return;
    faults_arm_point(run->faults, "store.before_sync", 1, FAULT_FAIL);
    store_close(run->store);
    run->store = NULL;
    faults_arm(run->faults, 0, 0);
    (void)store_world_lines(&run->world);
}

static void begin(struct run *run, const char *what, uint64_t seed)
{
    struct error err = {0};

    *run = (struct run){.what = what, .random = random_seeded_of(seed), .serial = 1};
    run->faults = faults_new();
    assert_non_null(run->faults);
    faults_install(run->faults);
    ASSERT_OK(fs_memory_new(&run->memory, &err), &err);
    ASSERT_OK(fs_record_new(run->memory, &run->fs, &err), &err);
    world_over(&run->world, run->fs, seed);
    ASSERT_OK(store_world_create(&run->world, &err), &err);
    ASSERT_OK(open_store(run, &err), &err);
}

static void end(struct run *run)
{
    kill_store(run);
    store_world_deinit(&run->world);
    fs_free(run->fs);
    fs_free(run->memory);
    faults_install(NULL);
    faults_free(run->faults);
}

/* --- operations -------------------------------------------------------------------------------- */

/* The newest point that is committed, and WANTED says so; NULL: none. */
static struct model_point *newest(struct model *model, bool (*wanted)(const struct model_point *))
{
    for (unsigned i = model->count; i-- > 0;) {
        struct model_point *point = &model->points[i];

        if (point->committed && !point->purged && wanted(point))
            return point;
    }
    return NULL;
}

static bool is_live(const struct model_point *point)
{
    return !point->trashed;
}

static bool is_free(const struct model_point *point)
{
    return !point->trashed && !point->locked && !point->held;
}

static bool is_trashed(const struct model_point *point)
{
    return point->trashed;
}

static bool is_not_locked(const struct model_point *point)
{
    return !point->locked;
}

static bool is_not_held(const struct model_point *point)
{
    return !point->held;
}

/* The parent of a new upload in DOMAIN; NULL: none. */
static const struct model_point *parent_in(struct model *model, const struct random_id *domain)
{
    for (unsigned i = model->count; i-- > 0;) {
        const struct model_point *point = &model->points[i];

        if (point->committed && !point->purged && is_live(point) &&
            random_id_equal(&point->point.domain, domain))
            return point;
    }
    return NULL;
}

/* Six blocks of its own, one that both sessions bring, a hole where something was. */
static void change_disk(struct run *run, struct world_disk *disk)
{
    for (unsigned i = 0; i < 6; i++)
        disk->blocks[(run->serial * 7 + i * 33) % WORLD_BLOCKS] =
            (uint16_t)(100 + run->serial * 8 + i);
    disk->blocks[50 + run->serial % 2 * 100] = (uint16_t)(20000 + run->serial / 4);
    disk->blocks[(run->serial * 13) % WORLD_BLOCKS] = 0;
}

static enum status begin_session(struct run *run, unsigned which, struct error *err)
{
    struct session *session = &run->sessions[which];
    const struct model_point *parent = NULL;

    *session = (struct session){.generation = store_generation(run->store)};
    session->point.task = world_task(run->serial);
    if (which == 1 && run->domain)
        session->point.domain = run->domain_id;
    if (run->serial % 3 == 0)
        session->point.file = (uint16_t)(30000 + run->serial * 4);
    parent = parent_in(&run->model, &session->point.domain);
    if (parent != NULL)
        session->before = parent->point.disk;
    session->point.disk = session->before;
    change_disk(run, &session->point.disk);
    run->serial++;
    return world_tree_new(run->store, world_domain(run->store, &session->point),
                          parent == NULL ? NULL : &parent->point.root.id, &session->tree, err);
}

static enum status put_half(struct run *run, unsigned which, struct error *err)
{
    struct session *session = &run->sessions[which];
    enum status st = STATUS_OK;

    if (session->tree == NULL)
        st = begin_session(run, which, err);
    if (st == STATUS_OK && session->done < 2) {
        unsigned from = session->done * HALF;

        st = world_put_blocks(run->store, world_domain(run->store, &session->point), session->tree,
                              &session->point.disk, &session->before,
                              (struct world_part){from, from + HALF}, err);
        session->done++;
    }
    return st;
}

static enum status commit(struct run *run, unsigned which, struct error *err)
{
    struct session *session = &run->sessions[which];
    struct model_point *noted = NULL;
    struct store_point shown;
    struct disk_root root;
    enum status st = STATUS_OK;

    do
        st = put_half(run, which, err);
    while (st == STATUS_OK && session->done < 2);
    if (st == STATUS_OK)
        st = disk_tree_finish(session->tree, &root, &session->point.root, err);
    if (st == STATUS_OK)
        st = world_put_envelope(run->store, &session->point, err);
    if (st == STATUS_OK) {
        assert_true(run->model.count < POINTS_MAX);
        noted = &run->model.points[run->model.count++];
        *noted = (struct model_point){.point = session->point, .maybe = true};
        run->before = run->model; /* it may show from here on */
        st = store_commit(run->store, world_domain(run->store, &session->point),
                          &session->point.task, &session->point.envelope, &shown, err);
    }
    if (st == STATUS_OK) {
        noted->committed = true;
        if (run->model.partial.there &&
            random_id_equal(&run->model.partial.task, &session->point.task))
            run->model.partial.there = false;
    }
    disk_tree_free(session->tree);
    *session = (struct session){0};
    return st;
}

/* A's tree as it is after its first half. */
static enum status save(struct run *run, struct error *err)
{
    struct session *session = &run->sessions[0];
    struct store_partial partial = {.blocks = PARTIAL_UPTO, .disk = {1}};
    enum status st = disk_tree_save(session->tree, &partial.root, err);

    partial.task = session->point.task;
    partial.domain = world_domain(run->store, &session->point)->id;
    if (st == STATUS_OK)
        st = store_save_partial(run->store, &partial, err);
    if (st != STATUS_OK)
        return st;
    run->model.partial = (struct model_partial){.there = true,
                                                .task = partial.task,
                                                .root = partial.root,
                                                .disk = session->before};
    memcpy(run->model.partial.disk.blocks, session->point.disk.blocks,
           PARTIAL_UPTO * sizeof(session->point.disk.blocks[0]));
    return STATUS_OK;
}

static enum status add_domain(struct run *run, struct error *err)
{
    const struct store_domain *domain = NULL;
    enum status st = store_add_domain(run->store, "second", &domain, err);

    if (st == STATUS_OK) {
        run->domain = true;
        run->domain_id = domain->id;
    }
    return st;
}

/* The point that an operation on points is for; NULL: it cannot be done now. */
static struct model_point *subject(struct run *run, enum op op)
{
    switch (op) {
    case OP_TRASH:
        return newest(&run->model, is_free);
    case OP_UNDELETE:
    case OP_PURGE:
        return newest(&run->model, is_trashed);
    case OP_LOCK:
        return newest(&run->model, is_not_locked);
    case OP_HOLD:
        return newest(&run->model, is_not_held);
    default:
        return NULL;
    }
}

static bool is_on_point(enum op op)
{
    return op == OP_TRASH || op == OP_UNDELETE || op == OP_PURGE || op == OP_LOCK || op == OP_HOLD;
}

static bool can_do(struct run *run, enum op op)
{
    if (is_on_point(op))
        return subject(run, op) != NULL;
    switch (op) {
    case OP_PUT_A:
        return run->sessions[0].done < 2;
    case OP_PUT_B:
        return run->sessions[1].done < 2;
    case OP_SAVE_A:
        return run->sessions[0].done == 1;
    case OP_DOMAIN:
        return !run->domain;
    default:
        return true;
    }
}

static enum status do_on_point(struct run *run, enum op op, struct error *err)
{
    struct model_point *point = subject(run, op);
    const struct random_id *task = &point->point.task;
    struct model_point after = *point;
    enum status st = STATUS_OK;

    switch (op) {
    case OP_TRASH:
        st = store_trash(run->store, task, GRACE, 0, err);
        after.trashed = true;
        break;
    case OP_UNDELETE:
        st = store_undelete(run->store, task, err);
        after.trashed = false;
        break;
    case OP_PURGE:
        st = store_purge(run->store, task, err);
        after.purged = true;
        break;
    case OP_LOCK:
        st = store_lock_point(run->store, task, GRACE, 0, err);
        after.locked = true;
        after.trashed = false;
        break;
    default:
        st = store_hold(run->store, task, "why", err);
        after.held = true;
        after.trashed = false;
        break;
    }
    if (st == STATUS_OK)
        *point = after;
    else
        point->unsure = true;
    return st;
}

static enum status do_op(struct run *run, enum op op, struct error *err)
{
    if (is_on_point(op))
        return do_on_point(run, op, err);
    switch (op) {
    case OP_PUT_A:
        return put_half(run, 0, err);
    case OP_PUT_B:
        return put_half(run, 1, err);
    case OP_COMMIT_A:
        return commit(run, 0, err);
    case OP_COMMIT_B:
        return commit(run, 1, err);
    case OP_SAVE_A:
        return save(run, err);
    case OP_SYNC:
        return store_sync(run->store, err);
    case OP_DOMAIN:
        return add_domain(run, err);
    case OP_REBUILD:
        drop_sessions(run);
        return store_rebuild(run->store, NULL, NULL, err);
    case OP_REOPEN:
        drop_sessions(run);
        store_close(run->store);
        run->store = NULL;
        return open_store(run, err);
    default:
        kill_store(run);
        return open_store(run, err);
    }
}

/* A number is taken, and nobody ever gets it again, though nothing is stored under it. */
static void note_number(struct run *run)
{
    struct error err = {0};
    uint64_t number = 0;

    if (run->store != NULL && store_reserve(run->store, 1, &number, &err) == STATUS_OK)
        run->model.last_number = number;
}

/* Does OP; the model follows. After a failure uploads whose records may be void begin again, as a coordinator's do. */
static enum status step(struct run *run, enum op op, struct error *err)
{
    run->bounds[run->op_count] = fs_record_log(run->fs)->count;
    run->ops[run->op_count++] = op;
    run->before = run->model;

    enum status st = do_op(run, op, err);

    for (unsigned i = 0; i < SESSIONS; i++) {
        struct session *session = &run->sessions[i];

        if (session->tree != NULL &&
            (st != STATUS_OK || session->generation != store_generation(run->store))) {
            disk_tree_free(session->tree);
            *session = (struct session){0};
        }
    }
    (void)store_world_lines(&run->world);
    note_number(run);
    run->bounds[run->op_count] = fs_record_log(run->fs)->count;
    return st;
}

/* --- what must hold ---------------------------------------------------------------------------- */

static bool same_flags(const struct store_point *shown, const struct model_point *point)
{
    return shown->trashed == point->trashed && (shown->locked_us != 0) == point->locked &&
           shown->held == point->held;
}

/* Point INDEX in STORE: as it was BEFORE or AFTER the operation under way (the same where none is). */
static void check_point(struct run *run, struct store *store, unsigned index, const char *state)
{
    const struct model_point *after = &run->model.points[index];
    const struct model_point *before =
        index < run->before.count ? &run->before.points[index] : after;
    const struct store_point *shown = world_point_of(store, &after->point.task);
    struct error err = {0};

    if (shown == NULL) {
        if (before->committed && !after->purged && !before->purged && !after->unsure)
            FAIL_RUN(run, "%s: point %u was committed and does not show", state, index);
        return;
    }
    if (!after->committed && !after->maybe && !before->maybe)
        FAIL_RUN(run, "%s: point %u was never committed and shows", state, index);
    if (before->purged)
        FAIL_RUN(run, "%s: point %u was purged and shows", state, index);
    if (!same_flags(shown, after) && !same_flags(shown, before) && !after->unsure)
        FAIL_RUN(run, "%s: point %u: trash, lock or hold is wrong", state, index);
    if (world_point_check(store, &after->point, &err) != STATUS_OK)
        FAIL_RUN(run, "%s: point %u: %s", state, index, err.text);
}

static void check_partial(struct run *run, struct store *store, const char *state)
{
    const struct model_partial *partial = &run->model.partial;
    struct error err = {0};
    size_t count = 0;
    const struct store_partial *found = store_partials(store, &count);

    if (!partial->there || !run->before.partial.there ||
        !random_id_equal(&partial->task, &run->before.partial.task))
        return;
    for (size_t i = 0; i < count; i++) {
        if (!random_id_equal(&found[i].task, &partial->task))
            continue;
        if (!id_equal(&found[i].root.id, &partial->root.id) &&
            !id_equal(&found[i].root.id, &run->before.partial.root.id))
            FAIL_RUN(run, "%s: another partial tree than the one that was saved", state);
        if (id_equal(&found[i].root.id, &partial->root.id) &&
            world_disk_check(store, store_default_domain(store), &found[i].root, &partial->disk,
                             &err) != STATUS_OK)
            FAIL_RUN(run, "%s: the partial tree: %s", state, err.text);
        return;
    }
    if (world_point_of(store, &partial->task) == NULL)
        FAIL_RUN(run, "%s: the partial tree that was saved is not there", state);
}

/* No point shows that the model does not have. */
static void check_strangers(struct run *run, struct store *store, const char *state)
{
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);

    for (size_t i = 0; i < count; i++) {
        const struct random_id later = world_task(LATER);
        bool known = random_id_equal(&points[i].task, &later);

        for (unsigned k = 0; !known && k < run->model.count; k++)
            known = random_id_equal(&points[i].task, &run->model.points[k].point.task);
        for (unsigned k = 0; !known && k < run->before.count; k++)
            known = random_id_equal(&points[i].task, &run->before.points[k].point.task);
        if (!known)
            FAIL_RUN(run, "%s: a point shows that was never committed", state);
    }
}

static void check_all(struct run *run, struct store *store, const char *state)
{
    for (unsigned i = 0; i < run->model.count; i++)
        check_point(run, store, i, state);
    check_strangers(run, store, state);
    check_partial(run, store, state);
}

/* The store takes another point, on top of what is there, under new numbers. */
static void check_goes_on(struct run *run, struct store *store, const char *state)
{
    static const struct random_id default_domain;
    struct world_point next = {.task = world_task(LATER)};
    const struct model_point *parent = parent_in(&run->before, &default_domain);
    struct error err = {0};

    if (parent != NULL && world_point_of(store, &parent->point.task) == NULL)
        parent = NULL; /* being purged */
    if (parent != NULL)
        next.disk = parent->point.disk;
    next.disk.blocks[77] = 60000;
    next.disk.blocks[50] = 20001; /* perhaps known */
    if (world_point_commit(store, &next, parent == NULL ? NULL : &parent->point, &err) !=
            STATUS_OK ||
        world_point_check(store, &next, &err) != STATUS_OK)
        FAIL_RUN(run, "%s: the next commit: %s", state, err.text);
    if (next.envelope.number <= run->before.last_number)
        FAIL_RUN(run, "%s: number %" PRIu64 " is used again", state, next.envelope.number);
}

/* --- power cuts -------------------------------------------------------------------------------- */

/* The caches in FS become what they were at an earlier moment, or nothing, or stay. */
static void change_caches(struct run *run, size_t upto, struct fs *fs)
{
    struct fs *then = NULL;
    struct error err = {0};
    uint64_t choice = random_seeded_below(&run->random, 4);

    if (choice < 2)
        return;
    if (choice == 2 && upto > 0) {
        ASSERT_OK(fs_memory_new(&then, &err), &err);
        ASSERT_OK(fs_log_replay(fs_record_log(run->fs),
                                (size_t)random_seeded_below(&run->random, upto), then, &err),
                  &err);
    }
    world_put_back(fs, then, "index");
    fs_free(then);
}

static void check_state(struct run *run, size_t upto, struct fs *fs, const char *state)
{
    struct store_world world;
    struct store *store = NULL;
    struct error err = {0};

    change_caches(run, upto, fs);
    world_over(&world, fs, random_seeded_next(&run->random));
    if (store_world_open(&world, &store, &err) != STATUS_OK)
        FAIL_RUN(run, "%s: open: %s", state, err.text);
    check_all(run, store, state);
    check_goes_on(run, store, state);
    check_all(run, store, state);
    store_close(store);
    store_world_deinit(&world);
    run->states++;
}

/* All states of one cut. */
static void cut_at(struct run *run, struct fs_cuts *cuts, size_t upto)
{
    struct fs_cut *states = fs_cuts_at(cuts, upto);
    struct fs *fs = NULL;
    struct error err = {0};

    ASSERT_OK(fs_cut_next(states, &fs, &err), &err);
    while (fs != NULL) {
        check_state(run, upto, fs, fs_cut_name(states));
        fs_free(fs);
        ASSERT_OK(fs_cut_next(states, &fs, &err), &err);
    }
    fs_cut_free(states);
}

/* Cuts the power everywhere from operation FROM of the file system to the newest. */
static void cut(struct run *run, size_t from, unsigned max_states)
{
    const struct fs_cut_options options = {.exhaustive = 2,
                                           .samples = 2,
                                           .max_states = max_states,
                                           .seed = random_seeded_next(&run->random)};
    const struct fs_log *log = fs_record_log(run->fs);
    struct fs_cuts *cuts = fs_cuts_new(log, &options);

    for (size_t upto = from; upto <= log->count; upto++)
        cut_at(run, cuts, upto);
    fs_cuts_free(cuts);
}

/* --- all short sequences ----------------------------------------------------------------------- */

/* Does OPS on a store with one point; then cuts the power everywhere in the last of them: the shorter sequences have had
 * the others. False: one of them cannot be done there. */
static bool try_sequence(const enum op *ops, unsigned count, uint64_t seed, uint64_t *states)
{
    struct run *run = memory_new(1, sizeof(*run));
    struct error err = {0};
    bool could = true;

    assert_non_null(run);
    begin(run, "sequence", seed);
    ASSERT_OK(step(run, OP_COMMIT_A, &err), &err);
    for (unsigned i = 0; could && i < count; i++) {
        could = can_do(run, ops[i]);
        if (could && step(run, ops[i], &err) != STATUS_OK)
            FAIL_RUN(run, "%s", err.text);
    }
    if (could)
        cut(run, run->bounds[run->op_count - 1], test_is_long() ? 12 : 8);
    *states += run->states;
    end(run);
    memory_free(run);
    return could;
}

static void every_sequence_of_up_to_three_operations_survives_a_power_cut(void **state)
{
    uint64_t seed = test_seed("store_model: sequences");
    struct random_seeded random = random_seeded_of(seed);
    unsigned share = test_is_long() ? 1 : 150; /* of those of three: one in so many */
    uint64_t states = 0;
    unsigned tried = 0;
    unsigned all = OP_COUNT * OP_COUNT * OP_COUNT;

    (void)state;
    for (unsigned i = 0; i < OP_COUNT + OP_COUNT * OP_COUNT + all; i++) {
        unsigned count = i < OP_COUNT ? 1 : i < OP_COUNT + OP_COUNT * OP_COUNT ? 2 : 3;
        unsigned code = count == 1   ? i
                        : count == 2 ? i - OP_COUNT
                                     : i - OP_COUNT - OP_COUNT * OP_COUNT;
        enum op ops[3];

        for (unsigned k = 0; k < 3; k++, code /= OP_COUNT)
            ops[k] = (enum op)(code % OP_COUNT);
        if (count == 3 && random_seeded_below(&random, share) != 0)
            continue;
        if (try_sequence(ops, count, random_seeded_next(&random), &states))
            tried++;
    }
    (void)printf("%u sequences, %" PRIu64 " states\n", tried, states);
    assert_true(tried > 100);
}

/* --- long ones --------------------------------------------------------------------------------- */

static void run_randomly(struct run *run, unsigned steps)
{
    struct error err = {0};

    for (unsigned i = 0; i < steps && run->op_count < STEPS_MAX; i++) {
        enum op op = (enum op)random_seeded_below(&run->random, OP_COUNT);

        if (!can_do(run, op))
            continue;
        if (step(run, op, &err) != STATUS_OK)
            FAIL_RUN(run, "%s", err.text);
        check_all(run, run->store, "as it runs");
    }
}

/* One life: forty operations, then some more in which the power is cut. The others are over by then: each has promised what it
 * did. Returns how many states there were. */
static uint64_t live_and_cut(uint64_t seed)
{
    struct run *run = memory_new(1, sizeof(*run));
    uint64_t states = 0;

    assert_non_null(run);
    begin(run, "life", seed);
    run_randomly(run, 40);
    for (unsigned k = 0; k < 6; k++) {
        enum op op = (enum op)random_seeded_below(&run->random, OP_COUNT);
        struct error err = {0};

        if (!can_do(run, op) || run->op_count == STEPS_MAX)
            continue;
        if (step(run, op, &err) != STATUS_OK)
            FAIL_RUN(run, "%s", err.text);
        cut(run, run->bounds[run->op_count - 1], test_is_long() ? 12 : 8);
    }
    states = run->states;
    end(run);
    memory_free(run);
    return states;
}

static void long_lives_survive_a_power_cut(void **state)
{
    uint64_t seed = test_seed("store_model: lives");
    uint64_t lives = test_is_long() ? 60 : 2;
    uint64_t states = 0;

    (void)state;
    for (uint64_t i = 0; i < lives; i++)
        states += live_and_cut(seed + i);
    (void)printf("%" PRIu64 " lives, %" PRIu64 " states\n", lives, states);
    assert_true(states > lives * 10);
}

/* --- failures ---------------------------------------------------------------------------------- */

/* The story whose Nth call fails. */
static const enum op story[] = {
    OP_COMMIT_A, OP_PUT_A, OP_PUT_B, OP_SAVE_A, OP_COMMIT_B, OP_TRASH,    OP_COMMIT_A, OP_SYNC,
    OP_DOMAIN,   OP_LOCK,  OP_HOLD,  OP_PUT_B,  OP_REOPEN,   OP_COMMIT_B, OP_COMMIT_A,
};

enum { STORY_STEPS = sizeof(story) / sizeof(story[0]) };

/* What is made to fail. */
struct failure {
    const char *what;
    const char *point; /* its Nth hit does ACTION; NULL: the Nth hit of any of CLASSES fails */
    enum fault_action action;
    unsigned classes;
    bool forgets;   /* what a failed sync did not write is gone from the cache too */
    unsigned share; /* outside long runs about one N of so many */
};

/* The story; what fails on the way is done without. Did it fire? */
static bool live_through(struct run *run)
{
    struct error err = {0};
    bool fired = false;

    for (unsigned i = 0; i < STORY_STEPS; i++) {
        if (run->store == NULL || !can_do(run, story[i]) || step(run, story[i], &err) == STATUS_OK)
            continue;
        if (!faults_fired(run->faults))
            FAIL_RUN(run, "with nothing that failed: %s", err.text);
        fired = true;
        faults_arm(run->faults, 0, 0);
        if (run->store == NULL) /* a coordinator is started again */
            ASSERT_OK(open_store(run, &err), &err);
        check_all(run, run->store, "after a failure");
    }
    fired = fired || faults_fired(run->faults);
    faults_arm(run->faults, 0, 0);
    check_all(run, run->store, "at the end");
    return fired;
}

/* The Nth time. False: nothing fired. */
static bool fail_once(const struct failure *failure, unsigned n, uint64_t seed)
{
    struct run *run = memory_new(1, sizeof(*run));
    struct error err = {0};

    assert_non_null(run);
    begin(run, failure->what, seed);
    fs_record_forget_failed(run->fs, failure->forgets);
    if (failure->point != NULL)
        faults_arm_point(run->faults, failure->point, n, failure->action);
    else
        faults_arm(run->faults, failure->classes, n);

    bool fired = live_through(run);

    cut(run, fs_record_log(run->fs)->count, 12);
    kill_store(run);
    ASSERT_OK(open_store(run, &err), &err);
    check_all(run, run->store, "after a kill");
    end(run);
    memory_free(run);
    return fired;
}

static void nothing_promised_is_lost(void **state)
{
    const struct failure *failure = *state;
    uint64_t seed = test_seed(failure->what);
    struct random_seeded random = random_seeded_of(seed);
    unsigned share = test_is_long() ? 1 : failure->share;
    unsigned fired = 0;

    for (unsigned n = 1; fail_once(failure, n, seed); fired++)
        n += 1 + (unsigned)random_seeded_below(&random, share * 2 - 1);
    (void)printf("%s: %u times\n", failure->what, fired);
    assert_true(fired > 3);
}

int main(void)
{
    static struct failure failures[] = {
        {.what = "a failed sync", .point = "fs.sync", .action = FAULT_FAIL, .share = 6},
        {.what = "a failed sync, forgotten",
         .point = "fs.sync",
         .action = FAULT_FAIL,
         .forgets = true,
         .share = 6},
        {.what = "a write that is done, and denied",
         .point = "fs.write",
         .action = FAULT_AFTER,
         .share = 16},
        {.what = "a failed sync of names",
         .point = "fs.sync_dir",
         .action = FAULT_FAIL,
         .share = 1},
        {.what = "a full disk", .point = "fs.write", .action = FAULT_FULL, .share = 6},
        {.what = "a write cut short", .point = "fs.write", .action = FAULT_SHORT, .share = 16},
        {.what = "any failed call of I/O", .classes = FAULT_IO, .share = 16},
        {.what = "no memory", .classes = FAULT_ALLOC, .share = 12},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_up_to_three_operations_survives_a_power_cut),
        cmocka_unit_test(long_lives_survive_a_power_cut),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[0]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[1]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[2]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[3]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[4]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[5]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[6]),
        cmocka_unit_test_prestate(nothing_promised_is_lost, &failures[7]),
    };

    return cmocka_run_group_tests_name("store_model", tests, NULL, NULL);
}
