/* A store with the power cut after every operation, in every legal way (tests/support/fs_cut.h), its index as it was, older,
 * or lost: what was committed reads back byte for byte, what was not does not show, and the store goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "tests/store_world.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/test.h"

enum {
    PACK_SIZE = 3000, /* some records: packs are sealed on the way */
    POINTS = 8,
    PARTIAL = 6, /* the point that is uploaded in parts */
    NEVER = 7,   /* the point that is uploaded and never committed */
    LATER = 50,
    MOMENTS_MAX = 64,
};

/* What held once the log of operations had so many. */
struct moment {
    size_t position;
    size_t applies;        /* of the index */
    uint64_t last_number;  /* that was given out */
    bool promised[POINTS]; /* committed */
    bool trashed;          /* the first one */
    bool purged;
    unsigned partial; /* blocks of the PARTIAL point's disk that a partial tree holds at least */
};

struct story {
    struct faults *faults;
    struct fs *memory;
    struct fs *fs; /* records */
    struct store_world world;
    struct store *store;
    struct world_point points[POINTS];
    struct moment now;
    struct moment moments[MOMENTS_MAX];
    size_t moment_count;
    struct random_seeded random; /* for choices while exploring */
    unsigned share;              /* one state of so many is looked at; 0: all */
    unsigned later;              /* the task with which the store goes on in a state */
    unsigned deep;               /* states that are recorded, and cut, again: so many */
    uint64_t states;
};

static size_t position_of(const struct story *story)
{
    return fs_record_log(story->fs)->count;
}

static void mark(struct story *story)
{
    assert_true(story->moment_count < MOMENTS_MAX);
    story->now.position = position_of(story);
    story->now.applies = index_memory_applies(story->world.index);
    story->moments[story->moment_count++] = story->now;
}

static void open_store(struct story *story)
{
    struct error err = {0};

    ASSERT_OK(store_world_open(&story->world, &story->store, &err), &err);
    mark(story);
}

/* As a killed process does: nothing more is written. */
static void crash(struct story *story)
{
    faults_arm_point(story->faults, "store.before_sync", 1, FAULT_FAIL);
    store_close(story->store);
    assert_true(faults_fired(story->faults));
    faults_arm(story->faults, 0, 0);
    (void)store_world_lines(&story->world);
}

static void note_number(struct story *story, uint64_t number)
{
    if (number > story->now.last_number)
        story->now.last_number = number;
}

/* Commits point INDEX, with FAULT armed for its Nth hit (N 0: none). */
static void commit(struct story *story, unsigned index, const char *fault, unsigned n)
{
    struct world_point *point = &story->points[index];
    const struct world_point *parent = index == 0 ? NULL : &story->points[index - 1];
    struct error err = {0};

    if (parent != NULL && !random_id_equal(&parent->domain, &point->domain))
        parent = NULL;
    if (n > 0)
        faults_arm_point(story->faults, fault, n, FAULT_FAIL);
    enum status st = world_point_commit(story->store, point, parent, &err);

    if (n > 0) {
        assert_true(faults_fired(story->faults));
        assert_int_not_equal(st, STATUS_OK);
        faults_arm(story->faults, 0, 0);
        return;
    }
    ASSERT_OK(st, &err);
    note_number(story, point->envelope.number);
    story->now.promised[index] = true;
    mark(story);
}

static void init_story(struct story *story, struct fs *memory, uint64_t seed)
{
    struct error err = {0};

    *story = (struct story){.later = LATER, .memory = memory, .random = random_seeded_of(seed)};
    story->faults = faults_new();
    assert_non_null(story->faults);
    faults_install(story->faults);
    ASSERT_OK(fs_record_new(memory, &story->fs, &err), &err);
    store_world_init(&story->world, story->fs, PACK_SIZE, seed);
    for (unsigned i = 0; i < POINTS; i++) {
        story->points[i].task = world_task(i);
        story->points[i].disk = i == 0 ? world_disk_of(100, 5, 40) : story->points[i - 1].disk;
        story->points[i].disk.blocks[i * 20 + 1] = (uint16_t)(1000 + i);
        story->points[i].disk.blocks[160] = i == 3 ? 0 : 700;
    }
}

