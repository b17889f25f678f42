#include "transport/rpc.h"

#include <stdlib.h>

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <uv.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "transport/rpc_log.h"
#include "transport/rpc_tags.h"

enum {
    THREADS_MAX = 4,
    END_MS = 10 * 1000, /* gRPC has to end in; it gives its own connections as long */
};

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address); /* NOLINT(bugprone-reserved-identifier): the sanitizer's */
void __tsan_release(void *address); /* NOLINT(bugprone-reserved-identifier): the sanitizer's */
#endif

struct rpc_thread {
    struct rpc *rpc;
    grpc_completion_queue *queue;
    uv_thread_t thread;
    bool started;
};

struct rpc {
    struct loop_task mailbox; /* first: a task of ours is a struct rpc */
    struct loop *loop;
    const struct log *log; /* the caller's */
    struct rpc_log *grpc_log;
    struct rpc_thread threads[THREADS_MAX];
    unsigned thread_count, next_thread; /* the loop's */
    size_t users;                       /* the loop's */
    bool grpc_started, mutex_made;

    /* Came back, in the order in which they did. While it is not empty the mailbox is posted, and it is so
     * under the mutex: who has seen a tag on the loop knows that its thread is through with posting. */
    uv_mutex_t mutex;
    struct rpc_tag *first, *last;
};

/* ---- Threads --------------------------------------------------------------------------------- */

static void hand_over(struct rpc *rpc, struct rpc_tag *tag)
{
    tag->next = NULL;
    uv_mutex_lock(&rpc->mutex);
    if (rpc->last != NULL)
        rpc->last->next = tag;
    else
        rpc->first = tag;
    rpc->last = tag;
    loop_post(rpc->loop, &rpc->mailbox);
    uv_mutex_unlock(&rpc->mutex);
}

static void run_thread(void *arg)
{
    struct rpc_thread *thread = arg;

    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(thread->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return;
        struct rpc_tag *tag = event.tag;

        rpc_take_back(tag);
        tag->success = event.success != 0;
        if (tag->work != NULL)
            tag->work(tag);
        hand_over(thread->rpc, tag);
    }
}

static void drain(struct loop_task *task)
{
    struct rpc *rpc = (struct rpc *)task; /* its first member */

    uv_mutex_lock(&rpc->mutex);
    struct rpc_tag *tag = rpc->first;

    rpc->first = rpc->last = NULL;
    uv_mutex_unlock(&rpc->mutex);
    while (tag != NULL) {
        struct rpc_tag *next = tag->next; /* after done() the tag may be gone */

        tag->done(tag);
        tag = next;
    }
}

/* ---- For the other files of transport ---------------------------------------------------------- */

struct loop *rpc_loop(const struct rpc *rpc)
{
    return rpc->loop;
}

void rpc_user_add(struct rpc *rpc)
{
    loop_assert(rpc->loop);
    rpc->users++;
}

void rpc_user_remove(struct rpc *rpc)
{
    rpc->users--;
}

struct rpc_log *rpc_log_of_grpc(const struct rpc *rpc)
{
    return rpc->grpc_log;
}

unsigned rpc_queue_count(const struct rpc *rpc)
{
    return rpc->thread_count;
}

grpc_completion_queue *rpc_queue(const struct rpc *rpc, unsigned number)
{
    INVARIANT(number < rpc->thread_count);
    return rpc->threads[number].queue;
}

grpc_completion_queue *rpc_next_queue(struct rpc *rpc)
{
    rpc->next_thread = (rpc->next_thread + 1) % rpc->thread_count;
    return rpc->threads[rpc->next_thread].queue;
}

void rpc_give(void *memory)
{
#ifdef __SANITIZE_THREAD__
    __tsan_release(memory);
#else
    (void)memory;
#endif
}

void rpc_take_back(void *memory)
{
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(memory);
#else
    (void)memory;
#endif
}

void rpc_batch_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    rpc_give(tag);
    /* It fails for wrong use only. */
    INVARIANT(grpc_call_start_batch(call, ops, count, tag, NULL) == GRPC_CALL_OK);
}

/* ---- Start and end --------------------------------------------------------------------------- */

/* TLS 1.3 only. gRPC 1.51 offers no lowest version; but it reads from here, once, which suites TLS 1.2 may
 * use, and this one takes a key shared beforehand, which there is none of. TLS 1.3 has its own suites. */
