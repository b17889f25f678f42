#include "tests/support/fs_cut.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"
#include "tests/support/double_heap.h"
#include "tests/support/fs_atoms.h"
#include "tests/support/fs_choose.h"
#include "tests/support/fs_memory.h"
#include "tests/support/sparse.h"

enum { DEFAULT_TEAR = 512, DEFAULT_EXHAUSTIVE = 10, NAME_HEAD = 128, STALE_PART = 4096 };

/* A name: PATH in the folder DIR stands for NODE. A path may be there twice, in a folder that was removed
 * and in the one that was made in its place. */
struct entry {
    const char *path; /* the log's */
    uint64_t dir;
    uint64_t node;
    bool is_dir;
};

struct entries {
    struct entry *list; /* sorted by path, then by folder */
    size_t count;
    size_t room;
};

/* What all cuts of one log share: what is durable, and room to build a state in. */
struct fs_cuts {
    const struct fs_log *log;
    struct fs_cut_options options;
    struct fs_atoms atoms;
    struct entries names; /* of what was folded, as is CONTENTS, by node */
    struct sparse *contents;
    struct entries built; /* the names of the state that is built */
    struct sparse *files; /* and its files, by node: empty between two states */
    const char **paths;   /* and what they are called, by node; NULL: nothing */
    struct sparse_space space;
    struct sparse stale; /* what the last file with content had when it was removed; */
    size_t stale_upto;   /* among so many operations */
};

struct fs_cut {
    struct fs_cuts *cuts;
    struct fs_cuts *own_cuts; /* NULL: somebody else's */
    struct fs_choose *choose;
    const struct fs_atom **pending;
    size_t pending_count;
    bool *kept; /* the choice: of these */
    char *name;
};

/* --- names ------------------------------------------------------------------------------------ */

