/* The front of the file-system seam, with its faults, and what is special in its fillings; what all of
 * them do is in tests/fs_contract.c. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/fs_contract.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_cut.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

struct env {
    struct faults *faults;
    struct fs *memory;
    struct fs *record; /* over it */
    char folder[TEMP_FOLDER_SIZE];
    struct fs *posix; /* over that */
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    assert_int_equal(fs_memory_new(&env->memory, &err), STATUS_OK);
    assert_int_equal(fs_record_new(env->memory, &env->record, &err), STATUS_OK);
    temp_folder_make(env->folder);
    assert_int_equal(fs_posix_new(env->folder, &env->posix, &err), STATUS_OK);
    faults_install(env->faults);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    faults_install(NULL);
    faults_free(env->faults);
    fs_free(env->record);
    fs_free(env->memory);
    fs_free(env->posix);
    fs_free(NULL);
    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static struct fs_file *opened(struct fs *fs, const char *path, enum fs_mode mode)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_open(fs, path, mode, &file, &err), STATUS_OK);
    return file;
}

static void made(struct fs *fs, const char *path, const char *text)
{
    struct fs_file *file = opened(fs, path, FS_CREATE);
    struct error err = {0};

    assert_int_equal(fs_write_at(file, 0, slice_of_text(text), &err), STATUS_OK);
    fs_close(file);
}

static uint64_t size_of(struct fs_file *file)
{
    uint64_t size = UINT64_MAX;
    struct error err = {0};

    assert_int_equal(fs_size(file, &size, &err), STATUS_OK);
    return size;
}

/* What PATH holds; "none": there is no such file. */
static void content(struct fs *fs, const char *path, char text[64])
{
    struct fs_file *file = NULL;
    size_t size = 0;
    struct error err = {0};
    enum status st = fs_open(fs, path, FS_READ, &file, &err);

    memset(text, 0, 64);
    if (st == STATUS_NOT_FOUND) {
        memcpy(text, "none", sizeof("none"));
        return;
    }
    assert_int_equal(st, STATUS_OK);
    assert_int_equal(fs_read_at(file, 0, text, 63, &size, &err), STATUS_OK);
    fs_close(file);
}

/* --- faults ----------------------------------------------------------------------------------- */

/* One call of each kind, in this order; a fault may make each of them fail. */
static enum status call(struct fs *fs, struct fs_file *file, size_t which, struct error *err)
{
    struct fs_file *opening = NULL;
    struct fs_names names = {0};
    char byte = 0;
    uint64_t number = 0;
    uint64_t end = 0;
    size_t size = 0;
    enum status st = STATUS_OK;

    switch (which) {
    case 0:
        st = fs_open(fs, "file", FS_READ, &opening, err);
        fs_close(opening);
        return st;
    case 1:
        return fs_read_at(file, 0, &byte, 1, &size, err);
    case 2:
        return fs_write_at(file, 0, slice_of_text("new!"), err);
    case 3:
        return fs_size(file, &number, err);
    case 4:
        return fs_resize(file, 2, err);
    case 5:
        return fs_next_data(file, 0, &number, &end, err);
    case 6:
        return fs_sync(file, err);
    case 7:
        return fs_make_dir(fs, "dir", err);
    case 8:
        return fs_rename(fs, "file", "other", err);
    case 9:
        return fs_remove(fs, "file", err);
    case 10:
        st = fs_list(fs, "", &names, err);
        fs_names_deinit(&names);
        return st;
    case 11:
        return fs_sync_dir(fs, "", err);
    default:
        st = fs_lock(fs, "file", &opening, err);
        fs_close(opening);
        return st;
    }
}

static const struct {
    const char *name;
    const char *text; /* how its error begins */
    bool fills;       /* can find the disk full */
} points[] = {
    {"fs.open", "open file: ", true},
    {"fs.read", "read file at 0: ", false},
    {"fs.write", "write file at 0: ", true},
    {"fs.size", "size of file: ", false},
    {"fs.resize", "resize file to 2: ", true},
    {"fs.next_data", "find data in file from 0: ", false},
    {"fs.sync", "sync file: ", true},
    {"fs.make_dir", "make folder dir: ", true},
    {"fs.rename", "rename file to other: ", true},
    {"fs.remove", "remove file: ", false},
    {"fs.list", "list folder : ", false},
    {"fs.sync_dir", "sync folder : ", true},
    {"fs.lock", "lock file file: ", false},
};

enum { POINTS = sizeof(points) / sizeof(points[0]) };

static void assert_unchanged(struct fs *fs)
{
    char text[64];
    struct fs_names names = {0};
    struct error err = {0};

    content(fs, "file", text);
    assert_string_equal(text, "text");
    assert_int_equal(fs_list(fs, "", &names, &err), STATUS_OK);
    assert_int_equal(names.count, 1);
    fs_names_deinit(&names);
}

