#include <inttypes.h>

#include "base/fault.h"
#include "coordinator/store/store_private.h"
#include "coordinator/store/thing.h"

enum { RESERVE_MAX = 4096 };

/* --- numbers ----------------------------------------------------------------------------------- */

static enum status write_range(struct store *store, uint64_t count, struct error *err)
{
    const struct log_numbers numbers = {
        .first = number_of(log_state_space(store->state), store->end),
        .count = count,
    };
    struct buffer body;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    log_numbers_encode(&numbers, &body);

    enum status st = store_write_entry(store, LOG_NUMBERS, &body, err);

    buffer_deinit(&body);
    return st == STATUS_OK ? STATUS_OK : error_wrap(err, "reserve numbers");
}

/* Reserves the range behind END. */
static enum status reserve_range(struct store *store, struct error *err)
{
    uint64_t count = store->options.number_range;
    enum status st = store_settle_rollback(store, err); /* it may begin another space */

    if (st != STATUS_OK)
        return st;
    if (store->end > NUMBER_SEQUENCE_MAX || count > NUMBER_SEQUENCE_MAX - store->end)
        return error_set(err, STATUS_EXHAUSTED, "the log's space has no numbers left");
    st = write_range(store, count, err);
    if (st != STATUS_OK)
        return st;
    store->end += count;
    return fault_point("store.after_reserve", err);
}

enum status store_reserve(struct store *store, size_t count, uint64_t *ret_first, struct error *err)
{
    enum status st = STATUS_OK;

    if (count == 0 || count > RESERVE_MAX)
        return error_set(err, STATUS_INVALID, "%zu numbers cannot be reserved at once", count);
    while (st == STATUS_OK && store->end - store->next < count)
        st = reserve_range(store, err);
    if (st != STATUS_OK)
        return st;
    *ret_first = number_of(log_state_space(store->state), store->next);
    store->next += count;
    return STATUS_OK;
}

/* --- records ----------------------------------------------------------------------------------- */

enum status store_find(struct store *store, const struct store_domain *domain, const struct id *ids,
                       size_t count, uint64_t *ret_numbers, struct error *err)
{
    enum status st = store_require_records(store, err);

    return st == STATUS_OK ? records_find(store->records, &domain->id, ids, count, ret_numbers, err)
                           : st;
}

/* May records of DOMAIN be appended? */
static enum status check_domain(const struct store *store, const struct random_id *domain,
                                struct error *err)
{
    const struct store_domain *found = domains_find(&store->domains, domain);

    if (found == NULL)
        return error_set(err, STATUS_INVALID,
                         "the record is of a deduplication domain that this repository has not");
    if (found->state != LOG_DOMAIN_USED)
        return error_set(err, STATUS_PRECONDITION,
                         "the deduplication domain \"%s\" is retired: nothing new is stored in it",
                         found->name);
    return STATUS_OK;
}

/* Is RECORD one that may be appended here? Its payload is not looked at. */
static enum status check_record(const struct store *store, struct slice record,
                                struct record_header *ret_header, struct error *err)
{
    struct record_header header;
    enum status st = record_decode_header(record, &header, err);

    if (st != STATUS_OK)
        return st;
    if (record_size(&header) != record.size)
        return error_set(err, STATUS_INVALID, "a record of %zu bytes says that it has %zu",
                         record.size, record_size(&header));
    if (header.kind == KIND_PACK_INDEX)
        return error_set(err, STATUS_INVALID, "a pack's index is no record of its own");
    st = check_domain(store, &header.domain, err);
    if (st != STATUS_OK)
        return st;
    if (number_space(header.number) != log_state_space(store->state) ||
        number_sequence(header.number) == 0 || number_sequence(header.number) >= store->next)
        return error_set(err, STATUS_INVALID, "number %" PRIu64 " was not reserved here",
                         header.number);
    *ret_header = header;
    return STATUS_OK;
}

enum status store_append(struct store *store, struct slice record, uint64_t *ret_number,
                         struct error *err)
{
    struct record_header header;
    uint64_t number = 0;
    enum status st = store_require_records(store, err);

    if (st == STATUS_OK)
        st = check_record(store, record, &header, err);
    if (st == STATUS_OK)
        st = records_find(store->records, &header.domain, &header.id, 1, &number, err);
    if (st == STATUS_OK && number == 0) {
        st = records_append(store->records, record, &header, err);
        number = header.number;
    }
    if (st != STATUS_OK)
        return error_wrap(err, "store a record");
    *ret_number = number;
    return STATUS_OK;
}

/* Packs and seals STORED under a number of its own, and appends it. */
static enum status put_new(struct store *store, const struct store_domain *domain, uint8_t kind,
                           const struct id *id, struct slice stored, uint64_t *ret_number,
                           struct error *err)
{
    struct record_header what = {
        .kind = kind,
        .domain = domain->id,
        .id = *id,
        .plain_length = (uint32_t)stored.size,
    };
    enum codec codec = CODEC_PLAIN;
    enum status st = store_reserve(store, 1, &what.number, err);

