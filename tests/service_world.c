#include "tests/service_world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "format/codec.h"
#include "format/manifest.h"
#include "format/tree.h"
#include "tests/support/double_heap.h"
#include "tests/support/fs_memory.h"
#include "tests/support/index_memory.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { OFFER_ENTRIES_MAX = 256, NODES_MAX = 4096 };

/* 2026-11-23: inside the certificates' time. */
static const int64_t today_us = INT64_C(1795392000000000);

/* ---- The world ------------------------------------------------------------------------------- */

static void write_credentials(struct service_world *world, const char *dir,
                              const struct test_ca *ca, const char *name,
                              struct credentials *ret_credentials)
{
    char path[TEMP_FOLDER_SIZE + 32];
    struct error err = {0};

    assert_true(text_format(path, sizeof(path), "%s/%s", world->folder, dir));
    test_certificates_write(path, ca, ca, name, TEST_VALID);
    ASSERT_OK(credentials_load(path, ret_credentials, &err), &err);
}

static void make_credentials(struct service_world *world)
{
    struct test_ca *agents = test_certificates_ca_new("agents");
    struct test_ca *consoles = test_certificates_ca_new("consoles");

    write_credentials(world, "agents", agents, "coordinator", &world->agents);
    write_credentials(world, "consoles", consoles, "coordinator", &world->consoles);
    write_credentials(world, "hv-01", agents, "hv-01", &world->peers[PEER_AGENT]);
    write_credentials(world, "hv-02", agents, "hv-02", &world->peers[PEER_OTHER]);
    write_credentials(world, "op", consoles, "op", &world->peers[PEER_CONSOLE]);
    test_certificates_ca_free(agents);
    test_certificates_ca_free(consoles);
}

static struct store_options store_options_of(struct service_world *world)
{
    return (struct store_options){.fs = world->fs,
                                  .index = world->index,
                                  .random = random_system(),
                                  .clock = clock_manual_source(world->clock),
                                  .log = &world->log};
}

static struct rpc_channel *new_channel(struct service_world *world, enum world_peer peer)
{
    char address[64];
    struct rpc_channel *channel = NULL;
    struct error err = {0};
    struct rpc_channel_options options = {.address = address,
                                          .credentials = &world->peers[peer],
                                          .message_max = RPC_DATA_MESSAGE_MAX,
                                          .memory_max = (size_t)64 * 1024 * 1024};
    unsigned port = peer == PEER_CONSOLE ? service_consoles_port(world->service)
                                         : service_agents_port(world->service);

    assert_true(text_format(address, sizeof(address), "127.0.0.1:%u", port));
    ASSERT_OK(rpc_channel_new(world->rpc, &options, &channel, &err), &err);
    return channel;
}

static void start(struct service_world *world)
{
    struct error err = {0};
    struct store_options store = store_options_of(world);
    struct service_options options = {.loop = world->loop,
                                      .rpc = world->rpc,
                                      .random = random_system(),
                                      .clock = clock_manual_source(world->clock),
                                      .log = &world->log,
                                      .agents = &world->agents,
                                      .consoles = &world->consoles,
                                      .agents_address = "127.0.0.1:0",
                                      .consoles_address = "127.0.0.1:0",
                                      .workers = 2};

    ASSERT_OK(store_open(&store, &world->key, &world->store, &err), &err);
    options.store = world->store;
    ASSERT_OK(service_new(&options, &world->service, &err), &err);
    ASSERT_OK(service_listen(world->service, &err), &err);
    for (int peer = 0; peer < PEERS; peer++) {
        world->channels[peer] = new_channel(world, (enum world_peer)peer);
        world->data[peer] = new_channel(world, (enum world_peer)peer);
    }
}

static void closed(struct loop_task *task)
{
    struct service_world *world =
        (struct service_world *)((char *)task - offsetof(struct service_world, closed));

    world->closing--;
    loop_stop(world->loop);
}

static void await_closed(struct service_world *world)
{
    struct error err = {0};

    while (world->closing > 0)
        ASSERT_OK(loop_run(world->loop, &err), &err);
}

static void stop(struct service_world *world)
{
    world->closed.run = closed;
    while (world->clients != NULL)
        client_drop(world->clients);
    for (int peer = 0; peer < PEERS; peer++) {
        world->closing = 1;
        rpc_channel_close(world->channels[peer], &world->closed);
        await_closed(world);
        world->closing = 1;
        rpc_channel_close(world->data[peer], &world->closed);
        await_closed(world);
    }
    world->closing = 1;
    service_close(world->service, &world->closed);
    await_closed(world);
    service_free(world->service);
    store_close(world->store);
}

void service_world_restart(struct service_world *world)
{
    stop(world);
    start(world);
}