static void every_call_fails_on_request_and_changes_nothing(void **state)
{
    struct env *env = *state;

    made(env->memory, "file", "text");
    struct fs_file *file = opened(env->memory, "file", FS_WRITE);

    for (size_t i = 0; i < POINTS; i++) {
        struct error err = {0};

        faults_arm_point(env->faults, points[i].name, 1, FAULT_FAIL);
        assert_int_equal(call(env->memory, file, i, &err), STATUS_UNKNOWN);
        assert_true(faults_fired(env->faults));
        assert_int_equal(err.native, EIO);
        assert_int_equal(strncmp(err.text, points[i].text, strlen(points[i].text)), 0);
        assert_unchanged(env->memory);
        if (!points[i].fills)
            continue;
        faults_arm_point(env->faults, points[i].name, 1, FAULT_FULL);
        assert_int_equal(call(env->memory, file, i, &err), STATUS_EXHAUSTED);
        assert_int_equal(err.native, ENOSPC);
        assert_unchanged(env->memory);
    }
    fs_close(file);
}

static bool exists(struct fs *fs, const char *path)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    enum status st = fs_open(fs, path, FS_READ, &file, &err);

    fs_close(file);
    return st == STATUS_OK;
}

/* ST and ERR are what a call says that FAULT_AFTER hit; disarms. */
static void assert_done_and_denied(struct env *env, enum status st, const struct error *err)
{
    assert_true(faults_fired(env->faults));
    assert_int_equal(st, STATUS_UNKNOWN);
    assert_int_equal(err->native, EIO);
    assert_non_null(strstr(err->text, "the call is done"));
    faults_arm(env->faults, 0, 0);
}

static void call_that_fails_afterwards_is_done_all_the_same(void **state)
{
    struct env *env = *state;
    struct fs *fs = env->memory;
    struct fs_file *opening = NULL;
    struct fs_names names = {0};
    char text[64];
    struct error err = {0};

    faults_arm_point(env->faults, "fs.open", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_open(fs, "file", FS_CREATE, &opening, &err), &err);
    assert_null(opening);
    struct fs_file *file = opened(fs, "file", FS_WRITE);

    faults_arm_point(env->faults, "fs.write", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_write_at(file, 0, slice_of_text("text"), &err), &err);
    content(fs, "file", text);
    assert_string_equal(text, "text");
    faults_arm_point(env->faults, "fs.resize", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_resize(file, 2, &err), &err);
    assert_int_equal(size_of(file), 2);
    fs_close(file);
    faults_arm_point(env->faults, "fs.rename", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_rename(fs, "file", "other", &err), &err);
    assert_true(exists(fs, "other") && !exists(fs, "file"));
    faults_arm_point(env->faults, "fs.remove", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_remove(fs, "other", &err), &err);
    assert_false(exists(fs, "other"));
    faults_arm_point(env->faults, "fs.make_dir", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_make_dir(fs, "dir", &err), &err);
    ASSERT_OK(fs_list(fs, "dir", &names, &err), &err);
    fs_names_deinit(&names);
}

static void sync_dir_that_fails_afterwards_made_the_names_durable(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 512};
    struct fs_cut *cut = NULL;
    struct fs *fs = NULL;
    struct error err = {0};

    made(env->record, "file", "");
    faults_arm_point(env->faults, "fs.sync_dir", 1, FAULT_AFTER);
    assert_done_and_denied(env, fs_sync_dir(env->record, "", &err), &err);

    const struct fs_log *log = fs_record_log(env->record);

    ASSERT_OK(fs_cut_new(log, log->count, &options, &cut, &err), &err);
    for (;;) {
        ASSERT_OK(fs_cut_next(cut, &fs, &err), &err);
        if (fs == NULL)
            break;
        assert_true(exists(fs, "file"));
        fs_free(fs);
    }
    fs_cut_free(cut);
}

static void call_that_cannot_be_says_so_whatever_comes_after(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    faults_arm_point(env->faults, "fs.remove", 1, FAULT_AFTER);
    assert_int_equal(fs_remove(env->memory, "none", &err), STATUS_NOT_FOUND);
}

static void every_call_is_one_hit_of_its_point(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    made(env->memory, "file", "text");
    struct fs_file *file = opened(env->memory, "file", FS_WRITE);

    faults_arm(env->faults, 0, 0);
    for (size_t i = 0; i < POINTS; i++) {
        uint64_t hits = faults_hits(env->faults, points[i].name);

        DISCARD(call(env->memory, file, i, &err)); /* "file" is renamed on the way */
        assert_int_equal(hits, 0);
        assert_int_equal(faults_hits(env->faults, points[i].name), 1);
    }
    fs_close(file);
}

