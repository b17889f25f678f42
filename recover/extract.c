#include "recover/extract.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"
#include "format/record.h"
#include "recover/missing.h"
#include "recover/output.h"
#include "recover/walk.h"

enum { NAME_KEPT = 200 }; /* bytes: room for endings within 255 */

/* ---- One ------------------------------------------------------------------------------------- */

struct job {
    const struct extract_options *options;
    const struct point_item *item;
    struct output *output;
    struct missing missing;
    struct buffer stored;
};

static uint64_t offset_of(const struct job *job, uint64_t block)
{
    return block * job->item->root.block_size; /* inside the disk, so it fits */
}

static enum status lose(struct job *job, uint64_t offset, uint64_t length, const struct error *why,
                        struct error *err)
{
    if (!job->options->keep_going)
        return error_set(err, STATUS_CORRUPT,
                         "bytes %" PRIu64 " to %" PRIu64
                         " cannot be had: %s; --keep-going extracts the rest, with zeros there",
                         offset, offset + length, why->text);
    /* What is in no pack needs no numbers to explain it, so that neighbours are one range. */
    return missing_add(&job->missing, offset, length,
                       why->status == STATUS_NOT_FOUND ? "in no pack" : why->text, err);
}

static enum status write_block(void *arg, uint64_t block, const struct ref *ref, struct error *err)
{
    struct job *job = arg;
    const struct disk_root *root = &job->item->root;
    struct error why = {0};
    enum status st = things_read(job->options->things, &job->options->point->domain, KIND_BLOCK,
                                 ref, &job->stored, &why);

    if (st == STATUS_OK && job->stored.size != disk_root_block_length(root, block))
        st = error_set(&why, STATUS_CORRUPT, "the block has another length than its place");
    show_progress_step(&job->options->teller->progress, job->item->name, offset_of(job, block),
                       root->size);
    if (things_lost(st))
        return lose(job, offset_of(job, block), walk_length(root, block, 1), &why, err);
    if (st != STATUS_OK) {
        *err = why;
        return st;
    }
    return output_write(job->output, offset_of(job, block), buffer_slice(&job->stored), err);
}

static enum status lose_node(void *arg, uint64_t offset, uint64_t length, const struct error *why,
                             struct error *err)
{
    return lose(arg, offset, length, why, err);
}

/* Of an earlier extract: it would speak of this one. */
static enum status remove_old_map(const struct extract_options *options, const char *map,
                                  struct error *err)
{
    struct error removed = {0};
    struct fs_file *there = NULL;
    enum status st = STATUS_OK;

    if (options->force) {
        st = fs_remove(options->fs, map, &removed);
    } else {
        st = fs_open(options->fs, map, FS_READ, &there, &removed);
        fs_close(there);
        if (st == STATUS_OK)
            return error_set(
                err, STATUS_EXISTS,
                "%s is there already, of an earlier extract; remove it, or say --force", map);
    }
    if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
        *err = removed;
        return st;
    }
    return STATUS_OK;
}

static enum status open_output(struct job *job, const char *name, const char *map,
                               struct error *err)
{
    const struct extract_options *options = job->options;
    enum status st = STATUS_OK;

    if (options->fs == NULL)
        return output_stream(options->stream, job->item->size, &job->output, err);
    st = remove_old_map(options, map, err);
    if (st == STATUS_OK)
        st = output_file(options->fs, name, job->item->size, options->force, &job->output, err);
    return st;
}

static enum status run(struct job *job, const char *name, const char *map, struct error *err)
{
    static const struct walk_calls calls = {.block = write_block, .lost = lose_node};
    const struct extract_options *options = job->options;
    enum status st = open_output(job, name, map, err);

    show_progress_restart(&options->teller->progress);
    if (st == STATUS_OK)
        st =
            walk_tree(options->things, &options->point->domain, &job->item->root, &calls, job, err);
    show_progress_clear(&options->teller->progress);
    if (st == STATUS_OK) /* the map first: no file with holes in it is ever without */
        st = missing_finish(&job->missing, err);
    if (st == STATUS_OK)
        st = output_finish(job->output, err);
    return st;
}

