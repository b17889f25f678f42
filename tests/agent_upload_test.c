/* tests/agent_upload_test.c: the pipeline's limits, against the double of a coordinator: it asserts the protocol's
 * own limits in every test. What becomes of whole backups: agent_backup_test.c. */
#include <string.h>

#include "base/memory.h"
#include "agent/disk/disk_raw.h"
#include "agent/disk/raw_frozen.h"
#include "agent/offer_ledger.h"
#include "agent/upload.h"
#include "tests/agent_double.h"
#include "tests/support/fs_memory.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

enum { SECTOR = 512, MIB = 1024 * 1024, SIZE = 24 * MIB + 3 * SECTOR };

struct world {
    struct agent_double *fake;
    struct fs *fs;
    uint8_t *content;
    struct disk_raw_opener opener;
    struct disk_open open;
    struct disk *disk;
    struct loop_task disk_closed;
    struct upload *upload;
    bool ready, done;
    enum status status;
    struct error err;
};

static void on_opened(struct disk_open *open, enum status status, struct disk *disk,
                      const struct error *err)
{
    struct world *world = (struct world *)((char *)open - offsetof(struct world, open));

    if (status != STATUS_OK)
        fail_msg("%s", err->text);
    world->disk = disk;
    world->ready = true;
    loop_stop(world->fake->loop);
}

static void on_disk_closed(struct loop_task *task)
{
    struct world *world = (struct world *)((char *)task - offsetof(struct world, disk_closed));

    world->ready = true;
    loop_stop(world->fake->loop);
}

/* A frozen disk full of data that does not compress. */
static int set_up(void **state)
{
    struct world *world = memory_new(1, sizeof(*world));
    struct fs_file *file = NULL;
    char id[RAW_FROZEN_ID_SIZE];
    char copy[FS_PATH_SIZE];
    struct error err = {0};

    assert_non_null(world);
    world->fake = agent_double_new(test_seed("agent_upload"));
    world->content = memory_new(SIZE, 1);
    assert_non_null(world->content);
    ASSERT_OK(random_bytes(random_system(), world->content, SIZE, &err), &err);
    ASSERT_OK(fs_memory_new(&world->fs, &err), &err);
    ASSERT_OK(fs_open(world->fs, "disk.raw", FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, slice_of(world->content, SIZE), &err), &err);
    fs_close(file);
    ASSERT_OK(raw_frozen_new_id(random_system(), id, &err), &err);
    ASSERT_OK(raw_frozen_make(world->fs, "disk.raw", id, random_system(), copy, &err), &err);
    world->opener = disk_raw_opener_of(world->fake->loop, world->fake->blocking, world->fs);
    world->open = (struct disk_open){.path = copy, .kind = DISK_OPEN_FROZEN, .done = on_opened};
    disk_open_start(&world->opener.opener, &world->open);
    loop_wait(world->fake->loop, &world->ready);
    world->disk_closed.run = on_disk_closed;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    upload_free(world->upload);
    world->ready = false;
    disk_close(world->disk, &world->disk_closed);
    loop_wait(world->fake->loop, &world->ready);
    agent_double_free(world->fake);
    fs_free(world->fs);
    memory_free(world->content);
    memory_free(world);
    return 0;
}

static void on_done(void *owner, enum status status, const struct error *err)
{
    struct world *world = owner;

    assert_false(world->done);
    world->done = true;
    world->status = status;
    if (err != NULL)
        world->err = *err;
    loop_stop(world->fake->loop);
}

static void start(struct world *world, uint32_t block_size)
{
    struct agent_double *fake = world->fake;
    struct upload_options options = {.loop = fake->loop,
                                     .workers = fake->workers,
                                     .window = &fake->window,
                                     .log = &fake->log,
                                     .channel = fake->channel,
                                     .disk = world->disk,
                                     .id_key = fake->id_key,
                                     .block_size = block_size,
                                     .done = on_done,
                                     .owner = world};
    struct error err = {0};

    upload_free(world->upload);
    world->done = false;
    ASSERT_OK(upload_new(&options, &world->upload, &err), &err);
    upload_start(world->upload);
    assert_false(world->done);
}

static void wait_for_it(struct world *world)
{
    loop_wait(world->fake->loop, &world->done);
    if (world->status != STATUS_OK)
        fail_msg("%s", world->err.text);
    assert_int_equal(world->fake->window.used, 0);
}

static void assert_uploaded(struct world *world)
{
    uint8_t *content = memory_new(SIZE, 1);

    assert_non_null(content);
    assert_true(id_equal(upload_root_id(world->upload), &world->fake->root_id));
    agent_double_read_disk(world->fake, &world->fake->root_id, content, SIZE);
    assert_memory_equal(content, world->content, SIZE);
    memory_free(content);
}

static void blocks_of_each_size_arrive(void **state)
{
    static const uint32_t sizes[] = {4096, 65536, MIB};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        start(world, sizes[i]);
        wait_for_it(world);
        assert_uploaded(world);
        assert_int_equal(upload_counts(world->upload).read, SIZE);
        assert_int_equal(upload_counts(world->upload).to_read, SIZE);
        assert_true(world->fake->window.peak <= DOUBLE_WINDOW);
    }
}

