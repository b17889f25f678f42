#include "format/record.h"

#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "format/le.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { TOO_LARGE = RECORD_PLAIN_MAX + 1 };

/* What a test seals and opens with. */
struct world {
    struct random_seeded random;
    struct keys *keys;
    struct codec_context *codec;
    struct buffer record; /* the last one sealed */
};

static struct keys *keys_of_byte(uint8_t byte)
{
    struct repository_key key;
    struct keys *keys = NULL;
    struct error err = {0};

    memset(&key, byte, sizeof(key));
    ASSERT_OK(keys_new(&key, &keys, &err), &err);
    return keys;
}

static struct world new_world(void)
{
    struct world world = {.random = random_seeded_of(1)};
    struct error err = {0};

    world.keys = keys_of_byte(1);
    ASSERT_OK(codec_context_new(&world.codec, &err), &err);
    buffer_init(&world.record, RECORD_SIZE_MAX);
    return world;
}

static void free_world(struct world *world)
{
    buffer_deinit(&world->record);
    codec_context_free(world->codec);
    keys_free(world->keys);
}

static struct record_header example(uint8_t kind)
{
    struct record_header header = {.kind = kind};

    memset(header.domain.bytes, 0xd0, RANDOM_ID_SIZE);
    if (kind != KIND_PACK_INDEX) {
        header.number = number_of(3, 4);
        memset(header.id.bytes, 0x1d, ID_SIZE);
    }
    return header;
}

static const char shrinks[] =
    "abababababababababababababababababababababababababababababababababab";

/* PLAIN as a record like WHAT, packed as the codec likes. */
static void seal(struct world *world, const struct record_header *what, struct slice plain)
{
    struct record_header header = *what;
    enum codec codec = CODEC_PLAIN;
    struct buffer packed;
    struct error err = {0};

    buffer_init(&packed, RECORD_PLAIN_MAX);
    ASSERT_OK(codec_compress(world->codec, plain, &packed, &codec, &err), &err);
    header.codec = (uint8_t)codec;
    header.plain_length = (uint32_t)plain.size;
    buffer_clear(&world->record);
    ASSERT_OK(record_seal(world->keys, &world->random.source, &header, buffer_slice(&packed),
                          &world->record, &err),
              &err);
    buffer_deinit(&packed);
}

/* Writes right CRCs into a record that was changed on purpose. */
static void repair_sums(struct buffer *record)
{
    le_put_u32(record->data + 96, hash_crc32c(0, slice_of(record->data + RECORD_HEADER_SIZE,
                                                          record->size - RECORD_HEADER_SIZE)));
    le_put_u32(record->data + 100, hash_crc32c(0, slice_of(record->data, 100)));
}

static enum status open_status(const struct world *world, struct slice record)
{
    struct record_header header = {.kind = 99};
    struct buffer stored;
    struct error err = {0};

    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status st = record_open(world->keys, world->codec, record, &header, &stored, &err);

    if (st != STATUS_OK) {
        assert_int_equal(header.kind, 99);
        assert_int_equal(stored.size, 0);
    }
    buffer_deinit(&stored);
    return st;
}

static void assert_opens(struct world *world, uint8_t kind, struct slice plain)
{
    struct record_header what = example(kind);
    struct record_header header;
    struct buffer stored;
    struct error err = {0};

    buffer_init(&stored, RECORD_PLAIN_MAX);
    buffer_put(&stored, slice_of_text("left from before"));
    seal(world, &what, plain);
    ASSERT_OK(record_open(world->keys, world->codec, buffer_slice(&world->record), &header, &stored,
                          &err),
              &err);
    assert_true(slice_equal(buffer_slice(&stored), plain));
    assert_int_equal(header.kind, kind);
    assert_true(header.number == what.number);
    assert_true(id_equal(&header.id, &what.id));
    assert_true(random_id_equal(&header.domain, &what.domain));
    assert_int_equal(header.plain_length, plain.size);
    assert_int_equal(record_size(&header), world->record.size);
    buffer_deinit(&stored);
}

