#include "tests/golden/golden.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <zstd.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/disk_root.h"
#include "format/le.h"
#include "format/log_body.h"
#include "format/manifest.h"
#include "format/pack.h"
#include "format/record.h"
#include "format/repository.h"
#include "format/tree.h"
#include "tests/support/random_seeded.h"

enum {
    BLOCK = 4096,
    SPACE = 0x010203, /* the first; the second is the next one */
    THINGS_MAX = 2048,
    NODES_MAX = 128,
    KEPT_MAX = 64,
    DISK_BLOCKS = 200,   /* the first disk: two levels, a short last block */
    WIDE_BLOCKS = 16500, /* the second: three levels, nearly all holes */
    LAB_BLOCKS = 10,
    FILE_MAX = 16 * 1024 * 1024,
};

#define GRACE_US INT64_C(604800000000)
#define TIME     INT64_C(1577836800000000) /* 2020-01-01 00:00 UTC; each entry is a second later */

enum { DOMAIN_A, DOMAIN_B, DOMAINS };

struct pack {
    struct random_id name;
    enum pack_class class;
    struct buffer bytes;
    struct buffer entries;
    bool sealed;
};

struct thing {
    int domain;
    struct ref ref;
};

/* An entry that still counts when a summary is written. */
struct kept {
    struct log_item item;
    struct buffer body;
};

struct golden {
    struct fs *out;
    struct fs *credentials;
    struct random_seeded random;
    struct keys *keys;
    struct codec_context *codec;
    struct random_id repository;
    struct random_id domains[DOMAINS];
    struct hash_key *id_keys[DOMAINS];

    struct pack packs[4]; /* data and meta, sealed; data and meta, not sealed */
    size_t pack_count;
    struct thing things[THINGS_MAX];
    size_t thing_count;
    struct tree_node *nodes[NODES_MAX];
    struct id node_ids[NODES_MAX];
    size_t node_count;
    uint64_t next_number;

    struct random_id writer;
    struct sign_key *log_key;
    struct sign_public *log_public;
    uint64_t sequence;
    struct hash_digest previous;
    struct buffer segment;
    struct buffer newest;
    unsigned segments;
    struct kept kept[KEPT_MAX];
    size_t kept_count;

    struct sign_key *host_key;
    struct sign_public *host_public;
    struct buffer certificate;
    struct buffer old_signatures; /* hexadecimal lines */
    struct buffer signatures;
    struct buffer expected;
};

const char *golden_packer(void)
{
    return ZSTD_versionString();
}

struct repository_key golden_key(void)
{
    struct repository_key key;

    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)i;
    return key;
}

static struct random_id rising_id(uint8_t start)
{
    struct random_id id;

    for (size_t i = 0; i < sizeof(id.bytes); i++)
        id.bytes[i] = (uint8_t)(start + i);
    return id;
}

/* ---- Files ---- */

bool golden_read(struct fs *fs, const char *path, struct buffer *target)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    struct error err = {0};
    enum status st = fs_open(fs, path, FS_READ, &file, &err);

    if (st == STATUS_NOT_FOUND)
        return false;
    INVARIANT(st == STATUS_OK && fs_size(file, &size, &err) == STATUS_OK && size <= FILE_MAX);
    if (size > 0) {
        uint8_t *room = buffer_extend(target, (size_t)size);

        INVARIANT(room != NULL &&
                  fs_read_exactly_at(file, 0, room, (size_t)size, &err) == STATUS_OK);
    }
    fs_close(file);
    return true;
}

static void write_file(struct fs *fs, const char *path, struct slice content)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    INVARIANT(fs_open(fs, path, FS_CREATE, &file, &err) == STATUS_OK);
    INVARIANT(fs_write_at(file, 0, content, &err) == STATUS_OK);
    fs_close(file);
}

/* ---- Signatures ---- */

/* Line LINE of the signatures of a run before; false: there is none. */
static bool old_signature(const struct golden *golden, size_t line, uint8_t signature[SIGN_SIZE])
{
    const size_t digits = (size_t)2 * SIGN_SIZE;
    size_t offset = line * (digits + 1);

    return offset + digits <= golden->old_signatures.size &&
           text_parse_hex(slice_of(golden->old_signatures.data + offset, digits), signature,
                          SIGN_SIZE);
}

static void sign(struct golden *golden, const struct sign_key *key,
                 const struct sign_public *public, const char *context, struct slice message,
                 uint8_t signature[SIGN_SIZE])
{
    char text[2 * SIGN_SIZE + 1];
    struct error err = {0};

    if (!old_signature(golden, golden->signatures.size / sizeof(text), signature) ||
        sign_check(public, context, message, signature, &err) != STATUS_OK)
        INVARIANT(sign_message(key, context, message, signature, &err) == STATUS_OK);
    text_hex(slice_of(signature, SIGN_SIZE), text);
    text[sizeof(text) - 1] = '\n';
    buffer_put(&golden->signatures, slice_of(text, sizeof(text)));
}

/* ---- Packs and records ---- */

static struct pack *begin_pack(struct golden *golden, enum pack_class class)
{
    struct pack *pack = &golden->packs[golden->pack_count++];
    struct pack_header header = {.class = class, .repository = golden->repository};
    uint8_t bytes[PACK_HEADER_SIZE];
    struct error err = {0};

    INVARIANT(golden->pack_count <= sizeof(golden->packs) / sizeof(golden->packs[0]));
    INVARIANT(random_bytes(&golden->random.source, pack->name.bytes, RANDOM_ID_SIZE, &err) ==
              STATUS_OK);
    header.name = pack->name;
    pack->class = class;
    buffer_init(&pack->bytes, FILE_MAX);
    buffer_init(&pack->entries, FILE_MAX);
    pack_header_encode(&header, bytes);
    buffer_put(&pack->bytes, slice_of(bytes, sizeof(bytes)));
    return pack;
}

