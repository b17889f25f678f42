#include "tests/console_sample.h"

#include <string.h>

#include "base/buffer.h"
#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/slice.h"
#include "base/text.h"
#include "transport/rpc.h"
#include "transport/rpc_message.h"
#include "format/codec.h"
#include "format/disk_root.h"
#include "format/manifest.h"
#include "format/sign.h"
#include "format/statement.h"
#include "format/tree.h"
#include "tests/support/temp_folder.h"

enum { KEY_SIZE = 32, TEXT_MAX = 64 * 1024 };

static const uint8_t id_key[KEY_SIZE] = {1, 2, 3, 4};

/* ---- The host -------------------------------------------------------------------------------- */

static char *read_file(struct fs *fs, const char *name)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    struct error err = {0};

    INVARIANT(fs_open(fs, name, FS_READ, &file, &err) == STATUS_OK);
    INVARIANT(fs_size(file, &size, &err) == STATUS_OK && size < TEXT_MAX);

    char *text = memory_new((size_t)size + 1, 1);

    INVARIANT(text != NULL);
    INVARIANT(fs_read_exactly_at(file, 0, text, (size_t)size, &err) == STATUS_OK);
    fs_close(file);
    return text;
}

void console_host_make(struct console_host *host, const char *name, enum test_validity validity)
{
    char folder[TEMP_FOLDER_SIZE];
    struct test_ca *ca = test_certificates_ca_new("agents");
    struct fs *fs = NULL;
    struct error err = {0};

    temp_folder_make(folder);
    test_certificates_write(folder, ca, ca, name, validity);
    INVARIANT(text_format(host->name, sizeof(host->name), "%s", name));
    INVARIANT(fs_posix_new(folder, &fs, &err) == STATUS_OK);
    host->ca_pem = read_file(fs, "ca.pem");
    host->certificate_pem = read_file(fs, "cert.pem");
    host->key_pem = read_file(fs, "key.pem");
    fs_free(fs);
    temp_folder_remove(folder);
    test_certificates_ca_free(ca);
}

void console_host_deinit(struct console_host *host)
{
    memory_free(host->ca_pem);
    memory_free(host->certificate_pem);
    memory_free(host->key_pem);
    *host = (struct console_host){0};
}

/* ---- The disk -------------------------------------------------------------------------------- */

void console_disk_make(struct console_disk *disk, uint64_t size, uint32_t block_size,
                       unsigned period, struct random_seeded *random)
{
    struct error err = {0};

    *disk = (struct console_disk){.size = size, .block_size = block_size};
    disk->content = memory_new((size_t)size, 1);
    INVARIANT(disk->content != NULL);
    for (uint64_t block = 0; period != 0 && block < disk_root_blocks(size, block_size); block++) {
        uint64_t start = block * block_size;
        size_t length = (size_t)(size - start < block_size ? size - start : block_size);

        if (block % period == 0)
            INVARIANT(random_bytes(&random->source, disk->content + start, length, &err) ==
                      STATUS_OK);
        else if (block % period == 1)
            memset(disk->content + start, 'a' + (int)(block % 26), length);
    }
}

void console_disk_deinit(struct console_disk *disk)
{
    memory_free(disk->content);
    disk->content = NULL;
}

static struct slice block_of(const struct console_disk *disk, uint64_t block)
{
    uint64_t start = block * disk->block_size;
    uint64_t length = disk->size - start;

    return slice_of(disk->content + start,
                    (size_t)(length < disk->block_size ? length : disk->block_size));
}

/* ---- The point ------------------------------------------------------------------------------- */

static enum status no_node(void *context, uint8_t level, uint64_t index, const struct ref *ref,
                           struct tree_node *ret_node, struct error *err)
{
    (void)context;
    (void)level;
    (void)index;
    (void)ref;
    (void)ret_node;
    return error_set(err, STATUS_INTERNAL, "there is no parent");
}

static enum status name_node(void *context, const struct tree_node *node, struct ref *ret_ref,
                             struct error *err)
{
    *ret_ref = (struct ref){0};
    return tree_node_id(context, node, &ret_ref->id, err);
}

static struct disk_root root_of(const struct console_disk *disk, struct hash_key *key)
{
    const struct tree_callbacks callbacks = {.read = no_node, .emit = name_node};
    struct disk_root root = {.size = disk->size,
                             .block_size = disk->block_size,
                             .logical_sector = 512,
                             .physical_sector = 4096,
                             .height = disk_root_height(disk->size, disk->block_size)};
    struct tree_builder *builder = NULL;
    struct error err = {0};

