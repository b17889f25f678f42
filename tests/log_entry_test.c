#include "format/log_entry.h"

#include <string.h>

#include "base/cursor.h"
#include "base/memory.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

enum { BYTES_MAX = 2 * LOG_ENTRY_SIZE_MAX, HEADER_CRC_AT = 100 };

struct env {
    struct xaes_key *structure;
    struct sign_key *signer;
    struct sign_public *public;
    struct random_seeded random;
};

static struct sign_key *key_of_seed(uint8_t first)
{
    uint8_t seed[SIGN_SEED_SIZE] = {first, 1, 2, 3};
    struct sign_key *key = NULL;
    struct error err = {0};

    ASSERT_OK(sign_key_from_seed(seed, &key, &err), &err);
    return key;
}

static struct sign_public *public_of(const struct sign_key *key)
{
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct sign_public *public = NULL;
    struct error err = {0};

    sign_key_public(key, bytes);
    ASSERT_OK(sign_public_from_bytes(bytes, &public, &err), &err);
    return public;
}

static struct env env_new(void)
{
    static const uint8_t secret[XAES_KEY_SIZE] = {7};
    struct env env = {.signer = key_of_seed(1), .random = random_seeded_of(1)};
    struct error err = {0};

    env.public = public_of(env.signer);
    ASSERT_OK(xaes_key_new(secret, &env.structure, &err), &err);
    return env;
}

static void env_free(struct env *env)
{
    xaes_key_free(env->structure);
    sign_key_free(env->signer);
    sign_public_free(env->public);
}

static struct log_entry_header some_header(void)
{
    struct log_entry_header header = {.type = LOG_NUMBERS, .sequence = 9, .time_us = -3};

    memset(&header.writer, 0xd0, sizeof(header.writer));
    memset(&header.previous, 0xee, sizeof(header.previous));
    return header;
}

static struct hash_digest seal(struct env *env, const struct log_entry_header *header,
                               struct slice body, struct buffer *target)
{
    struct hash_digest hash = {{0}};
    struct error err = {0};

    ASSERT_OK(log_entry_seal(env->structure, env->signer, &env->random.source, header, body, target,
                             &hash, &err),
              &err);
    return hash;
}

static enum status open_entry(const struct env *env, const struct sign_public *signer,
                              struct slice entry, struct error *err)
{
    struct log_entry_header header = {.sequence = 77};
    struct hash_digest hash = {{77}};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    buffer_put_u8(&body, 1);

    enum status st = log_entry_open(env->structure, signer, entry, &header, &body, &hash, err);

    if (st != STATUS_OK) {
        assert_true(header.sequence == 77 && hash.bytes[0] == 77);
        assert_int_equal(body.size, 0);
    }
    buffer_deinit(&body);
    return st;
}

static void put_crc(uint8_t *bytes, size_t size)
{
    uint32_t crc = hash_crc32c(0, slice_of(bytes, size));

    for (size_t i = 0; i < 4; i++)
        bytes[size + i] = (uint8_t)(crc >> (8 * i) & 0xff);
}

/* Both sums of ENTRY as they ought to be over what it has now. */
static void mend_crcs(struct buffer *entry)
{
    put_crc(entry->data, HEADER_CRC_AT);
    put_crc(entry->data, entry->size - 4);
}

