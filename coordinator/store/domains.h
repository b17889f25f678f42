/* coordinator/store/domains.h: the deduplication domains of a store, each with its id key. What is given out stays where it is
 * until domains_deinit(). Thread: the store's; any may use what was given out. */
#ifndef COORDINATOR_STORE_DOMAINS_H
#define COORDINATOR_STORE_DOMAINS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "coordinator/store/store.h"
#include "format/keys.h"
#include "format/log_body.h"

/* Zeroed: none. Pairs with domains_deinit(). */
struct domains {
    struct store_domain **list; /* the repository's first domain comes first */
    size_t count;
    size_t room;
};

void domains_deinit(struct domains *domains);

/* Makes WHAT's key and adds it; of one that is there already it sets state and name. */
NODISCARD enum status domains_set(struct domains *domains, const struct keys *keys,
                                  const struct log_domain *what, struct error *err);

/* Takes the last one away: its beginning could not be written. */
void domains_drop_last(struct domains *domains);

/* NULL: no such domain. */
const struct store_domain *domains_find(const struct domains *domains, const struct random_id *id);

#endif
