/* The model of a power cut itself: for small logs, exactly which states there are. */
#include "tests/support/fs_cut.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { TEXT_SIZE = 256, STATES_MAX = 64 };

struct env {
    struct faults *faults;
    struct fs *memory;
    struct fs *fs; /* the recorder over it */
};

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    assert_int_equal(fs_memory_new(&env->memory, &err), STATUS_OK);
    assert_int_equal(fs_record_new(env->memory, &env->fs, &err), STATUS_OK);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    faults_install(NULL);
    faults_free(env->faults);
    fs_free(env->fs);
    fs_free(env->memory);
    memory_free(env);
    return 0;
}

/* --- what is done ----------------------------------------------------------------------------- */

static struct fs_file *create(struct env *env, const char *path)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_open(env->fs, path, FS_CREATE, &file, &err), STATUS_OK);
    return file;
}

static void put(struct fs_file *file, uint64_t offset, const char *text)
{
    struct error err = {0};

    assert_int_equal(fs_write_at(file, offset, slice_of_text(text), &err), STATUS_OK);
}

static void resize(struct fs_file *file, uint64_t size)
{
    struct error err = {0};

    assert_int_equal(fs_resize(file, size, &err), STATUS_OK);
}

static void sync_file(struct fs_file *file)
{
    struct error err = {0};

    assert_int_equal(fs_sync(file, &err), STATUS_OK);
}

static void sync_dir(struct env *env, const char *path)
{
    struct error err = {0};

    assert_int_equal(fs_sync_dir(env->fs, path, &err), STATUS_OK);
}

static void make_dir(struct env *env, const char *path)
{
    struct error err = {0};

    assert_int_equal(fs_make_dir(env->fs, path, &err), STATUS_OK);
}

static void rename_file(struct env *env, const char *from, const char *to)
{
    struct error err = {0};

    assert_int_equal(fs_rename(env->fs, from, to, &err), STATUS_OK);
}

static void remove_name(struct env *env, const char *path)
{
    struct error err = {0};

    assert_int_equal(fs_remove(env->fs, path, &err), STATUS_OK);
}

/* A file that no power cut takes away; open. */
static struct fs_file *durable(struct env *env, const char *path, const char *text)
{
    struct fs_file *file = create(env, path);
    char dir[FS_PATH_SIZE];

    put(file, 0, text);
    sync_file(file);
    fs_parent(path, dir);
    sync_dir(env, dir);
    return file;
}

/* --- what may be left ------------------------------------------------------------------------- */

static void add_text(char text[TEXT_SIZE], const char *more)
{
    size_t length = strlen(text);

    assert_true(text_format(text + length, TEXT_SIZE - length, "%s", more));
}

/* "path=content " or "path/ " for all that is in the folder DIR; zeros as dots. Folders go to DIRS. */
static void describe_dir(struct fs *fs, const char *dir, struct fs_names *dirs,
                         char text[TEXT_SIZE])
{
    struct fs_names names = {0};
    struct error err = {0};

    assert_int_equal(fs_list(fs, dir, &names, &err), STATUS_OK);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];
        char bytes[64] = "";
        size_t size = 0;
        struct fs_file *file = NULL;

        assert_true(text_format(path, sizeof(path), "%s%s%s", dir, dir[0] == '\0' ? "" : "/",
                                names.names[i]));
        add_text(text, path);
        if (fs_open(fs, path, FS_READ, &file, &err) == STATUS_PRECONDITION) {
            add_text(text, "/ ");
            assert_int_equal(fs_names_add(dirs, path, &err), STATUS_OK);
            continue;
        }
        assert_int_equal(fs_read_at(file, 0, bytes, sizeof(bytes) - 1, &size, &err), STATUS_OK);
        fs_close(file);
        for (size_t k = 0; k < size; k++) {
            if (bytes[k] == '\0')
                bytes[k] = '.';
        }
        add_text(text, "=");
        add_text(text, bytes);
        add_text(text, " ");
    }
    fs_names_deinit(&names);
}

static void describe(struct fs *fs, char text[TEXT_SIZE])
{
    struct fs_names dirs = {0};
    struct error err = {0};

    text[0] = '\0';
    assert_int_equal(fs_names_add(&dirs, "", &err), STATUS_OK);
    for (size_t i = 0; i < dirs.count; i++)
        describe_dir(fs, dirs.names[i], &dirs, text);
    fs_names_deinit(&dirs);
}

struct states {
    char texts[STATES_MAX][TEXT_SIZE];
    bool seen[STATES_MAX];
    size_t count;
};

static size_t find_state(const struct states *states, const char *text)
{
    for (size_t i = 0; i < states->count; i++) {
        if (strcmp(states->texts[i], text) == 0)
            return i;
    }
    return states->count;
}

/* All different states of CUT. */
static void collect(struct fs_cut *cut, struct states *states)
{
    struct error err = {0};

    *states = (struct states){.count = 0};
    for (;;) {
        struct fs *fs = NULL;
        char text[TEXT_SIZE];

        assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
        if (fs == NULL)
            return;
        describe(fs, text);
        fs_free(fs);
        if (find_state(states, text) < states->count)
            continue;
        assert_true(states->count < STATES_MAX);
        memcpy(states->texts[states->count], text, sizeof(text));
        states->count++;
    }
}

