/* tests/service_console_test.c: what consoles ask, and the lines to agents: listing, verifying and exporting what is whole and
 * what is not, backups from wish to end. */
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/points.h"
#include "coordinator/service/service.h"
#include "format/codec.h"
#include "tests/service_world.h"
#include "tests/support/double_heap.h"
#include "tests/support/test.h"

enum { BLOCKS = 200 };

#define CONSOLE &tidemark__v1__console__descriptor

static struct world_disk some_disk(void)
{
    struct world_disk disk = world_disk_new(BLOCKS);

    for (uint64_t block = 0; block < BLOCKS; block += 2)
        world_disk_fill(&disk, block, block + 1);
    return disk;
}

/* ---- Listing --------------------------------------------------------------------------------- */

static Tidemark__V1__ListPointsAnswer *list(struct service_world *world, uint64_t before,
                                            uint32_t limit)
{
    Tidemark__V1__ListPointsRequest request = TIDEMARK__V1__LIST_POINTS_REQUEST__INIT;

    request.before_sequence = before;
    request.limit = limit;
    return (Tidemark__V1__ListPointsAnswer *)client_ask(world, PEER_CONSOLE, CONSOLE, "ListPoints",
                                                        &request.base, STATUS_OK, "");
}

static void points_are_listed_newest_first_a_page_at_a_time(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    bool changed[BLOCKS] = {[4] = true};
    struct id points[3];
    Tidemark__V1__ListPointsAnswer *answer = NULL;

    points[0] = world_back_up(world, session, &disk, NULL);
    for (int i = 1; i < 3; i++) {
        world_disk_fill(&disk, 4, 1000 + (uint64_t)i);
        points[i] = world_back_up(world, session, &disk, changed);
    }
    answer = list(world, 0, 2);
    assert_int_equal(answer->n_points, 2);
    assert_true(answer->more);
    assert_memory_equal(answer->points[0]->point.data, points[2].bytes, ID_SIZE);
    assert_memory_equal(answer->points[1]->point.data, points[1].bytes, ID_SIZE);
    assert_string_equal(answer->points[0]->host, "hv-01");
    assert_string_equal(answer->points[0]->disk, "d1");
    assert_string_equal(answer->points[0]->consistency, "crash");
    assert_string_equal(answer->points[0]->reason, "");
    assert_int_equal(answer->points[0]->size, disk.geometry.size);

    uint64_t before = answer->points[1]->sequence;

    rpc_message_free(&answer->base);
    answer = list(world, before, 2);
    assert_int_equal(answer->n_points, 1);
    assert_false(answer->more);
    assert_memory_equal(answer->points[0]->point.data, points[0].bytes, ID_SIZE);
    assert_string_equal(answer->points[0]->reason, "first_backup");
    rpc_message_free(&answer->base);
    world_disk_free(&disk);
    client_drop(session);
}

/* ---- Verifying ------------------------------------------------------------------------------- */

/* Flips a bit in each pack of data whose name ends so, AT bytes from its begin. */
static void damage(struct service_world *world, const char *ending, uint64_t at)
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(world->fs, "packs", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];
        struct fs_file *file = NULL;
        uint8_t byte = 0;

        if (strstr(names.names[i], ending) == NULL)
            continue;
        assert_true(text_format(path, sizeof(path), "packs/%s", names.names[i]));
        ASSERT_OK(fs_open(world->fs, path, FS_WRITE, &file, &err), &err);
        ASSERT_OK(fs_read_exactly_at(file, at, &byte, 1, &err), &err);
        byte ^= 1;
        ASSERT_OK(fs_write_at(file, at, slice_of(&byte, 1), &err), &err);
        fs_close(file);
    }
    fs_names_deinit(&names);
}

static void a_whole_repository_is_verified(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    bool changed[BLOCKS] = {[4] = true};
    struct world_verified verified;

    assert_int_equal(world_verify(world, "").points, 0);
    (void)world_back_up(world, session, &disk, NULL);
    world_disk_fill(&disk, 4, 1000);
    (void)world_back_up(world, session, &disk, changed);
    verified = world_verify(world, "");
    assert_int_equal(verified.points, 2);
    assert_int_equal(verified.findings, 0);
    assert_int_equal(verified.records, 2 * (BLOCKS / 2));
    world_disk_free(&disk);
    client_drop(session);
}

