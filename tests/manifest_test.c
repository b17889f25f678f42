#include "format/manifest.h"

#include <string.h>

#include "base/memory.h"
#include "format/disk_root.h"
#include "tests/support/fail_each.h"
#include "tests/support/test.h"

enum { BYTES_MAX = 64 * 1024, DISK_STORED_SIZE = 48 };

static struct envelope_disk disks[2];
static struct envelope_disk files[2];

static struct envelope some_envelope(void)
{
    struct envelope envelope = {.time_us = -1,
                                .disks = disks,
                                .disk_count = 2,
                                .files = files,
                                .file_count = 2,
                                .body = {.number = 0x77}};

    memset(&envelope.vm, 1, sizeof(envelope.vm));
    memset(&envelope.body.id, 2, sizeof(envelope.body.id));
    for (uint8_t i = 0; i < 2; i++) {
        disks[i] = (struct envelope_disk){.size = 512U + i, .root = {.number = 0x55U + i}};
        memset(&disks[i].root.id, 3 + i, sizeof(disks[i].root.id));
        files[i] = (struct envelope_disk){.size = UINT64_C(9) * i, .root = {.number = 0x57U + i}};
        memset(&files[i].root.id, 5 + i, sizeof(files[i].root.id));
    }
    return envelope;
}

static void put_body(struct buffer *target)
{
    static const uint8_t signature[SIGN_SIZE] = {1, 2, 3};
    const struct signed_slice statement = {.body = slice_of_text("statement"),
                                           .signature = slice_of(signature, sizeof(signature)),
                                           .certificate = slice_of_text("certificate")};

    body_encode(&statement, target);
}

/* Decodes, and encodes again what came out. */
static enum status envelope_again(struct slice bytes, struct buffer *target, struct error *err)
{
    struct envelope envelope = {.disk_count = 0};
    enum status st = envelope_decode_stored(bytes, &envelope, err);

    if (st == STATUS_OK)
        envelope_encode_stored(&envelope, target);
    else
        assert_true(envelope.disks == NULL && envelope.disk_count == 0 && envelope.files == NULL);
    envelope_deinit(&envelope);
    return st;
}

static enum status body_again(struct slice bytes, struct buffer *target, struct error *err)
{
    struct signed_slice statement = {.body = {0}};
    enum status st = body_decode(bytes, &statement, err);

    if (st == STATUS_OK)
        body_encode(&statement, target);
    else
        assert_null(statement.body.data);
    return st;
}

typedef enum status again_function(struct slice bytes, struct buffer *target, struct error *err);

/* BYTES come back as they are; no part of them does, nor with a byte more; a changed bit is refused or comes
 * back too. */
