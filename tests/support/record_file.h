/* tests/support/record_file.h: records in a row of files, made to survive a power cut: the worked example
 * for tests that cut the power (fs_cut.h), in small what the store's packs and log do.
 *
 * A folder holds segments "seg-" and 16 hexadecimal digits. All numbers are little-endian.
 *     segment   magic "TMRECORD", u64 number, u64 previous segment (0: none), u64 bytes of it that count,
 *               u32 CRC-32C of these 32; then records
 *     record    u32 length (at least 1), u32 CRC-32C of u64 the segment's number, u64 the record's offset
 *               in it, u32 length, and the payload; payload
 *
 * The sum covers the place, for what a power cut leaves behind the end may be old blocks of another segment,
 * with records that were whole there. A copy of a record has another sum.
 *
 * The rules that keep what was promised; each can be left out, to see that the tests notice:
 * - A segment is made under the name + ".new", with its header, synced, renamed; then its folder is synced,
 *   and only then is a record put in.
 * - The newest segment ends at its first record that is not whole. Of an older one counts what the next
 *   one says, no more (given up, or never promised) and no less (else it is corrupt).
 * - After an append or a sync that failed the segment takes nothing more. What was not promised is given
 *   up; the next append makes another segment, always with a number that was never used.
 * - Opening copies the newest segment, whose durability nobody can know any more (the process before may
 *   have seen a sync fail), into a new one. So what opening shows is durable.
 * - The oldest segment is dropped by its removal and a sync of the folder. What no segment refers to any
 *   more may come back by a power cut; the next opening removes it.
 * Thread: one at a time. */
#ifndef TESTS_SUPPORT_RECORD_FILE_H
#define TESTS_SUPPORT_RECORD_FILE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/slice.h"

enum { RECORD_MAX = 4096, RECORD_SEGMENT_MAX = 1 << 20 };

/* Guards to leave out. */
enum record_skip {
    RECORD_SKIP_DATA_SYNC = 1,   /* the sync of records */
    RECORD_SKIP_HEADER_SYNC = 2, /* the sync of a new segment before it is renamed */
    RECORD_SKIP_DIR_SYNC = 4,    /* the sync of the folder after that */
    RECORD_SKIP_CRC = 8,         /* the check of a record's sum */
    RECORD_SKIP_GIVE_UP = 16,    /* giving up after a failed sync: the next sync shall do */
    RECORD_SKIP_COPY = 32,       /* the copy at opening: a sync of the old segment shall do */
    RECORD_SKIP_TAIL_CUT = 64,   /* the end of older segments: whole records behind it count too */
    RECORD_SKIP_DROP_SYNC = 128, /* the sync of the folder after the oldest segment is removed */
};

struct record_file_options {
    uint32_t
        segment_size; /* bytes, at most RECORD_SEGMENT_MAX: a record that would go beyond begins
                              another segment; one record always fits */
    unsigned skip;    /* of enum record_skip; 0 */
};

struct record_file;

/* The records in the existing folder DIR of FS, both borrowed. All that record_file_each() shows then is
 * durable. STATUS_CORRUPT: something that was promised is not there. */
NODISCARD enum status record_file_open(struct fs *fs, const char *dir,
                                       struct record_file_options options,
                                       struct record_file **ret_file, struct error *err);

/* Syncs nothing. NULL is fine. */
void record_file_close(struct record_file *file);

/* BYTES (1 to RECORD_MAX) behind the others, durable after record_file_sync(). After a failure, here or
 * there, what was not yet durable is given up: it may be back after the next opening, as a beginning of
 * it, or not; unless something else was appended. STATUS_INVALID: not that many bytes. */
NODISCARD enum status record_file_append(struct record_file *file, struct slice bytes,
                                         struct error *err);

NODISCARD enum status record_file_sync(struct record_file *file, struct error *err);

/* Removes the oldest segment, durably. After a failure its records may be back after the next opening.
 * STATUS_PRECONDITION: there is only one. */
NODISCARD enum status record_file_drop(struct record_file *file, struct error *err);

/* Reads all records again, in order, to EACH_RECORD(ARG, bytes). */
NODISCARD enum status record_file_each(struct record_file *file,
                                       void (*each_record)(void *arg, struct slice bytes),
                                       void *arg, struct error *err);

/* How many records there are, and how many of them, the first ones, are durable. */
uint64_t record_file_held(const struct record_file *file);
uint64_t record_file_promised(const struct record_file *file);

#endif