static void a_flipped_bit_in_a_block_is_found_in_its_place(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct world_verified verified;

    (void)world_back_up(world, session, &disk, NULL);
    damage(world, ".data", 52 + 104 + 10); /* the first record's payload: block 0 */
    verified = world_verify(world, "");
    assert_int_equal(verified.points, 1);
    assert_int_equal(verified.findings, 1);
    assert_int_equal(verified.offset, 0);
    assert_int_equal(verified.length, WORLD_BLOCK_SIZE);
    world_disk_free(&disk);
    client_drop(session);
}

static void a_flipped_bit_in_a_node_is_found_with_its_range(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct world_verified verified;

    (void)world_back_up(world, session, &disk, NULL);
    damage(world, ".meta", 52 + 104 + 10); /* the first node: blocks 0 to 127 */
    verified = world_verify(world, "");
    assert_int_equal(verified.findings, 1);
    assert_int_equal(verified.offset, 0);
    assert_int_equal(verified.length, 128 * WORLD_BLOCK_SIZE);
    world_disk_free(&disk);
    client_drop(session);
}

/* ---- Exporting ------------------------------------------------------------------------------- */

static void an_export_gives_the_disk_back(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct id point = world_back_up(world, session, &disk, NULL);
    char digits[ID_TEXT_SIZE];
    uint8_t *bytes = NULL;

    id_text(&point, digits);
    digits[8] = '\0';
    bytes = world_export(world, digits, BLOCKS, STATUS_OK, "");
    assert_memory_equal(bytes, disk.bytes, disk.geometry.size);
    double_free(bytes);
    world_disk_free(&disk);
    client_drop(session);
}

static void an_export_of_a_damaged_block_fails_and_names_it(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct id point = world_back_up(world, session, &disk, NULL);
    char digits[ID_TEXT_SIZE];

    id_text(&point, digits);
    damage(world, ".data", 52 + 104 + 10);
    assert_null(
        world_export(world, digits, BLOCKS, STATUS_CORRUPT, "block 0 of the disk cannot be read"));
    world_disk_free(&disk);
    client_drop(session);
}

static void a_point_that_is_not_there_is_not_found(void **state)
{
    struct service_world *world = *state;

    assert_null(world_export(world, "abcdef", 1, STATUS_NOT_FOUND, "there is no point abcdef"));
    assert_null(world_export(world, "abc", 1, STATUS_INVALID, "first 6 to 64 hexadecimal digits"));
    assert_null(world_export(world, "ABCDEF", 1, STATUS_INVALID, "hexadecimal digits"));
}

/* ---- Backups --------------------------------------------------------------------------------- */

static void ask_backup(struct service_world *world, const char *disk, const char *host,
                       enum status status, const char *text)
{
    struct client *client = client_open(world, PEER_CONSOLE, CONSOLE, "Backup");
    Tidemark__V1__BackupRequest request = TIDEMARK__V1__BACKUP_REQUEST__INIT;
    char disk_copy[16];
    char host_copy[16];

    assert_true(text_format(disk_copy, sizeof(disk_copy), "%s", disk));
    assert_true(text_format(host_copy, sizeof(host_copy), "%s", host));
    request.disk = disk_copy;
    request.host = host_copy;
    assert_true(client_send(client, &request.base));
    client_ends(client, status, text);
}

static void a_backup_needs_one_host_that_has_the_disk(void **state)
{
    struct service_world *world = *state;
    struct client *first = NULL;
    struct client *second = NULL;

    ask_backup(world, "d1", "", STATUS_NOT_FOUND, "no connected host has a disk d1");
    ask_backup(world, "d1", "hv-01", STATUS_UNAVAILABLE, "host hv-01 is not connected");
    first = world_connect(world, PEER_AGENT);
    second = world_connect(world, PEER_OTHER);
    ask_backup(world, "d9", "hv-01", STATUS_NOT_FOUND, "host hv-01 has no disk d9");
    ask_backup(world, "d1", "", STATUS_INVALID, "both have a disk d1");
    client_drop(first);
    client_drop(second);
}

static void a_disk_is_backed_up_once_at_a_time(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_task task = world_begin(world, session, "d1");

    ask_backup(world, "d1", "hv-01", STATUS_PRECONDITION, "is running already");
    world_end(&task, slice_of(NULL, 0), "enough");
    task = world_begin(world, session, "d1");
    world_end(&task, slice_of(NULL, 0), "enough");
    client_drop(session);
}

static void a_lost_host_ends_its_backups(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_task task = world_begin(world, session, "d1");

    client_drop(session);
    client_ends(task.backup, STATUS_UNAVAILABLE, "the connection to host hv-01 was lost");
    rpc_message_free(&task.command->base);
}

