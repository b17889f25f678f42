#include "recover/things.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/memory.h"
#include "format/disk_root.h"
#include "format/manifest.h"
#include "format/record.h"
#include "format/tree.h"

enum { DOMAINS_MAX = 4096 };

struct domain_key {
    struct random_id domain;
    struct hash_key *key;
};

struct things {
    struct packs *packs;
    const struct keys *keys;
    struct codec_context *codec;
    struct buffer record;
    struct domain_key *domains;
    size_t domain_count;
};

enum status things_new(struct packs *packs, const struct keys *keys, struct codec_context *codec,
                       struct things **ret_things, struct error *err)
{
    struct things *things = memory_new(1, sizeof(*things));

    if (things == NULL)
        return error_set_no_memory(err, sizeof(*things), "what reads records");
    things->packs = packs;
    things->keys = keys;
    things->codec = codec;
    buffer_init(&things->record, RECORD_SIZE_MAX);
    *ret_things = things;
    return STATUS_OK;
}

void things_free(struct things *things)
{
    if (things == NULL)
        return;
    for (size_t i = 0; i < things->domain_count; i++)
        hash_key_free(things->domains[i].key);
    memory_free(things->domains);
    buffer_deinit(&things->record);
    memory_free(things);
}

bool things_lost(enum status status)
{
    return status == STATUS_NOT_FOUND || status == STATUS_CORRUPT;
}

/* ---- Ids ------------------------------------------------------------------------------------- */

static enum status new_domain_key(const struct things *things, const struct random_id *domain,
                                  struct hash_key **ret_key, struct error *err)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    enum status st = keys_id_key(things->keys, domain, bytes, err);

    if (st == STATUS_OK)
        st = hash_key_new(slice_of(bytes, sizeof(bytes)), ret_key, err);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return st;
}

/* The id key of DOMAIN: made once for each. */
static enum status key_of(struct things *things, const struct random_id *domain,
                          const struct hash_key **ret_key, struct error *err)
{
    struct domain_key *grown = NULL;
    struct hash_key *key = NULL;

    for (size_t i = 0; i < things->domain_count; i++) {
        if (random_id_equal(&things->domains[i].domain, domain)) {
            *ret_key = things->domains[i].key;
            return STATUS_OK;
        }
    }
    if (things->domain_count ==
        DOMAINS_MAX) /* damaged ones are sealed by nobody, so these are true */
        return error_set(err, STATUS_EXHAUSTED, "more than %d domains", DOMAINS_MAX);
    grown = memory_resize(things->domains, things->domain_count + 1, sizeof(*grown));
    if (grown == NULL)
        return error_set_no_memory(err, sizeof(*grown), "a domain's key");
    things->domains = grown;

    enum status st = new_domain_key(things, domain, &key, err);

    if (st == STATUS_OK) {
        grown[things->domain_count++] = (struct domain_key){.domain = *domain, .key = key};
        *ret_key = key;
    }
    return st;
}

static enum status id_of_node(const struct hash_key *key, uint8_t kind, struct slice stored,
                              struct id *ret_id, struct error *err)
{
    struct tree_node node = {.level = (uint8_t)(kind - KIND_NODE)};
    enum status st = stored.size == NODE_STORED_SIZE
                         ? tree_node_decode(stored, &node, err)
                         : error_set(err, STATUS_CORRUPT, "a node has not %zu bytes", stored.size);

    return st == STATUS_OK ? tree_node_id(key, &node, ret_id, err) : st;
}

static enum status id_of_root(const struct hash_key *key, uint8_t kind, struct slice stored,
                              struct id *ret_id, struct error *err)
{
    struct disk_root root;
    enum status st = kind == KIND_DISK_ROOT ? disk_root_decode(stored, &root, err)
                                            : file_root_decode(stored, &root, err);

    if (st != STATUS_OK)
        return st;
    return kind == KIND_DISK_ROOT ? disk_root_id(key, &root, ret_id, err)
                                  : file_root_id(key, &root, ret_id, err);
}

static enum status id_of_envelope(const struct hash_key *key, struct slice stored,
                                  struct id *ret_id, struct error *err)
{
    struct envelope envelope = {0};
    enum status st = envelope_decode_stored(stored, &envelope, err);

