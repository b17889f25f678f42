/* tests/service_damage_test.c: what is wrong though every checksum and seal is right: records of another content, manifests
 * that disagree, points that cannot be read. Verify finds it, export refuses it, the list goes on. */
#include <string.h>

#include "base/buffer.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/text.h"
#include "coordinator/service/disk_reader.h"
#include "coordinator/service/point_read.h"
#include "format/manifest.h"
#include "format/record.h"
#include "tests/service_world.h"
#include "tests/support/double_heap.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { BLOCKS = 20, HURT = 5 };

/* A repository with one point, of a disk whose block HURT does not compress: its record has a known size. */
struct damaged {
    struct service_world *world;
    struct client *session;
    struct world_disk disk;
    struct id point;
    char digits[ID_TEXT_SIZE];
};

static struct damaged damaged_begin(struct service_world *world)
{
    struct damaged damaged = {.world = world, .disk = world_disk_new(BLOCKS)};
    struct random_seeded random = random_seeded_of(11);

    for (uint64_t block = 0; block < BLOCKS; block++)
        world_disk_fill(&damaged.disk, block, block + 1);
    for (size_t i = 0; i < WORLD_BLOCK_SIZE; i++)
        damaged.disk.bytes[(size_t)HURT * WORLD_BLOCK_SIZE + i] =
            (uint8_t)random_seeded_below(&random, 256);
    damaged.session = world_connect(world, PEER_AGENT);
    damaged.point = world_back_up(world, damaged.session, &damaged.disk, NULL);
    id_text(&damaged.point, damaged.digits);
    return damaged;
}

