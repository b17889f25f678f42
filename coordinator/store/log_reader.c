#include "coordinator/store/log_reader.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"

enum { NAME_DIGITS = 10 };

struct reader {
    const struct store_log_world *world;
    enum status (*each)(void *arg, const struct log_entry_header *header, struct slice body,
                        struct error *err);
    void *arg;
    struct log_found *found;
    struct sign_public *signer; /* NULL: no entry so far */
    struct hash_digest before;  /* of the entry before the newest */
    /* The newest entry, which EACH has not got yet: a later segment may take its place. */
    bool waits;
    struct log_entry_header header;
    struct buffer body;
    /* What lies behind the last whole entry; SIZE 0: nothing. */
    char tail_path[LOG_PATH_SIZE];
    uint64_t tail_offset;
    uint64_t tail_size;
    bool tail_is_damage; /* no crash leaves that */
};

void log_segment_path(uint64_t segment, char path[LOG_PATH_SIZE])
{
    INVARIANT(text_format(path, LOG_PATH_SIZE, LOG_DIR "/%010" PRIu64, segment));
}

/* Is NAME a segment's? */
static bool parse_name(const char *name, uint64_t *ret_segment)
{
    const char *digits = name + strspn(name, "0");

    return strlen(name) == NAME_DIGITS && text_parse_u64(digits, ret_segment);
}

/* --- entries ----------------------------------------------------------------------------------- */

