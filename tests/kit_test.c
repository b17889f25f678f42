/* NOLINTNEXTLINE(bugprone-reserved-identifier): the system wants it for memmem() */
#define _GNU_SOURCE
#include "format/kit.h"

#include <string.h>

#include "base/hash.h"
#include "base/named_file.h"
#include "base/text.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { TEXT_MAX = 2 * KIT_FILE_MAX };

static const struct key_wrap_cost cheap = {.n = 2, .r = 1, .p = 1};
static const struct repository_key secret_key = {.bytes = {0x5e, 1, 2, 3}};
static const struct random_id repository_id = {.bytes = {0xb0, 0xb1}};

/* What looks like a certificate, in two lines. */
#define PEM "-----BEGIN CERTIFICATE-----\nMIIB+/=0\nAAAA\n-----END CERTIFICATE-----\n"

static struct kit wrapped_kit(void)
{
    struct random_seeded random = random_seeded_of(1);
    struct kit kit = {.repository = repository_id, .made = "2026-11-23", .key = {.wrapped = true}};
    struct error err = {0};

    ASSERT_OK(key_wrap_seal(&repository_id, &secret_key, &cheap, slice_of_text("p"), &random.source,
                            &kit.key.wrap, &err),
              &err);
    return kit;
}

static struct kit plain_kit(void)
{
    return (struct kit){.repository = repository_id,
                        .made = "2026-11-23",
                        .key = {.plain = secret_key},
                        .agents_ca = slice_of_text(PEM PEM)};
}

static struct buffer encoded(const struct kit *kit)
{
    struct buffer text;

    buffer_init(&text, TEXT_MAX);
    kit_encode(kit, &text);
    return text;
}

/* TEXT, in which the first FROM becomes TO, with the right sum. */
static enum status decode_changed(const struct buffer *text, const char *from, const char *to,
                                  struct error *err)
{
    static const size_t crc_line = sizeof("crc 00000000");
    const char *at = NULL;
    char line[32];
    struct kit kit;
    struct buffer changed;

    buffer_init(&changed, TEXT_MAX);
    at = memmem(text->data, text->size, from, strlen(from));
    assert_non_null(at);
    buffer_put(&changed, slice_of(text->data, (size_t)(at - (const char *)text->data)));
    buffer_put(&changed, slice_of_text(to));
    at += strlen(from);
    buffer_put(&changed,
               slice_of(at, text->size - crc_line - (size_t)(at - (const char *)text->data)));
    assert_true(
        text_format(line, sizeof(line), "crc %08x\n", hash_crc32c(0, buffer_slice(&changed))));
    buffer_put(&changed, slice_of_text(line));

    enum status st = kit_decode(buffer_slice(&changed), &kit, err);

    buffer_deinit(&changed);
    return st;
}

static void a_kit_with_a_locked_key_comes_back(void **state)
{
    struct kit kit = wrapped_kit();
    struct kit read;
    struct repository_key key;
    struct buffer text = encoded(&kit);
    struct error err = {0};

    (void)state;
    ASSERT_OK(kit_decode(buffer_slice(&text), &read, &err), &err);
    assert_true(random_id_equal(&read.repository, &repository_id));
    assert_string_equal(read.made, "2026-11-23");
    assert_true(read.key.wrapped);
    assert_int_equal(read.agents_ca.size, 0);
    ASSERT_OK(key_text_open(&read.key, slice_of_text("p"), &key, &err), &err);
    assert_memory_equal(key.bytes, secret_key.bytes, sizeof(key.bytes));
    assert_non_null(memmem(text.data, text.size, "locked by a passphrase, which does not", 38));
    assert_null(memmem(text.data, text.size, "WHOEVER", 7));
    buffer_deinit(&text);
}

static void a_kit_without_a_passphrase_says_so_loudly(void **state)
{
    struct kit kit = plain_kit();
    struct kit read;
    struct buffer text = encoded(&kit);
    struct error err = {0};

    (void)state;
    ASSERT_OK(kit_decode(buffer_slice(&text), &read, &err), &err);
    assert_false(read.key.wrapped);
    assert_memory_equal(read.key.plain.bytes, secret_key.bytes, sizeof(secret_key.bytes));
    assert_true(slice_equal(read.agents_ca, kit.agents_ca));
    assert_non_null(memmem(text.data, text.size, "WHOEVER HAS THIS PAGE", 21));
    buffer_deinit(&text);
}

/* It is printed, and typed again. */
static void a_kit_is_lines_of_printable_ascii_that_fit_a_page(void **state)
{
    struct kit kit = wrapped_kit();
    struct buffer text = encoded(&kit);
    size_t column = 0;

    (void)state;
    for (size_t i = 0; i < text.size; i++) {
        column = text.data[i] == '\n' ? 0 : column + 1;
        assert_true(text.data[i] == '\n' || (text.data[i] >= ' ' && text.data[i] <= '~'));
        assert_true(column <= 104); /* the line of the sealed key */
    }
    assert_non_null(memmem(text.data, text.size, "tidemark-recover --kit KIT list DATA", 36));
    assert_non_null(memmem(text.data, text.size,
                           "tidemark-recover --kit KIT extract DATA POINT --all -o FOLDER", 61));
    buffer_deinit(&text);
}

