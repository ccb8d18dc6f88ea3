/* buf: numbers, formats and escapes into memory of a fixed size. Access logs and response heads are made with it, so
 * runs of plain bytes are copied whole.
 */
#include "shared/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const char hex_digits[] = "0123456789abcdef";

void buf_u64(struct buf *buf, uint64_t value)
{
    unsigned digits = 1;
    for (uint64_t rest = value; rest >= 10; rest /= 10)
        digits++;
    if (digits > buf->size - buf->length) {
        buf->overflow = true;
        return;
    }
    buf->length += digits;
    for (char *at = buf->data + buf->length; digits; digits--, value /= 10)
        *--at = (char)('0' + value % 10);
}

void buf_hex(struct buf *buf, uint64_t value, unsigned digits)
{
    char text[16];
    size_t at = sizeof(text);
    do
        text[--at] = hex_digits[value & 15];
    while (value >>= 4);
    while (at > 0 && sizeof(text) - at < digits)
        text[--at] = '0';
    buf_add(buf, text + at, sizeof(text) - at);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = buf->size - buf->length;
    char none; /* `data` may be NULL when there is no room at all */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room ? buf->data + buf->length : &none, room, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    if ((size_t)length >= room)
        buf->overflow = true;
    else
        buf->length += (size_t)length;
}

/* The bytes of the UTF-8 character at `s`, or 0: it is none (RFC 3629, section 4). */
static size_t utf8_length(const unsigned char *s, size_t length)
{
    unsigned char low = 0x80, high = 0xbf; /* the bounds of the second byte */
    size_t need;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        need = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        need = 3;
        if (s[0] == 0xe0)
            low = 0xa0; /* no overlong form */
        else if (s[0] == 0xed)
            high = 0x9f; /* no surrogate */
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        need = 4;
        if (s[0] == 0xf0)
            low = 0x90;
        else if (s[0] == 0xf4)
            high = 0x8f; /* up to U+10FFFF */
    } else {
        return 0;
    }
    if (length < need || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

static void json_escape(struct buf *buf, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c == '"' || c == '\\' ? (char)c : c < sizeof(letters) ? letters[c] : '\0';
    if (letter) {
        buf_add(buf, (char[]){'\\', letter}, 2);
    } else if (c < 0x20) {
        BUF_LITERAL(buf, "\\u00");
        buf_hex(buf, c, 2);
    } else {
        BUF_LITERAL(buf, "\\ufffd");
    }
}

void buf_json(struct buf *buf, struct str s)
{
    const unsigned char *data = (const unsigned char *)s.data;
    size_t plain = 0, i = 0; /* from `plain` to `i`: nothing to escape */
    while (i < s.length) {
        unsigned char c = data[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t character = c >= 0x80 ? utf8_length(data + i, s.length - i) : 0;
        if (character) {
            i += character;
            continue;
        }
        buf_add(buf, s.data + plain, i - plain);
        json_escape(buf, c);
        plain = ++i;
    }
    if (i > plain)
        buf_add(buf, s.data + plain, i - plain);
}

void buf_escaped(struct buf *buf, struct str s)
{
    size_t plain = 0, i;
    for (i = 0; i < s.length; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        buf_add(buf, s.data + plain, i - plain);
        BUF_LITERAL(buf, "\\x");
        buf_hex(buf, c, 2);
        plain = i + 1;
    }
    if (i > plain)
        buf_add(buf, s.data + plain, i - plain);
}
