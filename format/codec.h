/* format/codec.h: how a payload is compressed before it is sealed: zstd at level 1, or not at all where that
 * saves little; by libzstd. Contexts are reused: one struct codec for each thread or work. */
#ifndef FORMAT_CODEC_H
#define FORMAT_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Published: never renumber. */
enum codec { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

struct codec_context;

/* STATUS_EXHAUSTED: no memory. One thread at a time. */
NODISCARD enum status codec_context_new(struct codec_context **ret_context, struct error *err);
void codec_context_free(struct codec_context *context); /* NULL is fine */

/* Appends PLAIN to TARGET as the codec says that it chose: CODEC_PLAIN (the same bytes) where zstd would save
 * less than 1/16. */
NODISCARD enum status codec_compress(struct codec_context *context, struct slice plain,
                                     struct buffer *target, enum codec *ret_codec,
                                     struct error *err);

/* The inverse: TARGET gets exactly PLAIN_SIZE bytes. STATUS_CORRUPT: the bytes are not of CODEC, or unpack to
 * another length. STATUS_UNSUPPORTED: an unknown codec. Allocates no more than PLAIN_SIZE, whatever the bytes
 * say. */
NODISCARD enum status codec_decompress(struct codec_context *context, uint8_t codec,
                                       struct slice packed, uint8_t *target, size_t plain_size,
                                       struct error *err);

#endif
