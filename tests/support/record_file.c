#include "tests/support/record_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/record_segment.h"

enum { PREFIX_SIZE = 4, NAME_DIGITS = 16, NAME_SIZE = PREFIX_SIZE + NAME_DIGITS };

static const char prefix[] = "seg-";
static const char new_suffix[] = ".new";

struct record_file {
    struct fs *fs;
    char *dir;
    struct record_file_options options;
    struct record_segment *segments; /* from the oldest */
    size_t count;
    uint64_t next_number;
    struct fs_file
        *tip;          /* the last segment, if it takes records; NULL: the next one makes another */
    uint64_t end;      /* of what is in the tip, durable or not */
    uint64_t unsynced; /* records of it that are not */
};

/* The segments that a folder holds. */
struct found {
    uint64_t *numbers;
    size_t count;
};

static bool skips(const struct record_file *file, enum record_skip guard)
{
    return (file->options.skip & (unsigned)guard) != 0;
}

static enum status path_of(const struct record_file *file, uint64_t number, const char *suffix,
                           char path[FS_PATH_SIZE], struct error *err)
{
    if (!text_format(path, FS_PATH_SIZE, "%s/%s%016" PRIx64 "%s", file->dir, prefix, number,
                     suffix))
        return error_set(err, STATUS_INVALID, "no room for a segment's name in %s", file->dir);
    return STATUS_OK;
}

/* NAME is that of segment *RET_NUMBER, finished or new. */
static bool parse_name(const char *name, uint64_t *ret_number, bool *ret_is_new)
{
    uint8_t bytes[NAME_DIGITS / 2];
    uint64_t number = 0;
    size_t length = NAME_SIZE;

    if (strncmp(name, prefix, PREFIX_SIZE) != 0 || strnlen(name, length) < length ||
        !text_parse_hex(slice_of(name + PREFIX_SIZE, NAME_DIGITS), bytes, sizeof(bytes)))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        number = number << 8 | bytes[i];
    if (name[length] != '\0' && strcmp(name + length, new_suffix) != 0)
        return false;
    *ret_number = number;
    *ret_is_new = name[length] != '\0';
    return true;
}

/* The first bytes of segment NUMBER, LIMIT at most: *ret_bytes is the caller's. */
static enum status read_segment(const struct record_file *file, uint64_t number, uint64_t limit,
                                uint8_t **ret_bytes, size_t *ret_size, struct error *err)
{
    char path[FS_PATH_SIZE];
    struct fs_file *segment = NULL;
    uint8_t *bytes = NULL;
    uint64_t size = 0;
    enum status st = path_of(file, number, "", path, err);

    if (st == STATUS_OK)
        st = fs_open(file->fs, path, FS_READ, &segment, err);
    if (st == STATUS_OK)
        st = fs_size(segment, &size, err);
    if (st != STATUS_OK)
        goto out;
    if (size > limit)
        size = limit;
    if (size > RECORD_SEGMENT_MAX) {
        st = error_set(err, STATUS_CORRUPT, "%s has %" PRIu64 " bytes", path, size);
        goto out;
    }
    bytes = memory_new((size_t)size, 1);
    if (bytes == NULL) {
        st = error_set_no_memory(err, (size_t)size, "a segment");
        goto out;
    }
    st = fs_read_exactly_at(segment, 0, bytes, (size_t)size, err);
    if (st != STATUS_OK)
        goto out;
    *ret_bytes = bytes;
    *ret_size = (size_t)size;
    bytes = NULL;
out:
    memory_free(bytes);
    fs_close(segment);
    return st;
}

/* Reads the records of a segment of which LENGTH bytes count. */
static enum status read_records(const struct record_file *file, uint64_t number, uint64_t length,
                                void (*each_record)(void *arg, struct slice bytes), void *arg,
                                uint64_t *ret_records, struct error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint64_t end = 0;
    uint64_t records = 0;
    enum status st = read_segment(file, number, length, &bytes, &size, err);

    if (st != STATUS_OK)
        return st;
    record_segment_walk(slice_of(bytes, size), number, !skips(file, RECORD_SKIP_CRC), each_record,
                        arg, &records, &end);
    memory_free(bytes);
    if (end != length)
        return error_set(err, STATUS_CORRUPT,
                         "segment %" PRIu64 ": %" PRIu64 " of %" PRIu64 " bytes are whole", number,
                         end, length);
    *ret_records = records;
    return STATUS_OK;
}

/* HEADER and BODY durably in a new file with the name of SEGMENT. *RET_RENAMED: it has that name, whether
 * it went well or not. */
