#include "format/kit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/invariant.h"
#include "base/text.h"
#include "format/lines.h"

#define TITLE           "Tidemark recovery kit\n"
#define WORD_REPOSITORY "repository "
#define WORD_MADE       "made "
#define WORD_WRAPPED    "key wrapped\n"
#define WORD_PLAIN      "key plain\n"
#define WORD_CA         "agents-ca "
#define PEM_BEGIN       "-----BEGIN CERTIFICATE-----\n"
#define PEM_END         "-----END CERTIFICATE-----\n"

enum { WRAPPED_LINES = 8, PEM_LINE_MAX = 64 };

static const char head[] =
    "#\n"
    "# With this page and the repository's folder everything that was backed up can be brought back,\n"
    "# whatever else is lost. Keep it away from the repository: print it, or put it on a medium that\n"
    "# lies elsewhere.\n"
    "#\n"
    "# What to do with it, on any Linux machine that has the repository's folder, DATA, or a copy of it:\n"
    "# 1. Put this text into a file, KIT, exactly as it is, from the first line to the last one. If you\n"
    "#    have to type it: lines that begin with # have to be right too, the last line tells.\n"
    "# 2. See what is there:\n"
    "#        tidemark-recover --kit KIT list DATA\n"
    "# 3. Get back what a restore point, POINT, holds; \"tidemark-recover --help\" tells more ways:\n"
    "#        tidemark-recover --kit KIT extract DATA POINT --all -o FOLDER\n"
    "# Where a passphrase is needed the program asks for it; with --passphrase-file F it reads it from F.\n"
    "#\n";

static const char head_wrapped[] =
    "# The key below is locked by a passphrase, which does not stand here. Without it this page opens\n"
    "# nothing: keep it elsewhere, and let more than one person know where.\n"
    "#\n";

static const char head_plain[] =
    "# !!! WHOEVER HAS THIS PAGE, AND THE REPOSITORY, CAN READ EVERYTHING THAT WAS EVER BACKED UP. !!!\n"
    "# The key below is not locked by a passphrase. Keep this page where you would keep all that data.\n"
    "#\n";

/* "2026-11-23": digits at their places, a month and a day that can be. */
static bool is_date(const char *text)
{
    static const char shape[] = "dddd-dd-dd";

    for (size_t i = 0; i < sizeof(shape); i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';

        if (shape[i] == 'd' ? !digit : text[i] != shape[i])
            return false;
    }

    int month = (text[5] - '0') * 10 + (text[6] - '0');
    int day = (text[8] - '0') * 10 + (text[9] - '0');

    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* ---- PEM, as kit_agents_ca() makes it ---- */

/* A line of 1 to PEM_LINE_MAX digits of base 64. */
static bool take_base64_line(struct slice *text)
{
    size_t size = 0;

    while (size < text->size && text->data[size] != '\n') {
        uint8_t c = text->data[size];

        if (size == PEM_LINE_MAX || !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                                      (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '='))
            return false;
        size++;
    }
    if (size == 0 || size == text->size)
        return false;
    *text = slice_of(text->data + size + 1, text->size - size - 1);
    return true;
}

/* Certificates, one behind the other, and nothing else; or nothing. */
static bool is_pem(struct slice text)
{
    while (text.size > 0) {
        size_t lines = 0;

        if (!lines_take_word(&text, PEM_BEGIN))
            return false;
        while (take_base64_line(&text))
            lines++;
        if (lines == 0 || !lines_take_word(&text, PEM_END))
            return false;
    }
    return true;
}

/* Moves the certificates that FROM has left into TO; *ret_count of them. */
static enum status copy_certificates(BIO *from, BIO *to, size_t *ret_count, struct error *err)
{
    size_t count = 0;
    X509 *certificate = NULL;

    while ((certificate = PEM_read_bio_X509(from, NULL, NULL, NULL)) != NULL) {
        bool is_ca = X509_check_ca(certificate) != 0;
        bool written = PEM_write_bio_X509(to, certificate) == 1;

        X509_free(certificate);
        if (!written)
            return error_set_openssl(err, STATUS_INTERNAL, "write a certificate");
        if (!is_ca)
            return error_set(err, STATUS_INVALID, "a certificate in it is not a CA's");
        count++;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return error_set_openssl(err, STATUS_INVALID, "a certificate in it cannot be read");
    ERR_clear_error(); /* the end of the text */
    *ret_count = count;
    return STATUS_OK;
}

enum status kit_agents_ca(struct slice pem, struct buffer *target, struct error *err)
{
    size_t count = 0;
    char *text = NULL;

    if (pem.size > KIT_CA_MAX)
        return error_set(err, STATUS_INVALID, "it is longer than %d bytes", KIT_CA_MAX);

    BIO *from = BIO_new_mem_buf(pem.data, (int)pem.size);
    BIO *to = BIO_new(BIO_s_mem());
    enum status st = STATUS_OK;

    if (from == NULL || to == NULL)
        st = error_set_openssl(err, STATUS_EXHAUSTED, "read certificates");
    if (st == STATUS_OK)
        st = copy_certificates(from, to, &count, err);
    if (st == STATUS_OK && count == 0)
        st = error_set(err, STATUS_INVALID, "there is no certificate (PEM) in it");
    if (st == STATUS_OK) {
        long size = BIO_get_mem_data(to, &text);

        if (size < 0 || size > KIT_CA_MAX)
            st = error_set(err, STATUS_INVALID, "its certificates are longer than %d bytes",
                           KIT_CA_MAX);
        else
            buffer_put(target, slice_of(text, (size_t)size));
    }
    BIO_free(from);
    BIO_free(to);
    return st == STATUS_OK ? buffer_check(target, "certificates", err) : st;
}

/* ---- The kit ---- */

static bool is_right(const struct kit *kit)
{
    return is_date(kit->made) && kit->agents_ca.size <= KIT_CA_MAX && is_pem(kit->agents_ca) &&
           (!kit->key.wrapped || random_id_equal(&kit->key.wrap.repository, &kit->repository));
}

void kit_encode(const struct kit *kit, struct buffer *target)
{
    size_t start = target->size;
    char ca[48];
    bool fits = text_format(ca, sizeof(ca), WORD_CA "%zu\n", kit->agents_ca.size);

    INVARIANT(fits && is_right(kit));
    lines_put_text(target, TITLE);
    lines_put_version(target);
    lines_put_text(target, head);
    lines_put_text(target, kit->key.wrapped ? head_wrapped : head_plain);
    lines_put_hex(target, WORD_REPOSITORY, kit->repository.bytes, RANDOM_ID_SIZE);
    lines_put_text(target, WORD_MADE);
    lines_put_text(target, kit->made);
    lines_put_text(target, "\n");
    lines_put_text(target, kit->key.wrapped ? WORD_WRAPPED : WORD_PLAIN);
    key_text_encode(&kit->key, target);
    lines_put_text(target, ca);
    buffer_put(target, kit->agents_ca);
    lines_put_crc(target, start);
}

/* Lines that begin with '#', of printable ASCII. */
static bool take_remarks(struct slice *text)
{
    while (text->size > 0 && text->data[0] == '#') {
        size_t size = 0;

        while (size < text->size && text->data[size] >= ' ' && text->data[size] <= '~')
            size++;
        if (size == text->size || text->data[size] != '\n')
            return false;
        *text = slice_of(text->data + size + 1, text->size - size - 1);
    }
    return true;
}

static bool take_made(struct slice *text, char made[KIT_DATE_SIZE])
{
    if (!lines_take_word(text, WORD_MADE) || text->size < KIT_DATE_SIZE)
        return false;
    memcpy(made, text->data, KIT_DATE_SIZE - 1);
    made[KIT_DATE_SIZE - 1] = '\0';
    *text = slice_of(text->data + KIT_DATE_SIZE - 1, text->size - (KIT_DATE_SIZE - 1));
    return lines_take_word(text, "\n");
}

/* How many bytes the first COUNT lines of TEXT have; 0: there are not so many. */
static size_t size_of_lines(struct slice text, size_t count)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\n' && --count == 0)
            return i + 1;
    }
    return 0;
}

