#include "console/export_file.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/slice.h"
#include "base/text.h"
#include "transport/rpc.h"
#include "format/codec.h"
#include "format/tree.h"

/* Parts that are worked on at once. */
enum { SLOTS = 4 };

/* The blocks of one part, from the stream to the file and their ids. */
struct blocks_job {
    struct work work;         /* first: that work is such a job */
    struct export_file *file; /* done() only */
    bool busy;

    const struct export_disk *disk; /* in */
    struct fs_file *handle;
    Tidemark__V1__ExportPart *part;
    struct codec_context *codec; /* its own, as is what follows */
    uint8_t *plain;              /* one block */
    struct id *ids;              /* out: of the part's blocks */
    size_t ids_room;
    enum status status;
    struct error err;
};

/* What is done once: NAME.part made, given its name, or removed. */
struct step_job {
    struct work work;         /* first: that work is such a job */
    struct export_file *file; /* done() only */

    struct fs *fs; /* in */
    const char *name;
    const char *part_name;
    const char *asked;
    const char *agents_ca_pem;
    bool replace;
    Tidemark__V1__ExportPart *part; /* the opening one */
    struct fs_file *handle;         /* in and out */
    struct export_disk disk;        /* out */
    bool made;                      /* out: NAME.part is ours to remove */
    enum status status;
    struct error err;
};

enum state {
    OPENING,    /* the opening part is awaited, or worked on */
    WRITING,    /* blocks */
    FINISHING,  /* the last part is there */
    NAMING,     /* proved; the file gets its name */
    DISCARDING, /* NAME.part is removed */
    CLOSING,    /* the lane */
    ENDED,
};

struct export_file {
    struct loop_task first_wish; /* first: that task is an export_file */
    struct loop_task on_closed;
    struct export_file_options options;
    char *name;
    char *part_name;
    struct lane *lane;
    enum state state;
    bool wishing;     /* wants_part() was called, and no part came */
    unsigned working; /* jobs on the lane */

    struct step_job step;
    struct export_disk disk;
    struct fs_file *handle; /* of NAME.part */
    bool made;
    struct blocks_job slots[SLOTS];
    struct tree_builder *builder;
    uint64_t next_block; /* behind the last one */
    uint64_t blocks;     /* that came */
    uint64_t announced;  /* by the last part */

    enum status status; /* the first failure */
    struct error err;
};

static void advance(struct export_file *file);

static void fail(struct export_file *file, const struct error *err)
{
    if (file->status != STATUS_OK)
        return;
    file->status = err->status;
    file->err = *err;
    if (file->lane != NULL)
        lane_cancel(file->lane);
}

/* ---- On workers: the file -------------------------------------------------------------------- */

/* Is the name free, or may it be replaced? */
static enum status check_target(const struct step_job *step, struct error *err)
{
    struct error opened = {0};
    struct fs_file *there = NULL;
    enum status st = fs_open(step->fs, step->name, FS_READ, &there, &opened);

    fs_close(there);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st != STATUS_OK) {
        *err = opened;
        return st;
    }
    if (!step->replace)
        return error_set(err, STATUS_EXISTS,
                         "%s is there already; choose another name, or --force to replace it",
                         step->name);
    return STATUS_OK;
}

static enum status make_part(struct step_job *step, struct error *err)
{
    struct error made = {0};
    enum status st = fs_open(step->fs, step->part_name, FS_CREATE, &step->handle, &made);

    if (st == STATUS_EXISTS)
        return error_set(err, STATUS_EXISTS,
                         "%s is there already: another export is writing it, or one was killed; in "
                         "that case remove it",
                         step->part_name);
    if (st != STATUS_OK) {
        *err = made;
        return st;
    }
    step->made = true;
    return fs_resize(step->handle, step->disk.root.size, err);
}

static void run_open(struct work *work)
{
    struct step_job *step = (struct step_job *)work; /* its first member */

    step->status =
        export_check(step->part->opened, step->asked, step->agents_ca_pem, &step->disk, &step->err);
    if (step->status == STATUS_OK)
        step->status = check_target(step, &step->err);
    if (step->status == STATUS_OK)
        step->status = make_part(step, &step->err);
}

static void run_name(struct work *work)
{
    struct step_job *step = (struct step_job *)work; /* its first member */

    step->status = fs_sync(step->handle, &step->err);
    fs_close(step->handle);
    step->handle = NULL;
    if (step->status == STATUS_OK)
        step->status = check_target(step, &step->err);
    if (step->status == STATUS_OK)
        step->status = fs_rename(step->fs, step->part_name, step->name, &step->err);
    if (step->status != STATUS_OK)
        return;
    step->made = false;
    step->status = fs_sync_dir(step->fs, "", &step->err);
    if (step->status != STATUS_OK)
        step->status =
            error_wrap(&step->err,
                       "%s is there and proved, but a power cut may take it away: sync of "
                       "its folder",
                       step->name);
}

