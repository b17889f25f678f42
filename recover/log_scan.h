/* recover/log_scan.h: the entries of a log that can be believed: each by its own sums, seal and signature, whatever stands around it.
 * Believes more than a coordinator would, and says by its teller what it stepped over. Thread: main's; blocks. */
#ifndef RECOVER_LOG_SCAN_H
#define RECOVER_LOG_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/slice.h"
#include "format/keys.h"
#include "format/log_entry.h"
#include "recover/teller.h"

#define LOG_DIR "log"

/* One entry. FIRST: it is its segment's first, so its place in the chain may be one that was taken before. */
struct log_scan_entry {
    const struct log_entry_header *header;
    const struct hash_digest *hash;
    bool first;
    struct slice body;
};

typedef enum status log_scan_each(void *arg, const struct log_scan_entry *entry, struct error *err);

/* Calls EACH for each sound entry of each segment, in the order of the segments and in them, until it fails. *RET_SEGMENTS:
 * how many there are; 0 also where there is no such folder. */
NODISCARD enum status log_scan(struct fs *fs, const struct keys *keys, struct teller *teller,
                               log_scan_each *each, void *arg, uint64_t *ret_segments,
                               struct error *err);

#endif