static void short_write_leaves_its_first_half(void **state)
{
    struct env *env = *state;
    struct fs_file *file = opened(env->memory, "file", FS_CREATE);
    char text[64];
    struct error err = {0};

    faults_arm_point(env->faults, "fs.write", 1, FAULT_SHORT);
    assert_int_equal(fs_write_at(file, 0, slice_of_text("12345"), &err), STATUS_EXHAUSTED);
    assert_int_equal(err.native, ENOSPC);
    content(env->memory, "file", text);
    assert_string_equal(text, "12");
    faults_arm_point(env->faults, "fs.write", 1, FAULT_SHORT);
    assert_int_equal(fs_write_at(file, 2, slice_of_text("x"), &err), STATUS_EXHAUSTED);
    assert_int_equal(size_of(file), 2);
    fs_close(file);
}

/* How many bytes of a write of SIZE bytes are there after a short write that SEED varies. */
static uint64_t short_end(struct env *env, uint64_t seed, size_t size)
{
    static const uint8_t bytes[16] = "0123456789abcdef";
    struct fs_file *file = opened(env->memory, "file", FS_CREATE);
    char text[64];
    struct error err = {0};

    faults_arm_point(env->faults, "fs.write", 1, FAULT_SHORT);
    faults_vary(env->faults, seed);
    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, size), &err), STATUS_EXHAUSTED);
    uint64_t end = size_of(file);

    content(env->memory, "file", text);
    assert_memory_equal(text, bytes, end);
    fs_close(file);
    assert_int_equal(fs_remove(env->memory, "file", &err), STATUS_OK);
    return end;
}

static void varied_short_write_ends_at_any_byte_but_the_last(void **state)
{
    bool seen[10] = {false};

    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t end = short_end(*state, seed, sizeof(seen));

        assert_true(end < sizeof(seen));
        assert_int_equal(short_end(*state, seed, sizeof(seen)), end);
        seen[end] = true;
        assert_int_equal(short_end(*state, seed, 1), 0);
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_true(seen[i]);
}

/* Runs WHAT in a child process and returns the signal that ended it; 0: none did. */
static int signal_of(void (*what)(struct env *env), struct env *env)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        what(env);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

enum { TORN_OFFSET = 500, TORN_SIZE = 2000, TORN_END = TORN_OFFSET + TORN_SIZE };

static void write_torn(struct env *env)
{
    static uint8_t bytes[TORN_SIZE];
    struct fs_file *file = NULL;
    struct error err = {0};

    memset(bytes, 'n', sizeof(bytes));
    if (fs_open(env->posix, "file", FS_WRITE, &file, &err) != STATUS_OK)
        return;
    faults_arm_point(env->faults, "fs.write", 1, FAULT_TORN);
    DISCARD(fs_write_at(file, TORN_OFFSET, slice_of(bytes, sizeof(bytes)), &err));
}

static void torn_write_leaves_whole_sectors_and_kills(void **state)
{
    static uint8_t bytes[4096];
    struct env *env = *state;
    struct fs_file *file = opened(env->posix, "file", FS_CREATE);
    size_t changed = 0;
    struct error err = {0};

    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, sizeof(bytes)), &err), STATUS_OK);
    assert_int_equal(signal_of(write_torn, env), SIGKILL);
    assert_int_equal(fs_read_exactly_at(file, 0, bytes, sizeof(bytes), &err), STATUS_OK);
    fs_close(file);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        size_t first = i / 512 * 512; /* the sector's first byte that was to be written */

        if (first < TORN_OFFSET)
            first = TORN_OFFSET;
        if (i < TORN_OFFSET || i >= TORN_END)
            assert_int_equal(bytes[i], 0);
        else
            assert_int_equal(bytes[i], bytes[first]);
        changed += bytes[i] == 'n' ? 1 : 0;
    }
    /* Sectors 0 to 4, of which 4, 2 and 0 are written: 452, 512 and 12 bytes. */
    assert_int_equal(changed, 452 + 512 + 12);
}

enum { AREA = 4096 };

/* A torn write of SIZE bytes at OFFSET into zeros, varied by SEED: what the file then holds. */
static void torn(struct env *env, uint64_t seed, uint64_t offset, size_t size, uint8_t bytes[AREA])
{
    struct fs_file *file = opened(env->posix, "torn", FS_CREATE);
    struct error err = {0};
    int status = 0;

    memset(bytes, 0, AREA);
    ASSERT_OK(fs_write_at(file, 0, slice_of(bytes, AREA), &err), &err);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        memset(bytes, 'n', AREA);
        faults_arm_point(env->faults, "fs.write", 1, FAULT_TORN);
        faults_vary(env->faults, seed);
        DISCARD(fs_write_at(file, offset, slice_of(bytes, size), &err));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ASSERT_OK(fs_read_exactly_at(file, 0, bytes, AREA, &err), &err);
    fs_close(file);
    ASSERT_OK(fs_remove(env->posix, "torn", &err), &err);
}

