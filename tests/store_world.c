#include "tests/store_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
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

const struct store_domain *world_domain(const struct store *store, const struct world_point *point)
{
    static const struct random_id zeros;

    return random_id_equal(&point->domain, &zeros) ? store_default_domain(store)
                                                   : store_find_domain(store, &point->domain);
}

enum status world_tree_new(struct store *store, const struct store_domain *domain,
                           const struct id *parent, struct disk_tree **ret_tree, struct error *err)
{
    return disk_tree_new(store, domain, &geometry, parent, ret_tree, err);
}

enum status world_put_blocks(struct store *store, const struct store_domain *domain,
                             struct disk_tree *tree, const struct world_disk *disk,
                             const struct world_disk *parent, struct world_part part,
                             struct error *err)
{
    static const struct world_disk holes;
    const struct world_disk *before = parent == NULL ? &holes : parent;
    uint8_t block[WORLD_BLOCK_SIZE];
    enum status st = STATUS_OK;

    for (unsigned i = part.from; st == STATUS_OK && i < part.to; i++) {
        struct slice bytes = slice_of(block, sizeof(block));
        struct ref ref = {0};

        if (disk->blocks[i] == before->blocks[i])
            continue;
        if (disk->blocks[i] == 0) {
            st = disk_tree_put_holes(tree, i, 1, err);
            continue;
        }
        fill_block(disk->blocks[i], block);
        st = store_put(store, domain, KIND_BLOCK, bytes, bytes, &ref, err);
        if (st == STATUS_OK)
            st = disk_tree_put(tree, i, &ref, err);
    }
    return st;
}

/* --- files ------------------------------------------------------------------------------------- */

enum { FILE_BLOCKS = 3, FILE_LAST = 100 };

static const struct disk_root file_geometry = {
    .size = (uint64_t)(FILE_BLOCKS - 1) * WORLD_BLOCK_SIZE + FILE_LAST,
    .block_size = WORLD_BLOCK_SIZE,
};

static struct slice file_block(uint16_t content, unsigned block, uint8_t bytes[WORLD_BLOCK_SIZE])
{
    fill_block((uint16_t)(content + block), bytes);
    return slice_of(bytes, block + 1 < FILE_BLOCKS ? WORLD_BLOCK_SIZE : FILE_LAST);
}

static enum status put_file(struct store *store, const struct store_domain *domain,
                            uint16_t content, struct ref *ret_ref, struct error *err)
{
    struct disk_tree *tree = NULL;
    struct disk_root root;
    uint8_t bytes[WORLD_BLOCK_SIZE];
    enum status st = disk_tree_new(store, domain, &file_geometry, NULL, &tree, err);

    for (unsigned i = 0; st == STATUS_OK && i < FILE_BLOCKS; i++) {
        struct slice block = file_block(content, i, bytes);
        struct ref ref = {0};

        st = store_put(store, domain, KIND_BLOCK, block, block, &ref, err);
        if (st == STATUS_OK)
            st = disk_tree_put(tree, i, &ref, err);
    }
    if (st == STATUS_OK)
        st = disk_tree_finish(tree, &root, ret_ref, err);
    disk_tree_free(tree);
    return st;
}

static enum status check_file(struct store *store, const struct store_domain *domain,
                              const struct envelope_disk *file, uint16_t content, struct error *err)
{
    struct disk_walk *walk = NULL;
    struct disk_root root;
    struct buffer stored;
    uint8_t bytes[WORLD_BLOCK_SIZE];
    unsigned seen = 0;
    bool end = false;
    enum status st = disk_tree_read_file_root(store, domain, &file->root, &root, err);

    buffer_init(&stored, RECORD_PLAIN_MAX);
    if (st == STATUS_OK)
        st = disk_walk_new(store, domain, &root, &walk, err);
    while (st == STATUS_OK && !end) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref;

        st = disk_walk_next(walk, &block, &count, &ref, &end, err);
        if (st != STATUS_OK || end)
            break;
        st = store_read(store, domain, KIND_BLOCK, &ref, &stored, err);
        if (st == STATUS_OK &&
            !slice_equal(buffer_slice(&stored), file_block(content, (unsigned)block, bytes)))
            st = error_set(err, STATUS_CORRUPT, "block %" PRIu64 " of the file is another", block);
        seen++;
    }
    if (st == STATUS_OK && (seen != FILE_BLOCKS || root.size != file_geometry.size))
        st = error_set(err, STATUS_CORRUPT, "the file has %u blocks", seen);
    buffer_deinit(&stored);
    disk_walk_free(walk);
    return st;
}