static void each_kind_opens_to_what_was_sealed(void **state)
{
    struct world world = new_world();

    (void)state;
    for (unsigned kind = 0; kind <= 255; kind++)
        if (kind_known((uint8_t)kind)) {
            assert_opens(&world, (uint8_t)kind, slice_of_text("x"));
            assert_opens(&world, (uint8_t)kind, slice_of_text(shrinks));
        }
    free_world(&world);
}

static void the_largest_record_opens(void **state)
{
    struct world world = new_world();
    struct buffer plain;
    struct error err = {0};

    (void)state;
    buffer_init(&plain, RECORD_PLAIN_MAX);
    ASSERT_OK(random_bytes(&world.random.source, buffer_extend(&plain, RECORD_PLAIN_MAX),
                           RECORD_PLAIN_MAX, &err),
              &err);
    assert_opens(&world, KIND_BLOCK, buffer_slice(&plain));
    assert_int_equal(world.record.size, RECORD_SIZE_MAX);
    memset(plain.data, 7, plain.size);
    assert_opens(&world, KIND_BLOCK, buffer_slice(&plain));
    buffer_deinit(&plain);
    free_world(&world);
}

static void content_stays_closed_to_the_structure_key(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BODY);

    (void)state;
    seal(&world, &what, slice_of_text(shrinks));
    world.record.data[5] = KIND_ENVELOPE; /* which the structure key opens */
    repair_sums(&world.record);
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_CORRUPT);
    free_world(&world);
}

static void another_repository_s_keys_do_not_open(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct keys *right = world.keys;
    struct keys *other = keys_of_byte(2);

    (void)state;
    seal(&world, &what, slice_of_text(shrinks));
    world.keys = other;
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_CORRUPT);
    world.keys = right;
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_OK);
    keys_free(other);
    free_world(&world);
}

static void two_records_of_the_same_have_other_nonces(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct record_header headers[2];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        seal(&world, &what, slice_of_text("x"));
        ASSERT_OK(record_check(buffer_slice(&world.record), &headers[i], &err), &err);
    }
    assert_memory_not_equal(headers[0].nonce, headers[1].nonce, XAES_NONCE_SIZE);
    free_world(&world);
}

/* By the CRCs alone, so also without a key. */
static void any_changed_bit_is_damage(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct record_header header;
    struct error err = {0};

    (void)state;
    seal(&world, &what, slice_of_text(shrinks));
    ASSERT_OK(record_check(buffer_slice(&world.record), &header, &err), &err);
    for (size_t i = 0; i < 8 * world.record.size; i++) {
        world.record.data[i / 8] ^= (uint8_t)(1U << i % 8);
        ASSERT_STATUS(STATUS_CORRUPT, record_check(buffer_slice(&world.record), &header, &err),
                      &err);
        world.record.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t size = 0; size < world.record.size; size++)
        ASSERT_STATUS(STATUS_CORRUPT,
                      record_check(slice_of(world.record.data, size), &header, &err), &err);
    buffer_put_u8(&world.record, 0);
    ASSERT_STATUS(STATUS_CORRUPT, record_check(buffer_slice(&world.record), &header, &err), &err);
    repair_sums(&world.record); /* of all that is there: one byte too many */
    ASSERT_STATUS(STATUS_CORRUPT, record_check(buffer_slice(&world.record), &header, &err), &err);
    free_world(&world);
}

/* Whoever changes a record can make its CRCs right: the seal covers all but these. */
static void any_forged_bit_does_not_open(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);

    (void)state;
    seal(&world, &what, slice_of_text(shrinks));
    for (size_t i = 0; i < 8 * world.record.size; i++) {
        if (i / 8 >= 96 && i / 8 < RECORD_HEADER_SIZE)
            continue;
        world.record.data[i / 8] ^= (uint8_t)(1U << i % 8);
        repair_sums(&world.record);

        enum status st = open_status(&world, buffer_slice(&world.record));

        assert_int_equal(st, i / 8 == 4 ? STATUS_UNSUPPORTED : STATUS_CORRUPT);
        world.record.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    repair_sums(&world.record);
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_OK);
    free_world(&world);
}

