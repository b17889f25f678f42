/* The blocks of a stored disk, read in the order of the packs: what comes, in which order, by how many reads; damage of each
 * kind in its place; and every failure of reading. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/block_reader.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/pack_file.h"
#include "tests/store_world.h"
#include "tests/support/double_heap.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { PACK_SIZE = 256 * 1024, SEED = 71, BLOCKS_MAX = 1024, SMALL = 4096, LARGE = 65536 };

/* A disk whose block I holds content CONTENT[I]; 0: a hole. */
struct env {
    struct faults *faults;
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct disk_root geometry;
    uint16_t content[BLOCKS_MAX];
    size_t blocks;
    struct ref refs[UINT16_MAX + 1]; /* of each content */
    struct ref root_ref;
    struct disk_root root;
    struct block_reader *reader;
    struct block_window *window;
    struct codec_context *codec;
    uint8_t *plain;
    uint8_t *expected;
    struct buffer packed;
    uint8_t packed_by;
    struct error err;
};

/* Stands before the index of a store: sees what is looked up, and tells lies about one number. */
struct spy {
    struct index_ops ops;
    const struct index_ops *real;
    bool unsorted; /* numbers were not strictly ascending */
    uint64_t liar; /* 0: none */
    struct place lie;
};

static struct spy spy; /* an index has no room for whoever stands before it */

/* What a whole reading gave. */
struct seen {
    size_t windows;
    size_t good;
    size_t damaged;
    uint64_t first_damaged; /* block */
    uint64_t damaged_count; /* blocks of all ranges */
    char text[ERROR_TEXT_SIZE];
};

static int set_up(void **state)
{
    struct env *env = double_new(1, sizeof(*env));

    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    store_world_init(&env->world, env->fs, PACK_SIZE, SEED);
    ASSERT_OK(store_world_create(&env->world, &env->err), &env->err);
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
    ASSERT_OK(block_window_new(&env->window, &env->err), &env->err);
    ASSERT_OK(codec_context_new(&env->codec, &env->err), &env->err);
    env->plain = double_new(1, LARGE);
    env->expected = double_new(1, LARGE);
    buffer_init(&env->packed, RECORD_STORED_MAX);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    buffer_deinit(&env->packed);
    double_free(env->plain);
    double_free(env->expected);
    codec_context_free(env->codec);
    block_window_free(env->window);
    block_reader_free(env->reader);
    store_close(env->store);
    store_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    double_free(env);
    return 0;
}

/* ---- Disks ----------------------------------------------------------------------------------- */

/* Content that does not compress: its record's size is known. */
static void fill(uint16_t content, uint8_t *target, size_t size)
{
    struct random_seeded random = random_seeded_of(content);

    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            memset(target + i, 0, size - i < 8 ? size - i : 8);
        target[i] = (uint8_t)(i % 8 == 0 ? content | 1 : random_seeded_next(&random));
    }
}

static void put_content(struct env *env, uint16_t content, uint32_t length)
{
    struct slice bytes = slice_of(env->expected, length);

    fill(content, env->expected, length);
    ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_BLOCK, bytes, bytes,
                        &env->refs[content], &env->err),
              &env->err);
}

static void set_geometry(struct env *env, size_t blocks, uint32_t block_size)
{
    env->blocks = blocks;
    env->geometry = (struct disk_root){.size = (uint64_t)blocks * block_size,
                                       .block_size = block_size,
                                       .logical_sector = 512,
                                       .physical_sector = 4096};
}

/* The tree over what put_content() has stored, durable. */
static void put_tree(struct env *env)
{
    struct disk_tree *tree = NULL;

    ASSERT_OK(disk_tree_new(env->store, store_default_domain(env->store), &env->geometry, NULL,
                            &tree, &env->err),
              &env->err);
    for (size_t i = 0; i < env->blocks; i++)
        if (env->content[i] != 0)
            ASSERT_OK(disk_tree_put(tree, i, &env->refs[env->content[i]], &env->err), &env->err);
    ASSERT_OK(disk_tree_finish(tree, &env->root, &env->root_ref, &env->err), &env->err);
    disk_tree_free(tree);
    ASSERT_OK(store_sync(env->store, &env->err), &env->err);
}