static void damaged_end(struct damaged *damaged)
{
    world_disk_free(&damaged->disk);
    client_drop(damaged->session);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Writes NEWER over the bytes OLDER in the pack at PATH. How often they were there. */
static unsigned write_over_in(struct service_world *world, const char *path, struct slice older,
                              struct slice newer)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    uint8_t *bytes = NULL;
    struct error err = {0};
    unsigned written = 0;

    ASSERT_OK(fs_open(world->fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    bytes = double_new(size, 1);
    ASSERT_OK(fs_read_exactly_at(file, 0, bytes, size, &err), &err);
    for (uint64_t at = 0; at + older.size <= size; at++)
        if (memcmp(bytes + at, older.data, older.size) == 0) {
            ASSERT_OK(fs_write_at(file, at, newer, &err), &err);
            written++;
        }
    double_free(bytes);
    fs_close(file);
    return written;
}

/* The same in whichever pack has them, of which there is one. */
static void write_over(struct service_world *world, struct slice older, struct slice newer)
{
    struct fs_names names = {0};
    struct error err = {0};
    unsigned written = 0;

    assert_int_equal(older.size, newer.size);
    ASSERT_OK(fs_list(world->fs, "packs", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];

        assert_true(text_format(path, sizeof(path), "packs/%s", names.names[i]));
        written += write_over_in(world, path, older, newer);
    }
    fs_names_deinit(&names);
    assert_int_equal(written, 1);
}

/* What a record claims, where that is not what belongs in its place. */
struct lie {
    uint8_t kind;          /* 0: KIND_BLOCK */
    uint8_t content;       /* XORed to the block's first byte */
    bool another_id;       /* that of the new content */
    uint32_t plain_length; /* 0: the right one */
};

/* The record of block HURT becomes one that is sealed as it should be, and says LIE. */
static void replace_record(struct damaged *damaged, struct lie lie)
{
    struct store *store = damaged->world->store;
    struct id id = world_block_id(damaged->world, &damaged->disk, HURT);
    uint64_t number = 0;
    struct buffer older;
    struct buffer newer;
    struct record_header header = {0};
    uint8_t bytes[WORLD_BLOCK_SIZE];
    struct error err = {0};

    buffer_init(&older, RECORD_SIZE_MAX);
    buffer_init(&newer, RECORD_SIZE_MAX);
    ASSERT_OK(store_find(store, store_default_domain(store), &id, 1, &number, &err), &err);
    ASSERT_OK(store_fetch(store, number, &older, &err), &err);
    ASSERT_OK(record_decode_header(buffer_slice(&older), &header, &err), &err);
    assert_int_equal(header.codec, CODEC_PLAIN);
    memcpy(bytes, world_disk_block(&damaged->disk, HURT).data, sizeof(bytes));
    bytes[0] ^= lie.content;
    if (lie.kind != 0)
        header.kind = lie.kind;
    if (lie.another_id)
        ASSERT_OK(id_of(store_default_domain(store)->id_key, KIND_BLOCK,
                        slice_of(bytes, sizeof(bytes)), &header.id, &err),
                  &err);
    if (lie.plain_length != 0) {
        header.plain_length = lie.plain_length;
        header.codec = CODEC_ZSTD; /* or its lengths could not be */
    }
    ASSERT_OK(record_seal(store_keys(store), random_system(), &header,
                          slice_of(bytes, sizeof(bytes)), &newer, &err),
              &err);
    write_over(damaged->world, buffer_slice(&older), buffer_slice(&newer));
    buffer_deinit(&newer);
    buffer_deinit(&older);
}

static void is_found_and_not_exported(struct service_world *world, struct lie lie, const char *text)
{
    struct damaged damaged = damaged_begin(world);
    struct world_verified verified;

    replace_record(&damaged, lie);
    verified = world_verify(world, "");
    assert_int_equal(verified.findings, 1);
    assert_int_equal(verified.offset, HURT * WORLD_BLOCK_SIZE);
    assert_int_equal(verified.length, WORLD_BLOCK_SIZE);
    if (strstr(verified.text, text) == NULL)
        fail_msg("found: %s, not: %s", verified.text, text);
    assert_null(world_export(world, damaged.digits, BLOCKS, STATUS_CORRUPT, text));
    damaged_end(&damaged);
}

static void a_sound_record_of_another_content_is_found(void **state)
{
    is_found_and_not_exported(*state, (struct lie){.content = 1}, "does not hold what its id says");
}

static void a_sound_record_of_another_block_is_found(void **state)
{
    is_found_and_not_exported(*state, (struct lie){.content = 1, .another_id = true},
                              "is another one than the tree names");
}

static void a_sound_record_of_another_kind_is_found(void **state)
{
    is_found_and_not_exported(*state, (struct lie){.kind = KIND_BODY}, "");
}

static void a_sound_record_of_another_length_is_found(void **state)
{
    is_found_and_not_exported(*state, (struct lie){.plain_length = 2 * WORLD_BLOCK_SIZE},
                              "has 8192 bytes, the block 4096");
}

/* ---- Manifests ------------------------------------------------------------------------------- */

/* What a second point says, which a test makes wrong: at first the same as the first one. */
struct forged {
    struct damaged damaged;
    struct point_content content;
    enum world_peer signer;
    const char *context;
    bool break_signature;
};

static struct forged forged_begin(struct service_world *world)
{
    struct forged forged = {.damaged = damaged_begin(world),
                            .signer = PEER_AGENT,
                            .context = SIGN_CONTEXT_STATEMENT};
    size_t count = 0;
    const struct store_point *points = store_points(world->store, &count);
    struct error err = {0};

    assert_int_equal(count, 1);
    ASSERT_OK(point_read(world->store, &points[0].envelope, &forged.content, &err), &err);
    return forged;
}

/* Stores it past all checks, as a coordinator gone mad would. */
static struct ref store_forged(struct forged *forged)
{
    struct store *store = forged->damaged.world->store;
    struct random_id task = {{42}};
    struct store_point point;
    struct ref ref = {0};
    struct buffer body;
    struct buffer plain;
    struct buffer stored;
    struct error err = {0};

    buffer_init(&body, RECORD_PLAIN_MAX);
    buffer_init(&plain, RECORD_PLAIN_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    world_sign(forged->damaged.world, &forged->content.statement, forged->signer, forged->context,
               &body);
    if (forged->break_signature) {
        struct signed_slice parts;

        ASSERT_OK(body_decode(buffer_slice(&body), &parts, &err), &err);
        body.data[parts.signature.data - body.data] ^= 1;
    }
    ASSERT_OK(store_put(store, store_default_domain(store), KIND_BODY, buffer_slice(&body),
                        buffer_slice(&body), &forged->content.envelope.body, &err),
              &err);
    envelope_encode_plain(&forged->content.envelope, &plain);
    envelope_encode_stored(&forged->content.envelope, &stored);
    ASSERT_OK(store_put(store, store_default_domain(store), KIND_ENVELOPE, buffer_slice(&plain),
                        buffer_slice(&stored), &ref, &err),
              &err);
    ASSERT_OK(store_commit(store, store_default_domain(store), &task, &ref, &point, &err), &err);
    buffer_deinit(&stored);
    buffer_deinit(&plain);
    buffer_deinit(&body);
    return ref;
}

/* It is stored, and verify says TEXT of it, and nothing of the first point. */
static void forged_is_found(struct forged *forged, const char *text)
{
    struct service_world *world = forged->damaged.world;
    struct ref ref = store_forged(forged);
    char digits[ID_TEXT_SIZE];
    struct world_verified verified;

    id_text(&ref.id, digits);
    verified = world_verify(world, digits);
    assert_int_equal(verified.points, 1);
    assert_int_equal(verified.findings, 1);
    if (strstr(verified.text, text) == NULL)
        fail_msg("found: %s, not: %s", verified.text, text);
    verified = world_verify(world, forged->damaged.digits);
    assert_int_equal(verified.findings, 0);
    point_content_deinit(&forged->content);
    damaged_end(&forged->damaged);
}

static void a_broken_signature_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.break_signature = true;
    forged_is_found(&forged, "the host's statement");
}

static void a_signature_of_something_else_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.context = SIGN_CONTEXT_TRACKING;
    forged_is_found(&forged, "the host's statement");
}

static void a_statement_signed_by_another_host_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.signer = PEER_OTHER;
    forged_is_found(&forged, "the statement of host hv-01 is signed by host hv-02");
}

