#include "tests/fs_contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <uv.h>

#include "base/text.h"
#include "tests/support/test.h"

static int set_up(void **state)
{
    struct fs_contract *contract = *state;

    contract->make(contract);
    return 0;
}

static int tear_down(void **state)
{
    struct fs_contract *contract = *state;

    contract->unmake(contract);
    return 0;
}

static struct fs *fs_of(void **state)
{
    return ((struct fs_contract *)*state)->fs;
}

/* --- short hands: what must go well, and what must fail --------------------------------------- */

static struct fs_file *opened(struct fs *fs, const char *path, enum fs_mode mode)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_open(fs, path, mode, &file, &err), STATUS_OK);
    assert_non_null(file);
    return file;
}

static void expect_open(struct fs *fs, const char *path, enum fs_mode mode, enum status expected)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_open(fs, path, mode, &file, &err), expected);
    assert_null(file);
    assert_int_equal(err.status, expected);
}

static void put(struct fs_file *file, uint64_t offset, const char *text)
{
    struct error err = {0};

    assert_int_equal(fs_write_at(file, offset, slice_of_text(text), &err), STATUS_OK);
}

static void made(struct fs *fs, const char *path, const char *text)
{
    struct fs_file *file = opened(fs, path, FS_CREATE);

    put(file, 0, text);
    fs_close(file);
}

static void made_dir(struct fs *fs, const char *path)
{
    struct error err = {0};

    assert_int_equal(fs_make_dir(fs, path, &err), STATUS_OK);
}

static void assert_bytes(struct fs_file *file, uint64_t offset, const void *bytes, size_t size)
{
    uint8_t got[64] = {0};
    struct error err = {0};

    assert_true(size <= sizeof(got));
    assert_int_equal(fs_read_exactly_at(file, offset, got, size, &err), STATUS_OK);
    assert_memory_equal(got, bytes, size);
}

static void assert_file_size(struct fs_file *file, uint64_t expected)
{
    uint64_t size = UINT64_MAX;
    struct error err = {0};

    assert_int_equal(fs_size(file, &size, &err), STATUS_OK);
    assert_int_equal(size, expected);
}

static void assert_content(struct fs *fs, const char *path, const char *text)
{
    struct fs_file *file = opened(fs, path, FS_READ);

    assert_file_size(file, strlen(text));
    assert_bytes(file, 0, text, strlen(text));
    fs_close(file);
}

static void assert_list(struct fs *fs, const char *path, const char *expected)
{
    char list[512] = "";
    struct fs_names names = {0};
    struct error err = {0};

    assert_int_equal(fs_list(fs, path, &names, &err), STATUS_OK);
    for (size_t i = 0; i < names.count; i++) {
        size_t length = strlen(list);

        assert_true(text_format(list + length, sizeof(list) - length, "%s ", names.names[i]));
    }
    fs_names_deinit(&names);
    assert_string_equal(list, expected);
}

static void expect_rename(struct fs *fs, const char *from, const char *to, enum status expected)
{
    struct error err = {0};

    assert_int_equal(fs_rename(fs, from, to, &err), expected);
}

static void expect_remove(struct fs *fs, const char *path, enum status expected)
{
    struct error err = {0};

    assert_int_equal(fs_remove(fs, path, &err), expected);
}

static void expect_list(struct fs *fs, const char *path, enum status expected)
{
    struct fs_names names = {0};
    struct error err = {0};

    assert_int_equal(fs_list(fs, path, &names, &err), expected);
    assert_int_equal(names.count, 0);
}

/* --- content ---------------------------------------------------------------------------------- */

static void written_bytes_are_read_back(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    struct fs_file *again = NULL;

    put(file, 0, "hello world");
    put(file, 6, "there");
    assert_file_size(file, 11);
    assert_bytes(file, 0, "hello there", 11);
    again = opened(fs_of(state), "file", FS_WRITE);
    put(again, 11, "!");
    assert_bytes(file, 5, " there!", 7);
    fs_close(again);
    fs_close(file);
    fs_close(NULL);
}

