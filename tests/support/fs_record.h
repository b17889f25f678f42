/* tests/support/fs_record.h: a layer over another file system that writes down, in order, everything that
 * changes it, and every sync with its result (fs_log.h). Faults that take the place of a sync are written
 * down as failed syncs; a write that fails halfway, as the bytes that it changed.
 *
 * Other calls go on while a sync is under way. It is written down when it ends, and makes durable what was
 * written down when it was called (struct fs_op, COVERS).
 *
 * After fs_record_power_off(), or FAULT_LOSE, every call fails with STATUS_UNAVAILABLE "the power is off"
 * and is not written down: what may be left then, fs_cut.h says. Any thread. */
#ifndef TESTS_SUPPORT_FS_RECORD_H
#define TESTS_SUPPORT_FS_RECORD_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "tests/support/fs_log.h"

/* Over INNER, borrowed. What INNER holds already begins the log, as made, written and synced: it is
 * durable. The caller's (fs_free, before INNER is freed). */
NODISCARD enum status fs_record_new(struct fs *inner, struct fs **ret_fs, struct error *err);

void fs_record_power_off(struct fs *fs);

/* From now on, what was written to a file and not synced is gone when a fault takes the place of its sync:
 * the file reads as before, though as long as it was. Linux marks such pages clean and may drop them
 * (Rebello et al., see fs_cut.h). The log does not say so: for a power cut the bytes stay pending. Not so
 * for a file that is open for reading only. At first: false. */
void fs_record_forget_failed(struct fs *fs, bool forgets);

/* The log so far; borrowed, and no call may be under way meanwhile. */
const struct fs_log *fs_record_log(const struct fs *fs);

#endif