/* Of a plain record of 4 bytes, SIZE bytes at AT are VALUE; the sums are right. */
static enum status decode_with(size_t at, uint64_t value, size_t size)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct record_header header;
    struct error err = {0};

    seal(&world, &what, slice_of_text("four"));
    le_put(world.record.data + at, value, size);
    repair_sums(&world.record);

    enum status st = record_decode_header(buffer_slice(&world.record), &header, &err);

    free_world(&world);
    return st;
}

/* Bytes packed by zstd whose header has these lengths. */
static enum status decode_zstd(uint32_t plain_length, uint32_t stored_length)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct record_header header;
    struct error err = {0};

    what.codec = CODEC_ZSTD;
    what.plain_length = 4;
    ASSERT_OK(record_seal(world.keys, &world.random.source, &what, slice_of_text("abc"),
                          &world.record, &err),
              &err);
    le_put_u32(world.record.data + 64, plain_length);
    le_put_u32(world.record.data + 68, stored_length);
    repair_sums(&world.record);

    enum status st = record_decode_header(buffer_slice(&world.record), &header, &err);

    free_world(&world);
    return st;
}

static void a_sound_header_with_wrong_values_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with(4, 0, 1), STATUS_OK);
    assert_int_equal(decode_with(0, 't', 1), STATUS_CORRUPT);
    assert_int_equal(decode_with(4, 1, 1), STATUS_UNSUPPORTED);
    assert_int_equal(decode_with(5, 0, 1), STATUS_CORRUPT);
    assert_int_equal(decode_with(5, KIND_NODE, 1), STATUS_CORRUPT);
    assert_int_equal(decode_with(5, KIND_PACK_INDEX, 1), STATUS_CORRUPT); /* it has a number */
    assert_int_equal(decode_with(6, 2, 1), STATUS_CORRUPT);
    assert_int_equal(decode_with(7, 1, 1), STATUS_CORRUPT);
    assert_int_equal(decode_with(24, 0, 8), STATUS_CORRUPT);
    assert_int_equal(decode_with(64, 0, 4), STATUS_CORRUPT);
    assert_int_equal(decode_with(64, 5, 4), STATUS_CORRUPT);
    assert_int_equal(decode_with(68, 0, 4), STATUS_CORRUPT);
    assert_int_equal(decode_with(68, XAES_TAG_SIZE - 1, 4), STATUS_CORRUPT);
    assert_int_equal(decode_with(68, XAES_TAG_SIZE, 4), STATUS_CORRUPT);
    assert_int_equal(decode_with(68, UINT32_MAX, 4), STATUS_CORRUPT);
    /* Too long, though the lengths fit each other. */
    assert_int_equal(decode_with(64,
                                 (RECORD_PLAIN_MAX + UINT64_C(1)) |
                                     (RECORD_STORED_MAX + UINT64_C(1)) << 32,
                                 8),
                     STATUS_CORRUPT);
    assert_int_equal(decode_with(64, (uint64_t)RECORD_PLAIN_MAX | (uint64_t)RECORD_STORED_MAX << 32,
                                 8),
                     STATUS_OK);
    /* zstd, and nothing saved; then lengths that can be, and that cannot. */
    assert_int_equal(decode_with(6, CODEC_ZSTD, 1), STATUS_CORRUPT);
    assert_int_equal(decode_zstd(4, XAES_TAG_SIZE + 3), STATUS_OK);
    assert_int_equal(decode_zstd(RECORD_PLAIN_MAX, XAES_TAG_SIZE + 3), STATUS_OK);
    assert_int_equal(decode_zstd(TOO_LARGE, XAES_TAG_SIZE + 3), STATUS_CORRUPT);
    assert_int_equal(decode_zstd(4, XAES_TAG_SIZE), STATUS_CORRUPT);
}

static enum status seal_status(const struct record_header *what, struct slice packed)
{
    struct world world = new_world();
    struct error err = {0};

