/* tests/agent_session_test.c: the agent's line to its coordinator: commands, answers, and what is lost with it. */
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "agent/reason.h"
#include "agent/session.h"
#include "tests/agent_double.h"
#include "tests/support/fs_memory.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

enum { SIZE = 3 * 1024 * 1024 };

struct world {
    struct agent_double *fake;
    struct fs *fs;
    struct plain_disk disks[2];
    struct session *session;
    struct loop_task closed;
    bool is_closed;
    struct random_id task;
};

static void on_closed(struct loop_task *task)
{
    struct world *world = (struct world *)((char *)task - offsetof(struct world, closed));

    world->is_closed = true;
    loop_stop(world->fake->loop);
}

static void make_file(struct world *world, const char *name)
{
    struct fs_file *file = NULL;
    uint8_t *data = memory_new(SIZE, 1);
    struct error err = {0};

    assert_non_null(data);
    ASSERT_OK(random_bytes(random_system(), data, SIZE, &err), &err);
    ASSERT_OK(fs_open(world->fs, name, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, slice_of(data, SIZE), &err), &err);
    fs_close(file);
    memory_free(data);
}

/* Until CONDITION; what happens at the double stops the loop, and the clock of the loop stands still. */
#define WAIT(WORLD, CONDITION)                    \
    do {                                          \
        while (!(CONDITION))                      \
            agent_double_run_once((WORLD)->fake); \
    } while (0)

static void begin(struct world *world)
{
    struct session_options options = {.rpc = world->fake->rpc,
                                      .address = world->fake->address,
                                      .credentials = &world->fake->credentials,
                                      .program = "agent_session_test",
                                      .disks = world->disks,
                                      .disk_count = 2,
                                      .tools = &world->fake->tools};
    struct error err = {0};

    ASSERT_OK(session_new(&options, &world->session, &err), &err);
}

static void wait_for_hello(struct world *world)
{
    WAIT(world, world->fake->hello_came && !world->fake->session_writing);
}

static int set_up(void **state)
{
    struct world *world = memory_new(1, sizeof(*world));
    struct error err = {0};

    assert_non_null(world);
    world->fake = agent_double_new(test_seed("agent_session"));
    ASSERT_OK(fs_memory_new(&world->fs, &err), &err);
    make_file(world, "a.raw");
    make_file(world, "b.raw");
    world->disks[0] = (struct plain_disk){.name = "a", .fs = world->fs, .file = "a.raw"};
    world->disks[1] = (struct plain_disk){.name = "b", .fs = world->fs, .file = "b.raw"};
    world->closed.run = on_closed;
    world->task.bytes[0] = 1;
    *state = world;
    return 0;
}

static void close_session(struct world *world)
{
    session_close(world->session, &world->closed);
    assert_false(world->is_closed);
    loop_wait(world->fake->loop, &world->is_closed);
    world->session = NULL;
    assert_int_equal(world->fake->window.used, 0);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->session != NULL)
        close_session(world);
    WAIT(world, world->fake->session == NULL); /* the double hears of it later */
    agent_double_free(world->fake);
    fs_free(world->fs);
    memory_free(world);
    return 0;
}

static void command(struct world *world, const char *disk)
{
    WAIT(world, !world->fake->session_writing);
    agent_double_command_backup(world->fake, &world->task, disk);
}

static void disk_is_backed_up_on_command(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    command(world, "a");
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
    assert_true(id_equal(&fake->done_point, &fake->point));
    assert_string_equal(fake->done_reason, REASON_FIRST_BACKUP);
    assert_int_equal(fake->done_counts.disk_size, SIZE);
    assert_int_equal(fake->done_counts.read, SIZE);
    world->task.bytes[0]++;
    command(world, "a");
    WAIT(world, fake->done_count == 2);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
    assert_string_equal(fake->done_reason, "");
    assert_int_equal(fake->done_counts.read, 0);
}

static void progress_is_told_about_once_a_second(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    agent_double_script(fake, STEP_WANT, 1, ACT_SILENT);
    command(world, "a");
    WAIT(world, fake->hits == 1);
    assert_int_equal(fake->progress_count, 0);
    for (unsigned i = 1; i <= 3; i++) {
        clock_manual_advance_ms(fake->clock, SESSION_PROGRESS_MS);
        WAIT(world, fake->progress_count == i);
    }
    agent_double_go_on(fake);
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
    assert_int_equal(fake->progress_count, 3);
}

