/* coordinator/key_commands.h: what `tidemark-coordinator` does with keys: making them, and the commands `repository key`. Reads of a
 * repository its file `repository` alone, so it needs no lock. All block; main()'s thread, before there are others: a passphrase
 * may be asked for on the terminal. Each prints a sentence on standard output when it has succeeded. */
#ifndef COORDINATOR_KEY_COMMANDS_H
#define COORDINATOR_KEY_COMMANDS_H

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/options.h"
#include "format/id.h"
#include "format/keys.h"

/* The key of OPTIONS->key, opened by its passphrase if it has one. The caller wipes *ret_key. STATUS_DENIED: the passphrase is
 * another one. As key_file_read(), secret_get(). */
NODISCARD enum status key_commands_open(const struct options *options,
                                        struct repository_key *ret_key, struct error *err);

/* A new key in a file, a recovery kit, and a repository made by MAKE(ARG), under a new id and that key, in the folder
 * OPTIONS->data, which is there. All of it, or after a failure nothing. */
NODISCARD enum status key_commands_init(const struct options *options,
                                        enum status (*make)(void *arg, const struct random_id *id,
                                                            const struct repository_key *key,
                                                            struct error *err),
                                        void *arg, struct error *err);

/* Does the key, or the kit, open the repository? STATUS_DENIED: no. */
NODISCARD enum status key_commands_confirm(const struct options *options, struct error *err);

/* A new kit, of a key that was proved. */
NODISCARD enum status key_commands_export(const struct options *options, struct error *err);

/* The key file anew, under another passphrase or none: at every moment the old one or the new one is there. */
NODISCARD enum status key_commands_change_passphrase(const struct options *options,
                                                     struct error *err);

#endif
