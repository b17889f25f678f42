#include "base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void invariant_broken(const char *condition, const char *file, int line)
{
    /* Nothing can be done about a standard error that is closed. */
    (void)fprintf(stderr, "tidemark: broken invariant: %s (%s:%d); this is a bug in Tidemark\n",
                  condition, file, line);
    abort();
}