static enum status forbid_old_tls(struct error *err)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): rpc.h says that nobody reads the environment meanwhile */
    if (setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES256-GCM-SHA384", 1) != 0)
        return error_set(err, STATUS_EXHAUSTED, "no memory to restrict TLS to version 1.3");
    return STATUS_OK;
}

static enum status start_threads(struct rpc *rpc, unsigned threads, struct error *err)
{
    for (unsigned i = 0; i < threads; i++) {
        struct rpc_thread *thread = &rpc->threads[i];

        thread->rpc = rpc;
        thread->queue = grpc_completion_queue_create_for_next(NULL);
        rpc->thread_count++;
        int result = uv_thread_create(&thread->thread, run_thread, thread);

        if (result != 0) {
            (void)error_set_uv(err, result, "start thread %u of %u for gRPC", i + 1, threads);
            return err->status = STATUS_EXHAUSTED; /* whatever the number: EAGAIN, as a rule */
        }
        thread->started = true;
    }
    return STATUS_OK;
}

/* Each connection of gRPC's holds gRPC up, and is torn down by threads of gRPC's own after the server or channel
 * is gone for us. Where one is left grpc_shutdown_blocking() returns at once, and that connection's thread shuts
 * gRPC down later: in another rpc_new(), or while the process exits. So that is waited for. */
static void stop_grpc(const struct log *log)
{
    unsigned waited_ms = 0;

    grpc_shutdown_blocking();
    for (; grpc_is_initialized() != 0 && waited_ms < END_MS; waited_ms++)
        uv_sleep(1); /* allowed: gRPC tells nobody of its end, it can only be asked */
    if (waited_ms == END_MS)
        log_warning(log, "gRPC has not ended after %d s; some of its memory and threads are left",
                    END_MS / 1000);
}

/* Also half-built. */
static void dispose(struct rpc *rpc)
{
    for (unsigned i = 0; i < rpc->thread_count; i++)
        grpc_completion_queue_shutdown(rpc->threads[i].queue);
    for (unsigned i = 0; i < rpc->thread_count; i++) {
        struct rpc_thread *thread = &rpc->threads[i];

        if (thread->started)
            INVARIANT(uv_thread_join(&thread->thread) == 0);
        else
            (void)grpc_completion_queue_next(thread->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                             NULL); /* SHUTDOWN: it was never used */
        grpc_completion_queue_destroy(thread->queue);
    }
    if (rpc->grpc_started)
        stop_grpc(rpc->log);
    rpc_log_free(rpc->grpc_log);
    INVARIANT(rpc->first == NULL);
    if (rpc->mutex_made)
        uv_mutex_destroy(&rpc->mutex);
    memory_free(rpc);
}

enum status rpc_new(struct loop *loop, unsigned threads, const struct log *log,
                    struct rpc **ret_rpc, struct error *err)
{
    loop_assert(loop);
    INVARIANT(threads >= 1 && threads <= THREADS_MAX);

    struct rpc *rpc = memory_new(1, sizeof(*rpc));
    enum status st = STATUS_OK;

    if (rpc == NULL)
        return error_set_no_memory(err, sizeof(*rpc), "remote calls");
    rpc->loop = loop;
    rpc->log = log;
    rpc->mailbox.run = drain;
    rpc->mutex_made = uv_mutex_init(&rpc->mutex) == 0;
    if (!rpc->mutex_made) {
        st = error_set(err, STATUS_EXHAUSTED, "no memory for a mutex");
        goto out;
    }
    st = forbid_old_tls(err);
    if (st == STATUS_OK)
        st = rpc_log_new(log, loop_clock(loop), &rpc->grpc_log, err);
    if (st != STATUS_OK)
        goto out;
    grpc_init();
    rpc->grpc_started = true;
    st = start_threads(rpc, threads, err);
    if (st != STATUS_OK)
        goto out;
    *ret_rpc = rpc;
    rpc = NULL;
out:
    if (rpc != NULL)
        dispose(rpc);
    return st;
}

void rpc_free(struct rpc *rpc)
{
    if (rpc == NULL)
        return;
    loop_assert(rpc->loop);
    INVARIANT(rpc->users == 0);
    dispose(rpc);
}
