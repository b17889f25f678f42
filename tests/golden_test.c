/* tests/golden_test.c: the repository in tests/golden is read as docs/format.md says, by format/ alone, and holds what
 * expected.json says; and making it again gives the same bytes. */
#include "tests/golden/golden.h"

#include <jansson.h>
#include <string.h>

#include "base/cursor.h"
#include "base/fs_posix.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/disk_root.h"
#include "format/log_body.h"
#include "format/manifest.h"
#include "format/pack.h"
#include "format/record.h"
#include "format/repository.h"
#include "format/tree.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

enum {
    FILE_MAX = 16 * 1024 * 1024,
    PACKS_MAX = 8,
    PLACES_MAX = 4096,
    ENTRIES_MAX = 256,
    POINTS_MAX = 16,
    DOMAINS = 2,
    DIGEST_TEXT_SIZE = 2 * 32 + 1,
};

struct pack {
    struct random_id name;
    struct buffer bytes;
    bool sealed;
    size_t damaged; /* bytes behind the last sound record, where it is not sealed */
};

struct place {
    struct random_id domain;
    uint64_t number;
    struct id id;
    uint8_t kind;
    struct slice record;
};

struct entry {
    struct log_entry_header header;
    struct buffer body;
    bool begins_segment;
};

struct point {
    struct log_point entry;
    bool trash;
    bool gone;
};

/* What a log adds up to, as far as expected.json speaks of it. */
struct state {
    struct point points[POINTS_MAX];
    size_t point_count;
    struct log_session partial;
    struct log_domain domain;
};

struct reader {
    struct fs *fs;
    struct keys *keys;
    struct codec_context *codec;
    struct repository repository;
    struct random_id domains[DOMAINS];
    struct hash_key *id_keys[DOMAINS];
    struct buffer ca_pem;
    struct pack packs[PACKS_MAX];
    size_t pack_count;
    struct place places[PLACES_MAX];
    size_t place_count;
    struct entry entries[ENTRIES_MAX];
    size_t entry_count;
    struct hash_digest head;
    bool kinds[256];
    bool types[256];
    json_t *expected;
};

/* ---- Packs ---- */

static void add_place(struct reader *reader, const struct record_header *header,
                      struct slice record)
{
    assert_true(reader->place_count < PLACES_MAX);
    reader->places[reader->place_count++] = (struct place){.domain = header->domain,
                                                           .number = header->number,
                                                           .id = header->id,
                                                           .kind = header->kind,
                                                           .record = record};
    reader->kinds[header->kind] = true;
}

struct indexing {
    struct reader *reader;
    const struct pack *pack;
};

static enum status add_indexed(void *arg, const struct pack_entry *entry, struct error *err)
{
    struct indexing *indexing = arg;
    struct slice record = slice_of(indexing->pack->bytes.data + entry->offset, entry->length);
    struct record_header header;

    ASSERT_OK(record_check(record, &header, err), err);
    assert_true(header.number == entry->number && header.kind == entry->kind);
    assert_true(id_equal(&header.id, &entry->id));
    assert_true(random_id_equal(&header.domain, &entry->domain));
    add_place(indexing->reader, &header, record);
    return STATUS_OK;
}

/* By its index; false: it has none. */
static bool read_sealed(struct reader *reader, struct pack *pack)
{
    struct slice all = buffer_slice(&pack->bytes);
    struct slice end = slice_of(all.data + all.size - PACK_FOOTER_SIZE, PACK_FOOTER_SIZE);
    struct indexing indexing = {.reader = reader, .pack = pack};
    struct record_header header;
    struct pack_footer footer;
    struct buffer stored;
    struct error err = {0};

    if (pack_footer_decode(end, &footer, &err) != STATUS_OK)
        return false;
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(record_open(reader->keys, reader->codec,
                          slice_of(all.data + footer.index_offset, footer.index_length), &header,
                          &stored, &err),
              &err);
    assert_int_equal(header.kind, KIND_PACK_INDEX);
    assert_true(random_id_equal(&header.domain, &pack->name));
    reader->kinds[KIND_PACK_INDEX] = true;
    ASSERT_OK(pack_entries_decode(buffer_slice(&stored), add_indexed, &indexing, &err), &err);
    buffer_deinit(&stored);
    return true;
}

