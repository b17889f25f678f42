#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <uv.h>

#include "base/text.h"

enum {
    CONTEXT_SIZE = 4096, /* of a context before it is shortened: holds two of the longest paths */
    CONTEXT_LEAST = 64,  /* bytes of it that no cause takes away */
};

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

/* The longest end of TEXT, of at most SIZE bytes, that begins with a character; SIZE is within TEXT. */
static const char *end_of(const char *text, size_t size)
{
    const char *end = text + strlen(text) - size;

    /* 10xxxxxx goes on with a character that began before (RFC 3629, section 3). */
    while (((unsigned char)*end & 0xc0) == 0x80)
        end++;
    return end;
}

/* A text in the room that it has: its begin, and if that is not all of it the mark and its end. */
struct shortened {
    const char *begin, *mark, *end;
    int size; /* of the begin */
};

static struct shortened shorten(const char *text, size_t room)
{
    struct shortened made = {.begin = text,
                             .mark = "",
                             .end = "",
                             .size = (int)text_cut(text, room)};

    if (text[made.size] == '\0')
        return made;

    size_t kept = room - strlen(cut_mark);

    made.size = (int)text_cut(text, kept / 2);
    made.mark = cut_mark;
    made.end = end_of(text, kept - kept / 2);
    return made;
}

/* Makes TEXT "CONTEXT: CAUSE". What is too long is shortened in its middle, as the end of a path or of a
 * chain of causes says more than that: CONTEXT first, but to no less than CONTEXT_LEAST bytes. */
static void join(char text[ERROR_TEXT_SIZE], const char *context, const char *cause)
{
    size_t both = ERROR_TEXT_SIZE - sizeof(": ");
    size_t least = strlen(context) < CONTEXT_LEAST ? strlen(context) : CONTEXT_LEAST;
    size_t room = strlen(cause) < both - least ? both - strlen(cause) : least;
    struct shortened first = shorten(context, room);
    struct shortened second = shorten(cause, both - room);

    mark_cut(text, ERROR_TEXT_SIZE,
             snprintf(text, ERROR_TEXT_SIZE, "%.*s%s%s: %.*s%s%s", first.size, first.begin,
                      first.mark, first.end, second.size, second.begin, second.mark, second.end));
}

PRINTF_LIKE(3, 0)

/* Makes the text of ERR what FORMAT says and, unless it is empty, ": CAUSE". */
static void set_text(struct error *err, const char *cause, const char *format, va_list values)
{
    char context[CONTEXT_SIZE];

    if (cause[0] == '\0') {
        mark_cut(err->text, sizeof(err->text),
                 vsnprintf(err->text, sizeof(err->text), format, values));
        return;
    }
    mark_cut(context, sizeof(context), vsnprintf(context, sizeof(context), format, values));
    join(err->text, context, cause);
}

PRINTF_LIKE(6, 0)

static enum status fill(struct error *err, enum status status, enum native_kind kind,
                        int64_t native, const char *cause, const char *format, va_list values)
{
    err->status = status;
    err->kind = kind;
    err->native = native;
    set_text(err, cause, format, values);
    return status;
}

enum status(error_set)(struct error *err, enum status status, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)fill(err, status, NATIVE_NONE, 0, "", format, values); /* returns STATUS */
    va_end(values);
    return status;
}

/* By libuv's names: on Windows their numbers are libuv's own (uv/errno.h of libuv 1.44). */
static enum status status_of_uv(int result)
{
    switch (result) {
    case UV_ENOENT:
    case UV_ENODEV:
    case UV_ENXIO:
        return STATUS_NOT_FOUND;
    case UV_EEXIST:
        return STATUS_EXISTS;
    case UV_EACCES:
    case UV_EPERM:
    case UV_EROFS:
        return STATUS_DENIED;
    case UV_ENOMEM:
    case UV_ENOSPC:
    case UV_EFBIG:
    case UV_EMFILE:
    case UV_ENFILE:
        return STATUS_EXHAUSTED;
    case UV_EINVAL:
    case UV_ENAMETOOLONG:
        return STATUS_INVALID;
    case UV_EAGAIN:
    case UV_EBUSY:
    case UV_EINTR:
        return STATUS_UNAVAILABLE;
    case UV_ENOTDIR:
    case UV_EISDIR:
    case UV_ENOTEMPTY:
    case UV_ELOOP:
    case UV_EXDEV:
        return STATUS_PRECONDITION;
    case UV_ENOSYS:
    case UV_ENOTSUP:
        return STATUS_UNSUPPORTED;
    case UV_ETIMEDOUT:
        return STATUS_TIMEOUT;
    case UV_ECANCELED:
        return STATUS_CANCELLED;
    default:
        /* UV_EIO and all that libuv may add: the system could not do it, and says no more. */
        return STATUS_UNKNOWN;
    }
}

/* On POSIX systems libuv's numbers are those of errno, negated (UV__ERR in uv/errno.h). */
static enum status status_of_errno(int errnum)
{
    if (errnum == EDQUOT)
        return STATUS_EXHAUSTED; /* libuv has no name for it */
    return status_of_uv(-errnum);
}

enum status(error_set_errno)(struct error *err, int errnum, const char *format, ...)
{
    char reason[128] = "";
    va_list values;

    if (strerror_r(errnum, reason, sizeof(reason)) != 0)
        reason[0] = '\0'; /* no words for this number; the line shows the number itself */
    va_start(values, format);
    enum status status =
        fill(err, status_of_errno(errnum), NATIVE_ERRNO, errnum, reason, format, values);
    va_end(values);
    return status;
}

enum status(error_set_uv)(struct error *err, int result, const char *format, ...)
{
    char reason[128] = "";
    va_list values;

    uv_strerror_r(result, reason, sizeof(reason));
    va_start(values, format);
    enum status status = fill(err, status_of_uv(result), NATIVE_UV, result, reason, format, values);
    va_end(values);
    return status;
}

enum status(error_set_openssl)(struct error *err, enum status status, const char *format, ...)
{
    unsigned long code = ERR_get_error();
    char reason[256] = "";
    va_list values;

    ERR_clear_error();
    if (code != 0) /* else OpenSSL failed without a word */
        ERR_error_string_n(code, reason, sizeof(reason));
    va_start(values, format);
    (void)fill(err, status, NATIVE_OPENSSL, (int64_t)code, reason, format, values); /* STATUS */
    va_end(values);
    return status;
}

enum status(error_set_no_memory)(struct error *err, size_t size, const char *what)
{
    return error_set(err, STATUS_EXHAUSTED, "no memory: %zu bytes for %s", size, what);
}

enum status(error_wrap)(struct error *err, const char *format, ...)
{
    char cause[ERROR_TEXT_SIZE];
    va_list values;

    memcpy(cause, err->text, sizeof(cause));
    va_start(values, format);
    set_text(err, cause, format, values);
    va_end(values);
    return err->status;
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
    case NATIVE_GRPC:
        length = snprintf(line, ERROR_LINE_SIZE, "%s [%s, gRPC %" PRId64 "]", err->text, name,
                          err->native);
        break;
    }
    mark_cut(line, ERROR_LINE_SIZE, length);
}
