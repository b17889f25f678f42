/* agent/backup.h: one task: the backup of one plain disk, from the frozen copy to the tracking record.
 *
 *     prepare   on a worker: the parent is checked, copies that no one needs are removed, the disk is frozen
 *     open      the frozen copy
 *     upload    agent/upload.h; once again without the parent, if it was the parent's fault
 *     commit    the statement is signed; from the answer on the restore point exists
 *     track     the tracking record is signed: the next backup begins from the new copy
 *     close, clean up   the copies that no one needs any more are removed
 *
 * What fails before the commit, or is cancelled, removes the new copy: nothing has happened. What fails after it does
 * not undo the restore point; both copies stay, and the next backup removes the one that its parent does not need.
 * Thread: the loop's. */
#ifndef AGENT_BACKUP_H
#define AGENT_BACKUP_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/slice.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "transport/rpc.h"
#include "agent/window.h"
#include "format/id.h"
#include "format/sign.h"

enum {
    BACKUP_ATTEMPTS =
        4, /* of a commit and of a track, while the coordinator cannot be reached... */
    BACKUP_PAUSE_MS = 1000, /* ...with this pause after the first, twice as long after each other */
    BACKUP_UPLOAD_PAUSE_MS = 100,      /* before the second upload is tried again, likewise */
    BACKUP_ANSWER_TIMEOUT_MS = 300000, /* of one attempt: the coordinator syncs what was uploaded */
};

/* A plain disk that may be backed up. */
struct plain_disk {
    const char *name;
    struct fs *fs;    /* of its folder */
    const char *file; /* in it */
};

/* What all tasks of an agent share; borrowed. */
struct backup_tools {
    struct loop *loop;
    struct pool *workers; /* for what computes */
    struct pool *blocking;
    struct window *window;
    struct random_source *random; /* good on any thread */
    const struct log *log;
    const char *ca_pem;
    const char *host; /* the name in our certificate */
    const struct sign_key *key;
    struct slice certificate; /* DER */
};

struct backup_options {
    const struct backup_tools *tools;
    const struct plain_disk *disk;
    struct rpc_channel *channel; /* for bulk data */
    const struct hash_key *id_key;
    struct random_id repository;
    struct random_id task;
    struct random_id vm;
    uint32_t block_size;
    const Tidemark__V1__Parent *parent; /* NULL: none */
    /* Once, on the loop. STATUS_OK: the restore point is committed. */
    void (*done)(void *owner, enum status status, const struct error *err);
    void *owner;
};

struct backup;

/* All that is borrowed stays in place until DONE. */
NODISCARD enum status backup_new(const struct backup_options *options, struct backup **ret_backup,
                                 struct error *err);
void backup_start(struct backup *backup);

/* Asks; DONE still comes. Twice or late: no effect. */
void backup_cancel(struct backup *backup);

/* Not started, or after DONE. NULL is fine. */
void backup_free(struct backup *backup);

const struct random_id *backup_task(const struct backup *backup);
const struct plain_disk *backup_disk(const struct backup *backup);
Tidemark__V1__Counts backup_counts(const struct backup *backup);

/* After success. */
const struct id *backup_point(const struct backup *backup);

/* Why the disk is read whole (agent/reason.h); "": it is not, as far as it is known. */
const char *backup_reason(const struct backup *backup);

#endif
