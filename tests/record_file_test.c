/* Promised records survive: every operation of a run is a place where the power may go, and every legal
 * loss is tried (tests/support/fs_cut.h). tests/support/record_file.h is the subject and the example. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/record_crash.h"
#include "tests/support/record_segment.h"
#include "tests/support/test.h"

static const struct record_file_options small = {.segment_size = 160};

struct env {
    struct faults *faults;
    struct fs *fs; /* in memory, with the folder "log" */
    bool forgets;  /* what a sync failed for is gone at once: fs_record_forget_failed() */
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    assert_int_equal(fs_memory_new(&env->fs, &err), STATUS_OK);
    assert_int_equal(fs_make_dir(env->fs, "log", &err), STATUS_OK);
    faults_install(env->faults);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    faults_install(NULL);
    faults_free(env->faults);
    fs_free(env->fs);
    memory_free(env);
    return 0;
}

static void report(const char *what, const struct record_findings *findings)
{
    print_message("%s: %" PRIu64 " states, %" PRIu64 " violations%s%s\n", what, findings->states,
                  findings->violations, findings->violations > 0 ? ", the first: " : "",
                  findings->first);
}

/* Runs SCRIPT and cuts the power everywhere. */
static void explore_script(struct env *env, const char *script, unsigned skip,
                           const struct fs_cut_options *cut, unsigned deep,
                           struct record_findings *findings)
{
    struct record_file_options options = small;
    uint64_t before = findings->violations;

    options.skip = skip;
    struct record_run *run = record_run_new(env->faults, options);

    fs_record_forget_failed(run->fs, env->forgets);
    record_run_do(run, script, findings);
    record_run_explore(run, run->start, record_run_length(run), cut, deep, findings);
    if (skip == 0 && findings->violations > before) {
        print_message("script %s:\n", script);
        fs_log_print(fs_record_log(run->fs), record_run_length(run), stdout);
    }
    record_run_free(run);
}

/* --- the file itself ------------------------------------------------------------------------- */

struct list {
    char text[256]; /* the records, each with a space behind it */
};

static void add_to_list(void *arg, struct slice bytes)
{
    struct list *list = arg;
    size_t length = strlen(list->text);

    assert_true(text_format(list->text + length, sizeof(list->text) - length, "%.*s ",
                            (int)bytes.size, (const char *)bytes.data));
}

static void assert_records(struct record_file *file, const char *expected)
{
    struct list list = {{0}};
    struct error err = {0};

    assert_int_equal(record_file_each(file, add_to_list, &list, &err), STATUS_OK);
    assert_string_equal(list.text, expected);
}

static struct record_file *open_file(struct env *env, uint32_t segment_size)
{
    struct record_file_options options = {.segment_size = segment_size};
    struct record_file *file = NULL;
    struct error err = {0};

    assert_int_equal(record_file_open(env->fs, "log", options, &file, &err), STATUS_OK);
    return file;
}

static void put(struct record_file *file, const char *text)
{
    struct error err = {0};

    assert_int_equal(record_file_append(file, slice_of_text(text), &err), STATUS_OK);
}

static size_t count_files(struct env *env)
{
    struct fs_names names = {0};
    struct error err = {0};

    assert_int_equal(fs_list(env->fs, "log", &names, &err), STATUS_OK);
    size_t count = names.count;

    fs_names_deinit(&names);
    return count;
}

static void records_come_back_in_order(void **state)
{
    struct record_file *file = open_file(*state, 60);
    struct error err = {0};

    put(file, "one");
    put(file, "two");
    put(file, "three");
    assert_int_equal(record_file_sync(file, &err), STATUS_OK);
    put(file, "four");
    assert_int_equal(record_file_held(file), 4);
    assert_records(file, "one two three four ");
    record_file_close(file);
    file = open_file(*state, 60);
    assert_records(file, "one two three four ");
    assert_int_equal(record_file_promised(file), 4);
    record_file_close(file);
}

