/* tests/store_check_test.c: coordinator/store/check.h: every kind of damage is found, and named with what it hurts: the point, the
 * disk, the bytes; what is no damage is not. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/check.h"
#include "coordinator/store/check_numbers.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/pack_file.h"
#include "format/manifest.h"
#include "tests/store_world.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum {
    PACK_SIZE = 1024 * 1024,
    SEED = 21,
    STEP = 7,
    TWO_STEPS = 2 * STEP,
    COUNT = 5,
    ALONE = 199,
    CHUNKS = 3,
    TWO_BLOCKS = 2 * WORLD_BLOCK_SIZE,
    IN_BAD_INDEX = 100 + PACK_FOOTER_SIZE + 50,
};

struct env {
    struct faults *faults;
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct world_point first;  /* blocks 0, 7, 14, 21, 28, and a file */
    struct world_point second; /* the same, and block ALONE */
    struct check *check;
    struct check_sum sum;
    const struct check_found *found;
    struct error err;
};

/* ---- A repository ---------------------------------------------------------------------------- */

static void open_store(struct env *env)
{
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
}

static void close_store(struct env *env)
{
    check_free(env->check);
    env->check = NULL;
    store_close(env->store);
    env->store = NULL;
}

/* Two points, the second with one block that the first does not have; closed and open again: all packs are sealed. */
static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    store_world_init(&env->world, env->fs, PACK_SIZE, SEED);
    env->first = (struct world_point){.task = world_task(1),
                                      .disk = world_disk_of(100, COUNT, STEP),
                                      .file = 300};
    env->second = (struct world_point){.task = world_task(2), .disk = env->first.disk};
    env->second.disk.blocks[ALONE] = 500;
    ASSERT_OK(store_world_create(&env->world, &env->err), &env->err);
    open_store(env);
    ASSERT_OK(world_point_commit(env->store, &env->first, NULL, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &env->second, &env->first, &env->err), &env->err);
    close_store(env);
    open_store(env);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    close_store(env);
    store_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}

/* ---- Records --------------------------------------------------------------------------------- */

static struct place place_of(struct env *env, uint64_t number)
{
    struct place place = {0};

    ASSERT_OK(store_places(env->store, &number, 1, &place, &env->err), &env->err);
    assert_true(place.length > 0);
    return place;
}

static uint64_t block_number(struct env *env, const struct world_point *point, uint64_t wanted)
{
    const struct store_domain *domain = store_default_domain(env->store);
    struct disk_walk *walk = NULL;
    struct disk_root root;
    struct ref ref = {0};
    uint64_t block = 0;
    uint64_t count = 0;
    bool end = false;

    ASSERT_OK(disk_tree_read_root(env->store, domain, &point->root, &root, &env->err), &env->err);
    ASSERT_OK(disk_walk_new(env->store, domain, &root, &walk, &env->err), &env->err);
    do {
        ASSERT_OK(disk_walk_next(walk, &block, &count, &ref, &end, &env->err), &env->err);
        assert_false(end);
    } while (block != wanted);
    disk_walk_free(walk);
    return ref.number;
}

/* The node of LEVEL 2 (the top) or 1 (the one over the first 128 blocks) of POINT's disk. */
static uint64_t node_number(struct env *env, const struct world_point *point, uint8_t level)
{
    const struct store_domain *domain = store_default_domain(env->store);
    struct tree_node node = {.level = 2};
    struct buffer stored;
    struct disk_root root;

    ASSERT_OK(disk_tree_read_root(env->store, domain, &point->root, &root, &env->err), &env->err);
    assert_int_equal(root.height, 2);
    if (level == 2)
        return root.top.number;
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(store_read(env->store, domain, KIND_NODE + 2, &root.top, &stored, &env->err),
              &env->err);
    ASSERT_OK(tree_node_decode(buffer_slice(&stored), &node, &env->err), &env->err);
    buffer_deinit(&stored);
    return node.children[0].number;
}