int service_world_set_up(void **state)
{
    struct service_world *world = double_new(1, sizeof(*world));
    struct error err = {0};
    struct store_options options = {0};

    world->offer_entries = 16;
    temp_folder_make(world->folder);
    world->faults = faults_new();
    assert_non_null(world->faults);
    faults_install(world->faults);
    world->clock = clock_manual_new();
    clock_manual_set_wall_us(world->clock, today_us);
    ASSERT_OK(loop_new(clock_manual_source(world->clock), &world->loop, &err), &err);
    world->log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC); /* allowed: a device, not a file */
    assert_true(world->log_fd >= 0);
    ASSERT_OK(log_sink_new(world->log_fd, LOG_TEXT, LOG_DEBUG, clock_manual_source(world->clock),
                           &world->sink, &err),
              &err);
    world->log = log_of(world->sink);
    make_credentials(world);
    ASSERT_OK(fs_memory_new(&world->fs, &err), &err);
    world->index = index_memory_new();
    memset(world->key.bytes, 7, sizeof(world->key.bytes));
    options = store_options_of(world);
    ASSERT_OK(store_create(&options, &world->key, &err), &err);
    ASSERT_OK(rpc_new(world->loop, 1, &world->log, &world->rpc, &err), &err);
    start(world);
    *state = world;
    return 0;
}

int service_world_tear_down(void **state)
{
    struct service_world *world = *state;

    stop(world);
    rpc_free(world->rpc);
    world->index->ops->free(world->index);
    fs_free(world->fs);
    credentials_deinit(&world->agents);
    credentials_deinit(&world->consoles);
    for (int peer = 0; peer < PEERS; peer++)
        credentials_deinit(&world->peers[peer]);
    loop_free(world->loop);
    log_sink_free(world->sink);
    (void)close(world->log_fd);
    clock_manual_free(world->clock);
    faults_install(NULL);
    faults_free(world->faults);
    temp_folder_remove(world->folder);
    double_free(world);
    return 0;
}

/* ---- One call -------------------------------------------------------------------------------- */

static void call_ended(void *owner, struct rpc_call *call, enum status status,
                       const struct error *err)
{
    struct client *client = owner;

    (void)call;
    client->ended = true;
    client->end_status = status;
    if (err != NULL)
        client->err = *err;
    loop_stop(client->world->loop);
}

static const struct rpc_call_events events = {.ended = call_ended};

static void read_done(struct rpc_read *read, enum status status, ProtobufCMessage *message,
                      const struct error *err)
{
    struct client *client = (struct client *)((char *)read - offsetof(struct client, read));

    (void)err;
    client->reading = false;
    client->read_status = status;
    client->message = message;
    loop_stop(client->world->loop);
}

static void write_done(struct rpc_write *write, enum status status, const struct error *err)
{
    struct client *client = (struct client *)((char *)write - offsetof(struct client, write));

    (void)err;
    client->writing = false;
    client->write_status = status;
    loop_stop(client->world->loop);
}

/* Until *FLAG is VALUE. */
static void await(struct client *client, const bool *flag, bool value)
{
    struct error err = {0};

    while (*flag != value)
        ASSERT_OK(loop_run(client->world->loop, &err), &err);
}

struct client *client_open(struct service_world *world, enum world_peer peer,
                           const ProtobufCServiceDescriptor *service, const char *method)
{
    struct client *client = double_new(1, sizeof(*client));
    struct rpc_method what = {service, method};
    struct rpc_channel *channel =
        service == &tidemark__v1__data__descriptor ? world->data[peer] : world->channels[peer];
    struct error err = {0};

    client->world = world;
    client->next = world->clients;
    world->clients = client;
    ASSERT_OK(rpc_call_open(channel, what, 0, &events, client, &client->call, &err), &err);
    return client;
}

bool client_send(struct client *client, const ProtobufCMessage *message)
{
    if (client->ended)
        return false;
    client->writing = true;
    client->write = (struct rpc_write){.done = write_done};
    rpc_write_start(client->call, &client->write, message);
    await(client, &client->writing, false);
    return client->write_status == STATUS_OK;
}

ProtobufCMessage *client_receive(struct client *client)
{
    if (client->ended)
        return NULL;
    client->reading = true;
    client->message = NULL;
    client->read = (struct rpc_read){.done = read_done};
    rpc_read_start(client->call, &client->read);
    await(client, &client->reading, false);
    return client->message;
}

static void client_free(struct client *client)
{
    struct client **at = &client->world->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    rpc_call_free(client->call);
    double_free(client);
}

void client_ends(struct client *client, enum status status, const char *text)
{
    ProtobufCMessage *message = NULL;

    while ((message = client_receive(client)) != NULL)
        rpc_message_free(message);
    await(client, &client->ended, true);
    if (client->end_status != status || strstr(client->err.text, text) == NULL)
        fail_msg("ended with %s: %s, not %s: %s", status_name(client->end_status), client->err.text,
                 status_name(status), text);
    client_free(client);
}

void client_drop(struct client *client)
{
    rpc_call_cancel(client->call);
    await(client, &client->ended, true);
    client_free(client);
}

