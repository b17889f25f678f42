/* tests/format_doc_test.c: the worked examples of docs/format.md are what the code makes, and none is missing on
 * either side. A new example is a block on the page and a row in `examples` below. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/hash.h"
#include "base/random.h"
#include "format/codec.h"
#include "format/disk_root.h"
#include "format/id.h"
#include "format/key_text.h"
#include "format/keys.h"
#include "format/kit.h"
#include "format/log_body.h"
#include "format/log_entry.h"
#include "format/manifest.h"
#include "format/pack.h"
#include "format/record.h"
#include "format/repository.h"
#include "format/sign.h"
#include "format/statement.h"
#include "format/tree.h"
#include "tests/support/format_examples.h"
#include "tests/support/test.h"

enum { PAGE_MAX = 1024 * 1024, BLOCK_SIZE_SHOWN = 4096 };

/* ---- The page's fixed inputs ---- */

/* START, START + 1 ... */
static void fill_rising(uint8_t *bytes, size_t size, uint8_t start)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(start + i);
}

static struct random_id rising_id(uint8_t start)
{
    struct random_id id;

    fill_rising(id.bytes, sizeof(id.bytes), start);
    return id;
}

/* Where the formats are random (nonces), the page says 40 41 42 ... */
static enum status fill_nonce(struct random_source *source, void *bytes, size_t size,
                              struct error *err)
{
    (void)source;
    (void)err;
    fill_rising(bytes, size, 0x40);
    return STATUS_OK;
}

static struct keys *page_keys(void)
{
    struct repository_key key;
    struct keys *keys = NULL;
    struct error err = {0};

    fill_rising(key.bytes, sizeof(key.bytes), 0);
    ASSERT_OK(keys_new(&key, &keys, &err), &err);
    return keys;
}

/* The id of PLAIN in the page's domain. */
static struct id page_id(uint8_t kind, struct slice plain)
{
    struct random_id domain = rising_id(0xa0);
    struct keys *keys = page_keys();
    struct hash_key *id_key = NULL;
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    struct error err = {0};
    struct id id;

    ASSERT_OK(keys_id_key(keys, &domain, bytes, &err), &err);
    ASSERT_OK(hash_key_new(slice_of(bytes, sizeof(bytes)), &id_key, &err), &err);
    ASSERT_OK(id_of(id_key, kind, plain, &id, &err), &err);
    hash_key_free(id_key);
    keys_free(keys);
    return id;
}

/* The page's block: 4,096 bytes 00 01 ... ff 00 01 ... */
static void fill_block(uint8_t block[BLOCK_SIZE_SHOWN])
{
    for (size_t i = 0; i < BLOCK_SIZE_SHOWN; i++)
        block[i] = (uint8_t)i;
}

/* ---- Keys ---- */

static void make_key_file(struct slice shown, struct buffer *target)
{
    struct repository_key key;
    char text[KEY_FILE_SIZE];

    (void)shown;
    fill_rising(key.bytes, sizeof(key.bytes), 0);
    key_file_encode(&key, text);
    buffer_put(target, slice_of(text, sizeof(text)));
}

static const struct key_wrap_cost shown_cost = {.n = 1024, .r = 8, .p = 1};

/* The page's key under the passphrase `tidemark`; the salt is 40 41 ... 5f. */
static struct key_text shown_wrapped_key(void)
{
    struct random_source nonce = {.fill = fill_nonce};
    struct random_id id = rising_id(0xb0);
    struct key_text text = {.wrapped = true};
    struct repository_key key;
    struct error err = {0};

    fill_rising(key.bytes, sizeof(key.bytes), 0);
    ASSERT_OK(key_wrap_seal(&id, &key, &shown_cost, slice_of_text("tidemark"), &nonce, &text.wrap,
                            &err),
              &err);
    return text;
}

static void make_key_wrapped(struct slice shown, struct buffer *target)
{
    struct key_text text = shown_wrapped_key();

    (void)shown;
    key_text_encode(&text, target);
}

