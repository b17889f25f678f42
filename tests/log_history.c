#include "tests/log_history.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

enum { TRIES_MAX = 10000 };

struct random_id history_id(char what, size_t index)
{
    struct random_id id = {{0}};

    id.bytes[0] = (uint8_t)what;
    id.bytes[RANDOM_ID_SIZE - 1] = (uint8_t)(index + 1);
    return id;
}

struct log_history log_history_of(uint64_t seed)
{
    return (struct log_history){.random = random_seeded_of(seed)};
}

int64_t log_history_time(uint64_t sequence)
{
    return (int64_t)sequence * 1000 + 7;
}

static uint64_t below(struct log_history *history, uint64_t limit)
{
    return random_seeded_below(&history->random, limit);
}

/* --- what can come next ------------------------------------------------------------------------ */

/* An entry that is made: it goes to BODY. */
struct making {
    struct log_history *history;
    uint64_t sequence;
    struct buffer *body;
    uint8_t type;
};

static struct history_packs some_packs(struct log_history *history)
{
    struct history_packs packs = {.count = 0};

    for (size_t i = 0; i < HISTORY_PACKS; i++) {
        if (below(history, 3) == 0)
            packs.packs[packs.count++] = (struct log_point_pack){
                .name = history_id('p', i),
                .synced = 1 + below(history, 1000),
            };
    }
    return packs;
}

static void copy_packs(struct log_packs *target, const struct history_packs *packs)
{
    target->count = packs->count;
    memcpy(target->packs, packs->packs, packs->count * sizeof(packs->packs[0]));
}

static struct ref some_ref(struct log_history *history)
{
    struct ref ref = {.number = 1 + below(history, 1000)};

    ref.id.bytes[0] = (uint8_t)(1 + below(history, 255));
    return ref;
}

static bool make_space(struct making *making)
{
    struct log_history *history = making->history;
    struct log_space space = {.space = 1 + (uint32_t)below(history, 1000)};

    memcpy(space.public_key, history->public_key, sizeof(space.public_key));
    for (size_t i = 0; i < history->space_count; i++) {
        if (history->spaces[i] == space.space)
            return false;
    }
    if (history->space_count == HISTORY_SPACES_MAX ||
        (history->space_count > 0 && (below(history, 8) > 0)))
        return false;
    history->spaces[history->space_count++] = space.space;
    history->first_free = 1;
    making->type = LOG_SPACE;
    log_space_encode(&space, making->body);
    return true;
}

static bool make_numbers(struct making *making)
{
    struct log_history *history = making->history;
    uint64_t first = history->first_free + below(history, 3);
    const struct log_numbers numbers = {
        .first = number_of(history->spaces[history->space_count - 1], first),
        .count = 1 + below(history, 100),
    };

    history->first_free = first + numbers.count;
    making->type = LOG_NUMBERS;
    log_numbers_encode(&numbers, making->body);
    return true;
}

static bool make_point(struct making *making)
{
    struct log_history *history = making->history;
    size_t task = (size_t)below(history, HISTORY_TASKS);
    struct history_point *point = &history->points[task];
    struct log_point entry = {.task = history_id('t', task)};

    if (point->there)
        return false;
    *point = (struct history_point){.there = true, .packs = some_packs(history)};
    entry.domain = history_id('d', (size_t)below(history, HISTORY_DOMAINS));
    entry.envelope = some_ref(history);
    copy_packs(&entry.packs, &point->packs);
    point->row = (struct store_point){
        .sequence = making->sequence,
        .time_us = log_history_time(making->sequence),
        .task = entry.task,
        .domain = entry.domain,
        .envelope = entry.envelope,
    };
    for (size_t i = 0; i < HISTORY_DISKS; i++)
        history->partials[task][i].there = false;
    making->type = LOG_POINT;
    log_point_encode(&entry, making->body);
    return true;
}

static bool make_tracking(struct making *making)
{
    static const uint8_t signature[SIGN_SIZE] = {1};
    struct log_history *history = making->history;
    size_t vm = (size_t)below(history, HISTORY_VMS);
    uint16_t says = (uint16_t)(1 + below(history, 60000));
    const struct log_tracking tracking = {
        .vm = history_id('v', vm),
        .tracking = {.body = slice_of(&says, sizeof(says)),
                     .signature = slice_of(signature, sizeof(signature)),
                     .certificate = slice_of("c", 1)},
    };

    history->tracking[vm] = says;
    making->type = LOG_TRACKING;
    log_tracking_encode(&tracking, making->body);
    return true;
}

