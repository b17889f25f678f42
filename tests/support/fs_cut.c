#include "tests/support/fs_cut.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/fs_atoms.h"
#include "tests/support/fs_memory.h"
#include "tests/support/random_seeded.h"

enum { DEFAULT_TEAR = 512, DEFAULT_EXHAUSTIVE = 10, EXHAUSTIVE_MAX = 20, NAME_HEAD = 128 };

struct fs_cut {
    const struct fs_log *log;
    size_t upto;
    struct fs_cut_options options;
    struct fs_atoms atoms;
    size_t pending;  /* of these, not durable */
    uint64_t count;  /* states */
    uint64_t next;   /* the next of them */
    uint8_t *choice; /* bit i: the ith pending atom is kept */
    char *name;
    size_t name_size;
};

static enum status cut_new(const struct fs_log *log, size_t upto,
                           const struct fs_cut_options *options, struct fs_cut **ret_cut,
                           struct error *err)
{
    struct fs_cut *cut = memory_new(1, sizeof(*cut));

    if (cut == NULL)
        return error_set_no_memory(err, sizeof(*cut), "a power cut");
    *cut = (struct fs_cut){.log = log, .upto = upto, .options = *options};
    enum status st = fs_atoms_find(log, upto, options->tear_unit, &cut->atoms, err);

    if (st != STATUS_OK)
        goto out;
    for (size_t i = 0; i < cut->atoms.count; i++)
        cut->pending += cut->atoms.list[i].durable ? 0 : 1;
    size_t size = (cut->pending + 7) / 8;

    cut->name_size = NAME_HEAD + 2 * size;
    cut->choice = memory_new(size, 1);
    cut->name = memory_new(cut->name_size, 1);
    if (cut->choice == NULL || cut->name == NULL) {
        st = error_set_no_memory(err, cut->name_size + size, "the choice of a state");
        goto out;
    }
    *ret_cut = cut;
    cut = NULL;
out:
    fs_cut_free(cut);
    return st;
}

enum status fs_cut_new(const struct fs_log *log, size_t upto, const struct fs_cut_options *options,
                       struct fs_cut **ret_cut, struct error *err)
{
    struct fs_cut_options full = *options;
    struct fs_cut *cut = NULL;

    INVARIANT(upto <= log->count);
    INVARIANT(full.exhaustive <= EXHAUSTIVE_MAX);
    if (full.tear_unit == 0)
        full.tear_unit = DEFAULT_TEAR;
    if (full.exhaustive == 0)
        full.exhaustive = DEFAULT_EXHAUSTIVE;
    enum status st = cut_new(log, upto, &full, &cut, err);

    if (st != STATUS_OK)
        return st;
    if (cut->pending <= full.exhaustive)
        cut->count = (uint64_t)1 << cut->pending;
    else
        cut->count = 2 + 2 * (uint64_t)cut->pending + (cut->pending - 1) + full.samples;
    *ret_cut = cut;
    return STATUS_OK;
}

void fs_cut_free(struct fs_cut *cut)
{
    if (cut == NULL)
        return;
    fs_atoms_deinit(&cut->atoms);
    memory_free(cut->choice);
    memory_free(cut->name);
    memory_free(cut);
}

uint64_t fs_cut_count(const struct fs_cut *cut)
{
    return cut->count;
}

size_t fs_cut_pending(const struct fs_cut *cut)
{
    return cut->pending;
}

const char *fs_cut_name(const struct fs_cut *cut)
{
    return cut->name;
}

static void choose(struct fs_cut *cut, size_t atom, bool kept)
{
    uint8_t bit = (uint8_t)(1U << (atom % 8));

    if (kept)
        cut->choice[atom / 8] |= bit;
    else
        cut->choice[atom / 8] &= (uint8_t)~bit;
}

static void choose_all(struct fs_cut *cut, bool kept)
{
    for (size_t i = 0; i < cut->pending; i++)
        choose(cut, i, kept);
}

/* The INDEXth of the states that are looked at where there are too many. */
static void choose_some(struct fs_cut *cut, uint64_t index)
{
    const uint64_t n = cut->pending;

    choose_all(cut, index == 0 || (index >= 2 && index < 2 + n));
    if (index < 2)
        return;
    index -= 2;
    if (index < 2 * n) {
        choose(cut, (size_t)(index % n), index >= n);
        return;
    }
    index -= 2 * n;
    if (index < n - 1) {
        for (uint64_t i = 0; i <= index; i++)
            choose(cut, (size_t)i, true);
        return;
    }
    struct random_seeded random =
        random_seeded_of(cut->options.seed ^ (cut->upto * 0x9e3779b97f4a7c15U + index));

    for (size_t i = 0; i < cut->pending; i++)
        choose(cut, i, random_seeded_below(&random, 2) == 1);
}

