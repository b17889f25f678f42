/* tests/agent_backup_test.c: whole backups of a raw disk in memory, against the double of a coordinator. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/text.h"
#include "agent/backup.h"
#include "agent/disk/raw_frozen.h"
#include "agent/reason.h"
#include "format/statement.h"
#include "tests/agent_double.h"
#include "tests/support/fs_memory.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

enum {
    BLOCK = 65536,
    SECTOR = 512,
    MIB = 1024 * 1024,
    SIZE = 9 * MIB + 5 * SECTOR,
    GROWN = SIZE + SECTOR
};

static const char file_name[] = "disk.raw";

struct world {
    struct agent_double *fake;
    struct fs *fs;
    struct fs_file *guest;
    struct plain_disk disk;
    uint8_t *content; /* of the guest's disk */
    size_t size;
    struct faults *faults;

    struct backup *backup;
    bool done;
    enum status status;
    struct error err;
    uint8_t tasks; /* so far */
};

/* ---- The world ------------------------------------------------------------------------------- */

static void guest_write(struct world *world, size_t offset, const void *data, size_t size)
{
    struct error err = {0};

    ASSERT_OK(fs_write_at(world->guest, offset, slice_of(data, size), &err), &err);
    memcpy(world->content + offset, data, size);
}

/* SIZE bytes that do not compress, at OFFSET. */
static void guest_fill(struct world *world, size_t offset, size_t size)
{
    uint8_t *data = memory_new(size, 1);
    struct error err = {0};

    assert_non_null(data);
    ASSERT_OK(random_bytes(&world->fake->random.source, data, size, &err), &err);
    guest_write(world, offset, data, size);
    memory_free(data);
}

static void guest_zero(struct world *world, size_t offset, size_t size)
{
    uint8_t *zeros = memory_new(size, 1);

    assert_non_null(zeros);
    guest_write(world, offset, zeros, size);
    memory_free(zeros);
}

static struct world *make_world(size_t size)
{
    struct world *world = memory_new(1, sizeof(*world));
    struct error err = {0};

    assert_non_null(world);
    world->fake = agent_double_new(test_seed("agent_backup"));
    world->size = size;
    world->content = memory_new(size, 1);
    assert_non_null(world->content);
    ASSERT_OK(fs_memory_new(&world->fs, &err), &err);
    ASSERT_OK(fs_open(world->fs, file_name, FS_CREATE, &world->guest, &err), &err);
    ASSERT_OK(fs_resize(world->guest, size, &err), &err);
    world->disk = (struct plain_disk){.name = "data", .fs = world->fs, .file = file_name};
    return world;
}

static int set_up(void **state)
{
    struct world *world = make_world(SIZE);

    /* Two stretches of data, a hole between them and one at the end, but for its last sector. */
    guest_fill(world, 0, (size_t)(3 * 1024 * 1024));
    guest_fill(world, (size_t)(5 * 1024 * 1024 + 700), (size_t)(2 * 1024 * 1024));
    guest_fill(world, SIZE - SECTOR, SECTOR);
    world->faults = faults_new();
    assert_non_null(world->faults);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    faults_install(NULL);
    faults_free(world->faults);
    backup_free(world->backup);
    agent_double_free(world->fake);
    fs_close(world->guest);
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
    assert_true((status == STATUS_OK) == (err == NULL));
    world->err = (struct error){0};
    if (err != NULL)
        world->err = *err;
    loop_stop(world->fake->loop);
}

static struct backup_options options_of(struct world *world, const Tidemark__V1__Parent *parent)
{
    struct agent_double *fake = world->fake;
    struct backup_options options = {.tools = &fake->tools,
                                     .disk = &world->disk,
                                     .channel = fake->channel,
                                     .id_key = fake->id_key,
                                     .repository = fake->repository,
                                     .vm = fake->vm,
                                     .block_size = BLOCK,
                                     .parent = parent,
                                     .done = on_done,
                                     .owner = world};

    options.task.bytes[0] = ++world->tasks;
    return options;
}

static void start(struct world *world, const Tidemark__V1__Parent *parent)
{
    struct backup_options options = options_of(world, parent);
    struct error err = {0};

    backup_free(world->backup);
    world->backup = NULL;
    world->done = false;
    ASSERT_OK(backup_new(&options, &world->backup, &err), &err);
    backup_start(world->backup);
    assert_false(world->done);
}

