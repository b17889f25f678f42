/* tests/service_upload_test.c: uploads by a scripted agent: what they store, and each rule of the stream broken on purpose. */
#include <string.h>

#include "base/text.h"
#include "coordinator/service/upload.h"
#include "coordinator/service/upload_messages.h"
#include "tests/service_world.h"
#include "tests/support/double_heap.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { BLOCKS = 300 };

static struct world_disk some_disk(void)
{
    struct world_disk disk = world_disk_new(BLOCKS);

    for (uint64_t block = 0; block < BLOCKS; block += block % 7 == 3 ? 5 : 1) /* with holes */
        world_disk_fill(&disk, block, block + 1);
    world_disk_fill(&disk, BLOCKS - 1, 77); /* the short one */
    return disk;
}

/* Without any hole. */
static struct world_disk full_disk(uint64_t count)
{
    struct world_disk disk = world_disk_new(count);

    for (uint64_t block = 0; block < count; block++)
        world_disk_fill(&disk, block, block + 1);
    return disk;
}

static uint64_t plain_bytes(const struct world_disk *disk)
{
    uint64_t sum = 0;

    for (uint64_t block = 0; block < disk->count; block++)
        if (!slice_is_zero(world_disk_block(disk, block)))
            sum += world_disk_block(disk, block).size;
    return sum;
}

/* ---- What is stored -------------------------------------------------------------------------- */

static void a_whole_disk_is_stored_once(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct world_task task = world_begin(world, session, "d1");
    struct id root = world_disk_root(world, &disk);
    struct world_uploaded first = world_upload(&task, &disk, NULL, NULL);
    struct world_uploaded second;

    assert_true(id_equal(&first.root, &root));
    assert_int_equal(first.new_blocks, plain_bytes(&disk));
    second = world_upload(&task, &disk, NULL, NULL);
    assert_int_equal(second.wanted, 0);
    assert_int_equal(second.new_blocks, 0);
    assert_int_equal(second.stored, 0);
    world_end(&task, slice_of(NULL, 0), "enough");
    world_disk_free(&disk);
    client_drop(session);
}

static void an_incremental_upload_sends_only_what_changed(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    bool changed[BLOCKS] = {false};
    struct id root = world_disk_root(world, &disk);
    struct world_task task;
    struct world_uploaded uploaded;

    (void)world_back_up(world, session, &disk, NULL);
    world_disk_fill(&disk, 17, 1001);
    world_disk_fill(&disk, 130, 0); /* a hole now */
    world_disk_fill(&disk, BLOCKS - 1, 1002);
    changed[17] = changed[130] = changed[BLOCKS - 1] = true;
    task = world_begin(world, session, "d1");
    uploaded = world_upload(&task, &disk, changed, &root);
    root = world_disk_root(world, &disk);
    assert_true(id_equal(&uploaded.root, &root));
    assert_int_equal(uploaded.wanted, 2);
    assert_int_equal(uploaded.new_blocks, WORLD_BLOCK_SIZE + 512);
    world_end(&task, slice_of(NULL, 0), "enough");
    world_disk_free(&disk);
    client_drop(session);
}

/* ---- The rules ------------------------------------------------------------------------------- */

/* One upload that is open, and another one beside it, which nothing of the first may disturb. */
struct rules {
    struct service_world *world;
    struct client *session;
    struct world_task task, beside;
    struct world_disk disk;
    struct client *upload;
};

static struct rules rules_begin(struct service_world *world)
{
    struct rules rules = {.world = world, .disk = full_disk(32)};

    rules.session = world_connect(world, PEER_AGENT);
    rules.task = world_begin(world, rules.session, "d1");
    rules.beside = world_begin(world, rules.session, "d2");
    rules.upload = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);
    rpc_message_free(client_receive(rules.upload));
    return rules;
}

