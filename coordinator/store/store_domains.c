#include <string.h>

#include "base/text.h"
#include "coordinator/store/store_private.h"

const struct store_domain *store_default_domain(const struct store *store)
{
    return store->domains.list[0];
}

const struct store_domain *store_find_domain(const struct store *store, const struct random_id *id)
{
    return domains_find(&store->domains, id);
}

static enum status check_name(const struct store *store, const char *name, struct error *err)
{
    size_t size = strlen(name);

    if (size == 0 || size >= LOG_DOMAIN_NAME_SIZE || !text_is_plain(slice_of(name, size)))
        return error_set(err, STATUS_INVALID,
                         "a deduplication domain's name has 1 to %d bytes of text without control "
                         "characters",
                         LOG_DOMAIN_NAME_SIZE - 1);
    for (size_t i = 0; i < store->domains.count; i++) {
        const struct store_domain *domain = store->domains.list[i];

        if (domain->state == LOG_DOMAIN_USED && strcmp(domain->name, name) == 0)
            return error_set(err, STATUS_EXISTS, "there is a deduplication domain \"%s\" already",
                             name);
    }
    return STATUS_OK;
}

static enum status write_domain(struct store *store, const struct log_domain *domain,
                                struct error *err)
{
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_domain_encode(domain, &body);

    enum status st = store_write_entry(store, LOG_DOMAIN, &body, err);

    buffer_deinit(&body);
    return st;
}

enum status store_add_domain(struct store *store, const char *name,
                             const struct store_domain **ret_domain, struct error *err)
{
    struct log_domain domain = {.state = LOG_DOMAIN_USED};
    enum status st = check_name(store, name, err);

    if (st != STATUS_OK)
        return st;
    memcpy(domain.name, name, strlen(name) + 1);
    st = random_bytes(store->options.random, domain.domain.bytes, RANDOM_ID_SIZE, err);
    if (st == STATUS_OK)
        st = domains_set(&store->domains, store->keys, &domain, err);
    if (st != STATUS_OK)
        return st;
    st = write_domain(store, &domain, err);
    if (st != STATUS_OK) {
        domains_drop_last(&store->domains);
        return error_wrap(err, "begin the deduplication domain \"%s\"", name);
    }
    *ret_domain = domains_find(&store->domains, &domain.domain);
    return STATUS_OK;
}