static void full_segment_begins_another(void **state)
{
    struct record_file *file = open_file(*state, 60);

    put(file, "12345678"); /* 36 + 8 + 8 bytes */
    assert_int_equal(count_files(*state), 1);
    assert_int_equal(record_file_promised(file), 0);
    put(file, "1");
    assert_int_equal(count_files(*state), 2);
    assert_int_equal(record_file_promised(file), 1);
    assert_records(file, "12345678 1 ");
    record_file_close(file);
}

static void record_larger_than_a_segment_has_one_of_its_own(void **state)
{
    struct record_file *file = open_file(*state, 10);

    put(file, "first");
    put(file, "second");
    assert_int_equal(count_files(*state), 2);
    assert_records(file, "first second ");
    record_file_close(file);
}

static void opening_leaves_no_segment_that_nobody_needs(void **state)
{
    struct record_file *file = open_file(*state, 10);

    put(file, "first");
    put(file, "second");
    record_file_close(file);
    for (unsigned i = 0; i < 5; i++) {
        file = open_file(*state, 10);
        assert_records(file, "first second ");
        assert_int_equal(count_files(*state), 2);
        record_file_close(file);
    }
}

static void failed_append_gives_up_what_was_not_promised(void **state)
{
    struct env *env = *state;
    struct record_file *file = open_file(env, 200);
    struct error err = {0};

    put(file, "first");
    assert_int_equal(record_file_sync(file, &err), STATUS_OK);
    put(file, "second");
    faults_arm_point(env->faults, "fs.write", 1, FAULT_SHORT);
    assert_int_equal(record_file_append(file, slice_of_text("third"), &err), STATUS_EXHAUSTED);
    assert_int_equal(record_file_held(file), 1);
    assert_records(file, "first ");
    put(file, "fourth");
    assert_int_equal(count_files(env), 2);
    assert_records(file, "first fourth ");
    record_file_close(file);
    file = open_file(env, 200);
    assert_records(file, "first fourth ");
    record_file_close(file);
}

static void dropping_takes_the_oldest_segment(void **state)
{
    struct record_file *file = open_file(*state, 10);
    struct error err = {0};

    put(file, "first");
    put(file, "second");
    assert_int_equal(record_file_drop(file, &err), STATUS_OK);
    assert_records(file, "second ");
    assert_int_equal(record_file_drop(file, &err), STATUS_PRECONDITION);
    record_file_close(file);
    file = open_file(*state, 10);
    assert_records(file, "second ");
    record_file_close(file);
}

static void empty_and_oversized_records_are_refused(void **state)
{
    static const uint8_t bytes[RECORD_MAX + 1] = {1};
    struct record_file *file = open_file(*state, 60);
    struct error err = {0};

    assert_int_equal(record_file_append(file, slice_of(bytes, 0), &err), STATUS_INVALID);
    assert_int_equal(record_file_append(file, slice_of(bytes, sizeof(bytes)), &err),
                     STATUS_INVALID);
    assert_int_equal(record_file_append(file, slice_of(bytes, RECORD_MAX), &err), STATUS_OK);
    record_file_close(file);
}

/* Changes the byte at OFFSET of the newest or the oldest file. */
static void damage(struct env *env, bool newest, uint64_t offset)
{
    char path[FS_PATH_SIZE];
    struct fs_names names = {0};
    struct fs_file *file = NULL;
    struct error err = {0};
    uint8_t byte = 0;

    assert_int_equal(fs_list(env->fs, "log", &names, &err), STATUS_OK);
    assert_true(
        text_format(path, sizeof(path), "log/%s", names.names[newest ? names.count - 1 : 0]));
    fs_names_deinit(&names);
    assert_int_equal(fs_open(env->fs, path, FS_WRITE, &file, &err), STATUS_OK);
    assert_int_equal(fs_read_exactly_at(file, offset, &byte, 1, &err), STATUS_OK);
    byte ^= 1;
    assert_int_equal(fs_write_at(file, offset, slice_of(&byte, 1), &err), STATUS_OK);
    fs_close(file);
}

