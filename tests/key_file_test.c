#include "coordinator/key_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/secret.h"
#include "base/text.h"
#include "tests/support/fail_each.h"
#include "tests/support/fs_cut_every.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum { PATH_SIZE = TEMP_FOLDER_SIZE + 64 };

static const struct key_wrap_cost cheap = {.n = 2, .r = 1, .p = 1};
static const struct random_id repository_id = {.bytes = {0xb0, 0xb1}};

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char data[PATH_SIZE];
    char path[PATH_SIZE];
};

static struct env env_begin(void)
{
    struct env env = {0};

    temp_folder_make(env.folder);
    assert_true(text_format(env.data, sizeof(env.data), "%s/data", env.folder));
    assert_true(text_format(env.path, sizeof(env.path), "%s/file", env.folder));
    return env;
}

/* A new file at ENV's path. */
static void put_file(const struct env *env, struct slice content)
{
    struct named_file file;
    struct error err = {0};

    ASSERT_OK(named_file_open(env->path, &file, &err), &err);
    DISCARD(fs_remove(file.fs, file.name, &err)); /* there may be none */
    ASSERT_OK(named_file_write_new(&file, content, &err), &err);
    named_file_close(&file);
}

static void remove_file(const char *path)
{
    struct named_file file;
    struct error err = {0};

    ASSERT_OK(named_file_open(path, &file, &err), &err);
    ASSERT_OK(fs_remove(file.fs, file.name, &err), &err);
    named_file_close(&file);
}

static struct key_text plain_key(void)
{
    return (struct key_text){.plain = {.bytes = {1, 2, 3}}};
}

static struct key_text wrapped_key(const char *passphrase)
{
    struct random_seeded random = random_seeded_of(3);
    struct key_text key = {.wrapped = true};
    struct key_text plain = plain_key();
    struct error err = {0};

    ASSERT_OK(key_wrap_seal(&repository_id, &plain.plain, &cheap, slice_of_text(passphrase),
                            &random.source, &key.wrap, &err),
              &err);
    return key;
}

static struct buffer text_of(const struct key_text *key)
{
    struct buffer text;

    buffer_init(&text, KEY_TEXT_MAX);
    key_text_encode(key, &text);
    return text;
}

static void a_key_of_either_form_is_read(void **state)
{
    struct env env = env_begin();
    struct key_text keys[] = {plain_key(), wrapped_key("p")};
    struct key_text read;
    struct stat about;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct buffer text = text_of(&keys[i]);

        put_file(&env, buffer_slice(&text));
        buffer_deinit(&text);
        assert_int_equal(stat(env.path, &about), 0);
        assert_int_equal(about.st_mode & 0777, 0600);
        ASSERT_OK(key_file_read(env.path, &read, &err), &err);
        assert_int_equal(read.wrapped, keys[i].wrapped);
    }
    temp_folder_remove(env.folder);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct env env = env_begin();
    struct key_text key = plain_key();
    struct buffer text = text_of(&key);
    struct key_text read;
    struct error err = {0};

    (void)state;
    put_file(&env, buffer_slice(&text));
    buffer_deinit(&text);
    assert_int_equal(chmod(env.path, 0640), 0);
    ASSERT_STATUS(STATUS_PRECONDITION, key_file_read(env.path, &read, &err), &err);
    assert_non_null(strstr(err.text, "chmod 600"));
    temp_folder_remove(env.folder);
}

static void a_file_that_is_no_key_is_refused(void **state)
{
    struct env env = env_begin();
    uint8_t much[KEY_TEXT_MAX + 1] = {0};
    struct key_text read;
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_NOT_FOUND, key_file_read(env.path, &read, &err), &err);
    put_file(&env, slice_of_text("0011\n"));
    ASSERT_STATUS(STATUS_INVALID, key_file_read(env.path, &read, &err), &err);
    put_file(&env, slice_of_text("Tidemark key\nand so on\n"));
    ASSERT_STATUS(STATUS_CORRUPT, key_file_read(env.path, &read, &err), &err);
    put_file(&env, slice_of(much, sizeof(much)));
    ASSERT_STATUS(STATUS_INVALID, key_file_read(env.path, &read, &err), &err);
    temp_folder_remove(env.folder);
}

