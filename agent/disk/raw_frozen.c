#include "agent/disk/raw_frozen.h"

#include <inttypes.h>
#include <string.h>

#include "base/attr.h"
#include "base/memory.h"
#include "base/slice.h"
#include "base/text.h"

enum {
    STEP = 1024 * 1024, /* bytes copied at a time */
    ID_LENGTH = RAW_FROZEN_ID_SIZE - 1,
    SIZE_LENGTH = 16,
    COPY_LENGTH = ID_LENGTH + 1 + SIZE_LENGTH, /* of a copy's name in the folder */
    UNFINISHED_LENGTH = ID_LENGTH + 4,         /* of ID.new */
    SECTOR_LENGTH = 8,
    NOTE_LENGTH = 2 * DISK_IDENTITY_SIZE + 1 + SECTOR_LENGTH,
    DEFAULT_SECTOR = 512,
};

static const char folder_suffix[] = ".frozen";

/* ---- Names ----------------------------------------------------------------------------------- */

/* FILE.frozen, with "/NAME" behind it unless NAME is "". */
static enum status name_in_folder(const char *file, const char *name, char ret_path[FS_PATH_SIZE],
                                  struct error *err)
{
    if (!text_format(ret_path, FS_PATH_SIZE, "%s%s%s%s", file, folder_suffix,
                     name[0] == '\0' ? "" : "/", name))
        return error_set(err, STATUS_INVALID, "the path of the disk is too long: %s", file);
    return STATUS_OK;
}

/* TEXT as SIZE bytes, the first the highest, in hexadecimal digits. */
static bool parse_number(struct slice text, size_t size, uint64_t *ret_number)
{
    uint8_t bytes[8];
    uint64_t number = 0;

    if (!text_parse_hex(text, bytes, size))
        return false;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    *ret_number = number;
    return true;
}

static bool is_id(struct slice text)
{
    uint8_t bytes[ID_LENGTH / 2];

    return text_parse_hex(text, bytes, sizeof(bytes));
}

/* A copy's name in the folder: ID-SIZE. */
static bool parse_copy_name(const char *name, char ret_id[RAW_FROZEN_ID_SIZE], uint64_t *ret_size)
{
    if (strlen(name) != COPY_LENGTH || name[ID_LENGTH] != '-' ||
        !is_id(slice_of(name, ID_LENGTH)) ||
        !parse_number(slice_of(name + ID_LENGTH + 1, SIZE_LENGTH), SIZE_LENGTH / 2, ret_size))
        return false;
    memcpy(ret_id, name, ID_LENGTH);
    ret_id[ID_LENGTH] = '\0';
    return true;
}

static bool parse_copy(const char *copy, char ret_file[FS_PATH_SIZE],
                       char ret_id[RAW_FROZEN_ID_SIZE], uint64_t *ret_size)
{
    const char *slash = strrchr(copy, '/');
    size_t suffix = sizeof(folder_suffix) - 1;
    size_t folder = slash == NULL ? 0 : (size_t)(slash - copy);

    if (folder <= suffix || folder >= FS_PATH_MAX ||
        memcmp(slash - suffix, folder_suffix, suffix) != 0 ||
        !parse_copy_name(slash + 1, ret_id, ret_size))
        return false;
    memcpy(ret_file, copy, folder - suffix);
    ret_file[folder - suffix] = '\0';
    return true;
}

bool raw_frozen_parse(const char *copy, char ret_file[FS_PATH_SIZE],
                      char ret_id[RAW_FROZEN_ID_SIZE])
{
    uint64_t size = 0; /* nobody asked for it */

    return parse_copy(copy, ret_file, ret_id, &size);
}

enum status raw_frozen_new_id(struct random_source *random, char ret_id[RAW_FROZEN_ID_SIZE],
                              struct error *err)
{
    uint8_t bytes[ID_LENGTH / 2];
    enum status st = random_bytes(random, bytes, sizeof(bytes), err);

    if (st != STATUS_OK)
        return st;
    text_hex(slice_of(bytes, sizeof(bytes)), ret_id);
    return STATUS_OK;
}

/* ---- The folder ------------------------------------------------------------------------------ */

