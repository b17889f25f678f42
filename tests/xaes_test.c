#include "format/xaes.h"

#include <string.h>

#include <openssl/evp.h>
#include <uv.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

static struct xaes_key *key_of(const uint8_t bytes[XAES_KEY_SIZE])
{
    struct xaes_key *key = NULL;
    struct error err = {0};

    ASSERT_OK(xaes_key_new(bytes, &key, &err), &err);
    return key;
}

static struct xaes_key *key_of_byte(uint8_t byte)
{
    uint8_t bytes[XAES_KEY_SIZE];

    memset(bytes, byte, sizeof(bytes));
    return key_of(bytes);
}

static const uint8_t *letters(void)
{
    return (const uint8_t *)"ABCDEFGHIJKLMNOPQRSTUVWX";
}

static void assert_vector(uint8_t key_byte, const char *associated, const char *expected)
{
    struct xaes_key *key = key_of_byte(key_byte);
    uint8_t sealed[12 + XAES_TAG_SIZE];
    uint8_t opened[12];
    char text[2 * sizeof(sealed) + 1];
    struct error err = {0};

    ASSERT_OK(xaes_seal(key, letters(), slice_of_text(associated), slice_of_text("XAES-256-GCM"),
                        sealed, &err),
              &err);
    text_hex(slice_of(sealed, sizeof(sealed)), text);
    assert_string_equal(text, expected);
    ASSERT_OK(xaes_open(key, letters(), slice_of_text(associated), slice_of(sealed, sizeof(sealed)),
                        opened, &err),
              &err);
    assert_memory_equal(opened, "XAES-256-GCM", sizeof(opened));
    xaes_key_free(key);
}

