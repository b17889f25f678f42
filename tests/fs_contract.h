/* tests/fs_contract.h: what every filling of base/fs.h must do, run against each. */
#ifndef TESTS_FS_CONTRACT_H
#define TESTS_FS_CONTRACT_H

#include "base/fs.h"

struct fs_contract {
    const char *name;
    /* Makes FS, empty, for each test anew; and takes it away. */
    void (*make)(struct fs_contract *contract);
    void (*unmake)(struct fs_contract *contract);
    struct fs *fs;
    struct fs *inner; /* MAKE's, for whatever else it needs */
    char folder[256];
};

/* Runs the suite; how many of its tests failed. */
int fs_contract_run(struct fs_contract *contract);

#endif