static void put_name(struct fs_cut *cut)
{
    static const char digits[] = "0123456789abcdef";
    char head[NAME_HEAD];
    size_t nibbles = (cut->pending + 3) / 4;

    INVARIANT(text_format(head, sizeof(head), "after %zu of %zu, torn at %" PRIu32 ", choice 0x",
                          cut->upto, cut->log->count, cut->options.tear_unit));
    size_t length = strlen(head);

    memcpy(cut->name, head, length);
    for (size_t i = nibbles; i > 0; i--) {
        unsigned byte = cut->choice[(i - 1) / 2];

        cut->name[length] = digits[(i - 1) % 2 == 1 ? byte >> 4 : byte & 0xf];
        length++;
    }
    if (nibbles == 0)
        cut->name[length++] = '0';
    cut->name[length] = '\0';
}

/* A name of the state that is built. */
struct entry {
    uint64_t dir;
    uint64_t node;
    const char *path;
    bool is_dir;
    bool placed;
    struct fs_file *file; /* once placed */
};

struct entries {
    struct entry *list; /* has room for every link that there is */
    size_t count;
};

static void unlink_entry(struct entries *entries, uint64_t dir, const char *path)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->list[i].dir == dir && strcmp(entries->list[i].path, path) == 0) {
            entries->count--;
            entries->list[i] = entries->list[entries->count];
            return;
        }
    }
}

static void link_entry(struct entries *entries, struct entry entry)
{
    unlink_entry(entries, entry.dir, entry.path);
    entries->list[entries->count] = entry;
    entries->count++;
}

static void apply_name(struct entries *entries, const struct fs_atom *atom)
{
    const struct fs_op *op = atom->op;
    bool renames = op->kind == FS_OP_RENAME;

    if (atom->kind == FS_ATOM_UNLINK || atom->kind == FS_ATOM_RENAME)
        unlink_entry(entries, op->dir, op->path);
    if (atom->kind == FS_ATOM_LINK || atom->kind == FS_ATOM_RENAME)
        link_entry(entries, (struct entry){.dir = renames ? op->dir_to : op->dir,
                                           .node = op->node,
                                           .path = renames ? op->path_to : op->path,
                                           .is_dir = op->kind == FS_OP_MAKE_DIR});
}

static bool is_reachable(const struct entries *entries, uint64_t dir)
{
    if (dir == 0)
        return true;
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->list[i].node == dir && entries->list[i].placed)
            return true;
    }
    return false;
}

/* Makes the files and folders that a path leads to, from the top down. */
static enum status place(struct entries *entries, struct fs *fs, struct error *err)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < entries->count; i++) {
            struct entry *entry = &entries->list[i];

            if (entry->placed || !is_reachable(entries, entry->dir))
                continue;
            enum status st = entry->is_dir ? fs_make_dir(fs, entry->path, err)
                                           : fs_open(fs, entry->path, FS_CREATE, &entry->file, err);

            if (st != STATUS_OK)
                return st;
            entry->placed = true;
            more = true;
        }
    }
    return STATUS_OK;
}

static enum status apply_content(struct fs_file *file, const struct fs_atom *atom,
                                 struct error *err)
{
    uint64_t size = 0;

    if (atom->kind == FS_ATOM_PIECE)
        return fs_write_at(file, atom->offset,
                           slice_of(atom->op->data + (atom->offset - atom->op->offset),
                                    (size_t)atom->size),
                           err);
    enum status st = fs_size(file, &size, err);

    if (st == STATUS_OK && (atom->kind == FS_ATOM_RESIZE || size < atom->size))
        st = fs_resize(file, atom->size, err);
    return st;
}

/* Atom I, the PENDINGth pending one if it is pending: is it kept? */
static bool is_kept(const struct fs_cut *cut, const struct fs_atom *atom, size_t *pending)
{
    if (atom->durable)
        return true;
    size_t bit = *pending;

    *pending += 1;
    return (cut->choice[bit / 8] >> (bit % 8) & 1) != 0;
}

static enum status fill_files(const struct fs_cut *cut, const struct entries *entries,
                              struct error *err)
{
    size_t pending = 0;

