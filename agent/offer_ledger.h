/* agent/offer_ledger.h: where the offers of an upload stand, by their numbers (0, 1, 2 ... in their order), and whether
 * one more may be made: so many undecided and so many incomplete ones, no more, are what the coordinator keeps in
 * memory (architecture, section 6). Pure. Thread: whoever owns the ledger.
 *
 *     OLDEST <= decided <= written <= closed: the one that is being filled has the number CLOSED */
#ifndef AGENT_OFFER_LEDGER_H
#define AGENT_OFFER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    OFFER_LEDGER_UNDECIDED_MAX = 16, /* closed, and not decided */
    OFFER_LEDGER_INCOMPLETE_MAX =
        1024, /* closed, from the oldest on of which a wanted block is not sent */
};

/* Zeroed: there was none yet. */
struct offer_ledger {
    uint64_t closed, written, decided,
        oldest; /* numbers; OLDEST is the first that is not complete */
    uint16_t missing[OFFER_LEDGER_INCOMPLETE_MAX]; /* of each decided one: wanted blocks not sent */
};

/* The offer that is being filled shall be sent. False: not now, the ledger is as it was. */
NODISCARD bool offer_ledger_close(struct offer_ledger *ledger);

/* The oldest undecided one, which was written, is decided: WANTED blocks of it are to be sent. */
void offer_ledger_decide(struct offer_ledger *ledger, uint16_t wanted);

/* One wanted block of offer NUMBER was sent. */
void offer_ledger_sent(struct offer_ledger *ledger, uint64_t number);

#endif
