/* tests/fuzz/log_head_fuzz.c: coordinator/store/log_head.h: any bytes as the file of the log's head, as they are and with right sums in both
 * slots. It opens whatever it says; what is written then is what it says next. */
#include "coordinator/store/log_head.h"

#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "format/le.h"
#include "tests/support/fs_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { CRC_AT = LOG_HEAD_SLOT_SIZE - 4, INPUT_MAX = 2 * LOG_HEAD_SLOT_SPACING };

static void write_file(struct fs *fs, struct slice bytes)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    INVARIANT(fs_open(fs, LOG_HEAD_FILE, FS_CREATE, &file, &err) == STATUS_OK);
    INVARIANT(fs_write_at(file, 0, bytes, &err) == STATUS_OK);
    fs_close(file);
}

static void try_bytes(struct slice bytes)
{
    const struct store_head newest = {.writer = {{1}}, .sequence = 7, .hash = {{2}}};
    struct fs *fs = NULL;
    struct log_head *head = NULL;
    struct store_head known = {.sequence = 0};
    struct error err = {0};

    INVARIANT(fs_memory_new(&fs, &err) == STATUS_OK);
    write_file(fs, bytes);
    INVARIANT(log_head_open(fs, &head, &err) == STATUS_OK);
    (void)log_head_known(head, &known); /* whatever it says */
    INVARIANT(log_head_write(head, &newest, &err) == STATUS_OK);
    log_head_close(head);
    INVARIANT(log_head_open(fs, &head, &err) == STATUS_OK);
    INVARIANT(log_head_known(head, &known) && known.sequence == newest.sequence);
    log_head_close(head);
    fs_free(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint8_t bytes[INPUT_MAX];

    if (size > sizeof(bytes))
        return 0;
    try_bytes(slice_of(input, size));
    if (size > 0)
        memcpy(bytes, input, size);
    for (size_t slot = 0; slot < size; slot += LOG_HEAD_SLOT_SPACING) {
        if (size - slot >= LOG_HEAD_SLOT_SIZE)
            le_put_u32(bytes + slot + CRC_AT, hash_crc32c(0, slice_of(bytes + slot, CRC_AT)));
    }
    try_bytes(slice_of(bytes, size));
    return 0;
}