/* A cut after the first UPTO operations leaves exactly EXPECTED, ended by NULL. */
static void expect_states_with(struct env *env, size_t upto, const struct fs_cut_options *options,
                               const char *const *expected)
{
    static struct states states;
    struct fs_cut *cut = NULL;
    struct error err = {0};

    assert_int_equal(fs_cut_new(fs_record_log(env->fs), upto, options, &cut, &err), STATUS_OK);
    collect(cut, &states);
    fs_cut_free(cut);
    for (; *expected != NULL; expected++) {
        size_t index = find_state(&states, *expected);

        if (index == states.count)
            fail_msg("there is no state \"%s\"", *expected);
        states.seen[index] = true;
    }
    for (size_t i = 0; i < states.count; i++) {
        if (!states.seen[i])
            fail_msg("there is a state \"%s\"", states.texts[i]);
    }
}

/* The same, torn at 4 bytes. */
static void expect_states_after(struct env *env, size_t upto, const char *const *expected)
{
    const struct fs_cut_options options = {.tear_unit = 4};

    expect_states_with(env, upto, &options, expected);
}

#define EXPECT_STATES(ENV, ...)                               \
    expect_states_after(ENV, fs_record_log((ENV)->fs)->count, \
                        (const char *const[]){__VA_ARGS__, NULL})

/* --- content ---------------------------------------------------------------------------------- */

static void unsynced_file_may_be_there_in_every_form(void **state)
{
    struct fs_file *file = create(*state, "f");

    put(file, 0, "abcd");
    EXPECT_STATES((struct env *)*state, "", "f= ", "f=.... ", "f=abcd ");
    fs_close(file);
}

static void sync_of_a_file_keeps_its_content_not_its_name(void **state)
{
    struct fs_file *file = create(*state, "f");

    put(file, 0, "abcd");
    sync_file(file);
    EXPECT_STATES((struct env *)*state, "", "f=abcd ");
    fs_close(file);
}

static void sync_of_a_folder_keeps_the_name_not_the_content(void **state)
{
    struct fs_file *file = create(*state, "f");

    put(file, 0, "abcd");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "f= ", "f=.... ", "f=abcd ");
    fs_close(file);
}

static void both_syncs_keep_the_file(void **state)
{
    struct fs_file *file = durable(*state, "f", "abcd");

    EXPECT_STATES((struct env *)*state, "f=abcd ");
    fs_close(file);
}

static void write_is_torn_at_multiples_of_the_unit(void **state)
{
    struct fs_file *file = durable(*state, "f", "aaaaaaaaaa");

    put(file, 2, "123456");
    EXPECT_STATES((struct env *)*state, "f=aaaaaaaaaa ", "f=aa12aaaaaa ", "f=aaaa3456aa ",
                  "f=aa123456aa ");
    fs_close(file);
}

static void kept_piece_brings_the_size_that_covers_it(void **state)
{
    struct fs_file *file = durable(*state, "f", "aa");

    put(file, 2, "bbcccc");
    EXPECT_STATES((struct env *)*state, "f=aa ", "f=aa.. ", "f=aa...... ", "f=aabb ", "f=aabb.... ",
                  "f=aa..cccc ", "f=aabbcccc ");
    fs_close(file);
}

static void file_may_grow_by_a_part_of_a_write(void **state)
{
    struct fs_file *file = durable(*state, "f", "");

    put(file, 6, "abcdef");
    EXPECT_STATES((struct env *)*state, "f= ", "f=........ ", "f=............ ", "f=......ab ",
                  "f=......ab.... ", "f=........cdef ", "f=......abcdef ");
    fs_close(file);
}

static void expect_stale_states(struct env *env, const char *const *expected)
{
    struct fs_cut_options options = {.tear_unit = 4, .stale = true};

    expect_states_with(env, fs_record_log(env->fs)->count, &options, expected);
}

static void lost_growth_may_show_what_was_removed(void **state)
{
    static const char *const expected[] = {"f=12 ",       "f=1234 ",     "f=1234old8 ", "f=12ab ",
                                           "f=12abold8 ", "f=1234cdef ", "f=12abcdef ", NULL};
    struct env *env = *state;
    struct fs_file *file = durable(env, "f", "12");

    fs_close(durable(env, "g", "1234old8"));
    remove_name(env, "g");
    sync_dir(env, "");
    put(file, 2, "abcdef");
    expect_stale_states(env, expected);
    sync_file(file);
    resize(file, 10); /* a hole is zeros */
    sync_file(file);
    put(file, 10, "zz");
    expect_stale_states(env, (const char *const[]){"f=12abcdef.. ", "f=12abcdef..zz ",
                                                   "f=12abcdef..34 ", NULL});
    fs_close(file);
}

static void lost_growth_shows_a_pattern_where_nothing_was_removed(void **state)
{
    struct fs_file *file = durable(*state, "f", "");

    put(file, 0, "abcd");
    expect_stale_states(*state,
                        (const char *const[]){"f= ", "f=abcd ", "f=\xa5\xa5\xa5\xa5 ", NULL});
    fs_close(file);
}

static void later_sync_covers_all_earlier_writes(void **state)
{
    struct fs_file *file = durable(*state, "f", "aaaa");

    put(file, 0, "b");
    put(file, 1, "c");
    sync_file(file);
    put(file, 0, "x");
    EXPECT_STATES((struct env *)*state, "f=bcaa ", "f=xcaa ");
    fs_close(file);
}

static void resize_may_be_lost(void **state)
{
    struct fs_file *file = durable(*state, "f", "abcdef");

    resize(file, 2);
    EXPECT_STATES((struct env *)*state, "f=abcdef ", "f=ab ");
    resize(file, 4);
    EXPECT_STATES((struct env *)*state, "f=abcdef ", "f=ab ", "f=abcd ", "f=ab.. ");
    sync_file(file);
    EXPECT_STATES((struct env *)*state, "f=ab.. ");
    fs_close(file);
}

