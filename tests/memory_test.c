#include "base/memory.h"

#include <stdint.h>
#include <string.h>

#include "base/fault.h"
#include "tests/support/test.h"

static void new_memory_is_zeroed_and_never_null_for_no_bytes(void **state)
{
    uint8_t *block = memory_new(3, 5);
    uint8_t *nothing = memory_new(0, 5);

    (void)state;
    assert_non_null(block);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(block[i], 0);
    assert_non_null(nothing);
    memory_free(block);
    memory_free(nothing);
    memory_free(NULL);
}

static void a_count_from_outside_cannot_wrap_around(void **state)
{
    char *block = memory_copy_text("kept");

    (void)state;
    assert_non_null(block);
    assert_null(memory_new(SIZE_MAX / 2, 4));
    assert_null(memory_resize(block, SIZE_MAX / 2, 4));
    assert_string_equal(block, "kept");
    memory_free(block);
}

static void resizing_keeps_what_was_there(void **state)
{
    char *block = memory_copy_text("0123456789");
    char *grown = memory_resize(block, 4000, 1);

    (void)state;
    assert_non_null(grown);
    assert_string_equal(grown, "0123456789");

    char *shrunk = memory_resize(grown, 4, 1);

    assert_non_null(shrunk);
    assert_memory_equal(shrunk, "0123", 4);
    shrunk = memory_resize(shrunk, 0, 1);
    assert_non_null(shrunk);
    memory_free(shrunk);
}

static void each_way_to_allocate_fails_on_purpose(void **state)
{
    struct faults *faults = faults_new();
    char *block = memory_copy_text("kept");

    (void)state;
    assert_non_null(faults);
    assert_non_null(block);
    faults_install(faults);
    faults_arm(faults, FAULT_ALLOC, 1);
    assert_null(memory_new(1, 1));
    faults_arm(faults, FAULT_ALLOC, 1);
    assert_null(memory_resize(block, 100, 1));
    assert_string_equal(block, "kept");
    faults_arm(faults, FAULT_ALLOC, 1);
    assert_null(memory_copy_text("text"));
    faults_install(NULL);
    faults_free(faults);
    memory_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed_and_never_null_for_no_bytes),
        cmocka_unit_test(a_count_from_outside_cannot_wrap_around),
        cmocka_unit_test(resizing_keeps_what_was_there),
        cmocka_unit_test(each_way_to_allocate_fails_on_purpose),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
