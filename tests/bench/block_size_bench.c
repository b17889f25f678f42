/* What blocks of one size cost and save: images of file systems, each a later state of the one before, go into one store as
 * restore points of one disk, through format/ and store/.
 *     block_size_bench FOLDER BLOCK_SIZE IMAGE...
 * Prints for each image a line: changed blocks, plain bytes of them, stored bytes, seconds, bytes of whole files read back a
 * second. FOLDER exists; what is made in it is the caller's to remove. scripts/bench calls it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/bench/store_paths.h"

static NORETURN void fail(const char *what)
{
    struct error err = {0};

    bench_must(error_set(&err, STATUS_INVALID, "%s", what), &err);
    abort(); /* never reached */
}

static void mark_changed(const struct bench_disk *disk, const uint8_t *before, bool *changed)
{
    uint64_t blocks = disk_root_blocks(disk->size, disk->block_size);

    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t at = i * disk->block_size;
        uint64_t left = disk->size - at;
        size_t length = (size_t)(left < disk->block_size ? left : disk->block_size);

        changed[i] = memcmp(disk->data + at, before + at, length) != 0;
    }
}

static void measure(struct bench_store *store, const struct bench_disk *disk, const char *image,
                    const struct ref *parent, struct ref *ret_root)
{
    struct bench_result written = bench_write(store, disk, parent, ret_root);
    struct bench_result read = bench_read(store, ret_root);
    const char *name = strrchr(image, '/') + 1; /* bench_load() has seen it */

    (void)printf("%s %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.3f %.0f\n", name,
                 disk->block_size, written.blocks, written.plain, written.stored, written.seconds,
                 (double)read.plain / read.seconds / 1e6);
}

int main(int argc, char **argv)
{
    struct bench_disk disk = {0};
    struct bench_store store;
    struct ref roots[2];
    uint8_t *before = NULL;
    uint64_t block_size = 0;
    uint64_t size = 0;
    char path[512];

    if (argc < 4 || !text_parse_u64(argv[2], &block_size) || block_size < BLOCK_SIZE_MIN ||
        block_size > BLOCK_SIZE_MAX) {
        (void)fprintf(stderr, "use: block_size_bench FOLDER BLOCK_SIZE IMAGE...\n");
        return 2;
    }
    if (!text_format(path, sizeof(path), "%s/store-%s", argv[1], argv[2]))
        fail("FOLDER has too long a name");
    disk.block_size = (uint32_t)block_size;
    bench_store_begin(&store, path, (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
    for (int i = 3; i < argc; i++) {
        uint8_t *data = bench_load(argv[i], &disk.size);
        bool *changed = memory_new((size_t)disk_root_blocks(disk.size, disk.block_size), 1);

        if (changed == NULL || (before != NULL && disk.size != size))
            fail("no memory, or the images are not of one size");
        disk.data = data;
        disk.changed = before == NULL ? NULL : changed;
        if (before != NULL)
            mark_changed(&disk, before, changed);
        measure(&store, &disk, argv[i], before == NULL ? NULL : &roots[(i + 1) % 2], &roots[i % 2]);
        memory_free(changed);
        memory_free(before);
        before = data;
        size = disk.size;
    }
    memory_free(before);
    bench_store_end(&store);
    return EXIT_SUCCESS;
}