static uint64_t body_number(struct env *env, const struct world_point *point)
{
    struct envelope envelope = {0};
    struct buffer stored;

    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(store_read(env->store, store_default_domain(env->store), KIND_ENVELOPE,
                         &point->envelope, &stored, &env->err),
              &env->err);
    ASSERT_OK(envelope_decode_stored(buffer_slice(&stored), &envelope, &env->err), &env->err);

    uint64_t number = envelope.body.number;

    envelope_deinit(&envelope);
    buffer_deinit(&stored);
    return number;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void path_of(struct env *env, const struct random_id *pack, char path[PACK_PATH_SIZE])
{
    struct fs_file *file = NULL;

    pack_path(pack, PACK_DATA, path);
    if (fs_open(env->fs, path, FS_READ, &file, &env->err) != STATUS_OK)
        pack_path(pack, PACK_META, path);
    fs_close(file);
}

static uint64_t size_of(struct env *env, const struct random_id *pack)
{
    char path[PACK_PATH_SIZE];
    struct fs_file *file = NULL;
    uint64_t size = 0;

    path_of(env, pack, path);
    ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
    fs_close(file);
    return size;
}

static void read_pack(struct env *env, const struct random_id *pack, uint64_t offset, void *data,
                      size_t size)
{
    ASSERT_OK(store_read_pack(env->store, pack, offset, data, size, &env->err), &env->err);
}

static void write_pack(struct env *env, const struct random_id *pack, uint64_t offset,
                       struct slice bytes)
{
    char path[PACK_PATH_SIZE];
    struct fs_file *file = NULL;

    path_of(env, pack, path);
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_write_at(file, offset, bytes, &env->err), &env->err);
    fs_close(file);
}

static void resize_pack(struct env *env, const struct random_id *pack, uint64_t size)
{
    char path[PACK_PATH_SIZE];
    struct fs_file *file = NULL;

    path_of(env, pack, path);
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_resize(file, size, &env->err), &env->err);
    fs_close(file);
}

/* One bit of PACK at OFFSET is another one. */
static void flip(struct env *env, const struct random_id *pack, uint64_t offset)
{
    uint8_t byte = 0;

    read_pack(env, pack, offset, &byte, 1);
    byte ^= 0x10;
    write_pack(env, pack, offset, slice_of(&byte, 1));
}

/* In the payload of the record with NUMBER, or, from its start, at AT. */
static struct place flip_record(struct env *env, uint64_t number, uint64_t at)
{
    struct place place = place_of(env, number);

    flip(env, &place.pack, place.offset + at);
    return place;
}

enum { IN_HEADER = 40, IN_PAYLOAD = RECORD_HEADER_SIZE + 3 };

/* ---- A check --------------------------------------------------------------------------------- */

static enum status prove_and_take(struct check *check, struct check_chunk *const *chunks,
                                  size_t count, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = check_prove(check, chunks[i], err);
    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = check_take(check, chunks[i], err);
    return st;
}

static enum status run_packs(struct check *check, struct error *err)
{
    struct check_chunk *chunks[CHUNKS] = {NULL};
    bool end = false;
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < CHUNKS; i++)
        st = check_chunk_new(&chunks[i], err);
    while (st == STATUS_OK && !end) {
        size_t count = 0;

        while (st == STATUS_OK && !end && count < CHUNKS) {
            st = check_fill(check, chunks[count], &end, err);
            count += st == STATUS_OK && !end;
        }
        if (st == STATUS_OK)
            st = prove_and_take(check, chunks, count, err);
    }
    for (size_t i = 0; i < CHUNKS; i++)
        check_chunk_free(chunks[i]);
    return st;
}

static enum status try_check(struct env *env, bool keyless, struct error *err)
{
    const struct check_options options = {.store = env->store,
                                          .clock = clock_manual_source(env->world.clock),
                                          .keyless = keyless};
    bool end = false;

    check_free(env->check);
    env->check = NULL;
    enum status st = check_new(&options, &env->check, err);

    if (st == STATUS_OK)
        st = run_packs(env->check, err);
    while (st == STATUS_OK && !end)
        st = check_step(env->check, &end, err);
    if (st == STATUS_OK) {
        env->sum = check_get_sum(env->check);
        env->found = check_get_found(env->check);
    }
    return st;
}

static void run_check(struct env *env, bool keyless)
{
    ASSERT_OK(try_check(env, keyless, &env->err), &env->err);
}

static const char *word(enum check_wrong wrong)
{
    return check_wrong_text(wrong);
}

/* Finding AT is WRONG, of the record with NUMBER and KIND that lies at PLACE (NULL: anywhere). */
static void assert_bad(const struct env *env, size_t at, enum check_wrong wrong, uint8_t kind,
                       uint64_t number, const struct place *place)
{
    assert_true(at < env->found->bad_count);

    const struct check_bad *bad = &env->found->bad[at];

    if (bad->wrong != wrong)
        fail_msg("%s, not: %s", word(bad->wrong), word(wrong));
    assert_int_equal(bad->kind, kind);
    assert_int_equal(bad->number, number);
    if (place == NULL)
        return;
    assert_true(bad->in_pack);
    assert_true(random_id_equal(&bad->pack, &place->pack));
    assert_int_equal(bad->offset, place->offset);
    assert_int_equal(bad->length, place->length);
}

