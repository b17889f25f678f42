/* A store whose files were damaged, or are another's: each is named in one clear sentence, nothing wrong is given out, and
 * what is whole stays readable. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/pack_file.h"
#include "format/manifest.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

enum { PACK_SIZE = 1024 * 1024, SEED = 9, OTHER_SEED = 10 };

struct env {
    struct faults *faults;
    struct fs *fs;
    struct store_world world;
    struct store *store;
    struct world_point first; /* committed */
    struct world_point second;
    struct error err;
};

static void open_store(struct env *env)
{
    ASSERT_OK(store_world_open(&env->world, &env->store, &env->err), &env->err);
}

static void close_store(struct env *env)
{
    store_close(env->store);
    env->store = NULL;
}

/* As a killed process does. */
static void crash(struct env *env)
{
    faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
    close_store(env);
    faults_arm(env->faults, 0, 0);
    (void)store_world_lines(&env->world);
}

static void lose_index(struct env *env)
{
    store_world_set_index(&env->world, index_memory_new());
}

/* A store with two points, the second with one block that the first does not have; open. */
static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(fs_memory_new(&env->fs, &env->err), &env->err);
    store_world_init(&env->world, env->fs, PACK_SIZE, SEED);
    env->first = (struct world_point){.task = world_task(1), .disk = world_disk_of(100, 5, 7)};
    env->second = (struct world_point){.task = world_task(2), .disk = env->first.disk};
    env->second.disk.blocks[199] = 500;
    ASSERT_OK(store_world_create(&env->world, &env->err), &env->err);
    open_store(env);
    ASSERT_OK(world_point_commit(env->store, &env->first, NULL, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &env->second, &env->first, &env->err), &env->err);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    store_close(env->store);
    store_world_deinit(&env->world);
    fs_free(env->fs);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}

/* --- files ------------------------------------------------------------------------------------- */

/* The first file in DIR whose name ends in ENDING. */
static void find_file(struct env *env, const char *dir, const char *ending, char path[FS_PATH_SIZE])
{
    struct fs_names names = {0};
    bool found = false;

    ASSERT_OK(fs_list(env->fs, dir, &names, &env->err), &env->err);
    for (size_t i = 0; i < names.count && !found; i++) {
        size_t length = strlen(names.names[i]);

        found = length >= strlen(ending) &&
                strcmp(names.names[i] + length - strlen(ending), ending) == 0;
        if (found)
            assert_true(text_format(path, FS_PATH_SIZE, "%s/%s", dir, names.names[i]));
    }
    assert_true(found);
    fs_names_deinit(&names);
}

static uint64_t size_of(struct env *env, const char *path)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;

    ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
    fs_close(file);
    return size;
}

static void flip(struct env *env, const char *path, uint64_t offset)
{
    struct fs_file *file = NULL;
    uint8_t byte = 0;

    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_exactly_at(file, offset, &byte, 1, &env->err), &env->err);
    byte ^= 0x10;
    ASSERT_OK(fs_write_at(file, offset, slice_of(&byte, 1), &env->err), &env->err);
    fs_close(file);
}

static void resize(struct env *env, const char *path, uint64_t size)
{
    struct fs_file *file = NULL;

    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_resize(file, size, &env->err), &env->err);
    fs_close(file);
}

static void assert_said(const char *lines, const char *part)
{
    if (strstr(lines, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, lines);
}

static void assert_logged(struct env *env, const char *part)
{
    assert_said(store_world_lines(&env->world), part);
}

static void assert_refused(struct env *env, enum status status, const char *sentence)
{
    ASSERT_STATUS(status, store_world_open(&env->world, &env->store, &env->err), &env->err);
    assert_null(env->store);
    assert_said(env->err.text, sentence);
}

static void assert_both_read(struct env *env)
{
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &env->second, &env->err), &env->err);
}

/* --- packs ------------------------------------------------------------------------------------- */

enum { FIRST_PAYLOAD = 52 + 104 + 10 };

static void a_flipped_bit_is_named_by_pack_and_offset(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    flip(env, path, FIRST_PAYLOAD);
    open_store(env);
    ASSERT_STATUS(STATUS_CORRUPT, world_point_check(env->store, &env->first, &env->err), &env->err);
    assert_said(env->err.text, path);
    assert_said(env->err.text, " at 52: ");
}

