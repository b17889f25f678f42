/* What every index must do (coordinator/store/index.h), for each filling; then what is that of the one in files. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs_posix.h"
#include "base/memory.h"
#include "coordinator/store/index_files.h"
#include "tests/support/clock_manual.h"
#include "tests/support/index_memory.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#define STATE_FILE "index/state"

enum { BATCH = 2500, BATCHES = 150 };

static const struct random_id repository = {{'r'}};
static const struct random_id domain = {{'d'}};

struct env {
    bool files;
    struct index *index;
    char folder[TEMP_FOLDER_SIZE];
    struct fs *fs; /* on that folder */
    struct clock_manual *clock;
    struct log_sink *sink;
    struct log log;
    int fds[2];
    char lines[4096];
    struct error err;
};

static void open_index(struct env *env)
{
    if (env->files)
        ASSERT_OK(index_files_new(env->fs, &(struct index_files_options){0}, &env->log, &env->index,
                                  &env->err),
                  &env->err);
    else
        env->index = index_memory_new();
    ASSERT_OK(env->index->ops->bind(env->index, &repository, &env->err), &env->err);
}

static struct env *new_env(bool files)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->files = files;
    env->clock = clock_manual_new();
    assert_int_equal(pipe(env->fds), 0);
    assert_int_equal(fcntl(env->fds[0], F_SETFL, O_NONBLOCK), 0);
    ASSERT_OK(log_sink_new(env->fds[1], LOG_TEXT, LOG_INFO, clock_manual_source(env->clock),
                           &env->sink, &env->err),
              &env->err);
    env->log = log_of(env->sink);
    temp_folder_make(env->folder);
    ASSERT_OK(fs_posix_new(env->folder, &env->fs, &env->err), &env->err);
    open_index(env);
    return env;
}

static int set_up_memory(void **state)
{
    *state = new_env(false);
    return 0;
}

static int set_up_files(void **state)
{
    *state = new_env(true);
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    env->index->ops->free(env->index);
    fs_free(env->fs);
    temp_folder_remove(env->folder);
    log_sink_free(env->sink);
    clock_manual_free(env->clock);
    (void)close(env->fds[0]); /* only lines for the test */
    (void)close(env->fds[1]);
    memory_free(env);
    return 0;
}

static struct index_record record_of(uint16_t id, uint64_t number, uint64_t offset)
{
    struct index_record record = {
        .domain = domain,
        .id = {{(uint8_t)(id >> 8), (uint8_t)id, 1}},
        .number = number,
        .place = {.pack = {{'p'}}, .offset = offset, .length = 7},
    };

    return record;
}

static void apply(struct env *env, const struct index_record *records, size_t count)
{
    const struct index_batch batch = {.records = records, .record_count = count};

    ASSERT_OK(env->index->ops->apply(env->index, &batch, &env->err), &env->err);
}

static uint64_t number_in(struct env *env, const struct random_id *in, uint16_t id)
{
    const struct index_record record = record_of(id, 1, 0);
    uint64_t number = 99;

    ASSERT_OK(env->index->ops->find(env->index, in, &record.id, 1, &number, &env->err), &env->err);
    return number;
}

static uint64_t offset_of(struct env *env, uint64_t number)
{
    struct place place = {0};

    ASSERT_OK(env->index->ops->find_places(env->index, &number, 1, &place, &env->err), &env->err);
    assert_int_equal(place.length, 7);
    assert_int_equal(place.pack.bytes[0], 'p');
    return place.offset;
}

static void assert_forgotten(struct env *env, uint64_t number)
{
    struct place place = {.length = 1};

    ASSERT_OK(env->index->ops->find_places(env->index, &number, 1, &place, &env->err), &env->err);
    assert_int_equal(place.length, 0);
}

/* --- all --------------------------------------------------------------------------------------- */