/* The newest pack for things of KIND. */
static struct pack *pack_for(struct golden *golden, uint8_t kind)
{
    size_t i = golden->pack_count;

    do
        INVARIANT(i-- > 0);
    while (golden->packs[i].class != pack_class_of(kind));
    INVARIANT(!golden->packs[i].sealed);
    return &golden->packs[i];
}

static void seal_record(struct golden *golden, const struct record_header *what,
                        struct slice stored, struct buffer *target)
{
    struct record_header header = *what;
    enum codec codec = CODEC_PLAIN;
    struct buffer packed;
    struct error err = {0};

    buffer_init(&packed, RECORD_PLAIN_MAX);
    INVARIANT(codec_compress(golden->codec, stored, &packed, &codec, &err) == STATUS_OK);
    header.codec = (uint8_t)codec;
    header.plain_length = (uint32_t)stored.size;
    INVARIANT(record_seal(golden->keys, &golden->random.source, &header, buffer_slice(&packed),
                          target, &err) == STATUS_OK);
    buffer_deinit(&packed);
}

/* The thing ID of DOMAIN, stored once. */
static struct ref put_thing(struct golden *golden, int domain, uint8_t kind, const struct id *id,
                            struct slice stored)
{
    for (size_t i = 0; i < golden->thing_count; i++)
        if (golden->things[i].domain == domain && id_equal(&golden->things[i].ref.id, id))
            return golden->things[i].ref;

    struct pack *pack = pack_for(golden, kind);
    struct record_header header = {.kind = kind,
                                   .domain = golden->domains[domain],
                                   .number = golden->next_number++,
                                   .id = *id};
    struct pack_entry entry = {.domain = header.domain,
                               .number = header.number,
                               .id = *id,
                               .offset = pack->bytes.size,
                               .kind = kind};

    seal_record(golden, &header, stored, &pack->bytes);
    entry.length = (uint32_t)(pack->bytes.size - entry.offset);
    pack_entry_encode(&entry, &pack->entries);
    INVARIANT(golden->thing_count < THINGS_MAX);

    struct thing *thing = &golden->things[golden->thing_count++];

    *thing = (struct thing){.domain = domain, .ref = {.id = *id, .number = header.number}};
    return thing->ref;
}

static void seal_pack(struct golden *golden, struct pack *pack)
{
    struct record_header header = {.kind = KIND_PACK_INDEX, .domain = pack->name};
    struct pack_footer footer = {.index_offset = pack->bytes.size};
    uint8_t bytes[PACK_FOOTER_SIZE];

    seal_record(golden, &header, buffer_slice(&pack->entries), &pack->bytes);
    footer.index_length = (uint32_t)(pack->bytes.size - footer.index_offset);
    pack_footer_encode(&footer, bytes);
    buffer_put(&pack->bytes, slice_of(bytes, sizeof(bytes)));
    pack->sealed = true;
}

/* What a crash in the middle of a record leaves. */
static void tear(struct golden *golden, struct pack *pack)
{
    static const char lost[] = "a block that nobody was ever told of";
    struct record_header header = {.kind = KIND_BLOCK,
                                   .domain = golden->domains[DOMAIN_A],
                                   .number = golden->next_number++,
                                   .id = {{1}}};
    size_t whole = pack->bytes.size;

    seal_record(golden, &header, slice_of(lost, sizeof(lost)), &pack->bytes);
    pack->bytes.size = whole + (pack->bytes.size - whole) / 2 + RECORD_HEADER_SIZE / 2;
}

static struct log_packs unsealed(const struct golden *golden)
{
    struct log_packs packs = {.count = 0};

    for (size_t i = 0; i < golden->pack_count; i++)
        if (!golden->packs[i].sealed)
            packs.packs[packs.count++] =
                (struct log_point_pack){.name = golden->packs[i].name,
                                        .synced = golden->packs[i].bytes.size};
    return packs;
}

static void write_packs(struct golden *golden)
{
    for (size_t i = 0; i < golden->pack_count; i++) {
        struct pack *pack = &golden->packs[i];
        char name[RANDOM_ID_TEXT_SIZE];
        char path[128];

        random_id_text(&pack->name, name);
        INVARIANT(text_format(path, sizeof(path), "repository/packs/%s.%s", name,
                              pack->class == PACK_DATA ? "data" : "meta"));
        write_file(golden->out, path, buffer_slice(&pack->bytes));
        buffer_deinit(&pack->bytes);
        buffer_deinit(&pack->entries);
    }
}

/* ---- Content: a value for each block; 0 is a hole, of the others each 16th does not shrink ---- */

struct content {
    uint64_t size;
    uint32_t logical_sector; /* 0: a file's */
    uint32_t values[WIDE_BLOCKS];
    struct disk_root root; /* once it is stored */
    struct ref ref;
};

static void fill_block(uint32_t value, uint8_t block[BLOCK])
{
    struct random_seeded random = random_seeded_of(value);
    struct error err = {0};

    memset(block, 0, BLOCK);
    if (value == 0)
        return;
    if (value % 16 == 15) {
        INVARIANT(random_bytes(&random.source, block, BLOCK, &err) == STATUS_OK);
        return;
    }
    for (unsigned line = 0; line < BLOCK / 32; line++) {
        char text[32 + 1];

        INVARIANT(snprintf(text, sizeof(text), "value %10" PRIu32 " line %9u\n", value, line) ==
                  32);
        memcpy(block + (size_t)line * 32, text, 32);
    }
}

static struct disk_root geometry_of(const struct content *content)
{
    bool is_file = content->logical_sector == 0;
    struct disk_root root = {.size = content->size,
                             .block_size = BLOCK,
                             .logical_sector = content->logical_sector,
                             .physical_sector = is_file ? 0 : 4096};

    root.height = disk_root_height(root.size, root.block_size);
    return root;
}