/* --- envelopes --------------------------------------------------------------------------------- */

enum status world_put_envelope(struct store *store, struct world_point *point, struct error *err)
{
    const struct store_domain *domain = world_domain(store, point);
    struct slice statement = slice_of(point->task.bytes, RANDOM_ID_SIZE);
    struct envelope_disk disk = {.size = geometry.size, .root = point->root};
    struct envelope_disk file = {.size = file_geometry.size};
    struct envelope envelope = {.vm = {{'v', 'm'}}, .time_us = 1, .disks = &disk, .disk_count = 1};
    struct buffer plain;
    struct buffer stored;
    enum status st = STATUS_OK;

    buffer_init(&plain, RECORD_PLAIN_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    if (point->file != 0) {
        st = put_file(store, domain, point->file, &point->file_root, err);
        file.root = point->file_root;
        envelope.files = &file;
        envelope.file_count = 1;
    }
    if (st == STATUS_OK) /* the store does not look into a body */
        st = store_put(store, domain, KIND_BODY, statement, statement, &envelope.body, err);
    if (st == STATUS_OK) {
        envelope_encode_plain(&envelope, &plain);
        envelope_encode_stored(&envelope, &stored);
        st = buffer_check(&plain, "an envelope", err);
    }
    if (st == STATUS_OK)
        st = buffer_check(&stored, "an envelope", err);
    if (st == STATUS_OK)
        st = store_put(store, domain, KIND_ENVELOPE, buffer_slice(&plain), buffer_slice(&stored),
                       &point->envelope, err);
    buffer_deinit(&plain);
    buffer_deinit(&stored);
    return st;
}

enum status world_point_upload(struct store *store, struct world_point *point,
                               const struct world_point *parent, struct error *err)
{
    const struct store_domain *domain = world_domain(store, point);
    struct disk_tree *tree = NULL;
    struct disk_root root;
    enum status st =
        world_tree_new(store, domain, parent == NULL ? NULL : &parent->root.id, &tree, err);

    if (st == STATUS_OK)
        st = world_put_blocks(store, domain, tree, &point->disk,
                              parent == NULL ? NULL : &parent->disk,
                              (struct world_part){0, WORLD_BLOCKS}, err);
    if (st == STATUS_OK)
        st = disk_tree_finish(tree, &root, &point->root, err);
    disk_tree_free(tree);
    return st == STATUS_OK ? world_put_envelope(store, point, err) : st;
}

enum status world_point_commit(struct store *store, struct world_point *point,
                               const struct world_point *parent, struct error *err)
{
    struct store_point shown;
    enum status st = world_point_upload(store, point, parent, err);

    return st == STATUS_OK ? store_commit(store, world_domain(store, point), &point->task,
                                          &point->envelope, &shown, err)
                           : st;
}

/* --- reading back ------------------------------------------------------------------------------ */

static enum status check_blocks(struct store *store, const struct store_domain *domain,
                                struct disk_walk *walk, struct world_disk *left, struct error *err)
{
    uint8_t expected[WORLD_BLOCK_SIZE];
    struct buffer stored;
    bool end = false;
    enum status st = STATUS_OK;

    buffer_init(&stored, RECORD_PLAIN_MAX);
    while (st == STATUS_OK) {
        uint64_t block = 0;
        uint64_t count = 0;
        struct ref ref;

        st = disk_walk_next(walk, &block, &count, &ref, &end, err);
        if (st != STATUS_OK || end)
            break;
        st = store_read(store, domain, KIND_BLOCK, &ref, &stored, err);
        if (st != STATUS_OK)
            break;
        fill_block(left->blocks[block], expected);
        if (left->blocks[block] == 0 ||
            !slice_equal(buffer_slice(&stored), slice_of(expected, sizeof(expected))))
            st = error_set(err, STATUS_CORRUPT, "block %" PRIu64 " has another content", block);
        left->blocks[block] = 0;
    }
    buffer_deinit(&stored);
    return st;
}

enum status world_disk_check(struct store *store, const struct store_domain *domain,
                             const struct ref *root, const struct world_disk *disk,
                             struct error *err)
{
    struct disk_walk *walk = NULL;
    struct disk_root found;
    struct world_disk left = *disk;
    enum status st = disk_tree_read_root(store, domain, root, &found, err);

