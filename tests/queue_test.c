#include "base/queue.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <uv.h>

#include "base/fault.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fail_each.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

/* Under ThreadSanitizer this program and pool_test together move ten million items. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(UNDER_TSAN)
enum { BETWEEN_THREADS = 4000000, INTO_LOOP = 3000000, OUT_OF_LOOP = 1000000 };
#else
enum { BETWEEN_THREADS = 200000, INTO_LOOP = 150000, OUT_OF_LOOP = 50000 };
#endif

struct item {
    struct queue_item link; /* first */
    unsigned producer;
    unsigned number; /* in its producer's order */
    unsigned fates;  /* popped, cancelled or kept: once */
};

static struct item *item_of(struct queue_item *link)
{
    return (struct item *)link; /* its first member */
}

static struct queue *new_queue(size_t items, uint64_t cost)
{
    struct queue *queue = NULL;
    struct error err = {0};

    ASSERT_OK(queue_new((struct queue_limits){.items = items, .cost = cost}, &queue, &err), &err);
    return queue;
}

static void assert_pops(struct queue *queue, const struct item *expected)
{
    struct queue_item *link = NULL;

    assert_int_equal(queue_try_pop(queue, &link), QUEUE_DONE);
    assert_ptr_equal(link, &expected->link);
}

static void assert_pop_says(struct queue *queue, enum queue_result expected)
{
    struct queue_item untouched = {0};
    struct queue_item *link = &untouched;

    assert_int_equal(queue_try_pop(queue, &link), expected);
    assert_ptr_equal(link, &untouched);
}

/* --- one thread --- */

static void what_goes_in_first_comes_out_first(void **state)
{
    struct queue *queue = new_queue(3, 100);
    struct item a = {.link.cost = 1};
    struct item b = {.link.cost = 1};
    struct item c = {.link.cost = 1};

    (void)state;
    assert_pop_says(queue, QUEUE_EMPTY);
    assert_int_equal(queue_try_push(queue, &b.link), QUEUE_DONE);
    assert_int_equal(queue_push(queue, &a.link), QUEUE_DONE);
    assert_pops(queue, &b);
    assert_int_equal(queue_try_push(queue, &c.link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &b.link), QUEUE_DONE);
    assert_pops(queue, &a);
    assert_pops(queue, &c);
    assert_pops(queue, &b);
    assert_pop_says(queue, QUEUE_EMPTY);
    queue_free(queue);
    queue_free(NULL);
}

static void it_is_full_at_its_limit_of_items(void **state)
{
    struct queue *queue = new_queue(2, 100);
    struct item items[3] = {{.link.cost = 1}, {.link.cost = 1}, {.link.cost = 1}};

    (void)state;
    assert_int_equal(queue_try_push(queue, &items[0].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &items[1].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &items[2].link), QUEUE_FULL);
    assert_pops(queue, &items[0]);
    assert_int_equal(queue_try_push(queue, &items[2].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &items[0].link), QUEUE_FULL);
    assert_pops(queue, &items[1]);
    assert_pops(queue, &items[2]);
    queue_free(queue);
}

static void it_is_full_at_its_limit_of_cost(void **state)
{
    struct queue *queue = new_queue(10, 100);
    struct item small = {.link.cost = 60};
    struct item fits = {.link.cost = 40};
    struct item too_large = {.link.cost = 41};
    struct item huge = {.link.cost = UINT64_MAX};

    (void)state;
    assert_int_equal(queue_try_push(queue, &small.link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &too_large.link), QUEUE_FULL);
    assert_int_equal(queue_try_push(queue, &huge.link), QUEUE_FULL);
    assert_int_equal(queue_try_push(queue, &fits.link), QUEUE_DONE);
    assert_pops(queue, &small);
    assert_int_equal(queue_try_push(queue, &too_large.link), QUEUE_DONE);
    assert_pops(queue, &fits);
    assert_pops(queue, &too_large);
    queue_free(queue);
}

