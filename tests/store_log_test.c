/* The log's summaries, heads and audits; what is damaged, missing or out of order in it is found, or does no harm. */
#include "coordinator/store/store_log.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "coordinator/store/log_reader.h"
#include "tests/log_world.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { PART_SIZE = 300, SEED = 3 };

struct env {
    struct faults *faults;
    struct fs *fs;
    struct log_world world;
    struct log_history history;
    struct log_state *state;
    struct store_log *log;
    struct buffer body;
};

static void open_log(struct env *env)
{
    struct error err = {0};

    ASSERT_OK(log_world_open(&env->world, &env->state, &env->log, &err), &err);
}

static void close_log(struct env *env)
{
    store_log_free(env->log);
    log_state_free(env->state);
    env->log = NULL;
    env->state = NULL;
}

static void append(struct env *env, unsigned count)
{
    struct error err = {0};
    uint8_t type = 0;

    for (unsigned i = 0; i < count; i++) {
        log_history_next(&env->history, store_log_sequence(env->log) + 1, &type, &env->body);
        ASSERT_OK(log_world_append(env->log, env->state, type, buffer_slice(&env->body), &err),
                  &err);
    }
}

static void summarize(struct env *env)
{
    struct error err = {0};

    ASSERT_OK(store_log_summarize(env->log, env->state, 1, &err), &err);
}

static int set_up(void **state)
{
    static struct env env;
    struct error err = {0};

    env = (struct env){.faults = faults_new()};
    assert_non_null(env.faults);
    faults_install(env.faults);
    ASSERT_OK(fs_memory_new(&env.fs, &err), &err);
    log_world_init(&env.world, env.fs, SEED);
    env.world.world.part_size = PART_SIZE;
    env.history = log_world_history(&env.world, SEED);
    buffer_init(&env.body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_world_create(&env.world, &err), &err);
    open_log(&env);
    *state = &env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    close_log(env);
    buffer_deinit(&env->body);
    log_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    return 0;
}

/* The log, opened, says what the history does. */
static void check(struct env *env)
{
    log_history_check(&env->history, env->state, "opened");
}

static void reopen(struct env *env)
{
    close_log(env);
    open_log(env);
    check(env);
}

static uint64_t segment_count(struct env *env, uint64_t *ret_newest)
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(env->fs, LOG_DIR, &names, &err), &err);
    uint64_t count = names.count;

    assert_true(log_segment_parse(names.names[count - 1], ret_newest));
    fs_names_deinit(&names);
    return count;
}

static void remove_segment(struct env *env, uint64_t number)
{
    char path[LOG_PATH_SIZE];
    struct error err = {0};

    log_segment_path(number, path);
    ASSERT_OK(fs_remove(env->fs, path, &err), &err);
}

/* --- summaries --------------------------------------------------------------------------------- */

static void a_log_is_opened_from_its_newest_summary(void **state)
{
    struct env *env = *state;
    uint64_t newest = 0;
    uint64_t first = 0;

    append(env, 60);
    summarize(env);
    append(env, 10);
    first = store_log_sequence(env->log) + 1;
    summarize(env);
    assert_true(store_log_sequence(env->log) > first); /* of several parts */
    (void)segment_count(env, &newest);
    append(env, 10);
    reopen(env);
    assert_int_equal(store_log_summary(env->log), first);
    close_log(env);
    for (uint64_t i = 1; i < newest; i++)
        remove_segment(env, i);
    open_log(env); /* nothing before it is read */
    check(env);
    append(env, 10);
    reopen(env);
}

static void a_summary_is_wanted_after_so_many_entries(void **state)
{
    struct env *env = *state;

    assert_false(store_log_wants_summary(env->log, 11));
    append(env, 10);
    assert_true(store_log_wants_summary(env->log, 11));
    summarize(env);
    assert_false(store_log_wants_summary(env->log, 1));
    append(env, 3);
    reopen(env);
    assert_true(store_log_wants_summary(env->log, 3));
    assert_false(store_log_wants_summary(env->log, 4));
}

static void a_summary_that_fails_waits_for_as_many_entries_again(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    append(env, 20);
    faults_arm_point(env->faults, "log.summary_part", 2, FAULT_FAIL);
    assert_int_not_equal(store_log_summarize(env->log, env->state, 1, &err), STATUS_OK);
    faults_arm(env->faults, 0, 0);
    assert_int_equal(store_log_summary(env->log), 0);
    assert_false(store_log_wants_summary(env->log, 1));
    append(env, 1);
    assert_true(store_log_wants_summary(env->log, 1));
    reopen(env);
    assert_int_equal(store_log_summary(env->log), 0);
}

