#include "tests/support/record_crash.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/fs_memory.h"
#include "tests/support/fs_record.h"

static const char dir[] = "log";

enum { PROBE_ID = 0x7ffffff0, SECOND_LIFE = 0x10000 };

/* What an opened file shows. */
struct shown {
    struct record_ids ids;
    bool harmed; /* a record that nobody ever wrote */
};

static void note(struct record_findings *findings, const char *where, const char *what)
{
    /* A text that is cut still says where. */
    if (findings->violations == 0)
        (void)snprintf(findings->first, sizeof(findings->first), "%.150s: %.240s", where, what);
    findings->violations++;
}

static void show(void *arg, struct slice bytes)
{
    struct shown *shown = arg;
    uint32_t id = 0;

    if (record_payload_parse(bytes, &id) && shown->ids.count < RECORD_IDS_MAX)
        record_ids_add(&shown->ids, id);
    else
        shown->harmed = true;
}

static enum status append(struct record_file *file, uint32_t id, struct error *err)
{
    uint8_t payload[RECORD_PAYLOAD_MAX];
    size_t size = record_payload(id, payload);

    return record_file_append(file, slice_of(payload, size), err);
}

static void mark(struct record_run *run)
{
    INVARIANT(run->moment_count < RECORD_STEPS_MAX);
    run->moments[run->moment_count] =
        (struct record_moment){.position = record_run_length(run), .model = run->model};
    run->moment_count++;
}

size_t record_run_length(const struct record_run *run)
{
    return fs_record_log(run->fs)->count;
}

struct record_run *record_run_over(struct faults *faults, struct record_file_options options,
                                   struct fs *inner, const struct record_model *model)
{
    struct record_run *run = memory_new(1, sizeof(*run));
    struct error err = {0};

    INVARIANT(run != NULL);
    run->faults = faults;
    run->options = options;
    run->inner = inner;
    run->model = *model;
    run->next_id = 1;
    INVARIANT(fs_record_new(inner, &run->fs, &err) == STATUS_OK);
    run->start = record_run_length(run);
    mark(run);
    return run;
}

struct record_run *record_run_new(struct faults *faults, struct record_file_options options)
{
    struct record_model model = record_model_of_nothing();
    struct error err = {0};
    struct fs *inner = NULL;

    INVARIANT(fs_memory_new(&inner, &err) == STATUS_OK);
    INVARIANT(fs_make_dir(inner, dir, &err) == STATUS_OK);
    return record_run_over(faults, options, inner, &model);
}

void record_run_free(struct record_run *run)
{
    record_file_close(run->file);
    fs_free(run->fs);
    fs_free(run->inner);
    memory_free(run);
}

/* The letters that arm a fault for the step behind them. */
static const struct {
    const char *point;
    enum fault_action action;
    char letter;
} step_faults[] = {
    {"fs.write", FAULT_SHORT, 'W'},   {"fs.sync", FAULT_FAIL, 'S'},
    {"fs.sync_dir", FAULT_FAIL, 'D'}, {"fs.rename", FAULT_FAIL, 'N'},
    {"fs.remove", FAULT_FAIL, 'R'},
};

static bool arm(struct record_run *run, char letter)
{
    for (size_t i = 0; i < sizeof(step_faults) / sizeof(step_faults[0]); i++) {
        if (step_faults[i].letter == letter) {
            faults_arm_point(run->faults, step_faults[i].point, 1, step_faults[i].action);
            return true;
        }
    }
    return false;
}

static bool reopen(struct record_run *run, struct record_findings *findings)
{
    struct shown shown = {0};
    struct error err = {0};

    record_file_close(run->file);
    run->file = NULL;
    record_model_close(&run->model);
    enum status st = record_file_open(run->fs, dir, run->options, &run->file, &err);

    if (st == STATUS_OK)
        st = record_file_each(run->file, show, &shown, &err);
    if (st != STATUS_OK) {
        if (st == STATUS_CORRUPT)
            note(findings, "on the way", err.text);
        record_file_close(run->file);
        run->file = NULL;
        return false;
    }
    if (shown.harmed || !record_model_open(&run->model, &shown.ids)) {
        note(findings, "on the way", "opening shows what it may not");
        record_file_close(run->file);
        run->file = NULL;
    }
    return true;
}

/* One step; false: it failed. */
static bool step(struct record_run *run, char letter, struct record_findings *findings)
{
    struct error err = {0};
    bool ok = false;

    if (letter == 'r')
        return reopen(run, findings);
    if (run->file == NULL)
        return true; /* until the next opening */
    if (letter == 'a') {
        ok = append(run->file, run->next_id, &err) == STATUS_OK;
        record_model_append(&run->model, run->next_id, ok, record_file_held(run->file),
                            record_file_promised(run->file));
        run->next_id++;
    } else if (letter == 's') {
        ok = record_file_sync(run->file, &err) == STATUS_OK;
        record_model_sync(&run->model, ok, record_file_held(run->file),
                          record_file_promised(run->file));
    } else {
        INVARIANT(letter == 'd');
        enum status st = record_file_drop(run->file, &err);

        ok = st == STATUS_OK || st == STATUS_PRECONDITION;
        record_model_drop(&run->model, st == STATUS_OK, record_file_promised(run->file));
    }
    return ok;
}

