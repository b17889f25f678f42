/* tests/console_export_file_test.c: exports of every kind into a file, and everything that a coordinator may
 * get wrong, or lie about. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/slice.h"
#include "transport/rpc.h"
#include "console/export_check.h"
#include "console/export_file.h"
#include "tests/console_sample.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/loop_wait.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { BLOCK = 4096, PER_PART = 3, BLOCKS = 20, CUT_BLOCKS = 4, SPACE_TOO_LITTLE = 3 * BLOCK };

/* 20 blocks, the last one short; of each five, one is random, one compresses, three are holes. */
static const uint64_t small_size = UINT64_C(1) * (BLOCKS - 1) * BLOCK + 512;

struct env {
    struct clock_manual *clock;
    struct loop *loop;
    struct pool *pool;
    struct fs *fs;
    struct faults *faults;
    struct console_host host;
    struct console_disk disk;
    struct console_sample sample;

    struct export_file_options options;
    struct export_file *file;
    size_t next; /* part */
    size_t upto; /* that many parts come, then the stream breaks */
    bool ended;
    enum status status;
    struct error err;
};

/* ---- One export ------------------------------------------------------------------------------ */

static void wants_part(void *owner)
{
    struct env *env = owner;
    struct error err = {0};

    if (env->next < env->upto) {
        Tidemark__V1__ExportPart *part = env->sample.parts[env->next];

        env->sample.parts[env->next++] = NULL;
        export_file_put(env->file, part);
        return;
    }
    (void)error_set(&err, STATUS_UNAVAILABLE, "the stream broke");
    export_file_stop(env->file, &err);
}

static void file_ended(void *owner, enum status status, const struct error *err)
{
    struct env *env = owner;

    assert_false(env->ended);
    assert_true((status == STATUS_OK) == (err == NULL));
    env->ended = true;
    env->status = status;
    if (err != NULL)
        env->err = *err;
    loop_stop(env->loop);
}

/* Takes the sample through an export; the file stays for export_file_disk(). */
static enum status run(struct env *env)
{
    struct error err = {0};

    export_file_free(env->file);
    env->file = NULL;
    env->ended = false;
    env->next = 0;
    env->err = (struct error){0};
    if (export_file_new(&env->options, &env->file, &err) != STATUS_OK) {
        env->err = err;
        return err.status;
    }
    loop_wait(env->loop, &env->ended);
    return env->status;
}

static void make_sample(struct env *env, const char *stated_host, int64_t time_us)
{
    const struct console_sample_options options = {.host = &env->host,
                                                   .stated_host = stated_host,
                                                   .disk = &env->disk,
                                                   .time_us = time_us,
                                                   .blocks_in_part = PER_PART};

    console_sample_deinit(&env->sample);
    console_sample_make(&env->sample, &options);
    env->options.point = env->sample.point_text;
    env->options.agents_ca_pem = env->host.ca_pem;
    env->upto = env->sample.count;
}

static bool is_there(struct env *env, const char *name)
{
    struct fs_file *file = NULL;
    struct error err = {0};
    enum status st = fs_open(env->fs, name, FS_READ, &file, &err);

    fs_close(file);
    if (st != STATUS_OK)
        assert_int_equal(st, STATUS_NOT_FOUND);
    return st == STATUS_OK;
}