/* Makes what happened to names in the folder durable. */
static enum status sync_folder(struct fs *fs, const char *file, struct error *err)
{
    char folder[FS_PATH_SIZE];
    enum status st = name_in_folder(file, "", folder, err);

    if (st != STATUS_OK)
        return st;
    return fs_sync_dir(fs, folder, err);
}

/* Makes the folder, durably, whether it was there or not. */
static enum status make_folder(struct fs *fs, const char *file, struct error *err)
{
    struct error made = {0};
    char folder[FS_PATH_SIZE];
    char parent[FS_PATH_SIZE];
    enum status st = name_in_folder(file, "", folder, err);

    if (st != STATUS_OK)
        return st;
    st = fs_make_dir(fs, folder, &made);
    if (st != STATUS_OK && st != STATUS_EXISTS) {
        *err = made;
        return st;
    }
    fs_parent(folder, parent);
    return fs_sync_dir(fs, parent, err);
}

/* What lies in the folder, or nothing if there is none; the caller's (fs_names_deinit). */
static enum status list_folder(struct fs *fs, const char *file, struct fs_names *ret_names,
                               struct error *err)
{
    struct error listed = {0};
    char folder[FS_PATH_SIZE];
    enum status st = name_in_folder(file, "", folder, err);

    if (st != STATUS_OK)
        return st;
    st = fs_list(fs, folder, ret_names, &listed);
    if (st == STATUS_NOT_FOUND) {
        *ret_names = (struct fs_names){0};
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = listed;
    return st;
}

static bool is_unfinished(const char *name)
{
    return strlen(name) == UNFINISHED_LENGTH && strcmp(name + ID_LENGTH, ".new") == 0;
}

/* Removes the copies of which ID is the id, or those that were never finished for NULL. *ret_count: how
 * many. */
static enum status remove_copies(struct fs *fs, const char *file, const char *id, size_t *ret_count,
                                 struct error *err)
{
    struct fs_names names = {0};
    char path[FS_PATH_SIZE];
    size_t count = 0;
    enum status st = list_folder(fs, file, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        const char *name = names.names[i];

        if (id == NULL ? !is_unfinished(name) : strncmp(name, id, ID_LENGTH) != 0)
            continue;
        count++;
        st = name_in_folder(file, name, path, err);
        if (st == STATUS_OK)
            st = fs_remove(fs, path, err);
    }
    fs_names_deinit(&names);
    if (st == STATUS_OK)
        *ret_count = count;
    return st;
}

/* ---- What is noted of the disk --------------------------------------------------------------- */

static enum status parse_note(struct slice text, const char *path, struct raw_frozen_disk *ret_disk,
                              struct error *err)
{
    size_t identity = (size_t)2 * DISK_IDENTITY_SIZE;
    struct raw_frozen_disk disk;
    uint64_t sector = 0;

    if (text.size != NOTE_LENGTH || text.data[identity] != '-' ||
        !text_parse_hex(slice_of(text.data, identity), disk.identity, DISK_IDENTITY_SIZE) ||
        !parse_number(slice_of(text.data + identity + 1, SECTOR_LENGTH), SECTOR_LENGTH / 2,
                      &sector) ||
        (sector != 512 && sector != 4096))
        return error_set(err, STATUS_CORRUPT, "%s does not hold a disk's identity and sector size",
                         path);
    disk.logical_sector = (uint32_t)sector;
    *ret_disk = disk;
    return STATUS_OK;
}

enum status raw_frozen_read_disk(struct fs *fs, const char *file, struct raw_frozen_disk *ret_disk,
                                 struct error *err)
{
    char path[FS_PATH_SIZE];
    char text[NOTE_LENGTH + 1]; /* one more than there may be */
    struct fs_file *note = NULL;
    size_t size = 0;
    enum status st = name_in_folder(file, "disk", path, err);

