#include "recover/run.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs_posix.h"
#include "base/named_file.h"
#include "format/codec.h"
#include "recover/check.h"
#include "recover/extract.h"
#include "recover/list.h"
#include "recover/log_sum.h"
#include "recover/packs.h"
#include "recover/points.h"
#include "recover/select.h"
#include "recover/teller.h"
#include "recover/things.h"
#include "recover/unlock.h"

#define MIB (UINT64_C(1024) * 1024)

/* A data folder, open. */
struct opened {
    const struct options *options;
    const struct run_world *world;
    struct teller teller;
    struct fs *fs;
    struct codec_context *codec;
    struct unlocked unlocked;
    struct packs *packs;
    struct things *things;
    struct log_sum log;
    struct points points;
};

/* Bytes that the table of records may use. */
static uint64_t memory_of(const struct options *options)
{
    if (options->memory != 0)
        return options->memory * MIB;

    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);

    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : 1024 * MIB;
}

static enum status open_packs(struct opened *opened, struct error *err)
{
    const struct options *options = opened->options;
    const struct packs_options packs = {
        .fs = opened->fs,
        .keys = opened->unlocked.keys,
        .codec = opened->codec,
        .repository = opened->unlocked.repository_known ? &opened->unlocked.repository : NULL,
        .teller = &opened->teller,
        .memory = memory_of(options),
        .meta_only = options->command == OPTIONS_LIST && !options->deep,
        .scan = options->scan,
    };

    return packs_open(&packs, &opened->packs, err);
}

static enum status open_points(struct opened *opened, struct error *err)
{
    const struct points_options points = {
        .things = opened->things,
        .packs = opened->packs,
        .log = &opened->log,
        .repository = opened->unlocked.repository_known ? &opened->unlocked.repository : NULL,
        .agents_ca = opened->unlocked.agents_ca,
        .teller = &opened->teller,
    };

    return points_read(&points, &opened->points, err);
}

/* Where nothing else tells the right key from another, that it opens nothing does. */
static enum status check_key(const struct opened *opened, struct error *err)
{
    const struct points *points = &opened->points;

    if (opened->unlocked.compared || opened->log.entries > 0 || points->count == 0)
        return STATUS_OK;
    for (size_t i = 0; i < points->count; i++)
        if (points->rows[i].envelope_there)
            return STATUS_OK;
    return error_set(
        err, STATUS_PRECONDITION,
        "of %zu restore points none can be opened: all are damaged, or the key is another "
        "repository's",
        points->count);
}

static enum status open_all(struct opened *opened, struct error *err)
{
    const struct options *options = opened->options;
    const struct unlock_options unlocking = {.kit = options->kit,
                                             .key = options->key,
                                             .passphrase_file = options->passphrase_file,
                                             .agents_ca = options->agents_ca};
    enum status st = fs_posix_new(options->data, &opened->fs, err);

    if (st == STATUS_OK)
        st = unlock(&unlocking, &opened->unlocked, err);
    if (st == STATUS_OK)
        st = unlock_compare(&opened->unlocked, opened->fs, &opened->teller, err);
    if (st == STATUS_OK)
        st = codec_context_new(&opened->codec, err);
    if (st == STATUS_OK)
        st = open_packs(opened, err);
    show_progress_clear(&opened->teller.progress);
    if (st == STATUS_OK)
        st = things_new(opened->packs, opened->unlocked.keys, opened->codec, &opened->things, err);
    if (st == STATUS_OK)
        st = log_sum_read(opened->fs, opened->unlocked.keys, &opened->teller, &opened->log, err);
    if (st == STATUS_OK && opened->log.segments == 0)
        teller_warn(&opened->teller,
                    "there is no log: whatever envelope is found in the packs is listed");
    if (st == STATUS_OK)
        st = open_points(opened, err);
    if (st == STATUS_OK)
        st = check_key(opened, err);
    return st;
}

