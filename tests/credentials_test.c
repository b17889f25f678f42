/* tests/credentials_test.c: what a folder of credentials must be, file by file, and what is said if it is not. */
#include "transport/credentials.h"

#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/text.h"
#include "tests/support/fail_each.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char dir[TEMP_FOLDER_SIZE + 16];
    char key[TEMP_FOLDER_SIZE + 32];
    struct test_ca *ca, *other;
    struct fs *fs; /* over DIR, once something was written */
};

static int set_up(void **state)
{
    static struct env env; /* one test at a time */
    struct error err = {0};

    env = (struct env){.ca = test_certificates_ca_new("ours"),
                       .other = test_certificates_ca_new("theirs")};
    temp_folder_make(env.folder);
    assert_true(text_format(env.dir, sizeof(env.dir), "%s/me", env.folder));
    assert_true(text_format(env.key, sizeof(env.key), "%s/key.pem", env.dir));
    test_certificates_write(env.dir, env.ca, env.ca, "hv-01", TEST_VALID);
    ASSERT_OK(fs_posix_new(env.dir, &env.fs, &err), &err);
    *state = &env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    fs_free(env->fs);
    temp_folder_remove(env->folder);
    test_certificates_ca_free(env->ca);
    test_certificates_ca_free(env->other);
    return 0;
}

/* Loading fails with STATUS, and the sentence contains each of the words. */
static void assert_refused(struct env *env, enum status status, const char *word, const char *more)
{
    struct credentials credentials = {0};
    struct error err = {0};

    ASSERT_STATUS(status, credentials_load(env->dir, &credentials, &err), &err);
    if (strstr(err.text, word) == NULL || strstr(err.text, more) == NULL)
        fail_msg("\"%s\" and \"%s\" are not both in: %s", word, more, err.text);
    assert_non_null(strstr(err.text, env->dir));
    assert_null(credentials.key_pem);
}

static void replace(struct env *env, const char *name, const char *content)
{
    struct error err = {0};

    ASSERT_OK(fs_replace(env->fs, name, slice_of_text(content), &err), &err);
}

static void good_credentials_are_loaded_with_the_name_in_the_certificate(void **state)
{
    struct env *env = *state;
    struct credentials credentials = {0};
    struct error err = {0};

    ASSERT_OK(credentials_load(env->dir, &credentials, &err), &err);
    assert_string_equal(credentials.name, "hv-01");
    assert_non_null(strstr(credentials.ca_pem, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(credentials.certificate_pem, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(credentials.key_pem, "PRIVATE KEY"));
    credentials_deinit(&credentials);
    assert_null(credentials.key_pem);
    credentials_deinit(&credentials);
}

static void each_file_must_be_there(void **state)
{
    static const char *const names[] = {"ca.pem", "cert.pem", "key.pem"};
    struct env *env = *state;
    struct error err = {0};

    for (size_t i = 0; i < 3; i++) {
        test_certificates_write(env->dir, env->ca, env->ca, "hv-01", TEST_VALID);
        ASSERT_OK(fs_remove(env->fs, names[i], &err), &err);
        assert_refused(env, STATUS_NOT_FOUND, names[i], "");
    }
}

static void a_missing_folder_is_not_found(void **state)
{
    struct env *env = *state;

    assert_true(text_format(env->dir, sizeof(env->dir), "%s/none", env->folder));
    assert_refused(env, STATUS_NOT_FOUND, "none", "");
    assert_true(text_format(env->dir, sizeof(env->dir), "%s/me", env->folder));
}

static void a_key_that_others_can_use_is_refused(void **state)
{
    static const mode_t modes[] = {0640, 0620, 0610, 0604, 0602, 0601};
    struct env *env = *state;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(env->key, modes[i]), 0);
        assert_refused(env, STATUS_PRECONDITION, "key.pem", "chmod 600");
    }
}

static void each_file_must_be_pem_of_its_kind(void **state)
{
    static const char *const names[] = {"ca.pem", "cert.pem", "key.pem"};
    static const char *const contents[] = {
        "nonsense\n", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
    struct env *env = *state;

    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < sizeof(contents) / sizeof(contents[0]); k++) {
            test_certificates_write(env->dir, env->ca, env->ca, "hv-01", TEST_VALID);
            replace(env, names[i], contents[k]);
            assert_refused(env, STATUS_INVALID, names[i], "");
        }
    }
}

static void a_file_with_a_zero_byte_or_of_many_bytes_is_refused(void **state)
{
    static const uint8_t zeros[64 * 1024 + 1];
    struct env *env = *state;
    struct error err = {0};

    ASSERT_OK(fs_replace(env->fs, "ca.pem", slice_of(zeros, 100), &err), &err);
    assert_refused(env, STATUS_INVALID, "ca.pem", "zero byte");
    ASSERT_OK(fs_replace(env->fs, "ca.pem", slice_of(zeros, sizeof(zeros)), &err), &err);
    assert_refused(env, STATUS_INVALID, "ca.pem", "too large");
}