static void a_summary_that_was_cut_off_is_void_and_the_one_before_serves(void **state)
{
    struct env *env = *state;
    struct error err = {0};
    uint64_t first = 0;

    append(env, 30);
    first = store_log_sequence(env->log) + 1;
    summarize(env);
    append(env, 5);
    for (unsigned i = 1; i < 4; i++) {
        faults_arm_point(env->faults, "log.summary_part", i, FAULT_FAIL);
        assert_int_not_equal(store_log_summarize(env->log, env->state, 1, &err), STATUS_OK);
        faults_arm(env->faults, 0, 0);
        reopen(env); /* a part may be the newest entry */
        assert_int_equal(store_log_summary(env->log), first);
        append(env, 2);
        reopen(env);
        assert_int_equal(store_log_summary(env->log), first);
    }
}

static void a_summary_repeated_by_restarts_is_found_in_the_repetition(void **state)
{
    struct env *env = *state;
    uint64_t newest = 0;
    uint64_t first = 0;

    env->world.world.part_size = 0; /* one part */
    reopen(env);
    append(env, 30);
    first = store_log_sequence(env->log) + 1;
    summarize(env);
    assert_int_equal(store_log_sequence(env->log), first);
    reopen(env);
    reopen(env);
    append(env, 5);
    (void)segment_count(env, &newest);
    close_log(env);
    for (uint64_t i = 1; i < newest; i++)
        remove_segment(env, i);
    open_log(env);
    check(env);
    assert_int_equal(store_log_summary(env->log), first);
}

static void large_items_fill_parts_of_their_own(void **state)
{
    struct env *env = *state;
    static const uint8_t signature[SIGN_SIZE] = {1};
    uint8_t *bytes = memory_new(1, TRACKING_SIZE_MAX);
    struct slice tracking = {0};
    struct error err = {0};

    assert_non_null(bytes);
    env->world.world.part_size = 0;
    reopen(env);
    for (size_t i = 0; i < 3; i++) {
        const struct log_tracking entry = {
            .vm = history_id('y', i),
            .tracking = {.body = slice_of(bytes, TRACKING_SIZE_MAX),
                         .signature = slice_of(signature, sizeof(signature)),
                         .certificate = slice_of(bytes, SIGN_CERTIFICATE_MAX)},
        };

        buffer_clear(&env->body);
        log_tracking_encode(&entry, &env->body);
        ASSERT_OK(log_world_append(env->log, env->state, LOG_TRACKING, buffer_slice(&env->body),
                                   &err),
                  &err);
    }
    uint64_t first = store_log_sequence(env->log) + 1;

    summarize(env);
    assert_int_equal(store_log_sequence(env->log), first + 2); /* one for each of the three */
    reopen(env);
    for (size_t i = 0; i < 3; i++) {
        struct random_id vm = history_id('y', i);

        assert_true(log_state_find_tracking(env->state, &vm, &tracking));
        assert_true(tracking.size > TRACKING_SIZE_MAX);
    }
    memory_free(bytes);
}

/* --- heads ------------------------------------------------------------------------------------- */

static struct store_head head_of(const struct env *env)
{
    return (struct store_head){
        .writer = *store_log_writer(env->log),
        .sequence = store_log_sequence(env->log),
        .hash = *store_log_hash(env->log),
    };
}

static enum store_log_known compare(struct env *env, const struct store_head *head)
{
    enum store_log_known known = STORE_LOG_CANNOT_TELL;
    struct error err = {0};

    ASSERT_OK(store_log_compare(env->log, head, &known, &err), &err);
    return known;
}

static void every_head_that_the_log_had_is_found_in_it(void **state)
{
    struct env *env = *state;

    enum { HEADS = 40 };
    struct store_head heads[HEADS];

    for (size_t i = 0; i < HEADS; i++) {
        if (i % 10 == 5)
            summarize(env);
        if (i % 9 == 3)
            reopen(env);
        append(env, 1);
        heads[i] = head_of(env);
    }
    for (size_t i = 0; i < HEADS; i++) {
        assert_int_equal(compare(env, &heads[i]), STORE_LOG_HAS);
        heads[i].hash.bytes[0] ^= 1;
        assert_int_equal(compare(env, &heads[i]), STORE_LOG_HAS_ANOTHER);
        heads[i].hash.bytes[0] ^= 1;
        heads[i].writer.bytes[0] ^= 1;
        assert_int_equal(compare(env, &heads[i]), STORE_LOG_CANNOT_TELL);
        heads[i].writer.bytes[0] ^= 1;
    }
    remove_segment(env, 1);
    remove_segment(env, 2); /* which repeats the end of that */
    assert_int_equal(compare(env, &heads[0]), STORE_LOG_CANNOT_TELL);
    assert_int_equal(compare(env, &heads[HEADS - 3]), STORE_LOG_HAS);
}