static void old_bytes_may_come_back_behind_a_lost_cut(void **state)
{
    struct fs_file *file = durable(*state, "f", "abcd");

    resize(file, 0);
    put(file, 0, "xy");
    EXPECT_STATES((struct env *)*state, "f=abcd ", "f=xycd ", "f= ", "f=.. ", "f=xy ");
    fs_close(file);
}

static void files_are_lost_one_by_one(void **state)
{
    struct fs_file *f = durable(*state, "f", "a");
    struct fs_file *g = durable(*state, "g", "a");

    put(f, 0, "b");
    put(g, 0, "b");
    EXPECT_STATES((struct env *)*state, "f=a g=a ", "f=b g=a ", "f=a g=b ", "f=b g=b ");
    sync_file(f);
    EXPECT_STATES((struct env *)*state, "f=b g=a ", "f=b g=b ");
    fs_close(g);
    fs_close(f);
}

static void cut_comes_after_the_operations_that_were_named(void **state)
{
    struct fs_file *file = durable(*state, "f", "a");
    size_t upto = fs_record_log(((struct env *)*state)->fs)->count;
    static const char *const before[] = {"f=a ", NULL};
    static const char *const amid[] = {"f=a ", "f=b ", NULL};

    put(file, 0, "b");
    sync_file(file);
    put(file, 0, "c");
    expect_states_after(*state, upto, before);
    expect_states_after(*state, upto + 1, amid);
    EXPECT_STATES((struct env *)*state, "f=b ", "f=c ");
    expect_states_after(*state, 0, (const char *const[]){"", NULL});
    fs_close(file);
}

/* --- names ------------------------------------------------------------------------------------ */

static void rename_leaves_the_old_name_or_the_new(void **state)
{
    fs_close(durable(*state, "a", "1"));
    rename_file(*state, "a", "b");
    EXPECT_STATES((struct env *)*state, "a=1 ", "b=1 ");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "b=1 ");
}

static void rename_over_a_file_leaves_the_old_file_or_the_new(void **state)
{
    fs_close(durable(*state, "a", "1"));
    fs_close(durable(*state, "b", "2"));
    rename_file(*state, "a", "b");
    EXPECT_STATES((struct env *)*state, "a=1 b=2 ", "b=1 ");
}

static void renamed_file_may_have_lost_its_content(void **state)
{
    struct fs_file *file = NULL;

    fs_close(durable(*state, "f", "old"));
    file = create(*state, "f.new");
    put(file, 0, "new");
    rename_file(*state, "f.new", "f");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "f= ", "f=... ", "f=new ");
    fs_close(file);
}

static void rename_between_folders_has_two_halves(void **state)
{
    make_dir(*state, "d");
    make_dir(*state, "e");
    sync_dir(*state, "");
    fs_close(durable(*state, "d/f", "1"));
    rename_file(*state, "d/f", "e/f");
    EXPECT_STATES((struct env *)*state, "d/ e/ d/f=1 ", "d/ e/ e/f=1 ", "d/ e/ ",
                  "d/ e/ d/f=1 e/f=1 ");
    sync_dir(*state, "e");
    EXPECT_STATES((struct env *)*state, "d/ e/ e/f=1 ", "d/ e/ d/f=1 e/f=1 ");
    sync_dir(*state, "d");
    EXPECT_STATES((struct env *)*state, "d/ e/ e/f=1 ");
}

static void file_that_half_a_rename_left_is_one_under_two_names(void **state)
{
    struct env *env = *state;
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    char text[TEXT_SIZE];
    struct error err = {0};

    make_dir(env, "d");
    make_dir(env, "e");
    sync_dir(env, "");
    fs_close(durable(env, "d/f", "1"));
    rename_file(env, "d/f", "e/f");
    sync_dir(env, "e");
    size_t count = fs_record_log(env->fs)->count;

    assert_true(
        text_format(text, sizeof(text), "after %zu of %zu, torn at 4, choice 0x0", count, count));
    assert_int_equal(fs_cut_rebuild(fs_record_log(env->fs), text, &fs, &err), STATUS_OK);
    assert_int_equal(fs_open(fs, "d/f", FS_WRITE, &file, &err), STATUS_OK);
    put(file, 0, "2");
    fs_close(file);
    describe(fs, text);
    assert_string_equal(text, "d/ e/ d/f=2 e/f=2 ");
    assert_int_equal(fs_remove(fs, "d/f", &err), STATUS_OK);
    describe(fs, text);
    assert_string_equal(text, "d/ e/ e/f=2 ");
    fs_free(fs);
}

static void removed_name_may_come_back(void **state)
{
    fs_close(durable(*state, "f", "1"));
    remove_name(*state, "f");
    EXPECT_STATES((struct env *)*state, "", "f=1 ");
    fs_close(create(*state, "f"));
    EXPECT_STATES((struct env *)*state, "", "f=1 ", "f= ");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "f= ");
}

static void lost_folder_takes_what_is_in_it_along(void **state)
{
    make_dir(*state, "d");
    fs_close(durable(*state, "d/f", "1"));
    EXPECT_STATES((struct env *)*state, "", "d/ d/f=1 ");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "d/ d/f=1 ");
    remove_name(*state, "d/f");
    remove_name(*state, "d");
    sync_dir(*state, "");
    EXPECT_STATES((struct env *)*state, "");
}

static void folder_made_again_is_another_folder(void **state)
{
    make_dir(*state, "d");
    sync_dir(*state, "");
    fs_close(durable(*state, "d/f", "1"));
    remove_name(*state, "d/f");
    sync_dir(*state, "d");
    remove_name(*state, "d");
    make_dir(*state, "d");
    fs_close(create(*state, "d/g"));
    EXPECT_STATES((struct env *)*state, "", "d/ ", "d/ d/g= ");
}