/* A whole record, in another one's place. */
static void a_record_with_another_number_is_not_given_out(void **state)
{
    struct env *env = *state;
    struct index *index = env->world.index;
    struct index_record record = {.number = env->first.root.number, .id = {{1}}};
    const struct index_batch batch = {.records = &record, .record_count = 1};
    struct buffer fetched;

    buffer_init(&fetched, RECORD_SIZE_MAX);
    const uint64_t other = env->second.root.number;

    ASSERT_OK(index->ops->find_places(index, &other, 1, &record.place, &env->err), &env->err);
    ASSERT_OK(index->ops->apply(index, &batch, &env->err), &env->err);
    ASSERT_STATUS(STATUS_CORRUPT,
                  store_fetch(env->store, env->first.root.number, &fetched, &env->err), &env->err);
    assert_said(env->err.text, " lies number ");
    buffer_deinit(&fetched);
}

/* A thing under a number that is another thing's. */
static void a_reference_to_another_thing_is_not_followed(void **state)
{
    struct env *env = *state;
    struct ref ref = {.id = env->first.root.id, .number = env->second.root.number};
    struct buffer stored;

    buffer_init(&stored, RECORD_SIZE_MAX);
    ASSERT_STATUS(STATUS_CORRUPT,
                  store_read(env->store, store_default_domain(env->store), KIND_DISK_ROOT, &ref,
                             &stored, &env->err),
                  &env->err);
    assert_said(env->err.text, "not what is wanted under that number");
    buffer_deinit(&stored);
}

/* A durable record in a pack that a crash left open. */
static void rot_below_the_synced_length_is_logged(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(900, 1, 1)};
    char path[FS_PATH_SIZE];

    crash(env);
    find_file(env, "packs", ".data", path);
    flip(env, path, FIRST_PAYLOAD);
    open_store(env);
    assert_logged(env, "is damaged at 52");
    ASSERT_STATUS(STATUS_CORRUPT, world_point_check(env->store, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &third, &env->err), &env->err);
}

/* Closure: the index made anew knows no node over the lost block, so that no new tree is built upon it. */
static void a_node_over_a_lost_block_is_left_out(void **state)
{
    struct env *env = *state;
    uint64_t number = 1;
    char path[FS_PATH_SIZE];

    crash(env);
    find_file(env, "packs", ".data", path);
    flip(env, path, FIRST_PAYLOAD);
    lose_index(env);
    open_store(env);
    const char *lines = store_world_lines(&env->world);

    assert_said(lines, "is left out: number ");
    assert_said(lines, "cannot be read: something that it needs is missing or damaged");
    ASSERT_OK(store_find(env->store, store_default_domain(env->store), &env->first.root.id, 1,
                         &number, &env->err),
              &env->err);
    assert_int_equal(number, 0);
}

static void a_missing_pack_is_named_and_the_rest_is_found_again(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(900, 1, 1)};
    char path[FS_PATH_SIZE];

    close_store(env);
    open_store(env);
    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);
    close_store(env);
    find_file(env, "packs", ".data", path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    open_store(env);
    path[6 + 32] = '\0';
    const char *lines = store_world_lines(&env->world);

    assert_said(lines, path + 6);
    assert_said(lines, "is missing: the index is made anew from all packs");
    /* The packs' names are random: one of the two is gone. */
    bool first = world_point_check(env->store, &env->first, &env->err) == STATUS_OK;
    bool other = world_point_check(env->store, &third, &env->err) == STATUS_OK;

    assert_true(first != other);
}

static void a_pack_that_is_too_short_is_named(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    resize(env, path, 200);
    open_store(env);
    assert_logged(env, "has only 200 of at least");
}

static void a_damaged_footer_costs_nothing(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".meta", path);
    flip(env, path, size_of(env, path) - 1);
    find_file(env, "packs", ".data", path);
    flip(env, path, size_of(env, path) - 10);
    lose_index(env);
    open_store(env);
    assert_both_read(env);
    close_store(env);
    lose_index(env);
    open_store(env);
    assert_both_read(env);
}

static void a_damaged_pack_index_is_named_and_costs_nothing(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    flip(env, path, size_of(env, path) - 60);
    lose_index(env);
    open_store(env);
    assert_logged(env, "the pack is read from its start instead");
    assert_both_read(env);
}

