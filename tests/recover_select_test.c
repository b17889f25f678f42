#include <string.h>

#include "recover/extract.h"
#include "recover/select.h"
#include "recover/show.h"
#include "tests/support/test.h"

#define DAY_US INT64_C(86400000000)

static struct point_item item_of(bool is_file, const char *name)
{
    struct point_item item = {.is_file = is_file, .size = 4096};

    memcpy(item.name, name, strlen(name) + 1);
    return item;
}

static struct point point_of(uint8_t task, const char *vm, int64_t day, enum point_state state)
{
    struct point point = {.state = state,
                          .task_known = true,
                          .envelope_there = true,
                          .body_there = true,
                          .time_us = day * DAY_US};

    memset(point.task.bytes, task, RANDOM_ID_SIZE);
    memset(point.envelope_ref.id.bytes, 0xf0 + task, ID_SIZE);
    memset(point.vm.bytes, vm[0], RANDOM_ID_SIZE);
    memcpy(point.vm_name, vm, strlen(vm) + 1);
    return point;
}

/* Of two VMs: two in the log, one in the trash, one that is not in the log and newer than all. */
static struct points sample(struct point rows[4])
{
    rows[0] = point_of(0x01, "web", 1, POINT_LIVE);
    rows[1] = point_of(0x02, "web", 2, POINT_LOCKED);
    rows[2] = point_of(0x03, "web", 3, POINT_TRASH);
    rows[3] = point_of(0x04, "db", 4, POINT_NOT_IN_LOG);
    return (struct points){.rows = rows, .count = 4};
}

static void expect_point(const char *text, size_t expected)
{
    struct point rows[4];
    struct points points = sample(rows);
    struct error err = {0};
    size_t found = 99;

    ASSERT_OK(select_point(&points, text, &found, &err), &err);
    if (found != expected)
        fail_msg("%s gives point %zu, not %zu", text, found, expected);
}

static void expect_none(const char *text, enum status status, const char *words)
{
    struct point rows[4];
    struct points points = sample(rows);
    struct error err = {0};
    size_t found = 99;

    ASSERT_STATUS(status, select_point(&points, text, &found, &err), &err);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s: %s", text, err.text);
}

static void a_point_is_named_by_task_envelope_or_vm(void **state)
{
    (void)state;
    expect_point("020202", 1);
    expect_point("F1F1F1F1", 0);
    expect_point("web@1970-01-02", 0);
    expect_point("web@1970-01-04T00:00:00Z", 2);
    expect_point("web@latest", 1); /* the trash does not count */
    expect_point("db@latest", 3);
    expect_point("64646464646464646464646464646464@latest", 3); /* by the VM's id */
}

static void what_fits_none_or_several_gets_a_sentence(void **state)
{
    (void)state;
    expect_none("abcdef", STATUS_NOT_FOUND, "there is no restore point abcdef");
    expect_none("web@1970", STATUS_INVALID,
                "any of 3 restore points: 010101010101 (web@1970-01-02");
    expect_none("file@latest", STATUS_NOT_FOUND, "no restore point");
    expect_none("0202", STATUS_INVALID, "VM@TIME");
    expect_none("@latest", STATUS_INVALID, "VM@TIME");
    expect_none("web@", STATUS_INVALID, "VM@TIME");
}

static void a_disk_is_named_by_name_or_number(void **state)
{
    struct point_item items[] = {item_of(false, "a"), item_of(false, "2"), item_of(false, "a"),
                                 item_of(true, "a")};
    const struct point point = {.items = items, .disk_count = 3, .item_count = 4};
    struct error err = {0};
    size_t found = 99;

    (void)state;
    ASSERT_OK(select_item(&point, false, "3", &found, &err), &err);
    assert_int_equal(found, 2);
    ASSERT_OK(select_item(&point, false, "2", &found, &err),
              &err); /* a name goes before a number */
    assert_int_equal(found, 1);
    ASSERT_OK(select_item(&point, true, "a", &found, &err), &err);
    assert_int_equal(found, 3);
    ASSERT_STATUS(STATUS_INVALID, select_item(&point, false, "a", &found, &err), &err);
    assert_non_null(strstr(err.text, "1 (a), 3 (a)"));
    ASSERT_STATUS(STATUS_NOT_FOUND, select_item(&point, false, "4", &found, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, select_item(&point, true, "0", &found, &err), &err);
}

static void file_names_are_harmless_and_differ(void **state)
{
    struct point_item hostile[] = {item_of(false, "../../etc/passwd"), item_of(false, ""),
                                   item_of(true, "..")};
    struct point_item equal[] = {item_of(false, "a"), item_of(true, "a.raw")};
    const struct point one = {.items = hostile, .disk_count = 2, .item_count = 3};
    const struct point two = {.items = equal, .disk_count = 1, .item_count = 2};
    char name[EXTRACT_NAME_SIZE];

    (void)state;
    extract_name(&one, 0, name);
    assert_string_equal(name, "_._.._etc_passwd.raw");
    extract_name(&one, 1, name);
    assert_string_equal(name, "disk-2.raw");
    extract_name(&one, 2, name);
    assert_string_equal(name, "_.");
    extract_name(&two, 0, name);
    assert_string_equal(name, "1-a.raw");
    extract_name(&two, 1, name);
    assert_string_equal(name, "2-a.raw");
}

static void progress_says_rate_and_time_left(void **state)
{
    char line[SHOW_LINE_SIZE];
    char text[SHOW_SIZE];

    (void)state;
    show_progress_line("disk-1", 512 << 20, 1024 << 20, 4000, line);
    assert_string_equal(line, "disk-1 50 % of 1.0 GiB, 128.0 MiB/s, 4 s left");
    show_progress_line("disk-1", 0, 1024, 10, line);
    assert_string_equal(line, "disk-1 0 % of 1.0 KiB");
    show_time(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    show_bytes(UINT64_MAX, text);
    assert_string_equal(text, "15.9 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_is_named_by_task_envelope_or_vm),
        cmocka_unit_test(what_fits_none_or_several_gets_a_sentence),
        cmocka_unit_test(a_disk_is_named_by_name_or_number),
        cmocka_unit_test(file_names_are_harmless_and_differ),
        cmocka_unit_test(progress_says_rate_and_time_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
