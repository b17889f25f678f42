/* tests/agent_parent_test.c: a parent is made right, then one thing about it is made wrong. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/credentials.h"
#include "agent/parent.h"
#include "agent/point.h"
#include "format/statement.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { SIZE = 1024 * 1024 }; /* of the disk */

/* A host that signs. */
struct signer {
    struct credentials credentials;
    struct sign_key *key;
    struct buffer certificate;
};

/* What is signed, in memory that a message can point at. */
struct signed_copy {
    struct buffer body;
    uint8_t signature[SIGN_SIZE];
    Tidemark__V1__Signed message;
};

struct env {
    char folder[TEMP_FOLDER_SIZE];
    struct test_ca *ca, *other_ca;
    struct signer host, other_host, stranger;
    struct hash_key *id_key;
    struct parent_terms terms;

    /* A good parent, before it is signed. */
    struct disk_root root;
    uint8_t root_plain[DISK_ROOT_PLAIN_SIZE];
    struct disk_info info;
    struct statement_disk disk;
    struct statement statement;
    struct tracking_disk tracked;
    struct tracking tracking;
    const struct signer *statement_signer, *tracking_signer;
    const char *statement_context;

    struct signed_copy statement_copy, tracking_copy;
    struct id point;
    Tidemark__V1__Parent message;
};

static void make_signer(struct env *env, const char *folder, const struct test_ca *issuer,
                        const char *name, enum test_validity validity, struct signer *ret_signer)
{
    char dir[TEMP_FOLDER_SIZE + 32];
    struct error err = {0};

    assert_true(text_format(dir, sizeof(dir), "%s/%s", env->folder, folder));
    test_certificates_write(dir, issuer, issuer, name, validity);
    ASSERT_OK(credentials_load(dir, &ret_signer->credentials, &err), &err);
    ASSERT_OK(sign_key_from_pem(ret_signer->credentials.key_pem, &ret_signer->key, &err), &err);
    buffer_init(&ret_signer->certificate, SIGN_CERTIFICATE_MAX);
    ASSERT_OK(sign_certificate_der(ret_signer->credentials.certificate_pem,
                                   &ret_signer->certificate, &err),
              &err);
}

static void free_signer(struct signer *signer)
{
    sign_key_free(signer->key);
    credentials_deinit(&signer->credentials);
    buffer_deinit(&signer->certificate);
}

