#include "coordinator/store/log_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "coordinator/store/log_kept.h"

enum {
    ROOM_LEAST = 16,
    /* What an item of a summary takes (format/log_body.h): u32 part, u32 parts, the item's head. */
    BODY_MAX = LOG_ENTRY_BODY_MAX - 8 - LOG_SUMMARY_ITEM_HEAD_SIZE,
    PARTIAL_KEY_SIZE = RANDOM_ID_SIZE + 16, /* task, disk: how a LOG_SESSION body begins */
    CONDEMNED_KEY_OFFSET = 8,               /* of the pack in a LOG_CONDEMN body */
};

/* Rows side by side, as they are given out. */
struct point_rows {
    struct store_point *rows; /* by sequence */
    size_t count;             /* gaps too */
    size_t room;
    size_t gaps; /* rows of points that are no more */
};

struct partial_rows {
    struct store_partial *rows;
    size_t count;
    size_t room;
};

struct log_state {
    struct log_keep keep;
    struct point_rows *points; /* apart: closing gaps changes no answer */
    struct partial_rows partials;
    struct id_tree by_task; /* points */
    struct id_tree by_disk; /* partial trees, by task and disk */
    struct id_tree by_vm;   /* tracking */
    struct id_tree tasks;
    struct id_tree domains;
    struct id_tree condemned; /* the first entry of each pack */
    struct log_kept *spare;   /* of log_state_reserve() */
    uint64_t newest;          /* sequence */
    uint64_t first_free;
    uint64_t sweep;
    uint32_t space;
};

/* An entry that is about to change the state. */
struct change {
    uint8_t type;
    struct slice body;

    union {
        struct log_space space;
        struct log_numbers numbers;
        struct log_point point;
        struct log_tracking tracking;
        struct log_summary summary;
        struct log_until until;
        struct log_named named;
        struct log_hold hold;
        struct log_task task;
        struct log_session session;
        struct log_condemn condemn;
        struct log_domain domain;
        struct log_rollback rollback;
        struct log_accept accept;
    } as;
};

enum status log_state_new(struct log_state **ret_state, struct error *err)
{
    struct log_state *state = memory_new(1, sizeof(*state));

    if (state != NULL)
        state->points = memory_new(1, sizeof(*state->points));
    if (state == NULL || state->points == NULL) {
        memory_free(state);
        return error_set_no_memory(err, sizeof(*state), "what the log says");
    }
    state->keep.packs.key_size = RANDOM_ID_SIZE;
    state->by_task.key_size = RANDOM_ID_SIZE;
    state->by_disk.key_size = PARTIAL_KEY_SIZE;
    state->by_vm.key_size = RANDOM_ID_SIZE;
    state->tasks.key_size = RANDOM_ID_SIZE;
    state->domains.key_size = RANDOM_ID_SIZE;
    state->condemned.key_size = RANDOM_ID_SIZE;
    *ret_state = state;
    return STATUS_OK;
}

void log_state_free(struct log_state *state)
{
    if (state == NULL)
        return;
    log_keep_clear(&state->keep);
    log_kept_free(state->spare);
    memory_free(state->points->rows);
    memory_free(state->points);
    memory_free(state->partials.rows);
    memory_free(state);
}

/* --- finding ----------------------------------------------------------------------------------- */

/* The entry of TREE with KEY; NULL: none. */
static struct log_kept *find_kept(const struct id_tree *tree, const uint8_t *key)
{
    struct id_node *node = id_tree_find(tree, key);

    if (node == NULL)
        return NULL;
    return (struct log_kept *)(void *)((uint8_t *)node - offsetof(struct log_kept, node));
}

static struct log_kept *find_point(const struct log_state *state, const struct random_id *task)
{
    return find_kept(&state->by_task, task->bytes);
}

static const struct store_point *row_of(const struct log_state *state, const struct log_kept *point)
{
    return &state->points->rows[point->as.point.index];
}

/* The partial tree that SESSION is about, or NULL. */
static struct log_kept *find_partial(const struct log_state *state,
                                     const struct log_session *session)
{
    uint8_t key[PARTIAL_KEY_SIZE];

    memcpy(key, session->task.bytes, RANDOM_ID_SIZE);
    memcpy(key + RANDOM_ID_SIZE, session->disk, sizeof(session->disk));
    return find_kept(&state->by_disk, key);
}

