/* base/text.h: text for people and for names, without surprises: nothing is cut silently, nothing is
 * parsed halfway. Any thread. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* Formats into TEXT of SIZE bytes. False: it did not fit (or FORMAT could not be encoded), and TEXT is
 * empty: a cut name is another name. SIZE is at least 1. */
NODISCARD PRINTF_LIKE(3, 4) bool text_format(char *text, size_t size, const char *format, ...);

/* TEXT as a decimal number: digits only, no sign, no space, no leading zero but in "0", and it fits.
 * False otherwise, *ret_value untouched. */
NODISCARD bool text_parse_u64(const char *text, uint64_t *ret_value);

/* Lower-case hexadecimal digits of BYTES and a NUL; TEXT has 2 * BYTES.size + 1 bytes. */
void text_hex(struct slice bytes, char *text);

/* The inverse: TEXT is exactly 2 * SIZE digits 0-9 and a-f. False otherwise, BYTES untouched. */
NODISCARD bool text_parse_hex(struct slice text, uint8_t *bytes, size_t size);

/* The length of the well-formed UTF-8 character that BYTES begin with (RFC 3629, section 4); 0: none, or no bytes. */
size_t text_character(struct slice bytes);

/* Is CHARACTER, one such, a control character: U+0000 to U+001F, U+007F to U+009F (terminals obey those too)? */
bool text_is_control(struct slice character);

/* Is all of BYTES such characters, and none of them a control character? */
bool text_is_plain(struct slice bytes);

/* The largest length of at most SIZE at which TEXT (UTF-8) can be cut between two characters. */
size_t text_cut(const char *text, size_t size);

#endif