static void an_item_over_the_limit_is_taken_when_it_is_empty(void **state)
{
    struct queue *queue = new_queue(10, 100);
    struct item huge = {.link.cost = UINT64_MAX};
    struct item small = {.link.cost = 1};

    (void)state;
    assert_int_equal(queue_try_push(queue, &small.link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &huge.link), QUEUE_FULL);
    assert_pops(queue, &small);
    assert_int_equal(queue_try_push(queue, &huge.link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &small.link), QUEUE_FULL);
    assert_pops(queue, &huge);
    assert_int_equal(queue_try_push(queue, &small.link), QUEUE_DONE);
    assert_pops(queue, &small);
    queue_free(queue);
}

static void a_closed_queue_gives_what_is_left_and_takes_nothing(void **state)
{
    struct queue *queue = new_queue(2, 100);
    struct item a = {.link.cost = 1};
    struct item b = {.link.cost = 1};
    struct queue_item *link = NULL;

    (void)state;
    assert_int_equal(queue_try_push(queue, &a.link), QUEUE_DONE);
    queue_close(queue);
    queue_close(queue);
    assert_int_equal(queue_try_push(queue, &b.link), QUEUE_CLOSED);
    assert_int_equal(queue_push(queue, &b.link), QUEUE_CLOSED);
    assert_int_equal(queue_pop(queue, &link), QUEUE_DONE);
    assert_ptr_equal(link, &a.link);
    assert_pop_says(queue, QUEUE_CLOSED);
    assert_int_equal(queue_pop(queue, &link), QUEUE_CLOSED);
    assert_int_equal(queue_try_push(queue, &b.link), QUEUE_CLOSED);
    queue_free(queue);
}

static void cancel_takes_out_all_in_order(void **state)
{
    struct queue *queue = new_queue(3, 100);
    struct item items[3] = {{.link.cost = 1}, {.link.cost = 1}, {.link.cost = 1}};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(queue_try_push(queue, &items[i].link), QUEUE_DONE);

    struct queue_item *link = queue_cancel(queue);

    for (unsigned i = 0; i < 3; i++, link = link->next)
        assert_ptr_equal(link, &items[i].link);
    assert_null(link);
    assert_pop_says(queue, QUEUE_CLOSED);
    assert_int_equal(queue_try_push(queue, &items[0].link), QUEUE_CLOSED);
    assert_null(queue_cancel(queue));
    queue_free(queue);
}

/* --- notices to a loop --- */

struct notices {
    struct loop_task on_items; /* first */
    struct loop_task on_room;
    unsigned items, room;
    struct clock_manual *clock;
    struct loop *loop;
};

static void count_items(struct loop_task *task)
{
    ((struct notices *)task)->items++; /* its first member */
}

static void count_room(struct loop_task *task)
{
    ((struct notices *)((char *)task - offsetof(struct notices, on_room)))->room++;
}

static struct loop *new_loop(struct clock_manual **ret_clock)
{
    struct loop *loop = NULL;
    struct error err = {0};

    *ret_clock = clock_manual_new();
    ASSERT_OK(loop_new(clock_manual_source(*ret_clock), &loop, &err), &err);
    return loop;
}

static void free_loop(struct loop *loop, struct clock_manual *clock)
{
    loop_free(loop);
    clock_manual_free(clock);
}

static void run_loop(struct loop *loop)
{
    struct error err = {0};

    ASSERT_OK(loop_run(loop, &err), &err);
}

static void notices_init(struct notices *notices, struct queue *queue)
{
    *notices = (struct notices){.on_items.run = count_items, .on_room.run = count_room};
    notices->loop = new_loop(&notices->clock);
    queue_on_items(queue, notices->loop, &notices->on_items);
    queue_on_room(queue, notices->loop, &notices->on_room);
}

static void assert_notices(struct notices *notices, unsigned items, unsigned room)
{
    loop_stop(notices->loop);
    run_loop(notices->loop);
    assert_int_equal(notices->items, items);
    assert_int_equal(notices->room, room);
}

