/* A new raw disk, with the power cut at every operation: what was flushed is there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/disk/disk_raw.h"
#include "agent/disk/raw_frozen.h"
#include "tests/disk_contract.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { SECTOR = 512, DISK = 4 * SECTOR, FLUSHES = 3 };

static const char path[] = "restored.raw";

struct story {
    struct disk_world world;
    struct disk_raw_opener opener;
    struct pool *pool;
    struct fs *memory;
    struct fs *fs; /* records */
    size_t made;   /* the disk is promised from here on */
    size_t flushed[FLUSHES];
};

static size_t now(const struct story *story)
{
    return fs_record_log(story->fs)->count;
}

/* Sector N of the disk is written, and flushed, in the Nth place. */
static void fill_sector(uint8_t content[SECTOR], unsigned n)
{
    memset(content, (int)n + 1, SECTOR);
}

static void open_story(struct story *story)
{
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&story->memory, &err), &err);
    ASSERT_OK(fs_record_new(story->memory, &story->fs, &err), &err);
    ASSERT_OK(loop_new(clock_system(), &story->world.loop, &err), &err);
    ASSERT_OK(pool_new(story->world.loop, 1, &story->pool, &err), &err);
    story->opener = disk_raw_opener_of(story->world.loop, story->pool, story->fs);
    story->world.opener = &story->opener.opener;
}

static void close_story(struct story *story)
{
    pool_free(story->pool);
    loop_free(story->world.loop);
    fs_free(story->fs);
    fs_free(story->memory);
}

static void tell(struct story *story)
{
    struct disk *disk = NULL;
    uint8_t content[SECTOR];
    struct error err = {0};

    ASSERT_OK(disk_contract_make(&story->world, path, DISK, SECTOR, &disk, &err), &err);
    story->made = now(story);
    for (unsigned i = 0; i < FLUSHES; i++) {
        fill_sector(content, i);
        ASSERT_OK(disk_contract_io(&story->world, disk, DISK_WRITE, (uint64_t)i * SECTOR, content,
                                   SECTOR, &err),
                  &err);
        ASSERT_OK(disk_contract_io(&story->world, disk, DISK_FLUSH, 0, NULL, 0, &err), &err);
        story->flushed[i] = now(story);
    }
    disk_contract_close(&story->world, disk);
}

static void check_state(void *arg, size_t upto, struct fs *fs, const char *state)
{
    const struct story *story = arg;
    struct raw_frozen_disk noted = {0};
    struct fs_file *file = NULL;
    uint8_t content[DISK];
    uint8_t expected[SECTOR];
    uint64_t size = 0;
    struct error err = {0};

    if (upto < story->made)
        return;
    ASSERT_OK(raw_frozen_read_disk(fs, path, &noted, &err), &err);
    assert_int_equal(noted.logical_sector, SECTOR);
    ASSERT_OK(fs_open(fs, path, FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_int_equal(size, DISK);
    ASSERT_OK(fs_read_exactly_at(file, 0, content, DISK, &err), &err);
    fs_close(file);
    for (size_t i = 0; i < FLUSHES && upto >= story->flushed[i]; i++) {
        fill_sector(expected, (unsigned)i);
        if (memcmp(content + i * SECTOR, expected, SECTOR) != 0)
            fail_msg("%s: what flush %zu promised is lost", state, i);
    }
}

static void what_was_flushed_to_a_new_disk_survives_a_power_cut(void **state)
{
    uint64_t seed = test_seed("disk_raw_cut");
    struct fs_cut_options options = {.tear_unit = SECTOR, .samples = 64, .seed = seed};
    struct story story = {0};

    (void)state;
    open_story(&story);
    tell(&story);

    uint64_t states = fs_cut_every(fs_record_log(story.fs), &options, check_state, &story);

    /* For whoever reads the log. */
    (void)printf("cut at each of %zu operations: %" PRIu64 " states\n", now(&story), states);
    assert_true(states > 20);
    close_story(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_flushed_to_a_new_disk_survives_a_power_cut),
    };

    return cmocka_run_group_tests_name("disk_raw_cut", tests, NULL, NULL);
}
