/* What base/fs_posix.c asks of the kernel, in which order, and what it does with the answers. The linker
 * (--wrap) puts the functions below in the place of the C library's; what callers of base/fs.h see of it
 * is in tests/fs_test.c. */
#include "base/fs_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* renameat() */
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum { CALLS_MAX = 2048 };

enum kind { CALL_PWRITE = 1, CALL_FDATASYNC, CALL_FSYNC, CALL_RENAME };

struct call {
    enum kind kind;
    dev_t device; /* what it was about: the file; of a rename, the file that gets the name */
    ino_t inode;
    ino_t dir;     /* of a rename: the folder that the name is in */
    char name[64]; /* of a rename: the name */
};

/* The calls since script_reset(), and how those to come shall end. One thread. */
static struct {
    struct call calls[CALLS_MAX];
    size_t count;
    int sync_errno;      /* of fdatasync() and fsync(); 0: they are made */
    int move_errno;      /* of pread() and pwrite(), from when BEFORE_ERRNO bytes have gone */
    size_t before_errno; /* with MOVE_ERRNO only */
    bool byte_wise;      /* pread() and pwrite() move one byte */
    bool interrupted;    /* of pread() and pwrite() each second one is EINTR */
    bool nothing_taken;  /* pwrite() is 0 */
    unsigned turn;
    size_t moves; /* calls of pread() and pwrite() */
} script;

static void script_reset(void)
{
    memset(&script, 0, sizeof(script));
}

static struct call *noted(enum kind kind)
{
    assert_true(script.count < CALLS_MAX);
    struct call *call = &script.calls[script.count];

    script.count++;
    call->kind = kind;
    return call;
}

static void note_fd(enum kind kind, int fd)
{
    struct call *call = noted(kind);
    struct stat info;

    assert_int_equal(fstat(fd, &info), 0);
    call->device = info.st_dev;
    call->inode = info.st_ino;
}

/* --- in the place of the C library's ---------------------------------------------------------- */

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names (ld(1), --wrap) */
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

int __wrap_fdatasync(int fd)
{
    note_fd(CALL_FDATASYNC, fd);
    if (script.sync_errno == 0)
        return __real_fdatasync(fd);
    errno = script.sync_errno;
    return -1;
}

int __wrap_fsync(int fd)
{
    note_fd(CALL_FSYNC, fd);
    if (script.sync_errno == 0)
        return __real_fsync(fd);
    errno = script.sync_errno;
    return -1;
}