/* --- failed syncs ----------------------------------------------------------------------------- */

static void what_a_failed_sync_left_is_never_sure_again(void **state)
{
    struct env *env = *state;
    struct fs_file *file = durable(env, "f", "....");
    struct error err = {0};

    put(file, 0, "aaaa");
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    assert_int_equal(fs_sync(file, &err), STATUS_UNKNOWN);
    put(file, 4, "bbbb");
    sync_file(file);
    sync_file(file);
    EXPECT_STATES(env, "f=....bbbb ", "f=aaaabbbb ");
    put(file, 0, "cccc"); /* but what is written anew can be made sure */
    sync_file(file);
    EXPECT_STATES(env, "f=ccccbbbb ");
    fs_close(file);
}

static void what_a_failed_sync_of_a_folder_left_is_never_sure_again(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    fs_close(create(env, "f"));
    faults_arm_point(env->faults, "fs.sync_dir", 1, FAULT_FULL);
    assert_int_equal(fs_sync_dir(env->fs, "", &err), STATUS_EXHAUSTED);
    fs_close(create(env, "g"));
    sync_dir(env, "");
    EXPECT_STATES(env, "g= ", "f= g= ");
}

static void failed_write_does_not_write_again_what_was_there(void **state)
{
    static char bytes[8192];
    struct env *env = *state;
    struct fs_file *file = durable(env, "f", "....");
    struct error err = {0};

    put(file, 0, "aaaa");
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    assert_int_equal(fs_sync(file, &err), STATUS_UNKNOWN);
    memset(bytes, 'a', 4);
    fs_memory_set_space(env->memory, 4096);
    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, sizeof(bytes)), &err), STATUS_EXHAUSTED);
    fs_memory_set_space(env->memory, UINT64_MAX);
    resize(file, 4);
    sync_file(file);
    EXPECT_STATES(env, "f=.... ", "f=aaaa ");
    fs_close(file);
}

static void what_a_sync_failed_for_may_be_forgotten_at_once(void **state)
{
    struct env *env = *state;
    struct fs_file *file = durable(env, "f", "12345678");
    struct error err = {0};
    char text[TEXT_SIZE];

    fs_record_forget_failed(env->fs, true);
    put(file, 2, "abcdefgh");
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    assert_int_equal(fs_sync(file, &err), STATUS_UNKNOWN);
    describe(env->fs, text);
    assert_string_equal(text, "f=12345678.. ");
    put(file, 0, "xy"); /* that is new, and as good as any */
    sync_file(file);
    describe(env->fs, text);
    assert_string_equal(text, "f=xy345678.. ");
    EXPECT_STATES(env, "f=xy345678 ", "f=xyab5678 ", "f=xy34cdef ", "f=xyabcdef ", "f=xy345678.. ",
                  "f=xyab5678.. ", "f=xy34cdef.. ", "f=xyabcdef.. ", "f=xy345678gh ",
                  "f=xyab5678gh ", "f=xy34cdefgh ", "f=xyabcdefgh ");
    fs_close(file);
}

/* --- a sync while others write ----------------------------------------------------------------- */

/* The operations of files in memory, with a sync that waits. */
static struct {
    struct fs_ops ops;
    uv_sem_t entered;
    uv_sem_t leave;
} held;

static enum status held_sync(struct fs_file *file, struct error *err)
{
    (void)file;
    (void)err;
    uv_sem_post(&held.entered);
    uv_sem_wait(&held.leave);
    return STATUS_OK;
}

static enum status held_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    (void)path;
    return held_sync(NULL, err);
}

static void sync_in_a_thread(void *arg)
{
    sync_file(arg);
}

static void sync_dir_in_a_thread(void *arg)
{
    sync_dir(arg, "");
}

static void write_that_began_after_a_sync_was_called_is_not_durable(void **state)
{
    struct env *env = *state;
    const struct fs_ops *ops = env->memory->ops;
    struct fs_file *file = durable(env, "f", "....");
    uv_thread_t thread;

    held.ops = *ops;
    held.ops.sync = held_sync;
    held.ops.sync_dir = held_sync_dir;
    assert_int_equal(uv_sem_init(&held.entered, 0), 0);
    assert_int_equal(uv_sem_init(&held.leave, 0), 0);
    env->memory->ops = &held.ops;
    put(file, 0, "a");
    assert_int_equal(uv_thread_create(&thread, sync_in_a_thread, file), 0);
    uv_sem_wait(&held.entered);
    put(file, 1, "b");
    uv_sem_post(&held.leave);
    assert_int_equal(uv_thread_join(&thread), 0);
    EXPECT_STATES(env, "f=a... ", "f=ab.. ");

    assert_int_equal(uv_thread_create(&thread, sync_dir_in_a_thread, env), 0);
    uv_sem_wait(&held.entered);
    make_dir(env, "d");
    uv_sem_post(&held.leave);
    assert_int_equal(uv_thread_join(&thread), 0);
    env->memory->ops = ops;
    uv_sem_destroy(&held.entered);
    uv_sem_destroy(&held.leave);
    sync_file(file);
    EXPECT_STATES(env, "f=ab.. ", "d/ f=ab.. ");
    fs_close(file);
}

/* --- the iterator ----------------------------------------------------------------------------- */

static void make_pending(struct env *env, unsigned pieces)
{
    struct fs_file *file = durable(env, "f", "................................................");

    for (unsigned i = 0; i < pieces; i++)
        put(file, (uint64_t)i * 4, "x");
    fs_close(file);
}