/* BLOCKS blocks, each of a content of its own, stored in the order of the disk. */
static void put_disk(struct env *env, size_t blocks, uint32_t block_size)
{
    set_geometry(env, blocks, block_size);
    for (size_t i = 0; i < blocks; i++) {
        env->content[i] = (uint16_t)(i + 1);
        put_content(env, env->content[i], block_size);
    }
    put_tree(env);
}

/* The same, with holes, stored in another order. */
static void put_shuffled_disk(struct env *env, size_t blocks, uint32_t block_size)
{
    struct random_seeded random = random_seeded_of(test_seed("shuffled"));
    uint16_t order[BLOCKS_MAX];

    set_geometry(env, blocks, block_size);
    for (size_t i = 0; i < blocks; i++) {
        size_t place = (size_t)random_seeded_below(&random, i + 1);

        order[i] = order[place];
        order[place] = (uint16_t)(i + 1);
    }
    for (size_t i = 0; i < blocks; i++) {
        bool hole = order[i] > 1 && random_seeded_below(&random, 5) == 0;

        env->content[order[i] - 1] = hole ? 0 : order[i];
        if (!hole)
            put_content(env, order[i], block_size);
    }
    put_tree(env);
}

static size_t blocks_of(const struct env *env)
{
    size_t count = 0;

    for (size_t i = 0; i < env->blocks; i++)
        count += env->content[i] != 0;
    return count;
}

/* ---- Reading it ------------------------------------------------------------------------------ */

static enum status start(struct env *env)
{
    block_reader_free(env->reader);
    env->reader = NULL;
    return block_reader_new(env->store, store_default_domain(env->store), &env->root, &env->reader,
                            &env->err);
}

static enum status prove(struct env *env, const struct block_read *block, struct error *err)
{
    return block_prove(env->reader, block, env->codec, env->plain, &env->packed, &env->packed_by,
                       err);
}

/* Is what was proved what was stored, and packed as it says? */
static void assert_content(struct env *env, uint64_t block)
{
    uint32_t length = disk_root_block_length(&env->root, block);

    assert_true(env->content[block] != 0);
    fill(env->content[block], env->expected, length);
    assert_memory_equal(env->plain, env->expected, length);
    ASSERT_OK(codec_decompress(env->codec, env->packed_by, buffer_slice(&env->packed), env->plain,
                               length, &env->err),
              &env->err);
    assert_memory_equal(env->plain, env->expected, length);
}

static void note_damage(struct seen *seen, const struct block_read *block, const struct error *err)
{
    if (seen->damaged++ == 0) {
        seen->first_damaged = block->block;
        memcpy(seen->text, err->text, sizeof(seen->text));
    }
    seen->damaged_count += block->count;
}

static enum status see_block(struct env *env, const struct block_read *block, struct seen *seen)
{
    struct error err = {0};
    enum status st = block->status;

    assert_true(st == STATUS_OK || block_is_damage(st));
    if (st == STATUS_OK) {
        assert_int_equal(block->count, 1);
        st = prove(env, block, &err);
    } else {
        err = block->err;
    }
    if (st == STATUS_OK) {
        assert_content(env, block->block);
        seen->good++;
        return STATUS_OK;
    }
    if (!block_is_damage(st))
        return st;
    note_damage(seen, block, &err);
    return STATUS_OK;
}

/* Reads and proves all; whatever is good is what was stored, and all comes in order. */
static enum status read_all(struct env *env, struct seen *ret_seen)
{
    struct seen seen = {0};
    uint64_t next = 0;
    bool end = false;
    enum status st = start(env);

    while (st == STATUS_OK && !end) {
        st = block_reader_fill(env->reader, env->window, &env->err);
        assert_true(st == STATUS_OK || env->window->count == 0);
        seen.windows += env->window->count > 0;
        for (size_t i = 0; st == STATUS_OK && i < env->window->count; i++) {
            const struct block_read *block = &env->window->blocks[i];

            assert_true(block->block >= next);
            next = block->block + block->count;
            st = see_block(env, block, &seen);
        }
        end = env->window->end;
    }
    *ret_seen = seen;
    return st;
}

