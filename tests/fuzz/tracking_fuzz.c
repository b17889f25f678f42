/* tests/fuzz/tracking_fuzz.c: format/statement.h: a host's tracking record. What is accepted is
 * encoded again to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"
#include "format/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct tracking tracking = {.disk_count = 0};
    struct error err = {0};
    struct buffer again;

    if (tracking_decode(slice_of(input, size), &tracking, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_CORRUPT);
        return 0;
    }
    buffer_init(&again, size);
    tracking_encode(&tracking, &again);
    INVARIANT(buffer_check(&again, "what was read", &err) == STATUS_OK);
    INVARIANT(slice_equal(buffer_slice(&again), slice_of(input, size)));
    buffer_deinit(&again);
    tracking_deinit(&tracking);
    return 0;
}