static void whole_content(const struct content *content, struct buffer *target)
{
    struct disk_root root = geometry_of(content);
    uint64_t blocks = disk_root_blocks(root.size, root.block_size);
    uint8_t block[BLOCK];

    for (uint64_t i = 0; i < blocks; i++) {
        fill_block(content->values[i], block);
        buffer_put(target, slice_of(block, disk_root_block_length(&root, i)));
    }
}

/* ---- Trees ---- */

struct growing {
    struct golden *golden;
    int domain;
};

static enum status read_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                             struct tree_node *ret_node, struct error *err)
{
    const struct golden *golden = ((struct growing *)context)->golden;

    (void)level;
    (void)index;
    (void)err;
    for (size_t i = 0; i < golden->node_count; i++)
        if (id_equal(&golden->node_ids[i], &ref->id)) {
            *ret_node = *golden->nodes[i];
            return STATUS_OK;
        }
    INVARIANT(false);
    return STATUS_INTERNAL;
}

static enum status emit_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    struct growing *growing = context;
    struct golden *golden = growing->golden;
    uint8_t stored[NODE_STORED_SIZE];
    struct tree_node *copy = memory_new(1, sizeof(*copy));
    struct id id;

    INVARIANT(copy != NULL && golden->node_count < NODES_MAX);
    INVARIANT(tree_node_id(golden->id_keys[growing->domain], node, &id, err) == STATUS_OK);
    tree_node_encode_stored(node, stored);
    *ret_ref = put_thing(golden, growing->domain, (uint8_t)(KIND_NODE + node->level), &id,
                         slice_of(stored, sizeof(stored)));
    *copy = *node;
    golden->node_ids[golden->node_count] = id;
    golden->nodes[golden->node_count++] = copy;
    return STATUS_OK;
}

static struct ref put_block(struct golden *golden, int domain, const struct disk_root *root,
                            uint64_t block, uint32_t value)
{
    uint8_t bytes[BLOCK];
    struct id id;
    struct error err = {0};

    fill_block(value, bytes);

    struct slice plain = slice_of(bytes, disk_root_block_length(root, block));

    INVARIANT(id_of(golden->id_keys[domain], KIND_BLOCK, plain, &id, &err) == STATUS_OK);
    return put_thing(golden, domain, KIND_BLOCK, &id, plain);
}

/* Stores CONTENT: what differs from PARENT (NULL: all of it), and its root. */
static void store_content(struct golden *golden, int domain, struct content *content,
                          const struct content *parent)
{
    const struct tree_callbacks callbacks = {.read = read_node, .emit = emit_node};
    struct growing growing = {.golden = golden, .domain = domain};
    struct disk_root geometry = geometry_of(content);
    uint64_t blocks = disk_root_blocks(geometry.size, BLOCK);
    uint8_t stored[DISK_ROOT_STORED_SIZE];
    struct tree_builder *builder = NULL;
    struct id id;
    struct error err = {0};
    bool is_file = content->logical_sector == 0;

    INVARIANT(tree_builder_new(&geometry, parent == NULL ? NULL : &parent->root, &callbacks,
                               &growing, &builder, &err) == STATUS_OK);
    for (uint64_t i = 0; i < blocks; i++) {
        uint32_t value = content->values[i];
        struct ref ref = {0};

        if (value == (parent == NULL ? 0 : parent->values[i]))
            continue;
        if (value != 0)
            ref = put_block(golden, domain, &geometry, i, value);
        INVARIANT(tree_builder_put(builder, i, &ref, &err) == STATUS_OK);
    }
    INVARIANT(tree_builder_finish(builder, &content->root, &err) == STATUS_OK);
    tree_builder_free(builder);
    disk_root_encode_stored(&content->root, stored);
    INVARIANT((is_file ? file_root_id : disk_root_id)(golden->id_keys[domain], &content->root, &id,
                                                      &err) == STATUS_OK);
    content->ref = put_thing(golden, domain, is_file ? KIND_FILE_ROOT : KIND_DISK_ROOT, &id,
                             slice_of(stored, sizeof(stored)));
}

/* ---- The log ---- */

/* Writes an entry; KEEP: it still counts when the next summary is written. */
static void log_add(struct golden *golden, uint8_t type, const struct buffer *body, bool keep)
{
    struct log_entry_header header = {.type = type,
                                      .writer = golden->writer,
                                      .sequence = ++golden->sequence,
                                      .previous = golden->previous};
    struct hash_digest ignored;
    struct error err = {0};

    header.time_us = TIME + (int64_t)header.sequence * 1000000;
    buffer_clear(&golden->newest);
    INVARIANT(log_entry_seal(keys_structure(golden->keys), golden->log_key, &golden->random.source,
                             &header, buffer_slice(body), &golden->newest, &ignored,
                             &err) == STATUS_OK);

    /* Under a signature that stays the same. */
    uint8_t *entry = golden->newest.data;
    size_t is_signed = golden->newest.size - SIGN_SIZE - 4;

    sign(golden, golden->log_key, golden->log_public, SIGN_CONTEXT_LOG, slice_of(entry, is_signed),
         entry + is_signed);
    le_put_u32(entry + is_signed + SIGN_SIZE,
               hash_crc32c(0, slice_of(entry, is_signed + SIGN_SIZE)));
    INVARIANT(hash_sha256(buffer_slice(&golden->newest), &golden->previous, &err) == STATUS_OK);
    buffer_put(&golden->segment, buffer_slice(&golden->newest));
    if (keep) {
        struct kept *kept = &golden->kept[golden->kept_count++];

        INVARIANT(golden->kept_count <= KEPT_MAX);
        buffer_init(&kept->body, LOG_ENTRY_BODY_MAX);
        buffer_put(&kept->body, buffer_slice(body));
        kept->item =
            (struct log_item){.type = type, .sequence = header.sequence, .time_us = header.time_us};
    }
}

static void end_segment(struct golden *golden)
{
    char path[64];

    INVARIANT(text_format(path, sizeof(path), "repository/log/%010u", ++golden->segments));
    write_file(golden->out, path, buffer_slice(&golden->segment));
    buffer_clear(&golden->segment);
}