/* Of the bytes [OFFSET, OFFSET + SIZE) those at multiples of UNIT begin a unit, which is kept or lost: how
 * many units are kept; FAILS if one is not whole. */
static size_t kept_units(const uint8_t bytes[AREA], size_t offset, size_t size, size_t unit)
{
    size_t kept = 0;

    for (size_t i = 0; i < AREA; i++) {
        bool inside = i >= offset && i < offset + size;
        bool begins = i == offset || i % unit == 0;

        if (!inside)
            assert_int_equal(bytes[i], 0);
        else if (!begins)
            assert_int_equal(bytes[i], bytes[i - 1]);
        else
            kept += bytes[i] == 'n' ? 1 : 0;
    }
    return kept;
}

static void varied_torn_write_keeps_or_loses_each_sector(void **state)
{
    uint8_t bytes[AREA];
    uint8_t again[AREA];
    bool counts[5] = {false};  /* of the sectors that are kept */
    bool kept[5] = {false};    /* that sector was kept once */
    bool missing[5] = {false}; /* and lost once */

    for (uint64_t seed = 1; seed <= 60; seed++) {
        torn(*state, seed, TORN_OFFSET, TORN_SIZE, bytes);
        size_t count = kept_units(bytes, TORN_OFFSET, TORN_SIZE, 512);

        assert_true(count < 5); /* never all */
        counts[count] = true;
        for (size_t i = 0; i < 5; i++) {
            bool there = bytes[i == 0 ? (size_t)TORN_OFFSET : i * 512] == 'n';

            kept[i] = kept[i] || there;
            missing[i] = missing[i] || !there;
        }
    }
    for (size_t i = 0; i < 5; i++)
        assert_true(kept[i] && missing[i]);
    assert_true(counts[0] && counts[1] && counts[2] && counts[3]);
    torn(*state, 60, TORN_OFFSET, TORN_SIZE, again);
    assert_memory_equal(bytes, again, AREA);
}

static void varied_torn_write_of_a_sector_tears_inside_it(void **state)
{
    uint8_t bytes[AREA];
    unsigned none = 0;
    unsigned whole = 0;
    unsigned torn_inside = 0;
    bool finest = false; /* a stretch of 16 bytes */

    for (uint64_t seed = 1; seed <= 60; seed++) {
        torn(*state, seed, 512, 512, bytes);
        size_t kept = kept_units(bytes, 512, 512, 16);

        none += kept == 0 ? 1 : 0;
        whole += kept == 32 ? 1 : 0;
        torn_inside += kept > 0 && kept < 32 ? 1 : 0;
        for (size_t i = 512 + 16; i + 16 < 1024; i += 16)
            finest = finest || (bytes[i] != bytes[i - 16] && bytes[i] != bytes[i + 16]);
    }
    assert_true(none > 0);
    assert_true(whole > 0); /* a sector that is one unit is kept or lost */
    assert_true(torn_inside > 20);
    assert_true(finest);
}

static void varied_torn_write_of_513_bytes_tears_between_sectors_only(void **state)
{
    uint8_t bytes[AREA];

    for (uint64_t seed = 1; seed <= 20; seed++) {
        torn(*state, seed, 512, 513, bytes);
        assert_true(kept_units(bytes, 512, 513, 512) < 2);
    }
}

static void replace_and_be_killed_before_the_rename(struct env *env)
{
    struct error err = {0};

    faults_arm_point(env->faults, "fs.replace_before_rename", 1, FAULT_KILL);
    DISCARD(fs_replace(env->posix, "file", slice_of_text("new"), &err));
}

static void replace_and_be_killed_after_the_rename(struct env *env)
{
    struct error err = {0};

    faults_arm_point(env->faults, "fs.replaced_before_sync_dir", 1, FAULT_KILL);
    DISCARD(fs_replace(env->posix, "file", slice_of_text("new"), &err));
}

static void killed_replace_leaves_the_old_or_the_new(void **state)
{
    struct env *env = *state;
    char text[64];
    struct error err = {0};

    made(env->posix, "file", "old");
    assert_int_equal(signal_of(replace_and_be_killed_before_the_rename, env), SIGKILL);
    content(env->posix, "file", text);
    assert_string_equal(text, "old");
    content(env->posix, "file.new", text);
    assert_string_equal(text, "new");
    assert_int_equal(signal_of(replace_and_be_killed_after_the_rename, env), SIGKILL);
    content(env->posix, "file", text);
    assert_string_equal(text, "new");
    content(env->posix, "file.new", text);
    assert_string_equal(text, "none");
    assert_int_equal(fs_replace(env->posix, "file", slice_of_text("newer"), &err), STATUS_OK);
}