/* C2SP, xaes-256-gcm.md, test vectors: the key's two CMACs have the top bit clear and set. */
static void the_specification_s_vectors_are_met(void **state)
{
    (void)state;
    assert_vector(1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    assert_vector(3, "c2sp.org/XAES-256-GCM",
                  "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

/* The bytes of SHAKE128 of nothing, one behind the other. */
struct stream {
    uint8_t *bytes;
    size_t at;
};

static const uint8_t *take(struct stream *stream, size_t size)
{
    stream->at += size;
    return stream->bytes + stream->at - size;
}

/* C2SP, xaes-256-gcm.md, "accumulated randomized tests", 10,000 iterations: key, nonce, length byte, plain text, length
 * byte, associated data are read from SHAKE128 of nothing; SHAKE128 of all sealed texts is the answer. */
static void the_specification_s_accumulated_vector_is_met(void **state)
{
    enum { ITERATIONS = 10000, LONGEST = XAES_KEY_SIZE + XAES_NONCE_SIZE + 2 * 256 };
    struct stream stream = {.bytes = memory_new(ITERATIONS, LONGEST)};
    EVP_MD_CTX *source = EVP_MD_CTX_new();
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    uint8_t sealed[255 + XAES_TAG_SIZE];
    uint8_t digest[32];
    char text[2 * sizeof(digest) + 1];
    struct error err = {0};

    (void)state;
    assert_non_null(stream.bytes);
    assert_int_equal(EVP_DigestInit_ex(source, EVP_shake128(), NULL), 1);
    assert_int_equal(EVP_DigestFinalXOF(source, stream.bytes, (size_t)ITERATIONS * LONGEST), 1);
    assert_int_equal(EVP_DigestInit_ex(sum, EVP_shake128(), NULL), 1);
    for (unsigned i = 0; i < ITERATIONS; i++) {
        struct xaes_key *key = key_of(take(&stream, XAES_KEY_SIZE));
        const uint8_t *nonce = take(&stream, XAES_NONCE_SIZE);
        size_t size = *take(&stream, 1);
        struct slice plain = slice_of(take(&stream, size), size);
        size_t associated_size = *take(&stream, 1);
        struct slice associated = slice_of(take(&stream, associated_size), associated_size);

        ASSERT_OK(xaes_seal(key, nonce, associated, plain, sealed, &err), &err);
        assert_int_equal(EVP_DigestUpdate(sum, sealed, plain.size + XAES_TAG_SIZE), 1);
        xaes_key_free(key);
    }
    assert_int_equal(EVP_DigestFinalXOF(sum, digest, sizeof(digest)), 1);
    text_hex(slice_of(digest, sizeof(digest)), text);
    assert_string_equal(text, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    EVP_MD_CTX_free(source);
    EVP_MD_CTX_free(sum);
    memory_free(stream.bytes);
}

enum { PLAIN_SIZE = 40, SEALED_SIZE = PLAIN_SIZE + XAES_TAG_SIZE };

struct example {
    uint8_t nonce[XAES_NONCE_SIZE];
    uint8_t associated[10];
    uint8_t plain[PLAIN_SIZE];
    uint8_t sealed[SEALED_SIZE];
};

static void seal_example(const struct xaes_key *key, struct example *example)
{
    struct error err = {0};

    memset(example, 0x5a, sizeof(*example));
    ASSERT_OK(xaes_seal(key, example->nonce,
                        slice_of(example->associated, sizeof(example->associated)),
                        slice_of(example->plain, PLAIN_SIZE), example->sealed, &err),
              &err);
}

/* The status of opening; the text is EXAMPLE's where that is OK, zeros where it is CORRUPT. */
static enum status open_example(const struct xaes_key *key, const struct example *example)
{
    static const uint8_t zeros[PLAIN_SIZE];
    uint8_t opened[PLAIN_SIZE];
    struct error err = {0};

    memset(opened, 0xee, sizeof(opened));

    enum status st =
        xaes_open(key, example->nonce, slice_of(example->associated, sizeof(example->associated)),
                  slice_of(example->sealed, SEALED_SIZE), opened, &err);

    assert_memory_equal(opened, st == STATUS_OK ? example->plain : zeros, PLAIN_SIZE);
    return st;
}

static void a_changed_bit_anywhere_does_not_open(void **state)
{
    struct xaes_key *key = key_of_byte(7);
    struct example example;

    (void)state;
    seal_example(key, &example);
    assert_int_equal(open_example(key, &example), STATUS_OK);
    for (size_t i = 0; i < sizeof(example); i++) {
        uint8_t *bytes = (uint8_t *)&example;

        if (bytes + i >= example.plain && bytes + i < example.sealed)
            continue; /* what is compared with */
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1U << bit);
            assert_int_equal(open_example(key, &example), STATUS_CORRUPT);
            bytes[i] ^= (uint8_t)(1U << bit);
        }
    }
    assert_int_equal(open_example(key, &example), STATUS_OK);
    xaes_key_free(key);
}

static void another_key_does_not_open(void **state)
{
    struct xaes_key *key = key_of_byte(7);
    struct xaes_key *other = key_of_byte(8);
    struct example example;

    (void)state;
    seal_example(key, &example);
    assert_int_equal(open_example(other, &example), STATUS_CORRUPT);
    xaes_key_free(key);
    xaes_key_free(other);
}

static void less_than_a_tag_does_not_open(void **state)
{
    struct xaes_key *key = key_of_byte(7);
    struct example example;
    struct error err = {0};

    (void)state;
    seal_example(key, &example);
    for (size_t size = 0; size < XAES_TAG_SIZE; size++)
        ASSERT_STATUS(STATUS_CORRUPT,
                      xaes_open(key, example.nonce, slice_of(NULL, 0),
                                slice_of(example.sealed, size), example.plain, &err),
                      &err);
    xaes_key_free(key);
}

/* All sizes about the block's, each in place and beside. */
static void what_is_sealed_opens_in_place_and_beside(void **state)
{
    uint64_t seed = test_seed("xaes");
    struct random_seeded random = random_seeded_of(seed);
    struct xaes_key *key = key_of_byte(7);
    uint8_t plain[70];
    uint8_t beside[sizeof(plain) + XAES_TAG_SIZE];
    uint8_t place[sizeof(plain) + XAES_TAG_SIZE];
    uint8_t nonce[XAES_NONCE_SIZE];
    struct error err = {0};

    (void)state;
    for (size_t size = 0; size <= sizeof(plain); size++) {
        struct slice associated = slice_of(plain, size % 5);

        ASSERT_OK(random_bytes(&random.source, plain, sizeof(plain), &err), &err);
        ASSERT_OK(random_bytes(&random.source, nonce, sizeof(nonce), &err), &err);
        memcpy(place, plain, size);
        ASSERT_OK(xaes_seal(key, nonce, associated, slice_of(plain, size), beside, &err), &err);
        ASSERT_OK(xaes_seal(key, nonce, associated, slice_of(place, size), place, &err), &err);
        assert_memory_equal(beside, place, size + XAES_TAG_SIZE);
        ASSERT_OK(xaes_open(key, nonce, associated, slice_of(place, size + XAES_TAG_SIZE), place,
                            &err),
                  &err);
        if (size > 0)
            assert_memory_equal(place, plain, size);
    }
    xaes_key_free(key);
}

struct sealing_thread {
    const struct xaes_key *key;
    unsigned wrong;
};

static void seal_many(void *arg)
{
    struct sealing_thread *thread = arg;
    uint8_t sealed[12 + XAES_TAG_SIZE];
    uint8_t opened[12];
    struct error err = {0};

    for (unsigned i = 0; i < 500; i++)
        if (xaes_seal(thread->key, letters(), slice_of(NULL, 0), slice_of_text("XAES-256-GCM"),
                      sealed, &err) != STATUS_OK ||
            xaes_open(thread->key, letters(), slice_of(NULL, 0), slice_of(sealed, sizeof(sealed)),
                      opened, &err) != STATUS_OK ||
            sealed[0] != 0xce || opened[0] != 'X')
            thread->wrong++;
}

static void threads_share_one_key(void **state)
{
    struct sealing_thread threads[4] = {{0}};
    uv_thread_t ids[4];
    struct xaes_key *key = key_of_byte(1);

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        threads[i].key = key;
        assert_int_equal(uv_thread_create(&ids[i], seal_many, &threads[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(uv_thread_join(&ids[i]), 0);
        assert_int_equal(threads[i].wrong, 0);
    }
    xaes_key_free(key);
}

static void no_memory_for_a_key_is_said(void **state)
{
    static const uint8_t bytes[XAES_KEY_SIZE];
    struct faults *faults = faults_new();
    struct xaes_key *key = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    faults_arm(faults, FAULT_ALLOC, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, xaes_key_new(bytes, &key, &err), &err);
    assert_null(key);
    faults_install(NULL);
    faults_free(faults);
    xaes_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_specification_s_vectors_are_met),
        cmocka_unit_test(the_specification_s_accumulated_vector_is_met),
        cmocka_unit_test(a_changed_bit_anywhere_does_not_open),
        cmocka_unit_test(another_key_does_not_open),
        cmocka_unit_test(less_than_a_tag_does_not_open),
        cmocka_unit_test(what_is_sealed_opens_in_place_and_beside),
        cmocka_unit_test(threads_share_one_key),
        cmocka_unit_test(no_memory_for_a_key_is_said),
    };

    return cmocka_run_group_tests_name("xaes", tests, NULL, NULL);
}
