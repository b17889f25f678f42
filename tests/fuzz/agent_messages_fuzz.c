/* tests/fuzz/agent_messages_fuzz.c: what a coordinator may send an agent: parents, and the answers of an upload. However it
 * goes: no parent is trusted but the one that hosts have signed, and the root that the agent would sign is the one
 * that the offered changes make of that parent (tests/agent_tree_sample.h).
 *
 * The input is a row of {u8 what, u16le length, bytes}, what % 6:
 *     0  a Parent as the wire would bring it
 *     1  {u16le at, u8 change}: the real one, its packed byte AT XORed
 *     2  {u8 at, u8 change}: UploadOpened with the parent's root, its byte AT XORed
 *     3  an offer, {u16le distance, u8 holes, u8 id} for each entry
 *     4  a Want as the wire would bring it
 *     5  {u8 first nodes, u24le at, u8 change, u8 bitmap}: the right Want, in two parts, its nodes' byte AT XORed */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "transport/rpc_message.h"
#include "agent/offer_tree.h"
#include "agent/parent.h"
#include "agent/point.h"
#include "agent/upload_answers.h"
#include "format/statement.h"
#include "tests/agent_tree_sample.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { TIME_S = 1800000000, PACKED_MAX = 8192 };

/* Made once a process: its keys take long. */
struct fixture {
    struct agent_tree_sample sample;
    struct credentials credentials;
    struct parent_terms terms;
    struct disk_info info;
    struct parent parent; /* the real one, as it is proved */
    uint8_t root_plain[DISK_ROOT_PLAIN_SIZE];
    uint8_t packed[PACKED_MAX]; /* the real Parent */
    size_t packed_size;
};

struct run {
    struct fixture *fixture;
    struct offer_tree *tree;
    struct buffer nodes; /* of the want that is coming in */
    struct offer_entry entries[OFFER_ENTRIES_MAX];
    size_t count; /* 0: no offer is undecided */
    uint64_t next_block;
    uint64_t first_seq;
};

/* ---- The real parent ------------------------------------------------------------------------- */

static void sign(const struct sign_key *key, const char *context, struct slice certificate,
                 struct buffer *body, uint8_t signature[SIGN_SIZE], Tidemark__V1__Signed *message)
{
    struct error err = {0};

    INVARIANT(buffer_check(body, "a body", &err) == STATUS_OK);
    INVARIANT(sign_message(key, context, buffer_slice(body), signature, &err) == STATUS_OK);
    *message = (Tidemark__V1__Signed)TIDEMARK__V1__SIGNED__INIT;
    message->body = (ProtobufCBinaryData){body->size, body->data};
    message->signature = (ProtobufCBinaryData){SIGN_SIZE, signature};
    message->certificate =
        (ProtobufCBinaryData){certificate.size, (uint8_t *)certificate.data}; /* packed only */
}

static void make_credentials(struct fixture *fixture)
{
    struct test_ca *ca = test_certificates_ca_new("hosts");
    char folder[TEMP_FOLDER_SIZE];
    struct error err = {0};

    temp_folder_make(folder);
    test_certificates_write(folder, ca, ca, "hv-01", TEST_VALID);
    INVARIANT(credentials_load(folder, &fixture->credentials, &err) == STATUS_OK);
    temp_folder_remove(folder);
    test_certificates_ca_free(ca);
}

