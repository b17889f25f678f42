/* How fast the store is beside what it is made of: bounds and paths on the same data, in the same run, in turn.
 *     store_bench paths FOLDER DATA ROUNDS        DATA: a file, the disk; prints a table of medians
 *     store_bench incremental FOLDER GIB          1,000 changed blocks of a disk of GIB, of which 10 GiB hold data
 * FOLDER exists; what is made in it is the caller's to remove. scripts/bench calls both. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "base/fs_posix.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/codec.h"
#include "format/record.h"
#include "tests/bench/store_paths.h"

enum {
    BLOCK = BLOCK_SIZE_DEFAULT,
    ROUNDS_MAX = 25,
    PACK = 64 * 1024 * 1024,
    PIECE = 1024 * 1024,
    CORES_MAX = 64
};

enum row {
    ROW_HMAC,
    ROW_PACK,
    ROW_UNPACK,
    ROW_SEAL,
    ROW_OPEN,
    ROW_CRC,
    ROW_DISK,
    ROW_FIRST,
    ROW_UPLOAD,
    ROW_RESTORE,
    ROW_CHECK,
    ROWS
};

static const char *const names[ROWS] = {
    "HMAC-SHA-256",
    "zstd level 1",
    "zstd back",
    "AES-256-GCM (of what is packed)",
    "AES-256-GCM back (of what is packed)",
    "CRC-32C (of what is packed)",
    "disk, one thread: written and synced (of what is packed)",
    "first write: hash, pack, seal, append, sync",
    "first write, the coordinator's part: unpack, prove, seal, append, sync",
    "restore to nowhere, page cache warm",
    "check of the repository, page cache warm",
};

/* Of one round, for all of the data. */
struct round {
    double seconds[ROWS];
    double work[ROWS]; /* seconds of the cores; of the kernel's for us too */
};

struct bench {
    const char *folder;
    struct fs *fs;
    uint8_t *data;
    uint64_t size;
    size_t blocks;
    unsigned cores;
    struct bench_packed *packed;
    uint8_t *packed_bytes;
    uint64_t packed_size;
    uint64_t stored; /* by the first write */
    uint32_t sums[CORES_MAX];
    unsigned files;
    struct round rounds[ROUNDS_MAX];
    size_t round_count;
};

static void fail(const char *what)
{
    struct error err = {0};

    bench_must(error_set(&err, STATUS_INVALID, "%s", what), &err);
}

static void *must_have(size_t count, size_t size)
{
    void *memory = memory_new(count, size);

    if (memory == NULL)
        fail("no memory");
    return memory;
}

/* ---- The data -------------------------------------------------------------------------------- */

/* The file at PATH, whole blocks of it; each gets a number, so that no two are equal. */
static void load(struct bench *bench, const char *path)
{
    bench->data = bench_load(path, &bench->size);
    bench->blocks = (size_t)(bench->size / BLOCK);
    bench->size = (uint64_t)bench->blocks * BLOCK;
    for (size_t i = 0; i < bench->blocks; i++) {
        uint64_t number = i + 1;

        memcpy(bench->data + i * BLOCK, &number, sizeof(number));
    }
}

static struct slice block_of(const struct bench *bench, size_t block)
{
    return slice_of(bench->data + block * BLOCK, BLOCK);
}

/* The blocks as agents send them. */
static void pack_all(struct bench *bench)
{
    struct codec_context *codec = NULL;
    struct buffer packed;
    struct error err = {0};

    bench->packed = must_have(bench->blocks, sizeof(*bench->packed));
    bench->packed_bytes = must_have(bench->blocks, BLOCK);
    buffer_init(&packed, RECORD_PLAIN_MAX);
    bench_must(codec_context_new(&codec, &err), &err);
    for (size_t i = 0; i < bench->blocks; i++) {
        struct bench_packed *block = &bench->packed[i];
        enum codec chosen = CODEC_PLAIN;

        buffer_clear(&packed);
        bench_must(codec_compress(codec, block_of(bench, i), &packed, &chosen, &err), &err);
        block->codec = (uint8_t)chosen;
        block->bytes = slice_of(bench->packed_bytes + bench->packed_size, packed.size);
        memcpy(bench->packed_bytes + bench->packed_size, packed.data, packed.size);
        bench->packed_size += packed.size;
    }
    codec_context_free(codec);
    buffer_deinit(&packed);
}

