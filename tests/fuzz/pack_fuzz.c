/* tests/fuzz/pack_fuzz.c: format/pack.h: a header, a footer, and the entries of an index.
 *
 * What is accepted is encoded again to the same bytes: one thing has one form. The sums of header and footer are made
 * right first, so that the fuzzer comes behind them. */
#include "format/pack.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "format/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void try_header(const uint8_t *input)
{
    uint8_t bytes[PACK_HEADER_SIZE];
    uint8_t again[PACK_HEADER_SIZE];
    struct pack_header header;
    struct error err = {0};

    memcpy(bytes, input, sizeof(bytes));
    le_put_u32(bytes + 48, hash_crc32c(0, slice_of(bytes, 48)));
    if (pack_header_decode(slice_of(bytes, sizeof(bytes)), &header, &err) != STATUS_OK)
        return;
    pack_header_encode(&header, again);
    INVARIANT(memcmp(again, bytes, sizeof(bytes)) == 0);
}

static void try_footer(const uint8_t *input)
{
    uint8_t bytes[PACK_FOOTER_SIZE];
    uint8_t again[PACK_FOOTER_SIZE];
    struct pack_footer footer;
    struct error err = {0};

    memcpy(bytes, input, sizeof(bytes));
    le_put_u32(bytes + 20, hash_crc32c(0, slice_of(bytes, 20)));
    if (pack_footer_decode(slice_of(bytes, sizeof(bytes)), &footer, &err) != STATUS_OK)
        return;
    pack_footer_encode(&footer, again);
    INVARIANT(memcmp(again, bytes, sizeof(bytes)) == 0);
}

static enum status encode_again(void *arg, const struct pack_entry *entry, struct error *err)
{
    (void)err;
    INVARIANT(entry->number != 0 && kind_known(entry->kind));
    pack_entry_encode(entry, arg);
    return STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct buffer again;
    struct error err = {0};

    if (size >= PACK_HEADER_SIZE)
        try_header(input);
    if (size >= PACK_FOOTER_SIZE)
        try_footer(input);
    buffer_init(&again, RECORD_PLAIN_MAX);
    if (pack_entries_decode(slice_of(input, size), encode_again, &again, &err) == STATUS_OK)
        INVARIANT(slice_equal(buffer_slice(&again), slice_of(input, size)));
    buffer_deinit(&again);
    return 0;
}
