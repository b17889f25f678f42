#include "agent/offer_ledger.h"

#include "base/invariant.h"

static void advance_oldest(struct offer_ledger *ledger)
{
    while (ledger->oldest < ledger->decided &&
           ledger->missing[ledger->oldest % OFFER_LEDGER_INCOMPLETE_MAX] == 0)
        ledger->oldest++;
}

bool offer_ledger_close(struct offer_ledger *ledger)
{
    if (ledger->closed - ledger->decided == OFFER_LEDGER_UNDECIDED_MAX ||
        ledger->closed - ledger->oldest == OFFER_LEDGER_INCOMPLETE_MAX)
        return false;
    ledger->closed++;
    return true;
}

void offer_ledger_decide(struct offer_ledger *ledger, uint16_t wanted)
{
    INVARIANT(ledger->decided < ledger->written);
    ledger->missing[ledger->decided % OFFER_LEDGER_INCOMPLETE_MAX] = wanted;
    ledger->decided++;
    advance_oldest(ledger);
}

void offer_ledger_sent(struct offer_ledger *ledger, uint64_t number)
{
    uint16_t *missing = &ledger->missing[number % OFFER_LEDGER_INCOMPLETE_MAX];

    INVARIANT(number >= ledger->oldest && number<ledger->decided && * missing> 0);
    (*missing)--;
    advance_oldest(ledger);
}