/* Their ids in STORE, whose key is its own. */
static void name_all(struct bench *bench, const struct bench_store *store)
{
    struct error err = {0};

    for (size_t i = 0; i < bench->blocks; i++)
        bench_must(id_of(store_default_domain(store->store)->id_key, KIND_BLOCK, block_of(bench, i),
                         &bench->packed[i].id, &err),
                   &err);
}

/* ---- Bounds: the libraries themselves, one context a core, all cores at once ------------------- */

static void bound_hmac(void *arg, unsigned core)
{
    const struct bench *bench = arg;
    char sha256[] = "SHA2-256";
    const uint8_t key[32] = {1};
    uint8_t digest[32];
    size_t size = 0;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    bool ok = EVP_MAC_init(context, key, sizeof(key), params) == 1;

    for (size_t i = core; ok && i < bench->blocks; i += bench->cores)
        ok = EVP_MAC_init(context, NULL, 0, NULL) == 1 &&
             EVP_MAC_update(context, block_of(bench, i).data, BLOCK) == 1 &&
             EVP_MAC_final(context, digest, &size, sizeof(digest)) == 1;

    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    if (!ok)
        fail("HMAC-SHA-256 does not work");
}

static void bound_pack(void *arg, unsigned core)
{
    const struct bench *bench = arg;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    uint8_t *target = must_have(1, ZSTD_compressBound(BLOCK));

    for (size_t i = core; i < bench->blocks; i += bench->cores)
        if (ZSTD_isError(ZSTD_compressCCtx(context, target, ZSTD_compressBound(BLOCK),
                                           block_of(bench, i).data, BLOCK, 1)))
            fail("zstd does not pack");

    ZSTD_freeCCtx(context);
    memory_free(target);
}

static void bound_unpack(void *arg, unsigned core)
{
    const struct bench *bench = arg;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    uint8_t *target = must_have(1, BLOCK);

    for (size_t i = core; i < bench->blocks; i += bench->cores) {
        struct slice bytes = bench->packed[i].bytes;

        if (bench->packed[i].codec == CODEC_ZSTD &&
            ZSTD_decompressDCtx(context, target, BLOCK, bytes.data, bytes.size) != BLOCK)
            fail("zstd does not unpack");
    }

    ZSTD_freeDCtx(context);
    memory_free(target);
}

/* One key for all. Back: without looking at the tag, which costs the same. */
static void aes(const struct bench *bench, unsigned core, int encrypt)
{
    const uint8_t key[32] = {2};
    const uint8_t nonce[12] = {3};
    uint8_t tag[16];
    uint8_t *target = must_have(1, BLOCK);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ok = EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), key, nonce, encrypt, NULL) == 1;

    for (size_t i = core; ok && i < bench->blocks; i += bench->cores) {
        struct slice bytes = bench->packed[i].bytes;
        int done = 0;

        ok = EVP_CipherInit_ex2(context, NULL, NULL, nonce, encrypt, NULL) == 1 &&
             EVP_CipherUpdate(context, target, &done, bytes.data, (int)bytes.size) == 1;
        if (ok && encrypt)
            ok = EVP_CipherFinal_ex(context, target, &done) == 1 &&
                 EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) == 1;
    }

    EVP_CIPHER_CTX_free(context);
    memory_free(target);
    if (!ok)
        fail("AES-256-GCM does not work");
}

static void bound_seal(void *arg, unsigned core)
{
    aes(arg, core, 1);
}

static void bound_open(void *arg, unsigned core)
{
    aes(arg, core, 0);
}

static void bound_crc(void *arg, unsigned core)
{
    struct bench *bench = arg;
    uint32_t sum = 0;

    for (size_t i = core; i < bench->blocks; i += bench->cores)
        sum += hash_crc32c(0, bench->packed[i].bytes);
    bench->sums[core] = sum; /* so that it must be computed */
}

static void name_file(char name[32], unsigned number)
{
    if (!text_format(name, 32, "bound-%u", number))
        abort();
}

/* As much as the packed blocks, in files of a pack's size, each synced. */
static void bound_disk(struct bench *bench)
{
    struct error err = {0};
    struct fs_file *file = NULL;
    char name[32];

    for (uint64_t at = 0; at < bench->packed_size; at += PIECE) {
        uint64_t left = bench->packed_size - at;
        size_t piece = (size_t)(left < PIECE ? left : PIECE);

        if (at % PACK == 0) {
            if (file != NULL)
                bench_must(fs_sync(file, &err), &err);
            fs_close(file);
            name_file(name, bench->files++);
            bench_must(fs_open(bench->fs, name, FS_CREATE, &file, &err), &err);
        }
        bench_must(fs_write_at(file, at % PACK, slice_of(bench->packed_bytes + at, piece), &err),
                   &err);
    }
    bench_must(fs_sync(file, &err), &err);
    bench_must(fs_sync_dir(bench->fs, "", &err), &err);
    fs_close(file);
}

