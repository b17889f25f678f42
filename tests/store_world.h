/* tests/store_world.h: a store with everything around it for tests: files and index in memory, a seeded source of randomness, a
 * clock set by hand, a log that can be read; and restore points of one small disk, whose every byte is known. */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/fs.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/store.h"
#include "format/keys.h"
#include "tests/support/clock_manual.h"
#include "tests/support/index_memory.h"
#include "tests/support/random_seeded.h"

enum {
    WORLD_BLOCK_SIZE = 4096,
    WORLD_BLOCKS = 200, /* two levels of nodes */
    WORLD_LOG_SIZE = 16 * 1024,
};

struct store_world {
    struct fs *fs;       /* what the store works on; not the world's to free */
    struct index *index; /* replaced by a test as it likes; freed with the world */
    struct random_seeded random;
    struct clock_manual *clock;
    struct log_sink *sink;
    struct log log;
    int log_fds[2]; /* the lines go through a pipe */
    char lines[WORLD_LOG_SIZE];
    struct store_options options;
    struct repository_key key;
};

/* Over FS, with an empty index; packs of PACK_SIZE bytes, 64 numbers at a time. */
void store_world_init(struct store_world *world, struct fs *fs, uint64_t pack_size, uint64_t seed);
void store_world_deinit(struct store_world *world);

/* Another index; the one before is freed. */
void store_world_set_index(struct store_world *world, struct index *take_index);

/* Over another file system, with ids and nonces from another seed. */
void store_world_set_fs(struct store_world *world, struct fs *fs, uint64_t seed);

/* What was logged since the last call. */
const char *store_world_lines(struct store_world *world);

NODISCARD enum status store_world_create(struct store_world *world, struct error *err);
NODISCARD enum status store_world_open(struct store_world *world, struct store **ret_store,
                                       struct error *err);

/* What a point of the disk holds: of each block which content, 0: a hole. */
struct world_disk {
    uint16_t blocks[WORLD_BLOCKS];
};

struct world_point {
    struct random_id task;
    struct random_id domain; /* zeros: the default one */
    struct world_disk disk;
    uint16_t file; /* the first content of a file of two blocks and a short one; 0: there is none */
    struct ref root;
    struct ref file_root;
    struct ref envelope;
};

/* The domain of POINT; NULL: STORE does not know it. */
const struct store_domain *world_domain(const struct store *store, const struct world_point *point);

/* A tree of the disk, grown from the one with PARENT's root (NULL: all holes). */
NODISCARD enum status world_tree_new(struct store *store, const struct store_domain *domain,
                                     const struct id *parent, struct disk_tree **ret_tree,
                                     struct error *err);

/* Blocks from FROM to below TO. */
struct world_part {
    unsigned from;
    unsigned to;
};

/* Stores the blocks of PART that are others than PARENT's (NULL: holes) and puts them into TREE. */
NODISCARD enum status world_put_blocks(struct store *store, const struct store_domain *domain,
                                       struct disk_tree *tree, const struct world_disk *disk,
                                       const struct world_disk *parent, struct world_part part,
                                       struct error *err);

/* Stores file, body and envelope of POINT, whose root is known. */
NODISCARD enum status world_put_envelope(struct store *store, struct world_point *point,
                                         struct error *err);

/* Is the disk of ROOT what DISK says, byte for byte? STATUS_CORRUPT: it is not. */
NODISCARD enum status world_disk_check(struct store *store, const struct store_domain *domain,
                                       const struct ref *root, const struct world_disk *disk,
                                       struct error *err);

/* The task with the number NUMBER. */
struct random_id world_task(unsigned number);

/* Stores the blocks of POINT->disk, its tree (grown from PARENT's; NULL: whole), and the envelope; fills in the refs. */
NODISCARD enum status world_point_upload(struct store *store, struct world_point *point,
                                         const struct world_point *parent, struct error *err);

/* The same, and commits it. */
NODISCARD enum status world_point_commit(struct store *store, struct world_point *point,
                                         const struct world_point *parent, struct error *err);

/* Reads all of POINT back by its envelope. STATUS_CORRUPT: it is not what was stored. */
NODISCARD enum status world_point_check(struct store *store, const struct world_point *point,
                                        struct error *err);

/* The point of TASK; NULL: none. */
const struct store_point *world_point_of(const struct store *store, const struct random_id *task);

/* Does the store show a point of TASK? */
bool world_shows(const struct store *store, const struct random_id *task);

/* The FIRST content at COUNT blocks, STEP apart. */
struct world_disk world_disk_of(uint16_t first, unsigned count, unsigned step);

/* ---- Files, for who changes them behind the store's back ---- */

/* All of the file at PATH; the caller's (memory_free). */
uint8_t *world_read_file(struct fs *fs, const char *path, size_t *ret_size);

/* The file at PATH, there or not, has CONTENT now. */
void world_write_file(struct fs *fs, const char *path, struct slice content);

/* The files in DIR of FS go; where THEN is not NULL those that it has there come instead. */
void world_put_back(struct fs *fs, struct fs *then, const char *dir);

#endif