/* One backup from what was committed last. */
static enum status back_up(struct world *world)
{
    Tidemark__V1__Parent *parent = agent_double_parent(world->fake);

    start(world, parent);
    loop_wait(world->fake->loop, &world->done);
    if (parent != NULL)
        rpc_message_free(&parent->base);
    assert_int_equal(world->fake->window.used, 0);
    return world->status;
}

static void must_back_up(struct world *world)
{
    if (back_up(world) != STATUS_OK)
        fail_msg("%s", world->err.text);
}

/* What was uploaded last is the guest's disk. */
static void assert_uploaded(struct world *world)
{
    uint8_t *content = memory_new(world->size, 1);

    assert_non_null(content);
    agent_double_read_disk(world->fake, &world->fake->root_id, content, world->size);
    assert_memory_equal(content, world->content, world->size);
    memory_free(content);
}

static size_t copies(struct world *world)
{
    struct fs_names names = {0};
    struct error err = {0};
    size_t count = 0;

    enum status st = fs_list(world->fs, "disk.raw.frozen", &names, &err);

    if (st == STATUS_NOT_FOUND)
        return 0;
    ASSERT_OK(st, &err);
    for (size_t i = 0; i < names.count; i++)
        count += strcmp(names.names[i], "disk") != 0;
    fs_names_deinit(&names);
    return count;
}

/* ---- What goes well -------------------------------------------------------------------------- */

static void first_backup_reads_what_is_allocated_and_signs_its_root(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    assert_uploaded(world);
    assert_string_equal(backup_reason(world->backup), REASON_FIRST_BACKUP);
    assert_true(id_equal(backup_point(world->backup), &world->fake->point));

    Tidemark__V1__Counts counts = backup_counts(world->backup);

    assert_int_equal(counts.disk_size, SIZE);
    assert_int_equal(counts.read, counts.to_read);
    assert_true(counts.read < (uint64_t)6 * MIB);
    assert_int_equal(counts.sent, world->fake->bytes_sent);
    assert_int_equal(counts.new_blocks, 17);
    assert_int_equal(counts.stored, 19 + 23);
    assert_int_equal(copies(world), 1);
    assert_int_equal(world->fake->hole_entries, 0);
}

static void incremental_backup_reads_only_what_changed(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    guest_fill(world, 100, 10);                            /* one block */
    guest_fill(world, (size_t)(4 * 1024 * 1024 - 3), 6);   /* a hole's two blocks */
    guest_zero(world, (size_t)6 * MIB, (size_t)3 * BLOCK); /* holes now */
    guest_fill(world, SIZE - SECTOR, SECTOR);              /* the short block */
    must_back_up(world);
    assert_uploaded(world);
    assert_string_equal(backup_reason(world->backup), "");

    Tidemark__V1__Counts counts = backup_counts(world->backup);

    assert_int_equal(counts.to_read, 6 * BLOCK + SIZE % BLOCK);
    assert_int_equal(counts.read, counts.to_read);
    assert_int_equal(world->fake->hole_entries, 1); /* neighbours are one entry */
    assert_int_equal(copies(world), 1);
    must_back_up(world); /* nothing changed */
    assert_int_equal(backup_counts(world->backup).read, 0);
    assert_uploaded(world);
}

static void random_changes_are_all_uploaded(void **state)
{
    struct world *world = *state;
    struct random_seeded *random = &world->fake->random;

    must_back_up(world);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 12; i++) {
            size_t offset = (size_t)random_seeded_below(random, SIZE);
            size_t left = SIZE - offset;
            size_t size = 1 + (size_t)random_seeded_below(random, UINT64_C(3) * BLOCK);

            if (random_seeded_below(random, 3) == 0)
                guest_zero(world, offset, size < left ? size : left);
            else
                guest_fill(world, offset, size < left ? size : left);
        }
        must_back_up(world);
        assert_uploaded(world);
        assert_string_equal(backup_reason(world->backup), "");
        assert_int_equal(copies(world), 1);
    }
}

