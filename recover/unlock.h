/* recover/unlock.h: the repository's key, out of a recovery kit or a key file, and what a kit says besides. Thread: main's; blocks, and
 * may ask on the terminal. */
#ifndef RECOVER_UNLOCK_H
#define RECOVER_UNLOCK_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/id.h"
#include "format/keys.h"
#include "recover/teller.h"

struct unlock_options {
    const char *kit;             /* path; or NULL, and then: */
    const char *key;             /* path of a key file, plain or wrapped */
    const char *passphrase_file; /* path; NULL: asked for, if it is needed */
    const char *agents_ca; /* path of certificates (PEM) instead of the kit's; NULL: the kit's */
};

struct unlocked {
    struct keys *keys;
    bool repository_known; /* by the kit, or by a wrapped key */
    struct random_id repository;
    bool compared;   /* the folder says of itself that it is the key's */
    char *agents_ca; /* PEM; NULL: none */
};

/* STATUS_DENIED: the passphrase is another one. Others as format/kit.h and format/key_text.h say. */
NODISCARD enum status unlock(const struct unlock_options *options, struct unlocked *ret_unlocked,
                             struct error *err);
void unlocked_deinit(struct unlocked *unlocked); /* zeroed is fine */

/* Holds what was unlocked against the file that makes FS a repository; that it is missing or damaged is only said by TELLER, for the packs
 * prove themselves. STATUS_PRECONDITION: it is another repository, or another key's. STATUS_UNSUPPORTED: of another version. */
NODISCARD enum status unlock_compare(struct unlocked *unlocked, struct fs *fs,
                                     struct teller *teller, struct error *err);

#endif
