/* The front of the disk seam, over a filling that only notes what reaches it. */
#include "agent/disk/disk.h"

#include "tests/support/clock_manual.h"
#include "tests/support/loop_wait.h"
#include "tests/support/test.h"

enum { SECTOR = 512, SIZE = 16 * SECTOR };

struct noting_disk {
    struct disk disk; /* first */
    unsigned ios, queries, cancels, cancel_alls, closes;
    struct disk_request *last;
};

static struct noting_disk *noting_of(struct disk *disk)
{
    return (struct noting_disk *)disk; /* its first member */
}

static void note_io(struct disk *disk, struct disk_io *io)
{
    noting_of(disk)->ios++;
    noting_of(disk)->last = &io->request;
}

static void note_query(struct disk *disk, struct disk_query *query)
{
    noting_of(disk)->queries++;
    noting_of(disk)->last = &query->request;
}

static void note_cancel(struct disk *disk, struct disk_request *request)
{
    noting_of(disk)->cancels++;
    assert_ptr_equal(request, noting_of(disk)->last);
}

static void note_cancel_all(struct disk *disk)
{
    noting_of(disk)->cancel_alls++;
}

static void note_close(struct disk *disk, struct loop_task *on_closed)
{
    noting_of(disk)->closes++;
    loop_post(disk->loop, on_closed);
}

static const struct disk_ops noting_ops = {.io = note_io,
                                           .query = note_query,
                                           .cancel = note_cancel,
                                           .cancel_all = note_cancel_all,
                                           .close = note_close};

struct env {
    struct clock_manual *clock;
    struct loop *loop;
    struct noting_disk disk;
};

static int set_up(void **state)
{
    static struct env env;
    struct error err = {0};

    env = (struct env){.clock = clock_manual_new()};
    ASSERT_OK(loop_new(clock_manual_source(env.clock), &env.loop, &err), &err);
    env.disk.disk = (struct disk){
        .ops = &noting_ops,
        .loop = env.loop,
        .info = {.size = SIZE, .logical_sector = SECTOR, .writable = true},
    };
    *state = &env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    loop_free(env->loop);
    clock_manual_free(env->clock);
    return 0;
}

struct asked {
    struct disk_io io;
    struct loop *loop;
    bool done;
    enum status status;
    const struct error *err;
};

static void asked_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct asked *asked = (struct asked *)io; /* its first member */

    assert_false(asked->done);
    asked->done = true;
    asked->status = status;
    asked->err = err;
    loop_stop(asked->loop);
}

static struct asked asked_of(struct env *env, enum disk_io_kind kind, uint64_t offset,
                             size_t length)
{
    struct asked asked = {
        .io = {.kind = kind, .offset = offset, .length = length, .done = asked_done},
        .loop = env->loop};

    return asked;
}

struct closing {
    struct loop_task task;
    struct loop *loop;
    bool done;
};

static void closing_done(struct loop_task *task)
{
    struct closing *closing = (struct closing *)task; /* its first member */

    closing->done = true;
    loop_stop(closing->loop);
}

static void a_wrong_request_never_reaches_the_filling(void **state)
{
    struct env *env = *state;
    struct asked wrong = asked_of(env, DISK_READ, 1, SECTOR);

    disk_io_start(&env->disk.disk, &wrong.io);
    disk_io_cancel(&wrong.io);
    loop_wait(env->loop, &wrong.done);
    assert_int_equal(wrong.status, STATUS_INVALID);
    assert_int_equal(env->disk.ios + env->disk.cancels, 0);
}

static void a_cancel_reaches_the_filling_while_the_request_is_in_flight_only(void **state)
{
    struct env *env = *state;
    struct asked asked = asked_of(env, DISK_READ, 0, SECTOR);
    struct error err = {0};

    disk_io_cancel(&asked.io); /* never started */
    assert_int_equal(env->disk.cancels, 0);
    disk_io_start(&env->disk.disk, &asked.io);
    disk_io_cancel(&asked.io);
    assert_int_equal(env->disk.cancels, 1);
    disk_request_done(env->disk.last, error_set(&err, STATUS_CANCELLED, "cancelled"), &err);
    assert_int_equal(asked.status, STATUS_CANCELLED);
    disk_io_cancel(&asked.io); /* late */
    assert_int_equal(env->disk.cancels, 1);
}

static void closing_waits_for_the_last_answer(void **state)
{
    struct env *env = *state;
    struct asked first = asked_of(env, DISK_READ, 0, SECTOR);
    struct asked second = asked_of(env, DISK_WRITE, 0, SECTOR);
    struct closing closing = {.task = {.run = closing_done}, .loop = env->loop};

    disk_io_start(&env->disk.disk, &first.io);
    disk_io_start(&env->disk.disk, &second.io);
    disk_close(&env->disk.disk, &closing.task);
    assert_int_equal(env->disk.cancel_alls, 1);
    disk_request_done(&first.io.request, STATUS_OK, NULL);
    assert_int_equal(env->disk.closes, 0);
    disk_request_done(&second.io.request, STATUS_OK, NULL);
    assert_int_equal(env->disk.closes, 1);
    loop_wait(env->loop, &closing.done);
}

static void an_idle_disk_is_closed_at_once(void **state)
{
    struct env *env = *state;
    struct closing closing = {.task = {.run = closing_done}, .loop = env->loop};

    disk_close(&env->disk.disk, &closing.task);
    assert_int_equal(env->disk.closes, 1);
    loop_wait(env->loop, &closing.done);
}

static void a_cancelled_flush_is_no_failed_one(void **state)
{
    struct env *env = *state;
    struct asked first = asked_of(env, DISK_FLUSH, 0, 0);
    struct asked second = asked_of(env, DISK_FLUSH, 0, 0);
    struct error err = {0};

    disk_io_start(&env->disk.disk, &first.io);
    disk_request_done(&first.io.request, error_set(&err, STATUS_CANCELLED, "cancelled"), &err);
    disk_io_start(&env->disk.disk, &second.io);
    assert_int_equal(env->disk.ios, 2);
    disk_request_done(&second.io.request, STATUS_OK, &err);
    assert_int_equal(second.status, STATUS_OK);
    assert_null(second.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
        TEST(a_wrong_request_never_reaches_the_filling),
        TEST(a_cancel_reaches_the_filling_while_the_request_is_in_flight_only),
        TEST(closing_waits_for_the_last_answer),
        TEST(an_idle_disk_is_closed_at_once),
        TEST(a_cancelled_flush_is_no_failed_one),
#undef TEST
    };

    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