static void a_pack_of_another_repository_is_left_out(void **state)
{
    struct env *env = *state;
    struct store_world other;
    struct store *store = NULL;
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    struct fs_file *copy = NULL;
    struct fs_names names = {0};
    static uint8_t bytes[PACK_SIZE];
    char path[FS_PATH_SIZE];
    size_t size = 0;

    ASSERT_OK(fs_memory_new(&fs, &env->err), &env->err);
    store_world_init(&other, fs, PACK_SIZE, OTHER_SEED);
    ASSERT_OK(store_world_create(&other, &env->err), &env->err);
    ASSERT_OK(store_world_open(&other, &store, &env->err), &env->err);
    ASSERT_OK(world_point_commit(store, &env->first, NULL, &env->err), &env->err);
    store_close(store);
    ASSERT_OK(fs_list(fs, "packs", &names, &env->err), &env->err);
    assert_true(text_format(path, sizeof(path), "packs/%s", names.names[0]));
    ASSERT_OK(fs_open(fs, path, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_at(file, 0, bytes, sizeof(bytes), &size, &env->err), &env->err);
    ASSERT_OK(fs_open(env->fs, path, FS_CREATE, &copy, &env->err), &env->err);
    ASSERT_OK(fs_write_at(copy, 0, slice_of(bytes, size), &env->err), &env->err);
    fs_close(copy);
    fs_close(file);
    fs_names_deinit(&names);
    store_world_deinit(&other);
    fs_free(fs);
    close_store(env);
    open_store(env);
    assert_logged(env, "is another repository's pack: it is left out");
    ASSERT_OK(world_point_check(env->store, &env->second, &env->err), &env->err);
}

/* --- what comes back --------------------------------------------------------------------------- */

static void copy_file(struct env *env, const char *from, const char *to)
{
    static uint8_t bytes[PACK_SIZE];
    struct fs_file *file = NULL;
    struct fs_file *copy = NULL;
    struct error ignored = {0};
    size_t size = 0;

    ASSERT_OK(fs_open(env->fs, from, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_at(file, 0, bytes, sizeof(bytes), &size, &env->err), &env->err);
    fs_close(file);
    DISCARD(fs_remove(env->fs, to, &ignored)); /* if it is there */
    ASSERT_OK(fs_open(env->fs, to, FS_CREATE, &copy, &env->err), &env->err);
    ASSERT_OK(fs_write_at(copy, 0, slice_of(bytes, size), &env->err), &env->err);
    fs_close(copy);
}

static void a_missing_pack_that_is_back_brings_all_back(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    ASSERT_OK(fs_rename(env->fs, path, "saved", &env->err), &env->err);
    for (unsigned starts = 0; starts < 2; starts++) { /* also one that finds it missing still */
        open_store(env);
        assert_logged(env, "is left out: number ");
        ASSERT_STATUS(STATUS_CORRUPT, world_point_check(env->store, &env->first, &env->err),
                      &env->err);
        assert_said(env->err.text, "is in no pack that is here; 1 packs are missing");
        close_store(env);
    }
    ASSERT_OK(fs_rename(env->fs, "saved", path, &env->err), &env->err);
    open_store(env);
    assert_string_equal(store_world_lines(&env->world), "");
    assert_both_read(env);
    close_store(env);
    open_store(env);
    assert_both_read(env);
}

/* The seal that the short one gets makes it a sound pack of less. */
static void cut_a_pack_and_put_it_back(struct env *env, uint64_t size)
{
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    copy_file(env, path, "saved");
    resize(env, path, size);
    for (unsigned starts = 0; starts < 2; starts++) {
        open_store(env);
        ASSERT_STATUS(STATUS_CORRUPT, world_point_check(env->store, &env->second, &env->err),
                      &env->err);
        close_store(env);
    }
    copy_file(env, "saved", path);
    open_store(env);
}

static void a_short_pack_that_is_whole_again_brings_all_back(void **state)
{
    static const uint64_t sizes[] = {10, 200, 52 + 2000};
    struct env *env = *state;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cut_a_pack_and_put_it_back(env, sizes[i]);
        assert_both_read(env);
    }
}

/* What is cut below its header is said once to differ from the index. */
static void a_pack_cut_below_its_header_does_not_cost_the_index_at_each_start(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    crash(env);
    find_file(env, "packs", ".data", path);
    resize(env, path, 10);
    open_store(env);
    assert_logged(env, "the index is made anew");
    close_store(env);
    open_store(env);
    const char *lines = store_world_lines(&env->world);

    assert_said(lines, "is damaged at 52");
    assert_null(strstr(lines, "the index is made anew"));
}

static void a_pack_copied_over_another_is_named_and_counts_as_missing(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(900, 5, 7)};
    struct world_point again = {.task = world_task(4), .disk = world_disk_of(900, 5, 7)};
    struct fs_names names = {0};
    char old[FS_PATH_SIZE];
    char path[FS_PATH_SIZE] = "";

    find_file(env, "packs", ".data", old);
    close_store(env);
    open_store(env);
    ASSERT_OK(world_point_commit(env->store, &third, NULL, &env->err), &env->err);
    close_store(env);
    ASSERT_OK(fs_list(env->fs, "packs", &names, &env->err), &env->err);
    for (size_t i = 0; i < names.count; i++) {
        if (strstr(names.names[i], ".data") != NULL && strstr(old, names.names[i]) == NULL)
            assert_true(text_format(path, sizeof(path), "packs/%s", names.names[i]));
    }
    fs_names_deinit(&names);
    copy_file(env, old, path);
    open_store(env);
    const char *lines = store_world_lines(&env->world);

    assert_said(lines, "is not what its name says");
    assert_said(lines, "is missing: the index is made anew");
    assert_both_read(env);
    ASSERT_OK(world_point_commit(env->store, &again, NULL, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &again, &env->err), &env->err);
}