static void a_host_that_connects_anew_displaces_its_old_line(void **state)
{
    struct service_world *world = *state;
    struct client *old = world_connect(world, PEER_AGENT);
    struct world_task task = world_begin(world, old, "d1");
    struct client *session = world_connect(world, PEER_AGENT);

    client_ends(old, STATUS_ABORTED, "host hv-01 has connected anew");
    client_ends(task.backup, STATUS_UNAVAILABLE, "host hv-01 has connected anew");
    rpc_message_free(&task.command->base);
    task = world_begin(world, session, "d1");
    world_end(&task, slice_of(NULL, 0), "enough");
    client_drop(session);
}

static void a_console_that_goes_away_cancels_its_backup(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_task task = world_begin(world, session, "d1");
    Tidemark__V1__ToAgent *message = NULL;

    client_drop(task.backup);
    message = (Tidemark__V1__ToAgent *)client_receive(session);
    assert_non_null(message);
    assert_int_equal(message->kind_case, TIDEMARK__V1__TO_AGENT__KIND_CANCEL);
    assert_memory_equal(message->cancel->task.data, task.order->task.data, RANDOM_ID_SIZE);
    rpc_message_free(&message->base);
    rpc_message_free(&task.command->base);
    client_drop(session);
}

static void progress_reaches_the_console(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_task task = world_begin(world, session, "d1");
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__TaskProgress progress = TIDEMARK__V1__TASK_PROGRESS__INIT;
    Tidemark__V1__Counts counts = TIDEMARK__V1__COUNTS__INIT;
    Tidemark__V1__BackupEvent *event = NULL;

    counts.disk_size = 4096;
    counts.read = 512;
    progress.task = task.order->task;
    progress.counts = &counts;
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_PROGRESS;
    message.progress = &progress;
    assert_true(client_send(session, &message.base));
    event = (Tidemark__V1__BackupEvent *)client_receive(task.backup);
    assert_non_null(event);
    assert_int_equal(event->kind_case, TIDEMARK__V1__BACKUP_EVENT__KIND_PROGRESS);
    assert_int_equal(event->progress->disk_size, 4096);
    assert_int_equal(event->progress->read, 512);
    rpc_message_free(&event->base);
    world_end(&task, slice_of(NULL, 0), "enough");
    client_drop(session);
}

/* ---- Hellos and roles ------------------------------------------------------------------------ */

static void refused_hello(struct service_world *world, uint32_t major, char **disks, size_t count,
                          enum status status, const char *text)
{
    struct client *session =
        client_open(world, PEER_AGENT, &tidemark__v1__agent__descriptor, "Session");
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__AgentHello hello = TIDEMARK__V1__AGENT_HELLO__INIT;
    Tidemark__V1__Version version = TIDEMARK__V1__VERSION__INIT;

    version.major = major;
    hello.protocol = &version;
    hello.disks = disks;
    hello.n_disks = count;
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_HELLO;
    message.hello = &hello;
    assert_true(client_send(session, &message.base));
    client_ends(session, status, text);
}

static void a_hello_is_checked(void **state)
{
    struct service_world *world = *state;
    char name[] = "d1";
    char line[] = "d\n1";
    char nothing[] = "";
    char *twice[] = {name, name};
    char *control[] = {line};
    char *empty[] = {nothing};

    refused_hello(world, 2, NULL, 0, STATUS_PRECONDITION,
                  "the agent speaks version 2.0 of the protocol, the coordinator 1.0");
    refused_hello(world, 1, twice, 2, STATUS_INVALID, "disk d1 is named twice");
    refused_hello(world, 1, control, 1, STATUS_INVALID, "control character");
    refused_hello(world, 1, empty, 1, STATUS_INVALID, "a disk's name has 1 to 255 bytes");
}

static void a_session_begins_with_a_hello(void **state)
{
    struct service_world *world = *state;
    struct client *session =
        client_open(world, PEER_AGENT, &tidemark__v1__agent__descriptor, "Session");
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;

    assert_true(client_send(session, &message.base));
    client_ends(session, STATUS_INVALID, "the first message of a session is a hello");
}

static void each_listener_serves_its_own_methods_alone(void **state)
{
    struct service_world *world = *state;
    Tidemark__V1__ListPointsRequest request = TIDEMARK__V1__LIST_POINTS_REQUEST__INIT;
    Tidemark__V1__CommitRequest commit = TIDEMARK__V1__COMMIT_REQUEST__INIT;
    struct client *session =
        client_open(world, PEER_CONSOLE, &tidemark__v1__agent__descriptor, "Session");
    struct client *points = client_open(world, PEER_AGENT, CONSOLE, "ListPoints");
    struct client *data =
        client_open(world, PEER_CONSOLE, &tidemark__v1__data__descriptor, "Commit");

    (void)client_send(points, &request.base); /* its end tells */
    client_ends(points, STATUS_UNSUPPORTED, "");
    (void)client_send(data, &commit.base);
    client_ends(data, STATUS_UNSUPPORTED, "");
    client_ends(session, STATUS_UNSUPPORTED, "");
}

