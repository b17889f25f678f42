#include "agent/disk/disk_raw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "base/fault.h"
#include "base/fs_posix.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "agent/disk/raw_frozen.h"
#include "tests/disk_contract.h"
#include "tests/support/fs_memory.h"
#include "tests/support/loop_wait.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum { WORKERS = 4, SMALL = 64 * 1024 };

static const char disk_path[] = "vm/disk.raw";
static const char new_path[] = "vm/restored.raw";
static const char some_id[] = "0123456789abcdef0123456789abcdef";

struct raw_world {
    struct disk_world world; /* first: what the suite sees */
    struct disk_raw_opener opener;
    struct pool *pool;
    struct fs *fs;
    struct fs_file *guest; /* the guest's handle */
    uint64_t size;
    char dir[TEMP_FOLDER_SIZE]; /* of the machine; "" for a file system in memory */
    struct random_seeded random;
    struct faults *faults; /* of the test that has some */
};

static struct raw_world *raw_of(struct disk_world *world)
{
    return (struct raw_world *)world; /* its first member */
}

static struct raw_world *make_world(struct fs *fs, uint64_t size, uint32_t sector,
                                    const struct disk_world_ops *ops)
{
    struct raw_frozen_disk noted = {.logical_sector = sector};
    struct raw_world *raw = memory_new(1, sizeof(*raw));
    struct error err = {0};

    assert_non_null(raw);
    raw->fs = fs;
    raw->size = size;
    raw->random = random_seeded_of(size);
    ASSERT_OK(loop_new(clock_system(), &raw->world.loop, &err), &err);
    ASSERT_OK(pool_new(raw->world.loop, WORKERS, &raw->pool, &err), &err);
    raw->opener = disk_raw_opener_of(raw->world.loop, raw->pool, fs);
    raw->world.ops = ops;
    raw->world.opener = &raw->opener.opener;
    raw->world.new_path = new_path;
    ASSERT_OK(fs_make_dir(fs, "vm", &err), &err);
    ASSERT_OK(fs_open(fs, disk_path, FS_CREATE, &raw->guest, &err), &err);
    ASSERT_OK(fs_resize(raw->guest, size, &err), &err);
    memset(noted.identity, 0x17, sizeof(noted.identity));
    if (sector != 512) /* what a raw file is taken for */
        ASSERT_OK(raw_frozen_write_disk(fs, disk_path, &noted, &err), &err);
    return raw;
}

static const struct disk_world_ops posix_world, memory_world;

static struct disk_world *make_posix_world(uint64_t size, uint32_t sector)
{
    char dir[TEMP_FOLDER_SIZE];
    struct error err = {0};
    struct fs *fs = NULL;

    temp_folder_make(dir);
    ASSERT_OK(fs_posix_new(dir, &fs, &err), &err);

    struct raw_world *raw = make_world(fs, size, sector, &posix_world);

    memcpy(raw->dir, dir, sizeof(dir));
    return &raw->world;
}

static struct disk_world *make_memory_world(uint64_t size, uint32_t sector)
{
    struct error err = {0};
    struct fs *fs = NULL;

    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    return &make_world(fs, size, sector, &memory_world)->world;
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

static enum status try_freeze(struct raw_world *raw, char ret_path[FS_PATH_SIZE], struct error *err)
{
    char id[RAW_FROZEN_ID_SIZE];
    enum status st = raw_frozen_new_id(&raw->random.source, id, err);

    if (st != STATUS_OK)
        return st;
    return raw_frozen_make(raw->fs, disk_path, id, &raw->random.source, ret_path, err);
}

static void freeze_world(struct disk_world *world, char ret_path[DISK_WORLD_PATH_SIZE])
{
    struct error err = {0};

    ASSERT_OK(try_freeze(raw_of(world), ret_path, &err), &err);
}

static struct disk *freeze(struct raw_world *raw)
{
    char path[FS_PATH_SIZE];
    struct disk *disk = NULL;
    struct error err = {0};

