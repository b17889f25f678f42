#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "format/keys.h"
#include "tests/support/fail_each.h"
#include "tests/support/test.h"

/* 00 01 ... 1f, as on the page. */
static struct repository_key rising_key(void)
{
    struct repository_key key;

    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)i;
    return key;
}

static struct random_id rising_id(uint8_t start)
{
    struct random_id id;

    for (size_t i = 0; i < sizeof(id.bytes); i++)
        id.bytes[i] = (uint8_t)(start + i);
    return id;
}

static struct keys *keys_of(struct repository_key key)
{
    struct keys *keys = NULL;
    struct error err = {0};

    ASSERT_OK(keys_new(&key, &keys, &err), &err);
    return keys;
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
    char text[2 * 64 + 1];

    assert_true(size <= 64);
    text_hex(slice_of(bytes, size), text);
    assert_string_equal(text, expected);
}

/* What KEY seals is what a key of these bytes seals. */
static void assert_seals_like(const struct xaes_key *key, const char *expected)
{
    static const uint8_t nonce[XAES_NONCE_SIZE];
    uint8_t bytes[XAES_KEY_SIZE];
    uint8_t sealed[2][3 + XAES_TAG_SIZE];
    struct xaes_key *same = NULL;
    struct error err = {0};

    assert_true(text_parse_hex(slice_of_text(expected), bytes, sizeof(bytes)));
    ASSERT_OK(xaes_key_new(bytes, &same, &err), &err);
    ASSERT_OK(xaes_seal(key, nonce, slice_of(NULL, 0), slice_of_text("abc"), sealed[0], &err),
              &err);
    ASSERT_OK(xaes_seal(same, nonce, slice_of(NULL, 0), slice_of_text("abc"), sealed[1], &err),
              &err);
    assert_memory_equal(sealed[0], sealed[1], sizeof(sealed[0]));
    xaes_key_free(same);
}

/* By an HKDF (RFC 5869) of ten lines over Python's hmac. */
static void derived_keys_are_the_known_answers(void **state)
{
    struct keys *keys = keys_of(rising_key());
    struct random_id domain = rising_id(0xa0);
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    struct error err = {0};

    (void)state;
    assert_seals_like(keys_structure(keys),
                      "17402d44e0041e0b8c176e3073954fef9d65cec77ee178a2d85398280d81a954");
    assert_seals_like(keys_payload(keys, KIND_BLOCK),
                      "a98bf36e9b5547d710c874b0fbe42df4fff2239837057d346bae064059be72ae");
    keys_check(keys, bytes);
    assert_hex(bytes, sizeof(bytes),
               "d39520493e3b4df8e6055b36a5802061544325d7086a68b66231f5397947d7de");
    ASSERT_OK(keys_id_key(keys, &domain, bytes, &err), &err);
    assert_hex(bytes, sizeof(bytes),
               "2403672ec17112d2441cc40bd7c3d95f3d143673d3b038192147bbc70787adb1");
    keys_free(keys);
}

/* The seed by the same HKDF. */
static void a_writer_signs_by_the_key_of_its_seed(void **state)
{
    struct keys *keys = keys_of(rising_key());
    struct random_id writer = rising_id(0xd0);
    uint8_t seed[SIGN_SEED_SIZE];
    uint8_t public[2][SIGN_PUBLIC_SIZE];
    struct sign_key *key = NULL;
    struct sign_key *same = NULL;
    struct error err = {0};

    (void)state;
    assert_true(text_parse_hex(
        slice_of_text(
            "c43f5560788aeb3d65a888183efcee1606b169cc581d1cd51ae298b22111e2d3969db8892735cae258525f639f1609d1"),
        seed, sizeof(seed)));
    ASSERT_OK(sign_key_from_seed(seed, &same, &err), &err);
    ASSERT_OK(keys_log_signer(keys, &writer, &key, &err), &err);
    sign_key_public(key, public[0]);
    sign_key_public(same, public[1]);
    assert_memory_equal(public[0], public[1], SIGN_PUBLIC_SIZE);
    sign_key_free(key);
    writer.bytes[15] ^= 1;
    ASSERT_OK(keys_log_signer(keys, &writer, &key, &err), &err);
    sign_key_public(key, public[0]);
    assert_memory_not_equal(public[0], public[1], SIGN_PUBLIC_SIZE);
    sign_key_free(key);
    sign_key_free(same);
    keys_free(keys);
}

