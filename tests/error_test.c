#include "base/error.h"

#include <errno.h>
#include <string.h>

#include <grpc/status.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <uv.h>

#include "base/text.h"
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
    (void)error_set(&err, STATUS_UNAVAILABLE, "the coordinator cannot be reached");
    err.kind = NATIVE_GRPC;
    err.native = 14;
    error_line(&err, line);
    assert_string_equal(line, "the coordinator cannot be reached [UNAVAILABLE, gRPC 14]");
}

static const struct {
    int errnum;
    int uv;
    enum status status;
} system_rows[] = {
    {ENOENT, UV_ENOENT, STATUS_NOT_FOUND},
    {ENODEV, UV_ENODEV, STATUS_NOT_FOUND},
    {ENXIO, UV_ENXIO, STATUS_NOT_FOUND},
    {EEXIST, UV_EEXIST, STATUS_EXISTS},
    {EACCES, UV_EACCES, STATUS_DENIED},
    {EPERM, UV_EPERM, STATUS_DENIED},
    {EROFS, UV_EROFS, STATUS_DENIED},
    {ENOMEM, UV_ENOMEM, STATUS_EXHAUSTED},
    {ENOSPC, UV_ENOSPC, STATUS_EXHAUSTED},
    {EFBIG, UV_EFBIG, STATUS_EXHAUSTED},
    {EMFILE, UV_EMFILE, STATUS_EXHAUSTED},
    {ENFILE, UV_ENFILE, STATUS_EXHAUSTED},
    {EINVAL, UV_EINVAL, STATUS_INVALID},
    {ENAMETOOLONG, UV_ENAMETOOLONG, STATUS_INVALID},
    {EAGAIN, UV_EAGAIN, STATUS_UNAVAILABLE},
    {EBUSY, UV_EBUSY, STATUS_UNAVAILABLE},
    {EINTR, UV_EINTR, STATUS_UNAVAILABLE},
    {ENOTDIR, UV_ENOTDIR, STATUS_PRECONDITION},
    {EISDIR, UV_EISDIR, STATUS_PRECONDITION},
    {ENOTEMPTY, UV_ENOTEMPTY, STATUS_PRECONDITION},
    {ELOOP, UV_ELOOP, STATUS_PRECONDITION},
    {EXDEV, UV_EXDEV, STATUS_PRECONDITION},
    {ENOSYS, UV_ENOSYS, STATUS_UNSUPPORTED},
    {ENOTSUP, UV_ENOTSUP, STATUS_UNSUPPORTED},
    {ETIMEDOUT, UV_ETIMEDOUT, STATUS_TIMEOUT},
    {ECANCELED, UV_ECANCELED, STATUS_CANCELLED},
    {EIO, UV_EIO, STATUS_UNKNOWN},
    {EPIPE, UV_EPIPE, STATUS_UNKNOWN},
};

static void each_errno_that_callers_branch_on_has_its_status(void **state)
{
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(system_rows) / sizeof(system_rows[0]); i++)
        assert_int_equal(error_set_errno(&err, system_rows[i].errnum, "x"), system_rows[i].status);
    /* libuv has no name for this one. */
    assert_int_equal(error_set_errno(&err, EDQUOT, "x"), STATUS_EXHAUSTED);
}

/* On Windows libuv's numbers are its own: this also has to pass where no UV_* is a negated errno. */
static void each_libuv_code_that_callers_branch_on_has_its_status(void **state)
{
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(system_rows) / sizeof(system_rows[0]); i++)
        assert_int_equal(error_set_uv(&err, system_rows[i].uv, "x"), system_rows[i].status);
    assert_int_equal(error_set_uv(&err, UV_EOF, "x"), STATUS_UNKNOWN);
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

static void a_reason_is_still_there_behind_any_number_of_contexts(void **state)
{
    static const char reason[] = ": No such file or directory";
    struct error err = {0};

    (void)state;
    error_set_errno(&err, ENOENT, "open %0*d", 2 * ERROR_TEXT_SIZE, 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
        assert_string_equal(err.text + ERROR_TEXT_SIZE - sizeof(reason), reason);
        assert_non_null(strstr(err.text, "..."));
        error_wrap(&err, "restore web-0%u", i);
        assert_memory_equal(err.text, "restore web-0", 13);
    }
}

enum {
    TEXT_MAX = ERROR_TEXT_SIZE - 1,
    CONTEXT_LEAST = 64,
    CAUSE_MOST = TEXT_MAX - CONTEXT_LEAST - sizeof(": ") + 1, /* that is kept whole */
    PATH_MOST = 1023,
};

/* TEXT is full, and is BEGIN, a mark in the middle of the path, END. */
static void assert_shortened_in_the_middle(const char *text, const char *begin, const char *end)
{
    size_t length = strlen(text);

    assert_int_equal(length, TEXT_MAX);
    assert_memory_equal(text, begin, strlen(begin));
    assert_non_null(strstr(text, "ppp...ppp"));
    assert_string_equal(text + length - strlen(end), end);
}