static void make_key_derived(struct slice shown, struct buffer *target)
{
    uint8_t salt[KEY_WRAP_SALT_MAX];
    uint8_t derived[KEY_WRAP_DERIVED_SIZE];
    struct error err = {0};

    (void)shown;
    fill_rising(salt, sizeof(salt), 0x40);
    ASSERT_OK(key_wrap_derive(&shown_cost, slice_of(salt, sizeof(salt)), slice_of_text("tidemark"),
                              derived, &err),
              &err);
    buffer_put(target, slice_of(derived, sizeof(derived)));
}

/* The words for people are free: the page's must be a kit of these values. */
static void make_kit(struct slice shown, struct buffer *target)
{
    struct kit kit = {.repository = rising_id(0xb0),
                      .made = "2020-01-01",
                      .key = shown_wrapped_key()};
    struct kit read = {0};
    struct error err = {0};

    if (kit_decode(shown, &read, &err) == STATUS_OK &&
        random_id_equal(&read.repository, &kit.repository) && read.key.wrapped &&
        memcmp(read.key.wrap.sealed, kit.key.wrap.sealed, KEY_WRAP_SEALED_SIZE) == 0 &&
        strcmp(read.made, kit.made) == 0 && read.agents_ca.size == 0)
        buffer_put(target, shown);
    else
        kit_encode(&kit, target);
}

static void make_key_check(struct slice shown, struct buffer *target)
{
    struct keys *keys = page_keys();
    uint8_t check[KEYS_CHECK_SIZE];

    (void)shown;
    keys_check(keys, check);
    buffer_put(target, slice_of(check, sizeof(check)));
    keys_free(keys);
}

static void make_id_key(struct slice shown, struct buffer *target)
{
    struct random_id domain = rising_id(0xa0);
    struct keys *keys = page_keys();
    uint8_t key[KEYS_ID_KEY_SIZE];
    struct error err = {0};

    (void)shown;
    ASSERT_OK(keys_id_key(keys, &domain, key, &err), &err);
    buffer_put(target, slice_of(key, sizeof(key)));
    keys_free(keys);
}

static struct sign_key *page_log_signer(void)
{
    struct random_id writer = rising_id(0xd0);
    struct keys *keys = page_keys();
    struct sign_key *key = NULL;
    struct error err = {0};

    ASSERT_OK(keys_log_signer(keys, &writer, &key, &err), &err);
    keys_free(keys);
    return key;
}

static void make_log_public(struct slice shown, struct buffer *target)
{
    struct sign_key *key = page_log_signer();
    uint8_t public[SIGN_PUBLIC_SIZE];

    (void)shown;
    sign_key_public(key, public);
    buffer_put(target, slice_of(public, sizeof(public)));
    sign_key_free(key);
}

/* A signature is another one each time; the page's must be right. */
static void make_signature(struct slice shown, struct buffer *target)
{
    struct sign_key *key = page_log_signer();
    struct sign_public *signer = NULL;
    struct slice message = slice_of_text("abc");
    uint8_t public[SIGN_PUBLIC_SIZE];
    uint8_t signature[SIGN_SIZE];
    struct error err = {0};

    sign_key_public(key, public);
    ASSERT_OK(sign_public_from_bytes(public, &signer, &err), &err);
    ASSERT_OK(sign_message(key, SIGN_CONTEXT_LOG, message, signature, &err), &err);
    if (shown.size == SIGN_SIZE &&
        sign_check(signer, SIGN_CONTEXT_LOG, message, shown.data, &err) == STATUS_OK)
        buffer_put(target, shown);
    else
        buffer_put(target, slice_of(signature, sizeof(signature)));
    sign_public_free(signer);
    sign_key_free(key);
}

/* ---- Ids, the repository's file ---- */

static void make_block_id(struct slice shown, struct buffer *target)
{
    uint8_t block[BLOCK_SIZE_SHOWN];

    (void)shown;
    fill_block(block);

    struct id id = page_id(KIND_BLOCK, slice_of(block, sizeof(block)));

    buffer_put(target, slice_of(id.bytes, sizeof(id.bytes)));
}

static void make_repository(struct slice shown, struct buffer *target)
{
    struct repository repository = {.id = rising_id(0xb0), .domain = rising_id(0xa0)};
    struct keys *keys = page_keys();

    (void)shown;
    keys_check(keys, repository.key_check);
    repository_encode(&repository, target);
    keys_free(keys);
}

