/* tests/support/fs_log.h: what was done to a file system, operation by operation: everything that changes
 * something, and every sync. Written by fs_record.h; printed, replayed, and cut short by fs_cut.h.
 * Files and folders have a number for life (*node*), whatever their names; 0 is the folder "".
 * Thread: one at a time. */
#ifndef TESTS_SUPPORT_FS_LOG_H
#define TESTS_SUPPORT_FS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/slice.h"

enum fs_op_kind {
    FS_OP_CREATE,
    FS_OP_WRITE,
    FS_OP_RESIZE,
    FS_OP_SYNC,
    FS_OP_MAKE_DIR,
    FS_OP_RENAME,
    FS_OP_REMOVE,
    FS_OP_SYNC_DIR,
};

struct fs_op {
    enum fs_op_kind kind;
    bool failed;   /* a sync that failed; of what else fails, only what it did is recorded */
    size_t covers; /* sync, sync_dir: the log's count when it was called; it makes durable what the
                        operations before that did */
    uint64_t node; /* the file or folder that it is about */
    uint64_t dir;  /* create, make_dir, rename, remove: the folder that holds PATH */
    uint64_t dir_to; /* rename */
    char *path;      /* of a file that is open: the name that it was opened by */
    char *path_to;   /* rename */
    uint64_t offset; /* write */
    uint64_t size;   /* write: bytes; resize: the new size */
    uint8_t *data;   /* write */
};

/* Zeroed: empty. Pairs with fs_log_deinit(). */
struct fs_log {
    struct fs_op *ops;
    size_t count;
    size_t room;
    uint64_t node_count; /* nodes made so far, the root apart: their numbers are 1 to NODE_COUNT */
};

void fs_log_deinit(struct fs_log *log);

/* Gets ready one more operation, with copies of PATH, PATH_TO (or NULL) and DATA, and with the folders
 * and the node that these names stand for. It is in the log once fs_log_commit() is called, which
 * cannot fail; another fs_log_prepare() forgets it. The operation is good until then. */
struct fs_op *fs_log_prepare(struct fs_log *log, enum fs_op_kind kind, const char *path,
                             const char *path_to, struct slice data);
void fs_log_commit(struct fs_log *log);

/* The node that has the name PATH at the end of the log; false: none. */
bool fs_log_node(const struct fs_log *log, const char *path, uint64_t *ret_node);

/* Puts all that FS holds into the log, as made, written and synced. A file with two names becomes two. */
NODISCARD enum status fs_log_import(struct fs_log *log, struct fs *fs, struct error *err);

/* Does the first UPTO operations again, on FS, as a process does them: nothing is lost. */
NODISCARD enum status fs_log_replay(const struct fs_log *log, size_t upto, struct fs *fs,
                                    struct error *err);

/* One line for each of the first UPTO operations. */
void fs_log_print(const struct fs_log *log, size_t upto, FILE *out);

#endif
