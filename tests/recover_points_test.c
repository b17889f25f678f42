/* tests/recover_points_test.c: the golden repository, in memory, read by recover's modules: packs, log, points, walk, extract. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs_posix.h"
#include "recover/extract.h"
#include "recover/list.h"
#include "recover/points.h"
#include "tests/golden/golden.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_memory.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { POINTS = 5, FLIPS = 300, FILE_MAX = 80 * 1024 * 1024, MEMORY = 1024 * 1024 };

struct world {
    struct fs *golden; /* repository/ and expected.json, in memory */
    struct fs *data;   /* a copy of repository/, to be damaged */
    struct fs *out;
    FILE *said;
    struct teller teller;
    struct keys *keys;
    struct codec_context *codec;
    struct buffer file;

    struct packs *packs; /* read() */
    struct log_sum log;
    struct points points;
    struct things *things;
};

static void copy_file(struct world *world, const char *from, const char *to)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    buffer_clear(&world->file);
    assert_true(golden_read(world->golden, from, &world->file));
    ASSERT_OK(fs_open(world->data, to, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, buffer_slice(&world->file), &err), &err);
    fs_close(file);
}

static void copy_folder(struct world *world, const char *name)
{
    struct fs_names names = {.names = NULL};
    char from[FS_PATH_SIZE];
    struct error err = {0};

    (void)snprintf(from, sizeof(from), "repository/%s", name);
    ASSERT_OK(fs_make_dir(world->data, name, &err), &err);
    ASSERT_OK(fs_list(world->golden, from, &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char to[FS_PATH_SIZE];

        (void)snprintf(from, sizeof(from), "repository/%s/%s", name, names.names[i]);
        (void)snprintf(to, sizeof(to), "%s/%s", name, names.names[i]);
        copy_file(world, from, to);
    }
    fs_names_deinit(&names);
}

static void new_world(struct world *world)
{
    struct repository_key key = golden_key();
    struct fs *kept = NULL;
    struct error err = {0};

    *world = (struct world){.golden = NULL};
    buffer_init(&world->file, FILE_MAX);
    ASSERT_OK(fs_memory_new(&world->golden, &err), &err);
    ASSERT_OK(fs_memory_new(&world->data, &err), &err);
    ASSERT_OK(fs_memory_new(&world->out, &err), &err);
    ASSERT_OK(fs_posix_new(TIDEMARK_GOLDEN, &kept, &err), &err);
    golden_write(world->golden, kept);
    fs_free(kept);
    copy_folder(world, "packs");
    copy_folder(world, "log");
    ASSERT_OK(keys_new(&key, &world->keys, &err), &err);
    ASSERT_OK(codec_context_new(&world->codec, &err), &err);
    world->said = tmpfile();
    assert_non_null(world->said);
    world->teller.out = world->said;
    world->teller.progress = show_progress_of(SHOW_NOTHING, world->said, clock_system());
}

static void forget(struct world *world)
{
    points_deinit(&world->points);
    log_sum_deinit(&world->log);
    things_free(world->things);
    packs_free(world->packs);
    world->things = NULL;
    world->packs = NULL;
}

static void free_world(struct world *world)
{
    forget(world);
    (void)fclose(world->said);
    buffer_deinit(&world->file);
    codec_context_free(world->codec);
    keys_free(world->keys);
    fs_free(world->golden);
    fs_free(world->data);
    fs_free(world->out);
}

/* All that is done before a command begins. */
static enum status read_all(struct world *world, struct error *err)
{
    const struct packs_options packs = {.fs = world->data,
                                        .keys = world->keys,
                                        .codec = world->codec,
                                        .teller = &world->teller,
                                        .memory = MEMORY};
    struct points_options points = {.log = &world->log, .teller = &world->teller};
    enum status st = packs_open(&packs, &world->packs, err);

    if (st == STATUS_OK)
        st = things_new(world->packs, world->keys, world->codec, &world->things, err);
    if (st == STATUS_OK)
        st = log_sum_read(world->data, world->keys, &world->teller, &world->log, err);
    points.things = world->things;
    points.packs = world->packs;
    if (st == STATUS_OK)
        st = points_read(&points, &world->points, err);
    return st;
}

/* The file `out` into world->file. */
static void read_out(struct world *world)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    struct error err = {0};

    ASSERT_OK(fs_open(world->out, "out", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_true(size <= FILE_MAX);
    if (size > 0)
        ASSERT_OK(fs_read_exactly_at(file, 0, buffer_extend(&world->file, (size_t)size),
                                     (size_t)size, &err),
                  &err);
    fs_close(file);
}

/* Disk or file ITEM of POINT as it comes out: its bytes in world->file. */
static enum status extract(struct world *world, const struct point *point, size_t item, bool keep,
                           uint64_t *ret_missing, struct error *err)
{
    const struct extract_options options = {.things = world->things,
                                            .point = point,
                                            .teller = &world->teller,
                                            .keep_going = keep,
                                            .force = true,
                                            .fs = world->out};
    enum status st = extract_item(&options, item, "out", ret_missing, err);

    buffer_clear(&world->file);
    if (st == STATUS_OK)
        read_out(world);
    return st;
}

static void expect_whole(struct world *world, const struct point *point)
{
    struct list_depth depth;
    struct error err = {0};

    assert_true(point_quick_whole(point));
    assert_false(point->proved); /* no CA was given */
    ASSERT_OK(list_measure(world->things, &world->teller, point, &depth, &err), &err);
    assert_int_equal(depth.bytes, 0);
    for (size_t item = 0; item < point->item_count; item++) {
        uint64_t missing = 1;

        ASSERT_OK(extract(world, point, item, false, &missing, &err), &err);
        assert_int_equal(missing, 0);
        assert_int_equal(world->file.size, point->items[item].size);
    }
}

static void the_golden_repository_is_whole(void **state)
{
    struct world world;
    struct error err = {0};
    unsigned seen[POINT_NOT_IN_LOG + 1] = {0};

    (void)state;
    new_world(&world);
    ASSERT_OK(read_all(&world, &err), &err);
    assert_int_equal(world.points.count, POINTS);
    for (size_t i = 0; i < world.points.count; i++) {
        const struct point *point = &world.points.rows[i];

        seen[point->state]++;
        expect_whole(&world, point);
    }
    assert_int_equal(seen[POINT_TRASH], 1);
    assert_int_equal(seen[POINT_NOT_IN_LOG], 1);
    free_world(&world);
}

/* One bit of one byte somewhere in the packs; called again, it is as before. */
static void flip(struct world *world, struct random_seeded random)
{
    struct fs_names names = {.names = NULL};
    struct fs_file *file = NULL;
    char path[FS_PATH_SIZE];
    uint64_t size = 0;
    uint8_t byte = 0;
    struct error err = {0};

    ASSERT_OK(fs_list(world->data, "packs", &names, &err), &err);
    (void)snprintf(path, sizeof(path), "packs/%s",
                   names.names[random_seeded_below(&random, names.count)]);
    ASSERT_OK(fs_open(world->data, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    uint64_t at = random_seeded_below(&random, size);

    ASSERT_OK(fs_read_exactly_at(file, at, &byte, 1, &err), &err);
    byte ^= (uint8_t)(1u << random_seeded_below(&random, 8));
    ASSERT_OK(fs_write_at(file, at, slice_of(&byte, 1), &err), &err);
    fs_close(file);
    fs_names_deinit(&names);
}

/* Of each small item what it is, of a point by its envelope. */
static void expect_same_or_lost(struct world *world, const struct world *whole)
{
    for (size_t i = 0; i < world->points.count; i++) {
        const struct point *point = &world->points.rows[i];

        for (size_t j = 0; j < whole->points.count && point->envelope_there; j++) {
            const struct point *same = &whole->points.rows[j];

            if (!id_equal(&same->envelope_ref.id, &point->envelope_ref.id))
                continue;
            assert_int_equal(same->item_count, point->item_count);
            for (size_t item = 0; item < point->item_count; item++) {
                assert_int_equal(same->items[item].size, point->items[item].size);
                assert_true(!point->items[item].there || id_equal(&same->items[item].root.top.id,
                                                                  &point->items[item].root.top.id));
                if (point->body_there)
                    assert_string_equal(same->items[item].name, point->items[item].name);
            }
        }
    }
}

static void a_flipped_bit_is_lost_or_harmless_and_never_wrong(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("recover_points"));
    struct world whole;
    struct world world;
    struct error err = {0};

    (void)state;
    new_world(&whole);
    new_world(&world);
    ASSERT_OK(read_all(&whole, &err), &err);
    for (unsigned i = 0; i < FLIPS; i++) {
        struct random_seeded this_one = random_seeded_of(random_seeded_next(&random));

        flip(&world, this_one);
        ASSERT_OK(read_all(&world, &err), &err);
        expect_same_or_lost(&world, &whole);
        forget(&world);
        flip(&world, this_one);
    }
    free_world(&world);
    free_world(&whole);
}

static void try_once(void *arg, uint64_t n)
{
    struct world *world = arg;
    struct error err = {0};

    (void)n;
    enum status st = read_all(world, &err);

    if (st == STATUS_OK && world->points.count > 0 && world->points.rows[0].item_count > 0 &&
        world->points.rows[0].items[0].there) {
        uint64_t missing = 0;
        const struct extract_options options = {.things = world->things,
                                                .point = &world->points.rows[0],
                                                .teller = &world->teller,
                                                .keep_going = true,
                                                .force = true,
                                                .fs = world->out};

        st = extract_item(&options, 0, "out", &missing, &err);
    }
    if (st != STATUS_OK)
        assert_true(err.text[0] != '\0');
    forget(world);
}

static void each_failing_allocation_and_io_call_is_survived(void **state)
{
    struct faults *faults = faults_new();
    struct world world;

    (void)state;
    new_world(&world);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_ALLOC | FAULT_IO, try_once, &world) > 100);
    faults_install(NULL);
    faults_free(faults);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_repository_is_whole),
        cmocka_unit_test(a_flipped_bit_is_lost_or_harmless_and_never_wrong),
        cmocka_unit_test(each_failing_allocation_and_io_call_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
