#include "format/codec.h"

#include <string.h>

#include <zstd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { BLOCK_SIZE = 65536, PACKED_MAX = 2 * BLOCK_SIZE };

static struct codec_context *new_context(void)
{
    struct codec_context *context = NULL;
    struct error err = {0};

    ASSERT_OK(codec_context_new(&context, &err), &err);
    return context;
}

/* Packs PLAIN behind what is in TARGET. */
static enum codec pack(struct codec_context *context, struct slice plain, struct buffer *target)
{
    enum codec codec = CODEC_PLAIN;
    struct error err = {0};

    ASSERT_OK(codec_compress(context, plain, target, &codec, &err), &err);
    return codec;
}

/* Unpacks PACKED to a block of exactly SIZE bytes (AddressSanitizer watches its end), which is the caller's. */
static enum status unpack(struct codec_context *context, uint8_t codec, struct slice packed,
                          size_t size, uint8_t **ret_plain)
{
    uint8_t *plain = memory_new(size, 1);
    struct error err = {0};

    assert_non_null(plain);

    enum status st = codec_decompress(context, codec, packed, plain, size, &err);

    if (ret_plain != NULL)
        *ret_plain = plain;
    else
        memory_free(plain);
    return st;
}

/* NOISE random bytes, then zeros. */
static void fill(struct random_seeded *random, uint8_t *bytes, size_t size, size_t noise)
{
    struct error err = {0};

    memset(bytes, 0, size);
    ASSERT_OK(random_bytes(&random->source, bytes, noise, &err), &err);
}

static void what_is_packed_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 100, 4096, 5120, BLOCK_SIZE};
    struct random_seeded random = random_seeded_of(test_seed("codec"));
    struct codec_context *context = new_context();
    uint8_t *plain = memory_new(BLOCK_SIZE, 1);
    struct buffer packed;

    (void)state;
    assert_non_null(plain);
    buffer_init(&packed, PACKED_MAX);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t quarter = 0; quarter <= 4; quarter++) {
            uint8_t *back = NULL;

            fill(&random, plain, sizes[i], sizes[i] * quarter / 4);
            buffer_clear(&packed);
            buffer_put_u8(&packed, 0xaa); /* what is there stays */

            enum codec codec = pack(context, slice_of(plain, sizes[i]), &packed);
            struct slice bytes = slice_of(packed.data + 1, packed.size - 1);

            assert_int_equal(packed.data[0], 0xaa);
            assert_int_equal(unpack(context, (uint8_t)codec, bytes, sizes[i], &back), STATUS_OK);
            if (sizes[i] > 0)
                assert_memory_equal(back, plain, sizes[i]);
            memory_free(back);
        }
    buffer_deinit(&packed);
    memory_free(plain);
    codec_context_free(context);
}

/* 65,536 bytes of which all but N are random: zstd saves about N. */
static void zstd_is_chosen_where_it_saves_a_sixteenth(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("codec"));
    struct codec_context *context = new_context();
    uint8_t *plain = memory_new(BLOCK_SIZE, 1);
    struct buffer packed;

    (void)state;
    assert_non_null(plain);
    buffer_init(&packed, BLOCK_SIZE); /* never more than the plain bytes */
    fill(&random, plain, BLOCK_SIZE, BLOCK_SIZE);
    assert_int_equal(pack(context, slice_of(plain, BLOCK_SIZE), &packed), CODEC_PLAIN);
    assert_true(slice_equal(buffer_slice(&packed), slice_of(plain, BLOCK_SIZE)));
    buffer_clear(&packed);
    fill(&random, plain, BLOCK_SIZE, BLOCK_SIZE - 3900);
    assert_int_equal(pack(context, slice_of(plain, BLOCK_SIZE), &packed), CODEC_PLAIN);
    assert_true(slice_equal(buffer_slice(&packed), slice_of(plain, BLOCK_SIZE)));
    buffer_clear(&packed);
    fill(&random, plain, BLOCK_SIZE, BLOCK_SIZE - 4300);
    assert_int_equal(pack(context, slice_of(plain, BLOCK_SIZE), &packed), CODEC_ZSTD);
    assert_true(packed.size <= BLOCK_SIZE - BLOCK_SIZE / 16);
    buffer_clear(&packed);
    fill(&random, plain, BLOCK_SIZE, 0);
    assert_int_equal(pack(context, slice_of(plain, BLOCK_SIZE), &packed), CODEC_ZSTD);
    assert_true(packed.size < 100);
    buffer_deinit(&packed);
    memory_free(plain);
    codec_context_free(context);
}