static enum status write_segment(struct record_file *file, const struct record_segment *segment,
                                 struct slice content, struct fs_file **ret_tip, bool *ret_renamed,
                                 struct error *err)
{
    char path[FS_PATH_SIZE];
    char new_path[FS_PATH_SIZE];
    struct fs_file *tip = NULL;
    enum status st = path_of(file, segment->number, "", path, err);

    if (st == STATUS_OK)
        st = path_of(file, segment->number, new_suffix, new_path, err);
    if (st == STATUS_OK)
        st = fs_open(file->fs, new_path, FS_CREATE, &tip, err);
    if (st == STATUS_OK)
        st = fs_write_at(tip, 0, content, err);
    if (st == STATUS_OK && !skips(file, RECORD_SKIP_HEADER_SYNC))
        st = fs_sync(tip, err);
    if (st == STATUS_OK)
        st = fs_rename(file->fs, new_path, path, err);
    if (st == STATUS_OK) {
        *ret_renamed = true;
        if (!skips(file, RECORD_SKIP_DIR_SYNC))
            st = fs_sync_dir(file->fs, file->dir, err);
    }
    if (st != STATUS_OK) {
        fs_close(tip);
        return st;
    }
    *ret_tip = tip;
    return STATUS_OK;
}

/* A segment that is put together. */
struct copy {
    struct buffer content;
    uint64_t number;
};

static void copy_record(void *arg, struct slice bytes)
{
    struct copy *copy = arg;

    record_segment_put_record(&copy->content, copy->number, copy->content.size, bytes);
}

/* Makes SEGMENT, with the records of OLD, the bytes of the segment OLD_NUMBER, the one that takes
 * records. */
static enum status start_segment(struct record_file *file, struct record_segment segment,
                                 uint64_t old_number, struct slice old, struct error *err)
{
    struct record_segment *segments =
        memory_resize(file->segments, file->count + 1, sizeof(struct record_segment));
    struct fs_file *tip = NULL;
    struct copy copy = {.number = file->next_number};
    struct buffer *content = &copy.content;
    uint64_t records = 0;
    uint64_t end = 0;
    bool renamed = false;

    if (segments == NULL)
        return error_set_no_memory(err, (file->count + 1) * sizeof(struct record_segment),
                                   "segments");
    file->segments = segments;
    segment.number = file->next_number; /* whatever becomes of it: nobody gets this number again */
    file->next_number++;
    buffer_init(content, RECORD_SEGMENT_LIMIT);
    record_segment_put_header(content, &segment);
    record_segment_walk(old, old_number, !skips(file, RECORD_SKIP_CRC), copy_record, &copy,
                        &records, &end);
    enum status st = buffer_check(content, "a segment", err);

    if (st == STATUS_OK)
        st = write_segment(file, &segment, buffer_slice(content), &tip, &renamed, err);
    segment.length = content->size;
    buffer_deinit(content);
    if (st != STATUS_OK) {
        char new_path[FS_PATH_SIZE];
        struct error ignored = {0};

        /* What cannot be removed now is removed by the next opening. */
        if (!renamed && path_of(file, segment.number, new_suffix, new_path, &ignored) == STATUS_OK)
            DISCARD(fs_remove(file->fs, new_path, &ignored));
        return st;
    }
    file->segments[file->count] = segment;
    file->count++;
    file->tip = tip;
    file->end = segment.length;
    return STATUS_OK;
}

static enum status start_next_segment(struct record_file *file, struct error *err)
{
    const struct record_segment *last = &file->segments[file->count - 1];
    struct record_segment segment = {.previous = last->number, .previous_length = last->length};

    return start_segment(file, segment, 0, slice_of(NULL, 0), err);
}

/* The tip takes nothing more. */
static void retire_tip(struct record_file *file)
{
    fs_close(file->tip);
    file->tip = NULL;
    file->unsynced = 0;
}

enum status record_file_sync(struct record_file *file, struct error *err)
{
    if (file->tip == NULL || file->unsynced == 0)
        return STATUS_OK;
    struct record_segment *last = &file->segments[file->count - 1];
    enum status st = skips(file, RECORD_SKIP_DATA_SYNC) ? STATUS_OK : fs_sync(file->tip, err);

    if (st != STATUS_OK) {
        if (!skips(file, RECORD_SKIP_GIVE_UP))
            retire_tip(file);
        return error_wrap(err, "sync of records");
    }
    last->length = file->end;
    last->records += file->unsynced;
    file->unsynced = 0;
    return STATUS_OK;
}

static enum status put_record(struct record_file *file, struct slice bytes, struct error *err)
{
    struct buffer record;