static void a_passphrase_is_a_file_but_for_its_last_line_feed(void **state)
{
    struct env env = env_begin();
    static char longest[SECRET_MAX + 2];
    const size_t most = SECRET_MAX;
    struct secret secret = {.size = 0};
    struct error err = {0};

    (void)state;
    put_file(&env, slice_of_text("a b \n\n"));
    ASSERT_OK(secret_read(env.path, &secret, &err), &err);
    assert_true(slice_equal(secret_slice(&secret), slice_of_text("a b \n")));
    put_file(&env, slice_of_text("p"));
    ASSERT_OK(secret_get(env.path, "", "", NULL, &secret, &err), &err);
    assert_true(slice_equal(secret_slice(&secret), slice_of_text("p")));
    secret_wipe(&secret);
    assert_int_equal(secret.size, 0);
    memset(longest, 'x', sizeof(longest));
    longest[SECRET_MAX] = '\n';
    put_file(&env, slice_of(longest, most + 1));
    ASSERT_OK(secret_read(env.path, &secret, &err), &err);
    assert_int_equal(secret.size, SECRET_MAX);
    longest[SECRET_MAX] = 'x';
    put_file(&env, slice_of(longest, most + 1));
    ASSERT_STATUS(STATUS_INVALID, secret_read(env.path, &secret, &err), &err);
    put_file(&env, slice_of(longest, most + 2));
    ASSERT_STATUS(STATUS_INVALID, secret_read(env.path, &secret, &err), &err);
    put_file(&env, slice_of_text("\n"));
    ASSERT_STATUS(STATUS_INVALID, secret_read(env.path, &secret, &err), &err);
    assert_non_null(strstr(err.text, "the passphrase is empty"));
    put_file(&env, slice_of_text("p\n"));
    assert_int_equal(chmod(env.path, 0604), 0);
    ASSERT_STATUS(STATUS_PRECONDITION, secret_read(env.path, &secret, &err), &err);
    temp_folder_remove(env.folder);
}

static void a_new_file_lies_outside_the_repository_and_over_nothing(void **state)
{
    struct env env = env_begin();
    struct named_file file = {0};
    char path[PATH_SIZE];
    bool made = false;
    struct error err = {0};

    (void)state;
    ASSERT_OK(data_folder_make(env.data, &made, &err), &err);
    assert_true(made);
    assert_true(text_format(path, sizeof(path), "%s/key", env.data));
    ASSERT_STATUS(STATUS_INVALID, key_file_place(path, "key file", env.data, &file, &err), &err);
    assert_true(text_format(path, sizeof(path), "%s/../data/key", env.data));
    ASSERT_STATUS(STATUS_INVALID, key_file_place(path, "key file", env.data, &file, &err), &err);
    assert_true(text_format(path, sizeof(path), "%s-2", env.data)); /* its name begins alike */
    ASSERT_OK(key_file_place(path, "key file", env.data, &file, &err), &err);
    named_file_close(&file);
    put_file(&env, slice_of_text("x"));
    ASSERT_STATUS(STATUS_EXISTS, key_file_place(env.path, "key file", env.data, &file, &err), &err);
    assert_non_null(strstr(err.text, "left alone"));
    temp_folder_remove(env.folder);
}

static void a_kit_on_the_repositorys_file_system_is_refused(void **state)
{
    struct env env = env_begin();
    struct named_file file = {0};
    struct named_file elsewhere = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(named_file_open(env.path, &file, &err), &err);
    ASSERT_STATUS(STATUS_PRECONDITION, kit_file_check_apart(&file, env.folder, &err), &err);
    assert_non_null(strstr(err.text, "--kit-anywhere"));
    ASSERT_OK(named_file_open("/proc/kit", &elsewhere, &err), &err);
    ASSERT_OK(kit_file_check_apart(&elsewhere, env.folder, &err), &err);
    named_file_close(&elsewhere);
    named_file_close(&file);
    temp_folder_remove(env.folder);
}

static void a_folder_is_made_once_and_goes_only_while_it_is_empty(void **state)
{
    struct env env = env_begin();
    char path[PATH_SIZE];
    bool made = false;
    struct error err = {0};

    (void)state;
    assert_true(text_format(path, sizeof(path), "%s///", env.data));
    ASSERT_OK(data_folder_make(path, &made, &err), &err);
    assert_true(made);
    ASSERT_OK(data_folder_make(path, &made, &err), &err);
    assert_false(made);
    assert_true(text_format(env.path, sizeof(env.path), "%s/full", env.data));
    put_file(&env, slice_of_text("x"));
    data_folder_remove(env.data);
    assert_int_equal(access(env.path, F_OK), 0);
    assert_true(text_format(path, sizeof(path), "%s/full", env.data));
    remove_file(path);
    data_folder_remove(env.data);
    assert_int_not_equal(access(env.data, F_OK), 0);
    assert_true(text_format(path, sizeof(path), "%s/no/where", env.folder));
    ASSERT_STATUS(STATUS_NOT_FOUND, data_folder_make(path, &made, &err), &err);
    temp_folder_remove(env.folder);
}