static bool hash_equal(const struct hash_digest *a, const struct hash_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The key that WRITER's entries are to be signed by. */
static enum status learn_signer(struct reader *reader, const struct random_id *writer,
                                struct error *err)
{
    struct sign_key *key = NULL;
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    enum status st = keys_log_signer(reader->world->keys, writer, &key, err);

    if (st != STATUS_OK)
        return st;
    sign_key_public(key, public_key);
    sign_key_free(key);
    return sign_public_from_bytes(public_key, &reader->signer, err);
}

static enum status check_first(struct reader *reader, const struct log_entry_header *header,
                               struct slice body, struct error *err)
{
    struct sign_key *key = NULL;
    struct log_space space;
    uint8_t public_key[SIGN_PUBLIC_SIZE];

    if (header->type != LOG_SPACE || header->sequence != 1)
        return error_set(err, STATUS_CORRUPT,
                         "it begins with entry %" PRIu64 " of type %u, not with its writer's space",
                         header->sequence, (unsigned)header->type);
    enum status st = log_space_decode(body, &space, err);

    if (st == STATUS_OK)
        st = keys_log_signer(reader->world->keys, &header->writer, &key, err);
    if (st != STATUS_OK)
        return st;
    sign_key_public(key, public_key);
    sign_key_free(key);
    if (memcmp(public_key, space.public_key, sizeof(public_key)) != 0)
        return error_set(err, STATUS_CORRUPT, "its writer's key is not the repository's");
    return STATUS_OK;
}

/* Gives the newest entry to EACH, if it did not get it before. */
static enum status deliver(struct reader *reader, struct error *err)
{
    if (!reader->waits)
        return STATUS_OK;
    reader->waits = false;
    enum status st = reader->each(reader->arg, &reader->header, buffer_slice(&reader->body), err);

    if (st != STATUS_OK)
        return error_wrap(err, "entry %" PRIu64, reader->header.sequence);
    return STATUS_OK;
}

/* A sound entry as it was read. */
struct entry {
    struct log_entry_header header;
    struct hash_digest hash;
    struct slice bytes;
    struct slice body;
};

/* How ENTRY goes on from the newest one. */
enum step {
    STEP_WRONG,    /* not at all */
    STEP_NEXT,     /* it follows */
    STEP_REPLACES, /* it begins a segment, and takes its place */
    STEP_RETURNS, /* it begins a segment, and is the one before once more: the newest was given up */
};

/* What EACH has got was durable: only itself may come once more. */
static enum step step_of(const struct reader *reader, const struct entry *entry, bool begins)
{
    const struct log_found *found = reader->found;
    const struct log_entry_header *header = &entry->header;

    if (header->sequence == found->sequence + 1 && hash_equal(&header->previous, &found->hash))
        return STEP_NEXT;
    if (begins && header->sequence == found->sequence &&
        hash_equal(&header->previous, &reader->before) &&
        (reader->waits || hash_equal(&entry->hash, &found->hash)))
        return STEP_REPLACES;
    if (begins && reader->waits && header->sequence + 1 == found->sequence &&
        hash_equal(&entry->hash, &reader->before))
        return STEP_RETURNS;
    return STEP_WRONG;
}

/* ENTRY is the newest now. */
static enum status take_entry(struct reader *reader, const struct entry *entry, enum step step,
                              struct error *err)
{
    struct log_found *found = reader->found;

    reader->before = entry->header.previous;
    reader->header = entry->header;
    if (step != STEP_REPLACES) /* which waits if the one before it did */
        reader->waits = step == STEP_NEXT;
    reader->tail_size = 0;
    buffer_clear(&reader->body);
    buffer_put(&reader->body, entry->body);
    buffer_clear(&found->newest);
    buffer_put(&found->newest, entry->bytes);
    found->writer = entry->header.writer;
    found->sequence = entry->header.sequence;
    found->hash = entry->hash;
    enum status st = buffer_check(&reader->body, "an entry of the log", err);

    return st == STATUS_OK ? buffer_check(&found->newest, "an entry of the log", err) : st;
}

/* Puts the sound ENTRY behind the others, or, if it BEGINS a segment, where it belongs. */
static enum status chain(struct reader *reader, const struct entry *entry, bool begins,
                         struct error *err)
{
    const struct log_found *found = reader->found;
    const struct log_entry_header *header = &entry->header;
    enum step step = step_of(reader, entry, begins);
    enum status st = STATUS_OK;

    if (found->sequence > 0 && !random_id_equal(&header->writer, &found->writer))
        return error_set(err, STATUS_CORRUPT, "entry %" PRIu64 " is another writer's",
                         header->sequence);
    if (step == STEP_WRONG)
        return error_set(err, STATUS_CORRUPT,
                         "entry %" PRIu64 " does not follow entry %" PRIu64
                         ": something between them is missing or damaged",
                         header->sequence, found->sequence);
    if (found->sequence == 0)
        st = check_first(reader, header, entry->body, err);
    if (st == STATUS_OK && step == STEP_NEXT)
        st = deliver(reader, err);
    return st == STATUS_OK ? take_entry(reader, entry, step, err) : st;
}

/* --- segments ---------------------------------------------------------------------------------- */

struct segment {
    struct fs_file *file;
    uint64_t size;
    uint64_t offset;     /* of the next entry */
    struct buffer entry; /* scratch */
    struct buffer body;
};

/* Reads the whole entry at the segment's offset. STATUS_CORRUPT: none is there. */
static enum status read_entry(struct reader *reader, struct segment *segment,
                              struct log_entry_header *ret_header, struct hash_digest *ret_hash,
                              struct error *err)
{
    uint8_t bytes[LOG_ENTRY_HEADER_SIZE];
    size_t size = 0;

    if (segment->size - segment->offset < sizeof(bytes))
        return error_set(err, STATUS_CORRUPT, "less than an entry's header");
    enum status st = fs_read_exactly_at(segment->file, segment->offset, bytes, sizeof(bytes), err);

    if (st == STATUS_OK)
        st = log_entry_decode_header(slice_of(bytes, sizeof(bytes)), ret_header, &size, err);
    if (st == STATUS_OK && size > segment->size - segment->offset)
        st = error_set(err, STATUS_CORRUPT, "less than an entry of %zu bytes", size);
    if (st != STATUS_OK)
        return st;
    buffer_clear(&segment->entry);
    uint8_t *target = buffer_extend(&segment->entry, size);

    st = buffer_check(&segment->entry, "an entry of the log", err);
    if (st == STATUS_OK)
        st = fs_read_exactly_at(segment->file, segment->offset, target, size, err);
    if (st == STATUS_OK && reader->signer == NULL)
        st = learn_signer(reader, &ret_header->writer, err);
    if (st == STATUS_OK)
        st = log_entry_open(keys_structure(reader->world->keys), reader->signer,
                            buffer_slice(&segment->entry), ret_header, &segment->body, ret_hash,
                            err);
    return st;
}

/* Is there an entry's sound header behind the first byte of TAIL? Only damage leaves such: nothing is written behind an
 * entry that is not durable. */
static bool has_header_within(struct slice tail)
{
    struct log_entry_header header;
    struct error ignored = {0};
    size_t size = 0;

    for (size_t i = 1; i + LOG_ENTRY_HEADER_SIZE <= tail.size; i++) {
        if (log_entry_decode_header(slice_of(tail.data + i, tail.size - i), &header, &size,
                                    &ignored) == STATUS_OK)
            return true;
    }
    return false;
}

static enum status note_tail(struct reader *reader, struct segment *segment, const char *path,
                             struct error *err)
{
    uint64_t size = segment->size - segment->offset;
    enum status st = STATUS_OK;

    reader->tail_size = size;
    reader->tail_offset = segment->offset;
    reader->tail_is_damage = size > LOG_ENTRY_SIZE_MAX;
    INVARIANT(text_format(reader->tail_path, sizeof(reader->tail_path), "%s", path));
    if (reader->tail_is_damage)
        return STATUS_OK;
    buffer_clear(&segment->entry);
    uint8_t *target = buffer_extend(&segment->entry, (size_t)size);

    st = buffer_check(&segment->entry, "the end of the log", err);
    if (st == STATUS_OK)
        st = fs_read_exactly_at(segment->file, segment->offset, target, (size_t)size, err);
    if (st == STATUS_OK)
        reader->tail_is_damage = has_header_within(buffer_slice(&segment->entry));
    return st;
}

static enum status read_entries(struct reader *reader, struct segment *segment, const char *path,
                                struct error *err)
{
    bool begins = true;

    while (segment->offset < segment->size) {
        struct entry entry;
        struct error damage = {0};
        enum status st = read_entry(reader, segment, &entry.header, &entry.hash, &damage);

        if (st == STATUS_CORRUPT)
            return note_tail(reader, segment, path, err);
        if (st != STATUS_OK) {
            *err = damage;
            return st;
        }
        entry.bytes = buffer_slice(&segment->entry);
        entry.body = buffer_slice(&segment->body);
        st = chain(reader, &entry, begins, err);
        if (st != STATUS_OK)
            return st;
        segment->offset += segment->entry.size;
        begins = false;
    }
    return STATUS_OK;
}

static enum status read_segment(struct reader *reader, uint64_t number, struct error *err)
{
    struct segment segment = {0};
    char path[LOG_PATH_SIZE];

    log_segment_path(number, path);
    buffer_init(&segment.entry, LOG_ENTRY_SIZE_MAX);
    buffer_init(&segment.body, LOG_ENTRY_BODY_MAX);

    enum status st = fs_open(reader->world->fs, path, FS_READ, &segment.file, err);

    if (st == STATUS_OK)
        st = fs_size(segment.file, &segment.size, err);
    if (st == STATUS_OK)
        st = read_entries(reader, &segment, path, err);
    if (st != STATUS_OK)
        st = error_wrap(err, "%s at %" PRIu64, path, segment.offset);
    fs_close(segment.file);
    buffer_deinit(&segment.entry);
    buffer_deinit(&segment.body);
    return st;
}

/* Nothing chains to what lies behind the newest entry. */
static enum status judge_tail(const struct reader *reader, struct error *err)
{
    if (reader->tail_size == 0)
        return STATUS_OK;
    if (reader->tail_is_damage)
        return error_set(err, STATUS_CORRUPT,
                         "%s is damaged at %" PRIu64
                         ": there are entries behind it; put the file back from a copy",
                         reader->tail_path, reader->tail_offset);
    log_warning(reader->world->log,
                "the log's last %" PRIu64 " bytes (%s at %" PRIu64
                ") are not a whole entry: a crash while it was written, or damage; left out",
                reader->tail_size, reader->tail_path, reader->tail_offset);
    return STATUS_OK;
}

enum status log_read(const struct store_log_world *world,
                     enum status (*each)(void *arg, const struct log_entry_header *header,
                                         struct slice body, struct error *err),
                     void *arg, struct log_found *found, struct error *err)
{
    struct reader reader = {.world = world, .each = each, .arg = arg, .found = found};
    struct fs_names names = {0};
    uint64_t number = 0;

    found->sequence = 0;
    found->segment = 0;
    memset(&found->hash, 0, sizeof(found->hash));
    buffer_init(&reader.body, LOG_ENTRY_BODY_MAX);

    /* Sorted: all names have ten digits. */
    enum status st = fs_list(world->fs, LOG_DIR, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        if (!parse_name(names.names[i], &number))
            continue;
        found->segment = number;
        st = read_segment(&reader, number, err);
    }
    if (st == STATUS_OK)
        st = judge_tail(&reader, err);
    if (st == STATUS_OK && found->sequence == 0)
        st = error_set(err, STATUS_CORRUPT, "it has no entry");
    if (st == STATUS_OK)
        st = deliver(&reader, err);
    if (st != STATUS_OK)
        st = error_wrap(err, "the log");
    fs_names_deinit(&names);
    sign_public_free(reader.signer);
    buffer_deinit(&reader.body);
    return st;
}
