#include "base/text.h"

#include <string.h>

#include "tests/support/test.h"

static void text_that_does_not_fit_is_refused_whole(void **state)
{
    char text[8];

    (void)state;
    assert_true(text_format(text, sizeof(text), "pack-%d", 12));
    assert_string_equal(text, "pack-12");
    assert_false(text_format(text, sizeof(text), "pack-%d", 123));
    assert_string_equal(text, "");
}

static void only_plain_decimal_numbers_that_fit_are_parsed(void **state)
{
    static const char *const wrong[] = {"",
                                        " 1",
                                        "1 ",
                                        "+1",
                                        "-1",
                                        "01",
                                        "1x",
                                        "0x1",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(text_parse_u64(wrong[i], &value));
        assert_int_equal(value, 7);
    }
    assert_true(text_parse_u64("0", &value));
    assert_int_equal(value, 0);
    assert_true(text_parse_u64("18446744073709551615", &value));
    assert_true(value == UINT64_MAX);
}

static void bytes_are_written_as_lower_case_hex(void **state)
{
    const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    char text[9];

    (void)state;
    text_hex(slice_of(bytes, sizeof(bytes)), text);
    assert_string_equal(text, "000fa5ff");
    text_hex(slice_of(NULL, 0), text);
    assert_string_equal(text, "");
}

static void hex_that_is_not_exactly_the_bytes_asked_for_is_refused(void **state)
{
    static const char *const wrong[] = {"",         "000fa5f",  "000fa5ff00",
                                        "000fa5f ", "000FA5FF", "000fa5fg"};
    uint8_t bytes[4] = {1, 2, 3, 4};
    const uint8_t untouched[4] = {1, 2, 3, 4};
    const uint8_t expected[4] = {0x00, 0x0f, 0xa5, 0xff};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(text_parse_hex(slice_of_text(wrong[i]), bytes, sizeof(bytes)));
        assert_memory_equal(bytes, untouched, sizeof(bytes));
    }
    assert_true(text_parse_hex(slice_of_text("000fa5ff"), bytes, sizeof(bytes)));
    assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void a_cut_never_splits_a_character(void **state)
{
    const char *text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe"; /* 1, 2, 3 and 4 bytes */
    const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

    (void)state;
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
        assert_int_equal(text_cut(text, i), cuts[i]);
}

static void only_well_formed_characters_have_a_length(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"a", 1},
        {"\x01", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf more", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"", 0},
        {"\x80", 0},
        {"\xbf\x80", 0},
        {"\xc1\xbf", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc2", 0},
        {"\xe2\x82", 0},
        {"\xf0\x9f\x92", 0},
        {"\xc2 ", 0},
        {"\xe2\x82 ", 0},
        {"\xe2\x28\xa1", 0},
        {"\xf0\x9f\x92\xc0", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(text_character(slice_of_text(cases[i].text)), cases[i].length);
    assert_int_equal(text_character(slice_of("\0", 1)), 1);
    assert_int_equal(text_character(slice_of("\xe2\x82\xac", 2)),
                     0); /* what is behind is not looked at */
}

static void control_characters_are_known_and_others_are_not(void **state)
{
    static const char *const controls[] = {"\x01", "\n", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9f"};
    static const char *const others[] = {" ",           "~", "\xc2\xa0", "\xc3\x80", "\xe2\x82\xac",
                                         "\xed\x9f\xbf"};

    (void)state;
    assert_true(text_is_control(slice_of("\0", 1)));
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        assert_true(text_is_control(slice_of_text(controls[i])));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(text_is_control(slice_of_text(others[i])));
}

static void plain_text_has_neither_controls_nor_other_bytes(void **state)
{
    (void)state;
    assert_true(text_is_plain(slice_of(NULL, 0)));
    assert_true(text_is_plain(slice_of_text("W\xc3\xa4scherei \xf0\x9f\x90\xa7")));
    assert_false(text_is_plain(slice_of_text("a\nb")));
    assert_false(text_is_plain(slice_of_text("ab\xc2\x9f")));
    assert_false(text_is_plain(slice_of_text("ab\xe2\x82")));
    assert_false(text_is_plain(slice_of("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_characters_have_a_length),
        cmocka_unit_test(control_characters_are_known_and_others_are_not),
        cmocka_unit_test(plain_text_has_neither_controls_nor_other_bytes),
        cmocka_unit_test(text_that_does_not_fit_is_refused_whole),
        cmocka_unit_test(only_plain_decimal_numbers_that_fit_are_parsed),
        cmocka_unit_test(bytes_are_written_as_lower_case_hex),
        cmocka_unit_test(hex_that_is_not_exactly_the_bytes_asked_for_is_refused),
        cmocka_unit_test(a_cut_never_splits_a_character),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
