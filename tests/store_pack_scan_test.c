/* A scan finds every sound record between whatever else, and its work is bounded whatever lies there. */
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "coordinator/store/pack_scan.h"
#include "format/le.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { SIZE = 2 * 1024 * 1024, CLAIM = 64 * 1024, SMALL = 300 };

/* A file of bytes that counts what is read. */
struct counting {
    struct fs_file file; /* first */
    struct fs fs;
    uint8_t *bytes;
    uint64_t size;
    uint64_t read;
    uint64_t reads;
};

static enum status counting_read(struct fs_file *file, uint64_t offset, void *data, size_t size,
                                 size_t *ret_size, struct error *err)
{
    struct counting *counting = (struct counting *)file;
    uint64_t left = offset < counting->size ? counting->size - offset : 0;

    (void)err; /* cannot fail */
    *ret_size = left < size ? (size_t)left : size;
    memcpy(data, counting->bytes + offset, *ret_size);
    counting->read += *ret_size;
    counting->reads++;
    return STATUS_OK;
}

static const struct fs_ops counting_ops = {.read_at = counting_read};

struct env {
    struct counting counting;
    struct keys *keys;
    struct random_seeded random;
    struct buffer record; /* a sound one of SMALL bytes of payload */
    struct error err;
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    const struct repository_key key = {{1}};
    const struct record_header what = {.kind = KIND_BLOCK,
                                       .number = 1,
                                       .id = {{1}},
                                       .plain_length = SMALL};
    uint8_t bytes[SMALL] = {7};

    assert_non_null(env);
    env->counting.fs.ops = &counting_ops;
    env->counting.file = (struct fs_file){.fs = &env->counting.fs, .path = (char[]){"bytes"}};
    env->counting.bytes = memory_new(SIZE, 1);
    env->counting.size = SIZE;
    assert_non_null(env->counting.bytes);
    env->random = random_seeded_of(3);
    buffer_init(&env->record, RECORD_SIZE_MAX);
    ASSERT_OK(keys_new(&key, &env->keys, &env->err), &env->err);
    ASSERT_OK(record_seal(env->keys, &env->random.source, &what, slice_of(bytes, sizeof(bytes)),
                          &env->record, &env->err),
              &env->err);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    keys_free(env->keys);
    buffer_deinit(&env->record);
    memory_free(env->counting.bytes);
    memory_free(env);
    return 0;
}

static void place_record(struct env *env, uint64_t offset)
{
    memcpy(env->counting.bytes + offset, env->record.data, env->record.size);
}

/* A sound header of a record of LENGTH bytes of payload that is not there. */
static void place_claim(struct env *env, uint64_t offset, uint32_t length)
{
    uint8_t *target = env->counting.bytes + offset;

    memcpy(target, env->record.data, RECORD_HEADER_SIZE);
    le_put_u32(target + 64, length - XAES_TAG_SIZE);
    le_put_u32(target + 68, length);
    le_put_u32(target + 100, hash_crc32c(0, slice_of(target, 100)));
}

/* Scans all of it; how many records there are, the first at *RET_FIRST. */
static unsigned scan_all(struct env *env, uint64_t *ret_first)
{
    struct record_header header;
    struct pack_scan scan;
    struct buffer record;
    uint64_t offset = 0;
    unsigned count = 0;
    enum status st = STATUS_OK;

    env->counting.read = 0;
    env->counting.reads = 0;
    buffer_init(&record, RECORD_SIZE_MAX);
    pack_scan_init(&scan, &env->counting.file, 0, env->counting.size);
    for (;;) {
        st = pack_scan_next(&scan, &offset, &header, &record, &env->err);
        if (st != STATUS_OK)
            break;
        assert_true(slice_equal(buffer_slice(&record), buffer_slice(&env->record)));
        if (count++ == 0)
            *ret_first = offset;
    }
    ASSERT_STATUS(STATUS_NOT_FOUND, st, &env->err);
    pack_scan_deinit(&scan);
    buffer_deinit(&record);
    return count;
}

static void records_between_noise_are_found_wherever_they_lie(void **state)
{
    struct env *env = *state;
    uint64_t first = 0;
    unsigned placed = 0;

    ASSERT_OK(random_bytes(&env->random.source, env->counting.bytes, SIZE, &env->err), &env->err);
    for (uint64_t at = 1001; at + env->record.size <= SIZE; at += 20011, placed++)
        place_record(env, at);
    place_record(env, 1024 * 1024 - 50); /* across two windows */
    assert_int_equal(scan_all(env, &first), placed + 1);
    assert_true(first == 1001);
    assert_true(env->counting.read < (uint64_t)3 * SIZE);
}

static void records_behind_one_another_are_read_once(void **state)
{
    struct env *env = *state;
    uint64_t first = 1;
    unsigned placed = 0;

    for (uint64_t at = 0; at + env->record.size <= SIZE; at += env->record.size, placed++)
        place_record(env, at);
    assert_int_equal(scan_all(env, &first), placed);
    assert_true(first == 0);
    assert_true(env->counting.read < (uint64_t)3 * SIZE / 2);
}

/* A damaged record's length is not believed: what lies in it may be sound. */
static void a_record_within_a_damaged_one_is_found(void **state)
{
    struct env *env = *state;
    const uint64_t within = (uint64_t)500 + RECORD_HEADER_SIZE + 77;
    uint64_t first = 0;

    place_claim(env, 500, CLAIM);
    place_record(env, within);
    place_claim(env, SIZE - RECORD_HEADER_SIZE - 5, CLAIM); /* ends behind the file */
    assert_int_equal(scan_all(env, &first), 1);
    assert_true(first == within);
}

/* The worst that fits: a sound header at every place where one can be, and every one claims much. */
static void headers_that_all_claim_much_cost_each_byte_a_few_reads(void **state)
{
    struct env *env = *state;
    uint64_t first = 0;
    uint64_t claims = 0;

    for (uint64_t at = 0; at + RECORD_HEADER_SIZE + CLAIM <= SIZE; at += RECORD_HEADER_SIZE)
        claims++;
    for (uint64_t i = 0; i < claims; i++)
        place_claim(env, i * RECORD_HEADER_SIZE, CLAIM);
    place_record(env, SIZE - env->record.size);
    assert_int_equal(scan_all(env, &first), 1);
    assert_true(claims > 19000);
    assert_true(env->counting.read < (uint64_t)5 * SIZE);
    assert_true(env->counting.reads < 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_between_noise_are_found_wherever_they_lie),
        TEST(records_behind_one_another_are_read_once),
        TEST(a_record_within_a_damaged_one_is_found),
        TEST(headers_that_all_claim_much_cost_each_byte_a_few_reads),
    };

    return cmocka_run_group_tests_name("store_pack_scan", tests, NULL, NULL);
}