static void content_has_another_key_than_structure(void **state)
{
    struct keys *keys = keys_of(rising_key());

    (void)state;
    for (unsigned kind = 0; kind <= 255; kind++) {
        bool content = kind == KIND_BLOCK || kind == KIND_BODY;

        assert_int_equal(keys_payload(keys, (uint8_t)kind) == keys_structure(keys), !content);
    }
    assert_ptr_equal(keys_payload(keys, KIND_BLOCK), keys_payload(keys, KIND_BODY));
    keys_free(keys);
}

static void another_key_or_domain_gives_other_keys(void **state)
{
    struct repository_key other_key = rising_key();
    struct random_id domain = rising_id(0xa0);
    struct random_id other_domain = rising_id(0xa0);
    uint8_t bytes[3][KEYS_ID_KEY_SIZE];
    struct error err = {0};

    (void)state;
    other_key.bytes[31] ^= 1;
    other_domain.bytes[15] ^= 1;

    struct keys *keys = keys_of(rising_key());
    struct keys *other = keys_of(other_key);

    ASSERT_OK(keys_id_key(keys, &domain, bytes[0], &err), &err);
    ASSERT_OK(keys_id_key(keys, &other_domain, bytes[1], &err), &err);
    ASSERT_OK(keys_id_key(other, &domain, bytes[2], &err), &err);
    assert_memory_not_equal(bytes[0], bytes[1], KEYS_ID_KEY_SIZE);
    assert_memory_not_equal(bytes[0], bytes[2], KEYS_ID_KEY_SIZE);
    keys_check(keys, bytes[0]);
    keys_check(other, bytes[1]);
    assert_memory_not_equal(bytes[0], bytes[1], KEYS_CHECK_SIZE);
    keys_free(keys);
    keys_free(other);
}

static void a_key_file_reads_back(void **state)
{
    struct repository_key key = rising_key();
    struct repository_key read = {{0}};
    char text[KEY_FILE_SIZE];
    struct error err = {0};

    (void)state;
    key_file_encode(&key, text);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
                        KEY_FILE_SIZE);
    ASSERT_OK(key_file_decode(slice_of(text, sizeof(text)), &read, &err), &err);
    assert_memory_equal(&read, &key, sizeof(key));
}

/* No digit of the key stands in the sentence. */
static void assert_refused(const char *text, size_t size)
{
    struct repository_key key = {{1}};
    struct error err = {0};

    ASSERT_STATUS(STATUS_INVALID, key_file_decode(slice_of(text, size), &key, &err), &err);
    assert_null(strstr(err.text, "0001"));
    assert_int_equal(key.bytes[0], 1);
}

static void anything_else_is_no_key_file(void **state)
{
    struct repository_key key = rising_key();
    char text[KEY_FILE_SIZE + 1] = "";

    (void)state;
    key_file_encode(&key, text);
    assert_refused(text, 0);
    assert_refused(text, KEY_FILE_SIZE - 1);
    assert_refused(text, sizeof(text));
    for (size_t i = 0; i < KEY_FILE_SIZE; i++) {
        char right = text[i];

        text[i] = 'A';
        assert_refused(text, KEY_FILE_SIZE);
        text[i] = '\0';
        assert_refused(text, KEY_FILE_SIZE);
        text[i] = right;
    }
}

static void make_keys(void *arg, uint64_t n)
{
    struct repository_key key = rising_key();
    struct keys *keys = NULL;
    struct error err = {0};
    enum status st = keys_new(&key, &keys, &err);

    (void)n;
    faults_arm(arg, 0, 0);
    assert_int_equal(st == STATUS_OK, keys != NULL);
    assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
    keys_free(keys);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_ALLOC, make_keys, faults) >= 3);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derived_keys_are_the_known_answers),
        cmocka_unit_test(a_writer_signs_by_the_key_of_its_seed),
        cmocka_unit_test(content_has_another_key_than_structure),
        cmocka_unit_test(another_key_or_domain_gives_other_keys),
        cmocka_unit_test(a_key_file_reads_back),
        cmocka_unit_test(anything_else_is_no_key_file),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("format_keys", tests, NULL, NULL);
}