    if (st != STATUS_OK)
        return st;
    buffer_clear(&store->packed);
    buffer_clear(&store->record);
    st = codec_compress(store->codec, stored, &store->packed, &codec, err);
    what.codec = (uint8_t)codec;
    if (st == STATUS_OK)
        st = record_seal(store->keys, store->options.random, &what, buffer_slice(&store->packed),
                         &store->record, err);
    if (st == STATUS_OK)
        st = store_append(store, buffer_slice(&store->record), ret_number, err);
    return st;
}

enum status store_put(struct store *store, const struct store_domain *domain, uint8_t kind,
                      struct slice plain, struct slice stored, struct ref *ret_ref,
                      struct error *err)
{
    struct ref ref = {0};

    if (stored.size == 0 || stored.size > RECORD_PLAIN_MAX)
        return error_set(err, STATUS_INVALID, "%zu bytes are no record", stored.size);
    enum status st = id_of(domain->id_key, kind, plain, &ref.id, err);

    if (st == STATUS_OK)
        st = store_find(store, domain, &ref.id, 1, &ref.number, err);
    if (st == STATUS_OK && ref.number == 0)
        st = put_new(store, domain, kind, &ref.id, stored, &ref.number, err);
    if (st == STATUS_OK)
        *ret_ref = ref;
    return st;
}

/* The record with NUMBER. One that is not here although packs were lost was in one of those. */
static enum status read_record(struct store *store, uint64_t number,
                               struct record_header *ret_header, struct buffer *ret_record,
                               struct error *err)
{
    struct error missing = {0};
    enum status st = store_require_records(store, err);

    if (st != STATUS_OK)
        return st;
    st = records_read(store->records, number, ret_header, ret_record, &missing);
    if (st == STATUS_OK)
        return STATUS_OK;
    if (st == STATUS_NOT_FOUND && store->found.missing_packs > 0)
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64
                         " is in no pack that is here; %zu packs are missing: see "
                         "the coordinator's log",
                         number, store->found.missing_packs);
    if (st == STATUS_NOT_FOUND && store->found.left_out > 0)
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " is not here; %" PRIu64
                         " records were left out, damaged or because something that they need is "
                         "missing: see the coordinator's log",
                         number, store->found.left_out);
    *err = missing;
    return st;
}

enum status store_fetch(struct store *store, uint64_t number, struct buffer *ret_record,
                        struct error *err)
{
    struct record_header header;

    return read_record(store, number, &header, ret_record, err);
}

enum status store_places(struct store *store, const uint64_t *numbers, size_t count,
                         struct place *ret_places, struct error *err)
{
    enum status st = store_require_records(store, err);

    return st == STATUS_OK ? records_places(store->records, numbers, count, ret_places, err) : st;
}

enum status store_read_pack(struct store *store, const struct random_id *pack, uint64_t offset,
                            void *data, size_t length, struct error *err)
{
    enum status st = store_require_records(store, err);

    if (st != STATUS_OK)
        return st;
    return pack_set_read_bytes(records_packs(store->records), pack, offset, data, length, err);
}

/* The record that REF names, whose KIND, domain and id are right, into the store's scratch. */
static enum status read_named(struct store *store, const struct store_domain *domain, uint8_t kind,
                              const struct ref *ref, struct error *err)
{
    char name[KIND_TEXT_SIZE];
    struct record_header header;
    enum status st = read_record(store, ref->number, &header, &store->record, err);

    if (st != STATUS_OK)
        return st;
    kind_text(header.kind, name);
    if (header.kind != kind || !id_equal(&header.id, &ref->id) ||
        !random_id_equal(&header.domain, &domain->id))
        return error_set(err, STATUS_CORRUPT,
                         "record %" PRIu64 " is a %s, and not what is wanted under that number",
                         ref->number, name);
    return STATUS_OK;
}

enum status store_read(struct store *store, const struct store_domain *domain, uint8_t kind,
                       const struct ref *ref, struct buffer *ret_stored, struct error *err)
{
    struct record_header header;
    enum status st = read_named(store, domain, kind, ref, err);

    if (st != STATUS_OK)
        return st;
    st = record_open(store->keys, store->codec, buffer_slice(&store->record), &header, ret_stored,
                     err);
    if (st == STATUS_OK && (kind == KIND_BLOCK || kind == KIND_BODY))
        st = thing_check(domain->id_key, kind, buffer_slice(ret_stored), &ref->id, err);
    if (st != STATUS_OK)
        return error_wrap(err, "record %" PRIu64, ref->number);
    return STATUS_OK;
}

enum status store_sync(struct store *store, struct error *err)
{
    enum status st = store_require_records(store, err);

    return st == STATUS_OK ? records_sync(store->records, err) : st;
}
