#include "coordinator/store/store_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/log_reader.h"

/* What the items of one part may take: the body but for {u32 part, u32 parts}. */
enum { ITEMS_MAX = LOG_ENTRY_BODY_MAX - 8 };

struct store_log {
    struct store_log_world world;
    struct sign_key *signer;
    struct random_id writer;
    uint64_t sequence; /* of the newest entry that counts */
    struct hash_digest hash;
    uint64_t segment;     /* the newest number that is taken */
    struct fs_file *file; /* the segment that gets the next entry; NULL: a new one does */
    uint64_t length;
    struct buffer newest;      /* the newest entry, while it is still to be repeated; else empty */
    struct hash_digest before; /* of the entry before the newest */
    uint64_t summary;          /* the first part's sequence of the newest whole one; 0: none */
    uint64_t counted_from; /* the entry behind which those count that make the next one wanted */
    struct log_head *head; /* borrowed; NULL: none is written */
    bool head_fails;       /* that was said */
};

static struct store_head newest_of(const struct store_log *log)
{
    return (struct store_head){
        .writer = log->writer,
        .sequence = log->sequence,
        .hash = log->hash,
    };
}

/* The newest entry is durable, and counts whatever happens next: an entry that a head names is never given up. So nothing
 * fails here. */
static void write_head(struct store_log *log)
{
    const struct store_head newest = newest_of(log);
    struct error err = {0};

    if (log->head == NULL)
        return;
    enum status st = log_head_write(log->head, &newest, &err);

    if (st != STATUS_OK && !log->head_fails)
        log_warning(log->world.log, "%s: if the log is cut now, nobody notices here", err.text);
    log->head_fails = st != STATUS_OK;
    DISCARD(fault_point("log.after_head", &err)); /* where a process may be killed */
}

/* Writes ENTRY into the current segment, or a new one, and syncs it. */
static enum status write_entry(struct store_log *log, struct slice entry, struct error *err)
{
    char path[LOG_PATH_SIZE];
    bool begins = log->file == NULL;
    bool written = false;
    struct error ignored = {0};
    enum status st = STATUS_OK;

    if (begins && log->segment >= LOG_SEGMENT_MAX)
        return error_set(err, STATUS_EXHAUSTED,
                         "there is a segment with the highest number: move %s/%010" PRIu64
                         " away if it is not the log's",
                         LOG_DIR, log->segment);
    if (begins) {
        log->segment++; /* a name is used once, whatever became of it */
        log->length = 0;
        log_segment_path(log->segment, path);
        st = fs_open(log->world.fs, path, FS_CREATE, &log->file, err);
    }
    if (st == STATUS_OK)
        st = fs_write_at(log->file, log->length, entry, err);
    written = st == STATUS_OK;
    if (st == STATUS_OK)
        st = fault_point("store.after_log_write", err);
    if (st == STATUS_OK)
        st = fs_sync(log->file, err);
    if (st == STATUS_OK && begins)
        st = fs_sync_dir(log->world.fs, LOG_DIR, err);
    if (st == STATUS_OK)
        st = fault_point("store.after_log_sync", err);
    if (st != STATUS_OK) {
        bool made = log->file != NULL && begins;

        fs_close(log->file);
        log->file = NULL;
        if (made &&
            !written) /* no file for each try on a full disk; one that stays counts for nothing */
            DISCARD(fs_remove(log->world.fs, path, &ignored));
        return st;
    }
    log->length += entry.size;
    return STATUS_OK;
}

enum status store_log_settle(struct store_log *log, struct error *err)
{
    if (log->newest.size == 0)
        return STATUS_OK;
    enum status st = write_entry(log, buffer_slice(&log->newest), err);

    if (st != STATUS_OK)
        return error_wrap(err, "make sure of the log's newest entry");
    buffer_deinit(&log->newest);
    buffer_init(&log->newest, LOG_ENTRY_SIZE_MAX);
    write_head(log);
    return STATUS_OK;
}

