/* coordinator/store/index_files.h: the index (index.h) in files of the data folder, in its folder "index": *runs* (run.h),
 * sorted and never changed, and the *state* (index_state.h) that says which of them count.
 *
 * What is applied lies in a table in memory. When that is full, and at flush(), it is written as a run of ids for each domain
 * and a run of places; a new state makes them visible, with the covers that go with them. Runs are merged by four, the small
 * ones first, a bit at each apply(), in proportion to what it brings; the old ones serve until a state names the new one. So
 * a power cut at any moment leaves the index of some flush, whole; files that no state names are removed by bind().
 *
 * A write or sync that fails gives up the file that it was for; what is in memory stays there, and the next flush takes new
 * names. When the table is full and cannot be written, apply() refuses with that error, and nothing has changed. A batch of
 * more records than the table holds is refused with STATUS_INVALID; a place at or above 4 GiB in its pack with STATUS_RANGE.
 *
 * Of ids the number that came first counts, so look-ups ask the oldest run first; of numbers the newest place.
 *
 * Memory: 130 bytes for each record that the table holds (INDEX_TABLE_RECORDS: 8.5 MB), 10.7 bits an id and 0.4 a place in the
 * runs (twice that of the runs that are being merged), 4 KiB a run, 400 KiB a merge that is under way (at most
 * INDEX_MERGES_MAX), and the packs (index_packs.h). A run keeps a file open; of N flushes there are at most 6 log2(N) runs. */
#ifndef COORDINATOR_STORE_INDEX_FILES_H
#define COORDINATOR_STORE_INDEX_FILES_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "coordinator/store/index.h"

/* INDEX_MERGE_PACE: an entry takes part in about log4(flushes) merges, one of ids and one of places for each record: that is
 * enough for 4^10 flushes. */
enum { INDEX_TABLE_RECORDS = 65536, INDEX_MERGE_PACE = 24, INDEX_MERGES_MAX = 16 };

struct index_files_options {
    size_t table_records; /* 0: INDEX_TABLE_RECORDS */
    unsigned
        merge_pace; /* entries that are merged for each record that is applied; 0: INDEX_MERGE_PACE */
};

/* On FS, the data folder, borrowed as is LOG. Nothing is touched before bind(). The caller's: ops->free, which flushes
 * nothing. STATUS_EXHAUSTED: no memory. */
NODISCARD enum status index_files_new(struct fs *fs, const struct index_files_options *options,
                                      const struct log *log, struct index **ret_index,
                                      struct error *err);

#endif
