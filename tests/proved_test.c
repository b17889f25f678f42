/* tests/proved_test.c: coordinator/store/proved.h: what it says comes back; whatever is wrong with the file says nothing. */
#include "coordinator/store/proved.h"

#include <string.h>

#include "base/fault.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

static const struct random_id repository = {{'r'}};

static struct random_id name_of(uint8_t number)
{
    return (struct random_id){{number, 1}};
}

static void note(struct proved *proved, uint8_t number, int64_t time_us, bool damaged)
{
    const struct proved_pack pack = {.name = name_of(number),
                                     .time_us = time_us,
                                     .damaged = damaged};
    struct error err = {0};

    ASSERT_OK(proved_note(proved, &pack, &err), &err);
}

static struct proved three(void)
{
    struct proved proved = {0};

    note(&proved, 9, -5, false);
    note(&proved, 2, 7, true);
    note(&proved, 5, INT64_MAX, false);
    return proved;
}

static void assert_three(const struct proved *proved)
{
    const struct random_id none = {{0}};
    const struct random_id two = name_of(2);
    const struct random_id nine = name_of(9);

    assert_int_equal(proved->count, 3);
    assert_true(proved_find(proved, &two)->damaged);
    assert_int_equal(proved_find(proved, &two)->time_us, 7);
    assert_int_equal(proved_find(proved, &nine)->time_us, -5);
    assert_false(proved_find(proved, &nine)->damaged);
    assert_null(proved_find(proved, &none));
}

static void what_is_written_is_read_again(void **state)
{
    struct proved proved = three();
    struct proved again = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    ASSERT_OK(proved_write(fs, &repository, &proved, &err), &err);
    ASSERT_OK(proved_read(fs, &repository, &again, &err), &err);
    assert_three(&again);
    proved_deinit(&again);
    proved_deinit(&proved);
    fs_free(fs);
}

static void a_file_that_is_not_there_says_nothing(void **state)
{
    struct proved proved = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    ASSERT_OK(proved_read(fs, &repository, &proved, &err), &err);
    assert_int_equal(proved.count, 0);
    proved_deinit(&proved);
    fs_free(fs);
}

static void another_repositorys_file_says_nothing(void **state)
{
    const struct random_id other = {{'o'}};
    struct proved proved = three();
    struct proved again = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    ASSERT_OK(proved_write(fs, &other, &proved, &err), &err);
    ASSERT_OK(proved_read(fs, &repository, &again, &err), &err);
    assert_int_equal(again.count, 0);
    proved_deinit(&proved);
    fs_free(fs);
}

/* Each byte in turn, and each shorter length. */
static void every_damaged_file_is_refused(void **state)
{
    struct proved proved = three();
    struct proved again = {0};
    struct buffer bytes;
    struct error err = {0};

    (void)state;
    buffer_init(&bytes, 4096);
    proved_encode(&proved, &repository, &bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 4;
        ASSERT_STATUS(STATUS_CORRUPT,
                      proved_decode(buffer_slice(&bytes), &repository, &again, &err), &err);
        bytes.data[i] ^= 4;
        ASSERT_STATUS(STATUS_CORRUPT,
                      proved_decode(slice_of(bytes.data, i), &repository, &again, &err), &err);
    }
    ASSERT_OK(proved_decode(buffer_slice(&bytes), &repository, &again, &err), &err);
    assert_three(&again);
    proved_deinit(&again);
    proved_deinit(&proved);
    buffer_deinit(&bytes);
}

static void a_newer_note_takes_the_place_of_the_older(void **state)
{
    struct proved proved = three();
    const struct random_id two = name_of(2);

    (void)state;
    note(&proved, 2, 8, false);
    assert_int_equal(proved.count, 3);
    assert_false(proved_find(&proved, &two)->damaged);
    assert_int_equal(proved_find(&proved, &two)->time_us, 8);
    proved_deinit(&proved);
}

static bool is_odd(void *arg, const struct random_id *name)
{
    (void)arg;
    return name->bytes[0] % 2 == 1;
}

static void packs_that_are_gone_are_forgotten(void **state)
{
    struct proved proved = three();
    const struct random_id two = name_of(2);
    const struct random_id nine = name_of(9);

    (void)state;
    proved_keep(&proved, is_odd, NULL);
    assert_int_equal(proved.count, 2);
    assert_null(proved_find(&proved, &two));
    assert_non_null(proved_find(&proved, &nine));
    proved_deinit(&proved);
}

/* The file is the older one or the newer one, whatever fails. */
static void write_newer(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    const struct random_id two = name_of(2);
    struct proved proved = {0};
    struct proved again = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    faults_arm(faults, 0, 0);
    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    proved = three();
    ASSERT_OK(proved_write(fs, &repository, &proved, &err), &err);
    note(&proved, 2, 8, false);
    faults_arm(faults, FAULT_ALLOC | FAULT_IO, n);

    enum status st = proved_write(fs, &repository, &proved, &err);

    if (st == STATUS_OK && !faults_fired(faults))
        st = proved_read(fs, &repository, &again, &err);
    proved_deinit(&again);
    faults_arm(faults, 0, 0);
    ASSERT_OK(proved_read(fs, &repository, &again, &err), &err);
    assert_int_equal(again.count, 3);
    assert_true(proved_find(&again, &two)->time_us == 8 ||
                (st != STATUS_OK && proved_find(&again, &two)->time_us == 7));
    proved_deinit(&again);
    proved_deinit(&proved);
    fs_free(fs);
}

static void every_failure_leaves_the_old_file_or_the_new(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_ALLOC | FAULT_IO, write_newer, faults) > 5);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_file_that_is_not_there_says_nothing),
        cmocka_unit_test(another_repositorys_file_says_nothing),
        cmocka_unit_test(every_damaged_file_is_refused),
        cmocka_unit_test(a_newer_note_takes_the_place_of_the_older),
        cmocka_unit_test(packs_that_are_gone_are_forgotten),
        cmocka_unit_test(every_failure_leaves_the_old_file_or_the_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