/* Loss AT is that of POINT's disk or file: one range, COUNT blocks from BLOCK on. */
static void assert_hurt(const struct env *env, size_t at, const struct world_point *point,
                        enum check_hurt_what what, uint64_t block, uint64_t count)
{
    assert_true(at < env->found->hurt_count);

    const struct check_hurt *hurt = &env->found->hurt[at];

    assert_int_equal(hurt->what, what);
    assert_true(random_id_equal(&hurt->task, &point->task));
    assert_true(id_equal(&hurt->point, &point->envelope.id));
    assert_int_equal(hurt->range_count, count > 0);
    if (count == 0)
        return;
    assert_int_equal(hurt->disk, 0);
    assert_int_equal(hurt->more_ranges, 0);
    assert_int_equal(hurt->ranges[0].offset, block * WORLD_BLOCK_SIZE);
    assert_int_equal(hurt->ranges[0].length, count * WORLD_BLOCK_SIZE);
    assert_int_equal(hurt->bytes, count * WORLD_BLOCK_SIZE);
}

static void assert_counts(const struct env *env, size_t bad, size_t hurt, uint64_t points)
{
    assert_int_equal(env->found->bad_count, bad);
    assert_int_equal(env->found->hurt_count, hurt);
    assert_int_equal(env->sum.bad, bad);
    assert_int_equal(env->sum.hurt_points, points);
    assert_int_equal(env->sum.bytes, env->sum.total);
    assert_false(env->sum.log_damaged);
}

/* ---- Nothing is wrong ------------------------------------------------------------------------ */

static void a_sound_repository_has_no_findings(void **state)
{
    struct env *env = *state;

    for (int keyless = 0; keyless < 2; keyless++) {
        run_check(env, keyless == 1);
        assert_counts(env, 0, 0, 0);
        assert_int_equal(env->sum.points, 2);
        assert_int_equal(env->sum.packs, 2);
        assert_true(env->sum.records > 0);
        assert_false(env->sum.caches_wrong);
        assert_int_equal(env->sum.unknown, 0);
        assert_int_equal(env->sum.tails, 0);
    }
}

static void records_that_no_point_needs_are_no_damage(void **state)
{
    struct env *env = *state;
    struct world_point orphan = {.task = world_task(3), .disk = world_disk_of(900, 3, 2)};

    ASSERT_OK(world_point_upload(env->store, &orphan, NULL, &env->err), &env->err);
    ASSERT_OK(store_sync(env->store, &env->err), &env->err);
    run_check(env, false);
    assert_counts(env, 0, 0, 0);
    assert_false(env->sum.caches_wrong);
}

static void what_lies_above_the_synced_length_of_an_unsealed_pack_is_no_damage(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(700, 3, 2)};

    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);

    struct place place = place_of(env, block_number(env, &third, 0));
    uint8_t torn[200] = {1, 2, 3};

    write_pack(env, &place.pack, size_of(env, &place.pack), slice_of(torn, sizeof(torn)));
    run_check(env, false);
    assert_counts(env, 0, 0, 0);
    assert_int_equal(env->sum.tails, 1);
}

static void damage_below_the_synced_length_of_an_unsealed_pack_is_found(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(700, 3, 2)};

    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);

    uint64_t number = block_number(env, &third, 2);
    struct place place = flip_record(env, number, IN_PAYLOAD);

    run_check(env, true);
    assert_counts(env, 1, 1, 1);
    assert_bad(env, 0, CHECK_PAYLOAD, KIND_BLOCK, number, &place);
    assert_hurt(env, 0, &third, CHECK_HURT_DISK, 2, 1);
}

static void an_unsealed_pack_that_is_shorter_than_it_was_is_found(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(700, 3, 2)};

    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);

    uint64_t number = block_number(env, &third, 4);
    struct place place = place_of(env, number);

    resize_pack(env, &place.pack, place.offset);
    run_check(env, false);
    assert_int_equal(env->found->bad[0].wrong, CHECK_PACK_SHORT);
    assert_int_equal(env->found->bad[0].offset, place.offset);
    assert_bad(env, 1, CHECK_ABSENT, KIND_BLOCK, number, &place);
    assert_int_equal(env->found->bad_count, 2);
    assert_hurt(env, 0, &third, CHECK_HURT_DISK, 4, 1);
}