/* Of a pack of which records were left out the index keeps that it is there. */
static void an_incomplete_pack_that_is_gone_is_missed(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "packs", ".data", path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    open_store(env);
    close_store(env);
    find_file(env, "packs", ".meta", path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    (void)store_world_lines(&env->world);
    open_store(env);
    assert_logged(env, "is missing: the index is made anew");
}

/* An index and footer that belong to another pack. */
static void another_packs_index_is_not_believed(void **state)
{
    struct env *env = *state;
    struct fs_file *file = NULL;
    struct pack_footer footer;
    struct buffer entries;
    struct random_id name;
    enum pack_class class;
    char path[FS_PATH_SIZE];
    uint64_t size = 0;

    buffer_init(&entries, RECORD_PLAIN_MAX);
    close_store(env);
    find_file(env, "packs", ".data", path);
    assert_true(pack_path_parse(path + strlen(PACK_DIR) + 1, &name, &class));
    open_store(env);
    size = size_of(env, path);
    ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(pack_file_footer(file, size, &footer, &env->err), &env->err);
    ASSERT_OK(pack_file_entries(file, &name, &footer, store_keys(env->store), &entries, &env->err),
              &env->err);
    name.bytes[0] ^= 1;
    ASSERT_STATUS(STATUS_CORRUPT,
                  pack_file_entries(file, &name, &footer, store_keys(env->store), &entries,
                                    &env->err),
                  &env->err);
    assert_said(env->err.text, "another pack's index");
    fs_close(file);
    buffer_deinit(&entries);
}

/* Sealed under the right keys, and yet an entry lies behind the records. */
static void an_entry_behind_the_records_is_refused(void **state)
{
    struct env *env = *state;
    struct pack_entry entry = {.number = 9, .id = {{1}}, .length = 200, .kind = KIND_BLOCK};
    struct random_id name = {{'n'}};
    struct fs_file *file = NULL;
    struct pack_footer footer;
    struct buffer entries;
    struct buffer stored;
    uint64_t size = 0;

    buffer_init(&entries, 1024);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    for (uint64_t over = 0; over < 2; over++) {
        ASSERT_OK(fs_open(env->fs, over == 0 ? "one" : "two", FS_CREATE, &file, &env->err),
                  &env->err);
        buffer_clear(&entries);
        entry.offset = 300 + over;
        pack_entry_encode(&entry, &entries);
        ASSERT_OK(pack_file_seal(file, &name, 500, buffer_slice(&entries), store_keys(env->store),
                                 &env->world.random.source, &env->err),
                  &env->err);
        ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
        ASSERT_OK(pack_file_footer(file, size, &footer, &env->err), &env->err);
        ASSERT_STATUS(over == 0 ? STATUS_OK : STATUS_CORRUPT,
                      pack_file_entries(file, &name, &footer, store_keys(env->store), &stored,
                                        &env->err),
                      &env->err);
        fs_close(file);
    }
    assert_said(env->err.text, "does not end before the index");
    buffer_deinit(&entries);
    buffer_deinit(&stored);
}

/* --- an index that fails ----------------------------------------------------------------------- */

struct failing_index {
    struct index index;
    struct index *inner;
    unsigned calls; /* of find() and find_places() so far */
    unsigned bad;   /* the number of the call from which on it fails; 0: none */
    bool heals;     /* by clear() */
};

static struct failing_index *failing_of(struct index *index)
{
    return (struct failing_index *)index; /* its first member */
}

static enum status failing_step(struct index *index, struct error *err)
{
    struct failing_index *failing = failing_of(index);

    failing->calls++;
    if (failing->bad != 0 && failing->calls >= failing->bad)
        return error_set(err, STATUS_INTERNAL, "the index is damaged");
    return STATUS_OK;
}

static enum status failing_find(struct index *index, const struct random_id *domain,
                                const struct id *ids, size_t count, uint64_t *ret_numbers,
                                struct error *err)
{
    struct index *inner = failing_of(index)->inner;
    enum status st = failing_step(index, err);

    return st == STATUS_OK ? inner->ops->find(inner, domain, ids, count, ret_numbers, err) : st;
}

static enum status failing_find_places(struct index *index, const uint64_t *numbers, size_t count,
                                       struct place *ret_places, struct error *err)
{
    struct index *inner = failing_of(index)->inner;
    enum status st = failing_step(index, err);

    return st == STATUS_OK ? inner->ops->find_places(inner, numbers, count, ret_places, err) : st;
}

static enum status failing_apply(struct index *index, const struct index_batch *batch,
                                 struct error *err)
{
    struct index *inner = failing_of(index)->inner;

    return inner->ops->apply(inner, batch, err);
}

static enum status failing_flush(struct index *index, struct error *err)
{
    struct index *inner = failing_of(index)->inner;

    return inner->ops->flush(inner, err);
}

static enum status failing_last_number(struct index *index, uint32_t space, uint64_t *ret_number,
                                       struct error *err)
{
    struct index *inner = failing_of(index)->inner;

    return inner->ops->last_number(inner, space, ret_number, err);
}

static enum status failing_bind(struct index *index, const struct random_id *repository,
                                struct error *err)
{
    struct index *inner = failing_of(index)->inner;

    return inner->ops->bind(inner, repository, err);
}

static enum status failing_each_cover(struct index *index,
                                      enum status (*each)(void *arg,
                                                          const struct index_cover *cover,
                                                          struct error *err),
                                      void *arg, struct error *err)
{
    struct index *inner = failing_of(index)->inner;

    return inner->ops->each_cover(inner, each, arg, err);
}

static enum status failing_clear(struct index *index, struct error *err)
{
    struct failing_index *failing = failing_of(index);

    if (failing->heals)
        failing->bad = 0;
    return failing->inner->ops->clear(failing->inner, err);
}

static void failing_free(struct index *index)
{
    struct failing_index *failing = failing_of(index);

    failing->inner->ops->free(failing->inner);
    memory_free(failing);
}

static const struct index_ops failing_ops = {
    .find = failing_find,
    .find_places = failing_find_places,
    .apply = failing_apply,
    .flush = failing_flush,
    .last_number = failing_last_number,
    .bind = failing_bind,
    .each_cover = failing_each_cover,
    .clear = failing_clear,
    .free = failing_free,
};

static struct failing_index *use_failing_index(struct env *env, unsigned bad, bool heals)
{
    struct failing_index *failing = memory_new(1, sizeof(*failing));

    assert_non_null(failing);
    *failing = (struct failing_index){.index = {.ops = &failing_ops},
                                      .inner = index_memory_new(),
                                      .bad = bad,
                                      .heals = heals};
    store_world_set_index(&env->world, &failing->index);
    return failing;
}

/* At whichever look-up of a rebuild it shows. */
static void a_damaged_index_costs_no_record(void **state)
{
    struct env *env = *state;
    unsigned look_ups = 0;

    close_store(env);
    for (unsigned bad = 1; bad <= look_ups + 1; bad++) {
        struct failing_index *failing = use_failing_index(env, bad, true);

        (void)store_world_lines(&env->world);
        open_store(env);
        const char *lines = store_world_lines(&env->world);

        assert_null(strstr(lines, "left out"));
        if (failing->bad == 0)
            assert_said(lines, "the index is damaged: the index is made anew");
        look_ups = failing->bad == 0 ? bad : look_ups;
        failing->bad = 0; /* well from here on */
        assert_both_read(env);
        close_store(env);
    }
    assert_true(look_ups > 10);
}

static void an_index_that_stays_damaged_is_an_error(void **state)
{
    struct env *env = *state;

    close_store(env);
    (void)use_failing_index(env, 3, false);
    assert_refused(env, STATUS_INTERNAL, "the index is damaged");
    lose_index(env);
    open_store(env);
    assert_both_read(env);
}

/* --- no space ---------------------------------------------------------------------------------- */

static size_t count_files(struct env *env, const char *dir)
{
    struct fs_names names = {0};

    ASSERT_OK(fs_list(env->fs, dir, &names, &env->err), &env->err);
    size_t count = names.count;

    fs_names_deinit(&names);
    return count;
}

static void a_full_disk_can_be_opened_and_read(void **state)
{
    struct env *env = *state;
    struct store_point point;
    uint64_t number = 0;

    close_store(env);
    size_t segments = count_files(env, "log");

    fs_memory_set_space(env->fs, 1);
    open_store(env);
    assert_logged(env, "nothing can be stored until there is space");
    assert_both_read(env);
    for (unsigned i = 0; i < 5; i++) {
        ASSERT_STATUS(STATUS_EXHAUSTED, store_reserve(env->store, 1, &number, &env->err),
                      &env->err);
        ASSERT_STATUS(STATUS_EXHAUSTED,
                      store_commit(env->store, store_default_domain(env->store), &env->second.task,
                                   &env->second.envelope, &point, &env->err),
                      &env->err);
    }
    assert_int_equal(count_files(env, "log"), segments);
    fs_memory_set_space(env->fs, UINT64_MAX / 2);
    ASSERT_OK(store_commit(env->store, store_default_domain(env->store), &env->second.task,
                           &env->second.envelope, &point, &env->err),
              &env->err);
    assert_int_equal(count_files(env, "log"), segments + 1);
    ASSERT_OK(store_reserve(env->store, 1, &number, &env->err), &env->err);
    close_store(env);
    open_store(env);
    assert_both_read(env);
}

/* What a crash left of an upload waits, and is there once there is space. */
static void a_tail_waits_for_space(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(900, 60, 1)};
    uint64_t number = 0;

    close_store(env);
    open_store(env);
    ASSERT_OK(world_point_upload(env->store, &third, NULL, &env->err), &env->err);
    crash(env);
    fs_memory_set_space(env->fs, 1);
    for (unsigned i = 0; i < 2; i++) {
        open_store(env);
        assert_logged(env, "waits until there is space");
        assert_both_read(env);
        crash(env);
    }
    fs_memory_set_space(env->fs, UINT64_MAX / 2);
    open_store(env);
    ASSERT_OK(store_find(env->store, store_default_domain(env->store), &third.root.id, 1, &number,
                         &env->err),
              &env->err);
    assert_int_equal(number, third.root.number);
    assert_both_read(env);
}

