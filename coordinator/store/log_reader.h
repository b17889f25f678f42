/* coordinator/store/log_reader.h: reads the segments of a log, by the rules in store_log.h. Thread: the store's; blocks. */
#ifndef COORDINATOR_STORE_LOG_READER_H
#define COORDINATOR_STORE_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "coordinator/store/store_log.h"
#include "format/log_entry.h"

enum { LOG_PATH_SIZE = 3 + 1 + 20 + 1 };

/* The highest number that a segment's name of ten digits takes. */
#define LOG_SEGMENT_MAX UINT64_C(9999999999)

/* "log/0000000001" */
void log_segment_path(uint64_t segment, char path[LOG_PATH_SIZE]);

/* Is NAME a segment's? */
bool log_segment_parse(const char *name, uint64_t *ret_segment);

/* What a reader found. */
struct log_found {
    struct random_id writer;
    uint64_t sequence; /* of the newest entry; after a failure: of the last one that was sound */
    struct hash_digest hash;
    struct hash_digest before; /* of the entry before it */
    struct buffer
        newest;       /* that entry as it lies there: initialized by the caller, and the caller's */
    uint64_t segment; /* the highest number of a file, whatever is in it */
    uint64_t summary; /* the first part's sequence of the newest whole summary; 0: none was found */
    uint64_t summary_end; /* its last part's */
};

/* How much of a log is read, and what EACH gets of its summaries. */
enum log_extent {
    LOG_FROM_SUMMARY, /* see store_log_open() */
    LOG_WHOLE,        /* see store_log_audit() */
};

NODISCARD enum status log_read(const struct store_log_world *world, enum log_extent extent,
                               enum status (*each)(void *arg, const struct log_entry_header *header,
                                                   struct slice body, struct error *err),
                               void *arg, struct log_found *found, struct error *err);

/* The hash of the entry with SEQUENCE, which is not the newest; *ret_known false: what could say so is missing or damaged. */
NODISCARD enum status log_read_hash(const struct store_log_world *world, uint64_t sequence,
                                    bool *ret_known, struct hash_digest *ret_hash,
                                    struct error *err);

#endif