static void the_loop_hears_of_each_first_item_and_of_the_end(void **state)
{
    struct queue *queue = new_queue(3, 100);
    struct item a = {.link.cost = 1};
    struct item b = {.link.cost = 1};
    struct notices notices;

    (void)state;
    notices_init(&notices, queue);
    assert_notices(&notices, 0, 0);
    assert_int_equal(queue_try_push(queue, &a.link), QUEUE_DONE);
    assert_notices(&notices, 1, 0);
    assert_int_equal(queue_try_push(queue, &b.link), QUEUE_DONE);
    assert_notices(&notices, 1, 0); /* it was not empty */
    assert_pops(queue, &a);
    assert_pops(queue, &b);
    assert_pop_says(queue, QUEUE_EMPTY);
    assert_notices(&notices, 1, 0);
    assert_int_equal(queue_push(queue, &b.link), QUEUE_DONE);
    assert_notices(&notices, 2, 0);
    queue_close(queue);
    assert_notices(&notices, 3, 1); /* the close: to both sides, once */
    queue_close(queue);
    assert_non_null(queue_cancel(queue));
    assert_notices(&notices, 3, 1);
    queue_free(queue);
    free_loop(notices.loop, notices.clock);
}

static void the_loop_hears_of_room_only_after_a_refusal(void **state)
{
    struct queue *queue = new_queue(2, 100);
    struct item items[3] = {{.link.cost = 1}, {.link.cost = 1}, {.link.cost = 1}};
    struct notices notices;

    (void)state;
    notices_init(&notices, queue);
    assert_int_equal(queue_try_push(queue, &items[0].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &items[1].link), QUEUE_DONE);
    assert_pops(queue, &items[0]);
    assert_notices(&notices, 1, 0); /* full, but nothing was refused */
    assert_int_equal(queue_try_push(queue, &items[0].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &items[2].link), QUEUE_FULL);
    assert_int_equal(queue_try_push(queue, &items[2].link), QUEUE_FULL);
    assert_notices(&notices, 1, 0); /* refused, but there is no room */
    assert_pops(queue, &items[1]);
    assert_notices(&notices, 1, 1); /* once for both refusals */
    assert_pops(queue, &items[0]);
    assert_notices(&notices, 1, 1);
    assert_null(queue_cancel(queue));
    assert_notices(&notices, 2, 2);
    queue_free(queue);
    free_loop(notices.loop, notices.clock);
}

static void the_loop_hears_of_room_when_the_cheapest_refused_item_fits(void **state)
{
    struct queue *queue = new_queue(10, 100);
    struct item items[3] = {{.link.cost = 30}, {.link.cost = 30}, {.link.cost = 40}};
    struct item large = {.link.cost = 90};
    struct item medium = {.link.cost = 50};
    struct notices notices;

    (void)state;
    notices_init(&notices, queue);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(queue_try_push(queue, &items[i].link), QUEUE_DONE);
    assert_int_equal(queue_try_push(queue, &medium.link), QUEUE_FULL);
    assert_int_equal(queue_try_push(queue, &large.link), QUEUE_FULL);
    assert_pops(queue, &items[0]);
    assert_notices(&notices, 1, 0); /* room for 30: for neither */
    assert_pops(queue, &items[1]);
    assert_notices(&notices, 1, 1); /* for the medium one */
    assert_int_equal(queue_try_push(queue, &large.link), QUEUE_FULL);
    assert_pops(queue, &items[2]);
    assert_notices(&notices, 1, 2);
    queue_close(queue);
    queue_free(queue);
    loop_stop(notices.loop);
    run_loop(notices.loop);
    free_loop(notices.loop, notices.clock);
}

/* --- waiting threads --- */

enum { PROBES = 1000000 };

struct waiter {
    struct queue *queue;
    struct item item;
    enum queue_result result;
};

