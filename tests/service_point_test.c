/* tests/service_point_test.c: commits and tracking records by a scripted agent: what makes a point, and every way in which a statement
 * may be wrong. */
#include <string.h>

#include "base/text.h"
#include "coordinator/service/commit.h"
#include "tests/service_world.h"
#include "tests/support/test.h"

enum { BLOCKS = 20 };

/* A task whose disk is uploaded, and the statement that is right for it. */
struct ready {
    struct service_world *world;
    struct client *session;
    struct world_task task;
    struct world_disk disk;
    struct statement_disk stated;
    struct statement statement;
};

static void ready_begin(struct ready *ready, struct service_world *world)
{
    struct world_uploaded uploaded;

    *ready = (struct ready){.world = world, .disk = world_disk_new(BLOCKS)};
    for (uint64_t block = 0; block < BLOCKS; block++)
        world_disk_fill(&ready->disk, block, block + 1);
    ready->session = world_connect(world, PEER_AGENT);
    ready->task = world_begin(world, ready->session, "d1");
    uploaded = world_upload(&ready->task, &ready->disk, NULL, NULL);
    ready->statement = world_statement(&ready->task, &ready->disk, &ready->stated, &uploaded.root);
}

static void ready_end(struct ready *ready)
{
    world_end(&ready->task, slice_of(NULL, 0), "enough");
    world_disk_free(&ready->disk);
    client_drop(ready->session);
}

/* The same for one that is committed: a failure after it says so. */
static void ready_end_committed(struct ready *ready)
{
    rpc_message_free(&ready->task.command->base);
    client_drop(ready->task.backup);
    world_disk_free(&ready->disk);
    client_drop(ready->session);
}

/* The statement as it is now is refused, and no point exists. */
static void is_refused(struct ready *ready, enum status status, const char *text)
{
    assert_null(world_commit(&ready->task, &ready->statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, status, text));
}

static Tidemark__V1__CommitAnswer *commit(struct ready *ready, enum status status, const char *text)
{
    return world_commit(&ready->task, &ready->statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                        PEER_AGENT, status, text);
}

static void a_commit_makes_a_point_that_outlives_the_service(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = world_disk_new(BLOCKS);

    world_disk_fill(&disk, 3, 1);
    (void)world_back_up(world, session, &disk, NULL);
    assert_int_equal(world_count_points(world), 1);
    client_drop(session);
    service_world_restart(world);
    assert_int_equal(world_count_points(world), 1);
    world_disk_free(&disk);
}

static void a_repeated_commit_gets_the_same_answer(void **state)
{
    struct ready ready;
    Tidemark__V1__CommitAnswer *first = NULL;
    Tidemark__V1__CommitAnswer *second = NULL;

    ready_begin(&ready, *state);
    first = commit(&ready, STATUS_OK, "");
    second = commit(&ready, STATUS_OK, "");
    assert_memory_equal(first->point.data, second->point.data, ID_SIZE);
    assert_int_equal(first->head->sequence, second->head->sequence);
    assert_int_equal(first->stored, second->stored);
    assert_int_equal(world_count_points(*state), 1);
    rpc_message_free(&first->base);
    rpc_message_free(&second->base);
    ready_end(&ready);
}

static void a_commit_that_fails_after_its_entry_is_the_same_point_when_repeated(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    faults_arm_point(ready.world->faults, "service.after_commit", 1, FAULT_FAIL);
    assert_null(commit(&ready, STATUS_UNAVAILABLE, ""));
    faults_arm(ready.world->faults, 0, 0);
    rpc_message_free(&commit(&ready, STATUS_OK, "")->base);
    assert_int_equal(world_count_points(*state), 1);
    ready_end(&ready);
}

static void a_commit_that_fails_before_its_entry_leaves_no_point(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    faults_arm_point(ready.world->faults, "service.before_commit", 1, FAULT_FAIL);
    assert_null(commit(&ready, STATUS_UNAVAILABLE, ""));
    faults_arm(ready.world->faults, 0, 0);
    assert_int_equal(world_count_points(*state), 0);
    ready_end(&ready);
    assert_int_equal(world_count_points(*state), 0);
}

static void another_root_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.stated.root.bytes[0] ^= 1;
    is_refused(&ready, STATUS_CORRUPT, "the statement's root is not that of what was uploaded");
    assert_int_equal(world_count_points(*state), 0);
    ready_end(&ready);
}

static void another_size_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.stated.size += 512;
    is_refused(&ready, STATUS_INVALID, "uploaded were");
    ready_end(&ready);
}

static void another_repository_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.statement.repository.bytes[0] ^= 1;
    is_refused(&ready, STATUS_INVALID, "for another repository");
    ready_end(&ready);
}

