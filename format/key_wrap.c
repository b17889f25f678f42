#include "format/key_wrap.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/invariant.h"
#include "base/text.h"
#include "format/lines.h"

#define TITLE           "Tidemark key\n"
#define WORD_REPOSITORY "repository "
#define WORD_KDF        "kdf scrypt "
#define WORD_SALT       "salt "
#define WORD_NONCE      "nonce "
#define WORD_WRAPPED    "wrapped "

enum { N_MAX = 1 << 20, R_MAX = 32, P_MAX = 16 };

/* scrypt's own bound: N is below 2^(128 r / 8). For greater r it is above N_MAX. */
enum { R_ALONE = 1, R_ALONE_BITS = 16 };

static const uint64_t memory_max = UINT64_C(1) << 30;

/* Beside its large table OpenSSL counts some hundred times r and p. */
static const uint64_t memory_beside = UINT64_C(1) << 20;

const struct key_wrap_cost key_wrap_cost_default = {.n = 1 << 17, .r = 8, .p = 1};

/* NULL, or what is wrong with it. Numbers as in a file, of any size. */
static const char *cost_fault(uint64_t n, uint64_t r, uint64_t p)
{
    if (n < 2 || n > N_MAX || (n & (n - 1)) != 0)
        return "N is no power of two from 2 to 1048576";
    if (r < 1 || r > R_MAX)
        return "r is not 1 to 32";
    if (p < 1 || p > P_MAX)
        return "p is not 1 to 16";
    if (r == R_ALONE && n >= UINT64_C(1) << R_ALONE_BITS)
        return "with r of 1, N must be below 65536";
    if (128 * n * r > memory_max)
        return "it needs more than 1 GiB of memory";
    return NULL;
}

static enum status check_passphrase(struct slice passphrase, struct error *err)
{
    if (passphrase.size == 0)
        return error_set(err, STATUS_INVALID, "the passphrase is empty");
    if (passphrase.size > KEY_WRAP_PASSPHRASE_MAX)
        return error_set(err, STATUS_INVALID, "the passphrase is longer than %d bytes",
                         KEY_WRAP_PASSPHRASE_MAX);
    return STATUS_OK;
}

enum status key_wrap_derive(const struct key_wrap_cost *cost, struct slice salt,
                            struct slice passphrase, uint8_t ret_key[KEY_WRAP_DERIVED_SIZE],
                            struct error *err)
{
    const char *fault = cost_fault(cost->n, cost->r, cost->p);
    uint8_t derived[KEY_WRAP_DERIVED_SIZE];
    enum status st = check_passphrase(passphrase, err);

    if (st != STATUS_OK)
        return st;
    if (fault != NULL)
        return error_set(err, STATUS_INVALID, "scrypt with these numbers: %s", fault);
    /* Its numbers are checked: only memory can be wanting. */
    if (EVP_PBE_scrypt((const char *)passphrase.data, passphrase.size, salt.data, salt.size,
                       cost->n, cost->r, cost->p, memory_max + memory_beside, derived,
                       sizeof(derived)) != 1)
        return error_set_openssl(err, STATUS_EXHAUSTED,
                                 "derive a key from the passphrase (%" PRIu64 " MiB of memory)",
                                 UINT64_C(128) * cost->n * cost->r >> 20);
    memcpy(ret_key, derived, sizeof(derived));
    OPENSSL_cleanse(derived, sizeof(derived));
    return STATUS_OK;
}

