/* recover/walk.h: the blocks of one disk or file in ascending order, and what of its tree is lost. Thread: main's; blocks. */
#ifndef RECOVER_WALK_H
#define RECOVER_WALK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/disk_root.h"
#include "recover/things.h"

/* What is done with it. */
struct walk_calls {
    /* A block that is no hole: number BLOCK, named REF. */
    enum status (*block)(void *arg, uint64_t block, const struct ref *ref, struct error *err);
    /* A node above the bytes [OFFSET, OFFSET + LENGTH) is lost: as WHY says. */
    enum status (*lost)(void *arg, uint64_t offset, uint64_t length, const struct error *why,
                        struct error *err);
};

/* Calls both in ascending order until one fails. ROOT was read from DOMAIN. */
NODISCARD enum status walk_tree(struct things *things, const struct random_id *domain,
                                const struct disk_root *root, const struct walk_calls *calls,
                                void *arg, struct error *err);

/* The bytes of COUNT blocks from BLOCK on: the disk's last one may be short. */
uint64_t walk_length(const struct disk_root *root, uint64_t block, uint64_t count);

#endif