static void assert_strict(struct buffer *bytes, again_function *again)
{
    struct buffer out;
    struct error err = {0};

    buffer_init(&out, BYTES_MAX);
    ASSERT_OK(again(buffer_slice(bytes), &out, &err), &err);
    assert_true(slice_equal(buffer_slice(bytes), buffer_slice(&out)));
    for (size_t size = 0; size < bytes->size; size++) {
        uint8_t *cut = memory_resize(NULL, size, 1); /* so that a read behind it shows */

        assert_non_null(cut);
        memcpy(cut, bytes->data, size);
        ASSERT_STATUS(STATUS_CORRUPT, again(slice_of(cut, size), &out, &err), &err);
        memory_free(cut);
    }
    for (size_t bit = 0; bit < 8 * bytes->size; bit++) {
        bytes->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        buffer_clear(&out);
        if (again(buffer_slice(bytes), &out, &err) == STATUS_OK)
            assert_true(slice_equal(buffer_slice(bytes), buffer_slice(&out)));
        else
            assert_int_equal(err.status, STATUS_CORRUPT);
        bytes->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buffer_put_u8(bytes, 0);
    ASSERT_STATUS(STATUS_CORRUPT, again(buffer_slice(bytes), &out, &err), &err);
    buffer_deinit(&out);
}

static void an_envelope_is_exactly_its_layout(void **state)
{
    struct envelope envelope = some_envelope();
    struct buffer bytes;

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    envelope_encode_stored(&envelope, &bytes);
    assert_int_equal(bytes.size, 30 + 4 * DISK_STORED_SIZE + 40);
    assert_strict(&bytes, envelope_again);
    buffer_deinit(&bytes);
}

static void a_body_is_exactly_its_layout(void **state)
{
    struct buffer bytes;

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    put_body(&bytes);
    assert_strict(&bytes, body_again);
    buffer_deinit(&bytes);
}

static void all_values_come_back(void **state)
{
    struct envelope envelope = some_envelope();
    struct envelope back = {.disk_count = 0};
    struct buffer bytes;
    struct error err = {0};

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    envelope_encode_stored(&envelope, &bytes);
    ASSERT_OK(envelope_decode_stored(buffer_slice(&bytes), &back, &err), &err);
    assert_true(random_id_equal(&back.vm, &envelope.vm));
    assert_true(back.time_us == -1);
    assert_int_equal(back.disk_count, 2);
    assert_memory_equal(back.disks, disks, sizeof(disks));
    assert_int_equal(back.file_count, 2);
    assert_memory_equal(back.files, files, sizeof(files));
    assert_memory_equal(&back.body, &envelope.body, sizeof(back.body));
    envelope_deinit(&back);
    buffer_deinit(&bytes);
}

static void assert_refused(const struct envelope *envelope)
{
    struct buffer bytes;
    struct buffer out;
    struct error err = {0};

    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    envelope_encode_stored(envelope, &bytes);
    ASSERT_STATUS(STATUS_CORRUPT, envelope_again(buffer_slice(&bytes), &out, &err), &err);
    buffer_deinit(&bytes);
    buffer_deinit(&out);
}

static void values_that_cannot_be_are_refused(void **state)
{
    struct envelope envelope = some_envelope();

    (void)state;
    disks[1].size = 0;
    assert_refused(&envelope);
    disks[1].size = DISK_SIZE_MAX + 1;
    assert_refused(&envelope);
    envelope = some_envelope();
    disks[0].root.number = 0;
    assert_refused(&envelope);
    envelope = some_envelope();
    memset(&disks[1].root.id, 0, ID_SIZE);
    assert_refused(&envelope);
    envelope = some_envelope();
    envelope.body.number = 0;
    assert_refused(&envelope);
    envelope = some_envelope();
    memset(&envelope.body.id, 0, ID_SIZE);
    assert_refused(&envelope);
    envelope = some_envelope();
    files[1].size = (uint64_t)FILE_SIZE_MAX + 1;
    assert_refused(&envelope);
    envelope = some_envelope();
    files[0].root.number = 0; /* of no bytes, but it has a root */
    assert_refused(&envelope);
    envelope = some_envelope();
    envelope.disk_count = 0;
    envelope.file_count = 0;
    assert_refused(&envelope);
}

static void assert_taken(const struct envelope *envelope)
{
    struct buffer bytes;
    struct buffer out;
    struct error err = {0};

    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    envelope_encode_stored(envelope, &bytes);
    ASSERT_OK(envelope_again(buffer_slice(&bytes), &out, &err), &err);
    assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&out)));
    buffer_deinit(&bytes);
    buffer_deinit(&out);
}

static void disks_alone_and_files_alone_are_fine(void **state)
{
    struct envelope envelope = some_envelope();

    (void)state;
    files[1].size = FILE_SIZE_MAX;
    envelope.disk_count = 0;
    assert_taken(&envelope);
    envelope = some_envelope();
    envelope.file_count = 0;
    assert_taken(&envelope);
}