    buffer_init(&record, RECORD_FRAME_MAX);
    record_segment_put_record(&record, file->segments[file->count - 1].number, file->end, bytes);
    enum status st = buffer_check(&record, "a record", err);

    if (st == STATUS_OK)
        st = fs_write_at(file->tip, file->end, buffer_slice(&record), err);
    if (st == STATUS_OK) {
        file->end += record.size;
        file->unsynced++;
    } else {
        retire_tip(file); /* nobody knows what is behind its end now */
    }
    buffer_deinit(&record);
    return st;
}

enum status record_file_append(struct record_file *file, struct slice bytes, struct error *err)
{
    enum status st = STATUS_OK;

    if (bytes.size == 0 || bytes.size > RECORD_MAX)
        return error_set(err, STATUS_INVALID, "a record of %zu bytes", bytes.size);
    if (file->tip != NULL && file->end > RECORD_HEADER_SIZE &&
        file->end + RECORD_HEAD_SIZE + bytes.size > file->options.segment_size) {
        st = record_file_sync(file, err);
        if (st == STATUS_OK)
            retire_tip(file);
    }
    if (st == STATUS_OK && file->tip == NULL)
        st = start_next_segment(file, err);
    if (st == STATUS_OK)
        st = put_record(file, bytes, err);
    if (st != STATUS_OK)
        return error_wrap(err, "append a record");
    return STATUS_OK;
}

enum status record_file_drop(struct record_file *file, struct error *err)
{
    char path[FS_PATH_SIZE];

    if (file->count < 2)
        return error_set(err, STATUS_PRECONDITION, "the only segment is not dropped");
    enum status st = path_of(file, file->segments[0].number, "", path, err);

    if (st == STATUS_OK)
        st = fs_remove(file->fs, path, err);
    if (st != STATUS_OK)
        return st;
    file->count--;
    memmove(file->segments, file->segments + 1, file->count * sizeof(struct record_segment));
    return skips(file, RECORD_SKIP_DROP_SYNC) ? STATUS_OK : fs_sync_dir(file->fs, file->dir, err);
}

enum status record_file_each(struct record_file *file,
                             void (*each_record)(void *arg, struct slice bytes), void *arg,
                             struct error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        bool is_tip = file->tip != NULL && i == file->count - 1;
        uint64_t records = 0;
        enum status st = read_records(file, file->segments[i].number,
                                      is_tip ? file->end : file->segments[i].length, each_record,
                                      arg, &records, err);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

uint64_t record_file_promised(const struct record_file *file)
{
    uint64_t records = 0;

    for (size_t i = 0; i < file->count; i++)
        records += file->segments[i].records;
    return records;
}

uint64_t record_file_held(const struct record_file *file)
{
    return record_file_promised(file) + file->unsynced;
}

/* What the folder holds; new segments that were never finished are removed. */
static enum status find_segments(struct record_file *file, struct found *found, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(file->fs, file->dir, &names, err);

    if (st != STATUS_OK)
        return st;
    found->numbers = memory_new(names.count, sizeof(uint64_t));
    if (found->numbers == NULL)
        st = error_set_no_memory(err, names.count * sizeof(uint64_t), "segment numbers");
    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        char path[FS_PATH_SIZE];
        uint64_t number = 0;
        bool is_new = false;

        if (!parse_name(names.names[i], &number, &is_new))
            continue;
        if (number >= file->next_number)
            file->next_number = number + 1;
        if (!is_new) {
            found->numbers[found->count] = number;
            found->count++;
            continue;
        }
        st = path_of(file, number, new_suffix, path, err);
        if (st == STATUS_OK)
            st = fs_remove(file->fs, path, err);
    }
    fs_names_deinit(&names);
    return st;
}

static bool is_found(const struct found *found, uint64_t number)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->numbers[i] == number)
            return true;
    }
    return false;
}

/* Follows the headers from NEWEST to the older segments; what they do not lead to, nobody needs. */
static enum status follow(struct record_file *file, const struct found *found,
                          const struct record_segment *newest, struct error *err)
{
    struct record_segment next = *newest;

    while (next.previous != 0 && is_found(found, next.previous)) {
        struct record_segment segment = {0};
        uint8_t *bytes = NULL;
        size_t size = 0;
        enum status st = read_segment(file, next.previous, RECORD_HEADER_SIZE, &bytes, &size, err);

        if (st != STATUS_OK)
            return st;
        st = record_segment_parse(slice_of(bytes, size), next.previous, &segment, err);
        memory_free(bytes);
        if (st != STATUS_OK)
            return st;
        segment.length = next.previous_length;
        if (skips(file, RECORD_SKIP_TAIL_CUT)) {
            st = read_segment(file, segment.number, UINT64_MAX, &bytes, &size, err);
            if (st != STATUS_OK)
                return st;
            record_segment_walk(slice_of(bytes, size), segment.number,
                                !skips(file, RECORD_SKIP_CRC), NULL, NULL, &segment.records,
                                &segment.length);
            memory_free(bytes);
        }
        st = read_records(file, segment.number, segment.length, NULL, NULL, &segment.records, err);
        if (st != STATUS_OK)
            return st;
        memmove(file->segments + 1, file->segments, file->count * sizeof(struct record_segment));
        file->segments[0] = segment;
        file->count++;
        next = segment;
    }
    return STATUS_OK;
}