/* All lines before the sealed key: its associated data. */
static void put_head(const struct key_wrap *wrap, struct buffer *target)
{
    char kdf[96];
    bool fits = text_format(kdf, sizeof(kdf), WORD_KDF "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                            wrap->cost.n, wrap->cost.r, wrap->cost.p);

    INVARIANT(fits);
    lines_put_text(target, TITLE);
    lines_put_version(target);
    lines_put_hex(target, WORD_REPOSITORY, wrap->repository.bytes, RANDOM_ID_SIZE);
    lines_put_text(target, kdf);
    lines_put_hex(target, WORD_SALT, wrap->salt, wrap->salt_size);
    lines_put_hex(target, WORD_NONCE, wrap->nonce, sizeof(wrap->nonce));
}

/* The key that seals WRAP's; and its head into HEAD, which is initialized. */
static enum status make_ready(const struct key_wrap *wrap, struct slice passphrase,
                              struct buffer *head, struct xaes_key **ret_key, struct error *err)
{
    uint8_t derived[KEY_WRAP_DERIVED_SIZE];

    put_head(wrap, head);

    enum status st = buffer_check(head, "the head of a key", err);

    if (st == STATUS_OK)
        st = key_wrap_derive(&wrap->cost, slice_of(wrap->salt, wrap->salt_size), passphrase,
                             derived, err);
    if (st != STATUS_OK)
        return st;
    st = xaes_key_new(derived, ret_key, err);
    OPENSSL_cleanse(derived, sizeof(derived));
    return st;
}

enum status key_wrap_seal(const struct random_id *repository, const struct repository_key *key,
                          const struct key_wrap_cost *cost, struct slice passphrase,
                          struct random_source *random, struct key_wrap *ret_wrap,
                          struct error *err)
{
    struct key_wrap wrap = {.repository = *repository,
                            .cost = *cost,
                            .salt_size = KEY_WRAP_SALT_MAX};
    struct xaes_key *sealing = NULL;
    struct buffer head;
    enum status st = random_bytes(random, wrap.salt, wrap.salt_size, err);

    buffer_init(&head, KEY_WRAP_FILE_MAX);
    if (st == STATUS_OK)
        st = random_bytes(random, wrap.nonce, sizeof(wrap.nonce), err);
    if (st == STATUS_OK)
        st = make_ready(&wrap, passphrase, &head, &sealing, err);
    if (st == STATUS_OK)
        st = xaes_seal(sealing, wrap.nonce, buffer_slice(&head),
                       slice_of(key->bytes, sizeof(key->bytes)), wrap.sealed, err);
    if (st == STATUS_OK)
        *ret_wrap = wrap;
    xaes_key_free(sealing);
    buffer_deinit(&head);
    return st;
}

enum status key_wrap_open(const struct key_wrap *wrap, struct slice passphrase,
                          struct repository_key *ret_key, struct error *err)
{
    struct repository_key key = {0};
    struct xaes_key *sealing = NULL;
    struct buffer head;

    buffer_init(&head, KEY_WRAP_FILE_MAX);

    enum status st = make_ready(wrap, passphrase, &head, &sealing, err);

    if (st == STATUS_OK) {
        st = xaes_open(sealing, wrap->nonce, buffer_slice(&head),
                       slice_of(wrap->sealed, sizeof(wrap->sealed)), key.bytes, err);
        if (st == STATUS_CORRUPT) /* the sum was right when it was read: so it is the passphrase */
            st = error_set(err, STATUS_DENIED, "the passphrase is not the one of this key");
    }
    if (st == STATUS_OK)
        *ret_key = key;
    OPENSSL_cleanse(&key, sizeof(key));
    xaes_key_free(sealing);
    buffer_deinit(&head);
    return st;
}

void key_wrap_encode(const struct key_wrap *wrap, struct buffer *target)
{
    size_t start = target->size;

    put_head(wrap, target);
    lines_put_hex(target, WORD_WRAPPED, wrap->sealed, sizeof(wrap->sealed));
    lines_put_crc(target, start);
}

static enum status take_cost(struct slice *text, struct key_wrap_cost *ret_cost, struct error *err)
{
    uint64_t n = 0;
    uint64_t r = 0;
    uint64_t p = 0;

    if (!lines_take_word(text, WORD_KDF) || !lines_take_number(text, &n) ||
        !lines_take_word(text, " ") || !lines_take_number(text, &r) ||
        !lines_take_word(text, " ") || !lines_take_number(text, &p) || !lines_take_word(text, "\n"))
        return error_set(err, STATUS_CORRUPT, "the key does not say how it was derived");

    const char *fault = cost_fault(n, r, p);

    if (fault != NULL)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the key was derived by scrypt %" PRIu64 " %" PRIu64 " %" PRIu64
                         ", which is not done here: %s",
                         n, r, p, fault);
    *ret_cost = (struct key_wrap_cost){.n = (uint32_t)n, .r = (uint32_t)r, .p = (uint32_t)p};
    return STATUS_OK;
}

/* As long as its line: KEY_WRAP_SALT_MIN to KEY_WRAP_SALT_MAX bytes. */
static bool take_salt(struct slice *text, struct key_wrap *wrap)
{
    const uint8_t *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    size_t word = sizeof(WORD_SALT) - 1;

    if (end == NULL || (size_t)(end - text->data) < word)
        return false;
    wrap->salt_size = ((size_t)(end - text->data) - word) / 2;
    return wrap->salt_size >= KEY_WRAP_SALT_MIN && wrap->salt_size <= KEY_WRAP_SALT_MAX &&
           lines_take_hex(text, WORD_SALT, wrap->salt, wrap->salt_size);
}

enum status key_wrap_decode(struct slice text, struct key_wrap *ret_wrap, struct error *err)
{
    struct key_wrap wrap = {0};
    struct slice rest;

    if (text.size > KEY_WRAP_FILE_MAX || !lines_are_whole(text, TITLE, &rest))
        return error_set(err, STATUS_CORRUPT, "this is no Tidemark key, or it is damaged");

    enum status st = lines_take_version(&rest, "the key", err);

    if (st != STATUS_OK)
        return st;
    if (!lines_take_hex(&rest, WORD_REPOSITORY, wrap.repository.bytes, RANDOM_ID_SIZE))
        return error_set(err, STATUS_CORRUPT, "the key does not say whose it is");
    st = take_cost(&rest, &wrap.cost, err);
    if (st != STATUS_OK)
        return st;
    if (!take_salt(&rest, &wrap) ||
        !lines_take_hex(&rest, WORD_NONCE, wrap.nonce, sizeof(wrap.nonce)) ||
        !lines_take_hex(&rest, WORD_WRAPPED, wrap.sealed, sizeof(wrap.sealed)) || rest.size != 0)
        return error_set(err, STATUS_CORRUPT, "the key has lines that cannot be");
    *ret_wrap = wrap;
    return STATUS_OK;
}