static void a_log_that_was_cut_lacks_its_head(void **state)
{
    struct env *env = *state;
    struct log_head *head = NULL;
    struct store_head known;
    struct store_head now;
    struct error err = {0};
    uint64_t newest = 0;

    append(env, 5);
    reopen(env);
    ASSERT_OK(log_head_open(env->fs, &head, &err), &err);
    assert_false(log_head_known(head, &known));
    store_log_keep_head(env->log, head);
    append(env, 5);
    log_head_close(head);
    close_log(env);
    (void)segment_count(env, &newest);
    remove_segment(env, newest);
    open_log(env);
    ASSERT_OK(log_head_open(env->fs, &head, &err), &err);
    assert_true(log_head_known(head, &known));
    assert_int_equal(compare(env, &known), STORE_LOG_LACKS);
    env->history = log_world_history(&env->world, (uint64_t)SEED + 1);
    for (unsigned i = 0; i < 10; i++) {
        const struct log_rollback rollback = {known.writer, known.sequence, known.hash};

        buffer_clear(&env->body);
        log_rollback_encode(&rollback, &env->body);
        ASSERT_OK(log_world_append(env->log, env->state, LOG_ROLLBACK, buffer_slice(&env->body),
                                   &err),
                  &err);
    }
    assert_int_equal(compare(env, &known), STORE_LOG_HAS_ANOTHER);
    store_log_keep_head(env->log, head);
    log_head_close(head);
    ASSERT_OK(log_head_open(env->fs, &head, &err), &err);
    assert_true(log_head_known(head, &known));
    now = head_of(env);
    assert_memory_equal(&known, &now, sizeof(now));
    assert_int_equal(compare(env, &known), STORE_LOG_HAS);
    log_head_close(head);
}

static void a_head_that_cannot_be_written_is_said_once_and_stops_nothing(void **state)
{
    struct env *env = *state;
    struct log_head *head = NULL;
    struct error err = {0};

    ASSERT_OK(log_head_open(env->fs, &head, &err), &err);
    store_log_keep_head(env->log, head);
    for (unsigned i = 0; i < 2; i++) {
        faults_arm_point(env->faults, "fs.write", 2, FAULT_FAIL);
        append(env, 1);
        assert_true(faults_fired(env->faults));
        faults_arm(env->faults, 0, 0);
        assert_int_equal(strstr(log_world_lines(&env->world), "the log's head") != NULL, i == 0);
    }
    reopen(env);
    log_head_close(head);
}

/* --- damage ------------------------------------------------------------------------------------ */

static void check_audit(struct env *env)
{
    struct log_state *whole = NULL;
    struct error err = {0};

    ASSERT_OK(log_world_audit(env->log, &whole, &err), &err);
    log_history_check(&env->history, whole, "read as a whole");
    log_state_free(whole);
}

static void damage_before_the_summary_is_found_by_an_audit_only(void **state)
{
    struct env *env = *state;
    struct log_state *whole = NULL;
    struct error err = {0};

    append(env, 10);
    reopen(env);
    append(env, 10);
    summarize(env);
    append(env, 5);
    check_audit(env);
    reopen(env);
    check_audit(env);
    remove_segment(env, 2);
    reopen(env);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_audit(env->log, &whole, &err), &err);
    if (strstr(err.text, "opens without it") == NULL)
        fail_msg("%s", err.text);
}

static void a_segment_that_is_missing_or_out_of_place_is_found(void **state)
{
    struct env *env = *state;
    struct log_state *opened = NULL;
    struct store_log *log = NULL;
    struct error err = {0};
    uint64_t newest = 0;

    for (unsigned i = 0; i < 4; i++) {
        append(env, 4);
        reopen(env);
    }
    append(env, 1);
    (void)segment_count(env, &newest);
    close_log(env);
    ASSERT_OK(fs_rename(env->fs, "log/0000000003", "log/0000000009", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_open(&env->world, &opened, &log, &err), &err);
    ASSERT_OK(fs_rename(env->fs, "log/0000000009", "log/0000000003", &err), &err);
    remove_segment(env, 3);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_open(&env->world, &opened, &log, &err), &err);
    remove_segment(env, 1);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_open(&env->world, &opened, &log, &err), &err);
}