static void what_was_put_in_is_found(void **state)
{
    struct env *env = *state;
    const struct index_record records[] = {record_of(5, 50, 500), record_of(3, 30, UINT32_MAX)};
    const struct random_id other = {{'o'}};

    apply(env, records, 2);
    assert_int_equal(number_in(env, &domain, 5), 50);
    assert_int_equal(number_in(env, &domain, 3), 30);
    assert_int_equal(number_in(env, &domain, 4), 0);
    assert_int_equal(number_in(env, &other, 5), 0);
    assert_int_equal(offset_of(env, 50), 500);
    assert_true(offset_of(env, 30) == UINT32_MAX);
    assert_forgotten(env, 31);
}

/* Two numbers of one id both have a place; the first is the id's. A number's place moves. */
static void an_id_keeps_its_number_and_a_number_gets_the_newest_place(void **state)
{
    struct env *env = *state;
    const struct index_record records[] = {record_of(5, 50, 500), record_of(5, 60, 600),
                                           record_of(5, 50, 501)};

    for (size_t i = 0; i < 3; i++)
        apply(env, &records[i], 1);
    assert_int_equal(number_in(env, &domain, 5), 50);
    assert_int_equal(offset_of(env, 60), 600);
    assert_int_equal(offset_of(env, 50), 501);
}

static void the_last_number_is_that_of_its_space(void **state)
{
    struct env *env = *state;
    const struct index_record records[] = {record_of(1, number_of(2, 9), 1),
                                           record_of(2, number_of(4, 3), 1),
                                           record_of(3, number_of(2, 300), 1),
                                           record_of(4, UINT64_MAX, 1)};

    const struct {
        uint32_t space;
        uint64_t last;
    } cases[] = {{1, 0}, {2, number_of(2, 300)},        {3, 0}, {4, number_of(4, 3)},
                 {5, 0}, {NUMBER_SPACE_MAX, UINT64_MAX}};

    apply(env, records, 4);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t last = 1;

        ASSERT_OK(env->index->ops->last_number(env->index, cases[i].space, &last, &env->err),
                  &env->err);
        assert_int_equal(last, cases[i].last);
    }
}

struct covers {
    struct index_cover list[8];
    size_t count;
};

static enum status add_cover(void *arg, const struct index_cover *cover, struct error *err)
{
    struct covers *covers = arg;

    (void)err;
    covers->list[covers->count++] = *cover;
    return STATUS_OK;
}

static enum status refuse_cover(void *arg, const struct index_cover *cover, struct error *err)
{
    (void)arg;
    (void)cover;
    return error_set(err, STATUS_CANCELLED, "enough");
}

static void covers_are_kept_by_pack(void **state)
{
    struct env *env = *state;
    const struct index_cover first[] = {{{{1}}, 100, false}, {{{2}}, 200, false}};
    const struct index_cover second = {{{1}}, 150, true};
    struct index_batch batch = {.covers = first, .cover_count = 2};
    struct covers covers = {.count = 0};

    ASSERT_OK(env->index->ops->apply(env->index, &batch, &env->err), &env->err);
    batch = (struct index_batch){.covers = &second, .cover_count = 1};
    ASSERT_OK(env->index->ops->apply(env->index, &batch, &env->err), &env->err);
    ASSERT_OK(env->index->ops->each_cover(env->index, add_cover, &covers, &env->err), &env->err);
    assert_int_equal(covers.count, 2);
    assert_int_equal(covers.list[0].covered, 150);
    assert_true(covers.list[0].sealed);
    assert_int_equal(covers.list[1].covered, 200);
    assert_false(covers.list[1].sealed);
    ASSERT_STATUS(STATUS_CANCELLED,
                  env->index->ops->each_cover(env->index, refuse_cover, NULL, &env->err),
                  &env->err);
}

