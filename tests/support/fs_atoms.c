#include "tests/support/fs_atoms.h"

#include "base/memory.h"

bool fs_atom_is_content(enum fs_atom_kind kind)
{
    return kind == FS_ATOM_GROW || kind == FS_ATOM_PIECE || kind == FS_ATOM_RESIZE;
}

static enum status add_atom(struct fs_atoms *atoms, struct fs_atom atom, struct error *err)
{
    if (atoms->count == atoms->room) {
        size_t room = atoms->room == 0 ? 64 : atoms->room * 2;
        struct fs_atom *list = memory_resize(atoms->list, room, sizeof(*list));

        if (list == NULL)
            return error_set_no_memory(err, room * sizeof(*list), "atoms");
        atoms->list = list;
        atoms->room = room;
    }
    atoms->list[atoms->count] = atom;
    atoms->count++;
    return STATUS_OK;
}

static enum status add_write(struct fs_atoms *atoms, const struct fs_op *op, uint64_t file_size,
                             uint32_t tear, struct error *err)
{
    struct fs_atom atom = {.op = op, .owner = op->node};
    uint64_t end = op->offset + op->size;
    enum status st = STATUS_OK;

    if (end > file_size) {
        atom.kind = FS_ATOM_GROW;
        atom.size = end;
        st = add_atom(atoms, atom, err);
    }
    atom.kind = FS_ATOM_PIECE;
    for (uint64_t start = op->offset; st == STATUS_OK && start < end; start += atom.size) {
        uint64_t room = tear - start % tear;

        atom.offset = start;
        atom.size = end - start < room ? end - start : room;
        st = add_atom(atoms, atom, err);
    }
    return st;
}

static enum status add_rename(struct fs_atoms *atoms, const struct fs_op *op, struct error *err)
{
    struct fs_atom half = {.kind = FS_ATOM_LINK, .op = op, .owner = op->dir_to};

    if (op->dir == op->dir_to) {
        half.kind = FS_ATOM_RENAME;
        return add_atom(atoms, half, err);
    }
    enum status st = add_atom(atoms, half, err);

    half.kind = FS_ATOM_UNLINK;
    half.owner = op->dir;
    return st == STATUS_OK ? add_atom(atoms, half, err) : st;
}

/* A sync of OWNER: of the content, if it is a file, of the names, if it is a folder. */
static void settle(struct fs_atoms *atoms, uint64_t owner, bool failed)
{
    for (size_t i = 0; i < atoms->count; i++) {
        struct fs_atom *atom = &atoms->list[i];

        if (atom->owner != owner || atom->durable)
            continue;
        if (failed)
            atom->stuck = true;
        else if (!atom->stuck)
            atom->durable = true;
    }
}

/* SIZES: of all files, as the process sees them. */
static enum status add_op(struct fs_atoms *atoms, const struct fs_op *op, uint64_t *sizes,
                          uint32_t tear, struct error *err)
{
    struct fs_atom atom = {.op = op, .owner = op->dir};
    enum status st = STATUS_OK;

    switch (op->kind) {
    case FS_OP_CREATE:
    case FS_OP_MAKE_DIR:
        atom.kind = FS_ATOM_LINK;
        return add_atom(atoms, atom, err);
    case FS_OP_REMOVE:
        atom.kind = FS_ATOM_UNLINK;
        return add_atom(atoms, atom, err);
    case FS_OP_RENAME:
        return add_rename(atoms, op, err);
    case FS_OP_WRITE:
        st = add_write(atoms, op, sizes[op->node], tear, err);
        if (op->offset + op->size > sizes[op->node])
            sizes[op->node] = op->offset + op->size;
        return st;
    case FS_OP_RESIZE:
        if (sizes[op->node] == op->size)
            return STATUS_OK;
        atom =
            (struct fs_atom){.kind = FS_ATOM_RESIZE, .op = op, .owner = op->node, .size = op->size};
        sizes[op->node] = op->size;
        return add_atom(atoms, atom, err);
    case FS_OP_SYNC:
    case FS_OP_SYNC_DIR:
        settle(atoms, op->node, op->failed);
        return STATUS_OK;
    }
    return error_set(err, STATUS_INTERNAL, "no such operation");
}

enum status fs_atoms_find(const struct fs_log *log, size_t upto, uint32_t tear,
                          struct fs_atoms *ret_atoms, struct error *err)
{
    uint64_t *sizes = memory_new((size_t)log->node_count + 1, sizeof(*sizes));
    struct fs_atoms atoms = {0};
    enum status st = STATUS_OK;

    if (sizes == NULL)
        return error_set_no_memory(err, (size_t)log->node_count * sizeof(*sizes), "sizes");
    for (size_t i = 0; st == STATUS_OK && i < upto; i++)
        st = add_op(&atoms, &log->ops[i], sizes, tear, err);
    memory_free(sizes);
    if (st != STATUS_OK) {
        fs_atoms_deinit(&atoms);
        return st;
    }
    *ret_atoms = atoms;
    return STATUS_OK;
}

void fs_atoms_deinit(struct fs_atoms *atoms)
{
    memory_free(atoms->list);
    *atoms = (struct fs_atoms){0};
}