static bool make_until(struct making *making, uint8_t type)
{
    struct log_history *history = making->history;
    size_t task = (size_t)below(history, HISTORY_TASKS);
    struct history_point *point = &history->points[task];
    const struct log_until until = {
        .task = history_id('t', task),
        .until_us = (int64_t)(1 + below(history, 10000)),
    };

    if (!point->there)
        return false;
    if (type == LOG_TRASH) {
        if (point->row.trashed || point->row.held)
            return false;
        point->row.trashed = true;
        point->row.grace_us = until.until_us;
    } else {
        if (until.until_us < point->row.locked_us)
            return false;
        point->row.trashed = false;
        point->row.grace_us = 0;
        point->row.locked_us = until.until_us;
    }
    making->type = type;
    log_until_encode(&until, making->body);
    return true;
}

/* LOG_UNDELETE, LOG_PURGE. */
static bool make_named(struct making *making, uint8_t type)
{
    struct log_history *history = making->history;
    size_t task = (size_t)below(history, HISTORY_TASKS);
    struct history_point *point = &history->points[task];
    const struct log_named named = {.task = history_id('t', task)};

    if (!point->there || !point->row.trashed)
        return false;
    point->row.trashed = false;
    point->row.grace_us = 0;
    point->there = type != LOG_PURGE;
    making->type = type;
    log_named_encode(&named, making->body);
    return true;
}

static bool make_hold(struct making *making)
{
    struct log_history *history = making->history;
    size_t task = (size_t)below(history, HISTORY_TASKS);
    struct history_point *point = &history->points[task];
    struct log_hold hold = {.task = history_id('t', task), .held = below(history, 2) == 0};

    if (!point->there)
        return false;
    if (hold.held) {
        memcpy(hold.reason, "law", 4);
        point->row.trashed = false;
        point->row.grace_us = 0;
    }
    point->row.held = hold.held;
    making->type = LOG_HOLD;
    log_hold_encode(&hold, making->body);
    return true;
}

static bool make_task(struct making *making)
{
    struct log_history *history = making->history;
    size_t index = (size_t)below(history, HISTORY_TASKS);
    struct history_task *known = &history->tasks[index];
    uint8_t detail = (uint8_t)below(history, 256);
    struct log_task task = {
        .task = history_id('t', index),
        .vm = history_id('v', index % HISTORY_VMS),
        .epoch = (known->there ? known->epoch : 0) + (uint32_t)below(history, 2),
        .state = (enum log_task_state)(LOG_TASK_INTENDED + below(history, LOG_TASK_ENDED)),
        .detail = slice_of(&detail, 1),
    };

    if (task.epoch == 0)
        task.epoch = 1;
    *known = (struct history_task){
        .there = task.state != LOG_TASK_ENDED,
        .epoch = task.epoch,
        .state = task.state,
        .detail = detail,
    };
    making->type = LOG_TASK;
    log_task_encode(&task, making->body);
    return true;
}

static bool make_session(struct making *making)
{
    struct log_history *history = making->history;
    size_t task = (size_t)below(history, HISTORY_TASKS);
    size_t disk = (size_t)below(history, HISTORY_DISKS);
    struct history_partial *partial = &history->partials[task][disk];
    struct log_session session = {.task = history_id('t', task)};
    bool lets_go = below(history, 4) == 0;

    if (lets_go && !partial->there)
        return false;
    *partial = (struct history_partial){.there = !lets_go};
    session.domain = history_id('d', (size_t)below(history, HISTORY_DOMAINS));
    session.disk[15] = (uint8_t)(disk + 1);
    if (!lets_go) {
        session.blocks = 1 + below(history, 1000);
        session.root = some_ref(history);
        partial->packs = some_packs(history);
        copy_packs(&session.packs, &partial->packs);
    }
    partial->row = (struct store_partial){
        .task = session.task,
        .domain = session.domain,
        .blocks = session.blocks,
        .root = session.root,
    };
    memcpy(partial->row.disk, session.disk, sizeof(session.disk));
    making->type = LOG_SESSION;
    log_session_encode(&session, making->body);
    return true;
}