static void clearing_forgets_everything(void **state)
{
    struct env *env = *state;
    const struct index_record record = record_of(5, 50, 500);
    const struct index_cover cover = {{{1}}, 100, false};
    const struct index_batch batch = {&record, 1, &cover, 1};
    struct covers covers = {.count = 0};

    ASSERT_OK(env->index->ops->apply(env->index, &batch, &env->err), &env->err);
    ASSERT_OK(env->index->ops->clear(env->index, &env->err), &env->err);
    assert_int_equal(number_in(env, &domain, 5), 0);
    ASSERT_OK(env->index->ops->each_cover(env->index, add_cover, &covers, &env->err), &env->err);
    assert_int_equal(covers.count, 0);
}

static void another_repository_finds_it_empty(void **state)
{
    struct env *env = *state;
    const struct index_record record = record_of(5, 50, 500);
    const struct random_id other = {{'x'}};

    apply(env, &record, 1);
    ASSERT_OK(env->index->ops->bind(env->index, &repository, &env->err), &env->err);
    assert_int_equal(number_in(env, &domain, 5), 50);
    ASSERT_OK(env->index->ops->bind(env->index, &other, &env->err), &env->err);
    assert_int_equal(number_in(env, &domain, 5), 0);
}

/* --- files ------------------------------------------------------------------------------------- */

static void reopen(struct env *env)
{
    env->index->ops->free(env->index);
    open_index(env);
}

static void flush(struct env *env)
{
    ASSERT_OK(env->index->ops->flush(env->index, &env->err), &env->err);
}

/* What was logged since the last call. */
static const char *lines_of(struct env *env)
{
    ssize_t size = read(env->fds[0], env->lines, sizeof(env->lines) - 1);

    env->lines[size > 0 ? size : 0] = '\0';
    return env->lines;
}

/* Numbers 1, 2, ... with ids in no order; offset = number. The first status that is not STATUS_OK. */
static enum status fill(struct env *env, uint32_t batches)
{
    struct index_record *records = memory_new(BATCH, sizeof(*records));
    const struct index_batch batch = {.records = records, .record_count = BATCH};
    enum status st = STATUS_OK;

    assert_non_null(records);
    for (uint32_t i = 0; st == STATUS_OK && i < batches; i++) {
        for (uint32_t j = 0; j < BATCH; j++) {
            uint64_t number = (uint64_t)i * BATCH + j + 1;
            uint64_t mixed = number * 0x9e3779b97f4a7c15U;

            records[j] = record_of(0, number, number);
            memcpy(records[j].id.bytes, &mixed, sizeof(mixed));
        }
        st = env->index->ops->apply(env->index, &batch, &env->err);
    }
    memory_free(records);
    return st;
}

static void a_big_one_is_there_again_and_is_cleared_and_bound_anew(void **state)
{
    struct env *env = *state;
    const struct random_id other = {{'x'}};
    const struct index_record record = record_of(9, UINT64_MAX, 1);

    ASSERT_OK(fill(env, BATCHES), &env->err);
    assert_int_equal(offset_of(env, 1), 1);
    assert_int_equal(offset_of(env, (uint64_t)BATCH * BATCHES), (uint64_t)BATCH * BATCHES);
    flush(env);
    reopen(env);
    assert_string_equal(lines_of(env), "");
    assert_int_equal(offset_of(env, 77777), 77777);
    apply(env, &record, 1);
    assert_int_equal(number_in(env, &domain, 9), UINT64_MAX);
    reopen(env);
    assert_int_equal(number_in(env, &domain, 9), 0);
    ASSERT_OK(env->index->ops->clear(env->index, &env->err), &env->err);
    assert_forgotten(env, 1);
    ASSERT_OK(fill(env, 30), &env->err);
    flush(env);
    reopen(env);
    assert_int_equal(offset_of(env, 77), 77);
    ASSERT_OK(env->index->ops->bind(env->index, &other, &env->err), &env->err);
    assert_forgotten(env, 1);
    apply(env, &record, 1);
    assert_int_equal(offset_of(env, UINT64_MAX), 1);
}

