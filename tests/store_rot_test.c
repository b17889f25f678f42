/* A store whose files were damaged while it was closed, by seeded damages of every kind: bits flipped, sectors zeroed, sound
 * records exchanged, packs as they were earlier or gone, the index older than the packs, the log cut. What a point gives out
 * is what was stored, or an error; whatever is missing is named: by the opening, by the read, or as a log that was rolled back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "coordinator/store/index_files.h"
#include "format/record.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/test.h"

enum { PACK_SIZE = 6000, POINTS = 6, MOMENTS = POINTS * 2, FILES_MAX = 256, RECORDS_MAX = 512 };

enum damage {
    FLIP_BITS,
    ZERO_SECTOR,
    EXCHANGE_RECORDS,
    STALE_PACK,
    STALE_INDEX,
    CUT_LOG,
    REMOVE_FILE,
    DAMAGES,
};

static const char *const damage_names[DAMAGES] = {
    "bits flipped", "sector zeroed", "records exchanged", "stale pack",
    "stale index",  "log cut",       "file removed",
};

struct house {
    struct fs *memory;
    struct fs *fs; /* records */
    struct store_world world;
    struct world_point points[POINTS];
    size_t moments[MOMENTS]; /* operations of the file system: the store was closed */
    size_t moment_count;
    uint64_t named[DAMAGES];
    uint64_t harmless[DAMAGES];
};

static void use_index(struct store_world *world)
{
    const struct index_files_options options = {.table_records = 0};
    struct index *index = NULL;
    struct error err = {0};

    ASSERT_OK(index_files_new(world->fs, &options, &world->log, &index, &err), &err);
    store_world_set_index(world, index);
}

/* Six points of one disk, the store closed behind each. */
static void build(struct house *house, uint64_t seed)
{
    struct error err = {0};
    struct store *store = NULL;

    *house = (struct house){0};
    ASSERT_OK(fs_memory_new(&house->memory, &err), &err);
    ASSERT_OK(fs_record_new(house->memory, &house->fs, &err), &err);
    store_world_init(&house->world, house->fs, PACK_SIZE, seed);
    house->world.options.summary_every = 7;
    ASSERT_OK(store_world_create(&house->world, &err), &err);
    for (unsigned i = 0; i < POINTS; i++) {
        struct world_point *point = &house->points[i];

        point->task = world_task(i);
        point->disk = i == 0 ? world_disk_of(100, 30, 7) : house->points[i - 1].disk;
        point->disk.blocks[i * 9 + 1] = (uint16_t)(1000 + i);
        point->file = i % 2 == 0 ? 0 : (uint16_t)(4000 + i * 8);
        use_index(&house->world);
        ASSERT_OK(store_world_open(&house->world, &store, &err), &err);
        ASSERT_OK(world_point_commit(store, point, i == 0 ? NULL : point - 1, &err), &err);
        store_close(store);
        (void)store_world_lines(&house->world);
        house->moments[house->moment_count++] = fs_record_log(house->fs)->count;
    }
}

static void pull_down(struct house *house)
{
    store_world_deinit(&house->world);
    fs_free(house->fs);
    fs_free(house->memory);
}

/* The folder as it was after UPTO operations. */
static struct fs *as_of(const struct house *house, size_t upto)
{
    struct fs *fs = NULL;
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&fs, &err), &err);
    ASSERT_OK(fs_log_replay(fs_record_log(house->fs), upto, fs, &err), &err);
    return fs;
}

/* --- damage ------------------------------------------------------------------------------------ */

/* A file in DIR ("": the top), or in any folder where DIR is NULL. */
static void choose_file(struct fs *fs, struct random_seeded *random, const char *dir,
                        char path[FS_PATH_SIZE])
{
    static const char *const dirs[] = {"", "log", "packs", "packs", "index"};
    const char *in = dir;
    struct fs_names names = {0};
    struct error err = {0};

    for (;;) {
        if (dir == NULL)
            in = dirs[random_seeded_below(random, sizeof(dirs) / sizeof(dirs[0]))];
        ASSERT_OK(fs_list(fs, in, &names, &err), &err);
        const char *name = names.names[random_seeded_below(random, names.count)];
        bool is_file =
            in[0] != '\0' || strcmp(name, "repository") == 0 || strcmp(name, "head") == 0;

        (void)snprintf(path, FS_PATH_SIZE, "%s%s%s", in, in[0] == '\0' ? "" : "/", name);
        fs_names_deinit(&names);
        if (is_file)
            return;
    }
}