/* ---- Records and packs ---- */

/* PLAIN as the record of WHAT's kind, domain, number and id. */
static void seal(const struct record_header *what, struct slice plain, struct buffer *target)
{
    struct random_source nonce = {.fill = fill_nonce};
    struct codec_context *codec = NULL;
    struct keys *keys = page_keys();
    struct record_header header = *what;
    enum codec chosen = CODEC_PLAIN;
    struct buffer packed;
    struct error err = {0};

    buffer_init(&packed, RECORD_PLAIN_MAX);
    ASSERT_OK(codec_context_new(&codec, &err), &err);
    ASSERT_OK(codec_compress(codec, plain, &packed, &chosen, &err), &err);
    header.codec = (uint8_t)chosen;
    header.plain_length = (uint32_t)plain.size;
    ASSERT_OK(record_seal(keys, &nonce, &header, buffer_slice(&packed), target, &err), &err);
    buffer_deinit(&packed);
    codec_context_free(codec);
    keys_free(keys);
}

/* Too short to shrink: codec 0. */
static void make_record_plain(struct slice shown, struct buffer *target)
{
    struct slice plain = slice_of_text("tidemark");
    struct record_header header = {
        .kind = KIND_BLOCK,
        .domain = rising_id(0xa0),
        .number = number_of(0x010203, 1),
        .id = page_id(KIND_BLOCK, plain),
    };

    (void)shown;
    seal(&header, plain, target);
}

/* Which bytes zstd makes is its own business, and another version's may be others: the page's must open to the
 * block. */
static void make_record_zstd(struct slice shown, struct buffer *target)
{
    uint8_t block[BLOCK_SIZE_SHOWN];
    struct record_header header = {0};
    struct record_header opened;
    struct codec_context *codec = NULL;
    struct keys *keys = page_keys();
    struct buffer stored;
    struct error err = {0};

    fill_block(block);
    header.kind = KIND_BLOCK;
    header.domain = rising_id(0xa0);
    header.number = number_of(0x010203, 2);
    header.id = page_id(KIND_BLOCK, slice_of(block, sizeof(block)));
    buffer_init(&stored, RECORD_PLAIN_MAX);
    ASSERT_OK(codec_context_new(&codec, &err), &err);
    if (record_open(keys, codec, shown, &opened, &stored, &err) == STATUS_OK &&
        slice_equal(buffer_slice(&stored), slice_of(block, sizeof(block))) &&
        opened.codec == CODEC_ZSTD && opened.number == header.number &&
        id_equal(&opened.id, &header.id) && random_id_equal(&opened.domain, &header.domain))
        buffer_put(target, shown);
    else
        seal(&header, slice_of(block, sizeof(block)), target);
    buffer_deinit(&stored);
    codec_context_free(codec);
    keys_free(keys);
}

static void make_pack_header(struct slice shown, struct buffer *target)
{
    struct pack_header header = {
        .class = PACK_DATA,
        .repository = rising_id(0xb0),
        .name = rising_id(0xc0),
    };
    uint8_t bytes[PACK_HEADER_SIZE];

    (void)shown;
    pack_header_encode(&header, bytes);
    buffer_put(target, slice_of(bytes, sizeof(bytes)));
}

/* The whole of a sealed pack that holds the record of record-plain alone. */
static void make_pack(struct slice shown, struct buffer *target)
{
    struct record_header index = {.kind = KIND_PACK_INDEX, .domain = rising_id(0xc0)};
    struct pack_entry entry = {.kind = KIND_BLOCK,
                               .domain = rising_id(0xa0),
                               .number = number_of(0x010203, 1)};
    struct pack_footer footer = {0};
    uint8_t bytes[PACK_FOOTER_SIZE];
    struct buffer stored;

    buffer_init(&stored, PACK_ENTRY_SIZE);
    make_pack_header(shown, target);
    entry.offset = target->size;
    entry.id = page_id(KIND_BLOCK, slice_of_text("tidemark"));
    make_record_plain(shown, target);
    entry.length = (uint32_t)(target->size - entry.offset);
    pack_entry_encode(&entry, &stored);
    footer.index_offset = target->size;
    seal(&index, buffer_slice(&stored), target);
    footer.index_length = (uint32_t)(target->size - footer.index_offset);
    pack_footer_encode(&footer, bytes);
    buffer_put(target, slice_of(bytes, sizeof(bytes)));
    buffer_deinit(&stored);
}

