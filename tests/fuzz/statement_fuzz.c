/* tests/fuzz/statement_fuzz.c: format/statement.h: a host's statement. What is accepted is
 * encoded again to the same bytes. */
#include "format/statement.h"

#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct statement statement = {.disk_count = 0};
    struct error err = {0};
    struct buffer again;

    if (statement_decode(slice_of(input, size), &statement, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_CORRUPT);
        return 0;
    }
    buffer_init(&again, size);
    statement_encode(&statement, &again);
    INVARIANT(buffer_check(&again, "what was read", &err) == STATUS_OK);
    INVARIANT(slice_equal(buffer_slice(&again), slice_of(input, size)));
    buffer_deinit(&again);
    statement_deinit(&statement);
    return 0;
}