    INVARIANT(tree_builder_new(&root, NULL, &callbacks, key, &builder, &err) == STATUS_OK);
    for (uint64_t block = 0; block < disk_root_blocks(disk->size, disk->block_size); block++) {
        struct ref ref = {0};

        if (slice_is_zero(block_of(disk, block)))
            continue;
        INVARIANT(id_of(key, KIND_BLOCK, block_of(disk, block), &ref.id, &err) == STATUS_OK);
        INVARIANT(tree_builder_put(builder, block, &ref, &err) == STATUS_OK);
    }
    INVARIANT(tree_builder_finish(builder, &root, &err) == STATUS_OK);
    tree_builder_free(builder);
    return root;
}

/* The statement over ROOT_ID into BODY, its signature and its signer's certificate. */
static void sign(const struct console_sample_options *options, const struct statement *statement,
                 struct buffer *body, uint8_t signature[SIGN_SIZE], struct buffer *certificate)
{
    struct sign_key *key = NULL;
    struct error err = {0};

    statement_encode(statement, body);
    INVARIANT(sign_key_from_pem(options->host->key_pem, &key, &err) == STATUS_OK);
    INVARIANT(sign_message(key, SIGN_CONTEXT_STATEMENT, buffer_slice(body), signature, &err) ==
              STATUS_OK);
    INVARIANT(sign_certificate_der(options->host->certificate_pem, certificate, &err) == STATUS_OK);
    sign_key_free(key);
}

static struct id point_of(const struct statement *statement, const struct signed_slice *what,
                          struct hash_key *key)
{
    struct envelope_disk disk = {.size = statement->disks[0].size,
                                 .root.id = statement->disks[0].root};
    struct envelope envelope = {.vm = statement->vm,
                                .time_us = statement->time_us,
                                .disks = &disk,
                                .disk_count = 1};
    struct buffer body;
    struct id point;
    struct error err = {0};

    buffer_init(&body, TEXT_MAX);
    body_encode(what, &body);
    INVARIANT(id_of(key, KIND_BODY, buffer_slice(&body), &envelope.body.id, &err) == STATUS_OK);
    INVARIANT(envelope_id(key, &envelope, &point, &err) == STATUS_OK);
    buffer_deinit(&body);
    return point;
}

/* ---- The parts ------------------------------------------------------------------------------- */

ProtobufCMessage *console_sample_receive(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_new(size + 1, 1);
    ProtobufCMessage *received = NULL;
    struct error err = {0};

    INVARIANT(bytes != NULL);
    INVARIANT(protobuf_c_message_pack(message, bytes) == size);
    INVARIANT(rpc_message_unpack(message->descriptor, slice_of(bytes, size), &received, &err) ==
              STATUS_OK);
    memory_free(bytes);
    return received;
}

static void add_part(struct console_sample *sample, const Tidemark__V1__ExportPart *part)
{
    Tidemark__V1__ExportPart **parts =
        memory_resize(sample->parts, sample->count + 1, sizeof(Tidemark__V1__ExportPart *));

    INVARIANT(parts != NULL);
    sample->parts = parts;
    sample->parts[sample->count++] =
        (Tidemark__V1__ExportPart *)console_sample_receive(&part->base);
}

static ProtobufCBinaryData field(struct slice bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)bytes.data, .len = bytes.size};
}

static void add_opened(struct console_sample *sample, const struct console_sample_options *options,
                       const struct disk_root *root, struct hash_key *key)
{
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportOpened opened = TIDEMARK__V1__EXPORT_OPENED__INIT;
    Tidemark__V1__Point point = TIDEMARK__V1__POINT__INIT;
    Tidemark__V1__Signed signed_message = TIDEMARK__V1__SIGNED__INIT;
    struct statement_disk disk = {.name = "disk0", .identity = {7}, .size = root->size};
    struct statement statement = {.repository = {{1}},
                                  .task = {{2}},
                                  .vm = {{3}},
                                  .time_us = options->time_us,
                                  .vm_name = "disk0",
                                  .consistency = CONSISTENCY_CRASH,
                                  .reason = "first_backup",
                                  .disks = &disk,
                                  .disk_count = 1};
    const char *stated = options->stated_host == NULL ? options->host->name : options->stated_host;
    uint8_t signature[SIGN_SIZE];
    uint8_t plain_root[DISK_ROOT_PLAIN_SIZE];
    struct buffer body;
    struct buffer certificate;
    struct error err = {0};

    INVARIANT(text_format(statement.host, sizeof(statement.host), "%s", stated));
    INVARIANT(disk_root_id(key, root, &disk.root, &err) == STATUS_OK);
    buffer_init(&body, TEXT_MAX);
    buffer_init(&certificate, TEXT_MAX);
    sign(options, &statement, &body, signature, &certificate);

    const struct signed_slice what = {.body = buffer_slice(&body),
                                      .signature = slice_of(signature, sizeof(signature)),
                                      .certificate = buffer_slice(&certificate)};

    sample->point = point_of(&statement, &what, key);
    id_text(&sample->point, sample->point_text);
    disk_root_encode_plain(root, plain_root);
    point.point = field(slice_of(sample->point.bytes, ID_SIZE));
    signed_message.body = field(what.body);
    signed_message.signature = field(what.signature);
    signed_message.certificate = field(what.certificate);
    opened.point = &point;
    opened.statement = &signed_message;
    opened.root = field(slice_of(plain_root, sizeof(plain_root)));
    opened.id_key = field(slice_of(id_key, sizeof(id_key)));
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_OPENED;
    part.opened = &opened;
    add_part(sample, &part);
    buffer_deinit(&body);
    buffer_deinit(&certificate);
}