void record_run_do(struct record_run *run, const char *script, struct record_findings *findings)
{
    bool armed = false;

    for (const char *letter = script; *letter != '\0'; letter++) {
        if (arm(run, *letter)) {
            armed = true;
            continue;
        }
        if (!step(run, *letter, findings)) {
            if (run->failures == 0)
                run->first_failed = run->moment_count;
            run->failures++;
        }
        if (armed) /* it may not have been hit */
            faults_arm(run->faults, 0, 0);
        armed = false;
        mark(run);
    }
}

/* The moments whose models allow what may be there after POSITION operations: the last one that was
 * reached, and, in the middle of a step, the one after it. */
static bool is_allowed(const struct record_run *run, size_t position,
                       const struct record_ids *shown)
{
    size_t last = 0;

    while (last + 1 < run->moment_count && run->moments[last + 1].position <= position)
        last++;
    if (record_model_allows(&run->moments[last].model, shown))
        return true;
    return run->moments[last].position < position && last + 1 < run->moment_count &&
           record_model_allows(&run->moments[last + 1].model, shown);
}

/* Opens, reads all, and closes again, with record EXTRA appended and synced if it is not 0. NULL: all well;
 * else what was not. */
static const char *look(const struct record_run *run, struct fs *fs, uint32_t extra,
                        struct shown *shown, struct error *err)
{
    struct record_file *file = NULL;
    const char *fault = NULL;

    *shown = (struct shown){0};
    if (record_file_open(fs, dir, run->options, &file, err) != STATUS_OK)
        fault = "it does not open";
    else if (record_file_each(file, show, shown, err) != STATUS_OK)
        fault = "it cannot be read";
    else if (shown->harmed)
        fault = "it shows a record that nobody wrote";
    else if (extra != 0 &&
             (append(file, extra, err) != STATUS_OK || record_file_sync(file, err) != STATUS_OK))
        fault = "it takes no record";
    record_file_close(file);
    return fault;
}

/* NULL, or what is wrong with the state FS after POSITION operations. */
static const char *check_state(const struct record_run *run, struct fs *fs, size_t position,
                               struct shown *ret_shown, struct error *err)
{
    struct shown again;
    const char *fault = look(run, fs, PROBE_ID, ret_shown, err);

    if (fault != NULL)
        return fault;
    if (!is_allowed(run, position, &ret_shown->ids))
        return "a promised record is missing, or a record shows that may not";
    fault = look(run, fs, 0, &again, err);
    if (fault != NULL)
        return fault;
    record_ids_add(&ret_shown->ids, PROBE_ID);
    if (again.ids.count != ret_shown->ids.count ||
        memcmp(again.ids.ids, ret_shown->ids.ids, again.ids.count * sizeof(again.ids.ids[0])) != 0)
        return "what was added after the cut is not there at the next opening";
    return NULL;
}

/* The next of STATES, cuts after POSITION operations, that is as it must be: *ret_fs is the caller's. Those
 * before it that are not are noted. False: there is no more. */
static bool next_good(const struct record_run *run, struct fs_cut *states, size_t position,
                      struct record_findings *findings, struct fs **ret_fs, struct shown *ret_shown)
{
    for (;;) {
        struct error err = {0};
        struct fs *fs = NULL;

        INVARIANT(fs_cut_next(states, &fs, &err) == STATUS_OK);
        if (fs == NULL)
            return false;
        const char *fault = check_state(run, fs, position, ret_shown, &err);

        findings->states++;
        if (fault == NULL) {
            *ret_fs = fs;
            return true;
        }
        char what[RECORD_FINDING_SIZE];

        (void)snprintf(what, sizeof(what), "%s: %.200s", fault, err.text); /* cut is fine */
        note(findings, fs_cut_name(states), what);
        fs_free(fs);
    }
}

/* Life goes on in FS, which shows SHOWN, until the power is cut a second time. Takes FS. */
static void go_on(const struct record_run *run, struct fs *fs, const struct shown *shown,
                  struct record_findings *findings)
{
    const struct fs_cut_options options = {.tear_unit = 64, .exhaustive = 4};
    struct record_model model = record_model_of_nothing();

    model.promised = shown->ids;
    struct record_run *next = record_run_over(run->faults, run->options, fs, &model);

    next->next_id = SECOND_LIFE; /* other records than those of the first */
    record_run_do(next, "raasa", findings);
    struct fs_cuts *cuts = fs_cuts_new(fs_record_log(next->fs), &options);

    for (size_t position = next->start; position <= record_run_length(next); position++) {
        struct fs_cut *states = fs_cuts_at(cuts, position);
        struct shown again;
        struct fs *good = NULL;

        while (next_good(next, states, position, findings, &good, &again))
            fs_free(good);
        fs_cut_free(states);
    }
    fs_cuts_free(cuts);
    record_run_free(next);
}

void record_run_explore(struct record_run *run, size_t from, size_t to,
                        const struct fs_cut_options *cut, unsigned deep,
                        struct record_findings *findings)
{
    struct fs_cuts *cuts = fs_cuts_new(fs_record_log(run->fs), cut);

    faults_arm(run->faults, 0, 0);
    for (size_t position = from; position <= to; position++) {
        struct fs_cut *states = fs_cuts_at(cuts, position);
        struct shown shown;
        struct fs *fs = NULL;

        while (next_good(run, states, position, findings, &fs, &shown)) {
            if (deep != 0 && findings->states % deep == 0)
                go_on(run, fs, &shown, findings);
            else
                fs_free(fs);
        }
        fs_cut_free(states);
    }
    fs_cuts_free(cuts);
}
