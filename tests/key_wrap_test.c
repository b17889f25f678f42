#include "format/key_wrap.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "format/key_text.h"
#include "format/repository.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { TEXT_MAX = 2 * KEY_WRAP_FILE_MAX };

/* So cheap that a test may do it often. */
static const struct key_wrap_cost cheap = {.n = 2, .r = 1, .p = 1};

static const struct repository_key secret_key = {.bytes = {0x5e, 1, 2, 3}};
static const struct random_id repository_id = {.bytes = {0xb0, 0xb1}};

static struct key_wrap sealed(const char *passphrase)
{
    struct random_seeded random = random_seeded_of(1);
    struct key_wrap wrap;
    struct error err = {0};

    ASSERT_OK(key_wrap_seal(&repository_id, &secret_key, &cheap, slice_of_text(passphrase),
                            &random.source, &wrap, &err),
              &err);
    return wrap;
}

static struct buffer encoded(const struct key_wrap *wrap)
{
    struct buffer text;

    buffer_init(&text, TEXT_MAX);
    key_wrap_encode(wrap, &text);
    return text;
}

/* TEXT of a file without its last line, and then the right one. */
static struct buffer with_crc(const char *body)
{
    char line[32];
    struct buffer text;

    buffer_init(&text, TEXT_MAX);
    buffer_put(&text, slice_of_text(body));
    assert_true(text_format(line, sizeof(line), "crc %08x\n", hash_crc32c(0, slice_of_text(body))));
    buffer_put(&text, slice_of_text(line));
    return text;
}

static void the_derivation_is_the_scrypt_of_rfc_7914(void **state)
{
    /* Section 12; the first half of the 64 bytes, which are the same whatever the length. */
    static const struct {
        struct key_wrap_cost cost;
        const char *passphrase;
        const char *salt;
        const char *expected;
    } vectors[] = {
        {{1024, 8, 16},
         "password",
         "NaCl",
         "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"},
        {{16384, 8, 1},
         "pleaseletmein",
         "SodiumChloride",
         "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t key[KEY_WRAP_DERIVED_SIZE];
        char hex[2 * KEY_WRAP_DERIVED_SIZE + 1];
        struct error err = {0};

        ASSERT_OK(key_wrap_derive(&vectors[i].cost, slice_of_text(vectors[i].salt),
                                  slice_of_text(vectors[i].passphrase), key, &err),
                  &err);
        text_hex(slice_of(key, sizeof(key)), hex);
        assert_string_equal(hex, vectors[i].expected);
    }
}

static void a_key_comes_back_by_its_passphrase_alone(void **state)
{
    struct key_wrap wrap = sealed("correct horse");
    struct repository_key key = {.bytes = {9}};
    struct error err = {0};

    (void)state;
    ASSERT_OK(key_wrap_open(&wrap, slice_of_text("correct horse"), &key, &err), &err);
    assert_memory_equal(key.bytes, secret_key.bytes, sizeof(key.bytes));
    key.bytes[0] = 9;
    ASSERT_STATUS(STATUS_DENIED, key_wrap_open(&wrap, slice_of_text("correct horsf"), &key, &err),
                  &err);
    assert_string_equal(err.text, "the passphrase is not the one of this key");
    assert_int_equal(key.bytes[0], 9);
}

static void a_passphrase_has_1_to_1024_bytes(void **state)
{
    static char longest[KEY_WRAP_PASSPHRASE_MAX + 1];
    struct random_seeded random = random_seeded_of(1);
    struct key_wrap wrap = {.salt_size = 7};
    struct error err = {0};

    (void)state;
    memset(longest, 'x', sizeof(longest));
    ASSERT_STATUS(STATUS_INVALID,
                  key_wrap_seal(&repository_id, &secret_key, &cheap, slice_of("", 0),
                                &random.source, &wrap, &err),
                  &err);
    assert_non_null(strstr(err.text, "empty"));
    ASSERT_STATUS(STATUS_INVALID,
                  key_wrap_seal(&repository_id, &secret_key, &cheap,
                                slice_of(longest, sizeof(longest)), &random.source, &wrap, &err),
                  &err);
    assert_non_null(strstr(err.text, "longer than 1024"));
    assert_int_equal(wrap.salt_size, 7);
    ASSERT_OK(key_wrap_seal(&repository_id, &secret_key, &cheap,
                            slice_of(longest, KEY_WRAP_PASSPHRASE_MAX), &random.source, &wrap,
                            &err),
              &err);
}

static void the_file_is_the_text_that_the_header_shows(void **state)
{
    struct key_wrap wrap = sealed("p");
    struct buffer text = encoded(&wrap);
    char salt[2 * KEY_WRAP_SALT_MAX + 1];
    char nonce[2 * XAES_NONCE_SIZE + 1];
    char key[2 * KEY_WRAP_SEALED_SIZE + 1];
    char body[KEY_WRAP_FILE_MAX];

    (void)state;
    text_hex(slice_of(wrap.salt, wrap.salt_size), salt);
    text_hex(slice_of(wrap.nonce, sizeof(wrap.nonce)), nonce);
    text_hex(slice_of(wrap.sealed, sizeof(wrap.sealed)), key);
    assert_true(text_format(body, sizeof(body),
                            "Tidemark key\nversion %d build %d\n"
                            "repository b0b10000000000000000000000000000\nkdf scrypt 2 1 1\n"
                            "salt %s\nnonce %s\nwrapped %s\n",
                            FORMAT_VERSION, FORMAT_BUILD, salt, nonce, key));

    struct buffer expected = with_crc(body);

    assert_true(slice_equal(buffer_slice(&text), buffer_slice(&expected)));
    buffer_deinit(&expected);
    buffer_deinit(&text);
}

static void what_is_written_is_read_with_salts_of_every_length(void **state)
{
    struct key_wrap wrap = sealed("p");
    struct error err = {0};

    (void)state;
    for (size_t size = 0; size <= KEY_WRAP_SALT_MAX; size++) {
        struct key_wrap read = {0};

        wrap.salt_size = size;
        struct buffer text = encoded(&wrap);
        enum status st = key_wrap_decode(buffer_slice(&text), &read, &err);

        assert_int_equal(st, size >= KEY_WRAP_SALT_MIN ? STATUS_OK : STATUS_CORRUPT);
        if (st == STATUS_OK) {
            struct buffer again = encoded(&read);

            assert_true(slice_equal(buffer_slice(&again), buffer_slice(&text)));
            buffer_deinit(&again);
        }
        buffer_deinit(&text);
    }
}

/* Found before the passphrase is asked for; and whatever has a right sum all the same does not open. */
static void every_changed_byte_is_found(void **state)
{
    struct key_wrap wrap = sealed("p");
    struct buffer text = encoded(&wrap);
    struct key_wrap read;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 1;
        ASSERT_STATUS(STATUS_CORRUPT, key_wrap_decode(buffer_slice(&text), &read, &err), &err);
        text.data[i] ^= 1;
    }
    for (size_t size = 0; size < text.size; size++)
        ASSERT_STATUS(STATUS_CORRUPT, key_wrap_decode(slice_of(text.data, size), &read, &err),
                      &err);
    buffer_deinit(&text);
}