static struct seen read_whole(struct env *env)
{
    struct seen seen;

    ASSERT_OK(read_all(env, &seen), &env->err);
    return seen;
}

static void assert_all_good(struct env *env, const struct seen *seen)
{
    if (seen->damaged != 0)
        fail_msg("block %" PRIu64 ": %s", seen->first_damaged, seen->text);
    assert_int_equal(seen->good, blocks_of(env));
}

/* Reads of packs while the first window is filled. */
static uint64_t reads_of_a_window(struct env *env)
{
    ASSERT_OK(start(env), &env->err);
    faults_arm(env->faults, 0, 0); /* counts from here */
    ASSERT_OK(block_reader_fill(env->reader, env->window, &env->err), &env->err);
    return faults_hits(env->faults, "fs.read");
}

/* ---- What comes, and in which order ---------------------------------------------------------- */

static void blocks_come_in_the_order_of_the_disk_wherever_they_lie(void **state)
{
    struct env *env = *state;
    struct store_status status;

    put_shuffled_disk(env, 500, SMALL);
    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    assert_true(status.packs[0] > 4);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
    assert_int_equal(seen.windows, 1);
}

static void a_disk_larger_than_the_window_comes_in_several(void **state)
{
    struct env *env = *state;

    put_shuffled_disk(env, 300, LARGE);

    struct seen seen = read_whole(env);
    size_t a_window = BLOCK_WINDOW_PLAIN / LARGE;

    assert_all_good(env, &seen);
    assert_int_equal(seen.windows, (blocks_of(env) + a_window - 1) / a_window);
}

static void small_blocks_fill_a_window_by_their_number(void **state)
{
    struct env *env = *state;
    const size_t a_window = BLOCK_WINDOW_BLOCKS;

    put_disk(env, a_window + 1, SMALL);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
    assert_int_equal(seen.windows, 2);
}

static void behind_the_end_there_is_nothing(void **state)
{
    struct env *env = *state;

    put_disk(env, 3, SMALL);
    ASSERT_OK(start(env), &env->err);
    for (unsigned i = 0; i < 3; i++) {
        ASSERT_OK(block_reader_fill(env->reader, env->window, &env->err), &env->err);
        assert_int_equal(env->window->count, i == 0 ? 3 : 0);
        assert_true(env->window->end);
    }
}

static void a_disk_of_holes_gives_nothing_and_is_not_read(void **state)
{
    struct env *env = *state;

    set_geometry(env, 1000, LARGE);
    put_tree(env);
    assert_int_equal(reads_of_a_window(env), 0);
    assert_int_equal(env->window->count, 0);
    assert_true(env->window->end);
}

static void a_file_comes_with_its_short_last_block(void **state)
{
    struct env *env = *state;
    const uint32_t tail = 77;

    env->blocks = 3;
    env->geometry = (struct disk_root){.size = 2 * SMALL + tail, .block_size = SMALL};
    for (uint16_t i = 0; i < 3; i++) {
        env->content[i] = (uint16_t)(i + 1);
        put_content(env, env->content[i], i < 2 ? SMALL : tail);
    }
    put_tree(env);
    ASSERT_OK(disk_tree_read_file_root(env->store, store_default_domain(env->store), &env->root_ref,
                                       &env->root, &env->err),
              &env->err);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
}

/* ---- How it is read -------------------------------------------------------------------------- */

static void neighbours_are_read_at_once(void **state)
{
    struct env *env = *state;

    env->world.options.pack_size = 0;
    store_close(env->store);
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
    put_disk(env, 100, SMALL);
    /* A node, and one stretch. */
    assert_int_equal(reads_of_a_window(env), 2);
}

static void a_read_is_bounded(void **state)
{
    struct env *env = *state;

    env->world.options.pack_size = 0;
    store_close(env->store);
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
    put_disk(env, 45, LARGE);
    /* 15 records in BLOCK_READ_MAX. */
    assert_int_equal(reads_of_a_window(env), 1 + 3);
}

static void equal_blocks_are_read_once(void **state)
{
    struct env *env = *state;

    set_geometry(env, 120, LARGE);
    put_content(env, 9, LARGE);
    for (size_t i = 0; i < env->blocks; i++)
        env->content[i] = 9;
    put_tree(env);
    assert_int_equal(reads_of_a_window(env), 2);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
}

