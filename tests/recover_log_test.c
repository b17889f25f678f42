#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/log_body.h"
#include "recover/log_scan.h"
#include "recover/log_sum.h"
#include "tests/support/fs_memory.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { ENTRIES_MAX = 64, SEGMENT_MAX = 1024 * 1024 };

/* A log that is written by format/ alone. */
struct world {
    struct fs *fs;
    struct keys *keys;
    struct random_seeded random;
    struct random_id writer;
    struct sign_key *signer;
    FILE *said; /* warnings */
    struct teller teller;
    unsigned segment;
    struct buffer bytes; /* of the open segment */
    uint64_t sequence;   /* of the newest entry */
    struct hash_digest hash;
    size_t at[ENTRIES_MAX]; /* where each of the open segment begins */
    size_t count;
};

static struct world new_world(void)
{
    const struct repository_key key = {{1, 2, 3}};
    struct world world = {.random = random_seeded_of(5), .writer = {{9}}};
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&world.fs, &err), &err);
    ASSERT_OK(fs_make_dir(world.fs, LOG_DIR, &err), &err);
    ASSERT_OK(keys_new(&key, &world.keys, &err), &err);
    ASSERT_OK(keys_log_signer(world.keys, &world.writer, &world.signer, &err), &err);
    world.said = tmpfile();
    assert_non_null(world.said);
    buffer_init(&world.bytes, SEGMENT_MAX);
    return world;
}

static void free_world(struct world *world)
{
    (void)fclose(world->said);
    buffer_deinit(&world->bytes);
    sign_key_free(world->signer);
    keys_free(world->keys);
    fs_free(world->fs);
}

static void append(struct world *world, enum log_entry_type type, const struct buffer *body)
{
    struct log_entry_header header = {.type = (uint8_t)type,
                                      .writer = world->writer,
                                      .sequence = world->sequence + 1,
                                      .previous = world->hash};
    struct error err = {0};

    assert_true(world->count < ENTRIES_MAX);
    world->at[world->count++] = world->bytes.size;
    ASSERT_OK(log_entry_seal(keys_structure(world->keys), world->signer, &world->random.source,
                             &header, buffer_slice(body), &world->bytes, &world->hash, &err),
              &err);
    world->sequence++;
}

static struct random_id task_of(uint8_t task)
{
    return (struct random_id){{task}};
}

/* The body of a point's entry, or of what is done to it. */
static void encode(enum log_entry_type type, uint8_t task, struct buffer *body)
{
    const struct log_point point = {.task = task_of(task),
                                    .domain = {{7}},
                                    .envelope = {.id = {{task}}, .number = task},
                                    .packs = {.packs = {{.name = {{task}}, .synced = 100}},
                                              .count = 1}};
    const struct log_until until = {.task = task_of(task), .until_us = 12};
    const struct log_named named = {.task = task_of(task)};

    if (type == LOG_POINT)
        log_point_encode(&point, body);
    else if (type == LOG_TRASH || type == LOG_LOCK)
        log_until_encode(&until, body);
    else
        log_named_encode(&named, body);
}

static void put(struct world *world, enum log_entry_type type, uint8_t task)
{
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    encode(type, task, &body);
    append(world, type, &body);
    buffer_deinit(&body);
}

/* Part PART of PARTS of a summary that knows the points of TASKS (0 ends them), the first one as entry 1. */
static void put_summary(struct world *world, uint32_t part, uint32_t parts, const uint8_t *tasks)
{
    struct buffer items;
    struct buffer body;
    struct buffer whole;

    buffer_init(&items, LOG_ENTRY_BODY_MAX);
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    buffer_init(&whole, LOG_ENTRY_BODY_MAX);
    for (uint64_t i = 0; tasks[i] != 0; i++) {
        buffer_clear(&body);
        encode(LOG_POINT, tasks[i], &body);
        log_item_encode(&(struct log_item){.type = LOG_POINT,
                                           .sequence = tasks[i],
                                           .body = buffer_slice(&body)},
                        &items);
    }
    log_summary_encode(
        &(struct log_summary){.part = part, .parts = parts, .items = buffer_slice(&items)}, &whole);
    append(world, LOG_SUMMARY, &whole);
    buffer_deinit(&items);
    buffer_deinit(&body);
    buffer_deinit(&whole);
}

/* The open segment becomes a file; *flip: that byte of it is damaged first (NULL: none). */
static void end_segment(struct world *world, const size_t *flip)
{
    struct fs_file *file = NULL;
    char path[64];
    struct error err = {0};

    if (flip != NULL)
        world->bytes.data[*flip] ^= 1;
    assert_true(text_format(path, sizeof(path), LOG_DIR "/%010u", ++world->segment));
    ASSERT_OK(fs_open(world->fs, path, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, buffer_slice(&world->bytes), &err), &err);
    fs_close(file);
    buffer_clear(&world->bytes);
    world->count = 0;
}

static struct log_sum sum_of(struct world *world)
{
    struct log_sum sum = {.points = NULL};
    struct error err = {0};

    world->teller =
        (struct teller){.out = world->said,
                        .progress = show_progress_of(SHOW_NOTHING, world->said, clock_system())};
    ASSERT_OK(log_sum_read(world->fs, world->keys, &world->teller, &sum, &err), &err);
    return sum;
}