static void a_statement_signed_by_no_host_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.signer = PEER_CONSOLE;
    forged_is_found(&forged, "the host's statement");
}

static void a_statement_for_another_repository_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.statement.repository.bytes[0] ^= 1;
    forged_is_found(&forged, "for another repository");
}

static void an_envelope_of_another_time_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.time_us++;
    forged_is_found(&forged, "the host's statement is about another point");
}

static void an_envelope_of_another_vm_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.vm.bytes[0] ^= 1;
    forged_is_found(&forged, "the host's statement is about another point");
}

static void an_envelope_with_another_root_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.disks[0].root.id.bytes[0] ^= 1;
    forged_is_found(&forged, "another size or root for disk 0");
}

static void an_envelope_with_another_size_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.disks[0].size += 512;
    forged_is_found(&forged, "another size or root for disk 0");
}

/* Both say the same, and the tree's root something else. */
static void a_root_of_another_size_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.disks[0].size += 512;
    forged.content.statement.disks[0].size += 512;
    forged_is_found(&forged, "the disk's root has another size");
}

/* The number leads to another thing than the id says. */
static void a_root_that_is_not_its_id_is_found(void **state)
{
    struct forged forged = forged_begin(*state);

    forged.content.envelope.disks[0].root.id.bytes[0] ^= 1;
    forged.content.statement.disks[0].root.bytes[0] ^= 1;
    forged_is_found(&forged, "");
}

/* ---- Points ---------------------------------------------------------------------------------- */