/* The upload ends with STATUS and TEXT; the one beside it goes well. */
static void rules_end(struct rules *rules, enum status status, const char *text)
{
    client_ends(rules->upload, status, text);
    (void)world_upload(&rules->beside, &rules->disk, NULL, NULL);
    world_end(&rules->task, slice_of(NULL, 0), "broken");
    world_end(&rules->beside, slice_of(NULL, 0), "enough");
    world_disk_free(&rules->disk);
    client_drop(rules->session);
}

/* Offers COUNT blocks from BLOCK on, numbered from SEQ on, with their right ids. */
static void send_offer(struct rules *rules, uint64_t seq, uint64_t block, size_t count)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Offer offer = TIDEMARK__V1__OFFER__INIT;
    uint64_t blocks[UPLOAD_ENTRIES_MAX + 1];
    uint8_t ids[(UPLOAD_ENTRIES_MAX + 1) * ID_SIZE];

    for (size_t i = 0; i < count; i++) {
        struct id id = world_block_id(rules->world, &rules->disk, (block + i) % rules->disk.count);

        blocks[i] = block + i;
        memcpy(ids + i * ID_SIZE, id.bytes, ID_SIZE);
    }
    offer.first_seq = seq;
    offer.blocks = blocks;
    offer.n_blocks = count;
    offer.ids = (ProtobufCBinaryData){.len = count * ID_SIZE, .data = ids};
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER;
    message.offer = &offer;
    (void)client_send(rules->upload, &message.base); /* refused or not: its end tells */
}

/* Sends the content of block BLOCK as that of entry SEQ, COUNT times in one message. */
static void send_blocks(struct rules *rules, uint64_t seq, uint64_t block, size_t count)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Blocks blocks = TIDEMARK__V1__BLOCKS__INIT;
    Tidemark__V1__BlockData data;
    Tidemark__V1__BlockData *pointers[2] = {&data, &data};
    uint8_t bytes[WORLD_BLOCK_SIZE];

    world_pack_block(&rules->disk, block, seq, bytes, &data);
    blocks.n_blocks = count;
    blocks.blocks = pointers;
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS;
    message.blocks = &blocks;
    (void)client_send(rules->upload, &message.base); /* refused or not: its end tells */
}

static void send_end(struct rules *rules, const struct id *root)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadEnd end = TIDEMARK__V1__UPLOAD_END__INIT;
    struct id copy = *root;

    end.root = (ProtobufCBinaryData){.len = ID_SIZE, .data = copy.bytes};
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_END;
    message.end = &end;
    (void)client_send(rules->upload, &message.base); /* refused or not: its end tells */
}

/* Reads the want, in which all or none of the entries are wanted. */
static void receive_want(struct rules *rules)
{
    Tidemark__V1__UploadAnswer *answer =
        (Tidemark__V1__UploadAnswer *)client_receive(rules->upload);

    assert_non_null(answer);
    assert_int_equal(answer->kind_case, TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT);
    rpc_message_free(&answer->base);
}

static void an_offer_out_of_order_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 10, 2);
    receive_want(&rules);
    send_offer(&rules, 2, 11, 1);
    rules_end(&rules, STATUS_INVALID, "block 11 is offered after block 11");
}

static void an_offer_with_a_wrong_number_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 1, 0, 1);
    rules_end(&rules, STATUS_INVALID, "begins with entry 1, the next one is 0");
}

static void an_offer_of_too_many_entries_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, (size_t)UPLOAD_ENTRIES_MAX + 1);
    rules_end(&rules, STATUS_INVALID, "1 to 256 entries, this has 257");
}

static void a_block_with_another_content_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, 1);
    receive_want(&rules);
    send_blocks(&rules, 0, 1, 1);
    rules_end(&rules, STATUS_CORRUPT, "block 0: what was sent has another id than was offered");
}

static void a_block_that_nobody_wants_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, 1);
    receive_want(&rules);
    send_blocks(&rules, 1, 1, 1);
    rules_end(&rules, STATUS_INVALID, "the block of entry 1 is not wanted");
}

static void a_known_block_that_is_sent_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    (void)world_upload(&rules.beside, &rules.disk, NULL, NULL);
    send_offer(&rules, 0, 0, 2);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the block of entry 0 is not wanted");
}

