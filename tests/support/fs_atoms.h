/* tests/support/fs_atoms.h: the smallest things that a power cut keeps or loses, found in a log of
 * operations, one after the other, by the rules in fs_cut.h. Thread: one at a time. */
#ifndef TESTS_SUPPORT_FS_ATOMS_H
#define TESTS_SUPPORT_FS_ATOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/fs_log.h"

enum fs_atom_kind {
    FS_ATOM_GROW,   /* to SIZE bytes, the new ones without their content */
    FS_ATOM_PIECE,  /* SIZE bytes at OFFSET of the file */
    FS_ATOM_RESIZE, /* to SIZE bytes */
    FS_ATOM_LINK,   /* PATH stands for NODE */
    FS_ATOM_UNLINK, /* PATH stands for nothing */
    FS_ATOM_RENAME, /* both at once: PATH, and PATH_TO stands for NODE */
};

/* What atoms of different owners do is the same in any order. */
struct fs_atom {
    enum fs_atom_kind kind;
    const struct fs_op *op;
    size_t position; /* of OP in the log */
    uint64_t owner;  /* the file, or the folder, whose sync makes it durable */
    uint64_t offset;
    uint64_t size;
    bool durable;
    bool stuck; /* pending for ever: a sync failed */
};

/* The atoms of the first UPTO operations, apart from those that were *folded*: durable ones with nothing
 * pending of their owner in front of them. */
struct fs_atoms {
    const struct fs_log *log;
    uint32_t tear;
    size_t upto;
    struct fs_atom *list;
    size_t count;
    size_t room;
    uint64_t *sizes; /* of all files, as the process sees them */
    bool *blocked;   /* for the moment of folding: owners with something pending */
};

/* Of no operation so far. LOG is borrowed and does not change meanwhile; writes are torn at multiples of
 * TEAR bytes. Pairs with fs_atoms_deinit(). */
void fs_atoms_init(struct fs_atoms *atoms, const struct fs_log *log, uint32_t tear);
void fs_atoms_deinit(struct fs_atoms *atoms);

/* Goes on to UPTO, which is not less than before. What can be folded leaves the list, in order, through
 * FOLD(ARG, atom). */
void fs_atoms_advance(struct fs_atoms *atoms, size_t upto,
                      void (*fold)(void *arg, const struct fs_atom *atom), void *arg);

/* Of a file's content, not of a name. */
bool fs_atom_is_content(enum fs_atom_kind kind);

#endif
