/* tests/golden/golden.h: a small repository in which everything occurs that docs/format.md allows, always the same. Written by
 * format/ alone, from a fixed key and fixed seeds, so that it is no store's opinion. Whatever fails is a broken invariant. */
#ifndef TESTS_GOLDEN_GOLDEN_H
#define TESTS_GOLDEN_GOLDEN_H

#include <stdbool.h>

#include "base/fs.h"
#include "format/keys.h"

/* The repository's key: 00 01 ... 1f. */
struct repository_key golden_key(void);

/* Writes repository/, expected.json and signatures into OUT, an empty folder. KEPT has the hosts' credentials (agents-ca.pem,
 * host-cert.pem, host-key.pem), and perhaps the signatures of a run before, which are used again where they are still right:
 * ECDSA makes another one each time, and all that lies behind a signature in a chain is made from it. */
void golden_write(struct fs *out, struct fs *kept);

/* The whole file at PATH, appended to what the caller owns; false: there is none. */
struct buffer;
bool golden_read(struct fs *fs, const char *path, struct buffer *target);

/* What zstd makes of one input depends on its version: this one's. */
const char *golden_packer(void);

#endif