static void another_task_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.statement.task.bytes[0] ^= 1;
    is_refused(&ready, STATUS_INVALID, "for another task");
    ready_end(&ready);
}

static void another_disk_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_true(text_format(ready.statement.vm_name, sizeof(ready.statement.vm_name), "d2"));
    is_refused(&ready, STATUS_INVALID, "about another disk than d1");
    ready_end(&ready);
}

static void a_parent_that_was_not_given_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.statement.parent.bytes[0] = 1;
    is_refused(&ready, STATUS_INVALID, "names another parent than the task has");
    ready_end(&ready);
}

static void a_statement_that_names_another_host_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_true(text_format(ready.statement.host, sizeof(ready.statement.host), "hv-02"));
    is_refused(&ready, STATUS_DENIED, "commits a statement of host hv-02, signed by host hv-01");
    ready_end(&ready);
}

static void a_statement_signed_by_another_host_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_null(world_commit(&ready.task, &ready.statement, PEER_OTHER, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, STATUS_DENIED, "signed by host hv-02"));
    ready_end(&ready);
}

static void a_statement_signed_by_no_host_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_null(world_commit(&ready.task, &ready.statement, PEER_CONSOLE, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, STATUS_DENIED, "the statement's signature"));
    ready_end(&ready);
}

static void a_signature_of_something_else_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_null(world_commit(&ready.task, &ready.statement, PEER_AGENT, SIGN_CONTEXT_TRACKING,
                             PEER_AGENT, STATUS_CORRUPT, "the statement's signature"));
    ready_end(&ready);
}

static void a_commit_by_another_host_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    assert_null(world_commit(&ready.task, &ready.statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                             PEER_OTHER, STATUS_DENIED, "host hv-02 has no such task"));
    ready_end(&ready);
}

static void a_time_at_which_no_certificate_was_valid_is_refused(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    ready.statement.time_us = 0; /* 1970 */
    is_refused(&ready, STATUS_DENIED, "at the time that it bears");
    ready_end(&ready);
}

static void a_commit_without_an_upload_is_refused(void **state)
{
    struct service_world *world = *state;
    struct ready ready = {.world = world, .disk = world_disk_new(BLOCKS)};
    struct id root = {{1}};

    ready.session = world_connect(world, PEER_AGENT);
    ready.task = world_begin(world, ready.session, "d1");
    ready.statement = world_statement(&ready.task, &ready.disk, &ready.stated, &root);
    is_refused(&ready, STATUS_PRECONDITION, "the task's disk is not uploaded");
    ready_end(&ready);
}

static void a_track_before_the_commit_is_refused(void **state)
{
    struct ready ready;
    Tidemark__V1__TrackRequest request = TIDEMARK__V1__TRACK_REQUEST__INIT;

    ready_begin(&ready, *state);
    request.task = ready.task.order->task;
    assert_null(client_ask(ready.world, PEER_AGENT, &tidemark__v1__data__descriptor, "Track",
                           &request.base, STATUS_PRECONDITION, "the task is not committed"));
    ready_end(&ready);
}

/* ---- Tracking records ------------------------------------------------------------------------ */

/* A committed task, and the tracking record that is right for it. */
struct tracked {
    struct ready ready;
    struct id point;
    struct tracking_disk disk;
    struct tracking tracking;
};

static void tracked_begin(struct tracked *tracked, struct service_world *world)
{
    Tidemark__V1__CommitAnswer *answer = NULL;

    *tracked = (struct tracked){0};
    ready_begin(&tracked->ready, world);
    answer = commit(&tracked->ready, STATUS_OK, "");
    memcpy(tracked->point.bytes, answer->point.data, ID_SIZE);
    rpc_message_free(&answer->base);
    tracked->tracking = world_tracking(&tracked->ready.statement, &tracked->point, &tracked->disk);
}

/* It is refused and not kept: the next backup has no parent. */
static void track_is_refused(struct tracked *tracked, enum world_peer signer, const char *context,
                             enum world_peer sender, enum status status, const char *text)
{
    struct ready *ready = &tracked->ready;

    world_track(&ready->task, &tracked->tracking, signer, context, sender, status, text);
    world_end(&ready->task, slice_of(tracked->point.bytes, ID_SIZE), NULL);
    ready->task = world_begin(ready->world, ready->session, "d1");
    assert_null(ready->task.order->parent);
    ready_end(ready);
}

static void track_by_its_host_is_refused(struct tracked *tracked, enum status status,
                                         const char *text)
{
    track_is_refused(tracked, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_AGENT, status, text);
}

