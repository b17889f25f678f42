/* tests/support/fs_record.h: a layer over another file system that writes down, in order, everything that
 * changes it, and every sync with its result (fs_log.h). Faults that take the place of a sync are written
 * down as failed syncs; a write that fails halfway, as the bytes that are there.
 *
 * After fs_record_power_off(), or FAULT_LOSE, every call fails with STATUS_UNAVAILABLE "the power is off"
 * and is not written down: what may be left then, fs_cut.h says. Any thread. */
#ifndef TESTS_SUPPORT_FS_RECORD_H
#define TESTS_SUPPORT_FS_RECORD_H

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "tests/support/fs_log.h"

/* Over INNER, borrowed. What INNER holds already begins the log, as made, written and synced: it is
 * durable. The caller's (fs_free, before INNER is freed). */
NODISCARD enum status fs_record_new(struct fs *inner, struct fs **ret_fs, struct error *err);

void fs_record_power_off(struct fs *fs);

/* The log so far; borrowed, and no call may be under way meanwhile. */
const struct fs_log *fs_record_log(const struct fs *fs);

#endif