static void a_long_context_is_shortened_and_its_cause_stays_whole(void **state)
{
    char path[PATH_MOST + 1];
    char middle[PATH_MOST - 10 + 1];
    char reason[ERROR_TEXT_SIZE];
    struct error err = {0};

    (void)state;
    memset(middle, 'p', sizeof(middle) - 1);
    middle[sizeof(middle) - 1] = '\0';
    assert_true(text_format(path, sizeof(path), "/srv/%s.vhdx", middle));

    error_set_errno(&err, ENOSPC, "write %s", path);
    assert_shortened_in_the_middle(err.text, "write /srv/ppp", "ppp.vhdx: No space left on device");
    error_set_uv(&err, UV_ENOMEM, "write %s", path);
    assert_shortened_in_the_middle(err.text, "write /srv/ppp", "ppp.vhdx: not enough memory");

    assert_null(EVP_MD_fetch(NULL, "no such digest", NULL));
    error_set_openssl(&err, STATUS_INTERNAL, "x");
    memcpy(reason, err.text + 1, sizeof(reason) - 1);
    assert_memory_equal(reason, ": error:", 8);
    assert_null(EVP_MD_fetch(NULL, "no such digest", NULL));
    error_set_openssl(&err, STATUS_INTERNAL, "hash %s", path);
    assert_shortened_in_the_middle(err.text, "hash /srv/ppp", reason);

    error_set(&err, STATUS_CORRUPT, "record 7 has another id");
    error_wrap(&err, "read %s", path);
    assert_shortened_in_the_middle(err.text, "read /srv/ppp", "ppp.vhdx: record 7 has another id");
    /* Two paths, as a rename has. */
    error_set_errno(&err, EXDEV, "rename %s to %s2", path, path);
    assert_shortened_in_the_middle(err.text, "rename /srv/ppp",
                                   "ppp.vhdx2: Invalid cross-device link");
}

static void only_what_does_not_fit_is_shortened(void **state)
{
    struct error err = {0};

    (void)state;
    for (int length = 500; length <= TEXT_MAX; length++) {
        error_set(&err, STATUS_CORRUPT, "end");
        error_wrap(&err, "%0*d", length, 0);
        if (length + (int)strlen(": end") <= TEXT_MAX) {
            assert_int_equal(strlen(err.text), length + 5);
            assert_null(strstr(err.text, "..."));
        } else {
            assert_int_equal(strlen(err.text), TEXT_MAX);
            assert_non_null(strstr(err.text, "0...0"));
        }
        assert_string_equal(err.text + strlen(err.text) - 6, "0: end");
    }
}

static void a_context_is_shortened_between_characters(void **state)
{
    char name[2 * ERROR_TEXT_SIZE];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(name); i += 2)
        memcpy(name + i, "\xc3\xa4", 2);
    name[sizeof(name) - 2] = '\0';
    for (int begin = 0; begin < 2; begin++) {
        for (int end = 0; end < 2; end++) {
            error_set(&err, STATUS_INVALID, "cause");
            error_wrap(&err, "%.*s%s%.*s", begin, "x", name, end, "x");

            const char *mark = strstr(err.text, "...");

            assert_in_range(strlen(err.text), TEXT_MAX - 2, TEXT_MAX);
            assert_non_null(mark);
            assert_int_equal((unsigned char)mark[-1], 0xa4);
            assert_int_equal((unsigned char)mark[3], 0xc3);
            assert_non_null(strstr(mark, end == 1 ? "\xa4x: cause" : "\xa4: cause"));
        }
    }
}

static void a_cause_that_leaves_too_little_for_its_context_is_cut_in_its_middle(void **state)
{
    struct error err = {0};

    (void)state;
    error_set(&err, STATUS_INVALID, "%0*d.", CAUSE_MOST - 1, 0);
    error_wrap(&err, "%0*d", 2 * ERROR_TEXT_SIZE, 1);
    assert_int_equal(strlen(err.text), TEXT_MAX);
    assert_int_equal(strstr(err.text, ": ") - err.text, CONTEXT_LEAST);
    assert_non_null(strstr(err.text, "0...0"));
    assert_string_equal(err.text + TEXT_MAX - 3, "00.");

    error_set(&err, STATUS_INVALID, "%0*d.", CAUSE_MOST, 0);
    error_wrap(&err, "%0*d", 2 * ERROR_TEXT_SIZE, 1);
    assert_int_equal(strlen(err.text), TEXT_MAX);
    assert_int_equal(strstr(err.text, ": ") - err.text, CONTEXT_LEAST);
    assert_non_null(strstr(strstr(err.text, ": "), "0...0"));
    assert_string_equal(err.text + TEXT_MAX - 3, "00.");

    /* A context that is short itself stays whole, and leaves the cause what it does not use. */
    error_set(&err, STATUS_INVALID, "%0*d.", TEXT_MAX - 12 - 1, 0);
    error_wrap(&err, "%s", "0123456789");
    assert_int_equal(strlen(err.text), TEXT_MAX);
    assert_memory_equal(err.text, "0123456789: 0", 13);
    assert_string_equal(err.text + TEXT_MAX - 3, "00.");
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
        cmocka_unit_test(each_libuv_code_that_callers_branch_on_has_its_status),
        cmocka_unit_test(openssls_queue_is_read_and_emptied),
        cmocka_unit_test(a_text_that_is_too_long_is_cut_between_characters_and_marked),
        cmocka_unit_test(a_reason_is_still_there_behind_any_number_of_contexts),
        cmocka_unit_test(a_long_context_is_shortened_and_its_cause_stays_whole),
        cmocka_unit_test(only_what_does_not_fit_is_shortened),
        cmocka_unit_test(a_context_is_shortened_between_characters),
        cmocka_unit_test(a_cause_that_leaves_too_little_for_its_context_is_cut_in_its_middle),
        cmocka_unit_test(a_status_is_grpcs_by_number),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
