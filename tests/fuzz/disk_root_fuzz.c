/* tests/fuzz/disk_root_fuzz.c: format/disk_root.h: both forms of a disk's root, and of a file's. What is accepted is
 * encoded again to the same bytes. */
#include "format/disk_root.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

typedef enum status decode_function(struct slice bytes, struct disk_root *ret_root,
                                    struct error *err);

static void one(struct slice bytes, decode_function *decode)
{
    struct disk_root root = {0};
    struct error err = {0};
    uint8_t again[DISK_ROOT_STORED_SIZE];

    if (decode(bytes, &root, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_CORRUPT);
        return;
    }
    INVARIANT(bytes.size == DISK_ROOT_PLAIN_SIZE || bytes.size == DISK_ROOT_STORED_SIZE);
    disk_root_encode_stored(&root, again); /* begins with the plain form */
    INVARIANT(memcmp(again, bytes.data, bytes.size) == 0);

    uint64_t blocks = disk_root_blocks(root.size, root.block_size);
    uint64_t size = 0;

    if (blocks > 0)
        size = (blocks - 1) * root.block_size + disk_root_block_length(&root, blocks - 1);
    INVARIANT(size == root.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    one(slice_of(input, size), disk_root_decode);
    one(slice_of(input, size), file_root_decode);
    return 0;
}
