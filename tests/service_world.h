/* tests/service_world.h: a coordinator's service over a store in memory, with agents and consoles that say what a test wants,
 * all in one process over TLS on the loopback. Whatever fails that a test did not ask for fails the test. */
#ifndef TESTS_SERVICE_WORLD_H
#define TESTS_SERVICE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/fault.h"
#include "base/log.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "coordinator/service/service.h"
#include "coordinator/store/store.h"
#include "format/disk_root.h"
#include "format/sign.h"
#include "format/statement.h"
#include "tests/support/clock_manual.h"
#include "tests/support/temp_folder.h"

enum world_peer { PEER_AGENT, PEER_OTHER, PEER_CONSOLE, PEERS };

enum { WORLD_BLOCK_SIZE = 4096 };

struct service_world {
    char folder[TEMP_FOLDER_SIZE];
    struct faults *faults;
    struct fs *fs;
    struct index *index;
    struct clock_manual *clock;
    struct loop *loop;
    int log_fd;
    struct log_sink *sink;
    struct log log;
    struct credentials agents, consoles; /* the coordinator's */
    struct credentials peers[PEERS];     /* hv-01, hv-02, op */
    struct rpc *rpc;
    struct repository_key key;
    struct store *store;
    struct service *service;
    struct rpc_channel *channels[PEERS];
    struct rpc_channel *data[PEERS]; /* for what is bulk */
    struct client *clients;          /* that a failed test has left */
    size_t offer_entries;            /* of an offer, 1 to 256; 16 at first */
    struct loop_task closed;
    unsigned closing;
};

/* A store, a service, and channels to it. */
int service_world_set_up(void **state);
int service_world_tear_down(void **state);

/* Closes service and store, then opens both anew. */
void service_world_restart(struct service_world *world);

/* ---- One call -------------------------------------------------------------------------------- */

struct client {
    struct service_world *world;
    struct client *next; /* of the world's */
    struct rpc_call *call;
    struct rpc_read read;
    struct rpc_write write;
    bool reading, writing, ended;
    enum status read_status, write_status, end_status;
    ProtobufCMessage *message;
    struct error err; /* of the end */
};

struct client *client_open(struct service_world *world, enum world_peer peer,
                           const ProtobufCServiceDescriptor *service, const char *method);
/* False: the call was over before. */
bool client_send(struct client *client, const ProtobufCMessage *message);
/* The caller's; NULL: nothing comes any more. */
ProtobufCMessage *client_receive(struct client *client);
/* Waits for the call's end and frees it. It ends with STATUS, and TEXT is part of its sentence. */
void client_ends(struct client *client, enum status status, const char *text);
/* Gives the call up and frees it. */
void client_drop(struct client *client);
/* One message each way; NULL, if the call does not end well: then it ended with STATUS, and TEXT is part of it. */
ProtobufCMessage *client_ask(struct service_world *world, enum world_peer peer,
                             const ProtobufCServiceDescriptor *service, const char *method,
                             const ProtobufCMessage *request, enum status status, const char *text);

/* ---- An agent -------------------------------------------------------------------------------- */

/* Connects PEER, which has the disks "d1" and "d2". */
struct client *world_connect(struct service_world *world, enum world_peer peer);

struct world_task {
    struct service_world *world;
    struct client *session;
    struct client *backup; /* the console's */
    Tidemark__V1__ToAgent *command;
    const Tidemark__V1__BackupDisk *order; /* in it */
};

/* A console wishes a backup of DISK of hv-01, whose session is SESSION, and hv-01 hears of it. */
struct world_task world_begin(struct service_world *world, struct client *session,
                              const char *disk);
/* Says that it is done, or with FAILURE why not; the console hears the same. */
void world_end(struct world_task *task, struct slice point, const char *failure);

/* A disk of COUNT blocks, the last one 512 bytes long, all zeros. */
struct world_disk {
    struct disk_root geometry;
    uint64_t count;
    uint8_t *bytes;
};

