#include "format/disk_root.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "format/le.h"

enum { RESERVED_SIZE = 3, SECTOR_MIN = 512, SECTOR_4K = 4096 };

/* Levels are powers of TREE_FANOUT (format/tree.h), 128. */
enum { FANOUT_BITS = 7 };

uint64_t disk_root_blocks(uint64_t size, uint32_t block_size)
{
    INVARIANT(block_size != 0);
    return size / block_size + (size % block_size != 0);
}

uint8_t disk_root_height(uint64_t size, uint32_t block_size)
{
    uint64_t blocks = disk_root_blocks(size, block_size);
    uint8_t height = 0;

    for (uint64_t last = blocks == 0 ? 0 : blocks - 1; last != 0; last >>= FANOUT_BITS)
        height++;
    return height;
}

uint32_t disk_root_block_length(const struct disk_root *root, uint64_t block)
{
    uint64_t blocks = disk_root_blocks(root->size, root->block_size);

    INVARIANT(block < blocks);
    if (block < blocks - 1 || root->size % root->block_size == 0)
        return root->block_size;
    return (uint32_t)(root->size % root->block_size); /* below a block size */
}

static bool is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static enum status check_block_size(const struct disk_root *root, struct error *err)
{
    if (!is_power_of_two(root->block_size) || root->block_size < BLOCK_SIZE_MIN ||
        root->block_size > BLOCK_SIZE_MAX)
        return error_set(err, STATUS_INVALID,
                         "blocks of %" PRIu32 " bytes: not a power of two from %d to %d",
                         root->block_size, BLOCK_SIZE_MIN, BLOCK_SIZE_MAX);
    return STATUS_OK;
}

static enum status check_height(const struct disk_root *root, struct error *err)
{
    if (root->height != disk_root_height(root->size, root->block_size))
        return error_set(err, STATUS_INVALID,
                         "height %u over %" PRIu64 " bytes in blocks of %" PRIu32 ": it takes %u",
                         root->height, root->size, root->block_size,
                         disk_root_height(root->size, root->block_size));
    return STATUS_OK;
}

enum status disk_root_check(const struct disk_root *root, struct error *err)
{
    if (check_block_size(root, err) != STATUS_OK)
        return err->status;
    if (root->logical_sector != SECTOR_MIN && root->logical_sector != SECTOR_4K)
        return error_set(err, STATUS_INVALID,
                         "logical sectors of %" PRIu32 " bytes: not 512, not 4096",
                         root->logical_sector);
    if (!is_power_of_two(root->physical_sector) || root->physical_sector < SECTOR_MIN ||
        root->physical_sector > BLOCK_SIZE_MAX)
        return error_set(err, STATUS_INVALID,
                         "physical sectors of %" PRIu32 " bytes: not a power of two from %d to %d",
                         root->physical_sector, SECTOR_MIN, BLOCK_SIZE_MAX);
    if (root->size == 0 || root->size > DISK_SIZE_MAX || root->size % root->logical_sector != 0)
        return error_set(err, STATUS_INVALID,
                         "a disk of %" PRIu64 " bytes: not whole sectors of %" PRIu32
                         ", at least one, at most 64 TiB",
                         root->size, root->logical_sector);
    return check_height(root, err);
}

enum status file_root_check(const struct disk_root *root, struct error *err)
{
    if (check_block_size(root, err) != STATUS_OK)
        return err->status;
    if (root->logical_sector != 0 || root->physical_sector != 0)
        return error_set(err, STATUS_INVALID,
                         "a file with sectors of %" PRIu32 " and %" PRIu32 " bytes: it has none",
                         root->logical_sector, root->physical_sector);
    if (root->size > FILE_SIZE_MAX)
        return error_set(err, STATUS_INVALID, "a file of %" PRIu64 " bytes, more than %d",
                         root->size, FILE_SIZE_MAX);
    if (root->size == 0 && !id_is_hole(&root->top.id))
        return error_set(err, STATUS_INVALID, "a file of no bytes has content");
    return check_height(root, err);
}