static void deinit_story(struct story *story)
{
    store_world_deinit(&story->world);
    fs_free(story->fs);
    fs_free(story->memory);
    faults_install(NULL);
    faults_free(story->faults);
}

/* --- looking at a state ------------------------------------------------------------------------ */

static const struct moment *moment_at(const struct story *story, size_t upto)
{
    const struct moment *found = NULL;

    for (size_t i = 0; i < story->moment_count; i++) {
        if (story->moments[i].position <= upto)
            found = &story->moments[i];
    }
    return found;
}

/* The index as it may be then: the newest, an older one, or none. */
static struct index *choose_index(struct story *story, const struct moment *moment)
{
    size_t applies = moment->applies;
    uint64_t choice = random_seeded_below(&story->random, 3);

    if (choice == 0)
        return index_memory_new();
    if (choice == 1 && applies > 0)
        applies = (size_t)random_seeded_below(&story->random, applies);
    return index_memory_at(story->world.index, applies);
}

static void check_points(struct story *story, struct store *store, const struct moment *moment,
                         const char *state)
{
    for (unsigned i = 0; i < POINTS; i++) {
        const struct world_point *point = &story->points[i];
        bool shown = world_shows(store, &point->task);
        struct error err = {0};

        if (moment->promised[i] && !shown)
            fail_msg("%s: point %u was committed and does not show", state, i);
        if (i == NEVER && shown)
            fail_msg("%s: point %u was never committed and shows", state, i);
        if (shown && world_point_check(store, point, &err) != STATUS_OK)
            fail_msg("%s: point %u: %s", state, i, err.text);
    }
}

/* What became of the first point, and of the upload in parts. */
static void check_rest(struct story *story, struct store *store, const struct moment *moment,
                       const char *state)
{
    const struct store_point *first = world_point_of(store, &story->points[0].task);
    size_t count = 0;
    const struct store_partial *partials = store_partials(store, &count);
    struct error err = {0};

    if (moment->trashed && (first == NULL || !first->trashed))
        fail_msg("%s: the first point is not in the trash", state);
    if (moment->purged && first != NULL)
        fail_msg("%s: the first point was purged and shows", state);
    if (moment->partial > 0 && (count == 0 || partials[0].blocks < moment->partial))
        fail_msg("%s: the partial tree of %u blocks is not there", state, moment->partial);
    for (size_t i = 0; i < count; i++) {
        struct world_disk disk = story->points[PARTIAL].disk;

        for (uint64_t block = partials[i].blocks; block < WORLD_BLOCKS; block++)
            disk.blocks[block] = 0;
        if (world_disk_check(store, store_default_domain(store), &partials[i].root, &disk, &err) !=
            STATUS_OK)
            fail_msg("%s: the partial tree: %s", state, err.text);
    }
}

/* The store takes another point, on top of whatever there is, under new numbers. */
static void go_on(struct story *story, struct store *store, const struct moment *moment,
                  const char *state)
{
    struct world_point next = {.task = world_task(story->later), .disk = story->points[3].disk};
    const struct world_point *parent = moment->promised[0] ? &story->points[0] : NULL;
    struct error err = {0};

    next.disk.blocks[77] = (uint16_t)(2000 + random_seeded_below(&story->random, 60000));
    if (world_point_commit(store, &next, parent, &err) != STATUS_OK ||
        world_point_check(store, &next, &err) != STATUS_OK)
        fail_msg("%s: the next commit: %s", state, err.text);
    if (next.envelope.number <= moment->last_number)
        fail_msg("%s: number %" PRIu64 " is used again", state, next.envelope.number);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *state);

/* Opens FS, looks at it, and goes on. */
static void check_opened(struct story *story, const struct moment *moment,
                         struct store_world *world, const char *state)
{
    struct store *store = NULL;
    struct error err = {0};