/* A disk of the first and the last of COUNT neighbours. */
static uint64_t reads_over(struct env *env, uint16_t count)
{
    for (uint16_t i = 1; i <= count; i++)
        put_content(env, i, SMALL);
    set_geometry(env, 2, SMALL);
    env->content[0] = count;
    env->content[1] = 1;
    put_tree(env);

    uint64_t reads = reads_of_a_window(env);
    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
    return reads;
}

static void a_short_gap_is_read_over(void **state)
{
    assert_int_equal(reads_over(*state, 2 + 7), 2); /* 7 x 4,216 bytes */
}

static void a_long_gap_is_not_read(void **state)
{
    assert_int_equal(reads_over(*state, 2 + 8), 3); /* 8 x 4,216 bytes */
}

/* Each gap is short, and together they would take more than a window may. */
static void gaps_do_not_add_up_without_limit(void **state)
{
    struct env *env = *state;
    const uint16_t step = 8;

    env->world.options.pack_size = 0;
    store_close(env->store);
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
    set_geometry(env, 60, SMALL);
    for (size_t i = 0; i < env->blocks * step; i++)
        put_content(env, (uint16_t)(i + 1), SMALL);
    for (size_t i = 0; i < env->blocks; i++)
        env->content[i] = (uint16_t)(i * step + 1);
    put_tree(env);

    /* 35 gaps of 29,512 bytes fit; every block behind them is read by itself. */
    uint64_t reads = reads_of_a_window(env);

    assert_true(reads > 60 - 36);
    assert_true(reads < 60 - 30);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
}

static enum status spy_find_places(struct index *index, const uint64_t *numbers, size_t count,
                                   struct place *ret_places, struct error *err)
{
    enum status st = spy.real->find_places(index, numbers, count, ret_places, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        if (i > 0 && numbers[i] <= numbers[i - 1])
            spy.unsorted = true;
        if (spy.liar != 0 && numbers[i] == spy.liar)
            ret_places[i] = spy.lie;
    }
    return st;
}

static void set_spy(struct env *env)
{
    struct index *index = env->world.index;

    spy = (struct spy){.ops = *index->ops, .real = index->ops};
    spy.ops.find_places = spy_find_places;
    index->ops = &spy.ops;
}

static void remove_spy(struct env *env)
{
    env->world.index->ops = spy.real;
}

static void numbers_are_looked_up_once_and_ascending(void **state)
{
    struct env *env = *state;

    put_shuffled_disk(env, 100, SMALL);
    for (size_t i = 50; i < 100; i++)
        env->content[i] = env->content[i - 50];
    put_tree(env);
    set_spy(env);

    struct seen seen = read_whole(env);

    remove_spy(env);
    assert_all_good(env, &seen);
    assert_false(spy.unsorted);
}

