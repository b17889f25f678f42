/* Rebuilding, roll-back, condemned packs, what is said and how much of it, and what status says. */
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/pack_file.h"
#include "coordinator/store/store.h"
#include "coordinator/store/store_private.h"
#include "tests/store_env.h"
#include "tests/store_world.h"
#include "tests/support/fs_memory.h"
#include "tests/support/test.h"

static void close_store(struct store_env *env)
{
    store_close(env->store);
    env->store = NULL;
}

static void lose_index(struct store_env *env)
{
    store_world_set_index(&env->world, index_memory_new());
}

static struct store_status status_of(struct store_env *env)
{
    struct store_status status;

    ASSERT_OK(store_get_status(env->store, &status, &env->err), &env->err);
    return status;
}

static void assert_logged(struct store_env *env, const char *part)
{
    const char *lines = store_world_lines(&env->world);

    if (strstr(lines, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, lines);
}

static unsigned count_in(const char *lines, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(lines, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

/* Block CONTENT of the default domain, stored. */
static struct ref put_block(struct store_env *env, uint32_t content)
{
    uint8_t bytes[600] = {0};
    struct ref ref;

    memcpy(bytes, &content, sizeof(content));
    ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_BLOCK,
                        slice_of(bytes, sizeof(bytes)), slice_of(bytes, sizeof(bytes)), &ref,
                        &env->err),
              &env->err);
    return ref;
}

static bool knows(struct store_env *env, const struct ref *ref)
{
    uint64_t number = 0;

    ASSERT_OK(store_find(env->store, store_default_domain(env->store), &ref->id, 1, &number,
                         &env->err),
              &env->err);
    return number == ref->number;
}

static struct place place_of(struct store_env *env, const struct ref *ref)
{
    struct place place;

    ASSERT_OK(store_places(env->store, &ref->number, 1, &place, &env->err), &env->err);
    assert_true(place.length > 0);
    return place;
}

/* --- places ------------------------------------------------------------------------------------ */

static void places_say_where_records_lie_synced_or_not(void **state)
{
    struct store_env *env = *state;
    struct ref fresh = put_block(env, 1);
    uint64_t numbers[] = {fresh.number, fresh.number + 1000, env->first.root.number, 7};
    struct place places[4];
    struct record_header header;
    uint8_t bytes[RECORD_HEADER_SIZE];

    ASSERT_OK(store_places(env->store, numbers, 4, places, &env->err), &env->err);
    assert_true(places[0].length > 0 && places[2].length > 0);
    assert_true(places[1].length == 0 && places[3].length == 0);
    for (int i = 0; i < 4; i += 2) {
        ASSERT_OK(store_read_pack(env->store, &places[i].pack, places[i].offset, bytes,
                                  sizeof(bytes), &env->err),
                  &env->err);
        ASSERT_OK(record_decode_header(slice_of(bytes, sizeof(bytes)), &header, &env->err),
                  &env->err);
        assert_true(header.number == numbers[i]);
        assert_int_equal(places[i].id_bits, (uint32_t)header.id.bytes[0] |
                                                (uint32_t)header.id.bytes[1] << 8 |
                                                (uint32_t)header.id.bytes[2] << 16 |
                                                (uint32_t)header.id.bytes[3] << 24);
    }
    ASSERT_STATUS(STATUS_CORRUPT,
                  store_read_pack(env->store, &places[0].pack, 1 << 20, bytes, 1, &env->err),
                  &env->err);
    places[0].pack.bytes[0] ^= 1;
    ASSERT_STATUS(STATUS_CORRUPT,
                  store_read_pack(env->store, &places[0].pack, 60, bytes, 1, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "is missing"));
}

/* --- rebuilding -------------------------------------------------------------------------------- */

struct told {
    uint64_t calls;
    uint64_t done;
    uint64_t all;
};

static void tell(void *arg, uint64_t done, uint64_t all)
{
    struct told *told = arg;

    assert_true(done >= told->done && done <= all);
    *told = (struct told){.calls = told->calls + 1, .done = done, .all = all};
}

static void a_rebuild_makes_everything_anew_from_the_packs(void **state)
{
    struct store_env *env = *state;
    struct world_point second = {.task = world_task(2),
                                 .disk = world_disk_of(400, 90, 2),
                                 .file = 800};
    struct told told = {.calls = 0};

    env->world.options.pack_size = 9000;
    env->world.options.fresh_max = 10; /* much less than there is to put in */
    store_env_reopen(env);
    ASSERT_OK(world_point_commit(env->store, &second, &env->first, &env->err), &env->err);
    struct ref kept = put_block(env, 1);

    ASSERT_OK(store_sync(env->store, &env->err), &env->err);
    uint64_t generation = store_generation(env->store);
    uint64_t appended = store_appended(env->store);
    struct ref lost = put_block(env, 2);
    struct store_status before = status_of(env);

    ASSERT_OK(store_rebuild(env->store, tell, &told, &env->err), &env->err);
    assert_int_not_equal(store_generation(env->store), generation);
    assert_true(store_appended(env->store) >= appended);
    assert_true(told.calls > 2 && told.done == told.all && told.all >= before.packs[0]);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &second, &env->err), &env->err);
    assert_true(knows(env, &kept));
    struct ref next = put_block(env, 3);

    assert_true(next.number > lost.number);
    ASSERT_OK(store_sync(env->store, &env->err), &env->err);
    ASSERT_OK(store_rebuild(env->store, NULL, NULL, &env->err), &env->err);
    assert_true(knows(env, &next));
    store_env_reopen(env);
    ASSERT_OK(world_point_check(env->store, &second, &env->err), &env->err);
}

