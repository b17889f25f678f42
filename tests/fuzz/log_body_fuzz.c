/* tests/fuzz/log_body_fuzz.c: format/log_body.h: the bodies of the log's entries, and a summary's items; the first byte of the
 * input says which. What is accepted is encoded again to the same bytes. */
#include "format/log_body.h"

#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Decodes BYTES and encodes again what came out. */
static enum status space(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_space space = {.space = 0};
    enum status st = log_space_decode(bytes, &space, err);

    if (st == STATUS_OK)
        log_space_encode(&space, again);
    return st;
}

static enum status numbers(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_numbers numbers = {.count = 0};
    enum status st = log_numbers_decode(bytes, &numbers, err);

    if (st == STATUS_OK)
        log_numbers_encode(&numbers, again);
    return st;
}

static enum status point(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_point point = {.task = {{0}}};
    enum status st = log_point_decode(bytes, &point, err);

    if (st == STATUS_OK)
        log_point_encode(&point, again);
    return st;
}

static enum status tracking(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_tracking tracking = {.vm = {{0}}};
    enum status st = log_tracking_decode(bytes, &tracking, err);

    if (st == STATUS_OK)
        log_tracking_encode(&tracking, again);
    return st;
}

static enum status until(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_until until = {.until_us = 0};
    enum status st = log_until_decode(bytes, &until, err);

    if (st == STATUS_OK)
        log_until_encode(&until, again);
    return st;
}

static enum status named(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_named named = {.task = {{0}}};
    enum status st = log_named_decode(bytes, &named, err);

    if (st == STATUS_OK)
        log_named_encode(&named, again);
    return st;
}

static enum status hold(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_hold hold = {.held = false};
    enum status st = log_hold_decode(bytes, &hold, err);

    if (st == STATUS_OK)
        log_hold_encode(&hold, again);
    return st;
}

static enum status task(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_task task = {.epoch = 0};
    enum status st = log_task_decode(bytes, &task, err);

    if (st == STATUS_OK)
        log_task_encode(&task, again);
    return st;
}

static enum status session(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_session session = {.blocks = 0};
    enum status st = log_session_decode(bytes, &session, err);

    if (st == STATUS_OK)
        log_session_encode(&session, again);
    return st;
}

static enum status condemn(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_condemn condemn = {.sweep = 0};
    enum status st = log_condemn_decode(bytes, &condemn, err);

    if (st == STATUS_OK)
        log_condemn_encode(&condemn, again);
    return st;
}

static enum status domain(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_domain domain = {.domain = {{0}}};
    enum status st = log_domain_decode(bytes, &domain, err);

    if (st == STATUS_OK)
        log_domain_encode(&domain, again);
    return st;
}

static enum status rollback(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_rollback rollback = {.sequence = 0};
    enum status st = log_rollback_decode(bytes, &rollback, err);

    if (st == STATUS_OK)
        log_rollback_encode(&rollback, again);
    return st;
}

static enum status accept(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_accept accept = {.sequence = 0};
    enum status st = log_accept_decode(bytes, &accept, err);

    if (st == STATUS_OK)
        log_accept_encode(&accept, again);
    return st;
}

static enum status summary(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_summary summary = {.part = 0};
    enum status st = log_summary_decode(bytes, &summary, err);

    if (st != STATUS_OK)
        return st;

    struct log_summary head = {.part = summary.part, .parts = summary.parts};

    log_summary_encode(&head, again);
    while (summary.items.size > 0) {
        struct log_item item = {.type = 0};

        INVARIANT(log_item_take(&summary.items, &item, err) == STATUS_OK);
        log_item_encode(&item, again);
    }
    return STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static enum status (*const bodies[])(struct slice, struct buffer *,
                                         struct error *) = {space,   numbers, point,  tracking,
                                                            until,   named,   hold,   task,
                                                            session, condemn, domain, rollback,
                                                            accept,  summary};

    if (size == 0)
        return 0;

    struct slice bytes = slice_of(input + 1, size - 1);
    struct error err = {0};
    struct buffer again;

    buffer_init(&again, size);
    if (bodies[input[0] % (sizeof(bodies) / sizeof(bodies[0]))](bytes, &again, &err) == STATUS_OK)
        INVARIANT(slice_equal(buffer_slice(&again), bytes));
    else
        INVARIANT(err.status == STATUS_CORRUPT);
    buffer_deinit(&again);
    return 0;
}