/* Record by record; what lies behind the last whole one is a torn tail. */
static void scan(struct reader *reader, struct pack *pack)
{
    struct slice all = buffer_slice(&pack->bytes);
    size_t offset = PACK_HEADER_SIZE;
    struct record_header header;
    struct error err = {0};

    while (offset < all.size &&
           record_decode_header(slice_of(all.data + offset, all.size - offset), &header, &err) ==
               STATUS_OK &&
           record_size(&header) <= all.size - offset) {
        struct slice record = slice_of(all.data + offset, record_size(&header));

        ASSERT_OK(record_check(record, &header, &err), &err);
        add_place(reader, &header, record);
        offset += record.size;
    }
    pack->damaged = all.size - offset;
}

static void read_pack(struct reader *reader, const char *name)
{
    struct pack *pack = &reader->packs[reader->pack_count++];
    struct pack_header header;
    char path[FS_PATH_SIZE];
    char text[RANDOM_ID_TEXT_SIZE];
    struct error err = {0};

    assert_true(reader->pack_count <= PACKS_MAX);
    buffer_init(&pack->bytes, FILE_MAX);
    assert_true(text_format(path, sizeof(path), "repository/packs/%s", name));
    assert_true(golden_read(reader->fs, path, &pack->bytes));
    assert_true(pack->bytes.size >= PACK_HEADER_SIZE + PACK_FOOTER_SIZE);
    ASSERT_OK(pack_header_decode(slice_of(pack->bytes.data, PACK_HEADER_SIZE), &header, &err),
              &err);
    assert_true(random_id_equal(&header.repository, &reader->repository.id));
    random_id_text(&header.name, text);
    assert_memory_equal(text, name, RANDOM_ID_TEXT_SIZE - 1);
    assert_string_equal(name + RANDOM_ID_TEXT_SIZE - 1,
                        header.class == PACK_DATA ? ".data" : ".meta");
    pack->name = header.name;
    pack->sealed = read_sealed(reader, pack);
    if (!pack->sealed)
        scan(reader, pack);
}

static void read_packs(struct reader *reader)
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(reader->fs, "repository/packs", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++)
        read_pack(reader, names.names[i]);
    fs_names_deinit(&names);
}

/* ---- Things ---- */

static const struct hash_key *id_key_of(const struct reader *reader, const struct random_id *domain)
{
    for (size_t i = 0; i < DOMAINS; i++)
        if (random_id_equal(&reader->domains[i], domain))
            return reader->id_keys[i];
    fail_msg("a domain that neither file nor log names");
    return NULL;
}

static void check_id(uint8_t kind, const struct hash_key *key, struct slice stored,
                     const struct id *id)
{
    struct tree_node node = {.level = (uint8_t)(kind - KIND_NODE)};
    struct envelope envelope = {.disk_count = 0};
    struct disk_root root;
    struct error err = {0};
    struct id found;

    if (kind == KIND_BLOCK || kind == KIND_BODY) {
        ASSERT_OK(id_of(key, kind, stored, &found, &err), &err);
    } else if (kind == KIND_DISK_ROOT) {
        ASSERT_OK(disk_root_decode(stored, &root, &err), &err);
        ASSERT_OK(disk_root_id(key, &root, &found, &err), &err);
    } else if (kind == KIND_FILE_ROOT) {
        ASSERT_OK(file_root_decode(stored, &root, &err), &err);
        ASSERT_OK(file_root_id(key, &root, &found, &err), &err);
    } else if (kind == KIND_ENVELOPE) {
        ASSERT_OK(envelope_decode_stored(stored, &envelope, &err), &err);
        ASSERT_OK(envelope_id(key, &envelope, &found, &err), &err);
        envelope_deinit(&envelope);
    } else {
        ASSERT_OK(tree_node_decode(stored, &node, &err), &err);
        ASSERT_OK(tree_node_id(key, &node, &found, &err), &err);
    }
    assert_true(id_equal(&found, id));
}

