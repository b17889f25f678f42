#include "format/statement.h"

#include <string.h>

#include "base/cursor.h"
#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/disk_root.h"
#include "tests/support/fail_each.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { BYTES_MAX = 512 * 1024, PEM_MAX = 16 * 1024 };

/* --- what is stated in these tests --- */

static struct statement_disk statement_disks[2];
static struct statement_file statement_files[2];
static struct tracking_disk tracking_disks[2];

static struct statement some_statement(void)
{
    struct statement statement = {
        .time_us = -5,
        .host = "host-1",
        .vm_name = "W\xc3\xa4scherei \xf0\x9f\x90\xa7",
        .consistency = CONSISTENCY_APPLICATION,
        .reason = "first",
        .disks = statement_disks,
        .disk_count = 2,
        .files = statement_files,
        .file_count = 2,
    };

    memset(&statement.repository, 1, sizeof(statement.repository));
    memset(&statement.task, 2, sizeof(statement.task));
    memset(&statement.vm, 3, sizeof(statement.vm));
    memset(&statement.parent, 4, sizeof(statement.parent));
    memset(statement_disks, 0, sizeof(statement_disks));
    for (uint8_t i = 0; i < 2; i++) {
        struct statement_disk *disk = &statement_disks[i];

        memcpy(disk->name, i == 0 ? "system" : "data", i == 0 ? 7 : 5);
        memset(disk->identity, 5 + i, sizeof(disk->identity));
        memset(&disk->root, 7 + i, sizeof(disk->root));
        disk->size = 4096U + i;
    }
    memset(statement_files, 0, sizeof(statement_files));
    for (uint8_t i = 0; i < 2; i++) {
        struct statement_file *file = &statement_files[i];

        memcpy(file->name, i == 0 ? "a.vmcx" : "a.vmrs", 7);
        file->role = i == 0 ? FILE_VMCX : FILE_VMRS;
        memset(&file->root, 9 + i, sizeof(file->root));
        file->size = UINT64_C(77) * i;
    }
    return statement;
}

static struct tracking some_tracking(void)
{
    struct tracking tracking = {.time_us = 77, .disks = tracking_disks, .disk_count = 2};

    memset(&tracking.repository, 1, sizeof(tracking.repository));
    memset(&tracking.vm, 3, sizeof(tracking.vm));
    memset(&tracking.point, 4, sizeof(tracking.point));
    memset(tracking_disks, 0, sizeof(tracking_disks));
    for (uint8_t i = 0; i < 2; i++) {
        struct tracking_disk *disk = &tracking_disks[i];

        memset(disk->identity, 5 + i, sizeof(disk->identity));
        memset(&disk->root, 7 + i, sizeof(disk->root));
        disk->size = DISK_SIZE_MAX - i;
        memcpy(disk->change_id, "rctX:1", (size_t)6 * i); /* the first one is empty */
    }
    return tracking;
}

/* --- codecs, one table for both --- */

struct codec_under_test {
    void (*encode)(struct buffer *target);
    /* Decodes, encodes again what came out, frees it. */
    enum status (*again)(struct slice bytes, struct buffer *target, struct error *err);
};

static void encode_statement(struct buffer *target)
{
    struct statement statement = some_statement();

    statement_encode(&statement, target);
}

static enum status statement_again(struct slice bytes, struct buffer *target, struct error *err)
{
    struct statement statement = {0};
    enum status st = statement_decode(bytes, &statement, err);

    if (st == STATUS_OK)
        statement_encode(&statement, target);
    else
        assert_true(statement.disks == NULL && statement.disk_count == 0 &&
                    statement.files == NULL && statement.file_count == 0);
    statement_deinit(&statement);
    return st;
}

static void encode_tracking(struct buffer *target)
{
    struct tracking tracking = some_tracking();

    tracking_encode(&tracking, target);
}

static enum status tracking_again(struct slice bytes, struct buffer *target, struct error *err)
{
    struct tracking tracking = {0};
    enum status st = tracking_decode(bytes, &tracking, err);

