/* format/key_text.h: a repository's key as a file has it, in either form: *plain* (64 hexadecimal digits, format/keys.h) or
 * *wrapped* by a passphrase (format/key_wrap.h). */
#ifndef FORMAT_KEY_TEXT_H
#define FORMAT_KEY_TEXT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/key_wrap.h"
#include "format/keys.h"

enum { KEY_TEXT_MAX = KEY_WRAP_FILE_MAX };

/* Its owner wipes it. */
struct key_text {
    bool wrapped;
    struct key_wrap wrap;        /* if it is wrapped */
    struct repository_key plain; /* if not */
};

/* Appends the file's text. */
void key_text_encode(const struct key_text *key, struct buffer *target);

/* STATUS_INVALID: it is no key of either form. Others as key_wrap_decode(). */
NODISCARD enum status key_text_decode(struct slice text, struct key_text *ret_key,
                                      struct error *err);

/* The key; PASSPHRASE counts for a wrapped one only. The caller wipes *ret_key. As key_wrap_open(). */
NODISCARD enum status key_text_open(const struct key_text *key, struct slice passphrase,
                                    struct repository_key *ret_key, struct error *err);

#endif