static void every_changed_byte_of_a_kit_is_found(void **state)
{
    struct kit kit = wrapped_kit();
    struct buffer text = encoded(&kit);
    struct kit read;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 1;
        ASSERT_STATUS(STATUS_CORRUPT, kit_decode(buffer_slice(&text), &read, &err), &err);
        text.data[i] ^= 1;
        ASSERT_STATUS(STATUS_CORRUPT, kit_decode(slice_of(text.data, i), &read, &err), &err);
    }
    buffer_deinit(&text);
}

static void what_people_read_may_be_other_words(void **state)
{
    struct kit kit = wrapped_kit();
    struct buffer text = encoded(&kit);
    struct error err = {0};

    (void)state;
    ASSERT_OK(decode_changed(&text, "# lies elsewhere.\n", "# safe No. 3\n#\n", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "# lies", "#\tlies", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "# lies", "lies", &err), &err);
    buffer_deinit(&text);
}

static void lines_that_cannot_be_are_refused(void **state)
{
    struct kit wrapped = wrapped_kit();
    struct kit plain = plain_kit();
    struct buffer text = encoded(&wrapped);
    struct buffer open = encoded(&plain);
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "2026-11-23", "2026-13-23", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "2026-11-23", "2026-11-32", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "2026-11-23", "2026-1-123", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "key wrapped", "key plain", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&open, "key plain", "key wrapped", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&open, "key plain", "key other", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "kdf scrypt 2", "kdf scrypt 4", &err),
                  &err);
    /* The kit's repository, not the key's. */
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "repository b0b1", "repository b0b2", &err),
                  &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&open, "MIIB+", "MIIB ", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&open, "agents-ca ", "agents-ca 0", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&open, "agents-ca ", "agents-ca 9", &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_changed(&text, "agents-ca 0\n", "agents-ca 0\nx\n", &err),
                  &err);
    ASSERT_STATUS(STATUS_UNSUPPORTED, decode_changed(&text, "build ", "build 9", &err), &err);
    assert_non_null(strstr(err.text, "the recovery kit is of version"));
    buffer_deinit(&open);
    buffer_deinit(&text);
}

/* NAME in FOLDER, appended to TEXT. */
static void read_file(const char *folder, const char *name, struct buffer *text)
{
    char path[TEMP_FOLDER_SIZE + 64];
    struct named_file file;
    uint8_t bytes[8192];
    size_t size = 0;
    struct error err = {0};

    assert_true(text_format(path, sizeof(path), "%s/%s", folder, name));
    ASSERT_OK(named_file_open(path, &file, &err), &err);
    ASSERT_OK(named_file_read(&file, bytes, sizeof(bytes), &size, &err), &err);
    buffer_put(text, slice_of(bytes, size));
    named_file_close(&file);
}

static void only_certificates_of_cas_go_into_a_kit(void **state)
{
    struct test_ca *ca = test_certificates_ca_new("agents");
    struct kit kit = plain_kit();
    struct kit read;
    struct buffer pem;
    struct buffer taken;
    struct error err = {0};
    char folder[TEMP_FOLDER_SIZE];

    (void)state;
    temp_folder_make(folder);
    test_certificates_write(folder, ca, ca, "host", TEST_VALID);
    test_certificates_ca_free(ca);
    buffer_init(&pem, TEXT_MAX);
    buffer_init(&taken, KIT_CA_MAX);
    buffer_put(&pem, slice_of_text("whatever else stands there\n"));
    read_file(folder, "ca.pem", &pem);
    read_file(folder, "ca.pem", &pem);
    ASSERT_OK(kit_agents_ca(buffer_slice(&pem), &taken, &err), &err);
    kit.agents_ca = buffer_slice(&taken);

    struct buffer text = encoded(&kit);

    ASSERT_OK(kit_decode(buffer_slice(&text), &read, &err), &err);
    assert_true(slice_equal(read.agents_ca, buffer_slice(&taken)));
    buffer_deinit(&text);
    read_file(folder, "cert.pem", &pem);
    ASSERT_STATUS(STATUS_INVALID, kit_agents_ca(buffer_slice(&pem), &taken, &err), &err);
    assert_non_null(strstr(err.text, "not a CA's"));
    ASSERT_STATUS(STATUS_INVALID, kit_agents_ca(slice_of_text("nothing\n"), &taken, &err), &err);
    assert_non_null(strstr(err.text, "no certificate"));
    ASSERT_STATUS(STATUS_INVALID, kit_agents_ca(slice_of_text(PEM), &taken, &err), &err);
    assert_non_null(strstr(err.text, "cannot be read"));
    buffer_clear(&pem);
    (void)buffer_extend(&pem, (size_t)KIT_CA_MAX);
    (void)buffer_extend(&pem, 1);
    ASSERT_STATUS(STATUS_INVALID, kit_agents_ca(buffer_slice(&pem), &taken, &err), &err);
    buffer_deinit(&taken);
    buffer_deinit(&pem);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kit_with_a_locked_key_comes_back),
        cmocka_unit_test(a_kit_without_a_passphrase_says_so_loudly),
        cmocka_unit_test(a_kit_is_lines_of_printable_ascii_that_fit_a_page),
        cmocka_unit_test(every_changed_byte_of_a_kit_is_found),
        cmocka_unit_test(what_people_read_may_be_other_words),
        cmocka_unit_test(lines_that_cannot_be_are_refused),
        cmocka_unit_test(only_certificates_of_cas_go_into_a_kit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
