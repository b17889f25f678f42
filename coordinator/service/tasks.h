/* coordinator/service/tasks.h: the backups that are running: one for a disk of a host. A task begins with a console's wish and
 * ends when its host says that it is done, or is lost; what its agent may do is looked up here. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_TASKS_H
#define COORDINATOR_SERVICE_TASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "coordinator/service/exchange.h"
#include "coordinator/service/point_read.h"
#include "coordinator/service/points.h"
#include "coordinator/store/store.h"
#include "format/disk_root.h"
#include "format/id.h"
#include "format/statement.h"

/* Counts of one backup, as in the protocol. */
struct task_counts {
    uint64_t disk_size, to_read, read, sent, new_blocks, stored, elapsed_us;
};

struct task;

/* Who waits for a task; its memory, good until over() or task_unwatch(). */
struct task_watcher {
    void (*progress)(struct task_watcher *watcher, const struct task_counts *counts);
    /* The task ends; ERR is NULL on success. Once. */
    void (*over)(struct task_watcher *watcher, const struct task *task, enum status status,
                 const struct error *err);
};

/* What is told to the agent, in this order. */
enum task_state { TASK_PREPARING, TASK_READY, TASK_SENT };

struct task_commit {
    bool done;
    struct point_info point;
    struct store_head head;
    uint64_t stored;
};

struct task {
    struct random_id id;
    struct random_id vm;
    char host[SIGN_NAME_SIZE];
    char disk[STATEMENT_NAME_SIZE];
    enum task_state state;
    bool cancel_wanted, cancel_sent;
    struct parent *parent; /* owned; NULL: none */

    struct exchange *upload; /* that runs; at most one */
    bool uploaded;           /* one has closed; the newest one's results: */
    bool on_parent;          /* it went on from the parent's root */
    struct disk_root root;
    struct ref root_ref;
    uint64_t generation; /* of the store (store_generation()) */
    uint64_t new_blocks;
    uint64_t stored; /* by all uploads of the task */

    bool committing; /* one is on its way */
    struct task_commit commit;
    struct task_counts counts;
    struct task_watcher *watcher; /* NULL: it went away */
    struct task *next;
};

struct tasks;

NODISCARD enum status tasks_new(struct tasks **ret_tasks, struct error *err);
void tasks_free(struct tasks *tasks); /* empty; NULL is fine */

/* A new one, TASK_PREPARING, with a random id. STATUS_PRECONDITION: a backup of that disk is running. STATUS_INVALID: DISK is no name. */
NODISCARD enum status tasks_start(struct tasks *tasks, struct random_source *random,
                                  const char *host, const char *disk, struct task_watcher *watcher,
                                  struct task **ret_task, struct error *err);

/* NULL: there is no such task. */
struct task *tasks_find(const struct tasks *tasks, const struct random_id *id);

/* The task whose id are the bytes ID, if it was given to HOST. STATUS_INVALID: no id. STATUS_DENIED: no such task of that host. */
NODISCARD enum status tasks_find_of(const struct tasks *tasks, struct slice id, const char *host,
                                    struct task **ret_task, struct error *err);

/* What HOST is to be told next; NULL: nothing. */
struct task *tasks_to_tell(const struct tasks *tasks, const char *host);

/* TASK ends, with STATUS and ERR (NULL on success) for its watcher; its upload, if one runs, is finished. TASK is gone
 * when this returns. */
void tasks_end(struct tasks *tasks, struct task *task, enum status status, const struct error *err);

/* All of HOST's end. */
void tasks_end_host(struct tasks *tasks, const char *host, enum status status,
                    const struct error *err);

#endif