static void reads_end_where_the_file_ends(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    char bytes[8] = "";
    size_t size = 99;
    struct error err = {0};

    put(file, 0, "12345");
    assert_int_equal(fs_read_at(file, 3, bytes, sizeof(bytes), &size, &err), STATUS_OK);
    assert_int_equal(size, 2);
    assert_memory_equal(bytes, "45", 2);
    assert_int_equal(fs_read_at(file, 5, bytes, sizeof(bytes), &size, &err), STATUS_OK);
    assert_int_equal(size, 0);
    assert_int_equal(fs_read_at(file, 1U << 20, bytes, sizeof(bytes), &size, &err), STATUS_OK);
    assert_int_equal(size, 0);
    assert_int_equal(fs_read_at(file, 0, bytes, 0, &size, &err), STATUS_OK);
    assert_int_equal(size, 0);
    fs_close(file);
}

static void file_shorter_than_it_must_be_is_corrupt(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    char bytes[6] = "";
    struct error err = {0};

    put(file, 0, "12345");
    assert_int_equal(fs_read_exactly_at(file, 0, bytes, 5, &err), STATUS_OK);
    assert_int_equal(fs_read_exactly_at(file, 0, bytes, 6, &err), STATUS_CORRUPT);
    assert_string_equal(err.text, "read file at 0: the file ends after 5 of 6 bytes");
    fs_close(file);
}

static void write_behind_the_end_leaves_zeros_before_it(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);

    put(file, 10000, "end");
    assert_file_size(file, 10003);
    assert_bytes(file, 9996, "\0\0\0\0end", 7);
    assert_bytes(file, 0, "\0\0\0\0", 4);
    fs_close(file);
}

static void empty_write_changes_nothing(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);

    put(file, 100, "");
    assert_file_size(file, 0);
    fs_close(file);
}

static void resize_cuts_off_and_grows_with_zeros(void **state)
{
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    struct error err = {0};

    put(file, 0, "12345678");
    put(file, 9000, "x");
    assert_int_equal(fs_resize(file, 3, &err), STATUS_OK);
    assert_file_size(file, 3);
    assert_int_equal(fs_resize(file, 9001, &err), STATUS_OK);
    assert_file_size(file, 9001);
    assert_bytes(file, 0, "123\0\0\0\0\0", 8);
    assert_bytes(file, 9000, "\0", 1);
    assert_int_equal(fs_resize(file, 0, &err), STATUS_OK);
    assert_file_size(file, 0);
    fs_close(file);
}

static void data_is_found_between_holes(void **state)
{
    const uint64_t far = 1U << 20;
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    uint64_t start = 0;
    uint64_t end = 0;
    struct error err = {0};

    put(file, far, "data");
    assert_int_equal(fs_resize(file, 3 * far, &err), STATUS_OK);
    /* A file system may take more for data than was written, never less. */
    assert_int_equal(fs_next_data(file, 0, &start, &end, &err), STATUS_OK);
    assert_true(start <= far && end >= far + 4 && end <= 3 * far);
    assert_int_equal(fs_next_data(file, far + 1, &start, &end, &err), STATUS_OK);
    assert_int_equal(start, far + 1);
    assert_true(end >= far + 4);
    put(file, 3 * far - 2, "zz");
    assert_int_equal(fs_next_data(file, 3 * far - 1, &start, &end, &err), STATUS_OK);
    assert_int_equal(start, 3 * far - 1);
    assert_int_equal(end, 3 * far);
    assert_int_equal(fs_next_data(file, 3 * far, &start, &end, &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_next_data(file, 9 * far, &start, &end, &err), STATUS_NOT_FOUND);
    fs_close(file);
    file = opened(fs_of(state), "empty", FS_CREATE);
    assert_int_equal(fs_next_data(file, 0, &start, &end, &err), STATUS_NOT_FOUND);
    fs_close(file);
}

static void file_open_for_reading_takes_no_changes(void **state)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    made(fs_of(state), "file", "text");
    file = opened(fs_of(state), "file", FS_READ);
    assert_int_not_equal(fs_write_at(file, 0, slice_of_text("x"), &err), STATUS_OK);
    assert_int_not_equal(fs_resize(file, 0, &err), STATUS_OK);
    fs_close(file);
    assert_content(fs_of(state), "file", "text");
}