static void recoveries_that_are_killed_leave_no_packs(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(900, 60, 1)};
    uint64_t number = 0;

    close_store(env);
    open_store(env);
    ASSERT_OK(world_point_upload(env->store, &third, NULL, &env->err), &env->err);
    crash(env);
    for (unsigned i = 0; i < 5; i++) {
        faults_arm_point(env->faults, "store.after_recovery_copy", 50, FAULT_FAIL);
        assert_refused(env, STATUS_UNAVAILABLE, "fault on purpose");
    }
    faults_arm(env->faults, 0, 0);
    open_store(env);
    close_store(env);
    assert_int_equal(count_files(env, "packs"), 4);
    lose_index(env);
    open_store(env);
    ASSERT_OK(store_find(env->store, store_default_domain(env->store), &third.root.id, 1, &number,
                         &env->err),
              &env->err);
    assert_int_equal(number, third.root.number);
    assert_both_read(env);
}

/* Records that the index has before the cover of their pack came: durable, and not to be taken for a tail. */
static void what_the_index_knows_is_no_tail(void **state)
{
    struct env *env = *state;
    struct index *index = env->world.index;
    struct index *bare = index_memory_new();
    const uint64_t numbers[] = {env->first.root.number};
    struct index_record record = {.id = env->first.root.id,
                                  .number = numbers[0],
                                  .domain = store_repository(env->store)->domain};
    const struct index_batch batch = {.records = &record, .record_count = 1};
    char path[FS_PATH_SIZE];

    ASSERT_OK(index->ops->find_places(index, numbers, 1, &record.place, &env->err), &env->err);
    ASSERT_OK(bare->ops->bind(bare, &store_repository(env->store)->id, &env->err), &env->err);
    ASSERT_OK(bare->ops->apply(bare, &batch, &env->err), &env->err);
    find_file(env, "packs", ".meta", path);
    crash(env);
    for (unsigned i = 1; i <= 9; i++) { /* the log names no pack then */
        char segment[FS_PATH_SIZE];
        struct error none = {0};

        assert_true(text_format(segment, sizeof(segment), "log/%010u", i));
        if (i >= 2)
            DISCARD(fs_remove(env->fs, segment, &none));
    }
    store_world_set_index(&env->world, bare);
    open_store(env);
    assert_true(size_of(env, path) > 0);
    /* Nor is what lies before it in its pack. */
    ASSERT_OK(world_disk_check(env->store, store_default_domain(env->store), &env->first.root,
                               &env->first.disk, &env->err),
              &env->err);
    close_store(env);
}