static void make_parent(struct fixture *fixture)
{
    struct agent_tree_sample *sample = &fixture->sample;
    struct statement_disk disk = {.name = "data",
                                  .size = sample->root.size,
                                  .root = sample->root_id};
    struct tracking_disk tracked = {.size = disk.size, .root = disk.root, .change_id = "frozen"};
    struct statement statement = {.time_us = (int64_t)TIME_S * 1000000,
                                  .host = "hv-01",
                                  .vm_name = "data",
                                  .consistency = CONSISTENCY_CRASH,
                                  .disks = &disk,
                                  .disk_count = 1};
    struct tracking tracking = {.time_us = statement.time_us, .disks = &tracked, .disk_count = 1};
    Tidemark__V1__Parent message = TIDEMARK__V1__PARENT__INIT;
    Tidemark__V1__Signed signed_messages[2];
    uint8_t signatures[2][SIGN_SIZE];
    struct buffer bodies[2];
    struct buffer certificate = {0};
    struct sign_key *key = NULL;
    struct id point = {{0}};
    struct error err = {0};

    buffer_init(&bodies[0], STATEMENT_SIZE_MAX);
    buffer_init(&bodies[1], TRACKING_SIZE_MAX);
    buffer_init(&certificate, SIGN_CERTIFICATE_MAX);
    INVARIANT(sign_key_from_pem(fixture->credentials.key_pem, &key, &err) == STATUS_OK);
    INVARIANT(sign_certificate_der(fixture->credentials.certificate_pem, &certificate, &err) ==
              STATUS_OK);
    memset(statement.repository.bytes, 1, RANDOM_ID_SIZE);
    memset(statement.vm.bytes, 2, RANDOM_ID_SIZE);
    memset(statement.task.bytes, 3, RANDOM_ID_SIZE);
    statement_encode(&statement, &bodies[0]);
    sign(key, SIGN_CONTEXT_STATEMENT, buffer_slice(&certificate), &bodies[0], signatures[0],
         &signed_messages[0]);

    const struct signed_slice signed_statement = {.body = buffer_slice(&bodies[0]),
                                                  .signature = slice_of(signatures[0], SIGN_SIZE),
                                                  .certificate = buffer_slice(&certificate)};

    INVARIANT(point_id(sample->id_key, &statement, &signed_statement, &point, &err) == STATUS_OK);
    tracking.repository = statement.repository;
    tracking.vm = statement.vm;
    tracking.point = point;
    tracking_encode(&tracking, &bodies[1]);
    sign(key, SIGN_CONTEXT_TRACKING, buffer_slice(&certificate), &bodies[1], signatures[1],
         &signed_messages[1]);
    message.point = (ProtobufCBinaryData){ID_SIZE, point.bytes};
    message.statement = &signed_messages[0];
    message.tracking = &signed_messages[1];
    INVARIANT(protobuf_c_message_get_packed_size(&message.base) <= PACKED_MAX);
    fixture->packed_size = protobuf_c_message_pack(&message.base, fixture->packed);
    fixture->terms = (struct parent_terms){.ca_pem = fixture->credentials.ca_pem,
                                           .id_key = sample->id_key,
                                           .repository = statement.repository,
                                           .vm = statement.vm};
    INVARIANT(parent_check(&fixture->terms, &message, &fixture->parent, &err) == STATUS_OK);
    sign_key_free(key);
    buffer_deinit(&certificate);
    buffer_deinit(&bodies[0]);
    buffer_deinit(&bodies[1]);
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = memory_new(1, sizeof(*fixture));

    INVARIANT(fixture != NULL);
    agent_tree_sample_make(&fixture->sample);
    disk_root_encode_plain(&fixture->sample.root, fixture->root_plain);
    fixture->info = (struct disk_info){.size = fixture->sample.root.size,
                                       .logical_sector = fixture->sample.root.logical_sector,
                                       .physical_sector = fixture->sample.root.physical_sector};
    make_credentials(fixture);
    make_parent(fixture);
    return fixture;
}

/* ---- One message each. False: the agent goes no further -------------------------------------- */

static bool take_parent(struct run *run, struct slice bytes)
{
    const struct parent *real = &run->fixture->parent;
    ProtobufCMessage *message = NULL;
    struct parent parent = {0};
    struct error err = {0};

    if (rpc_message_unpack(&tidemark__v1__parent__descriptor, bytes, &message, &err) != STATUS_OK)
        return true;
    if (parent_check(&run->fixture->terms, (const Tidemark__V1__Parent *)message, &parent, &err) ==
        STATUS_OK) {
        INVARIANT(id_equal(&parent.point, &real->point) && id_equal(&parent.root, &real->root));
        INVARIANT(parent.size == real->size && strcmp(parent.change_id, real->change_id) == 0);
    }
    rpc_message_free(message);
    return true;
}

static bool take_changed_parent(struct run *run, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    uint16_t at = cursor_u16le(&cursor);
    uint8_t change = cursor_u8(&cursor);
    uint8_t packed[PACKED_MAX];

    memcpy(packed, run->fixture->packed, run->fixture->packed_size);
    packed[at % run->fixture->packed_size] ^= change;
    return take_parent(run, slice_of(packed, run->fixture->packed_size));
}

static bool take_opened(struct run *run, struct slice bytes)
{
    const struct fixture *fixture = run->fixture;
    struct cursor cursor = cursor_of(bytes);
    uint8_t at = cursor_u8(&cursor);
    uint8_t change = cursor_u8(&cursor);
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];
    Tidemark__V1__UploadOpened opened = TIDEMARK__V1__UPLOAD_OPENED__INIT;
    struct disk_root root = {0};
    struct error err = {0};

    if (run->tree != NULL)
        return false;
    memcpy(plain, fixture->root_plain, sizeof(plain));
    plain[at % sizeof(plain)] ^= change;
    opened.parent_root = (ProtobufCBinaryData){sizeof(plain), plain};
    if (upload_answers_opened(&opened, &fixture->parent, &fixture->info, 65536,
                              fixture->sample.id_key, &root, &err) != STATUS_OK)
        return false;
    INVARIANT(memcmp(plain, fixture->root_plain, sizeof(plain)) == 0);
    INVARIANT(offer_tree_new(&root, &root, fixture->sample.id_key, &run->tree, &err) == STATUS_OK);
    return true;
}

