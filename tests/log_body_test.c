#include "format/log_body.h"

#include <string.h>

#include "base/memory.h"
#include "tests/support/test.h"

enum { BYTES_MAX = 2 * LOG_ENTRY_BODY_MAX };

typedef enum status again_function(struct slice body, struct buffer *target, struct error *err);

static enum status space_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_space space = {0};
    enum status st = log_space_decode(body, &space, err);

    if (st == STATUS_OK)
        log_space_encode(&space, target);
    return st;
}

static enum status numbers_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_numbers numbers = {0};
    enum status st = log_numbers_decode(body, &numbers, err);

    if (st == STATUS_OK)
        log_numbers_encode(&numbers, target);
    return st;
}

static enum status point_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_point point = {.task = {{0}}};
    enum status st = log_point_decode(body, &point, err);

    if (st == STATUS_OK)
        log_point_encode(&point, target);
    return st;
}

static enum status tracking_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_tracking tracking = {.vm = {{0}}};
    enum status st = log_tracking_decode(body, &tracking, err);

    if (st == STATUS_OK)
        log_tracking_encode(&tracking, target);
    return st;
}

static enum status until_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_until until = {.until_us = 0};
    enum status st = log_until_decode(body, &until, err);

    if (st == STATUS_OK)
        log_until_encode(&until, target);
    return st;
}

static enum status named_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_named named = {.task = {{0}}};
    enum status st = log_named_decode(body, &named, err);

    if (st == STATUS_OK)
        log_named_encode(&named, target);
    return st;
}

static enum status hold_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_hold hold = {.held = false};
    enum status st = log_hold_decode(body, &hold, err);

    if (st == STATUS_OK)
        log_hold_encode(&hold, target);
    return st;
}

static enum status task_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_task task = {.epoch = 0};
    enum status st = log_task_decode(body, &task, err);

    if (st == STATUS_OK)
        log_task_encode(&task, target);
    return st;
}

static enum status session_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_session session = {.blocks = 0};
    enum status st = log_session_decode(body, &session, err);

    if (st == STATUS_OK)
        log_session_encode(&session, target);
    return st;
}

static enum status condemn_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_condemn condemn = {.sweep = 0};
    enum status st = log_condemn_decode(body, &condemn, err);

    if (st == STATUS_OK)
        log_condemn_encode(&condemn, target);
    return st;
}

static enum status domain_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_domain domain = {.domain = {{0}}};
    enum status st = log_domain_decode(body, &domain, err);

    if (st == STATUS_OK)
        log_domain_encode(&domain, target);
    return st;
}

static enum status rollback_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_rollback rollback = {.sequence = 0};
    enum status st = log_rollback_decode(body, &rollback, err);

    if (st == STATUS_OK)
        log_rollback_encode(&rollback, target);
    return st;
}

static enum status accept_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_accept accept = {.sequence = 0};
    enum status st = log_accept_decode(body, &accept, err);

    if (st == STATUS_OK)
        log_accept_encode(&accept, target);
    return st;
}

/* Item by item, so that what log_item_take() says is looked at too. */
static enum status summary_again(struct slice body, struct buffer *target, struct error *err)
{
    struct log_summary summary = {.part = 0};
    enum status st = log_summary_decode(body, &summary, err);

    if (st != STATUS_OK)
        return st;

    struct log_summary head = {.part = summary.part, .parts = summary.parts};

    log_summary_encode(&head, target);
    while (summary.items.size > 0) {
        struct log_item item = {.type = 0};

        ASSERT_OK(log_item_take(&summary.items, &item, err), err);
        log_item_encode(&item, target);
    }
    return STATUS_OK;
}

/* BODY comes back as it is; no part of it does, nor with a byte more; a changed bit is refused or comes back
 * too. */