ProtobufCMessage *client_ask(struct service_world *world, enum world_peer peer,
                             const ProtobufCServiceDescriptor *service, const char *method,
                             const ProtobufCMessage *request, enum status status, const char *text)
{
    struct client *client = client_open(world, peer, service, method);
    ProtobufCMessage *answer = NULL;

    if (client_send(client, request))
        answer = client_receive(client);
    client_ends(client, status, text);
    assert_true((answer != NULL) == (status == STATUS_OK));
    return answer;
}

/* ---- An agent -------------------------------------------------------------------------------- */

struct client *world_connect(struct service_world *world, enum world_peer peer)
{
    struct client *session = client_open(world, peer, &tidemark__v1__agent__descriptor, "Session");
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__AgentHello hello = TIDEMARK__V1__AGENT_HELLO__INIT;
    Tidemark__V1__Version version = TIDEMARK__V1__VERSION__INIT;
    Tidemark__V1__ToAgent *answer = NULL;
    char d1[] = "d1";
    char d2[] = "d2";
    char *disks[] = {d1, d2};

    version.major = 1;
    hello.protocol = &version;
    hello.disks = disks;
    hello.n_disks = 2;
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_HELLO;
    message.hello = &hello;
    assert_true(client_send(session, &message.base));
    answer = (Tidemark__V1__ToAgent *)client_receive(session);
    assert_non_null(answer);
    assert_int_equal(answer->kind_case, TIDEMARK__V1__TO_AGENT__KIND_HELLO);
    assert_int_equal(answer->hello->id_key.len, 32);
    rpc_message_free(&answer->base);
    return session;
}

struct world_task world_begin(struct service_world *world, struct client *session, const char *disk)
{
    struct world_task task = {.world = world, .session = session};
    Tidemark__V1__BackupRequest request = TIDEMARK__V1__BACKUP_REQUEST__INIT;
    char name[16];
    char host[] = "hv-01";

    assert_true(text_format(name, sizeof(name), "%s", disk));
    request.disk = name;
    request.host = host;
    task.backup = client_open(world, PEER_CONSOLE, &tidemark__v1__console__descriptor, "Backup");
    assert_true(client_send(task.backup, &request.base));
    task.command = (Tidemark__V1__ToAgent *)client_receive(session);
    assert_non_null(task.command);
    assert_int_equal(task.command->kind_case, TIDEMARK__V1__TO_AGENT__KIND_BACKUP);
    task.order = task.command->backup;
    assert_string_equal(task.order->disk, disk);
    return task;
}

void world_end(struct world_task *task, struct slice point, const char *failure)
{
    Tidemark__V1__FromAgent message = TIDEMARK__V1__FROM_AGENT__INIT;
    Tidemark__V1__TaskDone done = TIDEMARK__V1__TASK_DONE__INIT;
    Tidemark__V1__Failure why = TIDEMARK__V1__FAILURE__INIT;
    Tidemark__V1__BackupEvent *event = NULL;
    char text[256] = "";
    uint8_t copy[ID_SIZE];

    done.task = task->order->task;
    if (failure != NULL) {
        assert_true(text_format(text, sizeof(text), "%s", failure));
        why.status = STATUS_ABORTED;
        why.text = text;
        done.failure = &why;
    } else {
        assert_int_equal(point.size, sizeof(copy));
        memcpy(copy, point.data, sizeof(copy));
        done.point = (ProtobufCBinaryData){.len = sizeof(copy), .data = copy};
    }
    message.kind_case = TIDEMARK__V1__FROM_AGENT__KIND_DONE;
    message.done = &done;
    assert_true(client_send(task->session, &message.base));
    if (failure == NULL) {
        event = (Tidemark__V1__BackupEvent *)client_receive(task->backup);
        assert_non_null(event);
        assert_int_equal(event->kind_case, TIDEMARK__V1__BACKUP_EVENT__KIND_DONE);
        assert_true(
            slice_equal(slice_of(event->done->point->point.data, event->done->point->point.len),
                        point));
        rpc_message_free(&event->base);
    }
    client_ends(task->backup, failure == NULL ? STATUS_OK : STATUS_ABORTED, text);
    rpc_message_free(&task->command->base);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

struct world_disk world_disk_new(uint64_t count)
{
    struct world_disk disk = {.count = count};

    disk.geometry.size = (count - 1) * WORLD_BLOCK_SIZE + 512;
    disk.geometry.block_size = WORLD_BLOCK_SIZE;
    disk.geometry.logical_sector = 512;
    disk.geometry.physical_sector = 4096;
    disk.geometry.height = disk_root_height(disk.geometry.size, WORLD_BLOCK_SIZE);
    disk.bytes = double_new(count, WORLD_BLOCK_SIZE);
    return disk;
}

void world_disk_free(struct world_disk *disk)
{
    double_free(disk->bytes);
}

struct slice world_disk_block(const struct world_disk *disk, uint64_t block)
{
    return slice_of(disk->bytes + block * WORLD_BLOCK_SIZE,
                    disk_root_block_length(&disk->geometry, block));
}

void world_disk_fill(struct world_disk *disk, uint64_t block, uint64_t seed)
{
    struct slice bytes = world_disk_block(disk, block);
    struct random_seeded random = random_seeded_of(seed);
    uint8_t *target = disk->bytes + block * WORLD_BLOCK_SIZE;

    memset(target, 0, bytes.size);
    /* Half of it random: it packs, but not to nothing. */
    for (size_t i = 0; seed != 0 && i < bytes.size / 2; i++)
        target[i] = (uint8_t)random_seeded_below(&random, 256);
}

struct id world_block_id(const struct service_world *world, const struct world_disk *disk,
                         uint64_t block)
{
    struct id id = {{0}};
    struct error err = {0};
    struct slice bytes = world_disk_block(disk, block);

    if (!slice_is_zero(bytes))
        ASSERT_OK(id_of(store_default_domain(world->store)->id_key, KIND_BLOCK, bytes, &id, &err),
                  &err);
    return id;
}

/* The parent's nodes as the coordinator sent them, in the order in which they are read. */
struct nodes {
    const struct service_world *world;
    struct buffer bytes;
    size_t read;
};

static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    struct nodes *nodes = context;
    struct tree_node node = {.level = level, .index = index};
    struct id id = {{0}};

    assert_true(nodes->read + NODE_PLAIN_SIZE <= nodes->bytes.size);
    ASSERT_OK(tree_node_decode(slice_of(nodes->bytes.data + nodes->read, NODE_PLAIN_SIZE), &node,
                               err),
              err);
    nodes->read += NODE_PLAIN_SIZE;
    ASSERT_OK(tree_node_id(store_default_domain(nodes->world->store)->id_key, &node, &id, err),
              err);
    assert_true(id_equal(&id, &ref->id));
    *ret_node = node;
    return STATUS_OK;
}

