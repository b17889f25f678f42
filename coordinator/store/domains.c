#include "coordinator/store/domains.h"

#include <string.h>

#include <openssl/crypto.h>

#include "base/memory.h"

enum { ROOM_LEAST = 4 };

void domains_drop_last(struct domains *domains)
{
    struct store_domain *last = domains->list[--domains->count];

    hash_key_free(last->id_key);
    memory_free(last);
}

void domains_deinit(struct domains *domains)
{
    while (domains->count > 0)
        domains_drop_last(domains);
    memory_free(domains->list);
    *domains = (struct domains){0};
}

static struct store_domain *find(const struct domains *domains, const struct random_id *id)
{
    for (size_t i = 0; i < domains->count; i++) {
        if (random_id_equal(&domains->list[i]->id, id))
            return domains->list[i];
    }
    return NULL;
}

const struct store_domain *domains_find(const struct domains *domains, const struct random_id *id)
{
    return find(domains, id);
}

static enum status make_room(struct domains *domains, struct error *err)
{
    if (domains->count < domains->room)
        return STATUS_OK;
    size_t room = domains->room == 0 ? ROOM_LEAST : domains->room * 2;
    struct store_domain **grown = memory_resize(domains->list, room, sizeof(struct store_domain *));

    if (grown == NULL)
        return error_set_no_memory(err, room * sizeof(struct store_domain *),
                                   "the list of domains");
    domains->list = grown;
    domains->room = room;
    return STATUS_OK;
}

static enum status make_key(const struct keys *keys, const struct random_id *id,
                            struct hash_key **ret_key, struct error *err)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    enum status st = keys_id_key(keys, id, bytes, err);

    if (st == STATUS_OK)
        st = hash_key_new(slice_of(bytes, sizeof(bytes)), ret_key, err);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return st;
}

enum status domains_set(struct domains *domains, const struct keys *keys,
                        const struct log_domain *what, struct error *err)
{
    struct store_domain *domain = find(domains, &what->domain);
    struct hash_key *id_key = NULL;
    enum status st = STATUS_OK;

    if (domain == NULL) {
        st = make_room(domains, err);
        if (st == STATUS_OK)
            st = make_key(keys, &what->domain, &id_key, err);
        if (st != STATUS_OK)
            return st;
        domain = memory_new(1, sizeof(*domain));
        if (domain == NULL) {
            hash_key_free(id_key);
            return error_set_no_memory(err, sizeof(*domain), "a domain");
        }
        domain->id = what->domain;
        domain->id_key = id_key;
        domains->list[domains->count++] = domain;
    }
    domain->state = what->state;
    memcpy(domain->name, what->name, sizeof(domain->name));
    return STATUS_OK;
}
