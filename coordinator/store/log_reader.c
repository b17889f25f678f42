#include "coordinator/store/log_reader.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"
#include "base/text.h"

enum { NAME_DIGITS = 10 };

struct reader {
    const struct store_log_world *world;
    struct log_found *found;
    /* Gets each entry once nothing can take its place any more. */
    enum status (*take)(void *arg, const struct log_entry_header *header, struct slice body,
                        struct error *err);
    void *arg;
    bool anywhere;                        /* the first entry need not be the log's first */
    uint64_t first;                       /* the sequence of the first entry; 0: none so far */
    struct sign_public *signer;           /* NULL: no entry so far */
    uint8_t public_key[SIGN_PUBLIC_SIZE]; /* the same */
    /* The newest entry, which TAKE has not got yet: a later segment may take its place. */
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

bool log_segment_parse(const char *name, uint64_t *ret_segment)
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
    enum status st = keys_log_signer(reader->world->keys, writer, &key, err);

    if (st != STATUS_OK)
        return st;
    sign_key_public(key, reader->public_key);
    sign_key_free(key);
    return sign_public_from_bytes(reader->public_key, &reader->signer, err);
}

/* BODY is of a LOG_SPACE entry. */
static enum status check_space(const struct reader *reader, struct slice body, struct error *err)
{
    struct log_space space;
    enum status st = log_space_decode(body, &space, err);

    if (st == STATUS_OK && memcmp(reader->public_key, space.public_key, SIGN_PUBLIC_SIZE) != 0)
        st = error_set(err, STATUS_CORRUPT, "its writer's key is not the repository's");
    return st;
}

/* Gives the newest entry to TAKE, if it did not get it before. */
static enum status deliver(struct reader *reader, struct error *err)
{
    struct slice body = buffer_slice(&reader->body);
    enum status st = STATUS_OK;

    if (!reader->waits)
        return STATUS_OK;
    reader->waits = false;
    if (reader->header.type == LOG_SPACE)
        st = check_space(reader, body, err);
    if (st != STATUS_OK)
        return error_wrap(err, "entry %" PRIu64, reader->header.sequence);
    return reader->take(reader->arg, &reader->header, body, err);
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
    STEP_NEXT,     /* it follows, or is the first */
    STEP_REPLACES, /* it begins a segment, and takes its place */
    STEP_RETURNS, /* it begins a segment, and is the one before once more: the newest was given up */
};

/* What TAKE has got was durable: only itself may come once more. */
static enum step step_of(const struct reader *reader, const struct entry *entry, bool begins)
{
    const struct log_found *found = reader->found;
    const struct log_entry_header *header = &entry->header;

    if (reader->anywhere && reader->first == 0)
        return STEP_NEXT;
    if (header->sequence == found->sequence + 1 && hash_equal(&header->previous, &found->hash))
        return STEP_NEXT;
    if (begins && header->sequence == found->sequence &&
        hash_equal(&header->previous, &found->before) &&
        (reader->waits || hash_equal(&entry->hash, &found->hash)))
        return STEP_REPLACES;
    if (begins && reader->waits && header->sequence + 1 == found->sequence &&
        hash_equal(&entry->hash, &found->before))
        return STEP_RETURNS;
    return STEP_WRONG;
}

/* ENTRY is the newest now. */
static enum status take_entry(struct reader *reader, const struct entry *entry, enum step step,
                              struct error *err)
{
    struct log_found *found = reader->found;

    found->before = entry->header.previous;
    reader->header = entry->header;
    if (step != STEP_REPLACES) /* which waits if the one before it did */
        reader->waits = step == STEP_NEXT;
    reader->tail_size = 0;
    if (reader->first == 0)
        reader->first = entry->header.sequence;
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

static enum status refuse_gap(const struct reader *reader, const struct log_entry_header *header,
                              struct error *err)
{
    uint64_t newest = reader->found->sequence;