static void expect_corrupt(struct env *env)
{
    struct record_file_options options = {.segment_size = 10};
    struct record_file *file = NULL;
    struct error err = {0};

    assert_int_equal(record_file_open(env->fs, "log", options, &file, &err), STATUS_CORRUPT);
    assert_null(file);
}

static void damage_in_an_older_segment_is_reported(void **state)
{
    struct record_file *file = open_file(*state, 10);

    put(file, "first");
    put(file, "second");
    record_file_close(file);
    damage(*state, false, 44);
    expect_corrupt(*state);
}

static void damaged_header_is_reported(void **state)
{
    struct record_file *file = open_file(*state, 10);

    record_file_close(file);
    for (uint64_t offset = 0; offset < RECORD_HEADER_SIZE; offset++) {
        damage(*state, true, offset);
        expect_corrupt(*state);
        damage(*state, true, offset); /* makes it good again */
    }
    file = open_file(*state, 10);
    assert_records(file, "");
    record_file_close(file);
}

static void segment_under_another_name_is_reported(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    record_file_close(open_file(env, 10));
    assert_int_equal(fs_rename(env->fs, "log/seg-0000000000000001", "log/seg-0000000000000007",
                               &err),
                     STATUS_OK);
    expect_corrupt(env);
}

static void segment_that_follows_itself_is_reported(void **state)
{
    struct env *env = *state;
    const struct record_segment segment = {.number = 3, .previous = 3, .previous_length = 36};
    struct buffer header;
    struct error err = {0};

    buffer_init(&header, RECORD_HEADER_SIZE);
    record_segment_put_header(&header, &segment);
    assert_int_equal(fs_replace(env->fs, "log/seg-0000000000000003", buffer_slice(&header), &err),
                     STATUS_OK);
    buffer_deinit(&header);
    expect_corrupt(env);
}

static void torn_tail_of_the_newest_segment_is_dropped(void **state)
{
    struct record_file *file = open_file(*state, 100);

    put(file, "first");
    put(file, "second");
    record_file_close(file);
    damage(*state, true, 36 + 8 + 5 + 8);
    file = open_file(*state, 100);
    assert_records(file, "first ");
    record_file_close(file);
}

/* --- power cuts ------------------------------------------------------------------------------ */

static void promised_records_survive_every_power_cut(void **state)
{
    static const char script[] = "raassaaasaadasaraasaaasrrasdas";
    struct fs_cut_options cut = {.tear_unit = 16,
                                 .exhaustive = test_is_long() ? 12 : 9,
                                 .samples = 30};
    struct record_findings findings = {0};

    explore_script(*state, script, 0, &cut, 97, &findings);
    report("script", &findings);
    assert_int_equal(findings.violations, 0);
    assert_true(findings.states > 5000);
}

static void stale_bytes_are_no_records(void **state)
{
    static const char *const scripts[] = {"raassaaasadasaraasaaasrrasdas",
                                          "raaaasdaaaasdaaaasdrasras"};
    struct fs_cut_options cut = {.tear_unit = 16,
                                 .exhaustive = test_is_long() ? 11 : 7,
                                 .samples = 30,
                                 .stale = true};
    struct record_findings findings = {0};

    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
        explore_script(*state, scripts[i], 0, &cut, 97, &findings);
    report("stale", &findings);
    assert_int_equal(findings.violations, 0);
    assert_true(findings.states > 5000);
}