static void close_all(struct opened *opened)
{
    points_deinit(&opened->points);
    log_sum_deinit(&opened->log);
    things_free(opened->things);
    packs_free(opened->packs);
    codec_context_free(opened->codec);
    unlocked_deinit(&opened->unlocked);
    fs_free(opened->fs);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static enum status run_list(struct opened *opened, bool *ret_damage, struct error *err)
{
    const struct options *options = opened->options;
    size_t only = 0;
    bool whole = true;
    enum status st = STATUS_OK;

    if (options->point != NULL)
        st = select_point(&opened->points, options->point, &only, err);

    const struct list_options list = {.points = &opened->points,
                                      .things = opened->things,
                                      .teller = &opened->teller,
                                      .only = options->point != NULL ? &only : NULL,
                                      .json = options->json,
                                      .deep = options->deep,
                                      .out = opened->world->out};

    if (st == STATUS_OK)
        st = list_points(&list, &whole, err);
    if (st == STATUS_OK)
        *ret_damage = !whole;
    return st;
}

static enum status extract_one(struct extract_options *extract, const struct options *options,
                               uint64_t *ret_missing, struct error *err)
{
    struct named_file file = {.fs = NULL};
    size_t item = 0;
    enum status st = select_item(extract->point, options->file != NULL,
                                 options->file != NULL ? options->file : options->disk, &item, err);

    if (st != STATUS_OK)
        return st;
    if (strcmp(options->out, "-") == 0)
        return extract_item(extract, item, "standard output", ret_missing, err);
    st = named_file_open(options->out, &file, err);
    extract->fs = file.fs;
    if (st == STATUS_OK)
        st = extract_item(extract, item, file.name, ret_missing, err);
    named_file_close(&file);
    return st;
}

static enum status extract_folder(struct extract_options *extract, const char *dir,
                                  uint64_t *ret_missing, struct error *err)
{
    struct named_file file = {.fs = NULL};
    struct error made = {0};
    struct fs *fs = NULL;
    enum status st = named_file_open(dir, &file, err);

    if (st == STATUS_OK) {
        st = fs_make_dir(file.fs, file.name, &made);
        if (st == STATUS_OK || st == STATUS_EXISTS)
            st = fs_sync_dir(file.fs, "", err);
        else
            *err = made;
    }
    named_file_close(&file);
    if (st == STATUS_OK)
        st = fs_posix_new(dir, &fs, err);
    extract->fs = fs;
    if (st == STATUS_OK)
        st = extract_all(extract, ret_missing, err);
    fs_free(fs);
    return st;
}

static enum status run_extract(struct opened *opened, bool *ret_damage, struct error *err)
{
    const struct options *options = opened->options;
    struct extract_options extract = {.things = opened->things,
                                      .teller = &opened->teller,
                                      .keep_going = options->keep_going,
                                      .force = options->force,
                                      .stream = opened->world->out};
    uint64_t missing = 0;
    size_t point = 0;
    enum status st = select_point(&opened->points, options->point, &point, err);

    if (st != STATUS_OK)
        return st;
    extract.point = &opened->points.rows[point];
    if (!extract.point->envelope_there)
        return error_set(err, STATUS_CORRUPT,
                         "nothing of this restore point can be had: its envelope: %s",
                         extract.point->lost);
    if (!extract.point->proved)
        teller_warn(&opened->teller,
                    "the restore point is not proved to be what a host has read: %s",
                    extract.point->body_there ? extract.point->doubt : extract.point->lost);
    st = options->all ? extract_folder(&extract, options->out, &missing, err)
                      : extract_one(&extract, options, &missing, err);
    if (st == STATUS_OK)
        *ret_damage = missing > 0;
    return st;
}

static enum status run_check(struct opened *opened, bool *ret_damage, struct error *err)
{
    const struct check_options check = {.packs = opened->packs,
                                        .things = opened->things,
                                        .log = &opened->log,
                                        .points = &opened->points,
                                        .keys = opened->unlocked.keys,
                                        .codec = opened->codec,
                                        .teller = &opened->teller,
                                        .out = opened->world->out};
    uint64_t findings = 0;
    enum status st = check_all(&check, &findings, err);

    if (st == STATUS_OK)
        *ret_damage = findings > 0;
    return st;
}

enum status run_command(const struct options *options, const struct run_world *world,
                        bool *ret_damage, struct error *err)
{
    struct opened opened = {.options = options, .world = world};
    enum show_mode mode = world->terminal ? SHOW_TERMINAL : SHOW_LINES;
    enum status st = STATUS_OK;

    if (options->json)
        mode = SHOW_NOTHING;
    opened.teller.out = world->err;
    opened.teller.progress = show_progress_of(mode, world->err, clock_system());
    st = open_all(&opened, err);
    if (st == STATUS_OK) {
        switch (options->command) {
        case OPTIONS_LIST:
            st = run_list(&opened, ret_damage, err);
            break;
        case OPTIONS_EXTRACT:
            st = run_extract(&opened, ret_damage, err);
            break;
        case OPTIONS_CHECK:
            st = run_check(&opened, ret_damage, err);
            break;
        }
    }
    show_progress_clear(&opened.teller.progress);
    close_all(&opened);
    return st;
}