    ASSERT_OK(try_freeze(raw, path, &err), &err);
    ASSERT_OK(disk_contract_open(&raw->world, path, &disk, &err), &err);
    return disk;
}

static void guest_write(struct disk_world *world, uint64_t offset, struct slice data)
{
    struct error err = {0};

    ASSERT_OK(fs_write_at(raw_of(world)->guest, offset, data, &err), &err);
}

/* Leaves a hole, as a trim does: the file is made anew without these bytes, and without any other unit
 * that is zero. */
static void guest_trim(struct disk_world *world, uint64_t offset, uint64_t length)
{
    enum { HOLE = 4096 };
    struct raw_world *raw = raw_of(world);
    uint8_t *content = memory_new(raw->size, 1);
    struct error err = {0};

    assert_non_null(content);
    ASSERT_OK(fs_read_exactly_at(raw->guest, 0, content, raw->size, &err), &err);
    memset(content + offset, 0, length);
    ASSERT_OK(fs_resize(raw->guest, 0, &err), &err);
    ASSERT_OK(fs_resize(raw->guest, raw->size, &err), &err);
    for (uint64_t at = 0; at < raw->size; at += HOLE) {
        struct slice unit = slice_of(content + at, raw->size - at < HOLE ? raw->size - at : HOLE);

        if (!slice_is_zero(unit))
            guest_write(world, at, unit);
    }
    memory_free(content);
}

static void forget(struct disk_world *world, const char *change_id)
{
    struct error err = {0};

    ASSERT_OK(raw_frozen_remove(raw_of(world)->fs, disk_path, change_id, &err), &err);
}

static const struct disk_world_ops posix_world = {
    .name = "raw file",
    .exact_allocation = true,
    .exact_changes = true,
    .make_world = make_posix_world,
    .free_world = free_world,
    .freeze = freeze_world,
    .guest_write = guest_write,
    .guest_trim = guest_trim,
    .forget = forget,
};

static const struct disk_world_ops memory_world = {
    .name = "raw file in memory",
    .exact_allocation = true,
    .exact_changes = true,
    .make_world = make_memory_world,
    .free_world = free_world,
    .freeze = freeze_world,
    .guest_write = guest_write,
    .guest_trim = guest_trim,
    .forget = forget,
};

static struct raw_world *small_world(void)
{
    return raw_of(make_memory_world(SMALL, 512));
}

/* ---- What is the raw filling's own ----------------------------------------------------------- */

static void a_file_that_is_no_disk_is_refused_and_nothing_is_made_beside_it(void **state)
{
    struct raw_world *raw = small_world();
    char path[FS_PATH_SIZE];
    struct fs_names names = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_resize(raw->guest, 1000, &err), &err);
    ASSERT_STATUS(STATUS_PRECONDITION, try_freeze(raw, path, &err), &err);
    assert_string_equal(err.text, "freeze the disk vm/disk.raw: vm/disk.raw has 1000 bytes; a raw "
                                  "disk has whole sectors of 512");
    ASSERT_OK(fs_resize(raw->guest, 0, &err), &err);
    ASSERT_STATUS(STATUS_PRECONDITION, try_freeze(raw, path, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND,
                  raw_frozen_make(raw->fs, "vm/none.raw", some_id, &raw->random.source, path, &err),
                  &err);
    ASSERT_STATUS(STATUS_INVALID,
                  raw_frozen_make(raw->fs, disk_path, "../x", &raw->random.source, path, &err),
                  &err);
    ASSERT_OK(fs_list(raw->fs, "vm", &names, &err), &err);
    assert_int_equal(names.count, 1);
    fs_names_deinit(&names);
    free_world(&raw->world);
}

static void an_id_is_used_once(void **state)
{
    struct raw_world *raw = small_world();
    char path[FS_PATH_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, some_id, &raw->random.source, path, &err), &err);
    ASSERT_STATUS(STATUS_EXISTS,
                  raw_frozen_make(raw->fs, disk_path, some_id, &raw->random.source, path, &err),
                  &err);
    ASSERT_OK(raw_frozen_find(raw->fs, disk_path, some_id, path, &err), &err);
    assert_string_equal(path,
                        "vm/disk.raw.frozen/0123456789abcdef0123456789abcdef-0000000000010000");
    ASSERT_OK(raw_frozen_remove(raw->fs, disk_path, some_id, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, raw_frozen_remove(raw->fs, disk_path, some_id, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, raw_frozen_find(raw->fs, disk_path, some_id, path, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, raw_frozen_remove(raw->fs, disk_path, "disk", &err), &err);
    free_world(&raw->world);
}

static void only_the_path_of_a_copy_is_opened(void **state)
{
    struct raw_world *raw = small_world();
    static const char *const wrong[] = {
        "vm/disk.raw",
        "vm/disk.raw.frozen/disk",
        "vm/disk.raw.frozen/0123456789abcdef0123456789abcdef",
        "vm/disk.raw.frozen/0123456789abcdef0123456789abcdef.0000000000010000",
        "vm/disk.raw.frozen/0123456789abcdef0123456789abcdeX-0000000000010000",
        "vm/disk.raw/0123456789abcdef0123456789abcdef-0000000000010000",
        ".frozen/0123456789abcdef0123456789abcdef-0000000000010000",
        "0123456789abcdef0123456789abcdef-0000000000010000",
        "vm/disk.raw.frozen/0123456789abcdef0123456789abcdef-0000000000010000", /* is not there */
        "",
    };
    struct disk *disk = freeze(raw);
    struct disk *other = NULL;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ASSERT_STATUS(STATUS_NOT_FOUND, disk_contract_open(&raw->world, wrong[i], &other, &err),
                      &err);
    disk_contract_close(&raw->world, disk);
    free_world(&raw->world);
}

static void a_state_of_another_size_is_not_found(void **state)
{
    struct raw_world *raw = small_world();
    struct disk *before = freeze(raw);
    struct disk_info info = *disk_info(before);
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    (void)state;
    range_list_init(&ranges, 10);
    disk_contract_close(&raw->world, before);
    ASSERT_OK(fs_resize(raw->guest, 2ULL * SMALL, &err), &err);

    struct disk *now = freeze(raw);

    ASSERT_STATUS(STATUS_NOT_FOUND,
                  disk_contract_query(&raw->world, now, info.change_id, 0, &ranges, &covered_to,
                                      &err),
                  &err);
    disk_contract_close(&raw->world, now);
    range_list_deinit(&ranges);
    free_world(&raw->world);
}

/* Cuts the file at PATH to SIZE bytes. */
static void cut_file(struct raw_world *raw, const char *path, uint64_t size)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    ASSERT_OK(fs_open(raw->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_resize(file, size, &err), &err);
    fs_close(file);
}

static void a_frozen_copy_that_was_cut_off_is_corrupt_never_zero(void **state)
{
    struct raw_world *raw = small_world();
    static uint8_t data[SMALL];
    char path[FS_PATH_SIZE];
    char before[FS_PATH_SIZE];
    struct disk *disk = NULL;
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    (void)state;
    range_list_init(&ranges, 10);
    memset(data, 1, sizeof(data));
    guest_write(&raw->world, 0, slice_of(data, SMALL));
    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, some_id, &raw->random.source, before, &err),
              &err);
    ASSERT_OK(try_freeze(raw, path, &err), &err);
    ASSERT_OK(disk_contract_open(&raw->world, path, &disk, &err), &err);

    /* The state before it lost its end, then this one too, while it is open. */
    cut_file(raw, before, SMALL / 2);
    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_contract_query(&raw->world, disk, some_id, 0, &ranges, &covered_to, &err),
                  &err);
    cut_file(raw, path, SMALL / 2);
    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_contract_io(&raw->world, disk, DISK_READ, 0, data, SMALL, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  disk_contract_query(&raw->world, disk, "", SMALL / 2, &ranges, &covered_to, &err),
                  &err);
    assert_string_equal(err.text + strlen(path), " has 32768 of its 65536 bytes");
    disk_contract_close(&raw->world, disk);
    ASSERT_STATUS(STATUS_CORRUPT, disk_contract_open(&raw->world, path, &disk, &err), &err);
    range_list_deinit(&ranges);
    free_world(&raw->world);
}