/* The file is the disk, byte for byte; what is a hole of blocks is one of the file. */
static void assert_exported(struct env *env)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    uint8_t *content = memory_new((size_t)env->disk.size, 1);
    struct error err = {0};

    assert_non_null(content);
    assert_false(is_there(env, "disk.raw.part"));
    ASSERT_OK(fs_open(env->fs, "disk.raw", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_int_equal(size, env->disk.size);
    ASSERT_OK(fs_read_exactly_at(file, 0, content, (size_t)size, &err), &err);
    assert_memory_equal(content, env->disk.content, (size_t)size);
    for (uint64_t start = 0; start < size; start += env->disk.block_size) {
        uint64_t length = size - start < env->disk.block_size ? size - start : env->disk.block_size;
        uint64_t data = 0;
        uint64_t end = 0;
        enum status st = STATUS_OK;

        if (!slice_is_zero(slice_of(env->disk.content + start, (size_t)length)))
            continue;
        st = fs_next_data(file, start, &data, &end, &err);
        assert_true(st == STATUS_NOT_FOUND || (st == STATUS_OK && data >= start + length));
    }
    fs_close(file);
    memory_free(content);
}

static void assert_refused(struct env *env, enum status status, const char *words)
{
    ASSERT_STATUS(status, run(env), &env->err);
    assert_string_not_equal(env->err.text, "");
    if (strstr(env->err.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, env->err.text);
    assert_false(is_there(env, "disk.raw"));
    assert_false(is_there(env, "disk.raw.part"));
}

static void put_file(struct env *env, const char *name, const char *text)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    ASSERT_OK(fs_open(env->fs, name, FS_CREATE, &file, &err), &err);
    ASSERT_OK(fs_write_at(file, 0, slice_of_text(text), &err), &err);
    fs_close(file);
}

static void assert_file(struct env *env, const char *name, const char *text)
{
    struct fs_file *file = NULL;
    char content[64] = "";
    size_t size = 0;
    struct error err = {0};

    ASSERT_OK(fs_open(env->fs, name, FS_READ, &file, &err), &err);
    ASSERT_OK(fs_read_at(file, 0, content, sizeof(content) - 1, &size, &err), &err);
    fs_close(file);
    assert_string_equal(content, text);
}

static int set_up(void **state)
{
    static const struct export_file_events events = {.wants_part = wants_part, .ended = file_ended};
    struct env *env = memory_new(1, sizeof(*env));
    struct random_seeded random = random_seeded_of(1);
    struct error err = {0};

    assert_non_null(env);
    env->clock = clock_manual_new();
    env->faults = faults_new();
    assert_non_null(env->faults);
    faults_install(env->faults);
    ASSERT_OK(loop_new(clock_manual_source(env->clock), &env->loop, &err), &err);
    ASSERT_OK(pool_new(env->loop, 3, &env->pool, &err), &err);
    ASSERT_OK(fs_memory_new(&env->fs, &err), &err);
    env->options = (struct export_file_options){.loop = env->loop,
                                                .pool = env->pool,
                                                .fs = env->fs,
                                                .name = "disk.raw",
                                                .events = &events,
                                                .owner = env};
    console_host_make(&env->host, "hv-01", TEST_VALID);
    console_disk_make(&env->disk, small_size, BLOCK, 5, &random);
    make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    export_file_free(env->file);
    pool_free(env->pool);
    loop_free(env->loop);
    clock_manual_free(env->clock);
    fs_free(env->fs);
    console_sample_deinit(&env->sample);
    console_disk_deinit(&env->disk);
    console_host_deinit(&env->host);
    faults_install(NULL);
    faults_free(env->faults);
    memory_free(env);
    return 0;
}

/* The nth block that the sample's parts bring, n from 0. */
static Tidemark__V1__BlockData *block_at(struct env *env, size_t n)
{
    return env->sample.parts[1 + n / PER_PART]->blocks->blocks[n % PER_PART];
}

static Tidemark__V1__ExportOpened *opened(struct env *env)
{
    return env->sample.parts[0]->opened;
}

static Tidemark__V1__ExportEnded *ended_part(struct env *env)
{
    return env->sample.parts[env->sample.count - 1]->ended;
}

/* ---- Good exports ---------------------------------------------------------------------------- */

static void a_disk_of_any_shape_comes_back_byte_for_byte(void **state)
{
    static const struct {
        uint64_t size;
        uint32_t block_size;
        unsigned period;
    } shapes[] = {
        {BLOCK, BLOCK, 1},                       /* one block, which is the top itself */
        {512, BLOCK, 1},                         /* one short block */
        {UINT64_C(8) * BLOCK, BLOCK, 0},         /* nothing but a hole */
        {UINT64_C(128) * BLOCK, BLOCK, 1},       /* one full node */
        {UINT64_C(129) * BLOCK + 512, BLOCK, 3}, /* two levels, a short last block */
        {UINT64_C(20000) * BLOCK, BLOCK, 997},   /* three levels, mostly holes */
        {UINT64_C(40) * 65536, 65536, 4},
        {UINT64_C(3) * 1024 * 1024 + 512, 1024 * 1024, 2},
    };
    struct env *env = *state;
    struct random_seeded random = random_seeded_of(test_seed("export"));
    struct error err = {0};

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        console_disk_deinit(&env->disk);
        console_disk_make(&env->disk, shapes[i].size, shapes[i].block_size, shapes[i].period,
                          &random);
        make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
        ASSERT_OK(run(env), &env->err);
        assert_exported(env);
        ASSERT_OK(fs_remove(env->fs, "disk.raw", &err), &err);
    }
}