/* --- commits ----------------------------------------------------------------------------------- */

static void an_envelope_that_is_void_is_not_committed(void **state)
{
    struct env *env = *state;
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(700, 5, 7)};
    struct slice body = slice_of_text("body");
    struct store_point point;
    struct ref ref;
    struct buffer plain;
    struct buffer stored;

    buffer_init(&plain, RECORD_PLAIN_MAX);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(world_point_upload(env->store, &third, NULL, &env->err), &env->err);
    struct envelope_disk disk = {.size = (uint64_t)WORLD_BLOCKS * WORLD_BLOCK_SIZE,
                                 .root = third.root};
    struct envelope envelope = {.vm = {{'v'}}, .time_us = 1, .disks = &disk, .disk_count = 1};

    ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_BODY, body, body,
                        &envelope.body, &env->err),
              &env->err);
    envelope_encode_plain(&envelope, &plain);
    envelope_encode_stored(&envelope, &stored);
    ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_ENVELOPE,
                        buffer_slice(&plain), buffer_slice(&stored), &ref, &env->err),
              &env->err);
    faults_arm_point(env->faults, "fs.sync", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_ABORTED, store_sync(env->store, &env->err), &env->err);
    faults_arm(env->faults, 0, 0);
    ASSERT_STATUS(STATUS_ABORTED,
                  store_commit(env->store, store_default_domain(env->store), &third.task, &ref,
                               &point, &env->err),
                  &env->err);
    assert_said(env->err.text, "its envelope is not here");
    assert_false(world_shows(env->store, &third.task));
    buffer_deinit(&plain);
    buffer_deinit(&stored);
}

