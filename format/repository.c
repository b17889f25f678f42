#include "format/repository.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/text.h"

#define TITLE       "Tidemark repository\n"
#define WORD_ID     "id "
#define WORD_KEY    "key-check "
#define WORD_CRC    "crc "
#define WORD_DOMAIN "domain "

enum {
    CRC_SIZE = 4,
    CRC_DIGITS = 2 * CRC_SIZE,
    CRC_LINE_SIZE = sizeof(WORD_CRC) - 1 + CRC_DIGITS + 1,
    HEX_MAX = 32, /* bytes in one line */
    NUMBER_DIGITS = 20,
};

static void put_text(struct buffer *target, const char *text)
{
    buffer_put(target, slice_of_text(text));
}

static void put_hex_line(struct buffer *target, const char *word, const uint8_t *bytes, size_t size)
{
    char text[2 * HEX_MAX + 1];

    text_hex(slice_of(bytes, size), text);
    put_text(target, word);
    put_text(target, text);
    put_text(target, "\n");
}

/* The sum as its line has it: the digits as a person writes the number. */
static void crc_bytes(struct slice text, uint8_t bytes[CRC_SIZE])
{
    uint32_t crc = hash_crc32c(0, text);

    for (size_t i = 0; i < CRC_SIZE; i++)
        bytes[i] = (uint8_t)(crc >> (8 * (CRC_SIZE - 1 - i)) & 0xff);
}

void repository_encode(const struct repository *repository, struct buffer *target)
{
    size_t start = target->size;
    char version[64];
    bool fits = text_format(version, sizeof(version), "version %d build %d\n", FORMAT_VERSION,
                            FORMAT_BUILD);
    uint8_t crc[CRC_SIZE] = {0};

    INVARIANT(fits);
    put_text(target, TITLE);
    put_text(target, version);
    put_hex_line(target, WORD_ID, repository->id.bytes, RANDOM_ID_SIZE);
    put_hex_line(target, WORD_DOMAIN, repository->domain.bytes, RANDOM_ID_SIZE);
    put_hex_line(target, WORD_KEY, repository->key_check, KEYS_CHECK_SIZE);
    if (target->status == STATUS_OK)
        crc_bytes(slice_of(target->data + start, target->size - start), crc);
    put_hex_line(target, WORD_CRC, crc, sizeof(crc));
}

/* Does *TEXT begin with WORD? Then steps over it. */
static bool take_word(struct slice *text, const char *word)
{
    size_t size = strlen(word);

    if (text->size < size || memcmp(text->data, word, size) != 0)
        return false;
    *text = slice_of(text->data + size, text->size - size);
    return true;
}

/* The digits at the start of *TEXT. */
static bool take_number(struct slice *text, uint64_t *ret_number)
{
    char digits[NUMBER_DIGITS + 1] = "";
    size_t size = 0;

    while (size < NUMBER_DIGITS && size < text->size && text->data[size] >= '0' &&
           text->data[size] <= '9') {
        digits[size] = (char)text->data[size];
        size++;
    }
    if (!text_parse_u64(digits, ret_number))
        return false;
    *text = slice_of(text->data + size, text->size - size);
    return true;
}

/* "WORD hexadecimal digits", a whole line. */
static bool take_hex_line(struct slice *text, const char *word, uint8_t *bytes, size_t size)
{
    if (!take_word(text, word) || text->size < 2 * size ||
        !text_parse_hex(slice_of(text->data, 2 * size), bytes, size))
        return false;
    *text = slice_of(text->data + 2 * size, text->size - 2 * size);
    return take_word(text, "\n");
}

/* Is it the file of a repository of any version, whole? Then *ret_rest is what its title and CRC enclose. */
static bool is_whole(struct slice text, struct slice *ret_rest)
{
    uint8_t computed[CRC_SIZE];
    uint8_t written[CRC_SIZE];

    if (text.size < CRC_LINE_SIZE || text.size > REPOSITORY_FILE_MAX)
        return false;

    struct slice rest = slice_of(text.data, text.size - CRC_LINE_SIZE);
    struct slice last = slice_of(text.data + rest.size, CRC_LINE_SIZE);

    crc_bytes(rest, computed);
    if (!take_hex_line(&last, WORD_CRC, written, sizeof(written)) ||
        memcmp(written, computed, sizeof(written)) != 0 || !take_word(&rest, TITLE))
        return false;
    *ret_rest = rest;
    return true;
}

enum status repository_decode(struct slice text, struct repository *ret_repository,
                              struct error *err)
{
    struct repository repository = {0};
    struct slice rest;
    uint64_t version = 0;
    uint64_t build = 0;

    if (!is_whole(text, &rest))
        return error_set(err, STATUS_CORRUPT,
                         "this is no Tidemark repository's file, or it is damaged");
    if (!take_word(&rest, "version ") || !take_number(&rest, &version) ||
        !take_word(&rest, " build ") || !take_number(&rest, &build) || !take_word(&rest, "\n"))
        return error_set(err, STATUS_CORRUPT, "the repository's file does not say its version");
    if (version != FORMAT_VERSION || build != FORMAT_BUILD)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the repository is of version %" PRIu64 ", build %" PRIu64
                         ", and this program reads "
                         "version %d, build %d only: use the program that wrote it",
                         version, build, FORMAT_VERSION, FORMAT_BUILD);
    if (!take_hex_line(&rest, WORD_ID, repository.id.bytes, RANDOM_ID_SIZE) ||
        !take_hex_line(&rest, WORD_DOMAIN, repository.domain.bytes, RANDOM_ID_SIZE) ||
        !take_hex_line(&rest, WORD_KEY, repository.key_check, KEYS_CHECK_SIZE) || rest.size != 0)
        return error_set(err, STATUS_CORRUPT, "the repository's file has lines that cannot be");
    *ret_repository = repository;
    return STATUS_OK;
}