static void the_end_tells_what_was_proved(void **state)
{
    struct env *env = *state;
    uint64_t done = 0;
    uint64_t total = 0;

    ASSERT_OK(run(env), &env->err);

    const struct export_disk *disk = export_file_disk(env->file);

    assert_non_null(disk);
    assert_string_equal(disk->host, "hv-01");
    assert_string_equal(disk->name, "disk0");
    assert_true(disk->time_us == CONSOLE_SAMPLE_TIME_US);
    assert_true(id_equal(&disk->point, &env->sample.point));
    export_file_progress(env->file, &done, &total);
    assert_int_equal(total, small_size);
    assert_true(done > total / 2 && done <= total);
}

static void the_id_key_is_wiped_from_the_message(void **state)
{
    struct env *env = *state;
    static const uint8_t zeros[32];
    struct export_disk disk = {0};
    struct error err = {0};

    ASSERT_OK(export_check(opened(env), env->sample.point_text, env->host.ca_pem, &disk, &err),
              &err);
    assert_memory_equal(opened(env)->id_key.data, zeros, sizeof(zeros));
    export_disk_deinit(&disk);
}

static void a_host_that_signed_while_its_certificate_was_valid_is_believed(void **state)
{
    struct env *env = *state;

    console_host_deinit(&env->host);
    console_host_make(&env->host, "hv-01", TEST_EXPIRED);
    make_sample(env, NULL, CONSOLE_SAMPLE_OLD_TIME_US);
    ASSERT_OK(run(env), &env->err);
    assert_exported(env);
}

/* ---- The file's name ------------------------------------------------------------------------- */

static void a_file_that_is_there_is_left_alone(void **state)
{
    struct env *env = *state;

    put_file(env, "disk.raw", "precious");
    ASSERT_STATUS(STATUS_EXISTS, run(env), &env->err);
    assert_file(env, "disk.raw", "precious");
    assert_false(is_there(env, "disk.raw.part"));
}

static void a_file_that_is_there_is_replaced_if_asked(void **state)
{
    struct env *env = *state;

    put_file(env, "disk.raw", "old");
    env->options.replace = true;
    ASSERT_OK(run(env), &env->err);
    assert_exported(env);
}

static void a_file_that_shall_be_replaced_stays_if_the_export_fails(void **state)
{
    struct env *env = *state;

    put_file(env, "disk.raw", "old");
    env->options.replace = true;
    env->upto = 3;
    ASSERT_STATUS(STATUS_UNAVAILABLE, run(env), &env->err);
    assert_file(env, "disk.raw", "old");
    assert_false(is_there(env, "disk.raw.part"));
}

static void another_exports_part_is_left_alone(void **state)
{
    struct env *env = *state;

    put_file(env, "disk.raw.part", "not ours");
    env->options.replace = true;
    ASSERT_STATUS(STATUS_EXISTS, run(env), &env->err);
    assert_file(env, "disk.raw.part", "not ours");
    assert_false(is_there(env, "disk.raw"));
}