static void change_bytes(struct fs *fs, struct random_seeded *random, bool zero)
{
    char path[FS_PATH_SIZE];
    size_t size = 0;

    choose_file(fs, random, NULL, path);
    uint8_t *bytes = world_read_file(fs, path, &size);

    if (size > 0 && zero) {
        size_t from = (size_t)random_seeded_below(random, size) / 512 * 512;

        memset(bytes + from, 0, size - from < 512 ? size - from : 512);
    }
    for (uint64_t i = zero ? 8 : random_seeded_below(random, 8); size > 0 && i < 8; i++)
        bytes[random_seeded_below(random, size)] ^= (uint8_t)(1U << random_seeded_below(random, 8));
    world_write_file(fs, path, slice_of(bytes, size));
    memory_free(bytes);
}

/* Two records of a pack change places, each whole. */
static void exchange_records(struct fs *fs, struct random_seeded *random)
{
    char path[FS_PATH_SIZE];
    size_t starts[RECORDS_MAX];
    size_t lengths[RECORDS_MAX];
    size_t count = 0;
    size_t size = 0;
    size_t at = 0;
    struct error err = {0};

    choose_file(fs, random, "packs", path);
    uint8_t *bytes = world_read_file(fs, path, &size);

    while (count < RECORDS_MAX && record_find(slice_of(bytes, size), at, &at, &err) == STATUS_OK) {
        struct record_header header;

        if (record_decode_header(slice_of(bytes + at, size - at), &header, &err) != STATUS_OK ||
            header.kind == KIND_PACK_INDEX || record_size(&header) > size - at)
            break;
        starts[count] = at;
        lengths[count++] = record_size(&header);
        at += record_size(&header);
    }
    if (count >= 2) {
        size_t a = (size_t)random_seeded_below(random, count - 1);
        size_t b = a + 1 + (size_t)random_seeded_below(random, count - a - 1);
        size_t whole = starts[b] + lengths[b] - starts[a];
        size_t between = starts[b] - starts[a] - lengths[a];
        uint8_t *mixed = memory_new(whole, 1);

        assert_non_null(mixed);
        memcpy(mixed, bytes + starts[b], lengths[b]);
        memcpy(mixed + lengths[b], bytes + starts[a] + lengths[a], between);
        memcpy(mixed + lengths[b] + between, bytes + starts[a], lengths[a]);
        memcpy(bytes + starts[a], mixed, whole);
        memory_free(mixed);
    }
    world_write_file(fs, path, slice_of(bytes, size));
    memory_free(bytes);
}

/* A pack is what it was at some operation before. */
static void make_pack_stale(const struct house *house, struct fs *fs, struct random_seeded *random)
{
    struct fs *then =
        as_of(house, (size_t)random_seeded_below(random, house->moments[house->moment_count - 1]));
    struct fs_names names = {0};
    struct error err = {0};
    char path[FS_PATH_SIZE];
    size_t size = 0;

    if (fs_list(then, "packs", &names, &err) == STATUS_OK && names.count > 0) {
        (void)snprintf(path, sizeof(path), "packs/%s",
                       names.names[random_seeded_below(random, names.count)]);
        uint8_t *bytes = world_read_file(then, path, &size);

        world_write_file(fs, path, slice_of(bytes, size));
        memory_free(bytes);
    }
    fs_names_deinit(&names);
    fs_free(then);
}

/* The file at PATH loses an end of any length. */
static void cut_file(struct fs *fs, const char *path, struct random_seeded *random)
{
    size_t size = 0;
    uint8_t *bytes = world_read_file(fs, path, &size);

    world_write_file(fs, path, slice_of(bytes, (size_t)random_seeded_below(random, size + 1)));
    memory_free(bytes);
}

/* One segment is cut, and all behind it are gone. */
static void cut_log(struct fs *fs, struct random_seeded *random)
{
    struct fs_names names = {0};
    struct error err = {0};
    char path[FS_PATH_SIZE];

    ASSERT_OK(fs_list(fs, "log", &names, &err), &err);
    size_t keep = (size_t)random_seeded_below(random, names.count);

    for (size_t i = keep; i < names.count; i++) {
        (void)snprintf(path, sizeof(path), "log/%s", names.names[i]);
        if (i == keep)
            cut_file(fs, path, random);
        else
            ASSERT_OK(fs_remove(fs, path, &err), &err);
    }
    fs_names_deinit(&names);
}