static void offsets_beyond_2_to_the_63_are_refused(void **state)
{
    const uint64_t top = INT64_MAX;
    struct fs_file *file = opened(fs_of(state), "file", FS_CREATE);
    char bytes[2] = "";
    size_t size = 0;
    uint64_t start = 0;
    uint64_t end = 0;
    struct error err = {0};

    assert_int_equal(fs_write_at(file, top, slice_of_text("x"), &err), STATUS_RANGE);
    assert_int_equal(fs_write_at(file, UINT64_MAX, slice_of_text("x"), &err), STATUS_RANGE);
    assert_int_equal(fs_read_at(file, top - 1, bytes, 2, &size, &err), STATUS_RANGE);
    assert_int_equal(fs_read_at(file, UINT64_MAX, bytes, 2, &size, &err), STATUS_RANGE);
    assert_int_equal(fs_read_at(file, top - 2, bytes, 2, &size, &err), STATUS_OK);
    assert_int_equal(fs_resize(file, top + 1, &err), STATUS_RANGE);
    assert_int_equal(fs_next_data(file, top + 1, &start, &end, &err), STATUS_RANGE);
    assert_file_size(file, 0);
    fs_close(file);
}

/* --- names ------------------------------------------------------------------------------------ */

static void opening_says_what_stands_in_the_way(void **state)
{
    struct fs *fs = fs_of(state);

    made(fs, "file", "");
    made_dir(fs, "dir");
    expect_open(fs, "file", FS_CREATE, STATUS_EXISTS);
    expect_open(fs, "dir", FS_CREATE, STATUS_EXISTS);
    expect_open(fs, "none", FS_READ, STATUS_NOT_FOUND);
    expect_open(fs, "none", FS_WRITE, STATUS_NOT_FOUND);
    expect_open(fs, "none/file", FS_CREATE, STATUS_NOT_FOUND);
    expect_open(fs, "dir/none", FS_READ, STATUS_NOT_FOUND);
    expect_open(fs, "dir", FS_READ, STATUS_PRECONDITION);
    expect_open(fs, "dir", FS_WRITE, STATUS_PRECONDITION);
    expect_open(fs, "file/below", FS_CREATE, STATUS_PRECONDITION);
    expect_open(fs, "file/below", FS_READ, STATUS_PRECONDITION);
    expect_open(fs, "", FS_READ, STATUS_PRECONDITION);
}