static void a_folder_in_the_place_of_the_file_is_refused_at_the_start(void **state)
{
    struct env *env = *state;
    struct error err = {0};

    ASSERT_OK(fs_make_dir(env->fs, "disk.raw", &err), &err);
    env->options.replace = true;
    ASSERT_STATUS(STATUS_PRECONDITION, run(env), &env->err);
    assert_false(is_there(env, "disk.raw.part"));
    assert_int_equal(env->next, 1);
}

/* ---- Wrong blocks ---------------------------------------------------------------------------- */

static void a_changed_block_leaves_no_file(void **state)
{
    struct env *env = *state;

    assert_int_equal(block_at(env, 0)->codec, 0);
    block_at(env, 0)->data.data[100] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "not the disk that hv-01 has signed");
}

static void a_block_that_does_not_unpack_leaves_no_file(void **state)
{
    struct env *env = *state;

    assert_int_equal(block_at(env, 1)->codec, 1);
    block_at(env, 1)->data.len--;
    assert_refused(env, STATUS_CORRUPT, "block 1");
}

static void a_block_of_the_wrong_length_leaves_no_file(void **state)
{
    struct env *env = *state;

    block_at(env, 0)->data.len = 512;
    assert_refused(env, STATUS_CORRUPT, "block 0");
}

static void an_unknown_codec_leaves_no_file(void **state)
{
    struct env *env = *state;

    block_at(env, 0)->codec = 256; /* plain, if it were cut to a byte */
    assert_refused(env, STATUS_UNSUPPORTED, "codec");
}

/* Takes the last block out of the first part with blocks. */
static void drop_block(struct env *env)
{
    Tidemark__V1__ExportBlocks *blocks = env->sample.parts[1]->blocks;

    rpc_message_free(&blocks->blocks[--blocks->n_blocks]->base);
}

static void a_missing_block_leaves_no_file(void **state)
{
    struct env *env = *state;

    drop_block(env);
    ended_part(env)->blocks--;
    assert_refused(env, STATUS_CORRUPT, "not the disk that hv-01 has signed");
}

static void a_count_that_is_not_right_leaves_no_file(void **state)
{
    struct env *env = *state;

    ended_part(env)->blocks++;
    assert_refused(env, STATUS_CORRUPT, "blocks came");
}

static void a_block_in_a_hole_leaves_no_file(void **state)
{
    struct env *env = *state;

    block_at(env, 1)->seq = 2; /* 1 is missing then, too; the root knows both */
    assert_refused(env, STATUS_CORRUPT, "not the disk that hv-01 has signed");
}

static void a_block_behind_the_end_leaves_no_file(void **state)
{
    struct env *env = *state;

    block_at(env, 5)->seq = UINT64_MAX / 2;
    assert_refused(env, STATUS_INVALID, "behind the end");
}

static void blocks_out_of_order_leave_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__BlockData **blocks = env->sample.parts[1]->blocks->blocks;
    Tidemark__V1__BlockData *first = blocks[0];

    blocks[0] = blocks[1];
    blocks[1] = first;
    assert_refused(env, STATUS_INVALID, "out of order");
}

static void a_part_that_comes_before_its_turn_leaves_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ExportPart *first = env->sample.parts[1];

    env->sample.parts[1] = env->sample.parts[2];
    env->sample.parts[2] = first;
    assert_refused(env, STATUS_INVALID, "out of order");
}

static void a_block_twice_leaves_no_file(void **state)
{
    struct env *env = *state;

    block_at(env, PER_PART)->seq = block_at(env, PER_PART - 1)->seq;
    assert_refused(env, STATUS_INVALID, "out of order");
}

/* ---- Wrong statements ------------------------------------------------------------------------ */

static void another_root_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->root.data[30] ^= 1; /* the top's id */
    assert_refused(env, STATUS_CORRUPT, "has not signed");
}

static void a_root_that_no_disk_has_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->root.data[8] ^= 1; /* the block size */
    assert_refused(env, STATUS_CORRUPT, "");
}