static void a_block_that_is_sent_twice_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, 2);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 2);
    rules_end(&rules, STATUS_INVALID, "the block of entry 0 was sent already");
}

static void a_block_before_its_want_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);

    send_blocks(&rules, 0, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the block of entry 0 is not wanted");
}

static void an_end_with_blocks_outstanding_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);
    struct id root = {{1}};

    send_offer(&rules, 0, 0, 1);
    receive_want(&rules);
    send_end(&rules, &root);
    rules_end(&rules, STATUS_INVALID, "the upload ends while wanted blocks");
}

static void another_root_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);
    struct id root = {{1}};

    send_offer(&rules, 0, 0, 1);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    send_end(&rules, &root);
    rules_end(&rules, STATUS_CORRUPT, "the root that the host has computed");
}

static void a_second_open_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadOpen again = TIDEMARK__V1__UPLOAD_OPEN__INIT;

    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN;
    message.open = &again;
    (void)client_send(rules.upload, &message.base); /* its end tells */
    rules_end(&rules, STATUS_INVALID, "one open, then offers and blocks, then one end");
}

static void a_second_upload_of_the_same_task_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);
    struct client *second = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);

    client_ends(second, STATUS_PRECONDITION, "an upload of this task is running already");
    send_offer(&rules, 1, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the next one is 0");
}

static void a_task_of_another_host_is_refused(void **state)
{
    struct rules rules = rules_begin(*state);
    struct client *stranger = world_upload_open(&rules.task, PEER_OTHER, &rules.disk, NULL);

    client_ends(stranger, STATUS_DENIED, "host hv-02 has no such task");
    send_offer(&rules, 1, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the next one is 0");
}

static void a_parent_that_the_task_has_not_is_refused(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = some_disk();
    struct world_task task = world_begin(world, session, "d1");
    struct id root = {{9}};

    client_ends(world_upload_open(&task, PEER_AGENT, &disk, &root), STATUS_INVALID,
                "that is not the root of the task's parent");
    world_end(&task, slice_of(NULL, 0), "broken");
    world_disk_free(&disk);
    client_drop(session);
}

static void offers_far_ahead_of_their_blocks_are_refused(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct rules rules = {.world = world, .session = session};
    uint64_t count = (uint64_t)UPLOAD_INCOMPLETE_MAX + UPLOAD_UNDECIDED_MAX + 2;

    rules.disk = full_disk(count);
    rules.task = world_begin(world, session, "d1");
    rules.beside = world_begin(world, session, "d2");
    rules.upload = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);
    rpc_message_free(client_receive(rules.upload));
    for (uint64_t i = 0; i < count - 2; i++) {
        send_offer(&rules, i, i, 1);
        receive_want(&rules);
    }
    send_offer(&rules, count - 2, count - 2, 1);
    rules_end(&rules, STATUS_INVALID, "too many offers wait for blocks that were not sent");
}

static void offers_ahead_of_their_wants_are_refused(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);
    char text[64];

    /* The store's thread waits in the first look-up, so that nothing is decided meanwhile. */
    faults_arm_point(world->faults, "service.after_offer", 1, FAULT_STALL);
    for (uint64_t i = 0; i <= UPLOAD_UNDECIDED_MAX; i++)
        send_offer(&rules, i, i, 1);
    faults_await_stall(world->faults);
    assert_null(client_receive(rules.upload));
    faults_release(world->faults);
    assert_true(text_format(text, sizeof(text), "more than %d offers are sent ahead",
                            UPLOAD_UNDECIDED_MAX));
    rules_end(&rules, STATUS_INVALID, text);
}

/* ---- What goes wrong ------------------------------------------------------------------------- */

