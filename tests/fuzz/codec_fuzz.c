/* tests/fuzz/codec_fuzz.c: format/codec.h. The input is {u8 codec, u16le plain length, packed bytes}: unpacking keeps
 * to the plain length (AddressSanitizer watches: the block has exactly that size). The packed bytes are also taken as
 * plain ones: packed and unpacked they come back. */
#include "format/codec.h"

#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void unpack(struct codec_context *context, uint8_t codec, struct slice packed,
                   size_t plain_size)
{
    uint8_t *plain = memory_resize(NULL, plain_size, 1);
    struct error err = {0};

    INVARIANT(plain != NULL);

    enum status st = codec_decompress(context, codec, packed, plain, plain_size, &err);

    INVARIANT(st == STATUS_OK || st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED);
    memory_free(plain);
}

static void pack_and_unpack(struct codec_context *context, struct slice plain)
{
    uint8_t *back = memory_resize(NULL, plain.size, 1);
    enum codec codec = CODEC_PLAIN;
    struct buffer packed;
    struct error err = {0};

    INVARIANT(back != NULL);
    buffer_init(&packed, plain.size);
    INVARIANT(codec_compress(context, plain, &packed, &codec, &err) == STATUS_OK);
    INVARIANT(codec_decompress(context, (uint8_t)codec, buffer_slice(&packed), back, plain.size,
                               &err) == STATUS_OK);
    INVARIANT(slice_equal(slice_of(back, plain.size), plain));
    buffer_deinit(&packed);
    memory_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct codec_context *context = NULL;
    struct cursor cursor = cursor_of(slice_of(input, size));
    struct error err = {0};
    uint8_t codec = cursor_u8(&cursor);
    uint16_t plain_size = cursor_u16le(&cursor);

    if (!cursor_ok(&cursor))
        return 0;

    struct slice packed = cursor_take(&cursor, cursor_left(&cursor));

    INVARIANT(codec_context_new(&context, &err) == STATUS_OK);
    unpack(context, codec, packed, plain_size);
    pack_and_unpack(context, packed);
    codec_context_free(context);
    return 0;
}