static void a_summary_that_is_missing_is_found_if_anything_follows_it(void **state)
{
    struct env *env = *state;
    struct log_state *opened = NULL;
    struct store_log *log = NULL;
    struct error err = {0};
    uint64_t newest = 0;

    append(env, 20);
    summarize(env);
    (void)segment_count(env, &newest);
    append(env, 3);
    reopen(env);
    close_log(env);
    remove_segment(env, newest);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_open(&env->world, &opened, &log, &err), &err);
    remove_segment(env,
                   newest +
                       1); /* and now nothing does: the log is older, and says so to its head */
    open_log(env);
    assert_int_equal(store_log_summary(env->log), 0);
    assert_int_equal(store_log_sequence(env->log), 21);
}

/* Its first entry is signed by its writer's key, and names another one. */
static void a_space_under_another_key_is_refused(void **state)
{
    struct env *env = *state;
    const struct random_id other = {{'o'}};
    const struct log_entry_header header = {.type = LOG_SPACE, .writer = other, .sequence = 1};
    const struct log_space space = {.space = 9, .public_key = {4}};
    struct sign_key *signer = NULL;
    struct log_state *opened = NULL;
    struct store_log *log = NULL;
    struct fs_file *file = NULL;
    struct hash_digest hash;
    struct buffer entry;
    struct error err = {0};

    remove_segment(env, 1);
    remove_segment(env, 2);
    buffer_init(&entry, LOG_ENTRY_SIZE_MAX);
    buffer_clear(&env->body);
    log_space_encode(&space, &env->body);
    ASSERT_OK(keys_log_signer(env->world.keys, &other, &signer, &err), &err);
    ASSERT_OK(log_entry_seal(keys_structure(env->world.keys), signer, &env->world.random.source,
                             &header, buffer_slice(&env->body), &entry, &hash, &err),
              &err);
    ASSERT_OK(fs_open(env->fs, "log/0000000007", FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, buffer_slice(&entry), &err), &err);
    fs_close(file);
    ASSERT_STATUS(STATUS_CORRUPT, log_world_open(&env->world, &opened, &log, &err), &err);
    if (strstr(err.text, "key is not the repository's") == NULL)
        fail_msg("%s", err.text);
    sign_key_free(signer);
    buffer_deinit(&entry);
}

/* What the log says with the byte at OFFSET of the segment at PATH flipped: nothing, or what it said at some time. */
static void flip(struct env *env, const char *path, uint64_t offset, const struct hash_digest *said,
                 size_t count, uint64_t *opened)
{
    struct log_state *state = NULL;
    struct store_log *log = NULL;
    struct fs_file *file = NULL;
    struct error err = {0};
    uint8_t byte = 0;
    uint64_t newest = 0;

    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_read_exactly_at(file, offset, &byte, 1, &err), &err);
    byte ^= 0x10;
    ASSERT_OK(fs_write_at(file, offset, slice_of(&byte, 1), &err), &err);
    enum status st = log_world_open(&env->world, &state, &log, &err);

    if (st == STATUS_OK) {
        const struct hash_digest digest = log_state_digest(state);
        bool known = false;

        for (size_t i = 0; i < count; i++)
            known = known || memcmp(&said[i], &digest, sizeof(digest)) == 0;
        if (!known)
            fail_msg("byte %u of %s: the log says what it never said", (unsigned)offset, path);
        store_log_free(log);
        log_state_free(state);
        (void)segment_count(env, &newest);
        remove_segment(env, newest); /* of that opening */
        (*opened)++;
    } else if (st != STATUS_CORRUPT && st != STATUS_UNSUPPORTED) {
        fail_msg("byte %u of %s: %s", (unsigned)offset, path, err.text);
    }
    byte ^= 0x10;
    ASSERT_OK(fs_write_at(file, offset, slice_of(&byte, 1), &err), &err);
    fs_close(file);
}

/* Every byte of a small log: what is before the summary does no harm; in it and behind it, it is found, or is like a torn
 * end. */
