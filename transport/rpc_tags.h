/* transport/rpc_tags.h: what is given to gRPC to do, and comes back: on one of the threads of struct rpc, and
 * from there on the loop. Private to transport. Thread: the loop's, unless said otherwise. */
#ifndef TRANSPORT_RPC_TAGS_H
#define TRANSPORT_RPC_TAGS_H

#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>

#include "base/loop.h"
#include "transport/rpc.h"

/* Its owner's memory; gRPC's from the start until done(). */
struct rpc_tag {
    void (*work)(struct rpc_tag *tag); /* first, on a thread of gRPC's; NULL: nothing to do there */
    void (*done)(struct rpc_tag *tag); /* then, on the loop */
    bool success;                      /* as gRPC has it; good in both */
    struct rpc_tag *next;              /* the mailbox's */
};

struct loop *rpc_loop(const struct rpc *rpc);

/* Servers and channels: there are none when rpc_free() comes. */
void rpc_user_add(struct rpc *rpc);
void rpc_user_remove(struct rpc *rpc);

struct rpc_log *rpc_log_of_grpc(const struct rpc *rpc);

unsigned rpc_queue_count(const struct rpc *rpc);
grpc_completion_queue *rpc_queue(const struct rpc *rpc, unsigned number);

/* The queue for what begins now: each in turn. */
grpc_completion_queue *rpc_next_queue(struct rpc *rpc);

/* MEMORY of ours is about to be given to gRPC, for another thread to use: rpc_give(); it is back: on that thread
 * rpc_take_back(). For ThreadSanitizer, which does not see how gRPC (not instrumented) hands it over. Batches and
 * their tags are given and taken back without it. Any thread. */
void rpc_give(void *memory);
void rpc_take_back(void *memory);

/* Starts a batch on CALL, whose TAG comes back, whatever happens. */
void rpc_batch_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag);

#endif
