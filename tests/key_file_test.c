#include "coordinator/key_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum { PATH_SIZE = TEMP_FOLDER_SIZE + 64 };

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char data[PATH_SIZE];
    char key_file[PATH_SIZE];
    struct repository_key key;
};

static struct env env_begin(void)
{
    struct env env = {.key.bytes = {1, 2, 3}};

    temp_folder_make(env.folder);
    assert_true(text_format(env.data, sizeof(env.data), "%s/data", env.folder));
    assert_true(text_format(env.key_file, sizeof(env.key_file), "%s/key", env.folder));
    return env;
}

static void a_key_comes_back_and_is_for_its_owner_alone(void **state)
{
    struct env env = env_begin();
    struct repository_key read;
    struct stat about;
    struct error err = {0};

    (void)state;
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    assert_int_equal(stat(env.key_file, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    ASSERT_OK(key_file_read(env.key_file, &read, &err), &err);
    assert_memory_equal(read.bytes, env.key.bytes, sizeof(read.bytes));
    temp_folder_remove(env.folder);
}

static void a_key_is_never_written_over_another(void **state)
{
    struct env env = env_begin();
    struct error err = {0};

    (void)state;
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    ASSERT_STATUS(STATUS_EXISTS, key_file_write(env.key_file, &env.key, &err), &err);
    ASSERT_OK(key_file_remove(env.key_file, &err), &err);
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    temp_folder_remove(env.folder);
}

/* A file system that is full, or breaks: whoever repeats it finds no half a key in the way. */
static void a_key_that_cannot_be_written_leaves_no_file(void **state)
{
    static const char *const points[] = {"fs.write", "fs.sync", "fs.sync_dir"};
    struct env env = env_begin();
    struct faults *faults = faults_new();
    struct error err = {0};

    (void)state;
    assert_non_null(faults);
    faults_install(faults);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        faults_arm_point(faults, points[i], 1, FAULT_FAIL);
        assert_int_not_equal(key_file_write(env.key_file, &env.key, &err), STATUS_OK);
        assert_true(faults_fired(faults));
        faults_arm(faults, 0, 0);
        assert_int_not_equal(access(env.key_file, F_OK), 0);
    }
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    faults_install(NULL);
    faults_free(faults);
    temp_folder_remove(env.folder);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct env env = env_begin();
    struct repository_key read;
    struct error err = {0};

    (void)state;
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    assert_int_equal(chmod(env.key_file, 0640), 0);
    ASSERT_STATUS(STATUS_PRECONDITION, key_file_read(env.key_file, &read, &err), &err);
    temp_folder_remove(env.folder);
}

static void a_file_that_is_no_key_is_refused(void **state)
{
    struct env env = env_begin();
    struct repository_key read;
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_NOT_FOUND, key_file_read(env.key_file, &read, &err), &err);
    ASSERT_OK(key_file_write(env.key_file, &env.key, &err), &err);
    assert_int_equal(truncate(env.key_file, KEY_FILE_SIZE - 1), 0);
    ASSERT_STATUS(STATUS_INVALID, key_file_read(env.key_file, &read, &err), &err);
    temp_folder_remove(env.folder);
}

static void a_key_inside_the_repository_is_refused(void **state)
{
    struct env env = env_begin();
    struct fs *fs = NULL;
    char path[PATH_SIZE];
    struct error err = {0};

    (void)state;
    ASSERT_OK(data_folder_make(env.data, &fs, &err), &err);
    ASSERT_OK(fs_make_dir(fs, "deep", &err), &err);
    assert_true(text_format(path, sizeof(path), "%s/key", env.data));
    ASSERT_STATUS(STATUS_INVALID, key_file_check_outside(path, env.data, &err), &err);
    assert_true(text_format(path, sizeof(path), "%s/../data/deep/key", env.data));
    ASSERT_STATUS(STATUS_INVALID, key_file_check_outside(path, env.data, &err), &err);
    ASSERT_OK(key_file_check_outside(env.key_file, env.data, &err), &err);
    fs_free(fs);
    temp_folder_remove(env.folder);
}

static void a_folder_is_made_once_and_opened_again(void **state)
{
    struct env env = env_begin();
    struct fs *fs = NULL;
    char path[PATH_SIZE];
    struct error err = {0};

    (void)state;
    assert_true(text_format(path, sizeof(path), "%s///", env.data));
    for (int i = 0; i < 2; i++) {
        ASSERT_OK(data_folder_make(path, &fs, &err), &err);
        fs_free(fs);
    }
    assert_true(text_format(path, sizeof(path), "%s/no/where", env.folder));
    ASSERT_STATUS(STATUS_NOT_FOUND, data_folder_make(path, &fs, &err), &err);
    temp_folder_remove(env.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_comes_back_and_is_for_its_owner_alone),
        cmocka_unit_test(a_key_is_never_written_over_another),
        cmocka_unit_test(a_key_that_cannot_be_written_leaves_no_file),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(a_file_that_is_no_key_is_refused),
        cmocka_unit_test(a_key_inside_the_repository_is_refused),
        cmocka_unit_test(a_folder_is_made_once_and_opened_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
