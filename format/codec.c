#include "format/codec.h"

#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/cursor.h"
#include "base/memory.h"

enum { LEVEL = 1, SAVES_AT_LEAST = 16 /* one part in that many */ };

struct codec_context {
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
};

enum status codec_context_new(struct codec_context **ret_context, struct error *err)
{
    enum status st = STATUS_OK;
    struct codec_context *made = memory_new(1, sizeof(*made));

    if (made == NULL)
        return error_set_no_memory(err, sizeof(*made), "a codec");
    made->packer = ZSTD_createCCtx();
    made->unpacker = ZSTD_createDCtx();
    if (made->packer == NULL || made->unpacker == NULL ||
        ZSTD_isError(ZSTD_CCtx_setParameter(made->packer, ZSTD_c_compressionLevel, LEVEL))) {
        st = error_set(err, STATUS_EXHAUSTED, "no memory for zstd");
        goto out;
    }
    *ret_context = made;
    made = NULL;
out:
    codec_context_free(made);
    return st;
}

void codec_context_free(struct codec_context *context)
{
    if (context == NULL)
        return;
    ZSTD_freeCCtx(context->packer);
    ZSTD_freeDCtx(context->unpacker);
    memory_free(context);
}

/* Is it worth while to unpack PLAIN bytes each time that they are read, for PACKED instead? */
static bool saves_enough(size_t plain, size_t packed)
{
    return packed < plain &&
           plain - packed >= plain / SAVES_AT_LEAST + (plain % SAVES_AT_LEAST != 0);
}

enum status codec_compress(struct codec_context *context, struct slice plain, struct buffer *target,
                           enum codec *ret_codec, struct error *err)
{
    size_t before = target->size;
    uint8_t *start = buffer_extend(target, plain.size);
    enum status st = buffer_check(target, "a packed payload", err);

    if (st != STATUS_OK)
        return st;
    if (plain.size == 0) {
        *ret_codec = CODEC_PLAIN;
        return STATUS_OK;
    }

    size_t packed = ZSTD_compress2(context->packer, start, plain.size, plain.data, plain.size);

    if (!ZSTD_isError(packed) && saves_enough(plain.size, packed)) {
        target->size = before + packed;
        *ret_codec = CODEC_ZSTD;
        return STATUS_OK;
    }
    if (ZSTD_isError(packed) && ZSTD_getErrorCode(packed) != ZSTD_error_dstSize_tooSmall) {
        target->size = before;
        return error_set(err, STATUS_EXHAUSTED, "pack %zu bytes: zstd: %s", plain.size,
                         ZSTD_getErrorName(packed));
    }
    memcpy(start, plain.data, plain.size);
    *ret_codec = CODEC_PLAIN;
    return STATUS_OK;
}

/* RFC 8878, 3.1.1.1: does PACKED begin with a frame that needs no dictionary and no window over 8 MiB (what every
 * reader must have)? */
static bool frame_is_ours(struct slice packed)
{
    enum {
        MAGIC_BYTES = 4,
        DICTIONARY = 0x03,
        RESERVED = 0x08,
        SINGLE_SEGMENT = 0x20,
        WINDOW_8_MIB = 13 << 3,
    };
    struct cursor cursor = cursor_of(packed);
    uint32_t magic = cursor_u32le(&cursor);
    uint8_t descriptor = cursor_u8(&cursor);

    if (!cursor_ok(&cursor) || magic != ZSTD_MAGICNUMBER ||
        (descriptor & (DICTIONARY | RESERVED)) != 0)
        return false;
    return (descriptor & SINGLE_SEGMENT) != 0 || cursor_u8(&cursor) <= WINDOW_8_MIB;
}

static enum status unpack(struct codec_context *context, struct slice packed, uint8_t *target,
                          size_t plain_size, struct error *err)
{
    if (!frame_is_ours(packed) ||
        ZSTD_findFrameCompressedSize(packed.data, packed.size) != packed.size)
        return error_set(err, STATUS_CORRUPT, "%zu packed bytes are not one zstd frame of ours",
                         packed.size);
    if (plain_size == 0 || ZSTD_getFrameContentSize(packed.data, packed.size) != plain_size)
        return error_set(err, STATUS_CORRUPT, "%zu packed bytes do not unpack to %zu", packed.size,
                         plain_size);

    size_t size =
        ZSTD_decompressDCtx(context->unpacker, target, plain_size, packed.data, packed.size);

    if (ZSTD_isError(size))
        return error_set(err,
                         ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation ? STATUS_EXHAUSTED
                                                                                 : STATUS_CORRUPT,
                         "unpack %zu bytes: zstd: %s", packed.size, ZSTD_getErrorName(size));
    if (size != plain_size)
        return error_set(err, STATUS_CORRUPT, "%zu packed bytes unpack to %zu, not %zu",
                         packed.size, size, plain_size);
    return STATUS_OK;
}

enum status codec_decompress(struct codec_context *context, uint8_t codec, struct slice packed,
                             uint8_t *target, size_t plain_size, struct error *err)
{
    if (codec == CODEC_ZSTD)
        return unpack(context, packed, target, plain_size, err);
    if (codec != CODEC_PLAIN)
        return error_set(err, STATUS_UNSUPPORTED, "codec %u is not known to this program",
                         (unsigned)codec);
    if (packed.size != plain_size)
        return error_set(err, STATUS_CORRUPT, "%zu plain bytes should be %zu", packed.size,
                         plain_size);
    if (plain_size > 0)
        memcpy(target, packed.data, plain_size);
    return STATUS_OK;
}