/* The files of all packs of CLASS go. */
static void remove_packs(struct store_env *env, enum pack_class class)
{
    const struct pack_set *packs = records_packs(env->store->records);

    for (size_t i = 0; i < packs->count; i++) {
        char path[PACK_PATH_SIZE];

        if (packs->packs[i]->class != class)
            continue;
        pack_path(&packs->packs[i]->name, class, path);
        ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    }
}

/* Its nodes are whole, and name blocks that are gone: a tree that is grown anew must not take them for known. */
static void after_a_rebuild_no_tree_is_known_whose_blocks_are_gone(void **state)
{
    struct store_env *env = *state;
    struct world_point again = {.task = world_task(2), .disk = env->first.disk};
    struct told told = {.calls = 0};

    store_env_reopen(env);
    assert_true(knows(env, &env->first.root));
    remove_packs(env, PACK_DATA);
    ASSERT_OK(store_rebuild(env->store, tell, &told, &env->err), &env->err);
    assert_false(knows(env, &env->first.root));
    ASSERT_STATUS(STATUS_CORRUPT, world_point_check(env->store, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_commit(env->store, &again, NULL, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &again, &env->err), &env->err);
}

static void after_a_rebuild_that_failed_nothing_answers_until_one_succeeds(void **state)
{
    struct store_env *env = *state;
    struct ref ref = env->first.root;
    struct store_status status;
    struct place place;
    uint64_t number = 0;

    for (uint64_t n = 1; n < 12; n += 2) {
        faults_arm_point(env->faults, "fs.open", n, FAULT_FAIL);
        enum status st = store_rebuild(env->store, NULL, NULL, &env->err);
        bool fired = faults_fired(env->faults);

        faults_arm(env->faults, 0, 0);
        if (!fired)
            break;
        if (st == STATUS_OK)
            continue;
        const struct store_domain *domain = store_default_domain(env->store);

        ASSERT_STATUS(STATUS_UNAVAILABLE,
                      store_find(env->store, domain, &ref.id, 1, &number, &env->err), &env->err);
        ASSERT_STATUS(STATUS_UNAVAILABLE,
                      store_places(env->store, &ref.number, 1, &place, &env->err), &env->err);
        ASSERT_STATUS(STATUS_UNAVAILABLE, store_sync(env->store, &env->err), &env->err);
        ASSERT_STATUS(STATUS_UNAVAILABLE, store_get_status(env->store, &status, &env->err),
                      &env->err);
        assert_non_null(strstr(env->err.text, "must be rebuilt"));
        (void)store_appended(env->store); /* answers all the same */
        ASSERT_OK(store_rebuild(env->store, NULL, NULL, &env->err), &env->err);
        ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    }
    faults_arm_point(env->faults, "fs.open", 1, FAULT_FAIL);
    assert_int_not_equal(store_rebuild(env->store, NULL, NULL, &env->err), STATUS_OK);
    faults_arm(env->faults, 0, 0);
    store_env_reopen(env); /* a store without records is closed and opened as any other */
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
}

static enum status count_cover(void *arg, const struct index_cover *cover, struct error *err)
{
    size_t *count = arg;

    (void)err; /* cannot fail */
    assert_true(cover->sealed);
    (*count)++;
    return STATUS_OK;
}

static void every_pack_is_covered_however_many_there_are(void **state)
{
    struct store_env *env = *state;
    struct index *index = NULL;
    size_t count = 0;
    uint64_t packs = 0;

    env->world.options.pack_size = 1; /* a pack for each record */
    store_env_reopen(env);
    for (uint32_t i = 0; i < 300; i++)
        (void)put_block(env, i); /* for its pack only */
    close_store(env);
    lose_index(env);
    store_env_open(env);
    index = env->world.index;
    packs = status_of(env).packs[0] + status_of(env).packs[1];
    assert_true(packs > 300);
    ASSERT_OK(index->ops->each_cover(index, count_cover, &count, &env->err), &env->err);
    assert_true(count == packs);
    assert_true(index_memory_applies(index) < 20); /* not one for each pack */
}

/* --- how much is said -------------------------------------------------------------------------- */

static void rot(struct store_env *env, const struct place *place)
{
    struct pack *pack = pack_set_find(records_packs(env->store->records), &place->pack);
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];
    uint8_t byte = 0;

    assert_non_null(pack);
    pack_path(&pack->name, pack->class, path);
    ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_read_exactly_at(file, place->offset + 120, &byte, 1, &env->err), &env->err);
    byte ^= 1;
    ASSERT_OK(fs_write_at(file, place->offset + 120, slice_of(&byte, 1), &env->err), &env->err);
    fs_close(file);
}