static enum status emit_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    struct nodes *nodes = context;

    *ret_ref = (struct ref){0};
    return tree_node_id(store_default_domain(nodes->world->store)->id_key, node, &ret_ref->id, err);
}

static const struct tree_callbacks tree_callbacks = {.read = read_node, .emit = emit_node};

struct id world_disk_root(const struct service_world *world, const struct world_disk *disk)
{
    struct nodes nodes = {.world = world};
    struct tree_builder *builder = NULL;
    struct disk_root root = {0};
    struct id id = {{0}};
    struct error err = {0};

    ASSERT_OK(tree_builder_new(&disk->geometry, NULL, &tree_callbacks, &nodes, &builder, &err),
              &err);
    for (uint64_t block = 0; block < disk->count; block++) {
        struct ref ref = {.id = world_block_id(world, disk, block)};

        if (!id_is_hole(&ref.id))
            ASSERT_OK(tree_builder_put(builder, block, &ref, &err), &err);
    }
    ASSERT_OK(tree_builder_finish(builder, &root, &err), &err);
    ASSERT_OK(disk_root_id(store_default_domain(world->store)->id_key, &root, &id, &err), &err);
    tree_builder_free(builder);
    return id;
}

/* ---- An upload ------------------------------------------------------------------------------- */

struct client *world_upload_open(struct world_task *task, enum world_peer peer,
                                 const struct world_disk *disk, const struct id *parent_root)
{
    struct client *upload =
        client_open(task->world, peer, &tidemark__v1__data__descriptor, "Upload");
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadOpen open_message = TIDEMARK__V1__UPLOAD_OPEN__INIT;
    struct id root = {{0}};

    open_message.task = task->order->task;
    open_message.size = disk->geometry.size;
    open_message.block_size = disk->geometry.block_size;
    open_message.logical_sector = disk->geometry.logical_sector;
    open_message.physical_sector = disk->geometry.physical_sector;
    if (parent_root != NULL) {
        root = *parent_root;
        open_message.parent_root = (ProtobufCBinaryData){.len = ID_SIZE, .data = root.bytes};
    }
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OPEN;
    message.open = &open_message;
    assert_true(client_send(upload, &message.base));
    return upload;
}

void world_pack_block(const struct world_disk *disk, uint64_t block, uint64_t seq, uint8_t *bytes,
                      Tidemark__V1__BlockData *data)
{
    struct slice plain = world_disk_block(disk, block);
    struct codec_context *context = NULL;
    struct buffer packed;
    enum codec codec = CODEC_PLAIN;
    struct error err = {0};

    buffer_init(&packed, WORLD_BLOCK_SIZE);
    ASSERT_OK(codec_context_new(&context, &err), &err);
    ASSERT_OK(codec_compress(context, plain, &packed, &codec, &err), &err);
    memcpy(bytes, packed.data, packed.size);
    tidemark__v1__block_data__init(data);
    data->seq = seq;
    data->codec = codec;
    data->data = (ProtobufCBinaryData){.len = packed.size, .data = bytes};
    buffer_deinit(&packed);
    codec_context_free(context);
}