/* Shall this move of SIZE bytes fail (errno is set)? Else *SIZE is how many it may move. */
static bool move_fails(size_t *size)
{
    script.moves++;
    script.turn++;
    if (script.interrupted && script.turn % 2 == 1) {
        errno = EINTR;
        return true;
    }
    if (script.move_errno != 0 && script.before_errno == 0) {
        errno = script.move_errno;
        return true;
    }
    if (script.byte_wise)
        *size = 1;
    if (script.move_errno != 0 && *size > script.before_errno)
        *size = script.before_errno;
    script.before_errno -= script.move_errno != 0 ? *size : 0;
    return false;
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
    if (move_fails(&size))
        return -1;
    return __real_pread(fd, data, size, offset);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (script.nothing_taken)
        return 0;
    if (move_fails(&size))
        return -1;
    note_fd(CALL_PWRITE, fd);
    return __real_pwrite(fd, data, size, offset);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    struct call *call = noted(CALL_RENAME);
    struct stat file;
    struct stat dir;

    assert_int_equal(fstatat(from_dir, from, &file, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(fstat(to_dir, &dir), 0);
    call->device = file.st_dev;
    call->inode = file.st_ino;
    call->dir = dir.st_ino;
    assert_true(text_format(call->name, sizeof(call->name), "%s", to));
    return __real_renameat(from_dir, from, to_dir, to);
}

/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

/* --- the rest of a test ----------------------------------------------------------------------- */

struct env {
    char folder[TEMP_FOLDER_SIZE];
    struct fs *fs;
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    temp_folder_make(env->folder);
    ASSERT_OK(fs_posix_new(env->folder, &env->fs, &err), &err);
    script_reset();
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    script_reset();
    fs_free(env->fs);
    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static void real_path(const struct env *env, const char *name, char path[512])
{
    assert_true(text_format(path, 512, "%s%s%s", env->folder, name[0] == '\0' ? "" : "/", name));
}

static struct stat info_of(const struct env *env, const char *name)
{
    char path[512];
    struct stat info;

    real_path(env, name, path);
    assert_int_equal(lstat(path, &info), 0);
    return info;
}

static bool exists(const struct env *env, const char *name)
{
    char path[512];
    struct stat info;

    real_path(env, name, path);
    return lstat(path, &info) == 0;
}

static struct fs_file *opened(const struct env *env, const char *path, enum fs_mode mode)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    ASSERT_OK(fs_open(env->fs, path, mode, &file, &err), &err);
    return file;
}

static void made(const struct env *env, const char *path, const char *text)
{
    struct fs_file *file = opened(env, path, FS_CREATE);
    struct error err = {0};

    ASSERT_OK(fs_write_at(file, 0, slice_of_text(text), &err), &err);
    fs_close(file);
}

static void made_dir(const struct env *env, const char *path)
{
    struct error err = {0};

    ASSERT_OK(fs_make_dir(env->fs, path, &err), &err);
}

static void linked(const struct env *env, const char *from, const char *to)
{
    char from_path[512];
    char to_path[512];

    real_path(env, from, from_path);
    real_path(env, to, to_path);
    assert_int_equal(link(from_path, to_path), 0);
}

static void assert_content(const struct env *env, const char *path, const char *text)
{
    struct fs_file *file = opened(env, path, FS_READ);
    char got[64] = "";
    size_t size = 0;
    struct error err = {0};

    ASSERT_OK(fs_read_at(file, 0, got, sizeof(got) - 1, &size, &err), &err);
    assert_string_equal(got, text);
    fs_close(file);
}

static void assert_call(size_t index, enum kind kind, struct stat info)
{
    assert_true(index < script.count);
    assert_int_equal(script.calls[index].kind, kind);
    assert_int_equal(script.calls[index].device, info.st_dev);
    assert_int_equal(script.calls[index].inode, info.st_ino);
}

/* --- syncs ------------------------------------------------------------------------------------ */

static void sync_is_one_fdatasync_of_that_file(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made_dir(env, "dir");
    struct fs_file *first = opened(env, "first", FS_CREATE);
    struct fs_file *second = opened(env, "dir/second", FS_CREATE);

    script_reset();
    ASSERT_OK(fs_sync(second, &err), &err);
    assert_int_equal(script.count, 1);
    assert_call(0, CALL_FDATASYNC, info_of(env, "dir/second"));
    ASSERT_OK(fs_sync(first, &err), &err);
    ASSERT_OK(fs_sync(first, &err), &err); /* nothing new: that is the kernel's to know */
    assert_int_equal(script.count, 3);
    assert_call(1, CALL_FDATASYNC, info_of(env, "first"));
    assert_call(2, CALL_FDATASYNC, info_of(env, "first"));
    fs_close(first);
    fs_close(second);
    assert_int_equal(script.count, 3); /* closing syncs nothing */
}

static void sync_dir_is_one_fsync_of_that_folder(void **state)
{
    static const char *const paths[] = {"", "dir", "dir/sub"};
    struct env *env = *state;

    made_dir(env, "dir");
    made_dir(env, "dir/sub");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct error err = {0};

        script_reset();
        ASSERT_OK(fs_sync_dir(env->fs, paths[i], &err), &err);
        assert_int_equal(script.count, 1);
        assert_call(0, CALL_FSYNC, info_of(env, paths[i]));
    }
}

static void failed_sync_is_told_and_not_tried_again(void **state)
{
    static const int numbers[] = {EIO, ENOSPC, EINTR};
    struct env *env = *state;
    struct fs_file *file = opened(env, "file", FS_CREATE);

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct error err = {0};

        script_reset();
        script.sync_errno = numbers[i];
        assert_int_not_equal(fs_sync(file, &err), STATUS_OK);
        assert_int_equal(err.native, numbers[i]);
        assert_int_equal(script.count, 1);
        assert_int_not_equal(fs_sync_dir(env->fs, "", &err), STATUS_OK);
        assert_int_equal(err.native, numbers[i]);
        assert_int_equal(script.count, 2);
    }
    fs_close(file);
}

static void replace_syncs_the_file_then_renames_then_syncs_the_folder(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made_dir(env, "dir");
    made(env, "dir/file", "old");
    script_reset();
    ASSERT_OK(fs_replace(env->fs, "dir/file", slice_of_text("new"), &err), &err);

    struct stat file = info_of(env, "dir/file");

    assert_int_equal(script.count, 4);
    assert_call(0, CALL_PWRITE, file);
    assert_call(1, CALL_FDATASYNC, file);
    assert_call(2, CALL_RENAME, file);
    assert_string_equal(script.calls[2].name, "file");
    assert_int_equal(script.calls[2].dir, info_of(env, "dir").st_ino);
    assert_call(3, CALL_FSYNC, info_of(env, "dir"));
    assert_content(env, "dir/file", "new");
}

