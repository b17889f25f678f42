/* tests/fuzz/repository_fuzz.c: format/repository.h. What is accepted is encoded again to the same text. The input is
 * tried as it is, and with a right line of its sum behind it. */
#include "format/repository.h"

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { SUMMED_MAX = 2 * REPOSITORY_FILE_MAX };

static void try_text(struct slice text)
{
    struct repository repository;
    struct buffer again;
    struct error err = {0};
    enum status st = repository_decode(text, &repository, &err);

    if (st != STATUS_OK) {
        INVARIANT(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED);
        return;
    }
    buffer_init(&again, REPOSITORY_FILE_MAX);
    repository_encode(&repository, &again);
    INVARIANT(slice_equal(buffer_slice(&again), text));
    buffer_deinit(&again);
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