/* The stored form of what REF names in DOMAIN, checked. */
static void read_thing(const struct reader *reader, const struct random_id *domain, uint8_t kind,
                       const struct ref *ref, struct buffer *stored)
{
    const struct place *place = NULL;
    struct record_header header;
    struct error err = {0};

    for (size_t i = 0; i < reader->place_count && place == NULL; i++)
        if (reader->places[i].number == ref->number)
            place = &reader->places[i];
    assert_non_null(place);
    assert_true(place->kind == kind && id_equal(&place->id, &ref->id));
    assert_true(random_id_equal(&place->domain, domain));
    ASSERT_OK(record_open(reader->keys, reader->codec, place->record, &header, stored, &err), &err);
    check_id(kind, id_key_of(reader, domain), buffer_slice(stored), &ref->id);
}

/* ---- The log ---- */

static struct sign_public *log_key(const struct reader *reader, const struct random_id *writer)
{
    struct sign_key *key = NULL;
    struct sign_public *public = NULL;
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct error err = {0};

    ASSERT_OK(keys_log_signer(reader->keys, writer, &key, &err), &err);
    sign_key_public(key, bytes);
    ASSERT_OK(sign_public_from_bytes(bytes, &public, &err), &err);
    sign_key_free(key);
    return public;
}

/* One entry at the start of BYTES; its size. A segment's first may be the newest one once more. */
static size_t read_entry(struct reader *reader, struct slice bytes, bool first)
{
    struct entry *entry = &reader->entries[reader->entry_count];
    const struct log_entry_header *before = &entry[-1].header; /* if there is one */
    struct log_entry_header header;
    struct sign_public *public = NULL;
    struct hash_digest hash;
    size_t size = 0;
    struct error err = {0};

    assert_true(reader->entry_count < ENTRIES_MAX);
    ASSERT_OK(log_entry_decode_header(bytes, &header, &size, &err), &err);
    assert_true(size <= bytes.size);
    public = log_key(reader, &header.writer);
    buffer_init(&entry->body, LOG_ENTRY_BODY_MAX);
    ASSERT_OK(log_entry_open(keys_structure(reader->keys), public, slice_of(bytes.data, size),
                             &entry->header, &entry->body, &hash, &err),
              &err);
    sign_public_free(public);
    if (first && reader->entry_count > 0 && header.sequence == before->sequence) {
        assert_memory_equal(&hash, &reader->head, sizeof(hash));
        buffer_deinit(&entry->body);
        return size;
    }
    assert_true(header.sequence == reader->entry_count + 1);
    assert_memory_equal(&header.previous, &reader->head, sizeof(hash));
    entry->begins_segment = first;
    reader->head = hash;
    reader->entry_count++;
    reader->types[header.type] = true;
    return size;
}

static void read_log(struct reader *reader)
{
    struct fs_names names = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(reader->fs, "repository/log", &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        char path[FS_PATH_SIZE];
        struct buffer segment;

        buffer_init(&segment, FILE_MAX);
        assert_true(text_format(path, sizeof(path), "repository/log/%s", names.names[i]));
        assert_true(golden_read(reader->fs, path, &segment));
        for (size_t offset = 0; offset < segment.size;)
            offset += read_entry(reader, slice_of(segment.data + offset, segment.size - offset),
                                 offset == 0);
        buffer_deinit(&segment);
    }
    fs_names_deinit(&names);
}

static struct point *find_point(struct state *state, const struct random_id *task)
{
    for (size_t i = 0; i < state->point_count; i++)
        if (random_id_equal(&state->points[i].entry.task, task))
            return &state->points[i];
    fail_msg("an entry about a point that there is not");
    return NULL;
}