static void a_disk_or_file_too_many_is_refused(void **state)
{
    struct envelope envelope = some_envelope();
    struct buffer bytes;
    struct buffer out;
    struct error err = {0};

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    envelope.disks = memory_new((size_t)STATEMENT_DISKS_MAX + 1, sizeof(*envelope.disks));
    assert_non_null(envelope.disks);
    for (size_t i = 0; i <= STATEMENT_DISKS_MAX; i++)
        envelope.disks[i] = disks[0];
    envelope.disk_count = STATEMENT_DISKS_MAX;
    envelope_encode_stored(&envelope, &bytes);
    ASSERT_OK(envelope_again(buffer_slice(&bytes), &out, &err), &err);
    envelope.disk_count++;
    assert_refused(&envelope);
    envelope.disk_count = 1;
    envelope.files = envelope.disks;
    envelope.file_count = STATEMENT_FILES_MAX;
    assert_taken(&envelope);
    envelope.file_count++;
    assert_refused(&envelope);
    memory_free(envelope.disks);
    buffer_deinit(&bytes);
    buffer_deinit(&out);
}

static void the_id_covers_all_but_the_numbers(void **state)
{
    static const uint8_t secret[32] = {9};
    struct envelope envelope = some_envelope();
    struct hash_key *key = NULL;
    struct id id = {{0}};
    struct id other = {{0}};
    struct buffer plain;
    struct error err = {0};

    (void)state;
    buffer_init(&plain, BYTES_MAX);
    ASSERT_OK(hash_key_new(slice_of(secret, sizeof(secret)), &key, &err), &err);
    ASSERT_OK(envelope_id(key, &envelope, &id, &err), &err);
    envelope_encode_plain(&envelope, &plain);
    assert_int_equal(plain.size, 30 + 4 * 40 + 32);
    ASSERT_OK(id_of(key, KIND_ENVELOPE, buffer_slice(&plain), &other, &err), &err);
    assert_true(id_equal(&id, &other));
    disks[0].root.number++;
    envelope.body.number++;
    ASSERT_OK(envelope_id(key, &envelope, &other, &err), &err);
    assert_true(id_equal(&id, &other));
    envelope.time_us++;
    ASSERT_OK(envelope_id(key, &envelope, &other, &err), &err);
    assert_false(id_equal(&id, &other));
    hash_key_free(key);
    buffer_deinit(&plain);
}

struct attempt {
    struct faults *faults;
    struct hash_key *key;
    struct buffer bytes;
};

static void one_attempt(void *arg, uint64_t n)
{
    struct attempt *attempt = arg;
    struct envelope envelope = {.disk_count = 0};
    struct id id = {{0}};
    struct error err = {0};
    enum status st = envelope_decode_stored(buffer_slice(&attempt->bytes), &envelope, &err);

    (void)n;
    if (st == STATUS_OK)
        st = envelope_id(attempt->key, &envelope, &id, &err);
    faults_arm(attempt->faults, 0, 0);
    assert_int_equal(st, faults_fired(attempt->faults) ? STATUS_EXHAUSTED : STATUS_OK);
    envelope_deinit(&envelope);
}

static void want_of_memory_is_said(void **state)
{
    static const uint8_t secret[32] = {9};
    struct attempt attempt = {.faults = faults_new()};
    struct envelope envelope = some_envelope();
    struct error err = {0};

    (void)state;
    buffer_init(&attempt.bytes, BYTES_MAX);
    envelope_encode_stored(&envelope, &attempt.bytes);
    ASSERT_OK(hash_key_new(slice_of(secret, sizeof(secret)), &attempt.key, &err), &err);
    faults_install(attempt.faults);
    assert_true(fail_each(attempt.faults, FAULT_ALLOC, one_attempt, &attempt) >= 2);
    faults_install(NULL);
    faults_free(attempt.faults);
    hash_key_free(attempt.key);
    buffer_deinit(&attempt.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_is_exactly_its_layout),
        cmocka_unit_test(a_body_is_exactly_its_layout),
        cmocka_unit_test(all_values_come_back),
        cmocka_unit_test(values_that_cannot_be_are_refused),
        cmocka_unit_test(disks_alone_and_files_alone_are_fine),
        cmocka_unit_test(a_disk_or_file_too_many_is_refused),
        cmocka_unit_test(the_id_covers_all_but_the_numbers),
        cmocka_unit_test(want_of_memory_is_said),
    };

    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
