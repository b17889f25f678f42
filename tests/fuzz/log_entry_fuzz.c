/* tests/fuzz/log_entry_fuzz.c: format/log_entry.h: the entry's header, whose sum is made right first. What is accepted is
 * sealed again to the same bytes. */
#include "format/log_entry.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "format/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { CRC_AT = LOG_ENTRY_HEADER_SIZE - 4, NONCE_AT = CRC_AT - XAES_NONCE_SIZE };

static enum status fill_zeros(struct random_source *source, void *bytes, size_t size,
                              struct error *err)
{
    (void)source;
    (void)err;
    memset(bytes, 0, size);
    return STATUS_OK;
}

/* A header that is accepted is sealed again, over a body of its length, to the same bytes before the nonce. */
static void header(struct slice bytes)
{
    static const uint8_t body[LOG_ENTRY_BODY_MAX];
    static const uint8_t secret[XAES_KEY_SIZE];
    static const uint8_t seed[SIGN_SEED_SIZE];
    struct random_source zeros = {.fill = fill_zeros};
    struct log_entry_header header = {0};
    uint8_t copy[LOG_ENTRY_HEADER_SIZE];
    struct xaes_key *structure = NULL;
    struct sign_key *signer = NULL;
    struct hash_digest hash;
    struct buffer again;
    struct error err = {0};
    size_t size = 0;

    INVARIANT(log_entry_decode_header(bytes, &header, &size, &err) != STATUS_OK ||
              size <= LOG_ENTRY_SIZE_MAX);
    if (bytes.size < sizeof(copy))
        return;
    memcpy(copy, bytes.data, sizeof(copy));
    le_put_u32(copy + CRC_AT, hash_crc32c(0, slice_of(copy, CRC_AT)));
    if (log_entry_decode_header(slice_of(copy, sizeof(copy)), &header, &size, &err) != STATUS_OK)
        return;
    INVARIANT(size >= LOG_ENTRY_SIZE_MIN && size <= LOG_ENTRY_SIZE_MAX);
    INVARIANT(xaes_key_new(secret, &structure, &err) == STATUS_OK);
    INVARIANT(sign_key_from_seed(seed, &signer, &err) == STATUS_OK);
    buffer_init(&again, size);
    INVARIANT(log_entry_seal(structure, signer, &zeros, &header, slice_of(body, header.body_length),
                             &again, &hash, &err) == STATUS_OK);
    INVARIANT(again.size == size && memcmp(again.data, copy, NONCE_AT) == 0);
    buffer_deinit(&again);
    xaes_key_free(structure);
    sign_key_free(signer);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    header(slice_of(input, size));
    return 0;
}