enum status extract_item(const struct extract_options *options, size_t item, const char *name,
                         uint64_t *ret_missing, struct error *err)
{
    struct job job = {.options = options, .item = &options->point->items[item]};
    char map[FS_PATH_SIZE];
    struct error removed = {0};

    if (!job.item->there)
        return error_set(err, STATUS_CORRUPT, "nothing of %s can be had: its root: %s", name,
                         job.item->lost);
    if (!text_format(map, sizeof(map), "%s.missing", name))
        return error_set(err, STATUS_INVALID, "the name %s is too long", name);
    missing_init(&job.missing, options->teller->out, options->fs, options->fs == NULL ? NULL : map);
    buffer_init(&job.stored, RECORD_PLAIN_MAX);

    enum status st = run(&job, name, map, err);

    if (st == STATUS_OK)
        *ret_missing = job.missing.bytes;
    else if (job.missing.file != NULL) /* without its extract it says nothing */
        DISCARD(fs_remove(options->fs, map, &removed));
    output_free(job.output);
    missing_deinit(&job.missing);
    buffer_deinit(&job.stored);
    return st == STATUS_OK ? st : error_wrap(err, "extract %s", name);
}

/* ---- All ------------------------------------------------------------------------------------- */

/* Without a number in front it may be that of another one. */
static void plain_name(const struct point *point, size_t item, char name[EXTRACT_NAME_SIZE])
{
    const struct point_item *of = &point->items[item];
    size_t number = of->is_file ? item - point->disk_count + 1 : item + 1;
    const char *ending = of->is_file ? "" : ".raw";
    size_t kept = text_cut(of->name, NAME_KEPT);
    bool fits = kept == 0
                    ? text_format(name, EXTRACT_NAME_SIZE, "%s-%zu%s",
                                  of->is_file ? "file" : "disk", number, ending)
                    : text_format(name, EXTRACT_NAME_SIZE, "%.*s%s", (int)kept, of->name, ending);

    INVARIANT(fits);
    for (char *at = name; *at != '\0'; at++)
        if (strchr("/\\:*?\"<>|", *at) != NULL)
            *at = '_';
    if (name[0] == '.') /* "." and "..", and what would hide */
        name[0] = '_';
}

static bool names_differ(const struct point *point)
{
    char left[EXTRACT_NAME_SIZE];
    char right[EXTRACT_NAME_SIZE];

    for (size_t i = 0; i < point->item_count; i++) {
        plain_name(point, i, left);
        for (size_t j = 0; j < i; j++) {
            plain_name(point, j, right);
            if (strcmp(left, right) == 0)
                return false;
        }
    }
    return true;
}

void extract_name(const struct point *point, size_t item, char name[EXTRACT_NAME_SIZE])
{
    char plain[EXTRACT_NAME_SIZE];

    plain_name(point, item, plain);
    if (names_differ(point))
        memcpy(name, plain, sizeof(plain));
    else
        INVARIANT(text_format(name, EXTRACT_NAME_SIZE, "%zu-%s", item + 1, plain));
}

enum status extract_all(const struct extract_options *options, uint64_t *ret_missing,
                        struct error *err)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < options->point->item_count; i++) {
        struct error failed = {0};
        char name[EXTRACT_NAME_SIZE];
        uint64_t missing = 0;

        extract_name(options->point, i, name);
        enum status st = extract_item(options, i, name, &missing, &failed);

        if (st == STATUS_CORRUPT && options->keep_going) {
            teller_warn(options->teller, "%s", failed.text);
            missing = options->point->items[i].size > 0 ? options->point->items[i].size : 1;
        } else if (st != STATUS_OK) {
            *err = failed;
            return st;
        }
        sum += missing;
    }
    *ret_missing = sum;
    return STATUS_OK;
}