static void nothing_in_the_head_can_be_exchanged(void **state)
{
    struct repository_key key;
    struct error err = {0};
    struct key_wrap wrap = sealed("p");

    (void)state;
    wrap.repository.bytes[15] ^= 1;
    ASSERT_STATUS(STATUS_DENIED, key_wrap_open(&wrap, slice_of_text("p"), &key, &err), &err);
    wrap = sealed("p");
    wrap.salt[0] ^= 1;
    ASSERT_STATUS(STATUS_DENIED, key_wrap_open(&wrap, slice_of_text("p"), &key, &err), &err);
    wrap = sealed("p");
    wrap.cost.p = 2;
    ASSERT_STATUS(STATUS_DENIED, key_wrap_open(&wrap, slice_of_text("p"), &key, &err), &err);
    wrap = sealed("p");
    wrap.sealed[0] ^= 1;
    ASSERT_STATUS(STATUS_DENIED, key_wrap_open(&wrap, slice_of_text("p"), &key, &err), &err);
}

#define HEAD_OF(KDF)                                                                 \
    "Tidemark key\nversion 0 build 3\nrepository b0b10000000000000000000000000000\n" \
    "kdf scrypt " KDF "\nsalt 00112233445566778899aabbccddeeff\n"                    \
    "nonce 000102030405060708090a0b0c0d0e0f1011121314151617\n"                       \
    "wrapped 0011223344556677889900112233445566778899001122334455667788990011"       \
    "22334455667788990011223344556677\n"

static enum status decode_body(const char *body, struct error *err)
{
    struct buffer text = with_crc(body);
    struct key_wrap wrap;
    enum status st = key_wrap_decode(buffer_slice(&text), &wrap, err);

    buffer_deinit(&text);
    return st;
}

