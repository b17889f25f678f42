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

struct store_log {
    struct store_log_world world;
    struct sign_key *signer;
    struct random_id writer;
    uint64_t sequence; /* of the newest entry that counts */
    struct hash_digest hash;
    uint64_t segment;     /* the newest number that is taken */
    struct fs_file *file; /* the segment that gets the next entry; NULL: a new one does */
    uint64_t length;
    struct buffer newest; /* the newest entry, while it is still to be repeated; else empty */
};

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
    log->sequence = header.sequence;
    log->hash = hash;
    *ret_header = header;
    return STATUS_OK;
}

enum status store_log_create(const struct store_log_world *world, const struct random_id *writer,
                             uint32_t space, int64_t time_us, struct error *err)
{
    struct store_log log = {.world = *world, .writer = *writer};
    struct log_space body_of_space = {.space = space};
    struct log_entry_header ignored;
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);

    enum status st = keys_log_signer(world->keys, writer, &log.signer, err);

    if (st != STATUS_OK)
        goto out;
    sign_key_public(log.signer, body_of_space.public_key);
    log_space_encode(&body_of_space, &body);
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

    enum status st = log_read(world, each, arg, &found, err);

    if (st == STATUS_OK)
        st = keys_log_signer(world->keys, &found.writer, &log->signer, err);
    if (st != STATUS_OK)
        goto out;
    log->writer = found.writer;
    log->sequence = found.sequence;
    log->hash = found.hash;
    log->segment = found.segment;
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