/* The guard left out: believes that a sync makes the newest segment durable, and goes on behind it. */
static enum status trust_newest(struct record_file *file, struct record_segment newest,
                                struct error *err)
{
    char path[FS_PATH_SIZE];
    struct fs_file *segment = NULL;
    enum status st = path_of(file, newest.number, "", path, err);

    if (st == STATUS_OK)
        st = fs_open(file->fs, path, FS_WRITE, &segment, err);
    if (st == STATUS_OK)
        st = fs_sync(segment, err);
    fs_close(segment);
    if (st != STATUS_OK)
        return st;
    file->segments[file->count] = newest;
    file->count++;
    return start_next_segment(file, err);
}

/* The newest segment and what it leads to; then a new one in its place. */
static enum status load(struct record_file *file, const struct found *found, struct error *err)
{
    uint64_t number = found->numbers[found->count - 1]; /* the list is sorted, and so are they */
    struct record_segment newest = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum status st = read_segment(file, number, UINT64_MAX, &bytes, &size, err);

    if (st == STATUS_OK)
        st = record_segment_parse(slice_of(bytes, size), number, &newest, err);
    if (st == STATUS_OK)
        st = follow(file, found, &newest, err);
    if (st != STATUS_OK)
        goto out;
    record_segment_walk(slice_of(bytes, size), number, !skips(file, RECORD_SKIP_CRC), NULL, NULL,
                        &newest.records, &newest.length);
    if (skips(file, RECORD_SKIP_COPY))
        st = trust_newest(file, newest, err);
    else
        st = start_segment(file, newest, number, slice_of(bytes, (size_t)newest.length), err);
out:
    memory_free(bytes);
    return st;
}

static bool is_used(const struct record_file *file, uint64_t number)
{
    for (size_t i = 0; i < file->count; i++) {
        if (file->segments[i].number == number)
            return true;
    }
    return false;
}

static enum status remove_unused(struct record_file *file, const struct found *found,
                                 struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < found->count; i++) {
        char path[FS_PATH_SIZE];

        if (is_used(file, found->numbers[i]))
            continue;
        st = path_of(file, found->numbers[i], "", path, err);
        if (st == STATUS_OK)
            st = fs_remove(file->fs, path, err);
    }
    return st;
}

enum status record_file_open(struct fs *fs, const char *dir, struct record_file_options options,
                             struct record_file **ret_file, struct error *err)
{
    struct record_file *file = memory_new(1, sizeof(*file));
    struct found found = {0};
    enum status st = STATUS_OK;

    INVARIANT(options.segment_size <= RECORD_SEGMENT_MAX);
    if (file == NULL)
        return error_set_no_memory(err, sizeof(*file), "a record file");
    *file = (struct record_file){.fs = fs, .options = options, .next_number = 1};
    file->dir = memory_copy_text(dir);
    if (file->dir == NULL) {
        st = error_set_no_memory(err, strlen(dir) + 1, "a record file");
        goto out;
    }
    st = find_segments(file, &found, err);
    if (st != STATUS_OK)
        goto out;
    file->segments = memory_new(found.count + 1, sizeof(struct record_segment));
    if (file->segments == NULL) {
        st =
            error_set_no_memory(err, (found.count + 1) * sizeof(struct record_segment), "segments");
        goto out;
    }
    if (found.count > 0)
        st = load(file, &found, err);
    else
        st = start_segment(file, (struct record_segment){0}, 0, slice_of(NULL, 0), err);
    if (st == STATUS_OK)
        st = remove_unused(file, &found, err);
    if (st != STATUS_OK)
        goto out;
    *ret_file = file;
    file = NULL;
out:
    memory_free(found.numbers);
    record_file_close(file);
    if (st != STATUS_OK)
        return error_wrap(err, "open records in %s", dir);
    return STATUS_OK;
}

void record_file_close(struct record_file *file)
{
    if (file == NULL)
        return;
    fs_close(file->tip);
    memory_free(file->segments);
    memory_free(file->dir);
    memory_free(file);
}
