/* SEEK_DATA and O_PATH are not in POSIX.1-2008. */
#define _GNU_SOURCE /* NOLINT(bugprone-reserved-identifier): the C library's own switch */

#include "base/fs_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h> /* renameat() */
#include <string.h>
#include <sys/file.h> /* flock() */
#include <sys/stat.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

enum { NAME_SIZE = 256 };

struct posix_fs {
    struct fs fs;
    int dir; /* the folder that paths begin in */
};

struct posix_file {
    struct fs_file file;
    int fd;
};

/* Where a path ends: DIR is open, NAME is in it. */
struct place {
    int dir;
    const char *name;
};

static struct posix_fs *fs_of(struct fs *fs)
{
    return (struct posix_fs *)fs; /* its first member */
}

static int fd_of(const struct fs_file *file)
{
    return ((const struct posix_file *)file)->fd; /* its first member */
}

static void close_fd(int fd)
{
    (void)close(fd); /* nothing was promised of it: what must be durable was synced */
}

static void leave(const struct posix_fs *fs, struct place place)
{
    if (place.dir != fs->dir)
        close_fd(place.dir);
}

/* Opens the folders of PATH one by one, so that a link on the way is not followed: with O_NOFOLLOW the
 * kernel looks at the last component only. Ends with leave(). */
static enum status walk(const struct posix_fs *fs, const char *path, struct place *ret_place,
                        struct error *err)
{
    struct place place = {.dir = fs->dir, .name = path};

    for (;;) {
        const char *slash = strchr(place.name, '/');
        char part[NAME_SIZE];

        if (slash == NULL)
            break;
        size_t length = (size_t)(slash - place.name);

        INVARIANT(length < sizeof(part)); /* base/fs.c has checked the path */
        memcpy(part, place.name, length);
        part[length] = '\0';

        int next = openat(place.dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int errnum = errno;

        leave(fs, place);
        if (next < 0)
            return error_set_errno(err, errnum, "open folder %s", part);
        place.dir = next;
        place.name = slash + 1;
    }
    *ret_place = place;
    return STATUS_OK;
}

/* The folder at PATH, open for reading and syncing: *ret_fd is the caller's. */
static enum status open_dir(const struct posix_fs *fs, const char *path, int *ret_fd,
                            struct error *err)
{
    struct place place = {0};
    enum status st = walk(fs, path, &place, err);

    if (st != STATUS_OK)
        return st;
    int fd = openat(place.dir, place.name[0] == '\0' ? "." : place.name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int errnum = errno;

    leave(fs, place);
    if (fd < 0)
        return error_set_errno(err, errnum, "open folder");
    *ret_fd = fd;
    return STATUS_OK;
}

/* O_NONBLOCK: a FIFO in the place of a file must not make us wait. Regular files ignore it. */
static const int always = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;

static int flags_of(enum fs_mode mode)
{
    switch (mode) {
    case FS_READ:
        return always | O_RDONLY;
    case FS_WRITE:
        return always | O_RDWR;
    case FS_CREATE:
        return always | O_RDWR | O_CREAT | O_EXCL;
    }
    return always;
}

static enum status refuse_other_kinds(int fd, struct error *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return error_set_errno(err, errno, "fstat");
    if (!S_ISREG(info.st_mode))
        return error_set(err, STATUS_PRECONDITION, "not a regular file");
    return STATUS_OK;
}

static enum status open_fd(const struct posix_fs *fs, const char *path, int flags, int *ret_fd,
                           struct error *err)
{
    struct place place = {0};
    enum status st = walk(fs, path, &place, err);

    if (st != STATUS_OK)
        return st;
    int fd = openat(place.dir, place.name, flags, S_IRUSR | S_IWUSR);
    int errnum = errno;

    leave(fs, place);
    if (fd < 0 && errnum == ENXIO)
        return error_set(err, STATUS_PRECONDITION, "a socket or a device without a driver");
    if (fd < 0)
        return error_set_errno(err, errnum, "openat");
    st = refuse_other_kinds(fd, err);
    if (st != STATUS_OK) {
        close_fd(fd);
        return st;
    }
    *ret_fd = fd;
    return STATUS_OK;
}

static enum status open_file(struct fs *fs, const char *path, int flags, struct fs_file **ret_file,
                             struct error *err)
{
    struct posix_file *file = memory_new(1, sizeof(*file));
    char *copy = memory_copy_text(path);
    int fd = -1;
    enum status st = STATUS_OK;