static void a_copy_that_grew_is_read_up_to_its_size(void **state)
{
    struct raw_world *raw = small_world();
    char path[FS_PATH_SIZE];
    struct disk *disk = NULL;
    struct fs_file *file = NULL;
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    (void)state;
    range_list_init(&ranges, 10);
    ASSERT_OK(try_freeze(raw, path, &err), &err);
    ASSERT_OK(disk_contract_open(&raw->world, path, &disk, &err), &err);
    ASSERT_OK(fs_open(raw->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, SMALL + 8192, slice_of_text("beyond"), &err), &err);
    fs_close(file);
    ASSERT_OK(disk_contract_query(&raw->world, disk, "", 0, &ranges, &covered_to, &err), &err);
    assert_int_equal(ranges.count, 0);
    assert_int_equal(covered_to, SMALL);
    disk_contract_close(&raw->world, disk);
    range_list_deinit(&ranges);
    free_world(&raw->world);
}

static void a_damaged_note_of_the_disk_is_corrupt(void **state)
{
    static const char *const damaged[] = {"none", "", "00000000000000000000000000000000-00000400",
                                          "00000000000000000000000000000000-000002000",
                                          "00000000000000000000000000000000 00000200"};
    struct raw_world *raw = small_world();
    char path[FS_PATH_SIZE];
    char other[FS_PATH_SIZE];
    struct disk *disk = NULL;
    struct error err = {0};

    (void)state;
    ASSERT_OK(try_freeze(raw, path, &err), &err);
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        ASSERT_OK(fs_replace(raw->fs, "vm/disk.raw.frozen/disk", slice_of_text(damaged[i]), &err),
                  &err);
        ASSERT_STATUS(STATUS_CORRUPT, disk_contract_open(&raw->world, path, &disk, &err), &err);
        ASSERT_STATUS(STATUS_CORRUPT, try_freeze(raw, other, &err), &err);
    }
    free_world(&raw->world);
}

