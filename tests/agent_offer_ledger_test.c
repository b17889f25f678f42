/* tests/agent_offer_ledger_test.c: how many offers may be made, and when the next one may. */
#include "agent/offer_ledger.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

/* As many as may be closed now are, and written. */
static unsigned close_all(struct offer_ledger *ledger)
{
    unsigned count = 0;

    while (offer_ledger_close(ledger))
        count++;
    ledger->written = ledger->closed;
    return count;
}

static void no_more_than_16_are_undecided(void **state)
{
    struct offer_ledger ledger = {0};

    (void)state;
    assert_int_equal(close_all(&ledger), 16);
    offer_ledger_decide(&ledger, 0);
    assert_int_equal(close_all(&ledger), 1);
    offer_ledger_decide(&ledger, 256); /* incomplete, but decided */
    assert_int_equal(close_all(&ledger), 1);
}

static void no_more_than_1024_are_incomplete(void **state)
{
    struct offer_ledger ledger = {0};

    (void)state;
    (void)close_all(&ledger);
    offer_ledger_decide(&ledger, 2);
    while (ledger.decided <
           ledger.closed) { /* nothing is sent of the first one; all others are known */
        offer_ledger_decide(&ledger, 0);
        (void)close_all(&ledger);
    }
    assert_int_equal(ledger.closed, 1024);
    offer_ledger_sent(&ledger, 0);
    assert_int_equal(close_all(&ledger), 0); /* one is still missing */
    offer_ledger_sent(&ledger, 0);
    assert_int_equal(ledger.oldest, 1024);
    assert_int_equal(close_all(&ledger), 16);
}

static void blocks_are_sent_in_any_order(void **state)
{
    struct offer_ledger ledger = {0};

    (void)state;
    (void)close_all(&ledger);
    offer_ledger_decide(&ledger, 1);
    offer_ledger_decide(&ledger, 2);
    offer_ledger_decide(&ledger, 1);
    offer_ledger_sent(&ledger, 2);
    offer_ledger_sent(&ledger, 1);
    assert_int_equal(ledger.oldest, 0);
    offer_ledger_sent(&ledger, 0);
    assert_int_equal(ledger.oldest, 1);
    offer_ledger_sent(&ledger, 1);
    assert_int_equal(ledger.oldest, 3);
}

/* Against a model that remembers all. */
static void limits_hold_in_any_order(void **state)
{
    enum { OFFERS = 20000 };

    static uint16_t missing[OFFERS];
    struct random_seeded random = random_seeded_of(test_seed("agent_offer_ledger"));
    struct offer_ledger ledger = {0};
    uint64_t oldest = 0;

    (void)state;
    while (ledger.closed < OFFERS - 1) {
        uint64_t number = 0;

        if (offer_ledger_close(&ledger))
            ledger.written = ledger.closed;
        if (ledger.decided < ledger.written && random_seeded_below(&random, 3) != 0) {
            missing[ledger.decided] = (uint16_t)random_seeded_below(&random, 3);
            offer_ledger_decide(&ledger, missing[ledger.decided]);
        }
        if (ledger.oldest < ledger.decided) {
            number = ledger.oldest + random_seeded_below(&random, ledger.decided - ledger.oldest);
            if (random_seeded_below(&random, 8) == 0)
                number = ledger.oldest;
            if (missing[number] > 0) {
                missing[number]--;
                offer_ledger_sent(&ledger, number);
            }
        }
        while (oldest < ledger.decided && missing[oldest] == 0)
            oldest++;
        assert_int_equal(ledger.oldest, oldest);
        assert_true(ledger.closed - ledger.decided <= 16);
        assert_true(ledger.closed - oldest <= 1024);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_16_are_undecided),
        cmocka_unit_test(no_more_than_1024_are_incomplete),
        cmocka_unit_test(blocks_are_sent_in_any_order),
        cmocka_unit_test(limits_hold_in_any_order),
    };

    return cmocka_run_group_tests_name("agent_offer_ledger", tests, NULL, NULL);
}
