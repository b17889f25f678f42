#include "format/log_body.h"

#include <inttypes.h>

#include "base/cursor.h"
#include "format/field.h"

/* --- numbers --- */

void log_space_encode(const struct log_space *space, struct buffer *target)
{
    buffer_put_u32le(target, space->space);
    buffer_put(target, slice_of(space->public_key, sizeof(space->public_key)));
}

enum status log_space_decode(struct slice body, struct log_space *ret_space, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_space space = {0};

    space.space = cursor_u32le(&c);
    cursor_copy(&c, space.public_key, sizeof(space.public_key));
    if (field_end(&c, "log entry: a space", err) != STATUS_OK)
        return err->status;
    if (space.space == 0 || space.space > NUMBER_SPACE_MAX)
        return error_set(err, STATUS_CORRUPT, "log entry: there is no number space %" PRIu32,
                         space.space);
    *ret_space = space;
    return STATUS_OK;
}

void log_numbers_encode(const struct log_numbers *numbers, struct buffer *target)
{
    buffer_put_u64le(target, numbers->first);
    buffer_put_u64le(target, numbers->count);
}

enum status log_numbers_decode(struct slice body, struct log_numbers *ret_numbers,
                               struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_numbers numbers = {0};

    numbers.first = cursor_u64le(&c);
    numbers.count = cursor_u64le(&c);
    if (field_end(&c, "log entry: a range of numbers", err) != STATUS_OK)
        return err->status;
    if (number_space(numbers.first) == 0 || numbers.count == 0 ||
        numbers.count - 1 > NUMBER_SEQUENCE_MAX - number_sequence(numbers.first))
        return error_set(err, STATUS_CORRUPT,
                         "log entry: %" PRIu64 " numbers from %" PRIu64 " on are not of one space",
                         numbers.count, numbers.first);
    *ret_numbers = numbers;
    return STATUS_OK;
}

/* --- domains, and heads that were known elsewhere --- */

void log_domain_encode(const struct log_domain *domain, struct buffer *target)
{
    field_put_random_id(target, &domain->domain);
    buffer_put_u8(target, (uint8_t)domain->state);
    field_put_text(target, domain->name);
}

enum status log_domain_decode(struct slice body, struct log_domain *ret_domain, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_domain domain = {.state = LOG_DOMAIN_USED};

    if (field_take_random_id(&c, "its id", &domain.domain, err) != STATUS_OK)
        return error_wrap(err, "log entry: a domain");

    uint8_t state = cursor_u8(&c);

    if (state != LOG_DOMAIN_USED && state != LOG_DOMAIN_RETIRED)
        return error_set(err, STATUS_CORRUPT, "log entry: a domain in state %u, which is none",
                         state);
    domain.state = (enum log_domain_state)state;
    if (field_take_text(&c, "its name", FIELD_EMPTY_REFUSED, domain.name, sizeof(domain.name),
                        err) != STATUS_OK)
        return error_wrap(err, "log entry: a domain");
    if (field_end(&c, "log entry: a domain", err) != STATUS_OK)
        return err->status;
    *ret_domain = domain;
    return STATUS_OK;
}

void log_rollback_encode(const struct log_rollback *rollback, struct buffer *target)
{
    field_put_random_id(target, &rollback->writer);
    buffer_put_u64le(target, rollback->sequence);
    buffer_put(target, slice_of(rollback->hash.bytes, sizeof(rollback->hash.bytes)));
}

enum status log_rollback_decode(struct slice body, struct log_rollback *ret_rollback,
                                struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_rollback rollback = {.sequence = 0};

    if (field_take_random_id(&c, "its writer", &rollback.writer, err) != STATUS_OK)
        return error_wrap(err, "log entry: a rollback");
    rollback.sequence = cursor_u64le(&c);
    cursor_copy(&c, rollback.hash.bytes, sizeof(rollback.hash.bytes));
    if (field_end(&c, "log entry: a rollback", err) != STATUS_OK)
        return err->status;
    if (rollback.sequence == 0)
        return error_set(err, STATUS_CORRUPT, "log entry: a rollback of no head");
    *ret_rollback = rollback;
    return STATUS_OK;
}

void log_accept_encode(const struct log_accept *accept, struct buffer *target)
{
    buffer_put_u64le(target, accept->sequence);
}

enum status log_accept_decode(struct slice body, struct log_accept *ret_accept, struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_accept accept = {.sequence = cursor_u64le(&c)};

    if (field_end(&c, "log entry: a rollback's acceptance", err) != STATUS_OK)
        return err->status;
    if (accept.sequence == 0)
        return error_set(err, STATUS_CORRUPT, "log entry: it accepts no entry");
    *ret_accept = accept;
    return STATUS_OK;
}

/* --- what a collection has emptied --- */