/* ---- Records --------------------------------------------------------------------------------- */

static void a_flipped_bit_of_a_block_names_every_point_that_needs_it(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);
    struct place place = flip_record(env, number, IN_PAYLOAD);

    for (int keyless = 0; keyless < 2; keyless++) {
        run_check(env, keyless == 1);
        assert_counts(env, 1, 2, 2);
        assert_bad(env, 0, CHECK_PAYLOAD, KIND_BLOCK, number, &place);
        assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, STEP, 1);
        assert_hurt(env, 1, &env->second, CHECK_HURT_DISK, STEP, 1);
        assert_false(env->sum.caches_wrong);
    }
    flip_record(env, number, IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 0, 0, 0);
}

static void a_block_of_one_point_alone_hurts_no_other(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->second, ALONE);

    flip_record(env, number, IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_hurt(env, 0, &env->second, CHECK_HURT_DISK, ALONE, 1);
}

static void a_damaged_header_is_named_by_the_packs_index(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, TWO_STEPS);
    struct place place = flip_record(env, number, IN_HEADER);

    run_check(env, false);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_HEADER, KIND_BLOCK, number, &place);
    assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, TWO_STEPS, 1);
}

static void a_damaged_node_hurts_its_whole_span(void **state)
{
    struct env *env = *state;
    uint64_t number = node_number(env, &env->first, 1);
    struct place place = flip_record(env, number, IN_PAYLOAD);

    run_check(env, true);
    assert_counts(env, 1, 2, 2); /* the second point shares it */
    assert_bad(env, 0, CHECK_PAYLOAD, KIND_NODE + 1, number, &place);
    assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, 0, TREE_FANOUT);
    assert_hurt(env, 1, &env->second, CHECK_HURT_DISK, 0, TREE_FANOUT);
}

static void a_damaged_top_hurts_the_whole_disk(void **state)
{
    struct env *env = *state;

    flip_record(env, node_number(env, &env->second, 2), IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_hurt(env, 0, &env->second, CHECK_HURT_DISK, 0, WORLD_BLOCKS);
}

static void a_damaged_root_hurts_the_whole_disk(void **state)
{
    struct env *env = *state;
    struct place place = flip_record(env, env->first.root.number, IN_PAYLOAD);

    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_bad(env, 0, CHECK_PAYLOAD, KIND_DISK_ROOT, env->first.root.number, &place);
    assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, 0, WORLD_BLOCKS);
}

static void a_damaged_root_of_a_file_hurts_the_file(void **state)
{
    struct env *env = *state;

    flip_record(env, env->first.file_root.number, IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_int_equal(env->found->hurt[0].what, CHECK_HURT_FILE);
    assert_int_equal(env->found->hurt[0].bytes, env->found->hurt[0].size);
    assert_true(env->found->hurt[0].bytes > TWO_BLOCKS);
}

static void a_damaged_envelope_hurts_the_point(void **state)
{
    struct env *env = *state;
    struct place place = flip_record(env, env->first.envelope.number, IN_PAYLOAD);

    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_bad(env, 0, CHECK_PAYLOAD, KIND_ENVELOPE, env->first.envelope.number, &place);
    assert_hurt(env, 0, &env->first, CHECK_HURT_POINT, 0, 0);
}

static void a_damaged_body_hurts_the_point(void **state)
{
    struct env *env = *state;
    uint64_t number = body_number(env, &env->second);
    struct place place = flip_record(env, number, IN_PAYLOAD);

    run_check(env, true);
    assert_counts(env, 1, 1, 1);
    assert_bad(env, 0, CHECK_PAYLOAD, KIND_BODY, number, &place);
    assert_hurt(env, 0, &env->second, CHECK_HURT_POINT, 0, 0);
}

/* Seals the block NUMBER anew, over itself, after CHANGE. */
static void reseal(struct env *env, uint64_t number,
                   void (*change)(struct record_header *header, struct buffer *packed))
{
    struct place place = place_of(env, number);
    struct record_header header = {0};
    struct buffer record;
    struct buffer packed;

    buffer_init(&record, RECORD_SIZE_MAX);
    buffer_init(&packed, RECORD_STORED_MAX);
    ASSERT_OK(store_fetch(env->store, number, &record, &env->err), &env->err);
    ASSERT_OK(record_unseal(store_keys(env->store), buffer_slice(&record), &header, &packed,
                            &env->err),
              &env->err);
    change(&header, &packed);
    buffer_clear(&record);
    ASSERT_OK(record_seal(store_keys(env->store), &env->world.random.source, &header,
                          buffer_slice(&packed), &record, &env->err),
              &env->err);
    assert_int_equal(record.size, place.length);
    write_pack(env, &place.pack, place.offset, buffer_slice(&record));
    buffer_deinit(&record);
    buffer_deinit(&packed);
}

/* What it unpacks to is another thing: the zstd frame's last literal. */
static void change_nothing(struct record_header *header, struct buffer *packed)
{
    (void)header;
    (void)packed;
}

static void change_id(struct record_header *header, struct buffer *packed)
{
    (void)packed;
    header->id.bytes[20] ^= 1; /* not one of those that places know */
}

static void change_number(struct record_header *header, struct buffer *packed)
{
    (void)packed;
    header->number += 40; /* reserved, and never used */
}

static void change_domain(struct record_header *header, struct buffer *packed)
{
    (void)packed;
    header->domain.bytes[0] ^= 1;
}

static void a_record_that_was_sealed_anew_is_no_damage(void **state)
{
    struct env *env = *state;

    reseal(env, block_number(env, &env->first, STEP), change_nothing);
    run_check(env, false);
    assert_counts(env, 0, 0, 0);
}

static void content_that_is_not_its_id_is_found_with_keys_only(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);

    reseal(env, number, change_id);
    run_check(env, false);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_CONTENT, KIND_BLOCK, number, NULL);
    run_check(env, true);
    assert_counts(env, 0, 0, 0);
}

