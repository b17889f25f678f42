/* tests/service_repository_test.c: what consoles may ask of the repository itself: how it stands, that it be read through, that its
 * caches be made anew; and that nobody else may. */
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "coordinator/store/pack_file.h"
#include "format/record.h"
#include "tests/service_world.h"
#include "tests/support/test.h"

enum { BLOCKS = 20, HURT = 5 };

static const ProtobufCServiceDescriptor *const console = &tidemark__v1__console__descriptor;

/* A point of BLOCKS blocks. */
static struct id back_up(struct service_world *world, struct world_disk *disk)
{
    struct client *session = world_connect(world, PEER_AGENT);

    *disk = world_disk_new(BLOCKS);
    for (uint64_t block = 0; block < BLOCKS; block++)
        world_disk_fill(disk, block, block + 1);

    struct id point = world_back_up(world, session, disk, NULL);

    client_drop(session);
    return point;
}

/* ---- Status ---------------------------------------------------------------------------------- */

static Tidemark__V1__RepositoryStatusAnswer *ask_status(struct service_world *world)
{
    Tidemark__V1__RepositoryStatusRequest request = TIDEMARK__V1__REPOSITORY_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer =
        client_ask(world, PEER_CONSOLE, console, "RepositoryStatus", &request.base, STATUS_OK, "");

    assert_non_null(answer);
    return (Tidemark__V1__RepositoryStatusAnswer *)answer;
}

static void the_status_counts_what_is_there(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;

    (void)back_up(world, &disk);

    Tidemark__V1__RepositoryStatusAnswer *answer = ask_status(world);

    assert_int_equal(answer->points, 1);
    assert_int_equal(answer->trashed, 0);
    assert_int_equal(answer->data_packs, 1);
    assert_int_equal(answer->meta_packs, 1);
    assert_true(answer->data_bytes > 0);
    assert_true(answer->log_entries > 0);
    assert_int_equal(answer->domains, 1);
    assert_int_equal(answer->missing_packs, 0);
    assert_int_equal(answer->proved_us, 0);
    assert_false(answer->rolled_back);
    rpc_message_free(&answer->base);
    world_disk_free(&disk);
}

/* ---- Check ----------------------------------------------------------------------------------- */

struct checked {
    uint64_t findings, losses;
    uint64_t number;         /* of the last finding */
    char text[80];           /* the same */
    uint64_t offset, length; /* of the last loss's first range */
    char vm[80], host[80], name[80];
    struct id point;
    uint64_t packs, hurt_points, bytes;
    bool caches_wrong;
    char log[200];
};

static void take_event(struct checked *checked, const Tidemark__V1__RepositoryCheckEvent *event)
{
    if (event->kind_case == TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_FINDING) {
        checked->findings++;
        checked->number = event->finding->number;
        assert_true(text_format(checked->text, sizeof(checked->text), "%s", event->finding->text));
    } else if (event->kind_case == TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_LOSS) {
        const Tidemark__V1__RepositoryCheckLoss *loss = event->loss;

        checked->losses++;
        assert_int_equal(loss->n_ranges, 1);
        checked->offset = loss->ranges[0]->offset;
        checked->length = loss->ranges[0]->length;
        assert_true(text_format(checked->vm, sizeof(checked->vm), "%s", loss->vm));
        assert_true(text_format(checked->host, sizeof(checked->host), "%s", loss->host));
        assert_true(text_format(checked->name, sizeof(checked->name), "%s", loss->name));
        assert_int_equal(loss->point.len, ID_SIZE);
        memcpy(checked->point.bytes, loss->point.data, ID_SIZE);
    } else if (event->kind_case == TIDEMARK__V1__REPOSITORY_CHECK_EVENT__KIND_DONE) {
        assert_int_equal(event->done->findings, checked->findings);
        assert_int_equal(event->done->losses, checked->losses);
        checked->packs = event->done->packs;
        checked->bytes = event->done->bytes;
        checked->hurt_points = event->done->hurt_points;
        checked->caches_wrong = event->done->caches_wrong;
        assert_true(text_format(checked->log, sizeof(checked->log), "%s", event->done->log));
    }
}

static struct client *start_check(struct service_world *world, bool keyless)
{
    struct client *client = client_open(world, PEER_CONSOLE, console, "RepositoryCheck");
    Tidemark__V1__RepositoryCheckRequest request = TIDEMARK__V1__REPOSITORY_CHECK_REQUEST__INIT;

    request.keyless = keyless;
    assert_true(client_send(client, &request.base));
    return client;
}

