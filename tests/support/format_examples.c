#include "tests/support/format_examples.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"

#define FENCE "```"
#define BEGIN "```hex name="

enum { NAME_SIZE = 64, PER_LINE = 16 };

/* The next line of *PAGE without its line feed; false: there is none. */
static bool take_line(struct slice *page, struct slice *ret_line)
{
    if (page->size == 0)
        return false;

    const uint8_t *feed = memchr(page->data, '\n', page->size);
    size_t size = feed == NULL ? page->size : (size_t)(feed - page->data);
    size_t step = feed == NULL ? size : size + 1;

    *ret_line = slice_of(page->data, size);
    *page = slice_of(page->data + step, page->size - step);
    return true;
}

static bool begins_with(struct slice line, const char *text)
{
    return line.size >= strlen(text) && memcmp(line.data, text, strlen(text)) == 0;
}

/* The bytes of LINE up to a remark, appended to TARGET. */
static bool take_bytes(struct slice line, struct buffer *target)
{
    const uint8_t *remark = line.size == 0 ? NULL : memchr(line.data, '#', line.size);
    size_t end = remark == NULL ? line.size : (size_t)(remark - line.data);
    size_t at = 0;

    while (at < end) {
        uint8_t byte = 0;

        if (line.data[at] == ' ') {
            at++;
            continue;
        }
        if (end - at < 2 || !text_parse_hex(slice_of(line.data + at, 2), &byte, 1))
            return false;
        buffer_put_u8(target, byte);
        at += 2;
    }
    return true;
}

/* Steps to the next example of *PAGE: its name, and its bytes to SHOWN. *ret_end: there is none. */
static enum status take_example(struct slice *page, char name[NAME_SIZE], struct buffer *shown,
                                bool *ret_end, struct error *err)
{
    struct slice line;

    buffer_clear(shown);
    do {
        if (!take_line(page, &line)) {
            *ret_end = true;
            return STATUS_OK;
        }
    } while (!begins_with(line, BEGIN));

    size_t size = line.size - strlen(BEGIN);

    if (size == 0 || size >= NAME_SIZE)
        return error_set(err, STATUS_CORRUPT, "an example's name has %zu bytes", size);
    memcpy(name, line.data + strlen(BEGIN), size);
    name[size] = '\0';
    for (;;) {
        if (!take_line(page, &line))
            return error_set(err, STATUS_CORRUPT, "the example %s does not end", name);
        if (begins_with(line, FENCE))
            break;
        if (!take_bytes(line, shown))
            return error_set(err, STATUS_CORRUPT, "the example %s is not hexadecimal bytes", name);
    }
    *ret_end = false;
    return buffer_check(shown, name, err);
}

/* As the page would show it. A failed write to the test's output is not the example's fault. */
static void print_example(const char *name, struct slice bytes)
{
    (void)printf("docs/format.md should show:\n%s%s\n", BEGIN, name);
    for (size_t i = 0; i < bytes.size; i++)
        (void)printf("%02x%s", bytes.data[i],
                     i % PER_LINE == PER_LINE - 1 || i + 1 == bytes.size ? "\n" : " ");
    (void)printf("%s\n", FENCE);
}

static enum status compare(const struct format_example *example, struct slice shown,
                           struct error *err)
{
    struct buffer made;

    buffer_init(&made, FORMAT_EXAMPLE_SIZE_MAX);
    example->make(shown, &made);

    enum status st = buffer_check(&made, example->name, err);

    if (st == STATUS_OK && !slice_equal(shown, buffer_slice(&made))) {
        print_example(example->name, buffer_slice(&made));
        st = error_set(err, STATUS_CORRUPT, "the page shows other bytes for the example %s",
                       example->name);
    }
    buffer_deinit(&made);
    return st;
}

static enum status find(const char *name, const struct format_example *examples, size_t count,
                        size_t *ret_at, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(examples[i].name, name) == 0) {
            *ret_at = i;
            return STATUS_OK;
        }
    return error_set(err, STATUS_NOT_FOUND, "no code makes the page's example %s", name);
}

/* Goes through the whole page, so that all differences are printed; ERR keeps the last. */
static enum status check_page(struct slice page, const struct format_example *examples,
                              size_t count, struct buffer *shown, bool *seen, struct error *err)
{
    char name[NAME_SIZE];
    enum status result = STATUS_OK;
    bool end = false;

    for (;;) {
        size_t at = 0;
        enum status st = take_example(&page, name, shown, &end, err);

        if (st != STATUS_OK)
            return st;
        if (end)
            return result;
        st = find(name, examples, count, &at, err);
        if (st == STATUS_OK && seen[at])
            st = error_set(err, STATUS_CORRUPT, "the page shows the example %s twice", name);
        else if (st == STATUS_OK)
            st = compare(&examples[at], buffer_slice(shown), err);
        if (st == STATUS_OK)
            seen[at] = true;
        else
            result = st;
    }
}

enum status format_examples_check(struct slice page, const struct format_example *examples,
                                  size_t count, struct error *err)
{
    bool seen[FORMAT_EXAMPLES_MAX] = {false};
    struct buffer shown;

    INVARIANT(count <= FORMAT_EXAMPLES_MAX);
    buffer_init(&shown, FORMAT_EXAMPLE_SIZE_MAX);

    enum status st = check_page(page, examples, count, &shown, seen, err);

    buffer_deinit(&shown);
    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        if (!seen[i])
            st = error_set(err, STATUS_NOT_FOUND, "the page does not show the example %s",
                           examples[i].name);
    return st;
}