static void remove_files(struct bench *bench)
{
    struct error err = {0};
    char name[32];

    while (bench->files > 0) {
        name_file(name, --bench->files);
        bench_must(fs_remove(bench->fs, name, &err), &err);
    }
}

static void note(struct round *round, enum row row, const struct bench_result *result)
{
    round->seconds[row] = result->seconds;
    round->work[row] = result->work;
}

static void measure_bounds(struct bench *bench, struct round *round)
{
    void (*const bounds[])(void *arg, unsigned core) = {
        [ROW_HMAC] = bound_hmac, [ROW_PACK] = bound_pack, [ROW_UNPACK] = bound_unpack,
        [ROW_SEAL] = bound_seal, [ROW_OPEN] = bound_open, [ROW_CRC] = bound_crc,
    };
    struct bench_result result = {0};

    for (enum row row = 0; row < ROW_DISK; row++) {
        result = bench_each_core(bench->cores, bounds[row], bench);
        note(round, row, &result);
    }
    result.seconds = bench_now();
    result.work = bench_cpu();
    bound_disk(bench);
    result.seconds = bench_now() - result.seconds;
    result.work = bench_cpu() - result.work;
    note(round, ROW_DISK, &result);
    remove_files(bench);
}

/* ---- Paths ----------------------------------------------------------------------------------- */

/* Calls EACH for every name in DIR, then removes DIR. */
static void remove_after(struct fs *fs, const char *dir,
                         void (*each)(struct fs *fs, const char *path))
{
    struct fs_names all = {0};
    struct error err = {0};

    bench_must(fs_list(fs, dir, &all, &err), &err);
    for (size_t i = 0; i < all.count; i++) {
        char path[FS_PATH_SIZE];

        if (!text_format(path, sizeof(path), "%s/%s", dir, all.names[i]))
            abort();
        each(fs, path);
    }
    fs_names_deinit(&all);
    bench_must(fs_remove(fs, dir, &err), &err);
}

static void remove_file(struct fs *fs, const char *path)
{
    struct error err = {0};

    bench_must(fs_remove(fs, path, &err), &err);
}

/* A file, or a folder of files, as a repository has them. */
static void remove_part(struct fs *fs, const char *path)
{
    struct error err = {0};

    if (fs_remove(fs, path, &err) != STATUS_OK)
        remove_after(fs, path, remove_file);
}

static void begin_store(const struct bench *bench, struct bench_store *store)
{
    char path[512];

    if (!text_format(path, sizeof(path), "%s/store", bench->folder))
        fail("FOLDER has too long a name");
    bench_store_begin(store, path, bench->cores);
}

static void end_store(const struct bench *bench, struct bench_store *store)
{
    bench_store_end(store);
    remove_after(bench->fs, "store", remove_part);
}

/* In turn, on new stores. */
static void measure_paths(struct bench *bench, struct round *round)
{
    struct bench_disk disk = {.data = bench->data, .size = bench->size, .block_size = BLOCK};
    struct bench_store store;
    struct bench_result result;
    struct ref root;

    begin_store(bench, &store);
    result = bench_write(&store, &disk, NULL, &root);
    note(round, ROW_FIRST, &result);
    bench->stored = result.stored;
    bench_store_reopen(&store);
    result = bench_read(&store, &root);
    if (result.plain != bench->size)
        fail("not all was read back");
    note(round, ROW_RESTORE, &result);
    result = bench_check(&store);
    note(round, ROW_CHECK, &result);
    end_store(bench, &store);

    begin_store(bench, &store);
    name_all(bench, &store);
    disk.packed = bench->packed;
    result = bench_write(&store, &disk, NULL, &root);
    note(round, ROW_UPLOAD, &result);
    end_store(bench, &store);
}

/* ---- The table ------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;

    return (*a > *b) - (*a < *b);
}

/* What the libraries need for a path, of VALUES of a round: time of all cores, or work. */
static double needed(const double *values, enum row row)
{
    double both = values[ROW_HMAC] + values[ROW_CRC];

    switch (row) {
    case ROW_FIRST:
        return both + values[ROW_PACK] + values[ROW_SEAL];
    case ROW_UPLOAD:
        return both + values[ROW_UNPACK] + values[ROW_SEAL];
    default:
        return both + values[ROW_UNPACK] + values[ROW_OPEN];
    }
}