static void push_one(void *arg)
{
    struct waiter *waiter = arg;

    waiter->result = queue_push(waiter->queue, &waiter->item.link);
}

static void pop_one(void *arg)
{
    struct waiter *waiter = arg;
    struct queue_item *link = NULL;

    waiter->result = queue_pop(waiter->queue, &link);
}

/* A queue with room for much, but not for the one item of WAITER, which waits in it on THREAD. Returns
 * the items that went in before it did, *RET_COUNT of them. */
static struct item *wait_behind_small_items(struct waiter *waiter, uv_thread_t *thread,
                                            unsigned *ret_count)
{
    const uint64_t cost_max = UINT64_C(1) << 40;
    struct item *probes = memory_new(PROBES, sizeof(*probes));
    unsigned count = 0;

    assert_non_null(probes);
    *waiter = (struct waiter){.queue = new_queue(PROBES, cost_max), .item.link.cost = cost_max};
    probes[0].link.cost = 1;
    assert_int_equal(queue_try_push(waiter->queue, &probes[0].link), QUEUE_DONE);
    assert_int_equal(uv_thread_create(thread, push_one, waiter), 0);
    do {                     /* they would all fit: one is refused when somebody waits */
        (void)sched_yield(); /* only ever says 0 */
        count++;
        assert_true(count < PROBES - 1);
        probes[count].link.cost = 1;
    } while (queue_try_push(waiter->queue, &probes[count].link) == QUEUE_DONE);
    *ret_count = count;
    return probes;
}

static void small_items_do_not_pass_a_large_one_that_waits(void **state)
{
    struct waiter waiter;
    uv_thread_t thread;
    unsigned count = 0;
    struct item *probes = wait_behind_small_items(&waiter, &thread, &count);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        assert_pops(waiter.queue, &probes[i]);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(waiter.result, QUEUE_DONE);
    assert_pops(waiter.queue, &waiter.item);
    assert_int_equal(queue_try_push(waiter.queue, &probes[0].link), QUEUE_DONE);
    assert_pops(waiter.queue, &probes[0]);
    queue_free(waiter.queue);
    memory_free(probes);
}

static void close_lets_a_waiting_producer_go_with_its_item(void **state)
{
    struct waiter waiter;
    uv_thread_t thread;
    unsigned count = 0;
    struct item *probes = wait_behind_small_items(&waiter, &thread, &count);

    (void)state;
    queue_close(waiter.queue);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(waiter.result, QUEUE_CLOSED);
    for (unsigned i = 0; i < count; i++)
        assert_pops(waiter.queue, &probes[i]);
    assert_pop_says(waiter.queue, QUEUE_CLOSED);
    queue_free(waiter.queue);
    memory_free(probes);
}

static void cancel_lets_a_waiting_producer_go_with_its_item(void **state)
{
    struct waiter waiter;
    uv_thread_t thread;
    unsigned count = 0;
    struct item *probes = wait_behind_small_items(&waiter, &thread, &count);
    struct queue_item *link = queue_cancel(waiter.queue);

    (void)state;
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(waiter.result, QUEUE_CLOSED);
    for (unsigned i = 0; i < count; i++, link = link->next)
        assert_ptr_equal(link, &probes[i].link);
    assert_null(link);
    queue_free(waiter.queue);
    memory_free(probes);
}

/* Several threads in CALL on one queue, which then ends: all come back without an item moved. */
static void all_are_let_go(void (*call)(void *arg), struct queue *queue, bool cancel)
{
    enum { WAITERS = 3 };
    struct waiter waiters[WAITERS];
    uv_thread_t threads[WAITERS];

    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){.queue = queue, .item.link.cost = 1, .result = QUEUE_DONE};
        assert_int_equal(uv_thread_create(&threads[i], call, &waiters[i]), 0);
    }
    (void)sched_yield(); /* so that some wait and some come too late */
    if (cancel)
        assert_null(queue_cancel(queue));
    else
        queue_close(queue);
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
        assert_int_equal(waiters[i].result, QUEUE_CLOSED);
    }
}

