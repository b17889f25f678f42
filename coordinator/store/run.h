/* coordinator/store/run.h: a run (run_format.h), read: look-ups, and all of it in order. Written by run_writer.h.
 *
 * In memory: 8 bytes a page of entries, with its filter 136 (10.7 bits an id), and one page, the last that was looked at.
 *
 * STATUS_CORRUPT, from any call: the file is not as it was written. Thread: the store's; blocks. */
#ifndef COORDINATOR_STORE_RUN_H
#define COORDINATOR_STORE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/run_format.h"

#define RUN_DIR "index"

struct run;

/* What is looked up in memory before a page is read. */
struct run_summary {
    uint64_t *firsts; /* run_prefix() of each page's first key */
    uint8_t *filters; /* RUN_FILTER_SIZE bytes each; NULL: none */
};

/* For PAGES pages. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status run_summary_init(struct run_summary *summary, enum run_kind kind,
                                       uint64_t pages, struct error *err);
void run_summary_deinit(struct run_summary *summary); /* zeroed is fine */

/* RUN_DIR/NUMBER.run, in 16 hexadecimal digits; and is NAME such a name? */
void run_path(uint64_t number, char path[FS_PATH_SIZE]);
bool run_parse_name(const char *name, uint64_t *ret_number);

/* As fs_read_exactly_at(), but STATUS_CORRUPT also where the disk cannot read (EIO): what was there is lost. */
NODISCARD enum status run_read(struct fs_file *file, uint64_t offset, void *data, size_t size,
                               struct error *err);

/* Reads header and summary. The caller's (run_close). */
NODISCARD enum status run_open(struct fs *fs, uint64_t number, struct run **ret_run,
                               struct error *err);

/* From what a writer has at hand: FILE and SUMMARY become the run's, also where it fails. */
NODISCARD enum status run_of(struct fs_file *take_file, const struct run_header *header,
                             struct run_summary *take_summary, struct run **ret_run,
                             struct error *err);
void run_close(struct run *run); /* NULL is fine */

const struct run_header *run_header(const struct run *run);

/* *RET_VALUE: what lies behind KEY in its entry, borrowed until the next call; NULL: there is no such key. */
NODISCARD enum status run_find(struct run *run, const uint8_t *key, const uint8_t **ret_value,
                               struct error *err);

/* In a run of places: the highest number up to MOST; 0: none. */
NODISCARD enum status run_last(struct run *run, uint64_t most, uint64_t *ret_number,
                               struct error *err);

/* All entries in order, RUN_SCAN_PAGES pages a read. */
enum { RUN_SCAN_PAGES = 16 };

struct run_scan;

/* RUN, borrowed, lives longer. The caller's (run_scan_free). */
NODISCARD enum status run_scan_new(struct run *run, struct run_scan **ret_scan, struct error *err);
void run_scan_free(struct run_scan *scan); /* NULL is fine */

/* The next entry, borrowed until the next call; NULL: there is no more. */
NODISCARD enum status run_scan_next(struct run_scan *scan, const uint8_t **ret_entry,
                                    struct error *err);

#endif