    if (st == STATUS_OK)
        tracking_encode(&tracking, target);
    else
        assert_true(tracking.disks == NULL && tracking.disk_count == 0);
    tracking_deinit(&tracking);
    return st;
}

static struct slice some_signature(void)
{
    static const uint8_t signature[SIGN_SIZE] = {1, 2, 3};

    return slice_of(signature, sizeof(signature));
}

static void encode_signed(struct buffer *target)
{
    const struct signed_slice what = {.body = slice_of_text("body"),
                                      .signature = some_signature(),
                                      .certificate = slice_of_text("certificate")};

    signed_encode(&what, target);
}

static enum status signed_again(struct slice bytes, struct buffer *target, struct error *err)
{
    struct signed_slice what = {.body = {0}};
    struct cursor cursor = cursor_of(bytes);
    enum status st = signed_decode(&cursor, &what, err);

    if (st == STATUS_OK && !cursor_end(&cursor))
        st = error_set(err, STATUS_CORRUPT, "something is behind it");
    if (st == STATUS_OK)
        signed_encode(&what, target);
    return st;
}

static const struct codec_under_test codecs[] = {
    {encode_statement, statement_again},
    {encode_tracking, tracking_again},
    {encode_signed, signed_again},
};

enum { CODECS = sizeof(codecs) / sizeof(codecs[0]) };

static void assert_refused(const struct codec_under_test *codec, struct slice bytes)
{
    struct buffer target;
    struct error err = {0};

    buffer_init(&target, BYTES_MAX);
    ASSERT_STATUS(STATUS_CORRUPT, codec->again(bytes, &target, &err), &err);
    assert_true(err.text[0] != '\0');
    buffer_deinit(&target);
}

static void what_is_encoded_comes_back_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODECS; i++) {
        struct buffer first;
        struct buffer second;
        struct error err = {0};

        buffer_init(&first, BYTES_MAX);
        buffer_init(&second, BYTES_MAX);
        codecs[i].encode(&first);
        ASSERT_OK(codecs[i].again(buffer_slice(&first), &second, &err), &err);
        assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        buffer_deinit(&first);
        buffer_deinit(&second);
    }
}

static void every_cut_and_every_byte_too_many_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODECS; i++) {
        struct buffer bytes;

        buffer_init(&bytes, BYTES_MAX);
        codecs[i].encode(&bytes);
        for (size_t size = 0; size < bytes.size; size++) {
            uint8_t *cut = memory_resize(NULL, size, 1); /* so that a read behind it shows */

            assert_non_null(cut);
            memcpy(cut, bytes.data, size);
            assert_refused(&codecs[i], slice_of(cut, size));
            memory_free(cut);
        }
        buffer_put_u8(&bytes, 0);
        assert_refused(&codecs[i], buffer_slice(&bytes));
        buffer_deinit(&bytes);
    }
}

/* A changed byte is refused, or comes back as it is: there are no two ways to say one thing. */
static void no_changed_byte_is_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODECS; i++) {
        struct buffer bytes;
        struct buffer again;

        buffer_init(&bytes, BYTES_MAX);
        buffer_init(&again, BYTES_MAX);
        codecs[i].encode(&bytes);
        for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
            struct error err = {0};

            bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
            buffer_clear(&again);
            if (codecs[i].again(buffer_slice(&bytes), &again, &err) == STATUS_OK)
                assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
            else
                assert_int_equal(err.status, STATUS_CORRUPT);
            bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        buffer_deinit(&bytes);
        buffer_deinit(&again);
    }
}

/* --- values --- */

static enum status decode_encoded(const struct statement *statement, struct error *err)
{
    struct buffer bytes;
    struct buffer again;

    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&again, BYTES_MAX);
    statement_encode(statement, &bytes);

    enum status st = statement_again(buffer_slice(&bytes), &again, err);

    buffer_deinit(&bytes);
    buffer_deinit(&again);
    return st;
}