/* What a second call for certificates would find behind a first good one. */
static void a_good_certificate_does_not_hide_a_bad_one_behind_it(void **state)
{
    struct env *env = *state;
    struct credentials credentials = {0};
    struct error err = {0};
    char both[16 * 1024];

    ASSERT_OK(credentials_load(env->dir, &credentials, &err), &err);
    assert_true(text_format(both, sizeof(both),
                            "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                            credentials.ca_pem));
    credentials_deinit(&credentials);
    replace(env, "ca.pem", both);
    assert_refused(env, STATUS_INVALID, "ca.pem", "");
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct env *env = *state;
    struct credentials first = {0};
    struct error err = {0};

    ASSERT_OK(credentials_load(env->dir, &first, &err), &err);
    test_certificates_write(env->dir, env->ca, env->ca, "hv-01", TEST_VALID);
    replace(env, "key.pem", first.key_pem);
    assert_refused(env, STATUS_INVALID, "key.pem", "cert.pem");
    credentials_deinit(&first);
}

/* Made by: openssl genpkey -algorithm X25519; for tests only. */
static void a_key_that_is_not_on_p256_is_refused(void **state)
{
    struct env *env = *state;

    replace(env, "key.pem",
            "-----BEGIN PRIVATE KEY-----\n"
            "MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR5f\n"
            "-----END PRIVATE KEY-----\n");
    assert_refused(env, STATUS_INVALID, "key.pem", "P-256");
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    struct env *env = *state;

    test_certificates_write(env->dir, env->ca, env->other, "hv-01", TEST_VALID);
    assert_refused(env, STATUS_INVALID, "cert.pem", "not signed by the CA in ca.pem");
}

static void a_certificate_counts_only_in_its_time(void **state)
{
    struct env *env = *state;

    test_certificates_write(env->dir, env->ca, env->ca, "hv-01", TEST_EXPIRED);
    assert_refused(env, STATUS_INVALID, "cert.pem", "expired");
    test_certificates_write(env->dir, env->ca, env->ca, "hv-01", TEST_NOT_YET);
    assert_refused(env, STATUS_INVALID, "cert.pem", "not valid yet");
}

static void a_name_is_printable_ascii(void **state)
{
    struct env *env = *state;

    test_certificates_write(env->dir, env->ca, env->ca, "hv\n01", TEST_VALID);
    assert_refused(env, STATUS_INVALID, "cert.pem", "common name");
    test_certificates_write(env->dir, env->ca, env->ca, "hv-\xc3\xa4", TEST_VALID);
    assert_refused(env, STATUS_INVALID, "cert.pem", "common name");
}

static void a_name_of_64_characters_is_whole(void **state)
{
    const char *name = "0123456789012345678901234567890123456789012345678901234567890123";
    struct env *env = *state;
    struct credentials credentials = {0};
    struct error err = {0};

    test_certificates_write(env->dir, env->ca, env->ca, name, TEST_VALID);
    ASSERT_OK(credentials_load(env->dir, &credentials, &err), &err);
    assert_string_equal(credentials.name, name);
    credentials_deinit(&credentials);
}

static void load_with_a_fault(void *arg, uint64_t n)
{
    struct env *env = arg;
    struct credentials credentials = {0};
    struct error err = {0};

    (void)n; /* what fails is all the same */
    if (credentials_load(env->dir, &credentials, &err) != STATUS_OK)
        assert_null(credentials.key_pem);
    credentials_deinit(&credentials);
}

static void every_failure_leaves_nothing_behind(void **state)
{
    struct faults *faults = faults_new();

    assert_non_null(faults);
    faults_install(faults);
    assert_true(fail_each(faults, FAULT_ALLOC | FAULT_IO, load_with_a_fault, *state) > 6);
    faults_install(NULL);
    faults_free(faults);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_credentials_are_loaded_with_the_name_in_the_certificate),
        TEST(each_file_must_be_there),
        TEST(a_missing_folder_is_not_found),
        TEST(a_key_that_others_can_use_is_refused),
        TEST(each_file_must_be_pem_of_its_kind),
        TEST(a_file_with_a_zero_byte_or_of_many_bytes_is_refused),
        TEST(a_good_certificate_does_not_hide_a_bad_one_behind_it),
        TEST(a_key_of_another_certificate_is_refused),
        TEST(a_key_that_is_not_on_p256_is_refused),
        TEST(a_certificate_of_another_ca_is_refused),
        TEST(a_certificate_counts_only_in_its_time),
        TEST(a_name_is_printable_ascii),
        TEST(a_name_of_64_characters_is_whole),
        TEST(every_failure_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