/* ---- What init writes, and the power cut in it ---- */

static const char kit_text[] = "the kit, which is longer than the key and says so";

struct world {
    struct fs *memory;
    struct fs *fs; /* records */
    struct named_file key, kit, made;
    struct key_files files;
    struct buffer key_text;
};

static struct named_file file_of(struct fs *fs, const char *name)
{
    struct named_file file = {.fs = fs};

    assert_true(text_format(file.name, sizeof(file.name), "%s", name));
    return file;
}

static struct world world_begin(void)
{
    struct world world = {0};
    struct key_text key = plain_key();
    struct error err = {0};

    ASSERT_OK(fs_memory_new(&world.memory, &err), &err);
    ASSERT_OK(fs_record_new(world.memory, &world.fs, &err), &err);
    world.key = file_of(world.fs, "key");
    world.kit = file_of(world.fs, "kit");
    world.made = file_of(world.fs, "repository");
    world.key_text = text_of(&key);
    return world;
}

static void world_end(struct world *world)
{
    buffer_deinit(&world->key_text);
    fs_free(world->fs);
    fs_free(world->memory);
}

/* What stands for the repository. */
static enum status make(void *arg, struct error *err)
{
    struct world *world = arg;

    return named_file_write_new(&world->made, slice_of_text("made"), err);
}

static enum status make_all(struct world *world, struct error *err)
{
    const struct key_files files = {.key = &world->key,
                                    .key_text = buffer_slice(&world->key_text),
                                    .kit = &world->kit,
                                    .kit_text = slice_of_text(kit_text)};

    return key_files_make(&files, make, world, err);
}

/* Is there, in FS, a file NAME with CONTENT? */
static bool is_whole(struct fs *fs, const char *name, struct slice content)
{
    struct named_file file = file_of(fs, name);
    uint8_t bytes[KEY_TEXT_MAX];
    size_t size = 0;
    struct error err = {0};

    return named_file_read(&file, bytes, sizeof(bytes), &size, &err) == STATUS_OK &&
           slice_equal(slice_of(bytes, size), content);
}

static bool is_there(struct fs *fs, const char *name)
{
    struct named_file file = file_of(fs, name);
    bool taken = false;
    struct error err = {0};

    ASSERT_OK(named_file_taken(&file, &taken, &err), &err);
    return taken;
}

static void check_order(void *arg, size_t upto, struct fs *fs, const char *state)
{
    const struct world *world = arg;

    (void)upto;
    if (is_there(fs, "kit") && !is_whole(fs, "key", buffer_slice(&world->key_text)))
        fail_msg("%s: a kit without its key file", state);
    if (is_there(fs, "repository") && (!is_whole(fs, "key", buffer_slice(&world->key_text)) ||
                                       !is_whole(fs, "kit", slice_of_text(kit_text))))
        fail_msg("%s: a repository without what opens it", state);
}

static void no_repository_is_there_before_what_opens_it_is_durable(void **state)
{
    const struct fs_cut_options options = {.tear_unit = 16};
    struct world world = world_begin();
    struct error err = {0};

    (void)state;
    ASSERT_OK(make_all(&world, &err), &err);
    assert_true(fs_cut_every(fs_record_log(world.fs), &options, check_order, &world) > 10);
    world_end(&world);
}

/* An attempt in which one call fails leaves nothing, or all of it. */
static void attempt_all(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    struct world world;
    struct error err = {0};

    faults_arm(faults, 0, 0); /* not while it is set up */
    world = world_begin();
    faults_arm(faults, FAULT_IO | FAULT_ALLOC, n);

    enum status st = make_all(&world, &err);

    faults_arm(faults, 0, 0);
    assert_int_equal(is_there(world.memory, "key"), st == STATUS_OK);
    assert_int_equal(is_there(world.memory, "kit"), st == STATUS_OK);
    assert_int_equal(is_there(world.memory, "repository"), st == STATUS_OK);
    world_end(&world);
}