static enum status decode_encoded_tracking(const struct tracking *tracking, struct error *err)
{
    struct buffer bytes;
    struct buffer again;

    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&again, BYTES_MAX);
    tracking_encode(tracking, &bytes);

    enum status st = tracking_again(buffer_slice(&bytes), &again, err);

    buffer_deinit(&bytes);
    buffer_deinit(&again);
    return st;
}

static void all_values_come_back(void **state)
{
    struct statement statement = some_statement();
    struct statement back = {0};
    struct buffer bytes;
    struct error err = {0};

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    statement_encode(&statement, &bytes);
    ASSERT_OK(statement_decode(buffer_slice(&bytes), &back, &err), &err);
    assert_true(back.time_us == -5);
    assert_string_equal(back.host, statement.host);
    assert_string_equal(back.vm_name, statement.vm_name);
    assert_string_equal(back.reason, "first");
    assert_int_equal(back.consistency, CONSISTENCY_APPLICATION);
    assert_true(random_id_equal(&back.task, &statement.task));
    assert_true(random_id_equal(&back.repository, &statement.repository));
    assert_true(random_id_equal(&back.vm, &statement.vm));
    assert_true(id_equal(&back.parent, &statement.parent));
    assert_int_equal(back.disk_count, 2);
    assert_string_equal(back.disks[1].name, "data");
    assert_true(back.disks[1].size == 4097);
    assert_true(id_equal(&back.disks[1].root, &statement_disks[1].root));
    assert_memory_equal(back.disks[1].identity, statement_disks[1].identity, 16);
    assert_int_equal(back.file_count, 2);
    assert_string_equal(back.files[1].name, "a.vmrs");
    assert_int_equal(back.files[0].role, FILE_VMCX);
    assert_true(back.files[0].size == 0 && back.files[1].size == 77);
    assert_true(id_equal(&back.files[1].root, &statement_files[1].root));
    statement_deinit(&back);
    statement_deinit(&back); /* zeroed is fine */
    buffer_deinit(&bytes);
}

static void only_the_reason_may_be_empty(void **state)
{
    struct statement statement = some_statement();
    struct error err = {0};

    (void)state;
    statement.reason[0] = '\0';
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    statement.host[0] = '\0';
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    statement.vm_name[0] = '\0';
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    statement_disks[1].name[0] = '\0';
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    statement_files[1].name[0] = '\0';
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
}

static void what_is_no_text_is_refused(void **state)
{
    static const char *const bad[] = {
        "\x01",
        "a\nb",
        "\x7f",
        "\xc2\x80",
        "x\xc2\x9f",
        "\x80",
        "\xc3",
        "\xc0\xaf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xf0\x8f\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80",
        "\xff",
        "\xe2\x28\xa1",
    };
    static const char *const good[] = {
        "a", " ", "~", "\xc2\xa0", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbf"};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct statement statement = some_statement();

        assert_true(text_format(statement.host, sizeof(statement.host), "%s", bad[i]));
        ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct statement statement = some_statement();

        assert_true(text_format(statement.host, sizeof(statement.host), "%s", good[i]));
        ASSERT_OK(decode_encoded(&statement, &err), &err);
    }
}