    buffer_put_u8(&world.record, 0xaa);

    enum status st =
        record_seal(world.keys, &world.random.source, what, packed, &world.record, &err);

    assert_int_equal(world.record.size == 1, st != STATUS_OK);
    free_world(&world);
    return st;
}

static void what_could_not_be_read_is_not_written(void **state)
{
    struct record_header what = example(KIND_BLOCK);
    struct buffer large;

    (void)state;
    what.plain_length = 4;
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_OK);
    assert_int_equal(seal_status(&what, slice_of_text("five!")), STATUS_INVALID);
    assert_int_equal(seal_status(&what, slice_of_text("")), STATUS_INVALID);
    what.number = 0;
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_INVALID);
    what = example(KIND_BLOCK);
    what.plain_length = 4;
    what.id = (struct id){{0}};
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_INVALID);
    what = example(KIND_PACK_INDEX);
    what.plain_length = 4;
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_OK);
    memset(what.domain.bytes, 0, RANDOM_ID_SIZE); /* of no pack */
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_INVALID);
    what = example(KIND_PACK_INDEX);
    what.plain_length = 4;
    what.id.bytes[31] = 1;
    assert_int_equal(seal_status(&what, slice_of_text("four")), STATUS_INVALID);
    buffer_init(&large, TOO_LARGE);
    assert_non_null(buffer_extend(&large, TOO_LARGE));
    what = example(KIND_BLOCK);
    what.plain_length = TOO_LARGE;
    memset(large.data, 0, large.size);
    assert_int_equal(seal_status(&what, buffer_slice(&large)), STATUS_INVALID);
    buffer_deinit(&large);
}

/* The payload opens, but is not what its header says: only who has the key can make such a one. */
static void a_payload_that_does_not_unpack_is_refused(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct error err = {0};

    (void)state;
    what.codec = CODEC_ZSTD;
    what.plain_length = 100;
    ASSERT_OK(record_seal(world.keys, &world.random.source, &what, slice_of_text("no frame"),
                          &world.record, &err),
              &err);
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_CORRUPT);
    free_world(&world);
}

static void unsealing_leaves_the_payload_packed(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct record_header header;
    uint8_t plain[sizeof(shrinks) - 1];
    struct buffer packed;
    struct error err = {0};

    (void)state;
    buffer_init(&packed, RECORD_PLAIN_MAX);
    seal(&world, &what, slice_of_text(shrinks));
    ASSERT_OK(record_unseal(world.keys, buffer_slice(&world.record), &header, &packed, &err), &err);
    assert_int_equal(header.codec, CODEC_ZSTD);
    assert_true(packed.size < sizeof(plain));
    ASSERT_OK(codec_decompress(world.codec, header.codec, buffer_slice(&packed), plain,
                               sizeof(plain), &err),
              &err);
    assert_memory_equal(plain, shrinks, sizeof(plain));
    /* What is sealed again from there opens too: as it came over the wire, packed. */
    buffer_clear(&world.record);
    ASSERT_OK(record_seal(world.keys, &world.random.source, &header, buffer_slice(&packed),
                          &world.record, &err),
              &err);
    assert_int_equal(open_status(&world, buffer_slice(&world.record)), STATUS_OK);
    buffer_deinit(&packed);
    free_world(&world);
}

/* ---- Stepping over damage ---- */

static size_t find(struct slice bytes, size_t offset)
{
    size_t found = SIZE_MAX;
    struct error err = {0};
    enum status st = record_find(bytes, offset, &found, &err);

    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
    assert_int_equal(st == STATUS_OK, found != SIZE_MAX);
    return found;
}