/* Adds an entry, or an item of a summary; every body is decoded. */
static void add(struct state *state, uint8_t type, struct slice body)
{
    struct error err = {0};
    struct log_space space;
    struct log_numbers numbers;
    struct log_tracking tracking;
    struct log_until until;
    struct log_named named;
    struct log_hold hold;
    struct log_task task;
    struct log_condemn condemn;
    struct log_rollback rollback;
    struct log_accept accept;
    struct log_summary summary;

    switch ((enum log_entry_type)type) {
    case LOG_SPACE:
        ASSERT_OK(log_space_decode(body, &space, &err), &err);
        return;
    case LOG_NUMBERS:
        ASSERT_OK(log_numbers_decode(body, &numbers, &err), &err);
        return;
    case LOG_POINT:
        assert_true(state->point_count < POINTS_MAX);
        ASSERT_OK(log_point_decode(body, &state->points[state->point_count++].entry, &err), &err);
        return;
    case LOG_TRACKING:
        ASSERT_OK(log_tracking_decode(body, &tracking, &err), &err);
        return;
    case LOG_SUMMARY:
        ASSERT_OK(log_summary_decode(body, &summary, &err), &err);
        return;
    case LOG_TRASH:
    case LOG_LOCK:
        ASSERT_OK(log_until_decode(body, &until, &err), &err);
        find_point(state, &until.task)->trash = type == LOG_TRASH;
        return;
    case LOG_UNDELETE:
    case LOG_PURGE:
        ASSERT_OK(log_named_decode(body, &named, &err), &err);
        find_point(state, &named.task)->trash = false;
        find_point(state, &named.task)->gone = type == LOG_PURGE;
        return;
    case LOG_HOLD:
        ASSERT_OK(log_hold_decode(body, &hold, &err), &err);
        return;
    case LOG_TASK:
        ASSERT_OK(log_task_decode(body, &task, &err), &err);
        return;
    case LOG_SESSION:
        ASSERT_OK(log_session_decode(body, &state->partial, &err), &err);
        return;
    case LOG_CONDEMN:
        ASSERT_OK(log_condemn_decode(body, &condemn, &err), &err);
        return;
    case LOG_DOMAIN:
        ASSERT_OK(log_domain_decode(body, &state->domain, &err), &err);
        return;
    case LOG_ROLLBACK:
        ASSERT_OK(log_rollback_decode(body, &rollback, &err), &err);
        return;
    case LOG_ACCEPT:
        ASSERT_OK(log_accept_decode(body, &accept, &err), &err);
        return;
    }
    fail_msg("an entry of type %u", (unsigned)type);
}

/* Is a whole summary at entry FIRST? Its number of parts; 0: none. */
static uint32_t summary_at(const struct reader *reader, size_t first)
{
    struct log_summary summary = {.parts = 1};
    struct error err = {0};

    for (uint32_t part = 0; part < summary.parts; part++) {
        const struct entry *entry = &reader->entries[first + part];

        if (first + part >= reader->entry_count || entry->header.type != LOG_SUMMARY)
            return 0;
        ASSERT_OK(log_summary_decode(buffer_slice(&entry->body), &summary, &err), &err);
        if (summary.part != part)
            return 0;
    }
    return summary.parts;
}

static void add_entries(const struct reader *reader, size_t from, struct state *state)
{
    for (size_t i = from; i < reader->entry_count; i++)
        add(state, reader->entries[i].header.type, buffer_slice(&reader->entries[i].body));
}

/* The items of one part of a summary. */
static void add_part(const struct entry *part, struct state *state)
{
    struct log_summary summary;
    struct log_item item;
    struct error err = {0};

    ASSERT_OK(log_summary_decode(buffer_slice(&part->body), &summary, &err), &err);
    while (summary.items.size > 0) {
        ASSERT_OK(log_item_take(&summary.items, &item, &err), &err);
        add(state, item.type, item.body);
    }
}

/* From the last whole summary on; *ret_first is its first part. */
static void add_from_summary(const struct reader *reader, struct state *state, size_t *ret_first)
{
    size_t first = reader->entry_count;
    uint32_t parts = 0;

    while (parts == 0) {
        assert_true(first-- > 0);
        if (reader->entries[first].begins_segment)
            parts = summary_at(reader, first);
    }
    for (uint32_t part = 0; part < parts; part++)
        add_part(&reader->entries[first + part], state);
    add_entries(reader, first + parts, state);
    *ret_first = first;
}

