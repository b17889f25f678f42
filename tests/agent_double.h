/* tests/agent_double.h: a coordinator for tests of the agent, in the same process and on the same loop, behind a
 * real line over TLS: serves Agent.Session, Data.Upload, Data.Commit and Data.Track from memory, checks what the
 * protocol asks of an agent (assertions), and misbehaves where it is told to. Thread: the loop's. */
#ifndef TESTS_AGENT_DOUBLE_H
#define TESTS_AGENT_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "transport/credentials.h"
#include "transport/rpc.h"
#include "agent/backup.h"
#include "agent/window.h"
#include "format/disk_root.h"
#include "format/id.h"
#include "tests/support/clock_manual.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

enum { DOUBLE_WINDOW = 4 * 1024 * 1024, DOUBLE_COMMANDS_MAX = 8 };

/* Where something is done instead of what should be done there. */
enum double_step {
    STEP_NONE,
    STEP_OPENED,
    STEP_WANT,   /* the Nth (from 1) want */
    STEP_BLOCKS, /* the Nth message of blocks */
    STEP_END,
    STEP_COMMIT, /* the Nth commit */
    STEP_TRACK,
};

enum double_action {
    ACT_FAIL,         /* ends the call with STATUS */
    ACT_CALL,         /* calls AT_STEP, and goes on */
    ACT_WRONG_NODE,   /* a bit of the parent's nodes is wrong; with none: goes on */
    ACT_MISSING_NODE, /* one is left out */
    ACT_WRONG_ROOT,   /* a bit of the root that is sent is wrong (STEP_OPENED, STEP_END) */
    ACT_WRONG_BITMAP, /* wants what is not there */
    ACT_WRONG_POINT,  /* STEP_COMMIT */
    ACT_SILENT,       /* nothing is answered; agent_double_go_on() does */
};

struct double_thing {
    struct id id;
    uint8_t *data;
    size_t size;
};

/* Content by id, for ever. */
struct double_store {
    struct double_thing *things;
    size_t count;
    size_t capacity;
};

struct double_upload;

struct agent_double {
    char folder[TEMP_FOLDER_SIZE];
    struct test_ca *ca;
    struct credentials server_credentials;
    struct credentials credentials; /* the agent's */
    struct loop *loop;
    struct clock_manual *clock; /* the loop's; its wall clock begins at the real time */
    struct loop_timer tick, pulse;
    struct log_sink *sink;
    struct log log;
    struct pool *workers;
    struct pool *blocking;
    struct rpc *rpc;
    struct rpc_server *server;
    struct rpc_channel *channel; /* the agent's, for data */
    char address[RPC_ADDRESS_SIZE];
    struct sign_key *key;
    struct buffer certificate;
    struct window window;
    struct random_seeded random;
    struct backup_tools tools;

    uint8_t key_bytes[32];
    struct hash_key *id_key;
    struct random_id repository;
    struct random_id vm;
    struct double_store blocks;
    struct double_store nodes;
    struct double_store roots; /* plain forms */

    /* What shall go wrong. */
    enum double_step step;
    unsigned step_n; /* 0: each time */
    enum double_action action;
    enum status status;
    void (*at_step)(void *context);
    void *context;
    unsigned hits;        /* of STEP, so far */
    bool want_all;        /* also what is known */
    unsigned also_refuse; /* so many uploads without a parent are refused with STATUS */

    /* What was seen. */
    unsigned uploads, wants, blocks_messages, commits, tracks;
    uint64_t entries, blocks_sent, bytes_sent, hole_entries;
    uint64_t undecided_peak;
    struct double_upload *live; /* list */
    struct disk_root root;      /* of the last upload that closed */
    struct id root_id;
    struct id point;                                 /* of the last commit */
    struct buffer signed_statement, signed_tracking; /* the last ones; empty: there were none */

    /* Agent.Session. */
    struct rpc_call *session;
    struct rpc_read session_read;
    struct rpc_write session_write;
    bool session_writing, hello_came;
    unsigned sessions, progress_count, done_count;
    uint32_t major;
    uint32_t told_major;       /* by the newest hello */
    struct error done_failure; /* of the last TaskDone; STATUS_OK: none */
    struct id done_point;
    char done_reason[64];
    Tidemark__V1__Counts done_counts;
    void (*on_hello)(void *context);
};

/* Never fails: what cannot be made is a failed assertion. */
struct agent_double *agent_double_new(uint64_t seed);
void agent_double_free(struct agent_double *fake);

/* The statement and tracking record that were signed last, as the next backup's parent; NULL: there is none. The
 * caller's (rpc_message_free()). */
Tidemark__V1__Parent *agent_double_parent(const struct agent_double *fake);

/* The disk of the root of ID into CONTENT, of SIZE bytes. */
void agent_double_read_disk(struct agent_double *fake, const struct id *root_id, uint8_t *content,
                            size_t size);

/* Answers what ACT_SILENT has held back. */
void agent_double_go_on(struct agent_double *fake);

/* Makes it do ACTION at the Nth STEP from now on. */
void agent_double_script(struct agent_double *fake, enum double_step step, unsigned n,
                         enum double_action action);

/* While it does, the loop's clock runs as fast as it can: every timer is due soon. */
void agent_double_let_time_pass(struct agent_double *fake, bool passes);

/* Lets the loop run what there is to run now, and returns. */
void agent_double_run_once(struct agent_double *fake);

/* Sends a command down the session. */
void agent_double_command_backup(struct agent_double *fake, const struct random_id *task,
                                 const char *disk);
void agent_double_command_cancel(struct agent_double *fake, const struct random_id *task);

#endif