/* Where PATH in the folder DIR is, or would be. */
static size_t entry_index(const struct entries *entries, const char *path, uint64_t dir)
{
    size_t low = 0;
    size_t high = entries->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &entries->list[middle];
        int order = strcmp(entry->path, path);

        if (order < 0 || (order == 0 && entry->dir < dir))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_entry(const struct entries *entries, size_t index, const char *path, uint64_t dir)
{
    return index < entries->count && entries->list[index].dir == dir &&
           strcmp(entries->list[index].path, path) == 0;
}

static void entries_reserve(struct entries *entries, size_t room)
{
    if (room <= entries->room)
        return;
    entries->room = room * 2;
    entries->list = double_resize(entries->list, entries->room, sizeof(struct entry));
}

static void unlink_entry(struct entries *entries, const char *path, uint64_t dir)
{
    size_t index = entry_index(entries, path, dir);

    if (!is_entry(entries, index, path, dir))
        return;
    entries->count--;
    memmove(entries->list + index, entries->list + index + 1,
            (entries->count - index) * sizeof(struct entry));
}

static void link_entry(struct entries *entries, struct entry entry)
{
    size_t index = entry_index(entries, entry.path, entry.dir);

    if (!is_entry(entries, index, entry.path, entry.dir)) {
        entries_reserve(entries, entries->count + 1);
        memmove(entries->list + index + 1, entries->list + index,
                (entries->count - index) * sizeof(struct entry));
        entries->count++;
    }
    entries->list[index] = entry;
}

static void apply_name(struct entries *entries, const struct fs_atom *atom)
{
    const struct fs_op *op = atom->op;
    bool renames = op->kind == FS_OP_RENAME;

    if (atom->kind == FS_ATOM_UNLINK || atom->kind == FS_ATOM_RENAME)
        unlink_entry(entries, op->path, op->dir);
    if (atom->kind == FS_ATOM_LINK || atom->kind == FS_ATOM_RENAME)
        link_entry(entries, (struct entry){.path = renames ? op->path_to : op->path,
                                           .dir = renames ? op->dir_to : op->dir,
                                           .node = op->node,
                                           .is_dir = op->kind == FS_OP_MAKE_DIR});
}

/* --- content ---------------------------------------------------------------------------------- */

static void write_content(struct fs_cuts *cuts, struct sparse *file, uint64_t offset,
                          struct slice bytes)
{
    struct error err = {0};

    INVARIANT(sparse_write(file, &cuts->space, offset, bytes, &err) == STATUS_OK);
}

/* Puts [START, END) of a file as it was on the disk before: what a removed file had there. */
static void write_stale(struct fs_cuts *cuts, struct sparse *file, uint64_t start, uint64_t end)
{
    while (start < end) {
        uint8_t part[STALE_PART];
        uint64_t left = cuts->stale.size == 0 ? 0 : cuts->stale.size - start % cuts->stale.size;
        size_t size = end - start < sizeof(part) ? (size_t)(end - start) : sizeof(part);

        memset(part, 0xa5, sizeof(part));
        if (left > 0)
            size = sparse_read(&cuts->stale, start % cuts->stale.size, part,
                               size < left ? size : (size_t)left);
        write_content(cuts, file, start, slice_of(part, size));
        start += size;
    }
}

/* FILE gets the size that the write OP gives it so far, and nothing of its content behind the old end. */
static void grow(struct fs_cuts *cuts, struct sparse *file, const struct fs_op *op, uint64_t size)
{
    uint64_t start = file->size > op->offset ? file->size : op->offset;

    if (size <= file->size)
        return;
    sparse_resize(file, &cuts->space, size);
    if (cuts->options.stale)
        write_stale(cuts, file, start, size);
}

static void apply_content(struct fs_cuts *cuts, struct sparse *file, const struct fs_atom *atom)
{
    const struct fs_op *op = atom->op;

    if (atom->kind == FS_ATOM_RESIZE) {
        sparse_resize(file, &cuts->space, atom->size);
    } else if (atom->kind == FS_ATOM_GROW) {
        grow(cuts, file, op, atom->size);
    } else {
        grow(cuts, file, op, atom->offset);
        write_content(cuts, file, atom->offset,
                      slice_of(op->data + (atom->offset - op->offset), (size_t)atom->size));
    }
}

static void fold(void *arg, const struct fs_atom *atom)
{
    struct fs_cuts *cuts = arg;

    if (fs_atom_is_content(atom->kind))
        apply_content(cuts, &cuts->contents[atom->owner], atom);
    else
        apply_name(&cuts->names, atom);
}

/* --- stale bytes ------------------------------------------------------------------------------ */

/* The file that loses its last name by the operation at POSITION; 0: none does. */
static uint64_t removed_by(const struct fs_log *log, size_t position)
{
    const struct fs_op *op = &log->ops[position];
    const char *path = op->kind == FS_OP_RENAME ? op->path_to : op->path;

    if (op->kind == FS_OP_REMOVE)
        return op->node;
    for (size_t i = position; op->kind == FS_OP_RENAME && i > 0; i--) {
        const struct fs_op *before = &log->ops[i - 1];

        if (before->kind == FS_OP_CREATE && strcmp(before->path, path) == 0)
            return before->node;
        if (before->kind == FS_OP_RENAME && strcmp(before->path_to, path) == 0)
            return before->node;
        if ((before->kind == FS_OP_RENAME || before->kind == FS_OP_REMOVE) &&
            strcmp(before->path, path) == 0)
            return 0;
    }
    return 0;
}

/* What NODE contained after the first UPTO operations. */
static struct sparse content_of(struct fs_cuts *cuts, uint64_t node, size_t upto)
{
    struct sparse content = {0};

    for (size_t i = 0; i < upto; i++) {
        const struct fs_op *op = &cuts->log->ops[i];

        if (op->node == node && op->kind == FS_OP_WRITE)
            write_content(cuts, &content, op->offset, slice_of(op->data, (size_t)op->size));
        if (op->node == node && op->kind == FS_OP_RESIZE)
            sparse_resize(&content, &cuts->space, op->size);
    }
    return content;
}

/* Finds the last file that was removed among the first UPTO operations. */
static void find_stale(struct fs_cuts *cuts, size_t upto)
{
    for (; cuts->stale_upto < upto; cuts->stale_upto++) {
        uint64_t node = removed_by(cuts->log, cuts->stale_upto);

        if (node == 0)
            continue;
        struct sparse content = content_of(cuts, node, cuts->stale_upto);

        if (content.size == 0)
            continue;
        sparse_resize(&cuts->stale, &cuts->space, 0);
        cuts->stale = content;
    }
}

/* --- cuts ------------------------------------------------------------------------------------- */

struct fs_cuts *fs_cuts_new(const struct fs_log *log, const struct fs_cut_options *options)
{
    struct fs_cuts *cuts = double_new(1, sizeof(*cuts));
    size_t nodes = (size_t)log->node_count + 1;

    *cuts = (struct fs_cuts){.log = log, .options = *options};
    if (cuts->options.tear_unit == 0)
        cuts->options.tear_unit = DEFAULT_TEAR;
    if (cuts->options.exhaustive == 0)
        cuts->options.exhaustive = DEFAULT_EXHAUSTIVE;
    fs_atoms_init(&cuts->atoms, log, cuts->options.tear_unit);
    cuts->space.limit = UINT64_MAX;
    cuts->contents = double_new(nodes, sizeof(*cuts->contents));
    cuts->files = double_new(nodes, sizeof(*cuts->files));
    cuts->paths = double_new(nodes, sizeof(*cuts->paths));
    return cuts;
}

void fs_cuts_free(struct fs_cuts *cuts)
{
    if (cuts == NULL)
        return;
    for (uint64_t node = 0; node <= cuts->log->node_count; node++)
        sparse_resize(&cuts->contents[node], &cuts->space, 0);
    sparse_resize(&cuts->stale, &cuts->space, 0);
    fs_atoms_deinit(&cuts->atoms);
    double_free(cuts->contents);
    double_free(cuts->files);
    double_free(cuts->paths);
    double_free(cuts->names.list);
    double_free(cuts->built.list);
    double_free(cuts);
}

struct fs_cut *fs_cuts_at(struct fs_cuts *cuts, size_t upto)
{
    const struct fs_choose_limits limits = {
        .exhaustive = cuts->options.exhaustive,
        .samples = cuts->options.samples,
        .max_states = cuts->options.max_states,
        .seed = cuts->options.seed ^ ((uint64_t)upto * 0xd1342543de82ef95U),
    };
    struct fs_cut *cut = double_new(1, sizeof(*cut));

    fs_atoms_advance(&cuts->atoms, upto, fold, cuts);
    if (cuts->options.stale)
        find_stale(cuts, upto);
    cut->cuts = cuts;
    cut->pending = double_new(cuts->atoms.count, sizeof(struct fs_atom *));
    for (size_t i = 0; i < cuts->atoms.count; i++) {
        if (cuts->atoms.list[i].durable)
            continue;
        cut->pending[cut->pending_count] = &cuts->atoms.list[i];
        cut->pending_count++;
    }
    cut->kept = double_new(cut->pending_count, sizeof(*cut->kept));
    cut->name = double_new(NAME_HEAD + cut->pending_count / 4 + 2, 1);
    cut->choose = fs_choose_new(cut->pending, cut->pending_count, &limits);
    return cut;
}

enum status fs_cut_new(const struct fs_log *log, size_t upto, const struct fs_cut_options *options,
                       struct fs_cut **ret_cut, struct error *err)
{
    struct fs_cuts *cuts = fs_cuts_new(log, options);

    (void)err; /* cannot fail: double_heap.h */
    *ret_cut = fs_cuts_at(cuts, upto);
    (*ret_cut)->own_cuts = cuts;
    return STATUS_OK;
}

void fs_cut_free(struct fs_cut *cut)
{
    if (cut == NULL)
        return;
    fs_choose_free(cut->choose);
    double_free(cut->pending);
    double_free(cut->kept);
    double_free(cut->name);
    fs_cuts_free(cut->own_cuts);
    double_free(cut);
}

uint64_t fs_cut_count(const struct fs_cut *cut)
{
    return fs_choose_count(cut->choose);
}

size_t fs_cut_pending(const struct fs_cut *cut)
{
    return cut->pending_count;
}

const char *fs_cut_name(const struct fs_cut *cut)
{
    return cut->name;
}

static void put_name(struct fs_cut *cut)
{
    static const char digits[] = "0123456789abcdef";
    const struct fs_cuts *cuts = cut->cuts;
    char head[NAME_HEAD];
    size_t nibbles = cut->pending_count == 0 ? 1 : (cut->pending_count + 3) / 4;

    INVARIANT(text_format(head, sizeof(head), "after %zu of %zu, torn at %" PRIu32 ", %schoice 0x",
                          cuts->atoms.upto, cuts->log->count, cuts->options.tear_unit,
                          cuts->options.stale ? "stale, " : ""));
    size_t length = strlen(head);

    memcpy(cut->name, head, length);
    for (size_t i = nibbles; i > 0; i--) {
        unsigned digit = 0;

        for (size_t bit = 0; bit < 4 && 4 * (i - 1) + bit < cut->pending_count; bit++)
            digit |= cut->kept[4 * (i - 1) + bit] ? 1U << bit : 0;
        cut->name[length] = digits[digit];
        length++;
    }
    cut->name[length] = '\0';
}

/* --- a state ---------------------------------------------------------------------------------- */

/* Atom I, the PENDINGth pending one if it is pending: is it kept? */
static bool is_kept(const struct fs_cut *cut, const struct fs_atom *atom, size_t *pending)
{
    if (atom->durable)
        return true;
    *pending += 1;
    return cut->kept[*pending - 1];
}

/* The names of the state, and which of them a path leads to: parents come before what is in them. */
static void place(const struct fs_cut *cut)
{
    struct fs_cuts *cuts = cut->cuts;
    struct entries *built = &cuts->built;
    size_t pending = 0;
    size_t placed = 0;

    entries_reserve(built, cuts->names.count);
    built->count = cuts->names.count;
    if (built->count > 0)
        memcpy(built->list, cuts->names.list, built->count * sizeof(struct entry));
    for (size_t i = 0; i < cuts->atoms.count; i++) {
        const struct fs_atom *atom = &cuts->atoms.list[i];

        if (is_kept(cut, atom, &pending) && !fs_atom_is_content(atom->kind))
            apply_name(built, atom);
    }
    cuts->paths[0] = "";
    for (size_t i = 0; i < built->count; i++) {
        struct entry entry = built->list[i];

        if (cuts->paths[entry.dir] == NULL)
            continue;
        built->list[placed] = entry;
        placed++;
        if (cuts->paths[entry.node] != NULL)
            continue; /* the second name of a file */
        cuts->paths[entry.node] = entry.path;
        if (!entry.is_dir)
            cuts->files[entry.node] = sparse_copy(&cuts->contents[entry.node]);
    }
    built->count = placed;
}

static void fill_files(const struct fs_cut *cut)
{
    struct fs_cuts *cuts = cut->cuts;
    size_t pending = 0;

    for (size_t i = 0; i < cuts->atoms.count; i++) {
        const struct fs_atom *atom = &cuts->atoms.list[i];

        if (is_kept(cut, atom, &pending) && fs_atom_is_content(atom->kind) &&
            cuts->paths[atom->owner] != NULL)
            apply_content(cuts, &cuts->files[atom->owner], atom);
    }
}

/* Puts all that was built into FS, and leaves the room for it empty. */
static void move_to(struct fs_cuts *cuts, struct fs *fs)
{
    struct error err = {0};

    for (size_t i = 0; i < cuts->built.count; i++) {
        const struct entry *entry = &cuts->built.list[i];
        const char *first = cuts->paths[entry->node];

        if (entry->is_dir)
            INVARIANT(fs->ops->make_dir(fs, entry->path, &err) == STATUS_OK);
        else if (first == entry->path)
            fs_memory_put_file(fs, entry->path, &cuts->files[entry->node]);
        else
            fs_memory_put_link(fs, entry->path, first);
    }
    for (size_t i = 0; i < cuts->built.count; i++)
        cuts->paths[cuts->built.list[i].node] = NULL;
}

/* The state of cut->kept. */
static enum status build(const struct fs_cut *cut, struct fs **ret_fs, struct error *err)
{
    struct fs *fs = NULL;
    enum status st = fs_memory_new(&fs, err);

    if (st != STATUS_OK)
        return error_wrap(err, "build the state %s", cut->name);
    place(cut);
    fill_files(cut);
    move_to(cut->cuts, fs);
    *ret_fs = fs;
    return STATUS_OK;
}

enum status fs_cut_next(struct fs_cut *cut, struct fs **ret_fs, struct error *err)
{
    if (!fs_choose_next(cut->choose, cut->kept)) {
        *ret_fs = NULL;
        return STATUS_OK;
    }
    put_name(cut);
    return build(cut, ret_fs, err);
}

/* Moves *TEXT over WORDS, if they are there. */
static bool take_words(const char **text, const char *words)
{
    size_t length = strlen(words);

    if (strncmp(*text, words, length) != 0)
        return false;
    *text += length;
    return true;
}

/* Moves *TEXT over WORDS and the decimal number behind them. */
static bool take_number(const char **text, const char *words, uint64_t *ret_number)
{
    char digits[24] = "";

    if (!take_words(text, words))
        return false;
    size_t size = strspn(*text, "0123456789");

    if (size >= sizeof(digits))
        return false;
    memcpy(digits, *text, size);
    *text += size;
    return text_parse_u64(digits, ret_number);
}

/* The hexadecimal digits at TEXT, the highest first, into the choice. */
static bool take_choice(struct fs_cut *cut, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(text);

    if (length == 0 || length > (cut->pending_count == 0 ? 1 : (cut->pending_count + 3) / 4))
        return false;
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr(digits, text[length - 1 - i]);

        if (digit == NULL)
            return false;
        for (size_t bit = 0; bit < 4; bit++) {
            bool kept = ((digit - digits) >> bit & 1) != 0;

            if (4 * i + bit < cut->pending_count)
                cut->kept[4 * i + bit] = kept;
            else if (kept)
                return false;
        }
    }
    return true;
}

enum status fs_cut_rebuild(const struct fs_log *log, const char *name, struct fs **ret_fs,
                           struct error *err)
{
    struct fs_cut_options options = {0};
    const char *text = name;
    struct fs_cut *cut = NULL;
    uint64_t upto = 0;
    uint64_t count = 0;
    uint64_t tear = 0;
    bool ok = take_number(&text, "after ", &upto) && take_number(&text, " of ", &count) &&
              take_number(&text, ", torn at ", &tear);

    options.stale = ok && take_words(&text, ", stale");
    if (!ok || !take_words(&text, ", choice 0x") || upto > log->count || count != log->count ||
        tear == 0 || tear > UINT32_MAX)
        return error_set(err, STATUS_INVALID, "no state of this log: %s", name);
    options.tear_unit = (uint32_t)tear;
    enum status st = fs_cut_new(log, (size_t)upto, &options, &cut, err);

    if (st != STATUS_OK)
        return st;
    if (take_choice(cut, text)) {
        put_name(cut);
        st = build(cut, ret_fs, err);
    } else {
        st = error_set(err, STATUS_INVALID, "no state of this log: %s", name);
    }
    fs_cut_free(cut);
    return st;
}