/* --- the log ----------------------------------------------------------------------------------- */

static void a_torn_entry_at_the_end_is_logged_and_left_out(void **state)
{
    struct env *env = *state;
    char path[FS_PATH_SIZE];

    close_store(env);
    find_file(env, "log", "0000000002", path);
    resize(env, path, size_of(env, path) - 1);
    open_store(env);
    assert_logged(env, "are not a whole entry: a crash while it was written, or damage");
    assert_true(world_shows(env->store, &env->first.task));
    assert_false(world_shows(env->store, &env->second.task));
    ASSERT_OK(world_point_commit(env->store, &env->second, &env->first, &env->err), &env->err);
    close_store(env);
    open_store(env); /* the tail is no news any more */
    assert_string_equal(store_world_lines(&env->world), "");
    assert_both_read(env);
}

static void damage_before_whole_entries_is_refused(void **state)
{
    struct env *env = *state;

    close_store(env);
    flip(env, "log/0000000002", 300);
    assert_refused(env, STATUS_CORRUPT, "log/0000000002 is damaged at ");
    flip(env, "log/0000000002", 300);
    open_store(env); /* begins another segment */
    close_store(env);
    flip(env, "log/0000000002", 300);
    assert_refused(env, STATUS_CORRUPT, "does not follow entry ");
    flip(env, "log/0000000002", 300);
    open_store(env);
    assert_both_read(env);
}

static void a_missing_segment_is_refused(void **state)
{
    struct env *env = *state;

    close_store(env);
    open_store(env);
    close_store(env);
    ASSERT_OK(fs_remove(env->fs, "log/0000000002", &env->err), &env->err);
    assert_refused(env, STATUS_CORRUPT, "something between them is missing or damaged");
}

static size_t count_points(struct env *env)
{
    size_t count = 0;

    (void)store_points(env->store, &count); /* for their number only */
    return count;
}

/* Behind it a segment would have a name that no reader takes for one. */
static void a_segment_of_the_highest_number_is_refused_and_named(void **state)
{
    struct env *env = *state;
    struct fs_file *file = NULL;

    close_store(env);
    ASSERT_OK(fs_open(env->fs, "log/9999999999", FS_CREATE, &file, &env->err), &env->err);
    fs_close(file);
    assert_refused(env, STATUS_EXHAUSTED, "move log/9999999999 away");
    ASSERT_OK(fs_remove(env->fs, "log/9999999999", &env->err), &env->err);
    open_store(env);
    assert_both_read(env);
}

/* An entry that one process gave up, the next one did not see, and a power cut brings to light. The newest one that counts
 * was repeated in a segment of its own by then, and is again at each opening: all the same it is one entry. */
static void an_entry_that_was_given_up_and_comes_to_light_changes_nothing(void **state)
{
    struct env *env = *state;
    const struct random_id vm = {{'v', 'm'}};
    const char *path = "log/0000000002";
    uint8_t signature[SIGN_SIZE] = {0};
    const struct signed_slice tracking = {.body = slice_of_text("given up"),
                                          .signature = slice_of(signature, sizeof(signature)),
                                          .certificate = slice_of_text("certificate")};
    uint8_t tail[4096];
    struct fs_file *file = NULL;
    struct slice kept;
    size_t size = 0;
    uint64_t start = size_of(env, path);

    ASSERT_OK(store_track(env->store, &vm, &tracking, &env->err), &env->err);
    close_store(env);
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_at(file, start, tail, sizeof(tail), &size, &env->err), &env->err);
    assert_true(size > 0 && size < sizeof(tail));
    ASSERT_OK(fs_resize(file, start, &env->err), &env->err);
    open_store(env); /* does not see it, and repeats the entry before */
    close_store(env);
    ASSERT_OK(fs_write_at(file, start, slice_of(tail, size), &env->err), &env->err);
    fs_close(file);
    for (unsigned run = 0; run < 3; run++) {
        open_store(env);
        assert_int_equal(count_points(env), 2);
        ASSERT_STATUS(STATUS_NOT_FOUND, store_tracking(env->store, &vm, &kept, &env->err),
                      &env->err);
        assert_both_read(env);
        close_store(env);
    }
}

/* --- the folder -------------------------------------------------------------------------------- */

