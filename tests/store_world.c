#include "tests/store_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "format/manifest.h"
#include "tests/support/test.h"

void store_world_init(struct store_world *world, struct fs *fs, uint64_t pack_size, uint64_t seed)
{
    struct error err = {0};

    *world = (struct store_world){.fs = fs, .random = random_seeded_of(seed)};
    world->index = index_memory_new();
    world->clock = clock_manual_new();
    assert_int_equal(pipe(world->log_fds), 0);
    assert_int_equal(fcntl(world->log_fds[0], F_SETFL, O_NONBLOCK), 0);
    ASSERT_OK(log_sink_new(world->log_fds[1], LOG_TEXT, LOG_INFO, clock_manual_source(world->clock),
                           &world->sink, &err),
              &err);
    world->log = log_of(world->sink);
    memset(world->key.bytes, 7, sizeof(world->key.bytes));
    world->options = (struct store_options){
        .fs = fs,
        .index = world->index,
        .random = &world->random.source,
        .clock = clock_manual_source(world->clock),
        .log = &world->log,
        .pack_size = pack_size,
        .number_range = 64,
    };
}

void store_world_deinit(struct store_world *world)
{
    world->index->ops->free(world->index);
    clock_manual_free(world->clock);
    log_sink_free(world->sink);
    (void)close(world->log_fds[0]); /* only lines for the test */
    (void)close(world->log_fds[1]);
}

void store_world_set_index(struct store_world *world, struct index *take_index)
{
    world->index->ops->free(world->index);
    world->index = take_index;
    world->options.index = take_index;
}

void store_world_set_fs(struct store_world *world, struct fs *fs, uint64_t seed)
{
    world->fs = fs;
    world->options.fs = fs;
    world->random = random_seeded_of(seed);
    world->options.random = &world->random.source;
}

const char *store_world_lines(struct store_world *world)
{
    ssize_t got = read(world->log_fds[0], world->lines, sizeof(world->lines) - 1);

    world->lines[got > 0 ? got : 0] = '\0';
    return world->lines;
}

enum status store_world_create(struct store_world *world, struct error *err)
{
    return store_create(&world->options, &world->key, err);
}

enum status store_world_open(struct store_world *world, struct store **ret_store, struct error *err)
{
    return store_open(&world->options, &world->key, ret_store, err);
}

/* --- points ------------------------------------------------------------------------------------ */

struct random_id world_task(unsigned number)
{
    struct random_id task = {{'t', 'a', 's', 'k', (uint8_t)(number >> 8), (uint8_t)number}};

    return task;
}

struct world_disk world_disk_of(uint16_t first, unsigned count, unsigned step)
{
    struct world_disk disk = {{0}};

    for (unsigned i = 0; i < count; i++)
        disk.blocks[(size_t)i * step % WORLD_BLOCKS] = (uint16_t)(first + i);
    return disk;
}

/* Content number CONTENT: not to be compressed well, and never a hole. */
static void fill_block(uint16_t content, uint8_t block[WORLD_BLOCK_SIZE])
{
    struct random_seeded random = random_seeded_of(content);

    memset(block, content & 0xff, WORLD_BLOCK_SIZE);
    for (size_t i = 0; i < 256; i++)
        block[i] = (uint8_t)random_seeded_next(&random);
    block[0] = (uint8_t)(content | 1);
}

static const struct disk_root geometry = {
    .size = (uint64_t)WORLD_BLOCKS * WORLD_BLOCK_SIZE,
    .block_size = WORLD_BLOCK_SIZE,
    .logical_sector = 512,
    .physical_sector = 4096,
};

/* The blocks that are others than the parent's. */
static enum status put_blocks(struct store *store, struct disk_tree *tree,
                              const struct world_disk *disk, const struct world_disk *parent,
                              struct error *err)
{
    uint8_t block[WORLD_BLOCK_SIZE];
    enum status st = STATUS_OK;

    for (unsigned i = 0; st == STATUS_OK && i < WORLD_BLOCKS; i++) {
        struct slice bytes = slice_of(block, sizeof(block));
        struct ref ref = {0};

        if (disk->blocks[i] == parent->blocks[i])
            continue;
        if (disk->blocks[i] == 0) {
            st = disk_tree_put_holes(tree, i, 1, err);
            continue;
        }
        fill_block(disk->blocks[i], block);
        st = store_put(store, KIND_BLOCK, bytes, bytes, &ref, err);
        if (st == STATUS_OK)
            st = disk_tree_put(tree, i, &ref, err);
    }
    return st;
}