/* Numbers say nothing about where a record lies: here the last ones lie first. */
static void records_are_read_in_the_order_of_their_pack(void **state)
{
    struct env *env = *state;
    struct buffer record;
    uint64_t first = 0;

    set_geometry(env, 40, SMALL);
    buffer_init(&record, RECORD_SIZE_MAX);
    ASSERT_OK(store_reserve(env->store, 40, &first, &env->err), &env->err);
    for (uint16_t i = 40; i > 0; i--) {
        struct record_header header = {.kind = KIND_BLOCK,
                                       .domain = store_default_domain(env->store)->id,
                                       .number = first + i - 1,
                                       .plain_length = SMALL};
        struct slice plain = slice_of(env->expected, SMALL);

        fill(i, env->expected, SMALL);
        ASSERT_OK(id_of(store_default_domain(env->store)->id_key, KIND_BLOCK, plain, &header.id,
                        &env->err),
                  &env->err);
        buffer_clear(&record);
        ASSERT_OK(record_seal(store_keys(env->store), &env->world.random.source, &header, plain,
                              &record, &env->err),
                  &env->err);
        env->refs[i].id = header.id;
        ASSERT_OK(store_append(env->store, buffer_slice(&record), &env->refs[i].number, &env->err),
                  &env->err);
        env->content[i - 1] = i;
    }
    buffer_deinit(&record);
    put_tree(env);
    assert_int_equal(reads_of_a_window(env), 2); /* a node, and one stretch */

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static struct place place_of(struct env *env, uint64_t number)
{
    struct place place;

    ASSERT_OK(store_places(env->store, &number, 1, &place, &env->err), &env->err);
    assert_true(place.length > 0);
    return place;
}

static struct place place_of_block(struct env *env, size_t block)
{
    return place_of(env, env->refs[env->content[block]].number);
}

static struct fs_file *open_pack(struct env *env, const struct place *place, enum pack_class class)
{
    char path[PACK_PATH_SIZE];
    struct fs_file *file = NULL;

    pack_path(&place->pack, class, path);
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    return file;
}

static void flip(struct env *env, const struct place *place, enum pack_class class, uint32_t at)
{
    struct fs_file *file = open_pack(env, place, class);
    uint8_t byte = 0;

    ASSERT_OK(fs_read_exactly_at(file, place->offset + at, &byte, 1, &env->err), &env->err);
    byte ^= 0x10;
    ASSERT_OK(fs_write_at(file, place->offset + at, slice_of(&byte, 1), &env->err), &env->err);
    fs_close(file);
}

/* Does TEXT name pack and offset of PLACE? */
static void assert_names(const char *text, const struct place *place)
{
    char name[RANDOM_ID_TEXT_SIZE];
    char at[32];

    random_id_text(&place->pack, name);
    assert_true(text_format(at, sizeof(at), "at %" PRIu64, place->offset));
    if (strstr(text, name) == NULL || strstr(text, at) == NULL)
        fail_msg("\"%s\" does not name %s %s", text, name, at);
}

static void assert_only_damage(struct env *env, const struct seen *seen, size_t block,
                               const struct place *place)
{
    assert_int_equal(seen->damaged, 1);
    assert_int_equal(seen->first_damaged, block);
    assert_int_equal(seen->good, blocks_of(env) - 1);
    assert_names(seen->text, place);
}

static void a_changed_byte_is_found_in_its_place(void **state)
{
    struct env *env = *state;
    /* Magic, number, id, CRC, payload, tag. */
    const uint32_t places[] = {0, 25, 33, 97, RECORD_HEADER_SIZE + 50, RECORD_HEADER_SIZE + SMALL};

    put_disk(env, 40, SMALL);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct place place = place_of_block(env, 11);

        flip(env, &place, PACK_DATA, places[i]);

        struct seen seen = read_whole(env);

        assert_only_damage(env, &seen, 11, &place);
        flip(env, &place, PACK_DATA, places[i]);
    }
}

static void a_pack_that_ends_too_early_takes_only_what_lay_behind(void **state)
{
    struct env *env = *state;

    put_disk(env, 40, SMALL);

    struct place place = place_of_block(env, 35);
    struct fs_file *file = open_pack(env, &place, PACK_DATA);

    ASSERT_OK(fs_resize(file, place.offset + 10, &env->err), &env->err);
    fs_close(file);

    struct seen seen = read_whole(env);

    assert_int_equal(seen.first_damaged, 35);
    assert_int_equal(seen.damaged, 5);
    assert_int_equal(seen.good, 35);
    assert_names(seen.text, &place);
}

/* While the store is open, and has not opened it yet. */
static void a_pack_that_is_gone_takes_only_its_own_blocks(void **state)
{
    struct env *env = *state;
    char path[PACK_PATH_SIZE];
    size_t lost = 0;

    put_disk(env, 200, SMALL);

    struct place place = place_of_block(env, 0);

    for (size_t i = 0; i < env->blocks; i++) {
        struct place other = place_of_block(env, i);

        lost += random_id_equal(&other.pack, &place.pack);
    }
    assert_true(lost < env->blocks);
    pack_path(&place.pack, PACK_DATA, path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);

    struct seen seen = read_whole(env);

    assert_int_equal(seen.damaged, lost);
    assert_int_equal(seen.good, env->blocks - lost);
    assert_names(seen.text, &place);
}