enum status store_log_append(struct store_log *log, uint8_t type, struct slice body,
                             int64_t time_us, struct log_entry_header *ret_header,
                             struct error *err)
{
    struct hash_digest hash;
    struct buffer entry;
    const struct log_entry_header header = {
        .type = type,
        .writer = log->writer,
        .sequence = log->sequence + 1,
        .time_us = time_us,
        .previous = log->hash,
        .body_length = (uint32_t)body.size,
    };

    buffer_init(&entry, LOG_ENTRY_SIZE_MAX);

    enum status st = store_log_settle(log, err);

    if (st == STATUS_OK)
        st = log_entry_seal(keys_structure(log->world.keys), log->signer, log->world.random,
                            &header, body, &entry, &hash, err);
    if (st == STATUS_OK)
        st = write_entry(log, buffer_slice(&entry), err);
    buffer_deinit(&entry);
    if (st != STATUS_OK)
        return error_wrap(err, "write to the log");
    log->before = log->hash;
    log->sequence = header.sequence;
    log->hash = hash;
    write_head(log);
    *ret_header = header;
    return STATUS_OK;
}

void store_log_encode_space(const struct store_log *log, uint32_t space, struct buffer *body)
{
    struct log_space entry = {.space = space};

    sign_key_public(log->signer, entry.public_key);
    log_space_encode(&entry, body);
}

enum status store_log_create(const struct store_log_world *world, const struct random_id *writer,
                             uint32_t space, int64_t time_us, struct error *err)
{
    struct store_log log = {.world = *world, .writer = *writer};
    struct log_entry_header ignored;
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);

    enum status st = keys_log_signer(world->keys, writer, &log.signer, err);

    if (st != STATUS_OK)
        goto out;
    store_log_encode_space(&log, space, &body);
    st = buffer_check(&body, "an entry of the log", err);
    if (st == STATUS_OK)
        st = store_log_append(&log, LOG_SPACE, buffer_slice(&body), time_us, &ignored, err);
out:
    fs_close(log.file);
    sign_key_free(log.signer);
    buffer_deinit(&body);
    return st;
}

enum status store_log_open(const struct store_log_world *world,
                           enum status (*each)(void *arg, const struct log_entry_header *header,
                                               struct slice body, struct error *err),
                           void *arg, struct store_log **ret_log, struct error *err)
{
    struct store_log *log = memory_new(1, sizeof(*log));
    struct log_found found;
    struct error full = {0};

    if (log == NULL)
        return error_set_no_memory(err, sizeof(*log), "the log");
    log->world = *world;
    buffer_init(&log->newest, LOG_ENTRY_SIZE_MAX);
    buffer_init(&found.newest, LOG_ENTRY_SIZE_MAX);

    enum status st = log_read(world, LOG_FROM_SUMMARY, each, arg, &found, err);

    if (st == STATUS_OK)
        st = keys_log_signer(world->keys, &found.writer, &log->signer, err);
    if (st != STATUS_OK)
        goto out;
    log->writer = found.writer;
    log->sequence = found.sequence;
    log->hash = found.hash;
    log->before = found.before;
    log->segment = found.segment;
    log->summary = found.summary;
    log->counted_from = found.summary_end;
    buffer_put(&log->newest, buffer_slice(&found.newest));
    st = buffer_check(&log->newest, "the log's newest entry", &full);
    if (st == STATUS_OK)
        st = store_log_settle(log, &full);
    if (st == STATUS_EXHAUSTED && full.native == ENOSPC) {
        log_warning(world->log, "%s; nothing can be stored until there is space", full.text);
        st = STATUS_OK;
    }
    if (st != STATUS_OK) {
        *err = full;
        goto out;
    }
    *ret_log = log;
    log = NULL;
out:
    buffer_deinit(&found.newest);
    store_log_free(log);
    return st;
}

void store_log_free(struct store_log *log)
{
    if (log == NULL)
        return;
    fs_close(log->file);
    sign_key_free(log->signer);
    buffer_deinit(&log->newest);
    memory_free(log);
}