/* ---- The reader ---- */

static void add_domain(struct reader *reader, size_t at, const struct random_id *domain)
{
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    struct error err = {0};

    reader->domains[at] = *domain;
    ASSERT_OK(keys_id_key(reader->keys, domain, bytes, &err), &err);
    ASSERT_OK(hash_key_new(slice_of(bytes, sizeof(bytes)), &reader->id_keys[at], &err), &err);
}

static void read_repository_file(struct reader *reader)
{
    uint8_t check[KEYS_CHECK_SIZE];
    struct buffer text;
    struct error err = {0};

    buffer_init(&text, REPOSITORY_FILE_MAX);
    assert_true(golden_read(reader->fs, "repository/repository", &text));
    ASSERT_OK(repository_decode(buffer_slice(&text), &reader->repository, &err), &err);
    keys_check(reader->keys, check);
    assert_memory_equal(check, reader->repository.key_check, sizeof(check));
    buffer_deinit(&text);
}

static struct reader *reader_new(void)
{
    struct reader *reader = memory_new(1, sizeof(*reader));
    struct repository_key key = golden_key();
    struct state state = {.point_count = 0};
    struct buffer text;
    struct error err = {0};

    assert_non_null(reader);
    ASSERT_OK(fs_posix_new(TIDEMARK_GOLDEN, &reader->fs, &err), &err);
    ASSERT_OK(keys_new(&key, &reader->keys, &err), &err);
    ASSERT_OK(codec_context_new(&reader->codec, &err), &err);
    buffer_init(&reader->ca_pem, FILE_MAX);
    assert_true(golden_read(reader->fs, "agents-ca.pem", &reader->ca_pem));
    buffer_put_u8(&reader->ca_pem, 0);
    read_repository_file(reader);
    add_domain(reader, 0, &reader->repository.domain);
    read_packs(reader);
    read_log(reader);
    add_entries(reader, 0, &state);
    add_domain(reader, 1, &state.domain.domain);
    buffer_init(&text, FILE_MAX);
    assert_true(golden_read(reader->fs, "expected.json", &text));
    reader->expected = json_loadb((const char *)text.data, text.size, 0, NULL);
    assert_non_null(reader->expected);
    buffer_deinit(&text);
    return reader;
}

static void reader_free(struct reader *reader)
{
    json_decref(reader->expected);
    for (size_t i = 0; i < reader->pack_count; i++)
        buffer_deinit(&reader->packs[i].bytes);
    for (size_t i = 0; i < reader->entry_count; i++)
        buffer_deinit(&reader->entries[i].body);
    for (size_t i = 0; i < DOMAINS; i++)
        hash_key_free(reader->id_keys[i]);
    buffer_deinit(&reader->ca_pem);
    codec_context_free(reader->codec);
    keys_free(reader->keys);
    fs_free(reader->fs);
    memory_free(reader);
}

/* ---- Content ---- */

struct walking {
    const struct reader *reader;
    const struct random_id *domain;
};

static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    const struct walking *walking = context;
    struct buffer stored;

    (void)index;
    buffer_init(&stored, RECORD_PLAIN_MAX);
    read_thing(walking->reader, walking->domain, (uint8_t)(KIND_NODE + level), ref, &stored);

    enum status st = tree_node_decode(buffer_slice(&stored), ret_node, err);

    buffer_deinit(&stored);
    return st;
}

