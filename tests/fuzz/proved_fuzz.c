/* tests/fuzz/proved_fuzz.c: coordinator/store/proved.h: any bytes as the file of proved packs, with and without a right checksum. What
 * is taken is ascending, and encodes to the same bytes. */
#include "coordinator/store/proved.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { REPOSITORY_AT = 16, INPUT_MAX = 64 * 1024 };

static void try_bytes(struct slice bytes, const struct random_id *repository)
{
    struct proved proved = {0};
    struct buffer again;
    struct error err = {0};

    buffer_init(&again, (size_t)INPUT_MAX + 64);
    if (proved_decode(bytes, repository, &proved, &err) == STATUS_OK) {
        for (size_t i = 0; i < proved.count; i++)
            INVARIANT(proved_find(&proved, &proved.packs[i].name) == &proved.packs[i]);
        proved_encode(&proved, repository, &again);
        INVARIANT(slice_equal(bytes, buffer_slice(&again)));
    }
    buffer_deinit(&again);
    proved_deinit(&proved);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct random_id repository = {{0}};
    struct buffer summed;

    if (size > INPUT_MAX)
        return 0;
    for (size_t i = 0; i < RANDOM_ID_SIZE && REPOSITORY_AT + i < size; i++)
        repository.bytes[i] = input[REPOSITORY_AT + i];
    try_bytes(slice_of(input, size), &repository);
    buffer_init(&summed, (size_t)INPUT_MAX + 4);
    buffer_put(&summed, slice_of(input, size));
    if (summed.size > 0) {
        buffer_put_u32le(&summed, hash_crc32c(0, buffer_slice(&summed)));
        try_bytes(buffer_slice(&summed), &repository);
    }
    buffer_deinit(&summed);
    return 0;
}