/* --- summaries --------------------------------------------------------------------------------- */

bool store_log_wants_summary(const struct store_log *log, uint64_t every)
{
    return log->sequence - log->counted_from >= every;
}

uint64_t store_log_summary(const struct store_log *log)
{
    return log->summary;
}

/* Items on their way into parts. */
struct summary {
    struct store_log *log;
    int64_t time_us;
    uint32_t part;       /* the one that is filled */
    uint32_t parts;      /* 0: they are only counted */
    size_t size;         /* of the items in the part */
    struct buffer items; /* the same; empty while parts are counted */
};

/* What part PART is filled with becomes an entry, and PART the next one. */
static enum status end_part(struct summary *summary, struct error *err)
{
    const struct log_summary part = {
        .part = summary->part,
        .parts = summary->parts,
        .items = buffer_slice(&summary->items),
    };
    struct log_entry_header header;
    struct buffer body;
    enum status st = STATUS_OK;

    summary->size = 0;
    if (summary->part == LOG_SUMMARY_PARTS_MAX)
        return error_set(err, STATUS_EXHAUSTED, "it has more than %d parts", LOG_SUMMARY_PARTS_MAX);
    summary->part++;
    if (summary->parts == 0)
        return STATUS_OK;
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_summary_encode(&part, &body);
    st = buffer_check(&body, "a part of a summary", err);
    if (st == STATUS_OK)
        st = fault_point("log.summary_part", err);
    if (st == STATUS_OK)
        st = store_log_append(summary->log, LOG_SUMMARY, buffer_slice(&body), summary->time_us,
                              &header, err);
    buffer_deinit(&body);
    buffer_clear(&summary->items);
    return st;
}

static size_t part_size(const struct store_log *log)
{
    size_t size = log->world.part_size;

    return size == 0 || size > ITEMS_MAX ? ITEMS_MAX : size;
}

static enum status put_item(void *arg, const struct log_item *item, struct error *err)
{
    struct summary *summary = arg;
    size_t size = LOG_SUMMARY_ITEM_HEAD_SIZE + item->body.size;
    enum status st = STATUS_OK;

    if (summary->size > 0 && summary->size + size > part_size(summary->log))
        st = end_part(summary, err);
    summary->size += size;
    if (st == STATUS_OK && summary->parts > 0) {
        log_item_encode(item, &summary->items);
        st = buffer_check(&summary->items, "a part of a summary", err);
    }
    return st;
}

/* Goes through STATE's items, and ends the last part. */
static enum status put_items(struct summary *summary, const struct log_state *state,
                             struct error *err)
{
    enum status st = log_state_each_item(state, put_item, summary, err);

    return st == STATUS_OK ? end_part(summary, err) : st;
}

/* The next entry begins another segment. */
static void leave_segment(struct store_log *log)
{
    fs_close(log->file);
    log->file = NULL;
}

enum status store_log_summarize(struct store_log *log, const struct log_state *state,
                                int64_t time_us, struct error *err)
{
    struct summary counted = {.log = log};
    struct summary written = {.log = log, .time_us = time_us};
    uint64_t first = 0;

    buffer_init(&written.items, ITEMS_MAX);

    enum status st = put_items(&counted, state, err);

    if (st == STATUS_OK)
        st = store_log_settle(log, err);
    if (st == STATUS_OK) {
        leave_segment(log);
        first = log->sequence + 1;
        written.parts = counted.part;
        st = put_items(&written, state, err);
    }
    log->counted_from = log->sequence;
    buffer_deinit(&written.items);
    if (st == STATUS_OK)
        st = fault_point("log.after_summary", err);
    if (st != STATUS_OK)
        return error_wrap(err, "write a summary of the log");
    log->summary = first;
    return STATUS_OK;
}

/* --- heads ------------------------------------------------------------------------------------- */

static enum store_log_known same_or_not(const struct hash_digest *a, const struct hash_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 ? STORE_LOG_HAS
                                                             : STORE_LOG_HAS_ANOTHER;
}

