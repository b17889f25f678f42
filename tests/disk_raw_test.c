#include "agent/disk/disk_raw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/disk_contract.h"
#include "tests/support/fs_memory.h"
#include "tests/support/loop_wait.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum { WORKERS = 4, SMALL = 64 * 1024 };

static const char disk_path[] = "vm/disk.raw";
static const char new_path[] = "vm/restored.raw";

struct raw_world {
    struct disk_world world; /* first: what the suite sees */
    struct pool *pool;
    struct fs *fs;
    struct fs_file *guest;      /* the guest's handle */
    char dir[TEMP_FOLDER_SIZE]; /* of the machine; "" for a file system in memory */
    struct random_seeded random;
};

/* ---- Opening, waited for --------------------------------------------------------------------- */

struct waiting_open {
    struct disk_raw_open open;
    struct loop *loop;
    bool done;
    enum status status;
    struct disk *disk;
    struct error err;
};

static void open_done(struct disk_raw_open *open, enum status status, struct disk *disk,
                      const struct error *err)
{
    struct waiting_open *waiting = (struct waiting_open *)open; /* its first member */

    assert_true((status == STATUS_OK) == (disk != NULL));
    waiting->status = status;
    waiting->disk = disk;
    if (status != STATUS_OK)
        waiting->err = *err;
    waiting->done = true;
    loop_stop(waiting->loop);
}

/* The frozen state CHANGE_ID of the disk at PATH or, for "", a new disk of SIZE bytes. */
static enum status open_disk(struct raw_world *raw, const char *path, const char *change_id,
                             uint64_t size, struct disk **ret_disk, struct error *err)
{
    struct waiting_open waiting = {
        .open = {.fs = raw->fs, .path = path, .size = size, .done = open_done},
        .loop = raw->world.loop};

    assert_true(strlen(change_id) < sizeof(waiting.open.change_id));
    memcpy(waiting.open.change_id, change_id, strlen(change_id) + 1);
    memset(waiting.open.identity, 0x5a, sizeof(waiting.open.identity));
    disk_raw_open_start(raw->world.loop, raw->pool, &waiting.open);
    assert_false(waiting.done);
    loop_wait(raw->world.loop, &waiting.done);
    *ret_disk = waiting.disk;
    *err = waiting.err;
    return waiting.status;
}

/* ---- The world ------------------------------------------------------------------------------- */

static struct raw_world *raw_of(struct disk_world *world)
{
    return (struct raw_world *)world; /* its first member */
}

static struct raw_world *make_world(struct fs *fs, uint64_t size)
{
    struct raw_world *raw = memory_new(1, sizeof(*raw));
    struct error err = {0};

    assert_non_null(raw);
    raw->fs = fs;
    raw->random = random_seeded_of(size);
    ASSERT_OK(loop_new(clock_system(), &raw->world.loop, &err), &err);
    ASSERT_OK(pool_new(raw->world.loop, WORKERS, &raw->pool, &err), &err);
    ASSERT_OK(fs_make_dir(fs, "vm", &err), &err);
    ASSERT_OK(fs_open(fs, disk_path, FS_CREATE, &raw->guest, &err), &err);
    ASSERT_OK(fs_resize(raw->guest, size, &err), &err);
    return raw;
}

static const struct disk_world_ops posix_world, memory_world;

static struct disk_world *make_posix_world(uint64_t size)
{
    char dir[TEMP_FOLDER_SIZE];
    struct error err = {0};
    struct fs *fs = NULL;

    temp_folder_make(dir);
    ASSERT_OK(fs_posix_new(dir, &fs, &err), &err);

    struct raw_world *raw = make_world(fs, size);

    memcpy(raw->dir, dir, sizeof(dir));
    raw->world.ops = &posix_world;
    return &raw->world;
}

static struct disk_world *make_memory_world(uint64_t size)
{
    struct error err = {0};
    struct fs *fs = NULL;

    ASSERT_OK(fs_memory_new(&fs, &err), &err);

    struct raw_world *raw = make_world(fs, size);

    raw->world.ops = &memory_world;
    return &raw->world;
}

static void free_world(struct disk_world *world)
{
    struct raw_world *raw = raw_of(world);

    fs_close(raw->guest);
    pool_free(raw->pool);
    loop_free(raw->world.loop);
    fs_free(raw->fs);
    if (raw->dir[0] != '\0')
        temp_folder_remove(raw->dir);
    memory_free(raw);
}