static bool make_condemn(struct making *making)
{
    struct log_history *history = making->history;
    size_t pack = (size_t)below(history, HISTORY_PACKS);
    struct history_condemned *known = &history->condemned[pack];
    struct log_condemn condemn = {.pack = history_id('p', pack), .sweep = history->sweep};
    uint8_t numbers[8 * 4];

    if (condemn.sweep == 0 || below(history, 4) == 0)
        condemn.sweep++;
    if (known->there && known->complete)
        return false;
    if (!known->there || known->sweep < condemn.sweep)
        *known = (struct history_condemned){.there = true, .sweep = condemn.sweep};
    history->sweep = condemn.sweep;
    condemn.last = below(history, 6) == 0 || known->dead > HISTORY_DEAD_MAX - 8;
    condemn.count = (uint32_t)below(history, 5);
    for (size_t i = 0; i < condemn.count; i++) {
        uint64_t number = making->sequence * 8 + i;

        for (size_t j = 0; j < 8; j++)
            numbers[i * 8 + j] = (uint8_t)(number >> (8 * j));
        known->numbers[known->dead++] = number;
    }
    condemn.numbers = slice_of(numbers, (size_t)condemn.count * 8);
    known->complete = condemn.last;
    making->type = LOG_CONDEMN;
    log_condemn_encode(&condemn, making->body);
    return true;
}

static bool make_domain(struct making *making)
{
    struct log_history *history = making->history;
    size_t index = (size_t)below(history, HISTORY_DOMAINS);
    struct history_domain *known = &history->domains[index];
    unsigned name = (unsigned)below(history, HISTORY_DOMAINS);
    struct log_domain domain = {.domain = history_id('d', index), .state = LOG_DOMAIN_USED};

    if (below(history, 10) == 0)
        domain.state = LOG_DOMAIN_RETIRED;
    if (domain.state == LOG_DOMAIN_USED) {
        if (known->there && known->state == LOG_DOMAIN_RETIRED)
            return false;
        for (size_t i = 0; i < HISTORY_DOMAINS; i++) {
            const struct history_domain *other = &history->domains[i];

            if (i != index && other->there && other->state == LOG_DOMAIN_USED &&
                other->name == name)
                return false;
        }
    }
    *known = (struct history_domain){.there = true, .state = domain.state, .name = name};
    domain.name[0] = (char)('a' + name);
    making->type = LOG_DOMAIN;
    log_domain_encode(&domain, making->body);
    return true;
}

static bool make_rollback(struct making *making)
{
    struct log_history *history = making->history;
    const struct log_rollback rollback = {
        .writer = history_id('w', 0),
        .sequence = making->sequence + 3,
    };

    if (history->rollback_count == HISTORY_ROLLBACKS_MAX)
        return false;
    history->rollbacks[history->rollback_count++] = making->sequence;
    making->type = LOG_ROLLBACK;
    log_rollback_encode(&rollback, making->body);
    return true;
}

static bool make_accept(struct making *making)
{
    struct log_history *history = making->history;
    struct log_accept accept;

    if (history->rollback_count == 0)
        return false;
    size_t index = (size_t)below(history, history->rollback_count);

    accept.sequence = history->rollbacks[index];
    history->rollback_count--;
    memmove(history->rollbacks + index, history->rollbacks + index + 1,
            (history->rollback_count - index) * sizeof(history->rollbacks[0]));
    making->type = LOG_ACCEPT;
    log_accept_encode(&accept, making->body);
    return true;
}

static bool make(struct making *making, uint8_t type)
{
    if (making->history->space_count == 0)
        return make_space(making);
    switch (type) {
    case LOG_SPACE:
        return make_space(making);
    case LOG_NUMBERS:
        return make_numbers(making);
    case LOG_POINT:
        return make_point(making);
    case LOG_TRACKING:
        return make_tracking(making);
    case LOG_TRASH:
    case LOG_LOCK:
        return make_until(making, type);
    case LOG_UNDELETE:
    case LOG_PURGE:
        return make_named(making, type);
    case LOG_HOLD:
        return make_hold(making);
    case LOG_TASK:
        return make_task(making);
    case LOG_SESSION:
        return make_session(making);
    case LOG_CONDEMN:
        return make_condemn(making);
    case LOG_DOMAIN:
        return make_domain(making);
    case LOG_ROLLBACK:
        return make_rollback(making);
    case LOG_ACCEPT:
        return make_accept(making);
    default:
        return false;
    }
}

