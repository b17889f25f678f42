/* tests/fuzz/tree_node_fuzz.c: format/tree.h: both forms of a node. What is accepted is
 * encoded again to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "format/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct tree_node node = {.level = 3, .index = 7};
    struct error err = {0};
    uint8_t again[NODE_STORED_SIZE];

    if (tree_node_decode(slice_of(input, size), &node, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_CORRUPT);
        return 0;
    }
    INVARIANT(size == NODE_PLAIN_SIZE || size == NODE_STORED_SIZE);
    INVARIANT(node.level == 3 && node.index == 7);
    if (size == NODE_PLAIN_SIZE)
        tree_node_encode_plain(&node, again);
    else
        tree_node_encode_stored(&node, again);
    INVARIANT(memcmp(again, input, size) == 0);
    return 0;
}
