/* The set of packs: found by name, few files open at a time. */
#include <string.h>

#include "base/memory.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/pack_set.h"
#include "coordinator/store/pack_writer.h"
#include "tests/support/fs_memory.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { OPEN_MAX = 64, PACKS = OPEN_MAX + 3 };

struct env {
    struct fs *fs;
    struct keys *keys;
    struct random_seeded random;
    struct pack_set set;
    struct place places[PACKS]; /* of the one record of each pack */
    struct buffer record;
    struct error err;
};

/* Pack number INDEX, with one record of that number plus 1. */
static void make_pack(struct env *env, unsigned index)
{
    const struct pack_header header = {.class = PACK_DATA, .name = {{0x10, (uint8_t)index}}};
    struct record_header what = {
        .kind = KIND_BLOCK, .domain = {{1}}, .id = {{2}}, .number = index + 1, .plain_length = 4};
    struct place *place = &env->places[index];
    struct pack_writer *writer = NULL;

    buffer_clear(&env->record);
    ASSERT_OK(record_seal(env->keys, &env->random.source, &what, slice_of_text("text"),
                          &env->record, &env->err),
              &env->err);
    place->pack = header.name;
    place->length = (uint32_t)env->record.size;
    ASSERT_OK(pack_writer_new(env->fs, &header, &writer, &env->err), &env->err);
    ASSERT_OK(pack_writer_append(writer, buffer_slice(&env->record), &what, &place->offset,
                                 &env->err),
              &env->err);
    pack_writer_free(writer);
}

static int set_up(void **state)
{
    static const struct repository_key key = {{7}};
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->random = random_seeded_of(1);
    buffer_init(&env->record, RECORD_SIZE_MAX);
    ASSERT_OK(keys_new(&key, &env->keys, &env->err), &env->err);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    ASSERT_OK(fs_make_dir(env->fs, PACK_DIR, &env->err), &env->err);
    for (unsigned i = 0; i < PACKS; i++)
        make_pack(env, i);
    pack_set_init(&env->set, env->fs);
    ASSERT_OK(pack_set_list(&env->set, &env->err), &env->err);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    pack_set_deinit(&env->set);
    fs_free(env->fs);
    keys_free(env->keys);
    buffer_deinit(&env->record);
    memory_free(env);
    return 0;
}

static void read_record(struct env *env, unsigned index)
{
    struct record_header header = {0};

    ASSERT_OK(pack_set_read(&env->set, &env->places[index], &header, &env->record, &env->err),
              &env->err);
    assert_int_equal(header.number, index + 1);
}

static bool is_open(struct env *env, unsigned index)
{
    return pack_set_find(&env->set, &env->places[index].pack)->file != NULL;
}

static unsigned count_open(struct env *env)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PACKS; i++)
        count += is_open(env, i) ? 1 : 0;
    return count;
}

static void packs_of_the_folder_are_found_by_name(void **state)
{
    struct env *env = *state;
    const struct random_id other = {{0x11}};
    struct pack *pack = NULL;

    assert_int_equal(env->set.count, PACKS);
    for (unsigned i = 0; i < PACKS; i++)
        assert_non_null(pack_set_find(&env->set, &env->places[i].pack));
    assert_null(pack_set_find(&env->set, &other));
    ASSERT_STATUS(STATUS_EXISTS,
                  pack_set_add(&env->set, &env->places[3].pack, PACK_META, &pack, &env->err),
                  &env->err);
}

static void the_file_that_was_used_longest_ago_is_closed(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < OPEN_MAX; i++)
        read_record(env, i);
    assert_int_equal(count_open(env), OPEN_MAX);
    read_record(env, 0); /* used again: now number 1 is the oldest */
    read_record(env, OPEN_MAX);
    assert_int_equal(count_open(env), OPEN_MAX);
    assert_true(is_open(env, 0));
    assert_false(is_open(env, 1));
    read_record(env, 1); /* opened again, for number 2 */
    assert_false(is_open(env, 2));
    for (unsigned i = 0; i < PACKS; i++)
        read_record(env, i);
    assert_int_equal(count_open(env), OPEN_MAX);
}

static void a_pack_that_is_taken_out_makes_room(void **state)
{
    struct env *env = *state;

    for (unsigned i = 0; i < OPEN_MAX; i++)
        read_record(env, i);
    pack_set_remove(&env->set, pack_set_find(&env->set, &env->places[5].pack));
    assert_null(pack_set_find(&env->set, &env->places[5].pack));
    read_record(env, OPEN_MAX);
    assert_true(is_open(env, 0)); /* nothing had to be closed */
}

static void a_record_of_no_pack_names_the_pack_and_its_place(void **state)
{
    struct env *env = *state;
    struct place place = env->places[0];
    struct record_header header;

    place.pack.bytes[0] = 0x7f;
    ASSERT_STATUS(STATUS_CORRUPT,
                  pack_set_read(&env->set, &place, &header, &env->record, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "pack 7f000000"));
    assert_non_null(strstr(env->err.text, "at 52 is lost"));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packs_of_the_folder_are_found_by_name),
        TEST(the_file_that_was_used_longest_ago_is_closed),
        TEST(a_pack_that_is_taken_out_makes_room),
        TEST(a_record_of_no_pack_names_the_pack_and_its_place),
    };

    return cmocka_run_group_tests_name("store_pack_set", tests, NULL, NULL);
}
