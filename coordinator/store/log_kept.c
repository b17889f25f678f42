#include "coordinator/store/log_kept.h"

#include <string.h>

#include "base/memory.h"

struct log_kept *log_kept_new(uint8_t type, struct slice body, const struct log_packs *packs)
{
    struct log_kept *kept = memory_new(1, sizeof(*kept) + body.size);

    if (kept == NULL)
        return NULL;
    kept->type = type;
    kept->size = body.size;
    if (body.size > 0)
        memcpy(kept->body, body.data, body.size);
    if (packs == NULL || packs->count == 0)
        return kept;
    kept->uses = memory_new(packs->count, sizeof(*kept->uses));
    if (kept->uses == NULL) {
        memory_free(kept);
        return NULL;
    }
    kept->use_count = packs->count;
    for (size_t i = 0; i < kept->use_count; i++)
        kept->uses[i].pack = packs->packs[i];
    return kept;
}

void log_kept_free(struct log_kept *kept)
{
    if (kept == NULL)
        return;
    memory_free(kept->uses);
    memory_free(kept);
}

struct slice log_kept_body(const struct log_kept *kept)
{
    return slice_of(kept->body, kept->size);
}

/* --- packs ------------------------------------------------------------------------------------- */

static struct pack_use *find_first(const struct log_keep *keep, const struct random_id *pack)
{
    struct id_node *node = id_tree_find(&keep->packs, pack->bytes);

    return (struct pack_use *)(void *)node; /* its first member */
}

static void add_use(struct log_keep *keep, struct pack_use *use)
{
    struct pack_use *first = find_first(keep, &use->pack.name);

    if (first == NULL) {
        id_tree_add(&keep->packs, &use->node, use->pack.name.bytes);
        return;
    }
    use->previous = first;
    use->next = first->next;
    if (use->next != NULL)
        use->next->previous = use;
    first->next = use;
}

static void drop_use(struct log_keep *keep, struct pack_use *use)
{
    if (use->next != NULL)
        use->next->previous = use->previous;
    if (use->previous != NULL) {
        use->previous->next = use->next;
        return;
    }
    id_tree_remove(&keep->packs, &use->node);
    if (use->next != NULL)
        id_tree_add(&keep->packs, &use->next->node, use->next->pack.name.bytes);
}

uint64_t log_keep_longest(const struct pack_use *first)
{
    uint64_t longest = 0;

    for (const struct pack_use *use = first; use != NULL; use = use->next) {
        if (use->pack.synced > longest)
            longest = use->pack.synced;
    }
    return longest;
}

const struct pack_use *log_keep_find_pack(const struct log_keep *keep, const struct random_id *pack)
{
    return find_first(keep, pack);
}

/* --- lists ------------------------------------------------------------------------------------- */

void log_keep_add(struct log_keep *keep, struct log_kept *take_kept)
{
    struct log_kept **last = &keep->last[take_kept->type];

    take_kept->previous = *last;
    take_kept->next = NULL;
    if (*last != NULL)
        (*last)->next = take_kept;
    else
        keep->first[take_kept->type] = take_kept;
    *last = take_kept;
    for (size_t i = 0; i < take_kept->use_count; i++)
        add_use(keep, &take_kept->uses[i]);
}

void log_keep_drop(struct log_keep *keep, struct log_kept *kept)
{
    if (kept == NULL)
        return;
    if (kept->previous != NULL)
        kept->previous->next = kept->next;
    else
        keep->first[kept->type] = kept->next;
    if (kept->next != NULL)
        kept->next->previous = kept->previous;
    else
        keep->last[kept->type] = kept->previous;
    for (size_t i = 0; i < kept->use_count; i++)
        drop_use(keep, &kept->uses[i]);
    log_kept_free(kept);
}

void log_keep_clear(struct log_keep *keep)
{
    for (unsigned type = 0; type < LOG_TYPES; type++) {
        while (keep->first[type] != NULL)
            log_keep_drop(keep, keep->first[type]);
    }
}

/* The oldest of the COUNT entries at HEADS, where NULL is none. */
static const struct log_kept **oldest_of(const struct log_kept **heads, size_t count)
{
    const struct log_kept **oldest = NULL;

    for (size_t i = 0; i < count; i++) {
        if (heads[i] != NULL && (oldest == NULL || heads[i]->sequence < (*oldest)->sequence))
            oldest = &heads[i];
    }
    return oldest;
}

enum status log_keep_each(const struct log_keep *keep,
                          enum status (*each)(void *arg, const struct log_item *item,
                                              struct error *err),
                          void *arg, struct error *err)
{
    const struct log_kept *heads[LOG_TYPES];
    const struct log_kept **oldest = NULL;
    enum status st = STATUS_OK;

    for (size_t i = 0; i < LOG_TYPES; i++)
        heads[i] = keep->first[i];
    while (st == STATUS_OK && (oldest = oldest_of(heads, LOG_TYPES)) != NULL) {
        const struct log_kept *kept = *oldest;
        const struct log_item item = {
            .type = kept->type,
            .sequence = kept->sequence,
            .time_us = kept->time_us,
            .body = log_kept_body(kept),
        };

        *oldest = kept->next;
        st = each(arg, &item, err);
    }
    return st;
}
