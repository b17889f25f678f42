/* base/secret.h: what nobody else may see: passphrases on their way in, and the memory of a process that holds keys. POSIX and
 * Linux; the agent on Windows will ask its own system. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum { SECRET_MAX = 1024 }; /* bytes of a passphrase */

/* Zeroed: none. Its owner wipes it (secret_wipe). */
struct secret {
    char bytes[SECRET_MAX + 1]; /* one more: a line feed that is not the passphrase's */
    size_t size;
};

void secret_wipe(struct secret *secret);
struct slice secret_slice(const struct secret *secret);

/* The content of the file PATH, as it is but for one line feed at its end. STATUS_PRECONDITION: it is for others to read too.
 * STATUS_INVALID: it is empty, or longer than SECRET_MAX. STATUS_NOT_FOUND. Blocks. */
NODISCARD enum status secret_read(const char *path, struct secret *ret_secret, struct error *err);

/* Prints PROMPT on the terminal of the process and reads a line, which is not shown. A signal that would end the process, or
 * stop it, does so with the terminal as it was; after a stop the prompt comes again. STATUS_UNSUPPORTED: there is no terminal.
 * STATUS_INVALID: nothing was typed, or too much. Blocks; main()'s thread, before there are others. */
NODISCARD enum status secret_ask(const char *prompt, struct secret *ret_secret, struct error *err);

/* The passphrase in the file PATH; NULL: asked for by PROMPT, and if AGAIN is not NULL once more by that, for the same.
 * STATUS_INVALID: two different ones were typed. STATUS_UNSUPPORTED: no terminal; the sentence names WAY_OUT, the
 * options that do without one. As the two above. */
NODISCARD enum status secret_get(const char *path, const char *way_out, const char *prompt,
                                 const char *again, struct secret *ret_secret, struct error *err);

/* A buffer for a text with secrets, of LIMIT bytes at once: it never grows, so that no copy stays behind. */
NODISCARD enum status secret_buffer_init(struct buffer *buffer, size_t limit, struct error *err);
void secret_buffer_deinit(struct buffer *buffer); /* wipes */

/* From now on this process leaves no core file, and no other process of its user reads its memory. */
NODISCARD enum status secret_shield_process(struct error *err);

#endif