static void a_record_of_another_number_in_its_place_is_found(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);
    struct place place = place_of(env, number);

    reseal(env, number, change_number);
    run_check(env, true);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_ANOTHER, KIND_BLOCK, number, &place);
    assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, STEP, 1);
}

static void a_record_of_an_unknown_domain_is_found(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);

    reseal(env, number, change_domain);
    run_check(env, false);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_DOMAIN, KIND_BLOCK, number, NULL);
}

/* A whole sound record of another number, byte for byte. */
static void a_sound_record_that_was_copied_over_another_is_found(void **state)
{
    struct env *env = *state;
    uint64_t lost = block_number(env, &env->first, STEP);
    uint64_t copied = block_number(env, &env->first, TWO_STEPS);
    struct place to = place_of(env, lost);
    struct place from = place_of(env, copied);
    uint8_t bytes[TWO_BLOCKS];

    assert_true(from.length <= sizeof(bytes) && from.length == to.length);
    read_pack(env, &from.pack, from.offset, bytes, from.length);
    write_pack(env, &to.pack, to.offset, slice_of(bytes, from.length));
    run_check(env, false);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_ANOTHER, KIND_BLOCK, lost, &to);
    assert_hurt(env, 0, &env->first, CHECK_HURT_DISK, STEP, 1);
    assert_false(env->sum.caches_wrong);
}

/* ---- Packs ----------------------------------------------------------------------------------- */

static void pack_is_found(struct env *env, uint64_t offset, enum check_wrong wrong)
{
    struct place place = place_of(env, block_number(env, &env->first, 0));

    flip(env, &place.pack, offset < 100 ? offset : size_of(env, &place.pack) - offset + 100);
    run_check(env, false);
    assert_counts(env, 1, 0, 0); /* nothing is lost by that */
    assert_int_equal(env->found->bad[0].wrong, wrong);
    assert_true(random_id_equal(&env->found->bad[0].pack, &place.pack));
}

static void a_damaged_pack_header_is_found(void **state)
{
    pack_is_found(*state, 20, CHECK_PACK_HEADER);
}

static void a_damaged_footer_is_found(void **state)
{
    pack_is_found(*state, 100 + 10, CHECK_PACK_FOOTER);
}

static void a_damaged_index_of_a_pack_is_found(void **state)
{
    pack_is_found(*state, IN_BAD_INDEX, CHECK_PACK_INDEX);
}

