/* tests/fuzz/disk_root_fuzz.c: format/disk_root.h: both forms of a disk root. What is accepted is
 * encoded again to the same bytes. */
#include "format/disk_root.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct disk_root root = {0};
    struct error err = {0};
    uint8_t again[DISK_ROOT_STORED_SIZE];

    if (disk_root_decode(slice_of(input, size), &root, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_CORRUPT);
        return 0;
    }
    INVARIANT(size == DISK_ROOT_PLAIN_SIZE || size == DISK_ROOT_STORED_SIZE);
    disk_root_encode_stored(&root, again); /* begins with the plain form */
    INVARIANT(memcmp(again, input, size) == 0);

    uint64_t blocks = disk_root_blocks(root.size, root.block_size);
    uint64_t bytes = (blocks - 1) * root.block_size + disk_root_block_length(&root, blocks - 1);

    INVARIANT(bytes == root.size);
    return 0;
}
