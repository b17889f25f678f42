/* recover/output.h: where an extract goes: a new sparse file, which gets its name when it is whole, or a stream. Thread: main's;
 * blocks. */
#ifndef RECOVER_OUTPUT_H
#define RECOVER_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/slice.h"

struct output;

/* The file NAME in FS, of SIZE bytes: NAME.partial until output_finish(). REPLACE: NAME, and what is left of an earlier
 * NAME.partial, may be there; else STATUS_EXISTS. FS is borrowed. */
NODISCARD enum status output_file(struct fs *fs, const char *name, uint64_t size, bool replace,
                                  struct output **ret_output, struct error *err);

/* The stream STREAM, borrowed: holes go out as zeros. */
NODISCARD enum status output_stream(FILE *stream, uint64_t size, struct output **ret_output,
                                    struct error *err);

/* BYTES at OFFSET, ascending; what lies between is a hole. */
NODISCARD enum status output_write(struct output *output, uint64_t offset, struct slice bytes,
                                   struct error *err);

/* After the last one: the file is durable and has its name. Once, and nothing behind it but output_free(). */
NODISCARD enum status output_finish(struct output *output, struct error *err);

/* An unfinished file is removed. NULL is fine. */
void output_free(struct output *output);

#endif