    if (reader->tail_size > 0)
        return error_set(err, STATUS_CORRUPT,
                         "entry %" PRIu64 " does not follow entry %" PRIu64
                         ": %s is damaged at %" PRIu64,
                         header->sequence, newest, reader->tail_path, reader->tail_offset);
    return error_set(err, STATUS_CORRUPT,
                     "entry %" PRIu64 " does not follow entry %" PRIu64
                     ": something between them is missing or damaged",
                     header->sequence, newest);
}

/* Puts the sound ENTRY behind the others, or, if it BEGINS a segment, where it belongs. */
static enum status chain(struct reader *reader, const struct entry *entry, bool begins,
                         struct error *err)
{
    const struct log_entry_header *header = &entry->header;
    enum step step = step_of(reader, entry, begins);
    enum status st = STATUS_OK;

    if (reader->first > 0 && !random_id_equal(&header->writer, &reader->found->writer))
        return error_set(err, STATUS_CORRUPT, "entry %" PRIu64 " is another writer's",
                         header->sequence);
    if (step == STEP_WRONG)
        return refuse_gap(reader, header, err);
    if (reader->first == 0 && !reader->anywhere && header->type != LOG_SPACE)
        return error_set(err, STATUS_CORRUPT,
                         "it begins with an entry of type %u, not with its writer's space",
                         (unsigned)header->type);
    if (step == STEP_NEXT)
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

/* --- the log ----------------------------------------------------------------------------------- */

/* Reads the segments from NAMES[FROM] on. What waits in the end is not delivered. */
static enum status scan(struct reader *reader, const struct fs_names *names, size_t from,
                        struct error *err)
{
    struct log_found *found = reader->found;
    uint64_t number = 0;
    enum status st = STATUS_OK;

    found->sequence = 0;
    found->segment = 0;
    found->summary = 0;
    found->summary_end = 0;
    memset(&found->hash, 0, sizeof(found->hash));
    memset(&found->before, 0, sizeof(found->before));
    buffer_init(&reader->body, LOG_ENTRY_BODY_MAX);
    for (size_t i = from; st == STATUS_OK && i < names->count; i++) {
        if (!log_segment_parse(names->names[i], &number))
            continue;
        found->segment = number;
        st = read_segment(reader, number, err);
        /* Who begins anywhere begins in that segment. */
        if (st == STATUS_OK && reader->anywhere && reader->first == 0)
            st = error_set(err, STATUS_CORRUPT, "%s/%s has no entry", LOG_DIR, names->names[i]);
    }
    return st;
}

static void deinit_reader(struct reader *reader)
{
    sign_public_free(reader->signer);
    buffer_deinit(&reader->body);
}

/* The header with which segment NUMBER begins; *ret_sound false: there is none. */
static enum status read_first_header(const struct store_log_world *world, uint64_t number,
                                     bool *ret_sound, struct log_entry_header *ret_header,
                                     struct error *err)
{
    uint8_t bytes[LOG_ENTRY_HEADER_SIZE];
    char path[LOG_PATH_SIZE];
    struct fs_file *file = NULL;
    struct error damage = {0};
    size_t got = 0;
    size_t size = 0;

    log_segment_path(number, path);
    enum status st = fs_open(world->fs, path, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_read_at(file, 0, bytes, sizeof(bytes), &got, err);
    fs_close(file);
    if (st == STATUS_OK)
        *ret_sound =
            log_entry_decode_header(slice_of(bytes, got), ret_header, &size, &damage) == STATUS_OK;
    return st;
}

/* A summary while its parts come in. */
struct parts {
    uint64_t begin; /* the sequence of its part 0 */
    uint64_t count; /* 0: none is on its way */
    uint64_t next;  /* part */
};

/* What the entry with HEADER means for summaries; a whole one is noted in FOUND. */
static enum status note_parts(struct parts *parts, const struct log_entry_header *header,
                              struct slice body, struct log_found *found,
                              struct log_summary *ret_summary, struct error *err)
{
    struct log_summary summary = {0};
    enum status st = STATUS_OK;

    if (header->type == LOG_SUMMARY)
        st = log_summary_decode(body, &summary, err);
    if (st != STATUS_OK)
        return error_wrap(err, "entry %" PRIu64, header->sequence);
    if (header->type == LOG_SUMMARY && summary.part == 0)
        *parts = (struct parts){.begin = header->sequence, .count = summary.parts};
    if (summary.parts != parts->count || summary.part != parts->next)
        *parts = (struct parts){0};
    if (parts->count > 0 && ++parts->next == parts->count) {
        found->summary = parts->begin;
        found->summary_end = header->sequence;
        *parts = (struct parts){0};
    }
    *ret_summary = summary;
    return STATUS_OK;
}

/* --- is a summary whole? --- */

struct probe {
    struct reader reader;
    struct parts parts;
    bool ends; /* nothing more is wanted */
};

static enum status take_to_probe(void *arg, const struct log_entry_header *header,
                                 struct slice body, struct error *err)
{
    struct probe *probe = arg;
    struct log_summary summary;
    enum status st = note_parts(&probe->parts, header, body, probe->reader.found, &summary, err);

