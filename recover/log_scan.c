#include "recover/log_scan.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

enum {
    WINDOW_SIZE = 64 * 1024,
    WRITERS_MAX = 1024,
    SEGMENT_DIGITS = 10,
    SEGMENT_PATH_SIZE = sizeof(LOG_DIR) + 1 + SEGMENT_DIGITS,
};

struct writer_key {
    struct random_id writer;
    struct sign_public *key;
};

struct log_reader {
    const struct keys *keys;
    struct teller *teller;
    log_scan_each *each;
    void *arg;
    struct writer_key *writers;
    size_t writer_count;
    struct buffer bytes; /* an entry, or a window */
    struct buffer body;
    const char *segment; /* its name */
    struct fs_file *file;
    uint64_t size;
    bool first; /* no entry of this segment was sound so far */
};

/* ---- Keys ------------------------------------------------------------------------------------ */

/* The public key of WRITER, which follows from the repository's key. */
static enum status make_key(const struct log_reader *reader, const struct random_id *writer,
                            struct sign_public **ret_key, struct error *err)
{
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct sign_key *signer = NULL;
    enum status st = keys_log_signer(reader->keys, writer, &signer, err);

    if (st != STATUS_OK)
        return st;
    sign_key_public(signer, bytes);
    sign_key_free(signer);
    return sign_public_from_bytes(bytes, ret_key, err);
}

static enum status key_of(struct log_reader *reader, const struct random_id *writer,
                          const struct sign_public **ret_key, struct error *err)
{
    struct sign_public *key = NULL;
    struct writer_key *grown = NULL;

    for (size_t i = 0; i < reader->writer_count; i++) {
        if (random_id_equal(&reader->writers[i].writer, writer)) {
            *ret_key = reader->writers[i].key;
            return STATUS_OK;
        }
    }
    if (reader->writer_count == WRITERS_MAX)
        return error_set(err, STATUS_CORRUPT, "its writer is one too many");
    grown = memory_resize(reader->writers, reader->writer_count + 1, sizeof(*grown));
    if (grown == NULL)
        return error_set_no_memory(err, sizeof(*grown), "a log writer's key");
    reader->writers = grown;

    enum status st = make_key(reader, writer, &key, err);

    if (st != STATUS_OK)
        return st;
    grown[reader->writer_count++] = (struct writer_key){.writer = *writer, .key = key};
    *ret_key = key;
    return STATUS_OK;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static enum status read_bytes(struct log_reader *reader, uint64_t offset, size_t size,
                              struct error *err)
{
    buffer_clear(&reader->bytes);

    uint8_t *target = buffer_extend(&reader->bytes, size);
    enum status st = buffer_check(&reader->bytes, "a part of the log", err);

    if (st == STATUS_OK)
        st = fs_read_exactly_at(reader->file, offset, target, size, err);
    return st;
}

/* The entry at OFFSET: *ret_size of it, 0: there is no sound one. Passes it on. */
static enum status take_entry(struct log_reader *reader, uint64_t offset, size_t *ret_size,
                              struct error *err)
{
    uint64_t left = reader->size - offset;
    const struct sign_public *key = NULL;
    struct log_entry_header header;
    struct hash_digest hash;
    struct error damage = {0};
    size_t size = 0;
    enum status st = STATUS_OK;

    *ret_size = 0;
    if (left < LOG_ENTRY_HEADER_SIZE)
        return STATUS_OK;
    st = read_bytes(reader, offset, LOG_ENTRY_HEADER_SIZE, err);
    if (st != STATUS_OK)
        return st;
    if (log_entry_decode_header(buffer_slice(&reader->bytes), &header, &size, &damage) !=
            STATUS_OK ||
        size > left)
        return STATUS_OK;
    st = read_bytes(reader, offset, size, err);
    if (st == STATUS_OK)
        st = key_of(reader, &header.writer, &key, err);
    if (st == STATUS_OK)
        st = log_entry_open(keys_structure(reader->keys), key, buffer_slice(&reader->bytes),
                            &header, &reader->body, &hash, err);
    if (st == STATUS_CORRUPT || st == STATUS_INVALID)
        return STATUS_OK;
    if (st != STATUS_OK)
        return st;

    const struct log_scan_entry entry = {.header = &header,
                                         .hash = &hash,
                                         .first = reader->first,
                                         .body = buffer_slice(&reader->body)};

    reader->first = false;
    *ret_size = size;
    return reader->each(reader->arg, &entry, err);
}

/* Offset of the next sound header in BYTES; their size, if there is none. */
static size_t find_header(struct slice bytes)
{
    struct log_entry_header header;
    struct error none = {0};
    size_t size = 0;

    for (size_t at = 0; bytes.size - at >= LOG_ENTRY_HEADER_SIZE; at++) {
        const uint8_t *found =
            memchr(bytes.data + at, 'T', bytes.size - at - LOG_ENTRY_HEADER_SIZE + 1);

        if (found == NULL)
            break;
        at = (size_t)(found - bytes.data);
        if (log_entry_decode_header(slice_of(found, LOG_ENTRY_HEADER_SIZE), &header, &size,
                                    &none) == STATUS_OK)
            return at;
    }
    return bytes.size;
}

/* Where the next sound header begins behind OFFSET; the end, if there is none. */
static enum status step_over(struct log_reader *reader, uint64_t offset, uint64_t *ret_offset,
                             struct error *err)
{
    offset++;
    while (reader->size - offset >= LOG_ENTRY_HEADER_SIZE) {
        uint64_t left = reader->size - offset;
        size_t length = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
        enum status st = read_bytes(reader, offset, length, err);

        if (st != STATUS_OK)
            return st;

        size_t found = find_header(buffer_slice(&reader->bytes));

        if (found < length) {
            *ret_offset = offset + found;
            return STATUS_OK;
        }
        offset += length - (LOG_ENTRY_HEADER_SIZE - 1); /* one may lie across two windows */
    }
    *ret_offset = reader->size;
    return STATUS_OK;
}

static enum status read_segment(struct log_reader *reader, struct error *err)
{
    uint64_t offset = 0;
    uint64_t lost_from = UINT64_MAX; /* where damage began that has not ended */
    enum status st = STATUS_OK;

    while (st == STATUS_OK && offset < reader->size) {
        size_t size = 0;

        st = take_entry(reader, offset, &size, err);
        if (st != STATUS_OK)
            break;
        if (size == 0) {
            lost_from = lost_from == UINT64_MAX ? offset : lost_from;
            st = step_over(reader, offset, &offset, err);
            continue;
        }
        if (lost_from != UINT64_MAX)
            teller_warn(reader->teller,
                        "log segment %s is damaged from byte %" PRIu64 " to %" PRIu64
                        "; it is read on behind that",
                        reader->segment, lost_from, offset);
        lost_from = UINT64_MAX;
        offset += size;
    }
    if (st == STATUS_OK && lost_from != UINT64_MAX)
        teller_warn(reader->teller,
                    "log segment %s has no whole entry behind byte %" PRIu64
                    ": cut off by a crash, or damaged",
                    reader->segment, lost_from);
    return st;
}

/* ---- Segments -------------------------------------------------------------------------------- */

static bool is_segment(const char *name)
{
    return strlen(name) == SEGMENT_DIGITS && strspn(name, "0123456789") == SEGMENT_DIGITS;
}

static enum status open_and_read(struct log_reader *reader, struct fs *fs, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];

    INVARIANT(text_format(path, sizeof(path), LOG_DIR "/%s", reader->segment));
    enum status st = fs_open(fs, path, FS_READ, &reader->file, err);

    if (st == STATUS_OK)
        st = fs_size(reader->file, &reader->size, err);
    reader->first = true;
    if (st == STATUS_OK)
        st = read_segment(reader, err);
    fs_close(reader->file);
    reader->file = NULL;
    return st;
}