static uint64_t count_states(struct fs_cut *cut)
{
    struct error err = {0};

    for (uint64_t count = 0;; count++) {
        struct fs *fs = NULL;

        assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
        if (fs == NULL)
            return count;
        fs_free(fs);
    }
}

static void few_atoms_are_tried_in_all_ways(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4};
    struct fs_cut *cut = NULL;
    struct error err = {0};

    make_pending(env, 10);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    assert_int_equal(fs_cut_pending(cut), 10);
    assert_int_equal(fs_cut_count(cut), 1024);
    assert_int_equal(count_states(cut), 1024);
    fs_cut_free(cut);
}

static void many_atoms_are_tried_in_chosen_ways(void **state)
{
    static struct states states;
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4, .exhaustive = 3, .samples = 5, .seed = 7};
    struct fs_cut *cut = NULL;
    struct error err = {0};
    static const char *const chosen[] = {
        "f=................................................ ", /* all lost */
        "f=x...x...x...x...x............................... ", /* all kept */
        "f=....x...x...x...x............................... ", /* one lost */
        "f=x...x...x...x................................... ",
        "f=x............................................... ", /* one kept */
        "f=................x............................... ",
        "f=x...x........................................... ", /* a prefix */
    };

    make_pending(env, 5);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    assert_int_equal(fs_cut_count(cut), 2 + 5 + 5 + 4 + 5);
    collect(cut, &states);
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++)
        assert_true(find_state(&states, chosen[i]) < states.count);
    fs_cut_free(cut);
    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    assert_int_equal(count_states(cut), 2 + 5 + 5 + 4 + 5);
    fs_cut_free(cut);
}

enum { TAIL_WRITES = 20 };

/* How far the file at PATH, of TAIL_WRITES cells, is written: how many cells are, and up to where without a
 * gap. */
struct tail {
    unsigned written;
    unsigned prefix;
};

static struct tail tail_of(struct fs *fs, const char *path)
{
    uint8_t bytes[4 * TAIL_WRITES];
    struct fs_file *file = NULL;
    struct error err = {0};
    struct tail tail = {0};

    assert_int_equal(fs_open(fs, path, FS_READ, &file, &err), STATUS_OK);
    assert_int_equal(fs_read_exactly_at(file, 0, bytes, sizeof(bytes), &err), STATUS_OK);
    fs_close(file);
    for (size_t i = 0; i < TAIL_WRITES; i++)
        tail.written += bytes[4 * i] == 'x' ? 1 : 0;
    while (tail.prefix < TAIL_WRITES && bytes[(size_t)4 * tail.prefix] == 'x')
        tail.prefix++;
    return tail;
}

/* Two files with pending writes in turns. */
static void write_in_turns(struct env *env)
{
    struct fs_file *a = durable(env, "a", "");
    struct fs_file *b = durable(env, "b", "");

    resize(a, (uint64_t)4 * TAIL_WRITES);
    sync_file(a);
    resize(b, (uint64_t)4 * TAIL_WRITES);
    sync_file(b);
    for (unsigned i = 0; i < TAIL_WRITES; i++) {
        put(a, (uint64_t)4 * i, "x");
        put(b, (uint64_t)4 * i, "x");
    }
    fs_close(b);
    fs_close(a);
}

static void files_lose_their_tails_independently(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4, .samples = 100, .seed = 3};
    struct fs_cut *cut = NULL;
    struct error err = {0};
    bool a_alone = false;
    bool b_alone = false;
    unsigned apart = 0;

    write_in_turns(env);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    assert_true(fs_cut_count(cut) < 400);
    for (;;) {
        struct fs *fs = NULL;

        assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
        if (fs == NULL)
            break;
        struct tail a = tail_of(fs, "a");
        struct tail b = tail_of(fs, "b");

        fs_free(fs);
        a_alone = a_alone || (a.prefix == TAIL_WRITES && b.written == 0);
        b_alone = b_alone || (b.prefix == TAIL_WRITES && a.written == 0);
        if (a.written == a.prefix && b.written == b.prefix && a.prefix % TAIL_WRITES != 0 &&
            b.prefix % TAIL_WRITES != 0 && (a.prefix > b.prefix + 1 || b.prefix > a.prefix + 1))
            apart++;
    }
    fs_cut_free(cut);
    assert_true(a_alone);
    assert_true(b_alone);
    assert_true(apart > 3);
}

static void names_and_content_are_lost_apart(void **state)
{
    static struct states states;
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4, .exhaustive = 1};
    struct fs_cut *cut = NULL;
    struct error err = {0};

    fs_close(durable(env, "old", "12345678"));
    struct fs_file *file = durable(env, "f", "........");

    put(file, 0, "xxxxxxxx");
    rename_file(env, "old", "new");
    make_dir(env, "d");
    fs_close(file);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    collect(cut, &states);
    fs_cut_free(cut);
    assert_true(find_state(&states, "d/ f=........ new=12345678 ") < states.count);
    assert_true(find_state(&states, "f=xxxxxxxx old=12345678 ") < states.count);
}

static void states_at_one_cut_are_limited(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    write_in_turns(env);
    const struct fs_log *log = fs_record_log(env->fs);

    for (unsigned most = 8; most <= 200; most += 32) {
        struct fs_cut_options options = {.tear_unit = 4, .samples = 50, .max_states = most};
        struct fs_cut *cut = NULL;

        assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
        assert_int_equal(fs_cut_count(cut), most < 175 ? most : 175);
        assert_int_equal(count_states(cut), fs_cut_count(cut));
        fs_cut_free(cut);
        assert_int_equal(fs_cut_new(log, log->count - 36, &options, &cut, &err), STATUS_OK);
        assert_int_equal(fs_cut_count(cut), most < 16 ? most : 16); /* not all 2^4 */
        fs_cut_free(cut);
    }
}