    if (st != STATUS_OK)
        return st;
    st = fs_open(fs, path, FS_READ, &note, err);
    if (st != STATUS_OK)
        return st;
    st = fs_read_at(note, 0, text, sizeof(text), &size, err);
    fs_close(note);
    if (st != STATUS_OK)
        return st;
    return parse_note(slice_of(text, size), path, ret_disk, err);
}

enum status raw_frozen_write_disk(struct fs *fs, const char *file,
                                  const struct raw_frozen_disk *disk, struct error *err)
{
    char path[FS_PATH_SIZE];
    char identity[2 * DISK_IDENTITY_SIZE + 1];
    char text[NOTE_LENGTH + 1];
    enum status st = make_folder(fs, file, err);

    if (st == STATUS_OK)
        st = name_in_folder(file, "disk", path, err);
    if (st != STATUS_OK)
        return st;
    text_hex(slice_of(disk->identity, DISK_IDENTITY_SIZE), identity);
    if (!text_format(text, sizeof(text), "%s-%08" PRIx32, identity, disk->logical_sector))
        return error_set(err, STATUS_INTERNAL, "the note of %s does not fit", file);
    return fs_replace(fs, path, slice_of_text(text), err);
}

enum status raw_frozen_forget_disk(struct fs *fs, const char *file, struct error *err)
{
    struct error removal = {0};
    char path[FS_PATH_SIZE];
    enum status st = name_in_folder(file, "disk", path, err);

    if (st != STATUS_OK)
        return st;
    st = fs_remove(fs, path, &removal);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
        *err = removal;
        return st;
    }
    st = name_in_folder(file, "", path, err);
    if (st == STATUS_OK)
        DISCARD(fs_remove(fs, path, &removal)); /* there may be copies in it, or none such */
    return st;
}

/* What is noted; for a disk of which nothing is, what a raw file stands for, noted from now on. */
static enum status note_disk(struct fs *fs, const char *file, struct random_source *random,
                             struct error *err)
{
    struct raw_frozen_disk disk = {.logical_sector = DEFAULT_SECTOR};
    struct error found = {0};
    enum status st = raw_frozen_read_disk(fs, file, &disk, &found);

    if (st == STATUS_OK) /* it may not be durable, after a crash: the folder's name, that is */
        return make_folder(fs, file, err);
    if (st != STATUS_NOT_FOUND) {
        *err = found;
        return st;
    }
    st = random_bytes(random, disk.identity, sizeof(disk.identity), err);
    if (st != STATUS_OK)
        return st;
    return raw_frozen_write_disk(fs, file, &disk, err);
}

/* ---- Copying --------------------------------------------------------------------------------- */

/* Copies [START, END), a step at a time. */
static enum status copy_range(struct fs_file *from, struct fs_file *to, uint64_t start,
                              uint64_t end, uint8_t *step, struct error *err)
{
    enum status st = STATUS_OK;

    while (st == STATUS_OK && start < end) {
        size_t part = end - start < STEP ? (size_t)(end - start) : STEP;

        st = fs_read_exactly_at(from, start, step, part, err);
        if (st == STATUS_OK)
            st = fs_write_at(to, start, slice_of(step, part), err);
        start += part;
    }
    return st;
}

/* All of FROM, of SIZE bytes, into the empty file TO, holes left out. */
static enum status copy_data(struct fs_file *from, struct fs_file *to, uint64_t size,
                             struct error *err)
{
    struct error none = {0};
    uint64_t start = 0;
    uint64_t end = 0;
    enum status st = fs_resize(to, size, err);
    uint8_t *step = NULL;

    if (st != STATUS_OK)
        return st;
    step = memory_new(STEP, 1);
    if (step == NULL)
        return error_set_no_memory(err, STEP, "copying a disk");
    while (st == STATUS_OK && end < size) {
        st = fs_next_data(from, end, &start, &end, &none);
        if (st == STATUS_NOT_FOUND) { /* holes up to the end */
            st = STATUS_OK;
            break;
        }
        if (st != STATUS_OK) {
            *err = none;
            break;
        }
        if (end > size) /* it has grown meanwhile; the caller finds out */
            end = size;
        st = copy_range(from, to, start, end, step, err);
    }
    memory_free(step);
    return st;
}

