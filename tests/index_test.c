/* What every index must do (coordinator/store/index.h), for each filling; then what is LMDB's own. */
#include "coordinator/store/index.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/index_lmdb.h"
#include "tests/support/clock_manual.h"
#include "tests/support/index_memory.h"
#include "tests/support/lmdb_damage.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#define DATA_FILE INDEX_LMDB_DIR "/data.mdb"
#define LEAST_MAP ((uint64_t)64 * 1024 * 1024)

enum {
    BATCH = 2500,
    BIG = 150,
    SMALL = 8
}; /* records of a batch; batches: more than 64 MiB, and little */

static const struct random_id repository = {{'r'}};
static const struct random_id domain = {{'d'}};

struct env {
    bool lmdb;
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
    if (env->lmdb)
        ASSERT_OK(index_lmdb_new(env->fs, env->folder, &env->log, &env->index, &env->err),
                  &env->err);
    else
        env->index = index_memory_new();
    ASSERT_OK(env->index->ops->bind(env->index, &repository, &env->err), &env->err);
}

static struct env *new_env(bool lmdb)
{
    struct env *env = memory_new(1, sizeof(*env));

    assert_non_null(env);
    env->lmdb = lmdb;
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

static int set_up_lmdb(void **state)
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

    ASSERT_OK(env->index->ops->find_place(env->index, number, &place, &env->err), &env->err);
    assert_int_equal(place.length, 7);
    assert_int_equal(place.pack.bytes[0], 'p');
    return place.offset;
}

/* --- all --------------------------------------------------------------------------------------- */

static void what_was_put_in_is_found(void **state)
{
    struct env *env = *state;
    const struct index_record records[] = {record_of(5, 50, 500), record_of(3, 30, UINT64_MAX)};
    const struct random_id other = {{'o'}};
    struct place place;

    apply(env, records, 2);
    assert_int_equal(number_in(env, &domain, 5), 50);
    assert_int_equal(number_in(env, &domain, 3), 30);
    assert_int_equal(number_in(env, &domain, 4), 0);
    assert_int_equal(number_in(env, &other, 5), 0);
    assert_int_equal(offset_of(env, 50), 500);
    assert_true(offset_of(env, 30) == UINT64_MAX);
    ASSERT_STATUS(STATUS_NOT_FOUND, env->index->ops->find_place(env->index, 31, &place, &env->err),
                  &env->err);
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
                                           record_of(3, number_of(2, 300), 1)};

    const struct {
        uint32_t space;
        uint64_t last;
    } cases[] = {{1, 0}, {2, number_of(2, 300)}, {3, 0}, {4, number_of(4, 3)}, {5, 0}};

    apply(env, records, 3);
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

/* --- LMDB -------------------------------------------------------------------------------------- */

static void reopen(struct env *env)
{
    env->index->ops->free(env->index);
    open_index(env);
}

static void an_lmdb_index_is_there_again(void **state)
{
    struct env *env = *state;
    const struct index_record record = record_of(5, 50, 500);

    apply(env, &record, 1);
    reopen(env);
    assert_int_equal(number_in(env, &domain, 5), 50);
    assert_int_equal(offset_of(env, 50), 500);
}

static uint64_t size_of_file(struct env *env)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;

    ASSERT_OK(fs_open(env->fs, DATA_FILE, FS_READ, &file, &env->err), &env->err);
    ASSERT_OK(fs_size(file, &size, &env->err), &env->err);
    fs_close(file);
    return size;
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

static void assert_forgotten(struct env *env, uint64_t number)
{
    struct place place;

    ASSERT_STATUS(STATUS_NOT_FOUND,
                  env->index->ops->find_place(env->index, number, &place, &env->err), &env->err);
}

static void an_lmdb_index_grows_and_is_cleared_and_bound_anew(void **state)
{
    struct env *env = *state;
    const struct random_id other = {{'x'}};
    const struct index_record record = record_of(9, UINT64_MAX, 1);

    ASSERT_OK(fill(env, BIG), &env->err);
    assert_true(size_of_file(env) > LEAST_MAP);
    assert_int_equal(offset_of(env, 1), 1);
    assert_int_equal(offset_of(env, (uint64_t)BATCH * BIG), (uint64_t)BATCH * BIG);
    reopen(env);
    assert_string_equal(lines_of(env), ""); /* all its pages are there */
    assert_int_equal(offset_of(env, 77777), 77777);
    apply(env, &record, 1);
    assert_int_equal(number_in(env, &domain, 9), UINT64_MAX);
    reopen(env);
    ASSERT_OK(env->index->ops->clear(env->index, &env->err), &env->err);
    assert_forgotten(env, 1);
    ASSERT_OK(fill(env, BIG), &env->err);
    reopen(env);
    ASSERT_OK(env->index->ops->bind(env->index, &other, &env->err), &env->err);
    assert_forgotten(env, 1);
    apply(env, &record, 1);
    assert_int_equal(offset_of(env, UINT64_MAX), 1);
}