static void what_is_sealed_is_opened(void **state)
{
    static const uint8_t zeros[5000] = {0};
    static const size_t sizes[] = {0, 1, 16, sizeof(zeros)};
    struct env env = env_new();
    struct log_entry_header expected = some_header();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct log_entry_header header = {0};
        struct hash_digest hash = {{0}};
        struct hash_digest again = {{0}};
        struct buffer entry;
        struct buffer body;
        size_t size = 0;
        struct error err = {0};

        buffer_init(&entry, BYTES_MAX);
        buffer_init(&body, sizes[i]); /* not a byte more is needed */
        hash = seal(&env, &expected, slice_of(zeros, sizes[i]), &entry);
        ASSERT_OK(log_entry_decode_header(buffer_slice(&entry), &header, &size, &err), &err);
        assert_int_equal(size, entry.size);
        memset(&header, 0, sizeof(header));
        ASSERT_OK(log_entry_open(env.structure, env.public, buffer_slice(&entry), &header, &body,
                                 &again, &err),
                  &err);
        assert_true(slice_equal(buffer_slice(&body), slice_of(zeros, sizes[i])));
        assert_memory_equal(&hash, &again, sizeof(hash));
        ASSERT_OK(hash_sha256(buffer_slice(&entry), &again, &err), &err);
        assert_memory_equal(&hash, &again, sizeof(hash));
        assert_int_equal(header.type, expected.type);
        assert_true(header.sequence == expected.sequence && header.time_us == expected.time_us);
        assert_true(random_id_equal(&header.writer, &expected.writer));
        assert_memory_equal(&header.previous, &expected.previous, sizeof(header.previous));
        assert_int_equal(header.body_length, sizes[i]);
        buffer_deinit(&entry);
        buffer_deinit(&body);
    }
    env_free(&env);
}

static void an_entry_is_appended_behind_what_is_there(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct log_entry_header back = {0};
    struct buffer file;
    size_t size = 0;
    struct error err = {0};

    (void)state;
    buffer_init(&file, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("first"), &file);

    size_t first = file.size;

    header.sequence++;
    (void)seal(&env, &header, slice_of_text("second one"), &file);
    ASSERT_OK(log_entry_decode_header(buffer_slice(&file), &back, &size, &err), &err);
    assert_int_equal(size, first);
    ASSERT_OK(open_entry(&env, env.public, slice_of(file.data, first), &err), &err);
    ASSERT_OK(open_entry(&env, env.public, slice_of(file.data + first, file.size - first), &err),
              &err);
    ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, env.public, buffer_slice(&file), &err), &err);
    buffer_deinit(&file);
    env_free(&env);
}

static void every_changed_bit_is_found_without_the_signer(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct buffer entry;

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    for (size_t bit = 0; bit < 8 * entry.size; bit++) {
        struct error err = {0};

        entry.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, NULL, buffer_slice(&entry), &err), &err);
        ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, env.public, buffer_slice(&entry), &err),
                      &err);
        entry.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buffer_deinit(&entry);
    env_free(&env);
}

/* Whoever changes an entry can make its sums right, and not its signature; and where that is not looked at,
 * not its seal (of which the signature is no part). */
static void every_changed_bit_under_right_sums_is_found(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct buffer entry;
    size_t signature_at = 0;

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    signature_at = entry.size - 4 - SIGN_SIZE;
    for (size_t bit = 0; bit < 8 * (entry.size - 4); bit++) {
        struct error err = {0};

        entry.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        mend_crcs(&entry);

        enum status st = open_entry(&env, env.public, buffer_slice(&entry), &err);
        bool is_crc = bit / 8 >= HEADER_CRC_AT && bit / 8 < LOG_ENTRY_HEADER_SIZE;

        if (is_crc) /* was mended */
            assert_int_equal(st, STATUS_OK);
        else if (bit / 8 == 4)
            assert_int_equal(st, STATUS_UNSUPPORTED);
        else
            assert_int_equal(st, STATUS_CORRUPT);
        st = open_entry(&env, NULL, buffer_slice(&entry), &err);
        assert_true((st == STATUS_OK) == (is_crc || bit / 8 >= signature_at));
        entry.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        mend_crcs(&entry);
    }
    buffer_deinit(&entry);
    env_free(&env);
}

static void every_cut_and_every_byte_too_many_is_refused(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct buffer entry;
    struct error err = {0};

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    for (size_t size = 0; size < entry.size; size++) {
        uint8_t *cut = memory_resize(NULL, size, 1); /* so that a read behind it shows */

        assert_non_null(cut);
        memcpy(cut, entry.data, size);
        ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, env.public, slice_of(cut, size), &err),
                      &err);
        memory_free(cut);
    }
    buffer_put_u8(&entry, 0);
    ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, env.public, buffer_slice(&entry), &err), &err);
    buffer_deinit(&entry);
    env_free(&env);
}