static void the_next_sound_record_is_found_behind_damage(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct buffer bytes;

    (void)state;
    seal(&world, &what, slice_of_text(shrinks));

    size_t size = world.record.size;

    buffer_init(&bytes, 4096);
    buffer_put(&bytes, slice_of_text("TTMTMrTMrcTMrc"));

    size_t first = bytes.size;
    size_t second = first + size;

    buffer_put(&bytes, buffer_slice(&world.record));
    buffer_put(&bytes, buffer_slice(&world.record));
    assert_int_equal(find(buffer_slice(&bytes), 0), first);
    assert_int_equal(find(buffer_slice(&bytes), first), first);
    assert_int_equal(find(buffer_slice(&bytes), first + 1), second);
    assert_int_equal(find(buffer_slice(&bytes), second + 1), SIZE_MAX);
    assert_int_equal(find(buffer_slice(&bytes), bytes.size + 10), SIZE_MAX);
    /* A header that is just there, and one that is just not. */
    assert_int_equal(find(slice_of(bytes.data, second + RECORD_HEADER_SIZE), first + 1), second);
    assert_int_equal(find(slice_of(bytes.data, second + RECORD_HEADER_SIZE - 1), first + 1),
                     SIZE_MAX);
    bytes.data[first + 50] ^= 1;
    assert_int_equal(find(buffer_slice(&bytes), 0), second);
    assert_int_equal(find(slice_of(NULL, 0), 0), SIZE_MAX);
    buffer_deinit(&bytes);
    free_world(&world);
}

/* Else a newer program's pack would look like damage from end to end. */
static void a_record_of_a_later_version_is_found_too(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);

    (void)state;
    seal(&world, &what, slice_of_text("x"));
    world.record.data[4] = 1;
    repair_sums(&world.record);
    assert_int_equal(find(buffer_slice(&world.record), 0), 0);
    free_world(&world);
}

/* ---- No memory ---- */

struct attempt {
    struct faults *faults;
    struct world *world;
    struct slice record;
};

static void seal_and_open(void *arg, uint64_t n)
{
    struct attempt *attempt = arg;
    struct world *world = attempt->world;
    struct record_header what = example(KIND_BLOCK);
    struct record_header header = {.kind = 99};
    struct buffer record;
    struct buffer stored;
    struct error err = {0};

    (void)n;
    buffer_init(&record, RECORD_SIZE_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    what.plain_length = 4;

    enum status st = record_seal(world->keys, &world->random.source, &what, slice_of_text("four"),
                                 &record, &err);

    if (st == STATUS_OK)
        st = record_open(world->keys, world->codec, attempt->record, &header, &stored, &err);
    faults_arm(attempt->faults, 0, 0);
    assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
    assert_int_equal(st == STATUS_OK, header.kind == KIND_BLOCK);
    assert_int_equal(stored.size, st == STATUS_OK ? strlen(shrinks) : 0);
    buffer_deinit(&record);
    buffer_deinit(&stored);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    struct world world = new_world();
    struct record_header what = example(KIND_BLOCK);
    struct attempt attempt = {.faults = faults_new(), .world = &world};

    (void)state;
    assert_non_null(attempt.faults);
    seal(&world, &what, slice_of_text(shrinks));
    attempt.record = buffer_slice(&world.record);
    faults_install(attempt.faults);
    assert_int_equal(fail_each(attempt.faults, FAULT_ALLOC, seal_and_open, &attempt), 3);
    faults_install(NULL);
    faults_free(attempt.faults);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_opens_to_what_was_sealed),
        cmocka_unit_test(the_largest_record_opens),
        cmocka_unit_test(content_stays_closed_to_the_structure_key),
        cmocka_unit_test(another_repository_s_keys_do_not_open),
        cmocka_unit_test(two_records_of_the_same_have_other_nonces),
        cmocka_unit_test(any_changed_bit_is_damage),
        cmocka_unit_test(any_forged_bit_does_not_open),
        cmocka_unit_test(a_sound_header_with_wrong_values_is_refused),
        cmocka_unit_test(what_could_not_be_read_is_not_written),
        cmocka_unit_test(a_payload_that_does_not_unpack_is_refused),
        cmocka_unit_test(unsealing_leaves_the_payload_packed),
        cmocka_unit_test(the_next_sound_record_is_found_behind_damage),
        cmocka_unit_test(a_record_of_a_later_version_is_found_too),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
