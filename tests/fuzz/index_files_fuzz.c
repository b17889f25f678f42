/* tests/fuzz/index_files_fuzz.c: what an index reads of its files: the state (coordinator/store/index_state.h), and a run
 * (run.h), whose pages' sums are made right first; the first byte of the input says which. A state that is accepted is
 * encoded again to the same bytes; a run that is opened answers and is read to its end, or says that it is damaged. */
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "coordinator/store/index_state.h"
#include "coordinator/store/run.h"
#include "format/le.h"
#include "tests/support/fs_memory.h"

enum { NUMBER = 1, SIZE_MAX_READ = 64 * RUN_PAGE_SIZE };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* BYTES are the caller's to change. */
static void read_state(uint8_t *bytes, size_t size)
{
    struct index_state state = {.next = 0};
    struct error err = {0};
    struct buffer again;

    if (size >= 4)
        le_put_u32(bytes + size - 4, hash_crc32c(0, slice_of(bytes, size - 4)));
    if (index_state_decode(slice_of(bytes, size), &state, &err) != STATUS_OK)
        return;
    buffer_init(&again, INDEX_STATE_MAX);
    index_state_encode(&state, &again);
    INVARIANT(again.size == size && memcmp(again.data, bytes, size) == 0);
    buffer_deinit(&again);
    index_state_deinit(&state);
}

static void use_run(struct run *run, const uint8_t key[ID_SIZE])
{
    struct run_scan *scan = NULL;
    const uint8_t *found = NULL;
    struct error err = {0};
    uint64_t entries = 0;
    uint64_t last = 0;

    if (run_find(run, key, &found, &err) != STATUS_OK)
        INVARIANT(err.status == STATUS_CORRUPT);
    if (run_header(run)->kind == RUN_PLACES &&
        run_last(run, run_prefix(key), &last, &err) == STATUS_OK)
        INVARIANT(last <= run_prefix(key));
    INVARIANT(run_scan_new(run, &scan, &err) == STATUS_OK);
    enum status st = run_scan_next(scan, &found, &err);

    for (; st == STATUS_OK && found != NULL; st = run_scan_next(scan, &found, &err))
        entries++;
    INVARIANT(st == STATUS_CORRUPT || entries == run_header(run)->entries);
    run_scan_free(scan);
}

/* The input goes over a file of whole pages, whose sums are those of a run. */
static void read_run(const uint8_t *input, size_t size)
{
    char path[FS_PATH_SIZE];
    struct fs *fs = NULL;
    struct run *run = NULL;
    struct error err = {0};
    size_t pages = size == 0 ? 1 : (size + RUN_PAGE_SIZE - 1) / RUN_PAGE_SIZE;
    uint8_t key[ID_SIZE] = {0};
    uint8_t *bytes = memory_new(pages, RUN_PAGE_SIZE);

    INVARIANT(bytes != NULL);
    memcpy(bytes, input, size);
    memcpy(key, input, size < sizeof(key) ? size : sizeof(key));
    for (size_t i = 0; i < pages; i++)
        run_page_seal(bytes + i * RUN_PAGE_SIZE, NUMBER, i);
    run_path(NUMBER, path);
    INVARIANT(fs_memory_new(&fs, &err) == STATUS_OK);
    INVARIANT(fs_make_dir(fs, RUN_DIR, &err) == STATUS_OK);
    INVARIANT(fs_replace(fs, path, slice_of(bytes, pages * RUN_PAGE_SIZE), &err) == STATUS_OK);
    if (run_open(fs, NUMBER, &run, &err) == STATUS_OK)
        use_run(run, key);
    else
        INVARIANT(err.status == STATUS_CORRUPT);
    run_close(run);
    fs_free(fs);
    memory_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0 || size > SIZE_MAX_READ)
        return 0;
    if (input[0] % 2 != 0) {
        read_run(input + 1, size - 1);
        return 0;
    }
    uint8_t *bytes = memory_new(size, 1);

    INVARIANT(bytes != NULL);
    memcpy(bytes, input + 1, size - 1);
    read_state(bytes, size - 1);
    memory_free(bytes);
    return 0;
}