static void folders_nest(void **state)
{
    struct fs *fs = fs_of(state);
    struct error err = {0};

    made_dir(fs, "a");
    made_dir(fs, "a/b");
    made_dir(fs, "a/b/c");
    made(fs, "a/b/c/file", "deep");
    made(fs, "a/b/other", "");
    assert_content(fs, "a/b/c/file", "deep");
    assert_list(fs, "", "a ");
    assert_list(fs, "a/b", "c other ");
    assert_int_equal(fs_make_dir(fs, "a/b", &err), STATUS_EXISTS);
    assert_int_equal(fs_make_dir(fs, "a/b/other", &err), STATUS_EXISTS);
    assert_int_equal(fs_make_dir(fs, "x/y", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_make_dir(fs, "a/b/other/y", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_make_dir(fs, "", &err), STATUS_EXISTS);
}

static void names_are_listed_by_their_bytes(void **state)
{
    struct fs *fs = fs_of(state);

    assert_list(fs, "", "");
    made(fs, "b", "");
    made(fs, "a", "");
    made(fs, "B", "");
    made(fs, "a-b", "");
    made(fs, "\xc3\xa4", "");
    made_dir(fs, "a.d");
    made(fs, "a.d/z", "");
    assert_list(fs, "", "B a a-b a.d b \xc3\xa4 ");
    assert_list(fs, "a.d", "z ");
    expect_list(fs, "a", STATUS_PRECONDITION);
    expect_list(fs, "none", STATUS_NOT_FOUND);
    expect_list(fs, "none/none", STATUS_NOT_FOUND);
    expect_list(fs, "a/none", STATUS_PRECONDITION);
}

static void removed_files_and_empty_folders_are_gone(void **state)
{
    struct fs *fs = fs_of(state);

    made_dir(fs, "dir");
    made_dir(fs, "dir-2");
    made(fs, "dir/file", "x");
    expect_remove(fs, "dir", STATUS_PRECONDITION);
    expect_remove(fs, "dir/none", STATUS_NOT_FOUND);
    expect_remove(fs, "dir/file/below", STATUS_PRECONDITION);
    expect_remove(fs, "", STATUS_PRECONDITION);
    expect_remove(fs, "dir/file", STATUS_OK);
    expect_remove(fs, "dir/file", STATUS_NOT_FOUND);
    expect_remove(fs, "dir", STATUS_OK);
    assert_list(fs, "", "dir-2 ");
    made(fs, "dir", "a file now");
    assert_content(fs, "dir", "a file now");
}

static void open_file_outlives_its_name(void **state)
{
    struct fs *fs = fs_of(state);
    struct fs_file *file = opened(fs, "file", FS_CREATE);
    struct error err = {0};

    put(file, 0, "old");
    expect_remove(fs, "file", STATUS_OK);
    made(fs, "file", "another");
    put(file, 3, "er");
    assert_bytes(file, 0, "older", 5);
    assert_int_equal(fs_sync(file, &err), STATUS_OK);
    fs_close(file);
    assert_content(fs, "file", "another");
}

static void rename_takes_the_file_along(void **state)
{
    struct fs *fs = fs_of(state);

    made_dir(fs, "dir");
    made(fs, "a", "text");
    expect_rename(fs, "a", "b", STATUS_OK);
    assert_list(fs, "", "b dir ");
    assert_content(fs, "b", "text");
    expect_rename(fs, "b", "dir/c", STATUS_OK);
    assert_list(fs, "", "dir ");
    assert_content(fs, "dir/c", "text");
    expect_rename(fs, "dir/c", "dir/c", STATUS_OK);
    assert_content(fs, "dir/c", "text");
}

static void rename_replaces_a_file(void **state)
{
    struct fs *fs = fs_of(state);
    struct fs_file *old = NULL;

    made(fs, "a", "new");
    made(fs, "b", "old");
    old = opened(fs, "b", FS_READ);
    expect_rename(fs, "a", "b", STATUS_OK);
    assert_list(fs, "", "b ");
    assert_content(fs, "b", "new");
    assert_bytes(old, 0, "old", 3);
    fs_close(old);
}

static void rename_that_cannot_be_changes_nothing(void **state)
{
    struct fs *fs = fs_of(state);

    made_dir(fs, "dir");
    made_dir(fs, "dir/sub");
    made(fs, "file", "text");
    expect_rename(fs, "none", "x", STATUS_NOT_FOUND);
    expect_rename(fs, "file", "none/x", STATUS_NOT_FOUND);
    expect_rename(fs, "none/x", "file", STATUS_NOT_FOUND);
    expect_rename(fs, "file", "file/x", STATUS_PRECONDITION);
    expect_rename(fs, "dir", "other", STATUS_PRECONDITION);
    expect_rename(fs, "dir", "file", STATUS_PRECONDITION);
    expect_rename(fs, "file", "dir", STATUS_PRECONDITION);
    expect_rename(fs, "file", "dir/sub", STATUS_PRECONDITION);
    expect_rename(fs, "", "x", STATUS_PRECONDITION);
    expect_rename(fs, "file", "", STATUS_PRECONDITION);
    assert_list(fs, "", "dir file ");
    assert_content(fs, "file", "text");
}

static void paths_that_are_none_are_refused_everywhere(void **state)
{
    static const char *const paths[] = {
        "/",   "/file", "file/", "a//b",   ".",    "..",       "./file", "a/./b",
        "a/.", "a/..",  "../a",  "a/../b", "a\nb", "a/\x1f/b", "a\x7f",
    };
    struct fs *fs = fs_of(state);

    made(fs, "good", "");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct error err = {0};

        expect_open(fs, paths[i], FS_READ, STATUS_INVALID);
        expect_open(fs, paths[i], FS_CREATE, STATUS_INVALID);
        assert_int_equal(fs_make_dir(fs, paths[i], &err), STATUS_INVALID);
        expect_rename(fs, paths[i], "x", STATUS_INVALID);
        expect_rename(fs, "good", paths[i], STATUS_INVALID);
        expect_remove(fs, paths[i], STATUS_INVALID);
        expect_list(fs, paths[i], STATUS_INVALID);
        assert_int_equal(fs_sync_dir(fs, paths[i], &err), STATUS_INVALID);
        assert_int_equal(fs_replace(fs, paths[i], slice_of_text("x"), &err), STATUS_INVALID);
    }
    assert_list(fs, "", "good ");
}

static void names_have_255_bytes_and_paths_1023(void **state)
{
    struct fs *fs = fs_of(state);
    char name[257];
    char path[FS_PATH_SIZE + 1];

    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    expect_open(fs, name, FS_CREATE, STATUS_INVALID);
    name[255] = '\0';
    made_dir(fs, name);
    assert_true(text_format(path, sizeof(path), "%s/%s", name, name));
    made_dir(fs, path);
    assert_true(text_format(path, sizeof(path), "%s/%s/%s", name, name, name));
    made_dir(fs, path);
    assert_true(text_format(path, sizeof(path), "%s/%s/%s/%s", name, name, name, name));
    assert_int_equal(strlen(path), FS_PATH_MAX);
    made(fs, path, "text");
    assert_content(fs, path, "text");
    path[FS_PATH_MAX] = 'n';
    path[FS_PATH_MAX + 1] = '\0';
    expect_open(fs, path, FS_READ, STATUS_INVALID);
}

static void three_dots_are_a_name(void **state)
{
    made(fs_of(state), "...", "text");
    made(fs_of(state), ".hidden", "");
    made(fs_of(state), "with space", "");
    assert_content(fs_of(state), "...", "text");
    assert_list(fs_of(state), "", "... .hidden with space ");
}

static void syncs_of_what_is_there_succeed(void **state)
{
    struct fs *fs = fs_of(state);
    struct fs_file *file = opened(fs, "file", FS_CREATE);
    struct fs_file *reader = NULL;
    struct error err = {0};

    made_dir(fs, "dir");
    put(file, 0, "text");
    assert_int_equal(fs_sync(file, &err), STATUS_OK);
    reader = opened(fs, "file", FS_READ);
    assert_int_equal(fs_sync(reader, &err), STATUS_OK);
    fs_close(reader);
    fs_close(file);
    assert_int_equal(fs_sync_dir(fs, "", &err), STATUS_OK);
    assert_int_equal(fs_sync_dir(fs, "dir", &err), STATUS_OK);
    assert_int_equal(fs_sync_dir(fs, "none", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_sync_dir(fs, "file", &err), STATUS_PRECONDITION);
}

static void lock_is_held_by_one_until_it_is_closed(void **state)
{
    struct fs *fs = fs_of(state);
    struct fs_file *lock = NULL;
    struct fs_file *other = NULL;
    struct error err = {0};

    made_dir(fs, "dir");
    for (unsigned i = 0; i < 2; i++) { /* the file is new, then it is there */
        assert_int_equal(fs_lock(fs, "dir/lock", &lock, &err), STATUS_OK);
        assert_int_equal(fs_lock(fs, "dir/lock", &other, &err), STATUS_UNAVAILABLE);
        assert_null(other);
        assert_non_null(strstr(err.text, "holds it"));
        assert_int_equal(fs_lock(fs, "lock", &other, &err), STATUS_OK);
        fs_close(other);
        other = NULL;
        fs_close(lock);
    }
    assert_list(fs, "dir", "lock ");
    assert_int_equal(fs_lock(fs, "none/lock", &lock, &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_lock(fs, "", &lock, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_lock(fs, "../lock", &lock, &err), STATUS_INVALID);
}

static void replace_puts_new_content_under_the_name(void **state)
{
    struct fs *fs = fs_of(state);
    struct error err = {0};

    made_dir(fs, "dir");
    assert_int_equal(fs_replace(fs, "dir/file", slice_of_text("one"), &err), STATUS_OK);
    assert_content(fs, "dir/file", "one");
    made(fs, "dir/file.new", "left over by a crash, and longer");
    assert_int_equal(fs_replace(fs, "dir/file", slice_of_text("two"), &err), STATUS_OK);
    assert_content(fs, "dir/file", "two");
    assert_int_equal(fs_replace(fs, "dir/file", slice_of(NULL, 0), &err), STATUS_OK);
    assert_content(fs, "dir/file", "");
    assert_list(fs, "dir", "file ");
    assert_int_equal(fs_replace(fs, "none/file", slice_of_text("x"), &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_replace(fs, "dir", slice_of_text("x"), &err), STATUS_PRECONDITION);
    assert_int_equal(fs_replace(fs, "", slice_of_text("x"), &err), STATUS_PRECONDITION);
    assert_list(fs, "", "dir ");
}

static void errors_name_the_operation_and_the_path(void **state)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_open(fs_of(state), "dir/none", FS_READ, &file, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "open dir/none: "));
    assert_int_equal(err.kind, NATIVE_ERRNO);
    assert_int_equal(fs_remove(fs_of(state), "none", &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "remove none: "));
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 25, STRETCH = 3000 };

struct writer {
    uv_thread_t thread;
    struct fs *fs;
    struct fs_file *file;
    unsigned number;
    bool ok;
};

static bool write_and_look(struct writer *writer, unsigned round)
{
    uint8_t bytes[STRETCH];
    uint8_t got[STRETCH];
    char path[32];
    uint64_t offset = (uint64_t)(round * THREADS + writer->number) * STRETCH;
    struct fs_file *own = NULL;
    struct error err = {0};

    memset(bytes, (int)(writer->number + 1), sizeof(bytes));
    bool ok =
        text_format(path, sizeof(path), "own-%u", writer->number) &&
        fs_write_at(writer->file, offset, slice_of(bytes, sizeof(bytes)), &err) == STATUS_OK &&
        fs_read_exactly_at(writer->file, offset, got, sizeof(got), &err) == STATUS_OK &&
        memcmp(got, bytes, sizeof(got)) == 0 &&
        fs_open(writer->fs, path, FS_CREATE, &own, &err) == STATUS_OK &&
        fs_sync(writer->file, &err) == STATUS_OK;

    fs_close(own);
    return ok && fs_remove(writer->fs, path, &err) == STATUS_OK;
}

static void write_in_turns(void *arg)
{
    struct writer *writer = arg;

    writer->ok = true;
    for (unsigned round = 0; round < ROUNDS; round++)
        writer->ok = writer->ok && write_and_look(writer, round);
}

static void threads_share_a_file_and_a_folder(void **state)
{
    struct writer writers[THREADS] = {0};
    struct fs_file *file = opened(fs_of(state), "shared", FS_CREATE);

    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.fs = fs_of(state), .file = file, .number = i};
        assert_int_equal(uv_thread_create(&writers[i].thread, write_in_turns, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(uv_thread_join(&writers[i].thread), 0);
        assert_true(writers[i].ok);
    }
    assert_file_size(file, (uint64_t)THREADS * ROUNDS * STRETCH);
    fs_close(file);
    assert_list(fs_of(state), "", "shared ");
}

#define CONTRACT(TEST) cmocka_unit_test_setup_teardown(TEST, set_up, tear_down)

int fs_contract_run(struct fs_contract *contract)
{
    struct CMUnitTest tests[] = {
        CONTRACT(written_bytes_are_read_back),
        CONTRACT(reads_end_where_the_file_ends),
        CONTRACT(file_shorter_than_it_must_be_is_corrupt),
        CONTRACT(write_behind_the_end_leaves_zeros_before_it),
        CONTRACT(empty_write_changes_nothing),
        CONTRACT(resize_cuts_off_and_grows_with_zeros),
        CONTRACT(data_is_found_between_holes),
        CONTRACT(file_open_for_reading_takes_no_changes),
        CONTRACT(offsets_beyond_2_to_the_63_are_refused),
        CONTRACT(opening_says_what_stands_in_the_way),
        CONTRACT(folders_nest),
        CONTRACT(names_are_listed_by_their_bytes),
        CONTRACT(removed_files_and_empty_folders_are_gone),
        CONTRACT(open_file_outlives_its_name),
        CONTRACT(rename_takes_the_file_along),
        CONTRACT(rename_replaces_a_file),
        CONTRACT(rename_that_cannot_be_changes_nothing),
        CONTRACT(paths_that_are_none_are_refused_everywhere),
        CONTRACT(names_have_255_bytes_and_paths_1023),
        CONTRACT(three_dots_are_a_name),
        CONTRACT(syncs_of_what_is_there_succeed),
        CONTRACT(lock_is_held_by_one_until_it_is_closed),
        CONTRACT(replace_puts_new_content_under_the_name),
        CONTRACT(errors_name_the_operation_and_the_path),
        CONTRACT(threads_share_a_file_and_a_folder),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = contract;
    return cmocka_run_group_tests_name(contract->name, tests, NULL, NULL);
}
