/* tests/support/lmdb_damage.h: damages the file of an LMDB index so that it still opens. */
#ifndef TESTS_SUPPORT_LMDB_DAMAGE_H
#define TESTS_SUPPORT_LMDB_DAMAGE_H

#include <stddef.h>

#include "base/fs.h"

/* Zeroes every leaf page of the file at PATH with more than 20 entries: all of the big databases, and none that opening
 * looks at. Gives their number. Who has the file open sees it at once, through the map. */
size_t lmdb_damage_leaves(struct fs *fs, const char *path);

#endif