static void another_writer_and_another_repository_are_refused(void **state)
{
    static const uint8_t other_secret[XAES_KEY_SIZE] = {8};
    struct env env = env_new();
    struct env other = env;
    struct sign_key *other_signer = key_of_seed(2);
    struct log_entry_header header = some_header();
    struct buffer entry;
    struct error err = {0};

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    other.public = public_of(other_signer);
    ASSERT_STATUS(STATUS_CORRUPT, open_entry(&env, other.public, buffer_slice(&entry), &err), &err);
    ASSERT_OK(open_entry(&env, NULL, buffer_slice(&entry), &err), &err);
    ASSERT_OK(xaes_key_new(other_secret, &other.structure, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, open_entry(&other, env.public, buffer_slice(&entry), &err), &err);
    xaes_key_free(other.structure);
    sign_public_free(other.public);
    sign_key_free(other_signer);
    buffer_deinit(&entry);
    env_free(&env);
}

static void an_unknown_type_is_read_and_a_later_version_is_not(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct log_entry_header back = {0};
    struct buffer entry;
    size_t size = 0;
    struct error err = {0};

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    header.type = 200;
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    ASSERT_OK(log_entry_decode_header(buffer_slice(&entry), &back, &size, &err), &err);
    assert_int_equal(back.type, 200);
    entry.data[4] = 1;
    mend_crcs(&entry);
    ASSERT_STATUS(STATUS_UNSUPPORTED,
                  log_entry_decode_header(buffer_slice(&entry), &back, &size, &err), &err);
    buffer_deinit(&entry);
    env_free(&env);
}

static void values_that_cannot_be_are_refused_on_both_sides(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct hash_digest hash = {{0}};
    struct buffer entry;
    size_t size = 0;
    struct error err = {0};

    (void)state;
    buffer_init(&entry, BYTES_MAX);
    header.sequence = 0;
    ASSERT_STATUS(STATUS_INVALID,
                  log_entry_seal(env.structure, env.signer, &env.random.source, &header,
                                 slice_of(NULL, 0), &entry, &hash, &err),
                  &err);
    header.sequence = 1; /* the first has none before it */
    ASSERT_STATUS(STATUS_INVALID,
                  log_entry_seal(env.structure, env.signer, &env.random.source, &header,
                                 slice_of(NULL, 0), &entry, &hash, &err),
                  &err);
    assert_int_equal(entry.size, 0);
    header = some_header();
    (void)seal(&env, &header, slice_of_text("body"), &entry);
    entry.data[72 + 2] = 0xff; /* the body's length */
    put_crc(entry.data, HEADER_CRC_AT);
    ASSERT_STATUS(STATUS_CORRUPT,
                  log_entry_decode_header(buffer_slice(&entry), &header, &size, &err), &err);
    entry.data[72 + 2] = 0;
    entry.data[24] = 0; /* the sequence */
    put_crc(entry.data, HEADER_CRC_AT);
    ASSERT_STATUS(STATUS_CORRUPT,
                  log_entry_decode_header(buffer_slice(&entry), &header, &size, &err), &err);
    entry.data[24] = 1;
    put_crc(entry.data, HEADER_CRC_AT);
    ASSERT_STATUS(STATUS_CORRUPT,
                  log_entry_decode_header(buffer_slice(&entry), &header, &size, &err), &err);
    buffer_deinit(&entry);
    env_free(&env);
}

static void the_largest_body_fits_and_one_byte_more_does_not(void **state)
{
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct hash_digest hash = {{0}};
    uint8_t *body = memory_new((size_t)LOG_ENTRY_BODY_MAX + 1, 1);
    struct buffer entry;
    struct error err = {0};

    (void)state;
    assert_non_null(body);
    buffer_init(&entry, BYTES_MAX);
    (void)seal(&env, &header, slice_of(body, LOG_ENTRY_BODY_MAX), &entry);
    assert_int_equal(entry.size, LOG_ENTRY_SIZE_MAX);
    ASSERT_OK(open_entry(&env, env.public, buffer_slice(&entry), &err), &err);
    ASSERT_STATUS(STATUS_INVALID,
                  log_entry_seal(env.structure, env.signer, &env.random.source, &header,
                                 slice_of(body, LOG_ENTRY_BODY_MAX + 1), &entry, &hash, &err),
                  &err);
    assert_int_equal(entry.size, LOG_ENTRY_SIZE_MAX);
    memory_free(body);
    buffer_deinit(&entry);
    env_free(&env);
}

static enum status no_random(struct random_source *source, void *bytes, size_t size,
                             struct error *err)
{
    (void)source;
    (void)bytes;
    return error_set(err, STATUS_INTERNAL, "no %zu random bytes, on purpose", size);
}

static void a_seal_that_fails_leaves_what_was_there(void **state)
{
    struct random_source none = {.fill = no_random};
    struct env env = env_new();
    struct log_entry_header header = some_header();
    struct hash_digest hash = {{0}};
    struct buffer file;
    struct buffer small;
    struct error err = {0};

    (void)state;
    buffer_init(&file, BYTES_MAX);
    (void)seal(&env, &header, slice_of_text("first"), &file);

    size_t size = file.size;

    ASSERT_STATUS(STATUS_INTERNAL,
                  log_entry_seal(env.structure, env.signer, &none, &header, slice_of_text("second"),
                                 &file, &hash, &err),
                  &err);
    assert_int_equal(file.size, size);
    ASSERT_OK(open_entry(&env, env.public, buffer_slice(&file), &err), &err);
    buffer_init(&small, LOG_ENTRY_SIZE_MIN);
    ASSERT_STATUS(STATUS_EXHAUSTED,
                  log_entry_seal(env.structure, env.signer, &env.random.source, &header,
                                 slice_of_text("body"), &small, &hash, &err),
                  &err);
    buffer_deinit(&small);
    buffer_deinit(&file);
    env_free(&env);
}

struct attempt {
    struct faults *faults;
    struct env *env;
};

static void one_attempt(void *arg, uint64_t n)
{
    struct attempt *attempt = arg;
    struct log_entry_header header = some_header();
    struct hash_digest hash = {{0}};
    struct buffer entry;
    struct buffer body;
    struct error err = {0};

    (void)n;
    buffer_init(&entry, BYTES_MAX);
    buffer_init(&body, BYTES_MAX);

    enum status st =
        log_entry_seal(attempt->env->structure, attempt->env->signer, &attempt->env->random.source,
                       &header, slice_of_text("body"), &entry, &hash, &err);

    if (st == STATUS_OK)
        st = log_entry_open(attempt->env->structure, NULL, buffer_slice(&entry), &header, &body,
                            &hash, &err);
    faults_arm(attempt->faults, 0, 0);
    assert_int_equal(st, faults_fired(attempt->faults) ? STATUS_EXHAUSTED : STATUS_OK);
    buffer_deinit(&entry);
    buffer_deinit(&body);
}

static void want_of_memory_is_said(void **state)
{
    struct env env = env_new();
    struct attempt attempt = {.faults = faults_new(), .env = &env};

    (void)state;
    faults_install(attempt.faults);
    assert_true(fail_each(attempt.faults, FAULT_ALLOC, one_attempt, &attempt) >= 2);
    faults_install(NULL);
    faults_free(attempt.faults);
    env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_is_opened),
        cmocka_unit_test(an_entry_is_appended_behind_what_is_there),
        cmocka_unit_test(every_changed_bit_is_found_without_the_signer),
        cmocka_unit_test(every_changed_bit_under_right_sums_is_found),
        cmocka_unit_test(every_cut_and_every_byte_too_many_is_refused),
        cmocka_unit_test(another_writer_and_another_repository_are_refused),
        cmocka_unit_test(an_unknown_type_is_read_and_a_later_version_is_not),
        cmocka_unit_test(values_that_cannot_be_are_refused_on_both_sides),
        cmocka_unit_test(the_largest_body_fits_and_one_byte_more_does_not),
        cmocka_unit_test(a_seal_that_fails_leaves_what_was_there),
        cmocka_unit_test(want_of_memory_is_said),
    };

    return cmocka_run_group_tests_name("log_entry", tests, NULL, NULL);
}