/* What the agent itself reads and offers. */
static bool make_offer(struct run *run, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);

    if (run->tree == NULL || run->count != 0)
        return true;
    while (cursor_left(&cursor) >= 4 && run->count < OFFER_ENTRIES_MAX) {
        struct offer_entry *entry = &run->entries[run->count];
        uint16_t distance = cursor_u16le(&cursor);
        uint8_t holes = cursor_u8(&cursor);
        uint8_t id = cursor_u8(&cursor);

        *entry = (struct offer_entry){.block = run->next_block + distance, .holes = holes};
        run->next_block = entry->block + (holes == 0 ? 1 : holes);
        if (run->next_block > AGENT_TREE_BLOCKS) {
            run->next_block = entry->block - distance;
            break;
        }
        if (holes == 0)
            memset(entry->id.bytes, id == 0 ? 1 : id, ID_SIZE);
        run->count++;
    }
    agent_tree_sample_offer(&run->fixture->sample, run->entries, run->count);
    return true;
}

static bool take_want(struct run *run, const Tidemark__V1__Want *want)
{
    struct error err = {0};
    size_t blocks = 0;

    if (run->count == 0 ||
        upload_answers_nodes(want, run->first_seq, &run->nodes, &err) != STATUS_OK)
        return false;
    if (want->more)
        return true;
    if (upload_answers_bitmap(want, run->entries, run->count, &err) != STATUS_OK)
        return false;
    for (size_t i = 0; i < run->count; i++)
        blocks += upload_answers_wants(want, i) && run->entries[i].holes == 0;
    INVARIANT(blocks <= run->count);
    if (offer_tree_add(run->tree, run->entries, run->count, buffer_slice(&run->nodes), &err) !=
        STATUS_OK)
        return false;
    buffer_clear(&run->nodes);
    run->first_seq += run->count;
    run->count = 0;
    return true;
}

static bool take_raw_want(struct run *run, struct slice bytes)
{
    ProtobufCMessage *message = NULL;
    struct error err = {0};
    bool goes_on = false;

    if (rpc_message_unpack(&tidemark__v1__want__descriptor, bytes, &message, &err) == STATUS_OK)
        goes_on = take_want(run, (const Tidemark__V1__Want *)message);
    rpc_message_free(message);
    return goes_on;
}

static bool take_changed_want(struct run *run, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    size_t first = (size_t)cursor_u8(&cursor) * NODE_PLAIN_SIZE;
    size_t at = cursor_u16le(&cursor);
    uint8_t bitmap[OFFER_ENTRIES_MAX / 8] = {0};
    struct buffer *nodes = &run->fixture->sample.nodes; /* of this offer only: the next clears it */
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;

    at |= (size_t)cursor_u8(&cursor) << 16;

    uint8_t change = cursor_u8(&cursor);

    if (nodes->size > 0)
        nodes->data[at % nodes->size] ^= change;
    bitmap[0] = cursor_u8(&cursor);
    want.first_seq = run->first_seq;
    if (first > 0 && first < nodes->size) {
        want.nodes = (ProtobufCBinaryData){first, nodes->data};
        want.more = true;
        if (!take_want(run, &want))
            return false;
    } else {
        first = 0;
    }
    want.nodes = (ProtobufCBinaryData){0, NULL};
    if (nodes->size > 0)
        want.nodes = (ProtobufCBinaryData){nodes->size - first, nodes->data + first};
    want.more = false;
    want.bitmap = (ProtobufCBinaryData){(run->count + 7) / 8, bitmap};
    return take_want(run, &want);
}

static bool take(struct run *run, uint8_t what, struct slice bytes)
{
    switch (what % 6) {
    case 0:
        return take_parent(run, bytes);
    case 1:
        return take_changed_parent(run, bytes);
    case 2:
        return take_opened(run, bytes);
    case 3:
        return make_offer(run, bytes);
    case 4:
        return take_raw_want(run, bytes);
    default:
        return take_changed_want(run, bytes);
    }
}

/* All was decided: the agent would sign this. */
static void check_root(struct run *run)
{
    struct disk_root root = {0};
    struct id id = {{0}};
    struct id expected = {{0}};
    struct error err = {0};

    INVARIANT(offer_tree_finish(run->tree, &root, &id, &err) == STATUS_OK);
    agent_tree_sample_finish(&run->fixture->sample, &expected);
    INVARIANT(id_equal(&id, &expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct fixture *fixture;
    struct cursor cursor = cursor_of(slice_of(input, size));
    struct run run = {0};
    bool goes_on = true;

    if (fixture == NULL)
        fixture = fixture_new();
    agent_tree_sample_restart(&fixture->sample);
    run.fixture = fixture;
    buffer_init(&run.nodes, OFFER_NODES_MAX);
    while (goes_on) {
        uint8_t what = cursor_u8(&cursor);
        uint16_t length = cursor_u16le(&cursor);
        struct slice bytes = cursor_take(&cursor, length);

        if (!cursor_ok(&cursor))
            break;
        goes_on = take(&run, what, bytes);
    }
    if (goes_on && run.tree != NULL && run.count == 0 && run.nodes.size == 0)
        check_root(&run);
    offer_tree_free(run.tree);
    buffer_deinit(&run.nodes);
    return 0;
}