/* None of them pops twice: an item that wakes nobody stays in, and a consumer waits for ever. */
static void each_item_finds_a_consumer_of_its_own(void **state)
{
    enum { WAITERS = 3 };
    struct queue *queue = new_queue(WAITERS, WAITERS);

    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        struct item items[WAITERS] = {{.link.cost = 1}, {.link.cost = 1}, {.link.cost = 1}};
        struct waiter waiters[WAITERS];
        uv_thread_t threads[WAITERS];

        for (unsigned i = 0; i < WAITERS; i++) {
            waiters[i] = (struct waiter){.queue = queue, .result = QUEUE_CLOSED};
            assert_int_equal(uv_thread_create(&threads[i], pop_one, &waiters[i]), 0);
        }
        (void)sched_yield(); /* so that some wait and some come too late */
        for (unsigned i = 0; i < WAITERS; i++)
            assert_int_equal(queue_push(queue, &items[i].link), QUEUE_DONE);
        for (unsigned i = 0; i < WAITERS; i++) {
            assert_int_equal(uv_thread_join(&threads[i]), 0);
            assert_int_equal(waiters[i].result, QUEUE_DONE);
        }
        assert_pop_says(queue, QUEUE_EMPTY);
    }
    queue_free(queue);
}

static void all_consumers_that_wait_are_let_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        struct queue *queue = new_queue(1, 1);

        all_are_let_go(pop_one, queue, i % 2 == 0);
        queue_free(queue);
    }
}

static void all_producers_that_wait_are_let_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        struct queue *queue = new_queue(1, 1);
        struct item full = {.link.cost = 1};

        assert_int_equal(queue_push(queue, &full.link), QUEUE_DONE);
        all_are_let_go(push_one, queue, false);
        assert_pops(queue, &full);
        queue_free(queue);
    }
}

/* --- millions of items --- */

enum { PRODUCERS = 3, CONSUMERS = 2, ITEMS_EACH_MAX = 100000 };

enum ending { END_AFTER_ALL, CLOSE_MEANWHILE, CANCEL_MEANWHILE, ENDINGS };

/* One run of a queue: PRODUCERS threads push what they have; consumers pop until it is closed. One of
 * them may end it before the producers are through. */
struct traffic {
    struct queue *queue;
    struct item *items;      /* of all producers, one after the other */
    unsigned each;           /* how many a producer has */
    _Atomic unsigned active; /* producers; the last one closes the queue */
    enum ending ending;
    unsigned ends_after; /* items that the first consumer pops before it ends the queue */
};

struct producer {
    struct traffic *traffic;
    unsigned index;
    uint64_t kept;
};

struct consumer {
    struct traffic *traffic;
    bool first;
    uint64_t popped;
    uint64_t cancelled;
    unsigned next[PRODUCERS]; /* the least number that may come next from each */
    unsigned wrong;           /* came in another order */
};

static void produce(void *arg)
{
    struct producer *producer = arg;
    struct traffic *traffic = producer->traffic;
    struct item *items = traffic->items + (size_t)producer->index * traffic->each;
    unsigned i = 0;

    while (i < traffic->each && queue_push(traffic->queue, &items[i].link) == QUEUE_DONE)
        i++;
    for (; i < traffic->each; i++) { /* closed: they stayed ours */
        items[i].fates++;
        producer->kept++;
    }
    if (atomic_fetch_sub(&traffic->active, 1) == 1)
        queue_close(traffic->queue);
}

/* False: it has ended the queue. */
static bool consume_one(struct consumer *consumer, struct item *item)
{
    struct traffic *traffic = consumer->traffic;

    item->fates++;
    if (item->number < consumer->next[item->producer])
        consumer->wrong++;
    consumer->next[item->producer] = item->number + 1;
    consumer->popped++;
    if (!consumer->first || traffic->ending == END_AFTER_ALL ||
        consumer->popped != traffic->ends_after)
        return true;
    if (traffic->ending == CLOSE_MEANWHILE) {
        queue_close(traffic->queue);
        return true;
    }
    for (struct queue_item *link = queue_cancel(traffic->queue); link != NULL; link = link->next) {
        item_of(link)->fates++;
        consumer->cancelled++;
    }
    return false;
}