static void state_is_built_again_from_its_name(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4, .exhaustive = 3, .samples = 9, .seed = 1};
    struct fs_cut *cut = NULL;
    struct error err = {0};
    bool found = false;

    make_pending(env, 11);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(fs_cut_new(log, log->count - 1, &options, &cut, &err), STATUS_OK);
    for (;;) {
        struct fs *fs = NULL;
        struct fs *again = NULL;
        char text[TEXT_SIZE];
        char text_again[TEXT_SIZE];

        assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
        if (fs == NULL)
            break;
        assert_int_equal(fs_cut_rebuild(log, fs_cut_name(cut), &again, &err), STATUS_OK);
        describe(fs, text);
        describe(again, text_again);
        assert_string_equal(text, text_again);
        found = found || strcmp(fs_cut_name(cut), "after 15 of 16, torn at 4, choice 0x001") == 0;
        fs_free(again);
        fs_free(fs);
    }
    assert_true(found);
    fs_cut_free(cut);
}

static void name_of_no_state_is_refused(void **state)
{
    static const char *const names[] = {
        "",
        "after 6 of 6",
        "after 6 of 6, torn at 4",
        "after 6 of 7, torn at 4, choice 0x0",
        "after 7 of 6, torn at 4, choice 0x0",
        "after 6 of 6, torn at 0, choice 0x0",
        "after 6 of 6, torn at 4, choice 0x",
        "after 6 of 6, torn at 4, choice 0x2", /* there is one atom */
        "after 6 of 6, torn at 4, choice 0x10",
        "after 5 of 6, torn at 4, choice 0x1", /* and there none */
        "after 6 of 6, torn at 4, choice 0xg",
        "after 6 of 6, torn at 4294967296, choice 0x0",
        "after 99999999999999999999999999 of 6, torn at 4, choice 0x0",
    };
    struct env *env = *state;
    struct fs *fs = NULL;
    struct error err = {0};

    make_pending(env, 1);
    const struct fs_log *log = fs_record_log(env->fs);

    assert_int_equal(log->count, 6);
    assert_int_equal(fs_cut_rebuild(log, "after 6 of 6, torn at 4, choice 0x1", &fs, &err),
                     STATUS_OK);
    fs_free(fs);
    fs = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(fs_cut_rebuild(log, names[i], &fs, &err), STATUS_INVALID);
        assert_null(fs);
    }
}

/* --- the log ---------------------------------------------------------------------------------- */

static void live(struct env *env)
{
    struct fs_file *file = NULL;

    make_dir(env, "d");
    make_dir(env, "gone");
    remove_name(env, "gone");
    file = durable(env, "d/a", "hello");
    rename_file(env, "d/a", "d/b");
    put(file, 8, "world");
    resize(file, 10);
    remove_name(env, "d/b");
    put(file, 0, "J"); /* nobody sees it any more */
    fs_close(file);
    fs_close(durable(env, "c", "text"));
}

static void replay_does_all_again(void **state)
{
    struct env *env = *state;
    struct error err = {0};
    char text[TEXT_SIZE];
    char expected[TEXT_SIZE];

    live(env);
    const struct fs_log *log = fs_record_log(env->fs);
    struct fs *fs = NULL;

    assert_int_equal(fs_memory_new(&fs, &err), STATUS_OK);
    assert_int_equal(fs_log_replay(log, log->count, fs, &err), STATUS_OK);
    describe(fs, text);
    describe(env->memory, expected);
    assert_string_equal(text, expected);
    assert_string_equal(text, "c=text d/ ");
    assert_int_equal(fs_log_replay(log, log->count, fs, &err), STATUS_EXISTS);
    fs_free(fs);
}

static void replay_of_a_beginning_is_the_state_with_all_kept(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.exhaustive = 1};
    struct error err = {0};

    live(env);
    const struct fs_log *log = fs_record_log(env->fs);

    for (size_t upto = 0; upto <= log->count; upto++) {
        struct fs_cut *cut = NULL;
        struct fs *kept = NULL;
        struct fs *fs = NULL;
        char text[TEXT_SIZE];
        char expected[TEXT_SIZE];

        assert_int_equal(fs_memory_new(&fs, &err), STATUS_OK);
        assert_int_equal(fs_log_replay(log, upto, fs, &err), STATUS_OK);
        describe(fs, expected);
        fs_free(fs);
        assert_int_equal(fs_cut_new(log, upto, &options, &cut, &err), STATUS_OK);
        assert_int_equal(fs_cut_next(cut, &kept, &err), STATUS_OK); /* the first keeps all */
        describe(kept, text);
        assert_string_equal(text, expected);
        fs_free(kept);
        fs_cut_free(cut);
    }
}

/* Commits of 8 pages each to one log of two files, with a new name now and then. */
static void live_long(struct env *env, unsigned commits)
{
    char page[4097] = "";
    struct fs_file *files[] = {durable(env, "a", ""), durable(env, "b", "")};

    memset(page, 'p', sizeof(page) - 1);
    for (unsigned i = 0; i < commits; i++) {
        for (unsigned k = 0; k < 8; k++)
            put(files[i % 2], ((uint64_t)i / 2 * 8 + k) * 4096, page);
        sync_file(files[i % 2]);
        if (i % 10 == 9) {
            char path[32];

            assert_true(text_format(path, sizeof(path), "n%u", i));
            fs_close(create(env, path));
            sync_dir(env, "");
        }
    }
    fs_close(files[0]);
    fs_close(files[1]);
}