/* All bytes of ROOT, and their digest. */
static void digest_content(const struct reader *reader, const struct random_id *domain,
                           const struct disk_root *root, char digest[DIGEST_TEXT_SIZE])
{
    const struct tree_callbacks callbacks = {.read = read_node};
    struct walking walking = {.reader = reader, .domain = domain};
    uint8_t *content = memory_new((size_t)root->size, 1);
    struct tree_walk *walk = NULL;
    struct hash_digest hash;
    struct buffer stored;
    uint64_t block = 0;
    uint64_t count = 0;
    struct ref ref;
    bool end = false;
    struct error err = {0};

    assert_non_null(content);
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(tree_walk_new(root, &callbacks, &walking, &walk, &err), &err);
    ASSERT_OK(tree_walk_next(walk, &block, &count, &ref, &end, &err), &err);
    while (!end) {
        read_thing(reader, domain, KIND_BLOCK, &ref, &stored);
        assert_int_equal(stored.size, disk_root_block_length(root, block));
        memcpy(content + block * root->block_size, stored.data, stored.size);
        ASSERT_OK(tree_walk_next(walk, &block, &count, &ref, &end, &err), &err);
    }
    ASSERT_OK(hash_sha256(slice_of(content, (size_t)root->size), &hash, &err), &err);
    text_hex(slice_of(hash.bytes, sizeof(hash.bytes)), digest);
    tree_walk_free(walk);
    buffer_deinit(&stored);
    memory_free(content);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return text;
}

static void assert_id(const json_t *object, const char *key, const struct random_id *id)
{
    char text[RANDOM_ID_TEXT_SIZE];

    random_id_text(id, text);
    assert_string_equal(text_of(object, key), text);
}

/* The disk or file that REF names is the EXPECTED one. */
static void assert_content(const struct reader *reader, const json_t *expected,
                           const struct random_id *domain, uint8_t kind, const struct ref *ref)
{
    char digest[DIGEST_TEXT_SIZE];
    struct disk_root root;
    struct buffer stored;
    struct error err = {0};

    buffer_init(&stored, RECORD_PLAIN_MAX);
    read_thing(reader, domain, kind, ref, &stored);
    ASSERT_OK((kind == KIND_FILE_ROOT ? file_root_decode : disk_root_decode)(buffer_slice(&stored),
                                                                             &root, &err),
              &err);
    buffer_deinit(&stored);
    assert_true(root.size == (uint64_t)json_integer_value(json_object_get(expected, "size")));
    digest_content(reader, domain, &root, digest);
    assert_string_equal(text_of(expected, "sha256"), digest);
}

/* ---- Tests ---- */

/* The signed statement agrees with ENVELOPE; fills *ret_statement (the caller's). */
static void read_statement(const struct reader *reader, const struct random_id *domain,
                           const struct envelope *envelope, struct statement *ret_statement)
{
    struct signed_slice what;
    char host[SIGN_NAME_SIZE];
    struct buffer body;
    struct error err = {0};

    buffer_init(&body, RECORD_PLAIN_MAX);
    read_thing(reader, domain, KIND_BODY, &envelope->body, &body);
    ASSERT_OK(body_decode(buffer_slice(&body), &what, &err), &err);
    ASSERT_OK(statement_decode(what.body, ret_statement, &err), &err);
    ASSERT_OK(signed_check(&what, SIGN_CONTEXT_STATEMENT, (const char *)reader->ca_pem.data,
                           ret_statement->time_us, host, &err),
              &err);
    assert_string_equal(host, ret_statement->host);
    assert_true(random_id_equal(&ret_statement->repository, &reader->repository.id));
    assert_true(random_id_equal(&ret_statement->vm, &envelope->vm));
    assert_int_equal(ret_statement->disk_count, envelope->disk_count);
    assert_int_equal(ret_statement->file_count, envelope->file_count);
    buffer_deinit(&body);
}