    if (file == NULL || copy == NULL)
        st = error_set_no_memory(err, sizeof(*file) + strlen(path) + 1, "an open file");
    if (st == STATUS_OK)
        st = open_fd(fs_of(fs), path, flags, &fd, err);
    if (st != STATUS_OK)
        goto out;
    *file = (struct posix_file){.file = {.fs = fs, .path = copy}, .fd = fd};
    *ret_file = &file->file;
    file = NULL;
    copy = NULL;
out:
    memory_free(copy);
    memory_free(file);
    return st;
}

static enum status posix_open(struct fs *fs, const char *path, enum fs_mode mode,
                              struct fs_file **ret_file, struct error *err)
{
    return open_file(fs, path, flags_of(mode), ret_file, err);
}

static enum status posix_read_at(struct fs_file *file, uint64_t offset, void *data, size_t size,
                                 size_t *ret_size, struct error *err)
{
    uint8_t *target = data;
    size_t got = 0;

    while (got < size) {
        ssize_t part = pread(fd_of(file), target + got, size - got, (off_t)(offset + got));

        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return error_set_errno(err, errno, "pread");
        if (part == 0)
            break;
        got += (size_t)part;
    }
    *ret_size = got;
    return STATUS_OK;
}

static enum status posix_write_at(struct fs_file *file, uint64_t offset, struct slice data,
                                  struct error *err)
{
    size_t put = 0;

    while (put < data.size) {
        ssize_t part = pwrite(fd_of(file), data.data + put, data.size - put, (off_t)(offset + put));

        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return error_set_errno(err, errno, "pwrite");
        if (part == 0)
            return error_set_errno(err, EIO, "pwrite took nothing");
        put += (size_t)part;
    }
    return STATUS_OK;
}

static enum status posix_size(struct fs_file *file, uint64_t *ret_size, struct error *err)
{
    struct stat info;