static void disk_of_one_sector_is_backed_up(void **state)
{
    struct world *world = make_world(SECTOR);
    void *small = world;

    (void)state;
    world->faults = faults_new();
    guest_fill(world, 0, SECTOR);
    must_back_up(world);
    assert_uploaded(world);
    guest_fill(world, 7, 9);
    must_back_up(world);
    assert_uploaded(world);
    assert_string_equal(backup_reason(world->backup), "");
    (void)tear_down(&small);
}

static void disk_of_holes_costs_nothing(void **state)
{
    struct world *world = make_world((size_t)(64 * 1024 * 1024));
    void *empty = world;

    (void)state;
    world->faults = faults_new();
    must_back_up(world);
    assert_uploaded(world);
    assert_int_equal(world->fake->entries, 0);
    assert_int_equal(backup_counts(world->backup).read, 0);
    guest_fill(world, (size_t)(40 * 1024 * 1024), 5); /* a parent that is all holes */
    must_back_up(world);
    assert_uploaded(world);
    assert_int_equal(world->fake->entries, 1);
    guest_zero(world, (size_t)(40 * 1024 * 1024), 5); /* back to nothing */
    must_back_up(world);
    assert_uploaded(world);
    (void)tear_down(&empty);
}

/* ---- Parents that do not serve --------------------------------------------------------------- */

static void assert_read_whole(struct world *world, const char *reason)
{
    must_back_up(world);
    assert_uploaded(world);
    assert_string_equal(backup_reason(world->backup), reason);
    assert_int_equal(copies(world), 1);
}

static void parent_without_its_frozen_copy_is_not_used(void **state)
{
    struct world *world = *state;
    size_t removed = 0;
    struct error err = {0};

    must_back_up(world);
    ASSERT_OK(raw_frozen_keep_only(world->fs, file_name, NULL, &removed, &err), &err);
    assert_int_equal(removed, 1);
    assert_read_whole(world, REASON_REFERENCE_MISSING);
}

static void disk_that_grew_is_read_whole(void **state)
{
    struct world *world = *state;
    struct error err = {0};

    must_back_up(world);
    world->content = memory_resize(world->content, GROWN, 1);
    assert_non_null(world->content);
    memset(world->content + SIZE, 0, SECTOR);
    world->size = GROWN;
    ASSERT_OK(fs_resize(world->guest, world->size, &err), &err);
    assert_read_whole(world, REASON_DISK_CHANGED);
}

static void disk_of_another_identity_is_read_whole(void **state)
{
    struct world *world = *state;
    struct raw_frozen_disk other = {.logical_sector = SECTOR};
    struct error err = {0};

    must_back_up(world);
    memset(other.identity, 0x33, sizeof(other.identity));
    ASSERT_OK(raw_frozen_write_disk(world->fs, file_name, &other, &err), &err);
    assert_read_whole(world, REASON_DISK_CHANGED);
}

static void parent_of_another_repository_is_not_used(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    world->fake->repository.bytes[3] ^= 1;
    assert_read_whole(world, REASON_PARENT_INVALID);
}

static void wrong_nodes_of_the_parent_lead_to_a_whole_read(void **state)
{
    static const enum double_action actions[] = {ACT_WRONG_NODE, ACT_MISSING_NODE};
    struct world *world = *state;

    must_back_up(world);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        guest_fill(world, 4096 * i, 10);
        agent_double_script(world->fake, STEP_WANT, 1, actions[i]);
        assert_read_whole(world, REASON_PARENT_DAMAGED);
    }
}

static void wrong_root_of_the_parent_leads_to_a_whole_read(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    guest_fill(world, 0, 10);
    agent_double_script(world->fake, STEP_OPENED, 1, ACT_WRONG_ROOT);
    assert_read_whole(world, REASON_PARENT_DAMAGED);
}

static void damaged_tree_at_the_coordinator_leads_to_a_whole_read(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    guest_fill(world, 0, 10);
    world->fake->status = STATUS_CORRUPT;
    agent_double_script(world->fake, STEP_WANT, 1, ACT_FAIL);
    assert_read_whole(world, REASON_PARENT_DAMAGED);
}

static void second_upload_waits_until_the_first_is_forgotten(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    guest_fill(world, 0, 10);
    agent_double_let_time_pass(world->fake, true);
    world->fake->status = STATUS_PRECONDITION;
    world->fake->also_refuse = 2; /* uploads without a parent */
    agent_double_script(world->fake, STEP_OPENED, 1, ACT_WRONG_ROOT);
    assert_read_whole(world, REASON_PARENT_DAMAGED);
    assert_int_equal(world->fake->uploads, 1 + 1 + 2 + 1);
}

