/* tests/support/record_segment.h: the bytes of one segment of a record_file.h, which describes them.
 * Thread: any. */
#ifndef TESTS_SUPPORT_RECORD_SEGMENT_H
#define TESTS_SUPPORT_RECORD_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "tests/support/record_file.h"

enum {
    RECORD_HEADER_SIZE = 36,
    RECORD_SEGMENT_LIMIT = RECORD_HEADER_SIZE + RECORD_SEGMENT_MAX,
    RECORD_HEAD_SIZE = 8,
    RECORD_FRAME_MAX = RECORD_HEAD_SIZE + RECORD_MAX,
};

struct record_segment {
    uint64_t number;
    uint64_t previous;
    uint64_t previous_length;
    uint64_t length;  /* bytes that are durable, with the header */
    uint64_t records; /* in them */
};

/* Puts the header of SEGMENT into the empty BUFFER. */
void record_segment_put_header(struct buffer *buffer, const struct record_segment *segment);

/* The header at the start of BYTES; LENGTH is that of the header, RECORDS 0. STATUS_CORRUPT: it is not that
 * of segment NUMBER, or not whole. */
NODISCARD enum status record_segment_parse(struct slice bytes, uint64_t number,
                                           struct record_segment *ret_segment, struct error *err);

/* Puts a record with the payload BYTES (1 to RECORD_MAX) behind what is in BUFFER. It belongs at OFFSET of
 * segment NUMBER, and is whole there only. */
void record_segment_put_record(struct buffer *buffer, uint64_t number, uint64_t offset,
                               struct slice bytes);

/* Walks the whole records in BYTES, those of segment NUMBER: how many there are, and where the last one ends. Without
 * CHECK_SUMS a record is whole if all its bytes are there. EACH_RECORD may be NULL. */
void record_segment_walk(struct slice bytes, uint64_t number, bool check_sums,
                         void (*each_record)(void *arg, struct slice bytes), void *arg,
                         uint64_t *ret_records, uint64_t *ret_length);

#endif