/* COUNT blocks from the list NUMBERS as one part. */
static void add_blocks(struct console_sample *sample, const struct console_disk *disk,
                       const uint64_t *numbers, size_t count)
{
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportBlocks blocks = TIDEMARK__V1__EXPORT_BLOCKS__INIT;
    Tidemark__V1__BlockData *data = memory_new(count, sizeof(*data));
    Tidemark__V1__BlockData **list = memory_new(count, sizeof(Tidemark__V1__BlockData *));
    struct buffer *packed = memory_new(count, sizeof(*packed));
    struct codec_context *codec = NULL;
    struct error err = {0};

    INVARIANT(data != NULL && list != NULL && packed != NULL);
    INVARIANT(codec_context_new(&codec, &err) == STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        enum codec chosen = CODEC_PLAIN;

        buffer_init(&packed[i], BLOCK_SIZE_MAX);
        INVARIANT(codec_compress(codec, block_of(disk, numbers[i]), &packed[i], &chosen, &err) ==
                  STATUS_OK);
        tidemark__v1__block_data__init(&data[i]);
        data[i].seq = numbers[i];
        data[i].codec = chosen;
        data[i].data = field(buffer_slice(&packed[i]));
        list[i] = &data[i];
    }
    blocks.n_blocks = count;
    blocks.blocks = list;
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_BLOCKS;
    part.blocks = &blocks;
    add_part(sample, &part);
    for (size_t i = 0; i < count; i++)
        buffer_deinit(&packed[i]);
    codec_context_free(codec);
    memory_free(packed);
    memory_free(list);
    memory_free(data);
}

void console_sample_make(struct console_sample *sample,
                         const struct console_sample_options *options)
{
    const struct console_disk *disk = options->disk;
    uint64_t all = disk_root_blocks(disk->size, disk->block_size);
    uint64_t *numbers = memory_new((size_t)all, sizeof(*numbers));
    Tidemark__V1__ExportPart part = TIDEMARK__V1__EXPORT_PART__INIT;
    Tidemark__V1__ExportEnded ended = TIDEMARK__V1__EXPORT_ENDED__INIT;
    struct hash_key *key = NULL;
    size_t count = 0;
    struct error err = {0};

    *sample = (struct console_sample){0};
    INVARIANT(numbers != NULL);
    INVARIANT(hash_key_new(slice_of(id_key, sizeof(id_key)), &key, &err) == STATUS_OK);

    const struct disk_root root = root_of(disk, key);

    add_opened(sample, options, &root, key);
    for (uint64_t block = 0; block < all; block++)
        if (!slice_is_zero(block_of(disk, block)))
            numbers[count++] = block;
    for (size_t i = 0; i < count; i += options->blocks_in_part)
        add_blocks(sample, disk, numbers + i,
                   count - i < options->blocks_in_part ? count - i : options->blocks_in_part);
    ended.blocks = count;
    part.kind_case = TIDEMARK__V1__EXPORT_PART__KIND_ENDED;
    part.ended = &ended;
    add_part(sample, &part);
    hash_key_free(key);
    memory_free(numbers);
}

void console_sample_deinit(struct console_sample *sample)
{
    for (size_t i = 0; i < sample->count; i++)
        rpc_message_free((ProtobufCMessage *)sample->parts[i]);
    memory_free(sample->parts);
    *sample = (struct console_sample){0};
}