static void power_goes_off_for_good(void **state)
{
    struct env *env = *state;
    struct fs_file *file = opened(env->record, "file", FS_CREATE);
    size_t count = fs_record_log(env->record)->count;

    faults_arm_point(env->faults, "fs.write", 1, FAULT_LOSE);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < POINTS; i++) {
            struct error err = {0};

            if (round == 0 && i < 2)
                continue; /* before the write that the power goes off in */
            assert_int_equal(call(env->record, file, i, &err), STATUS_UNAVAILABLE);
            assert_non_null(strstr(err.text, "the power is off"));
        }
    }
    assert_int_equal(fs_record_log(env->record)->count, count);
    fs_close(file);
}

static void real_folder_cannot_lose_its_power(void **state)
{
    struct env *env = *state;
    struct fs *fillings[] = {env->posix, env->memory};

    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};

        faults_arm_point(env->faults, "fs.make_dir", 1, FAULT_LOSE);
        assert_int_equal(fs_make_dir(fillings[i], "dir", &err), STATUS_UNSUPPORTED);
        assert_int_equal(fs_make_dir(fillings[i], "dir", &err), STATUS_OK);
    }
}

/* --- replace ---------------------------------------------------------------------------------- */

static void replace_once(void *arg, uint64_t n)
{
    struct env *env = arg;
    char text[64];
    struct error err = {0};

    (void)n;
    enum status st = fs_replace(env->memory, "file", slice_of_text("new"), &err);
    bool fired = faults_fired(env->faults);

    faults_arm(env->faults, 0, 0);
    content(env->memory, "file", text);
    if (st == STATUS_OK)
        assert_string_equal(text, "new");
    else
        assert_true(fired && (strcmp(text, "old") == 0 || strcmp(text, "new") == 0));
    content(env->memory, "file.new", text);
    assert_string_equal(text, "none");
    assert_int_equal(fs_replace(env->memory, "file", slice_of_text("old"), &err), STATUS_OK);
}

static void failed_replace_leaves_the_old_or_the_new(void **state)
{
    struct env *env = *state;
    const unsigned all = FAULT_IO | FAULT_ALLOC | FAULT_POINT;

    made(env->memory, "file", "old");
    uint64_t tried = fail_each(env->faults, all, replace_once, env);

    assert_true(tried >= 8); /* at least the calls and the points of fs_replace() itself */
}

static void replace_that_is_denied_afterwards_leaves_the_old_or_the_new(void **state)
{
    static const struct {
        const char *point;
        const char *text; /* what is there then */
    } rows[] = {
        {"fs.remove", "old"}, {"fs.open", "old"},     {"fs.write", "old"},
        {"fs.rename", "new"}, {"fs.sync_dir", "new"},
    };
    struct env *env = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        struct error err = {0};

        ASSERT_OK(fs_replace(env->memory, "file", slice_of_text("old"), &err), &err);
        made(env->memory, "file.new", "left by a crash");
        faults_arm_point(env->faults, rows[i].point, 1, FAULT_AFTER);
        assert_done_and_denied(env, fs_replace(env->memory, "file", slice_of_text("new"), &err),
                               &err);
        content(env->memory, "file", text);
        assert_string_equal(text, rows[i].text);
        content(env->memory, "file.new", text);
        assert_string_equal(text, "none");
    }
}

static void replace_survives_every_power_cut(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 1};
    struct error err = {0};
    unsigned states = 0;

    assert_int_equal(fs_replace(env->record, "file", slice_of_text("old"), &err), STATUS_OK);
    size_t first = fs_record_log(env->record)->count;

    assert_int_equal(fs_replace(env->record, "file", slice_of_text("newer"), &err), STATUS_OK);
    const struct fs_log *log = fs_record_log(env->record);

    for (size_t upto = first; upto <= log->count; upto++) {
        struct fs_cut *cut = NULL;
        struct fs *fs = NULL;
        char text[64];

        assert_int_equal(fs_cut_new(log, upto, &options, &cut, &err), STATUS_OK);
        for (;;) {
            assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
            if (fs == NULL)
                break;
            content(fs, "file", text);
            if (upto == log->count)
                assert_string_equal(text, "newer");
            else
                assert_true(strcmp(text, "old") == 0 || strcmp(text, "newer") == 0);
            fs_free(fs);
            states++;
        }
        fs_cut_free(cut);
    }
    assert_true(states > 50);
}