static void run_discard(struct work *work)
{
    struct step_job *step = (struct step_job *)work; /* its first member */
    struct error err = {0};

    fs_close(step->handle);
    step->handle = NULL;
    step->status = STATUS_OK;

    enum status st = fs_remove(step->fs, step->part_name, &err);

    if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
        step->status = st;
        step->err = err;
    }
}

/* ---- On workers: blocks ---------------------------------------------------------------------- */

static enum status write_block(struct blocks_job *job, const Tidemark__V1__BlockData *block,
                               struct id *ret_id, struct error *err)
{
    const struct disk_root *root = &job->disk->root;
    enum status st = STATUS_OK;

    if (block->seq >= disk_root_blocks(root->size, root->block_size))
        return error_set(err, STATUS_INVALID, "block %" PRIu64 " lies behind the end of the disk",
                         block->seq);
    if (block->codec > UINT8_MAX)
        return error_set(err, STATUS_UNSUPPORTED,
                         "block %" PRIu64 " has an unknown codec, %" PRIu32, block->seq,
                         block->codec);

    struct slice plain = slice_of(job->plain, disk_root_block_length(root, block->seq));

    st = codec_decompress(job->codec, (uint8_t)block->codec,
                          slice_of(block->data.data, block->data.len), job->plain, plain.size, err);
    if (st == STATUS_OK)
        st = id_of(job->disk->id_key, KIND_BLOCK, plain, ret_id, err);
    if (st != STATUS_OK)
        return error_wrap(err, "block %" PRIu64, block->seq);
    return fs_write_at(job->handle, block->seq * root->block_size, plain, err);
}

static void run_blocks(struct work *work)
{
    struct blocks_job *job = (struct blocks_job *)work; /* its first member */
    const Tidemark__V1__ExportBlocks *blocks = job->part->blocks;

    job->status = STATUS_OK;
    for (size_t i = 0; job->status == STATUS_OK && i < blocks->n_blocks; i++)
        job->status = write_block(job, blocks->blocks[i], &job->ids[i], &job->err);
}

/* ---- On the loop: the tree ------------------------------------------------------------------- */

/* A tree without a parent reads nothing. */
static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    (void)context;
    (void)ref;
    (void)ret_node;
    return error_set(err, STATUS_INTERNAL, "a new tree asks for node %" PRIu64 " of level %d",
                     index, level);
}

static enum status name_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    const struct export_file *file = context;
    struct ref ref = {0};
    enum status st = tree_node_id(file->disk.id_key, node, &ref.id, err);

    if (st == STATUS_OK)
        *ret_ref = ref;
    return st;
}

static enum status add_to_tree(struct export_file *file, const struct blocks_job *job,
                               struct error *err)
{
    const Tidemark__V1__ExportBlocks *blocks = job->part->blocks;

    for (size_t i = 0; i < blocks->n_blocks; i++) {
        const struct ref ref = {.id = job->ids[i]};
        uint64_t number = blocks->blocks[i]->seq;
        enum status st = STATUS_OK;

        if (number < file->next_block)
            return error_set(err, STATUS_INVALID,
                             "the coordinator sends block %" PRIu64 " out of order", number);
        st = tree_builder_put(file->builder, number, &ref, err);
        if (st != STATUS_OK)
            return st;
        file->next_block = number + 1;
    }
    file->blocks += blocks->n_blocks;
    return STATUS_OK;
}

/* All blocks are in the file: are they what the host has signed? */
static enum status prove(struct export_file *file, struct error *err)
{
    struct disk_root root = {0};
    enum status st = STATUS_OK;

