#include "coordinator/store/run_merge.h"

#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "coordinator/store/run_writer.h"

struct run_merge {
    struct run *inputs[RUN_MERGE_INPUTS];
    struct run_scan *scans[RUN_MERGE_INPUTS];
    const uint8_t *heads[RUN_MERGE_INPUTS]; /* each scan's next entry; NULL: none */
    bool begun;
    uint64_t left; /* entries that no scan has given to the output yet */
    struct run_shape shape;
    struct run_header header;
    struct run_writer *writer;
};

enum status run_merge_new(struct fs *fs, struct run *const *inputs, uint64_t number,
                          struct run_merge **ret_merge, struct error *err)
{
    struct run_merge *merge = memory_new(1, sizeof(*merge));
    enum status st = STATUS_OK;

    if (merge == NULL)
        return error_set_no_memory(err, sizeof(*merge), "a merge of the index");
    merge->header = *run_header(inputs[0]);
    merge->header.number = number;
    merge->header.entries = 0;
    merge->shape = run_shape_of(merge->header.kind);
    for (size_t i = 0; st == STATUS_OK && i < RUN_MERGE_INPUTS; i++) {
        merge->inputs[i] = inputs[i];
        merge->header.entries += run_header(inputs[i])->entries;
        st = run_scan_new(inputs[i], &merge->scans[i], err);
    }
    merge->left = merge->header.entries;
    if (st == STATUS_OK)
        st = run_writer_new(fs, &merge->header, &merge->writer, err);
    if (st != STATUS_OK) {
        run_merge_free(merge);
        return st;
    }
    *ret_merge = merge;
    return STATUS_OK;
}

void run_merge_free(struct run_merge *merge)
{
    if (merge == NULL)
        return;
    for (size_t i = 0; i < RUN_MERGE_INPUTS; i++)
        run_scan_free(merge->scans[i]);
    run_writer_free(merge->writer);
    memory_free(merge);
}

uint64_t run_merge_number(const struct run_merge *merge)
{
    return merge->header.number;
}

bool run_merge_reads(const struct run_merge *merge, const struct run *run)
{
    for (size_t i = 0; i < RUN_MERGE_INPUTS; i++) {
        if (merge->inputs[i] == run)
            return true;
    }
    return false;
}

uint64_t run_merge_left(const struct run_merge *merge)
{
    return merge->left;
}

static enum status begin(struct run_merge *merge, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < RUN_MERGE_INPUTS; i++)
        st = run_scan_next(merge->scans[i], &merge->heads[i], err);
    merge->begun = st == STATUS_OK;
    return st;
}

/* Which input has the entry that comes next and stays; its key is the lowest. */
static size_t choose(const struct run_merge *merge)
{
    size_t best = RUN_MERGE_INPUTS;

    for (size_t i = 0; i < RUN_MERGE_INPUTS; i++) {
        int order = 0;

        if (merge->heads[i] == NULL)
            continue;
        if (best < RUN_MERGE_INPUTS)
            order = memcmp(merge->heads[i], merge->heads[best], merge->shape.key_size);
        if (best == RUN_MERGE_INPUTS || order < 0 ||
            (order == 0 && merge->header.kind == RUN_PLACES))
            best = i;
    }
    return best;
}

/* Writes one entry; goes past it, and past the others of its key. */
static enum status merge_one(struct run_merge *merge, struct error *err)
{
    size_t best = choose(merge);
    uint8_t entry[RUN_ENTRY_SIZE_MAX];

    INVARIANT(best < RUN_MERGE_INPUTS);
    memcpy(entry, merge->heads[best], merge->shape.entry_size);
    enum status st = run_writer_add(merge->writer, entry, err);

    for (size_t i = 0; st == STATUS_OK && i < RUN_MERGE_INPUTS; i++) {
        if (merge->heads[i] == NULL ||
            (i != best && memcmp(merge->heads[i], entry, merge->shape.key_size) != 0))
            continue;
        merge->left--;
        st = run_scan_next(merge->scans[i], &merge->heads[i], err);
    }
    return st;
}

enum status run_merge_step(struct run_merge *merge, uint64_t budget, struct run **ret_run,
                           struct error *err)
{
    uint64_t until = merge->left > budget ? merge->left - budget : 0;
    enum status st = merge->begun ? STATUS_OK : begin(merge, err);

    *ret_run = NULL;
    while (st == STATUS_OK && merge->left > until)
        st = merge_one(merge, err);
    if (st == STATUS_OK && merge->left == 0)
        st = run_writer_finish(merge->writer, ret_run, err);
    return st;
}