static const char *const failure_scripts[] = {
    "raasaaSsaasraas",      /* a failed sync; the process goes on */
    "raasaSsrasr",          /* it ends, and the next one opens */
    "raSsrSsaSsras",        /* again and again */
    "raasaWaaasrWaas",      /* a write that was cut */
    "raaasaaaaDaaasr",      /* a rotation whose folder could not be synced */
    "raaasaaaaSaaasr",      /* a rotation whose first sync failed */
    "raaaasaaNaaaasrNraas", /* a rename that failed */
    "raaaaaaaasDddasrRdas", /* a drop that failed halfway, or whole */
    "rDrSrasDrras",         /* an opening that failed */
};

static void explore_failures(struct env *env, bool stale)
{
    struct fs_cut_options cut = {.tear_unit = 32,
                                 .exhaustive = test_is_long() ? 11 : 7,
                                 .samples = 10,
                                 .stale = stale};
    struct record_findings findings = {0};

    for (size_t i = 0; i < sizeof(failure_scripts) / sizeof(failure_scripts[0]); i++)
        explore_script(env, failure_scripts[i], 0, &cut, 0, &findings);
    report("failures", &findings);
    assert_int_equal(findings.violations, 0);
    assert_true(findings.states > 5000);
}

static void promised_records_survive_failed_syncs_and_power_cuts(void **state)
{
    explore_failures(*state, false);
}

static void promised_records_survive_failed_syncs_that_forget(void **state)
{
    struct env *env = *state;

    env->forgets = true;
    explore_failures(env, true);
}

/* LENGTH random steps, with at most four faults. */
static void random_script(struct random_seeded *random, char *script, size_t length)
{
    static const char steps[] = "aaaaaaassssdr";
    static const char faults[] = "WSSDNR";
    size_t fault_count = 0;
    size_t size = 0;

    script[size++] = 'r';
    for (size_t i = 1; i < length; i++) {
        if (fault_count < 4 && random_seeded_below(random, 6) == 0) {
            script[size++] = faults[random_seeded_below(random, sizeof(faults) - 1)];
            fault_count++;
        }
        script[size++] = steps[random_seeded_below(random, sizeof(steps) - 1)];
    }
    script[size] = '\0';
}

static void promised_records_survive_random_lives(void **state)
{
    uint64_t seed = test_seed("promised_records_survive_random_lives");
    struct random_seeded random = random_seeded_of(seed);
    struct fs_cut_options cut = {.exhaustive = 5, .samples = 8, .seed = seed};
    struct record_findings findings = {0};
    unsigned lives = test_is_long() ? 400 : 24;
    struct env *env = *state;

    for (unsigned i = 0; i < lives; i++) {
        static const uint32_t tears[] = {4, 16, 64, 512};
        char script[80];

        random_script(&random, script, 24);
        cut.tear_unit = tears[i % 4];
        cut.stale = i / 4 % 2 == 1;
        env->forgets = i / 8 % 2 == 1;
        explore_script(env, script, 0, &cut, 251, &findings);
        if (findings.violations > 0)
            break;
    }
    report("random lives", &findings);
    assert_int_equal(findings.violations, 0);
    assert_true(findings.states > 10000);
}

/* --- each failure ---------------------------------------------------------------------------- */

struct failing {
    struct env *env;
    unsigned classes;
    struct record_findings findings;
    uint64_t failed; /* attempts in which a step failed */
};

static void live_with_failure(void *arg, uint64_t n)
{
    static const char script[] = "raasaaadasraaaasdaasraasd";
    struct failing *failing = arg;
    struct faults *faults = failing->env->faults;
    struct fs_cut_options cut = {.tear_unit = 32, .exhaustive = 5, .samples = 5};

    faults_arm(faults, 0, 0); /* not while the run is set up */
    struct record_run *run = record_run_new(faults, small);

    fs_record_forget_failed(run->fs, failing->env->forgets);
    faults_arm(faults, failing->classes, n);
    record_run_do(run, script, &failing->findings);
    faults_arm(faults, 0, 0);
    failing->failed += run->failures > 0 ? 1 : 0;
    size_t end = record_run_length(run);

    if (run->failures > 0) {
        size_t before = run->moments[run->first_failed - 1].position;
        size_t after = run->moments[run->first_failed].position;

        record_run_explore(run, before, after, &cut, 0, &failing->findings);
    }
    record_run_explore(run, end, end, &cut, 0, &failing->findings);
    record_run_do(run, "rr", &failing->findings); /* the process is killed, not the power */
    assert_non_null(run->file);
    record_run_free(run);
}