static void make_good(struct env *env)
{
    struct error err = {0};

    env->root = (struct disk_root){.size = SIZE,
                                   .block_size = 65536,
                                   .logical_sector = 512,
                                   .physical_sector = 4096,
                                   .height = disk_root_height(SIZE, 65536)};
    memset(env->root.top.id.bytes, 0x77, ID_SIZE);
    disk_root_encode_plain(&env->root, env->root_plain);
    env->info = (struct disk_info){.size = env->root.size,
                                   .logical_sector = env->root.logical_sector,
                                   .physical_sector = env->root.physical_sector};
    memset(env->info.identity, 0x1d, sizeof(env->info.identity));
    env->disk = (struct statement_disk){.name = "data", .size = env->root.size};
    memcpy(env->disk.identity, env->info.identity, sizeof(env->disk.identity));
    ASSERT_OK(disk_root_id(env->id_key, &env->root, &env->disk.root, &err), &err);
    env->statement = (struct statement){.repository = env->terms.repository,
                                        .vm = env->terms.vm,
                                        .time_us = clock_wall_us(clock_system()),
                                        .host = "hv-01",
                                        .vm_name = "data",
                                        .consistency = CONSISTENCY_CRASH,
                                        .disks = &env->disk,
                                        .disk_count = 1};
    env->tracked = (struct tracking_disk){.size = env->disk.size,
                                          .root = env->disk.root,
                                          .change_id = "frozen"};
    memcpy(env->tracked.identity, env->disk.identity, sizeof(env->tracked.identity));
    env->tracking = (struct tracking){.repository = env->terms.repository,
                                      .vm = env->terms.vm,
                                      .time_us = env->statement.time_us,
                                      .disks = &env->tracked,
                                      .disk_count = 1};
    env->statement_signer = &env->host;
    env->tracking_signer = &env->other_host; /* the VM has moved since: fine */
    env->statement_context = SIGN_CONTEXT_STATEMENT;
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct error err = {0};

    assert_non_null(env);
    temp_folder_make(env->folder);
    env->ca = test_certificates_ca_new("hosts");
    env->other_ca = test_certificates_ca_new("hosts"); /* of the same name, with another key */
    make_signer(env, "host", env->ca, "hv-01", TEST_VALID, &env->host);
    make_signer(env, "other", env->ca, "hv-02", TEST_VALID, &env->other_host);
    make_signer(env, "stranger", env->other_ca, "hv-01", TEST_VALID, &env->stranger);
    ASSERT_OK(hash_key_new(slice_of_text("a key of any length"), &env->id_key, &err), &err);
    env->terms =
        (struct parent_terms){.ca_pem = env->host.credentials.ca_pem, .id_key = env->id_key};
    memset(env->terms.repository.bytes, 0x4e, RANDOM_ID_SIZE);
    memset(env->terms.vm.bytes, 0x56, RANDOM_ID_SIZE);
    buffer_init(&env->statement_copy.body, STATEMENT_SIZE_MAX);
    buffer_init(&env->tracking_copy.body, TRACKING_SIZE_MAX);
    make_good(env);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    free_signer(&env->host);
    free_signer(&env->other_host);
    free_signer(&env->stranger);
    hash_key_free(env->id_key);
    buffer_deinit(&env->statement_copy.body);
    buffer_deinit(&env->tracking_copy.body);
    test_certificates_ca_free(env->ca);
    test_certificates_ca_free(env->other_ca);
    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static void sign_copy(const struct signer *signer, const char *context, struct signed_copy *copy)
{
    struct error err = {0};

    ASSERT_OK(buffer_check(&copy->body, "a body", &err), &err);
    ASSERT_OK(sign_message(signer->key, context, buffer_slice(&copy->body), copy->signature, &err),
              &err);
    copy->message = (Tidemark__V1__Signed)TIDEMARK__V1__SIGNED__INIT;
    copy->message.body = (ProtobufCBinaryData){copy->body.size, copy->body.data};
    copy->message.signature = (ProtobufCBinaryData){SIGN_SIZE, copy->signature};
    copy->message.certificate =
        (ProtobufCBinaryData){signer->certificate.size, signer->certificate.data};
}

/* Signs both as they are now. */
static void seal_statement(struct env *env)
{
    struct signed_slice signed_statement = {0};
    struct error err = {0};

    buffer_clear(&env->statement_copy.body);
    statement_encode(&env->statement, &env->statement_copy.body);
    sign_copy(env->statement_signer, env->statement_context, &env->statement_copy);
    signed_statement =
        (struct signed_slice){.body = buffer_slice(&env->statement_copy.body),
                              .signature = slice_of(env->statement_copy.signature, SIGN_SIZE),
                              .certificate = buffer_slice(&env->statement_signer->certificate)};
    if (env->statement.disk_count == 1)
        ASSERT_OK(point_id(env->id_key, &env->statement, &signed_statement, &env->point, &err),
                  &err);
    env->message = (Tidemark__V1__Parent)TIDEMARK__V1__PARENT__INIT;
    env->message.point = (ProtobufCBinaryData){ID_SIZE, env->point.bytes};
    env->message.statement = &env->statement_copy.message;
    env->message.tracking = &env->tracking_copy.message;
}

static void seal_tracking(struct env *env)
{
    buffer_clear(&env->tracking_copy.body);
    tracking_encode(&env->tracking, &env->tracking_copy.body);
    sign_copy(env->tracking_signer, SIGN_CONTEXT_TRACKING, &env->tracking_copy);
}

/* Both, and the tracking record names the statement's point. */
static void seal(struct env *env)
{
    seal_statement(env);
    env->tracking.point = env->point;
    seal_tracking(env);
}

static enum status check(struct env *env, struct parent *ret_parent, struct error *err)
{
    return parent_check(&env->terms, &env->message, ret_parent, err);
}

/* Refused with EXPECTED, and a sentence with WORDS in it; the good one is then good again. */
static void assert_refused(struct env *env, enum status expected, const char *words)
{
    struct parent parent = {0};
    struct error err = {0};

    ASSERT_STATUS(expected, check(env, &parent, &err), &err);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, err.text);
    assert_int_equal(parent.size, 0); /* untouched */
    make_good(env);
    seal(env);
    err = (struct error){0};
    ASSERT_OK(check(env, &parent, &err), &err);
}

