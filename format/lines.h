/* format/lines.h: text files of fixed lines, for people and for programs: ASCII, each line ended by one line feed,
 * the version in the second, and as the last one "crc " with the CRC-32C of all before, 8 digits, as a person writes
 * the number. */
#ifndef FORMAT_LINES_H
#define FORMAT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum { LINES_HEX_MAX = 64 }; /* bytes in one line */

void lines_put_text(struct buffer *target, const char *text);

/* "WORD digits": WORD ends in its space, SIZE is at most LINES_HEX_MAX. */
void lines_put_hex(struct buffer *target, const char *word, const uint8_t *bytes, size_t size);

/* "version V build B", those of this program (format/repository.h). */
void lines_put_version(struct buffer *target);

/* The last line, over all that TARGET got from START on. */
void lines_put_crc(struct buffer *target, size_t start);

/* Does *TEXT begin with WORD? Then steps over it. */
NODISCARD bool lines_take_word(struct slice *text, const char *word);

/* The number at the start of *TEXT, decimal, and steps over it. */
NODISCARD bool lines_take_number(struct slice *text, uint64_t *ret_number);

/* "WORD digits" of SIZE bytes, a whole line; steps over it. */
NODISCARD bool lines_take_hex(struct slice *text, const char *word, uint8_t *bytes, size_t size);

/* The line of the version. STATUS_CORRUPT: there is none. STATUS_UNSUPPORTED: WHAT ("the repository") is of another
 * version or build; the sentence names both and says what to do. */
NODISCARD enum status lines_take_version(struct slice *text, const char *what, struct error *err);

/* Does TEXT begin with TITLE and end with a right sum? Then *ret_rest is what they enclose. */
NODISCARD bool lines_are_whole(struct slice text, const char *title, struct slice *ret_rest);

#endif
