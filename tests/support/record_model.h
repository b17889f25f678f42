/* tests/support/record_model.h: what a record_file (record_file.h) may show after a crash, given what its
 * calls returned. Records are known by a number; its payload follows from it. A plain value: copied at
 * each step of a run, it says later what was allowed at that step. */
#ifndef TESTS_SUPPORT_RECORD_MODEL_H
#define TESTS_SUPPORT_RECORD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    RECORD_IDS_MAX = 128,
    RECORD_TAILS_MAX = 8,
    RECORD_STARTS_MAX = 16,
    RECORD_PAYLOAD_MAX = 48
};

struct record_ids {
    uint32_t ids[RECORD_IDS_MAX];
    size_t count;
};

struct record_model {
    struct record_ids promised;       /* durable, also those that were dropped since */
    size_t starts[RECORD_STARTS_MAX]; /* where in PROMISED what is shown may begin */
    size_t start_count;
    size_t first; /* where it begins for the process */
    /* What may follow the promised: a beginning of one of these. The first: appended, not yet durable;
     * the others: given up. */
    struct record_ids tails[RECORD_TAILS_MAX];
    size_t tail_count;
};

struct record_model record_model_of_nothing(void);

/* More than RECORD_IDS_MAX is a broken invariant: the run of a test is too long. */
void record_ids_add(struct record_ids *ids, uint32_t id);

/* Record ID was appended, or could not be. The process now HOLDS so many records, so many PROMISED. */
void record_model_append(struct record_model *model, uint32_t id, bool ok, uint64_t held,
                         uint64_t promised);

/* A sync returned. */
void record_model_sync(struct record_model *model, bool ok, uint64_t held, uint64_t promised);

/* The oldest segment was dropped, or could not be, or nobody knows. */
void record_model_drop(struct record_model *model, bool ok, uint64_t promised);

/* The process let go of the file: all that was not durable may be there, or a beginning of it. */
void record_model_close(struct record_model *model);

/* Opened, and SHOWN was there. False: that is not allowed. */
bool record_model_open(struct record_model *model, const struct record_ids *shown);

/* May SHOWN be there after a power cut or a kill? */
bool record_model_allows(const struct record_model *model, const struct record_ids *shown);

/* The payload of record ID into BYTES; its size. */
size_t record_payload(uint32_t id, uint8_t bytes[RECORD_PAYLOAD_MAX]);

/* Is it the payload of a record, whole? */
bool record_payload_parse(struct slice bytes, uint32_t *ret_id);

#endif
