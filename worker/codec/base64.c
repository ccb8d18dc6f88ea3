/* base64: the two alphabets of RFC 4648, strict. Called for tokens and keys (JOSE), structured fields, digests, gRPC-Web. */
#include "worker/codec/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The six bits of each byte that is a letter; of the others -1, whose high bit is left when values are joined by |. */
static const int8_t values[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1, -1, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};
static const int8_t url_values[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63, -1, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};

int base64_value(char c)
{
    return values[(unsigned char)c];
}

/* Without padding. */
static ptrdiff_t decode(const int8_t table[256], struct str text, unsigned char *out, size_t size)
{
    const unsigned char *at = (const unsigned char *)text.data;
    size_t tail = text.length % 4, whole = text.length - tail, made = 0;
    int bad = 0;
    if (tail == 1 || whole / 4 * 3 + (tail ? tail - 1 : 0) > size)
        return -1;
    for (size_t i = 0; i < whole; i += 4, made += 3) {
        int a = table[at[i]], b = table[at[i + 1]], c = table[at[i + 2]], d = table[at[i + 3]];
        uint32_t group = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | (uint32_t)d;
        bad |= a | b | c | d;
        out[made] = (unsigned char)(group >> 16);
        out[made + 1] = (unsigned char)(group >> 8);
        out[made + 2] = (unsigned char)group;
    }
    if (tail) {
        int a = table[at[whole]], b = table[at[whole + 1]], c = tail == 3 ? table[at[whole + 2]] : 0;
        uint32_t group = (uint32_t)a << 12 | (uint32_t)b << 6 | (uint32_t)c;
        bad |= a | b | c | ((group & (tail == 3 ? 0x03 : 0x3ff)) != 0 ? -1 : 0);
        out[made++] = (unsigned char)(group >> 10);
        if (tail == 3)
            out[made++] = (unsigned char)(group >> 2);
    }
    return bad < 0 ? -1 : (ptrdiff_t)made;
}

ptrdiff_t base64_decode(struct str text, unsigned char *out, size_t size)
{
    if (text.length % 4 != 0)
        return -1;
    for (int pad = 0; pad < 2 && text.length && text.data[text.length - 1] == '='; pad++)
        text.length--;
    return decode(values, text, out, size);
}

bool base64_is(struct str text)
{
    int bits = 0, last = 0;
    unsigned pad = 0;
    for (; (text.length + pad) % 4 == 0 && pad < 2 && text.length && text.data[text.length - 1] == '='; pad++)
        text.length--;
    for (size_t i = 0; i < text.length; i++)
        bits |= last = base64_value(text.data[i]);
    return bits >= 0 && (text.length + pad) % 4 == 0 && (last & (pad == 2 ? 0x0f : pad == 1 ? 0x03 : 0)) == 0;
}

ptrdiff_t base64url_decode(struct str text, unsigned char *out, size_t size)
{
    return decode(url_values, text, out, size);
}

/* Without padding. */
static size_t encode(const char *alphabet, struct str bytes, char *out)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t made = 0;
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t group = (uint32_t)in[i] << 16;
        group |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= left > 2 ? in[i + 2] : 0;
        out[made++] = alphabet[group >> 18];
        out[made++] = alphabet[group >> 12 & 63];
        if (left > 1)
            out[made++] = alphabet[group >> 6 & 63];
        if (left > 2)
            out[made++] = alphabet[group & 63];
    }
    return made;
}

size_t base64_encode(struct str bytes, char *out)
{
    size_t made = encode(letters, bytes, out);
    while (made % 4)
        out[made++] = '=';
    return made;
}

size_t base64url_encode(struct str bytes, char *out)
{
    return encode(url_letters, bytes, out);
}