static void a_derivation_that_costs_too_much_is_refused_unread(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(FORMAT_BUILD, 3); /* as in the texts of this test */
    ASSERT_OK(decode_body(HEAD_OF("131072 8 1"), &err), &err);
    ASSERT_OK(decode_body(HEAD_OF("1048576 8 16"), &err), &err); /* 1 GiB */
    ASSERT_OK(decode_body(HEAD_OF("262144 32 1"), &err), &err);
    ASSERT_OK(decode_body(HEAD_OF("32768 1 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1048576 9 1"), &err), &err);
    assert_non_null(strstr(err.text, "1 GiB"));
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("2097152 1 1"), &err), &err);
    assert_non_null(strstr(err.text, "N is no power of two"));
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("131071 8 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1 8 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("0 8 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1024 33 1"), &err), &err);
    assert_non_null(strstr(err.text, "r is not"));
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1024 0 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1024 8 17"), &err), &err);
    assert_non_null(strstr(err.text, "p is not"));
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("1024 8 0"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_body(HEAD_OF("65536 1 1"), &err), &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED,
                  decode_body(HEAD_OF("18446744073709551615 18446744073709551615 1"), &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_body(HEAD_OF("1024 8"), &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_body(HEAD_OF("01024 8 1"), &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_body(HEAD_OF("1024 8 1 1"), &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_body(HEAD_OF("1024 8 1") "more\n", &err), &err);
}

/* What is allowed can be done: the bound is ours, not OpenSSL's. */
static void the_costs_that_are_allowed_are_computed(void **state)
{
    static const struct key_wrap_cost costs[] = {{2, 1, 1}, {32768, 1, 1}, {2, 32, 16}};
    uint8_t key[KEY_WRAP_DERIVED_SIZE];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++)
        ASSERT_OK(key_wrap_derive(&costs[i], slice_of_text("salt"), slice_of_text("p"), key, &err),
                  &err);
    ASSERT_STATUS(STATUS_INVALID,
                  key_wrap_derive(&(struct key_wrap_cost){3, 1, 1}, slice_of_text("salt"),
                                  slice_of_text("p"), key, &err),
                  &err);
}

static void another_build_is_named(void **state)
{
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_UNSUPPORTED,
                  decode_body("Tidemark key\nversion 0 build 99\nwhatever\n", &err), &err);
    assert_non_null(strstr(err.text, "the key is of version 0, build 99"));
    ASSERT_STATUS(STATUS_CORRUPT, decode_body("Tidemark key\nversion x\n", &err), &err);
}

static void either_form_of_a_key_is_read(void **state)
{
    struct key_text plain = {.wrapped = false, .plain = secret_key};
    struct key_text wrapped = {.wrapped = true, .wrap = sealed("p")};
    struct key_text read;
    struct repository_key key;
    struct buffer text;
    struct error err = {0};

    (void)state;
    buffer_init(&text, TEXT_MAX);
    key_text_encode(&plain, &text);
    assert_int_equal(text.size, KEY_FILE_SIZE);
    ASSERT_OK(key_text_decode(buffer_slice(&text), &read, &err), &err);
    assert_false(read.wrapped);
    ASSERT_OK(key_text_open(&read, slice_of("", 0), &key, &err), &err);
    assert_memory_equal(key.bytes, secret_key.bytes, sizeof(key.bytes));
    buffer_clear(&text);
    key_text_encode(&wrapped, &text);
    ASSERT_OK(key_text_decode(buffer_slice(&text), &read, &err), &err);
    assert_true(read.wrapped);
    ASSERT_OK(key_text_open(&read, slice_of_text("p"), &key, &err), &err);
    assert_memory_equal(key.bytes, secret_key.bytes, sizeof(key.bytes));
    ASSERT_STATUS(STATUS_CORRUPT, key_text_decode(slice_of(text.data, text.size - 1), &read, &err),
                  &err);
    ASSERT_STATUS(STATUS_INVALID, key_text_decode(slice_of_text("no key\n"), &read, &err), &err);
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_derivation_is_the_scrypt_of_rfc_7914),
        cmocka_unit_test(a_key_comes_back_by_its_passphrase_alone),
        cmocka_unit_test(a_passphrase_has_1_to_1024_bytes),
        cmocka_unit_test(the_file_is_the_text_that_the_header_shows),
        cmocka_unit_test(what_is_written_is_read_with_salts_of_every_length),
        cmocka_unit_test(every_changed_byte_is_found),
        cmocka_unit_test(nothing_in_the_head_can_be_exchanged),
        cmocka_unit_test(a_derivation_that_costs_too_much_is_refused_unread),
        cmocka_unit_test(the_costs_that_are_allowed_are_computed),
        cmocka_unit_test(another_build_is_named),
        cmocka_unit_test(either_form_of_a_key_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