static void many_records_that_are_left_out_are_told_in_a_few_lines(void **state)
{
    struct store_env *env = *state;
    struct ref bodies[30];

    for (size_t i = 0; i < 30; i++) {
        uint8_t bytes[200] = {(uint8_t)i};

        ASSERT_OK(store_put(env->store, store_default_domain(env->store), KIND_BODY,
                            slice_of(bytes, sizeof(bytes)), slice_of(bytes, sizeof(bytes)),
                            &bodies[i], &env->err),
                  &env->err);
    }
    store_env_reopen(env); /* sealed */
    for (size_t i = 0; i < 30; i++) {
        struct place place = place_of(env, &bodies[i]);

        rot(env, &place);
    }
    close_store(env);
    lose_index(env);
    (void)store_world_lines(&env->world);
    store_env_open(env);
    const char *lines = store_world_lines(&env->world);

    assert_int_equal(count_in(lines, "is left out: "), RECOVERY_LINES_MAX);
    assert_int_equal(count_in(lines, " 10 more records are left out"), 1);
    assert_true(status_of(env).left_out == 30);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
}

/* --- pack indexes that are wrong --------------------------------------------------------------- */

/* Sealed under the right keys, and wrong in any way: the store opens, and what is committed is there or is missed. */
static void an_index_of_a_pack_that_is_wrong_in_any_way_costs_no_opening(void **state)
{
    struct store_env *env = *state;
    struct random_seeded random = random_seeded_of(test_seed("wrong pack index"));
    struct place place = place_of(env, &env->first.root);
    struct pack_footer footer;
    struct buffer entries;
    struct fs_file *file = NULL;
    char path[PACK_PATH_SIZE];
    uint64_t size = 0;
    unsigned scanned = 0;

    buffer_init(&entries, RECORD_PLAIN_MAX);
    pack_path(&place.pack, PACK_META, path);
    store_env_reopen(env);
    for (int round = 0; round < (test_is_long() ? 400 : 60); round++) {
        close_store(env);
        lose_index(env);
        store_env_open(env);
        ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
        ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
        ASSERT_OK(pack_file_footer(file, size, &footer, &env->err), &env->err);
        if (round == 0)
            ASSERT_OK(pack_file_entries(file, &place.pack, &footer, store_keys(env->store),
                                        &entries, &env->err),
                      &env->err);
        size_t at = (size_t)random_seeded_below(&random, entries.size);
        uint8_t was = entries.data[at];

        entries.data[at] ^= (uint8_t)(1 + random_seeded_below(&random, 255));
        ASSERT_OK(pack_file_seal(file, &place.pack, footer.index_offset, buffer_slice(&entries),
                                 store_keys(env->store), &env->world.random.source, &env->err),
                  &env->err);
        fs_close(file);
        close_store(env);
        lose_index(env);
        (void)store_world_lines(&env->world);
        store_env_open(env);
        scanned += count_in(store_world_lines(&env->world), "is read from its start instead");
        entries.data[at] = was;
        ASSERT_OK(fs_open(env->fs, path, FS_WRITE, &file, &env->err), &env->err);
        ASSERT_OK(pack_file_seal(file, &place.pack, footer.index_offset, buffer_slice(&entries),
                                 store_keys(env->store), &env->world.random.source, &env->err),
                  &env->err);
        fs_close(file);
    }
    close_store(env);
    lose_index(env);
    store_env_open(env);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    assert_true(scanned > 5);
    buffer_deinit(&entries);
}