void log_history_next(struct log_history *history, uint64_t sequence, uint8_t *ret_type,
                      struct buffer *body)
{
    struct making making = {.history = history, .sequence = sequence, .body = body};
    struct error err = {0};

    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        buffer_clear(body);
        if (!make(&making, (uint8_t)(1 + below(history, LOG_ACCEPT))))
            continue;
        ASSERT_OK(buffer_check(body, "a body", &err), &err);
        history->sequence = sequence;
        *ret_type = making.type;
        return;
    }
    fail_msg("nothing can come behind entry %llu", (unsigned long long)history->sequence);
}

/* --- is a state what it should be? ------------------------------------------------------------- */

static int by_sequence(const void *a, const void *b)
{
    const struct store_point *one = a;
    const struct store_point *other = b;

    return (one->sequence > other->sequence) - (one->sequence < other->sequence);
}

static bool same_point(const struct store_point *a, const struct store_point *b)
{
    return a->sequence == b->sequence && a->time_us == b->time_us &&
           random_id_equal(&a->task, &b->task) && random_id_equal(&a->domain, &b->domain) &&
           id_equal(&a->envelope.id, &b->envelope.id) && a->envelope.number == b->envelope.number &&
           a->trashed == b->trashed && a->grace_us == b->grace_us && a->locked_us == b->locked_us &&
           a->held == b->held;
}

static void check_points(const struct log_history *history, const struct log_state *state,
                         const char *where)
{
    struct store_point rows[HISTORY_TASKS];
    size_t expected = 0;
    size_t count = 0;

    for (size_t i = 0; i < HISTORY_TASKS; i++) {
        struct random_id task = history_id('t', i);
        const struct store_point *found = log_state_find_point(state, &task);

        if ((found != NULL) != history->points[i].there)
            fail_msg("%s: the point of task %zu", where, i);
        if (found == NULL)
            continue;
        if (!same_point(found, &history->points[i].row))
            fail_msg("%s: what is said of the point of task %zu", where, i);
        rows[expected++] = history->points[i].row;
    }
    qsort(rows, expected, sizeof(rows[0]), by_sequence);
    const struct store_point *points = log_state_points(state, &count);

    if (count != expected)
        fail_msg("%s: %zu points, not %zu", where, count, expected);
    for (size_t i = 0; i < count; i++) {
        if (!same_point(&points[i], &rows[i]))
            fail_msg("%s: point %zu of the list", where, i);
    }
}

static const struct history_partial *find_partial(const struct log_history *history,
                                                  const struct store_partial *row)
{
    for (size_t i = 0; i < HISTORY_TASKS; i++) {
        for (size_t j = 0; j < HISTORY_DISKS; j++) {
            const struct history_partial *partial = &history->partials[i][j];

            if (partial->there && random_id_equal(&partial->row.task, &row->task) &&
                memcmp(partial->row.disk, row->disk, sizeof(row->disk)) == 0)
                return partial;
        }
    }
    return NULL;
}

static void check_partials(const struct log_history *history, const struct log_state *state,
                           const char *where)
{
    size_t expected = 0;
    size_t count = 0;
    const struct store_partial *partials = log_state_partials(state, &count);

    for (size_t i = 0; i < HISTORY_TASKS; i++) {
        for (size_t j = 0; j < HISTORY_DISKS; j++)
            expected += history->partials[i][j].there;
    }
    if (count != expected)
        fail_msg("%s: %zu partial trees, not %zu", where, count, expected);
    for (size_t i = 0; i < count; i++) {
        const struct history_partial *partial = find_partial(history, &partials[i]);

        if (partial == NULL || partial->row.blocks != partials[i].blocks ||
            partial->row.root.number != partials[i].root.number ||
            !id_equal(&partial->row.root.id, &partials[i].root.id) ||
            !random_id_equal(&partial->row.domain, &partials[i].domain))
            fail_msg("%s: partial tree %zu", where, i);
    }
}

static void raise_synced(uint64_t synced[HISTORY_PACKS], const struct history_packs *packs)
{
    for (size_t i = 0; i < packs->count; i++) {
        size_t pack = (size_t)packs->packs[i].name.bytes[RANDOM_ID_SIZE - 1] - 1;

        if (packs->packs[i].synced > synced[pack])
            synced[pack] = packs->packs[i].synced;
    }
}

