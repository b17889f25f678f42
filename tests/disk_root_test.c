#include "format/disk_root.h"

#include <string.h>

#include "tests/support/test.h"

/* 1 GiB and one sector, in blocks of 64 KiB: 16,385 of them. */
static struct disk_root some_root(void)
{
    struct disk_root root = {
        .size = (UINT64_C(1) << 30) + 512,
        .block_size = BLOCK_SIZE_DEFAULT,
        .logical_sector = 512,
        .physical_sector = 4096,
        .height = 3,
        .top = {.number = 0x0102030405060708},
    };

    memset(root.top.id.bytes, 0xab, sizeof(root.top.id.bytes));
    return root;
}

static void the_height_is_the_least_that_fits(void **state)
{
    static const struct {
        uint64_t blocks;
        uint8_t height;
    } expected[] = {{1, 0},       {2, 1},       {128, 1},
                    {129, 2},     {16384, 2},   {16385, 3},
                    {2097152, 3}, {2097153, 4}, {UINT64_C(1) << 34, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        uint64_t size = expected[i].blocks * BLOCK_SIZE_MIN;

        assert_int_equal(disk_root_height(size, BLOCK_SIZE_MIN), expected[i].height);
        assert_int_equal(disk_root_height(size - 512, BLOCK_SIZE_MIN), expected[i].height);
    }
}

static void the_last_block_may_be_short(void **state)
{
    struct disk_root root = some_root();

    (void)state;
    assert_true(disk_root_blocks(root.size, root.block_size) == 16385);
    assert_int_equal(disk_root_block_length(&root, 0), 65536);
    assert_int_equal(disk_root_block_length(&root, 16383), 65536);
    assert_int_equal(disk_root_block_length(&root, 16384), 512);
    root.size -= 512;
    assert_true(disk_root_blocks(root.size, root.block_size) == 16384);
    assert_int_equal(disk_root_block_length(&root, 16383), 65536);
    assert_true(disk_root_blocks(UINT64_MAX, 4096) == UINT64_C(1) << 52);
}

static void a_root_survives_its_stored_form(void **state)
{
    struct disk_root root = some_root();
    struct disk_root back = {0};
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct error err = {0};

    (void)state;
    disk_root_encode_stored(&root, stored);
    ASSERT_OK(disk_root_decode(slice_of(stored, sizeof(stored)), &back, &err), &err);
    assert_memory_equal(&back, &root, sizeof(root));
}

static void the_plain_form_is_the_stored_one_without_the_number(void **state)
{
    struct disk_root root = some_root();
    struct disk_root back = {0};
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    struct error err = {0};

    (void)state;
    disk_root_encode_stored(&root, stored);
    disk_root_encode_plain(&root, plain);
    assert_memory_equal(plain, stored, sizeof(plain));
    ASSERT_OK(disk_root_decode(slice_of(plain, sizeof(plain)), &back, &err), &err);
    root.top.number = 0;
    assert_memory_equal(&back, &root, sizeof(root));
}

static void a_disk_of_holes_has_no_top(void **state)
{
    struct disk_root root = some_root();
    struct disk_root back = {0};
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct error err = {0};

    (void)state;
    memset(&root.top, 0, sizeof(root.top));
    disk_root_encode_stored(&root, stored);
    ASSERT_OK(disk_root_decode(slice_of(stored, sizeof(stored)), &back, &err), &err);
    assert_memory_equal(&back, &root, sizeof(root));
}

static void every_other_length_is_refused(void **state)
{
    struct disk_root root = some_root();
    struct disk_root back = {.size = 7};
    uint8_t stored[DISK_ROOT_STORED_SIZE + 8] = {0};
    struct error err = {0};

    (void)state;
    disk_root_encode_stored(&root, stored);
    for (size_t size = 0; size <= sizeof(stored); size++) {
        if (size == DISK_ROOT_PLAIN_SIZE || size == DISK_ROOT_STORED_SIZE)
            continue;
        ASSERT_STATUS(STATUS_CORRUPT, disk_root_decode(slice_of(stored, size), &back, &err), &err);
    }
    assert_true(back.size == 7);
}

/* Both ways: the values, and their bytes. */
static void assert_refused(const struct disk_root *root)
{
    struct disk_root back = {.size = 7};
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct error err = {0};

    ASSERT_STATUS(STATUS_INVALID, disk_root_check(root, &err), &err);
    disk_root_encode_stored(root, stored);
    ASSERT_STATUS(STATUS_CORRUPT, disk_root_decode(slice_of(stored, sizeof(stored)), &back, &err),
                  &err);
    assert_int_equal(err.status, STATUS_CORRUPT);
    assert_true(back.size == 7);
}

static void values_that_no_disk_has_are_refused(void **state)
{
    static const uint32_t block_sizes[] = {0, 1, 2048, 4097, 65535, 1024 * 1024 * 2, UINT32_MAX};
    static const uint32_t sectors[] = {0, 1, 511, 513, 1024, 8192, UINT32_MAX};
    static const uint32_t physical[] = {0, 256, 4097, 2 * BLOCK_SIZE_MAX, UINT32_MAX};
    static const uint64_t sizes[] = {0, 1, 513, DISK_SIZE_MAX + 512, UINT64_MAX, UINT64_MAX - 511};

    (void)state;
    for (size_t i = 0; i < sizeof(block_sizes) / sizeof(block_sizes[0]); i++) {
        struct disk_root root = some_root();

        root.block_size = block_sizes[i];
        assert_refused(&root);
    }
    for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        struct disk_root root = some_root();

        root.logical_sector = sectors[i];
        assert_refused(&root);
    }
    for (size_t i = 0; i < sizeof(physical) / sizeof(physical[0]); i++) {
        struct disk_root root = some_root();

        root.physical_sector = physical[i];
        assert_refused(&root);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct disk_root root = some_root();

        root.size = sizes[i];
        if (root.size != 0)
            root.height = disk_root_height(root.size, root.block_size);
        assert_refused(&root);
    }
}

