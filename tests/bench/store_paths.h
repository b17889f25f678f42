/* tests/bench/store_paths.h: the ways of data into and out of a store, as the coordinator has them, without the network: workers
 * compute, one thread owns the store, memory is bounded. For measuring: whatever fails ends the program with a sentence.
 * Thread: the main one. */
#ifndef TESTS_BENCH_STORE_PATHS_H
#define TESTS_BENCH_STORE_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "base/slice.h"
#include "coordinator/store/disk_tree.h"
#include "coordinator/store/store.h"

/* Ends the program unless STATUS is STATUS_OK. */
void bench_must(enum status status, const struct error *err);

double bench_now(void); /* seconds of this machine's life */
double bench_cpu(void); /* seconds of this thread's work */

/* The bytes of the file at PATH (memory_free). */
uint8_t *bench_load(const char *path, uint64_t *ret_size);

struct bench_store {
    struct fs *fs;
    struct index *index;
    struct log_sink *sink;
    struct log log;
    struct store *store;
    struct loop *loop;
    struct pool *workers;
    struct pool *store_thread;
    unsigned cores;
};

/* A new repository in the folder PATH, made here. */
void bench_store_begin(struct bench_store *bench, const char *path, unsigned cores);
/* Closes and opens it. */
void bench_store_reopen(struct bench_store *bench);
/* Closes it; its folder stays, for whoever began this program to remove. */
void bench_store_end(struct bench_store *bench);

/* A block as an agent sends it. */
struct bench_packed {
    struct id id;
    uint8_t codec;
    struct slice bytes;
};

struct bench_disk {
    const uint8_t *data;
    uint64_t size; /* bytes: a multiple of 512 */
    uint32_t block_size;
    const struct bench_packed *packed; /* of each block; NULL: they are packed on the way */
    const bool *changed;               /* of each block, where there is a parent; NULL: all are */
};

struct bench_result {
    double seconds;
    double work;     /* seconds of all of this program's threads */
    uint64_t blocks; /* that were looked at, holes left out */
    uint64_t plain;  /* bytes of them */
    uint64_t stored; /* bytes appended to packs */
};

/* Calls RUN(ARG, 0), RUN(ARG, 1) ... on CORES threads at once. Of the result only the times count. */
struct bench_result bench_each_core(unsigned cores, void (*run)(void *arg, unsigned core),
                                    void *arg);

/* Stores DISK as a restore point: *RET_ROOT. With packed blocks: unpacked, proved, sealed, appended; without: hashed, packed,
 * sealed, appended; in either case with its tree, and durable. */
struct bench_result bench_write(struct bench_store *bench, const struct bench_disk *disk,
                                const struct ref *parent, struct ref *ret_root);

/* Reads and proves all blocks of the disk ROOT, and throws them away. */
struct bench_result bench_read(struct bench_store *bench, const struct ref *root);

/* Checks the whole repository with its keys; anything bad ends the program. STORED of the result: bytes of packs. */
struct bench_result bench_check(struct bench_store *bench);

#endif
