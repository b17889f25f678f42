#include "agent/disk/raw_frozen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { SECTOR = 512, DISK = 2 * SECTOR, FREEZES = 3 };

static const char path[] = "disk.raw";

/* What was promised, and after how many operations. */
struct promise {
    char id[RAW_FROZEN_ID_SIZE];
    size_t made;    /* the copy is there from here on... */
    size_t removed; /* ...to here: from then on it need not be... */
    size_t gone;    /* ...and from here on it must not */
};

struct story {
    struct fs *memory;
    struct fs *fs; /* records */
    struct promise promises[FREEZES];
    struct raw_frozen_disk noted;
};

static size_t now(const struct story *story)
{
    return fs_record_log(story->fs)->count;
}

/* The content of the disk when it was frozen the Nth time. */
static void fill_disk(uint8_t content[DISK], unsigned n)
{
    memset(content, (int)n + 1, DISK);
}

static void guest_writes(struct story *story, unsigned n)
{
    struct fs_file *file = NULL;
    uint8_t content[DISK];
    struct error err = {0};

    fill_disk(content, n);
    ASSERT_OK(fs_open(story->fs, path, n == 0 ? FS_CREATE : FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, slice_of(content, DISK), &err), &err);
    ASSERT_OK(fs_sync(file, &err), &err);
    fs_close(file);
    ASSERT_OK(fs_sync_dir(story->fs, "", &err), &err);
}

/* Freezes the Nth state of the disk. */
static void freeze(struct story *story, unsigned n, struct random_seeded *random)
{
    struct promise *promise = &story->promises[n];
    struct error err = {0};

    char copy[FS_PATH_SIZE];

    guest_writes(story, n);
    ASSERT_OK(raw_frozen_new_id(&random->source, promise->id, &err), &err);
    ASSERT_OK(raw_frozen_make(story->fs, path, promise->id, &random->source, copy, &err), &err);
    promise->made = now(story);
    promise->removed = SIZE_MAX;
    promise->gone = SIZE_MAX;
}

/* Freezes three states, and removes the first copy when the second is there. */
static void tell(struct story *story, uint64_t seed)
{
    struct random_seeded random = random_seeded_of(seed);
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&story->memory, &err), &err);
    ASSERT_OK(fs_record_new(story->memory, &story->fs, &err), &err);
    freeze(story, 0, &random);
    ASSERT_OK(raw_frozen_read_disk(story->fs, path, &story->noted, &err), &err);
    freeze(story, 1, &random);
    story->promises[0].removed = now(story);
    ASSERT_OK(raw_frozen_remove(story->fs, path, story->promises[0].id, &err), &err);
    story->promises[0].gone = now(story);
    freeze(story, 2, &random);
}

/* Whoever finds a copy by its id finds all of it. */
static void assert_whole(struct fs *fs, const char *id, unsigned n, const char *state)
{
    struct fs_file *file = NULL;
    char copy[FS_PATH_SIZE];
    uint64_t size = 0;
    uint8_t content[DISK];
    uint8_t expected[DISK];
    struct error err = {0};
    enum status st = raw_frozen_find(fs, path, id, copy, &err);

    if (st == STATUS_OK)
        st = raw_frozen_open(fs, copy, &file, &size, &err);
    if (st == STATUS_OK && size == DISK)
        st = fs_read_exactly_at(file, 0, content, DISK, &err);
    fs_close(file);
    fill_disk(expected, n);
    if (st != STATUS_OK || size != DISK || memcmp(content, expected, DISK) != 0)
        fail_msg("%s: copy %u is not whole: %s", state, n, err.text);
}

static bool is_there(struct fs *fs, const char *id)
{
    char copy[FS_PATH_SIZE];
    struct error err = {0};

    return raw_frozen_find(fs, path, id, copy, &err) == STATUS_OK;
}

static void check_copies(const struct story *story, size_t upto, struct fs *fs, const char *state)
{
    for (unsigned i = 0; i < FREEZES; i++) {
        const struct promise *promise = &story->promises[i];
        bool promised = promise->made <= upto && upto <= promise->removed;
        bool there = is_there(fs, promise->id);

        if (there && upto >= promise->gone)
            fail_msg("%s: copy %u is back", state, i);
        if (promised || there)
            assert_whole(fs, promise->id, i, state);
    }
}

static void assert_nothing_unfinished(struct fs *fs)
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(fs, "disk.raw.frozen", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++)
        assert_null(strstr(names.names[i], ".new"));
    fs_names_deinit(&names);
}