static struct checked check(struct service_world *world, bool keyless)
{
    struct client *client = start_check(world, keyless);
    struct checked checked = {0};
    ProtobufCMessage *message = NULL;

    while ((message = client_receive(client)) != NULL) {
        take_event(&checked, (Tidemark__V1__RepositoryCheckEvent *)message);
        rpc_message_free(message);
    }
    client_ends(client, STATUS_OK, "");
    assert_true(checked.packs > 0);
    return checked;
}

/* Flips a bit of the record of block HURT. Its number. */
static uint64_t damage(struct service_world *world, const struct world_disk *disk)
{
    struct id id = world_block_id(world, disk, HURT);
    struct place place = {0};
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];
    uint64_t number = 0;
    uint8_t byte = 0;
    struct error err = {0};

    ASSERT_OK(store_find(world->store, store_default_domain(world->store), &id, 1, &number, &err),
              &err);
    ASSERT_OK(store_places(world->store, &number, 1, &place, &err), &err);
    pack_path(&place.pack, PACK_DATA, path);
    ASSERT_OK(fs_open(world->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_read_exactly_at(file, place.offset + RECORD_HEADER_SIZE, &byte, 1, &err), &err);
    byte ^= 1;
    ASSERT_OK(fs_write_at(file, place.offset + RECORD_HEADER_SIZE, slice_of(&byte, 1), &err), &err);
    fs_close(file);
    return number;
}

static void a_check_of_a_sound_repository_finds_nothing(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;

    (void)back_up(world, &disk);
    for (int keyless = 0; keyless < 2; keyless++) {
        struct checked checked = check(world, keyless == 1);

        assert_int_equal(checked.findings, 0);
        assert_int_equal(checked.packs, 2);
        assert_true(checked.bytes > 0);
        assert_false(checked.caches_wrong);
        assert_string_equal(checked.log, "");
    }
    world_disk_free(&disk);
}

static void a_check_names_point_host_disk_and_range(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;
    struct id point = back_up(world, &disk);
    uint64_t number = damage(world, &disk);

    for (int keyless = 0; keyless < 2; keyless++) {
        struct checked checked = check(world, keyless == 1);

        assert_int_equal(checked.findings, 1);
        assert_int_equal(checked.number, number);
        assert_string_equal(checked.text, "its content is damaged");
        assert_int_equal(checked.losses, 1);
        assert_int_equal(checked.hurt_points, 1);
        assert_int_equal(checked.offset, HURT * WORLD_BLOCK_SIZE);
        assert_int_equal(checked.length, WORLD_BLOCK_SIZE);
        assert_string_equal(checked.host, "hv-01");
        assert_string_equal(checked.vm, "d1");
        assert_string_equal(checked.name, "d1");
        assert_true(id_equal(&checked.point, &point));
    }
    world_disk_free(&disk);
}

static void a_check_is_what_the_status_tells_of(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;

    (void)back_up(world, &disk);
    service_world_restart(world); /* its packs are sealed */
    (void)check(world, false);

    Tidemark__V1__RepositoryStatusAnswer *answer = ask_status(world);

    assert_int_equal(answer->proved_packs, 2);
    assert_true(answer->proved_us != 0);
    assert_int_equal(answer->damaged_packs, 0);
    rpc_message_free(&answer->base);
    (void)damage(world, &disk);
    (void)check(world, true);
    answer = ask_status(world);
    assert_int_equal(answer->damaged_packs, 1);
    rpc_message_free(&answer->base);
    world_disk_free(&disk);
}

static void a_check_that_is_given_up_leaves_the_service_whole(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;

    (void)back_up(world, &disk);
    client_drop(start_check(world, false));
    assert_int_equal(check(world, false).findings, 0);
    world_disk_free(&disk);
}

static void ask_what_needs_no_store(struct service_world *world)
{
    struct client *client = client_open(world, PEER_CONSOLE, console, "Backup");
    Tidemark__V1__BackupRequest request = TIDEMARK__V1__BACKUP_REQUEST__INIT;
    char disk[] = "d1";
    char host[] = "hv-99";

    request.disk = disk;
    request.host = host;
    assert_true(client_send(client, &request.base));
    client_ends(client, STATUS_UNAVAILABLE, "host hv-99 is not connected");
}

