/* tests/support/fs_atoms.h: the smallest things that a power cut keeps or loses, found in a log of
 * operations by the rules in fs_cut.h. Thread: one at a time. */
#ifndef TESTS_SUPPORT_FS_ATOMS_H
#define TESTS_SUPPORT_FS_ATOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "tests/support/fs_log.h"

enum fs_atom_kind {
    FS_ATOM_GROW,   /* to SIZE bytes, with zeros */
    FS_ATOM_PIECE,  /* SIZE bytes at OFFSET of the file */
    FS_ATOM_RESIZE, /* to SIZE bytes */
    FS_ATOM_LINK,   /* PATH stands for NODE */
    FS_ATOM_UNLINK, /* PATH stands for nothing */
    FS_ATOM_RENAME, /* both at once: PATH, and PATH_TO stands for NODE */
};

struct fs_atom {
    enum fs_atom_kind kind;
    const struct fs_op *op;
    uint64_t owner; /* the file, or the folder, whose sync makes it durable */
    uint64_t offset;
    uint64_t size;
    bool durable;
    bool stuck; /* pending for ever: a sync failed */
};

struct fs_atoms {
    struct fs_atom *list;
    size_t count;
    size_t room;
};

/* The atoms of the first UPTO operations of LOG, in their order, writes torn at multiples of TEAR bytes.
 * *ret_atoms refers to LOG; the caller's (fs_atoms_deinit). */
NODISCARD enum status fs_atoms_find(const struct fs_log *log, size_t upto, uint32_t tear,
                                    struct fs_atoms *ret_atoms, struct error *err);
void fs_atoms_deinit(struct fs_atoms *atoms); /* zeroed is fine */

/* Of a file's content, not of a name. */
bool fs_atom_is_content(enum fs_atom_kind kind);

#endif