static void a_frozen_copy_leaves_holes_out(void **state)
{
    struct raw_world *raw = small_world();
    struct fs_file *copy = NULL;
    uint64_t size = 0;
    uint64_t start = 0;
    uint64_t end = 0;
    char path[FS_PATH_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_write_at(raw->guest, 32768, slice_of_text("data"), &err), &err);
    ASSERT_OK(try_freeze(raw, path, &err), &err);
    ASSERT_OK(raw_frozen_open(raw->fs, path, &copy, &size, &err), &err);
    assert_int_equal(size, SMALL);
    ASSERT_OK(fs_next_data(copy, 0, &start, &end, &err), &err);
    assert_int_equal(start, 32768);
    assert_int_equal(end, 36864);
    ASSERT_STATUS(STATUS_NOT_FOUND, fs_next_data(copy, end, &start, &end, &err), &err);
    fs_close(copy);
    free_world(&raw->world);
}

/* Grows the guest's file while the freeze is at its copy. */
static void grow_while_stalled(void *arg)
{
    struct raw_world *raw = arg;
    struct error err = {0};

    faults_await_stall(raw->faults);
    INVARIANT(fs_resize(raw->guest, 2ULL * SMALL, &err) == STATUS_OK);
    faults_release(raw->faults);
}

static void a_disk_that_changes_its_size_while_it_is_frozen_is_refused(void **state)
{
    struct raw_world *raw = small_world();
    char path[FS_PATH_SIZE];
    struct fs_names names = {0};
    uv_thread_t guest;
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_write_at(raw->guest, 0, slice_of_text("data"), &err), &err);
    raw->faults = faults_new();
    assert_non_null(raw->faults);
    faults_install(raw->faults);
    faults_arm_point(raw->faults, "fs.next_data", 1, FAULT_STALL);
    assert_int_equal(uv_thread_create(&guest, grow_while_stalled, raw), 0);
    ASSERT_STATUS(STATUS_ABORTED, try_freeze(raw, path, &err), &err);
    assert_int_equal(uv_thread_join(&guest), 0);
    faults_install(NULL);
    faults_free(raw->faults);
    ASSERT_OK(fs_list(raw->fs, "vm/disk.raw.frozen", &names, &err), &err);
    assert_int_equal(names.count, 1); /* the note; no part of a copy */
    fs_names_deinit(&names);
    free_world(&raw->world);
}

static void a_flush_after_one_that_failed_never_succeeds(void **state)
{
    struct raw_world *raw = small_world();
    struct faults *faults = faults_new();
    struct disk *disk = NULL;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    ASSERT_OK(disk_contract_make(&raw->world, new_path, SMALL, 512, &disk, &err), &err);
    faults_install(faults);
    faults_arm_point(faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_UNKNOWN, disk_contract_io(&raw->world, disk, DISK_FLUSH, 0, NULL, 0, &err),
                  &err);
    faults_install(NULL);
    for (unsigned i = 0; i < 2; i++)
        ASSERT_STATUS(STATUS_ABORTED,
                      disk_contract_io(&raw->world, disk, DISK_FLUSH, 0, NULL, 0, &err), &err);
    disk_contract_close(&raw->world, disk);
    faults_free(faults);
    free_world(&raw->world);
}