    if (file->blocks != file->announced)
        return error_set(err, STATUS_CORRUPT,
                         "%" PRIu64 " blocks came, and the coordinator says that it sent %" PRIu64,
                         file->blocks, file->announced);
    st = tree_builder_finish(file->builder, &root, err);
    if (st != STATUS_OK)
        return st;
    if (!id_equal(&root.top.id, &file->disk.root.top.id))
        return error_set(err, STATUS_CORRUPT,
                         "what the coordinator sent is not the disk that %s has signed",
                         file->disk.host);
    return STATUS_OK;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void submit(struct export_file *file, struct work *work)
{
    file->working++;
    INVARIANT(lane_submit(file->lane, work)); /* its limits are above all that we have */
}

static void step_start(struct export_file *file, enum state state, void (*run)(struct work *work),
                       void (*done)(struct work *work, enum status status))
{
    struct step_job *step = &file->step;

    file->state = state;
    step->work = (struct work){.run = run, .done = done, .cost = 1};
    step->file = file;
    step->fs = file->options.fs;
    step->name = file->name;
    step->part_name = file->part_name;
    step->asked = file->options.point;
    step->agents_ca_pem = file->options.agents_ca_pem;
    step->replace = file->options.replace;
    step->handle = file->handle;
    step->made = file->made;
    step->status = STATUS_OK;
    submit(file, &step->work);
}

/* Takes back what the step has done. */
static void step_end(struct export_file *file, enum status status)
{
    struct step_job *step = &file->step;

    file->working--;
    file->handle = step->handle;
    file->made = step->made;
    if (status == STATUS_OK && step->status != STATUS_OK)
        fail(file, &step->err);
}

static enum status prepare_slot(struct export_file *file, struct blocks_job *job, struct error *err)
{
    job->file = file;
    job->disk = &file->disk;
    job->plain = memory_new(file->disk.root.block_size, 1);
    if (job->plain == NULL)
        return error_set_no_memory(err, file->disk.root.block_size, "a block");
    return codec_context_new(&job->codec, err);
}

static enum status prepare(struct export_file *file, struct error *err)
{
    static const struct tree_callbacks callbacks = {.read = read_node, .emit = name_node};
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < SLOTS; i++)
        st = prepare_slot(file, &file->slots[i], err);
    if (st == STATUS_OK)
        st = tree_builder_new(&file->disk.root, NULL, &callbacks, file, &file->builder, err);
    return st;
}

static void open_done(struct work *work, enum status status)
{
    struct export_file *file = ((struct step_job *)work)->file;
    struct error err = {0};

    file->disk = file->step.disk;
    file->step.disk = (struct export_disk){0};
    step_end(file, status);
    rpc_message_free((ProtobufCMessage *)file->step.part);
    file->step.part = NULL;
    file->state = WRITING;
    if (file->status == STATUS_OK && prepare(file, &err) != STATUS_OK)
        fail(file, &err);
    advance(file);
}

static void name_done(struct work *work, enum status status)
{
    struct export_file *file = ((struct step_job *)work)->file;

    step_end(file, status);
    advance(file);
}

static void discard_done(struct work *work, enum status status)
{
    struct export_file *file = ((struct step_job *)work)->file;

    step_end(file, status);
    if (file->step.status != STATUS_OK)
        (void)error_wrap(&file->err, "%s could not be removed, remove it (%s); before that",
                         file->part_name, status_name(file->step.status));
    file->made = false;
    advance(file);
}

static void blocks_done(struct work *work, enum status status)
{
    struct blocks_job *job = (struct blocks_job *)work; /* its first member */
    struct export_file *file = job->file;
    struct error err = {0};

    file->working--;
    if (status == STATUS_OK && file->status == STATUS_OK) {
        if (job->status != STATUS_OK)
            fail(file, &job->err);
        else if (add_to_tree(file, job, &err) != STATUS_OK)
            fail(file, &err);
    }
    rpc_message_free((ProtobufCMessage *)job->part);
    job->part = NULL;
    job->busy = false;
    advance(file);
}

static void lane_closed(struct loop_task *task)
{
    struct export_file *file =
        (struct export_file *)(void *)((char *)task - offsetof(struct export_file, on_closed));

    file->lane = NULL;
    file->state = ENDED;
    file->options.events->ended(file->options.owner, file->status,
                                file->status == STATUS_OK ? NULL : &file->err);
}

static void close_lane(struct export_file *file)
{
    file->state = CLOSING;
    lane_close(file->lane, &file->on_closed);
}

static struct blocks_job *free_slot(struct export_file *file)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (!file->slots[i].busy)
            return &file->slots[i];
    return NULL;
}