/* METHOD about the one point, with the Nth allocation of the coordinator or of its peer failing. False: there is no such one.
 * It ends in some way; what it ends with depends on whose memory was wanting. */
static bool ask_without_memory(struct service_world *world, const char *method,
                               const ProtobufCMessage *request, uint64_t n)
{
    struct client *client = client_open(world, PEER_CONSOLE, CONSOLE, method);
    ProtobufCMessage *message = NULL;

    assert_true(client_send(client, request));
    faults_arm(world->faults, FAULT_ALLOC, n);
    while ((message = client_receive(client)) != NULL)
        rpc_message_free(message);
    client_drop(client);
    faults_arm(world->faults, 0, 0);
    return faults_fired(world->faults);
}

static void a_lack_of_memory_ends_a_call_and_nothing_else(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct id point = world_back_up(world, session, &disk, NULL);
    char digits[ID_TEXT_SIZE];
    Tidemark__V1__ListPointsRequest points = TIDEMARK__V1__LIST_POINTS_REQUEST__INIT;
    Tidemark__V1__VerifyRequest verified = TIDEMARK__V1__VERIFY_REQUEST__INIT;
    Tidemark__V1__ExportRequest exported = TIDEMARK__V1__EXPORT_REQUEST__INIT;

    const struct {
        const char *method;
        const ProtobufCMessage *request;
    } calls[] = {{"ListPoints", &points.base},
                 {"Verify", &verified.base},
                 {"Export", &exported.base}};

    id_text(&point, digits);
    verified.point = digits;
    exported.point = digits;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        uint64_t n = 1;

        while (ask_without_memory(world, calls[i].method, calls[i].request, n))
            n++;
        assert_true(n > 1);
        assert_int_equal(world_verify(world, digits).findings, 0);
        world_export_equals(world, &point, &disk);
        assert_int_equal(world_count_points(world), 1);
    }
    world_disk_free(&disk);
    client_drop(session);
}

static void one_host_cannot_take_all_the_calls(void **state)
{
    enum { STREAMS = 200, TURNS_MAX = 10000 }; /* fewer than the listener allows */

    struct service_world *world = *state;
    struct client *streams[STREAMS];
    unsigned ended = 0;

    for (size_t i = 0; i < STREAMS; i++)
        streams[i] = client_open(world, PEER_AGENT, &tidemark__v1__data__descriptor, "Upload");
    for (int turn = 0; turn < TURNS_MAX && ended < STREAMS - EXCHANGE_PEER_MAX; turn++) {
        (void)world_count_points(world); /* the loop turns meanwhile */
        ended = 0;
        for (size_t i = 0; i < STREAMS; i++)
            ended += streams[i]->ended;
    }
    assert_int_equal(ended, STREAMS - EXCHANGE_PEER_MAX);
    for (size_t i = 0; i < STREAMS; i++)
        if (streams[i]->ended)
            client_ends(streams[i], STATUS_UNAVAILABLE, "hv-01 has 80 calls open already");
    client_drop(world_connect(world, PEER_OTHER));
}

#define TEST(NAME) \
    cmocka_unit_test_setup_teardown(NAME, service_world_set_up, service_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(points_are_listed_newest_first_a_page_at_a_time),
        TEST(a_whole_repository_is_verified),
        TEST(a_flipped_bit_in_a_block_is_found_in_its_place),
        TEST(a_flipped_bit_in_a_node_is_found_with_its_range),
        TEST(an_export_gives_the_disk_back),
        TEST(an_export_of_a_damaged_block_fails_and_names_it),
        TEST(a_point_that_is_not_there_is_not_found),
        TEST(a_backup_needs_one_host_that_has_the_disk),
        TEST(a_disk_is_backed_up_once_at_a_time),
        TEST(a_lost_host_ends_its_backups),
        TEST(a_host_that_connects_anew_displaces_its_old_line),
        TEST(a_console_that_goes_away_cancels_its_backup),
        TEST(progress_reaches_the_console),
        TEST(a_hello_is_checked),
        TEST(a_session_begins_with_a_hello),
        TEST(a_lack_of_memory_ends_a_call_and_nothing_else),
        TEST(one_host_cannot_take_all_the_calls),
        TEST(each_listener_serves_its_own_methods_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