/* What is left after the power went at operation UPTO. */
static void check_state(void *arg, size_t upto, struct fs *fs, const char *state)
{
    const struct story *story = arg;
    struct random_seeded random = random_seeded_of(upto);
    struct raw_frozen_disk noted = {0};
    char id[RAW_FROZEN_ID_SIZE];
    char copy[FS_PATH_SIZE];
    struct error err = {0};

    check_copies(story, upto, fs, state);
    if (upto < story->promises[0].made)
        return; /* the disk itself may not be there */
    ASSERT_OK(raw_frozen_read_disk(fs, path, &noted, &err), &err);
    assert_memory_equal(noted.identity, story->noted.identity, sizeof(noted.identity));
    assert_int_equal(noted.logical_sector, story->noted.logical_sector);
    /* The next backup works, and removes what the last one has left. */
    ASSERT_OK(raw_frozen_new_id(&random.source, id, &err), &err);
    ASSERT_OK(raw_frozen_make(fs, path, id, &random.source, copy, &err), &err);
    assert_true(is_there(fs, id));
    assert_nothing_unfinished(fs);
}

static void a_frozen_copy_survives_a_power_cut_at_every_operation(void **state)
{
    uint64_t seed = test_seed("raw_frozen");
    struct fs_cut_options options = {.tear_unit = SECTOR, .samples = 64, .seed = seed};
    struct story story = {0};

    (void)state;
    tell(&story, seed);

    uint64_t states = fs_cut_every(fs_record_log(story.fs), &options, check_state, &story);

    /* For whoever reads the log. */
    (void)printf("cut at each of %zu operations: %" PRIu64 " states\n", now(&story), states);
    assert_true(states > 100);
    fs_free(story.fs);
    fs_free(story.memory);
}

static size_t count_copies(struct fs *fs)
{
    struct fs_names names = {0};
    struct error err = {0};
    size_t count = 0;

    ASSERT_OK(fs_list(fs, "disk.raw.frozen", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++)
        count += strcmp(names.names[i], "disk") != 0;
    fs_names_deinit(&names);
    return count;
}

static void all_copies_go_but_the_one_to_keep(void **state)
{
    struct story story = {0};
    struct fs_file *unfinished = NULL;
    size_t removed = 0;
    struct error err = {0};

    (void)state;
    tell(&story, test_seed("raw_frozen"));
    ASSERT_OK(fs_open(story.fs, "disk.raw.frozen/0123456789abcdef0123456789abcdef.new", FS_CREATE,
                      &unfinished, &err),
              &err);
    fs_close(unfinished);
    ASSERT_OK(raw_frozen_keep_only(story.fs, path, story.promises[1].id, &removed, &err), &err);
    assert_int_equal(removed, 2);
    assert_whole(story.fs, story.promises[1].id, 1, "one is kept");
    assert_false(is_there(story.fs, story.promises[2].id));
    assert_int_equal(count_copies(story.fs), 1);
    ASSERT_OK(raw_frozen_keep_only(story.fs, path, story.promises[1].id, &removed, &err), &err);
    assert_int_equal(removed, 0);
    ASSERT_OK(raw_frozen_keep_only(story.fs, path, NULL, &removed, &err), &err);
    assert_int_equal(removed, 1);
    assert_int_equal(count_copies(story.fs), 0);
    ASSERT_OK(raw_frozen_read_disk(story.fs, path, &story.noted, &err), &err);
    ASSERT_OK(raw_frozen_keep_only(story.fs, "other.raw", NULL, &removed, &err), &err);
    assert_int_equal(removed, 0); /* never frozen */
    fs_free(story.fs);
    fs_free(story.memory);
}

/* With the copies told of, all are removed but the second: after that none but it is ever there again. */
static void removed_copies_stay_removed_after_a_power_cut(void **state)
{
    uint64_t seed = test_seed("raw_frozen");
    struct fs_cut_options options = {.tear_unit = SECTOR, .samples = 64, .seed = seed};
    struct story story = {0};
    size_t removed = 0;
    struct error err = {0};

    (void)state;
    tell(&story, seed);
    story.promises[2].removed = now(&story);
    ASSERT_OK(raw_frozen_keep_only(story.fs, path, story.promises[1].id, &removed, &err), &err);
    assert_int_equal(removed, 1);
    story.promises[2].gone = now(&story);
    assert_true(fs_cut_every(fs_record_log(story.fs), &options, check_state, &story) > 100);
    fs_free(story.fs);
    fs_free(story.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_copy_survives_a_power_cut_at_every_operation),
        cmocka_unit_test(all_copies_go_but_the_one_to_keep),
        cmocka_unit_test(removed_copies_stay_removed_after_a_power_cut),
    };

    return cmocka_run_group_tests_name("raw_frozen", tests, NULL, NULL);
}
