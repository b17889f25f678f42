#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <uv.h>

#include "base/text.h"

static const char cut_mark[] = "...";

/* Ends TEXT of SIZE bytes, into which LENGTH bytes were to be written, in the mark if they did not
 * fit. */
static void mark_cut(char *text, size_t size, int length)
{
    if (length < 0) {
        /* Only an encoding error in a wide character does this, and none is ever formatted. */
        text[0] = '\0';
        return;
    }
    if ((size_t)length < size)
        return;
    memcpy(text + text_cut(text, size - sizeof(cut_mark)), cut_mark, sizeof(cut_mark));
}

PRINTF_LIKE(5, 0)

static enum status fill(struct error *err, enum status status, enum native_kind kind,
                        int64_t native, const char *format, va_list values)
{
    err->status = status;
    err->kind = kind;
    err->native = native;
    mark_cut(err->text, sizeof(err->text), vsnprintf(err->text, sizeof(err->text), format, values));
    return status;
}

/* Puts ": REASON" behind the text. */
static enum status append(struct error *err, const char *reason)
{
    size_t length = strlen(err->text);

    mark_cut(err->text, sizeof(err->text),
             (int)length +
                 snprintf(err->text + length, sizeof(err->text) - length, ": %s", reason));
    return err->status;
}

enum status(error_set)(struct error *err, enum status status, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)fill(err, status, NATIVE_NONE, 0, format, values); /* returns STATUS */
    va_end(values);
    return status;
}

static enum status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return STATUS_NOT_FOUND;
    case EEXIST:
        return STATUS_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_DENIED;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return STATUS_EXHAUSTED;
    case EINVAL:
    case ENAMETOOLONG:
        return STATUS_INVALID;
    case EAGAIN:
    case EBUSY:
    case EINTR:
        return STATUS_UNAVAILABLE;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case ELOOP:
    case EXDEV:
        return STATUS_PRECONDITION;
    case ENOSYS:
    case ENOTSUP:
        return STATUS_UNSUPPORTED;
    case ETIMEDOUT:
        return STATUS_TIMEOUT;
    case ECANCELED:
        return STATUS_CANCELLED;
    default:
        /* EIO and all that POSIX may add: the system could not do it, and says no more. */
        return STATUS_UNKNOWN;
    }
}

enum status(error_set_errno)(struct error *err, int errnum, const char *format, ...)
{
    char reason[128] = "";
    va_list values;

    va_start(values, format);
    (void)fill(err, status_of_errno(errnum), NATIVE_ERRNO, errnum, format, values); /* as set */
    va_end(values);
    if (strerror_r(errnum, reason, sizeof(reason)) != 0)
        return err->status; /* no words for this number; the line shows the number itself */
    return append(err, reason);
}

enum status(error_set_uv)(struct error *err, int result, const char *format, ...)
{
    char reason[128] = "";
    va_list values;

    va_start(values, format);
    /* On POSIX systems libuv's codes are negated errno values (libuv manual, "Error handling"). */
    (void)fill(err, status_of_errno(-result), NATIVE_UV, result, format, values); /* as set */
    va_end(values);
    return append(err, uv_strerror_r(result, reason, sizeof(reason)));
}

enum status(error_set_openssl)(struct error *err, enum status status, const char *format, ...)
{
    unsigned long code = ERR_get_error();
    char reason[256] = "";
    va_list values;

    ERR_clear_error();
    va_start(values, format);
    (void)fill(err, status, NATIVE_OPENSSL, (int64_t)code, format, values); /* returns STATUS */
    va_end(values);
    if (code == 0)
        return status; /* OpenSSL failed without a word */
    ERR_error_string_n(code, reason, sizeof(reason));
    return append(err, reason);
}

enum status(error_set_no_memory)(struct error *err, size_t size, const char *what)
{
    return error_set(err, STATUS_EXHAUSTED, "no memory: %zu bytes for %s", size, what);
}

enum status(error_wrap)(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_SIZE];
    va_list values;

    memcpy(inner, err->text, sizeof(inner));
    va_start(values, format);
    mark_cut(err->text, sizeof(err->text), vsnprintf(err->text, sizeof(err->text), format, values));
    va_end(values);
    return append(err, inner);
}

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "OK";
    case STATUS_CANCELLED:
        return "CANCELLED";
    case STATUS_UNKNOWN:
        return "UNKNOWN";
    case STATUS_INVALID:
        return "INVALID";
    case STATUS_TIMEOUT:
        return "TIMEOUT";
    case STATUS_NOT_FOUND:
        return "NOT_FOUND";
    case STATUS_EXISTS:
        return "EXISTS";
    case STATUS_DENIED:
        return "DENIED";
    case STATUS_EXHAUSTED:
        return "EXHAUSTED";
    case STATUS_PRECONDITION:
        return "PRECONDITION";
    case STATUS_ABORTED:
        return "ABORTED";
    case STATUS_RANGE:
        return "RANGE";
    case STATUS_UNSUPPORTED:
        return "UNSUPPORTED";
    case STATUS_INTERNAL:
        return "INTERNAL";
    case STATUS_UNAVAILABLE:
        return "UNAVAILABLE";
    case STATUS_CORRUPT:
        return "CORRUPT";
    case STATUS_UNAUTHENTICATED:
        return "UNAUTHENTICATED";
    }
    return "UNKNOWN";
}

void error_line(const struct error *err, char line[ERROR_LINE_SIZE])
{
    const char *name = status_name(err->status);
    int length = 0;

    switch (err->kind) {
    case NATIVE_NONE:
        length = snprintf(line, ERROR_LINE_SIZE, "%s [%s]", err->text, name);
        break;
    case NATIVE_ERRNO:
        length = snprintf(line, ERROR_LINE_SIZE, "%s [%s, errno %" PRId64 "]", err->text, name,
                          err->native);
        break;
    case NATIVE_UV:
        length = snprintf(line, ERROR_LINE_SIZE, "%s [%s, libuv %" PRId64 "]", err->text, name,
                          err->native);
        break;
    case NATIVE_OPENSSL:
        length = snprintf(line, ERROR_LINE_SIZE, "%s [%s, OpenSSL 0x%" PRIx64 "]", err->text, name,
                          (uint64_t)err->native);
        break;
    }
    mark_cut(line, ERROR_LINE_SIZE, length);
}