static void consume(void *arg)
{
    struct consumer *consumer = arg;
    struct queue_item *link = NULL;

    while (queue_pop(consumer->traffic->queue, &link) == QUEUE_DONE) {
        if (!consume_one(consumer, item_of(link)))
            INVARIANT(queue_pop(consumer->traffic->queue, &link) == QUEUE_CLOSED);
    }
}

/* Every other queue is so small that the threads wait at nearly every item; it gets few. */
static void traffic_init(struct traffic *traffic, struct random_seeded *random, unsigned round)
{
    bool small = round % 2 == 0;
    size_t items_max = 1 + random_seeded_below(random, small ? 4 : 1000);
    uint64_t cost_max = 1 + random_seeded_below(random, small ? 40 : 16000);

    traffic->queue = new_queue(items_max, cost_max);
    traffic->each = small ? ITEMS_EACH_MAX / 100 : ITEMS_EACH_MAX;
    atomic_store(&traffic->active, PRODUCERS);
    traffic->ending = (round / 2) % ENDINGS;
    traffic->ends_after = 1 + (unsigned)random_seeded_below(random, traffic->each);
    for (unsigned i = 0; i < PRODUCERS * traffic->each; i++) {
        traffic->items[i] = (struct item){
            .link.cost = 1 + random_seeded_below(random, 16), /* some are over a small limit */
            .producer = i / traffic->each,
            .number = i % traffic->each,
        };
    }
}

static void assert_each_item_once(const struct traffic *traffic)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < PRODUCERS * traffic->each; i++)
        wrong += traffic->items[i].fates != 1;
    assert_int_equal(wrong, 0);
}

static void start_producers(struct traffic *traffic, struct producer *producers,
                            uv_thread_t *threads)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.traffic = traffic, .index = i};
        assert_int_equal(uv_thread_create(&threads[i], produce, &producers[i]), 0);
    }
}

/* What they kept. */
static uint64_t join_producers(const struct producer *producers, uv_thread_t *threads)
{
    uint64_t kept = 0;

    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
        kept += producers[i].kept;
    }
    return kept;
}

static uint64_t run_between_threads(struct traffic *traffic)
{
    struct producer producers[PRODUCERS];
    struct consumer consumers[CONSUMERS];
    uv_thread_t producing[PRODUCERS];
    uv_thread_t consuming[CONSUMERS];
    uint64_t popped = 0;
    uint64_t cancelled = 0;

    start_producers(traffic, producers, producing);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct consumer){.traffic = traffic, .first = i == 0};
        assert_int_equal(uv_thread_create(&consuming[i], consume, &consumers[i]), 0);
    }

    uint64_t kept = join_producers(producers, producing);

    for (unsigned i = 0; i < CONSUMERS; i++) {
        assert_int_equal(uv_thread_join(&consuming[i]), 0);
        assert_int_equal(consumers[i].wrong, 0);
        popped += consumers[i].popped;
        cancelled += consumers[i].cancelled;
    }
    assert_int_equal(popped + cancelled + kept, PRODUCERS * traffic->each);
    if (traffic->ending == END_AFTER_ALL)
        assert_int_equal(popped, PRODUCERS * traffic->each);
    return popped;
}

static void millions_of_items_pass_between_threads_once_and_in_order(void **state)
{
    struct random_seeded random = random_seeded_of(test_seed("between threads"));
    struct traffic traffic = {
        .items = memory_new((size_t)PRODUCERS * ITEMS_EACH_MAX, sizeof(*traffic.items)),
    };
    uint64_t moved = 0;

    (void)state;
    assert_non_null(traffic.items);
    for (unsigned round = 0; moved < BETWEEN_THREADS || round < 2 * ENDINGS; round++) {
        traffic_init(&traffic, &random, round);
        moved += run_between_threads(&traffic);
        assert_each_item_once(&traffic);
        queue_free(traffic.queue);
    }
    memory_free(traffic.items);
}