static void promises_hold_whatever_io_fails(void **state)
{
    struct failing failing = {.env = *state, .classes = FAULT_IO};
    uint64_t tried = fail_each(failing.env->faults, FAULT_IO, live_with_failure, &failing);

    print_message("%" PRIu64 " failures of I/O, ", tried);
    report("each", &failing.findings);
    assert_int_equal(failing.findings.violations, 0);
    assert_true(tried > 50);
    assert_true(failing.failed > tried / 2);
    failing.env->forgets = true;
    assert_int_equal(fail_each(failing.env->faults, FAULT_IO, live_with_failure, &failing), tried);
    assert_int_equal(failing.findings.violations, 0);
}

static void promises_hold_whatever_allocation_fails(void **state)
{
    struct failing failing = {.env = *state, .classes = FAULT_ALLOC};
    uint64_t tried = fail_each(failing.env->faults, FAULT_ALLOC, live_with_failure, &failing);

    print_message("%" PRIu64 " failures of allocation, ", tried);
    report("each", &failing.findings);
    assert_int_equal(failing.findings.violations, 0);
    assert_true(tried > 50);
    assert_true(failing.failed > tried / 2);
}

/* --- each guard ------------------------------------------------------------------------------ */

static void each_guard_is_missed(void **state)
{
    static const struct {
        unsigned skip;
        const char *name;
        const char *script;
    } guards[] = {
        {RECORD_SKIP_DATA_SYNC, "sync of the data", "raas"},
        {RECORD_SKIP_HEADER_SYNC, "sync of the header before the rename", "ra"},
        {RECORD_SKIP_DIR_SYNC, "sync of the folder after the rename", "raas"},
        {RECORD_SKIP_CRC, "check of the sum", "raasaa"},
        {RECORD_SKIP_GIVE_UP, "giving up after a failed sync", "raasaSsas"},
        {RECORD_SKIP_COPY, "copy at the opening after a failed sync", "raasaSsr"},
        {RECORD_SKIP_TAIL_CUT, "end of what counts in an older segment", "raasaSsas"},
        {RECORD_SKIP_DROP_SYNC, "sync of the folder after a drop", "raaaaaad"},
    };
    struct fs_cut_options cut = {.tear_unit = 16, .exhaustive = 10, .samples = 10};

    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
        struct record_findings with = {0};
        struct record_findings without = {0};

        explore_script(*state, guards[i].script, 0, &cut, 0, &with);
        explore_script(*state, guards[i].script, guards[i].skip, &cut, 0, &without);
        print_message("without the %s: ", guards[i].name);
        report(guards[i].script, &without);
        assert_int_equal(with.violations, 0);
        assert_true(with.states > 0);
        assert_true(without.violations > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_segment_begins_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(record_larger_than_a_segment_has_one_of_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(opening_leaves_no_segment_that_nobody_needs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failed_append_gives_up_what_was_not_promised, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(dropping_takes_the_oldest_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_and_oversized_records_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_in_an_older_segment_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_header_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(segment_under_another_name_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(segment_that_follows_itself_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn_tail_of_the_newest_segment_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(promised_records_survive_every_power_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stale_bytes_are_no_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(promised_records_survive_failed_syncs_and_power_cuts,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(promised_records_survive_failed_syncs_that_forget, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(promised_records_survive_random_lives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(promises_hold_whatever_io_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(promises_hold_whatever_allocation_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_guard_is_missed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
