/* tests/fuzz/log_entry_fuzz.c: format/log_entry.h: the four bodies, and the entry's header, whose sum is
 * made right first; the first byte of the input says which. What is accepted is
 * encoded again to the same bytes. */
#include "format/log_entry.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "format/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { CRC_AT = LOG_ENTRY_HEADER_SIZE - 4, NONCE_AT = CRC_AT - XAES_NONCE_SIZE };

/* Decodes BYTES and encodes again what came out. */
static enum status space(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_space space = {0};
    enum status st = log_space_decode(bytes, &space, err);

    if (st == STATUS_OK)
        log_space_encode(&space, again);
    return st;
}

static enum status numbers(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_numbers numbers = {0};
    enum status st = log_numbers_decode(bytes, &numbers, err);

    if (st == STATUS_OK)
        log_numbers_encode(&numbers, again);
    return st;
}

static enum status point(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_point point = {.pack_count = 0};
    enum status st = log_point_decode(bytes, &point, err);

    if (st == STATUS_OK)
        log_point_encode(&point, again);
    return st;
}

static enum status tracking(struct slice bytes, struct buffer *again, struct error *err)
{
    struct log_tracking tracking = {.vm = {{0}}};
    enum status st = log_tracking_decode(bytes, &tracking, err);

    if (st == STATUS_OK)
        log_tracking_encode(&tracking, again);
    return st;
}

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
    static enum status (*const bodies[])(struct slice, struct buffer *,
                                         struct error *) = {space, numbers, point, tracking};

    const size_t count = sizeof(bodies) / sizeof(bodies[0]);

    if (size == 0)
        return 0;

    struct slice bytes = slice_of(input + 1, size - 1);
    struct error err = {0};
    struct buffer again;

    if (input[0] % (count + 1) == count) {
        header(bytes);
        return 0;
    }
    buffer_init(&again, size);
    if (bodies[input[0] % (count + 1)](bytes, &again, &err) == STATUS_OK)
        INVARIANT(slice_equal(buffer_slice(&again), bytes));
    else
        INVARIANT(err.status == STATUS_CORRUPT);
    buffer_deinit(&again);
    return 0;
}