static void do_damage(const struct house *house, struct fs *fs, enum damage damage,
                      struct random_seeded *random)
{
    char path[FS_PATH_SIZE];
    struct error err = {0};

    switch (damage) {
    case EXCHANGE_RECORDS:
        exchange_records(fs, random);
        break;
    case STALE_PACK:
        make_pack_stale(house, fs, random);
        break;
    case STALE_INDEX: {
        struct fs *then =
            as_of(house, house->moments[random_seeded_below(random, house->moment_count - 1)]);

        world_put_back(fs, then, "index");
        fs_free(then);
        break;
    }
    case CUT_LOG:
        cut_log(fs, random);
        break;
    case REMOVE_FILE:
        choose_file(fs, random, NULL, path);
        ASSERT_OK(fs_remove(fs, path, &err), &err);
        break;
    default:
        change_bytes(fs, random, damage == ZERO_SECTOR);
        break;
    }
}

/* --- what it does ------------------------------------------------------------------------------ */

/* Is ERR, of an error that was met, a sentence? */
static void assert_named(const struct error *err, const char *what, uint64_t number)
{
    if (err->text[0] == '\0')
        fail_msg("damage %" PRIu64 " (%s) is met without a word", number, what);
}

/* What a read gives is right, or an error that says why. True: all is right. */
static bool look_at_points(struct house *house, struct store *store, const char *what,
                           uint64_t number)
{
    struct store_status there;
    bool all_right = true;
    struct error err = {0};

    ASSERT_OK(store_get_status(store, &there, &err), &err);
    for (unsigned i = 0; i < POINTS; i++) {
        struct error read = {0};

        if (!world_shows(store, &house->points[i].task)) {
            if (!there.rolled_back)
                fail_msg("damage %" PRIu64 " (%s): point %u is gone, and nothing says so", number,
                         what, i);
            all_right = false;
            continue;
        }
        if (world_point_check(store, &house->points[i], &read) == STATUS_OK)
            continue;
        assert_named(&read, what, number);
        /* The world's own words for bytes that are not what was stored. */
        if (strstr(read.text, "has another content") != NULL ||
            strstr(read.text, "of the file is another") != NULL)
            fail_msg("damage %" PRIu64 " (%s): wrong bytes of point %u: %s", number, what, i,
                     read.text);
        all_right = false;
    }
    return all_right;
}

static void damage_once(struct house *house, enum damage damage, uint64_t number,
                        struct random_seeded *random)
{
    struct fs *fs = as_of(house, house->moments[house->moment_count - 1]);
    struct store_world world;
    struct store *store = NULL;
    struct error err = {0};
    bool right = false;

    do_damage(house, fs, damage, random);
    store_world_init(&world, fs, PACK_SIZE, random_seeded_next(random));
    use_index(&world);
    if (store_world_open(&world, &store, &err) == STATUS_OK)
        right = look_at_points(house, store, damage_names[damage], number);
    else
        assert_named(&err, damage_names[damage], number);
    store_close(store);
    store_world_deinit(&world);
    fs_free(fs);
    if (right)
        house->harmless[damage]++;
    else
        house->named[damage]++;
}

static void damage_is_named_or_harmless_and_never_gives_out_wrong_data(void **state)
{
    uint64_t seed = test_seed("store_rot");
    uint64_t count = test_is_long() ? 10000 : 700;
    struct random_seeded random = random_seeded_of(seed);
    struct house *house = memory_new(1, sizeof(*house));

    (void)state;
    assert_non_null(house);
    build(house, seed);
    for (uint64_t i = 0; i < count; i++)
        damage_once(house, (enum damage)(i % DAMAGES), i, &random);
    for (unsigned i = 0; i < DAMAGES; i++)
        (void)printf("%s: %" PRIu64 " named, %" PRIu64 " harmless\n", damage_names[i],
                     house->named[i], house->harmless[i]);
    assert_true(house->named[FLIP_BITS] > 0 && house->named[CUT_LOG] > 0);
    pull_down(house);
    memory_free(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_named_or_harmless_and_never_gives_out_wrong_data),
    };

    return cmocka_run_group_tests_name("store_rot", tests, NULL, NULL);
}
