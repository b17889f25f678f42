/* base/fs.h: files: a seam. What Tidemark keeps on a disk it keeps through here, and only here are
 * files opened, written, synced and renamed, so that tests can fail each of these calls, tear it, or
 * lose what was not synced. Fillings: base/fs_posix.h; for tests tests/support/fs_memory.h and, laid
 * over another one, fs_record.h.
 *
 * A *path* is relative to the folder that the file system was opened on: components of [1, 255] bytes
 * joined by '/', none of them "." or "..", FS_PATH_MAX bytes at most, no control characters; "" is the
 * folder itself. Another path is refused with STATUS_INVALID before anything happens.
 *
 * An error is no proof that nothing happened: behind one of I/O (EIO, or a power that is off) a file may
 * be made, renamed, removed, resized or written all the same, wholly, and a folder's names be durable;
 * either may be true. Only what refuses a call by its arguments, or by what is there, changes nothing:
 * STATUS_INVALID, STATUS_RANGE, STATUS_NOT_FOUND, STATUS_EXISTS, STATUS_PRECONDITION, STATUS_DENIED.
 *
 * All calls block: any thread but the loop's. Calls on one file from several threads at once are fine;
 * what overlapping writes leave is then up to chance. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

enum { FS_PATH_MAX = 1023, FS_PATH_SIZE = FS_PATH_MAX + 1, FS_NAMES_MAX = 1000000 };

struct fs;
struct fs_file;

enum fs_mode {
    FS_READ,   /* an existing file, to read */
    FS_WRITE,  /* an existing file, to read and write */
    FS_CREATE, /* a new file (STATUS_EXISTS if the name is taken), to read and write */
};

/* The names in a folder, sorted by bytes. */
struct fs_names {
    char **names;
    size_t count;
};

/* What a filling provides: the functions below, one to one, with valid arguments: offset and size
 * together stay below 2^63, no read or write is empty, and "" comes to list() and sync_dir() only.
 * list() gives the names in any order, by fs_names_add(). No NULL entries. write_at() may write a part
 * before it fails; all else is done whole or not at all, but an error does not say which. */
struct fs_ops {
    enum status (*open)(struct fs *fs, const char *path, enum fs_mode mode,
                        struct fs_file **ret_file, struct error *err);
    enum status (*read_at)(struct fs_file *file, uint64_t offset, void *data, size_t size,
                           size_t *ret_size, struct error *err);
    enum status (*write_at)(struct fs_file *file, uint64_t offset, struct slice data,
                            struct error *err);
    enum status (*size)(struct fs_file *file, uint64_t *ret_size, struct error *err);
    enum status (*resize)(struct fs_file *file, uint64_t size, struct error *err);
    enum status (*next_data)(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                             uint64_t *ret_end, struct error *err);
    enum status (*sync)(struct fs_file *file, struct error *err);
    void (*close)(struct fs_file *file);
    enum status (*make_dir)(struct fs *fs, const char *path, struct error *err);
    enum status (*rename)(struct fs *fs, const char *from, const char *to, struct error *err);
    enum status (*remove)(struct fs *fs, const char *path, struct error *err);
    enum status (*list)(struct fs *fs, const char *path, struct fs_names *ret_names,
                        struct error *err);
    enum status (*sync_dir)(struct fs *fs, const char *path, struct error *err);
    enum status (*lock)(struct fs *fs, const char *path, struct fs_file **ret_lock,
                        struct error *err);
    void (*free)(struct fs *fs);
#ifdef TIDEMARK_FAULTS
    /* A fault took the place of sync(FILE) or, where FILE is NULL, of sync_dir(PATH): a filling that
     * models what a failed sync means has to know. */
    void (*sync_failed)(struct fs *fs, struct fs_file *file, const char *path);
    /* FAULT_LOSE: from now on every call fails. STATUS_UNSUPPORTED: not in this filling's power. */
    enum status (*power_off)(struct fs *fs, struct error *err);
#endif
};

/* The first member of a filling's own structs. */
struct fs {
    const struct fs_ops *ops;
};

struct fs_file {
    struct fs *fs;
    char *path; /* as opened, for messages; the filling's to free */
};

/* The file at PATH; *ret_file is the caller's (fs_close). STATUS_NOT_FOUND, STATUS_EXISTS,
 * STATUS_DENIED, STATUS_PRECONDITION (a folder, a link). A new file is readable by its owner only, and
 * its name is durable after fs_sync_dir() of its folder, not before. */
NODISCARD enum status fs_open(struct fs *fs, const char *path, enum fs_mode mode,
                              struct fs_file **ret_file, struct error *err);