/* PART of PARTS of the summary of what is kept by now. */
static void log_add_summary(struct golden *golden, uint32_t part, uint32_t parts)
{
    struct log_summary summary = {.part = part, .parts = parts};
    size_t end = golden->kept_count * (part + 1) / parts;
    struct buffer items;
    struct buffer body;

    buffer_init(&items, LOG_ENTRY_BODY_MAX);
    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    for (size_t i = golden->kept_count * part / parts; i < end; i++) {
        struct log_item item = golden->kept[i].item;

        item.body = buffer_slice(&golden->kept[i].body);
        log_item_encode(&item, &items);
    }
    summary.items = buffer_slice(&items);
    log_summary_encode(&summary, &body);
    log_add(golden, LOG_SUMMARY, &body, false);
    buffer_deinit(&items);
    buffer_deinit(&body);
}

/* log_add() of what ENCODE makes of VALUE. */
#define ADD(GOLDEN, TYPE, ENCODE, VALUE, KEEP)        \
    do {                                              \
        struct buffer add_body;                       \
        buffer_init(&add_body, LOG_ENTRY_BODY_MAX);   \
        ENCODE(VALUE, &add_body);                     \
        log_add((GOLDEN), (TYPE), &add_body, (KEEP)); \
        buffer_deinit(&add_body);                     \
    } while (0)

static void add_space(struct golden *golden, uint32_t number, uint64_t count)
{
    struct log_space space = {.space = number};
    struct log_numbers numbers = {.first = number_of(number, 1), .count = count};

    sign_key_public(golden->log_key, space.public_key);
    ADD(golden, LOG_SPACE, log_space_encode, &space, true);
    ADD(golden, LOG_NUMBERS, log_numbers_encode, &numbers, number != SPACE);
    golden->next_number = numbers.first;
}

static void add_task(struct golden *golden, struct random_id task, struct random_id vm,
                     enum log_task_state state, bool keep)
{
    const struct log_task entry = {
        .task = task, .vm = vm, .epoch = 1, .state = state, .detail = slice_of_text("noted")};

    ADD(golden, LOG_TASK, log_task_encode, &entry, keep);
}

static void add_until(struct golden *golden, uint8_t type, struct random_id task, bool keep)
{
    const struct log_until entry = {.task = task, .until_us = GRACE_US};

    ADD(golden, type, log_until_encode, &entry, keep);
}

static void add_named(struct golden *golden, uint8_t type, struct random_id task)
{
    const struct log_named entry = {.task = task};

    ADD(golden, type, log_named_encode, &entry, false);
}

static void add_hold(struct golden *golden, struct random_id task, bool held)
{
    struct log_hold entry = {.task = task, .held = held};

    if (held)
        INVARIANT(text_format(entry.reason, sizeof(entry.reason), "%s", "gepr\xc3\xbc\x66t"));
    ADD(golden, LOG_HOLD, log_hold_encode, &entry, held && golden->segments > 0);
}

/* ---- Points ---- */

struct part {
    const char *name;
    enum file_role role; /* of a file */
    struct content *content;
};

struct point {
    struct random_id task;
    struct random_id vm;
    struct id parent;
    struct ref envelope;
    const char *vm_name;
    const char *reason;
    const char *state; /* when the log ends; NULL: it is no more */
    const struct part *disks;
    const struct part *files;
    int domain;
    uint16_t disk_count;
    uint16_t file_count;
};

/* BODY signed by the host, to what the caller owns; OWN gets the signature. */
static struct signed_slice sign_as_host(struct golden *golden, const char *context,
                                        struct slice body, uint8_t own[SIGN_SIZE])
{
    sign(golden, golden->host_key, golden->host_public, context, body, own);
    return (struct signed_slice){.body = body,
                                 .signature = slice_of(own, SIGN_SIZE),
                                 .certificate = buffer_slice(&golden->certificate)};
}

static struct random_id identity_of(size_t disk)
{
    return rising_id((uint8_t)(0x30 + disk));
}

static struct ref put_body(struct golden *golden, const struct point *point)
{
    struct statement_disk disks[2];
    struct statement_file files[3];
    struct statement statement = {.repository = golden->repository,
                                  .task = point->task,
                                  .vm = point->vm,
                                  .time_us = TIME,
                                  .parent = point->parent,
                                  .host = "host-1",
                                  .consistency = CONSISTENCY_APPLICATION,
                                  .disks = disks,
                                  .disk_count = point->disk_count,
                                  .files = files,
                                  .file_count = point->file_count};
    uint8_t signature[SIGN_SIZE];
    struct buffer encoded;
    struct buffer body;
    struct id id;
    struct error err = {0};

    memset(disks, 0, sizeof(disks));
    memset(files, 0, sizeof(files));
    INVARIANT(text_format(statement.vm_name, sizeof(statement.vm_name), "%s", point->vm_name));
    INVARIANT(text_format(statement.reason, sizeof(statement.reason), "%s", point->reason));
    for (size_t i = 0; i < point->disk_count; i++) {
        struct random_id identity = identity_of(i);

        INVARIANT(text_format(disks[i].name, sizeof(disks[i].name), "%s", point->disks[i].name));
        memcpy(disks[i].identity, identity.bytes, sizeof(disks[i].identity));
        disks[i].size = point->disks[i].content->size;
        disks[i].root = point->disks[i].content->ref.id;
    }
    for (size_t i = 0; i < point->file_count; i++) {
        INVARIANT(text_format(files[i].name, sizeof(files[i].name), "%s", point->files[i].name));
        files[i].role = point->files[i].role;
        files[i].size = point->files[i].content->size;
        files[i].root = point->files[i].content->ref.id;
    }
    buffer_init(&encoded, STATEMENT_SIZE_MAX);
    buffer_init(&body, RECORD_PLAIN_MAX);
    statement_encode(&statement, &encoded);