static void a_missing_pack_is_found_with_all_that_was_in_it(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, 0);
    struct place place = place_of(env, number);
    char path[PACK_PATH_SIZE];

    path_of(env, &place.pack, path);
    close_store(env);
    open_store(env);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    run_check(env, false);
    assert_int_equal(env->found->bad[0].wrong, CHECK_PACK_MISSING);
    assert_true(random_id_equal(&env->found->bad[0].pack, &place.pack));
    assert_int_equal(env->sum.bad, 1 + COUNT + 1 + 3); /* blocks of both, and of the file */
    assert_bad(env, 1, CHECK_ABSENT, KIND_BLOCK, number, &place);
    assert_int_equal(env->sum.hurt_points, 2);
    assert_int_equal(env->found->hurt[0].range_count, COUNT);
    assert_int_equal(env->found->hurt[0].ranges[1].offset, (uint64_t)STEP * WORLD_BLOCK_SIZE);

    /* Also where the caches have forgotten it. */
    close_store(env);
    store_world_set_index(&env->world, index_memory_new());
    open_store(env);
    run_check(env, false);
    assert_int_equal(env->sum.hurt_points, 2);
}

/* A copy of the pack as it was before its last record. */
static void a_stale_copy_of_a_pack_is_found(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->second, ALONE);
    struct place place = place_of(env, number);

    resize_pack(env, &place.pack, place.offset);
    run_check(env, false);
    assert_int_equal(env->sum.hurt_points, 1);
    assert_hurt(env, 0, &env->second, CHECK_HURT_DISK, ALONE, 1);
    assert_int_equal(env->found->bad[env->found->bad_count - 1].number, number);
}

static void bytes_between_records_are_found(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);
    struct place place = place_of(env, number);
    uint8_t zeros[64] = {0};

    write_pack(env, &place.pack, place.offset, slice_of(zeros, sizeof(zeros)));
    run_check(env, false);
    assert_counts(env, 1, 2, 2);
    assert_bad(env, 0, CHECK_HEADER, KIND_BLOCK, number, &place);
}

/* ---- Caches ---------------------------------------------------------------------------------- */

static void a_wrong_place_is_the_caches_fault(void **state)
{
    struct env *env = *state;
    uint64_t number = block_number(env, &env->first, STEP);
    struct place place = place_of(env, number);
    struct index_record record = {.domain = store_default_domain(env->store)->id,
                                  .number = number,
                                  .place = place};
    struct index_batch batch = {.records = &record, .record_count = 1};
    struct buffer bytes;
    struct record_header header;

    buffer_init(&bytes, RECORD_SIZE_MAX);
    ASSERT_OK(store_fetch(env->store, number, &bytes, &env->err), &env->err);
    ASSERT_OK(record_decode_header(buffer_slice(&bytes), &header, &env->err), &env->err);
    buffer_deinit(&bytes);
    record.id = header.id;
    record.place.offset += 8;
    ASSERT_OK(env->world.index->ops->apply(env->world.index, &batch, &env->err), &env->err);
    run_check(env, false);
    assert_counts(env, 0, 0, 0);
    assert_int_equal(env->sum.misplaced, 1);
    assert_true(env->sum.caches_wrong);
    ASSERT_OK(store_rebuild(env->store, NULL, NULL, &env->err), &env->err);
    run_check(env, false);
    assert_false(env->sum.caches_wrong);
    assert_counts(env, 0, 0, 0);
}

static void records_that_no_cache_knows_are_the_caches_fault(void **state)
{
    struct env *env = *state;

    ASSERT_OK(env->world.index->ops->clear(env->world.index, &env->err), &env->err);
    run_check(env, false);
    assert_int_equal(env->sum.unknown, env->sum.records);
    assert_true(env->sum.unknown > 0);
    assert_true(env->sum.caches_wrong);
    assert_counts(env, 0, 0, 0); /* nothing is lost */
    ASSERT_OK(store_rebuild(env->store, NULL, NULL, &env->err), &env->err);
    run_check(env, false);
    assert_int_equal(env->sum.unknown, 0);
    assert_false(env->sum.caches_wrong);
}

/* ---- What is noted --------------------------------------------------------------------------- */

static void a_check_notes_which_packs_it_has_proved(void **state)
{
    struct env *env = *state;
    struct store_status status;

    clock_manual_set_wall_us(env->world.clock, 5000);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_int_equal(status.proved_packs, 0);
    assert_int_equal(status.proved_us, 0);
    run_check(env, false);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_int_equal(status.proved_packs, 2);
    assert_int_equal(status.proved_us, 5000);
    assert_int_equal(status.damaged_packs, 0);
    flip_record(env, block_number(env, &env->first, 0), IN_PAYLOAD);
    clock_manual_set_wall_us(env->world.clock, 6000);
    run_check(env, false);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_int_equal(status.proved_us, 6000);
    assert_int_equal(status.damaged_packs, 1);
}