static void assert_point(const struct reader *reader, const json_t *expected,
                         const struct point *point)
{
    const struct random_id *domain = &point->entry.domain;
    const json_t *disks = json_object_get(expected, "disks");
    const json_t *files = json_object_get(expected, "files");
    struct statement statement = {.disk_count = 0};
    struct envelope envelope = {.disk_count = 0};
    struct buffer stored;
    struct error err = {0};

    buffer_init(&stored, RECORD_PLAIN_MAX);
    read_thing(reader, domain, KIND_ENVELOPE, &point->entry.envelope, &stored);
    ASSERT_OK(envelope_decode_stored(buffer_slice(&stored), &envelope, &err), &err);
    read_statement(reader, domain, &envelope, &statement);
    assert_id(expected, "task", &point->entry.task);
    assert_id(expected, "task", &statement.task);
    assert_id(expected, "domain", domain);
    assert_id(expected, "vm", &statement.vm);
    assert_string_equal(text_of(expected, "vm_name"), statement.vm_name);
    assert_string_equal(text_of(expected, "state"), point->trash ? "trash" : "live");
    assert_int_equal(json_array_size(disks), statement.disk_count);
    assert_int_equal(json_array_size(files), statement.file_count);
    for (size_t i = 0; i < statement.disk_count; i++) {
        const json_t *disk = json_array_get(disks, i);

        assert_string_equal(text_of(disk, "name"), statement.disks[i].name);
        assert_true(id_equal(&statement.disks[i].root, &envelope.disks[i].root.id));
        assert_content(reader, disk, domain, KIND_DISK_ROOT, &envelope.disks[i].root);
    }
    for (size_t i = 0; i < statement.file_count; i++) {
        const json_t *file = json_array_get(files, i);

        assert_string_equal(text_of(file, "name"), statement.files[i].name);
        assert_true(id_equal(&statement.files[i].root, &envelope.files[i].root.id));
        assert_content(reader, file, domain, KIND_FILE_ROOT, &envelope.files[i].root);
    }
    statement_deinit(&statement);
    envelope_deinit(&envelope);
    buffer_deinit(&stored);
}

static void each_point_has_the_content_that_is_expected(void **state)
{
    struct reader *reader = reader_new();
    const json_t *expected = json_object_get(reader->expected, "points");
    struct state found = {.point_count = 0};
    size_t listed = 0;

    (void)state;
    add_entries(reader, 0, &found);
    for (size_t i = 0; i < found.point_count; i++)
        if (!found.points[i].gone)
            assert_point(reader, json_array_get(expected, listed++), &found.points[i]);
    assert_int_equal(listed, json_array_size(expected));
    reader_free(reader);
}

static void the_partial_tree_has_the_content_that_is_expected(void **state)
{
    struct reader *reader = reader_new();
    const json_t *trees = json_object_get(reader->expected, "partial_trees");
    const json_t *expected = json_array_get(trees, 0);
    struct state found = {.point_count = 0};

    (void)state;
    assert_int_equal(json_array_size(trees), 1);
    add_entries(reader, 0, &found);
    assert_id(expected, "task", &found.partial.task);
    assert_id(expected, "domain", &found.partial.domain);
    assert_true(found.partial.blocks ==
                (uint64_t)json_integer_value(json_object_get(expected, "blocks")));
    assert_content(reader, expected, &found.partial.domain, KIND_DISK_ROOT, &found.partial.root);
    reader_free(reader);
}

/* The second summary lacks its last part, and does not count. */
static void the_last_whole_summary_says_what_the_whole_log_says(void **state)
{
    struct reader *reader = reader_new();
    struct state whole = {.point_count = 0};
    struct state short_way = {.point_count = 0};
    size_t first = 0;
    size_t j = 0;

    (void)state;
    add_entries(reader, 0, &whole);
    add_from_summary(reader, &short_way, &first);
    assert_true(first > 0 && first < reader->entry_count / 2 + 12);
    for (size_t i = 0; i < whole.point_count; i++) {
        if (whole.points[i].gone)
            continue;
        assert_true(j < short_way.point_count);
        assert_memory_equal(&whole.points[i], &short_way.points[j], sizeof(whole.points[i]));
        j++;
    }
    assert_int_equal(j, short_way.point_count);
    assert_true(random_id_equal(&whole.domain.domain, &short_way.domain.domain));
    assert_memory_equal(&whole.partial.root, &short_way.partial.root, sizeof(struct ref));
    assert_int_equal(summary_at(reader, reader->entry_count - 2), 0);
    reader_free(reader);
}