/* Lets this process have MORE bytes of address space, and no more than that. Gives the limit before. */
static struct rlimit limit_memory(uint64_t more)
{
    struct error err = {0};
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    struct rlimit before;
    char text[64] = "";
    size_t size = 0;
    uint64_t pages = 0;

    ASSERT_OK(fs_posix_new("/proc/self", &fs, &err), &err);
    ASSERT_OK(fs_open(fs, "statm", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_read_at(file, 0, text, sizeof(text) - 1, &size, &err), &err);
    text[strcspn(text, " ")] = '\0'; /* the first number is all of it (proc(5)) */
    assert_true(text_parse_u64(text, &pages));
    fs_close(file);
    fs_free(fs);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    const struct rlimit limit = {.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + more,
                                 .rlim_max = before.rlim_max};

    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    return before;
}

/* Where address space is short the map is smaller; a full one says so, and all that is in it is still found. */
static void an_lmdb_index_lives_in_a_small_address_space(void **state)
{
    struct env *env = *state;

    env->index->ops->free(env->index);
    const struct rlimit before = limit_memory(LEAST_MAP * 7 / 4);

    open_index(env);
    enum status st = fill(env, BIG);

    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    ASSERT_STATUS(STATUS_EXHAUSTED, st, &env->err);
    assert_non_null(strstr(env->err.text, "ulimit -v"));
    assert_int_equal(offset_of(env, 77777), 77777);
    reopen(env);
    assert_string_equal(lines_of(env), "");
    const struct index_record record = record_of(9, UINT64_MAX, 1);

    apply(env, &record, 1);
}

static void an_lmdb_index_that_was_cut_short_is_made_anew(void **state)
{
    struct env *env = *state;
    struct fs_file *file = NULL;

    ASSERT_OK(fill(env, SMALL), &env->err);
    env->index->ops->free(env->index);
    uint64_t size = size_of_file(env);

    const uint64_t left[] = {size - 1, size / 2};

    for (size_t i = 0; i < 2; i++) {
        ASSERT_OK(fs_open(env->fs, DATA_FILE, FS_WRITE, &file, &env->err), &env->err);
        ASSERT_OK(fs_resize(file, left[i], &env->err), &env->err);
        fs_close(file);
        open_index(env);
        assert_non_null(strstr(lines_of(env), "is damaged"));
        assert_forgotten(env, 1);
        ASSERT_OK(fill(env, SMALL), &env->err);
        assert_int_equal(offset_of(env, 1), 1);
        env->index->ops->free(env->index);
    }
    open_index(env);
    assert_string_equal(lines_of(env), "");
}

static void assert_says_damage(struct env *env)
{
    const struct index_record record = record_of(9, UINT64_MAX, 1);
    const struct index_cover cover = {.pack = {{'p'}}, .covered = 1};
    const struct index_batch batch = {.covers = &cover, .cover_count = 1}; /* its page is sound */
    struct place place;
    uint64_t number = 0;

    for (uint64_t i = 1; i <= 3; i++)
        ASSERT_STATUS(STATUS_INTERNAL,
                      env->index->ops->find_place(env->index, i, &place, &env->err), &env->err);
    assert_non_null(strstr(env->err.text, "the next start of the coordinator makes it anew"));
    ASSERT_STATUS(STATUS_INTERNAL,
                  env->index->ops->find(env->index, &domain, &record.id, 1, &number, &env->err),
                  &env->err);
    ASSERT_STATUS(STATUS_INTERNAL, env->index->ops->last_number(env->index, 0, &number, &env->err),
                  &env->err);
    ASSERT_STATUS(STATUS_INTERNAL, env->index->ops->apply(env->index, &batch, &env->err),
                  &env->err);
    const char *lines = lines_of(env);

    assert_non_null(strstr(lines, "its file is removed"));
    assert_ptr_equal(strchr(lines, '\n'), lines + strlen(lines) - 1); /* one line */
}

static void damage_in_use_is_said_so_and_is_gone_after_a_new_start(void **state)
{
    struct env *env = *state;

    ASSERT_OK(fill(env, SMALL), &env->err);
    env->index->ops->free(env->index);
    assert_true(lmdb_damage_leaves(env->fs, DATA_FILE) > 10);
    open_index(env); /* looks at none of them */
    assert_string_equal(lines_of(env), "");
    assert_says_damage(env);
    reopen(env);
    assert_string_equal(lines_of(env), "");
    assert_forgotten(env, 1);
    ASSERT_OK(fill(env, SMALL), &env->err);
    assert_int_equal(offset_of(env, 1), 1);
    reopen(env);
    assert_int_equal(offset_of(env, 1), 1);
}

static void clearing_and_binding_heal_a_damaged_index(void **state)
{
    struct env *env = *state;

    for (int i = 0; i < 2; i++) {
        ASSERT_OK(fill(env, SMALL), &env->err);
        assert_true(lmdb_damage_leaves(env->fs, DATA_FILE) > 10); /* it sees it through its map */
        assert_says_damage(env);
        if (i == 0)
            ASSERT_OK(env->index->ops->clear(env->index, &env->err), &env->err);
        else
            ASSERT_OK(env->index->ops->bind(env->index, &repository, &env->err), &env->err);
        assert_forgotten(env, 1);
        (void)lines_of(env); /* what bind() says */
    }
    ASSERT_OK(fill(env, SMALL), &env->err);
    reopen(env);
    assert_int_equal(offset_of(env, 1), 1);
}

static void a_damaged_lmdb_index_is_made_anew_and_logged(void **state)
{
    struct env *env = *state;
    const struct index_record record = record_of(5, 50, 500);
    struct fs_file *file = NULL;
    uint8_t noise[16384];

    apply(env, &record, 1);
    env->index->ops->free(env->index);
    memset(noise, 0x5a, sizeof(noise));
    ASSERT_OK(fs_open(env->fs, DATA_FILE, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_write_at(file, 0, slice_of(noise, sizeof(noise)), &env->err), &env->err);
    fs_close(file);
    open_index(env);
    assert_int_equal(number_in(env, &domain, 5), 0);
    apply(env, &record, 1);
    assert_int_equal(number_in(env, &domain, 5), 50);
    const char *lines = lines_of(env);

    assert_non_null(strstr(lines, "is damaged"));
    assert_non_null(strstr(lines, "made anew from the packs"));
}

/* The store binds it under its lock; before, it may be another coordinator's. */
static void an_lmdb_index_touches_nothing_before_it_is_bound(void **state)
{
    struct env *env = *state;
    struct index *other = NULL;
    const struct index_record record = record_of(5, 50, 500);
    struct fs_file *file = NULL;
    uint8_t noise[16384] = {0x5a};

    apply(env, &record, 1);
    uint64_t size = size_of_file(env);

    ASSERT_OK(index_lmdb_new(env->fs, env->folder, &env->log, &other, &env->err), &env->err);
    other->ops->free(other);
    assert_int_equal(size_of_file(env), size);
    assert_int_equal(number_in(env, &domain, 5), 50);
    env->index->ops->free(env->index);
    ASSERT_OK(fs_open(env->fs, DATA_FILE, FS_WRITE, &file, &env->err), &env->err);
    ASSERT_OK(fs_write_at(file, 0, slice_of(noise, sizeof(noise)), &env->err), &env->err);
    fs_close(file);
    ASSERT_OK(index_lmdb_new(env->fs, env->folder, &env->log, &env->index, &env->err), &env->err);
    assert_int_equal(size_of_file(env), size); /* it did not make it anew */
}

#define BOTH(NAME)                                            \
    {"memory: " #NAME, NAME, set_up_memory, tear_down, NULL}, \
    {                                                         \
        "lmdb: " #NAME, NAME, set_up_lmdb, tear_down, NULL    \
    }
#define LMDB(NAME) cmocka_unit_test_setup_teardown(NAME, set_up_lmdb, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_was_put_in_is_found),
        BOTH(an_id_keeps_its_number_and_a_number_gets_the_newest_place),
        BOTH(the_last_number_is_that_of_its_space),
        BOTH(covers_are_kept_by_pack),
        BOTH(clearing_forgets_everything),
        BOTH(another_repository_finds_it_empty),
        LMDB(an_lmdb_index_is_there_again),
        LMDB(an_lmdb_index_grows_and_is_cleared_and_bound_anew),
        LMDB(an_lmdb_index_lives_in_a_small_address_space),
        LMDB(an_lmdb_index_that_was_cut_short_is_made_anew),
        LMDB(damage_in_use_is_said_so_and_is_gone_after_a_new_start),
        LMDB(clearing_and_binding_heal_a_damaged_index),
        LMDB(a_damaged_lmdb_index_is_made_anew_and_logged),
        LMDB(an_lmdb_index_touches_nothing_before_it_is_bound),
    };

    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
