/* tests/bench/index_lmdb.h: for comparison, the index (index.h) over LMDB, in the data folder's folder "index". LMDB does its own I/O:
 * it opens, maps (mmap) and syncs its file itself, past base/fs.h, so that no test can fail or tear what it writes. That may
 * be: this is a cache, and what a crash does to it costs a rebuild, no data. Folder and file are made and removed by
 * base/fs.h.
 *
 * Three databases: `ids` (domain and id -> number), `places` (number, big-endian -> pack, offset, length), `covers` (pack ->
 * covered, sealed; and under the key "about" the build of the format and the repository). */
#ifndef TESTS_BENCH_INDEX_LMDB_H
#define TESTS_BENCH_INDEX_LMDB_H

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "coordinator/store/index.h"

#define INDEX_LMDB_DIR "index" /* in the data folder */

/* The index in the data folder on which FS was opened, and whose path on this machine is DATA (absolute). Touches nothing:
 * bind() makes and opens it, when the store holds its lock. One that is damaged, or of another build or repository, is
 * made anew then, and that is logged. Damage that is met in use is logged once and removes the file: the next bind() finds none. FS and LOG are borrowed; the caller frees by ops->free, after the store is closed. */
NODISCARD enum status index_lmdb_new(struct fs *fs, const char *data, const struct log *log,
                                     struct index **ret_index, struct error *err);

#endif