static void a_pack_that_is_still_written_leaves_the_others_proved(void **state)
{
    static const uint8_t text[] = "a block that opens a pack";
    struct env *env = *state;
    struct slice bytes = slice_of(text, sizeof(text));
    struct store_status status;
    struct ref ref;

    clock_manual_set_wall_us(env->world.clock, 5000);
    run_check(env, false);
    ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_BLOCK, bytes, bytes,
                        &ref, &env->err),
              &env->err);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_int_equal(status.unsealed_packs, 1);
    assert_int_equal(status.proved_packs, 2);
    assert_int_equal(status.proved_us, 5000);
}

/* ---- Partial trees, trash -------------------------------------------------------------------- */

static void a_partial_tree_is_walked_and_no_point_of_it_counts(void **state)
{
    struct env *env = *state;
    const struct store_domain *domain = store_default_domain(env->store);
    static const struct world_disk holes;
    struct world_disk disk = world_disk_of(800, 4, 1);
    struct store_partial partial = {.task = world_task(9), .domain = domain->id, .blocks = 4};
    struct disk_tree *tree = NULL;
    struct disk_root root;

    ASSERT_OK(world_tree_new(env->store, domain, NULL, &tree, &env->err), &env->err);
    ASSERT_OK(world_put_blocks(env->store, domain, tree, &disk, &holes, (struct world_part){0, 4},
                               &env->err),
              &env->err);
    ASSERT_OK(disk_tree_finish(tree, &root, &partial.root, &env->err), &env->err);
    disk_tree_free(tree);
    ASSERT_OK(store_save_partial(env->store, &partial, &env->err), &env->err);

    struct world_point unfinished = {.root = partial.root};

    flip_record(env, block_number(env, &unfinished, 3), IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 1, 1, 0);
    assert_int_equal(env->found->hurt[0].what, CHECK_HURT_PARTIAL);
    assert_true(random_id_equal(&env->found->hurt[0].task, &partial.task));
    assert_int_equal(env->found->hurt[0].ranges[0].offset, (uint64_t)3 * WORLD_BLOCK_SIZE);
}

static void a_point_in_the_trash_is_walked(void **state)
{
    struct env *env = *state;

    ASSERT_OK(store_trash(env->store, &env->second.task, 1000000, 1, &env->err), &env->err);
    flip_record(env, block_number(env, &env->second, ALONE), IN_PAYLOAD);
    run_check(env, false);
    assert_counts(env, 1, 1, 1);
    assert_true(env->found->hurt[0].trashed);
}

/* ---- Failures -------------------------------------------------------------------------------- */

struct failing {
    struct env *env;
    enum status worst;
};

/* A check that fails is one that says so; one that ends has told the truth. */
static void check_with_faults(void *arg, uint64_t n)
{
    struct env *env = ((struct failing *)arg)->env;
    struct error err = {0};

    (void)n;
    enum status st = try_check(env, false, &err);

    faults_arm(env->faults, 0, 0);
    if (st != STATUS_OK)
        assert_true(err.text[0] != '\0');
    else if (env->sum.bad > 0)
        assert_int_equal(env->found->bad[0].wrong == CHECK_UNREADABLE ||
                             env->found->bad[0].wrong == CHECK_CONTENT ||
                             env->found->bad[0].wrong >= CHECK_PACK_MISSING,
                         true);
}

static void no_allocation_that_fails_is_lost(void **state)
{
    struct failing failing = {.env = *state};

    assert_true(fail_each(failing.env->faults, FAULT_ALLOC, check_with_faults, &failing) > 20);
    run_check(failing.env, false);
    assert_counts(failing.env, 0, 0, 0);
}

static void no_input_or_output_that_fails_is_lost(void **state)
{
    struct failing failing = {.env = *state};

    assert_true(fail_each(failing.env->faults, FAULT_IO, check_with_faults, &failing) > 10);
    run_check(failing.env, false);
    assert_counts(failing.env, 0, 0, 0);
}

/* ---- Numbers, ranges ------------------------------------------------------------------------- */