static void the_largest_and_the_smallest_disk_are_fine(void **state)
{
    struct disk_root root = some_root();
    struct error err = {0};

    (void)state;
    root.size = DISK_SIZE_MAX;
    root.block_size = BLOCK_SIZE_MIN;
    root.height = 5;
    ASSERT_OK(disk_root_check(&root, &err), &err);
    root.size = 512;
    root.block_size = BLOCK_SIZE_MAX;
    root.height = 0;
    ASSERT_OK(disk_root_check(&root, &err), &err);
}

static void another_height_is_refused(void **state)
{
    (void)state;
    for (unsigned height = 0; height <= UINT8_MAX; height++) {
        struct disk_root root = some_root();

        root.height = (uint8_t)height;
        if (height != 3)
            assert_refused(&root);
    }
}

static void bytes_that_shall_be_zero_are_looked_at(void **state)
{
    struct disk_root root = some_root();
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct error err = {0};

    (void)state;
    disk_root_encode_stored(&root, stored);
    for (size_t i = 21; i < 24; i++) {
        stored[i] = 1;
        ASSERT_STATUS(STATUS_CORRUPT,
                      disk_root_decode(slice_of(stored, sizeof(stored)), &root, &err), &err);
        stored[i] = 0;
    }
    memset(stored + 24, 0, ID_SIZE); /* a hole with a number */
    ASSERT_STATUS(STATUS_CORRUPT, disk_root_decode(slice_of(stored, sizeof(stored)), &root, &err),
                  &err);
}

static void the_id_covers_all_but_the_number(void **state)
{
    static const uint8_t secret[32] = {9};
    struct disk_root root = some_root();
    struct hash_key *key = NULL;
    struct id id = {{0}};
    struct id other = {{0}};
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(hash_key_new(slice_of(secret, sizeof(secret)), &key, &err), &err);
    ASSERT_OK(disk_root_id(key, &root, &id, &err), &err);
    root.top.number++;
    ASSERT_OK(disk_root_id(key, &root, &other, &err), &err);
    assert_true(id_equal(&id, &other));
    disk_root_encode_plain(&root, plain);
    ASSERT_OK(id_of(key, KIND_DISK_ROOT, slice_of(plain, sizeof(plain)), &other, &err), &err);
    assert_true(id_equal(&id, &other));
    root.physical_sector = 512;
    ASSERT_OK(disk_root_id(key, &root, &other, &err), &err);
    assert_false(id_equal(&id, &other));
    hash_key_free(key);
}

