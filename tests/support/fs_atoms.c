#include "tests/support/fs_atoms.h"

#include <string.h>

#include "base/invariant.h"
#include "tests/support/double_heap.h"

bool fs_atom_is_content(enum fs_atom_kind kind)
{
    return kind == FS_ATOM_GROW || kind == FS_ATOM_PIECE || kind == FS_ATOM_RESIZE;
}

/* An atom of the operation that comes next. */
static void add_atom(struct fs_atoms *atoms, struct fs_atom atom)
{
    if (atoms->count == atoms->room) {
        atoms->room = atoms->room == 0 ? 64 : atoms->room * 2;
        atoms->list = double_resize(atoms->list, atoms->room, sizeof(*atoms->list));
    }
    atom.position = atoms->upto;
    atom.op = &atoms->log->ops[atoms->upto];
    atoms->list[atoms->count] = atom;
    atoms->count++;
}

static uint64_t piece_size(uint64_t start, uint64_t end, uint32_t tear)
{
    uint64_t room = tear - start % tear;

    return end - start < room ? end - start : room;
}

/* A file grows as its pieces are written: it may end behind any of them. */
static void add_write(struct fs_atoms *atoms, const struct fs_op *op)
{
    uint64_t *file_size = &atoms->sizes[op->node];
    uint64_t end = op->offset + op->size;
    uint64_t size = 0;

    for (uint64_t start = op->offset; start < end; start += size) {
        size = piece_size(start, end, atoms->tear);
        if (start + size > *file_size)
            add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_GROW,
                                             .owner = op->node,
                                             .size = start + size});
    }
    for (uint64_t start = op->offset; start < end; start += size) {
        size = piece_size(start, end, atoms->tear);
        add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_PIECE,
                                         .owner = op->node,
                                         .offset = start,
                                         .size = size});
    }
    *file_size = end > *file_size ? end : *file_size;
}

static void add_rename(struct fs_atoms *atoms, const struct fs_op *op)
{
    if (op->dir == op->dir_to) {
        add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_RENAME, .owner = op->dir});
        return;
    }
    add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_LINK, .owner = op->dir_to});
    add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_UNLINK, .owner = op->dir});
}

/* A sync of a file's content or of a folder's names. What began after it was called it need not have
 * seen; but when it fails, that may be lost as well. */
static void settle(struct fs_atoms *atoms, const struct fs_op *sync)
{
    for (size_t i = 0; i < atoms->count; i++) {
        struct fs_atom *atom = &atoms->list[i];

        if (atom->owner != sync->node || atom->durable)
            continue;
        if (sync->failed)
            atom->stuck = true;
        else if (!atom->stuck && atom->position < sync->covers)
            atom->durable = true;
    }
}

static void fold_all(struct fs_atoms *atoms, void (*fold)(void *arg, const struct fs_atom *atom),
                     void *arg)
{
    size_t kept = 0;

    memset(atoms->blocked, 0, (size_t)atoms->log->node_count + 1);
    for (size_t i = 0; i < atoms->count; i++) {
        const struct fs_atom *atom = &atoms->list[i];

        if (atom->durable && !atoms->blocked[atom->owner]) {
            fold(arg, atom);
            continue;
        }
        atoms->blocked[atom->owner] = true;
        atoms->list[kept] = *atom;
        kept++;
    }
    atoms->count = kept;
}

static void add_op(struct fs_atoms *atoms, const struct fs_op *op)
{
    switch (op->kind) {
    case FS_OP_CREATE:
    case FS_OP_MAKE_DIR:
        add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_LINK, .owner = op->dir});
        return;
    case FS_OP_REMOVE:
        add_atom(atoms, (struct fs_atom){.kind = FS_ATOM_UNLINK, .owner = op->dir});
        return;
    case FS_OP_RENAME:
        add_rename(atoms, op);
        return;
    case FS_OP_WRITE:
        add_write(atoms, op);
        return;
    case FS_OP_RESIZE:
        if (atoms->sizes[op->node] != op->size)
            add_atom(atoms,
                     (struct fs_atom){.kind = FS_ATOM_RESIZE, .owner = op->node, .size = op->size});
        atoms->sizes[op->node] = op->size;
        return;
    case FS_OP_SYNC:
    case FS_OP_SYNC_DIR:
        settle(atoms, op);
        return;
    }
}

void fs_atoms_init(struct fs_atoms *atoms, const struct fs_log *log, uint32_t tear)
{
    size_t nodes = (size_t)log->node_count + 1;

    *atoms = (struct fs_atoms){.log = log, .tear = tear};
    atoms->sizes = double_new(nodes, sizeof(*atoms->sizes));
    atoms->blocked = double_new(nodes, sizeof(*atoms->blocked));
}

void fs_atoms_deinit(struct fs_atoms *atoms)
{
    double_free(atoms->list);
    double_free(atoms->sizes);
    double_free(atoms->blocked);
    *atoms = (struct fs_atoms){0};
}

void fs_atoms_advance(struct fs_atoms *atoms, size_t upto,
                      void (*fold)(void *arg, const struct fs_atom *atom), void *arg)
{
    INVARIANT(upto >= atoms->upto && upto <= atoms->log->count);
    for (; atoms->upto < upto; atoms->upto++) {
        const struct fs_op *op = &atoms->log->ops[atoms->upto];

        add_op(atoms, op);
        if ((op->kind == FS_OP_SYNC || op->kind == FS_OP_SYNC_DIR) && !op->failed)
            fold_all(atoms, fold, arg);
    }
}