/* What an upload is doing. */
struct uploading {
    struct world_task *task;
    const struct world_disk *disk;
    struct client *upload;
    struct nodes nodes;
    struct tree_builder *builder;
    uint64_t seq; /* of the next entry */
    uint64_t entries[OFFER_ENTRIES_MAX];
    size_t count;
    uint64_t wanted, continued;
};

static void send_offer(struct uploading *self)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Offer offer = TIDEMARK__V1__OFFER__INIT;
    uint64_t blocks[OFFER_ENTRIES_MAX];
    uint64_t holes[OFFER_ENTRIES_MAX];
    uint8_t ids[OFFER_ENTRIES_MAX * ID_SIZE];

    offer.first_seq = self->seq;
    for (size_t i = 0; i < self->count; i++) {
        struct id id = world_block_id(self->task->world, self->disk, self->entries[i]);

        blocks[i] = self->entries[i];
        memcpy(ids + i * ID_SIZE, id.bytes, ID_SIZE);
        if (id_is_hole(&id))
            holes[offer.n_hole_counts++] = 1;
    }
    offer.blocks = blocks;
    offer.n_blocks = self->count;
    offer.hole_counts = holes;
    offer.ids = (ProtobufCBinaryData){.len = self->count * ID_SIZE, .data = ids};
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_OFFER;
    message.offer = &offer;
    assert_true(client_send(self->upload, &message.base));
}

static void send_block(struct uploading *self, size_t entry)
{
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__Blocks blocks = TIDEMARK__V1__BLOCKS__INIT;
    Tidemark__V1__BlockData data;
    Tidemark__V1__BlockData *pointer = &data;
    uint8_t bytes[WORLD_BLOCK_SIZE];

    world_pack_block(self->disk, self->entries[entry], self->seq + entry, bytes, &data);
    blocks.n_blocks = 1;
    blocks.blocks = &pointer;
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_BLOCKS;
    message.blocks = &blocks;
    (void)client_send(self->upload,
                      &message.base); /* a test may have made it fail: seen at the end */
}

static bool take_want(struct uploading *self)
{
    bool more = true;

    while (more) {
        Tidemark__V1__UploadAnswer *answer =
            (Tidemark__V1__UploadAnswer *)client_receive(self->upload);

        if (answer == NULL)
            return false;
        assert_int_equal(answer->kind_case, TIDEMARK__V1__UPLOAD_ANSWER__KIND_WANT);
        assert_int_equal(answer->want->first_seq, self->seq);
        buffer_put(&self->nodes.bytes, slice_of(answer->want->nodes.data, answer->want->nodes.len));
        more = answer->want->more;
        self->continued += more;
        for (size_t i = 0; !more && i < self->count; i++)
            if ((answer->want->bitmap.data[i / 8] >> (i % 8) & 1) != 0) {
                self->wanted++;
                send_block(self, i);
            }
        rpc_message_free(&answer->base);
    }
    return true;
}

static void finish_offer(struct uploading *self)
{
    struct error err = {0};

    if (self->count == 0)
        return;
    send_offer(self);
    assert_true(take_want(self));
    for (size_t i = 0; i < self->count; i++) {
        struct ref ref = {.id = world_block_id(self->task->world, self->disk, self->entries[i])};

        if (id_is_hole(&ref.id))
            ASSERT_OK(tree_builder_put_holes(self->builder, self->entries[i], 1, &err), &err);
        else
            ASSERT_OK(tree_builder_put(self->builder, self->entries[i], &ref, &err), &err);
    }
    self->seq += self->count;
    self->count = 0;
}

static void take_opened(struct uploading *self, bool on_parent)
{
    Tidemark__V1__UploadAnswer *answer = (Tidemark__V1__UploadAnswer *)client_receive(self->upload);
    struct disk_root parent = {0};
    struct error err = {0};

    assert_non_null(answer);
    assert_int_equal(answer->kind_case, TIDEMARK__V1__UPLOAD_ANSWER__KIND_OPENED);
    if (on_parent)
        ASSERT_OK(disk_root_decode(slice_of(answer->opened->parent_root.data,
                                            answer->opened->parent_root.len),
                                   &parent, &err),
                  &err);
    ASSERT_OK(tree_builder_new(&self->disk->geometry, on_parent ? &parent : NULL, &tree_callbacks,
                               &self->nodes, &self->builder, &err),
              &err);
    rpc_message_free(&answer->base);
}

static struct world_uploaded end_upload(struct uploading *self)
{
    struct world_uploaded uploaded = {.wanted = self->wanted, .continued = self->continued};
    Tidemark__V1__UploadRequest message = TIDEMARK__V1__UPLOAD_REQUEST__INIT;
    Tidemark__V1__UploadEnd end = TIDEMARK__V1__UPLOAD_END__INIT;
    Tidemark__V1__UploadAnswer *answer = NULL;
    struct disk_root root = {0};
    struct error err = {0};