static void numbers_far_apart_keep_their_flags(void **state)
{
    static const uint64_t rows[] = {1, 2, 32767, 32768, UINT64_C(1) << 40, UINT64_MAX};
    struct check_numbers numbers = {0};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 6; i++)
        ASSERT_OK(check_numbers_set(&numbers, rows[i], i % 2 == 0 ? CHECK_SOUND : CHECK_TOLD, &err),
                  &err);
    ASSERT_OK(check_numbers_set(&numbers, 1, CHECK_CLEAN, &err), &err);
    assert_int_equal(check_numbers_get(&numbers, 1), CHECK_SOUND | CHECK_CLEAN);
    for (size_t i = 1; i < 6; i++)
        assert_int_equal(check_numbers_get(&numbers, rows[i]),
                         i % 2 == 0 ? CHECK_SOUND : CHECK_TOLD);
    assert_int_equal(check_numbers_get(&numbers, 3), 0);
    check_numbers_deinit(&numbers);
}

static void ranges_are_merged_and_capped(void **state)
{
    struct check_hurt hurt = {.size = 100000};

    (void)state;
    for (uint64_t i = 0; i < 40; i += 2)
        check_hurt_add(&hurt, (struct range){.offset = i * 100, .length = 100});
    assert_int_equal(hurt.range_count, CHECK_RANGES_MAX);
    assert_int_equal(hurt.more_ranges, 20 - CHECK_RANGES_MAX);
    check_hurt_add(&hurt, (struct range){.offset = 3900, .length = 100}); /* goes on */
    assert_int_equal(hurt.more_ranges, 20 - CHECK_RANGES_MAX);
    check_hurt_add(&hurt, (struct range){.offset = 99990, .length = 100}); /* past the end */
    assert_int_equal(hurt.bytes, 21 * 100 + 10);
    check_hurt_add(&hurt, (struct range){.offset = 100000, .length = 1});
    assert_int_equal(hurt.bytes, 21 * 100 + 10);
}

#define WITH_STORE(TEST) cmocka_unit_test_setup_teardown(TEST, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_sound_repository_has_no_findings),
        WITH_STORE(records_that_no_point_needs_are_no_damage),
        WITH_STORE(what_lies_above_the_synced_length_of_an_unsealed_pack_is_no_damage),
        WITH_STORE(damage_below_the_synced_length_of_an_unsealed_pack_is_found),
        WITH_STORE(an_unsealed_pack_that_is_shorter_than_it_was_is_found),
        WITH_STORE(a_flipped_bit_of_a_block_names_every_point_that_needs_it),
        WITH_STORE(a_block_of_one_point_alone_hurts_no_other),
        WITH_STORE(a_damaged_header_is_named_by_the_packs_index),
        WITH_STORE(a_damaged_node_hurts_its_whole_span),
        WITH_STORE(a_damaged_top_hurts_the_whole_disk),
        WITH_STORE(a_damaged_root_hurts_the_whole_disk),
        WITH_STORE(a_damaged_root_of_a_file_hurts_the_file),
        WITH_STORE(a_damaged_envelope_hurts_the_point),
        WITH_STORE(a_damaged_body_hurts_the_point),
        WITH_STORE(a_record_that_was_sealed_anew_is_no_damage),
        WITH_STORE(content_that_is_not_its_id_is_found_with_keys_only),
        WITH_STORE(a_record_of_another_number_in_its_place_is_found),
        WITH_STORE(a_record_of_an_unknown_domain_is_found),
        WITH_STORE(a_sound_record_that_was_copied_over_another_is_found),
        WITH_STORE(a_damaged_pack_header_is_found),
        WITH_STORE(a_damaged_footer_is_found),
        WITH_STORE(a_damaged_index_of_a_pack_is_found),
        WITH_STORE(a_missing_pack_is_found_with_all_that_was_in_it),
        WITH_STORE(a_stale_copy_of_a_pack_is_found),
        WITH_STORE(bytes_between_records_are_found),
        WITH_STORE(a_wrong_place_is_the_caches_fault),
        WITH_STORE(records_that_no_cache_knows_are_the_caches_fault),
        WITH_STORE(a_check_notes_which_packs_it_has_proved),
        WITH_STORE(a_pack_that_is_still_written_leaves_the_others_proved),
        WITH_STORE(a_partial_tree_is_walked_and_no_point_of_it_counts),
        WITH_STORE(a_point_in_the_trash_is_walked),
        WITH_STORE(no_allocation_that_fails_is_lost),
        WITH_STORE(no_input_or_output_that_fails_is_lost),
        cmocka_unit_test(numbers_far_apart_keep_their_flags),
        cmocka_unit_test(ranges_are_merged_and_capped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
