/* recover/extract.h: disks and files of a point into files, or one into a stream. Thread: main's; blocks. */
#ifndef RECOVER_EXTRACT_H
#define RECOVER_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "recover/points.h"
#include "recover/teller.h"
#include "recover/things.h"

/* All borrowed. */
struct extract_options {
    struct things *things;
    const struct point *point;
    struct teller *teller;
    bool keep_going; /* what is lost becomes zeros, and is listed */
    bool force;      /* replaces files that are there */
    struct fs *fs;   /* the folder; NULL: to STREAM */
    FILE *stream;
};

/* Item ITEM of the point into the file NAME. *RET_MISSING: bytes that are zeros because they are lost; then NAME.missing says
 * which. STATUS_CORRUPT: something is lost, and keep_going is not set or nothing at all can be had; no file is left. */
NODISCARD enum status extract_item(const struct extract_options *options, size_t item,
                                   const char *name, uint64_t *ret_missing, struct error *err);

/* All of them, each under a name made of its own. With keep_going, what fails for damage does not keep the others from coming, and
 * counts as missing. */
NODISCARD enum status extract_all(const struct extract_options *options, uint64_t *ret_missing,
                                  struct error *err);

/* The file name that item ITEM of POINT gets: what no file system takes is '_', a disk's ends in .raw, and where two would be the
 * same all have a number in front. */
enum { EXTRACT_NAME_SIZE = 256 };

void extract_name(const struct point *point, size_t item, char name[EXTRACT_NAME_SIZE]);

#endif