static void a_second_check_is_refused_while_one_runs(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;
    struct client *first = NULL;
    ProtobufCMessage *message = NULL;

    (void)back_up(world, &disk);
    faults_arm_point(world->faults, "fs.read", 1, FAULT_STALL);
    first = start_check(world, false);
    while (faults_hits(world->faults, "fs.read") == 0)
        ask_what_needs_no_store(
            world); /* the loop is this thread's: it runs while something is awaited */
    faults_await_stall(world->faults);
    client_ends(start_check(world, false), STATUS_PRECONDITION,
                "another check of the repository runs already");
    faults_arm(world->faults, 0, 0);
    faults_release(world->faults);
    while ((message = client_receive(first)) != NULL)
        rpc_message_free(message);
    client_ends(first, STATUS_OK, "");
    assert_int_equal(check(world, false).findings, 0);
    world_disk_free(&disk);
}

/* ---- Rebuild --------------------------------------------------------------------------------- */

static void rebuild(struct service_world *world)
{
    struct client *client = client_open(world, PEER_CONSOLE, console, "RepositoryRebuild");
    Tidemark__V1__RepositoryRebuildRequest request = TIDEMARK__V1__REPOSITORY_REBUILD_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    bool done = false;

    assert_true(client_send(client, &request.base));
    while ((message = client_receive(client)) != NULL) {
        const Tidemark__V1__RepositoryRebuildEvent *event =
            (Tidemark__V1__RepositoryRebuildEvent *)message;

        if (event->kind_case == TIDEMARK__V1__REPOSITORY_REBUILD_EVENT__KIND_DONE) {
            assert_int_equal(event->done->points, 1);
            done = true;
        }
        rpc_message_free(message);
    }
    client_ends(client, STATUS_OK, "");
    assert_true(done);
}

static void send_end(struct client *upload, struct id root)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadEnd end = TIDEMARK__V1__UPLOAD_END__INIT;

    end.root.data = root.bytes;
    end.root.len = ID_SIZE;
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_END;
    message.end = &end;
    assert_true(client_send(upload, &message.base));
}

static void a_rebuild_heals_caches_that_lost_everything(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;
    struct id point = back_up(world, &disk);
    struct error err = {0};

    ASSERT_OK(world->index->ops->clear(world->index, &err), &err);
    assert_true(check(world, false).caches_wrong);
    rebuild(world);
    assert_int_equal(check(world, false).findings, 0);
    assert_false(check(world, false).caches_wrong);
    world_export_equals(world, &point, &disk);
    world_disk_free(&disk);
}

static void an_upload_that_a_rebuild_ends_goes_well_when_it_begins_again(void **state)
{
    struct service_world *world = *state;
    struct world_disk disk;
    struct client *session = NULL;
    struct id point;

    (void)back_up(world, &disk);
    session = world_connect(world, PEER_AGENT);

    struct world_task task = world_begin(world, session, "d2");
    struct client *upload = world_upload_open(&task, PEER_AGENT, &disk, NULL);

    rpc_message_free(client_receive(upload));
    rebuild(world);
    send_end(upload, world_disk_root(world, &disk));
    client_ends(upload, STATUS_ABORTED, "start the backup again");
    world_end(&task, slice_of(NULL, 0), "let go");
    world_disk_fill(&disk, 3, 99);
    point = world_back_up(world, session, &disk, NULL);
    world_export_equals(world, &point, &disk);
    client_drop(session);
    world_disk_free(&disk);
}

/* ---- Who may --------------------------------------------------------------------------------- */

static void agents_may_ask_none_of_it(void **state)
{
    static const char *const methods[] = {"RepositoryStatus", "RepositoryRebuild",
                                          "RepositoryCheck"};
    struct service_world *world = *state;

    for (size_t i = 0; i < 3; i++) {
        struct client *client = client_open(world, PEER_AGENT, console, methods[i]);

        client_ends(client, STATUS_UNSUPPORTED, "");
    }
}

#define WITH_WORLD(TEST) \
    cmocka_unit_test_setup_teardown(TEST, service_world_set_up, service_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(the_status_counts_what_is_there),
        WITH_WORLD(a_check_of_a_sound_repository_finds_nothing),
        WITH_WORLD(a_check_names_point_host_disk_and_range),
        WITH_WORLD(a_check_is_what_the_status_tells_of),
        WITH_WORLD(a_check_that_is_given_up_leaves_the_service_whole),
        WITH_WORLD(a_second_check_is_refused_while_one_runs),
        WITH_WORLD(a_rebuild_heals_caches_that_lost_everything),
        WITH_WORLD(an_upload_that_a_rebuild_ends_goes_well_when_it_begins_again),
        WITH_WORLD(agents_may_ask_none_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