    if (st == STATUS_OK)
        st = envelope_id(key, &envelope, ret_id, err);
    envelope_deinit(&envelope);
    return st;
}

/* The id of a thing by its stored form: of what is the same plain and stored, over that. */
static enum status id_of_stored(const struct hash_key *key, uint8_t kind, struct slice stored,
                                struct id *ret_id, struct error *err)
{
    if (kind > KIND_NODE)
        return id_of_node(key, kind, stored, ret_id, err);
    if (kind == KIND_DISK_ROOT || kind == KIND_FILE_ROOT)
        return id_of_root(key, kind, stored, ret_id, err);
    if (kind == KIND_ENVELOPE)
        return id_of_envelope(key, stored, ret_id, err);
    return id_of(key, kind, stored, ret_id, err);
}

enum status things_prove(struct things *things, struct slice record,
                         struct record_header *ret_header, struct buffer *ret_stored,
                         struct error *err)
{
    const struct hash_key *key = NULL;
    struct id id;
    enum status st = record_open(things->keys, things->codec, record, ret_header, ret_stored, err);

    if (st == STATUS_UNSUPPORTED) /* another version or codec: to this program as good as damaged */
        st = error_set(err, STATUS_CORRUPT,
                       "a newer program may read this record, this one does not");
    if (st == STATUS_OK && ret_header->kind == KIND_PACK_INDEX)
        return STATUS_OK; /* has no id; the seal is all */
    if (st == STATUS_OK)
        st = key_of(things, &ret_header->domain, &key, err);
    if (st == STATUS_OK)
        st = id_of_stored(key, ret_header->kind, buffer_slice(ret_stored), &id, err);
    if (st == STATUS_OK && !id_equal(&id, &ret_header->id))
        st = error_set(err, STATUS_CORRUPT, "the record's id is not that of its content");
    return st;
}

/* ---- Reading --------------------------------------------------------------------------------- */

bool things_has(const struct things *things, const struct ref *ref)
{
    size_t count = 0;
    const struct spot *spots = packs_find(things->packs, ref->number, &count);

    for (size_t i = 0; i < count; i++)
        if (spots[i].id_bits == spots_id_bits(&ref->id))
            return true;
    return false;
}

/* One copy of it. */
static enum status read_copy(struct things *things, const struct random_id *domain, uint8_t kind,
                             const struct ref *ref, const struct spot *spot,
                             struct buffer *ret_stored, struct error *err)
{
    struct record_header header;
    enum status st = packs_read(things->packs, spot, &things->record, err);

    if (st == STATUS_OK)
        st = things_prove(things, buffer_slice(&things->record), &header, ret_stored, err);
    if (st == STATUS_OK &&
        (header.kind != kind || header.number != ref->number || !id_equal(&header.id, &ref->id) ||
         !random_id_equal(&header.domain, domain)))
        st = error_set(err, STATUS_CORRUPT, "another record stands there");
    return st;
}

enum status things_read(struct things *things, const struct random_id *domain, uint8_t kind,
                        const struct ref *ref, struct buffer *ret_stored, struct error *err)
{
    char what[KIND_TEXT_SIZE];
    size_t count = 0;
    const struct spot *spots = packs_find(things->packs, ref->number, &count);
    const struct spot *bad = NULL;
    struct error damage = {0};

    for (size_t i = 0; i < count; i++) {
        if (spots[i].id_bits != spots_id_bits(&ref->id))
            continue;
        enum status st = read_copy(things, domain, kind, ref, &spots[i], ret_stored, &damage);

        if (st == STATUS_OK)
            return STATUS_OK;
        if (st == STATUS_EXHAUSTED || st == STATUS_INTERNAL) {
            *err = damage;
            return st;
        }
        bad = &spots[i];
    }
    kind_text(kind, what);
    if (bad == NULL)
        return error_set(err, STATUS_NOT_FOUND, "no pack has it (%s, record %" PRIu64 ")", what,
                         ref->number);
    return error_set(err, STATUS_CORRUPT,
                     "damaged in pack %s at %" PRIu32 " (%s, record %" PRIu64 "): %s",
                     packs_about(things->packs, bad->pack).file_name, bad->offset, what,
                     ref->number, damage.text);
}
