/* base/error.h: how a function says that it failed: a status to branch on, the system's own number,
 * and a sentence that grows on its way up.
 *
 * A struct error is a plain value on the caller's stack, zeroed before use ({0}), passed as the last
 * argument and never NULL. Whoever finds the failure fills it (error_set*), each layer that knows more
 * puts its context in front (error_wrap). A function that succeeds leaves it alone. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/invariant.h"

/* One to one with the status codes of gRPC, numbers included (grpc/status.h of gRPC 1.51), so that an
 * error crosses the wire without a table. The numbers are pinned: never renumber. */
enum status {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,    /* asked for, or its owner went away */
    STATUS_UNKNOWN = 2,      /* the system or a peer failed and says no more */
    STATUS_INVALID = 3,      /* wrong input, whatever the state: do not retry */
    STATUS_TIMEOUT = 4,      /* it may still happen */
    STATUS_NOT_FOUND = 5,    /* no such thing */
    STATUS_EXISTS = 6,       /* it is there already */
    STATUS_DENIED = 7,       /* known who asks, and not allowed */
    STATUS_EXHAUSTED = 8,    /* memory, space, a limit or a quota is used up */
    STATUS_PRECONDITION = 9, /* right input, wrong state: somebody must change the state first */
    STATUS_ABORTED = 10,     /* lost a race; may be retried one level up */
    STATUS_RANGE = 11,       /* past the end */
    STATUS_UNSUPPORTED = 12, /* not here, not in this version */
    STATUS_INTERNAL = 13,    /* ours: a bug */
    STATUS_UNAVAILABLE = 14, /* not now: retry later */
    STATUS_CORRUPT = 15,     /* what was read is not what was written; gRPC: DATA_LOSS */
    STATUS_UNAUTHENTICATED = 16, /* not known who asks */
};

/* Which system's numbers `native` speaks. */
enum native_kind {
    NATIVE_NONE,
    NATIVE_ERRNO,   /* POSIX errno */
    NATIVE_UV,      /* libuv's UV_* (negative) */
    NATIVE_OPENSSL, /* ERR_get_error() */
    NATIVE_GRPC,    /* grpc_status_code: gRPC's own failure, not what the other side answered */
};

#define ERROR_TEXT_SIZE 512

struct error {
    enum status status;
    enum native_kind kind;
    int64_t native;
    char text[ERROR_TEXT_SIZE]; /* one sentence for people, UTF-8, no final full stop */
};

/* Each of these returns the status it set, for `return error_set(...)`. Any thread. STATUS is never
 * STATUS_OK. No argument may point into *ERR (its text above all): that is overwritten meanwhile.
 *
 * What does not fit is cut between characters and marked by "...". A text alone is cut at its end. Where
 * a cause follows it (the system's words, or the text that error_wrap() finds), it is cut in its middle
 * and the cause stays whole; only a cause that leaves it less than 64 bytes is cut in its middle too. */
PRINTF_LIKE(3, 4)
enum status error_set(struct error *err, enum status status, const char *format, ...);

/* From errno ERRNUM, read on the line after the call that failed: the status that fits, the number,
 * and the system's words behind the text. */
PRINTF_LIKE(3, 4)
enum status error_set_errno(struct error *err, int errnum, const char *format, ...);

/* The same from a libuv result (negative). */
PRINTF_LIKE(3, 4)
enum status error_set_uv(struct error *err, int result, const char *format, ...);

/* From OpenSSL's error queue of this thread, which it empties; the oldest entry is the cause. */
PRINTF_LIKE(3, 4)
enum status error_set_openssl(struct error *err, enum status status, const char *format, ...);

/* STATUS_EXHAUSTED: SIZE bytes for WHAT could not be had. */
enum status error_set_no_memory(struct error *err, size_t size, const char *what);

/* Puts "context: " in front of the text of an error that is set. */
PRINTF_LIKE(2, 3)
enum status error_wrap(struct error *err, const char *format, ...);

/* None of these returns STATUS_OK. Said where each caller's compiler and analyzer can see it: else they
 * take a path on which a call failed and its result is used all the same. */
static inline enum status error_is_set(enum status status)
{
    INVARIANT(status != STATUS_OK);
    return status;
}

#define error_set(...)           error_is_set(error_set(__VA_ARGS__))
#define error_set_errno(...)     error_is_set(error_set_errno(__VA_ARGS__))
#define error_set_uv(...)        error_is_set(error_set_uv(__VA_ARGS__))
#define error_set_openssl(...)   error_is_set(error_set_openssl(__VA_ARGS__))
#define error_set_no_memory(...) error_is_set(error_set_no_memory(__VA_ARGS__))
#define error_wrap(...)          error_is_set(error_wrap(__VA_ARGS__))

/* "CORRUPT", "DENIED" ...; a number that is none of ours (from a peer) is "UNKNOWN". */
const char *status_name(enum status status);

/* The line for a person: `text [DENIED, errno 13]`. Always NUL-terminated; cut like the text. */
#define ERROR_LINE_SIZE (ERROR_TEXT_SIZE + 64)
void error_line(const struct error *err, char line[ERROR_LINE_SIZE]);

#endif