static void what_it_cannot_hold_is_refused_whole(void **state)
{
    struct env *env = *state;
    const struct index_record records[] = {record_of(1, 1, 1),
                                           record_of(2, 2, (uint64_t)UINT32_MAX + 1)};
    const struct index_batch far = {.records = records, .record_count = 2};
    const struct index_batch large = {.records = records, .record_count = INDEX_TABLE_RECORDS + 1};

    ASSERT_STATUS(STATUS_RANGE, env->index->ops->apply(env->index, &far, &env->err), &env->err);
    ASSERT_STATUS(STATUS_INVALID, env->index->ops->apply(env->index, &large, &env->err), &env->err);
    assert_forgotten(env, 1);
}

/* The store binds it under its lock; before, it may be another coordinator's. */
static void it_touches_nothing_before_it_is_bound(void **state)
{
    struct env *env = *state;
    struct index *other = NULL;
    struct fs_names names = {0};

    env->index->ops->free(env->index);
    ASSERT_OK(fs_remove(env->fs, STATE_FILE, &env->err), &env->err);
    ASSERT_OK(index_files_new(env->fs, &(struct index_files_options){0}, &env->log, &other,
                              &env->err),
              &env->err);
    ASSERT_STATUS(STATUS_UNAVAILABLE, other->ops->flush(other, &env->err), &env->err);
    other->ops->free(other);
    ASSERT_OK(fs_list(env->fs, "index", &names, &env->err), &env->err);
    assert_int_equal(names.count, 0);
    fs_names_deinit(&names);
    open_index(env);
}

/* What lies in its folder and is named by no state: of an index before this one, or of a process that was killed. */
static void what_is_left_over_is_removed(void **state)
{
    struct env *env = *state;
    static const char *const left[] = {"index/data.mdb", "index/lock.mdb",
                                       "index/00000000000000ff.run"};
    const struct index_record record = record_of(5, 50, 500);
    struct fs_names names = {0};

    apply(env, &record, 1);
    flush(env);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        ASSERT_OK(fs_replace(env->fs, left[i], slice_of_text("x"), &env->err), &env->err);
    reopen(env);
    assert_string_equal(lines_of(env), "");
    assert_int_equal(number_in(env, &domain, 5), 50);
    ASSERT_OK(fs_list(env->fs, "index", &names, &env->err), &env->err);
    assert_int_equal(names.count, 3); /* ids, places, state */
    fs_names_deinit(&names);
}

static void another_builds_state_is_made_anew_and_logged(void **state)
{
    struct env *env = *state;
    const struct index_record record = record_of(5, 50, 500);

    apply(env, &record, 1);
    flush(env);
    env->index->ops->free(env->index);
    ASSERT_OK(fs_replace(env->fs, STATE_FILE, slice_of_text("noise"), &env->err), &env->err);
    open_index(env);
    assert_non_null(strstr(lines_of(env), "is made anew from the packs"));
    assert_int_equal(number_in(env, &domain, 5), 0);
    apply(env, &record, 1);
    assert_int_equal(number_in(env, &domain, 5), 50);
}

#define BOTH(NAME)                                            \
    {"memory: " #NAME, NAME, set_up_memory, tear_down, NULL}, \
    {                                                         \
        "files: " #NAME, NAME, set_up_files, tear_down, NULL  \
    }
#define FILES(NAME) cmocka_unit_test_setup_teardown(NAME, set_up_files, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_was_put_in_is_found),
        BOTH(an_id_keeps_its_number_and_a_number_gets_the_newest_place),
        BOTH(the_last_number_is_that_of_its_space),
        BOTH(covers_are_kept_by_pack),
        BOTH(clearing_forgets_everything),
        BOTH(another_repository_finds_it_empty),
        FILES(a_big_one_is_there_again_and_is_cleared_and_bound_anew),
        FILES(what_it_cannot_hold_is_refused_whole),
        FILES(it_touches_nothing_before_it_is_bound),
        FILES(what_is_left_over_is_removed),
        FILES(another_builds_state_is_made_anew_and_logged),
    };

    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