/* A whole sound record, but of another block. */
static void another_record_in_its_place_is_found(void **state)
{
    struct env *env = *state;
    struct buffer record;

    put_disk(env, 20, SMALL);
    buffer_init(&record, RECORD_SIZE_MAX);

    struct place place = place_of_block(env, 7);
    struct fs_file *file = open_pack(env, &place, PACK_DATA);

    ASSERT_OK(store_fetch(env->store, env->refs[env->content[3]].number, &record, &env->err),
              &env->err);
    assert_int_equal(record.size, place.length);
    ASSERT_OK(fs_write_at(file, place.offset, buffer_slice(&record), &env->err), &env->err);
    fs_close(file);
    buffer_deinit(&record);

    struct seen seen = read_whole(env);

    assert_only_damage(env, &seen, 7, &place);
    assert_non_null(strstr(seen.text, "there lies number"));
}

/* The record of block 7 becomes what SAYS says, sealed as it should be. */
static struct seen read_forged(struct env *env, struct record_header says, uint8_t change)
{
    struct place place = place_of_block(env, 7);
    struct fs_file *file = open_pack(env, &place, PACK_DATA);
    struct buffer record;

    buffer_init(&record, RECORD_SIZE_MAX);
    fill(env->content[7], env->expected, SMALL);
    env->expected[99] ^= change;
    ASSERT_OK(record_seal(store_keys(env->store), &env->world.random.source, &says,
                          slice_of(env->expected, SMALL), &record, &env->err),
              &env->err);
    assert_int_equal(record.size, place.length);
    ASSERT_OK(fs_write_at(file, place.offset, buffer_slice(&record), &env->err), &env->err);
    fs_close(file);
    buffer_deinit(&record);

    struct seen seen = read_whole(env);

    assert_only_damage(env, &seen, 7, &place);
    return seen;
}

static void a_record_sealed_as_it_should_be_proves_what_it_says(void **state)
{
    struct env *env = *state;

    put_disk(env, 20, SMALL);

    const struct record_header good = {
        .kind = KIND_BLOCK,
        .codec = CODEC_PLAIN,
        .domain = store_default_domain(env->store)->id,
        .number = env->refs[env->content[7]].number,
        .id = env->refs[env->content[7]].id,
        .plain_length = SMALL,
    };
    struct record_header says = good;

    assert_non_null(strstr(read_forged(env, says, 1).text, "what its id says"));
    says.id = env->refs[env->content[8]].id;
    assert_non_null(strstr(read_forged(env, says, 0).text, "another one than the tree names"));
    says = good;
    says.kind = KIND_BODY;
    assert_non_null(strstr(read_forged(env, says, 0).text, "another one than the tree names"));
    says = good;
    says.domain.bytes[0] ^= 1;
    assert_non_null(strstr(read_forged(env, says, 0).text, "of another domain"));
    says = good;
    says.codec = CODEC_ZSTD;
    says.plain_length = 2 * SMALL;
    assert_non_null(strstr(read_forged(env, says, 0).text, "has 8192 bytes, the block 4096"));
    says.plain_length = SMALL + 1; /* of what does not unpack to that */
    assert_non_null(strstr(read_forged(env, says, 0).text, "has 4097 bytes"));
}

static void a_node_that_cannot_be_read_takes_its_range_and_no_more(void **state)
{
    struct env *env = *state;
    struct tree_node top = {.level = 2};
    struct buffer stored;

    put_disk(env, 300, SMALL);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(store_read(env->store, store_default_domain(env->store), KIND_NODE + 2,
                         &env->root.top, &stored, &env->err),
              &env->err);
    ASSERT_OK(tree_node_decode(buffer_slice(&stored), &top, &env->err), &env->err);
    buffer_deinit(&stored);

    struct place place = place_of(env, top.children[1].number);

    flip(env, &place, PACK_META, RECORD_HEADER_SIZE + 5);

    struct seen seen = read_whole(env);

    assert_int_equal(seen.damaged, 1);
    assert_int_equal(seen.first_damaged, TREE_FANOUT);
    assert_int_equal(seen.damaged_count, TREE_FANOUT);
    assert_int_equal(seen.good, 300 - TREE_FANOUT);
}