static void a_track_makes_the_point_the_next_parent(void **state)
{
    struct tracked tracked;
    struct ready *ready = &tracked.ready;

    tracked_begin(&tracked, *state);
    world_track(&ready->task, &tracked.tracking, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_AGENT,
                STATUS_OK, "");
    world_end(&ready->task, slice_of(tracked.point.bytes, ID_SIZE), NULL);
    ready->task = world_begin(ready->world, ready->session, "d1");
    assert_non_null(ready->task.order->parent);
    assert_memory_equal(ready->task.order->parent->point.data, tracked.point.bytes, ID_SIZE);
    ready_end(ready);
}

static void a_track_for_another_repository_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    tracked.tracking.repository.bytes[0] ^= 1;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "is for another repository");
}

static void a_track_of_another_point_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    tracked.tracking.point.bytes[0] ^= 1;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "is about another point");
}

static void a_track_of_another_vm_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    tracked.tracking.vm.bytes[0] ^= 1;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "is about another point");
}

static void a_track_with_another_root_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    tracked.disk.root.bytes[0] ^= 1;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "disk is not what was uploaded");
}

static void a_track_with_another_size_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    tracked.disk.size += 512;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "disk is not what was uploaded");
}

static void a_track_of_two_disks_is_refused(void **state)
{
    struct tracked tracked;
    struct tracking_disk disks[2];

    tracked_begin(&tracked, *state);
    disks[0] = disks[1] = tracked.disk;
    disks[1].identity[0] = 1;
    tracked.tracking.disks = disks;
    tracked.tracking.disk_count = 2;
    track_by_its_host_is_refused(&tracked, STATUS_INVALID, "disk is not what was uploaded");
}

static void a_track_signed_by_another_host_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    track_is_refused(&tracked, PEER_OTHER, SIGN_CONTEXT_TRACKING, PEER_AGENT, STATUS_DENIED,
                     "host hv-01 sends a tracking record of host hv-02");
}

static void a_track_signed_by_no_host_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    track_is_refused(&tracked, PEER_CONSOLE, SIGN_CONTEXT_TRACKING, PEER_AGENT, STATUS_DENIED,
                     "the tracking record's signature");
}

static void a_track_with_the_signature_of_something_else_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    track_is_refused(&tracked, PEER_AGENT, SIGN_CONTEXT_STATEMENT, PEER_AGENT, STATUS_CORRUPT,
                     "the tracking record's signature");
}

static void a_track_by_another_host_is_refused(void **state)
{
    struct tracked tracked;

    tracked_begin(&tracked, *state);
    track_is_refused(&tracked, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_OTHER, STATUS_DENIED,
                     "host hv-02 has no such task");
}

static void a_track_that_fails_before_it_is_written_can_be_repeated(void **state)
{
    struct tracked tracked;
    struct ready *ready = &tracked.ready;
    const char *const points[] = {"service.before_track", "service.after_track"};

    tracked_begin(&tracked, *state);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        faults_arm_point(ready->world->faults, points[i], 1, FAULT_FAIL);
        world_track(&ready->task, &tracked.tracking, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_AGENT,
                    STATUS_UNAVAILABLE, "");
        assert_true(faults_fired(ready->world->faults));
        faults_arm(ready->world->faults, 0, 0);
    }
    world_track(&ready->task, &tracked.tracking, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_AGENT,
                STATUS_OK, "");
    world_end(&ready->task, slice_of(tracked.point.bytes, ID_SIZE), NULL);
    world_disk_free(&ready->disk);
    client_drop(ready->session);
}

/* ---- Lost lines ------------------------------------------------------------------------------ */

/* A commit that the host repeats after its line was lost: the task is over; a new one goes well. */
static void after_a_lost_line(struct ready *ready, size_t points)
{
    struct id point;

    is_refused(ready, STATUS_DENIED, "host hv-01 has no such task");
    assert_int_equal(world_count_points(ready->world), points);
    ready->session = world_connect(ready->world, PEER_AGENT);
    is_refused(ready, STATUS_DENIED, "host hv-01 has no such task");
    point = world_back_up(ready->world, ready->session, &ready->disk, NULL);
    world_export_equals(ready->world, &point, &ready->disk);
    assert_int_equal(world_count_points(ready->world), points + 1);
    assert_int_equal(world_verify(ready->world, "").findings, 0);
    rpc_message_free(&ready->task.command->base);
    world_disk_free(&ready->disk);
    client_drop(ready->session);
}

static void a_commit_repeated_after_a_lost_line_is_refused_and_the_point_stays(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    rpc_message_free(&commit(&ready, STATUS_OK, "")->base);
    client_drop(ready.session);
    client_ends(ready.task.backup, STATUS_UNAVAILABLE, "the connection to host hv-01 was lost");
    after_a_lost_line(&ready, 1);
}