static void an_init_that_fails_leaves_no_files(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_IO | FAULT_ALLOC, attempt_all, faults) >= 12);
    faults_install(NULL);
    faults_free(faults);
}

static void what_was_there_before_is_never_removed(void **state)
{
    struct world world = world_begin();
    struct error err = {0};

    (void)state;
    ASSERT_OK(named_file_write_new(&world.kit, slice_of_text("old"), &err), &err);
    ASSERT_STATUS(STATUS_EXISTS, make_all(&world, &err), &err);
    assert_true(is_whole(world.fs, "kit", slice_of_text("old")));
    assert_false(is_there(world.fs, "key"));
    assert_false(is_there(world.fs, "repository"));
    world_end(&world);
}

/* ---- Another passphrase ---- */

struct change {
    struct buffer before, after;
    size_t begin; /* operations before it: those that made the old key, durable */
    size_t done;  /* and at which it said that it was done */
};

static void check_key(void *arg, size_t upto, struct fs *fs, const char *state)
{
    const struct change *change = arg;
    bool old = is_whole(fs, "key", buffer_slice(&change->before));
    bool new = is_whole(fs, "key", buffer_slice(&change->after));

    if (upto >= change->begin && !old && !new)
        fail_msg("%s: no whole key", state);
    if (upto >= change->done && !new)
        fail_msg("%s: the new passphrase is lost again", state);
}

static void another_passphrase_never_leaves_a_moment_without_a_key(void **state)
{
    const struct fs_cut_options options = {.tear_unit = 16};
    struct key_text before = wrapped_key("old");
    struct key_text after = wrapped_key("new");
    struct change change = {.before = text_of(&before), .after = text_of(&after)};
    struct fs *memory = NULL;
    struct fs *fs = NULL;
    struct named_file file = {0};
    struct error err = {0};

    (void)state;
    ASSERT_OK(fs_memory_new(&memory, &err), &err);
    file = file_of(memory, "key");
    ASSERT_OK(named_file_write_new(&file, buffer_slice(&change.before), &err), &err);
    ASSERT_OK(fs_record_new(memory, &fs, &err), &err);

    change.begin = fs_record_log(fs)->count;
    file = file_of(fs, "key");
    ASSERT_OK(key_file_replace(&file, &after, &err), &err);
    change.done = fs_record_log(fs)->count;
    assert_true(fs_cut_every(fs_record_log(fs), &options, check_key, &change) > change.done);
    fs_free(fs);
    fs_free(memory);
    buffer_deinit(&change.before);
    buffer_deinit(&change.after);
}

static void attempt_change(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    struct key_text before;
    struct key_text after;
    struct change change = {.done = 1};
    struct named_file file = {0};
    struct fs *memory = NULL;
    struct error err = {0};

    faults_arm(faults, 0, 0); /* not while it is set up */
    before = wrapped_key("old");
    after = wrapped_key("new");
    change.before = text_of(&before);
    change.after = text_of(&after);
    ASSERT_OK(fs_memory_new(&memory, &err), &err);
    file = file_of(memory, "key");
    ASSERT_OK(named_file_write_new(&file, buffer_slice(&change.before), &err), &err);
    faults_arm(faults, FAULT_IO | FAULT_ALLOC, n);

    enum status st = key_file_replace(&file, &after, &err);

    faults_arm(faults, 0, 0);
    check_key(&change, st == STATUS_OK ? 1 : 0, memory, err.text);
    fs_free(memory);
    buffer_deinit(&change.before);
    buffer_deinit(&change.after);
}

static void a_change_that_fails_leaves_a_key(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_IO | FAULT_ALLOC, attempt_change, faults) >= 5);
    faults_install(NULL);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_of_either_form_is_read),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(a_file_that_is_no_key_is_refused),
        cmocka_unit_test(a_passphrase_is_a_file_but_for_its_last_line_feed),
        cmocka_unit_test(a_new_file_lies_outside_the_repository_and_over_nothing),
        cmocka_unit_test(a_kit_on_the_repositorys_file_system_is_refused),
        cmocka_unit_test(a_folder_is_made_once_and_goes_only_while_it_is_empty),
        cmocka_unit_test(no_repository_is_there_before_what_opens_it_is_durable),
        cmocka_unit_test(an_init_that_fails_leaves_no_files),
        cmocka_unit_test(what_was_there_before_is_never_removed),
        cmocka_unit_test(another_passphrase_never_leaves_a_moment_without_a_key),
        cmocka_unit_test(a_change_that_fails_leaves_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
