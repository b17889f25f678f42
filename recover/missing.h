/* recover/missing.h: the map of what an extract could not have: byte ranges and reasons, as lines in a file beside the extract
 * (or nowhere), the first of them also for a person. Thread: main's; blocks.
 *
 * A line: OFFSET LENGTH REASON, both decimal, in bytes. Neighbours with one reason are one line. */
#ifndef RECOVER_MISSING_H
#define RECOVER_MISSING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"

enum { MISSING_REASON_SIZE = 512, MISSING_SHOWN_MAX = 100 };

/* A value; its fields are missing.c's but for the counts. */
struct missing {
    uint64_t bytes; /* in all ranges so far */
    uint64_t ranges;
    FILE *shown;
    struct fs *fs;
    const char *name; /* of the file in FS; NULL: none is written */
    struct fs_file *file;
    uint64_t written;
    struct buffer lines;
    bool open; /* there is a range that may still grow: */
    uint64_t offset;
    uint64_t length;
    char reason[MISSING_REASON_SIZE];
};

/* FS, NAME and SHOWN are borrowed. The file is made with the first range. Pairs with missing_deinit(). */
void missing_init(struct missing *missing, FILE *shown, struct fs *fs, const char *name);
void missing_deinit(struct missing *missing);

/* [OFFSET, OFFSET + LENGTH) is missing because of REASON. Ascending. STATUS_EXISTS: the file is there already. */
NODISCARD enum status missing_add(struct missing *missing, uint64_t offset, uint64_t length,
                                  const char *reason, struct error *err);

/* After the last one: the file, if there is any, is whole and durable but for its name. */
NODISCARD enum status missing_finish(struct missing *missing, struct error *err);

#endif