struct world_disk world_disk_new(uint64_t count);
void world_disk_free(struct world_disk *disk);
/* Block BLOCK gets content that SEED stands for; 0: zeros. */
void world_disk_fill(struct world_disk *disk, uint64_t block, uint64_t seed);
struct slice world_disk_block(const struct world_disk *disk, uint64_t block);
struct id world_block_id(const struct service_world *world, const struct world_disk *disk,
                         uint64_t block);
/* The root of the whole disk, computed without any parent. */
struct id world_disk_root(const struct service_world *world, const struct world_disk *disk);

/* Opens an upload of TASK by PEER; on the parent's root unless that is NULL. The answer to it is not read. */
struct client *world_upload_open(struct world_task *task, enum world_peer peer,
                                 const struct world_disk *disk, const struct id *parent_root);
/* A message with the packed block. *data and BYTES (of WORLD_BLOCK_SIZE) belong to the caller. */
void world_pack_block(const struct world_disk *disk, uint64_t block, uint64_t seq, uint8_t *bytes,
                      Tidemark__V1__BlockData *data);

struct world_uploaded {
    uint64_t wanted;    /* blocks */
    uint64_t continued; /* wants that were not the last message of theirs */
    uint64_t new_blocks;
    uint64_t stored;
    struct id root;
};

/* Uploads DISK, of which CHANGED blocks differ from the parent (NULL, and PARENT_ROOT NULL: all that are no holes), as an
 * agent does: the parent's nodes are checked, the root is computed with them. */
struct world_uploaded world_upload(struct world_task *task, const struct world_disk *disk,
                                   const bool *changed, const struct id *parent_root);

/* A statement as hv-01 signs it; the caller changes what it wants before it signs. */
struct statement world_statement(const struct world_task *task, const struct world_disk *disk,
                                 struct statement_disk *stated, const struct id *root);
/* BODY as SIGNER signs it in CONTEXT, appended to TARGET as a manifest's body. */
void world_sign(struct service_world *world, const struct statement *statement,
                enum world_peer signer, const char *context, struct buffer *target);
/* Sends a commit of STATEMENT, signed by hv-01, and does not wait for its answer. */
struct client *world_commit_start(struct world_task *task, const struct statement *statement);
/* Commits STATEMENT, signed by SIGNER in CONTEXT; sent by SENDER. The answer, or NULL as in client_ask(). */
Tidemark__V1__CommitAnswer *world_commit(struct world_task *task, const struct statement *statement,
                                         enum world_peer signer, const char *context,
                                         enum world_peer sender, enum status status,
                                         const char *text);
/* The tracking record that is right for POINT, of which STATEMENT speaks; the caller changes what it wants. */
struct tracking world_tracking(const struct statement *statement, const struct id *point,
                               struct tracking_disk *tracked);
/* Sends TRACKING, signed by SIGNER in CONTEXT; it is taken, or refused with STATUS and TEXT. */
void world_track(struct world_task *task, const struct tracking *tracking, enum world_peer signer,
                 const char *context, enum world_peer sender, enum status status, const char *text);
/* The whole of it: upload, commit, track, done. The point's id. */
struct id world_back_up(struct service_world *world, struct client *session,
                        const struct world_disk *disk, const bool *changed);

/* ---- A console ------------------------------------------------------------------------------- */

size_t world_count_points(struct service_world *world);

struct world_verified {
    uint64_t points, findings, records;
    uint64_t offset, length; /* of the last finding */
    char text[ERROR_TEXT_SIZE];
};

/* Verifies POINT's first hexadecimal digits; "": all. */
struct world_verified world_verify(struct service_world *world, const char *point);

/* Exports POINT's first hexadecimal digits; the disk's COUNT blocks (double_free), or NULL: it ended with STATUS and
 * TEXT. */
uint8_t *world_export(struct service_world *world, const char *digits, uint64_t count,
                      enum status status, const char *text);
/* POINT can be exported, and is DISK. */
void world_export_equals(struct service_world *world, const struct id *point,
                         const struct world_disk *disk);

#endif
