/* buf: appends to memory of a fixed size. Too much sets `overflow` and leaves the rest out: check once, at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "shared/base/str.h"

struct buf {
    char *data;
    size_t length;
    size_t size;
    bool overflow;
};

static inline struct buf buf_on(char *memory, size_t size)
{
    return (struct buf){memory, 0, size, false};
}

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->data, buf->length};
}

/* memcpy() for what is mostly short: names, numbers, words. */
static inline void buf_copy(char *to, const char *from, size_t length)
{
    if (length >= 8 && length <= 16) {
        uint64_t first, last;
        memcpy(&first, from, sizeof first);
        memcpy(&last, from + (length - sizeof last), sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + (length - sizeof last), &last, sizeof last);
    } else if (length >= 4 && length < 8) {
        uint32_t first, last;
        memcpy(&first, from, sizeof first);
        memcpy(&last, from + (length - sizeof last), sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + (length - sizeof last), &last, sizeof last);
    } else {
        memcpy(to, from, length);
    }
}

static inline void buf_add(struct buf *buf, const char *data, size_t length)
{
    if (length > buf->size - buf->length) {
        buf->overflow = true;
        return;
    }
    if (length == 0) /* either pointer may be NULL then */
        return;
    buf_copy(buf->data + buf->length, data, length);
    buf->length += length;
}

static inline void buf_str_add(struct buf *buf, struct str s)
{
    buf_add(buf, s.data, s.length);
}

static inline void buf_char(struct buf *buf, char c)
{
    if (buf->length == buf->size) {
        buf->overflow = true;
        return;
    }
    buf->data[buf->length++] = c;
}

/* Appends a string literal. */
#define BUF_LITERAL(buf, literal) buf_add((buf), (literal), sizeof(literal) - 1)

/* Decimal; lower-case hexadecimal, `digits` of them or as many as needed. */
void buf_u64(struct buf *buf, uint64_t value);
void buf_hex(struct buf *buf, uint64_t value, unsigned digits);

/* Needs room for a NUL too, which it doesn't count. */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As the inside of a JSON string (RFC 8259, section 7): quotes, backslashes and controls escaped, bytes that are not
 * UTF-8 as \ufffd, so that the result is always valid JSON. */
void buf_json(struct buf *buf, struct str s);

/* For a log field in double quotes: `"`, `\`, controls and bytes from 0x80 as \xHH. */
void buf_escaped(struct buf *buf, struct str s);

#endif