static void replace_needs_room_for_its_suffix(void **state)
{
    struct env *env = *state;
    char name[256];
    struct error err = {0};

    memset(name, 'n', sizeof(name));
    name[252] = '\0'; /* 252 and ".new" are 256 */
    assert_int_equal(fs_replace(env->memory, name, slice_of_text("x"), &err), STATUS_INVALID);
    name[251] = '\0';
    assert_int_equal(fs_replace(env->memory, name, slice_of_text("x"), &err), STATUS_OK);
}

/* --- front ------------------------------------------------------------------------------------ */

static void parent_is_what_is_before_the_last_slash(void **state)
{
    char dir[FS_PATH_SIZE];

    (void)state;
    fs_parent("a/b/c", dir);
    assert_string_equal(dir, "a/b");
    fs_parent("a/b", dir);
    assert_string_equal(dir, "a");
    fs_parent("a", dir);
    assert_string_equal(dir, "");
    fs_parent("", dir);
    assert_string_equal(dir, "");
}

static void list_has_a_million_names_at_most(void **state)
{
    struct fs_names names = {0};
    struct error err = {0};

    (void)state;
    faults_install(NULL); /* a million counted allocations take a while */
    for (size_t i = 0; i < FS_NAMES_MAX; i++) {
        if (fs_names_add(&names, "n", &err) != STATUS_OK)
            fail();
    }
    assert_int_equal(fs_names_add(&names, "n", &err), STATUS_EXHAUSTED);
    assert_int_equal(names.count, FS_NAMES_MAX);
    fs_names_deinit(&names);
    assert_int_equal(names.count, 0);
    fs_names_deinit(&names);
}

/* --- in memory -------------------------------------------------------------------------------- */

static void full_disk_takes_the_part_that_fits(void **state)
{
    static uint8_t bytes[10000];
    struct env *env = *state;
    struct fs_file *file = opened(env->memory, "file", FS_CREATE);
    struct error err = {0};

    fs_memory_set_space(env->memory, 8192);
    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, sizeof(bytes)), &err), STATUS_EXHAUSTED);
    assert_int_equal(err.native, ENOSPC);
    assert_int_equal(size_of(file), 8192);
    assert_int_equal(fs_write_at(file, 100, slice_of_text("in place"), &err), STATUS_OK);
    assert_int_equal(fs_resize(file, 4096, &err), STATUS_OK);
    assert_int_equal(fs_write_at(file, 1U << 20, slice_of_text("x"), &err), STATUS_OK);
    fs_close(file);
    assert_int_equal(fs_remove(env->memory, "file", &err), STATUS_OK);
    file = opened(env->memory, "file", FS_CREATE);
    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, 8192), &err), STATUS_OK);
    fs_close(file);
}

static void memory_knows_holes_to_the_page(void **state)
{
    struct env *env = *state;
    struct fs_file *file = opened(env->memory, "file", FS_CREATE);
    uint64_t start = 0;
    uint64_t end = 0;
    struct error err = {0};

    assert_int_equal(fs_write_at(file, 8195, slice_of_text("data"), &err), STATUS_OK);
    assert_int_equal(fs_resize(file, 1U << 30, &err), STATUS_OK);
    assert_int_equal(fs_next_data(file, 0, &start, &end, &err), STATUS_OK);
    assert_int_equal(start, 8192);
    assert_int_equal(end, 12288);
    assert_int_equal(fs_next_data(file, end, &start, &end, &err), STATUS_NOT_FOUND);
    fs_close(file);
}

/* --- on a real folder ------------------------------------------------------------------------- */

static void real_path(const struct env *env, const char *name, char path[512])
{
    assert_true(text_format(path, 512, "%s/%s", env->folder, name));
}

