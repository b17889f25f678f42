#include <string.h>

#include "base/text.h"
#include "format/id.h"
#include "tests/support/test.h"

static struct id id_under(const char *key, uint8_t kind, struct slice plain)
{
    struct hash_key *id_key = NULL;
    struct error err = {0};
    struct id id;

    ASSERT_OK(hash_key_new(slice_of_text(key), &id_key, &err), &err);
    ASSERT_OK(id_of(id_key, kind, plain, &id, &err), &err);
    hash_key_free(id_key);
    return id;
}

/* Computed by Python's hmac: hmac.new(b"key", bytes([1]) + struct.pack("<Q", 3) + b"abc", "sha256"). */
static void an_id_is_the_known_answer(void **state)
{
    struct id id = id_under("key", KIND_BLOCK, slice_of_text("abc"));
    char text[ID_TEXT_SIZE];

    (void)state;
    id_text(&id, text);
    assert_string_equal(text, "dba5898f4a78296090af75068a762972bcc8cc1c9de857cd04cd5a782025f97a");
}

static void kind_key_and_content_each_change_the_id(void **state)
{
    struct id id = id_under("key", KIND_BLOCK, slice_of_text("abc"));
    struct id kind = id_under("key", KIND_BODY, slice_of_text("abc"));
    struct id key = id_under("kez", KIND_BLOCK, slice_of_text("abc"));
    struct id longer = id_under("key", KIND_BLOCK, slice_of("abc", 4));
    struct id empty = id_under("key", KIND_BLOCK, slice_of(NULL, 0));

    (void)state;
    assert_false(id_equal(&id, &kind));
    assert_false(id_equal(&id, &key));
    assert_false(id_equal(&id, &longer));
    assert_false(id_equal(&id, &empty));
    assert_false(id_is_hole(&empty));
}

static void only_zeros_are_a_hole(void **state)
{
    struct id id = {{0}};

    (void)state;
    assert_true(id_is_hole(&id));
    for (size_t i = 0; i < ID_SIZE; i++) {
        id = (struct id){{0}};
        id.bytes[i] = 1;
        assert_false(id_is_hole(&id));
    }
}

static void ids_are_ordered_by_their_bytes(void **state)
{
    struct id low = {{0}};
    struct id high = {{0}};

    (void)state;
    low.bytes[31] = 0xff;
    high.bytes[0] = 0x80;
    assert_true(id_compare(&low, &high) < 0);
    assert_true(id_compare(&high, &low) > 0);
    assert_int_equal(id_compare(&low, &low), 0);
    assert_true(id_equal(&low, &low));
    high = low;
    high.bytes[31] = 0;
    assert_false(id_equal(&low, &high));
}

static void random_ids_are_compared_and_named_whole(void **state)
{
    struct random_id one = {{0xab}};
    struct random_id other = {{0xab}};
    char text[RANDOM_ID_TEXT_SIZE];

    (void)state;
    assert_true(random_id_equal(&one, &other));
    other.bytes[15] = 1;
    assert_false(random_id_equal(&one, &other));
    random_id_text(&other, text);
    assert_string_equal(text, "ab000000000000000000000000000001");
}

/* The numbers are published: they are written out here. */
static void the_kinds_are_the_published_ones_and_no_others(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= 255; kind++)
        assert_int_equal(kind_known((uint8_t)kind),
                         (kind >= 1 && kind <= 6) || (kind >= 17 && kind <= 25));
}

static void each_kind_has_a_name(void **state)
{
    static const struct {
        uint8_t kind;
        const char *text;
    } names[] = {
        {1, "block"},
        {2, "disk root"},
        {3, "envelope"},
        {4, "body"},
        {5, "pack index"},
        {6, "file root"},
        {17, "node of level 1"},
        {25, "node of level 9"},
        {16, "unknown kind 16"},
        {255, "unknown kind 255"},
    };

    char text[KIND_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kind_text(names[i].kind, text);
        assert_string_equal(text, names[i].text);
    }
}

static void a_number_is_its_space_and_its_sequence(void **state)
{
    uint64_t last = number_of(NUMBER_SPACE_MAX, NUMBER_SEQUENCE_MAX);
    uint64_t number = number_of(0x010203, 4);

    (void)state;
    assert_true(number == 0x0102030000000004);
    assert_int_equal(number_space(number), 0x010203);
    assert_true(number_sequence(number) == 4);
    assert_true(last == UINT64_MAX);
    assert_int_equal(number_space(last), NUMBER_SPACE_MAX);
    assert_true(number_sequence(last) == NUMBER_SEQUENCE_MAX);
    assert_true(number_of(0, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_the_known_answer),
        cmocka_unit_test(kind_key_and_content_each_change_the_id),
        cmocka_unit_test(only_zeros_are_a_hole),
        cmocka_unit_test(ids_are_ordered_by_their_bytes),
        cmocka_unit_test(random_ids_are_compared_and_named_whole),
        cmocka_unit_test(the_kinds_are_the_published_ones_and_no_others),
        cmocka_unit_test(each_kind_has_a_name),
        cmocka_unit_test(a_number_is_its_space_and_its_sequence),
    };

    return cmocka_run_group_tests_name("format_id", tests, NULL, NULL);
}