static void a_text_may_have_all_its_bytes_and_not_one_more(void **state)
{
    struct statement statement = some_statement();
    struct tracking tracking = some_tracking();
    struct buffer bytes;
    struct error err = {0};

    (void)state;
    memset(statement.host, 'h', STATEMENT_NAME_SIZE - 1);
    memset(statement.reason, 'r', STATEMENT_REASON_SIZE - 1);
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    memset(tracking_disks[1].change_id, 'c', STATEMENT_CHANGE_ID_SIZE - 1);
    ASSERT_OK(decode_encoded_tracking(&tracking, &err), &err);
    buffer_init(&bytes, BYTES_MAX);
    statement_encode(&statement, &bytes);
    assert_int_equal(bytes.data[89], 255); /* the length of the host's name, low byte first */
    bytes.data[89] = 0;
    bytes.data[90] = 1;
    assert_refused(&codecs[0], buffer_slice(&bytes));

    /* One more byte, and all that follows it as it was. */
    struct slice whole = buffer_slice(&bytes);
    struct buffer longer;

    buffer_init(&longer, BYTES_MAX);
    buffer_put(&longer, slice_of(whole.data, 91 + 255));
    buffer_put_u8(&longer, 'h');
    buffer_put(&longer, slice_of(whole.data + 91 + 255, whole.size - 91 - 255));
    assert_refused(&codecs[0], buffer_slice(&longer));
    buffer_deinit(&longer);
    buffer_deinit(&bytes);
}

static void values_that_cannot_be_are_refused(void **state)
{
    struct statement statement = some_statement();
    struct tracking tracking = some_tracking();
    struct error err = {0};

    (void)state;
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        statement.consistency = (enum consistency)i;
        ASSERT_STATUS(i == 1 || i == 2 ? STATUS_OK : STATUS_CORRUPT,
                      decode_encoded(&statement, &err), &err);
    }
    statement = some_statement();
    statement_disks[0].size = 0;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement_disks[0].size = DISK_SIZE_MAX + 1;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    memset(&statement_disks[1].root, 0, ID_SIZE);
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    memset(&tracking.point, 0, sizeof(tracking.point));
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded_tracking(&tracking, &err), &err);
}

static void names_of_files_stay_in_their_folder(void **state)
{
    static const char *const bad[] = {".", "..", "/", "a/b", "../a", "a\\b", "c:\\a"};
    static const char *const good[] = {"...", ".a", "a..", "W\xc3\xa4scherei.vmcx", "a b"};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct statement statement = some_statement();

        assert_true(text_format(statement_files[1].name, STATEMENT_NAME_SIZE, "%s", bad[i]));
        ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct statement statement = some_statement();

        assert_true(text_format(statement_files[1].name, STATEMENT_NAME_SIZE, "%s", good[i]));
        ASSERT_OK(decode_encoded(&statement, &err), &err);
    }
}

static void values_that_no_file_has_are_refused(void **state)
{
    struct statement statement = some_statement();
    struct error err = {0};

    (void)state;
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        statement_files[0].role = (enum file_role)i;
        ASSERT_STATUS(i >= 1 && i <= 4 ? STATUS_OK : STATUS_CORRUPT,
                      decode_encoded(&statement, &err), &err);
    }
    statement = some_statement();
    statement_files[0].size = FILE_SIZE_MAX;
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    statement_files[0].size++;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    memset(&statement_files[0].root, 0, ID_SIZE); /* even one of no bytes has a root */
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement = some_statement();
    memcpy(statement_files[1].name, statement_files[0].name, STATEMENT_NAME_SIZE);
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
}

static void disks_alone_and_files_alone_are_fine_and_neither_is_not(void **state)
{
    struct statement statement = some_statement();
    struct error err = {0};

    (void)state;
    statement.disk_count = 0;
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    statement.file_count = 0;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    statement.disk_count = 2;
    ASSERT_OK(decode_encoded(&statement, &err), &err);
}

static void a_file_too_many_is_refused(void **state)
{
    struct statement statement = some_statement();
    struct error err = {0};

    (void)state;
    statement.files = memory_new((size_t)STATEMENT_FILES_MAX + 1, sizeof(*statement.files));
    assert_non_null(statement.files);
    for (size_t i = 0; i <= STATEMENT_FILES_MAX; i++) {
        statement.files[i] = statement_files[1];
        assert_true(text_format(statement.files[i].name, STATEMENT_NAME_SIZE, "%zu", i));
    }
    statement.file_count = STATEMENT_FILES_MAX;
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    statement.file_count++;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    memory_free(statement.files);
}