static void good_parent_is_trusted(void **state)
{
    struct env *env = *state;
    struct parent parent = {0};
    struct disk_root root = {0};
    struct error err = {0};

    seal(env);
    ASSERT_OK(check(env, &parent, &err), &err);
    assert_true(id_equal(&parent.point, &env->point));
    assert_true(id_equal(&parent.root, &env->disk.root));
    assert_string_equal(parent.change_id, "frozen");
    ASSERT_OK(parent_check_disk(&parent, &env->info, &err), &err);
    ASSERT_OK(parent_check_root(&parent, &env->info, env->id_key,
                                slice_of(env->root_plain, sizeof(env->root_plain)), &root, &err),
              &err);
    assert_int_equal(root.block_size, 65536);
}

static void wrong_signatures_are_refused(void **state)
{
    struct env *env = *state;

    seal(env);
    env->statement_copy.signature[5] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "statement");
    env->tracking_copy.signature[5] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "tracking");
    env->tracking_copy.body.data[env->tracking_copy.body.size - 1] ^= 1;
    assert_refused(env, STATUS_CORRUPT, "tracking");
    env->statement_copy.message.signature.len--;
    assert_refused(env, STATUS_CORRUPT, "statement");
}

static void signature_of_another_use_is_refused(void **state)
{
    struct env *env = *state;

    env->statement_context = SIGN_CONTEXT_TRACKING;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "statement");
}

static void signers_of_another_ca_are_refused(void **state)
{
    struct env *env = *state;

    env->statement_signer = &env->stranger;
    seal(env);
    assert_refused(env, STATUS_DENIED, "statement");
    env->tracking_signer = &env->stranger;
    seal(env);
    assert_refused(env, STATUS_DENIED, "tracking");
}

static void certificates_that_were_not_valid_then_are_refused(void **state)
{
    struct env *env = *state;

    env->statement.time_us = 0; /* 1970 */
    seal(env);
    assert_refused(env, STATUS_DENIED, "statement");
    env->tracking.time_us = 0;
    seal(env);
    assert_refused(env, STATUS_DENIED, "tracking");
}

static void host_that_signs_for_another_is_refused(void **state)
{
    struct env *env = *state;

    env->statement_signer = &env->other_host;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "hv-02 has signed for host hv-01");
}

static void others_things_are_refused(void **state)
{
    struct env *env = *state;

    env->statement.repository.bytes[0] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "statement: it is of another repository");
    env->tracking.repository.bytes[0] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "tracking record: it is of another repository");
    env->statement.vm.bytes[0] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "statement: it is of another VM");
    env->tracking.vm.bytes[0] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "tracking record: it is of another VM");
}

static void swapped_tracking_record_is_refused(void **state)
{
    struct env *env = *state;

    seal_statement(env);
    env->tracking.point = env->point;
    env->tracking.point.bytes[0] ^= 1; /* of another point of this VM */
    seal_tracking(env);
    assert_refused(env, STATUS_CORRUPT, "tracking record: it is of another restore point");
}

static void statement_of_another_point_is_refused(void **state)
{
    struct env *env = *state;

    seal(env);
    env->statement.time_us++;
    seal_statement(env);
    env->point = env->tracking.point;
    assert_refused(env, STATUS_CORRUPT, "it is the statement of another restore point");
}

static void tracking_record_of_another_disk_is_refused(void **state)
{
    struct env *env = *state;

    env->tracked.root.bytes[0] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "another disk than the statement");
    env->tracked.size += 512;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "another disk than the statement");
    env->tracked.identity[3] ^= 1;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "another disk than the statement");
}