static void a_full_file_system_ends_the_upload_and_later_it_goes_well(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);

    send_offer(&rules, 0, 0, 1);
    receive_want(&rules);
    faults_arm_point(world->faults, "fs.write", 1, FAULT_FULL);
    send_blocks(&rules, 0, 0, 1);
    client_ends(rules.upload, STATUS_EXHAUSTED,
                "the repository's file system is full; start the backup again when there is room");
    assert_true(faults_fired(world->faults));
    faults_arm(world->faults, 0, 0);
    rules.upload = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);
    rpc_message_free(client_receive(rules.upload));
    send_offer(&rules, 1, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the next one is 0");
}

/* Commits what was uploaded of DISK in TASK, with ROOT; reads it back. */
static void commit_and_compare(struct world_task *task, const struct world_disk *disk,
                               const struct id *root)
{
    struct statement_disk stated;
    struct statement statement = world_statement(task, disk, &stated, root);
    Tidemark__V1__CommitAnswer *answer =
        world_commit(task, &statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT, PEER_AGENT, STATUS_OK,
                     "");
    struct id point;

    memcpy(point.bytes, answer->point.data, ID_SIZE);
    rpc_message_free(&answer->base);
    world_export_equals(task->world, &point, disk);
}

/* The task of RULES is uploaded anew, committed and read back; both tasks end. */
static void rules_recover(struct rules *rules)
{
    struct world_uploaded uploaded = world_upload(&rules->task, &rules->disk, NULL, NULL);

    commit_and_compare(&rules->task, &rules->disk, &uploaded.root);
    rpc_message_free(&rules->task.command->base);
    client_drop(rules->task.backup);
    world_end(&rules->beside, slice_of(NULL, 0), "enough");
    world_disk_free(&rules->disk);
    client_drop(rules->session);
}

static void no_room_in_the_middle_of_an_upload_and_then_room_again(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);

    send_offer(&rules, 0, 0, 32);
    receive_want(&rules);
    for (uint64_t i = 0; i < 8; i++)
        send_blocks(&rules, i, i, 1);
    fs_memory_set_space(world->fs, 0);
    for (uint64_t i = 8; i < 32; i++)
        send_blocks(&rules, i, i, 1);
    client_ends(rules.upload, STATUS_EXHAUSTED,
                "the repository's file system is full; start the backup again when there is room");
    fs_memory_set_space(world->fs, UINT64_MAX);
    rules_recover(&rules);
}

/* Every write of a commit, one after the other. */
static void no_room_at_the_commit_and_then_room_again(void **state)
{
    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = full_disk(32);
    bool fired = true;
    uint64_t n = 0;

    for (n = 1; fired; n++) {
        struct world_task task = world_begin(world, session, "d1");
        struct world_uploaded uploaded = world_upload(&task, &disk, NULL, NULL);
        struct statement_disk stated;
        struct statement statement = world_statement(&task, &disk, &stated, &uploaded.root);
        struct client *client = NULL;
        ProtobufCMessage *answer = NULL;

        faults_arm_point(world->faults, "fs.write", n, FAULT_FULL);
        client = world_commit_start(&task, &statement);
        answer = client_receive(client);
        fired = faults_fired(world->faults);
        faults_arm(world->faults, 0, 0);
        if (answer == NULL) {
            assert_true(fired);
            client_ends(client, STATUS_EXHAUSTED, "the repository's file system is full");
            commit_and_compare(&task, &disk, &uploaded.root);
        } else {
            client_ends(client, STATUS_OK, "");
        }
        rpc_message_free(answer);
        rpc_message_free(&task.command->base);
        client_drop(task.backup);
        client_drop(session); /* so that the task ends */
        session = world_connect(world, PEER_AGENT);
    }
    assert_true(n > 3); /* body, envelope, entry */
    assert_int_equal(world_verify(world, "").findings, 0);
    world_disk_free(&disk);
    client_drop(session);
}