/* ---- A restore point: one disk of 200 blocks, of which blocks 0 and 130 are the page's block ---- */

enum { SPACE_SHOWN = 0x010203, DISK_SIZE_SHOWN = 200 * BLOCK_SIZE_SHOWN };

#define TIME_SHOWN INT64_C(1577836800000000) /* 2020-01-01 00:00 UTC */

/* The page's id key; the caller's. */
static struct hash_key *page_id_key(void)
{
    struct random_id domain = rising_id(0xa0);
    struct keys *keys = page_keys();
    struct hash_key *id_key = NULL;
    uint8_t bytes[KEYS_ID_KEY_SIZE];
    struct error err = {0};

    ASSERT_OK(keys_id_key(keys, &domain, bytes, &err), &err);
    ASSERT_OK(hash_key_new(slice_of(bytes, sizeof(bytes)), &id_key, &err), &err);
    keys_free(keys);
    return id_key;
}

/* Nodes in the order in which the builder gives them out; numbers go on from 3. */
struct shown_tree {
    struct hash_key *id_key;
    struct tree_node nodes[3];
    struct ref refs[3];
    size_t count;
};

static enum status show_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    struct shown_tree *tree = context;
    struct ref *ref = &tree->refs[tree->count];

    assert_true(tree->count < 3);
    ref->number = number_of(SPACE_SHOWN, 3 + tree->count);
    tree->nodes[tree->count++] = *node;
    *ret_ref = *ref;

    enum status st = tree_node_id(tree->id_key, node, &ret_ref->id, err);

    *ref = *ret_ref;
    return st;
}

static struct disk_root build_shown(struct shown_tree *tree)
{
    const struct tree_callbacks callbacks = {.emit = show_node};
    const struct disk_root geometry = {.size = DISK_SIZE_SHOWN,
                                       .block_size = BLOCK_SIZE_SHOWN,
                                       .logical_sector = 512,
                                       .physical_sector = 4096};
    uint8_t block[BLOCK_SIZE_SHOWN];
    struct ref ref = {.number = number_of(SPACE_SHOWN, 2)};
    struct tree_builder *builder = NULL;
    struct disk_root root = {0};
    struct error err = {0};

    fill_block(block);
    ref.id = page_id(KIND_BLOCK, slice_of(block, sizeof(block)));
    *tree = (struct shown_tree){.id_key = page_id_key()};
    ASSERT_OK(tree_builder_new(&geometry, NULL, &callbacks, tree, &builder, &err), &err);
    ASSERT_OK(tree_builder_put(builder, 0, &ref, &err), &err);
    ASSERT_OK(tree_builder_put(builder, 130, &ref, &err), &err);
    ASSERT_OK(tree_builder_finish(builder, &root, &err), &err);
    assert_int_equal(tree->count, 3);
    tree_builder_free(builder);
    hash_key_free(tree->id_key);
    return root;
}

static void put_id(struct buffer *target, const struct id *id)
{
    buffer_put(target, slice_of(id->bytes, sizeof(id->bytes)));
}

/* The first three children of the second node, as it is stored. */
static void make_node_children(struct slice shown, struct buffer *target)
{
    struct shown_tree tree;
    uint8_t stored[NODE_STORED_SIZE];

    (void)shown;
    (void)build_shown(&tree);
    tree_node_encode_stored(&tree.nodes[1], stored);
    buffer_put(target, slice_of(stored, 3 * sizeof(stored) / TREE_FANOUT));
}

static void make_node_ids(struct slice shown, struct buffer *target)
{
    struct shown_tree tree;

    (void)shown;
    (void)build_shown(&tree);
    for (size_t i = 0; i < 3; i++)
        put_id(target, &tree.refs[i].id);
}

