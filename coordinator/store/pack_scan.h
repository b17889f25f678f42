/* coordinator/store/pack_scan.h: the sound records of a pack's file, one behind the other, whatever is damaged between them: for
 * packs without a seal. What is looked through may be anything at all, so the work is bounded: each byte is read a constant
 * number of times. Damaged payloads of sound headers are searched for records while all of them together are not longer than
 * the file, as those of records that do not overlap never are; behind that they are stepped over. Thread: the store's. */
#ifndef COORDINATOR_STORE_PACK_SCAN_H
#define COORDINATOR_STORE_PACK_SCAN_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/record.h"

struct pack_scan {
    struct fs_file *file;
    uint64_t size;
    uint64_t offset; /* where the next record is looked for */
    uint64_t budget; /* bytes of damaged payloads that may still be searched */
    struct buffer window;
    uint64_t window_start;
};

/* Of FILE (borrowed) of SIZE bytes, from OFFSET on. Allocates nothing. Pairs with pack_scan_deinit(). */
void pack_scan_init(struct pack_scan *scan, struct fs_file *file, uint64_t offset, uint64_t size);
void pack_scan_deinit(struct pack_scan *scan);

/* The next record whose header and payload are sound, into RET_RECORD (cleared first); what is damaged before it is stepped
 * over. STATUS_NOT_FOUND: none up to the end. */
NODISCARD enum status pack_scan_next(struct pack_scan *scan, uint64_t *ret_offset,
                                     struct record_header *ret_header, struct buffer *ret_record,
                                     struct error *err);

#endif