    struct signed_slice what =
        sign_as_host(golden, SIGN_CONTEXT_STATEMENT, buffer_slice(&encoded), signature);

    body_encode(&what, &body);
    INVARIANT(id_of(golden->id_keys[point->domain], KIND_BODY, buffer_slice(&body), &id, &err) ==
              STATUS_OK);

    struct ref ref = put_thing(golden, point->domain, KIND_BODY, &id, buffer_slice(&body));

    buffer_deinit(&encoded);
    buffer_deinit(&body);
    return ref;
}

static void put_envelope(struct golden *golden, struct point *point)
{
    struct envelope_disk disks[2];
    struct envelope_disk files[3];
    struct envelope envelope = {.vm = point->vm,
                                .time_us = TIME,
                                .disks = disks,
                                .disk_count = point->disk_count,
                                .files = files,
                                .file_count = point->file_count,
                                .body = put_body(golden, point)};
    struct buffer stored;
    struct id id;
    struct error err = {0};

    for (size_t i = 0; i < point->disk_count; i++)
        disks[i] = (struct envelope_disk){.size = point->disks[i].content->size,
                                          .root = point->disks[i].content->ref};
    for (size_t i = 0; i < point->file_count; i++)
        files[i] = (struct envelope_disk){.size = point->files[i].content->size,
                                          .root = point->files[i].content->ref};
    buffer_init(&stored, RECORD_PLAIN_MAX);
    envelope_encode_stored(&envelope, &stored);
    INVARIANT(envelope_id(golden->id_keys[point->domain], &envelope, &id, &err) == STATUS_OK);
    point->envelope = put_thing(golden, point->domain, KIND_ENVELOPE, &id, buffer_slice(&stored));
    buffer_deinit(&stored);
}

static void add_point(struct golden *golden, struct point *point)
{
    struct log_point entry = {.task = point->task, .domain = golden->domains[point->domain]};

    put_envelope(golden, point);
    entry.envelope = point->envelope;
    entry.packs = unsealed(golden);
    ADD(golden, LOG_POINT, log_point_encode, &entry, point->state != NULL);
}

static void add_tracking(struct golden *golden, const struct point *point, bool keep)
{
    struct tracking_disk disks[2];
    struct tracking tracking = {.repository = golden->repository,
                                .vm = point->vm,
                                .point = point->envelope.id,
                                .time_us = TIME,
                                .disks = disks,
                                .disk_count = point->disk_count};
    uint8_t signature[SIGN_SIZE];
    struct buffer encoded;

    memset(disks, 0, sizeof(disks));
    for (size_t i = 0; i < point->disk_count; i++) {
        struct random_id identity = identity_of(i);

        memcpy(disks[i].identity, identity.bytes, sizeof(disks[i].identity));
        disks[i].size = point->disks[i].content->size;
        disks[i].root = point->disks[i].content->ref.id;
        INVARIANT(text_format(disks[i].change_id, sizeof(disks[i].change_id), "rctX:%zu", i));
    }
    buffer_init(&encoded, TRACKING_SIZE_MAX);
    tracking_encode(&tracking, &encoded);

    const struct log_tracking entry = {.vm = point->vm,
                                       .tracking = sign_as_host(golden, SIGN_CONTEXT_TRACKING,
                                                                buffer_slice(&encoded), signature)};

    ADD(golden, LOG_TRACKING, log_tracking_encode, &entry, keep);
    buffer_deinit(&encoded);
}

/* ---- What a reader must find ---- */