    if (store_world_open(world, &store, &err) != STATUS_OK)
        fail_msg("%s: open: %s", state, err.text);
    check_points(story, store, moment, state);
    check_rest(story, store, moment, state);
    go_on(story, store, moment, state);
    check_points(story, store, moment, state);
    check_rest(story, store, moment, state);
    store_close(store);
}

/* The same, recorded; and then the power is cut everywhere on the way. */
static void check_deep(struct story *story, const struct moment *moment, struct fs *fs,
                       struct index *take_index, const char *state)
{
    struct fs_cut_options options = {.exhaustive = 3, .max_states = 8, .seed = 1};
    struct story inner;
    struct error err = {0};

    story->deep--;
    inner = (struct story){.later = story->later + 1,
                           .random = random_seeded_of(random_seeded_next(&story->random))};
    memcpy(inner.points, story->points, sizeof(inner.points));
    ASSERT_OK(fs_record_new(fs, &inner.fs, &err), &err);
    store_world_init(&inner.world, inner.fs, PACK_SIZE, random_seeded_next(&story->random));
    store_world_set_index(&inner.world, take_index);
    inner.now = *moment;
    inner.now.position = position_of(&inner); /* what is there is durable */
    inner.now.applies = 0;
    inner.moments[inner.moment_count++] = inner.now;
    check_opened(&inner, moment, &inner.world, state);
    inner.later++;
    story->states += fs_cut_every(fs_record_log(inner.fs), &options, check_state, &inner);
    store_world_deinit(&inner.world);
    fs_free(inner.fs);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *state)
{
    struct story *story = arg;
    const struct moment *moment = moment_at(story, upto);
    struct store_world world;

    if (moment == NULL ||
        (story->share > 0 && random_seeded_below(&story->random, story->share) > 0))
        return;
    struct index *index = choose_index(story, moment);

    if (story->deep > 0 && random_seeded_below(&story->random, 60) == 0) {
        check_deep(story, moment, fs, index, state);
        return;
    }
    store_world_init(&world, fs, PACK_SIZE, random_seeded_next(&story->random));
    store_world_set_index(&world, index);
    check_opened(story, moment, &world, state);
    store_world_deinit(&world);
}

static void explore(struct story *story, const char *what, unsigned max_states, uint64_t seed)
{
    struct fs_cut_options options = {.exhaustive = 4,
                                     .samples = 8,
                                     .max_states = max_states,
                                     .seed = seed};

    story->states += fs_cut_every(fs_record_log(story->fs), &options, check_state, story);
    /* For whoever reads the log. */
    (void)printf("%s: cut at each of %zu operations: %" PRIu64 " states\n", what,
                 position_of(story), story->states);
    assert_true(story->states > 50);
}

static struct fs *new_memory(void)
{
    struct fs *memory = NULL;
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&memory, &err), &err);
    return memory;
}

static void begin(struct story *story, uint64_t seed)
{
    struct error err = {0};

    init_story(story, new_memory(), seed);
    ASSERT_OK(store_world_create(&story->world, &err), &err);
    mark(story);
}

/* --- stories ----------------------------------------------------------------------------------- */

static void what_was_committed_survives_a_power_cut(void **state)
{
    uint64_t seed = test_seed("store_cut: commits");
    struct story *story = memory_new(1, sizeof(*story));
    struct error err = {0};

    (void)state;
    assert_non_null(story);
    begin(story, seed);
    open_store(story);
    commit(story, 0, NULL, 0);
    commit(story, 1, NULL, 0);
    ASSERT_OK(world_point_upload(story->store, &story->points[NEVER], &story->points[1], &err),
              &err);
    crash(story);
    open_store(story);
    commit(story, 2, NULL, 0);
    store_close(story->store);
    mark(story);
    open_store(story);
    commit(story, 3, NULL, 0);
    store_close(story->store);
    mark(story);
    story->deep = 3;
    explore(story, "commits", 10, seed);
    deinit_story(story);
    memory_free(story);
}