static struct disk *freeze(struct disk_world *world)
{
    struct raw_world *raw = raw_of(world);
    char id[RAW_FROZEN_ID_SIZE] = "";
    struct disk *disk = NULL;
    struct error err = {0};

    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, &raw->random.source, id, &err), &err);
    ASSERT_OK(open_disk(raw, disk_path, id, 0, &disk, &err), &err);
    return disk;
}

static struct disk *make_disk(struct disk_world *world, uint64_t size)
{
    struct disk *disk = NULL;
    struct error err = {0};

    ASSERT_OK(open_disk(raw_of(world), new_path, "", size, &disk, &err), &err);
    return disk;
}

static void guest_write(struct disk_world *world, uint64_t offset, struct slice data)
{
    struct error err = {0};

    ASSERT_OK(fs_write_at(raw_of(world)->guest, offset, data, &err), &err);
}

static void guest_trim(struct disk_world *world, uint64_t offset, uint64_t length)
{
    uint8_t *zeros = memory_new(1, length);

    assert_non_null(zeros);
    guest_write(world, offset, slice_of(zeros, length));
    memory_free(zeros);
}

static void forget(struct disk_world *world, const char *change_id)
{
    struct error err = {0};

    ASSERT_OK(raw_frozen_remove(raw_of(world)->fs, disk_path, change_id, &err), &err);
}

static const struct disk_world_ops posix_world = {"raw file", make_posix_world, free_world, freeze,
                                                  make_disk,  guest_write,      guest_trim, forget};
static const struct disk_world_ops memory_world = {
    "raw file in memory", make_memory_world, free_world, freeze, make_disk,
    guest_write,          guest_trim,        forget};

/* ---- What is the raw filling's own ----------------------------------------------------------- */

static void a_file_that_is_no_disk_is_refused_and_nothing_is_made_beside_it(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    char id[RAW_FROZEN_ID_SIZE] = "";
    struct fs_names names = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_resize(raw->guest, 1000, &err), &err);
    ASSERT_STATUS(STATUS_PRECONDITION,
                  raw_frozen_make(raw->fs, disk_path, &raw->random.source, id, &err), &err);
    assert_string_equal(err.text, "freeze the disk vm/disk.raw: vm/disk.raw has 1000 bytes; a raw "
                                  "disk has a multiple of 512");
    ASSERT_OK(fs_resize(raw->guest, 0, &err), &err);
    ASSERT_STATUS(STATUS_PRECONDITION,
                  raw_frozen_make(raw->fs, disk_path, &raw->random.source, id, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND,
                  raw_frozen_make(raw->fs, "vm/none.raw", &raw->random.source, id, &err), &err);
    ASSERT_OK(fs_list(raw->fs, "vm", &names, &err), &err);
    assert_int_equal(names.count, 1);
    fs_names_deinit(&names);
    free_world(&raw->world);
}

static void opening_what_is_not_there_says_so(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *disk = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_NOT_FOUND,
                  open_disk(raw, disk_path, "0123456789abcdef0123456789abcdef", 0, &disk, &err),
                  &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, open_disk(raw, disk_path, "../../etc/passwd", 0, &disk, &err),
                  &err);
    ASSERT_STATUS(STATUS_INVALID, open_disk(raw, new_path, "", 1000, &disk, &err), &err);
    ASSERT_STATUS(STATUS_INVALID, open_disk(raw, new_path, "", 0, &disk, &err), &err);
    ASSERT_STATUS(STATUS_EXISTS, open_disk(raw, disk_path, "", SMALL, &disk, &err), &err);
    free_world(&raw->world);
}

static void a_state_of_another_size_is_not_found(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *before = freeze(&raw->world);
    struct disk_info info = *disk_info(before);
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    (void)state;
    range_list_init(&ranges, 10);
    disk_contract_close(&raw->world, before);
    ASSERT_OK(fs_resize(raw->guest, 2ULL * SMALL, &err), &err);

    struct disk *now = freeze(&raw->world);

    ASSERT_STATUS(STATUS_NOT_FOUND,
                  disk_contract_query(&raw->world, now, info.change_id, 0, &ranges, &covered_to,
                                      &err),
                  &err);
    disk_contract_close(&raw->world, now);
    range_list_deinit(&ranges);
    free_world(&raw->world);
}

static void a_frozen_copy_that_was_cut_off_is_corrupt_never_zero(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *disk = freeze(&raw->world);
    char copy[FS_PATH_SIZE];
    static uint8_t data[SMALL];
    struct fs_file *file = NULL;
    struct error err = {0};

    (void)state;
    assert_true(
        text_format(copy, sizeof(copy), "%s.frozen/%s", disk_path, disk_info(disk)->change_id));
    ASSERT_OK(fs_open(raw->fs, copy, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_resize(file, SMALL / 2, &err), &err);
    fs_close(file);
    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_contract_io(&raw->world, disk, DISK_READ, 0, data, SMALL, &err), &err);
    disk_contract_close(&raw->world, disk);
    free_world(&raw->world);
}