static void two_disks_of_one_identity_are_refused(void **state)
{
    struct statement statement = some_statement();
    struct tracking tracking = some_tracking();
    struct error err = {0};

    (void)state;
    memcpy(statement_disks[1].identity, statement_disks[0].identity, 16);
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    memcpy(tracking_disks[1].identity, tracking_disks[0].identity, 16);
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded_tracking(&tracking, &err), &err);
}

/* As many disks as there can be, and texts as long as they can be, stay below the limits. */
static void the_largest_of_both_fit_and_one_disk_more_does_not(void **state)
{
    struct statement statement = some_statement();
    struct tracking tracking = some_tracking();
    struct error err = {0};

    (void)state;
    statement.disks = memory_new((size_t)STATEMENT_DISKS_MAX + 1, sizeof(*statement.disks));
    tracking.disks = memory_new((size_t)STATEMENT_DISKS_MAX + 1, sizeof(*tracking.disks));
    assert_non_null(statement.disks);
    assert_non_null(tracking.disks);
    for (unsigned i = 0; i <= STATEMENT_DISKS_MAX; i++) {
        statement.disks[i] = statement_disks[0];
        tracking.disks[i] = tracking_disks[0];
        memset(statement.disks[i].name, 'n', STATEMENT_NAME_SIZE - 1);
        memset(tracking.disks[i].change_id, 'c', STATEMENT_CHANGE_ID_SIZE - 1);
        statement.disks[i].identity[0] = tracking.disks[i].identity[0] = (uint8_t)(i & 0xff);
        statement.disks[i].identity[1] = tracking.disks[i].identity[1] = (uint8_t)(i >> 8);
    }
    statement.files = memory_new(STATEMENT_FILES_MAX, sizeof(*statement.files));
    assert_non_null(statement.files);
    for (unsigned i = 0; i < STATEMENT_FILES_MAX; i++) {
        statement.files[i] = statement_files[1];
        memset(statement.files[i].name, 'f', STATEMENT_NAME_SIZE - 1);
        statement.files[i].name[i] = 'x';
    }
    statement.file_count = STATEMENT_FILES_MAX;
    memset(statement.host, 'h', STATEMENT_NAME_SIZE - 1);
    memset(statement.vm_name, 'v', STATEMENT_NAME_SIZE - 1);
    memset(statement.reason, 'r', STATEMENT_REASON_SIZE - 1);
    statement.disk_count = tracking.disk_count = STATEMENT_DISKS_MAX;
    ASSERT_OK(decode_encoded(&statement, &err), &err);
    ASSERT_OK(decode_encoded_tracking(&tracking, &err), &err);
    statement.disk_count = tracking.disk_count = STATEMENT_DISKS_MAX + 1;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded(&statement, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded_tracking(&tracking, &err), &err);
    tracking.disk_count = 0;
    ASSERT_STATUS(STATUS_CORRUPT, decode_encoded_tracking(&tracking, &err), &err);
    memory_free(statement.disks);
    memory_free(statement.files);
    memory_free(tracking.disks);
}

static void consistency_has_words(void **state)
{
    (void)state;
    assert_string_equal(consistency_text(CONSISTENCY_CRASH), "crash");
    assert_string_equal(consistency_text(CONSISTENCY_APPLICATION), "application");
}

struct attempt {
    struct faults *faults;
    struct buffer bytes[2];
};

static void one_attempt(void *arg, uint64_t n)
{
    struct attempt *attempt = arg;
    struct statement statement = {0};
    struct tracking tracking = {0};
    struct error err = {0};
    enum status st = statement_decode(buffer_slice(&attempt->bytes[0]), &statement, &err);

    (void)n;
    if (st == STATUS_OK)
        st = tracking_decode(buffer_slice(&attempt->bytes[1]), &tracking, &err);
    faults_arm(attempt->faults, 0, 0);
    assert_int_equal(st, faults_fired(attempt->faults) ? STATUS_EXHAUSTED : STATUS_OK);
    statement_deinit(&statement);
    tracking_deinit(&tracking);
}