/* Starts a commit and waits until the store's thread stands before its entry. */
static struct client *stalled_commit(struct ready *ready)
{
    struct service_world *world = ready->world;
    struct client *first = NULL;

    faults_arm_point(world->faults, "service.before_commit", 1, FAULT_STALL);
    first = world_commit_start(&ready->task, &ready->statement);
    while (faults_hits(world->faults, "service.before_commit") == 0) {
        struct client *again = world_commit_start(&ready->task, &ready->statement);

        client_ends(again, STATUS_UNAVAILABLE, "the task is being committed; ask again");
    }
    faults_await_stall(world->faults);
    return first;
}

static void a_line_that_is_lost_in_the_middle_of_a_commit_leaves_a_whole_point(void **state)
{
    struct ready ready;
    struct client *running = NULL;

    ready_begin(&ready, *state);
    running = stalled_commit(&ready);
    client_drop(ready.session);
    client_ends(ready.task.backup, STATUS_UNAVAILABLE, "the connection to host hv-01 was lost");
    faults_release(ready.world->faults);
    client_ends(running, STATUS_OK, ""); /* what has begun ends */
    after_a_lost_line(&ready, 1);
}

static void a_commit_whose_call_is_lost_gets_its_answer_when_repeated(void **state)
{
    struct ready ready;

    ready_begin(&ready, *state);
    client_drop(stalled_commit(&ready));
    faults_release(ready.world->faults);
    while (true) { /* until what runs has ended */
        struct client *again = world_commit_start(&ready.task, &ready.statement);
        ProtobufCMessage *answer = client_receive(again);

        client_ends(again, answer != NULL ? STATUS_OK : STATUS_UNAVAILABLE, "");
        rpc_message_free(answer);
        if (answer != NULL)
            break;
    }
    assert_int_equal(world_count_points(ready.world), 1);
    ready_end_committed(&ready);
}

static void a_done_without_a_commit_is_a_failure(void **state)
{
    struct ready ready;
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__TaskDone done = TIDEMARK__V1__TASK_DONE__INIT;

    ready_begin(&ready, *state);
    done.task = ready.task.order->task;
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_DONE;
    message.done = &done;
    assert_true(client_send(ready.session, &message.base));
    client_ends(ready.task.backup, STATUS_INTERNAL, "has committed no such point");
    rpc_message_free(&ready.task.command->base);
    world_disk_free(&ready.disk);
    client_drop(ready.session);
}

#define TEST(NAME) \
    cmocka_unit_test_setup_teardown(NAME, service_world_set_up, service_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_makes_a_point_that_outlives_the_service),
        TEST(a_repeated_commit_gets_the_same_answer),
        TEST(a_commit_that_fails_after_its_entry_is_the_same_point_when_repeated),
        TEST(a_commit_that_fails_before_its_entry_leaves_no_point),
        TEST(another_root_is_refused),
        TEST(another_size_is_refused),
        TEST(another_repository_is_refused),
        TEST(another_task_is_refused),
        TEST(another_disk_is_refused),
        TEST(a_parent_that_was_not_given_is_refused),
        TEST(a_statement_that_names_another_host_is_refused),
        TEST(a_statement_signed_by_another_host_is_refused),
        TEST(a_statement_signed_by_no_host_is_refused),
        TEST(a_signature_of_something_else_is_refused),
        TEST(a_commit_by_another_host_is_refused),
        TEST(a_time_at_which_no_certificate_was_valid_is_refused),
        TEST(a_commit_without_an_upload_is_refused),
        TEST(a_track_before_the_commit_is_refused),
        TEST(a_track_makes_the_point_the_next_parent),
        TEST(a_track_for_another_repository_is_refused),
        TEST(a_track_of_another_point_is_refused),
        TEST(a_track_of_another_vm_is_refused),
        TEST(a_track_with_another_root_is_refused),
        TEST(a_track_with_another_size_is_refused),
        TEST(a_track_of_two_disks_is_refused),
        TEST(a_track_signed_by_another_host_is_refused),
        TEST(a_track_signed_by_no_host_is_refused),
        TEST(a_track_with_the_signature_of_something_else_is_refused),
        TEST(a_track_by_another_host_is_refused),
        TEST(a_track_that_fails_before_it_is_written_can_be_repeated),
        TEST(a_commit_repeated_after_a_lost_line_is_refused_and_the_point_stays),
        TEST(a_line_that_is_lost_in_the_middle_of_a_commit_leaves_a_whole_point),
        TEST(a_commit_whose_call_is_lost_gets_its_answer_when_repeated),
        TEST(a_done_without_a_commit_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