/* --- roll-back --------------------------------------------------------------------------------- */

/* The newest segment of the log is gone. */
static void cut_log(struct store_env *env)
{
    struct fs_names names = {0};
    char path[FS_PATH_SIZE];

    ASSERT_OK(fs_list(env->fs, LOG_DIR, &names, &env->err), &env->err);
    assert_true(names.count > 1);
    assert_true(text_format(path, sizeof(path), LOG_DIR "/%s", names.names[names.count - 1]));
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    fs_names_deinit(&names);
}

static uint32_t space_now(struct store_env *env)
{
    uint64_t number = 0;

    ASSERT_OK(store_reserve(env->store, 1, &number, &env->err), &env->err);
    return number_space(number);
}

static void a_log_that_was_rolled_back_is_noted_and_numbers_begin_anew(void **state)
{
    struct store_env *env = *state;
    struct world_point second = {.task = world_task(2), .disk = world_disk_of(300, 9, 3)};
    struct world_point third = {.task = world_task(3), .disk = world_disk_of(600, 9, 3)};
    uint32_t space = space_now(env);

    assert_false(status_of(env).rolled_back);
    ASSERT_STATUS(STATUS_PRECONDITION, store_accept_rollback(env->store, &env->err), &env->err);
    store_env_reopen(env);
    ASSERT_OK(world_point_commit(env->store, &second, &env->first, &env->err), &env->err);
    uint64_t newest = store_head(env->store).sequence;

    close_store(env);
    cut_log(env);
    (void)store_world_lines(&env->world);
    store_env_open(env);
    assert_logged(env, "the log was rolled back: entry ");
    struct store_status status = status_of(env);

    assert_true(status.rolled_back && status.rolled_back_from == newest);
    assert_true(status.rolled_back_to < newest && status.rolled_back_to > 0);
    assert_false(world_shows(env->store, &second.task));
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
    uint32_t new_space = space_now(env);

    assert_int_not_equal(new_space, space);
    ASSERT_OK(world_point_commit(env->store, &third, &env->first, &env->err), &env->err);
    ASSERT_OK(world_point_check(env->store, &third, &env->err), &env->err);
    (void)store_world_lines(&env->world);
    store_env_reopen(env);
    assert_string_equal(store_world_lines(&env->world), ""); /* it is known */
    assert_int_equal(space_now(env), new_space);
    assert_true(status_of(env).rolled_back);
    ASSERT_OK(store_accept_rollback(env->store, &env->err), &env->err);
    assert_false(status_of(env).rolled_back);
    store_env_reopen(env);
    assert_false(status_of(env).rolled_back);
    assert_int_equal(space_now(env), new_space);
    ASSERT_OK(world_point_check(env->store, &third, &env->err), &env->err);
}

/* The entries wait for space, and no number of the old space is given out meanwhile. */
static void a_roll_back_on_a_full_disk_is_noted_when_there_is_space(void **state)
{
    struct store_env *env = *state;
    uint32_t space = space_now(env);
    uint64_t number = 0;

    store_env_reopen(env);
    ASSERT_OK(store_hold(env->store, &env->first.task, "x", &env->err), &env->err);
    close_store(env);
    cut_log(env);
    uint64_t n = 0;

    for (n = 1; n < 30;
         n++) { /* the first write from which on nothing but the entry itself fails */
        faults_arm_point(env->faults, "fs.write", n, FAULT_FULL);
        enum status st = store_world_open(&env->world, &env->store, &env->err);

        faults_arm(env->faults, 0, 0);
        ASSERT_OK(st, &env->err);
        if (env->store->rollback.pending)
            break;
        close_store(env);
        cut_log(env);
    }
    assert_true(n < 30);
    assert_true(status_of(env).rolled_back);
    faults_arm_point(env->faults, "fs.write", 1, FAULT_FULL);
    ASSERT_STATUS(STATUS_EXHAUSTED, store_reserve(env->store, 1, &number, &env->err), &env->err);
    faults_arm(env->faults, 0, 0);
    assert_int_not_equal(space_now(env), space);
    assert_true(status_of(env).rolled_back);
    ASSERT_OK(store_accept_rollback(env->store, &env->err), &env->err);
}