static void a_full_buffer_is_said_and_stays_as_it_was(void **state)
{
    struct codec_context *context = new_context();
    enum codec codec = CODEC_ZSTD;
    struct buffer packed;
    struct error err = {0};

    (void)state;
    buffer_init(&packed, 10);
    buffer_put_u8(&packed, 0xaa);
    ASSERT_STATUS(STATUS_EXHAUSTED,
                  codec_compress(context, slice_of_text("ten bytes!"), &packed, &codec, &err),
                  &err);
    assert_int_equal(packed.size, 1);
    assert_int_equal(codec, CODEC_ZSTD);
    buffer_deinit(&packed);
    codec_context_free(context);
}

/* A frame of 4,096 bytes that repeat, as the codec packs it. */
static void pack_rising(struct codec_context *context, struct buffer *packed)
{
    uint8_t plain[4096];

    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)i;
    buffer_init(packed, sizeof(plain));
    assert_int_equal(pack(context, slice_of(plain, sizeof(plain)), packed), CODEC_ZSTD);
}

static void another_length_is_refused(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4097, 8192};
    struct codec_context *context = new_context();
    struct buffer packed;

    (void)state;
    pack_rising(context, &packed);
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&packed), 4096, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&packed), sizes[i], NULL),
                         STATUS_CORRUPT);
    assert_int_equal(unpack(context, CODEC_PLAIN, slice_of_text("abc"), 2, NULL), STATUS_CORRUPT);
    assert_int_equal(unpack(context, CODEC_PLAIN, slice_of_text("abc"), 4, NULL), STATUS_CORRUPT);
    buffer_deinit(&packed);
    codec_context_free(context);
}

static void a_cut_or_longer_frame_is_refused(void **state)
{
    struct codec_context *context = new_context();
    struct buffer packed;

    (void)state;
    pack_rising(context, &packed);
    for (size_t size = 0; size < packed.size; size++)
        assert_int_equal(unpack(context, CODEC_ZSTD, slice_of(packed.data, size), 4096, NULL),
                         STATUS_CORRUPT);
    buffer_put_u8(&packed, 0);
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&packed), 4096, NULL),
                     STATUS_CORRUPT);
    buffer_deinit(&packed);
    codec_context_free(context);
}

/* What zstd itself would join to one text. */
static void two_frames_are_refused(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    struct codec_context *context = new_context();
    struct buffer packed;
    struct buffer two;

    (void)state;
    pack_rising(context, &packed);
    buffer_init(&two, 8192);
    buffer_put(&two, buffer_slice(&packed));
    buffer_put(&two, buffer_slice(&packed));
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&two), 8192, NULL), STATUS_CORRUPT);
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&two), 4096, NULL), STATUS_CORRUPT);
    buffer_clear(&two);
    buffer_put(&two, slice_of(skippable, sizeof(skippable)));
    buffer_put(&two, buffer_slice(&packed));
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&two), 4096, NULL), STATUS_CORRUPT);
    buffer_clear(&two);
    buffer_put(&two, buffer_slice(&packed));
    buffer_put(&two, slice_of(skippable, sizeof(skippable)));
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&two), 4096, NULL), STATUS_CORRUPT);
    buffer_deinit(&two);
    buffer_deinit(&packed);
    codec_context_free(context);
}

/* A frame of 4,096 zeros made with PARAMETER set to VALUE; its status. */
static enum status unpack_made_with(struct codec_context *context, ZSTD_cParameter parameter,
                                    int value)
{
    static const uint8_t plain[4096];
    uint8_t frame[256];
    ZSTD_CCtx *packer = ZSTD_createCCtx();

    assert_non_null(packer);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(packer, parameter, value)));

    size_t size = ZSTD_compress2(packer, frame, sizeof(frame), plain, sizeof(plain));

    assert_false(ZSTD_isError(size));
    ZSTD_freeCCtx(packer);
    return unpack(context, CODEC_ZSTD, slice_of(frame, size), sizeof(plain), NULL);
}

static void a_frame_must_declare_its_size(void **state)
{
    struct codec_context *context = new_context();

    (void)state;
    assert_int_equal(unpack_made_with(context, ZSTD_c_contentSizeFlag, 1), STATUS_OK);
    assert_int_equal(unpack_made_with(context, ZSTD_c_contentSizeFlag, 0), STATUS_CORRUPT);
    /* Its own sum does no harm. */
    assert_int_equal(unpack_made_with(context, ZSTD_c_checksumFlag, 1), STATUS_OK);
    codec_context_free(context);
}