static void parents_with_parts_missing_are_refused(void **state)
{
    struct env *env = *state;

    seal(env);
    env->message.statement = NULL;
    assert_refused(env, STATUS_INVALID, "without its statement");
    env->message.tracking = NULL;
    assert_refused(env, STATUS_INVALID, "without its tracking");
    env->message.point.len = 31;
    assert_refused(env, STATUS_INVALID, "31 bytes");
    env->statement_copy.message.body.len--;
    assert_refused(env, STATUS_CORRUPT, "statement");
    env->statement_copy.message.certificate.len = 0;
    assert_refused(env, STATUS_INVALID, "statement");
}

static void parents_of_several_disks_are_refused(void **state)
{
    struct env *env = *state;
    struct statement_disk disks[2] = {env->disk, env->disk};
    struct tracking_disk tracked[2] = {env->tracked, env->tracked};

    seal(env);
    memset(disks[1].identity, 0x2e, sizeof(disks[1].identity));
    env->statement.disks = disks;
    env->statement.disk_count = 2;
    seal_statement(env);
    assert_refused(env, STATUS_CORRUPT, "of 2 disks");
    memset(tracked[1].identity, 0x2e, sizeof(tracked[1].identity));
    env->tracking.disks = tracked;
    env->tracking.disk_count = 2;
    seal(env);
    assert_refused(env, STATUS_CORRUPT, "of 2 disks");
}

static void other_disks_do_not_fit(void **state)
{
    struct env *env = *state;
    struct parent parent = {0};
    struct disk_info info = env->info;
    struct error err = {0};

    seal(env);
    ASSERT_OK(check(env, &parent, &err), &err);
    info.identity[0] ^= 1;
    ASSERT_STATUS(STATUS_PRECONDITION, parent_check_disk(&parent, &info, &err), &err);
    info = env->info;
    info.size += 512;
    ASSERT_STATUS(STATUS_PRECONDITION, parent_check_disk(&parent, &info, &err), &err);
}

static void root_that_is_not_the_parents_is_refused(void **state)
{
    struct env *env = *state;
    struct parent parent = {0};
    struct disk_root root = {0};
    struct disk_info info = env->info;
    struct slice plain = slice_of(env->root_plain, sizeof(env->root_plain));
    struct error err = {0};

    seal(env);
    ASSERT_OK(check(env, &parent, &err), &err);
    env->root_plain[DISK_ROOT_PLAIN_SIZE - 1] ^= 1; /* another top */
    ASSERT_STATUS(STATUS_CORRUPT,
                  parent_check_root(&parent, &info, env->id_key, plain, &root, &err), &err);
    env->root_plain[DISK_ROOT_PLAIN_SIZE - 1] ^= 1;
    plain.size--;
    ASSERT_STATUS(STATUS_CORRUPT,
                  parent_check_root(&parent, &info, env->id_key, plain, &root, &err), &err);
    plain.size++;
    info.physical_sector = 512;
    ASSERT_STATUS(STATUS_PRECONDITION,
                  parent_check_root(&parent, &info, env->id_key, plain, &root, &err), &err);
    info = env->info;
    info.logical_sector = 4096;
    ASSERT_STATUS(STATUS_PRECONDITION,
                  parent_check_root(&parent, &info, env->id_key, plain, &root, &err), &err);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_parent_is_trusted),
        TEST(wrong_signatures_are_refused),
        TEST(signature_of_another_use_is_refused),
        TEST(signers_of_another_ca_are_refused),
        TEST(certificates_that_were_not_valid_then_are_refused),
        TEST(host_that_signs_for_another_is_refused),
        TEST(others_things_are_refused),
        TEST(swapped_tracking_record_is_refused),
        TEST(statement_of_another_point_is_refused),
        TEST(tracking_record_of_another_disk_is_refused),
        TEST(parents_with_parts_missing_are_refused),
        TEST(parents_of_several_disks_are_refused),
        TEST(other_disks_do_not_fit),
        TEST(root_that_is_not_the_parents_is_refused),
    };

    return cmocka_run_group_tests_name("agent_parent", tests, NULL, NULL);
}