/* After each thing that happened: what is next? The last thing that its callers do: FILE may be gone. */
static void advance(struct export_file *file)
{
    struct error err = {0};

    if (file->state >= CLOSING)
        return;
    if (file->state == FINISHING && file->status == STATUS_OK && file->working == 0) {
        if (prove(file, &err) == STATUS_OK) {
            step_start(file, NAMING, run_name, name_done);
            return;
        }
        fail(file, &err);
    }
    if (file->working > 0 && (file->status != STATUS_OK || file->state != WRITING))
        return;
    if (file->status != STATUS_OK && file->made) {
        step_start(file, DISCARDING, run_discard, discard_done);
    } else if (file->status != STATUS_OK || file->state == NAMING) {
        close_lane(file);
    } else if (!file->wishing && free_slot(file) != NULL) {
        file->wishing = true;
        file->options.events->wants_part(file->options.owner);
    }
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static void put_blocks(struct export_file *file, Tidemark__V1__ExportPart *part)
{
    struct blocks_job *job = free_slot(file);
    size_t count = part->blocks->n_blocks;
    struct error err = {0};

    INVARIANT(job != NULL); /* else no part was wished for */
    if (count > job->ids_room) {
        struct id *ids = memory_resize(job->ids, count, sizeof(*ids));

        if (ids == NULL) {
            rpc_message_free(&part->base);
            (void)error_set_no_memory(&err, count * sizeof(*ids), "the ids of a part's blocks");
            fail(file, &err);
            return;
        }
        job->ids = ids;
        job->ids_room = count;
    }
    job->work =
        (struct work){.run = run_blocks, .done = blocks_done, .cost = part->blocks->n_blocks + 1};
    job->handle = file->handle;
    job->part = part;
    job->busy = true;
    submit(file, &job->work);
}

static void refuse(struct export_file *file, Tidemark__V1__ExportPart *part)
{
    struct error err = {0};

    rpc_message_free(&part->base);
    (void)error_set(&err, STATUS_INVALID,
                    "the coordinator sends the parts of an export in a wrong order");
    fail(file, &err);
}

/* advance() may call wants_part(), and so does not happen in the owner's call: the loop does it. */
static void later(struct export_file *file)
{
    loop_post(file->options.loop, &file->first_wish);
}

static void go_on(struct loop_task *task)
{
    struct export_file *file = (struct export_file *)task; /* its first member */

    advance(file);
}

void export_file_put(struct export_file *file, Tidemark__V1__ExportPart *take_part)
{
    INVARIANT(file->wishing);
    file->wishing = false;
    if (file->status != STATUS_OK) {
        rpc_message_free(&take_part->base);
        return;
    }
    switch (take_part->kind_case) {
    case TIDEMARK__V1__EXPORT_PART__KIND_OPENED:
        if (file->state != OPENING) {
            refuse(file, take_part);
            break;
        }
        file->step.part = take_part;
        step_start(file, OPENING, run_open, open_done);
        return;
    case TIDEMARK__V1__EXPORT_PART__KIND_BLOCKS:
        if (file->state == WRITING)
            put_blocks(file, take_part);
        else
            refuse(file, take_part);
        break;
    case TIDEMARK__V1__EXPORT_PART__KIND_ENDED:
        if (file->state != WRITING) {
            refuse(file, take_part);
            break;
        }
        file->announced = take_part->ended->blocks;
        file->state = FINISHING;
        rpc_message_free(&take_part->base);
        break;
    case TIDEMARK__V1__EXPORT_PART__KIND__NOT_SET:
    case _TIDEMARK__V1__EXPORT_PART__KIND__CASE_IS_INT_SIZE:
        refuse(file, take_part);
        break;
    }
    later(file);
}

void export_file_stop(struct export_file *file, const struct error *err)
{
    if (file->state >= FINISHING || file->status != STATUS_OK)
        return;
    fail(file, err);
    later(file);
}

void export_file_progress(const struct export_file *file, uint64_t *ret_done, uint64_t *ret_total)
{
    uint64_t total = file->disk.root.size;
    uint64_t done = file->next_block * file->disk.root.block_size;

    *ret_done = done < total ? done : total;
    *ret_total = total;
}

const struct export_disk *export_file_disk(const struct export_file *file)
{
    return file->disk.id_key == NULL ? NULL : &file->disk;
}

static enum status copy_names(struct export_file *file, const char *name, struct error *err)
{
    size_t room = strlen(name) + sizeof(".part");

    file->name = memory_copy_text(name);
    file->part_name = memory_new(room, 1);
    if (file->name == NULL || file->part_name == NULL)
        return error_set_no_memory(err, room, "a file's name");
    INVARIANT(text_format(file->part_name, room, "%s.part", name));
    return STATUS_OK;
}

enum status export_file_new(const struct export_file_options *options,
                            struct export_file **ret_file, struct error *err)
{
    const struct lane_limits limits = {.work = SLOTS + 1, .cost = UINT64_MAX, .running = SLOTS + 1};
    struct export_file *file = memory_new(1, sizeof(*file));
    enum status st = STATUS_OK;

    if (file == NULL)
        return error_set_no_memory(err, sizeof(*file), "an export");
    file->options = *options;
    file->first_wish.run = go_on;
    file->on_closed.run = lane_closed;
    st = copy_names(file, options->name, err);
    if (st == STATUS_OK)
        st = lane_new(options->pool, limits, NULL, &file->lane, err);
    if (st != STATUS_OK)
        goto out;
    later(file);
    *ret_file = file;
    file = NULL;
out:
    export_file_free(file);
    return st;
}

void export_file_free(struct export_file *file)
{
    if (file == NULL)
        return;
    INVARIANT(file->lane == NULL);
    for (size_t i = 0; i < SLOTS; i++) {
        codec_context_free(file->slots[i].codec);
        memory_free(file->slots[i].plain);
        memory_free(file->slots[i].ids);
    }
    tree_builder_free(file->builder);
    export_disk_deinit(&file->disk);
    memory_free(file->name);
    memory_free(file->part_name);
    memory_free(file);
}