/* RFC 8878, 3.1.1: magic, descriptor, [window], [dictionary], content size, one last block of 4,096 x 0x2a. */
static enum status unpack_by_hand(struct codec_context *context, uint8_t descriptor,
                                  struct slice window_and_dictionary)
{
    static const uint8_t block[] = {0x03, 0x80, 0x00, 0x2a}; /* last, RLE, 4,096 */
    struct buffer frame;

    buffer_init(&frame, 64);
    buffer_put_u32le(&frame, ZSTD_MAGICNUMBER);
    buffer_put_u8(&frame, descriptor | 0x80); /* 4 bytes of content size */
    buffer_put(&frame, window_and_dictionary);
    buffer_put_u32le(&frame, 4096);
    buffer_put(&frame, slice_of(block, sizeof(block)));

    enum status st = unpack(context, CODEC_ZSTD, buffer_slice(&frame), 4096, NULL);

    buffer_deinit(&frame);
    return st;
}

static void a_window_beyond_what_all_readers_have_is_refused(void **state)
{
    static const uint8_t fits = 13 << 3;          /* 8 MiB */
    static const uint8_t too_large = 13 << 3 | 1; /* 9 MiB */
    static const uint8_t huge = 0xff;
    struct codec_context *context = new_context();

    (void)state;
    assert_int_equal(unpack_by_hand(context, 0x20, slice_of(NULL, 0)), STATUS_OK);
    assert_int_equal(unpack_by_hand(context, 0, slice_of(&fits, 1)), STATUS_OK);
    assert_int_equal(unpack_by_hand(context, 0, slice_of(&too_large, 1)), STATUS_CORRUPT);
    assert_int_equal(unpack_by_hand(context, 0, slice_of(&huge, 1)), STATUS_CORRUPT);
    codec_context_free(context);
}

static void a_dictionary_or_reserved_bit_is_refused(void **state)
{
    static const uint8_t dictionary = 0;
    struct codec_context *context = new_context();

    (void)state;
    /* Dictionary 0 means none: zstd takes it, we do not. */
    assert_int_equal(unpack_by_hand(context, 0x21, slice_of(&dictionary, 1)), STATUS_CORRUPT);
    assert_int_equal(unpack_by_hand(context, 0x28, slice_of(NULL, 0)), STATUS_CORRUPT);
    codec_context_free(context);
}

static void any_changed_byte_is_refused_or_stays_in_its_place(void **state)
{
    struct codec_context *context = new_context();
    struct buffer packed;

    (void)state;
    pack_rising(context, &packed);
    for (size_t i = 0; i < 8 * packed.size; i++) {
        packed.data[i / 8] ^= (uint8_t)(1U << i % 8);

        enum status st = unpack(context, CODEC_ZSTD, buffer_slice(&packed), 4096, NULL);

        assert_true(st == STATUS_OK || st == STATUS_CORRUPT);
        packed.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    assert_int_equal(unpack(context, CODEC_ZSTD, buffer_slice(&packed), 4096, NULL), STATUS_OK);
    buffer_deinit(&packed);
    codec_context_free(context);
}

static void an_unknown_codec_is_unsupported(void **state)
{
    struct codec_context *context = new_context();

    (void)state;
    assert_int_equal(unpack(context, 2, slice_of_text("abc"), 3, NULL), STATUS_UNSUPPORTED);
    assert_int_equal(unpack(context, 255, slice_of_text("abc"), 3, NULL), STATUS_UNSUPPORTED);
    codec_context_free(context);
}

static void no_memory_for_a_context_is_said(void **state)
{
    struct faults *faults = faults_new();
    struct codec_context *context = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    faults_arm(faults, FAULT_ALLOC, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, codec_context_new(&context, &err), &err);
    assert_null(context);
    faults_install(NULL);
    faults_free(faults);
    codec_context_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(zstd_is_chosen_where_it_saves_a_sixteenth),
        cmocka_unit_test(a_full_buffer_is_said_and_stays_as_it_was),
        cmocka_unit_test(another_length_is_refused),
        cmocka_unit_test(a_cut_or_longer_frame_is_refused),
        cmocka_unit_test(two_frames_are_refused),
        cmocka_unit_test(a_frame_must_declare_its_size),
        cmocka_unit_test(a_window_beyond_what_all_readers_have_is_refused),
        cmocka_unit_test(a_dictionary_or_reserved_bit_is_refused),
        cmocka_unit_test(any_changed_byte_is_refused_or_stays_in_its_place),
        cmocka_unit_test(an_unknown_codec_is_unsupported),
        cmocka_unit_test(no_memory_for_a_context_is_said),
    };

    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