static void a_second_coordinator_is_refused(void **state)
{
    struct env *env = *state;
    struct store *other = NULL;

    ASSERT_STATUS(STATUS_UNAVAILABLE, store_world_open(&env->world, &other, &env->err), &env->err);
    assert_said(env->err.text, "the data folder is in use by another coordinator");
    close_store(env);
    open_store(env);
}

static void another_key_is_refused(void **state)
{
    struct env *env = *state;

    close_store(env);
    env->world.key.bytes[0] ^= 1;
    assert_refused(env, STATUS_DENIED, "made with another key");
}

static void a_folder_that_is_no_repository_is_refused(void **state)
{
    struct env *env = *state;

    close_store(env);
    ASSERT_OK(fs_remove(env->fs, "repository", &env->err), &env->err);
    assert_refused(env, STATUS_NOT_FOUND, "is not a repository: it has no file \"repository\"");
    ASSERT_STATUS(STATUS_PRECONDITION, store_world_create(&env->world, &env->err), &env->err);
    assert_said(env->err.text, "there are packs in the folder");
}

static void a_repository_is_not_made_twice_or_among_other_files(void **state)
{
    struct env *env = *state;
    struct fs_file *file = NULL;
    struct fs *fs = NULL;

    close_store(env);
    ASSERT_STATUS(STATUS_EXISTS, store_world_create(&env->world, &env->err), &env->err);
    ASSERT_OK(fs_memory_new(&fs, &env->err), &env->err);
    ASSERT_OK(fs_open(fs, "thesis.txt", FS_CREATE, &file, &env->err), &env->err);
    fs_close(file);
    store_world_set_fs(&env->world, fs, 1);
    ASSERT_STATUS(STATUS_PRECONDITION, store_world_create(&env->world, &env->err), &env->err);
    assert_said(env->err.text, "there is \"thesis.txt\" in the folder");
    fs_free(fs);
}

static void another_build_is_refused(void **state)
{
    struct env *env = *state;
    struct buffer text;
    const char *lines = "Tidemark repository\nversion 0 build 999\n";
    char crc[16];

    close_store(env);
    assert_true(
        text_format(crc, sizeof(crc), "crc %08" PRIx32 "\n", hash_crc32c(0, slice_of_text(lines))));
    buffer_init(&text, 1024);
    buffer_put(&text, slice_of_text(lines));
    buffer_put(&text, slice_of_text(crc));
    ASSERT_OK(fs_replace(env->fs, "repository", buffer_slice(&text), &env->err), &env->err);
    buffer_deinit(&text);
    assert_refused(env, STATUS_UNSUPPORTED, "999");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_bit_is_named_by_pack_and_offset),
        TEST(a_record_with_another_number_is_not_given_out),
        TEST(a_reference_to_another_thing_is_not_followed),
        TEST(rot_below_the_synced_length_is_logged),
        TEST(a_node_over_a_lost_block_is_left_out),
        TEST(a_missing_pack_is_named_and_the_rest_is_found_again),
        TEST(a_pack_that_is_too_short_is_named),
        TEST(a_damaged_footer_costs_nothing),
        TEST(a_damaged_pack_index_is_named_and_costs_nothing),
        TEST(a_pack_of_another_repository_is_left_out),
        TEST(a_torn_entry_at_the_end_is_logged_and_left_out),
        TEST(damage_before_whole_entries_is_refused),
        TEST(a_missing_segment_is_refused),
        TEST(a_segment_of_the_highest_number_is_refused_and_named),
        TEST(an_entry_that_was_given_up_and_comes_to_light_changes_nothing),
        TEST(a_second_coordinator_is_refused),
        TEST(another_key_is_refused),
        TEST(a_folder_that_is_no_repository_is_refused),
        TEST(a_repository_is_not_made_twice_or_among_other_files),
        TEST(another_build_is_refused),
        TEST(a_missing_pack_that_is_back_brings_all_back),
        TEST(a_short_pack_that_is_whole_again_brings_all_back),
        TEST(a_pack_cut_below_its_header_does_not_cost_the_index_at_each_start),
        TEST(a_pack_copied_over_another_is_named_and_counts_as_missing),
        TEST(an_incomplete_pack_that_is_gone_is_missed),
        TEST(another_packs_index_is_not_believed),
        TEST(an_entry_behind_the_records_is_refused),
        TEST(a_damaged_index_costs_no_record),
        TEST(an_index_that_stays_damaged_is_an_error),
        TEST(a_full_disk_can_be_opened_and_read),
        TEST(a_tail_waits_for_space),
        TEST(recoveries_that_are_killed_leave_no_packs),
        TEST(what_the_index_knows_is_no_tail),
        TEST(an_envelope_that_is_void_is_not_committed),
    };

    return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
