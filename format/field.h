/* format/field.h: the fields that several layouts have: texts, ids, references. Takers want what they take to be there and
 * to be valid: STATUS_CORRUPT, naming WHAT. Any thread. */
#ifndef FORMAT_FIELD_H
#define FORMAT_FIELD_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/cursor.h"
#include "base/error.h"
#include "format/id.h"

/* {u16 length, UTF-8 without control characters}. TEXT is shorter than 64 KiB. */
void field_put_text(struct buffer *target, const char *text);

enum field_emptiness { FIELD_EMPTY_REFUSED, FIELD_EMPTY_FINE };

/* The next text into TEXT of SIZE bytes, with a NUL. */
NODISCARD enum status field_take_text(struct cursor *cursor, const char *what,
                                      enum field_emptiness emptiness, char *text, size_t size,
                                      struct error *err);

void field_put_id(struct buffer *target, const struct id *id);
void field_put_random_id(struct buffer *target, const struct random_id *id);

/* Not zero. */
NODISCARD enum status field_take_random_id(struct cursor *cursor, const char *what,
                                           struct random_id *ret_id, struct error *err);

/* {id 32, number 8}. */
void field_put_ref(struct buffer *target, const struct ref *ref);

/* Neither of them zero. */
NODISCARD enum status field_take_ref(struct cursor *cursor, const char *what, struct ref *ret_ref,
                                     struct error *err);

/* Nothing is left of CURSOR, over all of WHAT. */
NODISCARD enum status field_end(const struct cursor *cursor, const char *what, struct error *err);

#endif