void disk_root_encode_plain(const struct disk_root *root, uint8_t target[DISK_ROOT_PLAIN_SIZE])
{
    memset(target, 0, DISK_ROOT_PLAIN_SIZE);
    le_put_u64(target, root->size);
    le_put_u32(target + 8, root->block_size);
    le_put_u32(target + 12, root->logical_sector);
    le_put_u32(target + 16, root->physical_sector);
    target[20] = root->height;
    memcpy(target + 24, root->top.id.bytes, ID_SIZE);
}

void disk_root_encode_stored(const struct disk_root *root, uint8_t target[DISK_ROOT_STORED_SIZE])
{
    disk_root_encode_plain(root, target);
    le_put_u64(target + DISK_ROOT_PLAIN_SIZE, root->top.number);
}

/* All of BYTES, in either form; its values are still to be checked. */
static enum status take_root(struct slice bytes, struct disk_root *ret_root, struct error *err)
{
    struct cursor c = cursor_of(bytes);
    struct disk_root root = {0};

    root.size = cursor_u64le(&c);
    root.block_size = cursor_u32le(&c);
    root.logical_sector = cursor_u32le(&c);
    root.physical_sector = cursor_u32le(&c);
    root.height = cursor_u8(&c);

    struct slice reserved = cursor_take(&c, RESERVED_SIZE);

    cursor_copy(&c, root.top.id.bytes, sizeof(root.top.id.bytes));
    if (bytes.size != DISK_ROOT_PLAIN_SIZE)
        root.top.number = cursor_u64le(&c);
    if (!cursor_end(&c))
        return error_set(err, STATUS_CORRUPT, "%zu bytes, neither %d nor %d", bytes.size,
                         DISK_ROOT_PLAIN_SIZE, DISK_ROOT_STORED_SIZE);
    if (!slice_is_zero(reserved))
        return error_set(err, STATUS_CORRUPT, "reserved bytes are not zero");
    if (id_is_hole(&root.top.id) && root.top.number != 0)
        return error_set(err, STATUS_CORRUPT, "its top is a hole with number %" PRIu64,
                         root.top.number);
    *ret_root = root;
    return STATUS_OK;
}

typedef enum status check_function(const struct disk_root *root, struct error *err);

static enum status decode(struct slice bytes, const char *what, check_function *check,
                          struct disk_root *ret_root, struct error *err)
{
    struct disk_root root;
    enum status st = take_root(bytes, &root, err);

    if (st == STATUS_OK)
        st = check(&root, err);
    if (st != STATUS_OK) {
        err->status = STATUS_CORRUPT; /* INVALID is for who made it, not for who reads it */
        return error_wrap(err, "%s", what);
    }
    *ret_root = root;
    return STATUS_OK;
}

enum status disk_root_decode(struct slice bytes, struct disk_root *ret_root, struct error *err)
{
    return decode(bytes, "disk root", disk_root_check, ret_root, err);
}

enum status file_root_decode(struct slice bytes, struct disk_root *ret_root, struct error *err)
{
    return decode(bytes, "file root", file_root_check, ret_root, err);
}

enum status disk_root_id(const struct hash_key *id_key, const struct disk_root *root,
                         struct id *ret_id, struct error *err)
{
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];

    disk_root_encode_plain(root, plain);
    return id_of(id_key, KIND_DISK_ROOT, slice_of(plain, sizeof(plain)), ret_id, err);
}

enum status file_root_id(const struct hash_key *id_key, const struct disk_root *root,
                         struct id *ret_id, struct error *err)
{
    uint8_t plain[DISK_ROOT_PLAIN_SIZE];

    disk_root_encode_plain(root, plain);
    return id_of(id_key, KIND_FILE_ROOT, slice_of(plain, sizeof(plain)), ret_id, err);
}