static void a_root_cut_short_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->root.len--;
    assert_refused(env, STATUS_INVALID, "root of 55 bytes");
}

static void another_key_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->id_key.data[0] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "has not signed");
}

static void a_key_of_no_length_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->id_key.len = 16;
    assert_refused(env, STATUS_INVALID, "key of 16");
}

static void a_changed_signature_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->statement->signature.data[40] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "not signed by a host that agents-ca.pem vouches for");
}

static void a_changed_statement_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->statement->body.data[20] ^= 1; /* the task: nothing else refers to it */
    assert_refused(env, STATUS_CORRUPT, "not signed by a host that agents-ca.pem vouches for");
}

static void a_statement_that_is_none_leaves_no_file(void **state)
{
    struct env *env = *state;

    opened(env)->statement->body.len--;
    assert_refused(env, STATUS_CORRUPT, "");
}

static void another_ca_leaves_no_file(void **state)
{
    struct env *env = *state;
    struct console_host other = {0};

    console_host_make(&other, "hv-01", TEST_VALID);
    env->options.agents_ca_pem = other.ca_pem;
    assert_refused(env, STATUS_DENIED, "not signed by a host that agents-ca.pem vouches for");
    console_host_deinit(&other);
}

static void a_certificate_that_had_expired_when_it_signed_leaves_no_file(void **state)
{
    struct env *env = *state;

    console_host_deinit(&env->host);
    console_host_make(&env->host, "hv-01", TEST_EXPIRED);
    make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
    assert_refused(env, STATUS_DENIED, "not signed by a host that agents-ca.pem vouches for");
}

static void a_host_that_signs_for_another_leaves_no_file(void **state)
{
    struct env *env = *state;

    make_sample(env, "hv-02", CONSOLE_SAMPLE_TIME_US);
    assert_refused(env, STATUS_CORRUPT, "names host hv-02, but hv-01");
}

static void another_point_than_the_one_asked_for_leaves_no_file(void **state)
{
    struct env *env = *state;

    env->options.point = "ffffffffffffffff";
    assert_refused(env, STATUS_CORRUPT, "not the one asked for");
}

static void another_points_statement_leaves_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ExportPart *first = env->sample.parts[0];

    env->sample.parts[0] = NULL;
    make_sample(env, NULL, CONSOLE_SAMPLE_OLD_TIME_US);

    Tidemark__V1__Signed *older = opened(env)->statement;

    opened(env)->statement = first->opened->statement;
    first->opened->statement = older;
    rpc_message_free(&first->base);
    assert_refused(env, STATUS_CORRUPT, "belongs to another point");
}

static void an_opening_without_its_point_leaves_no_file(void **state)
{
    struct env *env = *state;

    rpc_message_free(&opened(env)->point->base);
    opened(env)->point = NULL;
    assert_refused(env, STATUS_INVALID, "which point");
}

static void an_opening_without_its_statement_leaves_no_file(void **state)
{
    struct env *env = *state;

    rpc_message_free(&opened(env)->statement->base);
    opened(env)->statement = NULL;
    assert_refused(env, STATUS_INVALID, "no signed statement");
}

/* ---- Wrong streams --------------------------------------------------------------------------- */

static void a_stream_that_breaks_anywhere_leaves_no_file(void **state)
{
    struct env *env = *state;
    size_t count = env->sample.count;

    for (size_t upto = 0; upto < count; upto++) {
        make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
        env->upto = upto;
        assert_refused(env, STATUS_UNAVAILABLE, "the stream broke");
    }
}

static void blocks_before_the_opening_leave_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ExportPart *first = env->sample.parts[0];

    env->sample.parts[0] = env->sample.parts[1];
    env->sample.parts[1] = first;
    assert_refused(env, STATUS_INVALID, "wrong order");
}

static void a_second_opening_leaves_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ExportPart *second =
        (Tidemark__V1__ExportPart *)console_sample_receive(&env->sample.parts[0]->base);

    rpc_message_free(&env->sample.parts[2]->base);
    env->sample.parts[2] = second;
    assert_refused(env, STATUS_INVALID, "wrong order");
}

