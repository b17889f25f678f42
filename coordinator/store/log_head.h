/* coordinator/store/log_head.h: the file `head` of the data folder: the newest entry of the log that was written. A log
 * that lacks that entry was rolled back, or cut (store_log_compare()). Two slots, written in turn, of
 *
 *      0  4  magic "TMhd"
 *      4  1  version, 0
 *      5  3  zero
 *      8  8  turn: one more with each slot that is written; after the highest comes 0
 *     16 16  writer
 *     32  8  sequence
 *     40 32  hash of the entry
 *     72  4  CRC-32C of bytes 0 to 71
 *
 * at 0 (even turns) and at 4,096 (odd ones), so that a torn one leaves the other; the one with the later turn counts, a slot
 * with a turn of the other place does not. Nothing is synced: an entry is
 * named only after it is durable, and a head that a power cut has set back, damaged or removed proves nothing.
 * Thread: the store's; all calls block. */
#ifndef COORDINATOR_STORE_LOG_HEAD_H
#define COORDINATOR_STORE_LOG_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/store.h"

#define LOG_HEAD_FILE "head"

enum { LOG_HEAD_SLOT_SIZE = 76, LOG_HEAD_SLOT_SPACING = 4096 };

struct log_head;

/* Opens the file in the folder of FS (borrowed), or makes it, and reads it. */
NODISCARD enum status log_head_open(struct fs *fs, struct log_head **ret_head, struct error *err);
void log_head_close(struct log_head *head); /* NULL is fine */

/* What the file said when it was opened: whatever is written since does not change this answer. False: nothing. */
bool log_head_known(const struct log_head *head, struct store_head *ret_known);

/* From now on the file says NEWEST. A failure does no harm: the slot before is still there. */
NODISCARD enum status log_head_write(struct log_head *head, const struct store_head *newest,
                                     struct error *err);

#endif