    for (size_t i = 0; i < cut->atoms.count; i++) {
        const struct fs_atom *atom = &cut->atoms.list[i];

        if (!is_kept(cut, atom, &pending) || !fs_atom_is_content(atom->kind))
            continue;
        for (size_t k = 0; k < entries->count; k++) { /* two names: two folders, half a rename */
            const struct entry *entry = &entries->list[k];

            if (entry->node != atom->owner || entry->file == NULL)
                continue;
            enum status st = apply_content(entry->file, atom, err);

            if (st != STATUS_OK)
                return st;
        }
    }
    return STATUS_OK;
}

/* The state of cut->choice. */
static enum status build(const struct fs_cut *cut, struct fs **ret_fs, struct error *err)
{
    struct entries entries = {.list = memory_new(cut->atoms.count, sizeof(struct entry))};
    struct fs *fs = NULL;
    size_t pending = 0;
    enum status st = STATUS_OK;

    if (entries.list == NULL)
        return error_set_no_memory(err, cut->atoms.count * sizeof(struct entry), "names");
    for (size_t i = 0; i < cut->atoms.count; i++) {
        const struct fs_atom *atom = &cut->atoms.list[i];

        if (is_kept(cut, atom, &pending) && !fs_atom_is_content(atom->kind))
            apply_name(&entries, atom);
    }
    st = fs_memory_new(&fs, err);
    if (st == STATUS_OK)
        st = place(&entries, fs, err);
    if (st == STATUS_OK)
        st = fill_files(cut, &entries, err);
    for (size_t i = 0; i < entries.count; i++)
        fs_close(entries.list[i].file);
    memory_free(entries.list);
    if (st != STATUS_OK) {
        fs_free(fs);
        return error_wrap(err, "build the state %s", cut->name);
    }
    *ret_fs = fs;
    return STATUS_OK;
}

enum status fs_cut_next(struct fs_cut *cut, struct fs **ret_fs, struct error *err)
{
    if (cut->next == cut->count) {
        *ret_fs = NULL;
        return STATUS_OK;
    }
    if (cut->pending <= cut->options.exhaustive) {
        for (size_t i = 0; i < cut->pending; i++)
            choose(cut, i, (cut->next >> i & 1) != 0);
    } else {
        choose_some(cut, cut->next);
    }
    put_name(cut);
    cut->next++;
    return build(cut, ret_fs, err);
}

/* Moves *TEXT over WORDS and the decimal number behind them. */
static bool take_number(const char **text, const char *words, uint64_t *ret_number)
{
    size_t length = strlen(words);
    char digits[24] = "";

    if (strncmp(*text, words, length) != 0)
        return false;
    size_t size = strspn(*text + length, "0123456789");

    if (size >= sizeof(digits))
        return false;
    memcpy(digits, *text + length, size);
    *text += length + size;
    return text_parse_u64(digits, ret_number);
}

/* The hexadecimal digits at TEXT, the highest first, into the choice. */
static bool take_choice(struct fs_cut *cut, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(text);

    if (length == 0 || length > (cut->pending == 0 ? 1 : (cut->pending + 3) / 4))
        return false;
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr(digits, text[length - 1 - i]);

        if (digit == NULL)
            return false;
        for (size_t bit = 0; bit < 4; bit++) {
            bool kept = ((digit - digits) >> bit & 1) != 0;

            if (4 * i + bit < cut->pending)
                choose(cut, 4 * i + bit, kept);
            else if (kept)
                return false;
        }
    }
    return true;
}

enum status fs_cut_rebuild(const struct fs_log *log, const char *name, struct fs **ret_fs,
                           struct error *err)
{
    static const char choice[] = ", choice 0x";
    struct fs_cut_options options = {0};
    const char *text = name;
    struct fs_cut *cut = NULL;
    uint64_t upto = 0;
    uint64_t count = 0;
    uint64_t tear = 0;

    if (!take_number(&text, "after ", &upto) || !take_number(&text, " of ", &count) ||
        !take_number(&text, ", torn at ", &tear) ||
        strncmp(text, choice, sizeof(choice) - 1) != 0 || upto > log->count ||
        count != log->count || tear == 0 || tear > UINT32_MAX)
        return error_set(err, STATUS_INVALID, "no state of this log: %s", name);
    options.tear_unit = (uint32_t)tear;
    enum status st = cut_new(log, (size_t)upto, &options, &cut, err);

    if (st != STATUS_OK)
        return st;
    if (!take_choice(cut, text + sizeof(choice) - 1))
        st = error_set(err, STATUS_INVALID, "no state of this log: %s", name);
    if (st == STATUS_OK) {
        put_name(cut);
        st = build(cut, ret_fs, err);
    }
    fs_cut_free(cut);
    return st;
}
