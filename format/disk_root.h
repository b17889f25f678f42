/* format/disk_root.h: what stands for a whole disk, or for a whole file of a VM's configuration (architecture, section 4).
 * Little-endian; its id covers 56 bytes, its stored form has 8 more:
 *
 *      0  8  size of the disk, bytes
 *      8  4  block size, bytes: a power of two from 4,096 to 1,048,576
 *     12  4  logical sector, bytes: 512 or 4,096
 *     16  4  physical sector, bytes
 *     20  1  height: levels of nodes above the blocks, the least that fits; 0: the top is the one block
 *     21  3  zero
 *     24 32  id of the top: node of level `height`, or block; zeros: all is a hole
 *     56  8  number of the top (stored form only); 0 for a hole
 *
 * A file's root is the same with both sectors 0, a size that may be any number of bytes from 0 on, and a kind of its own. A
 * file of 0 bytes has height 0 and a hole for a top.
 */
#ifndef FORMAT_DISK_ROOT_H
#define FORMAT_DISK_ROOT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/id.h"

enum {
    DISK_ROOT_PLAIN_SIZE = 56,
    DISK_ROOT_STORED_SIZE = 64,
    BLOCK_SIZE_MIN = 4096,
    BLOCK_SIZE_DEFAULT = 65536,
    BLOCK_SIZE_MAX = 1024 * 1024,
};

#define DISK_SIZE_MAX (UINT64_C(1) << 46) /* 64 TiB (MS-VHDX, 1.3) */

struct disk_root {
    uint64_t size; /* bytes; a disk's is not 0 */
    uint32_t block_size;
    uint32_t logical_sector;
    uint32_t physical_sector;
    uint8_t height; /* disk_root_height() of the other fields */
    struct ref top;
};

/* Of a disk of SIZE bytes in blocks of BLOCK_SIZE. */
uint64_t disk_root_blocks(uint64_t size, uint32_t block_size);
uint8_t disk_root_height(uint64_t size, uint32_t block_size);
/* Bytes of block BLOCK: the last one may be short. */
uint32_t disk_root_block_length(const struct disk_root *root, uint64_t block);

/* Are these values a disk's? STATUS_INVALID with a sentence. The top is not looked at. */
NODISCARD enum status disk_root_check(const struct disk_root *root, struct error *err);

/* What the id covers. */
void disk_root_encode_plain(const struct disk_root *root, uint8_t target[DISK_ROOT_PLAIN_SIZE]);
void disk_root_encode_stored(const struct disk_root *root, uint8_t target[DISK_ROOT_STORED_SIZE]);

/* Either form: the plain one gives number 0. STATUS_CORRUPT: not a disk root, values that no disk has, a height
 * that does not fit, a hole with a number. */
NODISCARD enum status disk_root_decode(struct slice bytes, struct disk_root *ret_root,
                                       struct error *err);

/* The id of ROOT: over its plain form. */
NODISCARD enum status disk_root_id(const struct hash_key *id_key, const struct disk_root *root,
                                   struct id *ret_id, struct error *err);

/* ---- The same of a file: its struct's sectors are 0; encoded by the functions above. ---- */

enum { FILE_SIZE_MAX = 1024 * 1024 * 1024 }; /* bytes: of one file of a configuration */

NODISCARD enum status file_root_check(const struct disk_root *root, struct error *err);
NODISCARD enum status file_root_decode(struct slice bytes, struct disk_root *ret_root,
                                       struct error *err);
NODISCARD enum status file_root_id(const struct hash_key *id_key, const struct disk_root *root,
                                   struct id *ret_id, struct error *err);

#endif
