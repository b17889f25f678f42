#include "base/error.h"

#include <errno.h>
#include <string.h>

#include <grpc/status.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <uv.h>

#include "tests/support/test.h"

static void context_grows_in_front_of_the_cause(void **state)
{
    struct error err = {0};
    char line[ERROR_LINE_SIZE];

    (void)state;
    assert_int_equal(error_set(&err, STATUS_CORRUPT, "record %d has another id", 7),
                     STATUS_CORRUPT);
    assert_int_equal(error_wrap(&err, "read pack %s", "p1"), STATUS_CORRUPT);
    assert_int_equal(error_wrap(&err, "restore %s", "web-01"), STATUS_CORRUPT);
    error_line(&err, line);
    assert_string_equal(line, "restore web-01: read pack p1: record 7 has another id [CORRUPT]");
}

static void the_systems_number_and_words_are_kept(void **state)
{
    struct error err = {0};
    char line[ERROR_LINE_SIZE];

    (void)state;
    assert_int_equal(error_set_errno(&err, EACCES, "open %s", "data.vhdx"), STATUS_DENIED);
    assert_int_equal(err.kind, NATIVE_ERRNO);
    assert_int_equal(err.native, EACCES);
    error_line(&err, line);
    assert_string_equal(line, "open data.vhdx: Permission denied [DENIED, errno 13]");
    assert_int_equal(error_set_uv(&err, UV_ENOMEM, "start a thread"), STATUS_EXHAUSTED);
    error_line(&err, line);
    assert_string_equal(line, "start a thread: not enough memory [EXHAUSTED, libuv -12]");
}

static void each_errno_that_callers_branch_on_has_its_status(void **state)
{
    static const struct {
        int errnum;
        enum status status;
    } rows[] = {
        {ENOENT, STATUS_NOT_FOUND},       {EEXIST, STATUS_EXISTS},
        {EPERM, STATUS_DENIED},           {EROFS, STATUS_DENIED},
        {ENOSPC, STATUS_EXHAUSTED},       {EDQUOT, STATUS_EXHAUSTED},
        {ENOMEM, STATUS_EXHAUSTED},       {EINVAL, STATUS_INVALID},
        {EBUSY, STATUS_UNAVAILABLE},      {EISDIR, STATUS_PRECONDITION},
        {ENOTEMPTY, STATUS_PRECONDITION}, {ELOOP, STATUS_PRECONDITION},
        {ENOTSUP, STATUS_UNSUPPORTED},    {ETIMEDOUT, STATUS_TIMEOUT},
        {ECANCELED, STATUS_CANCELLED},    {EIO, STATUS_UNKNOWN},
    };
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(error_set_errno(&err, rows[i].errnum, "x"), rows[i].status);
}

static void openssls_queue_is_read_and_emptied(void **state)
{
    struct error err = {0};

    (void)state;
    assert_null(EVP_MD_fetch(NULL, "no such digest", NULL));
    assert_int_equal(error_set_openssl(&err, STATUS_INTERNAL, "fetch a digest"), STATUS_INTERNAL);
    assert_int_equal(err.kind, NATIVE_OPENSSL);
    assert_true(err.native != 0);
    assert_non_null(strstr(err.text, "fetch a digest: error:"));
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(error_set_openssl(&err, STATUS_INTERNAL, "silent failure"), STATUS_INTERNAL);
    assert_string_equal(err.text, "silent failure");
}

static void a_text_that_is_too_long_is_cut_between_characters_and_marked(void **state)
{
    char name[2 * ERROR_TEXT_SIZE];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(name); i += 2)
        memcpy(name + i, "\xc3\xa4", 2);
    name[sizeof(name) - 2] = '\0';
    for (size_t shift = 0; shift < 4; shift++) {
        error_set(&err, STATUS_INVALID, "%.*s%s", (int)shift, "xxxx", name);

        size_t length = strlen(err.text);

        assert_in_range(length, ERROR_TEXT_SIZE - 3, ERROR_TEXT_SIZE - 1);
        assert_string_equal(err.text + length - 3, "...");
        assert_int_equal((unsigned char)err.text[length - 4], 0xa4);
    }
}

static void context_in_front_of_a_full_text_cuts_its_end(void **state)
{
    struct error err = {0};

    (void)state;
    error_set(&err, STATUS_INVALID, "%0*d", ERROR_TEXT_SIZE - 1, 0);
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
    error_wrap(&err, "read the header");
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
    assert_memory_equal(err.text, "read the header: 000", 20);
    assert_string_equal(err.text + ERROR_TEXT_SIZE - 4, "...");
    error_wrap(&err, "%0*d", 2 * ERROR_TEXT_SIZE, 0);
    assert_string_equal(err.text + ERROR_TEXT_SIZE - 4, "...");
}

static void a_status_is_grpcs_by_number(void **state)
{
    static const struct {
        enum status ours;
        grpc_status_code theirs;
        const char *name;
    } rows[] = {
        {STATUS_OK, GRPC_STATUS_OK, "OK"},
        {STATUS_CANCELLED, GRPC_STATUS_CANCELLED, "CANCELLED"},
        {STATUS_UNKNOWN, GRPC_STATUS_UNKNOWN, "UNKNOWN"},
        {STATUS_INVALID, GRPC_STATUS_INVALID_ARGUMENT, "INVALID"},
        {STATUS_TIMEOUT, GRPC_STATUS_DEADLINE_EXCEEDED, "TIMEOUT"},
        {STATUS_NOT_FOUND, GRPC_STATUS_NOT_FOUND, "NOT_FOUND"},
        {STATUS_EXISTS, GRPC_STATUS_ALREADY_EXISTS, "EXISTS"},
        {STATUS_DENIED, GRPC_STATUS_PERMISSION_DENIED, "DENIED"},
        {STATUS_EXHAUSTED, GRPC_STATUS_RESOURCE_EXHAUSTED, "EXHAUSTED"},
        {STATUS_PRECONDITION, GRPC_STATUS_FAILED_PRECONDITION, "PRECONDITION"},
        {STATUS_ABORTED, GRPC_STATUS_ABORTED, "ABORTED"},
        {STATUS_RANGE, GRPC_STATUS_OUT_OF_RANGE, "RANGE"},
        {STATUS_UNSUPPORTED, GRPC_STATUS_UNIMPLEMENTED, "UNSUPPORTED"},
        {STATUS_INTERNAL, GRPC_STATUS_INTERNAL, "INTERNAL"},
        {STATUS_UNAVAILABLE, GRPC_STATUS_UNAVAILABLE, "UNAVAILABLE"},
        {STATUS_CORRUPT, GRPC_STATUS_DATA_LOSS, "CORRUPT"},
        {STATUS_UNAUTHENTICATED, GRPC_STATUS_UNAUTHENTICATED, "UNAUTHENTICATED"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal((int)rows[i].ours, (int)rows[i].theirs);
        assert_string_equal(status_name(rows[i].ours), rows[i].name);
    }
    assert_string_equal(status_name((enum status)99), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_grows_in_front_of_the_cause),
        cmocka_unit_test(the_systems_number_and_words_are_kept),
        cmocka_unit_test(each_errno_that_callers_branch_on_has_its_status),
        cmocka_unit_test(openssls_queue_is_read_and_emptied),
        cmocka_unit_test(a_text_that_is_too_long_is_cut_between_characters_and_marked),
        cmocka_unit_test(context_in_front_of_a_full_text_cuts_its_end),
        cmocka_unit_test(a_status_is_grpcs_by_number),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