/* SIZE bytes at OFFSET, less only where the file ends: *ret_size. */
NODISCARD enum status fs_read_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                                 size_t *ret_size, struct error *err);

/* The same, but less than SIZE bytes are STATUS_CORRUPT: the file is shorter than it must be. */
NODISCARD enum status fs_read_exactly_at(struct fs_file *file, uint64_t offset, void *data,
                                         size_t size, struct error *err);

/* All of DATA at OFFSET; the file grows as needed, with a hole before OFFSET. After a failure any part
 * of DATA may be there. STATUS_EXHAUSTED: no space. Durable after fs_sync(). */
NODISCARD enum status fs_write_at(struct fs_file *file, uint64_t offset, struct slice data,
                                  struct error *err);

NODISCARD enum status fs_size(struct fs_file *file, uint64_t *ret_size, struct error *err);

/* Cuts off, or grows by a hole. */
NODISCARD enum status fs_resize(struct fs_file *file, uint64_t size, struct error *err);

/* The first stretch of data at or behind OFFSET: [*ret_start, *ret_end), not empty; what lies before
 * it from OFFSET on is a hole and reads as zeros. STATUS_NOT_FOUND: holes only up to the end. A file
 * system that does not know holes says that all is data. */
NODISCARD enum status fs_next_data(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                                   uint64_t *ret_end, struct error *err);

/* Makes content and size durable: after STATUS_OK a power cut takes away nothing written *through FILE,
 * this open file*, before. After a failure anything written since the last good sync may be lost
 * *whatever later syncs say*: write a new file, never try again. So no promise covers what was written
 * before FILE was opened: an earlier open file or process may have met a failed sync, and left bytes
 * that are read back but will never be on the disk. To be sure of them copy them to a new file. */
NODISCARD enum status fs_sync(struct fs_file *file, struct error *err);

/* NULL is fine. Syncs nothing. */
void fs_close(struct fs_file *file);

/* A new folder, for its owner only. Durable after fs_sync_dir() of the folder it is in. */
NODISCARD enum status fs_make_dir(struct fs *fs, const char *path, struct error *err);

/* FROM (a file) gets the name TO; a file that had it is gone, and never is there none. FROM is gone
 * too, also where TO was another name (a link) of the same file. Within one folder it is durable after
 * fs_sync_dir() of it, and a power cut before leaves the old names or the new. Between folders it is
 * durable once *both* are synced; before, a power cut may leave either name, both or neither: do not
 * move what must not be lost. */
NODISCARD enum status fs_rename(struct fs *fs, const char *from, const char *to, struct error *err);

/* The file or empty folder at PATH. An open file lives on until it is closed. */
NODISCARD enum status fs_remove(struct fs *fs, const char *path, struct error *err);

/* What is in the folder at PATH; the caller's (fs_names_deinit). STATUS_EXHAUSTED: more than
 * FS_NAMES_MAX names, or no memory. */
NODISCARD enum status fs_list(struct fs *fs, const char *path, struct fs_names *ret_names,
                              struct error *err);
void fs_names_deinit(struct fs_names *names); /* zeroed is fine */

/* For fillings: puts a copy of NAME behind the others. */
NODISCARD enum status fs_names_add(struct fs_names *names, const char *name, struct error *err);

/* Makes the names in the folder at PATH durable: files made, renamed and removed there. After a failure
 * the names that were pending there may never become durable, *whatever later syncs say*: give them up,
 * and put what must stay under new names. */
NODISCARD enum status fs_sync_dir(struct fs *fs, const char *path, struct error *err);

/* Holds the file at PATH, made if it is not there, for this caller alone, until fs_close(*ret_lock) or the end of
 * the process, however it ends. The file stays; what is in it is the filling's (the holder's process number).
 * STATUS_UNAVAILABLE: somebody else holds it; the sentence says who, as far as that is known. */
NODISCARD enum status fs_lock(struct fs *fs, const char *path, struct fs_file **ret_lock,
                              struct error *err);

/* All files are closed. NULL is fine. */
void fs_free(struct fs *fs);

/* Puts CONTENT, durably, into the file at PATH, new or not: at every moment, also across a power cut,
 * PATH holds the old content or the new, whole. Uses the name PATH + ".new", of which a crash may leave
 * a file; the next call for PATH replaces it. After a failure it is the one or the other; calling again
 * is right, it writes a new file and renames that. One thread at a time for one PATH. */
NODISCARD enum status fs_replace(struct fs *fs, const char *path, struct slice content,
                                 struct error *err);

/* The folder that PATH (of at most FS_PATH_MAX bytes) is in into DIR: "" for a plain name. */
void fs_parent(const char *path, char dir[FS_PATH_SIZE]);

#endif
