#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool text_format(char *text, size_t size, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    int length = vsnprintf(text, size, format, values);
    va_end(values);
    if (length < 0 || (size_t)length >= size) {
        text[0] = '\0';
        return false;
    }
    return true;
}

bool text_parse_u64(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9')
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

void text_hex(struct slice bytes, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[bytes.data[i] >> 4];
        text[2 * i + 1] = digits[bytes.data[i] & 0xf];
    }
    text[2 * bytes.size] = '\0';
}

static bool is_hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static uint8_t hex_value(uint8_t digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

bool text_parse_hex(struct slice text, uint8_t *bytes, size_t size)
{
    if (text.size % 2 != 0 || text.size / 2 != size)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (!is_hex_digit(text.data[i]))
            return false;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(hex_value(text.data[2 * i]) << 4 | hex_value(text.data[2 * i + 1]));
    return true;
}

/* What the second byte of a character that begins with FIRST may be: keeps out overlong forms, surrogates and what lies
 * above U+10FFFF. */
static bool is_second(uint8_t first, uint8_t second)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;

    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    return second >= low && second <= high;
}

size_t text_character(struct slice bytes)
{
    size_t length = 0;

    if (bytes.size == 0)
        return 0;
    if (bytes.data[0] < 0x80)
        return 1;
    if (bytes.data[0] >= 0xc2 && bytes.data[0] <= 0xdf)
        length = 2;
    else if (bytes.data[0] >= 0xe0 && bytes.data[0] <= 0xef)
        length = 3;
    else if (bytes.data[0] >= 0xf0 && bytes.data[0] <= 0xf4)
        length = 4;
    if (length == 0 || length > bytes.size || !is_second(bytes.data[0], bytes.data[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (bytes.data[i] < 0x80 || bytes.data[i] > 0xbf)
            return 0;
    return length;
}

bool text_is_control(struct slice character)
{
    const uint8_t *bytes = character.data;

    return (character.size == 1 && (bytes[0] < 0x20 || bytes[0] == 0x7f)) ||
           (character.size == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0);
}

bool text_is_plain(struct slice bytes)
{
    for (size_t i = 0; i < bytes.size;) {
        struct slice rest = slice_of(bytes.data + i, bytes.size - i);
        size_t length = text_character(rest);

        if (length == 0 || text_is_control(slice_of(rest.data, length)))
            return false;
        i += length;
    }
    return true;
}

size_t text_cut(const char *text, size_t size)
{
    size_t length = strnlen(text, size + 1);

    if (length <= size)
        return length;
    /* 10xxxxxx goes on with a character that began before (RFC 3629, section 3). */
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}