/* A point whose envelope has the id ID, and no sense in it. */
static void commit_nonsense(struct service_world *world, uint8_t task, struct id id)
{
    struct random_id random_id = {{task}};
    struct record_header header = {.kind = KIND_ENVELOPE,
                                   .codec = CODEC_PLAIN,
                                   .domain = store_repository(world->store)->domain,
                                   .id = id,
                                   .plain_length = 8};
    struct ref ref = {.id = id};
    struct store_point point;
    struct buffer record;
    struct error err = {0};

    buffer_init(&record, RECORD_SIZE_MAX);
    ASSERT_OK(store_reserve(world->store, 1, &header.number, &err), &err);
    ASSERT_OK(record_seal(store_keys(world->store), random_system(), &header,
                          slice_of_text("nonsense"), &record, &err),
              &err);
    ASSERT_OK(store_append(world->store, buffer_slice(&record), &ref.number, &err), &err);
    ASSERT_OK(store_commit(world->store, store_default_domain(world->store), &random_id, &ref,
                           &point, &err),
              &err);
    buffer_deinit(&record);
}

static void a_prefix_of_two_points_is_refused(void **state)
{
    struct service_world *world = *state;
    const char same[] = "abcdef";

    commit_nonsense(world, 1, (struct id){{0xab, 0xcd, 0xef, 0x01}});
    commit_nonsense(world, 2, (struct id){{0xab, 0xcd, 0xef, 0x02}});
    assert_int_equal(world_count_points(world), 2);
    assert_null(world_export(world, same, 1, STATUS_INVALID, "two points begin with abcdef: "));
    assert_null(world_export(world, "abcdef03", 1, STATUS_NOT_FOUND, "there is no point abcdef03"));
    /* One more digit pair, and it is one of them. */
    assert_null(world_export(world, "abcdef02", 1, STATUS_CORRUPT, ""));
}

static void a_point_that_makes_no_sense_is_listed_and_found(void **state)
{
    struct service_world *world = *state;
    struct damaged damaged = damaged_begin(world);
    struct world_verified verified;

    commit_nonsense(world, 1, (struct id){{1}});
    assert_int_equal(world_count_points(world), 2);
    verified = world_verify(world, "");
    assert_int_equal(verified.points, 2);
    assert_int_equal(verified.findings, 1);
    assert_int_equal(verified.records, BLOCKS);
    damaged_end(&damaged);
}

/* A sector that cannot be read is damage too: one bad point hides no good one. */
static void a_point_that_cannot_be_read_is_listed_all_the_same(void **state)
{
    struct service_world *world = *state;
    struct damaged damaged = damaged_begin(world);

    faults_arm_point(world->faults, "fs.read", 1, FAULT_FAIL);
    assert_int_equal(world_count_points(world), 1);
    assert_true(faults_fired(world->faults));
    faults_arm(world->faults, 0, 0);
    world_export_equals(world, &damaged.point, &damaged.disk);
    damaged_end(&damaged);
}

#define TEST(NAME) \
    cmocka_unit_test_setup_teardown(NAME, service_world_set_up, service_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_record_of_another_content_is_found),
        TEST(a_sound_record_of_another_block_is_found),
        TEST(a_sound_record_of_another_kind_is_found),
        TEST(a_sound_record_of_another_length_is_found),
        TEST(a_broken_signature_is_found),
        TEST(a_signature_of_something_else_is_found),
        TEST(a_statement_signed_by_another_host_is_found),
        TEST(a_statement_signed_by_no_host_is_found),
        TEST(a_statement_for_another_repository_is_found),
        TEST(an_envelope_of_another_time_is_found),
        TEST(an_envelope_of_another_vm_is_found),
        TEST(an_envelope_with_another_root_is_found),
        TEST(an_envelope_with_another_size_is_found),
        TEST(a_root_of_another_size_is_found),
        TEST(a_root_that_is_not_its_id_is_found),
        TEST(a_prefix_of_two_points_is_refused),
        TEST(a_point_that_makes_no_sense_is_listed_and_found),
        TEST(a_point_that_cannot_be_read_is_listed_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