static enum status put_envelope(struct store *store, struct world_point *point, struct error *err)
{
    struct slice statement = slice_of(point->task.bytes, RANDOM_ID_SIZE);
    struct envelope_disk disk = {.size = geometry.size, .root = point->root};
    struct envelope envelope = {.vm = {{'v', 'm'}}, .time_us = 1, .disks = &disk, .disk_count = 1};
    struct buffer plain;
    struct buffer stored;

    buffer_init(&plain, RECORD_PLAIN_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    /* The store does not look into a body. */
    enum status st = store_put(store, KIND_BODY, statement, statement, &envelope.body, err);

    envelope_encode_plain(&envelope, &plain);
    envelope_encode_stored(&envelope, &stored);
    if (st == STATUS_OK)
        st = buffer_check(&plain, "an envelope", err);
    if (st == STATUS_OK)
        st = buffer_check(&stored, "an envelope", err);
    if (st == STATUS_OK)
        st = store_put(store, KIND_ENVELOPE, buffer_slice(&plain), buffer_slice(&stored),
                       &point->envelope, err);
    buffer_deinit(&plain);
    buffer_deinit(&stored);
    return st;
}

enum status world_point_upload(struct store *store, struct world_point *point,
                               const struct world_point *parent, struct error *err)
{
    static const struct world_disk holes;
    struct disk_tree *tree = NULL;
    struct disk_root root;
    enum status st =
        disk_tree_new(store, &geometry, parent == NULL ? NULL : &parent->root.id, &tree, err);

    if (st == STATUS_OK)
        st = put_blocks(store, tree, &point->disk, parent == NULL ? &holes : &parent->disk, err);
    if (st == STATUS_OK)
        st = disk_tree_finish(tree, &root, &point->root, err);
    disk_tree_free(tree);
    return st == STATUS_OK ? put_envelope(store, point, err) : st;
}

enum status world_point_commit(struct store *store, struct world_point *point,
                               const struct world_point *parent, struct error *err)
{
    struct store_point shown;
    enum status st = world_point_upload(store, point, parent, err);

    return st == STATUS_OK ? store_commit(store, &point->task, &point->envelope, &shown, err) : st;
}

/* --- reading back ------------------------------------------------------------------------------ */

static enum status check_blocks(struct store *store, const struct disk_root *root,
                                const struct world_disk *disk, struct error *err)
{
    struct disk_walk *walk = NULL;
    struct buffer stored;
    uint8_t expected[WORLD_BLOCK_SIZE];
    struct world_disk left = *disk;
    bool end = false;
    enum status st = disk_walk_new(store, root, &walk, err);

    buffer_init(&stored, RECORD_PLAIN_MAX);
    while (st == STATUS_OK) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref;

        st = disk_walk_next(walk, &block, &count, &ref, &end, err);
        if (st != STATUS_OK || end)
            break;
        st = store_read(store, KIND_BLOCK, &ref, &stored, err);
        if (st != STATUS_OK)
            break;
        fill_block(left.blocks[block], expected);
        if (left.blocks[block] == 0 ||
            !slice_equal(buffer_slice(&stored), slice_of(expected, sizeof(expected))))
            st = error_set(err, STATUS_CORRUPT, "block %" PRIu64 " has another content", block);
        left.blocks[block] = 0;
    }
    for (unsigned i = 0; st == STATUS_OK && i < WORLD_BLOCKS; i++) {
        if (left.blocks[i] != 0)
            st = error_set(err, STATUS_CORRUPT, "block %u is missing", i);
    }
    buffer_deinit(&stored);
    disk_walk_free(walk);
    return st;
}

enum status world_point_check(struct store *store, const struct world_point *point,
                              struct error *err)
{
    struct envelope envelope = {0};
    struct disk_root root;
    struct buffer stored;
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);
    const struct ref *ref = NULL;

    for (size_t i = 0; i < count; i++) {
        if (random_id_equal(&points[i].task, &point->task))
            ref = &points[i].envelope;
    }
    if (ref == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there is no such point");
    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status st = store_read(store, KIND_ENVELOPE, ref, &stored, err);

    if (st == STATUS_OK)
        st = envelope_decode_stored(buffer_slice(&stored), &envelope, err);
    if (st == STATUS_OK)
        st = store_read(store, KIND_BODY, &envelope.body, &stored, err);
    if (st == STATUS_OK)
        st = disk_tree_read_root(store, &envelope.disks[0].root, &root, err);
    if (st == STATUS_OK)
        st = check_blocks(store, &root, &point->disk, err);
    envelope_deinit(&envelope);
    buffer_deinit(&stored);
    return st;
}

bool world_shows(const struct store *store, const struct random_id *task)
{
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);

    for (size_t i = 0; i < count; i++) {
        if (random_id_equal(&points[i].task, task))
            return true;
    }
    return false;
}