static void query_that_fails_leads_to_a_whole_read(void **state)
{
    struct world *world = *state;
    Tidemark__V1__Parent *parent = NULL;

    must_back_up(world);
    guest_fill(world, 0, 10);
    /* The comparison is the first that asks where data is in the old copy, when freezing has copied. */
    faults_install(world->faults);
    parent = agent_double_parent(world->fake);
    start(world, parent);
    world->fake->context = world;
    faults_arm_point(world->faults, "fs.next_data", 8, FAULT_FAIL);
    loop_wait(world->fake->loop, &world->done);
    assert_true(faults_fired(world->faults));
    faults_arm(world->faults, 0, 0);
    rpc_message_free(&parent->base);
    if (world->status != STATUS_OK)
        fail_msg("%s", world->err.text);
    assert_string_equal(backup_reason(world->backup), REASON_TRACKING_FAILED);
    assert_uploaded(world);
}

/* ---- What goes wrong ------------------------------------------------------------------------- */

/* Nothing is left of it, and the next backup is as good as if it had not been. */
static void assert_undone(struct world *world, size_t copies_before)
{
    assert_int_equal(copies(world), copies_before);
    world->fake->step = STEP_NONE;
    must_back_up(world);
    assert_uploaded(world);
    assert_int_equal(copies(world), 1);
}

struct failing {
    enum double_step step;
    enum double_action action;
    enum status expected;
};

static void failure_of_the_coordinator_at_each_step_undoes_the_backup(void **state)
{
    static const struct failing failures[] = {
        {STEP_OPENED, ACT_FAIL, STATUS_INTERNAL},   {STEP_WANT, ACT_FAIL, STATUS_INTERNAL},
        {STEP_BLOCKS, ACT_FAIL, STATUS_INTERNAL},   {STEP_END, ACT_FAIL, STATUS_INTERNAL},
        {STEP_END, ACT_WRONG_ROOT, STATUS_CORRUPT}, {STEP_WANT, ACT_WRONG_BITMAP, STATUS_INVALID},
        {STEP_COMMIT, ACT_FAIL, STATUS_INTERNAL},   {STEP_COMMIT, ACT_WRONG_POINT, STATUS_CORRUPT},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        size_t before = copies(world);

        guest_fill(world, i * BLOCK, 10);
        agent_double_script(world->fake, failures[i].step, 1, failures[i].action);
        if (back_up(world) != failures[i].expected)
            fail_msg("failure %zu: %s: %s", i, status_name(world->status), world->err.text);
        assert_undone(world, before);
    }
}

static void cancel_now(void *context)
{
    struct world *world = context;

    backup_cancel(world->backup);
    backup_cancel(world->backup);
}

static void cancelled_backup_is_undone_at_each_step(void **state)
{
    static const enum double_step steps[] = {STEP_OPENED, STEP_WANT, STEP_BLOCKS, STEP_END,
                                             STEP_COMMIT};
    struct world *world = *state;

    world->fake->context = world;
    world->fake->at_step = cancel_now;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        size_t before = copies(world);

        guest_fill(world, i * BLOCK, 10);
        agent_double_script(world->fake, steps[i], 1, ACT_CALL);
        assert_int_equal(back_up(world), STATUS_CANCELLED);
        assert_undone(world, before);
    }
}

static void backup_cancelled_while_the_coordinator_is_silent_ends(void **state)
{
    static const enum double_step steps[] = {STEP_OPENED, STEP_WANT, STEP_END, STEP_COMMIT};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        size_t before = copies(world);
        Tidemark__V1__Parent *parent = agent_double_parent(world->fake);

        guest_fill(world, i * BLOCK, 10);
        agent_double_script(world->fake, steps[i], 1, ACT_SILENT);
        start(world, parent);
        while (world->fake->hits == 0)
            agent_double_run_once(world->fake);
        backup_cancel(world->backup);
        assert_false(world->done);
        loop_wait(world->fake->loop, &world->done);
        assert_int_equal(world->status, STATUS_CANCELLED);
        if (parent != NULL)
            rpc_message_free(&parent->base);
        assert_undone(world, before);
    }
}