static void cuts_one_after_the_other_are_as_each_alone(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4, .samples = 5, .max_states = 20, .stale = true};
    struct error err = {0};

    live(env);
    make_pending(env, 6);
    const struct fs_log *log = fs_record_log(env->fs);
    struct fs_cuts *cuts = fs_cuts_new(log, &options);

    for (size_t upto = 0; upto <= log->count; upto++) {
        struct fs_cut *cut = fs_cuts_at(cuts, upto);
        struct fs_cut *alone = NULL;
        struct fs *fs = NULL;
        struct fs *again = NULL;

        assert_int_equal(fs_cut_new(log, upto, &options, &alone, &err), STATUS_OK);
        for (;;) {
            char text[TEXT_SIZE];
            char text_again[TEXT_SIZE];

            assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
            assert_int_equal(fs_cut_next(alone, &again, &err), STATUS_OK);
            assert_int_equal(fs == NULL, again == NULL);
            if (fs == NULL)
                break;
            assert_string_equal(fs_cut_name(cut), fs_cut_name(alone));
            describe(fs, text);
            describe(again, text_again);
            assert_string_equal(text, text_again);
            fs_free(fs);
            fs_free(again);
        }
        fs_cut_free(alone);
        fs_cut_free(cut);
    }
    fs_cuts_free(cuts);
}

static void states_live_on_when_the_log_goes_on(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.tear_unit = 4};
    struct fs *fs = NULL;
    struct error err = {0};
    char text[TEXT_SIZE];
    struct fs_file *file = durable(env, "f", "abcd");
    size_t upto = fs_record_log(env->fs)->count;

    put(file, 0, "xxxx");
    sync_file(file);
    fs_close(file);
    const struct fs_log *log = fs_record_log(env->fs);
    struct fs_cuts *cuts = fs_cuts_new(log, &options);
    struct fs_cut *cut = fs_cuts_at(cuts, upto);

    assert_int_equal(fs_cut_next(cut, &fs, &err), STATUS_OK);
    fs_cut_free(cut);
    cut = fs_cuts_at(cuts, log->count);
    fs_cut_free(cut);
    fs_cuts_free(cuts);
    describe(fs, text);
    assert_string_equal(text, "f=abcd ");
    fs_free(fs);
}

static void long_log_is_cut_everywhere(void **state)
{
    struct env *env = *state;
    struct fs_cut_options options = {.samples = 20, .max_states = 30};
    uint64_t states = 0;

    live_long(env, test_is_long() ? 480 : 60);
    const struct fs_log *log = fs_record_log(env->fs);
    struct fs_cuts *cuts = fs_cuts_new(log, &options);

    for (size_t upto = 0; upto <= log->count; upto++) {
        struct fs_cut *cut = fs_cuts_at(cuts, upto);

        assert_true(fs_cut_count(cut) <= 30);
        states += count_states(cut);
        fs_cut_free(cut);
    }
    fs_cuts_free(cuts);
    print_message("%zu operations, %llu states\n", log->count, (unsigned long long)states);
    assert_true(states > 10 * log->count);
}

static void files_in_memory_have_a_largest_size(void **state)
{
    const uint64_t most = ((uint64_t)1 << 44) - 4096;
    struct env *env = *state;
    struct fs_file *file = create(env, "f");
    struct error err = {0};
    uint64_t size = 0;

    resize(file, most);
    assert_int_equal(fs_resize(file, most + 1, &err), STATUS_EXHAUSTED);
    assert_int_equal(fs_write_at(file, most, slice_of_text("a"), &err), STATUS_EXHAUSTED);
    assert_int_equal(fs_write_at(file, most - 1, slice_of_text("ab"), &err), STATUS_EXHAUSTED);
    assert_int_equal(fs_size(file, &size, &err), STATUS_OK);
    assert_int_equal(size, most);
    fs_close(file);
}

static void what_was_there_before_the_recorder_is_durable(void **state)
{
    struct env *env = *state;
    struct fs *second = NULL;
    struct fs_cut_options options = {0};
    struct fs_cut *cut = NULL;
    static struct states states;
    struct error err = {0};

    make_dir(env, "d");
    make_dir(env, "d/e");
    fs_close(create(env, "d/e/empty"));
    struct fs_file *file = create(env, "d/f");

    put(file, 0, "text");
    resize(file, 6);
    fs_close(file);
    assert_int_equal(fs_record_new(env->memory, &second, &err), STATUS_OK);
    const struct fs_log *log = fs_record_log(second);

    assert_int_equal(fs_cut_new(log, log->count, &options, &cut, &err), STATUS_OK);
    collect(cut, &states);
    assert_int_equal(states.count, 1);
    assert_string_equal(states.texts[0], "d/ d/e/ d/f=text.. d/e/empty= ");
    fs_cut_free(cut);
    fs_free(second);
}

static void failed_write_is_recorded_with_what_it_left(void **state)
{
    struct env *env = *state;
    static char bytes[5000];
    struct fs_file *file = create(env, "f");
    struct error err = {0};

    fs_memory_set_space(env->memory, 4096);
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(fs_write_at(file, 0, slice_of(bytes, sizeof(bytes)), &err), STATUS_EXHAUSTED);
    const struct fs_log *log = fs_record_log(env->fs);
    const struct fs_op *op = &log->ops[log->count - 1];

    assert_int_equal(op->kind, FS_OP_WRITE);
    assert_int_equal(op->size, 4096);
    assert_memory_equal(op->data, bytes, 4096);
    fs_close(file);
}