static void commands_that_cannot_be_followed_are_answered(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    command(world, "c");
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_NOT_FOUND);
    agent_double_script(fake, STEP_OPENED, 1, ACT_SILENT);
    command(world, "a");
    world->task.bytes[0]++;
    command(world, "a");
    WAIT(world, fake->done_count == 2);
    assert_int_equal(fake->done_failure.status, STATUS_EXISTS);
    WAIT(world, fake->hits == 1);
    agent_double_go_on(fake);
    WAIT(world, fake->done_count == 3);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
}

static void two_disks_are_backed_up_at_once(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    agent_double_script(fake, STEP_OPENED, 0, ACT_SILENT);
    command(world, "a");
    world->task.bytes[0]++;
    command(world, "b");
    WAIT(world, fake->hits == 2);
    assert_int_equal(fake->done_count, 0);
    WAIT(world, !fake->session_writing);
    agent_double_command_cancel(fake, &world->task);
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_CANCELLED);
    agent_double_go_on(fake);
    WAIT(world, fake->done_count == 2);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
}

static void lost_line_cancels_its_tasks_and_is_opened_again(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    agent_double_script(fake, STEP_WANT, 1, ACT_SILENT);
    command(world, "a");
    WAIT(world, fake->hits == 1);
    rpc_call_cancel(fake->session);
    WAIT(world, fake->live == NULL); /* the upload is gone too */
    agent_double_let_time_pass(fake, true);
    WAIT(world, fake->sessions == 2);
    wait_for_hello(world);
    fake->step = STEP_NONE;
    world->task.bytes[0]++;
    command(world, "a");
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
}

static void other_major_version_is_refused_and_tried_again(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    fake->major = SESSION_PROTOCOL_MAJOR + 1;
    begin(world);
    agent_double_let_time_pass(fake, true);
    WAIT(world, fake->sessions >= 3);
    fake->major = SESSION_PROTOCOL_MAJOR;
    WAIT(world, fake->told_major == SESSION_PROTOCOL_MAJOR); /* now, or in the next session */
    wait_for_hello(world);
    agent_double_let_time_pass(fake, false);
    command(world, "a");
    WAIT(world, fake->done_count == 1);
    assert_int_equal(fake->done_failure.status, STATUS_OK);
}

static void line_that_is_lost_is_not_opened_again_at_once(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;

    begin(world);
    wait_for_hello(world);
    rpc_call_cancel(fake->session);
    WAIT(world, fake->session == NULL);
    for (unsigned i = 0; i < 2000; i++)
        agent_double_run_once(fake);
    clock_manual_advance_ms(fake->clock, SESSION_PAUSE_MIN_MS / 2 - 1);
    for (unsigned i = 0; i < 2000; i++)
        agent_double_run_once(fake);
    assert_int_equal(fake->sessions, 1);
    clock_manual_advance_ms(fake->clock, SESSION_PAUSE_MIN_MS);
    WAIT(world, fake->sessions == 2);
    wait_for_hello(world);
}

static void closed_session_ends_its_tasks(void **state)
{
    struct world *world = *state;
    struct agent_double *fake = world->fake;
    struct fs_names names = {0};
    struct error err = {0};

    begin(world);
    wait_for_hello(world);
    agent_double_script(fake, STEP_WANT, 1, ACT_SILENT);
    command(world, "a");
    WAIT(world, fake->hits == 1);
    close_session(world);
    ASSERT_OK(fs_list(world->fs, "a.raw.frozen", &names, &err), &err);
    assert_int_equal(names.count, 1); /* the disk's note: no copy is left */
    fs_names_deinit(&names);
}

static void session_that_never_connected_closes(void **state)
{
    struct world *world = *state;

    begin(world);
    close_session(world);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(disk_is_backed_up_on_command),
        TEST(progress_is_told_about_once_a_second),
        TEST(commands_that_cannot_be_followed_are_answered),
        TEST(two_disks_are_backed_up_at_once),
        TEST(lost_line_cancels_its_tasks_and_is_opened_again),
        TEST(other_major_version_is_refused_and_tried_again),
        TEST(line_that_is_lost_is_not_opened_again_at_once),
        TEST(closed_session_ends_its_tasks),
        TEST(session_that_never_connected_closes),
    };

    return cmocka_run_group_tests_name("agent_session", tests, NULL, NULL);
}
