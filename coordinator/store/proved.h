/* coordinator/store/proved.h: when each pack was last proved by a check, and what that found: the cache file `proved` of the
 * data folder, replaced as a whole. Missing, damaged, or another repository's: nothing is proved. Little-endian:
 *
 *      0  8  magic "TMprovd\0"
 *      8  4  version, 0
 *     12  4  number of packs, at most PROVED_PACKS_MAX
 *     16 16  repository
 *     32     for each pack, ascending by name: {name 16, i64 when (UTC microseconds), u8 1: damaged, 7 zero}: 32 bytes
 *         4  CRC-32C of all bytes before
 *
 * Thread: the store's; reading and writing block. */
#ifndef COORDINATOR_STORE_PROVED_H
#define COORDINATOR_STORE_PROVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/slice.h"
#include "format/id.h"

#define PROVED_FILE "proved"

/* 64 TiB of packs of 64 MiB; 32 MiB of file, and of memory. */
enum { PROVED_PACKS_MAX = 1024 * 1024 };

struct proved_pack {
    struct random_id name;
    int64_t time_us; /* when a check has read all of it */
    bool damaged;    /* as that check has found */
};

/* Zeroed: nothing is proved. Pairs with proved_deinit(). */
struct proved {
    struct proved_pack *packs; /* ascending by name */
    size_t count;
    size_t room;
};

void proved_deinit(struct proved *proved);

/* What BYTES, which are a file's of REPOSITORY, say. STATUS_CORRUPT: they are none. STATUS_UNSUPPORTED: of a later version. */
NODISCARD enum status proved_decode(struct slice bytes, const struct random_id *repository,
                                    struct proved *ret_proved, struct error *err);

/* Appends the file's content to TARGET. */
void proved_encode(const struct proved *proved, const struct random_id *repository,
                   struct buffer *target);

/* The file's content; a file that is missing, damaged or cannot be read says that nothing is proved. STATUS_EXHAUSTED: no
 * memory. */
NODISCARD enum status proved_read(struct fs *fs, const struct random_id *repository,
                                  struct proved *ret_proved, struct error *err);

/* Replaces the file. After a failure it says what it said before, or this. */
NODISCARD enum status proved_write(struct fs *fs, const struct random_id *repository,
                                   const struct proved *proved, struct error *err);

/* What is known of the pack NAME; NULL: it was never proved. */
const struct proved_pack *proved_find(const struct proved *proved, const struct random_id *name);

/* PACK takes the place of what was known of it. STATUS_EXHAUSTED: no memory, or too many packs; nothing has changed. */
NODISCARD enum status proved_note(struct proved *proved, const struct proved_pack *pack,
                                  struct error *err);

/* Forgets every pack of which IS_THERE(ARG, name) is false. */
void proved_keep(struct proved *proved, bool (*is_there)(void *arg, const struct random_id *name),
                 void *arg);

#endif