void log_condemn_encode(const struct log_condemn *condemn, struct buffer *target)
{
    buffer_put_u64le(target, condemn->sweep);
    field_put_random_id(target, &condemn->pack);
    buffer_put_u8(target, condemn->last ? 1 : 0);
    buffer_put_u32le(target, condemn->count);
    buffer_put(target, condemn->numbers);
}

/* Are NUMBERS ascending, and none of them 0? */
static bool are_ascending(struct slice numbers)
{
    struct cursor c = cursor_of(numbers);

    for (uint64_t before = 0; cursor_left(&c) > 0;) {
        uint64_t number = cursor_u64le(&c);

        if (number <= before)
            return false;
        before = number;
    }
    return true;
}

enum status log_condemn_decode(struct slice body, struct log_condemn *ret_condemn,
                               struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_condemn condemn = {.sweep = cursor_u64le(&c)};

    if (field_take_random_id(&c, "its pack", &condemn.pack, err) != STATUS_OK)
        return error_wrap(err, "log entry: a condemned pack");

    uint8_t last = cursor_u8(&c);

    condemn.last = last == 1;
    condemn.count = cursor_u32le(&c);
    if (last > 1 || condemn.count > LOG_CONDEMN_NUMBERS_MAX)
        return error_set(err, STATUS_CORRUPT,
                         "log entry: a condemned pack with %" PRIu32 " dead, or a mark %u for the "
                         "last entry: at most %d, and 1",
                         condemn.count, last, LOG_CONDEMN_NUMBERS_MAX);
    condemn.numbers = cursor_take(&c, (size_t)condemn.count * sizeof(uint64_t));
    if (field_end(&c, "log entry: a condemned pack", err) != STATUS_OK)
        return err->status;
    if (!are_ascending(condemn.numbers))
        return error_set(err, STATUS_CORRUPT,
                         "log entry: a condemned pack's dead do not ascend from 1 or above");
    *ret_condemn = condemn;
    return STATUS_OK;
}

/* --- the summary --- */

void log_summary_encode(const struct log_summary *summary, struct buffer *target)
{
    buffer_put_u32le(target, summary->part);
    buffer_put_u32le(target, summary->parts);
    buffer_put(target, summary->items);
}

void log_item_encode(const struct log_item *item, struct buffer *target)
{
    buffer_put_u8(target, item->type);
    buffer_put_u64le(target, item->sequence);
    buffer_put_u64le(target, (uint64_t)item->time_us);
    buffer_put_u32le(target, (uint32_t)item->body.size); /* at most LOG_ENTRY_BODY_MAX */
    buffer_put(target, item->body);
}

enum status log_item_take(struct slice *items, struct log_item *ret_item, struct error *err)
{
    struct cursor c = cursor_of(*items);
    struct log_item item = {.type = cursor_u8(&c)};

    item.sequence = cursor_u64le(&c);
    item.time_us = (int64_t)cursor_u64le(&c);

    uint32_t length = cursor_u32le(&c);

    item.body = cursor_take(&c, length);
    if (!cursor_ok(&c))
        return error_set(err, STATUS_CORRUPT, "log entry: an item of a summary is cut off");
    if (item.type == LOG_SUMMARY || item.sequence == 0)
        return error_set(err, STATUS_CORRUPT,
                         "log entry: an item of a summary is a summary, or has sequence 0");
    *items = slice_of(items->data + c.offset, items->size - c.offset);
    *ret_item = item;
    return STATUS_OK;
}

/* Are ITEMS whole, and ascending? */
static enum status check_items(struct slice items, struct error *err)
{
    for (uint64_t before = 0; items.size > 0;) {
        struct log_item item;
        enum status st = log_item_take(&items, &item, err);

        if (st != STATUS_OK)
            return st;
        if (item.sequence <= before)
            return error_set(err, STATUS_CORRUPT,
                             "log entry: item %" PRIu64 " of a summary is behind item %" PRIu64,
                             item.sequence, before);
        before = item.sequence;
    }
    return STATUS_OK;
}

enum status log_summary_decode(struct slice body, struct log_summary *ret_summary,
                               struct error *err)
{
    struct cursor c = cursor_of(body);
    struct log_summary summary = {.part = cursor_u32le(&c)};

    summary.parts = cursor_u32le(&c);
    summary.items = cursor_take(&c, cursor_left(&c));
    if (field_end(&c, "log entry: a summary", err) != STATUS_OK)
        return err->status;
    if (summary.parts == 0 || summary.parts > LOG_SUMMARY_PARTS_MAX ||
        summary.part >= summary.parts)
        return error_set(err, STATUS_CORRUPT,
                         "log entry: part %" PRIu32 " of a summary of %" PRIu32, summary.part,
                         summary.parts);
    if (summary.items.size == 0 && summary.parts > 1)
        return error_set(err, STATUS_CORRUPT, "log entry: part %" PRIu32 " of a summary is empty",
                         summary.part);

    enum status st = check_items(summary.items, err);

    if (st == STATUS_OK)
        *ret_summary = summary;
    return st;
}