/* Syncs of a pack, of the packs' folder, of the log and of its folder fail, one in each commit; the process goes on, is
 * killed, starts again. */
static void tell_of_failures(struct story *story)
{
    story->world.options.pack_size = 0; /* large: no sync is that of a seal */
    open_store(story);
    commit(story, 0, NULL, 0);
    commit(story, 1, "fs.sync", 1); /* the data pack's */
    commit(story, 1, "fs.sync", 2); /* the meta pack's: the data pack's is good */
    commit(story, 1, "fs.sync_dir", 1);
    commit(story, 1, NULL, 0);
    commit(story, 2, "store.after_log_write", 1); /* a fork: it may be there after the next start */
    commit(story, 2, "fs.sync_dir", 1);           /* of the log: the entry goes to a new segment */
    commit(story, 2, NULL, 0);
    commit(story, 3, "fs.sync", 3); /* the log's */
    crash(story);
    open_store(story);
    commit(story, 3, NULL, 0);
    commit(story, 4, "fs.sync", 1); /* the log's, for numbers */
    commit(story, 4, "fs.sync", 2); /* the data pack's, behind that */
    crash(story); /* what that sync left in the cache is read, and is not durable */
    open_store(story);
    commit(story, 4, NULL, 0);
    commit(story, 5, "fs.write", 3); /* a pack's, behind those of the log and of its head */
    commit(story, 5, NULL, 0);
    crash(story);
    story->world.options.pack_size = PACK_SIZE;
    open_store(story);
    commit(story, 6, NULL, 0);
    faults_arm_point(story->faults, "fs.sync", 1, FAULT_FAIL); /* the seal's: all else is synced */
    store_close(story->store);
    assert_true(faults_fired(story->faults));
    faults_arm(story->faults, 0, 0);
    mark(story);
    open_store(story);
    store_close(story->store);
    mark(story);
}

static void failed_syncs_lose_nothing_that_was_committed(void **state)
{
    uint64_t seed = test_seed("store_cut: failed syncs");
    struct story *story = memory_new(1, sizeof(*story));

    assert_non_null(story);
    begin(story, seed);
    fs_record_forget_failed(story->fs, *(const bool *)*state);
    tell_of_failures(story);
    story->share = test_is_long() ? 0 : 3;
    explore(story, *(const bool *)*state ? "failed syncs, forgotten" : "failed syncs", 8, seed);
    deinit_story(story);
    memory_free(story);
}

/* Blocks from FROM to below TO of the PARTIAL point into a tree that is grown from PARENT (NULL: none), which is saved. */
static struct ref save_part(struct story *story, const struct ref *parent, unsigned from,
                            unsigned to)
{
    const struct world_point *point = &story->points[PARTIAL];
    const struct store_domain *domain = store_default_domain(story->store);
    struct store_partial partial = {.task = point->task,
                                    .disk = {1},
                                    .domain = domain->id,
                                    .blocks = to};
    struct disk_tree *tree = NULL;
    struct error err = {0};

    ASSERT_OK(world_tree_new(story->store, domain, parent == NULL ? NULL : &parent->id, &tree,
                             &err),
              &err);
    ASSERT_OK(world_put_blocks(story->store, domain, tree, &point->disk, NULL,
                               (struct world_part){from, to}, &err),
              &err);
    ASSERT_OK(disk_tree_save(tree, &partial.root, &err), &err);
    disk_tree_free(tree);
    ASSERT_OK(store_save_partial(story->store, &partial, &err), &err);
    note_number(story, partial.root.number);
    story->now.partial = to;
    mark(story);
    return partial.root;
}

