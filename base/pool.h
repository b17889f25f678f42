/* base/pool.h: worker threads for what computes or blocks, so that the loop never does.
 *
 * Work is submitted on *lanes* (a stream, a disk, a store). A lane's work may run on several workers
 * at once, but its done() calls come on the loop in the order of submission. A lane has room for so
 * much work and no more; whoever feeds it stops when it is full, and goes on when it is told that there
 * is room again.
 *
 * Lanes are served in turn by cost (bytes, as a rule): none starves another, as far as run() returns.
 * A run() that blocks keeps its worker. So work that blocks (disk, COM) and work that computes belong
 * to different pools; and where work blocks, a lane's limit of what runs at once is less than there are
 * workers, so that a lane which hangs leaves some to the others. A lane at that limit is passed over
 * until one of its works has ended, and then comes behind the others: it may get less than its share.
 *
 * Thread: the loop's for every call, run() apart. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/loop.h"

struct pool;
struct lane;

enum work_state { WORK_IDLE, WORK_QUEUED, WORK_RUNNING, WORK_FINISHED };

/* The first member of a job that holds all input and all output; the caller's memory, which stays in
 * place until done() begins and is the caller's again from there. Zeroed but for the first three. */
struct work {
    void (*run)(struct work *work); /* on a worker: touches nothing but the job */
    /* On the loop, once: STATUS_OK, run() was called and has returned; STATUS_CANCELLED, it never was. */
    void (*done)(struct work *work, enum status status);
    uint64_t cost; /* bytes it holds or handles, at least 1 */

    struct lane *lane;       /* the pool's, as is what follows; NULL: the caller's */
    struct work *next;       /* in its lane, in the order of submission */
    struct work *ready_next; /* among those of its lane that wait for a worker */
    struct work *ready_back;
    struct work *finished_next; /* among those that workers hand back */
    enum work_state state;
    bool cancelled;
    bool handed_back; /* the loop knows that it is finished */
};

struct lane_limits {
    unsigned work;    /* submitted and not done, at most; at least 1 */
    uint64_t cost;    /* their sum, at most; one work of more is taken when the lane is empty */
    unsigned running; /* on workers at once, at most; at least 1 */
};

/* THREADS workers (1 to 64) that hand back to LOOP. STATUS_EXHAUSTED: no memory or threads. */
NODISCARD enum status pool_new(struct loop *loop, unsigned threads, struct pool **ret_pool,
                               struct error *err);

/* All lanes are closed. Waits for the threads to end. NULL is fine. */
void pool_free(struct pool *pool);

/* ON_ROOM (NULL: none) is posted to the loop, once for any number of refusals, when the lane has room
 * again for the cheapest work that it refused. */
NODISCARD enum status lane_new(struct pool *pool, struct lane_limits limits,
                               struct loop_task *on_room, struct lane **ret_lane,
                               struct error *err);

/* False: no room now, WORK is untouched; ON_ROOM will tell. Not to be called after lane_close(). Its
 * own place is free when its done() begins. */
NODISCARD bool lane_submit(struct lane *lane, struct work *work);

/* Asks that WORK never runs; done() still comes, in its turn, without waiting for a worker. Late or
 * twice: no effect. */
void work_cancel(struct work *work);

/* work_cancel() for all of the lane. */
void lane_cancel(struct lane *lane);

/* lane_cancel(), and takes no more work. ON_CLOSED is posted once, after the last done(): from there
 * the lane does not exist. ON_ROOM is not posted any more; if it was already, it runs first. */
void lane_close(struct lane *lane, struct loop_task *on_closed);

#endif
