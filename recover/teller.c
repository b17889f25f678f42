#include "recover/teller.h"

#include <stdarg.h>

void teller_warn(struct teller *teller, const char *format, ...)
{
    va_list values;

    teller->warnings++;
    show_progress_clear(&teller->progress);
    va_start(values, format);
    (void)fputs("tidemark-recover: warning: ", teller->out); /* nowhere else to say it */
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is; clang-tidy 14 forgets that over several files */
    (void)vfprintf(teller->out, format, values);
    (void)fputc('\n', teller->out);
    va_end(values);
}