/* A path's time beside its bound: all cores busy with the libraries and with writing, or the disk. */
static double time_ratio(const struct bench *bench, const struct round *round, enum row row)
{
    double bound = needed(round->seconds, row);

    if (row == ROW_FIRST || row == ROW_UPLOAD) {
        bound += round->work[ROW_DISK] / bench->cores;
        if (bound < round->seconds[ROW_DISK])
            bound = round->seconds[ROW_DISK];
    }
    return bound / round->seconds[row];
}

/* The same of the work that it took: what else runs on the machine counts less. */
static double work_ratio(const struct bench *bench, const struct round *round, enum row row)
{
    double bound = needed(round->work, row);

    (void)bench;
    if (row == ROW_FIRST || row == ROW_UPLOAD)
        bound += round->work[ROW_DISK];
    return bound / round->work[row];
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double median_seconds(const struct bench *bench, enum row row)
{
    double values[ROUNDS_MAX];

    for (size_t i = 0; i < bench->round_count; i++)
        values[i] = bench->rounds[i].seconds[row];
    return median(values, bench->round_count);
}

/* Each round's path beside the same round's bounds. */
static double median_ratio(const struct bench *bench, enum row row,
                           double (*ratio)(const struct bench *bench, const struct round *round,
                                           enum row row))
{
    double values[ROUNDS_MAX];

    for (size_t i = 0; i < bench->round_count; i++)
        values[i] = ratio(bench, &bench->rounds[i], row);
    return median(values, bench->round_count);
}

static void print_table(const struct bench *bench)
{
    static const double targets[ROWS] = {
        [ROW_FIRST] = 0.75, [ROW_RESTORE] = 0.70, [ROW_CHECK] = 0.70};
    double megabytes = (double)bench->size / 1e6;

    (void)printf("%u cores, %zu rounds, %.0f MB in blocks of %d, packed to %.3f, stored as %.3f\n",
                 bench->cores, bench->round_count, megabytes, BLOCK,
                 (double)bench->packed_size / (double)bench->size,
                 (double)bench->stored / (double)bench->size);
    (void)printf("%-72s %6s %9s %9s\n", "(medians; all cores at once; MB/s of unpacked data)",
                 "MB/s", "of bound", "of work");
    for (enum row row = 0; row < ROWS; row++) {
        (void)printf("%-72s %6.0f", names[row], megabytes / median_seconds(bench, row));
        if (row >= ROW_FIRST) {
            double ratio = median_ratio(bench, row, time_ratio);

            (void)printf(" %8.0f%% %8.0f%%", ratio * 100,
                         median_ratio(bench, row, work_ratio) * 100);
            if (targets[row] > 0)
                (void)printf("  %s (%.0f%%)", ratio >= targets[row] ? "OK" : "missed",
                             targets[row] * 100);
        }
        (void)printf("\n");
    }
}

static int run_paths(const char *folder, const char *data, const char *rounds)
{
    struct bench bench = {.folder = folder};
    uint64_t count = 0;
    struct error err = {0};

    if (!text_parse_u64(rounds, &count) || count == 0 || count > ROUNDS_MAX)
        fail("ROUNDS is a number from 1 to 25");
    bench.cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (bench.cores > CORES_MAX)
        bench.cores = CORES_MAX;
    bench_must(fs_posix_new(folder, &bench.fs, &err), &err);
    load(&bench, data);
    pack_all(&bench);
    for (bench.round_count = 0; bench.round_count < count; bench.round_count++) {
        struct round *round = &bench.rounds[bench.round_count];

        measure_bounds(&bench, round);
        measure_paths(&bench, round);
        (void)fprintf(stderr, "round %zu: first write %.2f s, restore %.2f s\n",
                      bench.round_count + 1, round->seconds[ROW_FIRST],
                      round->seconds[ROW_RESTORE]);
    }
    print_table(&bench);
    memory_free(bench.data);
    memory_free(bench.packed);
    memory_free(bench.packed_bytes);
    fs_free(bench.fs);
    return EXIT_SUCCESS;
}

/* ---- An incremental -------------------------------------------------------------------------- */

enum { CHANGES = 1000, GIB_OF_DATA = 10, LEAF = TREE_FANOUT };

/* A tree over GIB, of which every STEPth leaf's blocks are said to be there: nobody reads them. */
static void grow_parent(struct bench_store *store, const struct disk_root *geometry, uint64_t step,
                        struct ref *ret_root)
{
    const struct store_domain *domain = store_default_domain(store->store);
    uint64_t leaves = disk_root_blocks(geometry->size, geometry->block_size) / LEAF;
    struct disk_tree *tree = NULL;
    struct disk_root root;
    struct error err = {0};

    bench_must(disk_tree_new(store->store, domain, geometry, NULL, &tree, &err), &err);
    for (uint64_t leaf = 0; leaf < leaves; leaf += step)
        for (uint64_t i = 0; i < LEAF; i++) {
            uint64_t block = leaf * LEAF + i;
            struct ref ref = {.number = 1 + block};

            bench_must(hash_sha256(slice_of(&block, sizeof(block)), (struct hash_digest *)&ref.id,
                                   &err),
                       &err);
            bench_must(disk_tree_put(tree, block, &ref, &err), &err);
        }
    bench_must(disk_tree_finish(tree, &root, ret_root, &err), &err);
    bench_must(store_sync(store->store, &err), &err);
    disk_tree_free(tree);
}

/* CHANGES new blocks, spread over what holds data, as an upload's two passes see them. */
static void change_blocks(struct bench_store *store, const struct disk_root *geometry,
                          const struct ref *parent, uint64_t step)
{
    const struct store_domain *domain = store_default_domain(store->store);
    uint64_t data_leaves = (uint64_t)GIB_OF_DATA * 1024 * 1024 * 1024 / BLOCK / LEAF;
    uint8_t *plain = must_have(1, BLOCK);
    struct disk_tree *tree = NULL;
    struct disk_root root;
    struct ref ref = {0};
    struct buffer nodes;
    struct error err = {0};

    buffer_init(&nodes, (size_t)2 * NODE_LEVEL_MAX * NODE_PLAIN_SIZE);
    bench_must(disk_tree_new(store->store, domain, geometry, &parent->id, &tree, &err), &err);
    for (uint64_t i = 0; i < CHANGES; i++) {
        uint64_t leaf = i * data_leaves / CHANGES;
        uint64_t block = leaf * step * LEAF + i % LEAF;

        memset(plain, (int)(i & 0xff), BLOCK);
        memcpy(plain, &block, sizeof(block));
        buffer_clear(&nodes);
        bench_must(disk_tree_touch(tree, block, 1, false, &nodes, &err), &err);
        bench_must(store_put(store->store, domain, KIND_BLOCK, slice_of(plain, BLOCK),
                             slice_of(plain, BLOCK), &ref, &err),
                   &err);
        bench_must(disk_tree_put(tree, block, &ref, &err), &err);
    }
    bench_must(disk_tree_finish(tree, &root, &ref, &err), &err);
    bench_must(store_sync(store->store, &err), &err);
    disk_tree_free(tree);
    buffer_deinit(&nodes);
    memory_free(plain);
}

static int run_incremental(const char *folder, const char *gib)
{
    const uint64_t gibibyte = UINT64_C(1024) * 1024 * 1024;
    struct bench_store store;
    struct ref parent;
    struct rusage usage;
    char path[512];
    uint64_t size = 0;

    if (!text_parse_u64(gib, &size) || size < GIB_OF_DATA || size > 16384)
        fail("GIB is a number from 10 to 16384");
    if (!text_format(path, sizeof(path), "%s/incremental-%s", folder, gib))
        fail("FOLDER has too long a name");

    const struct disk_root geometry = {.size = size * gibibyte,
                                       .block_size = BLOCK,
                                       .logical_sector = 512,
                                       .physical_sector = 4096};
    uint64_t step = size / GIB_OF_DATA;

    bench_store_begin(&store, path, 1);
    grow_parent(&store, &geometry, step, &parent);
    bench_store_reopen(&store);

    uint64_t appended = store_appended(store.store);
    double begin = bench_now();

    change_blocks(&store, &geometry, &parent, step);

    double seconds = bench_now() - begin;

    appended = store_appended(store.store) - appended;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        fail("the use of memory is not known");
    (void)printf("%s %.3f %ld %" PRIu64 "\n", gib, seconds, usage.ru_maxrss, appended);
    bench_store_end(&store);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "paths") == 0)
        return run_paths(argv[2], argv[3], argv[4]);
    if (argc == 4 && strcmp(argv[1], "incremental") == 0)
        return run_incremental(argv[2], argv[3]);
    (void)fprintf(stderr, "use: store_bench paths FOLDER DATA ROUNDS | incremental FOLDER GIB\n");
    return 2;
}