struct loop_consumer {
    struct loop_task on_items; /* first */
    struct loop *loop;
    struct consumer consumer;
    unsigned after_end; /* notices after it was closed and empty */
    bool ended;
};

/* As base/queue.h wants it: until QUEUE_EMPTY, and then not before the next notice. */
static void pop_until_empty(struct loop_task *task)
{
    struct loop_consumer *consumer = (struct loop_consumer *)task; /* its first member */
    struct queue *queue = consumer->consumer.traffic->queue;
    struct queue_item *link = NULL;
    enum queue_result result = QUEUE_DONE;

    loop_assert(consumer->loop);
    if (consumer->ended)
        consumer->after_end++;
    while ((result = queue_try_pop(queue, &link)) == QUEUE_DONE)
        (void)consume_one(&consumer->consumer, item_of(link)); /* the end shows as QUEUE_CLOSED */
    if (result != QUEUE_CLOSED)
        return;
    consumer->ended = true;
    loop_stop(consumer->loop);
}

static uint64_t run_into_loop(struct loop *loop, struct traffic *traffic)
{
    struct producer producers[PRODUCERS];
    uv_thread_t producing[PRODUCERS];
    struct loop_consumer consumer = {
        .on_items.run = pop_until_empty,
        .loop = loop,
        .consumer = {.traffic = traffic, .first = true},
    };

    queue_on_items(traffic->queue, loop, &consumer.on_items);
    start_producers(traffic, producers, producing);
    run_loop(loop);
    assert_true(consumer.ended);

    uint64_t kept = join_producers(producers, producing);
    uint64_t popped = consumer.consumer.popped;

    assert_int_equal(consumer.consumer.wrong, 0);
    assert_true(consumer.after_end <= 1); /* the close, if it was seen before its notice came */
    assert_int_equal(popped + consumer.consumer.cancelled + kept, PRODUCERS * traffic->each);
    return popped;
}

/* Rounds of RUN, in all endings, until COUNT items have moved. */
static void move_with_loop(const char *seed_name, uint64_t count,
                           uint64_t (*run)(struct loop *loop, struct traffic *traffic))
{
    struct random_seeded random = random_seeded_of(test_seed(seed_name));
    struct clock_manual *clock = NULL;
    struct loop *loop = new_loop(&clock);
    struct traffic traffic = {
        .items = memory_new((size_t)PRODUCERS * ITEMS_EACH_MAX, sizeof(*traffic.items)),
    };
    uint64_t moved = 0;

    assert_non_null(traffic.items);
    for (unsigned round = 0; moved < count || round < 2 * ENDINGS; round++) {
        traffic_init(&traffic, &random, round);
        moved += run(loop, &traffic);
        assert_each_item_once(&traffic);
        queue_free(traffic.queue);
    }
    memory_free(traffic.items);
    free_loop(loop, clock);
}

static void millions_of_items_pass_into_the_loop_once_and_in_order(void **state)
{
    (void)state;
    move_with_loop("into the loop", INTO_LOOP, run_into_loop);
}

struct loop_producer {
    struct loop_task on_room; /* first */
    struct loop *loop;
    struct traffic *traffic;
    unsigned next;
    uint64_t kept;
};

/* Until QUEUE_FULL, and then not before the next notice. */
static void push_until_full(struct loop_task *task)
{
    struct loop_producer *producer = (struct loop_producer *)task; /* its first member */
    struct traffic *traffic = producer->traffic;
    enum queue_result result = QUEUE_DONE;

    loop_assert(producer->loop);
    while (producer->next < PRODUCERS * traffic->each) {
        result = queue_try_push(traffic->queue, &traffic->items[producer->next].link);
        if (result != QUEUE_DONE)
            break;
        producer->next++;
    }
    if (result == QUEUE_FULL)
        return;
    for (; producer->next < PRODUCERS * traffic->each; producer->next++) { /* closed */
        traffic->items[producer->next].fates++;
        producer->kept++;
    }
    queue_close(traffic->queue);
    loop_stop(producer->loop);
}