static void replace_that_cannot_sync_its_file_renames_nothing(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made(env, "file", "old");
    script_reset();
    script.sync_errno = EIO;
    assert_int_not_equal(fs_replace(env->fs, "file", slice_of_text("new"), &err), STATUS_OK);
    assert_int_equal(err.native, EIO);
    assert_int_equal(script.count, 2);
    assert_int_equal(script.calls[1].kind, CALL_FDATASYNC);
    assert_content(env, "file", "old");
    assert_false(exists(env, "file.new"));
}

/* --- reads and writes ------------------------------------------------------------------------- */

enum { BYTES = 1000, OFFSET = 77 };

static void fill(uint8_t bytes[BYTES])
{
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
}

/* Writes and reads under the script as it stands; every byte must come back from its place. */
static void move_and_compare(const struct env *env)
{
    uint8_t bytes[BYTES];
    uint8_t got[BYTES + 10] = {0};
    size_t size = 0;
    struct error err = {0};
    struct fs_file *file = opened(env, "file", FS_CREATE);

    fill(bytes);
    ASSERT_OK(fs_write_at(file, OFFSET, slice_of(bytes, sizeof(bytes)), &err), &err);
    ASSERT_OK(fs_read_exactly_at(file, OFFSET, got, sizeof(bytes), &err), &err);
    assert_memory_equal(got, bytes, sizeof(bytes));
    memset(got, 0, sizeof(got));
    ASSERT_OK(fs_read_at(file, OFFSET, got, sizeof(got), &size, &err), &err);
    assert_int_equal(size, BYTES); /* the file ends there */
    assert_memory_equal(got, bytes, sizeof(bytes));
    fs_close(file);
    /* Once more as it lies there. */
    script_reset();
    file = opened(env, "file", FS_READ);
    memset(got, 0, sizeof(got));
    ASSERT_OK(fs_read_at(file, OFFSET, got, sizeof(got), &size, &err), &err);
    assert_int_equal(size, BYTES);
    assert_memory_equal(got, bytes, sizeof(bytes));
    fs_close(file);
}

static void parts_of_a_byte_make_the_whole(void **state)
{
    script.byte_wise = true;
    move_and_compare(*state);
}

static void interrupted_calls_are_made_again(void **state)
{
    script.interrupted = true;
    move_and_compare(*state);
}

static void interrupted_parts_make_the_whole(void **state)
{
    script.interrupted = true;
    script.byte_wise = true;
    move_and_compare(*state);
}

static void write_in_one_part_is_one_call(void **state)
{
    struct fs_file *file = opened(*state, "file", FS_CREATE);
    char got[4] = "";
    size_t size = 0;
    struct error err = {0};

    ASSERT_OK(fs_write_at(file, 0, slice_of_text("text"), &err), &err);
    assert_int_equal(script.moves, 1);
    ASSERT_OK(fs_read_at(file, 0, got, 4, &size, &err), &err);
    assert_int_equal(script.moves, 2);
    fs_close(file);
}

static void failure_of_a_later_part_is_told(void **state)
{
    struct fs_file *file = opened(*state, "file", FS_CREATE);
    char got[4] = "";
    size_t size = 99;
    struct error err = {0};

    script.move_errno = ENOSPC;
    script.before_errno = 3;
    assert_int_equal(fs_write_at(file, 0, slice_of_text("text"), &err), STATUS_EXHAUSTED);
    assert_int_equal(err.native, ENOSPC);
    assert_int_equal(script.moves, 2);
    script_reset();
    assert_content(*state, "file", "tex");
    script_reset();
    script.move_errno = EIO;
    script.before_errno = 2;
    assert_int_equal(fs_read_at(file, 0, got, 4, &size, &err), STATUS_UNKNOWN);
    assert_int_equal(err.native, EIO);
    assert_int_equal(script.moves, 2);
    assert_int_equal(size, 99);
    fs_close(file);
}

static void write_that_takes_nothing_ends_as_a_failure(void **state)
{
    struct fs_file *file = opened(*state, "file", FS_CREATE);
    struct error err = {0};

    script.nothing_taken = true;
    assert_int_equal(fs_write_at(file, 0, slice_of_text("text"), &err), STATUS_UNKNOWN);
    assert_int_equal(err.native, EIO);
    fs_close(file);
}

