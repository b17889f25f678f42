/* base/attr.h: what a declaration promises to the compiler. gcc, clang and mingw-w64 understand all of it. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

/* The result may not be dropped. Where dropping is right: DISCARD and the reason on that line; gcc takes
 * no plain (void) for it. */
#define NODISCARD     __attribute__((warn_unused_result))
#define DISCARD(CALL) ((void)!(CALL))

#define NORETURN __attribute__((noreturn))

/* FORMAT and FIRST are the 1-based positions of the format string and of its first value. */
#ifdef __MINGW32__
#define PRINTF_LIKE(FORMAT, FIRST) __attribute__((format(gnu_printf, FORMAT, FIRST)))
#else
#define PRINTF_LIKE(FORMAT, FIRST) __attribute__((format(printf, FORMAT, FIRST)))
#endif

#endif
