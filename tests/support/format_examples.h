/* tests/support/format_examples.h: the worked examples of docs/format.md, held against the code. An example is a
 * fenced block of bytes in hexadecimal, each line's rest from '#' on a remark:
 *
 *     ```hex name=pack-header
 *     54 4d 70 61 63 6b 00 00  # magic
 *     ```
 */
#ifndef TESTS_SUPPORT_FORMAT_EXAMPLES_H
#define TESTS_SUPPORT_FORMAT_EXAMPLES_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum { FORMAT_EXAMPLES_MAX = 64, FORMAT_EXAMPLE_SIZE_MAX = 64 * 1024 };

struct format_example {
    const char *name;
    /* Appends to TARGET what the code makes of the page's fixed inputs. SHOWN is what the page shows, for what is
     * different each time (a signature): check that it is right, and append it. */
    void (*make)(struct slice shown, struct buffer *target);
};

/* Does PAGE show exactly the COUNT examples, with the bytes that their functions make? STATUS_NOT_FOUND: one of
 * them is on one side only. STATUS_CORRUPT: other bytes, a name twice, or no bytes in hexadecimal. STATUS_EXHAUSTED:
 * an example is too long. Prints the bytes that an example should have, ready for the page. */
NODISCARD enum status format_examples_check(struct slice page,
                                            const struct format_example *examples, size_t count,
                                            struct error *err);

#endif