static uint64_t run_out_of_loop(struct loop *loop, struct traffic *traffic)
{
    struct consumer consumer = {.traffic = traffic, .first = true};
    struct loop_producer producer = {
        .on_room.run = push_until_full,
        .loop = loop,
        .traffic = traffic,
    };
    uv_thread_t consuming;

    queue_on_room(traffic->queue, loop, &producer.on_room);
    loop_post(loop, &producer.on_room);
    assert_int_equal(uv_thread_create(&consuming, consume, &consumer), 0);
    run_loop(loop);
    assert_int_equal(uv_thread_join(&consuming), 0);
    assert_int_equal(consumer.wrong, 0);
    assert_int_equal(consumer.popped + consumer.cancelled + producer.kept,
                     PRODUCERS * traffic->each);
    return consumer.popped;
}

static void a_million_items_pass_out_of_the_loop_once_and_in_order(void **state)
{
    (void)state;
    move_with_loop("out of the loop", OUT_OF_LOOP, run_out_of_loop);
}

/* --- failures --- */

/* Makes a queue while the Nth allocation fails. */
static void try_queue_new(void *arg, uint64_t n)
{
    struct faults *faults = arg;
    struct queue *queue = NULL;
    struct error err = {0};
    enum status st = queue_new((struct queue_limits){.items = 1, .cost = 1}, &queue, &err);
    bool fired = faults_fired(faults);

    faults_arm(faults, 0, 0);
    (void)n; /* is armed */
    ASSERT_STATUS(fired ? STATUS_EXHAUSTED : STATUS_OK, st, &err);
    assert_true(fired == (queue == NULL));
    queue_free(queue);
}

static void without_memory_a_queue_is_refused(void **state)
{
    struct faults *faults = faults_new();

    (void)state;
    assert_non_null(faults);
    faults_install(faults);

    uint64_t failed = fail_each(faults, FAULT_ALLOC, try_queue_new, faults);

    faults_install(NULL);
    faults_free(faults);
    assert_true(failed >= 1); /* the queue's own at least */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_first_comes_out_first),
        cmocka_unit_test(it_is_full_at_its_limit_of_items),
        cmocka_unit_test(it_is_full_at_its_limit_of_cost),
        cmocka_unit_test(an_item_over_the_limit_is_taken_when_it_is_empty),
        cmocka_unit_test(a_closed_queue_gives_what_is_left_and_takes_nothing),
        cmocka_unit_test(cancel_takes_out_all_in_order),
        cmocka_unit_test(the_loop_hears_of_each_first_item_and_of_the_end),
        cmocka_unit_test(the_loop_hears_of_room_only_after_a_refusal),
        cmocka_unit_test(the_loop_hears_of_room_when_the_cheapest_refused_item_fits),
        cmocka_unit_test(small_items_do_not_pass_a_large_one_that_waits),
        cmocka_unit_test(close_lets_a_waiting_producer_go_with_its_item),
        cmocka_unit_test(cancel_lets_a_waiting_producer_go_with_its_item),
        cmocka_unit_test(each_item_finds_a_consumer_of_its_own),
        cmocka_unit_test(all_consumers_that_wait_are_let_go),
        cmocka_unit_test(all_producers_that_wait_are_let_go),
        cmocka_unit_test(millions_of_items_pass_between_threads_once_and_in_order),
        cmocka_unit_test(millions_of_items_pass_into_the_loop_once_and_in_order),
        cmocka_unit_test(a_million_items_pass_out_of_the_loop_once_and_in_order),
        cmocka_unit_test(without_memory_a_queue_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