static void every_record_opens_to_what_its_id_stands_for(void **state)
{
    struct reader *reader = reader_new();
    struct buffer stored;

    (void)state;
    buffer_init(&stored, RECORD_PLAIN_MAX);
    for (size_t i = 0; i < reader->place_count; i++) {
        const struct place *place = &reader->places[i];
        struct ref ref = {.id = place->id, .number = place->number};

        read_thing(reader, &place->domain, place->kind, &ref, &stored);
    }
    buffer_deinit(&stored);
    reader_free(reader);
}

static void nothing_is_missing_in_it(void **state)
{
    struct reader *reader = reader_new();
    size_t sealed = 0;
    size_t torn = 0;

    (void)state;
    for (unsigned kind = 0; kind < 256; kind++)
        if (kind_known((uint8_t)kind) &&
            kind < KIND_NODE + 4) /* higher levels take a larger disk */
            assert_true(reader->kinds[kind]);
    for (unsigned type = LOG_SPACE; type <= LOG_ACCEPT; type++)
        assert_true(reader->types[type]);
    for (size_t i = 0; i < reader->pack_count; i++) {
        sealed += reader->packs[i].sealed;
        torn += reader->packs[i].damaged > 0;
    }
    assert_int_equal(reader->pack_count, 4);
    assert_int_equal(sealed, 2);
    assert_int_equal(torn, 1);
    reader_free(reader);
}

static void assert_same_file(struct fs *one, struct fs *other, const char *path)
{
    struct buffer a;
    struct buffer b;

    buffer_init(&a, FILE_MAX);
    buffer_init(&b, FILE_MAX);
    assert_true(golden_read(one, path, &a));
    assert_true(golden_read(other, path, &b));
    if (!slice_equal(buffer_slice(&a), buffer_slice(&b)))
        fail_msg("%s has other bytes: if formats have changed, make it anew (golden/README.md)",
                 path);
    buffer_deinit(&a);
    buffer_deinit(&b);
}

static void assert_same_folder(struct fs *one, struct fs *other, const char *dir)
{
    struct fs_names a = {0};
    struct fs_names b = {0};
    struct error err = {0};

    ASSERT_OK(fs_list(one, dir, &a, &err), &err);
    ASSERT_OK(fs_list(other, dir, &b, &err), &err);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        char path[FS_PATH_SIZE];

        assert_string_equal(a.names[i], b.names[i]);
        assert_true(text_format(path, sizeof(path), "%s/%s", dir, a.names[i]));
        assert_same_file(one, other, path);
    }
    fs_names_deinit(&a);
    fs_names_deinit(&b);
}

static void made_again_it_has_the_same_bytes(void **state)
{
    struct reader *reader = reader_new();
    const char *packer = text_of(reader->expected, "zstd");
    char folder[TEMP_FOLDER_SIZE];
    struct fs *again = NULL;
    struct error err = {0};

    (void)state;
    if (strcmp(packer, golden_packer()) != 0) {
        print_message("zstd %s made it, and this is %s: not compared\n", packer, golden_packer());
        reader_free(reader);
        skip();
        return;
    }
    temp_folder_make(folder);
    ASSERT_OK(fs_posix_new(folder, &again, &err), &err);
    golden_write(again, reader->fs);
    assert_same_file(again, reader->fs, "repository/repository");
    assert_same_folder(again, reader->fs, "repository/packs");
    assert_same_folder(again, reader->fs, "repository/log");
    assert_same_file(again, reader->fs, "expected.json");
    assert_same_file(again, reader->fs, "signatures");
    fs_free(again);
    temp_folder_remove(folder);
    reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_point_has_the_content_that_is_expected),
        cmocka_unit_test(the_partial_tree_has_the_content_that_is_expected),
        cmocka_unit_test(the_last_whole_summary_says_what_the_whole_log_says),
        cmocka_unit_test(every_record_opens_to_what_its_id_stands_for),
        cmocka_unit_test(nothing_is_missing_in_it),
        cmocka_unit_test(made_again_it_has_the_same_bytes),
    };

    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