static void backup_cancelled_at_its_start_is_undone(void **state)
{
    struct world *world = *state;

    start(world, NULL);
    backup_cancel(world->backup);
    assert_false(world->done);
    loop_wait(world->fake->loop, &world->done);
    assert_int_equal(world->status, STATUS_CANCELLED);
    assert_undone(world, 0);
}

static void commit_is_asked_again_while_nobody_answers(void **state)
{
    struct world *world = *state;

    agent_double_let_time_pass(world->fake, true);
    world->fake->status = STATUS_UNAVAILABLE;
    agent_double_script(world->fake, STEP_COMMIT, 1, ACT_FAIL);
    must_back_up(world);
    assert_int_equal(world->fake->commits, 2);
    world->fake->commits = 0;
    world->fake->step_n = 0; /* each time */
    assert_int_equal(back_up(world), STATUS_UNAVAILABLE);
    assert_int_equal(world->fake->commits, BACKUP_ATTEMPTS);
    assert_non_null(strstr(world->err.text, "the restore point may exist all the same"));
    agent_double_let_time_pass(world->fake, false);
}

static void cancelled_between_two_commits_ends_without_waiting(void **state)
{
    struct world *world = *state;

    world->fake->status = STATUS_UNAVAILABLE;
    agent_double_script(world->fake, STEP_COMMIT, 1, ACT_FAIL);
    start(world, NULL);
    while (world->fake->commits == 0)
        agent_double_run_once(world->fake);
    for (unsigned i = 0; i < 1000 && !world->done; i++)
        agent_double_run_once(world->fake);
    backup_cancel(world->backup); /* time stands still: only this ends the pause */
    loop_wait(world->fake->loop, &world->done);
    assert_int_equal(world->status, STATUS_CANCELLED);
    assert_undone(world, 0);
}

static void point_without_tracking_is_committed_and_keeps_both_copies(void **state)
{
    struct world *world = *state;

    must_back_up(world);
    guest_fill(world, 0, 10);
    agent_double_script(world->fake, STEP_TRACK, 1, ACT_FAIL);
    /* Its parent is made of the last statement and tracking record, which shall stay as they are. */
    Tidemark__V1__Parent *parent = agent_double_parent(world->fake);

    start(world, parent);
    loop_wait(world->fake->loop, &world->done);
    assert_int_equal(world->status, STATUS_OK);
    assert_int_equal(copies(world), 2);
    /* The next one begins from the older copy, and removes the other. */
    guest_fill(world, 0, 10);
    world->fake->step = STEP_NONE;
    start(world, parent);
    loop_wait(world->fake->loop, &world->done);
    assert_int_equal(world->status, STATUS_OK);
    assert_string_equal(backup_reason(world->backup), "");
    assert_uploaded(world);
    assert_int_equal(copies(world), 1);
    rpc_message_free(&parent->base);
}

static void each_fault_point_before_the_commit_undoes_the_backup(void **state)
{
    static const char *const points[] = {"agent.after_freeze", "agent.after_open",
                                         "agent.after_offer",  "agent.after_want",
                                         "agent.after_blocks", "agent.before_commit"};
    struct world *world = *state;

    faults_install(world->faults);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        size_t before = copies(world);

        guest_fill(world, i * BLOCK, 10);
        faults_arm_point(world->faults, points[i], 1, FAULT_FAIL);
        assert_int_equal(back_up(world), STATUS_UNAVAILABLE);
        assert_true(faults_fired(world->faults));
        faults_arm(world->faults, 0, 0);
        assert_undone(world, before);
    }
}

static void each_fault_point_after_the_commit_keeps_the_point(void **state)
{
    static const struct {
        const char *point;
        size_t copies;
    } points[] = {{"agent.after_commit", 2}, {"agent.after_track", 2}, {"agent.after_remove", 1}};
    struct world *world = *state;

    must_back_up(world);
    faults_install(world->faults);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        guest_fill(world, i * BLOCK, 10);
        faults_arm_point(world->faults, points[i].point, 1, FAULT_FAIL);
        must_back_up(world);
        assert_true(faults_fired(world->faults));
        faults_arm(world->faults, 0, 0);
        assert_int_equal(copies(world), points[i].copies);
        world->fake->step = STEP_NONE;
        must_back_up(world);
        assert_uploaded(world);
        assert_int_equal(copies(world), 1);
    }
}