/* --- renames ---------------------------------------------------------------------------------- */

static void rename_to_a_link_of_the_same_file_takes_the_old_name_away(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made_dir(env, "dir");
    made(env, "a", "text");
    linked(env, "a", "b");
    ASSERT_OK(fs_rename(env->fs, "a", "b", &err), &err);
    assert_false(exists(env, "a"));
    assert_content(env, "b", "text");

    linked(env, "b", "dir/b"); /* the same last name, in another folder */
    ASSERT_OK(fs_rename(env->fs, "b", "dir/b", &err), &err);
    assert_false(exists(env, "b"));
    assert_content(env, "dir/b", "text");
}

static void rename_to_the_name_itself_keeps_it(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made_dir(env, "dir");
    made(env, "dir/a", "text");
    ASSERT_OK(fs_rename(env->fs, "dir/a", "dir/a", &err), &err);
    assert_content(env, "dir/a", "text");
    linked(env, "dir/a", "other");
    ASSERT_OK(fs_rename(env->fs, "dir/a", "dir/a", &err), &err);
    assert_content(env, "dir/a", "text");
    assert_content(env, "other", "text");
}

static void rename_of_a_linked_file_to_another_name_is_one_rename(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made(env, "a", "text");
    linked(env, "a", "b");
    made(env, "c", "old");
    script_reset();
    ASSERT_OK(fs_rename(env->fs, "a", "c", &err), &err);
    assert_int_equal(script.count, 1);
    assert_int_equal(script.calls[0].kind, CALL_RENAME);
    assert_false(exists(env, "a"));
    assert_content(env, "b", "text");
    assert_content(env, "c", "text");
}

/* --- locks ------------------------------------------------------------------------------------- */

/* What a process does that gets the lock of "lock" in FOLDER, says so by a byte to FD, and waits for its end. No cmocka:
 * it is not this test's process. */
NORETURN static void hold_lock(const char *folder, int fd)
{
    struct fs_file *lock = NULL;
    struct fs *fs = NULL;
    struct error err = {0};
    char said = 'y';

    if (fs_posix_new(folder, &fs, &err) != STATUS_OK ||
        fs_lock(fs, "lock", &lock, &err) != STATUS_OK)
        said = 'n';
    if (write(fd, &said, 1) != 1)
        _exit(1);
    for (;;)
        (void)pause(); /* until it is killed */
}

static void lock_of_a_killed_process_is_free_again(void **state)
{
    struct env *env = *state;
    struct fs_file *lock = NULL;
    struct error err = {0};
    char holder[64];
    char said = 0;
    int fds[2];
    int result = 0;

    assert_int_equal(pipe(fds), 0);
    pid_t child = fork(); /* this program has no threads */

    assert_true(child >= 0);
    if (child == 0)
        hold_lock(env->folder, fds[1]);
    assert_int_equal(read(fds[0], &said, 1), 1);
    enum status held = fs_lock(env->fs, "lock", &lock, &err);

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(said, 'y');
    assert_int_equal(held, STATUS_UNAVAILABLE);
    assert_true(text_format(holder, sizeof(holder), "process %ld holds it", (long)child));
    assert_non_null(strstr(err.text, holder));
    ASSERT_OK(fs_lock(env->fs, "lock", &lock, &err), &err);
    fs_close(lock);
    (void)close(fds[0]); /* a byte for the test */
    (void)close(fds[1]);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sync_is_one_fdatasync_of_that_file),
        TEST(sync_dir_is_one_fsync_of_that_folder),
        TEST(failed_sync_is_told_and_not_tried_again),
        TEST(replace_syncs_the_file_then_renames_then_syncs_the_folder),
        TEST(replace_that_cannot_sync_its_file_renames_nothing),
        TEST(parts_of_a_byte_make_the_whole),
        TEST(interrupted_calls_are_made_again),
        TEST(interrupted_parts_make_the_whole),
        TEST(write_in_one_part_is_one_call),
        TEST(failure_of_a_later_part_is_told),
        TEST(write_that_takes_nothing_ends_as_a_failure),
        TEST(rename_to_a_link_of_the_same_file_takes_the_old_name_away),
        TEST(rename_to_the_name_itself_keeps_it),
        TEST(rename_of_a_linked_file_to_another_name_is_one_rename),
        TEST(lock_of_a_killed_process_is_free_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