static void tell_of_parts(struct story *story)
{
    struct world_point *point = &story->points[PARTIAL];
    struct store_point shown;
    struct error err = {0};
    struct ref root = save_part(story, NULL, 0, 90);

    crash(story);
    open_store(story);
    root = save_part(story, &root, 90, 150);
    crash(story);
    open_store(story);
    root = save_part(story, &root, 150, WORLD_BLOCKS);
    story->now.partial = 0; /* its point takes its place */
    mark(story);
    point->root = root;
    ASSERT_OK(world_put_envelope(story->store, point, &err), &err);
    ASSERT_OK(store_commit(story->store, store_default_domain(story->store), &point->task,
                           &point->envelope, &shown, &err),
              &err);
    note_number(story, point->envelope.number);
    story->now.promised[PARTIAL] = true;
    mark(story);
}

static void tell_of_the_trash(struct story *story)
{
    const struct random_id *task = &story->points[0].task;
    struct error err = {0};

    ASSERT_OK(store_trash(story->store, task, 9, 1, &err), &err);
    story->now.trashed = true;
    mark(story);
    crash(story);
    open_store(story);
    story->now.trashed = false;
    story->now.promised[0] = false;
    mark(story);
    ASSERT_OK(store_purge(story->store, task, &err), &err);
    story->now.purged = true;
    mark(story);
}

/* And summaries on the way. */
static void parts_files_domains_and_the_trash_survive_a_power_cut(void **state)
{
    uint64_t seed = test_seed("store_cut: parts");
    struct story *story = memory_new(1, sizeof(*story));
    const struct store_domain *domain = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(story);
    begin(story, seed);
    story->world.options.summary_every = 4;
    story->points[0].file = 5000;
    story->points[2].file = 5000; /* the same in another domain */
    open_store(story);
    commit(story, 0, NULL, 0);
    ASSERT_OK(store_add_domain(story->store, "second", &domain, &err), &err);
    story->points[1].domain = domain->id;
    story->points[2].domain = domain->id;
    commit(story, 1, NULL, 0);
    tell_of_the_trash(story);
    commit(story, 2, NULL, 0);
    tell_of_parts(story);
    store_close(story->store);
    mark(story);
    story->share = test_is_long() ? 0 : 2;
    story->deep = 2;
    explore(story, "parts", 8, seed);
    deinit_story(story);
    memory_free(story);
}

/* A folder in which store_create() was cut off is no repository, and becomes one when it is done again. */
static void check_created(void *arg, size_t upto, struct fs *fs, const char *state)
{
    struct story *story = arg;
    struct store_world world;
    struct store *store = NULL;
    struct error err = {0};

    store_world_init(&world, fs, PACK_SIZE, upto);
    enum status st = store_world_open(&world, &store, &err);

    if (st == STATUS_NOT_FOUND && upto < story->moments[0].position) {
        st = store_world_create(&world, &err);
        if (st == STATUS_OK)
            st = store_world_open(&world, &store, &err);
    }
    if (st != STATUS_OK)
        fail_msg("%s: %s", state, err.text);
    store_close(store);
    store_world_deinit(&world);
}

static void a_repository_is_made_whole_or_not_at_all(void **state)
{
    struct fs_cut_options options = {.seed = 1};
    struct story *story = memory_new(1, sizeof(*story));

    (void)state;
    assert_non_null(story);
    begin(story, 1);
    assert_true(fs_cut_every(fs_record_log(story->fs), &options, check_created, story) > 20);
    deinit_story(story);
    memory_free(story);
}

int main(void)
{
    /* What a file reads like behind a failed sync: as it was written, or as it was before. */
    bool keeps = false;
    bool forgets = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repository_is_made_whole_or_not_at_all),
        cmocka_unit_test(what_was_committed_survives_a_power_cut),
        cmocka_unit_test(parts_files_domains_and_the_trash_survive_a_power_cut),
        cmocka_unit_test_prestate(failed_syncs_lose_nothing_that_was_committed, &keeps),
        cmocka_unit_test_prestate(failed_syncs_lose_nothing_that_was_committed, &forgets),
    };

    return cmocka_run_group_tests_name("store_cut", tests, NULL, NULL);
}