static enum status lower_synced(void *arg, const struct log_point_pack *pack, struct error *err)
{
    uint64_t *synced = arg;
    size_t index = (size_t)pack->name.bytes[RANDOM_ID_SIZE - 1] - 1;

    if (synced[index] != pack->synced)
        return error_set(err, STATUS_CORRUPT, "pack %zu", index);
    synced[index] = 0; /* it comes once */
    return STATUS_OK;
}

static void check_packs(const struct log_history *history, const struct log_state *state,
                        const char *where)
{
    uint64_t synced[HISTORY_PACKS] = {0};
    struct error err = {0};

    for (size_t i = 0; i < HISTORY_TASKS; i++) {
        if (history->points[i].there)
            raise_synced(synced, &history->points[i].packs);
        for (size_t j = 0; j < HISTORY_DISKS; j++) {
            if (history->partials[i][j].there)
                raise_synced(synced, &history->partials[i][j].packs);
        }
    }
    for (size_t i = 0; i < HISTORY_PACKS; i++) {
        struct random_id pack = history_id('p', i);

        if (log_state_synced(state, &pack) != synced[i])
            fail_msg("%s: the synced length of pack %zu", where, i);
    }
    ASSERT_OK(log_state_each_pack(state, lower_synced, synced, &err), &err);
    for (size_t i = 0; i < HISTORY_PACKS; i++)
        assert_int_equal(synced[i], 0);
}

static enum status count_task(void *arg, const struct log_task *task, struct error *err)
{
    size_t *count = arg;

    (void)task;
    (void)err;
    (*count)++;
    return STATUS_OK;
}

static void check_tasks(const struct log_history *history, const struct log_state *state,
                        const char *where)
{
    struct error err = {0};
    size_t count = 0;

    for (size_t i = 0; i < HISTORY_TASKS; i++) {
        const struct history_task *known = &history->tasks[i];
        struct random_id id = history_id('t', i);
        struct log_task task;
        bool there = log_state_find_task(state, &id, &task);

        if (there != known->there)
            fail_msg("%s: task %zu", where, i);
        if (there && (task.epoch != known->epoch || task.state != known->state ||
                      task.detail.size != 1 || task.detail.data[0] != known->detail))
            fail_msg("%s: what is said of task %zu", where, i);
        count += there ? SIZE_MAX : 0; /* counted down */
    }
    ASSERT_OK(log_state_each_task(state, count_task, &count, &err), &err);
    assert_int_equal(count, 0);
}

static void check_tracking(const struct log_history *history, const struct log_state *state,
                           const char *where)
{
    for (size_t i = 0; i < HISTORY_VMS; i++) {
        struct random_id vm = history_id('v', i);
        struct slice tracking = {0};
        uint16_t says = 0;
        bool there = log_state_find_tracking(state, &vm, &tracking);

        if (there)
            memcpy(&says, tracking.data + 4, sizeof(says)); /* behind its length */
        if (there != (history->tracking[i] != 0) || says != history->tracking[i])
            fail_msg("%s: what is tracked of VM %zu", where, i);
    }
}

static enum status check_domain(void *arg, const struct log_domain *domain, struct error *err)
{
    struct log_history *history = arg; /* a copy: what came is taken out */
    struct history_domain *known = &history->domains[domain->domain.bytes[RANDOM_ID_SIZE - 1] - 1];

    if (!known->there || known->state != domain->state ||
        domain->name[0] != (char)('a' + known->name))
        return error_set(err, STATUS_CORRUPT, "a domain");
    known->there = false;
    return STATUS_OK;
}

static void check_domains(const struct log_history *history, const struct log_state *state)
{
    struct log_history left = *history;
    struct error err = {0};

    ASSERT_OK(log_state_each_domain(state, check_domain, &left, &err), &err);
    for (size_t i = 0; i < HISTORY_DOMAINS; i++)
        assert_false(left.domains[i].there);
}

/* The dead that are still to come. */
struct dead {
    const uint64_t *numbers;
    uint64_t count;
};

static enum status check_dead(void *arg, struct slice numbers, struct error *err)
{
    struct dead *dead = arg;