enum status store_log_compare(struct store_log *log, const struct store_head *known,
                              enum store_log_known *ret_known, struct error *err)
{
    enum store_log_known answer = STORE_LOG_CANNOT_TELL;
    struct hash_digest hash;
    bool is_known = false;
    enum status st = STATUS_OK;

    if (!random_id_equal(&known->writer, &log->writer) || known->sequence == 0) {
        *ret_known = answer;
        return STATUS_OK;
    }
    if (known->sequence > log->sequence) {
        answer = STORE_LOG_LACKS;
    } else if (known->sequence == log->sequence) {
        answer = same_or_not(&known->hash, &log->hash);
    } else if (known->sequence + 1 == log->sequence) {
        answer = same_or_not(&known->hash, &log->before);
    } else {
        st = log_read_hash(&log->world, known->sequence, &is_known, &hash, err);
        if (st == STATUS_OK && is_known)
            answer = same_or_not(&known->hash, &hash);
    }
    if (st != STATUS_OK)
        return error_wrap(err, "look for an entry in the log");
    *ret_known = answer;
    return STATUS_OK;
}

void store_log_keep_head(struct store_log *log, struct log_head *head)
{
    log->head = head;
    if (log->newest.size == 0)
        write_head(log);
}

/* --- all of it --------------------------------------------------------------------------------- */

/* The log as it lies there ends with the newest entry, or with one behind it that was given up. */
static enum status check_end(const struct store_log *log, const struct log_found *found,
                             struct error *err)
{
    const struct hash_digest *hash =
        found->sequence == log->sequence ? &found->hash : &found->before;

    if (found->sequence - log->sequence > 1 || same_or_not(hash, &log->hash) != STORE_LOG_HAS)
        return error_set(err, STATUS_CORRUPT,
                         "it ends with entry %" PRIu64 ", and not with entry %" PRIu64
                         " as it was written",
                         found->sequence, log->sequence);
    return STATUS_OK;
}

enum status store_log_audit(struct store_log *log,
                            enum status (*each)(void *arg, const struct log_entry_header *header,
                                                struct slice body, struct error *err),
                            void *arg, struct error *err)
{
    struct log_found found;

    buffer_init(&found.newest, LOG_ENTRY_SIZE_MAX);

    enum status st = log_read(&log->world, LOG_WHOLE, each, arg, &found, err);

    if (st == STATUS_CORRUPT && found.sequence + 1 < log->summary)
        st = error_wrap(err,
                        "before the newest summary (entry %" PRIu64
                        "), where the repository opens without it",
                        log->summary);
    if (st == STATUS_OK)
        st = check_end(log, &found, err);
    buffer_deinit(&found.newest);
    return st == STATUS_OK ? st : error_wrap(err, "read the whole log");
}

enum status store_log_bytes(struct store_log *log, uint64_t *ret_bytes, struct error *err)
{
    struct fs_names names = {0};
    uint64_t bytes = 0;
    uint64_t number = 0;
    enum status st = fs_list(log->world.fs, LOG_DIR, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        char path[LOG_PATH_SIZE];
        struct fs_file *file = NULL;
        uint64_t size = 0;

        if (!log_segment_parse(names.names[i], &number))
            continue;
        log_segment_path(number, path);
        st = fs_open(log->world.fs, path, FS_READ, &file, err);
        if (st == STATUS_OK)
            st = fs_size(file, &size, err);
        fs_close(file);
        bytes += size;
    }
    fs_names_deinit(&names);
    if (st != STATUS_OK)
        return error_wrap(err, "measure the log");
    *ret_bytes = bytes;
    return STATUS_OK;
}

const struct random_id *store_log_writer(const struct store_log *log)
{
    return &log->writer;
}

uint64_t store_log_sequence(const struct store_log *log)
{
    return log->sequence;
}

const struct hash_digest *store_log_hash(const struct store_log *log)
{
    return &log->hash;
}
