#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/fault.h"
#include "base/text.h"
#include "tests/support/test.h"

static void assert_digest(const struct hash_digest *digest, const char *expected)
{
    char text[2 * HASH_SHA256_SIZE + 1];

    text_hex(slice_of(digest->bytes, sizeof(digest->bytes)), text);
    assert_string_equal(text, expected);
}

static void sha256_gives_the_known_answers(void **state)
{
    struct hash_digest digest;
    struct error err = {0};

    (void)state;
    /* NIST, "Examples with Intermediate Values", SHA-256; and the empty message. */
    ASSERT_OK(hash_sha256(slice_of_text("abc"), &digest, &err), &err);
    assert_digest(&digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ASSERT_OK(hash_sha256(slice_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                          &digest, &err),
              &err);
    assert_digest(&digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    ASSERT_OK(hash_sha256(slice_of(NULL, 0), &digest, &err), &err);
    assert_digest(&digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* DATA under KEY, in one piece and cut in two at each place. */
static void assert_hmac(struct slice key, struct slice data, const char *expected)
{
    struct hash_digest digest;
    struct hash_key *ready = NULL;
    struct error err = {0};

    ASSERT_OK(hash_key_new(key, &ready, &err), &err);
    for (size_t cut = 0; cut <= data.size; cut++) {
        struct slice parts[] = {slice_of(data.data, cut),
                                slice_of(data.data + cut, data.size - cut)};

        ASSERT_OK(hash_hmac(ready, parts, 2, &digest, &err), &err);
        assert_digest(&digest, expected);
    }
    hash_key_free(ready);
}

/* RFC 4231, sections 4.2, 4.3, 4.7: key of 20 bytes, of 4, and longer than a block of SHA-256. */
static void hmac_gives_the_known_answers(void **state)
{
    uint8_t long_key[131];
    uint8_t short_key[20];

    (void)state;
    memset(long_key, 0xaa, sizeof(long_key));
    memset(short_key, 0x0b, sizeof(short_key));
    assert_hmac(slice_of(short_key, sizeof(short_key)), slice_of_text("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac(slice_of_text("Jefe"), slice_of_text("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_hmac(slice_of(long_key, sizeof(long_key)),
                slice_of_text("Test Using Larger Than Block-Size Key - Hash Key First"),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 3720, appendix B.4. */
static void crc32c_gives_the_known_answers(void **state)
{
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t rising[32];
    uint8_t falling[32];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (unsigned i = 0; i < 32; i++) {
        rising[i] = (uint8_t)i;
        falling[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(hash_crc32c(0, slice_of(zeros, 32)), 0x8a9136aa);
    assert_int_equal(hash_crc32c(0, slice_of(ones, 32)), 0x62a8ab43);
    assert_int_equal(hash_crc32c(0, slice_of(rising, 32)), 0x46dd794e);
    assert_int_equal(hash_crc32c(0, slice_of(falling, 32)), 0x113fdb5c);
    assert_int_equal(hash_crc32c(0, slice_of_text("123456789")), 0xe3069283);
    assert_int_equal(hash_crc32c(0, slice_of(NULL, 0)), 0);
}

static void crc32c_in_pieces_is_crc32c_of_the_whole(void **state)
{
    uint8_t bytes[257];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37);

    uint32_t whole = hash_crc32c(0, slice_of(bytes, sizeof(bytes)));

    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t first = hash_crc32c(0, slice_of(bytes, cut));

        assert_int_equal(hash_crc32c(first, slice_of(bytes + cut, sizeof(bytes) - cut)), whole);
    }
}

struct hashing_thread {
    const struct hash_key *key;
    unsigned wrong;
};

static void hash_many(void *arg)
{
    struct hashing_thread *thread = arg;
    struct slice data = slice_of_text("what do ya want for nothing?");
    static const uint8_t expected_start[] = {0x5b, 0xdc, 0xc1, 0x46};
    struct hash_digest digest;
    struct error err = {0};

    for (unsigned i = 0; i < 2000; i++)
        if (hash_hmac(thread->key, &data, 1, &digest, &err) != STATUS_OK ||
            memcmp(digest.bytes, expected_start, sizeof(expected_start)) != 0)
            thread->wrong++;
}

static void threads_share_one_key(void **state)
{
    struct hashing_thread threads[4] = {{0}};
    uv_thread_t ids[4];
    struct hash_key *key = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(hash_key_new(slice_of_text("Jefe"), &key, &err), &err);
    for (unsigned i = 0; i < 4; i++) {
        threads[i].key = key;
        assert_int_equal(uv_thread_create(&ids[i], hash_many, &threads[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(uv_thread_join(&ids[i]), 0);
        assert_int_equal(threads[i].wrong, 0);
    }
    hash_key_free(key);
}

static void a_key_without_memory_is_refused_and_leaks_nothing(void **state)
{
    struct faults *faults = faults_new();
    struct hash_key *key = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    faults_arm(faults, FAULT_ALLOC, 1);
    ASSERT_STATUS(STATUS_EXHAUSTED, hash_key_new(slice_of_text("k"), &key, &err), &err);
    assert_null(key);
    hash_key_free(NULL);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_known_answers),
        cmocka_unit_test(hmac_gives_the_known_answers),
        cmocka_unit_test(crc32c_gives_the_known_answers),
        cmocka_unit_test(crc32c_in_pieces_is_crc32c_of_the_whole),
        cmocka_unit_test(threads_share_one_key),
        cmocka_unit_test(a_key_without_memory_is_refused_and_leaks_nothing),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