/* FROM's size, which must be whole sectors of the disk in FILE. */
static enum status size_of(struct fs *fs, const char *file, struct fs_file *from,
                           uint64_t *ret_size, struct error *err)
{
    struct raw_frozen_disk disk = {.logical_sector = DEFAULT_SECTOR};
    struct error noted = {0};
    uint64_t size = 0;
    enum status st = raw_frozen_read_disk(fs, file, &disk, &noted);

    if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
        *err = noted;
        return st;
    }
    st = fs_size(from, &size, err);
    if (st != STATUS_OK)
        return st;
    if (size == 0 || size % disk.logical_sector != 0)
        return error_set(err, STATUS_PRECONDITION,
                         "%s has %" PRIu64 " bytes; a raw disk has whole sectors of %" PRIu32, file,
                         size, disk.logical_sector);
    *ret_size = size;
    return STATUS_OK;
}

/* A durable copy of SIZE bytes of FROM in the new file at PATH. */
static enum status write_copy(struct fs *fs, struct fs_file *from, uint64_t size, const char *path,
                              struct error *err)
{
    struct fs_file *to = NULL;
    uint64_t size_after = 0;
    enum status st = fs_open(fs, path, FS_CREATE, &to, err);

    if (st != STATUS_OK)
        return st;
    st = copy_data(from, to, size, err);
    if (st == STATUS_OK)
        st = fs_size(from, &size_after, err);
    if (st == STATUS_OK && size_after != size)
        st = error_set(err, STATUS_ABORTED, "it changed its size meanwhile");
    if (st == STATUS_OK)
        st = fs_sync(to, err);
    fs_close(to);
    return st;
}

/* From the file that is open as FROM, of SIZE bytes, to the copy ID under its final name. */
static enum status make_copy(struct fs *fs, const char *file, const char *id, struct fs_file *from,
                             uint64_t size, char ret_copy[FS_PATH_SIZE], struct error *err)
{
    char name[COPY_LENGTH + 1];
    char unfinished[FS_PATH_SIZE];
    char finished[FS_PATH_SIZE];
    enum status st = STATUS_OK;

    if (!text_format(name, sizeof(name), "%s.new", id))
        return error_set(err, STATUS_INVALID, "\"%s\" is no id", id);
    st = name_in_folder(file, name, unfinished, err);
    if (st != STATUS_OK)
        return st;
    if (!text_format(name, sizeof(name), "%s-%016" PRIx64, id, size))
        return error_set(err, STATUS_INVALID, "\"%s\" is no id", id);
    st = name_in_folder(file, name, finished, err);
    if (st == STATUS_OK)
        st = write_copy(fs, from, size, unfinished, err);
    if (st == STATUS_OK)
        st = fs_rename(fs, unfinished, finished, err);
    if (st == STATUS_OK)
        st = sync_folder(fs, file, err);
    if (st == STATUS_OK)
        memcpy(ret_copy, finished, sizeof(finished));
    return st;
}

/* STATUS_EXISTS if the copy ID is there. */
static enum status check_free(struct fs *fs, const char *file, const char *id, struct error *err)
{
    char copy[FS_PATH_SIZE];
    struct error found = {0};
    enum status st = raw_frozen_find(fs, file, id, copy, &found);

    if (st == STATUS_OK)
        return error_set(err, STATUS_EXISTS, "there is a copy %s already", id);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    *err = found;
    return st;
}

enum status raw_frozen_make(struct fs *fs, const char *file, const char *id,
                            struct random_source *random, char ret_copy[FS_PATH_SIZE],
                            struct error *err)
{
    struct fs_file *from = NULL;
    struct error cleaning = {0};
    uint64_t size = 0;
    size_t count = 0;
    enum status st = STATUS_OK;

    if (!is_id(slice_of_text(id)))
        return error_set(err, STATUS_INVALID, "\"%.40s\" is no id of a frozen copy", id);
    st = fs_open(fs, file, FS_READ, &from, err);
    if (st == STATUS_OK) /* before anything is made beside the file */
        st = size_of(fs, file, from, &size, err);
    if (st == STATUS_OK)
        st = check_free(fs, file, id, err);
    if (st != STATUS_OK)
        goto out;
    st = note_disk(fs, file, random, err);
    if (st == STATUS_OK)
        st = remove_copies(fs, file, NULL, &count, err);
    if (st == STATUS_OK)
        st = make_copy(fs, file, id, from, size, ret_copy, err);
    if (st != STATUS_OK) /* what stays all the same, its owner knows by its id */
        DISCARD(remove_copies(fs, file, id, &count, &cleaning));
out:
    fs_close(from);
    if (st != STATUS_OK)
        return error_wrap(err, "freeze the disk %s", file);
    return STATUS_OK;
}