static void want_of_memory_is_said(void **state)
{
    struct attempt attempt = {.faults = faults_new()};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        buffer_init(&attempt.bytes[i], BYTES_MAX);
        codecs[i].encode(&attempt.bytes[i]);
    }
    faults_install(attempt.faults);
    assert_int_equal(fail_each(attempt.faults, FAULT_ALLOC, one_attempt, &attempt), 3);
    faults_install(NULL);
    faults_free(attempt.faults);
    buffer_deinit(&attempt.bytes[0]);
    buffer_deinit(&attempt.bytes[1]);
}

/* --- what is signed --- */

static void put_signed(struct buffer *target, uint32_t body, uint16_t certificate)
{
    buffer_clear(target);
    buffer_put_u32le(target, body);
    assert_true(body == 0 || buffer_extend(target, body) != NULL);
    buffer_put(target, some_signature());
    buffer_put_u16le(target, certificate);
    assert_true(certificate == 0 || buffer_extend(target, certificate) != NULL);
}

static void lengths_of_what_is_signed_have_bounds(void **state)
{
    static const struct {
        uint32_t body;
        uint16_t certificate;
        enum status status;
    } cases[] = {
        {TRACKING_SIZE_MAX, SIGN_CERTIFICATE_MAX, STATUS_OK},
        {1, 1, STATUS_OK},
        {0, 1, STATUS_CORRUPT},
        {1, 0, STATUS_CORRUPT},
        {TRACKING_SIZE_MAX + 1, 1, STATUS_CORRUPT},
        {1, SIGN_CERTIFICATE_MAX + 1, STATUS_CORRUPT},
    };
    struct buffer bytes;

    (void)state;
    buffer_init(&bytes, BYTES_MAX);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct signed_slice what = {.body = {0}};
        struct error err = {0};

        put_signed(&bytes, cases[i].body, cases[i].certificate);
        buffer_put_u8(&bytes, 0x77); /* what follows is the caller's */

        struct cursor cursor = cursor_of(buffer_slice(&bytes));

        ASSERT_STATUS(cases[i].status, signed_decode(&cursor, &what, &err), &err);
        if (cases[i].status == STATUS_OK)
            assert_int_equal(cursor_u8(&cursor), 0x77);
        else
            assert_null(what.body.data);
    }
    buffer_deinit(&bytes);
}

/* A host's folder: what it signs with, and who vouches for it. */
struct host {
    char ca_pem[PEM_MAX];
    struct buffer certificate;
    struct sign_key *key;
    uint8_t signature[SIGN_SIZE];
    struct signed_slice what;
};