static void make_disk_root(struct slice shown, struct buffer *target)
{
    struct shown_tree tree;
    struct disk_root root = build_shown(&tree);
    uint8_t stored[DISK_ROOT_STORED_SIZE];

    (void)shown;
    disk_root_encode_stored(&root, stored);
    buffer_put(target, slice_of(stored, sizeof(stored)));
}

static struct id shown_root_id(void)
{
    struct shown_tree tree;
    struct disk_root root = build_shown(&tree);
    struct hash_key *id_key = page_id_key();
    struct id id;
    struct error err = {0};

    ASSERT_OK(disk_root_id(id_key, &root, &id, &err), &err);
    hash_key_free(id_key);
    return id;
}

static void make_disk_root_id(struct slice shown, struct buffer *target)
{
    struct id id = shown_root_id();

    (void)shown;
    put_id(target, &id);
}

/* A file of the 8 bytes of record-plain, which are one block. */
enum { FILE_SIZE_SHOWN = 8 };

static struct disk_root shown_file(void)
{
    struct disk_root root = {.size = FILE_SIZE_SHOWN,
                             .block_size = BLOCK_SIZE_SHOWN,
                             .top = {.number = number_of(SPACE_SHOWN, 1)}};

    root.top.id = page_id(KIND_BLOCK, slice_of_text("tidemark"));
    return root;
}

static struct id shown_file_id(void)
{
    struct disk_root root = shown_file();
    struct hash_key *id_key = page_id_key();
    struct id id;
    struct error err = {0};

    ASSERT_OK(file_root_check(&root, &err), &err);
    ASSERT_OK(file_root_id(id_key, &root, &id, &err), &err);
    hash_key_free(id_key);
    return id;
}

static void make_file_root(struct slice shown, struct buffer *target)
{
    struct disk_root root = shown_file();
    uint8_t stored[DISK_ROOT_STORED_SIZE];

    (void)shown;
    disk_root_encode_stored(&root, stored);
    buffer_put(target, slice_of(stored, sizeof(stored)));
}

static void make_file_root_id(struct slice shown, struct buffer *target)
{
    struct id id = shown_file_id();

    (void)shown;
    put_id(target, &id);
}

static void make_statement(struct slice shown, struct buffer *target)
{
    struct statement_disk disk = {.name = "system.vhdx", .size = DISK_SIZE_SHOWN};
    struct statement_file file = {.name = "web-01.vmcx",
                                  .role = FILE_VMCX,
                                  .size = FILE_SIZE_SHOWN};
    struct statement statement = {.repository = rising_id(0xb0),
                                  .task = rising_id(0x10),
                                  .vm = rising_id(0x20),
                                  .time_us = TIME_SHOWN,
                                  .host = "host-1",
                                  .vm_name = "web-01",
                                  .consistency = CONSISTENCY_APPLICATION,
                                  .reason = "first",
                                  .disks = &disk,
                                  .disk_count = 1,
                                  .files = &file,
                                  .file_count = 1};

    (void)shown;
    file.root = shown_file_id();
    fill_rising(disk.identity, sizeof(disk.identity), 0x30);
    disk.root = shown_root_id();
    statement_encode(&statement, target);
}

/* The envelope of that point over ROOTS, of its disk and its file; they and its body have the numbers 6, 9 and 7. */
static struct id shown_envelope(struct envelope_disk roots[2], struct envelope *ret_envelope)
{
    static const char body[] = "body";
    struct hash_key *id_key = page_id_key();
    struct id id;
    struct error err = {0};

    roots[0].size = DISK_SIZE_SHOWN;
    roots[0].root = (struct ref){.id = shown_root_id(), .number = number_of(SPACE_SHOWN, 6)};
    roots[1].size = FILE_SIZE_SHOWN;
    roots[1].root = (struct ref){.id = shown_file_id(), .number = number_of(SPACE_SHOWN, 9)};
    *ret_envelope = (struct envelope){.vm = rising_id(0x20),
                                      .time_us = TIME_SHOWN,
                                      .disks = &roots[0],
                                      .disk_count = 1,
                                      .files = &roots[1],
                                      .file_count = 1};
    ret_envelope->body.id = page_id(KIND_BODY, slice_of_text(body));
    ret_envelope->body.number = number_of(SPACE_SHOWN, 7);
    ASSERT_OK(envelope_id(id_key, ret_envelope, &id, &err), &err);
    hash_key_free(id_key);
    return id;
}