    if (fstat(fd_of(file), &info) != 0)
        return error_set_errno(err, errno, "fstat");
    *ret_size = (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status posix_resize(struct fs_file *file, uint64_t size, struct error *err)
{
    while (ftruncate(fd_of(file), (off_t)size) != 0) {
        if (errno != EINTR)
            return error_set_errno(err, errno, "ftruncate");
    }
    return STATUS_OK;
}

/* lseek() moves the position that all users of the descriptor share. Nobody reads it: pread() and
 * pwrite() bring their own, and each lseek() here begins at an absolute one and gives its answer back
 * in the same call. So several threads may be in here at once. */
static enum status posix_next_data(struct fs_file *file, uint64_t offset, uint64_t *ret_start,
                                   uint64_t *ret_end, struct error *err)
{
    off_t start = lseek(fd_of(file), (off_t)offset, SEEK_DATA);

    if (start < 0 && errno == EINVAL) {
        /* This file system does not know holes: all is data. */
        uint64_t size = 0;
        enum status st = posix_size(file, &size, err);

        if (st != STATUS_OK)
            return st;
        if (offset >= size)
            return error_set_errno(err, ENXIO, "no data up to the end");
        *ret_start = offset;
        *ret_end = size;
        return STATUS_OK;
    }
    if (start < 0)
        return error_set_errno(err, errno, "lseek for data");

    off_t end = lseek(fd_of(file), start, SEEK_HOLE);

    if (end < 0)
        return error_set_errno(err, errno, "lseek for a hole");
    if (end <= start) /* somebody cut the file or punched a hole in between */
        return error_set(err, STATUS_UNAVAILABLE, "the file changed meanwhile");
    *ret_start = (uint64_t)start;
    *ret_end = (uint64_t)end;
    return STATUS_OK;
}

/* The size and what is needed to read the data are synced with it; times are not (fdatasync(2)). */
static enum status posix_sync(struct fs_file *file, struct error *err)
{
    if (fdatasync(fd_of(file)) != 0)
        return error_set_errno(err, errno, "fdatasync");
    return STATUS_OK;
}

static void posix_close(struct fs_file *file)
{
    close_fd(fd_of(file));
    memory_free(file->path);
    memory_free(file);
}

static enum status posix_make_dir(struct fs *fs, const char *path, struct error *err)
{
    struct place place = {0};
    enum status st = walk(fs_of(fs), path, &place, err);

    if (st != STATUS_OK)
        return st;
    if (mkdirat(place.dir, place.name, S_IRWXU) != 0)
        st = error_set_errno(err, errno, "mkdirat");
    leave(fs_of(fs), place);
    return st;
}

/* Does B name the file that INFO is about? */
static enum status same_file(const struct stat *info, struct place b, bool *ret_same,
                             struct error *err)
{
    struct stat other;

    if (fstatat(b.dir, b.name, &other, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return error_set_errno(err, errno, "fstatat");
        *ret_same = false;
        return STATUS_OK;
    }
    *ret_same = info->st_dev == other.st_dev && info->st_ino == other.st_ino;
    return STATUS_OK;
}

/* Are A and B, names of one file with LINKS names in all, the very same name? */
static enum status same_place(struct place a, struct place b, nlink_t links, bool *ret_same,
                              struct error *err)
{
    struct stat a_dir;
    struct stat b_dir;

    if (fstat(a.dir, &a_dir) != 0 || fstat(b.dir, &b_dir) != 0)
        return error_set_errno(err, errno, "fstat of a folder");
    /* One name only: two spellings of it, in a folder that does not mind capitals. */
    *ret_same = links < 2 || (a_dir.st_dev == b_dir.st_dev && a_dir.st_ino == b_dir.st_ino &&
                              strcmp(a.name, b.name) == 0);
    return STATUS_OK;
}

static enum status rename_between(struct place from, struct place to, struct error *err)
{
    struct stat info;
    bool same = false;
    bool nothing_to_do = false;

    if (fstatat(from.dir, from.name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return error_set_errno(err, errno, "fstatat");
    if (!S_ISREG(info.st_mode))
        return error_set(err, STATUS_PRECONDITION, "not a regular file");
    enum status st = same_file(&info, to, &same, err);

    if (st == STATUS_OK && same)
        st = same_place(from, to, info.st_nlink, &nothing_to_do, err);
    if (st != STATUS_OK || nothing_to_do)
        return st;
    /* Of two links to one file renameat() keeps both, and says that all is well (rename(2)). */
    if (same && unlinkat(from.dir, from.name, 0) != 0)
        return error_set_errno(err, errno, "unlinkat");
    if (!same && renameat(from.dir, from.name, to.dir, to.name) != 0)
        return error_set_errno(err, errno, "renameat");
    return STATUS_OK;
}

static enum status posix_rename(struct fs *fs, const char *from, const char *to, struct error *err)
{
    struct place from_place = {0};
    struct place to_place = {0};
    enum status st = walk(fs_of(fs), from, &from_place, err);

    if (st != STATUS_OK)
        return st;
    st = walk(fs_of(fs), to, &to_place, err);
    if (st == STATUS_OK) {
        st = rename_between(from_place, to_place, err);
        leave(fs_of(fs), to_place);
    }
    leave(fs_of(fs), from_place);
    return st;
}

static enum status posix_remove(struct fs *fs, const char *path, struct error *err)
{
    struct place place = {0};
    enum status st = walk(fs_of(fs), path, &place, err);

    if (st != STATUS_OK)
        return st;
    int result = unlinkat(place.dir, place.name, 0);
    int errnum = errno;

    if (result != 0 && errnum == EISDIR) {
        result = unlinkat(place.dir, place.name, AT_REMOVEDIR);
        errnum = errno;
    }
    leave(fs_of(fs), place);
    if (result != 0)
        return error_set_errno(err, errnum, "unlinkat");
    return STATUS_OK;
}

static enum status list_names(DIR *dir, struct fs_names *names, struct error *err)
{
    for (;;) {
        errno = 0; /* the only way to tell the end from a failure (readdir(3)) */

        /* NOLINTNEXTLINE(concurrency-mt-unsafe): DIR is ours alone (readdir(3), "Attributes") */
        const struct dirent *entry = readdir(dir);
        int errnum = errno;

        if (entry == NULL && errnum != 0)
            return error_set_errno(err, errnum, "readdir");
        if (entry == NULL)
            return STATUS_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        enum status st = fs_names_add(names, entry->d_name, err);

        if (st != STATUS_OK)
            return st;
    }
}

static enum status posix_list(struct fs *fs, const char *path, struct fs_names *ret_names,
                              struct error *err)
{
    struct fs_names names = {0};
    int fd = -1;
    enum status st = open_dir(fs_of(fs), path, &fd, err);

    if (st != STATUS_OK)
        return st;
    DIR *dir = fdopendir(fd);
    int errnum = errno;

    if (dir == NULL) {
        close_fd(fd);
        return error_set_errno(err, errnum, "fdopendir");
    }
    st = list_names(dir, &names, err);
    (void)closedir(dir); /* closes FD too; it was only read */
    if (st != STATUS_OK) {
        fs_names_deinit(&names);
        return st;
    }
    *ret_names = names;
    return STATUS_OK;
}

static enum status posix_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    int fd = -1;
    enum status st = open_dir(fs_of(fs), path, &fd, err);

    if (st != STATUS_OK)
        return st;
    if (fsync(fd) != 0)
        st = error_set_errno(err, errno, "fsync");
    close_fd(fd);
    return st;
}

enum { PROCESS_TEXT_SIZE = 24 };

/* Who holds FILE, as the holder has written it. */
static enum status refuse_locked(struct fs_file *file, struct error *err)
{
    char text[PROCESS_TEXT_SIZE] = {0};
    uint64_t process = 0;
    size_t size = 0;
    struct error ignored = {0};

    /* Only for the sentence: what cannot be read is left out. */
    DISCARD(posix_read_at(file, 0, text, sizeof(text) - 1, &size, &ignored));
    if (!text_parse_u64(text, &process))
        return error_set(err, STATUS_UNAVAILABLE, "another process holds it");
    return error_set(err, STATUS_UNAVAILABLE, "process %s holds it", text);
}

/* A lock of flock() belongs to the open file: it is gone when that is closed, by us or by the kernel. */
static enum status posix_lock(struct fs *fs, const char *path, struct fs_file **ret_lock,
                              struct error *err)
{
    char text[PROCESS_TEXT_SIZE];
    struct fs_file *file = NULL;
    enum status st = open_file(fs, path, always | O_RDWR | O_CREAT, &file, err);

    if (st != STATUS_OK)
        return st;
    int result = flock(fd_of(file), LOCK_EX | LOCK_NB);
    int errnum = errno;

    if (result != 0 && errnum == EWOULDBLOCK)
        st = refuse_locked(file, err);
    else if (result != 0)
        st = error_set_errno(err, errnum, "flock");
    if (st == STATUS_OK)
        st = posix_resize(file, 0, err);
    if (st == STATUS_OK) {
        INVARIANT(text_format(text, sizeof(text), "%ld", (long)getpid()));
        st = posix_write_at(file, 0, slice_of_text(text), err);
    }
    if (st != STATUS_OK) {
        posix_close(file);
        return st;
    }
    *ret_lock = file;
    return STATUS_OK;
}

static void posix_free(struct fs *fs)
{
    close_fd(fs_of(fs)->dir);
    memory_free(fs);
}

#ifdef TIDEMARK_FAULTS

static void posix_sync_failed(struct fs *fs, struct fs_file *file, const char *path)
{
    (void)fs; /* the kernel knows nothing of a failure that did not happen */
    (void)file;
    (void)path;
}

static enum status posix_power_off(struct fs *fs, struct error *err)
{
    (void)fs;
    return error_set(err, STATUS_UNSUPPORTED, "a folder of the machine cannot lose its power");
}

#endif

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .size = posix_size,
    .resize = posix_resize,
    .next_data = posix_next_data,
    .sync = posix_sync,
    .close = posix_close,
    .make_dir = posix_make_dir,
    .rename = posix_rename,
    .remove = posix_remove,
    .list = posix_list,
    .sync_dir = posix_sync_dir,
    .lock = posix_lock,
    .free = posix_free,
#ifdef TIDEMARK_FAULTS
    .sync_failed = posix_sync_failed,
    .power_off = posix_power_off,
#endif
};

enum status fs_posix_new(const char *dir, struct fs **ret_fs, struct error *err)
{
    struct posix_fs *fs = memory_new(1, sizeof(*fs));

    if (fs == NULL)
        return error_set_no_memory(err, sizeof(*fs), "a file system");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int errnum = errno;

    if (fd < 0) {
        memory_free(fs);
        return error_set_errno(err, errnum, "open folder %s", dir);
    }
    *fs = (struct posix_fs){.fs = {.ops = &posix_ops}, .dir = fd};
    *ret_fs = &fs->fs;
    return STATUS_OK;
}