static enum status take_key(struct slice *text, struct key_text *ret_key, struct error *err)
{
    bool wrapped = lines_take_word(text, WORD_WRAPPED);
    enum status st = STATUS_OK;

    if (!wrapped && !lines_take_word(text, WORD_PLAIN))
        return error_set(err, STATUS_CORRUPT, "the recovery kit has no key");

    size_t size = size_of_lines(*text, wrapped ? WRAPPED_LINES : 1);

    if (size == 0)
        return error_set(err, STATUS_CORRUPT, "the recovery kit's key has no end");
    st = key_text_decode(slice_of(text->data, size), ret_key, err);
    if (st == STATUS_OK && ret_key->wrapped != wrapped)
        st = error_set(err, STATUS_CORRUPT, "it is of another form");
    if (st != STATUS_OK) {
        err->status = st == STATUS_UNSUPPORTED ? st : STATUS_CORRUPT;
        return error_wrap(err, "the recovery kit's key");
    }
    *text = slice_of(text->data + size, text->size - size);
    return STATUS_OK;
}

static bool take_agents_ca(struct slice *text, struct slice *ret_ca)
{
    uint64_t size = 0;

    if (!lines_take_word(text, WORD_CA) || !lines_take_number(text, &size) ||
        !lines_take_word(text, "\n") || size > text->size || size > KIT_CA_MAX)
        return false;
    *ret_ca = slice_of(text->data, (size_t)size);
    *text = slice_of(text->data + size, text->size - (size_t)size);
    return true;
}

static enum status decode_lines(struct slice rest, struct kit *kit, struct error *err)
{
    enum status st = lines_take_version(&rest, "the recovery kit", err);

    if (st != STATUS_OK)
        return st;
    if (!take_remarks(&rest) ||
        !lines_take_hex(&rest, WORD_REPOSITORY, kit->repository.bytes, RANDOM_ID_SIZE) ||
        !take_made(&rest, kit->made))
        return error_set(err, STATUS_CORRUPT, "the recovery kit has lines that cannot be");
    st = take_key(&rest, &kit->key, err);
    if (st != STATUS_OK)
        return st;
    if (!take_agents_ca(&rest, &kit->agents_ca) || rest.size != 0 || !is_right(kit))
        return error_set(err, STATUS_CORRUPT, "the recovery kit has lines that cannot be");
    return STATUS_OK;
}

enum status kit_decode(struct slice text, struct kit *ret_kit, struct error *err)
{
    struct kit kit = {0};
    struct slice rest;

    if (text.size > KIT_FILE_MAX || !lines_are_whole(text, TITLE, &rest))
        return error_set(err, STATUS_CORRUPT,
                         "this is no Tidemark recovery kit, or it is damaged, or was not typed "
                         "exactly as it is");

    enum status st = decode_lines(rest, &kit, err);

    if (st == STATUS_OK)
        *ret_kit = kit;
    OPENSSL_cleanse(&kit, sizeof(kit));
    return st;
}
