/* tests/fuzz/key_file_fuzz.c: the key file of format/keys.h. What is accepted is encoded again to the same text. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "format/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct repository_key key;
    char again[KEY_FILE_SIZE];
    struct error err = {0};
    enum status st = key_file_decode(slice_of(input, size), &key, &err);

    if (st != STATUS_OK) {
        INVARIANT(st == STATUS_INVALID);
        return 0;
    }
    key_file_encode(&key, again);
    INVARIANT(size == KEY_FILE_SIZE && memcmp(again, input, size) == 0);
    return 0;
}