static const struct log_sum_point *find(const struct log_sum *sum, uint8_t task)
{
    const struct random_id wanted = task_of(task);

    for (size_t i = 0; i < sum->point_count; i++)
        if (random_id_equal(&sum->points[i].task, &wanted))
            return &sum->points[i];
    return NULL;
}

static void states_follow_the_entries(void **state)
{
    struct world world = new_world();

    (void)state;
    for (uint8_t task = 1; task <= 4; task++)
        put(&world, LOG_POINT, task);
    put(&world, LOG_TRASH, 1);
    put(&world, LOG_TRASH, 2);
    put(&world, LOG_UNDELETE, 2);
    put(&world, LOG_LOCK, 3);
    put(&world, LOG_TRASH, 4);
    put(&world, LOG_PURGE, 4);
    end_segment(&world, NULL);

    struct log_sum sum = sum_of(&world);
    const struct random_id pack = {{2}};
    const struct random_id other = {{77}};

    assert_int_equal(world.teller.warnings, 0);
    assert_true(find(&sum, 1)->trashed);
    assert_false(find(&sum, 2)->trashed);
    assert_int_equal(find(&sum, 3)->lock_until_us, 12);
    assert_true(find(&sum, 4)->purged);
    assert_int_equal(log_sum_synced(&sum, &pack), 100);
    assert_int_equal(log_sum_synced(&sum, &other), 0);
    log_sum_deinit(&sum);
    free_world(&world);
}

static void damage_of_one_entry_costs_no_other(void **state)
{
    (void)state;
    for (size_t damaged = 0; damaged < 3; damaged++) {
        struct world world = new_world();

        for (uint8_t task = 1; task <= 3; task++)
            put(&world, LOG_POINT, task);
        size_t flip = world.at[damaged] + 60;

        end_segment(&world, &flip);
        struct log_sum sum = sum_of(&world);

        assert_int_equal(sum.point_count, 2);
        assert_null(find(&sum, (uint8_t)(damaged + 1)));
        assert_true(world.teller.warnings > 0);
        log_sum_deinit(&sum);
        free_world(&world);
    }
}

static void a_whole_summary_stands_for_all_before_it(void **state)
{
    struct world world = new_world();
    size_t flip = 60;

    (void)state;
    put(&world, LOG_POINT, 1);
    put(&world, LOG_POINT, 2);
    put(&world, LOG_PURGE, 2);
    end_segment(&world, &flip); /* whatever is in it does not count any more */
    put_summary(&world, 0, 1, (const uint8_t[]){1, 0});
    put(&world, LOG_POINT, 5);
    end_segment(&world, NULL);

    struct log_sum sum = sum_of(&world);

    assert_non_null(find(&sum, 1));
    assert_null(
        find(&sum,
             2)); /* its entry is there, its purge too, and the summary knows that it is gone */
    assert_non_null(find(&sum, 5));
    log_sum_deinit(&sum);
    free_world(&world);
}

static void a_summary_without_one_of_its_parts_is_none(void **state)
{
    struct world world = new_world();
    size_t flip = 0;

    (void)state;
    put(&world, LOG_POINT, 1);
    put(&world, LOG_POINT, 2);
    end_segment(&world, NULL);
    put_summary(&world, 0, 2, (const uint8_t[]){1, 0});
    flip = world.bytes.size + 60;
    put_summary(&world, 1, 2, (const uint8_t[]){2, 0});
    put(&world, LOG_TRASH, 1);
    end_segment(&world, &flip);

    struct log_sum sum = sum_of(&world);

    assert_true(world.teller.warnings > 0);
    assert_true(find(&sum, 1)->trashed);
    assert_non_null(find(&sum, 2)); /* by its own entry */
    log_sum_deinit(&sum);
    free_world(&world);
}

static void an_entry_that_was_given_up_does_not_count(void **state)
{
    struct world world = new_world();
    struct hash_digest before;

    (void)state;
    put(&world, LOG_POINT, 1);
    before = world.hash;
    put(&world, LOG_TRASH, 1);
    end_segment(&world, NULL);
    world.sequence--; /* writing it had failed: another one takes its place */
    world.hash = before;
    put(&world, LOG_POINT, 2);
    end_segment(&world, NULL);

    struct log_sum sum = sum_of(&world);

    assert_false(find(&sum, 1)->trashed);
    assert_non_null(find(&sum, 2));
    assert_int_equal(world.teller.warnings, 0);
    log_sum_deinit(&sum);
    free_world(&world);
}

static void another_writers_forgery_is_not_believed(void **state)
{
    struct world world = new_world();
    const struct random_id stranger = {{8}};
    struct sign_key *forger = NULL;
    struct error err = {0};

    (void)state;
    put(&world, LOG_POINT, 1);
    ASSERT_OK(keys_log_signer(world.keys, &stranger, &forger, &err), &err);
    sign_key_free(world.signer);
    world.signer = forger;
    put(&world, LOG_PURGE, 1);
    end_segment(&world, NULL);

    struct log_sum sum = sum_of(&world);

    assert_false(find(&sum, 1)->purged);
    assert_int_equal(world.teller.warnings, 1);
    log_sum_deinit(&sum);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_follow_the_entries),
        cmocka_unit_test(damage_of_one_entry_costs_no_other),
        cmocka_unit_test(a_whole_summary_stands_for_all_before_it),
        cmocka_unit_test(a_summary_without_one_of_its_parts_is_none),
        cmocka_unit_test(an_entry_that_was_given_up_does_not_count),
        cmocka_unit_test(another_writers_forgery_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