static enum status read_all(struct log_reader *reader, struct fs *fs, const struct fs_names *names,
                            uint64_t *ret_segments, struct error *err)
{
    for (size_t i = 0; i < names->count; i++) { /* sorted: ten digits each */
        struct error trouble = {0};

        if (!is_segment(names->names[i]))
            continue;
        ++*ret_segments;
        reader->segment = names->names[i];
        enum status st = open_and_read(reader, fs, &trouble);

        if (st == STATUS_EXHAUSTED || st == STATUS_INTERNAL) {
            *err = trouble;
            return st;
        }
        if (st != STATUS_OK)
            teller_warn(reader->teller, "log segment %s cannot be read: %s", reader->segment,
                        trouble.text);
    }
    return STATUS_OK;
}

enum status log_scan(struct fs *fs, const struct keys *keys, struct teller *teller,
                     log_scan_each *each, void *arg, uint64_t *ret_segments, struct error *err)
{
    struct log_reader reader = {.keys = keys, .teller = teller, .each = each, .arg = arg};
    struct fs_names names = {0};
    struct error trouble = {0};
    uint64_t segments = 0;
    enum status st = fs_list(fs, LOG_DIR, &names, &trouble);

    buffer_init(&reader.bytes, LOG_ENTRY_SIZE_MAX);
    buffer_init(&reader.body, LOG_ENTRY_BODY_MAX);
    if (st == STATUS_OK)
        st = read_all(&reader, fs, &names, &segments, err);
    else if (st == STATUS_EXHAUSTED)
        *err = trouble;
    else {
        if (st != STATUS_NOT_FOUND)
            teller_warn(teller, "the folder of the log cannot be read: %s", trouble.text);
        st = STATUS_OK;
    }
    if (st == STATUS_OK)
        *ret_segments = segments;
    for (size_t i = 0; i < reader.writer_count; i++)
        sign_public_free(reader.writers[i].key);
    memory_free(reader.writers);
    buffer_deinit(&reader.bytes);
    buffer_deinit(&reader.body);
    fs_names_deinit(&names);
    return st;
}