static PRINTF_LIKE(2, 3) void say(struct golden *golden, const char *format, ...)
{
    char text[1024];
    va_list values;

    va_start(values, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is; clang-tidy 14 forgets that over several files */
    int length = vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    INVARIANT(length > 0 && (size_t)length < sizeof(text));
    buffer_put(&golden->expected, slice_of_text(text));
}

static void say_id(struct golden *golden, const char *name, const struct random_id *id)
{
    char text[RANDOM_ID_TEXT_SIZE];

    random_id_text(id, text);
    say(golden, "\"%s\": \"%s\", ", name, text);
}

static void say_content(struct golden *golden, const struct content *content)
{
    struct hash_digest digest;
    char text[2 * sizeof(digest.bytes) + 1];
    struct buffer whole;
    struct error err = {0};

    buffer_init(&whole, (size_t)WIDE_BLOCKS * BLOCK);
    whole_content(content, &whole);
    INVARIANT(buffer_check(&whole, "a disk", &err) == STATUS_OK);
    INVARIANT(hash_sha256(buffer_slice(&whole), &digest, &err) == STATUS_OK);
    text_hex(slice_of(digest.bytes, sizeof(digest.bytes)), text);
    say(golden, "\"size\": %" PRIu64 ", \"sha256\": \"%s\"}", content->size, text);
    buffer_deinit(&whole);
}

static void say_parts(struct golden *golden, const char *what, const struct part *parts,
                      uint16_t count)
{
    say(golden, "\"%s\": [", what);
    for (size_t i = 0; i < count; i++) {
        say(golden, "%s\n      {\"name\": \"%s\", ", i == 0 ? "" : ",", parts[i].name);
        say_content(golden, parts[i].content);
    }
    say(golden, "]");
}

static void say_point(struct golden *golden, const struct point *point, bool first)
{
    say(golden, "%s\n    {", first ? "" : ",");
    say_id(golden, "task", &point->task);
    say_id(golden, "domain", &golden->domains[point->domain]);
    say_id(golden, "vm", &point->vm);
    say(golden, "\"vm_name\": \"%s\", \"state\": \"%s\",\n     ", point->vm_name, point->state);
    say_parts(golden, "disks", point->disks, point->disk_count);
    say(golden, ",\n     ");
    say_parts(golden, "files", point->files, point->file_count);
    say(golden, "}");
}

/* ---- The content of each disk and file ---- */

enum {
    SYSTEM_1,
    SYSTEM_2,
    SYSTEM_PART,
    WIDE_1,
    WIDE_2,
    LAB_1,
    LAB_2,
    VMCX_1,
    VMCX_2,
    VMGS,
    EMPTY,
    CONTENTS
};

static void fill_system(struct content *content)
{
    content->size = (uint64_t)DISK_BLOCKS * BLOCK - BLOCK + 512;
    content->logical_sector = 512;
    for (uint32_t i = 0; i < DISK_BLOCKS; i++) {
        if (i % 7 == 3 || (i >= 64 && i < 96))
            continue;
        content->values[i] = i % 50 == 49 ? 16 * i + 15 : 16 * (i % 100 + 1);
    }
}

static void fill_wide(struct content *content)
{
    static const uint32_t blocks[] = {0, 1, 127, 128, 129, 5000, 5001, 5002, 5003, 16384, 16499};

    content->size = (uint64_t)WIDE_BLOCKS * BLOCK;
    content->logical_sector = 4096;
    for (uint32_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        content->values[blocks[i]] = 16 * (2000 + i);
}

static void fill_contents(struct content *contents)
{
    fill_system(&contents[SYSTEM_1]);
    contents[SYSTEM_2] = contents[SYSTEM_1];
    contents[SYSTEM_2].values[5] = 16 * 3000;
    contents[SYSTEM_2].values[70] = 16 * 3001;
    memset(&contents[SYSTEM_2].values[100], 0, 10 * sizeof(uint32_t));
    contents[SYSTEM_2].values[DISK_BLOCKS - 1] = 16 * 3002;
    contents[SYSTEM_PART] = contents[SYSTEM_2];
    for (size_t i = 110; i < 120; i++)
        contents[SYSTEM_PART].values[i] = (uint32_t)(16 * (4000 + i));
    fill_wide(&contents[WIDE_1]);
    contents[WIDE_2] = contents[WIDE_1];
    contents[WIDE_2].values[5003] = 0;
    contents[WIDE_2].values[16384] = 16 * 3003;
    contents[LAB_1].size = (uint64_t)LAB_BLOCKS * BLOCK;
    contents[LAB_1].logical_sector = 512;
    for (uint32_t i = 0; i < LAB_BLOCKS - 2; i++)
        contents[LAB_1].values[i] = 16 * (i + 1); /* the same bytes as in the other domain */
    contents[LAB_2] = contents[LAB_1];
    contents[LAB_2].values[9] = 16 * 5000;
    contents[VMCX_1].size = 5000;
    contents[VMCX_1].values[0] = 16 * 6000;
    contents[VMCX_1].values[1] = 16 * 6001;
    contents[VMCX_2] = contents[VMCX_1];
    contents[VMCX_2].values[1] = 16 * 6002;
    contents[VMGS].size = (uint64_t)3 * BLOCK + 1;
    contents[VMGS].values[0] = 16 * 6003;
    contents[VMGS].values[3] = 16 * 6004; /* one byte of it; blocks 1 and 2 are holes */
}

/* ---- The whole ---- */

static void add_session(struct golden *golden, struct random_id task, const struct ref *root)
{
    struct random_id identity = identity_of(0);
    struct log_session session = {.task = task, .domain = golden->domains[DOMAIN_A]};

    memcpy(session.disk, identity.bytes, sizeof(session.disk));
    if (root != NULL) {
        session.blocks = 120;
        session.root = *root;
        session.packs = unsealed(golden);
    }
    ADD(golden, LOG_SESSION, log_session_encode, &session, false);
}

/* A pack that is gone, and a head that was known elsewhere, which an operator has accepted. */
static void add_history(struct golden *golden)
{
    struct log_condemn condemn = {.sweep = 1, .pack = rising_id(0xc0), .last = true, .count = 2};
    struct log_rollback rollback = {.writer = golden->writer, .sequence = 99, .hash = {{7}}};
    struct log_accept accept;
    struct buffer numbers;

    buffer_init(&numbers, 2 * sizeof(uint64_t));
    buffer_put_u64le(&numbers, number_of(SPACE, 1022));
    buffer_put_u64le(&numbers, number_of(SPACE, 1023));
    condemn.numbers = buffer_slice(&numbers);
    ADD(golden, LOG_CONDEMN, log_condemn_encode, &condemn, true);
    buffer_deinit(&numbers);
    ADD(golden, LOG_ROLLBACK, log_rollback_encode, &rollback, false);
    accept.sequence = golden->sequence;
    ADD(golden, LOG_ACCEPT, log_accept_encode, &accept, false);
}

static void write_first_segment(struct golden *golden, struct content *contents,
                                struct point *points)
{
    const struct log_domain domain = {.domain = golden->domains[DOMAIN_B],
                                      .state = LOG_DOMAIN_USED,
                                      .name = "lab"};
    struct random_id given_up = rising_id(0x18);
    struct pack *data = begin_pack(golden, PACK_DATA);
    struct pack *meta = begin_pack(golden, PACK_META);

    add_space(golden, SPACE, 1024);
    ADD(golden, LOG_DOMAIN, log_domain_encode, &domain, true);
    add_task(golden, points[0].task, points[0].vm, LOG_TASK_INTENDED, false);
    add_task(golden, points[0].task, points[0].vm, LOG_TASK_FROZEN, false);
    store_content(golden, DOMAIN_A, &contents[SYSTEM_1], NULL);
    add_session(golden, given_up, &contents[SYSTEM_1].ref);
    add_session(golden, given_up, NULL);
    store_content(golden, DOMAIN_A, &contents[WIDE_1], NULL);
    store_content(golden, DOMAIN_A, &contents[VMCX_1], NULL);
    store_content(golden, DOMAIN_A, &contents[EMPTY], NULL);
    add_point(golden, &points[0]);
    add_task(golden, points[0].task, points[0].vm, LOG_TASK_COMMITTED, false);
    add_tracking(golden, &points[0], true);
    add_task(golden, points[0].task, points[0].vm, LOG_TASK_CONVERTED, false);
    add_task(golden, points[0].task, points[0].vm, LOG_TASK_ENDED, false);
    store_content(golden, DOMAIN_B, &contents[LAB_1], NULL);
    add_point(golden, &points[1]);
    add_until(golden, LOG_TRASH, points[1].task, false);
    add_named(golden, LOG_PURGE, points[1].task);
    store_content(golden, DOMAIN_B, &contents[LAB_2], NULL);
    add_point(golden, &points[2]);
    add_until(golden, LOG_TRASH, points[2].task, false);
    add_named(golden, LOG_UNDELETE, points[2].task);
    add_until(golden, LOG_TRASH, points[2].task, true);
    add_until(golden, LOG_LOCK, points[0].task, true);
    add_hold(golden, points[0].task, true);
    add_hold(golden, points[0].task, false);
    add_task(golden, rising_id(0x17), points[3].vm, LOG_TASK_INTENDED, true);
    seal_pack(golden, data);
    seal_pack(golden, meta);
    add_history(golden);
    add_space(golden, SPACE + 1, 4096);
    end_segment(golden);
}

static void write_later_segments(struct golden *golden, struct content *contents,
                                 struct point *points)
{
    struct random_id unfinished = rising_id(0x16);
    struct pack *data = begin_pack(golden, PACK_DATA);

    (void)begin_pack(golden, PACK_META);
    log_add_summary(golden, 0, 2);
    log_add_summary(golden, 1, 2);
    store_content(golden, DOMAIN_A, &contents[SYSTEM_2], &contents[SYSTEM_1]);
    store_content(golden, DOMAIN_A, &contents[WIDE_2], &contents[WIDE_1]);
    store_content(golden, DOMAIN_A, &contents[VMCX_2], NULL);
    store_content(golden, DOMAIN_A, &contents[VMGS], NULL);
    points[3].parent = points[0].envelope.id;
    add_point(golden, &points[3]);
    add_tracking(golden, &points[3], false);
    add_hold(golden, points[3].task, true);
    store_content(golden, DOMAIN_A, &contents[SYSTEM_PART], &contents[SYSTEM_2]);
    add_session(golden, unfinished, &contents[SYSTEM_PART].ref);
    end_segment(golden);

    /* After a start: the newest entry once more. */
    buffer_put(&golden->segment, buffer_slice(&golden->newest));
    store_content(golden, DOMAIN_B, &contents[VMGS], NULL);
    add_point(golden, &points[4]);
    end_segment(golden);

    /* A summary of which the second part was never written: another entry stands in its place. */
    log_add_summary(golden, 0, 2);
    add_until(golden, LOG_LOCK, points[3].task, false);
    end_segment(golden);
    tear(golden, data);
}

static void write_expected(struct golden *golden, const struct content *contents,
                           const struct point *points, size_t count)
{
    struct random_id unfinished = rising_id(0x16);
    struct random_id identity = identity_of(0);
    bool first = true;

    say(golden, "{\n  \"zstd\": \"%s\",\n  \"points\": [", golden_packer());
    for (size_t i = 0; i < count; i++) {
        if (points[i].state == NULL)
            continue;
        say_point(golden, &points[i], first);
        first = false;
    }
    say(golden, "\n  ],\n  \"partial_trees\": [\n    {");
    say_id(golden, "task", &unfinished);
    say_id(golden, "disk", &identity);
    say_id(golden, "domain", &golden->domains[DOMAIN_A]);
    say(golden, "\"blocks\": 120,\n     ");
    say_content(golden, &contents[SYSTEM_PART]);
    say(golden, "\n  ]\n}\n");
    write_file(golden->out, "expected.json", buffer_slice(&golden->expected));
}

/* ---- Setting up ---- */

static void read_credentials(struct golden *golden)
{
    struct buffer pem;
    struct error err = {0};
    char name[SIGN_NAME_SIZE];
    struct buffer ca;

    buffer_init(&pem, FILE_MAX);
    buffer_init(&ca, FILE_MAX);
    INVARIANT(golden_read(golden->credentials, "host-cert.pem", &pem));
    buffer_put_u8(&pem, 0);
    INVARIANT(sign_certificate_der((const char *)pem.data, &golden->certificate, &err) ==
              STATUS_OK);
    buffer_clear(&pem);
    INVARIANT(golden_read(golden->credentials, "host-key.pem", &pem));
    buffer_put_u8(&pem, 0);
    INVARIANT(sign_key_from_pem((const char *)pem.data, &golden->host_key, &err) == STATUS_OK);
    INVARIANT(golden_read(golden->credentials, "agents-ca.pem", &ca));
    buffer_put_u8(&ca, 0);
    INVARIANT(sign_certificate_check(buffer_slice(&golden->certificate), (const char *)ca.data,
                                     TIME, name, &golden->host_public, &err) == STATUS_OK);
    buffer_deinit(&pem);
    buffer_deinit(&ca);
    (void)golden_read(golden->credentials, "signatures", &golden->old_signatures);
}

static void set_up(struct golden *golden)
{
    struct repository_key key = golden_key();
    uint8_t bytes[SIGN_PUBLIC_SIZE];
    struct error err = {0};

    INVARIANT(keys_new(&key, &golden->keys, &err) == STATUS_OK);
    INVARIANT(codec_context_new(&golden->codec, &err) == STATUS_OK);
    for (int i = 0; i < DOMAINS; i++) {
        uint8_t id_key[KEYS_ID_KEY_SIZE];

        golden->domains[i] = rising_id((uint8_t)(0xa0 + i));
        INVARIANT(keys_id_key(golden->keys, &golden->domains[i], id_key, &err) == STATUS_OK);
        INVARIANT(hash_key_new(slice_of(id_key, sizeof(id_key)), &golden->id_keys[i], &err) ==
                  STATUS_OK);
    }
    INVARIANT(keys_log_signer(golden->keys, &golden->writer, &golden->log_key, &err) == STATUS_OK);
    sign_key_public(golden->log_key, bytes);
    INVARIANT(sign_public_from_bytes(bytes, &golden->log_public, &err) == STATUS_OK);
    buffer_init(&golden->certificate, SIGN_CERTIFICATE_MAX);
    buffer_init(&golden->old_signatures, FILE_MAX);
    buffer_init(&golden->signatures, FILE_MAX);
    buffer_init(&golden->expected, FILE_MAX);
    buffer_init(&golden->segment, FILE_MAX);
    buffer_init(&golden->newest, LOG_ENTRY_SIZE_MAX);
    read_credentials(golden);
}

static void tear_down(struct golden *golden)
{
    for (size_t i = 0; i < golden->node_count; i++)
        memory_free(golden->nodes[i]);
    for (size_t i = 0; i < golden->kept_count; i++)
        buffer_deinit(&golden->kept[i].body);
    for (int i = 0; i < DOMAINS; i++)
        hash_key_free(golden->id_keys[i]);
    buffer_deinit(&golden->certificate);
    buffer_deinit(&golden->old_signatures);
    buffer_deinit(&golden->signatures);
    buffer_deinit(&golden->expected);
    buffer_deinit(&golden->segment);
    buffer_deinit(&golden->newest);
    sign_key_free(golden->log_key);
    sign_public_free(golden->log_public);
    sign_key_free(golden->host_key);
    sign_public_free(golden->host_public);
    codec_context_free(golden->codec);
    keys_free(golden->keys);
    memory_free(golden);
}

static void write_repository_file(struct golden *golden)
{
    struct repository repository = {.id = golden->repository, .domain = golden->domains[DOMAIN_A]};
    struct buffer text;
    struct error err = {0};

    INVARIANT(fs_make_dir(golden->out, "repository", &err) == STATUS_OK);
    INVARIANT(fs_make_dir(golden->out, "repository/packs", &err) == STATUS_OK);
    INVARIANT(fs_make_dir(golden->out, "repository/log", &err) == STATUS_OK);
    keys_check(golden->keys, repository.key_check);
    buffer_init(&text, REPOSITORY_FILE_MAX);
    repository_encode(&repository, &text);
    write_file(golden->out, "repository/repository", buffer_slice(&text));
    buffer_deinit(&text);
}

/* The repository, what a reader must find in it, and the signatures for the next run. */
static void write_files(struct golden *golden, struct content *contents, struct point *points,
                        size_t count)
{
    write_repository_file(golden);
    write_first_segment(golden, contents, points);
    write_later_segments(golden, contents, points);
    write_packs(golden);
    write_expected(golden, contents, points, count);
    write_file(golden->out, "signatures", buffer_slice(&golden->signatures));
}

void golden_write(struct fs *out, struct fs *kept)
{
    struct golden *golden = memory_new(1, sizeof(*golden));
    struct content *contents = memory_new(CONTENTS, sizeof(*contents));

    INVARIANT(golden != NULL && contents != NULL);
    golden->out = out;
    golden->credentials = kept;
    golden->random = random_seeded_of(1);
    golden->repository = rising_id(0xb0);
    golden->writer = rising_id(0xd0);

    const struct part disks_1[] = {{.name = "system.vhdx", .content = &contents[SYSTEM_1]},
                                   {.name = "data.vhdx", .content = &contents[WIDE_1]}};
    const struct part disks_2[] = {{.name = "system.vhdx", .content = &contents[SYSTEM_2]},
                                   {.name = "data.vhdx", .content = &contents[WIDE_2]}};
    const struct part lab_1[] = {{.name = "lab.vhdx", .content = &contents[LAB_1]}};
    const struct part lab_2[] = {{.name = "lab.vhdx", .content = &contents[LAB_2]}};
    const struct part files_1[] = {{"web-01.vmcx", FILE_VMCX, &contents[VMCX_1]},
                                   {"web-01.vmrs", FILE_VMRS, &contents[EMPTY]}};
    const struct part files_2[] = {{"web-01.vmcx", FILE_VMCX, &contents[VMCX_2]},
                                   {"web-01.vmrs", FILE_VMRS, &contents[EMPTY]},
                                   {"web-01.vmgs", FILE_VMGS, &contents[VMGS]}};
    const struct part files_3[] = {{"notes", FILE_OTHER, &contents[VMGS]}};
    struct point points[] = {
        {.task = rising_id(0x10),
         .vm = rising_id(0x20),
         .domain = DOMAIN_A,
         .vm_name = "web-01",
         .reason = "first",
         .disks = disks_1,
         .disk_count = 2,
         .files = files_1,
         .file_count = 2,
         .state = "live"},
        {.task = rising_id(0x11),
         .vm = rising_id(0x21),
         .domain = DOMAIN_B,
         .vm_name = "lab-01",
         .reason = "first",
         .disks = lab_1,
         .disk_count = 1},
        {.task = rising_id(0x12),
         .vm = rising_id(0x21),
         .domain = DOMAIN_B,
         .vm_name = "lab-01",
         .reason = "first",
         .disks = lab_2,
         .disk_count = 1,
         .state = "trash"},
        {.task = rising_id(0x13),
         .vm = rising_id(0x20),
         .domain = DOMAIN_A,
         .vm_name = "web-01",
         .reason = "",
         .disks = disks_2,
         .disk_count = 2,
         .files = files_2,
         .file_count = 3,
         .state = "live"},
        {.task = rising_id(0x14),
         .vm = rising_id(0x22),
         .domain = DOMAIN_B,
         .vm_name = "empty-01",
         .reason = "first",
         .files = files_3,
         .file_count = 1,
         .state = "live"},
    };

    set_up(golden);
    fill_contents(contents);
    write_files(golden, contents, points, sizeof(points) / sizeof(points[0]));
    memory_free(contents);
    tear_down(golden);
}