static void an_end_before_the_opening_leaves_no_file(void **state)
{
    struct env *env = *state;
    size_t last = env->sample.count - 1;
    Tidemark__V1__ExportPart *first = env->sample.parts[0];

    env->sample.parts[0] = env->sample.parts[last];
    env->sample.parts[last] = first;
    assert_refused(env, STATUS_INVALID, "wrong order");
}

static void a_part_of_no_kind_leaves_no_file(void **state)
{
    struct env *env = *state;
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;

    rpc_message_free(&env->sample.parts[2]->base);
    env->sample.parts[2] = (Tidemark__V1__ExportPart *)console_sample_receive(&part.base);
    assert_refused(env, STATUS_INVALID, "wrong order");
}

/* ---- The machine ----------------------------------------------------------------------------- */

static void a_full_file_system_leaves_no_file(void **state)
{
    struct env *env = *state;

    fs_memory_set_space(env->fs, SPACE_TOO_LITTLE);
    assert_refused(env, STATUS_EXHAUSTED, "No space left");
    fs_memory_set_space(env->fs, UINT64_MAX);
    make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
    ASSERT_OK(run(env), &env->err);
    assert_exported(env);
}

static void a_part_that_cannot_be_removed_is_named(void **state)
{
    struct env *env = *state;

    env->upto = 3;
    faults_arm_point(env->faults, "fs.remove", 1, FAULT_FAIL);
    ASSERT_STATUS(STATUS_UNAVAILABLE, run(env), &env->err);
    assert_non_null(strstr(env->err.text, "disk.raw.part could not be removed, remove it"));
    assert_non_null(strstr(env->err.text, "the stream broke"));
}

/* Attempt N of an export in which one call fails. */
static void fail_once(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct error err = {0};

    /* The sample is made in peace, the export with the Nth call failing. */
    faults_arm(env->faults, 0, 0);
    make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
    faults_arm(env->faults, FAULT_ALLOC | FAULT_IO, n);

    enum status st = run(env);
    bool fired = faults_fired(env->faults);

    faults_arm(env->faults, 0, 0);
    if (st == STATUS_OK) {
        assert_exported(env);
    } else {
        assert_true(fired);
        assert_false(is_there(env, "disk.raw.part"));
        if (is_there(env, "disk.raw")) /* only the folder's sync may come behind the name */
            assert_exported(env);
    }
    if (is_there(env, "disk.raw"))
        ASSERT_OK(fs_remove(env->fs, "disk.raw", &err), &err);
}

static void whatever_fails_the_file_is_whole_or_absent(void **state)
{
    struct env *env = *state;
    uint64_t fired = fail_each(env->faults, FAULT_ALLOC | FAULT_IO, fail_once, env);

    assert_true(fired > 30);
}

struct cuts {
    const struct console_disk *disk;
    size_t start; /* operations before the export */
    size_t count; /* operations in all */
};

