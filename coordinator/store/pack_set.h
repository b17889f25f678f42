/* coordinator/store/pack_set.h: which packs there are, what is known of each, and records read out of them: a few files stay
 * open. Thread: the store's. */
#ifndef COORDINATOR_STORE_PACK_SET_H
#define COORDINATOR_STORE_PACK_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/index.h"
#include "format/pack.h"
#include "format/record.h"

enum { PACK_SET_OPEN_MAX = 64 };

struct pack {
    struct random_id name;
    enum pack_class class;
    bool sealed;
    uint64_t
        synced;     /* of one that is not sealed: bytes known to be durable; 0: not even its name */
    uint64_t bytes; /* of its file, as far as is known without asking */
    /* The set's own: */
    struct fs_file *file;
    uint64_t last_used;
};

struct pack_set {
    struct fs *fs;
    struct pack **packs; /* by name */
    size_t count;
    size_t room;
    struct pack *open[PACK_SET_OPEN_MAX]; /* those with a file, in any order */
    size_t open_count;
    uint64_t uses;
};

/* Empty. FS is borrowed. Pairs with pack_set_deinit(). */
void pack_set_init(struct pack_set *set, struct fs *fs);
void pack_set_deinit(struct pack_set *set);

/* Adds a pack; *ret_pack is good until pack_set_remove(). STATUS_EXISTS: there is one of that name. */
NODISCARD enum status pack_set_add(struct pack_set *set, const struct random_id *name,
                                   enum pack_class class, struct pack **ret_pack,
                                   struct error *err);
void pack_set_remove(struct pack_set *set, struct pack *pack);

/* NULL: no such pack. */
struct pack *pack_set_find(const struct pack_set *set, const struct random_id *name);

/* Adds every pack in the folder. */
NODISCARD enum status pack_set_list(struct pack_set *set, struct error *err);

/* PACK's file, open for reading until the next call. */
NODISCARD enum status pack_set_open(struct pack_set *set, struct pack *pack,
                                    struct fs_file **ret_file, struct error *err);

/* LENGTH bytes of pack NAME at OFFSET into DATA, unchecked. STATUS_CORRUPT: too short, or there is no such pack. */
NODISCARD enum status pack_set_read_bytes(struct pack_set *set, const struct random_id *name,
                                          uint64_t offset, void *data, size_t length,
                                          struct error *err);

/* The record at PLACE into RET_RECORD (cleared first), its CRCs checked. STATUS_CORRUPT: damaged, too short, or there is no
 * such pack; the sentence names pack and offset. */
NODISCARD enum status pack_set_read(struct pack_set *set, const struct place *place,
                                    struct record_header *ret_header, struct buffer *ret_record,
                                    struct error *err);

#endif
