/* The file that says which entry of the log was the newest: two slots, of which a torn one leaves the other. */
#include "coordinator/store/log_head.h"

#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "format/le.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/test.h"

enum { WRITES = 6 };

static struct store_head head_of(uint64_t sequence)
{
    return (struct store_head){
        .writer = {{'w'}},
        .sequence = sequence,
        .hash = {{(uint8_t)sequence, 1}},
    };
}

/* What the file of FS says; 0: nothing. */
static uint64_t said(struct fs *fs)
{
    struct log_head *head = NULL;
    struct store_head known = {.sequence = 0};
    struct error err = {0};

    ASSERT_OK(log_head_open(fs, &head, &err), &err);
    if (log_head_known(head, &known)) {
        const struct store_head written = head_of(known.sequence);

        assert_memory_equal(&known, &written, sizeof(known));
    }
    log_head_close(head);
    return known.sequence;
}

static void write_heads(struct fs *fs, uint64_t from, uint64_t to)
{
    struct log_head *head = NULL;
    struct error err = {0};

    ASSERT_OK(log_head_open(fs, &head, &err), &err);
    for (uint64_t i = from; i <= to; i++) {
        const struct store_head newest = head_of(i);

        ASSERT_OK(log_head_write(head, &newest, &err), &err);
    }
    log_head_close(head);
}

static struct fs *new_fs(void)
{
    struct fs *fs = NULL;
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    return fs;
}

static void the_newest_that_was_written_is_known(void **state)
{
    struct fs *fs = new_fs();

    (void)state;
    assert_int_equal(said(fs), 0);
    for (uint64_t i = 1; i < 5; i++) {
        write_heads(fs, i, i);
        assert_int_equal(said(fs), i);
    }
    write_heads(fs, 2, 2); /* the log went back, and that was noted: the turn counts */
    assert_int_equal(said(fs), 2);
    fs_free(fs);
}

static void flip(struct fs *fs, uint64_t offset)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    uint8_t byte = 0;

    ASSERT_OK(fs_open(fs, LOG_HEAD_FILE, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_read_exactly_at(file, offset, &byte, 1, &err), &err);
    byte ^= 1;
    ASSERT_OK(fs_write_at(file, offset, slice_of(&byte, 1), &err), &err);
    fs_close(file);
}

static void a_damaged_slot_leaves_the_other(void **state)
{
    struct fs *fs = new_fs();

    (void)state;
    write_heads(fs, 1, 4); /* 4 is in the slot at 0, 3 in the other */
    for (uint64_t i = 0; i < LOG_HEAD_SLOT_SIZE; i++) {
        flip(fs, i);
        assert_int_equal(said(fs), 3);
        flip(fs, LOG_HEAD_SLOT_SPACING + i);
        assert_int_equal(said(fs), 0);
        flip(fs, i);
        assert_int_equal(said(fs), 4);
        flip(fs, LOG_HEAD_SLOT_SPACING + i);
    }
    flip(fs, 0);
    write_heads(fs, 5, 5); /* takes the damaged one's place */
    assert_int_equal(said(fs), 5);
    flip(fs, 0);
    assert_int_equal(said(fs), 3);
    fs_free(fs);
}

/* A file with a sound slot of HEAD, as the TURN-th that was written, at OFFSET. */
static void put_slot(struct fs *fs, uint64_t offset, uint64_t turn, uint64_t sequence)
{
    const struct store_head newest = head_of(sequence);
    uint8_t bytes[LOG_HEAD_SLOT_SIZE] = {'T', 'M', 'h', 'd'};
    struct fs_file *file = NULL;
    struct error err = {0};

    le_put_u64(bytes + 8, turn);
    memcpy(bytes + 16, newest.writer.bytes, sizeof(newest.writer.bytes));
    le_put_u64(bytes + 32, sequence);
    memcpy(bytes + 40, newest.hash.bytes, sizeof(newest.hash.bytes));
    le_put_u32(bytes + 72, hash_crc32c(0, slice_of(bytes, 72)));
    ASSERT_OK(fs_open(fs, LOG_HEAD_FILE, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, offset, slice_of(bytes, sizeof(bytes)), &err), &err);
    fs_close(file);
}

static void the_turns_go_on_behind_the_highest(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 4; left++) {
        struct fs *fs = new_fs();
        uint64_t turn = UINT64_MAX - left;

        put_slot(fs, turn % 2 * LOG_HEAD_SLOT_SPACING, turn, 1);
        assert_int_equal(said(fs), 1);
        for (uint64_t i = 2; i < 8; i++) {
            write_heads(fs, i, i);
            assert_int_equal(said(fs), i);
        }
        fs_free(fs);
    }
}

/* What is written next would take its place: a write that is torn there would leave none. */
static void a_slot_in_the_others_place_does_not_count(void **state)
{
    struct fs *fs = new_fs();

    (void)state;
    put_slot(fs, 0, 3, 1);
    assert_int_equal(said(fs), 0);
    fs_free(fs);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *name)
{
    const uint64_t next = (uint64_t)WRITES + 1;
    uint64_t sequence = said(fs);

    (void)arg;
    (void)upto;
    if (sequence > WRITES)
        fail_msg("%s: %u was never written", name, (unsigned)sequence);
    write_heads(fs, next, next);
    assert_int_equal(said(fs), next);
}

static void a_power_cut_leaves_one_that_was_written_or_none(void **state)
{
    struct fs_cut_options options = {.tear_unit = 16, .exhaustive = 8, .samples = 8, .seed = 1};
    struct fs *memory = new_fs();
    struct fs *fs = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_record_new(memory, &fs, &err), &err);
    write_heads(fs, 1, WRITES);
    assert_true(fs_cut_every(fs_record_log(fs), &options, check_state, NULL) > 50);
    fs_free(fs);
    fs_free(memory);
}

static void attempt(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    struct fs *fs = new_fs();
    struct log_head *head = NULL;
    struct error err = {0};
    uint64_t written = 0;

    (void)n;
    if (log_head_open(fs, &head, &err) == STATUS_OK) {
        for (uint64_t i = 1; i <= 3; i++) {
            const struct store_head newest = head_of(i);

            if (log_head_write(head, &newest, &err) == STATUS_OK)
                written = i;
        }
    }
    log_head_close(head);
    faults_arm(faults, 0, 0);
    assert_true(said(fs) >= written);
    fs_free(fs);
}

static void a_write_that_fails_leaves_the_one_before(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_ALLOC | FAULT_IO, attempt, faults) >= 6);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_that_was_written_is_known),
        cmocka_unit_test(a_damaged_slot_leaves_the_other),
        cmocka_unit_test(the_turns_go_on_behind_the_highest),
        cmocka_unit_test(a_slot_in_the_others_place_does_not_count),
        cmocka_unit_test(a_power_cut_leaves_one_that_was_written_or_none),
        cmocka_unit_test(a_write_that_fails_leaves_the_one_before),
    };

    return cmocka_run_group_tests_name("log_head", tests, NULL, NULL);
}