static void assert_strict(struct buffer *body, again_function *again)
{
    struct buffer out;
    struct error err = {0};

    buffer_init(&out, BYTES_MAX);
    ASSERT_OK(again(buffer_slice(body), &out, &err), &err);
    assert_true(slice_equal(buffer_slice(body), buffer_slice(&out)));
    for (size_t size = 0; size < body->size; size++) {
        uint8_t *cut = memory_resize(NULL, size, 1);

        assert_non_null(cut);
        memcpy(cut, body->data, size);
        ASSERT_STATUS(STATUS_CORRUPT, again(slice_of(cut, size), &out, &err), &err);
        memory_free(cut);
    }
    for (size_t bit = 0; bit < 8 * body->size; bit++) {
        body->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        buffer_clear(&out);
        if (again(buffer_slice(body), &out, &err) == STATUS_OK)
            assert_true(slice_equal(buffer_slice(body), buffer_slice(&out)));
        else
            assert_int_equal(err.status, STATUS_CORRUPT);
        body->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buffer_put_u8(body, 0);
    ASSERT_STATUS(STATUS_CORRUPT, again(buffer_slice(body), &out, &err), &err);
    buffer_deinit(&out);
}

static struct log_point some_point(void)
{
    struct log_point point = {.envelope = {.number = 5}, .packs = {.count = 2}};

    memset(&point.task, 1, sizeof(point.task));
    memset(&point.domain, 3, sizeof(point.domain));
    memset(&point.envelope.id, 2, sizeof(point.envelope.id));
    point.packs.packs[0] = (struct log_point_pack){.name = {{8}}, .synced = 7};
    point.packs.packs[1].synced = UINT64_MAX;
    point.packs.packs[1].name.bytes[3] = 9;
    return point;
}

static void each_body_is_exactly_its_layout(void **state)
{
    static const uint8_t signature[SIGN_SIZE] = {1, 2, 3};
    struct log_space space = {.space = 0x010203, .public_key = {4, 1}};
    struct log_numbers numbers = {.first = number_of(0x010203, 1), .count = 1024};
    struct log_point point = some_point();
    struct log_tracking tracking = {.vm = {{3}},
                                    .tracking = {.body = slice_of_text("tracking"),
                                                 .signature = slice_of(signature, SIGN_SIZE),
                                                 .certificate = slice_of_text("certificate")}};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_space_encode(&space, &body);
    assert_int_equal(body.size, 4 + 65);
    assert_strict(&body, space_again);
    buffer_clear(&body);
    log_numbers_encode(&numbers, &body);
    assert_int_equal(body.size, 16);
    assert_strict(&body, numbers_again);
    buffer_clear(&body);
    log_point_encode(&point, &body);
    assert_int_equal(body.size, 16 + 16 + 40 + 2 + 2 * 24);
    assert_strict(&body, point_again);
    buffer_clear(&body);
    log_tracking_encode(&tracking, &body);
    assert_strict(&body, tracking_again);
    buffer_deinit(&body);
}

static void assert_space(enum status expected, uint32_t number)
{
    struct log_space space = {.space = number};
    struct buffer body;
    struct error err = {0};

    buffer_init(&body, BYTES_MAX);
    log_space_encode(&space, &body);
    ASSERT_STATUS(expected, log_space_decode(buffer_slice(&body), &space, &err), &err);
    buffer_deinit(&body);
}

static void a_space_has_24_bits_and_is_not_0(void **state)
{
    (void)state;
    assert_space(STATUS_OK, 1);
    assert_space(STATUS_OK, NUMBER_SPACE_MAX);
    assert_space(STATUS_CORRUPT, 0);
    assert_space(STATUS_CORRUPT, NUMBER_SPACE_MAX + 1);
}

static void assert_numbers(enum status expected, uint64_t first, uint64_t count)
{
    struct log_numbers numbers = {.first = first, .count = count};
    struct buffer body;
    struct error err = {0};

    buffer_init(&body, BYTES_MAX);
    log_numbers_encode(&numbers, &body);
    ASSERT_STATUS(expected, log_numbers_decode(buffer_slice(&body), &numbers, &err), &err);
    buffer_deinit(&body);
}

static void numbers_stay_in_their_space(void **state)
{
    (void)state;
    assert_numbers(STATUS_OK, number_of(1, 1), 1);
    assert_numbers(STATUS_OK, number_of(1, 0), NUMBER_SEQUENCE_MAX + 1);
    assert_numbers(STATUS_OK, number_of(NUMBER_SPACE_MAX, NUMBER_SEQUENCE_MAX), 1);
    assert_numbers(STATUS_CORRUPT, number_of(1, 1), 0);
    assert_numbers(STATUS_CORRUPT, number_of(0, 1), 1);
    assert_numbers(STATUS_CORRUPT, number_of(1, 1), NUMBER_SEQUENCE_MAX + 1);
    assert_numbers(STATUS_CORRUPT, number_of(1, NUMBER_SEQUENCE_MAX), 2);
    assert_numbers(STATUS_CORRUPT, number_of(1, 1), UINT64_MAX);
}

static void assert_point(enum status expected, const struct log_point *point)
{
    struct log_point back;
    struct buffer body;
    struct error err = {0};

    buffer_init(&body, BYTES_MAX);
    log_point_encode(point, &body);
    ASSERT_STATUS(expected, log_point_decode(buffer_slice(&body), &back, &err), &err);
    buffer_deinit(&body);
}

static void a_point_has_an_envelope_and_up_to_256_packs(void **state)
{
    struct log_point point = some_point();
    struct log_point back;
    struct buffer body;
    struct error err = {0};

    (void)state;
    point.packs.count = 0;
    assert_point(STATUS_OK, &point);
    point.packs.count = LOG_POINT_PACKS_MAX;
    for (size_t i = 0; i < LOG_POINT_PACKS_MAX; i++)
        point.packs.packs[i].name.bytes[0] = 1;
    assert_point(STATUS_OK, &point);
    buffer_init(&body, BYTES_MAX);
    log_point_encode(&point, &body);
    body.data[72]++; /* 257 of them */
    assert_non_null(buffer_extend(&body, 24));
    ASSERT_STATUS(STATUS_CORRUPT, log_point_decode(buffer_slice(&body), &back, &err), &err);
    buffer_deinit(&body);
    point.envelope.number = 0;
    assert_point(STATUS_CORRUPT, &point);
    point = some_point();
    memset(&point.envelope.id, 0, ID_SIZE);
    assert_point(STATUS_CORRUPT, &point);
    point = some_point();
    point.task = (struct random_id){{0}};
    assert_point(STATUS_CORRUPT, &point);
    point = some_point();
    point.domain = (struct random_id){{0}};
    assert_point(STATUS_CORRUPT, &point);
    point = some_point();
    point.packs.packs[1].name = (struct random_id){{0}};
    assert_point(STATUS_CORRUPT, &point);
}

/* --- each of the later types --- */

static const struct random_id task = {{1, 2}};
static const struct random_id other = {{3, 4}};

/* Encoded by ENCODE, which has filled BODY: SIZE bytes, and strict. */
static void assert_layout(struct buffer *body, size_t size, again_function *again)
{
    assert_int_equal(body->size, size);
    assert_strict(body, again);
    buffer_clear(body);
}

static void what_is_done_to_a_point_is_exactly_its_layout(void **state)
{
    const struct log_until until = {.task = task, .until_us = -5};
    const struct log_named named = {.task = task};
    const struct log_hold held = {.task = task, .held = true, .reason = "a l\xc3\xa4wsuit"};
    const struct log_hold let_go = {.task = task};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_until_encode(&until, &body);
    assert_layout(&body, 24, until_again);
    log_named_encode(&named, &body);
    assert_layout(&body, 16, named_again);
    log_hold_encode(&held, &body);
    assert_layout(&body, 16 + 1 + 2 + 10, hold_again);
    log_hold_encode(&let_go, &body);
    assert_layout(&body, 16 + 1 + 2, hold_again);
    buffer_deinit(&body);
}

static void tasks_and_partial_trees_are_exactly_their_layout(void **state)
{
    const struct log_task noted = {.task = task,
                                   .vm = other,
                                   .epoch = 3,
                                   .state = LOG_TASK_FROZEN,
                                   .detail = slice_of_text("noted")};
    const struct log_task ended = {.task = task, .vm = other, .state = LOG_TASK_ENDED};
    struct log_session session = {.task = task,
                                  .disk = {9},
                                  .domain = other,
                                  .blocks = 77,
                                  .root = {.id = {{5}}, .number = 6},
                                  .packs = {.count = 1}};
    const struct log_session let_go = {.task = task, .disk = {9}, .domain = other};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_task_encode(&noted, &body);
    assert_layout(&body, 16 + 16 + 4 + 1 + 4 + 5, task_again);
    log_task_encode(&ended, &body);
    assert_layout(&body, 16 + 16 + 4 + 1 + 4, task_again);
    session.packs.packs[0] = (struct log_point_pack){.name = other, .synced = 8};
    log_session_encode(&session, &body);
    assert_layout(&body, 16 + 16 + 16 + 8 + 40 + 2 + 24, session_again);
    log_session_encode(&let_go, &body);
    assert_layout(&body, 16 + 16 + 16 + 8 + 40 + 2, session_again);
    buffer_deinit(&body);
}

static void what_concerns_the_whole_repository_is_exactly_its_layout(void **state)
{
    static const uint8_t numbers[16] = {1, 0, 0, 0, 0, 0, 0, 0, 2};
    const struct log_condemn condemn = {.sweep = 7,
                                        .pack = other,
                                        .last = true,
                                        .count = 2,
                                        .numbers = slice_of(numbers, sizeof(numbers))};
    const struct log_condemn none = {.pack = other};
    const struct log_domain domain = {.domain = other,
                                      .state = LOG_DOMAIN_RETIRED,
                                      .name = "cluster-1"};
    const struct log_rollback rollback = {.writer = other, .sequence = 9, .hash = {{1}}};
    const struct log_accept accept = {.sequence = 10};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_condemn_encode(&condemn, &body);
    assert_layout(&body, 8 + 16 + 1 + 4 + 16, condemn_again);
    log_condemn_encode(&none, &body);
    assert_layout(&body, 8 + 16 + 1 + 4, condemn_again);
    log_domain_encode(&domain, &body);
    assert_layout(&body, 16 + 1 + 2 + 9, domain_again);
    log_rollback_encode(&rollback, &body);
    assert_layout(&body, 16 + 8 + 32, rollback_again);
    log_accept_encode(&accept, &body);
    assert_layout(&body, 8, accept_again);
    buffer_deinit(&body);
}

static void put_item(struct buffer *items, uint64_t sequence, const char *text)
{
    const struct log_item item = {.type = LOG_NUMBERS,
                                  .sequence = sequence,
                                  .time_us = -1,
                                  .body = slice_of_text(text)};

    log_item_encode(&item, items);
}

/* A summary is not assert_strict(): cut between two items it is another one. */
static void assert_summary(enum status expected, uint32_t part, uint32_t parts, struct slice items)
{
    struct log_summary summary = {.part = part, .parts = parts, .items = items};
    struct buffer body;
    struct buffer out;
    struct error err = {0};

    buffer_init(&body, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    log_summary_encode(&summary, &body);
    ASSERT_STATUS(expected, summary_again(buffer_slice(&body), &out, &err), &err);
    if (expected == STATUS_OK)
        assert_true(slice_equal(buffer_slice(&body), buffer_slice(&out)));
    buffer_deinit(&body);
    buffer_deinit(&out);
}

static void the_parts_of_a_summary_are_whole_items(void **state)
{
    struct buffer items;
    size_t first = 0;

    (void)state;
    buffer_init(&items, BYTES_MAX);
    put_item(&items, 1, "one");
    first = items.size;
    assert_int_equal(first, LOG_SUMMARY_ITEM_HEAD_SIZE + 3);
    put_item(&items, 7, "");
    for (size_t size = 0; size <= items.size; size++) {
        bool whole = size == first || size == items.size;
        uint8_t *cut = memory_resize(NULL, size, 1);

        assert_non_null(cut);
        memcpy(cut, items.data, size);
        assert_summary(whole || size == 0 ? STATUS_OK : STATUS_CORRUPT, 0, 1, slice_of(cut, size));
        assert_summary(whole ? STATUS_OK : STATUS_CORRUPT, 1, 2, slice_of(cut, size));
        memory_free(cut);
    }
    buffer_deinit(&items);
}

static void a_summary_has_no_part_beyond_its_parts(void **state)
{
    struct buffer items;

    (void)state;
    buffer_init(&items, BYTES_MAX);
    put_item(&items, 1, "one");
    assert_summary(STATUS_CORRUPT, 0, 0, buffer_slice(&items));
    assert_summary(STATUS_CORRUPT, 1, 1, buffer_slice(&items));
    assert_summary(STATUS_OK, LOG_SUMMARY_PARTS_MAX - 1, LOG_SUMMARY_PARTS_MAX,
                   buffer_slice(&items));
    assert_summary(STATUS_CORRUPT, 0, LOG_SUMMARY_PARTS_MAX + 1, buffer_slice(&items));
    buffer_deinit(&items);
}

static void the_items_of_a_summary_ascend_and_are_no_summaries(void **state)
{
    struct log_item summary = {.type = LOG_SUMMARY, .sequence = 1};
    struct buffer items;

    (void)state;
    buffer_init(&items, BYTES_MAX);
    put_item(&items, 0, "none");
    assert_summary(STATUS_CORRUPT, 0, 1, buffer_slice(&items));
    buffer_clear(&items);
    put_item(&items, 5, "five");
    put_item(&items, 5, "five");
    assert_summary(STATUS_CORRUPT, 0, 1, buffer_slice(&items));
    buffer_clear(&items);
    put_item(&items, 5, "five");
    put_item(&items, 4, "four");
    assert_summary(STATUS_CORRUPT, 0, 1, buffer_slice(&items));
    buffer_clear(&items);
    log_item_encode(&summary, &items);
    assert_summary(STATUS_CORRUPT, 0, 1, buffer_slice(&items));
    buffer_deinit(&items);
}

/* BODY, which is emptied, is refused. */
static void assert_body_refused(struct buffer *body, again_function *again)
{
    struct buffer out;
    struct error err = {0};

    buffer_init(&out, BYTES_MAX);
    ASSERT_STATUS(STATUS_CORRUPT, again(buffer_slice(body), &out, &err), &err);
    buffer_deinit(&out);
    buffer_clear(body);
}

static void ids_of_zeros_are_refused(void **state)
{
    static const uint8_t zeros[16];
    const struct log_until until = {.until_us = 1};
    const struct log_named named = {.task = {{0}}};
    const struct log_hold hold = {.held = true};
    const struct log_task no_task = {.vm = other, .state = LOG_TASK_INTENDED};
    const struct log_task no_vm = {.task = task, .state = LOG_TASK_INTENDED};
    const struct log_session no_session = {.domain = other};
    const struct log_session no_domain = {.task = task};
    const struct log_condemn condemn = {.sweep = 1};
    const struct log_domain domain = {.state = LOG_DOMAIN_USED, .name = "a"};
    const struct log_rollback rollback = {.sequence = 1};
    struct log_tracking tracking = {
        .tracking = {.body = slice_of(zeros, 1), .certificate = slice_of(zeros, 1)}};
    uint8_t signature[SIGN_SIZE] = {0};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_until_encode(&until, &body);
    assert_body_refused(&body, until_again);
    log_named_encode(&named, &body);
    assert_body_refused(&body, named_again);
    log_hold_encode(&hold, &body);
    assert_body_refused(&body, hold_again);
    log_task_encode(&no_task, &body);
    assert_body_refused(&body, task_again);
    log_task_encode(&no_vm, &body);
    assert_body_refused(&body, task_again);
    log_session_encode(&no_session, &body);
    assert_body_refused(&body, session_again);
    log_session_encode(&no_domain, &body);
    assert_body_refused(&body, session_again);
    log_condemn_encode(&condemn, &body);
    assert_body_refused(&body, condemn_again);
    log_domain_encode(&domain, &body);
    assert_body_refused(&body, domain_again);
    log_rollback_encode(&rollback, &body);
    assert_body_refused(&body, rollback_again);
    tracking.tracking.signature = slice_of(signature, sizeof(signature));
    log_tracking_encode(&tracking, &body);
    assert_body_refused(&body, tracking_again);
    buffer_deinit(&body);
}

static void sequence_0_is_no_entrys(void **state)
{
    const struct log_rollback rollback = {.writer = other};
    const struct log_accept accept = {.sequence = 0};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_rollback_encode(&rollback, &body);
    assert_body_refused(&body, rollback_again);
    log_accept_encode(&accept, &body);
    assert_body_refused(&body, accept_again);
    buffer_deinit(&body);
}

static void states_that_are_none_are_refused(void **state)
{
    struct buffer body;
    struct buffer out;
    struct error err = {0};

    (void)state;
    buffer_init(&body, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        const struct log_task of_task = {.task = task,
                                         .vm = other,
                                         .state = (enum log_task_state)i};
        const struct log_domain of_domain = {.domain = other,
                                             .state = (enum log_domain_state)i,
                                             .name = "a"};

        buffer_clear(&body);
        log_task_encode(&of_task, &body);
        ASSERT_STATUS(i >= 1 && i <= 5 ? STATUS_OK : STATUS_CORRUPT,
                      task_again(buffer_slice(&body), &out, &err), &err);
        buffer_clear(&body);
        log_domain_encode(&of_domain, &body);
        ASSERT_STATUS(i >= 1 && i <= 2 ? STATUS_OK : STATUS_CORRUPT,
                      domain_again(buffer_slice(&body), &out, &err), &err);
    }
    buffer_deinit(&body);
    buffer_deinit(&out);
}

static void a_hold_that_is_let_go_has_no_reason(void **state)
{
    const struct log_hold let_go = {.task = task, .reason = "why"};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_hold_encode(&let_go, &body);
    assert_body_refused(&body, hold_again);
    buffer_deinit(&body);
}

static void a_domain_has_a_name_of_1_to_255_bytes(void **state)
{
    struct log_domain domain = {.domain = other, .state = LOG_DOMAIN_USED};
    struct buffer body;
    struct buffer out;
    struct error err = {0};

    (void)state;
    buffer_init(&body, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    log_domain_encode(&domain, &body);
    assert_body_refused(&body, domain_again);
    memset(domain.name, 'd', 255);
    log_domain_encode(&domain, &body);
    ASSERT_OK(domain_again(buffer_slice(&body), &out, &err), &err);
    body.data[17] = 0;
    body.data[18] = 1; /* one more, and it is there */
    buffer_put_u8(&body, 'd');
    assert_body_refused(&body, domain_again);
    buffer_deinit(&body);
    buffer_deinit(&out);
}

static void a_partial_tree_has_a_root_or_is_let_go(void **state)
{
    struct log_session session = {.task = task, .domain = other, .blocks = 1};
    struct buffer body;

    (void)state;
    buffer_init(&body, BYTES_MAX);
    log_session_encode(&session, &body);
    assert_body_refused(&body, session_again);
    session.blocks = 0;
    session.packs.count = 1;
    session.packs.packs[0].name = other;
    log_session_encode(&session, &body);
    assert_body_refused(&body, session_again);
    session.packs.count = 0;
    session.root.number = 1;
    log_session_encode(&session, &body);
    assert_body_refused(&body, session_again);
    session.root = (struct ref){.id = {{1}}};
    log_session_encode(&session, &body);
    assert_body_refused(&body, session_again);
    buffer_deinit(&body);
}

static void a_tasks_detail_has_a_bound(void **state)
{
    static uint8_t detail[LOG_TASK_DETAIL_MAX + 1];
    struct log_task noted = {.task = task,
                             .vm = other,
                             .state = LOG_TASK_INTENDED,
                             .detail = slice_of(detail, LOG_TASK_DETAIL_MAX)};
    struct buffer body;
    struct buffer out;
    struct error err = {0};

    (void)state;
    buffer_init(&body, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    log_task_encode(&noted, &body);
    ASSERT_OK(task_again(buffer_slice(&body), &out, &err), &err);
    buffer_clear(&body);
    noted.detail.size++;
    log_task_encode(&noted, &body);
    assert_body_refused(&body, task_again);
    buffer_deinit(&body);
    buffer_deinit(&out);
}

/* A condemned pack of COUNT dead from FIRST on, each STEP above the one before. */
static void put_condemn(struct buffer *body, uint32_t count, uint64_t first, uint64_t step)
{
    struct log_condemn condemn = {.sweep = 1, .pack = other, .count = count};
    struct buffer numbers;

    buffer_init(&numbers, BYTES_MAX);
    for (uint32_t i = 0; i < count; i++)
        buffer_put_u64le(&numbers, first + i * step);
    condemn.numbers = buffer_slice(&numbers);
    buffer_clear(body);
    log_condemn_encode(&condemn, body);
    buffer_deinit(&numbers);
}

static void the_dead_of_a_condemned_pack_ascend_and_have_a_bound(void **state)
{
    struct buffer body;
    struct buffer out;
    struct error err = {0};

    (void)state;
    buffer_init(&body, BYTES_MAX);
    buffer_init(&out, BYTES_MAX);
    put_condemn(&body, 3, number_of(1, NUMBER_SEQUENCE_MAX), 1); /* two spaces */
    ASSERT_OK(condemn_again(buffer_slice(&body), &out, &err), &err);
    put_condemn(&body, 2, 0, 1);
    assert_body_refused(&body, condemn_again);
    put_condemn(&body, 2, 5, 0);
    assert_body_refused(&body, condemn_again);
    put_condemn(&body, 2, 5, UINT64_MAX);
    assert_body_refused(&body, condemn_again);
    put_condemn(&body, LOG_CONDEMN_NUMBERS_MAX, 1, 1);
    assert_true(body.size <= LOG_ENTRY_BODY_MAX - 8 - LOG_SUMMARY_ITEM_HEAD_SIZE);
    ASSERT_OK(condemn_again(buffer_slice(&body), &out, &err), &err);
    put_condemn(&body, LOG_CONDEMN_NUMBERS_MAX + 1, 1, 1);
    assert_body_refused(&body, condemn_again);
    put_condemn(&body, 1, 1, 1);
    body.data[24] = 2; /* neither the last nor not the last */
    assert_body_refused(&body, condemn_again);
    buffer_deinit(&body);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_body_is_exactly_its_layout),
        cmocka_unit_test(a_space_has_24_bits_and_is_not_0),
        cmocka_unit_test(numbers_stay_in_their_space),
        cmocka_unit_test(a_point_has_an_envelope_and_up_to_256_packs),
        cmocka_unit_test(what_is_done_to_a_point_is_exactly_its_layout),
        cmocka_unit_test(tasks_and_partial_trees_are_exactly_their_layout),
        cmocka_unit_test(what_concerns_the_whole_repository_is_exactly_its_layout),
        cmocka_unit_test(the_parts_of_a_summary_are_whole_items),
        cmocka_unit_test(a_summary_has_no_part_beyond_its_parts),
        cmocka_unit_test(the_items_of_a_summary_ascend_and_are_no_summaries),
        cmocka_unit_test(ids_of_zeros_are_refused),
        cmocka_unit_test(sequence_0_is_no_entrys),
        cmocka_unit_test(states_that_are_none_are_refused),
        cmocka_unit_test(a_hold_that_is_let_go_has_no_reason),
        cmocka_unit_test(a_domain_has_a_name_of_1_to_255_bytes),
        cmocka_unit_test(a_partial_tree_has_a_root_or_is_let_go),
        cmocka_unit_test(a_tasks_detail_has_a_bound),
        cmocka_unit_test(the_dead_of_a_condemned_pack_ascend_and_have_a_bound),
    };

    return cmocka_run_group_tests_name("log_body", tests, NULL, NULL);
}
