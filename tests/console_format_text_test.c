#include "console/format_text.h"
#include "console/progress.h"
#include "tests/support/test.h"

static void sizes_are_cut_and_never_rounded_up(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {UINT64_C(1024) * 1024 - 1, "1023.9 KiB"},
        {UINT64_C(3) * 512 * 1024 * 1024, "1.5 GiB"},
        {UINT64_C(64) << 40, "64.0 TiB"},
        {UINT64_MAX, "15.9 EiB"},
    };

    char text[FORMAT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        format_text_bytes(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void times_are_utc(void **state)
{
    static const struct {
        int64_t time_us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},           {-1, "1969-12-31T23:59:59Z"},
        {-1000000, "1969-12-31T23:59:59Z"},    {INT64_C(1795442587412905), "2026-11-23T14:03:07Z"},
        {INT64_MAX, "294247-01-10T04:00:54Z"}, {INT64_MIN, "-290308-12-21T19:59:05Z"},
    };

    char text[FORMAT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        format_text_time(rows[i].time_us, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void durations_have_two_parts_at_most(void **state)
{
    static const struct {
        uint64_t duration_ms;
        const char *text;
    } rows[] = {
        {0, "0.0 s"},
        {499, "0.4 s"},
        {9999, "9.9 s"},
        {10000, "10 s"},
        {59999, "59 s"},
        {187000, "3 min 07 s"},
        {7500000, "2 h 05 min"},
        {UINT64_C(356400000), "4 d 03 h"},
        {UINT64_MAX, "213503982334 d 14 h"},
    };

    char text[FORMAT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        format_text_duration(rows[i].duration_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void percents_reach_100_at_the_end_only(void **state)
{
    (void)state;
    assert_int_equal(format_text_percent(0, 7), 0);
    assert_int_equal(format_text_percent(999, 1000), 99);
    assert_int_equal(format_text_percent(1000, 1000), 100);
    assert_int_equal(format_text_percent(2000, 1000), 100);
    assert_int_equal(format_text_percent(0, 0), 100);
    assert_int_equal(format_text_percent(UINT64_MAX - 1, UINT64_MAX), 99);
    assert_int_equal(format_text_percent(UINT64_MAX / 2, UINT64_MAX), 50);
}

static void ratios_have_one_digit(void **state)
{
    static const struct {
        uint64_t above, below;
        const char *text;
    } rows[] = {
        {32, 10, "3.2 : 1"},
        {10, 10, "1.0 : 1"},
        {1, 3, "0.3 : 1"},
        {1, 0, "-"},
        {0, 5, "0.0 : 1"},
        {UINT64_MAX, 1, "18446744073709551615.0 : 1"},
        {UINT64_MAX - 1, UINT64_MAX, "0.9 : 1"},
    };

    char text[FORMAT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        format_text_ratio(rows[i].above, rows[i].below, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void strangers_texts_cannot_steer_a_terminal(void **state)
{
    static const struct {
        const char *text, *visible;
    } rows[] = {
        {"web-01", "web-01"},
        {"", ""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe"},
        {"\x1b[2Jgone", "?[2Jgone"},
        {"a\nb\tc\x7f", "a?b?c?"},
        {"\xc2\x9b"
         "2J",
         "??2J"},                 /* CSI as one C1 character */
        {"\xc2\xa0", "\xc2\xa0"}, /* the first one that is none */
        {"\xff\xfe", "??"},
        {"\xc0\xaf", "??"}, /* overlong */
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
        {"cut \xe2\x82", "cut ??"},   /* ends within a character */
    };

    char visible[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        format_text_visible(rows[i].text, visible, sizeof(visible));
        assert_string_equal(visible, rows[i].visible);
    }
}

static void what_does_not_fit_is_left_out_by_characters(void **state)
{
    char visible[6];

    (void)state;
    format_text_visible("12345678", visible, sizeof(visible));
    assert_string_equal(visible, "12345");
    format_text_visible("1234\xc3\xbc", visible, sizeof(visible));
    assert_string_equal(visible, "1234");
    format_text_visible("x", visible, 1);
    assert_string_equal(visible, "");
}

static void a_progress_line_tells_share_rate_and_time_left(void **state)
{
    char line[PROGRESS_LINE_SIZE];

    (void)state;
    progress_line("exported", UINT64_C(1) << 30, UINT64_C(4) << 30, 8000, line);
    assert_string_equal(line, "exported  25 % of 4.0 GiB, 128.0 MiB/s, 24 s left");
    progress_line("exported", 0, UINT64_C(4) << 30, 8000, line); /* no rate to go by */
    assert_string_equal(line, "exported   0 % of 4.0 GiB");
    progress_line("exported", 100, 1000, 100, line); /* too early */
    assert_string_equal(line, "exported  10 % of 1000 B");
    progress_line("exported", 1000, 1000, 1000, line);
    assert_string_equal(line, "exported 100 % of 1000 B, 1000 B/s");
    progress_line("backed up", 2048, 0, 1000, line); /* nobody knows of how much */
    assert_string_equal(line, "backed up 2.0 KiB, 2.0 KiB/s");
    progress_line("x", UINT64_MAX - 1, UINT64_MAX, 1000, line);
    progress_line("x", 1, UINT64_MAX, UINT64_MAX, line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_cut_and_never_rounded_up),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(durations_have_two_parts_at_most),
        cmocka_unit_test(percents_reach_100_at_the_end_only),
        cmocka_unit_test(ratios_have_one_digit),
        cmocka_unit_test(strangers_texts_cannot_steer_a_terminal),
        cmocka_unit_test(what_does_not_fit_is_left_out_by_characters),
        cmocka_unit_test(a_progress_line_tells_share_rate_and_time_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
