/* A log with the power cut after every operation, in every legal way (tests/support/fs_cut.h): around appends, summaries,
 * restarts, and what fails among these. Whatever is left opens, says what was promised or that and the one entry that
 * was on its way, says the same from its first segment on, agrees with the head, and goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "tests/log_world.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/test.h"

enum { PART_SIZE = 300, ALLOWED_MAX = 64, MOMENTS_MAX = 1024 };

/* What the log may say from so many operations on. */
struct moment {
    size_t position;
    struct hash_digest allowed[ALLOWED_MAX];
    size_t count;
};

struct story {
    struct faults *faults;
    struct fs *memory;
    struct fs *fs; /* records */
    struct log_world world;
    struct log_history history;
    struct log_state *state;
    struct store_log *log;
    struct log_head *head;
    struct buffer body;
    struct moment *moments;
    size_t moment_count;
    struct random_seeded random;
    unsigned share; /* one state of so many is looked at */
    uint64_t looked_at;
    uint64_t whole; /* of these: states with a whole summary */
};

static struct moment *new_moment(struct story *story)
{
    struct moment *moment = &story->moments[story->moment_count];

    assert_true(story->moment_count < MOMENTS_MAX);
    if (story->moment_count > 0)
        *moment = moment[-1];
    story->moment_count++;
    moment->position = fs_record_log(story->fs)->count;
    return moment;
}

static bool allows(const struct moment *moment, const struct hash_digest *digest)
{
    for (size_t i = 0; i < moment->count; i++) {
        if (memcmp(moment->allowed[i].bytes, digest->bytes, sizeof(digest->bytes)) == 0)
            return true;
    }
    return false;
}

static void allow(struct moment *moment, const struct hash_digest *digest)
{
    assert_true(moment->count < ALLOWED_MAX);
    if (!allows(moment, digest))
        moment->allowed[moment->count++] = *digest;
}

/* From now on what the state says is promised, and nothing else is possible. */
static void promise(struct story *story)
{
    struct moment *moment = new_moment(story);
    struct hash_digest digest = log_state_digest(story->state);

    moment->count = 0;
    allow(moment, &digest);
}

static void open_log(struct story *story)
{
    struct hash_digest digest;
    struct store_head known;
    enum store_log_known answer = STORE_LOG_HAS;
    struct error err = {0};

    new_moment(story);
    ASSERT_OK(log_world_open(&story->world, &story->state, &story->log, &err), &err);
    digest = log_state_digest(story->state);
    assert_true(allows(&story->moments[story->moment_count - 1], &digest));
    ASSERT_OK(log_head_open(story->fs, &story->head, &err), &err);
    if (log_head_known(story->head, &known))
        ASSERT_OK(store_log_compare(story->log, &known, &answer, &err), &err);
    assert_int_equal(answer, STORE_LOG_HAS);
    store_log_keep_head(story->log, story->head);
    promise(story);
}

/* As a killed process does: nothing more is written. */
static void close_log(struct story *story)
{
    store_log_free(story->log);
    log_state_free(story->state);
    log_head_close(story->head);
    (void)log_world_lines(&story->world);
    new_moment(story);
}

/* What the state would say with the entry in the story's body behind it. */
static struct hash_digest digest_with(const struct story *story, uint8_t type)
{
    const uint64_t sequence = store_log_sequence(story->log) + 1;
    const struct log_entry_header header = {
        .type = type,
        .sequence = sequence,
        .time_us = log_history_time(sequence),
    };
    struct log_state *other = NULL;
    struct hash_digest digest;
    struct error err = {0};

    log_state_copy_by_items(story->state, &other);
    ASSERT_OK(log_state_add(other, &header, buffer_slice(&story->body), &err), &err);
    digest = log_state_digest(other);
    log_state_free(other);
    return digest;
}

/* Writes the entry in the story's body; true: it is promised. */
static bool try_append(struct story *story, uint8_t type)
{
    struct hash_digest digest = digest_with(story, type);
    struct error err = {0};

    allow(new_moment(story), &digest);
    if (log_world_append(story->log, story->state, type, buffer_slice(&story->body), &err) !=
        STATUS_OK)
        return false;
    promise(story);
    return true;
}

static void append(struct story *story)
{
    uint8_t type = 0;

    log_history_next(&story->history, store_log_sequence(story->log) + 1, &type, &story->body);
    assert_true(try_append(story, type));
    log_history_check(&story->history, story->state, "while it is written");
}

static void arm(struct story *story, const char *fault, unsigned n)
{
    faults_arm_point(story->faults, fault, n, FAULT_FAIL);
}