    if (st != STATUS_OK || (probe->parts.count > 0 && probe->parts.begin == probe->reader.first))
        return st;
    probe->ends = true;
    return error_set(err, STATUS_CANCELLED, "the log: no more is wanted");
}

/* *RET_WHOLE: does a whole summary begin with NAMES[FROM]? */
static enum status probe_summary(const struct store_log_world *world, const struct fs_names *names,
                                 size_t from, bool *ret_whole, struct error *err)
{
    struct log_found found;
    struct probe probe = {.reader = {.world = world, .found = &found, .anywhere = true}};

    probe.reader.take = take_to_probe;
    probe.reader.arg = &probe;
    buffer_init(&found.newest, LOG_ENTRY_SIZE_MAX);

    enum status st = scan(&probe.reader, names, from, err);

    if (st == STATUS_OK)
        st = deliver(&probe.reader, err);
    /* Damage is told by whoever cannot do without what is damaged. */
    if (probe.ends || st == STATUS_CORRUPT) {
        st = STATUS_OK;
        *err = (struct error){0};
    }
    *ret_whole = found.summary > 0;
    deinit_reader(&probe.reader);
    buffer_deinit(&found.newest);
    return st;
}

/* The name in NAMES of the segment with which the newest whole summary begins; NAMES->count: there is none. */
static enum status find_summary(const struct store_log_world *world, const struct fs_names *names,
                                size_t *ret_from, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = names->count; i > 0; i--) {
        struct log_entry_header header = {0};
        uint64_t number = 0;
        bool whole = false;
        bool sound = false;

        if (!log_segment_parse(names->names[i - 1], &number))
            continue;
        st = read_first_header(world, number, &sound, &header, err);
        if (st == STATUS_OK && sound && header.type == LOG_SUMMARY)
            st = probe_summary(world, names, i - 1, &whole, err);
        if (st != STATUS_OK)
            return st;
        if (whole) {
            *ret_from = i - 1;
            return STATUS_OK;
        }
    }
    *ret_from = names->count;
    return STATUS_OK;
}

/* --- reading --- */

struct reading {
    struct reader reader;
    struct parts parts;
    enum log_extent extent;
    enum status (*each)(void *arg, const struct log_entry_header *header, struct slice body,
                        struct error *err);
    void *arg;
};

/* Gives the ITEMS of the part with HEADER to EACH. */
static enum status give_items(struct reading *reading, const struct log_entry_header *header,
                              struct slice items, struct error *err)
{
    enum status st = STATUS_OK;

    while (st == STATUS_OK && items.size > 0) {
        struct log_item item = {0};

        st = log_item_take(&items, &item, err);
        if (st == STATUS_OK && item.type == LOG_SPACE)
            st = check_space(&reading->reader, item.body, err);
        const struct log_entry_header was = {
            .type = item.type,
            .writer = header->writer,
            .sequence = item.sequence,
            .time_us = item.time_us,
            .body_length = (uint32_t)item.body.size,
        };

        if (st == STATUS_OK)
            st = reading->each(reading->arg, &was, item.body, err);
    }
    return st == STATUS_OK ? st : error_wrap(err, "the summary's entry %" PRIu64, header->sequence);
}

static enum status take_to_read(void *arg, const struct log_entry_header *header, struct slice body,
                                struct error *err)
{
    struct reading *reading = arg;
    const struct reader *reader = &reading->reader;
    struct log_summary summary;
    enum status st = note_parts(&reading->parts, header, body, reader->found, &summary, err);