    if (st == STATUS_OK)
        st = disk_walk_new(store, domain, &found, &walk, err);
    if (st == STATUS_OK)
        st = check_blocks(store, domain, walk, &left, err);
    for (unsigned i = 0; st == STATUS_OK && i < WORLD_BLOCKS; i++) {
        if (left.blocks[i] != 0)
            st = error_set(err, STATUS_CORRUPT, "block %u is missing", i);
    }
    disk_walk_free(walk);
    return st;
}

const struct store_point *world_point_of(const struct store *store, const struct random_id *task)
{
    size_t count = 0;
    const struct store_point *points = store_points(store, &count);

    for (size_t i = 0; i < count; i++) {
        if (random_id_equal(&points[i].task, task))
            return &points[i];
    }
    return NULL;
}

enum status world_point_check(struct store *store, const struct world_point *point,
                              struct error *err)
{
    const struct store_domain *domain = world_domain(store, point);
    const struct store_point *shown = world_point_of(store, &point->task);
    struct envelope envelope = {0};
    struct buffer stored;

    if (shown == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there is no such point");
    if (domain == NULL || !random_id_equal(&shown->domain, &domain->id))
        return error_set(err, STATUS_CORRUPT, "the point is of another domain");
    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status st = store_read(store, domain, KIND_ENVELOPE, &shown->envelope, &stored, err);

    if (st == STATUS_OK)
        st = envelope_decode_stored(buffer_slice(&stored), &envelope, err);
    if (st == STATUS_OK)
        st = store_read(store, domain, KIND_BODY, &envelope.body, &stored, err);
    if (st == STATUS_OK)
        st = world_disk_check(store, domain, &envelope.disks[0].root, &point->disk, err);
    if (st == STATUS_OK && envelope.file_count != (point->file == 0 ? 0 : 1))
        st = error_set(err, STATUS_CORRUPT, "the point has another number of files");
    if (st == STATUS_OK && point->file != 0)
        st = check_file(store, domain, &envelope.files[0], point->file, err);
    envelope_deinit(&envelope);
    buffer_deinit(&stored);
    return st;
}

bool world_shows(const struct store *store, const struct random_id *task)
{
    return world_point_of(store, task) != NULL;
}

/* --- files behind the store's back ------------------------------------------------------------- */

uint8_t *world_read_file(struct fs *fs, const char *path, size_t *ret_size)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    uint64_t size = 0;
    uint8_t *bytes = NULL;

    ASSERT_OK(fs_open(fs, path, FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    bytes = memory_new(size + 1, 1);
    assert_non_null(bytes);
    if (size > 0)
        ASSERT_OK(fs_read_exactly_at(file, 0, bytes, size, &err), &err);
    fs_close(file);
    *ret_size = size;
    return bytes;
}

void world_write_file(struct fs *fs, const char *path, struct slice content)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    enum status st = fs_remove(fs, path, &err);

    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
    ASSERT_OK(fs_open(fs, path, FS_CREATE, &file, &err), &err);
    if (content.size > 0)
        ASSERT_OK(fs_write_at(file, 0, content, &err), &err);
    fs_close(file);
}

void world_put_back(struct fs *fs, struct fs *then, const char *dir)
{
    char path[FS_PATH_SIZE];
    struct fs_names names = {0};
    struct error err = {0};

    if (fs_list(fs, dir, &names, &err) != STATUS_OK)
        return; /* not made yet */
    for (size_t i = 0; i < names.count; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names.names[i]);
        ASSERT_OK(fs_remove(fs, path, &err), &err);
    }
    fs_names_deinit(&names);
    if (then == NULL || fs_list(then, dir, &names, &err) != STATUS_OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        size_t size = 0;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names.names[i]);
        uint8_t *bytes = world_read_file(then, path, &size);

        world_write_file(fs, path, slice_of(bytes, size));
        memory_free(bytes);
    }
    fs_names_deinit(&names);
}