static void a_byte_that_flips_is_found_or_does_no_harm(void **state)
{
    struct env *env = *state;

    enum { SAID = 8 };
    struct hash_digest said[SAID];
    size_t count = 0;
    uint64_t opened = 0;
    uint64_t flipped = 0;
    uint64_t newest = 0;

    append(env, 1);
    said[count++] = log_state_digest(env->state);
    summarize(env);
    for (unsigned i = 0; i < 2; i++) {
        append(env, 1);
        said[count++] = log_state_digest(env->state);
    }
    (void)segment_count(env, &newest);
    close_log(env);
    for (uint64_t segment = 1; segment <= newest; segment++) {
        char path[LOG_PATH_SIZE];
        struct fs_file *file = NULL;
        struct error err = {0};
        uint64_t size = 0;

        log_segment_path(segment, path);
        ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &err), &err);
        ASSERT_OK(fs_size(file, &size, &err), &err);
        fs_close(file);
        for (uint64_t offset = 0; offset < size; offset += test_is_long() ? 1 : 3) {
            flip(env, path, offset, said, count, &opened);
            flipped++;
        }
    }
    printf("%u bytes flipped, %u logs opened all the same\n", (unsigned)flipped, (unsigned)opened);
    assert_true(opened > 0 && opened < flipped);
    open_log(env);
    check(env);
}

/* --- what fails -------------------------------------------------------------------------------- */

/* Opens a log, appends, writes a summary, reads all, with something failing on the way: whatever was promised is there. */
static void attempt(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct env own = {.faults = env->faults};
    struct log_head *head = NULL;
    struct log_state *whole = NULL;
    struct error err = {0};
    uint64_t promised = 1;
    uint64_t bytes = 0;

    faults_arm(env->faults, 0, 0);
    ASSERT_OK(fs_memory_new(&own.fs, &err), &err);
    log_world_init(&own.world, own.fs, SEED);
    own.world.world.part_size = PART_SIZE;
    buffer_init(&own.body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_world_create(&own.world, &err), &err);
    faults_arm(env->faults, FAULT_ALLOC | FAULT_IO | FAULT_POINT, n);
    enum status st = log_world_open(&own.world, &own.state, &own.log, &err);

    if (st == STATUS_OK) {
        st = log_head_open(own.fs, &head, &err);
        if (st == STATUS_OK)
            store_log_keep_head(own.log, head);
        for (uint64_t i = 0; i < 6; i++) {
            const struct log_numbers numbers = {.first = number_of(LOG_WORLD_SPACE, 1 + i),
                                                .count = 1};

            buffer_clear(&own.body);
            log_numbers_encode(&numbers, &own.body);
            st = buffer_check(&own.body, "a body", &err);
            if (st == STATUS_OK)
                st = log_world_append(own.log, own.state, LOG_NUMBERS, buffer_slice(&own.body),
                                      &err);
            if (st != STATUS_OK)
                break;
            promised = 2 + i;
        }
        if (store_log_summarize(own.log, own.state, 1, &err) == STATUS_OK)
            assert_true(store_log_summary(own.log) > 0);
        if (log_world_audit(own.log, &whole, &err) == STATUS_OK)
            log_state_free(whole);
        DISCARD(store_log_bytes(own.log, &bytes, &err)); /* it only must not crash */
        close_log(&own);
    }
    faults_arm(env->faults, 0, 0);
    log_head_close(head);
    open_log(&own);
    assert_true(log_state_first_free(own.state) >= promised);
    close_log(&own);
    buffer_deinit(&own.body);
    log_world_deinit(&own.world);
    fs_free(own.fs);
}

static void whatever_fails_loses_nothing_that_was_promised(void **state)
{
    struct env *env = *state;

    assert_true(fail_each(env->faults, FAULT_ALLOC | FAULT_IO | FAULT_POINT, attempt, env) > 50);
}

int main(void)
{
#define LOG_TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_log_is_opened_from_its_newest_summary),
        LOG_TEST(a_summary_is_wanted_after_so_many_entries),
        LOG_TEST(a_summary_that_fails_waits_for_as_many_entries_again),
        LOG_TEST(a_summary_that_was_cut_off_is_void_and_the_one_before_serves),
        LOG_TEST(a_summary_repeated_by_restarts_is_found_in_the_repetition),
        LOG_TEST(large_items_fill_parts_of_their_own),
        LOG_TEST(every_head_that_the_log_had_is_found_in_it),
        LOG_TEST(a_log_that_was_cut_lacks_its_head),
        LOG_TEST(a_head_that_cannot_be_written_is_said_once_and_stops_nothing),
        LOG_TEST(damage_before_the_summary_is_found_by_an_audit_only),
        LOG_TEST(a_segment_that_is_missing_or_out_of_place_is_found),
        LOG_TEST(a_summary_that_is_missing_is_found_if_anything_follows_it),
        LOG_TEST(a_space_under_another_key_is_refused),
        LOG_TEST(a_byte_that_flips_is_found_or_does_no_harm),
        LOG_TEST(whatever_fails_loses_nothing_that_was_promised),
    };

    return cmocka_run_group_tests_name("store_log", tests, NULL, NULL);
}
