/* tests/disk_contract.h: what every filling of agent/disk/disk.h must do, as tests. A filling's own
 * test gives it a world to do it in, and runs the suite. */
#ifndef TESTS_DISK_CONTRACT_H
#define TESTS_DISK_CONTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/slice.h"
#include "agent/disk/disk.h"

enum { DISK_WORLD_PATH_SIZE = 1024 };

/* A machine with one disk that a guest writes to. The first member of the filling's own struct. */
struct disk_world {
    const struct disk_world_ops *ops;
    struct loop *loop; /* the test's main thread */
    struct disk_opener *opener;
    const char *new_path; /* where a new disk may be made, apart from the guest's */
};

struct disk_world_ops {
    const char *name;      /* of the filling */
    bool exact_allocation; /* an empty disk has no allocated ranges */
    bool exact_changes;    /* what did not change is not reported */
    /* A world whose disk has SIZE bytes (of whole logical sectors of SECTOR bytes), all zero; freed by
     * free_world(), when all disks are closed. */
    struct disk_world *(*make_world)(uint64_t size, uint32_t sector);
    void (*free_world)(struct disk_world *world);
    /* Freezes the disk as it is; where that state can be opened. */
    void (*freeze)(struct disk_world *world, char ret_path[DISK_WORLD_PATH_SIZE]);
    /* What the guest does, in whole sectors: writes, or makes zero by a trim. */
    void (*guest_write)(struct disk_world *world, uint64_t offset, struct slice data);
    void (*guest_trim)(struct disk_world *world, uint64_t offset, uint64_t length);
    /* The frozen state CHANGE_ID is known no longer. It is not open. */
    void (*forget)(struct disk_world *world, const char *change_id);
};

/* Runs the suite with sectors of SECTOR bytes; returns the number of failures, as cmocka does. */
int disk_contract(const struct disk_world_ops *ops, uint32_t sector);

/* For tests of a filling beside the suite: each waits until it is done. */
enum status disk_contract_open(struct disk_world *world, const char *path, struct disk **ret_disk,
                               struct error *ret_err);
enum status disk_contract_make(struct disk_world *world, const char *path, uint64_t size,
                               uint32_t sector, struct disk **ret_disk, struct error *ret_err);
enum status disk_contract_io(struct disk_world *world, struct disk *disk, enum disk_io_kind kind,
                             uint64_t offset, void *data, size_t length, struct error *ret_err);
enum status disk_contract_query(struct disk_world *world, struct disk *disk, const char *since,
                                uint64_t offset, struct range_list *ranges,
                                uint64_t *ret_covered_to, struct error *ret_err);
void disk_contract_close(struct disk_world *world, struct disk *disk);

#endif