static struct log_kept *find_rollback(const struct log_state *state, uint64_t sequence)
{
    for (struct log_kept *kept = state->keep.first[LOG_ROLLBACK]; kept != NULL; kept = kept->next) {
        if (kept->sequence == sequence)
            return kept;
    }
    return NULL;
}

/* Decodes what was decoded before it was kept. */
#define DECODE_KEPT(NAME, KEPT, RET)                                                             \
    do {                                                                                         \
        struct error decode_kept_err = {0};                                                      \
        INVARIANT(log_##NAME##_decode(log_kept_body(KEPT), RET, &decode_kept_err) == STATUS_OK); \
    } while (0)

/* --- what an entry may say now ----------------------------------------------------------------- */

static bool lets_go(const struct log_session *session)
{
    return session->root.number == 0;
}

static enum status check_space(const struct log_state *state, const struct log_space *space,
                               struct error *err)
{
    const struct log_kept *first = state->keep.first[LOG_SPACE];
    struct log_space known;

    if (first == NULL)
        return STATUS_OK;
    DECODE_KEPT(space, first, &known);
    if (memcmp(known.public_key, space->public_key, sizeof(known.public_key)) != 0)
        return error_set(err, STATUS_CORRUPT, "it begins a space under another key");
    if (log_state_has_space(state, space->space))
        return error_set(err, STATUS_CORRUPT, "space %" PRIu32 " was begun before", space->space);
    return STATUS_OK;
}

static enum status check_numbers(const struct log_state *state, const struct log_numbers *numbers,
                                 struct error *err)
{
    if (number_space(numbers->first) != state->space)
        return error_set(err, STATUS_CORRUPT, "it reserves numbers of another space");
    if (number_sequence(numbers->first) < state->first_free)
        return error_set(err, STATUS_CORRUPT,
                         "it reserves numbers from %" PRIu64 " on, which were reserved before",
                         number_sequence(numbers->first));
    return STATUS_OK;
}

/* NULL: the task has no point, and ERR says so. */
static const struct log_kept *require_point(const struct log_state *state,
                                            const struct random_id *task, struct error *err)
{
    char name[RANDOM_ID_TEXT_SIZE];
    const struct log_kept *point = find_point(state, task);

    if (point == NULL) {
        random_id_text(task, name);
        error_set(err, STATUS_CORRUPT, "it is about the point of task %s, which has none", name);
    }
    return point;
}

static enum status check_trash(const struct log_state *state, const struct log_until *until,
                               struct error *err)
{
    const struct log_kept *point = require_point(state, &until->task, err);

    if (point == NULL)
        return err->status;
    if (point->as.point.trash != NULL)
        return error_set(err, STATUS_CORRUPT,
                         "it moves a point to the trash that is there since entry %" PRIu64,
                         point->as.point.trash->sequence);
    if (point->as.point.hold != NULL)
        return error_set(err, STATUS_CORRUPT,
                         "it moves a point to the trash that is held since entry %" PRIu64,
                         point->as.point.hold->sequence);
    return STATUS_OK;
}

/* LOG_UNDELETE, LOG_PURGE. */
static enum status check_trashed(const struct log_state *state, const struct log_named *named,
                                 struct error *err)
{
    const struct log_kept *point = require_point(state, &named->task, err);

    if (point == NULL)
        return err->status;
    if (point->as.point.trash == NULL)
        return error_set(err, STATUS_CORRUPT,
                         "it is about a point in the trash, and entry %" PRIu64 "'s is not there",
                         point->sequence);
    return STATUS_OK;
}

static enum status check_lock(const struct log_state *state, const struct log_until *until,
                              struct error *err)
{
    const struct log_kept *point = require_point(state, &until->task, err);

    if (point == NULL)
        return err->status;
    if (until->until_us < row_of(state, point)->locked_us)
        return error_set(err, STATUS_CORRUPT, "it shortens the lock of entry %" PRIu64,
                         point->as.point.lock->sequence);
    return STATUS_OK;
}

static enum status check_task(const struct log_state *state, const struct log_task *task,
                              struct error *err)
{
    struct log_task known;

    if (!log_state_find_task(state, &task->task, &known))
        return STATUS_OK;
    if (!random_id_equal(&task->vm, &known.vm))
        return error_set(err, STATUS_CORRUPT, "it gives a task another VM");
    if (task->epoch < known.epoch)
        return error_set(err, STATUS_CORRUPT,
                         "it is of epoch %" PRIu32 " of a task that has reached %" PRIu32,
                         task->epoch, known.epoch);
    return STATUS_OK;
}

static enum status check_condemn(const struct log_state *state, const struct log_condemn *condemn,
                                 struct error *err)
{
    struct log_condemned known;

    if (!log_state_find_condemned(state, &condemn->pack, &known))
        return STATUS_OK;
    if (known.complete)
        return error_set(err, STATUS_CORRUPT, "it condemns a pack that sweep %" PRIu64 " did",
                         known.sweep);
    if (condemn->sweep < known.sweep)
        return error_set(err, STATUS_CORRUPT,
                         "it is of sweep %" PRIu64 ", and sweep %" PRIu64 " went over that pack",
                         condemn->sweep, known.sweep);
    return STATUS_OK;
}

/* Is the domain at KEPT in use under NAME? */
static bool has_name(const struct log_kept *kept, const struct log_domain *other)
{
    struct log_domain domain;

    DECODE_KEPT(domain, kept, &domain);
    return domain.state == LOG_DOMAIN_USED && strcmp(domain.name, other->name) == 0 &&
           !random_id_equal(&domain.domain, &other->domain);
}

static enum status check_domain(const struct log_state *state, const struct log_domain *domain,
                                struct error *err)
{
    const struct log_kept *kept = find_kept(&state->domains, domain->domain.bytes);
    struct log_domain known = {.state = LOG_DOMAIN_USED};

    if (kept != NULL)
        DECODE_KEPT(domain, kept, &known);
    if (domain->state == LOG_DOMAIN_RETIRED)
        return STATUS_OK;
    if (known.state == LOG_DOMAIN_RETIRED)
        return error_set(err, STATUS_CORRUPT, "it takes a domain back that is retired");
    for (kept = state->keep.first[LOG_DOMAIN]; kept != NULL; kept = kept->next) {
        if (has_name(kept, domain))
            return error_set(err, STATUS_CORRUPT, "it gives a domain the name of another");
    }
    return STATUS_OK;
}

static enum status check_point(const struct log_state *state, const struct log_point *point,
                               struct error *err)
{
    const struct log_kept *known = find_point(state, &point->task);

    if (known != NULL)
        return error_set(err, STATUS_CORRUPT, "its task has the point of entry %" PRIu64,
                         known->sequence);
    return STATUS_OK;
}

static enum status check_session(const struct log_state *state, const struct log_session *session,
                                 struct error *err)
{
    if (lets_go(session) && find_partial(state, session) == NULL)
        return error_set(err, STATUS_CORRUPT, "it lets a partial tree go that is not there");
    return STATUS_OK;
}

static enum status check_accept(const struct log_state *state, const struct log_accept *accept,
                                struct error *err)
{
    if (find_rollback(state, accept->sequence) == NULL)
        return error_set(err, STATUS_CORRUPT,
                         "it accepts entry %" PRIu64 ", which is no roll-back that waits for that",
                         accept->sequence);
    return STATUS_OK;
}

static enum status decode(struct change *change, struct error *err)
{
    switch (change->type) {
    case LOG_SPACE:
        return log_space_decode(change->body, &change->as.space, err);
    case LOG_NUMBERS:
        return log_numbers_decode(change->body, &change->as.numbers, err);
    case LOG_POINT:
        return log_point_decode(change->body, &change->as.point, err);
    case LOG_TRACKING:
        return log_tracking_decode(change->body, &change->as.tracking, err);
    case LOG_SUMMARY:
        return log_summary_decode(change->body, &change->as.summary, err);
    case LOG_TRASH:
    case LOG_LOCK:
        return log_until_decode(change->body, &change->as.until, err);
    case LOG_UNDELETE:
    case LOG_PURGE:
        return log_named_decode(change->body, &change->as.named, err);
    case LOG_HOLD:
        return log_hold_decode(change->body, &change->as.hold, err);
    case LOG_TASK:
        return log_task_decode(change->body, &change->as.task, err);
    case LOG_SESSION:
        return log_session_decode(change->body, &change->as.session, err);
    case LOG_CONDEMN:
        return log_condemn_decode(change->body, &change->as.condemn, err);
    case LOG_DOMAIN:
        return log_domain_decode(change->body, &change->as.domain, err);
    case LOG_ROLLBACK:
        return log_rollback_decode(change->body, &change->as.rollback, err);
    case LOG_ACCEPT:
        return log_accept_decode(change->body, &change->as.accept, err);
    default:
        return error_set(err, STATUS_UNSUPPORTED,
                         "it is of type %u, which this version does not know: use a newer one",
                         (unsigned)change->type);
    }
}

/* Does the decoded CHANGE go with the state? */
static enum status check(const struct log_state *state, const struct change *change,
                         struct error *err)
{
    switch (change->type) {
    case LOG_SPACE:
        return check_space(state, &change->as.space, err);
    case LOG_NUMBERS:
        return check_numbers(state, &change->as.numbers, err);
    case LOG_POINT:
        return check_point(state, &change->as.point, err);
    case LOG_TRASH:
        return check_trash(state, &change->as.until, err);
    case LOG_UNDELETE:
    case LOG_PURGE:
        return check_trashed(state, &change->as.named, err);
    case LOG_LOCK:
        return check_lock(state, &change->as.until, err);
    case LOG_HOLD:
        return require_point(state, &change->as.hold.task, err) == NULL ? err->status : STATUS_OK;
    case LOG_TASK:
        return check_task(state, &change->as.task, err);
    case LOG_SESSION:
        return check_session(state, &change->as.session, err);
    case LOG_CONDEMN:
        return check_condemn(state, &change->as.condemn, err);
    case LOG_DOMAIN:
        return check_domain(state, &change->as.domain, err);
    case LOG_ACCEPT:
        return check_accept(state, &change->as.accept, err);
    default: /* tracking, summaries, roll-backs: whatever came before */
        return STATUS_OK;
    }
}

static enum status take_change(const struct log_state *state, struct change *change,
                               struct error *err)
{
    enum status st = decode(change, err);

    if (st != STATUS_OK)
        return st;
    if (state->space == 0 && change->type != LOG_SPACE && change->type != LOG_SUMMARY)
        return error_set(err, STATUS_CORRUPT, "it comes before its writer's space");
    if (change->body.size > BODY_MAX && change->type != LOG_SUMMARY)
        return error_set(err, STATUS_CORRUPT, "its body has %zu bytes, more than a summary takes",
                         change->body.size);
    return check(state, change, err);
}

/* --- room -------------------------------------------------------------------------------------- */

/* Room for COUNT things of SIZE bytes in *ARRAY, which has *ROOM. */
static enum status make_room(void **array, size_t count, size_t *room, size_t size,
                             struct error *err)
{
    size_t more = *room == 0 ? ROOM_LEAST : *room;

    if (count <= *room)
        return STATUS_OK;
    while (more < count)
        more *= 2;
    void *grown = memory_resize(*array, more, size);

    if (grown == NULL)
        return error_set_no_memory(err, more * size, "what the log says");
    *array = grown;
    *room = more;
    return STATUS_OK;
}

static void close_gaps(const struct log_state *state)
{
    struct point_rows *points = state->points;
    size_t count = 0;

    if (points->gaps == 0)
        return;
    for (struct log_kept *kept = state->keep.first[LOG_POINT]; kept != NULL; kept = kept->next) {
        points->rows[count] = points->rows[kept->as.point.index];
        kept->as.point.index = count++;
    }
    points->count = count;
    points->gaps = 0;
}

static enum status make_room_for_row(struct log_state *state, uint8_t type, struct error *err)
{
    struct point_rows *points = state->points;
    struct partial_rows *partials = &state->partials;
    void *rows = type == LOG_POINT ? (void *)points->rows : (void *)partials->rows;
    enum status st = STATUS_OK;

    if (type == LOG_POINT) {
        if (points->gaps > points->count / 2)
            close_gaps(state);
        st = make_room(&rows, points->count + 1, &points->room, sizeof(*points->rows), err);
        points->rows = rows;
    }
    if (type == LOG_SESSION) {
        st = make_room(&rows, partials->count + 1, &partials->room, sizeof(*partials->rows), err);
        partials->rows = rows;
    }
    return st;
}

/* Does an entry like CHANGE count for itself, not only by what it does to others? */
static bool is_kept(const struct change *change)
{
    switch (change->type) {
    case LOG_SUMMARY:
    case LOG_UNDELETE:
    case LOG_PURGE:
    case LOG_ACCEPT:
        return false;
    case LOG_HOLD:
        return change->as.hold.held;
    case LOG_TASK:
        return change->as.task.state != LOG_TASK_ENDED;
    case LOG_SESSION:
        return !lets_go(&change->as.session);
    default:
        return true;
    }
}

/* All memory that applying CHANGE takes. */
static enum status prepare(struct log_state *state, const struct change *change, struct error *err)
{
    const struct log_packs *packs = NULL;
    const struct log_kept *spare = state->spare;

    if (!is_kept(change))
        return STATUS_OK;
    if (change->type == LOG_POINT)
        packs = &change->as.point.packs;
    if (change->type == LOG_SESSION)
        packs = &change->as.session.packs;
    enum status st = make_room_for_row(state, change->type, err);

    if (st != STATUS_OK)
        return st;
    if (spare != NULL && spare->type == change->type &&
        slice_equal(log_kept_body(spare), change->body))
        return STATUS_OK;
    log_kept_free(state->spare);
    state->spare = log_kept_new(change->type, change->body, packs);
    if (state->spare == NULL)
        return error_set_no_memory(err, sizeof(*spare) + change->body.size, "what the log says");
    return STATUS_OK;
}

/* --- what an entry does ------------------------------------------------------------------------ */

/* Drops KEPT (NULL is fine), which is in TREE. */
static void drop_from(struct log_state *state, struct id_tree *tree, struct log_kept *kept)
{
    if (kept == NULL)
        return;
    id_tree_remove(tree, &kept->node);
    log_keep_drop(&state->keep, kept);
}

/* KEPT (NULL: nothing) takes the place of the one in TREE with KEY, or of none. */
static void replace_in(struct log_state *state, struct id_tree *tree, const uint8_t *key,
                       struct log_kept *kept)
{
    drop_from(state, tree, find_kept(tree, key));
    if (kept != NULL)
        id_tree_add(tree, &kept->node, kept->body);
}

static void apply_space(struct log_state *state, const struct log_space *space)
{
    state->space = space->space;
    state->first_free = 1; /* sequence 0 is never used */
    log_keep_drop(&state->keep, state->keep.first[LOG_NUMBERS]);
}

/* KEPT is in the list of ranges already. */
static void apply_numbers(struct log_state *state, const struct log_numbers *numbers,
                          const struct log_kept *kept)
{
    uint64_t last = numbers->first + (numbers->count - 1); /* in one space: it fits */

    state->first_free = number_sequence(last) + 1;
    if (state->keep.first[LOG_NUMBERS] != kept)
        log_keep_drop(&state->keep, state->keep.first[LOG_NUMBERS]);
}

static void drop_partial(struct log_state *state, struct log_kept *kept)
{
    struct partial_rows *partials = &state->partials;
    size_t index = kept->as.point.index;

    drop_from(state, &state->by_disk, kept);
    partials->count--;
    if (index == partials->count)
        return;
    partials->rows[index] = partials->rows[partials->count];

    const struct store_partial *moved = &partials->rows[index];
    struct log_session session = {.task = moved->task};

    memcpy(session.disk, moved->disk, sizeof(session.disk));
    find_partial(state, &session)->as.point.index = index;
}

static void apply_session(struct log_state *state, const struct log_session *session,
                          struct log_kept *kept)
{
    struct log_kept *known = find_partial(state, session);

    if (known != NULL)
        drop_partial(state, known);
    if (kept == NULL)
        return;
    struct store_partial *row = &state->partials.rows[state->partials.count];

    *row = (struct store_partial){
        .task = session->task,
        .domain = session->domain,
        .blocks = session->blocks,
        .root = session->root,
    };
    memcpy(row->disk, session->disk, sizeof(row->disk));
    kept->as.point.index = state->partials.count++;
    id_tree_add(&state->by_disk, &kept->node, kept->body);
}

static void apply_point(struct log_state *state, const struct log_point *point,
                        struct log_kept *kept)
{
    struct point_rows *points = state->points;
    struct log_kept *next = NULL;

    kept->as.point.index = points->count;
    points->rows[points->count++] = (struct store_point){
        .sequence = kept->sequence,
        .time_us = kept->time_us,
        .task = point->task,
        .domain = point->domain,
        .envelope = point->envelope,
    };
    id_tree_add(&state->by_task, &kept->node, kept->body);
    for (struct log_kept *partial = state->keep.first[LOG_SESSION]; partial != NULL;
         partial = next) {
        next = partial->next;
        if (random_id_equal(&state->partials.rows[partial->as.point.index].task, &point->task))
            drop_partial(state, partial);
    }
}

/* What is said of the point of TASK changes. */
static void apply_to_point(struct log_state *state, const struct random_id *task,
                           const struct change *change, struct log_kept *kept)
{
    struct log_kept *point = find_point(state, task);
    struct store_point *row = &state->points->rows[point->as.point.index];

    /* Whatever is said of a point takes it out of the trash, except that it is let go. */
    if (change->type != LOG_HOLD || kept != NULL) {
        log_keep_drop(&state->keep, point->as.point.trash);
        point->as.point.trash = NULL;
        row->trashed = false;
        row->grace_us = 0;
    }
    if (change->type == LOG_TRASH) {
        point->as.point.trash = kept;
        row->trashed = true;
        row->grace_us = change->as.until.until_us;
    }
    if (change->type == LOG_LOCK) {
        log_keep_drop(&state->keep, point->as.point.lock);
        point->as.point.lock = kept;
        row->locked_us = change->as.until.until_us;
    }
    if (change->type == LOG_HOLD) {
        log_keep_drop(&state->keep, point->as.point.hold);
        point->as.point.hold = kept;
        row->held = kept != NULL;
    }
}

static void apply_purge(struct log_state *state, const struct random_id *task)
{
    struct log_kept *point = find_point(state, task);

    log_keep_drop(&state->keep, point->as.point.trash);
    log_keep_drop(&state->keep, point->as.point.lock);
    log_keep_drop(&state->keep, point->as.point.hold);
    state->points->gaps++;
    drop_from(state, &state->by_task, point);
}

/* FIRST and the other entries of its pack. */
static void drop_condemned(struct log_state *state, struct log_kept *first)
{
    struct log_kept *more = first->as.condemned.more;

    drop_from(state, &state->condemned, first);
    while (more != NULL) {
        struct log_kept *next = more->as.condemned.more;

        log_keep_drop(&state->keep, more);
        more = next;
    }
}

static void apply_condemn(struct log_state *state, const struct log_condemn *condemn,
                          struct log_kept *kept)
{
    struct log_kept *first = find_kept(&state->condemned, condemn->pack.bytes);

    if (condemn->sweep > state->sweep)
        state->sweep = condemn->sweep;
    if (first != NULL && first->as.condemned.sweep < condemn->sweep) {
        drop_condemned(state, first); /* it was cut off */
        first = NULL;
    }
    if (first == NULL) {
        first = kept;
        first->as.condemned.sweep = condemn->sweep;
        id_tree_add(&state->condemned, &kept->node, kept->body + CONDEMNED_KEY_OFFSET);
    } else {
        first->as.condemned.end->as.condemned.more = kept;
    }
    first->as.condemned.end = kept;
    first->as.condemned.dead += condemn->count;
    first->as.condemned.complete = condemn->last;
}

/* Cannot fail. KEPT: the entry, already kept; NULL if it does not count for itself. */
static void apply(struct log_state *state, const struct change *change, struct log_kept *kept)
{
    switch (change->type) {
    case LOG_SPACE:
        apply_space(state, &change->as.space);
        break;
    case LOG_NUMBERS:
        apply_numbers(state, &change->as.numbers, kept);
        break;
    case LOG_POINT:
        apply_point(state, &change->as.point, kept);
        break;
    case LOG_TRACKING:
        replace_in(state, &state->by_vm, change->as.tracking.vm.bytes, kept);
        break;
    case LOG_TRASH:
    case LOG_LOCK:
        apply_to_point(state, &change->as.until.task, change, kept);
        break;
    case LOG_UNDELETE:
        apply_to_point(state, &change->as.named.task, change, kept);
        break;
    case LOG_PURGE:
        apply_purge(state, &change->as.named.task);
        break;
    case LOG_HOLD:
        apply_to_point(state, &change->as.hold.task, change, kept);
        break;
    case LOG_TASK:
        replace_in(state, &state->tasks, change->as.task.task.bytes, kept);
        break;
    case LOG_SESSION:
        apply_session(state, &change->as.session, kept);
        break;
    case LOG_CONDEMN:
        apply_condemn(state, &change->as.condemn, kept);
        break;
    case LOG_DOMAIN:
        replace_in(state, &state->domains, change->as.domain.domain.bytes, kept);
        break;
    case LOG_ACCEPT:
        log_keep_drop(&state->keep, find_rollback(state, change->as.accept.sequence));
        break;
    default: /* LOG_ROLLBACK is kept, LOG_SUMMARY changes nothing */
        break;
    }
}

enum status log_state_reserve(struct log_state *state, uint8_t type, struct slice body,
                              struct error *err)
{
    struct change change = {.type = type, .body = body};
    enum status st = take_change(state, &change, err);

    return st == STATUS_OK ? prepare(state, &change, err) : st;
}

enum status log_state_add(struct log_state *state, const struct log_entry_header *header,
                          struct slice body, struct error *err)
{
    struct change change = {.type = header->type, .body = body};
    struct log_kept *kept = NULL;
    enum status st = STATUS_OK;

    if (header->sequence <= state->newest)
        st = error_set(err, STATUS_CORRUPT, "it comes behind entry %" PRIu64, state->newest);
    if (st == STATUS_OK)
        st = take_change(state, &change, err);
    if (st == STATUS_OK)
        st = prepare(state, &change, err);
    if (st != STATUS_OK)
        return error_wrap(err, "entry %" PRIu64, header->sequence);
    state->newest = header->sequence;
    if (is_kept(&change)) {
        kept = state->spare;
        state->spare = NULL;
        kept->sequence = header->sequence;
        kept->time_us = header->time_us;
        log_keep_add(&state->keep, kept);
    }
    apply(state, &change, kept);
    return STATUS_OK;
}

/* --- answers ----------------------------------------------------------------------------------- */

enum status log_state_each_item(const struct log_state *state,
                                enum status (*each)(void *arg, const struct log_item *item,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    return log_keep_each(&state->keep, each, arg, err);
}

uint32_t log_state_space(const struct log_state *state)
{
    return state->space;
}

uint64_t log_state_first_free(const struct log_state *state)
{
    return state->first_free;
}

bool log_state_has_space(const struct log_state *state, uint32_t space)
{
    for (const struct log_kept *kept = state->keep.first[LOG_SPACE]; kept != NULL;
         kept = kept->next) {
        struct log_space known;

        DECODE_KEPT(space, kept, &known);
        if (known.space == space)
            return true;
    }
    return false;
}

const struct store_point *log_state_points(const struct log_state *state, size_t *ret_count)
{
    close_gaps(state);
    *ret_count = state->points->count;
    return state->points->rows;
}

const struct store_point *log_state_find_point(const struct log_state *state,
                                               const struct random_id *task)
{
    const struct log_kept *point = find_point(state, task);

    return point == NULL ? NULL : row_of(state, point);
}

const struct store_partial *log_state_partials(const struct log_state *state, size_t *ret_count)
{
    *ret_count = state->partials.count;
    return state->partials.rows;
}

uint64_t log_state_synced(const struct log_state *state, const struct random_id *pack)
{
    return log_keep_longest(log_keep_find_pack(&state->keep, pack));
}

/* EACH gets the packs of which a use by KEPT is the first. */
static enum status each_pack_of(const struct log_kept *kept,
                                enum status (*each)(void *arg, const struct log_point_pack *pack,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < kept->use_count; i++) {
        const struct pack_use *use = &kept->uses[i];
        const struct log_point_pack pack = {
            .name = use->pack.name,
            .synced = log_keep_longest(use),
        };

        if (use->previous == NULL)
            st = each(arg, &pack, err);
    }
    return st;
}

enum status log_state_each_pack(const struct log_state *state,
                                enum status (*each)(void *arg, const struct log_point_pack *pack,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    static const uint8_t types[] = {LOG_POINT, LOG_SESSION};
    enum status st = STATUS_OK;

    for (size_t i = 0; i < sizeof(types); i++) {
        for (const struct log_kept *kept = state->keep.first[types[i]];
             st == STATUS_OK && kept != NULL; kept = kept->next)
            st = each_pack_of(kept, each, arg, err);
    }
    return st;
}

bool log_state_find_tracking(const struct log_state *state, const struct random_id *vm,
                             struct slice *ret_tracking)
{
    const struct log_kept *kept = find_kept(&state->by_vm, vm->bytes);

    if (kept == NULL)
        return false;
    *ret_tracking = slice_of(kept->body + RANDOM_ID_SIZE, kept->size - RANDOM_ID_SIZE);
    return true;
}

bool log_state_find_task(const struct log_state *state, const struct random_id *task,
                         struct log_task *ret_task)
{
    const struct log_kept *kept = find_kept(&state->tasks, task->bytes);

    if (kept == NULL)
        return false;
    DECODE_KEPT(task, kept, ret_task);
    return true;
}

enum status log_state_each_task(const struct log_state *state,
                                enum status (*each)(void *arg, const struct log_task *task,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    for (const struct log_kept *kept = state->keep.first[LOG_TASK]; st == STATUS_OK && kept != NULL;
         kept = kept->next) {
        struct log_task task;

        DECODE_KEPT(task, kept, &task);
        st = each(arg, &task, err);
    }
    return st;
}

enum status log_state_each_domain(const struct log_state *state,
                                  enum status (*each)(void *arg, const struct log_domain *domain,
                                                      struct error *err),
                                  void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    for (const struct log_kept *kept = state->keep.first[LOG_DOMAIN];
         st == STATUS_OK && kept != NULL; kept = kept->next) {
        struct log_domain domain;

        DECODE_KEPT(domain, kept, &domain);
        st = each(arg, &domain, err);
    }
    return st;
}

bool log_state_rolled_back(const struct log_state *state, struct log_rolled_back *ret_rolled_back)
{
    const struct log_kept *kept = state->keep.first[LOG_ROLLBACK];

    if (kept == NULL)
        return false;
    DECODE_KEPT(rollback, kept, &ret_rolled_back->head);
    ret_rolled_back->sequence = kept->sequence;
    return true;
}

bool log_state_knows_rollback(const struct log_state *state, const struct log_rollback *head)
{
    for (const struct log_kept *kept = state->keep.first[LOG_ROLLBACK]; kept != NULL;
         kept = kept->next) {
        struct log_rollback known;

        DECODE_KEPT(rollback, kept, &known);
        if (random_id_equal(&known.writer, &head->writer) && known.sequence == head->sequence &&
            memcmp(known.hash.bytes, head->hash.bytes, sizeof(known.hash.bytes)) == 0)
            return true;
    }
    return false;
}

/* --- condemned packs --------------------------------------------------------------------------- */

uint64_t log_state_sweep(const struct log_state *state)
{
    return state->sweep;
}

static struct log_condemned condemned_of(const struct log_kept *first)
{
    struct log_condemned condemned = {
        .sweep = first->as.condemned.sweep,
        .dead = first->as.condemned.dead,
        .complete = first->as.condemned.complete,
    };

    memcpy(condemned.pack.bytes, first->body + CONDEMNED_KEY_OFFSET, RANDOM_ID_SIZE);
    return condemned;
}

bool log_state_find_condemned(const struct log_state *state, const struct random_id *pack,
                              struct log_condemned *ret_condemned)
{
    const struct log_kept *first = find_kept(&state->condemned, pack->bytes);

    if (first == NULL)
        return false;
    *ret_condemned = condemned_of(first);
    return true;
}

enum status log_state_each_condemned(const struct log_state *state,
                                     enum status (*each)(void *arg,
                                                         const struct log_condemned *condemned,
                                                         struct error *err),
                                     void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    for (const struct log_kept *kept = state->keep.first[LOG_CONDEMN];
         st == STATUS_OK && kept != NULL; kept = kept->next) {
        if (kept->as.condemned.end == NULL)
            continue; /* not the first of its pack */
        const struct log_condemned condemned = condemned_of(kept);

        st = each(arg, &condemned, err);
    }
    return st;
}

enum status log_state_each_dead(const struct log_state *state, const struct random_id *pack,
                                enum status (*each)(void *arg, struct slice numbers,
                                                    struct error *err),
                                void *arg, struct error *err)
{
    enum status st = STATUS_OK;

    for (const struct log_kept *kept = find_kept(&state->condemned, pack->bytes);
         st == STATUS_OK && kept != NULL; kept = kept->as.condemned.more) {
        struct log_condemn condemn;

        DECODE_KEPT(condemn, kept, &condemn);
        st = each(arg, condemn.numbers, err);
    }
    return st;
}

void log_state_forget_condemned(struct log_state *state, const struct random_id *pack)
{
    struct log_kept *first = find_kept(&state->condemned, pack->bytes);

    if (first != NULL && first->as.condemned.sweep < state->sweep)
        drop_condemned(state, first);
}
