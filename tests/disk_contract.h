/* tests/disk_contract.h: what every filling of agent/disk/disk.h must do, as tests. A filling's own
 * test gives it a world to do it in, and runs the suite. */
#ifndef TESTS_DISK_CONTRACT_H
#define TESTS_DISK_CONTRACT_H

#include <stdint.h>

#include "base/loop.h"
#include "base/slice.h"
#include "agent/disk/disk.h"

/* A machine with one disk that a guest writes to. The first member of the filling's own struct. */
struct disk_world {
    const struct disk_world_ops *ops;
    struct loop *loop; /* the test's main thread */
};

struct disk_world_ops {
    const char *name; /* of the filling */
    /* A world whose disk has SIZE bytes (of whole logical sectors), all zero; freed by free_world(). */
    struct disk_world *(*make_world)(uint64_t size);
    void (*free_world)(struct disk_world *world);
    /* Freezes the disk as it is, and opens that state: the caller's (disk_close). Waits for it. */
    struct disk *(*freeze)(struct disk_world *world);
    /* Makes and opens a new disk of SIZE bytes, apart from the guest's. Waits for it. */
    struct disk *(*make_disk)(struct disk_world *world, uint64_t size);
    /* What the guest does: writes, or makes [OFFSET, OFFSET + LENGTH) zero by a trim. */
    void (*guest_write)(struct disk_world *world, uint64_t offset, struct slice data);
    void (*guest_trim)(struct disk_world *world, uint64_t offset, uint64_t length);
    /* The frozen state CHANGE_ID is known no longer. It is not open. */
    void (*forget)(struct disk_world *world, const char *change_id);
};

/* Runs the suite; returns the number of failures, as cmocka does. */
int disk_contract(const struct disk_world_ops *ops);

/* For tests of a filling beside the suite: each waits until it is done. */
enum status disk_contract_io(struct disk_world *world, struct disk *disk, enum disk_io_kind kind,
                             uint64_t offset, void *data, size_t length, struct error *ret_err);
enum status disk_contract_query(struct disk_world *world, struct disk *disk, const char *since,
                                uint64_t offset, struct range_list *ranges,
                                uint64_t *ret_covered_to, struct error *ret_err);
void disk_contract_close(struct disk_world *world, struct disk *disk);

#endif