static void files_are_for_their_owner_only(void **state)
{
    struct env *env = *state;
    char path[512];
    struct stat info;
    struct error err = {0};
    mode_t mask = umask(0);

    made(env->posix, "file", "");
    assert_int_equal(fs_make_dir(env->posix, "dir", &err), STATUS_OK);
    (void)umask(mask); /* returns the one that was set for this test */
    real_path(env, "file", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    real_path(env, "dir", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void links_are_not_followed(void **state)
{
    struct env *env = *state;
    char path[512];
    char text[64];
    struct fs_file *file = NULL;
    struct fs_names names = {0};
    struct error err = {0};

    assert_int_equal(fs_make_dir(env->posix, "dir", &err), STATUS_OK);
    made(env->posix, "dir/file", "text");
    real_path(env, "link", path);
    assert_int_equal(symlink("dir/file", path), 0);
    real_path(env, "way", path);
    assert_int_equal(symlink("dir", path), 0);
    real_path(env, "out", path);
    assert_int_equal(symlink("/", path), 0);

    assert_int_equal(fs_open(env->posix, "link", FS_READ, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "link", FS_WRITE, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "link", FS_CREATE, &file, &err), STATUS_EXISTS);
    assert_int_equal(fs_open(env->posix, "way/file", FS_READ, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "way/new", FS_CREATE, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "out/etc/passwd", FS_READ, &file, &err),
                     STATUS_PRECONDITION);
    assert_int_equal(fs_make_dir(env->posix, "way/new", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_rename(env->posix, "way/file", "x", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_rename(env->posix, "dir/file", "way/x", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_rename(env->posix, "link", "x", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_remove(env->posix, "way/file", &err), STATUS_PRECONDITION);
    assert_int_equal(fs_list(env->posix, "way", &names, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_sync_dir(env->posix, "way", &err), STATUS_PRECONDITION);
    assert_null(file);

    assert_int_equal(fs_remove(env->posix, "way", &err), STATUS_OK); /* the link, not the folder */
    content(env->posix, "dir/file", text);
    assert_string_equal(text, "text");
}

static void only_regular_files_are_opened(void **state)
{
    struct env *env = *state;
    char path[512];
    struct fs_file *file = NULL;
    struct error err = {0};

    real_path(env, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    real_path(env, "socket", path); /* not by bind(): its paths have 107 bytes at most */
    assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
    assert_int_equal(fs_open(env->posix, "fifo", FS_READ, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "fifo", FS_WRITE, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_open(env->posix, "socket", FS_READ, &file, &err), STATUS_PRECONDITION);
    assert_null(file);
}

static void missing_folder_makes_no_file_system(void **state)
{
    struct env *env = *state;
    char path[512];
    struct fs *fs = NULL;
    struct error err = {0};

    real_path(env, "none", path);
    assert_int_equal(fs_posix_new(path, &fs, &err), STATUS_NOT_FOUND);
    made(env->posix, "file", "");
    real_path(env, "file", path);
    assert_int_equal(fs_posix_new(path, &fs, &err), STATUS_PRECONDITION);
    assert_null(fs);
}

static void descriptors_are_closed_and_not_inherited(void **state)
{
    struct env *env = *state;
    struct error err = {0};
    struct fs_names names = {0};
    struct fs_file *file = NULL;
    int before = dup(STDOUT_FILENO);

    assert_int_equal(close(before), 0);
    assert_int_equal(fs_make_dir(env->posix, "a", &err), STATUS_OK);
    assert_int_equal(fs_make_dir(env->posix, "a/b", &err), STATUS_OK);
    file = opened(env->posix, "a/b/file", FS_CREATE);
    assert_int_equal(fcntl(before, F_GETFD) & FD_CLOEXEC,
                     FD_CLOEXEC); /* the file got that number */
    fs_close(file);
    assert_int_equal(fs_open(env->posix, "a/b/none", FS_READ, &file, &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_open(env->posix, "a/b", FS_READ, &file, &err), STATUS_PRECONDITION);
    assert_int_equal(fs_rename(env->posix, "a/b/file", "a/file", &err), STATUS_OK);
    assert_int_equal(fs_rename(env->posix, "a/file", "none/x", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_list(env->posix, "a/b", &names, &err), STATUS_OK);
    fs_names_deinit(&names);
    assert_int_equal(fs_sync_dir(env->posix, "a/b", &err), STATUS_OK);
    assert_int_equal(fs_remove(env->posix, "a/b", &err), STATUS_OK);

    int after = dup(STDOUT_FILENO);

    assert_int_equal(close(after), 0);
    assert_int_equal(after, before);
}

/* --- allocations ------------------------------------------------------------------------------ */

/* A little of everything; whatever fails, nothing leaks and nothing breaks. */
static enum status live(struct fs *fs, struct error *err)
{
    struct fs_file *file = NULL;
    struct fs_names names = {0};
    enum status st = fs_make_dir(fs, "dir", err);

    if (st == STATUS_OK)
        st = fs_open(fs, "dir/file", FS_CREATE, &file, err);
    if (st == STATUS_OK)
        st = fs_write_at(file, 0, slice_of_text("text"), err);
    if (st == STATUS_OK)
        st = fs_resize(file, 20000, err);
    if (st == STATUS_OK)
        st = fs_sync(file, err);
    if (st == STATUS_OK)
        st = fs_rename(fs, "dir/file", "dir/other", err);
    if (st == STATUS_OK)
        st = fs_list(fs, "dir", &names, err);
    if (st == STATUS_OK)
        st = fs_sync_dir(fs, "dir", err);
    fs_names_deinit(&names);
    fs_close(file);
    return st;
}

static void live_once(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct fs *memory = NULL;
    struct fs *record = NULL;
    struct fs *again = NULL;
    struct error err = {0};
    enum status st = fs_memory_new(&memory, &err);

    (void)n;
    if (st == STATUS_OK)
        st = fs_record_new(memory, &record, &err);
    if (st == STATUS_OK)
        st = live(record, &err);
    if (st == STATUS_OK)
        st = fs_record_new(memory, &again, &err); /* reads all that is there */
    assert_int_equal(st == STATUS_OK, !faults_fired(env->faults));
    if (st != STATUS_OK)
        assert_int_equal(st, STATUS_EXHAUSTED);
    fs_free(again);
    fs_free(record);
    fs_free(memory);
}

static void live_once_on_a_real_folder(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct fs *posix = NULL;
    struct error err = {0};
    enum status st = fs_posix_new(env->folder, &posix, &err);

    (void)n;
    if (st == STATUS_OK)
        st = live(posix, &err);
    assert_int_equal(st == STATUS_OK, !faults_fired(env->faults));
    fs_free(posix);
    faults_arm(env->faults, 0, 0);
    DISCARD(fs_remove(env->posix, "dir/file", &err)); /* one of these is there */
    DISCARD(fs_remove(env->posix, "dir/other", &err));
    DISCARD(fs_remove(env->posix, "dir", &err));
}

static void no_memory_is_an_error_and_no_more(void **state)
{
    struct env *env = *state;

    /* In memory: what the real thing allocates too, the open file and the names of a list. */
    assert_true(fail_each(env->faults, FAULT_ALLOC, live_once, env) > 4);
    assert_true(fail_each(env->faults, FAULT_ALLOC, live_once_on_a_real_folder, env) > 4);
}

/* --- the fillings ----------------------------------------------------------------------------- */

static void make_memory(struct fs_contract *contract)
{
    struct error err = {0};

    assert_int_equal(fs_memory_new(&contract->fs, &err), STATUS_OK);
}

static void unmake_memory(struct fs_contract *contract)
{
    fs_free(contract->fs);
}

static void make_record(struct fs_contract *contract)
{
    struct error err = {0};

    assert_int_equal(fs_memory_new(&contract->inner, &err), STATUS_OK);
    assert_int_equal(fs_record_new(contract->inner, &contract->fs, &err), STATUS_OK);
}

static void unmake_record(struct fs_contract *contract)
{
    fs_free(contract->fs);
    fs_free(contract->inner);
}

static void make_posix(struct fs_contract *contract)
{
    struct error err = {0};

    temp_folder_make(contract->folder);
    assert_int_equal(fs_posix_new(contract->folder, &contract->fs, &err), STATUS_OK);
}

static void unmake_posix(struct fs_contract *contract)
{
    fs_free(contract->fs);
    temp_folder_remove(contract->folder);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_call_fails_on_request_and_changes_nothing),
        TEST(call_that_fails_afterwards_is_done_all_the_same),
        TEST(sync_dir_that_fails_afterwards_made_the_names_durable),
        TEST(call_that_cannot_be_says_so_whatever_comes_after),
        TEST(every_call_is_one_hit_of_its_point),
        TEST(short_write_leaves_its_first_half),
        TEST(varied_short_write_ends_at_any_byte_but_the_last),
        TEST(torn_write_leaves_whole_sectors_and_kills),
        TEST(varied_torn_write_keeps_or_loses_each_sector),
        TEST(varied_torn_write_of_a_sector_tears_inside_it),
        TEST(varied_torn_write_of_513_bytes_tears_between_sectors_only),
        TEST(killed_replace_leaves_the_old_or_the_new),
        TEST(power_goes_off_for_good),
        TEST(real_folder_cannot_lose_its_power),
        TEST(failed_replace_leaves_the_old_or_the_new),
        TEST(replace_that_is_denied_afterwards_leaves_the_old_or_the_new),
        TEST(replace_survives_every_power_cut),
        TEST(replace_needs_room_for_its_suffix),
        TEST(parent_is_what_is_before_the_last_slash),
        TEST(list_has_a_million_names_at_most),
        TEST(full_disk_takes_the_part_that_fits),
        TEST(memory_knows_holes_to_the_page),
        TEST(files_are_for_their_owner_only),
        TEST(links_are_not_followed),
        TEST(only_regular_files_are_opened),
        TEST(missing_folder_makes_no_file_system),
        TEST(descriptors_are_closed_and_not_inherited),
        TEST(no_memory_is_an_error_and_no_more),
    };
    struct fs_contract fillings[] = {
        {.name = "fs_posix", .make = make_posix, .unmake = unmake_posix},
        {.name = "fs_memory", .make = make_memory, .unmake = unmake_memory},
        {.name = "fs_record over fs_memory", .make = make_record, .unmake = unmake_record},
    };
    int failed = cmocka_run_group_tests_name("front", tests, NULL, NULL);

    for (size_t i = 0; i < sizeof(fillings) / sizeof(fillings[0]); i++)
        failed += fs_contract_run(&fillings[i]);
    return failed;
}