    ASSERT_OK(tree_builder_finish(self->builder, &root, &err), &err);
    ASSERT_OK(disk_root_id(store_default_domain(self->task->world->store)->id_key, &root,
                           &uploaded.root, &err),
              &err);
    end.root = (ProtobufCBinaryData){.len = ID_SIZE, .data = uploaded.root.bytes};
    message.kind_case = TIDEMARK__V1__UPLOAD_REQUEST__KIND_END;
    message.end = &end;
    assert_true(client_send(self->upload, &message.base));
    answer = (Tidemark__V1__UploadAnswer *)client_receive(self->upload);
    if (answer == NULL) {
        client_ends(self->upload, STATUS_OK, ""); /* says what was wrong */
        abort();
    }
    assert_int_equal(answer->kind_case, TIDEMARK__V1__UPLOAD_ANSWER__KIND_CLOSED);
    uploaded.new_blocks = answer->closed->new_blocks;
    uploaded.stored = answer->closed->stored;
    rpc_message_free(&answer->base);
    client_ends(self->upload, STATUS_OK, "");
    return uploaded;
}

struct world_uploaded world_upload(struct world_task *task, const struct world_disk *disk,
                                   const bool *changed, const struct id *parent_root)
{
    struct uploading self = {.task = task, .disk = disk, .nodes.world = task->world};
    struct world_uploaded uploaded;

    buffer_init(&self.nodes.bytes, (size_t)NODES_MAX * NODE_PLAIN_SIZE);
    self.upload = world_upload_open(task, PEER_AGENT, disk, parent_root);
    take_opened(&self, parent_root != NULL);
    for (uint64_t block = 0; block < disk->count; block++) {
        if (changed != NULL ? !changed[block] : slice_is_zero(world_disk_block(disk, block)))
            continue;
        self.entries[self.count++] = block;
        if (self.count == task->world->offer_entries)
            finish_offer(&self);
    }
    finish_offer(&self);
    uploaded = end_upload(&self);
    assert_int_equal(self.nodes.read, self.nodes.bytes.size); /* exactly what is needed */
    tree_builder_free(self.builder);
    buffer_deinit(&self.nodes.bytes);
    return uploaded;
}

/* ---- A point --------------------------------------------------------------------------------- */

struct statement world_statement(const struct world_task *task, const struct world_disk *disk,
                                 struct statement_disk *stated, const struct id *root)
{
    struct statement statement = {.repository = store_repository(task->world->store)->id,
                                  .time_us = today_us,
                                  .consistency = CONSISTENCY_CRASH,
                                  .disks = stated,
                                  .disk_count = 1};

    memcpy(statement.task.bytes, task->order->task.data, RANDOM_ID_SIZE);
    memcpy(statement.vm.bytes, task->order->vm.data, RANDOM_ID_SIZE);
    if (task->order->parent != NULL)
        memcpy(statement.parent.bytes, task->order->parent->point.data, ID_SIZE);
    else
        assert_true(text_format(statement.reason, sizeof(statement.reason), "first_backup"));
    assert_true(text_format(statement.host, sizeof(statement.host), "hv-01"));
    assert_true(text_format(statement.vm_name, sizeof(statement.vm_name), "%s", task->order->disk));
    *stated = (struct statement_disk){.size = disk->geometry.size, .root = *root};
    assert_true(text_format(stated->name, sizeof(stated->name), "%s", task->order->disk));
    return statement;
}

/* BODY signed by SIGNER. */
static Tidemark__V1__Signed sign_body(struct service_world *world, const struct buffer *body,
                                      enum world_peer signer, const char *context,
                                      uint8_t signature[SIGN_SIZE], struct buffer *certificate)
{
    Tidemark__V1__Signed message = TIDEMARK__V1__SIGNED__INIT;
    const struct credentials *credentials = &world->peers[signer];
    struct sign_key *key = NULL;
    struct error err = {0};

    ASSERT_OK(sign_key_from_pem(credentials->key_pem, &key, &err), &err);
    ASSERT_OK(sign_message(key, context, buffer_slice(body), signature, &err), &err);
    ASSERT_OK(sign_certificate_der(credentials->certificate_pem, certificate, &err), &err);
    sign_key_free(key);
    message.body = (ProtobufCBinaryData){.len = body->size, .data = body->data};
    message.signature = (ProtobufCBinaryData){.len = SIGN_SIZE, .data = signature};
    message.certificate =
        (ProtobufCBinaryData){.len = certificate->size, .data = certificate->data};
    return message;
}

void world_sign(struct service_world *world, const struct statement *statement,
                enum world_peer signer, const char *context, struct buffer *target)
{
    uint8_t signature[SIGN_SIZE];
    struct buffer body;
    struct buffer certificate;
    Tidemark__V1__Signed message;
    struct signed_slice sealed;

    buffer_init(&body, STATEMENT_SIZE_MAX);
    buffer_init(&certificate, SIGN_CERTIFICATE_MAX);
    statement_encode(statement, &body);
    message = sign_body(world, &body, signer, context, signature, &certificate);
    sealed =
        (struct signed_slice){.body = slice_of(message.body.data, message.body.len),
                              .signature = slice_of(message.signature.data, message.signature.len),
                              .certificate =
                                  slice_of(message.certificate.data, message.certificate.len)};
    body_encode(&sealed, target);
    buffer_deinit(&certificate);
    buffer_deinit(&body);
}