static void what_the_coordinator_has_is_not_sent(void **state)
{
    struct world *world = *state;

    start(world, 65536);
    wait_for_it(world);
    assert_int_equal(upload_counts(world->upload).sent, world->fake->bytes_sent);
    start(world, 65536);
    wait_for_it(world);
    assert_int_equal(upload_counts(world->upload).sent, 0);
    assert_int_equal(upload_counts(world->upload).read, SIZE);
    assert_uploaded(world);
}

/* Until somebody waits for room in the window. */
static void run_until_full(struct world *world)
{
    while (world->fake->window.first == NULL)
        agent_double_run_once(world->fake);
}

static void full_window_stops_the_reading(void **state)
{
    struct world *world = *state;

    agent_double_script(world->fake, STEP_WANT, 1, ACT_SILENT);
    start(world, 65536);
    run_until_full(world);
    while (world->fake->hits == 0) /* what is read is offered, though no offer is full */
        agent_double_run_once(world->fake);
    for (unsigned i = 0; i < 1000; i++)
        agent_double_run_once(world->fake);
    assert_true(upload_counts(world->upload).read <= DOUBLE_WINDOW);
    assert_int_equal(world->fake->window.peak, DOUBLE_WINDOW);
    assert_false(world->done);
    agent_double_go_on(world->fake);
    wait_for_it(world);
    assert_uploaded(world);
    assert_int_equal(world->fake->window.peak, DOUBLE_WINDOW);
}

static void window_of_one_block_is_enough(void **state)
{
    struct world *world = *state;

    window_init(&world->fake->window, world->fake->loop, MIB);
    start(world, MIB);
    wait_for_it(world);
    assert_uploaded(world);
    assert_int_equal(world->fake->window.peak, MIB);
}

static void no_more_than_16_offers_are_undecided(void **state)
{
    struct world *world = *state;

    window_init(&world->fake->window, world->fake->loop, UINT64_C(2) * SIZE);
    agent_double_script(world->fake, STEP_WANT, 1, ACT_SILENT);
    start(world, 4096); /* 1 MiB an offer: there is enough for 25 */
    while (world->fake->undecided_peak < OFFER_LEDGER_UNDECIDED_MAX ||
           upload_counts(world->upload).read < SIZE)
        agent_double_run_once(world->fake);
    for (unsigned i = 0; i < 100; i++)
        agent_double_run_once(world->fake);
    assert_int_equal(world->fake->undecided_peak, OFFER_LEDGER_UNDECIDED_MAX);
    agent_double_go_on(world->fake);
    wait_for_it(world);
    assert_uploaded(world);
    assert_int_equal(world->fake->undecided_peak, OFFER_LEDGER_UNDECIDED_MAX);
}

static void cancelled_upload_with_a_full_window_ends(void **state)
{
    struct world *world = *state;

    agent_double_script(world->fake, STEP_WANT, 1, ACT_SILENT);
    start(world, 65536);
    run_until_full(world);
    upload_cancel(world->upload);
    upload_cancel(world->upload);
    assert_false(world->done);
    loop_wait(world->fake->loop, &world->done);
    assert_int_equal(world->status, STATUS_CANCELLED);
    assert_int_equal(world->fake->window.used, 0);
    assert_null(world->fake->window.first);
}

/* Cancels the upload at a moment that SEED decides. */
static void uploads_cancelled_at_any_moment_leave_nothing(void **state)
{
    struct world *world = *state;
    struct random_seeded *random = &world->fake->random;

    for (unsigned i = 0; i < 30; i++) {
        uint64_t rounds = random_seeded_below(random, 400);

        start(world, 65536);
        for (uint64_t r = 0; r < rounds && !world->done; r++)
            agent_double_run_once(world->fake);
        upload_cancel(world->upload);
        if (!world->done)
            loop_wait(world->fake->loop, &world->done);
        assert_int_equal(world->fake->window.used, 0);
    }
    start(world, 65536);
    wait_for_it(world);
    assert_uploaded(world);
}

static void two_uploads_share_one_window(void **state)
{
    struct world *world = *state;
    struct world other = *world;

    other.upload = NULL;
    start(world, 65536);
    start(&other, 4096);
    while (!world->done || !other.done)
        agent_double_run_once(world->fake);
    if (world->status != STATUS_OK || other.status != STATUS_OK)
        fail_msg("%s%s", world->err.text, other.err.text);
    assert_true(world->fake->window.peak <= DOUBLE_WINDOW);
    assert_int_equal(world->fake->window.used, 0);
    upload_free(other.upload);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_of_each_size_arrive),
        TEST(what_the_coordinator_has_is_not_sent),
        TEST(full_window_stops_the_reading),
        TEST(window_of_one_block_is_enough),
        TEST(no_more_than_16_offers_are_undecided),
        TEST(cancelled_upload_with_a_full_window_ends),
        TEST(uploads_cancelled_at_any_moment_leave_nothing),
        TEST(two_uploads_share_one_window),
    };

    return cmocka_run_group_tests_name("agent_upload", tests, NULL, NULL);
}
