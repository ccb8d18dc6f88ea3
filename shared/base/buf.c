/* buf: numbers, formats and escapes into memory of a fixed size. Access logs and response heads are made with it, so
 * runs of plain bytes are copied whole.
 */
#include "shared/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "shared/base/digits.h"
#include "shared/base/scan.h"

static const char hex_digits[] = "0123456789abcdef";

const char digits_pairs[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static unsigned digit_count(uint64_t value)
{
    unsigned count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

void buf_u64(struct buf *buf, uint64_t value)
{
    unsigned count = digit_count(value);
    if (count > buf->size - buf->length) {
        buf->overflow = true;
        return;
    }
    buf->length += count;
    char *at = buf->data + buf->length;
    for (; value >= 10; value /= 100, count -= 2)
        memcpy(at -= 2, digits_pairs + 2 * (value % 100), 2);
    if (count)
        *--at = (char)('0' + value);
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

static inline uint64_t to_escape(uint64_t word)
{
    return scan_below(word, ' ') | scan_equal(word, '"') | scan_equal(word, '\\') | scan_equal(word, 0x7f) |
           scan_high(word);
}

/* Whether all of `s` is ASCII without controls, `"`, `\\` and DEL, as nearly all is: it needs no escape. The last bytes are
 * looked at again with those before them, so that there are eight. */
static bool is_plain(struct str s)
{
    if (s.length >= 8) {
        uint64_t marks = to_escape(scan_load(s.data + s.length - 8));
        for (size_t i = 0; i + 8 < s.length; i += 8)
            marks |= to_escape(scan_load(s.data + i));
        return !marks;
    }
    if (s.length >= 4) {
        uint32_t first, last;
        memcpy(&first, s.data, sizeof first);
        memcpy(&last, s.data + s.length - sizeof last, sizeof last);
        return !to_escape((uint64_t)first << 32 | last);
    }
    for (size_t i = 0; i < s.length; i++)
        if (to_escape(SCAN_EACH((unsigned char)s.data[i])))
            return false;
    return true;
}

static bool escaped(unsigned char c)
{
    return c < 0x20 || c >= 0x7f || c == '"' || c == '\\';
}

void buf_json(struct buf *buf, struct str s)
{
    if (is_plain(s)) {
        buf_str_add(buf, s);
        return;
    }
    size_t plain = 0, i = 0; /* from `plain` to `i`: nothing to escape */
    while (i < s.length) {
        unsigned char c = (unsigned char)s.data[i];
        size_t character = c >= 0x80 ? utf8_length((const unsigned char *)s.data + i, s.length - i)
                           : c == 0x7f || !escaped(c) ? 1
                                                      : 0;
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
    if (is_plain(s)) {
        buf_str_add(buf, s);
        return;
    }
    size_t plain = 0, i;
    for (i = 0; i < s.length; i++) {
        if (!escaped((unsigned char)s.data[i]))
            continue;
        buf_add(buf, s.data + plain, i - plain);
        BUF_LITERAL(buf, "\\x");
        buf_hex(buf, (unsigned char)s.data[i], 2);
        plain = i + 1;
    }
    if (i > plain)
        buf_add(buf, s.data + plain, i - plain);
}