/* Sends a commit of STATEMENT, signed by SIGNER in CONTEXT, as SENDER. */
static struct client *send_commit(struct world_task *task, const struct statement *statement,
                                  enum world_peer signer, const char *context,
                                  enum world_peer sender)
{
    Tidemark__V1__CommitRequest request = TIDEMARK__V1__COMMIT_REQUEST__INIT;
    Tidemark__V1__Signed message;
    uint8_t signature[SIGN_SIZE];
    struct buffer body;
    struct buffer certificate;
    struct client *client =
        client_open(task->world, sender, &tidemark__v1__data__descriptor, "Commit");

    buffer_init(&body, STATEMENT_SIZE_MAX);
    buffer_init(&certificate, SIGN_CERTIFICATE_MAX);
    statement_encode(statement, &body);
    message = sign_body(task->world, &body, signer, context, signature, &certificate);
    request.task = task->order->task;
    request.statement = &message;
    (void)client_send(client, &request.base); /* refused or not: its end tells */
    buffer_deinit(&certificate);
    buffer_deinit(&body);
    return client;
}

struct client *world_commit_start(struct world_task *task, const struct statement *statement)
{
    return send_commit(task, statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT, PEER_AGENT);
}

Tidemark__V1__CommitAnswer *world_commit(struct world_task *task, const struct statement *statement,
                                         enum world_peer signer, const char *context,
                                         enum world_peer sender, enum status status,
                                         const char *text)
{
    struct client *client = send_commit(task, statement, signer, context, sender);
    ProtobufCMessage *answer = client_receive(client);

    client_ends(client, status, text);
    assert_true((answer != NULL) == (status == STATUS_OK));
    return (Tidemark__V1__CommitAnswer *)answer;
}

struct tracking world_tracking(const struct statement *statement, const struct id *point,
                               struct tracking_disk *tracked)
{
    *tracked = (struct tracking_disk){.size = statement->disks[0].size,
                                      .root = statement->disks[0].root,
                                      .change_id = "frozen-1"};
    return (struct tracking){.repository = statement->repository,
                             .vm = statement->vm,
                             .point = *point,
                             .time_us = statement->time_us,
                             .disks = tracked,
                             .disk_count = 1};
}

void world_track(struct world_task *task, const struct tracking *tracking, enum world_peer signer,
                 const char *context, enum world_peer sender, enum status status, const char *text)
{
    Tidemark__V1__TrackRequest request = TIDEMARK__V1__TRACK_REQUEST__INIT;
    Tidemark__V1__Signed message;
    uint8_t signature[SIGN_SIZE];
    struct buffer body;
    struct buffer certificate;

    buffer_init(&body, TRACKING_SIZE_MAX);
    buffer_init(&certificate, SIGN_CERTIFICATE_MAX);
    tracking_encode(tracking, &body);
    message = sign_body(task->world, &body, signer, context, signature, &certificate);
    request.task = task->order->task;
    request.tracking = &message;
    rpc_message_free(client_ask(task->world, sender, &tidemark__v1__data__descriptor, "Track",
                                &request.base, status, text));
    buffer_deinit(&certificate);
    buffer_deinit(&body);
}

struct id world_back_up(struct service_world *world, struct client *session,
                        const struct world_disk *disk, const bool *changed)
{
    struct world_task task = world_begin(world, session, "d1");
    struct statement_disk stated;
    struct statement statement;
    struct tracking_disk tracked;
    struct tracking tracking;
    struct world_uploaded uploaded;
    struct id parent_root = {{0}};
    struct id point = {{0}};
    Tidemark__V1__CommitAnswer *answer = NULL;

    if (changed != NULL) {
        struct statement parent = {0};
        struct error err = {0};

        assert_non_null(task.order->parent);
        ASSERT_OK(statement_decode(slice_of(task.order->parent->statement->body.data,
                                            task.order->parent->statement->body.len),
                                   &parent, &err),
                  &err);
        parent_root = parent.disks[0].root;
        statement_deinit(&parent);
    }
    uploaded = world_upload(&task, disk, changed, changed != NULL ? &parent_root : NULL);
    statement = world_statement(&task, disk, &stated, &uploaded.root);
    answer = world_commit(&task, &statement, PEER_AGENT, SIGN_CONTEXT_STATEMENT, PEER_AGENT,
                          STATUS_OK, "");
    assert_int_equal(answer->point.len, ID_SIZE);
    memcpy(point.bytes, answer->point.data, ID_SIZE);
    rpc_message_free(&answer->base);
    tracking = world_tracking(&statement, &point, &tracked);
    world_track(&task, &tracking, PEER_AGENT, SIGN_CONTEXT_TRACKING, PEER_AGENT, STATUS_OK, "");
    world_end(&task, slice_of(point.bytes, ID_SIZE), NULL);
    return point;
}

