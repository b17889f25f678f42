#include <inttypes.h>

#include "coordinator/store/store_private.h"

/* --- finding it -------------------------------------------------------------------------------- */

/* The log lacks KNOWN. */
static void note_rollback(struct store *store, const struct store_head *known)
{
    struct store_rollback *rollback = &store->rollback;

    rollback->pending = true;
    rollback->head = (struct log_rollback){.writer = known->writer,
                                           .sequence = known->sequence,
                                           .hash = known->hash};
    rollback->noted = log_state_knows_rollback(store->state, &rollback->head);
    log_warning(
        store->options.log,
        "the log was rolled back: entry %" PRIu64
        " was written, and is not in it; it ends with entry %" PRIu64
        ". Restore points may be missing. Backups and restores go on, with new numbers; nothing "
        "is collected or purged until an administrator accepts it",
        known->sequence, store_log_sequence(store->log));
}

static enum status compare(struct store *store, struct error *err)
{
    enum store_log_known found = STORE_LOG_HAS;
    struct store_head known;
    struct error damage = {0};

    if (!log_head_known(store->head, &known))
        return STATUS_OK;
    enum status st = store_log_compare(store->log, &known, &found, &damage);

    if (st == STATUS_CORRUPT) {
        log_warning(store->options.log, "was the log rolled back? Nobody can tell: %s",
                    damage.text);
        return STATUS_OK;
    }
    if (st != STATUS_OK) {
        *err = damage;
        return st;
    }
    if (found == STORE_LOG_LACKS || found == STORE_LOG_HAS_ANOTHER)
        note_rollback(store, &known);
    return STATUS_OK;
}

enum status store_find_rollback(struct store *store, struct error *err)
{
    struct error failure = {0};

    if (log_head_open(store->options.fs, &store->head, &failure) != STATUS_OK) {
        log_warning(store->options.log, "the file \"%s\" cannot be opened: %s", LOG_HEAD_FILE,
                    failure.text);
        return STATUS_OK;
    }
    enum status st = compare(store, err);

    if (st != STATUS_OK)
        return st;
    if (!store->rollback.pending) {
        store_log_keep_head(store->log, store->head);
        return STATUS_OK;
    }
    st = store_settle_rollback(store, &failure);
    if (st == STATUS_EXHAUSTED) {
        log_warning(store->options.log, "%s", failure.text);
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        *err = failure;
    return st;
}

/* --- noting it --------------------------------------------------------------------------------- */

/* *RET_SPACE: a random one that no record here has, and no log before had. */
static enum status choose_space(struct store *store, uint32_t *ret_space, struct error *err)
{
    struct index *index = store->options.index;
    uint32_t space = 0;
    uint64_t last = 1;
    enum status st = store_require_records(store, err);

    while (st == STATUS_OK && last != 0) {
        st = random_bytes(store->options.random, &space, sizeof(space), err);
        space &= NUMBER_SPACE_MAX;
        if (st != STATUS_OK || space == 0 || log_state_has_space(store->state, space))
            continue;
        st = index->ops->last_number(index, space, &last, err);
    }
    if (st == STATUS_OK)
        *ret_space = space;
    return st;
}

static enum status write_rollback(struct store *store, struct error *err)
{
    struct buffer body;

    if (store->rollback.noted)
        return STATUS_OK;
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_rollback_encode(&store->rollback.head, &body);

    enum status st = store_write_entry(store, LOG_ROLLBACK, &body, err);

    buffer_deinit(&body);
    store->rollback.noted = st == STATUS_OK;
    return st;
}

static enum status write_space(struct store *store, struct error *err)
{
    struct buffer body;
    uint32_t space = 0;
    enum status st = choose_space(store, &space, err);

    if (st != STATUS_OK)
        return st;
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    store_log_encode_space(store->log, space, &body);
    st = store_write_entry(store, LOG_SPACE, &body, err);
    buffer_deinit(&body);
    return st;
}

enum status store_settle_rollback(struct store *store, struct error *err)
{
    if (!store->rollback.pending)
        return STATUS_OK;
    enum status st = write_rollback(store, err);

    if (st == STATUS_OK)
        st = write_space(store, err);
    if (st != STATUS_OK)
        return error_wrap(err, "note that the log was rolled back");
    store->rollback.pending = false;
    store->next = log_state_first_free(store->state);
    store->end = store->next;
    store_log_keep_head(store->log, store->head);
    return STATUS_OK;
}

/* --- accepting it ------------------------------------------------------------------------------ */

static enum status accept_one(struct store *store, uint64_t sequence, struct error *err)
{
    const struct log_accept entry = {.sequence = sequence};
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_accept_encode(&entry, &body);

    enum status st = store_write_entry(store, LOG_ACCEPT, &body, err);

    buffer_deinit(&body);
    return st;
}

enum status store_accept_rollback(struct store *store, struct error *err)
{
    struct log_rolled_back found;
    enum status st = store_settle_rollback(store, err);

    if (st == STATUS_OK && !log_state_rolled_back(store->state, &found))
        st = error_set(err, STATUS_PRECONDITION, "the log was not rolled back");
    while (st == STATUS_OK && log_state_rolled_back(store->state, &found))
        st = accept_one(store, found.sequence, err);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "accept that the log was rolled back");
}