static void read_file(struct fs *fs, const char *name, char text[PEM_MAX])
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    struct error err = {0};

    ASSERT_OK(fs_open(fs, name, FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_true(size < PEM_MAX);
    ASSERT_OK(fs_read_exactly_at(file, 0, text, (size_t)size, &err), &err);
    text[size] = '\0';
    fs_close(file);
}

/* One that states "body", believed by those who trust TRUSTED. */
static void host_init(struct host *host, const struct test_ca *trusted,
                      const struct test_ca *issuer, enum test_validity validity)
{
    char folder[TEMP_FOLDER_SIZE];
    char pem[PEM_MAX];
    struct fs *fs = NULL;
    struct error err = {0};

    temp_folder_make(folder);
    test_certificates_write(folder, trusted, issuer, "host-1", validity);
    ASSERT_OK(fs_posix_new(folder, &fs, &err), &err);
    read_file(fs, "ca.pem", host->ca_pem);
    read_file(fs, "cert.pem", pem);
    buffer_init(&host->certificate, SIGN_CERTIFICATE_MAX);
    ASSERT_OK(sign_certificate_der(pem, &host->certificate, &err), &err);
    read_file(fs, "key.pem", pem);
    ASSERT_OK(sign_key_from_pem(pem, &host->key, &err), &err);
    fs_free(fs);
    temp_folder_remove(folder);
    host->what.body = slice_of_text("body");
    host->what.certificate = buffer_slice(&host->certificate);
    ASSERT_OK(sign_message(host->key, SIGN_CONTEXT_STATEMENT, host->what.body, host->signature,
                           &err),
              &err);
    host->what.signature = slice_of(host->signature, sizeof(host->signature));
}

static void host_deinit(struct host *host)
{
    buffer_deinit(&host->certificate);
    sign_key_free(host->key);
}

#define IN_2020 INT64_C(1577836800000000)

static void assert_checked(const struct host *host, enum status expected, const char *context)
{
    char name[SIGN_NAME_SIZE] = "untouched";
    struct error err = {0};

    ASSERT_STATUS(expected, signed_check(&host->what, context, host->ca_pem, IN_2020, name, &err),
                  &err);
    assert_string_equal(name, expected == STATUS_OK ? "host-1" : "untouched");
}

static void what_a_host_of_the_cluster_signed_is_believed(void **state)
{
    struct test_ca *ca = test_certificates_ca_new("cluster");
    struct host host = {.key = NULL};

    (void)state;
    host_init(&host, ca, ca, TEST_VALID);
    assert_checked(&host, STATUS_OK, SIGN_CONTEXT_STATEMENT);
    assert_checked(&host, STATUS_CORRUPT, SIGN_CONTEXT_TRACKING); /* said to another end */
    host.what.body = slice_of_text("bodz");
    assert_checked(&host, STATUS_CORRUPT, SIGN_CONTEXT_STATEMENT);
    host.what.body = slice_of_text("body");
    host.what.signature.size--;
    assert_checked(&host, STATUS_CORRUPT, SIGN_CONTEXT_STATEMENT);
    host.what.signature.size++;
    host.what.certificate.size--;
    assert_checked(&host, STATUS_INVALID, SIGN_CONTEXT_STATEMENT);
    host_deinit(&host);
    test_certificates_ca_free(ca);
}

static void what_another_clusters_host_signed_is_denied(void **state)
{
    struct test_ca *ours = test_certificates_ca_new("cluster");
    struct test_ca *theirs = test_certificates_ca_new("cluster");
    struct host host = {.key = NULL};

    (void)state;
    host_init(&host, ours, theirs, TEST_VALID);
    assert_checked(&host, STATUS_DENIED, SIGN_CONTEXT_STATEMENT);
    host_deinit(&host);
    host_init(&host, ours, ours, TEST_EXPIRED);
    assert_checked(&host, STATUS_DENIED, SIGN_CONTEXT_STATEMENT);
    host_deinit(&host);
    test_certificates_ca_free(ours);
    test_certificates_ca_free(theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back_byte_for_byte),
        cmocka_unit_test(every_cut_and_every_byte_too_many_is_refused),
        cmocka_unit_test(no_changed_byte_is_lost),
        cmocka_unit_test(all_values_come_back),
        cmocka_unit_test(only_the_reason_may_be_empty),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(a_text_may_have_all_its_bytes_and_not_one_more),
        cmocka_unit_test(values_that_cannot_be_are_refused),
        cmocka_unit_test(names_of_files_stay_in_their_folder),
        cmocka_unit_test(values_that_no_file_has_are_refused),
        cmocka_unit_test(disks_alone_and_files_alone_are_fine_and_neither_is_not),
        cmocka_unit_test(a_file_too_many_is_refused),
        cmocka_unit_test(two_disks_of_one_identity_are_refused),
        cmocka_unit_test(the_largest_of_both_fit_and_one_disk_more_does_not),
        cmocka_unit_test(consistency_has_words),
        cmocka_unit_test(want_of_memory_is_said),
        cmocka_unit_test(lengths_of_what_is_signed_have_bounds),
        cmocka_unit_test(what_a_host_of_the_cluster_signed_is_believed),
        cmocka_unit_test(what_another_clusters_host_signed_is_denied),
    };

    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