    for (size_t i = 0; i < numbers.size / 8; i++) {
        uint64_t number = 0;

        for (size_t j = 0; j < 8; j++)
            number |= (uint64_t)numbers.data[i * 8 + j] << (8 * j);
        if (dead->count == 0 || *dead->numbers != number)
            return error_set(err, STATUS_CORRUPT, "a dead number");
        dead->numbers++;
        dead->count--;
    }
    return STATUS_OK;
}

static enum status count_condemned(void *arg, const struct log_condemned *condemned,
                                   struct error *err)
{
    size_t *count = arg;

    (void)condemned;
    (void)err;
    (*count)++;
    return STATUS_OK;
}

static void check_condemned(const struct log_history *history, const struct log_state *state,
                            const char *where)
{
    struct error err = {0};
    size_t expected = 0;
    size_t count = 0;

    assert_int_equal(log_state_sweep(state), history->sweep);
    for (size_t i = 0; i < HISTORY_PACKS; i++) {
        const struct history_condemned *known = &history->condemned[i];
        struct random_id pack = history_id('p', i);
        struct dead dead = {.numbers = known->numbers, .count = known->dead};
        struct log_condemned condemned;
        bool there = log_state_find_condemned(state, &pack, &condemned);

        if (there != known->there)
            fail_msg("%s: condemned pack %zu", where, i);
        if (!there)
            continue;
        expected++;
        if (condemned.complete != known->complete || condemned.sweep != known->sweep ||
            condemned.dead != known->dead || !random_id_equal(&condemned.pack, &pack))
            fail_msg("%s: what is said of condemned pack %zu", where, i);
        ASSERT_OK(log_state_each_dead(state, &pack, check_dead, &dead, &err), &err);
        assert_int_equal(dead.count, 0);
    }
    ASSERT_OK(log_state_each_condemned(state, count_condemned, &count, &err), &err);
    assert_int_equal(count, expected);
}

static void check_rollbacks(const struct log_history *history, const struct log_state *state,
                            const char *where)
{
    struct log_rolled_back rolled_back;
    bool there = log_state_rolled_back(state, &rolled_back);

    if (there != (history->rollback_count > 0))
        fail_msg("%s: roll-backs", where);
    if (!there)
        return;
    assert_int_equal(rolled_back.sequence, history->rollbacks[0]);
    assert_int_equal(rolled_back.head.sequence, history->rollbacks[0] + 3);
    assert_true(log_state_knows_rollback(state, &rolled_back.head));
    rolled_back.head.sequence--;
    rolled_back.head.hash.bytes[0] ^= 1;
    assert_false(log_state_knows_rollback(state, &rolled_back.head));
}

void log_history_check(const struct log_history *history, const struct log_state *state,
                       const char *where)
{
    if (history->space_count == 0) {
        assert_int_equal(log_state_space(state), 0);
        return;
    }
    assert_int_equal(log_state_space(state), history->spaces[history->space_count - 1]);
    assert_int_equal(log_state_first_free(state), history->first_free);
    for (size_t i = 0; i < history->space_count; i++)
        assert_true(log_state_has_space(state, history->spaces[i]));
    assert_false(log_state_has_space(state, NUMBER_SPACE_MAX));
    check_points(history, state, where);
    check_partials(history, state, where);
    check_packs(history, state, where);
    check_tasks(history, state, where);
    check_tracking(history, state, where);
    check_domains(history, state);
    check_condemned(history, state, where);
    check_rollbacks(history, state, where);
}

/* --- items ------------------------------------------------------------------------------------- */

static enum status add_item(void *arg, const struct log_item *item, struct error *err)
{
    struct log_state *state = arg;
    const struct log_entry_header header = {
        .type = item->type,
        .sequence = item->sequence,
        .time_us = item->time_us,
    };

    return log_state_add(state, &header, item->body, err);
}

void log_state_copy_by_items(const struct log_state *state, struct log_state **ret_other)
{
    struct error err = {0};

    ASSERT_OK(log_state_new(ret_other, &err), &err);
    ASSERT_OK(log_state_each_item(state, add_item, *ret_other, &err), &err);
}

static enum status put_item(void *arg, const struct log_item *item, struct error *err)
{
    struct buffer *items = arg;

    log_item_encode(item, items);
    return buffer_check(items, "items", err);
}

void log_state_items(const struct log_state *state, struct buffer *items)
{
    struct error err = {0};

    buffer_clear(items);
    ASSERT_OK(log_state_each_item(state, put_item, items, &err), &err);
}