/* A tree over a number that no pack has. */
static void a_number_that_is_nowhere_is_damage(void **state)
{
    struct env *env = *state;

    set_geometry(env, 3, SMALL);
    for (uint16_t i = 0; i < 3; i++) {
        env->content[i] = (uint16_t)(i + 1);
        put_content(env, env->content[i], SMALL);
    }
    env->refs[2].number += 1000000;
    put_tree(env);

    struct seen seen = read_whole(env);

    assert_int_equal(seen.damaged, 1);
    assert_int_equal(seen.first_damaged, 1);
    assert_int_equal(seen.good, 2);
    assert_non_null(strstr(seen.text, "is in no pack that is here"));
}

/* An index that is wrong about lengths gets no more memory than a block can need. */
static void a_record_too_large_for_a_block_is_not_read(void **state)
{
    struct env *env = *state;

    set_geometry(env, 3, SMALL);
    put_content(env, 1, SMALL);
    put_content(env, 2, SMALL + 1);
    put_content(env, 3, SMALL);
    for (uint16_t i = 0; i < 3; i++)
        env->content[i] = (uint16_t)(i + 1);
    put_tree(env);

    struct seen seen = read_whole(env);
    struct place place = place_of_block(env, 1);

    assert_only_damage(env, &seen, 1, &place);
    assert_non_null(strstr(seen.text, "cannot be a block's record"));
}