/* The old file, or the whole disk; once the export has ended the disk alone. */
static void check_cut(void *arg, size_t upto, struct fs *fs, const char *state)
{
    const struct cuts *cuts = arg;
    struct fs_file *file = NULL;
    uint64_t size = 0;
    uint8_t content[CUT_BLOCKS * BLOCK];
    struct error err = {0};

    if (upto < cuts->start)
        return;
    ASSERT_OK(fs_open(fs, "disk.raw", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_true(size <= sizeof(content));
    ASSERT_OK(fs_read_exactly_at(file, 0, content, (size_t)size, &err), &err);
    fs_close(file);

    bool old = size == 3 && memcmp(content, "old", 3) == 0;
    bool whole = size == cuts->disk->size && memcmp(content, cuts->disk->content, size) == 0;

    if (!whole && (!old || upto == cuts->count))
        fail_msg("%s: the file is %s", state, old ? "the old one" : "neither the old nor the new");
}

static void a_power_cut_leaves_the_old_file_or_the_whole_disk(void **state)
{
    struct env *env = *state;
    uint64_t seed = test_seed("export");
    const struct fs_cut_options options = {.tear_unit = BLOCK,
                                           .samples = 16,
                                           .seed = seed,
                                           .max_states = 200};
    struct random_seeded random = random_seeded_of(seed);
    struct fs *recorded = NULL;
    struct error err = {0};

    put_file(env, "disk.raw", "old");
    ASSERT_OK(fs_record_new(env->fs, &recorded, &err), &err);
    console_disk_deinit(&env->disk);
    console_disk_make(&env->disk, UINT64_C(1) * CUT_BLOCKS * BLOCK, BLOCK, 1, &random);
    make_sample(env, NULL, CONSOLE_SAMPLE_TIME_US);
    env->options.fs = recorded;
    env->options.replace = true;

    struct cuts cuts = {.disk = &env->disk, .start = fs_record_log(recorded)->count};

    ASSERT_OK(run(env), &env->err);
    cuts.count = fs_record_log(recorded)->count;
    assert_true(fs_cut_every(fs_record_log(recorded), &options, check_cut, &cuts) > cuts.count);
    fs_free(recorded);
}

#define TEST(FUNCTION) cmocka_unit_test_setup_teardown(FUNCTION, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_disk_of_any_shape_comes_back_byte_for_byte),
        TEST(the_end_tells_what_was_proved),
        TEST(the_id_key_is_wiped_from_the_message),
        TEST(a_host_that_signed_while_its_certificate_was_valid_is_believed),
        TEST(a_file_that_is_there_is_left_alone),
        TEST(a_file_that_is_there_is_replaced_if_asked),
        TEST(a_file_that_shall_be_replaced_stays_if_the_export_fails),
        TEST(another_exports_part_is_left_alone),
        TEST(a_folder_in_the_place_of_the_file_is_refused_at_the_start),
        TEST(a_changed_block_leaves_no_file),
        TEST(a_block_that_does_not_unpack_leaves_no_file),
        TEST(a_block_of_the_wrong_length_leaves_no_file),
        TEST(an_unknown_codec_leaves_no_file),
        TEST(a_missing_block_leaves_no_file),
        TEST(a_count_that_is_not_right_leaves_no_file),
        TEST(a_block_in_a_hole_leaves_no_file),
        TEST(a_block_behind_the_end_leaves_no_file),
        TEST(blocks_out_of_order_leave_no_file),
        TEST(a_part_that_comes_before_its_turn_leaves_no_file),
        TEST(a_block_twice_leaves_no_file),
        TEST(another_root_leaves_no_file),
        TEST(a_root_that_no_disk_has_leaves_no_file),
        TEST(a_root_cut_short_leaves_no_file),
        TEST(another_key_leaves_no_file),
        TEST(a_key_of_no_length_leaves_no_file),
        TEST(a_changed_signature_leaves_no_file),
        TEST(a_changed_statement_leaves_no_file),
        TEST(a_statement_that_is_none_leaves_no_file),
        TEST(another_ca_leaves_no_file),
        TEST(a_certificate_that_had_expired_when_it_signed_leaves_no_file),
        TEST(a_host_that_signs_for_another_leaves_no_file),
        TEST(another_point_than_the_one_asked_for_leaves_no_file),
        TEST(another_points_statement_leaves_no_file),
        TEST(an_opening_without_its_point_leaves_no_file),
        TEST(an_opening_without_its_statement_leaves_no_file),
        TEST(a_stream_that_breaks_anywhere_leaves_no_file),
        TEST(blocks_before_the_opening_leave_no_file),
        TEST(a_second_opening_leaves_no_file),
        TEST(an_end_before_the_opening_leaves_no_file),
        TEST(a_part_of_no_kind_leaves_no_file),
        TEST(a_full_file_system_leaves_no_file),
        TEST(a_part_that_cannot_be_removed_is_named),
        TEST(whatever_fails_the_file_is_whole_or_absent),
        TEST(a_power_cut_leaves_the_old_file_or_the_whole_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