static struct disk_root some_file(void)
{
    struct disk_root root = {.size = 4096 * 128 + 1,
                             .block_size = BLOCK_SIZE_MIN,
                             .height = 2,
                             .top = {.number = 7}};

    memset(root.top.id.bytes, 0xcd, sizeof(root.top.id.bytes));
    return root;
}

static void a_files_root_survives_its_stored_form(void **state)
{
    static const uint64_t sizes[] = {
        1, 511, 4096, 4097, UINT64_C(4096) * 128, UINT64_C(4096) * 128 + 1, FILE_SIZE_MAX};
    struct disk_root root = some_file();
    struct disk_root back = {0};
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        root.size = sizes[i];
        root.height = disk_root_height(root.size, root.block_size);
        disk_root_encode_stored(&root, stored);
        ASSERT_OK(file_root_decode(slice_of(stored, sizeof(stored)), &back, &err), &err);
        assert_memory_equal(&back, &root, sizeof(root));
        ASSERT_STATUS(STATUS_CORRUPT,
                      disk_root_decode(slice_of(stored, sizeof(stored)), &back, &err), &err);
    }
    root = some_root();
    disk_root_encode_stored(&root, stored);
    ASSERT_STATUS(STATUS_CORRUPT, file_root_decode(slice_of(stored, sizeof(stored)), &back, &err),
                  &err);
}

static void a_file_of_no_bytes_has_no_blocks_and_no_top(void **state)
{
    struct disk_root root = {.block_size = BLOCK_SIZE_MIN};
    struct error err = {0};

    (void)state;
    assert_true(disk_root_blocks(0, BLOCK_SIZE_MIN) == 0);
    assert_int_equal(disk_root_height(0, BLOCK_SIZE_MIN), 0);
    ASSERT_OK(file_root_check(&root, &err), &err);
    root.top.id.bytes[0] = 1;
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
}

static void values_that_no_file_has_are_refused(void **state)
{
    struct disk_root root = some_file();
    struct error err = {0};

    (void)state;
    ASSERT_OK(file_root_check(&root, &err), &err);
    root.logical_sector = 512;
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
    root = some_file();
    root.physical_sector = 512;
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
    root = some_file();
    root.height = 1;
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
    root = some_file();
    root.block_size = 4095;
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
    root = some_file();
    root.size = (uint64_t)FILE_SIZE_MAX + 1;
    root.height = disk_root_height(root.size, root.block_size);
    ASSERT_STATUS(STATUS_INVALID, file_root_check(&root, &err), &err);
}

static void a_file_and_a_disk_have_different_ids(void **state)
{
    static const uint8_t secret[32] = {9};
    struct disk_root root = some_file();
    struct hash_key *key = NULL;
    struct id id;
    struct id other;
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(hash_key_new(slice_of(secret, sizeof(secret)), &key, &err), &err);
    ASSERT_OK(file_root_id(key, &root, &id, &err), &err);
    disk_root_encode_plain(&root, plain);
    ASSERT_OK(id_of(key, KIND_FILE_ROOT, slice_of(plain, sizeof(plain)), &other, &err), &err);
    assert_true(id_equal(&id, &other));
    ASSERT_OK(disk_root_id(key, &root, &other, &err), &err);
    assert_false(id_equal(&id, &other));
    hash_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_height_is_the_least_that_fits),
        cmocka_unit_test(the_last_block_may_be_short),
        cmocka_unit_test(a_root_survives_its_stored_form),
        cmocka_unit_test(the_plain_form_is_the_stored_one_without_the_number),
        cmocka_unit_test(a_disk_of_holes_has_no_top),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(values_that_no_disk_has_are_refused),
        cmocka_unit_test(the_largest_and_the_smallest_disk_are_fine),
        cmocka_unit_test(another_height_is_refused),
        cmocka_unit_test(bytes_that_shall_be_zero_are_looked_at),
        cmocka_unit_test(the_id_covers_all_but_the_number),
        cmocka_unit_test(a_files_root_survives_its_stored_form),
        cmocka_unit_test(a_file_of_no_bytes_has_no_blocks_and_no_top),
        cmocka_unit_test(values_that_no_file_has_are_refused),
        cmocka_unit_test(a_file_and_a_disk_have_different_ids),
    };

    return cmocka_run_group_tests_name("disk_root", tests, NULL, NULL);
}