static void a_damaged_identity_is_corrupt(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *disk = freeze(&raw->world);
    struct disk_info info = *disk_info(disk);
    struct error err = {0};

    (void)state;
    disk_contract_close(&raw->world, disk);
    ASSERT_OK(fs_replace(raw->fs, "vm/disk.raw.frozen/identity", slice_of_text("none"), &err),
              &err);
    ASSERT_STATUS(STATUS_CORRUPT, open_disk(raw, disk_path, info.change_id, 0, &disk, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  raw_frozen_make(raw->fs, disk_path, &raw->random.source, info.change_id, &err),
                  &err);
    free_world(&raw->world);
}

static void a_frozen_copy_leaves_holes_out(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct fs_file *copy = NULL;
    uint64_t size = 0;
    uint64_t start = 0;
    uint64_t end = 0;
    char id[RAW_FROZEN_ID_SIZE] = "";
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_write_at(raw->guest, 32768, slice_of_text("data"), &err), &err);
    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, &raw->random.source, id, &err), &err);
    ASSERT_OK(raw_frozen_open(raw->fs, disk_path, id, &copy, &size, &err), &err);
    assert_int_equal(size, SMALL);
    ASSERT_OK(fs_next_data(copy, 0, &start, &end, &err), &err);
    assert_int_equal(start, 32768);
    assert_int_equal(end, 36864);
    ASSERT_STATUS(STATUS_NOT_FOUND, fs_next_data(copy, end, &start, &end, &err), &err);
    fs_close(copy);
    free_world(&raw->world);
}

/* ---- Cancelling what waits ------------------------------------------------------------------- */

struct blocker {
    struct work work;
    uv_sem_t *gate;
};

static void wait_at_gate(struct work *work)
{
    uv_sem_wait(((struct blocker *)work)->gate); /* its first member */
}

static void blocker_done(struct work *work, enum status status)
{
    (void)work; /* on the test's stack */
    assert_int_equal(status, STATUS_OK);
}

struct cancelled_io {
    struct disk_io io;
    struct loop *loop;
    bool done;
    enum status status;
    uint8_t data[4096];
};

static void cancelled_io_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct cancelled_io *cancelled = (struct cancelled_io *)io; /* its first member */

    assert_string_equal(err->text, "cancelled before it began");
    cancelled->status = status;
    cancelled->done = true;
    loop_stop(cancelled->loop);
}

struct lane_end {
    struct loop_task task;
    struct loop *loop;
    bool done;
};

static void lane_ended(struct loop_task *task)
{
    struct lane_end *end = (struct lane_end *)task; /* its first member */

    end->done = true;
    loop_stop(end->loop);
}

static void a_read_that_waits_for_a_worker_can_be_cancelled(void **state)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *disk = freeze(&raw->world);
    struct lane_limits limits = {.work = WORKERS, .cost = WORKERS};
    struct blocker blockers[WORKERS];
    struct cancelled_io cancelled = {.loop = raw->world.loop};
    struct lane_end end = {.task = {.run = lane_ended}, .loop = raw->world.loop};
    struct lane *lane = NULL;
    uv_sem_t gate;
    struct error err = {0};

    (void)state;
    assert_int_equal(uv_sem_init(&gate, 0), 0);
    ASSERT_OK(lane_new(raw->pool, limits, NULL, &lane, &err), &err);
    for (unsigned i = 0; i < WORKERS; i++) { /* no worker is left */
        blockers[i] =
            (struct blocker){.work = {.run = wait_at_gate, .done = blocker_done, .cost = 1},
                             .gate = &gate};
        assert_true(lane_submit(lane, &blockers[i].work));
    }
    cancelled.io = (struct disk_io){.kind = DISK_READ,
                                    .data = cancelled.data,
                                    .length = sizeof(cancelled.data),
                                    .done = cancelled_io_done};
    disk_io_start(disk, &cancelled.io);
    disk_io_cancel(&cancelled.io);
    for (unsigned i = 0; i < WORKERS; i++)
        uv_sem_post(&gate);
    loop_wait(raw->world.loop, &cancelled.done);
    assert_int_equal(cancelled.status, STATUS_CANCELLED);
    disk_contract_close(&raw->world, disk);
    lane_close(lane, &end.task);
    loop_wait(raw->world.loop, &end.done);
    uv_sem_destroy(&gate);
    free_world(&raw->world);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