/* The log that named the domain is gone, the records are not. */
static void records_of_a_domain_that_the_log_lost_are_left_out(void **state)
{
    struct store_env *env = *state;
    const struct store_domain *domain = NULL;
    struct world_point second = {.task = world_task(2), .disk = world_disk_of(300, 9, 3)};

    store_env_reopen(env);
    ASSERT_OK(store_add_domain(env->store, "lost", &domain, &env->err), &env->err);
    second.domain = domain->id;
    ASSERT_OK(world_point_commit(env->store, &second, NULL, &env->err), &env->err);
    close_store(env);
    cut_log(env);
    lose_index(env);
    for (int i = 0; i < 2; i++) { /* they are looked for, and told of, at each start */
        (void)store_world_lines(&env->world);
        store_env_open(env);
        const char *lines = store_world_lines(&env->world);

        assert_int_equal(count_in(lines, "of deduplication domains that the log does not know"), 2);
        assert_null(store_find_domain(env->store, &second.domain));
        assert_true(status_of(env).left_out > 10);
        ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
        close_store(env);
    }
}

static void a_retired_domain_takes_nothing_new(void **state)
{
    struct store_env *env = *state;
    const struct store_domain *domain = NULL;
    struct slice bytes = slice_of_text("a body");
    struct log_domain entry = {.state = LOG_DOMAIN_RETIRED, .name = "old"};
    struct buffer body;
    struct ref ref;

    ASSERT_OK(store_add_domain(env->store, "old", &domain, &env->err), &env->err);
    ASSERT_OK(store_put(env->store, domain, KIND_BODY, bytes, bytes, &ref, &env->err), &env->err);
    entry.domain = domain->id;
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_domain_encode(&entry, &body);
    ASSERT_OK(store_write_entry(env->store, LOG_DOMAIN, &body, &env->err), &env->err);
    buffer_deinit(&body);
    store_env_reopen(env);
    domain = store_find_domain(env->store, &entry.domain);
    assert_non_null(domain);
    ASSERT_OK(store_put(env->store, domain, KIND_BODY, bytes, bytes, &ref, &env->err), &env->err);
    bytes = slice_of_text("another body");
    ASSERT_STATUS(STATUS_PRECONDITION,
                  store_put(env->store, domain, KIND_BODY, bytes, bytes, &ref, &env->err),
                  &env->err);
    assert_non_null(strstr(env->err.text, "is retired"));
    ASSERT_OK(store_add_domain(env->store, "old", &domain, &env->err), &env->err); /* is free */
}

/* --- condemned packs --------------------------------------------------------------------------- */

static void condemn(struct store_env *env, const struct random_id *pack, const struct ref *dead,
                    uint32_t count)
{
    uint8_t numbers[8 * 8];
    struct log_condemn entry = {.sweep = 1,
                                .pack = *pack,
                                .last = true,
                                .count = count,
                                .numbers = slice_of(numbers, 8 * (size_t)count)};
    struct buffer body;

    for (uint32_t i = 0; i < count; i++)
        for (unsigned byte = 0; byte < 8; byte++)
            numbers[i * 8 + byte] = (uint8_t)(dead[i].number >> (8 * byte));
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_condemn_encode(&entry, &body);
    ASSERT_OK(store_write_entry(env->store, LOG_CONDEMN, &body, &env->err), &env->err);
    buffer_deinit(&body);
}