static void make_envelope(struct slice shown, struct buffer *target)
{
    struct envelope_disk roots[2];
    struct envelope envelope;

    (void)shown;
    (void)shown_envelope(roots, &envelope);
    envelope_encode_stored(&envelope, target);
}

static void make_envelope_id(struct slice shown, struct buffer *target)
{
    struct envelope_disk roots[2];
    struct envelope envelope;
    struct id id = shown_envelope(roots, &envelope);

    (void)shown;
    put_id(target, &id);
}

static void make_tracking(struct slice shown, struct buffer *target)
{
    struct tracking_disk disk = {.size = DISK_SIZE_SHOWN, .change_id = "rctX:1:1:1"};
    struct tracking tracking = {.repository = rising_id(0xb0),
                                .vm = rising_id(0x20),
                                .time_us = TIME_SHOWN,
                                .disks = &disk,
                                .disk_count = 1};
    struct envelope_disk unused_roots[2];
    struct envelope unused;

    (void)shown;
    tracking.point = shown_envelope(unused_roots, &unused);
    fill_rising(disk.identity, sizeof(disk.identity), 0x30);
    disk.root = shown_root_id();
    tracking_encode(&tracking, target);
}

static void make_signed(struct slice shown, struct buffer *target)
{
    uint8_t signature[SIGN_SIZE];
    const struct signed_slice what = {.body = slice_of_text("abc"),
                                      .signature = slice_of(signature, sizeof(signature)),
                                      .certificate = slice_of_text("DER")};

    (void)shown;
    fill_rising(signature, sizeof(signature), 0x80);
    signed_encode(&what, target);
}

/* ---- The log ---- */

static void make_log_numbers(struct slice shown, struct buffer *target)
{
    const struct log_numbers numbers = {.first = number_of(SPACE_SHOWN, 1), .count = 1024};

    (void)shown;
    log_numbers_encode(&numbers, target);
}

static void make_log_point(struct slice shown, struct buffer *target)
{
    struct envelope_disk roots[2];
    struct envelope envelope;
    struct log_point point = {.task = rising_id(0x10),
                              .domain = rising_id(0xa0),
                              .packs = {.count = 1}};

    (void)shown;
    point.envelope.id = shown_envelope(roots, &envelope);
    point.envelope.number = number_of(SPACE_SHOWN, 8);
    point.packs.packs[0] = (struct log_point_pack){.name = rising_id(0xc0), .synced = 180};
    log_point_encode(&point, target);
}

static void make_log_trash(struct slice shown, struct buffer *target)
{
    const struct log_until until = {.task = rising_id(0x10), .until_us = 2000000};

    (void)shown;
    log_until_encode(&until, target);
}

static void make_log_purge(struct slice shown, struct buffer *target)
{
    const struct log_named named = {.task = rising_id(0x10)};

    (void)shown;
    log_named_encode(&named, target);
}

static void make_log_hold(struct slice shown, struct buffer *target)
{
    const struct log_hold hold = {.task = rising_id(0x10), .held = true, .reason = "audit"};

    (void)shown;
    log_hold_encode(&hold, target);
}

static void make_log_task(struct slice shown, struct buffer *target)
{
    const struct log_task task = {.task = rising_id(0x10),
                                  .vm = rising_id(0x20),
                                  .epoch = 1,
                                  .state = LOG_TASK_INTENDED,
                                  .detail = slice_of_text("abc")};

    (void)shown;
    log_task_encode(&task, target);
}

static void make_log_session(struct slice shown, struct buffer *target)
{
    struct log_session session = {.task = rising_id(0x10),
                                  .domain = rising_id(0xa0),
                                  .blocks = 131,
                                  .root = {.number = number_of(SPACE_SHOWN, 6)},
                                  .packs = {.count = 1}};

    (void)shown;
    fill_rising(session.disk, sizeof(session.disk), 0x30);
    session.root.id = shown_root_id();
    session.packs.packs[0] = (struct log_point_pack){.name = rising_id(0xc0), .synced = 180};
    log_session_encode(&session, target);
}

