/* tests/fuzz/manifest_fuzz.c: format/manifest.h: the envelope and the body; the first byte of the input says which. What is accepted is
 * encoded again to the same bytes. */
#include "format/manifest.h"

#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void envelope(struct slice bytes, struct buffer *again)
{
    struct envelope envelope = {.disk_count = 0};
    struct error err = {0};

    if (envelope_decode_stored(bytes, &envelope, &err) == STATUS_OK) {
        envelope_encode_stored(&envelope, again);
        INVARIANT(slice_equal(buffer_slice(again), bytes));
        envelope_deinit(&envelope);
    } else {
        INVARIANT(err.status == STATUS_CORRUPT);
    }
}

static void body(struct slice bytes, struct buffer *again)
{
    struct signed_slice statement = {.body = {0}};
    struct error err = {0};

    if (body_decode(bytes, &statement, &err) == STATUS_OK) {
        body_encode(&statement, again);
        INVARIANT(slice_equal(buffer_slice(again), bytes));
    } else {
        INVARIANT(err.status == STATUS_CORRUPT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct buffer again;

    if (size == 0)
        return 0;
    buffer_init(&again, size);
    if (input[0] % 2 == 0)
        envelope(slice_of(input + 1, size - 1), &again);
    else
        body(slice_of(input + 1, size - 1), &again);
    buffer_deinit(&again);
    return 0;
}