/* The task beside uploads another disk and commits it, and the sync fails: what was not durable is let go. */
static void lose_a_sync(struct rules *rules)
{
    struct service_world *world = rules->world;
    struct world_disk other = full_disk(8);
    struct statement_disk stated;
    struct statement statement;
    struct world_uploaded uploaded;

    world_disk_fill(&other, 0, 4711);
    uploaded = world_upload(&rules->beside, &other, NULL, NULL);
    statement = world_statement(&rules->beside, &other, &stated, &uploaded.root);
    faults_arm_point(world->faults, "fs.sync", 1, FAULT_FAIL);
    assert_null(world_commit(&rules->beside, &statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, STATUS_ABORTED, ""));
    assert_true(faults_fired(world->faults));
    faults_arm(world->faults, 0, 0);
    assert_null(world_commit(&rules->beside, &statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, STATUS_ABORTED, "start the backup again"));
    world_disk_free(&other);
}

static const char *const lost = "the repository had to let go of what it was sent: its disk has "
                                "failed, or its caches were made anew; start the backup again";

static void a_lost_sync_ends_an_upload_at_its_next_offer(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, 16);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    lose_a_sync(&rules);
    send_offer(&rules, 16, 16, 16);
    client_ends(rules.upload, STATUS_ABORTED, lost);
    rules_recover(&rules);
}

static void a_lost_sync_ends_an_upload_at_its_next_block(void **state)
{
    struct rules rules = rules_begin(*state);

    send_offer(&rules, 0, 0, 16);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    lose_a_sync(&rules);
    send_blocks(&rules, 1, 1, 1);
    client_ends(rules.upload, STATUS_ABORTED, lost);
    rules_recover(&rules);
}

static void a_lost_sync_ends_an_upload_at_its_end(void **state)
{
    struct rules rules = rules_begin(*state);
    struct id root = world_disk_root(rules.world, &rules.disk);

    send_offer(&rules, 0, 0, 32);
    receive_want(&rules);
    for (uint64_t i = 0; i < 32; i++)
        send_blocks(&rules, i, i, 1);
    lose_a_sync(&rules);
    send_end(&rules, &root);
    client_ends(rules.upload, STATUS_ABORTED, lost);
    rules_recover(&rules);
}

static void a_lost_sync_voids_an_upload_that_is_not_committed(void **state)
{
    struct rules rules = rules_begin(*state);
    struct world_uploaded uploaded;
    struct statement_disk stated;
    struct statement statement;

    send_offer(&rules, 1, 0, 1);
    client_ends(rules.upload, STATUS_INVALID, "the next one is 0");
    uploaded = world_upload(&rules.task, &rules.disk, NULL, NULL);
    statement = world_statement(&rules.task, &rules.disk, &stated, &uploaded.root);
    lose_a_sync(&rules);
    assert_null(world_commit(&rules.task, &statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT,
                             PEER_AGENT, STATUS_ABORTED, lost));
    rules_recover(&rules);
}

static void a_lost_connection_in_the_middle_leaves_nothing_behind(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);

    send_offer(&rules, 0, 0, 16);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    client_drop(rules.upload);
    rules.upload = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);
    while (true) { /* the coordinator may not have heard of the end yet */
        ProtobufCMessage *opened = client_receive(rules.upload);

        rpc_message_free(opened);
        if (opened != NULL)
            break;
        client_ends(rules.upload, STATUS_PRECONDITION, "is running already");
        rules.upload = world_upload_open(&rules.task, PEER_AGENT, &rules.disk, NULL);
    }
    send_offer(&rules, 1, 0, 1);
    rules_end(&rules, STATUS_INVALID, "the next one is 0");
}

static void the_end_of_a_task_ends_its_upload(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);

    send_offer(&rules, 0, 0, 16);
    receive_want(&rules);
    world_end(&rules.task, slice_of(NULL, 0), "given up");
    client_ends(rules.upload, STATUS_CANCELLED, "the task is over");
    (void)world_upload(&rules.beside, &rules.disk, NULL, NULL);
    world_end(&rules.beside, slice_of(NULL, 0), "enough");
    world_disk_free(&rules.disk);
    client_drop(rules.session);
}