static void caches_older_than_a_condemned_pack_are_made_anew(void **state)
{
    struct store_env *env = *state;
    struct ref blocks[6];
    char path[PACK_PATH_SIZE];

    store_env_reopen(env); /* another pack */
    for (uint32_t i = 0; i < 6; i++)
        blocks[i] = put_block(env, i);
    ASSERT_OK(store_sync(env->store, &env->err), &env->err);
    struct random_id pack = place_of(env, &blocks[0]).pack;

    store_env_reopen(env);
    condemn(env, &pack, blocks + 1, 4); /* 0 and 5 live on, and were not copied */
    close_store(env);
    (void)store_world_lines(&env->world);
    store_env_open(env);
    assert_logged(env, "the index is older than the last collection");
    assert_true(knows(env, &blocks[0]) && knows(env, &blocks[5]));
    for (int i = 1; i < 5; i++)
        assert_false(knows(env, &blocks[i]));
    (void)store_world_lines(&env->world);
    store_env_reopen(env);
    assert_string_equal(store_world_lines(&env->world), "");
    ASSERT_OK(store_rebuild(env->store, NULL, NULL, &env->err), &env->err);
    assert_true(knows(env, &blocks[0]) && !knows(env, &blocks[2]));
    close_store(env);
    pack_path(&pack, PACK_DATA, path);
    ASSERT_OK(fs_remove(env->fs, path, &env->err), &env->err);
    (void)store_world_lines(&env->world);
    store_env_open(env);
    assert_string_equal(store_world_lines(&env->world), "");
    assert_true(status_of(env).missing_packs == 0);
    ASSERT_OK(world_point_check(env->store, &env->first, &env->err), &env->err);
}

/* --- status ------------------------------------------------------------------------------------ */

static uint64_t bytes_in(struct store_env *env, const char *dir)
{
    struct fs_names names = {0};
    uint64_t sum = 0;

    ASSERT_OK(fs_list(env->fs, dir, &names, &env->err), &env->err);
    for (size_t i = 0; i < names.count; i++) {
        struct fs_file *file = NULL;
        char path[FS_PATH_SIZE];
        uint64_t size = 0;

        assert_true(text_format(path, sizeof(path), "%s/%s", dir, names.names[i]));
        ASSERT_OK(fs_open(env->fs, path, FS_READ, &file, &env->err), &env->err);
        ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
        fs_close(file);
        sum += size;
    }
    fs_names_deinit(&names);
    return sum;
}

static void assert_sizes(struct store_env *env)
{
    struct store_status status = status_of(env);

    assert_true(status.pack_bytes[0] + status.pack_bytes[1] == bytes_in(env, PACK_DIR));
    assert_true(status.log_bytes == bytes_in(env, LOG_DIR));
}

static void status_says_what_is_there(void **state)
{
    struct store_env *env = *state;
    struct world_point second = {.task = world_task(2), .disk = world_disk_of(300, 40, 3)};

    env->world.options.pack_size = 9000;
    assert_sizes(env);
    store_env_reopen(env);
    assert_sizes(env);
    ASSERT_OK(world_point_commit(env->store, &second, &env->first, &env->err), &env->err);
    ASSERT_OK(store_trash(env->store, &second.task, 9, 1, &env->err), &env->err);
    assert_sizes(env);
    struct store_status status = status_of(env);

    assert_true(status.points == 1 && status.trashed == 1 && status.partials == 0);
    assert_true(status.packs[0] > 2 && status.packs[1] >= 2 && status.unsealed_packs == 2);
    assert_true(status.log_entries == store_head(env->store).sequence);
    assert_true(status.missing_packs == 0 && status.left_out == 0 && status.domains == 1);
    assert_true(status.proved_us == 0 && status.proved_packs == 0);
    /* Killed: the next start seals what was open, and knows its size. */
    faults_arm_point(env->faults, "store.before_sync", 1, FAULT_FAIL);
    close_store(env);
    faults_arm(env->faults, 0, 0);
    store_env_open(env);
    assert_sizes(env);
    assert_true(status_of(env).unsealed_packs == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_env_set_up, store_env_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(places_say_where_records_lie_synced_or_not),
        TEST(a_rebuild_makes_everything_anew_from_the_packs),
        TEST(after_a_rebuild_no_tree_is_known_whose_blocks_are_gone),
        TEST(after_a_rebuild_that_failed_nothing_answers_until_one_succeeds),
        TEST(every_pack_is_covered_however_many_there_are),
        TEST(many_records_that_are_left_out_are_told_in_a_few_lines),
        TEST(an_index_of_a_pack_that_is_wrong_in_any_way_costs_no_opening),
        TEST(a_log_that_was_rolled_back_is_noted_and_numbers_begin_anew),
        TEST(a_roll_back_on_a_full_disk_is_noted_when_there_is_space),
        TEST(records_of_a_domain_that_the_log_lost_are_left_out),
        TEST(a_retired_domain_takes_nothing_new),
        TEST(caches_older_than_a_condemned_pack_are_made_anew),
        TEST(status_says_what_is_there),
    };

    return cmocka_run_group_tests_name("store_rebuild", tests, NULL, NULL);
}
