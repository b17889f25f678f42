#include "format/lines.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/text.h"
#include "format/repository.h"

#define WORD_CRC "crc "

enum {
    CRC_SIZE = 4,
    CRC_DIGITS = 2 * CRC_SIZE,
    CRC_LINE_SIZE = sizeof(WORD_CRC) - 1 + CRC_DIGITS + 1,
    NUMBER_DIGITS = 20,
};

void lines_put_text(struct buffer *target, const char *text)
{
    buffer_put(target, slice_of_text(text));
}

void lines_put_hex(struct buffer *target, const char *word, const uint8_t *bytes, size_t size)
{
    char text[2 * LINES_HEX_MAX + 1];

    INVARIANT(size <= LINES_HEX_MAX);
    text_hex(slice_of(bytes, size), text);
    lines_put_text(target, word);
    lines_put_text(target, text);
    lines_put_text(target, "\n");
}

void lines_put_version(struct buffer *target)
{
    char version[64];
    bool fits = text_format(version, sizeof(version), "version %d build %d\n", FORMAT_VERSION,
                            FORMAT_BUILD);

    INVARIANT(fits);
    lines_put_text(target, version);
}

static void crc_bytes(struct slice text, uint8_t bytes[CRC_SIZE])
{
    uint32_t crc = hash_crc32c(0, text);

    for (size_t i = 0; i < CRC_SIZE; i++)
        bytes[i] = (uint8_t)(crc >> (8 * (CRC_SIZE - 1 - i)) & 0xff);
}

void lines_put_crc(struct buffer *target, size_t start)
{
    uint8_t crc[CRC_SIZE] = {0};

    if (target->status == STATUS_OK)
        crc_bytes(slice_of(target->data + start, target->size - start), crc);
    lines_put_hex(target, WORD_CRC, crc, sizeof(crc));
}

bool lines_take_word(struct slice *text, const char *word)
{
    size_t size = strlen(word);

    if (text->size < size || memcmp(text->data, word, size) != 0)
        return false;
    *text = slice_of(text->data + size, text->size - size);
    return true;
}

bool lines_take_number(struct slice *text, uint64_t *ret_number)
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

bool lines_take_hex(struct slice *text, const char *word, uint8_t *bytes, size_t size)
{
    if (!lines_take_word(text, word) || text->size < 2 * size ||
        !text_parse_hex(slice_of(text->data, 2 * size), bytes, size))
        return false;
    *text = slice_of(text->data + 2 * size, text->size - 2 * size);
    return lines_take_word(text, "\n");
}

enum status lines_take_version(struct slice *text, const char *what, struct error *err)
{
    uint64_t version = 0;
    uint64_t build = 0;

    if (!lines_take_word(text, "version ") || !lines_take_number(text, &version) ||
        !lines_take_word(text, " build ") || !lines_take_number(text, &build) ||
        !lines_take_word(text, "\n"))
        return error_set(err, STATUS_CORRUPT, "%s does not say its version", what);
    if (version != FORMAT_VERSION || build != FORMAT_BUILD)
        return error_set(err, STATUS_UNSUPPORTED,
                         "%s is of version %" PRIu64 ", build %" PRIu64
                         ", and this program reads version %d, build %d only: use the program that "
                         "wrote it",
                         what, version, build, FORMAT_VERSION, FORMAT_BUILD);
    return STATUS_OK;
}

bool lines_are_whole(struct slice text, const char *title, struct slice *ret_rest)
{
    uint8_t computed[CRC_SIZE];
    uint8_t written[CRC_SIZE];

    if (text.size < CRC_LINE_SIZE)
        return false;

    struct slice rest = slice_of(text.data, text.size - CRC_LINE_SIZE);
    struct slice last = slice_of(text.data + rest.size, CRC_LINE_SIZE);

    crc_bytes(rest, computed);
    if (!lines_take_hex(&last, WORD_CRC, written, sizeof(written)) ||
        memcmp(written, computed, sizeof(written)) != 0 || !lines_take_word(&rest, title))
        return false;
    *ret_rest = rest;
    return true;
}