static void the_service_closes_under_a_running_upload(void **state)
{
    struct service_world *world = *state;
    struct rules rules = rules_begin(world);
    struct client *const clients[] = {rules.upload, rules.task.backup, rules.beside.backup,
                                      rules.session};

    send_offer(&rules, 0, 0, 16);
    receive_want(&rules);
    send_blocks(&rules, 0, 0, 1);
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
        client_drop(clients[i]);
    service_world_restart(world);
    rpc_message_free(&rules.task.command->base);
    rpc_message_free(&rules.beside.command->base);
    world_disk_free(&rules.disk);
}

/* 257 leaves of the parent's tree, and what is above them: more than one message holds. */
static void a_want_with_many_nodes_goes_on_in_the_next_message(void **state)
{
    enum { LEAF = 128, LEAVES = 300 };

    struct service_world *world = *state;
    struct client *session = world_connect(world, PEER_AGENT);
    struct world_disk disk = world_disk_new((uint64_t)LEAF * LEAVES);
    bool *changed = double_new(disk.count, sizeof(*changed));
    struct id root;
    struct world_task task;
    struct world_uploaded uploaded;

    for (uint64_t leaf = 0; leaf < LEAVES; leaf++) {
        world_disk_fill(&disk, leaf * LEAF, leaf + 1);
        changed[leaf * LEAF + 1] = true;
    }
    world->offer_entries = UPLOAD_ENTRIES_MAX;
    root = world_disk_root(world, &disk);
    (void)world_back_up(world, session, &disk, NULL);
    for (uint64_t leaf = 0; leaf < LEAVES; leaf++)
        world_disk_fill(&disk, leaf * LEAF + 1, 1000 + leaf);
    task = world_begin(world, session, "d1");
    uploaded = world_upload(&task, &disk, changed, &root);
    root = world_disk_root(world, &disk);
    assert_true(id_equal(&uploaded.root, &root));
    assert_int_equal(uploaded.wanted, LEAVES);
    assert_true(uploaded.continued > 0);
    commit_and_compare(&task, &disk, &uploaded.root);
    rpc_message_free(&task.command->base);
    client_drop(task.backup);
    double_free(changed);
    world_disk_free(&disk);
    client_drop(session);
}

#define TEST(NAME) \
    cmocka_unit_test_setup_teardown(NAME, service_world_set_up, service_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_disk_is_stored_once),
        TEST(an_incremental_upload_sends_only_what_changed),
        TEST(an_offer_out_of_order_is_refused),
        TEST(an_offer_with_a_wrong_number_is_refused),
        TEST(an_offer_of_too_many_entries_is_refused),
        TEST(a_block_with_another_content_is_refused),
        TEST(a_block_that_nobody_wants_is_refused),
        TEST(a_known_block_that_is_sent_is_refused),
        TEST(a_block_that_is_sent_twice_is_refused),
        TEST(a_block_before_its_want_is_refused),
        TEST(an_end_with_blocks_outstanding_is_refused),
        TEST(another_root_is_refused),
        TEST(a_second_open_is_refused),
        TEST(a_second_upload_of_the_same_task_is_refused),
        TEST(a_task_of_another_host_is_refused),
        TEST(a_parent_that_the_task_has_not_is_refused),
        TEST(offers_far_ahead_of_their_blocks_are_refused),
        TEST(offers_ahead_of_their_wants_are_refused),
        TEST(a_full_file_system_ends_the_upload_and_later_it_goes_well),
        TEST(no_room_in_the_middle_of_an_upload_and_then_room_again),
        TEST(no_room_at_the_commit_and_then_room_again),
        TEST(a_lost_sync_ends_an_upload_at_its_next_offer),
        TEST(a_lost_sync_ends_an_upload_at_its_next_block),
        TEST(a_lost_sync_ends_an_upload_at_its_end),
        TEST(a_lost_sync_voids_an_upload_that_is_not_committed),
        TEST(a_want_with_many_nodes_goes_on_in_the_next_message),
        TEST(a_lost_connection_in_the_middle_leaves_nothing_behind),
        TEST(the_end_of_a_task_ends_its_upload),
        TEST(the_service_closes_under_a_running_upload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