static void sync_that_fails_below_is_recorded_as_failed(void **state)
{
    struct env *env = *state;
    struct fs *outer = NULL;
    struct fs_file *file = NULL;
    struct error err = {0};

    assert_int_equal(fs_record_new(env->fs, &outer, &err), STATUS_OK);
    assert_int_equal(fs_open(outer, "f", FS_CREATE, &file, &err), STATUS_OK);
    assert_int_equal(fs_sync(file, &err), STATUS_OK);
    fs_record_power_off(env->fs);
    assert_int_equal(fs_sync(file, &err), STATUS_UNAVAILABLE);
    assert_int_equal(fs_sync_dir(outer, "", &err), STATUS_UNAVAILABLE);
    const struct fs_log *log = fs_record_log(outer);

    assert_int_equal(log->count, 5);
    assert_false(log->ops[2].failed);
    assert_int_equal(log->ops[3].kind, FS_OP_SYNC);
    assert_true(log->ops[3].failed);
    assert_int_equal(log->ops[4].kind, FS_OP_SYNC_DIR);
    assert_true(log->ops[4].failed);
    fs_close(file);
    fs_free(outer);
}

static void what_fails_is_not_recorded(void **state)
{
    struct env *env = *state;
    struct fs_file *file = NULL;
    struct error err = {0};

    fs_close(create(env, "f"));
    size_t count = fs_record_log(env->fs)->count;

    assert_int_equal(fs_open(env->fs, "f", FS_CREATE, &file, &err), STATUS_EXISTS);
    assert_int_equal(fs_open(env->fs, "none", FS_WRITE, &file, &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_make_dir(env->fs, "f", &err), STATUS_EXISTS);
    assert_int_equal(fs_rename(env->fs, "none", "x", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_rename(env->fs, "f", "f", &err), STATUS_OK); /* changes nothing */
    assert_int_equal(fs_remove(env->fs, "none", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_sync_dir(env->fs, "none", &err), STATUS_NOT_FOUND);
    assert_int_equal(fs_record_log(env->fs)->count, count);
}

static void log_is_printed_a_line_for_each_operation(void **state)
{
    static const char expected[] = "     1 sync_dir #0 \"\"\n"
                                   "     2 make_dir #1 \"d\"\n"
                                   "     3 create   #2 \"d/f\"\n"
                                   "     4 write    #2 \"d/f\" 3 bytes at 7\n"
                                   "     5 resize   #2 \"d/f\" to 5 bytes\n"
                                   "     6 sync     #2 \"d/f\" FAILED\n"
                                   "     7 rename   #2 \"d/f\" to \"g\"\n"
                                   "     8 remove   #2 \"g\"\n";
    struct env *env = *state;
    struct error err = {0};
    char *text = NULL;
    size_t size = 0;

    make_dir(env, "d");
    struct fs_file *file = create(env, "d/f");

    put(file, 7, "abc");
    resize(file, 5);
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    assert_int_equal(fs_sync(file, &err), STATUS_UNKNOWN);
    fs_close(file);
    rename_file(env, "d/f", "g");
    remove_name(env, "g");
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    fs_log_print(fs_record_log(env->fs), 8, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text); /* allowed: open_memstream() made it */
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unsynced_file_may_be_there_in_every_form),
        TEST(sync_of_a_file_keeps_its_content_not_its_name),
        TEST(sync_of_a_folder_keeps_the_name_not_the_content),
        TEST(both_syncs_keep_the_file),
        TEST(write_is_torn_at_multiples_of_the_unit),
        TEST(kept_piece_brings_the_size_that_covers_it),
        TEST(file_may_grow_by_a_part_of_a_write),
        TEST(lost_growth_may_show_what_was_removed),
        TEST(lost_growth_shows_a_pattern_where_nothing_was_removed),
        TEST(later_sync_covers_all_earlier_writes),
        TEST(resize_may_be_lost),
        TEST(old_bytes_may_come_back_behind_a_lost_cut),
        TEST(files_are_lost_one_by_one),
        TEST(cut_comes_after_the_operations_that_were_named),
        TEST(rename_leaves_the_old_name_or_the_new),
        TEST(rename_over_a_file_leaves_the_old_file_or_the_new),
        TEST(renamed_file_may_have_lost_its_content),
        TEST(rename_between_folders_has_two_halves),
        TEST(file_that_half_a_rename_left_is_one_under_two_names),
        TEST(removed_name_may_come_back),
        TEST(lost_folder_takes_what_is_in_it_along),
        TEST(folder_made_again_is_another_folder),
        TEST(what_a_failed_sync_left_is_never_sure_again),
        TEST(what_a_failed_sync_of_a_folder_left_is_never_sure_again),
        TEST(failed_write_does_not_write_again_what_was_there),
        TEST(what_a_sync_failed_for_may_be_forgotten_at_once),
        TEST(write_that_began_after_a_sync_was_called_is_not_durable),
        TEST(few_atoms_are_tried_in_all_ways),
        TEST(many_atoms_are_tried_in_chosen_ways),
        TEST(files_lose_their_tails_independently),
        TEST(names_and_content_are_lost_apart),
        TEST(states_at_one_cut_are_limited),
        TEST(state_is_built_again_from_its_name),
        TEST(name_of_no_state_is_refused),
        TEST(replay_does_all_again),
        TEST(replay_of_a_beginning_is_the_state_with_all_kept),
        TEST(cuts_one_after_the_other_are_as_each_alone),
        TEST(states_live_on_when_the_log_goes_on),
        TEST(long_log_is_cut_everywhere),
        TEST(files_in_memory_have_a_largest_size),
        TEST(what_was_there_before_the_recorder_is_durable),
        TEST(failed_write_is_recorded_with_what_it_left),
        TEST(sync_that_fails_below_is_recorded_as_failed),
        TEST(what_fails_is_not_recorded),
        TEST(log_is_printed_a_line_for_each_operation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
