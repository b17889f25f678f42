/* What the entries of a log add up to: random histories against a simple model, and what may not come. */
#include "coordinator/store/log_state.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "tests/log_history.h"
#include "tests/support/fail_each.h"
#include "tests/support/test.h"

enum { SPACE = 5, LONG = 400 };

/* A state, and the next entry of it. */
struct env {
    struct log_state *state;
    struct buffer body;
    uint64_t sequence;
};

static void add_entry(struct env *env, uint8_t type)
{
    const struct log_entry_header header = {
        .type = type,
        .sequence = ++env->sequence,
        .time_us = log_history_time(env->sequence),
    };
    struct error err = {0};

    ASSERT_OK(log_state_reserve(env->state, type, buffer_slice(&env->body), &err), &err);
    ASSERT_OK(log_state_add(env->state, &header, buffer_slice(&env->body), &err), &err);
    buffer_clear(&env->body);
}

/* The entry is refused, before it is written and after, and changes nothing. */
static void refuse_entry(struct env *env, uint8_t type, enum status expected, const char *says)
{
    const struct log_entry_header header = {.type = type, .sequence = env->sequence + 1};
    struct buffer before;
    struct buffer after;
    struct error err = {0};
    char entry[32];

    buffer_init(&before, HISTORY_ITEMS_MAX);
    buffer_init(&after, HISTORY_ITEMS_MAX);
    log_state_items(env->state, &before);
    ASSERT_STATUS(expected, log_state_reserve(env->state, type, buffer_slice(&env->body), &err),
                  &err);
    err = (struct error){0};
    ASSERT_STATUS(expected, log_state_add(env->state, &header, buffer_slice(&env->body), &err),
                  &err);
    assert_true(text_format(entry, sizeof(entry), "entry %u: ", (unsigned)header.sequence));
    if (strstr(err.text, entry) != err.text || strstr(err.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\" of %s", err.text, says, entry);
    log_state_items(env->state, &after);
    assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
    buffer_deinit(&before);
    buffer_deinit(&after);
    buffer_clear(&env->body);
}

static void put_space(struct env *env, uint32_t number)
{
    const struct log_space space = {.space = number};

    log_space_encode(&space, &env->body);
}

static void put_numbers(struct env *env, uint32_t space, uint64_t first, uint64_t count)
{
    const struct log_numbers numbers = {.first = number_of(space, first), .count = count};

    log_numbers_encode(&numbers, &env->body);
}

static void put_point(struct env *env, unsigned task, uint64_t synced)
{
    struct log_point point = {
        .task = history_id('t', task),
        .domain = history_id('d', 0),
        .envelope = {.id = {{1}}, .number = 9},
    };

    if (synced > 0) {
        point.packs.packs[0] = (struct log_point_pack){history_id('p', 0), synced};
        point.packs.count = 1;
    }
    log_point_encode(&point, &env->body);
}

static void put_named(struct env *env, unsigned task)
{
    const struct log_named named = {.task = history_id('t', task)};

    log_named_encode(&named, &env->body);
}

static void put_until(struct env *env, unsigned task, int64_t until_us)
{
    const struct log_until until = {.task = history_id('t', task), .until_us = until_us};

    log_until_encode(&until, &env->body);
}

static void put_hold(struct env *env, unsigned task, bool held)
{
    struct log_hold hold = {.task = history_id('t', task), .held = held};

    if (held)
        memcpy(hold.reason, "law", 4);
    log_hold_encode(&hold, &env->body);
}

static void put_task(struct env *env, unsigned vm, uint32_t epoch, enum log_task_state state)
{
    const struct log_task task = {
        .task = history_id('t', 0),
        .vm = history_id('v', vm),
        .epoch = epoch,
        .state = state,
    };

    log_task_encode(&task, &env->body);
}

static void put_session(struct env *env, uint64_t blocks, uint64_t synced)
{
    struct log_session session = {
        .task = history_id('t', 1),
        .disk = {1},
        .domain = history_id('d', 0),
        .blocks = blocks,
    };

    if (blocks > 0)
        session.root = (struct ref){.id = {{1}}, .number = 3};
    if (synced > 0) {
        session.packs.packs[0] = (struct log_point_pack){history_id('p', 0), synced};
        session.packs.count = 1;
    }
    log_session_encode(&session, &env->body);
}

static void put_condemn(struct env *env, unsigned pack, uint64_t sweep, bool last)
{
    const struct log_condemn condemn = {
        .sweep = sweep,
        .pack = history_id('p', pack),
        .last = last,
    };

    log_condemn_encode(&condemn, &env->body);
}

static void put_domain(struct env *env, unsigned index, enum log_domain_state state, char name)
{
    struct log_domain domain = {.domain = history_id('d', index), .state = state};

    domain.name[0] = name;
    log_domain_encode(&domain, &env->body);
}

static void put_accept(struct env *env, uint64_t sequence)
{
    const struct log_accept accept = {.sequence = sequence};

    log_accept_encode(&accept, &env->body);
}

/* With a space, and the point of task 0. */
static int set_up(void **state)
{
    static struct env env;
    struct error err = {0};

    env = (struct env){.sequence = 0};
    buffer_init(&env.body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_state_new(&env.state, &err), &err);
    put_space(&env, SPACE);
    add_entry(&env, LOG_SPACE);
    put_point(&env, 0, 100);
    add_entry(&env, LOG_POINT);
    *state = &env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    log_state_free(env->state);
    buffer_deinit(&env->body);
    return 0;
}

/* --- what contradicts -------------------------------------------------------------------------- */

static void nothing_comes_before_the_space(void **state)
{
    struct env env = {.sequence = 0};
    struct error err = {0};

    (void)state;
    buffer_init(&env.body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_state_new(&env.state, &err), &err);
    put_point(&env, 0, 0);
    refuse_entry(&env, LOG_POINT, STATUS_CORRUPT, "before its writer's space");
    assert_int_equal(log_state_space(env.state), 0);
    log_state_free(env.state);
    buffer_deinit(&env.body);
}

static void what_contradicts_the_state_of_a_point_is_refused(void **state)
{
    struct env *env = *state;

    put_point(env, 0, 0);
    refuse_entry(env, LOG_POINT, STATUS_CORRUPT, "has the point of entry 2");
    put_until(env, 1, 50);
    refuse_entry(env, LOG_TRASH, STATUS_CORRUPT, "has none");
    put_until(env, 1, 50);
    refuse_entry(env, LOG_LOCK, STATUS_CORRUPT, "has none");
    put_hold(env, 1, true);
    refuse_entry(env, LOG_HOLD, STATUS_CORRUPT, "has none");
    put_named(env, 0);
    refuse_entry(env, LOG_UNDELETE, STATUS_CORRUPT, "entry 2's is not there");
    put_named(env, 0);
    refuse_entry(env, LOG_PURGE, STATUS_CORRUPT, "entry 2's is not there");
    put_until(env, 0, 50);
    add_entry(env, LOG_TRASH);
    put_until(env, 0, 60);
    refuse_entry(env, LOG_TRASH, STATUS_CORRUPT, "there since entry 3");
    put_hold(env, 0, true);
    add_entry(env, LOG_HOLD);
    put_until(env, 0, 60);
    refuse_entry(env, LOG_TRASH, STATUS_CORRUPT, "held since entry 4");
    put_until(env, 0, 500);
    add_entry(env, LOG_LOCK);
    put_until(env, 0, 499);
    refuse_entry(env, LOG_LOCK, STATUS_CORRUPT, "shortens the lock of entry 5");
}

static void what_contradicts_numbers_is_refused(void **state)
{
    struct env *env = *state;
    struct log_space space = {.space = SPACE + 1, .public_key = {4}};

    put_numbers(env, SPACE + 1, 1, 10);
    refuse_entry(env, LOG_NUMBERS, STATUS_CORRUPT, "another space");
    put_numbers(env, SPACE, 1, 10);
    add_entry(env, LOG_NUMBERS);
    put_numbers(env, SPACE, 10, 10);
    refuse_entry(env, LOG_NUMBERS, STATUS_CORRUPT, "reserved before");
    log_space_encode(&space, &env->body);
    refuse_entry(env, LOG_SPACE, STATUS_CORRUPT, "another key");
    put_space(env, SPACE);
    refuse_entry(env, LOG_SPACE, STATUS_CORRUPT, "begun before");
}

static void what_contradicts_the_rest_is_refused(void **state)
{
    struct env *env = *state;

    put_task(env, 0, 3, LOG_TASK_FROZEN);
    add_entry(env, LOG_TASK);
    put_task(env, 0, 2, LOG_TASK_FROZEN);
    refuse_entry(env, LOG_TASK, STATUS_CORRUPT, "epoch 2");
    put_task(env, 1, 3, LOG_TASK_FROZEN);
    refuse_entry(env, LOG_TASK, STATUS_CORRUPT, "another VM");
    put_session(env, 0, 0);
    refuse_entry(env, LOG_SESSION, STATUS_CORRUPT, "not there");
    put_condemn(env, 0, 4, false);
    add_entry(env, LOG_CONDEMN);
    put_condemn(env, 0, 3, false);
    refuse_entry(env, LOG_CONDEMN, STATUS_CORRUPT, "sweep 4");
    put_condemn(env, 0, 4, true);
    add_entry(env, LOG_CONDEMN);
    put_condemn(env, 0, 5, true);
    refuse_entry(env, LOG_CONDEMN, STATUS_CORRUPT, "sweep 4 did");
    put_domain(env, 0, LOG_DOMAIN_USED, 'a');
    add_entry(env, LOG_DOMAIN);
    put_domain(env, 1, LOG_DOMAIN_USED, 'a');
    refuse_entry(env, LOG_DOMAIN, STATUS_CORRUPT, "the name of another");
    put_domain(env, 0, LOG_DOMAIN_RETIRED, 'a');
    add_entry(env, LOG_DOMAIN);
    put_domain(env, 0, LOG_DOMAIN_USED, 'b');
    refuse_entry(env, LOG_DOMAIN, STATUS_CORRUPT, "retired");
    put_accept(env, 2);
    refuse_entry(env, LOG_ACCEPT, STATUS_CORRUPT, "no roll-back");
}

static void an_unknown_type_is_for_a_newer_version(void **state)
{
    refuse_entry(*state, LOG_ACCEPT + 1, STATUS_UNSUPPORTED, "use a newer one");
}

static void an_entry_comes_behind_those_before(void **state)
{
    struct env *env = *state;
    struct log_entry_header header = {.type = LOG_POINT, .sequence = env->sequence};
    struct error err = {0};

    put_point(env, 1, 0);
    ASSERT_STATUS(STATUS_CORRUPT,
                  log_state_add(env->state, &header, buffer_slice(&env->body), &err), &err);
}

/* --- what adds up ------------------------------------------------------------------------------ */

static void a_purged_point_and_its_packs_stop_counting(void **state)
{
    struct env *env = *state;
    struct random_id pack = history_id('p', 0);
    struct random_id task = history_id('t', 0);

    put_point(env, 2, 70);
    add_entry(env, LOG_POINT);
    assert_int_equal(log_state_synced(env->state, &pack), 100);
    put_until(env, 0, 50);
    add_entry(env, LOG_TRASH);
    assert_int_equal(log_state_synced(env->state, &pack), 100);
    put_named(env, 0);
    add_entry(env, LOG_PURGE);
    assert_int_equal(log_state_synced(env->state, &pack), 70);
    assert_null(log_state_find_point(env->state, &task));
}

static void a_partial_tree_is_gone_with_its_tasks_point(void **state)
{
    struct env *env = *state;
    struct random_id pack = history_id('p', 0);
    size_t count = 0;

    put_session(env, 10, 300);
    add_entry(env, LOG_SESSION);
    put_session(env, 20, 200);
    add_entry(env, LOG_SESSION);
    assert_int_equal(log_state_partials(env->state, &count)->blocks, 20);
    assert_int_equal(count, 1);
    assert_int_equal(log_state_synced(env->state, &pack), 200);
    put_point(env, 1, 0);
    add_entry(env, LOG_POINT);
    (void)log_state_partials(env->state, &count);
    assert_int_equal(count, 0);
    assert_int_equal(log_state_synced(env->state, &pack), 100);
}

static void a_condemned_pack_is_forgotten_when_a_later_sweep_is_known(void **state)
{
    struct env *env = *state;
    struct random_id old = history_id('p', 0);
    struct random_id newest = history_id('p', 1);
    struct log_condemned condemned;

    put_condemn(env, 0, 1, false);
    add_entry(env, LOG_CONDEMN);
    put_condemn(env, 0, 1, true);
    add_entry(env, LOG_CONDEMN);
    log_state_forget_condemned(env->state, &old);
    assert_true(log_state_find_condemned(env->state, &old, &condemned));
    put_condemn(env, 1, 2, true);
    add_entry(env, LOG_CONDEMN);
    log_state_forget_condemned(env->state, &old);
    assert_false(log_state_find_condemned(env->state, &old, &condemned));
    log_state_forget_condemned(env->state, &newest);
    log_state_forget_condemned(env->state, &old);
    assert_true(log_state_find_condemned(env->state, &newest, &condemned));
    assert_int_equal(log_state_sweep(env->state), 2);
}

static void memory_is_for_what_counts(void **state)
{
    struct env *env = *state;
    struct buffer items;
    size_t size = 0;

    buffer_init(&items, HISTORY_ITEMS_MAX);
    for (unsigned i = 0; i < 1000; i++) {
        put_point(env, 1, (uint64_t)i + 1);
        add_entry(env, LOG_POINT);
        put_until(env, 1, 50);
        add_entry(env, LOG_TRASH);
        put_named(env, 1);
        add_entry(env, LOG_PURGE);
        put_task(env, 0, i, LOG_TASK_FROZEN);
        add_entry(env, LOG_TASK);
        put_numbers(env, SPACE, (uint64_t)i + 1, 1);
        add_entry(env, LOG_NUMBERS);
        log_state_items(env->state, &items);
        if (i == 0)
            size = items.size;
        assert_int_equal(items.size, size);
    }
    buffer_deinit(&items);
}

/* --- random histories -------------------------------------------------------------------------- */

static void check_items(const struct log_history *history, const struct log_state *state,
                        const char *where)
{
    struct log_state *other = NULL;
    struct buffer items;
    struct buffer same;

    log_state_copy_by_items(state, &other);
    log_history_check(history, other, where);
    buffer_init(&items, HISTORY_ITEMS_MAX);
    buffer_init(&same, HISTORY_ITEMS_MAX);
    log_state_items(state, &items);
    log_state_items(other, &same);
    assert_true(slice_equal(buffer_slice(&items), buffer_slice(&same)));
    buffer_deinit(&items);
    buffer_deinit(&same);
    log_state_free(other);
}

static void run_history(uint64_t seed, unsigned entries)
{
    struct log_history history = log_history_of(seed);
    struct env env = {.sequence = 0};
    struct error err = {0};
    char where[64];

    buffer_init(&env.body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_state_new(&env.state, &err), &err);
    for (unsigned i = 0; i < entries; i++) {
        uint8_t type = 0;

        log_history_next(&history, env.sequence + 1, &type, &env.body);
        add_entry(&env, type);
        assert_true(text_format(where, sizeof(where), "after entry %u, of type %u", i + 1, type));
        if (i % 5 == 0)
            log_history_check(&history, env.state, where);
        if (i % 7 == 0)
            check_items(&history, env.state, where);
        if (random_seeded_below(&history.random, 40) == 0) { /* from here on by way of the items */
            struct log_state *other = NULL;

            log_state_copy_by_items(env.state, &other);
            log_state_free(env.state);
            env.state = other;
        }
    }
    log_state_free(env.state);
    buffer_deinit(&env.body);
}

static void random_histories_add_up_as_the_model_says(void **state)
{
    uint64_t seed = test_seed("log_state: histories");
    unsigned runs = test_is_long() ? 400 : 40;

    (void)state;
    for (unsigned i = 0; i < runs; i++)
        run_history(seed + i, LONG);
}

/* --- no memory --------------------------------------------------------------------------------- */

struct trial {
    struct faults *faults;
    struct buffer body; /* its memory is there before anything fails */
};

static void init_trial(struct trial *trial)
{
    struct error err = {0};

    trial->faults = faults_new();
    assert_non_null(trial->faults);
    faults_install(trial->faults);
    buffer_init(&trial->body, LOG_ENTRY_BODY_MAX);
    (void)buffer_extend(&trial->body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(buffer_check(&trial->body, "a body", &err), &err);
}

static void deinit_trial(struct trial *trial)
{
    buffer_deinit(&trial->body);
    faults_install(NULL);
    faults_free(trial->faults);
}

static struct log_entry_header header_of(uint8_t type, uint64_t sequence)
{
    return (struct log_entry_header){
        .type = type,
        .sequence = sequence,
        .time_us = log_history_time(sequence),
    };
}

/* What fails for want of memory is tried again. */
static void attempt(void *arg, uint64_t n)
{
    struct trial *trial = arg;
    struct log_history history = log_history_of(11);
    struct log_state *state = NULL;
    struct error err = {0};
    uint8_t type = 0;

    (void)n;
    while (log_state_new(&state, &err) != STATUS_OK)
        assert_int_equal(err.status, STATUS_EXHAUSTED);
    for (uint64_t sequence = 1; sequence <= 60; sequence++) {
        log_history_next(&history, sequence, &type, &trial->body);
        const struct log_entry_header header = header_of(type, sequence);

        while (sequence % 2 == 0 &&
               log_state_reserve(state, type, buffer_slice(&trial->body), &err) != STATUS_OK)
            assert_int_equal(err.status, STATUS_EXHAUSTED);
        while (log_state_add(state, &header, buffer_slice(&trial->body), &err) != STATUS_OK)
            assert_int_equal(err.status, STATUS_EXHAUSTED);
    }
    faults_arm(trial->faults, 0, 0);
    log_history_check(&history, state, "after a failure");
    log_state_free(state);
}

static void without_memory_nothing_changes(void **state)
{
    struct trial trial;

    (void)state;
    init_trial(&trial);
    assert_true(fail_each(trial.faults, FAULT_ALLOC, attempt, &trial) > 40);
    deinit_trial(&trial);
}

static void what_is_reserved_needs_no_memory(void **arg)
{
    struct log_history history = log_history_of(12);
    struct log_state *state = NULL;
    struct trial trial;
    struct error err = {0};
    uint8_t type = 0;

    (void)arg;
    init_trial(&trial);
    ASSERT_OK(log_state_new(&state, &err), &err);
    for (uint64_t sequence = 1; sequence <= LONG; sequence++) {
        log_history_next(&history, sequence, &type, &trial.body);
        const struct log_entry_header header = header_of(type, sequence);
        struct slice body = buffer_slice(&trial.body);

        ASSERT_OK(log_state_reserve(state, type, body, &err), &err);
        faults_arm(trial.faults, FAULT_ALLOC, 1);
        ASSERT_OK(log_state_add(state, &header, body, &err), &err);
        assert_false(faults_fired(trial.faults));
        faults_arm(trial.faults, 0, 0);
    }
    log_history_check(&history, state, "in the end");
    log_state_free(state);
    deinit_trial(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_comes_before_the_space),
        cmocka_unit_test_setup_teardown(what_contradicts_the_state_of_a_point_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_contradicts_numbers_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_contradicts_the_rest_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_type_is_for_a_newer_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_comes_behind_those_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_purged_point_and_its_packs_stop_counting, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_partial_tree_is_gone_with_its_tasks_point, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_condemned_pack_is_forgotten_when_a_later_sweep_is_known,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_for_what_counts, set_up, tear_down),
        cmocka_unit_test(random_histories_add_up_as_the_model_says),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(what_is_reserved_needs_no_memory),
    };

    return cmocka_run_group_tests_name("log_state", tests, NULL, NULL);
}