/* Freezes, asks what changed, reads, and makes a new disk; the first failure ends it. */
static enum status whole_round(struct raw_world *raw, const char *since, struct error *err)
{
    struct range_list ranges;
    struct disk *frozen = NULL;
    struct disk *made = NULL;
    uint64_t covered_to = 0;
    static uint8_t data[SMALL];
    char id[RAW_FROZEN_ID_SIZE] = "";
    enum status st = raw_frozen_make(raw->fs, disk_path, &raw->random.source, id, err);

    range_list_init(&ranges, 10);
    if (st == STATUS_OK)
        st = open_disk(raw, disk_path, id, 0, &frozen, err);
    if (st == STATUS_OK)
        st = disk_contract_query(&raw->world, frozen, "", 0, &ranges, &covered_to, err);
    if (st == STATUS_OK)
        st = disk_contract_query(&raw->world, frozen, since, 0, &ranges, &covered_to, err);
    if (st == STATUS_OK)
        st = disk_contract_io(&raw->world, frozen, DISK_READ, 0, data, SMALL, err);
    if (st == STATUS_OK)
        st = open_disk(raw, new_path, "", SMALL, &made, err);
    if (st == STATUS_OK)
        st = disk_contract_io(&raw->world, made, DISK_WRITE, 0, data, SMALL, err);
    if (st == STATUS_OK)
        st = disk_contract_io(&raw->world, made, DISK_FLUSH, 0, NULL, 0, err);
    if (frozen != NULL)
        disk_contract_close(&raw->world, frozen);
    if (made != NULL)
        disk_contract_close(&raw->world, made);
    range_list_deinit(&ranges);
    return st;
}

/* One round with the Nth of CLASSES failing, and one after it without. Did the Nth come? */
static bool try_fault(struct faults *faults, unsigned classes, uint64_t n)
{
    struct raw_world *raw = raw_of(make_memory_world(SMALL));
    struct disk *first = NULL;
    char since[RAW_FROZEN_ID_SIZE] = "";
    struct error err = {0};

    ASSERT_OK(fs_write_at(raw->guest, 4096, slice_of_text("first"), &err), &err);
    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, &raw->random.source, since, &err), &err);
    ASSERT_OK(fs_write_at(raw->guest, 8192, slice_of_text("second"), &err), &err);
    faults_install(faults);
    faults_arm(faults, classes, n);

    enum status st = whole_round(raw, since, &err);
    bool fired = faults_fired(faults);

    faults_install(NULL);
    /* A fault may be one that is borne: in the clean-up of what the next freeze cleans anyway. */
    assert_true(fired || st == STATUS_OK);
    assert_true(st == STATUS_OK || strlen(err.text) > 10);
    DISCARD(fs_remove(raw->fs, new_path, &err)); /* a failed round may not have made it */
    /* The earlier state is untouched, and all of it works now. */
    ASSERT_OK(open_disk(raw, disk_path, since, 0, &first, &err), &err);
    disk_contract_close(&raw->world, first);
    ASSERT_OK(whole_round(raw, since, &err), &err);
    free_world(&raw->world);
    return fired;
}

static void try_each_fault(unsigned classes)
{
    struct faults *faults = faults_new();
    uint64_t tried = 0;

    assert_non_null(faults);
    while (try_fault(faults, classes, tried + 1))
        tried++;
    (void)printf("tried %" PRIu64 " faults\n", tried); /* for whoever reads the log */
    assert_true(tried > 30);
    faults_free(faults);
}

static void each_failing_allocation_is_told_and_the_next_round_works(void **state)
{
    (void)state;
    try_each_fault(FAULT_ALLOC);
}

static void each_failing_io_is_told_and_the_next_round_works(void **state)
{
    (void)state;
    try_each_fault(FAULT_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_no_disk_is_refused_and_nothing_is_made_beside_it),
        cmocka_unit_test(opening_what_is_not_there_says_so),
        cmocka_unit_test(a_state_of_another_size_is_not_found),
        cmocka_unit_test(a_frozen_copy_that_was_cut_off_is_corrupt_never_zero),
        cmocka_unit_test(a_damaged_identity_is_corrupt),
        cmocka_unit_test(a_frozen_copy_leaves_holes_out),
        cmocka_unit_test(a_read_that_waits_for_a_worker_can_be_cancelled),
        cmocka_unit_test(each_failing_allocation_is_told_and_the_next_round_works),
        cmocka_unit_test(each_failing_io_is_told_and_the_next_round_works),
    };
    int failed = disk_contract(&posix_world);

    failed += disk_contract(&memory_world);
    return failed + cmocka_run_group_tests_name("disk_raw", tests, NULL, NULL);
}