/* ---- A console ------------------------------------------------------------------------------- */

size_t world_count_points(struct service_world *world)
{
    Tidemark__V1__ListPointsRequest request = TIDEMARK__V1__LIST_POINTS_REQUEST__INIT;
    Tidemark__V1__ListPointsAnswer *answer =
        (Tidemark__V1__ListPointsAnswer *)client_ask(world, PEER_CONSOLE,
                                                     &tidemark__v1__console__descriptor,
                                                     "ListPoints", &request.base, STATUS_OK, "");
    size_t count = answer->n_points;

    rpc_message_free(&answer->base);
    return count;
}

struct world_verified world_verify(struct service_world *world, const char *point)
{
    struct client *client =
        client_open(world, PEER_CONSOLE, &tidemark__v1__console__descriptor, "Verify");
    Tidemark__V1__VerifyRequest request = TIDEMARK__V1__VERIFY_REQUEST__INIT;
    char text[80];
    struct world_verified verified = {0};
    uint64_t told = 0;
    bool done = false;

    assert_true(text_format(text, sizeof(text), "%s", point));
    request.point = text;
    assert_true(client_send(client, &request.base));
    while (!done) {
        Tidemark__V1__VerifyEvent *event = (Tidemark__V1__VerifyEvent *)client_receive(client);

        assert_non_null(event);
        if (event->kind_case == TIDEMARK__V1__VERIFY_EVENT__KIND_FINDING) {
            told++;
            assert_true(event->finding->text[0] != '\0');
            assert_true(
                text_format(verified.text, sizeof(verified.text), "%s", event->finding->text));
            verified.offset = event->finding->offset;
            verified.length = event->finding->length;
        } else if (event->kind_case == TIDEMARK__V1__VERIFY_EVENT__KIND_DONE) {
            verified.points = event->done->points;
            verified.findings = event->done->findings;
            verified.records = event->done->records;
            done = true;
        }
        rpc_message_free(&event->base);
    }
    assert_int_equal(told, verified.findings);
    client_ends(client, STATUS_OK, "");
    return verified;
}

/* Unpacks what an export sent to its place in BYTES. How many blocks these are. */
static uint64_t take_blocks(const Tidemark__V1__ExportBlocks *blocks, struct codec_context *codec,
                            const struct disk_root *root, uint8_t *bytes)
{
    struct error err = {0};

    for (size_t i = 0; i < blocks->n_blocks; i++) {
        const Tidemark__V1__BlockData *data = blocks->blocks[i];

        ASSERT_OK(codec_decompress(codec, (uint8_t)data->codec,
                                   slice_of(data->data.data, data->data.len),
                                   bytes + data->seq * WORLD_BLOCK_SIZE,
                                   disk_root_block_length(root, data->seq), &err),
                  &err);
    }
    return blocks->n_blocks;
}

uint8_t *world_export(struct service_world *world, const char *digits, uint64_t count,
                      enum status status, const char *text)
{
    struct client *client =
        client_open(world, PEER_CONSOLE, &tidemark__v1__console__descriptor, "Export");
    Tidemark__V1__ExportRequest request = TIDEMARK__V1__EXPORT_REQUEST__INIT;
    char name[80];
    uint8_t *bytes = double_new(count, WORLD_BLOCK_SIZE);
    struct codec_context *codec = NULL;
    struct disk_root root = {0};
    struct error err = {0};
    uint64_t blocks = 0;
    bool ended = false;
    Tidemark__V1__ExportPart *part = NULL;

    assert_true(text_format(name, sizeof(name), "%s", digits));
    request.point = name;
    ASSERT_OK(codec_context_new(&codec, &err), &err);
    assert_true(client_send(client, &request.base));
    while ((part = (Tidemark__V1__ExportPart *)client_receive(client)) != NULL) {
        if (part->kind_case == TIDEMARK__V1__EXPORT_PART__KIND_OPENED)
            ASSERT_OK(disk_root_decode(slice_of(part->opened->root.data, part->opened->root.len),
                                       &root, &err),
                      &err);
        else if (part->kind_case == TIDEMARK__V1__EXPORT_PART__KIND_ENDED)
            ended = part->ended->blocks == blocks;
        else
            blocks += take_blocks(part->blocks, codec, &root, bytes);
        rpc_message_free(&part->base);
    }
    client_ends(client, status, text);
    assert_true(ended == (status == STATUS_OK));
    codec_context_free(codec);
    if (status == STATUS_OK)
        return bytes;
    double_free(bytes);
    return NULL;
}

void world_export_equals(struct service_world *world, const struct id *point,
                         const struct world_disk *disk)
{
    char digits[ID_TEXT_SIZE];
    uint8_t *bytes = NULL;

    id_text(point, digits);
    bytes = world_export(world, digits, disk->count, STATUS_OK, "");
    assert_memory_equal(bytes, disk->bytes, disk->geometry.size);
    double_free(bytes);
}
