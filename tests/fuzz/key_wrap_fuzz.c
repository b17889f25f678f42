/* tests/fuzz/key_wrap_fuzz.c: format/key_wrap.h, and either form of a key by format/key_text.h. What is accepted is encoded again
 * to the same text, and opened where that is cheap. The input is tried as it is, and with a right line of its sum behind it. */
#include "format/key_wrap.h"

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/text.h"
#include "format/key_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { SUMMED_MAX = 2 * KEY_WRAP_FILE_MAX, CHEAP = 256 };

static void try_to_open(const struct key_wrap *wrap)
{
    struct repository_key key;
    struct error err = {0};
    enum status st = STATUS_OK;

    if ((uint64_t)wrap->cost.n * wrap->cost.r * wrap->cost.p > CHEAP)
        return;
    st = key_wrap_open(wrap, slice_of_text("p"), &key, &err);
    INVARIANT(st == STATUS_OK || st == STATUS_DENIED);
}

static void try_text(struct slice text)
{
    struct key_text key;
    struct buffer again;
    struct error err = {0};
    enum status st = key_text_decode(text, &key, &err);

    if (st != STATUS_OK) {
        INVARIANT(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED || st == STATUS_INVALID);
        return;
    }
    buffer_init(&again, KEY_TEXT_MAX);
    key_text_encode(&key, &again);
    INVARIANT(slice_equal(buffer_slice(&again), text));
    buffer_deinit(&again);
    if (key.wrapped)
        try_to_open(&key.wrap);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct buffer summed;
    char line[32];

    try_text(slice_of(input, size));
    buffer_init(&summed, SUMMED_MAX);
    buffer_put(&summed, slice_of(input, size));
    if (text_format(line, sizeof(line), "crc %08x\n", hash_crc32c(0, slice_of(input, size))))
        buffer_put(&summed, slice_of_text(line));
    try_text(buffer_slice(&summed));
    buffer_deinit(&summed);
    return 0;
}