static void make_log_condemn(struct slice shown, struct buffer *target)
{
    struct log_condemn condemn = {.sweep = 1, .pack = rising_id(0xc0), .last = true, .count = 2};
    struct buffer numbers;

    (void)shown;
    buffer_init(&numbers, 2 * sizeof(uint64_t));
    buffer_put_u64le(&numbers, number_of(SPACE_SHOWN, 1));
    buffer_put_u64le(&numbers, number_of(SPACE_SHOWN, 2));
    condemn.numbers = buffer_slice(&numbers);
    log_condemn_encode(&condemn, target);
    buffer_deinit(&numbers);
}

static void make_log_domain(struct slice shown, struct buffer *target)
{
    const struct log_domain domain = {.domain = rising_id(0xa0),
                                      .state = LOG_DOMAIN_USED,
                                      .name = "cluster-1"};

    (void)shown;
    log_domain_encode(&domain, target);
}

static void make_log_rollback(struct slice shown, struct buffer *target)
{
    struct log_rollback rollback = {.writer = rising_id(0xd0), .sequence = 9};

    (void)shown;
    fill_rising(rollback.hash.bytes, sizeof(rollback.hash.bytes), 0x60);
    log_rollback_encode(&rollback, target);
}

static void make_log_accept(struct slice shown, struct buffer *target)
{
    const struct log_accept accept = {.sequence = 5};

    (void)shown;
    log_accept_encode(&accept, target);
}

static void make_log_summary(struct slice shown, struct buffer *target)
{
    struct log_item item = {.type = LOG_NUMBERS, .sequence = 2, .time_us = TIME_SHOWN};
    struct log_summary summary = {.part = 0, .parts = 1};
    struct buffer body;
    struct buffer items;

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    buffer_init(&items, LOG_ENTRY_BODY_MAX);
    make_log_numbers(shown, &body);
    item.body = buffer_slice(&body);
    log_item_encode(&item, &items);
    summary.items = buffer_slice(&items);
    log_summary_encode(&summary, target);
    buffer_deinit(&body);
    buffer_deinit(&items);
}

/* The first entry of the page's writer. The page's own signature serves if it is right. */
static void make_log_entry(struct slice shown, struct buffer *target)
{
    struct random_source nonce = {.fill = fill_nonce};
    struct log_entry_header header = {.type = LOG_SPACE,
                                      .writer = rising_id(0xd0),
                                      .sequence = 1,
                                      .time_us = TIME_SHOWN};
    struct sign_key *signer = page_log_signer();
    struct keys *keys = page_keys();
    struct sign_public *public = NULL;
    struct log_space space = {.space = SPACE_SHOWN};
    struct buffer body;
    struct buffer opened;
    struct buffer entry;
    struct hash_digest hash;
    struct error err = {0};

    buffer_init(&body, LOG_ENTRY_BODY_MAX);
    buffer_init(&opened, LOG_ENTRY_BODY_MAX);
    buffer_init(&entry, LOG_ENTRY_SIZE_MAX);
    sign_key_public(signer, space.public_key);
    ASSERT_OK(sign_public_from_bytes(space.public_key, &public, &err), &err);
    log_space_encode(&space, &body);
    ASSERT_OK(log_entry_seal(keys_structure(keys), signer, &nonce, &header, buffer_slice(&body),
                             &entry, &hash, &err),
              &err);

    size_t before_signature = entry.size - SIGN_SIZE - 4;

    if (shown.size == entry.size && memcmp(shown.data, entry.data, before_signature) == 0 &&
        log_entry_open(keys_structure(keys), public, shown, &header, &opened, &hash, &err) ==
            STATUS_OK)
        buffer_put(target, shown);
    else
        buffer_put(target, buffer_slice(&entry));
    buffer_deinit(&body);
    buffer_deinit(&opened);
    buffer_deinit(&entry);
    sign_public_free(public);
    sign_key_free(signer);
    keys_free(keys);
}

/* ---- The page ---- */