/* ---- Copies that are there ------------------------------------------------------------------- */

enum status raw_frozen_remove(struct fs *fs, const char *file, const char *id, struct error *err)
{
    size_t count = 0;
    enum status st = STATUS_OK;

    if (!is_id(slice_of_text(id)))
        return error_set(err, STATUS_NOT_FOUND, "%s has no frozen copy \"%.40s\"", file, id);
    st = remove_copies(fs, file, id, &count, err);
    if (st == STATUS_OK) /* also if it is not there: an interrupted call may have removed it */
        st = sync_folder(fs, file, err);
    if (st == STATUS_OK && count == 0)
        st = error_set(err, STATUS_NOT_FOUND, "%s has no frozen copy %s", file, id);
    return st;
}

/* Is NAME, in FILE's folder, a copy other than KEEP, or one that was never finished? */
static bool may_go(const char *name, const char *keep)
{
    char id[RAW_FROZEN_ID_SIZE];
    uint64_t size = 0;

    if (is_unfinished(name))
        return true;
    return parse_copy_name(name, id, &size) && (keep == NULL || strcmp(id, keep) != 0);
}

enum status raw_frozen_keep_only(struct fs *fs, const char *file, const char *keep,
                                 size_t *ret_removed, struct error *err)
{
    struct fs_names names = {0};
    char path[FS_PATH_SIZE];
    size_t removed = 0;
    enum status st = list_folder(fs, file, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        if (!may_go(names.names[i], keep))
            continue;
        removed++;
        st = name_in_folder(file, names.names[i], path, err);
        if (st == STATUS_OK)
            st = fs_remove(fs, path, err);
    }
    /* Also where none had to go: an interrupted call may have removed them. A folder with nothing in it may
     * not be there. */
    if (st == STATUS_OK && names.count > 0)
        st = sync_folder(fs, file, err);
    fs_names_deinit(&names);
    if (st == STATUS_OK)
        *ret_removed = removed;
    return st;
}

enum status raw_frozen_find(struct fs *fs, const char *file, const char *id,
                            char ret_copy[FS_PATH_SIZE], struct error *err)
{
    struct fs_names names = {0};
    char found[RAW_FROZEN_ID_SIZE];
    uint64_t size = 0;
    enum status st = list_folder(fs, file, &names, err);

    if (st != STATUS_OK)
        return st;
    st = error_set(err, STATUS_NOT_FOUND, "%s has no frozen copy \"%.40s\"", file, id);
    for (size_t i = 0; st == STATUS_NOT_FOUND && i < names.count; i++)
        if (parse_copy_name(names.names[i], found, &size) && strcmp(found, id) == 0)
            st = name_in_folder(file, names.names[i], ret_copy, err);
    fs_names_deinit(&names);
    return st;
}

enum status raw_frozen_open(struct fs *fs, const char *copy, struct fs_file **ret_file,
                            uint64_t *ret_size, struct error *err)
{
    char file[FS_PATH_SIZE];
    char id[RAW_FROZEN_ID_SIZE];
    struct fs_file *opened = NULL;
    uint64_t noted = 0;
    uint64_t size = 0;
    enum status st = STATUS_OK;

    if (!parse_copy(copy, file, id, &noted))
        return error_set(err, STATUS_NOT_FOUND, "%s does not name a frozen copy", copy);
    st = fs_open(fs, copy, FS_READ, &opened, err);
    if (st == STATUS_OK)
        st = fs_size(opened, &size, err);
    if (st == STATUS_OK && size != noted)
        st = error_set(err, STATUS_CORRUPT,
                       "%s has %" PRIu64 " bytes, and had %" PRIu64 " when it was made", copy, size,
                       noted);
    if (st != STATUS_OK) {
        fs_close(opened);
        return st;
    }
    *ret_file = opened;
    *ret_size = size;
    return STATUS_OK;
}