static void nothing_is_left_of_a_new_disk_that_could_not_be_made(void **state)
{
    struct raw_world *raw = small_world();
    struct faults *faults = faults_new();
    struct disk *disk = NULL;
    unsigned n = 1;
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    for (;; n++) {
        struct fs_names names = {0};

        faults_arm(faults, FAULT_IO, n);
        enum status st = disk_contract_make(&raw->world, new_path, SMALL, 512, &disk, &err);
        faults_arm(faults, 0, 0);
        if (st == STATUS_OK)
            break;
        ASSERT_OK(fs_list(raw->fs, "vm", &names, &err), &err);
        assert_int_equal(names.count, 1); /* the guest's */
        fs_names_deinit(&names);
    }
    assert_true(n > 5);
    disk_contract_close(&raw->world, disk);
    faults_install(NULL);
    faults_free(faults);
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

static void what_waits_for_a_worker_is_cancelled_by_itself_or_by_closing(void **state)
{
    struct raw_world *raw = small_world();
    struct disk *disk = freeze(raw);
    struct lane_limits limits = {.work = WORKERS, .cost = WORKERS, .running = WORKERS};
    struct blocker blockers[WORKERS];
    struct cancelled_io cancelled[2] = {{.loop = raw->world.loop}, {.loop = raw->world.loop}};
    struct lane_end closed = {.task = {.run = lane_ended}, .loop = raw->world.loop};
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
    for (unsigned i = 0; i < 2; i++) {
        cancelled[i].io = (struct disk_io){.kind = DISK_READ,
                                           .data = cancelled[i].data,
                                           .length = sizeof(cancelled[i].data),
                                           .done = cancelled_io_done};
        disk_io_start(disk, &cancelled[i].io);
    }
    disk_io_cancel(&cancelled[0].io);
    disk_close(disk, &closed.task);
    for (unsigned i = 0; i < WORKERS; i++)
        uv_sem_post(&gate);
    loop_wait(raw->world.loop, &closed.done);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(cancelled[i].done);
        assert_int_equal(cancelled[i].status, STATUS_CANCELLED);
    }
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
    char path[FS_PATH_SIZE];
    enum status st = try_freeze(raw, path, err);

    range_list_init(&ranges, 10);
    if (st == STATUS_OK)
        st = disk_contract_open(&raw->world, path, &frozen, err);
    if (st == STATUS_OK)
        st = disk_contract_query(&raw->world, frozen, "", 0, &ranges, &covered_to, err);
    if (st == STATUS_OK)
        st = disk_contract_query(&raw->world, frozen, since, 0, &ranges, &covered_to, err);
    if (st == STATUS_OK)
        st = disk_contract_io(&raw->world, frozen, DISK_READ, 0, data, SMALL, err);
    if (st == STATUS_OK)
        st = disk_contract_make(&raw->world, new_path, SMALL, 512, &made, err);
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
    struct raw_world *raw = small_world();
    char first[FS_PATH_SIZE];
    struct disk *disk = NULL;
    struct error err = {0};

    guest_write(&raw->world, 4096, slice_of_text("first"));
    ASSERT_OK(raw_frozen_make(raw->fs, disk_path, some_id, &raw->random.source, first, &err), &err);
    guest_write(&raw->world, 8192, slice_of_text("second"));
    faults_install(faults);
    faults_arm(faults, classes, n);

    enum status st = whole_round(raw, some_id, &err);
    bool fired = faults_fired(faults);

    faults_install(NULL);
    /* A fault may be one that is borne: in the clean-up of what the next freeze cleans anyway. */
    assert_true(fired || st == STATUS_OK);
    assert_true(st == STATUS_OK || strlen(err.text) > 10);
    DISCARD(fs_remove(raw->fs, new_path, &err)); /* a failed round may not have made it */
    /* The earlier state is untouched, and all of it works now. */
    ASSERT_OK(disk_contract_open(&raw->world, first, &disk, &err), &err);
    disk_contract_close(&raw->world, disk);
    ASSERT_OK(whole_round(raw, some_id, &err), &err);
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
        cmocka_unit_test(an_id_is_used_once),
        cmocka_unit_test(only_the_path_of_a_copy_is_opened),
        cmocka_unit_test(a_state_of_another_size_is_not_found),
        cmocka_unit_test(a_frozen_copy_that_was_cut_off_is_corrupt_never_zero),
        cmocka_unit_test(a_copy_that_grew_is_read_up_to_its_size),
        cmocka_unit_test(a_damaged_note_of_the_disk_is_corrupt),
        cmocka_unit_test(a_frozen_copy_leaves_holes_out),
        cmocka_unit_test(a_disk_that_changes_its_size_while_it_is_frozen_is_refused),
        cmocka_unit_test(a_flush_after_one_that_failed_never_succeeds),
        cmocka_unit_test(nothing_is_left_of_a_new_disk_that_could_not_be_made),
        cmocka_unit_test(what_waits_for_a_worker_is_cancelled_by_itself_or_by_closing),
        cmocka_unit_test(each_failing_allocation_is_told_and_the_next_round_works),
        cmocka_unit_test(each_failing_io_is_told_and_the_next_round_works),
    };
    int failed = disk_contract(&posix_world, 512);

    failed += disk_contract(&posix_world, 4096);
    failed += disk_contract(&memory_world, 512);
    failed += disk_contract(&memory_world, 4096);
    return failed + cmocka_run_group_tests_name("disk_raw", tests, NULL, NULL);
}