static const struct format_example examples[] = {
    {"key-file", make_key_file},
    {"key-wrapped", make_key_wrapped},
    {"key-derived", make_key_derived},
    {"recovery-kit", make_kit},
    {"key-check", make_key_check},
    {"id-key", make_id_key},
    {"log-public-key", make_log_public},
    {"signature", make_signature},
    {"block-id", make_block_id},
    {"repository-file", make_repository},
    {"record-plain", make_record_plain},
    {"record-zstd", make_record_zstd},
    {"pack-header", make_pack_header},
    {"pack-sealed", make_pack},
    {"node-children", make_node_children},
    {"node-ids", make_node_ids},
    {"disk-root", make_disk_root},
    {"disk-root-id", make_disk_root_id},
    {"file-root", make_file_root},
    {"file-root-id", make_file_root_id},
    {"statement", make_statement},
    {"tracking", make_tracking},
    {"signed", make_signed},
    {"envelope", make_envelope},
    {"envelope-id", make_envelope_id},
    {"log-numbers", make_log_numbers},
    {"log-point", make_log_point},
    {"log-entry", make_log_entry},
    {"log-trash", make_log_trash},
    {"log-purge", make_log_purge},
    {"log-hold", make_log_hold},
    {"log-task", make_log_task},
    {"log-session", make_log_session},
    {"log-condemn", make_log_condemn},
    {"log-domain", make_log_domain},
    {"log-rollback", make_log_rollback},
    {"log-accept", make_log_accept},
    {"log-summary", make_log_summary},
};

static void the_page_shows_what_the_code_makes(void **state)
{
    struct fs *docs = NULL;
    struct fs_file *file = NULL;
    struct buffer page;
    uint64_t size = 0;
    struct error err = {0};

    (void)state;
    buffer_init(&page, PAGE_MAX);
    ASSERT_OK(fs_posix_new(TIDEMARK_DOCS, &docs, &err), &err);
    ASSERT_OK(fs_open(docs, "format.md", FS_READ, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    assert_true(size > 0 && size <= PAGE_MAX);
    ASSERT_OK(fs_read_exactly_at(file, 0, buffer_extend(&page, (size_t)size), (size_t)size, &err),
              &err);
    fs_close(file);
    fs_free(docs);
    ASSERT_OK(format_examples_check(buffer_slice(&page), examples,
                                    sizeof(examples) / sizeof(examples[0]), &err),
              &err);
    buffer_deinit(&page);
}

/* ---- The comparison itself ---- */

static void make_ab(struct slice shown, struct buffer *target)
{
    (void)shown;
    buffer_put(target, slice_of("\xab\xcd", 2));
}

static enum status check_text(const char *page, size_t count, struct error *err)
{
    static const struct format_example table[] = {{"one", make_ab}, {"two", make_ab}};

    return format_examples_check(slice_of_text(page), table, count, err);
}

#define ONE "```hex name=one\nab  # a remark, cd\n  cd\n```\n"

static void an_example_on_one_side_only_is_found(void **state)
{
    struct error err = {0};

    (void)state;
    ASSERT_OK(check_text("text\n" ONE "```\nother ab\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, check_text(ONE, 2, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, check_text(ONE "```hex name=two\nab cd\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, check_text("", 1, &err), &err);
}

static void other_bytes_on_the_page_are_found(void **state)
{
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab ce\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab cd 00\n```\n", 1, &err), &err);
    /* Also where a right one follows. */
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=two\nab ce\n```\n" ONE, 2, &err), &err);
}

static void a_page_that_cannot_be_read_is_refused(void **state)
{
    struct error err = {0};

    (void)state;
    ASSERT_STATUS(STATUS_CORRUPT, check_text(ONE ONE, 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab cd\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab c\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=one\nab\tcd\n```\n", 1, &err), &err);
    ASSERT_STATUS(STATUS_CORRUPT, check_text("```hex name=\nab cd\n```\n", 1, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_shows_what_the_code_makes),
        cmocka_unit_test(an_example_on_one_side_only_is_found),
        cmocka_unit_test(other_bytes_on_the_page_are_found),
        cmocka_unit_test(a_page_that_cannot_be_read_is_refused),
    };

    return cmocka_run_group_tests_name("format_doc", tests, NULL, NULL);
}
