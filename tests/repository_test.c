#include "format/repository.h"

#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "tests/support/test.h"

enum { TEXT_MAX = 2 * REPOSITORY_FILE_MAX };

static struct repository example(void)
{
    struct repository repository = {0};

    memset(repository.id.bytes, 0x1d, RANDOM_ID_SIZE);
    memset(repository.domain.bytes, 0xd0, RANDOM_ID_SIZE);
    memset(repository.key_check, 0xcc, KEYS_CHECK_SIZE);
    return repository;
}

static struct buffer encoded(void)
{
    struct repository repository = example();
    struct buffer text;

    buffer_init(&text, TEXT_MAX);
    repository_encode(&repository, &text);
    return text;
}

/* BODY with the line of its right CRC behind it. */
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

static enum status decode(struct slice text)
{
    struct repository repository = {.key_check = {7}};
    struct error err = {0};
    enum status st = repository_decode(text, &repository, &err);

    if (st != STATUS_OK)
        assert_int_equal(repository.key_check[0], 7);
    return st;
}

static enum status decode_with_crc(const char *body)
{
    struct buffer text = with_crc(body);
    enum status st = decode(buffer_slice(&text));

    buffer_deinit(&text);
    return st;
}

#define TITLE   "Tidemark repository\n"
#define VERSION "version 0 build 3\n"
#define ID      "id 1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d\n"
#define DOMAIN  "domain d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
#define KEY     "key-check cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"

static void the_file_is_the_text_that_the_page_shows(void **state)
{
    struct buffer text = encoded();
    struct buffer expected = with_crc(TITLE VERSION ID DOMAIN KEY);

    (void)state;
    assert_true(slice_equal(buffer_slice(&text), buffer_slice(&expected)));
    buffer_deinit(&text);
    buffer_deinit(&expected);
}

static void a_file_reads_back(void **state)
{
    struct repository repository = example();
    struct repository read = {0};
    struct buffer text = encoded();
    struct error err = {0};

    (void)state;
    ASSERT_OK(repository_decode(buffer_slice(&text), &read, &err), &err);
    assert_memory_equal(&read, &repository, sizeof(read));
    buffer_deinit(&text);
}

static void any_changed_bit_is_damage(void **state)
{
    struct buffer text = encoded();

    (void)state;
    for (size_t i = 0; i < 8 * text.size; i++) {
        text.data[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(decode(buffer_slice(&text)), STATUS_CORRUPT);
        text.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t size = 0; size < text.size; size++)
        assert_int_equal(decode(slice_of(text.data, size)), STATUS_CORRUPT);
    buffer_put_u8(&text, '\n');
    assert_int_equal(decode(buffer_slice(&text)), STATUS_CORRUPT);
    buffer_deinit(&text);
}

static void another_build_is_refused_by_a_sentence_that_names_both(void **state)
{
    struct buffer text = with_crc(TITLE "version 3 build 27\nwhatever comes then\n");
    struct repository read = {0};
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_UNSUPPORTED, repository_decode(buffer_slice(&text), &read, &err), &err);
    assert_non_null(strstr(err.text, "version 3, build 27"));
    assert_non_null(strstr(err.text, "version 0, build 3"));
    buffer_deinit(&text);
    assert_int_equal(decode_with_crc(TITLE "version 0 build 1\n" ID DOMAIN KEY),
                     STATUS_UNSUPPORTED);
    assert_int_equal(decode_with_crc(TITLE "version 1 build 1\n" ID DOMAIN KEY),
                     STATUS_UNSUPPORTED);
}

static void other_lines_are_refused_also_with_a_right_sum(void **state)
{
    static const char *const bodies[] = {
        "",
        TITLE,
        TITLE VERSION,
        TITLE VERSION ID DOMAIN,
        VERSION ID DOMAIN KEY,
        "tidemark repository\n" VERSION ID DOMAIN KEY,
        TITLE ID VERSION DOMAIN KEY,
        TITLE VERSION DOMAIN ID KEY,
        TITLE VERSION ID DOMAIN KEY KEY,
        TITLE VERSION ID DOMAIN KEY "\n",
        TITLE VERSION "id 1d\n" DOMAIN KEY,
        TITLE VERSION "id 1D1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d\n" DOMAIN KEY,
        TITLE VERSION "id  1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d\n" DOMAIN KEY,
        TITLE VERSION "id 1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d\r\n" DOMAIN KEY,
        TITLE "version 00 build 2\n" ID DOMAIN KEY,
        TITLE "version 0 build \n" ID DOMAIN KEY,
        TITLE "version 0 build 2 \n" ID DOMAIN KEY,
        TITLE "version -1 build 2\n" ID DOMAIN KEY,
        TITLE "version 0 build 99999999999999999999\n" ID DOMAIN KEY,
        TITLE "version 0 build 999999999999999999999\n" ID DOMAIN KEY,
    };

    (void)state;
    assert_int_equal(decode_with_crc(TITLE VERSION ID DOMAIN KEY), STATUS_OK);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_int_equal(decode_with_crc(bodies[i]), STATUS_CORRUPT);
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    char body[REPOSITORY_FILE_MAX + 1];

    (void)state;
    memset(body, 'x', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    memcpy(body, TITLE "version 1 build 1\n", strlen(TITLE "version 1 build 1\n"));
    assert_int_equal(decode_with_crc(body), STATUS_CORRUPT);
    body[REPOSITORY_FILE_MAX - strlen("crc 12345678\n")] = '\0';
    assert_int_equal(decode_with_crc(body), STATUS_UNSUPPORTED); /* just fits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_the_text_that_the_page_shows),
        cmocka_unit_test(a_file_reads_back),
        cmocka_unit_test(any_changed_bit_is_damage),
        cmocka_unit_test(another_build_is_refused_by_a_sentence_that_names_both),
        cmocka_unit_test(other_lines_are_refused_also_with_a_right_sum),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests_name("repository", tests, NULL, NULL);
}