static void vanished_disk_is_said(void **state)
{
    struct world *world = *state;
    struct error err = {0};

    fs_close(world->guest);
    world->guest = NULL;
    ASSERT_OK(fs_remove(world->fs, file_name, &err), &err);
    assert_int_equal(back_up(world), STATUS_NOT_FOUND);
    assert_non_null(strstr(world->err.text, file_name));
    assert_int_equal(copies(world), 0);
}

/* Cuts the frozen copy that is being read. */
static void cut_copy(void *context)
{
    struct world *world = context;
    struct fs_names names = {0};
    struct fs_file *copy = NULL;
    char path[FS_PATH_SIZE];
    struct error err = {0};

    ASSERT_OK(fs_list(world->fs, "disk.raw.frozen", &names, &err), &err);
    assert_int_equal(names.count, 2); /* the copy, and the disk's note */
    assert_true(text_format(path, sizeof(path), "disk.raw.frozen/%s",
                            strcmp(names.names[0], "disk") != 0 ? names.names[0] : names.names[1]));
    ASSERT_OK(fs_open(world->fs, path, FS_WRITE, &copy, &err), &err);
    ASSERT_OK(fs_resize(copy, (size_t)(6 * 1024 * 1024), &err), &err);
    fs_close(copy);
    fs_names_deinit(&names);
}

static void disk_shorter_than_it_says_is_corrupt(void **state)
{
    struct world *world = *state;

    world->fake->context = world;
    world->fake->at_step = cut_copy;
    agent_double_script(world->fake, STEP_OPENED, 1, ACT_CALL);
    assert_int_equal(back_up(world), STATUS_CORRUPT);
    assert_undone(world, 0);
}

static void copies_that_a_crash_left_are_removed(void **state)
{
    struct world *world = *state;
    char id[RAW_FROZEN_ID_SIZE];
    char copy[FS_PATH_SIZE];
    struct error err = {0};

    must_back_up(world);
    ASSERT_OK(raw_frozen_new_id(random_system(), id, &err), &err);
    ASSERT_OK(raw_frozen_make(world->fs, file_name, id, random_system(), copy, &err), &err);
    assert_int_equal(copies(world), 2);
    guest_fill(world, 0, 10);
    must_back_up(world);
    assert_string_equal(backup_reason(world->backup), "");
    assert_int_equal(copies(world), 1);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_backup_reads_what_is_allocated_and_signs_its_root),
        TEST(incremental_backup_reads_only_what_changed),
        TEST(random_changes_are_all_uploaded),
        cmocka_unit_test(disk_of_one_sector_is_backed_up),
        cmocka_unit_test(disk_of_holes_costs_nothing),
        TEST(parent_without_its_frozen_copy_is_not_used),
        TEST(disk_that_grew_is_read_whole),
        TEST(disk_of_another_identity_is_read_whole),
        TEST(parent_of_another_repository_is_not_used),
        TEST(wrong_nodes_of_the_parent_lead_to_a_whole_read),
        TEST(wrong_root_of_the_parent_leads_to_a_whole_read),
        TEST(damaged_tree_at_the_coordinator_leads_to_a_whole_read),
        TEST(second_upload_waits_until_the_first_is_forgotten),
        TEST(query_that_fails_leads_to_a_whole_read),
        TEST(failure_of_the_coordinator_at_each_step_undoes_the_backup),
        TEST(cancelled_backup_is_undone_at_each_step),
        TEST(backup_cancelled_while_the_coordinator_is_silent_ends),
        TEST(backup_cancelled_at_its_start_is_undone),
        TEST(commit_is_asked_again_while_nobody_answers),
        TEST(cancelled_between_two_commits_ends_without_waiting),
        TEST(point_without_tracking_is_committed_and_keeps_both_copies),
        TEST(each_fault_point_before_the_commit_undoes_the_backup),
        TEST(each_fault_point_after_the_commit_keeps_the_point),
        TEST(vanished_disk_is_said),
        TEST(disk_shorter_than_it_says_is_corrupt),
        TEST(copies_that_a_crash_left_are_removed),
    };

    return cmocka_run_group_tests_name("agent_backup", tests, NULL, NULL);
}
