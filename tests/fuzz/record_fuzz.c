/* tests/fuzz/record_fuzz.c: format/record.h over any bytes.
 *
 * The input is what lies somewhere in a pack. Scanning steps forward over sound headers only, and meets each; a record
 * that checks opens or is refused. With the input's CRCs made right first, so that the fuzzer comes behind them, the
 * same holds; what a decoded header says, record_seal() takes. */
#include "format/record.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "format/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static enum status fill_zeros(struct random_source *source, void *bytes, size_t size,
                              struct error *err)
{
    (void)source;
    (void)err;
    memset(bytes, 0, size);
    return STATUS_OK;
}

static void scan(struct slice bytes)
{
    struct record_header header;
    struct error err = {0};
    size_t from = 0;
    size_t at = 0;

    while (record_find(bytes, from, &at, &err) == STATUS_OK) {
        enum status st =
            record_decode_header(slice_of(bytes.data + at, bytes.size - at), &header, &err);

        INVARIANT(at >= from && bytes.size - at >= RECORD_HEADER_SIZE);
        INVARIANT(st == STATUS_OK || st == STATUS_UNSUPPORTED);
        from = at + 1;
    }
}

static void open_record(const struct keys *keys, struct codec_context *codec, struct slice record)
{
    struct record_header header = {0};
    struct buffer stored;
    struct error err = {0};

    buffer_init(&stored, RECORD_PLAIN_MAX);

    enum status checked = record_check(record, &header, &err);
    enum status opened = record_open(keys, codec, record, &header, &stored, &err);

    INVARIANT(checked == STATUS_OK || opened == checked);
    if (opened == STATUS_OK)
        INVARIANT(stored.size == header.plain_length && record.size == record_size(&header));
    else
        INVARIANT(opened == STATUS_CORRUPT || opened == STATUS_UNSUPPORTED);
    buffer_deinit(&stored);
}

/* What was decoded can be written again. */
static void seal_again(const struct keys *keys, struct slice record)
{
    struct random_source zeros = {.fill = fill_zeros};
    struct record_header header;
    struct buffer again;
    struct error err = {0};

    if (record_check(record, &header, &err) != STATUS_OK)
        return;

    struct slice packed =
        slice_of(record.data + RECORD_HEADER_SIZE, header.stored_length - XAES_TAG_SIZE);

    buffer_init(&again, RECORD_SIZE_MAX);
    INVARIANT(record_seal(keys, &zeros, &header, packed, &again, &err) == STATUS_OK);
    INVARIANT(again.size == record.size);
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct repository_key key;
    struct keys *keys = NULL;
    struct codec_context *codec = NULL;
    uint8_t *bytes = memory_resize(NULL, size, 1); /* of exactly that size, but for 0 */
    struct error err = {0};

    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)i; /* the key of the page's examples, which are in the corpus */
    INVARIANT(bytes != NULL && keys_new(&key, &keys, &err) == STATUS_OK);
    INVARIANT(codec_context_new(&codec, &err) == STATUS_OK);
    if (size > 0)
        memcpy(bytes, input, size);
    scan(slice_of(bytes, size));
    open_record(keys, codec, slice_of(bytes, size));
    if (size > RECORD_HEADER_SIZE) {
        struct slice payload = slice_of(bytes + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);

        le_put_u32(bytes + 96, hash_crc32c(0, payload));
        le_put_u32(bytes + 100, hash_crc32c(0, slice_of(bytes, 100)));
        scan(slice_of(bytes, size));
        open_record(keys, codec, slice_of(bytes, size));
        seal_again(keys, slice_of(bytes, size));
    }
    codec_context_free(codec);
    keys_free(keys);
    memory_free(bytes);
    return 0;
}