    if (st != STATUS_OK)
        return st;
    if (header->type != LOG_SUMMARY || reading->extent == LOG_WHOLE)
        return reading->each(reading->arg, header, body, err);
    /* Other summaries are void, or said nothing new when they were written. */
    if (reader->anywhere && header->sequence - summary.part == reader->first)
        return give_items(reading, header, summary.items, err);
    return STATUS_OK;
}

enum status log_read(const struct store_log_world *world, enum log_extent extent,
                     enum status (*each)(void *arg, const struct log_entry_header *header,
                                         struct slice body, struct error *err),
                     void *arg, struct log_found *found, struct error *err)
{
    struct reading reading = {
        .reader = {.world = world, .found = found, .take = take_to_read},
        .extent = extent,
        .each = each,
        .arg = arg,
    };
    struct reader *reader = &reading.reader;
    struct fs_names names = {0};
    size_t from = 0;

    reader->arg = &reading;

    /* Sorted: all names have ten digits. */
    enum status st = fs_list(world->fs, LOG_DIR, &names, err);

    if (st == STATUS_OK && extent == LOG_FROM_SUMMARY)
        st = find_summary(world, &names, &from, err);
    reader->anywhere = extent == LOG_FROM_SUMMARY && from < names.count;
    if (st == STATUS_OK)
        st = scan(reader, &names, reader->anywhere ? from : 0, err);
    if (st == STATUS_OK)
        st = judge_tail(reader, err);
    if (st == STATUS_OK && reader->first == 0)
        st = error_set(err, STATUS_CORRUPT, "it has no entry");
    if (st == STATUS_OK)
        st = deliver(reader, err);
    if (st != STATUS_OK)
        st = error_wrap(err, "the log");
    fs_names_deinit(&names);
    deinit_reader(reader);
    return st;
}

/* --- one entry's hash --- */

struct search {
    struct reader reader;
    uint64_t sequence;
    bool known; /* HASH is its hash */
    bool ends;
    struct hash_digest hash;
};

/* While an entry is delivered, what was found is that entry. */
static enum status take_to_find(void *arg, const struct log_entry_header *header, struct slice body,
                                struct error *err)
{
    struct search *search = arg;

    (void)body;
    if (header->sequence < search->sequence)
        return STATUS_OK;
    search->known = header->sequence == search->sequence;
    search->hash = search->reader.found->hash;
    search->ends = true;
    return error_set(err, STATUS_CANCELLED, "the log: no more is wanted");
}

/* The name in NAMES of the newest segment that begins before SEQUENCE, or with it; NAMES->count: none. */
static enum status find_segment(const struct store_log_world *world, const struct fs_names *names,
                                uint64_t sequence, size_t *ret_from, struct error *err)
{
    for (size_t i = names->count; i > 0; i--) {
        struct log_entry_header header = {0};
        uint64_t number = 0;
        bool sound = false;

        if (!log_segment_parse(names->names[i - 1], &number))
            continue;
        enum status st = read_first_header(world, number, &sound, &header, err);

        if (st != STATUS_OK)
            return st;
        if (sound && header.sequence <= sequence) {
            *ret_from = i - 1;
            return STATUS_OK;
        }
    }
    *ret_from = names->count;
    return STATUS_OK;
}

enum status log_read_hash(const struct store_log_world *world, uint64_t sequence, bool *ret_known,
                          struct hash_digest *ret_hash, struct error *err)
{
    struct log_found found;
    struct search search = {
        .reader = {.world = world, .found = &found, .take = take_to_find, .anywhere = true},
        .sequence = sequence,
    };
    struct fs_names names = {0};
    size_t from = 0;

    search.reader.arg = &search;
    buffer_init(&found.newest, LOG_ENTRY_SIZE_MAX);

    enum status st = fs_list(world->fs, LOG_DIR, &names, err);

    if (st == STATUS_OK)
        st = find_segment(world, &names, sequence, &from, err);
    if (st == STATUS_OK)
        st = scan(&search.reader, &names, from, err);
    if (st == STATUS_OK)
        st = deliver(&search.reader, err);
    if (search.ends || st == STATUS_CORRUPT) {
        st = STATUS_OK;
        *err = (struct error){0};
    }
    if (st == STATUS_OK) {
        *ret_known = search.known;
        *ret_hash = search.hash;
    }
    fs_names_deinit(&names);
    deinit_reader(&search.reader);
    buffer_deinit(&found.newest);
    return st;
}