/* An entry that the history knows nothing of, which fails. */
static void give_up(struct story *story, const char *fault)
{
    static const uint8_t signature[SIGN_SIZE] = {1};
    uint64_t says = random_seeded_next(&story->random);
    const struct log_tracking tracking = {
        .vm = history_id('x', 0),
        .tracking = {.body = slice_of(&says, sizeof(says)),
                     .signature = slice_of(signature, sizeof(signature)),
                     .certificate = slice_of("c", 1)},
    };

    buffer_clear(&story->body);
    log_tracking_encode(&tracking, &story->body);
    arm(story, fault, 1);
    assert_false(try_append(story, LOG_TRACKING));
    assert_true(faults_fired(story->faults));
    faults_arm(story->faults, 0, 0);
    new_moment(story);
}

/* Writes a summary; FAULT (NULL: none) hits it for the Nth time. The fault may come too late: then it is whole. */
static void summarize(struct story *story, const char *fault, unsigned n)
{
    uint64_t before = store_log_sequence(story->log);
    uint64_t summary = store_log_summary(story->log);
    struct error err = {0};

    new_moment(story);
    if (fault != NULL)
        arm(story, fault, n);
    enum status st = store_log_summarize(story->log, story->state, log_history_time(1), &err);
    bool failed = faults_fired(story->faults);

    faults_arm(story->faults, 0, 0);
    if (fault == NULL)
        ASSERT_OK(st, &err);
    assert_true(st == STATUS_OK || failed); /* where the head's write failed, nothing has */
    assert_int_equal(store_log_summary(story->log), st == STATUS_OK ? before + 1 : summary);
    if (store_log_sequence(story->log) > before)
        promise(story); /* what was given up before has another in its place */
    else
        new_moment(story);
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

static void check_head(struct log_world *world, struct store_log *log, const char *name)
{
    struct log_head *head = NULL;
    struct store_head known;
    enum store_log_known answer = STORE_LOG_HAS;
    struct error err = {0};

    ASSERT_OK(log_head_open(world->world.fs, &head, &err), &err);
    if (log_head_known(head, &known))
        ASSERT_OK(store_log_compare(log, &known, &answer, &err), &err);
    if (answer == STORE_LOG_LACKS || answer == STORE_LOG_HAS_ANOTHER)
        fail_msg("%s: the log seems rolled back", name);
    log_head_close(head);
}

/* The log from its first segment on says what STATE says. */
static void check_audit(struct store_log *log, const struct log_state *state, const char *name)
{
    struct hash_digest digest = log_state_digest(state);
    struct hash_digest all;
    struct log_state *whole = NULL;
    struct error err = {0};

    if (log_world_audit(log, &whole, &err) != STATUS_OK)
        fail_msg("%s: %s", name, err.text);
    all = log_state_digest(whole);
    if (memcmp(digest.bytes, all.bytes, sizeof(all.bytes)) != 0)
        fail_msg("%s: the whole log says something else than its newest summary", name);
    log_state_free(whole);
}

/* Opens it once more: it says the same. */
static void reopen(struct log_world *world, struct log_state **state, struct store_log **log,
                   const char *name)
{
    struct hash_digest digest = log_state_digest(*state);
    struct hash_digest again;
    struct error err = {0};

    log_state_free(*state);
    store_log_free(*log);
    if (log_world_open(world, state, log, &err) != STATUS_OK)
        fail_msg("%s, once more: %s", name, err.text);
    again = log_state_digest(*state);
    if (memcmp(digest.bytes, again.bytes, sizeof(again.bytes)) != 0)
        fail_msg("%s: opened once more it says something else", name);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *name)
{
    struct story *story = arg;
    const struct moment *moment = moment_at(story, upto);
    const struct log_numbers numbers = {.first = 1, .count = 1};
    struct log_world world;
    struct log_state *state = NULL;
    struct store_log *log = NULL;
    struct hash_digest digest;
    struct error err = {0};

    if (moment == NULL || random_seeded_below(&story->random, story->share) > 0)
        return;
    story->looked_at++;
    log_world_init(&world, fs, upto);
    world.world.part_size = PART_SIZE;
    if (log_world_open(&world, &state, &log, &err) != STATUS_OK)
        fail_msg("%s: %s", name, err.text);
    story->whole += store_log_summary(log) > 0;
    digest = log_state_digest(state);
    if (!allows(moment, &digest))
        fail_msg("%s: what was promised is not there, or what was given up is", name);
    check_head(&world, log, name);
    check_audit(log, state, name);
    struct log_numbers next = numbers;

    next.first = number_of(log_state_space(state), log_state_first_free(state));
    buffer_clear(&story->body);
    log_numbers_encode(&next, &story->body);
    if (log_world_append(log, state, LOG_NUMBERS, buffer_slice(&story->body), &err) != STATUS_OK)
        fail_msg("%s: the next entry: %s", name, err.text);
    reopen(&world, &state, &log, name);
    if (random_seeded_below(&story->random, 4) == 0) {
        if (store_log_summarize(log, state, 1, &err) != STATUS_OK)
            fail_msg("%s: a summary: %s", name, err.text);
        reopen(&world, &state, &log, name);
        check_audit(log, state, name);
    }
    log_state_free(state);
    store_log_free(log);
    log_world_deinit(&world);
}

static void begin(struct story *story, uint64_t seed, bool forgets)
{
    struct error err = {0};

    *story = (struct story){.random = random_seeded_of(seed), .share = 1};
    story->moments = memory_new(MOMENTS_MAX, sizeof(*story->moments));
    assert_non_null(story->moments);
    story->faults = faults_new();
    assert_non_null(story->faults);
    faults_install(story->faults);
    ASSERT_OK(fs_memory_new(&story->memory, &err), &err);
    ASSERT_OK(fs_record_new(story->memory, &story->fs, &err), &err);
    fs_record_forget_failed(story->fs, forgets);
    log_world_init(&story->world, story->fs, seed);
    story->world.world.part_size = PART_SIZE;
    story->history = log_world_history(&story->world, seed);
    buffer_init(&story->body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_world_create(&story->world, &err), &err);
    ASSERT_OK(log_world_open(&story->world, &story->state, &story->log, &err), &err);
    promise(story);
    close_log(story);
    open_log(story);
}

static void explore_and_end(struct story *story, const char *what, uint64_t seed,
                            unsigned max_states)
{
    struct fs_cut_options options = {.exhaustive = 4,
                                     .samples = 2,
                                     .max_states = test_is_long() ? 0 : max_states,
                                     .seed = seed};

    faults_arm(story->faults, 0, 0);
    if (test_is_long())
        story->share = 1;
    uint64_t states = fs_cut_every(fs_record_log(story->fs), &options, check_state, story);

    printf("%s: %" PRIu64 " of %" PRIu64 " states looked at, %" PRIu64 " with a whole summary\n",
           what, story->looked_at, states, story->whole);
    assert_true(story->looked_at > 100 && story->whole > 20);
    buffer_deinit(&story->body);
    log_world_deinit(&story->world);
    fs_free(story->fs);
    fs_free(story->memory);
    faults_install(NULL);
    faults_free(story->faults);
    memory_free(story->moments);
}

/* --- stories ----------------------------------------------------------------------------------- */

static void a_power_cut_leaves_a_log_with_all_that_was_promised(void **state)
{
    uint64_t seed = test_seed("store_log_cut: plain");
    struct story story;

    (void)state;
    begin(&story, seed, false);
    for (unsigned i = 0; i < 8; i++)
        append(&story);
    summarize(&story, NULL, 0);
    append(&story);
    close_log(&story);
    open_log(&story);
    summarize(&story, NULL, 0); /* of one more segment, behind the repeated entry */
    close_log(&story);
    open_log(&story); /* repeats the last part */
    append(&story);
    summarize(&story, "log.summary_part", 2); /* part 0 is all of it */
    close_log(&story);
    open_log(&story); /* repeats part 0 */
    append(&story);
    close_log(&story);
    open_log(&story);
    close_log(&story);
    explore_and_end(&story, "plain", seed, 12);
}

/* The Nth hit of each of these fails, in appends and in summaries, with restarts between. */
static void tell_of_failures(struct story *story)
{
    static const char *const faults[] = {
        "fs.sync", "fs.write", "store.after_log_write", "store.after_log_sync", "fs.sync_dir",
    };

    enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

    for (unsigned i = 0; i < 5; i++)
        append(story);
    for (unsigned i = 0; i < 2 * FAULTS; i++) {
        const char *fault = faults[i % FAULTS];

        if (i % FAULTS < 4)
            give_up(story, fault);
        if (random_seeded_below(&story->random, 2) == 0)
            append(story);
        summarize(story, fault, 1 + (unsigned)random_seeded_below(&story->random, 3));
        if (random_seeded_below(&story->random, 2) == 0) {
            close_log(story);
            open_log(story);
            /* What came to light is the log's, and the history need not know of it. */
        }
        if (random_seeded_below(&story->random, 3) == 0)
            summarize(story, NULL, 0);
    }
    close_log(story);
}

static void failures_lose_nothing_that_was_promised(void **state)
{
    bool forgets = *(const bool *)*state;
    uint64_t seed = test_seed("store_log_cut: failures");
    struct story story;

    begin(&story, seed, forgets);
    tell_of_failures(&story);
    story.share = 2;
    explore_and_end(&story, forgets ? "failures, forgotten" : "failures", seed, 10);
}

int main(void)
{
    /* What a file reads like behind a failed sync: as it was written, or as it was before. */
    bool keeps = false;
    bool forgets = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_a_log_with_all_that_was_promised),
        cmocka_unit_test_prestate(failures_lose_nothing_that_was_promised, &keeps),
        cmocka_unit_test_prestate(failures_lose_nothing_that_was_promised, &forgets),
    };

    return cmocka_run_group_tests_name("store_log_cut", tests, NULL, NULL);
}