/* The index says of block 5 that it lies at LIE: it alone is damaged, and the sentence has TEXT. */
static void assert_lie_is_found(struct env *env, struct place lie, const char *text)
{
    set_spy(env);
    spy.liar = env->refs[env->content[5]].number;
    spy.lie = lie;
    memset(env->window->memory, 0, BLOCK_WINDOW_MEMORY); /* nothing of a reading before */

    struct seen seen = read_whole(env);

    remove_spy(env);
    assert_int_equal(seen.damaged, 1);
    assert_int_equal(seen.first_damaged, 5);
    assert_int_equal(seen.good, blocks_of(env) - 1);
    if (strstr(seen.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", seen.text, text);
}

static void a_wrong_index_hurts_only_the_block_that_it_is_wrong_about(void **state)
{
    struct env *env = *state;
    struct place lie;

    put_disk(env, 20, SMALL);
    lie = place_of_block(env, 5);
    lie.length = RECORD_HEADER_SIZE + XAES_TAG_SIZE;
    assert_lie_is_found(env, lie, "cannot be a block's record");
    lie.length = RECORD_HEADER_SIZE + XAES_TAG_SIZE + SMALL + 1;
    assert_lie_is_found(env, lie, "cannot be a block's record");
    lie.length = SMALL;
    lie.offset = UINT64_MAX - SMALL + 1;
    assert_lie_is_found(env, lie, "cannot be a block's record");
    lie.offset = UINT64_MAX - SMALL;
    assert_lie_is_found(env, lie, "record");
    lie = place_of_block(env, 19); /* inside that one's, the last of a stretch */
    lie.offset += 8;
    lie.length = 200;
    assert_lie_is_found(env, lie, "no record begins here");
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void a_sync_that_fails_meanwhile_takes_nothing_durable(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    put_disk(env, 200, LARGE);
    ASSERT_OK(start(env), &env->err);
    ASSERT_OK(block_reader_fill(env->reader, env->window, &env->err), &env->err);
    put_content(env, 999, LARGE);
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(env->store, &err), &err);
    faults_arm(env->faults, 0, 0);
    ASSERT_OK(block_reader_fill(env->reader, env->window, &env->err), &env->err);
    for (size_t i = 0; i < env->window->count; i++) {
        ASSERT_OK(env->window->blocks[i].status, &env->window->blocks[i].err);
        ASSERT_OK(prove(env, &env->window->blocks[i], &env->err), &env->err);
        assert_content(env, env->window->blocks[i].block);
    }
    assert_true(env->window->end);

    struct seen seen = read_whole(env);

    assert_all_good(env, &seen);
}

static void what_a_failed_sync_made_void_is_damage(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    put_disk(env, 3, SMALL);
    put_content(env, 500, SMALL); /* void soon, and a tree names it */
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(env->store, &err), &err);
    faults_arm(env->faults, 0, 0);
    env->content[1] = 500;
    put_tree(env);

    struct seen seen = read_whole(env);

    assert_int_equal(seen.damaged, 1);
    assert_int_equal(seen.first_damaged, 1);
    assert_int_equal(seen.good, 2);
}

/* With the Nth read or allocation failing. */
static void attempt(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct seen seen = {0};
    enum status st = read_all(env, &seen);

    (void)n;
    faults_arm(env->faults, 0, 0);
    if (st == STATUS_OK) {
        /* What could not be read at once was read singly, or came as damage. */
        assert_true(seen.good + seen.damaged_count >= blocks_of(env));
        return;
    }
    assert_false(block_is_damage(st));
    env->err = (struct error){0};
    seen = read_whole(env);
    assert_all_good(env, &seen);
}

static void any_failure_gives_all_or_says_so(void **state)
{
    struct env *env = *state;

    put_shuffled_disk(env, 300, SMALL);
    assert_true(fail_each(env->faults, FAULT_ALLOC | FAULT_IO, attempt, env) > 10);
}

/* The same where a pack is gone, so that all of it is read singly. */
static void attempt_without_a_pack(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct seen seen = {0};
    enum status st = read_all(env, &seen);

    (void)n;
    faults_arm(env->faults, 0, 0);
    assert_true(st != STATUS_OK || seen.good + seen.damaged_count >= blocks_of(env));
    assert_false(block_is_damage(st));
    env->err = (struct error){0};
}

static void any_failure_beside_damage_gives_all_or_says_so(void **state)
{
    struct env *env = *state;
    char path[PACK_PATH_SIZE];

    put_disk(env, 100, SMALL);

    struct place place = place_of_block(env, 0);

    pack_path(&place.pack, PACK_DATA, path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    assert_true(fail_each(env->faults, FAULT_ALLOC, attempt_without_a_pack, env) > 3);
}

static void a_window_that_finds_no_memory_says_so(void **state)
{
    struct env *env = *state;
    struct block_window *window = NULL;

    for (uint64_t n = 1; n <= 2; n++) {
        faults_arm(env->faults, FAULT_ALLOC, n);
        ASSERT_STATUS(STATUS_EXHAUSTED, block_window_new(&window, &env->err), &env->err);
        assert_null(window);
    }
    faults_arm(env->faults, 0, 0);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_come_in_the_order_of_the_disk_wherever_they_lie),
        TEST(a_disk_larger_than_the_window_comes_in_several),
        TEST(small_blocks_fill_a_window_by_their_number),
        TEST(behind_the_end_there_is_nothing),
        TEST(a_disk_of_holes_gives_nothing_and_is_not_read),
        TEST(a_file_comes_with_its_short_last_block),
        TEST(numbers_are_looked_up_once_and_ascending),
        TEST(records_are_read_in_the_order_of_their_pack),
        TEST(neighbours_are_read_at_once),
        TEST(a_read_is_bounded),
        TEST(equal_blocks_are_read_once),
        TEST(a_short_gap_is_read_over),
        TEST(a_long_gap_is_not_read),
        TEST(gaps_do_not_add_up_without_limit),
        TEST(a_changed_byte_is_found_in_its_place),
        TEST(a_pack_that_ends_too_early_takes_only_what_lay_behind),
        TEST(a_pack_that_is_gone_takes_only_its_own_blocks),
        TEST(another_record_in_its_place_is_found),
        TEST(a_record_sealed_as_it_should_be_proves_what_it_says),
        TEST(a_node_that_cannot_be_read_takes_its_range_and_no_more),
        TEST(a_number_that_is_nowhere_is_damage),
        TEST(a_record_too_large_for_a_block_is_not_read),
        TEST(a_wrong_index_hurts_only_the_block_that_it_is_wrong_about),
        TEST(a_sync_that_fails_meanwhile_takes_nothing_durable),
        TEST(what_a_failed_sync_made_void_is_damage),
        TEST(any_failure_gives_all_or_says_so),
        TEST(any_failure_beside_damage_gives_all_or_says_so),
        TEST(a_window_that_finds_no_memory_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
